"""The LensProfile file: schema 1 of the JSON that calibration writes and everything else reads, checked key by key.

Keys spell their unit (mm, um, px, dpt); conversion to SI happens in dfd.profile.  Unknown keys are kept, an unknown
major version is refused, null means "not measured".  This page is the contract between `calibration` and `dfd`.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path

SCHEMA = "dfd-lensprofile"
SCHEMA_VERSION = "1.0.0"
COORDINATES = ("encoder_step", "bracket_index", "exif_distance_mm", "rail_mm")
"""What focus.coordinate may be: which number of a frame the focus law is a function of."""

_LEAST_KAPPA, _MOST_KAPPA = 0.001, 1.0
"""kappa beyond which a unit was wrong when it was measured."""


def read(path) -> dict:
    """The checked content of the JSON file at `path`.

    Raises OSError when the file is missing or not JSON, ValueError naming file and key when its content is wrong.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such lens profile; a calibration writes one") from error
    except UnicodeDecodeError as error:
        raise OSError(f"{path}: not a lens profile: the file is not UTF-8 text ({error.reason})") from error
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise OSError(f"{path}: not a lens profile: broken JSON in line {error.lineno} ({error.msg})") from error
    try:
        return check(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write(data: dict, path) -> None:
    """Write `data` to `path` as JSON: to a temporary sibling first, then renamed.  Raises OSError when it cannot."""
    path = Path(path)
    text = json.dumps(check(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check(data) -> dict:
    """`data` itself when it follows schema 1; ValueError naming the key, its value and what it must be when not."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ValueError(f'not a lens profile: "schema" must be "{SCHEMA}"')
    major = str(data.get("schema_version", "")).split(".")[0]
    if major != SCHEMA_VERSION.split(".")[0]:
        raise ValueError(f"schema_version ({data.get('schema_version')!r}) is not readable by this dfd, which knows "
                         f"{SCHEMA_VERSION}; update dfd or write the profile again")
    for key, (test, wanted) in _RULES.items():
        for place, value in _find(data, key.split("."), ""):
            if value is not None and not test(value):
                raise ValueError(f"{place} ({_short(value)}) must be {wanted}")
    _check_spline(section(data, "focus", "spline"))
    _check_grids(section(data, "dual_pixel"))
    _check_warp(section(data, "power_warp"))
    return data


def section(data: dict, *keys) -> dict:
    """The object at data[keys[0]][keys[1]]..., an empty one where it is absent or null."""
    for key in keys:
        data = data.get(key) or {}
    return data


def _find(node, keys, place):
    """Every (place, value) at the end of `keys`; "aperture[]" walks through a list; absent keys yield nothing."""
    if not keys:
        yield place, node
        return
    name, rest = keys[0], keys[1:]
    if not isinstance(node, dict):
        raise ValueError(f"{place} ({_short(node)}) must be an object")
    child = node.get(name.removesuffix("[]"))
    here = f"{place}.{name}".lstrip(".").removesuffix("[]")
    if child is None:
        return
    if not name.endswith("[]"):
        yield from _find(child, rest, here)
    elif isinstance(child, list):
        for index, item in enumerate(child):
            yield from _find(item, rest, f"{here}[{index}]")
    else:
        raise ValueError(f"{here} ({_short(child)}) must be a list")


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


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


def _affine(value) -> bool:
    return _grid(value) and (len(value), len(value[0])) == (2, 3)


def _object(value) -> bool:
    return isinstance(value, dict)


def _text(value) -> bool:
    return isinstance(value, str)


_RULES = {
    **{name: (_object, "an object or null") for name in (
        "camera", "lens", "validity", "reference", "focus", "projection", "field", "psf", "radiometry", "covariance",
        "quality", "provenance", "dual_pixel", "dual_pixel.validity", "power_warp")},
    "camera.make": (_text, "text"),
    "camera.model": (_text, "text"),
    "camera.pixel_pitch_um": (_positive, "a positive number [um]"),
    "lens.make": (_text, "text"),
    "lens.model": (_text, "text"),
    "lens.focal_nominal_mm": (_positive, "a positive number [mm]"),
    "validity.focus_coordinate": (_range, "two numbers, low and high"),
    "validity.z_from_ep_mm": (_range, "two numbers, near and far [mm]"),
    "validity.f_numbers": (_numbers, "a list of numbers"),
    "reference.depth_origin": (lambda value: value == "entrance_pupil", '"entrance_pupil"'),
    "reference.z_ep_from_sensor_mm": (_object, "an object or null"),
    "reference.z_ep_from_sensor_mm.poly": (_numbers, "a list of numbers [mm], constant term first"),
    "focus.coordinate": (lambda value: value in COORDINATES, f"one of {', '.join(COORDINATES)}"),
    "focus.law": (lambda value: value == "moebius_spline", '"moebius_spline"'),
    "focus.a_per_mm": (_number, "a number [1/mm]"),
    "focus.b_per_mm_per_unit": (_number, "a number [1/mm per unit of the coordinate]"),
    "focus.d_per_unit": (_number, "a number [1 per unit of the coordinate]"),
    "focus.spline": (_object, "an object or null"),
    "focus.spline.knots": (_numbers, "a list of numbers [unit of the coordinate]"),
    "focus.spline.rel": (_numbers, "a list of numbers, relative to the Moebius law"),
    "projection.fx_px_poly": (_numbers, "a list of numbers [px], constant term first"),
    "aperture[].f_number_marked": (_positive, "a positive number"),
    "aperture[].diameter_eff_mm": (_positive, "a positive number [mm]"),
    "aperture[].diameter_sigma_mm": (_not_negative, "zero or a positive number [mm]"),
    "radiometry.iso[].iso": (_positive, "a positive number"),
    "radiometry.iso[].gain_e_per_dn": (_not_negative, "zero or a positive number [e-/DN]"),
    "radiometry.iso[].read_noise_e": (_not_negative, "zero or a positive number [e-]"),
    "radiometry.vignetting[].f_number": (_positive, "a positive number"),
    "radiometry.vignetting[].focus": (_number, "a number [unit of the coordinate]"),
    "radiometry.vignetting[].poly_r2": (_numbers, "a list of numbers, constant term first"),
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


def _check_spline(spline):
    knots, rel = spline.get("knots") or [], spline.get("rel") or []
    if len(knots) != len(rel) or len(knots) == 1 or any(b <= a for a, b in itertools.pairwise(knots)):
        raise ValueError(f"focus.spline has {len(knots)} knots and {len(rel)} values; it needs none, or two or more "
                         "rising knots with one value each")


def _check_grids(dual_pixel):
    kappa = dual_pixel.get("kappa_grid")
    if kappa and min(min(row) for row in kappa) <= 0:
        raise ValueError(f"dual_pixel.kappa_grid (least {min(min(row) for row in kappa):g}) must be positive; exchange "
                         "left and right instead of a sign")
    if kappa and not (min(map(min, kappa)) >= _LEAST_KAPPA and max(map(max, kappa)) <= _MOST_KAPPA):
        raise ValueError(f"dual_pixel.kappa_grid ({min(map(min, kappa)):.4g} to {max(map(max, kappa)):.4g}) must lie within "
                         f"{_LEAST_KAPPA:g} to {_MOST_KAPPA:g} (disparity / coc, ideal half discs have 0.424); calibrate "
                         "again with distances in metres, focal length in mm and pixel pitch in um")
    for name in ("focus_dpt_grid", "kappa_sigma_grid", "focus_sigma_dpt_grid"):
        grid = dual_pixel.get(name)
        if kappa and grid and (len(kappa), len(kappa[0])) != (len(grid), len(grid[0])):
            raise ValueError(f"dual_pixel.{name} ({len(grid)} x {len(grid[0])}) must have the cells of "
                             f"kappa_grid ({len(kappa)} x {len(kappa[0])})")
        if grid and "sigma" in name and min(min(row) for row in grid) < 0:
            raise ValueError(f"dual_pixel.{name} (least {min(min(row) for row in grid):g}) must be zero or positive")


def _check_warp(warp):
    changes, affine = warp.get("affine_per_dpt"), warp.get("affine")
    if (changes or affine) and not (changes and warp.get("reference_power_dpt")):
        raise ValueError("power_warp needs reference_power_dpt [dpt] and affine_per_dpt, 2 rows of 3 numbers; affine may be "
                         "left out where a frame at that power is not warped")
    if affine and not affine[0][0] * affine[1][1] - affine[0][1] * affine[1][0] > 0:
        raise ValueError(f"power_warp.affine ({_short(affine)}) mirrors or folds the image; its first two columns are near "
                         "[[1, 0], [0, 1]]")
