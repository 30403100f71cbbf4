"""Disparity of a light field by sub-pixel shifts: costs of slopes, semi-global aggregation, least squares over all views.

1. Cost of every disparity, half a pixel apart in the outermost view: `kernels.lightcosts.costs`, the slope part of the cost
   of Jeon et al., CVPR 2015 (equation 5), least of all views and of eight halves of the pupil, so that what a nearer surface
   hides from some views is found by the others.  Brightness itself is left out: surfaces shine differently to every view,
   and a slow change of that is a slope of the cost which on faint texture outweighs depth.
2. `kernels.aggregation` joins the costs along eight paths; a parabola through the three least.
3. Least squares at that disparity (Lucas and Kanade 1981) with all views at once: per pixel a plane over u and v of what the
   views differ from the reference by, then its slope against the slope of the image in a small window, both less their means
   there, so that slow changes of brightness drop out.  What is hidden differs by too much and has no say.
4. `refine.smooth` joins neighbours of one surface.

Unlike the paper: ten taps instead of the Fourier phase (no wrap around the border), paths instead of graph cuts, least
squares instead of four refinements, and a sigma.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.kernels.aggregation import aggregate
from dfd.kernels.lightcosts import moments, slopes
from dfd.references.views import Views, sweep
from dfd.refine import smooth

_WINDOW = 3
"""Side [px] of the window that costs are averaged over."""

_SMALL, _LARGE, _EDGE = 0.02, 0.3, 10.0
"""Price of a change by one label, of any other, and how fast the second falls with the slope of the image [px]."""

_MOST_LABELS = 512

_MOST_BYTES = 8e9
"""Of the costs of all labels, and as many again of their sums along paths."""

_LEAST_SQUARES = 1.5
"""Std [px] of the window of least squares."""

_HIDDEN = 0.6
"""A view that differs by so much, in units of the slope that counts fully, shows something else."""

_PASSES, _RIDGE = 2, 0.002
"""Times that least squares are taken; added to the mean square of the slopes: less than this moves nothing."""

_SURPLUS, _NOISE = 3.0, 30
"""Slopes below so many mean squares of those that noise has tell nothing; noise is this percentile of what the views still
differ by (the square root of brightness makes it even): more is misfit, beside edges of depth."""

_RADIUS, _TOLERANCE = 5, 0.2
"""Px of the smoothing, and px of disparity that it does not cross."""

_CORRELATED = 2.5
"""Side [px] of the window that errors are alike in."""

_OWN, _MISFIT = 0.01, 0.2
"""sigma of a single pixel beside noise: px, and a share of the last step of least squares."""

_UNTOLD = 2.0
"""sigma [px] of a pixel that tells nothing itself: it lives on what neighbours of its surface tell, or is unknown."""

_JUMP, _ROUGH, _LEAST_SIGMA, _MOST_SIGMA = 0.35, 0.4, 0.004, 0.5
"""sigma over the spread of disparities around, and over what smoothing has taken away; its least value, and the largest of
what is called known [px].  Fitted to rendered views with ground truth; see docs/reference-depth.md for how they hold."""

_SPREAD = 2.0
"""Std [px] of the window of that spread."""


def find(views: Views, limits: tuple[float, float]):
    """(disparity, sigma) [px per view step], (H, W) float32, NaN = unknown; `limits` as wide as what is looked for.

    Raises ValueError for a range of more than 512 labels, or whose costs take more than 8 GB, before any is computed.
    """
    labels = _labels(views, limits)
    xp, shape = array_module(views.grey), views.grey.shape[1:]
    volume = xp.empty((*shape, len(labels)), dtype=np.float32)
    for index, (cost, _) in enumerate(sweep(views, labels, _WINDOW)):
        volume[:, :, index] = cost
    right, down, _ = slopes(views.grey[views.reference])
    known = xp.isfinite(right) & xp.isfinite(down)
    right, down = (xp.where(known, slope, np.float32(0)) for slope in (right, down))
    price = xp.maximum(np.float32(_LARGE) / (1 + np.float32(_EDGE) * xp.hypot(right, down)), np.float32(2 * _SMALL))
    disparity = _least(aggregate(volume, _SMALL, price), labels)
    del volume
    return _refined(views, disparity, (right, down), known)


def _labels(views, limits):
    """Disparities half a pixel apart in the outermost view, from end to end."""
    low, high = limits
    count = math.ceil((high - low) / views.step()) + 1
    if count > _MOST_LABELS:
        raise ValueError(f"disparities {low:g} to {high:g} px per view step are {count} labels of {views.step():.3g} px, "
                         f"the limit is {_MOST_LABELS}; narrow disparities=(least, largest), or reduce the views")
    height, width = views.grey.shape[1:]
    needed = 8.0 * height * width * count
    if needed > _MOST_BYTES:
        raise ValueError(f"disparities {low:g} to {high:g} px per view step of {width} x {height} px views take "
                         f"{needed / 1e9:.3g} GB, the limit is {_MOST_BYTES / 1e9:g} GB; narrow disparities=(least, "
                         "largest), or reduce the views")
    return low + np.arange(max(count, 3)) * views.step()


def _least(costs, labels):
    """(H, W) float32: the label of least cost and a parabola between labels."""
    xp = array_module(costs)
    best = xp.clip(costs.argmin(axis=2), 1, len(labels) - 2)[:, :, None]
    below, least, above = (xp.take_along_axis(costs, best + k, axis=2)[:, :, 0] for k in (-1, 0, 1))
    bend = xp.maximum(below + above - 2 * least, np.float32(1e-9))
    place = best[:, :, 0] + xp.clip((below - above) / (2 * bend), -0.5, 0.5)
    return (labels[0] + place * (labels[1] - labels[0])).astype(np.float32)


def _refined(views, disparity, image_slopes, known):
    """Steps 3 and 4 of the module's head, and sigma."""
    xp, nan = array_module(disparity), np.float32(np.nan)
    value = disparity
    for _ in range(_PASSES):
        step, information, residual = _step(views, value, image_slopes)
        value = (value + xp.clip(step, -views.step(), views.step())).astype(np.float32)
    noise = residual / xp.maximum(information, np.float32(1e-12)) / np.float32(4 * math.pi * _LEAST_SQUARES**2)
    own = xp.sqrt(noise + (np.float32(_MISFIT) * step) ** 2 + np.float32(_OWN**2))
    own = xp.where(information > 0, xp.minimum(own, np.float32(_UNTOLD)), np.float32(_UNTOLD)).astype(np.float32)
    joined, sigma = smooth(xp.where(known, value, nan), own, disparity, radius=_RADIUS, tolerance=_TOLERANCE,
                           correlation=_CORRELATED)
    spread = _spread(value)
    rough = imaging.gaussian(xp.where(known, value - joined, np.float32(0)) ** 2, _SPREAD)
    sigma = xp.sqrt(sigma**2 + np.float32(_JUMP**2) * spread + np.float32(_ROUGH**2) * rough + np.float32(_LEAST_SIGMA**2))
    known = known & (sigma < _MOST_SIGMA)
    return xp.where(known, joined, nan).astype(np.float32), xp.where(known, sigma, nan).astype(np.float32)


