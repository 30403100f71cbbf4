"""Vignetting of a lens profile: the entry that an image gets, what is undone, and what it does to a capture."""



import numpy as np
import pytest

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


