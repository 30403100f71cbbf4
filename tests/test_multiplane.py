"""Multiplane images: gradients against finite differences, compositing, noise's part, and the solver's contract."""

from dataclasses import replace

import numpy as np
import pytest
from test_field_psf import SHAPE, pair
from textures import texture

from dfd.optics import ThinLens
from dfd.solvers import SOLVERS
from dfd.solvers import multiplane_losses as losses
from dfd.solvers.grid import lensed
from dfd.solvers.multiplane import MOST_PLANES, planes_of, solve_multiplane
from dfd.solvers.multiplane_scene import Scene, opacities, shares


def slope_along(function, place, direction, step=1e-5):
    """Directional derivative of a function's value by central differences."""
    return (function(place + step * direction)[0] - function(place - step * direction)[0]) / (2 * step)


@pytest.mark.parametrize("function", [losses.smoothness, losses.root_smoothness, losses.entropy])
def test_a_prior_has_the_gradient_that_it_says(function, rng):
    place, direction = rng.uniform(0.1, 0.9, (3, 9, 13)), rng.normal(size=(3, 9, 13))
    assert np.sum(function(place)[1] * direction) == pytest.approx(slope_along(function, place, direction), rel=1e-6)


def test_the_data_loss_has_the_gradient_that_it_says(rng):
    blurred, direction = rng.uniform(0.1, 0.9, (2, 3, 3, 7, 9)), rng.normal(size=(2, 3, 3, 7, 9))
    images, bias = rng.uniform(0.2, 0.8, (2, 7, 9)), rng.uniform(0, 1e-3, (2, 3))
    known = np.ones((2, 7, 9))
    known[1, 2:4, 5] = 0
    value, slope = losses.data(blurred, images, bias, known)
    assert np.sum(slope * direction) == pytest.approx(
        slope_along(lambda place: losses.data(place, images, bias, known), blurred, direction), rel=1e-6)
    images[1, 2:4, 5] = 9.0
    assert losses.data(blurred, images, bias, known)[0] == value  # what is unknown counts nothing


@pytest.fixture(scope="module")
def scene():
    """A pair with kernels over the picture, four tiles of them, and three planes, all in float64."""
    capture = lensed(pair(np.random.default_rng(1), 6.0, shape=(40, 52)))
    made = Scene(capture, [-6.0, 1.0, 7.0], 1.0)
    made.images = made.images.astype(float)
    made.tiles = [(part, otfs.astype(complex), bias.astype(float), size) for part, otfs, bias, size in made.tiles]
    return made


def test_the_whole_loss_has_the_gradient_that_it_says(scene, rng):
    colour, logits = rng.uniform(0.2, 0.8, (3, *scene.canvas)), rng.normal(size=(2, *scene.canvas))
    _, by_colour, by_logits = scene.loss(colour, logits)
    one, other = rng.normal(size=colour.shape), rng.normal(size=logits.shape)
    assert np.sum(by_colour * one) == pytest.approx(
        slope_along(lambda place: scene.loss(place, logits), colour, one), rel=1e-5)
    assert np.sum(by_logits * other) == pytest.approx(
        slope_along(lambda place: scene.loss(colour, place), logits, other), rel=1e-5)


def test_shares_of_layers_add_up_to_one_and_the_front_hides_the_back(rng):
    logits = rng.normal(size=(3, 5, 7))
    np.testing.assert_allclose(shares(logits).sum(axis=0), 1, atol=1e-12)
    logits[2] = 40.0
    np.testing.assert_allclose(shares(logits)[:3], 0, atol=1e-12)
    assert opacities(logits)[0].min() == 1


