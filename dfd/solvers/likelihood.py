"""Depth at the noise limit from any images with known optics: a plane sweep over inverse depth with one forward model.

1. Every label of an even grid of inverse depths: what the images leave unexplained (`sweep`), squared, in a small Gaussian
   window: minus twice the log likelihood of the label, whatever the texture, per pixel.
2. Semi-global aggregation (Hirschmueller 2008) chooses a label that its neighbours agree to, a parabola the place between.
3. A plane is fitted to the places in a window, robust and weighted by their information; its scatter shows the errors that
   the model does not know (slanted surfaces, edges of occluding ones).
4. sigma from the slope of the channels, the sandwich sqrt(D) / (D - D0): D what they change by per dioptre, squared and
   summed, D0 the part that noise makes of it; joined with the scatter.

Unknown (NaN): the best label is an end of the grid, another basin is as likely, no texture above the noise, missing data,
or a sigma above a pixel of blur.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.kernels.aggregation import aggregate
from dfd.kernels.basins import winner
from dfd.refine import fit_plane
from dfd.solvers import coarse
from dfd.solvers.grid import check_optics, labels_of, largest_coc
from dfd.solvers.sweep import Sweep, border_of

_WINDOW, _PLANE = 1.5, 3.0
"""Std [px] of the window of the likelihood, and of the plane."""

_SMALL, _LARGE, _CLIP = 2.0, 24.0, 60.0
"""Price of a step by one label from pixel to pixel, of any other, and the most a label can cost: all in mean squares of the
channels, that is in units of the noise."""

_PATHS = 4

_REACH = 20
"""Px that the windows reach, and aggregation noticeably, beyond the blur."""

_SLOPES = 4
"""Labels from one whose slope is computed to the next."""

_BATCH = 8
"""Labels whose planes are put into the volume at a time."""

_APART_PX, _AMBIGUOUS = 3.0, 9.0
"""A basin so far [px of coc] from the best is another; less likely by less than this (-2 log likelihood) it may be right."""

_TEXTURE = 1.0
"""Standard deviations of the noise by which the slope of the channels must stand out of it."""

_LEAST_SHARE = 0.05
"""Least share of the slope that is taken for texture, however strong the noise."""

_INFORMATION, _SCATTER, _WIDENED, _QUANTISED = 0.23, 1.1, 0.12, 0.04
"""sigma^2 is the sum of squares of: this share of what the window's information alone allows (aggregation joins more
pixels); the scatter times a factor that grows per px of blur of the sharpest view (errors of neighbours are alike as far as
the blur reaches, so that the scatter shows less of them and the plane averages less); this share of a step of the grid.
A calibration on rendered planes, slants, spheres and steps with 1500 to 20000 electrons, in stacks, pairs, quadruples and
views, see benchmarks/; coverage there is how well it fits, not an independent test."""

_OWN_PX = 0.3
"""A pixel whose place lies farther than this [px of coc], and than its noise, from the plane around it keeps its place."""

_MOST_SIGMA_PX = 1.5
"""Largest sigma of a known depth [px of coc of the view whose blur grows fastest]."""


def solve_likelihood(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] of K >= 2 images with known optics: focus, aperture or half of the pupil may differ.

    capture   any metric Capture;   limits   (nearest, farthest) inverse depth [dioptre] to look between, see `grid`
    Raises ValueError as `grid.check_optics` does.
    """
    check_optics(capture, limits)
    xp = array_module(capture.images)
    labels = labels_of(capture, limits)
    if not bool(xp.isfinite(capture.images).any()):
        nothing = xp.full(capture.shape, np.float32(np.nan), dtype=np.float32)
        return DepthMap(nothing, nothing, capture.scale, "likelihood")
    if coarse.worthwhile(capture, labels):
        values, _ = _solve(coarse.half_size(capture), labels[::2])
        labels = coarse.promising(labels, values, rate=_rate(capture))
    return DepthMap(*_solve(capture, labels), capture.scale, "likelihood")


