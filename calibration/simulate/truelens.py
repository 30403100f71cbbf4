"""The camera and lens of a simulated shoot: everything that a calibration is to find, known.

    law(s) = 1000 (a + b s) / (1 + d s) (1 + ripple sin(2 pi s / period))                      dioptre
    focus(s; x, y, channel) = law(s) + A_x u + A_y v + B r^2 + C r^4 + axial[channel]
    coc = fx(s) D (1/z - focus)        px, positive = nearer than focus; z [m] from the entrance pupil

s is the focus coordinate (encoder step); u, v, r are x, y and their length, px from the middle of the image, over half its
diagonal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd.optics import ThinLens

LEAST_CORE = 0.4
"""Smallest Gaussian core [px] that frames are rendered with: below it two samples per pixel do not hold the picture."""


@dataclass(frozen=True)
class Stop:
    """One marked f-number: the diameter [m] that the entrance pupil really has there, and its vignetting, a polynomial in
    r^2 with its constant term, 1, first; r = 1 in the image's corner."""

    f_number: float
    diameter: float
    vignetting: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class TrueLens:
    """A lens on a camera, as it is.

    name                 of the preset;   focal_nominal   engraved focal length [m]
    size                 (H, W) px;   pixel_pitch   [m]
    a_per_mm, b_per_mm_per_unit, d_per_unit   focus law;   ripple, ripple_period   its relative deviation from Moebius, no
                         unit, and the period of it in focus coordinates
    steps                (first, last) focus coordinate that the lens can be set to
    fx_poly              polynomial in s [px], constant term first: breathing
    stops                the marked f-numbers
    pupil_height         entrance pupil above the sensor mark [m]
    field                A_x, A_y, B, C [dioptre]
    axial                focus of R and B less that of G [dioptre]
    core                 std of the Gaussian core [px]
    spherical            q: light over the pupil is 1 + q sign(coc) (rho^2 - 1/2), rho = 1 at its rim; -2 to 2
    k1                   radial distortion in normalised coordinates: x' = x (1 + k1 (x^2 + y^2)), x = X / z
    black, white         DN;   gain   e-/DN;   read_noise   e- rms
    channel_gain         R, G, B: how bright a white sheet is in each over the brightest
    Raises ValueError for a core, a q or a size that cannot be rendered.
    """

    name: str
    focal_nominal: float
    size: tuple[int, int]
    pixel_pitch: float
    a_per_mm: float
    b_per_mm_per_unit: float
    d_per_unit: float
    fx_poly: tuple[float, ...]
    stops: tuple[Stop, ...]
    steps: tuple[float, float] = (0.0, 1200.0)
    ripple: float = 0.0
    ripple_period: float = 700.0
    pupil_height: float = 0.063
    field: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    axial: tuple[float, float] = (0.0, 0.0)
    core: float = 0.6
    spherical: float = 0.0
    k1: float = 0.0
    black: int = 512
    white: int = 16383
    gain: float = 2.4
    read_noise: float = 3.5
    channel_gain: tuple[float, float, float] = (0.6, 1.0, 0.75)

    def __post_init__(self):
        if not self.core >= LEAST_CORE:
            raise ValueError(f"core ({self.core:g} px) must be at least {LEAST_CORE:g} px, what two samples per pixel hold")
        if not abs(self.spherical) <= 2:
            raise ValueError(f"spherical ({self.spherical:g}) must lie between -2 and 2, or the light would be negative")
        if min(self.size) < 32 or any(side % 2 for side in self.size):
            raise ValueError(f"size ({self.size[1]} x {self.size[0]} px) must be even and at least 32 px each way")

    @property
    def half_diagonal(self) -> float:
        """From the middle of the image to its corner [px], the unit of u, v and r."""
        return math.hypot(*self.size) / 2

    def law(self, s):
        """Focus [dioptre] in green on the axis."""
        moebius = 1000.0 * (self.a_per_mm + self.b_per_mm_per_unit * s) / (1.0 + self.d_per_unit * s)
        if not self.ripple:
            return moebius
        return moebius * (1.0 + self.ripple * np.sin(2 * math.pi / self.ripple_period * np.asarray(s)))

    def axial_colour(self, channel: str) -> float:
        """Focus of a channel less that of G [dioptre]."""
        return {"R": self.axial[0], "G": 0.0, "B": self.axial[1]}[channel]

    def field_focus(self, x, y):
        """Focus at a place less that on the axis [dioptre]; x, y px from the middle of the image."""
        u, v = x / self.half_diagonal, y / self.half_diagonal
        square = u * u + v * v
        tilt_x, tilt_y, curvature, fourth = self.field
        return tilt_x * u + tilt_y * v + square * (curvature + fourth * square)

    def focus(self, s, x=0.0, y=0.0, channel="G"):
        """Focus [dioptre] at x, y px from the middle of the image, arrays alike."""
        return self.law(s) + self.field_focus(x, y) + self.axial_colour(channel)

    def fx(self, s):
        """Image distance in px at a focus coordinate."""
        return sum(value * s**power for power, value in enumerate(self.fx_poly))

    def stop(self, f_number: float) -> Stop:
        """The stop of a marked f-number.  Raises ValueError, naming the marks, for a number that is none."""
        for stop in self.stops:
            if math.isclose(stop.f_number, f_number, rel_tol=1e-6):
                return stop
        marks = " ".join(f"{stop.f_number:g}" for stop in self.stops)
        raise ValueError(f"f_number ({f_number:g}) is no mark of lens {self.name}; use one of {marks}")

    def blur_rate(self, s, f_number: float):
        """Growth of the circle of confusion [px per dioptre of defocus]."""
        return self.fx(s) * self.stop(f_number).diameter

    def coc(self, s, inverse_depth, *, f_number: float, x=0.0, y=0.0, channel="G"):
        """Signed circle of confusion [px] of what lies at `inverse_depth` [dioptre from the pupil]; positive = nearer."""
        return self.blur_rate(s, f_number) * (inverse_depth - self.focus(s, x, y, channel))

    def thin_lens(self, s: float, f_number: float) -> ThinLens:
        """The equivalent thin lens at the entrance pupil, in green on the axis."""
        return ThinLens.from_focus(float(self.law(s)), fx=float(self.fx(s)), pupil_diameter=self.stop(f_number).diameter,
                                   pixel_pitch=self.pixel_pitch)

    def coordinate(self, focus: float) -> float:
        """The focus coordinate at which the lens is focused at `focus` [dioptre], by bisection of its law.

        Raises ValueError outside what the lens can be set to.
        """
        from scipy.optimize import brentq

        first, last = self.steps
        ends = sorted(float(self.law(end)) for end in self.steps)
        if not ends[0] <= focus <= ends[1]:
            raise ValueError(f"focus ({focus:.4g} dioptre) is outside what lens {self.name} reaches ({ends[0]:.4g} to "
                             f"{ends[1]:.4g} dioptre, {1 / ends[1]:.3g} to {1 / ends[0]:.3g} m from the pupil)")
        return brentq(lambda s: float(self.law(s)) - focus, first, last, xtol=1e-9)

    def undistort(self, x, y):
        """Normalised coordinates X / z, Y / z of distorted ones, to 1e-12 for a k1 (x^2 + y^2) within .05."""
        if not self.k1:
            return x, y
        square = x * x + y * y
        factor = 1.0
        for _ in range(8):
            factor = 1.0 / (1.0 + self.k1 * square * factor * factor)
        return x * factor, y * factor

    def vignetting(self, x, y, f_number: float):
        """Brightness at x, y px from the middle of the image over that in the middle."""
        square = (x * x + y * y) / self.half_diagonal**2
        polynomial = self.stop(f_number).vignetting
        total = polynomial[-1] * np.ones_like(square)
        for coefficient in polynomial[-2::-1]:
            total = total * square + coefficient
        return total


