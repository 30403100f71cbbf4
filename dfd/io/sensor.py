"""The numbers of a sensor: codes in DN, the pattern of its colours, black and white; and the light that they mean.

A mosaic is never demosaiced for depth.  It is convolved with one separable filter, the same at every pixel and in every
frame, so that depth from defocus does not see it, with zeros wherever the pattern of colours has a carrier: a patch of any
one colour comes out flat.

    Bayer     carriers at 1/2 cycle/px in x, in y and in both: [1 2 1] / 4, giving (R + 2 G + B) / 4
    X-Trans   green repeats every 3 px, so carriers at (j/3, k/3) cycles/px; red - blue changes sign every 3 px, and of its
              harmonics only (1/6, 1/2) and (1/2, 1/6) have energy: zeros at 1/3 and 1/2 are enough, one at 1/6 would only
              blur (contrast at 0.1 cycles/px 0.79 instead of 0.49).  [1 1 1] * [1 2 1] = [1 3 4 3 1] / 12, giving
              (2 R + 5 G + 2 B) / 9
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfd.imaging import REC709
from dfd.noise import LUMINANCE_TAPS

COLOURS = "RGB"
"""Colour of an index in a pattern."""

XTRANS_TAPS = (1 / 12, 3 / 12, 4 / 12, 3 / 12, 1 / 12)
"""The separable filter that turns an X-Trans mosaic into luminance, (2 R + 5 G + 2 B) / 9; variance times 1 / 16."""

TAPS = {1: (1.0,), 2: LUMINANCE_TAPS, 6: XTRANS_TAPS}
"""Period of a mosaic [px] -> the separable filter of its luminance; 1: no mosaic."""

_GREEN, _SECOND_GREEN = 1, 3


@dataclass(frozen=True, eq=False)
class RawImage:
    """The visible frame of a sensor as LibRaw decodes it: not rotated, nothing subtracted.

    codes     (H, W) uint16 DN of a mosaic or a monochrome sensor, (H, W, 3) of a linear (already demosaiced) file
    pattern   colours that repeat over a mosaic, pattern[y % P][x % P], indices into COLOURS (P = 2: Bayer, 6: X-Trans);
              four other colours (cyan, magenta, ...) are 3 and more; None where every pixel sees the same colours
    black     (r, c) DN of the places that repeat over the frame; (3,) of the channels of a linear file
    white     (1,) DN, or (3,)
    """

    codes: np.ndarray
    pattern: tuple[tuple[int, ...], ...] | None
    black: np.ndarray
    white: np.ndarray

    @property
    def period(self) -> int:
        """px after which the colours of the mosaic repeat; 1 where there is none."""
        return 1 if self.pattern is None else len(self.pattern)

    @property
    def dn_range(self) -> float:
        """White - mean black [DN]."""
        return float(self.white.mean() - self.black.mean())

    def luminance(self) -> np.ndarray:
        """(H, W) float32, 0 = black, 1 = white: the mosaic through its filter, the Rec. 709 sum of a linear file; NaN where
        that meets a saturated pixel."""
        from dfd.kernels import mosaic

        if self.codes.ndim == 3:
            return mosaic.blend(self.codes, self.black, self.white, REC709)
        return mosaic.luminance(self.codes, self.black, self.white[0], TAPS[self.period], self.period)

    def light(self) -> Mosaic:
        """The codes minus black, over white minus black."""
        black = self.black
        if self.codes.ndim == 2:
            height, width = self.codes.shape
            black = np.tile(black, (-(-height // black.shape[0]), -(-width // black.shape[1])))[:height, :width]
        values = self.codes.astype(np.float32)
        values -= black.astype(np.float32)
        values /= (self.white - black).astype(np.float32)
        return Mosaic(values, self.pattern, self.dn_range)


@dataclass(frozen=True, eq=False)
class Mosaic:
    """The same, made light.

    values     float32 like RawImage.codes, 0 = black, 1 = white; below 0 where noise is below black, above 1 where white
               is passed
    pattern    see RawImage;   dn_range   white - mean black [DN]
    """

    values: np.ndarray
    pattern: tuple[tuple[int, ...], ...] | None
    dn_range: float


def known_pattern(path, decoded, names: str, stated) -> np.ndarray:
    """(P, P) colours of a mosaic as RawImage has them, from LibRaw's indices and the file's own.

    decoded   LibRaw's (r, c) indices into `names` ("RGBG": 3 is the second green), or None
    stated    the file's own colours, or None: they win where they are red, green and blue, or of another size
    Raises OSError for a mosaic that is none of 2x2 Bayer, 2x2 of four colours, X-Trans.
    """
    if decoded is None or (stated is not None and (stated.max() < len(COLOURS) or stated.shape != decoded.shape)):
        pattern = stated
    else:
        pattern = np.where(decoded == _SECOND_GREEN, _GREEN, decoded) if names == "RGBG" else decoded
    if pattern is not None and pattern.shape in ((2, 2), (6, 6)) and _comes_out_flat(pattern):
        colours = np.unique(pattern).tolist()
        if colours == [0, 1, 2]:
            return pattern
        if len(colours) == 4:
            return pattern + len(COLOURS)
    kind = "an unknown" if pattern is None else f"a {pattern.shape[0]}x{pattern.shape[1]} {names}"
    raise OSError(f"{path}: the image is {kind} mosaic; 2x2 mosaics, X-Trans, linear and monochrome images are read, "
                  "convert it to 16-bit TIFF")


def _comes_out_flat(pattern):
    """Whether the luminance of every single colour of a pattern is the same at every pixel."""
    for colour in np.unique(pattern):
        plane, taps = (pattern == colour).astype(float), TAPS[len(pattern)]
        for axis in (0, 1):
            plane = sum(tap * np.roll(plane, k - len(taps) // 2, axis) for k, tap in enumerate(taps))
        if np.ptp(plane) > 1e-9:
            return False
    return True


def given_black(path, black_level, pattern, *, linear: bool) -> np.ndarray:
    """Black [DN] as the user states it, in the shape that RawImage has.  Raises ValueError for a wrong count."""
    black = np.atleast_1d(np.asarray(black_level, np.float64))
    count = 3 if linear or (pattern is not None and len(pattern) == 6) else 1 if pattern is None else 4
    if black.size not in (1, count):
        order = {1: "", 3: ", or three: R, G, B", 4: ", or four in the order of the 2x2 pattern"}[count]
        raise ValueError(f"{path}: black_level has {black.size} numbers; give one{order}")
    if linear:
        return np.broadcast_to(black, 3)
    if black.size == 1:
        return black.reshape(1, 1)
    return black.reshape(2, 2) if count == 4 else black[pattern]


