"""Every sensor that LibRaw decodes: the right pattern, black and white, the visible frame, flat where the light is flat."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import dngfiles as dng
import numpy as np
import pytest
import rawpy
from conftest import shared_data
from dngfiles import BYTE, RATIONAL, SHORT, SRATIONAL, XTRANS_TABLE, changed_dng, colour_table, monochrome_dng

from dfd.imaging import REC709
from dfd.io import raw
from dfd.io.dng import PATTERNS, XTRANS, write_dng
from dfd.io.frames import Frame, read_colour, read_luminance
from dfd.io.makernames import read_names
from dfd.io.sensor import XTRANS_TAPS
from dfd.io.sources import open_source
from dfd.noise import estimate
from dfd.settings import CameraSettings

BLACK, WHITE = 512, 16383
SHAPE = (50, 76)


def frame(path, **changes):
    return Frame(path, CameraSettings(), True, **changes)


def mosaic_of(colour, table, shape=SHAPE, black=BLACK, white=WHITE):
    """uint16 codes of a patch of one colour (R, G, B in light, 0..1)."""
    repeats = [-(-length // len(table)) for length in shape]
    index = np.tile(np.array(table), repeats)[:shape[0], :shape[1]]
    return np.rint(black + (white - black) * np.choose(index, colour)).astype(np.uint16)


# -- X-Trans


def test_x_trans_comes_back_bit_exactly_with_its_pattern_and_levels(tmp_path, rng):
    codes = rng.integers(400, WHITE + 1, SHAPE, dtype=np.uint16)
    image = raw.read_raw(write_dng(tmp_path / "x.dng", codes, black_level=BLACK, white_level=WHITE, pattern="XTRANS"))
    assert np.array_equal(image.codes, codes) and image.pattern == XTRANS_TABLE
    assert image.black.tolist() == [[BLACK]] and image.white.tolist() == [WHITE] and image.dn_range == WHITE - BLACK


@pytest.mark.parametrize("corner", [(0, 0), (6, 12), (5, 8), (1, 3), (2, 4)])
def test_x_trans_behind_a_masked_border_is_flat_on_a_flat_colour(tmp_path, corner):
    """The pattern starts at the visible frame, wherever that is; LibRaw's own pattern is wrong unless both are 6 n."""
    top, left = corner
    codes = np.full((SHAPE[0] + top, SHAPE[1] + left), 100, np.uint16)
    codes[top:, left:] = mosaic_of((0.7, 0.3, 0.1), XTRANS_TABLE)
    codes[:top], codes[:, :left] = 300, 900
    area = (SHORT, 4, (top, left, *codes.shape))
    path = changed_dng(tmp_path / "x.dng", codes, {dng.ACTIVE_AREA: area}, pattern="XTRANS")
    image = raw.read_raw(path)
    assert image.codes.shape == SHAPE and image.pattern == XTRANS_TABLE
    plane = read_luminance(frame(path))
    assert plane.taps == XTRANS_TAPS
    assert np.abs(plane.image - (2 * 0.7 + 5 * 0.3 + 2 * 0.1) / 9).max() < 0.5 / (WHITE - BLACK)  # rounding of the codes
    assert np.ptp(plane.image) < 2e-7
    assert np.abs(read_colour(frame(path)) - (0.7, 0.3, 0.1)).max() < 0.6 / (WHITE - BLACK)


def test_the_noise_of_an_x_trans_plane_is_what_its_taps_say(tmp_path, rng):
    codes = np.clip(rng.normal(4000, 100, (420, 606)), 0, WHITE).round().astype(np.uint16)
    path = write_dng(tmp_path / "x.dng", codes, black_level=BLACK, white_level=WHITE, pattern="XTRANS")
    plane = read_luminance(frame(path))
    white = (100 / (WHITE - BLACK)) ** 2
    assert sum(tap**2 for tap in plane.taps) ** 2 == pytest.approx(1 / 16)
    assert plane.image.var() == pytest.approx(white / 16, rel=0.02)
    found = estimate(plane.image, taps=plane.taps).variance(np.float64(plane.image.mean()))
    assert found == pytest.approx(white / 16, rel=0.1)


