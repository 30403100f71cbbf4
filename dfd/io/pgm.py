"""Binary PGM (P5 of Netpbm): grey numbers of one or two bytes, the larger byte first; and those of Google's PDCapture.

That app of the Pixel phones saves its dual-pixel views as 10-bit codes stretched to 16 bits: every value is
floor(code * 65535 / 1023).  They are linear, black is code 64, and the sensor adds two rows into one where the picture is
more than twice as wide as high.  The exact black is not saved.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np

_HEADER = re.compile(rb"P5(?:\s|#[^\n\r]*[\n\r])+(\d+)(?:\s|#[^\n\r]*[\n\r])+(\d+)(?:\s|#[^\n\r]*[\n\r])+(\d+)\s")
_HEADER_BYTES, _MOST = 4096, 65535
_CODES = np.arange(1024) * 65535 // 1023
_LEAST_CODES = 16  # different values: masks of a few levels fit by chance

CAPTURE_BLACK = float(_CODES[64])
"""Black [file units] of PDCapture, nominally."""

_BINNED = 2.0


def open_pgm(path) -> tuple[int, int, int, int]:
    """(height, width, maximum, place of the first byte of the pixels), after checking that all of them are there.

    Raises OSError for a file that is no binary PGM, or that is cut.
    """
    path = Path(path)
    with path.open("rb") as file:
        found = _HEADER.match(file.read(_HEADER_BYTES))
    if found is None:
        raise OSError(f"{path}: not a binary PGM (P5) file; is its name right? an ASCII one (P2) must be saved as binary")
    width, height, most = (int(number) for number in found.groups())
    if not (width and height and 0 < most <= _MOST):
        raise OSError(f"{path}: a PGM of {width} x {height} px and a maximum of {most}, 1 to {_MOST} is possible; the file "
                      "is damaged, copy it again")
    size, end = path.stat().st_size, found.end() + width * height * (1 if most < 256 else 2)
    if size < end:
        raise OSError(f"{path}: {size} bytes, but its pixels end at byte {end}; the file is cut, copy it again")
    return height, width, most, found.end()


def read_pgm(path) -> tuple[np.ndarray, float]:
    """((H, W) uint8 or uint16, the maximum that the header states).  Raises OSError as `open_pgm` does, and for a pixel
    above that maximum."""
    height, width, most, place = open_pgm(path)
    values = np.fromfile(path, "u1" if most < 256 else ">u2", height * width, offset=place).reshape(height, width)
    values = values.astype(values.dtype.newbyteorder("="))
    if values.max() > most:
        raise OSError(f"{path}: pixels reach {values.max()}, above the {most} that its header states; the file is damaged, "
                      "copy it again")
    return values, float(most)


def is_capture(path) -> bool:
    """Whether a file is a PGM of PDCapture, by its values.  Raises OSError as `read_pgm` does."""
    path = Path(path)
    return path.suffix.lower() == ".pgm" and path.is_file() and _is_capture(path, (path.stat().st_size,
                                                                                   path.stat().st_mtime_ns))


@functools.lru_cache(maxsize=256)
def _is_capture(path, stamp):
    """`is_capture` of a file as it was at one time."""
    if open_pgm(path)[2] != _MOST:
        return False
    occurring = np.flatnonzero(np.bincount(read_pgm(path)[0].ravel(), minlength=_MOST + 1))
    return occurring.size >= _LEAST_CODES and bool(np.isin(occurring, _CODES).all())


def capture_scale(path) -> float:
    """Height over width of a pixel of a PGM of PDCapture: 2 where its sensor has added two rows into one."""
    height, width = open_pgm(path)[:2]
    return 2.0 if width > _BINNED * height else 1.0
