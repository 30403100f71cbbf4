"""What the plane sweep rests on: fused loops against arrays, levels, brightness, coarse sweep, ambiguity, small images."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from pairs import DEPTHS, FOCUS, RATE, plane_pair
from textures import plane_stack

from dfd.kernels.channels import Radial, Sampled, channels, channels_arrays, slopes, slopes_arrays
from dfd.noise import Noise
from dfd.solvers import SOLVERS, basinchoice, coarse, grid, likelihood
from dfd.solvers.sweep import Sweep

LIKELIHOOD = SOLVERS["likelihood"]


def spectra(rng, count, shape=(37, 29)):
    parts = rng.standard_normal((2, count, *shape))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_fused_channels_and_slopes_are_those_of_whole_arrays(rng, count):
    images = spectra(rng, count)
    at = rng.uniform(0, 62, images.shape[1:]).astype(np.float32)
    tables = np.cumsum(rng.standard_normal((3, count, 64)), axis=2) / 4
    transfers = Radial(at, tables, 0.3)
    np.testing.assert_allclose(channels(images, transfers), channels_arrays(images, transfers.sampled()), atol=2e-5)
    for one, other in zip(slopes(images, transfers), slopes_arrays(images, transfers.sampled()), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("count", [2, 4])
def test_channels_of_one_texture_through_all_views_vanish(rng, count):
    texture = spectra(rng, 1)[0]
    transfers = (rng.uniform(-0.3, 1, (1, count, *texture.shape))
                 * np.exp(1j * rng.uniform(-1, 1, (1, count, *texture.shape)))).astype(np.complex64)
    left = channels(transfers[0] * texture, Sampled(transfers, None))
    assert np.abs(left).max() < 1e-5 * np.abs(texture).max()


def test_noise_alone_leaves_a_channel_less_than_there_are_views(rng):
    capture = plane_stack(rng, sharp=np.full((128, 161), 0.4), foci=np.array([1.5, 1.45, 1.4, 1.35]))
    sweep = Sweep(capture, np.array([1.40, 1.42]))
    for found, level in sweep.residuals(np.array([1.40, 1.42])):
        assert float(found.mean()) == pytest.approx(len(capture) - 1, rel=0.06) and level == 0


@pytest.mark.parametrize("inverse_depth", [1.25, 1.37, 1.6])
def test_views_that_are_left_out_do_not_pull_depth(rng, inverse_depth):
    """12 frames up to 60 px of blur apart: those beyond 30 px are not used, and their leaving is no step in the curve."""
    capture = plane_stack(rng, inverse_depth=inverse_depth, shape=(141, 173))
    used = [len(grid.used_views(capture, label)) for label in (1.1, 1.4, 1.7)]
    assert min(used) < max(used) < len(capture)
    error = capture.views[0].lens.blur_rate * (LIKELIHOOD.function(capture).values - inverse_depth)[20:-20, 20:-20]
    assert abs(np.nanmedian(error)) < 0.04  # px of coc


def test_noise_is_that_of_the_brightness_around(rng):
    """Half the picture twenty times as dark: its residuals are as large in units of its noise, not a twentieth."""
    capture = plane_pair(rng, "focus", inverse_depth=DEPTHS["focus"][1], shape=(121, 201), noise=Noise(2000, 1.0))
    shade = np.where(np.arange(201) < 100, 1.0, 0.05).astype(np.float32)
    clean = plane_pair(np.random.default_rng(1), "focus", inverse_depth=DEPTHS["focus"][1], shape=(121, 201),
                       noise=Noise(1e9, 0.0)).images * shade
    noise = Noise(2000, 1.0)
    images = clean + np.random.default_rng(2).normal(size=clean.shape) * np.sqrt(noise.variance(clean))
    capture = replace(capture, images=images.astype(np.float32))
    ((found, _),) = Sweep(capture, grid.labels_of(capture, None)).residuals([DEPTHS["focus"][1]])
    bright, dark = (float(found[20:-20, part].mean()) for part in (np.s_[20:80], np.s_[120:180]))
    assert 0.5 < dark / bright < 2


def test_a_coarse_sweep_leaves_out_labels_and_not_depth(rng):
    capture = plane_stack(rng, inverse_depth=1.43, shape=(161, 173))
    labels = grid.labels_of(capture, None)
    values, _ = likelihood._solve(Sweep, coarse.half_size(capture), labels[::2])
    kept = coarse.promising(labels, values, rate=capture.views[0].lens.blur_rate)
    assert len(kept) < 0.6 * len(labels) and np.abs(kept - 1.43).min() < labels[1] - labels[0]
    one, other = (likelihood._solve(Sweep, capture, each)[0] for each in (labels, kept))
    difference = capture.views[0].lens.blur_rate * abs(one - other)
    assert np.nanmedian(difference) < 0.02 and np.nanpercentile(difference, 99) < 0.3  # px of coc


@pytest.mark.parametrize("period, blur, known", [(3, 6, 0.2), (4, 14, 0.3), (6, 14, 0.5)])
def test_stripes_that_fit_several_depths_are_unknown(rng, period, blur, known):
    stripes = np.tile((0.5 + 0.2 * np.sin(2 * np.pi * np.arange(141) / period)).astype(np.float32), (97, 1))
    result = LIKELIHOOD.function(plane_pair(rng, "aperture-far", inverse_depth=FOCUS - blur / RATE, sharp=stripes))
    assert result.valid.mean() < known


def test_a_step_in_depth_is_not_smoothed(rng):
    """Two planes 10 px of blur apart: 12 px from the step both are known within 0.3 px."""
    near, far = (plane_pair(np.random.default_rng(7), "focus", inverse_depth=at, shape=(120, 200))
                 for at in (max(DEPTHS["focus"]), min(DEPTHS["focus"])))
    images = np.where(np.arange(200) < 100, near.images, far.images)
    values = LIKELIHOOD.function(replace(near, images=images)).values
    for part, at in ((np.s_[15:-15, 60:88], max(DEPTHS["focus"])), (np.s_[15:-15, 112:140], min(DEPTHS["focus"]))):
        assert np.nanmedian(RATE * abs(values[part] - at)) < 0.3 and np.isfinite(values[part]).mean() > 0.8


def test_images_smaller_than_the_windows_are_refused(rng):
    with pytest.raises(ValueError, match=r"images \(40 x 30 px\) must have at least 32 px to a side"):
        LIKELIHOOD.function(plane_pair(rng, "focus", shape=(30, 40)))


def test_a_frame_without_any_data_is_unknown_without_a_remark(rng, recwarn):
    pair = plane_pair(rng, "focus")
    images = pair.images.copy()
    images[1] = np.nan
    assert not LIKELIHOOD.function(replace(pair, images=images)).valid.any()
    images[1, 50, 60] = np.inf
    assert not LIKELIHOOD.function(replace(pair, images=images)).valid.any() and not recwarn.list


def test_an_open_end_of_the_limits_is_that_of_the_range_without_limits(rng):
    stack = plane_stack(rng)  # foci 1.05 to 1.8 dioptre
    low, high = grid.grid_range(stack, None)
    assert grid.grid_range(stack, (1.7, 0.0)) == (low, 1.7)  # --near alone
    assert grid.grid_range(stack, (np.inf, 1.2)) == (1.2, high)  # --far alone
    assert grid.grid_range(stack, (1.7, 0.5)) == (0.5, 1.7)
    assert 0 <= grid.grid_range(stack, (0.9, 0.0))[0] < 0.9


def traced_peak(function, *arguments):
    """Bytes, by NumPy's own count, that a call takes at its most."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_large_costs_are_compressed_in_place_and_stretched_back(rng):
    """250 (1 + ln(c / 250)) beyond 250: order and slope go on there, and the inverse is 250 exp(c / 250 - 1)."""
    cost = np.exp(rng.uniform(-2, 14, (37, 29, 11))).astype(np.float32)
    cost[3, 4, 5], cost[36, 28, 10] = np.inf, np.nan
    before = cost.copy()
    found = basinchoice._compressed(cost)
    assert found is cost
    expected = np.where(before > 250, 250 * (1 + np.log(before.astype(float) / 250)), before)
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    np.testing.assert_array_equal(found[before <= 250], before[before <= 250])
    known = np.isfinite(before)
    np.testing.assert_allclose(basinchoice._stretched(found[known]), before[known], rtol=2e-5)


@pytest.mark.parametrize("largest", [200, 1e6])
def test_compressing_takes_a_tenth_of_a_volume(rng, largest):
    """Whatever share of the costs is large."""
    cost = rng.uniform(0, largest, (90, 110, 40)).astype(np.float32)
    assert traced_peak(basinchoice._compressed, cost) < 0.1 * cost.nbytes


@pytest.mark.parametrize("noise", [Noise(1000, 1.0), Noise(1e7, 0.0)])
def test_a_stack_takes_the_memory_that_is_declared_whatever_its_noise(rng, noise):
    """With little noise all labels but one cost more than is counted in full."""
    stack = plane_stack(rng, shape=(141, 203), noise=noise)
    labels = grid.labels_of(stack, None)  # all of them: a coarse sweep may leave none out
    likelihood._solve(Sweep, stack, labels)  # compiles and loads
    peak = traced_peak(lambda: likelihood._solve(Sweep, replace(stack, images=stack.images.copy()), labels))
    assert 0.5 < peak / LIKELIHOOD.memory(stack, stack.shape, None) < 1
