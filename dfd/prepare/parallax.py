"""What is left when every frame has its map: displacements that differ from place to place, as a moved camera causes.

The sums that the links of a sweep were registered by (Gauss-Newton normal equations per tile) are solved tile by tile, all
frames together, so that one tile's displacement is what the whole frame's map leaves there.
"""

from __future__ import annotations

import numpy as np

from dfd.prepare.pyramids import TILES

_GRID = TILES // 2
_ALIKE = 0.3
"""Correlation below which two frames say nothing about a tile."""

_CORRELATED, _LEAST_VARIANCE = 20.0, 0.02
"""Pixels that share one independent sample of the difference; least variance of normalised planes that differ."""

_SURE_PX, _FLOOR_PX, _LEAST_TILES = 0.3, 0.1, 6
"""Tiles whose displacement is known worse than this [px] do not count; error that none is better than; tiles needed."""

_SHARES, _SIGMAS = (0.1, 0.9), 2.56
"""The spread is that between these shares of the tiles; between them a normal error has this many sigmas."""


def parallax(links, sums, count: int) -> np.ndarray:
    """(K,) spread [px] of the displacements of a frame's tiles along the direction in which they differ most, noise taken
    out: about the parallax between near and far.  NaN where too few tiles tell, and for frames without links.

    links, sums   prepare.links.Links and what its `look` returned at the final maps
    """
    moves, sigmas = _field(links, sums, count)
    return np.array([_spread(moves[:, k], sigmas[:, k]) if k in links.order else np.nan for k in range(count)])


def _field(links, sums, count):
    """(tiles, K, 2) displacements [px] and their 1-sigma, from all links of all levels."""
    tiles = _GRID * _GRID
    normal, score = np.zeros((tiles, count, 2, count, 2)), np.zeros((tiles, count, 2))
    everyone, axes = np.arange(count), np.arange(2)
    normal[:, everyone[:, None], axes, everyone[:, None], axes] = 1e-2
    normal[:, links.reference, axes, links.reference, axes] = 1e6
    for (one, other), link in zip(links.pairs, sums, strict=True):
        for level, part in link.items():
            tensor, pull = _tile(part, links.factors[level])
            for end, sign in ((one, -1), (other, 1)):
                score[:, end] += sign * pull
                for far, far_sign in ((one, -1), (other, 1)):
                    normal[:, end, :, far, :] += sign * far_sign * tensor
    inverse = np.linalg.inv(normal.reshape(tiles, 2 * count, 2 * count))
    moves = (inverse @ score.reshape(tiles, 2 * count, 1)).reshape(tiles, count, 2)
    return moves, np.sqrt(np.diagonal(inverse, axis1=1, axis2=2)).reshape(tiles, count, 2)


def _tile(sums, factor):
    """(tiles, 2, 2) information [1/px^2] and (tiles, 2) pull [1/px] of one link at one level, by 2 x 2 of its tiles."""
    part = sums.reshape(_GRID, 2, _GRID, 2, -1).sum(axis=(1, 3)).reshape(_GRID * _GRID, -1)
    squared, crossed = part[:, 0] + part[:, 2], part[:, 6]
    gain = np.where(squared > 0, squared / np.maximum(np.maximum(crossed, 0.1 * squared), 1e-9), 0)
    power = (part[:, 8] + part[:, 9]) / 2
    variance = (2 * power - 2 * part[:, 7]) / np.maximum(power, 1e-6)
    alike = part[:, 7] > _ALIKE * np.sqrt(part[:, 8] * part[:, 9])
    weight = np.where(alike, 0.5 / (_CORRELATED * np.maximum(variance, _LEAST_VARIANCE)), 0)
    tensor = part[:, [0, 1, 1, 2]].reshape(-1, 2, 2) / factor**2
    return tensor * weight[:, None, None], part[:, 3:5] / factor * (gain * weight)[:, None]


def _spread(moves, sigmas):
    """Spread of the displacements of the tiles that are sure, along their main direction, without that of their errors."""
    sigma = sigmas.max(axis=-1)
    sure = sigma < _SURE_PX
    if sure.sum() < _LEAST_TILES:
        return np.nan
    weight, moves, sigma = 1 / (sigma[sure] ** 2 + _FLOOR_PX**2), moves[sure], sigma[sure]
    moves = moves - [_quantiles(moves[:, axis], weight, [0.5])[0] for axis in (0, 1)]
    scatter = (moves * weight[:, None]).T @ moves / weight.sum()
    along = moves @ np.linalg.eigh(scatter)[1][:, -1]
    low, high = _quantiles(along, weight, _SHARES)
    noise = _SIGMAS * np.sqrt(np.average(sigma**2, weights=weight))
    return float(np.sqrt(max((high - low) ** 2 - noise**2, 0)))


def _quantiles(values, weight, shares):
    order = np.argsort(values)
    place = np.cumsum(weight[order]) - weight[order] / 2
    return np.interp(np.asarray(shares) * weight.sum(), place, values[order])
