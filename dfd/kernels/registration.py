"""Normal equations of a similarity between two planes, summed over image tiles in one pass: CPU loop and array form."""

from __future__ import annotations

import numba
import numpy as np

SUMS = 17
"""Per tile: 10 of the symmetric 4 x 4 normal matrix (upper triangle by rows), 4 of the score, then the sums of the
weight, of the product of the two gradients and of the squared mean gradient."""


def tile_sums(one, other, local, grid, *, tiles: int) -> np.ndarray:
    """(tiles^2, 17) float64 sums of the normal equations of  one - other = columns @ motion.

    one, other   (plane, right, down, support): four (H, W) float32 arrays, gradients in 1/px, support 0..1
    local        (H, W) float32 local correlation; a pixel weighs max(local, 0)^2 * min(support)
    grid         (x, y): coordinates of columns (W,) and rows (H,), float32, in half diagonals from the centre
    Motion is (scale, rotation, right, down), gradients are the mean of the two.
    """
    height, width = local.shape
    rows, columns = (np.linspace(0, length, tiles + 1).astype(np.int64) for length in (height, width))
    sums = np.zeros((tiles * tiles, SUMS))
    _tile_sums(*one, *other, local, *grid, rows, columns, sums)
    return sums


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _tile_sums(plane_a, right_a, down_a, support_a, plane_b, right_b, down_b, support_b, local, grid_x, grid_y, rows,
               columns, sums):
    tiles = len(columns) - 1
    half, zero = np.float32(0.5), np.float32(0)
    for row in range(tiles):
        for y in range(rows[row], rows[row + 1]):
            ny = grid_y[y]
            for column in range(tiles):
                ss = sr = sx = sy = rr = rx = ry = xx = xy = yy = zero
                se = re = xe = ye = total = crossed = zero
                for x in range(columns[column], columns[column + 1]):
                    weight = max(local[y, x], zero)
                    weight *= weight * min(support_a[y, x], support_b[y, x])
                    right, down = half * (right_a[y, x] + right_b[y, x]), half * (down_a[y, x] + down_b[y, x])
                    scale, rotation = right * grid_x[x] + down * ny, down * grid_x[x] - right * ny
                    residual = plane_a[y, x] - plane_b[y, x]
                    total += weight
                    crossed += weight * (right_a[y, x] * right_b[y, x] + down_a[y, x] * down_b[y, x])
                    weighted = weight * scale
                    ss += weighted * scale
                    sr += weighted * rotation
                    sx += weighted * right
                    sy += weighted * down
                    se += weighted * residual
                    weighted = weight * rotation
                    rr += weighted * rotation
                    rx += weighted * right
                    ry += weighted * down
                    re += weighted * residual
                    weighted = weight * right
                    xx += weighted * right
                    xy += weighted * down
                    xe += weighted * residual
                    weighted = weight * down
                    yy += weighted * down
                    ye += weighted * residual
                line = (ss, sr, sx, sy, rr, rx, ry, xx, xy, yy, se, re, xe, ye, total, crossed, xx + yy)
                for index, value in enumerate(line):
                    sums[row * tiles + column, index] += value


def tile_sums_arrays(one, other, local, grid, *, tiles: int) -> np.ndarray:
    """The same by whole-array operations: the reference that the loop is tested against."""
    height, width = local.shape
    weight = np.maximum(local, 0) ** 2 * np.minimum(one[3], other[3])
    right, down = (one[1] + other[1]) / 2, (one[2] + other[2]) / 2
    columns = (right * grid[0] + down * grid[1][:, None], down * grid[0] - right * grid[1][:, None], right, down)
    terms = [weight * columns[i] * columns[j] for i in range(4) for j in range(i, 4)]
    terms += [weight * column * (one[0] - other[0]) for column in columns]
    terms += [weight, weight * (one[1] * other[1] + one[2] * other[2]), weight * (right**2 + down**2)]
    rows, across = (np.linspace(0, length, tiles + 1).astype(np.int64)[:-1] for length in (height, width))
    stacked = np.stack(terms).astype(np.float64)
    return np.add.reduceat(np.add.reduceat(stacked, rows, axis=1), across, axis=2).reshape(SUMS, -1).T
