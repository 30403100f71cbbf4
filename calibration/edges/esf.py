"""The profile of a blurred edge: disc (or Gaussian) of a circle of confusion * Gaussian core * the square of a pixel.

    ESF(u) = 1/2 + 1/pi  integral_0^inf  T(w) sin(w u) / w  dw            u [px] across the edge, rising to the bright side
    T(w) = blur(w) exp(-core^2 w^2 / 2) sinc(w cos t / 2) sinc(w sin t / 2)         sinc(x) = sin x / x

    blur     "disc": 2 J1(w c / 2) / (w c / 2);   "gaussian": of the same second moment, std c / 4: exp(-c^2 w^2 / 32)
    t        angle between the normal of the edge and the rows of pixels: a square seen at t is a trapezoid of variance 1/12

As a series in a period that holds the blur with room to spare the integral is one FFT per c, exact to rounding where the
core leaves nothing at pi / STEP, so no grid of c stands between the model and the fit, and any core will do; pixels
are interpolated by cubics through values and slopes every STEP.  Everything varies with c^2, and smoothly so down to 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

STEP = 0.05
"""Px between the nodes of a table."""

_LEAST = 1e-10  # of the transfer function: what is smaller is left out
_SERIES = 1e-2  # argument of the Bessel functions below which differences cancel


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """One profile at nodes every STEP px about 0: `values`, their change per px across, and per px^2 of c^2."""

    values: np.ndarray
    line: np.ndarray
    per_square: np.ndarray

    def at(self, across):
        """(ESF, dESF/du, dESF/d(c^2)) at distances `across` [px] of any shape; 0 or 1 beyond the blur."""
        place = np.asarray(across) * (1 / STEP) + len(self.values) // 2
        place = np.clip(place, 0, len(self.values) - 1.001)
        index = place.astype(np.intp)
        part = place - index
        left, right = self.values[index], self.values[index + 1]
        slope_left, slope_right = self.line[index], self.line[index + 1]
        turn, rest = slope_right - slope_left, 1 - part
        bend = (slope_left * STEP + left - right) * rest - (slope_right * STEP + left - right) * part
        value = left + part * (right - left + rest * bend)
        square = self.per_square[index]
        return value, slope_left + part * turn, square + part * (self.per_square[index + 1] - square)


@dataclass(frozen=True)
class EdgeProfile:
    """A family of profiles.

    core     std [px] of the Gaussian that every profile is convolved with, >= 0
    blur     "disc" or "gaussian";   angle   between the normal of the edge and the rows of pixels [rad]
    Raises ValueError for an unknown blur or a core that is negative or not finite.
    """

    core: float
    blur: str = "disc"
    angle: float = 0.0

    def __post_init__(self):
        if self.blur not in _BLURS:
            raise ValueError(f"blur ({self.blur!r}) of an edge must be one of {', '.join(_BLURS)}")
        if not (math.isfinite(self.core) and self.core >= 0):
            raise ValueError(f"core ({self.core:g} px) of an edge must be zero or positive; .5 to 1.5 px is usual")

    def table(self, coc: float) -> EdgeTable:
        """The profile of a circle of confusion of diameter `coc` [px], >= 0."""
        reach = 1.5 + coc * (1 if self.blur == "disc" else 3) + 13 * self.core
        count = 1 << max(9, math.ceil(math.log2(reach / STEP)))
        w, line, value, ramp = _grid(self.core, self.angle, count)
        blur, slope = _BLURS[self.blur](w, coc)
        spectra = np.zeros((3, count // 2 + 1), complex)
        spectra[0, :w.size] = value * blur
        spectra[1, :w.size] = line * blur
        spectra[2, :w.size] = value * slope
        tables = np.fft.irfft(spectra, count)
        return EdgeTable(ramp + tables[0], tables[1], tables[2])


@lru_cache(maxsize=64)
def _grid(core, angle, count):
    """Frequencies [rad/px] at which core and pixel leave something, their transfer function there (signs alternate to bring
    0 into the middle of the table), the same over i w, and the ramp that integrates its mean: what every c shares."""
    w = np.arange(count // 2 + 1) * (2 * math.pi / (count * STEP))
    if core > 0:
        w = w[:2 + int(math.sqrt(-2 * math.log(_LEAST)) / core / w[1])]
    line = np.exp(-0.5 * (core * w) ** 2) / STEP * np.where(np.arange(w.size) % 2, -1, 1)
    for side in (math.cos(angle), math.sin(angle)):
        line *= np.sinc(w * (side / (2 * math.pi)))
    value = np.zeros(w.size, complex)
    value[1:] = line[1:] / (1j * w[1:])
    ramp = 0.5 + (np.arange(count) - count // 2) / count
    return w, line, value, ramp


def _disc(w, coc):
    """Transfer function of a disc and its change per px^2 of coc^2: -(w^2 / 4) J2(x) / x^2, x = w coc / 2."""
    from scipy.special import j0, j1

    x = w * (coc / 2)
    safe = np.maximum(x, _SERIES)
    jinc = 2 * j1(safe) / safe
    ratio = (jinc - j0(safe)) / safe**2
    small = x < _SERIES
    return (np.where(small, 1 - x * x / 8 * (1 - x * x / 24), jinc),
            -0.25 * w * w * np.where(small, 1 / 8 - x * x / 96, ratio))


def _gaussian(w, coc):
    blur = np.exp(-(w * coc) ** 2 / 32)
    return blur, -(w * w / 32) * blur


_BLURS = {"disc": _disc, "gaussian": _gaussian}
