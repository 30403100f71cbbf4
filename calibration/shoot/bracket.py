"""Measure a bracket: the board in every frame of one distance, then the blur of its edges, colour by colour.

The board is read in the sharpest frame and followed from there into ever more blurred ones, in both directions; what is
lost is left out and named.  A second pass measures blur with the core that the sharp frames show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.edges.core import FAR, FIRST, MOST, Bracket
from calibration.edges.measure import EdgeFits, measure_edges, measure_widths
from calibration.focus.measurements import CHANNELS
from calibration.target.board import Board
from calibration.target.detection import find_board, follow_board
from calibration.target.pose import BoardView
from dfd.io.frames import is_raw
from dfd.io.images import default_linear, read_image
from dfd.io.raw import read_mosaic

_TRIED = 3
"""Sharpest frames in which the board's ids are looked for."""

_BESIDE = 6
"""Frames about best focus, blurred by some px, that tell where focus is."""

_LUMINANCE = np.array([0.25, 0.5, 0.25], np.float32)


@dataclass(frozen=True, eq=False)
class Planes:
    """One frame, linear, 0 = black, 1 = white, NaN = saturated.

    luminance   (H, W) float32, for detection
    channels    index in CHANNELS -> ((H, W) float32, (2, 2) bool which pixels of every cell belong to it, or None = all)
    """

    luminance: np.ndarray
    channels: dict[int, tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True, eq=False)
class Followed:
    """The board in the frames of a bracket: a view per frame or None, and why not; shares the order of the frames."""

    views: tuple[BoardView | None, ...]
    reasons: tuple[str, ...]
    sharpest: int


def read_planes(path) -> Planes:
    """Decode one frame.  Raises OSError for the file, ValueError for one that is developed (8 bits, sRGB)."""
    path = Path(path)
    if is_raw(path):
        mosaic = read_mosaic(path)
        if mosaic.values.ndim == 3:
            return _of_colours(mosaic.values)
        if mosaic.pattern is None:  # a monochrome sensor
            return Planes(mosaic.values, {1: (_unsaturated(mosaic.values), None)})
        if len(mosaic.pattern) != 2 or max(map(max, mosaic.pattern)) >= len(CHANNELS):
            raise ValueError(f"{path}: its colours do not repeat over 2 x 2 red, green and blue pixels; develop it into a "
                             "linear 16-bit TIFF without sharpening and lens corrections")
        return _of_mosaic(mosaic.values, np.array(mosaic.pattern))
    if not default_linear(path):
        raise ValueError(f"{path}: a developed picture (8 bits or sRGB), its blur is not that of the lens; give RAW or DNG "
                         "files, or linear 16-bit TIFF")
    values = read_image(path, linear=True).values
    return _of_colours(values) if values.ndim == 3 else Planes(values, {1: (_unsaturated(values), None)})


def follow(paths, board: Board, *, progress=None) -> Followed:
    """Find the board in the frames of one distance, given in the order of the focus coordinate.

    progress   called without arguments, once per frame that is found or given up
    Raises ValueError, naming the sharpest frames and why, where the board is found in none of them.
    """
    sharpness = [_sharpness(read_planes(path).luminance) for path in paths]
    order, found, reasons = np.argsort(sharpness)[::-1], None, []
    for index in order[:_TRIED]:
        try:
            found = find_board(read_planes(paths[index]).luminance, board)
            break
        except ValueError as error:
            reasons.append(f"{paths[index].name}: {error}")
    if found is None:
        raise ValueError(f"{paths[0].parent}: no target found in the sharpest of {len(paths)} frames ({'; '.join(reasons)})")
    first = int(index)
    views, why = [None] * len(paths), [""] * len(paths)
    views[first] = found
    _tell(progress)
    for way in (1, -1):
        trail = [found]
        for place in range(first + way, len(paths) if way > 0 else -1, way):
            try:
                views[place] = follow_board(read_planes(paths[place]).luminance, board, trail[-1], coc=_next_blur(trail))
                trail.append(views[place])
            except ValueError as error:
                why[place] = f"{paths[place].parent.name}/{paths[place].name}: {error}"
            _tell(progress)
    return Followed(tuple(views), tuple(why), first)


