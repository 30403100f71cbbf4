"""How the numbers of a map become places, colours and labels.

Places follow the axis on which errors are uniform: inverse depth for metric maps, labelled in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd.io.record import affine_name
from dfd.io.results import ORIGINS
from dfd.io.scale import ORDERS
from dfd.io.wording import metre_unit


@dataclass(frozen=True)
class Axis:
    """How numbers become colours and labels.

    label    quantity with its unit, "distance from the entrance pupil [m]"
    unit     size of that unit in the numbers' own (0.001 for mm shown, m given)
    inverse  colours follow 1 / number (depth) instead of the number
    sign     -1 where small numbers are near (frames counted from near to far), so that near is always bright
    """

    label: str
    unit: float = 1.0
    inverse: bool = False
    sign: float = 1.0

    @property
    def near_is_left(self) -> bool:
        """Whether the axis has a near end, which bars and plots then show on the left."""
        return self.inverse or self.sign < 0

    def place(self, numbers):
        """Where numbers lie on the colour axis; infinity lies at 0 of an inverse axis."""
        if not self.inverse:
            return self.sign * numbers
        with np.errstate(divide="ignore"):
            return 1 / numbers

    def ticks(self, low, high, count=7):
        """(places, labels) of about `count` round numbers between two places of the axis, low < high.

        The numbers step evenly, unless an inverse axis spans more than a factor of two.
        """
        if not self.inverse or 0 < high <= 2 * low:
            ends = sorted(self._number(place) / self.unit for place in (low, high))
            numbers = _even_numbers(*ends, count)
            return [float(self.place(number * self.unit)) for number in numbers], [_label(number) for number in numbers]
        reach = (high - low) / count
        places, labels = [], []
        for step in range(count):
            near, far = low + (step + 0.15) * reach, low + (step + 0.85) * reach
            ends = sorted(self._number(place) / self.unit for place in (near, far))
            if math.isinf(ends[1]) or ends[0] < 0 < ends[1]:
                places.append(0.0)
                labels.append("\N{INFINITY}")
            elif ends[0] > 0:
                number = _roundest(*ends)
                places.append(float(self.place(number * self.unit)))
                labels.append(_label(number))
        return places, labels

    def _number(self, place):
        if not self.inverse:
            return self.sign * place
        return 1 / place if place != 0 else math.inf


def axis_of(outcome) -> Axis:
    """The axis of depth.tiff of an io.results.Outcome; mm or um where metres would be small numbers."""
    scale = outcome.result.scale
    if scale == "steps":
        return frame_axis(outcome.source.order)
    return axis_for(scale, outcome.maps[0], solver=outcome.solver, origin=ORIGINS[outcome.origin])


def axis_for(scale: str, numbers, *, solver: str = "", origin: str = ORIGINS["pupil"]) -> Axis:
    """The axis of an (H, W) map of a scale, metric in metres; frame numbers without what they are counted by."""
    if scale == "steps":
        return Axis("frame number (not metres)")
    if scale == "affine":
        return Axis(f"signed {affine_name(solver)} [px], positive = nearer (not metres)")
    known = np.abs(sample(numbers))
    unit, name = metre_unit(float(np.median(known)) if known.size else 1.0)
    if scale == "stage":
        return Axis(f"position on the rail [{name}] (not a distance from the camera)", unit)
    return Axis(f"distance from the {origin} [{name}]", unit, inverse=True)


def frame_axis(order: str) -> Axis:
    """Frame numbers as an axis; only frames that are ordered by their focus have a near end."""
    return Axis(f"frame number, {ORDERS[order]} (not metres)", sign=-1.0 if order == "focus" else 1.0)


def robust_range(places):
    """(low, high) of the middle 98 % of known places, widened where they are all alike; (0, 1) where none is known."""
    if not places.size:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(places, (1, 99)))
    if high - low > 1e-6 * max(abs(low), abs(high), 1e-12):
        return low, high
    margin = 0.01 * abs(low) or 0.5
    return low - margin, high + margin


def thin(values) -> np.ndarray:
    """(n,) numbers of a map, every k-th one beyond a million: enough to place limits and draw curves."""
    return values.reshape(-1)[::values.size // 1_000_000 + 1]


def sample(values) -> np.ndarray:
    """The finite ones of `thin(values)`."""
    values = thin(values)
    return values[np.isfinite(values)]


def _label(number):
    return f"{number:.6g}".replace("-", "\N{MINUS SIGN}")


def _even_numbers(low, high, count):
    """At most `count` multiples of the finest step of 1, 2 or 5 times a power of ten that gives no more."""
    exponent = math.floor(math.log10((high - low) / count))
    for step in (10.0**exponent, 2 * 10.0**exponent, 5 * 10.0**exponent, 10.0 ** (exponent + 1)):
        first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
        if last - first < count:
            break
    return [float(f"{multiple * step:.12g}") for multiple in range(first, last + 1)]


def _roundest(low, high):
    """The number of fewest digits in low <= number <= high."""
    if low == high:
        return low
    for exponent in range(math.ceil(math.log10(max(abs(low), abs(high)))) + 1, -30, -1):
        for step in (10.0**exponent, 5 * 10.0 ** (exponent - 1), 2 * 10.0 ** (exponent - 1)):
            number = math.ceil(low / step - 1e-9) * step
            if number <= high:
                return float(f"{number:.12g}")
    return (low + high) / 2
