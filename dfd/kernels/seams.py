"""One frame for every cell of a small grid, so that the seams between frames lie where the frames look alike.

Labels by min-sum belief propagation over rows and columns (Felzenszwalb and Huttenlocher, "Efficient belief propagation for
early vision", 2006; chains as in Tappen and Freeman 2003), with the seam cost of Agarwala et al., "Interactive digital
photomontage", 2004, eq. 3: what two frames differ by on both sides of a seam.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np


def assign(cost, light, *, step: float, rounds: int) -> np.ndarray:
    """(h, w) int64 label of every cell: the least sum of costs of cells and seams, by `rounds` of messages.

    cost    (K, h, w) float32, of giving a cell to a label
    light   (K, h, w) float32, in units of cost: a seam between two cells costs what the two labels differ by in both of
            them, and `step`
    """
    rows, columns = (_lines(cost, axis) for axis in (1, 2))
    light_rows, light_columns = (_lines(light, axis) for axis in (1, 2))
    down, across = np.zeros_like(rows), np.zeros_like(columns)
    for _ in range(rounds):
        _messages(rows + across.transpose(2, 1, 0), light_rows, step, down)
        _messages(columns + down.transpose(2, 1, 0), light_columns, step, across)
    return np.argmin(rows + down + across.transpose(2, 1, 0), axis=1)


def _lines(stack, axis):
    """(K, h, w) -> (n, K, m): lines in the order of `axis`, along which messages run."""
    return np.ascontiguousarray(stack.transpose(axis, 0, 3 - axis), dtype=np.float32)


def _messages(base, light, step, out):
    """Into `out`: what a cell hears from both ends of its chain, (n, K, m); chains run along the first axis."""
    workers = min(os.cpu_count() or 1, max(base.shape[2] // 64, 1))
    edges = np.linspace(0, base.shape[2], workers + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda edge: _along(base, light, np.float32(step), out, *edge), pairwise(edges)))


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _along(base, light, step, out, start, stop):
    lines, labels = base.shape[:2]
    total, ahead, low = (np.empty((labels, stop - start), np.float32), np.empty((labels, stop - start), np.float32),
                         np.empty(stop - start, np.float32))
    out[:, :, start:stop] = 0
    for way in (1, -1):
        ahead[:] = 0
        for i in range(lines - 1):
            here = i if way > 0 else lines - 1 - i
            near, far = light[here], light[here + way]
            low[:] = np.inf
            for k in range(labels):
                _add_and_lower(base[here, k, start:stop], ahead[k], total[k], low)
            for k in range(labels):
                for j in range(low.size):
                    total[k, j] -= low[j]
                    ahead[k, j] = total[k, j]
            for a in range(labels):
                for b in range(a):
                    _seam(near[a, start:stop], near[b, start:stop], far[a, start:stop], far[b, start:stop], step,
                          total[a], total[b], ahead[a], ahead[b])
            for k in range(labels):
                for j in range(low.size):
                    out[here + way, k, start + j] += ahead[k, j]


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _add_and_lower(one, other, total, low):
    for j in range(low.size):
        value = one[j] + other[j]
        total[j] = value
        low[j] = value if value < low[j] else low[j]


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _seam(near_a, near_b, far_a, far_b, step, total_a, total_b, ahead_a, ahead_b):
    for j in range(total_a.size):
        seam = step + abs(near_a[j] - near_b[j]) + abs(far_a[j] - far_b[j])
        from_a, from_b = total_a[j] + seam, total_b[j] + seam
        ahead_a[j] = from_b if from_b < ahead_a[j] else ahead_a[j]
        ahead_b[j] = from_a if from_a < ahead_b[j] else ahead_b[j]


@numba.njit(nogil=True, cache=True)
def votes(rank, factor, frames, reach, shape):
    """(n, h, w) float32: share of the known pixels of a cell, all its pixels counted, whose rank is near each frame.

    rank     (H, W) float32 place among the frames, NaN = unknown;   factor   side [px] of a cell
    frames   places of the first of n frames and of the one after the last
    reach    distance [frames] at which a vote has fallen to 0;      shape    (h, w) cells
    """
    first, last = frames
    found = np.zeros((last - first, shape[0], shape[1]), np.float32)
    one = np.float32(1 / factor**2)
    for y in range(min(rank.shape[0], shape[0] * factor)):
        for x in range(min(rank.shape[1], shape[1] * factor)):
            place = rank[y, x]
            if place == place:
                for k in range(max(int(np.ceil(place - reach)), first), min(int(place + reach), last - 1) + 1):
                    found[k - first, y // factor, x // factor] += one * np.float32(1 - abs(k - place) / reach)
    return found
