"""One frame of a capture, and the two ways to see it: luminance for depth, colour for people.

A mosaic is filtered, never demosaiced, for depth (`dfd.io.sensor` says how); a linear (already demosaiced) RAW file is
reduced like a linear picture, by its Rec. 709 sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dfd.imaging import REC709
from dfd.io import halves, images, raw
from dfd.io.light import CLIPPED
from dfd.io.sensor import COLOURS, TAPS
from dfd.io.sheets import shading
from dfd.settings import CameraSettings
from dfd.vignetting import flattened, flattening

_LEAST_KNOWN = 0.01
"""Share of the pixels that must be below white."""

_LINEAR_SHARE = float(np.sum(REC709**2))
"""Variance of the Rec. 709 sum of three channels, over that of one."""


@dataclass(frozen=True)
class Frame:
    """One image file and what is known of it.

    settings        every camera value with its source
    linear          pixel values are proportional to light (else sRGB is undone); RAW always is
    black_level     file units, one number or one per channel (Bayer: 2x2 pattern, row by row); None: from the file
    white_level     file units; None: from the file
    view, role      its part in a dual-pixel pair or a differential quad
    half            the view is a half of a dual-pixel RAW, which is one file: a name in `dfd.io.halves`; None: a whole file
    sheets          pictures of an evenly lit white surface through the left half and through that of this right view, whose
                    light is multiplied by their ratio; None: as it is
    orientation     EXIF 1..8, for previews only: arrays are never rotated
    white_balance   for colour only: factors for R, G, B of a RAW file, or the RAW file that knows them (rawpy tells them
                    only after decoding, so they are asked when colours are read); None: leave colours as they are
    vignetting      polynomial in r^2 of its light, see `dfd.vignetting`, which is undone; None: as it is
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
    half: str | None = None
    sheets: tuple[Frame, Frame] | None = None
    vignetting: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """Its file, with the view where that file holds several."""
        return self.path.name if self.half is None else f"{self.path.name} ({self.view} view)"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it is made from."""
        return self.path, *(sheet.path for sheet in self.sheets or ())


@dataclass(frozen=True, eq=False)
class Plane:
    """The luminance of one frame.

    image      (H, W) float32, linear, 0 = black, 1 = white; NaN where the sensor or the file was saturated
    dn_range   white - black in file units (DN)
    taps       separable filter (1-D weights, y and x alike) that the sensor's white noise went through
    share      variance of the noise over that of one channel, before `taps`: below 1 where channels were averaged
    reads      variance of its read noise, in readouts
    gain       factor that its light was multiplied by, over the picture about
    """

    image: np.ndarray
    dn_range: float
    taps: tuple[float, ...] = (1.0,)
    share: float = 1.0
    reads: int = 1
    gain: float = 1.0


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
    plane = _half_luminance(frame) if frame.half else _raw_luminance(frame) if is_raw(frame.path) else \
        _picture_luminance(frame)
    if frame.sheets is not None:
        ratio = _shading(frame)
        plane = replace(plane, image=plane.image * ratio, gain=float(ratio.mean()))
    if frame.vignetting is not None:
        image = flattened(plane.image, frame.vignetting)
        mean = flattening(frame.vignetting, (64, 64 * image.shape[1] // image.shape[0])).mean()
        plane = replace(plane, image=image, gain=plane.gain * float(mean))
    known = np.count_nonzero(np.isfinite(plane.image)) / plane.image.size
    if known < _LEAST_KNOWN:
        step = "leave it out" if frame.view is None else "check white_level, or expose shorter"
        raise OSError(f"{frame.path.parent / frame.name}: {100 * (1 - known):.4g} % of the pixels are at white, at most "
                      f"{100 * (1 - _LEAST_KNOWN):g} % can be used; the frame is overexposed, {step}")
    return plane


def _raw_luminance(frame):
    image = _read_raw(frame)
    return Plane(image.luminance(), image.dn_range, *_mixture(image))


def _half_luminance(frame):
    both = _read_halves(frame)
    return Plane(both.luminance(frame.half), both.dn_range, *_mixture(both.main), reads=halves.READS[frame.half])


def _mixture(image):
    """(taps, share) as in Plane of what a RAW image is reduced to."""
    return (1.0,) if image.codes.ndim == 3 else TAPS[image.period], _LINEAR_SHARE if image.codes.ndim == 3 else 1.0


def _shading(frame):
    """(H, W) float32 factor that makes a right view as bright as the left one, from the white sheets of both."""
    left, right = (read_luminance(sheet).image for sheet in frame.sheets)
    return shading(left, right, image_size(frame.path), [sheet.name for sheet in frame.sheets])


def _picture_luminance(frame):
    picture = images.read_grey(frame.path, linear=frame.linear, black_level=frame.black_level,
                               white_level=frame.white_level, clipped=CLIPPED)
    return Plane(picture.values, picture.dn_range, share=_LINEAR_SHARE if picture.colour else 1.0)


def read_colour(frame: Frame) -> np.ndarray:
    """(H, W, 3) float32 linear RGB, or (H, W, 1) for a grey file; for display and the all-in-focus image only.

    A mosaic is interpolated linearly and white-balanced, cut at 1 so that saturated pixels stay white.  A mosaic of other
    colours than red, green and blue gives its luminance.
    """
    values = _raw_colour(frame) if is_raw(frame.path) else _read_picture(frame).values
    values = values if values.ndim == 3 else values[..., None]
    if frame.vignetting is not None:
        values = flattened(values, frame.vignetting)
    return values if frame.sheets is None else values * _shading(frame)[..., None]


def _raw_colour(frame):
    from dfd.kernels import mosaic

    image = _read_halves(frame).picture(frame.half) if frame.half else _read_raw(frame)
    balance = _balance(frame)
    gains, limit = ((1.0, 1.0, 1.0), np.inf) if balance is None else (balance, 1.0)
    if image.codes.ndim == 3:
        colours = image.light().values
        colours *= np.asarray(gains, np.float32)
        return np.minimum(colours, np.float32(limit), out=colours)
    if image.pattern is not None and max(map(max, image.pattern)) < len(COLOURS):
        return mosaic.demosaic(image.codes, image.black, image.white[0], image.pattern, gains=gains, limit=limit)
    return np.nan_to_num(image.luminance(), copy=False, nan=1.0)


def _balance(frame):
    """Factors for R, G, B of a RAW frame, or None."""
    return raw.read_white_balance(frame.white_balance) if isinstance(frame.white_balance, Path) else frame.white_balance


def _read_raw(frame):
    return raw.read_raw(frame.path, black_level=frame.black_level, white_level=frame.white_level)


def _read_halves(frame):
    return halves.read_halves(frame.path, black_level=frame.black_level, white_level=frame.white_level)


def _read_picture(frame):
    return images.read_image(frame.path, linear=frame.linear, black_level=frame.black_level,
                             white_level=frame.white_level)
