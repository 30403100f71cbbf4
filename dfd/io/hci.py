"""The two benchmarks of Heidelberg: 4D light fields of 2016 (Honauer et al., ACCV), read and written, and those of 2013.

2016   input_Cam000.png ..., row by row from the top left; parameters.cfg; gt_disp_lowres.pfm, gt_depth_lowres.pfm
           disparity = 1e-3 beta (1 / Z - 1 / Zf),  beta = b f W / S          lengths of the file in mm, Zf in m
2013   disparity = dH focalLength / Z - shift                                  scene units, focalLength in px
Both: L(y - d v, x - d u) = L_reference(y, x), u right, v down, positive d nearer.  Millimetres end here.
"""

from __future__ import annotations

import configparser
import math
import re
from pathlib import Path

import numpy as np

from dfd.io.folders import new_folder
from dfd.io.lightviews import Found, disparity_of, fitted, full_grid, matching, places, stacked
from dfd.io.pfm import read_pfm, write_pfm
from dfd.io.png import write_png
from dfd.io.results import linear_to_srgb
from dfd.lightfield import LightField, ViewCamera

PARAMETERS = "parameters.cfg"
CAMERA_NAME = re.compile(r"input_Cam(\d+)")
ROW_COLUMN = re.compile(r"(\d+)_(\d+)")
ATTRIBUTES = "attributes.dat"
_NOMINAL_PITCH = 6e-6
_KEYS = {"intrinsics": ("focal_length_mm", "sensor_size_mm", "image_resolution_x_px", "image_resolution_y_px"),
         "extrinsics": ("num_cams_x", "num_cams_y", "baseline_mm", "focus_distance_m")}


def read_hci(folder, *, linear=None) -> Found:
    """A scene of 2016: the views of a folder, with camera and disparity where parameters.cfg and the maps are there.

    Raises ValueError for missing views, parameters that contradict the views, and a damaged parameter file; OSError.
    """
    folder = Path(folder)
    named = {int(match[1]): path for path, match in matching(folder, CAMERA_NAME)}
    stated = folder / PARAMETERS
    if stated.is_file():
        camera, size = read_parameters(stated), _numbers(stated)
        rows, columns = int(size["num_cams_y"]), int(size["num_cams_x"])
    else:
        camera, rows = None, math.isqrt(max(named)) + 1
        columns = rows
    grid = {divmod(number, columns): path for number, path in named.items()}
    files = full_grid(grid, rows, columns, lambda row, column: f"input_Cam{row * columns + column:03d}", folder,
                      stated=f"num_cams_y and num_cams_x of {stated}" if stated.is_file() else "")
    views = stacked(files, linear=linear)
    if camera is not None:
        _check_resolution(stated, size, views.shape[1:3])
    known = "camera of parameters.cfg" if camera else "no parameters.cfg, so no camera"
    return Found(views, *places(rows, columns), camera, _disparity(folder, camera, views.shape[1:3]),
                 size["scene"] if camera else folder.resolve().name,
                 f"HCI 4D benchmark: views row by row from the top left, u right, v down, disparity [px per view step] > 0 "
                 f"nearer; {known}")


def read_parameters(path) -> ViewCamera:
    """The camera of a parameters.cfg.  Raises OSError for a missing file, ValueError for missing or impossible numbers."""
    numbers = _numbers(Path(path))
    pitch = numbers["sensor_size_mm"] / max(numbers["image_resolution_x_px"], numbers["image_resolution_y_px"])
    try:
        return ViewCamera(1e-3 * numbers["baseline_mm"], 1e-3 * numbers["focal_length_mm"], 1e-3 * pitch,
                          1 / numbers["focus_distance_m"])
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{path}: impossible camera ({error}); correct the numbers, or remove the file to read disparity "
                         "only") from error


