"""Captures of every kind from a light field: each lens, PSF, side and noise is that of its pictures; warnings of ghosts."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import j1
from viewplanes import BOXES, plane, texture

from dfd import LightField, Psf
from dfd.kernels.shiftadd import shift_add
from dfd.lightfield.aperture import diameter, half_distance
from dfd.lightfield.ghosts import ghosts
from dfd.noise import Noise
from dfd.psf import IDEAL_KAPPA


def test_a_dual_pixel_pair_moves_by_kappa_times_its_blur():
    field, _ = plane(1.2, 9, shape=(90, 140))
    pair = field.dual_pixel(BOXES.inverse_depth(0.2))
    disparity = pair.disparity_rate * (BOXES.inverse_depth(1.2) - BOXES.inverse_depth(0.2))
    assert disparity == pytest.approx(IDEAL_KAPPA * 9 * 1.0, rel=0.02) and disparity > 0
    right = np.nan_to_num(pair.right, nan=0.5) - 0.5
    errors = {}
    for sign in (1, -1):
        moved = shift_add(right[None], [0.0], [sign * disparity], [1.0])  # left(x) = right(x - disparity)
        errors[sign] = np.nanmean(np.abs(moved + 0.5 - pair.left)[15:-15, 15:-15])
    assert errors[1] < 0.35 * errors[-1]


def test_the_ratio_identity_recovers_the_defocus_whatever_the_pupil():
    """d - d0 = -D I_D / I_d0 with I^ = M((d - d0) D q): disk, Gaussian and square, true 1.3 px (differences of 1e-4)."""
    _, spectrum, wy, wx = texture((64, 80), np.random.default_rng(2))
    def picture(model, size, focus):
        y, x = wy[:, None] * size * (1.3 - focus), wx * size * (1.3 - focus)
        radius = np.hypot(y, x) / 2
        transfer = {"disk": np.where(radius > 1e-9, 2 * j1(radius) / np.maximum(radius, 1e-9), 1),
                    "square": np.sinc(y / 2 / np.pi) * np.sinc(x / 2 / np.pi),
                    "gaussian": np.exp(-(y**2 + x**2) / 32)}[model]
        return np.fft.ifft2(spectrum * transfer).real

    for model in ("disk", "square", "gaussian"):
        step, size = 1e-4, 3.0
        by_size = (picture(model, size + step, 0) - picture(model, size - step, 0)) / (2 * step)
        by_focus = (picture(model, size, step) - picture(model, size, -step)) / (2 * step)
        defocus = -size * np.sum(by_size * by_focus) / np.sum(by_focus**2)
        assert defocus == pytest.approx(1.3, abs=1e-5), model
        power = by_focus * BOXES.disparity_rate  # I_rho: a dioptre of power moves the focus by disparity_rate px
        metric = BOXES.focus - size * np.sum(by_size * power) / np.sum(power**2)
        assert metric == pytest.approx(BOXES.inverse_depth(1.3), rel=1e-5), model


def test_a_quadruple_holds_the_power_and_pupil_steps_that_were_asked_for():
    field, _ = plane(0.4, 7)
    quad = field.quadruple(0.8, power_step=0.02, pupil_step=0.25)
    minus, plus, small, large = (view.lens for view in quad.views)
    assert plus.power - minus.power == pytest.approx(0.04, abs=1e-9)
    assert large.pupil_diameter / small.pupil_diameter == pytest.approx(1.25 / 0.75, rel=0.06)  # cells of the views
    assert small.focus == pytest.approx(0.8) and large.focus == pytest.approx(0.8)


def test_the_stack_of_a_plane_is_the_disk_psf_of_its_views():
    field, (spectrum, wy, wx) = plane(0.6, 9, shape=(120, 150), blur=1.3)
    stack = field.focal_stack(BOXES.inverse_depth(np.array([0.6, 1.4])))
    coc = stack.views[1].lens.coc(float(field.truth.values[0, 0]))
    assert coc == pytest.approx(-9 * 0.8, rel=0.01)
    exact = 0.5 + np.fft.ifft2(spectrum * Psf("disk").otf(coc, wy[:, None], wx[None, :])).real
    inner = np.s_[15:-15, 15:-15]
    error = np.sqrt(np.mean((stack.images[1] - exact)[inner] ** 2)) / (exact - 0.5)[inner].std()
    assert error < 0.03


def test_an_aperture_pair_says_its_side_and_refuses_to_guess():
    field, _ = plane(0.6, 5)
    assert field.aperture_pair(BOXES.inverse_depth(1.0)).side == "far"
    assert field.aperture_pair(BOXES.inverse_depth(0.0)).side == "near"
    mixed = np.full(field.shape, 0.6, np.float32)
    mixed[:, :40] = -0.6
    both = LightField(field.views, field.u, field.v, BOXES, disparity=mixed)
    with pytest.raises(ValueError, match=r"lies within the scene.*give side"):
        both.aperture_pair(BOXES.inverse_depth(0.0))
    assert both.aperture_pair(BOXES.inverse_depth(0.0), side="far").side == "far"


def test_noise_is_that_of_the_views_and_seeded():
    field, _ = plane(0.0, 3, shape=(100, 120))
    noise = Noise(2000, 3.0)
    clean, noisy = field.focal_stack([0.8, 0.9]), field.focal_stack([0.8, 0.9], noise=noise, seed=4)
    inner = np.s_[:, 5:-5, 5:-5]
    assert np.var((noisy.images - clean.images)[inner]) == pytest.approx(float(noise.variance(0.5)), rel=0.05)
    assert noisy.views[0].noise == noise
    one, other = (noisy.images - clean.images)[inner]
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1, "every frame has a noise of its own"
    np.testing.assert_array_equal(noisy.images, field.focal_stack([0.8, 0.9], noise=noise, seed=4).images)


def test_noise_leaves_what_is_unknown_unknown():
    field, _ = plane(0.0, 3, shape=(60, 70))
    views = field.views.copy()
    views[:, 20:24, 30:36] = np.nan
    images = replace(field, views=views).dual_pixel(0.8, noise=Noise(2000, 3.0)).images
    assert np.isnan(images[:, 21:23, 31:35]).all() and np.isfinite(images[:, 6:14, 6:20]).all()


@pytest.mark.parametrize("pupils", [(1.5, 3.0), (3.0, 3.0), (3.0,), (3.0, 2.0, 1.5)])
def test_pupils_of_a_pair_are_two_the_wide_one_first(pupils):
    field, _ = plane(0.3, 3)
    with pytest.raises(ValueError, match="must be two, the wide one first"):
        field.aperture_pair(0.4, pupils=pupils, side="near")


def test_megabytes_are_written_out():
    field = LightField(np.zeros((9, 200, 300, 1), np.float32), *np.mgrid[-1:2, -1:2].reshape(2, 9)[::-1].astype(float))
    assert ghosts(field, 3.0).endswith("makes it 0.47 px with 361 views, 87 MB")
    assert ghosts(field, 4.0).endswith("makes it 0.48 px with 625 views, 150 MB")


@pytest.mark.parametrize("disparity", [0.15, -0.21])
def test_likelihood_places_depth_between_its_labels_where_there_is_hardly_any_noise(disparity):
    """Half a px of coc apart; the neighbours of the best label cost far more than what aggregation lets count in full."""
    from dfd import estimate_depth

    field, _ = plane(disparity, 9, shape=(80, 110), blur=1.0)
    stack = field.focal_stack(BOXES.inverse_depth(np.linspace(-0.8, 0.8, 9)))
    found = BOXES.disparity(estimate_depth(stack, solver="likelihood").values)[20:-20, 20:-20]
    assert np.isfinite(found).all() and np.abs(9 * np.median(found - disparity)) < 0.01  # px of coc


def test_captures_warn_of_ghosts_and_say_what_would_help():
    field, _ = plane(1.4, 3)
    at = BOXES.inverse_depth(0.0)
    for job in (lambda scene: scene.focal_stack([at, at + 0.1]), lambda scene: scene.dual_pixel(at),
                lambda scene: scene.aperture_pair(at), lambda scene: scene.quadruple(at, power_step=0.001)):
        with pytest.warns(UserWarning, match=r"up to 1\.4\d* px .*densify\(9\) makes it 0\.4\d px with 81") as caught:
            job(field)
        assert str(caught[0].message).endswith("81 views, 4 MB")
        assert len(caught) == 1 and "\n" not in str(caught[0].message) and caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            job(replace(field, disparity=field.disparity - 0.5))


def test_the_advice_keeps_within_memory():
    views = np.broadcast_to(np.float32(0), (9, 4000, 6000, 1))
    u, v = ([k % 3 - 1 for k in range(9)], [k // 3 - 1 for k in range(9)])
    large = LightField(views, u, v)
    assert "densify(11) makes it 1.4 px with 121 views, 12 GB" in ghosts(large, 5.0)
    assert "more views do not fit into 16 GB" in ghosts(replace(large, spacing=0.1), 5.0)
    assert ghosts(large, 1.0) is None


def blob(disparity, count=7, std=4.0, shape=(90, 120)):
    """A light field of a Gaussian blob (std px, of white 1) in the middle of a black plane: exact, band-limited."""
    steps = np.arange(count) - count // 2
    v, u = (grid.ravel().astype(float) for grid in np.meshgrid(steps, steps, indexing="ij"))
    y, x = np.mgrid[:shape[0], :shape[1]] - np.array([[[shape[0] // 2]], [[shape[1] // 2]]])
    views = [np.exp(-((y + disparity * b) ** 2 + (x + disparity * a) ** 2) / (2 * std**2))
             for b, a in zip(v, u, strict=True)]
    known = np.full(shape, disparity, np.float32)
    return LightField(np.stack(views).astype(np.float32)[..., None], u, v, BOXES, disparity=known)


def moments(image):
    """(centroid x, variance along x) [px, px^2] about the middle column, and the variance along y."""
    image = np.nan_to_num(np.asarray(image, float))
    y, x = (np.arange(size) - size // 2 for size in image.shape)
    total = image.sum()
    across, down = image.sum(0) / total, image.sum(1) / total
    middle = across @ x
    return middle, across @ (x - middle) ** 2, down @ (y - down @ y) ** 2


@pytest.mark.parametrize("pupil", [None, 5.0, 3.3])
def test_the_lens_of_a_picture_has_the_second_moment_of_its_blur(pupil):
    """A disk of diameter c adds c^2 / 16 to the variance per axis; pupils of few cells differ from their nominal width."""
    field = blob(0.9)
    stack = field.focal_stack([BOXES.inverse_depth(0.0), BOXES.inverse_depth(0.9)], pupil=pupil)
    at = float(field.truth.values[0, 0])
    variances = [np.mean(moments(image)[1:]) for image in stack.images]
    assert variances[1] == pytest.approx(16.0, abs=0.02)  # px^2; ten taps
    assert 4 * np.sqrt(variances[0] - 16.0) == pytest.approx(abs(stack.views[0].lens.coc(at)), rel=1e-3)
    nominal = 0.9 * (field.extent if pupil is None else pupil)
    assert abs(stack.views[0].lens.coc(at)) != pytest.approx(nominal, rel=3e-3)


@pytest.mark.parametrize("defocus", [0.9, -0.9])
@pytest.mark.parametrize("pupil", [None, 3.3])
def test_each_half_picture_lies_where_its_psf_and_kappa_put_it(defocus, pupil):
    """Centroids: left - right = kappa coc, and each that of its own half PSF with its contrast."""
    field = blob(defocus)
    pair = field.dual_pixel(BOXES.inverse_depth(0.0), pupil=pupil)
    at = float(field.truth.values[0, 0])
    middles = [moments(image)[0] for image in pair.images]
    apart = pair.disparity_rate * (at - BOXES.inverse_depth(0.0))
    assert middles[0] - middles[1] == pytest.approx(apart, rel=1e-3) and apart * defocus > 0
    both = 4 * np.sqrt(np.mean(moments(np.nan_to_num(pair.images).mean(axis=0))[1:]) - 16)
    assert both == pytest.approx(abs(pair.views[0].lens.coc(at)), rel=1e-3)
    for view, middle in zip(pair.views, middles, strict=True):
        step = 1e-4
        phase = np.angle(complex(view.psf.otf(view.lens.coc(at), np.array(0.0), np.array(step))))
        assert -phase / step == pytest.approx(middle, rel=2e-3)


@pytest.mark.parametrize("shots", [lambda field, at: field.aperture_pair(at), lambda field, at: field.quadruple(
    at, power_step=0.004, pupil_step=0.3, pupil=4.0)])
def test_the_lenses_of_a_pair_and_a_quad_are_those_of_their_pictures(shots):
    field = blob(0.9)
    at = float(field.truth.values[0, 0])
    capture = shots(field, BOXES.inverse_depth(0.0))
    for image, view in zip(capture.images, capture.views, strict=True):
        taps = 1e-3 if abs(view.lens.focus - BOXES.inverse_depth(0.0)) < 1e-9 else 0.02  # px^2; none at a shift of 0
        assert np.mean(moments(image)[1:]) - 16 == pytest.approx(view.lens.coc(at) ** 2 / 16, abs=taps)


def test_an_aperture_pair_is_f4_and_f11_by_default():
    field, _ = plane(0.6, 9)
    default, stated = (field.aperture_pair(BOXES.inverse_depth(1.0), **kind) for kind in ({}, {"pupils": (9, 9 * 4 / 11)}))
    assert [view.lens for view in default.views] == [view.lens for view in stated.views]


def test_a_dual_pixel_pair_of_a_slanted_plane_is_solved_with_sign_and_depth():
    """On both sides of focus: inverse depth within 2 % of the range in the median, its slope within 10 %."""
    from warpscenes import field as closed_form
    from warpscenes import plane_view

    from dfd import estimate_depth

    shape, slope = (70, 110), 0.016
    d = (-0.88 + slope * np.arange(shape[1]) * np.ones(shape)).astype(np.float32)
    scene = replace(closed_form(lambda *place: plane_view(*place, -0.88, slope), shape, 9, d), camera=BOXES)
    found = BOXES.disparity(estimate_depth(scene.dual_pixel(BOXES.focus), solver="likelihood").values)[15:-15, 15:-15]
    exact = d[15:-15, 15:-15]
    known = np.isfinite(found)
    assert known.mean() > 0.8 and np.median(np.abs(found - exact)[known]) < 0.02 * np.ptp(d)
    assert np.polyfit(exact[known], found[known], 1)[0] == pytest.approx(1, abs=0.1)


def test_half_pupils_lie_as_far_apart_as_half_disks():
    steps = (np.arange(65) - 32) * (9 / 65)
    v, u = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    fine = LightField(np.zeros((65**2, 1, 1, 1), np.float32), u, v, spacing=9 / 65)
    halves = [fine.weights(half=half) for half in ("left", "right")]
    assert half_distance(fine.u, *halves) / 9 == pytest.approx(IDEAL_KAPPA, abs=1e-3)
    square = [fine.weights(shape="square", half=half) for half in ("left", "right")]
    assert half_distance(fine.u, *square) / 9 == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(halves[0] + halves[1], 2 * fine.weights(), atol=1e-12)
    assert diameter(fine.u, fine.v, fine.weights()) == pytest.approx(9, abs=0.01)
    np.testing.assert_allclose(halves[0].reshape(65, 65), halves[1].reshape(65, 65)[:, ::-1], atol=1e-12)
