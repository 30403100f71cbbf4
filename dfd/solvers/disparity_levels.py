"""One level of the pyramid of `disparity`: the views in shares of the light around, and parabolas of their difference.

With l, r the views half a disparity d to either side, e = l - r and g = de/dd in a Gaussian window <>, the cost
<(e + g (d' - d))^2> / v is least at d' = d - <g e> / <g g>, with the curvature <g g> / v: information per pixel, when v is
the variance of e, from the noise of the views and from what no disparity explains.  Noise has slopes too; its share of <g g>
is left out, and what does not exceed it by far is nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.refine import fill

_WINDOW = 2.0
"""Std [px] of the window of a parabola."""

_LEAST_SEEN = 0.4
"""Share of the window that both views must show at a disparity: beside a border, disparities that leave it are not told by
what lies further inside."""

_UNSEEN = np.float32(1e9)
"""Cost of a disparity that leaves the views."""

SMOOTH = 1.0
"""Std [px] of what the views are smoothed by before they are compared: frequencies that cubics would shift by too little or
too much are gone, so nothing is drawn to whole or half pixels."""

_SCATTER = 3.0
"""Std [px] of the window that the scatter of parabolas is measured in."""

_EXPECTED = 3.0
"""Squares of the scatter of parabolas that their own information explains, in units of it: less is no scatter."""

_AROUND = 4.0
"""Std [4 px] of the window that the light around is measured in."""

_FLOOR = 0.014
"""Share of the light around by which views of a perfect sensor may differ: what is not noise, and not disparity."""

_EDGE = 0.15
"""Step of brightness from a pixel to the next, a share of the light around, that only 1/e of the information passes."""

_SURPLUS = 2.0
"""Slopes below so many mean squares of those that noise has tell nothing."""


_BLOCK, _AMONG = 8, 40.0
"""Side [px] of blocks, those of the coarsest level, and std [px] of the window of them that the spread is measured in."""


class Level:
    """The two views at one level, ready to be compared.

    left, right   (H, W) float32, brightness over that around less 1, NaN = no data
    noise         (H, W) float32, variance of left - right by noise;   slopes   that of g over it
    windows       (down, right) taps of the window
    """

    def __init__(self, pair, noises, factor, tall):
        passed = np.repeat(_taps(SMOOTH), factor) / factor  # by the blocks and the window, in px of the whole size
        steep = np.convolve(passed, [0.5, *[0.0] * (2 * factor - 1), -0.5])
        views = [_contrast(view, noise) for view, noise in zip(pair, noises, strict=True)]
        self.left, self.right = (contrast for contrast, _ in views)
        self.noise = sum(variance * np.float32(noise.response(passed) ** 2)
                         for (_, variance), noise in zip(views, noises, strict=True))
        self.slopes = max(noise.response(steep) / noise.response(passed) for noise in noises) / 4
        self.windows = _taps(_WINDOW / tall), _taps(_WINDOW)

    @property
    def shape(self):
        """(H, W) px."""
        return tuple(self.left.shape)

    def mean(self, plane):
        """A plane in the window, nothing beyond the border."""
        return imaging.separable(plane, *self.windows)


def pyramid(images, count: int) -> list:
    """Pairs of (H, W) views, the first as they are, each next one half the size; NaN where most of a block has no data."""
    pairs = [(images[0], images[1])]
    for _ in range(count):
        pairs.append(tuple(_halved(view, 2) for view in pairs[-1]))
    return pairs


def search(level: Level, farthest: int):
    """(H, W) float32 disparity [px], of whole ones up to `farthest` the least difference, and a parabola between.

    Where it and its neighbours do not show enough of both views, beside borders and holes, that of the nearest place where
    they do.
    """
    from dfd.kernels.disparity import compare

    xp = array_module(level.left)
    costs = []
    for shift in range(-farthest, farthest + 1):
        planes = compare(level.left, level.right, xp.full(level.shape, np.float32(shift), dtype=np.float32))
        known = level.mean(planes[3])
        mean = level.mean(planes[2]) / xp.maximum(known, np.float32(1e-3))
        costs.append(xp.where(known > _LEAST_SEEN, mean, _UNSEEN))
    costs = xp.stack(costs)
    best = xp.clip(xp.argmin(costs, axis=0), 1, len(costs) - 2)[None]
    below, least, above = (xp.take_along_axis(costs, best + k, axis=0)[0] for k in (-1, 0, 1))
    bend = xp.maximum(below + above - 2 * least, np.float32(1e-12))
    between = xp.clip((below - above) / (2 * bend), -0.5, 0.5)
    seen = (below < _UNSEEN) & (least < _UNSEEN) & (above < _UNSEEN)  # the end of what is seen is no least place
    found = xp.where(seen, best[0] - farthest + between, np.nan)
    return xp.nan_to_num(fill(found.astype(np.float32)))


class Evidence(NamedTuple):
    """What a level tells, (H, W) each.

    value         float32 px, disparity;   information   float32 [1 / px^2], gathered from all around
    own           float32 [1 / px^2], of the pixel itself at this level and coarser ones
    parabolas     float32 [1 / px^2], curvature of those of this level;   places   float32 px, their least places
    seen          bool: both views have data
    """

    value: np.ndarray
    information: np.ndarray
    own: np.ndarray
    parabolas: np.ndarray
    places: np.ndarray
    seen: np.ndarray


def evidence(level: Level, value, roughness, inherited) -> Evidence:
    """The parabolas of a level around `value`, (H, W) float32 px, finite, gathered.

    roughness   (H, W) float32 [px^2 / px];   inherited   own information of `value` from coarser levels, an array or 0
    """
    from dfd.kernels.disparity import compare, gather

    xp = array_module(value)
    planes = compare(level.left, level.right, value)
    own, step = _parabolas(level, planes)
    told = own + inherited
    moment = own * (value + step) + inherited * value
    information, moment = gather(told.astype(np.float32), moment.astype(np.float32), *_shares(planes[4], level.noise),
                                 roughness)
    information = xp.maximum(information, np.float32(1e-9))
    found = moment / information
    return Evidence(found, information, told, own, value + step, planes[5] > 0)


def scatter(found: Evidence):
    """(H, W) float32 [px], rms of the least places of the parabolas nearby around the value, beyond what is expected."""
    xp = array_module(found.value)
    around = xp.maximum(imaging.gaussian(found.parabolas, _SCATTER), np.float32(1e-9))
    square = imaging.gaussian(found.parabolas * (found.places - found.value) ** 2, _SCATTER) / around
    return xp.sqrt(xp.maximum(square - np.float32(_EXPECTED / (4 * math.pi * _WINDOW**2)) / around, 0))


def spread(value, factor: int):
    """(H, W) float32 [px^2] variance of `value` around every pixel, in a window of _AMONG px of the whole size.

    value   (H, W) float32 disparity [px of its level];   factor   how many px of the whole size they are
    """
    xp = array_module(value)
    blocks = _BLOCK // factor
    small = imaging.reduce(value, blocks)
    mean, square = (imaging.gaussian(plane, _AMONG / _BLOCK) for plane in (small, small**2))
    variance = xp.maximum(square - mean**2, 0)
    while blocks > 1:
        blocks //= 2
        variance = doubled(variance, tuple(-(-length // blocks) for length in value.shape))
    return xp.ascontiguousarray(variance)


def disagreement(level: Level, value):
    """(H, W) float32 [px] by which disparities would have to differ to explain what the views differ by at `value`.

    Noise and what views of a perfect sensor may differ by are taken off first.
    """
    from dfd.kernels.disparity import compare

    xp = array_module(value)
    planes = compare(level.left, level.right, value)
    square, misfit = (imaging.gaussian(plane, _SCATTER) for plane in (planes[0], planes[2]))
    known = imaging.gaussian(planes[3], _SCATTER)
    misfit = xp.maximum(misfit - known * (level.noise + np.float32(_FLOOR**2)), 0)
    return xp.sqrt(misfit / xp.maximum(square - np.float32(_SURPLUS * level.slopes) * known * level.noise, np.float32(1e-9)))


def _parabolas(level, planes):
    """(information [1 / px^2], place of the least cost [px] from where the views were compared), (H, W) each."""
    xp = array_module(planes)
    known = level.mean(planes[3])
    square, product, misfit = (level.mean(plane) / xp.maximum(known, np.float32(1e-3)) for plane in planes[:3])
    misfit = xp.maximum(misfit - product**2 / xp.maximum(square, np.float32(1e-20)), 0)
    misfit = level.mean(known * misfit) / xp.maximum(level.mean(known), np.float32(1e-3))
    signal = xp.maximum(square - np.float32(_SURPLUS * level.slopes) * level.noise, 0)
    information = known * signal / (misfit + level.noise + np.float32(_FLOOR**2))
    return information, xp.clip(-product / xp.maximum(signal, np.float32(1e-20)), -1, 1)


def doubled(plane, shape: tuple[int, int]):
    """(H, W) plane at twice the size, linear between pixels' centres, cut or continued to `shape`."""
    for axis in (0, 1):
        plane = _doubled(plane, shape[axis], axis)
    return plane


