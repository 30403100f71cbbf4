"""Depth at the noise limit from any images with known optics: a plane sweep over inverse depth with one forward model.

1. Every label of an even grid of inverse depths: what the images leave unexplained (`sweep`), squared, in a small Gaussian
   window: minus twice the log likelihood of the label, whatever the texture, per pixel.
2. Semi-global aggregation (Hirschmueller 2008) chooses a label that its neighbours agree to, a parabola the place between.
3. A plane is fitted to the places in a window, robust and weighted by their information; its scatter shows the errors that
   the model does not know (slanted surfaces, edges of occluding ones).
4. sigma from the slope of the channels, the sandwich sqrt(D) / (D - D0): D what they change by per dioptre, squared and
   summed, D0 the part that noise makes of it; joined with the scatter.

Unknown (NaN): the best label is an end of the grid, another basin is as likely, no texture above the noise, missing data,
or a sigma above a pixel and a half of blur.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import Capture, DualPixelPair
from dfd.depthmap import DepthMap
from dfd.psf import IDEAL_KAPPA, Psf
from dfd.solvers import coarse, fieldsweep
from dfd.solvers.basinchoice import choose_basins
from dfd.solvers.disparity_curve import contrast_of
from dfd.solvers.disparity_levels import SMOOTH
from dfd.solvers.grid import MARGIN, check_optics, labels_of, largest_coc, lensed, used_views, varies
from dfd.solvers.locate import HALVES, SHARPEST, WINDOW, locate
from dfd.solvers.sweep import Sweep, border_of

_REACH = 22
"""Px that the windows reach, and aggregation noticeably, beyond the blur."""

_SLOPES = 4
"""Labels from one whose slope is computed to the next."""

_BATCH = 8
"""Labels whose planes are put into the volume at a time."""

_LEAST_PX = 32
"""Shorter side of an image below which windows and borders are all that there is."""

_MOST_SIGMA_PX = 1.5
"""Largest sigma of a known depth [px of coc of the view whose blur grows fastest]."""

_TOLERANT_SIGMA, _TOLERANT_SIGMA_PX = 0.5, 6.0
"""With kernels measured over the picture: factor of sigma (what they leave unexplained moves depth less than a slope or an
edge that leaves as much; after six scenes of a real sensor), and the largest of a known depth [px of coc]."""


def solve_likelihood(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] of K >= 2 images with known optics: focus, aperture or half of the pupil may differ.

    capture   any metric Capture, or an affine dual-pixel pair with measured kernels, whose values are signed coc [px]
    limits   (nearest, farthest) inverse depth [dioptre] to look between, see `grid`
    Raises ValueError as `check` does.
    """
    return solve_by(Sweep, capture, limits, "likelihood")


def solve_by(statistic: type[Sweep], capture: Capture, limits, method: str) -> DepthMap:
    """`solve_likelihood` with another sweep's judgement of the labels; method: the name of the row."""
    check(capture, limits)
    if isinstance(capture, DualPixelPair) and capture.field is not None:
        return in_parts(capture, reach(capture, limits), lambda even: solve_by(statistic, even, limits, method))
    xp, scale = array_module(capture.images), capture.scale
    capture, labels = lensed(capture), labels_of(capture, limits)
    statistic = fieldsweep.over_field(statistic) if varies(capture) else statistic
    if not bool(xp.isfinite(capture.images).any()):
        nothing = xp.full(capture.shape, np.float32(np.nan), dtype=np.float32)
        return DepthMap(nothing, nothing, scale, method)
    if coarse.worthwhile(capture, labels):
        values, _ = _solve(statistic, coarse.half_size(capture), labels[::2])
        labels = coarse.promising(labels, values, rate=_rate(capture))
    return DepthMap(*_solve(statistic, capture, labels), scale, method)


