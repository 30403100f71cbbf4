"""Breathing: the scale of rendered boards and scenes at known magnification, its polynomial, and what is refused."""

import json

import numpy as np
import pytest
from scipy.signal import fftconvolve

from calibration.breathing import Breathing, fit, into_profile, measure_board, measure_scene, profile_scale
from calibration.cli import app
from calibration.cli.common import spread
from calibration.shoot.sweep import read_sweep
from calibration.target.board import BOARDS
from dfd.console.run import call as run_command
from dfd.io.images import write_tiff
from dfd.psf import Psf

SHAPE, DENSITY = (620, 900), 3400.0  # px, px per metre of board: squares of 82 px
PROFILE = {"schema": "dfd-lensprofile", "schema_version": "1.0.0",
           "focus": {"coordinate": "encoder_step", "b_per_mm_per_unit": 1e-6},
           "projection": {"fx_px_poly": [12000.0, 0.5]}}


def blurred(image, coc):
    kernel = Psf("disk", 0.6).kernel(coc)
    reach = kernel.shape[0] // 2
    return fftconvolve(np.pad(image, reach, "edge"), kernel, "same")[reach:-reach, reach:-reach]


def board_image(scale, coc, rng, *, board=BOARDS["a4"]):
    """(H, W) of the board a little off the middle, magnified about the middle of the image, blurred by a disk."""
    density, turn = DENSITY * scale, board.slant
    y, x = np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in SHAPE), indexing="ij")
    x, y = x / density - 0.004, y / density + 0.002
    image = board.reflectance(np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x, 0.5 / density,
                              white=0.7, black=0.05)
    return blurred(image, coc) + rng.normal(0, 0.004, SHAPE)


def scene_image(scale, coc, rng, *, side=2048):
    """(H, W) of one flat 1/f texture, whose seed is always the same."""
    from scipy.ndimage import map_coordinates

    own = np.random.default_rng(5)
    wy, wx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    radius = np.hypot(wy, wx)
    radius[0, 0] = 1
    texture = np.fft.irfft2(np.fft.rfft2(own.standard_normal((side, side))) / radius * np.exp(-12 * radius**2), (side, side))
    texture = 0.4 + 0.12 * texture / texture.std()
    y, x = np.meshgrid(*((np.arange(size) - (size - 1) / 2) / scale + side / 2 for size in SHAPE), indexing="ij")
    return blurred(map_coordinates(texture, [y, x], order=3, mode="wrap"), coc) + rng.normal(0, 0.004, SHAPE)


def write_bracket(folder, image, scales, cocs, coordinates, rng):
    """The CSV file of a bracket of 16-bit TIFF."""
    folder.mkdir()
    lines = ["file,focus_coordinate"]
    for index, (scale, coc, coordinate) in enumerate(zip(scales, cocs, coordinates, strict=True)):
        values = np.clip(image(scale, coc, rng), 0, 1)
        write_tiff(folder / f"f{index}.tiff", np.rint(65535 * values).astype(np.uint16))
        lines.append(f"f{index}.tiff,{coordinate:g}")
    (folder / "bracket.csv").write_text("\n".join(lines))
    return folder / "bracket.csv"


STEPS = np.array([100.0, 160, 240, 300, 360, 420, 500])
REFERENCE = 300.0
TOLD = []  # what progress was called with
COC = np.abs(STEPS - REFERENCE) / 5  # 0 .. 40 px


def truth(steps, rate=7e-5, bend=6e-8):
    away = np.asarray(steps) - REFERENCE
    return 1 + rate * away + bend * away**2


@pytest.fixture(scope="module")
def bracket(tmp_path_factory):
    rng = np.random.default_rng(2)
    return write_bracket(tmp_path_factory.mktemp("board") / "b", board_image, truth(STEPS), COC, STEPS, rng)


@pytest.fixture(scope="module")
def measured(bracket):
    return measure_board(read_sweep(bracket), BOARDS["a4"], progress=lambda *told: TOLD.append(told))


@pytest.fixture
def call(capsys):
    """(exit code, stdout, stderr without the progress lines) of one command line."""

    def called(*arguments):
        code = run_command(app, spread([str(item) for item in arguments]), name="dfd-calibrate")
        out, err = capsys.readouterr()
        return code, out, "".join(line for line in err.splitlines(True) if not line.startswith(("find", "read")))

    return called


def test_the_scale_of_boards_is_within_5e_5_up_to_40_px_of_blur(measured):
    assert (len(measured.scale), measured.reference, measured.left_out) == (7, REFERENCE, ())
    np.testing.assert_allclose(measured.scale, truth(STEPS), rtol=0, atol=5e-5)
    assert measured.sigma.max() < 4e-5 and np.all(np.abs(measured.radial) < 5e-4)
    np.testing.assert_allclose(measured.coc[1:], COC[1:], rtol=0, atol=2.0)  # px


