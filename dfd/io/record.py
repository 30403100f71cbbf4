"""result.json: what was done to what, with which numbers; strict JSON whose keys spell the unit.

Schema "dfd-result 1".  A key that has no value is null; infinity is the string "inf"; NaN never appears.

    schema, created (UTC, ISO 8601), kind, scale {name, unit, quantity, missing: toml lines that make it metric}
    size_px {width, height}, orientation_exif 1..8 of the reference frame (the maps are stored unrotated)
    origin {from: pupil | sensor, offset_m: added to the depth from the entrance pupil}
    intrinsics_px {fx, fy, cx, cy}; psf {model, core_px};
    lens {profile, calibrated, grade, valid_depth_m: [near, far] from the pupil, outside_share: of the depths, left unknown,
    field_dpt {term: coefficient}, axial_dpt: added to inverse depth}; null where the focus law is not in use
    vignetting "applied": that of the profile was undone (frames: vignetting_r2, its polynomial), else null
    lens_sigma {median_dpt, variance_share: median share of the lens in sigma^2}, null where the lens states none
    noise {gain_e_per_dn, read_noise_e (as stated), from, used [{gain_e_at_white, read_noise_e, taps} of each used frame]}
    solver {name, parameters}, device, reference_frame (index into frames), side, kappa,
    views {swap, axis, y_scale (height of a pixel over its width), known_depths} of a dual-pixel pair, else null
    inputs [{file, sha256}], frames [{file, role, view, half (of a file of two frames), white_sheet, linear, black_level,
    white_level (file units), make, model, lens_model, distance_from, gain, used (false: left out),
    values {focal_length_m: {value, sigma, source}, ...}}]
    sweep {unit, order: what orders the frames, positions: of each used frame, metric: focus from the pupil in dioptres}
    statistics {known_pixels, filled_pixels (by --fill, without sigma), pixels, density, then per map its percentiles},
    timings_s, versions, warnings
    files {name: content}, written last
"""

from __future__ import annotations

import math
import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dfd.capture import SCALES
from dfd.io.scale import ORDERS

SCHEMA = "dfd-result 1"

_QUANTITIES = {
    "metric": "depth along the optical axis",
    "stage": "position on the rail at which the point is in focus",
    "steps": "frame number at which the point is sharpest",
    "affine": "signed {name}, positive = nearer than focus",
}

_AFFINE = {"disparity": "disparity of the views", "likelihood": "diameter of blur", "multiplane": "diameter of blur"}
"""What the px of an affine map are, by the solver that made it: they differ by the factor kappa."""

UNITS = {"metric": "m", "stage": "m", "steps": "frame", "affine": "px"}
"""Unit of depth.tiff and sigma.tiff, per scale."""

VALUE_KEYS = {
    "focal_length": "focal_length_m", "f_number": "f_number", "pupil_diameter": "pupil_diameter_m",
    "pixel_pitch": "pixel_pitch_m", "focus_distance": "focus_distance_m", "focus": "focus_dpt",
    "focus_coordinate": "focus_coordinate", "stage_position": "stage_position_m", "power": "power_dpt",
    "image_distance": "image_distance_m", "exposure": "exposure_s", "iso": "iso",
}
"""Field of CameraSettings -> its key, unit included."""

_OF_LENS = ("valid_depth_m", "outside_share", "field_dpt", "axial_dpt")
"""Figures of a lens map that stand beside its profile's name."""

_STATISTICS = {"stage": ("stage_position_m", "sigma_stage_m"), "steps": ("frame_number", "sigma_frames"),
               "affine": ("value_px", "sigma_px")}
_PERCENTILES = {"min": 0, "p01": 1, "p05": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "p99": 99, "max": 100}
_RANKED = 1_000_000
_PACKAGES = ("numpy", "scipy", "numba", "opencv-python-headless", "rawpy", "exifread", "tifffile", "matplotlib",
             "trimesh", "cupy-cuda12x", "cupy-cuda13x", "dask")


