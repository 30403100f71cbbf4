"""Semi-global matching: costs of labels gathered along 4 or 8 straight paths.

Hirschmueller, "Stereo processing by semiglobal matching and mutual information", 2008, eq. 13 and 14.  Volumes are
(H, W, L) float32, the label axis last and contiguous, so that the inner loop runs over labels next to each other: nothing
is copied beyond the result, and a path keeps the row before the one it is in.

Loops for the CPU; the array versions are the reference that tests hold them against, and the path of the GPU.
"""

from __future__ import annotations

import numba
import numpy as np

from dfd.backend import array_module
from dfd.kernels.basins import HIGHEST, is_known, number, rank

_DIAGONALS = {4: (0,), 8: (-1, 0, 1)}
"""Number of paths -> columns that a path from the row before moves by; a path along the row comes on top, all both ways."""


def aggregate(cost, small, large, *, paths: int = 8):
    """(H, W, L) float32: sum over the paths of L(x, d) = C(x, d) + min(L(d), L(d +- 1) + small, min L + large) - min L.

    cost    (H, W, L) float32, contiguous (else it is copied), any unit; a pixel with a cost that is not finite is a wall:
            the sum is NaN there, and the paths begin anew behind it
    small   >= 0, unit of cost: a change by one label from a pixel to the next
    large   unit of cost: any other change; a number, or (H, W) of the pixel that a path enters, less where the image has
            an edge; at least `small`, or steps by one label get its price; NaN = a wall
    paths   4 along rows and columns, 8 along the diagonals too
    Raises ValueError for another number of paths, a negative `small`, or a `large` of another shape.
    """
    if array_module(cost) is not np:
        return aggregate_arrays(cost, small, large, paths=paths)
    jump = np.ascontiguousarray(_jump(cost, small, large, paths))
    cost = np.ascontiguousarray(cost, dtype=np.float32)
    total, moves = np.zeros(cost.shape, np.float32), np.array(_DIAGONALS[paths])
    for way in (1, -1):
        _sweep(cost, np.float32(small), jump, way, moves, total)
    return total


def aggregate_arrays(cost, small, large, *, paths=8):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the loop."""
    xp, jump = array_module(cost), _jump(cost, small, large, paths)
    cost = cost.astype(np.float32, copy=False)
    known = xp.isfinite(cost.sum(axis=2)) & ~xp.isnan(jump)
    total = xp.zeros(cost.shape, dtype=np.float32)
    turned = cost.transpose(1, 0, 2), known.T, jump.T, total.transpose(1, 0, 2)
    for way in (1, -1):
        _along(*turned, float(small), way, 0)
        for move in _DIAGONALS[paths]:
            _along(cost, known, jump, total, float(small), way, move)
    total[~known] = np.nan
    return total


def _jump(cost, small, large, paths):
    """`large` as an (H, W) float32 map, after a look at what the caller gave."""
    xp, shape = array_module(cost), tuple(cost.shape[:2])
    if paths not in _DIAGONALS:
        raise ValueError(f"paths ({paths}) must be 4 (rows and columns) or 8 (the diagonals too)")
    if not small >= 0:
        raise ValueError(f"small ({small}) must be 0 or more, in the unit of the cost: it is what a step by one label costs")
    if not hasattr(large, "shape") or large.shape == ():
        return xp.full(shape, float(large), dtype=np.float32)
    if tuple(large.shape) != shape:
        raise ValueError(f"large has {large.shape} px, the cost {shape} px; give one number, or one for every pixel")
    return large.astype(np.float32, copy=False)


def _along(cost, known, jump, total, small, way, move):
    """Add the path that comes down the rows (way 1, else up), `move` columns to the right at each step, to `total`."""
    xp = array_module(cost)
    before, least = xp.zeros(cost.shape[1:], dtype=np.float32), xp.zeros((cost.shape[1], 1), dtype=np.float32)
    for y in range(cost.shape[0])[::way]:
        before, least = _moved(before, move), _moved(least, move)
        beside = xp.full_like(before, np.inf)
        beside[:, 1:] = before[:, :-1]
        beside[:, :-1] = xp.minimum(beside[:, :-1], before[:, 1:])
        best = xp.minimum(xp.minimum(before, beside + small), least + jump[y][:, None])
        before = xp.where(known[y][:, None], cost[y] + (best - least), np.float32(0))
        least = before.min(axis=1, keepdims=True)
        total[y] += before


def _moved(lines, move):
    """`lines` (W, n) one place on, 0 where a path comes from outside: there it begins."""
    if not move:
        return lines
    moved = array_module(lines).zeros_like(lines)
    if move > 0:
        moved[1:] = lines[:-1]
    else:
        moved[:-1] = lines[1:]
    return moved


@numba.njit(nogil=True, cache=True)
def _sweep(cost, small, jump, way, moves, total):
    """All paths that reach a pixel from pixels before it, in reading order (way 1) or from the end; added to `total`.

    A path that begins has costs of 0 behind it, which adds nothing; `paths` has a column outside the image on either side.
    """
    height, width, labels = cost.shape
    line, line_least = np.zeros((2, labels + 2), np.float32), np.zeros(2, np.float32)
    paths = np.zeros((moves.size, 2, width + 2, labels + 2), np.float32)
    least = np.zeros((moves.size, 2, width + 2), np.float32)
    line[:, 0] = line[:, -1] = np.inf  # beyond the first and the last label
    paths[:, :, :, 0] = paths[:, :, :, -1] = np.inf
    for row in range(height):
        y, now, old = row if way > 0 else height - 1 - row, row & 1, 1 - row & 1
        line[0, 1:-1] = 0
        line_least[0] = 0
        for column in range(width):
            x, here, last = column if way > 0 else width - 1 - column, 1 - column & 1, column & 1
            costs, out, large = cost[y, x], total[y, x], jump[y, x]
            if not (is_known(costs) and large == large):
                out[:] = np.nan
                line[here, 1:-1] = 0
                line_least[here] = 0
                paths[:, now, column + 1, 1:-1] = 0
                least[:, now, column + 1] = 0
                continue
            line_least[here] = _step(costs, line[last], line_least[last], small, large, line[here], out)
            for k in range(moves.size):
                source = column + 1 - moves[k]
                least[k, now, column + 1] = _step(costs, paths[k, old, source], least[k, old, source], small, large,
                                                  paths[k, now, column + 1], out)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "nnan"})
def _step(costs, before, least, small, large, after, total):
    """One pixel on along one path: the least of what is written into `after`, which is shifted by a label, like `before`."""
    low, highest = HIGHEST, least + large
    for k in range(costs.size):
        one, same, other = before[k], before[k + 1], before[k + 2]
        best = one if one < other else other
        best += small
        best = best if best < same else same
        best = best if best < highest else highest
        value = np.float32(costs[k] + (best - least))
        after[k + 1] = value
        total[k] += value
        place = rank(value)
        low = place if place < low else low
    return number(low)
