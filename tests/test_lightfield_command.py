"""`dfd lightfield` end to end: what it says first, captures with exact optics, and one line for what cannot be."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from commandline import dfd
from lightfolders import SIZE, small, write_views

import dfd as library
from dfd.cli.lightfield import Layout, Shot
from dfd.io.hci import write_hci
from dfd.io.lightfield import LAYOUTS, read_light_field
from dfd.io.maps import read_map
from dfd.simulate import simulate_light_field

LENGTH = 1e-9
"""Relative: capture.toml holds 12 digits."""

CODE = 1 / 65535


@pytest.fixture
def scene(tmp_path):
    return write_hci(small(), tmp_path / "scene")


@pytest.fixture
def bare(scene):
    (scene / "parameters.cfg").unlink()
    return scene


def test_without_output_everything_read_is_said(scene, capsys):
    assert dfd("lightfield", scene) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"9 views of {SIZE[1]} x {SIZE[0]} px, colour, a pupil of 3 view steps" in lines[0]
    assert lines[1].startswith("convention  HCI 4D benchmark: views row by row from the top left, u right, v down")
    assert "zero disparity at 0.7046 m" in lines[2] and "px per dioptre and view step" in lines[2]
    low, high = small().disparity_range
    assert f"{low:.4g} to {high:.4g} px per view step, positive = nearer" in lines[3]
    assert f"up to {high - low:.3g} px between neighbouring views" in lines[4]
    assert "u reversed" in lines[5] and len(lines) == 6


def test_json_holds_the_same_in_si_units(scene, capsys):
    assert dfd("lightfield", scene, "--json") == 0
    found, field = json.loads(capsys.readouterr().out), small()
    assert found["views"] == {"count": 9, "width_px": SIZE[1], "height_px": SIZE[0], "channels": 3, "pupil_view_steps": 3,
                              "spacing_view_steps": 1}
    assert found["camera"]["baseline_m"] == field.camera.baseline and found["camera"]["assumed"] is False
    assert found["camera"]["px_per_dioptre"] == pytest.approx(field.camera.disparity_rate)
    assert found["depth_m"]["nearest"] == pytest.approx(float(field.truth.depth.min()), rel=1e-6)
    assert found["max_step_px"] == pytest.approx(field.max_step(field.disparity_range))
    assert found["signs"]["reversed"] == "" and not found["signs"]["estimated"]


def test_a_camera_that_is_assumed_is_said_first_and_in_the_files(bare, tmp_path, capsys):
    assert dfd("lightfield", bare, "--camera", "assumed") == 0
    said = capsys.readouterr().out
    assert said.startswith("NOT a measured camera: the camera is assumed")
    assert "the scale of depth is free" in said and "a projective stretch along the axis" in said
    out = tmp_path / "out"
    assert dfd("lightfield", bare, "--camera", "assumed", "-o", out, "--frames", 3) == 0
    assert (out / "capture.toml").read_text().startswith("# the camera is assumed: nobody measured these numbers")
    assert json.loads((out / "truth.json").read_text())["camera_assumed"] is True


def test_another_parameter_file_can_be_the_camera(scene, tmp_path, capsys):
    other = tmp_path / "other.cfg"
    other.write_text((scene / "parameters.cfg").read_text())
    (scene / "parameters.cfg").unlink()
    assert dfd("lightfield", scene, "--camera", other, "--json") == 0
    assert json.loads(capsys.readouterr().out)["camera"]["baseline_m"] == small().camera.baseline


def read_back(folder):
    """The capture that `dfd depth` would solve, and the record of the truth."""
    return library.read_capture(folder), json.loads((folder / "truth.json").read_text())


@pytest.mark.parametrize("kind, count, options", [
    ("focal-stack", 4, ("--frames", 4)), ("aperture-pair", 2, ("--pupil", "3,1.5")), ("dual-pixel", 2, ("--focus", 0.7)),
    ("differential-quad", 4, ())])
def test_every_kind_has_exact_optics_and_truth(scene, tmp_path, capsys, kind, count, options):
    out = tmp_path / "out"
    assert dfd("lightfield", scene, "-o", out, "--kind", kind, *options) == 0
    assert f"{out}: {kind} of {count} frames, capture.toml, truth.tiff" in capsys.readouterr().out
    capture, record = read_back(out)
    field = read_light_field(scene)
    near, far = (float(field.camera.inverse_depth(d)) for d in field.disparity_range[::-1])
    expected = {
        "focal-stack": lambda: field.focal_stack(np.linspace(near, far, 4)),
        "aperture-pair": lambda: field.aperture_pair(near, pupils=(3, 1.5), side="far"),
        "dual-pixel": lambda: field.dual_pixel(1 / 0.7),
        "differential-quad": lambda: field.quadruple(
            far + 0.25 * (near - far), power_step=0.75 / (2.5 * field.camera.disparity_rate))}[kind]()
    assert capture.kind == kind and capture.scale == "metric" and len(capture) == count
    order = np.argsort([-view.lens.focus for view in expected.views]) if kind == "focal-stack" else range(count)
    for view, index in zip(capture.views, order, strict=True):
        for name in ("power", "image_distance", "pupil_diameter", "pixel_pitch"):
            assert getattr(view.lens, name) == pytest.approx(getattr(expected.views[index].lens, name), rel=LENGTH)
    if kind == "dual-pixel":
        assert capture.kappa == pytest.approx(expected.kappa, rel=LENGTH)
    if kind == "aperture-pair":
        assert capture.side == "far"
    truth = read_map(out)
    assert np.abs(truth.inverse_depth - field.truth.inverse_depth).max() < 1e-6
    assert record["px_per_dioptre"] == pytest.approx(field.camera.disparity_rate)
    assert record["zero_disparity_dpt"] == pytest.approx(field.camera.focus)


def test_frames_hold_the_light_of_the_views_and_nan_stays_unknown(scene, tmp_path):
    assert dfd("lightfield", scene, "-o", tmp_path / "out", "--kind", "dual-pixel", "--focus", 0.7) == 0
    capture = library.read_capture(tmp_path / "out")
    expected = read_light_field(scene).dual_pixel(1 / 0.7).images
    assert np.array_equal(np.isnan(capture.images), np.isnan(expected))
    ratio = np.nanmean(expected) / np.nanmean(capture.images)  # brightness is matched between frames on reading
    assert np.nanmax(np.abs(capture.images * ratio - expected)) < 5e-3


def test_depth_that_a_camera_cannot_see_is_told(scene, tmp_path, capsys):
    text = (scene / "parameters.cfg").read_text()
    (tmp_path / "far.cfg").write_text(re.sub(r"(focus_distance_m\s*=\s*)\S+", r"\g<1>5", text))
    for options, told in ((("--camera", tmp_path / "far.cfg"), True), ((), False)):
        assert dfd("lightfield", scene, "-o", tmp_path / f"out{told}", "--frames", 3, *options) == 0
        unknown = np.isnan(read_map(tmp_path / f"out{told}").values).mean()
        found = re.search(r"warning: (\d+\.\d)% of the known disparities lie beyond infinity", capsys.readouterr().out)
        assert bool(found) == told == bool(unknown > 0.01)
        assert not told or float(found[1]) == pytest.approx(100 * unknown, abs=0.1)


def test_f_number_and_pupil_are_two_ways_to_say_one_thing(scene, tmp_path):
    camera = small().camera
    number = camera.thin_lens(camera.focus, 2.0).f_number
    for name, option in (("a", ("--pupil", 2)), ("b", ("--f-number", number))):
        assert dfd("lightfield", scene, "-o", tmp_path / name, "--frames", 3, *option) == 0
    texts = [(tmp_path / name / "capture.toml").read_text() for name in "ab"]
    assert texts[0] == texts[1]


def test_densified_views_quiet_the_warning_of_ghosts(scene, tmp_path, capsys):
    assert dfd("lightfield", scene, "-o", tmp_path / "a", "--frames", 3) == 0
    low, high = small().disparity_range
    said = capsys.readouterr()
    count = int(np.ceil(3 * (high - low) / 0.5)) | 1  # to half a px
    assert "at most 1 px without ghosts" in said.out and f"--densify {count} makes it 0.4" in said.out
    assert said.out.count("points move") == 1 and said.err.count("points move") == 0
    assert dfd("lightfield", scene, "-o", tmp_path / "b", "--frames", 3, "--densify", 9, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    low, high = small().disparity_range
    assert found["motion_px"] == pytest.approx((high - low) / 3, rel=1e-6) and found["warnings"] == []


def test_an_outlier_beyond_infinity_moves_no_focus(tmp_path, capsys):
    disparity = small().disparity.copy()
    disparity[3, 4] = -9.0
    scene = write_hci(replace(small(), disparity=disparity), tmp_path / "scene")
    assert dfd("lightfield", scene, "-o", tmp_path / "out", "--frames", 3, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    low, high = small().disparity_range
    assert found["motion_px"] == pytest.approx(high - low, rel=1e-6)
    assert found["depth_m"]["farthest"] == pytest.approx(float(small().truth.depth.max()), rel=1e-6)
    assert np.isnan(read_map(tmp_path / "out").values[3, 4])


def test_noise_is_stated_as_it_was_drawn(scene, tmp_path):
    assert dfd("lightfield", scene, "-o", tmp_path / "out", "--frames", 3, "--noise", 5000, "--seed", 3) == 0
    text = (tmp_path / "out" / "capture.toml").read_text()
    assert f"gain_e_per_dn = {float(f'{5000 * CODE:.12g}')!r}" in text and "read_noise_e = 3.0" in text


def test_a_written_stack_is_solved_and_judged(tmp_path, capsys):
    """The main job on it, as a newcomer would: depth within 1 % in the median, and its score against the exact truth."""
    field = simulate_light_field("slant", size=(72, 96), views=5, reach=0.45)
    scene, out = write_hci(field, tmp_path / "scene", bits=16), tmp_path / "out"
    assert dfd("lightfield", scene, "-o", out) == 0
    assert "warning" not in capsys.readouterr().out
    assert dfd("depth", out, "-o", tmp_path / "result", "--align", "none") == 0
    capsys.readouterr()
    assert dfd("compare", tmp_path / "result", out, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["median_relative_error"] < 0.01 and figures["density"] > 0.8


def test_force_replaces_only_what_dfd_wrote(scene, tmp_path, capsys):
    out = tmp_path / "out"
    assert dfd("lightfield", scene, "-o", out, "--frames", 3) == 0
    assert dfd("lightfield", scene, "-o", out, "--frames", 3) == 2
    assert dfd("lightfield", scene, "-o", out, "--frames", 4, "--force") == 0
    assert len(list(out.glob("frame_*.tiff"))) == 4
    assert dfd("lightfield", scene, "-o", scene, "--force") == 2 and (scene / "input_Cam000.png").is_file()


def refused(capsys, *arguments):
    """The one line of a refusal, exit code 2."""
    capsys.readouterr()
    assert dfd("lightfield", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("dfd: ")
    return captured.err


@pytest.mark.parametrize("options, words", [
    (("--pupil", "2", "--f-number", "4"), "state one thing twice"),
    (("--pupil", "3.2"), "a pupil of 3.2 view steps must be positive and at most the 3 that the views fill"),
    (("--f-number", "0.5"), "choose a smaller --pupil or a larger --f-number"),
    (("--pupil", "two"), "--pupil (two) must be positive numbers separated by commas"),
    (("--kind", "dual-pixel", "--pupil", "3,2"), "2 pupils given, kind dual-pixel takes 1"),
    (("--kind", "dual-pixel", "--frames", "3"), "--frames (3) is for a focal stack"),
    (("--kind", "dual-pixel", "--focus", "0.6,0.7"), "is focused once; give one distance in metres"),
    (("--frames", "3", "--focus", "0.6,0.7"), "--frames (3) and --focus (2 distances) disagree"),
    (("--kind", "aperture-pair", "--focus", "0.7"), "lies within the scene"),
    (("--densify", "4"), "--densify (4) must be odd"),
    (("--camera", "boxes"), "--camera (boxes) must be files, assumed, or the path of a parameters.cfg"),
    (("--camera", "gone.cfg"), "gone.cfg: no such file; check the path"),
    (("--grid", "3by3"), "--grid (3by3) must be ROWSxCOLUMNS"),
])
def test_options_that_cannot_be(scene, tmp_path, capsys, options, words):
    assert words in refused(capsys, scene, "-o", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_without_a_camera_disparity_is_offered_and_metres_refused(bare, tmp_path, capsys):
    assert dfd("lightfield", bare) == 0
    said = capsys.readouterr().out
    assert "no capture and no metres without a camera" in said and "px per view step" in said and "depth" not in said
    line = refused(capsys, bare, "-o", tmp_path / "out")
    assert "no metric depth and no capture; pass --camera assumed" in line


def test_a_reversed_sign_is_one_warning_with_its_fix(tmp_path, capsys):
    scene = write_hci(replace(small(), disparity=-small().disparity), tmp_path / "scene")
    assert dfd("lightfield", scene) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(told) == 1 and "--flip uv" in told[0]
    assert dfd("lightfield", scene, "--flip", "uv") == 0
    assert "warning" not in capsys.readouterr().out


def test_bad_folders_are_one_line(scene, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "the folder is empty" in refused(capsys, tmp_path / "empty")
    assert "no such file or folder" in refused(capsys, tmp_path / "gone")
    write_views(tmp_path / "views", small(), lambda row, column: f"{row}_{column}")
    (tmp_path / "views" / "1_2.png").unlink()
    assert "1 of 9 views of the 3 x 3 grid are missing: 1_2" in refused(capsys, tmp_path / "views")
    (scene / "gt_disp_lowres.pfm").write_bytes(b"Pf\n56 40\n-1\n12")
    assert "the file is cut" in refused(capsys, scene)
    (tmp_path / "a.lfp").write_bytes(b"nothing")
    assert "not a Lytro picture" in refused(capsys, tmp_path / "a.lfp")


def test_without_disparity_the_range_is_asked_for(tmp_path, capsys):
    folder = write_views(tmp_path / "views", small(), lambda row, column: f"{row}_{column}")
    assert dfd("lightfield", folder) == 0
    assert "not in the files" in capsys.readouterr().out
    assert "has no disparity" in refused(capsys, folder, "-o", tmp_path / "out", "--camera", "assumed")


def test_the_choices_of_the_command_line_are_those_of_the_library():
    assert [item.value for item in Layout] == ["auto", *LAYOUTS]
    assert {item.value for item in Shot} == {"focal-stack", "aperture-pair", "dual-pixel", "differential-quad"}
