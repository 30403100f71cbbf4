"""Spectra of K images -> the channels that must vanish at a hypothesis of depth: fused loops of `solvers.sweep`.

With g_k the transfer function of image k over its noise and n_k = g_k / |g|, the part of the spectra Y_k that one texture
seen through all g_k explains is n_k p, p = sum_k conj(n_k) Y_k.  Channels: Y_k - n_k p, or n_2 Y_1 - n_1 Y_2 for two images.
Slopes: n'_k p, what the channels change by when the hypothesis moves.  Explained: p itself, with |g|^2.  The array
versions are the reference that tests hold the loops against, the path of the GPU, and that of transfer functions that are
not functions of |w|.
"""

from __future__ import annotations

import numba
import numpy as np

from dfd.backend import array_module

_TINY = np.float32(1e-12)


class Radial:
    """Transfer functions that depend on |w| alone, as tables: g_k(w) = tables[., k] at place `at` by linear interpolation.

    at       (h, w) float32 place of every frequency in the tables, below their last entry
    tables   (3, m, n) float32: half a step below the hypothesis, at it, and above it; the middle one alone for `channels`
    step     of the hypothesis between the first and the last
    """

    def __init__(self, at, tables, step):
        self.at, self.tables, self.step = at, np.ascontiguousarray(tables, np.float32), step

    def sampled(self) -> Sampled:
        """The same at every frequency."""
        xp = array_module(self.at)
        place = self.at.astype(np.int32)
        share = self.at - place
        tables = xp.asarray(self.tables)
        return Sampled(tables[:, :, place] * (1 - share) + tables[:, :, place + 1] * share, self.step)


class Sampled:
    """Transfer functions at every frequency: (3 or 1, m, h, w) real or complex, rows and step as in Radial."""

    def __init__(self, values, step):
        self.values, self.step = values, step

    def sampled(self) -> Sampled:
        """Itself."""
        return self


