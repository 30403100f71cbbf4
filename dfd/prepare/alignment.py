"""Align the frames of a stack to one reference: neighbours in focus order first, then all links solved together.

Neighbours differ least in blur, so they are registered to each other and accumulated to the reference.  Then links
between near and farther neighbours are measured again on the frames as they lie and solved jointly, so that small
errors do not walk.  Then the evidence decides, first over the sweep (a smooth drift) and frame by frame (a shift, then
scale and rotation), against the scatter of the links and against a bias that repeats from link to link: defocus that
changes with depth looks like scale.  What it does not support stays at exactly the prediction, and is not resampled.
Where it shows a hand that held the camera, every frame gets its own motion: a homography when the links prove one.
"""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dfd.imaging import full_matrix
from dfd.prepare.chain import chain, least_gain, left_out, one_scene, quality_of
from dfd.prepare.evidence import beyond_similarity, held_by_hand, supported
from dfd.prepare.links import Links
from dfd.prepare.motions import HOMOGRAPHY, SIMILARITY, corner_shift, corner_sigma, motion_matrix, motion_of
from dfd.prepare.pairs import register_pair
from dfd.prepare.parallax import parallax, parallax_note
from dfd.prepare.pyramids import LEAST_QUALITY, Pyramid, pyramid

SMALLEST_SHIFT_PX = 0.05
"""A residual below this at every corner is left alone: resampling would cost more than it repairs."""

_ROUNDS, _CONVERGED, _WORTH = 4, 0.02, 0.005
"""Largest number of the joint rounds; corner displacement, in pixels of the finest level, and relative gain in agreement
that need no further one: what is hardly seen (the scale of a blurred frame) must not wander."""

_SUSPECTS = 2
"""Pairs of neighbours that are registered anew before a stack counts as registered."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where each frame lies on the reference grid.

    matrices         (K, 3, 3) float64, output (reference) px -> frame px, homogeneous
    quality          (K,) correlation of the frame with its neighbour after alignment, 1 = same; 1 for the reference
    corner_shift_px  (K,) largest corner displacement [px] of the residual beyond the prediction: that in `matrices`
                     where one is applied, else the one that was measured and not supported
    sigma_px         (K,) its 1-sigma [px]; NaN where nothing could be estimated
    applied          (K,) bool: the residual is in `matrices`; False = the prediction stands as it was
    aligned          (K,) bool: False = the frame shows another place, or too little; it must be left out
    model            "prediction" (nothing applied), "similarity" or "homography": what the residuals are
    parallax_px      (K,) displacement [px] of near against far parts that remains, beyond its noise; NaN = not known
    notes            one sentence per frame that could not be aligned, one on parallax
    """

    matrices: np.ndarray
    quality: np.ndarray
    corner_shift_px: np.ndarray
    sigma_px: np.ndarray
    applied: np.ndarray
    aligned: np.ndarray
    model: str
    parallax_px: np.ndarray
    notes: tuple[str, ...] = ()


def align(frames, *, reference: int, initial=None, order=None, progress=None) -> Alignment:
    """Residual similarity or homography of every frame against the reference, beyond the `initial` maps.

    frames     K (H, W) NumPy images of one size, NaN = no data, each read once, in turn; or their K `pyramid`s
    reference  index of the frame that is not moved
    initial    K maps, output px -> frame px, to start from (see `predicted_breathing`); default identity
    order      the K indices in focus order; default 0..K-1
    progress   called as progress(done, total)
    Raises ValueError for a reference, an order, a count or sizes that do not fit, and for a reference that most frames do
    not fit although they fit each other.
    """
    count = len(frames)
    order = list(range(count)) if order is None else [int(index) for index in order]
    if sorted(order) != list(range(count)):
        raise ValueError(f"order {order} must name each of the {count} frames once")
    if not 0 <= reference < count:
        raise ValueError(f"reference ({reference}) must be the index of one of {count} frames, 0 to {count - 1}")
    initial = np.stack([np.eye(3)] * count if initial is None else [full_matrix(matrix) for matrix in initial])
    if len(initial) != count:
        raise ValueError(f"{len(initial)} initial maps for {count} frames; give one per frame")
    report = progress or (lambda done, total: None)
    pyramids = _pyramids(frames, lambda done: report(done, 3 * count))
    links = Links(pyramids, reference, order)
    seen_first = links.look(initial)
    result = _already_there(links, initial, *seen_first)
    if result is None:
        matrices, _, fixed, good = chain(pyramids, reference, initial, order, lambda done: report(count + done, 3 * count))
        lost, notes = left_out(pyramids, reference, matrices, fixed, good)
        if lost:
            links = Links(pyramids, reference, [k for k in order if k not in lost])
            seen_first = links.look(initial)
        result = _judge(links, initial, *seen_first, matrices, fixed, notes)
    report(3 * count, 3 * count)
    return result


