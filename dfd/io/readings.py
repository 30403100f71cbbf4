"""What one reader says of one file, whichever reader it was: EXIF numbers judged, each with its sigma and its source.

Exif 2.32 and 3.0.  A distance in EXIF or in a maker note is measured from the sensor mark.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dfd.io.keys import CAMERA
from dfd.io.makernotes import SEED_SIGMA, plain_distance
from dfd.io.pitch import Grid, Number, find_pitches
from dfd.settings import CameraSettings, Value

_F_NUMBER_SIGMA = 0.034  # third stops, rounded
_ISO_FULL = 65535  # what a tag of 16 bits says of any ISO above

_TEXTS = {"make": "Make", "model": "Model", "lens_model": "LensModel", "serial": "BodySerialNumber"}
_LONGEST = 80  # characters of a name

_LIMITS = {
    "FocalLength": ("focal_length", "mm", CAMERA["focal_length_mm"].least, CAMERA["focal_length_mm"].most),
    "FNumber": ("f_number", "", CAMERA["f_number"].least, CAMERA["f_number"].most),
    "ExposureTime": ("exposure", "s", 1e-7, 1e5),
    **dict.fromkeys(("ISOSpeedRatings", "PhotographicSensitivity", "RecommendedExposureIndex", "ISOSpeed"),
                    ("iso", "", 1, 1e7)),
}
"""Tag -> its field, its unit, and between which numbers a camera may lie."""

Text = Callable[[str], str | None]
"""EXIF tag name -> its text; None where the file has none."""


@dataclass(frozen=True)
class Reading:
    """settings holds every value but the pixel pitch; pitches are its candidates, best first; orientation is 1..8.

    remarks   (field, why a value was not used); of interest only where nobody states that field
    """

    settings: CameraSettings
    pitches: tuple[Value, ...] = ()
    orientation: int | None = None
    remarks: tuple[tuple[str, str], ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The texts of all remarks."""
        return tuple(text for _, text in self.remarks)


def judge(number: Number, text: Text, *, file: str, label: str, grid: Grid) -> Reading:
    """The reading of one file out of its standard EXIF tags, by their Exif names.

    label   how the source of a value begins: "EXIF", "rawpy", "exiftool"
    Values that no camera has (focal length 0 or 10 km, f-number below 0.5, ISO 65535, infinite distance) count as not
    stated: silently where they are a maker's word for unknown, 0 or ISO 65535, else with a remark.
    """
    distance, told = judged_distance(number("SubjectDistance"), f"{label} SubjectDistance")
    number, odd = _believable(_finite(number), label)
    focal_length, f_number = _positive(number, "FocalLength"), number("FNumber")
    if f_number is not None and (f_number <= 0 or (f_number == 1 and not focal_length)):
        f_number = None  # f-number 1 without a focal length is what a body writes of a lens that it does not know
    focal_length = None if focal_length is None else focal_length * 1e-3
    pitches, remarks = find_pitches(number, focal_length, grid, label)
    pitch_remarks = tuple(("pixel_pitch", told) for told in remarks)
    iso = next((value for name in ("ISOSpeedRatings", "PhotographicSensitivity", "RecommendedExposureIndex", "ISOSpeed")
                if (value := _positive(number, name)) is not None and value != _ISO_FULL), None)
    orientation = number("Orientation")
    settings = CameraSettings(
        file=file, **{field: (text(name) or "")[:_LONGEST] or None for field, name in _TEXTS.items()},
        focal_length=_value(focal_length, None, f"{label} FocalLength"),
        f_number=_value(f_number, _F_NUMBER_SIGMA, f"{label} FNumber"),
        focus_distance=distance, distance_from="pupil" if distance is None else "sensor",
        exposure=_value(_positive(number, "ExposureTime"), None, f"{label} ExposureTime"),
        iso=_value(iso, None, f"{label} ISO"))
    return Reading(settings, pitches, int(orientation) if orientation in range(1, 9) else None, told + odd + pitch_remarks)


def distance_reading(file: str, distance, source: str) -> Reading:
    """The reading of a maker note: a distance [m], or (distance, 1-sigma) [m], inf or None."""
    value, sigma = distance if isinstance(distance, tuple) else (distance, None)
    if value is None:
        return Reading(CameraSettings(file=file))
    found, told = judged_distance(value, source)
    if found is not None and sigma is not None:
        found = Value(value, sigma, source)
    return Reading(CameraSettings(file=file, focus_distance=found, distance_from="sensor"), remarks=told)


def judged_distance(metres: float | None, source: str):
    """(Value or None for 0, infinity and unknown; the remark of it)."""
    distance = None if metres is None else plain_distance(metres)
    if distance is not None and math.isfinite(distance):
        return _value(distance, SEED_SIGMA, source), ()
    told = () if metres is None else (
        ("focus_distance", f"{source} {metres:g} m is the code for unknown or infinity; it is not used"),)
    return None, told


def _finite(number: Number) -> Number:
    """Only a distance may be infinite."""
    def finite(name):
        value = number(name)
        return value if value is not None and math.isfinite(value) else None
    return finite


def _believable(number: Number, label: str):
    """(the numbers without those outside _LIMITS, the remark on each); zero and less say nothing and get none."""
    odd = {name: value for name in _LIMITS if (value := number(name)) is not None
           and value > 0 and not _LIMITS[name][2] <= value <= _LIMITS[name][3]}
    told = tuple((_LIMITS[name][0], f"{label} {name} ({value:g} {_LIMITS[name][1]}".rstrip() + ") is not used: it must lie "
                  f"between {_LIMITS[name][2]:g} and {_LIMITS[name][3]:g}") for name, value in odd.items())
    return lambda name: None if name in odd else number(name), told


def _positive(number, name) -> float | None:
    value = number(name)
    return value if value is not None and value > 0 else None


def _value(number, share, source) -> Value | None:
    """A Value; share is its sigma as a part of the value, None = not measured."""
    return None if number is None else Value(number, None if share is None else share * number, source)
