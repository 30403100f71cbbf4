"""How good is a depth map: errors in plain units, honesty of sigma, and whether sigma ranks the errors.

Area under the sparsification error (AUSE): Ilg et al. 2018, "Uncertainty estimates and multi-hypotheses networks for
optical flow", section 4.  Unknown pixels are never silently good: they lower `density` and count as bad pixels.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import to_numpy
from dfd.capture import SCALES
from dfd.depthmap import DepthMap

ALIGNMENTS = ("none", "offset", "affine", "monotone")
SUFFIXES = {"metric": "dpt", "stage": "stage_m", "steps": "frames", "affine": "px", "reference": "reference_units"}
"""Ending of a key that holds an error on the axis of each scale: rmse_dpt, rmse_stage_m, rmse_frames, rmse_px."""

_UNITS = SCALES | {"reference": "unit of the reference"}

_REMOVED = np.arange(20) / 20
_ONE_SIGMA = 0.6826894921370859


def compare(result, reference, *, mask=None, align="none", border=0) -> dict:
    """Figures of merit of `result` against `reference`, a dict that holds JSON types only; None = cannot be computed.

    result      DepthMap, or (H, W) array: metres when the comparison is metric, else the unit of `reference`
    reference   DepthMap, or (H, W) array: metres for a metric result, else the unit of the result; NaN = unknown
    mask        (H, W), zero or False = leave this pixel out
    align       what may be fitted on the reference first, which is generous, so quote it with every figure:
                "offset" adds median(t - e); "affine" is the least-squares line t = slope e + offset; "monotone" is
                the isotonic regression of t on e, rising or falling, whichever fits better
    border      pixels to leave out at each edge

    Notation: e and t are result and reference on the *axis* of the scale, where errors are uniform: inverse depth
    [dioptre] for metric maps, otherwise the map's own unit; d = 1/e and r = 1/t are metres.  <...> is a mean over the n
    pixels known in both.  A relative result may be held against a metric DepthMap with align "affine" or "monotone":
    the fit then maps its unit to dioptres and all figures are metric.  The same fit of a relative result to an array has
    the scale "reference": errors are in the unit of that array, which nobody states.

    Keys, with X = dpt (metric), stage_m (stage), frames (steps), px (affine), reference_units (reference):
    n_reference, n, density       known reference pixels inside mask and border; those with a value too; their ratio
    rmse_X, mae_X                 sqrt(<(e - t)^2>), <|e - t|>
    median_abs_X, p90_abs_X       50th and 90th percentile of |e - t|
    mean_error_X, median_error_X  signed, e - t: positive = nearer in dioptres, farther in metres
    bad_1_percent, bad_5_percent  share of reference pixels off by more than 1 or 5 % of r, or unknown (metric);
                                  for the other scales, of the reference's 1st to 99th percentile range
    metric only, where d and r are both finite (n_metres pixels):
    rmse_m, mae_m, ...            the same six figures of d - r
    mean_relative_error, median_relative_error, p90_relative_error      of |d - r| / r
    with a sigma s (axis unit; an affine fit scales it by |slope|; a monotone fit leaves only its ranking):
    coverage_1_sigma, coverage_2_sigma     share of |e - t| <= s and <= 2 s; 0.683 and 0.954 if Gaussian
    coverage_1_sigma_quartiles             the first, in four equal groups from the smallest to the largest s
    error_over_sigma_p68                   68.27th percentile of |e - t| / s; 1 = calibrated, above 1 = sigma too small
    sparsification                {removed, rmse_X, mae_X, rmse_oracle_X, mae_oracle_X}: errors of what is left when the
                                  fraction `removed` (0, 0.05 .. 0.95) of largest s, or of largest |e - t|, is dropped
    ause_rmse, ause_mae           area between these two curves over `removed`, divided by the error at removed = 0;
                                  0 = sigma ranks perfectly.  Ties in s count as removed in random order
    ause_rmse_random, ause_mae_random      the same for a constant s: the score of knowing nothing

    Raises ValueError for different sizes or scales, depths at or below 0 m, a reference with nothing known, or
    an unknown `align`.
    """
    if align not in ALIGNMENTS:
        raise ValueError(f"align ({align!r}) must be one of {', '.join(ALIGNMENTS)}")
    from_scale, scale = _scales(result, reference, align)
    estimate, sigma = _on_axis(result, from_scale, "result")
    truth, _ = _on_axis(reference, scale, "reference")
    if estimate.shape != truth.shape:
        raise ValueError(f"result is {_size(estimate)} but reference is {_size(truth)}; crop or resample one of them "
                         "so that both show the same pixels")
    wanted = np.isfinite(truth) & _selection(truth.shape, mask, border)
    if not wanted.any():
        raise ValueError("the reference has no known pixel inside mask and border; are unknown pixels NaN and mask "
                         "pixels to keep non-zero?")
    estimate, truth = estimate[wanted], truth[wanted]
    sigma = None if sigma is None else sigma[wanted]
    estimate, sigma, fitted = _align(estimate, sigma, truth, align, SUFFIXES[from_scale], SUFFIXES[scale])
    return _plain({
        "scale": scale, "unit": _UNITS[scale], "align": align, "alignment": fitted,
        **_figures(estimate, truth, scale), **_sigma_figures(estimate, sigma, truth, SUFFIXES[scale], align),
    })


def sparsification(error, sigma, removed=_REMOVED):
    """(rmse, mae) of the errors left when the fractions `removed` with the largest `sigma` are dropped.

    error, sigma: (n,) of one unit; unknown (NaN) sigma is dropped first.  Each returned array has the length of
    `removed`.  Pixels of equal sigma are dropped in random order: the curve is its expectation.
    """
    error = np.abs(np.asarray(error, dtype=float))
    sigma = np.where(np.isnan(sigma), np.inf, sigma)
    kept = np.maximum(np.round((1 - np.asarray(removed)) * error.size).astype(int), 1)
    squares, magnitudes = (np.cumsum(values)[kept - 1] / kept for values in _in_order((error**2, error), sigma))
    return np.sqrt(squares), magnitudes


def _scales(result, reference, align):
    """Scale of the result and scale in which errors are stated; they differ only after a fit of values to a reference."""
    given = [item.scale if isinstance(item, DepthMap) else None for item in (result, reference)]
    of_result, of_reference = given[0] or given[1] or "metric", given[1] or given[0] or "metric"
    fitted = align in ("affine", "monotone")
    if fitted and given[1] is None and of_result != "metric":
        return of_result, "reference"
    if of_result != of_reference and not (of_reference == "metric" and fitted):
        raise ValueError(f"result has scale {of_result} [{SCALES[of_result]}] but reference has scale {of_reference} "
                         f"[{SCALES[of_reference]}]; a relative result can be held against a metric reference only "
                         "with align affine or monotone")
    return of_result, of_reference


def _on_axis(item, scale, name):
    """(values, sigma or None) as float64 arrays in dioptres (metric) or the scale's own unit."""
    if isinstance(item, DepthMap):
        host = item.numpy()
        known = host.valid & np.isfinite(host.sigma)
        return host.values.astype(float), host.sigma.astype(float) if known.any() else None
    values = np.asarray(to_numpy(item), dtype=float)
    if values.ndim != 2:
        raise ValueError(f"{name} (shape {values.shape}) must be one (H, W) map")
    if scale != "metric":
        return np.where(np.isfinite(values), values, np.nan), None
    if np.any(values <= 0):
        raise ValueError(f"{name} holds depths at or below 0 m (smallest {np.nanmin(values):g} m); mark unknown pixels "
                         "as NaN, or pass a DepthMap with its scale when these are not metres")
    return 1 / values, None


