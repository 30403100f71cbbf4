"""From the best label of every pixel to a depth between the labels and its sigma.

The place between labels is the vertex of a parabola, through the pixel's own curve where its information reaches far below
a step, else through the aggregated one, which has less noise but is drawn towards the sharper side.  A plane through the
places around joins them; its scatter, with the information, is sigma.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.refine import fit_plane

WINDOW, PLANE = 1.5, 4.0
"""Std [px] of the window of the likelihood, and of the plane."""

_OWN_STEPS = 0.3
"""Sigma of a pixel's own place [labels] at which both curves count alike."""

_TEXTURE, _TEXTURE_AROUND, _AROUND = 1.0, 4.0, 8.0
"""Standard deviations of the noise by which the slope of the channels must stand out of it in the window of the plane, and
in a wider one; std of that [px]."""

_LEAST_SHARE = 0.05
"""Least share of the slope that is taken for texture, however strong the noise."""

SHARPEST, HALVES = (0.11, 0.2), (0.6, 0.05)
"""Factor of the scatter, and what it grows by per px of blur of the sharpest view: of views that differ in blur, and of the
two halves of a pupil, which blur alike and tell depth by their shift."""

_INFORMATION, _MISFIT, _QUANTISED = 0.5, 0.21, 0.02
"""sigma^2 is the sum of squares of: this share of what the window's information alone allows (aggregation joins more
pixels); the scatter times a factor that grows with blur (errors of neighbours are alike as far as the blur reaches, so that
the scatter shows less of them and the plane averages less); this share of the place that would
explain what the channels hold beyond noise (a PSF that is not the model's, a slope, an edge); this share of a step.
A calibration on rendered planes, slants, spheres and steps with 1500 to 20000 electrons, in stacks, pairs, quadruples and
views, see benchmarks/; coverage there is how well it fits, not an independent test."""

_OWN_PX = 0.3
"""A pixel whose place lies farther than this [px of coc], and than its noise, from the plane around it keeps its place."""


@dataclass(frozen=True, eq=False)
class Basins:
    """(H, W) each: label, int32, -1 = unknown; offset in labels of the aggregated curve; how much the pixel's own curve
    rises from the label to the one below and above, and lies above what noise alone would make [mean square of channels].
    """

    label: np.ndarray
    offset: np.ndarray
    below: np.ndarray
    above: np.ndarray
    excess: np.ndarray


def locate(basins: Basins, slope, noise, labels, gaps, *, rate: float, correlation: float, blur, spread=SHARPEST):
    """(inverse depth, its sigma) [dioptre], (H, W); the depth is NaN where there is no label or no texture.

    slope, noise   (H, W) mean square of the slope of the channels [1/dioptre^2], and the part that noise makes of it
    labels         (L,) inverse depths;   gaps   (L - 1,) see Sweep.gaps;   rate   px of coc per dioptre
    correlation    pixels that share one independent sample of a squared channel
    blur           function: inverse depth -> |coc| [px] of the sharpest view;   spread   SHARPEST or HALVES
    """
    xp = array_module(slope)
    step = float(np.diff(labels).min())
    own = _sandwich(slope, noise, 4 * math.pi * WINDOW**2 / correlation)
    chosen = xp.maximum(basins.label, 0)
    place = xp.asarray(labels)[chosen] + step * _offset(basins, own / np.float32(step), gaps)
    place = xp.where(basins.label >= 0, place, np.nan).astype(np.float32)
    value, scatter = fit_plane(place, xp.maximum(own, np.float32(0.02 * step)).astype(np.float32), std=PLANE)
    apart = abs(place - value)
    edge = apart > xp.maximum(_OWN_PX / rate, 3 * own)  # no plane of its neighbours: beside a step in depth
    value, scatter = xp.where(edge, place, value), xp.where(edge, xp.maximum(scatter, apart), scatter)
    window = 4 * math.pi * (WINDOW**2 + PLANE**2) / correlation
    slope, noise = imaging.gaussian(slope, PLANE), imaging.gaussian(noise, PLANE)
    scatter = scatter * (spread[0] + spread[1] * blur(value))
    texture = xp.maximum(slope - noise, _LEAST_SHARE * slope + np.float32(1e-12))
    misfit = xp.maximum(imaging.gaussian(basins.excess, PLANE), 0) / texture
    sigma = xp.sqrt((_INFORMATION * _sandwich(slope, noise, window)) ** 2 + scatter**2 + _MISFIT**2 * misfit
                    + (_QUANTISED * step) ** 2)
    return xp.where(_weak(slope, noise, window) | xp.isnan(place), np.nan, value), sigma


def _offset(basins, own, gaps):
    """(H, W) from the label to the vertex, in labels; own: sigma of the pixel's own place, in labels."""
    xp = array_module(own)
    gaps = np.maximum(gaps, max(1e-3 * gaps.max(), 1e-30))
    gaps = xp.asarray(np.concatenate([[1.0], gaps, [1.0]]).astype(np.float32))
    chosen = xp.maximum(basins.label, 0)
    before, after = gaps[chosen], gaps[chosen + 1]
    width = xp.maximum(basins.below + basins.above, np.float32(1e-12))
    alone = xp.clip(0.5 * (basins.below - basins.above) / width, -0.5, 0.5)
    share = own**2 / (own**2 + np.float32(_OWN_STEPS**2))
    return share * _vertex(basins.offset, before, after) + (1 - share) * _vertex(alone, before, after)


def _vertex(offset, before, after):
    """Vertex in labels of a curve that is a parabola where labels lie `before` and `after` apart, from the offset of one
    through the same values at even labels."""
    xp = array_module(offset)
    left, right = 0.5 + offset, 0.5 - offset  # how much the curve rises to either side, relatively
    place = (left * after**2 - right * before**2) / (2 * (left * after + right * before))
    return xp.clip(xp.where(place > 0, place / after, place / before), -1, 1)


def _weak(slope, noise, window):
    """(H, W) bool: the slope in a window of so many independent pixels may be noise, or that in a wider one around it."""
    wide = 1 + _AROUND**2 / (WINDOW**2 + PLANE**2)
    around, alone = imaging.gaussian(slope, _AROUND), imaging.gaussian(noise, _AROUND)
    return ((slope - noise <= _TEXTURE * noise * math.sqrt(2 / window))
            | (around - alone <= _TEXTURE_AROUND * alone * math.sqrt(2 / (wide * window))))


def _sandwich(slope, noise, window):
    """sqrt(D / n) / (D - D0): sigma of a place from the slope seen by n independent pixels and the noise's part of it."""
    xp = array_module(slope)
    texture = xp.maximum(slope - noise, xp.maximum(_LEAST_SHARE * slope, np.float32(1e-12)))
    return xp.sqrt(slope / window) / texture
