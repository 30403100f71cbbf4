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

from calibration.dual_pixel_field import Surface, smooth, turned
from calibration.dual_pixel_flats import Flat, Optics, StoppedDown, find_targets, read_flat, read_stopped_down
from dfd import __version__
from dfd.io.integrity import sha256
from dfd.lensfile import SCHEMA, SCHEMA_VERSION, section

ESTIMATOR = "ssd_shift_v1"
"""How disparity was measured: the shift of least squares over the whole spectrum, as solvers measure it as well."""

_MOST_SIGMA = 0.25
"""1-sigma of kappa over kappa beyond which a tile is not usable."""

_LEAST_SIGNIFICANCE = 3.0
_SAME_OPTICS = 1e-3
_MOST_CHI2 = 2.0
_MOST_FOCUS_ERROR = 0.1  # dioptre
_MOST_TURN = 2.0  # degrees


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
                             f"{checks[-1].limit:.2f} px is fine in a stopped-down capture; the views are shifted against "
                             "each other before any blur: export them anew, without alignment or lens corrections")
        if progress is not None:
            progress("check", index + 1, len(folders))
    return tuple(checks)


def calibrate_dual_pixel(targets, *, profile=None, optics: Optics | None = None, origin=None, distance_sigma=0.001,
                         grid=None, swap=False, axis=None, check=(), progress=None) -> FieldCalibration:
    """kappa and focus from flat, textured targets that face the camera at two or more distances, one focus, one aperture.

    targets          words `0.6=folder` (metres), or one CSV with columns folder, distance_m
    profile          LensProfile of the lens;   optics   what wins over EXIF and capture.toml
    origin           where distances count from: "pupil", "sensor", None: what distance_from of capture.toml says
    distance_sigma   1-sigma of each distance [m];   grid   (rows, columns) of tiles
    swap, axis       exchange the views; "x" or "y", along which they differ (None: what capture.toml says)
    check            folders of stopped-down captures;   progress   called with (stage, done, total)
    Raises OSError for files; ValueError for distances that determine nothing, optics that differ, a target without
    texture, or views that are exchanged.
    """
    if not (math.isfinite(distance_sigma) and distance_sigma >= 0):
        raise ValueError(f"distance_sigma ({distance_sigma * 1e3:g} mm) must be zero or positive")
    found = find_targets(targets)
    _check_distances([distance for _, distance in found])
    checks = check_stopped_down(check, profile=profile, grid=grid, swap=swap, axis=axis, progress=progress)
    flats = []
    for index, (folder, distance) in enumerate(found):
        flats.append(read_flat(folder, distance, profile=profile, optics=optics, origin=origin, sigma=distance_sigma,
                               grid=grid, swap=swap, axis=axis))
        if progress is not None:
            progress("measure", index + 1, len(found))
    return fit_field(sorted(flats, key=lambda flat: flat.distance), checks)


def fit_field(flats, checks=()) -> FieldCalibration:
    """The field of two or more measured flats, by rising distance; errors as in `calibrate_dual_pixel`."""
    _check_alike(flats)
    disparity, sigma = (np.stack([getattr(flat.tiles, name) for flat in flats]) for name in ("disparity", "sigma"))
    depth, depth_sigma = (np.array([getattr(flat, name) for flat in flats]) for name in
                          ("inverse_depth", "inverse_depth_sigma"))
    line = _lines(disparity, sigma, depth, depth_sigma)
    _check_sign(flats, line)
    blur_rate = flats[0].lens.blur_rate
    kappa, kappa_sigma = line.rate / blur_rate, line.rate_sigma / blur_rate
    usable = np.isfinite(kappa) & (kappa > 0) & (kappa_sigma <= _MOST_SIGMA * kappa)
    if not usable.any():
        raise ValueError(f"{flats[0].folder}: no tile tells kappa to better than {_MOST_SIGMA:.0%}; take distances that lie "
                         "further apart, or a target with more texture")
    unusable = int((~usable).sum())
    surfaces, outliers = smooth((kappa, line.focus), (kappa_sigma, line.focus_sigma), usable)
    usable = usable & ~outliers
    field = FieldCalibration(*surfaces, usable, line.chi2_dof, tuple(flats), tuple(checks), ())
    return FieldCalibration(*surfaces, usable, line.chi2_dof, tuple(flats), tuple(checks),
                          tuple(_warnings(field, unusable, outliers)))


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


