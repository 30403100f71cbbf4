"""Plots: where depths lie on the sweep of focus, how uncertain they are, and how uncertain a plan expects them to be."""

from __future__ import annotations

import numpy as np

from dfd.io.wording import metre_unit
from dfd.report.axes import Axis, robust_range, sample, thin
from dfd.report.pictures import INK, encode, new_figure

_WIDTH, _HEIGHT, _DENSITY = 620, 330, 2
_FILL, _LINE, _ACCENT = "#7fb0c9", "#1f5f7f", "#c2571a"
_COLOURS = ("#1f5f7f", "#c2571a", "#2f8f5b", "#8a4fa3", "#444c56")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MOST_LABELS = 16
_FEWEST = 20


def distance_plot(values, axis: Axis, coordinates=None, numbers=None) -> bytes:
    """PNG: histogram of the known numbers, and above it the frames at the places where each was focused.

    values        (H, W) numbers of depth.tiff;  coordinates   frames' places in the same numbers, or None
    numbers       what each of these frames is called, its place in result.json; None: 0, 1, ...
    A scene that runs on beyond the first or last frame is not covered by the sweep: this plot shows it.
    """
    places = axis.place(sample(values))
    frames = np.array([]) if coordinates is None else axis.place(np.asarray(coordinates, dtype=float))
    low, high = robust_range(np.concatenate([places[np.isfinite(places)], frames[np.isfinite(frames)]]))
    low, high = min([low, *frames]), max([high, *frames])
    margin = 0.03 * (high - low)
    low, high = low - margin, high + margin
    figure = new_figure(_WIDTH, _HEIGHT)
    body = figure.add_axes((0.1, 0.16, 0.87, 0.6 if frames.size else 0.78))
    counts, edges = np.histogram(places, bins=160, range=(low, high))
    body.stairs(100 * counts / max(counts.sum(), 1), edges, fill=True, color=_FILL, edgecolor=_LINE, linewidth=0.8)
    _dress(body, axis, low, high)
    body.set_ylabel("share of known pixels [%]", fontsize=9.5, color=INK)
    if frames.size:
        _draw_frames(figure, body, frames, range(len(frames)) if numbers is None else numbers)
    return encode(figure, density=_DENSITY, ground="none")


def sigma_plot(values, sigma, axis: Axis, sigma_unit: str = "") -> bytes:
    """PNG: median 1-sigma and its middle 68 % against the number itself; metric and stage maps read in m, mm or um.

    sigma_unit   "m" when sigma is in metres and may be shown in mm or um, else the unit as it is to be printed
    """
    values, sigma = thin(values), thin(sigma)
    known = np.isfinite(values) & np.isfinite(sigma)
    places, spread = axis.place(values[known]), sigma[known]
    low, high = robust_range(places)
    edges = np.linspace(low, high, 41)
    fewest = max(_FEWEST, spread.size / 1000)
    rows = [np.percentile(part, (16, 50, 84)) if part.size >= fewest else (np.nan,) * 3
            for part in _bins(places, spread, edges)]
    typical = float(np.median(spread)) if spread.size else 1.0
    size, name = metre_unit(typical) if sigma_unit == "m" else (1.0, sigma_unit)
    figure = new_figure(_WIDTH, _HEIGHT)
    body = figure.add_axes((0.12, 0.16, 0.85, 0.78))
    lower, middle, upper = np.array(rows).T
    if np.isfinite(middle).any():
        centres = (edges[1:] + edges[:-1]) / 2
        body.fill_between(centres, lower / size, upper / size, color=_FILL, alpha=0.6, linewidth=0, label="middle 68 %")
        body.plot(centres, middle / size, "o-", color=_LINE, linewidth=1.8, markersize=3, label="median")
        _scale_sigma(body, np.nanmin(lower) / size, np.nanmax(upper) / size)
        body.legend(frameon=False, fontsize=9, labelcolor=INK)
    _dress(body, axis, low, high)
    body.set_ylabel(f"1-sigma [{name}]", fontsize=9.5, color=INK)
    return encode(figure, density=_DENSITY, ground="none")


