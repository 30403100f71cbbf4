"""A focus calibration as the content of a LensProfile: every number with its sigma, one covariance, a grade with reasons."""

from __future__ import annotations

import copy
import math
from datetime import UTC, datetime

import numpy as np

from calibration.focus.fit import MOST_CHI2, MOST_SCALE_CHI2
from calibration.focus.job import FocusCalibration
from calibration.focus.model import FIELD
from calibration.shoot.shoots import JITTER
from dfd import __version__
from dfd.io.integrity import sha256
from dfd.lensfile import SCHEMA, SCHEMA_VERSION, section

ESTIMATOR = "disc_gauss_v1"
"""What blur is measured with: a pupil diameter is that of this profile of an edge."""

_MOST_HELD = 0.005
_MOST_JITTER = 3.0
_GOOD_STATIONS = 5
_TAPE_DOUBT = 4.0
_FRAME_DOUBT = 5.0
_MOST_ODD = 1.25
_LEAST_SCALE = 0.1
_STEPS = 1e-3


def verdict(found: FocusCalibration) -> tuple[str, tuple[str, ...]]:
    """(grade, sentences on what is doubtful): "A measured" without any, else "B partial"."""
    fit, said = found.fit, list(_odd_optics(found))
    if math.isnan(fit.law_chi2):
        said.append(f"{len(found.used)} frames are too few to test the focus law; 8 distances of 13 steps are good")
    if fit.law_chi2 > MOST_CHI2:
        said.append(f"the focus law leaves {fit.law_chi2:.3g} times what its frames scatter (chi2, at most {MOST_CHI2:g}), "
                    "spline included; are coordinates those of this lens, always approached from one side?")
    if fit.scale_chi2 > MOST_SCALE_CHI2:
        said.append(f"image scales leave {fit.scale_chi2:.3g} times what they scatter (chi2, at most {MOST_SCALE_CHI2:g}): "
                    "fx is no polynomial of the coordinate; did the board, the zoom or the tripod move?")
    usual = JITTER[found.shoot.coordinate]
    if fit.jitter > _MOST_JITTER * usual:
        said.append(f"the lens stands {fit.jitter:.3g} {found.shoot.coordinate} off its coordinates (1-sigma, {usual:g} is "
                    "usual); backlash, or frames in another order?")
    if found.held is not None and math.isnan(found.held.rms):
        said.append("no distance can be predicted from the others; take frames on both sides of focus at every distance")
    elif found.held is not None and found.held.rms > _MOST_HELD:
        said.append(f"distances that were left out come out {100 * found.held.rms:.2g} % off (rms, at most "
                    f"{100 * _MOST_HELD:g} %)")
    if len(found.shoot.stations) < _GOOD_STATIONS:
        said.append(f"{len(found.shoot.stations)} distances; {_GOOD_STATIONS} or more test each other")
    return ("B partial" if said else "A measured"), tuple(said)


def _odd_optics(found):
    """Sentences where fx or a pupil is far from what the engraved numbers make it: a unit, or the size of the target."""
    settings, fit = found.shoot.settings, found.fit
    if settings.focal_length is None:
        return
    focal = settings.focal_length.value
    checks = [(f"pupil at f/{stop:g}", pupil * stop, "times its f-number") for stop, pupil in
              zip(fit.model.stops, np.exp(fit.part("log_pupil")), strict=True)]
    if settings.pixel_pitch is not None:
        middle = float(fit.model.fx(fit.vector, np.zeros(1))[0])
        checks.append(("fx", middle * settings.pixel_pitch.value, "times the pixel pitch"))
    for name, length, times in checks:
        if not 1 / _MOST_ODD < length / focal < _MOST_ODD:
            yield (f"{name} {times} is {1e3 * length:.3g} mm on a lens of {1e3 * focal:.3g} mm; is --board the target that "
                   "was printed, --bar its measured size, and are all distances in metres?")


