"""The focus law while it is fitted: Moebius times one plus a natural cubic spline, in a centred and scaled coordinate.

    law(t) = (p0 + p1 t) / (1 + p2 t) (1 + sum_k rel_k N_k(t))       dioptres; t = (s - middle) / half
A Moebius function is exact for a lens that moves as a whole and leaves .06 to .14 % on lenses with moving groups; the spline
holds the rest.  In a profile: a + b s over 1 + d s, and the spline over knots in s (dfd.lenscurves).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

KNOTS = (7, 13)
"""Numbers of knots of the spline that are tried, one after the other."""


@dataclass(frozen=True)
class Coordinate:
    """The centred and scaled focus coordinate t = (s - middle) / half, -1 to 1 over what was measured."""

    middle: float
    half: float
    _splines: dict = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def over(cls, coordinates) -> Coordinate:
        """The one that takes the least and the largest of `coordinates` to -1 and 1."""
        low, high = float(np.min(coordinates)), float(np.max(coordinates))
        return cls((low + high) / 2, max((high - low) / 2, 1e-9))

    def __call__(self, coordinates):
        """t of coordinates s."""
        return (np.asarray(coordinates, float) - self.middle) / self.half

    def basis(self, t, count: int) -> np.ndarray:
        """(n, count) the natural splines that are 1 at one of `count` knots and 0 at the others."""
        from scipy.interpolate import CubicSpline

        if count not in self._splines:
            self._splines[count] = CubicSpline(np.linspace(-1, 1, count), np.eye(count), bc_type="natural")
        return self._splines[count](t)

    def knots(self, count: int) -> np.ndarray:
        """(count,) places of the spline's knots in s."""
        return self.middle + self.half * np.linspace(-1, 1, count)

    def law(self, t, moebius, rel=()):
        """Focus [dioptre] at t; moebius (3,), rel one number per knot, or ()."""
        return self._moebius(t, moebius) * self._ripple(t, rel)

    def slope(self, t, moebius, rel=()):
        """d law / d t."""
        step = 1e-4
        return (self.law(t + step, moebius, rel) - self.law(t - step, moebius, rel)) / (2 * step)

    def gradient(self, t, moebius, rel=()) -> np.ndarray:
        """(3 + len(rel), n) change of the law per change of each of its numbers."""
        below, value, ripple = 1 + moebius[2] * t, self._moebius(t, moebius), self._ripple(t, rel)
        rows = [ripple / below, ripple * t / below, -ripple * t * value / below]
        return np.stack([*rows, *(value * self.basis(t, len(rel)).T if len(rel) else ())])

    def _moebius(self, t, moebius):
        return (moebius[0] + moebius[1] * t) / (1 + moebius[2] * t)

    def _ripple(self, t, rel):
        return 1 + self.basis(t, len(rel)) @ np.asarray(rel) if len(rel) else 1.0 + 0 * t

    def moebius_of_profile(self, moebius) -> np.ndarray:
        """(a [1/mm], b [1/mm per unit], d [per unit]) of p0, p1, p2."""
        p0, p1, p2 = moebius
        shift, below = self.middle / self.half, 1 - p2 * self.middle / self.half
        return np.array([(p0 - p1 * shift) / 1000, p1 / self.half / 1000, p2 / self.half]) / below

    def polynomial_of_profile(self, coefficients) -> np.ndarray:
        """Coefficients in s of a polynomial in t, constant term first."""
        inner = np.polynomial.Polynomial([-self.middle / self.half, 1 / self.half])
        polynomial = np.polynomial.Polynomial(coefficients)(inner)
        found = np.zeros(len(coefficients))
        found[:len(polynomial.coef)] = polynomial.coef
        return found


def first_law(t, focus) -> np.ndarray:
    """(3,) Moebius numbers through foci [dioptre] at t, by linear least squares: focus = p0 + p1 t - p2 t focus."""
    t, focus = np.asarray(t, float), np.asarray(focus, float)
    design = np.stack([np.ones_like(t), t, -t * focus], axis=1)
    if len(t) < 4:  # three points on a Moebius function say nothing of their errors: a line is safer to begin with
        line = np.linalg.lstsq(design[:, :2], focus, rcond=None)[0]
        return np.array([*line, 0.0])
    found = np.linalg.lstsq(design, focus, rcond=None)[0]
    if abs(found[2]) >= 0.9:
        line = np.linalg.lstsq(design[:, :2], focus, rcond=None)[0]
        return np.array([*line, 0.0])
    return found
