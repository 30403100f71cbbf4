"""Every bad input at the command line: exit 2, one line with what, value, limit and next step, and nothing left behind."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import cv2
import numpy as np
import pytest
import tifffile
from conftest import shared_data
from textures import plane_stack

from dfd.cli.commands import app
from dfd.console.run import call, start
from dfd.io.dng import write_dng
from dfd.settings import CameraSettings, Value

SHAPE = (60, 90)
CAMERA = "[camera]\nfocal_length_mm = 50\nf_number = 4\npixel_pitch_um = 6\n"
PROGRESS = re.compile(r"(render|decode|align|register|solve|all-in-focus): \d+/\d+ in \d+\.\d s")


def dfd(*arguments):
    return call(app, [str(item) for item in arguments], name="dfd")


def toml(distances, *, head=CAMERA, extra=""):
    tables = [f'[[frames]]\nfile = "f{k}.tiff"\n{line}\n' for k, line in enumerate(distances)]
    return head + "".join(tables) + extra


@pytest.fixture(scope="session")
def frames():
    foci = np.linspace(1.8, 1.05, 5)
    stack = plane_stack(np.random.default_rng(11), foci=foci, shape=SHAPE)
    return stack.images, [f"focus_distance_m = {1 / focus:.9f}" for focus in foci]


@pytest.fixture
def place(tmp_path, frames, monkeypatch):
    """A folder to work in, with a good stack in `in`; every path of these tests is relative to it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    images, distances = frames
    for k, image in enumerate(images):
        tifffile.imwrite(folder / f"f{k}.tiff", image)
    (folder / "capture.toml").write_text(toml(distances))
    return tmp_path


