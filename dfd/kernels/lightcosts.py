"""Views of a light field against its reference view: the cost of one disparity, and what is left at a map of disparities.

Sub-pixel shifts by the ten taps of `kernels.resample`.  Where a view does not reach it has no say.  Loops for the CPU; the
array versions are the reference that tests hold them against, and the path of the GPU.
"""

from __future__ import annotations

import numba
import numpy as np

from dfd.backend import array_module
from dfd.kernels.resample import FIRST, PHASES, TAPS, phase_table
from dfd.kernels.shiftadd import delay

_JIT = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}

MOMENTS = 10
"""Planes of `moments`."""


def costs(views, reference, places, disparity, members):
    """(G, H, W) float32 in 0..1: mean over each group of views of how far slopes differ at one disparity; NaN = no view.

    views       (K, H, W) float32, in units of the difference of slopes [1 / px] that counts fully
    reference   number of the view that the others are held against
    places      (K, 2) right and down [view steps];   disparity   px per view step
    members     (G, K) float32, weight of each view in each group
    Of a pixel and a view, |d/dx - d/dx'| and |d/dy - d/dy'|, each 1 at most and where there is no data, in the ratio of the
    reference's own slopes |d/dx| : |d/dy| (Jeon et al. 2015, equations 3 to 6, without their intensity term).
    """
    if array_module(views) is not np:
        return costs_arrays(views, reference, places, disparity, members)
    height, width = views.shape[1:]
    right, down, share = slopes(views[reference])
    total = np.zeros((len(members), height, width), np.float32)
    count, (between, moved) = np.zeros_like(total), np.empty((2, height, width), np.float32)
    for k, (shift_x, shift_y, columns, rows) in _moves(places, disparity, reference, (height, width)):
        _shift(views[k], *shift_x, *shift_y, between, moved)
        _add_costs(moved, right, down, share, columns, rows, members[:, k], total)
        count[:, slice(*rows), slice(*columns)] += members[:, k, None, None]
    return _mean(total, count, members)


def costs_arrays(views, reference, places, disparity, members):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the loops."""
    xp, shape = array_module(views), views.shape[1:]
    right, down, share = slopes(views[reference])
    total = xp.zeros((len(members), *shape), dtype=np.float32)
    count = xp.zeros_like(total)
    for k, (shift_x, shift_y, columns, rows) in _moves(places, disparity, reference, shape):
        moved = _along(_along(views[k], *shift_x, 1), *shift_y, 0)
        across, along, _ = slopes(moved)
        part = share * _limited(across - right) + (1 - share) * _limited(along - down)
        inside = (slice(None), slice(*rows), slice(*columns))
        weights = xp.asarray(members[:, k], dtype=np.float32)[:, None, None]
        total[inside] += weights * part[inside[1:]]
        count[inside] += weights
    return _mean(total, count, members)


def slopes(image):
    """(right, down, share of the first in the sum of their sizes) [1 / px] of an (H, W) image: central differences."""
    xp = array_module(image)
    padded = xp.pad(image, 1, mode="edge")
    right = np.float32(0.5) * (padded[1:-1, 2:] - padded[1:-1, :-2])
    down = np.float32(0.5) * (padded[2:, 1:-1] - padded[:-2, 1:-1])
    size = xp.abs(right) + xp.abs(down)
    return right, down, xp.where(size > 0, xp.abs(right) / xp.where(size > 0, size, 1), np.float32(0.5)).astype(np.float32)


def moments(views, reference, places, disparity, group, members, limit):
    """(10, H, W) float32: sums over views of w times 1, u, v, u u, u v, v v, e, u e, v e, e e.

    views, reference, places   as in `costs`;   disparity   (H, W) float32 [px per view step]
    group     (H, W) uint8, the row of members that a pixel listens to
    e         view at (y - d v, x - d u) less the reference;   w   weight of the view times (1 - (e / limit)^2)^2, 0 beyond
    """
    if array_module(views) is not np:
        return moments_arrays(views, reference, places, disparity, group, members, limit)
    out = np.zeros((MOMENTS, *views.shape[1:]), np.float32)
    for k in range(len(views)):
        if k != reference:
            _add_moments(views[k], views[reference], np.float32(places[k, 0]), np.float32(places[k, 1]), disparity, group,
                         members[:, k], np.float32(limit), phase_table(), out)
    return out


def moments_arrays(views, reference, places, disparity, group, members, limit):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the loops."""
    xp = array_module(views)
    out = xp.zeros((MOMENTS, *views.shape[1:]), dtype=np.float32)
    members = xp.asarray(members, dtype=np.float32)
    for k in range(len(views)):
        if k == reference:
            continue
        u, v = (np.float32(place) for place in places[k])
        seen, inside = _sampled(views[k], disparity, u, v)
        error = seen - views[reference]
        left = 1 - (error / np.float32(limit)) ** 2
        weight = xp.where(inside & (left > 0), members[:, k][group] * left * left, np.float32(0))
        error = xp.where(weight > 0, error, np.float32(0))
        for plane, factor in enumerate((1, u, v, u * u, u * v, v * v, error, u * error, v * error, error * error)):
            out[plane] += weight * factor
    return out


