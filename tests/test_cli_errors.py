"""Bad files and bad capture.toml at the command line: exit 2, one line with what, value, limit and next step."""

import errno

import cv2
import numpy as np
import pytest
import tifffile
from commandline import CAMERA, PROGRESS, SHAPE, command, dfd, frames, only_the_scale, place, refused, toml
from conftest import shared_data

from dfd.io.dng import write_dng
from dfd.settings import CameraSettings, Value

__all__ = ["frames", "place"]


# -- files


def remove(name):
    return lambda folder: (folder / name).unlink()


def write(name, content):
    return lambda folder: (folder / name).write_text(content)


def only(*names):
    def prepare(folder):
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()

    return prepare


def cut(name):
    def prepare(folder):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:len(whole) // 2])

    return prepare


def other_size(folder):
    tifffile.imwrite(folder / "f3.tiff", np.full((60, 92), 0.5, np.float32))


def with_nan(folder):
    image = tifffile.imread(folder / "f1.tiff").copy()
    image[4, 5:8] = np.nan
    tifffile.imwrite(folder / "f1.tiff", image)


def several_pages(folder):
    tifffile.imwrite(folder / "f1.tiff", np.zeros((3, *SHAPE), np.uint16), photometric="minisblack")


def dangling(folder):
    (folder / "f2.tiff").unlink()
    (folder / "f2.tiff").symlink_to("gone.tiff")


def a_folder(folder):
    (folder / "f2.tiff").unlink()
    (folder / "f2.tiff").mkdir()


FILES = {
    "missing frame": (remove("f3.tiff"), ("in",), ("capture.toml: frames[3].file (f3.tiff): no such file", "check the")),
    "missing folder": (None, ("nowhere",), ("nowhere: no such file", "check the path")),
    "missing toml": (None, ("in/other.toml",), ("in/other.toml: no such file", "check the path")),
    "missing of two": (None, ("in/f0.tiff", "in/f9.tiff"), ("in/f9.tiff: no such file",)),
    "dangling link": (dangling, ("in",), ("frames[2].file (f2.tiff): no such file",)),
    "folder for a file": (a_folder, ("in/f1.tiff", "in/f2.tiff", "in/f3.tiff"), ("in/f2.tiff",)),
    "empty folder": (only(), ("in",), ("in: no images in this folder", "dfd reads TIFF, PNG, JPEG, PGM, npy and RAW")),
    "one image in a folder": (only("f1.tiff"), ("in",), ("f1.tiff: 1 image, at least 2 are needed", "different focus")),
    "one image": (None, ("in/f1.tiff",), ("in/f1.tiff: 1 image, at least 2 are needed",)),
    "two images of a stack": (only("f1.tiff", "f2.tiff"), ("in",), ("at least 3 images", "has 2")),
    "the same file twice": (None, ("in/f1.tiff", "in/../in/f1.tiff"), ("the same file is given twice",)),
    "folder and file": (None, ("in", "in/f1.tiff"), ("not a mixture of 2 inputs",)),
    "mixed sizes": (other_size, ("in",), ("f0.tiff is 90 x 60 px", "f3.tiff is 92 x 60 px", "leave out or replace")),
    "not an image": (write("f2.tiff", "a text"), ("in",), ("in/f2.tiff", "no TIFF header")),
    "empty file": (write("f2.tiff", ""), ("in",), ("in/f2.tiff: 0 bytes", "copy it again")),
    "unknown suffix": (write("f2.gif", "GIF89a"), ("in/f1.tiff", "in/f2.gif"), ("in/f2.gif: not an image that dfd reads",)),
    "cut TIFF": (cut("f2.tiff"), ("in",), ("in/f2.tiff", "cut", "copy it again")),
    "NaN": (with_nan, ("in",), ("in/f1.tiff: 3 of 5400 values are NaN or infinite, none is allowed", "replace them")),
    "several pages": (several_pages, ("in",), ("in/f1.tiff: holds 3 images of 90 x 60 px", "one file per frame")),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_a_capture(place, capsys, case):
    prepare, inputs, parts = FILES[case]
    if prepare is not None:
        prepare(place / "in")
    refused(place, capsys, ("depth", *inputs, "-o", "out"), *parts)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".npy", ".dng"])
def test_a_cut_file_of_every_format(place, capsys, suffix):
    folder = place / "cut"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for k in range(3):
        path = folder / f"f{k}{suffix}"
        if suffix == ".dng":
            write_dng(path, rng.integers(600, 16000, SHAPE, dtype=np.uint16), black_level=512, white_level=16383,
                      settings=CameraSettings(iso=Value(100.0)))
        elif suffix == ".npy":
            np.save(path, rng.random(SHAPE).astype(np.float32))
        else:
            cv2.imwrite(str(path), rng.integers(0, 255, SHAPE, dtype=np.uint8))
    cut(f"f1{suffix}")(folder)
    refused(place, capsys, ("depth", "cut", "-o", "out"), f"f1{suffix}", "cut")


def test_a_file_that_may_not_be_read(place, capsys, monkeypatch):
    real = open

    def guarded(file, *rest, **options):
        if str(file).endswith("f2.tiff"):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return real(file, *rest, **options)

    monkeypatch.setattr("builtins.open", guarded)
    assert dfd("depth", "in", "-o", "out") == 2
    assert capsys.readouterr().err == "dfd: in/f2.tiff: Permission denied; check the path and its access rights\n"
    assert not (place / "out").exists()


