"""What the Laplacian of a moving scene answers for one lens and PSF, and how noise moves it: a table kept by a cache.

A surface that recedes by a share c of its depth per frame is seen smaller by c, and its blur changes by -B q c.  With H the
transfer function of lens, pixel and smoothing F, and * its change along the frequency w, that makes of a texture P

    dI/dt = c (x . grad I + N P),        N = w . dH/dw - B q F dH/dcoc

For a Gaussian PSF N is a multiple of the Laplacian -w^2 H, by p^2 + core^2 - B^2 focus (q - focus) / 16 and the pixel's
1/12; for any other it is the multiple that least squares find in a texture of the usual spectrum, 1 / f^2, and how far
that moves for 1 / f and 1 / f^3 is its doubt.  Frequencies are angular, rad/px; answers are in px^2.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from dfd.solvers.pair_spectra import ROUGH, SMOOTH, USUAL, frequencies, noise_spectrum, texture_spectrum
from dfd.solvers.spatial_design import branch

_SAMPLES = 129
_STEP = 1e-3


@dataclass(frozen=True, eq=False)
class FlowDesign:
    """Tables over the part of the range in which the answer follows the depth, answers ascending.

    smoothing       std [px] of the Gaussian
    inverse_depth   [dioptre];   answer   [px^2] of the Laplacian per share of the depth;   doubt   its 1-sigma
    gradient_noise, laplacian_noise   variance of dI/dt that these columns see, per variance of one pixel of it
    alike           pixels that share one independent sample of the Laplacian's square
    """

    smoothing: float
    inverse_depth: np.ndarray
    answer: np.ndarray
    doubt: np.ndarray
    gradient_noise: np.ndarray
    laplacian_noise: np.ndarray
    alike: float


@functools.lru_cache(maxsize=16)
def flow_design(lens, psf, taps, low: float, high: float, smoothing: float) -> FlowDesign:
    """The tables of a ThinLens and PSF between two inverse depths [dioptre]; smoothing: std [px] of the Gaussian.

    taps   the separable filter that the white noise of a frame has gone through
    """
    places = np.linspace(low, high, _SAMPLES)
    wy, wx = frequencies()
    w2 = wy**2 + wx**2
    spectra = [texture_spectrum(power) for power in (ROUGH, USUAL, SMOOTH)]
    loud = noise_spectrum(taps) * _static(wy, wx, smoothing, box=False) ** 2
    answers, noises = np.empty((3, _SAMPLES)), np.empty((2, _SAMPLES))
    for index, place in enumerate(places):
        seen, change = _seen(lens, psf, place, smoothing)
        laplacian = -w2 * seen
        answers[:, index] = [np.sum(s * change * laplacian) / np.sum(s * laplacian**2) for s in spectra]
        columns = [spectra[1] * w2 * seen**2, spectra[1] * laplacian**2]
        noises[:, index] = [np.sum(column * loud) / np.sum(column) for column in columns]
    kept = branch(-(lens.blur_rate**2) * lens.focus * (places - lens.focus) / 16, answers[1])[::-1]
    sharpest = spectra[1] * (w2 * _seen(lens, psf, float(np.clip(lens.focus, low, high)), smoothing)[0]) ** 2
    doubt = np.abs(answers[0] - answers[2]) / 3
    return FlowDesign(smoothing, places[kept], answers[1][kept], doubt[kept], noises[0][kept],
                      noises[1][kept], float(np.mean(sharpest**2) / np.mean(sharpest) ** 2))


def _seen(lens, psf, place, smoothing):
    """(H, N) at an inverse depth [dioptre]."""
    wy, wx = frequencies()
    coc = lens.coc(place)
    wide, narrow = (psf.otf(coc, wy * scale, wx * scale) * _static(wy * scale, wx * scale, smoothing)
                    for scale in (1 + _STEP, 1 - _STEP))
    static = _static(wy, wx, smoothing)
    along = (wide - narrow) / (2 * _STEP)
    return psf.otf(coc, wy, wx) * static, along - lens.blur_rate * place * static * psf.otf_slope(coc, wy, wx)


def _static(wy, wx, smoothing, box=True):
    """Transfer function of the smoothing, and of the pixel box."""
    smooth = np.exp(-(wy**2 + wx**2) * smoothing**2 / 2)
    return smooth * np.sinc(wy / (2 * np.pi)) * np.sinc(wx / (2 * np.pi)) if box else smooth
