"""The thin lens at the entrance pupil: identities, a worked example, real thick lenses, the error budget."""

import math
import random

import pytest

from dfd.optics import ThinLens

FIFTY = {"focal_length": 0.05, "f_number": 2.8, "pixel_pitch": 4e-6}


def test_the_worked_example_has_a_blur_rate_of_228_94_px_per_dioptre():
    lens = ThinLens.focused_at(2.0, **FIFTY)
    assert lens.blur_rate == pytest.approx(228.94, abs=0.01)
    assert 2 * 0.03 / lens.blur_rate == pytest.approx(2.621e-4, rel=1e-3)
    assert 2.0**2 * 2 * 0.03 / lens.blur_rate == pytest.approx(1.048e-3, rel=1e-3)


@pytest.mark.parametrize("distance", [0.06, 0.5, 2.0, 1e6])
def test_a_lens_focuses_where_it_was_told(distance):
    lens = ThinLens.focused_at(distance, **FIFTY)
    assert lens.focus == pytest.approx(1 / distance, abs=1e-12)
    assert lens.power == pytest.approx(20.0, abs=1e-12)
    assert lens.power - lens.focus == pytest.approx(1 / lens.image_distance, abs=1e-12)
    assert lens.f_number == pytest.approx(2.8, abs=1e-12)


def test_focus_at_infinity_is_0_dioptre():
    lens = ThinLens.focused_at(math.inf, **FIFTY)
    assert lens.focus == pytest.approx(0.0, abs=1e-12)
    assert lens.image_distance == pytest.approx(lens.focal_length, abs=1e-15)


def test_blur_rate_is_fx_times_the_pupil_diameter():
    lens = ThinLens.focused_at(0.8, **FIFTY)
    assert lens.blur_rate == pytest.approx(lens.fx * lens.pupil_diameter, rel=1e-14)


@pytest.mark.parametrize("inverse_depth", [0.0, 0.3, 0.5, 1.7, 4.0])
def test_inverse_depth_undoes_coc(inverse_depth):
    lens = ThinLens.focused_at(1.25, **FIFTY)
    assert lens.inverse_depth(lens.coc(inverse_depth)) == pytest.approx(inverse_depth, abs=1e-13)


def test_coc_is_the_textbook_circle_of_confusion():
    lens, depth = ThinLens.focused_at(2.0, **FIFTY), 1.3
    textbook = lens.pupil_diameter * abs(depth - 2.0) / depth * lens.focal_length / (2.0 - lens.focal_length)
    assert lens.coc(1 / depth) * lens.pixel_pitch == pytest.approx(textbook, rel=1e-12)


def test_the_calibrators_door_gives_the_measured_focus_and_blur_rate():
    lens = ThinLens.from_focus(1 / 0.857, fx=12726.0, pupil_diameter=27.6e-3, pixel_pitch=4.3e-6)
    assert lens.focus == pytest.approx(1 / 0.857, rel=1e-12)
    assert lens.blur_rate == pytest.approx(351.24, abs=0.01)
    assert lens.fx == pytest.approx(12726.0, rel=1e-14)


def test_the_equivalent_focal_length_of_a_thick_lens_is_not_the_engraved_one():
    f, p, m = 50.9e-3, 0.85, 0.06
    focus, image_distance = 1 / (f * (1 / m + 1 / p)), f * (1 + m / p)
    lens = ThinLens.from_focus(focus, fx=image_distance / 4e-6, pupil_diameter=0.02, pixel_pitch=4e-6)
    assert lens.focal_length == pytest.approx(f * (1 + m / p) / (1 + m), rel=1e-12)
    assert lens.focal_length * 1e3 == pytest.approx(51.41, abs=0.005)


def thick_lens(rng):
    """Two thin groups, a stop between them: (top row of the matrix to the sensor, pupil position, diameter) in m."""
    first, second = rng.uniform(0.04, 0.12), rng.uniform(0.04, 0.12)
    gap = rng.uniform(0.005, 0.03)
    to_stop = gap * rng.uniform(0.1, 0.9)

    def travel(matrix, length):
        (a, b), (c, d) = matrix
        return (a + length * c, b + length * d), (c, d)

    def refract(matrix, focal_length):
        (a, b), (c, d) = matrix
        return (a, b), (c - a / focal_length, d - b / focal_length)

    behind_first = refract(((1.0, 0.0), (0.0, 1.0)), first)
    (stop_a, stop_b), _ = travel(behind_first, to_stop)
    behind_second = refract(travel(behind_first, gap), second)
    (a, b), (c, _) = behind_second
    sensor = rng.uniform(1.01, 1.1) * (-a / c)
    (a, b), _ = travel(behind_second, sensor)
    return a, b, stop_b / stop_a, rng.uniform(0.005, 0.02) / abs(stop_a)


