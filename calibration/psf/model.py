"""The parametric kernel of a defocused point, "ellipse_poly2_gauss_box_v1": eleven numbers, fitted to a measured kernel.

    kernel = E (*) Gaussian core (*) pixel box                  unit sum, y down and x right as in the scene
    E      = the pupil's light, spread over an ellipse: a point (p, q) of the unit disc lands at
             (x + xx p + xy q,  y + xy p + yy q) px and carries
             max(0, 1 + i_x p + i_y q + i_r (2 p^2 + 2 q^2 - 1) + i_c (p^2 - q^2) + i_s 2 p q)

x, y count from the middle of the kernel; the ellipse is the symmetric matrix (xx, xy; xy, yy), whose eigenvalues are its
semi-axes: a circle is no special case of it, as it is of an angle.  The terms of the intensity are Zernike's, without light
of their own, so that no pupil is dark everywhere: i_x, i_y tilt it, i_r > 0 is a bright rim (spherical aberration), i_c and
i_s make it astigmatic.

The integral over the disc is Gauss-Legendre in the radius and equal steps in the angle, finer than the core is wide; the
core and the box are exact, and so are all derivatives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MODEL = "ellipse_poly2_gauss_box_v1"
PARAMETERS = ("x_px", "y_px", "xx_px", "yy_px", "xy_px", "i_x", "i_y", "i_r", "i_c", "i_s", "core_px")

LEAST_CORE = 0.2
"""Least std of the core [px]; a pixel cannot tell it from none."""

_LEAST_AXIS = 0.05
_KNOWN = 0.01
"""How well a measured kernel is known, over its norm: the intensities, which are of order one, may not follow less.  Where a
kernel is small, rim, diameter and core are one and the same to it."""

_SPACING = 1.2  # of the nodes, over the hypotenuse of core and a third of a pixel: next to no error
_TURNS = 60
_CONVERGED = 1e-9
_CORE_STARTS = (0.05, 0.15, 0.3)
"""Starts of the core, over the least standard deviation of the kernel."""


@dataclass(frozen=True, eq=False)
class KernelFit:
    """The parametric kernel nearest to a measured one.

    params        (11,) float64, see PARAMETERS: px but for the intensities i_*, which have no unit
    covariance    (11, 11) of params, scaled by the residuals; with weights 1 / variance, where chi2 exceeds 1
    residual_l2   ||measured - fitted|| / ||measured||
    """

    params: np.ndarray
    covariance: np.ndarray
    residual_l2: float

    @property
    def sigma(self) -> np.ndarray:
        """(11,) 1-sigma of params."""
        return np.sqrt(np.clip(np.diag(self.covariance), 0, None))

    @property
    def diameter(self) -> float:
        """Diameter [px] of the disc of the same area: an unsigned coc."""
        xx, yy, xy = self.params[2:5]
        return 2 * math.sqrt(abs(xx * yy - xy * xy))


def kernel(params, size: int) -> np.ndarray:
    """(size, size) float64 kernel of unit sum of the eleven `params`; `size` odd.

    Raises ValueError for a size that is not odd, a core below LEAST_CORE, and a kernel that lies outside its array.
    """
    if size % 2 == 0 or size < 1:
        raise ValueError(f"size ({size} px) of a PSF kernel must be odd and positive")
    params = np.asarray(params, float)
    if params.shape != (len(PARAMETERS),) or not np.isfinite(params).all():
        raise ValueError(f"params (shape {params.shape}) of a kernel must be {len(PARAMETERS)} finite numbers: "
                         f"{', '.join(PARAMETERS)}")
    if params[10] < LEAST_CORE:
        raise ValueError(f"core_px ({params[10]:g} px) must be at least {LEAST_CORE:g} px")
    return _rendered(params, size)[0]


def fit_kernel(measured, weights=None) -> KernelFit:
    """The parametric kernel nearest to a `measured` one, by damped least squares from several starts.

    measured   (s, s), s odd, any positive sum;   weights   (s, s) 1 / variance of its pixels (of unit sum), None: all alike
    Raises ValueError for another shape, for a kernel without light, and for one that is wider than its array.
    """
    measured = np.asarray(measured, float)
    if measured.ndim != 2 or measured.shape[0] != measured.shape[1] or measured.shape[0] % 2 == 0 or len(measured) < 5:
        raise ValueError(f"kernel (shape {measured.shape}) must be a square of an odd number of px, at least 5")
    total = measured.sum()
    if not (np.isfinite(measured).all() and total > 0):
        raise ValueError("a measured kernel must be finite and have a positive sum")
    measured = measured / total
    root = np.ones_like(measured) if weights is None else np.sqrt(np.asarray(weights, float))
    if root.shape != measured.shape or not (np.isfinite(root).all() and root.any()):
        raise ValueError(f"weights (shape {root.shape}) must be finite numbers, one per px of the kernel {measured.shape}")
    starts = sorted((_descend(start, measured, root, 6) for start in _starts(measured)), key=lambda found: found[1])
    params, cost, slopes = _descend(starts[0][0], measured, root, _TURNS)
    covariance = _covariance(slopes, cost, np.count_nonzero(root), weights is not None)
    left = measured - _rendered(params, len(measured))[0]
    return KernelFit(params, covariance, float(np.linalg.norm(left) / np.linalg.norm(measured)))


def centroid(values) -> tuple[float, float]:
    """(x, y) of the centre of light [px from the middle] of a square kernel."""
    axis = np.arange(len(values)) - len(values) // 2
    total = values.sum()
    return float(values.sum(axis=0) @ axis / total), float(values.sum(axis=1) @ axis / total)


def _starts(measured):
    """Uniform ellipses of the second moments, which are M M / 4 + core^2 + 1/12 for a matrix M."""
    x, y = centroid(measured)
    lit = np.clip(measured, 0, None)
    axis = np.arange(len(measured)) - len(measured) // 2
    right, down = axis - x, axis - y
    moments = np.array([[lit.sum(axis=0) @ right**2, down @ lit @ right], [0, lit.sum(axis=1) @ down**2]]) / lit.sum()
    moments[1, 0] = moments[0, 1]
    values, vectors = np.linalg.eigh(moments)
    for share in _CORE_STARTS:
        core = max(LEAST_CORE, share * math.sqrt(max(values[0], 0)))
        axes = 2 * np.sqrt(np.maximum(values - core**2 - 1 / 12, _LEAST_AXIS**2))
        matrix = (vectors * axes) @ vectors.T
        yield np.array([x, y, matrix[0, 0], matrix[1, 1], matrix[0, 1], 0, 0, 0, 0, 0, core])


def _descend(params, measured, root, turns):
    """(params, sum of squares, weighted slopes) after Levenberg-Marquardt steps, scaled by the diagonal."""
    damping = 1e-2
    left, slopes = _residual(params, measured, root)
    cost = float(left @ left)
    for _ in range(turns):
        normal, gradient = slopes.T @ slopes, slopes.T @ left
        scale = np.maximum(np.diag(normal), 1e-12 * np.diag(normal).max())
        step = np.linalg.solve(normal + damping * np.diag(scale), gradient)
        trial = _bounded(params + step)
        left_there, slopes_there = _residual(trial, measured, root)
        cost_there = float(left_there @ left_there)
        if cost_there < cost:
            gain = (cost - cost_there) / cost
            params, left, slopes, cost, damping = trial, left_there, slopes_there, cost_there, max(damping / 5, 1e-9)
            if gain < _CONVERGED:
                break
        else:
            damping *= 8
            if damping > 1e8:
                break
    return params, cost, slopes


def _residual(params, measured, root):
    """Weighted differences, and below them the intensities times what they are held with; and the slopes of both."""
    model, slopes = _rendered(params, len(measured), derivatives=True)
    held = np.zeros((5, len(params)))
    held[:, 5:10] = _KNOWN * np.linalg.norm(root * measured) * np.eye(5)
    return (np.append(root * (measured - model), -held @ params),
            np.concatenate([(root * slopes).reshape(len(slopes), -1).T, held]))


def _bounded(params):
    """Params that `kernel` can render: the core not too thin, the semi-axes not negative."""
    params = params.copy()
    params[10] = max(params[10], LEAST_CORE)
    values, vectors = np.linalg.eigh([[params[2], params[4]], [params[4], params[3]]])
    if values[0] < _LEAST_AXIS:
        matrix = (vectors * np.maximum(values, _LEAST_AXIS)) @ vectors.T
        params[2:5] = matrix[0, 0], matrix[1, 1], matrix[0, 1]
    return params


def _covariance(slopes, cost, count, weighted):
    """Inverse of the normal equations, columns scaled before, times the variance that the residuals tell."""
    scale = np.linalg.norm(slopes, axis=0)
    scale[scale == 0] = 1.0
    scaled = slopes / scale
    variance = cost / max(count - slopes.shape[1], 1)
    inverse = np.linalg.pinv(scaled.T @ scaled, hermitian=True)
    return inverse / np.outer(scale, scale) * (max(variance, 1.0) if weighted else variance)


def _rendered(params, size, *, derivatives=False):
    """(kernel, its (11, size, size) derivatives or None)."""
    core = params[10]
    p, q, weight, terms = _pupil(_density(params))
    light = 1 + params[5:10] @ terms
    lit = light > 0
    amount = np.where(lit, light, 0) * weight
    across = _Profile(params[0] + params[2] * p + params[4] * q, core, size)
    down = _Profile(params[1] + params[4] * p + params[3] * q, core, size)
    found = down.share @ (amount * across.share).T
    total = found.sum()
    if not total > 1e-3 * amount.sum():
        raise ValueError(f"the kernel lies outside its {size} px; its centre is ({params[0]:.3g}, {params[1]:.3g}) px")
    if not derivatives:
        return found / total, None
    dx, dy = amount * across.slope, amount * across.share
    slopes = np.stack([
        down.share @ dx.T, down.slope @ dy.T, down.share @ (p * dx).T, down.slope @ (q * dy).T,
        down.share @ (q * dx).T + down.slope @ (p * dy).T,
        *(down.share @ (term * weight * lit * across.share).T for term in terms),
        down.widening() @ dy.T + down.share @ (amount * across.widening()).T])
    found = found / total
    return found, (slopes - slopes.sum(axis=(1, 2))[:, None, None] * found) / total


class _Profile:
    """What each of n Gaussians of std `core` [px] at `places` [px from the middle] puts into `size` px, along one axis:
    (size, n) share, and slope, its change per px of place."""

    def __init__(self, places, core, size):
        from scipy.special import ndtr

        self.core = core
        self.away = ((np.arange(size + 1) - size / 2)[:, None] - places) / core
        self.bell = np.exp(-0.5 * self.away**2) / (core * math.sqrt(2 * math.pi))
        self.share = np.diff(ndtr(self.away), axis=0)
        self.slope = -np.diff(self.bell, axis=0)

    def widening(self):
        """(size, n) change of share per px of core."""
        return -np.diff(self.away * self.bell, axis=0)


def _density(params):
    """Nodes along the radius: as many as make their spacing as fine as the core needs, in steps of four."""
    values = np.linalg.eigvalsh([[params[2], params[4]], [params[4], params[3]]])
    spacing = _SPACING * math.hypot(params[10], 0.3)
    return min(max(4 * math.ceil(1.6 * abs(values).max() / spacing / 4), 4), 400)


@lru_cache(maxsize=32)
def _pupil(rings):
    """(p, q, weight, (5, n) terms) of the nodes of the unit disc; the weights sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(rings)
    radius, weights = (nodes + 1) / 2, weights * (nodes + 1) / 2
    spokes = 4 * rings
    angle = 2 * math.pi * (np.arange(spokes) + 0.5) / spokes
    p, q = (np.outer(radius, turn(angle)).ravel() for turn in (np.cos, np.sin))
    weight = np.repeat(weights / spokes, spokes)
    return p, q, weight, np.stack([p, q, 2 * (p * p + q * q) - 1, p * p - q * q, 2 * p * q])
