"""Frames of a target with exact truth: a pinhole camera, a disc of blur with a Gaussian core, white noise."""

import math
from functools import lru_cache

import numpy as np
from scipy.signal import fftconvolve

from calibration.target.board import BOARDS
from calibration.target.pose import Mapping
from dfd.psf import Psf

BOARD = BOARDS["a4"]
WHITE, BLACK = 0.8, 0.05


def placed(*, square=62.0, shape=(470, 641), fx=5000.0, tilt=(0.02, -0.01), slant=BOARD.slant, offset=(3.3, -2.7), k1=0.0):
    """(mapping, scale, tilt): the board `square` px per square, px from the middle, with dz/dX and dz/dY of its own axes."""
    scale = square / BOARD.square
    along = np.array([[math.cos(slant), -math.sin(slant)], [math.sin(slant), math.cos(slant)]])
    first = np.array([*(along[:, 0]), 0.0]) * math.sqrt(1 - tilt[0] ** 2) + [0, 0, tilt[0]]
    second = np.array([*(along[:, 1]), tilt[1]])
    second -= first * (first @ second)
    second /= np.linalg.norm(second)
    centre = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    camera = np.array([[fx, 0, centre[0]], [0, fx, centre[1]], [0, 0, 1]])
    depth = fx / scale
    matrix = camera @ np.column_stack([first, second, [offset[0] / scale, offset[1] / scale, depth]])
    return Mapping.of_image(matrix, shape, k1=k1), scale, np.array([first[2], second[2]])


def shot(mapping, coc, *, shape=(470, 641), noise=0.01, seed=0, light=None, core=0.6):
    """(H, W) float32 frame; `light` (H, W) multiplies it."""
    image = _image(mapping.matrix.tobytes(), mapping.k1, float(coc), shape, core)
    if light is not None:
        image = image * light
    return (image + noise * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


@lru_cache(maxsize=64)
def _image(matrix, k1, coc, shape, core):
    """The frame without noise."""
    mapping = Mapping.of_image(np.frombuffer(matrix).reshape(3, 3), shape, k1=k1)
    fine, pad = 2, math.ceil(coc / 2) + 6
    grids = [(np.arange(-pad * fine, (side + pad) * fine) + 0.5) / fine - 0.5 for side in shape]
    x, y = np.moveaxis(mapping.unproject(np.stack(np.meshgrid(grids[1], grids[0]), axis=-1)), -1, 0)
    scene = BOARD.reflectance(x, y, 0.5 / fine / mapping.density, white=WHITE, black=BLACK)
    blurred = fftconvolve(scene, Psf("disk-gaussian", core=core * fine).kernel(coc * fine), mode="same")
    return blurred.reshape(shape[0] + 2 * pad, fine, shape[1] + 2 * pad, fine).mean(axis=(1, 3))[pad:-pad, pad:-pad]
