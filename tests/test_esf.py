"""The profile of a blurred edge against direct integration of disc, Gaussian and pixel."""

import math
import time

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf

from calibration.edges.esf import STEP, EdgeProfile

ANGLE = math.radians(6)


def boxed_edge(u, std, angle):
    """A Gaussian edge seen by a square pixel at `angle`: the second integral of erf over both sides of the square."""
    def twice(x):  # second antiderivative of the normal distribution function
        z = x / std
        rising, bell = 0.5 * (1 + erf(z / math.sqrt(2))), math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return 0.5 * std * std * ((z * z + 1) * rising + z * bell)

    a, b = math.cos(angle) / 2, math.sin(angle) / 2
    return (twice(u + a + b) - twice(u + a - b) - twice(u - a + b) + twice(u - a - b)) / (4 * a * b)


def direct(u, coc, core, angle):
    """Disc of chords: the pupil's share at height x of the disc is (4 / (pi c)) sqrt(1 - (2 x / c)^2)."""
    def part(turn):
        return math.cos(turn) ** 2 * (2 / math.pi) * boxed_edge(u - coc / 2 * math.sin(turn), core, angle)

    return quad(part, -math.pi / 2, math.pi / 2, epsabs=1e-10, limit=400, points=[0.0])[0]


@pytest.mark.parametrize("core", [0.3, 0.7, 1.5])
@pytest.mark.parametrize("coc", [0.0, 0.4, 2.0, 7.3, 30.0, 75.0])
def test_the_profile_is_the_integral_to_1e_6_of_contrast(coc, core):
    across = np.concatenate([np.linspace(-1.2, 1.2, 9), np.linspace(-coc / 2 - 3, coc / 2 + 3, 31)]) + 0.0137
    found = EdgeProfile(core, angle=ANGLE).table(coc).at(across)[0]
    expected = [direct(u, coc, core, ANGLE) for u in across]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("blur", ["disc", "gaussian"])
@pytest.mark.parametrize("coc", [0.0, 0.05, 1.0, 6.0, 41.0])
def test_slopes_are_differences_of_values(coc, blur):
    profile = EdgeProfile(0.7, blur, ANGLE)
    across, small = np.linspace(-coc / 2 - 3, coc / 2 + 3, 201), 1e-4
    _, line, per_square = profile.table(coc).at(across)
    values = [profile.table(coc).at(across + side * small)[0] for side in (-1, 1)]
    np.testing.assert_allclose(line, (values[1] - values[0]) / (2 * small), rtol=0, atol=3e-4)
    square = max(coc**2, small)
    low, high = (profile.table(math.sqrt(square + side * small)).at(across)[0] for side in (-1, 1))
    np.testing.assert_allclose(per_square, (high - low) / (2 * small), rtol=0, atol=3e-4)


@pytest.mark.parametrize("blur", ["disc", "gaussian"])
def test_the_second_moment_is_that_of_disc_core_and_pixel(blur):
    across = np.arange(-60, 60, STEP)
    line = EdgeProfile(0.7, blur, ANGLE).table(9.0).at(across)[1]
    assert np.sum(line) * STEP == pytest.approx(1, abs=1e-6)
    assert np.sum(line * across**2) * STEP == pytest.approx(9.0**2 / 16 + 0.7**2 + 1 / 12, abs=2e-3)


def test_the_profile_is_0_and_1_beyond_the_blur():
    value, line, per_square = EdgeProfile(0.7).table(5.0).at(np.array([-1e3, -20, 20, 1e3]))
    np.testing.assert_allclose(value, [0, 0, 1, 1], rtol=0, atol=1e-9)
    np.testing.assert_allclose([line, per_square], 0, rtol=0, atol=1e-9)


def test_a_pixel_seen_at_12_degrees_differs_from_a_box_of_1_px_by_less_than_1e_3():
    """Equal to second order: both have the variance 1/12; what is left is the fourth moment."""
    across = np.linspace(-4, 4, 201)
    straight, turned = (EdgeProfile(0.5, angle=math.radians(angle)).table(1.0).at(across)[0] for angle in (0, 12))
    assert 0 < np.abs(straight - turned).max() < 1e-3


def test_a_table_takes_less_than_a_millisecond():
    profile = EdgeProfile(0.7)
    profile.table(20.0)
    start = time.process_time()
    for coc in np.linspace(2, 40, 50):
        profile.table(coc)
    assert (time.process_time() - start) / 50 < 2e-3


@pytest.mark.parametrize(("options", "said"), [({"core": -1.0}, "core"), ({"core": math.nan}, "core"),
                                               ({"core": 1.0, "blur": "square"}, "blur")])
def test_bad_profiles_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        EdgeProfile(**options)
