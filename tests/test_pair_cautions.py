"""What the user of a dual-pixel pair is told before it is solved: a wrong axis, an offset, saturation, uneven light."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import shared_data
from dualraw import WHITE, dual_raw, frames
from textures import blurred, texture

from dfd import cautions
from dfd.assemble import outline, prepare_capture
from dfd.imaging import reduce
from dfd.io.images import read_grey
from dfd.io.sources import open_source
from dfd.pipeline import read_capture
from dfd.prepare import shift_note, view_ratio, view_shift
from dfd.psf import Psf

SHAPE = (420, 560)


def views(rng, *, shape=SHAPE, near=6.0, far=-3.0, offset=0):
    """(left, right) of a slant between two blurs [px], which differ along x; the left one lies `offset` px lower."""
    sharp = texture(shape, rng)
    share = np.linspace(0, 1, shape[1])[None]
    pair = [(blurred(sharp, near, Psf(model)) * share + blurred(sharp, far, Psf(model)) * (1 - share)).astype(np.float32)
            for model in ("half-left", "half-right")]
    return np.roll(pair[0], offset, axis=0), pair[1]


def test_a_shift_is_measured_with_its_sign(rng):
    image = texture(SHAPE, rng).astype(np.float32)
    found = view_shift(np.roll(image, (2, 5), axis=(0, 1)), image)
    assert np.abs(np.array(found.shift) - (5, 2)).max() < 0.02 and max(found.spread) < 0.05  # px
    disparity = 0.4244 * 6  # nearer: further right in the left view
    near = [blurred(texture(SHAPE, np.random.default_rng(3)), 6.0, Psf(model)).astype(np.float32)
            for model in ("half-left", "half-right")]
    assert view_shift(*near).shift[0] == pytest.approx(disparity, abs=0.3)


def test_the_axis_is_told_when_it_is_the_other_one_and_only_then(rng):
    left, right = views(rng)
    assert shift_note(view_shift(left, right), "x") == ""
    assert "differ along x" in shift_note(view_shift(left, right), "y")
    turned = [np.ascontiguousarray(image.T) for image in (left, right)]
    assert "differ along y" in shift_note(view_shift(*turned), "x") and "--axis y" in shift_note(view_shift(*turned), "x")
    assert shift_note(view_shift(*turned), "y") == ""


@pytest.mark.parametrize("shape", [(160, 240), (128, 128)])
def test_small_pictures_tell_their_axis_and_offset_too(shape, rng):
    left, right = views(rng, shape=shape)
    assert shift_note(view_shift(left, right), "x") == ""
    assert "--axis y" in shift_note(view_shift(left.T.copy(), right.T.copy()), "x")
    note = shift_note(view_shift(np.roll(left, 3, axis=0), right), "x")
    assert note.startswith(("one view lies 3 px off the other along y", "one view lies 2.9 px off"))
    assert view_shift(left[:100, :100], right[:100, :100]) is None


def test_a_constant_offset_is_told_as_one(rng):
    left, right = views(rng, offset=3)
    assert shift_note(view_shift(left, right), "x").startswith("one view lies 3 px off the other along y, everywhere alike")


def test_flat_and_unknown_images_tell_nothing():
    flat = np.full(SHAPE, 0.5, np.float32)
    assert view_shift(flat, flat) is None and shift_note(None, "x") == ""
    unknown = np.full(SHAPE, np.nan, np.float32)
    assert view_shift(unknown, unknown) is None and view_ratio(unknown, unknown) is None


def test_uneven_light_is_evened_and_even_light_left_alone(rng):
    left, right = views(rng)
    falling = np.linspace(1.3, 0.8, SHAPE[1], dtype=np.float32)[None]
    ratio = view_ratio(left, right / falling)
    assert np.sqrt(np.mean((ratio / falling - 1) ** 2)) < 0.03
    assert view_ratio(left, right) is None
    assert view_ratio(left[:200], (right / falling)[:200]) is None  # too small to tell light from displacement
    small = view_ratio(*(reduce(image, 2) for image in (left, right / falling)), reduction=2)
    assert np.sqrt(np.mean((small / falling[:, ::2] - 1) ** 2)) < 0.03


def write_pair(folder, left, right, camera=""):
    for name, image in (("l.png", left), ("r.png", right)):
        cv2.imwrite(str(folder / name), np.rint(np.clip(image, 0, 1) * 65535).astype(np.uint16))
    (folder / "capture.toml").write_text("[camera]\nlinear = true\n" + camera)
    return folder


def test_the_capture_is_evened_and_the_user_told(rng, tmp_path):
    left, right = views(rng)
    falling = np.linspace(1.3, 0.8, SHAPE[1], dtype=np.float32)[None]
    with pytest.warns(UserWarning, match=r"left view is 0.8\d to 1.2\d times as bright .*white sheets"):
        capture = read_capture(write_pair(tmp_path, left * 0.6, right * 0.6 / falling))
    assert np.sqrt(np.mean((capture.right / (right * 0.6) - 1) ** 2)) < 0.03


@pytest.mark.parametrize(("change", "told"), [
    (lambda left: left * 0, "l.npy: the left view shows nothing: it is black"),
    (lambda left: -left - 0.1, r"l.npy: the left view shows nothing: all values are negative \(largest -0.\d+ of white"),
    (lambda left: left * 0 + 0.5, "l.npy: the left view shows nothing: every pixel is 0.5 of white"),
    (lambda left: left * 0.1, r"l.npy: the left view has 0.1 of the light of the other \(at least 0.2"),
    (None, "both views show the same values, pixel by pixel"),
])
def test_a_view_that_shows_nothing_is_refused_by_name(change, told, rng, tmp_path):
    left, right = views(rng, shape=(90, 140))
    np.save(tmp_path / "l.npy", (right.astype(np.float64) if change is None else change(left)))
    np.save(tmp_path / "r.npy", right)
    with pytest.raises(ValueError, match=told) as refused:
        read_capture(tmp_path)
    assert "leave" not in str(refused.value)


def test_the_noise_of_the_evened_view_is_scaled_with_it(rng, tmp_path):
    """The right view at half the light and more: its noise, as a share of the brightness, becomes that of twice as much."""
    left, right = views(rng)
    half = np.linspace(2.6, 1.6, SHAPE[1], dtype=np.float32)[None]
    folder = write_pair(tmp_path, left * 0.6, right * 0.6 / half, "gain_e_per_dn = 0.5\nread_noise_e = 20.0\n")
    with pytest.warns(UserWarning, match="left view is"):
        one, other = (view.noise for view in read_capture(folder).views)
    assert other.variance(0.5) / one.scaled(2.1).variance(0.5) == pytest.approx(1, rel=0.03)
    assert other.variance(0.5) > 1.5 * one.variance(0.5)


def test_the_colours_of_the_right_view_are_evened_as_its_image_is(rng, tmp_path):
    left, right = views(rng)
    falling = np.linspace(1.3, 0.8, SHAPE[1], dtype=np.float32)[None]
    source = open_source(write_pair(tmp_path, left * 0.6, right * 0.6 / falling))
    prepared = prepare_capture(source, align="none")
    assert prepared.ratio is not None
    for index in (0, 1):
        colours = prepared.picture(index).mean(axis=2)
        np.testing.assert_allclose(colours, prepared.capture.images[index], atol=2e-4)  # of white
    assert np.abs(prepared.picture(1).mean(axis=2) / (right * 0.6 / falling) - 1).max() > 0.1


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_pair_knows_which_way_is_up_in_its_files(rng, tmp_path, orientation):
    main, sub = frames(rng, shape=(96, 140))
    source = open_source([dual_raw(tmp_path / "IMG.dng", main, sub)])
    reference = source.reference
    turned = [replace(frame, orientation=orientation) if index == reference else replace(frame, orientation=3)
              for index, frame in enumerate(source.frames)]
    source = replace(source, frames=type(source.frames)(turned))
    assert outline(source).orientation == orientation
    assert prepare_capture(source, align="none").capture.orientation == orientation


def test_a_turned_pair_is_told_when_it_is_read(rng, tmp_path):
    left, right = views(rng)
    write_pair(tmp_path, left.T, right.T)
    with pytest.warns(UserWarning, match="l.png: the views differ along y .*pass --axis y"):
        read_capture(tmp_path)


def test_a_saturated_main_frame_is_told_with_its_share(rng, tmp_path):
    main, sub = frames(rng, shape=(96, 140))
    main[:40] = WHITE
    with pytest.warns(UserWarning, match="IMG.dng: 43% of the pixels of its main frame are saturated.*expose shorter"):
        read_capture([dual_raw(tmp_path / "IMG.dng", main, sub)])
    source = open_source([tmp_path / "IMG.dng"])
    images = np.zeros((2, 96, 140), np.float32)
    images[0, :4] = np.nan  # 4.2 % are worth no word
    assert cautions.views(source, images) == ()


@pytest.mark.parametrize(("folder", "names", "levels"), [
    ("dp/iccp2020_dslr_005", ("005_L.jpg", "005_R.jpg"), {}),
    ("dp/sdirt_dp119_sample/real_sample_set/box/003", ("l.png", "r.png"), {}),
    ("dp/sdirt_dp119_sample/real_sample_set/flat/001/0600/f20", ("l.png", "r.png"), {}),
    ("dp/xin2021_pixel4/DP_data_pixel_4", ("003_left.png", "003_right.png"),
     {"linear": True, "black_level": 1024, "white_level": 16383}),
])
def test_real_pairs_are_silent_as_they_stand_and_told_when_turned(folder, names, levels):
    left, right = (read_grey(shared_data(folder) / name, **levels).values for name in names)
    assert shift_note(view_shift(left, right), "x") == ""
    turned = shift_note(view_shift(left.T.copy(), right.T.copy()), "x")
    assert ("--axis y" in turned) is ("f20" not in folder)  # a stopped-down pair differs nowhere
    assert (view_ratio(left, right) is not None) is ("pixel4" in folder)
