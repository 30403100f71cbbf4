"""Hot loops, compiled: numba for the CPU, and an array-level reference that tests hold them against.

What is compiled is kept: beside this file, else in the user's cache folder, else (a package of root, no home) in a private
folder of this user among the temporary files.
"""

import atexit
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import numba
import numpy as np


def sealed(array: np.ndarray) -> np.ndarray:
    """A read-only view: a loop that is given nothing else is compiled once, not again for arrays that can be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def _keep_somewhere():
    """Point numba to a folder that can be written, where it finds none by itself; NUMBA_CACHE_DIR comes first."""
    try:
        numba.njit(cache=True)(_nothing)  # compiles nothing, but looks for a place
    except RuntimeError:
        numba.config.CACHE_DIR = str(_private_folder())


def _nothing():
    return None


def _private_folder() -> Path:
    """A folder that only this user can write: numba runs what lies there.  It lasts, unless its name is taken."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"dfd-numba-{user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not (os.name == "posix" and found.st_mode & 0o077):
        return folder
    folder = Path(tempfile.mkdtemp(prefix="dfd-numba-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_keep_somewhere()
