"""The focus curve of each pixel -> its peak: the fused loop for the CPU of what solvers/focus_measure.py does in arrays.

The array version there is the reference that tests hold this one against, and the path of the GPU.
"""

from __future__ import annotations

import math

import numba
import numpy as np

EPSILON = 1e-12

MOST_PULL = 0.16
"""Strength of the pull in the last row of the table of `unlock`."""

_STEP = 0.01
"""Step in width [spacings] at which the loop knows the strength of the pull; every width of its table is a multiple."""


def find_peaks(volumes, deviations, places, windows, pulls, released, constants) -> np.ndarray:
    """Place, predicted std, doubt, mean window and strength of the middle scale of every pixel: (5, H, W) float32.

    volumes      3 (K, H, W) float32, sharpness at each scale, NaN = no data
    deviations   3 (H, W) float32, its standard deviation under noise
    places       (K,) float64 ascending;   windows   (3,) px;   pulls   (2, n) widths and strengths, see solvers.peaks
    released     (rows, columns) solvers.peaks.unlock for strengths 0 to MOST_PULL and offsets 0 to 1
    constants    floor, texture, locking, least contrast, coarse
    """
    out = np.empty((5, *volumes[0].shape[1:]), dtype=np.float32)
    even = np.interp(np.arange(0, pulls[0][-1] + _STEP, _STEP), *pulls)
    places, steps = np.asarray(places, float), np.zeros((3, len(places)))
    steps[:, 1:-1] = 1 / (places[:-2] - places[1:-1]), 1 / (places[1:-1] - places[2:]), 1 / (places[:-2] - places[2:])
    tables = (np.asarray(table, float) for table in (places, steps, windows, even, released, constants))
    _rows(*volumes, *(np.ascontiguousarray(deviation, dtype=np.float32) for deviation in deviations), *tables, out)
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _rows(fine, middle, coarse, fine_noise, middle_noise, coarse_noise, places, steps, windows, pulls, released, constants,
          out):
    tables = places, steps, pulls, released, constants
    width = fine.shape[2]
    least, scaled, vote, most = (np.empty((3, width), np.float32), np.empty((3, width), np.float32),
                                 np.empty(width, np.float32), np.empty(width, np.float32))
    best, top = np.empty(width, np.int64), np.empty(width, np.int64)
    for y in range(out.shape[1]):
        _range(fine, y, least[0], scaled[0])
        _range(middle, y, least[1], scaled[1])
        _range(coarse, y, least[2], scaled[2])
        _vote(fine, middle, coarse, y, least, scaled, vote, most, best)
        _sharpest(coarse, y, most, top)
        for x in range(width):
            out[4, y, x] = middle[best[x], y, x] - least[1, x]
            tops = (_top(fine, y, x, best[x]), _top(middle, y, x, best[x]), _top(coarse, y, x, best[x]))
            rises = ((fine[tops[0], y, x] - least[0, x]) / (fine_noise[y, x] + EPSILON),
                     (middle[tops[1], y, x] - least[1, x]) / (middle_noise[y, x] + EPSILON),
                     (coarse[tops[2], y, x] - least[2, x]) / (coarse_noise[y, x] + EPSILON))
            weighted = weights = window = doubt = contrast = 0.0
            if (rises[0] > constants[3] or rises[1] > constants[3] or rises[2] > constants[3]) \
                    and _is_inside(coarse, y, x, top[x]):
                first = _peak(fine, y, x, tops[0], least[0, x], fine_noise[y, x], tables)
                second = _peak(middle, y, x, tops[1], least[1, x], middle_noise[y, x], tables)
                third = _peak(coarse, y, x, tops[2], least[2, x], coarse_noise[y, x], tables)
                for found, size, rise in ((first, windows[0], rises[0]), (second, windows[1], rises[1]),
                                          (third, windows[2], rises[2])):
                    if math.isnan(found[0]):
                        continue
                    squared = 1 / max(found[1], 1e-3) ** 2
                    weight = squared * squared
                    weighted += weight * found[0]
                    weights += weight
                    window += weight * size
                    doubt += weight * found[2]
                    contrast = max(contrast, rise)
            total = max(weights, EPSILON)
            out[0, y, x] = weighted / total if weights > 0 and contrast > constants[3] else np.nan
            out[1, y, x] = 1 / math.sqrt(math.sqrt(total))
            out[2, y, x] = doubt / total
            out[3, y, x] = window / total


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _range(volume, y, least, scaled):
    """Least value of every curve of a row, NaN without data, and 1 / (mean - least)."""
    nothing, epsilon = np.float32(np.nan), np.float32(EPSILON)
    total, known = np.zeros(least.size, np.float32), np.zeros(least.size, np.float32)
    least[:] = np.inf
    for k in range(volume.shape[0]):
        row = volume[k, y]
        for x in range(least.size):
            value = row[x]
            there = value == value
            least[x] = value if there and value < least[x] else least[x]
            total[x] += value if there else np.float32(0)
            known[x] += np.float32(1) if there else np.float32(0)
    for x in range(least.size):
        if known[x] == 0:
            least[x] = nothing
        scaled[x] = 1 / (total[x] / known[x] - least[x] + epsilon)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _vote(fine, middle, coarse, y, least, scaled, vote, most, best):
    """The frame that is sharpest for all scales together, of every pixel of a row: each curve from 0, of mean 1."""
    zero = np.float32(0)
    most[:] = -1
    best[:] = 0
    for k in range(fine.shape[0]):
        one, two, three = fine[k, y], middle[k, y], coarse[k, y]
        for x in range(vote.size):
            first = (one[x] - least[0, x]) * scaled[0, x]
            second = (two[x] - least[1, x]) * scaled[1, x]
            third = (three[x] - least[2, x]) * scaled[2, x]
            total = first if first == first else zero
            total += second if second == second else zero
            total += third if third == third else zero
            vote[x] = total
        for x in range(vote.size):
            if vote[x] > most[x]:
                most[x] = vote[x]
                best[x] = k


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _sharpest(volume, y, most, top):
    """The sharpest frame of every pixel of a row at one scale."""
    most[:] = -1
    top[:] = 0
    for k in range(volume.shape[0]):
        row = volume[k, y]
        for x in range(most.size):
            if row[x] > most[x]:
                most[x] = row[x]
                top[x] = k


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _is_inside(volume, y, x, top):
    """The sharpest frame is not at an end of the sweep, nor next to a frame without data."""
    if top == 0 or top == volume.shape[0] - 1:
        return False
    beside = volume[top - 1, y, x] + volume[top + 1, y, x]
    return beside == beside


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _top(volume, y, x, best):
    """The sharpest of the three frames around `best` at one scale, 0 or last where that is an end."""
    last = volume.shape[0] - 1
    top, most = 0, np.float32(-2)
    for shift in (-1, 0, 1):
        k = min(max(best + shift, 0), last)
        value = volume[k, y, x]
        value = value if value == value else np.float32(-1)
        if value > most:
            top, most = k, value
    return top


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _peak(volume, y, x, top, least, deviation, tables):
    """(place, predicted std, doubt) of one scale whose sharpest frame is `top`; place NaN where there is no peak."""
    places, steps, pulls, released, constants = tables
    nothing = (np.nan, np.nan, np.nan)
    if top < 1 or top >= volume.shape[0] - 1:
        return nothing
    before, at, after = volume[top - 1, y, x], volume[top, y, x], volume[top + 1, y, x]
    base = np.float32(constants[0]) * min(least, before, after)
    if not (before == before and at == at and after == after):
        return nothing
    tiny = np.float32(EPSILON)
    before, at, after = max(before - base, tiny), max(at - base, tiny), max(after - base, tiny)
    low, middle, high = places[top - 1], places[top], places[top + 1]
    to_low, to_high, both = steps[0, top], steps[1, top], steps[2, top]  # 1 / (low - middle), (middle - high), (low - high)
    slope_low, slope_high = math.log(before / at) * to_low, math.log(at / after) * to_high
    curvature = (slope_low - slope_high) * both
    if not curvature < 0:
        return nothing
    square = -0.5 / curvature
    place = (low + middle) / 2 + slope_low * square
    if not (low <= place <= high):
        return nothing
    width, offset = math.sqrt(square), place - middle
    gap, share = (high - middle, -to_high) if offset > 0 else (middle - low, -to_low)
    strength = _look_up(-2 * both * width, pulls)
    place = middle + gap * _unlock(offset * share, strength, released)
    noise = _square((2 * place - middle - high) * to_low * both / before)
    noise += _square((2 * place - low - high) * to_low * to_high / at)
    noise += _square((2 * place - low - middle) * both * to_high / after)
    std = math.sqrt(_square(constants[1] * width) + _square(constants[2] * strength * gap)
                    + noise * _square(square * deviation))
    if not math.isfinite(std):
        return nothing
    return place, std, constants[4] * _square(strength) * gap


@numba.njit(nogil=True, cache=True)
def _square(value):
    return value * value


@numba.njit(nogil=True, cache=True)
def _look_up(width, pulls):
    """Linear interpolation in an even table, constant beyond its ends."""
    place = width / _STEP
    if not place < pulls.size - 1:
        return pulls[-1]
    i = int(place)
    return pulls[i] + (pulls[i + 1] - pulls[i]) * (place - i)


@numba.njit(nogil=True, cache=True)
def _unlock(offset, strength, table):
    """See solvers.peaks.unlock: bilinear in its table, which is odd in the offset."""
    rows, columns = table.shape
    across = min(abs(offset), 1.0) * (columns - 1)
    down = strength / MOST_PULL * (rows - 1)
    i, j = min(int(across), columns - 2), min(int(down), rows - 2)
    across, down = across - i, down - j
    upper = table[j, i] + (table[j, i + 1] - table[j, i]) * across
    lower = table[j + 1, i] + (table[j + 1, i + 1] - table[j + 1, i]) * across
    true = upper + (lower - upper) * down
    return true if offset > 0 else -true
