"""A folder of results appears whole or not at all: written beside its place under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

_MARKER = "result.json"


def check_target(folder, *, force: bool = False, marker: str = _MARKER) -> Path:
    """The absolute path of an output folder that can be written; call it before the heavy work.

    An existing folder needs `force`, and must then be one that dfd wrote: it holds `marker`, and nothing that the
    "files" of the marker do not list, so that a mistyped name never deletes photographs.
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
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise OSError(f"{path}: not a JSON file ({error}); give a file that dfd wrote") from error


@contextmanager
def new_folder(folder, *, force: bool = False, marker: str = _MARKER):
    """Yield an empty temporary folder that becomes `folder` when the block ends without an exception.

    On any exception, Ctrl-C included, the temporary folder and the parents made for it are removed; with `force` the
    old folder stays as it was until the new one is complete.  Raises OSError as `check_target` does.
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
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in parents:
            with suppress(OSError):
                parent.rmdir()
        raise


def _check_existing(target, folder, force, marker):
    if not target.is_dir():
        raise FileExistsError(f"{folder}: is a file, not a folder; choose another -o DIR")
    if not force:
        raise FileExistsError(f"{folder}: exists already; choose another -o DIR, or pass --force to replace it")
    found = {name for name in os.listdir(target) if not name.startswith(".")}
    if not found:
        return
    try:
        listed = json.loads((target / marker).read_text(encoding="utf-8")).get("files", found)
    except (OSError, ValueError, AttributeError) as error:
        raise FileExistsError(f"{folder}: holds files but no {marker} of dfd, so --force does not delete it; choose "
                              "another -o DIR or remove the folder yourself") from error
    foreign = sorted(found - set(listed) - {marker})
    if foreign:
        names = foreign[0] + (" and others" if len(foreign) > 1 else "")
        raise FileExistsError(f"{folder}: holds {names} that dfd did not write, so --force does not delete it; move it "
                              "away or choose another -o DIR")


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