def test_saturation_is_unknown_within_the_reach_of_each_filter(tmp_path):
    for pattern, reach in (("RGGB", 1), ("XTRANS", 2)):
        codes = mosaic_of((0.2, 0.3, 0.1), colour_table(XTRANS if pattern == "XTRANS" else pattern))
        codes[20:24, 30:37] = WHITE
        path = write_dng(tmp_path / f"{pattern}.dng", codes, black_level=BLACK, white_level=WHITE, pattern=pattern)
        expected = np.zeros(SHAPE, bool)
        expected[20 - reach:24 + reach, 30 - reach:37 + reach] = True
        np.testing.assert_array_equal(np.isnan(read_luminance(frame(path)).image), expected)


# -- linear, monochrome, four colours


def test_a_linear_file_is_three_planes_and_reduced_like_a_picture(tmp_path, rng):
    codes = rng.integers(400, WHITE, (*SHAPE, 3), dtype=np.uint16)
    codes[7, 9, 1] = WHITE
    black = (500, 510, 520)
    path = write_dng(tmp_path / "l.dng", codes, black_level=black, white_level=WHITE, pattern="LINEAR")
    image = raw.read_raw(path)
    assert np.array_equal(image.codes, codes) and image.pattern is None
    assert image.black.tolist() == list(black) and image.white.tolist() == [WHITE] * 3
    light = (codes - np.array(black)) / (WHITE - np.array(black))
    plane = read_luminance(frame(path))
    expected = light @ REC709
    expected[7, 9] = np.nan
    np.testing.assert_allclose(plane.image, expected, atol=3e-7, rtol=0)
    assert plane.taps == (1.0,) and plane.share == pytest.approx(float(np.sum(REC709**2)))
    np.testing.assert_allclose(read_colour(frame(path)), light, atol=2e-7, rtol=0)
    assert read_colour(frame(path, white_balance=(2.0, 1.0, 1.5))).max() == 1.0


def test_each_plane_of_a_linear_file_has_its_own_white(tmp_path, rng):
    codes = rng.integers(400, 14000, (*SHAPE, 3), dtype=np.uint16)
    path = changed_dng(tmp_path / "l.dng", codes, {dng.WHITE_LEVEL: (SHORT, 3, (16000, 15000, 16300))}, pattern="LINEAR")
    assert raw.read_raw(path).white.tolist() == [16000, 15000, 16300]


def test_a_monochrome_sensor_is_not_filtered(tmp_path, rng):
    codes = rng.integers(400, WHITE, SHAPE, dtype=np.uint16)
    path = monochrome_dng(tmp_path / "m.dng", codes)
    plane = read_luminance(frame(path))
    assert plane.taps == (1.0,) and plane.share == 1.0
    np.testing.assert_allclose(plane.image, (codes - float(BLACK)) / (WHITE - BLACK), atol=1e-7, rtol=0)
    np.testing.assert_array_equal(read_colour(frame(path))[..., 0], plane.image)


def test_a_mosaic_of_four_colours_has_a_luminance_and_a_grey_picture(tmp_path):
    codes = np.tile(np.array([[2000, 3000], [4000, 5000]], np.uint16), (25, 38))
    codes[10, 10] = WHITE
    colours = bytes((3, 4, 5, 1))  # cyan, magenta, yellow, green
    path = changed_dng(tmp_path / "c.dng", codes, {
        dng.CFA: (BYTE, 4, colours), dng.PLANE_COLOURS: (BYTE, 4, colours), dng.COLOUR_MATRIX: (SRATIONAL, 12, (1, 1) * 12),
        dng.NEUTRAL: (RATIONAL, 4, (1, 1) * 4)})
    plane = read_luminance(frame(path)).image
    flat = np.isfinite(plane)
    assert flat.sum() == plane.size - 9
    assert np.abs(plane[flat] - (3500 - BLACK) / (WHITE - BLACK)).max() < 1e-7
    grey = read_colour(frame(path, white_balance=(2.0, 1.0, 1.0)))
    assert grey.shape == (*SHAPE, 1) and grey[10, 10] == 1.0


