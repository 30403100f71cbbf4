"""Read light fields that are no more than pictures: view grids in folders or on one page, lenslet mosaics, gantry names.

None of these says which way its views run.  The usual order is taken (rows down, columns right; of the Stanford gantry,
columns LEFT), named in the convention, and held against the views by `dfd.lightfield.check`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dfd.io.images import read_image
from dfd.io.lightviews import Found, full_grid, matching, places, stacked

GANTRY_NAME = re.compile(r"out_(\d+)_(\d+)_(-?\d+(?:\.\d+)?)_(-?\d+(?:\.\d+)?)_?")
GRID_NAME = re.compile(r"(?:.*\D)?(\d+)_(\d+)_?")
LENSLET, CENTRAL = 14, 7
"""Pixels of a micro-image of the Illum archive along each side, and how many of its middle ones are taken."""


def read_grid(folder, *, linear=None) -> Found:
    """Views named ROW_COLUMN, from 0 or from 1, with or without words before.  Raises ValueError for missing views."""
    folder = Path(folder)
    named = {(int(match[1]), int(match[2])): path for path, match in matching(folder, GRID_NAME)}
    first = tuple(min(min(key[axis] for key in named), 1) for axis in (0, 1))
    named = {(row - first[0], column - first[1]): path for (row, column), path in named.items()}
    rows, columns = (max(key[axis] for key in named) + 1 for axis in (0, 1))
    files = full_grid(named, rows, columns, lambda row, column: f"{row + first[0]}_{column + first[1]}", folder)
    return Found(stacked(files, linear=linear), *places(rows, columns), name=folder.name,
                 convention=f"grid of {rows} x {columns} views named ROW_COLUMN from {first[0]}: rows down, columns right")


def read_gantry(folder, *, linear=None) -> Found:
    """Stanford gantry: out_ROW_COLUMN_A_B, A the place across the rows, B along them, in any unit.

    Places are kept as they were measured, in steps of the median distance of neighbours: v grows with the row, u FALLS
    with the column.  Raises ValueError for missing views or places that do not move.
    """
    folder = Path(folder)
    found = matching(folder, GANTRY_NAME)
    named = {(int(match[1]), int(match[2])): path for path, match in found}
    rows, columns = (max(key[axis] for key in named) + 1 for axis in (0, 1))
    files = full_grid(named, rows, columns, lambda row, column: f"out_{row:02d}_{column:02d}_...", folder)
    measured = {path: (float(match[3]), float(match[4])) for path, match in found}
    a, b = (np.array([measured[path][axis] for path in files]).reshape(rows, columns) for axis in (0, 1))
    steps = np.concatenate([np.diff(b, axis=1).ravel(), np.diff(a, axis=0).ravel()])
    step = float(np.median(np.abs(steps))) if steps.size else 0.0
    if not step > 0:
        raise ValueError(f"{folder}: the places in the names out_ROW_COLUMN_A_B do not change from view to view; rename the "
                         "views ROW_COLUMN, or list them in a lightfield.toml")
    middle = rows // 2, columns // 2
    down, right = (-1.0 if np.median(np.diff(a, axis=0)) < 0 else 1.0) if rows > 1 else 1.0, \
        (1.0 if np.median(np.diff(b, axis=1)) < 0 else -1.0) if columns > 1 else 1.0
    return Found(stacked(files, linear=linear), (right * (b - b[middle]) / step).ravel(),
                 (down * (a - a[middle]) / step).ravel(), name=folder.name,
                 convention=f"Stanford gantry, {rows} x {columns} views: numbers of a name are (row, column, v, u), v grows "
                            f"with the row, u falls with the column; measured places in steps of {step:.4g}")


def read_tiles(path, grid: tuple[int, int], *, linear=None) -> Found:
    """One picture of rows x columns whole views side by side.  Raises ValueError where they do not divide it."""
    path, (rows, columns) = Path(path), grid
    page = _page(path, linear)
    height, width = page.shape[:2]
    if height % rows or width % columns:
        raise ValueError(f"{path}: {width} x {height} px cannot be cut into {rows} rows of {columns} equal views; correct "
                         "the grid (rows x columns)")
    tiles = page.reshape(rows, height // rows, columns, width // columns, -1).swapaxes(1, 2)
    return Found(np.ascontiguousarray(tiles.reshape(rows * columns, *tiles.shape[2:])), *places(rows, columns),
                 name=path.stem, convention=f"one picture of {rows} x {columns} views: rows down, columns right")


def read_lenslet(path, *, lenslet: int = LENSLET, central: int = CENTRAL, linear=None) -> Found:
    """A mosaic of square micro-images of `lenslet` px: pixel (y, x) of each belongs to view (y, x).

    central   odd number of middle pixels taken along each side; those at the rim are dark
    Raises ValueError where micro-images do not divide the picture, or for a number that is even or too large.
    """
    path = Path(path)
    if central % 2 == 0 or not 1 < central <= lenslet:
        raise ValueError(f"central ({central} views along each side) must be odd, and at least 3 and at most the {lenslet} "
                         "px of a micro-image; give 7 or 9")
    page = _page(path, linear)
    height, width = page.shape[:2]
    if height % lenslet or width % lenslet:
        raise ValueError(f"{path}: {width} x {height} px is no mosaic of micro-images of {lenslet} px; give their size "
                         "(lenslet)")
    first = lenslet // 2 - central // 2
    cut = slice(first, first + central)
    views = page.reshape(height // lenslet, lenslet, width // lenslet, lenslet, -1)[:, cut, :, cut]
    views = views.transpose(1, 3, 0, 2, 4)
    return Found(np.ascontiguousarray(views.reshape(central**2, *views.shape[2:])), *places(central, central),
                 name=path.stem, convention=f"mosaic of micro-images of {lenslet} px, their middle {central} x {central}: "
                                            "pixel rows are views down, pixel columns views right")


def _page(path, linear):
    values = read_image(path, linear=linear).values
    return values if values.ndim == 3 else values[..., None]
