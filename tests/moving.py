"""A textured scene seen by frames that lie where known maps say."""

import math

import numpy as np
from textures import blurred, texture

from dfd import imaging
from dfd.psf import Psf

SHAPE = (421, 587)
PAD = 64
PLACE = np.array([[1, 0, PAD], [0, 1, PAD], [0, 0, 1.0]])


def similarity(scale=0.0, degrees=0.0, right=0.0, down=0.0, shape=SHAPE):
    """Reference px -> frame px about the image centre."""
    c, s = (1 + scale) * math.cos(math.radians(degrees)), (1 + scale) * math.sin(math.radians(degrees))
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    matrix[:2, 2] = centre - matrix[:2, :2] @ centre + (right, down)
    return matrix


def corner_error(found, true, shape=SHAPE):
    """Largest distance [px] between where two maps send a corner."""
    corners = np.array([[x, y, 1.0] for x in (0, shape[1] - 1) for y in (0, shape[0] - 1)]).T
    return float(np.hypot(*((found - true) @ corners)[:2]).max())


def scene(rng):
    return texture((SHAPE[0] + 2 * PAD, SHAPE[1] + 2 * PAD), rng)


def frame(scene, matrix, rng, coc=0.0, noise=0.005):
    """The scene defocused by `coc` [px], seen by a frame that lies at `matrix` on the reference grid."""
    soft = blurred(scene, coc, Psf("disk", 0.6))
    seen = imaging.warp(soft.astype(np.float32), PLACE @ np.linalg.inv(matrix), shape=SHAPE)
    assert np.isfinite(seen).all()
    return seen + noise * rng.standard_normal(SHAPE).astype(np.float32)
