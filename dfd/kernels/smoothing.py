"""Edge-aware smoothing of a map by planes fitted to the neighbours that a guide image takes for the same surface.

The fused loop for the CPU of `refine.smooth`.  The array version there is the reference that tests hold this one against,
and the path of the GPU.
"""

from __future__ import annotations

import numba
import numpy as np

_PART = 256
"""Columns at a time: what the loops write stays in the nearest cache."""


def smooth_map(values, precision, guide, window, ridge, correlation):
    """(value, sigma), (H, W) float64, as in `refine.smooth`; of unknown pixels no number is meant.

    values      (H, W) float64, 0 where unknown;   precision   (H, W) float64, 1 / sigma, 0 where unknown
    guide       (H, W) float32 in units of the tolerance, NaN = unknown
    window      (2 R + 1, 2 R + 1) float64, 1 in the middle;   ridge   px^2;   correlation   px
    """
    out = np.empty((2, *values.shape))
    _smooth(values, precision, np.ascontiguousarray(guide), window, float(ridge), float(correlation), out)
    return out[0], out[1]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _smooth(values, precision, guide, window, ridge, correlation, out):
    height, width = values.shape
    side = window.shape[0]
    reach = side // 2
    share = np.empty((side, side, _PART))
    sums, line = np.empty((9, _PART)), np.empty((3, _PART))
    for y in range(height):
        rows = range(max(-reach, -y), min(reach, height - 1 - y) + 1)
        for start in range(0, width, _PART):
            stop = min(start + _PART, width)
            sums[:] = 0
            for j in rows:
                line[:] = 0
                for i in range(-reach, reach + 1):
                    first, last = max(start, -i), min(stop, width - i)
                    if window[j + reach, i + reach] == 0 or first >= last:
                        continue
                    part, here, there = slice(first - start, last - start), slice(first, last), slice(first + i, last + i)
                    weights = share[j + reach, i + reach, part]
                    if i == 0 and j == 0:
                        weights[:] = 1  # also where the guide is unknown
                    else:
                        _weigh(guide[y, here], guide[y + j, there], window[j + reach, i + reach], weights)
                    _moments(weights, precision[y + j, there], float(i), line[0, part], line[1, part], line[2, part])
                _gather(line, float(j), sums)
            _solve(sums, ridge)
            for j in rows:
                for i in range(-reach, reach + 1):
                    first, last = max(start, -i), min(stop, width - i)
                    if window[j + reach, i + reach] == 0 or first >= last:
                        continue
                    part, there = slice(first - start, last - start), slice(first + i, last + i)
                    _apply(share[j + reach, i + reach, part], precision[y + j, there], values[y + j, there], float(i),
                           float(j), sums[:, part])
            for x in range(start, stop):
                out[0, y, x] = sums[6, x - start]
                out[1, y, x] = min(correlation * np.sqrt(sums[7, x - start]), sums[8, x - start])


@numba.njit(nogil=True, cache=True)
def _weigh(here, there, near, weights):
    """Tukey's biweight of the difference of the guide, times the weight of the distance; 0 where the guide is unknown."""
    for x in range(weights.size):
        difference = np.float64(here[x] - there[x])
        left = 1 - difference * difference
        left = left if left > 0 else 0.0
        weights[x] = near * left * left


@numba.njit(nogil=True, cache=True)
def _moments(weights, precision, i, total, first, second):
    for x in range(weights.size):
        weight = weights[x] * precision[x] * precision[x]
        total[x] += weight
        first[x] += i * weight
        second[x] += i * i * weight


@numba.njit(nogil=True, cache=True)
def _gather(line, j, sums):
    """A row of the window into the sums of weights times 1, x, y, x^2, x y, y^2."""
    for x in range(line.shape[1]):
        sums[0, x] += line[0, x]
        sums[1, x] += line[1, x]
        sums[2, x] += j * line[0, x]
        sums[3, x] += line[2, x]
        sums[4, x] += j * line[1, x]
        sums[5, x] += j * j * line[0, x]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _solve(sums, ridge):
    """Into the first three rows: what weights are multiplied by, as a plane over the window, to give its value here."""
    for x in range(sums.shape[1]):
        total = sums[0, x]
        right, down = sums[1, x] / total, sums[2, x] / total
        xx = sums[3, x] / total - right * right + ridge
        xy = sums[4, x] / total - right * down
        yy = sums[5, x] / total - down * down + ridge
        scale = 1 / (xx * yy - xy * xy)
        slope_x, slope_y = (xy * down - yy * right) * scale, (xy * right - xx * down) * scale
        sums[0, x] = (1 - slope_x * right - slope_y * down) / total
        sums[1, x] = slope_x / total
        sums[2, x] = slope_y / total


@numba.njit(nogil=True, cache=True)
def _apply(weights, precision, values, i, j, sums):
    """Add the values, the variances of what they give, and their standard deviations to the last three rows."""
    level, slope_x, slope_y, value, variance, deviation = sums[0], sums[1], sums[2], sums[6], sums[7], sums[8]
    for x in range(weights.size):
        part = weights[x] * precision[x] * (level[x] + i * slope_x[x] + j * slope_y[x])
        value[x] += part * precision[x] * values[x]
        variance[x] += part * part
        deviation[x] += abs(part)
