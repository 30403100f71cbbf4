"""The parametric kernel: its closed forms, its derivatives, what a fit finds again, and the kernels of a real camera."""

import math

import numpy as np
import pytest
from conftest import shared_data

from calibration.psf import model as psf_model
from calibration.psf.model import LEAST_CORE, PARAMETERS, centroid, fit_kernel, kernel
from dfd.psf import Psf

PARAMS = np.array([0.3, -0.2, 5.0, 4.0, 0.7, 0.2, -0.3, 0.4, 0.1, -0.2, 0.6])


def test_a_round_even_pupil_is_the_disc_with_a_core():
    for coc in (2.0, 7.3, 20.0):
        found = kernel([0, 0, coc / 2, coc / 2, 0, 0, 0, 0, 0, 0, 0.7], 31)
        truth = Psf("disk", core=0.7).kernel(coc, size=31)
        assert np.linalg.norm(found - truth) < 2e-3 * np.linalg.norm(truth)


def test_first_and_second_moments_are_those_of_ellipse_core_and_pixel():
    found = kernel([0.4, -0.6, 4, 3, 1, 0, 0, 0, 0, 0, 0.8], 25)
    axis = np.arange(25) - 12
    x, y = centroid(found)
    assert (x, y) == pytest.approx((0.4, -0.6), abs=1e-6)  # px
    moment = (axis - x) @ found.T @ (axis - y)
    assert (found.sum(axis=0) @ (axis - x) ** 2, found.sum(axis=1) @ (axis - y) ** 2, moment) == pytest.approx(
        ((16 + 1) / 4 + 0.64 + 1 / 12, (9 + 1) / 4 + 0.64 + 1 / 12, 7 / 4), abs=1e-5)  # px^2


def test_the_signs_are_those_of_the_picture():
    right = kernel([0, 0, 4, 4, 0, 0.5, 0, 0, 0, 0, 0.5], 13)
    low = kernel([0, 0, 4, 4, 0, 0, 0.5, 0, 0, 0, 0.5], 13)
    leaning = kernel([0, 0, 4, 4, 2, 0, 0, 0, 0, 0, 0.5], 13)
    rim = kernel([0, 0, 4, 4, 0, 0, 0, 0.5, 0, 0, 0.5], 13)
    assert centroid(right)[0] > 0.5 and centroid(low)[1] > 0.5
    assert leaning[9, 9] > 10 * leaning[9, 3]
    assert rim[6, 9] > 1.5 * rim[6, 6]


def test_derivatives_are_those_of_differences():
    _, slopes = psf_model._rendered(PARAMS, 21, derivatives=True)
    for index, name in enumerate(PARAMETERS):
        step = np.zeros(11)
        step[index] = 1e-5
        difference = (kernel(PARAMS + step, 21) - kernel(PARAMS - step, 21)) / 2e-5
        assert np.abs(slopes[index] - difference).max() < 1e-7 * np.abs(difference).max(), name


def test_the_integral_over_the_pupil_is_fine_enough(monkeypatch):
    for core in (LEAST_CORE, 0.5, 2.0):
        params = np.array([*PARAMS[:10], core])
        coarse = kernel(params, 21)
        with monkeypatch.context() as patched:
            patched.setattr(psf_model, "_SPACING", 0.3)
            fine = kernel(params, 21)
        assert np.linalg.norm(coarse - fine) < 5e-4 * np.linalg.norm(fine)


def test_light_is_never_negative():
    found = kernel([0, 0, 5, 5, 0, 3.0, 0, 0, 0, 0, 0.5], 17)
    assert found.min() >= 0 and found.sum() == pytest.approx(1, abs=1e-12)


def test_a_fit_finds_the_numbers_again():
    found = fit_kernel(5 * kernel(PARAMS, 21))
    assert found.params == pytest.approx(PARAMS, abs=2e-3)
    assert found.residual_l2 < 5e-4
    assert found.diameter == pytest.approx(2 * math.sqrt(20 - 0.49), abs=1e-3)  # px


@pytest.mark.parametrize("coc", [2.0, 3.0, 5.0, 20.0])
def test_small_kernels_with_errors_keep_their_diameter(rng, coc):
    truth = kernel([0, 0, coc / 2, coc / 2, 0, 0, 0, 0.2, 0, 0, 0.6], 31)
    noise = rng.standard_normal(truth.shape)
    found = fit_kernel(truth + 0.01 * np.linalg.norm(truth) * noise / np.linalg.norm(noise))
    assert found.diameter == pytest.approx(coc, abs=0.15)  # px
    assert found.params[7] == pytest.approx(0.2, abs=0.35)


def test_sigmas_are_those_of_the_scatter(rng):
    truth, noise = kernel(PARAMS, 19), 2e-4
    fits = [fit_kernel(truth + noise * rng.standard_normal(truth.shape), np.full(truth.shape, noise**-2.0))
            for _ in range(40)]
    scatter = np.std([fit.params for fit in fits], axis=0)
    told = np.median([fit.sigma for fit in fits], axis=0)
    assert np.all((scatter / told > 0.6) & (scatter / told < 1.6))


def test_bad_kernels_are_told():
    for size in (20, 0):
        with pytest.raises(ValueError, match="odd and positive"):
            kernel(PARAMS, size)
    with pytest.raises(ValueError, match="core_px"):
        kernel([*PARAMS[:10], 0.1], 21)
    with pytest.raises(ValueError, match="11 finite numbers"):
        kernel(PARAMS[:9], 21)
    with pytest.raises(ValueError, match="square of an odd number"):
        fit_kernel(np.ones((6, 7)))
    with pytest.raises(ValueError, match="positive sum"):
        fit_kernel(np.zeros((7, 7)))
    with pytest.raises(ValueError, match="one per px"):
        fit_kernel(np.ones((7, 7)), np.ones((5, 5)))


@pytest.mark.slow
def test_kernels_of_a_real_camera():
    folder = shared_data("calib/pixel4_dp_calibration")
    left, right = (np.load(folder / f"blur_kernels_{side}.npy") for side in ("left", "right"))
    whole = np.array([fit_kernel(one).residual_l2 for one in (left + right)])
    assert np.median(whole[::4]) <= 0.05  # twelve of the cells
    assert np.median(whole) <= 0.055 and whole.max() <= 0.08
    halves = np.array([fit_kernel(one).residual_l2 for one in (*left[::4], *right[::4])])
    assert np.median(halves) <= 0.08
