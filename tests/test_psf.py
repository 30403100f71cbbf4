"""Kernels and transfer functions: unit sum, moments, Fourier pairs, half pupils, derivatives."""

import math

import numpy as np
import pytest

from dfd.psf import IDEAL_KAPPA, MODELS, Psf

COCS = [0.0, 0.3, -0.3, 1.0, -2.5, 6.0, -13.7, 30.0]
FULL = ["disk", "gaussian", "disk-gaussian"]


def psf(model, core=0.0):
    return Psf(model, core or (0.6 if model == "disk-gaussian" else 0.0))


def moments(kernel):
    """Second moments about the centroid (y, x) [px^2]."""
    half = kernel.shape[0] // 2
    axis = np.arange(-half, half + 1)
    found = []
    for marginal in (kernel.sum(axis=1), kernel.sum(axis=0)):
        mean = (marginal * axis).sum()
        found.append((marginal * (axis - mean) ** 2).sum())
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("coc", COCS)
def test_kernels_have_unit_sum_odd_size_and_no_negative_weight(model, coc):
    kernel = psf(model).kernel(coc)
    assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)
    assert kernel.min() >= 0 and np.isfinite(kernel).all()


@pytest.mark.parametrize("model", FULL)
@pytest.mark.parametrize("coc", [1.5, -4.0, 9.3, 20.0])
def test_second_moment_is_coc_squared_over_16_plus_the_pixel_and_the_core(model, coc):
    """A core of 0.7 px keeps the aliases of sampling at pixels out of the moments."""
    expected = coc**2 / 16 + 1 / 12 + 0.7**2
    assert moments(psf(model, 0.7).kernel(coc)) == pytest.approx([expected, expected], abs=2e-3 * expected)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("coc", [3.2, -8.5])
def test_the_transfer_function_is_the_transform_of_the_kernel(model, coc):
    """With the pixel box and the aliases that sampling at pixels adds, on a non-square set of frequencies."""
    kernel = psf(model, 0.5).kernel(coc, size=61)
    wy, wx = np.linspace(-2, 2, 9)[:, None], np.linspace(-3, 3, 13)[None, :]
    axis = np.arange(-30, 31)
    summed = np.exp(-1j * wy * axis) @ kernel @ np.exp(-1j * wx.T * axis).T
    expected = 0.0
    for up in range(-2, 3):
        for across in range(-2, 3):
            vy, vx = wy + 2 * np.pi * up, wx + 2 * np.pi * across
            box = np.sinc(vy / (2 * np.pi)) * np.sinc(vx / (2 * np.pi))
            expected = expected + psf(model, 0.5).otf(coc, vy, vx) * box
    assert np.abs(summed - expected).max() < 1e-3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("coc", COCS)
def test_transfer_functions_are_1_at_zero_frequency_and_finite(model, coc):
    wy, wx = np.linspace(-np.pi, np.pi, 5)[:, None], np.linspace(-np.pi, np.pi, 7)[None, :]
    otf = psf(model).otf(coc, wy, wx)
    assert np.isfinite(otf).all()
    assert otf[2, 3] == pytest.approx(1.0, abs=1e-9)
    assert np.abs(otf).max() <= 1 + 1e-9


@pytest.mark.parametrize("coc", [0.0, 0.7, -5.0, 18.0])
def test_the_two_halves_average_to_the_disk(coc):
    wy, wx = np.linspace(-3, 3, 8)[:, None], np.linspace(-3, 3, 11)[None, :]
    halves = (Psf("half-left").otf(coc, wy, wx) + Psf("half-right").otf(coc, wy, wx)) / 2
    assert np.abs(halves - Psf("disk").otf(coc, wy, wx)).max() < 1e-4
    kernels = (Psf("half-left").kernel(coc, size=31) + Psf("half-right").kernel(coc, size=31)) / 2
    assert np.abs(kernels - Psf("disk").kernel(coc, size=31)).max() < 1e-12


@pytest.mark.parametrize("coc", [4.0, -10.0, 25.0])
def test_ideal_halves_are_4_over_3_pi_of_the_coc_apart(coc):
    half = 20
    axis = np.arange(-half, half + 1)
    left, right = ((Psf(model, 0.7).kernel(coc, size=2 * half + 1).sum(axis=0) * axis).sum()
                   for model in ("half-left", "half-right"))
    assert (left - right) / coc == pytest.approx(IDEAL_KAPPA, abs=1e-3)
    assert pytest.approx(4 / (3 * math.pi), abs=1e-15) == IDEAL_KAPPA


@pytest.mark.parametrize("model, defocus, expected", [
    ("disk", 0.01, -34.643), ("disk", -0.013, 40.934), ("disk", 0.03, -27.595),
    ("gaussian", 0.01, -32.502), ("gaussian", -0.013, 36.854), ("gaussian", 0.03, -19.985),
])
def test_derivatives_of_transfer_functions_per_dioptre(model, defocus, expected):
    blur_rate, step = 228.9, 1e-6
    frequency = np.array(1.1)
    ahead, behind = (Psf(model).otf(blur_rate * (defocus + sign * step), frequency, np.array(0.0)) for sign in (1, -1))
    assert (ahead - behind) / (2 * step) == pytest.approx(expected, abs=1e-3)
    slope = Psf(model).otf_slope(blur_rate * defocus, frequency, np.array(0.0))
    assert blur_rate * slope == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("coc", [0.0, 1e-4, 0.004, -0.006, 0.3, -2.5, 9.0, -33.0])
