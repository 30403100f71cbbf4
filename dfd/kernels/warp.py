"""A picture with disparity seen from beside it (numba, CPU): forward warp with a z-buffer, holes, and colours fetched back.

A point of disparity d [px per view step, > 0 nearer] that the reference view has at (y, x) lies at (y - d v, x - d u) in the
view that stands u steps to the right of it and v below.  Forward: the disparity is a surface, linear over every triangle of
neighbouring pixels and torn where they differ by more than `jump`; each triangle moves as a whole, so nothing is rounded,
and the nearest wins.  Torn pixels keep their own square.  Holes are background that the reference does not see: they take
the smaller of the two disparities that enclose them along the motion.  Backward: colours are read where the point lies in a
real view, with the ten taps of `dfd.kernels.resample`.
"""

from __future__ import annotations

import numba
import numpy as np

from dfd.kernels.resample import BORDER_TOLERANCE, FIRST, PHASES, TAPS, phase_table

_JIT = {"nogil": True, "cache": True, "error_model": "numpy"}
_FAST = {**_JIT, "fastmath": {"contract", "reassoc", "nsz"}}
_EDGE = 1e-6
"""Share of a triangle by which it reaches beyond its sides: neighbours leave no crack."""
_LEAST_AREA = 1e-6
"""Triangles smaller than this [px^2], or turned over, are seen from behind or edge-on: not at all."""
_LANES = 8
"""Taps of a row are computed in whole multiples of these, past their end: what follows is not used."""
UNSEEN = -1


@numba.njit(**_JIT)
def _put(y, x, disparity, layer, surface, owner):
    if disparity > surface[y, x]:
        surface[y, x] = disparity
        owner[y, x] = layer


@numba.njit(**_JIT)
def _triangle(y0, x0, d0, y1, x1, d1, y2, x2, d2, layer, surface, owner):
    """Draw one moved triangle; its corners stand clockwise on the screen (y down)."""
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if area < _LEAST_AREA:
        return
    top, bottom = max(np.ceil(min(y0, y1, y2) - _EDGE), 0.0), min(np.floor(max(y0, y1, y2) + _EDGE), surface.shape[0] - 1.0)
    left, right = max(np.ceil(min(x0, x1, x2) - _EDGE), 0.0), min(np.floor(max(x0, x1, x2) + _EDGE), surface.shape[1] - 1.0)
    for y in range(int(top), int(bottom) + 1):
        for x in range(int(left), int(right) + 1):
            along = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
            across = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
            if along >= -_EDGE and across >= -_EDGE and along + across <= 1 + _EDGE:
                _put(y, x, np.float32(d0 + along * (d1 - d0) + across * (d2 - d0)), layer, surface, owner)


@numba.njit(**_JIT)
def _quarter(y, x, down, right, disparity, u, v, layer, surface, owner):
    """Draw the quarter of a torn pixel that looks down or up, right or left, half a pixel wide."""
    y, x = y - disparity * v, x - disparity * u
    y0, y1 = (y, y + 0.5) if down else (y - 0.5, y)
    x0, x1 = (x, x + 0.5) if right else (x - 0.5, x)
    for row in range(int(max(np.ceil(y0 - _EDGE), 0.0)), int(min(np.floor(y1 + _EDGE), surface.shape[0] - 1.0)) + 1):
        for column in range(int(max(np.ceil(x0 - _EDGE), 0.0)), int(min(np.floor(x1 + _EDGE), surface.shape[1] - 1.0)) + 1):
            _put(row, column, disparity, layer, surface, owner)


@numba.njit(**_JIT)
def _project(disparity, layer, u, v, jump, surface, owner):
    """Draw every square of four neighbouring pixels of one layer, NaN where it has none."""
    for y in range(disparity.shape[0] - 1):
        for x in range(disparity.shape[1] - 1):
            a, b, c, d = disparity[y, x], disparity[y, x + 1], disparity[y + 1, x], disparity[y + 1, x + 1]
            whole = a == a and b == b and c == c and d == d  # max and min pass over a NaN that is not their first
            if whole and max(a, b, c, d) - min(a, b, c, d) <= jump:
                ya, xa, yb, xb = y - a * v, x - a * u, y - b * v, x + 1 - b * u
                yc, xc, yd, xd = y + 1 - c * v, x - c * u, y + 1 - d * v, x + 1 - d * u
                _triangle(ya, xa, a, yb, xb, b, yc, xc, c, layer, surface, owner)
                _triangle(yd, xd, d, yc, xc, c, yb, xb, b, layer, surface, owner)
                continue
            if a == a:
                _quarter(y, x, True, True, a, u, v, layer, surface, owner)
            if b == b:
                _quarter(y, x + 1, True, False, b, u, v, layer, surface, owner)
            if c == c:
                _quarter(y + 1, x, False, True, c, u, v, layer, surface, owner)
            if d == d:
                _quarter(y + 1, x + 1, False, False, d, u, v, layer, surface, owner)