def test_a_mosaic_that_no_filter_makes_flat_is_refused_in_one_line(tmp_path, rng):
    """LibRaw takes four by four pixels of one colour for rows of red and rows of green."""
    quad = bytes((0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2))
    path = changed_dng(tmp_path / "q.dng", rng.integers(600, 9000, SHAPE, dtype=np.uint16),
                       {dng.CFA_SIZE: (SHORT, 2, (4, 4)), dng.CFA: (BYTE, 16, quad)})
    with pytest.raises(OSError, match=r"q\.dng: the image is a 4x4 RGBG mosaic; .* convert it to 16-bit TIFF$"):
        raw.read_raw(path)


@pytest.mark.parametrize(("shape", "stored", "text"), [
    ((40, 60), (30, 60), "a rotated grid"), ((40, 60), (40, 60, 2), "2 values per pixel"),
    ((40, 60), (40, 60, 4), "four full planes")])
def test_what_libraw_stores_in_another_way_is_refused_in_one_line(shape, stored, text):
    """Super CCD, and the four exposures of a shifted sensor: stand-ins, for no sample of either is at hand."""
    sizes = SimpleNamespace(height=shape[0], width=shape[1])
    opened = SimpleNamespace(raw_image_visible=np.ones(stored, np.uint16), sizes=sizes)
    with pytest.raises(OSError, match=rf"^f\.raf: .*{text}.*16-bit TIFF$"):
        raw._codes("f.raf", opened)


# -- levels and frames


@pytest.mark.parametrize("pattern", PATTERNS)
def test_unequal_gains_of_the_channels_leave_a_grey_patch_flat(tmp_path, pattern):
    """White balance, sensor gains and black per place: the plane knows one number."""
    black = np.array([[500, 520], [540, 560]])
    light = np.array([[0.45, 0.9], [0.8, 0.3]])
    codes = np.tile(np.rint(black + (WHITE - black) * light), (25, 38)).astype(np.uint16)
    path = write_dng(tmp_path / "f.dng", codes, black_level=black.ravel(), white_level=WHITE, pattern=pattern)
    plane = read_luminance(frame(path)).image
    assert np.ptp(plane) < 2e-7
    assert plane.mean() == pytest.approx(light.mean(), abs=0.5 / (WHITE - BLACK))


@pytest.mark.parametrize(("size", "pattern"), [((1, 2), "RGGB"), ((2, 1), "GBRG"), ((4, 4), "RGGB"), ((2, 3), "BGGR"),
                                               ((6, 6), "XTRANS")])
def test_black_that_repeats_over_any_block_comes_back_in_place(tmp_path, size, pattern):
    """LibRaw keeps 2 x 2; of more it returns the minimum.  The block starts at the active area, not at the frame."""
    rows, columns = size
    levels = 500 + 7 * np.arange(rows * columns)
    top, left = 4, 2
    codes = np.zeros((SHAPE[0] + top, SHAPE[1] + left), np.uint16)
    codes[top:, left:] = 1000 + np.tile(levels.reshape(size), SHAPE)[:SHAPE[0], :SHAPE[1]]
    tags = {dng.BLACK_SIZE: (SHORT, 2, size), dng.BLACK_LEVEL: (SHORT, levels.size, tuple(levels.tolist())),
            dng.ACTIVE_AREA: (SHORT, 4, (top, left, *codes.shape))}
    image = raw.read_raw(changed_dng(tmp_path / "f.dng", codes, tags, pattern=pattern))
    dark = image.codes - np.tile(image.black, SHAPE)[:SHAPE[0], :SHAPE[1]]
    assert image.black.shape == size and np.array_equal(dark, np.full(SHAPE, 1000.0))
    assert image.dn_range == pytest.approx(WHITE - levels.mean())


def test_black_keeps_its_fraction(tmp_path):
    codes = mosaic_of((0.2, 0.3, 0.1), colour_table("RGGB"))
    image = raw.read_raw(changed_dng(tmp_path / "f.dng", codes, {dng.BLACK_LEVEL: (RATIONAL, 1, (10247, 20))}))
    assert image.black.tolist() == [[512.35]]


@pytest.mark.parametrize(("pattern", "stated", "count"), [("RGGB", (1, 2, 3), "four"), ("XTRANS", (1, 2), "three"),
                                                          ("LINEAR", (1, 2, 3, 4), "three")])
