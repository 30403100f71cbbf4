"""Small pictures for notebooks: panels of pixels and of curves in rows, under titles, as one PNG of at most 200 kB."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.report.pictures import INK, Painted, draw_bar, new_figure, shrink

WIDTH = 1000
"""Width [px] of a picture of two panels or more."""

SINGLE = 660
"""Width [px] of a picture of one panel."""

LARGEST = 200_000
"""Most bytes of a PNG: grain beyond it is given up, first in colours, then in detail."""

SOFT = "#5b6673"

_ATTEMPTS = ((1.0, None), (1.0, 256), (0.75, 256), (0.6, 128), (0.45, 64), (0.3, 48), (0.15, 48))
"""(detail of photographs, number of colours), tried in this order."""

_DIFFUSED = 64
"""Number of colours from which on error is diffused; below it grain is what has to go."""

_FIVE_BITS = np.rint(np.rint(np.arange(256) * 31 / 255) * 255 / 31).astype(np.uint8)
"""Levels 0..255 in 32 steps that keep black and white."""

_GAP, _TALLEST, _SMALLEST = 14, 1.15, 40
_TITLE, _NOTE, _BAR = 10.0, 8.5, 8.5  # points
_LINE = 1.75  # px of a line per point
_GLYPH = 0.84  # px of a mean letter per point


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A picture as notebooks show it.   png   the bytes of a PNG file;   size   (H, W) px"""

    png: bytes
    size: tuple[int, int]

    def save(self, path) -> None:
        """Write the PNG file.  Raises ValueError for another ending than .png, OSError where it cannot be written."""
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise ValueError(f"{path.name}: a picture is saved as PNG, not as {path.suffix or 'a file without an ending'}; "
                             f"name it {path.stem}.png")
        path.write_bytes(self.png)

    def _repr_png_(self):
        return self.png

    def __repr__(self):
        return f"Picture({self.size[1]} x {self.size[0]} px, {len(self.png) / 1000:.0f} kB)"


@dataclass(frozen=True, eq=False)
class Panel:
    """Pixels, (H, W, 3) uint8, under a title; below them a colour bar where they are a painted map, and a note."""

    pixels: np.ndarray
    title: str = ""
    note: str = ""
    painted: Painted | None = None
    stretch: bool = False

    @classmethod
    def of(cls, painted: Painted, title: str = "", note: str = "") -> Panel:
        """A painted map with its colour bar."""
        return cls(painted.picture, title, note, painted)

    def height(self, width: float) -> float:
        """Of the pixels [px] at a width; tall pictures are shown narrower than their panel."""
        rows, columns = self.pixels.shape[:2]
        return min(max(width * rows / columns, _SMALLEST), _TALLEST * width)

    def draw(self, axes, detail: float, width: float) -> None:
        """Onto axes of the size of the panel."""
        axes.axis("off")
        pixels = self.pixels if self.painted is not None else shrink(self.pixels, max(int(detail * width), 1))
        smooth = "antialiased" if max(pixels.shape[:2]) > 0.5 * width else "nearest"
        axes.imshow(pixels, aspect="auto" if self.stretch else "equal", interpolation=smooth)


@dataclass(frozen=True, eq=False)
class Curves:
    """A plot: `plot(axes)` draws it; `share` is its height over its width."""

    plot: Callable
    title: str = ""
    note: str = ""
    share: float = 0.6
    painted = None

    def height(self, width: float) -> float:
        """Of the plot [px] at a width, its labels included."""
        return self.share * width

    def draw(self, axes, detail: float, width: float) -> None:
        """Onto axes of the size of the panel, which shrink by what their labels take."""
        box = axes.get_position()
        left, below = 62 / width * box.width, 40 / (self.share * width) * box.height
        axes.set_position((box.x0 + left, box.y0 + below, box.width - 1.1 * left, box.height - below))
        self.plot(axes)


def assemble(panels, *, columns: int | None = None, title: str | None = None, width: int | None = None) -> Picture:
    """The panels (Panel, Curves, or None for an empty place) in rows of `columns`, default all in one row."""
    columns = columns or len(panels)
    width = width or (SINGLE if columns == 1 else WIDTH)
    drawn = None
    for detail, colours in _ATTEMPTS:
        if detail != drawn:
            pixels, drawn = _drawn(panels, columns, title, width, detail), detail
        png = _png(pixels, colours)
        if len(png) <= LARGEST:
            break
    return Picture(png, pixels.shape[:2])


