"""What a lens profile may say: a rule per key, the covariance, and the arrays beside the file."""

import copy
import hashlib
import json

import numpy as np
import pytest

from dfd.lensarrays import read_array
from dfd.lensfile import SCHEMA, check, check_covariance, is_newer

WHOLE = {
    "schema": SCHEMA, "schema_version": "1.0.0",
    "validity": {"z_from_ep_mm": [550, 2550], "focus_coordinate": [0, 1200], "f_numbers": [1.8, 2.8], "c_abs_px": [2, 60]},
    "reference": {"depth_origin": "entrance_pupil", "z_ep_from_sensor_mm": {"poly": [60.0], "sigma": 0.8}},
    "focus": {"coordinate": "encoder_step", "law": "moebius_spline", "a_per_mm": 0.0004, "b_per_mm_per_unit": 1.5e-6,
              "d_per_unit": 2e-5, "spline": {"knots": [], "rel": []}, "jitter_sigma_unit": 0.3, "approach": "near_to_far"},
    "projection": {"fx_px_poly": [11800.0, 0.9], "cx_px": 3.5, "cy_px": -2,
                   "distortion": {"model": "brown", "per_focus": [{"focus": 0, "k": [0.1, -0.2]}]}},
    "aperture": [{"f_number_marked": 1.8, "diameter_eff_mm": 27.6, "diameter_sigma_mm": 0.05,
                  "defined_with": "disc_gauss_v1", "focus_shift_dpt": 0.0}],
    "field": {"focus_offset_dpt": {"terms": ["x", "y", "r2", "r4"], "coef": [0.01, 0, -0.03, 0.004]},
              "axial_colour_dpt": {"R": -0.01, "B": 0.02}},
    "psf": {"model": "ellipse_poly2_gauss_box_v1", "estimator_id": "disc_gauss_v1", "core_px": 0.6, "core_sigma_px": 0.02,
            "nodes": [{"x": 0, "y": 0, "f_number": 1.8, "c_signed_px": -3, "params": [1, 2], "cov": "npz:psf/cov",
                       "residual_l2": 0.01}], "nonparam": "npz:psf/kernels"},
    "radiometry": {"vignetting": [{"f_number": 1.8, "focus": 0, "poly_r2": [1, -0.4]}]},
    "covariance": {"names": ["a", "D_1.8"], "matrix": [[1e-12, 1e-10], [1e-10, 4e-4]]},
    "quality": {"chi2_dof": 1.02, "n_frames": 104, "n_rejected": 3, "loo_depth_rms_pct": 0.2},
    "provenance": {"inputs": [{"file": "a.dng", "sha256": "0" * 64, "role": "focus"}],
                   "target": {"id": "a4", "square_mm_measured": 20.01, "sigma_mm": 0.01}, "grade": "A measured"},
    "sidecar": {"file": "lens.npz", "sha256": "f" * 64},
}


def write_arrays(arrays, path):
    """Write an NPZ file; the content of `sidecar` that names it."""
    np.savez_compressed(path, **arrays)
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def changed(key, value):
    """WHOLE with one key, "a.b.0.c", set to a value."""
    data = copy.deepcopy(WHOLE)
    *path, last = [int(name) if name.isdigit() else name for name in key.split(".")]
    node = data
    for name in path:
        node = node[name]
    node[last] = value
    return data


def test_everything_that_calibration_writes_passes():
    assert check(copy.deepcopy(WHOLE)) == WHOLE


