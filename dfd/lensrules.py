"""The rules of a LensProfile file, a row per key: what its value must be and how an error says so.

Keys spell their unit.  A rule holds where its key is present and not null; keys without one are kept as they are.
"""

from __future__ import annotations

import math
import re

COORDINATES = ("encoder_step", "bracket_index", "exif_distance_mm", "rail_mm")
"""What focus.coordinate may be: which number of a frame the focus law is a function of."""

FIELD_TERMS = ("x", "y", "r2", "r4")
"""Terms of field.focus_offset_dpt: x, y and r from the middle of the picture, 1 = half its diagonal."""

ARRAY = "npz:"
"""A value "npz:KEY" is the array KEY of the file that `sidecar` names."""


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value) -> bool:
    return _number(value) and value > 0


def _not_negative(value) -> bool:
    return _number(value) and value >= 0


def _numbers(value) -> bool:
    return isinstance(value, list) and all(_number(item) for item in value)


def _range(value) -> bool:
    return _numbers(value) and len(value) == 2 and value[0] <= value[1]


def _size(value) -> bool:
    return _numbers(value) and len(value) == 2 and min(value) > 0


def _grid(value) -> bool:
    return (isinstance(value, list) and bool(value) and all(_numbers(row) and row for row in value)
            and len({len(row) for row in value}) == 1)


def _reach(value) -> bool:
    return _range(value) and value[0] > 0


def _zero_up(value) -> bool:
    return _range(value) and value[0] >= 0


def _stops(value) -> bool:
    return _numbers(value) and all(item > 0 for item in value)


def _matrix(value) -> bool:
    return _grid(value) or _array(value)


def _array(value) -> bool:
    return isinstance(value, str) and value.startswith(ARRAY) and len(value) > len(ARRAY)


def _names(value) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value) and len(set(value)) == len(value)


def _terms(value) -> bool:
    return _names(value) and set(value) <= set(FIELD_TERMS)


def _file(value) -> bool:
    return _text(value) and bool(value) and not set(value) & set("/\\") and value not in (".", "..")


def _digest(value) -> bool:
    return _text(value) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _grade(value) -> bool:
    return _text(value) and value[:1] in ("A", "B", "C")


def _affine(value) -> bool:
    return _grid(value) and (len(value), len(value[0])) == (2, 3)


def _object(value) -> bool:
    return isinstance(value, dict)


def _text(value) -> bool:
    return isinstance(value, str)


_COUNT = (_not_negative, "zero or a positive number")

