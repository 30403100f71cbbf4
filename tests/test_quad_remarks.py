"""What the user of a quadruple is told: exchanged images, depths beyond infinity, a scene around focus."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from quads import FOCUS, lenses, plane_quad

import dfd
from dfd.capture import Capture, DifferentialQuad
from dfd.optics import ThinLens
from dfd.solvers import SOLVERS
from dfd.solvers.coupled import solve_total
from dfd.solvers.coupled_remarks import remarks


def told(quad):
    return remarks(quad, solve_total(quad))


def exchanged(quad, order):
    return DifferentialQuad(np.ascontiguousarray(quad.images[list(order)]), quad.views)


@pytest.mark.parametrize("depth", [0.6, 0.8, 1.3, 1.8])
@pytest.mark.parametrize("full_well", [20000.0, 2000.0])
def test_nothing_is_said_of_a_good_quadruple(rng, depth, full_well):
    assert told(plane_quad(rng, inverse_depth=1 / depth, full_well=full_well)) == ()


@pytest.mark.parametrize("depth", [0.6, 1.5])
def test_an_aperture_pair_in_the_wrong_order_is_named(rng, depth):
    quad = plane_quad(rng, inverse_depth=1 / depth)
    assert any("aperture-plus is sharper" in text for text in told(exchanged(quad, (0, 1, 3, 2))))


def test_a_power_pair_in_the_wrong_order_is_named_where_it_puts_the_scene_beyond_infinity(rng):
    quad = plane_quad(rng, inverse_depth=1 / 0.42, full_well=100000.0)
    found = told(exchanged(quad, (1, 0, 2, 3)))
    assert any("beyond infinity" in text and "power-minus and power-plus" in text for text in found)


def test_a_scene_around_focus_is_named_with_its_share_and_the_other_solver(rng):
    found = told(plane_quad(rng, inverse_depth=FOCUS + 0.02))
    assert any("within one power step of focus" in text and "--solver likelihood" in text for text in found)


@pytest.mark.parametrize("solver", ["likelihood", "likelihood-prior"])
def test_exchanged_images_are_told_whatever_the_solver(rng, solver):
    quad = plane_quad(rng, inverse_depth=1 / 0.6, shape=(97, 141))
    (found,) = SOLVERS[solver].remarks(exchanged(quad, (0, 1, 3, 2)), None)
    assert "aperture-plus is sharper" in found
    assert SOLVERS[solver].remarks(quad, None) == ()
    assert SOLVERS[solver].remarks(Capture(quad.images, quad.views), None) == ()


def test_a_focus_beyond_infinity_is_named_with_the_numbers_that_put_it_there(rng):
    beyond = tuple(ThinLens(1 / (lens.power - 1.2), lens.pupil_diameter, lens.image_distance, lens.pixel_pitch)
                   for lens in lenses())
    quad = plane_quad(rng, inverse_depth=0.3, shape=(97, 141), optics=beyond)
    for found in (SOLVERS["likelihood"].remarks(quad, None), told(quad)):
        (text,) = (text for text in found if "focus at or beyond infinity" in text)
        assert "(-0.191 dioptre)" in text and "power_dpt (8.84 and 8.96)" in text and "image_distance_mm (110)" in text


def test_a_flat_scene_says_nothing_of_order(rng):
    assert told(plane_quad(rng, inverse_depth=1.3, sharp=np.full((97, 141), 0.4))) == ()


def test_remarks_are_warnings_of_the_python_door(rng):
    quad = exchanged(plane_quad(rng, inverse_depth=1 / 0.6, shape=(97, 141)), (0, 1, 3, 2))
    with pytest.warns(UserWarning, match="aperture-plus is sharper"):
        dfd.estimate_depth(quad, solver="coupled-derivatives-tls", device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dfd.estimate_depth(plane_quad(rng, inverse_depth=1 / 0.6, shape=(97, 141)), solver="coupled-derivatives-tls",
                           device="cpu")


@pytest.mark.parametrize(("index", "change", "message"), [
    (1, {"pupil_diameter": 6e-3}, "needs one pupil"),
    (3, {"focal_length": 1 / 10.13}, "aperture-plus is focused at"),
    (slice(None), {"pixel_pitch": 2e-2}, "changes the blur by 0.0033 px"),
])
def test_optics_that_the_closed_form_cannot_use_are_refused(rng, index, change, message):
    quad = plane_quad(rng, inverse_depth=1.3, shape=(40, 50))
    views = [replace(view, lens=replace(view.lens, **change)) if k in np.arange(4)[index].ravel() else view
             for k, view in enumerate(quad.views)]
    wrong = DifferentialQuad(quad.images, views)
    with pytest.raises(ValueError, match=message):
        solve_total(wrong)
