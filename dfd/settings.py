"""What the camera *says* about one image: every value with its uncertainty and its source."""

from __future__ import annotations

from dataclasses import dataclass, fields

DISTANCE_ORIGINS = ("pupil", "sensor")


@dataclass(frozen=True)
class Value:
    """A number in SI units, its 1-sigma in the same unit (None = not stated) and where it came from."""

    value: float
    sigma: float | None = None
    source: str = "argument"

    def __repr__(self):
        return f"{self.value:g} ({self.source})"


@dataclass(frozen=True)
class CameraSettings:
    """What EXIF, capture.toml and the command line say of one image; any field may be None.

    serial              number of the camera body
    focal_length, pupil_diameter, pixel_pitch, focus_distance, image_distance, stage_position   m
    focus, power        dioptres (focus: inverse distance of the plane in focus)
    focus_coordinate    encoder step or bracket index, needs a calibrated LensProfile
    exposure            s;   iso, f_number   without unit
    distance_from       where focus_distance and focus are measured from: "pupil" (entrance pupil) or "sensor" (the mark)
    """

    file: str = ""
    make: str | None = None
    model: str | None = None
    lens_model: str | None = None
    serial: str | None = None
    focal_length: Value | None = None
    f_number: Value | None = None
    pupil_diameter: Value | None = None
    pixel_pitch: Value | None = None
    focus_distance: Value | None = None
    focus: Value | None = None
    focus_coordinate: Value | None = None
    stage_position: Value | None = None
    power: Value | None = None
    image_distance: Value | None = None
    exposure: Value | None = None
    iso: Value | None = None
    distance_from: str = "pupil"

    def __post_init__(self):
        if self.distance_from not in DISTANCE_ORIGINS:
            raise ValueError(f"distance_from ({self.distance_from!r}) must be pupil or sensor")

    def values(self) -> dict[str, Value]:
        """Every field that holds a Value, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Value)}
