"""The all-in-focus image: each pixel from its sharpest frame, in any order, without holes."""

import tracemalloc
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from textures import blurred, plane_stack, texture

from dfd import allfocus
from dfd.depthmap import DepthMap
from dfd.fuse import AllInFocus, _by_agreement, _inside, sharpness_around
from dfd.imaging import gaussian, reduce
from dfd.kernels.seams import assign, votes
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


@pytest.mark.parametrize("right, down", [(2.0, 1.0), (0.4, -0.7), (0.4, 2.0), (-1.0, 0.4)])
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
    sharp, light = sharpness_around(images)
    assert (sharp == 0).all()
    for found, image in zip(light, images, strict=True):
        np.testing.assert_allclose(found, np.sqrt(image), atol=1e-3)  # NaN at the same pixels


def moving_leaf(rng, moved):
    """A dark leaf, 48 px wide, before a textured wall: sharp in the first of four frames, the wall in the third, where a
    hand that moved shows the leaf `moved` px further right."""
    wall, psf, frames = 0.5 + 0.3 * (texture((320, 480), rng) - 0.5), Psf("disk", 0.4), []
    for right, near, far in ((0, 0.01, 12), (0, 5, 7), (moved, 12, 0.01), (0, 12, 2)):
        leaf = np.zeros(wall.shape, np.float32)
        leaf[:220, 200 + right:248 + right] = 1
        cover = blurred(leaf, near, psf)
        frames.append((0.1 * cover + (1 - cover) * blurred(wall, far, psf)).astype(np.float32))
    return frames


@pytest.mark.parametrize("moved", [6, 12, 24])
def test_a_leaf_that_moved_is_seen_once_and_whole_where_frames_allow_it(rng, moved):
    """A row across the leaf is dark in one piece, although the wall where it hung is sharp in the frame in which it had
    moved; half its width away there is no telling which of the two is the picture, but it is one of them."""
    frames = moving_leaf(rng, moved)
    values = np.full(frames[0].shape, 2.0, np.float32)  # the wall, also where the leaf is
    values[:220, 196:200] = values[:220, 248:252] = 0.0  # but for its edges
    fusion = AllInFocus(values, (0.0, 1.0, 2.0, 3.0), around=sharpness_around([reduce(frame, 3) for frame in frames]))
    for number, frame in enumerate(frames):
        fusion.add(number, frame[..., None])
    image, index = fusion.result()
    dark, whole = (picture[20:190, 160:300] < 0.27 for picture in (image[..., 0], frames[0]))
    pieces = (np.diff(dark.astype(int), axis=1) == 1).sum(axis=1)
    assert (pieces == 1).mean() > 0.9
    if moved < 24:
        assert abs(dark.sum(axis=1) - whole.sum(axis=1)).max() <= 1  # px
    assert (index[20:300, 340:] == 2).mean() > 0.9 and (index[20:300, :140] == 2).mean() > 0.9


def test_a_seam_shows_no_frame_that_lies_between(rng):
    """Sharp left in the first of seven frames, right in the last: those between, of another brightness, stay out."""
    sharp, soft = texture((96, 200), rng).astype(np.float32), np.full((96, 200), 0.5, np.float32)
    left, right = sharp.copy(), sharp.copy()
    left[:, 100:], right[:, :100] = 0.5, 0.5
    frames = [left, *[soft * 0.6] * 5, right]
    values = np.where(np.arange(200) < 100, 0.0, 6.0) * np.ones((96, 1))
    for around in (None, sharpness_around(frames)):
        fusion = AllInFocus(values.astype(np.float32), range(7), around=around)
        for number, frame in enumerate(frames):
            fusion.add(number, frame[..., None])
        assert np.isin(fusion.result()[1], (0, 6)).all()


def test_a_seam_between_frames_far_apart_is_a_few_pixels_of_both():
    """The step from the first to the last of seven frames of different brightness rises over 1 to 4 px, along both axes."""
    for turn in (lambda array: array, lambda array: array.swapaxes(0, 1)):
        values = turn(np.where(np.arange(80) < 38, 0.0, 6.0) * np.ones((60, 1)))
        image, index = fused(values, range(7), constant_frames(7, values.shape))
        rise = turn(image[..., 0])
        between = ((rise > 0.01) & (rise < 5.99)).sum(axis=1)
        assert between.min() >= 1 and between.max() <= 4
        assert (np.diff(rise, axis=1) >= -1e-5).all() and (rise[:, :34] < 0.01).all() and (rise[:, 42:] > 5.99).all()
        np.testing.assert_array_equal(index, np.where(image[..., 0] > 3, 6, 0))


