"""The disparity of a dual-pixel pair by continuous cost aggregation: the fast solver, for every sensor and without a PSF.

    disparity_px = disparity_rate * (inverse_depth - focus)        left(x + disparity / 2) = right(x - disparity / 2)

1. Levels of a pyramid, the coarsest first: `disparity_levels` makes of every pixel a parabola of its cost over disparity
   (Monin et al.), here the square of what the views differ by in a small window over their noise and misfit, around the
   disparity of the level before: its curvature is information [1 / px^2], its least place the disparity.
2. The parabolas are added up along rows and columns (`kernels.disparity.gather`), less across edges of the image: no label
   is ever chosen, so nothing is drawn to whole pixels.
   A random walk says how much arrives from where: as rough as disparities differ around (`spread`), so the sharp surface
   does not draw the blurred one beside it to its own.
3. sigma joins what the information that has arrived leaves; depths, that spread apart, which pixels with too little texture
   of their own could not tell; and at half the size the scatter of the parabolas around the result, and by
   how much disparities would have to differ to explain what the views still differ by (`disagreement`): bars and rims.
4. Half pupils whose optics are known are no shifted copies of each other: `disparity_curve` makes their disparity straight.

The same numbers serve every sensor: all are shares of the local brightness, or px^2 per px.  Unknown (NaN): missing data,
next to no texture in part of the window, however much there is around, and a sigma above 2 px.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import DualPixelPair
from dfd.depthmap import DepthMap
from dfd.psf import Psf
from dfd.solvers.disparity_curve import straight
from dfd.solvers.disparity_levels import SMOOTH, Level, disagreement, doubled, evidence, pyramid, scatter, search, spread
from dfd.solvers.grid import grid_range

FARTHEST = 32.0
"""Disparity [px] that is looked for where nothing tells the range."""

_ROUGHNESS = 1e-4
"""[px^2 per px] least variance by which disparities of neighbours differ where the image has no edge."""

_BETWEEN = 800.0
"""Px over which disparities differ by as much as they do in the window around."""

_LEVELS = 3
"""Times that the images are halved; fewer where the shorter side would fall below _LEAST_SIDE px."""

_LEAST_SIDE, _LEAST_PX = 12, 16
"""Shorter side [px] of the coarsest level, and of an image at all."""

_INHERITED = 0.7
"""Share of the information of a coarser level that the next takes over: some of the texture is the same."""

_PASSES = 2
"""Times that the views of a level are compared, the second time at what the first found."""

_WALK = 0.5
"""Share of the variance of the random walk that is part of sigma: surfaces are smoother."""

_PSF = 0.006
"""sigma as a share of the disparity: textures differ in the frequencies that they show it by."""

_BLIND, _NEAR = 0.06, 6.0
"""Own information [1 / px^2] that makes a pixel half blind to edges of depth, and std [px] of the window of such pixels."""

_HIDDEN, _MORE_HIDDEN = 1.0, 12.0
"""Variance of a depth that is told by nothing over that of what was found around, times blindness and its square: what was
found misses what was not."""

_MOST_BLIND = 0.35
"""Share of such pixels in the window beyond which nothing is known."""

_DOUBT, _LARGE_DOUBT = 0.06, 0.18
"""sigma [px] over disagreement [px], and over its square, of views of half the size."""

_MOST_SIGMA = 2.0
"""Largest sigma of a known disparity [px]."""

_REACH = 160
"""Px beyond the disparity that aggregation reaches noticeably."""


def solve_disparity(capture: DualPixelPair, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] of a metric dual-pixel pair, disparity [px, positive nearer than focus] of an affine one.

    limits   (nearest, farthest) inverse depth [dioptre]: disparities beyond need not be looked for
    Both in the grid of the whole pupil, half a disparity from either view.  Raises ValueError as `check` does.
    """
    check(capture, limits)
    xp = array_module(capture.images)
    turned = capture.axis == "y"
    images = xp.ascontiguousarray(capture.images.transpose(0, 2, 1)) if turned else capture.images
    tall = 1 / capture.y_scale if turned else capture.y_scale
    value, sigma = _solve(images, [view.noise for view in capture.views], tall, _farthest(capture, limits))
    if turned:
        value, sigma = xp.ascontiguousarray(value.T), xp.ascontiguousarray(sigma.T)
    if capture.scale == "metric":
        value, sigma = capture.inverse_depth(_straightened(value, capture), sigma)
    return DepthMap(value, sigma, capture.scale, "disparity")


