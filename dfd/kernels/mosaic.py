"""Sensor codes -> luminance or colours in one pass over the rows: loops for the CPU, and the arrays they are held against.

A few rows at a time are made light (black subtracted, divided by white minus black) and kept in a ring that stays in the
cache; nothing of the size of the frame is made but the result.  Beyond the border stands the nearest pixel of the same
place of the pattern: one period further in.
"""

from __future__ import annotations

import functools

import numba
import numpy as np

_NAN = np.float32(np.nan)
_REACH = 2  # of the widest interpolation
_BLOCK = 480  # columns, a whole number of periods: the weights of one row stay in the cache


def luminance(codes: np.ndarray, black: np.ndarray, white: float, taps, period: int) -> np.ndarray:
    """(H, W) float32: light convolved with `taps` along both axes; NaN where the filter meets a saturated pixel.

    codes    (H, W) uint16 DN;   black   (r, c) DN of the places that repeat over the frame;   white   DN
    taps     symmetric filter of odd length and unit sum, none of them zero;   period   px after which colours repeat
    """
    dark, scale = _levels(codes.shape[1], black, white)
    out = np.empty(codes.shape, np.float32)
    _filter_rows(codes, dark, scale, np.float32(white), np.asarray(taps, np.float32), period, out)
    return out


def demosaic(codes: np.ndarray, black: np.ndarray, white: float, pattern, *, gains=(1.0, 1.0, 1.0),
             limit: float = np.inf) -> np.ndarray:
    """(H, W, 3) float32 linear RGB of a mosaic, each channel times its gain and cut at `limit`.

    pattern   colour indices 0..2, pattern[y % P][x % P].  A colour is its own sample where there is one, else the mean of
              the samples around, weighted as `interpolation` says: on a Bayer mosaic that is bilinear
    """
    dark, scale = _levels(codes.shape[1], black, white)
    out = np.empty((*codes.shape, 3), np.float32)
    _interpolate_rows(codes, dark, scale, *_by_row(tuple(map(tuple, pattern))), np.asarray(gains, np.float32),
                      np.float32(limit), out)
    return out


def blend(codes: np.ndarray, black, white, weights) -> np.ndarray:
    """(H, W) float32: weighted sum of the channels of a picture (H, W, 3) uint16; NaN where one of them is saturated.

    black, white   3 numbers in DN;   weights   3 numbers
    """
    black, white, weights = (np.asarray(numbers, np.float64) for numbers in (black, white, weights))
    out = np.empty(codes.shape[:2], np.float32)
    _blend_rows(codes, black.astype(np.float32), white.astype(np.float32),
                (weights / (white - black)).astype(np.float32), out)
    return out


@functools.cache
def interpolation(pattern: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, np.ndarray]:
    """For each place of a P x P pattern and each of 3 colours, the samples that make the colour there.

    Returns (P, P, 3, N, 2) steps (down, right) px and (P, P, 3, N) float32 weights, 0 where there are fewer than N.  The
    place itself where it has the colour; else the plane through the samples of the least window (3 or 5 px, binomial
    weights) that determines it without a negative weight, so a linear gradient of colour comes back exactly.
    Raises ValueError for a pattern that lacks a colour.
    """
    period = len(pattern)
    found = {(y, x, channel): _samples(pattern, y, x, channel)
             for y in range(period) for x in range(period) for channel in range(3)}
    count = max(len(weights) for _, weights in found.values())
    steps = np.zeros((period, period, 3, count, 2), np.int64)
    table = np.zeros((period, period, 3, count), np.float32)
    for place, (offsets, weights) in found.items():
        steps[place][:len(weights)] = offsets
        table[place][:len(weights)] = weights
    return steps, table


@functools.cache
def _by_row(pattern):
    """`interpolation` as lines: how many steps each row and colour needs (P, 3), the steps (P, 3, M, 2), and the weight
    of each step along _BLOCK columns (P, 3, M, _BLOCK)."""
    steps, weights = interpolation(pattern)
    period = len(pattern)
    lines = {}
    for y, x, channel, k in zip(*np.nonzero(weights), strict=True):
        line = lines.setdefault((y, channel), {}).setdefault(tuple(steps[y, x, channel, k]), np.zeros(_BLOCK, np.float32))
        line[x::period] = weights[y, x, channel, k]
    most = max(map(len, lines.values()))
    counts = np.zeros((period, 3), np.int64)
    places = np.zeros((period, 3, most, 2), np.int64)
    table = np.zeros((period, 3, most, _BLOCK), np.float32)
    for place, found in lines.items():
        counts[place] = len(found)
        places[place][:len(found)] = list(found)
        table[place][:len(found)] = list(found.values())
    return counts, places, table


def _samples(pattern, y, x, channel):
    """Offsets (n, 2) and weights (n,) of one colour at one place."""
    period = len(pattern)
    if pattern[y][x] == channel:
        return np.zeros((1, 2), np.int64), np.ones(1)
    for row in ((1, 2, 1), (1, 4, 6, 4, 1)):
        reach = len(row) // 2
        window = [(j, i) for j in range(-reach, reach + 1) for i in range(-reach, reach + 1)
                  if pattern[(y + j) % period][(x + i) % period] == channel]
        if not window:
            continue
        offsets = np.array(window)
        kernel = np.array([row[j + reach] * row[i + reach] for j, i in window], float)
        plane = np.column_stack([np.ones(len(offsets)), offsets])
        weights = kernel * (plane @ np.linalg.pinv(plane.T @ (kernel[:, None] * plane))[0])
        if np.allclose(weights @ plane, (1, 0, 0), atol=1e-9) and weights.min() > -1e-9:
            used = weights > 1e-9
            return offsets[used], weights[used]
    raise ValueError(f"pattern {pattern} has too few samples of colour {channel} to interpolate")


