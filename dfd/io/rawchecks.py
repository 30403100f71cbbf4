"""Was the sensor really read?  Checks of a RAW file before and after decoding, for LibRaw is silent about some damage.

A file that is cut or holds a header only makes LibRaw return zeros, or memory as it was; so the sizes that the container
states, the bytes against the pixels, the range of the numbers, zeros and constant blocks are looked at here.  Bit flips in
uncompressed data, and holes inside a compressed tile, stay unseen.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from dfd.io.integrity import Directory, check_tiff, is_tiff

_MOSAIC, _LINEAR_RAW, _UNCOMPRESSED = 32803, 34892, 1
_LEAST_BITS = 0.5  # per pixel; a constant frame in lossless JPEG still needs 1.05
_MOST_ZEROS = 0.005
_LEAST_TILE = 8
_RAF, _RAF_PARTS = b"FUJIFILMCCD-RAW ", 84  # big-endian (offset, length) of preview, header and sensor data
_FOVEON = b"FOVb"


def check_file(path) -> tuple[Directory, ...]:
    """The TIFF directories of the file (none for other containers), after the checks that need no decoder.

    Raises OSError for a file that is missing, empty, cut, or of a kind whose numbers are not a sensor's.
    """
    path = Path(path)
    if not path.is_file():
        raise OSError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}; check the path")
    size = path.stat().st_size
    if size == 0:
        raise OSError(f"{path}: 0 bytes; the file is empty, copy it again")
    if is_tiff(path):
        return check_tiff(path)
    with open(path, "rb") as file:
        head = file.read(_RAF_PARTS + 24)
        if head.startswith(_FOVEON):
            raise OSError(f"{path}: a Foveon sensor, whose layers are not read; convert it to 16-bit TIFF")
        end = _raf_end(head) if head.startswith(_RAF) else _boxes_end(file, size) if head[4:8] == b"ftyp" else 0
    if end > size:
        raise OSError(f"{path}: {size} bytes, but its image data end at byte {end}; the file is cut, copy it again")
    return ()


def _raf_end(head):
    """Last byte that a Fuji RAF header speaks of; beyond every file when the header itself is cut."""
    if len(head) < _RAF_PARTS + 24:
        return _RAF_PARTS + 24
    parts = struct.unpack(">6I", head[_RAF_PARTS:_RAF_PARTS + 24])
    return max(offset + length for offset, length in zip(parts[::2], parts[1::2], strict=True))


def _boxes_end(file, size):
    """End of the last box of an ISO base media file (Canon CR3)."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return place + 8
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0: to the end of the file
            return size if length == 0 else size + 1
        place += length
    return place


def raw_directory(directories) -> Directory | None:
    """The directory of a TIFF-like file that holds the sensor's numbers; None where none says so."""
    found = [entry for entry in directories if entry.photometric in (_MOSAIC, _LINEAR_RAW)]
    return max(found, key=lambda entry: entry.payload, default=None)


def check_payload(path, sizes, directories) -> bool:
    """Enough bytes for the pixels: an uncompressed image has them all, a compressed one at least half a bit each.

    sizes   rawpy's ImageSizes.   True when every pixel is known to be stored.  Raises OSError.
    """
    pixels = sizes.raw_width * sizes.raw_height
    stored, least, complete = Path(path).stat().st_size, pixels * _LEAST_BITS / 8, False
    entry = raw_directory(directories)
    if entry is not None:
        stored = entry.payload
        if entry.floating:
            raise OSError(f"{path}: a DNG of floating-point numbers, which LibRaw scales by their maximum, frame by "
                          "frame; convert it to float TIFF")
        if entry.separate:
            raise OSError(f"{path}: a DNG whose {entry.samples} colour planes stand one after another, which LibRaw mixes "
                          "up; convert it to 16-bit TIFF")
        if entry.compression == _UNCOMPRESSED and entry.is_dng:
            least, complete = pixels * entry.bits * entry.samples / 8, True
        if entry.payload and not entry.least:
            raise OSError(f"{path}: a strip or tile of its image has 0 bytes; image data are missing, copy the file again")
    if stored < least:
        raise OSError(f"{path}: {stored} bytes of image data for {sizes.raw_width} x {sizes.raw_height} px, at least "
                      f"{least:.0f} are needed; only the header is there, copy the file again")
    return complete


def check_codes(path, codes, levels, sizes, directories, *, complete: bool):
    """Signs of image data that were never read: constant, zero, constant at the end, beyond the bit depth.

    codes      (H, W) or (H, W, 3) uint16 DN
    levels     (highest black, white, highest number that the bit depth holds) [DN]
    complete   every pixel is known to be stored, so constant blocks are what the camera saw
    Raises OSError.
    """
    black, white, ceiling = levels
    lowest, highest = int(codes.min()), int(codes.max())
    if lowest >= white:
        raise OSError(f"{path}: every pixel is at white ({white:g} DN) or above; the frame is overexposed, leave it out")
    if lowest == highest:
        raise OSError(f"{path}: every pixel is {lowest} DN; the image data are missing, copy the file again")
    zeros = 1 - np.count_nonzero(codes) / codes.size if lowest == 0 else 0.0
    if black > 0 and zeros > _MOST_ZEROS:
        raise OSError(f"{path}: {100 * zeros:.3g} % of the pixels are 0 DN where black is {black:g} DN, at most "
                      f"{100 * _MOST_ZEROS:g} % is plausible; image data are missing, copy the file again")
    if not complete:
        _check_end(path, codes, ceiling)
        if black > 0:
            _check_tiles(path, codes, ceiling, sizes, raw_directory(directories))
    if highest > ceiling:
        raise OSError(f"{path}: pixels reach {highest} DN, above the {ceiling} DN of its bit depth; the image data are "
                      "damaged, copy the file again")


def _check_end(path, codes, ceiling):
    """A decoder that ran out of data leaves the last rows or columns constant."""
    rows, columns = (max(2, length // 100) for length in codes.shape[:2])
    _check_block(path, codes[-rows:], ceiling, f"the last {rows} rows are")
    _check_block(path, codes[:, -columns:], ceiling, f"the last {columns} columns are")


def _check_tiles(path, codes, ceiling, sizes, entry):
    """Nor is a whole tile constant, unless it is black itself."""
    if entry is None or min(entry.tile) < _LEAST_TILE:
        return
    width, height = entry.tile
    for top in range(-(sizes.top_margin % height), codes.shape[0], height):
        for left in range(-(sizes.left_margin % width), codes.shape[1], width):
            tile = codes[max(top, 0):top + height, max(left, 0):left + width]
            if min(tile.shape[:2]) >= _LEAST_TILE:
                _check_block(path, tile, ceiling,
                             f"the {width} x {height} px tile at row {max(top, 0)}, column {max(left, 0)} is")


def _check_block(path, block, ceiling, what):
    """Only a saturated sky is constant by itself."""
    value = int(block.flat[0])
    if value < ceiling // 2 and (block[0] == value).all() and (block == value).all():
        raise OSError(f"{path}: {what} all {value} DN; image data are missing, copy the file again")
