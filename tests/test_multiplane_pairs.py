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
from dfd.imaging import luminance
from dfd.io.simulated import write_simulation
from dfd.noise import expose
from dfd.pipeline import run
from dfd.psf import IDEAL_KAPPA, Psf
from dfd.simulate import make_scene, render, simulate_capture, true_inverse_depth
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


@pytest.mark.parametrize("coc", [-7.4, 4.6])
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
    assert np.std(inner(result.picture - sharp)) < 0.7 * blurred
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
    pair = half_pupils(rng, 4.6, shape=(96, 128))
    images = pair.images.copy()
    images[:, 40:50, 40:55] = np.nan
    images[0, 80, 30] = np.inf
    whole = solve_multiplane(pair, **FEW)
    holed = solve_multiplane(replace(pair, images=device.put(images)), **FEW).numpy()
    gone = ~np.isfinite(images).all(axis=0)
    assert np.isnan(holed.values[gone]).all() and (np.isnan(holed.picture) == gone).all()
    assert holed.valid[~gone].mean() > 0.95
    beside = np.s_[36:54, 58:62]
    assert np.nanmax(abs(holed.values - whole.values)[beside]) * RATE < 0.5  # px of coc
    assert abs(holed.picture - whole.picture)[beside].max() < 0.1
    assert np.quantile(abs(holed.picture - whole.picture)[:, 95:], 0.99) < 0.02


def test_sigma_holds_the_pull_of_the_planes_on_a_slope():
    lens = LENS
    world = make_scene("slant", seed=44, nearest=1 / 1.52, farthest=1 / 1.27, shape=(110, 150), fx=lens.fx)
    light = render(world, [lens, lens], (110, 150), pupils=("left", "right")) @ np.float32([0.25, 0.5, 0.25])
    images = np.stack([expose(view, NOISE, np.random.default_rng(k)) for k, view in enumerate(light)]).astype(np.float32)
    pair = DualPixelPair(images, [View(lens, Psf(model), NOISE) for model in ("half-left", "half-right")], "metric",
                         kappa=IDEAL_KAPPA)
    result = solve_multiplane(pair, limits=LIMITS)
    error = abs(result.values - true_inverse_depth(world, lens, (110, 150)))
    assert 0.6 < np.mean((error < result.sigma)[result.valid]) < 0.9
    assert RATE * np.median(error[result.valid]) < ROW.tolerance  # px of coc


def test_kappa_that_changes_over_the_picture_is_followed(rng):
    """A field holds the shift of least difference: 1.108 times that of the centroids for halves mixed so."""
    pair = half_pupils(rng, 5.3, shape=SHAPE, kappa=0.3)
    grid = np.full((1, 3), 1.108 * 0.3)
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
    pair = half_pupils(rng, 5.3, shape=(220, 200))
    images = pair.images.copy()
    images[:, :, 100:] = half_pupils(rng, -5.3, shape=(220, 100)).images  # both sides of focus: all the planes
    pair = replace(pair, images=images)
    solve_multiplane(half_pupils(rng, 5.3, shape=(100, 110)), limits=LIMITS, steps=(0, 1))  # compiled, imported
    tracemalloc.start()
    try:
        solve_multiplane(pair, limits=LIMITS, steps=(0, 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    declared = ROW.memory(pair, pair.shape, LIMITS)
    assert 0.7 * declared < peak < 1.1 * declared


def test_the_all_in_focus_picture_of_a_run_is_the_sharp_one_in_the_colours_of_the_files(tmp_path, monkeypatch):
    simulation = simulate_capture("dual-pixel", scene="plane", size=(96, 144))
    write_simulation(simulation, tmp_path / "in", format="tiff")
    solved = []
    monkeypatch.setattr("dfd.pipeline.solve_tiled",
                        lambda *given, **more: solved.append(solve_tiled(*given, **more)) or solved[0])
    outcome = run(tmp_path / "in", tmp_path / "out", solver="multiplane", align="none")
    written = cv2.imread(str(tmp_path / "out" / "allfocus.tiff"), cv2.IMREAD_UNCHANGED)
    assert outcome.solver == "multiplane" and outcome.result.valid.mean() > 0.6 and written.shape[:2] == (96, 144)
    pictures, sharp = np.mean(simulation.radiance, axis=0), outcome.all_in_focus
    assert sharp.shape == (96, 144, 3) and np.isfinite(sharp).all()
    np.testing.assert_allclose(luminance(sharp), solved[0].picture, atol=5e-3)
    bright = luminance(pictures) > 0.1
    shades = [image[bright] / image[bright].sum(axis=1, keepdims=True) for image in (pictures, sharp)]
    assert np.median(abs(shades[0] - shades[1])) < 0.01
    blurred = max(np.std(np.diff(luminance(view), axis=1)) for view in simulation.radiance)
    assert np.std(np.diff(luminance(sharp), axis=1)) > 1.1 * blurred
