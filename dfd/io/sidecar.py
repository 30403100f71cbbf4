"""Read capture.toml: everything that the image files themselves do not say.  One table of keys, checked strictly.

Every error is one line: file, place, value with unit, limit, next step.
"""

from __future__ import annotations

import difflib
import fnmatch
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from dfd.anchors import KnownDepth
from dfd.io.keys import CAMERA, COD, FRAME, KNOWN_DEPTH, TOP, Flag, Levels, Number, shortened, to_si
from dfd.io.names import natural_key
from dfd.settings import Value

NAME = "capture.toml"
_TABLES = {"": TOP, "camera": CAMERA, "cod": COD, "frames[]": FRAME, "known_depths[]": KNOWN_DEPTH}
_HOMES = {"": "the top of the file, before any table", "camera": "[camera]", "cod": "[cod]", "frames[]": "[[frames]]",
          "known_depths[]": "[[known_depths]]"}
_EXCLUSIVE = (("focus_distance_m", "focus_dpt"), ("f_number", "pupil_diameter_mm"))
"""Pairs of keys that state one quantity twice."""


@dataclass(frozen=True)
class SidecarFrame:
    """One [[frames]] table: the file, its values by CameraSettings field (SI), and its part in the capture.

    black_level, white_level   file units, those of a view of a dual-pixel pair;   white_sheet   picture, see `dfd.io.sheets`
    half                       the half of a dual-pixel RAW that the view is, see `dfd.io.halves`; never in the file
    """

    path: Path
    values: dict[str, Value]
    reference: bool = False
    view: str | None = None
    role: str | None = None
    black_level: tuple[float, ...] | None = None
    white_level: float | None = None
    white_sheet: Path | None = None
    half: str | None = None


@dataclass(frozen=True)
class Sidecar:
    """A whole capture.toml; None or empty where it says nothing.  Values are SI with source "capture.toml".

    folders   of a sequence of quadruples, in natural order: each holds the files of all frames; the paths of the frames are
              those in the first
    cod       numbers of the published layout of pickles, by field
    """

    path: Path
    kind: str | None = None
    distance_from: str | None = None
    lens: Path | None = None
    side: str | None = None
    values: dict[str, Value] = field(default_factory=dict)
    linear: bool | None = None
    black_level: tuple[float, ...] | None = None
    white_level: float | None = None
    psf: str | None = None
    psf_core_px: float | None = None
    kappa: float | None = None
    gain_e_per_dn: float | None = None
    read_noise_e: float | None = None
    frames: tuple[SidecarFrame, ...] = ()
    folders: tuple[Path, ...] = ()
    cod: dict[str, float] = field(default_factory=dict)
    swap: bool | None = None
    axis: str | None = None
    y_scale: float | None = None
    known_depths: tuple[KnownDepth, ...] = ()


def read_sidecar(path) -> Sidecar:
    """Read and check a capture.toml.

    Raises ValueError, naming the key, for anything that interface and physics do not allow; OSError for the file itself
    or an image that is missing.
    """
    path = Path(path)
    document = _parse(path)
    camera, cod = document.pop("camera", {}), document.pop("cod", {})
    tables, known = (_tables(path, document, name) for name in ("frames", "known_depths"))
    for name, table in (("camera", camera), ("cod", cod)):
        if not isinstance(table, dict):
            raise ValueError(f"{path}: {name} must be one table, written [{name}]")
    top = _checked(path, "", document)
    if "y_scale" in top:
        top["y_scale"] = top["y_scale"].value
    top["known_depths"] = tuple(_known_depth(path, index, table) for index, table in enumerate(known))
    camera = _checked(path, "camera", camera)
    numbers = {name: camera.pop(name) for name in tuple(camera) if isinstance(camera[name], Value)}
    plain = {name: numbers.pop(name).value for name in
             ("white_level", "psf_core_px", "kappa", "gain_e_per_dn", "read_noise_e") if name in numbers}
    if "lens" in top:
        top["lens"] = path.parent / top["lens"]
    cod = {name: value.value for name, value in _checked(path, "cod", cod).items()}
    top["folders"] = folders = _folders(path, top.get("folders"), tables, top.get("kind"))
    first = folders[0] if folders else path.parent
    frames = tuple(_frame(path, index, table, first) for index, table in enumerate(tables))
    _check_frames(path, frames)
    return Sidecar(path=path, values=numbers, frames=frames, cod=cod, **top, **camera, **plain)


