"""Which frame was taken at which distance and focus coordinate: words, tables, capture.toml, EXIF; every refusal."""

import numpy as np
import pytest

from calibration.shoot.distances import Target, find_targets
from calibration.shoot.shoots import read_shoot
from dfd.io.dng import write_dng
from dfd.io.images import write_tiff
from dfd.settings import CameraSettings, Value

SIZE = (24, 32)


def frame(path, *, size=SIZE, model="K1", **exif):
    """A DNG that states these numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = CameraSettings(path.name, model=model, distance_from="sensor",
                              **{name: Value(value) for name, value in exif.items()})
    return write_dng(path, np.full(size, 900, np.uint16), black_level=512, white_level=16383, settings=settings)


@pytest.fixture
def folders(tmp_path):
    """Three distances, three frames each: EXIF with an f-number and a focus distance, capture.toml with coordinates."""
    for station, distance in enumerate((0.6, 0.9, 1.8)):
        folder = tmp_path / f"d{station}"
        for number in range(3):
            frame(folder / f"{number}.dng", f_number=1.8, focus_distance=distance + 0.01 * number)
        (folder / "capture.toml").write_text("".join(
            f'[[frames]]\nfile = "{number}.dng"\nfocus_coordinate = {100 * station + 30 - 10 * number}\n'
            for number in range(3)))
    return tmp_path


def words(root, *, toml=True):
    """The words of the folders; without their capture.toml if asked."""
    for file in () if toml else root.glob("*/capture.toml"):
        file.unlink()
    return [f"{distance}={root / f'd{station}'}" for station, distance in enumerate((0.6, 0.9, 1.8))]


def table(root, text, name="shoot.csv"):
    (root / name).write_text(text)
    return [root / name]


def refused(root, text):
    """The message about a table."""
    with pytest.raises((ValueError, OSError)) as caught:
        read_shoot(table(root, text))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_words_name_folders_and_capture_toml_the_coordinates(folders):
    found = read_shoot(reversed(words(folders)), distance_sigma=2e-3)
    assert [(one.name, one.distance, one.sigma) for one in found.stations] == [
        ("0.6 m", 0.6, 2e-3), ("0.9 m", 0.9, 2e-3), ("1.8 m", 1.8, 2e-3)]
    assert found.coordinate == "encoder_step" and found.size == SIZE and found.raw and found.settings.model == "K1"
    assert [(shot.station, shot.coordinate, shot.path.name, shot.f_number) for shot in found.shots[:4]] == [
        (0, 10.0, "2.dng", 1.8), (0, 20.0, "1.dng", 1.8), (0, 30.0, "0.dng", 1.8), (1, 110.0, "2.dng", 1.8)]
    assert found.of(2) == [6, 7, 8]


def test_a_table_of_folders_is_relative_to_itself(folders):
    found = read_shoot(table(folders, "distance_m,folder,distance_sigma_mm\n0.6,d0,3\n0.9,d1,\n1.8,d2,0.5\n"))
    assert [one.sigma for one in found.stations] == [3e-3, 1e-3, 0.5e-3]
    assert len(found.shots) == 9 and found.shots[0].coordinate == 10.0


def test_a_table_of_files_says_coordinate_and_f_number_and_counts_before_capture_toml(folders):
    lines = [f"d{station}/{number}.dng,{distance},{5 * number},{2.8 if number else ''}"
             for station, distance in enumerate((0.6, 0.9, 1.8)) for number in range(2)]
    found = read_shoot(table(folders, "\n".join(["file,distance_m,focus_coordinate,f_number", *lines])))
    assert [(shot.path.name, shot.coordinate, shot.f_number) for shot in found.shots[:2]] == [
        ("0.dng", 0.0, 1.8), ("1.dng", 5.0, 2.8)]
    assert len(found.shots) == 6


def test_files_of_one_folder_may_be_of_several_distances(folders):
    for number in range(3):
        frame(folders / "all" / f"{number}.dng", f_number=2.0)
    found = read_shoot(table(folders, "file,distance_m,focus_coordinate\n"
                             "all/0.dng,0.9,7\nall/1.dng,0.6,8\nall/2.dng,1.2,9\n"))
    assert [(shot.path.name, shot.station, shot.coordinate) for shot in found.shots] == [
        ("1.dng", 0, 8.0), ("0.dng", 1, 7.0), ("2.dng", 2, 9.0)]


def test_exif_distances_are_the_coordinate_where_none_is_stated(folders):
    found = read_shoot(words(folders, toml=False))
    assert found.coordinate == "exif_distance_mm"
    np.testing.assert_allclose([shot.coordinate for shot in found.shots[:3]], (600, 610, 620), rtol=0, atol=0.5)  # mm


def test_a_bracket_index_counts_the_files_of_every_distance_from_zero(folders):
    found = read_shoot(words(folders, toml=False), coordinate="bracket_index")
    assert [(shot.path.name, shot.coordinate) for shot in found.shots[3:6]] == [
        ("0.dng", 0.0), ("1.dng", 1.0), ("2.dng", 2.0)]


def test_readings_that_differ_by_less_than_a_thousandth_are_one_distance(folders):
    frame(folders / "again" / "0.dng", f_number=1.8)
    (folders / "again" / "capture.toml").write_text("[[frames]]\nfile = '0.dng'\nfocus_coordinate = 4\n")
    found = read_shoot([*words(folders), f"0.6005={folders / 'again'}"])
    assert len(found.stations) == 3 and len(found.of(0)) == 4


def test_an_f_number_that_no_file_states_is_given(tmp_path):
    for station in range(3):
        frame(tmp_path / f"d{station}" / "0.dng")
    with pytest.raises(ValueError, match="no f-number in EXIF or in the table; pass --f-number N"):
        read_shoot(words(tmp_path), coordinate="bracket_index")
    found = read_shoot(words(tmp_path), coordinate="bracket_index", f_number=4.0)
    assert {shot.f_number for shot in found.shots} == {4.0}


@pytest.mark.parametrize(("count", "said"), [
    (1, r"one distance \(0.6 m\): the image scale cannot be told from the place of the entrance pupil"),
    (2, r"2 distances \(0.6 m, 0.9 m\), at least 3 are needed")])
def test_too_few_distances_say_what_cannot_be_identified(folders, count, said):
    with pytest.raises(ValueError, match=said):
        read_shoot(words(folders)[:count])
    assert len(read_shoot(words(folders)[:count], least=count).stations) == count


@pytest.mark.parametrize(("inputs", "said"), [
    ((), "no brackets given; give two or more DISTANCE=FOLDER"), (("{}/d0",), "has no distance; write DISTANCE=FOLDER"),
    (("0.6={}/d0", "{}/d1"), "has no distance"), (("near={}/d0",), "the distance ('near') must be a number of metres"),
    (("0={}/d0",), "the distance (0 m) must be positive"), (("-1={}/d0",), "must be positive"),
    (("nan={}/d0",), "must be positive"), (("0.6={}/none",), "no folder or file"), (("{}/none.csv",), "no such file")])
def test_words_that_name_no_distance_or_folder_are_refused(folders, inputs, said):
    with pytest.raises((ValueError, OSError)) as caught:
        read_shoot([item.format(folders) for item in inputs])
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "said"), [
    ("folder,distance_m\n", "no distances below the names of the columns"),
    ("", "columns are none, they must be folder, distance_m"),
    ("folder,metres\nd0,0.6\n", "columns are folder, metres, they must be folder, distance_m"),
    ("folder,distance_m,note\nd0,0.6,x\n", "it may have focus_coordinate, f_number, distance_sigma_mm"),
    ("folder,distance_m\nd0,0,6\n", "line 2: 3 values for the columns folder,distance_m"),
    ("folder,distance_m\n,0.6\n", "line 2: no folder; write folder,distance_m"),
    ("folder,distance_m\nd0,near\n", "line 2: the distance ('near') must be a number"),
    ("folder,distance_m\nd0,\n", "line 2: the distance ('') must be a number"),
    ("folder,distance_m\nd9,0.6\n", "line 2: no folder or file"),
    ("folder,distance_m,f_number\nd0,0.6,f/2\n", "f_number ('f/2') must be a number such as 1.8"),
    ("folder,distance_m,f_number\nd0,0.6,-2\n", "f_number (-2) must be positive"),
    ("folder,distance_m,focus_coordinate\nd0,0.6,inf\n", "focus_coordinate (inf) must be finite"),
    ("folder,distance_m,distance_sigma_mm\nd0,0.6,0\n", "distance_sigma_mm (0) must be positive"),
    ("folder,distance_m\nd0,0.6\nd0,0.9\nd1,1.2\n", "given with 2 distances; a folder holds the frames of one distance")])
def test_tables_are_refused_with_their_line(folders, text, said):
    assert said in refused(folders, text)


def test_a_file_that_is_no_table_is_refused(folders):
    (folders / "shoot.csv").write_bytes(b"\xff\xfe\x00\x81\n")
    with pytest.raises(OSError, match="not a CSV file"):
        read_shoot([folders / "shoot.csv"])


def test_a_table_as_spreadsheets_write_it(tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfdistance_m ,folder,f_number \r\n0.75 , near,2.8 \r\n\r\n")
    assert find_targets([tmp_path / "t.csv"], per_file=True) == [Target(tmp_path / "near", 0.75, f_number=2.8)]
    with pytest.raises(ValueError, match="they must be folder, distance_m; its first line"):
        find_targets([tmp_path / "t.csv"])


def test_frames_without_a_coordinate_are_named(folders):
    (folders / "d1" / "capture.toml").unlink()
    with pytest.raises(ValueError, match=r"d1.0\.dng: no focus_coordinate, which other frames of this shoot have"):
        read_shoot(words(folders))
    with pytest.raises(ValueError, match=r"d1.0\.dng: no focus_coordinate; add it"):
        read_shoot(words(folders), coordinate="encoder_step")


def test_frames_without_a_coordinate_or_an_exif_distance_are_told_what_to_do(folders):
    inputs = words(folders, toml=False)
    frame(folders / "d0" / "0.dng", f_number=1.8)
    with pytest.raises(ValueError, match="no focus coordinate and no focus distance in EXIF; give a CSV file"):
        read_shoot(inputs)
    with pytest.raises(ValueError, match="no focus distance in EXIF; use --coordinate encoder_step"):
        read_shoot(inputs, coordinate="exif_distance_mm")
    with pytest.raises(ValueError, match=r"coordinate \('ring'\) must be one of encoder_step, bracket_index"):
        read_shoot(inputs, coordinate="ring")


@pytest.mark.parametrize(("change", "said"), [
    ({"size": (26, 32)}, r"32 x 26 px, but 0\.dng has 32 x 24 px; give the frames of one camera"),
    ({"model": "K2"}, r"camera K2, but 0\.dng has K1; give the frames of one camera")])
def test_frames_of_several_cameras_are_refused(folders, change, said):
    frame(folders / "d2" / "1.dng", **{"f_number": 1.8, **change})
    with pytest.raises(ValueError, match=said):
        read_shoot(words(folders))


def test_raw_files_and_pictures_are_not_mixed(folders):
    (folders / "d2" / "1.dng").unlink()
    write_tiff(folders / "d2" / "1.tiff", np.full((*SIZE, 3), 0.5, np.float32))
    (folders / "d2" / "capture.toml").unlink()
    with pytest.raises(ValueError, match=r"RAW files and pictures are mixed|mixed"):
        read_shoot(words(folders), coordinate="bracket_index", f_number=1.8)


def test_a_file_that_is_cut_short_is_named(folders):
    path = folders / "d1" / "1.dng"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises((ValueError, OSError), match=r"1\.dng"):
        read_shoot(words(folders))
