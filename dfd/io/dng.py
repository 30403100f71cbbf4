"""Write sensor codes as an uncompressed DNG whose EXIF carries the optics: RAW input for simulations and tests.

Adobe DNG 1.4, tags by number; the optics stand in IFD0, so every EXIF reader finds them.  What is written comes back
bit-exactly as the visible frame of LibRaw.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from dfd.settings import CameraSettings

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")
"""Bayer patterns, row by row."""

XTRANS = "GBGGRG" "RGRBGB" "GBGGRG" "GRGGBG" "BGBRGR" "GRGGBG"
"""The 6 x 6 px of Fuji's X-Trans, row by row."""

_LAYOUTS = {**{pattern: pattern for pattern in PATTERNS}, "XTRANS": XTRANS, "LINEAR": ""}
_CFA, _LINEAR_RAW = 32803, 34892  # PhotometricInterpretation
_COUNTS = {3: "three, R, G, B", 4: "four, one per place of the pattern", 36: "36, one per place of the pattern"}
_SHORT, _LONG, _BYTE, _ASCII, _RATIONAL, _SRATIONAL = 3, 4, 1, 2, 5, 10
_SMALLEST = 22  # LibRaw calls anything smaller "not a RAW file"
_CENTIMETRE = 3  # FocalPlaneResolutionUnit
_INFINITY = (0xFFFFFFFF, 1)  # EXIF's code for an infinite SubjectDistance


def write_dng(path, codes, *, black_level, white_level, settings: CameraSettings | None = None, pattern="RGGB",
              second=None):
    """Write `codes`, uint16 DN, as a DNG that any RAW reader opens; return the path.

    codes         (H, W) of a mosaic, (H, W, 3) of a linear (already demosaiced) image
    black_level   DN, one number, or one per place of the pattern (row by row), or R, G, B of a linear image
    white_level   DN, above every black level; no pixel may exceed the bit depth that holds it (16383: 14 bit)
    settings      make, model, lens_model, focal_length, f_number (or pupil_diameter), exposure, iso, pixel_pitch and
                  focus_distance (or focus) become EXIF tags; SubjectDistance is written from the sensor mark, as
                  cameras do, so a distance from the pupil is converted with the nominal lens
    pattern       one of PATTERNS, "XTRANS", or "LINEAR" for (H, W, 3)
    second        like `codes`, a second frame with the same levels: one half of each pixel of a dual-pixel RAW
    Raises TypeError for another dtype or shape, ValueError for levels, pattern or pixels that do not fit.
    """
    import tifffile

    if pattern not in _LAYOUTS:
        raise ValueError(f"pattern ({pattern!r}) must be one of {', '.join(_LAYOUTS)}")
    layout = _LAYOUTS[pattern]
    black = _levels(black_level, white_level, len(layout) or 3)
    codes = _checked(codes, layout, white_level)
    if second is not None:
        second = _checked(second, layout, white_level)
        if second.shape != codes.shape:
            raise ValueError(f"second ({second.shape[1]} x {second.shape[0]} px) must have the size of codes, "
                             f"{codes.shape[1]} x {codes.shape[0]} px: both frames are of the same pixels")
    tags = _dng_tags(black, int(white_level), layout) + _optics_tags(settings or CameraSettings(), codes.shape)
    photometric = _CFA if layout else _LINEAR_RAW
    with tifffile.TiffWriter(path) as file:
        for frame in (codes,) if second is None else (codes, second):
            file.write(frame, photometric=photometric, metadata=None, software="dfd", extratags=sorted(tags))
    return Path(path)


def _checked(codes, layout, white_level):
    """The codes of one frame as an array.  Raises as `write_dng` does."""
    codes = np.asarray(codes)
    shape = "(H, W)" if layout else "(H, W, 3)"
    if codes.dtype != np.uint16 or codes.ndim != shape.count(",") + 1 or codes.shape[2:] not in ((), (3,)):
        raise TypeError(f"codes ({codes.dtype}, shape {codes.shape}) must be a {shape} uint16 array of raw DN")
    if min(codes.shape[:2]) < _SMALLEST:
        raise ValueError(f"codes ({codes.shape[1]} x {codes.shape[0]} px) must be at least {_SMALLEST} px each way: "
                         "RAW readers refuse smaller files; use TIFF instead")
    ceiling = (1 << int(white_level).bit_length()) - 1
    if int(codes.max()) > ceiling:
        raise ValueError(f"codes: maximum {int(codes.max())} DN exceeds {ceiling} DN, the bit depth that holds "
                         f"white_level ({white_level:g} DN); clip the pixels first")
    return codes


def _levels(black_level, white_level, count) -> tuple[int, ...]:
    """Black level as one or `count` integers, checked against white."""
    black = tuple(float(level) for level in np.atleast_1d(black_level))
    if len(black) not in (1, count):
        raise ValueError(f"black_level ({len(black)} numbers) must be one number or {_COUNTS[count]}")
    if any(level != int(level) for level in (*black, white_level)):
        raise ValueError(f"black_level {black} and white_level ({white_level:g}) must be whole DN")
    if not 0 <= min(black) <= max(black) < white_level <= 65535:
        raise ValueError(f"black_level {black} and white_level ({white_level:g} DN) must satisfy "
                         "0 <= black < white <= 65535 DN")
    return tuple(int(level) for level in black)


