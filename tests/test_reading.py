"""Reading keeps the light: linear planes from every format, no gain of its own, no demosaic, nothing rotated."""

import cv2
import numpy as np
import pytest
import tifffile
from conftest import shared_data

from dfd.io.dng import PATTERNS, write_dng
from dfd.io.frames import Frame, image_size, read_colour, read_luminance
from dfd.io.images import default_linear, read_grey, read_image, read_values, write_tiff
from dfd.io.light import srgb_to_linear
from dfd.io.raw import read_mosaic
from dfd.settings import CameraSettings

SHAPE = (48, 70)


def frame(path, **changes):
    return Frame(path, CameraSettings(), **{"linear": True, **changes})


# -- RAW


@pytest.mark.parametrize("peak", [9000, 13000, 15000, 16383])
def test_gain_does_not_follow_the_brightest_pixel(tmp_path, peak):
    mosaic = np.full((60, 90), 4512, np.uint16)
    mosaic[8, 8] = peak
    path = write_dng(tmp_path / "frame.dng", mosaic, black_level=512, white_level=16383)
    assert read_mosaic(path).values[30, 40] == pytest.approx(0.25203, abs=5e-6)
    assert read_luminance(frame(path)).image[30, 40] == pytest.approx(4000 / 15871, abs=1e-7)


def test_pixels_below_black_stay_negative_and_the_array_outlives_the_file(tmp_path, rng):
    mosaic = rng.integers(450, 600, SHAPE, dtype=np.uint16)
    path = write_dng(tmp_path / "frame.dng", mosaic, black_level=512, white_level=16383)
    read = read_mosaic(path)
    path.unlink()
    assert read.values.base is None and read.values.flags.writeable
    assert read.values.min() == pytest.approx((int(mosaic.min()) - 512) / 15871, abs=1e-7)
    assert read.values.min() < 0
    assert read.dn_range == 15871


def test_stated_levels_win_over_the_file(tmp_path):
    mosaic = np.tile(np.array([[1000, 1100], [1200, 1300]], np.uint16), (20, 30))
    path = write_dng(tmp_path / "frame.dng", mosaic, black_level=512, white_level=16383)
    read = read_mosaic(path, black_level=(900, 1000, 1100, 1200), white_level=2000)
    assert np.allclose(read.values[:2, :2], [[100 / 1100, 100 / 1000], [100 / 900, 100 / 800]], atol=1e-7)
    assert read.dn_range == 950


@pytest.mark.parametrize("pattern", PATTERNS)
def test_luminance_of_constant_chroma_is_exact_at_every_pixel_of_every_phase(tmp_path, pattern):
    light = {"R": 0.25, "G": 0.5, "B": 0.125}
    codes = np.tile(512 + 15872 * np.array([light[colour] for colour in pattern]).reshape(2, 2), (24, 35))
    path = write_dng(tmp_path / "f.dng", codes.astype(np.uint16), black_level=512, white_level=16384, pattern=pattern)
    assert np.abs(read_luminance(frame(path)).image - (0.25 + 2 * 0.5 + 0.125) / 4).max() < 1e-7


def test_noise_after_the_luminance_filter_is_what_its_taps_say(tmp_path, rng):
    mosaic = np.clip(rng.normal(4000, 100, (400, 600)), 0, 16383).round().astype(np.uint16)
    path = write_dng(tmp_path / "frame.dng", mosaic, black_level=512, white_level=16383)
    plane = read_luminance(frame(path))
    measured = plane.image.var() / read_mosaic(path).values.var()
    share = sum(tap**2 for tap in plane.taps) ** 2
    assert share == 36 / 256
    assert measured == pytest.approx(share, rel=0.02)


def test_white_balance_touches_colour_only_and_keeps_saturation_white(tmp_path):
    mosaic = np.full((40, 60), 9000, np.uint16)
    mosaic[10:20, 10:20] = 16383
    path = write_dng(tmp_path / "f.dng", mosaic, black_level=0, white_level=16383)
    balanced = frame(path, white_balance=(2.0, 1.0, 1.5))
    assert read_colour(balanced).max() == 1.0
    image = read_luminance(balanced).image
    np.testing.assert_array_equal(image, read_luminance(frame(path)).image)
    np.testing.assert_array_equal(np.isnan(image[8:22, 8:22]), np.pad(np.ones((12, 12), bool), 1))
    assert np.isnan(image).sum() == 144  # the saturated square and the pixels whose luminance holds one of it


def test_real_canon_crw_decodes_with_its_levels():
    folder = shared_data("raw/canon_powershot_s40_crw")
    path = folder / "Canon_PowerShot_S40_CRW_0113.CRW"
    plane = read_luminance(frame(path))
    assert plane.image.shape == (1720, 2312) == image_size(path)
    assert plane.dn_range == 1023 - 32
    assert 0.05 < np.nanmean(plane.image) < 0.5
    assert read_colour(frame(path)).shape == (1720, 2312, 3)


