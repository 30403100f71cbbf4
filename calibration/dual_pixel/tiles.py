"""Disparity of a flat target, tile by tile: the shift that makes the two views of a dual-pixel sensor equal.

Per tile, with mean M = (L + R) / 2 of the views sampled half the disparity d to either side, least squares of

    L(x + d/2) - R(x - d/2) = (g0 + g1 x + g2 y) M + offset

over d, the gains and the offset by Gauss and Newton (Lucas and Kanade 1981, symmetric, so that noise in the gradients does
not pull d towards 0), from coarse to fine.  Both views go through one Gaussian first: the noise of a cubic spline between
pixels is then as large as on them, and does not pull d to half pixels.  The covariance
counts what is left over in blocks (Liang and Zeger 1986), so that noise, blur of unequal shape and structure correlated
over less than a block all widen it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd.imaging import reduce

SMOOTHING = 1.0
"""Standard deviation [px] of the Gaussian that both views go through."""

LEAST_TILE = 32
"""Shortest side [px] of a tile that is measured."""

_FACTORS = (16, 8, 4, 2, 1)
_COARSEST = 40  # px, side of a tile at the coarsest level
_ITERATIONS, _DONE, _LARGEST_STEP = 15, 1e-4, 1.5  # px
_LEAST_SIGMA = 1e-4  # px, of views without noise
_BLOCK, _MOST_BLOCKS = 16, 6  # px; blocks along a side
_PARAMETERS = 5
_REACH = 4  # px that an unknown one spoils around it
_LEAST_KNOWN = 0.5
"""Share of a tile's pixels that must be known, not saturated."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """(rows, columns) disparity [px] and its 1-sigma, NaN where a tile has no texture or too few known pixels."""

    disparity: np.ndarray
    sigma: np.ndarray


def measure_tiles(left, right, grid) -> Tiles:
    """The disparity of every tile of a pair of views.

    left, right   (H, W), linear, NaN = unknown; left(x) = right(x - disparity)
    grid          (rows, columns) of equal tiles that fill the picture
    Raises ValueError for tiles below LEAST_TILE px.
    """
    height, width = left.shape
    tile = min(height / grid[0], width / grid[1])
    if tile < LEAST_TILE:
        raise ValueError(f"{grid[1]} x {grid[0]} tiles of {width} x {height} px have {tile:.0f} px, at least {LEAST_TILE} "
                         "px are needed; give --tiles smaller numbers")
    found = np.full((*grid, 2), np.nan)
    start = np.zeros(grid)
    for factor in [factor for factor in _FACTORS if factor == 1 or tile / factor >= _COARSEST]:
        views = [_Spline(reduce(np.asarray(view, np.float32), factor)) for view in (left, right)]
        for row, column in np.ndindex(*grid):
            place = (_span(row, grid[0], views[0].shape[0]), _span(column, grid[1], views[0].shape[1]))
            fitted = _fit(*views, place, start[row, column] / factor)
            if fitted is not None:
                start[row, column] = fitted[0] * factor
            found[row, column] = np.nan if fitted is None else fitted
    return Tiles(found[..., 0], found[..., 1])


def _span(index, count, length):
    return index * length // count, (index + 1) * length // count


class _Spline:
    """A view, smoothed, as cubic B-spline coefficients along x; unknown pixels, and what they reach, have no weight."""

    def __init__(self, view):
        from scipy.ndimage import binary_dilation, gaussian_filter, spline_filter1d

        unknown = ~np.isfinite(view)
        level = float(np.mean(view[~unknown])) if not unknown.all() else 0.0
        self.shape = view.shape
        smooth = gaussian_filter(np.where(unknown, level, view).astype(float), SMOOTHING, mode="nearest")
        self.coefficients = spline_filter1d(smooth, 3, axis=1, mode="mirror")
        self.known = ~binary_dilation(unknown, np.ones((2 * _REACH + 1, 2 * _REACH + 3))) if unknown.any() else ~unknown

    def at(self, rows, columns, shift):
        """(values, slopes along x, known) of the pixels of a tile moved by `shift` [px]."""
        whole = int(np.floor(shift))
        f = shift - whole
        weights = ((1 - f) ** 3 / 6, (4 - 6 * f**2 + 3 * f**3) / 6, (1 + 3 * f + 3 * f**2 - 3 * f**3) / 6, f**3 / 6)
        slopes = (-((1 - f) ** 2) / 2, (3 * f**2 - 4 * f) / 2, (1 + 2 * f - 3 * f**2) / 2, f**2 / 2)
        parts = [self.coefficients[slice(*rows), columns[0] + whole + tap:columns[1] + whole + tap] for tap in (-1, 0, 1, 2)]
        known = self.known[slice(*rows), columns[0] + whole:columns[1] + whole]
        return (sum(w * part for w, part in zip(weights, parts, strict=True)),
                sum(w * part for w, part in zip(slopes, parts, strict=True)), known)


def _fit(left, right, place, disparity):
    """(disparity, sigma) [px] of one tile from a start value; None where it does not converge."""
    width = left.shape[1]
    for _ in range(_ITERATIONS):
        reach = int(np.ceil(abs(disparity) / 2)) + 3
        columns = max(place[1][0], reach), min(place[1][1], width - reach)
        if columns[1] - columns[0] < LEAST_TILE // 2:
            return None
        one, slope_one, known_one = left.at(place[0], columns, disparity / 2)
        two, slope_two, known_two = right.at(place[0], columns, -disparity / 2)
        known = known_one & known_two
        if known.mean() < _LEAST_KNOWN:
            return None
        solved = _step(one, two, (slope_one + slope_two) / 2, known)
        if solved is None:
            return None
        disparity += float(np.clip(solved[0], -_LARGEST_STEP, _LARGEST_STEP))
        if abs(solved[0]) < _DONE:
            return disparity, math.hypot(solved[1], _LEAST_SIGMA)
    return None


def _step(one, two, slope, known):
    """(step in disparity, its sigma) [px]; None for a tile without texture."""
    mean = (one + two) / 2
    y, x = (np.linspace(-1, 1, length) for length in mean.shape)
    columns = (-slope, mean, mean * x, mean * y[:, None], np.ones_like(mean))
    design = np.stack([np.where(known, column, 0) for column in columns], axis=-1)
    size = np.sqrt((design**2).mean(axis=(0, 1)))
    if not size.all():
        return None
    design = design / size
    flat, difference = design.reshape(-1, _PARAMETERS), np.where(known, one - two, 0)
    normal = flat.T @ flat
    if np.linalg.cond(normal) > 1e10:
        return None
    inverse = np.linalg.inv(normal)
    solved = inverse @ (flat.T @ difference.ravel())
    scores = _by_block(design * (difference - design @ solved)[..., None])
    widened = len(scores) / max(len(scores) - _PARAMETERS, 1)
    covariance = widened * inverse @ (scores.T @ scores) @ inverse
    return solved[0] / size[0], float(np.sqrt(covariance[0, 0])) / size[0]


def _by_block(scores):
    """(blocks, parameters) sums over blocks of a tile."""
    edges = [np.linspace(0, length, min(_MOST_BLOCKS, max(length // _BLOCK, 2)) + 1).astype(int)[:-1]
             for length in scores.shape[:2]]
    return np.add.reduceat(np.add.reduceat(scores, edges[0], axis=0), edges[1], axis=1).reshape(-1, scores.shape[2])
