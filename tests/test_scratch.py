"""Room on disk for large stacks: as good as memory within a tenth of the noise, bounded, and nothing left behind."""

import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest

from dfd.io import scratch
from dfd.io.scratch import Scratch, code_cost, code_range, new_frames
from dfd.noise import Noise

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
    np.testing.assert_array_equal(np.asarray(frames.head(2)), images[:2])
    assert len(frames) == 2 and frames.shape == (2, *SHAPE[1:])


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
