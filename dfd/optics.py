"""What the light does: the equivalent thin lens at the entrance pupil, in plain Python arithmetic.

Depth from defocus is stereo whose baseline is the entrance pupil.  With distances measured from the entrance
pupil and expressed in dioptres (1/m) the signed circle of confusion is a straight line:

    coc = blur_rate * (inverse_depth - focus)        px, diameter, positive = nearer than focus
    blur_rate = pupil_diameter * image_distance / pixel_pitch        px per dioptre

Pentland 1987, eq. 1-4, rewritten for the entrance pupil; see docs/physics.md.  Standard library only: every
method is arithmetic, so it takes Python floats and NumPy or CuPy arrays alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ThinLens:
    """The optics of one image, four lengths in metres.

    focal_length     f of the equivalent thin lens that sits at the entrance pupil, > 0
    pupil_diameter   diameter of the entrance pupil, > 0
    image_distance   entrance pupil of the equivalent lens to the sensor, > 0; image_distance / pixel_pitch = fx
    pixel_pitch      distance between neighbouring pixels of the image that is solved, > 0

    Raises ValueError when a length is not a positive finite number.
    """

    focal_length: float
    pupil_diameter: float
    image_distance: float
    pixel_pitch: float

    def __post_init__(self):
        for name in ("focal_length", "pupil_diameter", "image_distance", "pixel_pitch"):
            value = float(getattr(self, name))
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} ({value:g} m) must be a positive length in metres")
            object.__setattr__(self, name, value)

    @classmethod
    def focused_at(cls, distance: float, *, focal_length: float, f_number: float, pixel_pitch: float) -> ThinLens:
        """The photographer's door: a lens focused at `distance` metres from the entrance pupil (math.inf allowed).

        All lengths in metres, f_number without unit (entrance pupil = focal_length / f_number).
        Raises ValueError when the distance does not exceed the focal length.
        """
        if not f_number > 0:
            raise ValueError(f"f_number ({f_number:g}) must be positive")
        if not distance > focal_length:
            raise ValueError(
                f"focus_distance ({distance:g} m) must exceed focal_length ({focal_length:g} m); are both in metres?"
            )
        image_distance = 1.0 / (1.0 / focal_length - 1.0 / distance)
        return cls(focal_length, focal_length / f_number, image_distance, pixel_pitch)

    @classmethod
    def from_focus(cls, focus: float, *, fx: float, pupil_diameter: float, pixel_pitch: float) -> ThinLens:
        """The calibrator's door: the three measured numbers (dioptres, px, m) and the pitch that makes them lengths.

        The focal length is the one that gives the right focus, 1 / (focus + 1 / image_distance): a fit parameter,
        never the engraved number.
        """
        image_distance = fx * pixel_pitch
        return cls(1.0 / (focus + 1.0 / image_distance), pupil_diameter, image_distance, pixel_pitch)

    def on_grid_of(self, reference: ThinLens) -> ThinLens:
        """This lens for an image resampled to the pixel grid of `reference`: same focus and pupil, the other's fx."""
        return ThinLens.from_focus(self.focus, fx=reference.fx, pupil_diameter=self.pupil_diameter,
                                   pixel_pitch=reference.pixel_pitch)

    def _repr_html_(self):
        rows = (("focus [dpt]", f"{self.focus:.4g}"), ("f-number", f"{self.f_number:.4g}"),
                ("focal length [mm]", f"{self.focal_length * 1e3:.4g}"),
                ("entrance pupil [mm]", f"{self.pupil_diameter * 1e3:.4g}"),
                ("fx [px]", f"{self.fx:.5g}"), ("blur rate [px/dpt]", f"{self.blur_rate:.4g}"))
        cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
        return f"<p>ThinLens</p><table>{cells}</table>"

    @property
    def power(self) -> float:
        """Optical power 1 / focal_length [dioptre]."""
        return 1.0 / self.focal_length

    @property
    def focus(self) -> float:
        """Inverse distance of the plane in focus [dioptre]; 0 = infinity, below 0 = beyond infinity."""
        return self.power - 1.0 / self.image_distance

    @property
    def f_number(self) -> float:
        """focal_length / pupil_diameter."""
        return self.focal_length / self.pupil_diameter

    @property
    def fx(self) -> float:
        """Image distance in pixels: the fx of a camera calibration done at this focus."""
        return self.image_distance / self.pixel_pitch

    @property
    def blur_rate(self) -> float:
        """Growth of the circle of confusion [px per dioptre of defocus]."""
        return self.pupil_diameter * self.image_distance / self.pixel_pitch

    def coc(self, inverse_depth):
        """Signed diameter [px] of the circle of confusion at `inverse_depth` [dioptre]; positive = nearer."""
        return self.blur_rate * (inverse_depth - self.focus)

    def inverse_depth(self, coc):
        """Inverse depth [dioptre] of a signed circle of confusion [px]: the inverse of `coc`."""
        return self.focus + coc / self.blur_rate
