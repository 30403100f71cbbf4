"""Light fields from a picture with depth: geometry, occlusion, hidden background, the disk, and depth that comes back."""

import numpy as np
import pytest
from conftest import shared_data
from warpscenes import BOX, FAR, NEAR, blurred_texture, box_disparity, texture

import dfd
from dfd.depthmap import DepthMap
from dfd.lightfield import ViewCamera, from_rgbd
from dfd.lightfield.rgbd import hidden_layer, render_views

SHAPE = (48, 64)
CAMERA = ViewCamera(baseline=1e-3, image_distance=0.05, pixel_pitch=5e-6, focus=0.5)
"""10 px of disparity per dioptre and view step."""


def picture(shape=SHAPE):
    y, x = np.mgrid[:shape[0], :shape[1]].astype(float)
    return texture(y, x).astype(np.float32)


def test_the_middle_view_is_the_picture_and_depth_comes_back():
    depth = np.linspace(1.5, 3.0, SHAPE[1]) * np.ones(SHAPE)
    lightfield = from_rgbd(picture(), CAMERA, 3, depth=depth, name="ramp")
    np.testing.assert_array_equal(lightfield.central[..., 0], picture())
    np.testing.assert_allclose(lightfield.truth.depth, depth, rtol=1e-6)
    assert (lightfield.name, lightfield.extent, lightfield.views.shape) == ("ramp", 3.0, (9, *SHAPE, 1))


def test_a_nearer_point_lies_further_left_in_a_view_further_right():
    """At 1 m, half a dioptre nearer than zero disparity: 5 px per view step, whole px, so pixels are copied."""
    lightfield = from_rgbd(picture(), CAMERA, 3, depth=np.ones(SHAPE))
    for view, u, v in zip(lightfield.views[..., 0], lightfield.u, lightfield.v, strict=True):
        moved = np.roll(picture(), (int(-5 * v), int(-5 * u)), (0, 1))
        np.testing.assert_allclose(view[8:-8, 8:-8], moved[8:-8, 8:-8], atol=2e-6)


def test_depth_disparity_and_a_metric_map_say_the_same():
    depth = np.where(np.arange(SHAPE[1]) < 30, 1.2, 1.7) * np.ones(SHAPE)
    by_depth = from_rgbd(picture(), CAMERA, 3, depth=depth)
    inverse = (1 / depth).astype(np.float32)
    metric = DepthMap(inverse, np.full_like(inverse, 0.01), "metric", "test")
    for other in (from_rgbd(picture(), CAMERA, 3, disparity=CAMERA.disparity(1 / depth)),
                  from_rgbd(picture(), CAMERA, 3, depth=metric)):
        np.testing.assert_allclose(other.views, by_depth.views, atol=1e-5)


def test_infinity_is_a_depth():
    depth = np.where(np.arange(SHAPE[1]) < 30, 2.0, np.inf) * np.ones(SHAPE)
    assert from_rgbd(picture(), CAMERA, 3, depth=depth).disparity[0, -1] == pytest.approx(-5.0)


def test_the_nearer_surface_hides_and_hidden_background_stands_still():
    """What a view sees beside the box is one and the same texture behind it, wherever the view stands."""
    flat = np.full((*SHAPE, 1), 0.2, np.float32) + 0.3 * (np.arange(SHAPE[1]) % 2)[:, None].astype(np.float32)
    flat[BOX[0]:BOX[1], BOX[2]:BOX[3]] = 0.9
    disparity = box_disparity(SHAPE)
    places = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, -1.0], [1.0, 0.0]])
    one, two, left, below = render_views(flat, disparity, places, 0.5)[..., 0]
    top, bottom, first, last = BOX
    middle = (top + bottom) // 2
    np.testing.assert_allclose(one[middle, first - 2:last - 2], 0.9, atol=1e-5)  # the box has moved left by NEAR = 2
    np.testing.assert_allclose(left[middle, first + 2:last + 2], 0.9, atol=1e-5)
    np.testing.assert_allclose(below[top - 2:bottom - 2, 30], 0.9, atol=1e-5)
    assert one[middle, last - 1:last + 1].max() < 0.6  # uncovered: 3 px of background, FAR = -1
    np.testing.assert_allclose(one[middle, last - 1:last + 1], two[middle, last:last + 2], atol=1e-5)


