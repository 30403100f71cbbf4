"""Read capture.toml: everything that the image files themselves do not say.  One table of keys, checked strictly.

Every error is one line: file, place, value with unit, limit, next step.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path

from dfd.anchors import KnownDepth
from dfd.io.keys import CAMERA, COD, FRAME, KNOWN_DEPTH, TOP, shortened
from dfd.io.names import natural_key
from dfd.io.tomltables import Tables, inside
from dfd.settings import Value

NAME = "capture.toml"
_TABLES = Tables(
    NAME, {"": TOP, "camera": CAMERA, "cod": COD, "frames[]": FRAME, "known_depths[]": KNOWN_DEPTH},
    {"": "the top of the file, before any table", "camera": "[camera]", "cod": "[cod]", "frames[]": "[[frames]]",
     "known_depths[]": "[[known_depths]]"}, number=lambda value: Value(value, None, NAME))
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
    document = _TABLES.parse(path)
    camera, cod = document.pop("camera", {}), document.pop("cod", {})
    tables, known = (_tables(path, document, name) for name in ("frames", "known_depths"))
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


def _checked(path, place, table) -> dict:
    """One table with every key known and every value of the right type and range; numbers become Values by field."""
    found = _TABLES.checked(path, place, table)
    for first, second in _EXCLUSIVE:
        if first in table and second in table:
            raise ValueError(f"{path}: {place} has both {first} and {second}; keep one of them")
    return found


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
    image = inside(path, f"{place}.file", values.pop("file"), folder)
    parts = {name: values.pop(name) for name in ("reference", "view", "role", "black_level", "white_level", "white_sheet")
             if name in values}
    if "white_sheet" in parts:
        parts["white_sheet"] = inside(path, f"{place}.white_sheet", parts["white_sheet"], folder)
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
