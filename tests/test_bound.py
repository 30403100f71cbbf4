"""The noise limit: formulas against their own identities, the reference values of the literature notes, and simulation."""

import math

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage

from dfd.bound import (
    Texture,
    circular_information,
    expected_sigma,
    known_texture_information,
    moments,
    patch_information,
    planning_grid,
    response,
    unknown_texture_information,
    white_std,
)
from dfd.capture import View
from dfd.noise import LUMINANCE_TAPS, Noise
from dfd.optics import ThinLens
from dfd.psf import Psf

GRID = (2 * np.pi * np.fft.fftfreq(11)[:, None], 2 * np.pi * np.fft.fftfreq(16)[None, :])


def view(model, focus, scale=1.0, noise=0.01, taps=(1.0,)):
    """A view whose coc is 2 scale (u - focus) px: u is the radius [px] of its blur, white noise of std `noise` at 0.5."""
    lens = ThinLens.from_focus(focus, fx=1000.0, pupil_diameter=0.002 * scale, pixel_pitch=1e-6)
    return View(lens, Psf(model, 0.5), Noise(0.5 / noise**2, 0.0, taps))


def focus_pair(model, bracket, noise=0.01):
    return [view(model, 0.0, noise=noise), view(model, bracket, noise=noise)]


def stack(count, noise=0.01):
    """`count` frames over 6 px of radius that share the light of two."""
    return [view("disk", focus, noise=noise * math.sqrt(count / 2)) for focus in np.linspace(0, 6, count)]


def quad(model, step, share, noise):
    return [view(model, -step, noise=noise), view(model, step, noise=noise), view(model, 0.0, 1 - share, noise),
            view(model, 0.0, 1 + share, noise)]


def signals(views, at):
    """g and g' of views on a non-square grid without its mean."""
    power = Texture().power(*GRID)
    power[0, 0] = 0
    pairs = [response(item, at, *GRID) for item in views]
    return [np.stack([pair[part] * np.sqrt(power) / white_std(item) for pair, item in zip(pairs, views, strict=True)])
            for part in (0, 1)]


def test_the_worked_example_of_blur_rate_and_of_sigma():
    """50 mm, f/2.8, 4 um, focused at 2 m; 0.03 px of radius are 1.05 mm."""
    lens = ThinLens.focused_at(2.0, focal_length=0.05, f_number=2.8, pixel_pitch=4e-6)
    assert lens.blur_rate == pytest.approx(228.94, rel=1e-3)
    sigma = 2 * 0.03 / lens.blur_rate
    assert sigma == pytest.approx(2.621e-4, rel=1e-3)
    assert 1e3 * 2.0**2 * sigma == pytest.approx(1.048, rel=1e-3)


def test_one_view_tells_through_the_prior_only():
    """J = 1/2 sum (d ln(1 + a) / du)^2."""
    signal, slope = signals([view("disk", 0.0)], 1.3)
    relative, absolute = circular_information(signal, slope)
    step = 1e-5
    logs = [np.log1p((np.abs(signals([view("disk", 0.0)], 1.3 + side * step)[0]) ** 2).sum(axis=0)) for side in (1, -1)]
    assert np.abs(relative).max() < 1e-9 * np.abs(absolute).max()
    assert absolute.sum() == pytest.approx(0.5 * (((logs[0] - logs[1]) / (2 * step)) ** 2).sum(), rel=1e-6)
    assert expected_sigma([view("disk", 0.0)], 1.3) == math.inf


def test_pairs_of_views_hold_the_whole_relative_information():
    """Lagrange: a c - b^2 = sum over i < j of (g_i g_j' - g_j g_i')^2."""
    signal, slope = signals([view("disk", 0.0), view("gaussian", 2.0), view("disk", 4.0, 0.7), view("disk", 6.0)], 1.3)
    a, b, c = moments(signal, slope)
    pairs = sum((signal[i] * slope[j] - signal[j] * slope[i]) ** 2 for j in range(4) for i in range(j))
    assert np.abs(a * c - b**2 - pairs).max() < 1e-12 * (a * c).max()


