"""[[known_depths]] in capture.toml: a dual-pixel pair without kappa becomes metric, one with kappa is held against them."""

import json

import numpy as np
import pytest

from dfd.io.maps import read_map
from dfd.io.simulated import write_simulation
from dfd.pipeline import run
from dfd.simulate import simulate_capture

SIZE = (120, 180)
PLACES = ((50, 20), (130, 100), (90, 60))


@pytest.fixture(scope="module")
def shot(tmp_path_factory):
    """(text of capture.toml, its folder, true depth [m]) of a dual-pixel pair of a slanted board."""
    folder = tmp_path_factory.mktemp("known") / "pair"
    simulation = simulate_capture("dual-pixel", scene="slant", size=SIZE, noise=2e4, seed=2)
    write_simulation(simulation, folder, format="npy")
    return (folder / "capture.toml").read_text(), folder, 1 / simulation.truth


def stated(shot, known, *, kappa=False):
    """capture.toml with these (x, y, depth [m]) and, where wanted, kappa."""
    text, folder, _ = shot
    lines = [line for line in text.splitlines() if kappa or not line.startswith("kappa")]
    lines += [f"[[known_depths]]\nx_px = {x}\ny_px = {y}\ndepth_m = {depth}" for x, y, depth in known]
    (folder / "capture.toml").write_text("\n".join(lines) + "\n")
    return folder / "capture.toml"


def true_places(shot, factor=1.0):
    return [(x, y, factor * float(shot[2][y, x])) for x, y in PLACES]


def test_known_depths_make_a_pair_without_kappa_metric(shot, tmp_path):
    outcome = run(stated(shot, true_places(shot)[:2]), tmp_path / "out", solver="disparity", far=5.0)
    found = read_map(tmp_path / "out")
    assert found.scale == "metric"
    error = np.abs(found.depth / shot[2] - 1)[found.valid]
    assert np.median(error) < 0.01 and found.valid.mean() > 0.5  # of the depth
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["scale"]["name"] == "metric" and record["scale"]["missing"] == []
    assert [item["depth_m"] for item in record["views"]["known_depths"]] == [depth for _, _, depth in true_places(shot)[:2]]
    assert not any("known depth" in text for text in outcome.warnings)


def test_a_known_depth_off_the_line_is_told(shot, tmp_path):
    places = true_places(shot)
    places.append((60, 30, 0.9 * float(shot[2][30, 60])))
    outcome = run(stated(shot, places), tmp_path / "out", solver="disparity")
    assert any("known depth at (60, 30) px" in text for text in outcome.warnings)


def test_with_kappa_known_depths_are_held_against_the_map(shot, tmp_path):
    outcome = run(stated(shot, true_places(shot, 0.7)[:1], kappa=True), tmp_path / "out", solver="disparity")
    assert any("the map says" in text for text in outcome.warnings)
    right = run(stated(shot, true_places(shot), kappa=True), tmp_path / "right", solver="disparity")
    assert not any("the map says" in text for text in right.warnings)


def test_one_known_depth_is_refused_before_anything_is_decoded(shot, tmp_path):
    with pytest.raises(ValueError, match="1 known depth cannot fix rate and focus"):
        run(stated(shot, true_places(shot)[:1]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
