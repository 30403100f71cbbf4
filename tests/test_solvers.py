"""The contract of every solver in the table, on every device: what a user may rely on whichever name is chosen."""

from dataclasses import replace

import numpy as np
import pytest
from fakegpu import device
from textures import NOISE, beyond_seam, plane_stack, texture

from dfd.capture import Capture, FocalStack, View
from dfd.noise import Noise
from dfd.pipeline import estimate_depth
from dfd.psf import Psf
from dfd.solvers import SOLVERS, choose

__all__ = ["device"]


def solves_stacks(row):
    """Whether a row takes a stack of as many frames as those here; solvers of pairs do not, see test_pair_solvers.py."""
    views = plane_stack(np.random.default_rng(0), shape=(8, 9)).views
    try:
        row.check(FocalStack(np.zeros((len(views), 97, 141), np.float32), views), None)
    except ValueError:
        return False
    return FocalStack in row.captures


STACK_SOLVERS = [row.name for row in SOLVERS.values() if solves_stacks(row)]
BORDER = 12


@pytest.fixture(params=STACK_SOLVERS)
def solver(request):
    return SOLVERS[request.param]


def solved(solver, capture, device):
    """Solve on the device; the result as host arrays, and that it stayed on the device."""
    result = solver.function(replace(capture, images=device.put(capture.images)))
    assert device.owns(result.values)
    assert device.owns(result.sigma)
    return result.numpy()


def inner(array):
    return array[BORDER:-BORDER, BORDER:-BORDER]


@pytest.mark.parametrize("inverse_depth", [1.70, 1.432, 1.17])
def test_a_textured_plane_is_found_on_both_sides_of_the_middle(solver, device, rng, inverse_depth):
    capture = plane_stack(rng, inverse_depth=inverse_depth)
    result = solved(solver, capture, device)
    error_px = (inner(result.values) - inverse_depth) * capture.views[0].lens.blur_rate
    assert np.isfinite(error_px).mean() > 0.98
    assert abs(np.nanmedian(error_px)) < 0.3 * solver.tolerance
    assert np.nanpercentile(abs(error_px), 90) < solver.tolerance


def test_values_are_float32_of_the_scale_and_inputs_stay_as_they_were(solver, device, rng):
    capture = plane_stack(rng)
    before = capture.images.copy()
    result = solved(solver, capture, device)
    assert result.values.dtype == result.sigma.dtype == np.float32
    assert result.scale == "metric"
    assert result.method == solver.name
    assert result.shape == capture.shape
    np.testing.assert_array_equal(capture.images, before)


def test_a_nearer_plane_has_a_larger_inverse_depth(solver, rng):
    sharp = texture((97, 141), rng)
    near, far = (np.nanmedian(solver.function(plane_stack(rng, inverse_depth=q, sharp=sharp)).values) for q in (1.6, 1.3))
    assert near - far == pytest.approx(0.3, abs=0.01)


def test_frames_may_come_in_any_order(solver, rng):
    capture = plane_stack(rng)
    order = rng.permutation(len(capture))
    shuffled = FocalStack(capture.images[order], [capture.views[k] for k in order])
    one, other = solver.function(capture), solver.function(shuffled)
    np.testing.assert_allclose(one.values, other.values, atol=1e-6)


def test_a_common_exposure_factor_changes_nothing(solver, rng):
    capture = plane_stack(rng)
    double = replace(capture, images=2 * capture.images,
                     views=[replace(view, noise=view.noise.scaled(2.0)) for view in capture.views])
    one, other = solver.function(capture), solver.function(double)
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-3)


def test_a_crop_gives_what_the_whole_gives_away_from_its_border(solver, rng):
    capture = plane_stack(rng, shape=(200, 241))
    crop = replace(capture, images=capture.images[:, 30:180, 41:220])
    halo = solver.halo(capture, None)
    whole, part = solver.function(capture), solver.function(crop)
    inside = np.s_[30 + halo:180 - halo, 41 + halo:220 - halo]
    difference = abs(part.values[halo:-halo, halo:-halo] - whole.values[inside])
    assert difference.size > 1000 and np.isfinite(difference).mean() > 0.95
    assert beyond_seam(difference, whole.sigma[inside], solver) < 1e-6  # dioptre


def test_a_flat_surface_is_unknown(solver, device, rng):
    sharp = np.full((67, 91), 0.4)
    result = solved(solver, plane_stack(rng, sharp=sharp), device)
    assert np.isfinite(result.values).mean() < 0.02
    assert np.isnan(result.sigma[np.isnan(result.values)]).all()


@pytest.mark.parametrize("inverse_depth", [1.9, 1.0])  # 11 px and 5 px of blur in the end frame
def test_a_surface_beyond_either_end_of_the_sweep_is_unknown(solver, rng, inverse_depth):
    result = solver.function(plane_stack(rng, inverse_depth=inverse_depth))
    assert np.isfinite(inner(result.values)).mean() < 0.02


def test_sigma_is_honest_on_a_plane_that_lies_between_frames(solver, rng):
    inside = []
    for inverse_depth in np.linspace(1.25, 1.6, 5):
        result = solver.function(plane_stack(rng, inverse_depth=inverse_depth))
        inside.append(abs(inner(result.values) - inverse_depth) < inner(result.sigma))
    assert 0.5 < np.mean(inside) < 0.9