def in_parts(pair: DualPixelPair, halo: int, solve) -> DepthMap:
    """Solve a pair with a field part by part, each with kappa and focus of its middle; focus is then every pixel's own.

    halo   px around a part that are solved with it;   solve   function: a pair without a field -> DepthMap
    The parts are so small that kappa differs little within one: part of depth is told by blur, which has nothing to do with
    kappa, so that no correction afterwards would be right.
    """
    xp = array_module(pair.images)
    value, sigma, picture = (xp.empty(pair.shape, dtype=np.float32) for _ in range(3))
    for part in pair.field.parts(pair.shape):
        outer = [slice(max(piece.start - halo, 0), min(piece.stop + halo, length))
                 for piece, length in zip(part, pair.shape, strict=True)]
        inner = tuple(slice(piece.start - around.start, piece.stop - around.start)
                      for piece, around in zip(part, outer, strict=True))
        own = pair.cut(xp.ascontiguousarray(pair.images[:, *outer]), outer[0].start, outer[1].start)
        even = _as_calibrated(own.uniform())
        found = solve(even)
        rates = own.disparity_rates()
        of_part = own.inverse_depth(rates * (found.values - np.float32(even.views[0].lens.focus)), rates * found.sigma)
        value[part], sigma[part] = (plane[inner] for plane in of_part)
        if found.picture is not None:
            picture[part] = found.picture[inner]
    return DepthMap(value, sigma, pair.scale, found.method, None if found.picture is None else picture)


def _as_calibrated(pair):
    """A pair of even kappa whose mixed halves differ by what calibration measured: the shift of least difference."""
    psf = pair.views[0].psf
    if not (isinstance(psf, Psf) and psf.model.startswith("half")):
        return pair
    contrast = contrast_of(round(pair.kappa, 4), psf.core, SMOOTH)
    return replace(pair, views=[replace(view, psf=replace(view.psf, contrast=contrast)) for view in pair.views],
                   kappa=contrast * IDEAL_KAPPA)


def check(capture: Capture, limits) -> None:
    """Raises ValueError for images that are too small, and as `grid.check_optics` does."""
    if min(capture.shape) < _LEAST_PX:
        raise ValueError(f"images ({capture.shape[1]} x {capture.shape[0]} px) must have at least {_LEAST_PX} px to a side: "
                         "blur and windows reach across smaller ones; use larger images")
    check_optics(capture, limits)


