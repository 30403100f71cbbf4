"""The door of the reference methods: from a light field to a depth map, by name."""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import array_module
from dfd.depthmap import DepthMap
from dfd.lightfield import LightField
from dfd.references import correspondence, phaseshift
from dfd.references.views import prepare, search_range

METHODS = {"phase-shift": phaseshift.find, "defocus-correspondence": correspondence.find}
"""Name -> (views, (least, largest) disparity) -> (disparity, sigma) [px per view step]."""


def reference_depth(lightfield: LightField, *, method: str = "phase-shift", disparities=None) -> DepthMap:
    """Disparity of the reference view [px per view step, positive = nearer], from the light field alone: scale affine.

    method        "phase-shift": precise, fast, NaN where nothing can be told, sigma from noise, texture and edges
                  "defocus-correspondence": Tao et al. 2013, the classical method to compare with; on a grid, smooth
    disparities   (least, largest) [px per view step] to look within; None: found from the views, within +-16 px
    With a camera, `lightfield.to_depth(result)` makes it metric; `lightfield.disparity` is never read.
    Maps are where the views are; views on a GPU work in whole-array operations, and "defocus-correspondence" solves its last
    system of equations on the CPU.
    Raises TypeError for anything but a light field; ValueError for an unknown method, a range that holds nothing, fewer than
    three views, views below 24 px, where no range can be found, and for more than 512 labels or 8 GB of "phase-shift".
    """
    if not isinstance(lightfield, LightField):
        raise TypeError(f"lightfield ({type(lightfield).__name__}) must be a LightField; read one with dfd.read_light_field")
    if method not in METHODS:
        raise ValueError(f"method ({method!r}) must be one of {', '.join(METHODS)}")
    limits = None if disparities is None else _limits(disparities)
    views = prepare(lightfield)
    if views is None:
        xp = array_module(lightfield.views)
        unknown = xp.full(lightfield.shape, np.nan, dtype=np.float32)
        return DepthMap(unknown, unknown, "affine", method)
    value, sigma = METHODS[method](views, search_range(views) if limits is None else limits)
    return DepthMap(value, sigma, "affine", method)


def _limits(disparities):
    """(least, largest) as floats.  Raises ValueError for anything else."""
    try:
        low, high = (float(end) for end in disparities)
    except (TypeError, ValueError):
        raise ValueError(f"disparities ({disparities!r}) must be (least, largest) [px per view step], for instance "
                         "(-2, 2), or None to find them") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"disparities ({low:g}, {high:g}) px per view step must be finite and rise; give the least first")
    return low, high
