"""Depth from focus: at which place of the sweep is each pixel sharpest, refined between the frames.

1. Sharpness: modified Laplacian (|second difference in x| + |in y|) at three scales, summed over a window (Nayar and
   Nakagawa, "Shape from focus", 1994, eq. 6), the expected response to sensor noise taken out.
2. The scales vote for the best frame, so that noise at the fine and ghosts at the coarse scale are outvoted.
3. Per scale a Gaussian through the best frame and its two neighbours, at their real, possibly uneven coordinates
   (ibid. eq. 12, general spacing), then `unlock`: focus curves are more peaked than a Gaussian, which pulls the peak
   towards the frames by an amount that depends only on the width of the curve in frames.
4. The scales are joined by their predicted variance, and a plane is fitted to the joined values in a small window
   (robust, weighted): its scatter, with the noise, is the sigma.

5. Ghosts go: around a strong edge its own blur draws faint outlines, sharp at frames far from the edge's.  What is faint
   against the sharpness around it and lies at another depth is not a surface.

Unknown (NaN): no texture above the noise, the sharpest frame at an end of the sweep, no maximum, a ghost, or a sigma
above one frame spacing.  Coordinates are dioptres, metres on a rail or frame numbers: the solver does not care.
"""

from __future__ import annotations

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import FocalStack
from dfd.depthmap import DepthMap
from dfd.refine import fit_plane
from dfd.solvers.peaks import PULLS, WIDTHS, gaussian_peak, pull, unlock, unlock_table
from dfd.solvers.sharpness import SCALES, band_bytes, band_rows, sharpness_curves, sharpness_in_bands

REACH = 57
"""Pixels around a pixel that its value may depend on, the halo for tiles: 17 for the coarsest sharpness, 20 for the median
and the two plane fits, 20 for the ghost window."""

_LEAST_CONTRAST = 6.0
"""A peak must rise above the least sharp frame by this many standard deviations of the noise."""

_GHOST_WINDOW, _GHOST_SHARE, _GHOST_STEPS = 41, 0.3, 1.0
"""A ghost is fainter than this share of the rms sharpness in this window [px], and this many frames from its depth."""

_PLANE_STD = 3.0
"""Std [px] of the Gaussian window of the plane fit."""

_FLOOR = 0.9
"""Share of the least sharpness that counts as a floor under the focus curve."""

_TEXTURE, _LOCKING = 0.03, 0.35
"""Predicted std of a peak: share of the curve's width (random texture), and of its pull to the frames left uncorrected."""

_COARSE = 2.5
"""Doubt about the correction of that pull, common to a whole window: this times the square of the pull [spacings]."""

_CORRELATED, _GROWTH, _AVERAGED = 9.3, 2.5, 0.87
"""Window [px] of the sharpness at which the plane's scatter is the error of the plane, and the power of the window with
which it grows: errors of neighbours are alike within a window, so as windows grow the scatter shows less of them and the
mean averages less; and the least share of the scatter that is left however small the window."""

_UNSEEN = 0.2
"""Share of the predicted std that no scatter can show (a pull common to the whole window).  The constants of sigma were set
by eye on rendered slants, planes and spheres and on one noise-free stack, in part those of benchmarks/: they are a
calibration, and the coverage there is how well it fits, not an independent test."""

_EPSILON = 1e-12

LEAST_IMAGES = 3

_PEAKS, _PLANES = 20, 95
"""Bytes per pixel of what the curves give, and of that with the planes, sigma and ghosts that follow from it."""

_BAND_SHARE = 0.5
"""Bytes of a band of curves over those of the images and the planes; so smaller tiles have smaller bands."""


def solve_focus_measure(capture: FocalStack, *, limits=None) -> DepthMap:
    """Depth of a focal stack, in the unit of its sweep, from the sharpest frame of every pixel.

    capture    FocalStack of at least 3 images, frames in any order
    limits     looked for everywhere in the sweep all the same, see `solvers.Solver`
    Raises ValueError for fewer than 3 images.
    """
    check(capture, limits)
    xp = array_module(capture.images)
    order = sorted(range(len(capture)), key=lambda index: capture.views[index].coordinate)
    coordinates = np.array([capture.views[index].coordinate for index in order])
    spacing = float(np.median(np.diff(coordinates)))
    places = (coordinates - coordinates.mean()) / spacing
    joined, predicted, doubt, window, strength = _find_peaks(capture, order, places)
    value, scatter = fit_plane(joined, predicted, std=_PLANE_STD)
    seen = scatter * xp.maximum((window / _CORRELATED) ** _GROWTH, _AVERAGED)
    sigma = xp.sqrt(seen**2 + (_UNSEEN * predicted) ** 2 + doubt**2)
    known = xp.isfinite(value) & xp.isfinite(joined) & (sigma < 1) & (value >= places[0]) & (value <= places[-1])
    known &= ~_ghosts(xp.where(known, value, np.nan), strength)
    value = coordinates.mean() + spacing * value
    nan = xp.float32(np.nan)
    return DepthMap(
        xp.where(known, value, nan).astype(np.float32),
        xp.where(known, spacing * sigma, nan).astype(np.float32),
        capture.scale, "focus-measure",
    )


