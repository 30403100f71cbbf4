"""Which files show the target at which distance: `0.6=folder` words, or one CSV file."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

_NUMBERS = {"focus_coordinate": "in the unit of the coordinate", "f_number": "such as 1.8",
            "distance_sigma_mm": "of mm"}
"""Columns that a table may have besides, and what their numbers are."""

_POSITIVE = ("f_number", "distance_sigma_mm")

_FARTHEST = 100.0
"""Distance [m] beyond which a reading is one in mm or cm: no target can be read there."""


@dataclass(frozen=True)
class Target:
    """A folder, or one file of it, and what its line says: distance [m], 1-sigma [m], focus coordinate, f-number."""

    path: Path
    distance: float
    sigma: float | None = None
    coordinate: float | None = None
    f_number: float | None = None


def find_targets(inputs, *, noun="flat", per_file: bool = False) -> list[Target]:
    """Targets of `0.6=folder` words, or of one CSV file with columns folder and distance_m.

    noun       what the folders hold, for messages
    per_file   the table may have a column `file` in the place of `folder`, and those of Target; nothing is beyond 100 m
    Paths in a CSV are relative to it.  Raises OSError for what is missing, ValueError for what is no distance.
    """
    inputs = [str(item) for item in inputs]
    tables = [item for item in inputs if "=" not in item]
    if tables and (len(inputs) > 1 or Path(tables[0]).suffix.lower() != ".csv"):
        raise ValueError(f"{tables[0]}: has no distance; write DISTANCE=FOLDER with the distance in metres, such as "
                         f"0.6={noun}/near, or give one CSV file with the columns folder,distance_m")
    if not inputs:
        raise ValueError(f"no {noun}s given; give two or more DISTANCE=FOLDER with distances in metres, such as 0.6=near "
                         "1.5=far, or one CSV file with the columns folder,distance_m")
    if tables:
        return _table(Path(tables[0]), per_file)
    return [Target(_existing(item, folder), _distance(item, text, per_file)) for item in inputs
            for text, folder in (item.split("=", 1),)]


def _table(path, per_file):
    """Every line of a CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, skipinitialspace=True)
            names = [name.strip() for name in table.fieldnames or ()]
            _check_columns(path, names, per_file)
            table.fieldnames = names
            rows = [_row(f"{path} line {table.line_num}", row, names, path.parent, per_file) for row in table]
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file; check the path") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise OSError(f"{path}: not a CSV file ({error}); write it as UTF-8 text with the columns folder,distance_m") \
            from error
    if not rows:
        raise ValueError(f"{path}: no distances below the names of the columns; add a line per distance, such as near,0.6")
    return rows


def _check_columns(path, names, per_file):
    if len(names) == 1 and ";" in names[0]:
        raise ValueError(f"{path}: columns are separated by semicolons ({names[0]}); write commas between them, and points "
                         "in numbers, such as near,0.6")
    place = "file" if per_file and "file" in names else "folder"
    allowed = {place, "distance_m", *(_NUMBERS if per_file else ())}
    if {place, "distance_m"} <= set(names) and set(names) <= allowed and len(set(names)) == len(names):
        return
    other = "" if place == "file" else " and a file in the place of a folder"
    may = f"; it may have {', '.join(_NUMBERS)}{other}" if per_file else ""
    raise ValueError(f"{path}: columns are {', '.join(names) or 'none'}, they must be {place}, distance_m{may}; its first "
                     "line names them")


def _row(where, row, names, folder, near):
    """The target of one line."""
    if None in row:  # what csv calls the values beyond the columns
        raise ValueError(f"{where}: {len(row[None]) + len(names)} values for the columns {','.join(names)}; write the "
                         'distance with a point, such as 0.6, and a folder with a comma in its name as "a,b"')
    place = "file" if "file" in names else "folder"
    name = (row[place] or "").strip()
    if not name:
        raise ValueError(f"{where}: no {place}; write {','.join(names)}, such as near,0.6")
    numbers = {key: _number(where, key, row[key]) for key in names if key in _NUMBERS}
    sigma = numbers.get("distance_sigma_mm")
    return Target(_existing(where, folder / name), _distance(where, row["distance_m"] or "", near),
                  None if sigma is None else sigma * 1e-3, numbers.get("focus_coordinate"), numbers.get("f_number"))


def _existing(where, path):
    path = Path(path)
    if not path.exists():
        raise OSError(f"{where}: no folder or file {path}; check the path")
    return path


def _number(where, key, text):
    """A number that a table may state; None where the place is empty."""
    text = (text or "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{where}: {key} ({text!r}) must be a number {_NUMBERS[key]}") from None
    if not math.isfinite(number) or (key in _POSITIVE and number <= 0):
        raise ValueError(f"{where}: {key} ({number:g}) must be {'positive' if key in _POSITIVE else 'finite'}; leave it "
                         "empty where it is not known")
    return number


def _distance(where, text, near):
    """The distance [m] of a target; `near`: one that is read square by square, not from any distance."""
    try:
        distance = float(text)
    except ValueError:
        raise ValueError(f"{where}: the distance ({text.strip()!r}) must be a number of metres, such as 0.6") from None
    if not (math.isfinite(distance) and distance > 0):
        raise ValueError(f"{where}: the distance ({distance:g} m) must be positive and a finite number of metres, such as "
                         "0.6; measure it from the sensor mark or from the entrance pupil, --origin says which")
    if near and distance > _FARTHEST:
        raise ValueError(f"{where}: the distance ({distance:g} m) must be at most {_FARTHEST:g} m; in mm? then write "
                         f"{distance / 1e3:g}")
    return distance
