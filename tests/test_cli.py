"""The `dfd` command end to end: every command, what it prints, and the folder that it leaves, as the contract has it."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import typer.main

from dfd import __version__
from dfd.cli import commands
from dfd.cli.commands import app
from dfd.console import Progress
from dfd.console.run import call
from dfd.simulate import DEFAULT_PRESETS, PRESETS, SCENES

PROGRESS = re.compile(r"(render|decode|align|register|solve|all-in-focus): (\d+)/\2 in \d+\.\d s")
METRIC = {"depth.tiff", "sigma.tiff", "confidence.tiff", "allfocus.tiff", "index.tiff", "depth.png", "confidence.png",
          "cloud.ply", "transforms.json", "report.html", "result.json"}
STEPS = METRIC - {"cloud.ply"}
MISSING = ("focal_length_mm = ...  # in [camera]", "f_number = ...  # in [camera]", "pixel_pitch_um = ...  # in [camera]",
           "focus_distance_m = ...  # in every [[frames]]")
SIZE = (120, 180)


def dfd(*arguments):
    return call(app, [str(item) for item in arguments], name="dfd")


def command(*arguments, cwd=None):
    """`dfd` in a process of its own, as a user in a pipe sees it."""
    return subprocess.run([sys.executable, "-c", "from dfd.cli import main; main()", *map(str, arguments)], cwd=cwd,
                          capture_output=True, text=True, timeout=300)


def read_json(text):
    """Strict JSON: NaN and Infinity are refused."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """capture: a simulated DNG stack; out: what `dfd depth` made of it; steps: the same frames as TIFF, no optics."""
    base = tmp_path_factory.mktemp("a folder with <odd> & näme")
    assert dfd("simulate", "-o", base / "capture", "--scene", "slant", "--preset", "50mm-f4-12um", "--size",
               f"{SIZE[1]}x{SIZE[0]}", "--frames", 7, "--seed", 5) == 0
    assert dfd("simulate", "-o", base / "tiff", "--scene", "slant", "--preset", "50mm-f4-12um", "--size",
               f"{SIZE[1]}x{SIZE[0]}", "--frames", 7, "--seed", 5, "--format", "tiff") == 0
    (base / "bare").mkdir()
    for path in (base / "tiff").glob("frame_*.tiff"):
        shutil.copy(path, base / "bare")
    assert dfd("depth", base / "capture", "-o", base / "out") == 0
    assert dfd("depth", base / "bare", "-o", base / "steps") == 0
    return base


@pytest.fixture(scope="module")
def record(work):
    return read_json((work / "out" / "result.json").read_text(encoding="utf-8"))


# -- dfd depth: the folder


def test_the_folder_holds_exactly_what_the_contract_lists(work):
    assert {path.name for path in (work / "out").iterdir()} == METRIC
    assert {path.name for path in (work / "steps").iterdir()} == STEPS
    assert not [path for path in work.iterdir() if path.name.startswith(".")]


def test_maps_have_the_size_of_the_reference_and_their_types(work):
    for folder in ("out", "steps"):
        kinds = {"depth.tiff": np.float32, "sigma.tiff": np.float32, "confidence.tiff": np.float32, "index.tiff": np.uint16}
        for name, kind in kinds.items():
            image = tifffile.imread(work / folder / name)
            assert (image.shape, image.dtype) == (SIZE, kind), name
        colour = tifffile.imread(work / folder / "allfocus.tiff")
        assert (colour.shape, colour.dtype) == ((*SIZE, 3), np.uint16)
        for name in ("depth.png", "confidence.png"):
            assert cv2.imread(str(work / folder / name)) is not None


def test_sigma_is_in_metres_and_nan_means_unknown_everywhere(work):
    depth, sigma, confidence = (tifffile.imread(work / "out" / f"{name}.tiff") for name in ("depth", "sigma", "confidence"))
    known = np.isfinite(depth)
    assert known.mean() > 0.9
    assert ((depth[known] > 0.5) & (depth[known] < 1.05)).all()
    assert (np.isnan(depth) == np.isnan(sigma)).all()
    assert ((sigma[known] > 0) & (sigma[known] < 0.05)).all() and 1e-4 < np.median(sigma[known]) < 5e-3
    assert ((confidence >= 0) & (confidence <= 1)).all() and (confidence[~known] == 0).all()
    ranked = np.argsort(tifffile.imread(work / "steps" / "sigma.tiff"), axis=None)
    assert (np.diff(tifffile.imread(work / "steps" / "confidence.tiff").ravel()[ranked][:1000]) <= 0).all()


def test_the_index_map_names_the_frame_that_is_sharp(work, record):
    index = tifffile.imread(work / "out" / "index.tiff")
    depth = tifffile.imread(work / "out" / "depth.tiff")
    assert index.max() < 7
    positions = np.array(record["sweep"]["positions"])
    known = np.isfinite(depth)
    step = abs(np.median(np.diff(positions)))
    assert np.percentile(np.abs(1 / depth - positions[index])[known], 95) <= 0.8 * step


def metadata(path):
    with tifffile.TiffFile(path) as file:
        return read_json(file.pages.first.description)


def test_the_metadata_of_the_maps_say_first_what_the_numbers_are(work):
    said = metadata(work / "out" / "depth.tiff")
    assert (said["scale"], said["unit"], said["unknown"], said["origin"]) == ("metric", "m", "NaN", "entrance pupil")
    assert next(iter(said)) == "quantity" and "depth along the optical axis" in said["quantity"]
    assert metadata(work / "out" / "sigma.tiff")["unit"] == "m"
    said = metadata(work / "steps" / "depth.tiff")
    assert (said["scale"], said["unit"]) == ("steps", "frame") and "frame number" in said["quantity"]
    assert "origin" not in said


def test_the_cloud_is_the_depth_map_in_metres(work, record):
    import trimesh

    cloud = trimesh.load(work / "out" / "cloud.ply")
    depth = tifffile.imread(work / "out" / "depth.tiff")
    known = np.isfinite(depth)
    points = np.asarray(cloud.vertices)
    assert len(points) == known.sum()
    np.testing.assert_allclose(np.sort(points[:, 2]), np.sort(depth[known]), atol=1e-6)
    x, y = np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0]))
    lens = record["intrinsics_px"]
    np.testing.assert_allclose(points[:, 0], ((x - lens["cx"]) / lens["fx"] * depth)[known], atol=1e-6)
    np.testing.assert_allclose(points[:, 1], ((y - lens["cy"]) / lens["fy"] * depth)[known], atol=1e-6)


def test_result_json_holds_what_was_promised(work, record):
    for entry in record["inputs"]:
        assert entry["sha256"] == hashlib.sha256(Path(entry["file"]).read_bytes()).hexdigest()
    assert len(record["inputs"]) == len(record["frames"]) == 7
    for frame in record["frames"]:
        assert {"focal_length_m", "f_number", "pixel_pitch_m", "focus_distance_m", "exposure_s"} <= set(frame["values"])
        for value in frame["values"].values():
            assert set(value) == {"value", "sigma", "source"} and value["source"]
    assert record["frames"][0]["values"]["focal_length_m"] == {"value": 0.05, "sigma": None, "source": "capture.toml"}
    assert set(record["intrinsics_px"]) == {"fx", "fy", "cx", "cy"}
    assert (record["intrinsics_px"]["cx"], record["intrinsics_px"]["cy"]) == ((SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2)
    assert record["intrinsics_px"]["fx"] == pytest.approx(4480, abs=20)
    assert (record["scale"]["name"], record["scale"]["unit"], record["scale"]["missing"]) == ("metric", "m", [])
    assert record["solver"]["name"] == "focus-measure" and record["solver"]["parameters"]["align"] == "auto"
    assert record["device"] in ("cpu", "cuda")
    assert record["versions"]["dfd"] == __version__ and {"python", "numpy", "rawpy"} <= set(record["versions"])
    assert set(record["timings_s"]) == {"open", "decode", "align", "register", "solve", "all-in-focus", "write"}
    assert record["statistics"]["depth_m"]["min"] == pytest.approx(np.nanmin(tifffile.imread(work / "out" / "depth.tiff")))
    assert record["warnings"] == []
    assert set(record["files"]) == METRIC


def test_a_result_without_metres_says_so_everywhere_and_names_the_lines(work):
    said = read_json((work / "steps" / "result.json").read_text(encoding="utf-8"))
    assert (said["scale"]["name"], said["scale"]["unit"]) == ("steps", "frame")
    assert tuple(said["scale"]["missing"]) == MISSING and said["intrinsics_px"] is None
    assert "depth_m" not in said["statistics"]
    page = (work / "steps" / "report.html").read_text(encoding="utf-8")
    assert all(line in page for line in MISSING)
    assert not re.search(r"\d ?m</", page)


def test_the_report_is_one_page_that_needs_nothing_else(work):
    for folder in ("out", "steps"):
        page = (work / folder / "report.html").read_text(encoding="utf-8")
        links = re.findall(r"""(?:src|href)\s*=\s*["']?(.{8})""", page)
        assert links and all(link.startswith(("data:", "#")) for link in links)
        assert "<odd>" not in page


