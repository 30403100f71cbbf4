"""Which square is which: the markers of a board in a frame that is sharp enough to read them."""

from __future__ import annotations

import numpy as np

from calibration.board import MARKER, Board
from calibration.pose import Mapping, homography

NEEDED = 4
"""Markers that must be read."""

_SIDES = (1200, 2400, 4800, 9600)
"""Longer sides [px] of the pictures in which markers are looked for, one after the other."""

_ENOUGH = 0.6  # of the markers: no larger picture is tried
_MISS = 0.15  # squares that a marker's corner may lie off its place


def read_board(image, board: Board) -> Mapping:
    """The mapping that the markers of `board` give, right to a few px; raises ValueError where too few are read."""
    found = _most(image, board)
    if len(found) < NEEDED:
        raise ValueError(f"board not found: {len(found)} of {len(board.markers)} markers read, {NEEDED} needed; "
                         f"{_cause(image, board)}")
    return _agreed(found, board, image.shape)


def _most(image, board):
    """Marker id -> (4, 2) px, of the smallest picture that shows most of them, else of the one that shows the most."""
    best = {}
    longest = max(image.shape)
    for side in sorted({*(side for side in _SIDES if side < longest), min(2 * longest, max(longest, _SIDES[1]))}):
        found = _markers(_rendered(image, side / longest), side / longest, board)
        if len(found) > len(best):
            best = found
        if len(best) >= _ENOUGH * len(board.markers):
            break
    return best


def _rendered(image, factor):
    """8-bit picture with an sRGB-like curve, `factor` times as large, white at its 99.5th percentile."""
    import cv2

    small = cv2.resize(np.nan_to_num(image), None, fx=factor, fy=factor,
                       interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    low, high = np.percentile(small[::2, ::2], (0.5, 99.5))
    return np.rint(255 * np.clip((small - low) / max(high - low, 1e-6), 0, 1) ** (1 / 2.2)).astype(np.uint8)


def _markers(picture, factor, board):
    import cv2

    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    settings.minMarkerPerimeterRate = 0.01  # modules of 3 px, as a far board has them
    settings.adaptiveThreshWinSizeMax, settings.adaptiveThreshWinSizeStep = 45, 6
    settings.perspectiveRemovePixelPerCell = 8
    settings.errorCorrectionRate = 1.0  # a marker read wrongly does not lie where its id belongs
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50), settings)
    corners, ids, _ = detector.detectMarkers(picture)
    if ids is None:
        return {}
    return {int(number): (corner[0] + 0.5) / factor - 0.5 for number, corner in zip(ids.ravel(), corners, strict=True)
            if int(number) in board.markers}


def _agreed(found, board, shape):
    """The homography that most corners agree on; ids read wrongly do not."""
    import cv2

    numbers = sorted(found)
    points = np.concatenate([_marker_corners(board, number) for number in numbers])
    pixels = np.concatenate([found[number] for number in numbers]).astype(float)
    side = np.median([np.linalg.norm(corner - np.roll(corner, 1, axis=0), axis=1).mean() for corner in found.values()]) / MARKER
    matrix, used = cv2.findHomography(points, pixels, cv2.RANSAC, _MISS * side)
    used = np.zeros(len(points), bool) if used is None else used.ravel() > 0
    markers = int(used.reshape(-1, 4).all(axis=1).sum())
    if matrix is None or markers < NEEDED:
        raise ValueError(f"board not found: {len(numbers)} markers read, of which {markers} lie as on the board "
                         f"{board.name!r}, {NEEDED} needed; is it the board that was printed, flat and shown once?")
    start = Mapping.of_image(matrix, shape)
    return homography(points[used], pixels[used], np.asarray(start.centre), start.radius)


def _marker_corners(board, number):
    """(4, 2) x, y [m] of a marker's corners, clockwise from the upper left."""
    row, column = board.markers[number]
    middle = np.array([column + 0.5 - board.columns / 2, row + 0.5 - board.rows / 2])
    return board.square * (middle + MARKER / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]))


def _cause(image, board):
    """Why markers are not read, as far as the picture tells."""
    if len(_most(image[:, ::-1], board)) >= NEEDED:
        return "the picture is mirrored: turn it over, markers cannot be read from behind"
    high = float(np.nanpercentile(image[::4, ::4], 99))
    if high < 0.02:
        return f"the picture is too dark (99 % of it below {high:.3f} of white): expose it longer"
    return "it is too blurred for them, too small, or not wholly in the picture: give the sharpest frame, focused on the board"
