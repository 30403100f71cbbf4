"""One frame of a capture, and the two ways to see it: luminance for depth, colour for people.

A Bayer mosaic is never demosaiced for depth: convolved with [1 2 1] x [1 2 1] / 16 it gives (R + 2G + B) / 4 at every
pixel, exactly so where chroma is constant, because the filter is zero at the three chroma carriers; it is the same at
every pixel and in every frame, so depth from defocus does not see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io import images, raw
from dfd.noise import LUMINANCE_TAPS
from dfd.settings import CameraSettings

_CLIPPED = 0.9995
"""Share of the white level, in linear light, from which a pixel of an integer file counts as saturated."""


@dataclass(frozen=True)
class Frame:
    """One image file and what is known of it.

    settings        every camera value with its source
    linear          pixel values are proportional to light (else sRGB is undone); RAW always is
    black_level     file units, one number or one per channel (Bayer: 2x2 pattern, row by row); None: from the file
    white_level     file units; None: from the file
    view, role      its part in a dual-pixel pair or a differential quad
    orientation     EXIF 1..8, for previews only: arrays are never rotated
    white_balance   factors for R, G, B of a RAW file, for colour only; None: leave colours as they are
    """

    path: Path
    settings: CameraSettings
    linear: bool
    black_level: tuple[float, ...] | None = None
    white_level: float | None = None
    view: str | None = None
    role: str | None = None
    orientation: int = 1
    white_balance: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Plane:
    """The luminance of one frame.

    image      (H, W) float32, linear, 0 = black, 1 = white; NaN where the sensor or the file was saturated
    dn_range   white - black in file units (DN)
    taps       separable filter (1-D weights, y and x alike) that the sensor's white noise went through
    share      variance of the noise over that of one channel, before `taps`: below 1 where channels were averaged
    """

    image: np.ndarray
    dn_range: float
    taps: tuple[float, ...] = (1.0,)
    share: float = 1.0


def is_raw(path) -> bool:
    """True when the file is one for LibRaw, by its suffix."""
    return Path(path).suffix.lower() in raw.SUFFIXES


def image_size(path) -> tuple[int, int]:
    """(H, W) px of what `read_luminance` returns, without decoding.  Raises OSError for a file that cannot be one."""
    return raw.read_header(path).shape if is_raw(path) else images.image_size(path)


def read_luminance(frame: Frame) -> Plane:
    """Decode, linearise and reduce a frame to one plane.  Raises OSError for the file, ValueError for its values."""
    if is_raw(frame.path):
        mosaic = raw.read_mosaic(frame.path, black_level=frame.black_level, white_level=frame.white_level)
        image = _without(mosaic_luminance(mosaic.values), _beside(mosaic.values >= 1))
        return Plane(image, mosaic.dn_range, LUMINANCE_TAPS)
    picture = _read_picture(frame)
    colour = picture.values.ndim == 3 and picture.values.shape[2] > 1
    share = float(np.sum(images.REC709**2)) if colour else 1.0
    image = images.luminance(picture.values)
    if picture.clips:
        image = _without(image, _clipped(picture.values, frame.linear))
    return Plane(image, picture.dn_range, share=share)


def _beside(full):
    """(H, W) bool: a saturated pixel within the 3 x 3 px of the luminance filter."""
    if not full.any():
        return full
    from scipy.ndimage import maximum_filter

    return maximum_filter(full, size=3)


def _clipped(values, linear):
    """(H, W) bool: saturated.  In a developed picture one full channel is colour, not the end of the sensor."""
    full = values >= _CLIPPED
    if full.ndim == 2:
        return full
    return full.any(axis=2) if linear else full.all(axis=2)


def _without(image, clipped):
    """`image` with NaN where it was saturated: there it says nothing about focus or brightness."""
    return np.where(clipped, np.float32(np.nan), image) if clipped.any() else image


def read_colour(frame: Frame) -> np.ndarray:
    """(H, W, 3) float32 linear RGB, or (H, W, 1) for a grey file; for display and the all-in-focus image only.

    A mosaic is demosaiced bilinearly and white-balanced, cut at 1 so that saturated pixels stay white.
    """
    if is_raw(frame.path):
        mosaic = raw.read_mosaic(frame.path, black_level=frame.black_level, white_level=frame.white_level)
        colours = demosaic(mosaic.values, mosaic.pattern)
        if frame.white_balance is not None:
            colours = np.minimum(colours * np.asarray(frame.white_balance, np.float32), np.float32(1))
        return colours
    values = _read_picture(frame).values
    return values if values.ndim == 3 else values[..., None]


def _read_picture(frame):
    return images.read_image(frame.path, linear=frame.linear, black_level=frame.black_level,
                             white_level=frame.white_level)


def mosaic_luminance(values: np.ndarray) -> np.ndarray:
    """(H, W) float32 (R + 2G + B) / 4 of a normalised Bayer mosaic, any of its four phases.

    The border mirrors without repeating the edge pixel, which keeps the phase of the pattern.
    """
    return _smooth(values) / np.float32(16)


def demosaic(values: np.ndarray, pattern) -> np.ndarray:
    """(H, W, 3) float32 by bilinear interpolation of a Bayer mosaic; pattern as in `raw.Mosaic`.

    Red and blue: the mean of the nearest 1, 2 or 4 samples; green: the sample itself or the mean of its 4 neighbours.
    """
    index = np.asarray(pattern)
    height, width = values.shape
    colour = np.tile(index, (height // 2 + 1, width // 2 + 1))[:height, :width]
    result = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        samples = np.where(colour == channel, values, np.float32(0))
        # of [1 2 1] x [1 2 1], a red or blue pixel meets weights 4, 2+2 or 1+1+1+1: always 4
        result[..., channel] = (_cross(samples) if channel == 1 else _smooth(samples)) / np.float32(4)
    return result


def _smooth(values):
    """[1 2 1] x [1 2 1], not divided."""
    rows = np.pad(values, ((1, 1), (0, 0)), mode="reflect")
    rows = rows[:-2] + rows[2:] + 2 * rows[1:-1]
    columns = np.pad(rows, ((0, 0), (1, 1)), mode="reflect")
    return columns[:, :-2] + columns[:, 2:] + 2 * columns[:, 1:-1]


def _cross(values):
    """4 x the centre + its four neighbours, not divided: on a quincunx one of the two is zero."""
    padded = np.pad(values, 1, mode="reflect")
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] + 4 * values
