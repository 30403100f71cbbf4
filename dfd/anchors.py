"""Known depths at a few places make an affine dual-pixel result metric: disparity is a straight line in inverse depth.

    inverse_depth = zero + disparity / rate        two or more places fix both numbers (Garg et al. 2019)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd.depthmap import DepthMap

LEAST_KNOWN = 2
"""Places that a straight line needs."""

_LEAST_PIXELS = 5
"""Known pixels around a place that its disparity is the median of."""

_APART = 3.0
"""Standard deviations by which the disparities of known depths must differ, and may miss the line."""


@dataclass(frozen=True)
class KnownDepth:
    """A place in the picture whose depth somebody measured.

    x, y     px, 0 at the centre of the first pixel
    depth    metres along the optical axis from the entrance pupil, > 0, infinity allowed
    radius   px around the place whose disparities count
    Raises ValueError for a number that cannot be.
    """

    x: float
    y: float
    depth: float
    radius: float = 8.0

    def __post_init__(self):
        if not self.depth > 0:
            raise ValueError(f"depth_m ({self.depth:g} m) of a known depth must be a positive number of metres")
        if not (self.radius >= 1 and math.isfinite(self.radius)):
            raise ValueError(f"radius_px ({self.radius:g} px) of a known depth must be at least 1 px")
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise ValueError(f"x_px and y_px ({self.x:g}, {self.y:g} px) of a known depth must be numbers")


def check_known(known) -> None:
    """Raises ValueError for too few KnownDepth to make an affine map metric; none at all are none too few."""
    if 0 < len(known) < LEAST_KNOWN:
        raise ValueError(f"{len(known)} known depth cannot fix rate and focus of a dual-pixel pair, {LEAST_KNOWN} are "
                         "needed; add [[known_depths]] with x_px, y_px and depth_m to capture.toml")


def anchored(result: DepthMap, known, *, reduction: int = 1) -> tuple[DepthMap, tuple[str, ...]]:
    """(the metric map, sentences for the user) of a map of disparities and two or more KnownDepth.

    result       scale "affine" [px], NumPy;   reduction   whole factor by which its pixels are larger than those of `known`
    The line is fitted by weighted least squares; what it does not know of itself is part of sigma.  A line that falls, or
    from which a place lies away, is told.
    Raises ValueError for fewer than two places, for one outside the picture or where nothing is known, for depths that are
    equal, or whose disparities are.
    """
    check_known(known)
    seen = np.array([_around(result, place, reduction) for place in known])
    inverse = np.array([1 / place.depth for place in known])
    design = np.stack([np.ones(len(known)), inverse], axis=1)
    weighted = design / seen[:, 1:]
    normal = weighted.T @ weighted
    if np.ptp(inverse) < 1e-9 or np.linalg.cond(normal) > 1e12:
        raise ValueError(f"all {len(known)} known depths are {known[0].depth:g} m; two different ones are needed for "
                         "rate and focus")
    covariance = np.linalg.inv(normal)
    offset, rate = covariance @ weighted.T @ (seen[:, 0] / seen[:, 1])
    if abs(rate) < _APART * math.sqrt(covariance[1, 1]):
        raise ValueError(f"the known depths do not differ in disparity ({rate:.3g} +- {math.sqrt(covariance[1, 1]):.2g} "
                         "px/dioptre); are x_px and y_px right? give depths farther apart")
    values = (result.values - offset) / rate
    spread = covariance[0, 0] + 2 * values * covariance[0, 1] + values**2 * covariance[1, 1]
    sigma = np.sqrt(result.sigma.astype(float) ** 2 + np.maximum(spread, 0)) / abs(rate)
    metric = DepthMap(values.astype(np.float32), sigma.astype(np.float32), "metric", result.method)
    away = seen[:, 0] - design @ (offset, rate)
    return metric, (*_falling(rate), *_misfits(known, away, seen[:, 1], rate))


def disagreements(result: DepthMap, known, *, reduction: int = 1) -> tuple[str, ...]:
    """Sentences about KnownDepth that a metric map (NumPy) misses by more than three of its sigma there, or where it
    cannot be compared."""
    told = []
    for place in known:
        try:
            value, sigma = _around(result, place, reduction, typical=True)
        except ValueError as error:  # the map needs no known depths
            told.append(str(error))
            continue
        if abs(value - 1 / place.depth) > _APART * sigma:
            says = f"{1 / value:.4g} m" if value > 0 else "it lies beyond infinity"
            told.append(f"known depth at ({place.x:g}, {place.y:g}) px is {place.depth:g} m, the map says {says}; check "
                        "kappa and focus_distance_m, or leave kappa out so that known depths are used")
    return tuple(told)


def _around(result, place, reduction, typical=False):
    """(value, 1-sigma) of the map around a place; typical: sigma of a pixel instead of that of the median."""
    height, width = result.shape
    x, y, radius = ((place.x + 0.5) / reduction - 0.5, (place.y + 0.5) / reduction - 0.5, max(place.radius / reduction, 1.5))
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise ValueError(f"known depth at ({place.x:g}, {place.y:g}) px lies outside the picture of {width * reduction} x "
                         f"{height * reduction} px; correct x_px and y_px in capture.toml")
    top, left = max(math.ceil(y - radius), 0), max(math.ceil(x - radius), 0)
    rows, columns = slice(top, math.floor(y + radius) + 1), slice(left, math.floor(x + radius) + 1)
    values, sigmas = result.values[rows, columns], result.sigma[rows, columns]
    down, across = np.ogrid[top:top + values.shape[0], left:left + values.shape[1]]
    inside = (np.hypot(down - y, across - x) <= radius) & np.isfinite(values) & np.isfinite(sigmas)
    if inside.sum() < _LEAST_PIXELS:
        raise ValueError(f"known depth at ({place.x:g}, {place.y:g}) px: nothing is known there ({int(inside.sum())} pixels "
                         f"within {place.radius:g} px, {_LEAST_PIXELS} are needed); choose a textured place, or a larger "
                         "radius_px")
    values, sigma = values[inside].astype(float), float(np.median(sigmas[inside]))
    middle = float(np.median(values))
    scatter = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle, max(math.hypot(sigma, scatter) if typical else max(sigma, scatter) / 2, 1e-6)


def _falling(rate):
    if rate > 0:
        return ()
    return ("the nearer of the known depths has the smaller disparity: the two views seem to be exchanged (the depth is "
            "right all the same); pass --swap",)


def _misfits(known, away, sigma, rate):
    if len(known) == LEAST_KNOWN:
        return ()
    return tuple(f"known depth at ({place.x:g}, {place.y:g}) px ({place.depth:g} m) lies {miss / rate:.2g} dioptre off the "
                 "line of all of them; check it"
                 for place, miss, one in zip(known, away, sigma, strict=True) if abs(miss) > _APART * one)
