"""From a volume of costs to the best label of every pixel, the place between labels, and the next best basin.

Loops for the CPU; the array versions are the reference that tests hold them against, and the path of the GPU.
"""

from __future__ import annotations

import numba
import numpy as np

from dfd.backend import array_module

HIGHEST = np.int32(0x7FFFFFFF)
"""No `rank` is above it."""


def winner(volume, *, apart: int):
    """(label, offset, least, second), each (H, W): the least value of every pixel's curve, and of its next best basin.

    volume   (H, W, L) float32, NaN = no data, as aggregation.aggregate gives it, of 2 labels or more
    apart    labels; a basin whose bottom is farther than this from the winner is another one
    label    int32, the first of equals, -1 = no data.  0 and L - 1 are ends of the grid: no measurement, but a bound
    offset   float32, -0.5 to 0.5: from the label to the vertex of the parabola through it and its neighbours, NaN at ends
    least    float32, the value at the label
    second   float32, the least bottom (lower than what is beside it; at an end of the grid than its one neighbour) of
             another basin, inf = there is none
    """
    if array_module(volume) is not np:
        return winner_arrays(volume, apart=apart)
    shape = volume.shape[:2]
    label, found = np.empty(shape, np.int32), tuple(np.empty(shape, np.float32) for _ in range(3))
    _winners(np.ascontiguousarray(volume, dtype=np.float32), apart, label, *found)
    return label, *found


def winner_arrays(volume, *, apart):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the loop."""
    xp, last = array_module(volume), volume.shape[2] - 1
    known = xp.isfinite(volume.sum(axis=2))
    label = xp.argmin(volume, axis=2)

    def at(place):
        return xp.take_along_axis(volume, xp.clip(place, 0, last)[:, :, None], axis=2)[:, :, 0]

    least = at(label)
    one, other = at(label - 1) - least, at(label + 1) - least
    inside = known & (label > 0) & (label < last)
    offset = (one - other) / xp.where(one + other > 0, 2 * (one + other), np.float32(1))
    nothing = np.float32(np.nan)
    return (xp.where(known, label, -1).astype(np.int32), xp.where(inside, offset, nothing), xp.where(known, least, nothing),
            xp.where(known, _other_basin(volume, label, apart), nothing))


def _other_basin(volume, label, apart):
    """The least bottom that is farther than `apart` from the label; a bottom may be several equal values long."""
    xp, labels = array_module(volume), volume.shape[2]
    nothing = xp.full(label.shape, np.inf, dtype=np.float32)
    second, before = nothing, volume[:, :, 0]
    start, falling = xp.zeros_like(label), xp.ones(label.shape, dtype=bool)
    for k in range(1, labels + 1):
        value = volume[:, :, k] if k < labels else nothing
        rises, falls = falling & (value > before), value < before
        away = (start > label + apart) | (k - 1 < label - apart)
        second = xp.where(rises & away, xp.minimum(second, before), second)
        start, falling, before = xp.where(falls, k, start), falls | (falling & ~rises), value
    return second


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _winners(volume, apart, label, offset, least, second):
    labels = volume.shape[2]
    line = np.full(labels + 2, np.inf, np.float32)  # a curve with a wall on either side
    for y in range(volume.shape[0]):
        for x in range(volume.shape[1]):
            curve = volume[y, x]
            label[y, x], offset[y, x], least[y, x], second[y, x] = -1, np.nan, np.nan, np.nan
            if not is_known(curve):
                continue
            low = _least(curve)
            best = 0
            while curve[best] != low:
                best += 1
            for k in range(labels):  # compiles in a tenth of the time of line[1:-1] = curve
                line[k + 1] = curve[k]
            label[y, x], least[y, x], second[y, x] = best, low, _other_bottom(line, best - apart, best + apart)
            if 0 < best < labels - 1:
                one, other = curve[best - 1] - low, curve[best + 1] - low
                offset[y, x] = (one - other) / (2 * (one + other)) if one + other > 0 else 0


@numba.njit(nogil=True, cache=True)
def _other_bottom(line, first, last):
    """The least bottom of a curve with walls, wholly before label `first` or behind `last`; inf if there is none.

    Where equal values touch, what is as low as both its neighbours may lie on a slope: only then it takes a closer look.
    """
    flat, sharp = np.float32(np.inf), np.float32(np.inf)
    if first > 0:
        flat, sharp = _dips(line[:first + 2])
    if last + 3 < line.size:
        more = _dips(line[last + 1:])
        flat, sharp = min(flat, more[0]), min(sharp, more[1])
    return sharp if sharp == flat else _bottom(line[1:-1], first, last)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "nnan"})
def _dips(values):
    """The least of the values that are not above both their neighbours, and of those that are below both."""
    flat, sharp, nothing = HIGHEST, HIGHEST, np.float32(np.inf)
    for k in range(values.size - 2):
        one, value, other = values[k], values[k + 1], values[k + 2]
        beside = one if one < other else other
        level = rank(value if value <= beside else nothing)
        below = rank(value if value < beside else nothing)
        flat = level if level < flat else flat
        sharp = below if below < sharp else sharp
    return number(flat), number(sharp)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "nnan"})
def _least(values):
    low = HIGHEST
    for k in range(values.size):
        place = rank(values[k])
        low = place if place < low else low
    return number(low)


@numba.njit(nogil=True, cache=True)
def _bottom(curve, first, last):
    """As `_other_bottom`, label by label: a bottom may be several equal values long."""
    low, start, falling, before = np.float32(np.inf), 0, True, curve[0]
    for k in range(1, curve.size + 1):
        value = curve[k] if k < curve.size else np.float32(np.inf)
        if falling and value > before:
            falling = False
            if (start > last or k - 1 < first) and before < low:
                low = before
        elif value < before:
            falling, start = True, k
        before = value
    return low


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def is_known(costs):
    """False where a value of a curve is not finite."""
    total = np.float32(0)
    for k in range(costs.size):
        total += costs[k]
    return abs(total) < np.inf


@numba.njit(nogil=True, cache=True)
def rank(value):
    """An integer in the order of float32 numbers: of integers a compiler knows how to find the least several at a time."""
    bits = np.float32(value).view(np.int32)
    return np.int32(bits ^ ((bits >> 31) & HIGHEST))


@numba.njit(nogil=True, cache=True)
def number(place):
    """The float32 number of a `rank`."""
    return np.int32(place ^ ((place >> 31) & HIGHEST)).view(np.float32)
