"""Where a board stands: the homography from board to image with radial distortion, its fit, and what it says of the pose.

A place (X, Y) [m] of the board goes to d = (n1, n2) / n3 with n = matrix (X, Y, 1), and to the pixel
d + k1 |e|^2 (d - centre), e = (d - centre) / radius.  With a focal length fx [px] and the middle of the image as principal
point, matrix is in proportion to K [r1 r2 t]: its third row tells the tilt, the length of its columns the scale (Zhang
2000).  Column lengths of their own (paper is not printed square to better than .1 %) do not pull the tilt, and the scale
is their geometric mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_ITERATIONS = 8
_SIGNIFICANT = 4.0
"""Sigmas by which k1 must differ from zero to be kept."""


@dataclass(frozen=True, eq=False)
class Mapping:
    """Board [m] -> px.

    matrix   (3, 3) float64 with matrix[2, 2] = 1;   k1   radial distortion, shift over distance from the middle at `radius`
    centre   (x, y) px of the middle of the image;   radius   half its diagonal [px]
    """

    matrix: np.ndarray
    k1: float
    centre: tuple[float, float]
    radius: float

    @classmethod
    def of_image(cls, matrix, shape, *, k1: float = 0.0) -> Mapping:
        """The mapping of an image of `shape` (H, W, ...); the scale of `matrix` does not matter."""
        height, width = shape[:2]
        matrix = np.asarray(matrix, float)
        return cls(matrix / matrix[2, 2], k1, ((width - 1) / 2, (height - 1) / 2), math.hypot(width, height) / 2)

    def project(self, points) -> np.ndarray:
        """(..., 2) px of (..., 2) board places [m]."""
        straight = _divided(self.matrix, np.asarray(points, float))
        away = straight - self.centre
        return straight + self.k1 * (away**2).sum(axis=-1, keepdims=True) / self.radius**2 * away

    def unproject(self, pixels) -> np.ndarray:
        """(..., 2) board places [m] of (..., 2) px."""
        pixels = np.asarray(pixels, float)
        if self.k1:
            bent = (pixels - self.centre) / self.radius
            away = bent
            for _ in range(4):
                away = bent / (1 + self.k1 * (away**2).sum(axis=-1, keepdims=True))
            pixels = away * self.radius + self.centre
        return _divided(np.linalg.inv(self.matrix), pixels)

    def reduced(self, factor: int) -> Mapping:
        """The same mapping into the image whose pixels are means over `factor` x `factor` pixels."""
        shift = (1 / factor - 1) / 2
        shrink = np.array([[1 / factor, 0, shift], [0, 1 / factor, shift], [0, 0, 1]])
        centre = (self.centre[0] / factor + shift, self.centre[1] / factor + shift)
        return Mapping(shrink @ self.matrix, self.k1, centre, self.radius / factor)

    @property
    def density(self) -> float:
        """Px per metre of board at the board's origin, as the image shows it: the square root of the area."""
        return math.sqrt(abs(np.linalg.det(_jacobian_at_origin(self.matrix))))