def sharp_edges(paths, coordinates, followed: Followed, board: Board) -> Bracket:
    """What a bracket tells of the core: widths of the edges in its sharp frames, blur in the next ones on both sides."""
    count = len(board.edges)
    coc, width, sigma = (np.full((len(paths), count), np.nan) for _ in range(3))
    blur = np.array([np.nan if view is None else view.coc for view in followed.views])
    far = [index for index in np.argsort(blur) if max(FAR[0], MOST + 1) <= blur[index] <= FAR[1]][:_BESIDE]
    for index in (*np.flatnonzero(blur < MOST + 1), *far):
        image, mask = read_planes(paths[index]).channels[1]
        view, sharp = followed.views[index], blur[index] < MOST + 1
        fits = measure_widths(image, view, board, width=math.hypot(FIRST, blur[index] / 4), mask=mask) if sharp else \
            measure_edges(image, view, board, core=FIRST, coc=blur[index], mask=mask)
        if sharp:
            width[index], sigma[index] = (np.where(fits.ok, values / 4, np.nan) for values in (fits.coc, fits.sigma))
        else:
            coc[index] = np.where(fits.ok, fits.coc, np.nan)
    return Bracket(np.asarray(coordinates, float), coc, width, sigma)


def blurs(planes: Planes, view: BoardView, board: Board, *, core: float) -> dict[int, EdgeFits]:
    """Channel -> blur of the edges of one frame."""
    found, guess = {}, np.full(len(board.edges), max(view.coc, 0.5))
    for channel in sorted(planes.channels, key=lambda number: number != 1):  # green first: the others are blurred alike
        image, mask = planes.channels[channel]
        found[channel] = measure_edges(image, view, board, core=core, coc=guess, mask=mask)
        if channel == 1:
            guess = np.where(found[channel].ok, found[channel].coc, guess)
    return found


def _of_mosaic(values, pattern):
    from scipy.ndimage import correlate1d

    values = _unsaturated(values)
    luminance = correlate1d(correlate1d(np.nan_to_num(values, nan=1.0), _LUMINANCE, axis=0, mode="mirror"), _LUMINANCE,
                            axis=1, mode="mirror")
    return Planes(luminance, {channel: (values, pattern == channel) for channel in range(len(CHANNELS))})


def _of_colours(values):
    values = _unsaturated(values[..., :3])
    luminance = np.nan_to_num(values, nan=1.0) @ _LUMINANCE
    return Planes(luminance, {channel: (np.ascontiguousarray(values[..., channel]), None)
                              for channel in range(len(CHANNELS))})


def _unsaturated(values):
    return np.where(values < 0.99, values, np.float32(np.nan)).astype(np.float32, copy=False)


def _sharpness(luminance):
    """Energy of the finest differences over that of the coarser ones, in the middle of the picture; noise cancels mostly."""
    height, width = luminance.shape
    middle = luminance[height // 6:-(height // 6), width // 6:-(width // 6)]
    rows, columns = (length // 4 for length in middle.shape)
    reduced = middle[:4 * rows, :4 * columns].reshape(rows, 4, columns, 4).mean((1, 3))
    fine, coarse = np.diff(reduced, axis=1), reduced[:, 8:] - reduced[:, :-8]
    return float(np.mean(fine**2) / max(np.mean(coarse**2), 1e-12))


def _next_blur(trail):
    """Blur [px] to expect in the next frame of a bracket from those behind it."""
    last = trail[-1].coc
    ahead = last if len(trail) < 2 else 2 * last - trail[-2].coc
    return float(np.clip(ahead, max(0.7 * last, 1.0), max(2 * last, last + 6)))


def _tell(progress):
    if progress is not None:
        progress()
