"""One light field, every capture: the thin lens of its views, shift and add, pupils, aliasing, sign; refusals."""

import warnings
from dataclasses import replace

import fakegpu
import numpy as np
import pytest
from conftest import shared_data
from fakegpu import device  # noqa: F401  (fixture)
from scipy.ndimage import gaussian_filter
from scipy.special import j1

from dfd import DepthMap, LightField, Psf, ThinLens, ViewCamera
from dfd.kernels.shiftadd import _on_arrays as shift_add_arrays
from dfd.kernels.shiftadd import delay, shift_add
from dfd.lightfield.aperture import diameter, half_distance
from dfd.lightfield.check import check_signs
from dfd.lightfield.ghosts import ghosts
from dfd.noise import Noise
from dfd.psf import IDEAL_KAPPA

BOXES = ViewCamera(0.006, 0.1, 0.035 / 512, 1 / 1.15)
"""The `boxes` scene of the HCI 4D benchmark."""


def texture(shape, rng, blur=0.7):
    """(H, W) periodic random texture about 0.5, blurred by a sampled Gaussian of std `blur` px; its spectrum."""
    image = gaussian_filter(rng.standard_normal(shape), blur, mode="wrap")
    image *= 0.1 / image.std()
    wy, wx = (2 * np.pi * np.fft.fftfreq(size) for size in shape)
    return 0.5 + image, np.fft.fft2(image - image.mean()), wy, wx


