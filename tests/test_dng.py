"""A DNG written here is what was meant: the mosaic bit by bit, the levels, and the optics in EXIF."""

import exifread
import numpy as np
import pytest
import rawpy

from dfd.io.agreement import join
from dfd.io.dng import PATTERNS, write_dng
from dfd.io.exif import read_exif
from dfd.io.raw import read_header, read_mosaic, read_white_balance
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

BLACK, WHITE = 512, 16383
SHAPE = (96, 150)


def camera(**changes):
    values = dict(make="Maker", model="Body 7", lens_model="Prime 50", focal_length=Value(0.05), f_number=Value(2.8),
                  exposure=Value(1 / 125), iso=Value(200), pixel_pitch=Value(60e-6), focus_distance=Value(0.7123),
                  distance_from="sensor")
    return CameraSettings(**{**values, **changes})


def noisy(rng, shape=SHAPE):
    return rng.integers(400, WHITE + 1, shape, dtype=np.uint16)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("shape", [SHAPE, (101, 67), (22, 30)])
def test_libraw_returns_every_bit_and_both_levels(tmp_path, rng, pattern, shape):
    mosaic = noisy(rng, shape)
    path = write_dng(tmp_path / "frame.dng", mosaic, black_level=BLACK, white_level=WHITE, pattern=pattern)
    with rawpy.imread(str(path)) as raw:
        assert np.array_equal(raw.raw_image_visible, mosaic)
        assert raw.black_level_per_channel == [BLACK] * 4
        assert raw.white_level == WHITE
        colours = "".join("RGBG"[index] for index in raw.raw_pattern.ravel())
    assert colours == pattern


def test_lossless_jpeg_tiles_come_back_bit_exactly(tmp_path, rng):
    pytest.importorskip("imagecodecs")
    import tifffile

    mosaic, plain = noisy(rng, (300, 400)), tmp_path / "plain.dng"
    write_dng(plain, mosaic, black_level=BLACK, white_level=WHITE)
    with tifffile.TiffFile(plain) as file:
        tags = [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in file.pages.first.tags if tag.code > 33000]
    path = tmp_path / "tiles.dng"
    tifffile.imwrite(path, mosaic, photometric=32803, metadata=None, extratags=tags, tile=(128, 128),
                     compression="jpeg", compressionargs={"lossless": True, "bitspersample": 16})
    values = read_mosaic(path).values
    assert np.array_equal(np.rint(values * (WHITE - BLACK) + BLACK).astype(np.uint16), mosaic)


def test_levels_per_place_of_the_pattern_come_back_in_place(tmp_path):
    levels = np.array([[500, 520], [540, 560]])
    mosaic = np.tile(levels + 1000, (20, 30)).astype(np.uint16)
    mosaic[0, 0] += 1
    for pattern in PATTERNS:
        path = write_dng(tmp_path / f"{pattern}.dng", mosaic, black_level=levels.ravel(), white_level=WHITE,
                         pattern=pattern)
        values = read_mosaic(path).values
        for y in (0, 1):
            for x in (0, 1):
                expected = 1000 / (WHITE - levels[y, x])
                assert values[2 + y, 4 + x] == pytest.approx(expected, abs=1e-7)


def test_optics_come_back_from_exif_in_si(tmp_path, rng):
    path = write_dng(tmp_path / "frame.dng", noisy(rng), black_level=BLACK, white_level=WHITE, settings=camera())
    found = read_exif(path, SHAPE)
    values = found.settings.values()
    assert values["focal_length"].value == pytest.approx(0.05, abs=1e-9)
    assert values["f_number"].value == pytest.approx(2.8, abs=1e-9)
    assert values["focus_distance"].value == pytest.approx(0.7123, abs=1e-9)
    assert values["exposure"].value == pytest.approx(1 / 125, abs=1e-10)
    assert values["iso"].value == 200
    assert join("pixel_pitch", found.pitches).value.value == pytest.approx(60e-6, abs=1e-13)
    assert (found.settings.make, found.settings.model, found.settings.lens_model) == ("Maker", "Body 7", "Prime 50")
    assert found.settings.distance_from == "sensor"


def test_a_distance_from_the_pupil_survives_the_way_through_the_sensor_mark(tmp_path, rng):
    written = camera(focus_distance=Value(0.7), distance_from="pupil")
    path = write_dng(tmp_path / "frame.dng", noisy(rng), black_level=BLACK, white_level=WHITE, settings=written)
    read = read_exif(path, SHAPE)
    settings = CameraSettings(**{**read.settings.values(), "pixel_pitch": read.pitches[0], "distance_from": "sensor"})
    assert settings.focus_distance.value == pytest.approx(0.7 + 0.7 * 0.05 / 0.65, abs=1e-8)
    assert LensProfile.nominal().thin_lens(settings).focus == pytest.approx(1 / 0.7, abs=1e-6)  # dioptre


def test_a_pupil_diameter_is_written_as_f_number_and_infinity_as_its_code(tmp_path, rng):
    written = camera(f_number=None, pupil_diameter=Value(0.0125), focus_distance=None, focus=Value(0.0))
    path = write_dng(tmp_path / "frame.dng", noisy(rng), black_level=BLACK, white_level=WHITE, settings=written)
    found = read_exif(path, SHAPE)
    assert found.settings.f_number.value == pytest.approx(4.0, abs=1e-9)
    assert found.settings.focus_distance is None
    with open(path, "rb") as file:
        assert exifread.process_file(file)["Image SubjectDistance"].values[0] == 0xFFFFFFFF


def test_header_gives_shape_without_decoding(tmp_path, rng):
    path = write_dng(tmp_path / "frame.dng", noisy(rng), black_level=BLACK, white_level=WHITE)
    header = read_header(path)
    assert header.shape == SHAPE and header.orientation == 1 and read_white_balance(path) == (1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"codes": np.zeros(SHAPE, np.float32)}, TypeError, "uint16"),
        ({"codes": np.zeros((20, 40), np.uint16)}, ValueError, "at least 22 px"),
        ({"codes": np.full(SHAPE, 16384, np.uint16)}, ValueError, "16384 DN exceeds 16383 DN"),
        ({"pattern": "QUAD"}, ValueError, "RGGB"),
        ({"pattern": "LINEAR"}, TypeError, r"\(H, W, 3\) uint16"),
        ({"pattern": "XTRANS", "black_level": (1, 2, 3, 4)}, ValueError, "one number or 36"),
        ({"black_level": 16383}, ValueError, "black < white"),
        ({"black_level": (1, 2)}, ValueError, "one number or four"),
        ({"black_level": 0.5}, ValueError, "whole DN"),
    ],
)
def test_what_a_dng_cannot_hold_is_refused(tmp_path, changes, error, text):
    call = {"codes": np.full(SHAPE, 1000, np.uint16), "black_level": BLACK, "white_level": WHITE, **changes}
    with pytest.raises(error, match=text):
        write_dng(tmp_path / "frame.dng", call.pop("codes"), **call)
    assert not (tmp_path / "frame.dng").exists()
