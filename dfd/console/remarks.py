"""What C libraries print by themselves (LibRaw, libjpeg, libpng write to file descriptor 2) is put aside while the command
runs, so that an error stays one line and a progress bar one bar; after a success it is told as warnings.

Only the process of the `dfd` command does this: the library never touches the descriptors of a program that imports it.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager

_MOST_LINES = 5


@contextmanager
def remarks_aside():
    """Yield a function that returns what was printed so far, as lines without repeats.

    Within the block sys.stderr still writes to the real stderr, and a crash in C is reported there.  Where there is no
    stderr, or no place for a temporary file, nothing is put aside.
    """
    with ExitStack() as stack:
        try:
            python = sys.stderr
            aside = stack.enter_context(tempfile.TemporaryFile())
            real = stack.enter_context(os.fdopen(os.dup(2), "w", encoding=python.encoding, errors="backslashreplace",
                                                 buffering=1))
        except (OSError, AttributeError):
            yield list
            return
        python.flush()
        stack.callback(_restore, python, real)
        os.dup2(aside.fileno(), 2)
        sys.stderr = real
        faulthandler.enable(file=real)
        yield lambda: _lines(aside)


def _restore(python, real):
    faulthandler.disable()
    real.flush()
    os.dup2(real.fileno(), 2)
    sys.stderr = python


def _lines(file) -> list[str]:
    """The first few different lines of a binary file."""
    file.seek(0)
    lines = file.read().decode(errors="replace").splitlines()
    return list(dict.fromkeys(filter(None, (" ".join(line.split()) for line in lines))))[:_MOST_LINES]
