"""Write PNG files of 8 or 16 bits, grey or RGB (ISO/IEC 15948); they are read by `dfd.io.images`."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

_GREY, _RGB, _UP = 0, 2, 2


def write_png(path, codes) -> Path:
    """Write (H, W) or (H, W, 3) uint8 or uint16 codes; return the path.  Raises TypeError for others, OSError."""
    codes = np.asarray(codes)
    if codes.dtype not in (np.uint8, np.uint16) or codes.ndim < 2 or codes.shape[2:] not in ((), (3,)):
        raise TypeError(f"codes ({codes.dtype}, shape {codes.shape}) must be (H, W) or (H, W, 3), uint8 or uint16")
    height, width = codes.shape[:2]
    rows = np.ascontiguousarray(codes.astype(codes.dtype.newbyteorder(">"))).view(np.uint8).reshape(height, -1)
    lines = np.empty((height, rows.shape[1] + 1), np.uint8)
    lines[:, 0] = _UP  # every row as its difference from the one above, which packs better
    lines[0, 1:], lines[1:, 1:] = rows[0], rows[1:] - rows[:-1]
    header = struct.pack(">IIBBBBB", width, height, 8 * codes.dtype.itemsize, _RGB if codes.ndim == 3 else _GREY, 0, 0, 0)
    parts = _chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)), _chunk(b"IEND", b"")
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return Path(path)


def _chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