def _dng_tags(black: tuple[int, ...], white: int, layout: str) -> list[tuple]:
    """Tags that make a TIFF a DNG; layout: the colours of the pattern row by row, "" for none."""
    identity = [10000 if i % 4 == 0 else 0 for i in range(9)]
    samples = 1 if layout else 3
    black = black * samples if len(black) < samples else black
    tags = [
        _tag(50706, _BYTE, 4, bytes((1, 4, 0, 0))),  # DNGVersion
        _tag(50707, _BYTE, 4, bytes((1, 1, 0, 0))),  # DNGBackwardVersion
        _tag(50714, _SHORT, len(black), black if len(black) > 1 else black[0]),  # BlackLevel
        _tag(50717, _SHORT, samples, (white,) * samples if samples > 1 else white),  # WhiteLevel
        _tag(50721, _SRATIONAL, 9, [number for value in identity for number in (value, 10000)]),  # ColorMatrix1
        _tag(50778, _SHORT, 1, 21),  # CalibrationIlluminant1: D65
        _tag(50728, _RATIONAL, 3, (1, 1, 1, 1, 1, 1)),  # AsShotNeutral
    ]
    if layout:
        period = math.isqrt(len(layout))
        tags.append(_tag(33421, _SHORT, 2, (period, period)))  # CFARepeatPatternDim
        tags.append(_tag(33422, _BYTE, len(layout), bytes("RGB".index(colour) for colour in layout)))  # CFAPattern
        if len(black) > 1:
            tags.append(_tag(50713, _SHORT, 2, (period, period)))  # BlackLevelRepeatDim
    return tags


def _optics_tags(settings: CameraSettings, shape: tuple[int, int]) -> list[tuple]:
    """EXIF tags of every value that the settings hold."""
    make, model = settings.make or "dfd", settings.model or "simulated camera"
    tags = [
        _text(271, make),
        _text(272, model),
        _text(50708, f"{make} {model}"),  # UniqueCameraModel
        _tag(40962, _LONG, 1, shape[1]),  # ExifImageWidth
        _tag(40963, _LONG, 1, shape[0]),  # ExifImageLength
    ]
    if settings.lens_model:
        tags.append(_text(42036, settings.lens_model))
    if settings.iso:
        tags.append(_tag(34855, _LONG, 1, round(settings.iso.value)))
    if settings.exposure:
        tags.append(_ratio(33434, settings.exposure.value))
    if settings.focal_length:
        tags.append(_ratio(37386, settings.focal_length.value * 1e3))
    f_number = _f_number(settings)
    if f_number:
        tags.append(_ratio(33437, f_number))
    distance = _sensor_distance(settings)
    if distance:
        value = _INFINITY if math.isinf(distance) else _rational(distance)
        tags.append(_tag(37382, _RATIONAL, 1, value))  # SubjectDistance, m
    if settings.pixel_pitch:
        per_centimetre = _rational(0.01 / settings.pixel_pitch.value)
        tags += [_tag(41486, _RATIONAL, 1, per_centimetre), _tag(41487, _RATIONAL, 1, per_centimetre)]
        tags.append(_tag(41488, _SHORT, 1, _CENTIMETRE))
    return tags


def _f_number(settings: CameraSettings) -> float | None:
    """The f-number stated, or the one that the pupil and the focal length make."""
    if settings.f_number:
        return settings.f_number.value
    if settings.pupil_diameter and settings.focal_length:
        return settings.focal_length.value / settings.pupil_diameter.value
    return None


def _sensor_distance(settings: CameraSettings) -> float | None:
    """Distance of the plane in focus from the sensor mark [m]; math.inf at infinity, None when it is not stated."""
    if settings.focus_distance:
        distance = settings.focus_distance.value
    elif settings.focus:
        distance = 1.0 / settings.focus.value if settings.focus.value > 0 else math.inf
    else:
        return None
    if settings.distance_from == "sensor" or math.isinf(distance):
        return distance
    from dfd.profile import LensProfile

    return distance + LensProfile.nominal().sensor_offset(settings)


def _tag(code: int, dtype: int, count: int, value) -> tuple:
    return (code, dtype, count, value, True)


def _text(code: int, text: str) -> tuple:
    return _tag(code, _ASCII, 0, text.encode("ascii", "replace").decode("ascii"))


def _ratio(code: int, value: float) -> tuple:
    return _tag(code, _RATIONAL, 1, _rational(value))


def _rational(value: float) -> tuple[int, int]:
    """A positive number as two unsigned 32-bit integers, to about nine digits."""
    if not 0 < value < 2**32:
        raise ValueError(f"EXIF cannot hold the value {value:g}: it must be positive and below 2^32")
    denominator = 10 ** min(9, int(math.log10((2**32 - 1) / value)))
    return round(value * denominator), denominator
