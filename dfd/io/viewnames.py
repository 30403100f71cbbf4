"""Which two files of a folder are the left and the right view of one dual-pixel capture, by their names.

A name is cut at _ - . and blanks; one of its words must be l, left, r or right, in any case, and the other file must differ
in that word alone: 005_L.jpg and 005_R.jpg, l.png and r.png, x_left.pgm and x_right.pgm, left-3.tif and right-3.tif.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dfd.io.names import natural_key

_WORDS = {"l": "left", "left": "left", "r": "right", "right": "right"}
_LONG = ("left", "right")


def pairs_by_name(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """(left, right) of every pair, in natural order of the names."""
    found: dict[tuple, dict[str, Path]] = {}
    for path in paths:
        for key, view in _readings(path):
            found.setdefault(key, {}).setdefault(view, path)
    pairs = {(views["left"], views["right"]) for views in found.values() if len(views) == 2}
    return sorted(pairs, key=lambda pair: natural_key(pair[0]))


def view_by_name(path: Path) -> str | None:
    """left or right where one word of the name says so, else None."""
    views = {view for _, view in _readings(path)}
    return views.pop() if len(views) == 1 else None


def _readings(path):
    """((folder, suffix, the name without that word, l or left), view) for every word of a name that is a view."""
    words = re.split(r"([_\-.\s]+)", path.stem.casefold())
    for place, word in enumerate(words):
        if word in _WORDS:
            rest = (*words[:place], *words[place + 1:])
            yield (path.parent, path.suffix.casefold(), rest, place, word in _LONG), _WORDS[word]