def channels(spectra, transfers):
    """(c, h, w) complex64 channels; c = 1 for two images, else their number.

    spectra     (m, h, w) complex64;   transfers   Radial or Sampled g_k over noise
    """
    if not isinstance(transfers, Radial) or array_module(spectra) is not np:
        return channels_arrays(spectra, transfers.sampled())
    count = 1 if len(spectra) == 2 else len(spectra)
    out = np.empty((count, *spectra.shape[1:]), np.complex64)
    loop = _pair if count == 1 else _project
    table = transfers.tables[len(transfers.tables) // 2]
    loop(spectra.reshape(len(spectra), -1), transfers.at.ravel(), table, out.reshape(count, -1))
    return out


def channels_arrays(spectra, transfers):
    """`channels` in whole-array operations, of Sampled transfer functions."""
    xp = array_module(spectra)
    unit = _unit(transfers.values[len(transfers.values) // 2])
    if len(spectra) == 2:
        return (unit[1] * spectra[0] - unit[0] * spectra[1])[None].astype(np.complex64)
    aligned = xp.sum(xp.conj(unit) * spectra, axis=0)
    return (spectra - unit * aligned).astype(np.complex64)


def explained(spectra, transfers):
    """((h, w) complex64 p, (h, w) float32 |g|^2).

    spectra     (m, h, w) complex64;   transfers   Radial or Sampled g_k over noise
    """
    if not isinstance(transfers, Radial) or array_module(spectra) is not np:
        return explained_arrays(spectra, transfers.sampled())
    out, power = np.empty(spectra.shape[1:], np.complex64), np.empty(spectra.shape[1:], np.float32)
    table = transfers.tables[len(transfers.tables) // 2]
    _align(spectra.reshape(len(spectra), -1), transfers.at.ravel(), table, out.reshape(-1), power.reshape(-1))
    return out, power


def explained_arrays(spectra, transfers):
    """`explained` in whole-array operations, of Sampled transfer functions."""
    xp = array_module(spectra)
    middle = transfers.values[len(transfers.values) // 2]
    aligned = xp.sum(xp.conj(_unit(middle)) * spectra, axis=0)
    return aligned.astype(np.complex64), xp.sum(xp.abs(middle) ** 2, axis=0).astype(np.float32)


def slopes(spectra, transfers):
    """((m, h, w) complex64 n'_k p, (h, w) float32 sum_k |n'_k|^2), n' per unit of the hypothesis and without its part
    along n.

    spectra     (m, h, w) complex64;   transfers   Radial or Sampled g_k over noise
    """
    if not isinstance(transfers, Radial) or array_module(spectra) is not np:
        return slopes_arrays(spectra, transfers.sampled())
    out, power = np.empty(spectra.shape, np.complex64), np.empty(spectra.shape[1:], np.float32)
    _slopes(spectra.reshape(len(spectra), -1), transfers.at.ravel(), transfers.tables, np.float32(transfers.step),
            out.reshape(len(out), -1), power.reshape(-1))
    return out, power


def slopes_arrays(spectra, transfers):
    """`slopes` in whole-array operations, of Sampled transfer functions."""
    xp = array_module(spectra)
    below, unit, above = (_unit(part) for part in transfers.values)
    slope = (above - below) / transfers.step
    slope = slope - unit * xp.sum(xp.conj(unit) * slope, axis=0)
    aligned = xp.sum(xp.conj(unit) * spectra, axis=0)
    return (slope * aligned).astype(np.complex64), xp.sum(xp.abs(slope) ** 2, axis=0).astype(np.float32)


def _unit(transfers):
    xp = array_module(transfers)
    size = xp.sqrt(xp.sum(xp.abs(transfers) ** 2, axis=0))
    return transfers / xp.maximum(size, _TINY)


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _pair(spectra, at, table, out):
    for i in range(at.size):
        place = int(at[i])
        share = at[i] - np.float32(place)
        one = table[0, place] + share * (table[0, place + 1] - table[0, place])
        two = table[1, place] + share * (table[1, place + 1] - table[1, place])
        scale = np.float32(1) / max(np.sqrt(one * one + two * two), _TINY)
        out[0, i] = scale * (two * spectra[0, i] - one * spectra[1, i])


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _project(spectra, at, table, out):
    count = len(spectra)
    unit = np.empty(count, np.float32)
    for i in range(at.size):
        place = int(at[i])
        share = at[i] - np.float32(place)
        size = np.float32(0)
        for k in range(count):
            unit[k] = table[k, place] + share * (table[k, place + 1] - table[k, place])
            size += unit[k] * unit[k]
        scale = np.float32(1) / max(np.sqrt(size), _TINY)
        aligned = np.complex64(0)
        for k in range(count):
            unit[k] *= scale
            aligned += unit[k] * spectra[k, i]
        for k in range(count):
            out[k, i] = spectra[k, i] - unit[k] * aligned


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _align(spectra, at, table, out, power):
    for i in range(at.size):
        place = int(at[i])
        share = at[i] - np.float32(place)
        size, aligned = np.float32(0), np.complex64(0)
        for k in range(len(spectra)):
            value = table[k, place] + share * (table[k, place + 1] - table[k, place])
            size += value * value
            aligned += value * spectra[k, i]
        out[i] = aligned / max(np.sqrt(size), _TINY)
        power[i] = size


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _slopes(spectra, at, tables, step, out, power):
    count = len(spectra)
    unit, slope = np.empty((3, count), np.float32), np.empty(count, np.float32)
    for i in range(at.size):
        place = int(at[i])
        share = at[i] - np.float32(place)
        for j in range(3):
            size = np.float32(0)
            for k in range(count):
                unit[j, k] = tables[j, k, place] + share * (tables[j, k, place + 1] - tables[j, k, place])
                size += unit[j, k] * unit[j, k]
            scale = np.float32(1) / max(np.sqrt(size), _TINY)
            for k in range(count):
                unit[j, k] *= scale
        along, aligned = np.float32(0), np.complex64(0)
        for k in range(count):
            slope[k] = (unit[2, k] - unit[0, k]) / step
            along += unit[1, k] * slope[k]
            aligned += unit[1, k] * spectra[k, i]
        total = np.float32(0)
        for k in range(count):
            slope[k] -= along * unit[1, k]
            total += slope[k] * slope[k]
            out[k, i] = slope[k] * aligned
        power[i] = total