def test_a_stated_black_of_the_wrong_count_says_how_many(tmp_path, pattern, stated, count):
    codes = np.full((*SHAPE, 3) if pattern == "LINEAR" else SHAPE, 5000, np.uint16)
    codes[0] += 1
    path = write_dng(tmp_path / "f.dng", codes, black_level=BLACK, white_level=WHITE, pattern=pattern)
    with pytest.raises(ValueError, match=rf"f\.dng: black_level has {len(stated)} numbers; give one, or {count}"):
        read_luminance(frame(path, black_level=stated))


def test_a_stated_black_goes_to_the_colours_it_is_stated_for(tmp_path):
    codes = mosaic_of((0.2, 0.3, 0.1), XTRANS_TABLE)
    path = write_dng(tmp_path / "x.dng", codes, black_level=BLACK, white_level=WHITE, pattern="XTRANS")
    black = np.array([500, 600, 700])[np.array(XTRANS_TABLE)]
    assert np.array_equal(raw.read_raw(path, black_level=(500, 600, 700)).black, black)
    linear = write_dng(tmp_path / "l.dng", np.dstack([codes] * 3), black_level=BLACK, white_level=WHITE, pattern="LINEAR")
    assert raw.read_raw(linear, black_level=(500, 600, 700)).black.tolist() == [500, 600, 700]
    assert raw.read_raw(linear, black_level=400, white_level=16000).dn_range == 15600


def test_the_header_tells_the_file_as_it_is(tmp_path, rng):
    """Non-square pixels are said, not resampled; the crop is the visible frame where there is none."""
    codes = rng.integers(400, WHITE, SHAPE, dtype=np.uint16)
    path = changed_dng(tmp_path / "f.dng", codes, {dng.PIXEL_ASPECT: (RATIONAL, 2, (3, 2, 1, 1))})
    header = raw.read_header(path)
    assert (header.shape, header.crop, header.pixel_aspect) == (SHAPE, SHAPE[::-1], 1.5)
    assert read_luminance(frame(path)).image.shape == SHAPE


# -- cost


def count_decodes(monkeypatch):
    calls = []
    monkeypatch.setattr(raw, "_decode", lambda opened, decode=raw._decode: (calls.append(1), decode(opened)))
    return calls


def test_opening_a_capture_decodes_nothing_and_colours_ask_no_file_twice(tmp_path, rng, monkeypatch):
    for k in range(3):
        codes = rng.integers(600, 9000, SHAPE, dtype=np.uint16)
        write_dng(tmp_path / f"f{k}.dng", codes, black_level=BLACK, white_level=WHITE)
    calls = count_decodes(monkeypatch)
    source = open_source(tmp_path)
    assert calls == []
    for item in source.frames:
        read_luminance(item)
    assert len(calls) == 3
    for item in source.frames:
        read_colour(item)
    assert len(calls) == 6  # one each: the white balance of the first file is known by now


def test_a_file_that_changed_is_asked_again(tmp_path, rng):
    codes = rng.integers(600, 9000, SHAPE, dtype=np.uint16)
    path = changed_dng(tmp_path / "f.dng", codes, {dng.NEUTRAL: (RATIONAL, 3, (1, 2, 1, 1, 4, 5))})
    assert raw.read_white_balance(path) == pytest.approx((2, 1, 1.25))
    changed_dng(path, np.vstack([codes, codes]), {dng.NEUTRAL: (RATIONAL, 3, (1, 4, 1, 1, 1, 2))})
    assert raw.read_white_balance(path) == pytest.approx((4, 1, 2))


def test_threads_read_what_one_thread_reads(tmp_path, rng):
    paths = []
    for k in range(6):
        codes = rng.integers(400, WHITE, (300 + 2 * k, 400), dtype=np.uint16)
        paths.append(write_dng(tmp_path / f"f{k}.dng", codes, black_level=BLACK, white_level=WHITE))
    alone = [read_luminance(frame(path)).image for path in paths]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda path: read_luminance(frame(path)).image, paths * 4))
    for k, image in enumerate(together):
        np.testing.assert_array_equal(image, alone[k % 6])


# -- real files


