"""Shift and add: the views of a light field, each moved by its own constant shift, averaged into one picture.

    out(y, x) = sum_k w_k L_k(y - dy_k, x - dx_k) / sum_k w_k        over the views k that reach (y, x)

The sub-pixel part of a shift goes through the ten-tap fractional delay of `dfd.kernels.resample`, rows and columns apart,
because all pixels of a view share it.  A view that ends before (y, x) is left out there; where less than `least` of all
weight is left, the result is NaN.
"""

from __future__ import annotations

import numba
import numpy as np

from dfd.backend import array_module
from dfd.kernels.resample import FIRST, TAPS, phase_table
from dfd.threads import in_order, worker_count

LEAST = 0.5
"""Least share of the weight that must reach a pixel: half a pupil still has an aperture, less has another shape."""

_BAND = 32  # output rows of one piece: its intermediate rows stay in the cache


def shift_add(views, dy, dx, weights, *, least: float = LEAST, workers: int | None = None):
    """(H, W) float32 mean of (K, H, W) float32 views moved down by dy and right by dx [px], (K,) floats; weights (K,) >= 0.

    On the device of the views.  Raises ValueError when all weights are zero.
    """
    moves = [(index, float(y), float(x), float(weight))
             for index, (y, x, weight) in enumerate(zip(dy, dx, weights, strict=True)) if weight > 0]
    if not moves:
        raise ValueError("all weights of the views are 0; nothing is left to average")
    if array_module(views) is not np:
        return _on_arrays(views, moves, least)
    order, shifts, taps = _plan(moves, views.shape[1:])
    out = np.empty(views.shape[1:], np.float32)
    share = np.array([move[3] for move in moves])
    share = (share / share.sum()).astype(np.float32)

    def fill(top):
        _add_band(views, order, shifts, taps, share, np.float32(least), out, top, min(top + _BAND, out.shape[0]))

    for _ in in_order(fill, range(0, out.shape[0], _BAND), worker_count(workers)):
        pass
    return out


def delay(shift: float) -> tuple[int, np.ndarray]:
    """(first, taps): v(x - shift) = sum_i taps[i] v(x + first + i), (10,) float32 that sum to 1."""
    table = phase_table()
    whole = int(np.floor(-shift))
    place = (-shift - whole) * (len(table) - 1)
    low = min(int(place), len(table) - 2)
    return whole + FIRST, table[low] + np.float32(place - low) * (table[low + 1] - table[low])


def _plan(moves, shape):
    """Arrays for the loops: view numbers, (first row, first column, y0, y1, x0, x1) of each, and its taps (K, 2, 10)."""
    shifts, taps = np.empty((len(moves), 6), np.int64), np.empty((len(moves), 2, TAPS), np.float32)
    for row, (_, dy, dx, _) in enumerate(moves):
        shifts[row, 0], taps[row, 0] = delay(dy)
        shifts[row, 1], taps[row, 1] = delay(dx)
        shifts[row, 2:4], shifts[row, 4:6] = _reach(dy, shape[0]), _reach(dx, shape[1])
    return np.array([move[0] for move in moves]), shifts, taps


def _reach(shift, size):
    """Output pixels [low, high) whose source lies within the view, whose outermost pixels have half a pixel of width."""
    low = max(int(np.ceil(shift - 0.5)), 0)
    return low, max(min(int(np.floor(size - 0.5 + shift)) + 1, size), low)


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _add_band(views, order, shifts, taps, share, least, out, top, stop):
    """Rows [top, stop) of the mean; borders of a view are mirrored for the taps that reach over them."""
    height, width = out.shape
    total, weight = np.zeros((stop - top, width), np.float32), np.zeros((stop - top, width), np.float32)
    lines = np.empty((stop - top + TAPS, width), np.float32)
    padded = np.empty(width + 2 * TAPS, np.float32)
    for k in range(order.size):
        view, first_y, first_x = views[order[k]], shifts[k, 0], shifts[k, 1]
        low, high, left, right = max(shifts[k, 2], top), min(shifts[k, 3], stop), shifts[k, 4], shifts[k, 5]
        if low >= high or left >= right:
            continue
        for line in range(high - low + TAPS - 1):
            row = view[_mirror(low + first_y + line, height)]
            for i in range(right - left + TAPS - 1):
                padded[i] = row[_mirror(left + first_x + i, width)]
            for i in range(right - left):
                value = np.float32(0)
                for tap in range(TAPS):
                    value += taps[k, 1, tap] * padded[i + tap]
                lines[line, i] = value
        for y in range(low, high):
            for i in range(right - left):
                value = np.float32(0)
                for tap in range(TAPS):
                    value += taps[k, 0, tap] * lines[y - low + tap, i]
                total[y - top, left + i] += share[k] * value
                weight[y - top, left + i] += share[k]
    for y in range(stop - top):
        for x in range(width):
            out[top + y, x] = total[y, x] / weight[y, x] if weight[y, x] >= least else np.float32(np.nan)


@numba.njit(cache=True, nogil=True, inline="always")
def _mirror(index, size):
    if index < 0:
        index = -1 - index
    if index >= size:
        index = 2 * size - 1 - index
    return min(max(index, 0), size - 1)


def _on_arrays(views, moves, least):
    """`shift_add` by slices of whole pictures: for the GPU, and what the loops are held against."""
    xp = array_module(views)
    height, width = views.shape[1:]
    total, weight = xp.zeros((height, width), np.float32), xp.zeros((height, width), np.float32)
    whole = float(sum(move[3] for move in moves))
    for index, dy, dx, w in moves:
        (top, bottom), (left, right) = _reach(dy, height), _reach(dx, width)
        if top >= bottom or left >= right:
            continue
        moved = _delayed(xp, _delayed(xp, views[index], dx, left, right).T, dy, top, bottom).T
        total[top:bottom, left:right] += np.float32(w / whole) * moved
        weight[top:bottom, left:right] += np.float32(w / whole)
    return xp.where(weight >= np.float32(least), total / xp.maximum(weight, np.float32(1e-9)), np.float32(np.nan))


def _delayed(xp, rows, shift, low, high):
    """Columns [low, high) of (H, W) rows moved right by `shift`."""
    first, taps = delay(shift)
    size = rows.shape[1]
    places = np.arange(low + first, high + first + TAPS - 1)
    places = np.where(places < 0, -1 - places, places)
    places = np.clip(np.where(places >= size, 2 * size - 1 - places, places), 0, size - 1)
    source = rows[:, xp.asarray(places)]
    return sum(np.float32(tap) * source[:, i:i + high - low] for i, tap in enumerate(taps))
