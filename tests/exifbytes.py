"""Exif bytes by hand: a JPEG header with any maker note, for what no writer of images writes."""

import struct


def directory(entries, start, order="<"):
    """A TIFF directory at byte `start`: (tag, type, count, bytes of the values) -> its bytes, values behind it."""
    head, tail = b"", b""
    place = start + 2 + 12 * len(entries) + 4
    for tag, kind, count, values in entries:
        inline = len(values) <= 4
        head += struct.pack(order + "HHI", tag, kind, count) + (
            values.ljust(4, b"\0") if inline else struct.pack(order + "I", place + len(tail)))
        tail += b"" if inline else values
    return struct.pack(order + "H", len(entries)) + head + bytes(4) + tail


def photo(path, make, note=None, *, picture=b"", **numbers):
    """Write a JPEG with an Exif segment.

    note      place behind the TIFF header -> bytes of the maker note;   picture   a whole JPEG that the segment goes into
    numbers   rationals of the Exif directory by tag: t37386=50.0 is FocalLength
    """
    rows = [(int(tag[1:]), 5, 1, struct.pack("<II", round(value * 1000), 1000)) for tag, value in sorted(numbers.items())]
    exif_place = 8 + 2 + 2 * 12 + 4 + len(make)
    note_place = exif_place + 2 + 12 * (len(rows) + 1) + 4 + 8 * len(rows)
    body = b"" if note is None else note(note_place)
    tiff = b"II*\0" + struct.pack("<I", 8)
    tiff += directory([(271, 2, len(make), make), (34665, 4, 1, struct.pack("<I", exif_place))], 8)
    tiff += directory([*rows, (37500, 7, len(body), body)], exif_place)
    segment = b"Exif\0\0" + tiff
    rest = picture[2:] if picture else b"\xff\xd9"
    path.write_bytes(b"\xff\xd8\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + rest)
    return path


def canon_note(shot, file=None, *, moved=0):
    """A Canon note with these ShotInfo and FileInfo arrays; moved: bytes by which an editor shifted it."""
    def arrays(place):
        rows = [(tag, 3, len(row), struct.pack(f"<{len(row)}H", *row)) for tag, row in ((4, shot), (0x93, file)) if row]
        return directory(rows, place + moved)
    return arrays
