"""Rendered frames of the target against independent integration at four times the resolution, and against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.simulate.blur import series, transfer
from calibration.simulate.pose import Paint, Pose, reflectance
from calibration.simulate.rendering import CHANNELS, EXPOSURE, Station, exposed
from calibration.simulate.truelens import PRESETS
from calibration.target.board import BOARDS, MARKER, marker_modules
from dfd.psf import Psf

BOARD = BOARDS["a4"]
LENS = replace(PRESETS["small"], size=(160, 220), field=(0.03, -0.02, -0.05, 0.02), axial=(-0.02, 0.012), k1=-0.3)
IDEAL = replace(LENS, field=(0, 0, 0, 0), axial=(0, 0), k1=0.0, stops=tuple(replace(stop, vignetting=(1.0,))
                                                                          for stop in LENS.stops))
POSE = Pose.held(0.9, turn=BOARD.slant, tilt=(0.02, -0.03), shift=(0.031, -0.017))
FINE = 4


def brute_force(lens, pose, s, f_number, row, column, channel):
    """Light in one pixel: the disc of its own coc, core and pixel box as one kernel on cells of 1/4 px."""
    y, x = row - (lens.size[0] - 1) / 2, column - (lens.size[1] - 1) / 2
    fx = lens.fx(s)
    depth = pose.inverse_depth(*lens.undistort(x / fx, y / fx))
    coc = float(lens.coc(s, depth, f_number=f_number, x=x, y=y, channel=channel))
    kernel = Psf("disk-gaussian", core=lens.core * FINE).kernel(coc * FINE)
    box = np.ones(FINE) / FINE
    for axis in (0, 1):  # then even: 4 cells to a px
        kernel = np.apply_along_axis(np.convolve, axis, kernel, box)
    offsets = (np.arange(len(kernel)) - (len(kernel) - 1) / 2) / FINE
    across, down = lens.undistort(*np.meshgrid((x + offsets) / fx, (y + offsets) / fx))
    sharp = reflectance(BOARD, pose, across, down, 1 / (FINE * fx), Paint())
    return (kernel * sharp).sum() * EXPOSURE * lens.channel_gain[CHANNELS[channel]] * lens.vignetting(x, y, f_number)


@pytest.mark.parametrize(("f_number", "s"), [(1.8, 525.0), (1.8, 560.0), (4.0, 640.0)])
def test_every_pixel_is_the_integral_over_its_own_blur(f_number, s):
    station = Station(BOARD, LENS, POSE, (s, s - 40), (f_number,), tile=130)
    frame, planes = station.frame(s, f_number), station.planes(s, f_number)
    rng = np.random.default_rng(1)
    for row, column in zip(rng.integers(0, 160, 20), rng.integers(0, 220, 20), strict=True):
        channel = "RGGB"[2 * (row % 2) + column % 2]
        expected = brute_force(LENS, POSE, s, f_number, row, column, channel)
        assert frame[row, column] == pytest.approx(expected, abs=5e-4)  # of white
        assert planes[row, column, CHANNELS[channel]] == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("coc", "spherical"), [(3.0, 0.0), (-9.0, 0.0), (7.0, 0.8), (-7.0, 0.8), (5.0, -1.5)])
def test_the_transfer_function_is_that_of_the_light_over_the_pupil(coc, spherical):
    frequency = np.array([0.05, 0.4, 1.1, 2.5])
    rho = (np.arange(4000) + 0.5) / 4000
    from scipy.special import j0

    light = rho * (1 + spherical * np.sign(coc) * (rho**2 - 0.5))
    expected = (light * j0(frequency[:, None] * rho * abs(coc) / 2)).sum(axis=1) / light.sum() * np.exp(-0.18 * frequency**2)
    np.testing.assert_allclose(transfer(frequency, coc, core=0.6, spherical=spherical), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("least", "most", "spherical"), [(-2.0, 3.0, 0.0), (8.0, 14.0, 0.0), (-14.0, -9.0, 0.6)])
def test_the_series_is_the_transfer_function_of_every_blur_in_its_range(least, most, spherical):
    frequency = np.linspace(0, 2 * np.pi, 200)
    terms = series(frequency, least, most, core=0.6, spherical=spherical)
    for coc in np.linspace(least, most, 7):
        place = 2 * (coc - least) / (most - least) - 1
        found = np.polynomial.chebyshev.chebval(place, terms)
        wrong = (found - transfer(frequency, coc, core=0.6, spherical=spherical)) * np.sinc(frequency / (2 * np.pi))
        assert np.abs(wrong / np.maximum(frequency, 1)).max() < 5e-4


def edge_moments(columns, light):
    """Place and variance [px] of the spread of an edge along x: moments of its slope."""
    slope = np.diff(light)
    slope, x = slope / slope.sum(), (columns[1:] + columns[:-1]) / 2
    middle = (slope * x).sum()
    return middle, (slope * (x - middle)**2).sum()


@pytest.mark.parametrize(("s", "spherical"), [(530.0, 0.0), (560.0, 0.0), (650.0, 0.0), (530.0, 0.5), (650.0, 0.5)])
def test_an_edge_lies_in_its_place_and_has_the_second_moment_of_disc_core_and_pixel(s, spherical):
    lens = replace(IDEAL, spherical=spherical, channel_gain=(1, 1, 1))
    distance, point = 0.9, BOARD.corners[len(BOARD.corners) // 2 - 4]
    pose = Pose.held(distance, shift=-point - (0, BOARD.square / 6))  # an upright edge of the checkerboard in the middle
    station = Station(BOARD, lens, pose, (s, 600.0), (1.8,))
    picture = station.frame(s, 1.8)
    reach = round(0.3 * BOARD.square * lens.fx(s) / distance)
    columns = np.arange(lens.size[1]) - (lens.size[1] - 1) / 2
    inside = np.abs(columns) < reach
    place, variance = edge_moments(columns[inside], picture[80, inside])
    coc = lens.coc(s, 1 / distance, f_number=1.8)
    assert abs(coc) < reach
    disc = (coc / 4)**2 * (1 + spherical * np.sign(coc) / 6)  # q moves light to the rim
    expected = disc + lens.core**2 + 2 / 12  # the pixel, and the difference of neighbours
    assert place == pytest.approx(0, abs=2e-3)  # px
    assert variance == pytest.approx(expected, abs=0.02 * abs(coc) / 8 + 2e-3)  # px^2, .01 px of coc


def test_dots_lie_where_fx_over_z_puts_them_however_blurred():
    pose = Pose.held(0.9, turn=BOARD.slant)
    stations = Station(BOARD, replace(IDEAL, size=(270, 340)), pose, (540.0, 640.0), (1.8,))
    dots = np.array([dot for dot in BOARD.dots if np.hypot(*dot) < 0.03])
    assert len(dots) > 1
    for s in stations.coordinates:
        picture, places = stations.planes(s, 1.8)[..., 1], IDEAL.fx(s) * pose.project(dots)
        found = [centroid(picture, place, 0.27 * BOARD.square * IDEAL.fx(s) / 0.9) for place in places]
        scale = np.linalg.norm(np.diff(found, axis=0)) / np.linalg.norm(np.diff(dots, axis=0))
        assert scale / (IDEAL.fx(s) / 0.9) == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(found, places, rtol=0, atol=0.01)  # px


def centroid(picture, place, radius):
    """Centroid [px from the middle] of the light above the darkest within `radius` px of a place."""
    y, x = np.indices(picture.shape) - (np.array(picture.shape)[:, None, None] - 1) / 2
    weight = np.where(np.hypot(x - place[0], y - place[1]) < radius, picture - picture.min(), 0)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def test_blur_keeps_brightness_and_vignetting_and_channels_scale_it():
    far = Pose.held(0.9, turn=BOARD.slant, shift=(3.0, 0.0))  # nothing but wall
    lens = replace(IDEAL, stops=tuple(replace(stop, vignetting=(1.0, -0.3)) for stop in IDEAL.stops))
    planes = Station(BOARD, lens, far, (560.0,), (1.8,)).planes(560.0, 1.8)
    wall = np.array(lens.channel_gain) * Paint().wall * EXPOSURE
    np.testing.assert_allclose(planes[79:81, 109:111].mean(axis=(0, 1)), wall, rtol=0, atol=2e-5)
    corner = 1 - 0.3 * (79.5**2 + 109.5**2) / (80**2 + 110**2)
    assert planes[0, 0, 1] / wall[1] == pytest.approx(corner, abs=1e-5)


def test_blur_spreads_a_marker_and_keeps_its_light():
    number, (row, column) = next((n, at) for n, at in BOARD.markers.items() if at == (2, 3))
    middle = BOARD.square * np.array([column + 0.5 - BOARD.columns / 2, row + 0.5 - BOARD.rows / 2])
    pose, lens = Pose.held(1.2, shift=-middle), replace(IDEAL, fx_poly=(4000.0,))
    station = Station(BOARD, lens, pose, (700.0, 760.0), (1.8,))
    near = slice(80 - 31, 80 + 31), slice(110 - 31, 110 + 31), 1
    ink = [(Paint().white * EXPOSURE - station.planes(s, 1.8)[near]).sum() for s in station.coordinates]
    modules = marker_modules(number)
    side = MARKER * BOARD.square / len(modules) * 4000 / 1.2  # px
    expected = (modules == 0).sum() * side**2 * (Paint().white - Paint().black) * EXPOSURE
    np.testing.assert_allclose(ink, expected, rtol=0, atol=0.2)  # px of full light


def test_tilt_is_the_change_of_depth_along_the_board():
    pose = Pose.held(0.9, turn=0.1, tilt=(0.02, -0.03))
    down, across = pose.inverse_depth(*pose.project([(0.0, 0.1), (0.1, 0.0)]).T)
    assert 1 / across - 0.9 == pytest.approx(0.1 * pose.tilt[0], abs=1e-12)  # m
    assert 1 / down - 0.9 == pytest.approx(0.1 * pose.tilt[1], abs=1e-12)
    assert pose.tilt[1] > 0  # the lower edge lies farther
    np.testing.assert_allclose(pose.board_point(*pose.project([(0.03, -0.05)])[0]), (0.03, -0.05), rtol=0, atol=1e-12)


def test_noise_is_that_of_photons_and_readout():
    rng = np.random.default_rng(3)
    codes = exposed(np.full((400, 500), 0.5, np.float32), LENS, rng).astype(float)
    level = 0.5 * (LENS.white - LENS.black)
    assert codes.mean() == pytest.approx(LENS.black + level, abs=1)  # DN
    expected = level / LENS.gain + (LENS.read_noise / LENS.gain)**2 + 1 / 12
    assert codes.var() == pytest.approx(expected, rel=0.015)
    assert exposed(np.array([[-1.0, 2.0]], np.float32), LENS, None).tolist() == [[0, LENS.white]]
