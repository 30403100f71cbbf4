"""Room on disk for large stacks: as good as memory within a tenth of the noise, bounded, and nothing left behind."""

import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest

from dfd.io import scratch
from dfd.io.scratch import Scratch, code_cost, code_range, exact, new_frames, scratch_folder, serves
from dfd.noise import LUMINANCE_TAPS, Noise

SHAPE = (3, 37, 53)
CAMERAS = [Noise(2e4, 3.0), Noise(7 * 9e4, 2.0 * 7**0.5), Noise(300.0, 8.0)]
"""A usual camera, the luminance of a very good one, and a small one in the dark."""


@pytest.fixture
def on_disk(monkeypatch):
    """However small, frames go to disk."""
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 0)


@pytest.mark.parametrize("noise", CAMERAS)
def test_codes_cost_less_than_a_tenth_of_the_noise(rng, on_disk, noise):
    images = rng.uniform(-2 * noise.read_noise / noise.gain, 1.2, SHAPE).astype(np.float32)
    images[1, 3:5, 7] = np.nan
    frames = new_frames(SHAPE, noise, (1.0, 1.0))
    assert frames._codes.dtype == np.uint16
    for k, image in enumerate(images):
        frames[k] = image
    found = frames[:]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), np.isnan(images))
    error = (found - images) / np.sqrt(noise.variance(images))
    assert np.sqrt(np.nanmean(error**2)) < 0.1 and abs(np.nanmean(error)) < 0.01
    dark, top = code_range(noise, 1.0)
    assert code_cost(noise, dark, top) < 0.1


def test_images_finer_than_the_codes_stay_as_they_are(rng, on_disk):
    images = rng.random(SHAPE, dtype=np.float32)
    frames = new_frames(SHAPE, Noise(1e12, 1.0), (1.0, 1.0))
    for k, image in enumerate(images):
        frames[k] = image
    np.testing.assert_array_equal(frames[:], images)
    np.testing.assert_array_equal(frames[:, 5:9, 11:20], images[:, 5:9, 11:20])
    first = frames.head(2)
    np.testing.assert_array_equal(np.asarray(first), images[:2])
    assert len(first) == 2 and first.shape == (2, *SHAPE[1:])
    assert len(frames) == 3 and frames.shape == SHAPE  # as it was
    np.testing.assert_array_equal(frames[2], images[2])


def test_few_frames_stay_in_memory():
    assert isinstance(new_frames(SHAPE, None, (1.0, 1.0)), np.ndarray)


