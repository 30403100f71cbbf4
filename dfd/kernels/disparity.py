"""Two views of a dual-pixel sensor against each other along rows, and Gaussian messages along paths of an image.

Loops for the CPU; the array versions are the reference that tests hold them against, and the path of the GPU.
"""

from __future__ import annotations

import numba
import numpy as np

from dfd.backend import array_module

_JIT = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract"}}

_BEFORE, _BEHIND = 2, 3
"""Pixels that a sample between two pixels, and its slope, need on either side of the first."""


def compare(left, right, disparity):
    """(6, H, W) float32: slope^2, slope * difference, difference^2, known, mean, seen of two views half a disparity each.

    left, right   (H, W) float32, NaN = no data;   disparity   (H, W) float32 px, finite
    The left view at x + disparity / 2 and the right one at x - disparity / 2, by Catmull-Rom cubics: both lose the same
    where neither place is a pixel, so nothing draws the disparity to whole pixels.  difference = left - right, slope its
    change per px of disparity.  known: 1 where all samples lie within the views and have data, else 0, as are the first
    three; mean: of both views, or of the pixels themselves, or 0; seen: 0 where the pixel next to either place lies in the
    view and has no data.
    """
    if array_module(left, right, disparity) is not np:
        return compare_arrays(left, right, disparity)
    out = np.zeros((6, *left.shape), np.float32)
    _compare(np.ascontiguousarray(left), np.ascontiguousarray(right), np.ascontiguousarray(disparity), out)
    return out


def compare_arrays(left, right, disparity):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the loop."""
    xp = array_module(left, right, disparity)
    left_value, left_slope, left_known, left_seen = _sampled(left, disparity / 2)
    right_value, right_slope, right_known, right_seen = _sampled(right, -disparity / 2)
    known = left_known & right_known
    difference = xp.where(known, left_value - right_value, 0)
    slope = xp.where(known, (left_slope + right_slope) / 2, 0)
    own = xp.where(xp.isfinite(left + right), (left + right) / 2, 0)
    mean = xp.where(known, (left_value + right_value) / 2, own)
    planes = slope**2, slope * difference, difference**2, known, mean, left_seen & right_seen
    return xp.stack([plane.astype(np.float32) for plane in planes])


def _sampled(view, shift):
    """(value, slope, known, seen) of a view at x + shift."""
    xp, width = array_module(view), view.shape[1]
    place = xp.arange(width, dtype=np.float32)[None] + shift
    first = xp.floor(place)
    share = place - first
    inside = (first >= _BEFORE) & (first < width - _BEHIND)
    first = xp.clip(first, _BEFORE, max(width - _BEHIND - 1, _BEFORE)).astype(np.int64)
    taps = [xp.take_along_axis(view, xp.clip(first + k, 0, width - 1), axis=1) for k in range(-_BEFORE, _BEHIND + 1)]
    value, above, below = (_cubic_arrays(*taps[k:k + 4], share) for k in (1, 2, 0))
    nearest = xp.clip(xp.floor(place + np.float32(0.5)), 0, width - 1).astype(np.int64)
    seen = xp.isfinite(xp.take_along_axis(view, nearest, axis=1))
    return value, (above - below) / 2, inside & xp.isfinite(value + above + below), seen


def _cubic_arrays(a, b, c, d, share):
    return b + 0.5 * share * (c - a + share * (2 * a - 5 * b + 4 * c - d + share * (3 * (b - c) + d - a)))


@numba.njit(**_JIT, inline="always")
def _cubic(a, b, c, d, share):
    half, two, three, four, five = np.float32(0.5), np.float32(2), np.float32(3), np.float32(4), np.float32(5)
    return b + half * share * (c - a + share * (two * a - five * b + four * c - d + share * (three * (b - c) + d - a)))


@numba.njit(**_JIT)
def _compare(left, right, disparity, out):
    height, width = left.shape
    half = np.float32(0.5)
    for y in range(height):
        one, other = left[y], right[y]
        for x in range(width):
            shift = half * disparity[y, x]
            at, to = np.float32(x) + shift, np.float32(x) - shift
            near, far = np.floor(at), np.floor(to)
            nearest_left = min(max(np.int64(np.floor(at + half)), 0), width - 1)
            nearest_right = min(max(np.int64(np.floor(to + half)), 0), width - 1)
            out[5, y, x] = np.isfinite(one[nearest_left] + other[nearest_right])
            own = half * (one[x] + other[x])
            out[4, y, x] = own if np.isfinite(own) else np.float32(0)
            if not (near >= _BEFORE and far >= _BEFORE and near < width - _BEHIND and far < width - _BEHIND):
                continue
            i, j, s, t = np.int64(near), np.int64(far), at - near, to - far
            a = _cubic(one[i - 1], one[i], one[i + 1], one[i + 2], s)
            b = _cubic(other[j - 1], other[j], other[j + 1], other[j + 2], t)
            rise = (_cubic(one[i], one[i + 1], one[i + 2], one[i + 3], s)
                    - _cubic(one[i - 2], one[i - 1], one[i], one[i + 1], s))
            rise += (_cubic(other[j], other[j + 1], other[j + 2], other[j + 3], t)
                     - _cubic(other[j - 2], other[j - 1], other[j], other[j + 1], t))
            slope, difference = np.float32(0.25) * rise, a - b
            if np.isfinite(slope + difference):
                out[0, y, x] = slope * slope
                out[1, y, x] = slope * difference
                out[2, y, x] = difference * difference
                out[3, y, x] = 1
                out[4, y, x] = half * (a + b)


def gather(information, moment, across, down, roughness):
    """(information, moment), (H, W) float32 each, of every pixel and of all that is told to it along rows and columns.

    information     (H, W) float32 [1 / unit^2], 1 / variance of what a pixel knows by itself, 0 = nothing
    moment          (H, W) float32 [1 / unit], information times value
    across, down    (H, W) float32, 0 to 1: share of the information that passes between a pixel and the next in its row,
                    in its column; the last is not used
    roughness       (H, W) float32 [unit^2 / px], > 0, variance by which the value of a pixel differs from the next in its row,
                    in its column
    A value is a random walk along each path, so what a pixel knows, a, arrives at the next as a / (1 + roughness * a), a
    Kalman filter forwards and backwards.  Along rows and then along the pixel's column: exact on that tree (rows that hang
    on one column; Bleyer and Gelautz 2008), as on the other of columns that hang on its row; the mean of both.
    """
    if array_module(information, moment, across, down, roughness) is not np:
        return gather_arrays(information, moment, across, down, roughness)
    planes = information, moment
    total, part = (tuple(np.zeros(information.shape, np.float32) for _ in range(2)) for _ in range(2))
    _along_rows(*planes, across, roughness, *part)
    _along_columns(*part, down, roughness, *total)
    for plane in part:
        plane[:] = 0
    _along_columns(*planes, down, roughness, *part)
    _along_rows(*part, across, roughness, *total)
    for plane in total:
        plane *= np.float32(0.5)
    return total


def gather_arrays(information, moment, across, down, roughness):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the loops."""
    own = information, moment
    rows = _along_arrays(*own, across, roughness, 1)
    columns = _along_arrays(*own, down, roughness, 0)
    one, other = _along_arrays(*rows, down, roughness, 0), _along_arrays(*columns, across, roughness, 1)
    return tuple((first + second) * np.float32(0.5) for first, second in zip(one, other, strict=True))


