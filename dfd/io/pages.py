"""Images that lie one after another in files as plain numbers: pages of a TIFF, planes of an npy, arrays of a pickle.

They are found once, by their headers, and then read into an array that is there already: at the speed of the disk, without a
copy of the file in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.images import file_format
from dfd.io.integrity import Directory, check_pages, is_tiff
from dfd.io.npy import MOST_COLOURS, open_npy

_GREY = 1  # TIFF PhotometricInterpretation: black is zero
_PLAIN = (0, 1)  # Compression: none

@dataclass(frozen=True)
class Place:
    """Where the numbers of one image lie: (offset, bytes) of each part in a file; columns first: stored as its transpose."""

    path: Path
    parts: tuple[tuple[int, int], ...]
    columns_first: bool = False


@dataclass(frozen=True)
class Pages:
    """Grey images of one size and type.   shape   (H, W) px;   dtype   as stored, byte order included"""

    shape: tuple[int, int]
    dtype: np.dtype
    places: tuple[Place, ...]

    def __len__(self):
        return len(self.places)

    def read(self, index: int, out) -> None:
        """Fill `out`, (H, W) of this type in the byte order of the machine.  Raises OSError when the file has shrunk."""
        place = self.places[index]
        target = np.empty(self.shape[::-1], self.dtype) if place.columns_first else out
        room, start = memoryview(target).cast("B"), 0
        with open(place.path, "rb", buffering=0) as file:
            for offset, size in place.parts:
                file.seek(offset)
                while size and (got := file.readinto(room[start:start + size])):
                    start, size = start + got, size - got
        if start < room.nbytes:
            raise OSError(f"{place.path}: image {index} ends after {start} of {room.nbytes} bytes; the file was cut "
                          "meanwhile, copy it again")
        if not self.dtype.isnative:
            target.byteswap(inplace=True)
        if place.columns_first:
            np.copyto(out, target.T)


def find_pages(path, *, first: bool = False) -> Pages | None:
    """The images in a TIFF or npy file; None where they are not plain grey numbers (compressed, colours).

    first   of a TIFF only the first one
    Raises OSError for a file that is missing, cut or damaged, and when its pages differ in size or type.
    """
    path, kind = Path(path), file_format(path)
    if kind == "npy":
        return _npy_pages(path)
    if kind != "tiff" or not is_tiff(path):
        return None
    order, found = check_pages(path)
    pages = [(page, strips) for page, strips in found if page.width][:1 if first else None]
    if not pages or not all(_plain(page, strips) for page, strips in pages):
        return None
    _check_alike(path, [page for page, _ in pages])
    first = pages[0][0]
    dtype = np.dtype(f"{order}{'f' if first.floating else 'u'}{first.bits // 8}")
    return Pages((first.height, first.width), dtype, tuple(Place(path, _joined(strips)) for _, strips in pages))


def holds_pages(path) -> bool:
    """Whether a TIFF holds several images of the first one's size, or an npy (T, H, W); False for every other file."""
    if file_format(path) == "npy":
        shape = open_npy(path).shape
        return len(shape) == 3 and shape[2] > MOST_COLOURS
    return count_pages(path) > 1


def count_pages(path) -> int:
    """How many images of the first one's size a TIFF holds, and T of an npy (T, H, W); 1 for every other file."""
    kind = file_format(path)
    if kind == "npy":
        shape = open_npy(path).shape
        return shape[0] if len(shape) == 3 and shape[2] > MOST_COLOURS else 1
    if kind != "tiff" or not is_tiff(path):
        return 1
    sizes = [(page.height, page.width) for page, _ in check_pages(path)[1] if page.width]
    return sizes.count(sizes[0]) if sizes else 0


def _plain(page: Directory, strips) -> bool:
    """Whether the numbers of a page stand as they are in its strips."""
    size = page.height * page.width * page.bits // 8
    return (page.compression in _PLAIN and page.photometric == _GREY and page.samples == 1 and page.tile == (0, 0)
            and page.bits in ((16, 32, 64) if page.floating else (8, 16, 32)) and sum(count for _, count in strips) == size)


def _check_alike(path, pages):
    first = pages[0]
    for index, page in enumerate(pages):
        if (page.height, page.width, page.bits, page.floating) != (first.height, first.width, first.bits, first.floating):
            here, there = (f"{one.width} x {one.height} px of {one.bits} bits" for one in (page, first))
            raise OSError(f"{path}: page {index} is {here}, page 0 {there}; all pages of a sequence have one size and type")


def _joined(strips):
    """Strips that follow on each other as one part."""
    parts = []
    for offset, size in strips:
        if parts and sum(parts[-1]) == offset:
            parts[-1] = parts[-1][0], parts[-1][1] + size
        else:
            parts.append((offset, size))
    return tuple(parts)


def _npy_pages(path) -> Pages | None:
    """The planes of an npy of shape (T, H, W), or the one of (H, W); None for a picture with colours."""
    stored = open_npy(path)
    if (stored.ndim == 3 and stored.shape[2] <= MOST_COLOURS) or not stored.flags.c_contiguous or not stored.size:
        return None
    if not isinstance(stored, np.memmap) or stored.dtype.kind not in "uf":
        return None
    *_, height, width = stored.shape
    size = height * width * stored.itemsize
    return Pages((height, width), stored.dtype, tuple(Place(path, ((stored.offset + index * size, size),))
                                                      for index in range(stored.size // (height * width))))
