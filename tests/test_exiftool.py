"""exiftool, where it is on PATH: one call per stack, its numbers judged like all others, its failures one remark."""

import json
import math
import os
import random
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


@pytest.mark.parametrize("path", [".", "", "{bin}", "bin", "..", "{bin}/../bin"])
def test_a_program_that_lies_among_the_photographs_is_not_run(stack, monkeypatch, path):
    calls = on_path(stack / "bin", monkeypatch, answers(bracket()))
    monkeypatch.chdir(stack / "bin")
    monkeypatch.setenv("PATH", path.format(bin=stack / "bin"))
    assert open_source(stack).scale == "steps" and calls() == 0


def test_a_link_among_the_photographs_is_not_run_and_the_next_on_path_is(stack, tools, monkeypatch):
    calls = on_path(tools, monkeypatch, answers(bracket()))
    (stack / "bin").mkdir()
    (stack / "bin" / "exiftool").symlink_to(tools / "exiftool")
    monkeypatch.chdir(stack / "bin")
    monkeypatch.setenv("PATH", str(stack / "bin"))
    assert open_source(stack).scale == "steps" and calls() == 0
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (stack / "bin", tools))))
    assert open_source(stack).scale == "metric" and calls() == 1


def test_it_runs_without_the_users_configuration_and_names_are_no_options(stack, tools, monkeypatch):
    """A configuration of exiftool is a Perl program, also one in the current folder; its option must come first."""
    body = f"open({str(tools / 'seen')!r}, 'w').write(json.dumps([sys.argv[1:], files]))\n" + textwrap.dedent(
        answers(bracket() | {"-w.tiff": CAMERA}))
    on_path(tools, monkeypatch, body)
    (stack / "f2.tiff").rename(stack / "-w.tiff")
    monkeypatch.chdir(stack)
    source = open_source(["f0.tiff", "f1.tiff", "-w.tiff"])
    arguments, files = json.loads((tools / "seen").read_text())
    assert arguments[:2] == ["-config", ""] and sorted(files) == sorted(str(path) for path in stack.glob("*.tiff"))
    assert [frame.settings.model for frame in source.frames] == ["NIKON D7100"] * 3


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
    ({"FLIR:ObjectDistance": 1.5}, []),  # what the user typed in for the air, not the focus
    ({"Casio:ObjectDistance": 536870.912}, []),
    ({"ExifIFD:SubjectDistance": "undef"}, []),
    ({"Canon:FocusDistanceUpper": "inf", "Canon:FocusDistanceLower": "nan"}, []),
    ({"Canon:FocusDistanceUpper": 1e307, "Canon:FocusDistanceLower": 2.15}, [("Canon:FocusDistance", 2.15)]),
    ({"Canon:FocusDistanceUpper": 5e-324}, []),
    ({"Apple:FocusDistanceRange": "inf inf"}, []),
    ({"Apple:FocusDistanceRange": "5e-324 5e-324"}, []),
    ({"IFD0:SubjectDistance": 0.9}, [("SubjectDistance", 0.9)])])
def test_distances_of_every_maker_as_exiftool_prints_them(record, expected):
    assert distances(record) == expected


def nasty(rng):
    """Any JSON value: numbers from nothing to beyond all, text that reads as one, and what is no number at all."""
    return rng.choice([
        0, -0.0, -1, 1, 255, 8191, 65535, 4294967286, 4294967295, 2**64, 10**400, 5e-324, 1e-30, 1e30, 1.7e308, -1.7e308,
        math.inf, -math.inf, math.nan, "inf", "-inf", "nan", "Infinity", "1e999", "0", "0.0", "", " ", "undef", "f/8", "1/0",
        "2 3", "inf inf", "0 0", "nan 1", "5e-324 5e-324", "0.4 0.5", "1 2 3", "\ud800", "\0", "x" * 10**5, True, False,
        None, [], [1, 2], {}, {"num": 1}, rng.uniform(-10, 100), 10 ** rng.uniform(-320, 308), rng.randrange(1 << 32)])


def test_no_value_whatsoever_stops_the_interpretation():
    rng = random.Random(0)
    names = [name.rstrip("*") for name in exiftool._ASKED] + ["FocusDistanceUpper", "FocusDistanceLower", "FocusDistance2",
                                                              "FocusDistanceRange"]
    groups = [*exiftool._GROUPS, "Canon", "Nikon", "Sony", "Composite", "Apple", "Casio", "FLIR", ""]
    for _ in range(4000):
        record = {f"{rng.choice(groups)}:{rng.choice(names)}": nasty(rng) for _ in range(rng.randrange(1, 12))}
        for reading in interpret(record, file="f", grid=Grid((3000, 4000))):
            for value in (*reading.settings.values().values(), *reading.pitches):
                assert 0 < value.value < math.inf, record
                assert value.sigma is None or 0 < value.sigma < math.inf, record
            assert all(len(text) < 200 and text.isprintable() for text in reading.warnings), record
            assert len(reading.settings.model or "") <= 80


@pytest.mark.parametrize(("tag", "value", "told"), [
    ("ExifIFD:FocalLength", 5e10, "FocalLength (5e+10 mm) is not used: it must lie between 0.5 and 3000"),
    ("ExifIFD:FNumber", 1e-9, "FNumber (1e-09) is not used"), ("ExifIFD:FocalLength", "inf", None),
    ("ExifIFD:ExposureTime", 1e300, "ExposureTime (1e+300 s) is not used"), ("ExifIFD:ISO", 1e300, "ISO"),
    ("Nikon:FocusDistance", 1e300, "Nikon:FocusDistance 1e+300 m is the code for unknown or infinity"),
    ("Canon:FocusDistanceUpper", "inf", None), ("SourceFile", "a\0b", None), ("SourceFile", "\ud800", None),
    ("SourceFile", 7, None)])
def test_one_bad_tag_never_stops_a_stack(stack, tools, monkeypatch, tag, value, told):
    records = bracket()
    if tag.startswith("Canon"):
        del records["f1.tiff"]["Nikon:FocusDistance"]
    records["f1.tiff"][tag] = value
    on_path(tools, monkeypatch, answers(records))
    source = open_source(stack)
    assert len(source.frames) == 3 and source.frames[0].settings.focus_distance is not None
    assert told is None or any("f1.tiff" in text and told in text for text in source.warnings)


def test_infinity_and_unknown_are_told(stack, tools, monkeypatch):
    on_path(tools, monkeypatch, answers(CAMERA | {"Composite:FocusDistance2": "inf"}))
    assert any("FocusDistance2 inf m is the code for unknown or infinity" in text for text in open_source(stack).warnings)
