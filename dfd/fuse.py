"""The all-in-focus image: every pixel from the frame that is sharpest there, seams where the frames look alike.

1. A frame for every cell of a small grid: sharp around the cell, where depth says so, and in agreement with its neighbours;
   beside a boundary frames show the same thing at different places (blur, parallax, leaves in the wind), and a seam is
   laid where the two frames that it joins differ least (`kernels.seams`).
2. Within the region of a frame, depth decides between it and its neighbours in the sweep, pixel by pixel.
3. At a seam two frames are joined over a few pixels, without the frames that lie between them in the sweep.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.refine import fill

_SEAM = 0.25
"""Width of the transition between two frames [frames]: sharp within a frame's own depth, no visible step between."""

_SMOOTHING = 2.0
"""Std [px] of the smoothing of the depth map that chooses the frames: noise in depth must not become noise in colour."""

_BLOCK = 4
"""Side [px] of the cells where frames are chosen by depth alone."""

_TRUSTED = 0.75
"""Depth is believed up to this far from the frame of its cell [labels]."""

_REACH = 3.0
"""Std [cells] over which the sharpness around a cell is looked at."""

_LABELS = 16
"""Most frames, or groups of neighbouring frames, that cells choose from: time grows with the square."""

_DEPTH, _DEPTH_REACH, _SATURATED, _OUTSIDE = 0.15, 1.5, 0.3, 2.0
"""Costs of a cell, where the sharpest frame costs 0 and one without any sharpness 1: less where depth names the frame or one
nearer than _DEPTH_REACH frames; where it is saturated, the share of the mean of the others; outside the frame."""

_CONTRAST, _STEP, _ROUNDS = 250.0, 0.1, 2
"""Cost of a seam per cell, for a difference of 1 in the root of light and for any; rounds of messages."""


def sharpness_around(images) -> np.ndarray:
    """(2, K, h, w) float16: how sharp each of K small registered images is around each of its pixels, in any unit; and the
    root of its light, cut to 0..1, NaN where it is.

    images   K (h, w) float32 linear, registered and equally bright, NaN = saturated or no data
    """
    stack = np.zeros((2, len(images), *images[0].shape), np.float16)
    for energy, light, image in zip(*stack, images, strict=True):
        known = np.isfinite(image)
        detail = imaging.modified_laplacian(np.where(known, image, np.float32(0)))
        beside = imaging.box_mean(known.astype(np.float32), 3) > 1 - 1e-6
        energy[:] = 100 * np.sqrt(imaging.gaussian(np.where(beside, detail, np.float32(0)) ** 2, _REACH))
        light[:] = np.sqrt(np.clip(image, 0, 1))
    return stack


class AllInFocus:
    """Fusion of pictures that come one at a time, so that memory does not grow with their number; NumPy only.

    Only the pixels that come from a picture are resampled, from the picture as it was decoded.
    values        (H, W) depth map in the unit of `coordinates`, NaN = unknown
    coordinates   place of each frame on the sweep, in the order in which `add` numbers them; any order
    matrices      (K, 3, 3) output px -> frame px, default identities;   size   (H, W) px of a frame, default the map's
    around        `sharpness_around` of the frames, of the map's size reduced by a whole factor; without it depth alone
                  chooses, and unknown depth is that of the nearest known block
    """

    def __init__(self, values, coordinates, *, matrices=None, size=None, around=None):
        from dfd.kernels.fusion import agreed, choose

        self._order = np.argsort(coordinates)
        self._matrices = np.stack([np.eye(3)] * len(self._order) if matrices is None else list(matrices))
        sweep, size = np.asarray(coordinates, float)[self._order], tuple(size or values.shape)
        rank = np.empty(values.shape, np.float32)
        for row, line in zip(rank, values, strict=True):
            row[:] = np.interp(line, sweep, np.arange(len(sweep), dtype=float))
        matrices = self._matrices[self._order]
        group = math.ceil(len(sweep) / _LABELS)
        if around is None:
            labels, factor = _by_depth(rank, len(sweep)), min(_BLOCK, *values.shape)
        else:
            labels, factor = _by_agreement(rank, around[:, self._order], matrices, size, group)
        rank = imaging.gaussian(agreed(rank, labels, factor, _TRUSTED * group), _SMOOTHING)
        self._chosen = choose(rank, labels, factor, matrices, size, _SEAM, group)
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


def _by_depth(rank, count):
    """(h, w) int64: the frame nearest to the depth in the middle of the order of every block's, which lies on one side of a
    step; where depth is unknown, that of the nearest block."""
    unknown, block = np.isnan(rank), min(_BLOCK, *rank.shape)
    height, width = (length // block for length in rank.shape)
    if unknown.all():
        return np.full((height, width), (count - 1) // 2, np.int64)
    cells = rank[:height * block, :width * block].reshape(height, block, width, block).swapaxes(1, 2)
    cells = np.sort(cells.reshape(height, width, -1), axis=-1)  # NaN comes last
    known = np.isfinite(cells).sum(axis=-1, keepdims=True)
    return np.rint(fill(np.take_along_axis(cells, np.maximum(known - 1, 0) // 2, axis=-1)[..., 0])).astype(np.int64)


def _by_agreement(rank, around, matrices, size, group):
    """((h, w) int64 frame of every cell, side [px] of a cell); all in the order of the sweep."""
    from dfd.kernels.seams import assign, votes

    shape = around.shape[2:]
    factor = max(rank.shape[0] // shape[0], 1)
    cost = _costs(around, _inside(matrices, shape, factor, size))
    cost -= np.float32(_DEPTH) * votes(rank, factor, len(cost), _DEPTH_REACH, shape)
    light = np.nan_to_num(around[1].astype(np.float32), nan=1.0)
    if group == 1:
        return assign(cost, _CONTRAST / 2 * light, step=_STEP, rounds=_ROUNDS), factor
    starts = np.arange(0, len(cost), group)
    light = np.add.reduceat(light, starts) / np.diff(np.append(starts, len(cost)))[:, None, None]
    chosen = assign(np.minimum.reduceat(cost, starts), _CONTRAST / 2 * light, step=_STEP, rounds=_ROUNDS)
    inside = np.arange(len(cost))[:, None, None] // group == chosen
    return np.argmin(np.where(inside, cost, np.inf), axis=0), factor


def _costs(around, inside):
    """(K, h, w) float32 cost of taking a frame for a cell, from its sharpness alone."""
    sharp, known = around[0].astype(np.float32), np.isfinite(around[1])
    most = sharp.max(axis=0)
    usual = max(0.5 * float(np.median(most)), 1e-6)
    cost = (most - sharp) / np.sqrt(usual * (usual + most))
    mean = np.sum(np.where(known, cost, 0), axis=0) / np.maximum(known.sum(axis=0), 1)
    cost = np.where(known | ~inside, cost, np.float32(_SATURATED) * mean)
    return (cost + np.float32(_OUTSIDE) * ~inside).astype(np.float32)


def _inside(matrices, shape, factor, size):
    """(K, h, w) bool: the middle of a cell lies inside the frame."""
    y, x = ((np.arange(length) + 0.5) * factor - 0.5 for length in shape)
    inside = np.empty((len(matrices), *shape), bool)
    for found, matrix in zip(inside, matrices, strict=True):
        u, v, w = (row[0] * x[None, :] + row[1] * y[:, None] + row[2] for row in matrix)
        found[:] = (w > 0) & (u >= 0) & (u <= w * (size[1] - 1)) & (v >= 0) & (v <= w * (size[0] - 1))
    return inside
