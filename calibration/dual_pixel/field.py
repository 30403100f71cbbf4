"""kappa and focus over the picture: tiles as they are, and a polynomial through them where they are not usable."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_OUTLIER = 5.0
"""Sigmas, scatter of the tiles included, beyond which a tile contradicts the others."""

_LEAST_FOR_OUTLIERS = 12
_TERMS = ((9, ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))), (4, ((0, 0), (1, 0), (0, 1))), (1, ((0, 0),)))
"""Fewest usable tiles -> powers of x and y of the polynomial through them."""

_EVEN = ((0, 0), (2, 0), (0, 2))
_NORMAL = 1.4826  # standard deviation over median absolute deviation


@dataclass(frozen=True, eq=False)
class Surface:
    """(rows, columns) values and 1-sigma, whole; chi2_dof of the polynomial through the usable tiles, None where it has no
    degree of freedom left."""

    values: np.ndarray
    sigma: np.ndarray
    chi2_dof: float | None


def smooth(values, sigmas, usable):
    """(one Surface per grid, (rows, columns) bool of tiles that contradict the others).

    values, sigmas   sequences of (rows, columns) grids;   usable   the tiles that count, at least one
    """
    outliers = np.zeros(usable.shape, bool)
    if usable.sum() >= _LEAST_FOR_OUTLIERS:
        for grid, sigma in zip(values, sigmas, strict=True):
            away = grid - _Polynomial(grid, sigma, usable).values
            scatter = _NORMAL * np.median(np.abs(away[usable]))
            outliers |= usable & (np.abs(away) > _OUTLIER * np.hypot(sigma, scatter))
    kept = usable & ~outliers
    surfaces = []
    for grid, sigma in zip(values, sigmas, strict=True):
        polynomial = _Polynomial(grid, sigma, kept)
        surfaces.append(Surface(np.where(kept, grid, polynomial.values), np.where(kept, sigma, polynomial.sigma),
                                polynomial.chi2_dof))
    return surfaces, outliers


class _Polynomial:
    """Weighted least squares through the kept tiles: values and 1-sigma everywhere, chi2 per degree of freedom."""

    def __init__(self, grid, sigma, kept, terms=None):
        terms = terms or next(powers for least, powers in _TERMS if kept.sum() >= least)
        basis = _basis(grid.shape, terms)
        weighted = basis[kept] / sigma[kept][:, None]
        inverse = np.linalg.pinv(weighted.T @ weighted)
        self.coefficients = inverse @ (weighted.T @ (grid[kept] / sigma[kept]))
        self.values = basis @ self.coefficients
        left = (grid - self.values)[kept]
        free = int(kept.sum()) - len(terms)
        self.chi2_dof = float(np.sum((left / sigma[kept]) ** 2) / free) if free > 0 else None
        excess = max(float(np.mean(left**2 - sigma[kept] ** 2)), 0.0) if free > 0 else 0.0
        variance = np.einsum("...i,ij,...j->...", basis, inverse, basis)
        self.sigma = np.sqrt(variance * max(self.chi2_dof or 1.0, 1.0) + excess)


def _basis(shape, terms):
    """(rows, columns, terms) powers of the places of tile centres, x and y within -1..1."""
    y, x = (((np.arange(length) + 0.5) / length * 2 - 1) for length in shape)
    return np.stack([x[None, :] ** p * y[:, None] ** q for p, q in terms], axis=-1)


def turned(flat, field):
    """((angle [degrees], "vertical"), (angle, "horizontal")): how far a flat is turned about these axes, 0 if not certain.

    A plane turned by t has inverse depths inverse_depth (1 + tan(t) x / fx), x from the middle, positive = nearer at the
    right (the bottom).  kappa and focus of a centred lens are even, so the odd part of what a flat shows is its own turn.
    """
    usable, lens = field.usable, flat.lens
    if usable.sum() < _LEAST_FOR_OUTLIERS:
        return ((0.0, "vertical"), (0.0, "horizontal"))
    kappa, focus = (_Polynomial(surface.values, surface.sigma, usable, _EVEN).values for surface in
                    (field.kappa, field.focus))
    rate = kappa * lens.blur_rate
    shown, sigma = focus + flat.tiles.disparity / rate - flat.inverse_depth, flat.tiles.sigma / rate
    basis = _basis(usable.shape, ((0, 0), (1, 0), (0, 1)))[usable]
    weighted = basis / sigma[usable][:, None]
    inverse = np.linalg.inv(weighted.T @ weighted)
    slopes = inverse @ (weighted.T @ (shown[usable] / sigma[usable]))
    spread = max(float(np.mean(((shown[usable] - basis @ slopes) / sigma[usable]) ** 2)), 1.0)
    found = []
    for index, axis, length in ((1, "vertical", flat.size[1]), (2, "horizontal", flat.size[0])):
        certain = abs(slopes[index]) > 4 * math.sqrt(spread * inverse[index, index])
        tangent = slopes[index] / (length / 2) * lens.fx / flat.inverse_depth
        found.append((math.degrees(math.atan(tangent)) if certain else 0.0, axis))
    return tuple(found)
