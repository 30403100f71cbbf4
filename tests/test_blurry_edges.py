"""Depth from the widths of edges: the closed form, profiles of every PSF, edges of any direction, very little light."""

import math

import numpy as np
import pytest
from pairs import step_edges
from textures import blurred

from dfd.capture import Capture, View
from dfd.imaging import gaussian
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.solvers import SOLVERS
from dfd.solvers.edge_pixels import edge_pixels, profiles
from dfd.solvers.edge_profiles import PIXEL, SAMPLED, edge_profiles, look_up
from dfd.solvers.pairs import root

SOLVE = SOLVERS["blurry-edges"].function
DISTANCE, PITCH, STD = 0.1104, 4 * 5.86e-6, 3e-3
"""Image distance, pixel and the std of the pupil [m] of the published sensor; powers 10.0 and 10.2 dioptre."""

LENSES = [ThinLens(1 / power, 4 * STD, DISTANCE, PITCH) for power in (10.0, 10.2)]
LIMITS = (1 / 0.6, 1 / 1.4)
DIM = Noise(190, 2.0)


def edge_pair(rng, depth, psf, noise=None, sharp=None, shape=(147, 181)):
    """Two views of edges at `depth` [m]; with noise photons are counted, clipped at white and rounded, as published."""
    sharp = step_edges(shape, rng) if sharp is None else sharp
    images = []
    for lens in LENSES:
        clean = blurred(sharp, lens.coc(1 / depth), psf)
        if noise is not None:
            counted = rng.poisson(np.clip(clean, 0, 1) * noise.gain) + rng.normal(size=clean.shape) * noise.read_noise
            clean = np.clip(np.rint(counted), 0, noise.gain) / noise.gain
        images.append(clean)
    return Capture(np.stack(images).astype(np.float32), [View(lens, psf, noise or Noise(1e8, 0.0)) for lens in LENSES])


def half_plane(degrees, shape=(91, 121)):
    """A step through the middle, light along (sine down, cosine right), periodic images of it cut off by blur."""
    y, x = ((np.arange(8 * n) + 0.5) / 8 - n / 2 for n in shape)
    turn = math.radians(degrees)
    sharp = np.where(x * math.cos(turn) + y[:, None] * math.sin(turn) > 0, 0.8, 0.2)
    return sharp.reshape(shape[0], 8, shape[1], 8).mean(axis=(1, 3))


@pytest.mark.parametrize("depth", [0.75, 0.9, 1.0, 1.18])
def test_the_closed_form_is_the_published_one_and_the_width_of_the_edge_itself_cancels(depth):
    own = 40e-6  # m
    sigma = [STD * DISTANCE * (1 / depth - lens.focus) for lens in LENSES]
    minus, plus = (value**2 + own**2 for value in sigma)
    powers = [lens.power for lens in LENSES]
    z = 2 * STD**2 * DISTANCE**2 * (powers[0] - powers[1]) / (
        plus - minus - STD**2 * DISTANCE * (powers[1] - powers[0]) * (DISTANCE * sum(powers) - 2))
    assert z == pytest.approx(depth, abs=1e-6)
    views = [View(lens, Psf("gaussian"), DIM) for lens in LENSES]
    assert 1 / root(views, (minus - plus) / PITCH**2, 0.5, 2.0) == pytest.approx(depth, abs=1e-6)


def test_the_profile_of_a_gaussian_is_an_error_function():
    from scipy.special import ndtr

    made = edge_profiles(Psf("gaussian", 0.4), 20.0, 12.0)
    place = np.linspace(-10, 10, 41)
    for variance in (0.5, 4.0, 20.0):
        value, slope, wider = look_up(made, made.tables, place, np.array([variance]), np)
        u = place / math.sqrt(variance)
        density = np.exp(-0.5 * u**2) / math.sqrt(2 * math.pi * variance)
        np.testing.assert_allclose(value, ndtr(u), atol=2e-3)
        np.testing.assert_allclose(slope, density, atol=4e-3)
        np.testing.assert_allclose(wider, -place * density / (2 * variance), atol=0.01 / variance)


@pytest.mark.parametrize("coc", [6.0, 17.0])
def test_the_profile_of_a_disk_is_the_area_beyond_a_chord(coc):
    made = edge_profiles(Psf("disk"), 20.0, 12.0)
    u = np.linspace(-10, 10, 81) / (coc / 2)
    inside = np.clip(u, -1, 1)
    area = 0.5 + (inside * np.sqrt(1 - inside**2) + np.arcsin(inside)) / np.pi
    value = look_up(made, made.tables, u * coc / 2, np.array([coc**2 / 16 + PIXEL + SAMPLED]), np)[0]
    assert np.abs(value - area).max() < 0.02 * (6 / coc)  # what pixel and interpolation soften
    assert made.least == PIXEL + SAMPLED