def _fifty(name, size, pixel_pitch):
    """A 50 mm f/1.8 of unit focusing character: 0.43 m to 6 m from the pupil, 13 % of breathing."""
    marks = {1.8: (27.6, -0.35, 0.05), 2.0: (24.8, -0.28, 0.04), 2.8: (17.65, -0.12, 0.0), 4.0: (12.38, -0.06, 0.0),
             5.6: (8.83, -0.05, 0.0), 8.0: (6.2, -0.05, 0.0), 11.0: (4.42, -0.05, 0.0)}
    shown = (math.hypot(*size) * pixel_pitch / 0.0433) ** 2  # of the picture of 36 x 24 mm
    stops = tuple(Stop(mark, diameter * 1e-3, (1.0, second * shown, fourth * shown**2))
                  for mark, (diameter, second, fourth) in marks.items())
    return TrueLens(
        name=name, focal_nominal=0.050, size=size, pixel_pitch=pixel_pitch, a_per_mm=2.3e-3, b_per_mm_per_unit=-1.7617e-6,
        d_per_unit=2e-4, fx_poly=tuple(value * 1e-3 / pixel_pitch for value in (58.63, -6.8e-3, 1.0e-6)), stops=stops,
        field=(0.004, -0.003, -0.030, 0.008), axial=(-0.010, 0.006), k1=-0.03)


PRESETS = {
    "full-frame": _fifty("full-frame", (4000, 6000), 6e-6),
    "small": _fifty("small", (640, 960), 13e-6),
}
"""Name -> lens.  small is the middle of full-frame's picture on coarser pixels: the same physics in 0.8 MP."""
