"""EXIF is material to judge: numbers that no camera has are no values, and two pixel pitches must agree."""

import json
import math

import numpy as np
import pytest
import tifffile

from dfd.io.agreement import join
from dfd.io.describe import describe
from dfd.io.exif import read_exif
from dfd.io.sources import open_source
from dfd.lensfile import SCHEMA, SCHEMA_VERSION
from dfd.settings import Value


def exif_tiff(path, *tags, shape=(400, 600)):
    tifffile.imwrite(path, np.zeros(shape, np.uint8), metadata=None, extratags=[(*tag, True) for tag in tags])
    return path


FOCAL, STOP, F35, WIDTH = 37386, 33437, 41989, 40962
PLANE_X, PLANE_UNIT, DISTANCE = 41486, 41488, 37382


def exif(path, **numbers):
    codes = {"focal": (FOCAL, 5), "stop": (STOP, 5), "f35": (F35, 3), "width": (WIDTH, 3), "plane": (PLANE_X, 5),
             "unit": (PLANE_UNIT, 3), "distance": (DISTANCE, 5)}
    tags = [(code, kind, 1, (round(value * 1000), 1000) if kind == 5 else value)
            for name, value in numbers.items() for code, kind in (codes[name],)]
    return read_exif(exif_tiff(path, *tags), (400, 600))


@pytest.mark.parametrize(("numbers", "gone"), [({"focal": 0, "stop": 1}, {"focal_length", "f_number"}),
                                               ({"focal": 50, "stop": 0.4}, {"f_number"}),
                                               ({"focal": 50, "stop": 2, "distance": 0}, {"focus_distance"}),
                                               ({"focal": 50, "stop": 2, "distance": 65535}, {"focus_distance"})])
def test_numbers_that_no_camera_has_count_as_not_stated(tmp_path, numbers, gone):
    values = exif(tmp_path / "f.tif", **numbers).settings.values()
    assert not gone & values.keys()
    assert ("focal_length" in values) == (numbers["focal"] > 0)


def test_f_number_one_is_real_when_the_focal_length_is(tmp_path):
    assert exif(tmp_path / "f.tif", focal=50, stop=1).settings.f_number.value == 1


def test_pitch_from_the_crop_factor_uses_diagonals(tmp_path):
    found = exif(tmp_path / "f.tif", focal=25, f35=50)
    assert found.pitches[0].value == pytest.approx(43.267e-3 / 2 / math.hypot(400, 600), abs=1e-12)
    assert found.pitches[0].sigma == pytest.approx(0.05 * found.pitches[0].value, rel=1e-9)


@pytest.mark.parametrize(("unit", "metres"), [(2, 25.4e-3), (3, 1e-2), (4, 1e-3), (5, 1e-6)])
def test_focal_plane_units(tmp_path, unit, metres):
    found = exif(tmp_path / "f.tif", plane=metres / 50e-6, unit=unit, width=600)
    expected = metres / (round(metres / 50e-6 * 1000) / 1000)
    assert found.pitches[0].value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("numbers", "reason"), [({"plane": 200, "unit": 3, "width": 6000}, "6000 px, this one has"),
                                                 ({"plane": 200, "unit": 3}, "unknown"),
                                                 ({"plane": 20000, "unit": 3, "width": 600}, "outside 4 to 60 mm"),
                                                 ({"plane": 50, "unit": 3, "width": 600}, "outside 4 to 60 mm")])
def test_a_focal_plane_that_cannot_be_is_ignored_and_said_so(tmp_path, numbers, reason):
    found = exif(tmp_path / "f.tif", **numbers)
    assert found.pitches == () and reason in found.warnings[0]


@pytest.mark.parametrize(("percent", "told"), [(4, "nothing"), (8, "warning"), (20, "conflict")])
def test_two_pitches_that_disagree(percent, told):
    pitches = (Value(6e-6, 0.3e-6, "A"), Value(6e-6 * (1 + percent / 100), 0.3e-6, "B"))
    joined = join("pixel_pitch", pitches)
    assert (bool(joined.warning), bool(joined.conflict)) == (told == "warning", told == "conflict")
    if told == "conflict":
        assert joined.value is None and "pixel_pitch_um" in joined.conflict and joined.others == pitches
    else:
        assert joined.value == Value(6e-6, pytest.approx(6e-8 * percent, rel=1e-6), "A") and joined.others == pitches[1:]


def conflicting(folder):
    for index in range(2):
        exif_tiff(folder / f"{index}.tif", (FOCAL, 5, 1, (50, 1)), (STOP, 5, 1, (28, 10)), (F35, 3, 1, 100),
                  (PLANE_X, 5, 1, (200, 1)), (PLANE_UNIT, 3, 1, 3), (WIDTH, 3, 1, 600))
    return folder


