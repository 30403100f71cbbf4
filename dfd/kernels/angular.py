"""Views of a light field sheared to one disparity: their mean and standard deviation over the pupil at every pixel.

Bilinear shifts: the classical methods weigh hundreds of planes, and two taps per axis are a fifth of the work of ten.  Loops
for the CPU; the array version is the reference that tests hold them against, and the path of the GPU.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from dfd.backend import array_module


def sheared(views, places, disparity):
    """(mean, deviation), (H, W) float32, of (K, H, W) float32 views at (y - d v, x - d u); NaN where no view reaches.

    places   (K, 2) right and down [view steps];   disparity   px per view step
    """
    if array_module(views) is not np:
        return sheared_arrays(views, places, disparity)
    sums = np.zeros((3, *views.shape[1:]), np.float32)
    for k, column, row, (across, along), inside in _moves(places, disparity, views.shape[1:]):
        _add(views[k], column, row, np.float32(across), np.float32(along), np.array(inside), sums)
    return _statistics(sums)


def sheared_arrays(views, places, disparity):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the loops."""
    xp, (height, width) = array_module(views), views.shape[1:]
    sums = xp.zeros((3, height, width), dtype=np.float32)
    for k, column, row, (across, along), (top, bottom, left, right) in _moves(places, disparity, (height, width)):
        padded = xp.pad(views[k], ((0, 1), (0, 1)), mode="edge")
        there = padded[top + row:bottom + row + 1, left + column:right + column + 1]
        line = (1 - np.float32(across)) * there[:, :-1] + np.float32(across) * there[:, 1:]
        value = (1 - np.float32(along)) * line[:-1] + np.float32(along) * line[1:]
        for plane, part in zip(sums, (1, value, value * value), strict=True):
            plane[top:bottom, left:right] += part
    return _statistics(sums)


def _moves(places, disparity, shape):
    """Of each view: number, whole px right and down, the rest, and what it reaches (top, bottom, left, right)."""
    for k, place in enumerate(places):
        shifts = [-float(disparity) * float(part) for part in place]
        wholes = [math.floor(shift) for shift in shifts]
        ends = []
        for shift, size in zip(reversed(shifts), shape, strict=True):
            ends += [max(0, math.ceil(-shift)), min(size, size - math.ceil(shift))]
        if ends[0] < ends[1] and ends[2] < ends[3]:
            yield k, *wholes, [shift - whole for shift, whole in zip(shifts, wholes, strict=True)], ends


def _statistics(sums):
    xp = array_module(sums)
    count = xp.where(sums[0] > 0, sums[0], xp.float32(np.nan))
    mean = sums[1] / count
    return mean, xp.sqrt(xp.maximum(sums[2] / count - mean * mean, np.float32(0)))


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _add(view, column, row, across, along, inside, sums):
    height, width = view.shape
    one = np.float32(1)
    for y in range(inside[0], inside[1]):
        upper, lower = view[y + row], view[min(y + row + 1, height - 1)]
        for x in range(inside[2], inside[3]):
            here, beside = x + column, min(x + column + 1, width - 1)
            value = ((one - along) * ((one - across) * upper[here] + across * upper[beside])
                     + along * ((one - across) * lower[here] + across * lower[beside]))
            sums[0, y, x] += one
            sums[1, y, x] += value
            sums[2, y, x] += value * value
