"""Read lightfield.toml: what a folder of views does not say itself.

    name = "bench"                    # optional
    linear = false                    # as in capture.toml; default: sRGB undone for 8-bit files and PNG
    [grid]                            # either a grid of file names ...
    pattern = "{row}_{column}.png"    # or {index}, counted along the rows; {row:02d} pads with zeros
    rows = 9
    columns = 9
    first = 0                         # number of the first row, column or index
    right = 1                         # 1: views further right have larger columns; -1: smaller
    down = 1                          # 1: views further down have larger rows; -1: smaller
    [[views]]                         # ... or one table per view, places in view steps; one of them at (0, 0)
    file = "a.png"
    u = 0                             # right
    v = 0                             # down
    [camera]                          # optional; without it there is disparity, but no metres
    baseline_mm = 6.0                 # of one view step
    image_distance_mm = 100.0         # pinhole to sensor
    pixel_pitch_um = 68.4
    focus_distance_m = 1.15           # where disparity is 0; inf where parallel rays have none
    assumed = false                   # true: nobody measured these numbers
    [disparity]                       # optional, of the view at (0, 0): tiff, pfm, npy, npz
    file = "disparity.pfm"
    scale = 1.0                       # px per view step of a unit of the file; negative where positive is farther
"""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np

from dfd.io.keys import Flag, Number, Word
from dfd.io.lightviews import Found, fitted, full_grid, places, stacked
from dfd.io.maps import read_map
from dfd.io.tomltables import Tables, inside
from dfd.lightfield import ViewCamera

NAME = "lightfield.toml"

_KEYS = {
    "": {"name": Word(), "linear": Flag()},
    "grid": {"pattern": Word(), "rows": Number("rows", "views", least=1, most=1000),
             "columns": Number("columns", "views", least=1, most=1000),
             "first": Number("first", "", positive=False),
             "right": Number("right", "", positive=False), "down": Number("down", "", positive=False)},
    "views[]": {"file": Word(), "u": Number("u", "view steps", positive=False),
                "v": Number("v", "view steps", positive=False)},
    "camera": {"baseline_mm": Number("baseline", "mm", 1e-3), "image_distance_mm": Number("image_distance", "mm", 1e-3),
               "pixel_pitch_um": Number("pixel_pitch", "um", 1e-6),
               "focus_distance_m": Number("focus_distance", "m", infinite=True), "assumed": Flag()},
    "disparity": {"file": Word(), "scale": Number("scale", "px per view step", positive=False)},
}
_TABLES = Tables(NAME, _KEYS, {"": "the top of the file, before any table", "grid": "[grid]", "views[]": "[[views]]",
                               "camera": "[camera]", "disparity": "[disparity]"})


def read_toml(path) -> Found:
    """The light field that a lightfield.toml describes.

    Raises ValueError, naming the key, for what cannot be, missing views among it; OSError for files.
    """
    path = Path(path)
    document = _TABLES.parse(path)
    tables = {name: document.pop(name, None) for name in ("grid", "camera", "disparity")}
    views = document.pop("views", None)
    top = _TABLES.checked(path, "", document)
    tables = {name: None if table is None else _TABLES.checked(path, name, table) for name, table in tables.items()}
    if (views is None) == (tables["grid"] is None):
        raise ValueError(f"{path}: give either [grid] with a pattern or [[views]] tables; this file has "
                         f"{'neither' if views is None else 'both'}")
    files, u, v, words = _from_views(path, views) if views is not None else _from_grid(path, tables["grid"])
    pixels = stacked(files, linear=top.get("linear"))
    name = top.get("name", path.parent.resolve().name)
    return Found(pixels, u, v, _camera(path, tables["camera"]), _disparity(path, tables["disparity"], pixels.shape[1:3]),
                 name, f"{NAME}: {words}; u right, v down, disparity > 0 nearer")


