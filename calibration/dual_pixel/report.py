"""What `dfd-calibrate dual-pixel` shows: places of the field with their sigmas, chi2, the stopped-down captures."""

from __future__ import annotations

import math

import numpy as np

from calibration.dual_pixel.checks import MOST_CHI2
from calibration.dual_pixel.job import FieldCalibration

_PLACES = {"centre": (0.5, 0.5), "left": (0.5, 0), "right": (0.5, 1), "top": (0, 0.5), "bottom": (1, 0.5),
           "upper left": (0, 0), "upper right": (0, 1), "lower left": (1, 0), "lower right": (1, 1)}
"""Name -> share of the rows and columns."""

_ORIGINS = {"pupil": "entrance pupil", "sensor": "sensor mark"}


def field_lines(field: FieldCalibration) -> list[str]:
    """The table of a calibration."""
    lens, rows = field.flats[0].lens, field.usable.shape[0]
    lines = [f"{len(field.flats)} distances, {', '.join(f'{flat.distance:g}' for flat in field.flats)} m from the "
             f"{_ORIGINS[field.flats[0].origin]}; lens focused at {lens.focus:.4f} dioptre from the entrance pupil, "
             f"f/{lens.f_number:.3g}, blur rate {lens.blur_rate:.4g} px/dioptre",
             f"{field.usable.sum()} of {field.usable.size} tiles ({field.usable.shape[1]} x {rows}) measured",
             f"  {'tile':<12} {'kappa':>18} {'focus [dioptre]':>20}" + "".join(
                 f" {f'd [px] {flat.distance:g} m':>16}" for flat in field.flats)]
    for name, place in _PLACES.items():
        if not all(_has(share, count) for share, count in zip(place, field.usable.shape, strict=True)):
            continue
        at = tuple(round(share * (count - 1)) for share, count in zip(place, field.usable.shape, strict=True))
        lines.append(f"  {name:<12} {field.kappa.values[at]:>8.4f} +- {field.kappa.sigma[at]:.4f} "
                     f"{field.focus.values[at]:>10.4f} +- {field.focus.sigma[at]:.4f}"
                     + "".join(f" {flat.tiles.disparity[at]:>+8.3f} +- {flat.tiles.sigma[at]:.3f}" for flat in field.flats))
    chi2 = "needs a third distance" if field.chi2_dof is None else f"{field.chi2_dof:.2f} (1 = as the sigmas say)"
    lines.append(f"chi2 per degree of freedom of the lines through the distances: {chi2}")
    shown = (surface.chi2_dof for surface in (field.kappa, field.focus))
    kappa, focus = map(_smoothness, shown)
    lines.append(f"chi2 per degree of freedom of a quadratic polynomial over the tiles: kappa {kappa}, focus {focus}")
    return [*lines, *check_lines(field.checks), *(f"warning: {text}" for text in field.warnings)]


def _has(share, count):
    """Whether a place has a tile of its own: one tile lies in the middle, two lie on either side."""
    return count > 2 or (share == 0.5) == (count == 1)


def _smoothness(chi2):
    if chi2 is None:
        return "unknown"
    off = "smooth" if chi2 <= MOST_CHI2 else f"not smooth: tiles lie {math.sqrt(chi2):.1f} of their sigmas off it"
    return f"{chi2:.2f} ({off})"


def check_lines(checks) -> list[str]:
    """One line per stopped-down capture."""
    return [f"{item.folder}: stopped down, disparity within {abs(item.worst):.3f} px of 0 in every tile (at most "
            f"{item.limit:.2f} px is fine)" for item in checks]


def as_json_types(found) -> dict:
    """A calibration, or stopped-down captures alone, as JSON types; units in the keys."""
    if not isinstance(found, FieldCalibration):
        return {"checks": [_check(item) for item in found]}
    return {
        "kappa_grid": found.kappa.values.tolist(), "kappa_sigma_grid": found.kappa.sigma.tolist(),
        "focus_dpt_grid": found.focus.values.tolist(), "focus_sigma_dpt_grid": found.focus.sigma.tolist(),
        "measured_grid": found.usable.tolist(), "chi2_dof": found.chi2_dof,
        "smooth_chi2_dof": {"kappa": found.kappa.chi2_dof, "focus": found.focus.chi2_dof},
        "blur_rate_px_per_dpt": found.flats[0].lens.blur_rate, "focus_setting_dpt": found.flats[0].lens.focus,
        "flats": [{"folder": str(flat.folder), "distance_m": flat.distance, "inverse_depth_dpt": flat.inverse_depth,
                   "disparity_px": _known(flat.tiles.disparity), "sigma_px": _known(flat.tiles.sigma)}
                  for flat in found.flats],
        "checks": [_check(item) for item in found.checks], "warnings": list(found.warnings),
    }


def _check(item):
    return {"folder": str(item.folder), "worst_px": item.worst, "limit_px": item.limit,
            "disparity_px": _known(item.tiles.disparity)}


def _known(grid):
    return [[float(value) if np.isfinite(value) else None for value in row] for row in grid]
