"""Unknown pixels of a focal stack are filled by what the pixels themselves say, on the right side of a depth edge."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from textures import texture

from dfd import rimfill
from dfd.capture import FocalStack, View
from dfd.noise import Noise
from dfd.psf import Psf
from dfd.refine import fill
from dfd.simulate import simulate_capture

SHAPE = (110, 160)
NOISE = Noise(1e5, 0.0)


@pytest.fixture(scope="module")
def step():
    """(stack, truth [dioptre], map with a band of 10 px around the depth edges unknown)"""
    simulation = simulate_capture(scene="step", size=(120, 180), noise=20000, frames=14, registered=True, seed=3)
    truth = simulation.truth
    jumps = np.zeros(truth.shape, bool)
    jumps[:, 1:] |= abs(np.diff(truth, axis=1)) > 0.05
    jumps[1:] |= abs(np.diff(truth, axis=0)) > 0.05
    from scipy.ndimage import binary_dilation

    near = binary_dilation(jumps, iterations=10)
    assert 0.03 < near.mean() < 0.5
    return simulation.capture(), truth, np.where(near, np.float32(np.nan), truth)


def filled(values, stack):
    """`values` as the main job fills them: by votes, then by what is near."""
    return fill(rimfill.fill_from_votes(values, stack))


def wrong(found, truth, where):
    """Share of pixels off by more than a quarter of the step."""
    return float(np.mean(abs(found - truth)[where] > 0.1))


def test_a_depth_edge_is_found_again_where_the_nearest_known_depth_misses_it(step):
    stack, truth, holed = step
    # the band again, but moved: the nearest known depth now puts the edge in the wrong place
    holed = np.roll(np.isnan(holed), 7, axis=1)
    unknown = np.isnan(np.where(holed, np.nan, truth))
    holed = np.where(unknown, np.float32(np.nan), truth)
    found, nearest = filled(holed, stack), fill(holed)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[~unknown], holed[~unknown])
    assert wrong(found, truth, unknown) < 0.5 * wrong(nearest, truth, unknown)


def test_bands_of_rows_give_what_the_whole_gives(step, monkeypatch):
    stack, _, holed = step
    whole = filled(holed, stack)
    monkeypatch.setattr(rimfill, "_BAND", 180 * 44)
    np.testing.assert_array_equal(filled(holed, stack), whole)


def test_the_order_of_frames_does_not_matter(step):
    stack, _, holed = step
    turned = type(stack)(np.ascontiguousarray(stack.images[::-1]), stack.views[::-1])
    np.testing.assert_allclose(filled(holed, turned), filled(holed, stack), atol=1e-6)


def test_without_texture_the_nearest_known_depth_serves(step):
    stack, _, holed = step
    flat = type(stack)(np.full_like(stack.images, 0.5), stack.views)
    np.testing.assert_array_equal(filled(holed, flat), fill(holed))
    noise = np.random.default_rng(1).standard_normal(stack.images.shape, dtype=np.float32) * np.float32(1e-4)
    noisy = type(stack)(np.float32(0.5) + noise, stack.views)  # far below the noise that the views state
    np.testing.assert_array_equal(filled(holed, noisy), fill(holed))


def test_nothing_known_stays_nothing_and_a_full_map_stays_itself(step):
    stack, truth, _ = step
    empty = np.full_like(truth, np.nan)
    assert np.isnan(filled(empty, stack)).all()
    assert rimfill.fill_from_votes(truth, stack) is truth


def test_saturated_and_missing_pixels_do_not_vote(step):
    stack, truth, holed = step
    images = stack.images.copy()
    images[:, 40:60, 60:90] = np.nan
    found = filled(holed, type(stack)(images, stack.views))
    assert np.isfinite(found).all() and found.min() >= truth.min() - 0.3 and found.max() <= truth.max() + 0.3


def sweep(*surfaces, frames=9):
    """Focal stack of surfaces (texture, depth in frames, where it is seen); Gaussian blur, 0.9 px per frame off."""
    images = np.zeros((frames, *SHAPE))
    for sharp, depth, where in surfaces:
        levels = np.linspace(depth.min(), depth.max(), int(8 * np.ptp(depth)) + 1)
        nearest = abs(levels[:, None, None] - depth).argmin(axis=0)[None]
        for number, image in enumerate(images):
            planes = np.stack([gaussian_filter(sharp, 0.6 + 0.9 * abs(number - level), mode="wrap") for level in levels])
            image[where] = np.take_along_axis(planes, nearest, axis=0)[0][where]
    images += np.random.default_rng(1).normal(size=images.shape) * np.sqrt(NOISE.variance(images))
    return FocalStack(images.astype(np.float32), [View(None, Psf(), NOISE, float(k)) for k in range(frames)], "steps")


@pytest.fixture(scope="module")
def slant():
    """(stack, depth in frames of a slanted plane, the same with all but its border unknown)"""
    depth = np.broadcast_to(1.5 + 5 * np.arange(SHAPE[1]) / SHAPE[1], SHAPE).astype(np.float32)
    holed = depth.copy()
    holed[10:-10, 10:-10] = np.nan
    return sweep((texture(SHAPE, np.random.default_rng(3)), depth, np.ones(SHAPE, bool))), depth, holed


def test_depth_lies_between_frames(slant):
    """The frame alone would leave an rms error of 1 / sqrt(12) = 0.29 frames."""
    stack, depth, holed = slant
    error = (rimfill.fill_from_votes(holed, stack) - depth)[20:-20, 20:-20]
    assert np.sqrt(np.mean(error**2)) < 0.12 and abs(error.mean()) < 0.02  # frames


def test_shuffled_frames_give_the_same_depth(slant):
    stack, _, holed = slant
    order = np.random.default_rng(4).permutation(len(stack))
    shuffled = FocalStack(stack.images[order], [stack.views[k] for k in order], "steps")
    np.testing.assert_allclose(rimfill.fill_from_votes(holed, shuffled), rimfill.fill_from_votes(holed, stack), atol=1e-6)


def test_twice_the_light_gives_the_same_depth(slant):
    stack, _, holed = slant
    views = [replace(view, noise=Noise(NOISE.gain / 2, 0.0)) for view in stack.views]
    brighter = FocalStack(2 * stack.images, views, "steps")
    np.testing.assert_allclose(rimfill.fill_from_votes(holed, brighter), rimfill.fill_from_votes(holed, stack), atol=1e-4)


@pytest.mark.parametrize("lost", [0, 4, 8])
def test_a_frame_without_data_moves_depth_only_where_it_would_be_sharp(slant, lost):
    stack, depth, holed = slant
    images = stack.images.copy()
    images[lost] = np.nan
    found = rimfill.fill_from_votes(holed, FocalStack(images, stack.views, "steps"))
    away = np.isnan(holed) & (abs(depth - lost) > 2)
    np.testing.assert_allclose(found[away], rimfill.fill_from_votes(holed, stack)[away], atol=0.1)  # frames


def test_what_is_missing_in_all_frames_takes_no_depth_from_the_pixels_beside_it(slant):
    stack, depth, holed = slant
    images = stack.images.copy()
    images[:, 50:56, 70:78] = np.nan
    found = rimfill.fill_from_votes(holed, FocalStack(images, stack.views, "steps"))
    around = np.ones(SHAPE, bool)
    around[46:60, 66:82] = False
    error = abs(found - depth)[around]
    assert np.isfinite(error).all() and error.max() < 0.6  # frames


def test_a_narrow_bar_of_another_brightness_keeps_its_depth():
    """9 px wide: in windows of 17 px, without a picture to guide them, the surface behind it has most votes."""
    rng = np.random.default_rng(3)
    bar = np.broadcast_to(abs(np.arange(SHAPE[1]) - 80) <= 4, SHAPE)
    behind, before = np.full(SHAPE, 2.0), np.full(SHAPE, 6.0)
    stack = sweep((0.6 * (0.5 + texture(SHAPE, rng)), behind, ~bar), (0.25 * (0.5 + texture(SHAPE, rng)), before, bar))
    truth = np.where(bar, before, behind).astype(np.float32)
    holed = truth.copy()
    holed[:, 65:96] = np.nan
    found = rimfill.fill_from_votes(holed, stack)
    assert np.mean(abs(found - truth)[:, 65:96] > 1) < 0.02


def test_noise_in_the_dark_is_no_edge_and_a_step_of_a_hundredth_of_the_mean_light_is(rng):
    """Noise of a thousandth of the mean light in black, and 0.5 % of the light beside 2 %, in the logarithm that guides."""
    image = np.ones(SHAPE, np.float32)
    image[:, :60], image[:, 60:90], image[:, 90:100] = 0, 0.005, 0.02
    image /= image.mean()
    image[:, :60] = 0.001 * rng.standard_normal((SHAPE[0], 60))
    images = np.stack([image] * 3)
    guide, _, _ = rimfill._sharpest(images, [View(None, Psf(), NOISE, float(k)) for k in range(3)], range(3),
                                    rimfill._DARK * rimfill._mean_light(images))
    assert guide[:, 5:55].var() < 0.5 * rimfill._TOLERANCE and rimfill._TOLERANCE < 0.02
    assert np.ptp(guide[:, 85:96]) ** 2 / 4 > 2 * rimfill._TOLERANCE  # variance of two levels in equal shares


def test_noise_brings_the_energy_that_is_counted_on(rng):
    energy = rimfill._energy(rng.normal(0, 0.3, (500, 700)))[2:-2, 2:-2]
    assert energy.mean() / 0.3**2 == pytest.approx(rimfill._NOISE_ENERGY, rel=0.015)
