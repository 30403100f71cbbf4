"""One line on stdout or stderr."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """One line on stdout."""
    print(text)  # noqa: T201


def note(text: str) -> None:
    """One line on stderr, where there is one."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201
