"""`multiplane` on metric half-pupil pairs: the contract of solvers, on every device, and the sharp picture of a run."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fakegpu import device
from test_disparity import LENS, NOISE, RATE, half_pupils
from textures import texture

from dfd.capture import DualPixelPair, View
from dfd.field import DualPixelField
from dfd.io.simulated import write_simulation
from dfd.pipeline import run
from dfd.psf import IDEAL_KAPPA, Psf
from dfd.simulate import expose, make_scene, render, simulate_capture, true_inverse_depth
from dfd.solvers import SOLVERS
from dfd.solvers.multiplane import MOST_PX, solve_multiplane
from dfd.tiles import check_tile, solve_tiled

__all__ = ["device"]

ROW = SOLVERS["multiplane"]
SHAPE = (90, 124)
LIMITS = (LENS.inverse_depth(12.0), LENS.inverse_depth(-12.0))
FEW = {"limits": LIMITS, "steps": (6, 3)}


def inner(array, border=12):
    return array[border:-border, border:-border]


@pytest.mark.parametrize("coc", [-7.4, 0.0, 4.6])
def test_a_textured_plane_is_found_on_both_sides_of_focus_and_its_picture_is_sharper(device, rng, coc):
    sharp = texture(SHAPE, rng)
    pair = half_pupils(rng, coc, sharp=sharp)
    before = pair.images.copy()
    result = solve_multiplane(replace(pair, images=device.put(pair.images)), **FEW)
    assert all(device.owns(part) for part in (result.values, result.sigma, result.picture))
    result = result.numpy()
    assert result.values.dtype == result.sigma.dtype == result.picture.dtype == np.float32
    assert (result.scale, result.method, result.shape) == ("metric", "multiplane", SHAPE)
    error = inner(RATE * (result.values - LENS.focus) - coc)  # px of coc
    assert np.isfinite(error).mean() > 0.95 and abs(np.nanmedian(error)) < 0.3 * ROW.tolerance
    assert np.nanpercentile(abs(error), 90) < ROW.tolerance
    blurred = min(np.std(inner(image - sharp)) for image in pair.images)
    assert np.std(inner(result.picture - sharp)) < (0.7 * blurred if coc else 1.1 * blurred)
    np.testing.assert_array_equal(pair.images, before)


def test_a_common_exposure_factor_changes_nothing(rng):
    pair = half_pupils(rng, 5.3, shape=SHAPE)
    double = replace(pair, images=2 * pair.images, views=[replace(v, noise=v.noise.scaled(2.0)) for v in pair.views])
    one, other = (solve_multiplane(each, **FEW) for each in (pair, double))
    np.testing.assert_allclose(one.values, other.values, atol=0.02 / RATE)  # dioptre
    np.testing.assert_allclose(2 * one.picture, other.picture, atol=2e-3)


@pytest.mark.parametrize("share", [0, 1])
def test_a_view_without_data_is_unknown_without_a_remark(rng, recwarn, share):
    images = half_pupils(rng, 4.0, shape=SHAPE).images.copy()
    images[share] = np.nan
    result = solve_multiplane(replace(half_pupils(rng, 4.0, shape=SHAPE), images=images), **FEW)
    assert not result.valid.any() and np.isnan(result.picture).all() and not recwarn.list


def test_a_flat_surface_is_unknown(device, rng):
    pair = half_pupils(rng, 4.0, sharp=np.full((67, 91), 0.4))
    result = solve_multiplane(replace(pair, images=device.put(pair.images)), **FEW).numpy()
    assert result.valid.mean() < 0.02 and np.isnan(result.sigma[~result.valid]).all()
    np.testing.assert_allclose(result.picture, 0.4, atol=0.05)


def test_missing_data_is_unknown_and_does_not_spread(device, rng):
    pair = half_pupils(rng, 4.6, shape=(120, 150))
    images = pair.images.copy()
    images[:, 40:50, 60:75] = np.nan
    images[0, 80, 30] = np.inf
    whole = solve_multiplane(pair, **FEW)
    holed = solve_multiplane(replace(pair, images=device.put(images)), **FEW).numpy()
    gone = ~np.isfinite(images).all(axis=0)
    assert np.isnan(holed.values[gone]).all() and (np.isnan(holed.picture) == gone).all()
    assert holed.valid[~gone].mean() > 0.95
    beside = np.s_[36:54, 78:82]
    assert np.nanmax(abs(holed.values - whole.values)[beside]) * RATE < 0.5  # px of coc
    assert abs(holed.picture - whole.picture)[beside].max() < 0.1 and abs(holed.picture - whole.picture)[:, 110:].max() < 0.02


def test_sigma_holds_the_pull_of_the_planes_on_a_slope():
    lens = replace(LENS)
    world = make_scene("slant", seed=41, nearest=1.28, farthest=1.6, shape=(110, 150), fx=lens.fx)
    light = render(world, [lens, lens], (110, 150), pupils=("left", "right")) @ np.float32([0.25, 0.5, 0.25])
    images = np.stack([expose(view, NOISE, np.random.default_rng(k)) for k, view in enumerate(light)]).astype(np.float32)
    pair = DualPixelPair(images, [View(lens, Psf(model), NOISE) for model in ("half-left", "half-right")], "metric",
                         kappa=IDEAL_KAPPA)
    result = solve_multiplane(pair, limits=LIMITS)
    error = abs(result.values - true_inverse_depth(world, lens, (110, 150)))
    assert 0.6 < np.mean((error < result.sigma)[result.valid]) < 0.8
    assert RATE * np.median(error[result.valid]) < ROW.tolerance  # px of coc


def test_kappa_that_changes_over_the_picture_is_followed(rng):
    pair = half_pupils(rng, 5.3, shape=SHAPE, kappa=0.3)
    grid = np.full((1, 3), 0.3)
    result = solve_multiplane(replace(pair, field=DualPixelField(grid, 0 * grid, SHAPE), kappa=None), **FEW)
    assert abs(np.nanmedian(inner(RATE * (result.values - LENS.focus)) - 5.3)) < 0.3 * ROW.tolerance  # px of coc
    assert np.isfinite(result.picture).all()


def test_a_picture_is_solved_in_one_piece_and_tiles_are_refused(rng):
    pair = half_pupils(rng, 5.3, shape=(128, 140))
    quick = replace(ROW, function=lambda capture, *, limits: solve_multiplane(capture, limits=limits, steps=(2, 1)))
    tiled, whole = solve_tiled(pair, quick, workers=2, limits=LIMITS), quick.function(pair, limits=LIMITS)
    for one, other in ((tiled.values, whole.values), (tiled.sigma, whole.sigma), (tiled.picture, whole.picture)):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"tile \(128 px\): this solver fits the whole picture at once; leave it out"):
        check_tile(128, ROW.halo(pair, None))


def test_pictures_that_would_not_fit_the_memory_are_refused(rng):
    pair = half_pupils(rng, 5.3, shape=SHAPE)
    large = replace(pair, images=np.broadcast_to(np.float32(0), (2, 2000, MOST_PX // 2000 + 1)))
    with pytest.raises(ValueError, match=r"images \(2001 x 2000 px\) must have at most 4 million px: .* use --preview"):
        ROW.check(large, None)


def test_measured_memory_is_what_was_declared(rng):
    pair = half_pupils(rng, 5.3, shape=(300, 280))
    images = pair.images.copy()
    images[:, :, 140:] = half_pupils(rng, -5.3, shape=(300, 140)).images  # both sides of focus: all the planes
    pair = replace(pair, images=images)
    solve_multiplane(half_pupils(rng, 5.3, shape=SHAPE), limits=LIMITS, steps=(1, 1))  # compiled, imported
    tracemalloc.start()
    try:
        solve_multiplane(pair, limits=LIMITS, steps=(1, 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    declared = ROW.memory(pair, pair.shape, LIMITS)
    assert 0.5 * declared < peak < 1.1 * declared


def test_the_all_in_focus_picture_of_a_run_is_the_sharp_one_in_the_colours_of_the_files(tmp_path):
    simulation = simulate_capture("dual-pixel", scene="plane", size=(96, 144))
    write_simulation(simulation, tmp_path / "in", format="npy")
    outcome = run(tmp_path / "in", tmp_path / "out", solver="multiplane", align="none")
    assert outcome.solver == "multiplane" and outcome.result.valid.mean() > 0.6
    written = cv2.imread(str(tmp_path / "out" / "allfocus.tiff"), cv2.IMREAD_UNCHANGED)
    assert written.shape[:2] == (96, 144)
    sharp = outcome.all_in_focus
    assert sharp.shape[:2] == (96, 144) and np.isfinite(sharp).all()
    detail = [np.std(np.diff(image, axis=1)) for image in (sharp.mean(axis=2), *np.array(simulation.capture().images))]
    assert detail[0] > 1.2 * max(detail[1:])