def _selection(shape, mask, border):
    """(H, W) bool of the pixels that count."""
    if not 0 <= border < min(shape) / 2:
        raise ValueError(f"border ({border} px) must be zero or positive and leave some of the {shape[1]} x {shape[0]} "
                         "px map")
    inside = np.zeros(shape, dtype=bool)
    inside[border:shape[0] - border, border:shape[1] - border] = True
    if mask is None:
        return inside
    mask = np.asarray(to_numpy(mask))
    if mask.shape != tuple(shape):
        raise ValueError(f"mask is {_size(mask)} but the maps are {shape[1]} x {shape[0]} px; make them equal")
    return inside & (mask != 0)


def _align(estimate, sigma, truth, align, own, target):
    """(estimate, sigma, fitted parameters) after the fit; sigma follows an affine slope."""
    known = np.isfinite(estimate)
    if align == "none":
        return estimate, sigma, {}
    if not known.any():
        return np.full_like(estimate, np.nan), sigma, {"fitted": False}
    e, t = estimate[known], truth[known]
    if align == "offset":
        offset = float(np.median(t - e))
        return estimate + offset, sigma, {f"offset_{target}": offset}
    spread = np.mean((e - e.mean()) ** 2)
    if not spread > 0:
        raise ValueError(f"align {align}: every known pixel of the result is {e[0]:g}, so no slope can be fitted; "
                         "use align offset or none")
    if align == "affine":
        slope = float(np.mean((e - e.mean()) * (t - t.mean())) / spread)
        offset = float(t.mean() - slope * e.mean())
        name = "slope" if own == target else f"slope_{target}_per_{own}"
        sigma = None if sigma is None else abs(slope) * sigma
        return slope * estimate + offset, sigma, {name: slope, f"offset_{target}": offset}
    fitted, direction, levels = _isotonic(e, t)
    mapped = np.full_like(estimate, np.nan)
    mapped[known] = fitted
    return mapped, sigma, {"direction": direction, "levels": levels}


