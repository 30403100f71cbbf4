"""The contract of every solver that takes pairs, on every device and kind of pair; joined by being in the table."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fakegpu import device
from pairs import BRACKET, DEPTHS, FOCUS, NOISE, OPTICS, RATE, lens, plane_pair, subject, wrap
from textures import beyond_seam, texture

from dfd.capture import Capture, DualPixelPair, FocalStack, View
from dfd.noise import LUMINANCE_TAPS, Noise
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.solvers import SOLVERS, choose
from dfd.solvers.pairs import root, turning_point
from dfd.solvers.rational_filters import filters
from dfd.solvers.spatial_design import noise_constants
from dfd.tiles import LEAST_TILE_PX, solve_tiled

__all__ = ["device"]

BORDER = 12
CLOSED_FORMS = ["spatial-transform", "rational", "focal-track", "focal-split", "metalens"]


def taken(row, kind):
    """Whether a row of the table solves this kind of pair."""
    capture = wrap(kind, np.zeros((2, 64, 64), np.float32), [View(each, Psf(), NOISE, each.focus) for each in OPTICS[kind]])
    try:
        row.check(capture, None)
    except ValueError:
        return False
    return row.takes(capture)


SLOW = {"likelihood-prior": ("focus",)}
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


def inner(array):
    return array[BORDER:-BORDER, BORDER:-BORDER]


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


@pytest.mark.parametrize("name, kind", [case for case in CASES if case[0] in CLOSED_FORMS])
def test_tiles_give_the_depth_of_the_whole(rng, name, kind):
    """Closed forms look no further than their halo."""
    capture, solver = plane_pair(rng, kind, shape=(151, 203)), SOLVERS[name]
    whole, tiled = solver.function(capture), solve_tiled(capture, solver, tile=LEAST_TILE_PX, workers=2)
    np.testing.assert_array_equal(whole.valid, tiled.valid)
    np.testing.assert_allclose(tiled.values, whole.values, atol=1e-5)


@pytest.mark.parametrize("name, kind", [case for case in CASES if case[0] in CLOSED_FORMS])
def test_closed_forms_take_the_memory_that_they_declare(rng, name, kind):
    capture, solver = plane_pair(rng, kind, shape=(401, 503)), SOLVERS[name]
    solver.function(capture)  # designs, compiles and loads
    tracemalloc.start()
    try:
        solver.function(replace(capture, images=capture.images.copy()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.8 < peak / solver.memory(capture, capture.shape, None) < 1.1


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
        sharp = subject(solver, rng, (161, 203))
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


def blank(lenses, cls=Capture, scale="metric", psf=None, **more):
    views = [View(each, psf or Psf(), NOISE, None if each is None else each.focus) for each in lenses]
    if scale == "steps":
        views = [replace(view, coordinate=float(index)) for index, view in enumerate(views)]
    return cls(np.zeros((len(lenses), 40, 50), np.float32), views, scale, **more)


@pytest.mark.parametrize("name", CLOSED_FORMS)
@pytest.mark.parametrize("capture, limits, message", [
    (blank([lens(1.5), lens(1.4), lens(1.3)], FocalStack), None,
     r"compares 2 images, this focal-stack has 3; use --solver auto"),
    (blank([None, None], FocalStack, "steps"), None, r"has scale steps, and a sweep over depth needs focal length"),
    (blank([lens(1.4), lens(1.4)]), None, r"same optics .* within 0.1 px of blur.*; check focus_distance_m"),
    (blank([lens(1.45), lens(1.35)], psf=Psf("half-left")), None,
     r"needs symmetrical PSFs, not half-left and half-left; use"),
    (blank([lens(1.45), lens(1.35)], FocalStack), (0.2, 0.1), r"lies outside the foci .*; use --solver spatial-transform"),
    (blank([lens(1.45), lens(1.35)], FocalStack), (1.36, 1.44), r"holds nothing"),
], ids=["three", "steps", "alike", "half", "outside", "exchanged"])
def test_what_a_closed_form_cannot_solve_is_refused(name, capture, limits, message):
    if name != "rational" and limits == (0.2, 0.1):
        pytest.skip("it looks outside the foci too")
    with pytest.raises(ValueError, match=message):
        SOLVERS[name].check(capture, limits)
    with pytest.raises(ValueError, match=message):
        SOLVERS[name].function(capture, limits=limits)


def test_an_aperture_pair_is_kept_on_its_side():
    far = wrap("aperture-far", np.zeros((2, 40, 50), np.float32),
               [View(each, Psf(), NOISE) for each in OPTICS["aperture-far"]])
    near, check = replace(far, side="near"), SOLVERS["spatial-transform"].check
    with pytest.raises(ValueError, match=r"^near \(0.5 m\) lies before the focus \(0.7143 m\), but side is far: "):
        check(far, (2.0, 1.0))
    with pytest.raises(ValueError, match=r"^far \(1 m\) lies beyond the focus \(0.7143 m\), but side is near: "):
        check(near, (2.0, 1.0))
    check(far, (np.inf, 1.2))
    check(near, (1.6, 0.0))


def test_views_at_one_focus_hold_two_depths_for_one_pair_of_blurs():
    views, check = blank(OPTICS["aperture-far"]), SOLVERS["spatial-transform"].check
    with pytest.raises(ValueError, match=r"two depths .* 0.7143 m, and spatial-transform cannot tell them apart; give "):
        check(views, None)
    check(views, (1.39, 1.2))


def test_a_pair_of_half_pupils_is_not_views():
    pair = blank([lens(1.4), lens(1.4)], DualPixelPair, kappa=0.4)
    with pytest.raises(TypeError, match="takes aperture-pair or focal-stack or views, not dual-pixel"):
        choose(pair, "spatial-transform")


def test_the_bracket_of_these_tests_is_four_pixels():
    assert OPTICS["focus"][0].blur_rate * BRACKET == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("second, depth", [(10.5, 0.7), (10.5, 0.8), (10.1, 1.3)])
def test_the_root_of_a_pair_is_the_depth(second, depth):
    """A lens of 10.1 and 10.5 dioptre, 0.11 m before the sensor, sees 0.7 m; two apertures see 1.3 m on the far side."""
    pupils = (5e-3, 5e-3) if second > 10.1 else (5e-3, 3e-3)
    lenses = [ThinLens(1 / power, pupil, 0.11, 6e-6) for power, pupil in zip((10.1, second), pupils, strict=True)]
    views = [View(each, Psf(), NOISE) for each in lenses]
    g = (lenses[0].coc(1 / depth) ** 2 - lenses[1].coc(1 / depth) ** 2) / 16
    low, high = (0.5, 2.0) if second > 10.1 else (0.5, lenses[0].focus)
    assert 1 / root(views, g, low, high) == pytest.approx(depth, abs=1e-6)  # m


@pytest.mark.parametrize("unequal", [1e-12, 1e-6, 0.03, 0.3])
def test_the_root_loses_no_digits_as_the_blur_rates_become_equal(unequal):
    lenses = [lens(1.45), replace(lens(1.35), pupil_diameter=0.0125 * (1 + unequal))]
    views = [View(each, Psf(), NOISE) for each in lenses]
    places = np.linspace(1.35, 1.45, 11)
    g = (lenses[0].coc(places) ** 2 - lenses[1].coc(places) ** 2) / 16
    np.testing.assert_allclose(root(views, g, 1.35, 1.45), places, atol=1e-9)
    pair = Capture(np.zeros((2, 64, 64), np.float32), views)
    assert not 1.35 < turning_point(pair) < 1.45


def test_a_g_that_no_depth_causes_gives_the_turning_point():
    views = [View(each, Psf(), NOISE) for each in OPTICS["aperture-far"]]
    assert root(views, np.array([-1.0]), 1.2, views[0].lens.focus)[0] == pytest.approx(views[0].lens.focus, abs=1e-6)


def test_noise_adds_known_amounts_to_both_sums_of_the_spatial_transform():
    """White, unsmoothed, std 0.3 and 0.5: 1.70 to the square of the Laplacian, 0.32 to its product with the difference."""
    laplacian, cross = noise_constants((1.0,), 0)
    assert laplacian * (0.3**2 + 0.5**2) == pytest.approx(1.70, rel=0.01)
    assert cross * (0.3**2 - 0.5**2) == pytest.approx(0.32, rel=0.01)


@pytest.mark.parametrize("taps", [(1.0,), LUMINANCE_TAPS])
@pytest.mark.parametrize("smoothing", [0.7, 1.4])
def test_those_amounts_are_measured_after_smoothing_too(rng, taps, smoothing):
    from scipy.ndimage import correlate1d, laplace

    from dfd.imaging import gaussian

    noise = rng.standard_normal((700, 900))
    for axis in (0, 1):
        noise = correlate1d(noise, taps, axis=axis)
    smooth = gaussian(noise.astype(np.float32), smoothing)
    laplacian, cross = noise_constants(taps, smoothing)
    assert np.mean((laplace(smooth) / 2) ** 2) / noise.var() == pytest.approx(laplacian, rel=0.03)
    assert np.mean(laplace(smooth) / 2 * smooth) / noise.var() == pytest.approx(cross, rel=0.03)


def test_sigma_of_the_spatial_transform_grows_with_the_blur_that_its_model_cannot_follow(rng):
    sigmas, sharp = [], texture((97, 141), rng)
    for bracket in (4.0, 10.0, 20.0):  # px of coc between the foci
        lenses = [lens(FOCUS + side * bracket / RATE / 2) for side in (1, -1)]
        pair = plane_pair(rng, "focus", inverse_depth=FOCUS + 0.3 * bracket / RATE, lenses=lenses, sharp=sharp)
        sigmas.append(RATE * np.nanmedian(SOLVERS["spatial-transform"].function(pair).sigma))
    assert sigmas[0] < 0.7 * sigmas[1] < 0.7**2 * sigmas[2]  # px of coc


def focus_views(bracket, psf=None):
    """Two views focused so many px of coc apart."""
    return tuple(View(lens(FOCUS + side * bracket / RATE / 2), psf or Psf("disk", 0.3), NOISE) for side in (1, -1))


@pytest.mark.parametrize("bracket", [2.0, 4.0, 8.0])
def test_rational_filters_are_small_symmetrical_and_blind_to_brightness(bracket):
    kernels = filters(focus_views(bracket), -1, 1).kernels
    assert kernels.shape[1] == 7 if bracket <= 4 else 7 < kernels.shape[1] <= 21
    for turned in (kernels[:, ::-1], kernels[:, :, ::-1], kernels.transpose(0, 2, 1)):
        np.testing.assert_allclose(turned, kernels, atol=1e-12)
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 0, atol=1e-9)


@pytest.mark.parametrize("frequency", [0.08, 0.14, 0.24])
def test_rational_filters_answer_alike_at_every_frequency(frequency):
    """A grating of one frequency [cycles/px] between foci 4 px of coc apart is found within 1 % of their distance."""
    bracket, x = 4.0, np.arange(150)
    views, w = focus_views(bracket), 2 * np.pi * frequency
    made = filters(views, -1, 1)
    for share in (-0.3, 0.2):
        place, wave = FOCUS + share * bracket / RATE, np.array([w])
        seen = [view.psf.otf(view.lens.coc(place), 0 * wave, wave)[0] for view in views]
        gratings = [np.broadcast_to(np.float64(h * np.cos(w * x)), (120, 150)).astype(np.float32) for h in seen]
        result = SOLVERS["rational"].function(FocalStack(np.stack(gratings), [
            replace(view, coordinate=view.lens.focus, noise=Noise(1e8, 0.0)) for view in views]))
        found = np.nanmedian(result.values[40:-40, 40:-40])
        assert (found - FOCUS) * RATE / bracket == pytest.approx(share, abs=0.01)
    assert np.abs(made.answer - made.alpha).max() < 0.01


def test_unequal_blur_rates_are_no_bias_of_the_rational_operators(rng):
    for uneven in (0.97, 1.03):
        lenses = [lens(FOCUS + BRACKET / 2, 4.0 * uneven), lens(FOCUS - BRACKET / 2)]
        for inverse_depth in DEPTHS["views"]:
            pair = plane_pair(rng, "views", inverse_depth=inverse_depth, lenses=lenses, shape=(161, 203))
            error = RATE * (np.nanmedian(inner(SOLVERS["rational"].function(pair).values)) - inverse_depth)
            assert abs(error) < 0.02  # px of coc


def test_rational_operators_need_two_foci_and_one_aperture():
    check = SOLVERS["rational"].check
    with pytest.raises(ValueError, match=r"about the same blur rate, these have .* use --solver spatial-transform"):
        check(blank(OPTICS["mixed"]), None)
    with pytest.raises(ValueError, match=r"rational needs two foci, these are 0.34 px of blur apart \(at least 0.5\); use"):
        check(blank([lens(FOCUS + 0.003), lens(FOCUS - 0.003)], FocalStack), None)
