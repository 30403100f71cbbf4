"""The calibration target as geometry: squares that carry ids, dots and noise patches, exact to the last digit.

Board coordinates [m]: origin in the middle of the grid of squares, x right, y down, along the squares; on paper the grid is
turned by `slant` about its middle so that the edges of a board held level are slanted edges.  Square (row 0, column 0) is
black, colours alternate.  Every black square has a white dot in its middle; every white square holds an ArUco marker of the
dictionary 4x4_50 (ids counted row by row) or a patch of Bernoulli(1/2) noise.

    square              BOARD.cells_per_square cells wide, the unit of `Board.cells`
    marker              .4 squares, six modules with its black border;   dot   .3 squares in diameter
    noise patch         .8 squares, every cell black or white at random
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

CELLS = 120
"""Cells per square: a marker's module has 8, a cell of the noise is one."""

MARKER, DOT, NOISE = 0.4, 0.3, 0.8
"""Sides, and diameter of the dot, over the side of a square."""

MODULES = 6
"""Modules across a marker of 4 x 4 bits and its black border."""

_NOISE_SEED = 20261121


@dataclass(frozen=True)
class Board:
    """One target.

    name      of the format, as `dfd-calibrate target --size` takes it
    columns, rows   squares across and down;   square   side of a square [m]
    slant     angle [rad] by which the grid is turned on its sheet, clockwise as seen (y down)
    sheet     (width, height) of the paper or screen [m]
    """

    name: str
    columns: int
    rows: int
    square: float
    slant: float
    sheet: tuple[float, float]

    def __post_init__(self):
        if min(self.columns, self.rows) < 3:
            raise ValueError(f"board of {self.columns} x {self.rows} squares must have at least 3 x 3")
        if not (math.isfinite(self.square) and self.square > 0):
            raise ValueError(f"square ({self.square * 1e3:g} mm) must be positive")

    def scaled(self, factor: float) -> Board:
        """The board as it was really printed, `factor` times as large."""
        return Board(self.name, self.columns, self.rows, self.square * factor, self.slant,
                     (self.sheet[0] * factor, self.sheet[1] * factor))

    @property
    def size(self) -> tuple[float, float]:
        """(width, height) of the grid of squares [m]."""
        return self.columns * self.square, self.rows * self.square

    @cached_property
    def black(self) -> np.ndarray:
        """(rows, columns) bool: the black squares."""
        return np.add.outer(np.arange(self.rows), np.arange(self.columns)) % 2 == 0

    @cached_property
    def noise_squares(self) -> tuple[tuple[int, int], ...]:
        """(row, column) of the white squares that hold noise: the nearest to the middle and to the four corners."""
        white = [(int(row), int(column)) for row, column in zip(*np.nonzero(~self.black), strict=True)]
        last = (self.rows - 1, self.columns - 1)
        aims = [(last[0] / 2, last[1] / 2), (0, 0), (0, last[1]), (last[0], 0), last]
        return tuple(dict.fromkeys(min(white, key=lambda at: (math.dist(at, aim), at)) for aim in aims))

    @cached_property
    def markers(self) -> dict[int, tuple[int, int]]:
        """Id -> (row, column) of the white square that holds the marker."""
        white = [(int(row), int(column)) for row, column in zip(*np.nonzero(~self.black), strict=True)]
        return dict(enumerate(at for at in white if at not in self.noise_squares))

    @cached_property
    def corners(self) -> np.ndarray:
        """((rows - 1) (columns - 1), 2) float64 x, y [m] of the inner corners, row by row."""
        x, y = (self.square * (np.arange(1, count) - count / 2) for count in (self.columns, self.rows))
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)

    @cached_property
    def dots(self) -> np.ndarray:
        """(n, 2) float64 x, y [m] of the middles of the white dots, one per black square, row by row."""
        row, column = np.nonzero(self.black)
        return self.square * np.stack([column + 0.5 - self.columns / 2, row + 0.5 - self.rows / 2], axis=1)

    @property
    def dot_diameter(self) -> float:
        """Diameter of a dot [m]."""
        return DOT * self.square

    @cached_property
    def edges(self) -> np.ndarray:
        """(n, 2, 2) float64 ends x, y [m] of every side between two squares of different colour that shows nothing else
        within .3 squares; black lies on the right hand of the way from the first end to the second (y down).

        Sides of squares with noise and the outer rim are left out.
        """
        found = []
        for row in range(self.rows):
            for column in range(self.columns):
                for down, right in ((0, 1), (1, 0)):
                    other = (row + down, column + right)
                    if other[0] >= self.rows or other[1] >= self.columns or {(row, column), other} & set(self.noise_squares):
                        continue
                    ends = np.array([[column + 1, row], [column + 1, row + 1]] if right
                                    else [[column, row + 1], [column + 1, row + 1]], float)
                    black_first = bool(self.black[row, column])  # left of, or above, the side
                    along = ends[1] - ends[0]
                    right_hand = np.array([-along[1], along[0]])  # y down: what lies right of who walks along
                    black_side = np.array([-right, -down], float) * (1 if black_first else -1)
                    found.append(ends if right_hand @ black_side > 0 else ends[::-1])
        return self.square * (np.array(found) - np.array([self.columns, self.rows]) / 2)

    @cached_property
    def cells(self) -> np.ndarray:
        """(rows CELLS, columns CELLS) uint8, 1 = white, 0 = black: everything but the dots, which are round."""
        cells = np.kron(~self.black, np.ones((CELLS, CELLS))).astype(np.uint8)
        for number, (row, column) in self.markers.items():
            module = round(MARKER * CELLS / MODULES)
            _put(cells, row, column, np.kron(marker_modules(number), np.ones((module, module), np.uint8)))
        for number, (row, column) in enumerate(self.noise_squares):
            side = round(NOISE * CELLS)
            _put(cells, row, column, np.random.default_rng([_NOISE_SEED, number]).integers(0, 2, (side, side), np.uint8))
        cells.flags.writeable = False
        return cells

    def reflectance(self, x, y, half: float, *, white: float = 1.0, black: float = 0.0) -> np.ndarray:
        """Mean over squares of side 2 `half` [m] about board coordinates x, y [m], arrays of one shape; the sheet beyond the
        grid is white.  Exact for cells; discs are smoothed over as much."""
        size = self.square / CELLS
        reach = half / size
        sums = self._sums
        u, v = np.asarray(x) / size + self.columns * CELLS / 2, np.asarray(y) / size + self.rows * CELLS / 2
        total = (_integral(sums, v + reach, u + reach) - _integral(sums, v - reach, u + reach)
                 - _integral(sums, v + reach, u - reach) + _integral(sums, v - reach, u - reach))
        share = total / (4 * reach * reach)
        # outside the grid the sums are constant: add what of the square lies beyond, white
        inside = (np.clip(u + reach, 0, sums.shape[1] - 1) - np.clip(u - reach, 0, sums.shape[1] - 1)) \
            * (np.clip(v + reach, 0, sums.shape[0] - 1) - np.clip(v - reach, 0, sums.shape[0] - 1)) / (4 * reach * reach)
        share = np.clip(share + 1 - inside, 0, 1)
        dot = np.maximum(share, self._dot_share(np.asarray(x), np.asarray(y), half))
        return black + (white - black) * dot

    def _dot_share(self, x, y, half):
        """Share of the white dot of the black square that a place lies in."""
        column, row = x / self.square + self.columns / 2, y / self.square + self.rows / 2
        whole = np.floor(column), np.floor(row)
        inside = ((whole[0] + whole[1]) % 2 == 0) & (whole[0] >= 0) & (whole[1] >= 0) & (whole[0] < self.columns) \
            & (whole[1] < self.rows)
        away = self.square * np.hypot(column - whole[0] - 0.5, row - whole[1] - 0.5)
        return np.where(inside, np.clip(0.5 + (self.dot_diameter / 2 - away) / (2 * half), 0, 1), 0)

    @cached_property
    def _sums(self):
        """Integral of `cells` over the grid, in cells: bilinear between its nodes."""
        return np.pad(np.cumsum(np.cumsum(self.cells, axis=0, dtype=np.float64), axis=1), ((1, 0), (1, 0)))


