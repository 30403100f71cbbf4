"""What is planned for: one lens, a range of depth, the light of a frame and the texture; and the views that frames give."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dfd.bound import Texture
from dfd.capture import View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.plan.estimator import LIKELIHOOD, Estimator
from dfd.profile import LensProfile
from dfd.psf import Psf

EXPOSURES = ("total", "frame")
"""total: all frames together get the time of two full exposures at the widest aperture, in equal shares; frame: every frame
is exposed until white is the full well."""

_AIRY = 0.42 * 0.55e-6
"""Std of the Gaussian that fits the Airy disk, over the f-number [m]."""


@dataclass(frozen=True)
class Frame:
    """One image to take.

    focus      dioptres from the entrance pupil;   f_number
    electrons  electrons that a white pixel of this image holds
    pupil      the PSF: "disk" for the whole pupil, "half-left", "half-right" for the halves of a dual-pixel sensor
    """

    focus: float
    f_number: float
    electrons: float
    pupil: str = "disk"

    @property
    def focus_distance(self) -> float:
        """Metres from the entrance pupil; math.inf for a focus of zero."""
        return 1 / self.focus if self.focus > 0 else math.inf


@dataclass(frozen=True)
class Setup:
    """One lens before one scene.

    focal_length, pixel_pitch   m
    f_number     the widest aperture to use
    near, far    range of depth [m from the entrance pupil]
    full_well    electrons of a white pixel in one full exposure at the widest aperture
    read_noise   electrons rms of a pixel
    contrast     std of the texture, of white (0.15: a usual surface; 0.03: a wall)
    exposure     one of EXPOSURES
    core         std [px] of what blurs in focus
    solver       what the solver makes of the noise
    profile      measured pupils of the lens at its stops, where there are any
    Raises ValueError, naming the number with its unit, for what cannot be.
    """

    focal_length: float
    f_number: float
    pixel_pitch: float
    near: float
    far: float
    full_well: float
    read_noise: float = 3.0
    contrast: float = 0.15
    exposure: str = "total"
    core: float = 0.5
    solver: Estimator = LIKELIHOOD
    profile: LensProfile = field(default_factory=LensProfile.nominal)

    def __post_init__(self):
        for name, (unit, size, likely) in _POSITIVE.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                shown = f"{value / size:g} {unit}".strip()
                raise ValueError(f"{name} ({shown}) must be positive and finite; {likely}")
        for name, unit in (("read_noise", "electrons"), ("core", "px")):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} ({value:g} {unit}) must be zero or positive; 3 electrons and 0.5 px are usual")
        if self.exposure not in EXPOSURES:
            raise ValueError(f"exposure ({self.exposure!r}) must be one of {', '.join(EXPOSURES)}")
        if self.contrast > 1:
            raise ValueError(f"contrast ({self.contrast:g} of white) must be at most 1: it is the std of a texture between "
                             "black and white; 0.15 is usual")
        if self.near >= self.far:
            raise ValueError(f"near ({self.near:g} m) must be less than far ({self.far:g} m); exchange them")
        if self.near <= self.focal_length:
            raise ValueError(f"near ({self.near:g} m) must exceed the focal length ({self.focal_length * 1e3:g} mm): "
                             "nothing nearer has an image; is near in metres and the focal length in mm?")
        self.pupil(self.f_number)

    @classmethod
    def of_profile(cls, profile: LensProfile, *, f_number: float, near: float, far: float, full_well: float,
                   focal_length: float | None = None, pixel_pitch: float | None = None, **options) -> Setup:
        """The lens of a profile: its engraved focal length, pitch and measured pupils; what is given here wins.

        Raises ValueError for what neither has.
        """
        focal_length = profile.focal_nominal if focal_length is None else focal_length
        pixel_pitch = profile.pixel_pitch if pixel_pitch is None else pixel_pitch
        for name, value, option in (("focal length", focal_length, "--focal-length"),
                                    ("pixel pitch", pixel_pitch, "--pixel-pitch")):
            if value is None:
                raise ValueError(f"profile {profile.name} has no {name}, which a plan needs; give {option}")
        return cls(focal_length, f_number, pixel_pitch, near, far, full_well, profile=profile, **options)

    @property
    def texture(self) -> Texture:
        """The texture of the scene."""
        return Texture(self.contrast)

    @property
    def inverse_range(self) -> tuple[float, float]:
        """(far, near) in dioptres: the smaller one first."""
        return 1 / self.far, 1 / self.near

    @property
    def blur_rate(self) -> float:
        """px of coc per dioptre at the widest aperture, in the pixel grid of a frame focused at the middle of the range."""
        return self.pupil(self.f_number) * self._fx

    @property
    def span(self) -> float:
        """px of coc between near and far at the widest aperture."""
        return self.blur_rate * (1 / self.near - 1 / self.far)

    @property
    def narrowest(self) -> float:
        """The f-number at which diffraction blurs by the std of one pixel: beyond it a smaller pupil only costs light."""
        return self.pixel_pitch / _AIRY

    def pupil(self, f_number: float) -> float:
        """Diameter [m] of the entrance pupil: as measured, else focal length / f-number; ValueError outside the profile."""
        measured = self.profile.pupil_diameter(f_number)
        return self.focal_length / f_number if measured is None else measured

    def frame(self, focus: float, *, f_number: float | None = None, count: int, pupil: str = "disk") -> Frame:
        """One of `count` images that share the light of the capture, at the widest aperture unless told."""
        f_number = self.f_number if f_number is None else f_number
        electrons = self.full_well
        if self.exposure == "total":
            electrons *= 2 / count * (self.pupil(f_number) / self.pupil(self.f_number)) ** 2
        elif pupil != "disk":
            electrons /= 2  # both halves share one exposure
        return Frame(focus, f_number, electrons, pupil)

    def view(self, frame: Frame) -> View:
        """The optics of an image in the common pixel grid, as solvers see it."""
        lens = ThinLens.from_focus(frame.focus, fx=self._fx, pupil_diameter=self.pupil(frame.f_number),
                                   pixel_pitch=self.pixel_pitch)
        return View(lens, Psf(frame.pupil, self.core), Noise(frame.electrons, self.read_noise), frame.focus)

    def views(self, frames) -> tuple[View, ...]:
        """The optics of all images, at the brightness of white = 1."""
        return tuple(map(self.view, frames))

    @property
    def _fx(self):
        focus = sum(self.inverse_range) / 2
        return 1 / (1 / self.focal_length - focus) / self.pixel_pitch


_POSITIVE = {
    "focal_length": ("mm", 1e-3, "it is engraved on the lens"),
    "f_number": ("", 1.0, "it is engraved on the lens, such as 2.8"),
    "pixel_pitch": ("um", 1e-6, "cameras have 1 to 10 um"),
    "near": ("m", 1.0, "it is the least depth to measure"),
    "far": ("m", 1.0, "at infinity depth has no finite sigma in metres: give the greatest depth that matters"),
    "full_well": ("electrons", 1.0, "no sensor is free of noise: 20000 is usual, 1500 a dark scene"),
    "contrast": ("of white", 1.0, "a surface without texture has no depth; 0.15 is usual"),
}
"""Number that must be positive -> its unit, the size of that in the number's own, what helps."""
