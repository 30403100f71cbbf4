"""Frames of one capture come from one camera, lens and kind of file: what only looks odd is told, the rest is refused."""

import json

import cv2
import numpy as np
import pytest
import tifffile
from conftest import shared_data

from dfd.cli.commands import app
from dfd.console import start
from dfd.io.describe import describe
from dfd.io.dng import write_dng
from dfd.io.frames import read_luminance
from dfd.io.inputs import find_inputs
from dfd.io.sources import open_source
from dfd.settings import CameraSettings, Value

SHAPE = (40, 60)
MAKE, MODEL, ORIENTATION, SERIAL, LENS, FOCAL = 271, 272, 274, 42033, 42036, 37386


def frame(path, *, shape=SHAPE, **tags):
    codes = {"make": MAKE, "model": MODEL, "serial": SERIAL, "lens": LENS}
    extra = [(codes[name], 2, 0, value, True) for name, value in tags.items() if name in codes]
    if "orientation" in tags:
        extra.append((ORIENTATION, 3, 1, tags["orientation"], True))
    if "focal" in tags:
        extra.append((FOCAL, 5, 1, (round(tags["focal"] * 100), 100), True))
    tifffile.imwrite(path, np.full(shape, 1000, np.uint16), metadata=None, extratags=extra)
    return path


def raw(path, **changes):
    mosaic = np.full(SHAPE, 1000, np.uint16)
    mosaic[3, 4] = 2000
    return write_dng(path, mosaic, black_level=512, white_level=16383,
                     settings=CameraSettings(make="M", model="B", **changes))


def listed(folder, names):
    (folder / "capture.toml").write_text("".join(f'[[frames]]\nfile = "{name}"\n' for name in names))
    return folder


def refusal(inputs):
    with pytest.raises(ValueError) as caught:
        open_source(inputs)
    assert "\n" not in str(caught.value) and "leave the odd ones out" in str(caught.value)
    return str(caught.value)


