"""The keys of capture.toml: what each holds, in which unit, and between which limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dfd.capture import AXES, CAPTURES
from dfd.psf import MODELS
from dfd.settings import DISTANCE_ORIGINS

SIDES = ("near", "far")
VIEWS = ("left", "right")
ROLES = ("power-minus", "power-plus", "aperture-minus", "aperture-plus")


@dataclass(frozen=True)
class Number:
    """A key that holds a number: its CameraSettings field (or our own name), unit, SI scale and allowed range."""

    field: str
    unit: str
    scale: float = 1.0
    least: float = -math.inf
    most: float = math.inf
    positive: bool = True
    infinite: bool = False


@dataclass(frozen=True)
class Word:
    """A key that holds one of some words; any text where choices is empty."""

    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flag:
    """A key that is true or false."""


@dataclass(frozen=True)
class Levels:
    """A key that holds one number or one per CFA channel, in file units."""


_F_NUMBER = Number("f_number", "", least=0.5, most=1000)

_LENGTHS = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}

TOP = {
    "kind": Word(tuple(CAPTURES)),
    "distance_from": Word(DISTANCE_ORIGINS),
    "lens": Word(),
    "side": Word(SIDES),
    "folders": Word(),
    "swap": Flag(),
    "axis": Word(AXES),
    "y_scale": Number("y_scale", "", least=0.1, most=10),
}
# Focal length, image distance and pupil (of FRAME): from endoscopes to long telescopes.  Pixel pitch: below the smallest
# phone pixel (0.5 um); above the largest pixel of astronomy, or one binned 8 x 8.
CAMERA = {
    "focal_length_mm": Number("focal_length", "mm", 1e-3, least=0.5, most=3000),
    "f_number": _F_NUMBER,
    "pixel_pitch_um": Number("pixel_pitch", "um", 1e-6, least=0.3, most=100),
    "linear": Flag(),
    "black_level": Levels(),
    "white_level": Number("white_level", "in file units"),
    "image_distance_mm": Number("image_distance", "mm", 1e-3, least=0.5, most=100000),
    "psf": Word(tuple(name for name in MODELS if not name.startswith("half"))),
    "psf_core_px": Number("psf_core_px", "px", least=0, most=100, positive=False),
    "kappa": Number("kappa", "", most=10),
    "gain_e_per_dn": Number("gain_e_per_dn", "e-/DN"),
    "read_noise_e": Number("read_noise_e", "e-", least=0, positive=False),
}
COD = {
    "power_offset_dpt": Number("power_offset", "dioptre", positive=False),
    "aperture_unit_mm": Number("aperture_unit", "mm", 1e-3, least=1e-3, most=1000),
    "slide_zero_m": Number("slide_zero", "m", positive=False),
    "slide_step_m": Number("slide_step", "m", positive=False),
    "binning": Number("binning", "px", least=1, most=64),
}
FRAME = {
    "file": Word(),
    "focus_distance_m": Number("focus_distance", "m", infinite=True),
    "focus_dpt": Number("focus", "dioptre", positive=False),
    "focus_coordinate": Number("focus_coordinate", "", positive=False),
    "stage_position_mm": Number("stage_position", "mm", 1e-3, positive=False),
    "f_number": _F_NUMBER,
    "pupil_diameter_mm": Number("pupil_diameter", "mm", 1e-3, least=0.05, most=100000),
    "power_dpt": Number("power", "dioptre"),
    "exposure_s": Number("exposure", "s"),
    "iso": Number("iso", ""),
    "reference": Flag(),
    "black_level": Levels(),
    "white_level": Number("white_level", "in file units"),
    "white_sheet": Word(),
    "view": Word(VIEWS),
    "role": Word(ROLES),
}
KNOWN_DEPTH = {
    "x_px": Number("x_px", "px", positive=False),
    "y_px": Number("y_px", "px", positive=False),
    "depth_m": Number("depth_m", "m", infinite=True),
    "radius_px": Number("radius_px", "px", most=10000),
}


def to_si(name: str, value, row: Number) -> float:
    """The number that a key holds, in SI.

    name   of the key as the user finds it, file included;   value   as it stands in the file
    Raises ValueError, naming key, value and unit, for what is no number or no number of this quantity.
    """
    unit = f" {row.unit}" if row.unit else ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} ({shortened(value)}) must be a number{' in' + unit if unit else ''}, without quotes")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    shown = f"{name} ({number:g}{unit})"
    if math.isnan(number) or (math.isinf(number) and not (row.infinite and number > 0)):
        raise ValueError(f"{shown} must be a finite number; correct it or remove the line")
    if row.positive and not number > 0:
        raise ValueError(f"{shown} must be positive; correct it or remove the line")
    if number < row.least or (number > row.most and not math.isinf(number)):
        raise ValueError(f"{shown} must lie between {max(row.least, 0):g} and {row.most:g}{unit}; {_slip(number, row)}")
    return number * row.scale


def shortened(value) -> str:
    """A value of the file as it is shown in a message."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _slip(number, row) -> str:
    """The unit in which the number would be plausible: a question and its answer."""
    for unit, metres in _LENGTHS.items() if row.unit in _LENGTHS else ():
        meant = number * metres / row.scale
        if max(row.least, 0) < meant <= row.most:
            return f"is it in {unit}? then write {meant:.6g}"
    return "is the unit right?"
