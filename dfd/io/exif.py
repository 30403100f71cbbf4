"""What standard EXIF says of one file: focal length, aperture, exposure, focus distance, pixel pitch; no maker notes.

Exif 2.32 tags through ExifRead, which names them `EXIF FNumber` or, in IFD0 of a DNG, `Image FNumber`: both count.  A
distance from EXIF is measured from the sensor mark.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

from dfd.settings import CameraSettings, Value

_DISTANCE_SIGMA = 0.07  # of the value: makers quantise by 4 to 6 %
_F_NUMBER_SIGMA = 0.034  # third stops, rounded
_PITCH_SIGMA = 0.05  # one source alone; a 35 mm focal length is a rounded integer
_FULL_FRAME_DIAGONAL = 43.267e-3
_DIAGONALS = (4e-3, 60e-3)
_UNITS = {2: 25.4e-3, 3: 1e-2, 4: 1e-3, 5: 1e-6}  # FocalPlaneResolutionUnit -> m
_SAME_SIZE = 0.02
_UNKNOWN_DISTANCE = 0xFFFF  # m; 0xFFFFFFFF and 65535 both mean infinity or unknown
_WARN, _REFUSE = 0.05, 0.15


@dataclass(frozen=True)
class Exif:
    """All values but the pixel pitch are in settings; pitches are its candidates, best first; orientation is 1..8.

    distance_warnings, pitch_warnings   why a value was not used; of interest only where nobody states that value
    """

    settings: CameraSettings
    pitches: tuple[Value, ...]
    orientation: int
    distance_warnings: tuple[str, ...]
    pitch_warnings: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """All of them."""
        return self.distance_warnings + self.pitch_warnings


def read_exif(path, shape: tuple[int, int]) -> Exif:
    """The EXIF of one file whose image is `shape` = (H, W) px; empty where there is none.

    Values that no camera has (focal length 0, f-number below 0.5, distance 0 or infinity code) count as not stated.
    Raises OSError when the file cannot be opened.
    """
    tags = _read_tags(path)
    focal_length, f_number = _number(tags, "FocalLength"), _number(tags, "FNumber")
    if f_number is not None and (f_number < 0.5 or (f_number == 1 and not focal_length)):
        f_number = None
    if focal_length is not None and not focal_length > 0:
        focal_length = None
    distance, warnings = _distance(tags)
    pitches, pitch_warnings = _pitches(tags, focal_length, shape)
    settings = CameraSettings(
        file=Path(path).name, make=_text(tags, "Make"), model=_text(tags, "Model"), lens_model=_text(tags, "LensModel"),
        focal_length=_value(focal_length, 1e-3, None, "EXIF FocalLength"),
        f_number=_value(f_number, 1, _F_NUMBER_SIGMA, "EXIF FNumber"),
        focus_distance=_value(distance, 1, _DISTANCE_SIGMA, "EXIF SubjectDistance"),
        exposure=_value(_positive(tags, "ExposureTime"), 1, None, "EXIF ExposureTime"),
        iso=_value(_positive(tags, "ISOSpeedRatings", "PhotographicSensitivity"), 1, None, "EXIF ISO"),
        distance_from="sensor" if distance is not None else "pupil",
    )
    orientation = _number(tags, "Orientation")
    return Exif(settings, pitches, int(orientation) if orientation in range(1, 9) else 1, warnings, pitch_warnings)


def join_pitches(pitches: tuple[Value, ...]) -> tuple[Value | None, str | None, str | None]:
    """(pixel pitch, warning, conflict) of the candidates: the first, with the spread of two as its sigma.

    Above 5 % of disagreement a warning says so; above 15 % there is no pitch, and the conflict says why.
    """
    if not pitches:
        return None, None, None
    best = pitches[0]
    spread = max(abs(other.value / best.value - 1) for other in pitches)
    if len(pitches) > 1 and spread <= _REFUSE:
        best = Value(best.value, max(spread, 0.005) * best.value, best.source)
    if spread <= _WARN:
        return best, None, None
    told = " but ".join(f"{pitch.value * 1e6:.3g} um ({pitch.source})" for pitch in pitches)
    message = f"pixel pitch {told} differ by {100 * spread:.0f} %"
    advice = "add pixel_pitch_um to [camera] in capture.toml"
    if spread <= _REFUSE:
        return best, f"{message}; the first is used, {advice} to be sure", None
    return None, None, f"{message}, at most {100 * _REFUSE:.0f} % is trusted (a resized or cropped image?); {advice}"


def _read_tags(path) -> dict:
    """All tags by ExifRead's names; {} where it finds none or fails (IndexError, ValueError, EOFError, ...)."""
    import exifread

    logger = logging.getLogger("exifread")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # its remarks reach a log that the user set up, never bare stderr
    with open(path, "rb") as file:
        try:
            return exifread.process_file(file, details=False)
        except Exception:
            return {}


