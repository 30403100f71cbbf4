"""The main job on real captures: exact depth of a microscope stack, two photographers' JPEG stacks, Canon CRW files.

Figures are those of the first milestone; `benchmarks/he2023.py` prints the full table by the same functions.
"""

import importlib.util
import json
import re
import sys

import cv2
import numpy as np
import pytest
import tifffile
from conftest import ROOT, shared_data

from dfd.cli.commands import app
from dfd.console.run import call


def dfd(*arguments):
    return call(app, [str(item) for item in arguments], name="dfd")


@pytest.fixture(scope="module")
def he2023():
    """benchmarks/he2023.py as a module."""
    folder = ROOT / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("he2023", folder / "he2023.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def first_pair(cell):
    return [float(number) for number in cell.split(" / ")]


@pytest.mark.slow
def test_44_frames_on_a_stage_reach_the_milestone(he2023, tmp_path):
    source = shared_data(he2023.FOLDER)
    (tmp_path / "stack").mkdir()
    he2023.write_capture(source, tmp_path / "stack", linear=True)
    assert dfd("depth", tmp_path / "stack", "-o", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert (record["scale"]["name"], record["scale"]["unit"], record["kind"]) == ("stage", "m", "focal-stack")
    assert not (tmp_path / "out" / "cloud.ply").exists()
    values, sigma = (tifffile.imread(tmp_path / "out" / f"{name}.tiff").astype(float) * 1e6 for name in ("depth", "sigma"))
    assert np.nanmin(values) >= 20 and np.nanmax(values) <= 880
    truth = he2023.load_truth(source)
    cells, known, offset = he2023.figures(values, sigma, truth)
    assert known >= 0.97
    rmse, median = first_pair(cells[1])
    assert median <= 1.2 and rmse <= 6
    assert first_pair(cells[4])[0] <= 2.8
    assert abs(offset - 113) <= 2
    error = values - truth - offset
    within = np.abs(error) <= sigma
    assert 0.55 <= within[np.isfinite(error)].mean() <= 0.85


def sharpness(image):
    return float(np.mean(cv2.Laplacian(image, cv2.CV_32F) ** 2))


def sharper_than_every_frame(picture, files):
    """The all-in-focus picture of a stack against its frames, brought to the size of the preview."""
    fused = tifffile.imread(picture).astype(np.float32) / 65535
    height, width = fused.shape[:2]
    frames = []
    for path in files:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1].astype(np.float32) / 255
        factor = image.shape[1] // width
        frames.append(cv2.resize(image[:height * factor, :width * factor], (width, height), interpolation=cv2.INTER_AREA))
    crop = np.s_[40:-40, 40:-40, 1]
    assert sharpness(np.ascontiguousarray(fused[crop])) > 1.2 * max(sharpness(np.ascontiguousarray(frame[crop]))
                                                                   for frame in frames)
    assert abs(fused[crop].mean() - np.median([frame[crop].mean() for frame in frames])) < 0.04


STACKS = {"stacks/focus_stack_pcb": (10, 0.6), "stacks/shinestacker_5d2/img-jpg": (6, 0.4)}


@pytest.mark.slow
@pytest.mark.parametrize("stack", STACKS)
def test_photographs_without_focus_distances_give_steps_and_say_so(stack, tmp_path, capsys):
    frames, share = STACKS[stack]
    source = shared_data(stack)
    assert dfd("depth", source, "-o", tmp_path / "out", "--preview") == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].startswith("NOT metric (scale steps)")
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    missing = record["scale"]["missing"]
    assert "focus_distance_m = ...  # in every [[frames]]" in missing
    assert all(any(line.strip() == wanted for line in lines) for wanted in missing)
    assert (record["scale"]["name"], record["scale"]["unit"]) == ("steps", "frame")
    assert len(record["frames"]) == frames and not (tmp_path / "out" / "cloud.ply").exists()
    depth, sigma = (tifffile.imread(tmp_path / "out" / f"{name}.tiff") for name in ("depth", "sigma"))
    known = np.isfinite(depth)
    assert max(depth.shape) <= 1024 and known.mean() >= share
    assert depth[known].min() >= 0 and depth[known].max() <= frames - 1
    assert np.isfinite(sigma[known]).all() and np.median(sigma[known]) < 0.3
    sharper_than_every_frame(tmp_path / "out" / "allfocus.tiff",
                             [path for path in sorted(source.iterdir()) if path.suffix.lower() == ".jpg"])


def test_info_on_canon_crw_says_the_size_and_what_is_missing(capsys):
    for path in sorted(shared_data("raw/canon_powershot_s40_crw").glob("*.CRW")):
        assert dfd("info", path) == 0
        text = capsys.readouterr().out
        assert path.name in text and "2312 x 1720 px" in text
        assert re.search(r"^\s+focus_distance_m = \.\.\.  # in every \[\[frames\]\]", text, re.MULTILINE)
        assert dfd("info", path, "--json") == 0
        (entry,) = json.loads(capsys.readouterr().out)
        assert (entry["width_px"], entry["height_px"]) == (2312, 1720)
