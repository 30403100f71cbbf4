"""Register two images that differ in blur: one Gauss-Newton step of any model, or coarse to fine from a rough start.

Symmetric second-order steps: Benhimane & Malis 2004.  Uncertainty: sandwich estimate over image tiles, White 1980.
Motions are those of `dfd.prepare.motions`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from dfd.prepare.motions import SIMILARITY, corner_shift, displacements, motion_matrix
from dfd.prepare.pyramids import TILES, Pyramid, agreement, compared, seen

_BIAS = np.array([0.04, 0.024, 0.014, 0.014, 0.04, 0.024, 0.06, 0.06])
"""Systematic error of the finest level, in its pixels (focus_stack_pcb: 0.04 to 0.1; rendered slants: mostly scale)."""
_LEAST_ALIKE, _SHARP = 0.03, 0.15
"""Least agreement, and that of the finest level below which all levels err by more (rendered: 3 px of scale at 0.05)."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A motion of n numbers [px at the corner], its (n, n) covariance [px^2], and the 1-sigma of the error that repeats
    from link to link of a sweep, (n, n) px, one column per number."""

    motion: np.ndarray
    covariance: np.ndarray
    bias: np.ndarray


def measure(sums: dict[int, np.ndarray], sizes, factors, shape, terms: int) -> Estimate | None:
    """The motion that brings one image onto another, to first order, from the tile sums of all levels; None without support.

    sums      level -> (16, 16, 10) of `compared`;  sizes   pixels per level
    Each level counts by its sandwich covariance plus a bias that grows eightfold per level and with the disagreement of
    its planes: coarse bands are made of defocused structure, whose apparent place follows the focus where depth slopes.
    """
    precision, bias, scatter = (np.zeros((terms, terms)) for _ in range(3))
    score = np.zeros(terms)
    alike = {level: max(agreement(sums[level], sizes[level]), _LEAST_ALIKE) for level in sums}
    unsharp = max(1.0, _SHARP / alike.get(0, 1))
    for level in sums:
        part = _measure_level(sums[level], factors[level], shape, terms)
        if part is not None:
            (motion, covariance) = part
            error = np.diag(_BIAS[:terms] * factors[0] * 8**level * unsharp / alike[level] ** 2)
            weight = np.linalg.inv(covariance + error**2)
            precision += weight
            score += weight @ motion
            bias += weight @ error
            scatter += weight @ covariance @ weight
    inverse = np.linalg.inv(precision) if precision.any() else None
    return None if inverse is None else Estimate(inverse @ score, inverse @ scatter @ inverse, inverse @ bias)


def register_pair(fixed: Pyramid, moving: Pyramid, fixed_matrix, start, *, finest: int, rounds: int = 6) -> np.ndarray:
    """Coarse to fine: the map (grid px -> moving px) that makes `moving` look like `fixed` seen through its own map.

    Levels finer than `finest` are left to `measure`; a level that does not raise its agreement leaves the map alone.
    """
    matrix = _shifted_start(fixed, moving, fixed_matrix, np.array(start, dtype=float))
    coarsest = max(len(fixed.factors) - 2, 0)
    for level in reversed(range(min(finest, coarsest), coarsest + 1)):
        factor, size = fixed.factors[level], fixed.pixels(level)
        target = seen(fixed, fixed_matrix, (level,))[level]
        trial, before, after = matrix, None, None
        for _ in range(rounds):
            sums = compared(target, seen(moving, trial, (level,))[level])
            after = agreement(sums, size)
            before = after if before is None else before
            estimate = measure({level: sums}, {level: size}, fixed.factors, fixed.shape, SIMILARITY)
            if estimate is None or after < before:
                break
            if after > before or trial is matrix:
                matrix, before = trial, after
            update = motion_matrix(estimate.motion, fixed.shape)
            trial = trial @ update
            if corner_shift(update, fixed.shape) < 0.02 * factor:
                break
    return matrix


def _measure_level(sums, factor, shape, terms):
    """(motion, its covariance) from one level; None without support."""
    weight, crossed, squared = sums[..., 5].sum(), sums[..., 6].sum(), (sums[..., 0] + sums[..., 2]).sum()
    if weight < 64 or crossed < 0.1 * squared:
        return None
    tensors = sums[..., [0, 1, 1, 2]].reshape(TILES, TILES, 2, 2) / factor**2
    moves = _tile_moves(shape, terms)
    normals = _paired(moves.swapaxes(-1, -2) @ tensors @ moves)
    scores = _paired((sums[..., None, 3:5] / factor @ moves)[..., 0, :])
    normal = normals.sum(axis=0)
    if np.linalg.cond(normal) > 1e6:
        return None
    inverse = np.linalg.inv(normal) * (squared / crossed)
    motion = inverse @ scores.sum(axis=0)
    rest = scores - normals @ motion * (crossed / squared)
    return motion, inverse @ (rest.T @ rest) @ inverse


@functools.lru_cache(maxsize=8)
def _tile_moves(shape, terms):
    """(16, 16, 2, terms) displacements of the centres of the tiles."""
    place = (np.arange(TILES) + 0.5) / TILES - 0.5
    diagonal = math.hypot(*shape) / 2
    return displacements(place[None] * shape[1] / diagonal, place[:, None] * shape[0] / diagonal, terms)


def _paired(tiles):
    """Sums over 2 x 2 tiles, flat: what neighbours have in common must not count twice."""
    return tiles.reshape(TILES // 2, 2, TILES // 2, 2, *tiles.shape[2:]).sum(axis=(1, 3)).reshape(-1, *tiles.shape[2:])


def _shifted_start(fixed, moving, fixed_matrix, start):
    """`start`, or shifted by the phase correlation of a coarse level (56 to 112 px high or wide) where that fits better.

    Its window needs two rows and two columns; a narrower strip starts where it is.
    """
    import cv2

    level = max(len(fixed.factors) - 3, 0)
    factor, size = fixed.factors[level], fixed.pixels(level)
    target = seen(fixed, fixed_matrix, (level,))[level]
    here = seen(moving, start, (level,))[level]
    if min(here[0].shape) < 2:
        return start
    window = cv2.createHanningWindow(here[0].shape[::-1], cv2.CV_32F)
    (right, down), _ = cv2.phaseCorrelate(target[0], here[0], window)
    step = np.eye(3)
    step[:2, 2] = right * factor, down * factor
    there = seen(moving, start @ step, (level,))[level]
    return start @ step if agreement(compared(target, there), size) > agreement(compared(target, here), size) else start
