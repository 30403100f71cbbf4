"""Errors on the axis of the scale, in metres and relative to the distance, and the shares of bad and of good pixels.

Eigen, Puhrsch, Fergus 2014, "Depth map prediction from a single image", section 4 (squared relative error, rmse log,
thresholds 1.25^k after Ladicky et al. 2014); log10 error: Saxena et al. 2009.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.evaluate.inputs import SUFFIXES, taken

_RELATIVE = ("rmse_log", "log10_error", "squared_relative_m", "mean_relative_error", "median_relative_error",
             "p90_relative_error")

_BAD = {"bad_1_percent": 0.01, "bad_5_percent": 0.05}
_WITHIN = {"delta_1": 1.25, "delta_2": 1.25**2, "delta_3": 1.25**3}  # unknown and infinite depths fail the comparison

_PIECE = 1 << 18
"""Pixels at a time: what is forgotten at once costs no memory, and little time."""


def error_figures(estimate, truth, scale) -> dict:
    """Counts, errors and shares of (n,) float64 results and known references on the axis of `scale`."""
    known = np.isfinite(estimate)
    figures = {"n_reference": truth.size, "n": int(np.count_nonzero(known)), "density": float(known.mean())}
    e, t = taken(known, estimate, truth)
    figures |= _errors(e - t, SUFFIXES[scale])
    if scale == "metric":
        return figures | _metre_figures(estimate, truth)
    low, high = np.percentile(truth, (1, 99))
    return figures | _bad_shares(np.abs(estimate - truth), high - low)


def _metre_figures(estimate, truth):
    """Figures of depths where that of the reference is finite, in pieces: what is left whole are errors to be ranked.

    Where the reference is infinite, only an infinite depth is not bad.
    """
    everywhere, missed = truth.size, np.count_nonzero((truth <= 0) & ~(estimate <= 0))
    estimate, truth = taken(truth > 0, estimate, truth)
    gap, relative, kept = np.empty(truth.size), np.empty(truth.size), 0
    counts, sums = np.zeros(len(_BAD) + len(_WITHIN), dtype=int), np.zeros(3)
    for start in range(0, truth.size, _PIECE):
        depth, true_depth = _depth(estimate[start:start + _PIECE]), 1 / truth[start:start + _PIECE]
        error = depth - true_depth
        share, ratio = np.abs(error) / true_depth, depth / true_depth
        farther = np.maximum(ratio, 1 / ratio)
        counts += [np.count_nonzero(~(share <= limit)) for limit in _BAD.values()] + \
            [np.count_nonzero(farther < limit) for limit in _WITHIN.values()]
        error, share, ratio = taken(np.isfinite(depth), error, share, ratio)
        logarithm = np.log(ratio)
        sums += np.dot(logarithm, logarithm), np.abs(logarithm).sum(), np.dot(np.abs(error), share)
        gap[kept:kept + error.size], relative[kept:kept + error.size] = error, share
        kept += error.size
    bad, within = counts[:len(_BAD)], counts[len(_BAD):]
    shares = [*((bad + missed) / everywhere), *(within / truth.size if truth.size else [None] * len(_WITHIN))]
    figures = dict(zip((*_BAD, *_WITHIN), shares, strict=True)) | {"n_metres": kept, **_errors(gap[:kept], "m")}
    if not kept:
        return figures | dict.fromkeys(_RELATIVE)
    values = (math.sqrt(sums[0] / kept), sums[1] / kept / math.log(10), sums[2] / kept, relative[:kept].mean(),
              *np.percentile(relative[:kept], (50, 90), overwrite_input=True))
    return figures | dict(zip(_RELATIVE, map(float, values), strict=True))


def _depth(inverse):
    """Metres of (n,) dioptres: infinite at and below 0, NaN where unknown."""
    with np.errstate(divide="ignore"):
        depth = 1 / inverse
    behind = inverse <= 0
    if behind.any():
        depth[behind] = np.inf
    return depth


def _errors(error, suffix):
    names = ("rmse", "mae", "median_abs", "p90_abs", "mean_error", "median_error")
    if not error.size:
        return {f"{name}_{suffix}": None for name in names}
    scratch = np.abs(error)
    values = [math.sqrt(np.dot(error, error) / error.size), scratch.mean(),
              *np.percentile(scratch, (50, 90), overwrite_input=True), error.mean()]
    np.copyto(scratch, error)
    values.append(np.median(scratch, overwrite_input=True))
    return {f"{name}_{suffix}": float(value) for name, value in zip(names, values, strict=True)}


def _bad_shares(size, unit):
    """Unknown (NaN) errors fail the comparison with the limit, so they are bad."""
    return {name: 1 - np.count_nonzero(size <= share * unit) / size.size for name, share in _BAD.items()}
