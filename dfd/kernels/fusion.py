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

_SMOOTHED = 8
"""Pixels over which the rank was smoothed: within them of a jump it names frames that lie between."""

_WHITE = np.float32(0.9995)
"""A channel from here on is saturated: its light is white or more, however the brightness of frames was matched."""

_FEATHER = 0.5
"""Width of a seam between two labels, in cells."""


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


def choose(rank, labels, factor, matrices, size, seam, group):
    """Per pixel the two frames that it comes from and the share of the first.

    rank       (H, W) float32, place among the frames in the order of the sweep
    labels     (h, w) int64, the frame of every cell of `factor` px;   group   frames that count as one
    matrices   (K, 3, 3) output px -> frame px, in the order of the sweep
    size       (H, W) px of a frame;   seam   width of the transition between two frames [frames]
    Returns first, second, (H, W) int16 places of frames, NONE = none, and share, (H, W) float32, of the first.
    Where the cells around agree, a pixel comes from the two frames that its rank lies between; elsewhere from the two that
    have most of the four cells around it.  One outside its frames comes from the nearest frame in which it lies.
    """
    first, second = (np.empty(rank.shape, np.int16) for _ in range(2))
    share = np.empty(rank.shape, np.float32)
    calm = _calm(labels, max(math.ceil(_SMOOTHED / factor), 1), group)
    _strips(lambda start, stop: _choose(rank, labels, calm, factor, matrices, size, seam, first, second, share, start, stop),
            rank.shape[0])
    return first, second, share


def agreed(rank, labels, factor, trusted):
    """(H, W) float32: `rank` where it is within `trusted` frames of the label of its cell of `factor` px, else the label."""
    out = np.empty(rank.shape, np.float32)
    _strips(lambda start, stop: _agreed(rank, labels, factor, trusted, out, start, stop), rank.shape[0])
    return out


@numba.njit(nogil=True, cache=True)
def _agreed(rank, labels, factor, trusted, out, start, stop):
    height, width = labels.shape
    for y in range(start, stop):
        for x in range(rank.shape[1]):
            label = np.float32(labels[min(y // factor, height - 1), min(x // factor, width - 1)])
            out[y, x] = rank[y, x] if abs(rank[y, x] - label) <= trusted else label


@numba.njit(nogil=True, cache=True)
def _calm(labels, reach, group):
    """(h, w) bool: no label within `reach` cells is more than `group` frames away."""
    height, width = labels.shape
    calm = np.ones((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            for j in range(max(y - reach, 0), min(y + reach + 1, height)):
                for i in range(max(x - reach, 0), min(x + reach + 1, width)):
                    calm[y, x] &= abs(labels[j, i] - labels[y, x]) <= group
    return calm


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
def _choose(rank, labels, calm, factor, matrices, size, seam, first, second, share, start, stop):
    count = len(matrices)
    height, width = size
    for y in range(start, stop):
        for x in range(rank.shape[1]):
            if calm[min(y // factor, calm.shape[0] - 1), min(x // factor, calm.shape[1] - 1)]:
                place = min(max(float(rank[y, x]), 0.0), count - 1.0)
                low = min(int(place), max(count - 2, 0))
                high, upper = low + 1, min(max((place - low - 0.5) / seam + 0.5, 0.0), 1.0) if count > 1 else 0.0
            else:
                low, high, upper = _labels_around(labels, factor, y, x)
                place = float(low)
            one, other, weight = np.int16(NONE), np.int16(NONE), 1 - upper
            if upper < 1 and _position(matrices[low], x, y, height, width)[2]:
                one = np.int16(low)
            if upper > 0 and _position(matrices[high], x, y, height, width)[2]:
                other = np.int16(high)
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
def _labels_around(labels, factor, y, x):
    """The two labels with the largest share of the four cells around a pixel, and the share of the second, made steeper."""
    height, width = labels.shape
    v = min(max((y + 0.5) / factor - 0.5, 0.0), height - 1.0)
    u = min(max((x + 0.5) / factor - 0.5, 0.0), width - 1.0)
    top, left = int(v), int(u)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = v - top, u - left
    cells = ((labels[top, left], (1 - down) * (1 - across)), (labels[top, right], (1 - down) * across),
             (labels[below, left], down * (1 - across)), (labels[below, right], down * across))
    best, most, other, second = cells[0][0], -1.0, cells[0][0], 0.0
    for label, _ in cells:
        total = 0.0
        for same, weight in cells:
            total += weight if same == label else 0.0
        if total > most:
            if label != best:
                other, second = best, most
            best, most = label, total
        elif label != best and total > second:
            other, second = label, total
    second = max(second, 0.0)
    return best, other, min(max((second / (most + second) - 0.5) / _FEATHER + 0.5, 0.0), 1.0)


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
                weight = share[y, x]
            elif second[y, x] == place:
                weight = 1 - share[y, x]
            else:
                continue
            u, v, _ = _position(matrix, x, y, height, width)
            left, top = math.floor(u + BORDER_TOLERANCE), math.floor(v + BORDER_TOLERANCE)
            if still:
                for channel in range(channels):
                    total[y, x, channel] += weight * _lit(picture[top, left, channel], gain)
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
                total[y, x, channel] += weight * _lit(value, gain)


@numba.njit(nogil=True, cache=True)
def _lit(value, gain):
    """A channel times the gain of its frame; what is white stays white."""
    return max(value * gain, np.float32(1)) if value >= _WHITE else value * gain
