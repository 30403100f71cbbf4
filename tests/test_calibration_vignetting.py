"""Vignetting of flats: found under slope, dust and noise; frames that are no flats are refused."""

import numpy as np
import pytest

from calibration.psf.vignetting import calibrate_vignetting, fit_falloff, into_profile
from dfd.io.dng import write_dng
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

SIZE = (400, 600)
TRUTH = (1.0, -0.35, 0.12, -0.05)
BLACK, WHITE = 512, 16383


def picture(*, truth=TRUTH, slope=(0.05, -0.03), size=SIZE):
    """(H, W) brightness, 1 in the middle."""
    half = np.hypot(*size) / 2
    y, x = np.meshgrid(*((np.arange(length) - (length - 1) / 2) / half for length in size), indexing="ij")
    square = x * x + y * y
    return sum(value * square**power for power, value in enumerate(truth)) * (1 + slope[0] * x + slope[1] * y)


def write(path, brightness, rng, *, level=0.5, f_number=1.8, exposure=0.01):
    """A DNG of 30000 electrons at white, shot noise included."""
    electrons = rng.poisson(np.clip(brightness * level, 0, None) * 30000)
    codes = np.clip(np.rint(electrons / 30000 * (WHITE - BLACK) + BLACK), 0, WHITE).astype(np.uint16)
    settings = CameraSettings(file=path.name, make="maker", model="body", f_number=Value(f_number, source="test"),
                              exposure=Value(exposure, source="test"), iso=Value(100.0, source="test"))
    write_dng(path, codes, black_level=BLACK, white_level=WHITE, settings=settings)
    return path


def test_fall_off_is_found_under_slope_dust_and_noise(tmp_path, rng):
    dusty = picture()
    for y, x in rng.integers(20, 380, (12, 2)):
        dusty[y - 8:y + 8, x - 8:x + 8] *= 0.8
    for index in range(3):
        write(tmp_path / f"flat{index}.dng", dusty, rng)
    write(tmp_path / "small.dng", picture(truth=(1.0, -0.05, 0.0, 0.0)), rng, f_number=8.0)
    found = calibrate_vignetting([tmp_path])
    assert [one.f_number for one in found] == [1.8, 8.0]
    radius = np.linspace(0, 1, 50) ** 2
    for one, truth in zip(found, (TRUTH, (1.0, -0.05, 0.0, 0.0)), strict=True):
        measured = np.polynomial.polynomial.polyval(radius, one.poly)
        assert np.abs(measured - np.polynomial.polynomial.polyval(radius, truth)).max() < 0.003
        assert one.gradient == pytest.approx((0.05, -0.03), abs=0.002)
        assert one.corner == pytest.approx(sum(truth), abs=4 * one.corner_sigma + 1e-3)
    profile = LensProfile(into_profile(found))
    assert profile.vignetting(1.8) == pytest.approx(TRUTH, abs=0.03)
    again = into_profile(found[:1], profile.data)
    assert len(again["radiometry"]["vignetting"]) == 2
    assert [item["role"] for item in again["provenance"]["inputs"]] == ["vignetting_flat"] * 4


def test_sigmas_are_those_of_the_scatter(rng):
    fits = [fit_falloff(picture(size=(320, 480))[5::10, 5::10] * (1 + 0.002 * rng.standard_normal((32, 48))), (320, 480))
            for _ in range(60)]
    scatter = np.std([one.values for one in fits], axis=0)
    told = np.median([np.sqrt(np.diag(one.covariance)) for one in fits], axis=0)
    assert np.all((scatter / told > 0.7) & (scatter / told < 1.4))


@pytest.mark.parametrize(("change", "level", "words"), [
    (lambda image: image, 1.2, "clipped"),
    (lambda image: image, 0.01, "too dark"),
    (lambda image: image * (1 + 0.02 * np.sin(np.arange(400) / 20))[:, None], 0.5, "flicker .whole rows"),
    (lambda image: image * (1 + 0.05 * np.sin(np.arange(600) / 30) * np.sin(np.arange(400) / 30)[:, None]), 0.5,
     "not evenly lit"),
])
def test_frames_that_are_no_flats_are_refused(tmp_path, rng, change, level, words):
    write(tmp_path / "flat.dng", change(picture()), rng, level=level)
    with pytest.raises(ValueError, match=f"flat.dng: {words}"):
        calibrate_vignetting([tmp_path])


def test_light_that_changes_between_frames_is_told(tmp_path, rng):
    write(tmp_path / "a.dng", picture(), rng)
    write(tmp_path / "b.dng", picture(), rng, level=0.53)
    with pytest.raises(ValueError, match=r"b.dng: flicker .6.0% off the brightness of a.dng"):
        calibrate_vignetting([tmp_path])
    write(tmp_path / "b.dng", picture(), rng, level=0.25, exposure=0.005)
    assert len(calibrate_vignetting([tmp_path])) == 1


def test_a_profile_of_another_camera_is_left_alone(tmp_path, rng):
    found = calibrate_vignetting([write(tmp_path / "flat.dng", picture(), rng)])
    data = into_profile(found)
    data["camera"]["model"] = "another"
    with pytest.raises(ValueError, match="profile is of camera another"):
        into_profile(found, data)
