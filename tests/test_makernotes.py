"""What makers write of the focus distance: decoded numbers, and the bytes that they stand in."""

import math
import random
import struct

import pytest
from conftest import shared_data
from exifbytes import canon_note, directory, photo

from dfd.io.exif import read_makernotes
from dfd.io.makernotes import (
    apple_distance,
    canon_distance,
    nikon_distance,
    olympus_distance,
    plain_distance,
    sony_distance,
)
from dfd.io.readings import distance_reading

# -- numbers -> metres


def test_canon_counts_centimetres():
    assert canon_distance(159) == pytest.approx((1.59, 0.07 * 1.59), abs=1e-9)


@pytest.mark.parametrize("code", [65535, 8191, -1, 0])
def test_canon_codes_are_no_distances(code):
    assert canon_distance(code) is None and canon_distance(code, code) is None
    assert canon_distance(159, code) == canon_distance(code, 159) == canon_distance(159)


def test_canon_ends_in_either_order_give_the_middle_in_dioptres_with_half_the_interval():
    distance, sigma = canon_distance(400, 200)
    assert canon_distance(200, 400) == (distance, sigma)
    assert 1 / distance == pytest.approx((1 / 4 + 1 / 2) / 2, abs=1e-12)  # dioptre
    assert sigma / distance**2 == pytest.approx((1 / 2 - 1 / 4) / 2, abs=1e-12)
    near, seed = canon_distance(201, 200)
    assert seed == pytest.approx(0.07 * near, abs=1e-12)  # a narrow interval is no better known than one number


def test_nikon_code_is_logarithmic_and_zero_is_unknown():
    assert nikon_distance(68) == pytest.approx(0.5012, abs=5e-5)
    assert nikon_distance(69) / nikon_distance(68) == pytest.approx(1.059, abs=5e-4)
    assert nikon_distance(0) is None


def test_sony_position_needs_the_equivalent_focal_length():
    assert sony_distance(128, 40) == pytest.approx(0.360, abs=1e-9)
    assert sony_distance(255, 40) == math.inf
    assert sony_distance(0, 40) is None and sony_distance(128, 0) is None


def test_olympus_numerator_is_millimetres():
    assert olympus_distance(9020) == pytest.approx(9.02, abs=1e-9)
    assert olympus_distance(4294967286) == olympus_distance(4294967295) == math.inf
    assert olympus_distance(0) is None


@pytest.mark.parametrize("ends", [(1765297.6, 2.5), (2.5, 1765297.6), (0, 0.4), (0.2, 0.5), (-1, 0.3), (math.nan, 0.3)])
def test_apple_ranges_that_say_nothing(ends):
    assert apple_distance(*ends) is None


def test_apple_range_is_an_interval_in_either_order():
    distance, sigma = apple_distance(0.379, 0.262)
    assert apple_distance(0.262, 0.379) == (distance, sigma)
    assert 0.262 < distance < 0.379 and 1 / distance == pytest.approx((1 / 0.262 + 1 / 0.379) / 2, abs=1e-9)
    assert sigma == pytest.approx((1 / 0.262 - 1 / 0.379) / 2 * distance**2, abs=1e-9)


@pytest.mark.parametrize(("metres", "meant"), [(0.81, 0.81), (4294967295, math.inf), (65535, math.inf), (math.inf, math.inf),
                                               (0, None), (0.01, None), (-1, None), (math.nan, None)])
def test_metres_are_metres_but_for_the_codes(metres, meant):
    assert plain_distance(metres) == meant


# -- bytes -> numbers


def distances(path):
    return [(value.source, value.value) for reading in read_makernotes(path)
            if (value := reading.settings.focus_distance) is not None]


SHOT = [68, *[0] * 18, 159, 0, 0]


@pytest.mark.parametrize(("shot", "file", "expected"), [
    (SHOT, None, [("Canon FocusDistance", 1.59)]),
    ([68, *[0] * 21], [48, *[0] * 19, 255, 215], [("Canon FocusDistance", 2 / (1 / 2.55 + 1 / 2.15))]),
    ([68, *[0] * 21], [48, *[0] * 19, 65535, 65535], []),
    ([68], [48, 0], []),
])
def test_canon_shot_info_then_file_info(tmp_path, shot, file, expected):
    found = distances(photo(tmp_path / "f.jpg", b"Canon EOS\0", canon_note(shot, file)))
    assert found == [(source, pytest.approx(value, abs=1e-9)) for source, value in expected]


def test_a_canon_note_that_an_editor_moved_or_another_maker_wrote_is_not_read(tmp_path):
    assert distances(photo(tmp_path / "f.jpg", b"Canon EOS\0", canon_note(SHOT, None, moved=4000))) == []
    assert distances(photo(tmp_path / "g.jpg", b"samsung 12\0", canon_note(SHOT, None))) == []


