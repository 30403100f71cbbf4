"""The arrays beside a lens profile: lens.json keeps numbers, lens.npz of the same stem what is too much for text.

The profile names the file and its SHA-256 under "sidecar", so that neither is taken for the other's of an earlier run.
An update writes a second file, lens.1a2b3c4d.npz by its digest, then the profile that names it, and removes the first file
last: the two belong together at every moment.
Keys are "part/name": "focus/coc", "psf/kernels"; each part is written, and replaced, as a whole.
"""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path

import numpy as np

from dfd.io.integrity import sha256
from dfd.profile import LensProfile

_DIGITS = 8
"""Of the digest, in the name of an update's file."""


def load_arrays(profile_path, data: dict) -> dict[str, np.ndarray]:
    """Every array of the sidecar of the profile at `profile_path`, whose content is `data`, by key; {} where it has none.

    Raises OSError when the file is missing, damaged or not the one that the profile was written with.
    """
    stated = data.get("sidecar") or {}
    if not stated:
        return {}
    profile_path = Path(profile_path)
    if not isinstance(stated.get("file"), str) or Path(stated["file"]).name != stated["file"]:
        raise ValueError(f"{profile_path}: sidecar.file ({stated.get('file')!r}) must be the name of a file beside the "
                         "profile; calibrate again to write it")
    path = profile_path.with_name(stated["file"])
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, but {profile_path.name} keeps its arrays there; move it beside the "
                                "profile, or calibrate again")
    found = sha256(path)
    if found != stated.get("sha256"):
        raise OSError(f"{path}: not the file that {profile_path.name} was written with (SHA-256 {found[:12]}, the profile "
                      f"says {str(stated.get('sha256'))[:12]}); bring the two together, or calibrate again")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except Exception as error:  # whatever a damaged header makes of numpy, zipfile and zlib
        raise OSError(f"{path}: cannot be read as npz ({' '.join(str(error).split())}); calibrate again") from error


def check_free(profile_path, data: dict) -> None:
    """Refuse, with FileExistsError, an .npz of the profile's stem where `data`, its content, names no sidecar."""
    profile_path = Path(profile_path)
    path = profile_path.with_suffix(".npz")
    if path.exists() and not _own(profile_path, data):
        raise FileExistsError(f"{path}: exists already and {profile_path.name} does not name it as its sidecar; move it "
                              "away or choose another name for the profile")


def commit(profile_path, data: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write the profile `data` with `arrays` beside it; a file of arrays that it named before goes when both are there.

    A crash between leaves the old pair and one file more, never half a pair.  Raises what `save` and LensProfile raise.
    """
    profile_path = Path(profile_path)
    LensProfile(data)  # checked before anything is written
    before, content = _own(profile_path, data), save(profile_path, data, arrays)
    after = content["sidecar"]["file"]
    try:
        LensProfile(content).save(profile_path)
    except BaseException:
        if after != before:
            profile_path.with_name(after).unlink(missing_ok=True)
        raise
    if before and after != before:
        profile_path.with_name(before).unlink(missing_ok=True)


def save(profile_path, data: dict, arrays: dict[str, np.ndarray]) -> dict:
    """`data` with a sidecar that holds `arrays` too, written beside `profile_path`; `data` itself is not changed.

    A part of which `arrays` has a key is replaced whole, the other parts of the sidecar that `data` names are kept.  The
    file is complete or not there, and replaces none but its own copy: what `data` names stays as it is.
    Raises OSError for files, a file of the same name that the profile does not name among them; ValueError for keys,
    TypeError for arrays of objects.
    """
    profile_path = Path(profile_path)
    _check(arrays)
    path = profile_path.with_suffix(".npz")
    kept = load_arrays(profile_path, data)
    check_free(profile_path, data)
    replaced = {_part(key) for key in arrays}
    merged = {key: value for key, value in kept.items() if _part(key) not in replaced} | arrays
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, **merged)
        digest = sha256(partial)
        if path.exists():
            path = path.with_name(f"{path.stem}.{digest[:_DIGITS]}.npz")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return {**copy.deepcopy(data), "sidecar": {"file": path.name, "sha256": digest}}


def _own(profile_path, data):
    """Name of the sidecar that `data` names, if it is one of this profile's stem; else None."""
    name = (data.get("sidecar") or {}).get("file") or ""
    stem = re.escape(profile_path.with_suffix("").name)
    return name if re.fullmatch(rf"{stem}(\.[0-9a-f]{{{_DIGITS}}})?\.npz", name) else None


def _part(key):
    return key.split("/")[0]


def _check(arrays):
    for key, value in arrays.items():
        if not all(key.split("/")) or "/" not in key:
            raise ValueError(f"array {key!r} has no part in its key; name it part/name, such as focus/coc")
        if np.asarray(value).dtype.hasobject:
            raise TypeError(f"array {key!r} holds Python objects, which the sidecar never does; convert it to numbers")
