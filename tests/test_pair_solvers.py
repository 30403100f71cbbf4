"""The contract of every solver that takes pairs, on every device and kind of pair; joined by being in the table."""

from dataclasses import replace

import numpy as np
import pytest
from fakegpu import device
from pairs import DEPTHS, FOCUS, NOISE, OPTICS, RATE, inner, plane_pair, subject, taken, wrap
from textures import beyond_seam, texture

from dfd.capture import View
from dfd.noise import Noise
from dfd.psf import Psf
from dfd.solvers import SOLVERS

__all__ = ["device"]

SLOW = {"likelihood": ("focus", "aperture-far", "mixed"), "likelihood-prior": ("focus",)}
"""Kinds of pairs that stand for all of them where a row takes its time."""

CASES = [(name, kind) for name, row in SOLVERS.items() for kind in SLOW.get(name, OPTICS) if taken(row, kind)]


@pytest.fixture(params=CASES, ids=["-".join(case) for case in CASES])
def case(request):
    """(row of the table, kind of pair)."""
    return SOLVERS[request.param[0]], request.param[1]


def solved(solver, capture, device):
    """Solve on the device; the result as host arrays, and that it stayed on the device."""
    result = solver.function(replace(capture, images=device.put(capture.images)))
    assert device.owns(result.values) and device.owns(result.sigma)
    return result.numpy()


def known(solver, share):
    """Share of pixels that must be known where another row is known in `share` of them."""
    return 0.005 if solver.sparse else share


def test_every_kind_of_pair_has_solvers():
    assert {kind for _, kind in CASES} == set(OPTICS)
    assert all(("spatial-transform", kind) in CASES for kind in OPTICS)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_textured_plane_is_found_everywhere_in_the_range(case, device, rng, depth):
    solver, kind = case
    inverse_depth = DEPTHS[kind][depth]
    result = solved(solver, plane_pair(rng, kind, inverse_depth=inverse_depth, sharp=subject(solver, rng)), device)
    error_px = RATE * (inner(result.values) - inverse_depth)
    assert result.values.dtype == result.sigma.dtype == np.float32
    assert (result.scale, result.method, result.shape) == ("metric", solver.name, (97, 141))
    assert np.isfinite(error_px).mean() > known(solver, 0.95)
    assert abs(np.nanmedian(error_px)) < 0.3 * solver.tolerance
    assert np.nanpercentile(abs(error_px), 90) < solver.tolerance


def test_a_nearer_plane_has_a_larger_inverse_depth(case, rng):
    solver, kind = case
    sharp = subject(solver, rng)
    far, near = sorted(DEPTHS[kind])[::2]
    one, other = (np.nanmedian(solver.function(plane_pair(rng, kind, inverse_depth=at, sharp=sharp)).values)
                  for at in (near, far))
    assert one - other == pytest.approx(near - far, abs=0.3 / RATE)


@pytest.mark.parametrize("name", [name for name, kind in CASES if kind == "aperture-far"])
def test_both_sides_of_focus_give_mirrored_answers(rng, name):
    sharp, found = texture((97, 141), rng), []
    for side, kind in ((1, "aperture-near"), (-1, "aperture-far")):
        pair = plane_pair(np.random.default_rng(4), kind, inverse_depth=FOCUS + side * 4 / RATE, sharp=sharp,
                          lenses=OPTICS["aperture-far"])
        found.append(inner(SOLVERS[name].function(pair).values) - FOCUS)
    np.testing.assert_allclose(RATE * found[0], -RATE * found[1], atol=0.05)  # px of coc


def test_images_may_come_in_any_order(case, rng):
    solver, kind = case
    capture = plane_pair(rng, kind, sharp=subject(solver, rng))
    one, other = solver.function(capture), solver.function(wrap(kind, capture.images[::-1], capture.views[::-1]))
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-3)


def test_a_common_exposure_factor_changes_nothing(case, rng):
    solver, kind = case
    capture = plane_pair(rng, kind, sharp=subject(solver, rng))
    double = replace(capture, images=2 * capture.images,
                     views=[replace(view, noise=view.noise.scaled(2.0)) for view in capture.views])
    one, other = solver.function(capture), solver.function(double)
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-3)


def test_inputs_stay_as_they_were(case, rng):
    solver, kind = case
    capture = plane_pair(rng, kind, sharp=subject(solver, rng))
    before = capture.images.copy()
    solver.function(capture)
    np.testing.assert_array_equal(capture.images, before)


