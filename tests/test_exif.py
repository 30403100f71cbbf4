"""EXIF is material to judge: numbers that no camera has are no values, and two pixel pitches must agree."""

import json
import math

import cv2
import numpy as np
import pytest
import tifffile
from conftest import shared_data
from exifbytes import canon_note, photo

from dfd.io.agreement import FIELDS, join
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

SHOT = [68, *[0] * 18, 159, 0, 0]
LENS = {"t37386": 50, "t33437": 8}


@pytest.mark.parametrize(("other", "told"), [(1.059, "nothing"), (1.098, "nothing"), (1.12, "warning"), (1.2, "conflict")])
def test_distances_are_held_against_their_combined_sigma_first(other, told):
    """A quantised step of Nikon is 5.9 %; two seeds of 7 % differ by 9.9 % before either is wrong."""
    joined = join("focus_distance", (Value(1.0, 0.07, "A"), Value(other, 0.07, "B")))
    assert (bool(joined.warning), bool(joined.conflict)) == (told == "warning", told == "conflict")
    if told != "nothing":
        text = joined.warning or joined.conflict
        assert f"1 m (A) but {other:.3g} m (B)" in text and "--focus-distances" in text and "focus_distance_m" in text


@pytest.mark.parametrize("field", FIELDS)
def test_the_first_source_wins_and_the_others_must_agree(field):
    first, close, odd, wrong = (Value(2 * share, None, name) for share, name in
                                ((1, "A"), (1.04, "B"), (1.1, "C"), (1.2, "D")))
    assert join(field, (first, close)).value.value == 2 and not join(field, (first, close)).warning
    warned = join(field, (first, close, odd))
    assert warned.value.source == "A" and all(f"({name})" in warned.warning for name in "ABC") and "10 %" in warned.warning
    refused = join(field, (first, wrong))
    assert refused.value is None and "(A) but" in refused.conflict and "(D)" in refused.conflict
    assert join(field, ()).value is None and join(field, (first,)).others == ()


def shots(folder, *subjects):
    """JPEGs of a Canon whose maker note says 1.59 m and whose EXIF SubjectDistance says what is given [m]."""
    picture = cv2.imencode(".jpg", np.full((60, 90, 3), 128, np.uint8))[1].tobytes()
    for index, subject in enumerate(subjects):
        photo(folder / f"{index}.jpg", b"Canon EOS\0", canon_note(SHOT), picture=picture, t37382=subject, **LENS)
    return folder


def test_exif_that_contradicts_its_maker_note_is_told_refused_or_overruled(tmp_path):
    shots(tmp_path, 1.6, 1.85)
    source = open_source(tmp_path)
    assert [text for text in source.warnings if "differ" in text] == [
        "1.jpg: focus distance 1.85 m (EXIF SubjectDistance) but 1.59 m (Canon FocusDistance) differ by 14 %; the first is "
        "used, add focus_distance_m to its [[frames]] in capture.toml or pass --focus-distances to be sure"]
    shots(tmp_path, 1.6, 2.4)
    assert open_source(tmp_path).scale == "steps"  # the pixel pitch is missing as well
    (tmp_path / "capture.toml").write_text("[camera]\npixel_pitch_um = 60\n")
    with pytest.raises(ValueError, match=r"1.jpg: focus distance 2.4 m .* but 1.59 m .* 34 %, at most 15 % is trusted; add"):
        open_source(tmp_path)
    source = open_source(tmp_path, focus_distances=[1.6, 2.4])
    assert source.scale == "metric" and source.warnings == ()


def test_a_code_of_one_source_is_not_told_where_another_knows_the_distance(tmp_path):
    source = open_source(shots(tmp_path, 0, 0))
    assert {frame.settings.focus_distance for frame in source.frames} == {None}  # one distance for both frames
    assert describe([tmp_path / "0.jpg"]).files[0].settings.focus_distance.value == pytest.approx(1.59, abs=1e-9)
    assert not any("is the code" in text for text in source.warnings)


@pytest.mark.parametrize(("iso", "expected"), [(100, 100), (65535, None), (0, None)])
def test_iso_of_sixteen_bits_that_is_full_is_unknown(tmp_path, iso, expected):
    found = read_exif(exif_tiff(tmp_path / "f.tif", (34855, 3, 1, iso)), (400, 600)).settings.iso
    assert (found and found.value) == expected


