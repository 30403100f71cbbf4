"""One light field, every capture: the thin lens of its views, shift and add, pupils, aliasing, sign; refusals."""

import warnings
from dataclasses import replace

import fakegpu
import numpy as np
import pytest
from conftest import shared_data
from fakegpu import device  # noqa: F401  (fixture)
from scipy.special import j1
from viewplanes import BOXES, plane, texture

from dfd import DepthMap, LightField, ThinLens, ViewCamera
from dfd.kernels.shiftadd import _on_arrays as shift_add_arrays
from dfd.kernels.shiftadd import delay, shift_add
from dfd.lightfield.check import check_signs


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
