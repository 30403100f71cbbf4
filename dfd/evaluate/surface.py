"""How rough a surface is: second derivatives and normals as the HCI 4D Light Field Benchmark takes them.

Honauer et al. 2016, "A dataset and evaluation methodology for depth estimation on 4D light fields", and the evaluation
code that goes with it.  Maps are walked in strips of rows, so that memory does not grow with them.
"""

from __future__ import annotations

import numpy as np

_STRIP = 128
"""Rows at a time: strips of a usual photograph then stay in the cache of the processor."""


def bumpiness(difference) -> np.ndarray:
    """(H, W) float64: Frobenius norm of the Hessian of a map, NaN where a pixel of the 5 x 5 around is unknown or outside.

    Each derivative is the Scharr operator 3-10-3 / 16 times a difference over two pixels, not divided by 2: a ramp of 1
    per pixel has the slope 2, so second derivatives are four times those in px.
    """
    found = np.full(difference.shape, np.nan)
    height, width = difference.shape
    if min(height, width) < 5:
        return found
    for top in range(2, height - 2, _STRIP):
        bottom = min(top + _STRIP, height - 2)
        strip = np.asarray(difference[top - 2:bottom + 2], dtype=float)
        right, down = _right(strip), _down(strip)
        twisted = _down(right)
        found[top:bottom, 2:width - 2] = np.sqrt(_right(right)**2 + 2 * twisted**2 + _down(down)**2)
    return found


def normal_errors(estimate, truth, horizontal, vertical, *, wrapped=False) -> np.ndarray:
    """(H, W) float32 degrees between the normals of two surfaces, NaN where a pixel of the 3 x 3 around is unknown.

    estimate, truth        (H, W) inverse depth [dioptre]; what is not positive is unknown
    horizontal, vertical   (W,), (H,): a point is (horizontal, vertical, 1) times its depth
    wrapped                what lies outside the map is the opposite side of it, as the benchmark has it; else unknown
    """
    height, width = estimate.shape
    found = np.empty(estimate.shape, dtype=np.float32)
    columns = np.arange(-1, width + 1) % width
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        rows = np.arange(top - 1, bottom + 1) % height
        one, other = (_normals(item[rows][:, columns], horizontal[columns], vertical[rows]) for item in (estimate, truth))
        cosine = sum(a * b for a, b in zip(one, other, strict=True))
        centre = (estimate[top:bottom] > 0) & (truth[top:bottom] > 0)  # the operators leave it out
        found[top:bottom] = np.where(centre, np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.nan)
    if not wrapped:
        found[[0, -1]] = found[:, [0, -1]] = np.nan
    return found


def _normals(inverse, horizontal, vertical):
    """Three planes of unit normals of a strip, without its rim."""
    with np.errstate(divide="ignore"):
        depth = np.where(inverse > 0, 1 / inverse, np.nan)
    point = (depth * horizontal, depth * vertical[:, None], depth)
    (ax, ay, az), (bx, by, bz) = ([turn(plane) for plane in point] for turn in (_down, _right))
    normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.sqrt(sum(plane * plane for plane in normal))
        return [plane / length for plane in normal]


def _right(plane):
    """Scharr derivative along x, without the rim of one pixel."""
    smooth = (3 * (plane[:-2] + plane[2:]) + 10 * plane[1:-1]) / 16
    return smooth[:, 2:] - smooth[:, :-2]


def _down(plane):
    """Scharr derivative along y, without the rim of one pixel."""
    smooth = (3 * (plane[:, :-2] + plane[:, 2:]) + 10 * plane[:, 1:-1]) / 16
    return smooth[2:] - smooth[:-2]
