"""The all-in-focus image: every pixel from the frame that the depth map says is sharpest there, seams smoothed."""

from __future__ import annotations

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.refine import fill

_SEAM = 0.25
"""Width of the transition between two frames [frames]: sharp within a frame's own depth, no visible step between."""

_SMOOTHING = 2.0
"""Std [px] of the smoothing of the depth map that chooses the frames: noise in depth must not become noise in colour."""


class AllInFocus:
    """Fusion of frames that come one at a time, so that memory does not grow with their number.

    values        (H, W) depth map in the unit of `coordinates`, NaN = unknown (taken from the nearest known pixel)
    coordinates   place of each frame on the sweep, in the order in which `add` numbers them; any order
    """

    def __init__(self, values, coordinates):
        xp = array_module(values)
        order = np.argsort(coordinates)
        known = bool(xp.isfinite(values).any())
        smooth = imaging.gaussian(fill(values), _SMOOTHING) if known else xp.full(values.shape, np.median(coordinates))
        rank = xp.interp(smooth, xp.asarray(np.asarray(coordinates, float)[order]), xp.arange(len(order), dtype=float))
        self._place = np.argsort(order)
        self._rank = rank.astype(np.float32)
        self._total = None
        self._weight = None
        self._best = xp.zeros(values.shape, dtype=np.float32)
        self._index = xp.full(values.shape, -1, dtype=np.int32)

    def add(self, number: int, image) -> None:
        """Blend in frame `number`: (H, W, C) float32 linear, registered, NaN in every channel = no data."""
        xp = array_module(image, self._rank)
        known = xp.isfinite(image[..., 0])
        distance = xp.abs(self._rank - np.float32(self._place[number]))
        # a frame rules within half a step of its place; the rest only serves where better frames have no data
        weight = xp.clip((0.5 - distance) / _SEAM + 0.5, 0, 1) + 1e-6 / (1 + distance) ** 2
        weight = xp.where(known, weight, 0).astype(np.float32)
        if self._total is None:
            self._total, self._weight = xp.zeros(image.shape, dtype=np.float32), xp.zeros_like(weight)
        for channel in range(image.shape[2]):
            self._total[..., channel] += weight * xp.where(known, image[..., channel], 0)
        self._weight += weight
        better = weight > self._best
        self._index[better] = number
        self._best = xp.maximum(self._best, weight)

    def result(self):
        """(image, index): (H, W, C) float32, and the (H, W) int32 number of the frame each pixel came from, -1 = none."""
        xp = array_module(self._rank)
        image = self._total / xp.maximum(self._weight, np.float32(1e-12))[..., None]
        return image.astype(np.float32), self._index
