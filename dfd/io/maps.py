"""Read a depth map to be judged, or to judge by: a folder of dfd, or a tiff, pfm, npy, npz or 16-bit png file."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dfd.depthmap import DepthMap
from dfd.io.images import read_values

_PFM = re.compile(rb"(P[Ff])\s(?:\s*#[^\n]*\n)*\s*(\d+)\s+(\d+)\s+([-+.0-9eE]+)[ \t\r]*\n")


def read_map(path, *, scale: float | None = None):
    """A DepthMap where the file says what its numbers are, else an (H, W) float64 array with NaN = unknown.

    a folder    of `dfd depth` (result.json) or of `dfd simulate` (truth.json): a DepthMap from the entrance pupil
    .npz        a DepthMap written by DepthMap.save, or a file that holds one array
    .tiff .npy  floats as they are, infinity included; integers need `scale`, and 0 = unknown
    .png        integers: need `scale`, and 0 = unknown
    .pfm        floats, infinity = unknown; the sign of its own scale gives the byte order, the size is ignored
    scale       metres (or the result's unit) per unit of the file; multiplies the numbers of a plain file
    Raises OSError for a file that is missing, damaged or of another kind, ValueError for a missing or needless scale.
    """
    path = Path(path)
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale ({scale:g} m per unit of the file) must be positive")
    if path.is_dir():
        return _self_described(_read_folder(path), path, scale)
    if not path.is_file():
        raise OSError(f"{path}: no such file or folder; check the path")
    try:
        found = _READERS[path.suffix.lower()](path)
    except KeyError:
        raise OSError(f"{path}: not a depth map that dfd reads; give a tiff, pfm, npy, npz or 16-bit png file, or a "
                      "folder of dfd") from None
    return _self_described(found, path, scale) if isinstance(found, DepthMap) else _in_units(found, path, scale)


def read_mask(path, shape=None) -> np.ndarray:
    """(H, W) bool of a tiff, png or npy file: True where it is not 0.  A colour file counts where any channel does.

    shape   the size that it must have, None = any
    Raises OSError for a file that is missing, damaged or of another kind, ValueError when the size does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise OSError(f"{path}: no such file; check the path of the mask")
    if path.suffix.lower() not in (".tif", ".tiff", ".png", ".npy"):
        raise OSError(f"{path}: a mask must be a tiff, png or npy file that is not 0 where pixels count")
    values = _READERS[path.suffix.lower()](path)
    values = values[..., :3].any(axis=2) if values.ndim == 3 else values
    if values.ndim != 2:
        raise OSError(f"{path}: an array of shape {values.shape} is not an (H, W) mask")
    if shape is not None and values.shape != tuple(shape):
        raise ValueError(f"{path}: the mask is {values.shape[1]} x {values.shape[0]} px but the depth map is "
                         f"{shape[1]} x {shape[0]} px; give a mask of the reference image's size, unrotated")
    return np.nan_to_num(values) != 0


def _self_described(found, path, scale):
    if scale is not None:
        raise ValueError(f"{path}: says itself that its unit is {found.unit}; leave --scale out")
    return found


def _in_units(values, path, scale):
    """Plain numbers to float64 with NaN = unknown."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise OSError(f"{path}: an array of shape {values.shape} is not an (H, W) depth map; save one channel")
    if values.dtype.kind == "f":
        return values.astype(float) * (1.0 if scale is None else scale)
    if values.dtype.kind not in "iu":
        raise OSError(f"{path}: {values.dtype} numbers are not a depth map; save floats, or integers with --scale")
    if scale is None:
        raise ValueError(f"{path}: holds integers ({values.dtype}), whose unit is unknown; pass --scale, the metres "
                         "per unit (0.001 for millimetres)")
    return np.where(values == 0, np.nan, values * float(scale))


def _read_folder(folder):
    if (folder / "result.json").is_file():
        return _read_result(folder)
    if (folder / "truth.json").is_file():
        return _read_truth(folder)
    raise OSError(f"{folder}: holds neither result.json (dfd depth) nor truth.json (dfd simulate); name a depth "
                  "file in it")


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
    if unit not in ("m", "dioptre"):
        raise OSError(f"{folder / 'truth.json'}: unit ({unit!r}) must be m or dioptre; was it written by dfd simulate?")
    values = (1 / values if unit == "m" else values).astype(np.float32)
    return DepthMap(values, np.full_like(values, np.nan), "metric", "truth")


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
    return DepthMap.load(path) if lone is None else lone


def _read_pfm(path):
    """(H, W) float32; rows run bottom-up in the file (Debevec's portable float map)."""
    data = path.read_bytes()
    header = _PFM.match(data)
    if header is None or header[1] != b"Pf":
        raise OSError(f"{path}: not a PFM file of one channel (it must begin with Pf, width, height and scale)")
    width, height = int(header[2]), int(header[3])
    order = "<f4" if float(header[4]) < 0 else ">f4"
    if len(data) - header.end() < 4 * width * height:
        raise OSError(f"{path}: {len(data) - header.end()} bytes of pixels instead of {4 * width * height} for "
                      f"{width} x {height}; the file is cut")
    values = np.frombuffer(data, order, width * height, header.end()).reshape(height, width)[::-1].astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))


_READERS = {".tif": read_values, ".tiff": read_values, ".png": read_values, ".pfm": _read_pfm, ".npy": _read_npy,
            ".npz": _read_npz}