def test_a_crop_gives_what_the_whole_gives_away_from_its_border(case, rng):
    solver, kind = case
    capture = plane_pair(rng, kind, shape=(200, 241), sharp=subject(solver, rng, (200, 241)))
    reach = solver.halo(capture, None)
    whole, part = solver.function(capture), solver.function(replace(capture, images=capture.images[:, 30:180, 41:220]))
    inside = np.s_[30 + reach:180 - reach, 41 + reach:220 - reach]
    difference = abs(part.values[reach:-reach, reach:-reach] - whole.values[inside])
    assert difference.size > 1000 and np.isfinite(difference).mean() > known(solver, 0.95)
    assert beyond_seam(difference, whole.sigma[inside], solver) < 1e-5  # dioptre


def test_a_flat_surface_is_unknown(case, device, rng):
    solver, kind = case
    result = solved(solver, plane_pair(rng, kind, sharp=np.full((97, 141), 0.4)), device)
    assert np.isfinite(result.values).mean() < 0.02
    assert np.isnan(result.sigma[np.isnan(result.values)]).all()


@pytest.mark.parametrize("noise", [NOISE, Noise(5000, 3.0)], ids=["20000", "5000"])
def test_sigma_is_honest_on_planes_over_the_range(case, rng, noise):
    solver, kind = case
    inside = []
    for inverse_depth in np.linspace(min(DEPTHS[kind]), max(DEPTHS[kind]), 5):
        pair = plane_pair(rng, kind, inverse_depth=inverse_depth, noise=noise, sharp=subject(solver, rng))
        result = solver.function(pair)
        inside.append((abs(inner(result.values) - inverse_depth) < inner(result.sigma))[inner(result.valid)])
    assert 0.5 < np.mean(np.concatenate(inside)) < 0.94


def test_sigma_grows_with_noise(case, rng):
    solver, kind = case
    sharp = subject(solver, rng)
    quiet, loud = (solver.function(plane_pair(rng, kind, sharp=sharp, noise=noise)) for noise in (NOISE, Noise(1000, 10.0)))
    assert np.nanmedian(loud.sigma) > 1.2 * np.nanmedian(quiet.sigma)


@pytest.mark.parametrize("noise", [(NOISE, Noise(1500, 5.0)), (Noise(1500, 5.0), NOISE)], ids=["second", "first"])
def test_unequal_noise_is_no_bias(case, rng, noise):
    solver, kind = case
    errors = []
    for inverse_depth in DEPTHS[kind]:
        sharp = subject(solver, rng, (121, 161))
        result = solver.function(plane_pair(rng, kind, inverse_depth=inverse_depth, noise=noise, sharp=sharp))
        errors.append(RATE * (np.nanmedian(inner(result.values)) - inverse_depth))
    assert np.abs(errors).max() < 0.5 * solver.tolerance  # px of coc


def test_missing_data_is_unknown_and_does_not_spread(case, device, rng):
    solver, kind = case
    capture = plane_pair(rng, kind, sharp=subject(solver, rng))
    images = capture.images.copy()
    images[:, 40:50, 60:75] = np.nan
    images[0, :, :20] = np.nan
    holed, whole = solved(solver, replace(capture, images=images), device), solver.function(capture)
    assert np.isnan(holed.values[40:50, 60:75]).all() and np.isnan(holed.values[:, :20]).all()
    far = np.s_[75:90, 100:125]
    np.testing.assert_allclose(RATE * holed.values[far], RATE * whole.values[far], atol=0.05 * solver.tolerance)
    assert solver.sparse or holed.valid[30:60, 52:58].mean() > 0.5  # beside the hole


def test_nothing_but_missing_data_is_unknown(case):
    solver, kind = case
    capture = wrap(kind, np.full((2, 70, 81), np.nan, np.float32),
                   [View(each, Psf(), NOISE, each.focus) for each in OPTICS[kind]])
    assert not solver.function(capture).valid.any()


@pytest.mark.parametrize("psf", [Psf("gaussian", 0.4), Psf("disk-gaussian", 0.6)], ids=["gaussian", "disk-gaussian"])
def test_every_symmetrical_psf_is_solved(case, rng, psf):
    solver, kind = case
    inverse_depth = DEPTHS[kind][0]
    result = solver.function(plane_pair(rng, kind, inverse_depth=inverse_depth, psf=psf, sharp=subject(solver, rng)))
    assert abs(RATE * (np.nanmedian(inner(result.values)) - inverse_depth)) < 0.3 * solver.tolerance


def test_limits_restrict_what_is_found(case, rng):
    solver, kind = case
    low, middle, high = sorted(DEPTHS[kind])
    capture = plane_pair(rng, kind, inverse_depth=high, sharp=subject(solver, rng))
    whole = solver.function(capture, limits=(high + 0.005, low)).valid.mean()
    assert whole > known(solver, 0.9)
    assert inner(solver.function(capture, limits=(middle, low)).valid).mean() < 0.11 * whole
