"""A folder of results appears whole or not at all: written beside its place under a temporary name, then renamed."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

_MARKER = "result.json"
MARKERS = {_MARKER: "dfd-result", "truth.json": "dfd-truth"}
"""File that marks a folder as written by dfd -> what its "schema" begins with; its "files" list all that is there."""


def check_target(folder, *, force: bool = False, marker: str = _MARKER) -> Path:
    """The absolute path of an output folder that can be written; call it before the heavy work.

    An existing folder needs `force`, and must then be empty or one that dfd wrote: it holds `marker`, one of MARKERS, and
    nothing that the "files" of the marker do not list, hidden files included, nor does a folder in it by its own marker;
    so a mistyped name never deletes photographs.
    Raises OSError: the folder exists, is a file, holds other things, or its parent cannot be written.
    """
    target = Path(os.path.realpath(folder))
    if target.exists():
        _check_existing(target, folder, force, marker)
    ancestor = target.parent
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir():
        raise NotADirectoryError(f"{folder}: cannot be created because {ancestor} is a file; choose another -o DIR")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder}: no permission to write into {ancestor}; choose another -o DIR")
    return target


def read_json(path) -> object:
    """The content of a JSON file.  Raises OSError when it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OSError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise OSError(f"{path}: a folder, not a JSON file; give the file in it") from None
    except RecursionError:
        raise OSError(f"{path}: not a JSON file of dfd (its lists nest too deep); give a file that dfd wrote") from None
    except ValueError as error:  # of the text, its encoding, or a number too long
        raise OSError(f"{path}: not a JSON file; give a file that dfd wrote") from error


@contextmanager
def new_folder(folder, *, force: bool = False, marker: str = _MARKER):
    """Yield an empty temporary folder that becomes `folder` when the block ends without an exception.

    On any exception, Ctrl-C included, the temporary folder and the parents made for it are removed; with `force` the
    old folder stays as it was until the new one is complete.  Raises OSError as `check_target` does, and for a full disk.
    """
    target = check_target(folder, force=force, marker=marker)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    parents = [parent for parent in target.parents if not parent.exists()]
    try:
        try:
            temporary.mkdir(parents=True)
        except OSError as error:
            raise OSError(f"{folder}: cannot write into {target.parent} ({error.strerror}); "
                          "choose another -o DIR") from error
        yield temporary
        _move_in(temporary, target, folder, force)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in parents:
            with suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError) and is_full(error):
            raise DiskFull(f"{folder}: the disk is full; free some space, or choose another -o DIR") from error
        raise


class DiskFull(OSError):
    """A disk, a quota or a limit of file size stopped the writing; nothing was left."""


def is_full(error: OSError) -> bool:
    """Whether that is what an error says; NumPy tells it in words only."""
    return (isinstance(error, DiskFull) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            or "requested and" in str(error))


def _check_existing(target, folder, force, marker):
    if not target.is_dir():
        raise FileExistsError(f"{folder}: is a file, not a folder; choose another -o DIR")
    if not force:
        raise FileExistsError(f"{folder}: exists already; choose another -o DIR, or pass --force to replace it")
    if not os.listdir(target):
        return
    listed = _listed(target, marker)
    if listed is None:
        raise FileExistsError(f"{folder}: holds files but no {marker} of dfd, so --force does not delete it; choose "
                              "another -o DIR or remove the folder yourself")
    foreign = _foreign(target, listed)
    if foreign is not None:
        raise FileExistsError(f"{folder}: holds {foreign.relative_to(target)} that dfd did not write, so --force does not "
                              "delete it; move it away or choose another -o DIR")


def _listed(folder, marker) -> list | None:
    """Names that the marker of a folder lists, its own included; None where it is no marker that dfd wrote."""
    try:
        record = json.loads((folder / marker).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not (isinstance(record, dict) and str(record.get("schema")).startswith(MARKERS[marker])):
        return None
    files = record.get("files")
    return [*files, marker] if isinstance(files, dict | list) else None


def _foreign(folder, listed) -> Path | None:
    """The first thing in a folder, or in the folders in it, that the marker beside it does not list; None without any.

    Hidden files count, and links, because dfd writes none.
    """
    for path in sorted(folder.iterdir()):
        if path.name not in listed or path.is_symlink():
            return path
        if path.is_dir():
            below = next((names for marker in MARKERS if (names := _listed(path, marker)) is not None), ())
            found = _foreign(path, below)
            if found is not None:
                return found
    return None


def _move_in(temporary, target, folder, force):
    """Rename into place; an old folder steps aside first, comes back if that fails, and is deleted last."""
    if not target.exists():
        os.rename(temporary, target)
        return
    if not force:
        raise FileExistsError(f"{folder}: was created by another program meanwhile; choose another -o DIR")
    aside = temporary.with_suffix(".old")
    os.rename(target, aside)
    try:
        os.rename(temporary, target)
    except BaseException:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