def test_progress_counts_every_frame_once_when_it_has_been_followed(measured):
    assert [("find the board", done, 7) for done in range(1, 8)] == TOLD and len(measured.scale) == 7


def test_the_polynomial_is_one_at_the_reference_monotone_and_within_5e_5_between_the_frames(measured):
    steps = np.linspace(STEPS[0], STEPS[-1], 41)
    found = np.polynomial.polynomial.polyval(steps, measured.poly)
    assert np.polynomial.polynomial.polyval(REFERENCE, measured.poly) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found, truth(steps), rtol=0, atol=5e-5)
    assert measured.monotone and measured.chi2_dof < 3
    np.testing.assert_allclose(measured.residuals, measured.scale - np.polynomial.polynomial.polyval(STEPS, measured.poly)
                               * (measured.scale - measured.residuals)[3], rtol=0, atol=1e-9)


def simulated(rng, rate, bend, sigma=1e-5):
    scale = truth(STEPS, rate, bend) + rng.normal(0, sigma, STEPS.size)
    return fit(Breathing(STEPS, scale, np.full(STEPS.size, sigma), np.zeros(7), np.zeros(7), REFERENCE, "board"))


@pytest.mark.parametrize(("bend", "degree"), [(0.0, 1), (6e-8, 2)])
def test_chi2_decides_the_degree(bend, degree):
    degrees = [len(simulated(np.random.default_rng(seed), 7e-5, bend).poly) - 1 for seed in range(40)]
    assert np.mean(np.array(degrees) == degree) >= 0.9


def test_sigmas_of_the_coefficients_cover_55_to_85_percent():
    inside = []
    for seed in range(200):
        found = simulated(np.random.default_rng(seed), 7e-5, 6e-8)
        inside.append(abs(found.poly[2] - 6e-8) < found.poly_sigma[2])
    assert 0.55 <= np.mean(inside) <= 0.85  # chi2 of four degrees of freedom widens sigma and never narrows it


def test_a_scale_that_turns_back_is_told():
    found = simulated(np.random.default_rng(0), 0.0, 1e-6)
    assert not found.monotone and any("rise or fall throughout" in text for text in found.warnings)


def test_frames_that_scatter_more_than_their_sigmas_are_told(rng):
    scale = truth(STEPS) + rng.normal(0, 1e-3, 7)
    found = fit(Breathing(STEPS, scale, np.full(7, 1e-5), np.zeros(7), np.zeros(7), REFERENCE, "board"))
    assert found.chi2_dof > 100 and any("scatter more than their sigmas" in text for text in found.warnings)


def test_the_scale_of_a_scene_is_within_a_thousandth_without_a_target(tmp_path, rng):
    steps, cocs = STEPS[1:6], np.array([6.0, 3.0, 0.5, 3.0, 6.0])
    found = measure_scene(read_sweep(write_bracket(tmp_path / "s", scene_image, truth(steps), cocs, steps, rng)))
    assert (found.method, found.reference, len(found.scale)) == ("scene", 300, 5)
    np.testing.assert_allclose(found.scale, truth(steps), rtol=0, atol=1e-3)
    assert found.monotone and (np.abs(found.scale - truth(steps)) < 2 * found.sigma).all()


def test_frames_without_the_board_are_left_out_and_named(bracket, tmp_path, rng):
    folder = tmp_path / "b"
    folder.mkdir()
    for path in bracket.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_tiff(folder / "f5.tiff", np.rint(65535 * np.clip(0.4 + rng.normal(0, 0.01, SHAPE), 0, 1)).astype(np.uint16))
    found = measure_board(read_sweep(folder / "bracket.csv"), BOARDS["a4"])
    assert len(found.scale) == 6 and len(found.left_out) == 1
    assert found.left_out[0].startswith("b/f5.tiff: board lost") and found.left_out[0] in found.warnings


def test_a_bracket_without_a_board_is_refused_with_the_reason(tmp_path, rng):
    path = write_bracket(tmp_path / "s", scene_image, np.ones(4), np.full(4, 2.0), np.arange(4.0), rng)
    with pytest.raises(ValueError, match=r"no target found in the sharpest of 4 frames \(f\d\.tiff: "):
        measure_board(read_sweep(path), BOARDS["a4"])


def test_the_profile_keeps_its_fx_unless_told(measured):
    data = into_profile(measured, PROFILE, coordinate="encoder_step")
    stored = data["projection"]["breathing"]
    assert data["projection"]["fx_px_poly"] == [12000.0, 0.5] and "breathing" not in PROFILE["projection"]
    assert (stored["reference"], stored["coordinate"], stored["method"]) == (300, "encoder_step", "board")
    assert stored["scale_poly"] == list(measured.poly) and stored["sigma"] == list(measured.poly_sigma)