def test_pages_are_given_back(on_disk):
    """200 MB through a map: the process does not grow by more than a frame's temporaries."""
    frames = Scratch((10, 2000, 2500), dark=0.01, top=2.0)
    image = np.zeros((2000, 2500), np.float32)
    frames[0] = image
    before = resident()
    for k in range(10):
        frames[k] = image
        assert frames[k, 5, 5] == pytest.approx(0, abs=1e-5)
    assert resident() - before < 60e6


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_the_file_has_no_name(on_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    frames = Scratch(SHAPE, dark=None, top=1.0)
    assert list(tmp_path.iterdir()) == [] and frames[0].shape == SHAPE[1:]


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _: scratch.shutil._ntuple_diskusage(10**10, 10**10, 10**8))
    with pytest.raises(OSError, match=r": 0 GB can be used, 4 GB are needed for the registered frames; free some space, set "
                                      r"TMPDIR to a larger disk, or use --preview"):
        Scratch((10, 10000, 10000), dark=None, top=1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_file_size_limit_is_an_error_not_the_end_of_the_program():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, hard))
    try:
        with pytest.raises(OSError, match=r"cannot take 0\.016 GB for the registered frames \(.*\); free some space, "
                                          r"raise the file size limit, or set TMPDIR"):
            Scratch((2, 1000, 2000), dark=None, top=1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_lies_above_the_codes_is_unknown_and_what_lies_below_is_cut():
    frames = Scratch((1, 1, 5), dark=0.01, top=2.0)
    frames[0] = np.array([[-0.5, -0.005, 1.999, 2.01, np.inf]], np.float32)
    np.testing.assert_array_equal(np.isnan(frames[0]), [[False, False, False, True, True]])
    np.testing.assert_allclose(frames[0, 0, :3], [-0.01, -0.005, 1.999], atol=1e-4)


@pytest.mark.parametrize("taps", [(1.0,), LUMINANCE_TAPS])
@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_the_cost_of_codes_is_that_of_the_second_difference_after_coding_twice(rng, taps, factor):
    """Measured on flat noisy fields from black to white; the cost allows for flicker, so it is a little above."""
    noise = Noise(2e6, 20.0, taps)
    cost = code_cost(noise, *code_range(noise, 1.0), factor)
    assert 0.6 * cost < worst_error(rng, noise, factor, (0.0, 1e-4, 1e-3, 0.02, 0.2, 0.9)) < 1.05 * cost


@pytest.mark.parametrize("dimmest", [1.0, 0.3])
@pytest.mark.parametrize(("read_noise", "darkest"), [(20.0, 0.0), (5.0, 1e-5)])
def test_the_cost_allows_for_flicker_of_a_factor_of_one_and_a_half(rng, dimmest, read_noise, darkest):
    """Dimmed by 1.5 beyond what the camera says; nothing is darker than `darkest` before that.  Measured within 8 %."""
    noise = Noise(2e6, read_noise)
    cost = code_cost(noise, *code_range(noise, 1.0), dimmest, darkest)
    levels = darkest + np.array([0.0, 1e-5, 1e-4, 0.02, 0.9, 2.9])
    assert worst_error(rng, noise, dimmest / 1.5, levels) == pytest.approx(cost, rel=0.08)


def worst_error(rng, noise, factor, levels):
    """Largest deviation of second differences of flat fields coded, multiplied, coded again, per that of their noise."""
    frames, worst = Scratch((1, 400, 300), **dict(zip(("dark", "top"), code_range(noise, 1.0), strict=True))), 0.0
    for level in levels:
        white = rng.normal(size=(400, 300))
        for axis in (0, 1):
            white = np.apply_along_axis(np.convolve, axis, white, noise.taps, mode="same")
        field = (level + np.sqrt(noise.variance(level)) * white / np.sum(np.square(noise.taps))).astype(np.float32)
        frames[0] = field
        frames[0] = frames[0] * np.float32(factor)
        error = frames[0] - factor * field
        worst = max(worst, np.std(np.diff(error, 2)[9:-9, 9:-9]) / np.std(np.diff(factor * field, 2)[9:-9, 9:-9]))
    return worst


@pytest.mark.parametrize("brightest", [1.0, 4.0])
def test_frames_that_are_brightened_keep_what_flicker_and_overshoot_make_of_white(on_disk, brightest):
    frames = new_frames(SHAPE, CAMERAS[0], (1.0, brightest))
    frames[0] = np.full(SHAPE[1:], 2.9 * brightest, np.float32)
    np.testing.assert_allclose(frames[0], 2.9 * brightest, rtol=1e-4)


@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.2, 1.0)])
def test_codes_are_taken_up_to_a_tenth_of_the_noise_and_no_further(on_disk, factors):
    def cost(gain):
        return code_cost(Noise(gain, 10.0, LUMINANCE_TAPS), *code_range(Noise(gain, 10.0), factors[1]), factors[0])

    gains = np.geomspace(1e4, 1e9, 400)
    limit = gains[np.argmax([cost(gain) > 0.1 for gain in gains])]
    for gain, kind in ((0.9 * limit, np.uint16), (1.1 * limit, np.float32)):
        assert new_frames(SHAPE, Noise(gain, 10.0, LUMINANCE_TAPS), factors)._codes.dtype == kind


def test_a_frame_with_less_noise_or_more_dark_than_the_first_widens_the_room(rng, on_disk):
    factors, usual = (1.0, 1.0), Noise(2e4, 3.0)
    frames = new_frames(SHAPE, usual, factors)
    images = rng.random(SHAPE, dtype=np.float32)
    frames[0] = images[0]
    assert serves(frames, images[1], usual, factors) and serves(frames, images[1], None, factors)
    assert not serves(frames, images[1], Noise(1e10, 3.0), factors)
    assert not serves(frames, images[1] - 0.01, usual, factors)  # 1 % of it is darker than 6 deviations below black
    wide = exact(frames, 1)
    wide[1] = images[1]
    np.testing.assert_array_equal(wide[1], images[1])
    np.testing.assert_array_equal(wide[0], frames[0])


@pytest.mark.parametrize("mounts, expected", [
    (["tmpfs {tmp} tmpfs rw 0 0"], "lasting"),
    (["/dev/a / ext4 rw 0 0", "tmpfs {parent} tmpfs rw 0 0"], "lasting"),
    (["tmpfs {parent} tmpfs rw 0 0", "/dev/a {tmp} ext4 rw 0 0"], "tmp"),
    (["tmpfs {tmp}other tmpfs rw 0 0"], "tmp"),
    (["tmpfs / tmpfs rw 0 0"], "tmp"),
    (["nonsense"], "tmp"),
    ([], "tmp"),
])
def test_frames_go_to_a_disk_where_the_temporary_folder_lies_in_memory(tmp_path, monkeypatch, mounts, expected):
    folders = {"tmp": tmp_path / "a b", "lasting": tmp_path.parent / f"{tmp_path.name}-lasting"}
    for folder in folders.values():
        folder.mkdir()
    names = {"tmp": str(folders["tmp"]).replace(" ", r"\040"), "parent": tmp_path}
    monkeypatch.setattr(scratch, "_mounts", lambda: [line.format(**names) for line in mounts])
    monkeypatch.setattr(scratch, "_LASTING", str(folders["lasting"]))
    monkeypatch.setattr(tempfile, "tempdir", str(folders["tmp"]))
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    assert scratch_folder() == str(folders[expected])
    monkeypatch.setenv("TMPDIR", str(folders["tmp"]))
    assert scratch_folder() == str(folders["tmp"])  # who says where gets it there
