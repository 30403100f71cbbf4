"""What is kept of a frame when it has been decoded: never its pixels; its noise through filter and reduction; codes."""

import gc
import weakref

import numpy as np
import pytest
from scipy.ndimage import convolve1d
from test_cli import dfd

from dfd import decode, noise
from dfd.decode import _stated_noise, decode_frames
from dfd.io import scratch
from dfd.io.frames import Plane
from dfd.io.images import write_tiff
from dfd.io.sources import open_source
from dfd.noise import LUMINANCE_TAPS, Noise, bands

SIZE = (240, 340)
STATED = "gain_e_per_dn = 2.0\nread_noise_e = 3.0\n"


@pytest.fixture
def on_disk(monkeypatch):
    """However small, frames go to disk."""
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 0)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoding") / "stack"
    assert dfd("simulate", "-o", folder, "--scene", "slant", "--preset", "50mm-f4-12um", "--size", f"{SIZE[1]}x{SIZE[0]}",
               "--frames", 6) == 0
    return folder


def quiet(*_):
    """Nobody wants to know."""


@pytest.mark.parametrize("known", ["", STATED], ids=["estimated", "stated"])
@pytest.mark.parametrize("reduction", [1, 2])
def test_no_frame_stays_in_memory_when_it_is_stored(stack, tmp_path, monkeypatch, on_disk, known, reduction):
    lines = [line for line in (stack / "capture.toml").read_text().splitlines(keepends=True)
             if not line.startswith(("gain_e_per_dn", "read_noise_e"))]
    place = next(k for k, line in enumerate(lines) if line.startswith("[camera]")) + 1
    (tmp_path / "capture.toml").write_text("".join(lines[:place]) + known + "".join(lines[place:]))
    for path in stack.glob("*.dng"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = open_source(tmp_path)
    assert (source.gain_e_per_dn is not None) == bool(known)
    seen, read = [], decode.reader.read_luminance

    def watched(frame):
        plane = read(frame)
        seen.append(weakref.ref(plane.image))
        return plane

    monkeypatch.setattr(decode.reader, "read_luminance", watched)
    monkeypatch.setattr(decode, "_COARSE_PIXELS", 1e3)
    decoded = decode_frames(source, reduction=reduction, factors=(1.0, 1.0), workers=2, report=quiet)
    gc.collect()
    assert len(seen) == len(decoded.noises) == 6
    assert [index for index, image in enumerate(seen) if image() is not None] == []


def test_noise_is_asked_of_a_limited_number_of_pixels_however_many_frames(stack, monkeypatch):
    """Sixteen frames, evenly spread, tell of the noise; the others keep nothing for it."""
    asked = []
    monkeypatch.setattr(noise, "FRAMES", 3)
    monkeypatch.setattr(noise, "bands", lambda image, share, first: asked.append((first, share)) or bands(image, share))
    source = open_source(stack)
    source = decode.replace(source, gain_e_per_dn=None, read_noise_e=None)
    decode_frames(source, reduction=1, factors=(1.0, 1.0), workers=1, report=quiet)
    assert asked == [(0, 2_000_000), (2, 2_000_000), (5, 2_000_000)]


def test_bands_are_84_rows_evenly_spread_shifted_from_frame_to_frame_and_copies():
    image = np.repeat(np.arange(1000, dtype=np.float32)[:, None], 70, axis=1)
    for first, starts in ((0, [0, 250, 500, 750]), (1, [102, 352, 602, 852])):  # room 166 rows, times 0, 0.618
        found = bands(image, 4 * 84 * 70, first=first)
        assert found.shape == (4, 84, 70)
        np.testing.assert_array_equal(found[:, :, 5], np.add.outer(starts, np.arange(84)))
    for pixels in (70_000, 12 * 84 * 70):
        whole = bands(image, pixels)
        assert whole.shape == (1, 1000, 70) and not np.shares_memory(whole, image)


@pytest.mark.parametrize("taps", [(1.0,), LUMINANCE_TAPS])
@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_stated_noise_is_that_of_the_pixels_after_filter_channels_and_blocks(rng, taps, reduction):
    """Measured on a flat field of 1000 e- and 20 e- read noise; variance within 3 %."""
    gain, read, dn_range, share = 0.5, 20.0, 4000.0, 0.6
    found = _stated_noise(Plane(None, dn_range, taps, share), gain, read, reduction)
    level = 1000 / (gain * dn_range)
    variance = share * (1000 + read**2) / (gain * dn_range) ** 2
    field = level + np.sqrt(variance) * rng.standard_normal((720, 900))
    for axis in (0, 1):
        field = convolve1d(field, taps, axis=axis)
    height, width = (length // reduction for length in field.shape)
    small = field[:height * reduction, :width * reduction].reshape(height, reduction, width, reduction).mean(axis=(1, 3))
    assert found.variance(level) == pytest.approx(np.var(small), rel=0.03)


def test_the_frame_with_the_least_noise_decides_how_all_are_stored(rng, tmp_path, on_disk):
    field = np.add.outer(np.linspace(0.1, 0.5, SIZE[0]), np.linspace(0, 0.3, SIZE[1]))
    for deviations, kind in (((1e-2,) * 4, np.uint16), ((1e-2, 1e-2, 1e-7, 1e-2), np.float32)):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        images = [np.float32(field + std * rng.standard_normal(SIZE)) for std in deviations]
        for index, image in enumerate(images):
            write_tiff(folder / f"{index}.tiff", image)
        decoded = decode_frames(open_source(folder), reduction=1, factors=(1.0, 1.0), workers=1, report=quiet)
        assert decoded.images._codes.dtype == kind
        for stored, image, std in zip(decoded.images, images, deviations, strict=True):
            assert np.std(stored - image) < 0.1 * std


@pytest.mark.parametrize(("stated", "words"), [
    ({"gain_e_per_dn": 0.5}, "gain stated, the rest from the images"),
    ({"read_noise_e": 60.0}, "read noise stated, the rest from the images"),
    ({}, "the images themselves"),
    ({"gain_e_per_dn": 0.5, "read_noise_e": 60.0}, "stated")], ids=["gain", "read noise", "nothing", "both"])
def test_what_is_not_stated_of_the_noise_comes_from_the_images(rng, tmp_path, stated, words):
    """0.5 e-/DN over 65535 DN and 60 e-: a stated number is taken as it is, an estimate is within 10 %."""
    true = Noise.from_camera(0.5, 60.0, 65535)
    clean = np.broadcast_to(np.linspace(0.005, 0.3, 600), (400, 600))
    for index in range(3):
        noisy = clean + np.sqrt(true.variance(clean)) * rng.standard_normal(clean.shape)
        write_tiff(tmp_path / f"{index}.tiff", np.rint(65535 * noisy.clip(0, 1)).astype(np.uint16))
    source = decode.replace(open_source(tmp_path), **stated)
    decoded = decode_frames(source, reduction=1, factors=(1.0, 1.0), workers=1, report=quiet)
    assert decoded.noise_from == words and len(decoded.noises) == 3
    for found in decoded.noises:
        assert found.gain == pytest.approx(true.gain, rel=1e-9 if "gain_e_per_dn" in stated else 0.1)
        assert found.read_noise == pytest.approx(60.0, rel=1e-9 if "read_noise_e" in stated else 0.1)
