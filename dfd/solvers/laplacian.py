"""The equation of the Laplacian family and its least squares over a window: one place for all solvers that read depth so.

A Gaussian PSF obeys the heat equation, dI/dsigma = sigma laplacian(I).  So whatever changes the blur of two images (optical
power, the place of the sensor, the pupil), with sigma = coc / 4 and g the images after one more Gaussian,

    g_1 - g_2 = G / 2 * laplacian((g_1 + g_2) / 2),        16 G = coc_1^2 - coc_2^2 = B_1^2 (q - q_1)^2 - B_2^2 (q - q_2)^2

For every other symmetrical PSF this holds only where blur is small beside the structures that the Gaussian leaves: a disk
reads up to 35 % wrong.  So the answer is tabled through the views' own PSFs and undone (see `spatial_design`).

What else may tell the images apart, such as a residual shift, is a column of its own in the least squares, and free.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.solvers.pairs import root
from dfd.solvers.sharpness import gaussian_taps
from dfd.solvers.spatial_design import noise_power, numerator_variance

SMOOTHINGS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
"""Std [px] of the Gaussians that the family chooses from: the widest follow disks of 20 px."""

_SIGNIFICANT = 4.0
"""Standard deviations of the noise in the mean square of the Laplacian above which there is texture."""

_LEAST_SHARE = 0.05
"""Share of a window that must hold data."""

_UNCERTAIN = 0.5
"""Most sigma of a value that is still called known, as a share of the range."""


@dataclass(frozen=True)
class Window:
    """Where sums are taken: mean(plane) -> plane, its reach [px], and 1 over the pixels that it averages over."""

    mean: Callable
    reach: int
    independent: float


def gaussian_window(std: float) -> Window:
    """A Gaussian of std px."""
    return Window(lambda plane: imaging.gaussian(plane, std), math.ceil(4 * std),
                  float(np.sum(gaussian_taps(std) ** 2)) ** 2)


def box_window(size: int) -> Window:
    """A box of size x size px, odd."""
    return Window(lambda plane: imaging.box_mean(plane, size), size // 2, 1 / size**2)


def reach_of(made, window: Window) -> int:
    """Px around a pixel that its value may depend on, for some `spatial_design.Design`."""
    return math.ceil(4 * max(each.smoothing for each in made)) + 1 + window.reach


def solve_scale(capture, made, window: Window, limits, *, free=()):
    """(inverse depth [dioptre], its 1-sigma) with one `spatial_design.Design`, (H, W) float32 each; NaN where unknown.

    limits   (smallest, largest) inverse depth [dioptre]
    free     separable filters (down, right) whose answers to the mean image may be in the difference, however strongly
    """
    xp = array_module(capture.images)
    sums = _window_sums(capture, made, window, free)
    with np.errstate(divide="ignore", invalid="ignore"):
        answer, spread, known = _answer(made.constants, window.independent, *sums)
        value, sigma, inside = _to_depth(capture.views, made, answer, spread, limits)
        known &= inside & (sigma < _UNCERTAIN * (limits[1] - limits[0]))
    nan = xp.float32(np.nan)
    return xp.where(known, value, nan).astype(np.float32), xp.where(known, sigma, nan).astype(np.float32)


def solve_scales(capture, made, window: Window, limits, weigh):
    """As `solve_scale` with several designs: the mean of their answers, by weight; float32.

    weigh   (design, depth that the first of them found, sigma of the design's own answer) -> (H, W) weight, at least 0
    """
    xp = array_module(capture.images)
    guide, guide_sigma = solve_scale(capture, made[0], window, limits)
    if len(made) == 1:
        return guide, guide_sigma
    found, sigma, total = 0.0, 0.0, 0.0
    for each in made:
        value, its_sigma = (guide, guide_sigma) if each is made[0] else solve_scale(capture, each, window, limits)
        trust = xp.where(xp.isfinite(guide + value), weigh(each, guide, its_sigma), 0)
        found = found + xp.where(trust > 0, value, 0) * trust
        sigma = sigma + xp.where(trust > 0, its_sigma, 0) * trust
        total = total + trust
    total = xp.where(total > 0, total, np.nan)
    return (found / total).astype(np.float32), (sigma / total).astype(np.float32)


def expected_trust(made, inverse_depth):
    """(H, W) weight of a design at inverse depths, sigma^-6 expected there; 0 beyond its table."""
    xp = array_module(inverse_depth)
    order = np.argsort(made.inverse_depth)
    places, trust = (xp.asarray(part[order]) for part in (made.inverse_depth, made.trust))
    return xp.interp(inverse_depth, places, trust, left=0, right=0)


def eliminate(sums, count: int):
    """Sums of products of columns, a symmetric matrix (list of lists) of arrays, without the first `count` columns.

    What is left are the sums of the other columns once those have been fitted to them by least squares (Schur complement).
    """
    for _ in range(count):
        first, rest = sums[0], range(1, len(sums))
        sums = [[sums[i][j] - first[i] * (first[j] / first[0]) for j in rest] for i in rest]
    return sums


def _window_sums(capture, made, window, free):
    """Means over the window, (H, W) each: of d L, L^2 and d^2 without their noise; noise variances, share that is known."""
    xp = array_module(capture.images)
    first, second = (imaging.gaussian(image, made.smoothing) for image in capture.images)
    difference, middle = first - second, (first + second) / 2
    detail = _laplacian(middle)
    known = imaging.inside(xp.isfinite(difference) & xp.isfinite(detail), math.ceil(2 * made.smoothing) + 1)
    share = window.mean(known.astype(np.float32))

    def mean(values):
        return window.mean(xp.where(known, values, xp.float32(0))) / xp.maximum(share, np.float32(1e-6))

    variances = [view.noise.variance(mean(image)) for view, image in zip(capture.views, (first, second), strict=True)]
    numerator = mean(difference * detail) - _noise(made.constants["cross"], variances)
    laplacian = mean(detail**2) - _noise(made.constants["laplacian"], variances)
    square = mean(difference**2) - _noise(made.constants["difference"], variances)
    if free:
        columns = [imaging.separable(middle, *(np.array(each) for each in taps)) for taps in free]
        loud = [[noise_power(view.noise.taps, made.smoothing, taps) / 4 for view in capture.views] for taps in free]
        numerator, laplacian, square = _without(columns, loud, (detail, difference), mean, variances,
                                                [[laplacian, numerator], [numerator, square]])
    seen = (share > _LEAST_SHARE) & xp.isfinite(capture.images[0] + capture.images[1])
    return numerator, xp.where(seen, laplacian, xp.float32(np.nan)), square, variances, xp.maximum(share, _LEAST_SHARE)


def _without(columns, loud, others, mean, variances, sums):
    """(numerator, laplacian, square) once free columns are fitted to the Laplacian and the difference."""
    count = len(columns)
    mixed = [[mean(column * other) for other in others] for column in columns]
    own = [[mean(one * two) for two in columns] for one in columns]
    for k in range(count):
        own[k][k] = own[k][k] - _noise(loud[k], variances)
    matrix = [own[k] + mixed[k] for k in range(count)]
    matrix += [[mixed[k][row] for k in range(count)] + list(sums[row]) for row in (0, 1)]
    (laplacian, numerator), (_, square) = eliminate(matrix, count)
    return numerator, laplacian, square


def _noise(constants, variances):
    return sum(float(constant) * variance for constant, variance in zip(constants, variances, strict=True))


def _laplacian(image):
    """Sum of the four neighbours minus four times the pixel; the border repeats its pixels."""
    padded = array_module(image).pad(image, 1, mode="edge")
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * image


def _answer(constants, independent, numerator, laplacian, square, variances, share):
    """(answer [px^2], its 1-sigma, bool: there is enough texture), (H, W) each."""
    xp = array_module(laplacian)
    independent = independent / share
    answer = 2 * numerator / laplacian
    misfit = xp.maximum(square - answer * numerator / 2, 0)
    variance = numerator_variance(constants, variances, laplacian, answer) + 2 * constants["misfit"] * misfit * laplacian
    spread = sum(variances[i] * variances[j] * float(constants["laplacian_spread"][i, j]) for i in (0, 1) for j in (0, 1))
    enough = laplacian > _SIGNIFICANT * xp.sqrt(spread * independent)
    return answer, xp.sqrt(4 * independent * variance) / laplacian, enough


def _to_depth(views, made, answer, spread, limits):
    """(inverse depth, its 1-sigma, bool: a depth in the range explains the answer), (H, W) each."""
    xp = array_module(answer)
    answers, table, doubts = (xp.asarray(part) for part in (made.answer, made.g, made.doubt))
    slope = xp.asarray(np.gradient(made.g) / np.gradient(made.answer))
    spread = xp.sqrt(spread**2 + xp.interp(answer, answers, doubts) ** 2)
    inside = (answer >= made.answer[0]) & (answer <= made.answer[-1])
    g, spread = xp.interp(answer, answers, table), spread * xp.interp(answer, answers, slope)
    value = root(views, g, *limits)
    sides = [xp.abs(root(views, g + side * spread, *limits) - value) for side in (-1, 1)]
    return value, xp.maximum(*sides), inside
