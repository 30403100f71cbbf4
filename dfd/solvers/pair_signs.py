"""Do near and far look exchanged in the result of a dual-pixel pair?

Left and right say on which side of focus a point lies, and every exporter names them its own way; exchanged views give a map
mirrored at focus that fits the images as well, for PSFs that are mirror images of each other.  So the scene must tell: no
point lies beyond infinity, and what is lower in an upright picture is mostly nearer: floors, tables, grass.
Of 16 real scenes (Canon EOS R6 II and 5D IV, Pixel 4) the second test is silent for all and fires for 12 once exchanged.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import to_numpy
from dfd.capture import Capture, DualPixelPair
from dfd.depthmap import DepthMap

_BEYOND, _SIGMAS, _CHANCE = 0.02, 2.0, 0.023
"""Share of the known pixels that lie beyond infinity by so many of their sigma, and are no chance; share that noise alone
puts there of what may lie at infinity."""

_PIXELS = 1_000_000
_PARTS, _NEARER, _LEAST_PX = 4, 0.3, 0.5
"""The lowest quarter of the picture is compared with the highest; chance that a pixel of it is the nearer one, below which
it looks exchanged; px of disparity that the map must range over (5 to 95 %).  Real scenes: 0.50 to 1.00."""

_LEAST_SHARE = 0.01
"""Share of the pixels of a quarter that must be known."""

_DOWN = {1: (0, 1), 2: (0, 1), 3: (0, -1), 4: (0, -1), 5: (1, 1), 6: (1, 1), 7: (1, -1), 8: (1, -1)}
"""EXIF orientation -> (axis of the stored array, direction) that points down in the scene."""


def remarks(capture: Capture, result: DepthMap) -> tuple[str, ...]:
    """Sentences about a solved pair; result: its map, before anything is filled or left out.  () for other captures."""
    if not isinstance(capture, DualPixelPair):
        return ()
    step = max(1, math.isqrt(result.values.size // _PIXELS))
    values, sigma = (to_numpy(array[::step, ::step]) for array in (result.values, result.sigma))
    if np.isnan(values).all():
        return ()
    if result.scale != "metric":
        return _upside_down(capture, values, 1.0)
    known = np.isfinite(values) & np.isfinite(sigma)
    return (*_beyond_infinity(values[known], sigma[known]), *_upside_down(capture, values, capture.disparity_rate))


def _beyond_infinity(values, sigma):
    if not values.size:
        return ()
    share = float(np.mean(values < -_SIGMAS * sigma))
    if share - _CHANCE * float(np.mean(values < _SIGMAS * sigma)) < _BEYOND:
        return ()
    return (f"{share:.0%} of the known pixels come out beyond infinity by more than {_SIGMAS:g} sigma: either the views are "
            "exchanged, which mirrors all depths at focus (look at --swap), or focus_distance_m or kappa is wrong",)


def _upside_down(capture, values, rate):
    """values   (h, w), NaN = unknown;   rate   px of disparity per unit of them"""
    axis, direction = _DOWN.get(capture.orientation, _DOWN[1])
    values = np.moveaxis(values, axis, 0)[::direction]
    rows = max(values.shape[0] // _PARTS, 1)
    upper, lower = (part[np.isfinite(part)] for part in (values[:rows], values[-rows:]))
    if min(upper.size, lower.size) < max(_LEAST_SHARE * rows * values.shape[1], 1):
        return ()
    low, high = np.percentile(values[np.isfinite(values)], [5, 95])
    ranked = np.sort(upper)
    nearer = sum(float(np.searchsorted(ranked, lower, side).mean()) for side in ("left", "right")) / (2 * upper.size)
    if (high - low) * rate < _LEAST_PX or nearer > _NEARER:
        return ()
    return ("the lower part of the picture comes out clearly farther than the upper one, which is rare in an upright "
            "picture: if near and far look exchanged, pass --swap; every camera and converter names left and right its own "
            "way",)
