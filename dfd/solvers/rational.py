"""Depth from two foci by rational operators: three small filters and a cubic per pixel, whatever the texture.

Watanabe and Nayar, "Rational filters for passive depth from defocus", 1998, with filters designed for the pair's own PSFs
(see `rational_filters`).  Between the foci alpha, -1 to 1, solves in the least squares of a window

    m = p_1 alpha + p_2 alpha^3,        inverse depth = (q_1 + q_2) / 2 + alpha |q_1 - q_2| / 2

The part of noise is taken out of all sums; what little of the answer depends on the texture is corrected for a usual one,
and the rest enters sigma.  No loop over depths, hence the best closed form on a CPU.  With foci 4 px of coc apart gratings
of 0.08 to 0.25 cycles/px come out within 0.7 % of the distance of the foci, whatever their frequency; coarser ones, which
7 x 7 px hardly see, within 5 %.

Unknown (NaN): too little texture, beyond the foci or the range, no data.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers.pairs import focus_range
from dfd.solvers.rational_filters import (
    SUMS,
    Filters,
    equation_variance,
    filters,
    residual_power,
    slope_power,
    solve_alpha,
)
from dfd.solvers.sharpness import gaussian_taps

WINDOW = 4.0
"""Std [px] of the Gaussian window of the sums: as many pixels as a box of 14 x 14."""

_SIGNIFICANT = 4.0
"""Standard deviations of the noise in the mean square of p_1 above which there is texture."""

_LEAST_SHARE = 0.05
"""Least share of a window that must hold data."""

_UNCERTAIN = 0.5
"""Most sigma of a value that is still called known, of alpha."""

_LEAST_BRACKET = 0.5
"""Px of coc between the foci that the operators are made for."""

_BYTES = 92
"""Bytes per pixel of the sums and of what follows from them."""


def solve_rational(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] between the foci of two images, by rational operators.

    capture   FocalStack of 2 images in dioptres, or 2 views with different foci and about the same blur rate
    limits    (nearest, farthest) inverse depth [dioptre] to look in
    Raises ValueError for what `check` refuses.
    """
    low, high = _alphas(capture, limits)
    xp, made = array_module(capture.images), filters(capture.views, low, high)
    sums, variances, share = _window_sums(capture, made)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        answer = solve_alpha(sums, xp)
        alpha, sigma = _alpha(made, sums, answer, variances, _independent(share))
        spread = sum(variances[i] * variances[j] * float(made.texture_spread[i, j]) for i in (0, 1) for j in (0, 1))
        known = sums["11"] > _SIGNIFICANT * xp.sqrt(spread * _independent(share))
        known &= (answer >= made.answer[0]) & (answer <= made.answer[-1]) & (sigma < _UNCERTAIN)
    middle, half = _bracket(capture)
    nan = xp.float32(np.nan)
    return DepthMap(xp.where(known, middle + half * alpha, nan).astype(np.float32),
                    xp.where(known, half * sigma, nan).astype(np.float32), "metric", "rational")


def check(capture: Capture, limits) -> None:
    """Raises ValueError unless these are two foci at about the same blur rate, with some of the range between them."""
    _alphas(capture, limits)


def reach(capture: Capture, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return filters(capture.views, *_alphas(capture, limits)).kernels.shape[1] // 2 + math.ceil(4 * WINDOW)


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    return (8 + _BYTES) * shape[0] * shape[1]


def _bracket(capture):
    """Middle of the foci and half their distance [dioptre]."""
    foci = [view.lens.focus for view in capture.views]
    return sum(foci) / 2, abs(foci[0] - foci[1]) / 2


def _alphas(capture, limits):
    """(least, largest) alpha that is looked at; raises what `check` promises."""
    low, high = focus_range("rational", capture, limits)
    middle, half = _bracket(capture)
    apart = 2 * half * min(view.lens.blur_rate for view in capture.views)
    if apart < _LEAST_BRACKET:
        raise ValueError(f"rational needs two foci, these are {apart:.2g} px of blur apart (at least {_LEAST_BRACKET:g}); "
                         "use --solver spatial-transform")
    first, last = max((low - middle) / half, -1.0), min((high - middle) / half, 1.0)
    if not first < last:
        raise ValueError(f"the range ({high:.4g} to {low:.4g} dioptre) lies outside the foci ({middle + half:.4g} to "
                         f"{middle - half:.4g} dioptre), and rational works between them; use --solver spatial-transform")
    return round(first, 9), round(last, 9)


def _window_sums(capture, made):
    """(sums of products without their noise, noise variances of both images, share of each window that is known)."""
    xp = array_module(capture.images)
    first, second = capture.images
    total, half = first + second, made.kernels.shape[1] // 2
    change = imaging.correlate(first - second, made.kernels[0])
    base, one, two = (imaging.correlate(total, kernel) for kernel in made.kernels[1:])
    parts = {"m": change - base, "1": one, "2": two}
    known = imaging.inside(xp.isfinite(parts["m"]), half)
    share = imaging.gaussian(known.astype(np.float32), WINDOW)
    safe = xp.maximum(share, np.float32(1e-6))

    def mean(values):
        return imaging.gaussian(xp.where(known, values, xp.float32(0)), WINDOW) / safe

    variances = [view.noise.variance(mean(image)) for view, image in zip(capture.views, (first, second), strict=True)]
    sums = {pair: mean(parts[pair[0]] * parts[pair[1]])
            - sum(float(c) * v for c, v in zip(made.noise[pair], variances, strict=True)) for pair in SUMS}
    seen = (share > _LEAST_SHARE) & xp.isfinite(total)
    sums["11"] = xp.where(seen, sums["11"], xp.float32(np.nan))
    return sums, variances, xp.maximum(share, np.float32(_LEAST_SHARE))


def _independent(share):
    """1 over the number of pixels that a window averages over."""
    return float(np.sum(gaussian_taps(WINDOW) ** 2)) ** 2 / share


def _alpha(made: Filters, sums, answer, variances, independent):
    """(alpha, its 1-sigma), (H, W) each, from what the filters answer."""
    xp = array_module(answer)
    answers = xp.asarray(made.answer)

    def interpolate(table):
        return xp.interp(answer, answers, xp.asarray(table))

    power = slope_power(sums, answer)
    misfit = xp.maximum(residual_power(sums, answer), 0)
    variance = equation_variance(made, variances, power, interpolate) + 2 * made.misfit * misfit * power
    spread = xp.sqrt(independent * variance / power**2 + interpolate(made.doubt) ** 2)
    return interpolate(made.alpha), spread * interpolate(np.gradient(made.alpha, made.answer))
