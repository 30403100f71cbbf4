"""Laws of the way from files to a capture: noise follows the gain, colour follows the maps, breathing, levels, toml."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile
from textures import blurred, texture

from dfd import prepare
from dfd.assemble import prepare_capture
from dfd.fuse import AllInFocus
from dfd.imaging import REC709
from dfd.io import raw
from dfd.io.dng import write_dng
from dfd.io.frames import read_colour
from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.lensfile import SCHEMA, SCHEMA_VERSION
from dfd.noise import estimate
from dfd.pipeline import read_capture, run
from dfd.profile import LensProfile
from dfd.psf import Psf
from dfd.settings import CameraSettings, Value
from dfd.simulate import simulate_capture

SHAPE = (120, 168)
GAIN, READ_NOISE = 20000.0, 8.0
CAMERA = f"[camera]\ngain_e_per_dn = {GAIN}\nread_noise_e = {READ_NOISE}\n"


def colours(sharp):
    """(H, W, 3) radiance in three unequal but proportional channels."""
    return sharp[..., None] * np.array([0.9, 0.7, 0.5])


def write_stack(folder, radiances, exposures, camera=CAMERA):
    """A stack of float RGB npy files, each exposed for its time [s], the third as the reference."""
    lines = [camera]
    for k, (radiance, exposure) in enumerate(zip(radiances, exposures, strict=True)):
        np.save(folder / f"f{k}.npy", (radiance * exposure).astype(np.float32))
        lines.append(f'[[frames]]\nfile = "f{k}.npy"\nexposure_s = {exposure}\n' + ("reference = true\n" if k == 2 else ""))
    (folder / "capture.toml").write_text("\n".join(lines))
    return folder


def displacement(one, other):
    """Distance [px] between two pictures of one texture."""
    window = cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(np.float32(one), np.float32(other), window)
    return float(np.hypot(*shift))


# -- noise


def test_the_noise_of_a_view_is_the_cameras_times_the_gain_of_its_frame(tmp_path, rng):
    exposures = (0.3, 1.0, 0.25, 0.5, 0.8)
    radiance = colours(0.6 * texture(SHAPE, rng))
    source = open_source(write_stack(tmp_path, [radiance] * 5, exposures))
    prepared = prepare_capture(source, align="none")
    np.testing.assert_allclose(prepared.gains, 0.25 / np.array(exposures), rtol=1e-3)
    assert not any("brightness differs" in text for text in prepared.warnings)  # nothing is left for the images to correct
    share = float(np.sum(REC709**2))
    for gain, view in zip(prepared.gains, prepared.capture.views, strict=True):
        assert view.noise.gain * gain * share == pytest.approx(GAIN, rel=1e-6)
        assert view.noise.read_noise * share**0.5 == pytest.approx(READ_NOISE, rel=1e-6)
    np.testing.assert_allclose(prepared.capture.images, np.tile(prepared.capture.images[2], (5, 1, 1)), atol=1e-5)


def test_exposure_is_divided_out_once_where_the_images_cannot_correct_it(tmp_path):
    exposures = (0.3, 1.0, 0.25, 0.5, 0.8)
    prepared = prepare_capture(open_source(write_stack(tmp_path, [np.zeros((*SHAPE, 3))] * 5, exposures)), align="none")
    np.testing.assert_allclose(prepared.gains, 0.25 / np.array(exposures), rtol=1e-12)


def test_luminance_of_rgb_has_the_variance_that_its_view_states(tmp_path, rng):
    """White noise of std sqrt(0.4 / 5000) in each channel of a grey surface: 0.562 of its variance is left."""
    for k in range(3):
        noisy = rng.normal(0.4, np.sqrt(0.4 / 5000), (*SHAPE, 3))
        tifffile.imwrite(tmp_path / f"f{k}.tiff", np.rint(noisy * 65535).astype(np.uint16), photometric="rgb")
    (tmp_path / "capture.toml").write_text(f"[camera]\ngain_e_per_dn = {5000 / 65535}\nread_noise_e = 0\n")
    capture = read_capture(tmp_path, align="none")
    for image, view in zip(capture.images, capture.views, strict=True):
        assert view.noise.variance(np.float64(0.4)) == pytest.approx(0.562 * 0.4 / 5000, rel=0.01)
        assert view.noise.variance(np.float64(0.4)) == pytest.approx(image.var(), rel=0.04)


def test_quantisation_is_noise_where_the_sensors_noise_is_smaller(rng):
    """8-bit values of a noise-free slow ramp: most blocks are constant, and none is better than step / sqrt(12)."""
    step = 1 / 255
    image = np.rint(np.tile(np.linspace(0.2, 0.5, 400), (160, 1)) / step) * step
    found = np.sqrt(estimate(image.astype(np.float32)).variance(np.float64(0.35)))
    assert 0.8 * step / np.sqrt(12) < found < 1.5 * step / np.sqrt(12)


@pytest.mark.parametrize(("measured", "used"), [("raw", False), ("tiff", True)])
def test_the_noise_of_a_raw_file_is_not_that_of_a_developed_one(tmp_path, rng, measured, used):
    folder = write_stack(tmp_path, [colours(texture(SHAPE, rng))] * 3, (1.0, 0.9, 0.8), camera="")
    text = (folder / "capture.toml").read_text().replace("exposure_s", "iso = 100\nexposure_s")
    (folder / "capture.toml").write_text(text)
    entry = {"iso": 100, "gain_e_per_dn": 0.7, "read_noise_e": 2.5, "file_format": measured}
    profile = LensProfile({"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "radiometry": {"iso": [entry]}})
    source = open_source(folder, lens=profile)
    assert (source.gain_e_per_dn, source.read_noise_e) == ((0.7, 2.5) if used else (None, None))
    assert any("noise" in text for text in source.warnings) is not used


# -- colour


def test_the_fused_colours_of_a_bracketed_stack_are_those_of_the_scene(tmp_path, rng):
    exposures = (0.3, 1.0, 0.25, 0.5, 0.8)
    radiance = colours(0.6 * texture(SHAPE, rng))
    prepared = prepare_capture(open_source(write_stack(tmp_path, [radiance] * 5, exposures)), align="none")
    values = np.tile(np.repeat(np.arange(5.0), 34)[:SHAPE[1]], (SHAPE[0], 1)).astype(np.float32)
    fusion = AllInFocus(values, prepared.capture.coordinates, matrices=prepared.matrices)
    for k in range(5):
        fusion.add(k, prepared.picture(k), gain=prepared.gains[k])
    image, index = fusion.result()
    assert np.unique(index).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(image, 0.25 * radiance, rtol=0.02)


def test_fused_colours_of_displaced_frames_lie_where_the_reference_has_them(tmp_path, rng):
    sharp = texture((160, 208), rng)
    shifts = {0: (0, 0), 1: (3, -2), 2: (0, 0), 3: (-2, 4), 4: (0, 0)}
    pictures = [blurred(sharp, 0.5 * (k - 2), Psf("disk", 0.4)) for k in range(5)]
    radiances = [colours(np.roll(picture, shifts[k], axis=(0, 1))[10:130, 10:178]) for k, picture in enumerate(pictures)]
    prepared = prepare_capture(open_source(write_stack(tmp_path, radiances, (1.0,) * 5)))
    inner = np.s_[12:-12, 12:-12]
    for k in (1, 3):
        fusion = AllInFocus(np.full(SHAPE, float(k), np.float32), prepared.capture.coordinates, matrices=prepared.matrices)
        for number in range(5):
            fusion.add(number, prepared.picture(number), gain=prepared.gains[number])
        image, index = fusion.result()
        assert (index[inner] == k).all()
        assert displacement(image[inner][..., 1], radiances[2][inner][..., 1]) < 0.2
        assert displacement(radiances[k][inner][..., 1], radiances[2][inner][..., 1]) > 3


# -- RAW


def dng(path, mosaic, **changes):
    """A DNG with other tags than `write_dng` writes: code=(dtype, count, value)."""
    plain = write_dng(path, mosaic, black_level=512, white_level=16383, settings=CameraSettings(iso=Value(100)))
    with tifffile.TiffFile(plain) as file:
        tags = {tag.code: (tag.dtype, tag.count, tag.value) for tag in file.pages.first.tags if tag.code > 33000}
    tags |= {int(code[4:]): value for code, value in changes.items()}
    tifffile.imwrite(path, mosaic, photometric=32803, metadata=None,
                     extratags=[(code, *value, True) for code, value in sorted(tags.items())])
    return path


def test_a_grey_card_is_grey_after_the_white_balance_of_the_camera(tmp_path, rng):
    """Neutral (0.5, 1, 0.8): the sensor sees grey in this ratio, and colour undoes it."""
    grey = 512 + 4000 * np.array([[0.5, 1.0], [1.0, 0.8]])
    for k in range(2):
        mosaic = np.tile(grey, (24, 36)) + rng.integers(-20, 21, (48, 72))
        dng(tmp_path / f"f{k}.dng", mosaic.astype(np.uint16), tag_50728=(5, 3, (1, 2, 1, 1, 4, 5)))
    for frame in open_source(tmp_path).frames:
        red, green, blue = read_colour(frame).mean(axis=(0, 1))
        assert red / green == pytest.approx(1, abs=0.01)
        assert blue / green == pytest.approx(1, abs=0.01)
        assert green == pytest.approx(4000 / (16383 - 512), rel=0.01)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_raw_file_keeps_the_orientation_of_its_camera(tmp_path, rng, orientation):
    mosaic = rng.integers(600, 9000, (48, 72)).astype(np.uint16)
    path = dng(tmp_path / "turned.dng", mosaic, tag_274=(3, 1, orientation))
    header = raw.read_header(path)
    assert header.orientation == orientation
    assert header.shape == (48, 72)


@pytest.mark.parametrize(("camera", "white"), [([15300] * 4, 15300), ([15300, 15200, 15400, 15200], 15200),
                                               ([16383] * 4, 16000), ([0] * 4, 16000), (None, 16000)])
def test_the_lower_white_level_counts_when_a_file_states_two(camera, white):
    """LibRaw's `maximum` is 16000; a white level that is too high would pass clipped pixels as signal."""
    assert raw._white(SimpleNamespace(camera_white_level_per_channel=camera, white_level=16000)) == white


