"""What we measured of a lens joined with what the camera says: LensProfile.thin_lens(settings) -> ThinLens.

Three ways to the optics of an image, tried in this order: a fixed sensor behind a lens of known power; the calibrated
focus law; the nominal thin lens at the entrance pupil from focal length and focus distance.  This file alone turns
distances from the sensor mark into distances from the entrance pupil.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from dfd import lensfile
from dfd.lenscurves import LensCurves
from dfd.optics import ThinLens
from dfd.settings import CameraSettings

_PITCH_TOLERANCE = 0.15

_LEAST_FOCUS = -5.0
"""Focus [dioptre] of a stated power and image distance, below which one of them is wrong: nothing is ever sharp."""

_LINES = {
    "focal_length": ("focal length", "focal_length_mm", "[camera]", ""),
    "f_number": ("f-number", "f_number", "[camera]", ""),
    "pixel_pitch": ("pixel pitch", "pixel_pitch_um", "[camera]", ""),
    "image_distance": ("image distance", "image_distance_mm", "[camera]", ""),
    "power": ("optical power", "power_dpt", "[[frames]]", ""),
    "focus_coordinate": ("focus coordinate", "focus_coordinate", "[[frames]]", ""),
    "stage_position": ("rail position", "stage_position_mm", "[[frames]]", ""),
    "focus_distance": ("focus distance", "focus_distance_m", "[[frames]]", " or pass --focus-distances"),
}
"""Field that may be missing -> its name in words, key and table in capture.toml, and the option that serves as well."""

_LAW_FIELD = {"exif_distance_mm": "focus_distance", "rail_mm": "stage_position"}
"""Coordinate of a focus law -> the field [m] that carries it; the others are focus_coordinate as it stands."""


@dataclass(frozen=True, eq=False)
class LensProfile(LensCurves):
    """One lens on one camera as calibration measured it; the identity (`nominal()`) where nothing was measured.

    The curves are views of one LensProfile file; `thin_lens` joins them with a CameraSettings.
    """

    @classmethod
    def nominal(cls) -> LensProfile:
        """The profile that changes nothing: the thin lens of the engraved numbers, at the entrance pupil."""
        return cls({"schema": lensfile.SCHEMA, "schema_version": lensfile.SCHEMA_VERSION}, "nominal")

    @classmethod
    def load(cls, path) -> LensProfile:
        """Read a file.  Raises OSError when missing or broken, ValueError naming file and key when it is wrong."""
        return cls(lensfile.read(path), folder=Path(path).parent)

    def save(self, path) -> None:
        """Write the profile, unknown keys included; the file is complete or not there.  Raises OSError."""
        lensfile.write(self.data, path)

    def thin_lens(self, settings: CameraSettings) -> ThinLens:
        """The equivalent thin lens of one image, at the entrance pupil.

        Raises ValueError, naming the file: for a missing field and the capture.toml line that adds it; for a value
        that cannot be (negative, within the focal length, outside what the profile measured) and its limit.
        """
        needed = self._needed(settings)
        if needed:
            raise ValueError(_missing_message(settings, needed))
        _check_positive(settings)
        try:
            if _variable_power(settings):
                return self._fixed_sensor(settings)
            return self._nominal(settings) if self.law_coordinate(settings) is None else self._measured(settings)
        except ValueError as error:
            raise ValueError(_named(settings, error)) from error

    def lens_from(self, settings: CameraSettings, reference: CameraSettings) -> ThinLens:
        """`thin_lens` of one image as the entrance pupil of another sees it, which may stand higher or lower with its focus.

        A pupil `step` in front of the other's: focus / (1 + focus step), and a diameter (1 + focus step) times as large.
        That of a lens whose pupil stays where it is is `thin_lens` itself.  Raises what `thin_lens` raises.
        """
        lens, places = self.thin_lens(settings), (self.law_coordinate(settings), self.law_coordinate(reference))
        if None in places or places[0] == places[1] or self.pupil_height(places[0]) is None:
            return lens
        step = self.pupil_height(places[0]) - self.pupil_height(places[1])
        ratio = 1 + lens.focus * step
        return lens if step == 0 else ThinLens.from_focus(
            lens.focus / ratio, fx=lens.fx, pupil_diameter=lens.pupil_diameter * ratio, pixel_pitch=lens.pixel_pitch)

    def law_coordinate(self, settings: CameraSettings) -> float | None:
        """The focus coordinate at which `thin_lens` uses the measured focus law; None where it does not."""
        return None if _variable_power(settings) or not self.calibrated else self._coordinate(settings)

    def missing(self, settings: CameraSettings) -> tuple[str, ...]:
        """The capture.toml lines that `thin_lens` still needs, each with its table as a comment; () when it has all."""
        frame = f', file = "{settings.file}"' if settings.file else ""
        return tuple(f"{key} = ...  # in {table}{frame if table == '[[frames]]' else ''}"
                     for _, key, table, _ in (_LINES[name] for name in self._needed(settings)))

    def set_aside(self, settings: CameraSettings) -> str | None:
        """Why the nominal thin lens takes the place of the measured focus law; None where it does not.

        A frame without the focus coordinate of the profile, but with a focus distance, still has optics: nominal ones.
        """
        unfocused = settings.focus_distance is None and settings.focus is None
        if not self.calibrated or unfocused or _variable_power(settings) or self._coordinate(settings) is not None:
            return None
        name, key, _, _ = _LINES[self._law_field]
        lack, step = f"has no {name}", f"add {key} = ... to its [[frames]]"
        if self._law_field == "focus_distance" and settings.focus_distance is not None:
            lack, step = "counts its focus distance from the entrance pupil", 'set distance_from = "sensor" if it is not so'
        return (f"profile {self.name} is calibrated by {self.coordinate}, but this frame {lack}; its focus distance and the "
                f"nominal thin lens take the place of the measured focus; {step} in capture.toml")

    def sensor_offset(self, settings: CameraSettings) -> float:
        """Metres to add to a depth from the entrance pupil to get the depth from the sensor mark.

        The measured height of the pupil where the profile has it, else the image distance of the thin lens.
        """
        try:
            height = self.pupil_height(self._coordinate(settings))
        except ValueError as error:
            raise ValueError(_named(settings, error)) from error
        return self.thin_lens(settings).image_distance if height is None else height

    def _needed(self, settings) -> list[str]:
        """Names of the fields that are missing for a ThinLens, in the order of _LINES."""

        def absent(*names):
            return {name for name in names if getattr(settings, name) is None}

        needed = absent("pixel_pitch") if self.pixel_pitch is None else set()
        if settings.pupil_diameter is None:
            needed |= absent("f_number")
        unfocused = settings.focus_distance is None and settings.focus is None
        if _variable_power(settings):
            needed |= absent("power", "image_distance")
        elif self.calibrated and (unfocused or self._coordinate(settings) is not None):
            needed |= {self._law_field} if self._coordinate(settings) is None else set()
            if settings.pupil_diameter is None and self.focal_nominal is None and not self._stops:
                needed |= absent("focal_length")
        else:
            needed |= absent("focal_length") | ({"focus_distance"} if unfocused else set())
        return [name for name in _LINES if name in needed]

    def _fixed_sensor(self, settings):
        focal_length, distance = 1.0 / settings.power.value, settings.image_distance.value
        focus = settings.power.value - 1 / distance
        if focus < _LEAST_FOCUS:
            raise ValueError(f"power_dpt ({settings.power.value:g} dioptre) and image_distance_mm ({distance * 1e3:g} mm) "
                             f"put focus at {focus:.4g} dioptre, far beyond infinity (at least {_LEAST_FOCUS:g} dioptre); "
                             "are both in their units? correct one of them in capture.toml")
        return ThinLens(focal_length, self._diameter(settings, focal_length), distance, self._pitch(settings))

    def _measured(self, settings):
        coordinate, pitch = self._coordinate(settings), self._pitch(settings)
        focus, fx = self.focus_curve(coordinate), self.fx(coordinate)
        focus += 0.0 if settings.f_number is None else self.focus_shift(settings.f_number.value)
        if not (fx > 0 and focus + 1 / (fx * pitch) > 0):
            raise ValueError(f"profile {self.name} gives fx {fx:g} px and focus {focus:g} dioptre at focus coordinate "
                             f"{coordinate:g} {self.coordinate}, which no lens has; check the profile")
        engraved = self.focal_nominal if settings.focal_length is None else settings.focal_length.value
        return ThinLens.from_focus(focus, fx=fx, pupil_diameter=self._diameter(settings, engraved), pixel_pitch=pitch)

    def _nominal(self, settings):
        focal_length, focus = settings.focal_length.value, self._focus_from_pupil(settings)
        if focus >= 1 / focal_length:
            raise ValueError(f"focus distance ({1 / focus:g} m from the entrance pupil) must exceed the focal length "
                             f"({focal_length:g} m); are focus_distance_m and focal_length_mm in their units?")
        return ThinLens(focal_length, self._diameter(settings, focal_length), 1 / (1 / focal_length - focus),
                        self._pitch(settings))

    def _focus_from_pupil(self, settings) -> float:
        """Focus [dioptre] from the entrance pupil: the one place that converts distances from the sensor mark.

        Sensor to object d, thin lens: image distance + object distance = d, so zf = d/2 + sqrt(d^2/4 - d f).
        """
        focus = settings.focus.value if settings.focus_distance is None else 1 / settings.focus_distance.value
        if settings.distance_from == "pupil" or focus == 0:
            return focus
        if focus < 0:
            raise ValueError(f"focus ({focus:g} dioptre) beyond infinity has no distance from the sensor mark; "
                             'set distance_from = "pupil" in capture.toml')
        distance, focal_length = 1 / focus, settings.focal_length.value
        height = self.pupil_height(self._coordinate(settings))
        if height is not None:
            if distance <= height:
                raise ValueError(f"focus distance ({distance:g} m from the sensor) must exceed the height of the "
                                 f"entrance pupil above the sensor ({height:g} m); is focus_distance_m in metres?")
            return 1 / (distance - height)
        if distance < 4 * focal_length:
            raise ValueError(f"focus distance ({distance:g} m from the sensor) must be at least 4 focal lengths "
                             f"({4 * focal_length:g} m), the least a thin lens can do; measure from the entrance pupil "
                             'and set distance_from = "pupil" in capture.toml')
        return 1 / (distance / 2 + math.sqrt(distance * (distance / 4 - focal_length)))

    def _diameter(self, settings, focal_length):
        """Entrance pupil [m]: as stated, else as measured at the marked stop, else focal length / f-number."""
        if settings.pupil_diameter is not None:
            return settings.pupil_diameter.value
        measured = self.pupil_diameter(settings.f_number.value)
        return focal_length / settings.f_number.value if measured is None else measured

    def _pitch(self, settings):
        """Pixel pitch [m]: the profile's, because its fx counts those pixels, else the camera's."""
        stated, measured = settings.pixel_pitch, self.pixel_pitch
        if measured is None:
            return stated.value
        if stated is not None and abs(stated.value / measured - 1) > _PITCH_TOLERANCE:
            raise ValueError(f"pixel pitch ({stated.value * 1e6:g} um, {stated.source}) differs from that of profile "
                             f"{self.name} ({measured * 1e6:g} um) by more than 15 %; its fx counts those pixels: use "
                             f"images of the calibrated size, with pixel_pitch_um = {measured * 1e6:g} in [camera]")
        return measured

    @property
    def _law_field(self):
        return _LAW_FIELD.get(self.coordinate, "focus_coordinate")

    def _coordinate(self, settings) -> float | None:
        """The number of this image that the law is a function of, in the law's unit; None when it has none."""
        if settings.focus_coordinate is not None:
            return settings.focus_coordinate.value
        carrier = _LAW_FIELD.get(self.coordinate)
        if carrier == "focus_distance" and settings.distance_from != "sensor":
            return None  # the law was measured over distances from the sensor mark, as EXIF counts them
        value = getattr(settings, carrier) if carrier else None
        return None if value is None else value.value * 1e3


