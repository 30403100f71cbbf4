"""The camera behind a light field: a row of pinholes whose disparity is a straight line in inverse depth.

    disparity = disparity_rate (inverse_depth - focus)         px per view step, positive = nearer than zero disparity
    disparity_rate = baseline * image_distance / pixel_pitch    px per dioptre and view step

Honauer et al. 2016 (HCI 4D benchmark), with beta = b f W / S: disparity_rate = beta / 1000 when lengths are in mm.  A point
of the pupil X metres beside the centre and a thin lens see the same offset on the sensor, so the pinholes together are the
pupil of a thin lens: of diameter n * baseline for n view steps (`thin_lens`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dfd.optics import ThinLens

MODELS = ("power", "sensor")
"""What moves when a light field is focused: the power of a lens before a fixed sensor, or the sensor behind a fixed lens."""

_LEAST_INVERSE_DEPTH = 0.1
"""Inverse depth of the farthest point of a light field under an assumed camera, as a share of that of zero disparity."""

_VIRTUAL = {"image_distance": 0.1, "pixel_pitch": 0.035 / 512, "inverse_depth": 1.0, "f_number": 1.8}
"""Of an assumed camera: a sensor 35 mm wide behind 100 mm for 512 px, zero disparity at 1 m, f/1.8 for all views."""


@dataclass(frozen=True)
class ViewCamera:
    """The optics that all views of a light field share; lengths in metres.

    baseline         between neighbouring views: one view step, > 0
    image_distance   pinhole to sensor, > 0;   pixel_pitch   > 0
    focus            inverse distance of the plane of zero disparity [dioptre]; 0 = infinity (views not shifted)
    assumed          nobody measured these numbers.  Images and depth are exactly those of a thin lens that has them, but the
                     scale of depth, and a projective stretch along the axis (the inverse depth of zero disparity), are as
                     free as they are: see `scaled` and `LightField.virtual`
    Raises ValueError for a length that is not positive or a focus that is not finite.
    """

    baseline: float
    image_distance: float
    pixel_pitch: float
    focus: float
    assumed: bool = False

    def __post_init__(self):
        for name in ("baseline", "image_distance", "pixel_pitch"):
            value = float(getattr(self, name))
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} ({value:g} m) of a light field must be a positive length in metres")
            object.__setattr__(self, name, value)
        if not math.isfinite(self.focus):
            raise ValueError(f"focus ({self.focus:g} dioptre) of a light field must be finite; 0 where parallel rays have "
                             "no disparity")

    @property
    def fx(self) -> float:
        """image_distance / pixel_pitch [px]."""
        return self.image_distance / self.pixel_pitch

    @property
    def disparity_rate(self) -> float:
        """Growth of disparity [px per dioptre and view step]."""
        return self.baseline * self.fx

    def disparity(self, inverse_depth):
        """Disparity [px per view step] at `inverse_depth` [dioptre]; positive = nearer than zero disparity."""
        return self.disparity_rate * (inverse_depth - self.focus)

    def inverse_depth(self, disparity):
        """Inverse depth [dioptre] of a disparity [px per view step]: the inverse of `disparity`."""
        return self.focus + disparity / self.disparity_rate

    def scaled(self, factor: float) -> ViewCamera:
        """A miniature for factor > 1: the same images of a scene `factor` times nearer, by a pupil as much smaller.

        Baseline and distances are divided by `factor`, image distance and pixel pitch stay.  HCI scenes have pupils of 50
        to 1800 mm; this brings them to those of a lens.
        """
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"factor ({factor:g}) of a miniature must be positive")
        return replace(self, baseline=self.baseline / factor, focus=self.focus * factor)

    def thin_lens(self, focus: float, pupil: float, *, model: str = "power") -> ThinLens:
        """The ThinLens whose picture is the mean of the views over a pupil `pupil` view steps wide, refocused to `focus`.

        focus   inverse distance of the plane in focus [dioptre];   pupil   diameter [view steps]
        model   "power": the sensor stays at image_distance, the power of the lens makes the focus; fx stays.  "sensor": the
                focal length is that of the focus of zero disparity, the sensor moves, and pictures are fx / self.fx larger
        Raises ValueError for another model, or a sensor that would have to stand behind infinity.
        """
        if model not in MODELS:
            raise ValueError(f"model ({model!r}) must be one of {', '.join(MODELS)}")
        if model == "power":
            return ThinLens(1 / (1 / self.image_distance + focus), pupil * self.baseline, self.image_distance,
                            self.pixel_pitch)
        power = 1 / self.image_distance + self.focus
        if not power > focus:
            raise ValueError(f"focus ({focus:g} dioptre) must stay below the power of the lens ({power:g} dioptre); no "
                             "sensor is far enough behind it")
        return ThinLens(1 / power, pupil * self.baseline, 1 / (power - focus), self.pixel_pitch)


def virtual_camera(least: float, shape: tuple[int, int], extent: float) -> ViewCamera:
    """The camera that `LightField.virtual` assumes, for views of `shape` (H, W) px that fill `extent` view steps and whose
    least disparity is `least` [px per view step]."""
    pitch = _VIRTUAL["pixel_pitch"] * 512 / max(shape)
    focal_length = 1 / (1 / _VIRTUAL["image_distance"] + _VIRTUAL["inverse_depth"])
    widest = focal_length / _VIRTUAL["f_number"] / extent
    rate = max(widest * _VIRTUAL["image_distance"] / pitch,
               -least / (_VIRTUAL["inverse_depth"] * (1 - _LEAST_INVERSE_DEPTH)))
    return ViewCamera(rate * pitch / _VIRTUAL["image_distance"], _VIRTUAL["image_distance"], pitch,
                      _VIRTUAL["inverse_depth"], assumed=True)