def _check_distances(distances):
    if len(distances) < 2:
        raise ValueError(f"{len(distances)} distance: kappa and the plane of zero disparity are two unknowns, and one plane "
                         "fits every kappa with a focus of its own; add a flat at another distance, such as 1.5=FOLDER")
    if max(distances) < 1.05 * min(distances):
        raise ValueError(f"distances from {min(distances):g} to {max(distances):g} m are all the same to 5 %, and tell no "
                         "slope; put one target before and one behind the focus")


def _check_alike(flats):
    first = flats[0]
    for flat in flats[1:]:
        for what, one, two in (("size [px]", first.size[::-1], flat.size[::-1]), ("axis", first.axis, flat.axis),
                               ("camera", first.settings.model, flat.settings.model)):
            if one != two:
                raise ValueError(f"{flat.folder}: {what} {two}, but {first.folder} has {one}; give the flats of one camera "
                                 "in one mode")
        for what, one, two, unit in (("blur rate", first.lens.blur_rate, flat.lens.blur_rate, "px/dioptre"),
                                     ("focus", first.lens.focus, flat.lens.focus, "dioptre")):
            if not math.isclose(one, two, rel_tol=_SAME_OPTICS, abs_tol=1e-9):
                raise ValueError(f"{flat.folder}: {what} {two:.4g} {unit}, but {first.folder} has {one:.4g} {unit}; take "
                                 "all flats with one focus and one aperture, or state them with --focus-distance, "
                                 "--f-number, --focal-length and --pixel-pitch")


def _check_sign(flats, line):
    """The nearer target must have the larger disparity."""
    known = np.isfinite(line.rate) & (line.rate_sigma > 0)
    if not known.any():
        raise ValueError(f"{flats[0].folder} and {flats[-1].folder}: no tile has texture in both; photograph the same chart "
                         "so that it fills the picture at every distance")
    shares = line.rate[known] / line.rate_sigma[known]
    near, far = (float(np.nanmedian(flat.tiles.disparity)) for flat in (flats[0], flats[-1]))
    told = f"{flats[0].folder}: disparity is {near:+.3f} px at {flats[0].distance:g} m and {far:+.3f} px at " \
           f"{flats[-1].distance:g} m"
    if np.median(shares) < -_LEAST_SIGNIFICANCE:
        raise ValueError(f"{told}, but what is nearer must lie further right in the left view; the views are exchanged "
                         "(names differ between exporters), or the distances: pass --swap, or correct them")
    if np.median(shares) < _LEAST_SIGNIFICANCE:
        raise ValueError(f"{told}, no different within its errors; were both taken with the lens wide open, at one focus, "
                         "and are the two views not the same picture?")


def _warnings(field: FieldCalibration, unusable, outliers):
    flats, count = field.flats, field.usable.size
    yield from dict.fromkeys(text for flat in flats for text in flat.warnings if "kappa" not in text)
    if unusable:
        yield (f"{unusable} of {count} tiles have too little texture; the polynomial through the others stands there")
    for row, column in np.argwhere(outliers):
        yield (f"tile in row {row + 1}, column {column + 1} contradicts its neighbours and is left out; is something before "
               "the target there?")
    if field.chi2_dof is not None and field.chi2_dof > _MOST_CHI2:
        yield (f"the distances contradict each other (chi2 {field.chi2_dof:.1f} per degree of freedom, at most "
               f"{_MOST_CHI2:g} is fine); the sigmas are widened; check distances, focus and that the target is flat")
    lens, middle = flats[0].lens, float(np.median(field.focus.values))
    if abs(middle - lens.focus) > _MOST_FOCUS_ERROR:
        yield (f"disparity is zero at {middle:.3f} dioptre, but the lens is focused at {lens.focus:.3f} dioptre (at most "
               f"{_MOST_FOCUS_ERROR:g} apart is usual); do the distances count from the entrance pupil (--origin)?")
    for flat in flats:
        for angle, axis in turned(flat, field):
            if abs(angle) > _MOST_TURN:
                side = {"vertical": ("right", "left"), "horizontal": ("bottom", "top")}[axis][angle < 0]
                yield (f"{flat.folder}: the target seems turned by {abs(angle):.1f} degrees about the {axis} axis, nearer "
                       f"at the {side} (at most {_MOST_TURN:g} degrees is fine); face it with a mirror, unless the lens "
                       "is decentred")


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
                     "size_px": [first.size[1], first.size[0]], "axis": first.axis},
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
