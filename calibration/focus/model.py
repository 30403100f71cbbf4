"""The forward model of a focus calibration and its derivatives: numbers of the lens -> scale of frames and blur of edges.

    z     = tape + z0 + dz[station] + tilt . board                     m from the entrance pupil
    scale = fx(t) (1 + print) / z(board origin)                        px per nominal metre of the board
    focus = law(t) + Ax u + Ay v + B r^2 + C r^4 + axial[channel] + shift[f-number]      u, v, r over the half diagonal
    coc   = fx(t) D[f-number] (1 +- asymmetry) (1/z - focus)           px, + = nearer than focus
    blur  = |coc| + excess                                             px, what an edge shows
    t     = coordinate + jitter[frame]
fx is a polynomial.  Every parameter is one column of a dense Jacobian.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calibration.focus.law import Coordinate
from calibration.focus.measurements import FocusData

FIELD = ("x", "y", "r2", "r4")
@dataclass(frozen=True, eq=False)
class FocusModel:
    """The model of one data set.

    half_diagonal   px, of the image;   stops   the f-numbers, rising;   knots   of the spline of the law, 0 = none
    powers          coefficients of fx, its degree and one
    A parameter vector holds, in this order (`slices`): fx, moebius, rel, z0, log_pupil, asymmetry, excess, field, axial,
    shift, print_scale, dz, jitter.
    """

    data: FocusData
    half_diagonal: float
    knots: int = 0
    powers: int = 3

    @cached_property
    def coordinate(self) -> Coordinate:
        """The centred and scaled focus coordinate."""
        return Coordinate.over(self.data.coordinate)

    @cached_property
    def stops(self) -> np.ndarray:
        """(n,) the marked f-numbers, rising."""
        return np.unique(self.data.f_number)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Name of a group of parameters -> its place in a vector."""
        counts = {"fx": self.powers, "moebius": 3, "rel": self.knots, "z0": 1, "log_pupil": len(self.stops),
                  "asymmetry": 1, "excess": 1, "field": len(FIELD), "axial": 2, "shift": len(self.stops) - 1,
                  "print_scale": 1, "dz": len(self.data.distance), "jitter": len(self.data.station)}
        ends = np.cumsum([0, *counts.values()])
        return {name: slice(int(first), int(last)) for name, first, last in zip(counts, ends, ends[1:], strict=False)}

    @property
    def count(self) -> int:
        """Length of a parameter vector."""
        return self.slices["jitter"].stop

    def part(self, vector, name) -> np.ndarray:
        """The parameters of one group."""
        return vector[self.slices[name]]

    def focus(self, vector, t, place, channel, f_number):
        """Focus [dioptre] at t, a place (n, 2) [px from the centre], a channel and an f-number."""
        law = self.coordinate.law(t, self.part(vector, "moebius"), self.part(vector, "rel"))
        axial = np.array([self.part(vector, "axial")[0], 0.0, self.part(vector, "axial")[1]])
        shift = np.array([0.0, *self.part(vector, "shift")])
        return (law + self._field_terms(place) @ self.part(vector, "field") + axial[channel]
                + shift[np.searchsorted(self.stops, f_number)])

    def fx(self, vector, t):
        """Image distance [px] at t."""
        return np.polynomial.polynomial.polyval(t, self.part(vector, "fx"))

    def depth(self, vector) -> np.ndarray:
        """(S,) depth of each station's board origin from the entrance pupil [m]."""
        return self.data.distance + self.part(vector, "z0") + self.part(vector, "dz")

    def scale(self, vector) -> np.ndarray:
        """(F,) px per nominal metre of the board."""
        t = self._frame_t(vector)
        return self.fx(vector, t) * (1 + self.part(vector, "print_scale")) / self.depth(vector)[self.data.station]

    def coc(self, vector) -> np.ndarray:
        """(E,) signed blur of the edges [px]."""
        return self._coc(vector)[0]

    def scale_jacobian(self, vector) -> np.ndarray:
        """(F, count) derivatives of `scale`."""
        data, where = self.data, self.slices
        t, scale, depth = self._frame_t(vector), self.scale(vector), self.depth(vector)[data.station]
        fx, found = self.fx(vector, t), np.zeros((len(t), self.count))
        found[:, where["fx"]] = (scale / fx)[:, None] * np.vander(t, self.powers, increasing=True)
        found[:, where["z0"]] = (-scale / depth)[:, None]
        found[np.arange(len(t)), where["dz"].start + data.station] = -scale / depth
        found[:, where["print_scale"]] = (scale / (1 + self.part(vector, "print_scale")))[:, None]
        found[np.arange(len(t)), where["jitter"].start + np.arange(len(t))] = scale / fx * self.fx_slope(vector, t)
        return found

    def coc_jacobian(self, vector) -> np.ndarray:
        """(E, count) derivatives of `coc`."""
        data, where, rows = self.data, self.slices, np.arange(len(self.data.frame))
        coc, t, fx, rate, depth, gain = self._coc(vector)
        moebius, rel = self.part(vector, "moebius"), self.part(vector, "rel")
        found = np.zeros((len(coc), self.count))
        found[:, where["fx"]] = (coc / fx)[:, None] * np.vander(t, self.powers, increasing=True)
        law = -rate * self.coordinate.gradient(t, moebius, rel)
        found[:, where["moebius"]], found[:, where["rel"]] = law[:3].T, law[3:].T
        found[:, where["z0"]] = (-rate / depth**2)[:, None]
        found[rows, where["dz"].start + data.station[data.frame]] = -rate / depth**2
        stop = np.searchsorted(self.stops, data.f_number)[data.frame]
        found[rows, where["log_pupil"].start + stop] = coc
        found[:, where["asymmetry"]] = (np.abs(coc) / gain)[:, None]
        found[:, where["field"]] = -rate[:, None] * self._field_terms(data.place)
        for column, channel in enumerate((0, 2)):
            found[:, where["axial"].start + column] = np.where(data.channel == channel, -rate, 0)
        later = stop > 0
        found[rows[later], where["shift"].start + stop[later] - 1] = -rate[later]
        found[rows, where["jitter"].start + data.frame] = self.jitter_slope(vector)
        return found

    def jitter_slope(self, vector) -> np.ndarray:
        """(E,) change of `coc` per unit of t."""
        coc, t, fx, rate, *_ = self._coc(vector)
        law = self.coordinate.slope(t, self.part(vector, "moebius"), self.part(vector, "rel"))
        return coc / fx * self.fx_slope(vector, t) - rate * law

    def _coc(self, vector):
        data = self.data
        t = self._frame_t(vector)[data.frame]
        fx, f_number = self.fx(vector, t), data.f_number[data.frame]
        pupil = np.exp(self.part(vector, "log_pupil"))[np.searchsorted(self.stops, f_number)]
        depth = self.depth(vector)[data.station[data.frame]] + np.sum(data.tilt[data.frame] * data.board, axis=1)
        defocus = 1 / depth - self.focus(vector, t, data.place, data.channel, f_number)
        gain = 1 + np.sign(defocus) * self.part(vector, "asymmetry")
        rate = fx * pupil * gain
        return rate * defocus, t, fx, rate, depth, gain

    def _frame_t(self, vector):
        return self.coordinate(self.data.coordinate) + self.part(vector, "jitter")

    def fx_slope(self, vector, t):
        """d fx / d t [px]."""
        return np.polynomial.polynomial.polyval(t, np.polynomial.polynomial.polyder(self.part(vector, "fx")))

    def _field_terms(self, place):
        """(n, 4) x, y, r^2, r^4 over the half diagonal."""
        u = np.asarray(place) / self.half_diagonal
        radius = np.sum(u**2, axis=1)
        return np.column_stack([u, radius, radius**2])
