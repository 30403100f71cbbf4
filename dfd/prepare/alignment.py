"""Align the frames of a stack to one reference: neighbours in focus order first, then all links solved together.

Neighbours differ least in blur, so they are registered to each other and accumulated to the reference.  Then links
between near and farther neighbours are measured again on the frames as they lie and solved jointly, so that small
errors do not walk.  Then the evidence decides, first over the sweep (a smooth drift) and frame by frame (a shift, then
scale and rotation), against the scatter of the links and against a bias that repeats from link to link: defocus that
changes with depth looks like scale.  What it does not support stays at exactly the prediction, and is not resampled.
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
    supported,
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

_SUSPECTS, _GAIN, _CHANCE = 2, 0.02, 14
"""Pairs of neighbours that are registered anew before a stack counts as registered; the gain in correlation that
belongs to a displacement (0.05 and more from 1 to 2 px, 0.012 and less where frames lie as predicted), and what chance
finds in small images, times the root of their pixels (rendered, 0.1 at 120 x 180, 0.02 at 200 x 300)."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where each frame lies on the reference grid.

    matrices         (K, 3, 3) float64, output (reference) px -> frame px, homogeneous
    quality          (K,) correlation of the frame with its neighbour after alignment, 1 = same; 1 for the reference
    corner_shift_px  (K,) largest corner displacement [px] of the residual beyond the prediction: that in `matrices`
                     where one is applied, else the one that was measured and not supported
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

    @property
    def aligned(self):
        return ~(self.quality < LEAST_QUALITY)


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
        if not isinstance(image, np.ndarray):
            pyramids.append(image)
            continue
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
            expected = _quality(pyramids[last], matrices[last], pyramids[k], start)
            if quality[k] < expected + _least_gain(pyramids[k]):
                matrix, quality[k] = start, expected
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


def _least_gain(pyramid) -> float:
    """Gain in correlation that shows a displacement rather than chance."""
    return max(_GAIN, _CHANCE / np.sqrt(pyramid.planes[0].size))