@pytest.mark.parametrize("stated", ["capture.toml", "profile"])
def test_nothing_is_said_of_a_pitch_in_exif_that_another_replaces(tmp_path, stated):
    """200 px/cm at 600 px is a sensor of 36 cm: refused, and told only while nobody else gives the pitch."""
    for index in range(2):
        exif_tiff(tmp_path / f"{index}.tif", (FOCAL, 5, 1, (50, 1)), (PLANE_X, 5, 1, (20, 1)), (PLANE_UNIT, 3, 1, 3),
                  (WIDTH, 3, 1, 600))
    assert "0.tif and 1 more: EXIF FocalPlaneXResolution is not used" in open_source(tmp_path).warnings[0]
    assert "FocalPlaneXResolution" in describe([tmp_path / "0.tif"]).files[0].warnings[0]
    if stated == "profile":
        content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "camera": {"pixel_pitch_um": 6.0}}
        (tmp_path / "lens.json").write_text(json.dumps(content))
        (tmp_path / "capture.toml").write_text('lens = "lens.json"\n')
    else:
        (tmp_path / "capture.toml").write_text("[camera]\npixel_pitch_um = 6\n")
    assert open_source(tmp_path).warnings == ()
    assert describe(tmp_path).warnings == describe(tmp_path).files[0].warnings == ()


@pytest.mark.parametrize("line", ["focus_distance_m = 0.5", "stage_position_mm = 2", "focus_coordinate = 7"])
def test_nothing_is_said_of_a_distance_in_exif_when_the_user_says_where_the_focus_is(tmp_path, line):
    exif_tiff(tmp_path / "0.tif", (DISTANCE, 5, 1, (0, 1)))
    assert any("SubjectDistance" in text for text in describe([tmp_path / "0.tif"]).warnings)
    (tmp_path / "capture.toml").write_text(f'[[frames]]\nfile = "0.tif"\n{line}\n')
    assert describe([tmp_path / "0.tif"]).warnings == ()


def test_a_pitch_conflict_stops_only_work_that_needs_the_pitch(tmp_path):
    conflicting(tmp_path)
    source = open_source(tmp_path)
    assert source.scale == "steps" and "differ by" in source.warnings[0]
    with pytest.raises(ValueError, match=r"0.tif: pixel pitch 30 um .* but 50 um .* pixel_pitch_um"):
        open_source(tmp_path, focus_distances=[0.5, 0.6])
    (tmp_path / "capture.toml").write_text("[camera]\npixel_pitch_um = 50\n")
    assert open_source(tmp_path, focus_distances=[0.5, 0.6]).scale == "metric"


def test_a_file_without_exif_or_with_broken_exif_says_nothing(tmp_path):
    path = tmp_path / "f.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read_exif(path, (10, 20)).settings.values() == {}


# -- the chain, and sources that contradict each other


def distance(value, sigma, source):
    return Value(value, sigma, source)


@pytest.mark.parametrize(("other", "told"), [(1.059, "nothing"), (1.098, "nothing"), (1.12, "warning"), (1.2, "conflict")])
def test_distances_are_held_against_their_combined_sigma_first(other, told):
    """A quantised step of Nikon is 5.9 %; two seeds of 7 % differ by 9.9 % before anybody is wrong."""
    joined = join("focus_distance", (Value(1.0, 0.07, "A"), Value(other, 0.07, "B")))
    assert (bool(joined.warning), bool(joined.conflict)) == (told == "warning", told == "conflict")
    if told != "nothing":
        text = joined.warning or joined.conflict
        assert f"1 m (A) but {other:.3g} m (B)" in text and "--focus-distances" in text and "focus_distance_m" in text


@pytest.mark.parametrize("field", ["focal_length", "f_number", "exposure", "iso"])
def test_the_first_source_wins_and_the_second_must_agree(field):
    first, close, odd = Value(2.0, None, "A"), Value(2.08, None, "B"), Value(2.2, None, "C")
    assert join(field, (first, close)).value is first and join(field, (first, close)).warning == ""
    assert "2.2" in join(field, (first, close, odd)).warning.replace("e+03", "") or field == "focal_length"
    assert join(field, (first, Value(2.4, None, "D"))).value is None


def canon_jpeg(path, centimetres, subject):
    """A JPEG-like header that states two distances: Canon's maker note and EXIF SubjectDistance."""
    shot = struct.pack("<22H", 44, *[0] * 18, centimetres, 0, 0)
    note = struct.pack("<HHHII", 1, 4, 3, 22, 200) + bytes(4) + shot
    exif_rows = [(37382, 5, 1, 300), (37386, 5, 1, 308), (37500, 7, len(note), 180)]
    tiff = bytearray(400)
    tiff[:8] = b"II*\0" + struct.pack("<I", 8)
    rows = [(271, 2, 6, 100), (34665, 4, 1, 120)]
    tiff[8:10] = struct.pack("<H", len(rows))
    for k, row in enumerate(rows):
        tiff[10 + 12 * k:22 + 12 * k] = struct.pack("<HHII", *row)
    tiff[100:106] = b"Canon\0"
    tiff[120:122] = struct.pack("<H", len(exif_rows))
    for k, row in enumerate(exif_rows):
        tiff[122 + 12 * k:134 + 12 * k] = struct.pack("<HHII", *row)
    tiff[180:180 + len(note)] = note
    tiff[300:316] = struct.pack("<IIII", round(subject * 100), 100, 50, 1)
    path.write_bytes(bytes(tiff))
    return path
