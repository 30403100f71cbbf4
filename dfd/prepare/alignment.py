"""Align the frames of a stack to one reference: neighbours in focus order first, then all links solved together.

Neighbours differ least in blur, so they are registered to each other and accumulated to the reference.  Then links
between near and farther neighbours are measured again on the frames as they lie and solved jointly, so that small
errors do not walk.  A residual that the evidence does not support is set to exactly the prediction: a stack that is
registered already is never resampled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfd.imaging import full_matrix, warp
from dfd.prepare.similarity import (
    agreement,
    corner_shift,
    fast_warp,
    measure,
    pyramid,
    register_pair,
    seen,
    similarity_matrix,
)

SMALLEST_SHIFT_PX = 0.05
"""A residual below this at every corner is left alone: resampling would cost more than it repairs."""

LEAST_QUALITY = 0.15
"""Correlation with the neighbour below which a frame counts as not aligned; unrelated images reach 0.07."""

_FRAME_PIXELS = 0.8e6
_TOTAL_PIXELS = 20e6
_LEVELS = (0, 1)
_GAPS = (1, 2)
_ROUNDS = 3
"""Levels, gaps of the links, and largest number of the joint rounds."""


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
    matrices, quality, fixed = _chain(pyramids, reference, initial, order, lambda done: report(count + done, 3 * count))
    linked = [k for k in order if quality[k] >= LEAST_QUALITY]
    covariances = np.zeros((count, 4, 4))
    if len(linked) > 1:
        matrices, covariances = _refine(pyramids, reference, initial, matrices, linked)
    report(3 * count, 3 * count)
    return _judge(pyramids, initial, matrices, covariances, quality, fixed)


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
    """Mean agreement of the three finest levels."""
    levels = range(min(3, len(one.planes)))
    first = seen(one, one_matrix, levels, resample=fast_warp)
    second = seen(other, other_matrix, levels, resample=fast_warp)
    return float(np.mean([agreement(first[level], second[level]) for level in levels]))


def _refine(pyramids, reference, initial, matrices, linked):
    """Joint steps while they raise the agreement of the links; (matrices, covariances).

    Everything goes back to `initial` when that agrees as well.
    """
    trial, accepted, best = matrices, None, -np.inf
    for _ in range(_ROUNDS + 1):
        planes = _look(pyramids, trial, linked, fast_warp)
        together = _together(planes, linked)
        if together <= best:
            break
        accepted, best = trial, together
        trial, covariances = _solve_jointly(pyramids[0], planes, reference, accepted, linked)
    if _together(_look(pyramids, initial, linked, fast_warp), linked) >= best:
        return initial.copy(), covariances
    return _solve_jointly(pyramids[0], _look(pyramids, accepted, linked, warp), reference, accepted, linked)


def _look(pyramids, matrices, linked, resample):
    levels = _LEVELS[:len(pyramids[0].factors)]
    return {k: seen(pyramids[k], matrices[k], levels, resample=resample) for k in linked}


def _links(order):
    return [(one, other) for gap in _GAPS for one, other in zip(order, order[gap:], strict=False)]


def _together(planes, linked) -> float:
    return sum(agreement(planes[one][level], planes[other][level])
               for one, other in _links(linked) for level in planes[one])


def _solve_jointly(example, planes, reference, matrices, linked):
    """Measure every link between near frames and move all frames at once; (matrices, covariances)."""
    slots = {k: slice(4 * index, 4 * index + 4) for index, k in enumerate(k for k in linked if k != reference)}
    normal, score = 1e-9 * np.eye(4 * len(slots)), np.zeros(4 * len(slots))
    for one, other in _links(linked):
        estimate = measure(planes[one], planes[other], example.factors, example.shape)
        if estimate is None:
            continue
        precision = np.linalg.inv(estimate.covariance)
        ends = [(slots[k], sign) for k, sign in ((one, -1), (other, 1)) if k != reference]
        for rows, sign in ends:
            score[rows] += sign * precision @ estimate.motion
            for columns, other_sign in ends:
                normal[rows, columns] += sign * other_sign * precision
    inverse = np.linalg.inv(normal)
    motion = inverse @ score
    matrices, covariances = matrices.copy(), np.zeros((len(matrices), 4, 4))
    for k, rows in slots.items():
        matrices[k] = matrices[k] @ similarity_matrix(motion[rows], example.shape)
        covariances[k] = inverse[rows, rows]
    return matrices, covariances


def _judge(pyramids, initial, matrices, covariances, quality, fixed):
    """Keep the residuals that are significant; give the others back to the prediction."""
    shape = pyramids[0].shape
    shifts = np.array([corner_shift(np.linalg.inv(start) @ matrix, shape)
                       for start, matrix in zip(initial, matrices, strict=True)])
    sigmas = np.array([_corner_sigma(covariance, shape) for covariance in covariances])
    failed = quality < LEAST_QUALITY
    applied = ~failed & (shifts > np.maximum(SMALLEST_SHIFT_PX, 3 * sigmas))
    kept = np.where(applied[:, None, None], matrices, initial)
    quality = np.array([1.0 if k == fixed[k] else _quality(pyramids[fixed[k]], kept[fixed[k]], pyramids[k], kept[k])
                        for k in range(len(pyramids))])
    notes = tuple(f"frame {k}: could not be aligned (correlation with frame {fixed[k]} {quality[k]:.2f}, at least "
                  f"{LEAST_QUALITY} needed); it stays where the optics predict it; check focus order, motion, exposure"
                  for k in np.flatnonzero(failed))
    return Alignment(kept, quality, shifts, np.where(failed, np.nan, sigmas), applied, notes)


def _corner_sigma(covariance, shape) -> float:
    """1-sigma [px] of the displacement of the worst corner."""
    nx, ny = np.array([shape[1], shape[0]]) / np.hypot(*shape)
    moves = np.array([[[x, -y, 1, 0], [y, x, 0, 1]] for x in (-nx, nx) for y in (-ny, ny)])
    return float(np.sqrt(np.trace(moves @ covariance @ moves.transpose(0, 2, 1), axis1=1, axis2=2).max()))