def height(a, b, pupil, at_pupil, slope):
    """Height on the sensor of a ray that crosses the entrance pupil at `at_pupil` with `slope`."""
    return a * (at_pupil - slope * pupil) + b * slope


def test_the_pupil_formulas_are_exact_for_thick_lenses():
    """Blur and fx of 200 random two-group lenses with an internal stop, by ray trace; 1e-12 of the blur at infinity."""
    rng, pitch = random.Random(4), 4e-6
    for _ in range(200):
        a, b, pupil, diameter = thick_lens(rng)
        in_focus = pupil - b / a
        chief = abs(height(a, b, pupil, 0.0, 1.0))
        lens = ThinLens.from_focus(1 / in_focus, fx=chief / pitch, pupil_diameter=diameter, pixel_pitch=pitch)
        for depth in (0.4 * in_focus, 0.8 * in_focus, 1.5 * in_focus, 50 * in_focus):
            traced = 2 * height(a, b, pupil, diameter / 2, diameter / 2 / depth) / pitch
            assert abs(lens.coc(1 / depth)) == pytest.approx(abs(traced), abs=1e-12 * lens.blur_rate * lens.focus)
            side = height(a, b, pupil, 0.0, -0.01 / depth)
            assert abs(side) / pitch == pytest.approx(lens.fx * 0.01 / depth, rel=1e-12)


def test_distances_from_the_front_group_instead_of_the_pupil_are_wrong():
    rng, worst = random.Random(4), []
    for _ in range(200):
        a, b, pupil, diameter = thick_lens(rng)
        lens = ThinLens.from_focus(1 / (pupil - b / a), fx=abs(b - a * pupil), pupil_diameter=diameter, pixel_pitch=1.0)
        shifted = ThinLens.from_focus(1 / (-b / a), fx=abs(b - a * pupil), pupil_diameter=diameter, pixel_pitch=1.0)
        depth = 0.5 * (pupil - b / a)
        worst.append(abs(shifted.coc(1 / (depth - pupil)) / lens.coc(1 / depth) - 1))
    assert sorted(worst)[100] > 0.01, "the pupil would not matter"


TRUE = {"fx": 12726.0, "pupil_diameter": 27.6e-3, "pixel_pitch": 4.3e-6}


def bias(depth, *, focus_distance=0.857, diameter=1.0, coc=0.0, **changed):
    """Relative depth error [%] when the blur of a true lens is read with wrong numbers."""
    measured = ThinLens.from_focus(1 / 0.857, **TRUE).coc(1 / depth) - coc
    wrong = {**TRUE, **changed, "pupil_diameter": TRUE["pupil_diameter"] * diameter}
    return 100 * (1 / ThinLens.from_focus(1 / focus_distance, **wrong).inverse_depth(measured) / depth - 1)


@pytest.mark.parametrize("change, expected", [
    ({"diameter": 1.01}, (0.41, -0.16, -1.86)),
    ({"diameter": 1.05}, (2.02, -0.79, -8.36)),
    ({"focus_distance": 0.857 * 1.01}, (0.58, 1.17, 2.97)),
    ({"focus_distance": 0.857 * 1.05}, (2.86, 5.88, 16.13)),
    ({"fx": 0.05 / 4.3e-6, "diameter": 0.05 / 1.8 / 27.6e-3}, (-3.52, 1.48, 20.14)),
    ({"coc": 0.5}, (0.07, 0.14, 0.36)),
])
def test_the_error_budget_of_a_fast_fifty(change, expected):
    found = [bias(depth, **change) for depth in (0.5, 1.0, 2.5)]
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("name", ["focal_length", "pupil_diameter", "image_distance", "pixel_pitch"])
@pytest.mark.parametrize("value", [0.0, -0.05, math.nan, math.inf])
def test_a_length_that_cannot_be_is_named_with_its_value(name, value):
    lengths = {"focal_length": 0.05, "pupil_diameter": 0.02, "image_distance": 0.051, "pixel_pitch": 4e-6, name: value}
    with pytest.raises(ValueError, match=rf"{name} \({value:g} m\) must be a positive length"):
        ThinLens(**lengths)


def test_focus_inside_the_focal_length_asks_for_the_unit():
    with pytest.raises(ValueError, match=r"focus_distance \(0.04 m\) must exceed focal_length \(0.05 m\).*metres"):
        ThinLens.focused_at(0.04, **FIFTY)
    with pytest.raises(ValueError, match=r"f_number \(-1\) must be positive"):
        ThinLens.focused_at(2.0, focal_length=0.05, f_number=-1.0, pixel_pitch=4e-6)


def test_a_lens_is_frozen():
    with pytest.raises(AttributeError):
        ThinLens.focused_at(2.0, **FIFTY).focal_length = 0.06