def make_record(outcome, *, now: datetime | None = None) -> dict:
    """Everything of result.json but "files", as JSON types.  `outcome` is an io.results.Outcome; `now` is UTC."""
    source, result = outcome.source, outcome.result
    height, width = result.shape
    intrinsics = outcome.intrinsics and dict(zip(("fx", "fy", "cx", "cy"), outcome.intrinsics, strict=True))
    return strict({
        "schema": SCHEMA,
        "created": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        "scale": {"name": result.scale, "unit": UNITS[result.scale], "missing": source.missing,
                  "quantity": quantity(result.scale, source.order, outcome.solver, outcome.parameters.get("reduction", 1))},
        "kind": source.kind,
        "size_px": {"width": width, "height": height},
        "orientation_exif": source.frames[source.reference].orientation,
        "origin": {"from": outcome.origin, "offset_m": outcome.origin_offset},
        "intrinsics_px": intrinsics,
        "lens": {"profile": source.profile.name, "calibrated": source.profile.calibrated, "grade": source.profile.grade,
                 **{name: (outcome.lens_map or {}).get(name) for name in _OF_LENS}},
        "lens_sigma": (outcome.lens_map or {}).get("sigma"),
        "vignetting": "applied" if any(frame.vignetting for frame in source.frames) else None,
        "psf": {"model": source.psf.model, "core_px": source.psf.core},
        "noise": {"gain_e_per_dn": source.gain_e_per_dn, "read_noise_e": source.read_noise_e, "from": outcome.noise_from,
                  "used": [{"gain_e_at_white": noise.gain, "read_noise_e": noise.read_noise, "taps": noise.taps}
                           for noise in outcome.noises]},
        "solver": {"name": outcome.solver, "parameters": outcome.parameters},
        "device": outcome.device,
        "reference_frame": source.reference,
        "side": source.side,
        "kappa": source.kappa,
        "views": None if source.kind != "dual-pixel" else {
            "swap": source.swap, "axis": source.axis, "y_scale": source.y_scale,
            "known_depths": [{"x_px": known.x, "y_px": known.y, "depth_m": known.depth, "radius_px": known.radius}
                             for known in source.known_depths]},
        "inputs": [{"file": str(path), "sha256": digest} for path, digest in outcome.inputs],
        "frames": [_frame(frame) | {"gain": gain, "used": outcome.kept is None or index in outcome.kept}
                   for index, (frame, gain) in enumerate(zip(source.frames, outcome.gains or [None] * len(source.frames),
                                                             strict=True))],
        "sweep": {"unit": SCALES[result.scale], "order": source.order, "positions": outcome.coordinates},
        "statistics": statistics(outcome),
        "timings_s": outcome.timings,
        "versions": versions(),
        "warnings": list(dict.fromkeys((*source.warnings, *outcome.warnings))),
    })


def quantity(scale: str, order: str, solver: str = "", reduction: int = 1) -> str:
    """What the numbers of depth.tiff are, in words.

    order    see io.scale.ORDERS, it says what a frame number means;   solver   its name, "" where it is not known yet
    reduction   whole factor by which the picture was made smaller, which px are those of
    """
    words = _QUANTITIES[scale]
    if scale == "steps":
        return f"{words}, {ORDERS[order]} (not metres)"
    smaller = f", in px of the picture reduced {reduction} times" if reduction > 1 else ""
    return words.format(name=affine_name(solver)) + smaller if scale == "affine" else words


def affine_name(solver: str) -> str:
    """What the px of an affine map of a solver are, in a few words; "" where it is not known yet."""
    return _AFFINE.get(solver, "blur or disparity")


def statistics(outcome) -> dict:
    """Counts, and the percentiles of every map with its unit in the key; a map without known pixels gives null."""
    result = outcome.result
    measured = result.valid & ~np.isnan(result.sigma)
    figures = {"known_pixels": int(measured.sum()), "filled_pixels": int((result.valid & ~measured).sum()),
               "pixels": result.values.size, "density": float(measured.mean())}
    if result.scale != "metric":
        of_values, of_sigma = _STATISTICS[result.scale]
        return figures | {of_values: spread(result.values), of_sigma: spread(result.sigma)}
    depth, sigma = outcome.maps
    return figures | {"depth_m": spread(depth), "sigma_m": spread(sigma),
                      "inverse_depth_dpt": spread(result.values), "sigma_dpt": spread(result.sigma)}


def versions() -> dict:
    """Python, system, dfd and every package that took part; for bug reports."""
    from importlib.metadata import PackageNotFoundError, version

    from dfd import __version__

    found = {"dfd": __version__, "python": platform.python_version(), "system": _system()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _system():
    """What platform.platform() says on Linux; that would start `uname` for the processor, from a large process."""
    names, library = platform.uname(), "".join(platform.libc_ver())
    return "-".join(filter(None, (names.system, names.release, names.machine, library and f"with-{library}")))


def strict(item):
    """The same in types that strict JSON has: NaN becomes None, infinity "inf" or "-inf"."""
    if isinstance(item, dict):
        return {str(key): strict(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [strict(value) for value in item]
    if isinstance(item, (np.ndarray, np.generic)):
        return strict(item.tolist())
    if isinstance(item, float):
        return item if math.isfinite(item) else None if math.isnan(item) else f"{item:g}"
    if item is None or isinstance(item, (bool, int, str)):
        return item
    return str(item)


def _frame(frame):
    settings = frame.settings
    values = {VALUE_KEYS[name]: {"value": value.value, "sigma": value.sigma, "source": value.source}
              for name, value in settings.values().items()}
    sheet = frame.sheets[1].path.name if frame.sheets else None
    return {"file": Path(frame.path).name, "role": frame.role, "view": frame.view, "half": frame.half,
            "white_sheet": sheet, "vignetting_r2": frame.vignetting, "linear": frame.linear,
            "black_level": frame.black_level, "white_level": frame.white_level, "make": settings.make,
            "model": settings.model, "lens_model": settings.lens_model, "distance_from": settings.distance_from,
            "values": values}


def spread(array) -> dict | None:
    """Percentiles of what is known; infinite values take part in the order (method "nearest" never averages them).

    Beyond a million known pixels every n-th one is ranked; the extremes are always those of all.
    """
    known = array[~np.isnan(array)]
    if not known.size:
        return None
    levels = np.percentile(known[::known.size // _RANKED + 1], list(_PERCENTILES.values()), method="nearest")
    levels[0], levels[-1] = known.min(), known.max()
    return dict(zip(_PERCENTILES, (float(f"{level:.7g}") for level in levels), strict=True))
