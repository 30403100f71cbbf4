"""Cameras to simulate: focal length, aperture, pixel pitch and the working range that suits them."""

from __future__ import annotations

from dataclasses import dataclass

from dfd.optics import ThinLens


@dataclass(frozen=True)
class Preset:
    """A camera: focal_length and pixel_pitch [m], f_number, and the working range near to far [m, entrance pupil]."""

    focal_length: float
    f_number: float
    pixel_pitch: float
    near: float
    far: float

    def lens(self, distance: float, *, f_number: float | None = None) -> ThinLens:
        """The lens focused at `distance` [m from the entrance pupil], at another f-number if given."""
        return ThinLens.focused_at(distance, focal_length=self.focal_length, f_number=f_number or self.f_number,
                                   pixel_pitch=self.pixel_pitch)

    def distance(self, share: float) -> float:
        """Metres at `share` of the working range in dioptres: 0 = far, 1 = near."""
        return 1 / (1 / self.far + share * (1 / self.near - 1 / self.far))


PRESETS = {
    "50mm-f2.8": Preset(0.050, 2.8, 6e-6, 0.55, 0.98),
    "50mm-f4-12um": Preset(0.050, 4.0, 12e-6, 0.55, 0.98),
    "macro-100mm": Preset(0.100, 5.6, 6e-6, 0.295, 0.310),
    "phone": Preset(0.0068, 1.8, 1.4e-6, 0.15, 0.60),
    "tunable-10dpt": Preset(0.099, 19.8, 23.44e-6, 0.50, 1.40),
}
"""Name of every camera.  tunable-10dpt is the variable-power rig of Luo et al. 2025, binned 4 x 4: a pupil of 5 mm."""