def reach(capture: Capture, limits) -> int:
    """Px around a pixel beyond which nothing changes its value by more than some hundredths of its sigma."""
    return math.ceil(largest_coc(lensed(capture), labels_of(capture, limits)) / 2) + _REACH


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes, a copy of them included."""
    capture, labels = lensed(capture), labels_of(capture, limits)
    together, largest = padded(capture, shape, labels)
    volumes = 4 * ((2 + varies(capture)) * len(labels) + len(labels) // _SLOPES + _BATCH)
    return int(math.prod(shape) * (volumes + 8 * len(capture) + 60)
               + together * (4 * len(capture) + 16) + largest * ((20 + 40 * varies(capture)) * len(capture) + 24))


def padded(capture: Capture, shape: tuple[int, int], labels) -> tuple[float, float]:
    """(px of the images cut to `shape`, mirrored borders included, of all sweeps together; of the largest of them)."""
    if varies(capture):
        return fieldsweep.padded(capture, shape, labels)
    border = 2 * border_of(capture, labels)
    return (math.prod(1.04 * (length + border) for length in shape),) * 2


def nanoseconds(capture: Capture, limits) -> float:
    """Core nanoseconds per pixel, were no label left out."""
    capture, labels = lensed(capture), labels_of(capture, limits)
    used = max(len(used_views(capture, float(label))) for label in (labels[0], labels[len(labels) // 2], labels[-1]))
    return len(labels) * (40.0 + 22.0 * used)


def _solve(statistic, capture, labels):
    """(value, sigma) [dioptre], (H, W) float32 each, NaN where unknown; labels ascend, with or without gaps."""
    xp = array_module(capture.images)
    sweep = statistic(capture, labels)
    cost, slope, noise, expected = _volumes(sweep, labels)
    basins, ambiguous = choose_basins(cost, expected, labels, _rate(capture), statistic.tolerant)
    del cost
    value, sigma = locate(basins, *_at(slope, noise, basins.label), labels, sweep.gaps(labels), rate=_rate(capture),
                          correlation=sweep.correlation, blur=sweep.least_blur,
                          spread=HALVES if isinstance(capture, DualPixelPair) and not statistic.tolerant else SHARPEST)
    if statistic.tolerant:
        sigma, most = sigma * np.float32(_TOLERANT_SIGMA), _TOLERANT_SIGMA_PX
    else:
        most = _MOST_SIGMA_PX
    known = xp.isfinite(value) & ~ambiguous & (sigma * _rate(capture) < most) & ~_missing(sweep)
    known &= (value >= float(labels[MARGIN])) & (value <= float(labels[-1 - MARGIN]))
    nan = xp.float32(np.nan)
    return xp.where(known, value, nan).astype(np.float32), xp.where(known, sigma, nan).astype(np.float32)


def _rate(capture):
    """Px of coc per dioptre of the view whose blur grows fastest."""
    return max(view.lens.blur_rate for view in capture.views)


def _volumes(sweep, labels):
    """((H, W, L) mean squares of the channels, (H, W, l) of their slopes [1/dioptre^2], (l,) the noise's part of those,
    function: labels -> what noise alone would make of the first)."""
    xp = array_module(sweep.missing)
    cost = xp.empty((*sweep.shape, len(labels)), dtype=np.float32)
    residuals, levels, used = sweep.residuals(labels), [], []
    for start in range(0, len(labels), _BATCH):
        planes = []
        for found, level in itertools.islice(residuals, _BATCH):
            if not levels or level is not levels[-1]:
                levels.append(level)
            used.append(len(levels) - 1)
            planes.append(imaging.gaussian(found + level, WINDOW))
        cost[:, :, start:start + _BATCH] = xp.stack(planes).transpose(1, 2, 0)
    places = labels[_slope_places(len(labels))]
    slope = xp.empty((*sweep.shape, len(places)), dtype=np.float32)
    noise = []
    for number, place in enumerate(places):
        plane, part = sweep.slope(float(place))
        slope[:, :, number] = imaging.gaussian(plane, WINDOW)
        noise.append(part)
    return cost, slope, xp.asarray(np.array(noise, np.float32)), _expected(sweep, labels, levels, used)


def _expected(sweep, labels, levels, used):
    """Function: (H, W) labels -> mean square of channels that hold noise alone, at the level that the curve has there."""
    xp = array_module(sweep.missing)
    free = xp.asarray(np.array([sweep.expected(float(label)) for label in labels], np.float32))
    used = xp.asarray(np.array(used))
    added = xp.stack([xp.zeros(sweep.shape, dtype=np.float32) if level.ndim == 0 else imaging.gaussian(level, WINDOW)
                      for level in levels], axis=2)
    return lambda label: free[label] + xp.take_along_axis(added, used[label][:, :, None], axis=2)[:, :, 0]


def _slope_places(count):
    return np.minimum(np.arange(_SLOPES // 2, count + _SLOPES // 2, _SLOPES), count - 1)


def _at(slope, noise, label):
    """The slope and the noise's part of it nearest to a label, (H, W) each."""
    xp = array_module(slope)
    nearest = xp.clip(label // _SLOPES, 0, slope.shape[2] - 1)
    return xp.take_along_axis(slope, nearest[:, :, None], axis=2)[:, :, 0], noise[nearest]


def _missing(sweep):
    """(H, W) bool: no data in any of few views, or in half of many."""
    xp = array_module(sweep.missing)
    return xp.sum(sweep.missing, axis=0) > (len(sweep.missing) // 2 if len(sweep.missing) > 4 else 0)
