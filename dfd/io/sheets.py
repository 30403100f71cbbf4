"""White sheets: how much more light one half of the pupil sends to each place of the sensor than the other.

The ratio of two pictures of an evenly lit white surface, black subtracted, through the left and through the right half;
averaged over a box of 101 px (Xin et al. 2021).  It multiplies the right view before anything else is made of it.
"""

from __future__ import annotations

import numpy as np

_BOX = 101
_LEAST, _MOST = 0.1, 10.0
_LEAST_SHARE = 0.5


def shading(left: np.ndarray, right: np.ndarray, size: tuple[int, int], names) -> np.ndarray:
    """(H, W) float32 smoothed ratio left / right of two white sheets, positive everywhere.

    left, right   (h, w) float32 linear light, NaN = saturated, both of one size, at least that of the views
    size          (H, W) px of the views: of larger sheets their middle is taken
    names         of the two sheets, for messages
    Raises ValueError for sizes that do not fit, sheets that are too dark or saturated, and ratios that are none of halves.
    """
    if left.shape != right.shape or any(own < asked for own, asked in zip(left.shape, size, strict=True)):
        shapes = " and ".join(f"{name} {image.shape[1]} x {image.shape[0]} px"
                              for name, image in zip(names, (left, right), strict=True))
        raise ValueError(f"white sheets ({shapes}) must both have the size of the views, {size[1]} x {size[0]} px, or one "
                         "larger size of which the views are the middle; cut them alike")
    top, side = ((own - asked) // 2 for own, asked in zip(left.shape, size, strict=True))
    ratio = _smoothed(left, right, names)[top:top + size[0], side:side + size[1]]
    if not (ratio.min() >= _LEAST and ratio.max() <= _MOST):
        raise ValueError(f"white sheets {names[0]} and {names[1]}: their ratio runs from {ratio.min():.3g} to "
                         f"{ratio.max():.3g}, that of two halves of a pupil lies within {_LEAST:g} to {_MOST:g}; are they "
                         "of an evenly lit white surface, and is black_level right?")
    return ratio


def _smoothed(left, right, names):
    """Mean of left / right over the box, of the pixels where both are known and not dark."""
    from scipy.ndimage import uniform_filter

    dark = 0.02 * np.float32(np.nanmedian(left))
    known = (left > dark) & (right > 0.02 * np.float32(np.nanmedian(right)))
    share = float(known.mean())
    if not share >= _LEAST_SHARE:
        raise ValueError(f"white sheets {names[0]} and {names[1]}: {100 * share:.3g} % of their pixels are neither dark nor "
                         f"saturated, at least {100 * _LEAST_SHARE:g} % are needed; expose them at half of white")
    ratio = np.divide(left, right, out=np.zeros_like(left), where=known)
    weight = uniform_filter(known.astype(np.float32), _BOX, mode="nearest")
    total = uniform_filter(ratio, _BOX, mode="nearest")
    fallback = np.float32(ratio[known].mean())
    return np.divide(total, weight, out=np.full_like(left, fallback), where=weight > 1e-3)
