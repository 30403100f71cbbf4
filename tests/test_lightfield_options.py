"""`dfd lightfield`: options that do not fit the files, the scene or each other are refused by name, or warned of."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from commandline import dfd
from lightfolders import SIZE, small, write_views

import dfd as library
from dfd.io.hci import write_hci
from dfd.io.pfm import write_pfm
from dfd.io.png import write_png
from dfd.io.sidecar import read_sidecar
from dfd.noise import Noise

LYTRO = (("--kind", "dual-pixel"), ("--densify", "9"), ("--focus", "0.7"), ("--pupil", "2"), ("--f-number", "4"),
         ("--noise", "5000"), ("--camera", "assumed"), ("--frames", "4"), ("--flip", "uv"), ("--grid", "3x3"),
         ("--central", "7"), ("--layout", "hci"), ("--seed", "2"))


@pytest.fixture
def scene(tmp_path):
    return write_hci(small(), tmp_path / "scene")


@pytest.fixture
def views(tmp_path):
    """The same views without camera and disparity."""
    return write_views(tmp_path / "views", small(), lambda row, column: f"{row}_{column}")


def refused(capsys, *arguments):
    """The one line of a refusal: exit code 2, and nothing was said before."""
    capsys.readouterr()
    assert dfd("lightfield", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("dfd: ") and not captured.out
    return captured.err


def near_far():
    depth = small().truth.depth
    return float(np.nanmin(depth)), float(np.nanmax(depth))


@pytest.mark.parametrize("option, value", LYTRO)
def test_a_lytro_picture_refuses_what_it_cannot_follow(tmp_path, capsys, option, value):
    line = refused(capsys, tmp_path / "a-stk.lfp", "-o", tmp_path / "out", option, value)
    assert f"{option} ({value.removesuffix('.0')}" in line and "leave it out" in line


def test_a_lytro_picture_names_every_option_at_once(tmp_path, capsys):
    line = refused(capsys, tmp_path / "a-stk.lfp", "--kind", "dual-pixel", "--densify", "9")
    assert "--kind (dual-pixel), --densify (9)" in line and "leave them out" in line


F_ONE = small().camera.thin_lens(small().camera.focus, 1.0).f_number
"""f-number of a pupil one view step wide."""


@pytest.mark.parametrize("options, words", [
    (("--pupil", "0.5"), "--pupil (0.5 view steps) must be at least 1.5"),
    (("--pupil", "1", "--kind", "dual-pixel"), "--pupil (1 view steps) must be at least 1.5"),
    (("--pupil", "1.8", "--kind", "differential-quad"), "--pupil (1.8 view steps) must be at least 1.875"),
    (("--pupil", "3,1", "--kind", "aperture-pair"), "--pupil (1 view steps) must be at least 1.5"),
    (("--f-number", "inf"), f"--f-number (inf) must be at most {F_ONE / 1.5:.4g}"),
    (("--f-number", "1e9", "--kind", "dual-pixel"), f"--f-number (1e9) must be at most {F_ONE / 1.5:.4g}"),
    (("--frames", "2000000"), f"17.9 GB together; at most 16 GB: take {int(16e9 / (4 * SIZE[0] * SIZE[1]))} frames"),
    (("--pupil", "1.5,3", "--kind", "aperture-pair"), "pupils of 1.5 and 3 view steps: an aperture pair has"),
    (("--pupil", "3", "--kind", "differential-quad"), "take at most 2.5 (--pupil"),
    (("--densify", "4"), "--densify (4) must be odd, so that one of the views is the reference; give 5"),
    (("--focus", "0.7"), "--focus (0.7 m) is one distance, and a focal stack has at least two"),
    (("--focus", "0.7,0.8,0.7"), "--focus holds 0.7 m twice"),
    (("--noise", "1e-9"), "--noise (1e-09 electrons of full well) must be 0 for none, or 100 to 1e+09"),
    (("--noise", "inf"), "--noise (inf electrons of full well) must be 0 for none"),
    (("--grid", "3x3"), "--grid (3x3) is for layout tiles"),
    (("--central", "7"), "--central (7) is for layout lenslet"),
    (("--central", "6", "--layout", "lenslet"), "--central (6) must be odd, at least 3 and at most the 14 px"),
])
def test_an_option_is_named_with_its_limit(scene, tmp_path, capsys, options, words):
    assert words in refused(capsys, scene, "-o", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_the_limits_that_are_named_are_taken(scene, tmp_path, capsys):
    for name, options in (("a", ("--pupil", "1.5")), ("b", ("--f-number", f"{F_ONE / 1.5:.4g}")),
                          ("c", ("--pupil", "1.875", "--kind", "differential-quad"))):
        assert dfd("lightfield", scene, "-o", tmp_path / name, *options) == 0


def test_a_pair_focused_inside_the_scene_is_told_in_metres(scene, tmp_path, capsys):
    near, far = near_far()
    line = refused(capsys, scene, "-o", tmp_path / "out", "--kind", "aperture-pair", "--focus", "0.7")
    assert f"--focus (0.7 m) lies within the scene ({near:.4g} to {far:.4g} m)" in line
    assert f"choose below {near:.4g} or above {far:.4g} m" in line and "dioptre" not in line and "give side" not in line


@pytest.mark.parametrize("kind, focus, words", [
    ("focal-stack", "5,6,7,8", "focus 5 to 8 m lies beyond the scene ({near:.4g} to {far:.4g} m)"),
    ("focal-stack", "0.2,0.3", "focus 0.2 to 0.3 m lies before the scene"), ("focal-stack", "0.2,0.7", None),
    ("dual-pixel", "5", "focus 5 m lies beyond the scene"), ("differential-quad", "5", "focus 5 m lies beyond the scene"),
    ("aperture-pair", "5000", "focus 5000 m lies far beyond the scene"), ("aperture-pair", "0.5", None),
    ("dual-pixel", "0.7", None)])
def test_focus_outside_the_scene_is_the_first_warning(scene, tmp_path, capsys, kind, focus, words):
    assert dfd("lightfield", scene, "-o", tmp_path / "out", "--kind", kind, "--focus", focus, "--json") == 0
    told = json.loads(capsys.readouterr().out)["warnings"]
    near, far = near_far()
    if words is None:
        assert not [text for text in told if "the scene" in text]
    else:
        assert told[0].startswith(words.format(near=near, far=far))
        assert [index for index, text in enumerate(told) if "--densify" in text] in ([], [1])


def test_without_noise_the_files_say_what_their_numbers_stand_for(scene, tmp_path):
    rounding = Noise(1e7, 2e3)
    assert dfd("lightfield", scene, "-o", tmp_path / "a", "--frames", 3) == 0
    assert dfd("lightfield", scene, "-o", tmp_path / "b", "--frames", 3, "--noise", 5000) == 0
    text, record = (tmp_path / "a" / "capture.toml").read_text(), json.loads((tmp_path / "a" / "truth.json").read_text())
    assert text.startswith("# no noise added; gain_e_per_dn and read_noise_e stand for the rounding of 8-bit views\n")
    assert record["noise"] is None and record["rounding"] == {"full_well_e": 1e7, "read_noise_e": 2e3}
    stated = read_sidecar(tmp_path / "a" / "capture.toml")
    assert stated.gain_e_per_dn * 65535 == pytest.approx(rounding.gain, rel=1e-9)
    assert stated.read_noise_e == rounding.read_noise
    record = json.loads((tmp_path / "b" / "truth.json").read_text())
    assert "no noise" not in (tmp_path / "b" / "capture.toml").read_text()
    assert record["noise"] == {"full_well_e": 5000, "read_noise_e": 3} and record["rounding"] is None


def test_an_empty_disparity_file_is_named(scene, capsys):
    write_pfm(scene / "gt_disp_lowres.pfm", np.full(SIZE, np.nan, np.float32))
    line = refused(capsys, scene)
    assert "gt_disp_lowres.pfm: holds no known pixel" in line and "remove it to read the views without disparity" in line


def test_without_disparity_the_line_names_a_file_and_an_option(scene, views, tmp_path, capsys):
    line = refused(capsys, views, "-o", tmp_path / "out", "--camera", "assumed")
    assert "has no disparity" in line and "[disparity] of a lightfield.toml" in line and "--camera FILE" in line
    cfg = scene / "parameters.cfg"
    for kind in ("focal-stack", "aperture-pair"):
        line = refused(capsys, views, "-o", tmp_path / "out", "--camera", cfg, "--kind", kind)
        assert "[disparity] of a lightfield.toml" in line and "--focus with --kind focal-stack or dual-pixel" in line
    options = (views, "-o", tmp_path / "out", "--camera", cfg, "--focus", "0.6,0.8")
    line = refused(capsys, *options, "--densify", "9")
    assert "--densify (9) moves views by the disparity" in line and "densify(" not in line


def test_stated_focus_needs_no_disparity(scene, views, tmp_path):
    out = tmp_path / "out"
    assert dfd("lightfield", views, "-o", out, "--camera", scene / "parameters.cfg", "--focus", "0.6,0.8") == 0
    capture, expected = library.read_capture(out), small().focal_stack([1 / 0.6, 1 / 0.8])
    assert sorted(view.lens.focus for view in capture.views) == pytest.approx([1 / 0.8, 1 / 0.6], rel=1e-9)
    assert capture.views[0].lens.pupil_diameter == pytest.approx(expected.views[0].lens.pupil_diameter, rel=1e-9)
    assert not (out / "truth.tiff").exists() and json.loads((out / "truth.json").read_text())["unit"] is None


def test_the_test_of_the_signs_stands_in_every_record(scene, tmp_path, capsys):
    assert dfd("lightfield", scene, "--json") == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []
    wrong = write_hci(replace(small(), disparity=-small().disparity), tmp_path / "wrong")
    assert dfd("lightfield", wrong, "--json") == 0
    assert "--flip uv" in json.loads(capsys.readouterr().out)["warnings"][0]
    for name, options, expected in (("a", (), "uv"), ("b", ("--flip", "uv"), "")):
        assert dfd("lightfield", wrong, "-o", tmp_path / name, "--frames", 3, *options) == 0
        signs = json.loads((tmp_path / name / "truth.json").read_text())["signs"]
        assert signs["reversed"] == expected and signs["estimated"] is False and set(signs["errors"]) == {"", "u", "v", "uv"}


def test_folders_without_a_light_field_say_what_to_give(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "empty: the folder is empty; dfd knows input_Cam000.png" in refused(capsys, tmp_path / "empty")
    (tmp_path / "lytro").mkdir()
    (tmp_path / "lytro" / "IMG_1-stk.lfp").write_bytes(b"")
    line = refused(capsys, tmp_path / "lytro")
    assert "1 Lytro picture; give one .lfp file, such as " in line and "IMG_1-stk.lfp" in line


@pytest.mark.parametrize("old, new, words", [
    ("num_cams_y = 3", "num_cams_y = 2", "lies outside the grid of 2 x 3 views; correct num_cams_y and num_cams_x of"),
    ("num_cams_x = 3", "num_cams_x = 4", "are missing: input_Cam009, input_Cam010, input_Cam011; copy them again, correct "
                                         "num_cams_y and num_cams_x of")])
def test_wrong_numbers_of_views_name_their_file_and_keys(scene, capsys, old, new, words):
    cfg = scene / "parameters.cfg"
    cfg.write_text(cfg.read_text().replace(old, new))
    line = refused(capsys, scene)
    assert words in line and f"num_cams_x of {cfg}" in line


def test_a_stray_picture_beside_a_grid_is_named(views, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dfd("lightfield", views) == 0
    write_png(views / "0_4.png", np.zeros((*SIZE, 3), np.uint8))
    assert "0_4.png is alone in its row or column: move it away if it is no view" in refused(capsys, views)
    (views / "0_4.png").unlink()
    (views / "1_2.png").unlink()
    assert "alone" not in refused(capsys, views)