def tree(folder):
    """Every file with its content, every folder, every link."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else os.readlink(path) if path.is_symlink()
            else None for path in folder.rglob("*")}


def only_the_scale(text):
    """What stdout may hold before an error: the scale that the result would have had."""
    return len(text.splitlines()) <= 1 and all(line.startswith(("metric depth: ", "NOT metric "))
                                               for line in text.splitlines())


def refused(place, capsys, arguments, *parts, code=2):
    """The error line, after checking exit code, one line, all its parts, and that no file came, went or changed."""
    before = tree(place)
    capsys.readouterr()
    assert dfd(*arguments) == code
    told = capsys.readouterr()
    assert only_the_scale(told.out)
    *progress, line = told.err.splitlines()
    assert line.startswith("dfd: ")
    assert all(PROGRESS.fullmatch(other) for other in progress), told.err
    for part in parts:
        assert part in line, line
    assert tree(place) == before
    return line


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
    "empty folder": (only(), ("in",), ("in: no images in this folder", "dfd reads TIFF, PNG, JPEG, npy and RAW")),
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
    "no solver for this kind": (write("capture.toml", 'kind = "dual-pixel"\n' + CAMERA
                                      + '[[frames]]\nfile = "f0.tiff"\nfocus_distance_m = 0.6\nview = "left"\n'
                                      '[[frames]]\nfile = "f1.tiff"\nfocus_distance_m = 0.6\nview = "right"\n'),
                                ("no optics or no kappa", "kappa")),
    "wrong count for the kind": (broken(("[camera]", 'kind = "differential-quad"\n[camera]')),
                                 ("5 files for kind differential-quad, which has exactly 4",)),
}


@pytest.mark.parametrize("case", TOML)
def test_capture_toml_that_cannot_be(place, capsys, case):
    prepare, parts = TOML[case]
    (place / "secret.tiff").write_bytes((place / "in" / "f0.tiff").read_bytes())
    prepare(place / "in")
    refused(place, capsys, ("depth", "in", "-o", "out"), *parts)


# -- options


OPTIONS = {
    "--bogus": ("No such option: --bogus", "see dfd depth --help"),
    "--solver best": ("solver ('best') must be auto or one of focus-measure",),
    "--kind stack": ("'--kind'", "'stack' is not one of", "'focal-stack'", "see dfd depth --help"),
    "--kind dual-pixel": ("5 files for kind dual-pixel, which has exactly 2",),
    "--device cuda": ("device 'cuda': no CUDA GPU", "--device cpu"),
    "--focus-distances 0.5,0.6": ("--focus-distances has 2 distances for 5 files", "one per file"),
    "--focus-distances 0.5,0.6,0.7,0.8,-0.9": ("--focus-distances[4] (-0.9 m) must be positive",),
    "--focus-distances 0.5,0.6,0.7,0.8,0.5": ("the same focus (0.5 m, --focus-distances)",),
    "--focus-distances 0.5,0.6,0.7,0.8,0.03": ("0.03 m", "must exceed the focal length (0.05 m"),
    "--focus-distances near,far": ("--focus-distances (near,far) must be metres separated by commas, such as",),
    "--align none.json": ("none.json: no such file", "check the path"),
    "--lens none.json": ("none.json: no such lens profile",),
    "--mask none.png": ("none.png: no such file", "check the path of the mask"),
    "--near 2 --far 1": ("near (2 m) must be", "less than far (1 m)"),
    "--near -1": ("near (-1 m) must be zero or positive",),
    "--far nan": ("far (nan m)",),
    "--near abc": ("'--near' (abc)", "valid number", "see dfd depth --help"),
    "--min-confidence 1.5": ("'--min-confidence' (1.5)", "less than or equal to 1"),
    "--reference 5": ("reference (5) must be a frame number from 0 to 4",),
    "--side left": ("'--side'", "'left' is not one of", "'near', 'far'"),
    "--origin lens": ("'--origin'", "'lens' is not one of"),
}


@pytest.mark.parametrize("options", OPTIONS)
def test_options_that_cannot_be(place, capsys, monkeypatch, options):
    monkeypatch.setattr("dfd.backend.has_gpu", lambda: False)
    line = refused(place, capsys, ("depth", "in", "-o", "out", *options.split()), *OPTIONS[options])
    assert ".;" not in line


@pytest.mark.parametrize("options", ["--device cuda", "--near 2 --far 1", "--mask small.png", "--align other.json",
                                     "--min-confidence 2"])
def test_a_wrong_option_is_refused_before_anything_is_decoded(place, capsys, monkeypatch, options):
    monkeypatch.setattr("dfd.backend.has_gpu", lambda: False)
    cv2.imwrite(str(place / "small.png"), np.full((20, 30), 255, np.uint8))
    (place / "other.json").write_text('{"schema": "dfd-transforms 1", "size_px": {"width": 9, "height": 9}}')
    dfd("depth", "in", "-o", "out", *options.split())
    assert "decode" not in capsys.readouterr().err


def test_near_and_far_need_a_metric_capture(place, capsys):
    (place / "in" / "capture.toml").unlink()
    refused(place, capsys, ("depth", "in", "-o", "out", "--near", "0.5"), "near and far are metres", "scale steps",
            "focus distances")


@pytest.mark.parametrize(("name", "content", "parts"), [
    ("small.png", np.full((20, 30), 255, np.uint8), ("small.png: the mask is 30 x 20 px", "90 x 60 px", "unrotated")),
    ("mask.jpg", np.full(SHAPE, 255, np.uint8), ("mask.jpg: a mask must be a tiff, png or npy file",)),
])
def test_masks_that_do_not_fit(place, capsys, name, content, parts):
    cv2.imwrite(str(place / name), content)
    refused(place, capsys, ("depth", "in", "-o", "out", "--mask", name), *parts)


def good_transforms():
    tables = [{"file": f"f{k}.tiff", "matrix": np.eye(3).tolist(), "quality": 1.0, "corner_shift_px": 0.0,
               "sigma_px": 0.1, "applied": False} for k in range(5)]
    return {"schema": "dfd-transforms 1", "size_px": {"width": 90, "height": 60}, "frames": tables}


def moved_reference(content):
    content["frames"][2]["matrix"][0][2] = 1.5


TRANSFORMS = {
    "no table": (lambda content: content.clear(), ("schema None", "dfd-transforms 1")),
    "another size": (lambda content: content.update(size_px={"width": 9, "height": 9}), ("'width': 9", "align anew")),
    "another frame": (lambda content: content["frames"][0].update(file="g.tiff"), ("without an entry: ['f0.tiff']",)),
    "too few": (lambda content: content["frames"].pop(), ("4 entries for 5 frames", "f4.tiff")),
    "no matrix": (lambda content: content["frames"][1].pop("matrix"), ("frame 'f1.tiff' needs a 3 x 3 'matrix'",)),
    "reference left out": (lambda content: content["frames"][2].update(aligned=False),
                           ("the reference f2.tiff is left out", "--reference")),
    "a word as a flag": (lambda content: content["frames"][0].update(aligned="no"), ("aligned is 'no'", "align anew")),
    "a gain of zero": (lambda content: content["frames"][1].update(gain=0), ("frame 'f1.tiff'", "gain", "is 0 and must be")),
    "a gain below zero": (lambda content: content["frames"][1].update(gain=-1.5), ("is -1.5 and must be positive",)),
    "a gain without end": (lambda content: content["frames"][1].update(gain=1e999), ("is inf and must be", "finite")),
    "a gain of nan": (lambda content: content["frames"][1].update(gain=math.nan), ("is nan and must be",)),
    "a word as gain": (lambda content: content["frames"][1].update(gain="abc"), ("gain is 'abc', not a number",)),
    "a flag as gain": (lambda content: content["frames"][1].update(gain=True), ("gain is True, not a number",)),
    "a word in the matrix": (lambda content: content["frames"][1]["matrix"][0].__setitem__(0, "abc"),
                             ("(matrix holds 'abc', not a number); align anew",)),
    "a matrix of one number": (lambda content: content["frames"][1].update(matrix=3), ("matrix is 3, not a list of rows",)),
    "a ragged matrix": (lambda content: content["frames"][1]["matrix"][0].pop(), ("rows of different lengths",)),
    "another reference": (moved_reference, ("f2.tiff was not the reference of that run", "--reference")),
}


@pytest.mark.parametrize("case", TRANSFORMS)
def test_transforms_that_do_not_fit_name_their_file(place, capsys, case):
    content = good_transforms()
    TRANSFORMS[case][0](content)
    (place / "t.json").write_text(json.dumps(content))
    refused(place, capsys, ("depth", "in", "-o", "out", "--align", "t.json"), "dfd: t.json: ", *TRANSFORMS[case][1])


def test_a_folder_given_as_transforms_is_refused(place, capsys):
    (place / "earlier").mkdir()
    refused(place, capsys, ("depth", "in", "-o", "out", "--align", "earlier"), "earlier: a folder, not a JSON file",
            "give the file in it")


@pytest.mark.parametrize("option", ["--align", "--lens"])
@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '"text"', "\x00\x01"])
def test_json_files_that_are_no_such_thing(place, capsys, option, content):
    (place / "x.json").write_text(content)
    refused(place, capsys, ("depth", "in", "-o", "out", option, "x.json"), "x.json: ")


# -- output


def test_an_existing_folder_is_never_replaced_without_force(place, capsys):
    (place / "out").mkdir()
    (place / "out" / "note.txt").write_text("mine")
    refused(place, capsys, ("depth", "in", "-o", "out"), "out: exists already", "--force")


def test_force_deletes_only_what_dfd_wrote(place, capsys):
    refused(place, capsys, ("depth", "in", "-o", "in", "--force"), "in: holds files but no result.json of dfd",
            "choose another -o DIR")
    (place / "out").mkdir()
    (place / "out" / "result.json").write_text('{"schema": "dfd-result 1", "files": {"depth.tiff": ""}}')
    (place / "out" / "IMG_0001.CR3").write_text("a photograph")
    refused(place, capsys, ("depth", "in", "-o", "out", "--force"), "out: holds IMG_0001.CR3 that dfd did not write")


def test_force_never_deletes_the_input(place, capsys):
    (place / "out").mkdir()
    (place / "in").rename(place / "out" / "capture")
    (place / "out" / "result.json").write_text('{"schema": "dfd-result 1", "files": {"capture": ""}}')
    names = [path.name for path in (place / "out" / "capture").iterdir()]
    (place / "out" / "capture" / "truth.json").write_text(json.dumps({"schema": "dfd-truth 1", "files": names}))
    refused(place, capsys, ("depth", "out/capture", "-o", "out", "--force"), "out: holds the input out/capture/f0.tiff",
            "choose another -o DIR")


def test_output_that_is_a_file_or_lies_under_one(place, capsys):
    (place / "plain").write_text("text")
    refused(place, capsys, ("depth", "in", "-o", "plain"), "plain: is a file, not a folder")
    refused(place, capsys, ("depth", "in", "-o", "plain/out"), "plain/out: cannot be created because", "is a file",
            "choose another -o DIR")
    refused(place, capsys, ("simulate", "-o", "plain/out", "--size", "24x16"), "plain/out: cannot be created")
    refused(place, capsys, ("demo", "-o", "plain/out"), "plain/out: cannot be created")


def test_output_without_permission(place, capsys, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK)
    refused(place, capsys, ("depth", "in", "-o", "deep/out"), "deep/out: no permission to write into", "choose another")


def test_output_that_turns_out_unwritable_leaves_nothing(place, capsys, monkeypatch):
    def refuse(path, *rest, **options):
        raise PermissionError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    refused(place, capsys, ("depth", "in", "-o", "out"), "out: cannot write into", "Read-only file system",
            "choose another -o DIR")


def test_a_full_disk_leaves_nothing(place, capsys, monkeypatch):
    def full(path, *rest, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("dfd.io.results.write_cloud", full)
    refused(place, capsys, ("depth", "in", "-o", "deep/out"), "deep/out: the disk is full; the results need", "GB are free; "
            "free some space, or choose another -o DIR")


# -- the other commands


OTHERS = {
    "compare nowhere in": ("nowhere: no such file or folder",),
    "compare in in": ("in: holds neither result.json (dfd depth) nor truth.json", "name a depth file"),
    "compare in/f0.tiff in/wide.npy": ("60", "70"),
    "compare in/f0.tiff in/f1.tiff --border 30": ("border (30 px)", "90 x 60 px"),
    "compare in/f0.tiff in/f1.tiff --align best": ("'--align'", "'best' is not one of"),
    "compare in/f0.tiff in/f1.tiff --scale -1": ("scale (-1 m per unit of the file) must be positive",),
    "compare in/f0.tiff in/count.npy": ("in/count.npy: holds integers", "pass --scale"),
    "compare in/f0.tiff in/capture.toml": ("in/capture.toml: not a depth map that dfd reads",),
    "info nowhere": ("nowhere: no such file",),
    "info in/capture.txt": ("in/capture.txt",),
    "info in --lens none.json": ("none.json: no such lens profile",),
    "simulate -o out --size 60": ("--size (60) must be WIDTHxHEIGHT in px, such as 600x400",),
    "simulate -o out --size 0x40": ("--size (0x40) must be",),
    "simulate -o out --size 1000000x1000000": ("size (1000000 x 1000000 px, 1e+06 MP) must be at most 100 MP", "smaller"),
    "simulate -o out --size 12000x9000": ("size (12000 x 9000 px, 108 MP) must be at most 100 MP",),
    "simulate -o out --scene sea": ("scene ('sea') must be one of plane, slant",),
    "simulate -o out --preset nokia": ("preset ('nokia') must be one of 50mm-f2.8",),
    "simulate -o out --frames 1": ("frames (1) of a focal stack must be at least 2",),
    "simulate -o out --kind dual-pixel --frames 3": ("frames (3) applies to a focal stack only",),
    "simulate -o out --noise -1": ("'--noise' (-1)", "greater than or equal to 0"),
    "simulate -o out --seed -1": ("'--seed' (-1)", "greater than or equal to 0"),
    "simulate -o out --format bmp": ("'--format'", "'bmp' is not one of"),
    "simulate --size 24x16": ("Missing option '--output'", "see dfd simulate --help"),
    "depth -o out": ("Missing argument 'INPUT...'", "see dfd depth --help"),
    "dept in -o out": ("No such command 'dept'", "see dfd --help"),
}


@pytest.mark.parametrize("arguments", OTHERS)
def test_the_other_commands(place, capsys, arguments):
    np.save(place / "in" / "wide.npy", np.ones((60, 70), np.float32))
    np.save(place / "in" / "count.npy", np.ones(SHAPE, np.uint16))
    refused(place, capsys, arguments.split(), *OTHERS[arguments])


# -- how a job ends


def test_a_failure_that_is_not_the_users_is_exit_1_and_says_how_to_see_more(place, capsys, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("12.3 GiB")

    monkeypatch.setattr("dfd.pipeline.solve_tiled", fail)
    refused(place, capsys, ("depth", "in", "-o", "out"), "MemoryError: 12.3 GiB", "--traceback", code=1)


def test_traceback_shows_where_before_the_same_line(place, capsys):
    assert dfd("--traceback", "depth", "nowhere", "-o", "out") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1].startswith("dfd: nowhere: no such file")


@pytest.mark.parametrize("where", ["dfd.report.write_report", "dfd.io.results.write_tiff", "dfd.fuse.AllInFocus.add",
                                   "dfd.decode.new_frames"])
def test_ctrl_c_at_any_stage_leaves_nothing(place, capsys, monkeypatch, where):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    refused(place, capsys, ("depth", "in", "-o", "deep/out", "--align", "none"), "dfd: interrupted; nothing was written",
            code=130)


def test_ctrl_c_while_an_old_result_is_replaced_keeps_the_old_one(place, capsys, monkeypatch):
    (place / "out").mkdir()
    (place / "out" / "result.json").write_text('{"schema": "dfd-result 1", "files": {}}')

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("dfd.report.write_report", interrupt)
    refused(place, capsys, ("depth", "in", "-o", "out", "--force", "--align", "none"), "interrupted", code=130)


def test_ctrl_c_while_a_simulation_is_written_leaves_nothing(place, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("dfd.io.simulated.write_tiff", interrupt)
    refused(place, capsys, ("simulate", "-o", "out", "--scene", "plane", "--size", "32x24", "--frames", "3"), "interrupted",
            code=130)


def started(*arguments, **options):
    """A running `dfd` in a process of its own, with both streams as text."""
    return subprocess.Popen([sys.executable, "-c", "from dfd.cli import main; main()", *arguments], text=True,
                            stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_while_results_are_written_leaves_nothing(place, number, code):
    before = set(tree(place))
    running = started("depth", "in", "-o", "out", "--align", "none")
    while not list(place.glob(".out.*.partial")) and running.poll() is None:
        time.sleep(0.002)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err.splitlines()[-1]) == (code, "dfd: interrupted; nothing was written")
    assert set(tree(place)) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_a_hang_up_that_the_caller_ignores_stays_ignored(place):
    """nohup dfd depth ... lives on when the terminal is closed."""
    running = started("depth", "in", "-o", "out", "--align", "none",
                      preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    while not list(place.glob(".out.*.partial")) and running.poll() is None:
        time.sleep(0.002)
    running.send_signal(signal.SIGHUP)
    running.communicate(timeout=60)
    assert running.returncode == 0 and (place / "out" / "result.json").exists()


def test_a_program_that_uses_the_library_keeps_its_signals():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert dfd("solvers") == 0
    with pytest.raises(SystemExit):
        start(app, "dfd", ["solvers"])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def command(*arguments, **options):
    """`dfd` in a process of its own, with both streams captured as text."""
    return subprocess.run([sys.executable, "-c", "from dfd.cli import main; main()", *map(str, arguments)],
                          capture_output=True, text=True, timeout=120, **options)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
@pytest.mark.parametrize("align", ["none", "auto"])
def test_a_real_ctrl_c_during_the_work_leaves_nothing(place, align):
    rng = np.random.default_rng(3)
    (place / "big").mkdir()
    for k in range(10):
        np.save(place / "big" / f"f{k}.npy", rng.random((900, 1300), dtype=np.float32))
    before = set(tree(place))
    running = started("depth", "big", "-o", "out", "--align", align)
    first = running.stderr.readline()
    assert PROGRESS.fullmatch(first.strip()), first
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and only_the_scale(out)
    assert err.splitlines()[-1] == "dfd: interrupted; nothing was written"
    assert all(PROGRESS.fullmatch(line) for line in err.splitlines()[:-1]), err
    assert set(tree(place)) == before


def test_remarks_of_c_libraries_are_put_aside_and_python_still_reaches_stderr():
    program = """
        import os, sys
        from dfd.console.remarks import remarks_aside
        with remarks_aside() as remarks:
            os.write(2, b"libpng warning: odd\\nlibpng warning: odd\\n\\n  LibRaw: other  \\n")
            print("ours", file=sys.stderr)
            told = remarks()
        os.write(2, b"after\\n")
        print(told)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stderr == "ours\nafter\n"
    assert done.stdout.strip() == "['libpng warning: odd', 'LibRaw: other']"