@dataclass(frozen=True, eq=False)
class BoardView:
    """A board found in an image.

    mapping      board [m] -> px, fitted to every place of `points`
    points       (n, 2) x, y [m] of the corners and dots that were used;   found   (n, 2) px where the image shows them
    sigma        (n,) px, expected error of `found` per axis
    rms          px, root mean square distance of `found` from the mapping
    coc          px, blur without sign that explains the windows best (a coarse figure, over all channels of the board)
    missing      corners and dots of the board that were rejected or lie outside the image
    covariance   (9, 9) of matrix[0, 0], [0, 1], [0, 2], [1, 0] ... [2, 1], k1
    """

    mapping: Mapping
    points: np.ndarray
    found: np.ndarray
    sigma: np.ndarray
    rms: float
    coc: float
    missing: int
    covariance: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) homography board [m] -> px, without distortion."""
        return self.mapping.matrix

    def project(self, points) -> np.ndarray:
        """(..., 2) px of (..., 2) board places [m]."""
        return self.mapping.project(points)

    def pose(self, fx: float) -> tuple[float, float, np.ndarray]:
        """(scale, scale_sigma, tilt) for a focal length `fx` [px], which need not be right to better than 10 %.

        scale   px per metre square to the axis at the board's origin, fx / z there;   scale_sigma   its 1-sigma
        tilt    (2,) change of depth per metre along the board's x and y, positive = farther
        """
        if not (math.isfinite(fx) and fx > 0):
            raise ValueError(f"fx ({fx:g} px) must be positive; it is the image distance over the pixel pitch")
        entries = self.matrix.ravel()[:8]
        scale, tilt = _scale_and_tilt(entries, fx, self.mapping.centre)
        steps = np.sqrt(np.diag(self.covariance))[:8]
        slopes = np.zeros(8)
        for index, step in enumerate(steps):
            move = np.zeros(8)
            move[index] = step
            slopes[index] = (_scale_and_tilt(entries + move, fx, self.mapping.centre)[0]
                             - _scale_and_tilt(entries - move, fx, self.mapping.centre)[0]) / (2 * step)
        return scale, math.sqrt(slopes @ self.covariance[:8, :8] @ slopes), tilt


def fit_mapping(points, found, sigma, start: Mapping, *, radial: bool) -> tuple[Mapping, np.ndarray]:
    """(mapping, (9, 9) covariance) of least weighted squares; `radial` fits k1 too, and keeps it where it is significant.

    points (n, 2) m;  found (n, 2) px;  sigma (n,) px.  The covariance is widened by chi2 / dof where that is above 1.
    """
    points, found, sigma = np.asarray(points, float), np.asarray(found, float), np.asarray(sigma, float)
    mapping, covariance = _descend(points, found, sigma, start, radial)
    if radial and abs(mapping.k1) < _SIGNIFICANT * math.sqrt(covariance[8, 8]):
        return _descend(points, found, sigma, Mapping(mapping.matrix, 0.0, mapping.centre, mapping.radius), False)
    return mapping, covariance


def homography(points, found, centre, radius) -> Mapping:
    """The mapping without distortion through n >= 4 places: linear least squares [Hartley and Zisserman 4.1]."""
    size = np.abs(points).max()
    x, y = (points / size).T
    u, v = ((found - centre) / radius).T
    one, zero = np.ones_like(x), np.zeros((3, len(x)))
    rows = np.concatenate([np.stack([x, y, one, *zero, -u * x, -u * y, -u], axis=1),
                           np.stack([*zero, x, y, one, -v * x, -v * y, -v], axis=1)])
    plane = np.linalg.svd(rows)[2][-1].reshape(3, 3)
    matrix = np.array([[radius, 0, centre[0]], [0, radius, centre[1]], [0, 0, 1]]) @ plane @ np.diag([1 / size, 1 / size, 1])
    return Mapping(matrix / matrix[2, 2], 0.0, tuple(centre), radius)


def _descend(points, found, sigma, start, radial):
    """Gauss and Newton in units of the board's size and the image's radius."""
    size, radius, centre = np.abs(points).max(), start.radius, np.asarray(start.centre)
    lift = np.array([[1 / radius, 0, -centre[0] / radius], [0, 1 / radius, -centre[1] / radius], [0, 0, 1]])
    plane = lift @ start.matrix @ np.diag([size, size, 1])
    values = np.append(plane.ravel()[:8] / plane[2, 2], start.k1)
    places, goals, weight = points / size, (found - centre) / radius, np.repeat(radius / sigma, 2)
    free = 9 if radial else 8
    for _ in range(_ITERATIONS):
        predicted, slopes = _model(values, places)
        residual = weight * (goals - predicted).ravel()
        jacobian = weight[:, None] * slopes[:, :free]
        step = np.linalg.lstsq(jacobian, residual, rcond=None)[0]
        values[:free] += step
        if np.abs(step).max() < 1e-12:
            break
    chi2 = float(residual @ residual) / max(1, len(residual) - free)
    covariance = np.zeros((9, 9))
    covariance[:free, :free] = np.linalg.pinv(jacobian.T @ jacobian) * max(1.0, chi2)
    plane = np.append(values[:8], 1.0).reshape(3, 3)
    back = np.linalg.inv(lift)
    matrix = back @ plane @ np.diag([1 / size, 1 / size, 1])
    units = np.kron(back, np.diag([1 / size, 1 / size, 1]))[:8, :8]  # back keeps the third row: linear in the entries
    turn = np.zeros((9, 9))
    turn[:8, :8], turn[8, 8] = units, 1
    return Mapping(matrix, float(values[8]), start.centre, radius), turn @ covariance @ turn.T


def _model(values, places):
    """((n, 2) prediction, (2 n, 9) Jacobian) in units of the radius."""
    x, y = places.T
    h, k1 = values[:8], values[8]
    depth = h[6] * x + h[7] * y + 1
    u, v = (h[0] * x + h[1] * y + h[2]) / depth, (h[3] * x + h[4] * y + h[5]) / depth
    line, zero = np.stack([x, y, np.ones_like(x)], axis=1) / depth[:, None], np.zeros((len(x), 3))
    du = np.concatenate([line, zero, -u[:, None] * line[:, :2]], axis=1)
    dv = np.concatenate([zero, line, -v[:, None] * line[:, :2]], axis=1)
    square = u * u + v * v
    radial = (u[:, None] * du + v[:, None] * dv) * 2 * k1
    slopes = np.stack([np.column_stack([(1 + k1 * square)[:, None] * part + radial * at[:, None], at * square])
                       for part, at in ((du, u), (dv, v))], axis=1)
    return (1 + k1 * square)[:, None] * np.stack([u, v], axis=1), slopes.reshape(-1, 9)


def _divided(matrix, points):
    flat = points @ matrix[:, :2].T + matrix[:, 2]
    return flat[..., :2] / flat[..., 2:]


def _jacobian_at_origin(matrix):
    """(2, 2) px per metre of d at the board's origin."""
    return (matrix[:2, :2] - np.outer(matrix[:2, 2], matrix[2, :2]) / matrix[2, 2]) / matrix[2, 2]


def _scale_and_tilt(entries, fx, centre):
    """fx / z at the board's origin and (dz/dX, dz/dY), of the eight entries of a homography."""
    matrix = np.append(entries, 1.0).reshape(3, 3)
    columns = matrix[:2, :2] - np.outer(centre, matrix[2, :2])  # fx / z times the x and y of the board's axes
    lengths = np.hypot(np.hypot(*columns), fx * matrix[2, :2])  # the axes have length 1
    scale = float(math.sqrt(lengths[0] * lengths[1]))
    return scale, fx * matrix[2, :2] / scale
