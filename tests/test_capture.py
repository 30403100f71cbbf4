"""Captures check their own story once: every message, every kind, every scale, on every device."""

import math

import numpy as np
import pytest
from fakegpu import device  # noqa: F401  (fixture)

from dfd.capture import (
    CAPTURES,
    SCALES,
    AperturePair,
    Capture,
    DifferentialQuad,
    DualPixelPair,
    FocalStack,
    View,
)
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf

SHAPE = (4, 7)
NOISE = Noise(5000.0, 3.0)


def view(distance=1.0, f_number=2.0, coordinate=None, *, lens=True):
    optics = ThinLens.focused_at(distance, focal_length=0.05, f_number=f_number, pixel_pitch=5e-6) if lens else None
    return View(optics, Psf(), NOISE, optics.focus if coordinate == "focus" else coordinate)


def images(count):
    return np.arange(count * SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(count, *SHAPE)


def stack(*distances):
    return FocalStack(images(len(distances)), [view(d, coordinate="focus") for d in distances])


def quad(**changed):
    lenses = {"minus": (10.0, 2e-3), "plus": (10.2, 2e-3), "small": (10.1, 1e-3), "large": (10.1, 3e-3)} | changed
    views = [View(ThinLens(1 / power, pupil, 0.11, 6e-6), Psf(), NOISE) for power, pupil in lenses.values()]
    return DifferentialQuad(images(4), views)


def every_kind():
    return [stack(0.5, 1.0, 2.0), AperturePair(images(2), [view(f_number=8), view(f_number=2)], side="far"),
            DualPixelPair(images(2), [view(), view()], kappa=0.1), quad(), Capture(images(2), [view(), view(2.0)])]


@pytest.mark.parametrize("capture", every_kind(), ids=lambda capture: capture.kind)
def test_a_capture_knows_its_size_kind_and_scale(capture):
    assert capture.shape == SHAPE and len(capture) == capture.images.shape[0]
    assert CAPTURES[capture.kind] is type(capture)
    assert capture.scale == "metric"
    assert f"{len(capture)} images, 7 x 4 px, scale metric" in repr(capture)
    assert capture._repr_html_().count("<tr>") == len(capture) + 1


@pytest.mark.parametrize("capture", every_kind(), ids=lambda capture: capture.kind)
def test_a_capture_is_frozen_and_its_images_are_read_only(capture):
    with pytest.raises(AttributeError):
        capture.scale = "steps"
    with pytest.raises(ValueError, match="read-only"):
        capture.images[0, 0, 0] = 1.0


def test_the_callers_array_stays_writable_and_unchanged():
    mine = images(2)
    Capture(mine, [view(), view(2.0)])
    mine[0, 0, 0] = 5.0
    assert mine.flags.writeable


def test_a_capture_lives_on_any_device(device):  # noqa: F811
    capture = FocalStack(device.put(images(2)), [view(0.5, coordinate="focus"), view(1.0, coordinate="focus")])
    assert device.owns(capture.images) and capture.shape == SHAPE
    assert AperturePair(device.put(images(2)), [view(f_number=8), view()], side="near").wide.shape == SHAPE


# --- what every capture needs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong, name", [
    (images(2).astype(np.float64), "float64"), ([[[1.0]]], "list"), (images(2).astype(np.uint16), "uint16"),
])
def test_images_must_be_a_float32_array(wrong, name):
    with pytest.raises(TypeError, match=rf"images \({name}\) must be a float32 array"):
        Capture(wrong, [view(), view()])


def test_images_must_have_three_axes():
    with pytest.raises(ValueError, match=r"images \(shape \(4, 7\)\) must have axes \(K, H, W\)"):
        Capture(images(1)[0], [view()])


def test_one_image_is_not_a_capture():
    with pytest.raises(ValueError, match="needs at least 2 images, this one has 1"):
        Capture(images(1), [view()])


def test_every_image_needs_a_view():
    with pytest.raises(ValueError, match="3 images but 2 views"):
        Capture(images(3), [view(), view()])


def test_the_scale_is_one_of_four():
    with pytest.raises(ValueError, match=r"scale \('metres'\) must be one of metric, stage, steps, affine"):
        Capture(images(2), [view(), view()], "metres")
    assert SCALES == {"metric": "dioptre", "stage": "m", "steps": "frame", "affine": "px"}


def test_a_metric_capture_needs_every_lens():
    with pytest.raises(ValueError, match="image 1 has no lens: a metric views needs focal length, aperture"):
        Capture(images(2), [view(), view(lens=False)])


@pytest.mark.parametrize("scale", ["stage", "steps", "affine"])
def test_other_scales_need_no_lens(scale):
    assert Capture(images(2), [view(lens=False)] * 2, scale).scale == scale


# --- focal stacks ----------------------------------------------------------------------------------------------------


def test_the_coordinates_of_a_metric_stack_are_its_foci_in_any_order():
    assert stack(1.0, 0.5, 2.0).coordinates == pytest.approx((1.0, 2.0, 0.5), abs=1e-12)


