"""Match two frames of known optics, coarse to fine: a similarity, its covariance, and what either half of the tiles says."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd import imaging
from dfd.prepare.equalised import TILE, compare, trial_depths
from dfd.prepare.motions import SIMILARITY, at_level, displacements, motion_matrix, motion_of

_FINEST, _LEAST_PIXELS, _MOST_PIXELS, _LEAST_SIDE = 16, 0.1e6, 0.3e6, 56
"""Pixels of a frame per pixel of the finest level, within these limits; shorter side of the coarsest level [px]."""

_ROUNDS, _CONVERGED, _UNSETTLED = (8, 3), 0.03, 0.3
"""Most steps on the coarsest level and on the finer ones; px of the level that need no further one, and that are too many
for the last one of all."""

_DOUBTFUL = 0.8
"""Correlation at equal blur below which another start is tried, that of the phase correlation."""

_FEWEST, _OUTLYING, _PASSES = 8, 3.0, 4
"""Least number of tiles; misfit of a tile, in units of the median one, from which it counts less; passes to find so."""


@dataclass(frozen=True, eq=False)
class Match:
    """How one frame lies against another.

    motion       (4,) beyond the map it was expected at [px at the corner], with its covariance (4, 4) px^2
    halves       the same from either half of the tiles, as ((4,), (4, 4)) each
    alike        correlation at equal blur, 1 = the same;   settled   did the last step change next to nothing?
    """

    motion: np.ndarray
    covariance: np.ndarray
    halves: tuple
    alike: float
    settled: bool


def stages_of(image) -> dict[int, np.ndarray]:
    """{factor: (h, w) image reduced by it} of an (H, W) image, the finest first: at most 0.3 Mpx, down to sides of 56 px."""
    image = np.asarray(image)
    pixels = np.clip(image.size / _FINEST, _LEAST_PIXELS, _MOST_PIXELS)
    factors = [math.ceil(math.sqrt(max(image.size / pixels, 1)))]
    while min(image.shape) // (2 * factors[-1]) >= _LEAST_SIDE:
        factors.append(2 * factors[-1])
    return {factor: imaging.reduce(image, factor) for factor in factors}


def match(fixed, moving, optics, fixed_matrix, start, shape) -> Match | None:
    """How `moving` lies against `fixed`, beyond the map `start`; None where too little can be compared.

    fixed, moving   their `stages_of`;   optics   their two Optics in full px;   shape   (H, W) of the full images
    fixed_matrix, start   grid px -> px of `fixed`, of `moving`
    """
    factors, matrix, depths = sorted(fixed, reverse=True), start, None
    for factor in factors:
        seen = imaging.warp(fixed[factor], at_level(fixed_matrix, factor))
        here = [item.reduced(factor) for item in optics]
        depths = _narrowed(trial_depths(*here, seen.shape), depths)
        steps = [_followed(seen, moving[factor], here, depths, matrix, factor, shape, _ROUNDS[factor < factors[0]])]
        if factor == factors[0] and (steps[0] is None or steps[0][1].alike < _DOUBTFUL):
            rough = _shifted(seen, moving[factor], matrix, factor)
            steps.append(_followed(seen, moving[factor], here, depths, rough, factor, shape, _ROUNDS[0]))
        steps = [step for step in steps if step is not None]
        if not steps:
            return None
        matrix, tiles, before, motion = max(steps, key=lambda step: step[1].alike)
        depths = tiles.inverse_depth
    total = motion_of(np.linalg.inv(start) @ before, shape, SIMILARITY)
    moves, odd = _moves(tiles, factor, shape), (tiles.places // (2 * TILE)).sum(axis=1) % 2 > 0
    found = [_fit(tiles, moves, use) for use in (np.ones(len(moves), bool), odd, ~odd)]
    if any(item is None for item in found):
        return None
    (motion, covariance), *halves = [(total + part, spread) for part, spread in found]
    settled = np.abs(motion - total).max() < _UNSETTLED * factor
    return Match(motion, covariance, tuple(halves), tiles.alike, bool(settled))


def _followed(seen, moving, optics, depths, matrix, factor, shape, rounds):
    """(map after the last step, what the tiles asked for before it, the map then, that step) on one level; None without."""
    for _ in range(rounds):
        tiles = compare(seen, imaging.warp(moving, at_level(matrix, factor)), optics, depths)
        found = None if tiles is None else _fit(tiles, _moves(tiles, factor, shape), np.ones(len(tiles.places), bool))
        if found is None:
            return None
        before, matrix = matrix, matrix @ motion_matrix(found[0], shape)
        if np.abs(found[0]).max() < _CONVERGED * factor:
            break
    return matrix, tiles, before, found[0]


def _narrowed(depths, chosen):
    """The trial depths near those that the tiles of the coarser level chose; all of them at first."""
    if chosen is None:
        return depths
    low, high = np.searchsorted(depths, np.quantile(chosen, [0.01, 0.99]))
    return depths[max(0, low - 3):high + 3] if high + 3 > max(0, low - 3) + 1 else depths


def _shifted(seen, moving, matrix, factor):
    """The map shifted by the phase correlation of the two images as they lie."""
    import cv2

    one, other = (np.nan_to_num(image - np.nanmean(image)).astype(np.float32)
                  for image in (seen, imaging.warp(moving, at_level(matrix, factor))))
    (right, down), _ = cv2.phaseCorrelate(one, other, cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F))
    step = np.eye(3)
    step[:2, 2] = right * factor, down * factor
    return matrix @ step


def _moves(tiles, factor, shape):
    """(T, 2, 4) displacement [px of the level] of the tiles per px of each number of a similarity."""
    place = (tiles.places + 0.5) * factor - 0.5 - (np.array(shape[::-1]) - 1) / 2
    return displacements(*(place / (math.hypot(*shape) / 2)).T, SIMILARITY) / factor


def _fit(tiles, moves, use):
    """(motion, covariance) from the tiles in use; those that stand out count less.  None where they are too few.

    The covariance is the sandwich over blocks of 2 x 2 tiles, which have neighbours in common.
    """
    if use.sum() < _FEWEST:
        return None
    matrices, pulls, moves = tiles.normals[use], tiles.pulls[use], moves[use]
    normals, scores, weight = moves.swapaxes(1, 2) @ matrices @ moves, (pulls[:, None] @ moves)[:, 0], np.ones(len(moves))
    loose = 1e-6 * np.trace(matrices, axis1=1, axis2=2).max() * np.eye(2)
    own = np.linalg.solve(matrices + loose, pulls[..., None])[..., 0]
    if np.linalg.cond(normals.sum(axis=0)) > 1e8:
        return None
    for _ in range(_PASSES):
        inverse = np.linalg.inv((normals * weight[:, None, None]).sum(axis=0))
        motion = inverse @ (scores * weight[:, None]).sum(axis=0)
        off = own - moves @ motion
        excess = (off[:, None] @ matrices @ off[..., None])[:, 0, 0]
        weight = np.minimum(1, _OUTLYING * np.sqrt(np.median(excess) / np.maximum(excess, 1e-30)))
    rest = (scores - normals @ motion) * weight[:, None]
    _, group = np.unique(tiles.places[use] // (2 * TILE) @ (1, 1e5), return_inverse=True)
    blocks = np.stack([np.bincount(group, column) for column in rest.T], axis=-1)
    return motion, inverse @ (blocks.T @ blocks) @ inverse
