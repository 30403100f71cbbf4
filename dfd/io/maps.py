"""Read a depth map to be judged, or to judge by: a folder of dfd, or a tiff, pfm, npy, npz or 16-bit png file."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dfd.depthmap import DepthMap
from dfd.io.images import read_values
from dfd.io.pfm import read_pfm

_TRUTHS = {"m": "metric", "dioptre": "metric", "frame": "steps"}
"""Unit of truth.tiff -> the scale of its numbers."""

QUANTITIES = ("depth", "inverse-depth", "disparity")
"""What the numbers of a plain file can be: metres, dioptres, px."""


def read_map(path, *, scale: float | None = None, quantity: str | None = None, px_per_dioptre: float | None = None,
             focus: float | None = None):
    """A DepthMap where the file or `quantity` says what its numbers are, else an (H, W) float64 array with NaN = unknown.

    a folder    of `dfd depth` (result.json) or of `dfd simulate` (truth.json): a DepthMap from the entrance pupil
    .npz        a DepthMap written by DepthMap.save, or a file that holds one array
    .tiff .npy  floats as they are, infinity included; integers need `scale`, and 0 = unknown
    .png        integers: need `scale`, and 0 = unknown
    .pfm        floats, infinity = unknown; the sign of its own scale gives the byte order, the size is ignored
    scale       metres (or the result's unit) per unit of the file; multiplies the numbers of a plain file
    quantity    what the numbers of a plain file are, after `scale`: depth [m], inverse-depth [dioptre], or disparity [px,
                positive = nearer], which is metric, `focus` + disparity / `px_per_dioptre`, where both are given (a
                light field's px per view step; stereo: px_per_dioptre = fx baseline), else affine.  An infinite disparity
                or inverse depth is unknown
    focus       inverse distance of zero disparity [dioptre]; stereo: doffs / (fx baseline)
    Raises OSError for a file that is missing, damaged or of another kind, ValueError for a missing or needless scale or
    quantity, and for depths at or below 0 m.
    """
    path = Path(path)
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale ({scale:g} m per unit of the file) must be positive")
    _check_quantity(quantity, px_per_dioptre, focus)
    found = _read(path, scale, quantity is not None)
    return found if quantity is None or isinstance(found, DepthMap) else _named(found, path, quantity, px_per_dioptre, focus)


def map_facts(path) -> tuple[float | None, tuple | None]:
    """(px_per_dioptre, intrinsics (fx, fy, cx, cy) [px]) of a folder, from result.json or truth.json; None where not there.

    Raises OSError where they are there and cannot be right.
    """
    for name in ("result.json", "truth.json"):
        record = _read_json(Path(path) / name) if (Path(path) / name).is_file() else None
        if record is None:
            continue
        try:
            pixels, camera = record.get("px_per_dioptre"), record.get("intrinsics_px")
            pixels = None if pixels is None else float(pixels)
            camera = None if camera is None else tuple(float(camera[key]) for key in ("fx", "fy", "cx", "cy"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OSError(f"{Path(path) / name}: px_per_dioptre or intrinsics_px cannot be read; was it written by dfd?") \
                from error
        return pixels, camera
    return None, None


def _read(path, scale, told):
    """What the file holds; `told`: its quantity is stated."""
    if path.is_dir():
        return _self_described(_read_folder(path), path, scale, told)
    if not path.is_file():
        raise OSError(f"{path}: no such file or folder; check the path")
    try:
        found = _READERS[path.suffix.lower()](path)
    except KeyError:
        raise OSError(f"{path}: not a depth map that dfd reads; give a tiff, pfm, npy, npz or 16-bit png file, or a "
                      "folder of dfd") from None
    return _self_described(found, path, scale, told) if isinstance(found, DepthMap) else _in_units(found, path, scale)


def _check_quantity(quantity, px_per_dioptre, focus):
    if quantity is not None and quantity not in QUANTITIES:
        raise ValueError(f"quantity ({quantity!r}) must be one of {', '.join(QUANTITIES)}")
    if px_per_dioptre is not None and not (np.isfinite(px_per_dioptre) and px_per_dioptre > 0):
        raise ValueError(f"px_per_dioptre ({px_per_dioptre:g}) must be positive and finite: px of disparity per dioptre")
    if focus is None:
        return
    if not (np.isfinite(focus) and focus >= 0):
        raise ValueError(f"focus ({focus:g} dioptre) must be zero or positive: the inverse distance of zero disparity")
    if quantity != "disparity" or px_per_dioptre is None:
        raise ValueError(f"focus ({focus:g} dioptre) makes a disparity metric only together with px_per_dioptre and "
                         "quantity disparity; give all three (--quantity disparity --px-per-dioptre), or leave focus out")


def _named(values, path, quantity, px_per_dioptre, focus):
    """Plain numbers to a DepthMap of what they are said to be."""
    scale = "metric"
    if quantity == "depth":
        if np.any(values <= 0):
            raise ValueError(f"{path}: holds depths at or below 0 m (smallest {np.nanmin(values):g} m); mark unknown pixels "
                             "as NaN, or name what the numbers are with --quantity inverse-depth or disparity")
        values = 1 / values
    elif quantity == "disparity" and px_per_dioptre is not None and focus is not None:
        values = focus + values / px_per_dioptre
    elif quantity == "disparity":
        scale = "affine"
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    return DepthMap(values, np.full_like(values, np.nan), scale, f"{quantity} of {path.name}")


def read_mask(path, shape=None) -> np.ndarray:
    """(H, W) bool of a tiff, png or npy file: True where it is neither 0 nor NaN.  A colour file counts where any channel
    does.

    shape   the size that it must have, None = any
    Raises OSError for a file that is missing, damaged or of another kind, ValueError when the size does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise OSError(f"{path}: no such file; check the path of the mask")
    if path.suffix.lower() not in (".tif", ".tiff", ".png", ".npy"):
        raise OSError(f"{path}: a mask must be a tiff, png or npy file that is not 0 where pixels count")
    values = _READERS[path.suffix.lower()](path)
    values = np.nan_to_num(values[..., :3]).any(axis=2) if values.ndim == 3 else values
    if values.ndim != 2:
        raise OSError(f"{path}: an array of shape {values.shape} is not an (H, W) mask")
    if shape is not None and values.shape != tuple(shape):
        raise ValueError(f"{path}: the mask is {values.shape[1]} x {values.shape[0]} px but the depth map is "
                         f"{shape[1]} x {shape[0]} px; give a mask of the reference image's size, unrotated")
    return np.nan_to_num(values) != 0


def _self_described(found, path, scale, told):
    if told:
        raise ValueError(f"{path}: says itself that it is {found.scale} [{found.unit}]; leave --quantity out")
    if scale is not None:
        raise ValueError(f"{path}: says itself that its unit is {found.unit}; leave --scale out")
    return found


def _in_units(values, path, scale):
    """Plain numbers to float64 with NaN = unknown."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise OSError(f"{path}: an array of shape {values.shape} is not an (H, W) depth map; save one channel")
    if not values.size:
        raise OSError(f"{path}: {values.shape[1]} x {values.shape[0]} px hold no pixel; the file is empty, save it again")
    if values.dtype.kind == "f":
        return values.astype(float) * (1.0 if scale is None else scale)
    if values.dtype.kind not in "iu":
        raise OSError(f"{path}: {values.dtype} numbers are not a depth map; save floats, or integers with --scale")
    if scale is None:
        raise ValueError(f"{path}: holds integers ({values.dtype}), whose unit is unknown; pass --scale, of a "
                         "result --result-scale, the metres per unit (0.001 for millimetres)")
    return np.where(values == 0, np.nan, values * float(scale))


def _read_folder(folder):
    if (folder / "result.json").is_file():
        return _read_result(folder)
    if (folder / "truth.json").is_file():
        return _read_truth(folder)
    raise OSError(f"{folder}: holds neither result.json (dfd depth) nor truth.json (dfd simulate); name a depth "
                  "file in it (a light field: its .pfm with --quantity disparity --px-per-dioptre B --focus F)")


def _read_result(folder):
    """Undo what io.results did: subtract the offset of the origin, and metres to dioptres."""
    record = _read_json(folder / "result.json")
    values, sigma = (read_values(folder / name).astype(float) for name in ("depth.tiff", "sigma.tiff"))
    try:
        scale, solver = record["scale"]["name"], record["solver"]["name"]
        offset = record["origin"]["offset_m"] if scale == "metric" else 0.0
    except (KeyError, TypeError) as error:
        raise OSError(f"{folder / 'result.json'}: no {error} in it; was it written by dfd depth?") from error
    if scale == "metric":
        values, sigma = _dioptres(values - offset, sigma)
    return DepthMap(values.astype(np.float32), sigma.astype(np.float32), scale, solver)


def _dioptres(depth, sigma):
    """Inverse of DepthMap.depth and .depth_sigma: h = s / (q^2 - s^2) solved for s; unknown where h is infinite."""
    inverse = 1 / depth
    half = np.where(np.isfinite(sigma), sigma, np.nan)
    return inverse, 2 * half * inverse**2 / (1 + np.sqrt(1 + 4 * half**2 * inverse**2))


def _read_truth(folder):
    record = _read_json(folder / "truth.json")
    unit = record.get("unit") if isinstance(record, dict) else None
    values = read_values(folder / "truth.tiff").astype(float)
    scale = _TRUTHS.get(unit)
    if scale is None:
        raise OSError(f"{folder / 'truth.json'}: unit ({unit!r}) must be {', '.join(_TRUTHS)}; was it written by dfd?")
    values = (1 / values if unit == "m" else values).astype(np.float32)
    return DepthMap(values, np.full_like(values, np.nan), scale, "truth")


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OSError(f"{path}: not valid JSON; the file is damaged") from error


def _read_npy(path):
    try:
        with open(path, "rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise OSError(f"{path}: not a NumPy array; the file is cut or of another kind") from error


def _read_npz(path):
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            names = stored.files
            lone = stored[names[0]] if len(names) == 1 else None
    except (ValueError, TypeError, EOFError, AttributeError, RuntimeError, BadZipFile, zlib.error, OSError) as error:
        raise OSError(f"{path}: not a NumPy archive; the file is cut or of another kind") from error
    if lone is None and not {"values", "sigma", "scale"} <= set(names):
        raise OSError(f"{path}: holds {len(names)} arrays ({', '.join(names[:5])}) and is no saved DepthMap; save the one "
                      "array of depth")
    return DepthMap.load(path) if lone is None else lone


_READERS = {".tif": read_values, ".tiff": read_values, ".png": read_values, ".pfm": read_pfm, ".npy": _read_npy,
            ".npz": _read_npz}