def test_projector_pair_and_householder_channels_hold_equal_power(rng):
    """Four views, every frequency: what remains beside the direction in which the texture is seen."""
    signal, _ = signals([view("gaussian", focus) for focus in (0.0, 1.5, 3.0, 6.0)], 1.3)
    unit = (signal + 1e-9) / np.sqrt(((signal + 1e-9) ** 2).sum(axis=0))
    data = rng.standard_normal(unit.shape) + 1j * rng.standard_normal(unit.shape)
    along = (unit * data).sum(axis=0)
    projected = (np.abs(data - unit * along) ** 2).sum(axis=0)
    paired = sum(np.abs(unit[i] * data[j] - unit[j] * data[i]) ** 2 for j in range(4) for i in range(j))
    householder = sum(np.abs(data[j] - unit[j] * (data[0] + along) / (1 + unit[0])) ** 2 for j in (1, 2, 3))
    assert np.abs(paired / projected - 1).max() < 1e-12
    assert np.abs(householder / projected - 1).max() < 1e-12


def test_who_knows_more_of_the_texture_knows_more_of_depth():
    signal, slope = signals(focus_pair("disk", 4.0), 1.3)
    relative, absolute = circular_information(signal, slope)
    unknown, known = unknown_texture_information(signal, slope), known_texture_information(signal, slope)
    assert (relative <= unknown * (1 + 1e-12)).all() and (unknown <= known * (1 + 1e-12)).all()
    assert relative.sum() + absolute.sum() < known.sum()


def test_a_phase_that_all_views_share_tells_nothing():
    """Both views shift by a known amount per dioptre: g' gains i phase g, and nothing else changes."""
    signal, slope = signals([view("half-left", 0.0), view("half-right", 0.0)], 1.3)
    moved = slope + 1j * GRID[1] * signal
    for part, same in zip(circular_information(signal, slope), circular_information(signal, moved), strict=True):
        assert np.abs(part - same).max() < 1e-9 * max(part.max(), 1e-12)
    assert np.allclose(unknown_texture_information(signal, slope), unknown_texture_information(signal, moved), rtol=1e-6,
                       atol=1e-9)


@pytest.mark.parametrize("shape", [(128, 96), (61, 200)])
def test_the_mean_of_the_power_spectrum_is_the_squared_contrast(shape):
    wy, wx = (2 * np.pi * np.fft.fftfreq(length) for length in shape)
    assert Texture(0.2).power(wy[:, None], wx[None, :]).mean() == pytest.approx(0.04, rel=0.02)


@pytest.mark.parametrize("model, size, expected", [
    ("gaussian", 15, 0.0304), ("gaussian", 9, 0.0538), ("disk", 15, 0.0274), ("disk", 9, 0.0493),
])
def test_exact_bound_of_a_patch_of_a_focus_pair(model, size, expected):
    """Sigma in px of blur radius, bracket 4 px, noise 1 %."""
    assert patch_information(focus_pair(model, 4.0), 1.3, size=size) ** -0.5 == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("count, expected", [(2, 0.0704), (3, 0.0435), (5, 0.0380), (9, 0.0380)])
def test_at_equal_light_frames_beyond_five_add_nothing_over_6_px_of_radius(count, expected):
    assert patch_information(stack(count), 2.1, size=9) ** -0.5 == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("model, wide_noise, ratio, narrow_noise, expected", [
    ("gaussian", 0.01, 0.5, 0.01, 0.0504), ("gaussian", 0.01, 0.25, 0.01, 0.0424),
    ("gaussian", 0.01, 0.5, 0.02, 0.0638), ("gaussian", 0.01, 0.25, 0.04, 0.0714),
    ("disk", 0.01, 0.5, 0.01, 0.0371), ("disk", 0.01, 0.25, 0.01, 0.0336),
    ("disk", 0.01, 0.5, 0.02, 0.0462), ("disk", 0.01, 0.25, 0.04, 0.0529),
])
def test_exact_bound_of_aperture_pairs(model, wide_noise, ratio, narrow_noise, expected):
    """At the same exposure time a stop of two beats one of four, whose frame is four times noisier; else four is better."""
    pair = [view(model, 0.0, noise=wide_noise), view(model, 0.0, ratio, narrow_noise)]
    assert patch_information(pair, 2.0, size=15) ** -0.5 == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("model, step, share, at, noise, of_four, of_pair", [
    ("gaussian", 3.0, 0.4, 2.0, 0.002, 0.0075, 0.0374), ("gaussian", 3.0, 0.4, 2.0, 0.01, 0.0354, 0.0853),
    ("disk", 1.0, 0.2, 2.0, 0.01, 0.0484, 0.0567), ("disk", 3.0, 0.4, 4.0, 0.01, 0.0762, 0.0903),
])
def test_a_quadruple_beats_the_focus_pair_of_equal_light(model, step, share, at, noise, of_four, of_pair):
    four = patch_information(quad(model, step, share, noise), at, size=9) ** -0.5
    pair = [view(model, side * step, noise=noise / math.sqrt(2)) for side in (-1, 1)]
    assert four == pytest.approx(of_four, rel=0.01)
    assert patch_information(pair, at, size=9) ** -0.5 == pytest.approx(of_pair, rel=0.01)


