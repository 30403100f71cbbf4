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
    """Fusion of pictures that come one at a time: beyond `around`, which the caller holds, memory does not grow with their
    number; at most 16 groups of frames are compared at once.

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
            labels, factor = _by_agreement(rank, around, self._order, matrices, size, group)
        rank = imaging.gaussian(agreed(rank, labels, factor, _TRUSTED * group), _SMOOTHING)
        self._chosen = choose(rank, labels, factor, matrices, size, _SEAM, group)
        self._size, self._total = size, None

    def add(self, number: int, picture, *, gain: float = 1.0) -> None:
        """Blend in frame `number`: (h, w, C) float32 linear, 1 = white, of the size of a frame, times `gain`.

        White stays at least white whatever the gain.  Grey among colour counts as that grey in every channel.
        Raises ValueError for a picture of another size, or of channels that do not fit.
        """
        from dfd.kernels.fusion import add

        if picture.ndim != 3 or picture.shape[:2] != self._size:
            raise ValueError(f"picture of frame {number} (shape {picture.shape}) must be {self._size} and C "
                             "channels, as all frames are; was it reduced like the others?")
        if self._total is None:
            self._total = np.zeros((*self._chosen[0].shape, picture.shape[2]), dtype=np.float32)
        most = max(picture.shape[2], self._total.shape[2])
        if {picture.shape[2], self._total.shape[2]} - {1, most}:
            raise ValueError(f"picture of frame {number} ({picture.shape[2]} channels) must have 1 or the "
                             f"{self._total.shape[2]} of the others; save all frames as grey or as RGB")
        picture, self._total = _widened(picture, most), _widened(self._total, most)
        place = int(np.flatnonzero(self._order == number)[0])
        add(place, picture, gain, self._matrices[number], self._chosen, self._total)

    def result(self):
        """(image, index): (H, W, C) float32, and the (H, W) int32 number of the frame each pixel came from, -1 = none."""
        first = self._chosen[0]
        return self._total, np.where(first < 0, np.int32(-1), self._order[first].astype(np.int32))


def _widened(picture, channels):
    """(h, w, channels): one channel stands for every other, more are as they are."""
    return picture if picture.shape[2] == channels else np.repeat(picture, channels, axis=2)


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


def _by_agreement(rank, around, order, matrices, size, group):
    """((h, w) int64 place of the frame of every cell, side [px] of a cell).

    rank, matrices   in the order of the sweep;   order   number in `around` of each of its frames;   group   frames in one
    Frames are looked at one by one: a group keeps the least cost of its own, which of them has it, and their mean light.
    """
    from dfd.kernels.seams import assign, votes

    shape, starts = around.shape[2:], range(0, len(order), group)
    factor = max(rank.shape[0] // shape[0], 1)
    least, light = np.full((len(starts), *shape), np.inf, np.float32), np.zeros((len(starts), *shape), np.float32)
    best = np.zeros(least.shape, np.int16) + np.int16(starts)[:, None, None]
    most, scale, mean = _reference(around, order)
    for start, cost, frame, bright in zip(starts, least, best, light, strict=True):
        stop = min(start + group, len(order))
        for k, vote in zip(range(start, stop), votes(rank, factor, (start, stop), _DEPTH_REACH, shape), strict=True):
            own = _cost(around[:, order[k]], most, scale, mean, _inside(matrices[k], shape, factor, size))
            own -= np.float32(_DEPTH) * vote
            better = own < cost
            cost[better], frame[better] = own[better], k
            bright += np.nan_to_num(around[1, order[k]].astype(np.float32), nan=1.0)
        bright *= _CONTRAST / 2 / (stop - start)
    chosen = assign(least, light, step=_STEP, rounds=_ROUNDS)
    return np.take_along_axis(best, chosen[None], axis=0)[0].astype(np.int64), factor


def _reference(around, order):
    """What the sharpness of a frame is held against, (h, w) each: the most of all frames, what counts as 1 below it, and the
    mean cost of the frames that are not saturated."""
    most = np.zeros(around.shape[2:], np.float32)
    for sharp in around[0]:
        np.maximum(most, sharp, out=most)
    usual = max(0.5 * float(np.median(most)), 1e-6)
    scale = np.sqrt(usual * (usual + most))
    total, count = np.zeros_like(most), np.zeros(most.shape, np.int64)
    for number in order:
        known = np.isfinite(around[1, number])
        total += np.where(known, (most - around[0, number].astype(np.float32)) / scale, np.float32(0))
        count += known
    return most, scale, total / np.maximum(count, 1)


def _cost(around, most, scale, mean, inside):
    """(h, w) float32 cost of taking a frame for a cell, from its own sharpness and light alone; `inside` see `_inside`."""
    cost = (most - around[0].astype(np.float32)) / scale
    cost = np.where(np.isfinite(around[1]) | ~inside, cost, np.float32(_SATURATED) * mean)
    return (cost + np.float32(_OUTSIDE) * ~inside).astype(np.float32)


def _inside(matrix, shape, factor, size):
    """(h, w) bool: the middle of a cell lies inside the frame."""
    y, x = ((np.arange(length) + 0.5) * factor - 0.5 for length in shape)
    u, v, w = (row[0] * x[None, :] + row[1] * y[:, None] + row[2] for row in matrix)
    return (w > 0) & (u >= 0) & (u <= w * (size[1] - 1)) & (v >= 0) & (v <= w * (size[0] - 1))
