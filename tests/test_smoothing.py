"""Edge-aware smoothing against exact planes and steps, and its sigma against the errors it makes."""

import numpy as np
import pytest
from fakegpu import device  # noqa: F401  (fixture)

from dfd.imaging import box_mean
from dfd.refine import smooth, smooth_arrays

SHAPE = (43, 271)


def tilted(shape=SHAPE):
    y, x = np.mgrid[:shape[0], :shape[1]]
    return 3 + 0.02 * x - 0.05 * y


def holes(rng, shape=SHAPE):
    """Unknown pixels: a third of all, a block with one known pixel left, and a line of known ones."""
    unknown = rng.random(shape) < 0.3
    unknown[10:25, 40:60] = unknown[10:20, 250:262] = True
    unknown[18, 50] = unknown[10:20, 256] = False
    return unknown


def test_a_slanted_plane_comes_back_whatever_the_guide_shows_and_is_unknown(rng):
    plane, sigma = tilted(), rng.uniform(0.05, 0.3, SHAPE)
    unknown = holes(rng)
    value, _ = smooth(np.where(unknown, np.nan, plane), sigma, rng.random(SHAPE), radius=4, tolerance=0.4)
    np.testing.assert_array_equal(np.isnan(value), unknown)
    np.testing.assert_allclose(value[~unknown], plane[~unknown], atol=2e-6)


def test_nothing_crosses_an_edge_of_the_guide_as_high_as_the_tolerance(rng):
    """Where the guide has the edge of the depth, one side does not know of the other."""
    right = np.arange(SHAPE[1]) >= 120
    guide = 0.3 + 0.5 * right + 0.02 * np.clip(rng.standard_normal(SHAPE), -4, 4)
    depth = tilted() + 2 * right
    noisy, sigma = depth + 0.1 * rng.standard_normal(SHAPE), np.full(SHAPE, 0.1)
    value, deviation = smooth(noisy, sigma, guide, radius=4, tolerance=0.3)
    moved, _ = smooth(noisy + 5 * right, sigma, guide, radius=4, tolerance=0.3)
    np.testing.assert_allclose(moved, value + 5 * right, atol=1e-9)
    for column in (118, 119, 120, 121):
        assert abs((value - depth)[:, column].mean()) < 0.01 * 2  # 1 % of the step
    assert np.median(deviation) < 0.5 * 0.1


def test_a_flat_guide_lets_a_step_through():
    """What the guide does not show is smoothed: the edges come from the guide alone."""
    depth = 2.0 * (np.arange(SHAPE[1]) >= 120) * np.ones((SHAPE[0], 1))
    value, _ = smooth(depth, np.full(SHAPE, 0.1), np.zeros(SHAPE), radius=4, tolerance=0.3)
    assert value[20, 119] > 0.2 and value[20, 120] < 1.8
    np.testing.assert_allclose(value[:, 125:], 2, atol=1e-9)


def test_sigma_is_that_of_the_errors_of_independent_noise(rng):
    sigma = rng.uniform(0.05, 0.3, (200, 231))
    plane = tilted(sigma.shape)
    noisy = plane + sigma * rng.standard_normal(sigma.shape)
    value, deviation = smooth(noisy, sigma, np.zeros(sigma.shape), radius=3, tolerance=1.0)
    ratio = (value - plane) / deviation
    assert ratio.std() == pytest.approx(1, abs=0.03)
    assert ratio[:, :3].std() == pytest.approx(1, abs=0.1)  # a plane at the border is less certain
    assert np.median(deviation) < 0.25 * np.median(sigma)


@pytest.mark.parametrize("window", [3, 5])
def test_sigma_is_a_bound_close_to_the_errors_of_noise_alike_in_windows(rng, window):
    noise = box_mean(rng.standard_normal((200, 231)).astype(np.float32), window) * window * 0.1
    value, deviation = smooth(tilted(noise.shape) + noise, np.full(noise.shape, 0.1), np.zeros(noise.shape), radius=6,
                              tolerance=1.0, correlation=window)
    inside = np.s_[8:-8, 8:-8]
    ratio = (value - tilted(noise.shape))[inside].std() / deviation[inside].mean()
    assert 0.75 < ratio < 1.05
    assert deviation[inside].max() < 0.1


