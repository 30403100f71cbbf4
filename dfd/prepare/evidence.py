"""What measured motions of the frames of a sweep prove: nothing, a drift, some displaced frames, or a hand that held it.

Defocus that changes with depth looks like scale, so a motion counts against the scatter of the links and against a bias
that repeats from link to link, both in the covariance; what is not supported is zero, and the prediction stands.
Motions are those of `dfd.prepare.motions`; positions are places in the sweep, in units of its length, 0 = the reference.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.prepare.motions import SIMILARITY

_SHIFT, _SHAPE, _ALL = [2, 3], [0, 1], [0, 1, 2, 3]


def supported(motions, covariance, positions):
    """(the supported part of (K, 4) similarities [px], its (4 K, 4 K) covariance [px^2], did the whole camera move?).

    covariance   (4 K, 4 K) of the motions;  positions   (K,), 0 = the reference, or a frame without links
    Terms enter one by one, the best first, while chi-square falls by more than chance over all of them explains: a linear
    or quadratic drift of scale, rotation or shift; the shift of one frame; its scale and rotation, at twice the sigma.
    Where most frames have moved the camera was not on a tripod: every frame gets its own motion and all a linear drift.
    """
    count, moving, weight = len(positions), positions != 0, np.linalg.inv(covariance)
    drifts = [np.kron(positions[:, None] ** power, np.eye(4)[:, parts])
              for power in (1, 2) for parts in ([0], [1], _SHIFT) if moving.sum() > 2]
    chance = 5 + 2 * math.log(len(drifts) + 2 * moving.sum() + 1)
    free, columns, shifted, turned = weight, np.zeros((4 * count, 0)), np.zeros(count, bool), ~moving
    while 2 * (shifted | turned)[moving].sum() <= moving.sum():
        candidates = [*((_excess(drift.T @ free @ motions.ravel(), drift.T @ free @ drift), drift, None, None)
                        for drift in drifts), *_own(free, motions, shifted, turned)]
        excess, best, k, parts = max(candidates, key=lambda item: item[0], default=(-np.inf, None, None, None))
        if excess < chance:
            break
        drifts = [drift for drift in drifts if drift is not best]
        if k is not None:
            shifted[k], turned[k] = True, turned[k] or parts is not _SHIFT
        columns, pull = np.hstack([columns, best]), free @ best
        free = free - pull @ np.linalg.solve(best.T @ pull, pull.T)
    if 2 * (shifted | turned)[moving].sum() > moving.sum():
        return *held_by_hand(motions, covariance, positions), True
    found = np.linalg.inv(columns.T @ weight @ columns)
    kept = (columns @ found @ columns.T @ weight @ motions.ravel()).reshape(-1, 4)
    return kept, columns @ found @ columns.T, False


def held_by_hand(motions, covariance, positions):
    """((K, n) motions [px], their covariance) of a moving camera: a drift and one motion per frame, as large as they are.

    Similarity, and what a homography has beyond it, have a variance each, found by expectation maximisation.
    """
    count, terms = motions.shape
    own = np.kron(np.eye(count)[:, positions != 0], np.eye(terms))
    columns = np.hstack([own, np.kron(positions[:, None] * count / 2, np.eye(terms))])
    beyond = np.tile(np.arange(terms) >= SIMILARITY, columns.shape[1] // terms)
    weight = np.linalg.inv(covariance)
    normal, pull, prior = columns.T @ weight @ columns, columns.T @ weight @ motions.ravel(), np.full(len(beyond), 1e-4)
    for _ in range(10):
        spread = np.linalg.inv(normal + np.diag(prior))
        values = spread @ pull
        for group in (~beyond, beyond):
            if group.any():
                prior[group] = 1 / np.mean(values[group] ** 2 + np.diag(spread)[group])
    return (columns @ values).reshape(-1, terms), columns @ spread @ columns.T


def beyond_similarity(motions, covariance, positions) -> bool:
    """Do (K, 8) motions prove a homography?  Chi-square of what it adds, against its freedoms and four roots of them."""
    kept = np.flatnonzero(np.kron(positions != 0, np.arange(motions.shape[1]) >= SIMILARITY))
    pull = motions.ravel()[kept]
    chi2 = pull @ np.linalg.solve(covariance[np.ix_(kept, kept)], pull)
    return bool(len(kept) and chi2 > len(kept) + 4 * math.sqrt(2 * len(kept)))


def _own(free, motions, shifted, turned):
    """What the best frame alone explains: (excess, its columns, the frame, which numbers), for each kind of motion."""
    count = len(motions)
    blocks = free.reshape(count, 4, count, 4)[np.arange(count), :, np.arange(count)]
    pulls = (free @ motions.ravel()).reshape(count, 4)
    for parts, sigmas, usable in ((_SHIFT, 1, ~shifted & ~turned), (_ALL, 2, ~shifted & ~turned),
                                  (_SHAPE, 2, shifted & ~turned)):
        frames = np.flatnonzero(usable)
        if len(frames):
            falls = _excess(pulls[frames][:, parts], blocks[frames][:, parts][:, :, parts], sigmas)
            k = frames[int(np.argmax(falls))]
            columns = np.zeros((4 * count, len(parts)))
            columns[4 * k + np.array(parts), np.arange(len(parts))] = 1
            yield float(falls.max()), columns, k, parts


def _excess(pull, normal, sigmas=1):
    """Fall of chi-square by some columns, at so many sigmas, beyond their freedoms and four roots of them; batched."""
    fall = (pull * np.linalg.solve(normal, pull[..., None])[..., 0]).sum(axis=-1)
    return fall / sigmas**2 - pull.shape[-1] - 4 * math.sqrt(pull.shape[-1])
