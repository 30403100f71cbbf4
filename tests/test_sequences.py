"""`dfd depth` on sequences of quadruples: pages, folders and npy in, maps of many pages out, the same as single captures."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import tifffile
from rigquads import PUPIL, PUPIL_STEP, ROLES, codes, quad
from sequencefiles import LEVELS, NAMES, write_folders, write_pages

import dfd
from dfd.cli.commands import app
from dfd.console.run import call
from dfd.firstquad import prepare_first
from dfd.io.sidecar import read_sidecar
from dfd.kernels.metres import fill_metres, metres_arrays
from dfd.sequences import open_sequence

DEPTHS = (0.8, 0.9, 1.1, 1.3, 1.2)
SHAPE = (75, 118)
FILES = {"depth.tiff", "sigma.tiff", "confidence.tiff", "depth_first.png", "depth_middle.png", "depth_last.png",
         "report.html", "result.json"}


def depth(*arguments):
    return call(app, ["depth", *map(str, arguments)], name="dfd")


@pytest.fixture(scope="module")
def quads():
    rng = np.random.default_rng(7)
    return [quad(rng, distance, shape=SHAPE) for distance in DEPTHS]


@pytest.fixture(scope="module")
def work(tmp_path_factory, quads):
    """pages: four TIFFs of five pages; out: what `dfd depth` made of them."""
    base = tmp_path_factory.mktemp("sequences")
    write_pages(base / "pages", quads)
    assert depth(base / "pages", "-o", base / "out") == 0
    return base


@pytest.fixture(scope="module")
def record(work):
    return json.loads((work / "out" / "result.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)


def pages(folder, name="depth.tiff"):
    with tifffile.TiffFile(folder / name) as file:
        return np.stack([page.asarray() for page in file.pages])


def test_the_folder_holds_a_page_per_quadruple_and_says_so(work, record):
    assert {path.name for path in (work / "out").iterdir()} == FILES == set(record["files"])
    assert all(record["files"].values())
    for name in ("depth.tiff", "sigma.tiff", "confidence.tiff"):
        found = pages(work / "out", name)
        assert found.shape == (len(DEPTHS), *SHAPE) and found.dtype == np.float32
    with tifffile.TiffFile(work / "out" / "depth.tiff") as file:
        told = json.loads(file.pages[0].description)
    assert (told["unit"], told["scale"], told["unknown"], told["pages"]) == ("m", "metric", "NaN", len(DEPTHS))
    assert "from the entrance pupil" in told["quantity"]


def test_every_page_is_the_plane_that_was_taken(work):
    for image, sigma, distance in zip(pages(work / "out"), pages(work / "out", "sigma.tiff"), DEPTHS, strict=True):
        sure = sigma < np.nanmedian(sigma)
        assert abs(np.median(1 / image[sure]) - 1 / distance) < 0.02, "dioptre"


def test_a_page_is_what_the_capture_alone_gives(work, quads, tmp_path):
    """The first quadruple as a capture of its own: brightness and noise are judged by the same images."""
    write_pages(tmp_path / "in", quads[:1])
    for name in NAMES:
        path = tmp_path / "in" / f"{name}.tiff"
        tifffile.imwrite(path, tifffile.imread(path).reshape(SHAPE))
    assert depth(tmp_path / "in", "-o", tmp_path / "out", "--solver", "coupled-derivatives-tls") == 0
    for name, limit in (("depth.tiff", 1e-5), ("sigma.tiff", 1e-5), ("confidence.tiff", 1e-3)):
        alone, first = tifffile.imread(tmp_path / "out" / name), pages(work / "out", name)[0]
        assert np.array_equal(np.isnan(alone), np.isnan(first))
        assert np.nanmax(np.abs(alone - first)) < limit


def test_the_record_tells_inputs_statistics_and_speed(work, record):
    for entry in record["inputs"]:
        with open(entry["file"], "rb") as file:
            assert entry["sha256"] == hashlib.sha256(file.read()).hexdigest()
    assert [os.path.basename(entry["file"]) for entry in record["inputs"]] == [f"{name}.tiff" for name in NAMES] + [
        "capture.toml"]
    rows, maps = record["sequence"]["rows"], pages(work / "out")
    assert record["sequence"]["quadruples"] == len(rows) == len(DEPTHS)
    assert record["sequence"]["frames_per_second"] > 0
    for row, image in zip(rows, maps, strict=True):
        assert row["known_pixels"] == np.isfinite(image).sum()
        assert row["depth_m"]["median"] == pytest.approx(np.nanmedian(image), abs=1e-4)
    assert record["statistics"]["known_pixels"] == np.isfinite(maps).sum()
    assert record["statistics"]["depth_m"]["median"] == pytest.approx(np.nanmedian(maps), abs=0.01)
    assert [frame["role"] for frame in record["frames"]] == list(ROLES)
    assert record["solver"]["name"] == "coupled-derivatives-tls"


def test_the_report_is_one_page_without_references(work):
    page = (work / "out" / "report.html").read_text(encoding="utf-8")
    assert "Metric depth" in page and "5 quadruples" in page and "a second" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    for name in ("first", "middle", "last"):
        assert cv2.imread(str(work / "out" / f"depth_{name}.png")).shape[0] > SHAPE[0]


@pytest.mark.parametrize("kind", ["npy", "big-endian TIFF", "BigTIFF", "folders", "folders of PNG"])
def test_every_way_to_lay_the_files_out_gives_the_same(work, quads, tmp_path, kind):
    if kind.startswith("folders"):
        write_folders(tmp_path / "in", quads)
    else:
        write_pages(tmp_path / "in", quads, suffix=".npy" if kind == "npy" else ".tiff")
    for path in (tmp_path / "in").rglob("*.tiff"):
        stored = tifffile.imread(path)
        if kind == "folders of PNG":
            cv2.imwrite(str(path.with_suffix(".png")), stored)
            path.unlink()
        elif kind != "folders":
            tifffile.imwrite(path, stored, photometric="minisblack", bigtiff=kind == "BigTIFF",
                             byteorder=">" if kind.startswith("big") else "<")
    if kind == "folders of PNG":
        text = (tmp_path / "in" / "capture.toml").read_text().replace("[camera]", "[camera]\nlinear = true")
        (tmp_path / "in" / "capture.toml").write_text(text.replace(".tiff", ".png"))
    assert depth(tmp_path / "in", "-o", tmp_path / "out") == 0
    found, expected = pages(tmp_path / "out"), pages(work / "out")
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected)) < 1e-4, "m"


def test_folders_go_in_natural_order_and_others_stay_out(quads, tmp_path):
    write_folders(tmp_path / "in", quads[:2])
    os.rename(tmp_path / "in" / "t1", tmp_path / "in" / "t10")
    (tmp_path / "in" / "t2").mkdir()
    for path in (tmp_path / "in" / "t0").iterdir():
        os.link(path, tmp_path / "in" / "t2" / path.name)
    (tmp_path / "in" / "dark").mkdir()
    assert [folder.name for folder in read_sidecar(tmp_path / "in" / "capture.toml").folders] == ["t0", "t2", "t10"]


def test_exposure_that_follows_the_pupil_is_divided_out(work, quads, tmp_path):
    """Images as bright as the pupil is large at one exposure; the raw ratio would give nonsense (1 / 90 of the depth)."""
    share = np.array([PUPIL, PUPIL, PUPIL - PUPIL_STEP, PUPIL + PUPIL_STEP]) ** 2 / (PUPIL + PUPIL_STEP) ** 2
    dimmed = [image * share[:, None, None].astype(np.float32) for image in quads]
    write_pages(tmp_path / "in", dimmed, integers=False, frames=("exposure_s = 0.01",) * 4)
    assert depth(tmp_path / "in", "-o", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert [frame["gain"] for frame in record["frames"]] == pytest.approx(share[0] / share, rel=2e-3)
    assert np.nanmedian(np.abs(pages(tmp_path / "out") - pages(work / "out"))) < 2e-3, "m"


def test_brightness_that_nobody_stated_is_measured_once_and_told(work, quads, tmp_path):
    write_pages(tmp_path / "in", [image * np.float32([1, 1, 0.7, 1])[:, None, None] for image in quads])
    assert depth(tmp_path / "in", "-o", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert record["frames"][2]["gain"] == pytest.approx(1 / 0.7, rel=3e-3)
    assert any("aperture-minus: brightness differs by a factor of 0." in text for text in record["warnings"])


def test_an_image_that_cannot_be_aligned_is_used_and_told_so(quads, tmp_path, rng):
    """A picture of another scene: all four are solved, so nothing may say that one is left out."""
    shape = (150, 200)
    images = quad(rng, 0.9, shape=shape)
    images[3] = quad(rng, 0.9, shape=shape)[3]
    write_pages(tmp_path / "in", [images], integers=False)
    sequence = open_sequence(tmp_path / "in")
    told = prepare_first(sequence, images, align="auto").warnings
    assert sum("first quadruple: only 3 of 4 frames could be aligned" in text for text in told) == 1, told
    assert not any("left out" in text for text in told)


@pytest.mark.parametrize("integers", [True, False])
def test_saturation_on_a_later_page_is_told_once(work, quads, tmp_path, integers):
    bright = [image.copy() for image in quads]
    for number in (2, 4):
        bright[number][3, :15, :59] = 1.2 if integers else np.nan
    write_pages(tmp_path / "in", bright, integers=integers)
    assert depth(tmp_path / "in", "-o", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert [row["saturated"] for row in record["sequence"]["rows"]] == pytest.approx([0, 0, 0.1, 0, 0.1], abs=1e-9)
    told = [text for text in record["warnings"] if "saturated" in text]
    assert len(told) == 1 and "in 2 of 5 quadruples, first in page 2" in told[0]


def test_near_far_mask_and_confidence_leave_pixels_out(work, tmp_path):
    mask = np.ones(SHAPE, np.uint8)
    mask[:, :40] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    assert depth(work / "pages", "-o", tmp_path / "out", "--near", 0.85, "--far", 1.25, "--mask", tmp_path / "mask.png",
                 "--min-confidence", 0.5) == 0
    found, trust = pages(tmp_path / "out"), pages(tmp_path / "out", "confidence.tiff")
    assert np.isnan(found[:, :, :40]).all() and np.isfinite(found[:, :, 40:]).any()
    known = found[np.isfinite(found)]
    assert known.min() >= 0.85 - 1e-6 and known.max() <= 1.25 + 1e-6
    assert (trust[np.isfinite(found)] >= 0.5).all() and (trust[np.isnan(found)] == 0).all()


def test_depth_from_the_sensor_is_longer_by_the_image_distance(work, tmp_path):
    assert depth(work / "pages", "-o", tmp_path / "out", "--origin", "sensor") == 0
    difference = pages(tmp_path / "out") - pages(work / "out")
    assert np.nanmax(np.abs(difference - 0.11)) < 1e-6, "m"


def test_another_solver_and_a_preview_are_taken(quads, tmp_path):
    large = [np.kron(image, np.ones((1, 1, 9), np.float32)) for image in quads[:2]]
    write_pages(tmp_path / "in", large)
    assert depth(tmp_path / "in", "-o", tmp_path / "out", "--preview", "--solver", "coupled-derivatives") == 0
    assert pages(tmp_path / "out").shape == (2, SHAPE[0] // 2, SHAPE[1] * 9 // 2)


def test_a_dry_run_writes_nothing(work, tmp_path, capsys):
    assert depth(work / "pages", "-o", tmp_path / "out", "--dry-run") == 0
    told = capsys.readouterr().out
    assert "5 quadruples" in told and "118 x 75 px" in told and "coupled-derivatives-tls" in told
    assert not list(tmp_path.iterdir())


def test_the_plain_progress_line_tells_quadruples_a_second(work, tmp_path, capsys):
    assert depth(work / "pages", "-o", tmp_path / "out") == 0
    assert re.search(r"^solve: 5/5 in \d+\.\d s, [\d.]+ a second$", capsys.readouterr().err, re.MULTILINE)


def test_one_pass_to_metres_is_that_of_whole_arrays(rng):
    values = rng.uniform(-0.3, 2, SHAPE).astype(np.float32)
    sigma = rng.uniform(0, 0.3, SHAPE).astype(np.float32)
    values[3:9, 5:30] = sigma[3:9, 5:30] = np.nan
    keep, numbers = rng.random(SHAPE) < 0.8, (np.float32(0.11), np.float32(0.1), np.float32(0.2))
    made = np.empty((3, *SHAPE), np.float32)
    known = fill_metres(values, sigma, keep, numbers, *made)
    *expected, count = metres_arrays(values, sigma, keep, numbers)
    assert known == count
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5)


def test_a_bigtiff_is_written_where_offsets_need_it(tmp_path):
    from dfd.io.images import PageWriter

    for name, count, version in (("small", 2, 42), ("large", 120_000, 43)):
        with PageWriter(tmp_path / f"{name}.tiff", count, (75, 118), {}) as file:
            file.add(np.zeros((75, 118), np.float32))
        assert int.from_bytes((tmp_path / f"{name}.tiff").read_bytes()[2:4], "little") == version


def test_a_sequence_of_nothing_to_see_is_unknown_and_says_so(tmp_path, rng):
    flat = [np.clip(0.5 + rng.normal(size=(4, *SHAPE)) * 1e-3, 0, 1).astype(np.float32) for _ in range(2)]
    write_pages(tmp_path / "in", flat, suffix=".npy", integers=False)
    assert depth(tmp_path / "in", "-o", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert record["statistics"]["density"] < 0.01
    assert any("2 of 2 quadruples, first in page 0" in text for text in record["warnings"])


def test_one_quadruple_is_a_sequence_too(quads, tmp_path):
    write_pages(tmp_path / "in", quads[:1], suffix=".npy")
    assert depth(tmp_path / "in", "-o", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert record["sequence"]["quadruples"] == 1 and record["sequence"]["frames_per_second"] is None
    assert pages(tmp_path / "out").shape == (1, *SHAPE)


def test_ctrl_c_leaves_nothing(quads, tmp_path):
    write_pages(tmp_path / "in", quads * 60)
    program = subprocess.Popen([sys.executable, "-c", "from dfd.cli import main; main()", "depth", tmp_path / "in", "-o",
                                tmp_path / "out"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while program.poll() is None and not list(tmp_path.glob(".out.*.partial/depth.tiff")):
        time.sleep(0.01)
    program.send_signal(signal.SIGINT)
    told = program.communicate(timeout=60)[1]
    assert program.returncode == 130 and "nothing was written" in told
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_codes_and_light_of_one_sequence_agree(work, quads, tmp_path):
    light = [(codes(image, **LEVELS).astype(np.float32) - 600) / np.float32(59400) for image in quads]
    write_pages(tmp_path / "in", light, integers=False)
    assert depth(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert np.nanmax(np.abs(pages(tmp_path / "out") - pages(work / "out"))) < 1e-3, "m"


def test_python_streams_what_the_command_writes(work, quads):
    from rigquads import views

    stored = [codes(image, **LEVELS) for image in quads]
    for result, image in zip(dfd.stream(stored, views=views(), black_level=600, white_level=60000), pages(work / "out"),
                             strict=True):
        both = np.isfinite(result.values) & np.isfinite(image)
        assert np.median(np.abs(1 / result.values[both] - image[both])) < 2e-3, "m"
