"""Figures of the HCI 4D Light Field Benchmark, in px of disparity: bad pixels, MSE, Q25, bumpiness, normals, regions.

Honauer et al. 2016, section 4, and the evaluation code as released, its quirks included but one: there |NaN| > t is false,
so that unknown pixels are good.  Here they are bad; what the benchmark would say has a name of its own.
"""

from __future__ import annotations

import numpy as np

from dfd.evaluate.surface import bumpiness, normal_errors

REGIONS = ("planes", "surfaces", "discontinuities", "fine", "fine_surrounding")
"""Masks that the benchmark scores by themselves: flat and curved smooth surfaces, depth edges, thin things, their rims."""

_LIMITS = {"badpix_07": 0.07, "badpix_03": 0.03, "badpix_01": 0.01}  # px
_FINE = 0.15  # px
_CLIP = 0.05  # px per px^2, of the operator


def pixel_figures(estimate, truth) -> dict:
    """Figures of (n,) results, NaN = unknown, and known references in px."""
    error = np.abs(estimate - truth)
    known = error[np.isfinite(error)]
    figures = {name: bad_share(error, limit) for name, limit in _LIMITS.items()}
    figures["badpix_07_nan_counts_good"] = 100 * float(np.count_nonzero(known > _LIMITS["badpix_07"])) / error.size
    if not known.size:
        return figures | {"mse_x100": None, "q25_x100": None}
    at = int(0.25 * known.size)
    return figures | {"mse_x100": 100 * float(np.mean(known**2)), "q25_x100": 100 * float(np.partition(known, at)[at])}


def bad_share(error, limit) -> float | None:
    """Percent of (n,) |errors| above the limit, or unknown."""
    return 100 * float(np.mean(~(error <= limit))) if error.size else None


def region_figures(difference, wanted, regions) -> dict:
    """Figures of (H, W) results minus references in px, of the pixels `wanted` (H, W) bool, there and in each region."""
    figures = _bumpiness_figures(difference, wanted, regions)
    figures["regions"] = sorted(regions)
    edges, thin, around = (difference[wanted & regions[name]] if name in regions else None
                           for name in ("discontinuities", "fine", "fine_surrounding"))
    if edges is not None:
        figures["badpix_07_discontinuities"] = bad_share(np.abs(edges), _LIMITS["badpix_07"])
    if thin is not None:
        figures["fine_thinning"] = bad_share(-thin, _FINE)
    if around is not None:
        figures["fine_fattening"] = bad_share(around, _FINE)
    return figures


def _bumpiness_figures(difference, wanted, regions):
    rough = bumpiness(difference)
    np.minimum(rough, _CLIP, out=rough)
    figures = {}
    for name, mask in _places(wanted, regions):
        values = rough[mask]
        known = values[np.isfinite(values)]
        figures[f"bumpiness{name}_x100"] = 100 * float(known.mean()) if known.size else None
        figures[f"bumpiness{name}_density"] = known.size / values.size if values.size else None
    return figures


def normal_figures(estimate, truth, wanted, regions, intrinsics, *, hci) -> dict:
    """Median angles [degree] between normals of (H, W) inverse depths [dioptre], where `wanted` and in smooth regions.

    intrinsics   (fx, fy, cx, cy) in px
    hci          also as the benchmark takes them: lateral coordinates count half and from the first pixel on, W - 1 pixels
                 span the larger side, and the picture wraps round.  Elsewhere than on squares its code stops; here the
                 larger side is meant
    """
    height, width = estimate.shape
    fx, fy, cx, cy = intrinsics
    columns, rows = np.arange(width), np.arange(height)
    kinds = {"normal_error": ((columns - cx) / fx, (rows - cy) / fy, False)}
    if hci:
        side = max(height, width)
        step = 0.5 * side / (fx * max(side - 1, 1))
        kinds["hci_normal_error"] = columns * step, rows * step, True
    figures = {}
    for kind, (horizontal, vertical, wrapped) in kinds.items():
        angles = normal_errors(estimate, truth, horizontal, vertical, wrapped=wrapped)
        for name, mask in _places(wanted, regions):
            values = angles[mask]
            known = values[np.isfinite(values)]
            figures[f"{kind}{name}_deg"] = float(np.median(known)) if known.size else None
    return figures


def _places(wanted, regions):
    """(ending of a key, pixels) of the whole and of the two regions that are smooth."""
    return [("", wanted), *((f"_{name}", wanted & regions[name]) for name in ("planes", "surfaces") if name in regions)]
