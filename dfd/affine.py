"""Scores of a map that is known up to an affine line only, as the dual-pixel literature states them.

With prediction y, truth t and weights w, mean_w(v) = sum(w v) / sum(w):

    AI(1) = min over a, b of mean_w |a y + b - t|              Garg et al. 2019, "Learning single camera depth estimation
    AI(2) = min over a, b of sqrt(mean_w (a y + b - t)^2)      using dual-pixels", section 5
    GM    = (AI(1) AI(2) (1 - |rho|))^(1/3)                    Punnappurath et al. 2020

Four different quantities are published as "1 - |rho|" of the ranks.  They have four names here, and figures of two names
must never be compared; of one name only on the same crop and mask.
"""

from __future__ import annotations

import numpy as np

from dfd.backend import to_numpy
from dfd.depthmap import DepthMap

IRLS_ITERATIONS = 5
LEAST_RESIDUAL = 1e-3
"""Residual below which the reweighting of AI(1) stops to grow, in the unit of the truth, which is 0..1 in publications."""

GOOGLE_CROP = (512, 384)
"""Rows and columns of the central window of `spearman_google`, for upright pictures; turned for wide ones."""


def affine_errors(result, truth, weights=None, border=0, *, white=1.0) -> dict:
    """Affine-invariant errors of `result` against `truth`: a dict of floats; None = cannot be computed.

    result   DepthMap, or (H, W) array on an axis on which the truth is a line: inverse depth, coc, disparity; NaN = unknown
    truth    DepthMap, or (H, W) array of the same axis; NaN = unknown.  Beside a metric DepthMap an array is metres,
             and its inverse counts.  A truth that marks unknown pixels with 0 needs them in `weights`
    weights  (H, W) >= 0, a mask or a confidence of the truth; None = every known pixel counts alike
    border   pixels to leave out at each edge
    white    the number of `truth` that counts as 1: 255 for the 8-bit maps of the published sets.  All errors are in
             this unit, and published ones are of truths in 0..1

    density              share of the weighted truth pixels where the result is known; the others do not count below
    ai1, ai2             see the module; AI(1) by 5 reweightings (w / max(|e|, 1e-3)) of the weighted least squares, so it is
                         not the exact minimum and may exceed constant_ai1 a little
    constant_ai1, constant_ai2   the same for the best constant map: weighted median and weighted mean.  An AI(1) near
                         constant_ai1 says nothing about the map
    and 1 - |rho|, 0 = the same order (or the reverse, if there are no ties), four names that must never be compared:
    spearman             the true one: average ranks of the weighted pixels, weighted
    spearman_dense8      Punnappurath, CCA: dense ranks of both maps stretched to 8 bit, unweighted; nearly Pearson's
                         correlation of the values, so it does not measure order
    spearman_dense_float KAIST, Sony: dense ranks of the float32 result stretched to 0..1 against the 8-bit truth,
                         unweighted; it depends on the float format of the result
    spearman_google      Garg: ordinal ranks (ties by position) of all known pixels of the central 512 x 384 window, then
                         weighted; None for a map that is smaller.  `border` does not move the window
    gm, gm_dense8        geometric mean of ai1, ai2 and spearman, or spearman_dense8 as the published GM has it

    Raises ValueError for different sizes, negative weights, or nothing known in both.
    """
    y, t = _axes(result, truth, white)
    w = _weights(t, weights, border)
    known = w > 0
    if not known.any():
        raise ValueError("truth has no known pixel with a weight inside the border; are the pixels to keep non-zero in "
                         "weights, and unknown ones NaN?")
    both = known & np.isfinite(y)
    if not both.any():
        raise ValueError("result and truth have no known pixel in common; is the result NaN everywhere?")
    values, target, weight = y[both], t[both], w[both]
    ai1, ai2 = _absolute(values, target, weight), _square(values, target, weight)
    centre = float(np.average(target, weights=weight))
    codes = _code_ranks(target)
    figures = {
        "n": int(both.sum()), "density": float(w[both].sum() / w.sum()), "ai1": ai1, "ai2": ai2,
        "constant_ai1": float(np.average(np.abs(target - _median(target, weight)), weights=weight)),
        "constant_ai2": float(np.sqrt(np.average((target - centre) ** 2, weights=weight))),
        "spearman": _distance(_ranks(values, "average"), _ranks(target, "average"), weight),
        "spearman_dense8": _distance(_code_ranks(values), codes),
        "spearman_dense_float": _distance(_ranks(_unit(values).astype(np.float32), "dense"), codes),
        "spearman_google": _google(y, t, w),
    }
    for name, rank in (("gm", "spearman"), ("gm_dense8", "spearman_dense8")):
        figures[name] = None if figures[rank] is None else (ai1 * ai2 * figures[rank]) ** (1 / 3)
    return figures


