"""`dfd plan` end to end: what it says first, the table, JSON, the plot, and one line for what cannot be planned."""

import json
import re

import pytest
from PIL import Image

from dfd.cli.commands import _numbers, app
from dfd.cli.planning import Exposure, Planned
from dfd.console.run import call
from dfd.lensfile import SCHEMA, SCHEMA_VERSION
from dfd.plan import EXPOSURES, KINDS

CAMERA = ("--focal-length", 50, "--f-number", 8, "--pixel-pitch", 6)
RANGE = ("--near", 0.8, "--far", 0.83)


def dfd(*arguments):
    return call(app, [str(item) for item in arguments], name="dfd")


def test_first_what_was_assumed_then_a_row_per_kind_then_what_to_set(capsys):
    assert dfd("plan", *CAMERA, *RANGE) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("assumed: 50 mm at f/8, pixels of 6 um; depth 0.8 to 0.83 m, 2.5 px of blur from end to end")
    assert "full well 20000 electrons, read noise 3; the frames of a kind share the time of two full exposures" in lines[1]
    assert "texture of contrast 0.15" in lines[2] and lines[2].endswith("registered frames; solver likelihood")
    assert re.split(r"  +", lines[4]) == ["kind", "frames", "sigma at 0.8 m", "sigma at 0.8147 m", "sigma at 0.83 m", "rms",
                                          "worst", "noise limit", "blur up to"]
    rows = dict(re.match(r"(\S+)(?: \(focus pair\))? +(\d+) +[\d.]+ [mu]m", line).groups() for line in lines[5:10])
    assert list(rows) == list(KINDS)
    assert [rows[kind] for kind in KINDS[1:]] == ["2", "2", "2", "4"]
    recipes = "\n".join(lines[11:])
    distances = _numbers(re.search(r"focal-stack +--focus-distances (\S+) at f/8$", recipes, re.M)[1])
    assert len(distances) == int(rows["focal-stack"]) and distances == sorted(distances)
    assert re.search(r"^  aperture-pair +--focus-distances ([\d.]+),\1 --side (near|far) at f/8 and f/\d+$", recipes, re.M)


def test_json_holds_the_assumptions_the_frames_and_sigma_in_si_units(capsys):
    assert dfd("plan", *CAMERA, *RANGE, "--kind", "focal-stack", "--frames", 3, "--exposure", "frame", "--noise", 5000,
               "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assumed, (found,) = content["assumed"], content["proposals"]
    assert (assumed["focal_length_m"], assumed["pixel_pitch_m"], assumed["full_well_e"]) == (0.05, 6e-6, 5000)
    assert assumed["exposure"] == "frame" and assumed["span_px"] == pytest.approx(2.507, abs=1e-3)
    assert found["kind"] == "focal-stack" and [frame["electrons_at_white"] for frame in found["frames"]] == [5000] * 3
    assert all(frame["focus_distance_m"] * frame["focus_dpt"] == pytest.approx(1) for frame in found["frames"])
    assert len(found["depth_m"]) == len(found["sigma_m"]) == 65
    relative = [sigma / depth for sigma, depth in zip(found["sigma_m"], found["depth_m"], strict=True)]
    assert max(relative) == pytest.approx(found["worst_relative"]) and found["rms_relative"] < found["worst_relative"]


def test_the_plot_is_a_png_with_a_line_per_kind(tmp_path, capsys):
    assert dfd("plan", *CAMERA, *RANGE, "--plot", tmp_path / "plan.png", "--kind", "views") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"look at {tmp_path / 'plan.png'}"
    picture = Image.open(tmp_path / "plan.png")
    assert picture.format == "PNG" and picture.size[0] > 1.5 * picture.size[1]
    assert (0x1F, 0x5F, 0x7F) in {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}


def test_a_profile_brings_focal_length_pitch_and_pupils(tmp_path, capsys):
    stops = [{"f_number_marked": number, "diameter_eff_mm": 45 / number} for number in (4.0, 8.0, 16.0)]
    (tmp_path / "lens.json").write_text(json.dumps({
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION, "camera": {"pixel_pitch_um": 6.0}, "aperture": stops,
        "lens": {"make": "Acme", "model": "Fifty", "focal_nominal_mm": 50.0}}))
    assert dfd("plan", "--lens", tmp_path / "lens.json", "--f-number", 8, *RANGE, "--kind", "dual-pixel") == 0
    text = capsys.readouterr().out
    assert text.startswith("assumed: 50 mm at f/8 (Acme Fifty), pixels of 6 um") and "2.3 px of blur" in text
    assert dfd("plan", "--lens", tmp_path / "lens.json", "--f-number", 2, *RANGE) == 2
    assert "outside the stops that profile Acme Fifty measured (f/4 to f/16)" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, words", [
    ((*CAMERA, "--near", 1, "--far", 0.5), "near (1 m) must be less than far (0.5 m)"),
    ((*CAMERA, "--near", 0.02, "--far", 0.5), "near (0.02 m) must exceed the focal length (50 mm)"),
    ((*CAMERA, "--near", 0.8), "Missing option '--far'"),
    (RANGE, "no --focal-length, no --pixel-pitch, no --f-number: a plan needs"),
    ((*CAMERA[:2], *CAMERA[4:], *RANGE), "no --f-number: a plan needs focal length, f-number and pixel pitch"),
    ((*CAMERA, *RANGE, "--focal-length", 0), "focal_length (0 mm) must be positive and finite; it is engraved on the lens"),
    ((*CAMERA, *RANGE, "--f-number", 0), "f_number (0) must be positive"),
    ((*CAMERA, *RANGE, "--noise", 0), "full_well (0 electrons) must be positive and finite; no sensor is free of noise"),
    ((*CAMERA, *RANGE, "--contrast", 0), "contrast (0 of white) must be positive"),
    ((*CAMERA, *RANGE, "--frames", 1), "frames (1) of a focal stack must be at least 2"),
    ((*CAMERA, *RANGE, "--kind", "views", "--frames", 4), "frames (4) applies to a focal stack only"),
    ((*CAMERA, *RANGE, "--plot", "plan.pdf"), "--plot (plan.pdf) must end in .png"),
    ((*CAMERA, *RANGE, "--plot", "nowhere/plan.png"), "--plot (nowhere/plan.png): its folder is missing; make it first"),
])
def test_what_cannot_be_planned_is_one_line_and_exit_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dfd("plan", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1 and words in captured.err
    assert list(tmp_path.iterdir()) == []


def test_the_choices_of_the_command_line_are_those_of_the_library():
    assert [kind.value for kind in Planned] == ["all", *KINDS]
    assert [exposure.value for exposure in Exposure] == list(EXPOSURES)