def test_real_magic_lantern_dng_decodes_with_noise_below_black():
    mosaic = read_mosaic(shared_data("raw/canon_550d_ml_dng") / "colorchart.dng")
    assert mosaic.values.shape == (1156, 1734)
    assert mosaic.dn_range == 15000 - 2056
    assert mosaic.values.min() == pytest.approx((1958 - 2056) / 12944, abs=1e-6)


def test_real_dc120_with_zeros_at_black_zero_is_accepted():
    mosaic = read_mosaic(shared_data("raw/kodak_dc120_kdc") / "P003908.KDC")
    assert mosaic.pattern == ((1, 0), (2, 1))
    assert (mosaic.values == 0).mean() == pytest.approx(0.0939, abs=1e-3)


# -- pictures


def test_srgb_inverse_follows_the_standard():
    encoded = np.array([-0.01, 0.0, 0.04045, 0.5, 1.0])
    assert np.allclose(srgb_to_linear(encoded), [-0.01 / 12.92, 0, 0.0031308, 0.2140411, 1.0], atol=1e-7)
    light = np.linspace(0.0031308, 1, 50)
    assert np.allclose(srgb_to_linear(1.055 * light ** (1 / 2.4) - 0.055), light, atol=1e-12)


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", np.uint8), (".png", np.uint16), (".tif", np.uint8),
                                               (".tif", np.uint16), (".npy", np.uint16)])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_integer_pictures_round_trip_and_alpha_is_dropped(tmp_path, rng, suffix, dtype, channels):
    if suffix == ".npy" and channels == (4,):
        channels = (3,)
    top = np.iinfo(dtype).max
    data = rng.integers(0, top + 1, (*SHAPE, *channels)).astype(dtype)
    path = tmp_path / f"frame{suffix}"
    save(path, data)
    assert image_size(path) == SHAPE
    read = read_image(path, linear=True)
    assert read.dn_range == top and read.values.dtype == np.float32
    assert np.allclose(read.values, data[..., :3] / top if channels else data / top, atol=1e-7)
    gamma = read_image(path, linear=False).values
    assert np.allclose(gamma, srgb_to_linear((data[..., :3] if channels else data) / top), atol=1e-7)


