"""Fit the focus model to its measurements: damped Gauss-Newton, robust weights, covariance of what a profile states.

Residuals are in sigma: blur of edges (|coc| > 2 px; nearer to focus the core hides it), image scales, tape readings, the
print scale, the jitter of every frame.  Wrong edges get no weight (Tukey's biweight), a wrong tape reading none.
The size of the jitter is estimated with the rest; whether a spline is needed is decided by what is smooth in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from calibration.focus.law import KNOTS
from calibration.focus.measurements import FocusData
from calibration.focus.model import FocusModel
from calibration.focus.robust import belonging, edge_factor, huber, trusted, tukey
from calibration.focus.start import start
from calibration.focus.system import Priors, System, minimise

LEAST_COC = 2.0
"""Blur [px] below which an edge says more of the core than of the blur."""

MOST_CHI2 = 1.5
"""Residuals of the law over what its frames scatter, beyond which a spline is added."""

_FREE_FRAME = 2.0  # t
MOST_SCALE_CHI2 = 3.0
"""Mean square residual of image scales, in sigmas, beyond which fx gets one more power."""

_BENDING_STATIONS = 4
_ROUNDS = 8
_LEAST_JITTER = 1e-6  # of the half range


@dataclass(frozen=True, eq=False)
class FocusFit:
    """The fitted model.

    model, vector   FocusModel and its parameters;   covariance   (count, count) of the vector
    jitter          1-sigma [unit of the coordinate] of the lens about the stated coordinate
    edge_factor     what the sigmas of the edges were multiplied by, >= 1 (chi2 of their scatter within frames)
    edge_weight     (E,) 0..1 robust weight;   tape_weight (S,) 1, or 0 of a blunder
    frames          (F,) False where blur or scale is not that of the coordinate: only the scale of these frames is used, to
                    tell where the lens was
    scale_weight    (F,) 0..1 robust weight of image scales;   scale_chi2   their mean square residual in sigmas
    law_chi2        what the law leaves over the scatter of frames; about 1 where it is enough, NaN with too few frames
    moebius_chi2    the same of a Moebius law without a spline
    """

    model: FocusModel
    vector: np.ndarray
    covariance: np.ndarray
    jitter: float
    edge_factor: float
    edge_weight: np.ndarray
    tape_weight: np.ndarray
    frames: np.ndarray
    scale_weight: np.ndarray
    scale_chi2: float
    law_chi2: float = math.nan
    moebius_chi2: float = math.nan

    def part(self, name) -> np.ndarray:
        """Parameters of one group."""
        return self.model.part(self.vector, name)

    def sigma(self, name) -> np.ndarray:
        """1-sigma of the parameters of one group."""
        where = self.model.slices[name]
        return np.sqrt(np.diag(self.covariance)[where])

    @property
    def frame_jitter(self) -> np.ndarray:
        """(F,) by how much the lens stood off the stated coordinate [unit of the coordinate]."""
        return self.part("jitter") * self.model.coordinate.half


def fit_focus(data: FocusData, *, half_diagonal: float, priors: Priors | None = None, begin: FocusFit | None = None,
              knots: int | None = None) -> FocusFit:
    """Fit everything.

    half_diagonal   px, of the image;   begin   a fit of nearly the same data to start from
    knots           of the law's spline, 0 = Moebius alone; None: as few as the scatter of frames asks for
    Raises ValueError for data that cannot identify the model.
    """
    priors = priors or Priors()
    plain = FocusModel(data, half_diagonal)
    if begin is not None:
        plain = replace(plain, powers=begin.model.powers)
    fit = _fit(plain, start(plain) if begin is None else _carried(begin, plain), priors)
    fit = replace(fit, moebius_chi2=fit.law_chi2)
    bending = begin is None and len(data.distance) > _BENDING_STATIONS
    if bending and _uneven(fit) and not _uneven(richer := _richer(fit, priors)) and not richer.law_chi2 > MOST_CHI2:
        fit = richer
    for count in KNOTS if knots is None else (knots,) if knots else ():
        if knots is None and (not fit.law_chi2 > MOST_CHI2 or len(data.station) < 2 * count + 8):
            break
        bent = replace(fit.model, knots=count)
        fit = replace(_fit(bent, _bent_to(fit, bent), priors), moebius_chi2=fit.moebius_chi2)
    return _richer(fit, priors) if bending and _uneven(fit) else fit


def _uneven(fit):
    """Whether image scales ask for another polynomial of fx."""
    return fit.scale_chi2 > MOST_SCALE_CHI2


def _richer(fit, priors):
    """The fit with one more power of fx."""
    model = replace(fit.model, powers=fit.model.powers + 1)
    return replace(_fit(model, _carried(fit, model), priors), moebius_chi2=fit.moebius_chi2)


def _carried(fit, model):
    """The parameters of a fit as a vector of another model; stations or frames that differ begin at zero."""
    vector = np.zeros(model.count)
    for name, where in model.slices.items():
        old = fit.part(name)
        if len(old) == where.stop - where.start or name == "fx":
            vector[where.start:where.start + len(old)] = old
    return vector


def _bent_to(fit, model):
    """A fit as the vector of a model with more knots: what the frames are off its law becomes the spline."""
    vector, old, where = _carried(fit, model), fit.model, model.slices
    t, law = old.coordinate(old.data.coordinate), (fit.part("moebius"), fit.part("rel"))
    aim = old.coordinate.law(t, *law) + fit.part("jitter") * old.coordinate.slope(t, *law)
    rel = aim / old.coordinate.law(t, law[0]) - 1
    design = np.concatenate([old.coordinate.basis(t, model.knots), 0.03 * np.eye(model.knots)])
    weight = fit.frames.astype(float)
    for _ in range(4):
        rows = np.concatenate([weight, np.ones(model.knots)])
        vector[where["rel"]] = np.linalg.lstsq(design * rows[:, None], np.concatenate([rel * weight, np.zeros(model.knots)]),
                                               rcond=None)[0]
        left = rel - design[:len(t)] @ vector[where["rel"]]
        weight = np.sqrt(huber(left / (1.4826 * np.median(np.abs(left)) + 1e-12))) * fit.frames
    vector[where["jitter"]] = 0.0
    return vector


def _fit(model, vector, priors):
    data = model.data
    jitter = max(priors.jitter / model.coordinate.half, _LEAST_JITTER)  # small: a wide one takes over the slope of blur
    factor, weight, tape = 1.0, np.ones(len(data.coc)), np.ones(len(data.distance))
    scales = np.ones(len(data.station))
    frames = belonging(model, vector, jitter)
    for round_ in range(_ROUNDS):
        blurred = np.abs(model.coc(vector)) > LEAST_COC
        system = System(model, priors, np.where(frames, jitter, _FREE_FRAME), factor, weight * frames[data.frame], tape,
                         blurred, scales)
        vector, covariance, moved = minimise(system, vector)
        residual = system.edges(vector) - system.common(vector)
        factor = edge_factor(residual * system.sigma / data.coc_sigma, blurred & (weight > 0.1))
        weight = np.where(blurred, tukey(residual) if round_ else huber(residual), 0.0)
        tape = trusted(model, vector, covariance, tape) if round_ else tape
        off = system.scales(vector)
        scales = tukey(off / max(1.0, 1.4826 * float(np.median(np.abs(off))))) if round_ else scales
        before, jitter, used = jitter, _jitter(model, vector, covariance, frames), frames
        frames = belonging(model, vector, jitter)
        if round_ > 2 and moved < 0.02 and abs(np.log(before / jitter)) < 0.02 and (frames == used).all():
            break
    if np.ptp(np.sign(1 + model.part(vector, "moebius")[2] * np.array([-1.0, 1.0]))) or \
            not np.isfinite(vector).all():
        raise ValueError("the focus law has a pole among the focus coordinates: they and the distances contradict each "
                         "other; are brackets exchanged, or coordinates of several lenses mixed?")
    kept = off[scales > 0.1]
    fit = FocusFit(model, vector, covariance, jitter * model.coordinate.half, factor, weight * used[data.frame], tape, used,
                   scales, float(np.mean(kept**2)) if len(kept) else math.inf)
    return replace(fit, law_chi2=_law_chi2(fit))


def _jitter(model, vector, covariance, frames):
    """1-sigma of the jitter, in t: expectation of its square given the data (EM); the largest few do not count."""
    where = model.slices["jitter"]
    squares = (model.part(vector, "jitter") ** 2 + np.diag(covariance)[where])[frames]
    typical = np.median(squares) / 0.455  # of a chi-square with one degree of freedom
    return float(np.sqrt(max(np.mean(np.minimum(squares, 16 * typical)), _LEAST_JITTER**2)))


def _law_chi2(fit):
    """Mean square of what the frames are off the law over that about a smooth curve through it."""
    model, count = fit.model, KNOTS[-1]
    t = model.coordinate(model.data.coordinate)
    if len(t) < 2 * count + 8:
        return math.nan
    slope = np.abs(model.coordinate.slope(t, fit.part("moebius"), fit.part("rel")))
    off, weight = fit.part("jitter") * slope, fit.frames.astype(float)
    design = model.coordinate.basis(t, count)
    for _ in range(3):
        found = np.linalg.lstsq(design * weight[:, None], off * weight, rcond=None)[0]
        left = off - design @ found
        spread = 1.4826 * np.median(np.abs(left)) + 1e-15
        weight = np.sqrt(huber(left / spread)) * fit.frames
    kept = weight > 0.5
    freedom = max(1, kept.sum() - np.linalg.matrix_rank(design))
    return float(np.mean(off[kept] ** 2) / (np.sum(left[kept] ** 2) / freedom))
