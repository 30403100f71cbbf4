"""The core of the edge profile, from the widths of edges in the sharpest frames of a bracket: where blur is least.

    width^2 = core^2 + (slope (coordinate - focus))^2 / 16                 slope [px of coc per unit of the coordinate]

Only widths up to WIDEST times the least one count: a disc that is small beside the core is a Gaussian of its second moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WIDEST = 1.8
_LEAST_FRAMES = 4
_HUBER = 1.5
_FLOOR = 0.004  # of a width: phase of the pixels and what else no noise knows


@dataclass(frozen=True)
class EdgeCore:
    """The minimum of one bracket.

    core, sigma   [px];   focus, focus_sigma   where edges are sharpest, unit of the coordinate;   slope   px of coc per unit
    chi2_dof   above 1 the sigmas are widened by its root;   frames   that took part
    """

    core: float
    sigma: float
    focus: float
    focus_sigma: float
    slope: float
    chi2_dof: float
    frames: int


def measure_core(coordinate, widths, sigmas) -> EdgeCore:
    """The core at one place of the field, from one bracket.

    coordinate   (n,) focus coordinate of each frame;   widths, sigmas   (n,) std [px] of the edge and its 1-sigma, a quarter
    of `measure_widths`; NaN where there is none.  Several edges of about the same place may stand in one call.
    Raises ValueError with fewer than 4 frames near the focus, and where the widths have no minimum between them.
    """
    s, width, sigma = (np.asarray(values, float) for values in (coordinate, widths, sigmas))
    known = np.isfinite(s) & np.isfinite(width) & np.isfinite(sigma) & (sigma > 0)
    s, width, sigma = s[known], width[known], sigma[known]
    least = _least(s, width)
    near = width <= WIDEST * least
    s, width, sigma = s[near], width[near], sigma[near]
    if len(np.unique(s)) < _LEAST_FRAMES:
        raise ValueError(f"core of the edges: {len(np.unique(s))} frames within {WIDEST:g} times the least width "
                         f"({least:.2f} px), at least {_LEAST_FRAMES} are needed; take smaller focus steps around the focus")
    centre, size = s.mean(), np.ptp(s) / 2
    factors, covariance, chi2 = _parabola((s - centre) / size, width**2, 2 * width * np.maximum(sigma, _FLOOR))
    offset, tilt, bend = factors
    lowest = -tilt / (2 * bend) if bend > 0 else math.inf
    square = offset - tilt**2 / (4 * bend) if bend > 0 else -1.0
    if abs(lowest) > 1 or square <= 0:
        raise ValueError(f"core of the edges: widths of {width.min():.2f} to {width.max():.2f} px have no minimum between "
                         f"{s.min():g} and {s.max():g}; take frames on both sides of the focus")
    gradient = np.array([1, lowest, lowest**2]) / (2 * math.sqrt(square))
    moved = np.array([0, -1 / (2 * bend), tilt / (2 * bend**2)]) * size
    return EdgeCore(math.sqrt(square), _root(gradient, covariance), float(centre + size * lowest), _root(moved, covariance),
                    4 * math.sqrt(bend) / float(size), chi2, len(np.unique(s)))


def _least(s, width):
    """The least width that does not stand alone: the least of the medians of three neighbours."""
    if len(width) < 3:
        return float(width.min(initial=math.inf))
    ordered = width[np.argsort(s, kind="stable")]
    return float(np.median([ordered[:-2], ordered[1:-1], ordered[2:]], axis=0).min())


def _parabola(x, y, sigma):
    """(factors, covariance, chi2_dof) of y = f0 + f1 x + f2 x^2, Huber's weights; covariance widened by chi2 above 1."""
    terms = np.stack([np.ones_like(x), x, x * x], axis=1) / sigma[:, None]
    weight = np.ones_like(x)
    for _ in range(30):
        root = np.sqrt(weight)
        factors = np.linalg.lstsq(terms * root[:, None], y / sigma * root, rcond=None)[0]
        rest = y / sigma - terms @ factors
        scale = max(1.0, 1.4826 * float(np.median(np.abs(rest))))
        weight = np.minimum(1, _HUBER * scale / np.maximum(np.abs(rest), 1e-12))
    chi2 = float(np.sum(weight * rest**2)) / max(1, len(x) - 3)
    return factors, np.linalg.inv((terms * weight[:, None]).T @ terms) * max(1.0, chi2), chi2


def _root(gradient, covariance):
    return math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))