def test_twice_the_light_cuts_the_bound_and_a_filter_of_image_and_noise_alike_does_not():
    bright, filtered = focus_pair("disk", 4.0, 0.005), [
        View(item.lens, item.psf, Noise(item.noise.gain, 0.0).filtered(LUMINANCE_TAPS)) for item in focus_pair("disk", 4.0)]
    plain = expected_sigma(focus_pair("disk", 4.0), 1.3)
    assert expected_sigma(bright, 1.3) < 0.55 * plain
    assert expected_sigma(filtered, 1.3) == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("views", [stack(3), quad("gaussian", 3.0, 0.4, 0.01),
                                   [view("half-left", 1.0), view("half-right", 1.0)]])
def test_the_quadrant_of_24_cells_stands_for_all_frequencies(views, monkeypatch):
    """Within 0.5 % of 96 x 150 cells of the full square, signs and all."""
    def fine(texture):
        wy, wx = ((np.arange(count) + 0.5) * (2 * np.pi / count) - np.pi for count in (96, 150))
        return wy[:, None], wx[None, :], texture.power(wy[:, None], wx[None, :])

    coarse = expected_sigma(views, 2.1)
    assert planning_grid(Texture())[2].shape == (24, 24)
    monkeypatch.setattr("dfd.bound.planning_grid", fine)
    assert coarse == pytest.approx(expected_sigma(views, 2.1), rel=5e-3)


def simulated_errors(rng, views, at, size):
    """Errors of the frame statistic of a pair on 35 x 30 windows of size x size px: filter whole frames, square, sum."""
    shape = (35 * size, 30 * size)
    wy, wx = 2 * np.pi * scipy.fft.fftfreq(shape[0])[:, None], 2 * np.pi * scipy.fft.rfftfreq(shape[1])[None]
    power = Texture().power(wy, wx)
    power[0, 0] = 0
    sharp = scipy.fft.rfft2(rng.standard_normal(shape)) * np.sqrt(power)

    def seen(inverse_depth):
        return [response(item, inverse_depth, wy, wx)[0] / white_std(item) for item in views]

    frames = [sharp * h + scipy.fft.rfft2(rng.standard_normal(shape)) for h in seen(at)]
    grid, costs = at + np.linspace(-0.4, 0.4, 21), []
    for hypothesis in grid:
        one, other = seen(hypothesis)
        length = np.sqrt(np.abs(one) ** 2 + np.abs(other) ** 2)
        residual = scipy.fft.irfft2((other * frames[0] - one * frames[1]) / length, shape)
        costs.append(scipy.ndimage.uniform_filter(residual**2, size, mode="wrap")[size // 2::size, size // 2::size])
    curves = np.stack(costs).reshape(21, -1)
    best = np.clip(curves.argmin(axis=0), 1, 19)
    before, lowest, after = (curves[best + shift, np.arange(best.size)] for shift in (-1, 0, 1))
    return grid[best] + 0.5 * (before - after) / (before - 2 * lowest + after) * (grid[1] - grid[0]) - at


@pytest.mark.parametrize("views, at, size", [
    (focus_pair("gaussian", 4.0), 1.3, 15), (focus_pair("disk", 2.0), 0.65, 9),
    ([view("disk", 0.0), view("disk", 0.0, 0.25, 0.04)], 2.0, 15),
    ([view("half-left", 0.0), view("half-right", 0.0)], 1.0, 9),
])
def test_the_expected_sigma_is_what_the_frame_statistic_does(rng, views, at, size):
    """Within 10 % of the RMSE of 1050 windows."""
    errors = simulated_errors(rng, views, at, size)
    assert expected_sigma(views, at, pixels=size**2) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.1)


@pytest.mark.parametrize("arguments, message", [
    ({"contrast": 0.0}, r"contrast \(0 of white\) of the texture must be positive"),
    ({"corner": -0.1}, r"corner \(-0\.1 cycles/px\)"), ({"contrast": math.nan}, r"contrast \(nan of white\)"),
])
def test_a_texture_without_contrast_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Texture(**arguments)
