"""Which square is which: the markers of a board in a frame that is sharp enough to read them."""

from __future__ import annotations

import numpy as np

from calibration.target.board import MARKER, Board
from calibration.target.pose import Mapping, homography

_MIRRORED = 6  # markers that a mirrored picture shows; two or three are read wrongly in any

NEEDED = 2
"""Markers that must be read."""

SIDES = (1200, 2400, 4800)
"""Longer sides [px] of the pictures in which markers are looked for, one after the other."""

_MISS = 0.15  # squares that a marker's corner may lie off its place


def read_markers(image, board: Board, side: int) -> dict[int, np.ndarray]:
    """Marker id -> (4, 2) px of its corners, clockwise from the upper left, in the picture scaled to `side`."""
    factor = side / max(image.shape)
    return _markers(_rendered(image, factor), factor, board)


def unread(image, board: Board, count: int) -> str:
    """The error of a frame in which `count` markers are read: why, as far as the picture tells."""
    high = float(np.nanpercentile(image[::4, ::4], 99))
    if len(read_markers(image[:, ::-1], board, SIDES[0])) >= _MIRRORED:
        cause = "the picture is mirrored: turn it over, markers cannot be read from behind"
    elif high < 0.02:
        cause = f"the picture is too dark (99 % of it below {high:.3f} of white): expose it longer"
    else:
        cause = "it is too blurred for them, too small, or not wholly in the picture: give the sharpest frame"
    return f"board not found: {count} of {len(board.markers)} markers read, {NEEDED} needed; {cause}"


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


def mapping_of_markers(found, board: Board, shape) -> Mapping:
    """The mapping that most corners agree on, right to a few px; ids read wrongly do not.  Raises ValueError for too few."""
    import cv2

    numbers = sorted(found)
    points = np.concatenate([_marker_corners(board, number) for number in numbers])
    pixels = np.concatenate([found[number] for number in numbers]).astype(float)
    sides = [np.linalg.norm(corner - np.roll(corner, 1, axis=0), axis=1).mean() for corner in found.values()]
    matrix, used = cv2.findHomography(points, pixels, cv2.RANSAC, _MISS * float(np.median(sides)) / MARKER)
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
