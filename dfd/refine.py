"""Work on finished values: fit planes to them with an honest scatter, smooth them up to edges, or fill what is unknown."""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import array_module, scipy_module
from dfd.imaging import median5, separable

_RIDGE = 1e-6
"""Spread [px^2] added to that of the neighbours in `smooth`, so that a lone pixel, or a line of them, has a plane too."""


def fit_plane(values, deviation, *, std: float, passes: int = 2):
    """Weighted, robust fit of a plane to `values` in a Gaussian window around every pixel (locally linear regression).

    values      (H, W), NaN = unknown
    deviation   (H, W) predicted 1-sigma of each value, same unit
    std         std of the window [px]
    Returns (value, scatter): the plane at the pixel's centre, and the weighted rms of the residuals in its window, both
    (H, W) float64 and NaN where the window holds nothing.  Residuals beyond 3 scatters lose their weight (Tukey's
    biweight, first against the median of what is known in 5 x 5 px, then against the plane), so that a step in depth stays
    a step and a lone island is measured by itself.
    """
    if array_module(values) is not np:
        return fit_plane_arrays(values, deviation, std=std, passes=passes)
    from dfd.kernels.planes import fit_planes

    middle = median5(np.where(np.isfinite(values), values, 0))
    return fit_planes(values, deviation, middle, np.stack(_moments(std)), passes)


def fit_plane_arrays(values, deviation, *, std, passes=2):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the fused loop."""
    xp, taps = array_module(values), _moments(std)
    middle = _median_of_known(values)
    known = xp.isfinite(values)
    clean = xp.where(known, values, 0).astype(np.float64)
    prior = xp.where(known, 1 / xp.maximum(deviation, 1e-9) ** 2, 0).astype(np.float64)
    reference, scatter = middle.astype(np.float64), None
    for _ in range(passes):
        weight = prior * _biweight(clean - reference, scatter, deviation)
        reference, scatter = _regress(clean, weight, taps)
    return reference, scatter


def _median_of_known(values):
    """(H, W) median over 5 x 5 px of what is known, the lower of two middles; NaN where nothing is; edge pixels repeat."""
    xp = array_module(values)
    height, width = values.shape
    padded = xp.pad(values.astype(np.float32), 2, mode="edge")
    around = xp.stack([padded[j:j + height, i:i + width] for j in range(5) for i in range(5)])
    around = xp.sort(xp.where(xp.isfinite(around), around, xp.float32(np.inf)), axis=0)
    known = xp.sum(xp.isfinite(around), axis=0)
    middle = xp.take_along_axis(around, xp.maximum(known - 1, 0)[None] // 2, axis=0)[0]
    return xp.where(known > 0, middle, xp.float32(np.nan))


def _biweight(residual, scatter, deviation):
    """Tukey's weights at 3 scatters; 0 where there is no residual: no plane was found there."""
    xp = array_module(residual)
    limit = 3 * (deviation if scatter is None else xp.maximum(scatter, deviation))
    ratio = xp.where(limit > 0, residual / limit, 0)
    ratio = xp.where(xp.isnan(residual), 1, ratio)
    return xp.where(xp.abs(ratio) < 1, (1 - ratio**2) ** 2, 0)


def _moments(std):
    reach = math.ceil(3 * std)
    axis = np.arange(-reach, reach + 1.0)
    window = np.exp(-0.5 * (axis / std) ** 2)
    window /= window.sum()
    return window, window * axis, window * axis**2


def _regress(values, weight, taps):
    """Solve the 3 x 3 normal equations of value = a + b x + c y in every window; return a and the rms residual."""
    xp = array_module(values)
    one, first, second = taps
    weighted = weight * values
    total, x, y = separable(weight, one, one), separable(weight, one, first), separable(weight, first, one)
    xx, yy, xy = separable(weight, one, second), separable(weight, second, one), separable(weight, first, first)
    level, x_value, y_value = separable(weighted, one, one), separable(weighted, one, first), separable(weighted, first, one)
    square = separable(weighted * values, one, one)
    ridge = 1e-2 * total
    xx, yy = xx + ridge, yy + ridge
    minor = xx * yy - xy**2
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / (total * minor - x * (x * yy - xy * y) + y * (x * xy - xx * y))
        centre = (level * minor - x * (x_value * yy - xy * y_value) + y * (x_value * xy - xx * y_value)) * scale
        right = (total * (x_value * yy - y_value * xy) - level * (x * yy - xy * y) + y * (x * y_value - x_value * y)) * scale
        down = (total * (xx * y_value - xy * x_value) - x * (x * y_value - x_value * y) + level * (x * xy - xx * y)) * scale
        residual = (square - centre * level - right * x_value - down * y_value) / total
        enough = total > 0
        return (xp.where(enough, centre, np.nan), xp.where(enough, xp.sqrt(xp.maximum(residual, 0)), np.nan))


