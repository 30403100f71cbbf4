"""Make frames equally bright: by what the camera says of its exposure, then by what the images themselves show."""

from __future__ import annotations

import numpy as np

from dfd.imaging import reduce

SATURATED = 0.98
"""Pixels at or above this share of the white level say nothing about brightness."""

_BLOCKS = 48
_LEAST_BLOCKS = 12


def brightness_factors(settings, lenses=None, *, reference: int = 0) -> np.ndarray:
    """(K,) factors that bring each image to the exposure of the reference one; 1 for the reference.

    settings   K CameraSettings;  lenses   their K ThinLens (or None each), or None
    Light is exposure time * ISO * pupil area, and is divided out only when every frame has an exposure time; otherwise
    frames count as equally exposed.  The pupil comes from the lenses, else pupil_diameter, else focal length and
    f-number, else the f-number alone; a quantity that some frame lacks counts as equal in all.
    """
    settings = list(settings)
    if any(item.exposure is None for item in settings):
        return np.ones(len(settings))
    light = np.array([item.exposure.value for item in settings], dtype=float)
    if all(item.iso is not None for item in settings):
        light *= [item.iso.value for item in settings]
    light *= np.square(_pupils(settings, lenses))
    return light[reference] / light


def _pupils(settings, lenses):
    """(K,) numbers proportional to the pupil diameters; ones when the frames do not say."""
    if lenses is not None and all(lens is not None for lens in lenses):
        return [lens.pupil_diameter for lens in lenses]
    if all(item.pupil_diameter is not None for item in settings):
        return [item.pupil_diameter.value for item in settings]
    if any(item.f_number is None for item in settings):
        return np.ones(len(settings))
    known = all(item.focal_length is not None for item in settings)
    return [(item.focal_length.value if known else 1.0) / item.f_number.value for item in settings]


def coarse(image, factor: int):
    """An (H, W) image reduced by `factor`, for `residual_gains`: NaN where a block holds a saturated pixel or no data."""
    return reduce(np.where(image < SATURATED, image, np.float32(np.nan)), factor)


def residual_gains(images, reference: int) -> np.ndarray:
    """(K,) factors that bring each image to the brightness of the reference one, from the images; 1 for the reference.

    images   K registered (H, W) NumPy images, linear, 0 = black, 1 = white, NaN = no data; made by `coarse` or whole

    The median over coarse blocks of the ratio to the reference: defocus moves light about but hardly out of a block.
    Blocks that are dark (under 5 % of the reference's bright blocks) or hold saturated pixels do not count.  A gain
    within three of its own standard errors of 1, or without enough blocks, is exactly 1.
    """
    count = len(images)
    fixed = _blocks(images[reference])
    bright = 0.05 * np.nanpercentile(fixed, 95) if np.isfinite(fixed).any() else np.inf
    gains = np.ones(count)
    for k in range(count):
        if k == reference:
            continue
        other = _blocks(images[k])
        good = np.isfinite(fixed) & np.isfinite(other)
        good[good] = (fixed[good] > max(bright, 0)) & (other[good] > 0)
        if good.sum() < _LEAST_BLOCKS:
            continue
        ratios = np.log(fixed[good] / other[good])
        middle = np.median(ratios)
        error = 1.86 * np.median(np.abs(ratios - middle)) / np.sqrt(ratios.size)
        gains[k] = np.exp(middle) if abs(middle) > max(3 * error, 1e-5) else 1.0
    return gains


def _blocks(image):
    """Coarse block means of an image; NaN where a block is incomplete or touches saturation."""
    factor = max(1, min(image.shape) // _BLOCKS)
    usable = np.where(image < SATURATED, image, np.float32(np.nan))
    return reduce(usable, factor)
