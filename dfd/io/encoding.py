"""How the numbers of an image file show light: in proportion, or by the sRGB curve; and whether its colour profile agrees.

Embedded profiles: ICC.1:2022, the profile description (9.2.41) and the tone curves (10.6, 10.18).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.frames import is_raw
from dfd.io.images import default_linear, embedded_profile, file_format, samples
from dfd.io.integrity import check_tiff
from dfd.io.npy import MOST_COLOURS, open_npy
from dfd.io.pgm import is_capture

_PNG_COLOUR = 25  # place in the file: 0 and 4 are grey
_CURVES = (b"rTRC", b"gTRC", b"bTRC", b"kTRC")
_DEVELOPED = ("srgb", "adobe rgb", "prophoto", "display p3", "gamma", "rec. 709", "rec709", "ecirgb", "wide gamut")
"""Words in the names of profiles that are for display, for one that states no curve."""

_STRAIGHT = 0.02
"""Largest distance of a linear curve from the diagonal, and of its exponent from 1."""


@dataclass(frozen=True)
class Encoding:
    """linear     values are proportional to light, else sRGB is undone;   source   who says so
    kind       of file, in words;   floating   values are floats
    """

    linear: bool
    source: str
    kind: str
    floating: bool = False


def encoding_of(path, stated: bool | None) -> Encoding:
    """How a file is read; `stated` is `linear` of capture.toml.  Reads its header only; OSError as in `read_image`."""
    if is_raw(path):
        return Encoding(True, "RAW", "RAW")
    form = file_format(path)
    bits, floating = samples(path)
    size = "float " if floating else f"{bits}-bit " if form != "jpeg" else ""
    kind = f"{size}{form if form == 'npy' else form.upper()}"
    if stated is not None:
        return Encoding(stated, "capture.toml", kind, floating)
    kind = "10-bit PGM of PDCapture" if form == "pgm" and is_capture(path) else kind
    return Encoding(default_linear(path), f"default for {kind}", kind, floating)


def has_colours(path) -> bool | None:
    """Whether an image file holds colours, from its header; None where that is not known (RAW, JPEG).  OSError as above."""
    form = None if is_raw(path) else file_format(path)
    if form == "tiff":
        first = check_tiff(path)[0]
        return first.samples > 2 or first.photometric not in (0, 1)
    if form == "pgm":
        return False
    if form == "npy":
        shape = open_npy(path).shape
        return len(shape) > 2 and 2 < shape[2] <= MOST_COLOURS
    if form == "png":
        with Path(path).open("rb") as file:
            return file.read(_PNG_COLOUR + 1)[_PNG_COLOUR] not in (0, 4)
    return None


def told_profiles(paths: Iterable[Path], stated: bool | None) -> tuple[str, ...]:
    """A warning, once, where 16-bit TIFF counts as linear but carries a colour profile that is not; `stated` settles it."""
    for path in paths if stated is None else ():
        how = encoding_of(path, stated)
        if not how.linear or how.floating or not how.kind.endswith("TIFF"):
            continue
        name = curved_profile(embedded_profile(path))
        if name:
            return (f"{path.name} has the colour profile {name!r}, which is not linear, but {how.kind} counts as linear "
                    "light; if it was developed for display, add linear = false to [camera] of capture.toml (sRGB is then "
                    "undone), else linear = true",)
    return ()


def curved_profile(data: bytes) -> str:
    """The name of an ICC profile whose tone curves are not linear; "" for a linear one, and for what is no profile."""
    try:
        tags = _tags(data)
        name = _name(tags.get(b"desc", b"")) or "without a name"
        curves = [_is_straight(tags[tag]) for tag in _CURVES if tag in tags]
    except (struct.error, UnicodeDecodeError, IndexError):
        return ""
    curved = not all(curves) if curves else any(word in name.casefold() for word in _DEVELOPED)
    return name if curved else ""


def _tags(data) -> dict[bytes, bytes]:
    """The tag table: signature -> its bytes; none where the file signature is missing."""
    if data[36:40] != b"acsp":
        return {}
    count = min(struct.unpack_from(">I", data, 128)[0], 100)
    rows = [struct.unpack_from(">4sII", data, 132 + 12 * index) for index in range(count)]
    return {signature: data[offset:offset + size] for signature, offset, size in rows}


def _name(tag) -> str:
    """The profile description: textDescriptionType of version 2, or the first multiLocalizedUnicodeType of version 4."""
    if tag[:4] == b"desc":
        text = tag[12:12 + struct.unpack_from(">I", tag, 8)[0]].decode("latin-1")
    elif tag[:4] == b"mluc":
        size, offset = struct.unpack_from(">II", tag, 20)
        text = tag[offset:offset + size].decode("utf-16-be")
    else:
        return ""
    return " ".join("".join(letter for letter in text if letter.isprintable()).split())[:60]


def _is_straight(tag) -> bool:
    """Whether a curveType or a parametricCurveType is the identity."""
    if tag[:4] == b"para":
        return abs(struct.unpack_from(">i", tag, 12)[0] / 65536 - 1) <= _STRAIGHT
    count = struct.unpack_from(">I", tag, 8)[0]
    if count == 0:
        return True
    if count == 1:
        return abs(struct.unpack_from(">H", tag, 12)[0] / 256 - 1) <= _STRAIGHT
    values = np.frombuffer(tag[12:12 + 2 * count], ">u2") / 65535
    return bool(np.all(np.abs(values - np.linspace(0, 1, values.size)) <= _STRAIGHT))
