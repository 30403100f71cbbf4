"""The all-in-focus image: each pixel from its sharpest frame, in any order, without holes."""

import numpy as np
import pytest
from textures import blurred, plane_stack, texture

from dfd.fuse import AllInFocus
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


def test_a_pixel_without_data_in_its_best_frame_comes_from_another():
    frames = constant_frames(3)
    frames[1][:, :5] = np.nan
    image, index = fused(np.full((23, 37), 2.0), (1.0, 2.0, 3.0), frames)
    assert np.isin(index[:, :5], (0, 2)).all()
    assert (index[:, 6:] == 1).all()
    assert np.isfinite(image).all()


def test_a_pixel_that_no_frame_has_is_marked():
    frames = [np.full((9, 11, 1), np.nan, np.float32)] * 3
    _, index = fused(np.full((9, 11), 2.0), (1.0, 2.0, 3.0), frames)
    assert (index == -1).all()


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
