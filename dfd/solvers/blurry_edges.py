"""Depth at the edges of two images that differ in focus, from how wide each edge is in both, for very little light.

Xu, Wagner, Luo and Guo, "Blurry-Edges: photon-limited depth estimation from defocused boundaries", 2025, whose closed form
this is, with a fit of our own in place of their network.  An edge of intrinsic width xi is seen with the variances

    eta_+-^2 = sigma_+-^2 + xi^2,      sigma = coc / 4,        eta_+^2 - eta_-^2 = (coc_+^2 - coc_-^2) / 16

so xi cancels, and the parabola of `pairs` gives the depth.  Both widths are fitted at once, with one place, two levels and
the noise of every sample, to the profiles of both images across the edge (see `edge_profiles`: an error function for a
Gaussian PSF, its own edge-spread function for a disk), each the mean of 17 lines along it: where no pixel tells anything,
some hundred do.  Curvature and a wrong direction blur both profiles alike, hence cancel like xi.

xi^2 cannot be less than pixel and core leave.  Where noise says so, both widths are moved to the nearest pair, by their
covariance, that some depth with the least xi has: the feasible set of the authors, | sigma_+ -+ sigma_- | = const.

Sparse: known at pixels of edges alone, and there only where one straight edge explains both profiles.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import array_module
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers.edge_pixels import ALONG, edge_pixels, profiles, reach_of
from dfd.solvers.edge_profiles import PIXEL, edge_profiles, look_up
from dfd.solvers.pairs import focus_range, root

_LEAST_ACROSS, _MOST_ACROSS, _WIDTHS = 7, 14, 2.5
"""Px to either side of an edge that a profile has at least and at most; standard widths of the widest edge between them."""

_EXTRA = 1.5
"""Px of width that an edge may have of its own, beside the blur of the range."""

_STEPS, _CHUNK = 8, 2048
"""Steps of the fit, and edge pixels that are fitted at a time."""

_MODEL = 0.02
"""Share of the contrast by which a profile may leave the model, beside noise: texture, neighbours, a bend."""

_SMOOTHED = 0.75
"""Share of the noise of a pixel that interpolation leaves in a profile, at the frequencies of its edge: 4/9 to 1."""

_ALIKE = 3.0
"""Samples of a profile that share what the model does not know."""

_SIGNIFICANT, _MISFIT = 6.0, 3.0
"""Least contrast in its standard deviations; most mean square of the residuals, over that of noise and model."""

_MOST_OFF = 2.0
_UNCERTAIN = 0.5
"""Px that the fitted edge may lie from its pixel; most sigma of a known value, as a share of the range."""

_BYTES, _FIXED = 60, 40e6
"""Bytes per pixel of the maps, and of the profiles in work."""


def solve_blurry_edges(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] at edges in two images that differ in focus at one pupil; NaN elsewhere.

    capture   FocalStack of 2 images in dioptres, or 2 views that blur at about one rate
    limits    (nearest, farthest) inverse depth [dioptre] to look in; None: between the foci, or 48 px of blur around them
              where they are less than 2 px apart
    Raises ValueError as `check` does.
    """
    low, high = focus_range("blurry-edges", capture, limits)
    xp, views = array_module(capture.images), capture.views
    across, made = _model(capture, low, high)
    value, sigma = (xp.full(capture.shape, np.float32(np.nan), dtype=np.float32) for _ in range(2))
    found = edge_pixels(capture.images, views)
    for start in range(0, len(found[0]), _CHUNK):
        y, x, cosine, sine = (part[start:start + _CHUNK] for part in found)
        seen = [profiles(image, y, x, cosine, sine, across) for image in capture.images]
        whole = xp.isfinite(seen[0] + seen[1]).all(axis=1)
        seen = xp.stack([xp.where(whole[:, None], each, 0.0) for each in seen], axis=1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            widths, covariance, good = _fit(seen, views, made, xp)
            depth, spread = _depth(widths, covariance, views, (low, high), xp)
            good &= whole & (depth > low) & (depth < high) & (spread < _UNCERTAIN * (high - low))
        value[y, x] = xp.where(good, depth, np.nan).astype(np.float32)
        sigma[y, x] = xp.where(good, spread, np.nan).astype(np.float32)
    return DepthMap(value, sigma, "metric", "blurry-edges")


def check(capture: Capture, limits) -> None:
    """Raises ValueError unless these are two images of known optics at one pupil and in a range with one answer."""
    focus_range("blurry-edges", capture, limits)


def reach(capture: Capture, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return reach_of(_model(capture, *focus_range("blurry-edges", capture, limits))[0])


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    return int((8 + _BYTES) * shape[0] * shape[1] + _FIXED)


def _model(capture, low, high):
    """(px to either side of an edge, tables of profiles of each view) for a range of inverse depth [dioptre]."""
    most = max(abs(view.lens.coc(end)) for view in capture.views for end in (low, high))
    across = min(max(math.ceil(_WIDTHS * most / 4), _LEAST_ACROSS), _MOST_ACROSS)
    coc = 4 * math.hypot(most / 4, _EXTRA)
    return across, [edge_profiles(view.psf, coc, across + _MOST_OFF + 1) for view in capture.views]


def _fit(seen, views, made, xp):
    """((N, 2) variances [px^2], (N, 2, 2) covariance, (N,) bool: it is an edge) of (N, 2, T) profiles."""
    across = seen.shape[2] // 2
    place = xp.arange(-across, across + 1, dtype=np.float64)[None]
    tables = [xp.asarray(each.tables) for each in made]
    weight = 1 / xp.stack([_variance(seen[:, k], view.noise) for k, view in enumerate(views)], axis=1)
    ends = seen[:, :, [0, 1, -2, -1]].mean(axis=1)
    level, contrast = ends[:, :2].mean(axis=1), ends[:, 2:].mean(axis=1) - ends[:, :2].mean(axis=1)
    off, widths = xp.zeros(len(seen)), xp.full((len(seen), 2), 0.0) + xp.asarray([_start(each) for each in made])
    for step in range(_STEPS + 1):
        model, jacobian = _linear(made, tables, place - off[:, None], widths, level, contrast, xp)
        residual = (seen - model).reshape(len(seen), -1)
        weighted = (jacobian * weight[..., None]).reshape(len(seen), -1, 5).transpose(0, 2, 1)
        normal = xp.matmul(weighted, jacobian.reshape(len(seen), -1, 5))
        normal = normal + _damping(normal, xp)
        if step == _STEPS:
            break
        move = xp.linalg.solve(normal, xp.matmul(weighted, residual[:, :, None]))[:, :, 0]
        level, contrast = level + move[:, 0], contrast + move[:, 1]
        off = xp.clip(off + xp.clip(move[:, 2], -1, 1), -_MOST_OFF, _MOST_OFF)
        widths = xp.stack([xp.clip(widths[:, k] + xp.clip(move[:, 3 + k], -_most_step(each), _most_step(each)),
                                   each.least - 0.5, each.most) for k, each in enumerate(made)], axis=1)
    return widths, *_judge(normal, weight, residual.reshape(seen.shape), contrast, off, xp)


def _linear(made, tables, place, widths, level, contrast, xp):
    """(N, 2, T) profiles of edges and (N, 2, T, 5) their change with level, contrast, place and both widths."""
    model, jacobian = xp.empty((len(widths), 2, place.shape[1])), xp.zeros((len(widths), 2, place.shape[1], 5))
    for k, profile in enumerate(made):
        value, slope, wider = look_up(profile, tables[k], place, widths[:, k, None], xp)
        model[:, k] = level[:, None] + contrast[:, None] * value
        jacobian[:, k, :, 0] = 1.0
        jacobian[:, k, :, 1] = value
        jacobian[:, k, :, 2] = -contrast[:, None] * slope
        jacobian[:, k, :, 3 + k] = contrast[:, None] * wider
    return model, jacobian


def _judge(normal, weight, residual, contrast, off, xp):
    """((N, 2, 2) covariance of the widths, (N,) bool: one straight edge explains both profiles)."""
    freedom = residual.shape[1] * residual.shape[2] - 5
    allowed = 1 / weight + (_MODEL * contrast[:, None, None]) ** 2
    misfit = (residual**2 / allowed).sum(axis=(1, 2)) / freedom
    excess = xp.maximum((residual**2 * weight).sum(axis=(1, 2)) / freedom - 1, 0)
    covariance = xp.linalg.inv(normal) * (1 + _ALIKE * excess)[:, None, None]
    clear = contrast > _SIGNIFICANT * xp.sqrt(covariance[:, 1, 1])
    return covariance[:, 3:, 3:], clear & (misfit < _MISFIT) & (xp.abs(off) < 0.75)


def _depth(widths, covariance, views, limits, xp):
    """(inverse depth [dioptre], its 1-sigma), (N,) each."""
    lenses = [view.lens for view in views]
    g = widths[:, 0] - widths[:, 1]
    value = root(views, g, *limits)
    spread = xp.sqrt(xp.maximum(covariance[:, 0, 0] + covariance[:, 1, 1] - 2 * covariance[:, 0, 1], 0))
    sigma = spread / xp.abs(_slope(lenses[0], value) - _slope(lenses[1], value))
    least = [PIXEL + view.psf.core**2 for view in views]
    own = widths[:, 0] - lenses[0].coc(value) ** 2 / 16
    weight = xp.linalg.inv(covariance)
    moved = value
    for _ in range(6):
        miss = [widths[:, k] - lens.coc(moved) ** 2 / 16 - least[k] for k, lens in enumerate(lenses)]
        slopes = [_slope(lens, moved) for lens in lenses]
        power = sum(weight[:, i, j] * slopes[i] * slopes[j] for i in (0, 1) for j in (0, 1))
        moved = xp.clip(moved + sum(weight[:, i, j] * slopes[i] * miss[j] for i in (0, 1) for j in (0, 1)) / power, *limits)
    infeasible = own < least[0]
    return xp.where(infeasible, moved, value), sigma


def _slope(lens, inverse_depth):
    """Change of the variance of a blur [px^2] per dioptre."""
    return lens.blur_rate * lens.coc(inverse_depth) / 8


def _variance(profile, noise):
    """(N, T) variance of the samples of a profile as a fit of something smooth feels it."""
    correlated = (sum(noise.taps) ** 2 / sum(tap**2 for tap in noise.taps)) ** 2
    return noise.variance(profile) * (_SMOOTHED * correlated / (2 * ALONG + 1))


def _start(profile):
    """Variance [px^2] that a fit begins with: a third of the widest."""
    return profile.least + 0.15 * (profile.most - profile.least)


def _most_step(profile):
    return 0.25 * (profile.most - profile.least)


def _damping(normal, xp):
    """A little of the diagonal, so that a profile without an edge has a solution."""
    eye = xp.asarray(np.eye(5))
    return normal * eye * 1e-6 + eye * 1e-9
