"""One frame's camera values out of every source: option > [[frames]] > [camera] > EXIF; the first that speaks wins."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dfd.io.exif import Exif, join_pitches
from dfd.io.inputs import natural_key
from dfd.io.sidecar import Sidecar, SidecarFrame
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

OPTION = "--focus-distances"
_FOCUS = {"focus_distance", "focus", "focus_coordinate", "stage_position", "power"}
"""Fields that say where a frame is focused; when the user states one, the distance in EXIF is not asked."""


@dataclass(frozen=True)
class Merged:
    """The settings of one frame; pitch_conflict says why EXIF gives no pixel pitch although it has two.

    distance_warnings, pitch_warnings   what is doubtful about a value in EXIF that the user does not state
    """

    settings: CameraSettings
    pitch_conflict: str | None
    distance_warnings: tuple[str, ...]
    pitch_warnings: tuple[str, ...]

    def told(self, profile: LensProfile) -> tuple[str, ...]:
        """What the user should know; nothing of a pixel pitch that the profile replaces."""
        if profile.pixel_pitch is not None:
            return self.distance_warnings
        return self.distance_warnings + self.pitch_warnings + ((self.pitch_conflict,) if self.pitch_conflict else ())


def merge(path: Path, exif: Exif, sidecar: Sidecar | None, entry: SidecarFrame | None,
          distance: float | None) -> Merged:
    """The settings of one frame; `distance` [m] is the one of --focus-distances, None without the option."""
    stated = _stated(sidecar, entry, distance)
    found = exif.settings.values()
    if _FOCUS & stated.keys():
        found.pop("focus_distance", None)
    if "pupil_diameter" in stated:
        found.pop("f_number", None)
    pitch, warning, conflict = (None, None, None) if "pixel_pitch" in stated else join_pitches(exif.pitches)
    if pitch is not None:
        found["pixel_pitch"] = pitch
    origin = exif.settings.distance_from if "focus_distance" in found else (sidecar and sidecar.distance_from) or "pupil"
    said = CameraSettings(file=path.name, make=exif.settings.make, model=exif.settings.model,
                          lens_model=exif.settings.lens_model, distance_from=origin)
    of_distance = () if _FOCUS & stated.keys() else exif.distance_warnings
    of_pitch = () if "pixel_pitch" in stated else exif.pitch_warnings + ((warning,) if warning else ())
    return Merged(replace(said, **{**found, **stated}), conflict, of_distance, of_pitch)


def tell_once(warnings: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """(file, warning) of every frame -> each warning once, with the first file that it concerns and their number."""
    files: dict[str, list[str]] = {}
    for file, warning in warnings:
        files.setdefault(warning, []).append(file)
    return tuple(f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {warning}"
                 for warning, names in files.items())


def _stated(sidecar, entry, distance) -> dict[str, Value]:
    """What the user states, by field: [camera], overridden by [[frames]], overridden by the option."""
    stated = dict(sidecar.values) if sidecar else {}
    own = dict(entry.values) if entry else {}
    if "pupil_diameter" in own:
        stated.pop("f_number", None)
    stated |= own
    if distance is not None:
        stated.pop("focus", None)
        stated["focus_distance"] = Value(distance, None, OPTION)
    return stated


def check_distances(distances, files) -> dict[Path, float]:
    """--focus-distances by file: one number of metres per file in natural file order.

    Raises ValueError for another count, or for a distance that is not positive (infinity is allowed).
    """
    distances = [float(distance) for distance in distances]
    if len(distances) != len(files):
        raise ValueError(f"{OPTION} has {len(distances)} distances for {len(files)} files; give one per file, "
                         "in natural file order")
    for index, distance in enumerate(distances):
        if math.isnan(distance) or distance <= 0:
            raise ValueError(f"{OPTION}[{index}] ({distance:g} m) must be positive, in metres; correct it")
    return dict(zip(sorted(files, key=natural_key), distances, strict=True))