@pytest.mark.parametrize("scale, places", [("stage", (0.001, 0.0, 0.002)), ("steps", (0, 1, 2))])
def test_stage_and_steps_have_their_own_coordinates(scale, places):
    made = FocalStack(images(3), [view(lens=False, coordinate=place) for place in places], scale)
    assert made.coordinates == places
    assert made._repr_html_().count("<td>-</td>") == 6


def test_duplicate_focus_distances_are_named():
    with pytest.raises(ValueError, match=r"images 0 and 2 have the same focus \(1 dioptre\)"):
        stack(1.0, 0.5, 1.0)


@pytest.mark.parametrize("coordinate", [None, math.nan, math.inf])
def test_a_stack_needs_a_coordinate_of_every_image(coordinate):
    with pytest.raises(ValueError, match=r"image 1 of the focal stack has no coordinate on the sweep.*\[frame\]"):
        FocalStack(images(2), [view(coordinate=0), view(coordinate=coordinate)], "steps")


def test_a_metric_coordinate_is_the_focus_of_the_lens():
    with pytest.raises(ValueError, match=r"image 0: coordinate \(3 dioptre\) must be its lens's focus \(1 dioptre\)"):
        FocalStack(images(2), [view(coordinate=3.0), view(0.5, coordinate="focus")])


def test_a_stack_is_never_affine_and_never_metric_without_lenses():
    with pytest.raises(ValueError, match="metric, stage or steps, not affine"):
        FocalStack(images(2), [view(coordinate=0), view(coordinate=1)], "affine")
    with pytest.raises(ValueError, match="image 0 has no lens: a metric focal-stack"):
        FocalStack(images(2), [view(lens=False, coordinate=0), view(coordinate=1)])


# --- aperture pairs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers, wide", [((8, 2), 1), ((2, 8), 0)])
def test_wide_is_the_larger_pupil_in_either_order(numbers, wide):
    pair = AperturePair(images(2), [view(f_number=number) for number in numbers], side="far")
    assert np.array_equal(pair.wide, images(2)[wide]) and np.array_equal(pair.narrow, images(2)[1 - wide])


@pytest.mark.parametrize("side", [None, "left"])
def test_the_side_is_never_guessed(side):
    with pytest.raises(ValueError, match=r'must be near or far: .*add side = "far"'):
        AperturePair(images(2), [view(f_number=8), view(f_number=2)], side=side)


def test_two_equal_apertures_are_no_pair():
    with pytest.raises(ValueError, match=r"same aperture \(25 mm pupil\)"):
        AperturePair(images(2), [view(), view(1.5)], side="far")


@pytest.mark.parametrize("kind, count", [(AperturePair, 3), (DualPixelPair, 3), (DifferentialQuad, 3)])
def test_pairs_and_quads_have_their_number_of_images(kind, count):
    right = 4 if kind is DifferentialQuad else 2
    with pytest.raises(ValueError, match=f"a {kind.kind} capture has exactly {right} images, not {count}"):
        kind(images(count), [view()] * count)


def test_an_aperture_pair_needs_its_optics():
    with pytest.raises(ValueError, match="image 0 has no lens"):
        AperturePair(images(2), [view(lens=False), view()], "affine", side="far")


# --- dual pixels -----------------------------------------------------------------------------------------------------


def test_disparity_rate_is_kappa_times_blur_rate():
    pair = DualPixelPair(images(2), [view(), view()], kappa=0.2)
    assert pair.disparity_rate == pytest.approx(0.2 * pair.views[0].lens.blur_rate, rel=1e-14)
    assert np.array_equal(pair.left, images(2)[0]) and np.array_equal(pair.right, images(2)[1])


def test_without_kappa_a_dual_pixel_pair_is_affine_only():
    with pytest.raises(ValueError, match=r"needs kappa \(disparity / coc\).*affine"):
        DualPixelPair(images(2), [view(), view()])
    pair = DualPixelPair(images(2), [view(lens=False)] * 2, "affine")
    with pytest.raises(ValueError, match="this pair is affine only"):
        pair.disparity_rate


@pytest.mark.parametrize("kappa", [0.0, -0.4, math.nan])
def test_kappa_is_positive(kappa):
    with pytest.raises(ValueError, match=r"kappa \(.*\) must be positive; exchange left and right"):
        DualPixelPair(images(2), [view(), view()], kappa=kappa)


@pytest.mark.parametrize("scale", ["stage", "steps"])
def test_a_dual_pixel_pair_is_no_sweep(scale):
    with pytest.raises(ValueError, match=f"metric or affine, not {scale}"):
        DualPixelPair(images(2), [view(), view()], scale)


# --- differential quads ----------------------------------------------------------------------------------------------


def test_a_quad_names_its_images():
    made = quad()
    for index, name in enumerate(("power_minus", "power_plus", "aperture_minus", "aperture_plus")):
        assert np.array_equal(getattr(made, name), images(4)[index])


def test_a_quad_checks_which_is_which():
    with pytest.raises(ValueError, match=r"power-plus \(10 dpt\) must exceed power-minus \(10 dpt\)"):
        quad(plus=(10.0, 2e-3))
    with pytest.raises(ValueError, match=r"aperture-plus \(1 mm\) must exceed aperture-minus \(1 mm\)"):
        quad(large=(10.1, 1e-3))