def expectation_plot(curves: dict) -> bytes:
    """PNG: 1-sigma of depth [mm] against depth [m] of `dfd plan`, a line per kind.

    curves   name -> (depths, sigma) in metres; sigma that is not finite is left out
    """
    figure = new_figure(_WIDTH, _HEIGHT)
    body = figure.add_axes((0.11, 0.16, 0.59, 0.78))
    lines = {name: (np.asarray(depths), 1e3 * np.asarray(sigma)) for name, (depths, sigma) in curves.items()}
    lines = {name: (depths, np.where(np.isfinite(sigma), sigma, np.nan)) for name, (depths, sigma) in lines.items()}
    for (name, (depths, sigma)), colour, dash in zip(lines.items(), _COLOURS, _DASHES, strict=False):
        body.plot(depths, sigma, color=colour, linestyle=dash, linewidth=1.8, label=name)
    every = np.concatenate([sigma[np.isfinite(sigma)] for _, sigma in lines.values()] or [[]])
    if every.size:
        _scale_sigma(body, every.min(), every.max(), factor=5)
    ends = np.concatenate([depths for depths, _ in lines.values()])
    _dress(body, Axis("depth from the entrance pupil [m]"), ends.min(), ends.max())
    body.set_ylabel("1-sigma of depth [mm]", fontsize=9.5, color=INK)
    body.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9, handlelength=2.6, labelcolor=INK)
    return encode(figure, density=_DENSITY)


def _bins(places, spread, edges):
    """The spread of the places between each two neighbouring edges, a list of arrays."""
    which = np.digitize(places, edges) - 1
    order = np.argsort(which, kind="stable")
    parts = np.split(spread[order], np.searchsorted(which[order], np.arange(len(edges))))[1:]
    return parts[:-1]


def _scale_sigma(body, low, high, *, factor=20):
    """From zero, or in decades with plain numbers where sigma spans more than `factor`."""
    from matplotlib.ticker import LogLocator, NullLocator

    if not 0 < factor * low < high:
        body.set_ylim(bottom=0)
        return
    body.set_yscale("log")
    body.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    body.yaxis.set_major_formatter("{x:g}")
    body.yaxis.set_minor_locator(NullLocator())


def _dress(body, axis, low, high):
    """Quiet axes: horizontal grid, no box, near on the left where the axis has a near end."""
    body.set_xlim(high, low) if axis.near_is_left else body.set_xlim(low, high)
    body.set_xticks(*axis.ticks(low, high, count=9))
    body.set_xlabel(axis.label, fontsize=9.5, color=INK)
    body.set_facecolor("none")
    body.grid(axis="y", color="#8a94a0", alpha=0.25, linewidth=0.8)
    body.set_axisbelow(True)
    body.tick_params(labelsize=9, colors=INK, length=3)
    for side in ("top", "right"):
        body.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        body.spines[side].set_color("#aab2bd")


def _draw_frames(figure, body, frames, numbers):
    """A strip above the histogram: one mark per frame with its number."""
    strip = figure.add_axes((0.1, 0.79, 0.87, 0.13), sharex=body)
    strip.axis("off")
    strip.set_ylim(0, 1)
    strip.vlines(frames, 0.0, 0.45, color=_ACCENT, linewidth=1.6)
    for place in frames:
        body.axvline(place, color=_ACCENT, linewidth=0.5, alpha=0.35)
    every = -(-len(frames) // _MOST_LABELS)
    for index in range(0, len(frames), every):
        strip.text(frames[index], 0.55, str(numbers[index]), ha="center", fontsize=8.5, color=_ACCENT)
    figure.text(0.1, 0.945, "focus of each frame, by its number", fontsize=9, color=_ACCENT)
