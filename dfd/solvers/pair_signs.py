"""Do near and far look exchanged in the result of a dual-pixel pair?

Left and right say on which side of focus a point lies, and every exporter names them its own way; exchanged views give a map
mirrored at focus that fits the images as well, for PSFs that are mirror images of each other.  So the scene must tell: no
point lies beyond infinity, and what is lower in an upright picture is mostly nearer: floors, tables, grass.
Of 16 real scenes (Canon EOS R6 II and 5D IV, Pixel 4) the second test is silent for all and fires for 14 once exchanged.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import to_numpy
from dfd.capture import Capture, DualPixelPair
from dfd.depthmap import DepthMap

_BEYOND, _SIGMAS = 0.1, 3.0
"""Share of the confident pixels that lie beyond infinity by so many of their sigma."""

_CONFIDENT, _PIXELS = 0.5, 1_000_000
_LOWER, _LEAST_PX = 0.25, 0.7
"""By how much the lower third must be farther than the upper one, over the range of the map (5 to 95 %), which must be so
many px of disparity at least."""

_LEAST_SHARE = 0.01
"""Share of the pixels of a third that must be confident."""

_DOWN = {1: (0, 1), 2: (0, 1), 3: (0, -1), 4: (0, -1), 5: (1, 1), 6: (1, 1), 7: (1, -1), 8: (1, -1)}
"""EXIF orientation -> (axis of the stored array, direction) that points down in the scene."""


def remarks(capture: Capture, result: DepthMap) -> tuple[str, ...]:
    """Sentences about a solved pair; result: its map, before anything is filled or left out.  () for other captures."""
    if not isinstance(capture, DualPixelPair):
        return ()
    step = max(1, math.isqrt(result.values.size // _PIXELS))
    values, sigma, confidence = (to_numpy(array[::step, ::step])
                                 for array in (result.values, result.sigma, result.confidence))
    values = np.where(confidence >= _CONFIDENT, values, np.float32(np.nan))
    if np.isnan(values).all():
        return ()
    if result.scale != "metric":
        return _upside_down(capture, values, 1.0)
    return (*_beyond_infinity(values, sigma), *_upside_down(capture, values, capture.disparity_rate))


def _beyond_infinity(values, sigma):
    share = np.count_nonzero(values < -_SIGMAS * sigma) / np.count_nonzero(~np.isnan(values))
    if share < _BEYOND:
        return ()
    return (f"{share:.0%} of the confident pixels come out beyond infinity: either the views are exchanged, which mirrors "
            "all depths at focus (look at --swap), or focus_distance_m or kappa is wrong",)


def _upside_down(capture, values, rate):
    """values   (h, w), NaN where it is not confident;   rate   px of disparity per unit of them"""
    axis, direction = _DOWN.get(capture.orientation, _DOWN[1])
    values = np.moveaxis(values, axis, 0)[::direction]
    third = values.shape[0] // 3
    upper, lower = (part[np.isfinite(part)] for part in (values[:third], values[values.shape[0] - third:]))
    if min(upper.size, lower.size) < max(_LEAST_SHARE * values.size / 3, 1):
        return ()
    low, high = np.percentile(values[np.isfinite(values)], [5, 95])
    step = np.median(upper) - np.median(lower)
    if (high - low) * rate < _LEAST_PX or step < _LOWER * (high - low):
        return ()
    return ("the lower part of the picture comes out clearly farther than the upper one, which is rare in an upright "
            "picture: if near and far look exchanged, pass --swap; every camera and converter names left and right its own "
            "way",)