# -- capture.toml and breathing


def test_the_psf_of_capture_toml_reaches_the_views_and_the_record(tmp_path, rng):
    sharp = texture(SHAPE, rng)
    frames = [colours(blurred(sharp, 3.0 * (k - 1.8), Psf("gaussian", 0.7))) for k in range(5)]
    (tmp_path / "in").mkdir()
    write_stack(tmp_path / "in", frames, (1.0,) * 5, camera=f'{CAMERA}psf = "gaussian"\npsf_core_px = 0.7\n')
    capture = read_capture(tmp_path / "in", align="none")
    assert {view.psf for view in capture.views} == {Psf("gaussian", 0.7)}
    run(tmp_path / "in", tmp_path / "out", align="none")
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["psf"] == {"model": "gaussian", "core_px": 0.7}


@pytest.mark.filterwarnings("ignore:frames are .* px of blur apart")
def test_predicted_breathing_alone_registers_the_border(tmp_path, monkeypatch):
    """Frames 0 and 2 differ from the reference by about 2 px at the border; the residual alignment may not help."""
    known = {"scene": "slant-sphere", "preset": "50mm-f4-12um", "size": (160, 240), "frames": 3, "noise": 0, "seed": 3}
    breathing = simulate_capture("focal-stack", **known)
    exact = simulate_capture("focal-stack", **known, registered=True)
    write_simulation(breathing, tmp_path / "stack", format="dng")
    asked = []

    def nothing(images, *, reference, initial=None, progress=None, **_):
        count = len(images)
        asked.append(count)
        return prepare.Alignment(np.array(initial), np.ones(count), np.zeros(count), np.zeros(count), np.zeros(count, bool),
                                 np.ones(count, bool), "prediction", np.zeros(count))

    monkeypatch.setattr(prepare, "align", nothing)
    capture = read_capture(tmp_path / "stack", align="auto")
    assert asked == [3]
    for k in (0, 2):
        assert 120 * abs(breathing.lenses[k].fx / exact.lenses[k].fx - 1) > 0.8
        for border in (np.s_[8:152, 6:70], np.s_[8:152, 170:234]):
            assert displacement(capture.images[k][border], exact.luminance(k)[border]) < 0.1
