"""Options, outputs and the other commands that cannot be: exit 2, one line, and nothing left behind."""

import errno
import json
import math
import os

import cv2
import numpy as np
import pytest
from commandline import SHAPE, dfd, frames, place, refused

__all__ = ["frames", "place"]


# -- options


OPTIONS = {
    "--bogus": ("No such option: --bogus", "see dfd depth --help"),
    "--solver best": ("solver ('best') must be auto or one of focus-measure",),
    "--kind stack": ("'--kind'", "'stack' is not one of", "'focal-stack'", "see dfd depth --help"),
    "--kind dual-pixel": ("5 images, and no two are named as left and right views", "name the two files, left first"),
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
