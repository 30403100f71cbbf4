"""Make the two views of a dual-pixel pair equally bright everywhere, where no white sheets tell how.

The two halves of a pupil light the sensor unevenly: by up to 1.4 to 1 over the picture of a phone, by some per cent in a
large camera.  The ratio of the views, each smoothed over a sixteenth of the picture, tells it to 3 % rms (Pixel 4, against
its white sheets, of 10 %); that is also what displaced views and dark blocks bring into it, so only a large one is used.
"""

from __future__ import annotations

import numpy as np

from dfd.field import shares
from dfd.imaging import gaussian, reduce

_GRID, _SMOOTH = 128, 1 / 16
"""Blocks along the shorter side; std of the smoothing, over that side."""

_LEAST_SIDE = 400
"""px of the shorter side, before any reduction, below which a sixteenth of it is not wide against disparities, and nothing
is evened."""

_LEAST_SPAN = 0.2
"""Logarithm of the ratio, 5 to 95 % of the picture, from which it is used.  Pixel 4 and 3: 0.28 to 0.36; Canon EOS R6 II
and 5D IV, whose views need no correction: at most 0.12."""


def view_ratio(left, right, *, reduction: int = 1):
    """(H, W) float32 factor that makes the right view as bright as the left one, None where the views are even enough.

    left, right   (H, W) float32 linear, 0 = black, NaN = unknown;   reduction   whole factor by which they were made smaller
    """
    if min(left.shape) * reduction < _LEAST_SIDE:
        return None
    factor = max(1, min(left.shape) // _GRID)
    small = [reduce(image, factor) for image in (left, right)]
    known = np.isfinite(small[0]) & np.isfinite(small[1])
    if not known.any():
        return None
    sigma = _SMOOTH * min(small[0].shape)
    light = [gaussian(np.where(known, image, np.float32(0)), sigma) for image in small]
    least = 1e-4 * max(float(light[0].max()), 1e-6)
    usable = (light[0] > least) & (light[1] > least)
    if not usable.any():
        return None
    ratio = np.where(usable, np.log(np.maximum(light[0], least) / np.maximum(light[1], least)), np.float32(0))
    low, high = np.percentile(ratio[usable], [5, 95])
    if high - low < _LEAST_SPAN:
        return None
    rows, columns = (shares(size, length, 0, size * factor).astype(np.float32)
                     for length, size in zip(left.shape, ratio.shape, strict=True))
    return np.exp(rows @ ratio.astype(np.float32) @ columns.T)
