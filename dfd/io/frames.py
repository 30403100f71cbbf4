"""One frame of a capture, and the two ways to see it: luminance for depth, colour for people.

A mosaic is filtered, never demosaiced, for depth (`dfd.io.sensor` says how); a linear (already demosaiced) RAW file is
reduced like a linear picture, by its Rec. 709 sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io import images, raw
from dfd.io.light import CLIPPED, REC709
from dfd.io.sensor import COLOURS, TAPS
from dfd.settings import CameraSettings

_LEAST_KNOWN = 0.01
"""Share of the pixels that must be below white."""


@dataclass(frozen=True)
class Frame:
    """One image file and what is known of it.

    settings        every camera value with its source
    linear          pixel values are proportional to light (else sRGB is undone); RAW always is
    black_level     file units, one number or one per channel (Bayer: 2x2 pattern, row by row); None: from the file
    white_level     file units; None: from the file
    view, role      its part in a dual-pixel pair or a differential quad
    orientation     EXIF 1..8, for previews only: arrays are never rotated
    white_balance   for colour only: factors for R, G, B of a RAW file, or the RAW file that knows them (rawpy tells them
                    only after decoding, so they are asked when colours are read); None: leave colours as they are
    """

    path: Path
    settings: CameraSettings
    linear: bool
    black_level: tuple[float, ...] | None = None
    white_level: float | None = None
    view: str | None = None
    role: str | None = None
    orientation: int = 1
    white_balance: tuple[float, float, float] | Path | None = None


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
    """Decode, linearise and reduce a frame to one plane.

    Raises OSError for the file, or when hardly a pixel of it is below white; ValueError for its values.
    """
    plane = _raw_luminance(frame) if is_raw(frame.path) else _picture_luminance(frame)
    known = np.count_nonzero(np.isfinite(plane.image)) / plane.image.size
    if known < _LEAST_KNOWN:
        raise OSError(f"{frame.path}: {100 * (1 - known):.4g} % of the pixels are at white, at most "
                      f"{100 * (1 - _LEAST_KNOWN):g} % can be used; the frame is overexposed, leave it out")
    return plane


def _raw_luminance(frame):
    from dfd.kernels import mosaic

    image = _read_raw(frame)
    if image.codes.ndim == 3:
        share = float(np.sum(REC709**2))
        return Plane(mosaic.blend(image.codes, image.black, image.white, REC709), image.dn_range, share=share)
    return Plane(_filtered(image), image.dn_range, TAPS[image.period])


def _filtered(image):
    """(H, W) float32 luminance of a mosaic or a monochrome sensor."""
    from dfd.kernels import mosaic

    return mosaic.luminance(image.codes, image.black, image.white[0], TAPS[image.period], image.period)


def _picture_luminance(frame):
    picture = images.read_grey(frame.path, linear=frame.linear, black_level=frame.black_level,
                               white_level=frame.white_level, clipped=CLIPPED)
    return Plane(picture.values, picture.dn_range, share=float(np.sum(REC709**2)) if picture.colour else 1.0)


def read_colour(frame: Frame) -> np.ndarray:
    """(H, W, 3) float32 linear RGB, or (H, W, 1) for a grey file; for display and the all-in-focus image only.

    A mosaic is interpolated linearly and white-balanced, cut at 1 so that saturated pixels stay white.  A mosaic of other
    colours than red, green and blue gives its luminance.
    """
    from dfd.kernels import mosaic

    if not is_raw(frame.path):
        values = _read_picture(frame).values
        return values if values.ndim == 3 else values[..., None]
    image = _read_raw(frame)
    balance = _balance(frame)
    gains, limit = ((1.0, 1.0, 1.0), np.inf) if balance is None else (balance, 1.0)
    if image.codes.ndim == 3:
        colours = image.light().values
        colours *= np.asarray(gains, np.float32)
        return np.minimum(colours, np.float32(limit), out=colours)
    if image.pattern is not None and max(map(max, image.pattern)) < len(COLOURS):
        return mosaic.demosaic(image.codes, image.black, image.white[0], image.pattern, gains=gains, limit=limit)
    return np.nan_to_num(_filtered(image), copy=False, nan=1.0)[..., None]


def _balance(frame):
    """Factors for R, G, B of a RAW frame, or None."""
    return raw.read_white_balance(frame.white_balance) if isinstance(frame.white_balance, Path) else frame.white_balance


def _read_raw(frame):
    return raw.read_raw(frame.path, black_level=frame.black_level, white_level=frame.white_level)


def _read_picture(frame):
    return images.read_image(frame.path, linear=frame.linear, black_level=frame.black_level,
                             white_level=frame.white_level)
