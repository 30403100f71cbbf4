"""How the illumination changes across the image, from the bright levels beside all edges: what one edge alone would take for
blur, because brightness that falls away from an edge looks like a wider one."""

from __future__ import annotations

import math

import numpy as np

from calibration.edge_fit import MOST_FALL, EdgeFit, Fall
from calibration.edge_pixels import BoardEdges

_DEGREES = ((45, 4), (24, 3), (12, 2))
"""At least so many edges -> degree of the polynomial in x and y."""

_OUTLIER = 4.0  # sigma, of the levels about the polynomial
_LEAST = 1e-5  # 1-sigma of a slope [1/px]: paper is no better
_LEAST_BRIGHT = 1e-3


def illumination(edges: BoardEdges, fits: list[EdgeFit | None]) -> list[Fall]:
    """The relative slopes of the white level at every edge, from a polynomial through the levels of all edges.

    fits   one per edge, None where there is none
    The 1-sigma is twice the scatter of the levels over the length of an edge; with fewer than 12 edges nothing is known.
    """
    bright = np.array([fit.bright if fit is not None and fit.bright > max(fit.dark, _LEAST_BRIGHT) else np.nan for fit in fits])
    used = np.isfinite(bright)
    degree = next((degree for count, degree in _DEGREES if np.count_nonzero(used) >= count), None)
    if degree is None:
        return [Fall()] * len(fits)
    centre, size = edges.middle[used].mean(axis=0), np.abs(edges.middle[used] - edges.middle[used].mean(axis=0)).max()
    place = (edges.middle - centre) / size
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    terms = np.stack([place[:, 0] ** i * place[:, 1] ** j for i, j in powers], axis=1)
    level = np.log(np.where(used, bright, 1.0))
    for _ in range(4):
        factors = np.linalg.lstsq(terms[used], level[used], rcond=None)[0]
        rest = level - terms @ factors
        scatter = 1.4826 * np.median(np.abs(rest[used])) * math.sqrt(1 / max(0.1, 1 - len(powers) / np.count_nonzero(used)))
        used = used & (np.abs(rest) <= _OUTLIER * scatter + 1e-9)
    slope = np.stack([sum(f * i * place[:, 0] ** max(i - 1, 0) * place[:, 1] ** j
                          for f, (i, j) in zip(factors, powers, strict=True)),
                      sum(f * j * place[:, 0] ** i * place[:, 1] ** max(j - 1, 0)
                          for f, (i, j) in zip(factors, powers, strict=True))], axis=1) / size
    sigma = np.clip(2 * scatter / (2 * edges.reach), _LEAST, MOST_FALL)
    along, across = np.sum(slope * edges.way, axis=1), np.sum(slope * edges.white, axis=1)
    return [Fall(float(a), float(b), float(s)) for a, b, s in zip(along, across, sigma, strict=True)]