def test_a_cut_out_image_has_no_pitch_by_the_crop_factor_and_a_smaller_one_has(tmp_path):
    height = 40963
    tags = [(FOCAL, 5, 1, (25, 1)), (F35, 3, 1, 50), (WIDTH, 3, 1, 6000)]
    cut = read_exif(exif_tiff(tmp_path / "f.tif", *tags, (height, 3, 1, 3000)), (400, 600))
    assert cut.pitches == () and "6000 x 3000 px, this one is cut to 600 x 400 px" in cut.warnings[0]
    for sides in ((6000, 4000), (4000, 6000)):
        tags[2] = (WIDTH, 3, 1, sides[0])
        whole = read_exif(exif_tiff(tmp_path / "f.tif", *tags, (height, 3, 1, sides[1])), (400, 600))
        assert whole.pitches[0].value == pytest.approx(43.267e-3 / 2 / math.hypot(400, 600), abs=1e-12)
    assert read_exif(tmp_path / "f.tif", (3000, 6000), raw=True).pitches  # of a RAW, EXIF describes the JPEG beside it


def test_a_crop_factor_that_no_sensor_has_is_ignored_and_said_so(tmp_path):
    found = exif(tmp_path / "f.tif", focal=50, f35=20)
    assert found.pitches == ()
    assert "FocalLengthIn35mmFilm is not used: it implies a sensor diagonal of 108 mm" in found.warnings[0]


def test_the_crop_factor_stands_before_the_focal_plane_which_often_is_wrong(tmp_path):
    found = exif(tmp_path / "f.tif", focal=25, f35=50, plane=1 / 3.1e-3, unit=3, width=600)
    assert [pitch.source.split()[1] for pitch in found.pitches] == ["FocalLengthIn35mmFilm", "FocalPlaneXResolution"]


def test_wide_pixels_have_the_pitch_along_x(tmp_path):
    """848 x 976 px, 1.53 times as wide as high: the frame is 848 x 638 widths."""
    found = read_exif(exif_tiff(tmp_path / "f.tif", (FOCAL, 5, 1, (10, 1)), (F35, 3, 1, 50)), (976, 848), aspect=1.53)
    assert found.pitches[0].value == pytest.approx(43.267e-3 / 5 / math.hypot(848, 976 / 1.53), abs=1e-12)


# -- real files


def test_a_raw_file_without_exif_gets_its_optics_from_libraw(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (item,) = describe([shared_data("raw/canon_powershot_s40_crw/Canon_PowerShot_S40_CRW_0101.CRW")]).files
    values = item.settings.values()
    assert values["focal_length"].value == pytest.approx(7.09375e-3, abs=1e-8)
    assert values["f_number"].value == pytest.approx(2.8, abs=0.01) and values["iso"].value == 50
    assert {value.source.split()[0] for value in values.values()} == {"LibRaw"}
    assert [line.split(" ")[0] for line in item.missing] == ["pixel_pitch_um", "focus_distance_m"]


def test_a_placeholder_of_a_lens_that_the_body_does_not_know_is_no_lens(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (item,) = describe([shared_data("raw/canon_550d_ml_dng/colorchart.dng")]).files
    assert not {"focal_length", "f_number"} & item.settings.values().keys()
    assert [line.split(" ")[0] for line in item.missing] == ["focal_length_mm", "f_number", "pixel_pitch_um",
                                                             "focus_distance_m"]


def test_pixels_that_are_not_square_are_said_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    overview = describe([shared_data("raw/kodak_dc120_kdc/P003908.KDC")])
    assert any("1.53 times as wide as high" in text and "along y" in text for text in overview.warnings)
    assert overview.files[0].pixel_aspect == pytest.approx(1.53, abs=0.005)


def test_a_dng_of_adobe_has_its_distance_in_xmp(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (item,) = describe([shared_data("raw/canon_6d_linear_dng/canon_eos_6d.dng")]).files
    assert item.settings.focus_distance == Value(1.48, pytest.approx(0.07 * 1.48, abs=1e-9), "XMP ApproximateFocusDistance")
    assert item.settings.serial == "033024001432" and item.settings.distance_from == "sensor"
