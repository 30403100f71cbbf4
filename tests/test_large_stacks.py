"""Large stacks, tried on small ones: the job through disk and tiles, what --dry-run foresees, what a lack of room does."""

import errno
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import shared_data
from test_cli import dfd

from dfd.forecast import forecast
from dfd.imaging import gaussian
from dfd.io import scratch
from dfd.io.scratch import Scratch
from dfd.io.sources import open_source
from dfd.pipeline import run
from dfd.solvers import SOLVERS

SIZE = (260, 380)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A simulated DNG stack of 7 frames with breathing."""
    folder = tmp_path_factory.mktemp("large") / "stack"
    assert dfd("simulate", "-o", folder, "--scene", "slant", "--preset", "50mm-f4-12um", "--size", f"{SIZE[1]}x{SIZE[0]}",
               "--frames", 7, "--seed", 3) == 0
    return folder


def test_the_job_through_disk_and_tiles_gives_the_depth_of_the_job_in_memory(stack, tmp_path, monkeypatch):
    whole = run(stack, tmp_path / "whole", tile=max(SIZE), workers=1)
    made = []
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(Scratch, "head", lambda self, count, head=Scratch.head: made.append(self._dark) or head(self, count))
    tiled = run(stack, tmp_path / "tiled", tile=64, workers=2)
    assert made and made[0] is not None  # the frames went to disk, as codes
    both = whole.result.valid & tiled.result.valid
    assert np.mean(whole.result.valid != tiled.result.valid) < 2e-3 and both.mean() > 0.9
    difference = np.abs(whole.result.values - tiled.result.values)[both] / whole.result.sigma[both]
    assert np.sqrt(np.mean(difference**2)) < 0.1  # sigma
    np.testing.assert_allclose(tiled.all_in_focus, whole.all_in_focus, atol=0.03)
    assert json.loads((tmp_path / "tiled" / "result.json").read_text())["solver"]["parameters"]["tile_px"] == 64


def test_a_dry_run_says_what_it_takes_and_writes_nothing(stack, tmp_path, capsys):
    assert dfd("depth", stack, "-o", tmp_path / "out", "--dry-run", "--workers", 2) == 0
    told = capsys.readouterr().out
    assert told.startswith("metric depth:")
    assert re.search(rf"7 frames of {SIZE[1]} x {SIZE[0]} px, 2 at a time; tiles of {SIZE[1]} px", told)
    for line in (r"^memory  about \d+\.\d GB$", r"^disk    \d+\.\d\d GB of results, where \d+\.\d GB are free; "
                 r"0\.00 GB meanwhile in .+, which has",
                 r"^time    roughly \d+ s \(.*first time .* about 28 s more to compile$"):
        assert re.search(line, told, re.MULTILINE), told
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_refuses_what_the_run_would_refuse(stack, tmp_path, capsys):
    for words, message in ((["--tile", "20"], "tile (20 px) must be at least 64 px"),
                           (["--workers", "0"], "workers (0) must be at least 1")):
        for dry in ([], ["--dry-run"]):
            assert dfd("depth", stack, "-o", tmp_path / "out", *words, *dry) == 2
            assert message in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")
    assert dfd("depth", stack, "-o", tmp_path / "full", "--dry-run") == 2
    assert "exists already" in capsys.readouterr().err


def repeated(source, count):
    """The source with so many frames, each with a focus of its own."""
    frames = []
    for k in range(count):
        frame = source.frames[k % len(source.frames)]
        settings, focus = frame.settings, frame.settings.focus_distance
        focus = replace(focus, value=focus.value * (1 + 1e-4 * (k // len(source.frames))))
        frames.append(replace(frame, settings=replace(settings, focus_distance=focus)))
    return replace(source, frames=tuple(frames), reference=0)


def test_the_forecast_of_memory_follows_the_frame_and_of_disk_the_stack(stack, monkeypatch):
    source, solver = open_source(stack), SOLVERS["focus-measure"]

    def foreseen(count, shape):
        monkeypatch.setattr("dfd.forecast.image_size", lambda _: shape)
        monkeypatch.setattr("dfd.assemble.reader.image_size", lambda _: shape)
        return forecast(repeated(source, count), solver, workers=2)

    small, many, large = foreseen(20, (4000, 6000)), foreseen(80, (4000, 6000)), foreseen(20, (8000, 6000))
    assert many.memory < 1.2 * small.memory and 1.5 < (large.memory - 4e8) / (small.memory - 4e8) < 2.1
    assert small.disk == 2 * 20 * 24e6 and many.disk == 4 * small.disk and large.disk == 2 * small.disk
    assert sum(many.seconds.values()) > 2 * sum(small.seconds.values())
    assert small.memory < 2.5e9


def test_a_disk_that_is_too_small_is_one_line_and_leaves_nothing(stack, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _: scratch.shutil._ntuple_diskusage(10**9, 10**9, 10**5))
    assert dfd("depth", stack, "-o", tmp_path / "out") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "are needed for the registered frames; free some space, set TMPDIR to a larger disk, or use --preview" in line
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_scene_is_named_left_out_and_unharmful(stack, tmp_path):
    frames = sorted(stack.glob("*.dng"))
    whole = run(stack, tmp_path / "whole")
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in frames:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "capture.toml").write_text((stack / "capture.toml").read_text())
    bad = frames[1]
    other = np.random.default_rng(1).integers(600, 9000, SIZE)
    with tifffile.TiffFile(folder / bad.name, mode="r+b") as file:
        page = file.pages[0]
        codes = np.clip(other, 600, 9000).astype(np.uint16)
        file.filehandle.seek(page.dataoffsets[0])
        assert sum(page.databytecounts) == codes.nbytes and len(page.dataoffsets) == 1
        file.filehandle.write(codes.tobytes())
    outcome = run(folder, tmp_path / "out")
    assert any(bad.name in text and "left out" in text for text in outcome.warnings)
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [frame["file"] for frame in record["frames"] if not frame["used"]] == [bad.name]
    assert len(record["sweep"]["positions"]) == len(frames) - 1
    index = tifffile.imread(tmp_path / "out" / "index.tiff")
    left_out = [frame["file"] for frame in record["frames"]].index(bad.name)
    assert not (index == left_out).any()
    both = outcome.result.valid & whole.result.valid
    assert both.mean() > 0.5 and np.median(np.abs(outcome.result.values - whole.result.values)[both]) < 0.01  # dioptre
    again = run(folder, tmp_path / "again", align=tmp_path / "out" / "transforms.json")
    assert again.kept == outcome.kept


def no_room(monkeypatch, free):
    """Every disk has `free` bytes left."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, free))


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_disk_that_cannot_hold_the_results_is_refused_before_decoding(stack, tmp_path, capsys, monkeypatch, dry):
    no_room(monkeypatch, 10**6)
    assert dfd("depth", stack, "-o", tmp_path / "deep" / "out", *dry) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"dfd: {tmp_path}/deep/out: the results need at least 0.0016 GB, 0.001 GB are free; free some space, "
                     "choose another -o DIR, or use --preview"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_disk_that_cannot_hold_the_frames_is_refused_before_decoding(stack, tmp_path, capsys, monkeypatch, dry):
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 0)
    no_room(monkeypatch, 201 * 10**6)  # 200 MB are left for others
    assert dfd("depth", stack, "-o", tmp_path / "out", *dry) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"dfd: {scratch.scratch_folder()}: 0.001 GB can be used, 0.0014 GB are needed")
    assert list(tmp_path.iterdir()) == []