# -- dfd depth: the terminal


def test_a_run_in_a_pipe_prints_plain_lines_of_progress_and_a_summary(work, tmp_path):
    done = command("depth", work / "capture", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert all(PROGRESS.fullmatch(line) for line in lines), done.stderr
    assert [line.split(":")[0] for line in lines] == ["decode", "align", "register", "solve", "all-in-focus"]
    summary = done.stdout.splitlines()
    assert summary[0].startswith("metric depth: depth along the optical axis from the entrance pupil")
    assert "% of 21600 pixels known" in summary[1] and " m" in summary[1]
    assert "out/report.html" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_the_summary_without_metres_begins_with_that_and_prints_the_lines(work, tmp_path, capsys):
    assert dfd("depth", work / "bare", "-o", tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NOT metric (scale steps): frame number")
    assert lines[1] == "for metres, add to capture.toml:"
    assert [line.strip() for line in lines[2:6]] == list(MISSING)


def test_force_replaces_an_older_result(work, tmp_path):
    assert dfd("depth", work / "bare", "-o", tmp_path / "out") == 0
    assert dfd("depth", work / "capture", "-o", tmp_path / "out", "--force") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == METRIC
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_every_option_of_the_main_job_at_once(work, tmp_path):
    mask = np.full(SIZE, 255, np.uint8)
    mask[:, :40] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    distances = ",".join(f"{1 / focus:.9f}" for focus in
                         read_json((work / "out" / "result.json").read_text(encoding="utf-8"))["sweep"]["positions"])
    assert dfd("depth", work / "capture" / "capture.toml", "-o", tmp_path / "out", "--kind", "focal-stack", "--solver",
               "focus-measure", "--device", "cpu", "--focus-distances", distances, "--align",
               work / "out" / "transforms.json", "--reference", 3, "--near", 0.6, "--far", 1.0, "--origin", "sensor",
               "--mask", tmp_path / "mask.png", "--min-confidence", 0.2, "--preview") == 0
    depth, before = (tifffile.imread(folder / "depth.tiff") for folder in (tmp_path / "out", work / "out"))
    assert np.isnan(depth[:, :40]).all()
    known = np.isfinite(depth)
    assert 0.2 < known.mean() < 0.8
    offset = metadata(tmp_path / "out" / "depth.tiff")["origin_offset_m"]
    assert 0.05 < offset < 0.06
    np.testing.assert_allclose(depth[known], before[known] + offset, atol=1e-5)
    assert dfd("depth", work / "capture", "-o", tmp_path / "filled", "--fill") == 0
    assert np.isfinite(tifffile.imread(tmp_path / "filled" / "depth.tiff")).all()


# -- the other commands


def test_compare_judges_a_folder_by_the_truth(work, capsys):
    assert dfd("compare", work / "out", work / "capture", "--json") == 0
    figures = read_json(capsys.readouterr().out)
    assert figures["density"] >= 0.9
    assert figures["median_relative_error"] <= 0.0025 and figures["mean_relative_error"] <= 0.005
    assert len(figures["coverage_1_sigma_quartiles"]) == 4
    assert dfd("compare", work / "out", work / "capture" / "truth.tiff", "--json", "--border", 8) == 0
    figures = read_json(capsys.readouterr().out)
    assert figures["n_reference"] == (SIZE[0] - 16) * (SIZE[1] - 16)
    assert dfd("compare", work / "out", work / "capture") == 0
    assert "median relative error" in capsys.readouterr().out


def test_compare_fits_what_it_was_asked_to(work, capsys):
    assert dfd("compare", work / "steps", work / "capture" / "truth.tiff", "--align", "monotone", "--json") == 0
    assert read_json(capsys.readouterr().out)["align"] == "monotone"


def test_compare_adds_the_affine_invariant_scores_where_asked(work, capsys):
    command = ("compare", work / "out", work / "capture" / "truth.tiff")
    assert dfd(*command, "--affine-invariant", "--json") == 0
    figures = read_json(capsys.readouterr().out)
    scores = figures["affine_invariant"]
    assert 0 < scores["ai1"] <= scores["ai2"] <= figures["rmse_dpt"] and scores["ai1"] < 0.1 * scores["constant_ai1"]
    depth = work / "out" / "depth.tiff"  # metres in both files: the same axis, so the same scores
    assert dfd("compare", depth, work / "capture" / "truth.tiff", "--affine-invariant", "--json") == 0
    assert read_json(capsys.readouterr().out)["affine_invariant"]["ai1"] == pytest.approx(scores["ai1"], rel=1e-3)
    assert dfd(*command, "--affine-invariant") == 0
    assert "AI(1)" in (said := capsys.readouterr().out) and "never compare" in said
    assert dfd(*command, "--json") == 0
    assert "affine_invariant" not in read_json(capsys.readouterr().out)


def test_info_tells_every_value_with_its_source(work, capsys):
    assert dfd("info", work / "capture", "--json") == 0
    files = read_json(capsys.readouterr().out)
    assert len(files) == 7
    for entry in files:
        assert (entry["width_px"], entry["height_px"]) == (SIZE[1], SIZE[0])
        assert entry["missing"] == []
        assert {value["source"] for value in entry["values"].values()} <= {"capture.toml"}
    assert dfd("info", work / "capture") == 0
    text = capsys.readouterr().out
    assert "50 mm" in text and "capture.toml" in text and "f/4" in text


def test_info_names_what_is_missing_and_works_on_one_file(work, capsys):
    path = work / "bare" / "frame_00.tiff"
    assert dfd("info", path) == 0
    text = capsys.readouterr().out
    for line in MISSING[:3]:
        assert line in text
    assert dfd("info", path, "--json") == 0
    (entry,) = read_json(capsys.readouterr().out)
    assert len(entry["missing"]) == 4 and entry["missing"][0] == MISSING[0]


def test_solvers_lists_name_kinds_line_and_paper(capsys):
    assert dfd("solvers", "--json") == 0
    rows = read_json(capsys.readouterr().out)
    assert [set(row) for row in rows] == [{"name", "kinds", "summary", "paper"}] * len(rows)
    assert rows[0]["name"] == "focus-measure" and rows[0]["kinds"] == ["focal-stack"]
    assert dfd("solvers") == 0
    assert "focus-measure" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "frames"), [("aperture-pair", 2), ("dual-pixel", 2), ("differential-quad", 4),
                                              ("views", 4)])
