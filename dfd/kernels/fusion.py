"""The all-in-focus image: which frames each pixel comes from, and those pixels of a frame, resampled and added up."""

from __future__ import annotations

import functools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np

from dfd.kernels.resample import BORDER_TOLERANCE

NONE = -1

_TAPS, _PHASES = 6, 1024


@functools.cache
def _lanczos():
    """(_PHASES + 1, 6) float32: weights of the neighbours at -2..3 px for the phases 0 to 1 px.

    Lanczos-3, made to give back constants (sum 1) and ramps: alone it moves them by up to 0.02 px, which the two taps in
    the middle make good.  Positions are exact to 1/2048 px.
    """
    distance = np.arange(-2, 4) - np.linspace(0, 1, _PHASES + 1)[:, None]
    weights = np.sinc(distance) * np.sinc(distance / 3)
    weights /= weights.sum(axis=1, keepdims=True)
    moved = (weights * distance).sum(axis=1)
    weights[:, 2] += moved
    weights[:, 3] -= moved
    return weights.astype(np.float32)


def choose(rank, matrices, size, seam):
    """Per pixel the two frames that it comes from and the share of the first.

    rank       (H, W) float32, place among the frames in the order of the sweep
    matrices   (K, 3, 3) output px -> frame px, in the order of the sweep
    size       (H, W) px of a frame;   seam   width of the transition between two frames [frames]
    Returns first, second, (H, W) int16 places of frames, NONE = none, and share, (H, W) float32, of the first.
    A pixel that lies outside its frames comes from the nearest frame in which it lies.
    """
    first, second = (np.empty(rank.shape, np.int16) for _ in range(2))
    share = np.empty(rank.shape, np.float32)
    _strips(lambda start, stop: _choose(rank, matrices, size, seam, first, second, share, start, stop), rank.shape[0])
    return first, second, share


def add(place, picture, gain, matrix, chosen, total):
    """Add the pixels that come from one frame to `total`, (H, W, C) float32; chosen as from `choose`."""
    picture, table = np.ascontiguousarray(picture, np.float32), _lanczos()
    _strips(lambda start, stop: _add(place, picture, np.float32(gain), matrix, table, *chosen, total, start, stop),
            total.shape[0])


def _strips(function, rows):
    """`function` on strips of rows, in threads."""
    workers = min(os.cpu_count() or 1, max(rows // 32, 1))
    edges = np.linspace(0, rows, workers + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda edge: function(*edge), pairwise(edges)))


@numba.njit(nogil=True, cache=True)
def _position(matrix, x, y, height, width):
    """Where an output pixel lies in a frame, and whether that is inside."""
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
    inside = (w > 0 and u >= -BORDER_TOLERANCE and u <= width - 1 + BORDER_TOLERANCE
              and v >= -BORDER_TOLERANCE and v <= height - 1 + BORDER_TOLERANCE)
    return u, v, inside


@numba.njit(nogil=True, cache=True)
def _choose(rank, matrices, size, seam, first, second, share, start, stop):
    count = len(matrices)
    height, width = size
    for y in range(start, stop):
        for x in range(rank.shape[1]):
            place = min(max(float(rank[y, x]), 0.0), count - 1.0)
            low = min(int(place), max(count - 2, 0))
            one, other, weight = np.int16(NONE), np.int16(NONE), 1.0
            upper = min(max((place - low - 0.5) / seam + 0.5, 0.0), 1.0) if count > 1 else 0.0
            low_in = upper < 1 and _position(matrices[low], x, y, height, width)[2]
            high_in = upper > 0 and _position(matrices[low + 1], x, y, height, width)[2]
            if low_in:
                one = np.int16(low)
            if high_in:
                other = np.int16(low + 1)
            weight = 1 - upper
            if one != NONE and other == NONE:
                weight = 1.0
            elif one == NONE and other != NONE:
                weight = 0.0
            if one == NONE and other == NONE:
                one, weight = _nearest(matrices, place, x, y, height, width), 1.0
            if weight < 0.5:
                one, other, weight = other, one, 1 - weight
            first[y, x], second[y, x], share[y, x] = one, other, weight


@numba.njit(nogil=True, cache=True)
def _nearest(matrices, place, x, y, height, width):
    """The frame nearest in the sweep in which a pixel lies; NONE without any."""
    best, least = np.int16(NONE), math.inf
    for k in range(len(matrices)):
        if abs(k - place) < least and _position(matrices[k], x, y, height, width)[2]:
            best, least = np.int16(k), abs(k - place)
    return best


@numba.njit(nogil=True, cache=True)
def _add(place, picture, gain, matrix, table, first, second, share, total, start, stop):
    height, width, channels = picture.shape
    still = matrix[0, 0] == 1 and matrix[1, 1] == 1 and matrix[0, 1] == 0 and matrix[1, 0] == 0 and matrix[2, 0] == 0 \
        and matrix[2, 1] == 0 and matrix[0, 2] == round(matrix[0, 2]) and matrix[1, 2] == round(matrix[1, 2])
    for y in range(start, stop):
        for x in range(total.shape[1]):
            if first[y, x] == place:
                weight = share[y, x] * gain
            elif second[y, x] == place:
                weight = (1 - share[y, x]) * gain
            else:
                continue
            u, v, _ = _position(matrix, x, y, height, width)
            left, top = math.floor(u + BORDER_TOLERANCE), math.floor(v + BORDER_TOLERANCE)
            if still:
                for channel in range(channels):
                    total[y, x, channel] += weight * picture[top, left, channel]
                continue
            across = table[min(max(int((u - left) * _PHASES + 0.5), 0), _PHASES)]
            down = table[min(max(int((v - top) * _PHASES + 0.5), 0), _PHASES)]
            for channel in range(channels):
                value = np.float32(0)
                for j in range(_TAPS):
                    row = min(max(top + j - 2, 0), height - 1)
                    line = np.float32(0)
                    for i in range(_TAPS):
                        line += across[i] * picture[row, min(max(left + i - 2, 0), width - 1), channel]
                    value += down[j] * line
                total[y, x, channel] += weight * value
