"""What is compared: the scale of the errors, maps on its axis, the pixels that count, and what JSON can hold."""

from __future__ import annotations

import math
from numbers import Integral
from os import PathLike

import numpy as np

from dfd.backend import to_numpy
from dfd.capture import SCALES
from dfd.depthmap import DepthMap

SUFFIXES = {"metric": "dpt", "stage": "stage_m", "steps": "frames", "affine": "px", "reference": "reference_units"}
"""Ending of a key that holds an error on the axis of each scale: rmse_dpt, rmse_stage_m, rmse_frames, rmse_px."""

AXES = SCALES | {"reference": "unit of the reference"}
"""Unit of the axis of each scale."""


def scales(result, reference, align):
    """Scale of the result and scale in which errors are stated; they differ only after a fit of values to a reference."""
    given = [item.scale if isinstance(item, DepthMap) else None for item in (result, reference)]
    of_result, of_reference = given[0] or given[1] or "metric", given[1] or given[0] or "metric"
    fitted = align in ("affine", "monotone")
    if fitted and given[1] is None and of_result != "metric":
        return of_result, "reference"
    if of_result != of_reference and not fitted:
        raise ValueError(f"result has scale {of_result} [{SCALES[of_result]}] but reference has scale {of_reference} "
                         f"[{SCALES[of_reference]}]; they can be held against each other only with align affine or monotone")
    return of_result, of_reference


def on_axis(item, scale, name):
    """(values, sigma or None) in dioptres (metric) or the scale's own unit, NaN = unknown."""
    if isinstance(item, DepthMap):
        host = item.numpy()
        known = host.valid & np.isfinite(host.sigma)
        return np.where(host.valid, host.values, np.float32(np.nan)), host.sigma if known.any() else None
    if isinstance(item, str | PathLike):
        raise TypeError(f"{name} ({item}) is a path; read it with dfd.io.maps.read_map, or use `dfd compare` on files")
    values = np.asarray(to_numpy(item), dtype=float)
    if values.ndim != 2:
        raise ValueError(f"{name} (shape {values.shape}) must be one (H, W) map")
    if scale != "metric":
        return np.where(np.isfinite(values), values, np.nan), None
    if np.any(values <= 0):
        raise ValueError(f"{name} holds depths at or below 0 m (smallest {np.nanmin(values):g} m); mark unknown pixels "
                         "as NaN; say what the numbers are (--quantity) or pass a DepthMap where these are not metres")
    return 1 / values, None


def selection(shape, mask, border):
    """(H, W) bool of the pixels that count."""
    if not (isinstance(border, Integral) and 0 <= border < min(shape) / 2):
        raise ValueError(f"border ({border} px) must be a whole number, zero or positive, and leave some of the "
                         f"{shape[1]} x {shape[0]} px map")
    inside = np.zeros(shape, dtype=bool)
    inside[border:shape[0] - border, border:shape[1] - border] = True
    return inside if mask is None else inside & as_mask(mask, shape, "mask")


def as_mask(mask, shape, name):
    """(H, W) bool, True where `mask` is neither 0 nor unknown (NaN)."""
    mask = np.asarray(to_numpy(mask))
    if mask.shape != tuple(shape):
        raise ValueError(f"{name} is {size(mask.shape)} but the maps are {shape[1]} x {shape[0]} px; make them equal")
    return (mask != 0) & (mask == mask)  # NaN is not itself


def taken(mask, *arrays):
    """Each array where `mask` is True; the arrays themselves where it is everywhere, for large ones are slow to copy."""
    return arrays if mask.all() else tuple(array[mask] for array in arrays)


def plain(item):
    """JSON types only: no NumPy scalar, and None for what is not finite."""
    if isinstance(item, dict):
        return {key: plain(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [plain(value) for value in item]
    if isinstance(item, np.integer):
        return int(item)
    if isinstance(item, (float, np.floating)):
        return float(item) if math.isfinite(item) else None
    return item


def size(shape):
    """A shape in words: 640 x 480 px."""
    return f"{shape[1]} x {shape[0]} px" if len(shape) == 2 else f"of shape {tuple(shape)}"
