"""`dfd lightfield`: which options fit each other, the files and the scene; a message names them as they are typed."""

from __future__ import annotations

import math

import numpy as np

from dfd.io.lightfield import find_layout
from dfd.io.viewgrids import LENSLET

_MOST_BYTES, _LEAST_WELL, _MOST_WELL = 16e9, 100.0, 1e9  # of the frames; full well [electrons] that a sensor may have
_LOST = 0.01  # share of the known disparities beyond infinity that is worth a word
_FREE = ("focal-stack", "dual-pixel")  # kinds that need no range of the scene where the focus is given
_TABLE = "name a disparity file in [disparity] of a lightfield.toml"


def check_lytro(path, given: dict) -> None:
    """Raises ValueError for options that a processed Lytro picture cannot follow.

    given   option as typed -> its value, None where it is not given
    """
    asked = [f"{option} ({value})" for option, value in given.items() if value is not None]
    if asked:
        raise ValueError(f"{path}: {', '.join(asked)} cannot be had from a processed Lytro picture, whose slices are "
                         f"written as they are; leave {'it' if len(asked) == 1 else 'them'} out")


def check_layout(path, layout: str, grid: str | None, central: int | None) -> str:
    """The layout of the files.  Raises ValueError for an option of another layout, or an impossible number of views."""
    if grid is None and central is None:
        return layout
    found = find_layout(path) if layout == "auto" else layout
    for option, value, only in (("--grid", grid, "tiles"), ("--central", central, "lenslet")):
        if value is not None and found != only:
            raise ValueError(f"{option} ({value}) is for layout {only}; {path} has layout {found}: leave {option} out, or "
                             f"say --layout {only}")
    if central is not None and (central % 2 == 0 or not 3 <= central <= LENSLET):
        raise ValueError(f"--central ({central}) must be odd, at least 3 and at most the {LENSLET} px of a micro-image; "
                         "give 7 or 9")
    return found


def check_asked(kind: str, frames: int | None, focus: list[float] | None, noise: float, densify: int | None) -> None:
    """Raises ValueError for numbers that no capture of a kind can have.  focus   [m];   noise   full well [electrons]"""
    if densify is not None and densify % 2 == 0:
        raise ValueError(f"--densify ({densify}) must be odd, so that one of the views is the reference; give {densify + 1}")
    if noise and not _LEAST_WELL <= noise <= _MOST_WELL:
        raise ValueError(f"--noise ({noise:g} electrons of full well) must be 0 for none, or {_LEAST_WELL:g} to "
                         f"{_MOST_WELL:g}; a small sensor has 5000, a large one 50000")
    if kind == "focal-stack":
        _check_sweep(frames, focus)
        return
    if frames is not None:
        raise ValueError(f"--frames ({frames}) is for a focal stack; kind {kind} has its own number of images")
    if focus is not None and len(focus) != 1:
        raise ValueError(f"--focus ({len(focus)} distances): kind {kind} is focused once; give one distance in metres")


def _check_sweep(frames, focus):
    if focus is None:
        return
    if frames not in (None, len(focus)):
        raise ValueError(f"--frames ({frames}) and --focus ({len(focus)} distances) disagree; leave --frames out")
    if len(focus) < 2:
        raise ValueError(f"--focus ({focus[0]:g} m) is one distance, and a focal stack has at least two; give more, such as "
                         "0.9,1.1, or --frames N without --focus")
    double = [distance for index, distance in enumerate(focus) if distance in focus[:index]]
    if double:
        raise ValueError(f"--focus holds {double[0]:g} m twice, and every frame of a focal stack has its own distance; "
                         "leave one of them out")


def check_assumed(field, camera: str) -> None:
    """Raises ValueError where --camera assumed has no disparity to place the scene by."""
    if camera == "assumed" and not field.knows_depth:
        raise ValueError(f"{_called(field)} has no disparity, by which --camera assumed places the scene; {_TABLE}, or pass "
                         "--camera FILE of a parameters.cfg")