CONTRADICTIONS = {
    "model": ({"make": "Acme", "model": "One"}, {"make": "Acme", "model": "Two"}, ("Acme One", "Acme Two", "cameras")),
    "maker": ({"make": "Acme", "model": "One"}, {"make": "Beta", "model": "One"}, ("Acme One", "Beta One", "cameras")),
    "body": ({"model": "One", "serial": "17"}, {"model": "One", "serial": "18"}, ("17", "18", "camera bodies")),
    "lens": ({"model": "One", "lens": "50mm"}, {"model": "One", "lens": "85mm"}, ("50mm", "85mm", "lenses")),
    "zoom": ({"focal": 24}, {"focal": 35}, ("24 mm", "35 mm", "the zoom moved")),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_frames_of_two_cameras_are_refused_unless_capture_toml_lists_them(tmp_path, case):
    first, second, words = CONTRADICTIONS[case]
    for index, tags in enumerate((first, first, second)):
        frame(tmp_path / f"{index}.tif", **tags)
    text = refusal(tmp_path)
    assert "0.tif" in text and "2.tif" in text and all(word in text for word in words)
    warnings = open_source(listed(tmp_path, ["0.tif", "1.tif", "2.tif"])).warnings
    assert any(all(word in text for word in words) for text in warnings)


def test_what_is_unknown_or_written_differently_is_no_other_camera(tmp_path):
    frame(tmp_path / "0.tif", make="ACME CORP", model="ONE", focal=50)
    frame(tmp_path / "1.tif", make="Acme Corp", model="Acme  One", focal=51)
    frame(tmp_path / "2.tif")
    assert open_source(tmp_path).warnings == ()


def pictures(folder, names, values):
    for name, value in zip(names, values, strict=True):
        np.save(folder / name, value) if name.endswith("npy") else tifffile.imwrite(folder / name, value) \
            if value.dtype.kind == "f" else cv2.imwrite(str(folder / name), value)


@pytest.mark.parametrize(("suffix", "dtypes", "words"), [
    ("tiff", (np.uint16, np.uint8), ("1.tiff is 8-bit TIFF and 0.tiff 16-bit TIFF",
                                     "1.tiff as sRGB and 0.tiff as linear light")),
    ("tiff", (np.uint16, np.float32), ("1.tiff is float TIFF and 0.tiff 16-bit TIFF", "a white level of its own")),
    ("npy", (np.float32, np.uint8), ("1.npy is 8-bit npy and 0.npy float npy", "a white level of its own")),
])
def test_files_that_are_read_differently_are_named(tmp_path, suffix, dtypes, words):
    values = [np.full(SHAPE, 100, dtype) for dtype in (*dtypes, dtypes[0])]
    pictures(tmp_path, [f"{index}.{suffix}" for index in range(3)], values)
    (text,) = open_source(tmp_path).warnings
    assert text.startswith(f"{words[0]} (1 and 2 of 3 files)") and words[1] in text and "save all of them alike" in text
    assert "no frame" not in text
    (tmp_path / f"1.{suffix}").unlink()
    assert open_source(tmp_path).warnings == ()


def test_8_and_16_bit_png_are_read_alike_and_no_warning(tmp_path):
    grey = np.arange(40 * 60, dtype=np.uint16).reshape(SHAPE) % 256
    pictures(tmp_path, ["0.png", "1.png", "2.png"], [grey.astype(np.uint8), grey * 257, grey.astype(np.uint8)])
    source = open_source(tmp_path)
    assert source.warnings == ()
    one, other = (read_luminance(frame).image for frame in source.frames[:2])
    assert np.nanmax(np.abs(one - other)) < 1e-6


def test_what_capture_toml_says_of_linear_values_settles_the_question(tmp_path):
    pictures(tmp_path, ["0.tiff", "1.tiff"], [np.full(SHAPE, 100, dtype) for dtype in (np.uint16, np.uint8)])
    assert len(open_source(tmp_path).warnings) == 1
    (tmp_path / "capture.toml").write_text("[camera]\nlinear = true\n")
    assert open_source(tmp_path).warnings == ()


@pytest.mark.parametrize("name", ["depth.npy", "depth.tiff"])
def test_a_map_among_pictures_may_be_no_frame(tmp_path, name):
    pictures(tmp_path, ["a.png", name, "z.png"], [np.full(SHAPE, 9, np.uint8), np.full(SHAPE, 0.5, np.float32),
                                                 np.full(SHAPE, 9, np.uint8)])
    (text,) = open_source(tmp_path).warnings
    assert text.startswith(f"{name} is float {'npy' if name.endswith('npy') else 'TIFF'} and a.png 8-bit PNG (1 and 2 of 3")
    assert "take it out of the folder if it is no frame of the stack (a mask, a depth map)" in text


def test_a_line_of_pixels_is_no_image(tmp_path):
    for index in range(3):
        np.save(tmp_path / f"{index}.npy", np.full((1, 8), 0.1 * index, np.float32))
    with pytest.raises(ValueError, match=r"0\.npy is 8 x 1 px, sides of at least 2 px are needed; is it an image\?$"):
        open_source(tmp_path)


@pytest.mark.parametrize(("count", "words"), [(1, "1 picture stands beside"), (2, "2 pictures stand beside")])
def test_pictures_beside_their_raw_files_are_counted(tmp_path, count, words):
    for index in range(2):
        write_dng(tmp_path / f"{index}.dng", np.full(SHAPE, 1000 + index, np.uint16), black_level=0, white_level=4095)
        if index < count:
            cv2.imwrite(str(tmp_path / f"{index}.jpg"), np.zeros(SHAPE, np.uint8))
    assert words in find_inputs(tmp_path).warnings[0]


def test_a_zoom_that_moved_a_little_is_told_and_stated_focal_length_silences_it(tmp_path):
    for index, focal in enumerate((50, 54)):
        frame(tmp_path / f"{index}.tif", focal=focal)
    (text,) = open_source(tmp_path).warnings
    assert "0.tif" in text and "50 mm" in text and "54 mm" in text and "its own" in text
    (tmp_path / "capture.toml").write_text("[camera]\nfocal_length_mm = 50\n")
    assert open_source(tmp_path).warnings == ()


def test_orientation_that_differs_is_told_and_nothing_turns(tmp_path):
    """Phones that point down flip the tag between frames of one bracket."""
    for index, orientation in enumerate((6, 1, 6, 3)):
        frame(tmp_path / f"{index}.tif", orientation=orientation)
    source = open_source(tmp_path, reference=0)
    (text,) = source.warnings
    assert text.startswith("1.tif and 1 more: EXIF orientation 1, the reference 0.tif has 6")
    assert source.frames[source.reference].orientation == 6
    assert "0.tif and 2 more: EXIF orientation 6" in open_source(tmp_path, reference=1).warnings[0]


def test_frames_of_turned_shape_are_refused_with_their_own_next_step(tmp_path):
    frame(tmp_path / "0.tif")
    frame(tmp_path / "1.tif", shape=SHAPE[::-1])
    with pytest.raises(ValueError, match=r"60 x 40 px but .*1.tif is 40 x 60 px; .* turned on its side"):
        open_source(tmp_path)


def test_raw_and_picture_of_one_shot_given_by_name(tmp_path):
    for index in (1, 2):
        raw(tmp_path / f"IMG_{index}.DNG")
        frame(tmp_path / f"img_{index}.TIF")
    for inputs in (tmp_path, sorted(tmp_path.iterdir())):
        source = open_source(inputs)
        assert [item.path.name for item in source.frames] == ["IMG_1.DNG", "IMG_2.DNG"]
        assert any("2 pictures" in text and "img_1.TIF" in text and "the RAW files are used" in text
                   for text in source.warnings)
    listed(tmp_path, ["img_1.TIF", "img_2.TIF"])
    given = [tmp_path / "img_1.TIF", tmp_path / "img_2.TIF"]
    assert [item.path for item in open_source(given).frames] == given


def test_a_picture_without_its_raw_file_among_raw_files_is_a_mixture(tmp_path):
    for index in (1, 2):
        raw(tmp_path / f"IMG_{index}.DNG")
    frame(tmp_path / "IMG_3.TIF")
    text = refusal(tmp_path)
    assert "IMG_3.TIF is no RAW file but IMG_1.DNG is (1 and 2 of 3 files)" in text
    assert describe(tmp_path).trouble == text
    (tmp_path / "other").mkdir()
    frame(tmp_path / "other" / "IMG_1.TIF")
    assert "IMG_1.TIF is no RAW file" in refusal([*tmp_path.glob("*.DNG"), tmp_path / "other" / "IMG_1.TIF"])
    assert find_inputs(tmp_path).warnings == ()


def test_linear_false_for_raw_files_is_told(tmp_path):
    for index in (1, 2):
        raw(tmp_path / f"{index}.dng", focal_length=Value(0.05))
    (tmp_path / "capture.toml").write_text("[camera]\nlinear = false\n")
    source = open_source(tmp_path)
    assert all(item.linear for item in source.frames)
    assert any("linear = false is not used for 1.dng" in text and "remove the line" in text for text in source.warnings)
    (tmp_path / "capture.toml").write_text("[camera]\nlinear = true\n")
    assert open_source(tmp_path).warnings == ()


# -- damaged files beside good ones


def info(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        start(app, "dfd", ["info", *map(str, arguments)])
    return stop.value.code, *capsys.readouterr()


def test_info_tells_a_line_per_damaged_file_and_shows_the_rest(tmp_path, capfd):
    for index in (1, 2):
        frame(tmp_path / f"{index}.tif", make="Acme", model="One", focal=50)
    (tmp_path / "3.tif").write_bytes(b"II*\0\xff\xff\xff\x7f")
    (tmp_path / "4.dng").write_bytes(b"")
    code, out, err = info(capfd, tmp_path)
    assert code == 2 and "2 files, 60 x 40 px, Acme One" in out and "focal length  50 mm" in out
    assert [line.split(": ")[1].rpartition("/")[2] for line in err.splitlines()] == ["3.tif", "4.dng"]
    assert "dfd depth would stop: " in out
    code, out, _ = info(capfd, tmp_path, "--json")
    rows = json.loads(out)
    assert code == 2 and [set(row) == {"file", "error"} for row in rows] == [False, False, True, True]


def test_info_of_damaged_files_only_shows_their_lines(tmp_path, capfd):
    (tmp_path / "4.dng").write_bytes(b"")
    code, out, err = info(capfd, tmp_path / "4.dng")
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "0 bytes" in err


def test_info_of_a_folder_of_real_headers_without_pixels(capfd):
    code, out, err = info(capfd, shared_data("raw/header_only_metadata"))
    lines = err.splitlines()
    assert (code, out) == (2, "") and len(lines) == len({line.split(": ")[1] for line in lines}) == 8