def save(path, data):
    if path.suffix == ".npy":
        np.save(path, data)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, data, photometric="rgb" if data.ndim == 3 else "minisblack")
    else:
        order = {2: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[data.ndim if data.ndim == 2 else data.shape[2]]
        cv2.imwrite(str(path), data if data.ndim == 2 else data[..., order])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_tiff_is_linear_with_white_one_and_keeps_what_lies_outside(tmp_path, rng, dtype):
    data = rng.normal(0.5, 0.5, SHAPE).astype(dtype)
    tifffile.imwrite(tmp_path / "f.tiff", data)
    read = read_image(tmp_path / "f.tiff")
    assert np.allclose(read.values, data, atol=1e-6) and read.dn_range == 1
    scaled = read_image(tmp_path / "f.tiff", black_level=0.1, white_level=2.1)
    assert np.allclose(scaled.values, (data - 0.1) / 2, atol=1e-6) and scaled.dn_range == 2


def test_luminance_of_rgb_is_rec709_of_linear_light(tmp_path):
    data = np.zeros((*SHAPE, 3), np.uint8)
    data[:, :20], data[:, 20:40], data[:, 40:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    save(tmp_path / "f.png", data)
    plane = read_luminance(frame(tmp_path / "f.png", linear=False))
    assert np.allclose(plane.image[10, [10, 30, 50]], [0.2126, 0.7152, 0.0722], atol=1e-6)
    assert plane.taps == (1.0,)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_that_is_white_all_over_is_refused(tmp_path, dtype):
    data = np.full((*SHAPE, 3), np.iinfo(dtype).max, dtype)
    data[:2, :10] //= 2  # 20 of 3360 px
    save(tmp_path / "f.png", data)
    with pytest.raises(OSError, match=r"f\.png: 99\.4 % of the pixels are at white, .* overexposed, leave it out$"):
        read_luminance(frame(tmp_path / "f.png", linear=False))
    data[:4] //= 2
    save(tmp_path / "f.png", data)
    assert np.isfinite(read_luminance(frame(tmp_path / "f.png", linear=False)).image).sum() == 4 * SHAPE[1]


def test_jpeg_keeps_its_stored_orientation(tmp_path, rng):
    image = cv2.GaussianBlur(rng.integers(0, 256, (*SHAPE, 3)).astype(np.uint8), (9, 9), 3)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    ifd = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # Orientation 6: rotate 90 degrees
    app1 = b"\xff\xe1" + (len(ifd) + 8).to_bytes(2, "big") + b"Exif\0\0" + ifd
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + app1 + jpeg[2:])
    assert image_size(path) == SHAPE == read_luminance(frame(path)).image.shape
    assert read_colour(frame(path)).shape == (*SHAPE, 3)


def test_linear_defaults_follow_the_format(tmp_path, rng):
    data = rng.integers(0, 255, SHAPE)
    expected = {"a.png": (np.uint16, False), "b.tif": (np.uint16, True), "c.tif": (np.uint8, False),
                "d.tif": (np.float32, True), "e.npy": (np.float32, True), "f.jpg": (np.uint8, False)}
    for name, (dtype, linear) in expected.items():
        save(tmp_path / name, data.astype(dtype))
        assert default_linear(tmp_path / name) is linear, name


def test_planar_and_lzw_tiff_read_like_plain_ones(tmp_path, rng):
    data = rng.integers(0, 65536, (*SHAPE, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(data, -1, 0), photometric="rgb", planarconfig="separate")
    cv2.imwrite(str(tmp_path / "lzw.tif"), data[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    for name in ("planar.tif", "lzw.tif"):
        assert np.allclose(read_image(tmp_path / name).values, data / 65535, atol=1e-7), name


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_write_tiff_round_trips_with_its_metadata(tmp_path, rng, dtype):
    image = (rng.random((*SHAPE, 3)) * 60000).astype(dtype)
    path = write_tiff(tmp_path / "map.tiff", image, metadata={"unit": "m", "name": "Tiefe <ü>"})
    with tifffile.TiffFile(path) as file:
        assert np.array_equal(file.asarray(), image)
        assert '"unit": "m"' in file.pages.first.description
    with pytest.raises(TypeError, match="float64"):
        write_tiff(path, image.astype(np.float64))


def test_values_are_read_as_they_are_stored(tmp_path):
    """A map is no photograph: NaN and the file's own units stay."""
    numbers = np.array([[np.nan, -2.5, 3.0]], np.float32)
    tifffile.imwrite(tmp_path / "map.tiff", numbers)
    np.testing.assert_array_equal(read_values(tmp_path / "map.tiff"), numbers)
    tifffile.imwrite(tmp_path / "mm.tif", np.array([[0, 1500, 65535]], np.uint16))
    assert read_values(tmp_path / "mm.tif").tolist() == [[0, 1500, 65535]]
    with pytest.raises(OSError, match=r"gone\.tiff: no such file"):
        read_values(tmp_path / "gone.tiff")


@pytest.mark.parametrize("dtype", [">u1", ">u2", ">u4", ">f4"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_the_byte_order_of_another_machine_changes_nothing(tmp_path, rng, dtype, channels):
    data = (rng.random((*SHAPE, *channels)) * (200 if dtype != ">f4" else 0.8)).astype(dtype)
    for name, order in (("there.npy", ">"), ("here.npy", "=")):
        np.save(tmp_path / name, data.astype(data.dtype.newbyteorder(order)))
    np.testing.assert_array_equal(read_values(tmp_path / "there.npy"), data)
    for read in (read_grey, read_image):
        there, here = (read(tmp_path / name) for name in ("there.npy", "here.npy"))
        np.testing.assert_array_equal(there.values, here.values)
        assert (there.dn_range, there.clips, there.colour) == (here.dn_range, here.clips, here.colour)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=str)
def test_a_tiff_whose_zero_is_white_is_refused_not_read_as_its_negative(tmp_path, rng, dtype, options):
    data = rng.integers(0, np.iinfo(dtype).max, SHAPE).astype(dtype)
    tifffile.imwrite(tmp_path / "negative.tif", data, photometric="miniswhite", **options)
    for read in (read_grey, read_image, read_values):
        with pytest.raises(OSError, match=r"negative\.tif: PhotometricInterpretation 0, its zero is white; black must be "
                                          r"zero \(1, or 2 for RGB\); save it again as an ordinary grey TIFF$"):
            read(tmp_path / "negative.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_one_full_channel_saturates_linear_colours_and_all_three_a_developed_picture(tmp_path, dtype):
    white = np.iinfo(dtype).max
    data = np.full((*SHAPE, 3), white // 3, dtype)
    data[:, :10, 0], data[:, 10:20, 1:], data[:, 20:30] = white, white, white
    np.save(tmp_path / "f.npy", data)
    for linear, first in ((True, 0), (False, 20)):
        unknown = np.isnan(read_grey(tmp_path / "f.npy", linear=linear).values)
        np.testing.assert_array_equal(unknown.all(axis=0), unknown.any(axis=0))
        assert np.flatnonzero(unknown[0]).tolist() == list(range(first, 30))
