"""`dfd-calibrate dual-pixel`: folders of flats in, a lens profile out, what it tells and refuses."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flats import CAMERA, DISTANCES, FOCUS, GRID, KAPPA, LENS, SHAPE, flat, flat_views, texture, write_pair

from calibration.cli import app
from calibration.cli.common import spread
from calibration.dual_pixel.flats import Flat, Optics
from calibration.dual_pixel.job import calibrate_dual_pixel, fit_field, into_profile
from calibration.dual_pixel.report import field_lines
from calibration.dual_pixel.tiles import measure_tiles
from calibration.shoot.distances import Target, find_targets
from dfd.assemble import prepare_capture
from dfd.cli.overview import overview_lines
from dfd.cli.terminal import describe_table
from dfd.console.run import call as run_command
from dfd.io.describe import describe
from dfd.io.sources import open_source
from dfd.profile import LensProfile
from dfd.settings import CameraSettings


@pytest.fixture(scope="module")
def shoot(tmp_path_factory):
    """Folders of flats at 0.6, 0.9 and 1.5 m, and one stopped down."""
    rng, root = np.random.default_rng(3), tmp_path_factory.mktemp("flats")
    for distance in (0.6, 0.9, 1.5):
        write_pair(root / f"{distance:g}", flat_views(rng, 1 / distance, KAPPA, FOCUS))
    write_pair(root / "stopped", flat_views(rng, 1 / 0.6, KAPPA / 200, FOCUS, noise=0.002))
    return root


@pytest.fixture
def call(capsys):
    """(exit code, stdout, stderr without the progress lines) of one command line."""

    def called(*arguments):
        code = run_command(app, spread(["dual-pixel", *map(str, arguments)]), name="dfd-calibrate")
        out, err = capsys.readouterr()
        return code, out, "".join(line for line in err.splitlines(True) if not line.startswith(("measure:", "check:")))

    return called


def test_the_command_writes_a_profile_that_dfd_reads(call, shoot, tmp_path):
    lens = tmp_path / "lens.json"
    code, out, err = call(f"0.6={shoot / '0.6'}", f"1.5={shoot / '1.5'}", "--tiles", "4x3", "--distance-sigma", 0,
                          "--check", shoot / "stopped", "-o", lens)
    assert (code, err) == (0, "")
    assert "12 of 12 tiles (4 x 3) measured" in out and "stopped down" in out and "dfd depth --lens" in out
    profile = LensProfile.load(lens)
    field = profile.dual_pixel_field(LENS.focus, SHAPE)
    np.testing.assert_allclose(field.kappa, KAPPA, atol=0.015)
    np.testing.assert_allclose(LENS.focus + field.focus_offset, FOCUS, atol=0.05)  # dioptre
    assert (field.kappa_sigma > 0).all() and (field.focus_sigma > 0).all()
    stored = profile.data["dual_pixel"]
    assert stored["focus_setting_dpt"] == pytest.approx(LENS.focus, abs=1e-9)
    assert stored["validity"] == {"f_number": pytest.approx(4.0), "z_from_ep_mm": pytest.approx([600, 1500]),
                                  "size_px": [256, 192], "pixel_pitch_um": pytest.approx(46.875), "axis": "x"}
    inputs = profile.data["provenance"]["inputs"]
    assert [item["role"] for item in inputs] == ["dual_pixel_flat"] * 4 + ["dual_pixel_check"] * 2
    assert all(len(item["sha256"]) == 64 for item in inputs) and inputs[0]["z_tape_mm"] == 600


def test_another_aperture_or_a_cut_picture_is_told(call, shoot, tmp_path):
    lens = tmp_path / "lens.json"
    assert call(f"0.6={shoot / '0.6'}", f"1.5={shoot / '1.5'}", "--tiles", "4x3", "-o", lens)[0] == 0

    def told(folder):
        return [text for text in prepare_capture(open_source(folder, lens=lens)).warnings if "kappa of profile" in text]

    rng = np.random.default_rng(12)
    views = flat_views(rng, 1.2, KAPPA, FOCUS)
    assert told(shoot / "0.9") == []
    (stop,) = told(write_pair(tmp_path / "narrow", views, camera=CAMERA.replace("f_number = 4", "f_number = 8")))
    assert "measured at f/4, this is f/8" in stop
    (cut,) = told(write_pair(tmp_path / "cut", views[:, :128]))
    assert "1.33 times as wide as high, these are 2" in cut
    (part,) = told(write_pair(tmp_path / "part", views[:, :96, :128]))
    assert "on 12 mm of the sensor's width, these pictures show 6 mm" in part
    small = views.reshape(2, 96, 2, 128, 2).mean(axis=(2, 4))
    assert told(write_pair(tmp_path / "small", small, camera=CAMERA.replace("46.875", "93.75"))) == []
    (far,) = told(write_pair(tmp_path / "far", views, focus="focus_distance_m = 2.0"))
    assert "at focus 1 dioptre, this is 0.5 dioptre" in far
    assert told(write_pair(tmp_path / "near", views, focus="focus_distance_m = 0.95")) == []
    data = json.loads(lens.read_text())
    data["dual_pixel"]["validity"]["axis"] = "y"
    lens.write_text(json.dumps(data))
    (axis,) = told(shoot / "0.9")
    assert "on views that differ along y, these differ along x" in axis


def test_info_shows_kappa_and_what_it_was_measured_at(call, shoot, tmp_path, capsys):
    lens = tmp_path / "lens.json"
    assert call(f"0.6={shoot / '0.6'}", f"1.5={shoot / '1.5'}", "--tiles", "4x3", "-o", lens)[0] == 0
    overview, stored = describe(shoot / "0.9", lens=lens), LensProfile.load(lens).dual_pixel_kappa
    text = "\n".join(overview_lines(overview))
    assert f"kappa {stored.value:.4g} +- {stored.sigma:.2g} in the median" in text and "(profile unnamed profile)" in text
    assert "measured at f/4, focus 1 dioptre, axis x, targets at 0.6 to 1.5 m" in text
    describe_table(overview, as_json=True)
    kappa = json.loads(capsys.readouterr().out)[0]["kappa"]
    assert kappa["value"] == stored.value and kappa["sigma"] == stored.sigma and kappa["range"] == list(stored.range)
    assert kappa["measured_at"] == {"f_number": pytest.approx(4.0), "focus_dpt": pytest.approx(1.0),
                                    "distances_m": pytest.approx([0.6, 1.5]), "axis": "x"}
    views = [np.load(shoot / "0.9" / f"{name}.npy") for name in ("left", "right")]
    stated = describe(write_pair(tmp_path / "stated", views, camera=CAMERA + "kappa = 0.13\n"), lens=lens)
    assert "kappa 0.13 (capture.toml)" in "\n".join(overview_lines(stated))
    describe_table(describe(shoot / "0.9"), as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["kappa"] is None


def test_a_profile_of_a_newer_schema_is_kept_or_refused(call, shoot, tmp_path):
    targets = (f"0.6={shoot / '0.6'}", f"1.5={shoot / '1.5'}", "--tiles", "4x3")
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps({"schema": "dfd-lensprofile", "schema_version": "1.9.0", "future": {"a": 1}}))
    assert call(*targets, "--into", newer)[0] == 0
    data = json.loads(newer.read_text())
    assert (data["schema_version"], data["future"]) == ("1.9.0", {"a": 1}) and data["dual_pixel"]["kappa_grid"]
    text = json.dumps(data | {"schema_version": "2.0.0"})
    newer.write_text(text)
    code, _, err = call(*targets, "--into", newer)
    assert code == 2 and "schema_version ('2.0.0') is not readable" in err and newer.read_text() == text


def test_a_csv_names_folders_and_distances_and_json_tells_all(call, shoot, tmp_path):
    (shoot / "table.csv").write_text("folder, distance_m\n1.5, 1.5\n0.6, 0.6\n0.9, 0.9\n")
    code, out, _ = call(shoot / "table.csv", "--tiles", "4x3", "-o", tmp_path / "lens.json", "--json")
    found = json.loads(out)
    assert code == 0 and [item["distance_m"] for item in found["flats"]] == [0.6, 0.9, 1.5]
    assert 0.2 < found["chi2_dof"] < 2
    assert np.shape(found["kappa_grid"]) == np.shape(found["flats"][0]["disparity_px"]) == GRID
    np.testing.assert_allclose(found["flats"][0]["disparity_px"], KAPPA * LENS.blur_rate * (1 / 0.6 - FOCUS), atol=0.15)


def test_into_replaces_dual_pixel_alone(call, shoot, tmp_path):
    lens = tmp_path / "lens.json"
    lens.write_text(json.dumps({"schema": "dfd-lensprofile", "schema_version": "1.0.0", "mine": 1,
                                "dual_pixel": {"kappa_grid": [[0.9]]},
                                "provenance": {"inputs": [{"file": "a", "role": "noise_flat"},
                                                          {"file": "b", "role": "dual_pixel_flat"}]}}))
    targets = (f"0.6={shoot / '0.6'}", f"1.5={shoot / '1.5'}", "--tiles", "4x3")
    assert call(*targets, "-o", lens)[0] == 2
    assert call(*targets, "--into", lens)[0] == 0
    data = json.loads(lens.read_text())
    assert data["mine"] == 1 and np.shape(data["dual_pixel"]["kappa_grid"]) == GRID
    assert [item["file"] for item in data["provenance"]["inputs"]][:2] == ["a", "left.npy"]
    assert "b" not in [item["file"] for item in data["provenance"]["inputs"]]


def test_views_that_are_exchanged_are_told_and_swap_repairs_them(call, shoot, tmp_path):
    rng = np.random.default_rng(8)
    for distance in DISTANCES:
        write_pair(tmp_path / f"{distance:g}", flat_views(rng, 1 / distance, KAPPA, FOCUS)[::-1])
    command = (*(f"{distance:g}={tmp_path / f'{distance:g}'}" for distance in DISTANCES), "--tiles", "4x3",
               "-o", tmp_path / "lens.json")
    code, _, err = call(*command)
    assert code == 2 and "the views are exchanged" in err and "--swap" in err
    assert call(*command, "--swap")[0] == 0
    found = json.loads((tmp_path / "lens.json").read_text())["dual_pixel"]
    np.testing.assert_allclose(found["kappa_grid"], KAPPA, atol=0.02)


def test_a_stopped_down_pair_must_read_zero(call, shoot):
    code, out, _ = call("--check", shoot / "stopped", "--tiles", "4x3")
    assert code == 0 and "within" in out
    found = json.loads(call("--check", shoot / "stopped", "--json", "--tiles", "4x3")[1])
    assert abs(found["checks"][0]["worst_px"]) < 0.06 and found["checks"][0]["limit_px"] == pytest.approx(0.1 / 3)
    code, _, err = call("--check", shoot / "stopped", shoot / "0.6", "--tiles", "4x3")
    assert code == 2 and "stopped-down" in err and "was the lens wide open?" in err and str(shoot / "0.6") in err


def test_views_that_differ_along_y_are_measured_in_the_picture_as_it_lies(shoot, tmp_path):
    targets = []
    for distance in DISTANCES:
        views = [np.load(shoot / f"{distance:g}" / f"{name}.npy").T for name in ("left", "right")]
        targets.append(f"{distance:g}={write_pair(tmp_path / f'{distance:g}', views)}")
    turned = calibrate_dual_pixel(targets, grid=GRID[::-1], axis="y")
    straight = calibrate_dual_pixel([f"{distance:g}={shoot / f'{distance:g}'}" for distance in DISTANCES], grid=GRID)
    np.testing.assert_allclose(turned.kappa.values, straight.kappa.values.T, atol=1e-6)
    assert into_profile(turned)["dual_pixel"]["validity"]["axis"] == "y"


def test_optics_come_from_options_where_files_say_none(shoot, tmp_path):
    rng = np.random.default_rng(9)
    for distance in DISTANCES:
        write_pair(tmp_path / f"{distance:g}", flat_views(rng, 1 / distance, KAPPA, FOCUS), camera="", focus="")
    targets = [f"{distance:g}={tmp_path / f'{distance:g}'}" for distance in DISTANCES]
    with pytest.raises(ValueError, match=r"no focal_length_mm, f_number, pixel_pitch_um, focus_distance_m in EXIF or .*; "
                                         r"pass --focal-length MM --f-number N --pixel-pitch UM --focus-distance M, or add"):
        calibrate_dual_pixel(targets, grid=GRID)
    with pytest.raises(ValueError, match=r"no pixel_pitch_um in EXIF or capture\.toml; pass --pixel-pitch UM, or add it to"):
        calibrate_dual_pixel(targets, grid=GRID, optics=Optics(0.05, 4.0, None, 1.0))
    field = calibrate_dual_pixel(targets, grid=GRID, optics=Optics(0.05, 4.0, 46.875e-6, 1.0))
    np.testing.assert_allclose(field.kappa.values, KAPPA, atol=0.02)


def test_distances_from_the_sensor_mark_are_moved_to_the_pupil(shoot):
    targets = [f"{distance + 0.1:g}={shoot / f'{distance:g}'}" for distance in DISTANCES]
    profile = LensProfile({"schema": "dfd-lensprofile", "schema_version": "1.0.0",
                           "reference": {"z_ep_from_sensor_mm": {"poly": [100.0]}}})
    field = calibrate_dual_pixel(targets, grid=GRID, origin="sensor", profile=profile)
    assert [item.inverse_depth for item in field.flats] == pytest.approx([1 / 0.6, 1 / 1.5], abs=1e-9)
    assert into_profile(field)["dual_pixel"]["validity"]["z_from_ep_mm"] == pytest.approx([600, 1500])
    assert field.flats[0].lens.focus == pytest.approx(1 / 0.9, abs=1e-9)  # dioptre; focus is stated as 1 m


def test_the_focus_counts_from_where_the_distances_do(shoot):
    """Thin lens of 50 mm, 1 m between mark and target: the pupil lies 52.786 mm before the mark."""
    targets = [f"{distance:g}={shoot / f'{distance:g}'}" for distance in DISTANCES]
    field = calibrate_dual_pixel(targets, grid=GRID, origin="sensor", optics=Optics(focus_distance=1.0))
    height = 0.5 - math.sqrt(0.25 - 0.05)
    assert height == pytest.approx(0.052786, abs=1e-6)
    assert field.flats[0].lens.focus == pytest.approx(1 / (1 - height), abs=1e-9)  # dioptre
    assert [item.inverse_depth for item in field.flats] == pytest.approx([1 / (x - height) for x in DISTANCES], abs=1e-9)
    assert field_lines(field)[0].startswith("2 distances, 0.6, 1.5 m from the sensor mark; lens focused at 1.0557 dioptre")
    assert calibrate_dual_pixel(targets, grid=GRID).flats[0].lens.focus == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("grid", "names"), [
    ((1, 1), ["centre"]), ((1, 2), ["left", "right"]), ((2, 1), ["top", "bottom"]),
    ((2, 2), ["upper left", "upper right", "lower left", "lower right"]),
    ((3, 1), ["centre", "top", "bottom"])])
def test_a_tile_is_one_row_of_the_table(rng, grid, names):
    kappa, focus = np.full((1, 1), 0.2), np.full((1, 1), 1.0)
    flats = []
    for distance in DISTANCES:
        tiles = measure_tiles(*flat_views(rng, 1 / distance, kappa, focus, noise=0.002), grid)
        flats.append(Flat(Path("x"), distance, 1 / distance, 0.0, LENS, CameraSettings(), tiles, "x", SHAPE, (), ()))
    shown = [line.split(" 0.")[0].strip() for line in field_lines(fit_field(flats)) if "+-" in line]
    assert shown == names


def test_the_table_says_in_words_whether_the_field_is_smooth(rng):
    field = fit_field([flat(rng, distance, noise=0.002) for distance in DISTANCES])
    bent = replace(field, kappa=replace(field.kappa, chi2_dof=12.25), focus=replace(field.focus, chi2_dof=1.3))
    (line,) = [line for line in field_lines(bent) if "polynomial over the tiles" in line]
    assert "kappa 12.25 (not smooth: tiles lie 3.5 of their sigmas off it), focus 1.30 (smooth)" in line


def test_flats_of_two_settings_are_refused(shoot, tmp_path):
    rng = np.random.default_rng(10)
    write_pair(tmp_path / "far", flat_views(rng, 1 / 1.5, KAPPA, FOCUS), focus="focus_distance_m = 1.2")
    with pytest.raises(ValueError, match=r"blur rate .* px/dioptre, but .* one focus and one aperture"):
        calibrate_dual_pixel([f"0.6={shoot / '0.6'}", f"1.5={tmp_path / 'far'}"], grid=GRID)
    write_pair(tmp_path / "wide", rng.normal(0, 0.01, (2, 192, 300)) + texture(rng, (192, 300)))
    with pytest.raises(ValueError, match="size"):
        calibrate_dual_pixel([f"0.6={shoot / '0.6'}", f"1.5={tmp_path / 'wide'}"], grid=GRID)


def test_flats_that_tell_nothing_are_refused(shoot, tmp_path):
    rng = np.random.default_rng(11)
    write_pair(tmp_path / "plain", 0.5 + rng.normal(0, 1e-7, (2, *SHAPE)))
    with pytest.raises(ValueError, match="texture"):
        calibrate_dual_pixel([f"0.6={shoot / '0.6'}", f"1.5={tmp_path / 'plain'}"], grid=GRID)
    scene = texture(rng)
    for name in ("one", "two"):
        write_pair(tmp_path / name, scene + rng.normal(0, 0.004, (2, *SHAPE)))
    with pytest.raises(ValueError, match="the same within their errors"):
        calibrate_dual_pixel([f"0.6={tmp_path / 'one'}", f"1.5={tmp_path / 'two'}"], grid=GRID)


@pytest.mark.parametrize(("arguments", "said"), [
    (["0.6={0.6}"], "1 distance: kappa and the plane of zero disparity are two unknowns"),
    (["0.6={0.6}", "0.61={0.9}"], "all the same to 5 %"),
    (["{0.6}", "1.5={1.5}"], "DISTANCE=FOLDER"),
    (["near={0.6}", "1.5={1.5}"], "must be a number of metres"),
    (["-0.6={0.6}", "1.5={1.5}"], ""),
    (["0={0.6}", "1.5={1.5}"], "must be positive"),
    (["0.6=nowhere", "1.5={1.5}"], "no folder or file nowhere"),
    (["absent.csv"], "absent.csv: no such file"),
    (["wrong.csv"], "columns are distance, place"),
    (["text.csv"], "text.csv line 2: the distance ('near')"),
    (["binary.csv"], "not a CSV file"),
    (["0.6={0.6}", "1.5={1.5}", "--tiles", "six"], "--tiles (six)"),
    (["0.6={0.6}", "1.5={1.5}", "--origin", "moon"], "--origin"),
    ([], "no flats given"),
    (["0.6={0.6}", "0.6={0.9}"], "the distances are all the same, 0.6 m"),
    (["600={0.6}", "1500={1.5}"], "distances 600, 1500 m, focal length 50 mm, f/4, pixel pitch 46.88 um: is one in a wrong"),
    (["0.6={0.6}", "1.5={1.5}", "--focal-length", "0.05"], "focal length 0.05 mm"),
    (["0.6={0.6}", "1.5={1.5}", "--pixel-pitch", "0.046875"], "(0.005 to 0.6 is possible, ideal half discs have 0.424)"),
    (["head.csv"], "head.csv: no distances"),
    (["comma.csv"], "comma.csv line 2: 3 values for the columns folder,distance_m; write the distance with a point"),
    (["blank.csv"], "blank.csv line 2: no folder"),
    (["{0.6}", "head.csv"], "DISTANCE=FOLDER"),
])
def test_a_wrong_call_is_exit_code_2_and_one_line(call, shoot, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.csv").write_text("distance,place\n1,here\n")
    (tmp_path / "text.csv").write_text(f"folder,distance_m\n{shoot / '0.6'},near\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81\n")
    (tmp_path / "head.csv").write_text("folder,distance_m\n")
    (tmp_path / "comma.csv").write_text(f"folder,distance_m\n{shoot / '0.6'},0,6\n")
    (tmp_path / "blank.csv").write_text("folder,distance_m\n,0.6\n")
    filled = [item.replace("{0.6}", str(shoot / "0.6")).replace("{0.9}", str(shoot / "0.9"))
              .replace("{1.5}", str(shoot / "1.5")) for item in arguments]
    code, _, err = call(*filled, "-o", "lens.json")
    assert code == 2 and err.count("\n") == 1 and said in err
    assert not (tmp_path / "lens.json").exists()


def test_a_csv_is_relative_to_itself(tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfdistance_m ,folder \r\n0.75 , near \r\n\r\n")  # as spreadsheets write
    assert find_targets([tmp_path / "t.csv"]) == [Target(tmp_path / "near", 0.75)]
