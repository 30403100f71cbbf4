"""Focal flow: depth and velocity of what moves before one lens setting, and the contract of all solvers on such frames."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fakegpu import device
from moving_scene import moving_views
from rig import RANGE, rig_lens

from dfd.capture import Capture, View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.solvers import SOLVERS, choose
from dfd.solvers.focal_flow import solve_focal_flow, solve_motion
from dfd.tiles import solve_tiled

__all__ = ["device"]

LIMITS = (1 / 0.4, 1 / 2.5)
INSIDE = np.s_[24:-24, 24:-24]
SLOW, NOISE = (0.0002, -0.0001, 0.05), Noise(20000, 3.0)
"""Metres per second to the right, down and away: half a percent of the depth between frames 0.1 s apart."""


@pytest.mark.parametrize("frames, interval", [(3, 0.002), (5, 0.001)])
@pytest.mark.parametrize("depth", [0.5, 0.8, 1.3])
def test_depth_and_velocity_are_exact_for_a_gaussian_psf(rng, depth, frames, interval):
    capture = moving_views(rng, depth, (0.02, -0.01, 0.05), interval=interval, frames=frames)
    motion = solve_motion(capture, interval=interval, limits=LIMITS)
    assert np.nanmedian(motion.depth.depth[INSIDE]) / depth == pytest.approx(1, abs=3e-4)
    for found, true in ((motion.away, 0.05), (motion.right, 0.02), (motion.down, -0.01)):
        assert np.nanmedian(found[INSIDE]) / true == pytest.approx(1, abs=3e-4)


def test_two_frames_are_enough_and_less_exact(rng):
    capture = moving_views(rng, 0.8, SLOW, interval=0.1, frames=2)
    assert np.nanmedian(solve_focal_flow(capture, limits=LIMITS).depth[INSIDE]) == pytest.approx(0.8, rel=3e-3)


def test_what_comes_nearer_has_a_negative_velocity_and_time_reversed_the_same_depth(rng):
    capture = moving_views(rng, 1.2, (0, 0, -0.05), interval=0.05)
    forth, back = (solve_motion(each, interval=0.05, limits=LIMITS)
                   for each in (capture, replace(capture, images=capture.images[::-1])))
    assert np.nanmedian(forth.away) == pytest.approx(-0.05, rel=3e-3)
    np.testing.assert_allclose(back.away, -forth.away, rtol=1e-3)
    np.testing.assert_allclose(back.depth.values, forth.depth.values, atol=1e-4)


@pytest.mark.parametrize("depth", [0.6, 0.8, 1.1, 1.5])
def test_the_bias_of_a_disk_is_undone_through_its_psf(rng, depth):
    capture = moving_views(rng, depth, SLOW, interval=0.1, psf=Psf("disk"))
    assert np.nanmedian(solve_focal_flow(capture, limits=LIMITS).depth[INSIDE]) / depth == pytest.approx(1, abs=0.02)
    said = Capture(capture.images, [replace(view, psf=Psf("gaussian")) for view in capture.views])
    if depth != 1.1:
        wrong = np.nanmedian(solve_focal_flow(said, limits=LIMITS).depth[INSIDE])
        assert abs(wrong / depth - 1) > 0.01


def test_the_velocity_across_the_axis_counts_from_the_principal_point(rng):
    """The same frames with the axis 30 px farther right: the depth stays, what recedes there moves otherwise."""
    capture = moving_views(rng, 0.8, (0, 0, 0.05), interval=0.05)
    motion = solve_motion(capture, interval=0.05, limits=LIMITS, principal_point=(78 + 30, 65))
    centred = solve_motion(capture, interval=0.05, limits=LIMITS)
    np.testing.assert_array_equal(motion.depth.values, centred.depth.values)
    assert np.nanmedian(centred.right[INSIDE]) == pytest.approx(0, abs=1e-6)
    assert np.nanmedian(motion.right[INSIDE]) == pytest.approx(-0.05 * 30 / rig_lens().fx, rel=5e-3)


@pytest.mark.parametrize("psf", [Psf("gaussian"), Psf("disk")], ids=["gaussian", "disk"])
def test_sigma_is_honest(rng, psf):
    inside = []
    for depth in (0.65, 0.8, 1.0, 1.2, 1.45):
        capture = moving_views(rng, depth, SLOW, interval=0.2, psf=psf, noise=NOISE)
        result = solve_focal_flow(capture, limits=LIMITS)
        assert result.valid[INSIDE].mean() > 0.95
        inside.append((abs(result.values - 1 / depth) < result.sigma)[INSIDE])
    assert 0.55 < np.mean(inside) < 0.92


def test_the_contract_of_all_solvers(rng, device):
    capture = moving_views(rng, 0.8, SLOW, interval=0.2, noise=NOISE)
    before, solver = capture.images.copy(), SOLVERS["focal-flow"]
    result = solver.function(replace(capture, images=device.put(capture.images)), limits=LIMITS)
    assert device.owns(result.values) and device.owns(result.sigma)
    result = result.numpy()
    assert result.values.dtype == result.sigma.dtype == np.float32
    assert (result.scale, result.method, result.shape) == ("metric", "focal-flow", capture.shape)
    assert solver.remarks(capture, result) == ()
    np.testing.assert_array_equal(capture.images, before)
    double = Capture(2 * capture.images, [replace(view, noise=NOISE.scaled(2.0)) for view in capture.views])
    other = solver.function(double, limits=LIMITS)
    np.testing.assert_allclose(result.values, other.values, atol=1e-4)
    np.testing.assert_allclose(result.sigma, other.sigma, rtol=1e-2)


def test_tiles_give_the_depth_of_the_whole_and_the_memory_is_as_declared(rng):
    capture, solver = moving_views(rng, 0.8, SLOW, interval=0.2, noise=NOISE, shape=(171, 213)), SOLVERS["focal-flow"]
    tracemalloc.start()
    whole = solver.function(replace(capture, images=capture.images.copy()), limits=LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.8 < peak / solver.memory(capture, capture.shape, LIMITS) < 1.1
    tiled = solve_tiled(capture, solver, tile=70, workers=1, limits=LIMITS)
    assert (whole.valid == tiled.valid).mean() > 0.999
    np.testing.assert_allclose(tiled.values[INSIDE], whole.values[INSIDE], atol=1e-3)  # dioptre


@pytest.mark.parametrize("what, velocity", [("still", (0, 0, 0)), ("across", (0.0005, 0, 0)), ("flat", (0, 0, 0.05))])
def test_without_axial_motion_or_texture_nothing_is_known(rng, what, velocity):
    waves = 250
    capture = moving_views(rng, 0.8, velocity, interval=0.2, noise=NOISE, waves=waves)
    if what == "flat":
        images = 0.5 + rng.normal(size=capture.images.shape) * np.sqrt(NOISE.variance(0.5 * np.ones(1)))
        capture = replace(capture, images=images.astype(np.float32))
    result = solve_focal_flow(capture, limits=LIMITS)
    assert result.valid.mean() < 0.02
    assert np.isnan(result.sigma[~result.valid]).all()
    assert result.valid.mean() > 0.01 or "(--align none)" in SOLVERS["focal-flow"].remarks(capture, result)[0]


def test_missing_data_is_unknown_and_does_not_spread(rng):
    capture = moving_views(rng, 0.8, SLOW, interval=0.2, noise=NOISE)
    images = capture.images.copy()
    images[1, 40:50, 60:75] = np.nan
    holed, whole = (solve_focal_flow(replace(capture, images=each), limits=LIMITS) for each in (images, capture.images))
    assert np.isnan(holed.values[40:50, 60:75]).all()
    assert holed.valid[20:90, 30:50].mean() > 0.95
    np.testing.assert_allclose(holed.values[110:, 120:], whole.values[110:, 120:], atol=1e-5)


def views(*lenses, psf=None):
    return Capture(np.zeros((len(lenses), 64, 70), np.float32), [View(each, psf or Psf(), NOISE) for each in lenses])


@pytest.mark.parametrize("capture, message", [
    (views(rig_lens(-0.06), rig_lens(0.06)), r"needs one lens setting, .* differs by up to 2.8 px \(at most 0.1\); use"),
    (views(*[rig_lens()] * 3, psf=Psf("half-left")), "needs a symmetrical PSF, not half-left; use --solver auto"),
    (views(*[ThinLens(0.11, 5e-3, 0.11, 1e-5)] * 3), r"focus \(0 dioptre\) lies at infinity or beyond"),
    (Capture(np.zeros((3, 30, 70), np.float32), views(*[rig_lens()] * 3).views), r"images \(70 x 30 px\) must have"),
    (Capture(np.zeros((3, 64, 70), np.float32), views(*[rig_lens()] * 3).views, "steps"), "no optics: this views has"),
], ids=["two", "half", "infinity", "small", "steps"])
def test_what_it_cannot_solve_is_refused(capture, message):
    for function in (SOLVERS["focal-flow"].check, solve_focal_flow):
        with pytest.raises(ValueError, match=message):
            function(capture, limits=(1.5, 0.5)) if function is solve_focal_flow else function(capture, (1.5, 0.5))


def test_a_time_that_does_not_pass_is_refused():
    with pytest.raises(ValueError, match=r"interval \(0 s\) from frame to frame must be positive"):
        solve_motion(views(*[rig_lens()] * 3), interval=0.0)


def test_auto_never_takes_frames_of_one_setting_for_a_moving_scene():
    capture = views(*[rig_lens()] * 3)
    with pytest.raises(ValueError, match="all 3 images have the same optics"):
        choose(capture)
    assert choose(capture, "focal-flow", tuple(1 / distance for distance in RANGE)).name == "focal-flow"
