"""Brightness: what exposures say, then what the images show, saturated and dark parts aside."""

import math

import numpy as np
import pytest
from moving import SHAPE, frame, scene, similarity

from dfd import imaging, prepare
from dfd.optics import ThinLens
from dfd.settings import CameraSettings, Value


def settings(exposure=None, iso=None, f_number=None, focal_length=None, pupil=None):
    values = {"exposure": exposure, "iso": iso, "f_number": f_number, "focal_length": focal_length,
              "pupil_diameter": pupil}
    return CameraSettings(**{name: None if value is None else Value(value) for name, value in values.items()})


def test_time_iso_and_pupil_area_are_divided_out():
    frames = [settings(0.01, 100, 2.8), settings(0.02, 200, 2.8), settings(0.01, 100, 5.6)]
    assert np.abs(prepare.brightness_factors(frames) - [1, 0.25, 4]).max() < 1e-12
    assert np.abs(prepare.brightness_factors(frames, reference=1) - [4, 1, 16]).max() < 1e-12


def test_the_pupil_comes_from_the_lens_before_the_f_number():
    lenses = [ThinLens(0.05, 0.02, 0.055, 6e-6), ThinLens(0.05, 0.01, 0.055, 6e-6)]
    frames = [settings(0.01, None, 2.8), settings(0.01, None, 2.8)]
    assert np.abs(prepare.brightness_factors(frames, lenses) - [1, 4]).max() < 1e-12
    assert np.abs(prepare.brightness_factors(frames, [None, None]) - 1).max() == 0
    zoomed = [settings(0.01, None, 4, 0.05), settings(0.01, None, 4, 0.1)]
    assert np.abs(prepare.brightness_factors(zoomed) - [1, 0.25]).max() < 1e-12


def test_one_frame_without_exposure_makes_all_count_as_equal():
    frames = [settings(0.01, 100, 2.8), settings(None, 100, 5.6)]
    assert prepare.brightness_factors(frames).tolist() == [1, 1]


def test_an_iso_that_some_frame_lacks_is_not_used():
    assert prepare.brightness_factors([settings(0.01, 100), settings(0.02)]).tolist() == [1, 0.5]


def test_a_residual_gain_is_found_to_half_a_percent_whatever_the_blur(rng):
    still = scene(rng)
    images = [frame(still, np.eye(3), rng, 9) * np.float32(1 / 1.07), frame(still, np.eye(3), rng, 0),
              frame(still, np.eye(3), rng, -6) * np.float32(1 / 0.8)]
    images[0] = imaging.warp(images[0], similarity(0.004, 0, 3.3, 0))
    assert np.abs(prepare.residual_gains(images, 1) - [1.07, 1, 0.8]).max() < 0.005


def test_equal_frames_have_a_gain_of_exactly_1(rng):
    still = scene(rng)
    images = [frame(still, np.eye(3), rng, coc) for coc in (-3, 0, 3)]
    assert prepare.residual_gains([images[1]] * 3, 1).tolist() == [1, 1, 1]
    assert np.abs(prepare.residual_gains(images, 1) - 1).max() < 0.003


def test_constant_images_have_an_exact_gain_and_dark_ones_none():
    flat = [np.full(SHAPE, level, np.float32) for level in (0.2, 0.4, 0.0)]
    assert prepare.residual_gains(flat, 1) == pytest.approx([2, 1, math.nan], abs=1e-6, nan_ok=True)
    assert prepare.residual_gains(flat, 2) == pytest.approx([math.nan, math.nan, 1], nan_ok=True)


def test_dark_blocks_say_nothing_of_brightness(rng):
    """Stray light on black: two thirds of the image hold 1/30 of the light, and another ratio."""
    still = (0.5 + 0.05 * rng.standard_normal(SHAPE)).astype(np.float32)
    still[:, 200:] *= np.float32(1 / 30)
    other = 0.8 * still
    other[:, 200:] += np.float32(0.01)
    assert abs(prepare.residual_gains([still, other], 0)[1] - 1.25) < 0.005


def test_a_coarse_pixel_is_the_mean_of_what_is_known_of_it():
    image = np.full((6, 9), 0.4, np.float32)
    image[0, 0], image[0, 3:6], image[1, 3:5] = 1.0, np.nan, np.nan
    small = prepare.coarse(image, 3)
    assert np.isnan(small[0, 1]) and np.abs(np.delete(small.ravel(), 1) - 0.4).max() < 1e-6


def test_saturated_pixels_do_not_count(rng):
    still = np.clip(scene(rng), 0, None).astype(np.float32)[:SHAPE[0], :SHAPE[1]]
    bright = np.minimum(still * 1.5, 1)
    assert (bright == 1).mean() > 0.05
    assert abs(prepare.residual_gains([prepare.coarse(image, 1) for image in (still, bright)], 0)[1] - 1 / 1.5) < 0.003


@pytest.mark.parametrize("highlights", ["none", "scattered", "a lamp"])
@pytest.mark.parametrize("exposure", [2.0, 2.78, 3.5, 1 / 2.78])
def test_an_exposure_that_the_files_do_not_show_is_told_in_full(exposure, highlights, rng):
    """Brightness matched in the files: what the exposure says is wrong by itself, wherever the highlights are cut."""
    still = scene(rng) * np.float32(1.3 if highlights == "scattered" else 1)
    if highlights == "a lamp":
        still[60:160, 80:260] *= np.float32(3)
    images = [np.clip(frame(still, np.eye(3), rng, coc), 0, 1) for coc in (0, 3, 6)]
    assert highlights == "none" or min((image == 1).mean() for image in images) > 0.002
    for factor in (1, 2):
        small = [prepare.coarse(image, factor) for image in images]
        small[1:] = [image * np.float32(exposure) for image in small[1:]]
        assert np.abs(prepare.residual_gains(small, 0) * [1, exposure, exposure] - 1).max() < 0.005
        assert np.abs(prepare.residual_gains(small, 1) * [1 / exposure, 1, 1] - 1).max() < 0.005


@pytest.mark.parametrize("factor", [2, 3])
def test_scattered_glints_and_a_lamp_do_not_hide_flicker(factor, rng):
    shape = (361, 541)
    still = (0.3 + 0.05 * rng.standard_normal(shape)).astype(np.float32)
    glints, lamp = rng.random(shape) < 0.02, np.s_[30:90, 100:220]

    def seen(gain, value):
        image = gain * still
        image[glints], image[lamp] = value, value
        return image

    for value in (1.0, np.nan):  # as TIFFs have them; as decoded RAWs have them
        small = [prepare.coarse(seen(gain, value), factor) for gain in (1.0, 1.07)]
        assert 0.02 < np.isnan(small[0]).mean() < 0.06
        warped = [imaging.warp(image, similarity(0, 0, 0.4, 0.3, image.shape)) for image in small]
        assert abs(prepare.residual_gains(warped, 0)[1] - 1 / 1.07) < 0.002
