"""Is the whole file there?  Decoders pad, zero or leave memory as it was when a file is cut; these checks do not.

The checksum of a file is here too, by which a record names what was read.

TIFF 6.0 (and BigTIFF, DNG, RW2, ORF headers), PNG 1.2, JPEG ITU-T T.81.  Standard library only; nothing is decoded.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass

_TIFF_MAGIC = {42, 43, 0x55, 0x4F52, 0x5352}
"""TIFF, BigTIFF, Panasonic RW2, Olympus ORF (two)."""

_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""TIFF field type -> struct code of the integer types."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNKNOWN_OFFSET = 0xFFFFFFFF  # RW2: the data run to the end of the file
_MAX_DIRECTORIES, _MAX_PAGES = 256, 100_000
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 259, 262, 277
_LAST_BASELINE = 347  # TIFF 6.0 itself; the private tags of makers may point anywhere
_SUB_DIRECTORIES, _DNG_VERSION = 330, 50706
_TILE, _SAMPLE_FORMAT, _FLOAT, _PLANAR, _SEPARATE = (322, 323), 339, 3, 284, 2
_PAYLOADS = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_WANTED = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _SUB_DIRECTORIES, _DNG_VERSION, *_TILE,
           _SAMPLE_FORMAT, _PLANAR, 273, 279, 324, 325}
CFA_SIZE, CFA, BLACK_SIZE, BLACK, BLACK_ACROSS, BLACK_DOWN, WHITE, ACTIVE = (33421, 33422, 50713, 50714, 50715, 50716,
                                                                            50717, 50829)
_SENSOR = {CFA_SIZE, CFA, BLACK_SIZE, BLACK, BLACK_ACROSS, BLACK_DOWN, WHITE, ACTIVE}
"""DNG tags that say what the numbers of a sensor mean: kept as floats in Directory.sensor."""

_RATIONALS = {5: "I", 10: "i"}


@dataclass(frozen=True)
class Directory:
    """One image directory of a TIFF-like file; 0 where a tag is missing.

    width, height   px;   bits   per sample;   payload   bytes of all its strips and tiles;   least   of the smallest one
    tile            (width, height) px, (0, 0) for strips
    floating        samples are floats;   separate   the planes of the colours stand one after another
    sensor          numbers of the tags in _SENSOR, by tag
    """

    width: int
    height: int
    bits: int
    samples: int
    compression: int
    photometric: int
    payload: int
    is_dng: bool
    least: int
    tile: tuple[int, int]
    floating: bool
    separate: bool
    sensor: dict[int, tuple[float, ...]]


def is_tiff(path) -> bool:
    """True when the file opens like a TIFF or one of its RAW relatives.  Raises OSError when it cannot be read."""
    with open(path, "rb") as file:
        return _byte_order(file.read(4)) is not None


def check_tiff(path) -> tuple[Directory, ...]:
    """The image directories of a TIFF-like file, after checking that every strip and tile lies inside the file.

    Raises OSError, naming the file and the bytes that are missing, when the file is cut or its tables are unreadable.
    """
    tables = _checked_tables(path, _MAX_DIRECTORIES)
    is_dng = any(_DNG_VERSION in table for table in tables)
    return tuple(_directory(table, is_dng) for table in tables)


def check_pages(path) -> tuple[str, tuple[tuple[Directory, tuple[tuple[int, int], ...]], ...]]:
    """(byte order "<" or ">", (directory, (offset, bytes) of each strip, none for tiles) of every page) of a TIFF file of
    many pages; checks and errors as in `check_tiff`."""
    tables = _checked_tables(path, _MAX_PAGES)
    with open(path, "rb") as file:
        order = _byte_order(file.read(4))
    return order, tuple((_directory(table, False), tuple(zip(*(table.get(tag, ()) for tag in _PAYLOADS[0]), strict=True)))
                        for table in tables)


def _checked_tables(path, most):
    """The tables of a TIFF-like file whose every strip and tile lies inside it."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        try:
            tables = _read_tables(file, most)
        except (struct.error, ValueError) as error:
            cause = "they end early" if isinstance(error, struct.error) else error
            raise OSError(f"{path}: {size} bytes with unreadable TIFF tables ({cause}); the file is cut or damaged, "
                          "copy it again") from error
    for table in tables:
        _check_extent(path, table, size)
    return tables


def sha256(path) -> str:
    """The SHA-256 of a file's bytes (FIPS 180-4), as 64 hexadecimal digits.  Raises OSError when it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _byte_order(head: bytes) -> str | None:
    if head[:2] not in (b"II", b"MM") or len(head) < 4:
        return None
    order = "<" if head[:2] == b"II" else ">"
    return order if struct.unpack(order + "H", head[2:4])[0] in _TIFF_MAGIC else None


def _read_tables(file, most) -> list[dict[int, tuple[int, ...]]]:
    """Every image directory as {tag: integers}; sub-directories included."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    order = _byte_order(head)
    if order is None:
        raise ValueError("no TIFF header")
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    queue = [struct.unpack(order + "Q", head[8:16])[0] if big else struct.unpack(order + "I", head[4:8])[0]]
    tables, seen = [], set()
    while queue and len(tables) < most:
        offset = queue.pop(0)
        if offset == 0 or offset in seen:
            continue
        seen.add(offset)
        table, following = _read_directory(file, size, offset, order, big)
        tables.append(table)
        queue += [*table.get(_SUB_DIRECTORIES, ()), following]
    if not tables:
        raise ValueError("no image directory")
    return tables


