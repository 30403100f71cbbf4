"""What the joint fit of a focus calibration does not believe: wrong edges, wrong tape readings, exchanged frames."""

from __future__ import annotations

import numpy as np

from calibration.focus.model import FocusModel

_TUKEY = 5.0
_TAPE_LIMIT = 5.0  # sigma
_FRAME_LIMIT = 6.0


def trusted(model, vector, covariance, tape):
    """(S,) 1 for tape readings that agree, 0 for the worst one more that does not (studentised), at most one in four."""
    sigma = model.data.distance_sigma
    spread = np.sqrt(np.maximum(sigma**2 - np.diag(covariance)[model.slices["dz"]], (0.05 * sigma) ** 2))
    off = np.where(tape > 0, np.abs(model.part(vector, "dz")) / spread, 0.0)
    worst = int(np.argmax(off))
    if off[worst] <= _TAPE_LIMIT or (tape == 0).sum() >= len(tape) // 4:
        return tape
    return np.where(np.arange(len(tape)) == worst, 0.0, tape)


def huber(residual):
    """Weights of residuals in sigma: 1, less than that beyond 2."""
    return np.minimum(1, 2.0 / np.maximum(np.abs(residual), 1e-12))


def tukey(residual):
    """Weights of residuals in sigma: 0 beyond _TUKEY."""
    return np.maximum(0, 1 - (residual / _TUKEY) ** 2) ** 2


def edge_factor(residual, inside):
    """At least 1: the robust spread of the residuals of the edges `inside`, in their own sigmas."""
    if inside.sum() < 20:
        return 1.0
    return max(1.0, 1.4826 * float(np.median(np.abs(residual[inside] - np.median(residual[inside])))))


def offsets(model: FocusModel, vector, residual, used) -> np.ndarray:
    """(F,) t by which frames stand off, by the median of their edges that are `used`; residual (E,) px of |coc|."""
    steep = np.sign(model.coc(vector)) * model.jitter_slope(vector)
    found = np.zeros(len(model.data.station))
    for frame in range(len(found)):
        rows = np.flatnonzero(used & (model.data.frame == frame))
        if len(rows) > 2:
            found[frame] = -np.median(residual[rows] / steep[rows])
    return found


def belonging(model: FocusModel, vector, jitter) -> np.ndarray:
    """(F,) False for frames whose blur or scale is not that of their coordinate: exchanged files, a slip of the lens.

    jitter   1-sigma of t.  Frames are compared with the others of their station, so that a wrong tape reading is not theirs.
    """
    data, still = model.data, vector.copy()
    still[model.slices["jitter"]] = 0.0
    coc = np.abs(model.coc(still))
    off = offsets(model, still, coc - data.coc, coc > 2)
    t = model.coordinate(data.coordinate)
    breathing = np.abs(model.fx_slope(vector, t)) / model.fx(vector, t)
    scale = (data.scale / model.scale(still) - 1) / np.hypot(data.scale_sigma / data.scale, 1e-5 + breathing * jitter)
    found = np.ones(len(t), bool)
    for value, usual in ((off, jitter), (scale, 1.0)):
        for station in np.unique(data.station):
            rows = data.station == station
            value[rows] -= np.median(value[rows])
        found &= np.abs(value) <= _FRAME_LIMIT * max(usual, 1.4826 * float(np.median(np.abs(value))))
    return found
