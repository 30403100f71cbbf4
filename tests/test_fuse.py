"""The all-in-focus image: each pixel from its sharpest frame, in any order, without holes."""

import numpy as np
import pytest
from textures import blurred, plane_stack, texture

from dfd.fuse import AllInFocus, sharpness_around
from dfd.psf import Psf


def constant_frames(count, shape=(23, 37)):
    return [np.full((*shape, 3), float(k), np.float32) for k in range(count)]


def fused(values, coordinates, frames):
    fusion = AllInFocus(values.astype(np.float32), coordinates)
    for number, frame in enumerate(frames):
        fusion.add(number, frame)
    return fusion.result()


def test_each_pixel_comes_from_the_frame_nearest_in_the_coordinate():
    values = np.tile(np.repeat([1.0, 2.0, 4.0], 20), (23, 1))
    image, index = fused(values, (4.0, 1.0, 2.0), constant_frames(3, (23, 60)))
    assert (index[:, 5] == 1).all() and (index[:, 30] == 2).all() and (index[:, 55] == 0).all()
    np.testing.assert_allclose(image[:, 5], 1, atol=1e-3)
    np.testing.assert_allclose(image[:, 55], 0, atol=1e-3)


def test_unknown_depth_is_taken_from_its_surroundings():
    values = np.full((23, 37), 2.0)
    values[8:12, 10:20] = np.nan
    image, index = fused(values, (1.0, 2.0, 3.0), constant_frames(3))
    assert (index == 1).all()
    np.testing.assert_allclose(image, 1, atol=1e-3)


def shifted(right):
    """Output px -> frame px: what lies at x in the output lies at x - right in the frame."""
    matrix = np.eye(3)
    matrix[0, 2] = -right
    return matrix


def test_a_pixel_outside_its_best_frame_comes_from_the_nearest_that_has_it():
    values, matrices = np.full((23, 37), 2.0, np.float32), [np.eye(3), shifted(5), np.eye(3)]
    fusion = AllInFocus(values, (1.0, 2.0, 3.0), matrices=matrices)
    for number, frame in enumerate(constant_frames(3)):
        fusion.add(number, frame)
    image, index = fusion.result()
    assert np.isin(index[:, :5], (0, 2)).all()
    assert (index[:, 5:] == 1).all()
    np.testing.assert_allclose(image[..., 0], index, atol=1e-5)


def test_a_pixel_that_no_frame_has_is_marked():
    fusion = AllInFocus(np.full((9, 11), 2.0, np.float32), (1.0, 2.0, 3.0), matrices=[shifted(20)] * 3)
    for number in range(3):
        fusion.add(number, np.ones((9, 11, 1), np.float32))
    image, index = fusion.result()
    assert (index == -1).all() and (image == 0).all()


@pytest.mark.parametrize("right, down", [(2.0, 1.0), (0.4, -0.7)])
def test_a_frame_is_resampled_through_its_map(right, down):
    y, x = np.mgrid[:31, :47].astype(np.float32)
    picture = np.stack([3 * x + 5 * y, 200 - x - y], axis=-1)
    matrix = np.array([[1.0, 0, right], [0, 1.0, down], [0, 0, 1]])
    fusion = AllInFocus(np.full((31, 47), 1.0, np.float32), (1.0, 2.0), matrices=[matrix, np.eye(3)])
    fusion.add(0, picture, gain=2.0)
    image, index = fusion.result()
    inside = np.s_[4:-4, 4:-4]
    assert (index[inside] == 0).all()
    expected = 2 * np.stack([3 * (x + right) + 5 * (y + down), 200 - x - right - y - down], axis=-1)
    # 16 and 4 units per px along both axes together, positions exact to 1/2048 px
    np.testing.assert_allclose(image[inside] - expected[inside], 0, atol=16 / 2048 + 1e-3)


def test_nothing_known_still_gives_a_picture():
    image, index = fused(np.full((23, 37), np.nan), (1.0, 2.0, 3.0), constant_frames(3))
    assert (index == 1).all()
    assert np.isfinite(image).all()


def test_the_fused_texture_is_as_sharp_as_its_sharpest_frame(rng):
    sharp = texture((97, 141), rng)
    capture = plane_stack(rng, sharp=sharp, noise=None, inverse_depth=1.45)
    frames = [image[..., None] for image in capture.images]
    image, _ = fused(np.full(capture.shape, 1.45), capture.coordinates, frames)
    best = min(abs(view.lens.coc(1.45)) for view in capture.views)
    ideal = blurred(sharp, best, Psf("disk", 0.3))
    assert np.std(np.diff(image[..., 0])) == pytest.approx(np.std(np.diff(ideal)), rel=0.1)


def test_what_stands_sharp_before_a_background_hides_its_own_blur(rng):
    """A leaf without texture before a textured wall: around its outline the frame of the leaf is taken, although depth,
    which is that of the wall or unknown there, names the other; away from it depth decides."""
    wall, leaf = 0.4 + 0.2 * (texture((160, 240), rng) - 0.5), np.zeros((160, 240), np.float32)
    leaf[:, 80:140] = 1
    psf, frames = Psf("disk", 0.4), []
    for near, far in ((0.01, 12), (6, 6), (12, 0.01)):  # px of blur of the leaf and of the wall
        cover = blurred(leaf, near, psf)
        frames.append(0.9 * cover + (1 - cover) * blurred(wall, far, psf))
    values = np.full(leaf.shape, 2.0, np.float32)
    values[:, 70:150] = np.nan
    values[:, 84:130] = 2.0  # wrong: the wall's blur behind the leaf
    index = {}
    for name, around in (("depth", None), ("sharpness", sharpness_around(frames))):
        fusion = AllInFocus(values, (0.0, 1.0, 2.0), around=around)
        for number, frame in enumerate(frames):
            fusion.add(number, np.repeat(frame[..., None], 3, axis=2).astype(np.float32))
        index[name] = fusion.result()[1]
    outline = np.s_[20:-20, 78:82], np.s_[20:-20, 138:142]
    assert all((index["sharpness"][part] == 0).mean() > 0.95 and (index["depth"][part] != 0).all() for part in outline)
    assert (index["sharpness"][:, 200:] == 2).mean() > 0.95


def test_saturation_and_the_border_of_a_frame_are_not_sharp():
    images = [np.full((40, 60), 0.5, np.float32) for _ in range(2)]
    images[0][10:20, 10:30] = np.nan
    images[1][:, :7] = np.nan
    assert (sharpness_around(images) == 0).all()