def plane(disparity, count, *, shape=(96, 130), spacing=1.0, camera=BOXES, seed=5, blur=0.7):
    """A LightField of count x count views of a textured plane, shifted exactly (Fourier), and its texture's spectrum."""
    _, spectrum, wy, wx = texture(shape, np.random.default_rng(seed), blur)
    steps = (np.arange(count) - count // 2) * spacing
    v, u = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    views = [0.5 + np.fft.ifft2(spectrum * np.exp(1j * disparity * (wy[:, None] * y + wx * x))).real
             for y, x in zip(v, u, strict=True)]
    views = np.stack(views).astype(np.float32)[..., None]
    known = np.full(shape, disparity, np.float32)
    return LightField(views, u, v, camera, spacing, known), (spectrum, wy, wx)


def trace(camera, focus, inverse_depth, pupil, model):
    """Blur diameter [px] of a point by rays through the edges of the lens, from nothing but the lens equation."""
    power = 1 / camera.image_distance + (focus if model == "power" else camera.focus)
    sensor = camera.image_distance if model == "power" else 1 / (power - focus)
    image = 1 / (power - inverse_depth)
    edge = pupil * camera.baseline / 2
    return 2 * edge * (1 - sensor / image) / camera.pixel_pitch * (-1)


@pytest.mark.parametrize("model, depth, expected", [
    ("power", 0.8, 19.7486), ("power", 1.5, 26.3314), ("sensor", 0.8, 20.0096), ("sensor", 1.5, 26.6794)])
def test_the_thin_lens_blurs_as_rays_through_the_views_do(model, depth, expected):
    lens = BOXES.thin_lens(1.0, 9, model=model)
    coc, traced = lens.coc(1 / depth), trace(BOXES, 1.0, 1 / depth, 9, model)
    assert abs(coc) == pytest.approx(expected, abs=1e-4)
    assert coc == pytest.approx(-traced, rel=1e-9)
    assert (coc > 0) == (depth < 1.0)
    by_disparity = 9 * (BOXES.disparity(1 / depth) - BOXES.disparity(1.0)) * lens.image_distance / BOXES.image_distance
    assert coc == pytest.approx(by_disparity, rel=1e-9)


def test_a_moved_sensor_keeps_the_focal_length_and_a_varied_power_the_sensor():
    assert BOXES.thin_lens(1.0, 9, model="sensor").focal_length == pytest.approx(0.1 / (1 + 0.1 / 1.15), rel=1e-12)
    assert BOXES.thin_lens(1.0, 9).image_distance == 0.1
    assert BOXES.thin_lens(1.0, 9).focus == pytest.approx(1.0, rel=1e-12)
    plain = ThinLens(1 / (10 + 1.0), 0.054, 0.1, 0.035 / 512)
    assert BOXES.thin_lens(1.0, 9).blur_rate == pytest.approx(plain.blur_rate, rel=1e-12)
    assert BOXES.thin_lens(1.0, 9).blur_rate == pytest.approx(9 * BOXES.disparity_rate, rel=1e-12)


def test_disparity_and_inverse_depth_are_inverse_and_a_miniature_keeps_disparity():
    inverse_depth = np.linspace(0.2, 3, 50)
    np.testing.assert_allclose(BOXES.inverse_depth(BOXES.disparity(inverse_depth)), inverse_depth, atol=1e-12)
    small = BOXES.scaled(1.06)
    np.testing.assert_allclose(small.disparity(1.06 * inverse_depth), BOXES.disparity(inverse_depth), atol=1e-10)
    assert 1 / small.focus == pytest.approx(1.083, abs=2e-3) and small.thin_lens(small.focus, 9).f_number == \
        pytest.approx(1.8, abs=0.01)


def test_a_nearer_plane_has_larger_disparity_and_positive_blur():
    field, _ = plane(0.5, 3)
    assert float(field.truth.values[0, 0]) > BOXES.focus
    stack = field.focal_stack([BOXES.focus, BOXES.focus + 0.2])
    assert stack.views[0].lens.coc(float(field.truth.values[0, 0])) > 0


@pytest.mark.parametrize("disparity", [-1.3, 0.0, 0.37, 2.0])
def test_refocused_on_a_plane_the_picture_is_the_reference_view(disparity):
    field, _ = plane(disparity, 5, blur=1.3)
    picture = field.refocus(disparity)
    inner = np.s_[12:-12, 12:-12]
    np.testing.assert_allclose(picture[inner], field.central[..., 0][inner], atol=3e-3)


def test_the_wrong_sign_does_not_focus():
    field, _ = plane(1.0, 5)
    inner = np.s_[12:-12, 12:-12]
    assert np.abs(field.refocus(-1.0) - field.central[..., 0])[inner].mean() > 0.02


@pytest.mark.parametrize("count, defocus, expected", [
    (9, 0.5, 0.005), (9, 1.0, 0.020), (9, 1.5, 0.050), (9, 2.0, 0.278), (9, 3.0, 0.834),
    (17, 1.0, 0.005), (17, 2.0, 0.017), (17, 3.0, 0.045), (33, 3.0, 0.008), (33, 4.0, 0.013)])
def test_aliasing_of_a_pupil_of_views_follows_the_table(count, defocus, expected):
    """Relative RMS error against the continuous disk of that diameter, texture blurred 0.7 px (closed form in Fourier)."""
    _, spectrum, wy, wx = texture((256, 256), np.random.default_rng(0))
    steps = (np.arange(count) - count // 2) * (9 / count)
    v, u = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    field = LightField(np.zeros((count**2, 2, 2, 1), np.float32), u, v, spacing=9 / count)
    mask = sum(w * np.exp(1j * defocus * (wy[:, None] * y + wx * x))
               for w, y, x in zip(field.weights(9), v, u, strict=True) if w > 0)
    radius = np.hypot(wy[:, None], wx) * 9 * defocus / 2
    disk = np.where(radius > 1e-9, 2 * j1(radius) / np.maximum(radius, 1e-9), 1)
    exact, found = (np.fft.ifft2(spectrum * transfer).real for transfer in (disk, mask))
    error = np.sqrt(np.mean((found - exact) ** 2)) / exact.std()
    assert error == pytest.approx(expected, rel=0.10, abs=0.002)


def test_max_step_is_what_the_table_is_read_with():
    field, _ = plane(0.5, 3, spacing=0.5)
    assert field.max_step([0.0]) == pytest.approx(0.25)
    assert field.max_step([-1.0, 2.0], disparity_range=(-3.0, 1.0)) == pytest.approx(0.5 * 5)


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


def test_shift_and_add_in_loops_and_in_arrays_agree(rng):
    views = rng.random((5, 41, 70), dtype=np.float32)
    dy, dx = rng.uniform(-9, 9, 5), rng.uniform(-9, 9, 5)
    dy[0], dx[1], weights = 3.0, -80.0, np.array([1.0, 0.4, 0.0, 2.0, 0.3])
    moves = [(k, dy[k], dx[k], weights[k]) for k in range(5) if weights[k] > 0]
    loops, arrays = shift_add(views, dy, dx, weights), shift_add_arrays(views, moves, 0.5)
    np.testing.assert_array_equal(np.isnan(loops), np.isnan(arrays))
    np.testing.assert_allclose(loops, arrays, atol=2e-6)
    np.testing.assert_allclose(shift_add(views, dy, dx, weights, workers=1), loops, atol=0)


def test_a_whole_shift_copies_pixels_and_leaves_out_what_no_view_shows(rng):
    view = rng.random((1, 20, 33), dtype=np.float32)
    moved = shift_add(view, [2.0], [-5.0], [1.0])
    np.testing.assert_array_equal(moved[2:, :-5], view[0, :-2, 5:])
    assert np.isnan(moved[:2]).all() and np.isnan(moved[:, -5:]).all()
    assert delay(0.25)[1].sum() == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="weights of the views are 0"):
        shift_add(view, [0.0], [0.0], [0.0])


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


def test_without_camera_metric_depth_is_refused_and_disparity_offered():
    field, _ = plane(0.3, 3, camera=None)
    for job in (lambda: field.focal_stack([0.5, 0.6]), lambda: field.dual_pixel(0.5), lambda: field.aperture_pair(0.5),
                lambda: field.quadruple(0.5, power_step=0.1), lambda: field.truth):
        with pytest.raises(ValueError, match=r"no metric depth.*disparity"):
            job()
    assert field.disparity_map.scale == "affine"
    assumed = field.virtual()
    assert assumed.camera.assumed and "assumed" in repr(assumed) and "scale of depth is free" in assumed._repr_html_()
    assert "a projective stretch along the axis" in assumed._repr_html_()
    assert len(assumed.focal_stack([0.9, 1.1])) == 2


def test_an_assumed_camera_keeps_the_farthest_point_before_infinity():
    field, _ = plane(-7.0, 3, camera=None)
    assert float(field.virtual().truth.values.min()) >= 0.09
    assert field.virtual(disparity_range=(-20, 3)).camera.inverse_depth(-20) == pytest.approx(0.1, abs=1e-6)


def test_maps_go_from_disparity_to_depth_and_back_with_their_sigma():
    field, _ = plane(0.5, 3)
    disparity = DepthMap(np.full((3, 4), 0.5, np.float32), np.full((3, 4), 0.1, np.float32), "affine")
    metric = field.to_depth(disparity)
    assert metric.values[0, 0] == pytest.approx(BOXES.inverse_depth(0.5)) and metric.scale == "metric"
    assert metric.sigma[0, 0] == pytest.approx(0.1 / BOXES.disparity_rate)
    back = field.to_disparity(metric)
    np.testing.assert_allclose(back.values, disparity.values, atol=1e-5)
    np.testing.assert_allclose(back.sigma, disparity.sigma, rtol=1e-5)
    with pytest.raises(ValueError, match="beyond infinity"):
        field.to_depth(DepthMap(np.full((3, 4), -40, np.float32), disparity.sigma, "affine"))
    with pytest.raises(ValueError, match="scale metric is no disparity"):
        field.to_depth(metric)


@pytest.mark.parametrize("change, message", [
    ({"views": np.zeros((9, 5, 6), np.float32)}, "axes"),
    ({"u": range(8)}, "one finite place"),
    ({"u": [0.0] * 9, "v": [0.0] * 9}, "same place"),
    ({"v": np.arange(9) + 0.5}, r"no view stands at \(0, 0\)"),
    ({"disparity": np.zeros((5, 7), np.float32)}, "size of the views"),
    ({"disparity": np.where(np.eye(5, 6) > 0, np.inf, 0).astype(np.float32)}, "infinite at 5 px; NaN alone"),
    ({"spacing": 0.0}, "spacing")])
def test_a_light_field_that_does_not_fit_is_refused(change, message):
    places = {"u": [k % 3 - 1 for k in range(9)], "v": [k // 3 - 1 for k in range(9)]}
    grid = {"views": np.zeros((9, 5, 6, 1), np.float32), **places}
    with pytest.raises(ValueError, match=message):
        LightField(**(grid | change))


def test_other_numbers_are_refused_in_one_line():
    field, _ = plane(0.5, 3)
    for job, message in ((lambda: ViewCamera(-0.1, 0.1, 1e-5, 1.0), "baseline"),
                         (lambda: BOXES.thin_lens(1, 9, model="x"), "model"),
                         (lambda: BOXES.thin_lens(20, 9, model="sensor"), "below the power"),
                         (lambda: field.weights(shape="hexagon"), "shape"), (lambda: field.weights(half="top"), "half"),
                         (lambda: field.weights(0), "positive"),
                         (lambda: field.focal_stack([0.8, 0.9], pupil=4), "at most 3"),
                         (lambda: field.focal_stack([]), "two or more"), (lambda: field.focal_stack(0.8), "two or more"),
                         (lambda: field.focal_stack([0.8, np.nan]), "finite inverse distances"),
                         (lambda: field.quadruple(0.8, power_step=0), "power_step"),
                         (lambda: field.quadruple(0.8, power_step=0.1, pupil_step=1), "pupil_step"),
                         (lambda: BOXES.scaled(0), "miniature")):
        with pytest.raises(ValueError, match=message) as caught:
            job()
        assert "\n" not in str(caught.value)


def test_a_narrower_pupil_keeps_the_reference():
    field, _ = plane(0.5, 7)
    small = field.narrowed(3)
    assert len(small) == 9 and small.extent == 3 and (small.u[small.reference], small.v[small.reference]) == (0.0, 0.0)
    np.testing.assert_array_equal(small.central, field.central)


def test_boxes_parameters_hold_for_antinous():
    from dfd.io.maps import read_map

    known = read_map(shared_data("lf/hci_antinous/gt_disp_lowres.pfm")).astype(np.float32)
    inverse_depth = BOXES.inverse_depth(known)
    assert float(inverse_depth.min()) == pytest.approx(0.513, abs=1e-3)


@pytest.mark.parametrize("disparity", [0.15, -0.21])
def test_likelihood_places_depth_between_its_labels_where_there_is_hardly_any_noise(disparity):
    """Half a px of coc apart; the neighbours of the best label cost far more than what aggregation lets count in full."""
    from dfd import estimate_depth

    field, _ = plane(disparity, 9, shape=(80, 110), blur=1.0)
    stack = field.focal_stack(BOXES.inverse_depth(np.linspace(-0.8, 0.8, 9)))
    found = BOXES.disparity(estimate_depth(stack, solver="likelihood").values)[20:-20, 20:-20]
    assert np.isfinite(found).all() and np.abs(9 * np.median(found - disparity)) < 0.01  # px of coc


JOBS = {
    "refocus": lambda field: field.refocus(0.1), "colour": lambda field: field.refocus(0.1, colour=True),
    "focal stack": lambda field: field.focal_stack([0.9, 0.95]).images,
    "dual pixel": lambda field: field.dual_pixel(0.85).images, "pair": lambda field: field.aperture_pair(0.85).images,
    "quad": lambda field: field.quadruple(0.9, power_step=0.01).images,
    "truth": lambda field: field.truth.values, "map": lambda field: field.disparity_map.sigma,
    "camera": lambda field: field.with_camera(BOXES).to_disparity(field.truth).values,
    "virtual": lambda field: field.virtual().truth.values, "narrowed": lambda field: field.narrowed(1).central}


@pytest.mark.parametrize("name", JOBS)
def test_pictures_and_maps_lie_where_the_views_lie(device, name):  # noqa: F811
    field, _ = plane(0.4, 3, shape=(40, 54))
    known = field.disparity.copy()
    known[3, 4:9] = np.nan
    field = replace(field, disparity=known)
    there = replace(field, views=device.put(np.array(field.views)), disparity=device.put(known))
    found = JOBS[name](there)
    assert device.owns(found)
    np.testing.assert_allclose(device.get(found), JOBS[name](field), atol=2e-6)


def test_ranges_of_a_light_field_are_the_same_on_every_device(device):  # noqa: F811
    field, _ = plane(0.4, 3, shape=(40, 54))
    there = replace(field, views=device.put(np.array(field.views)), disparity=device.put(np.array(field.disparity)))
    assert there.knows_depth and there.disparity_range == field.disparity_range
    assert there.max_step(device.put(np.array([-1.0, 0.5]))) == field.max_step([-1.0, 0.5]) == pytest.approx(1.4)
    assert there._repr_html_() == field._repr_html_()
    with pytest.raises(ValueError, match="infinite at 1 px"):
        replace(there, disparity=device.put(np.where(np.arange(40 * 54).reshape(40, 54) == 7, np.inf, 0).astype(np.float32)))


@pytest.mark.parametrize("job", [lambda field, known: field.densify(5), lambda field, known: check_signs(field)])
def test_what_works_on_the_cpu_alone_says_so(job):
    field, _ = plane(0.4, 3, shape=(40, 54))
    with fakegpu.installed() as cupy:
        there = replace(field, views=cupy.asarray(field.views), disparity=cupy.asarray(field.disparity))
        with pytest.raises(TypeError, match=r"works on the CPU.*to_numpy first"):
            job(there, field.disparity)
        with pytest.raises(TypeError, match=r"works on the CPU.*to_numpy first"):
            field.densify(5, there.disparity)


def even(rows, columns):
    """A LightField of rows x columns views counted from row rows // 2, column columns // 2."""
    v, u = (place.ravel() for place in np.mgrid[:rows, :columns])
    return LightField(np.zeros((rows * columns, 6, 7, 1), np.float32), u - columns // 2, v - rows // 2, BOXES)


@pytest.mark.parametrize("rows, columns, width", [(8, 8, 7), (4, 4, 3), (9, 9, 9), (3, 8, 3), (8, 5, 5)])
def test_the_pupil_stands_about_the_reference_also_on_even_and_oblong_grids(rows, columns, width):
    field = even(rows, columns)
    assert field.extent == width
    for shape in ("disk", "square"):
        weights, left, right = (field.weights(shape=shape, half=half) for half in (None, "left", "right"))
        assert abs(np.dot(weights, field.u)) < 1e-9 and abs(np.dot(weights, field.v)) < 1e-9
        mirrored = {(u, v): w for u, v, w in zip(field.u, field.v, left, strict=True)}
        assert all(abs(w - mirrored.get((-u, v), 0.0)) < 1e-12 for u, v, w in zip(field.u, field.v, right, strict=True))


@pytest.mark.parametrize("rows, columns", [(1, 9), (9, 1), (2, 2), (2, 7)])
def test_a_single_view_along_an_axis_is_no_aperture(rows, columns):
    field = replace(even(rows, columns), disparity=np.zeros((6, 7), np.float32))
    for job in (lambda: field.weights(), lambda: field.weights(3), lambda: field.focal_stack([0.8, 0.9]),
                lambda: field.dual_pixel(0.8), lambda: field.aperture_pair(0.8),
                lambda: field.quadruple(0.8, power_step=0.1)):
        with pytest.raises(ValueError, match=r"a single view along one axis .*extent 1 view steps.*at least 3 x 3 views"):
            job()


def test_an_outlier_beyond_infinity_is_unknown_and_the_rest_is_kept():
    field, _ = plane(0.5, 3)
    known = field.disparity.copy()
    known[3, 5], known[4, 6] = -40.0, np.nan
    found = replace(field, disparity=known)
    truth = found.with_camera(BOXES).truth
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it moves no point that is seen
        assert found.aperture_pair(BOXES.inverse_depth(0.0)).side == "near"
    assert np.isnan(truth.values[3, 5]) and np.isnan(truth.values[4, 6])
    assert np.isfinite(truth.values).sum() == known.size - 2
    known[:60] = -40.0
    with pytest.raises(ValueError, match=r"beyond infinity for this camera at 7800 of 12480 px.*sign reversed"):
        replace(field, disparity=known).truth


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
