"""What alignment keeps of an image: a pyramid of band-passed planes of unit local power, and pairs of them compared.

A symmetric PSF changes amplitudes, not positions, so amplitudes are taken out first.  What is compared counts by the local
correlation of the two: what is sharp, or equally blurred, in both carries weight; what is blurred away, of reversed
contrast or moved does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd.imaging import reduce
from dfd.prepare.motions import at_level

TILES = 16
"""Tiles per side that sums are taken over."""

LEAST_QUALITY = 0.15
"""Correlation with the neighbour below which a frame counts as not aligned; unrelated textures reach 0.02."""

_CHANCE = 4 * math.sqrt(15)
"""Four sigma of the agreement of unrelated planes, times the root of their pixels: about 15 of them are alike."""

_FRAME_PIXELS, _TOTAL_PIXELS = 0.6e6, 20e6
"""Most pixels of the finest plane of one frame, and of all frames of a stack together."""

_MIN_SIDE = 14
_BANDS = (0.8, 2.0)
_WINDOW = 15
_NOTHING = 1e-3
_LEAST_RMS = 0.06
_SPLINE = math.sqrt(3) * np.float32((math.sqrt(3) - 2.0) ** np.abs(np.arange(-9, 10)))
"""Inverse of (1, 4, 1) / 6: what turns samples into coefficients of cubic B-splines (Unser, Aldroubi and Eden 1993)."""
_RIM = np.ones((7, 7), np.uint8)
"""Reach of the gradients and of the cubic kernel: pixels so near to missing ones carry no support."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Normalised band-pass planes of one image.

    splines    per level (H + 6, W + 6) float32 cubic B-spline coefficients of a plane of unit local power, 0 = no data
    supports   per level (H + 6, W + 6) uint8, share of real signal [1/100], 0 = none or no data
    factors    per level, by how much it is reduced;   shape   (H, W) of the full image
    """

    splines: tuple[np.ndarray, ...]
    supports: tuple[np.ndarray, ...]
    factors: tuple[int, ...]
    shape: tuple[int, int]

    def size(self, level: int) -> tuple[int, int]:
        """(H, W) of a level."""
        from dfd.kernels.registration import PAD

        height, width = self.splines[level].shape
        return height - 2 * PAD, width - 2 * PAD

    def pixels(self, level: int) -> int:
        """Pixels of a level."""
        return math.prod(self.size(level))


def pyramid(image: np.ndarray, *, frames: int) -> Pyramid:
    """The pyramid of one (H, W) image of a stack of so many frames: all that `align` needs of it; NaN = no data.

    From at most 0.6 Mpx, fewer in a stack of more than 33 frames, down to sides of 14 to 28 px: 7 bytes per pixel.
    """
    from dfd.kernels.registration import PAD

    pixels = min(_FRAME_PIXELS, _TOTAL_PIXELS / frames)
    factor = math.ceil(math.sqrt(max(image.size / pixels, 1)))
    plane, known = _reduced(*_filled(image), factor)
    splines, supports, factors = [], [], []
    while True:
        band, support = _normalised(plane, known)
        splines.append(np.pad(band, PAD, mode="edge"))
        supports.append(np.pad(support, PAD))
        factors.append(factor)
        if min(plane.shape) < 2 * _MIN_SIDE:
            return Pyramid(tuple(splines), tuple(supports), tuple(factors), tuple(image.shape))
        (plane, known), factor = _reduced(plane, known, 2), 2 * factor


def seen(pyramid: Pyramid, matrix, levels) -> dict[int, tuple[np.ndarray, ...]]:
    """(plane, right, down, support) of these levels through `matrix`, grid px -> image px."""
    from dfd.kernels.registration import look

    return {level: look(pyramid.splines[level], pyramid.supports[level], at_level(matrix, pyramid.factors[level]),
                        pyramid.size(level)) for level in levels}


def compared(one, other) -> np.ndarray:
    """(16, 16, 10) tile sums of two planes as they lie, see `dfd.kernels.registration`."""
    import cv2

    from dfd.kernels.registration import tile_sums

    local = cv2.boxFilter(one[0] * other[0], -1, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    return tile_sums(one, other, local, tiles=TILES)


def agreement(sums: np.ndarray, size: int) -> float:
    """Correlation of two planes where both have signal; 0 with signal in common on less than 2 % of `size` pixels."""
    crossed, first, second = sums[..., 7:].sum(axis=(0, 1))
    if min(first, second) < 0.02 * size:
        return 0.0
    return float(crossed / math.sqrt(first * second))


def recognised(one, other, levels) -> bool:
    """Do two images, (plane, right, down, support) per level, show one scene?  Some level agrees beyond chance, 4 sigma."""
    sizes = {level: one[level][0].size for level in levels}
    return any(agreement(compared(one[level], other[level]), size) > max(LEAST_QUALITY, _CHANCE / math.sqrt(size))
               for level, size in sizes.items())


def _filled(image):
    """(image with 0 for what is not finite, what is known as 0 or 1; None for all)."""
    known = np.isfinite(image)
    if known.all():
        return image, None
    return np.where(known, image, np.float32(0)), known.astype(np.float32)


def _reduced(plane, known, factor):
    """Both by a whole factor; a pixel is known when half of its own pixels are, and is their mean."""
    plane = reduce(plane, factor)
    if known is None:
        return plane, None
    share = reduce(known, factor)
    return np.where(share > 0, plane / np.maximum(share, np.float32(1e-6)), np.float32(0)), np.float32(share >= 0.5)


def _normalised(plane, known):
    """(band of unit local power, its support): amplitudes divided by their local rms plus a tenth of the global one."""
    import cv2

    def gauss(image, sigma):
        return cv2.GaussianBlur(image, (2 * math.ceil(4 * sigma) + 1,) * 2, sigma, borderType=cv2.BORDER_REFLECT)

    def box(image):
        return cv2.boxFilter(image, -1, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)

    inner = np.ones(plane.shape, np.uint8) if known is None else known.astype(np.uint8)
    if known is not None:
        near = gauss(known, _BANDS[1])
        around = gauss(plane * known, _BANDS[1]) / np.maximum(near, np.float32(1e-3))
        plane = np.where(inner, plane, np.where(near > 1e-3, around, np.float32(0)))
    inner = cv2.erode(inner, _RIM, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    band = (gauss(plane, _BANDS[0]) - gauss(plane, _BANDS[1])) * inner
    power, count = box(band * band), max(int(np.count_nonzero(inner)), 1)
    rounding = 1e-5 * float(np.abs(plane).sum()) / count
    floor = np.float32(0.01 * float((power * inner).sum()) / count + rounding**2)
    if floor <= 0:
        return np.zeros_like(band), np.zeros(band.shape, np.uint8)
    band = band / np.sqrt(power + floor)
    rms = np.sqrt(box(band * band) + np.float32(_NOTHING))
    support = np.where(rms > _LEAST_RMS, np.minimum(100 * rms + np.float32(0.5), 255), 0).astype(np.uint8) * inner
    return cv2.sepFilter2D(band / rms, -1, _SPLINE, _SPLINE, borderType=cv2.BORDER_REFLECT_101), support