def _numbers(path) -> dict:
    """The numbers that a parameters.cfg must hold, and the name of the scene."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise OSError(f"{path}: no such file; check the path") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a parameter file ({str(error).splitlines()[0]}); copy it again, or remove it to read "
                         "disparity only") from error
    found = {"scene": parser.get("meta", "scene", fallback=path.resolve().parent.name)}
    for section, keys in _KEYS.items():
        for key in keys:
            text = parser.get(section, key, fallback=None)
            try:
                found[key] = float(text)
            except (TypeError, ValueError):
                shown = "is missing" if text is None else f"({text}) must be a number"
                raise ValueError(f"{path}: {key} of [{section}] {shown}; add it, or remove the file to read disparity "
                                 "without metres") from None
            if not (math.isfinite(found[key]) and found[key] > 0):
                raise ValueError(f"{path}: {key} ({found[key]:g}) must be positive; correct it, or remove the file to read "
                                 "disparity without metres")
    return found


def _check_resolution(path, size, shape):
    stated = int(size["image_resolution_y_px"]), int(size["image_resolution_x_px"])
    if stated != tuple(shape):
        raise ValueError(f"{path}: image_resolution {stated[1]} x {stated[0]} px, but the views are {shape[1]} x {shape[0]} "
                         "px; correct image_resolution_x_px and image_resolution_y_px if the views were resized")


def _disparity(folder, camera, shape):
    """The disparity of the middle view, from its own map or through the camera from depth; None without either."""
    stated, depth = folder / "gt_disp_lowres.pfm", folder / "gt_depth_lowres.pfm"
    if stated.is_file():
        return fitted(read_pfm(stated), shape, stated)
    if camera is None or not depth.is_file():
        return None
    return fitted(disparity_of(read_pfm(depth), camera), shape, depth)


def read_old_folder(folder, *, linear=None) -> Found:
    """A part of a scene of 2013 as files: ROW_COLUMN.png, depth.bin (float32, little endian, top row first) and
    attributes.dat (dH, focalLength, shift as text).

    Raises ValueError for missing views or attributes, OSError for a damaged file.
    """
    folder = Path(folder)
    named = {(int(match[1]), int(match[2])): path for path, match in matching(folder, ROW_COLUMN)}
    first = tuple(min(key[axis] for key in named) for axis in (0, 1))
    named = {(row - first[0], column - first[1]): path for (row, column), path in named.items()}
    rows, columns = (max(key[axis] for key in named) + 1 for axis in (0, 1))
    files = full_grid(named, rows, columns, lambda row, column: f"{row + first[0]:02d}_{column + first[1]:02d}", folder)
    views = stacked(files, linear=linear)
    path = folder / ATTRIBUTES
    text = path.read_bytes().decode("utf-8", "replace")
    attributes = {name: float(number) for name, number
                  in re.findall(r"(\w+)[\"']?\s*[:=,\s]\s*([-+]?\d[\d.]*(?:[eE][-+]?\d+)?)", text)}
    depth, shape = folder / "depth.bin", views.shape[1:3]
    if not depth.is_file():
        return old_scene(views, rows, columns, attributes, None, path, folder.name)
    if depth.stat().st_size != 4 * shape[0] * shape[1]:
        raise OSError(f"{depth}: {depth.stat().st_size} bytes instead of {4 * shape[0] * shape[1]} for {shape[1]} x "
                      f"{shape[0]} px of float32; the file is cut or of another scene")
    return old_scene(views, rows, columns, attributes, np.fromfile(depth, "<f4").reshape(shape), path, folder.name)


def old_scene(views, rows, columns, attributes, depth, path, name) -> Found:
    """A scene of 2013 from its numbers: views row by row, depth of the middle one in scene units or None."""
    missing = [key for key in ("dH", "focalLength", "shift") if key not in attributes]
    if missing:
        raise ValueError(f"{path}: attribute {missing[0]} is missing (disparity = dH focalLength / Z - shift); add it, or "
                         "read the views with layout grid")
    baseline, focal_length, shift = (float(attributes[key]) for key in ("dH", "focalLength", "shift"))
    if not (baseline > 0 and focal_length > 0):
        raise ValueError(f"{path}: dH ({baseline:g}) and focalLength ({focal_length:g} px) must be positive; correct them")
    camera = ViewCamera(baseline, focal_length * _NOMINAL_PITCH, _NOMINAL_PITCH, shift / (baseline * focal_length))
    disparity = None if depth is None else fitted(disparity_of(depth, camera), views.shape[1:3], path)
    return Found(views, *places(rows, columns), camera, disparity, name,
                 "old HCI (2013): views row by row from the top left, u right, v down, disparity = dH focalLength / Z - "
                 "shift > 0 nearer; scene units count as metres, focalLength in px of a nominal pitch of 6 um")


def write_hci(field: LightField, folder, *, bits: int = 8) -> Path:
    """Write a light field in the layout of 2016 into a new `folder`: views as sRGB-coded PNG, parameters.cfg,
    gt_disp_lowres.pfm and gt_depth_lowres.pfm (metres); return its path.  Everything appears or nothing.

    bits   8 or 16, of the views
    Raises ValueError unless the views fill a grid in steps of one, zero disparity lies before infinity and there is a camera
    and a disparity; OSError when the folder exists or cannot be written.
    """
    from dfd.kernels.tables import to_codes

    camera, (height, width) = field.need_camera(), field.shape
    order = np.lexsort((field.u, field.v))
    rows, columns = (len(set(steps)) for steps in (field.v, field.u))
    u, v = places(rows, columns)
    if len(field) != rows * columns or not (np.array_equal(np.take(field.u, order), u)
                                            and np.array_equal(np.take(field.v, order), v)):
        raise ValueError(f"the {len(field)} views of this light field fill no grid in whole steps about the reference; this "
                         "layout has no other places, write the views with a lightfield.toml")
    if not camera.focus > 0:
        raise ValueError(f"zero disparity ({camera.focus:g} dioptre) must lie before infinity: the layout has "
                         "focus_distance_m")
    if bits not in (8, 16):
        raise ValueError(f"bits ({bits}) of the views must be 8 or 16")
    depth = field.truth.depth
    with new_folder(folder) as temporary:
        for index, number in enumerate(order):
            codes = to_codes(field.views[number], linear_to_srgb, 2**bits - 1)
            codes = codes if codes.shape[2] == 3 else codes[..., 0]
            write_png(temporary / f"input_Cam{index:03d}.png", codes if bits == 16 else codes.astype(np.uint8))
        write_pfm(temporary / "gt_disp_lowres.pfm", field.disparity)
        write_pfm(temporary / "gt_depth_lowres.pfm", depth)
        lines = _parameter_lines(field, camera, rows, columns, max(height, width))
        (temporary / PARAMETERS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Path(folder)


def _parameter_lines(field, camera, rows, columns, longer):
    height, width = field.shape
    low, high = field.disparity_range
    return ["[intrinsics]", f"focal_length_mm = {1e3 * camera.image_distance!r}", f"image_resolution_x_px = {width}",
            f"image_resolution_y_px = {height}", f"sensor_size_mm = {1e3 * camera.pixel_pitch * longer!r}", "",
            "[extrinsics]", f"num_cams_x = {columns}", f"num_cams_y = {rows}", f"baseline_mm = {1e3 * camera.baseline!r}",
            f"focus_distance_m = {1 / camera.focus!r}", "",
            "[meta]", f"scene = {field.name or 'unnamed'}", f"disp_min = {low:.6g}", f"disp_max = {high:.6g}"]
