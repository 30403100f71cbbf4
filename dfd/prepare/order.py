"""Do the frames stand in focus order?  Neighbours in a sweep look most alike; a pair that does not is named, never moved."""

from __future__ import annotations

import math

import numpy as np

from dfd.prepare.motions import at_centre

_STEP = 2.0
"""A step is suspicious beyond this many times the median step; real sweeps, however uneven, stay below or ..."""

_NEARER = 0.7
"""... have no frame on the other side of the step that is nearer than this share of it."""

_LEAST_FRAMES = 5

_LEAST_SCALE, _BACK = 1e-3, 0.4
"""Usual change of magnification per frame that can be told from chance; most steps that may go backwards."""


def order_jumps(images) -> tuple[tuple[int, int], ...]:
    """Pairs (k, k + 1) of neighbours at which the sweep jumps: one of the two looks more like a frame farther on.

    images   K registered, equally bright (H, W) NumPy images in the supposed order, NaN = no data; small ones are enough

    Two conditions, both needed.  The step, the mean absolute difference of the two images, is twice the median step; and
    beyond it stands a frame that is clearly nearer to the one before it (or before it, to the one behind).  A coarse step
    fails the second, a flat scene, which looks alike on both sides of its focus, the first.  Fewer than 5 frames show
    nothing.
    """
    count = len(images)
    if count < _LEAST_FRAMES:
        return ()
    steps = np.array([_distance(images[k], images[k + 1]) for k in range(count - 1)])
    if np.isnan(steps).all():
        return ()
    large = np.flatnonzero(steps > _STEP * np.nanmedian(steps))
    return tuple((int(k), int(k) + 1) for k in large if _is_nearer_elsewhere(images, k, _NEARER * steps[k]))


def scale_jumps(matrices, shape) -> tuple[tuple[int, int], ...]:
    """Pairs (k, k + 1) of neighbours at which the magnification turns back: it grows or falls all along a sweep.

    matrices   K maps, output px -> frame px, in the supposed order;   shape   (H, W)
    Two frames that changed places look almost as much alike as before; how much of the scene they show does not.  Only where
    most steps go one way, and by at least 1/1000; fewer than 5 frames show nothing.
    """
    if len(matrices) < _LEAST_FRAMES:
        return ()
    steps = np.diff([math.log(np.linalg.det(at_centre(matrix, shape)[1])) / 2 for matrix in matrices])
    usual = float(np.median(np.abs(steps)))
    steps = steps * np.sign(np.sum(np.sign(steps)))
    if usual < _LEAST_SCALE or np.mean(steps < 0) > _BACK:
        return ()
    return tuple((int(k), int(k) + 1) for k in np.flatnonzero(steps < -0.5 * usual))


def order_note(jumps, names) -> str:
    """The sentence about these pairs, with the names of the frames."""
    pairs = ", ".join(f"{names[one]} - {names[other]}" for one, other in jumps)
    return (f"frames seem out of focus order at {pairs}: one of each pair looks more like a frame farther on, or the "
            "magnification turns back there; if so, depth is wrong; check the focus distances or the order of the files, "
            "nothing was reordered")


def _is_nearer_elsewhere(images, k, limit):
    """Is a frame beyond k + 1 nearer to k, or one before k nearer to k + 1, than `limit`?"""
    return any(_distance(images[k], other) < limit for other in images[k + 2:]) \
        or any(_distance(images[k + 1], other) < limit for other in images[:k])


def _distance(one, other):
    """Mean absolute difference where both have data; NaN where that is nowhere."""
    difference = np.abs(one - other)
    known = np.isfinite(difference)
    return float(difference[known].mean()) if known.any() else float("nan")
