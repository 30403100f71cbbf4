"""`dfd.show`: any result, capture, light field, lens or array as a small picture for a notebook."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dfd.backend import to_numpy
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.lightfield import LightField
from dfd.profile import LensProfile
from dfd.report.axes import Axis
from dfd.report.figures import as_map, common_limits, depth_panel, error_panel, round_limit, shown_numbers, sigma_panel
from dfd.report.panels import Panel, Picture, assemble
from dfd.report.pictures import develop, gain_of, paint_map, shrink
from dfd.report.portraits import capture_panels, lens_panels, lightfield_panels


def show(item, *, reference=None, title=None) -> Picture:
    """A picture of an item, which a notebook shows and `.save("x.png")` writes.

    DepthMap      depth with its scale bar (metres, or the unit of its scale, named), and its 1-sigma where it states one
    Capture       its images side by side in one brightness, with focus and f-number; at most six
    LightField    reference view, outermost views, epipolar slice, disparity
    LensProfile   focus and blur rate over the focus coordinate
    array         (H, W): a map of numbers in colours; (H, W, 3) or (H, W, 1): a picture, linear light, or uint8 as it is
    reference     for a DepthMap or an (H, W) array, what it should be, a DepthMap or (H, W) array (metres for a metric
                  map): item and reference on the same colours, and the error
    Raises TypeError for anything else, ValueError where item and reference do not fit or there is nothing to draw.
    """
    if isinstance(item, DepthMap):
        panels = _map_panels(item.numpy(), reference)
    elif reference is not None and not (hasattr(item, "ndim") and item.ndim == 2):
        raise TypeError(f"a reference goes with a DepthMap or an (H, W) array, not with {type(item).__name__}; "
                        "leave it out")
    elif isinstance(item, Capture):
        panels, words = capture_panels(item)
        return assemble(panels, columns=min(len(panels), 4 if len(panels) == 4 else 3), title=title or words)
    elif isinstance(item, LensProfile):
        panels, words = lens_panels(item)
        return assemble(panels, title=title or words)
    elif isinstance(item, LightField):
        panels, words = lightfield_panels(item)
        return assemble(panels, columns=3, title=title or words)
    else:
        panels = _array_panels(item, reference)
    return assemble(panels, title=title)


def _map_panels(result, reference):
    """Depth and sigma, or result, reference and error on the same colours."""
    if reference is None:
        known = np.isfinite(result.sigma).any()
        return [depth_panel(result)] if not known else [depth_panel(result, title=_what(result)), sigma_panel(
            result, title="its 1-sigma")]
    truth = as_map(reference, result)
    limits, (_, axis) = common_limits(truth, result), shown_numbers(truth)
    axis = replace(axis, label=shown_numbers(result)[1].label) if result.scale == "affine" else axis
    return [depth_panel(result, limits=limits, title=_what(result), axis=axis),
            depth_panel(truth, limits=limits, title="reference", axis=axis),
            error_panel(result, truth, title="result \N{MINUS SIGN} reference")]


def _array_panels(item, reference):
    array = np.asarray(to_numpy(item)) if hasattr(item, "ndim") else None
    if array is None or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)) or not array.size:
        what = type(item).__name__ if array is None else f"an array of shape {array.shape}"
        raise TypeError(f"{what} cannot be shown; pass a DepthMap, Capture, LightField, LensProfile, or an array of shape "
                        "(H, W), (H, W, 1) or (H, W, 3)")
    if array.ndim == 3:
        ready = array.dtype == np.uint8
        light = shrink(np.broadcast_to(array, (*array.shape[:2], 3)) if ready else array.astype(np.float32))
        return [Panel(light if ready else develop(light, gain_of(light)))]
    numbers = array.astype(np.float32)
    if reference is None:
        return [_number_panel(numbers)]
    other = np.asarray(to_numpy(reference), dtype=np.float32)
    if other.shape != numbers.shape:
        raise ValueError(f"the array {numbers.shape} and its reference {other.shape} must have one shape (H, W)")
    known = np.concatenate([part[np.isfinite(part)] for part in (other, numbers)])
    ends = tuple(np.percentile(known, (1, 99))) if known.size else (0.0, 1.0)
    limits = ends if ends[1] > ends[0] else (ends[0] - 0.5, ends[1] + 0.5)
    error = numbers - other
    size = np.abs(error[np.isfinite(error)])
    reach = round_limit(float(np.percentile(size, 98))) if size.size else 1.0
    return [_number_panel(numbers, limits, "values"), _number_panel(other, limits, "reference"),
            Panel.of(paint_map(np.clip(error, -reach, reach), Axis("values \N{MINUS SIGN} reference"), colours="RdBu_r",
                               limits=(-reach, reach)), "difference")]


def _number_panel(numbers, limits=None, title=""):
    painted = paint_map(numbers, Axis("value"), limits=limits)
    return Panel.of(painted, title, f"known {1 - painted.unknown:.1%}")


def _what(result):
    name = "depth" if result.scale == "metric" else f"values, scale {result.scale}"
    return f"{name} by {result.method}" if result.method else name