def test_a_doubtful_value_follows_its_sure_neighbours():
    values, sigma = tilted(), np.full(SHAPE, 0.1)
    values[20, 100] += 5
    sigma[20, 100] = 5
    value, deviation = smooth(values, sigma, np.zeros(SHAPE), radius=3, tolerance=1.0)
    np.testing.assert_allclose(value, tilted(), atol=1e-3 * 5)
    assert deviation[20, 100] < 0.1


def test_where_the_guide_or_all_around_is_unknown_a_value_is_kept_with_its_sigma(rng):
    values, sigma, guide = tilted() + rng.standard_normal(SHAPE), rng.uniform(0.05, 0.3, SHAPE), np.zeros(SHAPE)
    guide[5, 7] = np.nan
    values[20:31, 50:61], values[25, 55] = np.nan, 4.0
    sigma[8, 90] = np.nan
    value, deviation = smooth(values, sigma, guide, radius=5, tolerance=1.0, correlation=3)
    for pixel in ((5, 7), (25, 55)):
        assert value[pixel] == pytest.approx(values[pixel], abs=1e-9)
        assert deviation[pixel] == pytest.approx(sigma[pixel], abs=1e-9)
    for result in (value, deviation):
        np.testing.assert_array_equal(np.isnan(result), np.isnan(values) | np.isnan(sigma))


def test_units_do_not_matter(rng):
    values, sigma, guide = rng.random(SHAPE), rng.uniform(0.05, 0.3, SHAPE), rng.random(SHAPE)
    value, deviation = smooth(values, sigma, guide, radius=2, tolerance=0.5)
    scaled = smooth(1e-3 * values, 1e-3 * sigma, 50 * guide, radius=2, tolerance=25.0)
    np.testing.assert_allclose(scaled[0], 1e-3 * value, atol=1e-9)
    np.testing.assert_allclose(scaled[1], 1e-3 * deviation, atol=1e-9)


def test_the_loop_gives_what_whole_arrays_give(device, rng):  # noqa: F811
    values = (tilted() + 0.1 * rng.standard_normal(SHAPE)).astype(np.float32)
    values[holes(rng)] = np.nan
    sigma, guide = rng.uniform(0.05, 0.3, SHAPE).astype(np.float32), rng.random(SHAPE, dtype=np.float32)
    guide[rng.random(SHAPE) < 0.05] = np.nan
    wanted = smooth(values, sigma, guide, radius=3, tolerance=0.4, correlation=2)
    found = smooth_arrays(*map(device.put, (values, sigma, guide)), radius=3, tolerance=0.4, correlation=2)
    assert device.owns(smooth(*map(device.put, (values, sigma, guide)), radius=3, tolerance=0.4)[0])
    for one, other in zip(wanted, found, strict=True):
        assert device.owns(other) and one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, device.get(other), atol=1e-6)  # NaN at the same pixels


@pytest.mark.parametrize("change, message", [
    ({"radius": 0}, r"radius \(0 px\) must be a whole number"),
    ({"radius": 2.5}, r"radius \(2.5 px\) must be a whole number"),
    ({"tolerance": 0.0}, r"tolerance \(0.0, unit of the guide\) must be above 0"),
    ({"correlation": 0.5}, r"correlation \(0.5 px\) must be 1 px or more"),
    ({"guide": np.zeros((5, 4))}, r"guide \(5, 4\) must have one shape"),
])
def test_what_cannot_be_is_named(change, message):
    arguments = {"guide": np.zeros((4, 5)), "radius": 2, "tolerance": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        smooth(np.ones((4, 5)), np.ones((4, 5)), **arguments)
