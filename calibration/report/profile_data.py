"""What a report is made of: the profile, the arrays beside it, the blur of its frames moved to the middle of the picture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from calibration.focus.measurements import CHANNELS, FocusData
from calibration.sidecar import load_arrays
from dfd.lensfile import section
from dfd.profile import LensProfile

_GREEN = CHANNELS.index("G")


@dataclass(frozen=True, eq=False)
class Points:
    """One row per frame of a focus calibration, from its green edges; all of the middle of the picture.

    coc, spread      px, median signed blur, + = nearer than focus, and the 1-sigma of that median
    focus            dioptre: what the frame says of the law;   depth   m from the entrance pupil, of its station
    fx               px: image scale times depth
    """

    station: np.ndarray
    coordinate: np.ndarray
    f_number: np.ndarray
    coc: np.ndarray
    spread: np.ndarray
    focus: np.ndarray
    depth: np.ndarray
    fx: np.ndarray


@dataclass(frozen=True, eq=False)
class ProfileData:
    """A profile and its arrays.

    path   of the JSON file;   profile   LensProfile;   arrays   by key, see calibration.sidecar
    """

    path: Path
    profile: LensProfile
    arrays: dict[str, np.ndarray]

    @classmethod
    def load(cls, path) -> ProfileData:
        """Raises OSError and ValueError for the profile and its sidecar."""
        path = Path(path)
        profile = LensProfile.load(path)
        return cls(path, profile, load_arrays(path, profile.data))

    def section(self, *keys) -> dict:
        """An object of the profile, empty where it has none."""
        return section(self.profile.data, *keys)

    @property
    def size(self) -> tuple[float, float]:
        """(W, H) px of the pictures; 3 x 2 where the profile does not say."""
        return tuple(self.section("camera").get("raw_size_px") or (3, 2))

    @property
    def coordinates(self) -> np.ndarray:
        """(129,) focus coordinates over what was measured; (0,) where there is no focus law."""
        limits = self.section("validity").get("focus_coordinate")
        if not self.profile.calibrated or not limits:
            return np.zeros(0)
        return np.linspace(*limits, 129)

    @property
    def law(self) -> np.ndarray:
        """(129,) focus [dioptre] at `coordinates`."""
        return np.array([self.profile.focus_curve(value) for value in self.coordinates])

    @property
    def depths(self) -> tuple[float, float] | None:
        """(near, far) [m] from the entrance pupil that was measured; None: not stated."""
        limits = self.section("validity").get("z_from_ep_mm")
        return None if not limits else (limits[0] / 1e3, limits[1] / 1e3)

    @cached_property
    def focus_data(self) -> FocusData | None:
        """The measurements of the focus calibration; None where none are kept."""
        names = [field.name for field in fields(FocusData)]
        if not self.profile.calibrated or any(f"focus/{name}" not in self.arrays for name in names):
            return None
        return FocusData(**{name: self.arrays[f"focus/{name}"] for name in names})

    @property
    def pupils(self) -> list[tuple[float, float, float]]:
        """(f-number, diameter [mm], 1-sigma [mm], 0 = not stated) of every stop that was measured, by f-number."""
        return sorted((stop["f_number_marked"], stop["diameter_eff_mm"], stop.get("diameter_sigma_mm") or 0.0)
                      for stop in self.profile.data.get("aperture") or [] if stop.get("diameter_eff_mm"))

    @property
    def depths_are_fitted(self) -> bool:
        """True where the depths of `points` are those that the fit found, False for the readings of the tape."""
        fitted = self.arrays.get("focus/depth")
        return fitted is not None and self.focus_data is not None and fitted.shape == self.focus_data.distance.shape

    def offset(self, place, half_diagonal: float) -> np.ndarray:
        """(n,) focus [dioptre] at places (n, 2) [px from the middle] less that in the middle."""
        told = self.section("field", "focus_offset_dpt")
        u, v = (np.asarray(place, float) / half_diagonal).T
        terms = {"x": u, "y": v, "r2": u**2 + v**2, "r4": (u**2 + v**2) ** 2}
        return sum((coefficient * terms[term] for term, coefficient in
                    zip(told.get("terms") or (), told.get("coef") or (), strict=True)), np.zeros(len(u)))

    @property
    def half_diagonal(self) -> float:
        """Half the diagonal of the picture [px]."""
        stated = self.section("field", "focus_offset_dpt").get("half_diagonal_px")
        return float(stated or np.hypot(*self.size) / 2)

    @cached_property
    def points(self) -> Points | None:
        """The frames of the focus calibration; None where none are kept."""
        return None if self.focus_data is None else _points(self, self.focus_data)


def _points(report: ProfileData, data: FocusData) -> Points:
    profile = report.profile
    fx = np.array([profile.fx(value) for value in data.coordinate])
    law = np.array([_law(profile, value) for value in data.coordinate])
    depth = _depths(report, data, fx)[data.station]
    rows = []
    shift = np.array([profile.focus_shift(float(value)) for value in data.f_number])
    for frame in range(len(data.coordinate)):
        rate = fx[frame] * (profile.pupil_diameter(float(data.f_number[frame])) or np.nan)
        edges = np.flatnonzero((data.frame == frame) & (data.channel == _GREEN))
        there = depth[frame] + data.board[edges] @ data.tilt[frame]
        offset = report.offset(data.place[edges], report.half_diagonal)
        away = 1 / there - law[frame] - shift[frame] - offset
        signed = np.sign(away) * data.coc[edges]  # NaN beyond the ends of the law
        middle = signed + rate * (1 / depth[frame] - 1 / there + offset)
        centre, spread = _median(middle)
        rows.append((centre, spread, 1 / depth[frame] - centre / rate - shift[frame]))
    coc, spread, focus = np.array(rows).T
    return Points(data.station, data.coordinate, data.f_number, coc, spread, focus, depth, data.scale * depth)


def _law(profile, coordinate):
    """The focus law where it was measured; NaN outside."""
    try:
        return profile.focus_curve(float(coordinate))
    except ValueError:
        return np.nan


def _depths(report, data, fx):
    """(S,) depth of every station from the entrance pupil [m]: as fitted, else tape and height of the pupil, else scales."""
    if report.depths_are_fitted:
        return report.arrays["focus/depth"]
    told = report.section("reference", "z_ep_from_sensor_mm").get("poly")
    if told:
        return data.distance - told[0] / 1e3
    return np.array([np.median(fx[data.station == station] / data.scale[data.station == station])
                     for station in range(len(data.distance))])


def _median(values):
    """(median, its 1-sigma) of the values; NaN without any."""
    if not len(values):
        return np.nan, np.nan
    middle = float(np.median(values))
    return middle, 1.2533 * 1.4826 * float(np.median(np.abs(values - middle))) / np.sqrt(len(values))