def doubtful(found: FocusCalibration) -> tuple[str, ...]:
    """Sentences on single tape readings, frames and edges that the fit does not believe."""
    fit, shoot, said = found.fit, found.shoot, []
    for station, off, believed in zip(shoot.stations, fit.part("dz"), fit.tape_weight > 0, strict=True):
        if abs(off) > _TAPE_DOUBT * station.sigma or not believed:
            said.append(f"tape reading {station.name} is {-1e3 * off:+.1f} mm off what its images say (1-sigma "
                        f"{1e3 * station.sigma:g} mm)" + ("" if believed else "; it is not used"))
    limit = _FRAME_DOUBT * fit.jitter
    for index, off, belongs in zip(found.used, fit.frame_jitter, fit.frames, strict=True):
        if abs(off) > limit or not belongs:
            shot = shoot.shots[index]
            said.append(f"{shot.path.parent.name}/{shot.path.name}: focus stands about {off:+.3g} {shoot.coordinate} off "
                        f"its coordinate {shot.coordinate:g} (1-sigma of the others {fit.jitter:.2g}); exchanged frames, or "
                        "a slip?" + ("" if belongs else " not used"))
    for index, weight in zip(found.used, fit.scale_weight, strict=True):
        if weight < _LEAST_SCALE:
            shot = shoot.shots[index]
            said.append(f"{shot.path.parent.name}/{shot.path.name}: the target is not as large as in its neighbours; its "
                        "scale is not used")
    for number, station in enumerate(shoot.stations):
        every, kept = len(shoot.of(number)), int(np.sum(fit.model.data.station == number))
        if kept < every / 2:
            said.append(f"{station.name}: {kept} of {every} frames can be used; a larger target can be measured farther out "
                        "of focus")
    share = float(np.mean(fit.edge_weight[fit.model.data.coc > 3] < 0.1))
    if share > 0.01:
        said.append(f"{share:.0%} of the edges do not fit and are left out (dirt, creases, reflections?)")
    return tuple(said)


def replaced_stops(found: FocusCalibration, data: dict | None) -> list[float]:
    """Marked f-numbers of a profile that is updated which this shoot does not have: their pupils belonged to another law."""
    return [stop["f_number_marked"] for stop in (data or {}).get("aperture") or []
            if stop.get("f_number_marked") not in (None, *found.fit.model.stops.tolist())]


