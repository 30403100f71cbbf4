"""Fit the focus model to its measurements: damped Gauss-Newton, robust weights, covariance of what a profile states.

Residuals are in sigma: blur of edges (|coc| > 2 px; nearer to focus the core hides it), image scales, tape readings, the
print scale, the jitter of every frame.  Wrong edges get no weight (Tukey's biweight), a wrong tape reading none.
The size of the jitter is estimated with the rest; whether a spline is needed is decided by what is smooth in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from calibration.focus.law import KNOTS
from calibration.focus.measurements import FocusData
from calibration.focus.model import FocusModel
from calibration.focus.robust import belonging, edge_factor, huber, offsets, trusted, tukey
from calibration.focus.start import start

LEAST_COC = 2.0
"""Blur [px] below which an edge says more of the core than of the blur."""

MOST_CHI2 = 1.5
"""Residuals of the law over what its frames scatter, beyond which a spline is added."""

SHARED = 0.03
"""Error [px] that the edges of a frame may have in common (flatness, the PSF's true shape): added to the 1-sigma of each, so
that a thousand of them do not outvote the tape.  It costs the pupil 3 % of its sigma, the jitter of frames limits that."""

_FREE_TAPE, _FREE_FRAME = 1.0, 2.0  # m, t
_ASYMMETRY_SIGMA = 0.05
_REL_SIGMA = 0.05
_FIELD_SIGMA = 1.0
_AXIAL_SIGMA = 0.2
_ROUNDS, _STEPS = 8, 12
_SCALE_FLOOR = 1e-5
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
    law_chi2        what the law leaves over the scatter of frames; about 1 where it is enough
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
    law_chi2: float = 1.0
    moebius_chi2: float = 1.0

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


@dataclass(frozen=True)
class Priors:
    """What is known beforehand: 1-sigma of the print scale, jitter of the lens [unit of the coordinate]."""

    print_sigma: float = 5e-4
    jitter: float = 0.3


def fit_focus(data: FocusData, *, half_diagonal: float, priors: Priors | None = None, begin: FocusFit | None = None,
              knots: int | None = None) -> FocusFit:
    """Fit everything.

    half_diagonal   px, of the image;   begin   a fit of nearly the same data to start from
    knots           of the law's spline, 0 = Moebius alone; None: as few as the scatter of frames asks for
    Raises ValueError for data that cannot identify the model.
    """
    priors = priors or Priors()
    plain = FocusModel(data, half_diagonal)
    fit = _fit(plain, start(plain) if begin is None else _carried(begin, plain), priors)
    fit = replace(fit, moebius_chi2=fit.law_chi2)
    for count in KNOTS if knots is None else (knots,) if knots else ():
        if knots is None and (fit.law_chi2 <= MOST_CHI2 or len(data.station) < 2 * count + 8):
            break
        bent = FocusModel(data, half_diagonal, knots=count)
        fit = replace(_fit(bent, _bent_to(fit, bent), priors), moebius_chi2=fit.moebius_chi2)
    return fit


def _carried(fit, model):
    """The parameters of a fit as a vector of another model; stations or frames that differ begin at zero."""
    vector = np.zeros(model.count)
    for name, where in model.slices.items():
        old = fit.part(name)
        if len(old) == where.stop - where.start:
            vector[where] = old
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
    jitter = max(priors.jitter / model.coordinate.half, _LEAST_JITTER)  # small: a wide one would take over the slope of blur
    factor, weight, tape = 1.0, np.ones(len(data.coc)), np.ones(len(data.distance))
    frames = belonging(model, vector, jitter)
    for round_ in range(_ROUNDS):
        blurred = np.abs(model.coc(vector)) > LEAST_COC
        system = _System(model, priors, np.where(frames, jitter, _FREE_FRAME), factor, weight * frames[data.frame], tape,
                         blurred)
        vector, covariance, moved = _minimise(system, vector)
        residual = system.edges(vector) - system.common(vector)
        factor = edge_factor(residual * system.sigma / data.coc_sigma, blurred & (weight > 0.1))
        weight = np.where(blurred, tukey(residual) if round_ else huber(residual), 0.0)
        tape = trusted(model, vector, covariance, tape) if round_ else tape
        before, jitter, used = jitter, _jitter(model, vector, covariance, frames), frames
        frames = belonging(model, vector, jitter)
        if round_ > 2 and moved < 0.02 and abs(np.log(before / jitter)) < 0.02 and (frames == used).all():
            break
    fit = FocusFit(model, vector, covariance, jitter * model.coordinate.half, factor, weight * used[data.frame], tape, used)
    return replace(fit, law_chi2=_law_chi2(fit))


@dataclass(frozen=True, eq=False)
class _System:
    """Residuals in sigma and their Jacobian for given weights."""

    model: FocusModel
    priors: Priors
    jitter: np.ndarray
    factor: float
    weight: np.ndarray
    tape: np.ndarray
    blurred: np.ndarray

    def edges(self, vector):
        """(E,) residuals in sigma of the edges."""
        data = self.model.data
        return (np.abs(self.model.coc(vector)) - data.coc) / self.sigma

    @cached_property
    def sigma(self):
        """(E,) px, of the edges."""
        return np.hypot(self.model.data.coc_sigma * self.factor, SHARED)

    def common(self, vector):
        """(E,) what the edges of a frame have in common: a frame off the law is no reason to distrust its edges."""
        steep = np.sign(self.model.coc(vector)) * self.model.jitter_slope(vector)
        off = offsets(self.model, vector, self.edges(vector) * self.sigma, self.blurred)
        return -(off[self.model.data.frame] * steep) / self.sigma

    def __call__(self, vector):
        model, data = self.model, self.model.data
        coc, used = model.coc(vector), np.flatnonzero(self.blurred & (self.weight > 0))
        root = np.sqrt(self.weight[used])
        spread = np.hypot(data.scale_sigma, _SCALE_FLOOR * data.scale)
        steep = (np.sign(coc[used]) * root / self.sigma[used])[:, None]
        prior = self._prior()
        residual = np.concatenate([self.edges(vector)[used] * root, (model.scale(vector) - data.scale) / spread,
                                   vector * prior])
        jacobian = np.concatenate([model.coc_jacobian(vector)[used] * steep,
                                   model.scale_jacobian(vector) / spread[:, None], np.diag(prior)[prior > 0]])
        keep = np.concatenate([np.ones(len(used) + len(spread), bool), prior > 0])
        return residual[keep], jacobian

    def _prior(self):
        """(count,) one over the 1-sigma of every parameter that is known to be near zero."""
        found = np.zeros(self.model.count)
        for name, sigma in (("dz", np.where(self.tape > 0, self.model.data.distance_sigma, _FREE_TAPE)),
                            ("print_scale", self.priors.print_sigma), ("asymmetry", _ASYMMETRY_SIGMA), ("rel", _REL_SIGMA),
                            ("jitter", self.jitter), ("field", _FIELD_SIGMA), ("axial", _AXIAL_SIGMA),
                            ("shift", _AXIAL_SIGMA)):
            found[self.model.slices[name]] = 1 / np.maximum(sigma, 1e-12)
        return found


def _minimise(system, vector):
    """(vector, covariance, largest last step in sigma) by damped Gauss-Newton with scaled columns."""
    damping, residual = 1e-3, None
    residual, jacobian = system(vector)
    cost = residual @ residual
    for _ in range(_STEPS):
        scale = np.linalg.norm(jacobian, axis=0)
        scale[scale == 0] = 1.0
        scaled = jacobian / scale
        normal, gradient = scaled.T @ scaled, scaled.T @ residual
        for _ in range(6):
            step = -np.linalg.solve(normal + damping * np.eye(len(normal)), gradient) / scale
            tried, ahead = system(vector + step)
            if np.isfinite(tried).all() and tried @ tried <= cost * (1 + 1e-9):
                break
            damping *= 10
        else:
            break
        vector, residual, jacobian, cost = vector + step, tried, ahead, tried @ tried
        damping = max(damping / 10, 1e-12)
        if np.max(np.abs(step) * scale) < 1e-3:
            break
    scale = np.linalg.norm(jacobian, axis=0)
    scale[scale == 0] = 1.0
    scaled = jacobian / scale
    covariance = np.linalg.pinv(scaled.T @ scaled, hermitian=True) / np.outer(scale, scale)
    moved = float(np.max(np.abs(step) / np.sqrt(np.maximum(np.diag(covariance), 1e-300))))
    return vector, covariance, moved


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
        return 1.0
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
