"""The `dfd` command on a small good stack, and the law of every refusal: one line, an exit code, nothing left behind."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from textures import plane_stack

from dfd.cli.commands import app
from dfd.console.run import call

SHAPE = (60, 90)
CAMERA = "[camera]\nfocal_length_mm = 50\nf_number = 4\npixel_pitch_um = 6\n"
PROGRESS = re.compile(r"(render|decode|align|register|solve|all-in-focus): \d+/\d+ in \d+\.\d s")


def dfd(*arguments):
    return call(app, [str(item) for item in arguments], name="dfd")


def command(*arguments, **options):
    """`dfd` in a process of its own, with both streams captured as text."""
    return subprocess.run([sys.executable, "-c", "from dfd.cli import main; main()", *map(str, arguments)],
                          capture_output=True, text=True, timeout=120, **options)


def toml(distances, *, head=CAMERA, extra=""):
    tables = [f'[[frames]]\nfile = "f{k}.tiff"\n{line}\n' for k, line in enumerate(distances)]
    return head + "".join(tables) + extra


@pytest.fixture(scope="session")
def frames():
    foci = np.linspace(1.8, 1.05, 5)
    stack = plane_stack(np.random.default_rng(11), foci=foci, shape=SHAPE)
    return stack.images, [f"focus_distance_m = {1 / focus:.9f}" for focus in foci]


@pytest.fixture
def place(tmp_path, frames, monkeypatch):
    """A folder to work in, with a good stack in `in`; every path of these tests is relative to it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    images, distances = frames
    for k, image in enumerate(images):
        tifffile.imwrite(folder / f"f{k}.tiff", image)
    (folder / "capture.toml").write_text(toml(distances))
    return tmp_path


def tree(folder):
    """Every file with its content, every folder, every link."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else os.readlink(path) if path.is_symlink()
            else None for path in folder.rglob("*")}


def only_the_scale(text):
    """What stdout may hold before an error: the scale that the result would have had."""
    return len(text.splitlines()) <= 1 and all(line.startswith(("metric depth: ", "NOT metric "))
                                               for line in text.splitlines())


def refused(place, capsys, arguments, *parts, code=2):
    """The error line, after checking exit code, one line, all its parts, and that no file came, went or changed."""
    before = tree(place)
    capsys.readouterr()
    assert dfd(*arguments) == code
    told = capsys.readouterr()
    assert only_the_scale(told.out)
    *progress, line = told.err.splitlines()
    assert line.startswith("dfd: ")
    assert all(PROGRESS.fullmatch(other) for other in progress), told.err
    for part in parts:
        assert part in line, line
    assert tree(place) == before
    return line
