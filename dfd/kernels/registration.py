"""Two normalised planes on a common grid: resampling with gradients, and tile sums of what one asks the other to move.

A tile carries the normal equations of its own shift; every model of motion (similarity, homography, a field) is a sum over
tiles, so one pass over the pixels serves them all.  CPU loops, each with an array form that the tests hold it against.
"""

from __future__ import annotations

import numba
import numpy as np

SUMS = 10
"""Per tile, weighted: gradient products xx, xy, yy; gradient times difference x, y; weight; product of the two planes'
gradients; and, by support alone, the products of the planes: one with other, one with one, other with other."""

RIM = 2
"""Pixels along the border of the grid that carry no gradient, and so no support."""

PAD = 3
"""Pixels by which planes are padded on every side, so that no tap leaves them."""


def look(spline, support, matrix, shape) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(plane, right, down, support) on a grid of `shape`: an (H, W) plane seen through a map by its cubic spline.

    spline    (H + 6, W + 6) float32 coefficients of the cubic B-splines, PAD px of continuation on every side; unlike
              four-tap interpolation they move nothing
    support   (H + 6, W + 6) uint8 [1/100], padded by 0; taken at the nearest pixel, 0 along the rim of the grid
    matrix    (3, 3) float64, grid px -> plane px, homogeneous
    Gradients [1/px] are of fourth order.
    """
    seen, right, down, share = (np.zeros(shape, dtype=np.float32) for _ in range(4))
    matrix = np.ascontiguousarray(matrix, dtype=np.float64)
    _look(spline, support, matrix, seen, share)
    _gradients(seen, right, down)
    return seen, right, down, share


def tile_sums(one, other, local, *, tiles: int) -> np.ndarray:
    """(tiles, tiles, 10) float64 sums, by rows and columns of tiles, for the shifts that bring `other` onto `one`.

    one, other   (plane, right, down, support): four (H, W) float32 arrays, gradients in 1/px, support >= 0
    local        (H, W) float32 local correlation; a pixel weighs max(local, 0)^2 * min(support)
    Gradients are the mean of the two planes'.
    """
    rows, columns = (np.linspace(0, length, tiles + 1).astype(np.int64) for length in local.shape)
    sums = np.zeros((tiles, tiles, SUMS))
    _tile_sums(*one, *other, local, rows, columns, sums)
    return sums


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def _look(spline, support, matrix, seen, share):
    height, width = spline.shape[0] - 2 * PAD, spline.shape[1] - 2 * PAD
    rows, columns = seen.shape
    flat, support, stride = spline.ravel(), support.ravel(), np.int32(width + 2 * PAD)
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    first, right, down = np.empty(columns, np.int32), np.empty(columns, np.float32), np.empty(columns, np.float32)
    inside = np.empty(columns, np.float32)
    ux, vx, wx = np.float32(matrix[0, 0]), np.float32(matrix[1, 0]), np.float32(matrix[2, 0])
    for y in range(rows):
        uy, vy = np.float32(matrix[0, 1] * y + matrix[0, 2]), np.float32(matrix[1, 1] * y + matrix[1, 2])
        wy = np.float32(matrix[2, 1] * y + matrix[2, 2])
        for x in range(columns):
            place = np.float32(x)
            w = one / (wx * place + wy)
            u, v = (ux * place + uy) * w, (vx * place + vy) * w
            good = (w > 0) & (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
            u, v = (u, v) if good else (zero, zero)
            left, top = np.int32(u + one), np.int32(v + one)
            first[x] = (top + np.int32(PAD - 2)) * stride + left + np.int32(PAD - 2)
            right[x], down[x] = u + one - np.float32(left), v + one - np.float32(top)
            inside[x] = one if good else zero
        for x in range(columns):
            a0, a1, a2, a3 = _cubic(right[x])
            d0, d1, d2, d3 = _cubic(down[x])
            p = first[x]
            q, r, s = p + stride, p + 2 * stride, p + 3 * stride
            seen[y, x] = inside[x] * (d0 * (a0 * flat[p] + a1 * flat[p + 1] + a2 * flat[p + 2] + a3 * flat[p + 3])
                                      + d1 * (a0 * flat[q] + a1 * flat[q + 1] + a2 * flat[q + 2] + a3 * flat[q + 3])
                                      + d2 * (a0 * flat[r] + a1 * flat[r + 1] + a2 * flat[r + 2] + a3 * flat[r + 3])
                                      + d3 * (a0 * flat[s] + a1 * flat[s + 1] + a2 * flat[s + 2] + a3 * flat[s + 3]))
        if RIM <= y < rows - RIM:
            for x in range(RIM, columns - RIM):
                nearest = first[x] + 1 + np.int32(right[x] + half) + (1 + np.int32(down[x] + half)) * stride
                share[y, x] = inside[x] * np.float32(0.01) * np.float32(support[nearest])


@numba.njit(inline="always")
def _cubic(t):
    """Weights of the coefficients at -1, 0, 1, 2 for the phase t."""
    one, half, sixth = np.float32(1), np.float32(0.5), np.float32(1 / 6)
    first, last = sixth * (one - t) * (one - t) * (one - t), sixth * t * t * t
    second = np.float32(4 / 6) + t * t * (half * t - one)
    return first, second, one - first - second - last, last


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _gradients(seen, right, down):
    height, width = seen.shape
    near, far = np.float32(8 / 12), np.float32(1 / 12)
    for y in range(RIM, height - RIM):
        for x in range(RIM, width - RIM):
            right[y, x] = near * (seen[y, x + 1] - seen[y, x - 1]) - far * (seen[y, x + 2] - seen[y, x - 2])
            down[y, x] = near * (seen[y + 1, x] - seen[y - 1, x]) - far * (seen[y + 2, x] - seen[y - 2, x])


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _tile_sums(plane_a, right_a, down_a, support_a, plane_b, right_b, down_b, support_b, local, rows, columns, sums):
    tiles = len(columns) - 1
    half, zero = np.float32(0.5), np.float32(0)
    for row in range(tiles):
        for y in range(rows[row], rows[row + 1]):
            for column in range(tiles):
                xx = xy = yy = xe = ye = total = crossed = ab = aa = bb = zero
                for x in range(columns[column], columns[column + 1]):
                    share = min(support_a[y, x], support_b[y, x])
                    weight = max(local[y, x], zero)
                    weight *= weight * share
                    a, b = plane_a[y, x], plane_b[y, x]
                    right, down = half * (right_a[y, x] + right_b[y, x]), half * (down_a[y, x] + down_b[y, x])
                    across, along = weight * right, weight * down
                    xx += across * right
                    xy += across * down
                    yy += along * down
                    xe += across * (a - b)
                    ye += along * (a - b)
                    total += weight
                    crossed += weight * (right_a[y, x] * right_b[y, x] + down_a[y, x] * down_b[y, x])
                    ab += share * a * b
                    aa += share * a * a
                    bb += share * b * b
                line = (xx, xy, yy, xe, ye, total, crossed, ab, aa, bb)
                for index, value in enumerate(line):
                    sums[row, column, index] += value


def look_arrays(spline, support, matrix, shape):
    """`look` by whole-array operations."""
    height, width = (length - 2 * PAD for length in spline.shape)
    y, x = np.mgrid[:shape[0], :shape[1]].astype(float)
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in np.asarray(matrix, dtype=float))
    front = w > 0
    u, v = u / np.where(front, w, 1), v / np.where(front, w, 1)
    inside = front & (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
    u, v = np.where(inside, u, 0), np.where(inside, v, 0)
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    seen = np.zeros(shape)
    for j, weight in enumerate(_cubic_arrays(v - top)):
        for i, other in enumerate(_cubic_arrays(u - left)):
            seen += weight * other * spline[top + (j - 1 + PAD), left + (i - 1 + PAD)]
    seen *= inside
    middle = np.zeros(shape, dtype=bool)
    middle[RIM:-RIM, RIM:-RIM] = True
    padded = np.pad(seen, 2)
    right = (8 * (padded[2:-2, 3:-1] - padded[2:-2, 1:-3]) - padded[2:-2, 4:] + padded[2:-2, :-4]) / 12 * middle
    down = (8 * (padded[3:-1, 2:-2] - padded[1:-3, 2:-2]) - padded[4:, 2:-2] + padded[:-4, 2:-2]) / 12 * middle
    nearest = np.floor(v + 0.5).astype(int) + PAD, np.floor(u + 0.5).astype(int) + PAD
    return seen, right, down, 0.01 * support[nearest] * (inside & middle)


def _cubic_arrays(t):
    first, last, second = (1 - t) ** 3 / 6, t**3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6
    return first, second, 1 - first - second - last, last


def tile_sums_arrays(one, other, local, *, tiles: int):
    """`tile_sums` by whole-array operations."""
    share = np.minimum(one[3], other[3])
    weight = np.maximum(local, 0) ** 2 * share
    right, down, rest = (one[1] + other[1]) / 2, (one[2] + other[2]) / 2, one[0] - other[0]
    terms = np.stack([weight * right**2, weight * right * down, weight * down**2, weight * right * rest,
                      weight * down * rest, weight, weight * (one[1] * other[1] + one[2] * other[2]),
                      share * one[0] * other[0], share * one[0] ** 2, share * other[0] ** 2]).astype(np.float64)
    rows, columns = (np.linspace(0, length, tiles + 1).astype(np.int64)[:-1] for length in local.shape)
    return np.moveaxis(np.add.reduceat(np.add.reduceat(terms, rows, axis=1), columns, axis=2), 0, -1)
