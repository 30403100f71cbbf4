"""A sequence that is wrong somewhere: exit 2, one line that names the file and the next step, and nothing written."""

import errno
import os
import shutil

import cv2
import numpy as np
import pytest
import tifffile
from rigquads import quad
from sequencefiles import write_folders, write_pages

import dfd as library
from dfd.cli.commands import app
from dfd.console.run import call
from dfd.sequences import open_sequence

SHAPE = (60, 84)


@pytest.fixture(scope="module")
def quads():
    rng = np.random.default_rng(3)
    return [quad(rng, 0.9, shape=SHAPE) for _ in range(4)]


@pytest.fixture
def place(tmp_path, quads, monkeypatch):
    """A folder to work in, with a good sequence of pages in `in` and one of folders in `folders`."""
    monkeypatch.chdir(tmp_path)
    write_pages(tmp_path / "in", quads)
    write_folders(tmp_path / "folders", quads)
    return tmp_path


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(place, capsys, arguments, *parts):
    """The one line on stderr, after checking the exit code and that no file came, went or changed."""
    before = tree(place)
    capsys.readouterr()
    assert call(app, [*map(str, arguments)], name="dfd") == 2
    told = capsys.readouterr()
    line, = told.err.splitlines()
    assert line.startswith("dfd: ") and all(part in line for part in parts), line
    assert tree(place) == before


def rewritten(path, change):
    stored = tifffile.imread(path)
    tifffile.imwrite(path, change(stored), photometric="minisblack")


def cut(path):
    path.write_bytes(path.read_bytes()[:-2000])


def odd_page(path):
    stored = tifffile.imread(path)
    with tifffile.TiffWriter(path) as file:
        for index, page in enumerate(stored):
            file.write(page[:-7] if index == 2 else page, photometric="minisblack", metadata=None)


