"""The closed forms of pairs: their tiles and memory, what they refuse, their roots, their noise, their filters."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from pairs import BRACKET, DEPTHS, FOCUS, NOISE, OPTICS, RATE, inner, lens, plane_pair, taken, wrap
from textures import texture

from dfd.capture import Capture, DualPixelPair, FocalStack, View
from dfd.noise import LUMINANCE_TAPS, Noise
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.solvers import SOLVERS, choose
from dfd.solvers.pairs import root, turning_point
from dfd.solvers.rational_filters import filters
from dfd.solvers.spatial_design import noise_constants
from dfd.tiles import LEAST_TILE_PX, solve_tiled

CLOSED_FORMS = ("spatial-transform", "rational", "focal-track", "focal-split", "metalens")
CASES = [(name, kind) for name in CLOSED_FORMS for kind in OPTICS if taken(SOLVERS[name], kind)]


@pytest.mark.parametrize("name, kind", CASES)
def test_tiles_give_the_depth_of_the_whole(rng, name, kind):
    """Closed forms look no further than their halo."""
    capture, solver = plane_pair(rng, kind, shape=(151, 203)), SOLVERS[name]
    whole, tiled = solver.function(capture), solve_tiled(capture, solver, tile=LEAST_TILE_PX, workers=2)
    np.testing.assert_array_equal(whole.valid, tiled.valid)
    np.testing.assert_allclose(tiled.values, whole.values, atol=1e-5)


@pytest.mark.parametrize("name, kind", CASES)
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