def _put(cells, row, column, content):
    """Write `content` into the middle of a square."""
    margin = (CELLS - len(content)) // 2
    top, left = row * CELLS + margin, column * CELLS + margin
    cells[top:top + len(content), left:left + len(content)] = content


def marker_modules(number: int) -> np.ndarray:
    """(6, 6) uint8, 1 = white: the marker of an id of the dictionary 4x4_50, its black border included."""
    import cv2

    return (cv2.aruco.generateImageMarker(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50), number, MODULES) > 0) \
        .astype(np.uint8)


def _integral(sums, v, u):
    """The integral up to row v and column u [cells]: exact, because cells are constant."""
    v, u = np.clip(v, 0, sums.shape[0] - 1), np.clip(u, 0, sums.shape[1] - 1)
    row, column = np.minimum(v.astype(np.intp), sums.shape[0] - 2), np.minimum(u.astype(np.intp), sums.shape[1] - 2)
    down, right = v - row, u - column
    return ((1 - down) * ((1 - right) * sums[row, column] + right * sums[row, column + 1])
            + down * ((1 - right) * sums[row + 1, column] + right * sums[row + 1, column + 1]))


SLANT = math.radians(6)
BOARDS: dict[str, Board] = {
    "a4": Board("a4", 9, 6, 0.024, SLANT, (0.297, 0.210)),
    "a3": Board("a3", 9, 6, 0.034, SLANT, (0.420, 0.297)),
    "letter": Board("letter", 9, 6, 0.024, SLANT, (0.2794, 0.2159)),
}
"""Format -> the board that is printed on it, landscape."""

SCREEN = "screen"
"""Name of the target on a screen: the same squares, not slanted, as large as the screen shows them."""

_BAR, _MOST_BAR = 100.0, 10.0  # mm


def printed_board(name: str, *, bar: float = _BAR, square: float | None = None) -> Board:
    """The target as it was printed or shown.

    name     a key of BOARDS, or SCREEN;   bar   length of its 100 mm check bars [mm]
    square   side of its squares [m], where that was measured instead; a screen has no bars
    Raises ValueError for a bar that is no print of this format, and where nothing tells the size.
    """
    if square is not None:
        if bar != _BAR:
            raise ValueError("give --bar or --square, not both: each tells how large the target was printed")
        board = BOARDS["a4"] if name == SCREEN else BOARDS[name]
        scaled = board.scaled(square / board.square)
        return Board(name, scaled.columns, scaled.rows, scaled.square, 0.0, scaled.sheet) if name == SCREEN else scaled
    if name == SCREEN:
        raise ValueError("--board screen needs --square MM, the side of a square as the screen shows it: the width of the "
                         "grid over its 9 squares [mm]")
    if abs(bar - _BAR) > _MOST_BAR:
        raise ValueError(f"--bar ({bar:g} mm) must be the measured length of a 100 mm bar, within {_MOST_BAR:g} mm of it; "
                         "was the page scaled to fit? print it at 100 %, or give the side of a square with --square")
    return BOARDS[name].scaled(bar / _BAR)
