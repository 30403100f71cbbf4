"""[[known_depths]] in capture.toml: a dual-pixel pair without kappa becomes metric, one with kappa is held against them."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from dfd.io.maps import read_map
from dfd.io.record import make_record, quantity
from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.pipeline import foresee, run
from dfd.report import write_report
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
    assert np.median(error) < 0.015 and found.valid.mean() > 0.5  # of the depth
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


def test_known_depths_count_from_the_sensor_mark_where_distances_do(shot):
    """With the optics; without them the way from the mark to the entrance pupil is not known."""
    places = true_places(shot)
    plain = open_source(stated(shot, places))
    lens = plain.profile.thin_lens(plain.frames[0].settings)
    text = stated(shot, [(x, y, depth + lens.image_distance) for x, y, depth in places]).read_text()
    path = shot[1] / "capture.toml"
    moved = text.replace('distance_from = "pupil"', 'distance_from = "sensor"')
    focus = re.search(r"focus_distance_m = ([0-9.]+)", moved)
    path.write_text(moved.replace(focus[0], f"focus_distance_m = {float(focus[1]) + lens.image_distance}"))
    source = open_source(path)
    assert [known.depth for known in source.known_depths] == pytest.approx([depth for _, _, depth in places], abs=1e-5)  # m
    path.write_text(re.sub(r"(?m)^pixel_pitch_um.*$", "", moved))
    with pytest.raises(ValueError, match=r"distance_from = \"sensor\".*not known without the optics; state depth_m"):
        open_source(path)


def test_near_and_far_of_an_affine_pair_ask_for_kappa_or_known_depths(shot, tmp_path):
    with pytest.raises(ValueError, match=r"near and far are metres, .* affine; .* and kappa or two \[\[known_depths\]\]"):
        run(stated(shot, []), tmp_path / "out", near=0.5)


def test_one_known_depth_is_refused_before_anything_is_decoded(shot, tmp_path):
    with pytest.raises(ValueError, match="1 known depth cannot fix rate and focus"):
        run(stated(shot, true_places(shot)[:1]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("axis", "factors"), [("x", (1.0, 0.5)), ("y", (2.0, 1.0))])
def test_pixels_that_are_not_square_have_two_focal_lengths_and_no_restored_picture(axis, factors, shot, tmp_path):
    path = stated(shot, [], kappa=True)
    outcome = run(path, tmp_path / "out", axis=axis, y_scale=2.0, solver="disparity")
    assert outcome.result.scale == "metric" and outcome.all_in_focus is None
    fx = outcome.source.profile.thin_lens(outcome.source.frames[0].settings).fx
    assert outcome.intrinsics[:2] == pytest.approx([factor * fx for factor in factors], rel=1e-9)
    assert foresee(path, tmp_path / "more", axis=axis, y_scale=2.0, solver="disparity")[1].seconds["all-in-focus"] == 0
    with pytest.raises(ValueError, match=r"smooth \(4 px\) .* known optics and square pixels"):
        run(path, tmp_path / "more", axis=axis, y_scale=2.0, smoothing=4)


def test_an_affine_map_says_which_quantity_it_is_and_of_which_pixels(shot, tmp_path):
    outcome = run(stated(shot, []), tmp_path / "out", solver="disparity", extras=[write_report])
    words = "signed disparity of the views, positive = nearer than focus"
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["scale"]["quantity"] == outcome.quantity == words and record["scale"]["unit"] == "px"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"NOT metric depth: pixels, {words}" in page and "blur or disparity" not in page
    assert quantity("affine", "file", "multiplane") == "signed diameter of blur, positive = nearer than focus"
    smaller = replace(outcome, parameters=outcome.parameters | {"reduction": 3})
    assert smaller.quantity == make_record(smaller)["scale"]["quantity"] == f"{words}, in px of the picture reduced 3 times"