def test_sigma_grows_with_noise(solver, rng):
    sharp = texture((97, 141), rng)
    quiet, loud = (solver.function(plane_stack(rng, sharp=sharp, noise=noise)) for noise in (NOISE, Noise(500, 10.0)))
    assert np.nanmedian(loud.sigma) > 1.3 * np.nanmedian(quiet.sigma)


def test_missing_data_is_unknown_and_does_not_spread(solver, device, rng):
    capture = plane_stack(rng)
    images = capture.images.copy()
    images[:, 40:50, 60:75] = np.nan
    images[0, :, :20] = np.nan
    holed, whole = solved(solver, replace(capture, images=images), device), solver.function(capture)
    assert np.isnan(holed.values[40:50, 60:75]).all()
    far = np.s_[75:85, 100:120]
    assert beyond_seam(abs(holed.values[far] - whole.values[far]), whole.sigma[far], solver) < 1e-6  # dioptre


@pytest.mark.parametrize("noise, largest_px", [(NOISE, 0.25), (Noise(300, 3.0), 0.6)])
def test_depth_beside_a_hole_is_unbiased_and_that_without_the_hole(solver, rng, noise, largest_px):
    """Within 4 px of a hole windows are one-sided: another sample of the texture, not another depth."""
    beside = np.zeros((110, 141), bool)
    beside[26:84, 31:109] = True
    beside[30:80, 35:105] = False
    errors, differences = [], []
    for inverse_depth in np.linspace(1.25, 1.6, 3):
        capture = plane_stack(rng, inverse_depth=inverse_depth, shape=beside.shape, noise=noise)
        images = capture.images.copy()
        images[:, 30:80, 35:105] = np.nan
        whole, holed = solver.function(capture), solver.function(replace(capture, images=images))
        rate = capture.views[0].lens.blur_rate
        assert holed.valid[beside].mean() > whole.valid[beside].mean() - 0.05
        errors.append(rate * (holed.values - inverse_depth)[beside])
        differences.append(rate * (holed.values - whole.values)[beside])
    assert abs(np.nanmean(errors)) < 0.15 * solver.tolerance  # px of coc
    assert np.sqrt(np.nanmean(np.square(differences))) < largest_px


def test_every_row_says_what_it_is_and_is_found_by_name(rng):
    for name, row in SOLVERS.items():
        assert row.name == name
        assert row.summary and row.paper and row.kinds
    with pytest.raises(ValueError, match="must be auto or one of focus-measure"):
        choose(plane_stack(rng), "magic")


def test_a_row_of_ones_own_is_used_like_those_of_the_table(rng):
    """Tile by tile, with its limits; another kind is refused in its name."""
    stack = plane_stack(rng)
    mine = replace(SOLVERS["focus-measure"], name="mine")
    result = estimate_depth(stack, solver=mine, near=0.4, far=1.2, device="cpu")
    reference = estimate_depth(stack, solver="focus-measure", near=0.4, far=1.2, device="cpu")
    assert result.method == "mine"
    np.testing.assert_array_equal(result.values, reference.values)
    with pytest.raises(TypeError, match="solver 'mine' takes focal-stack, not views"):
        estimate_depth(Capture(stack.images, stack.views), solver=mine)


def test_a_solver_refuses_a_kind_that_it_does_not_take(rng):
    stack = plane_stack(rng, foci=np.array([1.6, 1.3]))
    with pytest.raises(TypeError, match="takes focal-stack, not views"):
        choose(Capture(stack.images, stack.views), "focus-measure")


def test_steps_and_stage_stacks_are_solved_in_their_own_unit(rng):
    metric = plane_stack(rng, inverse_depth=1.43)
    foci = np.array(metric.coordinates)
    steps = FocalStack(metric.images, [View(None, Psf(), view.noise, float(k)) for k, view in enumerate(metric.views)],
                       "steps")
    result = SOLVERS["focus-measure"].function(steps)
    assert result.scale == "steps"
    expected = np.interp(-1.43, -foci, np.arange(len(foci)))
    assert np.nanmedian(result.values) == pytest.approx(expected, abs=0.03)


def test_uneven_spacing_is_no_bias(rng):
    foci = 1 / np.array([0.55, 0.565, 0.585, 0.60, 0.63, 0.65, 0.69, 0.72, 0.77, 0.80, 0.88])
    for inverse_depth in (1.62, 1.52, 1.42, 1.34):
        capture = plane_stack(rng, inverse_depth=inverse_depth, foci=foci)
        result = SOLVERS["focus-measure"].function(capture)
        error_px = (np.nanmedian(inner(result.values)) - inverse_depth) * capture.views[0].lens.blur_rate
        assert abs(error_px) < 0.8  # frames are 6 to 16 px of blur apart; their order alone errs by several px


def test_two_images_are_too_few_for_a_peak(rng):
    capture = plane_stack(rng, foci=np.array([1.6, 1.3]))
    with pytest.raises(ValueError, match="at least 3 images"):
        SOLVERS["focus-measure"].function(capture)
