"""Disparity of dual-pixel pairs: the contract of solvers, sub-pixel laws, holes, tiles, axes, fields, loops and arrays."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import shared_data
from fakegpu import device
from scipy.ndimage import fourier_shift
from textures import beyond_seam, blurred, texture

from dfd.affine import affine_errors
from dfd.capture import DualPixelPair, View
from dfd.field import DualPixelField
from dfd.kernels.disparity import compare, compare_arrays, gather, gather_arrays
from dfd.noise import Noise, estimate, expose
from dfd.optics import ThinLens
from dfd.psf import IDEAL_KAPPA, Psf
from dfd.refine import fill
from dfd.simulate import make_scene, render, true_inverse_depth
from dfd.solvers import SOLVERS, choose
from dfd.solvers.disparity_curve import straight
from dfd.solvers.disparity_levels import Level, disagreement, doubled, search, spread
from dfd.tiles import solve_tiled

__all__ = ["device"]

ROW = SOLVERS["disparity"]
LENS = ThinLens.focused_at(1 / 1.4, focal_length=0.05, f_number=4.0, pixel_pitch=12e-6)
RATE = LENS.blur_rate  # 56 px of coc per dioptre
NOISE = Noise(20000, 3.0)
SHAPE = (97, 141)


def half_pupils(rng, coc, *, shape=SHAPE, sharp=None, noise=NOISE, kappa=IDEAL_KAPPA):
    """Metric pair of a textured plane with so much blur [px, positive nearer than focus]."""
    sharp = texture(shape, rng) if sharp is None else sharp
    images, views = [], []
    for model in ("half-left", "half-right"):
        psf = Psf(model, 0.3, kappa / IDEAL_KAPPA)
        clean = blurred(sharp, coc, psf)
        images.append(clean + rng.normal(size=clean.shape) * np.sqrt(noise.variance(clean)))
        views.append(View(LENS, psf, noise))
    return DualPixelPair(np.stack(images).astype(np.float32), views, "metric", kappa=kappa)


def shifted_views(rng, disparity, *, shape=SHAPE, noise=NOISE, std=1.0):
    """Affine pair of one texture, each view half a disparity [px] to its side, without any blur of their own."""
    wide = np.fft.fft2(texture((shape[0], shape[1] + 128), rng))
    views = [np.fft.ifft2(fourier_shift(wide, (0, side * disparity / 2))).real[:, 64:-64] for side in (1, -1)]
    images = [view + rng.normal(size=shape) * np.sqrt(noise.variance(view)) for view in views]
    return DualPixelPair(np.stack(images).astype(np.float32), [View(None, Psf(), noise)] * 2, "affine")


def inner(array, border=12):
    return array[border:-border, border:-border]


def test_auto_takes_it_for_dual_pixel_pairs_of_either_scale(rng):
    assert choose(half_pupils(rng, 3.0)).name == choose(shifted_views(rng, 1.0)).name == "disparity"


@pytest.mark.parametrize("coc", [-10.0, -3.0, 0.0, 4.0, 12.0])
def test_a_textured_plane_is_found_on_both_sides_of_focus(device, rng, coc):
    pair = half_pupils(rng, coc)
    result = ROW.function(replace(pair, images=device.put(pair.images)))
    assert device.owns(result.values) and device.owns(result.sigma)
    result = result.numpy()
    assert result.values.dtype == result.sigma.dtype == np.float32
    assert (result.scale, result.method, result.shape) == ("metric", "disparity", SHAPE)
    error = inner(RATE * (result.values - LENS.focus) - coc)  # px of coc
    assert np.isfinite(error).mean() > 0.95
    assert abs(np.nanmedian(error)) < 0.15 * ROW.tolerance
    assert np.nanpercentile(abs(error), 90) < ROW.tolerance


@pytest.mark.parametrize("disparity", [-1.0, -0.75, -0.5, -0.25, 0.0, 0.3, 0.6, 1.0, 3.4])
def test_disparity_is_not_drawn_to_whole_pixels(rng, disparity):
    found = inner(ROW.function(shifted_views(rng, disparity)).values)
    assert abs(np.nanmedian(found) - disparity) < 0.025  # px


@pytest.mark.parametrize("disparity", [-25.0, 13.3, 25.0])
def test_large_disparities_are_found(rng, disparity):
    found = inner(ROW.function(shifted_views(rng, disparity, shape=(160, 260))).values, 30)
    assert np.isfinite(found).mean() > 0.95 and np.nanpercentile(abs(found - disparity), 95) < 0.05  # px


def test_exchanged_views_have_the_opposite_disparity(rng):
    pair = shifted_views(rng, 2.3)
    one, other = ROW.function(pair), ROW.function(replace(pair, images=pair.images[::-1].copy()))
    np.testing.assert_allclose(one.values, -other.values, atol=1e-3)  # px
    assert np.nanmedian(one.values) > 2  # left(x) = right(x - disparity): what is nearer lies further right in left


def test_the_map_is_in_the_grid_of_the_whole_pupil(rng):
    """A slope, disparity 0.1 px per px: at 160 the grid of `left` is 0.3 px off, that of `right` too, the other way."""
    sharp, x = texture((120, 200), rng), np.arange(200.0)
    images = [np.stack([np.interp((x - 100) / (1 + side * 0.05) + 100, x, line) for line in sharp]) for side in (1, -1)]
    pair = DualPixelPair(np.stack(images).astype(np.float32), [View(None, Psf(), Noise(1e6, 1.0))] * 2, "affine")
    middle = ROW.function(pair).values[20:-20]
    for place in (40, 100, 160):
        assert abs(np.nanmedian(middle[:, place - 5:place + 6]) - 0.1 * (place - 100)) < 0.15  # px


def test_a_common_exposure_factor_changes_nothing(rng):
    pair = half_pupils(rng, 5.0)
    double = replace(pair, images=2 * pair.images, views=[replace(v, noise=v.noise.scaled(2.0)) for v in pair.views])
    one, other = ROW.function(pair), ROW.function(double)
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)  # dioptre
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-3)


def test_unequal_brightness_of_the_views_changes_little(rng):
    """A falling-off of one view by a third across the picture, as without a white sheet."""
    pair = shifted_views(rng, 1.5)
    images = pair.images * np.stack([np.ones(SHAPE[1]), np.linspace(1, 0.67, SHAPE[1])])[:, None].astype(np.float32)
    found = inner(ROW.function(replace(pair, images=images)).values)
    assert abs(np.nanmedian(found) - 1.5) < 0.03 and np.nanpercentile(abs(found - 1.5), 90) < 0.1  # px


def test_inputs_stay_as_they_were(rng):
    pair = half_pupils(rng, 5.0)
    before = pair.images.copy()
    ROW.function(pair)
    np.testing.assert_array_equal(pair.images, before)


def slope(rng, shape):
    """A plane whose disparity runs from -3 to 3 px across the picture, both views resampled from one texture."""
    sharp, x = texture((shape[0], shape[1] + 40), rng), np.arange(shape[1], dtype=float)
    truth = np.linspace(-3, 3, shape[1])
    pair = []
    for side in (1, -1):
        place = x - side * np.interp(x, x, truth) / 2 + 20
        pair.append(np.stack([np.interp(place, np.arange(line.size), line) for line in sharp]))
    images = np.stack(pair) + rng.normal(size=(2, *shape)) * 0.003
    return DualPixelPair(images.astype(np.float32), [View(None, Psf(), Noise(1e5, 300.0))] * 2, "affine")


def test_a_crop_gives_what_the_whole_gives_away_from_its_border(rng):
    pair = slope(rng, (450, 500))
    top, left, halo = 30, 41, ROW.halo(pair, None)
    whole, part = ROW.function(pair), ROW.function(replace(pair, images=pair.images[:, top:-20, left:-31].copy()))
    inside = np.s_[top + halo:-20 - halo, left + halo:-31 - halo]
    difference = abs(part.values[halo:-halo, halo:-halo] - whole.values[inside])
    assert difference.size > 1000 and np.isfinite(difference).mean() > 0.95
    assert beyond_seam(difference, whole.sigma[inside], ROW) < 1e-6  # px


def test_tiles_give_the_disparity_of_the_whole(rng):
    pair = slope(rng, (300, 500))
    images = pair.images.copy()
    images[0, :, :4] = images[1, 90:97, 120:140] = np.nan
    pair = replace(pair, images=images)
    whole, tiled = ROW.function(pair), solve_tiled(pair, ROW, tile=160, workers=2)
    assert np.mean(tiled.valid != whole.valid) < 0.005 and whole.valid.mean() > 0.8
    assert beyond_seam(abs(tiled.values - whole.values), whole.sigma, ROW) < 1e-6  # px


@pytest.mark.parametrize("shape", [(67, 91), (300, 420)])
def test_a_flat_surface_is_unknown(device, rng, shape):
    pair = half_pupils(rng, 4.0, sharp=np.full(shape, 0.4))
    result = ROW.function(replace(pair, images=device.put(pair.images))).numpy()
    assert np.isfinite(result.values).mean() < 0.02
    assert np.isnan(result.sigma[np.isnan(result.values)]).all()


def test_the_middle_of_a_flat_part_is_unknown_and_its_surroundings_are_not(rng):
    sharp = texture((200, 241), rng)
    sharp[50:150, 60:180] = 0.4
    result = ROW.function(half_pupils(rng, 4.0, sharp=sharp))
    assert result.valid[85:115, 100:140].mean() < 0.2
    assert inner(result.valid)[:25].mean() > 0.95


def test_a_flat_object_before_a_textured_ground_does_not_get_the_depth_of_the_ground(rng):
    """A part without texture at +2 px before a ground at -4 px: nothing inside tells its depth."""
    pair = shifted_views(rng, -4.0, shape=(200, 241))
    images = pair.images.copy()
    for image, shift in zip(images, (1, -1), strict=True):
        image[50:150, 60 + shift:180 + shift] = 0.4
    result = ROW.function(replace(pair, images=images))
    assert result.valid[70:130, 80:160].mean() < 0.1
    assert inner(result.valid)[:20].mean() > 0.95


def test_a_sharp_surface_does_not_draw_a_blurred_one_to_its_depth(rng):
    """Right half at focus, left half with 12 px of blur: 20 px beside the edge neither is off by 1.5 % of that."""
    coc, shape = 12.0, (120, 300)
    sharp = texture(shape, rng)
    blurry, focused = (half_pupils(rng, one, sharp=sharp) for one in (coc, 0.0))
    images = np.concatenate([blurry.images[..., :150], focused.images[..., 150:]], axis=2)
    found = RATE * (ROW.function(replace(blurry, images=images)).values[12:-12] - LENS.focus)  # px of coc
    assert abs(np.nanmedian(found[:, 30:130]) - coc) < 0.015 * coc and abs(np.nanmedian(found[:, 170:270])) < 0.015 * coc
    assert np.isfinite(found[:, 30:130]).mean() > 0.9


def test_columns_that_no_disparity_shows_enough_of_begin_with_those_beside_them(rng):
    pair = shifted_views(rng, 1.5)
    found = search(Level(tuple(pair.images), [NOISE, NOISE], 1, 1.0), 8)
    assert np.abs(found[:, [0, 1, -2, -1]] - 1.5).max() < 1  # px; the ends of the range are 8 px off


def test_the_search_reaches_what_the_limits_allow_where_kappa_is_largest():
    pair = replace(shifted_views(np.random.default_rng(0), 0.0), scale="metric", kappa=None,
                   field=DualPixelField([[0.1, 0.3]], [[0.2, 0.0]], SHAPE),
                   views=[View(LENS, Psf(model), NOISE) for model in ("half-left", "half-right")])
    wide, narrow = (ROW.halo(pair, (LENS.focus + away, LENS.focus - 1e-3)) for away in (0.5, 1e-3))
    assert wide - narrow >= 0.3 * LENS.blur_rate * 0.5 / 2 - 2  # px: half of the disparity where kappa is largest


def test_spread_is_the_variance_of_a_slope_in_the_window_at_every_level():
    """0.02 px per px in a window of 40 px of std: 0.64 px^2; px of a level are `factor` large."""
    for factor in (1, 2, 8):
        slope = np.tile(0.02 * np.arange(960 // factor, dtype=np.float32), (640 // factor, 1))
        assert spread(slope, factor)[320 // factor, 480 // factor] == pytest.approx(0.64 / factor**2, rel=0.03)


def test_views_disagree_by_about_what_a_disparity_is_off(rng):
    pair = shifted_views(rng, 1.5)
    level = Level(tuple(pair.images), [NOISE, NOISE], 1, 1.0)
    right, wrong = (np.median(inner(disagreement(level, np.full(SHAPE, np.float32(at))))) for at in (1.5, 0.5))
    assert right < 0.1 and wrong == pytest.approx(1.0, abs=0.35)  # px


def test_missing_data_is_unknown_and_does_not_spread(device, rng):
    pair = half_pupils(rng, 4.0, shape=(150, 171))
    images = pair.images.copy()
    images[:, 40:50, 60:75] = np.nan
    images[0, 100, 30] = np.inf
    whole = ROW.function(pair)
    holed = ROW.function(replace(pair, images=device.put(images))).numpy()
    assert np.isnan(holed.values[40:50, 60:75]).all() and holed.valid.mean() > 0.95
    beside = np.s_[36:54, 78:82]
    assert holed.valid[beside].mean() > 0.95
    assert np.nanmax(abs(holed.values - whole.values)[beside]) * RATE < 0.5  # px of coc


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_view_without_data_is_unknown_without_a_remark(rng, recwarn, share):
    images = half_pupils(rng, 4.0).images.copy()
    images[int(share)] = np.nan
    assert not ROW.function(replace(half_pupils(rng, 4.0), images=images)).valid.any() and not recwarn.list


def test_views_along_y_give_the_same_map_turned(rng):
    pair = shifted_views(rng, 1.7)
    turned = replace(pair, images=np.ascontiguousarray(pair.images.transpose(0, 2, 1)), axis="y")
    one, other = ROW.function(pair), ROW.function(turned)
    np.testing.assert_array_equal(one.values, other.values.T)
    np.testing.assert_array_equal(one.sigma, other.sigma.T)


def test_summed_rows_count_as_so_many(rng):
    pair = shifted_views(rng, 1.7, shape=(194, 141))
    summed = replace(pair, images=pair.images.reshape(2, 97, 2, 141).mean(axis=2), y_scale=2.0,
                     views=[replace(view, noise=view.noise.averaged(0.5)) for view in pair.views])
    one, other = ROW.function(pair), ROW.function(summed)
    assert abs(np.nanmedian(other.values) - 1.7) < 0.03  # px
    assert np.nanmedian(other.sigma) == pytest.approx(np.nanmedian(one.sigma), rel=0.35)


def test_summed_rows_count_as_so_many_along_y_too(rng):
    """Views that differ along y, pixels twice as high as wide: the same as columns half as wide as rows, turned."""
    pair = replace(shifted_views(rng, 1.7), y_scale=0.5)
    turned = replace(pair, images=np.ascontiguousarray(pair.images.transpose(0, 2, 1)), axis="y", y_scale=2.0)
    one, other = ROW.function(pair), ROW.function(turned)
    np.testing.assert_array_equal(one.values, other.values.T)
    np.testing.assert_array_equal(one.sigma, other.sigma.T)
    square = ROW.function(replace(pair, y_scale=2.0))
    assert np.nanmax(abs(one.sigma / square.sigma - 1)) > 0.05


def test_kappa_and_focus_may_change_over_the_picture(rng):
    pair = half_pupils(rng, 6.0, kappa=0.2)
    kappa, offset = np.array([[0.2, 0.1]]), np.array([[0.0, 0.05]])
    field = ROW.function(replace(pair, field=DualPixelField(kappa, offset, SHAPE)))
    even = ROW.function(replace(pair, scale="affine"))
    rates = np.interp(np.arange(SHAPE[1]) + 0.5, np.array([0.25, 0.75]) * SHAPE[1], kappa[0]) * RATE
    foci = LENS.focus + np.interp(np.arange(SHAPE[1]) + 0.5, np.array([0.25, 0.75]) * SHAPE[1], offset[0])
    np.testing.assert_allclose(field.values, foci + even.values / rates, atol=1e-5)  # dioptre
    np.testing.assert_allclose(field.sigma, even.sigma / rates, rtol=1e-4)


def test_sigma_is_honest_over_planes_of_every_blur(rng):
    inside = [np.nanmean(abs(inner(RATE * (found.values - LENS.focus)) - coc) < RATE * inner(found.sigma))
              for coc in np.linspace(-8, 8, 9) for found in [ROW.function(half_pupils(rng, coc, noise=Noise(2000, 5.0)))]]
    assert 0.6 < np.mean(inside) < 0.98


def test_sigma_grows_with_noise(rng):
    sharp = texture(SHAPE, rng)
    quiet, loud = (ROW.function(half_pupils(rng, 4.0, sharp=sharp, noise=noise)) for noise in (NOISE, Noise(500, 10.0)))
    assert np.nanmedian(loud.sigma) > 1.3 * np.nanmedian(quiet.sigma)


def test_halves_of_a_disc_are_found_farther_apart_than_their_centroids():
    """1.6 % at 16 px of blur, by the sum over frequencies; nothing at none, and the sign stays."""
    found = straight(np.array([[-6.9, 0.0, 0.1, 6.9]], np.float32), Psf("half-left", 0.3), 1.0) / [[-6.9, 1, 0.1, 6.9]]
    assert found[0, [0, 3]] == pytest.approx(0.984, abs=0.003) and found[0, 0] == found[0, 3]
    assert found[0, 1] == 0 and found[0, 2] == pytest.approx(1, abs=1e-3)


def views(rng, shape=(41, 67)):
    left, right = rng.standard_normal((2, *shape)).astype(np.float32)
    left[5:8, 20:30] = right[30, 3] = np.nan
    return left, right, (6 * rng.standard_normal(shape)).astype(np.float32)


def test_the_loop_compares_views_as_whole_arrays_do(rng):
    one, other = (path(*views(np.random.default_rng(3))) for path in (compare, compare_arrays))
    np.testing.assert_allclose(one, other, atol=2e-5)
    assert 0.5 < one[3].mean() < 1 and one[5].min() == 0


def test_the_loops_gather_what_whole_arrays_do(rng):
    information = rng.random((41, 67), dtype=np.float32) * (rng.random((41, 67)) < 0.3)
    rest = rng.random((3, 41, 67), dtype=np.float32) * np.float32([1, 1, 0.02])[:, None, None]
    planes = information, information * rng.standard_normal((41, 67), dtype=np.float32), *rest
    for one, other in zip(gather(*planes), gather_arrays(*planes), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-4)


def test_what_one_pixel_knows_arrives_with_the_variance_of_the_walk():
    """1 / a + roughness * steps, whatever the path of rows and columns, and nothing beyond a closed edge."""
    information = np.zeros((21, 31), np.float32)
    information[10, 12] = 4.0
    across, down = np.ones((2, 21, 31), np.float32)
    across[:, 20] = 0
    known, moment = gather(information, 3 * information, across, down, np.full((21, 31), np.float32(0.1)))
    y, x = np.mgrid[:21, :21]
    np.testing.assert_allclose(1 / known[:, :21], 0.25 + 0.1 * (abs(y - 10) + abs(x - 12)), rtol=1e-5)
    np.testing.assert_allclose(moment[:, :21], 3 * known[:, :21], rtol=1e-6)
    assert (known[:, 21:] == 0).all()


@pytest.mark.parametrize("shape", [(8, 10), (7, 9)])
def test_a_linear_plane_is_doubled_without_a_shift(shape):
    small = np.add.outer(np.arange(4.0), 10 * np.arange(5.0)).astype(np.float32)
    large = doubled(small, shape)
    y, x = ((np.arange(length) + 0.5) / 2 - 0.5 for length in shape)
    np.testing.assert_allclose(large[1:6, 1:8], np.add.outer(y, 10 * x)[1:6, 1:8], atol=1e-5)


def test_images_smaller_than_the_windows_are_refused(rng):
    with pytest.raises(ValueError, match=r"images \(40 x 12 px\) must have at least 16 px to a side"):
        ROW.function(shifted_views(rng, 1.0, shape=(12, 40)))


@pytest.mark.parametrize("shape", [(400, 700), (900, 300)])
def test_measured_memory_is_what_was_declared(rng, shape):
    pair = shifted_views(rng, 1.0, shape=shape)
    ROW.function(pair)
    tracemalloc.start()
    try:
        ROW.function(pair)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    declared = ROW.memory(pair, shape, None)
    assert 0.6 * declared < peak + 8 * shape[0] * shape[1] < 1.1 * declared  # with a copy of the two images


@pytest.mark.parametrize("scene", ["slant-sphere", "step"])
def test_a_rendered_scene_is_known_within_its_sigma(scene):
    """50 mm f/4 at 1.1 m, 1.0 to 1.3 m; a seed that nothing was tuned on."""
    lens = ThinLens.focused_at(1.1, focal_length=0.05, f_number=4.0, pixel_pitch=12e-6)
    world = make_scene(scene, seed=21, nearest=1.0, farthest=1.3, shape=(240, 360), fx=lens.fx)
    light = render(world, [lens, lens], (240, 360), pupils=("left", "right")) @ np.float32([0.25, 0.5, 0.25])
    images = np.stack([expose(view, NOISE, np.random.default_rng(k)) for k, view in enumerate(light)]).astype(np.float32)
    result = ROW.function(DualPixelPair(images, [View(lens, Psf(model), NOISE) for model in ("half-left", "half-right")],
                                        "metric", kappa=IDEAL_KAPPA))
    truth = true_inverse_depth(world, lens, (240, 360))
    error = 100 * abs(truth / result.values - 1)  # % of depth
    assert np.nanmean(error) < 0.45 and np.nanmedian(error) < 0.22 and result.valid.mean() > 0.9
    assert 0.5 < np.mean((abs(result.values - truth) < result.sigma)[result.valid]) < 0.95


def test_a_deep_scene_is_known_within_its_sigma():
    """Blur up to 19 px: the demo scene from 0.55 to 0.98 m, focus 0.7046 m, with a textureless square and bars."""
    lens = ThinLens.focused_at(0.7046, focal_length=0.05, f_number=4.0, pixel_pitch=12e-6)
    world = make_scene("demo", seed=22, nearest=0.55, farthest=0.98, shape=(240, 360), fx=lens.fx)
    light = render(world, [lens, lens], (240, 360), pupils=("left", "right")) @ np.float32([0.25, 0.5, 0.25])
    images = np.stack([expose(view, NOISE, np.random.default_rng(k)) for k, view in enumerate(light)]).astype(np.float32)
    result = ROW.function(DualPixelPair(images, [View(lens, Psf(model), NOISE) for model in ("half-left", "half-right")],
                                        "metric", kappa=IDEAL_KAPPA))
    truth = true_inverse_depth(world, lens, (240, 360))
    error = 100 * abs(truth / result.values - 1)  # % of depth
    assert np.nanmean(error) < 1.7 and np.nanmedian(error) < 0.5 and result.valid.mean() > 0.4
    assert 0.55 < np.mean((abs(result.values - truth) < result.sigma)[result.valid]) < 0.9


@pytest.mark.parametrize("name", ["001", "006"])
def test_real_views_of_a_phone_give_more_than_a_constant_map(name):
    folder = shared_data("dp/xin2021_pixel4/DP_data_pixel_4")

    def read(path):
        return np.maximum((cv2.imread(str(folder / path), cv2.IMREAD_UNCHANGED).astype(np.float32) - 1024) / 15359, 0)

    sheets = [read(f"calibration/white_sheet_{side}.png") for side in ("left", "right")]
    ratio = cv2.boxFilter(sheets[0] / sheets[1], -1, (101, 101))
    images = np.stack([read(f"{name}_left.png"), read(f"{name}_right.png") * ratio])[:, 252:1260, 336:1680].copy()
    truth = cv2.imread(str(folder / f"gt_defocus_map/{name}_gt.png"), cv2.IMREAD_UNCHANGED)
    pair = DualPixelPair(images, [View(None, Psf(), estimate(image)) for image in images], "affine")
    found = affine_errors(fill(ROW.function(pair).values), truth, truth > 0, white=255)
    assert found["ai1"] < 0.55 * found["constant_ai1"] and found["spearman"] < 0.3
