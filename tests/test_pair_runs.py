"""`dfd depth` on captures that are no stacks: files in, a depth map and a picture in focus everywhere out."""

import json

import numpy as np
import pytest
import tifffile

from dfd import prepare
from dfd.assemble import prepare_capture
from dfd.cli.commands import app
from dfd.console.run import call
from dfd.forecast import forecast
from dfd.io.results import linear_to_srgb, output_bytes
from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.optics import ThinLens
from dfd.pipeline import foresee
from dfd.simulate import render, simulate_capture
from dfd.solvers import SOLVERS

SIZE = (150, 226)


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """(folder of TIFF files, Simulation) of four views with different foci and apertures."""
    simulation = simulate_capture("views", size=SIZE, seed=1)
    folder = tmp_path_factory.mktemp("views") / "in"
    write_simulation(simulation, folder, format="tiff")
    return folder, simulation


@pytest.fixture(scope="module")
def solved(views):
    """The folder that `dfd depth` writes of the four views."""
    folder, _ = views
    assert depth(folder, "-o", folder.parent / "solved") == 0
    return folder.parent / "solved"


def depth(*arguments):
    return call(app, ["depth", *(str(item) for item in arguments)], name="dfd")


def pinhole(simulation):
    """(H, W, 3) linear radiance through a pupil of 1 um, where no pixel is blurred."""
    lens = simulation.lenses[simulation.reference]
    return render(simulation.scene, [ThinLens(lens.focal_length, 1e-6, lens.image_distance, lens.pixel_pitch)], SIZE)[0]


def psnr(encoded, truth):
    return -10 * np.log10(np.mean((encoded - linear_to_srgb(truth))[8:-8, 8:-8] ** 2))


def test_views_give_a_picture_in_focus_everywhere_and_no_index(views, solved):
    _, simulation = views
    record = json.loads((solved / "result.json").read_text(encoding="utf-8"))
    assert "allfocus.tiff" in record["files"] and "index.tiff" not in record["files"]
    restored = tifffile.imread(solved / "allfocus.tiff") / np.float32(65535)
    assert restored.shape == (*SIZE, 3)
    truth = pinhole(simulation)
    best = max(psnr(linear_to_srgb(simulation.planes(k)), truth) for k in range(4))
    assert psnr(restored, truth) >= best + 1
    page = (solved / "report.html").read_text(encoding="utf-8")
    assert "Restored from 4 frames together by undoing their blur." in page and "Source frame" not in page


def test_the_brightness_of_a_frame_does_not_reach_the_picture(views, solved, tmp_path):
    folder, _ = views
    (tmp_path / "in").mkdir()
    for path in folder.iterdir():
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    dimmed = tmp_path / "in" / "view_1.tiff"
    tifffile.imwrite(dimmed, (tifffile.imread(dimmed) * 0.7).astype(np.uint16))
    assert depth(tmp_path / "in", "-o", tmp_path / "dimmed") == 0
    pictures = [tifffile.imread(path / "allfocus.tiff") / np.float32(65535) for path in (solved, tmp_path / "dimmed")]
    np.testing.assert_allclose(pictures[1].mean(axis=(0, 1)), pictures[0].mean(axis=(0, 1)), atol=3e-3)


@pytest.mark.parametrize("kind, form", [("aperture-pair", "tiff"), ("differential-quad", "dng")])
def test_a_pair_and_a_quad_run_from_files_to_files(kind, form, tmp_path):
    simulation = simulate_capture(kind, size=SIZE, seed=1)
    write_simulation(simulation, tmp_path / "in", format=form)
    assert depth(tmp_path / "in", "-o", tmp_path / "out") == 0
    restored = tifffile.imread(tmp_path / "out" / "allfocus.tiff") / np.float32(65535)
    truth = pinhole(simulation)
    best = max(psnr(linear_to_srgb(simulation.planes(k)), truth) for k in range(len(simulation.lenses)))
    found = tifffile.imread(tmp_path / "out" / "depth.tiff")
    error = np.abs(found * simulation.truth - 1)
    assert np.nanmedian(error) <= 0.006
    assert np.isfinite(found).mean() >= {"aperture-pair": 0.15, "differential-quad": 0.6}[kind]
    assert psnr(restored, truth) >= best - 0.7  # as good where depth is unknown, which is most of this pair's far wall
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    count = "both frames" if kind == "aperture-pair" else "4 frames"
    assert f"Restored from {count} together by undoing their blur." in page
    assert ("far, as stated: the scene lies beyond the plane of focus" in page) == (kind == "aperture-pair")


@pytest.mark.parametrize("kind", ["aperture-pair", "views"])
@pytest.mark.parametrize("scene", ["demo", "plane"])
def test_frames_that_the_optics_predict_are_not_moved_by_their_blur(kind, scene, tmp_path):
    simulation = simulate_capture(kind, scene=scene, size=SIZE)
    write_simulation(simulation, tmp_path / "in", format="npy")
    prepared = prepare_capture(open_source(tmp_path / "in"))
    predicted = prepare.predicted_breathing(simulation.lenses, simulation.reference, SIZE)
    corners = np.array([[x, y, 1] for x in (0, SIZE[1] - 1) for y in (0, SIZE[0] - 1)]).T
    for found, expected in zip(prepared.matrices, predicted, strict=True):
        moved = (found @ corners / (found @ corners)[2]) - (expected @ corners / (expected @ corners)[2])
        assert np.hypot(*moved[:2]).max() <= 0.05  # px


def test_a_dry_run_counts_the_restoration(views, monkeypatch):
    folder, _ = views
    source, expected = foresee([folder], folder.parent / "out")
    assert expected.seconds["all-in-focus"] > 0
    assert (expected.least_output, expected.output) == output_bytes(SIZE[0] * SIZE[1], metric=True, pictures=True)
    found = []
    for shape in ((4096, 4096), (8192, 8192)):
        for place in ("dfd.forecast.image_size", "dfd.assemble.reader.image_size"):
            monkeypatch.setattr(place, lambda _, shape=shape: shape)
        found.append(forecast(source, SOLVERS["likelihood"], workers=1).memory)
    pixels = 8192**2 - 4096**2
    assert 12 * 4 * pixels <= found[1] - found[0] <= 120 * pixels  # four pictures in colour, and work


@pytest.mark.parametrize(("size", "measured"), [((400, 600), 4.9), ((1000, 1500), 5.4)])
def test_a_dry_run_of_a_dual_pixel_pair_foresees_its_restoration(size, measured, monkeypatch, tmp_path):
    """Core seconds of slants, see dfd.forecast; within a factor of two."""
    write_simulation(simulate_capture("dual-pixel", scene="plane", size=(40, 60)), tmp_path / "in", format="npy")
    source = open_source(tmp_path / "in")
    for place in ("dfd.forecast.image_size", "dfd.assemble.reader.image_size"):
        monkeypatch.setattr(place, lambda _: size)
    expected = forecast(source, SOLVERS["disparity"], workers=1).seconds["all-in-focus"]
    assert measured / 2 <= expected <= measured * 2
