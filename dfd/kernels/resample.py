"""Resample an image at computed positions with a phase-exact, sharp kernel: a fused loop for the CPU, and arrays.

OpenCV rounds every position to 1/32 px and its sharpest kernel (Lanczos-4) errs by 3 % at 0.35 cycles/px, by an amount
that follows the sub-pixel phase: a focus measure would see that as blur.  Here ten taps per axis are the least-squares
fractional delay (Laakso et al. 1996, section on least-squares design) with the spectrum 1 / (f^2 + 0.05^2) of natural
images up to 0.38 cycles/px, and unit sum: at most 0.7 % error up to 0.35 cycles/px at any phase, position exact to
1/4096 px.  Beyond the border the image is mirrored.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np

from dfd.backend import array_module

TAPS = 10
FIRST = 1 - TAPS // 2
PHASES = 2048
BORDER_TOLERANCE = 1e-3
"""Positions this far [px] outside the border still count as on it: rounding must not cost a row of pixels."""


@functools.cache
def phase_table() -> np.ndarray:
    """(PHASES + 1, TAPS) float32: weights of the neighbours at -4..5 px for the phases 0, 1/2048, ..., 1 px."""
    taps = np.arange(TAPS) + FIRST
    phases = np.arange(PHASES + 1) / PHASES
    frequency = (np.arange(100) + 0.5) / 100 * 0.38
    spectrum = 1 / (frequency**2 + 0.05**2)
    system = np.ones((TAPS + 1, TAPS + 1))
    system[TAPS, TAPS] = 0
    system[:TAPS, :TAPS] = np.cos(2 * np.pi * np.subtract.outer(taps, taps)[..., None] * frequency) @ spectrum
    target = np.ones((TAPS + 1, PHASES + 1))
    target[:TAPS] = np.cos(2 * np.pi * np.subtract.outer(taps, phases)[..., None] * frequency) @ spectrum
    table = np.linalg.solve(system, target)[:TAPS].T
    table[0] = taps == 0
    table[-1] = taps == 1
    return np.ascontiguousarray(table, dtype=np.float32)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _resample_rows(image, matrix, table, out, start, stop):
    height, width = image.shape
    for y in range(start, stop):
        for x in range(out.shape[1]):
            w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
            u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
            v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
            inside = (w > 0 and u >= -BORDER_TOLERANCE and u <= width - 1 + BORDER_TOLERANCE
                      and v >= -BORDER_TOLERANCE and v <= height - 1 + BORDER_TOLERANCE)
            if not inside:
                out[y, x] = np.nan
                continue
            u = min(max(u, 0.0), width - 1.0)
            v = min(max(v, 0.0), height - 1.0)
            left, top = int(u), int(v)
            across = table[int((u - left) * PHASES + 0.5)]
            down = table[int((v - top) * PHASES + 0.5)]
            left += FIRST
            top += FIRST
            total = np.float32(0)
            if left >= 0 and left + TAPS <= width and top >= 0 and top + TAPS <= height:
                for j in range(TAPS):
                    row = image[top + j]
                    line = np.float32(0)
                    for i in range(TAPS):
                        line += across[i] * row[left + i]
                    total += down[j] * line
            else:
                for j in range(TAPS):
                    row = image[_mirror(top + j, height)]
                    line = np.float32(0)
                    for i in range(TAPS):
                        line += across[i] * row[_mirror(left + i, width)]
                    total += down[j] * line
            out[y, x] = total


@numba.njit(nogil=True, cache=True)
def _mirror(index, size):
    if index < 0:
        index = -index
    if index >= size:
        index = 2 * size - 2 - index
    return min(max(index, 0), size - 1)


def resample(image: np.ndarray, matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 NumPy `image` at matrix @ (x, y, 1) for every pixel of `shape`; NaN outside.  CPU, all cores.

    matrix   (3, 3) float64, output px -> input px, homogeneous
    """
    table, out = phase_table(), np.empty(shape, dtype=np.float32)
    image = np.ascontiguousarray(image, dtype=np.float32)
    workers = min(os.cpu_count() or 1, max(shape[0] // 32, 1))
    edges = np.linspace(0, shape[0], workers + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda strip: _resample_rows(image, matrix, table, out, *strip), pairwise(edges)))
    return out


def resample_arrays(image, matrix: np.ndarray, shape: tuple[int, int]):
    """The same by whole-array operations, for NumPy and CuPy: the reference of the fused loop, and the GPU path."""
    xp = array_module(image)
    height, width = image.shape
    y, x = xp.arange(shape[0], dtype=np.float64)[:, None], xp.arange(shape[1], dtype=np.float64)[None, :]
    u, v, w = (float(row[0]) * x + float(row[1]) * y + float(row[2]) for row in matrix)
    u, v = u / w, v / w
    inside = (w > 0) & (xp.abs(u - (width - 1) / 2) <= (width - 1) / 2 + BORDER_TOLERANCE)
    inside &= xp.abs(v - (height - 1) / 2) <= (height - 1) / 2 + BORDER_TOLERANCE
    left, across = _taps(xp, xp.where(inside, u, 0), width)
    top, down = _taps(xp, xp.where(inside, v, 0), height)
    image = image.astype(np.float32)
    total = xp.zeros(shape, dtype=np.float32)
    for j in range(TAPS):
        line = xp.zeros(shape, dtype=np.float32)
        row = _mirror_arrays(xp, top + (FIRST + j), height)
        for i in range(TAPS):
            line += across[..., i] * image[row, _mirror_arrays(xp, left + (FIRST + i), width)]
        total += down[..., j] * line
    return xp.where(inside, total, xp.float32(np.nan))


def _taps(xp, position, size):
    position = xp.clip(position, 0.0, size - 1.0)
    whole = xp.floor(position).astype(np.int32)
    phase = xp.floor((position - whole) * PHASES + 0.5).astype(np.int32)
    return whole, xp.asarray(phase_table())[phase]


def _mirror_arrays(xp, index, size):
    index = xp.abs(index)
    return xp.clip(xp.where(index >= size, 2 * size - 2 - index, index), 0, size - 1)
