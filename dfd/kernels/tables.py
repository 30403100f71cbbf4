"""Integer codes of a picture -> linear light through one table per channel, in one pass; and linear light -> sRGB codes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np

_ENTRIES = 8192


def blend(codes, tables, weights, *, limit: float, every: bool) -> np.ndarray:
    """(H, W) float32 weighted sum of the channels of (H, W, C) codes; NaN where the picture is saturated.

    tables   (C, n) float32, linear light of every code;   weights   (C,)
    limit    linear light from which a channel is saturated;   every   a pixel is where all its channels are, else any
    """
    out = np.empty(codes.shape[:2], np.float32)
    least = codes.shape[2] if every else 1
    _blend(np.ascontiguousarray(codes), tables, np.asarray(weights, np.float32), np.float32(limit), least, out)
    return out


@numba.njit(nogil=True, cache=True)
def _blend(codes, tables, weights, limit, least, out):
    height, width, channels = codes.shape
    for y in range(height):
        for x in range(width):
            total, full = np.float32(0), 0
            for channel in range(channels):
                light = tables[channel, codes[y, x, channel]]
                total += weights[channel] * light
                full += light >= limit
            out[y, x] = total if full < least else np.float32(np.nan)


def look_up(codes, tables) -> np.ndarray:
    """(H, W, C) float32: the linear light of every channel of (H, W, C) codes; tables as in `blend`."""
    out = np.empty(codes.shape, np.float32)
    _look_up(np.ascontiguousarray(codes).reshape(-1, codes.shape[2]), tables, out.reshape(-1, codes.shape[2]))
    return out


@numba.njit(nogil=True, cache=True)
def _look_up(codes, tables, out):
    for i in range(codes.shape[0]):
        for channel in range(codes.shape[1]):
            out[i, channel] = tables[channel, codes[i, channel]]


def to_codes(linear, curve, most: int) -> np.ndarray:
    """uint16 codes 0..most of linear light, cut to 0..1, through `curve` from 0..1 to 0..1, of the same shape.

    The curve is interpolated in the square root of light, within 1e-6.
    """
    table = np.append(curve((np.arange(_ENTRIES + 1) / _ENTRIES) ** 2), 1.0) * most + 0.5
    out = np.empty(linear.shape, np.uint16)
    flat, codes = np.ascontiguousarray(linear, np.float32).ravel(), out.ravel()
    edges = np.linspace(0, flat.size, (os.cpu_count() or 1) + 1).astype(np.int64)
    with ThreadPoolExecutor(len(edges) - 1) as pool:
        list(pool.map(lambda edge: _to_codes(flat[slice(*edge)], table, codes[slice(*edge)]), pairwise(edges)))
    return out


@numba.njit(nogil=True, cache=True)
def _to_codes(linear, table, out):
    for i in range(linear.size):
        light = linear[i]
        light = np.float32(0) if not light > 0 else np.float32(1) if light > 1 else light
        place = np.sqrt(np.float64(light)) * _ENTRIES
        j = int(place)
        out[i] = np.uint16(table[j] + (table[j + 1] - table[j]) * (place - j))
