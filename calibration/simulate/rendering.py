"""Render the target as a real lens shows it: frames with exact blur, breathing, distortion, colour, vignetting, noise.

A station (one pose of the board) is drawn sharp once, as spectra of tiles with two samples per pixel at the scale of the
frame with the smallest fx.  Normalised coordinates are distorted alike in every frame, so breathing changes nothing but
the scale and each frame is the same spectrum times the transfer function of its lens, resampled: no approximation but
those of `series` and of cubic splines at twice the pixels' rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from calibration.simulate.blur import ROWS, chebyshev, series, spline_gain, spline_weights
from calibration.simulate.pose import Paint, Pose, reflectance
from calibration.simulate.truelens import TrueLens
from calibration.target.board import Board
from dfd.noise import Noise, expose

SUPERSAMPLING = 3
"""Cells per pixel and axis of the sharp drawing."""

TILE = 1024
"""Longest side of a tile [px]."""

EXPOSURE = 0.85
"""Light of a perfectly white surface in the middle of the image, in the brightest channel; 1 = white level."""

CHANNELS = {"R": 0, "G": 1, "B": 2}
_SITES = (("R", 0, 0), ("G", 0, 1), ("G", 1, 0), ("B", 1, 1))
"""RGGB: channel, first row, first column."""

_SPARE = 8  # px about a tile, beside the blur
_STRIP = 2**15  # cells that are drawn at once


@dataclass(frozen=True, eq=False)
class _Tile:
    """A piece of the picture: rows and columns [px] of the frame, the first sample of its spectrum [px from the middle,
    y and x, at the station's scale] and the spectrum of the sharp picture, two samples per px; None where the picture shows
    nothing but one reflectance, `even`."""

    rows: slice
    columns: slice
    start: tuple[float, float]
    spectrum: np.ndarray | None
    even: float = 0.0


@dataclass(frozen=True, eq=False)
class Station:
    """One pose of the board, drawn for frames at several focus coordinates.

    coordinates   all focus coordinates that will be asked for;   f_numbers   likewise
    supersampling, tile   see SUPERSAMPLING and TILE
    Raises ValueError as TrueLens.stop does.
    """

    board: Board
    lens: TrueLens
    pose: Pose
    coordinates: tuple[float, ...]
    f_numbers: tuple[float, ...]
    paint: Paint = field(default_factory=Paint)
    supersampling: int = SUPERSAMPLING
    tile: int = TILE

    def __post_init__(self):
        scales = [self.lens.fx(s) for s in self.coordinates]
        object.__setattr__(self, "_fx", min(scales))
        object.__setattr__(self, "_zoom", max(scales) / min(scales))
        object.__setattr__(self, "_reach", self._widest() / 2 + 6 * self.lens.core + _SPARE)
        object.__setattr__(self, "_grids", {})
        object.__setattr__(self, "_tiles", [self._drawn(rows, columns) for rows in _pieces(self.lens.size[0], self.tile)
                                            for columns in _pieces(self.lens.size[1], self.tile)])

    def frame(self, s: float, f_number: float) -> np.ndarray:
        """(H, W) float32 RGGB mosaic without noise of the lens at `s`, light over that at white level."""
        picture = np.empty(self.lens.size, np.float32)
        for tile in self._tiles:
            coc, shade = self._coc(tile, s, f_number)
            for channel, row, column in _SITES:
                coc[row::2, column::2] -= self._axial(s, f_number, channel)
                shade[row::2, column::2] *= self.lens.channel_gain[CHANNELS[channel]]
            picture[tile.rows, tile.columns] = self._blurred(tile, s, coc) * shade
        return picture * np.float32(EXPOSURE)

    def planes(self, s: float, f_number: float) -> np.ndarray:
        """(H, W, 3) float32 R, G, B at every pixel: what `frame` picks its mosaic from."""
        picture = np.empty((*self.lens.size, 3), np.float32)
        for tile in self._tiles:
            coc, shade = self._coc(tile, s, f_number)
            for channel, index in CHANNELS.items():
                blurred = self._blurred(tile, s, coc - np.float32(self._axial(s, f_number, channel)))
                picture[tile.rows, tile.columns, index] = blurred * shade * np.float32(self.lens.channel_gain[index])
        return picture * np.float32(EXPOSURE)

    def _axial(self, s, f_number, channel):
        return self.lens.blur_rate(s, f_number) * self.lens.axial_colour(channel)

    def _widest(self):
        """The largest |coc| [px] of any frame, and a little."""
        height, width = self.lens.size
        x, y = np.meshgrid(np.linspace(-width / 2, width / 2, 9), np.linspace(-height / 2, height / 2, 9))
        depths = self.pose.inverse_depth(x / self._fx, y / self._fx)
        return 1.02 * max(np.abs(self.lens.coc(s, depths, f_number=f_number, x=x, y=y, channel=channel)).max()
                          for s in self.coordinates for f_number in self.f_numbers for channel in CHANNELS) + 0.5

    def _coc(self, tile, s, f_number):
        """(h, w) coc in green [px] and brightness of the pixels of a tile."""
        y, x = _centred(tile.rows, self.lens.size[0])[:, None], _centred(tile.columns, self.lens.size[1])[None]
        fx = self.lens.fx(s)
        depth = self.pose.inverse_depth(*self.lens.undistort(x / fx, y / fx))
        coc = self.lens.coc(s, depth, f_number=f_number, x=x, y=y)
        return coc.astype(np.float32), self.lens.vignetting(x, y, f_number).astype(np.float32)

    def _blurred(self, tile, s, coc):
        """(h, w) light of a tile, each pixel with its own coc [px]."""
        from scipy.fft import irfft2

        if tile.spectrum is None:
            return np.full(coc.shape, tile.even, np.float32)
        ratio = self._fx / self.lens.fx(s)
        shape = tile.spectrum.shape[0], 2 * (tile.spectrum.shape[1] - 1)
        entry, share, rows, columns = self._grid(shape, ratio)
        frequency = np.linspace(0, _HIGHEST * ratio, ROWS + 2)
        least, most = float(coc.min()), float(coc.max())
        terms = series(frequency, least, most, core=self.lens.core, spherical=self.lens.spherical)
        down, across = self._resampling(tile, shape, ratio)
        boxed = tile.spectrum * rows * columns
        filtered = np.empty_like(boxed)
        place = (coc - np.float32((least + most) / 2)) / np.float32(max((most - least) / 2, 1e-9))
        total = np.zeros(coc.shape, np.float32)
        for term, weight in zip(terms, chebyshev(place), strict=False):
            values = term[entry]
            values += share * (np.diff(term)[entry])
            np.multiply(boxed[:len(values)], values, out=filtered[:len(values)])
            np.multiply(boxed[len(values):], values[-2:0:-1], out=filtered[len(values):])  # rows of negative frequency
            image = irfft2(filtered, shape)
            total += weight * (across @ (down @ image).T).T
        return total

    def _grid(self, shape, ratio):
        """Where the frequencies of the upper half of a spectrum fall in the radial tables; pixel box over spline's gain."""
        if shape not in self._grids:
            self._grids.clear()
            wy, wx = _frequencies(shape)
            place = np.hypot(wy[:shape[0] // 2 + 1, None], wx[None]) * (ROWS / _HIGHEST)
            entry = place.astype(np.int32)
            self._grids[shape] = entry, (place - entry).astype(np.float32)
        factors = [np.sinc(w * ratio / (2 * np.pi)) / spline_gain(w / 2) for w in _frequencies(shape)]
        return *self._grids[shape], factors[0][:, None].astype(np.float32), factors[1][None].astype(np.float32)

    def _resampling(self, tile, shape, ratio):
        """The sparse matrices that take a tile's samples to the pixels of a frame, down and across."""
        for part, length, start, count in zip((tile.rows, tile.columns), self.lens.size, tile.start, shape, strict=True):
            yield spline_weights((_centred(part, length) * ratio - start) * 2, count)

    def _drawn(self, rows, columns) -> _Tile:
        """The sharp spectrum of the frame's pixels `rows`, `columns` in every frame of the station."""
        from scipy.fft import next_fast_len, rfft2

        fine, starts, counts = self.supersampling, [], []
        for part, length in zip((rows, columns), self.lens.size, strict=True):
            ends = _centred(part, length)[[0, -1]]
            ends = np.array([min(ends[0], ends[0] / self._zoom), max(ends[1], ends[1] / self._zoom)])
            starts.append(ends[0] - self._reach)
            counts.append(2 * next_fast_len(int(np.ceil((ends[1] - ends[0] + 2 * self._reach) / 2)) + 1, real=True))
        y, x = (start + (np.arange(count * fine) + 0.5) / fine for start, count in zip(starts, counts, strict=True))
        strips = np.array_split(np.arange(len(y)), max(1, len(y) * len(x) // _STRIP))
        sharp = np.concatenate([self._cells(x, y[strip]) for strip in strips])
        if sharp.min() == sharp.max():
            return _Tile(rows, columns, tuple(starts), None, float(sharp[0, 0]))
        whole, half = counts[0], counts[1] + 1
        spectrum = rfft2(sharp)
        spectrum = np.concatenate([spectrum[:whole], spectrum[-whole:]])[:, :half] * np.float32(4 / fine**2)
        spectrum[whole] = spectrum[:, -1] = 0
        wy, wx = _frequencies((2 * counts[0], 2 * counts[1]))
        spectrum /= (np.sinc(wy / (2 * np.pi * fine))[:, None] * np.sinc(wx / (2 * np.pi * fine))[None]).astype(np.float32)
        return _Tile(rows, columns, tuple(start + 0.5 / fine for start in starts), spectrum)

    def _cells(self, x, y):
        """Reflectance of cells about x, y [px from the middle, at the station's scale], distortion undone."""
        across, down = self.lens.undistort(*np.broadcast_arrays(x[None] / self._fx, y[:, None] / self._fx))
        return reflectance(self.board, self.pose, across, down, 1 / (self.supersampling * self._fx), self.paint)


_HIGHEST = 2 * np.pi * np.sqrt(2) * 1.0001  # rad/px, the corner of a spectrum of two samples per px


def exposed(picture, lens: TrueLens, rng: np.random.Generator | None) -> np.ndarray:
    """uint16 DN of light (any shape, 1 = white level): photon and read noise (None: without), rounded, clipped."""

    span = lens.white - lens.black
    if rng is not None:
        picture = expose(picture, Noise(lens.gain * span, lens.read_noise), rng)
    return np.clip(np.rint(picture * np.float32(span) + np.float32(lens.black)), 0, lens.white).astype(np.uint16)


def _centred(part, length):
    """Px from the middle of the picture of the pixels of a slice."""
    return np.arange(part.start, part.stop) - (length - 1) / 2


def _pieces(length, most):
    """Slices of even length that cover `length` px, none longer than `most`."""
    ends = np.linspace(0, length / 2, -(-length // most) + 1).round().astype(int) * 2
    return [slice(int(start), int(stop)) for start, stop in pairwise(ends)]


def _frequencies(shape):
    """rad/px of the rows and columns of a real spectrum of two samples per px."""
    return 4 * np.pi * np.fft.fftfreq(shape[0]), 4 * np.pi * np.fft.rfftfreq(shape[1])