def _levels(width, black, white):
    """Black [DN] and its 1 / (white - black) for every column of each row of the black pattern, (r, W) float32."""
    dark = np.tile(np.asarray(black, np.float64), (1, -(-width // black.shape[1])))[:, :width]
    return dark.astype(np.float32), (1 / (white - dark)).astype(np.float32)


@numba.njit(nogil=True, cache=True)
def _lighten(row, dark, scale, white, line, reach, period):
    """One row of codes as light into `line`, which has `reach` px of border on both sides; NaN at white and above."""
    width = len(row)
    for x in range(width):
        code = np.float32(row[x])
        line[reach + x] = (code - dark[x]) * scale[x] if code < white else _NAN
    for x in range(reach):
        line[x] = line[x + period]
        line[reach + width + x] = line[reach + width + x - period]


@numba.njit(nogil=True, cache=True)
def _inside(y, height, period):
    return y + period if y < 0 else y - period if y >= height else y


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _filter_rows(codes, dark, scale, white, taps, period, out):
    height, width = codes.shape
    size = len(taps)
    reach = size // 2
    ring = np.empty((size, width + 2 * reach), np.float32)
    column = np.empty(width + 2 * reach, np.float32)
    for y in range(-reach, height + reach):
        row = _inside(y, height, period)
        _lighten(codes[row], dark[row % len(dark)], scale[row % len(dark)], white, ring[y % size], reach, period)
        if y < reach:
            continue
        centre = y - reach
        middle = ring[centre % size]
        for x in range(width + 2 * reach):
            column[x] = taps[reach] * middle[x]
        for j in range(1, reach + 1):
            above, below, tap = ring[(centre - j) % size], ring[(centre + j) % size], taps[reach + j]
            for x in range(width + 2 * reach):
                column[x] += tap * (above[x] + below[x])
        line = out[centre]
        for x in range(width):
            line[x] = taps[reach] * column[reach + x]
        for j in range(1, reach + 1):
            tap = taps[reach + j]
            for x in range(width):
                line[x] += tap * (column[reach + x - j] + column[reach + x + j])


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _interpolate_rows(codes, dark, scale, counts, steps, weights, gains, limit, out):
    height, width = codes.shape
    period, block = len(counts), weights.shape[3]
    ring = np.empty((2 * _REACH + 1, width + 2 * _REACH), np.float32)
    line = np.empty((3, block), np.float32)
    for y in range(-_REACH, height + _REACH):
        row = _inside(y, height, period)
        _lighten(codes[row], dark[row % len(dark)], scale[row % len(dark)], np.float32(np.inf), ring[y % len(ring)],
                 _REACH, period)
        if y < _REACH:
            continue
        centre = y - _REACH
        phase = centre % period
        for start in range(0, width, block):
            length = min(block, width - start)
            for channel in range(3):
                total = line[channel]
                total[:] = 0
                for k in range(counts[phase, channel]):
                    down, right = steps[phase, channel, k]
                    first = _REACH + start + right
                    share, source = weights[phase, channel, k], ring[(centre + down) % len(ring)][first:first + length]
                    for x in range(length):
                        total[x] += share[x] * source[x]
            red, green, blue = line
            target = out[centre, start:start + length]
            for x in range(length):
                target[x, 0] = min(red[x] * gains[0], limit)
                target[x, 1] = min(green[x] * gains[1], limit)
                target[x, 2] = min(blue[x] * gains[2], limit)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _blend_rows(codes, black, white, weights, out):
    for y in range(len(codes)):
        row, line = codes[y], out[y]
        for x in range(len(line)):
            red, green, blue = np.float32(row[x, 0]), np.float32(row[x, 1]), np.float32(row[x, 2])
            full = red >= white[0] or green >= white[1] or blue >= white[2]
            total = (red - black[0]) * weights[0] + (green - black[1]) * weights[1] + (blue - black[2]) * weights[2]
            line[x] = _NAN if full else total


def luminance_arrays(values: np.ndarray, taps, period: int) -> np.ndarray:
    """What `luminance` does, by whole-array operations, from light (H, W) float32 with NaN where it is saturated."""
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        reach, length = len(taps) // 2, len(values)
        wide = _bordered(values, reach, period)
        values = np.moveaxis(sum(np.float32(tap) * wide[k:k + length] for k, tap in enumerate(taps)), 0, axis)
    return values


def demosaic_arrays(values: np.ndarray, pattern) -> np.ndarray:
    """What `demosaic` does, by whole-array operations, from light (H, W) float32."""
    steps, weights = interpolation(tuple(map(tuple, pattern)))
    (height, width), period = values.shape, len(pattern)
    wide = np.moveaxis(_bordered(np.moveaxis(_bordered(values, 2, period), 1, 0), 2, period), 1, 0)
    out = np.zeros((height, width, 3), np.float32)
    for y, x, channel in np.ndindex(period, period, 3):
        for (down, right), weight in zip(steps[y, x, channel], weights[y, x, channel], strict=True):
            place = wide[2 + y + down:2 + height + down:period, 2 + x + right:2 + width + right:period]
            target = out[y::period, x::period, channel]
            target += weight * place[:target.shape[0], :target.shape[1]]
    return out


def _bordered(values, reach, period):
    """`values` with `reach` rows more at both ends, each one period further in."""
    if reach == 0:
        return values
    return np.concatenate([values[period - reach:period], values, values[len(values) - period:len(values) - period + reach]])
