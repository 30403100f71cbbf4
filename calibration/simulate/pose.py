"""Where a flat board stands before a camera, and what of it falls into each cell of the picture without blur."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.target.board import Board


@dataclass(frozen=True, eq=False)
class Pose:
    """A flat board before the camera.

    axes       (3, 2) unit vectors of the board's x and y in camera coordinates, x right, y down, z forward from the pupil
    origin     (3,) m, the middle of the board's grid
    """

    axes: np.ndarray
    origin: np.ndarray

    @classmethod
    def held(cls, distance: float, *, turn=0.0, tilt=(0.0, 0.0), shift=(0.0, 0.0)) -> Pose:
        """A board whose middle is `distance` [m, along the axis from the pupil] away.

        turn    angle [rad] of the board's x in the picture, clockwise as seen
        tilt    angles [rad] about the picture's x and y: positive = its lower edge, its left edge lies farther
        shift   x, y [m] of its middle from the axis
        """
        about_x, about_y = tilt
        cosine, sine = math.cos(turn), math.sin(turn)
        flat = np.array([[cosine, -sine], [sine, cosine], [0, 0]])
        first = np.array([[1, 0, 0], [0, math.cos(about_x), -math.sin(about_x)], [0, math.sin(about_x), math.cos(about_x)]])
        second = np.array([[math.cos(about_y), 0, math.sin(about_y)], [0, 1, 0], [-math.sin(about_y), 0, math.cos(about_y)]])
        return cls(second @ first @ flat, np.array([*shift, distance], float))

    @property
    def tilt(self) -> tuple[float, float]:
        """Change of depth per metre along the board's x and y, positive = farther."""
        return float(self.axes[2, 0]), float(self.axes[2, 1])

    @property
    def plane(self) -> np.ndarray:
        """(3,) such that the inverse depth [dioptre] of what is seen along (x, y, 1) is plane @ (x, y, 1)."""
        normal = np.cross(self.axes[:, 0], self.axes[:, 1])
        return normal / (normal @ self.origin)

    def inverse_depth(self, x, y):
        """Dioptres from the pupil of the plane of the board along normalised coordinates x = X / z, y = Y / z."""
        across, down, middle = self.plane
        return across * x + down * y + middle

    def board_point(self, x, y):
        """Board coordinates [m] of the plane along normalised coordinates."""
        z = 1 / self.inverse_depth(x, y)
        offset = x * z - self.origin[0], y * z - self.origin[1], z - self.origin[2]
        return tuple(sum(part * axis for part, axis in zip(offset, column, strict=True)) for column in self.axes.T)

    def project(self, points) -> np.ndarray:
        """(n, 2) normalised coordinates of (n, 2) board points [m]."""
        places = np.asarray(points, float) @ self.axes.T + self.origin
        return places[:, :2] / places[:, 2:]


@dataclass(frozen=True)
class Paint:
    """Reflectances: the white and the black of the print, and the wall that it hangs on."""

    white: float = 0.85
    black: float = 0.05
    wall: float = 0.4


def reflectance(board: Board, pose: Pose, x, y, cell: float, paint: Paint) -> np.ndarray:
    """(h, w) float32 mean reflectance of what cells of the picture show, their side `cell` in normalised coordinates.

    x, y   normalised coordinates, undistorted, broadcasting to (h, w)
    """
    across, down = pose.board_point(x, y)
    half = cell * pose.origin[2] / 2
    cosine, sine = math.cos(board.slant), math.sin(board.slant)
    width, height = board.sheet
    sheet = (_within(cosine * across - sine * down, width, half) * _within(sine * across + cosine * down, height, half))
    print_ = board.reflectance(across, down, half, white=paint.white, black=paint.black)
    return (paint.wall + sheet * (print_ - paint.wall)).astype(np.float32)


def _within(place, length, half):
    """Share of a cell of half width `half` that lies within `length` about zero."""
    return np.clip((length / 2 - np.abs(place)) / (2 * half) + 0.5, 0, 1)