def _spread(value):
    """[px^2] variance of (H, W) float32 disparities around every pixel, about their mean."""
    xp = array_module(value)
    mean = value.mean()
    first, second = (imaging.gaussian(plane, _SPREAD) for plane in (value - mean, (value - mean) ** 2))
    return xp.maximum(second - first**2, np.float32(0))


def _step(views, disparity, image_slopes):
    """(step [px], information less the share of noise, variance of what is left), (H, W) float32: least squares there."""
    xp, window = array_module(disparity), lambda plane: imaging.gaussian(plane, _LEAST_SQUARES)
    group = xp.zeros(disparity.shape, dtype=np.uint8)
    count = np.float32((views.members[0] > 0).sum())
    planes = moments(views.grey, views.reference, views.places, disparity, group, views.members[:1] * count, _HIDDEN)
    slope_u, slope_v, weight_u, weight_v, left = _plane(planes)
    seen = xp.maximum(window((planes[0] > 0).astype(np.float32)), np.float32(1e-6))
    left = window(left) / seen
    even = np.float32(float(xp.percentile(left, _NOISE)))
    moment = information = noise = np.float32(0)
    for found, weight, slope in ((slope_u, weight_u, image_slopes[0]), (slope_v, weight_v, image_slopes[1])):
        among = window(weight)
        total = xp.maximum(among, np.float32(1e-6))
        mean = window(weight * slope)
        moment = moment + window(weight * slope * found) - mean * window(weight * found) / total
        information = information + window(weight * slope**2) - mean**2 / total
        noise = noise + among * even / 2  # central differences halve the variance of a pixel
    ridge = np.float32(_RIDGE) * count
    return moment / (information + ridge), xp.maximum(information - np.float32(_SURPLUS) * noise, 0), left


def _plane(planes):
    """(slope over u, over v, weight of each, variance left) of the plane over the pupil that `moments` are those of."""
    xp = array_module(planes)
    total = xp.maximum(planes[0], np.float32(1e-6))
    u, v, e = planes[1] / total, planes[2] / total, planes[6] / total
    uu, uv, vv = planes[3] / total - u * u, planes[4] / total - u * v, planes[5] / total - v * v
    ue, ve = planes[7] / total - u * e, planes[8] / total - v * e
    ridge = np.float32(0.01)
    uu, vv = uu + ridge, vv + ridge
    scale = 1 / (uu * vv - uv * uv)
    slope_u, slope_v = (vv * ue - uv * ve) * scale, (uu * ve - uv * ue) * scale
    left = xp.maximum(planes[9] / total - e * e - slope_u * ue - slope_v * ve, np.float32(0))
    return slope_u, slope_v, uu * planes[0], vv * planes[0], left
