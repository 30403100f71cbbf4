"""The board in a frame too blurred for its markers: the grid of its corners, and which way round it is."""

from __future__ import annotations

import math

import numpy as np

from calibration.target.board import MARKER, Board
from calibration.target.match import match
from calibration.target.pose import Mapping, homography

_SIDES = (450, 700, 1100)  # px: longer sides of the pictures in which the grid is looked for
_CLEARER = 1.1
"""Markers must show this many times as clearly as they would on the mirrored board."""


def grid_mappings(image, board: Board) -> list[Mapping]:
    """The mappings that the grid of inner corners allows, the board as it is and turned by half; none where unseen."""
    import cv2

    shape = (board.columns - 1, board.rows - 1)
    for side in _SIDES:
        factor = min(1.0, side / max(image.shape))
        small = cv2.resize(np.nan_to_num(image), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        low, high = np.percentile(small, (0.5, 99.5))
        shown = np.rint(255 * np.clip((small - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
        seen, corners = cv2.findChessboardCornersSB(shown, shape, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
        if seen:
            pixels = (corners.reshape(-1, 2).astype(float) + 0.5) / factor - 0.5
            frame = Mapping.of_image(np.eye(3), image.shape)
            return [homography(points, pixels, np.asarray(frame.centre), frame.radius)
                    for points in (board.corners, board.corners[::-1])]
        if factor == 1:
            break
    return []


def shows_markers(image, board: Board, mapping: Mapping, coc: float) -> bool:
    """Whether the white squares look like the board's markers, rather than those of its mirror image.

    The squares of the mirrored board have the same colours, so its grid tells nothing.
    """
    import cv2

    square = board.square * mapping.density
    factor = max(1, int(square / 32))
    height, width = image.shape[0] // factor, image.shape[1] // factor
    small = cv2.resize(image[:height * factor, :width * factor], (width, height), interpolation=cv2.INTER_AREA)
    row, column = np.array(list(board.markers.values())).T
    places = board.square * np.stack([column + 0.5 - board.columns / 2, row + 0.5 - board.rows / 2], axis=1)
    left = []
    for turn in (np.eye(3), np.diag([-1.0, 1.0, 1.0])):
        turned = Mapping(mapping.matrix @ turn, mapping.k1, mapping.centre, mapping.radius).reduced(factor)
        left.append(_left_over(small, board, turned, places @ turn[:2, :2], 0.8 * MARKER * square / factor, coc / factor))
    return left[1] > _CLEARER * left[0]


def _left_over(image, board, mapping, places, half, coc):
    """What the markers' windows do not explain, over what they show: the median of all."""
    found = match(image, board, mapping, places, half=half, coc=coc)
    known = found.gain > 0
    return float(np.median((found.gain_sigma / found.gain)[known])) if known.any() else math.inf
