"""Kernels of a view that were measured over the picture: tiles of one kernel each, scaled to any circle of confusion.

A kernel k of unit scale belongs to one signed circle of confusion, `coc`.  For another one, coc * s, its support is s times
as large; s < 0 turns it by half a turn (both axes), as a point does that crosses the plane in focus; s near 0 is one pixel.
Light is conserved: every cell of the kernel is spread evenly over what it covers after scaling (Xin et al. 2021, with area
averaging).  Both views of a pair are centred on the middle of the two together, never each on its own: their distance is
the disparity.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from dfd.measured import MeasuredPsf

TABLE_PX = 1.0
"""Distance [px of coc] of the kernels that a table holds; what lies between is blended."""

_LEAST_PX = 1e-3
"""Least side [px] of a cell of a kernel after scaling: all of it lies in the middle pixel by then."""

_DARK = 1e-9
"""Share of a kernel's brightest cell below which a cell is dark: smaller numbers are slow ones (denormal float32)."""

_TAIL = 1e-4
"""Light of a kernel that may lie outside the kernels of the table."""


@dataclass(frozen=True, eq=False)
class FieldPsf:
    """The PSF of one view over the picture.  `pair` makes the two of a dual-pixel pair; `at` gives the PSF of a place.

    kernels    (rows, columns, s, s) of unit sum, s odd, y down and x right as in the scene: tiles of equal size that fill
               the whole picture, row by row; the pixel box included
    coc        signed coc [px] that the kernels belong to
    centres    (rows, columns, 2) (y, x) px from the middle of each kernel to the point that it is the image of
    size       (H, W) px of the whole picture;   origin   (y, x) of the first pixel of this part of it
    most       scale up to which, either way, the kernels may be enlarged
    factor     size and origin count pixels so many times as large as those of kernels, coc and centres
    Raises ValueError for shapes that do not fit, kernels without light, a coc of zero.
    """

    kernels: np.ndarray
    coc: float
    centres: np.ndarray
    size: tuple[float, float]
    origin: tuple[float, float] = (0, 0)
    most: float = 2.0
    factor: int = 1

    model, core, radial = "measured", 0.0, False

    def __post_init__(self):
        kernels = np.array(self.kernels, float)
        if kernels.ndim != 4 or kernels.shape[2] != kernels.shape[3] or kernels.shape[3] % 2 == 0:
            raise ValueError(f"kernels (shape {kernels.shape}) must be (rows, columns, s, s): tiles of squares of an odd "
                             "number of px")
        sums = kernels.sum(axis=(2, 3))
        if not (np.isfinite(kernels).all() and (sums > 0).all()):
            raise ValueError("measured kernels must be finite and have a positive sum in every tile of the picture")
        if not (math.isfinite(self.coc) and self.coc != 0):
            raise ValueError(f"coc ({self.coc:g} px) of measured kernels must not be zero: their signed diameter, positive "
                             "= nearer than focus")
        centres = np.array(self.centres, float)
        if centres.shape != (*kernels.shape[:2], 2):
            raise ValueError(f"centres (shape {centres.shape}) must be (y, x) of every tile, {(*kernels.shape[:2], 2)}")
        if not self.most > 0:
            raise ValueError(f"most ({self.most:g}) must be positive: the largest scale of the kernels")
        for name, array in (("kernels", kernels / sums[..., None, None]), ("centres", centres)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def pair(cls, left, right, *, coc: float, size, most: float = 2.0) -> tuple[FieldPsf, FieldPsf]:
        """The PSFs of both views from their kernels, (rows, columns, s, s) each, centred on the middle of the two.

        coc    signed diameter [px] of both halves together that the kernels belong to;   size, most   see FieldPsf
        Raises ValueError as FieldPsf does, and for two shapes.
        """
        if np.shape(left) != np.shape(right):
            raise ValueError(f"kernels of the left view {np.shape(left)} and of the right {np.shape(right)} must have one "
                             "shape")
        tiles = np.shape(left)[:2] if np.ndim(left) == 4 else (1, 1)
        views = [cls(kernels, coc, np.zeros((*tiles, 2)), tuple(size), most=most) for kernels in (left, right)]
        middle = (_centroids(views[0].kernels) + _centroids(views[1].kernels)) / 2
        return tuple(replace(view, centres=middle) for view in views)

    @property
    def reach_px(self) -> float:
        """Largest |coc| [px] that the kernels may be enlarged to."""
        return self.most * abs(self.coc) / self.factor

    def cut(self, top: int, left: int) -> FieldPsf:
        """The PSF of a part of the picture that begins `top` and `left` px further on."""
        return replace(self, origin=(self.origin[0] + top, self.origin[1] + left))

    def reduced(self, factor: int) -> FieldPsf:
        """The same PSF in pixels `factor` times as large."""
        return replace(self, factor=self.factor * factor, size=tuple(length / factor for length in self.size),
                       origin=tuple(start / factor for start in self.origin))

    def tile(self, y: float, x: float) -> tuple[int, int]:
        """(row, column) of the tile in which a place of this part of the picture lies; beyond the picture the nearest."""
        return tuple(min(max(int((place + 0.5 + start) / whole * count), 0), count - 1) for place, start, whole, count in
                     zip((y, x), self.origin, self.size, self.kernels.shape[:2], strict=True))

    def parts(self, shape) -> list[tuple[slice, slice]]:
        """Rows and columns of an image of `shape` at the origin that share one tile, tile by tile."""
        rows, columns = (_runs(length, start, whole, count) for length, start, whole, count in
                         zip(shape, self.origin, self.size, self.kernels.shape[:2], strict=True))
        return [(row, column) for row in rows for column in columns]

    def only(self, y: float, x: float) -> FieldPsf:
        """The PSF whose every tile is that of a place [px of this part of the picture]."""
        row, column = self.tile(y, x)
        return replace(self, kernels=self.kernels[row, column][None, None], centres=self.centres[row, column][None, None])

    def at(self, y: float, x: float, coc: float | None = None) -> MeasuredPsf:
        """The PSF at a place [px of this part of the picture]: that of its tile, for every |coc| up to reach_px.

        coc   signed, px: the table then holds the kernels beside it alone, 100 kB instead of many MB
        """
        tile, reach = self.tile(y, x), self.most * abs(self.coc)
        cocs = np.linspace(-reach, reach, 2 * math.ceil(reach / TABLE_PX) + 1)
        if coc is not None and abs(coc) <= self.reach_px:
            below = min(int(np.searchsorted(cocs, coc * self.factor, side="right")) - 1, len(cocs) - 2)
            cocs = cocs[below:below + 2]
        table = MeasuredPsf(cocs, scaled(self.kernels[tile], cocs / self.coc, self.centres[tile]))
        return table if self.factor == 1 else table.reduced(self.factor)


def scaled(kernel, scales, centre=(0.0, 0.0)) -> np.ndarray:
    """(n, m, m) float32 kernels of unit sum: one kernel with its support `scales` times as large, about its centre.

    kernel   (s, s), s odd;   scales   (n,), negative ones turn it by half a turn
    centre   (y, x) px from the middle of the array, which comes to lie in the middle of every result
    """
    scales, size = np.asarray(scales, float), len(kernel)
    kernel = np.where(np.abs(kernel) < _DARK * np.max(np.abs(kernel)), 0, kernel)
    reach = _extent(kernel, centre) * max(np.abs(scales).max(), _LEAST_PX) + 0.5
    across = 2 * math.ceil(reach) + 1
    down, right = (_spread(scales, size, across, middle) for middle in centre)
    found = down @ np.asarray(kernel, np.float32) @ right.transpose(0, 2, 1)
    return found / found.sum(axis=(1, 2), keepdims=True)


def _spread(scales, size, across, centre):
    """(n, across, size) share of each of `size` cells that each of `across` px receives, along one axis."""
    scales = np.where(np.abs(scales) < _LEAST_PX, _LEAST_PX, scales)
    edges = (np.arange(size + 1) - size / 2 - centre) * scales[:, None]
    pixels = np.arange(across + 1) - across / 2
    share = (pixels[None, :, None] - edges[:, None, :-1]) / (edges[:, None, 1:] - edges[:, None, :-1])
    below = np.clip(share, 0, 1).astype(np.float32)  # of every cell, what lies before each border of two pixels
    return np.abs(np.diff(below, axis=1))


def _extent(kernel, centre):
    """Px from the centre, along either axis, within which all but _TAIL of the light lies."""
    away = [np.abs(np.arange(len(kernel)) - len(kernel) // 2 - middle) for middle in centre]
    order = np.maximum(away[0][:, None], away[1][None]).ravel()
    rank = np.argsort(order)
    light = np.cumsum(kernel.ravel()[rank])
    return order[rank][min(int(np.searchsorted(light, (1 - _TAIL) * light[-1])), len(rank) - 1)] + 0.5


def _centroids(kernels):
    """(rows, columns, 2) centroid (y, x) [px from the middle of the array] of kernels of unit sum."""
    axis = np.arange(kernels.shape[-1]) - kernels.shape[-1] // 2
    return np.stack([kernels.sum(axis=3) @ axis, kernels.sum(axis=2) @ axis], axis=-1)


def _runs(length, start, whole, count):
    """Slices of `length` px from `start` on that lie in one of `count` equal tiles of `whole` px each."""
    tile = np.clip(((np.arange(length) + 0.5 + start) / whole * count).astype(int), 0, count - 1)
    ends = [0, *(np.flatnonzero(np.diff(tile)) + 1).tolist(), length]
    return [slice(first, last) for first, last in itertools.pairwise(ends)]
