"""Several sources of one value -> the value, by the order of the sources, and what to say where they contradict.

Above 5 % of disagreement a warning tells both; above 15 % there is no value, and the conflict says why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dfd.settings import Value

_WARN, _REFUSE = 0.05, 0.15
_LEAST_SPREAD = 0.005  # two sources that agree better share their rounding
_SAME = 1e-3

_WORDS = {
    "focal_length": ("focal length", "mm", 1e-3, "add focal_length_mm to [camera] in capture.toml"),
    "f_number": ("f-number", "", 1.0, "add f_number to [camera] in capture.toml"),
    "pixel_pitch": ("pixel pitch", "um", 1e-6, "add pixel_pitch_um to [camera] in capture.toml"),
    "focus_distance": ("focus distance", "m", 1.0,
                       "add focus_distance_m to its [[frames]] in capture.toml or pass --focus-distances"),
    "exposure": ("exposure", "s", 1.0, "add exposure_s to its [[frames]] in capture.toml"),
    "iso": ("ISO", "", 1.0, "add iso to its [[frames]] in capture.toml"),
}
"""Field that files state -> its name, the unit shown, that unit in SI, and how the user states it."""

_CAUSES = {"pixel_pitch": " (a resized or cropped image?)"}
FIELDS = tuple(_WORDS)


@dataclass(frozen=True)
class Joined:
    """value: None where the sources contradict; others: what is not used; warning, conflict: "" where there is none."""

    value: Value | None
    others: tuple[Value, ...] = ()
    warning: str = ""
    conflict: str = ""


def join(field: str, values: Sequence[Value]) -> Joined:
    """The first of `values`, if the others of this field agree with it.

    Distances agree within their combined sigma (one quantised step of a maker is up to 5.9 %).  A pixel pitch of several
    sources has their spread as its sigma.
    """
    if not values:
        return Joined(None)
    best, others = values[0], tuple(values[1:])
    spread = max((_difference(field, best, other) for other in others), default=0.0)
    if field == "pixel_pitch" and others and spread <= _REFUSE:
        best = Value(best.value, max(spread, _LEAST_SPREAD) * best.value, best.source)
    if spread <= _WARN:
        return Joined(best, others)
    name, _, _, advice = _WORDS[field]
    odd = [other for other in others if _difference(field, best, other) > _SAME]
    message = f"{name} {' but '.join(_shown(field, value) for value in (best, *odd))} differ by {100 * spread:.0f} %"
    if spread <= _REFUSE:
        return Joined(best, others, warning=f"{message}; the first is used, {advice} to be sure")
    return Joined(None, tuple(values), conflict=f"{message}, at most {100 * _REFUSE:.0f} % is trusted"
                                                f"{_CAUSES.get(field, '')}; {advice}")


def _difference(field, best, other) -> float:
    """How far apart two values are, as a part of the first; 0 for distances within their combined sigma."""
    apart = abs(other.value - best.value)
    if field == "focus_distance" and apart <= math.hypot(best.sigma or 0.0, other.sigma or 0.0):
        return 0.0
    return apart / best.value


def _shown(field, value):
    _, unit, size, _ = _WORDS[field]
    return f"{value.value / size:.3g}{f' {unit}' if unit else ''} ({value.source})"