@pytest.mark.parametrize("key, value, message", [
    ("validity.z_from_ep_mm", [0, 5], r"validity.z_from_ep_mm \(\[0, 5\]\) must be two positive numbers"),
    ("validity.f_numbers", [1.8, -2], r"validity.f_numbers .* positive"),
    ("validity.c_abs_px", [-1, 60], r"validity.c_abs_px \(\[-1, 60\]\).*\[px\]"),
    ("reference.z_ep_from_sensor_mm.sigma", -1, r"z_ep_from_sensor_mm.sigma \(-1\) must be zero or a positive"),
    ("focus.jitter_sigma_unit", -0.3, r"focus.jitter_sigma_unit \(-0.3\)"),
    ("focus.approach", 1, r"focus.approach \(1\) must be text"),
    ("projection.cx_px", "3", r'projection.cx_px \("3"\) must be a number'),
    ("projection.distortion.per_focus.0.k", 0.1, r"distortion.per_focus\[0\].k \(0.1\)"),
    ("aperture.0.defined_with", 3, r"aperture\[0\].defined_with \(3\) must be text"),
    ("aperture.0.focus_shift_dpt", "0", r"aperture\[0\].focus_shift_dpt"),
    ("field.focus_offset_dpt.terms", ["x", "xy", "r2", "r4"], r"focus_offset_dpt.terms .* of x, y, r2, r4"),
    ("field.focus_offset_dpt.coef", [0.1], r"focus_offset_dpt has 4 terms and 1 coefficients"),
    ("field.axial_colour_dpt.R", [1], r"axial_colour_dpt.R \(\[1\]\)"),
    ("psf.core_px", -0.1, r"psf.core_px \(-0.1\)"),
    ("psf.nodes.0.params", ["a"], r"psf.nodes\[0\].params"),
    ("psf.nonparam", 3, r"psf.nonparam \(3\) must be text"),
    ("covariance.names", ["a", "a"], r"covariance.names .* each once"),
    ("covariance.matrix", "cov", r'covariance.matrix \("cov"\) must be rows of numbers, or "npz:KEY"'),
    ("covariance.matrix", [[1.0]], r"covariance.matrix \(1 x 1\) must have a row and a column for each of the 2"),
    ("covariance.matrix", [[1, 0.5], [0.4, 1]], r"must be symmetric \(entries differ by up to 0.1"),
    ("covariance.matrix", [[1, 2], [2, 1]], r"positive semi-definite \(least eigenvalue of the correlation -1\)"),
    ("covariance.matrix", [[-1, 0], [0, 1]], r"variances of zero or more"),
    ("covariance.matrix", None, r"covariance needs both names and matrix"),
    ("quality.chi2_dof", -1, r"quality.chi2_dof"),
    ("provenance.grade", "excellent", r'provenance.grade \("excellent"\) must be text that begins with A, B or C'),
    ("provenance.inputs.0.sha256", "abc", r"provenance.inputs\[0\].sha256"),
    ("provenance.target.square_mm_measured", 0, r"square_mm_measured \(0\)"),
    ("sidecar.file", "../lens.npz", r"sidecar.file .* in the profile's folder"),
    ("sidecar.sha256", "F" * 64, r"sidecar.sha256"),
])
def test_wrong_content_is_named_by_its_key(key, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        check(changed(key, value))
    assert "\n" not in str(caught.value)


def test_a_covariance_written_with_few_digits_passes_and_is_made_symmetric():
    found = check_covariance(["a", "b"], [[1.0, 0.5 + 4e-7], [0.5, 1.0]])
    np.testing.assert_array_equal(found, found.T)
    check_covariance(["a", "b"], [[1.0, 1.0 + 5e-7], [1.0 + 5e-7, 1.0]])


def test_a_number_that_is_exactly_known_has_no_variance():
    np.testing.assert_array_equal(check_covariance(["a", "b"], [[0, 0], [0, 4]]), [[0, 0], [0, 4]])


@pytest.mark.parametrize("version, newer", [
    ("1.0.0", False), ("1.0.9", False), ("1.1.0", True), ("1.10", True), ("1", False)])
def test_a_newer_minor_version_is_told_apart(version, newer):
    assert is_newer({"schema_version": version}) is newer


# --- the arrays ------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """(content of a profile, folder) with a covariance in lens.npz."""
    told = write_arrays({"cov": np.eye(2), "focus/coc": np.arange(3.0)}, tmp_path / "lens.npz")
    data = WHOLE | {"sidecar": told, "covariance": {"names": ["a", "b"], "matrix": "npz:cov"}}
    return json.loads(json.dumps(check(data))), tmp_path


def test_arrays_come_back_as_they_were_written(stored):
    data, folder = stored
    np.testing.assert_array_equal(read_array(data, "npz:cov", folder), np.eye(2))
    np.testing.assert_array_equal(read_array(data, "npz:focus/coc", folder), [0, 1, 2])


def test_arrays_that_are_missing_changed_or_broken_are_one_line(stored):
    data, folder = stored
    path = folder / "lens.npz"
    with pytest.raises(ValueError, match=r"lens.npz: no array 'psf'"):
        read_array(data, "npz:psf", folder)
    with pytest.raises(ValueError, match="was read from no file; load the profile by its path"):
        read_array(data, "npz:cov", None)
    write_arrays({"cov": 2 * np.eye(2)}, path)
    with pytest.raises(OSError, match=r"lens.npz: .*SHA-256 differs"):
        read_array(data, "npz:cov", folder)
    path.write_bytes(b"PK no archive")
    broken = data | {"sidecar": data["sidecar"] | {"sha256": hashlib.sha256(b"PK no archive").hexdigest()}}
    with pytest.raises(OSError, match=r"lens.npz: not the arrays .*broken NPZ"):
        read_array(broken, "npz:cov", folder)
    path.unlink()
    with pytest.raises(OSError, match=r"lens.npz: the arrays .*copy the file together"):
        read_array(data, "npz:cov", folder)
