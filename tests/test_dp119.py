"""A real dual-pixel camera (DP119 sample): its flats against other programs' figures, and metric depth from them alone."""

import importlib.util
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile
from conftest import shared_data

import dfd
from calibration.dual_pixel.job import calibrate_dual_pixel, into_profile
from dfd.profile import LensProfile


@pytest.fixture(scope="module")
def dp119():
    """benchmarks/dp119.py as a module."""
    folder = Path(__file__).resolve().parents[1] / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("dp119", folder / "dp119.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


@pytest.fixture(scope="module")
def field(dp119, tmp_path_factory):
    source, work = shared_data(dp119.FOLDER) / "flat" / "001", tmp_path_factory.mktemp("flats")
    pairs = {(name, stop): dp119.write_pair(source / name / stop, work / name / stop, int(stop[1:]))
             for name in dp119.FLATS for stop in ("f4", "f20")}
    return calibrate_dual_pixel([f"{distance}={pairs[name, 'f4']}" for name, distance in dp119.FLATS.items()],
                                check=[pairs[name, "f20"] for name in dp119.FLATS])


def test_stopped_down_flats_read_zero_in_every_tile(field):
    assert [check.tiles.disparity.shape for check in field.checks] == [(4, 6)] * 2
    for check in field.checks:
        assert np.abs(check.tiles.disparity).max() <= 0.1  # px


def test_flats_have_the_disparities_and_the_line_of_other_programs(field):
    """Centre +0.9 px at 0.6 m, -0.5 px at 1.5 m, 0.15 px; 1.400 px/dioptre and 1.024 dioptre; corners 0.6 of the centre."""
    near, far = (flat.tiles.disparity for flat in field.flats)
    assert near[1:3, 2:4].mean() == pytest.approx(0.9, abs=0.15) and far[1:3, 2:4].mean() == pytest.approx(-0.5, abs=0.15)
    assert field.kappa.values[1:3, 2:4].mean() == pytest.approx(0.100, abs=0.01)
    assert np.median(field.focus.values) == pytest.approx(1.024, abs=0.04)
    corners = field.kappa.values[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.mean() / field.kappa.values[1:3, 2:4].mean() == pytest.approx(0.6, abs=0.1)
    assert field.usable.all() and (field.kappa.sigma < 0.06 * field.kappa.values.max()).all()


@pytest.mark.parametrize("exchanged", [True, False])
def test_views_that_calibration_finds_exchanged_are_solved_exchanged(dp119, tmp_path, monkeypatch, exchanged):
    source, work, calls = tmp_path / "source", tmp_path / "work", []
    for name in (*(f"flat/001/{flat}/{stop}" for flat in dp119.FLATS for stop in ("f4", "f20")), "scene"):
        (source / name).mkdir(parents=True)
        for view in ("l.png", "r.png"):
            (source / name / view).write_bytes(b"")
    cv2.imwrite(str(source / "scene" / "d.png"), np.full((4, 6), 2000, np.uint16))  # mm

    def calibration(command, **_):
        wrong = exchanged and "--swap" not in command
        return SimpleNamespace(returncode=2 if wrong else 0, stdout="", stderr="the views are exchanged" if wrong else "")

    def depth(*arguments):
        calls.append(arguments)
        for part in ("depth", "confidence"):
            tifffile.imwrite(work / "out" / f"scene/{part}.tiff", np.full((4, 6), 2.0, np.float32))
        return 1.0, 0.0, 0.0

    monkeypatch.setattr(dp119.subprocess, "run", calibration)
    monkeypatch.setattr(dp119, "dfd", depth)
    profile, _, options = dp119.calibrate(source, work)
    (work / "out" / "scene").mkdir(parents=True)
    every, _, _ = dp119.solve(source, "scene", profile, work, options)
    assert ("--swap" in calls[0]) is exchanged and every[3] == 1.0


def test_boxes_are_metric_from_the_flats_alone(dp119, field, tmp_path):
    """Mean absolute error at most 0.20 m at 85 % density or more, nothing set."""
    profile, source = LensProfile(into_profile(field)), shared_data(dp119.FOLDER)
    found = []
    for name in dp119.GROUPS["box"]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            capture = dfd.read_capture(dp119.write_pair(source / name, tmp_path / name), lens=profile)
            result = dfd.estimate_depth(capture)
        found.append(dp119.figures(result.depth, dp119.load_truth(source / name)))
    mae, _, _, density = np.mean(found, axis=0)
    assert density >= 0.85 and mae <= 0.20, (density, mae)
