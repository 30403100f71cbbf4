"""Depth from two images by the spatial-domain transform: their difference over their Laplacian, in closed form.

For small blur every symmetric PSF acts by its second moment, so with g the smoothed images (Subbarao and Surya, "Depth from
defocus: a spatial domain approach", 1994)

    g_1 - g_2 = G / 2 * laplacian((g_1 + g_2) / 2),        16 G = coc_1^2 - coc_2^2 = B_1^2 (q - q_1)^2 - B_2^2 (q - q_2)^2

Least squares over a window gives G, with the part of noise taken out of both of its sums (Subbarao and Tyan 1997), and the
parabola gives q: one root between the foci, one on each side of the focus of an aperture pair.

Good only where |G| is small, below about 2 px^2.  Beyond it the answer depends on the spectrum of the texture: it is
corrected for the usual one, 1 / f^2, smoothings are chosen for the pair and for the depth that the widest range finds, and
what is left enters sigma (see `spatial_design`), which grows with |G|.  Where the answer no longer follows G it is unknown.

Unknown (NaN): too little texture, outside the range, an answer that no depth explains, no data.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers.pairs import pair_range, root
from dfd.solvers.sharpness import gaussian_taps
from dfd.solvers.spatial_design import designs, numerator_variance

WINDOW = 4.0
"""Std [px] of the Gaussian window of the sums: as many pixels as a box of 14 x 14."""

_SIGNIFICANT = 4.0
"""Standard deviations of the noise in the mean square of the Laplacian above which there is texture."""

_LEAST_SHARE = 0.05
"""Share of a window that must hold data."""

_UNCERTAIN = 0.5
"""Most sigma of a value that is still called known, as a share of the range."""

_BYTES, _JOINED = 106, 48
"""Bytes per pixel of the sums and of what follows from them, and of what is kept while other smoothings are solved."""


def solve_spatial_transform(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] of two images with known optics, from their difference and Laplacian.

    capture   AperturePair, FocalStack of 2 images in dioptres, or 2 views
    limits    (nearest, farthest) inverse depth [dioptre] to look in; None: the declared side, else between the foci
    Raises ValueError as `pairs.pair_range` does.
    """
    low, high = pair_range("spatial-transform", capture, limits)
    made = designs(capture.views, low, high)
    value, sigma = _solve(capture, made[0], (low, high))
    if len(made) > 1:
        value, sigma = _joined(capture, made, (low, high), value, sigma)
    return DepthMap(value.astype(np.float32), sigma.astype(np.float32), "metric", "spatial-transform")


def check(capture: Capture, limits) -> None:
    """Raises ValueError unless these are two images of known optics that blur differently in a range with one answer."""
    pair_range("spatial-transform", capture, limits)


def reach(capture: Capture, limits) -> int:
    """Px around a pixel that its value may depend on."""
    made = designs(capture.views, *pair_range("spatial-transform", capture, limits))
    return math.ceil(4 * max(each.smoothing for each in made)) + 1 + math.ceil(4 * WINDOW)


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    more = len(designs(capture.views, *pair_range("spatial-transform", capture, limits))) > 1
    return (8 + _BYTES + _JOINED * more) * shape[0] * shape[1]


def _solve(capture, made, limits):
    """(inverse depth, its 1-sigma) with one smoothing, (H, W) float32 each; NaN where unknown."""
    xp = array_module(capture.images)
    sums = _window_sums(capture, made)
    with np.errstate(divide="ignore", invalid="ignore"):
        answer, spread, known = _answer(made.constants, *sums)
        value, sigma, inside = _to_depth(capture.views, made, answer, spread, limits)
        known &= inside & (sigma < _UNCERTAIN * (limits[1] - limits[0]))
    nan = xp.float32(np.nan)
    return xp.where(known, value, nan).astype(np.float32), xp.where(known, sigma, nan).astype(np.float32)


def _joined(capture, made, limits, guide, guide_sigma):
    """The means over all smoothings, weighted by what each is good for at the depth that the first one found."""
    xp = array_module(guide)
    found, sigma, total = 0.0, 0.0, 0.0
    for each in made:
        value, its_sigma = (guide, guide_sigma) if each is made[0] else _solve(capture, each, limits)
        trust = xp.where(xp.isfinite(guide + value), _trust(each, guide), 0)
        found = found + xp.where(trust > 0, value, 0) * trust
        sigma = sigma + xp.where(trust > 0, its_sigma, 0) * trust
        total = total + trust
    total = xp.where(total > 0, total, np.nan)
    return found / total, sigma / total


def _trust(made, inverse_depth):
    """(H, W) weight of a smoothing at inverse depths; 0 beyond its table."""
    xp = array_module(inverse_depth)
    order = np.argsort(made.inverse_depth)
    places, trust = (xp.asarray(part[order]) for part in (made.inverse_depth, made.trust))
    return xp.interp(inverse_depth, places, trust, left=0, right=0)


def _window_sums(capture, made):
    """Means over the window, (H, W) each: of d L, L^2 and d^2 without their noise; noise variances, share that is known."""
    xp = array_module(capture.images)
    first, second = (imaging.gaussian(image, made.smoothing) for image in capture.images)
    difference, detail = first - second, _laplacian((first + second) / 2)
    known = imaging.inside(xp.isfinite(difference) & xp.isfinite(detail), math.ceil(2 * made.smoothing) + 1)
    share = imaging.gaussian(known.astype(np.float32), WINDOW)

    def mean(values):
        total = imaging.gaussian(xp.where(known, values, xp.float32(0)), WINDOW)
        return total / xp.maximum(share, np.float32(1e-6))

    variances = [view.noise.variance(mean(image)) for view, image in zip(capture.views, (first, second), strict=True)]
    numerator = mean(difference * detail) - _noise(made.constants["cross"], variances)
    laplacian = mean(detail**2) - _noise(made.constants["laplacian"], variances)
    square = mean(difference**2) - _noise(made.constants["difference"], variances)
    seen = (share > _LEAST_SHARE) & xp.isfinite(capture.images[0] + capture.images[1])
    return numerator, xp.where(seen, laplacian, xp.float32(np.nan)), square, variances, xp.maximum(share, _LEAST_SHARE)


def _noise(constants, variances):
    return sum(float(constant) * variance for constant, variance in zip(constants, variances, strict=True))


def _laplacian(image):
    """Sum of the four neighbours minus four times the pixel; the border repeats its pixels."""
    padded = array_module(image).pad(image, 1, mode="edge")
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * image


def _answer(constants, numerator, laplacian, square, variances, share):
    """(answer [px^2], its 1-sigma, bool: there is enough texture), (H, W) each."""
    xp = array_module(laplacian)
    independent = float(np.sum(gaussian_taps(WINDOW) ** 2)) ** 2 / share
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