@pytest.mark.parametrize(("name", "black", "white", "shape", "aspect", "crop"), [
    ("canon_powershot_s40_crw/Canon_PowerShot_S40_CRW_0101.CRW", 32, 1023, (1720, 2312), 1.0, (2272, 1704)),
    ("canon_powershot_s40_crw/Canon_PowerShot_S40_CRW_0113.CRW", 32, 1023, (1720, 2312), 1.0, (2272, 1704)),
    ("canon_powershot_s40_crw/Canon_PowerShot_S40_CRW_0119.CRW", 32, 1023, (1720, 2312), 1.0, (2272, 1704)),
    ("canon_550d_ml_dng/colorchart.dng", 2056, 15000, (1156, 1734), 1.0, (1734, 1156)),
    ("canon_6d_linear_dng/canon_eos_6d.dng", 0, 65535, (816, 1224), 1.0, (1224, 816)),
    ("kodak_dc120_kdc/P003908.KDC", 0, 255, (976, 848), 1.5346, (848, 976)),
])
def test_real_files_have_their_levels_frame_and_aspect(name, black, white, shape, aspect, crop):
    path = shared_data("raw") / name
    header, image, plane = raw.read_header(path), raw.read_raw(path), read_luminance(frame(path))
    assert set(image.black.ravel()) == {black} and set(image.white) == {white}
    assert header.shape == plane.image.shape == shape
    assert header.pixel_aspect == pytest.approx(aspect, abs=1e-4) and header.crop == crop
    with rawpy.imread(str(path)) as opened:
        stored = opened.raw_image_visible.copy()
    assert np.array_equal(image.codes, stored[..., :3] if stored.ndim == 3 else stored)
    codes = image.codes[1:-1, 1:-1].astype(float)
    if codes.ndim == 2:
        assert 0.02 < np.nanmedian(plane.image) == pytest.approx((np.median(codes) - black) / (white - black), rel=0.3)
    else:
        light = (image.codes / 65535) @ REC709
        np.testing.assert_allclose(plane.image, np.where((image.codes == 65535).any(axis=2), np.nan, light), atol=3e-7)


def test_libraw_knows_the_camera_of_a_crw_and_nothing_of_a_header_of_zeros():
    camera = raw.read_header(shared_data("raw/canon_powershot_s40_crw") / "Canon_PowerShot_S40_CRW_0113.CRW").camera
    assert camera.focal_length_m == pytest.approx(7.09375e-3) and camera.f_number == pytest.approx(2.798, abs=1e-3)
    assert camera.exposure_s == pytest.approx(0.2013, abs=1e-4) and camera.iso == 50 and camera.lens_model is None
    assert (camera.make, camera.model) == ("Canon", "Canon PowerShot S40")
    zeros = raw.read_header(shared_data("raw/canon_550d_ml_dng") / "colorchart.dng").camera
    assert zeros == raw.RawCamera("Canon", "Canon EOS Kiss X4")
    linear = raw.read_header(shared_data("raw/canon_6d_linear_dng") / "canon_eos_6d.dng").camera
    assert (linear.lens_model, linear.f_number, linear.iso) == ("EF24-105mm f/4L IS USM", 5.6, 1000)
    assert linear.focal_length_m == pytest.approx(0.065)


@pytest.mark.parametrize(("name", "names"), [
    ("FujiFilm.raf", ("FUJIFILM", "FinePix S5Pro")), ("Canon-R6-pruned.CR3", ("Canon", "Canon EOS R6")),
    ("CanonRaw.cr3", ("Canon", "Canon EOS M50")), ("Panasonic.rw2", ("Panasonic", "DMC-LX3")),
    ("ARW.exif", ("SONY", "SLT-A55V")), ("DNG.dng", ("Canon", "Canon EOS 350D DIGITAL"))])
def test_every_container_tells_maker_and_model(name, names):
    assert read_names(shared_data("raw/header_only_metadata") / name) == names


@pytest.mark.parametrize("content", [b"", b"II*\0", b"MM\0*\0\0\0\x08\0\x09", b"II\x1a\0\0\0HEAPCCDR" + bytes(30),
                                     b"\0\0\0\x18ftypcrx " + bytes(60), b"FUJIFILMCCD-RAW 0201", b"text" * 40])
def test_a_container_that_is_cut_tells_no_model(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    assert read_names(tmp_path / "f")[1] is None
