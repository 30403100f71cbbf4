"""Do these frames belong together?  One camera, one lens, one zoom setting, one kind of file, one way up.

What makes a frame useless beside the others is refused, unless capture.toml lists every frame by name: then the user has
chosen them, and a warning tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dfd.io.encoding import encoding_of, has_colours
from dfd.io.frames import is_raw
from dfd.io.gather import ImageFile
from dfd.io.merge import stated_by_user
from dfd.io.wording import camera_name

_ZOOM_WARN, _ZOOM_REFUSE = 0.05, 0.15
_LEAST_SIDE = 2
_COMPARED = ("aperture-pair", "differential-quad", "dual-pixel")
_STEP = "leave the odd ones out, or list every frame as [[frames]] in capture.toml if they belong together"


def check_together(files: Sequence[ImageFile], *, chosen: bool, linear: bool | None) -> tuple[str, ...]:
    """Warnings about frames that differ in what one capture shares.

    chosen   capture.toml lists every frame, so that nothing is refused;   linear   what it states of their values
    Raises ValueError, naming two files and the next step, where they cannot be one capture.
    """
    settings = [item.merged.settings for item in files]
    troubles = [text for text in (_kinds(files), _cameras(settings), _zoom(settings, _ZOOM_REFUSE)) if text]
    if troubles and not chosen:
        raise ValueError(f"{files[0].path.parent}: {troubles[0]}; {_STEP}")
    zoom = _zoom(settings, _ZOOM_WARN)
    if zoom and zoom not in troubles:
        troubles.append(f"{zoom}; every frame is used with its own")
    return (*troubles, *_values(files, linear))


def check_alike(files: Sequence[Path], kind: str, linear: bool | None) -> None:
    """Raises ValueError, naming two files and how each is stored, for a pair or a quad of which one is stored otherwise.

    Their depth is the difference of values, so that another range of numbers or another mixture of colours is taken for
    blur, and nothing shows it.
    """
    if kind not in _COMPARED:
        return
    ways = [_stored_as(path, linear) for path in files]
    common, number = Counter(ways).most_common(1)[0]
    if number == len(files):
        return
    odd, one = next(k for k, way in enumerate(ways) if way != common), ways.index(common)
    raise ValueError(f"{files[odd]} is {ways[odd]}, but {files[one].name} is {ways[one]} ({len(files) - number} "
                     f"and {number} of {len(files)} files); the values of a {kind} are compared, save all of its "
                     "files alike")


def _stored_as(path, linear) -> str:
    """In words, all that decides how the numbers of a file are read."""
    how = encoding_of(path, linear)
    if is_raw(path):
        return how.kind
    colours = {True: " colour", False: " grey", None: ""}[has_colours(path)]
    return f"{how.kind.split(' ')[0]}{colours}, {'linear light' if how.linear else 'sRGB'}"


def turned_frames(files: Sequence[ImageFile], reference: int) -> tuple[str, ...]:
    """A warning that names the frames whose orientation differs from that of `files[reference]`; arrays never turn."""
    own = files[reference]
    odd = [item for item in files if item.orientation != own.orientation]
    if not odd:
        return ()
    names = f"{odd[0].path.name}{f' and {len(odd) - 1} more' if len(odd) > 1 else ''}"
    return (f"{names}: EXIF orientation {odd[0].orientation}, the reference {own.path.name} has {own.orientation}; pixels "
            "stay as they are stored (cameras that point down flip this tag), leave out frames that were really turned",)


def check_sizes(files: Sequence[ImageFile]) -> None:
    """Raises ValueError, naming files, sizes and the next step, for a line of pixels and for frames of two sizes."""
    one = files[0]
    if min(one.shape) < _LEAST_SIDE:
        raise ValueError(f"{one.path} is {one.shape[1]} x {one.shape[0]} px, sides of at least {_LEAST_SIDE} px are needed; "
                         "is it an image?")
    for other in files[1:]:
        if other.shape == one.shape:
            continue
        sizes = [f"{item.path} is {item.shape[1]} x {item.shape[0]} px" for item in (one, other)]
        turned = other.shape == one.shape[::-1]
        step = "one is turned on its side, turn its pixels back or leave it out" if turned else \
            "leave out or replace the odd one"
        raise ValueError(f"{' but '.join(sizes)}; all frames of a capture have one size, {step}")


def _kinds(files):
    """A picture among RAW files; those with a RAW file of their own name have been left out before."""
    raws = [item.path.name for item in files if is_raw(item.path)]
    others = [item.path.name for item in files if not is_raw(item.path)]
    if not raws or not others:
        return ""
    return (f"{others[0]} is no RAW file but {raws[0]} is ({len(others)} and {len(raws)} of {len(files)} files), and they "
            "show light differently")


def _values(files, stated) -> tuple[str, ...]:
    """A warning where pictures differ in how their values are read, or in the kind of their numbers; bits alone do not."""
    found = {item.path: encoding_of(item.path, stated) for item in files if not is_raw(item.path)}
    groups = {path: (how.linear, how.floating, path.suffix.lower() == ".npy") for path, how in found.items()}
    if len(set(groups.values())) < 2:
        return ()
    common = Counter(groups.values()).most_common(1)[0][0]
    odd = next(path for path in groups if groups[path] != common)
    one = next(path for path in groups if groups[path] == common)
    fewer = sum(group == groups[odd] for group in groups.values())
    ways = [f"{name.name} as {'linear light' if found[name].linear else 'sRGB'}" for name in (odd, one)]
    differs = f"{' and '.join(ways)}; save all of them alike, or state linear in [camera] of capture.toml" \
        if found[odd].linear != found[one].linear else "by a white level of its own; save all of them alike"
    foreign = "; take it out of the folder if it is no frame of the stack (a mask, a depth map)" \
        if odd.suffix.lower() != one.suffix.lower() and found[odd].kind.endswith(("npy", "TIFF")) else ""
    return (f"{odd.name} is {found[odd].kind} and {one.name} {found[one].kind} ({fewer} and {len(found) - fewer} of "
            f"{len(found)} files), and each is read as its own kind is: {differs}{foreign}",)


def _cameras(settings):
    """The first two frames of different cameras, bodies or lenses; what is unknown differs from nothing."""
    for name, words, shown in (("model", "cameras", lambda one: camera_name(one.make, one.model)),
                               ("serial", "camera bodies", lambda one: f"serial number {one.serial}"),
                               ("lens_model", "lenses", lambda one: one.lens_model)):
        known = [one for one in settings if getattr(one, name)]
        differs = _other_camera if name == "model" else _other_text(name)
        odd = next((one for one in known if differs(known[0], one)), None)
        if odd is not None:
            return (f"{known[0].file} ({shown(known[0])}) and {odd.file} ({shown(odd)}) are of different {words}")
    return ""


def _other_camera(one, other):
    """Another model, or another maker where both are known."""
    (maker, model), (other_maker, other_model) = _camera(one), _camera(other)
    return model != other_model or bool(maker and other_maker and maker != other_maker)


def _camera(one) -> tuple[list[str], list[str]]:
    """First word of the maker, and the model without it: many models begin with the name of their maker."""
    maker, model = _words(one.make)[:1], _words(one.model)
    return maker, model[1:] if maker and model[:1] == maker else model


def _other_text(name):
    return lambda one, other: _words(getattr(one, name)) != _words(getattr(other, name))


def _words(text) -> list[str]:
    return (text or "").casefold().split()


def _zoom(settings, limit):
    """Two frames whose focal lengths in EXIF differ by more than `limit`."""
    known = [one for one in settings if one.focal_length is not None and not stated_by_user(one.focal_length)]
    if not known:
        return ""
    low, high = (pick(known, key=lambda one: one.focal_length.value) for pick in (min, max))
    if high.focal_length.value <= (1 + limit) * low.focal_length.value:
        return ""
    return (f"{low.file} has focal length {low.focal_length.value * 1e3:.4g} mm and {high.file} "
            f"{high.focal_length.value * 1e3:.4g} mm, the zoom moved between them")
