"""exiftool, where it is on PATH: one call per stack, its numbers judged like all others, its failures one remark."""

import math
import os
import sys
import textwrap

import numpy as np
import pytest
import tifffile

from dfd.io import exiftool
from dfd.io.describe import describe
from dfd.io.exiftool import interpret, read_exiftool
from dfd.io.pitch import Grid
from dfd.io.sources import open_source

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line")
SHAPE = (60, 90)
CAMERA = {"IFD0:Make": "NIKON CORPORATION", "IFD0:Model": "NIKON D7100", "Nikon:SerialNumber": 7302381,
          "ExifIFD:FocalLength": 50, "Nikon:FocalLength": 50.3968419957949, "ExifIFD:FNumber": 8, "ExifIFD:ISO": 100,
          "Nikon:ISO": "0 100", "ExifIFD:ExposureTime": 0.03333333333, "ExifIFD:FocalLengthIn35mmFormat": 200}
"""Tags as exiftool 12.57 writes them with -j -n -G1 -a, of a camera with a sensor of 11 mm."""


def on_path(folder, monkeypatch, body):
    """An executable `exiftool` alone on PATH that counts its calls; `files` are the names from stdin."""
    folder.mkdir(exist_ok=True)
    program = folder / "exiftool"
    program.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n"
                       f"open({str(folder / 'calls')!r}, 'a').write('call\\n')\n"
                       "files = os.fsdecode(sys.stdin.buffer.read()).split('\\n')\n" + textwrap.dedent(body))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return lambda: (folder / "calls").read_text().count("call") if (folder / "calls").exists() else 0


def answers(tags):
    """A body that answers with `tags`: {file name: record}, or one record for all."""
    return f"""
        tags = {tags!r}
        record = lambda name: tags.get(os.path.basename(name), tags if 'IFD0:Make' in tags else {{}})
        print(json.dumps([{{'SourceFile': name}} | record(name) for name in files]))
    """


@pytest.fixture
def stack(tmp_path):
    for index in range(3):
        tifffile.imwrite(tmp_path / f"f{index}.tiff", np.full(SHAPE, 0.5, np.float32))
    return tmp_path


@pytest.fixture
def tools(tmp_path_factory):
    return tmp_path_factory.mktemp("tools")


def bracket(distances=(0.501187233627272, 0.595662143529011, 0.707945784384138)):
    return {f"f{index}.tiff": CAMERA | {"Nikon:FocusDistance": distance} for index, distance in enumerate(distances)}


def test_a_stack_becomes_metric_by_one_call_for_all_files(stack, tools, monkeypatch):
    calls = on_path(tools, monkeypatch, answers(bracket()))
    source = open_source(stack)
    assert (calls(), source.scale, source.warnings) == (1, "metric", ())
    settings = source.frames[0].settings
    assert settings.focus_distance.source == "exiftool Nikon:FocusDistance" and settings.distance_from == "sensor"
    assert settings.focus_distance.sigma == pytest.approx(0.07 * 0.5012, abs=1e-4)
    assert settings.focal_length.value == pytest.approx(0.05, abs=1e-12)  # m, of ExifIFD, not the maker's rounded code
    assert settings.pixel_pitch.value == pytest.approx(43.267e-3 / 4 / math.hypot(*SHAPE), abs=1e-12)
    assert (settings.model, settings.serial) == ("NIKON D7100", "7302381")
    describe(stack)
    assert calls() == 2


def test_it_is_asked_only_where_something_is_missing_for_metres(stack, tools, monkeypatch):
    calls = on_path(tools, monkeypatch, answers(bracket()))
    (stack / "capture.toml").write_text("[camera]\nfocal_length_mm = 50\nf_number = 8\npixel_pitch_um = 60\n")
    assert open_source(stack, focus_distances=[0.5, 0.6, 0.7]).scale == "metric" and calls() == 0
    source = open_source(stack)
    assert calls() == 1 and source.scale == "metric"
    assert source.frames[0].settings.f_number.source == "capture.toml"


def test_odd_names_reach_it_and_names_with_line_ends_are_left_out(stack, tools, monkeypatch):
    on_path(tools, monkeypatch, answers(CAMERA))
    paths = [stack / name for name in ("# 1.tiff", "-j.tiff", "ä b.tiff")]
    for path in [*paths, stack / "a\nb.tiff"]:
        path.write_bytes(b"")
    found, remark = read_exiftool([*paths, stack / "a\nb.tiff"])
    assert set(found) == set(paths) and remark == ""


@pytest.mark.parametrize(("body", "told"), [
    ("sys.exit(1)", "ended with code 1 and no JSON"), ("print('garbage')", "ended with code 0 and no JSON"),
    ("print('{}')", "ended with code 0 and no JSON"), ("sys.stdout.buffer.write(b'\\xff\\xfe[')", "no JSON"),
    ("print('[' * 100000)", "no JSON"), ("time.sleep(60)", "gave no answer within 1 s")])
