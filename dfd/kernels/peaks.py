"""The focus curve of each pixel -> its peak: the fused loop for the CPU of what solvers/focus_measure.py does in arrays.

The array version there is the reference that tests hold this one against, and the path of the GPU.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np

EPSILON = 1e-12


def find_peaks(volumes, deviations, places, windows, pulls, constants) -> list[np.ndarray]:
    """(place, predicted std, doubt, mean window, strength of the middle scale) of every pixel, (H, W) float32 each.

    volumes      3 (K, H, W) float32, sharpness at each scale, NaN = no data
    deviations   3 (H, W) float32, its standard deviation under noise
    places       (K,) float64 ascending;   windows   (3,) px;   pulls   (2, n) widths and strengths, see solvers.peaks
    constants    floor, texture, locking, least contrast, coarse
    """
    shape = volumes[0].shape[1:]
    out = np.empty((5, *shape), dtype=np.float32)
    workers = min(os.cpu_count() or 1, shape[0])
    edges = np.linspace(0, shape[0], workers + 1).astype(int)
    deviations = [np.ascontiguousarray(deviation, dtype=np.float32) for deviation in deviations]
    arguments = (*volumes, *deviations, np.asarray(places, float), np.asarray(windows, float), np.asarray(pulls, float),
                 np.asarray(constants, float), out)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda strip: _rows(*arguments, *strip), pairwise(edges)))
    return list(out)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _rows(fine, middle, coarse, fine_noise, middle_noise, coarse_noise, places, windows, pulls, constants, out, start, stop):
    count, _, width = fine.shape
    votes = np.empty(count)
    for y in range(start, stop):
        for x in range(width):
            votes[:] = 0.0
            least_fine = _vote(fine, y, x, votes)
            least_middle = _vote(middle, y, x, votes)
            least_coarse = _vote(coarse, y, x, votes)
            best = np.argmax(votes)
            first = _peak(fine, y, x, best, least_fine, fine_noise[y, x], places, pulls, constants)
            second = _peak(middle, y, x, best, least_middle, middle_noise[y, x], places, pulls, constants)
            third = _peak(coarse, y, x, best, least_coarse, coarse_noise[y, x], places, pulls, constants)
            weighted = weights = window = doubt = contrast = 0.0
            for found, size in ((first, windows[0]), (second, windows[1]), (third, windows[2])):
                if math.isnan(found[0]):
                    continue
                weight = 1 / max(found[1], 1e-3) ** 4
                weighted += weight * found[0]
                weights += weight
                window += weight * size
                doubt += weight * found[2]
                contrast = max(contrast, found[3])
            total = max(weights, EPSILON)
            good = weights > 0 and contrast > constants[3] and _peaks_inside(coarse, y, x)
            out[0, y, x] = weighted / total if good else np.nan
            out[1, y, x] = total**-0.25
            out[2, y, x] = doubt / total
            out[3, y, x] = window / total
            out[4, y, x] = middle[best, y, x] - least_middle


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _vote(volume, y, x, votes):
    """Add one scale's curve, from 0 and of mean 1, to the votes; return its least value, NaN without data."""
    least, total, known = np.inf, 0.0, 0
    for k in range(volume.shape[0]):
        value = volume[k, y, x]
        if value == value:
            least = min(least, value)
            total += value
            known += 1
    if known == 0:
        return np.nan
    mean = total / known - least + EPSILON
    for k in range(volume.shape[0]):
        value = volume[k, y, x]
        if value == value:
            votes[k] += (value - least) / mean
    return least


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _peaks_inside(volume, y, x):
    """The sharpest frame is not at an end of the sweep, nor next to a frame without data."""
    top, most = 0, -1.0
    for k in range(volume.shape[0]):
        value = volume[k, y, x]
        if value > most:
            top, most = k, value
    if top == 0 or top == volume.shape[0] - 1:
        return False
    beside = volume[top - 1, y, x] + volume[top + 1, y, x]
    return beside == beside


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _peak(volume, y, x, best, least, deviation, places, pulls, constants):
    """(place, predicted std, doubt, contrast) of one scale near frame `best`; place NaN where there is no peak."""
    nothing = (np.nan, np.nan, np.nan, 0.0)
    last = volume.shape[0] - 1
    top, most = 0, -2.0
    for shift in (-1, 0, 1):
        k = min(max(best + shift, 0), last)
        value = volume[k, y, x]
        value = value if value == value else -1.0
        if value > most:
            top, most = best + shift, value
    if top < 1 or top >= last:
        return nothing
    before, at, after = float(volume[top - 1, y, x]), float(volume[top, y, x]), float(volume[top + 1, y, x])
    base = constants[0] * min(least, before, after)
    if not (before == before and at == at and after == after):
        return nothing
    before, at, after = max(before - base, EPSILON), max(at - base, EPSILON), max(after - base, EPSILON)
    low, middle, high = places[top - 1], places[top], places[top + 1]
    slope_low = (math.log(before) - math.log(at)) / (low - middle)
    slope_high = (math.log(at) - math.log(after)) / (middle - high)
    curvature = (slope_low - slope_high) / (low - high)
    if not curvature < 0:
        return nothing
    place = (low + middle) / 2 - slope_low / (2 * curvature)
    if not (low <= place <= high):
        return nothing
    width = math.sqrt(-0.5 / curvature)
    offset = place - middle
    gap = high - middle if offset > 0 else middle - low
    strength = np.interp(width / ((high - low) / 2), pulls[0], pulls[1])
    place = middle + gap * _unlock(offset / gap, strength)
    noise = _square(width**2 * (2 * place - middle - high) / ((low - middle) * (low - high)) * deviation / before)
    noise += _square(width**2 * (2 * place - low - high) / ((middle - low) * (middle - high)) * deviation / at)
    noise += _square(width**2 * (2 * place - low - middle) / ((high - low) * (high - middle)) * deviation / after)
    std = math.sqrt(_square(constants[1] * width) + _square(constants[2] * strength * gap) + noise)
    if not math.isfinite(std):
        return nothing
    return place, std, constants[4] * _square(strength) * gap, (float(volume[top, y, x]) - least) / (deviation + EPSILON)


@numba.njit(nogil=True, cache=True)
def _square(value):
    return value * value


@numba.njit(nogil=True, cache=True)
def _unlock(offset, strength):
    """See solvers.peaks.unlock."""
    true = offset
    for _ in range(6):
        turn = 2 * math.pi * true
        pulled = true - strength * (math.sin(turn) - 0.25 * math.sin(2 * turn))
        slope = 1 - 2 * math.pi * strength * (math.cos(turn) - 0.5 * math.cos(2 * turn))
        true -= (pulled - offset) / max(slope, 0.2)
    return true
