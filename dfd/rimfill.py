"""Depth for the pixels of a focal stack that a solver left unknown: sharpness of single pixels, shared along the picture.

Around a depth edge a window holds two depths and a solver stays silent.  Here every pixel votes by itself, and votes are
shared with neighbours that look alike in an all-in-focus picture:

1. energy of the modified Laplacian (Nayar and Nakagawa 1994) of each frame; a pixel's votes are its energies over its
   largest one and what noise brings, so that a strong edge does not outvote the faint texture beside it;
2. each frame's votes are filtered with the picture as guide (He, Sun and Tang 2013; cost volumes so: Hosni et al. 2013);
3. the frame with most votes, and a parabola through their logarithms.

Where no frame gathers votes a pixel stays unknown: the nearest known depth may serve.  Frames pass one at a time, twice.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.imaging import box_mean, modified_laplacian

_REACH, _TOLERANCE = 17, 0.01
"""Window of the guided filter [px], and variance of the logarithm of light within which pixels look alike."""

_DARK = 0.02
"""Share of the mean light that is added before the logarithm: noise in the dark is no edge."""

_NOISE = 4.0
"""Votes count from so many times the energy that noise alone brings."""

_NOISE_ENERGY = 12 + 24 / math.pi * (math.sqrt(5) / 3 + math.asin(2 / 3) * 2 / 3)
"""Mean square of the modified Laplacian of white noise of variance 1, whose two terms have variance 6 each and correlate by
2/3, the pixel in the middle being in both."""

_FEWEST = 0.05
"""Least filtered vote, of 1, that makes a depth: textureless pixels stay below."""

_BAND, _HALO = 4_000_000, 40
"""Pixels that are looked at together, which bounds memory, and rows around them: two windows and a Laplacian."""

_TINY = 1e-12


def fill_from_votes(values, capture):
    """`values` (H, W) float32 of a FocalStack on the host, NaN replaced where votes tell a depth; known pixels bit for bit.

    capture   its FocalStack: images (K, H, W), coordinates in the unit of `values`.  A map without any known pixel is
              returned as it is.  What is filled has no sigma: around depth edges a few px may still take the wrong side.
              What stays NaN is for `refine.fill`, after the known depths have got their final values
    """
    unknown = np.isnan(values)
    if not unknown.any() or unknown.all():
        return values
    order = np.argsort(capture.coordinates)
    sweep = np.asarray(capture.coordinates, float)[order]
    dark = _DARK * _mean_light(capture.images) + _TINY
    found, (height, width) = values.copy(), values.shape
    rows = max(_BAND // width, _HALO)
    for top in range(0, height, rows):
        stop = min(top + rows, height)
        if not unknown[top:stop].any():
            continue
        start, end = max(top - _HALO, 0), min(stop + _HALO, height)
        place, vote = _votes(capture.images[:, start:end], capture.views, order, dark)
        inner = slice(top - start, stop - start)
        depth = np.interp(place[inner], np.arange(len(sweep)), sweep).astype(np.float32)
        found[top:stop] = np.where(unknown[top:stop] & (vote[inner] >= _FEWEST), depth, values[top:stop])
    return found


def _mean_light(images):
    """Mean of what is known of (K, H, W) images, 0 where nothing is: a frame may hold no data."""
    total = count = 0
    for image in images:
        known = np.isfinite(image)
        total, count = total + image.sum(where=known, dtype=float), count + np.count_nonzero(known)
    return float(total / max(count, 1))


def _votes(images, views, order, dark):
    """(place in `order` with fractions, filtered vote of it), (h, w) float32 each, of rows of the stack."""
    guide, floor, largest = _sharpest(images, views, order, dark)
    return _most_votes(images, order, guide, floor, largest)


def _energy(image):
    """(H, W) squared modified Laplacian, 0 where it is not known."""
    return np.nan_to_num(modified_laplacian(image)) ** 2


def _sharpest(images, views, order, dark):
    """(guide, floor, largest), (H, W) each: logarithm of the light of the frame that is sharpest at every pixel, energy that
    noise brings there, and the largest energy."""
    best = largest = guide = floor = None
    for number in order:
        image, noise = images[number], views[number].noise
        energy = _energy(image)
        around = box_mean(energy, 3)
        if best is None:
            best, largest, guide = around - 1, energy.copy(), np.zeros_like(image)
            floor = np.zeros_like(image)
        better = (around > best) & np.isfinite(image)
        best[better], guide[better] = around[better], image[better]
        floor[better] = _NOISE_ENERGY * noise.variance(np.maximum(image[better], 0))
        np.maximum(largest, energy, out=largest)
    return np.log(np.maximum(guide, 0) + np.float32(dark)), _NOISE * floor, largest


def _most_votes(images, order, guide, floor, largest):
    """(place in `order` with fractions, filtered vote of it), (H, W) float32 each."""
    share = _guided(guide)
    scale = 1 / (largest + floor + np.float32(_TINY))
    shape = guide.shape
    best, place = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int32)
    before, after, last = (np.zeros(shape, np.float32) for _ in range(3))
    for rank, number in enumerate(order):
        votes = share(_energy(images[number]) * scale)
        follows = (place == rank - 1) & (rank > 0)
        after[follows] = votes[follows]
        better = votes > best
        before[better], best[better], place[better], after[better] = last[better], votes[better], rank, 0
        last = votes
    inner = (place > 0) & (place < len(order) - 1)
    low, middle, high = (np.log(np.maximum(item, _TINY)) for item in (before, best, after))
    bend = low - 2 * middle + high
    shift = np.where(inner & (bend < 0), (low - high) / (2 * np.minimum(bend, -_TINY)), 0)
    return place + np.clip(shift, -0.5, 0.5).astype(np.float32), best


def _guided(guide):
    """The guided filter of one picture as a function of what is filtered."""
    mean = box_mean(guide, _REACH)
    spread = box_mean(guide * guide, _REACH) - mean * mean + np.float32(_TOLERANCE)

    def share(votes):
        level = box_mean(votes, _REACH)
        slope = (box_mean(guide * votes, _REACH) - mean * level) / spread
        return box_mean(slope, _REACH) * guide + box_mean(level - slope * mean, _REACH)

    return share
