"""What `dfd depth` refuses of captures that are no stacks: one clear line, exit code 2, nothing decoded, nothing written."""

import re
import shutil

import cv2
import numpy as np
import pytest
import tifffile

from dfd.cli.commands import app
from dfd.console.run import call
from dfd.io.simulated import write_simulation
from dfd.simulate import simulate_capture

KINDS = ("aperture-pair", "views", "differential-quad")


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    """A folder with a capture of every kind."""
    folder = tmp_path_factory.mktemp("captures")
    for kind in KINDS:
        write_simulation(simulate_capture(kind, scene="plane", size=(48, 72)), folder / kind, format="npy")
    return folder


def without(*keys):
    return lambda text: re.sub(rf"^({'|'.join(keys)}) = .*\n", "", text, flags=re.MULTILINE)


def stated(key, value):
    return lambda text: re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)


def without_role(role):
    return lambda text: text.replace(f'role = "{role}"\n', "")


def without_frame(name):
    """Without the table of one frame."""
    return lambda text: "[[frames]]".join(part for part in text.split("[[frames]]") if f'"{name}"' not in part)


def exchanged(one, other):
    """Two roles for each other."""
    return lambda text: text.replace(f'"{one}"', '"x"').replace(f'"{other}"', f'"{one}"').replace('"x"', f'"{other}"')


def chain(*steps):
    def change(text):
        for step in steps:
            text = step(text)
        return text
    return change


def as_it_is(text):
    return text