@pytest.mark.parametrize("count", [5, 23])  # more than 16 frames are chosen from in groups
@pytest.mark.parametrize("order", ["ascending", "shuffled"])
def test_sharpness_around_belongs_to_its_frame_whatever_their_order(rng, count, order):
    """Where depth is unknown, strips of texture come from the only frame in which they are sharp."""
    numbers = np.arange(count) if order == "ascending" else rng.permutation(count)
    sharp, strips = 0.5 + 0.4 * (texture((80, 40 * 4), rng) - 0.5), rng.choice(count, 4, replace=False)
    frames = [np.full(sharp.shape, 0.5, np.float32) for _ in range(count)]
    for strip, number in enumerate(strips):
        frames[number][:, 40 * strip:40 * (strip + 1)] = sharp[:, 40 * strip:40 * (strip + 1)]
    fusion = AllInFocus(np.full(sharp.shape, np.nan, np.float32), numbers.astype(float), around=sharpness_around(frames))
    for number, frame in enumerate(frames):
        fusion.add(number, frame[..., None])
    _, index = fusion.result()
    for strip, number in enumerate(strips):
        assert (index[:, 40 * strip + 10:40 * strip + 30] == number).mean() > 0.95


def test_the_nearest_frame_in_the_sweep_fills_what_the_best_does_not_show():
    """Frames 0 to 6, the best is 4; 4 and 3 do not show the left, 5 neither: 6 is nearer than 2 from 4.2, 2 from 3.8."""
    matrices = [np.eye(3) for _ in range(7)]
    for number in (3, 4, 5):
        matrices[number] = shifted(6)
    for place, expected in ((4.2, 6), (3.8, 2)):
        fusion = AllInFocus(np.full((24, 36), place, np.float32), range(7), matrices=matrices)
        for number, frame in enumerate(constant_frames(7, (24, 36))):
            fusion.add(number, frame)
        image, index = fusion.result()
        assert (index[:, :6] == expected).all() and (index[:, 6:] == 4).all()
        np.testing.assert_allclose(image[:, :6], expected, atol=1e-5)


def test_frames_that_were_left_out_shift_neither_brightness_nor_numbers(tmp_path):
    """The main job with the second of four frames left out: gains belong to files, not to places in the stack."""
    path, kept, gains = tmp_path / "frame.png", (0, 2, 3), np.array([1.0, 7.0, 2.0, 4.0])
    cv2.imwrite(str(path), np.zeros((48, 60), np.uint8))
    prepared = SimpleNamespace(
        kept=kept, gains=gains, matrices=np.stack([np.eye(3)] * 4), reduction=1, around=None,
        source=SimpleNamespace(frames=[SimpleNamespace(path=path)]),
        picture=lambda number: np.full((48, 60, 1), 0.1 * (number + 1), np.float32))
    values = (np.ones((48, 1)) * np.repeat([0.0, 2.0, 3.0], 20)).astype(np.float32)
    image, index = allfocus.fused(prepared, (0.0, 2.0, 3.0), DepthMap(values, np.zeros_like(values), "steps"), None)
    for column, number in ((5, 0), (30, 2), (55, 3)):
        assert (index[:, column] == number).all()
        np.testing.assert_allclose(image[:, column], gains[number] * 0.1 * (number + 1), rtol=1e-5)


# -- pictures that differ in channels, size and white


def pieced(channels, order=(0, 1, 2), shape=(41, 60)):
    """(image, index) of a sweep of three frames in equal parts; frame k shows 0.2 (k + 1), its channels as given."""
    fusion = AllInFocus(np.repeat(np.arange(3.0), 20)[None].repeat(shape[0], 0).astype(np.float32), range(3))
    for number in order:
        fusion.add(number, np.full((*shape, channels[number]), 0.2 * (number + 1), np.float32))
    return fusion.result()