def _along_arrays(information, moment, share, roughness, axis):
    xp = array_module(information)
    if axis:
        return tuple(plane.T for plane in _along_arrays(information.T, moment.T, share.T, roughness.T, 0))
    totals = information.copy(), moment.copy()
    count = len(information)
    for order, step in ((range(count - 1), 1), (range(count - 1, 0, -1), -1)):
        told, said = (xp.zeros(information.shape[1], dtype=np.float32) for _ in range(2))
        for k in order:
            known, meant = information[k] + told, moment[k] + said
            first = min(k, k + step)
            factor = share[first] / (1 + roughness[first] * known)
            told, said = known * factor, meant * factor
            totals[0][k + step] += told
            totals[1][k + step] += said
    return totals


@numba.njit(**_JIT)
def _along_rows(information, moment, share, rough, total, product):
    """Add to total and product what each pixel knows and is told from both ends of its row."""
    height, width = information.shape
    for y in range(height):
        a, b, passed, steps, sums, products = information[y], moment[y], share[y], rough[y], total[y], product[y]
        told, said = np.float32(0), np.float32(0)
        for x in range(width):
            known, meant = a[x] + told, b[x] + said
            sums[x] += known
            products[x] += meant
            factor = passed[x] / (np.float32(1) + steps[x] * known)
            told, said = known * factor, meant * factor
        told, said = np.float32(0), np.float32(0)
        for x in range(width - 1, 0, -1):
            known, meant = a[x] + told, b[x] + said
            factor = passed[x - 1] / (np.float32(1) + steps[x - 1] * known)
            told, said = known * factor, meant * factor
            sums[x - 1] += told
            products[x - 1] += said


@numba.njit(**_JIT)
def _along_columns(information, moment, share, rough, total, product):
    """`_along_rows` for columns, a row at a time."""
    height, width = information.shape
    told, said = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for y in range(height):
        _pass_on(information[y], moment[y], share[y], rough[y], told, said, total[y], product[y], True)
    told[:] = 0
    said[:] = 0
    for y in range(height - 1, -1, -1):
        total[y] += told
        product[y] += said
        above = max(y - 1, 0)
        _pass_on(information[y], moment[y], share[above], rough[above], told, said, total[y], product[y], False)


@numba.njit(**_JIT)
def _pass_on(information, moment, share, rough, told, said, total, product, add):
    for x in range(information.size):
        known, meant = information[x] + told[x], moment[x] + said[x]
        if add:
            total[x] += known
            product[x] += meant
        factor = share[x] / (np.float32(1) + rough[x] * known)
        told[x], said[x] = known * factor, meant * factor
