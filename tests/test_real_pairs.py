"""Depth of captures that are no stacks on data from elsewhere; figures and cameras come from `benchmarks/pairs.py`."""

import importlib.util
import json
import sys

import cv2
import numpy as np
import pytest
import tifffile
from conftest import ROOT, shared_data

from dfd.cli.commands import app
from dfd.console.run import call
from dfd.io.results import linear_to_srgb


@pytest.fixture(scope="module")
def pairs():
    """benchmarks/pairs.py as a module."""
    folder = ROOT / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("pairs", folder / "pairs.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def depth(*arguments):
    return call(app, ["depth", *(str(item) for item in arguments)], name="dfd")


def srgb(path):
    """(H, W) of an 8-bit file that is linear, encoded as allfocus.tiff is."""
    return linear_to_srgb(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) / np.float32(255)).astype(float)


def detail(image):
    return np.sqrt(np.mean(cv2.Laplacian(image, cv2.CV_64F) ** 2))


@pytest.mark.slow
def test_rendered_foci_and_apertures_agree_with_stereo_of_the_pinhole_views(pairs):
    shared_data(pairs.OFFICE)
    got = pairs.figures(pairs.solve(pairs.OFFICE, "likelihood"), pairs.office_truth())
    assert got["known"] >= 0.6
    assert got["median"] <= 0.06 and got["mean"] <= 0.15
    assert 1.5 <= got["low"] <= 2.2 and 6.2 <= got["high"] <= 9


@pytest.mark.slow
def test_a_real_telecentric_pair_runs_from_files_to_a_picture_in_focus_everywhere(pairs, tmp_path):
    shared_data(pairs.BREAKFAST)
    folder, out = tmp_path / "pair", tmp_path / "out"
    folder.mkdir()
    pairs.write_capture(pairs.BREAKFAST, folder)
    assert depth(folder, "-o", out, "--near", 0.4, "--far", 1.3, "--align", "none") == 0
    record = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert (record["kind"], record["scale"]["name"]) == ("views", "metric")
    assert "allfocus.tiff" in record["files"] and "index.tiff" not in record["files"]
    found = tifffile.imread(out / "depth.tiff")
    known = found[np.isfinite(found)]
    assert known.size >= 0.85 * found.size and known.min() >= 0.4 and known.max() <= 1.3
    wall, cup, toast = found[20:120, 260:420], found[200:300, 300:450], found[250:400, 70:190]
    assert 0.80 <= np.nanmedian(wall) <= 1.05  # the far plane of focus lies at 0.84 m
    assert 0.48 <= np.nanmedian(cup) <= 0.60 and 0.48 <= np.nanmedian(toast) <= 0.60  # the near one at 0.50 m
    together = tifffile.imread(out / "allfocus.tiff").astype(float) / 65535
    together = together if together.ndim == 2 else together[..., 1]
    for name, where in (("far", np.s_[250:400, 70:190]), ("near", np.s_[20:120, 260:420])):  # each frame is blurred there
        blurred = srgb(folder / f"breakfast_{name}.png")
        assert detail(together[where]) >= 1.25 * detail(blurred[where])
