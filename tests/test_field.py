"""kappa and focus over the picture: grids of cells, their parts, and a pair that carries them."""

import numpy as np
import pytest

from dfd.capture import DualPixelPair, View
from dfd.field import DualPixelField
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import IDEAL_KAPPA, Psf

LENS = ThinLens.focused_at(1.0, focal_length=0.05, f_number=4.0, pixel_pitch=46.875e-6)
KAPPA = np.array([[0.06, 0.08, 0.06], [0.08, 0.10, 0.08]])
OFFSET = np.array([[0.0, 0.02, 0.04], [0.01, 0.03, 0.05]])


def field(size=(40, 90), **extra):
    return DualPixelField(KAPPA, OFFSET, size, **extra)


def pair(shape=(40, 90), found=None, **extra):
    views = [View(LENS, Psf(model), Noise(1e4, 3.0)) for model in ("half-left", "half-right")]
    return DualPixelPair(np.zeros((2, *shape), np.float32), views, field=field(shape) if found is None else found, **extra)


def test_cells_keep_their_number_at_their_centre_and_blend_between_them():
    over = field((42, 93)).over(KAPPA, np.zeros((42, 93), np.float32))
    assert over.dtype == np.float32 and over.shape == (42, 93)
    assert over[10, 15] == pytest.approx(0.06) and over[31, 46] == pytest.approx(0.10)  # centres: 42 / 4, 93 / 6 px
    assert over[10, 31] == pytest.approx((0.06 + 0.08) / 2, abs=1e-3)
    assert over[0, 0] == pytest.approx(0.06) and over[-1, -1] == pytest.approx(0.08)


def test_a_part_has_the_numbers_of_its_place_in_the_whole():
    whole, part = pair(), pair().cut(np.zeros((2, 20, 30), np.float32), 15, 40)
    assert np.allclose(part.disparity_rates(), whole.disparity_rates()[15:35, 40:70], atol=1e-6)
    assert np.allclose(part.foci(), whole.foci()[15:35, 40:70], atol=1e-6)
    assert part.kappa == pytest.approx(float(whole.disparity_rates()[24:26, 54:56].mean()) / LENS.blur_rate, rel=1e-3)


def test_larger_pixels_see_the_same_field():
    fine = field((40, 90)).over(OFFSET, np.zeros((40, 90)))
    coarse = field((40, 90)).reduced(2).over(OFFSET, np.zeros((20, 45)))
    assert np.allclose(coarse, fine.reshape(20, 2, 45, 2).mean(axis=(1, 3)), atol=2e-4)


def test_disparity_to_inverse_depth_and_back_is_the_identity():
    captured = pair()
    depth = np.linspace(0.4, 2.0, 40 * 90, dtype=np.float32).reshape(40, 90)
    disparity = captured.disparity_rates() * (depth - captured.foci())
    value, sigma = captured.inverse_depth(disparity, np.full_like(disparity, 0.1))
    assert np.abs(value - depth).max() < 1e-6  # dioptre
    assert np.allclose(sigma, 0.1 / captured.disparity_rates())


def test_what_calibration_does_not_know_is_part_of_sigma():
    captured = pair(found=field(kappa_sigma=0.05 * KAPPA, focus_sigma=np.full_like(KAPPA, 0.01)))
    disparity = 0.5 * captured.disparity_rates()  # 0.5 dioptre from focus
    _, sigma = captured.inverse_depth(disparity, np.zeros_like(disparity))
    assert np.allclose(sigma, np.hypot(0.05 * 0.5, 0.01), rtol=1e-3)  # dioptre


def test_without_a_field_rate_and_focus_are_even():
    views = [View(LENS, Psf(model), Noise(1e4, 3.0)) for model in ("half-left", "half-right")]
    captured = DualPixelPair(np.zeros((2, 4, 6), np.float32), views, kappa=0.2)
    assert np.allclose(captured.disparity_rates(), 0.2 * LENS.blur_rate) and np.allclose(captured.foci(), LENS.focus)
    assert captured.uniform() is captured


def test_the_even_pair_has_the_optics_of_the_middle():
    even = pair().uniform()
    kappa, offset = field().middle((40, 90))
    assert even.field is None and even.kappa == pytest.approx(kappa)
    assert even.views[0].lens.focus == pytest.approx(LENS.focus + offset, abs=1e-9)
    assert even.views[0].lens.blur_rate == pytest.approx(LENS.blur_rate)
    assert even.views[1].psf == Psf("half-right", contrast=kappa / IDEAL_KAPPA)


@pytest.mark.parametrize(("arguments", "expected"), [
    ({"kappa": [[0.1, -0.1]], "focus_offset": [[0, 0]]}, r"kappa \(shape \(1, 2\)\) .* positive"),
    ({"kappa": [[0.1, 0.1]], "focus_offset": [[0.0]]}, r"focus_offset .* cells of kappa \(1, 2\) \[dioptre\]"),
    ({"kappa": [[0.1]], "focus_offset": [[np.nan]]}, "focus_offset"),
])
def test_grids_that_do_not_fit_are_refused(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        DualPixelField(**arguments, size=(10, 10))


def test_parts_fill_the_picture_and_kappa_differs_little_within_one():
    whole = field((200, 300))
    seen, kappa = np.zeros((200, 300), int), whole.over(KAPPA, np.zeros((200, 300)))
    for part in whole.parts((200, 300)):
        seen[part] += 1
        assert kappa[part].max() / kappa[part].min() < 1.15**2 * 1.02  # along both axes
    assert (seen == 1).all()
    assert DualPixelField([[0.1]], None, (10, 10)).parts((10, 10)) == [(slice(0, 10), slice(0, 10))]
