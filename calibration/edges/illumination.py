"""How the illumination changes across the image, from the bright levels beside all edges: what one edge alone would take for
blur, because brightness that falls away from an edge looks like a wider one."""

from __future__ import annotations

import math

import numpy as np

from calibration.edges.fit import MOST_FALL, Fall, Sides
from calibration.edges.pixels import BoardEdges

_DEGREES = ((45, 4), (24, 3), (12, 2))
"""At least so many edges -> degree of the polynomial in x and y."""

_OUTLIER = 4.0  # sigma, of the levels about the polynomial
_LEAST = 1e-5  # 1-sigma of a slope [1/px]: paper is no better
_LEAST_BRIGHT = 1e-3


def illumination(edges: BoardEdges, sides: list[Sides | None]) -> list[Fall]:
    """The relative slopes of the white level at every edge, from a polynomial through the levels beside all edges.

    sides   one per edge, None where there is none
    The 1-sigma is that of the polynomial, from the scatter of the levels; with fewer than 12 edges nothing is known.
    """
    known = [(one.white, one.along, one.across) if one is not None else (math.nan,) * 3 for one in sides]
    white, along, across = np.array(known).reshape(-1, 3).T
    used = white > _LEAST_BRIGHT
    degree = next((degree for count, degree in _DEGREES if np.count_nonzero(used) >= count), None)
    if degree is None:
        return [Fall()] * len(sides)
    centre, size = edges.middle.mean(axis=0), np.ptp(edges.middle, axis=0).max() / 2
    place = (edges.middle - centre) / size
    measured = np.where(used[:, None], place + (edges.way * along[:, None] + edges.white * across[:, None]) / size, 0)
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    terms = np.stack([measured[:, 0] ** i * measured[:, 1] ** j for i, j in powers], axis=1)
    level = np.log(np.where(used, white, 1.0))
    for _ in range(4):
        factors = np.linalg.lstsq(terms[used], level[used], rcond=None)[0]
        rest = level - terms @ factors
        scatter = 1.4826 * np.median(np.abs(rest[used])) * math.sqrt(1 / max(0.1, 1 - len(powers) / np.count_nonzero(used)))
        used = used & (np.abs(rest) <= _OUTLIER * scatter + 1e-9)
    inverse = np.linalg.inv(terms[used].T @ terms[used])
    found = []
    for direction in (edges.way, edges.white):
        (x, y), (way_x, way_y) = place.T, direction.T / size
        rates = np.stack([way_x * i * x ** max(i - 1, 0) * y**j + way_y * j * x**i * y ** max(j - 1, 0)
                          for i, j in powers], axis=1)
        found.append((rates @ factors, scatter * np.sqrt(np.sum(rates @ inverse * rates, axis=1))))
    (along, one), (across, other) = found
    sigma = np.clip(np.maximum(one, other), _LEAST, MOST_FALL)
    return [Fall(float(a), float(b), float(s)) for a, b, s in zip(along, across, sigma, strict=True)]
