"""Align the frames of a stack to one reference: neighbours in focus order first, then all links solved together.

Neighbours differ least in blur, so they are registered to each other and accumulated to the reference.  Then links
between near and farther neighbours are measured again on the frames as they lie and solved jointly, so that small
errors do not walk.  A residual that the evidence does not support is set to exactly the prediction: a stack that is
registered already is never resampled.
"""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dfd.imaging import full_matrix, warp
from dfd.prepare.similarity import (
    agreement,
    corner_shift,
    fast_warp,
    measure,
    motion_of,
    pyramid,
    register_pair,
    seen,
    similarity_matrix,
)

SMALLEST_SHIFT_PX = 0.05
"""A residual below this at every corner is left alone: resampling would cost more than it repairs."""

LEAST_QUALITY = 0.15
"""Correlation with the neighbour below which a frame counts as not aligned; unrelated textures reach 0.02."""

_FRAME_PIXELS = 0.6e6
_TOTAL_PIXELS = 20e6
_LEVELS = (0, 1)
_GAPS = (1, 2)
_ROUNDS = 3
"""Levels, gaps of the links, and largest number of the joint rounds."""

_SUSPECTS, _GAIN = 2, 0.02
"""Pairs of neighbours that are registered anew before a stack counts as registered, and the gain in correlation that
belongs to a displacement: 0.05 and more from 1 to 2 px, 0.012 and less where frames lie as predicted."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where each frame lies on the reference grid.

    matrices         (K, 3, 3) float64, output (reference) px -> frame px, homogeneous
    quality          (K,) correlation of the frame with its neighbour after alignment, 1 = same; 1 for the reference
    corner_shift_px  (K,) largest corner displacement [px] of the residual that was estimated beyond the prediction
    sigma_px         (K,) its 1-sigma [px]; NaN where nothing could be estimated
    applied          (K,) bool: the residual is in `matrices`; False = the prediction stands as it was
    notes            one sentence per frame that could not be aligned
    """

    matrices: np.ndarray
    quality: np.ndarray
    corner_shift_px: np.ndarray
    sigma_px: np.ndarray
    applied: np.ndarray
    notes: tuple[str, ...] = ()


def align(images, *, reference: int, initial=None, order=None, progress=None) -> Alignment:
    """Residual similarity (shift, rotation, scale) of every frame against the reference, beyond the `initial` maps.

    images     K (H, W) NumPy images of one size; NaN = no data; each is read once, in turn
    reference  index of the frame that is not moved
    initial    K maps, output px -> frame px, to start from (see `predicted_breathing`); default identity
    order      the K indices in focus order; default 0..K-1
    progress   called as progress(done, total)
    Raises ValueError for a reference, an order, a count or sizes that do not fit.
    """
    count = len(images)
    order = list(range(count)) if order is None else [int(index) for index in order]
    if sorted(order) != list(range(count)):
        raise ValueError(f"order {order} must name each of the {count} frames once")
    if not 0 <= reference < count:
        raise ValueError(f"reference ({reference}) must be the index of one of {count} frames, 0 to {count - 1}")
    initial = np.stack([np.eye(3)] * count if initial is None else [full_matrix(matrix) for matrix in initial])
    if len(initial) != count:
        raise ValueError(f"{len(initial)} initial maps for {count} frames; give one per frame")
    report = progress or (lambda done, total: None)
    pyramids = _pyramids(images, lambda done: report(done, 3 * count))
    everyone = _Links(pyramids, reference, order)
    result = _already_there(everyone, initial)
    if result is None:
        matrices, quality, fixed = _chain(pyramids, reference, initial, order,
                                          lambda done: report(count + done, 3 * count))
        linked = _Links(pyramids, reference, [k for k in order if quality[k] >= LEAST_QUALITY])
        result = _judge(linked, initial, *_refine(linked, initial, matrices), quality, fixed)
    report(3 * count, 3 * count)
    return result