def table(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def changed(old, new):
    return lambda folder: table(folder / "capture.toml", old, new)


PAGES = {
    "fewer pages": (lambda folder: rewritten(folder / "power_plus.tiff", lambda stored: stored[:3]),
                    ("power_plus.tiff holds 3 images but power_minus.tiff 4",)),
    "one page": (lambda folder: rewritten(folder / "power_plus.tiff", lambda stored: stored[0]), ("holds 1 images", "4")),
    "another size": (lambda folder: rewritten(folder / "aperture_plus.tiff", lambda stored: stored[:, :-3]),
                     ("aperture_plus.tiff", "84 x 57 px", "84 x 60 px")),
    "mixed types": (lambda folder: rewritten(folder / "aperture_plus.tiff", lambda stored: stored.astype(np.float32)),
                    ("aperture_plus.tiff", "float32", "uint16", "save all four alike")),
    "another page in the middle": (lambda folder: odd_page(folder / "power_minus.tiff"),
                                   ("power_minus.tiff: page 2 is 84 x 53 px", "one size and type")),
    "a file that is cut": (lambda folder: cut(folder / "power_plus.tiff"), ("power_plus.tiff", "cut")),
    "a compressed file": (lambda folder: cv2.imwritemulti(str(folder / "power_plus.tiff"), [
        page for page in tifffile.imread(folder / "power_plus.tiff")], [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
        ("power_plus.tiff", "compressed", "uncompressed grey TIFF")),
    "no such file": (lambda folder: (folder / "power_plus.tiff").unlink(), ("power_plus.tiff", "no such file")),
    "a role twice": (changed('role = "power-plus"', 'role = "power-minus"'), ("2 frames", "power-minus", "exactly one")),
    "zero step": (changed("power_dpt = 10.16", "power_dpt = 10.04"), ("power-plus (10.04 dpt)", "power-minus (10.04 dpt)")),
    "no optics": (changed("image_distance_mm = 110", ""), ("image_distance_mm", "[camera]")),
    "white below black": (changed("white_level = 60000", "white_level = 500"), ("white_level (500)", "black_level (600)")),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_that_do_not_fit_are_refused(place, capsys, name):
    break_it, parts = PAGES[name]
    break_it(place / "in")
    refused(place, capsys, ["depth", "in", "-o", "out"], *parts)


def test_npy_of_another_type_is_refused(tmp_path, quads, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pages(tmp_path / "in", quads, suffix=".npy")
    np.save(tmp_path / "in" / "power_plus.npy", np.load(tmp_path / "in" / "power_plus.npy")[1:])
    refused(tmp_path, capsys, ["depth", "in", "-o", "out"], "power_plus.npy holds 3 images", "power_minus.npy 4")
    np.save(tmp_path / "in" / "power_plus.npy", np.zeros((4, *SHAPE), complex))
    refused(tmp_path, capsys, ["depth", "in", "-o", "out"], "power_plus.npy", "plain grey numbers")


def npy_header(path, shape):
    """An npy that announces a shape and holds hardly anything."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<u2", "fortran_order": False, "shape": shape})
        file.write(bytes(200))


NPY = {
    "no images": (lambda path: np.save(path, np.zeros((0, *SHAPE), np.uint16)), ("(0, 60, 84) holds no images",)),
    "signed numbers": (lambda path: np.save(path, np.zeros((4, *SHAPE), np.int16)), ("of type int16; save uint16",)),
    "columns first": (lambda path: np.save(path, np.asfortranarray(np.load(path))), ("columns first",)),
    "more than any disk": (lambda path: npy_header(path, (10**9, 10**5, 10**5)), ("cannot be read as npy", "cut")),
    "more than the file": (lambda path: npy_header(path, (4, *SHAPE)), ("cannot be read as npy", "cut")),
}


@pytest.mark.parametrize("name", NPY)
def test_an_npy_that_is_no_sequence_says_what_it_is(tmp_path, quads, capsys, monkeypatch, recwarn, name):
    break_it, parts = NPY[name]
    monkeypatch.chdir(tmp_path)
    write_pages(tmp_path / "in", quads, suffix=".npy")
    break_it(tmp_path / "in" / "power_plus.npy")
    refused(tmp_path, capsys, ["depth", "in", "-o", "out"], "power_plus.npy", *parts)
    assert not [str(item.message) for item in recwarn]


def twice(path):
    tifffile.imwrite(path, np.stack([tifffile.imread(path)] * 2), photometric="minisblack")


def test_a_table_inside_a_folder_is_told(place):
    shutil.copy(place / "folders" / "capture.toml", place / "folders" / "t2")
    told = [text for text in open_sequence(place / "folders").source.warnings if "capture.toml of their own" in text]
    assert len(told) == 1 and "1 of 4 folders" in told[0] and "first t2" in told[0]


FOLDERS = {
    "several pages": (lambda folder: twice(folder / "t2" / "power_plus.tiff"),
                      ("t2/power_plus.tiff holds 2 images", "one of four")),
    "a missing role": (lambda folder: (folder / "t2" / "power_plus.tiff").unlink(),
                       ("t2/power_plus.tiff: no such file", "four files")),
    "a missing role in the first": (lambda folder: (folder / "t0" / "power_plus.tiff").unlink(),
                                    ("power_plus.tiff", "in t0")),
    "another size": (lambda folder: rewritten(folder / "t2" / "power_plus.tiff", lambda stored: stored[:-2]),
                     ("t2/power_plus.tiff is 84 x 58 px", "84 x 60 px")),
    "a file that is cut": (lambda folder: cut(folder / "t3" / "power_plus.tiff"), ("t3/power_plus.tiff", "cut")),
    "no folder": (changed('folders = "t*"', 'folders = "s*"'), ("folders (s*)", "no folder", 't*"')),
    "another kind": (changed('kind = "differential-quad"', 'kind = "views"'), ("folders (t*)", "differential-quad")),
    "numbers of pickles": (changed("[camera]", "[cod]\nbinning = 2\n[camera]"), ("[cod]", "pickles")),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_that_do_not_fit_are_refused(place, capsys, name):
    break_it, parts = FOLDERS[name]
    break_it(place / "folders")
    refused(place, capsys, ["depth", "folders", "-o", "out"], *parts)


def test_a_picture_that_breaks_in_the_middle_leaves_nothing(place, capsys):
    """PNG is decoded one by one: what is wrong with the third one is seen after two maps are written."""
    for path in (place / "folders").rglob("*.tiff"):
        image = tifffile.imread(path)
        path.unlink()
        cv2.imwrite(str(path.with_suffix(".png")), image[:-4] if path.parent.name == "t2" else image)
    table(place / "folders" / "capture.toml", ".tiff", ".png")
    before = tree(place)
    capsys.readouterr()
    assert call(app, ["depth", "folders", "-o", "out"], name="dfd") == 2
    line, = capsys.readouterr().err.splitlines()
    assert "t2/power_minus.png is 84 x 56 px" in line and "84 x 60 px" in line
    assert tree(place) == before


def test_a_disk_that_fills_leaves_nothing(place, capsys, monkeypatch):
    from dfd.io.images import PageWriter

    write, count = PageWriter.add, [0]

    def fill(self, image):
        count[0] += 1
        if count[0] == 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, image)

    monkeypatch.setattr(PageWriter, "add", fill)
    refused(place, capsys, ["depth", "in", "-o", "out"], "sigma.tiff: a page cannot be written", "free some space")


OPTIONS = {"--align": "transforms.json", "--reference": "0", "--side": "far", "--smooth": "3", "--tile": "128",
           "--focus-distances": "0.5", "--device": "cuda"}


@pytest.mark.parametrize("option", [*OPTIONS, "--fill"])
def test_an_option_that_makes_no_sense_is_named(place, capsys, option):
    value = [OPTIONS[option]] if option in OPTIONS else []
    refused(place, capsys, ["depth", "in", "-o", "out", option, *value], f"{option} is not for a sequence", "leave it out")


@pytest.mark.parametrize(("arguments", "parts"), [
    (("--solver", "fast"), ("fast",)), (("--solver", "focus-measure"), ("focus-measure", "differential-quad")),
    (("--near", "2", "--far", "1"), ("near (2 m)",)), (("--workers", "0"), ("workers",)),
    (("--mask", "none.png"), ("none.png",)),
])
def test_wrong_options_are_refused_before_anything_is_solved(place, capsys, arguments, parts):
    refused(place, capsys, ["depth", "in", "-o", "out", *arguments], *parts)


def test_an_output_that_holds_the_input_or_exists_is_refused(place, capsys):
    refused(place, capsys, ["depth", "in", "-o", "."], "exists")
    shutil.copytree(place / "in", place / "other")
    os.rename(place / "in", place / "other" / "in")
    refused(place, capsys, ["depth", "other/in", "-o", "other"], "exists already")


def test_a_sequence_is_no_single_capture(place):
    with pytest.raises(ValueError, match=r"4 folders of a sequence.*dfd\.stream"):
        library.read_capture(place / "folders")
    with pytest.raises(OSError, match="holds 4 images"):
        library.read_capture(place / "in")


def test_info_reads_the_headers_of_a_sequence(place, capsys):
    for name in ("in", "folders"):
        assert call(app, ["info", name], name="dfd") == 0
        told = capsys.readouterr().out
        assert "84 x 60 px" in told and "power" in told and "a sequence of 4 quadruples" in told
    (place / "folders" / "t2" / "power_plus.tiff").unlink()
    assert call(app, ["info", "folders"], name="dfd") == 0
    assert "dfd depth would stop: folders/t2/power_plus.tiff: no such file" in capsys.readouterr().out