@numba.njit(**_JIT)
def _first_known(owner, y, x, step_y, step_x):
    """(row, column) of the first pixel that something covers, from (y, x) on; (-1, -1) where the frame ends before."""
    count = 1
    while True:
        row, column = int(np.floor(y + count * step_y + 0.5)), int(np.floor(x + count * step_x + 0.5))
        if row < 0 or column < 0 or row >= owner.shape[0] or column >= owner.shape[1]:
            return -1, -1
        if owner[row, column] != UNSEEN:
            return row, column
        count += 1


@numba.njit(**_JIT)
def _enclosed(surface, owner, y, x, step_y, step_x):
    """(disparity, layer) of the farther of the two pixels that enclose a hole along a line; layer UNSEEN: none does."""
    farther, layer = np.float32(np.inf), np.int8(UNSEEN)
    for sign in (-1, 1):
        row, column = _first_known(owner, y, x, sign * step_y, sign * step_x)
        if row >= 0 and surface[row, column] < farther:
            farther, layer = surface[row, column], owner[row, column]
    return farther, layer


@numba.njit(**_JIT)
def _close(surface, owner, u, v, out, source):
    """Give every hole the farther of its neighbours along the motion (u, v); in a corner along its row or column."""
    size = max(abs(u), abs(v), 1e-9)
    for y in range(surface.shape[0]):
        for x in range(surface.shape[1]):
            out[y, x], source[y, x] = surface[y, x], owner[y, x]
            if source[y, x] == UNSEEN and (u != 0 or v != 0):
                out[y, x], source[y, x] = _enclosed(surface, owner, y, x, v / size, u / size)
            if source[y, x] == UNSEEN:
                out[y, x], source[y, x] = _enclosed(surface, owner, y, x, 0.0, 1.0)
            if source[y, x] == UNSEEN:
                out[y, x], source[y, x] = _enclosed(surface, owner, y, x, 1.0, 0.0)


def forward(layers: np.ndarray, u: float, v: float, jump: float) -> tuple[np.ndarray, np.ndarray]:
    """((H, W) float32 disparity, (H, W) int8 number of the layer) as the view at (u, v) steps has them, holes closed.

    layers   (M, H, W) float32 disparities of the reference view [px per step], NaN where a layer has nothing; what they
             move by must leave something in every row or column of the frame
    jump     neighbours that differ by more [px per step] do not belong to one surface
    """
    shape = layers.shape[1:]
    surface, owner = np.full(shape, -np.inf, np.float32), np.full(shape, UNSEEN, np.int8)
    for number, layer in enumerate(layers):
        _project(layer, number, float(u), float(v), float(jump), surface, owner)
    disparity, source = np.empty(shape, np.float32), np.empty(shape, np.int8)
    _close(surface, owner, float(u), float(v), disparity, source)
    return disparity, source


def with_borders(pictures: np.ndarray) -> np.ndarray:
    """(K, H, W, C) float32 pictures as `blend` and `recall` read them: mirrored borders, the taps of a row side by side."""
    ahead, behind = -FIRST, TAPS - 1 + FIRST
    around = ((0, 0), (ahead, behind), (ahead, behind), (0, 0))
    mode = "reflect" if min(pictures.shape[1:3]) > TAPS else "edge"
    bordered = np.pad(np.asarray(pictures, np.float32), around, mode=mode)
    rows = bordered.reshape(*bordered.shape[:2], -1)
    return np.pad(rows, ((0, 0), (0, 0), (0, _LANES - 1)))


