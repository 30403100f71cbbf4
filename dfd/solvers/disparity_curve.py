"""What `disparity` finds for two half pupils, against how far apart their centroids are: the curve that makes it straight.

Halves of a disc are no shifted copies of each other.  The shift of least difference weighs what every frequency is shifted
by with the texture's power there: for pictures, whose power falls as f^-2.5, up to 2 % more than the centroids.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from dfd.backend import array_module
from dfd.psf import IDEAL_KAPPA, Psf

_POWER, _CORNER = 2.5, 1 / 16
"""Power of texture over frequency, and where it stops to grow [rad/px]: windows see no longer waves."""

_SIZE = 32
"""Frequencies per axis."""

_TYPICAL = 8.0
"""Blur [px] at which a calibrated kappa is taken to be measured."""

_COCS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Blur [px] at which the curve is computed; it is level beyond."""


def straight(disparity, psf: Psf, smooth: float):
    """(H, W) disparity [px] of the centroids of two half pupils from that of least difference.

    psf   of either half;   smooth   std [px] of the window that the views went through
    """
    xp = array_module(disparity)
    places, shares = _curve(psf.core, psf.contrast, smooth)
    away = xp.interp(xp.abs(disparity), xp.asarray(places), xp.asarray(shares))
    return disparity * away.astype(np.float32)


@functools.lru_cache(maxsize=256)
def contrast_of(kappa: float, core: float, smooth: float) -> float:
    """Contrast of mixed half pupils of which least differences find `kappa`, as calibration measures it; at most 1.

    That of their centroids is up to a fifth less; at _TYPICAL px of blur, beyond which it hardly changes.
    """
    low, high = 0.0, 1.0
    if _least(_TYPICAL, core, high, smooth) <= kappa * _TYPICAL:
        return high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _least(_TYPICAL, core, middle, smooth) < kappa * _TYPICAL else (low, middle)
    return (low + high) / 2


@functools.lru_cache(maxsize=16)
def _curve(core, contrast, smooth):
    """(disparities of least difference [px], share of the centroids' in them)."""
    found = np.array([_least(coc, core, contrast, smooth) for coc in _COCS])
    true = IDEAL_KAPPA * contrast * np.array(_COCS)
    return np.concatenate([[0.0], found]), np.concatenate([[1.0], true / found])


def _least(coc, core, contrast, smooth):
    """Disparity [px] at which two half pupils of this blur differ least, by Newton's steps from that of the centroids."""
    down = 2 * math.pi * np.fft.fftfreq(_SIZE)[:, None]
    right = 2 * math.pi * np.arange(_SIZE // 2)[None] / _SIZE
    left, other = (Psf(model, core, contrast).otf(coc, down, right) for model in ("half-left", "half-right"))
    square = right**2 + down**2
    cross = left * np.conj(other) * np.exp(-(smooth**2) * square) / np.maximum(square, _CORNER**2) ** (_POWER / 2)
    shift = IDEAL_KAPPA * contrast * coc
    for _ in range(8):
        turned = cross * np.exp(1j * right * shift)
        shift -= np.sum(right * turned.imag) / np.sum(right**2 * turned.real)
    return shift