def _axes(result, truth, white):
    """(y, t) float64, NaN = unknown, t in units of `white`."""
    if not (np.isfinite(white) and white > 0):
        raise ValueError(f"white ({white:g}) must be positive: the number of the truth that counts as 1")
    y, t = (np.array(to_numpy(item.values if isinstance(item, DepthMap) else item), dtype=float)
            for item in (result, truth))
    if y.shape != t.shape or y.ndim != 2:
        raise ValueError(f"result (shape {y.shape}) and truth (shape {t.shape}) must be two (H, W) maps of one size; crop "
                         "or resample one of them")
    metric = isinstance(result, DepthMap) and result.scale == "metric"
    with np.errstate(divide="ignore"):
        t = 1 / t if metric and not isinstance(truth, DepthMap) else t / white
    return np.where(np.isfinite(y), y, np.nan), np.where(np.isfinite(t), t, np.nan)


def _weights(truth, weights, border):
    """(H, W) float64 weights, 0 where the truth is unknown and in the border."""
    if not 0 <= border < min(truth.shape) / 2:
        raise ValueError(f"border ({border} px) must be zero or positive and leave some of the {truth.shape[1]} x "
                         f"{truth.shape[0]} px map")
    given = np.ones(truth.shape) if weights is None else np.asarray(to_numpy(weights), dtype=float)
    if given.shape != truth.shape:
        raise ValueError(f"weights (shape {given.shape}) must have the shape of the maps {truth.shape}")
    if not (given >= 0).all():
        raise ValueError(f"weights (least {np.nanmin(given):g}) must be zero or positive and known everywhere; 0 leaves a "
                         "pixel out")
    inside = np.zeros(truth.shape, dtype=bool)
    inside[border:truth.shape[0] - border, border:truth.shape[1] - border] = True
    return np.where(inside & np.isfinite(truth), given, 0.0)


def _line(y, t, w):
    """Residuals t - (a y + b) of the weighted least squares; a = 0 where y is constant."""
    y0, t0 = np.average(y, weights=w), np.average(t, weights=w)
    spread = np.average((y - y0) ** 2, weights=w)
    slope = np.average((y - y0) * (t - t0), weights=w) / spread if spread > 0 else 0.0
    return (t - t0) - slope * (y - y0)


def _absolute(y, t, w):
    error = _line(y, t, w)
    for _ in range(IRLS_ITERATIONS):
        error = _line(y, t, w / np.maximum(np.abs(error), LEAST_RESIDUAL))
    return float(np.average(np.abs(error), weights=w))


def _square(y, t, w):
    return float(np.sqrt(np.average(_line(y, t, w) ** 2, weights=w)))


def _median(values, w):
    """Weighted median: the least value with half of the weight at or below it."""
    order = np.argsort(values)
    below = np.cumsum(w[order])
    return values[order][np.searchsorted(below, below[-1] / 2)]


def _unit(values):
    """Values stretched to 0..1; zeros for a constant."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _code_ranks(values):
    """Dense ranks of values stretched to the codes 0..255; order and ties of a map that has 8 bits stay as they are."""
    codes = np.rint(255 * _unit(values)).astype(np.uint8)
    return np.cumsum(np.bincount(codes, minlength=256) > 0)[codes]


def _ranks(values, method):
    from scipy.stats import rankdata

    return rankdata(values, method=method)


def _distance(x, y, w=None):
    """1 - |weighted Pearson correlation|; None where one of the two is constant."""
    x, y = x - np.average(x, weights=w), y - np.average(y, weights=w)
    spread = np.average(x * x, weights=w) * np.average(y * y, weights=w)
    if not spread > 0:
        return None
    return 1 - min(abs(float(np.average(x * y, weights=w) / np.sqrt(spread))), 1.0)


def _google(y, t, w):
    """1 - |rho| of the ordinal ranks in the central window."""
    rows, columns = GOOGLE_CROP if y.shape[0] >= y.shape[1] else GOOGLE_CROP[::-1]
    top, left = (y.shape[0] - rows) // 2, (y.shape[1] - columns) // 2
    if top < 0 or left < 0:
        return None
    y, t, w = (item[top:top + rows, left:left + columns] for item in (y, t, w))
    known = np.isfinite(y) & np.isfinite(t)
    if not (w[known] > 0).any():
        return None
    return _distance(_ranks(y[known], "ordinal"), _ranks(t[known], "ordinal"), w[known])
