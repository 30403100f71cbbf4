"""Curves of a focus calibration: V of every distance, focus law and its residuals, image distance, pupils, sigma of depth.

Every function draws into an empty figure or subfigure; units are in the labels.
"""

from __future__ import annotations

import numpy as np

from calibration.report.expected import BLUR_ERROR, Expected
from calibration.report.numbers import unit_of
from calibration.report.profile_data import ProfileData
from dfd.report.pictures import INK

LINE, ACCENT, SOFT = "#1f5f7f", "#c2571a", "#8a94a0"
_FONT = 9.0
_MOST_NAMES = 12


def dress(axes, across: str, up: str):
    """Quiet axes: light grid, no box, labels with their units."""
    axes.set_xlabel(across, fontsize=_FONT, color=INK)
    axes.set_ylabel(up, fontsize=_FONT, color=INK)
    axes.set_facecolor("none")
    axes.grid(color=SOFT, alpha=0.25, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=_FONT - 0.5, colors=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#aab2bd")
    return axes


def told(axes, **options):
    """A legend without a frame."""
    axes.legend(frameon=False, fontsize=_FONT - 1, labelcolor=INK, **options)


def _coordinate(report):
    return f"focus coordinate [{unit_of(report)}]"


def draw_vees(figure, report: ProfileData):
    """|coc| against the focus coordinate, one V per distance: frames as points, the fit as lines."""
    points = report.points
    axes = dress(figure.add_axes((0.1, 0.15, 0.7, 0.8)), _coordinate(report), "blur |coc| in the middle [px]")
    stations = np.unique(points.station)
    colours = _colours(len(stations))
    widest = min(points.f_number)
    for station, colour in zip(stations, colours, strict=True):
        rows = (points.station == station) & np.isfinite(points.coc)
        shown, depth = rows & (points.f_number == widest), float(points.depth[rows][0])
        name = f"{depth:.3g} m" if len(stations) <= _MOST_NAMES or station in (stations[0], stations[-1]) else None
        axes.errorbar(points.coordinate[shown], np.abs(points.coc[shown]), points.spread[shown], fmt="o", color=colour,
                      markersize=5.5, markeredgecolor="white", markeredgewidth=0.6, elinewidth=1.6,
                      label=name, zorder=3)
        ends = np.clip([points.coordinate[shown].min(), points.coordinate[shown].max()], *report.coordinates[[0, -1]])
        dense = np.linspace(*ends, 161)
        axes.plot(dense, np.abs(_coc(report, dense, 1 / depth, widest)), color=colour, linewidth=1.2, zorder=2)
    axes.set_ylim(bottom=0)
    told(axes, title="depth", title_fontsize=_FONT - 1, loc="upper left", bbox_to_anchor=(1.01, 1.0))


def _coc(report, coordinates, inverse_depth, f_number):
    profile = report.profile
    rate = profile.pupil_diameter(float(f_number))
    return np.array([profile.fx(value) * rate * (inverse_depth - profile.focus_curve(value)) for value in coordinates])


def _colours(count):
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.0, 0.88, max(count, 1)))


def draw_law(figure, report: ProfileData):
    """Focus against its coordinate, and below what the frames leave."""
    points = report.points
    upper = dress(figure.add_axes((0.12, 0.44, 0.84, 0.52)), "", "focus 1/zf [dioptre]")
    upper.plot(report.coordinates, report.law, color=LINE, linewidth=1.6, label="focus law")
    upper.tick_params(labelbottom=False)
    lower = dress(figure.add_axes((0.12, 0.14, 0.84, 0.24), sharex=upper), _coordinate(report),
                  "frame \N{MINUS SIGN} law\n[mdpt]")
    if points is not None:
        inside = (points.coordinate >= report.coordinates[0]) & (points.coordinate <= report.coordinates[-1])
        known = inside & np.isfinite(points.focus) & (np.abs(points.coc) > 1.0)
        law = np.array([report.profile.focus_curve(value) for value in points.coordinate[known]])
        upper.plot(points.coordinate[known], points.focus[known], "o", color=ACCENT, markersize=3.6, label="frames")
        residual = 1e3 * (points.focus[known] - law)
        lower.plot(points.coordinate[known], residual, "o", color=ACCENT, markersize=3.6)
        _about_zero(lower, residual)
    jitter = report.section("focus").get("jitter_sigma_unit")
    if jitter:
        band = 1e3 * jitter * np.abs(np.gradient(report.law, report.coordinates))
        lower.fill_between(report.coordinates, -band, band, color=LINE, alpha=0.18, linewidth=0, label="jitter, 1-sigma")
        told(lower, loc="lower right", bbox_to_anchor=(1.0, 0.98), borderpad=0.0)
    lower.axhline(0, color=LINE, linewidth=1)
    told(upper)


def _about_zero(axes, values):
    """Limits that hold 98 % of the values and a margin."""
    reach = 1.9 * float(np.percentile(np.abs(values), 98)) if len(values) else 1.0
    axes.set_ylim(-max(reach, 1e-6), max(reach, 1e-6))


