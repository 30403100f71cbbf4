"""What makers write of the focus distance, decoded from numbers to metres from the sensor mark.  No file is read here.

Codes and scales as ExifTool's tag tables document them.  No maker's distance is known to be checked against a tape
measure: each is a seed with a sigma of 7 %, or half its interval where the maker gives two ends, never a calibration.
"""

from __future__ import annotations

import math

SEED_SIGMA = 0.07
"""1-sigma of a maker's distance as a part of it: quantised by 4 to 6 %, and not known better than 5 to 10 %."""

_FARTHEST = 0xFFFF  # m; what lies above is a code for infinity or unknown, as 0xFFFFFFFF is
_CANON_UNKNOWN = (0xFFFF, 0x1FFF, -1, 0)  # cm
_SONY_INFINITY = _BYTE = 255
_OLYMPUS_INFINITY = 4294967286  # mm
_NEAREST = 0.01  # m
_WIDEST = 2  # far end over near end; a wider interval is no distance


def canon_distance(upper: float, lower: float = 0) -> tuple[float, float] | None:
    """(distance, 1-sigma) [m] of FocusDistanceUpper and Lower [cm], in either order; None for the codes of unknown.

    Of one end alone (compacts write Lower = 0) the distance is that end.
    """
    ends = [number / 100 for number in (upper, lower) if number not in _CANON_UNKNOWN and 1 <= number < 100 * _FARTHEST]
    if not ends:
        return None
    return _middle(min(ends), max(ends))


def nikon_distance(code: float) -> float | None:
    """0.01 m * 10^(code / 40), a step of 5.9 %; None for code 0, which lenses without contacts give, and for no byte."""
    return 0.01 * 10 ** (code / 40) if 0 < code <= _BYTE else None


def sony_distance(position: float, equivalent: float) -> float | None:
    """(2^(position / 16 - 5) + 1) * focal length in 35 mm film [mm] / 1000; infinity for 255, None for 0."""
    if not position > 0 or not equivalent > 0:
        return None
    return math.inf if position >= _SONY_INFINITY else (2 ** (position / 16 - 5) + 1) * equivalent / 1000


def olympus_distance(numerator: float) -> float | None:
    """The numerator of the rational is millimetres, whatever its denominator says; infinity for its code, None for 0."""
    if not numerator > 0:
        return None
    return math.inf if numerator >= _OLYMPUS_INFINITY else numerator / 1000


def apple_distance(one: float, other: float) -> tuple[float, float] | None:
    """(distance, 1-sigma) [m] of FocusDistanceRange [m], in either order; None where it is absurd or too wide to tell."""
    near, far = sorted((one, other))
    return _middle(near, far) if _NEAREST < near <= far <= min(_WIDEST * near, _FARTHEST) else None


def plain_distance(metres: float) -> float | None:
    """A distance already in metres: EXIF SubjectDistance, XMP ApproximateFocusDistance, what ExifTool has converted.

    Infinity for inf and for its codes; None for what is not above 1 cm (0 is unknown, 0.01 m is Nikon's code 0).
    """
    if math.isnan(metres) or metres <= _NEAREST:
        return None
    return math.inf if metres >= _FARTHEST else metres


def _middle(near, far):
    """The middle of an interval in dioptres, and a 1-sigma not below half of it."""
    middle = 2 / (1 / near + 1 / far)
    return middle, max(SEED_SIGMA * middle, (1 / near - 1 / far) / 2 * middle**2)