def test_update_fx_keeps_fx_at_the_reference_and_takes_the_shape(measured):
    data = into_profile(measured, PROFILE, coordinate="encoder_step", update_fx=True)
    fx = np.polynomial.polynomial.polyval(STEPS, data["projection"]["fx_px_poly"])
    assert fx[3] == pytest.approx(12150.0, abs=1e-6)  # px
    np.testing.assert_allclose(fx / fx[3], truth(STEPS), rtol=0, atol=5e-5)
    np.testing.assert_allclose(profile_scale(data, measured), np.polynomial.polynomial.polyval(STEPS, measured.poly),
                               rtol=0, atol=1e-12)


def test_update_fx_takes_the_covariance_of_fx_along(measured):
    at = measured.reference ** np.arange(2)
    root = np.random.default_rng(0).normal(size=(3, 3)) * [[1.0], [1e-3], [0.1]]
    before = {**PROFILE, "covariance": {"names": ["fx0", "fx1", "D_1.8"], "matrix": (root @ root.T).tolist()}}
    data = into_profile(measured, before, coordinate="encoder_step", update_fx=True)
    names, matrix = data["covariance"]["names"], np.array(data["covariance"]["matrix"])
    assert names[0] == "D_1.8" and names[1:] == [f"fx{power}" for power in range(len(measured.poly))]
    new = np.array([0.0, *measured.reference ** np.arange(len(measured.poly))])
    assert new @ matrix @ new == pytest.approx(np.append(at, 0) @ (root @ root.T) @ np.append(at, 0), rel=1e-6)
    assert new @ matrix[:, 0] == pytest.approx(np.append(at, 0) @ (root @ root.T)[:, 2], rel=1e-6)


def test_update_fx_needs_fx(measured):
    bare = {key: value for key, value in PROFILE.items() if key != "projection"}
    with pytest.raises(ValueError, match=r"no projection\.fx_px_poly to update; dfd-calibrate focus measures it"):
        into_profile(measured, bare, coordinate="encoder_step", update_fx=True)


def test_another_coordinate_is_refused(measured):
    with pytest.raises(ValueError, match="the profile counts focus in encoder_step, this bracket in rail_mm"):
        into_profile(measured, PROFILE, coordinate="rail_mm")


def test_the_command_writes_it_and_compares_it_with_fx(call, bracket, tmp_path):
    lens = tmp_path / "lens.json"
    lens.write_text(json.dumps(PROFILE))
    code, out, err = call("breathing", bracket, "--into", lens)
    assert (code, err) == (0, "")
    assert "relative to encoder_step 300" in out and "by fx of the profile" in out and "--update-fx" in out
    assert len(json.loads(lens.read_text())["projection"]["breathing"]["scale_poly"]) == 3
    code, out, _ = call("breathing", bracket, "-o", tmp_path / "new.json", "--coordinate", "bracket_index", "--json")
    found = json.loads(out)
    assert code == 0 and found["coordinate"] == "bracket_index" and len(found["frames"]) == 7


@pytest.mark.parametrize(("table", "said"), [
    ("file,step\na.tiff,1\n", "no column focus_coordinate (it has file, step)"),
    ("", "no column file (it has none)"),
    ("file,focus_coordinate\nabsent.tiff,1\n", "line 2: 'absent.tiff' is no file"),
    ("file,focus_coordinate\na.tiff,near\n", "line 2: focus_coordinate ('near') must be a finite number"),
    ("file,focus_coordinate\na.tiff\n", "line 2: focus_coordinate (None) must be a finite number"),
    ("file,focus_coordinate\na.tiff,3\nb.tiff,3\n", "all 2 frames have focus coordinate 3"),
])
def test_a_table_that_cannot_be_read_is_one_line(call, tmp_path, rng, table, said):
    for name in "ab":
        write_tiff(tmp_path / f"{name}.tiff", rng.integers(0, 65535, (40, 60)).astype(np.uint16))
    (tmp_path / "t.csv").write_text(table)
    code, _, err = call("breathing", tmp_path / "t.csv", "-o", tmp_path / "lens.json")
    assert code == 2 and err.count("\n") == 1 and said in err


def test_a_folder_whose_frames_have_no_coordinate_is_refused(tmp_path, rng):
    for name in "ab":
        write_tiff(tmp_path / f"{name}.tiff", rng.integers(0, 65535, (40, 60)).astype(np.uint16))
    with pytest.raises(ValueError, match=r"a\.tiff: no focus coordinate; add focus_coordinate = "):
        read_sweep(tmp_path)
