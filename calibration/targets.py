"""Draw a target: vector PDF and SVG at 1:1, PNG for screens, with bars that check the print and the protocol of a shoot.

The grid is one path without overlaps: black squares with the dot as a hole, and what is black of markers and noise as
rectangles, merged as far as they go.  Nothing else comes nearer to the grid than `MARGIN` squares.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from calibration.target.board import CELLS, Board

MARGIN = 0.3
"""White round the grid, over the side of a square."""

BAR = 100.0
"""Length [mm] of the bars that check a print."""

_EDGE = 6.0  # mm of a sheet that printers leave white
_TEXT, _LINE = 7.4, 3.2  # pt (2.6 mm), mm
_SCREEN_TEXT = 3  # lines below the grid on a screen
_SCREEN_SQUARES = (120, 60, 40, 24)
"""Squares of a screen are a multiple of one of these in px: cells, or at least modules, of whole pixels."""

PROTOCOL = (
    "Print at 100 % (no fit to page) on matt paper, glue it flat on glass or board. Both bars must be 100.0 mm.",
    "RAW, tripod, manual focus, one exposure for all frames, constant light, delayed or electronic shutter;",
    "stabilisation and in-camera lens corrections off; white paper bright, but not clipped in the RAW file.",
    "Board square to the axis: a mirror flat on it must show the lens in the middle of the picture.",
    "3 distances at least (8 are good), uniform in 1/distance, e.g. 0.55 to 2.5 m; tape from the sensor mark to",
    "1 mm. 6 frames each at least (13 are good), focus stepped from one side to the other, never back, through",
    "best focus, until on either side edges are blurred over half a dot. Nothing moved between the frames.",
    "One folder per distance, or list them in a CSV: file,distance_m,focus_coordinate. More: docs/lens.md",
)
"""How to take the pictures, as it is printed below the grid."""


def screen_board(pixels: tuple[int, int], pitch: float) -> Board:
    """The largest target for a screen of (width, height) px of `pitch` [m]: squares of whole pixels, not slanted.

    Raises ValueError where squares of 24 px do not fit.
    """
    width, height = (side - side % 2 for side in pixels)  # an even rest puts the middle between pixels
    if not (math.isfinite(pitch) and pitch > 0):
        raise ValueError(f"pitch ({pitch * 1e6:g} um) must be positive: from pixel to pixel, see the screen's data sheet")
    columns, rows = 9, 6
    room = min(width / (columns + 2 * MARGIN), (height - 2 * _screen_strip(pitch)) / (rows + 2 * MARGIN))
    side = next((int(room // unit) * unit for unit in _SCREEN_SQUARES if room >= unit), 0)
    if not side:
        raise ValueError(f"screen of {width} x {height} px holds squares of {max(room, 0):.0f} px, at least "
                         f"{_SCREEN_SQUARES[-1]} px are needed; give the pixels of the whole screen to --pixels")
    return Board("screen", columns, rows, side * pitch, 0.0, (width * pitch, height * pitch))


def on_sheet(board: Board, points) -> np.ndarray:
    """(..., 2) mm from the upper left corner of the sheet, y down, of (..., 2) board places [m]."""
    cosine, sine = math.cos(board.slant), math.sin(board.slant)
    turned = 1e3 * np.asarray(points, float) @ np.array([[cosine, sine], [-sine, cosine]])
    return turned + _middle(board)


def write_target(path, board: Board, *, dpi: float = 600.0) -> None:
    """Draw `board` into a file, its format told by the suffix: .pdf, .svg, or .png of `dpi` dots per 25.4 mm, for
    a screen 0.0254 over its pitch [m].

    Raises ValueError for another suffix, and for a screen's target in another format than .png.
    """
    import matplotlib
    from matplotlib.figure import Figure

    path, screen = Path(path), board.name == "screen"
    kind = path.suffix.lower()
    if kind not in ((".png",) if screen else (".pdf", ".svg", ".png")):
        known = "a screen shows .png" if screen else "the formats are .pdf, .svg and .png"
        raise ValueError(f"{path}: no target is written as {kind or 'a file without suffix'}; {known}")
    settings = {"path.simplify": False, "path.snap": False, "pdf.fonttype": 42, "svg.hashsalt": "dfd",
                "svg.fonttype": "path"}
    stamp = {".pdf": {"CreationDate": None, "Creator": "dfd-calibrate"}, ".svg": {"Date": None}, ".png": {}}[kind]
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=[1e3 * side / 25.4 + 1e-9 for side in board.sheet], dpi=dpi)
        draw(figure, board)
        figure.savefig(path, dpi=dpi, metadata=stamp, facecolor="white")


def draw(figure, board: Board) -> None:
    """Draw the grid and what is printed round it into a matplotlib Figure of the sheet's size."""
    from matplotlib.patches import PathPatch
    from matplotlib.transforms import Affine2D

    sheet = Affine2D().scale(1, -1).translate(0, 1e3 * board.sheet[1]).scale(1 / 25.4) + figure.dpi_scale_trans
    figure.add_artist(PathPatch(_grid_path(board), facecolor="black", edgecolor="none", linewidth=0, transform=sheet))
    if board.name == "screen":
        _screen_legend(figure, board, sheet)
    else:
        _sheet_legend(figure, board, sheet)


def _middle(board):
    """mm: the middle of the grid; on a sheet it stands as high as it may, which leaves room below."""
    width, height = (1e3 * side for side in board.sheet)
    if board.name == "screen":
        return np.array([width / 2, height / 2])
    high = 1e3 * (board.size[0] * math.sin(board.slant) + board.size[1] * math.cos(board.slant))
    return np.array([width / 2, min(height / 2, _EDGE + 1e3 * MARGIN * board.square + high / 2)])


