"""Maps as pictures: one perceptually uniform colour map, a scale bar with its unit, grey where nothing is known.

Near is bright where near is known.  Figures are built on matplotlib's Agg canvas without pyplot, so nothing global
changes.
"""

from __future__ import annotations

import importlib
import io
import math
import threading
from dataclasses import dataclass

import numpy as np

from dfd.report.axes import Axis, robust_range, sample

LONGEST = 1600
"""Longest side of a picture [px]; larger maps are averaged down by a whole factor."""

UNKNOWN = (205, 205, 205)
"""Colour of unknown pixels; it is in none of the colour maps used."""

INK = "#22272e"

_NARROWEST = 480
_DPI = 100
_COMPRESSION = 2  # of zlib: a third of the time of its default, a tenth more bytes
_BAR = 78


@dataclass(frozen=True, eq=False)
class Painted:
    """A map in colours, (H, W, 3) uint8 as it is to be looked at, and what its colours mean.

    low, high   places of the axis at the two ends of the colours;   unknown   share of grey pixels
    """

    picture: np.ndarray
    axis: Axis
    low: float
    high: float
    colours: str
    unknown: float

    def png(self) -> bytes:
        """The picture alone."""
        return _encode_pixels(self.picture, "png")

    def legend(self, stops: int = 24) -> tuple[list, list, tuple[str, str, str]]:
        """(colours, ticks, words) of `markup.legend`, near on the left where the axis has a near end."""
        shares = np.linspace(0, 1, stops)
        table = np.rint(255 * _colour_map(self.colours)(shares)[:, :3]).astype(int).tolist()
        places, labels = self.axis.ticks(self.low, self.high, count=6)
        ticks = [((place - self.low) / (self.high - self.low), label) for place, label in zip(places, labels, strict=True)]
        if not self.axis.near_is_left:
            return table, ticks, ("", self.axis.label, "")
        return table[::-1], [(1 - share, label) for share, label in ticks], ("near", self.axis.label, "far")


def load_ahead() -> None:
    """Load what draws in the background, half a second that a report written later in this process need not wait for."""
    threading.Thread(target=importlib.import_module, args=("matplotlib.backends.backend_agg",), daemon=True).start()


def paint_map(values, axis: Axis, *, orientation: int = 1, colours: str = "viridis", limits=None) -> Painted:
    """The colours of an (H, W) map; NaN is grey.

    limits   (low, high) numbers at the ends of the colours; None: the 1st to 99th percentile of what is known
    """
    places = axis.place(np.asarray(values, dtype=np.float32))
    unknown = 1 - np.count_nonzero(np.isfinite(places)) / places.size
    low, high = _limits(places, axis, limits)
    shown = shrink_known(places)
    picture = orient(_paint(shown, np.isfinite(shown), low, high, colours), orientation)
    return Painted(picture, axis, low, high, colours, unknown)


