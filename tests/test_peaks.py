"""Peaks of focus curves against closed forms, and the pull to the frames against the transfer functions."""

import numpy as np
import pytest

from dfd.psf import Psf
from dfd.solvers.peaks import gaussian_peak, pull, unlock
from dfd.solvers.sharpness import SCALES


def gaussian_samples(peak, width, places):
    return [np.exp(-((np.asarray(place) - peak) ** 2) / (2 * width**2)) for place in places]


def test_three_uneven_samples_of_a_gaussian_give_its_peak_and_width():
    places = (2.0, 2.31, 2.9)
    place, width = gaussian_peak(*gaussian_samples(2.44, 0.5, places), places)
    assert place == pytest.approx(2.44, abs=1e-9)
    assert width == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("truth_m", [0.9091, 1.25, 0.6667])
def test_a_gaussian_in_dioptres_is_found_at_planes_that_are_even_in_nothing(truth_m):
    planes = 1 / np.array([0.5, 0.6, 0.75, 1.0, 1.5, 3.0])
    curve = np.array(gaussian_samples(1 / truth_m, 0.4, planes))
    best = int(curve.argmax())
    place, _ = gaussian_peak(*curve[best - 1 : best + 2], planes[best - 1 : best + 2])
    assert 1 / place == pytest.approx(truth_m, abs=1e-6)


def test_descending_places_give_the_same_peak():
    places = (2.9, 2.31, 2.0)
    assert gaussian_peak(*gaussian_samples(2.44, 0.5, places), places)[0] == pytest.approx(2.44, abs=1e-9)


@pytest.mark.parametrize("samples", [(1.0, 1.0, 1.0), (2.0, 1.0, 2.0), (1.0, 2.0, 400.0)])
def test_samples_without_a_maximum_between_them_are_unknown(samples):
    place, width = gaussian_peak(*(np.array([value]) for value in samples), (0.0, 1.0, 2.0))
    assert np.isnan(place).all()
    assert np.isnan(width).all()


def focus_curve(model, coc, scale):
    """Mean sharpness of 1/f texture at blur `coc` [px]: root of the filtered power, from transfer functions alone."""
    std, step, _ = scale
    count = 160
    axis = (np.arange(count) + 0.5) / count * np.pi
    wy, wx = axis[:, None], axis[None, :]
    squared = wy**2 + wx**2
    response = (2 - 2 * np.cos(wx * step)) * np.exp(-0.5 * squared * (std**2 + 0.5**2))
    power = response**2 / squared * (np.sinc(wx / 2 / np.pi) * np.sinc(wy / 2 / np.pi)) ** 2
    psf = Psf(model)
    return np.array([np.sqrt((power * psf.otf(c, wy, wx) ** 2).sum()) for c in coc])


@pytest.mark.parametrize("model", ["disk", "gaussian"])
@pytest.mark.parametrize("scale", SCALES)
def test_unlock_removes_the_pull_of_real_focus_curves(model, scale):
    blur = np.linspace(0, 15, 91)
    curve = focus_curve(model, blur, scale)
    offsets = np.array([0.05, 0.15, 0.25, 0.35, 0.45])
    for step_px in (2.5, 4.0, 6.0, 9.0):
        samples = [np.interp(abs(shift - offsets) * step_px, blur, curve) for shift in (-1, 0, 1)]
        fitted, width = gaussian_peak(*samples, (-1.0, 0.0, 1.0))
        before, after = abs(fitted - offsets).max(), abs(unlock(fitted, width) - offsets).max()
        assert after < max(0.45 * before, 0.012)


def test_the_pull_falls_with_the_width_of_the_curve():
    widths = np.linspace(0.4, 4.5, 60)
    assert (np.diff(pull(widths)) <= 0).all()
    assert pull(np.array([0.4]))[0] == pytest.approx(0.16)


def test_unlock_leaves_frames_and_half_way_points_where_they_are():
    np.testing.assert_allclose(unlock(np.array([0.0, 0.5, -0.5]), np.array([0.5, 0.5, 0.5])), [0, 0.5, -0.5], atol=1e-9)


@pytest.mark.parametrize("width", [0.4, 0.5, 0.8, 2.0])
def test_unlock_inverts_the_pull_everywhere_between_two_frames(width):
    true = np.linspace(-0.5, 0.5, 41)
    turn = 2 * np.pi * true
    pulled = true - pull(np.array(width)) * (np.sin(turn) - 0.25 * np.sin(2 * turn))
    np.testing.assert_allclose(unlock(pulled, np.full_like(pulled, width)), true, atol=2e-3)