def test_the_slope_is_the_derivative_of_the_transfer_function(model, coc):
    """Within 1e-6 per px of a central difference, on a non-square set of frequencies up to the corner of the band."""
    wy, wx, step = np.linspace(-np.pi, np.pi, 12)[:, None], np.linspace(-np.pi, np.pi, 17)[None, :], 1e-4
    difference = (psf(model, 0.4).otf(coc + step, wy, wx) - psf(model, 0.4).otf(coc - step, wy, wx)) / (2 * step)
    slope = psf(model, 0.4).otf_slope(coc, wy, wx)
    assert slope.dtype == difference.dtype and slope.shape == (12, 17)
    assert np.abs(slope - difference).max() < 1e-6


def test_at_focus_only_a_half_pupil_changes():
    wy, wx = np.linspace(-3, 3, 8)[:, None], np.linspace(-3, 3, 11)[None, :]
    for model in FULL:
        assert np.abs(psf(model).otf_slope(0.0, wy, wx)).max() < 1e-15
    left, right = (Psf(model).otf_slope(0.0, wy, wx) for model in ("half-left", "half-right"))
    assert np.allclose(left - right, -1j * IDEAL_KAPPA * np.broadcast_to(wx, (8, 11)), atol=1e-6)


@pytest.mark.parametrize("model", FULL)
@pytest.mark.parametrize("coc", [0.4, 7.0])
def test_a_full_pupil_cannot_tell_near_from_far(model, coc):
    assert np.array_equal(psf(model).kernel(coc), psf(model).kernel(-coc))


def test_half_pupils_mirror_when_the_sign_of_coc_changes():
    assert np.allclose(Psf("half-left").kernel(7.0), Psf("half-right").kernel(-7.0), atol=1e-12)
    assert np.allclose(Psf("half-left").kernel(7.0), Psf("half-left").kernel(-7.0)[:, ::-1], atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_in_focus_without_core_light_stays_in_its_pixel(model):
    assert Psf(model, 0.0 if model != "disk-gaussian" else 0.1).kernel(0.0, size=5)[2, 2] > 0.9


def test_the_smallest_kernel_holds_all_but_a_thousandth_of_a_gaussian():
    assert moments(Psf("gaussian").kernel(12.0))[0] == pytest.approx(9 + 1 / 12, rel=2e-3)


@pytest.mark.parametrize("arguments, message", [
    (("airy",), r"psf \('airy'\) must be one of disk, gaussian"),
    (("disk", -0.1), r"psf_core_px \(-0.1 px\) must be zero or positive"),
    (("disk", math.nan), r"psf_core_px \(nan px\)"),
    (("disk-gaussian",), r"psf 'disk-gaussian' needs psf_core_px"),
])
def test_a_wrong_model_or_core_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Psf(*arguments)


@pytest.mark.parametrize("size", [4, 0, -3])
def test_an_even_kernel_size_is_refused(size):
    with pytest.raises(ValueError, match="must be odd and positive"):
        Psf().kernel(2.0, size=size)


@pytest.mark.parametrize("contrast", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("models", "axis"), [(("half-left", "half-right"), 1), (("half-upper", "half-lower"), 0)])
def test_mixed_halves_lie_contrast_times_the_ideal_apart_along_their_axis(contrast, models, axis):
    coc = 15.0
    places = []
    for model in models:
        kernel = Psf(model, contrast=contrast).kernel(coc, size=23)
        y, x = np.mgrid[-11:12, -11:12]
        places.append([(kernel * y).sum(), (kernel * x).sum()])
    apart = np.subtract(*places)
    assert apart[axis] == pytest.approx(contrast * IDEAL_KAPPA * coc, abs=0.02)  # px
    assert apart[1 - axis] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("model", ["half-left", "half-lower"])
def test_transfer_function_of_mixed_halves_is_that_of_their_kernel(model):
    psf, coc, size = Psf(model, core=0.7, contrast=0.4), -6.0, 41
    wy, wx = 2 * np.pi * np.fft.fftfreq(size)[:, None], 2 * np.pi * np.fft.fftfreq(size)[None]
    box = np.sinc(wy / 2 / np.pi) * np.sinc(wx / 2 / np.pi)
    expected = np.fft.fft2(np.fft.ifftshift(psf.kernel(coc, size=size)))
    low = (np.abs(wy) < 1.5) & (np.abs(wx) < 1.5)
    assert np.abs(psf.otf(coc, wy, wx) * box - expected)[low].max() < 3e-3
    step = 1e-3
    slope = (psf.otf(coc + step, wy, wx) - psf.otf(coc - step, wy, wx)) / (2 * step)
    assert np.abs(psf.otf_slope(coc, wy, wx) - slope).max() < 1e-6


def test_contrast_is_of_half_pupils_alone():
    with pytest.raises(ValueError, match=r"contrast \(0.5\) must .* psf is 'disk'"):
        Psf("disk", contrast=0.5)