def test_simulate_writes_every_kind(tmp_path, capsys, kind, frames):
    assert dfd("simulate", "-o", tmp_path / "s", "--kind", kind, "--scene", "plane", "--size", "36x24", "--format", "tiff",
               "--noise", 0) == 0
    assert f"{frames} tiff frames of scene plane" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "s").iterdir()}
    assert {"capture.toml", "truth.tiff", "truth.json"} <= names and len(names) == frames + 3


def test_simulate_takes_the_camera_that_suits_the_kind_and_lists_all(tmp_path, capsys):
    for kind, preset in DEFAULT_PRESETS.items():
        assert dfd("simulate", "-o", tmp_path / kind, "--kind", kind, "--scene", "plane", "--size", "36x24",
                   "--format", "npy", "--noise", 0, *(["--frames", 2] if kind == "focal-stack" else [])) == 0
        assert json.loads((tmp_path / kind / "truth.json").read_text())["preset"] == preset
    capsys.readouterr()
    assert dfd("simulate", "--help") == 0
    text = "".join(capsys.readouterr().out.split())  # lines break at hyphens
    assert [name for name in (*PRESETS, *SCENES) if name not in text] == []
    assert commands.PRESETS.split(", ") == list(PRESETS) and commands.SCENES.split(", ") == list(SCENES)


