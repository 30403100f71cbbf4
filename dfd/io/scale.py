"""What the frames' values amount to: a metric capture, a rail, or steps; never a silent downgrade of a wrong value.

What the user states must be right: a duplicate or impossible focus distance is an error.  What only EXIF says may be
wrong (many cameras write one distance for a whole bracket): then the distances are left out, and a warning says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dfd.io.merge import Merged, stated_by_user
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

ORDERS = {"focus": "counted from near to far", "rail": "in the order of the rail", "file": "in file order",
          "coordinate": "in the order of focus_coordinate"}
"""What the frames of a stack are ordered by, and how their numbers then read."""

_SAME = 1e-9


@dataclass(frozen=True)
class Scale:
    """scale "metric", "stage", "steps" or "affine"; settings as they are used; coordinates: what orders a stack, near
    to far, or None where nothing does; missing: capture.toml lines that would make it metric; order: see ORDERS."""

    scale: str
    settings: tuple[CameraSettings, ...]
    coordinates: tuple[float, ...] | None
    missing: tuple[str, ...]
    order: str = "file"
    warnings: tuple[str, ...] = ()


def decide(kind: str, merged: Sequence[Merged], profile: LensProfile, *, kappa: float | None) -> Scale:
    """The best scale that these frames allow.

    Raises ValueError for a stated value that is physically wrong, a duplicate focus in a focal stack, and for
    sources in the files that contradict each other where nothing else stands between the capture and metres.
    """
    stated = _decide(kind, merged, profile, kappa)
    if stated is not None:
        return stated
    bare = [replace(item, settings=_without_exif_distance(item.settings)) for item in merged]
    told = _exif_trouble(kind, merged, profile)
    rest = _decide(kind, bare, profile, kappa)
    return replace(rest, warnings=(f"{told}; the focus distances in EXIF are left out",))


def _decide(kind, merged, profile, kappa) -> Scale | None:
    """The scale, or None when a distance that only EXIF states stands in the way."""
    settings = tuple(item.settings for item in merged)
    for one in settings:
        _check_beyond_focal_length(one)
    missing = missing_lines(kind, settings, profile, kappa)
    if not any(profile.missing(one) for one in settings):
        trouble = _build(settings, profile)
        if isinstance(trouble, _Trouble):
            if trouble.stated:
                raise ValueError(trouble.message)
            return None
        places, unit = [-lens.focus for lens in trouble], "dioptre"
    else:
        places, unit = _bare_places(settings)
    trouble = _duplicate(settings, places, unit) if kind == "focal-stack" else None
    if trouble is not None:
        if trouble.stated:
            raise ValueError(trouble.message)
        return None
    _check_conflicts(merged, profile)
    if kind != "focal-stack":
        return Scale("affine" if missing else "metric", settings, None, missing)
    scale = "metric" if not missing else "stage" if unit == "mm" else "steps"
    order = "file" if places is None else {"dioptre": "focus", "mm": "rail"}.get(unit, "coordinate")
    return Scale(scale, settings, None if places is None else tuple(places), missing, order)


@dataclass(frozen=True)
class _Trouble:
    """Why distances cannot be used, and whether the user stated them (else EXIF did)."""

    message: str
    stated: bool


def _build(settings, profile):
    """The lenses of all frames, or the trouble of the first that cannot be."""
    lenses = []
    for one in settings:
        try:
            lenses.append(profile.thin_lens(one))
        except ValueError as error:
            return _Trouble(str(error), not _only_exif(one))
    return lenses


def _bare_places(settings):
    """Places on the sweep, near to far, from what is known without a lens; (None, "") where nothing is."""
    def all_have(name):
        return all(getattr(one, name) is not None for one in settings)

    if all_have("stage_position"):
        return [one.stage_position.value for one in settings], "mm"
    if all(one.focus is not None or one.focus_distance is not None for one in settings):
        return [-one.focus.value if one.focus_distance is None else -1 / one.focus_distance.value
                for one in settings], "dioptre"
    if all_have("focus_coordinate"):
        return [one.focus_coordinate.value for one in settings], ""
    return None, ""


def _duplicate(settings, places, unit) -> _Trouble | None:
    """Two frames of a stack at one place."""
    if places is None:
        return None
    order = sorted(range(len(places)), key=places.__getitem__)
    for first, second in itertools.pairwise(order):
        if math.isclose(places[first], places[second], rel_tol=_SAME, abs_tol=1e-12):
            one, other = sorted((first, second))
            message = (f"{settings[one].file} and {settings[other].file}: the same focus "
                       f"({_shown(settings[one], places[one], unit)}), every frame of a focal stack needs its own; "
                       "correct capture.toml or --focus-distances, or leave one file out")
            return _Trouble(message, not (_only_exif(settings[one]) and _only_exif(settings[other])))
    return None


def _shown(settings, place, unit):
    distance = settings.focus_distance
    if distance is not None:
        return f"{distance.value:g} m, {distance.source}"
    return f"{place * 1e3:g} mm" if unit == "mm" else f"{-place:g} dioptre" if unit else f"coordinate {place:g}"


def _only_exif(settings) -> bool:
    distance = settings.focus_distance
    return distance is not None and not stated_by_user(distance)


def _without_exif_distance(settings):
    return replace(settings, focus_distance=None, distance_from="pupil") if _only_exif(settings) else settings


def _exif_trouble(kind, merged, profile) -> str:
    """Why the distances in EXIF could not be used."""
    settings = [item.settings for item in merged]
    lenses = None if any(profile.missing(one) for one in settings) else _build(settings, profile)
    if isinstance(lenses, _Trouble):
        return lenses.message
    places, unit = ([-lens.focus for lens in lenses], "dioptre") if lenses else _bare_places(settings)
    trouble = _duplicate(settings, places, unit)
    return trouble.message.split("; correct")[0]


def _check_beyond_focal_length(settings):
    """A stated focus inside the focal length is wrong whatever else is missing."""
    length, stated = settings.focal_length, settings.focus_distance or settings.focus
    if length is None or stated is None or _only_exif(settings) or settings.power or settings.focus_coordinate:
        return
    focus = stated.value if stated is settings.focus else 1 / stated.value
    if focus * length.value >= 1:
        raise ValueError(f"{settings.file}: focus distance ({1 / focus:g} m, {stated.source}) must exceed the focal "
                         f"length ({length.value:g} m, {length.source}); are focus_distance_m and focal_length_mm in "
                         "their units?")


def _check_conflicts(merged, profile):
    """Sources that contradict each other are an error only where they are all that stands before metres."""
    for item in merged:
        missing = profile.missing(item.settings)
        if not missing or profile.missing(replace(item.settings, **dict.fromkeys(item.conflicts, Value(1.0)))):
            continue
        for name, told in item.conflicts.items():
            if len(profile.missing(replace(item.settings, **{name: Value(1.0)}))) < len(missing):
                raise ValueError(f"{item.settings.file}: {told}")


def missing_lines(kind: str, settings: Sequence[CameraSettings], profile: LensProfile,
                  kappa: float | None) -> tuple[str, ...]:
    """capture.toml lines that would make the capture metric; one line where every frame misses the same."""
    lines: dict[str, list[str]] = {}
    for one in settings:
        for line, general in zip(profile.missing(one), profile.missing(replace(one, file="")), strict=True):
            lines.setdefault(general, []).append(line)
    found = []
    for general, own in lines.items():
        every = len(own) == len(settings) or "[camera]" in general
        found += [general.replace("in [[frames]]", "in every [[frames]]")] if every else own
    if kind == "dual-pixel" and kappa is None:
        found.append("kappa = ...  # in [camera], disparity / coc, measured by calibration")
    if kind == "dual-pixel" and found:
        found.append("[[known_depths]]  # or, instead of all of these, two or more such tables: x_px, y_px, depth_m")
    return tuple(found)
