"""How far the two views of a dual-pixel pair lie apart, along x and along y, tile by tile: do they differ along the axis
that they are said to differ along?

Per tile the peak of the cross-correlation to whole pixels, then two steps of least squares (Lucas and Kanade 1981).  Tiles
of small pictures overlap; pictures below 128 px to a side have too few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd.imaging import reduce

_SIDE, _LONGEST = 64, 1536
"""Side of a tile [px], and most pixels along the longer side of the reduced images that are looked at."""

_STEPS, _LEAST_ASKED = (64, 32, 16), 24
"""From tile to tile [px], the first by which so many are asked."""

_RANGE = 20  # px of the reduced images
_LEAST_ALIKE, _LEAST_CORNER, _LEAST_TILES = 0.5, 0.1, 12
"""Correlation of a tile with its other view, and ratio of its gradients in two directions, below which it does not tell
a motion; tiles that must tell one."""

_LEAST_PX, _CLEARLY, _TIGHT = 0.25, 2.0, 0.5
"""Shift [px of the reduced images] across the axis that is worth a word; how much more the views differ across than along
for the axis to be wrong; spread of a constant shift over that shift."""


@dataclass(frozen=True)
class ViewShift:
    """Shift of the left view against the right one [px of the images], median and spread (half of the 5 to 95 % range) over
    tiles, each as (along x, along y)."""

    shift: tuple[float, float]
    spread: tuple[float, float]
    tiles: int
    factor: int


def view_shift(left, right) -> ViewShift | None:
    """Measure two (H, W) float32 images, NaN = unknown; None where too few tiles have texture in both directions,
    or there are."""
    factor = max(1, -(-max(left.shape) // _LONGEST))
    one, other = (_flattened(reduce(np.asarray(image), factor)) for image in (left, right))
    shifts = _tile_shifts(one, other)
    if len(shifts) < _LEAST_TILES:
        return None
    low, middle, high = np.percentile(shifts, [5, 50, 95], axis=0) * factor
    return ViewShift(tuple(middle.tolist()), tuple(((high - low) / 2).tolist()), len(shifts), factor)


def shift_note(found: ViewShift | None, axis: str) -> str:
    """A sentence when the views differ across their axis; "" where they do not, or nobody can tell."""
    if found is None:
        return ""
    along, across = (0, 1) if axis == "x" else (1, 0)
    other, least = "xy"[across], _LEAST_PX * found.factor
    offset, spread = abs(found.shift[across]), found.spread[across]
    if offset > least and spread <= _TIGHT * offset:
        return (f"one view lies {offset:.2g} px off the other along {other}, everywhere alike (spread {spread:.2g} px): "
                f"register the views, or pass --axis {other} if that is how they differ (so does a flat "
                "scene that is out of focus)")
    size = [math.hypot(*pair) for pair in zip(found.shift, found.spread, strict=True)]
    if size[across] < max(_CLEARLY * size[along], least):
        return ""
    return (f"the views differ along {other} (by {size[across]:.2g} px) and hardly along {axis} ({size[along]:.2g} px): the "
            f"pictures were turned on their side; pass --axis {other}")


def _flattened(image):
    """An image without its large-scale brightness, unit contrast; 0 where it is unknown."""
    from dfd.imaging import gaussian

    known = np.isfinite(image)
    weight = gaussian(known.astype(np.float32), 8.0)
    mean = gaussian(np.where(known, image, np.float32(0)), 8.0) / np.maximum(weight, 1e-3)
    return np.where(known, gaussian(np.where(known, image / np.maximum(mean, 1e-6), np.float32(1)), 1.0) - 1, np.float32(0))


def _tile_shifts(one, other):
    """(n, 2) shifts (x, y) of the tiles that tell both."""
    for step in _STEPS:
        places = [(slice(top, top + _SIDE), slice(side, side + _SIDE)) for top in range(0, one.shape[0] - _SIDE + 1, step)
                  for side in range(0, one.shape[1] - _SIDE + 1, step)]
        if len(places) >= _LEAST_ASKED:
            break
    found = [_one_shift(one[place], other[place]) for place in places]
    return np.array([shift for shift in found if shift is not None]).reshape(-1, 2)


def _one_shift(one, other):
    """(x, y) px by which a tile of the left view lies right of and below that of the right view; None where it is unsure."""
    window = np.hanning(_SIDE)[:, None] * np.hanning(_SIDE)
    spectra = [np.fft.rfft2((tile - tile.mean()) * window) for tile in (one, other)]
    score = np.fft.irfft2(spectra[0] * np.conj(spectra[1]), s=one.shape)
    norm = np.sqrt(np.prod([np.sum(((tile - tile.mean()) * window) ** 2) for tile in (one, other)]))
    signed = np.fft.fftfreq(_SIDE, 1 / _SIDE).astype(int)
    near = (np.abs(signed)[:, None] <= _RANGE) & (np.abs(signed) <= _RANGE)
    peak = np.unravel_index(np.argmax(np.where(near, score, -np.inf)), score.shape)
    if not norm > 0 or score[peak] < _LEAST_ALIKE * norm:
        return None
    whole = int(signed[peak[0]]), int(signed[peak[1]])
    rest = np.zeros(2)
    for _ in range(3):
        moved = _moved(other, whole, rest)
        gy, gx = np.gradient(moved)
        inner = slice(_RANGE, -_RANGE)
        gx, gy, difference = (array[inner, inner] for array in (gx, gy, moved - one))
        normal = np.array([[np.sum(gx * gx), np.sum(gx * gy)], [np.sum(gx * gy), np.sum(gy * gy)]])
        least, most = np.linalg.eigvalsh(normal)
        if not least > _LEAST_CORNER * most:
            return None
        step = np.linalg.solve(normal, [np.sum(gx * difference), np.sum(gy * difference)])
        rest = rest + step[::-1]
        if np.abs(rest).max() > 1.5:
            return None
    return whole[1] + rest[1], whole[0] + rest[0]


def _moved(tile, whole, rest):
    """A tile moved by (y, x) px, whole ones and the rest."""
    from scipy.ndimage import shift

    return shift(tile, np.add(whole, rest), order=1, mode="nearest")