def test_help_names_the_unit_of_every_number(capsys):
    units = {"depth": ("[m]", "[m from the origin]", "0..1", "at most 1024"), "info": ("lens profile",),
             "compare": ("pixels", "metres per unit", "[px]", "[dioptre]"), "simulate": ("[px]", "[electrons]"),
             "demo": ("DIR",), "solvers": ("--json",), "lightfield": ("[view steps]", "[m from the pupil]", "[electrons]"),
             "plan": ("[m from the entrance pupil]", "[mm]", "[um]", "[electrons]", "[electrons rms]", "share of white")}
    commands = typer.main.get_command(app).commands
    assert set(commands) == set(units)
    for name, parts in units.items():
        assert dfd(name, "--help") == 0
        text = " ".join(capsys.readouterr().out.split())
        for part in parts:
            assert part in text, (name, part)
    for name, found in commands.items():
        for parameter in found.params:
            assert parameter.help or parameter.name == "help", (name, parameter.name)


def test_without_arguments_help_and_the_version_on_request(capsys):
    assert dfd() == 0
    assert "Usage: dfd" in capsys.readouterr().out
    done = command("--version")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, f"dfd {__version__}", "")


def test_no_stderr_at_all_is_no_error(work, tmp_path):
    program = "from dfd.cli import main; main()"
    shell = f'exec "{sys.executable}" -c "{program}" depth "{work / "bare"}" -o out 2>&-'
    done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("NOT metric")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
