"""Room for the frames of a capture: in memory while they are few, else on disk, as codes where that costs nothing.

A frame is written and read whole or in part; it looks like a (K, H, W) float32 array to whoever solves it.
"""

from __future__ import annotations

import copy
import math
import mmap
import os
import re
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

_DARK_SIGMAS, _LEAST_DARK, _MOST_CUT = 6.0, 1e-5, 1e-3
"""Brightness below black that can be stored: this many deviations of the read noise, at least this share of white; share
of the pixels of a frame that may lie below."""

_FLICKER, _HEADROOM = 1.5, 3.0
"""Factor by which brightness may be corrected beyond what the camera says at no cost; brightness over white, after that
and the overshoot of resampling, that can still be stored."""

_SECOND = (1.0, -2.0, 1.0)

_LASTING = "/var/tmp"
"""Where a POSIX system keeps larger temporary files, and on a disk."""


class Scratch:
    """K frames of (H, W) on disk, read as float32: `frames[k]`, `frames[:, rows, columns]`; NaN = no data.

    Pages are given back to the system after every access, so that memory does not grow with the number of frames.  The
    file has no name: it is gone when this is, or when the program ends in whatever way.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(self, shape, *, dark: float | None, top: float):
        """dark, top   range of brightness that is stored as uint16 codes, -dark to top; dark None: float32 as it is.

        Brightness below the range is cut, above it it is unknown.  Raises OSError when the disk is too small.
        """
        self.shape, self._dark, self._top = tuple(shape), dark, top
        kind = np.dtype(np.float32 if dark is None else np.uint16)
        size = int(np.prod(self.shape, dtype=np.int64)) * kind.itemsize
        check_space(size)
        with tempfile.TemporaryFile(prefix="dfd-", dir=scratch_folder()) as file:
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
        """The first `count` frames, in the same file."""
        part = copy.copy(self)
        part.shape, part._codes = (count, *self.shape[1:]), self._codes[:count]
        return part

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or np.float32, copy=False)

    def _release(self):
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def in_memory(shape) -> bool:
    """Whether frames of this shape stay in memory."""
    return np.prod(shape, dtype=np.float64) * 4 <= IN_MEMORY_BYTES


def new_frames(shape, noise: Noise | None, factors: tuple[float, float], *, darkest: float = 0.0):
    """Room for (K, H, W) frames: an array, or a Scratch where that is large.

    noise     of the first frame, what coding may not add to; None is enough where the frames stay in memory
    factors   smallest and largest by which their brightness will be multiplied;   darkest   see code_cost
    """
    if in_memory(shape):
        return np.empty(shape, np.float32)
    dark, top = code_range(noise, factors[1])
    coded = code_cost(noise, dark, top, factors[0], darkest) < _LARGEST_COST
    return Scratch(shape, dark=dark if coded else None, top=top)


def serves(frames: Scratch, image, noise: Noise | None, factors: tuple[float, float]) -> bool:
    """Whether an (H, W) frame with this noise (None: like the first) can be stored without loss that counts."""
    if frames._dark is None:
        return True
    if np.count_nonzero(image < -frames._dark) > _MOST_CUT * image.size:
        return False
    return noise is None or code_cost(noise, frames._dark, frames._top, factors[0], darkest(image)) < _LARGEST_COST


def darkest(image) -> float:
    """The brightness below which hardly a pixel of an (H, W) image lies, at least 0: 1 % of every 64th."""
    some = image[::8, ::8]
    return max(float(np.quantile(some[np.isfinite(some)], 0.01)), 0.0) if np.isfinite(some).any() else 0.0


def exact(frames: Scratch, filled: int) -> Scratch:
    """The same room as float32, with the first `filled` frames.  Raises OSError when the disk is too small."""
    wide = Scratch(frames.shape, dark=None, top=frames._top)
    for index in range(filled):
        wide[index] = frames[index]
    return wide


def code_range(noise: Noise, brightest: float) -> tuple[float, float]:
    """(dark, top) of the codes of frames with this noise; flicker and the resampling may go beyond."""
    return max(_DARK_SIGMAS * noise.read_noise / noise.gain, _LEAST_DARK) * max(brightest, 1.0), _HEADROOM * brightest


def code_cost(noise: Noise, dark: float, top: float, dimmest: float = 1.0, darkest: float = 0.0) -> float:
    """Largest standard deviation that coding twice (decoded, registered) adds, in standard deviations of the noise.

    dimmest   smallest factor by which brightness is multiplied in between: it makes noise smaller, not the codes
    darkest   brightness below which there is nothing: what noise would be there was never seen
    What counts is the second difference that sharpness is made of: filtered noise, as that of a mosaic, has little of it,
    the errors of codes are white.
    """
    factor = min(dimmest, 1.0) / _FLICKER
    return math.hypot(_one_cost(noise, dark, top, darkest), _one_cost(noise.scaled(factor), dark, top, factor * darkest))


def _one_cost(noise, dark, top, darkest):
    from dfd.kernels.codes import CODES

    level = np.linspace(darkest, top, 200)
    step = 2 * np.sqrt((level + dark) * (top + dark)) / CODES
    seen = noise.response(_SECOND) / np.sum(np.square(_SECOND))
    return float(np.max(step / np.sqrt(12 * seen * noise.variance(level))))


def scratch_bytes(shape) -> int:
    """Bytes on disk that frames of this shape are expected to take: 0 where they stay in memory."""
    return 0 if in_memory(shape) else 2 * int(np.prod(shape, dtype=np.int64))


def scratch_folder() -> str:
    """The folder of the frames: what TMPDIR says, else the system's, or /var/tmp where that one lies in memory."""
    folder = tempfile.gettempdir()
    if any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")) or not lies_in_memory(folder):
        return folder
    usable = os.path.isdir(_LASTING) and os.access(_LASTING, os.W_OK | os.X_OK) and not lies_in_memory(_LASTING)
    return _LASTING if usable else folder


def lies_in_memory(folder: str) -> bool:
    """Whether the files of a folder are memory (tmpfs), as Linux tells in /proc/mounts; False where nothing tells."""
    path, best, kind = os.path.realpath(folder), "", ""
    for line in _mounts():
        place, found = (*line.split(), "", "", "")[1:3]
        place = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), place)
        if (path == place or path.startswith(place.rstrip("/") + "/")) and len(place) >= len(best):
            best, kind = place, found
    return kind in ("tmpfs", "ramfs")


def _mounts():
    try:
        with open("/proc/mounts", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def free_space() -> tuple[str, int]:
    """(folder of the frames on disk, bytes that may be used there)."""
    folder = scratch_folder()
    return folder, max(shutil.disk_usage(folder).free - int(_SPARE_BYTES), 0)


def check_space(size: int) -> None:
    """Raises OSError when the disk for temporary files cannot hold `size` bytes."""
    folder, free = free_space()
    if free < size:
        raise OSError(f"{folder}: {free / 1e9:.2g} GB can be used, {size / 1e9:.2g} GB are needed for the "
                      "registered frames; free some space, set TMPDIR to a larger disk, or use --preview")


def _allocate(file, size):
    """Take the space now: a disk that fills up later would end the program without a word."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except OSError as error:
        raise OSError(f"{scratch_folder()}: cannot take {size / 1e9:.2g} GB for the registered frames "
                      f"({error.strerror}); free some space, raise the file size limit, or set TMPDIR to another disk"
                      ) from error
