"""Binary PGM is read number by number, and the 10-bit codes of Google's PDCapture are known by their values."""

import numpy as np
import pytest
from conftest import shared_data

from dfd.io.encoding import encoding_of
from dfd.io.frames import image_size, read_luminance
from dfd.io.images import read_grey, read_image, read_values
from dfd.io.pgm import CAPTURE_BLACK, capture_scale, is_capture, open_pgm
from dfd.io.sources import open_source

SHAPE = (30, 44)


def write_pgm(path, values, most, header="P5\n{w} {h}\n{most}\n"):
    height, width = values.shape
    data = values.astype("u1" if most < 256 else ">u2").tobytes()
    path.write_bytes(header.format(w=width, h=height, most=most).encode() + data)
    return path


def codes(rng, shape=SHAPE):
    """Values as PDCapture writes them."""
    return rng.integers(64, 1000, shape) * 65535 // 1023


@pytest.mark.parametrize("most", [255, 100, 65535, 4095])
@pytest.mark.parametrize("header", ["P5\n{w} {h}\n{most}\n", "P5 {w} {h} {most} ", "P5\n# a\n{w}\t{h} # b\n{most}\n"])
def test_every_number_comes_back_the_larger_byte_first(most, header, rng, tmp_path):
    values = rng.integers(0, most + 1, SHAPE)
    path = write_pgm(tmp_path / "a.pgm", values, most, header)
    assert np.array_equal(read_values(path), values) and image_size(path) == SHAPE
    light = read_image(path, linear=True)
    assert np.abs(light.values - values / most).max() < 1e-6 and light.dn_range == most


def test_damaged_files_are_named(rng, tmp_path):
    path = write_pgm(tmp_path / "a.pgm", rng.integers(0, 4096, SHAPE), 4095)
    whole = path.read_bytes()
    for data, words in ((whole[:-1], r"a.pgm: \d+ bytes, but its pixels end at byte \d+; the file is cut"),
                        (b"P2" + whole[2:], "not a binary PGM"), (whole.replace(b"4095", b"2047"), "above the 2047 that"),
                        (b"", "the file is empty"), (b"P5\n0 5\n255\n", "a PGM of 0 x 5 px"),
                        (b"P5\n5 5\n70000\n", "maximum of 70000, 1 to 65535")):
        path.write_bytes(data)
        with pytest.raises(OSError, match=words):
            read_image(path)


def test_pdcapture_is_known_by_its_values_alone(rng, tmp_path):
    good = codes(rng)
    shifted, mask = (good // 64) * 64, np.where(good > 30000, 65535, 0)
    for name, values, expected in (("good", good, True), ("shifted", shifted, False), ("mask", mask, False)):
        assert is_capture(write_pgm(tmp_path / f"{name}.pgm", values, 65535)) is expected, name
    assert not is_capture(tmp_path / "none.pgm")
    assert CAPTURE_BLACK == 4099


def test_a_pdcapture_pair_is_linear_with_black_and_binned_rows_and_options_win(rng, tmp_path):
    for name in ("a_left.pgm", "a_right.pgm"):
        write_pgm(tmp_path / name, codes(rng, (30, 80)), 65535)
    source = open_source(tmp_path)
    assert source.y_scale == 2 and all(frame.linear and frame.black_level == (4099,) for frame in source.frames)
    assert any("10-bit codes of Google's PDCapture, read as linear light, black at 4099, pixels 2 times" in text
               for text in source.warnings)
    values = read_values(tmp_path / "a_left.pgm")
    expected = (values - 4099.0) / (65535 - 4099)
    assert np.nanmax(np.abs(read_luminance(source.frames[0]).image - expected)) < 1e-6
    assert open_source(tmp_path, y_scale=1).y_scale == 1
    (tmp_path / "capture.toml").write_text("y_scale = 1.5\n[camera]\nlinear = false\nblack_level = 4000\n")
    stated = open_source(tmp_path)
    assert (stated.y_scale, stated.frames[0].linear, stated.frames[0].black_level) == (1.5, False, (4000,))
    assert not any("PDCapture" in text for text in stated.warnings)


def test_other_pgm_is_read_like_a_picture(rng, tmp_path):
    path = write_pgm(tmp_path / "a.pgm", rng.integers(0, 256, SHAPE), 255)
    assert encoding_of(path, None).linear is False and encoding_of(path, True).linear is True
    assert read_grey(path).dn_range == 255


def test_the_real_sample_is_pdcapture():
    left = shared_data("dp/pixel_pgm_example/20210705_161427_778_left.pgm")
    assert open_pgm(left)[:3] == (756, 2016, 65535) and is_capture(left) and capture_scale(left) == 2
    known = np.arange(1024) * 65535 // 1023
    assert np.isin(read_values(left), known).all() and read_values(left).min() < CAPTURE_BLACK
