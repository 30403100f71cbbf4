"""The least-squares problem of a focus calibration for given weights, and its solution by damped Gauss-Newton."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calibration.focus.model import FocusModel
from calibration.focus.robust import offsets

SHARED = 0.03
"""Error [px] that blur may have (flatness, the PSF's true shape), twice: one unknown of all edges together (`excess`), and
added to the 1-sigma of each, so that a thousand edges of a frame do not outvote the tape."""

_FREE_TAPE = 1.0  # m
_ASYMMETRY_SIGMA = 0.05
_REL_SIGMA = 0.05
_FIELD_SIGMA = 1.0
_AXIAL_SIGMA = 0.2
_SCALE_FLOOR = 3e-5
_STEPS = 12


@dataclass(frozen=True)
class Priors:
    """What is known beforehand: 1-sigma of the print scale, jitter of the lens [unit of the coordinate]."""

    print_sigma: float = 5e-4
    jitter: float = 0.3


@dataclass(frozen=True, eq=False)
class System:
    """Residuals in sigma and their Jacobian for given weights.

    jitter   (F,) 1-sigma of t of each frame;   factor   of the sigmas of the edges;   weight   (E,) of the edges
    tape     (S,) 1 or 0, whether a reading is believed;   blurred   (E,) bool, edges that count
    scale_weight   (F,) of the image scales
    """

    model: FocusModel
    priors: Priors
    jitter: np.ndarray
    factor: float
    weight: np.ndarray
    tape: np.ndarray
    blurred: np.ndarray
    scale_weight: np.ndarray

    def edges(self, vector):
        """(E,) residuals in sigma of the edges."""
        data = self.model.data
        return (np.abs(self.model.coc(vector)) + self.model.part(vector, "excess") - data.coc) / self.sigma

    def scales(self, vector):
        """(F,) residuals in sigma of the image scales."""
        data = self.model.data
        return (self.model.scale(vector) - data.scale) / np.hypot(data.scale_sigma, _SCALE_FLOOR * data.scale)

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
        """(residuals, Jacobian): edges, scales, priors."""
        model, data = self.model, self.model.data
        coc, used = model.coc(vector), np.flatnonzero(self.blurred & (self.weight > 0))
        root = np.sqrt(self.weight[used])
        spread = np.hypot(data.scale_sigma, _SCALE_FLOOR * data.scale) / np.sqrt(np.maximum(self.scale_weight, 1e-9))
        steep = (np.sign(coc[used]) * root / self.sigma[used])[:, None]
        prior = self._prior()
        residual = np.concatenate([self.edges(vector)[used] * root, (model.scale(vector) - data.scale) / spread,
                                   vector * prior])
        edges = model.coc_jacobian(vector)[used] * steep
        edges[:, model.slices["excess"]] = (root / self.sigma[used])[:, None]
        jacobian = np.concatenate([edges,
                                   model.scale_jacobian(vector) / spread[:, None], np.diag(prior)[prior > 0]])
        keep = np.concatenate([np.ones(len(used) + len(spread), bool), prior > 0])
        return residual[keep], jacobian

    def _prior(self):
        """(count,) one over the 1-sigma of every parameter that is known to be near zero."""
        found = np.zeros(self.model.count)
        for name, sigma in (("dz", np.where(self.tape > 0, self.model.data.distance_sigma, _FREE_TAPE)),
                            ("print_scale", self.priors.print_sigma), ("asymmetry", _ASYMMETRY_SIGMA),
                            ("excess", SHARED), ("rel", _REL_SIGMA), ("jitter", self.jitter),
                            ("field", _FIELD_SIGMA), ("axial", _AXIAL_SIGMA), ("shift", _AXIAL_SIGMA)):
            found[self.model.slices[name]] = 1 / np.maximum(sigma, 1e-12)
        return found


def minimise(system, vector):
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
