"""`dfd-calibrate focus`: a simulated shoot becomes a profile that dfd takes; what it refuses leaves nothing behind."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile

from calibration.cli import app
from calibration.focus.job import calibrate_focus
from calibration.shoot.shoots import read_shoot
from calibration.simulate.job import simulate_shoot
from calibration.simulate.truelens import PRESETS
from calibration.target.board import BOARDS
from dfd import read_capture
from dfd.console.run import call as run_command
from dfd.profile import LensProfile

SMALL = PRESETS["small"]
SHRUNK = 0.4
LENS = replace(SMALL, size=(256, 384), pixel_pitch=SMALL.pixel_pitch / SHRUNK,
               fx_poly=tuple(SHRUNK * value for value in SMALL.fx_poly))
"""The small lens before coarser pixels."""


def command(capsys, *arguments):
    code = run_command(app, ["focus", *map(str, arguments)], name="dfd-calibrate")
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.slow
def test_a_simulated_shoot_becomes_a_profile_that_dfd_takes(tmp_path, capsys):
    made = simulate_shoot(tmp_path / "shoot", lens=LENS, distances=(0.6, 0.75, 1.0, 1.4), steps=7, span=8.0, format="tiff",
                          scene="slant", scene_frames=3)
    profile = tmp_path / "lens.json"
    code, out, err = command(capsys, made / "shoot.csv", "-o", profile, "--json")
    assert code == 0, err
    told, found = json.loads(out), LensProfile.load(profile)
    assert told["grade"] == found.grade == "B partial"  # four distances
    assert told["core_px"] == pytest.approx(LENS.core, abs=0.05)  # px
    assert found.pupil_diameter(1.8) == pytest.approx(LENS.stops[0].diameter, rel=6e-3)
    assert found.pupil_height(None) == pytest.approx(LENS.pupil_height, abs=4e-3)  # m
    for s in np.linspace(*found.data["validity"]["focus_coordinate"], 5):
        assert found.focus_curve(s) == pytest.approx(LENS.law(s), rel=6e-3)
        assert found.fx(s) == pytest.approx(LENS.fx(s), rel=5e-3)
    assert (tmp_path / "lens.npz").is_file() and found.data["quality"]["loo_depth_rms_pct"] < 0.5
    capture = read_capture(made / "scene", lens=profile, align="none")
    assert all(0.4 < view.lens.focus < 2.3 for view in capture.views)
    code, _, err = command(capsys, made / "shoot.csv", "-o", profile)
    assert code == 2 and "exists already" in err


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """Six grey frames at each of three distances, without a target."""
    root, rng = tmp_path_factory.mktemp("blank"), np.random.default_rng(0)
    for station in range(3):
        folder = root / f"d{station}"
        folder.mkdir()
        for number in range(6):
            grey = (20000 + 300 * rng.standard_normal((120, 160, 3))).astype(np.uint16)
            tifffile.imwrite(folder / f"{number}.tiff", grey, photometric="rgb")
    return root


def words(root, count=3):
    return [f"{distance}={root / f'd{station}'}" for station, distance in enumerate((0.6, 0.9, 1.8)[:count])]


def test_distances_in_exif_are_no_focus_coordinates(blank):
    shoot = read_shoot(words(blank), coordinate="bracket_index", f_number=1.8)
    with pytest.raises(ValueError, match=r"coarse buckets.*state focus_coordinate"):
        calibrate_focus(replace(shoot, coordinate="exif_distance_mm"), BOARDS["a4"])


COMMON = ("--coordinate", "bracket_index", "--f-number", "1.8")


@pytest.mark.parametrize(("count", "options", "said"), [
    (1, (), "one distance (0.6 m): the image scale cannot be told from the place of the entrance pupil"),
    (2, (), "2 distances (0.6 m, 0.9 m), at least 3 are needed"),
    (3, ("--bar", "85"), "--bar (85 mm) must be the measured length of a 100 mm bar"),
    (3, ("--bar", "99", "--square", "24"), "give --bar or --square, not both"),
    (3, (), "no target found in the sharpest of 6 frames (")])
def test_what_is_refused_is_one_line_and_leaves_nothing(blank, tmp_path, capsys, count, options, said):
    code = run_command(app, ["focus", *words(blank, count), *COMMON, *options, "-o", str(tmp_path / "lens.json")],
                       name="dfd-calibrate")
    out, err = capsys.readouterr()
    (line,) = [line for line in err.replace("\r", "\n").splitlines() if said in line]
    assert code == 2 and out == "" and line and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_frames_without_a_target_are_named(blank, tmp_path, capsys):
    code = run_command(app, ["focus", *words(blank), *COMMON, "--workers", "1", "-o", str(tmp_path / "lens.json")],
                       name="dfd-calibrate")
    err = capsys.readouterr().err
    assert code == 2 and str(blank / "d0") in err and err.count(".tiff: ") == 3


@pytest.mark.parametrize(("kind", "said"), [
    ("8 bits", "a developed picture (8 bits or sRGB), its blur is not that of the lens"),
    ("size", "give the frames of one camera in one mode"), ("few", "5 frames at f/1.8, at least 6 are needed"),
    ("table", "not a CSV file"), ("exists", "exists already; choose another name"), ("none", "no brackets given")])
def test_files_that_cannot_be_used_are_refused(tmp_path, capsys, kind, said):
    shape = (60, 80, 3)
    for station in range(3):
        folder = tmp_path / f"d{station}"
        folder.mkdir()
        for number in range(5 if kind == "few" else 6):
            size = (62, 80, 3) if kind == "size" and station == 2 else shape
            if kind == "8 bits":
                cv2.imwrite(str(folder / f"{number}.png"), np.full(size, 90, np.uint8))
            else:
                tifffile.imwrite(folder / f"{number}.tiff", np.full(size, 20000, np.uint16), photometric="rgb")
    inputs = words(tmp_path)
    if kind == "table":
        (tmp_path / "shoot.csv").write_bytes(b"\xff\xfe\x00\x81\n")
        inputs = [str(tmp_path / "shoot.csv")]
    if kind == "exists":
        (tmp_path / "lens.json").write_text("mine")
    before = sorted(tmp_path.iterdir())
    code = run_command(app, ["focus", *(() if kind == "none" else inputs), *COMMON, "-o", str(tmp_path / "lens.json")],
                       name="dfd-calibrate")
    err = capsys.readouterr().err
    assert code == 2 and said in err and "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before
