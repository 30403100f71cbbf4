"""Plane fits and filling against exact planes, steps and outliers."""

import numpy as np
import pytest

from dfd.refine import fill, fit_plane


def tilted(shape=(45, 61)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 3.0 + 0.02 * x - 0.05 * y


def test_a_tilted_plane_comes_back_up_to_the_border():
    plane = tilted()
    value, scatter = fit_plane(plane, np.full(plane.shape, 0.1), std=3.0)
    np.testing.assert_allclose(value, plane, atol=2e-2)
    np.testing.assert_allclose(value[15:-15, 15:-15], plane[15:-15, 15:-15], atol=1e-9)
    assert scatter[15:-15, 15:-15].max() < 0.02


def test_independent_noise_is_averaged_and_shown_by_the_scatter(rng):
    plane = tilted((200, 231))
    noisy = plane + 0.1 * rng.standard_normal(plane.shape)
    value, scatter = fit_plane(noisy, np.full(plane.shape, 0.1), std=3.0)
    error = (value - plane)[15:-15, 15:-15]
    assert error.std() == pytest.approx(0.1 / np.sqrt(4 * np.pi * 3.0**2), rel=0.15)
    assert 0.07 < np.median(scatter) < 0.105  # the biweight leaves the tails out


def test_single_outliers_do_not_pull_the_plane(rng):
    plane = tilted()
    spoiled = plane + 0.01 * rng.standard_normal(plane.shape)
    spoiled[rng.random(plane.shape) < 0.03] += 5.0
    value, _ = fit_plane(spoiled, np.full(plane.shape, 0.03), std=3.0)
    assert np.abs(value - plane)[10:-10, 10:-10].max() < 0.05


def test_unknown_values_take_no_part(rng):
    plane = tilted()
    holed = np.where(rng.random(plane.shape) < 0.3, np.nan, plane)
    value, _ = fit_plane(holed, np.full(plane.shape, 0.1), std=3.0)
    np.testing.assert_allclose(value[10:-10, 10:-10], plane[10:-10, 10:-10], atol=0.02)


@pytest.mark.parametrize("level", [-21.0, 0.0, 21.0])  # the ends and the middle of a sweep of 43 frames
@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_lone_island_keeps_its_depth_wherever_in_the_sweep_it_lies(level, side):
    values = np.full((45, 61), np.nan, np.float32)
    island = np.s_[20:20 + side, 30:30 + side]
    values[island] = level
    value, scatter = fit_plane(values, np.full(values.shape, 0.1, np.float32), std=3.0)
    np.testing.assert_allclose(value[island], level, atol=1e-5)
    assert scatter[island].max() < 1e-2


def test_the_rim_beside_what_is_unknown_is_no_outlier():
    """At the end of a sweep 0, which unknown values were once taken for, is far from every depth."""
    plane = tilted() + 20
    holed = np.where(np.arange(61) < 30, plane, np.nan)
    value, _ = fit_plane(holed, np.full(plane.shape, 0.1), std=3.0)
    np.testing.assert_allclose(value[15:-15, 15:30], plane[15:-15, 15:30], atol=0.05)


def test_nothing_known_gives_nothing():
    value, scatter = fit_plane(np.full((20, 31), np.nan), np.full((20, 31), 0.1), std=3.0)
    assert np.isnan(value).all()
    assert np.isnan(scatter).all()


def test_fill_keeps_what_is_known_and_reaches_every_hole():
    plane = tilted().astype(np.float32)
    holed = plane.copy()
    holed[5:40, 3:50] = np.nan
    filled = fill(holed)
    known = np.isfinite(holed)
    np.testing.assert_array_equal(filled[known], plane[known])
    assert np.isfinite(filled).all()
    assert plane.min() - 1e-3 <= filled.min() and filled.max() <= plane.max() + 1e-3


def test_fill_keeps_a_step_a_step():
    values = np.where(np.arange(60) < 30, 1.0, 2.0)[None, :] * np.ones((20, 1), np.float32)
    holed = values.copy()
    holed[:, 22:38] = np.nan
    np.testing.assert_array_equal(fill(holed), values)


def test_fill_of_nothing_is_nothing():
    assert np.isnan(fill(np.full((9, 14), np.nan, np.float32))).all()