def figures(found: FocusCalibration) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(names, values, covariance) of the numbers of the lens in the units of a profile, see dfd.lenssigma.

    Blur that is larger on one side of focus (asymmetry) is in the covariance of the pupils: a picture that shows one side
    alone is off by as much.
    """
    names, values = _numbers(found, found.fit.vector)
    vector, sigma = found.fit.vector, np.sqrt(np.diag(found.fit.covariance))
    slopes = np.zeros((len(values), len(vector)))
    last = found.fit.model.slices["print_scale"].start  # what comes behind is not of the lens
    for column in range(last):
        step = np.zeros(len(vector))
        step[column] = _STEPS * max(sigma[column], 1e-12)
        slopes[:, column] = (_numbers(found, vector + step)[1] - _numbers(found, vector - step)[1]) / (2 * step[column])
    covariance = slopes @ found.fit.covariance @ slopes.T
    excess = np.where([name.startswith("D_") for name in names], values * found.fit.part("asymmetry")[0], 0.0)
    covariance += np.outer(excess, excess)
    return names, values, (covariance + covariance.T) / 2


def _numbers(found, vector):
    model = found.fit.model
    coordinate = model.coordinate
    a, b, d = coordinate.moebius_of_profile(model.part(vector, "moebius"))
    named = {"a": a, "b": b, "d": d}
    named |= {f"fx{power}": value for power, value in enumerate(coordinate.polynomial_of_profile(model.part(vector, "fx")))}
    named["z0"] = 1e3 * model.part(vector, "z0")[0]
    named |= {f"D_{stop:g}": 1e3 * value
              for stop, value in zip(model.stops, np.exp(model.part(vector, "log_pupil")), strict=True)}
    named |= {f"spline{index}": value for index, value in enumerate(model.part(vector, "rel"))}
    return list(named), np.array(list(named.values()))


def into_profile(found: FocusCalibration, data: dict | None = None, *, origin: str = "sensor",
                 print_sigma: float = 5e-4) -> dict:
    """The content of a LensProfile with this calibration; `data` is updated, all else in it is kept.

    origin   where distances of the shoot count from: "sensor" (z0 is minus the height of the entrance pupil above the
             mark) or "pupil"
    """
    data = copy.deepcopy(data) if data else {"schema": SCHEMA, "schema_version": SCHEMA_VERSION}
    names, values, covariance = figures(found)
    at = dict(zip(names, values.tolist(), strict=True))
    sigma = dict(zip(names, np.sqrt(np.diag(covariance)).tolist(), strict=True))
    grade, doubts = verdict(found)
    data["created_utc"] = datetime.now(UTC).isoformat(timespec="seconds")
    data["tool"] = {"name": "dfd-calibrate focus", "version": __version__}
    _camera(found, data)
    data["focus"] = _focus(found, at, sigma)
    data["projection"] = {
        **section(data, "projection"), "fx_px_poly": [at[f"fx{power}"] for power in range(found.fit.model.powers)],
        "fx_sigma_px": [sigma[f"fx{power}"] for power in range(found.fit.model.powers)],
        "cx_px": found.centre_px[0], "cy_px": found.centre_px[1]}
    data["aperture"] = _aperture(found, at, sigma)
    data["field"] = _field(found)
    data["reference"] = {**section(data, "reference"), "depth_origin": "entrance_pupil", "channel": "G"}
    if origin == "sensor":
        data["reference"]["z_ep_from_sensor_mm"] = {"poly": [-at["z0"]], "sigma": sigma["z0"]}
    else:
        data["reference"].pop("z_ep_from_sensor_mm", None)  # of another origin: the pupil is where distances begin
    depth = found.fit.model.depth(found.fit.vector) * 1e3
    coordinates, blur = found.fit.model.data.coordinate, found.fit.model.data.coc[found.fit.edge_weight > 0.1]
    data["validity"] = {**section(data, "validity"), "z_from_ep_mm": [float(depth.min()), float(depth.max())],
                        "focus_coordinate": [float(coordinates.min()), float(coordinates.max())],
                        "f_numbers": found.fit.model.stops.tolist(), "c_abs_px": [0.0, float(blur.max())]}
    data["psf"] = {**section(data, "psf"), "core_px": found.core[0], "core_sigma_px": found.core[1],
                   "estimator_id": ESTIMATOR}
    data["covariance"] = {"names": names, "matrix": covariance.tolist()}
    data["quality"] = {
        **section(data, "quality"), "chi2_dof": _known(found.fit.law_chi2),
        "moebius_chi2_dof": _known(found.fit.moebius_chi2), "scale_chi2_dof": _known(found.fit.scale_chi2),
        "edge_sigma_factor": found.fit.edge_factor, "n_frames": len(found.used), "n_rejected": len(found.rejected),
        "bootstrap": None if found.held is None else {
            "method": "jackknife over distances", "pupil_rel": _known(found.held.jackknife["pupil"]),
            "fx_rel": _known(found.held.jackknife["fx"]), "focus_rel": _known(found.held.jackknife["focus"]),
            "z0_mm": _known(1e3 * found.held.jackknife["z0"])},
        "loo_depth_rms_pct": None if found.held is None else _known(100 * found.held.rms), "doubts": list(doubts),
        "remarks": list(doubtful(found)), "rejected": list(found.rejected), "stations": _stations(found)}
    _provenance(found, data, grade, print_sigma)
    return data


def _known(value):
    """A number, None where it is not known: JSON has no other word for it."""
    return value if math.isfinite(value) else None


def _stations(found):
    """What became of every distance."""
    fit = found.fit
    depth = fit.model.depth(fit.vector)
    return [{"tape_mm": 1e3 * station.distance, "z_mm": 1e3 * float(z), "difference_mm": 1e3 * float(off),
             "frames": int(np.sum(fit.model.data.station == number)), "trusted": bool(fit.tape_weight[number] > 0)}
            for number, (station, z, off) in enumerate(zip(found.shoot.stations, depth, fit.part("dz"), strict=True))]


def _camera(found, data):
    settings, size = found.shoot.settings, found.shoot.size
    camera, lens = dict(section(data, "camera")), dict(section(data, "lens"))
    camera |= {"raw_size_px": [size[1], size[0]]}
    for key, value in (("make", settings.make), ("model", settings.model)):
        if value is not None:
            camera[key] = value
    if settings.pixel_pitch is not None:
        camera["pixel_pitch_um"] = settings.pixel_pitch.value * 1e6
    if settings.lens_model is not None:
        lens["model"] = settings.lens_model
    if settings.focal_length is not None:
        lens["focal_nominal_mm"] = settings.focal_length.value * 1e3
    data["camera"], data["lens"] = camera, lens


def _focus(found, at, sigma):
    model, rel = found.fit.model, found.fit.part("rel")
    return {
        "coordinate": found.shoot.coordinate, "law": "moebius_spline", "a_per_mm": at["a"], "b_per_mm_per_unit": at["b"],
        "d_per_unit": at["d"], "sigma": {"a_per_mm": sigma["a"], "b_per_mm_per_unit": sigma["b"], "d_per_unit": sigma["d"]},
        "spline": {"knots": model.coordinate.knots(len(rel)).tolist() if len(rel) else [], "rel": rel.tolist()},
        "jitter_sigma_unit": found.fit.jitter, "backlash_unit": None, "approach": None}


def _aperture(found, at, sigma):
    asymmetry, spread = found.fit.part("asymmetry")[0], found.fit.sigma("asymmetry")[0]
    shifts = [(0.0, None), *zip(found.fit.part("shift").tolist(), found.fit.sigma("shift").tolist(), strict=True)]
    return [{"f_number_marked": float(stop), "diameter_eff_mm": at[f"D_{stop:g}"], "diameter_sigma_mm": sigma[f"D_{stop:g}"],
             "defined_with": ESTIMATOR, "focus_shift_dpt": shift, "focus_shift_sigma_dpt": doubt,
             "near_side_excess": float(asymmetry), "near_side_excess_sigma": float(spread)}
            for stop, (shift, doubt) in zip(found.fit.model.stops, shifts, strict=True)]


def _field(found):
    fit = found.fit
    red, blue = fit.part("axial").tolist()
    red_sigma, blue_sigma = fit.sigma("axial").tolist()
    measured = {channel for channel in (0, 2) if (fit.model.data.channel == channel).any()}
    return {
        "focus_offset_dpt": {"terms": list(FIELD), "coef": fit.part("field").tolist(), "sigma": fit.sigma("field").tolist(),
                             "half_diagonal_px": fit.model.half_diagonal},
        "axial_colour_dpt":
            {"R": red, "B": blue, "sigma": {"R": red_sigma, "B": blue_sigma}} if len(measured) == 2 else None}


def _provenance(found, data, grade, print_sigma):
    shoot, board = found.shoot, found.board
    others = [item for item in section(data, "provenance").get("inputs") or [] if item.get("role") != "focus"]
    own = [{"file": f"{shot.path.parent.name}/{shot.path.name}", "sha256": sha256(shot.path), "role": "focus",
            "z_tape_mm": 1e3 * shoot.stations[shot.station].distance, "z_sigma_mm": 1e3 * shoot.stations[shot.station].sigma,
            "focus_coordinate": shot.coordinate} for shot in shoot.shots]
    data["provenance"] = {
        **section(data, "provenance"), "inputs": [*others, *own], "grade": grade,
        "target": {"id": board.name, "square_mm_measured": 1e3 * board.square, "sigma_mm": 1e3 * board.square * print_sigma}}
