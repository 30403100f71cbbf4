"""What every reader of light fields shares: pictures of one size as linear views, and grids of which no place is empty."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.images import FORMATS, image_size, read_image
from dfd.lightfield import ViewCamera

_MOST_NAMED = 5  # missing views that a message lists


@dataclass(frozen=True, eq=False)
class Found:
    """What a reader found; fields as those of LightField, disparity in px per view step or None."""

    views: np.ndarray
    u: Sequence[float]
    v: Sequence[float]
    camera: ViewCamera | None = None
    disparity: np.ndarray | None = None
    name: str = ""
    convention: str = ""


def pictures_in(folder) -> list[Path]:
    """Every file of a folder that may be a view, by its suffix."""
    return [path for path in sorted(Path(folder).iterdir())
            if path.is_file() and path.suffix.lower() in FORMATS and not path.name.startswith(".")]


def matching(folder, pattern: re.Pattern) -> list[tuple[Path, re.Match]]:
    """Pictures of a folder whose stem fits a pattern as a whole, with the match."""
    found = [(path, pattern.fullmatch(path.stem)) for path in pictures_in(folder)]
    return [(path, match) for path, match in found if match]


def stacked(paths: Sequence[Path], *, linear: bool | None = None) -> np.ndarray:
    """(K, H, W, C) float32, linear, of files of one size, C = 1 or 3.

    linear   as in `read_image`
    Raises ValueError for files of different sizes, before anything is decoded; OSError for a damaged file.
    """
    height, width = image_size(paths[0])
    for path in paths[1:]:
        size = image_size(path)
        if size != (height, width):
            raise ValueError(f"{path}: {size[1]} x {size[0]} px, but {paths[0].name} is {width} x {height} px; all views of "
                             "a light field have one size, export them again without cropping")
    first = _channels(read_image(paths[0], linear=linear).values)
    views = np.empty((len(paths), *first.shape), np.float32)
    views[0] = first
    for index, path in enumerate(paths[1:], 1):
        view = _channels(read_image(path, linear=linear).values)
        if view.shape != first.shape:
            raise ValueError(f"{path}: {'colours' if view.shape[2] == 3 else 'grey'}, unlike {paths[0].name}; all views of "
                             "a light field have the same channels, export them again")
        views[index] = view
    return views


def _channels(values):
    return values if values.ndim == 3 else values[..., None]


def full_grid(named: dict[tuple[int, int], Path], rows: int, columns: int, name, folder, *,
              stated: str = "") -> list[Path]:
    """The files of a grid, row by row.

    named   (row, column), from 0 -> file;   name   (row, column) -> the file name that belongs there
    stated  file and keys that gave rows and columns, "" where the names did
    Raises ValueError that lists the missing views, or a file that lies outside the grid.
    """
    outside = [path for (row, column), path in named.items() if row >= rows or column >= columns]
    if outside:
        raise ValueError(f"{outside[0]}: lies outside the grid of {rows} x {columns} views; correct "
                         f"{stated or 'the numbers of rows and columns'}, or move the file away")
    missing = [name(row, column) for row in range(rows) for column in range(columns) if (row, column) not in named]
    if missing:
        single = _single(named, rows, columns)
        stray = f"; {single.name} is alone in its row or column: move it away if it is no view" if single else ""
        step = f"copy them again, {f'correct {stated}, ' if stated else ''}or list the others in a lightfield.toml{stray}"
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise ValueError(f"{folder}: {len(missing)} of {rows * columns} views of the {rows} x {columns} grid are missing: "
                         f"{', '.join(missing[:_MOST_NAMED])}{more}; {step}")
    return [named[row, column] for row in range(rows) for column in range(columns)]


def _single(named, rows, columns):
    """The file that is alone in its row or column of a grid of two or more; None where there is none, or more than one."""
    found = {path for axis, other in ((0, columns), (1, rows)) if other > 1
             for path in (path for key, path in named.items() if sum(one[axis] == key[axis] for one in named) == 1)}
    return found.pop() if len(found) == 1 else None


def places(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """u (right) and v (down) [view steps] of a grid, row by row, counted from the view in row rows // 2, column
    columns // 2."""
    v, u = np.mgrid[:rows, :columns]
    return (u - columns // 2).ravel().astype(float), (v - rows // 2).ravel().astype(float)


def fitted(values, shape, path) -> np.ndarray:
    """A disparity map of the size of the views, float32; what is not finite becomes NaN, unknown.

    Raises ValueError for another size, since nothing is resized, and for a map that knows nothing.
    """
    with np.errstate(over="ignore"):
        values = np.asarray(values).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    if values.ndim != 2 or values.shape != tuple(shape):
        shown = " x ".join(str(length) for length in values.shape[::-1])
        raise ValueError(f"{path}: the map is {shown} px but the views are {shape[1]} x {shape[0]} px; give the map in the "
                         "resolution of the views")
    if not np.isfinite(values).any():
        raise ValueError(f"{path}: holds no known pixel, all {values.size} are NaN or infinite; copy the file again, or "
                         "remove it to read the views without disparity")
    return values


def disparity_of(depth, camera: ViewCamera) -> np.ndarray:
    """Disparity [px per view step] of depth [m], float64; NaN where depth is not positive, such as the 0 of no data."""
    depth = np.asarray(depth, float)
    known = depth > 0
    return camera.disparity(np.where(known, 1 / np.where(known, depth, 1), np.nan))
