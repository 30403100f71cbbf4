"""One frame's camera values out of every source; the first that speaks wins:

option > [[frames]] > [camera] > EXIF > maker note > LibRaw > exiftool.  A LensProfile stands between [camera] and EXIF; it
takes its place where the optics are made (`dfd.profile`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dfd.io.agreement import FIELDS, join
from dfd.io.names import natural_key
from dfd.io.readings import Reading
from dfd.io.sidecar import NAME, Sidecar, SidecarFrame
from dfd.io.wording import counted
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

OPTION = "--focus-distances"
_FOCUS = {"focus_distance", "focus", "focus_coordinate", "stage_position", "power"}
"""Fields that say where a frame is focused; when the user states one, the distance in EXIF is not asked."""


@dataclass(frozen=True)
class Merged:
    """The settings of one frame, and what was found beside them.

    others      field -> values that were found but not used, in the order of their sources
    conflicts   field -> why there is no value although several sources give one
    doubts      (field, text): what is doubtful about a value that the user does not state
    """

    settings: CameraSettings
    others: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    doubts: tuple[tuple[str, str], ...] = ()

    def told(self, profile: LensProfile) -> tuple[str, ...]:
        """What the user should know; nothing of a pixel pitch that the profile replaces."""
        silent = () if profile.pixel_pitch is None else ("pixel_pitch",)
        return tuple(text for name, text in (*self.doubts, *self.conflicts.items()) if name not in silent)


def stated_by_user(value: Value) -> bool:
    """True for a value out of capture.toml or an option, False for one out of the image file."""
    return value.source in (NAME, OPTION)


def merge(path: Path, readings: Sequence[Reading], sidecar: Sidecar | None, entry: SidecarFrame | None,
          distance: float | None) -> Merged:
    """The settings of one frame.

    readings   of the file, best first;   distance   m, the one of --focus-distances; None without the option
    """
    stated = _stated(sidecar, entry, distance)
    settled = set(stated) | (_FOCUS if _FOCUS & stated.keys() else set())
    settled |= {"f_number"} if "pupil_diameter" in stated else set()
    found, others, conflicts, doubts = {}, {}, {}, []
    for name in FIELDS:
        values = _candidates(name, readings)
        if name in settled:
            others[name] = values
            continue
        joined = join(name, values)
        others[name] = joined.others
        remarks = dict.fromkeys(text for reading in readings for about, text in reading.remarks if about == name)
        if joined.conflict:
            conflicts[name] = joined.conflict
        if joined.value is not None:
            found[name] = joined.value
        if joined.value is None or name == "pixel_pitch":
            doubts += [(name, text) for text in remarks]
        if joined.warning:
            doubts.append((name, joined.warning))
    origin = "sensor" if "focus_distance" in found else (sidecar and sidecar.distance_from) or "pupil"
    settings = CameraSettings(file=path.name, distance_from=origin, **_identity(readings))
    return Merged(replace(settings, **{**found, **stated}), {name: rest for name, rest in others.items() if rest}, conflicts,
                  tuple(doubts))


def _candidates(name, readings) -> tuple[Value, ...]:
    """The values of one field, best source first.  Every crop factor comes before every FocalPlaneResolution."""
    if name == "pixel_pitch":
        pitches = [pitch for reading in readings for pitch in reading.pitches]
        return tuple(sorted(pitches, key=lambda pitch: "FocalPlane" in pitch.source))
    values = (getattr(reading.settings, name) for reading in readings)
    return tuple(value for value in values if value is not None)


def _identity(readings) -> dict[str, str | None]:
    """Camera and lens by the first reading that names them."""
    return {name: next((text for reading in readings if (text := getattr(reading.settings, name))), None)
            for name in ("make", "model", "lens_model", "serial")}


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
        raise ValueError(f"{OPTION} has {counted(len(distances), 'distance', 'distances')} for {len(files)} files; give one "
                         "per file, in natural file order")
    for index, distance in enumerate(distances):
        if math.isnan(distance) or distance <= 0:
            raise ValueError(f"{OPTION}[{index}] ({distance:g} m) must be positive, in metres; correct it")
    return dict(zip(sorted(files, key=natural_key), distances, strict=True))
