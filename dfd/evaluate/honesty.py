"""Is sigma honest, and does it rank the errors: coverage, and the area under the sparsification error.

Ilg et al. 2018, "Uncertainty estimates and multi-hypotheses networks for optical flow", section 4.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dfd.evaluate.inputs import taken

_REMOVED = np.arange(20) / 20
_ONE_SIGMA = 0.6826894921370859
_LOW = np.uint64(0xFFFFFFFF)


def sparsification(error, sigma, removed=_REMOVED):
    """(rmse, mae) of the errors left when the fractions `removed` with the largest `sigma` are dropped.

    error, sigma: (n,) of one unit, counted as float32, sigma >= 0; unknown (NaN) sigma is dropped first.  Each returned
    array has the length of `removed`, fractions from 0 to 1, of which at least one pixel is left.  Pixels of equal sigma
    are dropped in random order: the curve is its expectation.
    Raises ValueError for nothing to rank, lengths that differ, an unknown error, or a number out of range.
    """
    error = np.abs(np.asarray(error, dtype=np.float32))
    sigma = np.asarray(sigma, dtype=np.float32)
    _check(error, sigma, np.asarray(removed, dtype=float))
    unknown = np.isnan(sigma)
    sigma = np.where(unknown, np.float32(np.inf), sigma) if unknown.any() else sigma
    kept = np.maximum(np.round((1 - np.asarray(removed)) * error.size).astype(int), 1)
    squares, magnitudes = _sums(error, sigma, kept)
    return np.sqrt(squares / kept), magnitudes / kept


def _check(error, sigma, removed):
    if error.ndim != 1 or error.shape != sigma.shape or not error.size:
        raise ValueError(f"error {error.shape} and sigma {sigma.shape} must be two arrays (n,) of one length, n >= 1 "
                         "pixels; pass the pixels that are known, map[known]")
    if not np.isfinite(error).all():
        raise ValueError(f"error holds {np.count_nonzero(~np.isfinite(error))} of {error.size} values that are not finite; "
                         "leave unknown pixels out of both arrays")
    if (sigma < 0).any():
        raise ValueError(f"sigma (smallest {np.nanmin(sigma):g}, unit of the error) must be zero or positive; give unknown "
                         "ones as NaN")
    if not ((removed >= 0) & (removed <= 1)).all():
        raise ValueError(f"removed ({removed.min():g} to {removed.max():g}) must be fractions from 0 to 1")


def sigma_figures(estimate, sigma, truth, suffix, align) -> dict:
    """Coverage and ranking of (n,) arrays; empty where the result states no sigma."""
    known = np.isfinite(estimate)
    if sigma is None or not np.isfinite(sigma[known]).any():
        return {}
    estimate, truth, sigma = taken(known, estimate, truth, sigma)
    size = np.abs(estimate - truth)
    figures = {} if align == "monotone" else _coverage(*taken(np.isfinite(sigma), size, sigma))
    curves = sparsification(size, sigma)
    oracles = sparsification(size, size)
    record = {"removed": _REMOVED.tolist()}
    for name, curve, oracle in zip(("rmse", "mae"), curves, oracles, strict=True):
        record[f"{name}_{suffix}"] = curve.tolist()
        record[f"{name}_oracle_{suffix}"] = oracle.tolist()
        figures[f"ause_{name}"] = _area(curve, oracle)
        figures[f"ause_{name}_random"] = _area(np.full_like(oracle, oracle[0]), oracle)
    return figures | {"sparsification": record}


def _coverage(size, sigma):
    inside = size <= sigma
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = size / sigma
    ratio[size == 0] = 0.0
    sizes = np.array([size.size // 4 + (part < size.size % 4) for part in range(4)])
    _, hits = _sums(inside.astype(np.float32), sigma.astype(np.float32), np.cumsum(sizes))
    quarters = np.diff(hits, prepend=0.0)
    return {
        "coverage_1_sigma": float(inside.mean()),
        "coverage_2_sigma": float(np.mean(size / 2 <= sigma)),
        "coverage_1_sigma_quartiles": [float(hit / part) if part else None
                                       for hit, part in zip(quarters, sizes, strict=True)],
        "error_over_sigma_p68": float(np.quantile(ratio, _ONE_SIGMA, method="higher", overwrite_input=True)),
    }


def _area(curve, oracle):
    """Trapezium rule over the removed fraction, in units of the error when nothing is removed."""
    excess = curve - oracle
    return float(np.sum((excess[1:] + excess[:-1]) / 2 * np.diff(_REMOVED)) / oracle[0]) if oracle[0] > 0 else 0.0


def _sums(values, sigma, counts):
    """Sums of values^2 and of values over the counts[i] smallest sigma; where sigma ties, every element has the mean of its
    tie.

    values, sigma   (n,) float32, sigma >= 0.  Both travel as the halves of one integer, whose order is that of sigma (bits
                    of positive floats rise with them): such integers sort ten times as fast as an index does.
    """
    keys = (sigma + np.float32(0)).view(np.uint32).astype(np.uint64)  # -0 is 0
    keys <<= np.uint64(32)
    keys |= np.ascontiguousarray(values).view(np.uint32)
    keys.sort()
    last = keys[np.maximum(counts, 1) - 1]
    low, high = np.searchsorted(keys, last & ~_LOW), np.searchsorted(keys, last | _LOW, side="right")
    edges = np.unique([0, *low, *high])
    parts = [[0.0, 0.0], *(_moments(keys[start:stop]) for start, stop in pairwise(edges))]
    total = np.cumsum(parts, axis=0)
    below, upto = total[np.searchsorted(edges, low)], total[np.searchsorted(edges, high)]
    return (below + ((counts - low) / (high - low))[:, None] * (upto - below)).T


def _moments(keys):
    """Sums of squares and of values, which are the lower halves of (n,) keys, in float64."""
    exact = keys.astype(np.uint32).view(np.float32).astype(float)
    return [np.dot(exact, exact), exact.sum()]