RULES = {
    **{name: (_object, "an object or null") for name in (
        "camera", "lens", "validity", "reference", "focus", "projection", "field", "psf", "radiometry", "covariance",
        "quality", "provenance", "provenance.target", "dual_pixel", "dual_pixel.validity", "power_warp", "sidecar",
        "projection.distortion", "field.focus_offset_dpt", "field.axial_colour_dpt")},
    "camera.make": (_text, "text"),
    "camera.model": (_text, "text"),
    "camera.pixel_pitch_um": (_positive, "a positive number [um]"),
    "lens.make": (_text, "text"),
    "lens.model": (_text, "text"),
    "lens.focal_nominal_mm": (_positive, "a positive number [mm]"),
    "validity.focus_coordinate": (_range, "two numbers, low and high"),
    "validity.z_from_ep_mm": (_reach, "two positive numbers, near and far [mm]"),
    "validity.f_numbers": (_stops, "a list of positive numbers"),
    "validity.c_abs_px": (_zero_up, "two numbers from zero on, least and most [px]"),
    "reference.depth_origin": (lambda value: value == "entrance_pupil", '"entrance_pupil"'),
    "reference.z_ep_from_sensor_mm": (_object, "an object or null"),
    "reference.z_ep_from_sensor_mm.poly": (_numbers, "a list of numbers [mm], constant term first"),
    "reference.z_ep_from_sensor_mm.sigma": (_not_negative, "zero or a positive number [mm]"),
    "focus.coordinate": (lambda value: value in COORDINATES, f"one of {', '.join(COORDINATES)}"),
    "focus.law": (lambda value: value == "moebius_spline", '"moebius_spline"'),
    "focus.a_per_mm": (_number, "a number [1/mm]"),
    "focus.b_per_mm_per_unit": (_number, "a number [1/mm per unit of the coordinate]"),
    "focus.d_per_unit": (_number, "a number [1 per unit of the coordinate]"),
    "focus.spline": (_object, "an object or null"),
    "focus.spline.knots": (_numbers, "a list of numbers [unit of the coordinate]"),
    "focus.spline.rel": (_numbers, "a list of numbers, relative to the Moebius law"),
    "focus.jitter_sigma_unit": (_not_negative, "zero or a positive number [unit of the coordinate]"),
    "focus.backlash_unit": (_not_negative, "zero or a positive number [unit of the coordinate]"),
    "focus.approach": (_text, "text"),
    "projection.fx_px_poly": (_numbers, "a list of numbers [px], constant term first"),
    "projection.cx_px": (_number, "a number [px]"),
    "projection.cy_px": (_number, "a number [px]"),
    "projection.distortion.model": (_text, "text"),
    "projection.distortion.per_focus[].focus": (_number, "a number [unit of the coordinate]"),
    "projection.distortion.per_focus[].k": (_numbers, "a list of numbers, k1 first"),
    "aperture[].f_number_marked": (_positive, "a positive number"),
    "aperture[].diameter_eff_mm": (_positive, "a positive number [mm]"),
    "aperture[].diameter_sigma_mm": (_not_negative, "zero or a positive number [mm]"),
    "aperture[].defined_with": (_text, "text, the estimator of blur"),
    "aperture[].focus_shift_dpt": (_number, "a number [dioptre]"),
    "aperture[].focus_shift_sigma_dpt": (_not_negative, "zero or a positive number [dioptre]"),
    "field.focus_offset_dpt.terms": (_terms, f"a list of terms, each once, of {', '.join(FIELD_TERMS)}"),
    "field.focus_offset_dpt.coef": (_numbers, "a list of numbers [dioptre], one per term"),
    "field.focus_offset_dpt.half_diagonal_px": (_positive, "a positive number [px]"),
    "field.axial_colour_dpt.R": (_number, "a number [dioptre], focus of red less that of green"),
    "field.axial_colour_dpt.B": (_number, "a number [dioptre], focus of blue less that of green"),
    "psf.model": (_text, "text"),
    "psf.estimator_id": (_text, "text"),
    "psf.core_px": (_not_negative, "zero or a positive number [px]"),
    "psf.core_sigma_px": (_not_negative, "zero or a positive number [px]"),
    "psf.nodes[].x": (_number, "a number"),
    "psf.nodes[].y": (_number, "a number"),
    "psf.nodes[].f_number": (_positive, "a positive number"),
    "psf.nodes[].c_signed_px": (_number, "a number [px], positive = nearer than focus"),
    "psf.nodes[].params": (_numbers, "a list of numbers"),
    "psf.nodes[].cov": (_matrix, 'rows of numbers, or "npz:KEY"'),
    "psf.nodes[].residual_l2": _COUNT,
    "psf.nonparam": (_text, "text"),
    "radiometry.iso[].iso": (_positive, "a positive number"),
    "radiometry.iso[].gain_e_per_dn": (_not_negative, "zero or a positive number [e-/DN]"),
    "radiometry.iso[].read_noise_e": (_not_negative, "zero or a positive number [e-]"),
    "radiometry.vignetting[].f_number": (_positive, "a positive number"),
    "radiometry.vignetting[].focus": (_number, "a number [unit of the coordinate]"),
    "radiometry.vignetting[].poly_r2": (_numbers, "a list of numbers, constant term first"),
    "covariance.names": (_names, "a list of names, each once"),
    "covariance.matrix": (_matrix, 'rows of numbers, or "npz:KEY"'),
    "quality.chi2_dof": _COUNT,
    "quality.n_frames": _COUNT,
    "quality.n_rejected": _COUNT,
    "quality.loo_depth_rms_pct": _COUNT,
    "provenance.grade": (_grade, "text that begins with A, B or C"),
    "provenance.inputs[].file": (_text, "text"),
    "provenance.inputs[].sha256": (_digest, "64 digits 0-9, a-f"),
    "provenance.target.square_mm_measured": (_positive, "a positive number [mm]"),
    "provenance.target.sigma_mm": (_not_negative, "zero or a positive number [mm]"),
    "sidecar.file": (_file, "the name of a file in the profile's folder"),
    "sidecar.sha256": (_digest, "64 digits 0-9, a-f"),
    "power_warp.reference_power_dpt": (_positive, "a positive number [dpt]"),
    "power_warp.affine": (_affine, "2 rows of 3 numbers [1, 1, px]"),
    "power_warp.affine_per_dpt": (_affine, "2 rows of 3 numbers [1/dpt, 1/dpt, px/dpt]"),
    "dual_pixel.kappa_grid": (_grid, "rows of numbers, all of one length (disparity / coc)"),
    "dual_pixel.focus_dpt_grid": (_grid, "rows of numbers, all of one length [dioptre]"),
    "dual_pixel.kappa_sigma_grid": (_grid, "rows of numbers, all of one length (disparity / coc)"),
    "dual_pixel.focus_sigma_dpt_grid": (_grid, "rows of numbers, all of one length [dioptre]"),
    "dual_pixel.focus_setting_dpt": (_number, "a number [dioptre]"),
    "dual_pixel.validity.f_number": (_positive, "a positive number"),
    "dual_pixel.validity.z_from_ep_mm": (_range, "two numbers, near and far [mm]"),
    "dual_pixel.validity.axis": (lambda value: value in ("x", "y"), '"x" or "y"'),
    "dual_pixel.validity.pixel_pitch_um": (_positive, "a positive number [um]"),
    "dual_pixel.validity.size_px": (_size, "two positive numbers, width and height [px]"),
}
"""Key -> (test, what a value must be); checked where the key is present and not null."""
