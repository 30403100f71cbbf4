"""The two half-pupil views of a Canon Dual Pixel RAW: one file of two frames that each view is made from.

The main frame is the light of both photodiodes of each pixel, the sub frame that of one, with the same black and its own
full range of codes.  So the one view is the sub frame, the other

    rest = main - sub + black        [DN], unknown wherever main is at white

The light of the sub frame is that which main counts as well, so the shot noise of the rest is its own.  Its read noise is
that of both readouts, so the noises of the two views have one in common with opposite signs, and what tells depth, their
difference 2 sub - main, holds five readouts.  A half sees half the light: 1 in a view is half of the range of the main
frame.
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass

import numpy as np

from dfd.io.raw import read_raw
from dfd.io.sensor import TAPS, RawImage

SUB, REST = "sub", "rest"
"""The two halves: what the second frame holds, and what is left of the main frame without it."""

READS = {SUB: 2, REST: 3}
"""Variance of the noise of a half, in readouts: its own (1 and 2) and what it shares with the other half with opposite sign
(1), so that the sum over both is that of their difference, 5, which solvers compare them by."""

_LEAST_SHARE, _MOST_SHARE = 0.4, 0.6


@dataclass(frozen=True, eq=False)
class Halves:
    """main, sub: the two frames of one file, of one size, pattern and black."""

    main: RawImage
    sub: RawImage

    @property
    def dn_range(self) -> float:
        """Light 1 of a half, in DN: half of white - black."""
        return self.main.dn_range / 2

    def luminance(self, half: str) -> np.ndarray:
        """(H, W) float32 of one of SUB and REST, 0 = black, 1 = half of the range; NaN where main or the half is saturated,
        and 1 px around."""
        whole, part = self.main.luminance(), self.sub.luminance()
        values = whole - part if half == REST else np.where(np.isnan(whole), np.float32(np.nan), part)
        if len(TAPS[self.main.period]) == 1:  # no filter has spread the holes
            values[_grown(self._saturated())] = np.nan
        values *= np.float32(2)
        return values

    def picture(self, half: str) -> RawImage:
        """The codes of one half, for colours: white is half of the range, and stands wherever main is at white."""
        main, codes = self.main, self.sub.codes
        white = main.black.mean() + (main.white - main.black.mean()) / 2
        if half == REST:
            black = np.rint(main.black).astype(np.int32)
            if codes.ndim == 2:
                black = np.tile(black, [-(-length // own) for length, own in zip(codes.shape, black.shape, strict=True)])
                black = black[:codes.shape[0], :codes.shape[1]]
            codes = np.maximum(main.codes.astype(np.int32) - codes + black, 0).astype(np.uint16)
        full = np.ceil(white).astype(np.uint16)
        return RawImage(np.where(main.codes >= main.white, full, codes), main.pattern, main.black, white)

    def _saturated(self):
        """(H, W) bool: main is at white in any channel."""
        full = self.main.codes >= self.main.white
        return full.any(axis=2) if full.ndim == 3 else full


_guard = threading.Lock()
_locks: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
_in_use: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
"""Files whose frames somebody still holds: threads that make the two views of one file decode it once."""


class _Turn:
    """One thread at a time decodes a file; a lock that a weak reference can be had of."""

    def __init__(self):
        self.lock = threading.Lock()


def read_halves(path, *, black_level=None, white_level: float | None = None) -> Halves:
    """Decode both frames of a dual-pixel RAW; the arguments and errors of `read_raw`.

    Raises ValueError besides, naming file and number, for a file of one frame, and for two frames that are not a whole and
    one half of it: equal, of two sizes, or whose light is not about 1 to 2.
    """
    key = str(path), _state(path), str(black_level), white_level
    with _guard:
        turn = _locks.setdefault(key, _Turn())
    with turn.lock:
        halves = _in_use.get(key)
        if halves is None:
            main, sub = (read_raw(path, black_level=black_level, white_level=white_level, shot=shot) for shot in (0, 1))
            _check(path, main, sub)
            _in_use[key] = halves = Halves(main, sub)
    return halves


def _state(path):
    """What changes with the content of a file; None where it cannot be asked, which the reader then says."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _check(path, main, sub):
    step = "convert the two views to TIFF and give both files"
    if main.codes.shape != sub.codes.shape or main.pattern != sub.pattern:
        sizes = [f"{image.codes.shape[1]} x {image.codes.shape[0]} px" for image in (main, sub)]
        raise ValueError(f"{path}: its two frames are {sizes[0]} and {sizes[1]}; a dual-pixel RAW has two of one size "
                         f"and one pattern of colours; {step}")
    if np.array_equal(main.codes, sub.codes):
        raise ValueError(f"{path}: its two frames are equal, pixel by pixel; the second of a dual-pixel RAW holds one half "
                         f"of the light; {step}")
    open_ = main.codes < main.white
    light = [float(np.mean(image.codes, where=open_, dtype=np.float64) - image.black.mean()) for image in (main, sub)]
    share = light[1] / light[0] if light[0] > 0 else float("nan")
    if not _LEAST_SHARE <= share <= _MOST_SHARE:
        raise ValueError(f"{path}: the second frame has {share:.3g} of the light of the first, one half of the pixels has "
                         f"{_LEAST_SHARE:g} to {_MOST_SHARE:g}; frames of a burst or of a shifted sensor? is black_level "
                         f"right, and the picture not black? {step}")


def _grown(mask):
    """A mask and 1 px around it."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, np.ones((3, 3), bool))
