"""Maps as pictures: one perceptually uniform colour map, a scale bar with its unit, grey where nothing is known.

Colours follow the axis on which errors are uniform (inverse depth for metric maps, labelled in metres), near is bright.
Figures are built on matplotlib's Agg canvas without pyplot, so nothing global changes.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np

LONGEST = 1600
"""Longest side of a picture [px]; larger maps are averaged down by a whole factor."""

UNKNOWN = (205, 205, 205)
"""Colour of unknown pixels; it is in none of the colour maps used."""

INK = "#22272e"

_NARROWEST = 480
_DPI = 100
_BAR = 78


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
        return Axis("sharpest frame, counted from near to far (not metres)", sign=-1.0)
    if scale == "affine":
        return Axis("signed blur or disparity [px], positive = nearer (not metres)")
    known = np.abs(sample(outcome.maps[0]))
    unit, name = metre_unit(float(np.median(known)) if known.size else 1.0)
    if scale == "stage":
        return Axis(f"position on the rail [{name}] (not a distance from the camera)", unit)
    start = "sensor plane" if outcome.origin == "sensor" else "entrance pupil"
    return Axis(f"distance from the {start} [{name}]", unit, inverse=True)


def metre_unit(metres):
    """(size in metres, name) of the unit in which a length reads well: m, mm or um."""
    for size, name in ((1.0, "m"), (1e-3, "mm")):
        if abs(metres) >= 0.1 * size:
            return size, name
    return 1e-6, "\N{GREEK SMALL LETTER MU}m"


def map_picture(values, axis: Axis, *, orientation: int = 1, colours: str = "viridis", limits=None) -> bytes:
    """PNG of an (H, W) map with its scale bar; NaN is grey and counted under the bar.

    limits   (low, high) numbers at the ends of the bar; None: the 1st to 99th percentile of what is known
    """
    places = axis.place(np.asarray(values, dtype=np.float32))
    known = np.isfinite(places)
    low, high = _limits(places, axis, limits)
    picture = shrink(orient(_paint(places, known, low, high, colours), orientation))
    return _with_bar(picture, axis, low, high, colours, float(np.mean(~known)))


def photo(linear, *, orientation: int = 1) -> tuple[bytes, float]:
    """(JPEG, gain) of an (H, W, 3) or (H, W, 1) linear image in sRGB; a dark image is shown `gain` times brighter."""
    from matplotlib.image import imsave

    from dfd.io.results import linear_to_srgb

    linear = shrink(np.asarray(linear, dtype=np.float32))
    gain = min(max(0.85 / max(float(np.percentile(linear, 99.5)), 1e-3), 1.0), 8.0)
    encoded = np.rint(255 * linear_to_srgb(linear * np.float32(gain))).astype(np.uint8)
    picture = orient(np.broadcast_to(encoded, (*encoded.shape[:2], 3)), orientation)
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(picture), format="jpg", pil_kwargs={"quality": 90})
    return buffer.getvalue(), gain


def orient(picture, orientation: int):
    """The picture as it is to be looked at: EXIF Orientation 1..8 (TIFF 6.0, tag 274) applied to rows and columns."""
    if orientation in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture


def shrink(picture, longest: int = LONGEST):
    """(H, W, C) averaged over whole blocks until its longest side is at most `longest`; keeps the dtype."""
    factor = math.ceil(max(picture.shape[:2]) / longest)
    if factor == 1:
        return picture
    average = _block_mean(_block_mean(picture, factor).swapaxes(0, 1), factor).swapaxes(0, 1)
    return np.rint(average).astype(np.uint8) if picture.dtype == np.uint8 else average


def _block_mean(picture, factor):
    """Float32 mean of every `factor` rows; rows that fill no block are left out, unless there is no full block."""
    rows = picture.shape[0]
    if rows < factor:
        return picture.mean(axis=0, keepdims=True, dtype=np.float32)
    whole = rows - rows % factor
    total = picture[0:whole:factor].astype(np.float32)
    for row in range(1, factor):
        total += picture[row:whole:factor]
    return total / np.float32(factor)


def encode(figure) -> bytes:
    """PNG of a figure that was built on a canvas of its own."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white")
    return buffer.getvalue()


def new_figure(width_px, height_px):
    """An empty Agg figure of that many pixels; a tenth of a pixel more, because the canvas rounds inches x dpi down."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=((width_px + 0.1) / _DPI, (height_px + 0.1) / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


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


def _limits(places, axis, limits):
    if limits is None:
        return robust_range(sample(places))
    return tuple(sorted(float(axis.place(limit)) for limit in limits))


def _paint(places, known, low, high, colours):
    """(H, W, 3) uint8: 256 colours and one more for unknown."""
    from matplotlib import colormaps

    table = np.vstack([np.rint(255 * colormaps[colours](np.arange(256))[:, :3]), UNKNOWN]).astype(np.uint8)
    level = (places - np.float32(low)) * np.float32(255 / (high - low))
    np.clip(np.rint(level, out=level), 0, 255, out=level)
    level[~known] = 256
    return table[level.astype(np.uint16)]


def _with_bar(picture, axis, low, high, colours, unknown):
    """The picture above its scale bar; small pictures are enlarged by a whole factor so that labels fit."""
    enlarge = max(1, -(-_NARROWEST // max(picture.shape[:2])))
    picture = picture.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    height, image_width = picture.shape[:2]
    width = max(image_width, _NARROWEST)
    figure = new_figure(width, height + _BAR)
    figure.figimage(picture, xo=(width - image_width) // 2, yo=_BAR, origin="upper")
    size = min(max(7.5, width / 110), 11)
    grey_width = 0.13 if unknown else 0.0
    total = _BAR + height
    bar = figure.add_axes((0.03, 44 / total, 0.94 - grey_width, 18 / total))
    bar.imshow(np.linspace(0, 1, 256)[None, :], aspect="auto", cmap=colours, extent=(low, high, 0, 1))
    bar.set_yticks([])
    bar.set_xticks(*axis.ticks(low, high, count=max(4, min(10, width // 90))))
    bar.set_xlim(high, low) if axis.inverse or axis.sign < 0 else bar.set_xlim(low, high)
    bar.tick_params(labelsize=size, length=3, colors=INK)
    bar.set_xlabel(axis.label, fontsize=size, color=INK, labelpad=2)
    if unknown:
        grey = figure.add_axes((0.985 - grey_width * 0.85, 44 / total, grey_width * 0.85, 18 / total))
        grey.set_facecolor(np.array(UNKNOWN) / 255)
        grey.set_xticks([0.5], [f"unknown {unknown:.0%}"])
        grey.set_yticks([])
        grey.tick_params(labelsize=size, length=0, colors=INK)
    return encode(figure)


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
