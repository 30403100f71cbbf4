"""Frames out of focus order: named where they are, and only there."""

import numpy as np
import pytest
import tifffile
from conftest import shared_data
from textures import blurred, texture

import dfd
from dfd.cli.commands import app
from dfd.console import call
from dfd.imaging import reduce
from dfd.io.images import read_image
from dfd.prepare import order_jumps, order_note, scale_jumps
from dfd.psf import Psf


def sweep(rng, places, *, noise=0.002, shape=(90, 140)):
    """A textured slope at blurs of `places` px: half of the rows lie on each side of focus."""
    sharp = texture(shape, rng)
    depth = np.linspace(-4, 4, shape[0] // 10)
    images = []
    for place in places:
        rows = [blurred(sharp, abs(place - at) + 0.01, Psf("disk", 0.4))[10 * k:10 * k + 10] for k, at in enumerate(depth)]
        images.append((np.vstack(rows) + noise * rng.standard_normal((len(depth) * 10, shape[1]))).astype(np.float32))
    return images


def test_a_block_that_stands_elsewhere_is_named_at_both_its_ends(rng):
    images = sweep(rng, np.linspace(-5, 5, 21))
    assert order_jumps(images) == ()
    moved = [*images[:3], *images[14:18], *images[3:14], *images[18:]]
    assert order_jumps(moved) == ((2, 3), (6, 7), (17, 18))
    assert order_jumps(images[::-1]) == ()


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_uneven_and_coarse_steps_are_no_jump(rng, noise):
    fine = np.linspace(-5, 0, 11)
    assert order_jumps(sweep(rng, [*fine, 2.5, 5.0], noise=noise)) == ()
    assert order_jumps(sweep(rng, np.linspace(-5, 5, 5), noise=noise)) == ()


def test_a_flat_scene_looks_alike_on_both_sides_of_focus_and_is_no_jump(rng):
    sharp = texture((80, 120), rng)
    assert order_jumps([blurred(sharp, abs(blur) + 0.01, Psf("disk", 0.4)) for blur in np.linspace(-5, 5, 15)]) == ()


def test_few_frames_and_frames_without_data_show_nothing(rng):
    images = sweep(rng, [-5, 5, -4, 4])
    assert order_jumps(images) == ()
    assert order_jumps([np.full((20, 30), np.nan, np.float32)] * 6) == ()


def test_the_sentence_names_the_frames():
    note = order_note(((0, 1), (3, 4)), ["a.png", "b.png", "c.png", "d.png", "e.png"])
    assert note.startswith("frames seem out of focus order at a.png - b.png, d.png - e.png: ")
    assert note.endswith("nothing was reordered")


def breathing(scales):
    """Maps that magnify about the middle of 300 x 200 px."""
    return [np.array([[scale, 0, (1 - scale) * 149.5], [0, scale, (1 - scale) * 99.5], [0, 0, 1]]) for scale in scales]


@pytest.mark.parametrize("way", [1, -1])
def test_magnification_that_turns_back_names_the_pair(way):
    scales = np.array([0.953, 0.962, 0.979, 1.0, 1.014, 1.029, 1.051])[::way]
    assert scale_jumps(breathing(scales), (200, 300)) == ()
    assert scale_jumps(breathing(scales[[0, 1, 3, 2, 4, 5, 6]]), (200, 300)) == ((2, 3),)
    assert scale_jumps(breathing(scales[[0, 5, 2, 3, 4, 1, 6]]), (200, 300)) == ((1, 2), (4, 5))


def test_magnification_that_hardly_changes_or_wanders_shows_nothing(rng):
    assert scale_jumps(breathing(1 + 4e-4 * rng.standard_normal(20)), (200, 300)) == ()
    assert scale_jumps(breathing(1 + 0.01 * (np.arange(12) % 2)), (200, 300)) == ()
    assert scale_jumps(breathing([0.98, 1.0, 0.99, 1.02]), (200, 300)) == ()


def upstream():
    """(files in the order of their upstream numbers) of the rendered relief."""
    folder = shared_data("stacks/he2023_synth")
    rows = [line.split() for line in (folder / "upstream_numbers.txt").read_text().splitlines() if line.strip()]
    return [folder / name for name, _ in sorted(rows, key=lambda row: int(row[1]))]


def test_the_upstream_numbering_of_the_rendered_relief_is_wrong_at_six_places():
    files = upstream()
    images = [reduce(read_image(path).values, 2) for path in files]
    jumps = [(one + 1, other + 1) for one, other in order_jumps(images)]
    assert jumps == [(3, 4), (5, 6), (6, 7), (34, 35), (35, 36), (39, 40)]
    assert order_jumps([image for _, image in sorted(zip(files, images, strict=True))]) == ()


def test_the_whole_job_warns_of_the_order_and_keeps_it(tmp_path):
    files = upstream()[:12]
    for number, path in enumerate(files):
        tifffile.imwrite(tmp_path / f"{number:02d}.tiff", np.rint(65535 * read_image(path).values).astype(np.uint16))
    with pytest.warns(UserWarning, match=r"out of focus order at 02\.tiff - 03\.tiff, 04\.tiff - 05\.tiff, 05\.tiff - "):
        capture = dfd.read_capture(tmp_path, align="none")
    assert capture.coordinates == tuple(range(12))


def moving_stack(folder, rng, odd):
    """Frames of a hand that moves on, focused from near to far; frame `odd` shows another scene."""
    still = texture((300, 400), rng)
    folder.mkdir()
    for k in range(9):
        seen = texture((300, 400), rng) if k == odd else still
        image = blurred(seen, abs(2.0 * (k - 4)) + 0.01, Psf("disk", 0.4))[5 * k:5 * k + 200, 9 * k:9 * k + 280]
        noise = 0.002 * rng.standard_normal(image.shape)
        tifffile.imwrite(folder / f"{k:02d}.tiff", np.clip(4e4 * (image + noise), 0, 65535).astype(np.uint16))
    return folder


def test_a_frame_that_is_left_out_may_stand_out_of_order(tmp_path, rng):
    folder = moving_stack(tmp_path / "in", rng, 6)
    with pytest.warns(UserWarning, match=r"^06\.tiff: could not be aligned \(nothing in common with 05\.tiff\); "
                                         r"it is left out; .* in the wrong place of the focus order\?"):
        dfd.read_capture(folder)
    tifffile.imwrite(folder / "06.tiff", np.zeros((200, 280), np.uint16))
    with pytest.warns(UserWarning, match=r"nothing to see in it\); it is left out; check its exposure$"):
        dfd.read_capture(folder)


def test_a_reference_of_another_scene_stops_the_job_by_name(tmp_path, rng, capsys):
    folder = moving_stack(tmp_path / "in", rng, 4)
    assert call(app, ["depth", str(folder), "-o", str(tmp_path / "out")], name="dfd") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("dfd: 04.tiff: this reference could not be aligned with 8 of the other 8 frames")
    assert line.endswith("(its number in the order of the input), such as that of 05.tiff, or leave it out")
    assert not (tmp_path / "out").exists()
    assert call(app, ["depth", str(folder), "-o", str(tmp_path / "out"), "--reference", "5"], name="dfd") == 0
