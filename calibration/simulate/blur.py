"""Blur that changes over a picture: the true transfer function as a short series in the circle of confusion.

A disc of diameter c with light 1 + q sign(c) (rho^2 - 1/2) over it has, with a = w |c| / 2 (q = 0: Airy's classical result),

    OTF(w; c) = 2 J1(a) / a + q sign(c) (J1(a) / a - 4 J2(a) / a^2)

which is expanded in Chebyshev polynomials of c over the range that occurs, sum of T_k(t) A_k(w), t = -1..1.  The picture is
then the sum of T_k(t(x, y)) times the sharp picture filtered with A_k: every pixel has the blur of its own c, to TOLERANCE.
"""

from __future__ import annotations

import math

import numpy as np

NODES = 24
"""Most terms of a series."""

TOLERANCE = 3e-4
"""Of light at an edge, as the sum of all terms that are left out: of the transfer function times what an edge and the
pixel leave of a frequency w [rad/px], sinc(w / 2 pi) / max(w, 1).  A coc wrong by .01 px makes 1e-3 or more below 15 px."""

ROWS = 8192
"""Entries of the radial tables, from 0 to the corner of the spectrum."""


def transfer(frequency, coc, *, core=0.0, spherical=0.0):
    """OTF of pupil and core at radial angular frequencies [rad/px] for a signed coc [px]; arrays broadcast."""
    from scipy.special import j1, jv

    argument = np.abs(frequency * coc) / 2
    safe = np.maximum(argument, 1e-3)
    first = j1(safe) / safe
    found = 2 * first
    if spherical:
        found = found + spherical * np.sign(coc) * np.where(argument > 2e-3, first - 4 * jv(2, safe) / safe**2, 0.0)
    return np.where(argument > 1e-3, found, 1 - argument**2 / 8) * np.exp(-0.5 * core**2 * frequency**2)


def series(frequency, least, most, *, core, spherical=0.0) -> np.ndarray:
    """(n, len(frequency)) float32 A_k of every coc from `least` to `most` [px], n as many as TOLERANCE needs.

    Raises ValueError where NODES terms are too few: the range of coc is too wide for one piece of the picture.
    """
    if most - least < 1e-6:
        return transfer(frequency, (least + most) / 2, core=core, spherical=spherical)[None].astype(np.float32)
    angle = math.pi * (np.arange(NODES) + 0.5) / NODES
    coc = (least + most) / 2 + (most - least) / 2 * np.cos(angle)
    values = transfer(frequency[None], coc[:, None], core=core, spherical=spherical)
    basis = np.cos(np.outer(np.arange(NODES), angle)) * (2 / NODES)
    basis[0] /= 2
    terms = basis @ values
    seen = np.abs(np.sinc(frequency / (2 * math.pi))) / np.maximum(frequency, 1)
    left_out = np.cumsum(np.abs(terms[::-1] * seen), axis=0)[::-1].max(axis=1)
    small = np.flatnonzero(left_out < TOLERANCE)
    if not small.size:
        raise ValueError(f"blur from {least:.1f} to {most:.1f} px within one piece of the picture changes too much; "
                         "choose a smaller tile")
    return terms[:max(small[0], 1)].astype(np.float32)


def chebyshev(place):
    """Endless T_0, T_1, ... at `place`, an array of -1..1."""
    before, now = np.ones_like(place), place
    while True:
        yield before
        before, now = now, 2 * place * now - before


def spline_weights(positions, count):
    """Sparse (len(positions), count) float32 weights of uniform cubic B-splines at `positions` [samples].

    The samples must have been divided by `spline_gain`.  Raises ValueError for a position without its four neighbours.
    """
    from scipy.sparse import csr_array

    first = np.floor(positions).astype(np.int64) - 1
    if first.min() < 0 or first.max() + 4 > count:
        raise ValueError(f"positions {positions.min():.2f} to {positions.max():.2f} need samples beyond 0 to {count - 1}")
    t = positions - first - 1
    weights = np.stack([(1 - t)**3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    columns = first[:, None] + np.arange(4)
    rows = np.repeat(np.arange(len(positions)), 4)
    return csr_array((weights.ravel().astype(np.float32), (rows, columns.ravel())), shape=(len(positions), count))


def spline_gain(frequency):
    """What cubic B-splines do to a sampled wave of `frequency` [rad per sample]."""
    return (2 + np.cos(frequency)) / 3