@pytest.mark.parametrize("channels", [(1, 3, 3), (3, 1, 3), (3, 3, 1), (1, 1, 3)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_grey_among_colour_is_that_grey_in_every_channel(channels, order):
    image, _ = pieced(channels, order)
    expected, _ = pieced((3, 3, 3), order)
    np.testing.assert_array_equal(image, expected)


def test_a_picture_of_another_size_or_of_two_channels_is_refused_before_it_is_read():
    fusion = AllInFocus(np.ones((40, 50), np.float32), range(3), size=(42, 50))
    fusion.add(0, np.ones((42, 50, 3), np.float32))
    for shape in ((40, 50, 3), (42, 51, 3), (43, 50, 3), (42, 50)):
        with pytest.raises(ValueError, match=r"picture of frame 1 \(shape .* must be \(42, 50\) and C channels, .*; was it"):
            fusion.add(1, np.ones(shape, np.float32))
    with pytest.raises(ValueError, match=r"frame 1 \(2 channels\) must have 1 or the 3 of the others; save all"):
        fusion.add(1, np.ones((42, 50, 2), np.float32))


@pytest.mark.parametrize("right", [0.0, 0.4])
def test_white_stays_white_whatever_the_gain(right):
    """A lamp at white in every frame is 1 although the frames were matched by 1 and 0.8; what is below white follows."""
    picture = np.full((40, 60, 3), 0.5, np.float32)
    picture[10:30, 15:45] = 1.0
    picture[10:30, 15:45, 2] = 0.9
    values = np.repeat([0.0, 1.0], 30)[None].repeat(40, 0).astype(np.float32)
    fusion = AllInFocus(values, range(2), matrices=[shifted(right)] * 2)
    for number, gain in enumerate((1.0, 0.8)):
        fusion.add(number, picture, gain=gain)
    image, _ = fusion.result()
    np.testing.assert_allclose(image[14:26, 20:40, :2], 1, atol=1e-3)
    np.testing.assert_allclose(image[14:26, 34:40, 2], 0.72, atol=1e-3)
    np.testing.assert_allclose(image[14:26, 50:, 0], 0.4, atol=1e-3)


# -- the labels of cells, and the memory that they take


def agreement_in_arrays(rank, around, order, matrices, size):
    """Labels of at most 16 frames as whole arrays over all of them: the reference."""
    around, cells = around[:, order], around.shape[2:]
    factor, count = rank.shape[0] // cells[0], len(order)
    sharp, known = around[0].astype(np.float32), np.isfinite(around[1])
    y, x = (((np.arange(length) + 0.5) * factor - 0.5) for length in cells)
    inside = np.stack([(m[0, 0] * x + m[0, 2] >= 0) & (m[0, 0] * x + m[0, 2] <= size[1] - 1)
                       & ((m[1, 1] * y + m[1, 2] >= 0) & (m[1, 1] * y + m[1, 2] <= size[0] - 1))[:, None] for m in matrices])
    most = sharp.max(axis=0)
    usual = max(0.5 * float(np.median(most)), 1e-6)
    cost = (most - sharp) / np.sqrt(usual * (usual + most))
    mean = np.sum(np.where(known, cost, 0), axis=0) / np.maximum(known.sum(axis=0), 1)
    cost = np.where(known | ~inside, cost, np.float32(0.3) * mean) + np.float32(2) * ~inside
    cost = cost.astype(np.float32) - np.float32(0.15) * votes(rank, factor, (0, count), 1.5, cells)
    light = np.nan_to_num(around[1].astype(np.float32), nan=1.0)
    return assign(cost, np.float32(125) * light, step=0.1, rounds=2)


def random_sweep(rng, count, cells=(31, 47), factor=3):
    """(rank, around, order, matrices): frames in any order, shifted and zoomed, saturated in places."""
    smooth = [gaussian(rng.random(cells, dtype=np.float32), 2.0) for _ in range(2 * count)]
    around = np.reshape(smooth, (2, count, *cells)).astype(np.float16)
    around[0] = 40 * abs(around[0] - around[0].mean(axis=0))
    around[1] = 0.5 + 0.1 * (around[1] - 0.5)
    around[1, :, 5:12, 20:30] = np.nan
    around[1][rng.random((count, *cells)) < 0.02] = np.nan
    rank = (rng.random((cells[0] * factor, cells[1] * factor)) * (count - 1)).astype(np.float32)
    rank[rng.random(rank.shape) < 0.3] = np.nan
    matrices = np.stack([np.diag([zoom, zoom, 1.0]) for zoom in 1 + 0.1 * rng.random(count)])
    matrices[:, 0, 2], matrices[:, 1, 2] = 9 * (rng.random((2, count)) - 0.5)
    return rank, around, rng.permutation(count), matrices


@pytest.mark.parametrize("count", [3, 7, 16])
def test_labels_from_one_frame_at_a_time_equal_those_of_whole_arrays(rng, count):
    rank, around, order, matrices = random_sweep(rng, count)
    labels, factor = _by_agreement(rank, around, order, matrices, rank.shape, 1)
    expected = agreement_in_arrays(rank, around, order, matrices, rank.shape)
    np.testing.assert_array_equal(labels, expected)
    assert factor == 3 and len(np.unique(labels)) > count / 2


def test_memory_beyond_what_comes_in_does_not_grow_with_the_frames(rng):
    """From 32 to 160 frames, beyond `around`: less than 16 float32 planes of cells, one for every eighth frame."""
    shape, cells, peaks = (360, 480), (120, 160), []
    for count in (32, 160):
        around = rng.random((2, count, *cells)).astype(np.float16)
        values = (rng.random(shape) * count).astype(np.float32)
        AllInFocus(values[:8, :8], range(3))  # loops are compiled before
        tracemalloc.start()
        AllInFocus(values, range(count), around=around)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 16 * 4 * cells[0] * cells[1]


def still(count):
    return np.stack([np.eye(3)] * count)


def cells_of(sharp, light):
    """`around` of (K, h, w) sharpness and root of light."""
    return np.stack(np.broadcast_arrays(sharp, light)).astype(np.float16)


def unknown(cells, factor=3):
    return np.full((cells[0] * factor, cells[1] * factor), np.nan, np.float32)


@pytest.mark.parametrize("count", [2, 32])
@pytest.mark.parametrize("white", [False, True])
def test_a_seam_runs_where_frames_or_groups_look_alike(count, white):
    """The first frame is sharp left, the last right, both between; their light is the same in two columns only, and may be
    white there, which is saturated in the one and just below in the other."""
    sharp, light = np.zeros((count, 30, 41)), np.zeros((count, 30, 41))
    sharp[0, :, :33] = sharp[-1, :, 8:] = 10
    light[count // 2:] = 0.6
    light[:, :, 19:21] = 0.98 if white else 0.3
    if white:
        light[:count // 2, :, 19:21] = np.nan
    labels, _ = _by_agreement(unknown((30, 41)), cells_of(sharp, light), np.arange(count), still(count), (90, 123),
                              -(-count // 16))
    assert (labels[:, :20] == 0).all() and (labels[:, 20:] == count - 1).all()


@pytest.mark.parametrize("count, sharpest, depth, expected",
                         [(16, 8, 8.6, 9), (16, 8, 8.9, 8), (32, 10, 11.2, 11), (32, 10, 11.8, 10)])
def test_depth_is_believed_up_to_three_quarters_of_a_frame_or_group_beside_the_chosen(count, sharpest, depth, expected):
    """More than 16 frames are chosen from in groups, here of two."""
    sharp = np.zeros((count, 12, 16))
    sharp[sharpest] = 10
    fusion = AllInFocus(np.full((36, 48), depth, np.float32), range(count), around=cells_of(sharp, 0.5))
    fusion.add(0, np.zeros((36, 48, 1), np.float32))
    assert (fusion.result()[1] == expected).all()


def test_a_cell_outside_a_frame_does_not_choose_it():
    sharp = np.zeros((2, 20, 30))
    sharp[1] = 10
    matrices = np.stack([np.eye(3), shifted(12)])
    labels, _ = _by_agreement(unknown((20, 30)), cells_of(sharp, 0.5), np.arange(2), matrices, (60, 90), 1)
    assert (labels[:, :4] == 0).all() and (labels[:, 4:] == 1).all()


def test_depth_may_choose_a_saturated_frame_where_others_see_nothing_sharper():
    """A saturated cell costs a share of the mean of the others, not what its lack of sharpness would."""
    sharp, light, rank = np.zeros((3, 24, 30)), np.ones((3, 24, 30)), unknown((24, 30))
    sharp[0] = 10
    block = np.s_[6:18, 8:22]
    sharp[2][block], light[1][block] = 10, np.nan
    rank[18:54, 24:66] = 1
    labels, _ = _by_agreement(rank, cells_of(sharp, light), np.arange(3), still(3), (72, 90), 1)
    assert (labels[block] == 1).all() and (labels != 0).sum() == labels[block].size


def test_the_middle_of_a_cell_decides_whether_it_lies_inside_a_frame():
    """Cells of 4 px have their middles at 1.5, 5.5, ... px; a frame ends at its last pixel, and begins at its first."""
    for right, down, columns, rows in ((0, 0, slice(0, 5), slice(0, 3)), (1.5, 0, slice(0, 5), slice(0, 3)),
                                       (2.0, 2.0, slice(1, 5), slice(1, 4)), (-0.6, -1.0, slice(0, 4), slice(0, 3))):
        matrix = shifted(right)
        matrix[1, 2] = -down
        expected = np.zeros((6, 7), bool)
        expected[rows, columns] = True
        np.testing.assert_array_equal(_inside(matrix, (6, 7), 4, (13, 19)), expected)


def test_a_seam_between_cells_lies_on_their_border():
    """Cells of 4 px, the first of seven frames chosen left of pixel 40 and the last from there on; and the same turned."""
    for turn in (lambda array: array, lambda array: array.swapaxes(-1, -2)):
        sharp = np.zeros((7, 15, 20))
        sharp[0, :, :10] = sharp[6, :, 10:] = 10
        values = turn(np.full((60, 80), np.nan, np.float32))
        fusion = AllInFocus(values, range(7), around=cells_of(turn(sharp), 0.5))
        for number, frame in enumerate(constant_frames(7, values.shape)):
            fusion.add(number, frame)
        image, index = fusion.result()
        image, index = turn(image[..., 0]), turn(index)
        assert (index[:, :40] == 0).all() and (index[:, 40:] == 6).all()
        np.testing.assert_allclose(image[:, 39::-1] + image[:, 40:], 6, atol=1e-4)
        assert (image[:, 39] > 0.5).all()


@pytest.mark.parametrize("turns", range(4))
def test_the_last_pixel_of_a_picture_counts(turns):
    """A line of light along any border reaches the pixels between it and its neighbour."""
    picture = np.zeros((30, 40), np.float32)
    picture[:, -1] = 1
    picture = np.ascontiguousarray(np.rot90(picture, turns))
    matrix = np.eye(3)
    matrix[0, 2], matrix[1, 2] = ((0.4, 0), (0, -0.4), (-0.4, 0), (0, 0.4))[turns]
    fusion = AllInFocus(np.zeros(picture.shape, np.float32), range(2), matrices=[matrix] * 2)
    fusion.add(0, picture[..., None])
    image = np.rot90(fusion.result()[0][..., 0], -turns)
    assert (image[4:-4, -2] > 0.3).all() and abs(image[4:-4, :-5]).max() < 1e-6


def test_frames_larger_than_the_map_are_used_to_their_own_border():
    """A frame of 45 x 72 px, seen 6 px further down and 10 px further right, holds all of a map of 39 x 60 px."""
    sharp = np.zeros((2, 13, 20))
    sharp[1] = 10
    matrix = shifted(-10)
    matrix[1, 2] = 6
    fusion = AllInFocus(np.full((39, 60), np.nan, np.float32), range(2), matrices=[np.eye(3), matrix], size=(45, 72),
                        around=cells_of(sharp, 0.5))
    y, x = np.mgrid[:45, :72].astype(np.float32)
    fusion.add(0, np.zeros((45, 72, 1), np.float32))
    fusion.add(1, (x + 100 * y)[..., None])
    image, index = fusion.result()
    assert (index == 1).all()
    np.testing.assert_array_equal(image[..., 0], (x + 100 * y)[6:, 10:70])
