"""Weighted, robust planes in a Gaussian window around every pixel: the fused loop for the CPU of `refine.fit_plane`.

The array version there is the reference that tests hold this one against, and the path of the GPU.
"""

from __future__ import annotations

import numba
import numpy as np


def fit_planes(values, deviation, middle, taps, passes):
    """(value, scatter) as in `refine.fit_plane`, (H, W) float64.

    values, deviation   (H, W), NaN = unknown;   middle   (H, W) median of 5 x 5 px, right where all of them are known
    taps                (3, 2 R + 1) float64: the window, times x, times x^2
    """
    values, deviation = (np.ascontiguousarray(array, dtype=np.float32) for array in (values, deviation))
    shape = values.shape
    weighted = np.empty((3, *shape))
    reference, scatter = middle.astype(np.float64), np.zeros(shape)
    _median_beside_holes(values, reference)
    for _ in range(passes):
        _weigh(values, deviation, reference, scatter, weighted)
        _regress(weighted, np.asarray(taps, np.float64), reference, scatter)
    return reference, scatter


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _median_beside_holes(values, middle):
    """Where a 5 x 5 window around a known pixel holds unknown ones, the median of the others, the lower of two middles."""
    height, width = values.shape
    unknown, found = np.empty(width, np.int64), np.empty(25, np.float32)
    for y in range(height):
        unknown[:] = 0
        for j in range(-2, 3):
            row = values[min(max(y + j, 0), height - 1)]
            for x in range(width):
                unknown[x] += row[x] != row[x]
        for x in range(width):
            holes = values[y, x] != values[y, x]
            for i in range(-2, 3):
                holes = holes or unknown[min(max(x + i, 0), width - 1)] > 0
            if not holes or values[y, x] != values[y, x]:
                continue
            middle[y, x] = _median_around(values, y, x, found)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _median_around(values, y, x, found):
    """The median of what is known in 5 x 5 px; edge pixels repeat.  `found` is room for 25 values."""
    height, width = values.shape
    count = 0
    for j in range(-2, 3):
        row = values[min(max(y + j, 0), height - 1)]
        for i in range(-2, 3):
            value = row[min(max(x + i, 0), width - 1)]
            if value != value:
                continue
            place = count
            while place > 0 and found[place - 1] > value:
                found[place] = found[place - 1]
                place -= 1
            found[place] = value
            count += 1
    return found[(count - 1) // 2]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _weigh(values, deviation, reference, scatter, weighted):
    """Weights, and they times values and times squared values; Tukey's biweight at 3 scatters of the reference."""
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            value, std = np.float64(values[y, x]), np.float64(deviation[y, x])
            weight = 0.0
            if abs(value) < np.inf:
                floor = std if std > 1e-9 else 1e-9
                # a NaN of the reference (no plane was found here) makes the last comparison false
                limit = 3 * (scatter[y, x] if scatter[y, x] > std else std)
                ratio = (value - reference[y, x]) / limit if limit > 0 else 0.0
                left = 1 - ratio * ratio
                weight = left * left / (floor * floor) if left > 0 else 0.0
            else:
                value = 0.0
            weighted[0, y, x] = weight
            weighted[1, y, x] = weight * value
            weighted[2, y, x] = weight * value * value


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _regress(weighted, taps, centre, scatter):
    """Sums of every window row by row, zero beyond the border, then its 3 x 3 normal equations."""
    height, width = centre.shape
    reach = taps.shape[1] // 2
    down = np.zeros((6, width + 2 * reach))
    sums = np.empty((10, width))
    for y in range(height):
        down[:] = 0.0
        for j in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
            one, first, second = taps[0, j + reach], taps[1, j + reach], taps[2, j + reach]
            _three(weighted[0, y + j], one, first, second, down[0, reach:], down[1, reach:], down[2, reach:])
            _two(weighted[1, y + j], one, first, down[3, reach:], down[4, reach:])
            _one(weighted[2, y + j], one, down[5, reach:])
        sums[:] = 0.0
        for i in range(2 * reach + 1):
            one, first, second = taps[0, i], taps[1, i], taps[2, i]
            _three(down[0, i:i + width], one, first, second, sums[0], sums[1], sums[3])
            _two(down[1, i:i + width], one, first, sums[2], sums[5])
            _one(down[2, i:i + width], one, sums[4])
            _two(down[3, i:i + width], one, first, sums[6], sums[7])
            _one(down[4, i:i + width], one, sums[8])
            _one(down[5, i:i + width], one, sums[9])
        _solve(sums, centre[y], scatter[y])


@numba.njit(nogil=True, cache=True)
def _three(row, one, first, second, total, moment, square):
    for x in range(row.size):
        total[x] += one * row[x]
        moment[x] += first * row[x]
        square[x] += second * row[x]


@numba.njit(nogil=True, cache=True)
def _two(row, one, first, total, moment):
    for x in range(row.size):
        total[x] += one * row[x]
        moment[x] += first * row[x]


@numba.njit(nogil=True, cache=True)
def _one(row, one, total):
    for x in range(row.size):
        total[x] += one * row[x]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _solve(sums, centre, scatter):
    for column in range(centre.size):
        total, x, y, xx, yy, xy, level, xv, yv, square = sums[:, column]
        if not total > 0:
            centre[column] = np.nan
            scatter[column] = np.nan
            continue
        xx += 1e-2 * total
        yy += 1e-2 * total
        minor = xx * yy - xy**2
        scale = 1 / (total * minor - x * (x * yy - xy * y) + y * (x * xy - xx * y))
        middle = (level * minor - x * (xv * yy - xy * yv) + y * (xv * xy - xx * yv)) * scale
        right = (total * (xv * yy - yv * xy) - level * (x * yy - xy * y) + y * (x * yv - xv * y)) * scale
        below = (total * (xx * yv - xy * xv) - x * (x * yv - xv * y) + level * (x * xy - xx * y)) * scale
        rest = (square - middle * level - right * xv - below * yv) / total
        centre[column] = middle
        scatter[column] = np.sqrt(max(rest, 0.0))
