"""Where edges are, which way they run, and the images across them: pixels on ridges of the gradient, profiles along it.

Canny 1986 for the ridges, a window of the structure tensor (Foerstner 1986) for the direction, both from the mean of all
images: one geometry for all.  A profile is the mean over lines along the edge.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module, scipy_module
from dfd.solvers.spatial_design import noise_power

SMOOTHING = 2.0
"""Std [px] of the Gaussian before the gradient."""

ALONG = 8
"""Px to either side that a profile is averaged over along the edge."""

_TENSOR = 3.0
_SIGNIFICANT = 6.0
"""Standard deviations of its noise that the gradient of an edge has at least."""

_STRAIGHT = 0.8
"""Least coherence of the gradients around a pixel: 1 for a straight edge, 0 for none or a corner."""

_DIFFERENCE = np.array([-0.5, 0.0, 0.5])
_ONE = np.ones(1)


def reach_of(across: int) -> int:
    """Px around an edge pixel that its profile of `across` px to either side depends on."""
    return max(math.ceil(4 * SMOOTHING) + 2 + math.ceil(4 * _TENSOR), math.ceil(math.hypot(across, ALONG)) + 1)


def edge_pixels(images, views):
    """(y, x, cosine, sine) of every edge pixel, 1-D arrays; light rises along (sine down, cosine right)."""
    xp = array_module(images)
    mean = sum(images) / len(images)
    smooth = imaging.gaussian(mean, SMOOTHING)
    known = imaging.inside(xp.isfinite(smooth), 1)
    gx = xp.where(known, imaging.separable(smooth, _ONE, _DIFFERENCE), 0)
    gy = xp.where(known, imaging.separable(smooth, _DIFFERENCE, _ONE), 0)
    variance = sum(view.noise.variance(xp.where(known, smooth, 0))
                   * (noise_power(view.noise.taps, SMOOTHING, (_ONE, _DIFFERENCE)) / len(views) ** 2) for view in views)
    power = gx**2 + gy**2
    xx, xy, yy = (imaging.gaussian(part.astype(np.float32), _TENSOR) for part in (gx**2, gx * gy, gy**2))
    coherence = xp.sqrt((xx - yy) ** 2 + 4 * xy**2) / xp.maximum(xx + yy, np.float32(1e-30))
    angle = xp.arctan2(2 * xy, xx - yy) / 2
    cosine, sine = xp.cos(angle), xp.sin(angle)
    sign = xp.where(gx * cosine + gy * sine < 0, -1.0, 1.0)
    edge = known & (power > _SIGNIFICANT**2 * variance) & (coherence > _STRAIGHT) & _ridge(power, cosine, sine)
    y, x = xp.nonzero(edge)
    return y, x, (sign * cosine)[y, x], (sign * sine)[y, x]


def profiles(image, y, x, cosine, sine, across: int):
    """(N, 2 * across + 1) means of an image over lines along each edge, 1 px apart; NaN where data is missing."""
    xp = array_module(image)
    steps, lines = xp.arange(-across, across + 1)[None, :, None], xp.arange(-ALONG, ALONG + 1)[None, None]
    cosine, sine = cosine[:, None, None], sine[:, None, None]
    down = y[:, None, None] + steps * sine + lines * cosine
    right = x[:, None, None] + steps * cosine - lines * sine
    inside = (down >= 0) & (down <= image.shape[0] - 1) & (right >= 0) & (right <= image.shape[1] - 1)
    seen = scipy_module(image).ndimage.map_coordinates(image, xp.stack([down, right]), order=1, mode="nearest")
    return xp.where(inside.all(axis=2), seen.mean(axis=2, dtype=np.float64), xp.nan)


def _ridge(power, cosine, sine):
    """Bool: no less gradient than a pixel to either side across the edge, of the nearest of eight directions."""
    xp = array_module(power)
    padded = xp.pad(power, 1)
    height, width = power.shape
    right, down = xp.rint(cosine / xp.maximum(xp.abs(cosine), xp.abs(sine))), xp.rint(sine / xp.maximum(xp.abs(cosine),
                                                                                                   xp.abs(sine)))
    top = xp.zeros(power.shape, dtype=bool)
    for step_right, step_down in ((1, 0), (1, 1), (0, 1), (-1, 1)):
        here = ((right == step_right) & (down == step_down)) | ((right == -step_right) & (down == -step_down))
        ahead = padded[1 + step_down:1 + step_down + height, 1 + step_right:1 + step_right + width]
        behind = padded[1 - step_down:1 - step_down + height, 1 - step_right:1 - step_right + width]
        top = top | (here & (power > behind) & (power >= ahead))
    return top
