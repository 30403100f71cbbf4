"""Portable float maps (Debevec): floats whose rows run bottom-up; the sign of the scale in the header is the byte order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

_HEADER = re.compile(rb"(P[Ff])\s(?:\s*#[^\n]*\n)*\s*(\d+)\s+(\d+)\s+([-+.0-9eE]+)[ \t\r]*\n")


def read_pfm(path) -> np.ndarray:
    """(H, W) float32 of a file of one channel, top row first; infinity becomes NaN, the size of the scale is ignored.

    Raises OSError for a file that is missing, of another kind (three channels: PF) or cut.
    """
    path = Path(path)
    data = path.read_bytes()
    header = _HEADER.match(data)
    if header is None or header[1] != b"Pf":
        raise OSError(f"{path}: not a PFM file of one channel (it must begin with Pf, width, height and scale)")
    width, height = int(header[2]), int(header[3])
    try:
        order = "<f4" if float(header[4]) < 0 else ">f4"
    except ValueError:
        raise OSError(f"{path}: its scale ({header[4].decode()}) must be a number; the file is damaged, copy it again") \
            from None
    size = len(data) - header.end()
    if width * height == 0 or size < 4 * width * height:
        raise OSError(f"{path}: {size} bytes of pixels instead of {4 * width * height} for {width} x {height}; the file is "
                      "cut")
    values = np.frombuffer(data, order, width * height, header.end()).reshape(height, width)[::-1].astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def write_pfm(path, values) -> Path:
    """Write an (H, W) map as little-endian float32, NaN as infinity; return the path.  Raises OSError."""
    values = np.asarray(values, np.float32)
    stored = np.where(np.isnan(values), np.float32(np.inf), values)[::-1].astype("<f4")
    Path(path).write_bytes(b"Pf\n%d %d\n-1\n" % (values.shape[1], values.shape[0]) + stored.tobytes())
    return Path(path)