def test_hidden_background_goes_on_at_its_own_disparity_with_its_mirror_image():
    column = np.arange(SHAPE[1], dtype=np.float32) * np.ones(SHAPE, np.float32)
    behind, colours = hidden_layer(column[..., None], box_disparity(SHAPE), 0.5, 2.0)
    row, edge = (BOX[0] + BOX[1]) // 2, BOX[2]
    np.testing.assert_array_equal(behind[row, edge:edge + 6], FAR)
    np.testing.assert_array_equal(colours[row, edge:edge + 6, 0], edge - 2 - np.arange(6))  # 2 b - q, b = edge - 1
    assert np.isnan(behind[row, edge - 1]) and np.isnan(behind[row, (BOX[2] + BOX[3]) // 2])
    assert NEAR > FAR


def test_unknown_depth_is_rendered_as_background_and_stays_unknown():
    depth = np.full(SHAPE, 2.0)
    whole = from_rgbd(picture(), CAMERA, 3, depth=depth * 0.8)
    depth[10:14, 20:30] = np.nan
    lightfield = from_rgbd(picture(), CAMERA, 3, depth=depth * 0.8)
    np.testing.assert_array_equal(lightfield.views, whole.views)
    np.testing.assert_array_equal(np.isnan(lightfield.truth.values), np.isnan(depth))


@pytest.mark.parametrize(("count", "step", "limit"),
                         ((9, 0.5, 0.007), (9, 1.0, 0.024), (17, 1.5, 0.012), (17, 1.0, 0.007)))
def test_a_plane_out_of_focus_is_the_disk(count, step, limit):
    """`step`: |d - d0| of nine views across.  Error against the exact disk: the published aliasing, and 0.002 for taps."""
    shape = (72, 88)
    camera = ViewCamera(baseline=1e-3 * 9 / count, image_distance=0.05, pixel_pitch=5e-6, focus=0.5)
    lightfield = from_rgbd(picture(shape), camera, count, depth=np.full(shape, 1 / (0.5 + step / 10)))
    stack = lightfield.focal_stack([0.5, 0.5 + step / 10])
    assert stack.views[0].lens.coc(0.5 + step / 10) == pytest.approx(9 * step, rel=0.01)
    y, x = np.mgrid[:shape[0], :shape[1]].astype(float)
    inner = np.s_[18:-18, 18:-18]
    exact = blurred_texture(y, x, stack.views[0].lens.coc(0.5 + step / 10))[inner]
    contrast = np.std(texture(y, x)[inner])
    assert np.std(stack.images[0][inner] - exact) / contrast < limit
    assert np.std(stack.images[1][inner] - picture(shape)[inner]) / contrast < 0.004


def test_colours_stay_together():
    colour = np.stack([picture(), 0.5 * picture(), 1 - picture()], axis=-1)
    views = from_rgbd(colour, CAMERA, 3, disparity=box_disparity(SHAPE)).views
    grey = from_rgbd(picture(), CAMERA, 3, disparity=box_disparity(SHAPE)).views[..., 0]
    np.testing.assert_allclose(views, np.stack([grey, 0.5 * grey, 1 - grey], axis=-1), atol=1e-6)


@pytest.mark.parametrize(("change", "error", "message"), (
    ({"count": 4}, ValueError, r"count \(4\).*odd"), ({"depth": None}, ValueError, "neither of depth"),
    ({"disparity": np.zeros(SHAPE)}, ValueError, "both of depth"),
    ({"depth": np.zeros(SHAPE)}, ValueError, "3072 values that are 0 or negative.*NaN"),
    ({"depth": np.ones((64, 48))}, ValueError, r"depth \(48 x 64 px\).*\(64 x 48 px\)"),
    ({"depth": np.full(SHAPE, np.nan)}, ValueError, "no finite value"),
    ({"depth": np.full(SHAPE, 0.2)}, ValueError, "half of the 64 x 48 px"),
    ({"image": np.ones(SHAPE)}, TypeError, "float64.*float32"),
    ({"image": np.full(SHAPE, np.nan, np.float32)}, ValueError, "not finite"),
    ({"image": np.ones((48, 64, 2), np.float32)}, ValueError, r"shape \(48, 64, 2\)")))
def test_what_cannot_be_rendered_is_refused(change, error, message):
    given = {"image": picture(), "camera": CAMERA, "count": 3, "depth": np.full(SHAPE, 2.0)} | change
    with pytest.raises(error, match=message):
        from_rgbd(given.pop("image"), given.pop("camera"), given.pop("count"), **given)


def test_depth_of_a_real_scene_comes_back_from_its_rendered_stack():
    """A part of Middlebury's motorcycle through 50 mm f/1.8, 8 foci; asked: 1 % mean on confident pixels."""
    from dfd.io.images import read_image

    folder, part = shared_data("lf/rgbd_motorcycle"), np.s_[260:380, 320:480]
    shift = np.load(folder / "disp.npy")
    known = np.isfinite(shift)
    assert known.mean() == pytest.approx(0.9265, abs=1e-3)
    depth = np.where(known, 0.193001 * 994.978 / (np.where(known, shift, 0) + 31.086), np.nan)
    assert (np.nanmin(depth), np.nanmax(depth)) == pytest.approx((2.11, 5.02), abs=0.01)
    depth, grey = depth[part], dfd.imaging.luminance(read_image(folder / "left.png").values)[part]
    camera = ViewCamera(baseline=0.05 / 1.8 / 13, image_distance=0.05, pixel_pitch=0.05 / 994.978, focus=0.35)
    lightfield = from_rgbd(grey, camera, 13, depth=depth)
    near, far = np.nanmin(depth), np.nanmax(depth)
    foci = np.linspace(1 / near + 0.01, 1 / far - 0.01, 8)
    assert lightfield.max_step(camera.disparity(foci)) < 0.6
    result = dfd.estimate_depth(lightfield.focal_stack(foci, noise=dfd.noise.Noise(20000.0, 3.0)), solver="likelihood")
    sure = (result.confidence >= 0.5) & np.isfinite(depth)
    assert sure.mean() > 0.25
    assert np.abs(result.depth / depth - 1)[sure].mean() < 0.01
