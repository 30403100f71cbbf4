"""One map from several that each have a weight per pixel: robust to either, flat and smooth; by iterated least squares.

    least sum of  sum_s W_s |Z - Z_s|  +  lambda e (|dZ/dx| + |dZ/dy|)  +  lambda e |Laplacian of Z|

Tao et al. 2013, equations 10 and 11: |x| as x^2 / sqrt(x'^2 + 1) with x' of the last round, in steps of the grid.
"""

from __future__ import annotations

import numpy as np

FLAT, SMOOTH = 2.0, 2.0
"""Prices of slope and of the Laplacian, for weights of the sources around 1."""

SOFT = 1.0
"""epsilon [grid steps] of equation 11: below it a residual counts as its square."""

CONVERGED, ROUNDS = 0.1, 10
"""Rms change [grid steps] that ends the rounds, and their largest number; the paper's 1 ends before a lone outlier moves."""

_EXACT, _INNER = 1e-4, 400
"""Residual of the linear system, relative, and its largest number of steps."""


def fuse(sources, weights, relaxed):
    """(H, W) float64 map in the unit of `sources` (S, H, W); weights (S, H, W) >= 0; relaxed (H, W) in 0..1, the share e."""
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import cg

    shape, total = sources.shape[1:], np.maximum(weights.sum(axis=0), 1e-6)
    rough = [(operator, price * relaxed.ravel()) for operator, price in _operators(shape)]
    place = (sources * np.maximum(weights, 5e-7)).sum(axis=0) / np.maximum(total, 1e-6)
    flat = np.clip(place.ravel(), sources.min(), sources.max())
    for _ in range(ROUNDS):
        diagonal, right = np.zeros(flat.size), np.zeros(flat.size)
        for source, weight in zip(sources.reshape(len(sources), -1), weights.reshape(len(sources), -1), strict=True):
            part = (weight + 1e-6) / np.sqrt((flat - source) ** 2 + SOFT**2)
            diagonal += part
            right += part * source
        system = diags_array(diagonal)
        for operator, price in rough:
            part = price / np.sqrt((operator @ flat) ** 2 + SOFT**2)
            system = system + operator.T @ diags_array(part) @ operator
        system = system.tocsr()
        before = flat
        flat, _ = cg(system, right, x0=before, rtol=_EXACT, maxiter=_INNER, M=diags_array(1 / system.diagonal()))
        if np.sqrt(np.mean((flat - before) ** 2)) < CONVERGED:
            break
    return flat.reshape(shape)


def _operators(shape):
    """(sparse matrix, price) of the differences to the right, down, and the Laplacian, 0 across the border."""
    from scipy.sparse import diags_array, eye_array, kron

    height, width = shape
    steps = []
    for size in shape:
        ones = np.ones(size)
        ones[-1] = 0
        steps.append(diags_array([-ones, ones[:-1]], offsets=[0, 1], shape=(size, size)))
    down, right = kron(steps[0], eye_array(width)).tocsr(), kron(eye_array(height), steps[1]).tocsr()
    laplacian = -(right.T @ right + down.T @ down)
    return (right, FLAT), (down, FLAT), (laplacian, SMOOTH)
