"""Kernels compile and are kept wherever dfd is installed: also in a package of root, for a user without a home."""

import os
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import os, sys
    real = os.makedirs
    def makedirs(name, *rest, **options):  # nothing but the temporary folder can be written
        if not str(name).startswith(os.environ["TMPDIR"]):
            raise PermissionError(13, "Permission denied", str(name))
        real(name, *rest, **options)
    os.makedirs = makedirs
    import numpy as np
    from dfd.kernels.codes import decode
    import numba
    print(decode(np.array([[1, 2, 3]], np.uint16), 0.0, 1.0).shape)
    print(numba.config.CACHE_DIR)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="users and rights differ on Windows")


def run(folder, **more):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, timeout=120,
                          env=environment | {"TMPDIR": str(folder)} | more)
    assert done.returncode == 0, done.stderr
    shape, cache = done.stdout.splitlines()
    assert shape == "(1, 3)"
    return cache


def test_where_no_cache_can_be_written_a_private_folder_of_the_user_is_used_and_lasts(tmp_path):
    folder = tmp_path / f"dfd-numba-{os.getuid()}"
    assert run(tmp_path) == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.rglob("*.nbc"))


@pytest.mark.parametrize("taken", ["open to others", "a link"])
def test_a_folder_that_others_can_write_is_not_trusted(tmp_path, taken):
    folder = tmp_path / f"dfd-numba-{os.getuid()}"
    (tmp_path / "other").mkdir(mode=0o700)
    if taken == "a link":
        folder.symlink_to(tmp_path / "other")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    assert run(tmp_path) not in (str(folder), "")
    assert not list(folder.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, "other"}  # what served instead is gone


def test_the_folder_that_the_user_names_is_used(tmp_path):
    own = tmp_path / "own"
    assert run(tmp_path, NUMBA_CACHE_DIR=str(own)) == str(own)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
