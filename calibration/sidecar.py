"""The arrays beside a lens profile: lens.json keeps numbers, lens.npz of the same stem what is too much for text.

The profile names the file and its SHA-256 under "sidecar", so that neither is taken for the other's of an earlier run.
Keys are "part/name": "focus/coc", "psf/kernels"; each part is written, and replaced, as a whole.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np

from dfd.io.integrity import sha256


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


def save(profile_path, data: dict, arrays: dict[str, np.ndarray]) -> dict:
    """`data` with a sidecar that holds `arrays` too, written beside `profile_path`; `data` itself is not changed.

    A part of which `arrays` has a key is replaced whole, the other parts of the sidecar that `data` names are kept.  The
    file is complete or not there; write the returned content to `profile_path` right after: the one belongs to the other.
    Raises OSError for files, a file of the same name that the profile does not name among them; ValueError for keys,
    TypeError for arrays of objects.
    """
    profile_path = Path(profile_path)
    _check(arrays)
    path = profile_path.with_suffix(".npz")
    kept = load_arrays(profile_path, data)
    if path.exists() and (data.get("sidecar") or {}).get("file") != path.name:
        raise FileExistsError(f"{path}: exists already and {profile_path.name} does not name it as its sidecar; move it "
                              "away or choose another name for the profile")
    replaced = {_part(key) for key in arrays}
    merged = {key: value for key, value in kept.items() if _part(key) not in replaced} | arrays
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, **merged)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return {**copy.deepcopy(data), "sidecar": {"file": path.name, "sha256": sha256(path)}}


def _part(key):
    return key.split("/")[0]


def _check(arrays):
    for key, value in arrays.items():
        if not all(key.split("/")) or "/" not in key:
            raise ValueError(f"array {key!r} has no part in its key; name it part/name, such as focus/coc")
        if np.asarray(value).dtype.hasobject:
            raise TypeError(f"array {key!r} holds Python objects, which the sidecar never does; convert it to numbers")
