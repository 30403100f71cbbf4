"""Pixel pitch from what a file says of its sensor: the crop factor over the true frame, and FocalPlaneResolution.

About one camera model in six contradicts itself here by more than 10 %: FocalPlaneResolution is left at full size after
a resize, or has a wrong unit.  So each source is held against the frame it must describe before it counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dfd.settings import Value

_SIGMA = 0.05  # one source alone; a 35 mm focal length is a rounded integer
_FULL_FRAME_DIAGONAL = 43.267e-3
_DIAGONALS = (4e-3, 60e-3)
_UNITS = {2: 25.4e-3, 3: 1e-2, 4: 1e-3, 5: 1e-6}  # FocalPlaneResolutionUnit -> m
_SAME_SIZE = 0.02

Number = Callable[[str], float | None]
"""EXIF tag name -> its number; None where the file has none."""


@dataclass(frozen=True)
class Grid:
    """What the pixels of an image are: shape (H, W) px, for RAW that of the sensor's true frame, never of the JPEG that
    EXIF describes; aspect: width of a pixel over its height."""

    shape: tuple[int, int]
    aspect: float = 1.0
    raw: bool = False

    @property
    def diagonal(self) -> float:
        """Of the frame, in widths of a pixel."""
        return math.hypot(self.shape[0] / self.aspect, self.shape[1])


def find_pitches(number: Number, focal_length: float | None, grid: Grid, label: str):
    """(candidates for the pixel pitch along x [m], best first; why a source was left out).

    number   the EXIF numbers of the file;   focal_length   m;   label   how the name of a source begins
    """
    found = _crop(number, focal_length, grid, label), _focal_plane(number, grid, label)
    return (tuple(Value(pitch, _SIGMA * pitch, source) for pitch, source, _ in found if pitch is not None),
            tuple(f"{source} is not used: {reason}" for _, source, reason in found if reason))


def _crop(number, focal_length, grid, label):
    """Pitch from the crop factor, a ratio of diagonals: 43.267 mm / (crop * diagonal in px)."""
    source, equivalent = f"{label} FocalLengthIn35mmFilm", number("FocalLengthIn35mmFilm")
    if equivalent is None or equivalent <= 0 or focal_length is None:
        return None, source, ""
    diagonal = _FULL_FRAME_DIAGONAL * focal_length * 1e3 / equivalent
    reason = _unlikely(diagonal) or _cropped(number, grid)
    return (None if reason else diagonal / grid.diagonal), source, reason


def _cropped(number, grid):
    """The image was cut out of the frame that the numbers describe, so its diagonal is not that of the sensor."""
    stated = [number("ExifImageWidth"), number("ExifImageLength")]
    if grid.raw or None in stated or min(stated) <= 0:
        return ""
    own, other = max(grid.shape) / min(grid.shape), max(stated) / min(stated)
    if abs(own / other - 1) <= _SAME_SIZE:
        return ""
    return (f"it describes an image of {stated[0]:g} x {stated[1]:g} px, this one is cut to {grid.shape[1]} x "
            f"{grid.shape[0]} px")


def _focal_plane(number, grid, label):
    """Pitch from FocalPlaneXResolution, if it counts the pixels of this image and implies a sensor of 4 to 60 mm."""
    source, resolution = f"{label} FocalPlaneXResolution", number("FocalPlaneXResolution")
    unit = _UNITS.get(int(number("FocalPlaneResolutionUnit") or 2))
    if resolution is None or resolution <= 0 or unit is None:
        return None, source, ""
    pitch, stated, other = unit / resolution, number("ExifImageWidth"), number("FocalPlaneYResolution")
    if stated is None or min(abs(stated / size - 1) for size in grid.shape) > _SAME_SIZE:
        shown = "unknown" if stated is None else f"{stated:g} px"
        reason = f"it counts an image whose width is {shown}, this one has {grid.shape[1]} px"
    elif reason := _unlikely(pitch * grid.diagonal):
        pass
    elif other is not None and other > 0 and abs(other / resolution / grid.aspect - 1) > _SAME_SIZE:
        reason = f"its x and y values differ by {100 * abs(other / resolution - 1):.0f} %"
    return (None if reason else pitch), source, reason


def _unlikely(diagonal):
    if _DIAGONALS[0] <= diagonal <= _DIAGONALS[1]:
        return ""
    return f"it implies a sensor diagonal of {diagonal * 1e3:.3g} mm, outside 4 to 60 mm"
