"""The noise model, and what `estimate` reads from images alone: ramps, defocused texture, quantised and clean data."""

import math

import numpy as np
import pytest
import scipy.ndimage
from scipy.ndimage import convolve1d
from scipy.signal import fftconvolve

from dfd.noise import FLOOR_STD, LUMINANCE_TAPS, Noise, estimate
from dfd.psf import Psf


def noisy(clean, noise, rng):
    counted = rng.poisson(np.maximum(clean, 0) * noise.gain) / noise.gain
    return (counted + rng.normal(0, noise.read_noise / noise.gain, clean.shape)).astype(np.float32)


def luminance(mosaic):
    across = convolve1d(mosaic, LUMINANCE_TAPS, axis=-1, mode="mirror")
    return convolve1d(across, LUMINANCE_TAPS, axis=-2, mode="mirror")


def ramp(low, high, shape=(400, 600)):
    return np.broadcast_to(np.linspace(low, high, shape[1]), shape)


def defocused_texture(rng, shape=(300, 400), frames=8, step=3.0):
    """(K, H, W) of 1/f texture, 0.01 to 0.95 with half of it dark, at coc -12 to +9 px."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    radial = np.hypot(fy, fx)
    radial[0, 0] = 1
    texture = np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) / radial, shape)
    scene = np.clip(0.18 * np.exp(1.2 * texture / texture.std()), 0.01, 0.95)
    padded = np.pad(scene, 30, "reflect")
    return np.stack([fftconvolve(padded, Psf("disk", 0.6).kernel((k - frames / 2) * step), "same")[30:-30, 30:-30]
                     for k in range(frames)])


@pytest.mark.parametrize("taps", [(1.0,), LUMINANCE_TAPS])
@pytest.mark.parametrize("gain", [2000, 20000])
def test_the_gain_of_a_pure_noise_ramp_is_found_within_5_percent(gain, taps, rng):
    true = Noise(gain, 3.0)
    images = noisy(ramp(0.02, 0.95), true, rng)
    found = estimate(images if len(taps) == 1 else luminance(images), taps=taps)
    assert found.gain == pytest.approx(true.filtered(taps).gain, rel=0.05)
    assert found.taps == taps


@pytest.mark.parametrize("taps", [(1.0,), LUMINANCE_TAPS])
def test_the_read_noise_of_a_dark_ramp_is_found_within_5_percent(taps, rng):
    true = Noise(5000, 20.0)
    images = noisy(ramp(0.03, 0.3, (1200, 1600)), true, rng)
    found = estimate(images if len(taps) == 1 else luminance(images), taps=taps)
    assert found.gain == pytest.approx(true.filtered(taps).gain, rel=0.05)
    assert found.read_noise == pytest.approx(true.filtered(taps).read_noise, rel=0.05)


@pytest.mark.parametrize("taps", [(1.0,), LUMINANCE_TAPS])
@pytest.mark.parametrize("gain, read_noise", [(2000, 15), (5000, 30), (20000, 60)])
def test_noise_under_defocused_texture(gain, read_noise, taps, rng):
    """Gain within 15 %, read noise within 30 %, standard deviation within 5 % in the middle of the range."""
    true = Noise(gain, read_noise)
    images = noisy(defocused_texture(rng), true, rng)
    found, true = estimate(images if len(taps) == 1 else luminance(images), taps=taps), true.filtered(taps)
    assert found.gain == pytest.approx(true.gain, rel=0.15)
    assert found.read_noise == pytest.approx(true.read_noise, rel=0.30)
    assert math.sqrt(found.variance(0.3) / true.variance(0.3)) == pytest.approx(1.0, abs=0.05)


def test_gaussian_noise_of_one_strength_everywhere(rng):
    images = (ramp(0.2, 0.8, (200, 330)) + rng.normal(0, 0.004, (3, 200, 330))).astype(np.float32)
    found = estimate(images)
    assert [math.sqrt(found.variance(level)) for level in (0.2, 0.5, 0.8)] == pytest.approx([0.004] * 3, rel=0.05)


def test_forgetting_the_luminance_filter_would_be_noticed(rng):
    images = luminance(noisy(ramp(0.02, 0.95), Noise(5000, 3.0), rng))
    assert estimate(images).gain > 3 * estimate(images, taps=LUMINANCE_TAPS).gain


def test_8_bit_data_of_a_clean_scene_has_the_noise_of_its_rounding(rng):
    clean = defocused_texture(rng, frames=3)
    found = estimate((np.round(clean * 255) / 255).astype(np.float32))
    assert 0.8 <= math.sqrt(12 * found.variance(0.3)) * 255 <= 1.5


def test_8_bit_data_adds_its_rounding_to_the_noise(rng):
    true = Noise(5000, 10.0)
    images = np.clip(np.round(noisy(ramp(0.05, 0.9), true, rng) * 255), 0, 255) / 255
    found = estimate(images.astype(np.float32))
    assert found.variance(0.5) == pytest.approx(true.variance(0.5) + 1 / 12 / 255**2, rel=0.06)


PLANE = (np.linspace(0, 0.6, 60) + np.linspace(0, 0.31, 40)[:, None]).astype(np.float32)


@pytest.mark.parametrize("images", [
    np.full((2, 40, 60), 0.5, np.float32), np.zeros((2, 40, 60), np.float32), np.full((2, 40, 60), np.nan, np.float32),
    np.ones((40, 60), np.float32), PLANE,
], ids=["flat", "black", "unknown", "white", "clean ramp"])
def test_clean_images_have_the_floor_and_never_none(images):
    found = estimate(images)
    assert FLOOR_STD <= math.sqrt(found.variance(0.5)) <= 3e-5
    assert math.isfinite(found.gain) and math.isfinite(found.read_noise)


def test_saturated_and_black_areas_do_not_count(rng):
    true = Noise(5000, 10.0)
    clean = np.array(ramp(0.05, 0.8))
    clean[:150], clean[150:250] = 3.0, -0.5
    images = np.clip(noisy(clean, true, rng), 0, 1)
    assert estimate(images).gain == pytest.approx(true.gain, rel=0.06)


def test_unknown_pixels_do_not_count(rng):
    images = noisy(ramp(0.02, 0.9, (2, 300, 600)[1:]), Noise(5000, 10.0), rng)
    holed = images.copy()
    holed[:, :100], holed[150, 300] = np.nan, np.nan
    assert estimate(holed).gain == pytest.approx(5000, rel=0.06)


def test_sharp_texture_in_most_of_the_image_does_not_count(rng):
    true = Noise(5000, 10.0)
    clean = np.array(ramp(0.05, 0.9))
    clean[100:] *= 1 + 0.3 * rng.uniform(-1, 1, clean[100:].shape)
    assert estimate(noisy(clean, true, rng)).gain == pytest.approx(5000, rel=0.10)


def test_estimate_leaves_its_input_alone(rng):
    images = noisy(ramp(0.1, 0.9, (40, 60)), Noise(5000, 3.0), rng)
    before = images.copy()
    images.flags.writeable = False
    estimate(images)
    assert np.array_equal(images, before)


def test_an_image_smaller_than_a_block_names_the_way_out():
    with pytest.raises(ValueError, match=r"images \(90 x 12 px\) .*at least 20 px.*gain_e_per_dn"):
        estimate(np.zeros((3, 12, 90), np.float32))


def test_variance_is_shot_noise_plus_read_noise():
    noise = Noise.from_camera(0.5, 4.0, 10000.0)
    assert noise.gain == 5000.0
    assert noise.variance(0.25) == pytest.approx(0.25 / 5000 + (4 / 5000) ** 2, rel=1e-14)
    assert noise.variance(np.array([-0.1, 0.0])) == pytest.approx([(4 / 5000) ** 2] * 2, rel=1e-14)


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_a_brighter_image_is_noisier_by_the_square(factor):
    noise = Noise(5000, 10.0)
    assert noise.scaled(factor).variance(0.4 * factor) == pytest.approx(factor**2 * noise.variance(0.4), rel=1e-12)


def test_a_filter_multiplies_every_variance_by_its_squared_weights():
    noise, filtered = Noise(5000, 10.0), Noise(5000, 10.0).filtered(LUMINANCE_TAPS)
    for level in (0.0, 0.3, 1.0):
        assert filtered.variance(level) == pytest.approx(36 / 256 * noise.variance(level), rel=1e-12)


def test_response_to_a_second_filter_counts_the_correlation(rng):
    kernel = (1.0, -2.0, 1.0)
    white = rng.normal(size=400_000)
    passed = np.convolve(np.convolve(white, LUMINANCE_TAPS, "valid"), kernel, "valid")
    expected = passed.var() / np.convolve(white, LUMINANCE_TAPS, "valid").var()
    assert Noise(1.0, 0.0, LUMINANCE_TAPS).response(kernel) == pytest.approx(expected, rel=0.02)
    assert Noise(1.0, 0.0).response(kernel) == pytest.approx(6.0, abs=1e-12)


def test_correlation_length_of_white_noise_is_one_pixel():
    assert Noise(1.0, 0.0).correlation_length((1.0,)) == pytest.approx(1.0, abs=1e-12)
    assert Noise(1.0, 0.0).correlation_length((1.0, -2.0, 1.0)) == pytest.approx(70 / 36, abs=1e-12)


@pytest.mark.parametrize("gain, read_noise, message", [
    (0.0, 1.0, r"gain \(0 e- at white level\) must be positive"),
    (math.nan, 1.0, r"gain \(nan e-"),
    (1000.0, -1.0, r"read_noise \(-1 e-\) must be zero or positive"),
    (1000.0, math.inf, r"read_noise \(inf e-\)"),
])
def test_noise_that_cannot_be_is_named(gain, read_noise, message):
    with pytest.raises(ValueError, match=message):
        Noise(gain, read_noise)


@pytest.mark.parametrize("smoothness", [0.0, 0.08, 0.15])
def test_noise_of_unknown_correlation_is_recognised_by_what_half_the_size_leaves(rng, smoothness):
    taps = np.array([smoothness, 1 - 2 * smoothness, smoothness])
    white = 0.01 * rng.standard_normal((4, 300, 410))
    smooth = scipy.ndimage.correlate1d(scipy.ndimage.correlate1d(white, taps, axis=1), taps, axis=2)
    found = estimate((0.4 + smooth).astype(np.float32), taps=None)
    assert found.taps == pytest.approx(tuple(taps), abs=0.02)
    assert found.variance(np.float32(0.4)) == pytest.approx(smooth.var(), rel=0.12)


def test_the_mean_of_independent_pixels_has_its_share_of_the_variance(rng):
    noise = Noise(5000, 10.0)
    pixels = 0.3 + np.sqrt(noise.variance(np.float32(0.3))) * rng.standard_normal((4, 200_000))
    assert noise.averaged(1 / 4).variance(np.float32(0.3)) == pytest.approx(pixels.mean(axis=0).var(), rel=0.02)
