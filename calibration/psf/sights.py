"""Where the frames of a shoot show the noise squares of the target, and how far out of focus, with its sign."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.shoot.bracket import follow
from calibration.shoot.shoots import Shoot, check_steps
from calibration.target.board import NOISE, Board
from calibration.target.pose import BoardView, homography
from dfd.lensfile import section
from dfd.profile import LensProfile
from dfd.threads import worker_count

_SIGNED = 1.5
"""Blur [px] below which its sign is not certain."""

_NO_SIGN = ("{} distance(s), and nothing tells which way the lens moves as its {} rises, so blur has no sign; give frames "
            "of two or more distances, or the profile of `dfd-calibrate focus` with --into")

_COARSE = 4.0
"""Blur [px] below which that of a view is coarse and contradicts nothing."""

_DISAGREE = (2.0, 0.15)
"""px, share: difference of the law's blur and the edges' beyond which one of them is wrong."""


@dataclass(frozen=True, eq=False)
class Sight:
    """One noise square in one frame.

    matrix   (3, 3) board m -> px of the image about the square, distortion included
    place    (x, y) px of its middle from the middle of the image (x right, y down);   span   its side [px]
    coc      signed, px;   by_law   coc is the focus law's; else its magnitude is that of the board's edges, a coarse one
    """

    path: Path
    square: int
    matrix: np.ndarray
    place: tuple[float, float]
    span: float
    f_number: float
    coc: float
    by_law: bool


def find_sights(shoot: Shoot, board: Board, *, profile: LensProfile | None = None, origin: str = "sensor",
                workers: int | None = None, progress=None) -> tuple[list[Sight], list[str]]:
    """Every noise square in every frame whose blur has a sign, and a sentence for each frame that was left out.

    profile   with a focus law it tells coc; else the bracket tells its sign, from two or more distances
    origin    where distances count from: "sensor" or "pupil", as in `dfd-calibrate focus`
    Raises OSError for files; ValueError where no board is found, nothing tells the sign, or most frames contradict the law.
    """
    law, brackets = profile is not None and profile.calibrated, shoot.brackets
    if not law:
        _check_signs(shoot)

    def one(place):
        members = brackets[place]
        found = follow([shoot.shots[index].path for index in members], board)
        if progress is not None:
            progress("find target", place + 1, len(brackets))
        return members, found

    with ThreadPoolExecutor(worker_count(workers)) as pool:
        followed = list(pool.map(one, range(len(brackets))))
    rising = None if law else _rising(shoot, followed)
    doubts, seen = [], sum(view is not None for _, found in followed for view in found.views)
    sights, told = [], [reason for _, found in followed for reason in found.reasons if reason]
    for members, found in followed:
        sharpest = shoot.shots[members[found.sharpest]].coordinate
        for index, view in zip(members, found.views, strict=True):
            shot = shoot.shots[index]
            if view is None:
                continue
            if law:
                some, doubt = _by_law(shoot, shot, view, board, profile, origin)
                doubts += doubt
            else:
                sign = math.copysign(1.0, sharpest - shot.coordinate) * (1 if rising else -1)
                some = [] if view.coc < _SIGNED or shot.coordinate == sharpest else [
                    _sight(shot, view, board, square, sign * view.coc, False) for square in range(len(board.noise_squares))]
            sights += some
    if 2 * len(doubts) > seen:
        raise ValueError(f"{len(doubts)} of {seen} frames contradict profile {profile.name}, at most half may: {doubts[0]}")
    return sights, [*told, *doubts]


def local_matrix(view: BoardView, board: Board, square: int) -> np.ndarray:
    """(3, 3) board m -> px about a noise square: the homography through what the view makes of it and its surroundings."""
    reach = NOISE * board.square * np.linspace(-0.75, 0.75, 5)
    points = middle_of(board, square) + np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2)
    centre, radius = np.asarray(view.mapping.centre), view.mapping.radius
    return homography(points, view.project(points), centre, radius).matrix


def middle_of(board: Board, square: int) -> np.ndarray:
    """(2,) x, y [m] of the middle of a noise square."""
    row, column = board.noise_squares[square]
    return np.array([column + 0.5 - board.columns / 2, row + 0.5 - board.rows / 2]) * board.square


def _sight(shot, view, board, square, coc, by_law):
    middle = middle_of(board, square)
    place = view.project(middle) - view.mapping.centre
    step = NOISE * board.square / 2 * np.array([[1, 0], [0, 1]])
    sides = np.linalg.norm(view.project(middle + step) - view.project(middle - step), axis=1)
    return Sight(shot.path, square, local_matrix(view, board, square), (float(place[0]), float(place[1])),
                 float(sides.min()), shot.f_number, float(coc), by_law)


def _by_law(shoot, shot, view, board, profile, origin):
    """(sights of a frame, doubts) with the coc of the focus law, its field included."""
    fx = profile.fx(shot.coordinate)
    height = profile.pupil_height(shot.coordinate) if origin == "sensor" else 0.0
    if height is None:
        raise ValueError(f"profile {profile.name} does not say where the entrance pupil lies, so distances from the "
                         "sensor mark tell no blur; pass --origin pupil with distances from the pupil, "
                         "or calibrate focus from the mark")
    pupil = profile.pupil_diameter(shot.f_number)
    if pupil is None:
        raise ValueError(f"profile {profile.name} has no aperture table, so nothing tells the blur; run "
                         "`dfd-calibrate focus` into it first")
    tilt = view.pose(fx)[2]
    half = math.hypot(*shoot.size) / 2
    focus, sights = profile.focus_curve(shot.coordinate) + profile.focus_shift(shot.f_number), []
    for square in range(len(board.noise_squares)):
        sight = _sight(shot, view, board, square, 0.0, True)
        depth = shoot.stations[shot.station].distance - height + float(tilt @ middle_of(board, square))
        offset = _field(profile, np.array(sight.place) / half)
        sights.append(Sight(**{**vars(sight), "coc": fx * pupil * (1 / depth - focus - offset)}))
    mean = float(np.mean([abs(sight.coc) for sight in sights]))
    if max(mean, view.coc) > _COARSE and abs(mean - view.coc) > max(_DISAGREE[0], _DISAGREE[1] * mean):
        return [], [f"{shot.path.parent.name}/{shot.path.name}: the focus law gives {mean:.1f} px of blur, the edges show "
                    f"{view.coc:.1f} px, at most {max(_DISAGREE[0], _DISAGREE[1] * mean):.1f} px apart is fine; left "
                    "out: is its distance or its focus coordinate wrong?"]
    return [sight for sight in sights if abs(sight.coc) >= _SIGNED], []


def _field(profile, place):
    """Focus in green at a place (over the half diagonal) less that on the axis [dioptre]."""
    told = section(profile.data, "field", "focus_offset_dpt")
    square = float(place @ place)
    parts = {"x": place[0], "y": place[1], "r2": square, "r4": square**2}
    return sum(value * parts[name] for name, value in zip(told.get("terms") or (), told.get("coef") or (), strict=True))


def _check_signs(shoot):
    """Refuse, before anything is decoded, what cannot tell the sign of blur without a focus law."""
    if len(shoot.stations) == 1 and shoot.coordinate != "exif_distance_mm":
        raise ValueError(_NO_SIGN.format(1, shoot.coordinate))
    check_steps(shoot, 2)


def _rising(shoot, followed):
    """Whether the lens focuses nearer as its coordinate rises: from the sharpest frames of several distances."""
    if shoot.coordinate == "exif_distance_mm":
        return False
    points = np.array([(1 / shoot.stations[shoot.shots[members[0]].station].distance,
                        shoot.shots[members[found.sharpest]].coordinate) for members, found in followed])
    spread = np.ptp(points, axis=0)
    slope = float(np.sum((points[:, 0] - points[:, 0].mean()) * (points[:, 1] - points[:, 1].mean())))
    if not (spread > 0).all() or slope == 0:
        raise ValueError(_NO_SIGN.format(len(shoot.stations), shoot.coordinate))
    return slope > 0