def test_file_names_that_are_not_unicode_pass_through(work, tmp_path):
    folder = tmp_path / "stack"
    folder.mkdir()
    for path in (work / "bare").iterdir():
        shutil.copy(path, bytes(folder) + b"/\xff" + path.name.encode())
    done = command("depth", folder, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == STEPS
    assert len(read_json((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["frames"]) == 7


@pytest.mark.slow
def test_the_demo_prints_figures_that_hold(tmp_path):
    done = command("demo", "-o", "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(PROGRESS.fullmatch(line) for line in done.stderr.splitlines()), done.stderr
    figures = re.search(r"median relative error ([\d.]+)%, mean ([\d.]+)%, ([\d.]+)% of the pixels known, "
                        r"(\d+)% of the errors within one sigma", done.stdout)
    median, mean, known, covered = map(float, figures.groups())
    assert median <= 0.15 and mean <= 0.6 and known >= 75 and 50 <= covered <= 80
    assert "warning" not in done.stdout
    assert {path.name for path in (tmp_path / "demo").iterdir()} == METRIC | {"capture"}
    assert len(list((tmp_path / "demo" / "capture").glob("*.dng"))) == 16
    again = command("compare", "demo", "demo/capture", "--json", cwd=tmp_path)
    assert read_json(again.stdout)["median_relative_error"] == pytest.approx(median / 100, abs=2e-5)


def test_the_time_of_a_stage_begins_where_the_one_before_ended(capsys, monkeypatch):
    """A stage speaks first when its first piece is done: the time until then is its own."""
    clock = iter([100.0, 101.0, 103.0, 107.5])
    monkeypatch.setattr("dfd.console.progress.time.perf_counter", lambda: next(clock))
    with Progress() as progress:
        for at in (("decode", 1, 2), ("decode", 2, 2), ("solve", 9, 9)):
            progress(*at)
    assert capsys.readouterr().err.splitlines() == ["decode: 2/2 in 3.0 s", "solve: 9/9 in 4.5 s"]