def _from_grid(path, table):
    """(files, u, v, words) of a pattern."""
    for key in ("pattern", "rows", "columns"):
        if key not in table:
            raise ValueError(f"{path}: grid has no {key}; add {key} = ... to [grid]")
    rows, columns, first = (_whole(path, f"grid.{key}", table.get(key, 0)) for key in ("rows", "columns", "first"))
    signs = {key: table.get(key, 1) for key in ("right", "down")}
    for key, sign in signs.items():
        if sign not in (1, -1):
            raise ValueError(f"{path}: grid.{key} ({sign:g}) must be 1 or -1: the direction in which views are counted")
    names = {(row, column): _named(path, table["pattern"], row, column, columns, first)
             for row in range(rows) for column in range(columns)}
    if len(set(names.values())) < len(names):
        raise ValueError(f"{path}: grid.pattern ({table['pattern']}) names one file twice; it needs {{row}} and {{column}}, "
                         "or {index}")
    there = {at: path.parent / name for at, name in names.items() if (path.parent / name).is_file()}
    files = full_grid(there, rows, columns, lambda row, column: names[row, column], path.parent)
    u, v = places(rows, columns)
    return files, signs["right"] * u, signs["down"] * v, f"{rows} x {columns} views, {table['pattern']}"


def _named(path, pattern, row, column, columns, first):
    """The file name of one place."""
    known = {"row": row + first, "column": column + first, "index": row * columns + column + first}
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
        if not used or not used <= set(known):
            raise ValueError("unknown field")
        return pattern.format(**known)
    except (ValueError, KeyError, IndexError, AttributeError):
        raise ValueError(f"{path}: grid.pattern ({pattern}) must hold {{row}} and {{column}}, or {{index}}, such as "
                         '"view_{row:02d}_{column:02d}.png"') from None


def _whole(path, key, number):
    if number != int(number):
        raise ValueError(f"{path}: {key} ({number:g}) must be a whole number")
    return int(number)


def _from_views(path, tables):
    """(files, u, v, words) of one table per view."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{path}: views must be tables, each written [[views]]")
    files, u, v = [], [], []
    for index, table in enumerate(tables):
        for key in ("file", "u", "v"):
            if key not in table:
                raise ValueError(f"{path}: views[{index}] has no {key}; add {key} = ... to this [[views]] table")
        row = _TABLES.checked(path, f"views[{index}]", table)
        files.append(inside(path, f"views[{index}].file", row["file"], path.parent))
        u.append(row["u"])
        v.append(row["v"])
    if (0.0, 0.0) not in zip(u, v, strict=True):
        raise ValueError(f"{path}: no view stands at u = 0, v = 0; count places [view steps] from the view that is the "
                         "reference")
    return files, np.array(u), np.array(v), f"{len(files)} views at stated places"


def _camera(path, table):
    if table is None:
        return None
    for key, name in (("baseline_mm", "baseline"), ("image_distance_mm", "image_distance"),
                      ("pixel_pitch_um", "pixel_pitch"), ("focus_distance_m", "focus_distance")):
        if name not in table:
            raise ValueError(f"{path}: camera has no {key}; add {key} = ... to [camera], or remove [camera] to read "
                             "disparity without metres")
    return ViewCamera(table["baseline"], table["image_distance"], table["pixel_pitch"], 1 / table["focus_distance"],
                      assumed=table.get("assumed", False))


def _disparity(path, table, shape):
    if table is None:
        return None
    if "file" not in table:
        raise ValueError(f'{path}: disparity has no file; add file = "..." to [disparity], or remove the table')
    scale = table.get("scale", 1.0)
    if scale == 0:
        raise ValueError(f"{path}: disparity.scale (0) must not be 0: px per view step of a unit of the file")
    source = inside(path, "disparity.file", table["file"], path.parent)
    values = read_map(source)
    if not isinstance(values, np.ndarray):
        if values.scale != "affine":
            raise ValueError(f"{source}: a map of scale {values.scale} is no disparity [px per view step]; give one of "
                             "scale affine, or a plain file")
        values = values.values
    return fitted(scale * np.asarray(values, float), shape, source)
