"""The focus law of a lens: focus as a function of its focus coordinate, and how each of its numbers moves it.

    focus(s) = 1000 (a + b s) / (1 + d s) (1 + spline(s))        dioptre; a [1/mm], b [1/mm per unit], d [1 per unit]

The Moebius part is exact for unit focusing; the natural cubic spline through (knots, rel) holds the small rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfd.lensfile import section


@dataclass(frozen=True)
class FocusLaw:
    """The numbers of one law in the units above; knots [unit of s] rise, rel is relative to the Moebius part, () = none."""

    a: float
    b: float
    d: float
    knots: tuple[float, ...] = ()
    rel: tuple[float, ...] = ()

    @classmethod
    def of(cls, data: dict) -> FocusLaw:
        """That of the content of a LensProfile file; what it does not say is 0."""
        law, spline = section(data, "focus"), section(data, "focus", "spline")
        numbers = (law.get(key) or 0.0 for key in ("a_per_mm", "b_per_mm_per_unit", "d_per_unit"))
        return cls(*numbers, tuple(spline.get("knots") or ()), tuple(spline.get("rel") or ()))

    def __call__(self, coordinate: float) -> float:
        """Focus [dioptre] at a coordinate short of the pole, 1 + d s > 0."""
        return self._moebius(coordinate) * (1.0 + self._ripple(coordinate))

    def slopes(self, coordinate: float) -> dict[str, float]:
        """Derivatives of focus by "a", "b", "d", "spline0", "spline1" .. (the numbers rel) and by the coordinate, "s"."""
        below, ripple, plain = 1.0 + self.d * coordinate, 1.0 + self._ripple(coordinate), self._moebius(coordinate)
        by_a = 1000.0 * ripple / below
        found = {"a": by_a, "b": by_a * coordinate, "d": -plain * ripple * coordinate / below,
                 "s": 1000.0 * (self.b - self.a * self.d) / below**2 * ripple + plain * self._ripple(coordinate, 1)}
        if self.knots:
            found |= {f"spline{k}": plain * float(value)
                      for k, value in enumerate(_natural(self.knots, np.eye(len(self.knots)))(coordinate))}
        return found

    def _moebius(self, coordinate):
        return 1000.0 * (self.a + self.b * coordinate) / (1.0 + self.d * coordinate)

    def _ripple(self, coordinate, derivative=0):
        return float(_natural(self.knots, self.rel)(coordinate, derivative)) if self.knots else 0.0


def _natural(knots, values):
    from scipy.interpolate import CubicSpline

    return CubicSpline(knots, values, bc_type="natural")
