"""The files of one still scene at several focus settings, and the focus coordinate of each."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.frames import Frame, image_size
from dfd.io.sources import open_source

_COLUMNS = ("file", "focus_coordinate")


@dataclass(frozen=True, eq=False)
class FocusSweep:
    """frames, undecoded, and their focus coordinates (K,), in the unit that the profile names."""

    frames: tuple[Frame, ...]
    coordinates: np.ndarray

    @property
    def make(self) -> str | None:
        """Maker of the camera."""
        return self.frames[0].settings.make

    @property
    def model(self) -> str | None:
        """Model of the camera."""
        return self.frames[0].settings.model

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) px of a frame."""
        return image_size(self.frames[0].path)


def read_sweep(path) -> FocusSweep:
    """The frames of a CSV file with columns file,focus_coordinate, or of a folder or capture.toml whose frames state it.

    Files of the CSV are relative to it.  Raises OSError for files; ValueError for a table or frames without coordinate.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        frames = open_source(path).frames
        lacking = next((frame.name for frame in frames if frame.settings.focus_coordinate is None), None)
        if lacking:
            raise ValueError(f"{lacking}: no focus coordinate; add focus_coordinate = ... to its [[frames]] in "
                             "capture.toml, or give a CSV file with columns file,focus_coordinate")
        return _checked(frames, [frame.settings.focus_coordinate.value for frame in frames])
    rows = _rows(path)
    frames = {frame.path.resolve(): frame for frame in open_source([file for file, _ in rows], kind="focal-stack").frames}
    return _checked(tuple(frames[file.resolve()] for file, _ in rows), [coordinate for _, coordinate in rows])


def _checked(frames, coordinates):
    """Refuse fewer than two settings."""
    if len(set(coordinates)) < 2:
        raise ValueError(f"all {len(coordinates)} frames have focus coordinate {coordinates[0]:g}; a bracket has several")
    return FocusSweep(tuple(frames), np.array(coordinates, float))


def _rows(path):
    """[(file, coordinate), ...] of the CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            head = [name.strip() for name in table.fieldnames or ()]
            lacking = [name for name in _COLUMNS if name not in head]
            if lacking:
                raise ValueError(f"{path}: no column {lacking[0]} (it has {', '.join(head) or 'none'}); the first line "
                                 "must name file,focus_coordinate")
            table.fieldnames = head
            rows = [(table.line_num, row) for row in table]
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file; check the path") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8 text; save the table as UTF-8") from error
    return [(_file(path, line, row["file"]), _coordinate(path, line, row["focus_coordinate"])) for line, row in rows]


def _file(path, line, name):
    file = path.parent / (name or "").strip()
    if not file.is_file():
        raise FileNotFoundError(f"{path}: line {line}: {name!r} is no file in {path.parent}; check the name")
    return file


def _coordinate(path, line, text):
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path}: line {line}: focus_coordinate ({text!r}) must be a finite number")
    return value
