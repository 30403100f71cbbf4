"""Measured kernels stand wherever a PSF model does: same transfer function, same depth, clear errors."""

from dataclasses import replace

import numpy as np
import pytest
from pairs import plane_pair
from textures import plane_stack

from dfd.measured import MeasuredPsf
from dfd.psf import Psf
from dfd.solvers import SOLVERS

COCS = np.arange(-34.0, 34.5, 0.5)


@pytest.fixture(scope="module")
def measured():
    return MeasuredPsf(COCS, np.stack([Psf("disk", 0.5).kernel(coc, size=43) for coc in COCS]))


@pytest.mark.parametrize("coc", [-7.3, 0.2, 3.75, 11.0])
def test_its_transfer_function_is_that_of_the_model_times_the_pixel_box(measured, coc):
    wy, wx = np.linspace(-1.5, 1.5, 9)[:, None], np.linspace(0, 1.5, 7)[None]
    expected = Psf("disk", 0.5).otf(coc, wy, wx) * np.sinc(wy / 2 / np.pi) * np.sinc(wx / 2 / np.pi)
    np.testing.assert_allclose(measured.otf(coc, wy, wx), expected, atol=0.02)


def test_its_slope_is_the_derivative_between_two_kernels(measured):
    wy, wx = np.linspace(-1.5, 1.5, 5)[:, None], np.linspace(0, 1.5, 4)[None]
    step = (measured.otf(3.4, wy, wx) - measured.otf(3.2, wy, wx)) / 0.2
    np.testing.assert_allclose(measured.otf_slope(3.3, wy, wx), step, atol=1e-9)


def test_twice_as_large_pixels_keep_the_light_and_the_size(measured):
    small = measured.reduced(2)
    np.testing.assert_allclose(small.kernels.sum(axis=(1, 2)), 1.0, atol=1e-12)
    y, x = np.mgrid[:small.kernels.shape[1], :small.kernels.shape[2]] - small.kernels.shape[1] // 2
    full = np.mgrid[:43, :43] - 21
    kernel, whole = small.kernel(6.0), measured.kernel(12.0)
    spread = (kernel * x**2).sum() - (kernel * x).sum() ** 2
    assert spread == pytest.approx((whole * full[1] ** 2).sum() / 4, abs=0.1)  # px^2
    assert (kernel * y).sum() == pytest.approx((kernel * x).sum(), abs=1e-5)


@pytest.mark.parametrize("inverse_depth", [1.32, 1.45])
def test_depth_with_measured_kernels_is_that_with_the_model(measured, inverse_depth):
    capture = plane_stack(np.random.default_rng(3), inverse_depth=inverse_depth, foci=np.array([1.5, 1.43, 1.36, 1.29]),
                          psf=Psf("disk", 0.5))
    known = replace(capture, views=[replace(view, psf=measured) for view in capture.views])
    one, other = (SOLVERS["likelihood"].function(each) for each in (capture, known))
    error = capture.views[0].lens.blur_rate * (other.values - one.values)[14:-14, 14:-14]
    assert np.isfinite(error).mean() > 0.95 and np.nanmedian(abs(error)) < 0.08  # px of coc


def test_a_blur_beyond_the_table_is_refused_with_the_next_step(measured):
    with pytest.raises(ValueError, match=r"coc \(40 px\) lies beyond the measured kernels, -34 to 34 px; narrow"):
        measured.kernel(40.0)
    with pytest.raises(ValueError, match=r"size \(29 px\) must be odd and at least that of the measured kernels \(43 px\)"):
        measured.kernel(1.0, size=29)


@pytest.mark.parametrize("cocs, kernels, message", [
    ([1.0], np.ones((1, 3, 3)), "at least 2"), ([2.0, 1.0], np.ones((2, 3, 3)), "ascending"),
    ([1.0, 2.0], np.ones((2, 4, 4)), "odd number"), ([1.0, 2.0], np.zeros((2, 3, 3)), "positive sum")])
def test_tables_that_cannot_be_are_refused(cocs, kernels, message):
    with pytest.raises(ValueError, match=message):
        MeasuredPsf(np.array(cocs), kernels)


def test_closed_forms_refuse_measured_kernels(measured):
    pair = plane_pair(np.random.default_rng(1), "focus")
    known = replace(pair, views=[replace(view, psf=measured) for view in pair.views])
    with pytest.raises(ValueError, match="needs symmetrical PSFs"):
        SOLVERS["spatial-transform"].check(known, None)
