"""Cameras to simulate: focal length, aperture, pixel pitch and the working range that suits them."""

from __future__ import annotations

from dataclasses import dataclass

from dfd.optics import ThinLens


@dataclass(frozen=True)
class Preset:
    """A camera: focal_length and pixel_pitch [m], f_number, and the working range near to far [m, entrance pupil].

    image_distance   [m] where the sensor is fixed and the power of the lens changes, focal_length being that at rest; None
                     for a lens that moves
    kind             what such a camera is for: the kind of capture that it takes unless told
    """

    focal_length: float
    f_number: float
    pixel_pitch: float
    near: float
    far: float
    image_distance: float | None = None
    kind: str = "focal-stack"

    def lens(self, distance: float, *, f_number: float | None = None) -> ThinLens:
        """The lens focused at `distance` [m from the entrance pupil], at another f-number if given; a lens of variable power
        keeps its pupil."""
        if self.image_distance is not None:
            pupil = self.focal_length / (f_number or self.f_number)
            return ThinLens(1 / (1 / distance + 1 / self.image_distance), pupil, self.image_distance, self.pixel_pitch)
        return ThinLens.focused_at(distance, focal_length=self.focal_length, f_number=f_number or self.f_number,
                                   pixel_pitch=self.pixel_pitch)

    @property
    def rest(self) -> ThinLens:
        """The lens as it is between changes: of variable power at rest, else focused at a quarter of the range."""
        if self.image_distance is None:
            return self.lens(self.distance(0.25))
        return ThinLens(self.focal_length, self.focal_length / self.f_number, self.image_distance, self.pixel_pitch)

    def distance(self, share: float) -> float:
        """Metres at `share` of the working range in dioptres: 0 = far, 1 = near."""
        return 1 / (1 / self.far + share * (1 / self.near - 1 / self.far))


PRESETS = {
    "50mm-f2.8": Preset(0.050, 2.8, 6e-6, 0.55, 0.98),
    "50mm-f4-12um": Preset(0.050, 4.0, 12e-6, 0.55, 0.98),
    "macro-100mm": Preset(0.100, 5.6, 6e-6, 0.295, 0.310),
    "phone": Preset(0.0068, 1.8, 1.4e-6, 0.15, 0.60),
    "cod": Preset(1 / 10.1, 1 / (10.1 * 0.005), 23.44e-6, 0.45, 1.80, 0.110, "differential-quad"),
}
"""Name of every camera.  cod is the sensor of Luo et al. 2025 (coupled optical differentiation), binned 4 x 4: 10.1 dioptre
0.110 m before the pixels, a pupil of 5 mm; its quad changes them by +-0.06 dioptre and +-2 mm, see `captures`."""
