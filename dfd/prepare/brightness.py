"""Make frames equally bright: by what the camera says of its exposure, then by what the images themselves show."""

from __future__ import annotations

import math

import numpy as np

from dfd.imaging import reduce

SATURATED = 0.98
"""Pixels at or above this share of the white level say nothing about brightness."""

_BLOCKS, _LEAST_BLOCKS, _LEAST_SHARE = 48, 12, 0.5
"""Blocks along the shorter side; how many must say something; the share of a block that must be known for that."""


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
    """An (H, W) image reduced by `factor`, for `residual_gains`: the mean of what is known and not saturated in a block.

    NaN where that is less than half of a block: scattered glints leave no holes, lamps and skies do.
    """
    known = image < SATURATED
    if known.all():
        return reduce(image, factor)
    share = reduce(known, factor)
    total = reduce(np.where(known, image, np.float32(0)), factor)
    return np.where(share >= _LEAST_SHARE, total / np.maximum(share, _LEAST_SHARE), np.float32(np.nan))


def residual_gains(images, reference: int) -> np.ndarray:
    """(K,) factors that bring each image to the brightness of the reference one, from the images; 1 for the reference.

    images   K registered (H, W) NumPy images, linear, 0 = black, made by `coarse`: NaN = no data or saturated.  They may
             have been multiplied since (an exposure), so that no value tells any more what was saturated

    The median over large blocks of the ratio to the reference: defocus moves light about but hardly out of a block.  Only
    pixels count that both images know; blocks that are dark (under 5 % of the reference's bright blocks) or mostly unknown
    do not.  A gain within three of its own standard errors of 1 is exactly 1; NaN = it cannot be told, too few blocks.
    """
    fixed = images[reference]
    return np.array([1.0 if k == reference else _gain(fixed, image) for k, image in enumerate(images)])


def _gain(fixed, image):
    """The factor of one image."""
    both = np.isfinite(fixed) & np.isfinite(image)
    factor = max(1, min(image.shape) // _BLOCKS)
    share = reduce(both, factor)
    blocks, other = (reduce(np.where(both, values, np.float32(0)), factor)[share >= _LEAST_SHARE]
                     for values in (fixed, image))
    if not blocks.size:
        return math.nan
    good = (blocks > max(0.05 * np.percentile(blocks, 95), 0)) & (other > 0)
    if good.sum() < _LEAST_BLOCKS:
        return math.nan
    ratios = np.log(blocks[good] / other[good])
    middle = np.median(ratios)
    error = 1.86 * np.median(np.abs(ratios - middle)) / np.sqrt(ratios.size)
    return float(np.exp(middle)) if abs(middle) > max(3 * error, 1e-5) else 1.0
