"""Simulated shoots as files: what is written, what goes wrong on request, and that every reader takes it."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from calibration.cli import app
from calibration.noise.radiometry import calibrate_noise
from calibration.simulate.job import simulate_shoot
from calibration.simulate.plan import bracket, spread_distances
from calibration.simulate.scene import through
from calibration.simulate.truelens import PRESETS
from dfd import read_capture
from dfd.console.run import call as run_command
from dfd.io.images import read_image, read_values
from dfd.io.raw import read_mosaic
from dfd.simulate import make_scene, render

LENS = replace(PRESETS["small"], size=(150, 220))
TINY = {"lens": LENS, "distances": (0.6, 1.1), "steps": 3}


def rows(folder):
    with (folder / "shoot.csv").open() as file:
        return list(csv.DictReader(file))


def truth(folder):
    return json.loads((folder / "truth.json").read_text())


@pytest.fixture(scope="module")
def shoot(tmp_path_factory):
    return simulate_shoot(tmp_path_factory.mktemp("shoot") / "tiny", **TINY)


def test_every_frame_is_listed_with_its_distance_from_the_sensor_mark(shoot):
    listed, told = rows(shoot), truth(shoot)
    names = [f"{station}/frame_{i:02d}.dng" for station in ("d0600", "d1100") for i in range(3)]
    assert [row["file"] for row in listed] == names
    assert all((shoot / row["file"]).is_file() and float(row["f_number"]) == 1.8 for row in listed)
    for station in told["stations"]:
        read = {float(row["distance_m"]) for row in listed if row["file"].startswith(station["folder"])}
        assert read == {station["reading_m"]}
        assert 0 < abs(station["reading_m"] - station["distance_m"]) < 5e-3  # m
        assert station["depth_from_pupil_m"] == pytest.approx(station["distance_m"] + told["z0_mm"] * 1e-3, abs=1e-12)


def test_frames_go_from_near_to_far_through_best_focus_in_whole_steps(shoot):
    for station in truth(shoot)["stations"]:
        frames = station["frames"]
        assert [frame["coc_axis_px"] > 0 for frame in frames] == [False, frames[1]["coc_axis_px"] > 0, True]
        assert abs(frames[1]["coc_axis_px"]) < 0.2 < 11 < min(-frames[0]["coc_axis_px"], frames[2]["coc_axis_px"]) < 13
        for frame in frames:
            assert frame["focus_coordinate"] == round(frame["focus_coordinate"])
            assert 0 < abs(frame["true_focus_coordinate"] - frame["focus_coordinate"]) < 1.5
            assert frame["scale_px_per_m"] == pytest.approx(LENS.fx(frame["true_focus_coordinate"])
                                                            / station["depth_from_pupil_m"], rel=1e-12)


def test_the_picture_is_that_of_the_lens_where_it_really_was(shoot, tmp_path):
    from calibration.simulate.pose import Pose
    from calibration.simulate.rendering import Station
    from calibration.target.board import BOARDS

    station = truth(shoot)["stations"][1]
    pose, frame = Pose(np.array(station["axes"]), np.array(station["origin_m"])), station["frames"][2]
    expected = Station(BOARDS["a4"], LENS, pose, (frame["true_focus_coordinate"],), (1.8,)) \
        .frame(frame["true_focus_coordinate"], 1.8)
    found = read_mosaic(shoot / station["folder"] / frame["file"]).values
    sigma = np.sqrt(expected / (LENS.gain * (LENS.white - LENS.black)) + 1e-7)
    assert np.std((found - expected) / sigma) == pytest.approx(1, abs=0.03)
    assert np.mean((found - expected) / sigma) == pytest.approx(0, abs=0.03)


def test_the_same_seed_gives_the_same_shoot_and_no_noise_none(shoot, tmp_path):
    again = simulate_shoot(tmp_path / "again", **TINY)
    assert (again / "shoot.csv").read_text() == (shoot / "shoot.csv").read_text()
    name = "d0600/frame_01.dng"
    assert (again / name).read_bytes() == (shoot / name).read_bytes()
    other = simulate_shoot(tmp_path / "other", **{**TINY, "steps": 2}, seed=1)
    assert rows(other)[0]["distance_m"] != rows(shoot)[0]["distance_m"]


def test_tiff_holds_the_same_light_in_three_full_channels(tmp_path):
    options = {**TINY, "distances": (0.9,), "steps": 2, "noise": 0, "jitter": 0}
    raw = simulate_shoot(tmp_path / "dng", **options)
    tiff = simulate_shoot(tmp_path / "tiff", **options, format="tiff")
    mosaic = read_mosaic(raw / "d0900/frame_00.dng").values
    planes = read_image(tiff / "d0900/frame_00.tiff", linear=True).values
    picked = np.stack([planes[0::2, 0::2, 0], planes[0::2, 1::2, 1], planes[1::2, 0::2, 1], planes[1::2, 1::2, 2]])
    sites = np.stack([mosaic[0::2, 0::2], mosaic[0::2, 1::2], mosaic[1::2, 0::2], mosaic[1::2, 1::2]])
    np.testing.assert_allclose(picked, sites, rtol=0, atol=4e-4)  # of white


def test_blunders_are_made_and_told(shoot, tmp_path):
    made = simulate_shoot(tmp_path / "blunders", **TINY, tape_blunder=(1, 0.02), drop=(0, 1), swap=(1, 0, 2))
    listed, told = rows(made), truth(made)
    assert len(listed) == 5 and not (made / "d0600/frame_01.dng").exists()
    wrong = float(listed[-1]["distance_m"]) - float(rows(shoot)[-1]["distance_m"])
    assert wrong == pytest.approx(0.02, abs=1e-9)  # m
    first, _, last = told["stations"][1]["frames"]
    assert first["coc_axis_px"] > 0 > last["coc_axis_px"] and first["focus_coordinate"] < last["focus_coordinate"]


def test_print_scale_makes_the_board_larger_and_nothing_else(tmp_path):
    made = simulate_shoot(tmp_path / "print", **{**TINY, "steps": 2, "distances": (0.9,)}, print_scale=1.01)
    assert truth(made)["board"] == {"name": "a4", "print_scale": 1.01, "square_mm": pytest.approx(24.24)}


def test_flats_and_darks_are_what_noise_reads(tmp_path):
    lens = replace(LENS, size=(200, 300))
    made = simulate_shoot(tmp_path / "flats", lens=lens, distances=(0.9,), steps=2, flats=True)
    (result,) = calibrate_noise([made / "flats"], [made / "darks"], roi=180).results
    assert result.transfer.gain_e_per_dn == pytest.approx(lens.gain, rel=0.01)
    assert result.transfer.read_noise_e == pytest.approx(lens.read_noise, rel=0.04)
    assert np.abs(result.black - lens.black).max() < 0.1  # DN
    assert result.linearity_pct < 0.5 and not result.rejected


@pytest.mark.filterwarnings("ignore:frames are")  # three frames are far apart
def test_a_scene_comes_with_its_exact_depth_and_what_a_profile_and_a_camera_say(tmp_path):
    lens = replace(LENS, size=(64, 96))
    made = simulate_shoot(tmp_path / "shoot", lens=lens, distances=(0.6, 1.5), steps=2, f_numbers=(1.8, 4.0), scene="slant",
                          scene_frames=3)
    told = truth(made / "scene")
    depth = read_values(made / "scene" / "truth.tiff")
    assert depth.shape == lens.size and told["nearest_m"] * 0.99 < depth.min() < depth.max() < told["farthest_m"] * 1.01
    assert 0.6 - lens.pupil_height < told["nearest_m"] < told["farthest_m"] < 1.5 - lens.pupil_height
    profile = tmp_path / "lens.json"
    profile.write_text(json.dumps({
        "schema": "dfd-lensprofile", "schema_version": "1.0.0", "camera": {"pixel_pitch_um": lens.pixel_pitch * 1e6},
        "projection": {"fx_px_poly": list(lens.fx_poly)}, "aperture": [
            {"f_number_marked": stop.f_number, "diameter_eff_mm": stop.diameter * 1e3} for stop in lens.stops],
        "focus": {"coordinate": "encoder_step", "a_per_mm": lens.a_per_mm, "b_per_mm_per_unit": lens.b_per_mm_per_unit,
                  "d_per_unit": lens.d_per_unit}}))
    for name in ("scene", "pair"):
        capture = read_capture(made / name, lens=profile, align="none")
        coordinates = truth(made / name)["true_focus_coordinate"]
        for view, s in zip(capture.views, coordinates, strict=True):
            assert view.lens.focus == pytest.approx(lens.law(s), abs=3e-3)  # dioptre, the jitter
        nominal = read_capture(made / name, align="none").views[0].lens
        assert abs(nominal.focus / lens.law(coordinates[0]) - 1) > 0.02
    assert truth(made / "pair")["kind"] == "aperture-pair" and coordinates[0] == coordinates[1]


def test_a_scene_without_field_and_colour_is_the_thin_lens_with_its_core():
    lens = replace(LENS, size=(64, 96), field=(0, 0, 0, 0), axial=(0, 0), channel_gain=(1, 1, 1),
                   stops=(replace(LENS.stops[0], vignetting=(1.0,)),))
    world = make_scene("demo", seed=0, nearest=0.7, farthest=1.2, shape=lens.size, fx=lens.fx(600.0))
    plain = render(world, [lens.thin_lens(600.0, 1.8)], lens.size)[0]
    found = through(lens, world, 600.0, 1.8)
    np.testing.assert_allclose(found, gaussian_filter(plain, (lens.core, lens.core, 0), mode="nearest"), rtol=0, atol=1e-6)
    moved = through(replace(lens, axial=(-0.02, 0.02)), world, 600.0, 1.8)
    np.testing.assert_allclose(moved[..., 1], found[..., 1], rtol=0, atol=1e-6)
    red = replace(lens, a_per_mm=lens.a_per_mm - 0.02e-3 * (1 + lens.d_per_unit * 600.0))  # focus less by .02 dioptre
    expected = through(red, world, 600.0, 1.8)[..., 0]
    assert np.abs(moved[..., 0] - expected).mean() < 0.1 * np.abs(found[..., 0] - expected).mean()


def test_brackets_span_the_blur_that_is_asked_for_or_what_the_lens_reaches():
    for focus in (0.5, 1.0, 1.9):
        coordinates = bracket(LENS, focus, 13, 1.8, 12.0)
        blur = LENS.coc(coordinates[[0, -1]], focus, f_number=1.8)
        np.testing.assert_allclose(blur, (-12, 12), rtol=0, atol=1.2)  # px
    far = bracket(LENS, 0.2, 13, 1.8, 30.0)
    assert far[-1] == LENS.steps[1] and len(set(far)) == 13
    with pytest.raises(ValueError, match="steps coincide"):
        bracket(LENS, 1.0, 13, 1.8, 0.5)


def test_distances_are_even_in_inverse_distance():
    found = spread_distances(8)
    assert found[0] == 0.55 and found[-1] == 2.5
    np.testing.assert_allclose(np.diff(1 / np.array(found)), (1 / 2.5 - 1 / 0.55) / 7, rtol=0, atol=2e-3)  # dioptre


@pytest.mark.parametrize(("options", "said"), [
    ({"lens": "huge"}, "full-frame, small"), ({"format": "jpeg"}, "dng, tiff"), ({"board": "a5"}, "a4, a3"),
    ({"print_scale": 2.0}, "0.9 to 1.1"), ({"noise": -1.0}, "electrons at white"),
    ({"distances": (0.05,)}, "entrance pupil"), ({"distances": (0.9, 0.9)}, "900, 900 mm"),
    ({"steps": 1}, "at least 2"), ({"f_numbers": (3.3,)}, "use one of"),
    ({"span": -2.0}, "span"), ({"jitter": -1.0}, "jitter"), ({"drop": (5, 0)}, "station 5"), ({"drop": (0, 9)}, "frame 9"),
    ({"scene": "moon"}, "demo"), ({"distances": (0.3,)}, "outside what lens"),
    ({"scene": "slant", "distances": (0.9,)}, "too shallow")])
def test_what_cannot_be_simulated_is_refused_and_leaves_nothing(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        simulate_shoot(tmp_path / "no", **{**TINY, **options})
    assert list(tmp_path.iterdir()) == []


def command(capsys, *arguments):
    code = run_command(app, [str(item) for item in arguments], name="dfd-calibrate")
    return code, *capsys.readouterr()


def test_the_command_writes_a_shoot_and_replaces_only_its_own(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PRESETS, "small", LENS)
    words = ["simulate", "-o", tmp_path / "made", "--distances", "0.7,1.2", "--steps", "2", "--f-numbers", "1.8,4",
             "--ripple-pct", "1", "--curvature-dpt", "-0.05", "--print-error-pct", "0.1", "--tape-error-mm", "0"]
    code, out, err = command(capsys, *words)
    assert code == 0 and "dfd-calibrate focus" in out and "target: 8/8" in err
    told = truth(tmp_path / "made")
    assert told["lens"]["ripple_rel"] == 0.01 and told["lens"]["field_dpt"]["r2"] == -0.05
    assert told["board"]["print_scale"] == pytest.approx(1.001) and told["stations"][0]["reading_m"] == 0.7
    assert {frame["f_number"] for frame in told["stations"][0]["frames"]} == {1.8, 4.0}
    code, _, err = command(capsys, *words)
    assert code == 2 and "--force" in err
    assert command(capsys, *words, "--force")[0] == 0
    (tmp_path / "made" / "d0700" / "mine.txt").write_text("keep me")
    code, _, err = command(capsys, *words, "--force")
    assert code == 2 and "mine.txt" in err


def test_a_wrong_number_on_the_command_line_is_one_line(tmp_path, capsys):
    code, _, err = command(capsys, "simulate", "-o", tmp_path / "x", "--distances", "near")
    assert code == 2 and "--distances (near)" in err and err.count("\n") == 1
