"""From what the user points at to the two views of a dual-pixel pair: one RAW file of two frames, or two files whose views
capture.toml names, or their own names, or their order; and what else the user may say of a pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dfd.anchors import KnownDepth
from dfd.capture import AXES
from dfd.io.frames import Frame, is_raw
from dfd.io.halves import REST, SUB
from dfd.io.images import samples
from dfd.io.inputs import Inputs
from dfd.io.keys import TOP
from dfd.io.pgm import CAPTURE_BLACK, capture_scale, is_capture
from dfd.io.portrait import refusal
from dfd.io.raw import check_second_frame, has_second_frame
from dfd.io.sidecar import SidecarFrame
from dfd.io.viewnames import pairs_by_name, view_by_name
from dfd.io.wording import counted
from dfd.profile import LensProfile
from dfd.settings import CameraSettings

KIND = "dual-pixel"

_MOST_BESIDE = 3
"""Files beside a pair of views that may be its truth or its whole-pupil picture; among more, a pair may be chance."""

_MOST_NAMED = 4
_IN_PAIRS = 0.8
_OTHER = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class PairOptions:
    """What the user asks of a dual-pixel pair; None: what capture.toml says, else what is usual.

    swap      exchange left and right;   axis   "x" or "y" of the stored pixels along which the views differ
    y_scale   height of a pixel over its width
    """

    swap: bool | None = None
    axis: str | None = None
    y_scale: float | None = None


@dataclass(frozen=True)
class PairFacts:
    """The same, decided; known_depths and warnings besides."""

    swap: bool = False
    axis: str = "x"
    y_scale: float = 1.0
    known_depths: tuple[KnownDepth, ...] = ()
    warnings: tuple[str, ...] = ()


def as_views(found: Inputs, kind: str, asked: PairOptions) -> Inputs:
    """The inputs as two views, left and right in either order, where they are a dual-pixel pair; else as they are.

    kind   "auto": a single RAW file is looked into for a second frame, and files are known by their names
    Raises ValueError for inputs of which no two files can be chosen, OSError for a RAW file that cannot be read.
    """
    stated = kind if kind != "auto" else found.sidecar.kind if found.sidecar else None
    others = any(entry and entry.role for entry in found.entries) or (found.sidecar is not None and found.sidecar.folders)
    if stated not in (None, KIND) or (stated is None and others):
        return found
    swap = asked.swap if asked.swap is not None else bool(found.sidecar and found.sidecar.swap)
    if len(found.files) == 1:
        views = _of_one(found, stated)
    elif any(entry and entry.view for entry in found.entries):
        views = found
    else:
        views = _by_name(found, stated, swap)
    if not any(entry and entry.view for entry in views.entries):
        return views
    for path in dict.fromkeys(views.files):
        if refusal(path):
            raise ValueError(refusal(path))
    if not swap:
        return views
    return replace(views, entries=tuple(entry and replace(entry, view=_OTHER.get(entry.view)) for entry in views.entries))


def _of_one(found, stated) -> Inputs:
    """A single file: the two frames of a RAW file, or nothing that could be two views."""
    path = found.files[0]
    if refusal(path):
        raise ValueError(refusal(path))
    if not is_raw(path):
        return found
    if stated == KIND:
        check_second_frame(path)
    elif not has_second_frame(path):
        raise ValueError(f"{path}: 1 image, at least 2 are needed, and it is no dual-pixel RAW either (it holds one frame); "
                         "depth from defocus compares images with different focus, aperture or half of the pupil")
    entry = found.entries[0] or SidecarFrame(path, {})
    entries = tuple(replace(entry, view=view, half=half) for view, half in (("left", SUB), ("right", REST)))
    return replace(found, files=(path, path), entries=entries)


def _by_name(found, stated, swap) -> Inputs:
    """Several files of which nothing says what they see."""
    pairs = pairs_by_name(found.files)
    if stated is None:
        listed = found.sidecar is not None and found.sidecar.frames
        if listed or not pairs or len(pairs) * 2 < min(_IN_PAIRS * len(found.files), len(found.files) - _MOST_BESIDE):
            return found
    if len(pairs) > 1:
        raise ValueError(f"{found.files[0].parent}: {len(pairs)} pairs of views ({_listed([pair[0] for pair in pairs])}), "
                         f"one is solved at a time; name its two files: dfd depth {pairs[0][0]} {pairs[0][1]} -o DIR")
    if pairs:
        return _chosen(found, pairs[0], swap, "by their names" if len(found.files) > 2 else "")
    if len(found.files) > 2:
        raise ValueError(f"{found.files[0].parent}: {len(found.files)} images, and no two are named as left and right views "
                         "(_L and _R, left and right); name the two files, left first")
    named = [view_by_name(path) for path in found.files]
    if set(named) == set(_OTHER):
        return _chosen(found, sorted(found.files, key=view_by_name), swap, "by their names")
    return _chosen(found, found.files, swap, "in the order given, for their names do not tell")


def _chosen(found, pair: Sequence[Path], swap, how) -> Inputs:
    """Two of the files as left and right, and a sentence on how and on what is left out, where `how` says something."""
    entries = dict(zip(found.files, found.entries, strict=True))
    views = [replace(entries[path] or SidecarFrame(path, {}), view=view)
             for path, view in zip(pair, ("left", "right"), strict=True)]
    rest = [path for path in found.files if path not in pair]
    left_out = f"; left out: {_listed(rest)}" if rest else ""
    text = f"dual-pixel views {how}: left = {pair[0].name}, right = {pair[1].name}{left_out}; " \
           f"{'they are exchanged, as swap asks' if swap else '--swap exchanges them'}"
    return replace(found, files=tuple(pair), entries=tuple(views), warnings=(*found.warnings, *[text] * bool(how)))


def _listed(paths) -> str:
    names = [path.name for path in paths]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {counted(more, 'other', 'others')}" if more > 0 else "")


def pair_facts(kind: str, found: Inputs, asked: PairOptions) -> PairFacts:
    """Options, capture.toml and files in one; what stands of a pair with another kind is refused.

    Raises ValueError, naming option or key and the next step.
    """
    sidecar = found.sidecar
    said = {name: getattr(asked, name) if getattr(asked, name) is not None else sidecar and getattr(sidecar, name)
            for name in ("swap", "axis", "y_scale")}
    known = sidecar.known_depths if sidecar else ()
    if kind != KIND:
        per_view = {name: next((entry for entry in found.entries if entry and getattr(entry, name) is not None), None)
                    for name in ("black_level", "white_level", "white_sheet")}
        names = [name for name, value in said.items() if value] + [f"{name} in [[frames]]" for name in per_view if
                                                                   per_view[name]] + ["[[known_depths]]"] * bool(known)
        if names:
            raise ValueError(f"{names[0]} is for kind {KIND}, this is a {kind}; leave it out, or state the kind")
        return PairFacts()
    if said["axis"] not in (None, *AXES):
        raise ValueError(f"axis ({said['axis']!r}) must be x or y, that of the stored pixels along which the views differ")
    scale, row = said["y_scale"], TOP["y_scale"]
    if scale is not None and not (math.isfinite(scale) and row.least <= scale <= row.most):
        raise ValueError(f"y_scale ({scale:g}) must lie between {row.least:g} and {row.most:g}, height of a pixel over its "
                         "width; 2 where two rows are added into one")
    binned, told = _of_capture_app(found, scale)
    return PairFacts(bool(said["swap"]), said["axis"] or "x", binned if scale is None else scale, known,
                     (*told, *_perhaps_linear(found)))


def from_pupil(known: tuple[KnownDepth, ...], found: Inputs, settings: CameraSettings, profile: LensProfile):
    """Known depths from the entrance pupil; capture.toml counts them from the sensor mark where it says so of distances.

    Raises ValueError where the way from the one to the other is not known, or a depth ends within it.
    """
    if not known or found.sidecar.distance_from != "sensor":
        return known
    if profile.missing(settings):
        raise ValueError(f"{settings.file}: distance_from = \"sensor\", and the way from the sensor mark to the entrance "
                         "pupil is not known without the optics; state depth_m of [[known_depths]] from the entrance pupil "
                         "(about the focal length less) and leave distance_from out")
    offset = profile.sensor_offset(settings)
    inside = next((one for one in known if one.depth <= offset), None)
    if inside is not None:
        raise ValueError(f"{settings.file}: depth_m ({inside.depth:g} m) of a known depth must exceed {offset:.3g} m, where "
                         "the entrance pupil lies in front of the sensor mark; correct it, or distance_from")
    return tuple(replace(one, depth=one.depth - offset) for one in known)


def _perhaps_linear(found):
    """A sentence on 16-bit PNG, which counts as sRGB as every PNG does, where nobody says what it is."""
    path = found.files[0]
    if path.suffix.lower() != ".png" or samples(path)[0] < 16 or (found.sidecar and found.sidecar.linear is not None):
        return ()
    return (f"{path.name}: 16-bit PNG, read as sRGB; views that a capture app saved are mostly linear: state linear = true, "
            "black_level and white_level in [camera] of capture.toml if they are, else linear = false",)


def _of_capture_app(found, scale):
    """(height over width of a pixel, sentences) of views by PDCapture that nobody says more of."""
    path = next((path for path in found.files if is_capture(path)), None)
    if path is None:
        return 1.0, ()
    binned, sidecar, taken = capture_scale(path), found.sidecar, []
    if sidecar is None or sidecar.linear is None:
        taken.append("linear light")
    if default_black(path) and not _states_black(found):
        taken.append(f"black at {CAPTURE_BLACK:g}")
    if scale is None and binned != 1:
        taken.append(f"pixels {binned:g} times as high as wide (y_scale)")
    return binned, (f"{path.name}: 10-bit codes of Google's PDCapture, read as {', '.join(taken)}; state linear, "
                    "black_level or y_scale where that is wrong",) if taken else ()


def _states_black(found):
    return bool(found.sidecar and found.sidecar.black_level) or any(entry and entry.black_level for entry in found.entries)


def default_black(path) -> tuple[float, ...] | None:
    """Black [file units] of a file that does not state it; None: that of its format."""
    return (CAPTURE_BLACK,) if is_capture(path) else None


def with_sheets(frames: tuple[Frame, ...], entries) -> tuple[Frame, ...]:
    """The frames of a pair, left and right, with the white sheets that their [[frames]] name.

    entries   of the same frames, None where there is none.   Raises ValueError for the sheet of one view alone.
    """
    sheets = [entry and entry.white_sheet for entry in entries]
    if not any(sheets):
        return frames
    if not all(sheets):
        lacking = frames[sheets.index(None)]
        raise ValueError(f"{lacking.path}: the {lacking.view} view has no white_sheet, the other has; brightness is matched "
                         "by the ratio of both, add it to [[frames]] or leave both out")
    left, right = (replace(frame, path=sheet) for frame, sheet in zip(frames, sheets, strict=True))
    return frames[0], replace(frames[1], sheets=(left, right))
