"""The frames of a calibration shoot: brackets of the target at measured distances, each frame with its focus coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibration.shoot.distances import Target, find_targets
from dfd.io.frames import is_raw
from dfd.io.gather import gather
from dfd.io.inputs import find_inputs
from dfd.profile import LensProfile
from dfd.settings import CameraSettings

COORDINATES = ("encoder_step", "bracket_index", "exif_distance_mm")
"""What a focus coordinate may be; a rail moves the target, not the focus, and needs no law."""

JITTER = {"encoder_step": 0.3, "bracket_index": 0.05, "exif_distance_mm": 1.0}
"""First guess, and what is no surprise: 1-sigma of the lens about its coordinate, in the unit of the coordinate."""

LEAST_STATIONS = 3

_CLOSEST = 1e-3
"""Relative difference of two distances below which they are one station."""

_LEAST_STEPS = 4
"""Different focus coordinates of a bracket: a line on either side of focus."""

_EXIF_FACTOR = 5
"""How far beyond the focus distances that EXIF states a target may stand."""

_STATE = ("state the focus_coordinate of every frame in a table or in capture.toml, or, where every bracket begins at the "
          "same place of the focus ring, pass --coordinate bracket_index")


@dataclass(frozen=True)
class Shot:
    """One frame: file, index of its station, focus coordinate, marked f-number, and what its file says."""

    path: Path
    station: int
    coordinate: float
    f_number: float
    settings: CameraSettings


@dataclass(frozen=True)
class Station:
    """One distance of the target [m] with its 1-sigma, and a name for messages."""

    name: str
    distance: float
    sigma: float


@dataclass(frozen=True)
class Shoot:
    """All frames, by station and coordinate.

    coordinate   one of COORDINATES;   size   (H, W) px of every frame;   raw   RAW files
    """

    stations: tuple[Station, ...]
    shots: tuple[Shot, ...]
    coordinate: str
    size: tuple[int, int]
    raw: bool
    warnings: tuple[str, ...]

    @property
    def settings(self) -> CameraSettings:
        """What the first file says of the camera."""
        return self.shots[0].settings

    def of(self, station: int) -> list[int]:
        """Indices of the shots of a station."""
        return [index for index, shot in enumerate(self.shots) if shot.station == station]

    @property
    def brackets(self) -> list[list[int]]:
        """Indices of the shots of every bracket: one station, one f-number; in the order of both."""
        found: dict[tuple, list[int]] = {}
        for index, shot in enumerate(self.shots):
            found.setdefault((shot.station, shot.f_number), []).append(index)
        return [found[key] for key in sorted(found)]


def read_shoot(inputs, *, coordinate: str | None = None, f_number: float | None = None, distance_sigma: float = 1e-3,
               least: int = LEAST_STATIONS) -> Shoot:
    """The frames of a shoot; headers are read, nothing is decoded.

    inputs          `0.6=folder` words, or one CSV file: folder or file, distance_m, and per file focus_coordinate,
                    f_number, distance_sigma_mm where they are not in capture.toml or EXIF
    coordinate      one of COORDINATES; None: encoder_step where coordinates are stated, else what EXIF says of distance.
                    Where coordinates are stated they are taken, whatever it says: it is their name then
    f_number        of files that do not state it;   distance_sigma   1-sigma of each distance [m]
    least           stations that are needed
    Raises OSError for files, ValueError for frames without a coordinate, too few distances, mixed cameras.
    """
    if coordinate is not None and coordinate not in COORDINATES:
        raise ValueError(f"coordinate ({coordinate!r}) must be one of {', '.join(COORDINATES)}")
    targets = find_targets(inputs, noun="bracket", per_file=True)
    stations, place = _stations(targets, distance_sigma)
    _check_stations(stations, least)
    found, warnings = _files(targets)
    _check_alike([file for _, file in found])
    _check_distances(found)
    kind, told = _kind(found, coordinate)
    shots, counts = [], {}
    for target, file in found:
        station, number = place[target], _f_number(target, file, f_number)
        bracket = station, number, target.path if target.path.is_dir() else None
        counts[bracket] = counts.get(bracket, -1) + 1
        shots.append(Shot(file.path, station, _coordinate(target, file, kind, counts[bracket]), number,
                          file.merged.settings))
    shots.sort(key=lambda shot: (shot.station, shot.coordinate))
    return Shoot(tuple(stations), tuple(shots), kind, found[0][1].shape, is_raw(shots[0].path),
                 tuple(dict.fromkeys([*warnings, *told])))


def check_steps(shoot: Shoot, least: int = _LEAST_STEPS) -> None:
    """Refuse, with ValueError, a bracket of several frames with fewer than `least` different focus coordinates."""
    for members in shoot.brackets:
        first, places = shoot.shots[members[0]], sorted({shoot.shots[index].coordinate for index in members})
        if len(members) == 1 or len(places) >= least:
            continue
        shown = ", ".join(f"{place:g}" for place in places)
        raise ValueError(f"{first.path.parent}: {len(members)} frames at f/{first.f_number:g} with {shoot.coordinate} "
                         f"{shown} alone, {least} or more different ones are needed; {_STATE}")


def _stations(targets: list[Target], sigma):
    """(stations, the index of its station by target): a reading joins the station before it or begins the next one."""
    stations, place = [], {}
    for target in sorted(targets, key=lambda item: item.distance):
        if not stations or target.distance - stations[-1].distance > _CLOSEST * stations[-1].distance:
            stations.append(Station(f"{target.distance:g} m", target.distance, target.sigma or sigma))
        place[target] = len(stations) - 1
    return stations, place


def _check_stations(stations, least):
    if len(stations) >= least:
        return
    shown = ", ".join(station.name for station in stations)
    if len(stations) == 1:
        raise ValueError(f"one distance ({shown}): the image scale cannot be told from the place of the entrance pupil, nor "
                         f"the pupil's diameter from it; photograph the target at {least} or more distances (8 are good)")
    raise ValueError(f"{len(stations)} distances ({shown}), at least {least} are needed: with two nothing tests the tape; "
                     "8, evenly spaced in 1/distance, are good")


def _files(targets):
    """[(target, ImageFile), ...] in the order of names, and the warnings of reading them."""
    folders = {}
    for target in targets:
        folders.setdefault(target.path if target.path.is_dir() else target.path.parent, []).append(target)
    found, warnings, profile = [], [], LensProfile.nominal()
    for folder, members in folders.items():
        if members[0].path.is_dir():
            if len(members) > 1:
                raise ValueError(f"{folder}: given with {len(members)} distances; a folder holds the frames of one distance")
            inputs = find_inputs([folder], least=1)
        else:
            inputs = find_inputs([target.path for target in members], least=1)
        gathered = gather(inputs, profile, {})
        if gathered.bad:
            raise OSError(str(gathered.bad[0][1]))
        owner = {target.path.resolve(): target for target in members}
        found += [(owner.get(file.path.resolve(), members[0]), file) for file in gathered.files]
        warnings += [*inputs.warnings, *gathered.warnings]
    return found, warnings


def _kind(found, given):
    """(one of COORDINATES, warnings)."""
    stated = [_stated(target, file) is not None for target, file in found]
    if all(stated) or given == "encoder_step":
        return given or "encoder_step", []
    if any(stated):
        file = found[stated.index(False)][1]
        raise ValueError(f"{file.path}: no focus_coordinate, which other frames of this shoot have; add it to the table or "
                         "to capture.toml")
    if given is not None:
        return given, []
    if all(file.merged.settings.focus_distance is not None for _, file in found):
        return "exif_distance_mm", ["the focus coordinate is the distance in EXIF, which cameras write in coarse buckets: "
                                    "an index only; state focus_coordinate"]
    raise ValueError(f"{found[0][1].path}: no focus coordinate and no focus distance in EXIF; give a CSV file with the "
                     "columns file,distance_m,focus_coordinate, or, where every bracket begins at the same place of the "
                     "focus ring, --coordinate bracket_index")


def _stated(target, file):
    """The focus coordinate that the table or capture.toml states."""
    if target.coordinate is not None:
        return target.coordinate
    value = file.merged.settings.focus_coordinate
    return None if value is None else value.value


def _coordinate(target, file, kind, order):
    settings, stated = file.merged.settings, _stated(target, file)
    if stated is not None:
        return stated
    if kind == "bracket_index":
        return float(order)
    if kind == "exif_distance_mm":
        if settings.focus_distance is None:
            raise ValueError(f"{file.path}: no focus distance in EXIF; use --coordinate encoder_step with stated "
                             "coordinates")
        return settings.focus_distance.value * 1e3
    raise ValueError(f"{file.path}: no focus_coordinate; add it to the table or to capture.toml")


def _f_number(target, file, given):
    stated = file.merged.settings.f_number
    number = target.f_number or (stated.value if stated is not None else given)
    if number is None:
        raise ValueError(f"{file.path}: no f-number in EXIF or in the table; pass --f-number N")
    return float(number)


def _check_distances(found):
    """Refuse a target far from everything that EXIF says its frames were focused at: a slip of the unit."""
    stated: dict[float, list[float]] = {}
    for target, file in found:
        if file.merged.settings.focus_distance is not None:
            stated.setdefault(target.distance, []).append(file.merged.settings.focus_distance.value)
    for distance, values in stated.items():
        if not min(values) / _EXIF_FACTOR <= distance <= max(values) * _EXIF_FACTOR:
            path = next(target.path for target, _ in found if target.distance == distance)
            raise ValueError(f"{path}: the target at {distance:g} m, but its frames are focused at {min(values):g} to "
                             f"{max(values):g} m by EXIF, a factor of {_EXIF_FACTOR} may lie between; write the distance in "
                             "metres, or, where EXIF is wrong, focus_distance_m in capture.toml")


def _check_alike(files):
    first = files[0]
    for file in files[1:]:
        if file.shape != first.shape:
            raise ValueError(f"{file.path}: {file.shape[1]} x {file.shape[0]} px, but {first.path.name} has "
                             f"{first.shape[1]} x {first.shape[0]} px; give the frames of one camera in one mode")
        if is_raw(file.path) != is_raw(first.path):
            raise ValueError(f"{file.path}: RAW files and pictures are mixed; give one kind")
        for what, one, two in (("camera", first.merged.settings.model, file.merged.settings.model),
                               ("lens", first.merged.settings.lens_model, file.merged.settings.lens_model)):
            if one != two:
                raise ValueError(f"{file.path}: {what} {two}, but {first.path.name} has {one}; give the frames of "
                                 f"one {what}")