def check(capture: DualPixelPair, limits) -> None:
    """Raises ValueError for images that are too small, and limits that hold nothing."""
    if min(capture.shape) < _LEAST_PX:
        raise ValueError(f"images ({capture.shape[1]} x {capture.shape[0]} px) must have at least {_LEAST_PX} px to a side: "
                         "windows reach across smaller ones; use larger images")
    if capture.scale == "metric":
        grid_range(capture, limits)


def reach(capture: DualPixelPair, limits) -> int:
    """Px around a pixel beyond which nothing changes its value by more than a share of its sigma."""
    return math.ceil(_farthest(capture, limits) / 2) + _REACH


def bytes_needed(capture: DualPixelPair, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes, a copy of them included."""
    return 120 * math.prod(shape)


def _straightened(disparity, pair):
    """The disparity of the centroids, where the halves are known as optics; a calibrated field goes by what is found."""
    psf = pair.views[0].psf
    if pair.field is not None or not (isinstance(psf, Psf) and psf.model.startswith("half") and psf.contrast > 0):
        return disparity
    return straight(disparity, psf, SMOOTH)


def _farthest(capture, limits):
    """Largest disparity [px] to look for."""
    if capture.scale != "metric" or limits is None:
        return FARTHEST
    lens, field = capture.views[0].lens, capture.field
    kappa, shift = (capture.kappa, 0.0) if field is None else (field.kappa.max(), np.abs(field.focus_offset).max())
    away = max(abs(end - lens.focus) for end in grid_range(capture, limits)) + shift
    return min(float(lens.blur_rate * kappa * away), FARTHEST)


def _solve(images, noises, tall, farthest):
    """(disparity, sigma) [px], (H, W) float32 each, NaN where unknown; rows are `tall` times as high as pixels are wide."""
    xp = array_module(images)
    count = max(0, min(_LEVELS, math.floor(math.log2(min(images.shape[1:]) / _LEAST_SIDE))))
    found = None
    for number, pair in reversed(list(enumerate(pyramid(images, count)))):
        level, factor = Level(pair, noises, 2**number, tall), 2**number
        if found is None:
            value, inherited = search(level, math.ceil(farthest / factor)), 0.0
        else:
            value = 2 * doubled(found.value, level.shape)
            inherited = np.float32(_INHERITED / 4) * doubled(found.own, level.shape)
        around = spread(value, factor)
        rough = np.float32(_ROUGHNESS) + np.float32(factor / _BETWEEN) * around
        for _ in range(_PASSES):
            found = evidence(level, value, rough, inherited)
            value = found.value
        if number == min(1, count):
            contradicted = _contradicted(factor * scatter(found), factor * disagreement(level, value))
    blind = imaging.reduce((np.float32(_BLIND) / (found.own + np.float32(_BLIND))) ** 2, 4)
    blind = imaging.gaussian(blind, _NEAR / 4)
    for blocks in (2, 1):
        blind = doubled(blind, tuple(-(-length // blocks) for length in level.shape))
    hidden = around * blind * (np.float32(_HIDDEN) + np.float32(_MORE_HIDDEN) * blind)
    variance = np.float32(_WALK) / found.information + hidden + (np.float32(_PSF) * value) ** 2
    variance += doubled(contradicted, level.shape) if count else contradicted
    sigma, nan = xp.sqrt(variance), xp.float32(np.nan)
    told = found.seen & (sigma < _MOST_SIGMA) & (blind < _MOST_BLIND)
    return xp.where(told, value, nan).astype(np.float32), xp.where(told, sigma, nan).astype(np.float32)


def _contradicted(scattered, doubt):
    """[px^2] variance where what is seen does not agree with the result: bars and rims; both planes (H, W) px."""
    return scattered**2 + doubt**2 * (np.float32(_DOUBT**2) + (np.float32(_LARGE_DOUBT) * doubt) ** 2)