def _read_directory(file, size, offset, order, big):
    """One directory: the integers of the wanted tags, and the offset of the next directory."""
    count_code, entry, word = ("Q", 20, "Q") if big else ("H", 12, "I")
    wide = struct.calcsize(word)
    count = _unpack(file, size, offset, order + count_code)[0]
    start, table = offset + struct.calcsize(count_code), {}
    block = _bytes(file, size, start, count * entry + wide)
    for own in range(0, count * entry, entry):
        tag, kind, length = struct.unpack_from(f"{order}HH{word}", block, own)
        if tag not in _WANTED | _SENSOR and not (tag <= _LAST_BASELINE and kind in _SIZES):
            continue
        place, extent = start + own + 4 + wide, length * _SIZES.get(kind, 1)
        if extent > wide:
            place = struct.unpack_from(order + word, block, own + 4 + wide)[0]
        _check_inside(size, place, extent)
        if tag in _WANTED | _SENSOR and kind in _INTEGERS:
            table[tag] = _unpack(file, size, place, f"{order}{length}{_INTEGERS[kind]}") if extent > wide else \
                struct.unpack_from(f"{order}{length}{_INTEGERS[kind]}", block, place - start)
        elif tag in _SENSOR and kind in _RATIONALS:
            numbers = _unpack(file, size, place, f"{order}{2 * length}{_RATIONALS[kind]}")
            table[tag] = tuple(top / bottom if bottom else 0.0
                               for top, bottom in zip(numbers[::2], numbers[1::2], strict=True))
    return table, struct.unpack_from(order + word, block, count * entry)[0]


def _check_inside(size, offset, length):
    if offset + length > size:
        raise ValueError(f"a table at byte {offset} runs past the end")


def _bytes(file, size, offset, length):
    _check_inside(size, offset, length)
    file.seek(offset)
    return file.read(length)


def _unpack(file, size, offset, code):
    return struct.unpack(code, _bytes(file, size, offset, struct.calcsize(code)))


def _check_extent(path, table, size):
    """Every strip and tile ends inside the file; a directory without any holds others and has nothing to check."""
    for offsets_tag, counts_tag in _PAYLOADS:
        offsets, counts = table.get(offsets_tag, ()), table.get(counts_tag, ())
        if len(offsets) != len(counts):
            raise OSError(f"{path}: {len(offsets)} strip or tile offsets but {len(counts)} byte counts; the file is "
                          "cut or damaged, copy it again")
        ends = [count if offset == _UNKNOWN_OFFSET else offset + count
                for offset, count in zip(offsets, counts, strict=True)]
        if ends and max(ends) > size:
            raise OSError(f"{path}: {size} bytes, but its image data end at byte {max(ends)}; the file is cut, "
                          "copy it again")


def _directory(table, is_dng) -> Directory:
    first = {tag: values[0] for tag, values in table.items() if values}
    parts = [size for _, counts in _PAYLOADS for size in table.get(counts, ())]
    return Directory(first.get(_WIDTH, 0), first.get(_HEIGHT, 0), first.get(_BITS, 0), first.get(_SAMPLES, 1),
                     first.get(_COMPRESSION, 0), first.get(_PHOTOMETRIC, 0), sum(parts), is_dng, min(parts, default=0),
                     tuple(first.get(tag, 0) for tag in _TILE), first.get(_SAMPLE_FORMAT, 1) == _FLOAT,
                     first.get(_PLANAR, 1) == _SEPARATE and first.get(_SAMPLES, 1) > 1,
                     {tag: tuple(map(float, table[tag])) for tag in _SENSOR & table.keys()})


def check_png(path, data: bytes) -> tuple[int, int]:
    """(H, W) px of a PNG, after checking every chunk's length and CRC up to the end mark.  Raises OSError."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise OSError(f"{path}: not a PNG file; is its name right?")
    place, size = 8, None
    while True:
        if place + 12 > len(data):
            raise OSError(f"{path}: {len(data)} bytes end before the PNG's end mark; the file is cut, copy it again")
        length, kind = struct.unpack(">I4s", data[place:place + 8])
        body = data[place + 4:place + 8 + length]
        crc = data[place + 8 + length:place + 12 + length]
        if len(crc) < 4:
            raise OSError(f"{path}: {len(data)} bytes, but a PNG chunk ends at byte {place + 12 + length}; the file is "
                          "cut, copy it again")
        if zlib.crc32(body) != struct.unpack(">I", crc)[0]:
            raise OSError(f"{path}: the PNG chunk at byte {place} has a wrong checksum; the file is damaged, "
                          "copy it again")
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[4:12])
            size = (height, width)
        if kind == b"IEND":
            break
        place += 12 + length
    if size is None:
        raise OSError(f"{path}: a PNG without header chunk; the file is damaged, copy it again")
    return size


_SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # inside a scan: any marker but stuffing and restarts
_FRAME_HEADERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


def check_jpeg(path, data: bytes) -> tuple[int, int]:
    """(H, W) px of a JPEG as stored, after following its segments to the end-of-image mark.  Raises OSError.

    What stands behind the end mark (previews, maker trailers) is not looked at.
    """
    if data[:2] != b"\xff\xd8":
        raise OSError(f"{path}: not a JPEG file; is its name right?")
    place, size = 2, None
    while place + 4 <= len(data) or data[place:place + 2] == b"\xff\xd9":
        if data[place] != 0xFF:
            raise OSError(f"{path}: no JPEG marker at byte {place}; the file is damaged, copy it again")
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker == 0xD9:
            if size is None:
                break
            return size
        length = struct.unpack(">H", data[place + 2:place + 4])[0]
        if marker in _FRAME_HEADERS and place + 9 <= len(data):
            size = struct.unpack(">HH", data[place + 5:place + 9])
        place += 2 + length
        if marker == 0xDA:
            found = _SCAN_END.search(data, place)
            if found is None:
                break
            place = found.end() - 2
    raise OSError(f"{path}: {len(data)} bytes end before the JPEG's end mark; the file is cut, copy it again")
