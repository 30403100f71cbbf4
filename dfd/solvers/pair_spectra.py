"""Spectra that the closed forms for pairs are designed with: of textures, lenses, smoothing and noise, on one small grid.

All are (SIDE, SIDE) in the order of `numpy.fft`, over angular frequencies in rad/px; a mean over the grid is a sum over
pixels of products in space (Parseval).
"""

from __future__ import annotations

import functools

import numpy as np

SIDE = 64

ROUGH, USUAL, SMOOTH = 1.0, 2.0, 3.0
"""Powers p of texture spectra 1 / f^p: what surfaces have is near the middle one."""

_CORNER = 1 / 64
"""Frequency [cycles/px] below which textures are flat."""


def frequencies():
    """(SIDE, 1) in y and (1, SIDE) in x."""
    steps = 2 * np.pi * np.fft.fftfreq(SIDE)
    return steps[:, None], steps[None]


@functools.cache
def texture_spectrum(power: float):
    """Power spectrum of a texture, 1 / f^power, of variance 1 and without its mean; kept, not to be written to."""
    wy, wx = frequencies()
    spectrum = ((wy**2 + wx**2) / (4 * np.pi**2) + _CORNER**2) ** (-power / 2)
    spectrum[0, 0] = 0
    return spectrum / np.mean(spectrum)


def transfer(lens, psf, places):
    """(n, SIDE, SIDE) transfer function of lens and pixel at n inverse depths [dioptre]."""
    wy, wx = frequencies()
    box = np.sinc(wy / (2 * np.pi)) * np.sinc(wx / (2 * np.pi))
    return np.stack([psf.otf(lens.coc(place), wy, wx) * box for place in places])


def passed(taps):
    """Power that a separable filter with these 1-D weights passes."""
    along = np.abs(np.fft.fft(np.asarray(taps, float), SIDE)) ** 2
    return along[:, None] * along[None]


def noise_spectrum(taps):
    """Power spectrum of noise of variance 1 per pixel that the separable filter `taps` made of white noise."""
    spectrum = passed(taps)
    return spectrum / np.mean(spectrum)