def dress(axes, across: str, up: str) -> None:
    """Quiet axes of a plot: names with units, a light grid, no box above and on the right."""
    axes.set_xlabel(across, fontsize=_NOTE, color=INK, labelpad=3)
    axes.set_ylabel(up, fontsize=_NOTE, color=INK, labelpad=3)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.grid(color="#8a94a0", alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#aab2bd")


def _drawn(panels, columns, title, width, detail):
    """(H, W, 3) uint8 of the whole picture."""
    rows = [panels[start:start + columns] for start in range(0, len(panels), columns)]
    cell = (width - _GAP * (columns + 1)) / columns
    tops = [_wrapped(title, width - 2 * _GAP, _TITLE + 1)] if title else []
    above = _GAP / 2 + (len(tops[0]) * (_TITLE + 1) * _LINE if tops else 0)
    heights = [_row_heights(row, cell) for row in rows]
    total = round(above + sum(sum(parts) + _GAP for parts in heights))
    figure = new_figure(width, total)
    if tops:
        figure.text(_GAP / width, 1 - 4 / total, "\n".join(tops[0]), fontsize=_TITLE + 1, color=INK, va="top", weight="bold")
    y = above
    for row, parts in zip(rows, heights, strict=True):
        for index, panel in enumerate(row):
            if panel is not None:
                _place(figure, panel, (_GAP + index * (cell + _GAP), y), cell, parts, detail, (width, total))
        y += sum(parts) + _GAP
    figure.canvas.draw()
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def _row_heights(row, cell):
    """Heights [px] of titles, pixels, colour bars and notes of one row."""
    shown = [panel for panel in row if panel is not None]
    title = max(len(_wrapped(panel.title, cell, _TITLE)) for panel in shown) * _TITLE * _LINE
    note = max(len(_wrapped(panel.note, cell, _NOTE)) for panel in shown) * _NOTE * _LINE
    bar = max(_bar_height(panel, cell) for panel in shown)
    return title, max(panel.height(cell) for panel in shown), bar, note


def _bar_height(panel, cell):
    if panel.painted is None:
        return 0.0
    return 39 + len(_wrapped(panel.painted.axis.label, cell, _BAR)) * _BAR * _LINE


def _place(figure, panel, corner, cell, parts, detail, size):
    """One panel at its corner, px from the top left of a figure of `size` (width, height) px."""
    width, total = size
    (left, y), (title, body, *_) = corner, parts

    def box(top, height, inset=0.0):
        return ((left + inset) / width, 1 - (top + height) / total, (cell - 2 * inset) / width, height / total)

    def write(lines, top, points, colour):
        figure.text((left + cell / 2) / width, 1 - top / total, "\n".join(lines), fontsize=points, color=colour,
                    ha="center", va="top", linespacing=1.2)

    write(_wrapped(panel.title, cell, _TITLE), y + 1, _TITLE, INK)
    own = min(panel.height(cell), body)
    panel.draw(figure.add_axes(box(y + title, own)), detail, cell)
    if panel.painted is not None:
        axes = figure.add_axes(box(y + title + own + 6, 11, inset=20))
        draw_bar(axes, panel.painted, size=_BAR, count=max(3, int(cell / 75)))
        axes.set_xlabel("\n".join(_wrapped(panel.painted.axis.label, cell, _BAR)))
    write(_wrapped(panel.note, cell, _NOTE), y + title + own + _bar_height(panel, cell) + 2, _NOTE, SOFT)


def _wrapped(words, width, points):
    """The lines of a text [points] that fit a width [px]."""
    return textwrap.wrap(words, max(int(width / (_GLYPH * points)), 8))


def _png(pixels, colours):
    """PNG bytes of (H, W, 3) uint8, of at most `colours` colours where that is a number.

    Error diffusion, for a smooth map must not show contours that it does not have.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    if colours is not None:
        coarse = _FIVE_BITS[pixels]  # thousands of distinct colours instead of hundreds of thousands, which take a minute
        palette = Image.fromarray(coarse).quantize(colours, method=Image.Quantize.MAXCOVERAGE)
        smooth = Image.Dither.FLOYDSTEINBERG if colours >= _DIFFUSED else Image.Dither.NONE
        image = image.quantize(palette=palette, dither=smooth)
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
