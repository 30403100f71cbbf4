"""Where the edges of the board lie in an image, and the pixels beside each that show nothing but the edge."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.edges.fit import EdgePixels
from calibration.target.board import Board

CLEAR = 0.3
"""Squares on either side of an edge that show nothing else."""

MOST_PIXELS = 6000
"""Of one edge: more tell little more and cost time."""

_FLAT = 10.0  # px beside the blur that show its levels
_SLACK = 1.0  # px that the view matrix and the tails of the core may be off
_LEAST_LENGTH = 8.0  # px, half
_LEAST_PIXELS = 200


@dataclass(frozen=True, eq=False)
class BoardEdges:
    """The edges of a board in one view, n of them.

    middle   (n, 2) x, y px;   board   (n, 2) x, y m of the same places
    way      (n, 2) unit vectors along the edge, from the first end to the second;   white   (n, 2) across it, to the white
    reach    (n,) px from the middle to the nearer end;   room   (n,) px across, either side, up to the nearest neighbour
    """

    middle: np.ndarray
    board: np.ndarray
    way: np.ndarray
    white: np.ndarray
    reach: np.ndarray
    room: np.ndarray


def project(view_matrix, points):
    """Image points (n, 2) px of board points (n, 2) m through a (3, 3) view matrix."""
    moved = np.column_stack([points, np.ones(len(points))]) @ np.asarray(view_matrix, float).T
    return moved[:, :2] / moved[:, 2:]


def board_edges(view, board: Board) -> BoardEdges:
    """Every edge of `board.edges` through a view: a (3, 3) matrix board m -> px, or a Mapping or BoardView with distortion.

    Raises ValueError for a matrix of another shape, that is not finite, or that mirrors the board.
    """
    matrix = np.asarray(getattr(view, "matrix", view), float)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise ValueError(f"view (matrix of shape {matrix.shape}) must be a finite 3 x 3 matrix from board metres to px; was "
                         "the board found?")
    if np.linalg.det(matrix) * matrix[2, 2] <= 0:
        raise ValueError(f"view (determinant {np.linalg.det(matrix):.3g}) shows the board mirrored, it must be "
                         "positive; x runs right and y down on the board and in the image")
    ends = board.edges
    centre = ends.mean(axis=1)
    along = ends[:, 1] - ends[:, 0]
    aside = np.stack([along[:, 1], -along[:, 0]], axis=1) * CLEAR  # to the white: y points down
    seen = view.project if hasattr(view, "project") else lambda points: project(matrix, points)
    first, second, middle = (seen(points) for points in (ends[:, 0], ends[:, 1], centre))
    way = second - first
    way /= np.hypot(*way.T)[:, None]
    white = np.stack([way[:, 1], -way[:, 0]], axis=1)
    room = [np.abs(_dot(seen(centre + side * aside) - middle, white)) for side in (-1, 1)]
    reach = [np.abs(_dot(end - middle, way)) for end in (first, second)]
    return BoardEdges(middle, centre, way, white, np.minimum(*reach), np.minimum(*room))


def most_coc(edges: BoardEdges, index: int, core: float) -> float:
    """The widest blur [px] that edge `index` has room for; negative where it has none."""
    tail = _tail(core)
    return min(edges.room[index] - tail - _SLACK, 2 * (edges.reach[index] - tail - _LEAST_LENGTH))


def cut_out(image, mask, edges: BoardEdges, index: int, *, coc: float, core: float, shift: float = 0.0):
    """(EdgePixels, share of the region that lies inside the image) of one edge blurred by about `coc` [px].

    At most MOST_PIXELS, as whole rows (columns) of the region drawn at random, about the expected edge moved by `shift` px
    to the white side.  None instead of pixels where fewer than 200 are left.
    """
    tail = _tail(core)
    half = min(coc / 2 + _FLAT, edges.room[index] - coc / 2 - tail)
    length = edges.reach[index] - coc / 2 - tail
    way, white = edges.way[index], edges.white[index]
    middle = edges.middle[index] + shift * white
    lead = int(abs(way[1]) >= abs(way[0]))  # the axis that is nearer the edge: rows of a steep one
    reach = length * abs(way[lead]) + half * abs(white[lead])
    rows = np.arange(math.ceil(middle[lead] - reach), math.floor(middle[lead] + reach) + 1)
    tile = np.ones((2, 2), bool) if mask is None else np.asarray(mask, bool)
    tile = tile if lead else tile.T
    rows = rows[tile.any(axis=1)[rows % 2]]
    width = math.ceil(half / abs(way[lead])) + 1
    wanted = max(12, round(MOST_PIXELS / (2 * half / abs(way[lead]) * tile.sum() / (2 * tile.any(axis=1).sum()))))
    if wanted < rows.size:
        rows = np.sort(np.random.default_rng(index).choice(rows, wanted, replace=False))
    ahead = rows - middle[lead]
    columns = np.rint(middle[1 - lead] + ahead * (way[1 - lead] / way[lead])).astype(int)[:, None] \
        + np.arange(-width, width + 1)
    beside, ahead = columns - middle[1 - lead], ahead[:, None]
    across, along = beside * white[1 - lead] + ahead * white[lead], beside * way[1 - lead] + ahead * way[lead]
    chosen = (np.abs(across) <= half) & (np.abs(along) <= length) & tile[rows[:, None] % 2, columns % 2]
    shape = image.shape if lead else image.shape[::-1]
    inside = chosen & (rows >= 0)[:, None] & (rows < shape[0])[:, None] & (columns >= 0) & (columns < shape[1])
    share = np.count_nonzero(inside) / max(1, np.count_nonzero(chosen))
    row, column = np.nonzero(inside)
    at = rows[row], columns[row, column]
    values = image[at if lead else at[::-1]].astype(np.float64)
    known = np.isfinite(values)
    if np.count_nonzero(known) < _LEAST_PIXELS:
        return None, share
    angle = math.atan2(white[1], white[0])
    return EdgePixels(across[inside][known], along[inside][known], values[known], angle, half, length), share


def _tail(core):
    """Px beyond the disc where the core still spreads light."""
    return _SLACK + 3 * core


def _dot(one, other):
    return np.sum(one * other, axis=1)
