"""`dfd-calibrate dual-pixel`: folders of flats in, a lens profile out, what it tells and refuses."""

import json

import numpy as np
import pytest
from flats import CAMERA, DISTANCES, FOCUS, GRID, KAPPA, LENS, SHAPE, flat_views, texture, write_pair

from calibration.cli import app, spread
from calibration.dual_pixel import calibrate_dual_pixel, into_profile
from calibration.dual_pixel_flats import Optics, find_targets
from dfd.assemble import prepare_capture
from dfd.console.run import call as run_command
from dfd.io.sources import open_source
from dfd.profile import LensProfile


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
                                  "size_px": [256, 192], "axis": "x"}
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
    assert code == 2 and "stopped-down" in err and str(shoot / "0.6") in err


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
    with pytest.raises(ValueError, match="focal_length_mm"):
        calibrate_dual_pixel(targets, grid=GRID)
    field = calibrate_dual_pixel(targets, grid=GRID, optics=Optics(0.05, 4.0, 46.875e-6, 1.0))
    np.testing.assert_allclose(field.kappa.values, KAPPA, atol=0.02)


def test_distances_from_the_sensor_mark_are_moved_to_the_pupil(shoot):
    targets = [f"{distance + 0.1:g}={shoot / f'{distance:g}'}" for distance in DISTANCES]
    profile = LensProfile({"schema": "dfd-lensprofile", "schema_version": "1.0.0",
                           "reference": {"z_ep_from_sensor_mm": {"poly": [100.0]}}})
    field = calibrate_dual_pixel(targets, grid=GRID, origin="sensor", profile=profile)
    assert [item.inverse_depth for item in field.flats] == pytest.approx([1 / 0.6, 1 / 1.5], abs=1e-9)
    assert into_profile(field)["dual_pixel"]["validity"]["z_from_ep_mm"] == pytest.approx([600, 1500])


def test_flats_of_two_settings_are_refused(shoot, tmp_path):
    rng = np.random.default_rng(10)
    write_pair(tmp_path / "far", flat_views(rng, 1 / 1.5, KAPPA, FOCUS), focus="focus_distance_m = 1.2")
    with pytest.raises(ValueError, match=r"blur rate .* px/dioptre, but .* one focus and one aperture"):
        calibrate_dual_pixel([f"0.6={shoot / '0.6'}", f"1.5={tmp_path / 'far'}"], grid=GRID)
    write_pair(tmp_path / "wide", np.zeros((2, 192, 300)) + texture(rng, (192, 300)))
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
    ([], "0 distance"),
])
def test_a_wrong_call_is_exit_code_2_and_one_line(call, shoot, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.csv").write_text("distance,place\n1,here\n")
    (tmp_path / "text.csv").write_text(f"folder,distance_m\n{shoot / '0.6'},near\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81\n")
    filled = [item.replace("{0.6}", str(shoot / "0.6")).replace("{0.9}", str(shoot / "0.9"))
              .replace("{1.5}", str(shoot / "1.5")) for item in arguments]
    code, _, err = call(*filled, "-o", "lens.json")
    assert code == 2 and err.count("\n") == 1 and said in err
    assert not (tmp_path / "lens.json").exists()


def test_a_csv_is_relative_to_itself(tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "t.csv").write_text("distance_m,folder\n0.75,near\n")
    assert find_targets([tmp_path / "t.csv"]) == [(tmp_path / "near", 0.75)]