def _sampled(view, disparity, u, v):
    """(values at (y - d v, x - d u), whether that is inside the view)."""
    xp, (height, width) = array_module(view), view.shape
    x = xp.arange(width, dtype=np.float32)[None] - disparity * u
    y = xp.arange(height, dtype=np.float32)[:, None] - disparity * v
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    table = xp.asarray(phase_table())
    (column, across), (row, along) = (_placed(xp.where(inside, place, 0)) for place in (x, y))
    total = xp.zeros(view.shape, dtype=np.float32)
    for j in range(TAPS):
        line = xp.zeros(view.shape, dtype=np.float32)
        for i in range(TAPS):
            there = xp.clip(row + j + FIRST, 0, height - 1), xp.clip(column + i + FIRST, 0, width - 1)
            line += table[across, i] * view[there]
        total += table[along, j] * line
    return total, inside


def _placed(place):
    """(pixel before, phase in the table) of positions [px]."""
    xp = array_module(place)
    whole = xp.floor(place)
    return whole.astype(np.int64), ((place - whole) * np.float32(PHASES) + np.float32(0.5)).astype(np.int64)


def _moves(places, disparity, reference, shape):
    """Of each other view, its number and ((first, taps) in x, in y, columns and rows (first, behind last) it reaches)."""
    for k, place in enumerate(places):
        if k == reference:
            continue
        shifts = [float(disparity) * float(part) for part in place]
        reach = [(max(0, int(np.ceil(shift))), min(size, size + int(np.floor(shift))))
                 for shift, size in zip(shifts, shape[::-1], strict=True)]
        if all(first < last for first, last in reach):
            yield k, (delay(shifts[0]), delay(shifts[1]), *reach)


def _mean(total, count, members):
    """Means of groups; NaN where less than half of a group reaches, and of a whole group where none of it does."""
    xp = array_module(total)
    enough = count >= xp.asarray(0.5 * members.sum(axis=1), dtype=np.float32)[:, None, None]
    return xp.where(enough & (count > 0), total / xp.maximum(count, np.float32(1e-6)), np.float32(np.nan))


def _limited(difference):
    size = array_module(difference).abs(difference)
    return array_module(difference).where(size < 1, size, np.float32(1))


def _along(plane, first, taps, axis):
    """sum_t taps[t] plane[i + first + t] along an axis; the border repeats."""
    xp, size = array_module(plane), plane.shape[axis]
    total = xp.zeros_like(plane)
    for t in range(TAPS):
        total += np.float32(taps[t]) * xp.take(plane, xp.clip(xp.arange(size) + t + first, 0, size - 1), axis=axis)
    return total


@numba.njit(**_JIT)
def _shift(image, right, across, down, along, between, out):
    """out[y, x] = sum of along[j] across[i] image[y + down + j, x + right + i]; the border repeats."""
    height, width = image.shape
    row = np.empty(width + TAPS, np.float32)
    for y in range(height):
        for x in range(width + TAPS):
            row[x] = image[y, min(max(x + right, 0), width - 1)]
        for x in range(width):
            value = np.float32(0)
            for t in range(TAPS):
                value += across[t] * row[x + t]
            between[y, x] = value
    for y in range(height):
        for x in range(width):
            out[y, x] = 0
        for t in range(TAPS):
            there, tap = min(max(y + t + down, 0), height - 1), along[t]
            for x in range(width):
                out[y, x] += tap * between[there, x]


@numba.njit(**_JIT)
def _add_costs(moved, right, down, share, columns, rows, weights, total):
    height, width = moved.shape
    one, half = np.float32(1), np.float32(0.5)
    line = np.empty(width, np.float32)
    for y in range(rows[0], rows[1]):
        above, below = moved[max(y - 1, 0)], moved[min(y + 1, height - 1)]
        here = moved[y]
        for x in range(columns[0], columns[1]):
            across = abs(half * (here[min(x + 1, width - 1)] - here[max(x - 1, 0)]) - right[y, x])
            along = abs(half * (below[x] - above[x]) - down[y, x])
            across = across if across < one else one
            along = along if along < one else one
            line[x] = share[y, x] * across + (one - share[y, x]) * along
        for g in range(weights.size):
            if weights[g] > 0:
                for x in range(columns[0], columns[1]):
                    total[g, y, x] += weights[g] * line[x]


@numba.njit(**_JIT)
def _add_moments(view, reference, u, v, disparity, group, weights, limit, table, out):
    height, width = view.shape
    for y in range(height):
        for x in range(width):
            weight, place_x, place_y = weights[group[y, x]], x - disparity[y, x] * u, y - disparity[y, x] * v
            if weight == 0 or not (place_x >= 0 and place_y >= 0 and place_x <= width - 1 and place_y <= height - 1):
                continue
            column, row = int(place_x), int(place_y)
            across = table[int((place_x - column) * PHASES + 0.5)]
            along = table[int((place_y - row) * PHASES + 0.5)]
            value, near = np.float32(0), column + FIRST >= 0 and column + FIRST + TAPS <= width
            for j in range(TAPS):
                line, source = np.float32(0), view[min(max(row + j + FIRST, 0), height - 1)]
                if near:
                    for i in range(TAPS):
                        line += across[i] * source[column + i + FIRST]
                else:
                    for i in range(TAPS):
                        line += across[i] * source[min(max(column + i + FIRST, 0), width - 1)]
                value += along[j] * line
            error = value - reference[y, x]
            left = np.float32(1) - (error / limit) * (error / limit)
            if not left > 0:
                continue
            weight *= left * left
            out[0, y, x] += weight
            out[1, y, x] += weight * u
            out[2, y, x] += weight * v
            out[3, y, x] += weight * u * u
            out[4, y, x] += weight * u * v
            out[5, y, x] += weight * v * v
            out[6, y, x] += weight * error
            out[7, y, x] += weight * u * error
            out[8, y, x] += weight * v * error
            out[9, y, x] += weight * error * error