def _variable_power(settings):
    return settings.power is not None or settings.image_distance is not None


_UNITS = {"focal_length": ("focal_length_mm", 1e3, "mm"), "pupil_diameter": ("pupil_diameter_mm", 1e3, "mm"),
          "pixel_pitch": ("pixel_pitch_um", 1e6, "um"), "image_distance": ("image_distance_mm", 1e3, "mm"),
          "focus_distance": ("focus_distance_m", 1.0, "m"), "power": ("power_dpt", 1.0, "dioptre"),
          "f_number": ("f_number", 1.0, "")}
"""Field that must be positive -> its key in capture.toml, that key's unit over SI, the unit's name."""


def _check_positive(settings):
    for name, (key, scale, unit) in _UNITS.items():
        value = getattr(settings, name)
        if value is None or (value.value > 0 and (math.isfinite(value.value) or name == "focus_distance")):
            continue
        shown = f"{value.value * scale:g} {unit}".strip()
        finite = "" if name == "focus_distance" else " and finite"
        raise ValueError(_named(settings, f"{key} ({shown}, {value.source}) must be positive{finite}; "
                                          f"set {key} in capture.toml"))
    for name in ("focus", "focus_coordinate", "stage_position"):
        value = getattr(settings, name)
        if value is not None and not math.isfinite(value.value):
            raise ValueError(_named(settings, f"{name} ({value.value:g}, {value.source}) must be a finite number; "
                                              "correct it in capture.toml"))


def _named(settings, message):
    return f"{settings.file}: {message}" if settings.file else str(message)


def _missing_message(settings, needed):
    *first, last = [_LINES[name][0] for name in needed]
    words = f"{', '.join(first)} or {last}" if first else last
    tables = {table: ", ".join(_LINES[name][1] for name in needed if _LINES[name][2] == table)
              for table in ("[camera]", "[[frames]]")}
    adds = " and ".join(f"{keys} to {table}" for table, keys in tables.items() if keys)
    options = "".join(_LINES[name][3] for name in needed)
    return _named(settings, f"no {words} (not in EXIF or capture.toml); add {adds} in capture.toml{options}")
