"""The all-in-focus image: every pixel from the frame that the depth map says is sharpest there, seams smoothed."""

from __future__ import annotations

import numpy as np

from dfd import imaging
from dfd.refine import fill

_SEAM = 0.25
"""Width of the transition between two frames [frames]: sharp within a frame's own depth, no visible step between."""

_SMOOTHING = 2.0
"""Std [px] of the smoothing of the depth map that chooses the frames: noise in depth must not become noise in colour."""


_BLOCK = 4
"""Side [px] of the blocks from which unknown depth is filled."""

_REACH, _CLEARLY = 4.0, 1.05
"""Std [px of the small images] over which the sharpness around a pixel is looked at; the frame that is sharper there by this
factor is taken instead of the one that depth names: beside an edge, and on what has no texture, depth does not know it."""


def sharpness_around(images) -> np.ndarray:
    """(K, h, w) float16: how sharp each of K small registered images is around each of its pixels, in any unit.

    images   K (h, w) float32 linear, registered and equally bright, NaN = saturated or no data
    """
    stack = np.zeros((len(images), *images[0].shape), np.float16)
    for energy, image in zip(stack, images, strict=True):
        known = np.isfinite(image)
        detail = imaging.modified_laplacian(np.where(known, image, np.float32(0)))
        beside = imaging.box_mean(known.astype(np.float32), 3) > 1 - 1e-6
        energy[:] = 100 * np.sqrt(imaging.gaussian(np.where(beside, detail, np.float32(0)) ** 2, _REACH))
    return stack


class AllInFocus:
    """Fusion of pictures that come one at a time, so that memory does not grow with their number; NumPy only.

    Only the pixels that come from a picture are resampled, from the picture as it was decoded.
    values        (H, W) depth map in the unit of `coordinates`, NaN = unknown (taken from the nearest known pixel)
    coordinates   place of each frame on the sweep, in the order in which `add` numbers them; any order
    matrices      (K, 3, 3) output px -> frame px, default identities;   size   (H, W) px of a frame, default the map's
    around        `sharpness_around` of the frames; where it clearly speaks for another frame, that one is taken
    """

    def __init__(self, values, coordinates, *, matrices=None, size=None, around=None):
        from dfd.kernels.fusion import choose

        self._order = np.argsort(coordinates)
        self._matrices = np.stack([np.eye(3)] * len(self._order) if matrices is None else list(matrices))
        sweep = np.asarray(coordinates, float)[self._order]
        rank = np.empty(values.shape, np.float32)
        for row, line in zip(rank, values, strict=True):
            row[:] = np.interp(line, sweep, np.arange(len(sweep), dtype=float))
        if around is not None:
            rank = _overruled(rank, around[self._order])
        known = bool(np.isfinite(rank).any())
        rank = imaging.gaussian(_filled(rank), _SMOOTHING) if known else \
            np.full(values.shape, (len(sweep) - 1) / 2, np.float32)
        self._chosen = choose(rank, self._matrices[self._order], tuple(size or values.shape), _SEAM)
        self._total = None

    def add(self, number: int, picture, *, gain: float = 1.0) -> None:
        """Blend in frame `number`: (h, w, C) float32 linear, of the size of a frame, times `gain`."""
        from dfd.kernels.fusion import add

        if self._total is None:
            self._total = np.zeros((*self._chosen[0].shape, picture.shape[2]), dtype=np.float32)
        place = int(np.flatnonzero(self._order == number)[0])
        add(place, picture, gain, self._matrices[number], self._chosen, self._total)

    def result(self):
        """(image, index): (H, W, C) float32, and the (H, W) int32 number of the frame each pixel came from, -1 = none."""
        first = self._chosen[0]
        return self._total, np.where(first < 0, np.int32(-1), self._order[first].astype(np.int32))


def _overruled(rank, around):
    """`rank` with the frame that is sharpest around a pixel where depth is unknown or that frame is clearly sharper."""
    rows, columns = (np.minimum(np.arange(length) * small // length, small - 1)
                     for length, small in zip(rank.shape, around.shape[1:], strict=True))
    best = np.argmax(around, axis=0)
    most = np.take_along_axis(around, best[None], axis=0)[0].astype(np.float32)
    result = np.empty_like(rank)
    for y, line in enumerate(rank):
        place = np.clip(np.rint(np.nan_to_num(line)), 0, len(around) - 1).astype(np.int64)
        here = around[place, rows[y], columns].astype(np.float32)
        sharpest = most[rows[y], columns]
        other = (sharpest > 0) & (np.isnan(line) | (sharpest > _CLEARLY * here))
        result[y] = np.where(other, best[rows[y], columns], line)
    return imaging.median5(_filled(result)) if np.isfinite(result).any() else result


def _filled(values):
    """`values` with every unknown pixel from the nearest known block around it: rough, but no seam depends on it."""
    unknown = np.isnan(values)
    if min(values.shape) < 2 * _BLOCK or not unknown.any():
        return fill(values)
    share = imaging.reduce((~unknown).astype(np.float32), _BLOCK)
    total = imaging.reduce(np.where(unknown, np.float32(0), values), _BLOCK)
    with np.errstate(invalid="ignore"):
        blocks = fill(np.where(share > 0, total / share, np.float32(np.nan)))
    rows, columns = (np.minimum(np.arange(length) // _BLOCK, count - 1)
                     for length, count in zip(values.shape, blocks.shape, strict=True))
    return np.where(unknown, blocks[rows[:, None], columns], values)