def test_results_that_may_not_fit_are_a_warning_of_the_dry_run(stack, tmp_path, capsys, monkeypatch):
    no_room(monkeypatch, 2 * 10**6)
    assert dfd("depth", stack, "-o", tmp_path / "out", "--dry-run") == 0
    assert "warning: the results may not fit; free some space, choose another -o DIR" in capsys.readouterr().out


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_too_few_frames_are_refused_before_decoding(stack, tmp_path, capsys, dry):
    for frame in (0, 5):
        name = sorted(stack.glob("*.dng"))[frame].name
        (tmp_path / name).write_bytes((stack / name).read_bytes())
    assert dfd("depth", tmp_path, "-o", tmp_path / "out", "--solver", "focus-measure", *dry) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs at least 3 images of a sweep, this stack has 2; take more frames" in line


def test_frames_that_would_lie_in_memory_count_as_memory(stack, tmp_path, capsys, monkeypatch):
    source, solver = open_source(stack), SOLVERS["focus-measure"]
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(scratch, "_mounts", list)
    on_disk = forecast(source, solver)
    monkeypatch.setattr(scratch, "_mounts", lambda: ["tmpfs / tmpfs rw 0 0"])
    assert forecast(source, solver).memory - on_disk.memory == on_disk.disk == 2 * 7 * SIZE[0] * SIZE[1]
    assert dfd("depth", stack, "-o", tmp_path / "out", "--dry-run") == 0
    assert "lies in memory, and what is there counts as memory above" in capsys.readouterr().out


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota"),
                                   OSError(errno.EFBIG, "File too large"), OSError("98800 requested and 2048 written")])
def test_a_disk_that_fills_up_while_results_are_written_is_one_clear_line(stack, tmp_path, capsys, monkeypatch, fault):
    from dfd.io import results

    def full(path, *rest, **options):
        Path(path).write_bytes(b"half")
        raise fault

    monkeypatch.setattr(results, "write_cloud", full)
    assert dfd("depth", stack, "-o", tmp_path / "deep" / "out") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(rf"dfd: {tmp_path}/deep/out: the disk is full; the results need 0\.0016 to 0\.0076 GB, "
                        r"\d+(\.\d+)? GB are free; free some space, or choose another -o DIR", line), line
    assert list(tmp_path.iterdir()) == []


