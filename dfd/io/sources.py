"""From what the user points at to frames with known optics: inputs, EXIF, capture.toml and options in one Source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dfd.anchors import LEAST_KNOWN, KnownDepth, check_known
from dfd.capture import CAPTURES
from dfd.io.dualpixel import PairOptions, as_views, default_black, from_pupil, pair_facts, with_sheets
from dfd.io.encoding import encoding_of, told_profiles
from dfd.io.frames import Frame, is_raw
from dfd.io.gather import Gathered, gather
from dfd.io.inputs import Inputs, check_count, find_inputs
from dfd.io.keys import ROLES, SIDES, VIEWS
from dfd.io.lenscheck import check_lens
from dfd.io.merge import check_distances, tell_once
from dfd.io.mixture import check_alike, check_sizes, check_together, turned_frames
from dfd.io.names import natural_key
from dfd.io.scale import decide
from dfd.io.sidecar import SidecarFrame
from dfd.lensfile import section
from dfd.lensmap import profile_remarks
from dfd.profile import LensProfile
from dfd.psf import Psf
from dfd.vignetting import vignetting_of

__all__ = ["Frame", "Source", "find_profile", "make_source", "open_source"]

_COUNTS = {"aperture-pair": 2, "dual-pixel": 2, "differential-quad": 4}
_PARTS = {"dual-pixel": ("view", VIEWS), "differential-quad": ("role", ROLES)}


@dataclass(frozen=True)
class Source:
    """Frames in the order of their capture, undecoded, and what is known of the whole.

    frames         a stack near -> far (rail: by position; nothing known: natural file order); a dual-pixel pair left,
                   right; a quad in the order of its roles; else as given
    reference      index into `frames` of the frame in whose pixel grid the outputs are
    scale          "metric", "stage", "steps" or "affine"; missing: the capture.toml lines that would make it metric
    gain_e_per_dn, read_noise_e, side, kappa    None where nobody says
    order          what orders a stack: a name in `dfd.io.scale.ORDERS`
    field          of a dual-pixel pair whose kappa the profile says: (focus, size) -> DualPixelField, see LensProfile
    swap, axis, y_scale, known_depths    of a dual-pixel pair, see `dfd.io.dualpixel.PairOptions` and
                   `dfd.anchors`; `frames` are exchanged already
    """

    kind: str
    frames: tuple[Frame, ...]
    reference: int
    profile: LensProfile
    psf: Psf
    gain_e_per_dn: float | None
    read_noise_e: float | None
    side: str | None
    kappa: float | None
    scale: str
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    order: str
    field: Callable | None = None
    swap: bool = False
    axis: str = "x"
    y_scale: float = 1.0
    known_depths: tuple[KnownDepth, ...] = ()

    @property
    def result_scale(self) -> str:
        """Scale of the result: known depths make an affine dual-pixel pair metric after it is solved."""
        return "metric" if self.scale == "affine" and len(self.known_depths) >= LEAST_KNOWN else self.scale

    @property
    def pictured(self) -> bool:
        """There will be an all-in-focus picture: always of a stack, else of known optics and square pixels."""
        return self.kind == "focal-stack" or (self.scale == "metric" and self.y_scale == 1)


def open_source(inputs, *, kind: str = "auto", lens=None, focus_distances=None, reference: int | None = None,
                side: str | None = None, swap: bool | None = None, axis: str | None = None,
                y_scale: float | None = None) -> Source:
    """Find the frames, read their headers and join every value that is known of them; nothing is decoded.

    inputs            a folder, a capture.toml, or image files
    kind              "auto", or a kind of `dfd.capture.CAPTURES`
    lens              a LensProfile or the path of one
    focus_distances   metres, one per file in natural file order
    reference         index of a frame in input order: as given, [[frames]] order, natural order of a folder
    side              "near" or "far", for an aperture pair
    swap, axis, y_scale    for a dual-pixel pair, see `dfd.io.dualpixel.PairOptions`
    Every option wins over capture.toml, and that over EXIF.
    Raises OSError for files, ValueError for values; both name the file and the next step.
    """
    _check_options(kind, side)
    asked = PairOptions(swap, axis, y_scale)
    found = as_views(find_inputs(inputs, least=1), kind, asked)
    check_count(found)
    if found.sidecar is not None and found.sidecar.folders:
        raise ValueError(f"{found.sidecar.path}: {len(found.sidecar.folders)} folders of a sequence, which is no single "
                         "capture; use dfd depth, or dfd.stream in Python")
    distances = {} if focus_distances is None else check_distances(focus_distances, tuple(dict.fromkeys(found.files)))
    profile = find_profile(lens, found)
    source = make_source(found, gather(found, profile, distances), profile, kind=kind, reference=reference, side=side,
                         asked=asked)
    check_alike([frame.path for frame in source.frames], source.kind, found.sidecar.linear if found.sidecar else None)
    return source


def make_source(found: Inputs, gathered: Gathered, profile: LensProfile, *, kind: str = "auto",
                reference: int | None = None, side: str | None = None, asked: PairOptions | None = None) -> Source:
    """The Source of inputs whose headers have been read; options and errors as in `open_source`."""
    if gathered.bad:
        raise gathered.bad[0][1]
    files, sidecar = gathered.files, found.sidecar
    linear = sidecar.linear if sidecar else None
    together = check_together(files, chosen=bool(sidecar and sidecar.frames) and None not in found.entries, linear=linear)
    check_sizes(files)
    lens = check_lens(files, profile)
    merged = [item.merged for item in files]
    kind = _kind(kind, found, [item.settings for item in merged])
    if side is not None and kind != "aperture-pair":
        raise ValueError(f"side ({side}) is for an aperture pair; a {kind} tells itself on which side of focus the scene "
                         "lies; leave it out")
    pair = pair_facts(kind, found, asked or PairOptions())
    kappa = _first(sidecar and sidecar.kappa, profile.kappa)
    scale = decide(kind, merged, profile, kappa=kappa)
    known = from_pupil(pair.known_depths, found, scale.settings[0], profile)
    if scale.scale == "affine":
        check_known(known)
    balance = next((item.path for item in files if is_raw(item.path)), None)
    frames = [_frame(item, settings, entry, sidecar, balance, profile)
              for item, settings, entry in zip(files, scale.settings, found.entries, strict=True)]
    order = _order(kind, frames, scale.coordinates)
    chosen = _reference(kind, reference, found.entries, order)
    gain, read_noise, noise_warnings = _noise(sidecar, profile, frames)
    frames = tuple(frames[index] for index in order)
    if kind == "dual-pixel":
        frames = with_sheets(frames, [found.entries[index] for index in order])
    return Source(
        kind=kind, frames=frames, profile=profile, reference=chosen,
        psf=_psf(sidecar, profile),
        gain_e_per_dn=gain, read_noise_e=read_noise,
        side=_first(side, sidecar and sidecar.side), kappa=kappa, scale=scale.scale,
        missing=() if known else scale.missing,
        swap=pair.swap, axis=pair.axis, y_scale=pair.y_scale, known_depths=known,
        warnings=(*found.warnings, *together, *pair.warnings, *turned_frames(files, order[chosen]),
                  *_not_linear(sidecar, files), *told_profiles([item.path for item in files], linear),
                  *gathered.warnings, *_warnings(merged[:1] if frames[0].half else merged, scale.settings, profile),
                  *scale.warnings, *noise_warnings, *profile_remarks(profile), *lens),
        order=scale.order, field=None if sidecar and sidecar.kappa else profile.dual_pixel_field,
    )


def find_profile(lens, found: Inputs) -> LensProfile:
    """The LensProfile given, or that of the path given, or that which capture.toml names, or the nominal one.

    Raises OSError and ValueError as `LensProfile.load` does.
    """
    if isinstance(lens, LensProfile):
        return lens
    path = _first(lens, found.sidecar and found.sidecar.lens)
    return LensProfile.nominal() if path is None else LensProfile.load(path)


def _check_options(kind, side):
    if kind != "auto" and kind not in CAPTURES:
        raise ValueError(f"kind ({kind!r}) must be auto, {', '.join(CAPTURES)}")
    if side is not None and side not in SIDES:
        raise ValueError(f"side ({side!r}) must be near or far of the plane in focus")


def _kind(asked, found, settings) -> str:
    """The kind: option, capture.toml, or what the frames show."""
    kind = asked if asked != "auto" else _first(found.sidecar and found.sidecar.kind, None)
    if kind is None:
        kind = _shown_kind(found.entries, settings)
    count = _COUNTS.get(kind)
    if count is not None and len(settings) != count:
        raise ValueError(f"{settings[0].file}: {len(settings)} files for kind {kind}, which has exactly {count}; "
                         "give other files or another kind")
    return kind


def _shown_kind(entries, settings) -> str:
    """Named views or roles, two apertures at one known focus, else a focal stack."""
    if any(entry and entry.view for entry in entries):
        return "dual-pixel"
    if any(entry and entry.role for entry in entries):
        return "differential-quad"
    if len(settings) == 2:
        one, other = settings
        same = any(_equal(getattr(one, name), getattr(other, name)) is True
                   for name in ("focus_distance", "focus", "focus_coordinate"))
        stop = [_equal(getattr(one, name), getattr(other, name)) for name in ("f_number", "pupil_diameter")]
        if same and False in stop:
            return "aperture-pair"
    return "focal-stack"


def _equal(one, other) -> bool | None:
    """Whether two Values agree; None where one is unknown."""
    return None if one is None or other is None else math.isclose(one.value, other.value, rel_tol=1e-6)


def _psf(sidecar, profile) -> Psf:
    """As capture.toml says, else a disc with the core that the profile measured."""
    core, model = section(profile.data, "psf").get("core_px"), sidecar and sidecar.psf
    if model is None and (sidecar is None or sidecar.psf_core_px is None) and core:
        return Psf("disk-gaussian", core)
    if sidecar is None:
        return Psf()
    try:
        return Psf(_first(model, "disk"), _first(sidecar.psf_core_px, 0.0))
    except ValueError as error:
        raise ValueError(f"{sidecar.path}: {error}") from error


def _noise(sidecar, profile, frames):
    """(gain [e-/DN], read noise [e-], warnings): capture.toml, else the profile at the one ISO of the frames."""
    gain, read_noise = (sidecar.gain_e_per_dn, sidecar.read_noise_e) if sidecar else (None, None)
    if not profile.noise_isos or (gain is not None and read_noise is not None):
        return gain, read_noise, ()
    found = {frame.settings.iso and frame.settings.iso.value for frame in frames}
    iso, raws = found.copy().pop(), {is_raw(frame.path) for frame in frames}
    measured = profile.noise(iso, raw=True in raws) if len(found) == len(raws) == 1 and iso else None
    if measured is None:
        shown = " and ".join("unknown" if iso is None else f"{iso:g}" for iso in sorted(found, key=lambda iso: iso or 0))
        kinds = " and ".join("RAW" if raw else "developed" for raw in sorted(raws))
        has = ", ".join(f"{iso:g}" for iso in profile.noise_isos)
        return gain, read_noise, (f"the noise of the lens profile (ISO {has}) is not that of these {kinds} frames (ISO "
                                  f"{shown}), so it is estimated from the images; dfd-calibrate noise --into measures it",)
    return _first(gain, measured[0]), _first(read_noise, measured[1]), ()


def _frame(item, settings, entry, sidecar, balance, profile) -> Frame:
    raw, own = is_raw(item.path), entry or SidecarFrame(item.path, {})
    linear = encoding_of(item.path, sidecar.linear if sidecar else None).linear
    return Frame(
        path=item.path, settings=settings, linear=linear,
        vignetting=vignetting_of(profile, settings) if raw or linear else None,
        black_level=_first(own.black_level, sidecar and sidecar.black_level, default_black(item.path)),
        white_level=_first(own.white_level, sidecar and sidecar.white_level),
        view=own.view, role=own.role, half=own.half,
        orientation=item.orientation, white_balance=balance if raw else None,
    )


def _not_linear(sidecar, files) -> tuple[str, ...]:
    raw = next((item.path.name for item in files if is_raw(item.path)), None)
    if raw is None or sidecar is None or sidecar.linear is not False:
        return ()
    return (f"{sidecar.path}: camera.linear = false is not used for {raw} and other RAW files, whose values are linear; "
            "remove the line",)


def _order(kind, frames, coordinates) -> list[int]:
    """Indices of the frames in the order of their capture."""
    indices = range(len(frames))
    if kind in _PARTS:
        attribute, names = _PARTS[kind]
        parts = [getattr(frame, attribute) for frame in frames]
        for name in names:
            if parts.count(name) != 1:
                raise ValueError(f"{frames[0].path.parent}: {parts.count(name)} frames of this {kind} capture are "
                                 f'{attribute} {name}, exactly one must be; add {attribute} = "{name}" to its '
                                 "[[frames]] in capture.toml")
        return [parts.index(name) for name in names]
    if kind != "focal-stack":
        return list(indices)
    if coordinates is not None:
        return sorted(indices, key=coordinates.__getitem__)
    return sorted(indices, key=lambda index: natural_key(frames[index].path))


def _reference(kind, asked, entries, order) -> int:
    """Index into the ordered frames of the frame whose grid the outputs have."""
    count = len(order)
    if asked is not None:
        if isinstance(asked, bool) or not isinstance(asked, int) or not 0 <= asked < count:
            raise ValueError(f"reference ({asked}) must be a frame number from 0 to {count - 1}, in input order")
        return order.index(asked)
    marked = [index for index, entry in enumerate(entries) if entry and entry.reference]
    if marked:
        return order.index(marked[0])
    return count // 2 if kind == "focal-stack" else 0


def _first(*choices):
    return next((choice for choice in choices if choice is not None), None)


def _warnings(merged, settings, profile) -> tuple[str, ...]:
    """Warnings of the frames: what is doubtful, and where a measured lens cannot be used."""
    found = [(item.settings.file, text) for item in merged for text in item.told(profile)]
    unused = [(one.file, text) for one in settings if (text := profile.set_aside(one)) is not None]
    return tell_once(found + unused)
