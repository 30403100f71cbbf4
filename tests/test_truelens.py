"""The lens of a simulated shoot: its law, field, thin lens, distortion and names, against the formulas that define them."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from calibration.simulate.files import lens_record
from calibration.simulate.truelens import PRESETS
from dfd.lenscurves import LensCurves

SMALL = PRESETS["small"]


@pytest.mark.parametrize("lens", PRESETS.values(), ids=PRESETS)
def test_the_law_is_that_of_a_profile_with_the_same_numbers(lens):
    profile = LensCurves({
        "schema": "dfd-lensprofile", "schema_version": "1.0.0", "projection": {"fx_px_poly": list(lens.fx_poly)},
        "focus": {"coordinate": "encoder_step", "a_per_mm": lens.a_per_mm, "b_per_mm_per_unit": lens.b_per_mm_per_unit,
                  "d_per_unit": lens.d_per_unit}})
    for s in (0.0, 311.5, 1200.0):
        assert lens.law(s) == pytest.approx(profile.focus_curve(s), abs=1e-12)  # dioptre
        assert lens.fx(s) == pytest.approx(profile.fx(s), abs=1e-9)  # px


def test_nearer_than_focus_is_positive_and_the_thin_lens_agrees():
    thin = SMALL.thin_lens(600.0, 1.8)
    for inverse_depth in (0.4, 1.9):
        coc = SMALL.coc(600.0, inverse_depth, f_number=1.8)
        assert coc == pytest.approx(thin.coc(inverse_depth), abs=1e-9)  # px
        assert (coc > 0) == (inverse_depth > SMALL.law(600.0))
    assert thin.fx == pytest.approx(SMALL.fx(600.0), abs=1e-9)


def test_field_and_colour_are_added_in_dioptre_with_r_one_in_the_corner():
    lens = replace(SMALL, field=(0.1, 0.02, -0.3, 0.05), axial=(-0.04, 0.03))
    x, y = lens.size[1] / 2, lens.size[0] / 2
    told = lens.focus(500.0, x, y, "R") - lens.law(500.0)
    expected = 0.1 * x / math.hypot(x, y) + 0.02 * y / math.hypot(x, y) - 0.3 + 0.05 - 0.04
    assert told == pytest.approx(expected, abs=1e-12)
    assert lens.focus(500.0, channel="B") - lens.focus(500.0) == pytest.approx(0.03, abs=1e-12)
    assert lens.coc(500.0, 1.0, f_number=1.8, channel="B") < lens.coc(500.0, 1.0, f_number=1.8)


def test_ripple_is_relative_and_periodic():
    lens = replace(SMALL, ripple=0.01, ripple_period=400.0)
    assert lens.law(100.0) / SMALL.law(100.0) == pytest.approx(1.01, abs=1e-12)
    assert lens.law(200.0) == pytest.approx(SMALL.law(200.0), abs=1e-12)


@pytest.mark.parametrize("focus", [0.3, 1.234, 2.2])
def test_a_focus_coordinate_is_found_again(focus):
    for lens in (SMALL, replace(SMALL, ripple=0.005)):
        assert lens.law(lens.coordinate(focus)) == pytest.approx(focus, abs=1e-9)  # dioptre


def test_undistorted_places_are_distorted_back():
    lens = replace(SMALL, k1=-0.2)
    x, y = np.linspace(-0.3, 0.3, 7), np.linspace(0.2, -0.25, 7)
    across, down = lens.undistort(x, y)
    factor = 1 + lens.k1 * (across**2 + down**2)
    np.testing.assert_allclose((across * factor, down * factor), (x, y), rtol=0, atol=1e-9)


def test_pupils_are_not_the_engraved_ones():
    for stop in SMALL.stops:
        assert 0.002 < abs(stop.diameter * stop.f_number / SMALL.focal_nominal - 1) < 0.05


def test_the_record_is_json_with_units():
    record = json.loads(json.dumps(lens_record(SMALL)))
    assert record["pupil_height_mm"] == pytest.approx(63)
    assert record["aperture"][0] == {"f_number_marked": 1.8, "diameter_mm": pytest.approx(27.6),
                                     "vignetting_poly_r2": list(SMALL.stops[0].vignetting)}


@pytest.mark.parametrize(("change", "said"), [
    ({"core": 0.2}, "core (0.2 px)"), ({"spherical": 2.5}, "spherical (2.5)"), ({"size": (641, 960)}, "960 x 641 px")])
def test_a_lens_that_cannot_be_rendered_is_refused(change, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        replace(SMALL, **change)


def test_a_number_that_the_lens_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"use one of 1\.8 2 2\.8"):
        SMALL.stop(3.3)
    with pytest.raises(ValueError, match="outside what lens small reaches"):
        SMALL.coordinate(3.0)
