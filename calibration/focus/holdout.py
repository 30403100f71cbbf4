"""Every distance left out in turn: what the others say of it, and how much the lens moves without it.

The errors at distances that the fit has not seen are the honest figure of a calibration; the scatter of the lens over the
fits (jackknife) is a second sigma that believes no noise model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.focus.fit import FocusFit, fit_focus
from calibration.focus.system import Priors


@dataclass(frozen=True, eq=False)
class HoldOut:
    """Relative depth error of every station by the fit of the others, and jackknife sigmas of the full fit.

    error      (S,) (depth from blur - tape) / depth, NaN where a station could not be predicted
    trusted    (S,) False where the fit does not believe the tape reading: its error is the tape's
    jackknife  1-sigma of "pupil" (relative), "fx" (relative), "focus" (relative), "z0" [m]
    """

    error: np.ndarray
    trusted: np.ndarray
    jackknife: dict[str, float]

    @property
    def rms(self) -> float:
        """Root mean square relative error of the stations whose tape reading is believed."""
        kept = self.error[np.isfinite(self.error) & self.trusted]
        return float(np.sqrt(np.mean(kept**2))) if len(kept) else float("nan")


def hold_out(fit: FocusFit, priors: Priors, *, progress=None) -> HoldOut:
    """Fit without each station, predict it from the blur of its frames, compare with its tape reading."""
    model = fit.model
    count = len(model.data.distance)
    errors, numbers = np.full(count, np.nan), []
    for station in range(count):
        try:
            less = fit_focus(model.data.without_station(station), half_diagonal=model.half_diagonal, priors=priors,
                             begin=_without(fit, station), knots=model.knots)
        except (ValueError, np.linalg.LinAlgError):
            continue
        errors[station] = _error(model, less, station)
        numbers.append(_figures(less, model))
        if progress is not None:
            progress("leave out", station + 1, count)
    table = np.array(numbers)
    spread = np.sqrt((len(table) - 1) * np.var(table, axis=0)) if len(table) > 2 else np.full(4, np.nan)
    return HoldOut(errors, fit.tape_weight > 0, dict(zip(("pupil", "fx", "focus", "z0"), spread.tolist(), strict=True)))


def _without(fit, station):
    """A fit without the parameters of one station: where the fit of the others begins."""
    model = fit.model
    less = replace(model, data=model.data.without_station(station))
    vector = np.zeros(less.count)
    for name, where in less.slices.items():
        old = fit.part(name)
        if name == "dz":
            old = np.delete(old, station)
        elif name == "jitter":
            old = old[model.data.station != station]
        elif name in ("fx", "moebius", "rel"):
            old = None  # their coordinate may change
        if old is not None and len(old) == where.stop - where.start:
            vector[where] = old
    t = np.linspace(-1, 1, 41)
    coordinate = less.coordinate.middle + less.coordinate.half * t
    vector[less.slices["fx"]] = np.polynomial.polynomial.polyfit(
        t, model.fx(fit.vector, model.coordinate(coordinate)), less.powers - 1)
    law = model.coordinate.law(model.coordinate(coordinate), fit.part("moebius"), ())
    design = np.column_stack([np.ones_like(t), t, -t * law])
    vector[less.slices["moebius"]] = np.linalg.lstsq(design, law, rcond=None)[0]
    if less.knots:
        full = model.coordinate.law(model.coordinate(coordinate), fit.part("moebius"), fit.part("rel"))
        found = less.coordinate.law(t, less.part(vector, "moebius"))
        vector[less.slices["rel"]] = np.linalg.lstsq(less.coordinate.basis(t, less.knots), full / found - 1, rcond=None)[0]
    return replace(fit, model=less, vector=vector)


def _error(model, less, station):
    """Relative error of the depth that the fit without a station finds from the blur of its edges."""
    data = model.data
    rows = np.flatnonzero((data.station[data.frame] == station) & (data.coc > 2))
    if not len(rows):
        return np.nan
    t = less.model.coordinate(data.coordinate[data.frame[rows]])
    focus = less.model.focus(less.vector, t, data.place[rows], data.channel[rows], data.f_number[data.frame[rows]])
    pupil = np.exp(less.part("log_pupil"))[np.searchsorted(less.model.stops, data.f_number[data.frame[rows]])]
    tape = data.distance[station] + less.part("z0")[0]
    tilt = np.sum(data.tilt[data.frame[rows]] * data.board[rows], axis=1)
    sign = np.sign(1 / (tape + tilt) - focus)
    rate = less.model.fx(less.vector, t) * pupil * (1 + sign * less.part("asymmetry")[0])
    blur = data.coc[rows] - less.part("excess")[0]
    depth = 1 / (focus + sign * blur / rate) - tilt
    per_frame = [np.median(depth[data.frame[rows] == frame]) for frame in np.unique(data.frame[rows])]
    return float(np.median(per_frame) / tape - 1)


def _figures(fit, model):
    """log pupil, log fx, log focus at the middle of the full range, z0 [m]."""
    t = fit.model.coordinate(np.array([model.coordinate.middle]))
    law = fit.model.coordinate.law(t, fit.part("moebius"), fit.part("rel"))[0]
    return [fit.part("log_pupil")[0], np.log(fit.model.fx(fit.vector, t)[0]), np.log(abs(law)), fit.part("z0")[0]]
