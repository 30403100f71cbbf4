"""The door to light fields: which layout a path has, its reader, the camera, and the test of the signs; owner of h5py."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dfd.io.hci import ATTRIBUTES, CAMERA_NAME, PARAMETERS, ROW_COLUMN, old_scene, read_hci, read_old_folder
from dfd.io.images import FORMATS
from dfd.io.light import srgb_to_linear
from dfd.io.lightfieldtoml import NAME, read_toml
from dfd.io.lightviews import Found, matching
from dfd.io.viewgrids import (
    CENTRAL,
    GANTRY_NAME,
    GRID_NAME,
    LENSLET,
    read_gantry,
    read_grid,
    read_lenslet,
    read_tiles,
)
from dfd.lightfield import LightField, ViewCamera
from dfd.lightfield.check import SIGNS, SignCheck, check_signs

LAYOUTS = {
    "hci": "folder of input_Cam000.png ... with parameters.cfg and gt_disp_lowres.pfm (HCI 4D benchmark)",
    "hci-old": "HDF5 file of the benchmark of 2013, or a folder of ROW_COLUMN.png with attributes.dat and depth.bin",
    "gantry": "folder of out_ROW_COLUMN_A_B.png (Stanford)",
    "grid": "folder of ROW_COLUMN.png",
    "tiles": "one picture of whole views side by side; needs grid, its rows and columns",
    "lenslet": "one mosaic of micro-images, such as the _eslf.png of the Illum archive",
    "toml": f"folder with a {NAME}",
}
"""Name of every layout that is read as a light field -> what it looks like."""

_HDF = (".h5", ".hdf5", ".hdf")


def read_light_field(path, *, layout: str = "auto", camera: ViewCamera | None = None, grid: tuple[int, int] | None = None,
                     lenslet: int = LENSLET, central: int = CENTRAL, flip: str = "", linear: bool | None = None,
                     check: bool = True) -> LightField:
    """A light field from a folder or file.

    layout    one of LAYOUTS; auto: told by the names of the files
    camera    ViewCamera, in place of what the files say
    grid      (rows, columns) of the views on one picture: layout tiles
    lenslet, central   px of a micro-image along each side, and how many of its middle ones (odd): layout lenslet
    flip      "u", "v" or "uv": places that the convention of the layout has the wrong way round
    linear    pixel values are proportional to light; default as for every image: sRGB undone for PNG and 8-bit files
    check     test the signs on the views, and warn (UserWarning, with the fix) where others fit better
    Raises ValueError for missing views, views of different sizes and numbers that cannot be; OSError for files.
    """
    path = Path(path)
    if flip not in SIGNS:
        raise ValueError(f'flip ({flip!r}) must be u, v or uv, or "" for none')
    chosen = find_layout(path) if layout == "auto" else layout
    readers: dict[str, Callable[[], Found]] = {
        "hci": lambda: read_hci(_folder(path), linear=linear), "hci-old": lambda: _old(path, linear),
        "gantry": lambda: read_gantry(path, linear=linear), "grid": lambda: read_grid(path, linear=linear),
        "tiles": lambda: read_tiles(path, _need_grid(path, grid), linear=linear),
        "lenslet": lambda: read_lenslet(path, lenslet=lenslet, central=central, linear=linear),
        "toml": lambda: read_toml(path / NAME if path.is_dir() else path),
    }
    if chosen not in readers:
        raise ValueError(f"layout ({layout!r}) must be auto, {', '.join(LAYOUTS)}")
    _check_kind(path, chosen)
    found = readers[chosen]()
    right, down = SIGNS[flip]
    field = LightField(found.views, right * np.asarray(found.u), down * np.asarray(found.v), None, 1.0, found.disparity,
                       found.name, found.convention + (f"; {flip} reversed as asked" if flip else ""))
    camera = found.camera if camera is None else camera
    field = field if camera is None else field.with_camera(camera)
    if check:
        warn_of_signs(path, check_signs(field))
    return field


def warn_of_signs(path, signs: SignCheck) -> None:
    """One warning where other signs fit the views better."""
    if signs.advice:
        warnings.warn(f"{path}: {signs.advice}", stacklevel=3)


def find_layout(path) -> str:
    """The layout of a path by its files' names.  Raises ValueError where it has none, or more than one is possible; OSError
    for a path that is not there."""
    path = Path(path)
    if not path.exists():
        raise OSError(f"{path}: no such file or folder; check the path")
    if path.is_dir():
        return _of_folder(path)
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return "toml"
    if suffix in _HDF:
        return "hci-old"
    if path.name == PARAMETERS:
        return "hci"
    if suffix == ".lfp":
        raise ValueError(f"{path}: a processed Lytro picture is a focal stack or a depth map, no light field; write its "
                         "frames with dfd lightfield FILE -o DIR")
    if suffix in FORMATS and path.stem.lower().endswith("eslf"):
        return "lenslet"
    if suffix in FORMATS:
        raise ValueError(f"{path}: one picture may be whole views side by side or a mosaic of micro-images; say layout "
                         "tiles with its grid, or layout lenslet")
    raise ValueError(f"{path}: no light field that dfd knows; it reads {', '.join(LAYOUTS)}: see docs/light-field.md")


def _of_folder(folder):
    if (folder / NAME).is_file():
        return "toml"
    if matching(folder, CAMERA_NAME):
        return "hci"
    if matching(folder, GANTRY_NAME):
        return "gantry"
    if matching(folder, ROW_COLUMN) and (folder / ATTRIBUTES).is_file():
        return "hci-old"
    if len(matching(folder, GRID_NAME)) > 1:
        return "grid"
    below = sorted(item for item in folder.iterdir() if item.suffix.lower() in _HDF)
    if len(below) == 1:
        return "hci-old"
    lytro = sorted(item.name for item in folder.iterdir() if item.suffix.lower() == ".lfp")
    if lytro:
        raise ValueError(f"{folder}: a folder with {len(lytro)} Lytro picture{'s' if len(lytro) > 1 else ''}; give one .lfp "
                         f"file, such as {folder / lytro[0]}")
    content = "the folder is empty" if not any(folder.iterdir()) else "no file has a name of a layout of light fields"
    raise ValueError(f"{folder}: {content}; dfd knows input_Cam000.png, ROW_COLUMN.png, out_ROW_COLUMN_A_B.png, *.h5, "
                     f"*_eslf.png; describe other names in a {NAME}, see docs/light-field.md")


def _check_kind(path, layout):
    """A stated layout must fit what is there: a folder or a file, with names of that layout in it."""
    single = layout in ("tiles", "lenslet")
    if single != path.is_file() and layout in ("tiles", "lenslet", "gantry", "grid"):
        raise ValueError(f"{path}: layout {layout} is a {'file' if single else 'folder'}, this is "
                         f"{'none' if not path.exists() else 'a folder' if single else 'a file'}; give the other, or layout "
                         "auto")
    pattern = {"hci": CAMERA_NAME, "gantry": GANTRY_NAME, "grid": GRID_NAME}.get(layout)
    if pattern is not None and not matching(_folder(path), pattern):
        raise ValueError(f"{path}: holds no views of layout {layout} ({LAYOUTS[layout]}); check the path, or describe the "
                         f"names in a {NAME}")


def _folder(path):
    if not path.exists():
        raise OSError(f"{path}: no such folder; check the path")
    return path if path.is_dir() else path.parent


def _need_grid(path, grid):
    if grid is None:
        raise ValueError(f"{path}: layout tiles needs the grid of the views, (rows, columns); give grid=(9, 9) or --grid "
                         "9x9")
    if len(grid) != 2 or min(grid) < 1 or any(number != int(number) for number in grid):
        raise ValueError(f"grid ({' x '.join(map(str, grid))}) must be two whole numbers, rows and columns of views")
    return int(grid[0]), int(grid[1])


def _old(path, linear) -> Found:
    """A scene of 2013: its HDF5 file, a folder that holds one, or a folder of pictures."""
    if path.is_dir() and not (path / ATTRIBUTES).is_file():
        inside = sorted(item for item in path.iterdir() if item.suffix.lower() in _HDF)
        if len(inside) != 1:
            raise ValueError(f"{path}: {len(inside)} HDF5 files and no {ATTRIBUTES}; give the file of one scene")
        path = inside[0]
    if path.is_dir():
        if not matching(path, ROW_COLUMN):
            raise ValueError(f"{path}: {ATTRIBUTES} but no views named ROW_COLUMN.png; copy them again")
        return read_old_folder(path, linear=linear)
    return _read_hdf(path, linear)


def _read_hdf(path, linear) -> Found:
    """The HDF5 file of a scene: LF (v, u, y, x, c) uint8, GT_DEPTH (v, u, y, x), attributes dH, focalLength, shift."""
    try:
        import h5py
    except ImportError:
        raise OSError(f"{path}: HDF5 files need the package h5py, which is not installed; run pip install h5py, or pip "
                      "install 'depth-from-defocus[lightfield]'") from None
    if not path.is_file():
        raise OSError(f"{path}: no such file; check the path")
    try:
        with h5py.File(path, "r") as file:
            if "LF" not in file:
                raise ValueError(f"{path}: holds no LF (v, u, y, x, colour), but {', '.join(file) or 'nothing'}; give a "
                                 "scene of the HCI benchmark of 2013")
            data, attributes = file["LF"][()], dict(file.attrs)
            depth = file["GT_DEPTH"][()] if "GT_DEPTH" in file else None
    except OSError as error:
        raise OSError(f"{path}: cannot be read as HDF5; the file is cut or damaged, copy it again") from error
    if data.ndim != 5 or data.dtype != np.uint8 or data.shape[4] not in (1, 3):
        raise ValueError(f"{path}: LF ({data.dtype}, {data.shape}) must be uint8 with axes (v, u, y, x, colour)")
    rows, columns, height, width = data.shape[:4]
    curve = (np.arange(256) / 255) if linear else srgb_to_linear(np.arange(256) / 255)
    views = curve.astype(np.float32)[data.reshape(rows * columns, height, width, -1)]
    if depth is not None:
        if depth.shape[-2:] != (height, width):
            raise ValueError(f"{path}: GT_DEPTH {depth.shape} does not fit LF {data.shape}; the file is damaged")
        depth = depth[rows // 2, columns // 2] if depth.ndim == 4 else depth
    return old_scene(views, rows, columns, attributes, depth, path, path.stem)
