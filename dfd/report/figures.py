"""Figures of results: depth with its colour bar, confidence over the picture, signed errors, cross-sections.

Every function returns a Picture, which a notebook shows and `.save(path)` writes.  Grey is unknown.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import to_numpy
from dfd.capture import SCALES
from dfd.depthmap import DepthMap
from dfd.io.record import UNITS
from dfd.io.wording import metre_unit
from dfd.report.axes import Axis, axis_for, robust_range, sample
from dfd.report.panels import Curves, Panel, Picture, assemble, dress
from dfd.report.pictures import UNKNOWN, Painted, develop, gain_of, paint_map, shrink

CURVES = ("#1f5f7f", "#c2571a", "#2f8f5b", "#8a4fa3", "#b3872b", "#444c56")
"""Colours of lines, in the order of their maps; a reference is black and dashed."""

_REFERENCE = "#111111"


def depth_picture(result, *, limits=None, title=None) -> Picture:
    """A DepthMap, metric in metres on colours that are even in dioptres, with its scale bar.

    limits   (one end, other end) of the colours in the unit shown; None: the middle 98 % of what is known
    """
    return assemble([depth_panel(result.numpy(), limits=limits)], title=title)


def confidence_picture(result, image=None, *, title=None) -> Picture:
    """How far each pixel can be trusted, 0..1, laid over the picture where there is one.

    image   (H, W) or (H, W, 3) linear light of the same size, NaN = no data, shown in grey; None: the colours alone
    Raises ValueError where the sizes differ.
    """
    host = result.numpy()
    painted = paint_map(np.where(host.valid, host.trust, np.float32(np.nan)),
                        Axis("confidence, 0.5 = the median pixel"), colours="magma", limits=(0, 1))
    if image is not None:
        painted = _laid_over(painted, _grey(image, host.shape))
    return assemble([Panel.of(painted, note=_known(host))], title=title)


def error_picture(result, reference, *, unit="percent", limit=None, title=None) -> Picture:
    """Result - reference in colours that are symmetric about zero, unknown grey, the share that is known below.

    reference   DepthMap of the same scale, or (H, W) array: metres for a metric result, else its unit; NaN = unknown
    unit        of a metric error: "percent" of the reference's distance (+ = too far) or "dioptre" (+ = too near)
    limit       error at the ends of the colours in that unit; None: a round one, which at most 2 % of the pixels exceed
    Raises ValueError for other units, or where sizes or scales differ.
    """
    host = result.numpy()
    return assemble([error_panel(host, as_map(reference, host), unit=unit, limit=limit)], title=title)


def section_picture(maps, *, row=None, column=None, reference=None, title=None) -> Picture:
    """Cuts through maps along a row, or a column where that is given, with a band of 1 sigma.

    maps        {name: DepthMap or (H, W) array}, all of one size; arrays are metres, or the unit of the DepthMaps
    row, column number of the pixel row or column; default the middle row
    reference   as in `error_picture`, drawn in black
    Raises ValueError for both a row and a column, for one outside the maps, and for sizes that differ.
    """
    if row is not None and column is not None:
        raise ValueError(f"row ({row}) and column ({column}) cannot both be given; make one picture for each")
    if not maps:
        raise ValueError("a section needs at least one map, and was given none; pass {name: map}")
    hosts = _same_kind(maps)
    shape = next(iter(hosts.values())).shape
    place, last = (column, shape[1]) if column is not None else (shape[0] // 2 if row is None else row, shape[0])
    if not 0 <= place < last:
        raise ValueError(f"{'row' if column is None else 'column'} ({place}) lies outside the maps, 0 to {last - 1} "
                         f"({shape[1]} x {shape[0]} px)")
    first = next(iter(hosts.values()))
    truth = None if reference is None else as_map(reference, first)
    cut = np.s_[:, place] if column is not None else np.s_[place, :]
    words = f"{'row' if column is None else 'column'} {place}"
    across = f"{'x' if column is None else 'y'} [px], {words}"
    return assemble([Curves(lambda axes: _draw_section(axes, hosts, truth, cut, across), share=0.45)], title=title,
                    width=820)


def depth_panel(result: DepthMap, *, limits=None, title="", axis=None) -> Panel:
    """The map of a DepthMap in NumPy arrays."""
    numbers, own = shown_numbers(result)
    return Panel.of(paint_map(numbers, axis or own, limits=limits), title, _known(result))


def sigma_panel(result: DepthMap, *, title="") -> Panel:
    """Its 1-sigma; the colours run from 0 to what 5 % of the pixels exceed."""
    sigma = result.depth_sigma if result.scale == "metric" else result.sigma
    known = sample(sigma)
    size, name = _length_unit(result.scale, known)
    top = float(np.percentile(known, 95)) if known.size else 1.0
    painted = paint_map(sigma, Axis(f"1-sigma [{name}]", size), colours="magma", limits=(0, top or 1.0))
    middle = f"median {np.median(known) / size:.3g} {name}" if known.size else "unknown everywhere"
    return Panel.of(painted, title, middle)


def error_panel(result: DepthMap, truth: DepthMap, *, unit="percent", limit=None, title="") -> Panel:
    """The map of result - truth; both in NumPy arrays, of one size and scale."""
    error, words = signed_error(result, truth, unit)
    known = sample(error)
    if limit is None:
        limit = round_limit(float(np.percentile(np.abs(known), 98))) if known.size else 1.0
    painted = paint_map(np.clip(error, -limit, limit), Axis(words), colours="RdBu_r", limits=(-limit, limit))
    judged = np.isfinite(truth.values)
    share = np.isfinite(error[judged]).mean() if judged.any() else 0.0
    note = f"known {share:.1%} of {int(judged.sum())} reference pixels"
    unit = words[words.index("[") + 1:words.index("]")]
    return Panel.of(painted, title, note + (f", median |error| {np.median(np.abs(known)):.3g} {unit}" if known.size else ""))


def round_limit(size: float) -> float:
    """The least of 1, 1.5, 2, 3, 5, 7 times a power of ten that is not below a size; of nothing, a very small one."""
    if not size > 1e-6:
        return 1e-6
    power = 10.0 ** math.floor(math.log10(size))
    return next(step * power for step in (1, 1.5, 2, 3, 5, 7, 10) if step * power >= size * (1 - 1e-9))


def signed_error(result: DepthMap, truth: DepthMap, unit: str):
    """((H, W) float32 result - truth, its name with unit and sign)."""
    if unit not in ("percent", "dioptre"):
        raise ValueError(f"unit ({unit!r}) of an error must be percent or dioptre")
    error = result.values - truth.values
    if result.scale == "metric" and unit == "percent":
        both = np.isfinite(error) & (truth.values > 0)
        ratio = truth.values / np.where(result.values > 0, result.values, np.float32(1e-6))
        return np.where(both, 100 * (ratio - 1), np.float32(np.nan)), "error of distance [%], + = too far"
    words = {"metric": "dioptre", "steps": "frames"}.get(result.scale, UNITS[result.scale])
    sign = ", + = too near" if result.scale in ("metric", "affine") else ""
    return error, f"error [{words}]{sign}"


def as_map(item, like: DepthMap) -> DepthMap:
    """A DepthMap of the scale and size of `like`; an (H, W) array is metres for a metric one, else its unit.

    Raises ValueError where sizes or scales differ, or a metric array holds depths at or below 0 m.
    """
    if not isinstance(item, DepthMap):
        item = _map_of(np.asarray(to_numpy(item), dtype=np.float32), like.scale)
    if item.scale != like.scale:
        raise ValueError(f"the maps have scales {like.scale} [{like.unit}] and {item.scale} [{item.unit}]; fit one to the "
                         "other first (dfd.compare, align), or show each alone")
    if item.shape != like.shape:
        raise ValueError(f"the maps are {like.shape[1]} x {like.shape[0]} and {item.shape[1]} x {item.shape[0]} px; crop or "
                         "resample one of them so that both show the same pixels")
    return item.numpy()


def shown_numbers(result: DepthMap):
    """((H, W) numbers as they are shown, metres where metric; their Axis)."""
    numbers = result.depth if result.scale == "metric" else result.values
    return numbers, axis_for(result.scale, numbers, solver=result.method)


def common_limits(*maps: DepthMap) -> tuple[float, float] | None:
    """The ends of the middle 98 % of the numbers shown of all maps together; None where none is known."""
    numbers = np.concatenate([sample(shown_numbers(item)[0]) for item in maps])
    if not numbers.size:
        return None
    low, high = (float(end) for end in np.percentile(numbers, (1, 99)))
    if high - low > 1e-6 * max(abs(low), abs(high)):
        return low, high
    margin = 0.01 * abs(low) or 0.5
    return low - margin, high + margin


def _map_of(values, scale):
    if values.ndim != 2:
        raise ValueError(f"a map (shape {values.shape}) must have axes (H, W)")
    if scale == "metric":
        if np.any(values <= 0):
            raise ValueError(f"a map holds depths at or below 0 m (smallest {np.nanmin(values):g} m); mark unknown pixels "
                             "as NaN, or pass a DepthMap with its scale where these are not metres")
        values = 1 / values
    return DepthMap(np.where(np.isfinite(values), values, np.float32(np.nan)).astype(np.float32),
                    np.full(values.shape, np.nan, np.float32), scale)


def _same_kind(maps):
    """{name: DepthMap} of one scale and size, that of the first DepthMap; arrays alone are metres."""
    given = [item for item in maps.values() if isinstance(item, DepthMap)]
    like = given[0] if given else _map_of(np.asarray(to_numpy(next(iter(maps.values()))), dtype=np.float32), "metric")
    return {name: as_map(item, like) for name, item in maps.items()}


def _draw_section(axes, hosts, truth, cut, across):
    """Lines and bands on axes."""
    every = list(hosts.values())
    numbers, axis = shown_numbers(every[0])
    known = sample(np.concatenate([shown_numbers(item)[0][cut] for item in [*every, *([truth] if truth else [])]]))
    for (name, item), colour in zip(hosts.items(), CURVES * len(every), strict=False):
        values = shown_numbers(item)[0][cut] / axis.unit
        sigma = (item.depth_sigma if item.scale == "metric" else item.sigma)[cut] / axis.unit
        places = np.arange(values.size)
        if np.isfinite(sigma).any():
            axes.fill_between(places, values - sigma, values + sigma, color=colour, alpha=0.25, linewidth=0)
        axes.plot(places, values, color=colour, linewidth=1.5, label=name)
    if truth is not None:
        axes.plot(shown_numbers(truth)[0][cut] / axis.unit, "--", color=_REFERENCE, linewidth=1.2, label="reference")
    low, high = robust_range(known)
    margin = 0.12 * (high - low)
    axes.set_ylim((low - margin) / axis.unit, (high + margin) / axis.unit)
    axes.set_xlim(0, max(numbers[cut].size - 1, 1))
    dress(axes, across, axis.label)
    axes.legend(fontsize=8.5, loc="best", framealpha=0.8, edgecolor="none")


def _laid_over(painted, grey):
    """The colours at 55 % over a grey picture of the same size; unknown pixels let more of it through."""
    unknown = (painted.picture == np.array(UNKNOWN, np.uint8)).all(axis=-1, keepdims=True)
    share = np.where(unknown, 0.35, 0.55)
    mixed = np.rint(share * painted.picture + (1 - share) * grey).astype(np.uint8)
    return Painted(mixed, painted.axis, painted.low, painted.high, painted.colours, painted.unknown)


def _grey(image, shape):
    """(H, W, 3) uint8 grey of a linear picture of that (H, W), as large as `paint_map` shows one."""
    image = np.asarray(to_numpy(image), dtype=np.float32)
    if image.shape[:2] != shape or image.ndim not in (2, 3):
        size = f"{image.shape[1]} x {image.shape[0]} px" if image.ndim in (2, 3) else f"of shape {image.shape}"
        raise ValueError(f"the picture is {size} but the map {shape[1]} x {shape[0]} px; they must show the same pixels")
    light = shrink((image if image.ndim == 2 else image.mean(axis=-1))[..., None])
    return develop(light, gain_of(light))


def _length_unit(scale, numbers):
    """(size, name) of the unit of a length or of the scale's own."""
    if scale in ("metric", "stage"):
        return metre_unit(float(np.median(numbers)) if numbers.size else 1.0)
    return 1.0, SCALES[scale]


def _known(result):
    return f"known {np.isfinite(result.values).mean():.1%}"
