"""The checksums of all files that a capture is made of, by which a record names what was read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfd.io.frames import Frame
from dfd.io.integrity import sha256
from dfd.threads import in_order


def digests(frames: Sequence[Frame], workers: int) -> tuple[tuple[str, str], ...]:
    """(path, sha256) of every file, read by so many threads; one that holds two frames, or lights two views, counts once.

    Raises ValueError when two files are the same picture, OSError for a file that cannot be read.
    """
    paths: list[Path] = list(dict.fromkeys(path for frame in frames for path in frame.files))
    found: dict[str, str] = {}
    for path, digest in zip(paths, in_order(sha256, paths, workers), strict=True):
        first = found.setdefault(digest, str(path))
        if first != str(path):
            views = any(frame.view for frame in frames)
            step = "the two views of a dual-pixel pair differ, export them again" if views else "leave one of them out"
            raise ValueError(f"{path}: the same picture as {first}, to the last byte; {step}")
    return tuple((path, digest) for digest, path in found.items())
