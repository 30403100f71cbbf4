"""Arrays of a LensProfile: an NPZ file beside the JSON, named with its SHA-256 in `sidecar`, read only when one is needed.

    {"sidecar": {"file": "lens.npz", "sha256": "..."}, "covariance": {"names": [...], "matrix": "npz:cov"}}
"""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dfd.lensfile import section
from dfd.lensrules import ARRAY


def read_array(data: dict, reference: str, folder) -> np.ndarray:
    """The array that the text `reference`, "npz:KEY", of a profile's content names.

    folder   of the profile's file; None for a profile that was read from none
    Raises OSError for a file that is missing, changed since the profile was written, or broken; ValueError for a profile
    that names no file, or a key that the file does not have.
    """
    named, key = section(data, "sidecar"), reference.removeprefix(ARRAY)
    if not named.get("file") or folder is None:
        raise ValueError(f"the profile's {reference} needs the file that sidecar.file names, and it "
                         f"{'names none' if folder is not None else 'was read from no file'}; load the profile by its path, "
                         "as calibration wrote it")
    path, content = _content(named, folder)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            if key in stored:
                return stored[key]
    except (ValueError, OSError, EOFError, zlib.error, BadZipFile) as error:
        raise OSError(f"{path}: not the arrays of a lens profile: broken NPZ; calibrate again") from error
    raise ValueError(f"{path}: no array {key!r}, which the lens profile names; calibrate again")


def check_arrays(data: dict, folder) -> None:
    """Raises OSError when the file that a profile names is missing or changed; nothing where it names none.

    folder   of the profile's file; None for a profile that was read from none
    """
    named = section(data, "sidecar")
    if named.get("file") and folder is not None:
        _content(named, folder)


def _content(named, folder):
    """(path, bytes) of the file that `named`, the profile's sidecar, describes."""
    path = Path(folder) / named["file"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OSError(f"{path}: the arrays of the lens profile cannot be read ({error.strerror}); copy the file together "
                      "with the profile") from error
    if hashlib.sha256(content).hexdigest() != named.get("sha256"):
        raise OSError(f"{path}: the arrays are not those of the lens profile (SHA-256 differs); copy both files together, "
                      "or calibrate again")
    return path, content