def smooth(values, sigma, guide, *, radius: int, tolerance: float, correlation: float = 1.0):
    """Confidence-weighted, edge-aware smoothing: (values, sigma) of planes fitted around every pixel.

    values        (H, W), NaN = unknown, and unknown it stays
    sigma         (H, W) 1-sigma of each value, same unit; NaN = the value is unknown
    guide         (H, W) image; where it is NaN a value is kept as it is
    radius        px; a neighbour weighs (1 - (distance / (radius + 1))^2)^2
    tolerance     unit of the guide: times the same function of (difference of the guide / tolerance), over sigma^2, so that
                  nothing crosses an edge of at least this much.  An edge that the guide does not show is smoothed
    correlation   side [px] of the window that a value was measured in: errors are alike as far as such windows overlap
    Slanted planes come back as they are, up to the border and beside what is unknown (a joint bilateral filter, Petschnigg
    et al. 2004, of first order).  The sigma returned is a bound: of errors each correlated with others to a sum of n =
    correlation^2, the weighted mean has at most n times the variance of independent ones, and at most the square of the
    weighted mean of the sigmas.  Raises ValueError for shapes that differ or a number out of range.
    """
    if array_module(values, sigma, guide) is not np:
        return smooth_arrays(values, sigma, guide, radius=radius, tolerance=tolerance, correlation=correlation)
    from dfd.kernels.smoothing import smooth_map

    return _smooth(smooth_map, values, sigma, guide, radius, tolerance, correlation)


def smooth_arrays(values, sigma, guide, *, radius, tolerance, correlation=1.0):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the fused loop."""
    return _smooth(_smooth_map, values, sigma, guide, radius, tolerance, correlation)


def _smooth(path, values, sigma, guide, radius, tolerance, correlation):
    _check_smooth(values, sigma, guide, radius, tolerance, correlation)
    xp = array_module(values)
    known = xp.isfinite(values) & xp.isfinite(sigma)
    clean = xp.where(known, values, 0).astype(np.float64)
    precision = xp.where(known, 1 / xp.maximum(xp.where(known, sigma, 1).astype(np.float64), 1e-9), 0)
    found = path(clean, precision, (guide / tolerance).astype(np.float32), _disc(radius), _RIDGE, correlation)
    return tuple(xp.where(known, array, np.nan).astype(values.dtype) for array in found)


def _check_smooth(values, sigma, guide, radius, tolerance, correlation):
    if not values.shape == sigma.shape == guide.shape:
        raise ValueError(f"values {values.shape}, sigma {sigma.shape} and guide {guide.shape} must have one shape, in px")
    if radius != int(radius) or radius < 1:
        raise ValueError(f"radius ({radius} px) must be a whole number of 1 px or more; 3 px takes in 45 pixels")
    if not tolerance > 0:
        raise ValueError(f"tolerance ({tolerance}, unit of the guide) must be above 0: a few times the noise of the guide")
    if not correlation >= 1:
        raise ValueError(f"correlation ({correlation} px) must be 1 px or more: 1 px for errors independent of each other")


def _disc(radius):
    """(2 R + 1, 2 R + 1) weights of the distance, 1 in the middle."""
    axis = np.arange(-radius, radius + 1.0) / (radius + 1)
    return np.maximum(1 - axis**2 - axis[:, None] ** 2, 0) ** 2


def _smooth_map(values, precision, guide, window, ridge, correlation):
    """kernels.smoothing.smooth_map in whole-array operations."""
    xp, reach = array_module(values), window.shape[0] // 2
    height, width = values.shape
    values, precision = (xp.pad(array, reach) for array in (values, precision))
    around = xp.pad(guide, reach, constant_values=np.nan)

    def neighbours():
        for j, i in zip(*np.nonzero(window), strict=True):
            there = slice(int(j), int(j) + height), slice(int(i), int(i) + width)
            left = xp.maximum(1 - (guide - around[there]).astype(np.float64) ** 2, 0)
            left = xp.where(xp.isnan(left), 0, left) if (i, j) != (reach, reach) else xp.ones_like(left)
            yield int(i) - reach, int(j) - reach, float(window[j, i]) * left**2 * precision[there], precision[there], there

    sums = xp.zeros((6, height, width))
    for i, j, part, sharp, _ in neighbours():
        for row, factor in enumerate((1, i, j, i * i, i * j, j * j)):
            sums[row] += factor * part * sharp
    total = xp.where(sums[0] > 0, sums[0], 1)
    right, down, xx, xy, yy = (moment / total for moment in sums[1:])
    xx, xy, yy = xx - right**2 + ridge, xy - right * down, yy - down**2 + ridge
    scale = 1 / (xx * yy - xy**2)
    slope_x, slope_y = (xy * down - yy * right) * scale, (xy * right - xx * down) * scale
    value, variance, deviation = xp.zeros((3, height, width))
    for i, j, part, sharp, there in neighbours():
        part = part * (1 + slope_x * (i - right) + slope_y * (j - down)) / total
        value, variance, deviation = value + part * sharp * values[there], variance + part**2, deviation + xp.abs(part)
    return value, xp.minimum(correlation * xp.sqrt(variance), deviation)


def fill(values):
    """`values` (H, W) with every NaN replaced by the nearest known value: half a gap beside a step goes to each side.

    Known pixels are returned bit for bit; a map without any known pixel is returned as it is.
    """
    xp = array_module(values)
    unknown = xp.isnan(values)
    if not bool(unknown.any()) or bool(unknown.all()):
        return values
    nearest = scipy_module(values).ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return values[tuple(nearest)]