@pytest.mark.parametrize(("numerator", "expected"), [(9020, [("Olympus FocusDistance", 9.02)]), (4294967286, []), (0, [])])
@pytest.mark.parametrize("head", [b"OLYMPUS\0II\3\0", b"OM SYSTEM\0\0\0II\4\0"])
def test_olympus_counts_offsets_from_its_note(tmp_path, head, numerator, expected):
    def note(_):
        focus = len(head) + 2 + 12 + 4
        return head + directory([(0x2050, 13, 1, struct.pack("<I", focus))], len(head)) \
            + directory([(0x0305, 5, 1, struct.pack("<II", numerator, 10))], focus)
    found = distances(photo(tmp_path / "f.jpg", b"OLYMPUS\0", note))
    assert found == [(source, pytest.approx(value, abs=1e-9)) for source, value in expected]


def test_nikon_reads_the_lens_data_that_is_not_enciphered(tmp_path):
    def note(version):
        lens = version + bytes(5) + bytes([95, 0, 0])
        return lambda _: b"Nikon\0\2\x10\0\0MM\0*" + struct.pack(">I", 8) + directory([(0x98, 7, len(lens), lens)], 8, ">")
    assert distances(photo(tmp_path / "f.jpg", b"NIKON\0", note(b"0101"))) == [
        ("Nikon FocusDistance", pytest.approx(0.01 * 10 ** (95 / 40), abs=1e-9))]
    assert distances(photo(tmp_path / "g.jpg", b"NIKON\0", note(b"0204"))) == []


def test_apple_counts_offsets_from_its_note_too(tmp_path):
    def note(_):
        ends = struct.pack(">iiii", 97, 256, 67, 256)
        return b"Apple iOS\0\0\1MM" + directory([(12, 10, 2, ends)], 14, ">")
    found = distances(photo(tmp_path / "f.jpg", b"Apple\0", note))
    assert found == [("Apple FocusDistanceRange", pytest.approx(2 / (256 / 97 + 256 / 67), abs=1e-9))]


def test_xmp_of_the_dng_converter(tmp_path):
    for name, text, expected in (("a", b'aux:ApproximateFocusDistance="81/100"', [0.81]),
                                 ("b", b"<aux:ApproximateFocusDistance>148/100</aux", [1.48]),
                                 ("c", b'aux:ApproximateFocusDistance="4294967295/1"', []),
                                 ("d", b'aux:ApproximateFocusDistance="1/0"', [])):
        (tmp_path / name).write_bytes(b"II*\0\x08\0\0\0\0\0\0\0\0\0" + text)
        assert [value for _, value in distances(tmp_path / name)] == expected


def test_a_note_cut_anywhere_raises_nothing(tmp_path):
    whole = photo(tmp_path / "f.jpg", b"Canon EOS\0", canon_note(SHOT, [48, *[0] * 19, 255, 215])).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.jpg").write_bytes(whole[:length])
        assert len(distances(tmp_path / "cut.jpg")) <= 1


def test_no_number_whatsoever_raises_in_a_decoder_and_none_gives_a_distance_that_cannot_be():
    rng = random.Random(0)
    odd = [0, -1, 1, 255, 8191, 65535, 2**64, 5e-324, 1e-30, 1e300, math.inf, -math.inf, math.nan]
    for _ in range(5000):
        one, other = (rng.choice([*odd, rng.uniform(0, 1000), 10 ** rng.uniform(-320, 308)]) for _ in range(2))
        for found in (canon_distance(one, other), nikon_distance(one), sony_distance(one, other), olympus_distance(one),
                      apple_distance(one, other), plain_distance(one)):
            reading = distance_reading("f", found, "source")
            value = reading.settings.focus_distance
            assert value is None or (0.01 < value.value < 65536 and 0 < value.sigma < math.inf), (one, other, found)


def test_random_bytes_in_a_note_raise_nothing(tmp_path):
    rng = random.Random(1)
    whole = photo(tmp_path / "f.jpg", b"Canon EOS\0", canon_note(SHOT, [48, *[0] * 19, 255, 215])).read_bytes()
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        (tmp_path / "odd.jpg").write_bytes(data)
        assert len(distances(tmp_path / "odd.jpg")) <= 1


@pytest.mark.parametrize(("name", "expected"), [
    ("CR2.exif", ("Canon FocusDistance", 2 / (1 / 2.55 + 1 / 2.15))), ("Nikon.nef", ("Nikon FocusDistance", 2.3714)),
    ("IMG_1361.dng", ("Apple FocusDistanceRange", 2 / (1 / 0.26171875 + 1 / 0.37890625)))])
def test_real_headers_say_what_exiftool_says(name, expected):
    """Values of exiftool 12.57: 2.55 and 2.15 m, 2.37137 m, 0.26171875 and 0.37890625 m."""
    (found,) = distances(shared_data(f"raw/header_only_metadata/{name}"))
    assert found == (expected[0], pytest.approx(expected[1], abs=1e-4))
