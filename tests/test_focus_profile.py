"""What a focus calibration writes: signs, limits and sigmas of the numbers that the joint fit does not test itself."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from dngfiles import monochrome_dng
from focusbrackets import HALF_DIAGONAL, Lens, bracket, calibration

from calibration.focus.fit import fit_focus
from calibration.focus.holdout import HoldOut
from calibration.focus.profile import doubtful, figures, into_profile, replaced_stops, verdict
from calibration.shoot.bracket import read_planes
from calibration.shoot.shoots import Station


def fitted(data):
    return fit_focus(data, half_diagonal=HALF_DIAGONAL)


def test_blur_that_is_larger_nearer_than_focus_is_a_positive_excess_and_doubts_the_pupil():
    data, truth = bracket(1)
    fit = fitted(replace(data, coc=data.coc * (1 + 0.02 * np.sign(truth))))
    assert fit.part("asymmetry")[0] == pytest.approx(0.02, abs=1e-3)
    names, values, covariance = figures(calibration(fit))
    pupil = names.index("D_1.8")
    assert np.sqrt(covariance[pupil, pupil]) == pytest.approx(0.02 * values[pupil], rel=0.05)
    assert values[pupil] == pytest.approx(1e3 * Lens().pupils[0][1], rel=3e-3)  # the mean of both sides


def test_blur_that_is_too_large_by_a_constant_is_not_taken_for_the_pupil():
    data, _ = bracket(2)
    fit = fitted(replace(data, coc=data.coc + 0.03))
    assert fit.part("excess")[0] == pytest.approx(0.03, abs=0.01)  # px
    assert np.exp(fit.part("log_pupil")[0]) == pytest.approx(Lens().pupils[0][1], rel=3e-3)


def test_one_image_scale_that_is_off_harms_nothing_and_is_named():
    data, _ = bracket(3)
    scale = data.scale.copy()
    scale[40] *= 1.002
    fit, clean = fitted(replace(data, scale=scale)), fitted(data)
    s = np.linspace(data.coordinate.min(), data.coordinate.max(), 20)
    law, right = (one.model.coordinate.law(one.model.coordinate(s), one.part("moebius")) for one in (fit, clean))
    np.testing.assert_allclose(law, right, rtol=5e-4, atol=0)
    assert fit.scale_weight[40] < 0.1 or not fit.frames[40]
    assert len(doubtful(calibration(fit))) > len(doubtful(calibration(clean)))


def test_fx_that_is_no_parabola_does_not_become_the_focus_law():
    data, _ = bracket(4)
    t = (data.coordinate - data.coordinate.min()) / np.ptp(data.coordinate) * 2 - 1
    fit, clean = fitted(replace(data, scale=data.scale * (1 + 5e-4 * (4 * t**3 - 3 * t)))), fitted(data)
    assert fit.model.powers == 4 and clean.model.powers == 3
    s = np.linspace(data.coordinate.min(), data.coordinate.max(), 20)
    law, right = (one.model.coordinate.law(one.model.coordinate(s), one.part("moebius"), one.part("rel"))
                  for one in (fit, clean))
    np.testing.assert_allclose(law, right, rtol=2e-3, atol=0)


def test_a_target_of_another_size_than_stated_is_told_by_the_engraved_numbers():
    from dfd.settings import CameraSettings, Value

    def doubts(focal):
        found = calibration(fitted(bracket(5)[0]))
        settings = CameraSettings(focal_length=Value(focal))
        shoot = replace(found.shoot, shots=tuple(replace(shot, settings=settings) for shot in found.shoot.shots))
        return [text for text in verdict(replace(found, shoot=shoot))[1] if "--board" in text]

    focal = Lens().pupils[0][1] * 1.8
    assert doubts(focal) == [] and len(doubts(focal / 1.42)) == 1


def test_a_far_distance_of_which_little_can_be_used_is_named():
    found = calibration(fitted(bracket(6)[0]))
    data = found.fit.model.data
    kept = np.flatnonzero(data.station == 7)[:3]
    rest = np.isin(np.arange(len(data.station)), kept) | (data.station != 7)
    less = replace(data, station=np.where(rest, data.station, 6))
    found = replace(found, fit=replace(found.fit, model=replace(found.fit.model, data=less)))
    assert any("3 of 13 frames can be used" in text for text in doubtful(found))


def test_stops_of_an_earlier_law_are_named():
    found = calibration(fitted(bracket(0)[0]))
    assert replaced_stops(found, {"aperture": [{"f_number_marked": 1.8}, {"f_number_marked": 4.0}]}) == [4.0]
    assert replaced_stops(found, None) == [] and isinstance(found.shoot.stations[0], Station)


def test_what_is_not_known_of_the_held_out_distances_is_null_in_the_profile(tmp_path):
    fit = fitted(bracket(0)[0])
    none = HoldOut(np.full(8, np.nan), np.ones(8, bool), dict.fromkeys(("pupil", "fx", "focus", "z0"), math.nan))
    found = calibration(fit, folder=tmp_path, held=none)
    for shot in found.shoot.shots:
        shot.path.parent.mkdir(exist_ok=True)
        shot.path.write_bytes(b"frame")
    quality = into_profile(found)["quality"]
    assert quality["loo_depth_rms_pct"] is None and quality["bootstrap"]["z0_mm"] is None
    json.dumps(quality, allow_nan=False)
    assert any("no distance can be predicted" in text for text in verdict(found)[1])


def test_a_monochrome_sensor_has_one_channel_that_is_not_filtered(tmp_path):
    codes = np.random.default_rng(1).integers(600, 9000, (40, 60)).astype(np.uint16)
    planes = read_planes(monochrome_dng(tmp_path / "m.dng", codes))
    assert list(planes.channels) == [1] and planes.channels[1][1] is None
    np.testing.assert_array_equal(planes.luminance, planes.channels[1][0])