@pytest.mark.parametrize("psf", [Psf("gaussian"), Psf("disk"), Psf("disk-gaussian", 0.6)], ids=lambda psf: psf.model)
@pytest.mark.parametrize("degrees", [0, 27, 45, 90, 118, 200, 303])
def test_an_edge_of_any_direction_is_found_and_measured(psf, degrees):
    for depth in (0.8, 1.1):
        capture = edge_pair(None, depth, psf, sharp=half_plane(degrees))
        middle = np.s_[30:-30, 40:-40]
        result = SOLVE(capture, limits=LIMITS)
        assert result.valid[middle].sum() >= 20
        assert np.nanmedian(result.depth[middle]) == pytest.approx(depth, abs=0.01)  # m
        assert np.nanpercentile(abs(result.depth[middle] - depth), 90) < 0.02
        y, x, cosine, sine = edge_pixels(capture.images, capture.views)
        here = (abs(y - 45) < 12) & (abs(x - 60) < 12)
        turn = math.radians(degrees)
        assert np.median(cosine[here] * math.cos(turn) + sine[here] * math.sin(turn)) > 0.999


def test_a_profile_runs_from_dark_to_light_across_the_edge():
    image = half_plane(35).astype(np.float32)
    seen = profiles(image, np.array([45]), np.array([60]), *(np.array([value]) for value in (math.cos(math.radians(35)),
                                                                                          math.sin(math.radians(35)))), 7)
    assert seen.shape == (1, 15)
    np.testing.assert_allclose(seen[0, [0, -1]], [0.2, 0.8], atol=1e-3)
    assert (np.diff(seen[0]) > -1e-3).all()
    assert np.isnan(profiles(image, np.array([4]), np.array([60]), np.ones(1), np.zeros(1), 7)).all()  # beyond the border


@pytest.mark.parametrize("depth", [0.8, 1.0, 1.1])
def test_the_width_of_the_scene_cancels(rng, depth):
    """Edges that are 1.7 px wide themselves, 40 um: the depth stays within 1 cm."""
    soft = gaussian(half_plane(27).astype(np.float32), 1.7)
    result = SOLVE(edge_pair(None, depth, Psf("gaussian"), sharp=soft), limits=LIMITS)
    assert np.nanmedian(result.depth[30:-30, 40:-40]) == pytest.approx(depth, abs=0.01)


@pytest.mark.parametrize("psf", [Psf("gaussian"), Psf("disk")], ids=["gaussian", "disk"])
@pytest.mark.parametrize("depth, most", [(0.75, 0.04), (0.9, 0.02), (1.0, 0.02), (1.18, 0.05)])
def test_190_electrons_at_white_are_enough(rng, psf, depth, most):
    """Metres of root mean square error over all edges of two scenes; published with a network: 0.053 m over this range."""
    errors = [SOLVE(edge_pair(rng, depth, psf, DIM), limits=LIMITS).depth - depth for _ in range(2)]
    errors = np.concatenate([each[np.isfinite(each)] for each in errors])
    assert errors.size > 150
    assert abs(np.median(errors)) < 0.4 * most
    assert np.sqrt(np.mean(errors**2)) < most


@pytest.mark.parametrize("noise", [DIM, Noise(4000, 3.0)], ids=["190", "4000"])
def test_sigma_is_honest_at_edges(rng, noise):
    inside = []
    for depth in (0.75, 0.85, 0.95, 1.05, 1.18):
        result = SOLVE(edge_pair(rng, depth, Psf("disk"), noise), limits=LIMITS)
        inside.append((abs(result.values - 1 / depth) < result.sigma)[result.valid])
    assert 0.6 < np.mean(np.concatenate(inside)) < 0.88


@pytest.mark.parametrize("sharp", ["noise", "stripes"])
def test_what_is_no_single_edge_is_unknown(rng, sharp):
    shape = (101, 133)
    bars = np.where(np.arange(133) // 4 % 2 > 0, 0.8, 0.2) * np.ones((101, 1))
    clean = np.full(shape, 0.5) if sharp == "noise" else bars
    result = SOLVE(edge_pair(rng, 1.0, Psf("gaussian"), DIM, sharp=clean), limits=LIMITS)
    assert result.valid.mean() < 0.002
    assert np.isnan(result.sigma[~result.valid]).all()


def test_a_sharper_pair_than_pixels_allow_is_moved_to_the_nearest_that_a_depth_has(rng):
    """Half of the fits of sharp edges are so; without the move the error is 2.6 times as large, and biased."""
    results = [SOLVE(edge_pair(rng, 0.75, Psf("gaussian"), DIM), limits=LIMITS) for _ in range(4)]
    error = np.concatenate([each.values[each.valid] for each in results]) - 1 / 0.75
    assert error.size > 500
    assert abs(np.median(error)) < 0.015 and np.sqrt(np.mean(error**2)) < 0.05  # dioptre


def test_it_takes_the_memory_that_it_declares(rng):
    import tracemalloc

    capture = edge_pair(rng, 0.9, Psf("disk"), DIM, sharp=step_edges((400, 531), rng, 90))
    solver = SOLVERS["blurry-edges"]
    solver.function(capture, limits=LIMITS)  # tables and imports
    tracemalloc.start()
    try:
        solver.function(Capture(capture.images.copy(), capture.views), limits=LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.7 < peak / solver.memory(capture, capture.shape, LIMITS) < 1.1
