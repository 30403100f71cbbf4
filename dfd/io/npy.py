"""Arrays in npy files: looked at without reading them, and never as pickles."""

from __future__ import annotations

import numpy as np

MOST_COLOURS = 4
"""An npy of three axes is one picture when its last axis is no longer than this, else a sequence of grey ones."""


def open_npy(path) -> np.ndarray:
    """The array of a file, (H, W), (H, W, C) or (T, H, W), as a read-only memory map.  Raises OSError when it is none."""
    try:
        with np.errstate(over="raise"):  # where a shape is beyond all numbers, numpy would warn and go on
            data = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises ValueError, EOFError, SyntaxError, ... on damaged headers
        raise OSError(f"{path}: cannot be read as npy; the file is cut or not an array") from error
    if not isinstance(data, np.ndarray) or data.ndim not in (2, 3):
        raise OSError(f"{path}: an array of shape {getattr(data, 'shape', '?')} is not an image; "
                      "save (H, W) or (H, W, 3)")
    return data


def picture_size(path) -> tuple[int, int]:
    """(H, W) of the picture in a file, or of each picture of a sequence; errors as in `open_npy`."""
    *planes, height, width = open_npy(path).shape
    return (planes[0], height) if planes and width <= MOST_COLOURS else (height, width)
