"""Which files are the frames: a folder, a list of files or a capture.toml -> files in the order that the user sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfd.io.frames import is_raw
from dfd.io.images import FORMATS
from dfd.io.names import natural_key
from dfd.io.portrait import refusal
from dfd.io.sidecar import NAME, Sidecar, SidecarFrame, read_sidecar
from dfd.io.wording import counted

_OWN = {"result.json": {"depth", "sigma", "confidence", "allfocus", "index"}, "truth.json": {"truth"}}
"""Record that `dfd depth` or `dfd simulate` writes into a folder -> stems of the pictures beside it that are no frames."""


@dataclass(frozen=True)
class Inputs:
    """files in input order; entries their [[frames]] tables (None where there is none); sidecar None without one."""

    files: tuple[Path, ...]
    entries: tuple[SidecarFrame | None, ...]
    sidecar: Sidecar | None
    warnings: tuple[str, ...]


def find_inputs(inputs, *, least: int = 2) -> Inputs:
    """The frames named by one folder, one capture.toml, or image files.

    A folder means its capture.toml where there is one (all its [[frames]]; all images if it has none), else all its
    images in natural order.  Image files keep the order given, and the capture.toml of their common folder applies.
    Raises OSError for what is missing or no image, ValueError for a mixture or fewer than `least` frames.
    """
    paths = [Path(inputs)] if isinstance(inputs, (str, Path)) else [Path(item) for item in inputs]
    if not paths:
        raise ValueError("no input: give a folder, two or more image files, or a capture.toml")
    special = [path for path in paths if path.is_dir() or path.suffix.lower() == ".toml"]
    if special and len(paths) > 1:
        raise ValueError(f"{special[0]}: give one folder, one capture.toml, or image files; not a mixture of "
                         f"{len(paths)} inputs")
    if special:
        found = _from_folder(special[0]) if special[0].is_dir() else _from_sidecar(special[0])
    else:
        found = _from_files(paths)
    check_count(found, least)
    return found


def check_count(found: Inputs, least: int = 2) -> None:
    """Raises ValueError for fewer than `least` frames."""
    if len(found.files) < least:
        number = counted(len(found.files), "image", "images")
        raise ValueError(f"{found.files[0]}: {number}, at least 2 are needed; depth from defocus compares images with "
                         "different focus or aperture")


def _from_sidecar(path):
    sidecar = read_sidecar(path)
    if sidecar.cod:
        raise ValueError(f"{path}: [cod] is of pickles, not of images; leave it out, or give dfd depth the pickle")
    if sidecar.frames:
        for frame in sidecar.frames:
            _check_suffix(frame.path)
        return Inputs(tuple(frame.path for frame in sidecar.frames), sidecar.frames, sidecar, ())
    files, warnings = _images_in(path.parent)
    return Inputs(files, (None,) * len(files), sidecar, warnings)


def _from_folder(folder):
    if (folder / NAME).is_file():
        return _from_sidecar(folder / NAME)
    files, warnings = _images_in(folder)
    return Inputs(files, (None,) * len(files), None, warnings)


def _from_files(paths):
    seen = {}
    for path in paths:
        if not path.is_file():
            raise OSError(f"{path}: no such file; check the path")
        _check_suffix(path)
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            raise ValueError(f"{path}: the same file is given twice; every frame of a capture is its own file")
    folders = {path.parent.resolve() for path in paths}
    beside = paths[0].parent / NAME
    sidecar = read_sidecar(beside) if len(folders) == 1 and beside.is_file() else None
    entries = {frame.path.resolve(): frame for frame in sidecar.frames} if sidecar else {}
    kept, warnings = (paths, ()) if all(path in entries for path in seen) else _without_developed(paths)
    return Inputs(tuple(kept), tuple(entries.get(path.resolve()) for path in kept), sidecar, warnings)


def _check_suffix(path):
    if not _readable(path):
        if refusal(path):
            raise ValueError(refusal(path))
        raise OSError(f"{path}: not an image that dfd reads; it reads TIFF, PNG, JPEG, PGM, npy and RAW files, "
                      "known by their suffix")


def _readable(path) -> bool:
    return is_raw(path) or path.suffix.lower() in FORMATS


def _images_in(folder):
    """All images of a folder in natural order; a RAW file stands for the pictures developed from it."""
    own = set().union(*(stems for record, stems in _OWN.items() if (folder / record).is_file()))
    files = [path for path in folder.iterdir()
             if path.is_file() and not path.name.startswith(".") and _readable(path) and path.stem not in own]
    if not files:
        raise OSError(f"{folder}: no images in this folder{_below(folder)}; dfd reads TIFF, PNG, JPEG, PGM, npy and RAW "
                      "files")
    kept, warnings = _without_developed(sorted(files, key=natural_key))
    return tuple(kept), warnings


def _below(folder):
    """Where images lie instead, one level down, in words; "" where they do not."""
    inner = sorted((path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")), key=natural_key)
    filled = [path for path in inner if any(_readable(file) and file.is_file() for file in path.iterdir())]
    if not filled:
        return ""
    return f", but in {counted(len(filled), 'folder', 'folders')} below it; one scene is solved at a time, give {filled[0]}"


def _without_developed(paths):
    """(files, warnings) without the pictures of shots whose RAW file is there too: same folder, same name but the suffix."""
    def shot(path):
        return path.parent.resolve(), path.stem.casefold()

    shots = {shot(path) for path in paths if is_raw(path)}
    developed = [path for path in paths if not is_raw(path) and shot(path) in shots]
    if not developed:
        return paths, ()
    return [path for path in paths if path not in developed], (
        f"{developed[0].parent}: {counted(len(developed), 'picture stands', 'pictures stand')} beside a RAW file of the "
        f"same name ({min(developed, key=natural_key).name}); the RAW files are used",)