def _tables(path, document, name):
    """The tables of one name, taken out of the document."""
    tables = document.pop(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{path}: {name} must be tables, each written [[{name}]]")
    return tables


def _parse(path):
    """The TOML document.  Windows editors put a byte-order mark in front; it is skipped."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except FileNotFoundError as error:
        raise OSError(f"{path}: no such file; check the path") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8") from error
    except RecursionError as error:
        raise ValueError(f"{path}: brackets are nested too deeply; see the example in the documentation") from error
    except ValueError as error:  # TOMLDecodeError among them; its text ends with line and column
        raise ValueError(f"{path}: not valid TOML: {_one_line(error)}; correct the text there") from error


def _checked(path, place, table) -> dict:
    """One table with every key known and every value of the right type and range; numbers become Values by field."""
    rows, found = _TABLES[_kind_of(place)], {}
    for key, value in table.items():
        name = f"{path}: {place}.{key}" if place else f"{path}: {key}"
        row = rows.get(key)
        if row is None:
            raise ValueError(_unknown(path, place, key, rows))
        if isinstance(row, Number):
            found[row.field] = Value(to_si(name, value, row), None, NAME)
        elif isinstance(row, Levels):
            found[key] = _levels(name, value)
        elif isinstance(row, Flag):
            found[key] = _flag(name, value)
        else:
            found[key] = _word(name, value, row)
    for first, second in _EXCLUSIVE:
        if first in table and second in table:
            raise ValueError(f"{path}: {place} has both {first} and {second}; keep one of them")
    return found


def _kind_of(place):
    """frames[3] -> frames[]."""
    return f"{place.split('[')[0]}[]" if "[" in place else place


def _unknown(path, place, key, rows):
    """An unknown key, with the nearest one that is known, or the table that it belongs to."""
    where = f"{place}.{shortened(key)}" if place else shortened(key)
    near = difflib.get_close_matches(key, rows, n=1, cutoff=0.6)
    homes = [table for table, keys in _TABLES.items() if key in keys]
    if homes:
        return f"{path}: {where} stands in the wrong place; move it to {_HOMES[homes[0]]}"
    if near:
        return f"{path}: {where} is not a key of capture.toml; did you mean {near[0]}?"
    return f"{path}: {where} is not a key of capture.toml; known here: {', '.join(rows)}"


def _levels(name, value) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    if not 1 <= len(values) <= 4:
        raise ValueError(f"{name} has {len(values)} numbers; give one number, or one per channel")
    return tuple(to_si(name, number, Number("", "in file units", positive=False)) for number in values)


def _flag(name, value) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} ({shortened(value)}) must be true or false, without quotes")
    return value


def _word(name, value, row) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} ({shortened(value)}) must be text in quotes")
    if row.choices and value not in row.choices:
        near = difflib.get_close_matches(value, row.choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} ({shortened(value)}) must be one of {', '.join(row.choices)}{hint}")
    if not value or not value.isprintable():
        raise ValueError(f"{name} ({shortened(value)}) must be a name of printable characters")
    return value


def _folders(path, pattern, tables, kind) -> tuple[Path, ...]:
    """The folders beside capture.toml whose names match a pattern such as "t*", in natural order; none without a pattern."""
    if pattern is None:
        return ()
    if kind not in (None, "differential-quad") or not tables:
        raise ValueError(f"{path}: folders ({shortened(pattern)}) is for a sequence of kind differential-quad, whose four "
                         "[[frames]] name the files in each folder; leave it out or add them")
    found = [item for item in path.parent.iterdir()
             if item.is_dir() and not item.name.startswith(".") and fnmatch.fnmatchcase(item.name, pattern)]
    if not found:
        raise OSError(f"{path}: folders ({shortened(pattern)}) matches no folder beside it; write the names with * for what "
                      'differs, such as folders = "t*"')
    return tuple(sorted(found, key=natural_key))


def _frame(path, index, table, folder) -> SidecarFrame:
    place = f"frames[{index}]"
    if "file" not in table:
        raise ValueError(f'{path}: {place} has no file; add file = "..." to this [[frames]] table')
    values = _checked(path, place, table)
    image = _inside(path, f"{place}.file", values.pop("file"), folder)
    parts = {name: values.pop(name) for name in ("reference", "view", "role", "black_level", "white_level", "white_sheet")
             if name in values}
    if "white_sheet" in parts:
        parts["white_sheet"] = _inside(path, f"{place}.white_sheet", parts["white_sheet"], folder)
    if "white_level" in parts:
        parts["white_level"] = parts["white_level"].value
    return SidecarFrame(image, values, **parts)


def _known_depth(path, index, table) -> KnownDepth:
    place = f"known_depths[{index}]"
    lacking = [key for key in ("x_px", "y_px", "depth_m") if key not in table]
    if lacking:
        raise ValueError(f"{path}: {place} has no {lacking[0]}; add {lacking[0]} = ... to this [[known_depths]] table")
    given = {name.rpartition("_")[0]: value.value for name, value in _checked(path, place, table).items()}
    try:
        return KnownDepth(**given)
    except ValueError as error:
        raise ValueError(f"{path}: {place}: {error}") from error


def _inside(path, key, name, folder) -> Path:
    """An image file that a key names, in or below a folder, links followed."""
    try:
        resolved, root = (folder / name).resolve(), folder.resolve()
        exists = resolved.is_file()
    except (RuntimeError, OSError) as error:  # a loop of links, a name that is too long
        raise OSError(f"{path}: {key} ({shortened(name)}) cannot be opened ({_one_line(error)}); check the name") \
            from error
    if not resolved.is_relative_to(root):
        raise ValueError(f"{path}: {key} ({shortened(name)}) lies outside the folder {folder}; move the image into "
                         "it, or capture.toml beside the image")
    if not exists:
        where = "" if folder == path.parent else f" in {folder.name}"
        raise OSError(f"{path}: {key} ({shortened(name)}): no such file{where}; check the name")
    return folder / name


def _check_frames(path, frames):
    """No file twice, one reference at most."""
    seen: dict[Path, int] = {}
    for index, frame in enumerate(frames):
        first = seen.setdefault(frame.path.resolve(), index)
        if first != index:
            raise ValueError(f"{path}: frames[{first}] and frames[{index}] are the same file ({frame.path.name}); "
                             "remove one of them")
    references = [index for index, frame in enumerate(frames) if frame.reference]
    if len(references) > 1:
        raise ValueError(f"{path}: frames[{references[0]}] and frames[{references[1]}] both have reference = true; "
                         "outputs are in the grid of one frame, remove one of them")


def _one_line(error) -> str:
    return " ".join(str(error).split())