def _pyramids(images, advance):
    pyramids, pixels = [], min(_FRAME_PIXELS, _TOTAL_PIXELS / len(images))
    for index in range(len(images)):
        image = images[index]
        if pyramids and tuple(image.shape) != pyramids[0].shape:
            height, width = pyramids[0].shape
            raise ValueError(f"frame {index} is {image.shape[1]} x {image.shape[0]} px, frame 0 is {width} x {height} "
                             "px; frames of one capture have one size")
        pyramids.append(pyramid(image, max_pixels=pixels))
        advance(index + 1)
    return pyramids


def _chain(pyramids, reference, initial, order, advance):
    """Each frame against the last good one nearer to the reference; (matrices, quality, index of that frame)."""
    matrices, quality, fixed = initial.copy(), np.ones(len(pyramids)), np.full(len(pyramids), reference)
    place = order.index(reference)
    done = 1
    for side in (order[place + 1:], order[:place][::-1]):
        last = reference
        for k in side:
            start = initial[k] @ np.linalg.inv(initial[last]) @ matrices[last]
            matrix = register_pair(pyramids[last], pyramids[k], matrices[last], start, finest=1)
            quality[k], fixed[k] = _quality(pyramids[last], matrices[last], pyramids[k], matrix), last
            if quality[k] >= LEAST_QUALITY:
                matrices[k], last = matrix, k
            done += 1
            advance(done)
    return matrices, quality, fixed


def _quality(one, one_matrix, other, other_matrix) -> float:
    """Mean agreement of the second and third finest levels."""
    levels = range(1, 3) if len(one.planes) > 2 else (0,)
    first = seen(one, one_matrix, levels, resample=fast_warp)
    second = seen(other, other_matrix, levels, resample=fast_warp)
    return float(np.mean([agreement(first[level], second[level]) for level in levels]))


