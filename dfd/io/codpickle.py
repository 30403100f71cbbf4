"""Pickles of the published captures of coupled optical differentiation as a sequence of quadruples.

Layout (Luo, Liu, Alexander, Guo, IJCV 2025, released code): list[i][aperture 0..2][power 0..2] of {"Img": (H, W), "OP",
"Sigma", "Loc"}; i is a place of the target on its slide.  The quadruple of i: power -+ at the middle aperture, [1][0] and
[1][2], and aperture -+ at the middle power, [0][1] and [2][1].

    optical power   = OP + 8.9 dioptre, a fit;   pupil radius = Sigma, in m or mm, whichever makes it 0.1 to 100 mm
    image distance  = 110.0 mm;   pixel pitch = 5.86 um (that of a sibling rig), 4 x 4 pixels averaged to one
    true depth      = 0.93 m + Loc * 4e-7 m

Every number may be stated in a capture.toml beside the pickle: [camera] image_distance_mm, pixel_pitch_um, psf, psf_core_px,
black_level, white_level, gain_e_per_dn, read_noise_e and [cod] power_offset_dpt, aperture_unit_mm, slide_zero_m,
slide_step_m, binning.  All shots have one exposure, so an image is as bright as its pupil is large.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from dfd.io.frames import Frame
from dfd.io.inputs import Inputs
from dfd.io.keys import ROLES
from dfd.io.pages import Pages
from dfd.io.quadruples import KIND, Quadruples, of_planes, reduction_to
from dfd.io.sidecar import NAME, Sidecar, read_sidecar
from dfd.io.sources import Source, find_profile
from dfd.io.stored import Stored
from dfd.io.unpickle import unpickle
from dfd.psf import Psf
from dfd.settings import CameraSettings, Value

_NUMBERS = ("OP", "Sigma", "Loc")
_LAYOUT = "every item of the published layout has 3 x 3 dicts of Img, OP, Sigma and Loc"

_PLACES = {"power-minus": (1, 0), "power-plus": (1, 2), "aperture-minus": (0, 1), "aperture-plus": (2, 1)}
"""Role -> (aperture, power) in the layout."""

_DEFAULTS = {"power_offset": 8.9, "slide_zero": 0.93, "slide_step": 4e-7, "binning": 4.0}
_CAMERA = {"image_distance": 0.110, "pixel_pitch": 5.86e-6}
_LARGEST_RADIUS_M, _SAME = 0.1, 1e-6
_UNITS = {1.0: "m", 1e-3: "mm"}
_WHITES = (1.0, 255.0, 1023.0, 4095.0, 65535.0)
"""Levels at which cameras end: white of floats that do not say is the least that holds the first quadruple."""


def open_pickle(path, *, lens=None, preview: int | None = None) -> Quadruples:
    """The sequence in a pickle of the published layout; nothing in it is run, see `dfd.io.unpickle`.

    lens   a LensProfile or the path of one;   preview   px: images are reduced further, to at most this
    Raises OSError for a file that is damaged, holds anything but plain values or another layout, ValueError for numbers that
    do not fit.
    """
    path = Path(path)
    layout = unpickle(path)
    beside = path.parent / NAME
    sidecar = read_sidecar(beside) if beside.is_file() else Sidecar(beside)
    if sidecar.frames or sidecar.folders:
        raise ValueError(f"{beside}: [[frames]] and folders are of images, {path.name} is a pickle; leave them out")
    if not isinstance(layout, list) or not layout:
        raise OSError(f"{path}: {_kind(layout)} instead of list[i][aperture][power], the published layout of captures; "
                      "save it so")
    numbers = _DEFAULTS | sidecar.cod
    shots = [[_shot(path, layout, index, role) for role in ROLES] for index in range(len(layout))]
    _check_still(path, shots)
    planes = [_planes(path, [shot[place] for shot in shots], role) for place, role in enumerate(ROLES)]
    source = _source(path, sidecar, shots[0], planes, numbers, find_profile(lens, Inputs((path,), (None,), sidecar, ())))
    binning = round(numbers["binning"])
    binned = tuple(length // binning for length in planes[0].shape)
    if min(binned) < 1:
        height, width = planes[0].shape
        raise ValueError(f"{path}: binning ({binning} px) must fit into its pictures, {width} x {height} px; state less")
    return of_planes(source, planes, tuple(f"item {index}" for index in range(len(layout))),
                     (path, *([beside] if beside.is_file() else [])), reduction=binning * reduction_to(binned, preview),
                     areas=True, truths=_truths(shots, numbers))


def _shot(path, layout, index, role):
    """The dict of one role of one item, its numbers as floats."""
    aperture, power = _PLACES[role]
    place = f"{path}: [{index}][{aperture}][{power}]"
    try:
        shot = layout[index][aperture][power]
    except (LookupError, TypeError) as error:
        raise OSError(f"{place} has no shot; {_LAYOUT}") from error
    if not isinstance(shot, dict):
        raise OSError(f"{place} is {_kind(shot)}; {_LAYOUT}")
    lack = next((name for name in ("Img", *_NUMBERS) if name not in shot), None)
    if lack is not None:
        raise OSError(f"{place} has no {lack!r}; {_LAYOUT}")
    picture, found = shot["Img"], {name: _number(shot[name]) for name in _NUMBERS}
    bad = next((name for name, value in found.items() if value is None or not math.isfinite(value)), None)
    if bad is not None:
        raise OSError(f"{place}: {bad} is no finite number")
    if not isinstance(picture, Stored) or len(picture.shape or ()) != 2:
        raise OSError(f"{place}: Img is no grey picture (H, W); colours and lists are not read")
    if picture.place is None:
        height, width = picture.shape
        raise OSError(f"{place}: Img, {width} x {height} px of {picture.dtype}, is too small to show depth; save the whole "
                      "picture, at least 20 px to a side after binning")
    return found | {"Img": picture}


def _number(item):
    """A float; None for what is none or too large for one."""
    if isinstance(item, Stored):
        return item.number()
    try:
        return float(item) if isinstance(item, (int, float)) and not isinstance(item, bool) else None
    except OverflowError:
        return None


def _kind(item):
    if item is None:
        return "None"
    return "an array" if isinstance(item, Stored) else "an empty list" if item == [] else f"a {type(item).__name__}"


def _check_still(path, shots):
    """One power and one aperture per role in all items: only the target moves."""
    for index, quadruple in enumerate(shots):
        for role, shot, first in zip(ROLES, quadruple, shots[0], strict=True):
            for name in ("OP", "Sigma"):
                if not math.isclose(shot[name], first[name], rel_tol=_SAME):
                    raise ValueError(f"{path}: {name} of {role} is {shot[name]:g} in item {index} but {first[name]:g} in "
                                     "item 0; a sequence keeps its optics, split the pickle")


def _planes(path, shots, role) -> Pages:
    """The pictures of one role."""
    first = shots[0]["Img"]
    for index, shot in enumerate(shots):
        if (shot["Img"].shape, shot["Img"].dtype) != (first.shape, first.dtype):
            here, there = (f"{item.shape[1]} x {item.shape[0]} px of {item.dtype}" for item in (shot["Img"], first))
            raise OSError(f"{path}: {role} of item {index} is {here}, that of item 0 {there}; all pictures of a sequence "
                          "have one size and type")
    if first.dtype.kind not in "uf":
        raise OSError(f"{path}: pictures of type {first.dtype} are no light; save unsigned integers or floats")
    return Pages(first.shape, first.dtype, tuple(shot["Img"].place for shot in shots))


def _source(path, sidecar, shots, planes, numbers, profile) -> Source:
    """What is known of the four shots: the pickle, capture.toml, else the published numbers."""
    published = {name: Value(value, None, "published rig") for name, value in _CAMERA.items()}
    shared = published | {name: value for name, value in sidecar.values.items() if name in published}
    unit, warning = _unit(path, shots, numbers)
    radius = f"Sigma, a radius in {_UNITS.get(unit) or f'{unit * 1e3:g} mm'}"
    white = _white(path, planes)
    white = white if sidecar.white_level is None else sidecar.white_level
    offset, told = numbers["power_offset"], (warning,) if warning else ()
    if "power_offset" not in sidecar.cod:
        told += (f"optical power is OP + {offset:g} dioptre, a fit to the published rig, so all depths may be off by a "
                 "constant in dioptres; state power_offset_dpt in [cod] of capture.toml",)
    frames = []
    for role, shot in zip(ROLES, shots, strict=True):
        own = {"power": Value(shot["OP"] + offset, None, f"OP + {offset:g}"),
               "pupil_diameter": Value(2 * unit * abs(shot["Sigma"]), None, radius)}
        settings = CameraSettings(file=f"{path.name} {role}", **shared, **own)
        frames.append(Frame(path, settings, True if sidecar.linear is None else sidecar.linear, sidecar.black_level, white,
                            role=role))
    return Source(kind=KIND, frames=tuple(frames), reference=0, profile=profile,
                  psf=Psf(sidecar.psf or "disk", sidecar.psf_core_px or 0.0), gain_e_per_dn=sidecar.gain_e_per_dn,
                  read_noise_e=sidecar.read_noise_e, side=None, kappa=None, scale="metric", missing=(), warnings=told,
                  order="file")


def _unit(path, shots, numbers):
    """(metres per unit of Sigma, what to know of it): as stated, else whichever of m and mm is a pupil."""
    if "aperture_unit" in numbers:
        return numbers["aperture_unit"], ""
    sigma = max(abs(shot["Sigma"]) for shot in shots)
    unit = 1.0 if sigma < _LARGEST_RADIUS_M else 1e-3
    return unit, (f"{path.name}: Sigma of up to {sigma:g} is read as the radius of the pupil in {_UNITS[unit]}; state "
                  "aperture_unit_mm in [cod] of capture.toml if it is not")


def _white(path, planes):
    """White of floats: see _WHITES; None lets integers speak for themselves.  Raises ValueError where nothing is light."""
    if planes[0].dtype.kind != "f":
        return None
    room, most = np.empty(planes[0].shape, planes[0].dtype.newbyteorder("=")), 0.0
    for role, pages in zip(ROLES, planes, strict=True):
        pages.read(0, room)
        largest = float(np.fmax.reduce(room, axis=None))
        if not math.isfinite(largest):
            raise ValueError(f"{path}: the picture of {role} in item 0 holds {largest:g}, no light; save finite numbers, "
                             "NaN for single pixels that are unknown")
        most = max(most, largest)
    return next((white for white in _WHITES if most <= white), most)


def _truths(shots, numbers):
    """Depth of the target [m] in every item."""
    return tuple(numbers["slide_zero"] + numbers["slide_step"] * quadruple[0]["Loc"] for quadruple in shots)
