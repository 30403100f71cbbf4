"""Patches of the board's noise with a known kernel, made without the estimator: cells at points, twelve to a pixel."""

import math

import numpy as np

from calibration.target.board import BOARDS, CELLS

BOARD = BOARDS["a4"]
FINE = 12


def fine_kernel(coc, intensity, core, centre, size):
    """(size FINE, size FINE) light of a disc with a degree-2 pupil and a Gaussian core, without the pixel box."""
    from scipy.ndimage import gaussian_filter

    axis = (np.arange(size * FINE) + 0.5) / FINE - size / 2
    x, y = np.meshgrid((axis - centre[0]) / (coc / 2), (axis - centre[1]) / (coc / 2))
    light = 1 + intensity[0] * x + intensity[1] * y + intensity[2] * (2 * (x * x + y * y) - 1) \
        + intensity[3] * (x * x - y * y) + intensity[4] * 2 * x * y
    light = np.where(x * x + y * y <= 1, np.maximum(light, 0), 0)
    light = gaussian_filter(light, core * FINE, mode="constant", truncate=5)
    return light / light.sum()


def true_kernel(fine, size):
    """(size, size) unit sum: what pixels make of a fine kernel."""
    return fine.reshape(size, FINE, size, FINE).sum(axis=(1, 3))


def centred(coc, intensity, core, size):
    """(fine kernel, kernel) whose centroid lies in the middle."""
    fine = fine_kernel(coc, intensity, core, (0, 0), size)
    axis = (np.arange(size * FINE) + 0.5) / FINE - size / 2
    middle = fine.sum(axis=0) @ axis, fine.sum(axis=1) @ axis
    fine = fine_kernel(coc, intensity, core, (-middle[0], -middle[1]), size)
    return fine, true_kernel(fine, size)


def matrix_at(number, scale, turn, middle):
    """Board m -> px: `scale` px/m, turned by `turn` rad, a little perspective, noise square `number` near `middle` px."""
    row, column = BOARD.noise_squares[number]
    place = np.array([column + 0.5 - BOARD.columns / 2, row + 0.5 - BOARD.rows / 2]) * BOARD.square
    cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
    turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0.15, -0.1, 1.0]])
    at = turned @ [*place, 1]
    return np.array([[1, 0, middle[0] - at[0] / at[2]], [0, 1, middle[1] - at[1] / at[2]], [0, 0, 1]]) @ turned


def shot(matrix, shape, fine, rng, *, electrons=20000.0, tone=(0.75, 0.06), slope=0.0):
    """(h, w) electrons over `electrons`: the board at points, through the fine kernel, added up over pixels, with noise."""
    from scipy.signal import fftconvolve

    pad = len(fine) // 2 // FINE + 1
    height, width = ((length + 2 * pad) * FINE for length in shape)
    back = np.linalg.inv(matrix)
    # half a sample later than the samples' middles: the convolution with an array of an even side begins so much early
    x, y = np.meshgrid(*((np.arange(length) + 1) / FINE - pad - 0.5 for length in (width, height)))
    depth = back[2, 0] * x + back[2, 1] * y + back[2, 2]
    u = (back[0, 0] * x + back[0, 1] * y + back[0, 2]) / depth / BOARD.square
    v = (back[1, 0] * x + back[1, 1] * y + back[1, 2]) / depth / BOARD.square
    column, row = (np.floor((place + side / 2) * CELLS).astype(int) for place, side in
                   ((u, BOARD.columns), (v, BOARD.rows)))
    inside = (row >= 0) & (row < BOARD.rows * CELLS) & (column >= 0) & (column < BOARD.columns * CELLS)
    white = np.where(inside, BOARD.cells[row * inside, column * inside], 1).astype(np.float32)
    square = np.floor(u + BOARD.columns / 2), np.floor(v + BOARD.rows / 2)
    away = np.hypot(u + BOARD.columns / 2 - square[0] - 0.5, v + BOARD.rows / 2 - square[1] - 0.5)
    white[inside & ((square[0] + square[1]) % 2 == 0) & (away < 0.15)] = 1
    blurred = fftconvolve(white, fine.astype(np.float32), mode="same")
    pixels = blurred.reshape(height // FINE, FINE, width // FINE, FINE).mean(axis=(1, 3))[pad:-pad, pad:-pad]
    light = (tone[1] + tone[0] * pixels) * (1 + slope * np.linspace(-1, 1, shape[1]))
    return rng.poisson(light * electrons) / electrons
