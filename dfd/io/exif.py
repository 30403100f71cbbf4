"""EXIF of one file by ExifRead, and the focus distances in its maker note and XMP.

ExifRead names a tag `EXIF FNumber` or, in IFD0 of a DNG, `Image FNumber`: both count.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

from dfd.io.makertags import read_distances
from dfd.io.pitch import Grid
from dfd.io.readings import Reading, distance_reading, judge


def read_exif(path, shape: tuple[int, int], *, aspect: float = 1.0, raw: bool = False) -> Reading:
    """The standard EXIF of one file whose image is `shape` = (H, W) px; empty where there is none.

    raw   the file is a RAW, and shape its true frame;   aspect   width of a pixel over its height
    Raises OSError when the file cannot be opened.
    """
    tags = _read_tags(path)
    return judge(lambda name: _number(tags, name), lambda name: _text(tags, name), file=Path(path).name, label="EXIF",
                 grid=Grid(shape, aspect, raw))


def read_makernotes(path) -> list[Reading]:
    """The focus distances beside the standard EXIF, each a reading.  Raises OSError when the file cannot be opened."""
    return [distance_reading(Path(path).name, distance, source) for source, distance in read_distances(path)]


def _read_tags(path) -> dict:
    """All tags by ExifRead's names; {} where it finds none or fails (IndexError, ValueError, EOFError, ...)."""
    import exifread

    logger = logging.getLogger("exifread")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # its remarks reach a log that the user set up, never bare stderr
    with open(path, "rb") as file:
        try:
            return exifread.process_file(file, details=False)
        except Exception:
            return {}


def _tag(tags, name):
    return tags.get(f"EXIF {name}") or tags.get(f"Image {name}")


def _number(tags, name) -> float | None:
    """The first number of a tag; None where it is missing, text, 0/0 or not finite."""
    tag = _tag(tags, name)
    try:
        number = float(tag.values[0])
    except (AttributeError, IndexError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(tags, name) -> str | None:
    tag = _tag(tags, name)
    text = "" if tag is None else "".join(mark for mark in str(tag).strip(" \0") if mark.isprintable()).strip()
    return text or None
