"""The contract of the closed forms for differential quadruples, on every device, and the published cases."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fakegpu import device
from quads import FOCUS, lenses, plane_quad
from scipy.ndimage import convolve, correlate1d

from dfd.capture import DifferentialQuad
from dfd.noise import Noise
from dfd.psf import Psf
from dfd.solvers import SOLVERS, coupled_design
from dfd.solvers.coupled import QuadPass, solve_coupled, solve_total
from dfd.tiles import LEAST_TILE_PX, solve_tiled

__all__ = ["device"]

ROWS = [row for row in SOLVERS.values() if row.name.startswith("coupled")]
RANGE = (1 / 0.4, 1 / 2.2)
"""(nearest, farthest) [dioptre] around the published working range."""


@pytest.fixture(params=ROWS, ids=[row.name for row in ROWS])
def solver(request):
    return request.param


def inner(array, border=24):
    return array[border:-border, border:-border]


def solved(solver, capture, device):
    result = solver.function(replace(capture, images=device.put(capture.images)), limits=RANGE)
    assert device.owns(result.values) and device.owns(result.sigma)
    return result.numpy()


class Coded:
    """An asymmetric pupil of seven holes, in the exact transfer function: a scale family as the closed form needs."""

    model, core, radial = "coded", 0.0, False
    points = np.array([[0.0, 0.0], [0.6, 0.1], [-0.3, 0.7], [-0.5, -0.45], [0.15, -0.75], [0.35, 0.5], [-0.8, 0.2]]) / 2
    points = points - points.mean(axis=0)

    def otf(self, coc, wy, wx):
        phase = coc * (self.points[:, 0, None, None] * wy + self.points[:, 1, None, None] * wx)
        blob = np.exp(-0.5 * (0.06 * coc) ** 2 * (wy**2 + wx**2))
        return np.mean(np.exp(-1j * phase), axis=0) * blob


PUPILS = {"disk": Psf("disk"), "gaussian": Psf("gaussian"), "coded": Coded()}


def best_half(result, quad):
    """Depths [m] where the derivative with respect to power is strongest, summed over 5 x 5 px: half of the pixels."""
    power = (quad.images[1] - quad.images[0]).astype(float)
    strength = convolve(power**2, np.ones((5, 5)), mode="wrap")
    return 1 / result.values[result.valid & (strength >= np.median(strength))]


@pytest.mark.parametrize("pupil", PUPILS)
@pytest.mark.parametrize("depth", [0.45, 0.6, 0.85, 1.2, 1.8])
def test_small_steps_without_noise_are_exact_for_every_pupil(solver, rng, pupil, depth):
    quad = plane_quad(rng, inverse_depth=1 / depth, full_well=None, psf=PUPILS[pupil], optics=lenses(5e-3, 5e-5))
    result = solver.function(quad, limits=RANGE)
    assert result.valid.mean() > 0.9
    assert np.median(best_half(result, quad)) / depth == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("pupil", ["disk", "coded"])
def test_the_bias_of_the_published_steps_is_taken_out(rng, pupil):
    """Bare, a disk is 10 and 11 % wrong at the ends (the table of the reference), the seven holes 14 %."""
    for depth in (0.45, 0.55, 0.75, 1.2, 1.8):
        quad = plane_quad(rng, inverse_depth=1 / depth, full_well=None, psf=PUPILS[pupil])
        result = solve_total(quad, limits=RANGE, window=21)
        assert np.median(best_half(result, quad)) / depth == pytest.approx(1, abs={"disk": 0.02, "coded": 0.04}[pupil])


def test_without_the_curve_the_closed_form_is_as_wrong_as_published(rng):
    for depth, expected in ((0.45, 1.104), (0.65, 1.038), (0.85, 1.002), (1.2, 0.997), (1.6, 0.933), (1.8, 0.890)):
        found = [bare(plane_quad(rng, inverse_depth=1 / depth, full_well=None)) / depth for _ in range(2)]
        assert np.mean(found) == pytest.approx(expected, abs=0.03 if abs(depth - 1) > 0.25 else 0.01)


def bare(quad, gains=(1.0, 1.0, 1.0, 1.0)):
    """Median depth [m] of the published ratio in 5 x 5 windows, over the half with the largest derivative."""
    images = quad.images * np.array(gains, np.float32)[:, None, None]
    power, aperture = images[1] - images[0], images[3] - images[2]
    ones = np.ones((5, 5))
    aa, pp, ap = (convolve(part.astype(float), ones, mode="wrap") for part in (aperture**2, power**2, aperture * power))
    lowest = coupled_design.law(quad.views)
    depth = 1 / (lowest.focus - lowest.kappa * coupled_design.combine("ratio", aa, pp, ap, 1.0, 1.0, 0.0, lowest)[0])
    return float(np.median(depth[pp >= np.median(pp)]))


def test_images_that_are_not_equally_bright_give_garbage(rng):
    """Raw irradiance goes with the pupil area: without the factor (D / D+-)^2 nothing is left of the depth."""
    quad = plane_quad(rng, inverse_depth=1 / 1.2, full_well=None)
    area = [(view.lens.pupil_diameter / quad.views[0].lens.pupil_diameter) ** 2 for view in quad.views]
    assert bare(quad, area) / 1.2 < 0.7


@pytest.mark.parametrize("depth", [0.6, 0.8, 1.3, 1.7])
def test_a_plane_is_found_on_both_sides_of_focus(solver, device, rng, depth):
    quad = plane_quad(rng, inverse_depth=1 / depth, full_well=200000.0, shape=(97, 141))
    result = solved(solver, quad, device)
    error = inner(result.values) - 1 / depth
    assert result.values.dtype == result.sigma.dtype == np.float32
    assert (result.scale, result.method, result.shape) == ("metric", solver.name, (97, 141))
    assert np.isfinite(error).mean() > 0.9
    assert abs(np.nanmedian(error)) * quad.views[0].lens.blur_rate < solver.tolerance


def test_exchanging_both_pairs_changes_nothing_and_exchanging_one_mirrors_depth_at_focus(rng):
    quad = plane_quad(rng, inverse_depth=1 / 1.4, full_well=None, optics=lenses(5e-3, 5e-5))
    expected = {(0, 1, 2, 3): 1.4, (1, 0, 3, 2): 1.4, (1, 0, 2, 3): 0.76693, (0, 1, 3, 2): 0.76693}
    for order, depth in expected.items():
        swapped = DifferentialQuad(quad.images[list(order)], quad.views)
        assert np.median(best_half(solve_total(swapped, limits=RANGE), swapped)) == pytest.approx(depth, abs=1.5e-3)


def test_a_common_exposure_factor_changes_nothing(solver, rng):
    quad = plane_quad(rng, inverse_depth=1.3, shape=(97, 141))
    double = replace(quad, images=2 * quad.images,
                     views=[replace(view, noise=view.noise.scaled(2.0)) for view in quad.views])
    one, other = (solver.function(each, limits=RANGE) for each in (quad, double))
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-3)


def test_tiles_give_the_map_of_the_whole_and_inputs_stay_as_they_were(solver, rng):
    quad = plane_quad(rng, inverse_depth=1.2, shape=(151, 203))
    before = quad.images.copy()
    whole = solver.function(quad, limits=RANGE)
    tiled = solve_tiled(quad, solver, tile=LEAST_TILE_PX, workers=2, limits=RANGE)
    np.testing.assert_array_equal(whole.valid, tiled.valid)
    np.testing.assert_allclose(tiled.values, whole.values, atol=1e-5)
    np.testing.assert_array_equal(quad.images, before)


def test_solvers_take_the_memory_that_they_declare(solver, rng):
    quad = plane_quad(rng, inverse_depth=1.2, shape=(401, 503))
    solver.function(quad)
    tracemalloc.start()
    try:
        solver.function(replace(quad, images=quad.images.copy()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.5 * solver.memory(quad, quad.shape, None) < peak < solver.memory(quad, quad.shape, None)


def test_a_flat_surface_is_unknown(solver, device, rng):
    quad = plane_quad(rng, inverse_depth=1.3, sharp=np.full((97, 141), 0.4))
    result = solved(solver, quad, device)
    assert result.valid.mean() < 0.02
    assert np.isnan(result.sigma[~result.valid]).all()


def test_what_lies_outside_the_range_is_unknown(solver, rng):
    quad = plane_quad(rng, inverse_depth=1 / 0.8, full_well=200000.0)
    assert solver.function(quad, limits=(1 / 0.9, 1 / 2)).valid.mean() < 0.05


def test_missing_data_is_left_out_of_the_windows_around_it(solver, device, rng):
    quad = plane_quad(rng, inverse_depth=1 / 0.8, full_well=200000.0, shape=(97, 141))
    images = quad.images.copy()
    images[:2, 40:50, 60:75] = np.nan
    images[3, 70:75, 20:30] = np.nan
    holed, whole = solved(solver, replace(quad, images=images), device), solver.function(quad, limits=RANGE)
    assert np.isnan(holed.values[40:50, 60:75]).all() and np.isnan(holed.values[70:75, 20:30]).all()
    beside = np.s_[36:40, 60:75]
    assert np.isfinite(holed.values[beside]).mean() > 0.8
    assert abs(np.nanmedian(holed.values[beside]) - 1 / 0.8) < 0.05  # dioptre
    np.testing.assert_allclose(holed.values[55:65], whole.values[55:65], atol=1e-6)


@pytest.mark.parametrize("full_well", [20000.0, 4000.0])
def test_sigma_is_honest_over_the_working_range(rng, full_well):
    inside = {}
    for depth in (0.55, 0.7, 0.85, 0.95, 1.05, 1.2, 1.5, 1.8):
        result = solve_total(plane_quad(rng, inverse_depth=1 / depth, full_well=full_well), limits=RANGE)
        inside[depth] = float(np.mean((abs(result.values - 1 / depth) < result.sigma)[result.valid]))
    assert 0.60 < np.mean(list(inside.values())) < 0.76, inside
    assert min(inside.values()) > 0.5 and max(inside.values()) < 0.9, inside


@pytest.mark.parametrize("depth", [0.85, 1.2])
def test_sigma_is_the_scatter_of_the_depth_in_metres(rng, depth):
    result = solve_total(plane_quad(rng, inverse_depth=1 / depth), limits=RANGE, window=5)
    best = result.valid & (result.sigma <= np.nanmedian(result.sigma))
    scatter = np.sqrt(np.mean((result.values[best] - 1 / depth) ** 2))
    assert np.sqrt(np.mean(result.sigma[best] ** 2)) / scatter == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("depth", [0.7, 1.2, 1.5, 1.8])
def test_noise_in_both_derivatives_costs_total_least_squares_least(rng, depth):
    """Mean error over the same pixels of the strongest half, 4000 electrons: at most 0.7 of plain least squares."""
    quad = plane_quad(rng, inverse_depth=1 / depth, full_well=4000.0)
    power = quad.images[1] - quad.images[0]
    strength = convolve(power.astype(float) ** 2, np.ones((5, 5)), mode="wrap")
    found = [solve(quad, limits=RANGE, window=5) for solve in (solve_total, solve_coupled)]
    both = (strength >= np.median(strength)) & found[0].valid & found[1].valid
    assert both.mean() > 0.2
    errors = [np.mean(abs(1 / each.values[both] - depth)) for each in found]
    assert errors[0] < 0.7 * errors[1]


def test_pure_noise_is_drawn_by_least_squares_to_its_own_depth(rng):
    """q_f / (q_f^2 + A^2 delta): 0.956 m in this setting, whatever the scene."""
    quad = plane_quad(rng, inverse_depth=1.0, sharp=np.full((240, 320), 0.5))
    lowest, numbers = coupled_design.law(quad.views), QuadPass(quad.views, quad.shape).numbers()
    power, aperture = quad.images[1] - quad.images[0], quad.images[3] - quad.images[2]
    total = [float(np.sum(part.astype(float))) for part in (aperture**2, power**2, aperture * power)]
    ratio = coupled_design.combine("least-squares", *total, 1.0, 1.0, 0.0, lowest)[0]
    assert numbers.kappa == lowest.kappa
    assert 1 / (lowest.focus - lowest.kappa * ratio) == pytest.approx(0.956, abs=0.01)


def test_the_ratio_is_that_of_both_published_forms_of_total_least_squares(rng):
    a, b = rng.uniform(0.1, 10, (2, 1000))
    c = rng.uniform(-1, 1, 1000) * np.sqrt(a * b)
    delta = 0.7
    q = a - delta * b
    root = np.sqrt(q * q + 4 * delta * c * c)
    expected = np.where(q >= 0, (q + root) / (2 * c), 2 * delta * c / (root - q))
    found = coupled_design.combine("total-least-squares", a, b, c, delta, 1.0, 0.0, coupled_design.Law(1.0, 1.0))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("depth", [0.55, 0.7, 1.5, 1.8])
def test_sigma_holds_what_small_windows_do_without_noise(rng, depth):
    """A window of few waves of texture: without this part of sigma nearly every error here lies beyond three sigma."""
    result = solve_total(plane_quad(rng, inverse_depth=1 / depth, full_well=3e7), limits=RANGE, window=9)
    away = abs(result.values - 1 / depth)[result.valid] / result.sigma[result.valid]
    assert 0.5 < np.mean(away < 1) < 0.95
    assert np.mean(away < 3) > 0.95


def test_sigma_counts_pixels_whose_noise_is_alike(rng):
    """Noise smoothed over 3 x 3 px, and said to be: sigma covers its errors as it does those of white noise."""
    quad = plane_quad(rng, inverse_depth=1.2, full_well=2e8)
    taps, plain = (0.25, 0.5, 0.25), Noise(4000.0, 5.0)
    images = np.stack([image + correlate1d(correlate1d(rng.normal(size=image.shape) * np.sqrt(plain.variance(image)),
                                                       taps, axis=0), taps, axis=1) for image in quad.images])
    views = [replace(view, noise=plain.filtered(taps)) for view in quad.views]
    result = solve_total(DifferentialQuad(images.astype(np.float32), views), limits=RANGE)
    assert 0.58 < np.mean((abs(result.values - 1.2) < result.sigma)[result.valid]) < 0.8


def test_read_noise_is_part_of_sigma(rng):
    """In the dark read noise is nearly all: sigma must cover it."""
    dark = plane_quad(rng, inverse_depth=1.2, full_well=1e9)
    noise = Noise(1e6, 8000.0)
    images = dark.images * 0.2 + rng.normal(size=dark.images.shape).astype(np.float32) * np.float32(8e-3)
    quad = DifferentialQuad(images.astype(np.float32), [replace(view, noise=noise) for view in dark.views])
    result = solve_total(quad, limits=RANGE, window=21)
    assert result.valid.mean() > 0.3
    assert 0.5 < np.mean((abs(result.values - 1.2) < result.sigma)[result.valid]) < 0.9


@pytest.mark.parametrize("depth", [0.7, 1.5])
def test_where_the_power_step_shows_nothing_the_aperture_step_alone_is_no_depth(solver, rng, depth):
    """A tenth of the power step at 4000 electrons: its difference drowns in noise, that of the pupils does not."""
    quad = plane_quad(rng, inverse_depth=1 / depth, full_well=4000.0, optics=lenses(5e-3, 1e-3))
    assert solver.function(quad, limits=RANGE).valid.mean() < 0.07


def test_an_infinite_pixel_is_missing_data(solver, device, rng):
    quad = plane_quad(rng, inverse_depth=1 / 0.8, full_well=200000.0, shape=(97, 141))
    images = quad.images.copy()
    images[1, 40, 60] = np.inf
    result = solved(solver, replace(quad, images=images), device)
    assert np.isnan(result.values[40, 60]) and np.isfinite(result.values[36:45, 56:65]).mean() > 0.8


def test_least_squares_of_metres_needs_a_focus_before_infinity(rng):
    optics = [replace(each, focal_length=1 / (each.power - FOCUS - 0.2)) for each in lenses()]
    quad = plane_quad(rng, inverse_depth=0.3, shape=(64, 64), optics=optics)
    with pytest.raises(ValueError, match="use --solver coupled-derivatives-tls"):
        solve_coupled(quad)
    with pytest.raises(ValueError, match="use --solver coupled-derivatives-tls"):
        SOLVERS["coupled-derivatives"].check(quad, None)
    assert solve_total(quad).valid.any()