def framed(painted: Painted) -> bytes:
    """PNG of the picture above its scale bar, which also counts unknown pixels.

    Small pictures are enlarged by a whole factor so that labels fit.
    """
    picture = painted.picture
    enlarge = max(1, -(-_NARROWEST // max(picture.shape[:2])))
    picture = picture.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    height, width = picture.shape[:2]
    bar = _scale_bar(painted, max(width, _NARROWEST))
    page = np.full((height + _BAR, bar.shape[1], 3), 255, np.uint8)
    left = (bar.shape[1] - width) // 2
    page[:height, left:left + width] = picture
    page[height:] = bar
    return _encode_pixels(page, "png")


def _scale_bar(painted, width):
    """(_BAR, width, 3) uint8: the colours with their numbers, and the share of unknown pixels."""
    unknown = painted.unknown
    figure = new_figure(width, _BAR)
    size = min(max(7.5, width / 110), 11)
    grey_width = 0.13 if unknown else 0.0
    bar = figure.add_axes((0.03, 44 / _BAR, 0.94 - grey_width, 18 / _BAR))
    draw_bar(bar, painted, size=size, count=max(4, min(10, width // 90)))
    if unknown:
        grey = figure.add_axes((0.985 - grey_width * 0.85, 44 / _BAR, grey_width * 0.85, 18 / _BAR))
        grey.set_facecolor(np.array(UNKNOWN) / 255)
        grey.set_xticks([0.5], [f"unknown {unknown:.0%}"])
        grey.set_yticks([])
        grey.tick_params(labelsize=size, length=0, colors=INK)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def draw_bar(axes, painted: Painted, *, size: float, count: int) -> None:
    """The colours of a map with some `count` round numbers below and what they are, on empty axes; size in points."""
    axis, low, high = painted.axis, painted.low, painted.high
    axes.imshow(np.linspace(0, 1, 256)[None, :], aspect="auto", cmap=painted.colours, extent=(low, high, 0, 1))
    axes.set_yticks([])
    axes.set_xticks(*axis.ticks(low, high, count=count))
    axes.set_xlim(high, low) if axis.near_is_left else axes.set_xlim(low, high)
    axes.tick_params(labelsize=size, length=3, colors=INK)
    axes.set_xlabel(axis.label, fontsize=size, color=INK, labelpad=2)


def photo(linear, *, orientation: int = 1) -> tuple[bytes, float]:
    """(JPEG, gain) of an (H, W, 3) or (H, W, 1) linear image in sRGB; a dark image is shown `gain` times brighter."""
    linear = shrink(np.asarray(linear, dtype=np.float32))
    gain = gain_of(linear)
    return _encode_pixels(orient(develop(linear, gain), orientation), "jpg", quality=90), gain


def gain_of(linear) -> float:
    """How many times brighter, 1 to 8, a dark linear image is to be shown; NaN = no data."""
    known = linear[np.isfinite(linear)]
    return min(max(0.85 / max(float(np.percentile(known, 99.5)), 1e-3), 1.0), 8.0) if known.size else 1.0


def develop(linear, gain: float) -> np.ndarray:
    """(H, W, 3) uint8 sRGB of an (H, W, 3) or (H, W, 1) float32 linear image, `gain` times brighter; no data is grey."""
    from dfd.io.results import linear_to_srgb

    known = np.isfinite(linear)
    encoded = np.rint(255 * linear_to_srgb(np.where(known, linear, np.float32(0)) * np.float32(gain))).astype(np.uint8)
    return np.where(known.all(axis=-1, keepdims=True), encoded, np.array(UNKNOWN, np.uint8))


def orient(picture, orientation: int):
    """The picture as it is to be looked at: EXIF Orientation 1..8 (TIFF 6.0, tag 274) applied to rows and columns."""
    if orientation in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture


def shrink(picture, longest: int = LONGEST):
    """(H, W, C) averaged over whole blocks until its longest side is at most `longest`; keeps the dtype."""
    factor = math.ceil(max(picture.shape[:2]) / longest)
    if factor == 1:
        return picture
    average = _block_mean(_block_mean(picture, factor).swapaxes(0, 1), factor).swapaxes(0, 1)
    return np.rint(average).astype(np.uint8) if picture.dtype == np.uint8 else average


def shrink_known(places, longest: int = LONGEST):
    """(H, W) shrunk to `longest`: every block shows the mean of what is known in it, NaN where that is less than half."""
    factor = math.ceil(max(places.shape) / longest)
    if factor == 1:
        return places
    known = np.isfinite(places)
    share = shrink(known.astype(np.float32)[..., None], longest)[..., 0]
    total = shrink(np.where(known, places, np.float32(0))[..., None], longest)[..., 0]
    return np.where(share >= 0.5, total / np.maximum(share, np.float32(0.5)), np.float32(np.nan))


def _block_mean(picture, factor):
    """Float32 mean of every `factor` rows; rows that fill no block are left out, unless there is no full block."""
    rows = picture.shape[0]
    if rows < factor:
        return picture.mean(axis=0, keepdims=True, dtype=np.float32)
    whole = rows - rows % factor
    total = picture[0:whole:factor].astype(np.float32)
    for row in range(1, factor):
        total += picture[row:whole:factor]
    return total / np.float32(factor)


def _encode_pixels(picture, kind, **options) -> bytes:
    """PNG or JPEG of (H, W, 3) uint8."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    options = options or {"compress_level": _COMPRESSION}
    imsave(buffer, np.ascontiguousarray(picture), format=kind, pil_kwargs=options)
    return buffer.getvalue()


def encode(figure, *, density: int = 1, ground: str = "white") -> bytes:
    """PNG of a figure that was built on a canvas of its own; `density` pixels for each of its own, ground or "none"."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=density * _DPI, facecolor=ground, pil_kwargs={"compress_level": _COMPRESSION})
    return buffer.getvalue()


def new_figure(width_px, height_px):
    """An empty Agg figure of that many pixels; a tenth of a pixel more, because the canvas rounds inches x dpi down."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=((width_px + 0.1) / _DPI, (height_px + 0.1) / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


def _limits(places, axis, limits):
    if limits is None:
        return robust_range(sample(places))
    return tuple(sorted(float(axis.place(limit)) for limit in limits))


def _colour_map(name):
    from matplotlib import colormaps

    return colormaps[name]


def _paint(places, known, low, high, colours):
    """(H, W, 3) uint8: 256 colours and one more for unknown."""
    table = np.vstack([np.rint(255 * _colour_map(colours)(np.arange(256))[:, :3]), UNKNOWN]).astype(np.uint8)
    level = (places - np.float32(low)) * np.float32(255 / (high - low))
    np.clip(np.rint(level, out=level), 0, 255, out=level)
    level[~known] = 256
    return table[level.astype(np.uint16)]
