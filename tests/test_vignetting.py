<<<<<<< HEAD
"""Vignetting of flats: found under slope, dust and noise; frames that are no flats are refused."""
=======
"""Vignetting of a lens profile: the entry that an image gets, what is undone, and what it does to a capture."""


>>>>>>> cd

import numpy as np
import pytest

<<<<<<< HEAD
from calibration.vignetting import calibrate_vignetting, fit_falloff, into_profile
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
=======
from dfd.io.frames import Frame, read_colour, read_luminance
from dfd.io.sources import open_source
from dfd.lensfile import SCHEMA
from dfd.profile import LensProfile
from dfd.psf import Psf
from dfd.settings import CameraSettings, Value
from dfd.vignetting import flattened, flattening, vignetting_of

POLY = (2.0, -0.8, 0.1)
SHAPE = (70, 101)


def profile(**changes):
    entries = [{"f_number": 1.8, "focus": 0, "poly_r2": list(POLY)}, {"f_number": 4, "poly_r2": [1, -0.1]}]
    return LensProfile({"schema": SCHEMA, "schema_version": "1.0.0", "radiometry": {"vignetting": entries}} | changes)


def light(shape=SHAPE):
    """V over its middle, computed pixel by pixel."""
    y, x = np.indices(shape)
    square = ((x - (shape[1] - 1) / 2)**2 + (y - (shape[0] - 1) / 2)**2) / ((shape[0]**2 + shape[1]**2) / 4)
    return (POLY[0] + POLY[1] * square + POLY[2] * square**2) / POLY[0]


def test_the_factor_is_1_in_the_middle_and_undoes_the_polynomial():
    np.testing.assert_allclose(flattening(POLY, SHAPE), 1 / light(), rtol=1e-5)
    np.testing.assert_array_equal(flattening(POLY, SHAPE, slice(10, 20)), flattening(POLY, SHAPE)[10:20])
    assert flattening(POLY, SHAPE).min() == pytest.approx(1.0, abs=1e-4)


def test_unknown_stays_unknown_and_colours_are_treated_alike():
    picture = np.repeat(light()[..., None], 3, axis=2).astype(np.float32)
    picture[3, 4] = np.nan
    flat = flattened(picture, POLY)
    assert np.isnan(flat[3, 4]).all() and picture[0, 0, 0] < 0.75, "what was given is not changed"
    np.testing.assert_allclose(flat[~np.isnan(flat)], 1.0, rtol=1e-5)


@pytest.mark.parametrize("f_number, found", [(1.8, POLY), (1.78, POLY), (1.9, None), (2.8, None), (4.1, (1, -0.1))])
def test_the_entry_of_a_stop_serves_within_3_percent(f_number, found):
    assert vignetting_of(profile(), CameraSettings(f_number=Value(f_number))) == found


def test_without_f_number_or_entries_there_is_none():
    assert vignetting_of(profile(), CameraSettings()) is None
    assert vignetting_of(LensProfile.nominal(), CameraSettings(f_number=Value(1.8))) is None


@pytest.mark.parametrize("poly", [[1, -1.2], [1, -0.99], [-1, 0.5], [0, 1]])
def test_a_polynomial_that_no_lens_has_is_refused(poly):
    wrong = profile(radiometry={"vignetting": [{"f_number": 1.8, "poly_r2": poly}]})
    with pytest.raises(ValueError, match=r"radiometry.vignetting of profile .* at f/1.8 falls to .*calibrate it again"):
        vignetting_of(wrong, CameraSettings(f_number=Value(1.8)))


@pytest.fixture
def folder(tmp_path):
    """Two linear frames of an even surface, darkened towards the corners by the lens."""
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", (0.6 * light()).astype(np.float32))
    (tmp_path / "capture.toml").write_text("\n".join((
        "[camera]", "f_number = 1.8", "linear = true", "black_level = 0", "white_level = 1")))
    return tmp_path


def test_a_linear_frame_is_decoded_without_vignetting(folder):
    source = open_source(folder, lens=profile())
    frame = source.frames[0]
    plane = read_luminance(frame)
    np.testing.assert_allclose(plane.image, 0.6, rtol=1e-5)
    np.testing.assert_allclose(read_colour(frame), 0.6, rtol=1e-5)
    assert plane.gain == pytest.approx(float(np.mean(1 / light())), rel=0.01)


def test_a_developed_frame_keeps_its_light(folder):
    path = folder / "capture.toml"
    path.write_text(path.read_text().replace("linear = true", "linear = false"))
    assert open_source(folder, lens=profile()).frames[0].vignetting is None


def test_a_frame_without_a_measured_stop_is_left_as_it_is(folder):
    plane = read_luminance(Frame(folder / "a.npy", CameraSettings(), linear=True, white_level=1.0))
    np.testing.assert_allclose(plane.image, 0.6 * light(), rtol=1e-5)


@pytest.mark.parametrize("lines, expected", [
    ("", Psf("disk-gaussian", 0.7)), ('psf = "disk"', Psf("disk")), ('psf = "gaussian"', Psf("gaussian")),
    ('psf = "disk-gaussian"\npsf_core_px = 0.4', Psf("disk-gaussian", 0.4)), ("psf_core_px = 0.3", Psf("disk", 0.3))])
def test_the_core_of_the_profile_serves_where_capture_toml_states_no_psf(folder, lines, expected):
    path = folder / "capture.toml"
    path.write_text(path.read_text() + "\n" + lines)
    assert open_source(folder, lens=profile(psf={"core_px": 0.7})).psf == expected
    assert open_source(folder, lens=profile()).psf == (Psf() if not lines else expected)


>>>>>>> cd