def _pyramids(frames, advance):
    pyramids = []
    for index in range(len(frames)):
        frame = frames[index]
        if pyramids and tuple(frame.shape) != pyramids[0].shape:
            height, width = pyramids[0].shape
            raise ValueError(f"frame {index} is {frame.shape[1]} x {frame.shape[0]} px, frame 0 is {width} x {height} "
                             "px; frames of one capture have one size")
        pyramids.append(frame if isinstance(frame, Pyramid) else pyramid(frame, frames=len(frames)))
        if pyramids[-1].factors != pyramids[0].factors:
            raise ValueError(f"frame {index}: its pyramid begins at 1/{pyramids[-1].factors[0]}, that of frame 0 at "
                             f"1/{pyramids[0].factors[0]}; build all of them for the same number of frames")
        advance(index + 1)
    return pyramids


def _already_there(links, initial, sums, alike):
    """The Alignment when the links find nothing to correct at the prediction; None when they do, or do not hold."""
    if alike.sum() < 2 * LEAST_QUALITY * len(links.pairs) * len(links.levels):
        return None
    pyramids = links.pyramids
    fixed = [_toward(links.order, k, links.reference) for k in range(len(initial))]
    quality = _qualities(pyramids, initial, fixed)
    if not all(one_scene(pyramids[other], initial[other], pyramids[k], initial[k], quality[k])
               for k, other in enumerate(fixed)):
        return None
    motions, covariance = links.solve(sums, SIMILARITY)
    if supported(motions, covariance, links.positions)[0].any() or _displaced(links, initial, alike):
        return None
    shifts, sigmas = _sizes(links, motions, covariance)
    still = np.zeros(len(initial), dtype=bool)
    beside = parallax(links, initial, sums)
    return Alignment(initial, quality, shifts, sigmas, still, ~still, "prediction", beside,
                     parallax_note(beside, links.factors[0]))


def _displaced(links, initial, alike) -> bool:
    """Do the least alike neighbours become more alike when they are registered anew?  `solve` sees small motions only."""
    neighbours = list(itertools.pairwise(links.order))
    for index in np.argsort(alike[:len(neighbours)])[:_SUSPECTS]:
        one, other = neighbours[index]
        fixed, moving = links.pyramids[one], links.pyramids[other]
        matrix = register_pair(fixed, moving, initial[one], initial[other], finest=1)
        expected = quality_of(fixed, initial[one], moving, initial[other])
        if quality_of(fixed, initial[one], moving, matrix) > expected + least_gain(moving):
            return True
    return False


def _toward(order, k, reference):
    """The frame next to k on the way to the reference; the reference itself for the reference."""
    place, goal = order.index(k), order.index(reference)
    return order[place + (goal > place) - (goal < place)]