def _tag(tags, name):
    return tags.get(f"EXIF {name}") or tags.get(f"Image {name}")


def _number(tags, name) -> float | None:
    """The first number of a tag; None where it is missing, text, 0/0 or not finite."""
    tag = _tag(tags, name)
    try:
        number = float(tag.values[0])
    except (AttributeError, IndexError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _positive(tags, *names) -> float | None:
    return next((number for name in names if (number := _number(tags, name)) is not None and number > 0), None)


def _text(tags, name) -> str | None:
    tag = _tag(tags, name)
    text = "" if tag is None else "".join(mark for mark in str(tag).strip(" \0") if mark.isprintable()).strip()
    return text or None


def _value(number, scale, share, source) -> Value | None:
    """A Value in SI; share is its sigma as a part of the value, None = not measured."""
    if number is None:
        return None
    return Value(number * scale, None if share is None else share * number * scale, source)


def _distance(tags):
    """SubjectDistance [m] from the sensor mark, or None for 0, infinity and unknown; and what to say of it."""
    distance = _number(tags, "SubjectDistance")
    if distance is None:
        return None, ()
    if distance <= 0 or distance >= _UNKNOWN_DISTANCE:
        return None, (f"EXIF SubjectDistance {distance:g} m is the code for unknown or infinity; it is not used",)
    return distance, ()


def _pitches(tags, focal_length, shape):
    """Candidates for the pixel pitch [m], best first, and why a source was left out."""
    plane, warnings = _focal_plane(tags, shape)
    crop = _crop(tags, focal_length, shape)
    return tuple(pitch for pitch in (plane, crop) if pitch is not None), warnings


def _focal_plane(tags, shape):
    """Pitch from FocalPlaneXResolution, if it counts the pixels of this image and implies a sensor of 4 to 60 mm."""
    resolution = _positive(tags, "FocalPlaneXResolution")
    unit = _UNITS.get(int(_number(tags, "FocalPlaneResolutionUnit") or 2))
    if resolution is None or unit is None:
        return None, ()
    pitch, height, width = unit / resolution, *shape
    stated = _number(tags, "ExifImageWidth")
    other = _positive(tags, "FocalPlaneYResolution")
    diagonal = pitch * math.hypot(width, height)
    reason = None
    if stated is None or min(abs(stated / size - 1) for size in (width, height)) > _SAME_SIZE:
        shown = "unknown" if stated is None else f"{stated:g} px"
        reason = f"it counts an image whose width is {shown}, this one has {width} px"
    elif not _DIAGONALS[0] <= diagonal <= _DIAGONALS[1]:
        reason = f"it implies a sensor diagonal of {diagonal * 1e3:.3g} mm, outside 4 to 60 mm"
    elif other is not None and abs(other / resolution - 1) > _SAME_SIZE:
        reason = f"its x and y values differ by {100 * abs(other / resolution - 1):.0f} %"
    if reason:
        return None, (f"EXIF FocalPlaneXResolution is not used: {reason}",)
    return Value(pitch, _PITCH_SIGMA * pitch, "EXIF FocalPlaneXResolution"), ()


def _crop(tags, focal_length, shape):
    """Pitch from the crop factor, a ratio of diagonals: 43.267 mm / (crop * diagonal in px)."""
    equivalent = _positive(tags, "FocalLengthIn35mmFilm")
    if equivalent is None or focal_length is None:
        return None
    pitch = _FULL_FRAME_DIAGONAL * focal_length / (equivalent * math.hypot(*shape))
    return Value(pitch, _PITCH_SIGMA * pitch, "EXIF FocalLengthIn35mmFilm")
