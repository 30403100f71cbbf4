"""`dfd-calibrate psf`: frames of the target at known blur -> signed kernels over the field, in a profile and its sidecar."""

import json
from pathlib import Path

import numpy as np
import pytest
from edgescenes import Scene, exposed, view
from test_calibration_vignetting import picture, write

from calibration.cli import app
from calibration.cli.common import spread
from calibration.psf.job import choose
from calibration.psf.model import kernel
from calibration.psf.sights import Sight
from calibration.sidecar import load_arrays
from calibration.target.board import BOARDS, SLANT
from dfd.console.run import call
from dfd.io.images import write_tiff
from dfd.profile import LensProfile

BOARD, SHAPE = BOARDS["a4"], (520, 780)
FX, PUPIL, HEIGHT = 2600.0, 0.025, 0.05  # px, m, m
STEPS = (-9, -6, 0, 6, 9)
LAW = {"schema": "dfd-lensprofile", "schema_version": "1.0.0",
       "focus": {"coordinate": "encoder_step", "a_per_mm": 0.0, "b_per_mm_per_unit": 1e-5, "d_per_unit": 0.0},
       "projection": {"fx_px_poly": [FX]}, "aperture": [{"f_number_marked": 2.0, "diameter_eff_mm": 1e3 * PUPIL}],
       "reference": {"z_ep_from_sensor_mm": {"poly": [1e3 * HEIGHT]}}}


def run(*arguments):
    return call(app, spread([str(item) for item in arguments]), name="dfd-calibrate")


def coc_of(depth, coordinate):
    return FX * PUPIL * (1 / depth - 0.01 * coordinate)


@pytest.fixture(scope="module")
def shoot(tmp_path_factory):
    """Two distances, five focus steps: a lens that focuses nearer by .01 dioptre per step."""
    folder, rng = tmp_path_factory.mktemp("shoot"), np.random.default_rng(5)
    lines = ["file,distance_m,focus_coordinate,f_number"]
    for depth in (0.8, 0.9):
        scene = Scene(BOARD, view(BOARD, FX / depth * BOARD.square, SHAPE, angle=SLANT), SHAPE)
        for step in STEPS:
            coordinate = round(100 / depth) + step
            name = f"d{depth * 100:.0f}_{coordinate}.tiff"
            frame = exposed(scene.render(coc_of(depth, coordinate), 0.6), rng)
            write_tiff(folder / name, np.clip(frame * 65535, 0, 65535).astype(np.uint16))
            lines.append(f"{name},{depth + HEIGHT:.3f},{coordinate},2.0")
    (folder / "shoot.csv").write_text("\n".join(lines) + "\n")
    return folder


def check_nodes(data, folder, profile, tolerance):
    nodes = data["psf"]["nodes"]
    arrays = load_arrays(folder / profile, data)
    kernels, places = arrays["psf/kernels"], arrays["psf/nodes"]
    assert kernels.shape[0] == len(nodes) == len(places) and kernels.dtype == np.float32
    assert np.abs(kernels.sum(axis=(1, 2)) - 1).max() < 1e-5
    for index, node in enumerate(nodes):
        assert places[index] == pytest.approx((node["x"], node["y"], node["f_number"], node["c_signed_px"]), abs=0.01)
        truths = [coc_of(depth, round(100 / depth) + step) for depth in (0.8, 0.9) for step in STEPS]
        assert np.abs(np.array(truths) - node["c_signed_px"]).min() < tolerance  # px
        model = kernel(node["params"], kernels.shape[1])
        left = np.linalg.norm(model - kernels[index]) / np.linalg.norm(kernels[index])
        assert left == pytest.approx(node["residual_l2"], abs=1e-3)
        assert node["params"][10] == pytest.approx(0.6, abs=0.25)  # px
        assert arrays[node["cov"].removeprefix("npz:")].shape == (11, 11)
    return nodes


