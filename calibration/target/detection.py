"""Find the target in a sharp frame, follow it into blurred ones: every corner and dot to a few hundredths of a pixel.

The markers tell which square is which, once, in a frame that is sharp enough to read them.  From there, and from the view
in a neighbouring frame, the board is matched (calibration.target.match) from coarse to fine: first in a reduced picture,
smoothed so that a board some tenths of a square away is caught, then at the corners and dots themselves.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from calibration.target.board import DOT, Board
from calibration.target.grid import grid_mappings, shows_markers
from calibration.target.markers import NEEDED, SIDES, mapping_of_markers, read_markers, unread
from calibration.target.match import CORE, Matches, lighting, match
from calibration.target.pose import BoardView, Mapping, fit_mapping

_SHARP, _BLURRED = 0.03, 0.2
"""Blur over the square that is expected where markers are read, and where only the grid is."""

_COARSE_SQUARE = 16  # px that a square has in the picture where the board is caught
_COARSE = (0.22, 0.16, 0.1, 0.1, 0.1)
"""Std of the smoothing over the square, pass by pass, of the picture where the board is caught."""

_CAUGHT = 0.03  # squares that a coarse pass may still move the board by when it is the last
_PASSES = 6
_SETTLED_SHIFT, _SETTLED_COC = 0.2, 0.01  # px; of the blur: changes after which one more pass changes nothing
_WINDOW, _LEAST_WINDOW, _COARSE_COC = 13, 8, 6
"""px in the reduced picture: most half width of a window, and the least that a wide blur is reduced to, and that blur."""

_FLOOR = 0.004
"""px: what a place is never known better than, for the weights."""

_OUTLIER = 4.0  # times the expected error
_LEAST_SHARE, _LEAST_POINTS = 0.4, 8
_LEAST_GAIN = 0.3  # of the median
_LOST_RMS = 0.02  # squares: above, what was matched is not the board


def find_board(image, board: Board) -> BoardView:
    """The board in a frame whose markers can be read (blur up to about .06 squares), or else its grid (about .4 squares).

    image   (H, W) float32, linear luminance, 0 = black, 1 = white, NaN = unknown
    Raises ValueError where nothing is found (markers read and needed, the likely cause), or corners and dots do not agree.
    """
    image, most, lost = _checked(image), 0, None
    for side in SIDES[:1] + tuple(side for side in SIDES[1:] if side <= 2 * max(image.shape)):
        found = read_markers(image, board, side)
        most = max(most, len(found))
        if len(found) >= NEEDED:
            try:
                start = mapping_of_markers(found, board, image.shape)
                return _refined(image, board, start, coc=_SHARP * board.square * start.density)
            except ValueError as error:  # ids read wrongly, as in a mirrored picture
                lost = error
        if side == SIDES[0] and (view := _found_by_grid(image, board)) is not None:
            return view
    raise ValueError(unread(image, board, most)) from lost


def _found_by_grid(image, board):
    """The view of a frame too blurred for markers, None where the grid is not seen or may be mirrored."""
    views = []
    for start in grid_mappings(image, board):
        try:
            views.append(_refined(image, board, start, coc=_BLURRED * board.square * start.density))
        except ValueError:  # the other way round
            continue
    right = [view for view in views if shows_markers(image, board, view.mapping, view.coc)]
    return min(right, key=lambda view: view.rms, default=None)


def follow_board(image, board: Board, start: BoardView | np.ndarray, *, coc: float) -> BoardView:
    """The board in a frame in which it is nearly where it was, however blurred up to about one square.

    start   the view in a neighbouring frame, or a (3, 3) homography board [m] -> px; right to about a tenth of a square,
            which covers 4 px and the breathing of one focus step
    coc     px, expected blur without sign; right to a factor of two, it is fitted
    Raises ValueError where the board is lost: too few corners and dots agree.
    """
    image = _checked(image)
    if not (math.isfinite(coc) and coc >= 0):
        raise ValueError(f"coc ({coc:g} px) must be zero or positive, the expected blur without its sign")
    mapping = start.mapping if isinstance(start, BoardView) else Mapping.of_image(start, image.shape)
    return _refined(image, board, mapping, coc=coc)


def _checked(image):
    image = np.asarray(image, np.float32)
    if image.ndim != 2:
        raise ValueError(f"image of shape {image.shape} must be (H, W), one linear channel")
    return image


def _refined(image, board, mapping, *, coc):
    """Coarse passes, then fine ones with the blur and the light fitted."""
    mapping, coc = _caught(image, board, mapping, coc)
    light = None
    for _ in range(_PASSES):
        points, matches = _all_matches(image, board, mapping, coc, light, fine=1)
        view, better = _view(board, mapping, points, matches, coc), _better_coc(matches, coc, board.square * mapping.density)
        moved = np.abs(view.project(board.corners) - mapping.project(board.corners)).max()
        settled = abs(better - coc) < max(_SETTLED_COC * coc, 0.1) and moved < _SETTLED_SHIFT
        light, coc, mapping = lighting(matches, mapping, points, light), better, view.mapping
        if settled:
            break
    points, matches = _all_matches(image, board, mapping, coc, light, fine=2)
    return _view(board, mapping, points, matches, _better_coc(matches, coc, board.square * mapping.density))


def _caught(image, board, mapping, coc):
    """(mapping, coc) after passes in a reduced picture, smoothed less and less."""
    import cv2

    square = board.square * mapping.density
    factor = max(1, int(square / _COARSE_SQUARE))
    points = np.concatenate([board.corners, board.dots])
    small = _reduced(image, factor)
    for smooth in _COARSE:
        core = smooth * square / factor
        shown = cv2.GaussianBlur(small, (0, 0), core, borderType=cv2.BORDER_REPLICATE)
        rough = mapping.reduced(factor)
        found = match(shown, board, rough, points, half=0.5 * square / factor, coc=coc / factor,
                      core=math.hypot(core, CORE), fine=1)
        far = np.linalg.norm(found.shift, axis=1) * factor
        good = (found.gain > _LEAST_GAIN * np.nanmedian(found.gain)) & (far < 0.35 * square) \
            & (found.gain > 4 * found.gain_sigma)
        _enough(good, board, mapping, coc)
        sigma = np.full(int(good.sum()), 0.02 * square)
        before = mapping
        mapping = _robust(points[good], mapping.project(points[good]) + factor * found.shift[good], sigma, mapping)[0]
        coc = factor * _better_coc(found, coc / factor, square / factor)
        if np.abs(mapping.project(points) - before.project(points)).max() < _CAUGHT * square:
            break
    return mapping, coc


def _robust(points, found, sigma, mapping):
    """(mapping without a new k1, used) of a fit that leaves out what lies far off, the worst first."""
    used = np.ones(len(points), bool)
    for _ in range(4):
        mapping = fit_mapping(points[used], found[used], sigma[used], mapping, radial=False)[0]
        away = np.linalg.norm(found - mapping.project(points), axis=1) / sigma
        keep = away <= max(_OUTLIER, 3 * float(np.median(away[used])))
        if keep.sum() < _LEAST_POINTS or (keep == used).all():
            break
        used = keep
    return mapping, used


def _all_matches(image, board, mapping, coc, light, *, fine):
    """(places, matches in px of the whole picture) of the corners and of the dots."""
    square = board.square * mapping.density
    corner, dot = min(8 + 0.6 * coc, 0.5 * square), min(DOT / 2 * square + 0.5 * coc + 3, 0.5 * square)
    found = [_matched(image, board, mapping, places, half, coc, light, fine)
             for places, half in ((board.corners, corner), (board.dots, dot))]
    return (np.concatenate([board.corners, board.dots]),
            Matches(*(np.concatenate(parts) for parts in zip(*(vars(one).values() for one in found), strict=True))))


def _matched(image, board, mapping, places, half, coc, light, fine):
    """Matches in windows of +-`half` px, in a picture reduced where they are wide."""
    factor = max(1, int(min(half / _LEAST_WINDOW, max(half / _WINDOW, coc / _COARSE_COC))))
    if factor == 1:
        return match(image, board, mapping, places, half=half, coc=coc, light=light, fine=fine)
    found = match(_reduced(image, factor), board, mapping.reduced(factor), places, half=half / factor,
                  coc=coc / factor, core=CORE / factor, light=light, fine=fine)
    return replace(found, shift=found.shift * factor, sigma=found.sigma * factor, dcoc=found.dcoc * factor,
                   dcoc_sigma=found.dcoc_sigma * factor)


def _reduced(image, factor):
    """Means over `factor` x `factor` pixels; what is left over at the right and below is dropped."""
    import cv2

    height, width = image.shape[0] // factor, image.shape[1] // factor
    return cv2.resize(image[:height * factor, :width * factor], (width, height), interpolation=cv2.INTER_AREA)


def _view(board, mapping, points, matches, coc):
    """The view that the windows of one pass give."""
    square = board.square * mapping.density
    with np.errstate(invalid="ignore"):
        good = (matches.gain > _LEAST_GAIN * np.nanmedian(matches.gain)) & (matches.gain > 5 * matches.gain_sigma) \
            & (np.linalg.norm(matches.shift, axis=1) < 0.15 * square) & (matches.sigma < 0.05 * square)
    _enough(good, board, mapping, coc)
    points, found = points[good], (mapping.project(points) + matches.shift)[good]
    sigma = np.hypot(matches.sigma[good], _FLOOR)
    used = _robust(points, found, sigma, mapping)[1]
    _enough(used, board, mapping, coc)
    points, found, sigma = points[used], found[used], sigma[used]
    fitted, covariance = fit_mapping(points, found, sigma, mapping, radial=True)
    rms = float(np.sqrt(((found - fitted.project(points)) ** 2).sum(axis=1).mean()))
    if rms > max(_LOST_RMS * square, 0.5):
        raise ValueError(f"board lost: corners and dots lie {rms:.2f} px (rms) off one plane, at most "
                         f"{max(_LOST_RMS * square, 0.5):.2f} px; is the board flat, and `start` the frame before?")
    return BoardView(fitted, points, found, sigma, rms, coc, len(board.corners) + len(board.dots) - len(points), covariance)


def _enough(good, board, mapping, coc):
    """Refuse a board of which too little is seen."""
    square = board.square * mapping.density
    every = _inside(mapping, np.concatenate([board.corners, board.dots]), square / 4)
    least = max(_LEAST_POINTS, math.ceil(_LEAST_SHARE * every))
    if int(good.sum()) < least:
        raise ValueError(f"board lost: {int(good.sum())} of {every} corners and dots agree with where it is expected, at "
                         f"least {least} are needed; a blur of {coc:.0f} px on squares of {square:.0f} px is too wide, or "
                         "the board moved or left the picture")


def _inside(mapping, points, margin):
    """How many places of the board lie in the picture, `margin` px and more from its rim."""
    away = np.abs(mapping.project(points) - mapping.centre)
    return int((away <= np.array(mapping.centre) + 0.5 - margin).all(axis=1).sum())


def _better_coc(matches, coc, square):
    """The blur that the windows ask for: the median of what each wants, a step of at most half."""
    known = np.isfinite(matches.dcoc) & (matches.gain > 5 * matches.gain_sigma) & (matches.dcoc_sigma < 0.1 * square)
    if known.sum() < 5:
        return coc
    asked = max(coc, 1.0) + float(np.median(matches.dcoc[known]))
    return float(np.clip(asked, coc / 2, max(1.5 * coc, coc + 2.0)))