def test_the_bias_is_what_noise_alone_adds_to_the_energy_of_a_texture_prior(rng):
    """|L|^2 + |R|^2 - |conj(a) L + conj(b) R|^2 / (K + C) is sigma^2 (1 + mean C / (K + C)) per pixel on average."""
    shape, std, prior = (64, 64), 0.01, 5e-3
    psfs = [view.psf.at(5, 5) for view in pair(rng, 6.0).views]
    wy, wx = 2 * np.pi * np.fft.fftfreq(64)[:, None], 2 * np.pi * np.fft.fftfreq(64)[None]
    for coc in (3.0, 12.0, 24.0):
        otfs = np.array([psf.otf(coc, wy, wx) for psf in psfs])
        power, energies = (abs(otfs) ** 2).sum(axis=0), []
        for _ in range(200):
            spectra = np.fft.fft2(rng.normal(0, std, (2, *shape)))
            explained = abs((np.conj(otfs) * spectra).sum(axis=0)) ** 2 / (power + prior)
            energies.append(((abs(spectra) ** 2).sum(axis=0) - explained).sum() / (64 * 64) ** 2)
        added = losses.noise_bias(otfs, std**2, prior, np.ones(64)) / 2
        assert np.mean(energies) == pytest.approx(std**2 + added, rel=0.005)


@pytest.mark.parametrize("coc", [-9.0, 6.0])
def test_a_plane_is_found_with_its_sign_an_honest_sigma_and_a_sharper_image(coc):
    capture = pair(np.random.default_rng(2), coc, std=0.002)
    before = capture.images.copy()
    result = solve_multiplane(capture, steps=(8, 4))
    inside = np.s_[20:-20, 20:-20]
    error = result.values[inside] - coc
    assert np.isfinite(error).mean() > 0.9 and abs(np.nanmedian(error)) < 0.3  # px of coc
    assert 0.6 < np.nanmean(abs(error) < result.sigma[inside]) <= 1
    assert np.isnan(result.sigma[~result.valid]).all()
    truth = 0.5 + 0.05 * (texture(SHAPE, np.random.default_rng(2)) - 0.5) / 0.15
    assert np.std((result.picture - truth)[inside]) < 0.7 * min(np.std((image - truth)[inside]) for image in capture.images)
    np.testing.assert_array_equal(capture.images, before)


def test_exposure_scales_the_image_and_leaves_depth():
    capture = pair(np.random.default_rng(3), 7.0)
    double = replace(capture, images=2 * capture.images,
                     views=[replace(view, noise=view.noise.scaled(2.0)) for view in capture.views])
    one, other = (solve_multiplane(each, steps=(4, 2)) for each in (capture, double))
    np.testing.assert_allclose(one.values, other.values, atol=0.05)  # px of coc
    np.testing.assert_allclose(2 * one.picture, other.picture, atol=5e-3)


def test_a_flat_pair_is_unknown_and_its_image_is_whole():
    result = solve_multiplane(pair(np.random.default_rng(5), 7.0, contrast=0.0), steps=(2, 1))
    assert result.valid.mean() < 0.02 and np.isfinite(result.picture).all()


def test_planes_hold_the_map_at_whole_steps_of_blur_and_are_never_too_many():
    values = np.where(np.arange(1000) % 10 == 0, np.nan, np.linspace(1.2, 1.5, 1000))  # dioptre, -11.2 to 5.6 px of coc
    lens, within = ThinLens.from_focus(1.4, fx=4e3, pupil_diameter=0.014, pixel_pitch=12e-6), np.array([0.2, 2.6])
    planes = lens.coc(planes_of(values, lens=lens, within=within))
    np.testing.assert_allclose(planes, np.arange(-16, 9, 4), atol=1e-9)  # px: ten that are 1 or 2 px apart do not reach
    assert len(planes_of(3 * values - 2.8, lens=lens, within=within)) <= MOST_PLANES
    np.testing.assert_allclose(lens.coc(planes_of(np.full(9, 1.4), lens=lens, within=within)), [-1, 0, 1], atol=1e-9)
    assert planes_of(3 * values - 2.8, lens=lens, within=np.array([0.9, 1.5])).min() >= 0.9  # kernels end there


def test_auto_never_takes_it():
    assert SOLVERS["multiplane"].by_name