def test_a_damaged_raw_file_is_one_line_although_the_raw_library_prints_its_own(place):
    source = shared_data("raw/canon_powershot_s40_crw")
    (place / "raw").mkdir()
    for k, path in enumerate(sorted(source.glob("*.CRW"))):
        (place / "raw" / f"f{k}.crw").write_bytes(path.read_bytes())
    data = bytearray((place / "raw" / "f1.crw").read_bytes())
    data[len(data) // 2:len(data) // 2 + 30000] = np.random.default_rng(0).bytes(30000)
    (place / "raw" / "f1.crw").write_bytes(data)
    done = command("depth", "raw", "-o", "out")
    assert done.returncode == 2 and only_the_scale(done.stdout)
    *progress, line = done.stderr.splitlines()
    assert line.startswith("dfd: raw/f1.crw: LibRaw cannot read it (") and "the file is damaged" in line
    assert all(PROGRESS.fullmatch(other) for other in progress), done.stderr
    assert not (place / "out").exists()


# -- capture.toml


def broken(change):
    """A good capture.toml with one text replaced."""
    def prepare(folder):
        path = folder / "capture.toml"
        before = path.read_text()
        path.write_text(before.replace(*change))
        assert path.read_text() != before

    return prepare


def distances(*lines, head=CAMERA):
    return write("capture.toml", toml([*lines, *(f"focus_distance_m = {0.7 + 0.1 * k}" for k in range(5 - len(lines)))],
                                      head=head))


TOML = {
    "duplicate distances": (distances("focus_distance_m = 0.6", "focus_distance_m = 0.6"),
                            ("f0.tiff and f1.tiff: the same focus (0.6 m, capture.toml)", "leave one file out")),
    "duplicate in dioptres": (distances("focus_distance_m = 0.5", "focus_dpt = 2"), ("the same focus",)),
    "inside the focal length": (distances("focus_distance_m = 0.04"),
                                ("f0.tiff", "0.04 m", "must exceed the focal length (0.05 m", "units?")),
    "negative distance": (distances("focus_distance_m = -0.6"),
                          ("frames[0].focus_distance_m (-0.6 m) must be positive", "correct it or remove")),
    "distance in millimetres as text": (distances('focus_distance_m = "0.6"'),
                                        ("frames[0].focus_distance_m (0.6) must be a number in m, without quotes",)),
    "zero f-number": (broken(("f_number = 4", "f_number = 0")), ("camera.f_number (0) must be positive",)),
    "pitch in metres": (broken(("pixel_pitch_um = 6", "pixel_pitch_um = -6")), ("(-6 um) must be positive",)),
    "unknown key": (broken(("f_number", "fnumber")), ("camera.fnumber is not a key", "did you mean f_number?")),
    "key in the wrong table": (broken(("[camera]", "iso = 100\n[camera]")), ("iso stands in the wrong place",)),
    "unknown kind": (broken(("[camera]", 'kind = "focal-stak"\n[camera]')), ("did you mean 'focal-stack'?",)),
    "wrong type": (broken(("[camera]", "lens = 3\n[camera]")), ("lens (3) must be text in quotes",)),
    "flag as text": (broken(("[camera]", '[camera]\nlinear = "yes"')), ("must be true or false, without quotes",)),
    "broken toml": (broken(("[camera]", "[camera")), ("capture.toml: not valid TOML", "line 1")),
    "outside the folder": (broken(("f0.tiff", "../secret.tiff")),
                           ("frames[0].file (../secret.tiff) lies outside the folder", "move the image")),
    "absolute path outside": (broken(("f0.tiff", "/etc/hostname")), ("lies outside the folder",)),
    "no file": (broken(('file = "f0.tiff"\n', "")), ("frames[0] has no file",)),
    "the same frame twice": (broken(("f1.tiff", "f0.tiff")), ("frames[0] and frames[1] are the same file",)),
    "two references": (write("capture.toml", toml(["reference = true", "reference = true", "", "", ""])),
                       ("frames[0] and frames[1] both have reference = true",)),
    "white below black": (broken(("[camera]", "[camera]\nblack_level = 9\nwhite_level = 5")),
                          ("white_level (5) must exceed black_level (9)",)),
    "lens profile missing": (broken(("[camera]", 'lens = "none.json"\n[camera]')), ("none.json: no such lens profile",)),
    "blur without its width": (broken(("[camera]", '[camera]\npsf = "disk-gaussian"')), ("capture.toml", "psf_core_px")),
    "wrong count for the kind": (broken(("[camera]", 'kind = "differential-quad"\n[camera]')),
                                 ("5 files for kind differential-quad, which has exactly 4",)),
}


@pytest.mark.parametrize("case", TOML)
def test_capture_toml_that_cannot_be(place, capsys, case):
    prepare, parts = TOML[case]
    (place / "secret.tiff").write_bytes((place / "in" / "f0.tiff").read_bytes())
    prepare(place / "in")
    refused(place, capsys, ("depth", "in", "-o", "out"), *parts)