def _grid_path(board):
    """One matplotlib Path of everything black, in mm on the sheet."""
    from matplotlib.path import Path as Outline

    parts = []
    circle = Outline.circle((0.0, 0.0), board.dot_diameter / 2)
    for middle in board.dots:  # a hole runs the other way round than its square
        parts.append(_rectangles(board, np.array([[*(middle - board.square / 2), *(middle + board.square / 2)]])))
        parts.append(Outline(on_sheet(board, middle + circle.vertices * [1, -1]), circle.codes))
    size = board.square / CELLS
    shift = np.array([board.columns, board.rows, board.columns, board.rows]) * board.square / 2
    for row, column in np.argwhere(~board.black):
        cells = board.cells[row * CELLS:(row + 1) * CELLS, column * CELLS:(column + 1) * CELLS]
        found = np.array(black_rectangles(cells)) + np.array([column, row, column, row]) * CELLS
        parts.append(_rectangles(board, found * size - shift))
    return Outline.make_compound_path(*parts)


def _rectangles(board, corners):
    """A Path of rectangles (n, 4) left, top, right, bottom [m] of the board."""
    from matplotlib.path import Path as Outline

    left, top, right, bottom = np.asarray(corners).T
    points = np.stack([np.stack(pair, axis=-1) for pair in
                       ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))], axis=1)
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY]
    return Outline(on_sheet(board, points.reshape(-1, 2)), np.tile(codes, len(points)))


def black_rectangles(cells) -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) in cells of rectangles without overlap that cover what is 0: runs along rows, merged with
    equal runs of the rows below."""
    found, open_ = [], {}
    for row, line in enumerate([*cells, np.ones_like(cells[0])]):
        ends = np.flatnonzero(np.diff(np.concatenate([[1], line, [1]]).astype(int)))
        runs = set(zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True))
        found += [(left, top, right, row) for (left, right), top in open_.items() if (left, right) not in runs]
        open_ = {run: open_.get(run, row) for run in sorted(runs)}
    return found


def _sheet_legend(figure, board, sheet):
    """Bars along two edges, the name and the protocol below the grid, at the left, where its slant leaves more room."""
    width, height = (1e3 * side for side in board.sheet)
    left, right, bottom = _EDGE + 4, width - _EDGE - 4 - BAR, height - _EDGE
    _bar(figure, sheet, np.array([right, bottom - 2.6]), np.array([1.0, 0.0]))
    _bar(figure, sheet, np.array([left, height / 2 + BAR / 2 - 12]), np.array([0.0, -1.0]))
    for index, text in enumerate(("both bars must measure 100.0 mm, tick to tick;",
                                  "else calibrate with --bar MEASURED [mm]")):
        _write(figure, sheet, (right + BAR / 2, bottom - 6.4 - _LINE * (1 - index)), text, ha="center")
    top = bottom - _LINE * (len(PROTOCOL) - 1)
    _write(figure, sheet, (left, top - 1.4 * _LINE), _title(board), fontsize=_TEXT + 1, fontweight="bold")
    for index, text in enumerate(PROTOCOL):
        _write(figure, sheet, (left, top + _LINE * index), text)


def _bar(figure, sheet, start, along):
    """A bar of `BAR` mm from `start` with a tick per 10 mm and figures at its ends."""
    from matplotlib.collections import LineCollection

    aside = np.array([along[1], -along[0]])  # upwards for a bar to the right
    lines = [[start, start + BAR * along]]
    for at in range(0, int(BAR) + 1, 10):
        lines.append([start + at * along, start + at * along + aside * (2.2 if at % 50 == 0 else 1.4)])
    figure.add_artist(LineCollection(lines, colors="black", linewidths=0.5, transform=sheet, capstyle="butt"))
    angle = math.degrees(math.atan2(-along[1], along[0]))
    for at, text in ((0, "0"), (BAR, "100 mm")):
        _write(figure, sheet, start + at * along - aside * 0.6, text, rotation=angle, rotation_mode="anchor", ha="center",
               va="top")


def _screen_legend(figure, board, sheet):
    """Lines below the grid of a screen."""
    low = _middle(board)[1] + 1e3 * board.square * (board.rows / 2 + MARGIN)
    lines = (f"{_title(board)} - show this picture dot for dot, without scaling; the screen must be flat",
             f"the grid must measure {1e3 * board.size[0]:.1f} x {1e3 * board.size[1]:.1f} mm; turn the camera about its "
             "axis by some 6 degrees",
             f"calibrate with --board screen --square {1e3 * board.square:.4g}, or a ninth of the width you measure [mm]",
             "full brightness, no dimming, exposure of 1/15 s or longer; distances and focus steps as for a printed board")
    for index, text in enumerate(lines):
        _write(figure, sheet, (_middle(board)[0], low + _LINE * (index + 1.2)), text, ha="center")


def _write(figure, sheet, place, text, **style):
    """Text at a place [mm] of the sheet, its baseline there."""
    figure.text(*place, text, transform=sheet, **{"fontsize": _TEXT, "fontfamily": "DejaVu Sans", "va": "baseline", **style})


def _screen_strip(pitch):
    """px below the grid of a screen that its lines take."""
    return _LINE * (_SCREEN_TEXT + 1) / (1e3 * pitch)


def _title(board):
    from dfd import __version__

    return (f"dfd board {board.name}: {board.columns} x {board.rows} squares of {1e3 * board.square:.3f} mm - "
            f"dfd-calibrate {__version__}")
