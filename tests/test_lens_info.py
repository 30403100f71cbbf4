"""What `dfd info --lens` says of a lens profile: grade, validity, sigmas, stops, and what it lacks."""

import copy

import numpy as np
import pytest

from dfd.cli.lensinfo import lens_lines
from dfd.cli.overview import overview_lines
from dfd.io.describe import describe
from dfd.lensfile import SCHEMA
from dfd.profile import LensProfile

DATA = {
    "schema": SCHEMA, "schema_version": "1.0.0", "camera": {"pixel_pitch_um": 4.3},
    "lens": {"make": "Acme", "model": "50/1.8"},
    "validity": {"z_from_ep_mm": [550, 2550], "focus_coordinate": [0, 1200], "f_numbers": [1.8], "c_abs_px": [2, 60]},
    "reference": {"z_ep_from_sensor_mm": {"poly": [60.0], "sigma": 0.8}},
    "focus": {"coordinate": "encoder_step", "a_per_mm": 0.0004, "b_per_mm_per_unit": 1.5e-6, "jitter_sigma_unit": 0.3},
    "projection": {"fx_px_poly": [11800.0, 0.9]},
    "aperture": [{"f_number_marked": 1.8, "diameter_eff_mm": 27.6, "diameter_sigma_mm": 0.05}],
    "covariance": {"names": ["a"], "matrix": [[4e-14]]}, "provenance": {"grade": "A measured"},
}


def lines(**changes):
    return lens_lines(LensProfile(copy.deepcopy(DATA) | changes))


def test_a_measured_profile_is_said_in_full():
    assert lines() == [
        "lens profile Acme 50/1.8, grade A: measured",
        "  focus by encoder_step 0 to 1200, jitter 0.3: 2.5 m to 0.4545 m, fx 11800 to 12880 px",
        "  pupil f/1.8: 27.6 +- 0.05 mm",
        "  entrance pupil 60 +- 0.8 mm above the sensor mark",
        "  measured at 0.55 to 2.55 m from the entrance pupil, f/1.8, blur up to 60 px",
        "  1-sigma of depth in focus, from the lens alone: 0.1 mm at 0.4545 m, 0.29 mm at 0.7692 m, 3.1 mm at 2.5 m",
        "  has focus law, pupil diameters, pupil height, limits of distance, covariance; lacks field curvature, axial "
        "colour, PSF, vignetting, noise, kappa"]


def test_a_nominal_grade_is_called_so():
    assert lines(provenance={"grade": "C nominal (EXIF)"})[0] == "lens profile Acme 50/1.8, grade C: nominal, 5-20 %"
    assert lines(provenance={})[0].endswith("grade not stated")
    assert lens_lines(LensProfile.nominal()) == lens_lines(None) == []


def test_a_covariance_that_cannot_be_read_is_told_in_its_line():
    told = lines(covariance={"names": ["a"], "matrix": "npz:cov"})
    assert any(line.startswith("  sigma unknown: the profile's npz:cov needs the file") for line in told)


@pytest.mark.parametrize("count", [1, 2])
def test_info_shows_the_profile_and_warns_in_one_line(tmp_path, count):
    for index in range(count):
        np.save(tmp_path / f"{index}.npy", np.full((20, 30), 0.5, np.float32))
    LensProfile(DATA | {"schema_version": "1.2.0"}).save(tmp_path / "lens.json")
    overview = describe([tmp_path / f"{index}.npy" for index in range(count)], lens=tmp_path / "lens.json")
    said = overview_lines(overview)
    assert "lens profile Acme 50/1.8, grade A: measured" in said
    assert sum("schema_version 1.2.0, newer than this dfd knows" in line for line in said) == 1