def check_camera(field) -> None:
    """Raises ValueError without a camera: then there is no capture."""
    if field.camera is None:
        raise ValueError(f"{_called(field)}: no camera in its files, so no metric depth and no capture; "
                         "pass --camera assumed, or --camera FILE of a parameters.cfg, or compare its disparity")


def check_scene(field, kind: str, *, frames, pupils, focus, densify) -> None:
    """Raises ValueError for pictures that this light field cannot give, or that no memory holds."""
    if not field.knows_depth and densify is not None:
        raise ValueError(f"--densify ({densify}) moves views by the disparity, and {_called(field)} has no disparity; "
                         f"{_TABLE}, or leave --densify out")
    if not field.knows_depth and (focus is None or kind not in _FREE):
        raise ValueError(f"{_called(field)} has no disparity, so the range of its scene is unknown; {_TABLE}, or give "
                         f"--focus with --kind {' or '.join(_FREE)}")
    if pupils is not None and len(pupils) != (2 if kind == "aperture-pair" else 1):
        raise ValueError(f"{len(pupils)} pupils given, kind {kind} takes {2 if kind == 'aperture-pair' else 1}; separate "
                         "two by a comma, widest first")
    if kind == "aperture-pair" and pupils is not None and not pupils[0] > pupils[1]:
        raise ValueError(f"pupils of {pupils[0]:.4g} and {pupils[1]:.4g} view steps: an aperture pair has the wide one "
                         "first, that is the larger --pupil or the smaller --f-number")
    count, (height, width) = len(focus) if focus else frames or 0, field.shape
    if 4.0 * count * height * width > _MOST_BYTES:
        raise ValueError(f"{'--focus' if focus else '--frames'} ({count}) makes frames of {width} x {height} px, "
                         f"{4e-9 * count * height * width:.3g} GB together; at most {_MOST_BYTES / 1e9:g} GB: take "
                         f"{int(_MOST_BYTES / (4 * height * width))} frames or fewer")
    if kind == "aperture-pair" and focus is not None:
        near, far = _range(field)
        if near < focus[0] < far:
            raise ValueError(f"--focus ({focus[0]:g} m) lies within the scene ({near:.4g} to {far:.4g} m): an aperture pair "
                             f"cannot tell the sides of its focus apart; choose below {near:.4g} or above {far:.4g} m")


def lost(field) -> str | None:
    """The warning of depth that a camera cannot see, from the share of known disparities beyond infinity."""
    if field.camera is None or not field.knows_depth:
        return None
    known = np.isfinite(field.disparity)
    share = float((field.camera.inverse_depth(field.disparity[known]) <= 0).mean())
    if share <= _LOST:
        return None
    return (f"{share:.1%} of the known disparities lie beyond infinity for this camera: their depth is unknown in the "
            "truth; is the sign reversed (--flip uv), or the camera another one (--camera)?")


def beyond(field, kind: str, focus: list[float] | None) -> str | None:
    """The warning of pictures that are all focused outside the scene.

    A pair must be: it may lie as far outside as the scene is deep, in dioptres.
    """
    if focus is None or not field.knows_depth:
        return None
    near, far = _range(field)
    pair = kind == "aperture-pair"
    room = 1 / near - 1 / far if pair else 1e-9 / near
    if 1 / min(focus) < 1 / far - room:
        side = "beyond"
    elif 1 / max(focus) > 1 / near + room:
        side = "before"
    else:
        return None
    said = f"{min(focus):.4g} to {max(focus):.4g}" if len(focus) > 1 else f"{focus[0]:.4g}"
    return (f"focus {said} m lies {'far ' if pair else ''}{side} the scene ({near:.4g} to {far:.4g} m), nothing is sharp; "
            f"choose --focus {'closer to' if pair else 'within'} it")


def _range(field):
    """(nearest, farthest) of the scene [m]."""
    low, high = field.disparity_range
    near, far = (field.camera.inverse_depth(disparity) for disparity in (high, low))
    return 1 / near, 1 / far if far > 0 else math.inf


def _called(field):
    return f"light field {field.name}" if field.name else "the light field"
