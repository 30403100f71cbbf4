"""The least squares kernel between known boards and what is seen of them, k >= 0, by its normal equations.

Smoothness is weighed as the data themselves tell it: variance of the noise over that of the kernel's differences, both
from the estimate before (empirical Bayes), so it fades as the noise does.
"""

from __future__ import annotations

import numpy as np

_ROUNDS = 60
_WEIGHINGS = 3
_RIDGE = 1e-9
_SMOOTH = 3.0
"""How much more than the data's own estimate smoothness counts: kernels are smooth within, rough at the rim alone."""


def solve_kernel(sharp, images, masks, weights, size: int):
    """((size, size) kernel of any sum, none of it negative, (size, size) 1-sigma of it).

    sharp     of every frame (h + size - 1, w + size - 1), the board at the pixels;   images   (h, w) what is seen of it
    masks     (2, 2) bool, which pixels of every cell of 2 x 2 count
    weights   of every frame, as 1 / variance of its noise up to a factor
    The 1-sigma is that of least squares with smoothness; that nothing is negative makes it smaller still.
    """
    count = size * size
    normal, right = np.zeros((count, count)), np.zeros(count)
    energy, pixels = 0.0, 0
    for board, image, mask, weight in zip(sharp, images, masks, weights, strict=True):
        seen = np.where(spread(mask, image.shape), image, 0)
        normal += weight * _normal_matrix(board, size, mask)
        right += weight * _correlated(board, seen)
        energy += weight * np.sum(seen**2)
        pixels += int(spread(mask, image.shape).sum())
    roughness, strength = _roughness(size), 0.0
    for _ in range(_WEIGHINGS):
        whole = normal + strength * roughness
        whole[np.diag_indices_from(whole)] += _RIDGE * np.trace(normal) / count
        kernel = _not_negative(whole, right)
        noise = max(energy - 2 * right @ kernel + kernel @ normal @ kernel, 0.0) / pixels
        strength = _SMOOTH * noise * count / max(float(kernel @ roughness @ kernel), 1e-12)
    sigma = np.sqrt(np.maximum(np.diag(np.linalg.inv(whole)), 0) * noise)
    return kernel.reshape(size, size), sigma.reshape(size, size)


def spread(mask, shape) -> np.ndarray:
    """(h, w) bool of a (2, 2) mask that repeats."""
    return np.tile(mask, [-(-length // 2) for length in shape])[:shape[0], :shape[1]]


def _normal_matrix(sharp, size, mask):
    """(n, n) sums over the patch of S(i - j) S(i - j'), n = size^2: for every lag, window sums of a product of S.

    A mask is one product of rows and columns per phase of its rows, or, where both are alike, a single one.
    """
    height, width = (length - size + 1 for length in sharp.shape)
    normal = np.zeros((size, size, size, size))
    phases = [((1, 1), mask[0])] if (mask[0] == mask[1]).all() else [((1, 0), mask[0]), ((0, 1), mask[1])]
    windows = [(_windows(height, size, down), _windows(width, size, right)) for down, right in phases if np.any(right)]
    for dy in range(size):
        for dx in range(-size + 1, size):
            if dy == 0 and dx < 0:
                continue
            # place a of the kernel sees S(i + size - 1 - a); a + d sees it d earlier
            left = max(-dx, 0), sharp.shape[1] - max(dx, 0)
            product = sharp[dy:, left[0] + dx:left[1] + dx] * sharp[:sharp.shape[0] - dy, left[0]:left[1]]
            count = size - dy, size - abs(dx)
            sums = sum(rows[:count[0], :product.shape[0]] @ product @ columns[:count[1], :product.shape[1]].T
                       for rows, columns in windows)
            first = np.arange(count[0])[::-1], np.arange(count[1])[::-1] + max(-dx, 0)
            y, x = np.meshgrid(*first, indexing="ij")
            normal[y, x, y + dy, x + dx] = sums
            normal[y + dy, x + dx, y, x] = sums
    return normal.reshape(size * size, size * size)


def _windows(length, size, phases):
    """(size, length + size - 1): window k of `length` ones and zeros by turns, as `phases` says, begins at k."""
    place = np.arange(length + size - 1)[None] - np.arange(size)[:, None]
    return ((place >= 0) & (place < length)) * np.asarray(phases, float)[place % 2]


def _correlated(sharp, image):
    """(n,) sums over the patch of S(i - j) image(i), by FFT."""
    from scipy.signal import fftconvolve

    return fftconvolve(sharp, image[::-1, ::-1], mode="valid")[::-1, ::-1].ravel()


def _roughness(size):
    """(n, n): the sum of squared differences of neighbours, darkness beyond the kernel."""
    line = np.diff(np.eye(size + 2), axis=0)[:, 1:-1]
    line = line.T @ line
    return np.kron(line, np.eye(size)) + np.kron(np.eye(size), line)


def _not_negative(normal, right):
    """The least squares x >= 0 of normal equations, by block principal pivoting (Kim and Park 2011)."""
    from scipy.linalg import cho_factor, cho_solve

    free = np.ones(len(right), bool)
    fewest, patience = len(right) + 1, 3
    for _ in range(_ROUNDS):
        found, slope = np.zeros(len(right)), np.zeros(len(right))
        found[free] = cho_solve(cho_factor(normal[np.ix_(free, free)]), right[free])
        slope[~free] = normal[np.ix_(~free, free)] @ found[free] - right[~free]
        wrong = (free & (found < 0)) | (~free & (slope < 0))
        count = int(wrong.sum())
        if count == 0:
            break
        if count < fewest:
            fewest, patience = count, 3
        elif patience:
            patience -= 1
        else:
            last = np.flatnonzero(wrong)[-1]
            wrong = np.zeros_like(wrong)
            wrong[last] = True
        free ^= wrong
    return np.clip(found, 0, None)
