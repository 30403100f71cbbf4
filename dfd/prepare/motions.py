"""Motions of the image plane as numbers in px at the corner, and the maps that they stand for.

A motion is eight numbers, (scale, rotation, right, down, stretch, shear, tilt_x, tilt_y) [px at the corner of the full
image]; the first four are a similarity, all eight a homography.  To first order a point at (x, y) half diagonals from the
image centre moves by

    right:  scale x - rotation y + right + stretch x + shear y + tilt_x x^2 + tilt_y x y
    down:   rotation x + scale y + down  - stretch y + shear x + tilt_x x y + tilt_y y^2
"""

from __future__ import annotations

import math

import numpy as np

SIMILARITY, HOMOGRAPHY = 4, 8
"""How many of the numbers a model uses."""


def motion_matrix(motion, shape: tuple[int, int]) -> np.ndarray:
    """(3, 3) map of px for four or eight numbers [px at the corner] of a full image of `shape`."""
    scale, rotation, right, down, stretch, shear, *tilt = np.pad(np.asarray(motion, dtype=float), (0, 8 - len(motion)))
    radius = math.hypot(*shape) / 2
    inner = np.eye(3)
    inner[:2, :2] += np.array([[scale + stretch, shear - rotation], [shear + rotation, scale - stretch]]) / radius
    inner[:2, 2] = right, down
    inner[2, :2] = np.negative(tilt) / radius**2
    outer = _centring(shape)
    matrix = np.linalg.inv(outer) @ inner @ outer
    return matrix / matrix[2, 2]


def motion_of(matrix, shape: tuple[int, int], terms: int = HOMOGRAPHY) -> np.ndarray:
    """The numbers of a map: `motion_matrix` undone; four of them are the similarity nearest to it."""
    outer = _centring(shape)
    inner = outer @ matrix @ np.linalg.inv(outer)
    inner = inner / inner[2, 2]
    radius = math.hypot(*shape) / 2
    (a, b), (c, d) = radius * (inner[:2, :2] - np.eye(2))
    return np.array([(a + d) / 2, (c - b) / 2, *inner[:2, 2], (a - d) / 2, (b + c) / 2,
                     *(-inner[2, :2] * radius**2)])[:terms]


def displacements(x, y, terms: int) -> np.ndarray:
    """(..., 2, terms): how far each of the numbers moves a point at (x, y) half diagonals from the centre, per px."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    one, none = np.ones_like(x), np.zeros_like(x)
    right = np.stack([x, -y, one, none, x, y, x * x, x * y], axis=-1)
    down = np.stack([y, x, none, one, -y, x, x * y, y * y], axis=-1)
    return np.stack([right, down], axis=-2)[..., :terms]


def at_level(matrix: np.ndarray, factor: int) -> np.ndarray:
    """A map of full-image px as a map of px reduced by `factor`."""
    down = np.array([[1 / factor, 0, 0.5 / factor - 0.5], [0, 1 / factor, 0.5 / factor - 0.5], [0, 0, 1]])
    return down @ matrix @ np.linalg.inv(down)


def corner_shift(matrix: np.ndarray, shape: tuple[int, int]) -> float:
    """Largest displacement [px] that a map gives to a corner of an image of `shape`; infinite where it leaves the plane."""
    height, width = shape
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]], dtype=float).T
    moved = matrix @ corners
    return float(np.hypot(*(moved[:2] / moved[2] - corners[:2])).max()) if (moved[2] > 0).all() else math.inf


def at_centre(matrix, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """((2,) shift [px] of the centre of an image of `shape`, (2, 2) Jacobian of the map there); NaN where w <= 0.

    The root of the Jacobian's determinant is the magnification: px of the frame per px of the output.
    """
    matrix, centre = np.asarray(matrix, dtype=float), (np.array(shape[::-1]) - 1) / 2
    *place, w = matrix @ (*centre, 1)
    if not w > 0:
        return np.full(2, math.nan), np.full((2, 2), math.nan)
    place = np.array(place) / w
    return place - centre, (matrix[:2, :2] - np.outer(place, matrix[2, :2])) / w


def corner_sigma(covariance: np.ndarray, shape: tuple[int, int]) -> float:
    """1-sigma [px] of the displacement of the worst corner."""
    x, y = np.array([shape[1], shape[0]]) / np.hypot(*shape)
    moves = displacements(np.array([-x, -x, x, x]), np.array([-y, y, -y, y]), len(covariance))
    return float(np.sqrt(np.trace(moves @ covariance @ moves.transpose(0, 2, 1), axis1=1, axis2=2).max()))


def covered(matrix: np.ndarray, shape: tuple[int, int]) -> float:
    """Share of the grid, 0 to 1, that lies inside an image of the same `shape` seen through a map (to 1/32)."""
    height, width = shape
    x, y = np.meshgrid((np.arange(32) + 0.5) / 32 * width - 0.5, (np.arange(32) + 0.5) / 32 * height - 0.5)
    u, v, w = np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), axes=1)
    return float(np.mean((w > 0) & (np.abs(u / w - (width - 1) / 2) <= width / 2)
                         & (np.abs(v / w - (height - 1) / 2) <= height / 2)))


def _centring(shape):
    """px -> px from the image centre."""
    return np.array([[1, 0, -(shape[1] - 1) / 2], [0, 1, -(shape[0] - 1) / 2], [0, 0, 1]])