def reach(capture: Capture, limits) -> int:
    """Px around a pixel beyond which nothing changes its value by more than some hundredths of its sigma."""
    return math.ceil(largest_coc(capture, labels_of(capture, limits)) / 2) + _REACH


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes, a copy of them included."""
    labels = labels_of(capture, limits)
    border = 2 * border_of(capture, labels)
    padded = math.prod(1.04 * (length + border) for length in shape)
    volumes = 4 * (2 * len(labels) + len(labels) // _SLOPES + _BATCH)
    return int(math.prod(shape) * (volumes + 8 * len(capture) + 60) + padded * (24 * len(capture) + 40))


def _solve(capture, labels):
    """(value, sigma) [dioptre], (H, W) float32 each, NaN where unknown: a sweep over ascending labels with or without gaps."""
    xp = array_module(capture.images)
    sweep = Sweep(capture, labels)
    cost, slope, noise = _volumes(sweep, labels)
    label, offset, ambiguous = _choose(cost, labels, _rate(capture))
    del cost
    value, sigma = _locate(label, offset, slope, noise, labels, sweep)
    known = xp.isfinite(value) & ~ambiguous & (sigma * _rate(capture) < _MOST_SIGMA_PX) & ~_missing(sweep)
    known &= (value >= float(labels[1])) & (value <= float(labels[-2]))
    nan = xp.float32(np.nan)
    return xp.where(known, value, nan).astype(np.float32), xp.where(known, sigma, nan).astype(np.float32)


def _rate(capture):
    """Px of coc per dioptre of the view whose blur grows fastest."""
    return max(view.lens.blur_rate for view in capture.views)


def _volumes(sweep, labels):
    """((H, W, L) mean squares of the channels, (H, W, l) of their slopes [1/dioptre^2], (l,) the noise's part of those)."""
    xp = array_module(sweep.missing)
    cost = xp.empty((*sweep.shape, len(labels)), dtype=np.float32)
    for start in range(0, len(labels), _BATCH):
        planes = [imaging.gaussian(sweep.residual(float(label)), _WINDOW) for label in labels[start:start + _BATCH]]
        cost[:, :, start:start + _BATCH] = xp.stack(planes).transpose(1, 2, 0)
    places = labels[_slope_places(len(labels))]
    slope = xp.empty((*sweep.shape, len(places)), dtype=np.float32)
    noise = []
    for number, place in enumerate(places):
        plane, part = sweep.slope(float(place))
        slope[:, :, number] = imaging.gaussian(plane, _WINDOW)
        noise.append(part)
    return cost, slope, xp.asarray(np.array(noise, np.float32))


def _slope_places(count):
    return np.minimum(np.arange(_SLOPES // 2, count + _SLOPES // 2, _SLOPES), count - 1)


def _choose(cost, labels, rate):
    """(label, -1 = none or beside a gap or an end of the grid; offset in labels; another basin is as likely), (H, W) each."""
    xp = array_module(cost)
    cost -= cost.min(axis=2, keepdims=True)
    xp.minimum(cost, np.float32(_CLIP), out=cost)
    total = aggregate(cost, _SMALL, _LARGE, paths=_PATHS)
    steps = np.diff(labels)
    even = np.isclose(steps, steps.min(), rtol=0.1)
    label, offset, least, second = winner(total, apart=math.ceil(_APART_PX / (rate * steps.min())))
    inside = xp.asarray(np.concatenate([[False], even[1:] & even[:-1], [False]]))[xp.maximum(label, 0)] & (label >= 0)
    independent = 4 * math.pi * _WINDOW**2
    return xp.where(inside, label, -1), offset, (second - least) * (independent / _PATHS) < _AMBIGUOUS


def _locate(label, offset, slope, noise, labels, sweep):
    """(inverse depth, its sigma), (H, W): planes through the places, weighted by their information."""
    xp = array_module(slope)
    step = float(np.diff(labels).min())
    chosen = xp.maximum(label, 0)
    nearest = xp.clip((chosen // _SLOPES).astype(np.int32), 0, slope.shape[2] - 1)
    seen = xp.take_along_axis(slope, nearest[:, :, None], axis=2)[:, :, 0]
    alone = noise[nearest]
    window = 4 * math.pi * _WINDOW**2 / sweep.correlation
    own = _sandwich(seen, alone, window)
    place = xp.where(label >= 0, xp.asarray(labels)[chosen] + step * offset, np.nan).astype(np.float32)
    value, scatter = fit_plane(place, xp.maximum(own, np.float32(0.02 * step)).astype(np.float32), std=_PLANE)
    apart = abs(place - value)
    edge = apart > xp.maximum(_OWN_PX / _rate(sweep.capture), 3 * own)  # no plane of its neighbours: beside a step in depth
    value, scatter = xp.where(edge, place, value), xp.where(edge, xp.maximum(scatter, apart), scatter)
    window = 4 * math.pi * (_WINDOW**2 + _PLANE**2) / sweep.correlation
    seen, alone = imaging.gaussian(seen, _PLANE), imaging.gaussian(alone, _PLANE)
    scatter = scatter * (_SCATTER + _WIDENED * sweep.least_blur(value))
    sigma = xp.sqrt((_INFORMATION * _sandwich(seen, alone, window)) ** 2 + scatter**2 + (_QUANTISED * step) ** 2)
    weak = (seen - alone <= _TEXTURE * alone * math.sqrt(2 / window)) | xp.isnan(place)
    return xp.where(weak, np.nan, value), sigma


def _sandwich(seen, alone, window):
    """sqrt(D / n) / (D - D0): sigma of a place from the slope seen by n independent pixels and the noise's part of it."""
    xp = array_module(seen)
    texture = xp.maximum(seen - alone, xp.maximum(_LEAST_SHARE * seen, np.float32(1e-12)))
    return xp.sqrt(seen / window) / texture


def _missing(sweep):
    """(H, W) bool: no data in any of few views, or in half of many."""
    xp = array_module(sweep.missing)
    return xp.sum(sweep.missing, axis=0) > (len(sweep.missing) // 2 if len(sweep.missing) > 4 else 0)