def _isotonic(estimate, truth):
    """Isotonic regression of truth on estimate; equal estimates get one value; the better of rising and falling."""
    from scipy.optimize import isotonic_regression

    _, which, counts = np.unique(estimate, return_inverse=True, return_counts=True)
    means = np.bincount(which, truth) / counts
    best = None
    for direction in ("increasing", "decreasing"):
        levels = isotonic_regression(means, weights=counts.astype(float), increasing=direction == "increasing").x
        loss = float(np.sum(counts * (levels - means) ** 2))
        if best is None or loss < best[0]:
            best = loss, levels, direction
    return best[1][which], best[2], len(np.unique(best[1]))


def _figures(estimate, truth, scale):
    """Counts, errors and bad-pixel shares."""
    known = np.isfinite(estimate)
    error = estimate[known] - truth[known]
    figures = {"n_reference": truth.size, "n": int(known.sum()), "density": float(known.mean())}
    figures |= _errors(error, SUFFIXES[scale])
    if scale != "metric":
        low, high = np.percentile(truth, (1, 99))
        return figures | _bad_shares(np.abs(estimate - truth), np.full_like(truth, high - low))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(estimate > 0, 1 / estimate, np.where(known, np.inf, np.nan))
        true_depth = np.where(truth > 0, 1 / truth, np.inf)
    finite = np.isfinite(true_depth)
    depth, true_depth = depth[finite], true_depth[finite]
    both = np.isfinite(depth)
    in_metres = depth[both] - true_depth[both]
    figures |= _bad_shares(np.abs(depth - true_depth), true_depth)
    figures |= {"n_metres": int(both.sum()), **_errors(in_metres, "m")}
    relative = np.abs(in_metres) / true_depth[both]
    names = ("mean_relative_error", "median_relative_error", "p90_relative_error")
    values = (relative.mean(), *np.percentile(relative, (50, 90))) if relative.size else (None,) * 3
    return figures | dict(zip(names, values, strict=True))


def _errors(error, suffix):
    names = ("rmse", "mae", "median_abs", "p90_abs", "mean_error", "median_error")
    if not error.size:
        return {f"{name}_{suffix}": None for name in names}
    size = np.abs(error)
    values = (math.sqrt(np.mean(error**2)), size.mean(), *np.percentile(size, (50, 90)), error.mean(), np.median(error))
    return {f"{name}_{suffix}": float(value) for name, value in zip(names, values, strict=True)}


def _bad_shares(size, unit):
    """Unknown (NaN) errors fail the comparison with the limit, so they are bad."""
    if not size.size:
        return {"bad_1_percent": None, "bad_5_percent": None}
    return {f"bad_{percent}_percent": float(np.mean(~(size <= percent / 100 * unit))) for percent in (1, 5)}


def _sigma_figures(estimate, sigma, truth, suffix, align):
    """Coverage and ranking; empty where the result states no sigma."""
    known = np.isfinite(estimate)
    if sigma is None or not np.isfinite(sigma[known]).any():
        return {}
    size, sigma = np.abs(estimate[known] - truth[known]), sigma[known]
    figures = {} if align == "monotone" else _coverage(size[np.isfinite(sigma)], sigma[np.isfinite(sigma)])
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
    inside = (size <= sigma).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(size == 0, 0.0, size / sigma)
    quarters = np.array_split(_in_order((inside,), sigma)[0], 4)
    return {
        "coverage_1_sigma": float(inside.mean()),
        "coverage_2_sigma": float(np.mean(size <= 2 * sigma)),
        "coverage_1_sigma_quartiles": [float(part.mean()) if part.size else None for part in quarters],
        "error_over_sigma_p68": float(np.quantile(ratio, _ONE_SIGMA, method="higher")),
    }


def _area(curve, oracle):
    """Trapezium rule over the removed fraction, in units of the error when nothing is removed."""
    excess = curve - oracle
    return float(np.sum((excess[1:] + excess[:-1]) / 2 * np.diff(_REMOVED)) / oracle[0]) if oracle[0] > 0 else 0.0


def _in_order(arrays, sigma):
    """Each array from the smallest to the largest sigma; where sigma ties, every element has the mean of its tie."""
    _, which, counts = np.unique(sigma, return_inverse=True, return_counts=True)
    return [np.repeat(np.bincount(which, values) / counts, counts) for values in arrays]


def _plain(item):
    """JSON types only: no NumPy scalar, and None for what is not finite."""
    if isinstance(item, dict):
        return {key: _plain(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_plain(value) for value in item]
    if isinstance(item, (float, np.floating)):
        return float(item) if math.isfinite(item) else None
    return item


def _size(array):
    return f"{array.shape[1]} x {array.shape[0]} px" if array.ndim == 2 else f"of shape {array.shape}"
