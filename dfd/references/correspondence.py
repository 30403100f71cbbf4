"""Depth from combining defocus and correspondence: Tao, Hadap, Malik and Ramamoorthi, ICCV 2013, as its code was released.

    shear by d_i;   D_i = mean over 9 x 9 of the slope of the mean over views;   C_i = the same of their standard deviation
    defocus: the plane of most D;  correspondence: that of least C;  confidence of each: best over next best peak
    fused: least sum of  W |Z - Z_D| + W |Z - Z_C| + 2 (|dZ/dx| + |dZ/dy|) + 2 |Laplacian of Z|    (equation 10)

Where the released code leaves the paper it is followed: the slope along x instead of a Laplacian; root mean square over
colours; the confidence of correspondence is the inverse of equation 7, next dip over least; without a second peak the ratio
of the two least responses stands in; both confidences over their joint largest finite value, to the powers 0.6 and 0.2;
roughness is cheaper at edges of the image.  Planes are even in alpha, not in disparity: d = 1 / alpha - 1, alpha from 0.2
to 2 (+4 to -0.5 px per view step).  Another range is sheared first, so that alpha = 2 is the least disparity.

Our own: a floor in the ratios; all views instead of 7 x 7; the square root of brightness; bilinear shifts; how much an edge
relaxes; and sigma, which the paper has not: how far the two cues lie from the result, weighted as the result weighs them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfd import imaging
from dfd.backend import array_module, to_numpy
from dfd.kernels.angular import sheared
from dfd.kernels.lightcosts import slopes
from dfd.references.fusion import fuse
from dfd.references.views import Views
from dfd.threads import in_order, worker_count

PLANES = 257
ALPHA = 0.2, 2.0
"""Least and largest alpha of the released grid."""

WINDOW = 9
"""Side [px] of the window of both responses."""

POWERS = 0.6, 0.2
"""Of the normalised confidences of defocus and correspondence."""

FLOOR = 1e-3
"""Added to both responses of a ratio, in units of the mean (square root of) brightness."""

_EDGE = 1.0
"""Share by which roughness gets cheaper with the slope of the image, in units of the slope that counts fully."""

_SPREAD = 2.0
"""Std [px] of the window in which sigma is measured."""


class Cues(NamedTuple):
    """What the two cues say.

    disparities                 (P,) float64 [px per view step] of the planes, falling
    defocus, correspondence     (H, W) int16, number of the plane that each chooses
    confidences                 (2, H, W) float32 in 0..1, defocus first: normalised, to the powers
    """

    disparities: np.ndarray
    defocus: np.ndarray
    correspondence: np.ndarray
    confidences: np.ndarray


def find(views: Views, limits: tuple[float, float]):
    """(disparity, sigma) [px per view step], (H, W) float32: the fused map; NaN where the reference view has no data."""
    found = cues(views, limits)
    xp = array_module(views.grey)
    right, down, _ = slopes(views.grey[views.reference])
    known = xp.isfinite(right) & xp.isfinite(down)
    relaxed = 1 / (1 + xp.where(known, xp.hypot(right, down), np.float32(0)) / np.float32(_EDGE))
    sources = np.stack([to_numpy(found.defocus), to_numpy(found.correspondence)]).astype(np.float64)
    weights = to_numpy(found.confidences).astype(np.float64)
    place = fuse(sources, weights, to_numpy(relaxed).astype(np.float64))
    planes = np.arange(len(found.disparities))
    value = np.interp(place, planes, found.disparities)
    step = np.interp(place, planes, np.abs(np.gradient(found.disparities)))
    apart = ((sources - place) ** 2 * weights).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-9)
    variance = step**2 * (imaging.gaussian(apart.astype(np.float32), _SPREAD) + 1 / 12)
    nan = np.float32(np.nan)
    return tuple(xp.where(known, xp.asarray(part, dtype=np.float32), nan) for part in (value, np.sqrt(variance)))


def alpha_grid(limits: tuple[float, float], count: int = PLANES) -> np.ndarray:
    """(count,) disparities, falling: even steps of alpha in 1 / alpha - 1, moved so that the least is alpha = 2."""
    low, high = limits
    last = ALPHA[1]
    moved = low - (1 / last - 1)
    return 1 / np.linspace(1 / (1 + high - moved), last, count) - 1 + moved


def cues(views: Views, limits: tuple[float, float], count: int = PLANES) -> Cues:
    """Both cues and their confidences; planes are made one after another, and none is kept."""
    disparities = alpha_grid(limits, count)
    xp = array_module(views.grey)
    colours, defocus, correspondence = _colours(views.colours), Peaks(), Peaks()
    for response, deviation in in_order(lambda disparity: responses(colours, views.places, disparity), disparities,
                                        worker_count(None)):
        defocus.add(response)
        correspondence.add(-deviation)
    ratios = xp.stack([defocus.ratio(), correspondence.ratio()])
    finite = xp.where(xp.isfinite(ratios), ratios, np.float32(0))
    largest = xp.maximum(finite.max(), np.float32(1e-9))
    sure = finite / largest
    powers = xp.asarray(POWERS, dtype=np.float32)[:, None, None]
    return Cues(disparities, defocus.best_place, correspondence.best_place, sure**powers)


def _colours(views):
    """(C, K, H, W) float32: the square root of (K, H, W, C) views, over its mean."""
    xp = array_module(views)
    roots = xp.sqrt(xp.maximum(xp.ascontiguousarray(xp.moveaxis(views, 3, 0)), np.float32(0)))
    mean = float(xp.nanmean(roots))
    roots /= np.float32(mean if mean > 0 else 1)
    return roots


def responses(colours, places, disparity: float):
    """(defocus, correspondence), (H, W) float32 >= 0, of (C, K, H, W) views at one disparity."""
    xp, squares = array_module(colours), [np.float32(0), np.float32(0)]
    for channel in colours:
        mean, deviation = sheared(channel, places, disparity)
        squares = [squares[0] + slopes(mean)[0] ** 2, squares[1] + deviation**2]
    part = np.float32(1 / len(colours))
    planes = (xp.nan_to_num(xp.sqrt(total * part)) for total in squares)
    return tuple(imaging.box_mean(plane, WINDOW) for plane in planes)


class Peaks:
    """The highest and the next local peak of a curve per pixel that arrives plane by plane; its ends count as peaks."""

    def __init__(self):
        self._count = 0

    def add(self, plane):
        """The next plane, (H, W) float32."""
        xp = array_module(plane)
        if self._count == 0:
            nothing = xp.full(plane.shape, -np.inf, dtype=np.float32)
            self._before, self._here = nothing, plane
            self.best, self._next = nothing, nothing
            self._most, self._least = plane, (plane, xp.full(plane.shape, np.inf, dtype=np.float32))
            self.best_place = xp.zeros(plane.shape, dtype=np.int16)
        else:
            self._close(plane)
        self._extremes(plane)
        self._count += 1

    def ratio(self):
        """(H, W) float32 >= 1: best peak over the next of positive curves, next dip over least of negated ones."""
        xp = array_module(self._here)
        self._close(xp.full(self._here.shape, -np.inf, dtype=np.float32))
        first, second = xp.abs(self.best), xp.abs(self._next)
        lone = ~xp.isfinite(self._next)
        least = [xp.abs(part) for part in self._least]
        first, second = (xp.where(lone, part, whole) for part, whole in zip(least, (first, second), strict=True))
        floor = np.float32(FLOOR)
        return (xp.maximum(first, second) + floor) / (xp.minimum(first, second) + floor)

    def _close(self, plane):
        """The plane before `plane` has both neighbours now."""
        xp = array_module(plane)
        peak = (self._here > self._before) & (self._here >= plane)
        better = peak & (self._here > self.best)
        beside = peak & ~better & (self._here > self._next)
        self._next = xp.where(better, self.best, xp.where(beside, self._here, self._next))
        self.best_place = xp.where(better, np.int16(self._count - 1), self.best_place)
        self.best = xp.where(better, self._here, self.best)
        self._before, self._here = self._here, plane

    def _extremes(self, plane):
        """The two least responses in size so far."""
        if self._count == 0:
            return
        xp = array_module(plane)
        low, second = self._least
        smaller = xp.abs(plane) < xp.abs(low)
        second = xp.where(smaller, low, xp.where(xp.abs(plane) < xp.abs(second), plane, second))
        self._least = xp.where(smaller, plane, low), second
