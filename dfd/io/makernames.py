"""Maker and model of a camera as the container of its RAW file states them: rawpy does not pass them on.

TIFF and its relatives, Fuji RAF, Canon CRW (CIFF heap, record 0x080a) and Canon CR3 (the TIFF in box CMT1).
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEAD = 1 << 20  # bytes: in TIFF and CR3 the names stand near the beginning
_MAKE, _MODEL, _TEXT = 271, 272, 2
_RAF, _RAF_MODEL = b"FUJIFILMCCD-RAW ", slice(28, 60)
_CIFF, _CIFF_NAMES, _CIFF_FOLDERS = b"HEAPCCDR", 0x080A, (0x2800, 0x3000)
_DEPTH = 8


def read_names(path) -> tuple[str | None, str | None]:
    """(make, model) of a RAW file; None for what is not found.  Raises OSError when the file cannot be opened."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    try:
        if head.startswith(_RAF):
            return "FUJIFILM", _text(head[_RAF_MODEL])
        if head[6:14] == _CIFF:
            return _ciff_names(Path(path).read_bytes())
        if head[4:8] == b"ftyp":
            head = head[head.index(b"CMT1") + 4:]
        return _tiff_names(head)
    except (struct.error, ValueError, IndexError):
        return None, None


def _text(raw: bytes) -> str | None:
    text = raw.split(b"\0")[0].decode("ascii", "ignore").strip()
    return text if text and text.isprintable() else None


def _tiff_names(data):
    """Tags 271 and 272 of the first directory of a TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or struct.unpack_from(order + "H", data, 2)[0] == 43:
        return None, None
    place = struct.unpack_from(order + "I", data, 4)[0]
    found = {}
    for index in range(struct.unpack_from(order + "H", data, place)[0]):
        entry = place + 2 + 12 * index
        tag, kind, length, start = struct.unpack_from(order + "HHII", data, entry)
        if tag in (_MAKE, _MODEL) and kind == _TEXT:
            start = entry + 8 if length <= 4 else start
            found[tag] = _text(data[start:start + length])
    return found.get(_MAKE), found.get(_MODEL)


def _ciff_names(data):
    """The two texts of the record 0x080a, anywhere in the tree of heaps."""
    order = "<" if data[:2] == b"II" else ">"
    heaps = [(struct.unpack_from(order + "I", data, 2)[0], len(data), 0)]
    while heaps:
        start, end, depth = heaps.pop()
        table = start + struct.unpack_from(order + "I", data, end - 4)[0]
        for index in range(struct.unpack_from(order + "H", data, table)[0]):
            kind, length, offset = struct.unpack_from(order + "HII", data, table + 2 + 10 * index)
            if kind == _CIFF_NAMES:
                make, model = data[start + offset:start + offset + length].split(b"\0")[:2]
                return _text(make), _text(model)
            if kind & 0x3800 in _CIFF_FOLDERS and depth < _DEPTH:
                heaps.append((start + offset, start + offset + length, depth + 1))
    return None, None
