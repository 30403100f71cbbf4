"""Parallax that no map of the whole image removes: what the tiles of aligned frames still move against each other.

A camera that moved sideways sees near things displaced against far ones.  Every tile asks, link by link, for a shift of
its own; solved over all links these are its places in all frames.  Parallax is how far they spread beyond their noise.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.prepare.pyramids import TILES

PARALLAX_PX = 1.0
"""Parallax beyond which depth edges are not trustworthy; in large images 0.6 px of the plane it is measured on."""

_SHARE = 0.1
_NORMAL = 2.56
"""Share of the tiles cut off at either end of the spread, and the width of a normal distribution between those ends."""

_ALIKE, _CORRELATED, _BIAS, _FEWEST, _LOOSE = 0.3, 20, 0.08, 10, 0.01
"""Least agreement of a tile; pixels of a plane that are alike; what defocus shifts a tile per link, in pixels of the
plane; least number of tiles that count; precision [px^-2] of no displacement."""

_SIGMA = 0.3
"""Largest 1-sigma of a tile that counts, in pixels of the finest plane."""

_COARSER, _WITHIN, _CLEAR, _RISE = (2, 3), 0.7, 1, 0.1
"""Levels that are looked at beside those of the links; a level is believed only while the coarser ones find the tile within
so many of its pixels, because bands that lie farther apart attract each other wrongly; sigmas that make a tile suspect of
a large displacement; rise in agreement, with that undone, that proves it (blur that changes with depth looks like it)."""


def parallax(links, matrices, sums) -> np.ndarray:
    """(K,) px by which near and far parts of each frame are displaced against each other, beyond noise; NaN = not known.

    links, sums   a `Links` and what its `look` saw at the final maps, `matrices`
    Frames without links get NaN, the reference 0.
    """
    count, found = len(links.pyramids), np.full(len(links.pyramids), math.nan)
    moves, sigmas = _fields(links, sums)
    usable = sigmas < _SIGMA * links.factors[0]
    moves, usable = _with_large(links, matrices, sums, moves, usable)
    for k in range(count):
        if k in links.order and usable[:, k].sum() >= _FEWEST:
            found[k] = _spread(moves[usable[:, k], k], sigmas[usable[:, k], k])
    found[links.reference] = 0
    return found


def _with_large(links, matrices, sums, moves, usable):
    """(moves, usable) with the tiles that coarse levels see far displaced, as far as undoing that makes them agree."""
    more, _ = links.look(matrices, [level for level in _COARSER if level < len(links.factors)])
    far, sigmas = _fields(links, [one | other for one, other in zip(sums, more, strict=True)])
    suspect = ~usable & (np.hypot(far[..., 0], far[..., 1]) > _CLEAR * sigmas)
    enough = suspect.sum(axis=0) >= _FEWEST // 2
    if not enough.any():
        return moves, usable
    shifts = np.stack([np.median(far[suspect[:, k], k], axis=0) if enough[k] else np.zeros(2) for k in range(len(enough))])
    trial = np.stack([np.eye(3)] * len(enough))
    trial[:, :2, 2] = shifts
    again, _ = links.look(matrices @ trial)
    rises = _alike(again) - _alike(sums) > _RISE
    proven = suspect & rises[:, None] & enough
    return np.where(proven[..., None], far, moves), usable | proven


def _alike(sums):
    """(T,) mean agreement of each tile over all links and levels."""
    values = np.mean([values for link in sums for values in map(_merged, link.values())], axis=0)
    return values[:, 7] / np.maximum(np.sqrt(values[:, 8] * values[:, 9]), 1e-9)


def parallax_note(values, factor: int) -> tuple[str, ...]:
    """One sentence where parallax is too large, () elsewhere; `factor` is that of the finest plane."""
    limit = max(PARALLAX_PX, 0.6 * factor)
    many = np.flatnonzero(np.nan_to_num(values) > limit)
    if not len(many):
        return ()
    worst = int(np.nanargmax(values))
    return (f"frame {worst}: near and far parts are displaced by {values[worst]:.1f} px against each other (parallax; more "
            f"than {limit:.1f} px in {len(many)} of {len(values)} frames): the camera moved, which no map of the image "
            "undoes; depth at edges is not trustworthy; use a tripod",)


def _fields(links, sums):
    """((T, K, 2) displacement [px] of every tile in every frame, its (T, K) 1-sigma), by least squares over the links."""
    tiles, count = (TILES // 2) ** 2, len(links.pyramids)
    system = np.zeros((tiles, count, 2, count, 2))
    score = np.zeros((tiles, count, 2))
    loose = np.full(count, _LOOSE)
    loose[links.reference] = 1e6
    for axis in (0, 1):
        system[:, np.arange(count), axis, np.arange(count), axis] = loose
    for (one, other), link in zip(links.pairs, sums, strict=True):
        normal, pull = np.zeros((tiles, 2, 2)), np.zeros((tiles, 2))
        for level in sorted(link, reverse=True):
            factor = links.factors[level]
            matrix, score_here = _tile_equations(link[level], factor)
            so_far = np.linalg.solve(normal + _LOOSE * np.eye(2), pull[..., None])[..., 0]
            near = np.hypot(*so_far.T) < _WITHIN * factor
            damping = np.linalg.inv(np.eye(2) + (_BIAS * factor) ** 2 * matrix) / 2  # two gaps share frames: count as one
            normal += near[:, None, None] * (matrix @ damping)
            pull += near[:, None] * (damping.swapaxes(1, 2) @ score_here[..., None])[..., 0]
        for rows, sign in ((one, -1), (other, 1)):
            score[:, rows] += sign * pull
            for columns, other_sign in ((one, -1), (other, 1)):
                system[:, rows, :, columns] += sign * other_sign * normal
    inverse = np.linalg.inv(system.reshape(tiles, 2 * count, 2 * count))
    moves = (inverse @ score.reshape(tiles, 2 * count, 1)).reshape(tiles, count, 2)
    return moves, np.sqrt(np.diagonal(inverse, axis1=1, axis2=2).reshape(tiles, count, 2).max(axis=2))


def _tile_equations(sums, factor):
    """((T, 2, 2), (T, 2)) normal equations [px] of the shift of each tile of 2 x 2 in one link, weighted by its noise."""
    values = _merged(sums)
    squared, crossed, power = values[:, 0] + values[:, 2], values[:, 6], np.sqrt(values[:, 8] * values[:, 9])
    usable = (values[:, 7] > _ALIKE * power) & (crossed > 0.1 * squared) & (power > 0)
    rest = (values[:, 8] + values[:, 9] - 2 * values[:, 7]) / np.where(usable, power, 1)
    weight = usable / (_CORRELATED * np.maximum(rest, 0.02))
    gain = squared / np.where(usable, crossed, 1)
    tensors = values[:, [0, 1, 1, 2]].reshape(-1, 2, 2) / factor**2
    return tensors * weight[:, None, None], values[:, 3:5] / factor * (weight * gain)[:, None]


def _merged(sums):
    """(T, n) sums of tiles of 2 x 2."""
    half = TILES // 2
    return sums.reshape(half, 2, half, 2, -1).sum(axis=(1, 3)).reshape(half * half, -1)


def _spread(moves, sigmas):
    """Width [px] of the displacements along the direction in which they differ most, less that of their noise."""
    moves = moves - np.median(moves, axis=0)
    direction = np.linalg.eigh(moves.T @ moves)[1][:, -1]
    low, high = np.quantile(moves @ direction, [_SHARE, 1 - _SHARE])
    return max(0.0, float(high - low - _NORMAL * np.median(sigmas)))