def test_another_fault_of_the_disk_is_not_called_full(stack, tmp_path, capsys, monkeypatch):
    from dfd.io import results

    def broken(path, *rest, **options):
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(results, "write_cloud", broken)
    assert dfd("depth", stack, "-o", tmp_path / "out") == 2
    assert "Input/output error" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_real_small_disk_that_fills_up_is_left_empty(stack, tmp_path, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1900k", "tmpfs", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small disk")
    try:
        assert dfd("depth", stack, "-o", disk / "out") == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"{disk}/out: the disk is full; the results need" in line and "0.0019 GB are free" in line
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_times_of_the_stages_add_up_and_are_those_of_the_progress(stack, tmp_path):
    """Within 0.15 s: what lies between a stage's first and last report, and the time of the whole run."""
    seen, start = {}, time.perf_counter()

    def progress(stage, done, total):
        seen.setdefault(stage, [time.perf_counter(), done])
        if done == total:
            seen[stage] = [*seen[stage][:2], time.perf_counter()]

    outcome = run(stack, tmp_path / "out", progress=progress)
    assert sum(outcome.timings.values()) == pytest.approx(time.perf_counter() - start, abs=0.15)
    assert set(seen) == {"decode", "align", "register", "solve", "all-in-focus"}
    for stage, (first, done, last) in seen.items():
        assert done == 0 and last - first == pytest.approx(outcome.timings[stage], abs=0.15)


def largest_memory(*arguments):
    """Largest resident size [bytes] of a process of its own that runs `dfd` with these arguments."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells the largest resident size of a program")
    code = ("import sys\nfrom dfd.cli import main\ntry:\n    main()\nfinally:\n"
            "    line = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
            "    print(line, file=sys.stderr)\n")
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True)
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", done.stderr)[1])


@pytest.mark.parametrize("words", [[], ["--tile", "512", "--workers", "1"]], ids=["default", "one worker"])
def test_the_forecast_of_memory_holds_on_a_real_stack(tmp_path, words):
    """Largest resident size of a process of its own: not above the forecast, and not below 1 / 1.35 of it."""
    stack = shared_data("stacks/focus_stack_pcb")
    measured = largest_memory("depth", stack, "-o", tmp_path / "out", *words)
    options = {"tile": 512, "workers": 1} if words else {}
    expected = forecast(open_source([stack]), SOLVERS["focus-measure"], **options).memory
    assert measured <= expected <= 1.35 * measured


def test_the_forecast_of_memory_holds_for_many_small_frames(tmp_path, rng):
    """60 frames of 0.5 Mpx, taken as registered: not above the forecast, and not below 1 / 1.5 of it."""
    sharp = rng.random((600, 840), dtype=np.float32)
    softer = [gaussian(sharp, blur) for blur in (0.4, 1.0, 2.0, 3.0)]
    (tmp_path / "in").mkdir()
    for k in range(60):
        np.save(tmp_path / "in" / f"{k:02d}.npy", softer[min(abs(k - 30) // 5, 3)] * np.float32(0.9 + 0.001 * k))
    measured = largest_memory("depth", tmp_path / "in", "-o", tmp_path / "out", "--align", "none")
    expected = forecast(open_source([tmp_path / "in"]), SOLVERS["focus-measure"], align="none").memory
    assert measured <= expected <= 1.5 * measured


def test_the_forecast_counts_two_pictures_in_colour(stack, monkeypatch):
    """In a preview frames are small, but pictures are decoded whole: 2 x 12 bytes per pixel."""
    source, solver, found = open_source(stack), SOLVERS["focus-measure"], []
    for shape in ((4096, 4096), (8192, 8192)):
        for place in ("dfd.forecast.image_size", "dfd.assemble.reader.image_size"):
            monkeypatch.setattr(place, lambda _, shape=shape: shape)
        few = repeated(source, 3)
        found.append(forecast(few, solver, align="none", preview=True, workers=1).memory)
    assert found[1] - found[0] == pytest.approx(24 * (8192**2 - 4096**2), abs=1e6)


def test_the_forecast_counts_what_is_kept_around_every_frame(stack, monkeypatch):
    """From 20 to 32 frames that wait on disk, fusion needs 4 bytes more per pixel of the small images, here whole ones."""
    source, solver = open_source(stack), SOLVERS["focus-measure"]
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(scratch, "_mounts", list)
    options = {"align": "none", "workers": 1, "tile": 64}
    some, many = (forecast(repeated(source, count), solver, **options).memory
                  for count in (20, 32))
    assert many - some == 4 * 12 * SIZE[0] * SIZE[1]