class _Links:
    """The links between near frames of a stack: what they look like and what they ask for at given maps."""

    def __init__(self, pyramids, reference, order):
        self.pyramids, self.reference, self.order, self.shape = pyramids, reference, order, pyramids[0].shape
        self.levels = _LEVELS[:len(pyramids[0].factors)]
        self.pairs = [(one, other) for gap in _GAPS for one, other in zip(order, order[gap:], strict=False)]

    def look(self, matrices, resample):
        """The planes of every frame through its map, and the sum of the agreements of all links."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            planes = dict(zip(self.order, pool.map(
                lambda k: seen(self.pyramids[k], matrices[k], self.levels, resample=resample), self.order), strict=True))
        return planes, sum(agreement(planes[one][level], planes[other][level])
                           for one, other in self.pairs for level in self.levels)

    def solve(self, planes):
        """(K, 4) motions of all frames that satisfy the links best, and their (4 K, 4 K) precision [1/px^2]."""
        count = len(self.pyramids)
        precision, score = 1e-6 * np.eye(4 * count), np.zeros(4 * count)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            estimates = list(pool.map(lambda pair: measure(planes[pair[0]], planes[pair[1]], self.pyramids[0].factors,
                                                           self.shape), self.pairs))
        for (one, other), estimate in zip(self.pairs, estimates, strict=True):
            if estimate is None:
                continue
            weight = np.linalg.inv(estimate.covariance)
            ends = ((slice(4 * one, 4 * one + 4), -1), (slice(4 * other, 4 * other + 4), 1))
            for rows, sign in ends:
                score[rows] += sign * weight @ estimate.motion
                for columns, other_sign in ends:
                    precision[rows, columns] += sign * other_sign * weight
        fixed = slice(4 * self.reference, 4 * self.reference + 4)
        precision[fixed, fixed] += 1e6 * np.eye(4)
        motions = np.linalg.solve(precision, score).reshape(count, 4)
        motions[self.reference] = 0
        return motions, precision

    def moved(self, matrices, motions):
        """The maps after these motions."""
        return np.stack([matrix @ similarity_matrix(motion, self.shape)
                         for matrix, motion in zip(matrices, motions, strict=True)])


def _already_there(links, initial):
    """The Alignment when the links find nothing to correct at the prediction; None when they do, or do not hold."""
    count = len(links.pyramids)
    planes, together = links.look(initial, fast_warp)
    if together < 2 * LEAST_QUALITY * len(links.pairs) * len(links.levels):
        return None
    motions, precision = links.solve(planes)
    if _significant(links, motions, precision) or _displaced(links, initial, planes):
        return None
    fixed = np.array([_toward(links.order, k, links.reference) for k in range(count)])
    return _judge(links, initial, links.moved(initial, motions), precision, np.ones(count), fixed)


def _displaced(links, initial, planes) -> bool:
    """Do the least alike neighbours become more alike when they are registered anew?  `solve` sees small motions only."""
    def alike(pair):
        return sum(agreement(planes[pair[0]][level], planes[pair[1]][level]) for level in links.levels)

    for one, other in sorted(itertools.pairwise(links.order), key=alike)[:_SUSPECTS]:
        fixed, moving = links.pyramids[one], links.pyramids[other]
        matrix = register_pair(fixed, moving, initial[one], initial[other], finest=1)
        if _quality(fixed, initial[one], moving, matrix) > _quality(fixed, initial[one], moving, initial[other]) + _GAIN:
            return True
    return False


def _toward(order, k, reference):
    """The frame next to k on the way to the reference."""
    place, goal = order.index(k), order.index(reference)
    return order[place + (goal > place) - (goal < place)]


def _refine(links, initial, matrices):
    """Joint steps while they raise the agreement; (matrices, precision), back to `initial` when that agrees as well."""
    accepted, best = matrices, -np.inf
    for _ in range(_ROUNDS + 1):
        planes, together = links.look(matrices, fast_warp)
        if together <= best:
            break
        accepted, best = matrices, together
        matrices = links.moved(accepted, links.solve(planes)[0])
    if links.look(initial, fast_warp)[1] >= best:
        accepted = initial
    motions, precision = links.solve(links.look(accepted, warp)[0])
    return links.moved(accepted, motions) if accepted is not initial else initial, precision


def _significant(links, motions, precision) -> bool:
    """Do these motions of the whole stack differ from none: chi-square above its mean by five of its own sigmas?"""
    freedom = 4 * (len(links.order) - 1)
    together = motions.reshape(-1) @ precision @ motions.reshape(-1)
    shifts = [corner_shift(similarity_matrix(motion, links.shape), links.shape) for motion in motions]
    return max(shifts) > SMALLEST_SHIFT_PX and together > freedom + 5 * np.sqrt(2 * freedom)


def _judge(links, initial, matrices, precision, quality, fixed):
    """Apply the residuals when they are significant; give them back to the prediction when not."""
    count, pyramids = len(links.pyramids), links.pyramids
    failed = quality < LEAST_QUALITY
    residuals = [np.linalg.inv(start) @ matrix for start, matrix in zip(initial, matrices, strict=True)]
    shifts = np.array([corner_shift(residual, links.shape) for residual in residuals])
    covariance = np.linalg.inv(precision)
    sigmas = np.array([_corner_sigma(covariance[4 * k:4 * k + 4, 4 * k:4 * k + 4], links.shape) for k in range(count)])
    sigmas[links.reference] = 0
    motions = np.stack([motion_of(residual, links.shape) for residual in residuals])
    applied = ~failed & (shifts > SMALLEST_SHIFT_PX) & _significant(links, motions, precision)
    kept = np.where(applied[:, None, None], matrices, initial)
    quality = np.array([1.0 if k == fixed[k] else _quality(pyramids[fixed[k]], kept[fixed[k]], pyramids[k], kept[k])
                        for k in range(count)])
    notes = tuple(f"frame {k}: could not be aligned (correlation with frame {fixed[k]} {quality[k]:.2f}, at least "
                  f"{LEAST_QUALITY} needed); it stays where the optics predict it; check focus order, motion, exposure"
                  for k in np.flatnonzero(failed))
    return Alignment(kept, quality, shifts, np.where(failed, np.nan, sigmas), applied, notes)


def _corner_sigma(covariance, shape) -> float:
    """1-sigma [px] of the displacement of the worst corner."""
    nx, ny = np.array([shape[1], shape[0]]) / np.hypot(*shape)
    moves = np.array([[[x, -y, 1, 0], [y, x, 0, 1]] for x in (-nx, nx) for y in (-ny, ny)])
    return float(np.sqrt(np.trace(moves @ covariance @ moves.transpose(0, 2, 1), axis1=1, axis2=2).max()))
