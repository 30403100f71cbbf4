"""Maps of a light field: what a disparity may hold, its range, and the way between disparity and metric depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dfd.backend import array_module
from dfd.depthmap import DepthMap

_MOST_BEYOND = 0.5
"""Share of the known pixels that may lie beyond infinity: more is no outlier, but another sign or camera."""


def check_disparity(disparity, shape) -> None:
    """Raises ValueError for a disparity of another size than `shape` or that is infinite, TypeError for another dtype."""
    if tuple(disparity.shape) != shape:
        raise ValueError(f"disparity {tuple(disparity.shape)} must have the size of the views {shape}")
    if str(disparity.dtype) != "float32":
        raise TypeError(f"disparity ({disparity.dtype}) of a light field must be float32, NaN = unknown")
    infinite = int(array_module(disparity).isinf(disparity).sum())
    if infinite:
        raise ValueError(f"disparity of a light field is infinite at {infinite} px; NaN alone means unknown, put it there")


def finite_range(values) -> tuple[float, float] | None:
    """(least, largest) of what is not NaN; None where everything is."""
    xp = array_module(values)
    known = xp.isfinite(values)
    if not bool(known.any()):
        return None
    least, largest = xp.where(known, values, np.float32(np.inf)).min(), xp.where(known, values, np.float32(-np.inf)).max()
    return float(least), float(largest)


def range_before_infinity(disparity, camera) -> tuple[float, float] | None:
    """(least, largest) disparity [px per view step] of the points that a camera sees before infinity; None without any."""
    xp = array_module(disparity)
    return finite_range(xp.where(camera.inverse_depth(disparity) > 0, disparity, np.float32(np.nan)))


def to_depth(result: DepthMap, camera) -> DepthMap:
    """A map of disparity (affine, px per view step) as metric one, see `LightField.to_depth`."""
    if result.scale != "affine":
        raise ValueError(f"a map of scale {result.scale} is no disparity; to_depth takes scale affine [px per view step]")
    xp = array_module(result.values)
    values = camera.inverse_depth(result.values)
    known = xp.isfinite(values)
    before = known & (values > 0)
    beyond, count = int((known & ~before).sum()), int(known.sum())
    if beyond > _MOST_BEYOND * count:
        low = finite_range(result.values)[0]
        raise ValueError(f"disparity lies beyond infinity for this camera at {beyond} of {count} px (down to {low:.3g} px, "
                         f"{camera.inverse_depth(low):.3g} dioptre); is its sign reversed, or the camera another one?")
    metric = replace(result, values=values.astype(np.float32), scale="metric",
                     sigma=(result.sigma / np.float32(camera.disparity_rate)).astype(np.float32))
    return metric.keep(before) if beyond else metric


def to_disparity(result: DepthMap, camera) -> DepthMap:
    """A metric map as disparity (affine, px per view step), see `LightField.to_disparity`."""
    if result.scale != "metric":
        raise ValueError(f"a map of scale {result.scale} has no inverse depth; to_disparity takes a metric one")
    return replace(result, values=camera.disparity(result.values).astype(np.float32), scale="affine",
                   sigma=(result.sigma * np.float32(camera.disparity_rate)).astype(np.float32))


def need_host(job: str, *arrays) -> None:
    """Raises TypeError for arrays on the GPU, which a `job` of the CPU cannot read."""
    if any(array_module(array) is not np for array in arrays):
        raise TypeError(f"{job} works on the CPU, but this light field or map lies on the GPU; move its arrays with "
                        "dfd.backend.to_numpy first")