def _refine(links, matrices, terms, seen_first=None):
    """Joint steps while they raise the agreement: (the best maps, what the links saw there, motions, their covariance)."""
    best, matrices = (matrices, *(seen_first or links.look(matrices))), None
    for _ in range(_ROUNDS):
        motions, covariance = links.solve(best[1], terms)
        if _sizes(links, motions, covariance)[0].max() < _CONVERGED * links.factors[0]:
            break
        matrices = links.moved(best[0], motions)
        sums, alike = links.look(matrices)
        gain, best = alike.sum() / best[2].sum() - 1, best if alike.sum() <= best[2].sum() else (matrices, sums, alike)
        if gain < _WORTH:
            break
    return *best, *links.solve(best[1], terms)


def _beyond(links, initial, matrices, motions):
    """(K, n) motions beyond `initial` of maps and small motions after them."""
    residuals = np.linalg.inv(initial) @ links.moved(matrices, motions)
    return np.stack([motion_of(residual, links.shape, motions.shape[1]) for residual in residuals])


def _decide(links, initial, matrices):
    """What the evidence supports beyond `initial`: (motions, their covariance, all that was measured, its covariance)."""
    accepted, sums, alike, motions, covariance = _refine(links, matrices, SIMILARITY)
    measured = _beyond(links, initial, accepted, motions)
    kept, remaining, by_hand = supported(measured, covariance, links.positions)
    if by_hand and beyond_similarity(*links.solve(sums, HOMOGRAPHY), links.positions):
        accepted, _, _, motions, covariance = _refine(links, accepted, HOMOGRAPHY, (sums, alike))
        measured = _beyond(links, initial, accepted, motions)
        kept, remaining = held_by_hand(measured, covariance, links.positions)
    return kept, remaining, measured, covariance


def _judge(links, initial, sums, alike, matrices, fixed, notes):
    """Apply what the evidence supports and what makes a frame agree better; the prediction stands for the rest."""
    aligned = np.isin(np.arange(len(initial)), links.order)
    residuals, remaining, motions, covariance = _decide(links, initial, matrices)
    shifts, sigmas = _sizes(links, residuals, remaining)
    measured, measured_sigmas = _sizes(links, motions, covariance)
    applied = aligned & (shifts > SMALLEST_SHIFT_PX)
    kept = np.where(applied[:, None, None], links.moved(initial, residuals), initial)
    if applied.any():
        sums, better = links.look(kept)
        applied &= _rises(links, better - alike)
        kept = np.where(applied[:, None, None], kept, initial)
    quality = _qualities(links.pyramids, kept, fixed)
    beside, names = parallax(links, kept, sums), {SIMILARITY: "similarity", HOMOGRAPHY: "homography"}
    return Alignment(kept, quality, np.where(applied, shifts, measured),
                     np.where(aligned, np.where(applied, sigmas, measured_sigmas), np.nan), applied, aligned,
                     names[residuals.shape[1]] if applied.any() else "prediction",
                     beside, notes + parallax_note(beside, links.factors[0]))


def _qualities(pyramids, matrices, fixed):
    """(K,) `quality_of` each frame against the one that `fixed` names; 1 for the reference, which is fixed to itself."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.array(list(pool.map(lambda k: 1.0 if fixed[k] == k else quality_of(
            pyramids[fixed[k]], matrices[fixed[k]], pyramids[k], matrices[k]), range(len(fixed)))))


def _sizes(links, motions, covariance):
    """(K,) largest corner displacement of each motion and its 1-sigma [px]; 0 for the reference."""
    terms = motions.shape[1]
    shifts = np.array([corner_shift(motion_matrix(motion, links.shape), links.shape) for motion in motions])
    sigmas = np.array([corner_sigma(covariance[terms * k:terms * (k + 1), terms * k:terms * (k + 1)], links.shape)
                       for k in range(len(motions))])
    sigmas[links.reference] = 0
    return shifts, sigmas


def _rises(links, gain):
    """(K,) does a frame agree better with its neighbours, by these gains of the links?"""
    own = np.zeros(len(links.pyramids))
    for pair, value in zip(links.pairs, gain, strict=True):
        own[list(pair)] += value
    return own > 0

