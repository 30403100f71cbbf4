"""What a DNG itself states of its sensor: the pattern of colours, black and white, where LibRaw knows them less well.

LibRaw reduces black that repeats over more than 2 x 2 px to its minimum, drops its fraction, takes a 4 x 4 pattern of
colours for a 2 x 2 one, and confuses an X-Trans pattern whose masked border is no multiple of 6 px.  (DNG 1.4, chapter 4.)
"""

from __future__ import annotations

import numpy as np

from dfd.io.integrity import ACTIVE, BLACK, BLACK_ACROSS, BLACK_DOWN, BLACK_SIZE, CFA, CFA_SIZE, WHITE, Directory

_LIKE_LIBRAW = 1.5  # DN that LibRaw's whole number may lie outside the file's own levels
_SAME_WHITE = 0.02  # of white: LibRaw takes the spread of black off
_LOSSY = 34892  # compression whose levels are those of its 8-bit codes, while LibRaw returns what they mean


def stated_pattern(entry: Directory | None, margins) -> np.ndarray | None:
    """Colours (0 R, 1 G, 2 B, 3..6 others) of the visible frame's repeating pattern, (r, c); None where not stated.

    margins   (top, left) px of the visible frame
    """
    if not _speaks(entry) or CFA not in entry.sensor or CFA_SIZE not in entry.sensor:
        return None
    rows, columns = (int(length) for length in entry.sensor[CFA_SIZE])
    colours = np.array(entry.sensor[CFA], int)
    return _moved(colours.reshape(rows, columns), entry, margins) if rows * columns == colours.size > 0 else None


def stated_black(entry: Directory | None, margins, channels: int, libraw) -> np.ndarray | None:
    """Black [DN] of the visible frame: (r, c) of its repeating places for one channel, else (channels,).

    libraw   its four levels: far outside the file's own they correct a known camera, and None is returned, as it is where
             nothing is stated
    """
    if not _speaks(entry) or BLACK not in entry.sensor:
        return None
    rows, columns = (int(length) for length in entry.sensor.get(BLACK_SIZE, (1, 1)))
    levels = np.array(entry.sensor[BLACK])
    if rows * columns * channels != levels.size:
        return None
    deltas = [np.mean(entry.sensor[tag]) for tag in (BLACK_ACROSS, BLACK_DOWN) if entry.sensor.get(tag)]
    levels = levels.reshape(rows, columns, channels) + sum(deltas)
    if not levels.min() - _LIKE_LIBRAW <= min(libraw) <= max(libraw) <= levels.max() + _LIKE_LIBRAW:
        return None
    return levels.mean(axis=(0, 1)) if channels > 1 else _moved(levels[..., 0], entry, margins)


def stated_white(entry: Directory | None, channels: int, libraw: float) -> np.ndarray | None:
    """(channels,) white levels [DN]; None where they are not stated for each, or not in the units of LibRaw's."""
    white = np.array(entry.sensor.get(WHITE, ()) if _speaks(entry) else ())
    return white if white.size == channels and abs(white.max() / libraw - 1) < _SAME_WHITE else None


def _speaks(entry):
    return entry is not None and entry.is_dng and entry.compression != _LOSSY


def _moved(places, entry, margins):
    """A pattern that starts at the active area, from where the visible frame starts."""
    origin = entry.sensor.get(ACTIVE, (0.0, 0.0))
    return np.roll(places, [int(start) - margin for start, margin in zip(origin[:2], margins, strict=True)], axis=(0, 1))