def check(capture: FocalStack, limits) -> None:
    """Raises ValueError for fewer images than a peak needs."""
    if len(capture) < LEAST_IMAGES:
        raise ValueError(f"focus-measure needs at least {LEAST_IMAGES} images of a sweep, this stack has {len(capture)}; "
                         "take more frames between or beyond them; two views of a dual-pixel sensor want --kind dual-pixel, "
                         "or _L and _R in their names")


def reach(capture: FocalStack, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return REACH


def bytes_needed(capture: FocalStack, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    frames = len(capture)
    pixels, rows = shape[0] * shape[1], band_rows(frames, shape, _band_room(frames, shape))
    return 4 * frames * pixels + max(_PLANES * pixels, _PEAKS * pixels + band_bytes(frames, shape, rows))


def nanoseconds(capture: FocalStack, limits) -> float:
    """Core nanoseconds per pixel."""
    return 40.0 * len(capture) + 800.0


def _band_room(frames, shape):
    return _BAND_SHARE * (4 * frames + _PLANES) * shape[0] * shape[1]


def _find_peaks(capture, order, places):
    """What each pixel's own curves say, (H, W) float32 each: by fused loops on the CPU, by arrays on a GPU.

    Returns (place, its predicted std, its doubt, mean window [px], strength of the middle scale); place NaN where there is
    no peak inside the sweep that stands out of the noise.
    """
    if array_module(capture.images) is not np:
        return find_peaks_arrays([sharpness_curves(capture, order, scale) for scale in SCALES], places)
    found = np.empty((5, *capture.shape), np.float32)
    room = _band_room(len(order), capture.shape)
    for rows, volumes, deviations in sharpness_in_bands(capture, order, room=room):
        found[:, rows] = find_peaks_fused(list(zip(volumes, deviations, strict=True)), places)
        del volumes, deviations  # before the next band is measured
    return found


def find_peaks_fused(volumes, places):
    """What `_find_peaks` returns, from the (volume, deviation) of each of SCALES, by the fused loop of the CPU."""
    from dfd.kernels.peaks import find_peaks

    constants, windows = (_FLOOR, _TEXTURE, _LOCKING, _LEAST_CONTRAST, _COARSE), [window for _, _, window in SCALES]
    return find_peaks(*zip(*volumes, strict=True), places, windows, (WIDTHS, PULLS), unlock_table(), constants)


def find_peaks_arrays(volumes, places):
    """The same in whole-array operations, for NumPy and CuPy: the reference of the fused loop."""
    xp = array_module(volumes[0][1])
    best = _vote([volume for volume, _ in volumes])
    joined, predicted, doubt, window, contrast = _join(volumes, best, places)
    joined = xp.where((contrast > _LEAST_CONTRAST) & _peaks_inside(volumes[-1][0]), joined, np.nan)
    middle = volumes[1][0]
    strength = _take(middle, best) - _least(middle)
    return [part.astype(np.float32) for part in (joined, predicted, doubt, window, strength)]


def _vote(volumes):
    """(H, W) index of the frame that is sharpest for all scales together: each curve from 0, of mean 1."""
    xp = array_module(volumes[0])
    total = 0.0
    for volume in volumes:
        rise = volume - _least(volume)
        known = xp.isfinite(rise)
        mean = xp.sum(xp.where(known, rise, 0), axis=0) / xp.maximum(xp.sum(known, axis=0), 1)
        total = total + xp.where(known, rise / (mean + _EPSILON), 0)
    return xp.argmax(total, axis=0)


def _least(volume):
    """(H, W) least sharpness of the frames that have data; NaN where none has."""
    xp = array_module(volume)
    least = xp.min(xp.where(xp.isnan(volume), xp.float32(np.inf), volume), axis=0)
    return xp.where(xp.isinf(least), xp.float32(np.nan), least)


def _peaks_inside(volume):
    """(H, W) bool: the sharpest frame is not at an end of the sweep, nor next to a frame without data."""
    xp = array_module(volume)
    top = xp.argmax(xp.nan_to_num(volume, nan=-1.0), axis=0)
    inner = xp.clip(top, 1, len(volume) - 2)
    return (top == inner) & xp.isfinite(_take(volume, inner - 1) + _take(volume, inner + 1))


def _join(volumes, best, places):
    """Peaks of all scales near frame `best`, joined by predicted variance.

    Returns (place, its std, mean doubt, mean window [px], contrast), (H, W) each.
    """
    xp = array_module(best)
    weighted = weights = windows = doubts = 0.0
    contrast = xp.zeros(best.shape, dtype=np.float32)
    for (volume, deviation), (_, _, window) in zip(volumes, SCALES, strict=True):
        place, std, doubt, rise = _scale_peak(volume, deviation, best, places)
        weight = xp.where(xp.isfinite(place), 1 / xp.maximum(std, 1e-3) ** 4, 0)
        weighted = weighted + weight * xp.where(weight > 0, place, 0)
        weights = weights + weight
        windows = windows + weight * window
        doubts = doubts + weight * xp.where(weight > 0, doubt, 0)
        contrast = xp.maximum(contrast, xp.where(weight > 0, rise, 0))
    total = xp.maximum(weights, _EPSILON)
    joined = xp.where(weights > 0, weighted / total, np.nan)
    return joined, total**-0.25, doubts / total, windows / total, contrast


def _scale_peak(volume, deviation, best, places):
    """Peak of one scale near frame `best`: place, predicted std and doubt [spacings], and contrast [noise deviations]."""
    xp = array_module(volume)
    last = len(volume) - 1
    nearby = xp.stack([_take(volume, xp.clip(best + shift, 0, last)) for shift in (-1, 0, 1)])
    top = xp.clip(best + xp.argmax(xp.where(xp.isnan(nearby), -1, nearby), axis=0) - 1, 0, last)
    inner = xp.clip(top, 1, last - 1)
    samples = [_take(volume, inner + shift) for shift in (-1, 0, 1)]
    at = xp.asarray(places)
    low, middle, high = (at[inner + shift] for shift in (-1, 0, 1))
    least = _least(volume)
    base = xp.minimum(_FLOOR * least, _FLOOR * xp.minimum(samples[0], samples[2]))
    rises = [xp.maximum(sample - base, _EPSILON) for sample in samples]
    place, width = gaussian_peak(*rises, (low, middle, high))
    offset = place - middle
    gap = xp.where(offset > 0, high - middle, middle - low)
    mean_gap = (high - low) / 2
    place = middle + gap * unlock(offset / gap, width / mean_gap)
    with np.errstate(invalid="ignore", over="ignore"):  # curves without a peak carry NaN and 0 through
        noise = _noise_std(place, rises, deviation, (low, middle, high), width)
        strength = pull(width / mean_gap)
        std = xp.sqrt((_TEXTURE * width) ** 2 + (_LOCKING * strength * gap) ** 2 + noise**2)
    place = xp.where((top == inner) & xp.isfinite(std), place, np.nan)
    return place, std, _COARSE * strength**2 * gap, (samples[1] - least) / (deviation + _EPSILON)


def _ghosts(value, strength):
    """(H, W) bool: faint and at another depth than the sharp edges around it; places in frames."""
    xp = array_module(value)
    weight = xp.where(xp.isfinite(value) & xp.isfinite(strength), strength, 0) ** 2
    power = imaging.box_mean(weight, _GHOST_WINDOW)
    around = imaging.box_mean(weight * xp.nan_to_num(value), _GHOST_WINDOW) / xp.maximum(power, _EPSILON)
    return (strength < _GHOST_SHARE * xp.sqrt(xp.maximum(power, 0))) & (xp.abs(value - around) > _GHOST_STEPS)


def _noise_std(place, rises, deviation, places, width):
    """Std of the peak when each sample of the curve errs by `deviation`: the derivative of the Gaussian peak."""
    xp = array_module(place)
    low, middle, high = places
    total = 0.0
    others = (low, middle, high), (middle, low, high), (high, low, middle)
    for rise, (here, other, opposite) in zip(rises, others, strict=True):
        # d place / d ln F of one sample: width^2 (2 place - other - opposite) / ((here - other) (here - opposite))
        slope = width**2 * (2 * place - other - opposite) / ((here - other) * (here - opposite))
        total = total + (slope * deviation / rise) ** 2
    return xp.sqrt(total)


def _take(volume, index):
    return array_module(volume).take_along_axis(volume, index[None], axis=0)[0]