CASES = {
    "no side": ("aperture-pair", without("side"), "", ("side (None)", "near or far", 'add side = "far"', "capture.toml")),
    "no such side": ("aperture-pair", stated("side", '"left"'), "", ("capture.toml", "side", "near", "far")),
    "no optics of a pair": ("aperture-pair", without("focal_length_mm", "f_number", "pixel_pitch_um", "focus_distance_m"),
                            "",
                            ("kind aperture-pair needs the optics of every frame", "focal_length_mm = ...",
                             "focus_distance_m = ...", "pixel_pitch_um = ...")),
    "no optics of views": ("views", without("f_number"), "", ("kind views needs the optics of every frame",
                                                              "f_number = ...")),
    "one aperture": ("aperture-pair", stated("f_number", 4.0), "", ("both images have the same aperture (12.5 mm pupil)",
                                                                   "f_number")),
    "all views alike": ("views", chain(stated("f_number", 4.0), stated("focus_distance_m", 0.7)), "",
                        ("have the same optics", "check focus_distance_m and f_number")),
    "no such role": ("differential-quad", stated("role", '"x"'), "", ("capture.toml", "role", "power-minus")),
    "a missing role": ("differential-quad", without_role("aperture-plus"), "",
                       ("0 frames of this differential-quad capture are role aperture-plus, exactly one must be",
                        'add role = "aperture-plus" to its [[frames]] in capture.toml')),
    "a role twice": ("differential-quad", stated("role", '"power-minus"'), "",
                     ("4 frames of this differential-quad capture are role power-minus, exactly one must be",)),
    "two roles of one name": ("differential-quad", lambda text: text.replace('"aperture-plus"', '"aperture-minus"'), "",
                              ("2 frames of this differential-quad capture are role aperture-minus, exactly one",)),
    "powers exchanged": ("differential-quad", exchanged("power-minus", "power-plus"), "",
                         ("power-plus (10.04 dpt) must exceed power-minus (10.16 dpt); are they exchanged?",
                          "correct role or power_dpt in capture.toml")),
    "pupils exchanged": ("differential-quad", exchanged("aperture-minus", "aperture-plus"), "",
                         ("aperture-plus (3 mm) must exceed aperture-minus (7 mm); are they exchanged?",
                          "correct role or pupil_diameter_mm")),
    "no step of power": ("differential-quad", stated("power_dpt", 10.1), "",
                         ("power-plus (10.1 dpt) must exceed power-minus (10.1 dpt); is it the same image twice?",)),
    "no step of pupil": ("differential-quad", stated("pupil_diameter_mm", 5.0), "",
                         ("aperture-plus (5 mm) must exceed aperture-minus (5 mm); is it the same image twice?",)),
    "no power": ("differential-quad", without("power_dpt"), "",
                 ("kind differential-quad needs the optics of every frame", "power_dpt = ... # in every [[frames]]")),
    "three files of a quad": ("differential-quad", without_frame("aperture_plus.npy"), "",
                              ("3 files for kind differential-quad, which has exactly 4",)),
    "near beyond far": ("views", as_it_is, "--near 2 --far 1", ("near (2 m)", "less than far (1 m)", "metres")),
    "near below zero": ("views", as_it_is, "--near -1", ("near (-1 m)", "zero or positive")),
    "nothing in the range": ("aperture-pair", as_it_is, "--near 500 --far 900",
                             ("the range 500 m to 900 m holds nothing", "--near and --far")),
    "millimetres for metres": ("differential-quad", as_it_is, "--near 450 --far 1800",
                               ("the range 450 m to 1800 m", "can tell", "are both in metres? check --near and --far")),
    "nearer than a quad tells": ("differential-quad", as_it_is, "--near 0.05 --far 0.1",
                                 ("the range 0.05 m to 0.1 m lies outside what this differential-quad can tell",
                                  "blur up to 48 px")),
    "a range across the focus": ("aperture-pair", as_it_is, "--near 0.3 --far 0.8",
                                 ("near (0.3 m) lies before the focus", "side is far")),
    "the other side": ("aperture-pair", as_it_is, "--side near --far 0.8", ("far (0.8 m) lies beyond the focus",
                                                                           "side is near")),
    "a solver of stacks": ("views", as_it_is, "--solver focus-measure", ("solver 'focus-measure' takes focal-stack",
                                                                        "not views")),
    "a tile of nothing": ("views", as_it_is, "--tile 8", ("tile (8 px) must be at least 64 px",)),
    "three frames for a pair": ("views", stated("kind", '"aperture-pair"\nside = "far"'), "",
                                ("4 files for kind aperture-pair", "exactly 2")),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_one_line(case, captures, tmp_path, capsys):
    kind, change, options, parts = CASES[case]
    folder = tmp_path / "in"
    folder.mkdir()
    for path in (captures / kind).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    text = (folder / "capture.toml").read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text or change is as_it_is, "the case changes nothing"
    (folder / "capture.toml").write_text(changed, encoding="utf-8")
    assert call(app, ["depth", str(folder), "-o", str(tmp_path / "out"), *options.split()], name="dfd") == 2
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("dfd: ") and not told.out
    for part in parts:
        assert part in line
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(("options", "line"), [
    (["--side", "near"], "side (near) is for an aperture pair; a views tells itself"),
    (["--smooth", "0"], "smooth (0 px) must be a radius of 1 to 24 px"),
])
def test_options_that_do_not_fit_are_refused_also_in_a_dry_run(captures, tmp_path, capsys, options, line, dry):
    assert call(app, ["depth", str(captures / "views"), "-o", str(tmp_path / "out"), *options, *dry], name="dfd") == 2
    assert line in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_quad_of_unequal_sizes_is_refused_by_name(captures, tmp_path, capsys):
    folder = tmp_path / "in"
    shutil.copytree(captures / "differential-quad", folder)
    np.save(folder / "aperture_plus.npy", np.load(folder / "aperture_plus.npy")[:-2])
    assert call(app, ["depth", str(folder), "-o", str(tmp_path / "out")], name="dfd") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is 72 x 48 px" in line and "aperture_plus.npy is 72 x 46 px" in line


STORED = {
    "bits": (np.uint16, np.uint8, 1, ("aperture_plus.tiff is 8-bit grey, linear light", "power_minus.tiff is 16-bit grey")),
    "floats": (np.uint16, np.float32, 1, ("aperture_plus.tiff is float grey", "power_minus.tiff is 16-bit grey")),
    "colours": (np.uint16, np.uint16, 3, ("aperture_plus.tiff is 16-bit colour", "power_minus.tiff is 16-bit grey")),
}


@pytest.mark.parametrize("suffix", [".tiff", ".npy", ".png"])
@pytest.mark.parametrize("case", STORED)
def test_a_quad_of_which_one_file_is_stored_otherwise_is_refused_by_name(case, suffix, captures, tmp_path, capsys):
    common, other, colours, parts = STORED[case]
    if suffix == ".png" and other is np.float32:
        pytest.skip("no PNG holds floats")
    folder = tmp_path / "in"
    shutil.copytree(captures / "differential-quad", folder)
    for path in sorted(folder.glob("*.npy")):
        odd = path.stem == "aperture_plus"
        _store(path.with_suffix(suffix), np.load(path).squeeze(), other if odd else common, colours if odd else 1)
    text = (folder / "capture.toml").read_text(encoding="utf-8").replace(".npy", suffix)
    (folder / "capture.toml").write_text(without("white_level", "black_level")(text), encoding="utf-8")
    assert call(app, ["depth", str(folder), "-o", str(tmp_path / "out")], name="dfd") == 2
    (line,) = capsys.readouterr().err.splitlines()
    for part in (*parts, "1 and 3 of 4 files", "save all of its files alike"):
        assert part.replace(".tiff", suffix) in line


def _store(path, image, dtype, colours):
    """A grey image of 0..1 as a file of numbers of a dtype."""
    image = image if image.ndim == 2 else image.mean(axis=2)
    image = np.repeat(image[..., None], 3, axis=2) if colours == 3 else image
    values = (np.clip(image, 0, 1) * (1 if dtype is np.float32 else np.iinfo(dtype).max)).astype(dtype)
    write = {".tiff": tifffile.imwrite, ".npy": np.save, ".png": cv2.imwrite}[path.suffix]
    write(str(path), values)
