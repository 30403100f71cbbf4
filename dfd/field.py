"""kappa and the plane of zero disparity of a dual-pixel sensor over the picture, as calibration measured them in cells."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from dfd.backend import array_module

_ALIKE = 1.15
"""Ratio of the largest to the least kappa of one part of a picture, about, along either axis."""


@dataclass(frozen=True, eq=False)
class DualPixelField:
    """disparity_px = kappa * blur_rate * (inverse_depth - lens.focus - focus_offset), each of the two a grid of cells.

    kappa          (rows, columns) disparity / coc, > 0; cells of equal size that fill the whole picture
    focus_offset   (rows, columns) dioptre: inverse depth of zero disparity minus the focus of the lens
    size           (H, W) px of the whole picture;   origin   (y, x) of the first pixel of this part of it
    kappa_sigma, focus_sigma     (rows, columns) 1-sigma of both, zero where nobody says
    Linear between the centres of cells, constant beyond them.  Raises ValueError for grids that do not fit each other.
    """

    kappa: np.ndarray
    focus_offset: np.ndarray
    size: tuple[float, float]
    origin: tuple[float, float] = (0.0, 0.0)
    kappa_sigma: np.ndarray | None = None
    focus_sigma: np.ndarray | None = None

    def __post_init__(self):
        kappa = np.asarray(self.kappa, float)
        if kappa.ndim != 2 or not (kappa > 0).all():
            raise ValueError(f"kappa (shape {kappa.shape}) of a field must be rows of positive numbers (disparity / coc)")
        object.__setattr__(self, "kappa", kappa)
        for name, unit in (("focus_offset", "dioptre"), ("kappa_sigma", "disparity / coc"), ("focus_sigma", "dioptre")):
            grid = getattr(self, name)
            grid = np.zeros(kappa.shape) if grid is None else np.asarray(grid, float)
            if grid.shape != kappa.shape or not np.isfinite(grid).all():
                raise ValueError(f"{name} (shape {grid.shape}) of a field must have the cells of kappa {kappa.shape} "
                                 f"[{unit}]")
            object.__setattr__(self, name, grid)

    def over(self, grid, images):
        """(H, W) float32 map of a grid of cells over the pixels of `images` (..., H, W), on their device."""
        xp = array_module(images)
        rows, columns = (_shares(count, length, start, whole) for count, length, start, whole in
                         zip(grid.shape, images.shape[-2:], self.origin, self.size, strict=True))
        return xp.asarray((rows @ grid @ columns.T).astype(np.float32))

    def middle(self, shape) -> tuple[float, float]:
        """(kappa, focus offset [dioptre]) at the centre of an image of `shape` that lies at the origin."""
        rows, columns = (_shares(count, 1, start + (length - 1) / 2, whole) for count, length, start, whole in
                         zip(self.kappa.shape, shape, self.origin, self.size, strict=True))
        return float((rows @ self.kappa @ columns.T)[0, 0]), float((rows @ self.focus_offset @ columns.T)[0, 0])

    def parts(self, shape) -> list[tuple[slice, slice]]:
        """Rows and columns of an image of `shape` at the origin within which kappa differs by some percent only."""
        rows, columns = (_cuts(self.kappa, length, start, whole, axis) for axis, (length, start, whole) in
                         enumerate(zip(shape, self.origin, self.size, strict=True)))
        return [(row, column) for row in rows for column in columns]

    def cut(self, top: int, left: int) -> DualPixelField:
        """The field of a part of the picture that begins `top` and `left` px further on."""
        return replace(self, origin=(self.origin[0] + top, self.origin[1] + left))

    def reduced(self, factor: int) -> DualPixelField:
        """The same field in pixels `factor` times as large."""
        return replace(self, origin=tuple(x / factor for x in self.origin), size=tuple(x / factor for x in self.size))


def _cuts(grid, length, start, whole, axis):
    """Slices of `length` px from `start` on within which the grid changes by less than _ALIKE along an axis."""
    if grid.shape[axis] == 1:
        return [slice(0, length)]
    place = (np.linspace(0, length, 65) + start) / whole * grid.shape[axis] - 0.5
    lines = np.moveaxis(grid, axis, 0)
    cells = np.arange(len(lines))
    along = np.stack([np.interp(place, cells, line) for line in lines.reshape(len(lines), -1).T])
    change = np.concatenate([[0.0], np.abs(np.diff(np.log(along), axis=1)).max(axis=0).cumsum()])
    count = max(1, math.ceil(change[-1] / math.log(_ALIKE)))
    inner = np.interp(np.arange(1, count) / count * change[-1], change, np.linspace(0, length, 65)).round().astype(int)
    edges = sorted({0, *inner.tolist(), length})
    return [slice(first, last) for first, last in itertools.pairwise(edges)]


def _shares(count, length, start, whole):
    """(length, count) what each cell contributes to each pixel along one axis."""
    place = np.clip((np.arange(length) + 0.5 + start) / whole * count - 0.5, 0, count - 1)
    return np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(count)))
