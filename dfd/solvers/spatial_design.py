"""What the spatial-domain transform answers, and how noise moves it, for one pair of views: tables kept by a cache.

The operator is d = g_1 - g_2 against L = laplacian of (g_1 + g_2) / 2, both images smoothed by p.  On a texture of power
spectrum S it answers 2 sum(S p^2 d L) / sum(S p^2 L^2) with d = h_1 - h_2, L = lambda (h_1 + h_2) / 2, which is G only
where G w^2 is small.  So its answer is tabled over the range for the usual spectrum of surfaces, 1 / f^2, and how far it
moves for rougher and smoother ones, 1 / f and 1 / f^3, is its doubt.  Frequencies are angular, rad/px; G is in px^2.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from dfd.solvers.pair_spectra import (
    ROUGH,
    SIDE,
    SMOOTH,
    USUAL,
    frequencies,
    noise_spectrum,
    passed,
    texture_spectrum,
    transfer,
)
from dfd.solvers.sharpness import gaussian_taps

SMOOTHINGS = (0.7, 1.0, 1.4, 2.0, 2.8)
"""Std [px] of the Gaussians to choose from: wider ones keep the parabola for more blur and pass less texture."""

MOST_FINER = 2
"""Smoothings beside the one for the whole range."""

_LEAST_GAIN = 0.1
"""Mean logarithm by which another smoothing must lower the square error over the range to be worth its time."""

_SAMPLES = 97
_LEAST_SLOPE = 0.25
_CONTRAST, _NOISE, _WINDOW = 0.15, 0.01, 200.0


@dataclass(frozen=True, eq=False)
class Design:
    """How to solve one pair with one smoothing.

    smoothing        std [px] of the Gaussian that both images go through first
    inverse_depth    [dioptre] over the part of the range around the least |G| in which the answer still follows G
    g, answer        G [px^2] there and what the operator answers to it, both ascending
    doubt            1-sigma [px^2] of the answer from the unknown spectrum
    trust            expected sigma^-6 [dioptre^-6], the weight among smoothings
    constants        what noise does, by name:
        laplacian, cross, difference   (2,): variance of L, covariance with d, variance of d per variance of an image
        laplacian_spread               (2, 2): variance of the variance of L per product of their variances
        with_texture, noise_only       (2, 3), (2, 2, 3): coefficients of 1, G, G^2 in `numerator_variance`
        misfit                         pixels that share one independent sample of the texture's square
    """

    smoothing: float
    inverse_depth: np.ndarray
    g: np.ndarray
    answer: np.ndarray
    doubt: np.ndarray
    trust: np.ndarray
    constants: dict[str, np.ndarray | float]


def designs(views, low: float, high: float, *, smoothings=SMOOTHINGS, finer: int = MOST_FINER) -> tuple[Design, ...]:
    """What to solve two View with over a range of inverse depth [dioptre]: one Design for all of it, then finer ones.

    smoothings   std [px] of the Gaussians to choose from
    The first has the least mean square error over the range, most of which it covers; up to `finer` others follow that
    are better somewhere.  How loud the noise of the views is does not matter, only how correlated: errors are those at a
    usual loudness.
    """
    return _designs(tuple((view.lens, view.psf, view.noise.taps) for view in views), low, high, tuple(smoothings), finer)


@functools.lru_cache(maxsize=32)
def _designs(optics, low, high, smoothings, finer):
    places = np.linspace(low, high, _SAMPLES)
    seen = [transfer(lens, psf, places) for lens, psf, _ in optics]
    made = [_designed(optics, places, seen, smoothing) for smoothing in smoothings]
    chosen = [min(range(len(made)), key=lambda index: np.mean(made[index][0]))]
    least = made[chosen[0]][0]
    for _ in range(finer):
        gains = [np.mean(np.log(least / np.minimum(least, error))) for error, _ in made]
        best = int(np.argmax(gains))
        if gains[best] < _LEAST_GAIN:
            break
        chosen.append(best)
        least = np.minimum(least, made[best][0])
    return tuple(made[index][1] for index in chosen)


def noise_constants(taps, smoothing: float) -> tuple[float, float]:
    """(variance of L, covariance of L with d) that noise of image 1 adds, per variance of one of its pixels.

    taps        the separable filter that its white noise has gone through, `Noise.taps`
    smoothing   std [px] of the Gaussian that both images go through; 0 for none
    5 and -2 for white noise without smoothing (Subbarao and Tyan 1997); image 2 has the covariance of other sign.
    """
    spectrum, steps = _smoothed_noise(taps, smoothing), _laplacian()
    return float(np.mean(spectrum * steps**2)) / 4, float(np.mean(spectrum * steps)) / 2


def noise_power(taps, smoothing: float, kernel) -> float:
    """Variance of smoothed noise behind the separable filter `kernel` (down, right), per variance of a pixel before."""
    down, right = (np.abs(np.fft.fft(each, SIDE)) ** 2 for each in kernel)
    return float(np.mean(_smoothed_noise(taps, smoothing) * down[:, None] * right[None]))


def numerator_variance(constants, variances, texture, answer):
    """Variance of L (d - L answer / 2) of independent pixels under noise, by its correlations in space.

    constants   `Design.constants`;   variances   noise of a pixel of each image, two numbers or (H, W)
    texture     variance of L without noise
    answer      of the operator [px^2]
    """
    powers = (1, answer, answer**2)
    first = sum(variances[k] * _polynomial(constants["with_texture"][k], powers) for k in (0, 1))
    second = sum(variances[i] * variances[j] * _polynomial(constants["noise_only"][i, j], powers)
                 for i in (0, 1) for j in (0, 1))
    return texture * first + second


def _polynomial(coefficients, powers):
    return sum(float(c) * power for c, power in zip(coefficients, powers, strict=True))


def _designed(optics, places, seen, smoothing):
    """(expected square error at all places [dioptre^2], Design) for one smoothing; seen: transfer functions there."""
    steps, through = _laplacian(), passed(gaussian_taps(smoothing))
    spectra = [texture_spectrum(power) * through for power in (ROUGH, USUAL, SMOOTH)]
    difference, mean = seen[0] - seen[1], steps * (seen[0] + seen[1]) / 2
    answers = [2 * np.sum(s * difference * mean, (1, 2)) / np.sum(s * mean**2, (1, 2)) for s in spectra]
    g = (optics[0][0].coc(places) ** 2 - optics[1][0].coc(places) ** 2) / 16
    kept = branch(g, answers[1])
    if g[kept[-1]] < g[kept[0]]:
        kept = kept[::-1]
    texture = spectra[1] * mean[np.argmin(np.abs(g))] ** 2
    misfit = difference - answers[1][:, None, None] / 2 * mean
    power = [_CONTRAST**2 * np.mean(spectra[1] * part**2, (1, 2))[kept] for part in (mean, misfit)]
    doubt = (np.abs(answers[0] - answers[2]) / 3)[kept]
    constants = _constants([taps for _, _, taps in optics], smoothing, texture / np.mean(texture))
    spread = (numerator_variance(constants, (_NOISE**2, _NOISE**2), power[0], answers[1][kept])
              + 2 * constants["misfit"] * power[1] * power[0])
    found = (4 / _WINDOW * spread / power[0] ** 2 + doubt**2) / np.gradient(answers[1][kept], places[kept]) ** 2
    error = np.full(places.size, np.ptp(places) ** 2 / 12)
    error[kept] = np.minimum(found, error[kept])
    return error, Design(smoothing, places[kept], g[kept], answers[1][kept], doubt, error[kept] ** -3.0, constants)


def branch(g, answer):
    """Indices around the least |G| over which the answer keeps following G."""
    slope = np.gradient(answer) / np.gradient(g)
    middle = int(np.argmin(np.abs(g)))
    bad = np.flatnonzero(~(slope > _LEAST_SLOPE))
    first = bad[bad < middle].max() + 1 if np.any(bad < middle) else 0
    last = bad[bad > middle].min() if np.any(bad > middle) else g.size
    return np.arange(first, last)


def _constants(taps, smoothing, texture):
    """`Design.constants` from the spectrum of L, of mean 1."""
    steps, noises = _laplacian(), [_smoothed_noise(each, smoothing) for each in taps]
    signs = (1, -1)
    residual = [(1, -sign * steps / 2, steps**2 / 16) for sign in signs]
    laplacian, cross = zip(*(noise_constants(each, smoothing) for each in taps), strict=True)
    both = [[(sign * other * steps**2 / 4, -(sign + other) * steps**3 / 16, steps**4 / 64) for other in signs]
            for sign in signs]
    return {
        "laplacian": np.array(laplacian), "cross": np.array(cross) * signs,
        "laplacian_spread": np.array([[np.mean(n * m * steps**4) / 8 for m in noises] for n in noises]),
        "with_texture": np.array([[np.mean(texture * n * part) for part in parts]
                                  for n, parts in zip(noises, residual, strict=True)]),
        "noise_only": np.array([[[np.mean(n * m * (steps**2 / 4 * alone + product))
                                  for alone, product in zip(residual[j], both[i][j], strict=True)]
                                 for j, m in enumerate(noises)] for i, n in enumerate(noises)]),
        "difference": np.array([np.mean(noise) for noise in noises]),
        "misfit": float(np.mean(texture**2)),
    }


def _laplacian():
    """The 5-point Laplacian, below or equal 0."""
    wy, wx = frequencies()
    return 2 * np.cos(wy) + 2 * np.cos(wx) - 4


def _smoothed_noise(taps, smoothing):
    """Power spectrum of smoothed noise whose pixels had variance 1 before the smoothing."""
    return noise_spectrum(taps) * passed(gaussian_taps(smoothing))
