"""What a calibration refuses before it decodes a frame, what it takes a focus coordinate to be, and what a crash leaves."""

import json
import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
from test_stack_noise import write_stack

from calibration.cli import app
from calibration.edges.core import _line
from calibration.focus.job import calibrate_focus
from calibration.noise.stack import as_entry, estimate_stack_noise
from calibration.psf.job import calibrate_psf
from calibration.shoot.distances import find_targets
from calibration.shoot.shoots import check_steps, read_shoot
from calibration.sidecar import commit, load_arrays
from calibration.target.board import BOARDS
from dfd.console.run import call as run_command
from dfd.io.dng import write_dng
from dfd.lensfile import read, write
from dfd.settings import CameraSettings, Value

SIZE = (24, 32)
DISTANCES = (0.6, 0.9, 1.8)
PROFILE = {"schema": "dfd-lensprofile", "schema_version": "1.0.0"}


def frame(path, **exif):
    """A DNG that states these numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = CameraSettings(path.name, model="K1", distance_from="sensor",
                              **{name: Value(value) for name, value in exif.items()})
    return write_dng(path, np.full(SIZE, 900, np.uint16), black_level=512, white_level=16383, settings=settings)


def shoot_of(root, *, frames=6, stops=(1.8,), exif=None):
    """Words of three folders; file names count through the stops."""
    for station, distance in enumerate(DISTANCES):
        for number in range(frames):
            more = {} if exif is None else {"focus_distance": exif(distance, number)}
            frame(root / f"d{station}" / f"{number}.dng", f_number=stops[number * len(stops) // frames], **more)
    return [f"{distance}={root / f'd{station}'}" for station, distance in enumerate(DISTANCES)]


def state(root, coordinate):
    """capture.toml of every folder: coordinate(number) of every frame."""
    for folder in root.glob("d?"):
        folder.joinpath("capture.toml").write_text("".join(
            f'[[frames]]\nfile = "{path.name}"\nfocus_coordinate = {coordinate(int(path.stem))}\n'
            for path in sorted(folder.glob("*.dng"))))


def command(capsys, *arguments):
    """(exit code, stdout, stderr) of dfd-calibrate."""
    code = run_command(app, [str(item) for item in arguments], name="dfd-calibrate")
    return code, *capsys.readouterr()


def never(path, *_, **__):
    raise AssertionError(f"{path} was decoded")


@pytest.fixture
def undecoded(monkeypatch):
    """Frames may not be decoded."""
    monkeypatch.setattr("calibration.shoot.bracket.read_mosaic", never)


# What a focus coordinate is

def test_a_bracket_index_counts_every_f_number_from_zero(tmp_path):
    found = read_shoot(shoot_of(tmp_path, frames=6, stops=(1.8, 4.0)), coordinate="bracket_index")
    for members in found.brackets:
        assert [found.shots[index].coordinate for index in members] == [0, 1, 2]
    assert len(found.brackets) == 6


def test_a_bracket_index_counts_every_folder_of_one_distance_from_zero(tmp_path):
    inputs = shoot_of(tmp_path, frames=3)
    frame(tmp_path / "again" / "0.dng", f_number=1.8)
    found = read_shoot([*inputs, f"0.6={tmp_path / 'again'}"], coordinate="bracket_index")
    assert [found.shots[index].coordinate for index in found.brackets[0]] == [0, 0, 1, 2]


@pytest.mark.parametrize("kind", ["bracket_index", "exif_distance_mm", "encoder_step"])
def test_stated_coordinates_are_taken_and_the_kind_is_their_name(tmp_path, kind):
    inputs = shoot_of(tmp_path, exif=lambda distance, number: distance)
    state(tmp_path, lambda number: 40 - 7 * number)
    found = read_shoot(inputs, coordinate=kind)
    assert found.coordinate == kind and found.warnings == ()
    assert [found.shots[index].coordinate for index in found.of(1)] == [5, 12, 19, 26, 33, 40]


def test_a_table_states_coordinates_whatever_the_kind(tmp_path):
    shoot_of(tmp_path)
    rows = [f"d{station}/{number}.dng,{distance},{3 * number}" for station, distance in enumerate(DISTANCES)
            for number in range(6)]
    (tmp_path / "shoot.csv").write_text("\n".join(["file,distance_m,focus_coordinate", *rows]))
    found = read_shoot([tmp_path / "shoot.csv"], coordinate="bracket_index")
    assert [found.shots[index].coordinate for index in found.of(0)] == [0, 3, 6, 9, 12, 15]


def test_coordinates_of_some_frames_alone_are_refused_whatever_the_kind(tmp_path):
    inputs = shoot_of(tmp_path)
    state(tmp_path, lambda number: number)
    (tmp_path / "d1" / "capture.toml").unlink()
    with pytest.raises(ValueError, match=r"d1.0\.dng: no focus_coordinate, which other frames of this shoot have"):
        read_shoot(inputs, coordinate="bracket_index")


def test_distances_of_exif_are_a_coordinate_with_a_warning(tmp_path):
    inputs = shoot_of(tmp_path, exif=lambda distance, number: distance + 0.01 * number)
    (told,) = read_shoot(inputs).warnings
    assert "distance in EXIF" in told and "buckets: an index only; state focus_coordinate" in told
    assert read_shoot(inputs, coordinate="exif_distance_mm").warnings == ()  # chosen, not taken


# Brackets without steps

def test_equal_coordinates_are_refused_before_anything_is_decoded(tmp_path, undecoded):
    shoot = read_shoot(shoot_of(tmp_path, exif=lambda distance, number: distance))
    still = replace(shoot, coordinate="encoder_step")
    with pytest.raises(ValueError, match=r"d0: 6 frames at f/1\.8 with encoder_step 600 alone, 4 or more different ones "
                                         r"are needed"):
        calibrate_focus(still, BOARDS["a4"])
    with pytest.raises(ValueError, match="with exif_distance_mm 600 alone, 2 or more"):
        calibrate_psf(shoot, BOARDS["a4"])


def test_three_different_coordinates_are_too_few_and_four_are_enough(tmp_path):
    inputs = shoot_of(tmp_path)
    state(tmp_path, lambda number: number // 2)
    with pytest.raises(ValueError, match="with encoder_step 0, 1, 2 alone, 4 or more"):
        check_steps(read_shoot(inputs))
    state(tmp_path, lambda number: min(number, 3))
    check_steps(read_shoot(inputs))


def test_too_few_frames_of_the_last_distance_are_refused_before_anything_is_decoded(tmp_path, undecoded):
    inputs = shoot_of(tmp_path)
    (tmp_path / "d2" / "5.dng").unlink()
    with pytest.raises(ValueError, match=r"d2: 5 frames at f/1\.8, at least 6 are needed"):
        calibrate_focus(read_shoot(inputs, coordinate="bracket_index"), BOARDS["a4"])


@pytest.mark.parametrize("places", [[5.0] * 6, [1.0] * 3 + [2.0] * 3, [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]])
def test_places_that_hold_no_line_on_either_side_give_none_without_a_warning(places):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _line(np.array(places), np.array([9.0, 9.1, 8.9, 9.0, 9.1, 8.9])) is None


def test_two_frames_at_a_place_are_one_place_of_the_line():
    s = np.array([-4.0, -3.0, -3.0, 3.0, 4.0, 4.0]) + 1e6
    slope, offset = _line(s, np.abs(2.0 * (s - 1e6)))
    assert slope == pytest.approx(2.0, abs=1e-9)  # px per unit
    assert slope * 1e6 + offset == pytest.approx(0.0, abs=1e-6)  # px


# Distances

@pytest.mark.parametrize(("word", "said"), [
    ("600", "the distance (600 m) must be at most 100 m; in mm? then write 0.6"),
    ("nan", "must be positive and a finite number of metres"), ("inf", "must be positive and a finite number"),
    ("0", "from the sensor mark or from the entrance pupil, --origin says which")])
def test_what_is_no_distance_in_metres_is_refused(tmp_path, word, said):
    with pytest.raises(ValueError) as caught:
        find_targets([f"{word}={tmp_path}"], per_file=True)
    assert said in str(caught.value) and "with --origin sensor" not in str(caught.value)


def test_a_distance_in_decimetres_contradicts_exif(tmp_path):
    inputs = shoot_of(tmp_path, exif=lambda distance, number: distance + 0.01 * number)
    wrong = [f"{10 * distance}={tmp_path / f'd{station}'}" for station, distance in enumerate(DISTANCES)]
    with pytest.raises(ValueError, match=r"d0: the target at 6 m, but its frames are focused at 0\.6 to 0\.65 m by EXIF"):
        read_shoot(wrong)
    assert len(read_shoot(inputs).stations) == 3


def test_readings_that_chain_put_every_frame_into_one_station(tmp_path):
    words = []
    for number in range(40):
        frame(tmp_path / f"{number}" / "0.dng", f_number=1.8)
        words.append(f"{0.6 + 1e-4 * number:.4f}={tmp_path / str(number)}")  # 0.1 mm apart
    found = read_shoot(words, coordinate="bracket_index")
    assert len(found.shots) == len({shot.path for shot in found.shots}) == 40
    for shot in found.shots:
        reading = 0.6 + 1e-4 * int(shot.path.parent.name)
        assert -1e-9 <= reading - found.stations[shot.station].distance <= 0.7e-3  # m


@pytest.mark.parametrize(("text", "said"), [
    ("folder;distance_m\nd0;0,6\n", "columns are separated by semicolons (folder;distance_m); write commas"),
    ("file,metres\nd0,0.6\n", "columns are file, metres, they must be file, distance_m; it may have focus_coordinate, "
     "f_number, distance_sigma_mm; its first line")])
def test_tables_say_what_is_wrong_with_their_columns(tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError) as caught:
        find_targets([tmp_path / "t.csv"], per_file=True)
    assert said in str(caught.value)


def test_one_distance_without_a_law_tells_no_sign_before_anything_is_decoded(tmp_path, undecoded):
    shoot = read_shoot(shoot_of(tmp_path)[:1], coordinate="bracket_index", least=1)
    with pytest.raises(ValueError, match=r"1 distance\(s\), and nothing tells which way .* with --into"):
        calibrate_psf(shoot, BOARDS["a4"])


# The profile that is written

def arrays(value):
    return {"focus/coc": np.full(5, value)}


@pytest.mark.parametrize("name", ["focus", "psf"])
@pytest.mark.parametrize("option", ["-o", "--into"])
def test_arrays_of_nobody_beside_the_profile_are_refused_first(tmp_path, capsys, name, option):
    lens = tmp_path / "lens.json"
    (tmp_path / "lens.npz").write_bytes(b"mine")
    if option == "--into":
        write(PROFILE, lens)
    code, out, err = command(capsys, name, "0.6=absent", option, lens)
    assert (code, out) == (2, "") and "lens.npz: exists already and lens.json does not name it" in err
    assert (tmp_path / "lens.npz").read_bytes() == b"mine"


def test_a_folder_that_takes_no_files_is_refused_first(tmp_path, capsys, monkeypatch):
    def full(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("calibration.cli.common.TemporaryFile", full)
    code, _, err = command(capsys, "focus", "0.6=absent", "-o", tmp_path / "lens.json")
    assert code == 2 and f"folder {tmp_path} takes no files (Permission denied); choose another one" in err


def test_an_update_leaves_one_file_of_arrays_and_takes_its_old_name_in_turn(tmp_path):
    lens, names = tmp_path / "lens.json", []
    content = PROFILE
    for value in (1.0, 2.0, 3.0):
        commit(lens, content, arrays(value))
        content = read(lens)
        names.append(content["sidecar"]["file"])
        np.testing.assert_array_equal(load_arrays(lens, content)["focus/coc"], arrays(value)["focus/coc"])
        assert sorted(os.listdir(tmp_path)) == sorted(["lens.json", names[-1]])
    assert names[0] == names[2] == "lens.npz" and names[1] == f"lens.{names[1].split('.')[1]}.npz"


class Crash(BaseException):
    """The end of the process."""


def test_a_crash_before_the_profile_is_written_keeps_the_old_pair(tmp_path, monkeypatch):
    lens = tmp_path / "lens.json"
    commit(lens, PROFILE, arrays(1.0))
    before = lens.read_bytes()
    for _ in range(2):
        with monkeypatch.context() as patched, pytest.raises(Crash):
            patched.setattr("dfd.profile.LensProfile.save", lambda *_: (_ for _ in ()).throw(Crash))
            patched.setattr("pathlib.Path.unlink", lambda *_, **__: None)  # a process that is gone cleans nothing up
            commit(lens, read(lens), arrays(2.0))
        assert lens.read_bytes() == before
        np.testing.assert_array_equal(load_arrays(lens, read(lens))["focus/coc"], np.full(5, 1.0))
        assert len(list(tmp_path.iterdir())) <= 3  # one orphan
    commit(lens, read(lens), arrays(2.0))
    np.testing.assert_array_equal(load_arrays(lens, read(lens))["focus/coc"], np.full(5, 2.0))


def test_a_profile_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    lens = tmp_path / "lens.json"
    commit(lens, PROFILE, arrays(1.0))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dfd.profile.LensProfile.save", full)
    with pytest.raises(OSError, match="No space"):
        commit(lens, read(lens), arrays(2.0))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_arrays_of_another_profile_are_never_removed(tmp_path):
    commit(tmp_path / "lens.json", PROFILE, arrays(1.0))
    copied = tmp_path / "copy.json"
    copied.write_bytes((tmp_path / "lens.json").read_bytes())
    commit(copied, read(copied), {"psf/kernels": np.ones(3)})
    assert set(load_arrays(copied, read(copied))) == {"focus/coc", "psf/kernels"}
    assert set(load_arrays(tmp_path / "lens.json", read(tmp_path / "lens.json"))) == {"focus/coc"}


# The rest of the command line

def test_help_lists_the_commands_in_the_order_of_use(capsys):
    out = command(capsys, "--help")[1]
    listed = [line.split()[0] for line in out[out.index("Commands:"):].splitlines()[1:] if line[2:3].strip()]
    assert listed == ["target", "focus", "psf", "breathing", "noise", "dual-pixel", "report", "simulate"]


def test_help_of_focus_names_every_column_and_the_least_frames(capsys):
    out = " ".join(command(capsys, "focus", "--help")[1].split())
    for said in ("folder,distance_m or file,distance_m", "focus_coordinate, f_number, distance_sigma_mm", "6 or more"):
        assert said in out


def test_a_report_into_no_folder_says_to_make_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(PROFILE, tmp_path / "lens.json")
    code, out, err = command(capsys, "report", "lens.json", "-o", "nodir/r.html")
    assert (code, out) == (2, "") and err.endswith("nodir/r.html: no folder nodir; make it first\n")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A bright capture of a camera with hardly any read noise."""
    return write_stack(tmp_path_factory.mktemp("quiet") / "s", np.random.default_rng(8), gain=0.05, read=0.2, count=3)


def test_read_noise_that_is_not_told_from_zero_is_a_limit(quiet, tmp_path, capsys):
    found = estimate_stack_noise(quiet)
    entry = as_entry(found)
    assert found.read_noise_below > 0.2  # e-, the truth
    assert entry["read_noise_e"] == entry["sigma"]["read_noise_e"] == found.read_noise_below / 2
    code, out, _ = command(capsys, "noise", "--from-stack", quiet, "-o", tmp_path / "lens.json")
    assert code == 0 and f"read noise  below {found.read_noise_below:.2g} e- (estimate)" in out
    assert "not told from zero" in out and "+- " in out
    (stored,) = json.loads((tmp_path / "lens.json").read_text())["radiometry"]["iso"]
    assert stored["read_noise_e"] == found.read_noise_below / 2
