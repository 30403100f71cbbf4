"""Maker notes that only the program exiftool reads, where it is on PATH: one call per stack, and never required.

Whatever goes wrong with it is one remark, never a stop, and whatever it prints is a value or none.  It runs without the
user's configuration, which is a program.  Its tables: https://exiftool.org/TagNames.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dfd.io.makernotes import apple_distance, canon_distance, sony_distance
from dfd.io.pitch import Grid
from dfd.io.readings import Reading, distance_reading, judge

PROGRAM = "exiftool"
_NAMES = {"FocalLengthIn35mmFilm": "FocalLengthIn35mmFormat", "ISOSpeedRatings": "ISO",
          "ExifImageLength": "ExifImageHeight", "BodySerialNumber": "SerialNumber"}
"""Name of a tag in Exif -> in exiftool, where it has another."""

_ASKED = ("Make", "Model", "LensModel", "SerialNumber", "Orientation", "FocalLength", "FNumber", "ExposureTime", "ISO",
          "FocalLengthIn35mmFormat", "FocalPlaneXResolution", "FocalPlaneYResolution", "FocalPlaneResolutionUnit",
          "ExifImageWidth", "ExifImageHeight", "SubjectDistance", "FocusDistance*", "FocusPosition2", "ObjectDistance",
          "ApproximateFocusDistance")
_GROUPS = ("ExifIFD", "IFD0", "XMP-exif", "XMP-exifEX", "XMP-aux", "XMP-tiff")
"""Groups whose standard tags count, best first."""

_OBJECT_DISTANCES = ("Casio:ObjectDistance",)
"""Object distances at which the lens is focused; FLIR's is what the user types in to correct for the air."""

_FAR = 1e6  # m
_START, _PER_FILE = 20.0, 0.5  # s: patience for Perl to start, and for each file (27 ms on the machine of record)


def read_exiftool(paths: Sequence[Path]) -> tuple[dict[Path, dict[str, object]], str]:
    """({file: its tags as "Group:Name" -> value}, remark) of one call for all files; ({}, "") without the program.

    A file that exiftool cannot read is not among them.  remark: what went wrong, "" when nothing did.
    """
    program = _program()
    if program is None:
        return {}, ""
    names = {os.path.realpath(path): Path(path) for path in paths}  # absolute: none begins with "-", an option, or "#"
    listed = "\n".join(name for name in names if "\n" not in name and "\r" not in name)
    limit = _START + _PER_FILE * len(names)
    options = [program, "-config", "", "-j", "-n", "-G1", "-a", "-charset", "filename=utf8",
               *(f"-{name}" for name in _ASKED), "-@", "-"]
    try:
        done = subprocess.run(options, input=os.fsencode(listed), capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {}, f"{program} gave no answer within {limit:g} s; it is left out, check it or take it off PATH"
    except OSError as error:
        return {}, f"{program} cannot be started ({error.strerror}); it is left out, check it or take it off PATH"
    records = _records(done.stdout)
    if records is None:
        return {}, (f"{program} ended with code {done.returncode} and no JSON; it is left out, check it or take it off "
                    "PATH")
    found = {_place(record): record for record in records}
    return {path: found[name] for name, path in names.items() if name in found}, ""


def interpret(record: dict[str, object], *, file: str, grid: Grid) -> list[Reading]:
    """The readings of one file: its standard tags, then the focus distance of its maker, then that of Adobe."""
    standard = judge(lambda name: _number(_standard(record, name)), lambda name: _text(_anywhere(record, name)), file=file,
                     label=PROGRAM, grid=grid)
    readings = [standard]
    readings += [distance_reading(file, found, f"{PROGRAM} {source}") for source, found in _distances(record)]
    return [reading for reading in readings if reading is standard or reading.settings.values() or reading.remarks]


def _program() -> str | None:
    """The first on PATH that neither lies in the current folder, where photographs may lie, nor leads to there."""
    here = os.path.realpath(os.curdir)
    for folder in filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep)):
        found = shutil.which(PROGRAM, path=folder)
        if found and here not in (os.path.realpath(os.path.dirname(found)), os.path.dirname(os.path.realpath(found))):
            return found
    return None


def _place(record) -> str | None:
    """The file of a record; None where it names none."""
    name = record.get("SourceFile")
    try:
        return os.path.realpath(name) if isinstance(name, str) else None
    except ValueError:  # of a NUL or half a character in the name
        return None


def _records(text) -> list[dict] | None:
    """The records of exiftool's JSON; None where it is something else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return [item for item in content if isinstance(item, dict)] if isinstance(content, list) else None


def _standard(record, name):
    """A standard tag by its Exif name.  A maker's own group does not count: its numbers are rounded to codes."""
    own = _NAMES.get(name, name)
    return next((record[key] for group in _GROUPS if (key := f"{group}:{own}") in record), None)


def _anywhere(record, name):
    """The same or, where no standard group has it, that of a maker: who made the camera, its model, its number."""
    own = _NAMES.get(name, name)
    return next((value for value in (_standard(record, name), *(record[key] for key in record if key.endswith(f":{own}")))
                 if value is not None), None)


def _distances(record):
    """(tag, distance [m] or (distance, 1-sigma)) of every focus distance of a maker, best first."""
    for key, value in record.items():
        group, _, name = key.partition(":")
        number = _number(value)
        if name == "FocusDistanceUpper" and number is not None:  # in m; its codes are those of cm
            lower = _number(record.get(f"{group}:FocusDistanceLower")) or 0.0
            yield f"{group}:FocusDistance", canon_distance(_centimetres(number), _centimetres(lower))
        elif name == "FocusDistanceRange" and isinstance(value, str):
            ends = [_number(end) for end in value.split()]
            yield key, apple_distance(*ends) if len(ends) == 2 and None not in ends else None
        elif number is not None and (name in ("FocusDistance", "FocusDistance2") or key in _OBJECT_DISTANCES):
            yield key, number
        elif name == "FocusPosition2" and number is not None and "Composite:FocusDistance2" not in record:
            equivalent = _number(_standard(record, "FocalLengthIn35mmFilm"))
            yield key, None if equivalent is None else sony_distance(number, equivalent)
    approximate = _number(record.get("XMP-aux:ApproximateFocusDistance"))
    if approximate is not None:
        yield "XMP-aux:ApproximateFocusDistance", approximate


def _centimetres(metres):
    """The whole number of a maker note; what no camera writes stays as it is."""
    return round(metres * 100) if abs(metres) < _FAR else metres


def _number(value) -> float | None:
    """A finite number or infinity; None for text, lists and what is missing."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if isinstance(value, bool) or math.isnan(number) else number


def _text(value) -> str | None:
    text = "" if value is None or isinstance(value, (list, dict)) else str(value)
    return "".join(mark for mark in text if mark.isprintable()).strip() or None
