"""The LensProfile file: schema 1 of the JSON that calibration writes and everything else reads, checked key by key.

Keys spell their unit (mm, um, px, dpt); conversion to SI happens in dfd.profile.  Unknown keys are kept, an unknown
major version is refused, null means "not measured".  This page and dfd.lensrules are the contract between `calibration`
and `dfd`; arrays lie in a file beside it, see dfd.lensarrays.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import numpy as np

from dfd.lensrules import RULES

SCHEMA = "dfd-lensprofile"
SCHEMA_VERSION = "1.0.0"

_ROUNDING = 1e-6
"""Share by which a covariance may miss its laws: numbers are written with few digits."""

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
    for key, (test, wanted) in RULES.items():
        for place, value in _find(data, key.split("."), ""):
            if value is not None and not test(value):
                raise ValueError(f"{place} ({_short(value)}) must be {wanted}")
    _check_spline(section(data, "focus", "spline"))
    _check_offset(section(data, "field", "focus_offset_dpt"))
    _check_matrix(section(data, "covariance"))
    _check_grids(section(data, "dual_pixel"))
    _check_warp(section(data, "power_warp"))
    return data


def section(data: dict, *keys) -> dict:
    """The object at data[keys[0]][keys[1]]..., an empty one where it is absent or null."""
    for key in keys:
        data = data.get(key) or {}
    return data


def is_newer(data: dict) -> bool:
    """True when a later dfd wrote the file, in a version that only adds keys: those are kept, and not used."""
    def minor(version):
        second = str(version).split(".")[1:2]
        return int(second[0]) if second and second[0].isdigit() else 0

    return minor(data.get("schema_version")) > minor(SCHEMA_VERSION)


def check_covariance(names, matrix) -> np.ndarray:
    """(n, n) float64 covariance of n named numbers; ValueError unless it is symmetric and positive semi-definite.

    Rounding is forgiven: entries to 1e-6 of their standard deviations, eigenvalues of the correlation down to -1e-6.
    """
    found = np.asarray(matrix, dtype=float)
    if found.shape != (len(names), len(names)):
        raise ValueError(f"covariance.matrix ({' x '.join(map(str, found.shape))}) must have a row and a column for each of "
                         f"the {len(names)} covariance.names; calibrate again")
    variance = np.diag(found)
    if not np.isfinite(found).all() or (variance < 0).any():
        raise ValueError("covariance.matrix must hold finite numbers with variances of zero or more on its diagonal; "
                         "calibrate again")
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    correlation = found / scale / scale[:, None]
    if np.abs(correlation - correlation.T).max(initial=0) > _ROUNDING:
        raise ValueError(f"covariance.matrix must be symmetric (entries differ by up to "
                         f"{np.abs(correlation - correlation.T).max():.2g} of their standard deviations); calibrate again")
    least = np.linalg.eigvalsh((correlation + correlation.T) / 2).min(initial=0)
    if least < -_ROUNDING:
        raise ValueError(f"covariance.matrix must be positive semi-definite (least eigenvalue of the correlation "
                         f"{least:.2g}); calibrate again")
    return (found + found.T) / 2


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


def _check_spline(spline):
    knots, rel = spline.get("knots") or [], spline.get("rel") or []
    if len(knots) != len(rel) or len(knots) == 1 or any(b <= a for a, b in itertools.pairwise(knots)):
        raise ValueError(f"focus.spline has {len(knots)} knots and {len(rel)} values; it needs none, or two or more "
                         "rising knots with one value each")


def _check_offset(offset):
    terms, coefficients = offset.get("terms") or [], offset.get("coef") or []
    if len(terms) != len(coefficients):
        raise ValueError(f"field.focus_offset_dpt has {len(terms)} terms and {len(coefficients)} coefficients; it needs one "
                         "[dioptre] for each")


def _check_matrix(covariance):
    names, matrix = covariance.get("names"), covariance.get("matrix")
    if (names is None) != (matrix is None):
        raise ValueError("covariance needs both names and matrix, or neither; calibrate again")
    if isinstance(matrix, list):
        check_covariance(names, matrix)


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
