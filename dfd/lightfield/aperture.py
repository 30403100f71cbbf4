"""Pupils made of views: which share of each view's cell lies within an aperture, and what that aperture amounts to.

A view stands for a square cell of the pupil, `spacing` view steps wide.  Its weight is the part of the cell that the
aperture leaves open; a hard choice of views would cost up to a view step of f-number.
"""

from __future__ import annotations

import numpy as np

SHAPES = ("disk", "square", "gaussian")
"""Apertures; `pupil` is the diameter of a disk, the side of a square, four times the std of a Gaussian."""

HALVES = (None, "left", "right")
"""All of the pupil, or what one half of a dual pixel sees of it; the column in the middle belongs to both."""

_SAMPLES = 32


def extent(u, v, spacing: float) -> float:
    """Side [view steps] of the largest square about the reference at (0, 0) that the cells of the views fill.

    Twice the shortest reach of the views to the left, right, top and bottom, and one cell: 9 of 9 x 9 views, 7 of 8 x 8,
    whose reference has one view fewer on two of its sides.
    """
    return 2 * min(-min(u), max(u), -min(v), max(v)) + spacing


def pupil_weights(u, v, spacing: float, pupil: float, *, shape: str = "disk", half=None) -> np.ndarray:
    """(K,) float64 weights, sum 1, of views at u (right) and v (down) [view steps].

    Raises ValueError for an unknown shape or half, and for a pupil that no view lies in.
    """
    if shape not in SHAPES:
        raise ValueError(f"shape ({shape!r}) of a pupil must be one of {', '.join(SHAPES)}")
    if half not in HALVES:
        raise ValueError(f"half ({half!r}) of a pupil must be left, right or None")
    if not (np.isfinite(pupil) and pupil > 0):
        raise ValueError(f"pupil ({pupil:g} view steps) must be positive")
    inside = ((np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5) * spacing
    x, y = np.asarray(u)[:, None, None] + inside, np.asarray(v)[:, None, None] + inside[:, None]
    weights = _open_share(x, y, pupil, shape, half)
    if not weights.sum() > 0:
        raise ValueError(f"pupil ({pupil:g} view steps) holds no view; the views are {spacing:g} steps apart")
    return weights / weights.sum()


def _open_share(x, y, pupil, shape, half):
    """Mean over the cells of what the aperture transmits."""
    if shape == "gaussian":
        std = pupil / 4
        open_ = np.exp(-(x**2 + y**2) / (2 * std**2))
    else:
        open_ = (x**2 + y**2 <= pupil**2 / 4) if shape == "disk" else (abs(x) <= pupil / 2) & (abs(y) <= pupil / 2)
    if half is not None:
        side = x < 0 if half == "left" else x > 0
        open_ = np.where(side, open_, 0)
    return open_.mean(axis=(1, 2))


def diameter(u, v, weights) -> float:
    """Diameter [view steps] of the disk that has the second moment of these weights: variance per axis = diameter^2 / 16."""
    u, v = np.asarray(u) - np.dot(weights, u), np.asarray(v) - np.dot(weights, v)
    return float(4 * np.sqrt(np.dot(weights, u**2 + v**2) / 2))


def half_distance(u, weights_left, weights_right) -> float:
    """Distance [view steps] between the centroids of two half pupils; of half disks 4 / (3 pi) of the diameter."""
    return float(np.dot(weights_right, u) - np.dot(weights_left, u))