@numba.njit(**_FAST)
def _fetch(view, channels, y, x, table, lines, weight, out):
    """Add `weight` times the ten taps of a view `with_borders` around (y, x) to the C values `out`."""
    top, left = int(y), int(x)
    down, across = table[int((y - top) * PHASES + 0.5)], table[int((x - left) * PHASES + 0.5)]
    first, start = np.uint64(top), np.uint64(left * channels)  # unsigned indices, or they would be tested for their sign
    for i in range(np.uint64((TAPS * channels + _LANES - 1) // _LANES * _LANES)):
        total = np.float32(0)
        for j in range(np.uint64(TAPS)):
            total += down[j] * view[first + j, start + i]
        lines[i] = total
    for c in range(channels):
        total = np.float32(0)
        for i in range(TAPS):
            total += across[i] * lines[i * channels + c]
        out[c] += weight * total


@numba.njit(**_JIT)
def _visible(seen, y, x, disparity, tolerance, strict):
    """Whether nothing nearer covers (y, x) of a view: at all four pixels around it where `strict`, else at the nearest."""
    height, width = seen.shape
    if not (-BORDER_TOLERANCE <= y <= height - 1 + BORDER_TOLERANCE
            and -BORDER_TOLERANCE <= x <= width - 1 + BORDER_TOLERANCE):
        return False
    limit = disparity + tolerance
    if not strict:
        return seen[min(max(int(y + 0.5), 0), height - 1), min(max(int(x + 0.5), 0), width - 1)] <= limit
    top, left = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    return max(seen[top, left], seen[top, right], seen[below, left], seen[below, right]) <= limit


@numba.njit(**_FAST)
def _blend(views, seen, place, order, weights, disparity, tolerance, table, out):
    """One new view, see `blend`; place: (K, 2) steps of the real views from it, (v, u)."""
    height, width, channels = out.shape
    lines, colour = np.empty(TAPS * channels + _LANES, np.float32), np.empty(channels, np.float32)
    for y in range(height):
        for x in range(width):
            here, total = disparity[y, x], np.float32(0)
            colour[:] = 0
            for stage in range(4):  # the nearest, clear of nearer things; the others; at their edges; hidden
                for j in range(len(weights) if stage == 0 else len(order)):
                    k = order[j]
                    row, column = y - here * place[k, 0], x - here * place[k, 1]
                    if stage < 3 and not _visible(seen[k], row, column, here, tolerance, stage < 2):
                        continue
                    share = weights[j] if stage == 0 else np.float32(1)
                    if share > 0:
                        row, column = min(max(row, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
                        _fetch(views[k], channels, row, column, table, lines, share, colour)
                        total += share
                        if stage > 0:
                            break
                if total > 0:
                    break
            for c in range(channels):
                out[y, x, c] = colour[c] / total


def blend(views: np.ndarray, seen: np.ndarray, place: np.ndarray, order: np.ndarray, weights: np.ndarray,
          disparity: np.ndarray, tolerance: float, out: np.ndarray) -> None:
    """Write the colours of a new view into out (H, W, C) float32, from the real views that see each of its points.

    views   (K, H, W, C) float32;   seen: (K, H, W) float32 their disparities, holes closed
    place   (K, 2) float64 steps from the new view to each, (v, u);   order: (N,) int64 views to ask, nearest first
    weights (n,) float32, n <= N: of the first n, which share a point among those that see it clear of nearer things.
            Where none does: the first of `order` that sees it so, the first that sees it, the nearest
    disparity (H, W) float32 of the new view [px per step];   tolerance: differences up to here are the same surface
    """
    _blend(views, seen, place, order, weights, disparity, np.float32(tolerance), phase_table(), out)


@numba.njit(**_FAST)
def _recall(pictures, disparity, source, u, v, table, out):
    height, width, channels = out.shape
    lines, colour = np.empty(TAPS * channels + _LANES, np.float32), np.empty(channels, np.float32)
    for y in range(height):
        for x in range(width):
            row = min(max(y + disparity[y, x] * v, 0.0), height - 1.0)
            column = min(max(x + disparity[y, x] * u, 0.0), width - 1.0)
            colour[:] = 0
            _fetch(pictures[source[y, x]], channels, row, column, table, lines, np.float32(1), colour)
            for c in range(channels):
                out[y, x, c] = colour[c]


def recall(pictures: np.ndarray, disparity: np.ndarray, source: np.ndarray, u: float, v: float, out: np.ndarray) -> None:
    """Write the colours of the view at (u, v) into out (H, W, C), each from the layer that covers it, see `forward`.

    pictures   (M, H, W, C) float32: the layers as the reference view has them
    """
    _recall(pictures, disparity, source, float(u), float(v), phase_table(), out)
