"""What may be fitted on the reference before a result is judged: an offset, a line, or any monotone curve."""

from __future__ import annotations

import numpy as np

ALIGNMENTS = ("none", "offset", "affine", "monotone")
"""What `compare` can fit, from nothing to the most generous."""


def fit(estimate, truth, align, own, target):
    """(function of an array of estimates, slope that sigma follows, fitted parameters) of two (n,) float64 arrays.

    own, target   suffixes of the units of estimate and truth.  A monotone function is defined where `estimate` was known,
                  and only for `estimate` itself
    Raises ValueError where every estimate is the same and a slope is asked for.
    """
    known = np.isfinite(estimate)
    if align == "none":
        return lambda values: values, 1.0, {}
    if not known.any():
        return lambda values: np.full_like(values, np.nan), 1.0, {"fitted": False}
    e, t = (estimate, truth) if known.all() else (estimate[known], truth[known])
    if align == "offset":
        offset = float(np.median(t - e))
        return lambda values: values + offset, 1.0, {f"offset_{target}": offset}
    spread = np.var(e)
    if not spread > 0:
        raise ValueError(f"align {align}: every known pixel of the result is {e[0]:g}, so no slope can be fitted; "
                         "use align offset or none")
    if align == "affine":
        slope = float(np.mean((e - e.mean()) * (t - t.mean())) / spread)
        offset = float(t.mean() - slope * e.mean())
        name = "slope" if own == target else f"slope_{target}_per_{own}"
        return lambda values: slope * values + offset, abs(slope), {name: slope, f"offset_{target}": offset}
    fitted, direction, levels = _isotonic(e, t)

    def mapped(values):
        found = np.full_like(values, np.nan)
        found[known] = fitted
        return found

    return mapped, 1.0, {"direction": direction, "levels": levels}


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
