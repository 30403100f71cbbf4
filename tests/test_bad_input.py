"""Bad input is refused at the door with one line: the file, what is wrong, the limit, the next step."""

import sys

import cv2
import numpy as np
import pytest
import tifffile
from conftest import shared_data

from dfd.io.dng import write_dng
from dfd.io.frames import Frame, image_size, read_colour, read_luminance
from dfd.io.images import read_image
from dfd.io.raw import read_mosaic
from dfd.io.sources import open_source
from dfd.settings import CameraSettings, Value

SHAPE = (60, 90)
LENS = "[camera]\nfocal_length_mm = 50\nf_number = 2.8\npixel_pitch_um = 6\n"


@pytest.fixture
def pair(tmp_path, rng):
    for name in ("a.tiff", "b.tiff"):
        tifffile.imwrite(tmp_path / name, rng.random(SHAPE).astype(np.float32))
    return tmp_path


def toml(folder, first, second, head=LENS):
    tables = f'[[frames]]\nfile = "a.tiff"\n{first}\n[[frames]]\nfile = "b.tiff"\n{second}\n'
    (folder / "capture.toml").write_text(head + tables)
    return folder


def refused(error, call, *parts):
    """The message, after checking that it is one line with all its parts."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    return message


# -- which files


def test_missing_files_and_folders(pair):
    refused(OSError, lambda: open_source(pair / "absent"), "absent", "no such file")
    refused(OSError, lambda: open_source([pair / "a.tiff", pair / "c.tiff"]), "c.tiff", "no such file")
    refused(OSError, lambda: open_source(pair / "other.toml"), "other.toml", "no such file")
    refused(ValueError, lambda: open_source([]), "no input")


def test_folders_without_images_and_with_one(tmp_path, pair):
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(OSError, lambda: open_source(empty), "no images in this folder")
    (empty / "notes.txt").write_text("text")
    refused(OSError, lambda: open_source(empty), "no images in this folder")
    refused(ValueError, lambda: open_source(pair / "a.tiff"), "1 image, at least 2")
    (pair / "b.tiff").unlink()
    refused(ValueError, lambda: open_source(pair), "1 image, at least 2")


def test_mixtures_and_doubles(pair):
    refused(ValueError, lambda: open_source([pair, pair / "a.tiff"]), "not a mixture")
    refused(ValueError, lambda: open_source([pair / "a.tiff", pair / "." / "a.tiff"]), "given twice")


def test_what_is_not_an_image(pair):
    for name, content in {"c.txt": b"text", "c.tiff": b"text", "c.png": b"text", "c.jpg": b"text", "c.npy": b"text",
                          "c.dng": b"text", "d.tiff": b"", "d.dng": b"", "d.png": b""}.items():
        (pair / name).write_bytes(content)
        refused(OSError, lambda name=name: open_source([pair / "a.tiff", pair / name]), name)


def test_mixed_sizes_name_both_files(pair):
    tifffile.imwrite(pair / "b.tiff", np.zeros((60, 91), np.float32))
    refused(ValueError, lambda: open_source(pair), "a.tiff is 90 x 60 px", "b.tiff is 91 x 60 px")


@pytest.mark.skipif(sys.platform == "win32", reason="file rights differ on Windows")
def test_an_unreadable_file_is_an_os_error(pair):
    (pair / "c.tiff").symlink_to(pair / "gone.tiff")
    refused(OSError, lambda: open_source([pair / "a.tiff", pair / "c.tiff"]), "c.tiff")


# -- which values


def test_duplicate_focus_distances(pair):
    toml(pair, "focus_distance_m = 0.6", "focus_distance_m = 0.6")
    refused(ValueError, lambda: open_source(pair), "a.tiff and b.tiff", "0.6 m, capture.toml", "leave one file out")
    refused(ValueError, lambda: open_source(pair, focus_distances=[0.6, 0.6]), "0.6 m, --focus-distances")
    toml(pair, "stage_position_mm = 2", "stage_position_mm = 2", head="")
    refused(ValueError, lambda: open_source(pair), "a.tiff and b.tiff", "2 mm")


def test_duplicate_focus_distances_are_an_error_even_where_the_optics_are_unknown(pair):
    toml(pair, "focus_distance_m = 0.6", "focus_dpt = 1.6666666666666667", head="")
    refused(ValueError, lambda: open_source(pair), "the same focus")


@pytest.mark.parametrize("head", [LENS, "[camera]\nfocal_length_mm = 50\n"])
def test_focus_inside_the_focal_length(pair, head):
    toml(pair, "focus_distance_m = 0.04", "focus_distance_m = 0.6", head=head)
    refused(ValueError, lambda: open_source(pair), "a.tiff", "0.04 m", "0.05 m", "must exceed", "units?")
    toml(pair, "focus_dpt = 21", "focus_distance_m = 0.6", head=head)
    refused(ValueError, lambda: open_source(pair), "a.tiff", "must exceed")


def test_too_near_for_a_distance_from_the_sensor(pair):
    toml(pair, "focus_distance_m = 0.15", "focus_distance_m = 0.6", head='distance_from = "sensor"\n' + LENS)
    refused(ValueError, lambda: open_source(pair), "0.15 m", "4 focal lengths", "0.2 m")


def test_negative_and_miscounted_focus_distances(pair):
    refused(ValueError, lambda: open_source(pair, focus_distances=[0.5, -0.6]),
            "--focus-distances[1] (-0.6 m) must be positive")
    refused(ValueError, lambda: open_source(pair, focus_distances=[0.5, 0.6, 0.7]), "3 distances for 2 files")
    toml(pair, "focus_distance_m = -1", "")
    refused(ValueError, lambda: open_source(pair), "frames[0].focus_distance_m (-1 m) must be positive")


def test_words_and_counts(pair):
    refused(ValueError, lambda: open_source(pair, kind="stack"), "'stack'", "focal-stack")
    refused(ValueError, lambda: open_source(pair, side="left"), "'left'", "near or far")
    refused(ValueError, lambda: open_source(pair, kind="differential-quad"), "2 files", "exactly 4")
    toml(pair, "", "", head='[camera]\npsf = "disk-gaussian"\n')
    refused(ValueError, lambda: open_source(pair), "capture.toml", "psf_core_px")


def test_nan_in_a_float_tiff_is_counted(pair):
    data = np.full(SHAPE, 0.5, np.float32)
    data[3:5, 7] = np.nan
    data[9, 9] = np.inf
    tifffile.imwrite(pair / "a.tiff", data)
    refused(ValueError, lambda: read_image(pair / "a.tiff"), "a.tiff", "3 of 5400", "NaN or infinite")


def test_levels_that_do_not_fit(pair):
    refused(ValueError, lambda: read_image(pair / "a.tiff", black_level=1, white_level=1), "white_level (1)")
    refused(ValueError, lambda: read_image(pair / "a.tiff", black_level=(0, 0, 0)), "3 numbers", "1 channels")


def test_arrays_that_are_not_pictures(pair):
    for name, array in {"one.npy": np.zeros(5), "four.npy": np.zeros((2, 2, 2, 2)), "five.npy": np.zeros((8, 9, 5)),
                        "signed.npy": np.zeros((8, 9), np.int16), "complex.npy": np.zeros((8, 9), complex)}.items():
        np.save(pair / name, array)
        refused(OSError, lambda name=name: read_image(pair / name), name)
    np.save(pair / "object.npy", np.array([[{}]]), allow_pickle=True)
    refused(OSError, lambda: read_image(pair / "object.npy"), "object.npy")
    tifffile.imwrite(pair / "stack.tif", np.zeros((3, *SHAPE), np.uint8), photometric="minisblack")
    refused(OSError, lambda: read_image(pair / "stack.tif"), "holds 3 images", "one file per frame")


# -- cut and damaged files


def pictures(folder, rng):
    image = cv2.GaussianBlur(rng.integers(0, 256, (90, 130, 3)).astype(np.uint8), (5, 5), 1)
    for name in ("f.png", "f.jpg", "lzw.tif"):
        cv2.imwrite(str(folder / name), image)
    cv2.imwrite(str(folder / "progressive.jpg"), image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    tifffile.imwrite(folder / "f.tif", image)
    tifffile.imwrite(folder / "big.tif", image, bigtiff=True, rowsperstrip=8)
    np.save(folder / "f.npy", image)
    mosaic = rng.integers(400, 16384, (90, 130), dtype=np.uint16)
    write_dng(folder / "f.dng", mosaic, black_level=512, white_level=16383, settings=CameraSettings(iso=Value(100)))


NAMES = ("f.png", "f.jpg", "progressive.jpg", "lzw.tif", "f.tif", "big.tif", "f.npy", "f.dng")


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path, rng, name):
    pictures(tmp_path, rng)
    whole = (tmp_path / name).read_bytes()
    path = tmp_path / f"cut{(tmp_path / name).suffix}"
    path.write_bytes(whole)
    read_luminance(Frame(path, CameraSettings(), linear=True))
    for keep in (4, 20, 100, 600, len(whole) // 4, len(whole) // 2, len(whole) - 300, len(whole) - 1):
        path.write_bytes(whole[:keep])
        refused(OSError, lambda: read_luminance(Frame(path, CameraSettings(), linear=True)), path.name)
        refused(OSError, lambda: read_colour(Frame(path, CameraSettings(), linear=True)), path.name)


@pytest.mark.parametrize("name", ["f.png", "f.jpg", "f.tif", "f.dng"])
def test_a_cut_file_is_seen_by_its_header_check_before_anything_is_decoded(tmp_path, rng, name):
    pictures(tmp_path, rng)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    refused(OSError, lambda: image_size(tmp_path / name), name, "cut")


def test_a_flipped_bit_in_a_png_is_seen(tmp_path, rng):
    pictures(tmp_path, rng)
    data = bytearray((tmp_path / "f.png").read_bytes())
    data[len(data) // 2] ^= 4
    (tmp_path / "f.png").write_bytes(data)
    refused(OSError, lambda: read_image(tmp_path / "f.png"), "checksum")


def test_a_jpeg_trailer_is_no_damage(tmp_path, rng):
    pictures(tmp_path, rng)
    whole = (tmp_path / "f.jpg").read_bytes()
    (tmp_path / "f.jpg").write_bytes(whole + b"maker trailer \xff\xd8\xff\xe0")
    assert read_image(tmp_path / "f.jpg").values.shape == (90, 130, 3)


def test_lossless_jpeg_tiles_cut_inside_their_table_are_refused(tmp_path, rng):
    pytest.importorskip("imagecodecs")
    mosaic = rng.integers(400, 16384, (1024, 1536), dtype=np.uint16)
    plain = write_dng(tmp_path / "plain.dng", mosaic[:64, :96], black_level=512, white_level=16383)
    with tifffile.TiffFile(plain) as file:
        tags = [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in file.pages.first.tags if tag.code > 33000]
    path = tmp_path / "tiles.dng"
    tifffile.imwrite(path, mosaic, photometric=32803, metadata=None, extratags=tags, tile=(64, 64),
                     compression="jpeg", compressionargs={"lossless": True, "bitspersample": 16})
    whole = path.read_bytes()
    assert read_mosaic(path).values.shape == mosaic.shape
    for keep in (600, 1000, 4000, len(whole) // 2):
        path.write_bytes(whole[:keep])
        refused(OSError, lambda: read_mosaic(path), "cut")


def test_magic_lantern_placeholders_leave_f_and_n_unknown_and_name_the_lines(tmp_path):
    original = shared_data("raw/canon_550d_ml_dng") / "colorchart.dng"
    for name in ("a.dng", "b.dng"):
        (tmp_path / name).write_bytes(original.read_bytes())
    source = open_source(tmp_path)
    assert {"focal_length", "f_number"}.isdisjoint(source.frames[0].settings.values())
    assert [line.split(" ")[0] for line in source.missing] == ["focal_length_mm", "f_number", "pixel_pitch_um",
                                                               "focus_distance_m"]
    refused(ValueError, lambda: source.profile.thin_lens(source.frames[0].settings), "a.dng", "focal_length_mm",
            "f_number")
