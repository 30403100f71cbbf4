"""Depth of captures that are no stacks on data from elsewhere; figures and cameras come from `benchmarks/pairs.py`."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import tifffile
from conftest import ROOT, shared_data

from dfd.cli.commands import app
from dfd.console.run import call


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
    assert depth(folder, "-o", out, "--near", 0.45, "--far", 1.0, "--align", "none") == 0
    record = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert (record["kind"], record["scale"]["name"]) == ("views", "metric")
    assert "allfocus.tiff" in record["files"] and "index.tiff" not in record["files"]
    found = tifffile.imread(out / "depth.tiff")
    known = found[np.isfinite(found)]
    assert known.size >= 0.5 * found.size and known.min() >= 0.45 and known.max() <= 1.0
    assert np.percentile(known, 5) <= 0.65 and np.percentile(known, 95) >= 0.75  # a table from before one focus to the other
    together = tifffile.imread(out / "allfocus.tiff")
    assert together.ndim == 3 or together.shape == found.shape