class _Links:
    """The links between near frames of a stack: what they look like and what they ask for at given maps."""

    def __init__(self, pyramids, reference, order):
        self.pyramids, self.reference, self.order, self.shape = pyramids, reference, order, pyramids[0].shape
        self.levels = _LEVELS[:len(pyramids[0].factors)]
        self.pairs = [(one, other) for gap in _GAPS for one, other in zip(order, order[gap:], strict=False)]

    def look(self, matrices, resample):
        """The planes of every frame through its map, and the agreement of every link, summed over its levels."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            planes = dict(zip(self.order, pool.map(
                lambda k: seen(self.pyramids[k], matrices[k], self.levels, resample=resample), self.order), strict=True))
        return planes, np.array([sum(agreement(planes[one][level], planes[other][level]) for level in self.levels)
                                 for one, other in self.pairs])

    def solve(self, planes):
        """(K, 4) motions of all frames that satisfy the links best, and their (4 K, 4 K) covariance [px^2].

        A link errs by its scatter and by its bias, half of which repeats from link to link.  The links of several gaps
        share their frames and so their errors: together they count as one.
        """
        count = len(self.pyramids)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            estimates = list(pool.map(lambda pair: measure(planes[pair[0]], planes[pair[1]], self.pyramids[0].factors,
                                                           self.shape), self.pairs))
        loose = np.full((count, 4), 1e-6)
        loose[self.reference] = 1e6
        precision, noise, score = np.diag(loose.ravel()), np.diag(loose.ravel()), np.zeros(4 * count)
        repeated = np.zeros((4 * count, 4))
        for (one, other), estimate in zip(self.pairs, estimates, strict=True):
            if estimate is None:
                continue
            square = estimate.bias @ estimate.bias.T
            weight = np.linalg.inv(estimate.covariance + square)
            scatter = len(_GAPS) * weight @ (estimate.covariance + square / 2) @ weight
            ends = ((slice(4 * one, 4 * one + 4), -1), (slice(4 * other, 4 * other + 4), 1))
            for rows, sign in ends:
                score[rows] += sign * weight @ estimate.motion
                repeated[rows] += sign * weight @ estimate.bias
                for columns, other_sign in ends:
                    precision[rows, columns] += sign * other_sign * weight
                    noise[rows, columns] += sign * other_sign * scatter
        inverse = np.linalg.inv(precision)
        motions, repeated = (inverse @ score).reshape(count, 4), inverse @ repeated
        motions[self.reference] = 0
        return motions, inverse @ noise @ inverse + repeated @ repeated.T

    def moved(self, matrices, motions):
        """The maps after these motions."""
        return np.stack([matrix @ similarity_matrix(motion, self.shape)
                         for matrix, motion in zip(matrices, motions, strict=True)])


def _already_there(links, initial):
    """The Alignment when the links find nothing to correct at the prediction; None when they do, or do not hold."""
    planes, alike = links.look(initial, fast_warp)
    if alike.sum() < 2 * LEAST_QUALITY * len(links.pairs) * len(links.levels):
        return None
    motions, covariance = links.solve(planes)
    if supported(motions, covariance, _positions(links))[0].any() or _displaced(links, initial, planes):
        return None
    fixed = np.array([_toward(links.order, k, links.reference) for k in range(len(initial))])
    return _judge(links, initial, motions, covariance, np.ones(len(initial)), fixed)


def _positions(links):
    """(K,) places in the sweep, counted from the reference in units of its length; 0 for frames without links."""
    positions = np.zeros(len(links.pyramids))
    positions[links.order] = (np.arange(len(links.order)) - links.order.index(links.reference)) / len(links.order)
    return positions


def _displaced(links, initial, planes) -> bool:
    """Do the least alike neighbours become more alike when they are registered anew?  `solve` sees small motions only."""
    def alike(pair):
        return sum(agreement(planes[pair[0]][level], planes[pair[1]][level]) for level in links.levels)

    for one, other in sorted(itertools.pairwise(links.order), key=alike)[:_SUSPECTS]:
        fixed, moving = links.pyramids[one], links.pyramids[other]
        matrix = register_pair(fixed, moving, initial[one], initial[other], finest=1)
        expected = _quality(fixed, initial[one], moving, initial[other])
        if _quality(fixed, initial[one], moving, matrix) > expected + _least_gain(moving):
            return True
    return False


def _toward(order, k, reference):
    """The frame next to k on the way to the reference."""
    place, goal = order.index(k), order.index(reference)
    return order[place + (goal > place) - (goal < place)]


def _refine(links, initial, matrices):
    """Joint steps while they raise the agreement; (motions beyond `initial`, their covariance)."""
    accepted, best = matrices, -np.inf
    for _ in range(_ROUNDS + 1):
        planes, alike = links.look(matrices, fast_warp)
        if alike.sum() <= best:
            break
        accepted, best = matrices, alike.sum()
        matrices = links.moved(accepted, links.solve(planes)[0])
    motions, covariance = links.solve(links.look(accepted, warp)[0])
    residuals = np.linalg.inv(initial) @ links.moved(accepted, motions)
    return np.stack([motion_of(residual, links.shape) for residual in residuals]), covariance


def _judge(links, initial, motions, covariance, quality, fixed):
    """Apply what the evidence supports and what makes a frame agree better; the prediction stands for the rest."""
    count, pyramids, shape = len(links.pyramids), links.pyramids, links.shape
    failed = quality < LEAST_QUALITY
    residuals, remaining = supported(motions, covariance, _positions(links))
    shifts = np.array([corner_shift(similarity_matrix(residual, shape), shape) for residual in residuals])
    applied = ~failed & (shifts > SMALLEST_SHIFT_PX)
    kept = np.where(applied[:, None, None], links.moved(initial, residuals), initial)
    if applied.any():
        applied &= _rises(links, initial, kept)
        kept = np.where(applied[:, None, None], kept, initial)
    measured = np.array([corner_shift(similarity_matrix(motion, shape), shape) for motion in motions])
    sigmas = np.array([_corner_sigma((remaining if applied[k] else covariance)[4 * k:4 * k + 4, 4 * k:4 * k + 4], shape)
                       for k in range(count)])
    sigmas[links.reference] = 0
    quality = np.array([1.0 if k == fixed[k] else _quality(pyramids[fixed[k]], kept[fixed[k]], pyramids[k], kept[k])
                        for k in range(count)])
    notes = tuple(f"frame {k}: could not be aligned (correlation with frame {fixed[k]} {quality[k]:.2f}, at least "
                  f"{LEAST_QUALITY} needed); it stays where the optics predict it; check focus order, motion, exposure"
                  for k in np.flatnonzero(failed))
    return Alignment(kept, quality, np.where(applied, shifts, measured), np.where(failed, np.nan, sigmas), applied, notes)


def _rises(links, initial, kept):
    """(K,) does a frame agree better with its neighbours at `kept` than at `initial`?"""
    gain = links.look(kept, fast_warp)[1] - links.look(initial, fast_warp)[1]
    own = np.zeros(len(initial))
    for pair, value in zip(links.pairs, gain, strict=True):
        own[list(pair)] += value
    return own > 0


def _corner_sigma(covariance, shape) -> float:
    """1-sigma [px] of the displacement of the worst corner."""
    nx, ny = np.array([shape[1], shape[0]]) / np.hypot(*shape)
    moves = np.array([[[x, -y, 1, 0], [y, x, 0, 1]] for x in (-nx, nx) for y in (-ny, ny)])
    return float(np.sqrt(np.trace(moves @ covariance @ moves.transpose(0, 2, 1), axis1=1, axis2=2).max()))