def draw_fx(figure, report: ProfileData):
    """Image distance in px against the coordinate, with its change in percent on the right."""
    axes = dress(figure.add_axes((0.13, 0.15, 0.73, 0.8)), _coordinate(report), "image distance fx [px]")
    fx = np.array([report.profile.fx(value) for value in report.coordinates])
    axes.plot(report.coordinates, fx, color=LINE, linewidth=1.6, label="fx polynomial")
    if report.points is not None:
        axes.plot(report.points.coordinate, report.points.fx, "o", color=ACCENT, markersize=3.6,
                  label="image scale \N{MULTIPLICATION SIGN} depth")
    breathing = report.section("projection", "breathing")
    if breathing.get("scale_poly"):
        reference = breathing["reference"]
        scale = np.polynomial.polynomial.polyval(report.coordinates, breathing["scale_poly"])
        axes.plot(report.coordinates, report.profile.fx(reference) * scale, "--", color="#2f8f5b", linewidth=1.6,
                  label="breathing by itself")
    middle = float(fx[len(fx) // 2])
    other = axes.secondary_yaxis("right", functions=(lambda value: 100 * (value / middle - 1),
                                                     lambda value: middle * (1 + value / 100)))
    other.set_ylabel("against the middle [%]", fontsize=_FONT, color=INK)
    other.tick_params(labelsize=_FONT - 0.5, colors=INK, length=3)
    other.spines["right"].set_visible(False)
    axes.ticklabel_format(useOffset=False)
    told(axes)


def beside_engraved(report: ProfileData, stop: float, diameter: float, sigma: float) -> str:
    """By how many percent a pupil [mm] differs from focal length / f-number, as engraved; "" where those are unknown."""
    focal = report.profile.focal_nominal
    if not focal:
        return ""
    off = f"{100 * (diameter * stop / (1e3 * focal) - 1):+.1f} \N{PLUS-MINUS SIGN} {100 * sigma / diameter:.1f} %"
    return ", " + off.replace("-", "\N{MINUS SIGN}")


def draw_pupils(figure, report: ProfileData):
    """Entrance pupil against f-number, and what the engraved numbers would give."""
    stops = report.pupils
    number, diameter, sigma = np.array(stops).T
    axes = dress(figure.add_axes((0.12, 0.15, 0.84, 0.8)), "marked f-number", "entrance pupil [mm]")
    axes.errorbar(number, diameter, sigma, fmt="o", color=ACCENT, markersize=5, capsize=3, label="measured, 1-sigma")
    focal = report.profile.focal_nominal
    low, high = number.min() / 1.12, number.max() * 1.5
    if focal:
        dense = np.geomspace(low, high, 65)
        axes.plot(dense, 1e3 * focal / dense, color=LINE, linewidth=1.4, label=f"{1e3 * focal:g} mm / f-number")
    for stop, width, spread in stops:
        axes.annotate(f"{width:.2f} mm{beside_engraved(report, stop, width, spread)}", (stop, width), (6, 6),
                      textcoords="offset points", fontsize=_FONT - 1, color=INK)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(number, [f"{value:g}" for value in number])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1.25 * diameter.max())
    told(axes)


def draw_sigma(figure, expected: Expected):
    """1-sigma of depth against depth: the part of the lens, the part of the image, both."""
    axes = dress(figure.add_axes((0.12, 0.15, 0.84, 0.8)), "depth from the entrance pupil [m]", "1-sigma of depth [mm]")
    if expected.lens is not None:
        axes.plot(expected.depth, 1e3 * expected.lens, color=LINE, linewidth=1.6,
                  label="lens: covariance of the profile, jitter")
    axes.plot(expected.depth, 1e3 * expected.image, "--", color=ACCENT, linewidth=1.6,
              label=f"image: blur known to {BLUR_ERROR:g} px")
    axes.plot(expected.depth, 1e3 * expected.total, color=INK, linewidth=2.0, label="both")
    axes.set_xlim(expected.depth.min(), expected.depth.max())
    axes.set_ylim(bottom=0)
    told(axes)


def draw_breathing(figure, report: ProfileData):
    """Image scale relative to the reference, of a profile without a focus law."""
    breathing = report.section("projection", "breathing")
    ends = breathing.get("range") or (breathing["reference"] - 1, breathing["reference"] + 1)
    dense = np.linspace(*ends, 129)
    axes = dress(figure.add_axes((0.13, 0.15, 0.83, 0.8)), _coordinate(report), "image scale, reference = 1")
    axes.plot(dense, np.polynomial.polynomial.polyval(dense, breathing["scale_poly"]), color=LINE, linewidth=1.6)
    axes.plot([breathing["reference"]], [1], "o", color=ACCENT, markersize=5, label="reference")
    axes.ticklabel_format(useOffset=False)
    told(axes)