def _doubled(plane, length, axis):
    xp = array_module(plane)
    padded = xp.pad(plane, [(1, 2) if k == axis else (0, 0) for k in (0, 1)], mode="edge")
    count = -(-length // 2)
    before, here, after = (padded[start:start + count] if axis == 0 else padded[:, start:start + count]
                           for start in (0, 1, 2))
    three, one = np.float32(0.75), np.float32(0.25)
    pairs = xp.stack([three * here + one * before, three * here + one * after], axis=axis + 1)
    whole = pairs.reshape(2 * count, -1) if axis == 0 else pairs.reshape(plane.shape[0], 2 * count)
    return whole[:length] if axis == 0 else whole[:, :length]


def _halved(view, factor):
    """Mean over blocks of what is known, NaN where less than half is."""
    xp = array_module(view)
    missing = xp.isnan(view)
    if not bool(missing.any()):
        return imaging.reduce(view, factor)
    share = imaging.reduce((~missing).astype(np.float32), factor)
    total = imaging.reduce(xp.where(missing, xp.float32(0), view), factor)
    return xp.where(share >= 0.5, total / xp.maximum(share, np.float32(0.5)), xp.float32(np.nan))


def _contrast(view, noise):
    """(brightness over that around less 1, variance of it), (H, W) float32 each."""
    xp = array_module(view)
    known = xp.isfinite(view)
    parts = (imaging.reduce(plane, 4) for plane in (xp.where(known, view, xp.float32(0)), known.astype(np.float32)))
    taps = _taps(_AROUND)
    total, share = (imaging.separable(part, taps, taps) for part in parts)
    around = xp.maximum(total / xp.maximum(share, np.float32(1e-6)), 0)
    for factor in (2, 1):
        around = doubled(around, tuple(-(-length // factor) for length in view.shape))
    variance = noise.variance(around)
    light = around + 4 * xp.sqrt(variance) + np.float32(1e-12)
    contrast = view / light - 1
    return _smoothed(contrast.astype(np.float32), known), (variance / light**2).astype(np.float32)


def _smoothed(contrast, known):
    """The contrast in a window of SMOOTH, of what is known; NaN where the pixel itself is not."""
    xp = array_module(contrast)
    if bool(known.all()):
        return imaging.gaussian(contrast, SMOOTH)
    taps = _taps(SMOOTH)
    total, share = (imaging.separable(plane, taps, taps) for plane in
                    (xp.where(known, contrast, xp.float32(0)), known.astype(np.float32)))
    return xp.where(known, total / xp.maximum(share, np.float32(1e-3)), xp.float32(np.nan))


def _shares(mean, noise):
    """(across, down) of `gather`: what passes between neighbours whose brightness differs."""
    xp = array_module(mean)
    width = 1 / (np.float32(_EDGE**2) + 2 * noise)
    across, down = xp.zeros_like(mean), xp.zeros_like(mean)
    across[:, :-1] = xp.exp(-((mean[:, 1:] - mean[:, :-1]) ** 2) * width[:, 1:])
    down[:-1] = xp.exp(-((mean[1:] - mean[:-1]) ** 2) * width[1:])
    return across, down


def _taps(std):
    reach = max(1, math.ceil(3 * std))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1.0) / max(std, 0.3)) ** 2)
    return (taps / taps.sum()).astype(np.float32)