def test_its_failures_are_one_remark_and_never_a_stop(stack, tools, monkeypatch, body, told):
    monkeypatch.setattr(exiftool, "_START", 1.0)
    monkeypatch.setattr(exiftool, "_PER_FILE", 0.0)
    calls = on_path(tools, monkeypatch, body)
    source = open_source(stack)
    assert source.scale == "steps" and calls() == 1
    (text,) = (text for text in source.warnings if "exiftool" in text)
    assert told in text and "take it off PATH" in text and "\n" not in text


def test_a_program_that_cannot_start_is_one_remark(stack, tools, monkeypatch):
    on_path(tools, monkeypatch, "")
    (tools / "exiftool").write_bytes(b"\x7fELF not really")
    (text,) = open_source(stack).warnings
    assert "cannot be started" in text


def test_odd_content_is_no_value(stack, tools, monkeypatch):
    odd = {"f0.tiff": {"ExifIFD:FocalLength": "inf", "ExifIFD:FNumber": [1, 2], "Nikon:FocusDistance": {"a": 1}},
           "f1.tiff": {"ExifIFD:FocalLength": True, "ExifIFD:FNumber": "f/8", "Sony:FocusPosition2": "", "IFD0:Make": 5}}
    on_path(tools, monkeypatch, answers(odd))
    source = open_source(stack)
    assert source.scale == "steps" and all(frame.settings.values() == {} for frame in source.frames)


def test_without_it_nothing_is_missed(stack, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
    assert open_source(stack).warnings == ()


def test_a_program_that_lies_among_the_photographs_is_not_run(stack, monkeypatch):
    calls = on_path(stack / "bin", monkeypatch, answers(bracket()))
    monkeypatch.chdir(stack / "bin")
    monkeypatch.setenv("PATH", os.curdir)
    assert open_source(stack).scale == "steps" and calls() == 0


def distances(record):
    readings = interpret(record, file="f", grid=Grid((3000, 4000)))
    found = [value for reading in readings if (value := reading.settings.focus_distance) is not None]
    return [(value.source.removeprefix("exiftool "), pytest.approx(value.value, abs=1e-4)) for value in found]


@pytest.mark.parametrize(("record", "expected"), [
    ({"Canon:FocusDistanceUpper": 2.55, "Canon:FocusDistanceLower": 2.15}, [("Canon:FocusDistance", 2.3330)]),
    ({"Canon:FocusDistanceUpper": 6.31, "Canon:FocusDistanceLower": 0}, [("Canon:FocusDistance", 6.31)]),
    ({"Canon:FocusDistanceUpper": 655.35, "Canon:FocusDistanceLower": 81.91}, []),
    ({"Nikon:FocusDistance": 2.37137370566166}, [("Nikon:FocusDistance", 2.3714)]),
    ({"Nikon:FocusDistance": 0.01}, []),
    ({"Composite:FocusDistance2": 0.36, "Sony:FocusPosition2": 128, "ExifIFD:FocalLengthIn35mmFormat": 40},
     [("Composite:FocusDistance2", 0.36)]),
    ({"Sony:FocusPosition2": 128, "ExifIFD:FocalLengthIn35mmFormat": 40}, [("Sony:FocusPosition2", 0.36)]),
    ({"Sony:FocusPosition2": 128}, []),
    ({"Composite:FocusDistance2": "inf", "Sony:FocusPosition2": 255}, []),
    ({"Olympus:FocusDistance": 9.02}, [("Olympus:FocusDistance", 9.02)]),
    ({"Olympus:FocusDistance": 4294967.286}, []),
    ({"Apple:FocusDistanceRange": "0.37890625 0.26171875"}, [("Apple:FocusDistanceRange", 0.3096)]),
    ({"Apple:FocusDistanceRange": "1765297.6 2.5"}, []),
    ({"XMP-aux:ApproximateFocusDistance": 0.81}, [("XMP-aux:ApproximateFocusDistance", 0.81)]),
    ({"XMP-aux:ApproximateFocusDistance": 4294967295}, []),
    ({"Casio:ObjectDistance": 0.179}, [("Casio:ObjectDistance", 0.179)]),
    ({"ExifIFD:SubjectDistance": "undef"}, []),
    ({"IFD0:SubjectDistance": 0.9}, [("SubjectDistance", 0.9)])])
def test_distances_of_every_maker_as_exiftool_prints_them(record, expected):
    assert distances(record) == expected


def test_infinity_and_unknown_are_told(stack, tools, monkeypatch):
    on_path(tools, monkeypatch, answers(CAMERA | {"Composite:FocusDistance2": "inf"}))
    assert any("FocusDistance2 inf m is the code for unknown or infinity" in text for text in open_source(stack).warnings)