@pytest.mark.slow
def test_kernels_and_their_signs_come_from_brackets_alone(shoot, tmp_path, capsys):
    flat = write(tmp_path / "flat.dng", picture(), np.random.default_rng(1), f_number=2.0)
    assert run("psf", shoot / "shoot.csv", "-o", tmp_path / "lens.json", "--vignetting", flat) == 0
    told = capsys.readouterr().out
    data = json.loads((tmp_path / "lens.json").read_text())
    nodes = check_nodes(data, tmp_path, "lens.json", 0.35)
    assert {np.sign(node["c_signed_px"]) for node in nodes} == {-1, 1}
    assert len({(node["x"] > 100) - (node["x"] < -100) for node in nodes}) == 3  # left, middle and right
    assert f"{len(nodes)} kernels" in told and "vignetting f/2:" in told
    assert LensProfile.load(tmp_path / "lens.json").vignetting(2.0)[0] == 1
    assert data["psf"]["core_px"] == pytest.approx(0.6, abs=0.1)


@pytest.mark.slow
def test_a_focus_law_tells_blur_from_one_distance(shoot, tmp_path, capsys):
    (tmp_path / "lens.json").write_text(json.dumps(LAW))
    near = tmp_path / "near.csv"
    lines = (shoot / "shoot.csv").read_text().split()
    near.write_text("\n".join([lines[0], *(f"{shoot.resolve()}/{line}" for line in lines[1:] if line.startswith("d80"))]))
    assert run("psf", near, "--into", tmp_path / "lens.json") == 0
    data = json.loads((tmp_path / "lens.json").read_text())
    nodes = check_nodes(data, tmp_path, "lens.json", 0.15)
    assert len(nodes) == 20  # four blurred frames, five squares
    assert data["focus"] == LAW["focus"]
    capsys.readouterr()
    assert run("psf", near, "-o", tmp_path / "other.json") == 2
    assert "blur has no sign" in capsys.readouterr().err
    assert not (tmp_path / "other.json").exists()
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(near.read_text().replace(",0.850,", ",0.950,"))
    before = (tmp_path / "lens.json").read_bytes()
    assert run("psf", wrong, "--into", tmp_path / "lens.json") == 2
    assert "the focus law gives" in capsys.readouterr().err
    assert (tmp_path / "lens.json").read_bytes() == before


def test_nothing_to_measure_is_told(tmp_path, capsys):
    assert run("psf", "-o", tmp_path / "lens.json") == 2
    assert "nothing to measure" in capsys.readouterr().err


def sight(coc, *, square=0, place=(0.0, 0.0), span=200.0, f_number=2.0):
    return Sight(Path("a.dng"), square, np.eye(3), place, span, f_number, coc, True)


def test_frames_that_share_a_kernel_are_chosen():
    alike = [sight(8.0, span=150), sight(8.1, span=200), sight(7.9, span=180), sight(8.15, span=190), sight(8.05, span=100)]
    others = [sight(7.4), sight(-8.0), sight(8.0, square=1), sight(8.0, f_number=4.0),
              sight(8.0, place=(300.0, 0.0), span=90.0)]
    groups = choose([*alike, *others], (8.0,), half_diagonal=600.0)
    by_kind = {(group[0].f_number, group[0].square, np.sign(group[0].coc)): group for group in groups}
    assert set(by_kind) == {(2.0, 0, 1.0), (2.0, 0, -1.0), (2.0, 1, 1.0), (4.0, 0, 1.0)}
    chosen = by_kind[2.0, 0, 1.0]
    assert chosen[0] is alike[0]  # the one at the level
    assert [one.span for one in chosen[1:]] == [200, 190, 180]


def test_squares_that_are_small_beside_their_blur_are_left_out():
    assert choose([sight(16.0, span=40.0)], (16.0,), half_diagonal=600.0) == []
    assert choose([sight(5.0)], (4.0, 8.0), half_diagonal=600.0) == []
