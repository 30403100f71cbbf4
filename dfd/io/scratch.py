"""Room for the frames of a capture: in memory while they are few, else on disk, as codes where that costs nothing.

A frame is written and read whole or in part; it looks like a (K, H, W) float32 array to whoever solves it.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile

import numpy as np

from dfd.noise import Noise

IN_MEMORY_BYTES = 256e6
"""Up to here all frames stay in memory as float32."""

_SPARE_BYTES = 200e6
"""Free space on the disk that is left for others."""

_LARGEST_COST = 0.1
"""Coded frames may add this share of the noise's standard deviation."""

_DARK_SIGMAS, _LEAST_DARK = 6.0, 1e-4
"""Brightness below black that can be stored: this many deviations of the read noise, at least this share of white."""


class Scratch:
    """K frames of (H, W) on disk, read as float32: `frames[k]`, `frames[:, rows, columns]`; NaN = no data.

    Pages are given back to the system after every access, so that memory does not grow with the number of frames.  The
    file has no name: it is gone when this is, or when the program ends in whatever way.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(self, shape, *, dark: float | None, top: float):
        """dark, top   range of brightness that is stored as uint16 codes, -dark to top; dark None: float32 as it is.

        Raises OSError when the disk is too small.
        """
        self.shape, self._dark, self._top = tuple(shape), dark, top
        kind = np.dtype(np.float32 if dark is None else np.uint16)
        size = int(np.prod(self.shape, dtype=np.int64)) * kind.itemsize
        check_space(size)
        with tempfile.TemporaryFile(prefix="dfd-") as file:
            _allocate(file, size)
            self._map = mmap.mmap(file.fileno(), size)
        self._codes = np.frombuffer(self._map, kind).reshape(self.shape)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        part = self._codes[key]
        if self._dark is None:
            values = np.array(part)
        else:
            from dfd.kernels.codes import decode

            values = decode(part, self._dark, self._top)
        self._release()
        return values

    def __setitem__(self, index, image):
        if self._dark is None:
            self._codes[index] = image
        else:
            from dfd.kernels.codes import encode

            encode(np.ascontiguousarray(image, np.float32), self._dark, self._top, self._codes[index])
        self._release()

    def head(self, count: int) -> Scratch:
        """The first `count` frames; the same file."""
        self.shape, self._codes = (count, *self.shape[1:]), self._codes[:count]
        return self

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or np.float32, copy=False)

    def _release(self):
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def in_memory(shape) -> bool:
    """Whether frames of this shape stay in memory."""
    return np.prod(shape, dtype=np.float64) * 4 <= IN_MEMORY_BYTES


def new_frames(shape, noise: Noise | None, *, brightest: float):
    """Room for (K, H, W) frames whose brightness stays below `brightest`: an array, or a Scratch where that is large.

    noise   what coding may not add to; None is enough where the frames stay in memory
    """
    if in_memory(shape):
        return np.empty(shape, np.float32)
    dark, top = code_range(noise, brightest)
    return Scratch(shape, dark=dark if code_cost(noise, dark, top) < _LARGEST_COST else None, top=top)


def code_range(noise: Noise, brightest: float) -> tuple[float, float]:
    """(dark, top) of the codes of frames with this noise; flicker and the resampling may go beyond."""
    return max(_DARK_SIGMAS * noise.read_noise / noise.gain, _LEAST_DARK), 3 * brightest


def code_cost(noise: Noise, dark: float, top: float) -> float:
    """Largest standard deviation that coding twice (decoded, registered) adds, in standard deviations of the noise."""
    from dfd.kernels.codes import CODES

    level = np.linspace(0, top, 200)
    step = 2 * np.sqrt((level + dark) * (top + dark)) / CODES
    return float(np.max(step / np.sqrt(6) / np.sqrt(noise.variance(level))))


def scratch_bytes(shape) -> int:
    """Bytes on disk that frames of this shape are expected to take: 0 where they stay in memory."""
    return 0 if in_memory(shape) else 2 * int(np.prod(shape, dtype=np.int64))


def check_space(size: int) -> None:
    """Raises OSError when the disk for temporary files cannot hold `size` bytes."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE_BYTES:
        raise OSError(f"{folder}: {free / 1e9:.2g} GB free, {(size + _SPARE_BYTES) / 1e9:.2g} GB are needed for the "
                      "registered frames; free some space, set TMPDIR to a larger disk, or use --preview")


def _allocate(file, size):
    """Take the space now: a disk that fills up later would end the program without a word."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except OSError as error:
        raise OSError(f"{tempfile.gettempdir()}: cannot take {size / 1e9:.2g} GB for the registered frames "
                      f"({error.strerror}); free some space, raise the file size limit, or set TMPDIR to another disk"
                      ) from error
