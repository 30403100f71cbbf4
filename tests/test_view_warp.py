"""The kernels that see a picture with disparity from beside it: no side is preferred, and which real view gives a colour."""

import numpy as np
import pytest
from warpscenes import texture

from dfd.kernels.warp import blend, forward, with_borders
from dfd.lightfield import ViewCamera, from_rgbd

SHAPE = (40, 56)
FLIPS = {"left-right": (np.s_[..., ::-1], (-1, 1)), "up-down": (np.s_[..., ::-1, :], (1, -1))}
"""Index of an (..., H, W) array that mirrors it, and the signs that u and v take."""


def box_before_slope():
    """(H, W) float32: a box at 2.3 px, off the middle, before a plane that falls to the right."""
    disparity = (-0.7 - 0.011 * np.arange(SHAPE[1]) * np.ones(SHAPE)).astype(np.float32)
    disparity[9:23, 12:31] = 2.3
    return disparity


def two_layers():
    """(2, H, W) float32: that, and a second layer with ragged borders behind the box, NaN elsewhere."""
    y, x = np.mgrid[:SHAPE[0], :SHAPE[1]]
    behind = np.where(np.hypot(1.4 * (y - 15.3), x - 20.6) < 13.2, np.float32(-0.6), np.float32(np.nan))
    front = box_before_slope()
    front[13:17, 18:22] = np.nan
    return np.stack([front, behind.astype(np.float32)])


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize(("u", "v"), ((1.3, 0.0), (0.0, 1.3), (-0.9, 0.7), (0.9, 0.7)))
def test_a_mirrored_scene_is_warped_to_the_mirrored_view(flip, u, v):
    """Two layers, the second NaN in most of the frame: 1e-5 px of disparity, and the same layer at every pixel."""
    (mirror, (right, down)), layers = FLIPS[flip], two_layers()
    disparity, owner = forward(layers, u, v, 0.4)
    other, other_owner = forward(np.ascontiguousarray(layers[mirror]), right * u, down * v, 0.4)
    np.testing.assert_allclose(other[mirror], disparity, atol=1e-5)
    np.testing.assert_array_equal(other_owner[mirror], owner)
    assert set(np.unique(owner)) == {0, 1}


@pytest.mark.parametrize("flip", FLIPS)
def test_a_mirrored_picture_gives_mirrored_views(flip):
    """A nearer strip across the frame, so that no two of its borders are equally near; 1e-5 of white."""
    y, x = np.mgrid[:SHAPE[0], :SHAPE[1]].astype(float)
    across = x if flip == "left-right" else y
    disparity = np.where((across >= 11) & (across < 26), 2.3, -0.7 - 0.011 * across).astype(np.float32)
    picture, (mirror, (right, down)) = texture(y, x).astype(np.float32), FLIPS[flip]
    camera = ViewCamera(baseline=1e-3, image_distance=0.05, pixel_pitch=5e-6, focus=0.5)
    views, mirrored = (from_rgbd(np.ascontiguousarray(one), camera, 3, disparity=other).views.reshape(3, 3, *SHAPE)
                       for one, other in ((picture, disparity), (picture[mirror], disparity[mirror])))
    np.testing.assert_allclose(mirrored[::down, ::right][mirror], views, atol=1e-5)


def test_a_point_is_asked_of_the_first_real_view_that_sees_it_clear_then_of_one_at_an_edge_then_of_the_nearest():
    """Three even views; column 20 of view 1 has its right neighbour covered, view 2 is covered from row 10 on."""
    shades = np.float32([0.1, 0.5, 0.9])
    views = with_borders(shades[:, None, None, None] * np.ones((3, *SHAPE, 1), np.float32))
    seen = np.full((3, *SHAPE), 1.0, np.float32)
    seen[0], seen[1, :, 21], seen[2, 10:] = 9, 9, 9
    place = np.array([[0.0, 0.0], [0.0, -0.25], [0.0, 0.0]])
    out = np.empty((*SHAPE, 1), np.float32)
    blend(views, seen, place, np.array([0, 1, 2]), np.float32([1]), np.ones(SHAPE, np.float32), 0.5, out)
    expected = np.full(SHAPE, shades[1])
    expected[:10, 20:22] = shades[2]  # view 1 sees column 20 at an edge only, column 21 not at all; view 2 sees both clear
    expected[10:, 21] = shades[0]  # nobody sees it: the nearest
    np.testing.assert_allclose(out[:9, 1:-1, 0], expected[:9, 1:-1], atol=1e-6)
    np.testing.assert_allclose(out[10:, 1:-1, 0], expected[10:, 1:-1], atol=1e-6)
