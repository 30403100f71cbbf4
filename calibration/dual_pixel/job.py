"""The job of `dfd-calibrate dual-pixel`: flats at known distances -> kappa and focus over the picture -> LensProfile.

Every tile of the picture has a line of its own,

    disparity_px = rate (inverse_depth - focus)        kappa = rate / blur_rate, no unit; focus in dioptres

two unknowns, so two distances measure it and more test it (chi2).  Disparity and its sigma come from `dual_pixel_tiles`,
the distances add theirs.  Where tiles are not usable, a polynomial through the others takes their place.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from calibration.dual_pixel.checks import check_alike, check_distances, check_kappa, check_sign, doubts
from calibration.dual_pixel.field import Surface, smooth
from calibration.dual_pixel.flats import Flat, Optics, StoppedDown, read_flat, read_stopped_down
from calibration.shoot.distances import find_targets
from dfd import __version__
from dfd.io.integrity import sha256
from dfd.lensfile import SCHEMA, SCHEMA_VERSION, section

ESTIMATOR = "ssd_shift_v1"
"""How disparity was measured: the shift of least squares over the whole spectrum, as solvers measure it as well."""

_MOST_SIGMA = 0.25
"""1-sigma of kappa over kappa beyond which a tile is not usable."""


@dataclass(frozen=True, eq=False)
class FieldCalibration:
    """What was found.

    kappa, focus       Surface: (rows, columns) disparity / coc and inverse depth of zero disparity [dioptre]
    usable             (rows, columns) bool: the tile is its own; elsewhere the polynomial stands
    chi2_dof           of the lines through more than two distances, over all tiles; None for two
    flats              by rising distance;   checks   the stopped-down captures
    """

    kappa: Surface
    focus: Surface
    usable: np.ndarray
    chi2_dof: float | None
    flats: tuple[Flat, ...]
    checks: tuple[StoppedDown, ...]
    warnings: tuple[str, ...]


def check_stopped_down(folders, *, profile=None, grid=None, swap=False, axis=None, progress=None) -> tuple[StoppedDown, ...]:
    """Measure captures at a small aperture, whose views must not differ.

    Raises ValueError, naming folder and disparity, when one of them does; OSError for files.
    """
    checks = []
    for index, folder in enumerate(folders):
        checks.append(read_stopped_down(folder, profile=profile, grid=grid, swap=swap, axis=axis))
        if not checks[-1].passed:
            raise ValueError(f"{folder}: disparity is {checks[-1].worst:+.2f} px in a tile, at most "
                             f"{checks[-1].limit:.2f} px is fine in a stopped-down capture; was the lens wide open? stop it "
                             "down to about f/20; if it was not, the views are shifted against each other before any "
                             "blur: export them anew, without alignment or lens corrections")
        if progress is not None:
            progress("check", index + 1, len(folders))
    return tuple(checks)


def calibrate_dual_pixel(targets, *, profile=None, optics: Optics | None = None, origin=None, distance_sigma=0.001,
                         grid=None, swap=False, axis=None, check=(), progress=None) -> FieldCalibration:
    """kappa and focus from flat, textured targets that face the camera at two or more distances, one focus, one aperture.

    targets          words `0.6=folder` (metres), or one CSV with columns folder, distance_m
    profile          LensProfile of the lens;   optics   what wins over EXIF and capture.toml
    origin           where distances, that of focus too, count from: "pupil", "sensor", None: what distance_from of
                     capture.toml says
    distance_sigma   1-sigma of each distance [m];   grid   (rows, columns) of tiles
    swap, axis       exchange the views; "x" or "y", along which they differ (None: what capture.toml says)
    check            folders of stopped-down captures;   progress   called with (stage, done, total)
    Raises OSError for files; ValueError for distances that determine nothing, optics that differ, a target without
    texture, views that are exchanged, or a kappa that no sensor has.
    """
    if not (math.isfinite(distance_sigma) and distance_sigma >= 0):
        raise ValueError(f"distance_sigma ({distance_sigma * 1e3:g} mm) must be zero or positive")
    found = find_targets(targets)
    check_distances([target.distance for target in found])
    checks = check_stopped_down(check, profile=profile, grid=grid, swap=swap, axis=axis, progress=progress)
    flats = []
    for index, target in enumerate(found):
        flats.append(read_flat(target.path, target.distance, profile=profile, optics=optics, origin=origin,
                               sigma=distance_sigma, grid=grid, swap=swap, axis=axis))
        if progress is not None:
            progress("measure", index + 1, len(found))
    return fit_field(sorted(flats, key=lambda flat: flat.distance), checks)


def fit_field(flats, checks=()) -> FieldCalibration:
    """The field of two or more measured flats, by rising distance; errors as in `calibrate_dual_pixel`."""
    check_alike(flats)
    disparity, sigma = (np.stack([getattr(flat.tiles, name) for flat in flats]) for name in ("disparity", "sigma"))
    depth, depth_sigma = (np.array([getattr(flat, name) for flat in flats]) for name in
                          ("inverse_depth", "inverse_depth_sigma"))
    line = _lines(disparity, sigma, depth, depth_sigma)
    check_sign(flats, line)
    blur_rate = flats[0].lens.blur_rate
    kappa, kappa_sigma = line.rate / blur_rate, line.rate_sigma / blur_rate
    usable = np.isfinite(kappa) & (kappa > 0) & (kappa_sigma <= _MOST_SIGMA * kappa)
    if not usable.any():
        raise ValueError(f"{flats[0].folder}: no tile tells kappa to better than {_MOST_SIGMA:.0%}; take distances that lie "
                         "further apart, or a target with more texture")
    check_kappa(flats, float(np.median(kappa[usable])))
    unusable = int((~usable).sum())
    surfaces, outliers = smooth((kappa, line.focus), (kappa_sigma, line.focus_sigma), usable)
    usable = usable & ~outliers
    field = FieldCalibration(*surfaces, usable, line.chi2_dof, tuple(flats), tuple(checks), ())
    return FieldCalibration(*surfaces, usable, line.chi2_dof, tuple(flats), tuple(checks),
                          tuple(doubts(field, unusable, outliers)))


@dataclass(frozen=True, eq=False)
class _Lines:
    """(rows, columns) rate [px/dioptre] and focus [dioptre] of the line of each tile, 1-sigma, and chi2 of all."""

    rate: np.ndarray
    rate_sigma: np.ndarray
    focus: np.ndarray
    focus_sigma: np.ndarray
    chi2_dof: float | None


def _lines(disparity, sigma, depth, depth_sigma) -> _Lines:
    """Weighted straight lines through (K, rows, columns) disparities over K inverse depths, both with errors."""
    column = depth[:, None, None]
    rate = np.zeros(disparity.shape[1:])
    for _ in range(3):  # the distances' share of the variance needs the rate
        variance = sigma**2 + (rate * depth_sigma[:, None, None]) ** 2
        weight = 1 / variance
        total = weight.sum(axis=0)
        middle, level = (weight * column).sum(axis=0) / total, (weight * disparity).sum(axis=0) / total
        spread = (weight * (column - middle) ** 2).sum(axis=0)
        rate = (weight * (column - middle) * (disparity - level)).sum(axis=0) / spread
    with np.errstate(invalid="ignore", divide="ignore"):
        away = level / rate
        focus_sigma = np.sqrt(1 / total + away**2 / spread) / np.abs(rate)
        residual = disparity - level - rate * (column - middle)
        chi2, count = (residual**2 / variance).sum(axis=0), len(depth) - 2
        known = np.isfinite(chi2)
        chi2_dof = float(chi2[known].sum() / (count * known.sum())) if count and known.any() else None
        widened = math.sqrt(max(chi2_dof or 1.0, 1.0))
        return _Lines(rate, widened / np.sqrt(spread), middle - away, widened * focus_sigma, chi2_dof)


def into_profile(field: FieldCalibration, data: dict | None = None) -> dict:
    """`data` (the content of a LensProfile file; None: a new one) with this field in it; `data` itself is not changed.

    An earlier dual_pixel is replaced, everything else is kept.  Raises ValueError for a profile of another camera.
    """
    first = field.flats[0]
    data = _new_profile(first) if data is None else copy.deepcopy(data)
    other = section(data, "camera").get("model")
    if other and first.settings.model and other != first.settings.model:
        raise ValueError(f"the profile is of camera {other}, the flats are of {first.settings.model}; write another file "
                         "with -o")
    depths = [1e3 / flat.inverse_depth for flat in field.flats]
    data["dual_pixel"] = {
        "kappa_grid": _rounded(field.kappa.values, 6), "kappa_sigma_grid": _rounded(field.kappa.sigma, 6),
        "focus_dpt_grid": _rounded(field.focus.values, 5), "focus_sigma_dpt_grid": _rounded(field.focus.sigma, 5),
        "focus_setting_dpt": first.lens.focus, "measured_grid": field.usable.tolist(), "estimator_id": ESTIMATOR,
        "chi2_dof": field.chi2_dof,
        "smooth_chi2_dof": {"kappa": field.kappa.chi2_dof, "focus": field.focus.chi2_dof},
        "validity": {"f_number": first.lens.f_number, "z_from_ep_mm": [min(depths), max(depths)],
                     "size_px": [first.size[1], first.size[0]], "pixel_pitch_um": first.lens.pixel_pitch * 1e6,
                     "axis": first.axis},
    }
    provenance = data["provenance"] = data.get("provenance") or {}
    inputs = [{"file": path.name, "sha256": sha256(path), "role": "dual_pixel_flat", "z_tape_mm": flat.distance * 1e3,
               "z_sigma_mm": flat.inverse_depth_sigma / flat.inverse_depth**2 * 1e3}
              for flat in field.flats for path in flat.files]
    inputs += [{"file": path.name, "sha256": sha256(path), "role": "dual_pixel_check"}
               for item in field.checks for path in item.files]
    provenance["inputs"] = [item for item in provenance.get("inputs") or []
                            if not str(item.get("role", "")).startswith("dual_pixel")] + inputs
    return data


def _rounded(grid, digits):
    return np.round(grid, digits).tolist()


def _new_profile(flat: Flat):
    settings = flat.settings
    return {
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": {"name": "dfd-calibrate", "version": __version__},
        "camera": {"make": settings.make, "model": settings.model},
        "provenance": {"grade": "B partial"},
    }
