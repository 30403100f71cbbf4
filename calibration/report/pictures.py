"""What a profile says of the picture and the sensor: focus over the field, colour, kernels, photon transfer, vignetting."""

from __future__ import annotations

import itertools
import math

import numpy as np

from calibration.report.plots import ACCENT, LINE, SOFT, dress, told
from calibration.report.profile_data import ProfileData
from dfd.report.pictures import INK

_FONT = 9.0
_NODES = 81
_MOST_KERNELS = 24
_DASHES = ("-", "--", "-.", ":")
_COLOURS = (LINE, ACCENT, "#2f8f5b", "#8a4fa3")


def draw_field(figure, report: ProfileData):
    """Focus over the picture less that in the middle, mdpt, and where edges were measured."""
    width, height = report.size
    x, y = np.meshgrid(np.linspace(-width / 2, width / 2, _NODES), np.linspace(-height / 2, height / 2, _NODES))
    offset = 1e3 * report.offset(np.stack([x.ravel(), y.ravel()], axis=1), report.half_diagonal).reshape(x.shape)
    axes = dress(figure.add_axes((0.12, 0.15, 0.7, 0.8)), "x from the middle [px]", "y from the middle, down [px]")
    reach = max(float(np.abs(offset).max()), 1e-3)
    shown = axes.pcolormesh(x, y, offset, cmap="RdBu_r", vmin=-reach, vmax=reach, shading="gouraud", rasterized=True)
    lines = axes.contour(x, y, offset, levels=6, colors=INK, linewidths=0.6, alpha=0.6)
    axes.clabel(lines, fontsize=7.5, fmt="%.3g")
    data = report.focus_data
    if data is not None:
        cell = report.half_diagonal / 24
        places = cell * np.unique(np.round(data.place / cell), axis=0)
        axes.plot(*places.T, ".", color=INK, markersize=1.6, alpha=0.4)
    axes.set_xlim(-width / 2, width / 2)
    axes.set_ylim(height / 2, -height / 2)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    bar = figure.colorbar(shown, cax=figure.add_axes((0.85, 0.2, 0.025, 0.7)))
    bar.set_label("focus less that in the middle [mdpt]", fontsize=_FONT, color=INK)
    bar.ax.tick_params(labelsize=_FONT - 0.5, colors=INK, length=3)
    bar.outline.set_visible(False)


def draw_colour(figure, report: ProfileData):
    """Focus of the three colours relative to green, mdpt."""
    told_, sigma = report.section("field", "axial_colour_dpt"), report.section("field", "axial_colour_dpt", "sigma")
    axes = dress(figure.add_axes((0.14, 0.15, 0.82, 0.8)), "focus less that of green [mdpt], nearer to the right", "")
    for row, (name, colour) in enumerate((("B", "#2f5fb3"), ("G", "#2f8f5b"), ("R", "#b3332f"))):
        value, spread = 1e3 * (told_.get(name) or 0.0), 1e3 * (sigma.get(name) or 0.0)
        axes.errorbar([value], [row], xerr=[spread], fmt="o", color=colour, markersize=7, capsize=4)
        if name != "G":
            text = f"{value:+.2g} \N{PLUS-MINUS SIGN} {spread:.1g}".replace("-", "\N{MINUS SIGN}")
            axes.annotate(text, (value, row), (0, 9), textcoords="offset points", fontsize=_FONT, color=INK, ha="center")
    axes.axvline(0, color=SOFT, linewidth=1)
    axes.set_yticks([0, 1, 2], ["blue", "green", "red"])
    axes.set_ylim(-0.5, 2.6)
    axes.margins(x=0.25)


def draw_photon_transfer(figure, report: ProfileData):
    """Variance against brightness: what the pairs show and the line of gain and read noise."""
    axes = dress(figure.add_axes((0.13, 0.15, 0.83, 0.8)), "brightness above black [DN]",
                 "variance of a pixel [DN\N{SUPERSCRIPT TWO}]")
    entries = [entry for entry in report.section("radiometry").get("iso") or [] if entry.get("photon_transfer")]
    for entry, dash, colour in zip(entries, itertools.cycle(_DASHES), itertools.cycle(_COLOURS), strict=False):
        points = entry["photon_transfer"]
        level, variance = np.array(points["level_dn"]), np.array(points["variance_dn2"])
        bright = level > 0
        axes.loglog(level[bright], variance[bright], "o", color=colour, markersize=3, alpha=0.7)
        dense = np.geomspace(level[bright].min() / 100, level.max() * 1.2, 129)
        gain, read = entry["gain_e_per_dn"], entry["read_noise_e"]
        axes.loglog(dense, dense / gain + (read / gain) ** 2, dash, color=colour, linewidth=1.5,
                    label=f"ISO {entry['iso']:g}: {gain:.3g} e\N{MINUS SIGN}/DN, {read:.3g} e\N{MINUS SIGN}")
        dark = variance[~bright]
        if dark.size:
            axes.plot(np.full(dark.size, dense[0]), np.maximum(dark, 1e-6), "<", color=colour, markersize=4, alpha=0.7,
                      label="darks (at the left end)" if entry is entries[0] else None)
    told(axes)


def draw_vignetting(figure, report: ProfileData):
    """Brightness against the distance from the middle, one curve per stop and focus."""
    axes = dress(figure.add_axes((0.12, 0.15, 0.84, 0.8)), "distance from the middle, 1 = corner", "brightness, middle = 1")
    radius = np.linspace(0, 1, 65)
    curves = report.section("radiometry").get("vignetting") or []
    for entry, dash, colour in zip(curves, itertools.cycle(_DASHES), itertools.cycle(_COLOURS), strict=False):
        at = "" if entry.get("focus") is None else f", focus {entry['focus']:.4g}"
        axes.plot(radius, np.polynomial.polynomial.polyval(radius**2, entry["poly_r2"]), dash, color=colour,
                  linewidth=1.6, label=f"f/{entry['f_number']:g}{at}")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    told(axes)


def draw_kernels(figure, report: ProfileData):
    """The atlas: measured kernels, and the fitted ones below each, with place and blur."""
    kernels, fitted = report.arrays["psf/kernels"], report.arrays.get("psf/fitted")
    names = _kernel_names(report, len(kernels))
    chosen = np.unique(np.linspace(0, len(kernels) - 1, min(_MOST_KERNELS, len(kernels))).astype(int))
    columns = min(8, len(chosen))
    rows, parts = math.ceil(len(chosen) / columns), 1 if fitted is None else 2
    for place, index in enumerate(chosen):
        row, column = divmod(place, columns)
        for part, values in enumerate((kernels[index],) if fitted is None else (kernels[index], fitted[index])):
            top = 1 - (row + (part + 1) * 0.86 / parts + 0.02) / rows
            axes = figure.add_axes((0.04 + 0.96 * column / columns, top, 0.84 / columns, 0.82 / parts / rows))
            axes.imshow(values, cmap="magma", vmin=0, vmax=float(np.max(kernels[index])) or 1.0)
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0 and parts == 2:
                axes.set_ylabel(("measured", "fitted")[part], fontsize=7.5, color=INK)
            if part == parts - 1:
                axes.set_xlabel(names[index], fontsize=7.0, color=INK, labelpad=2)


def _kernel_names(report, count):
    """Place and blur of every kernel, as far as the arrays say."""
    place, coc = report.arrays.get("psf/place"), report.arrays.get("psf/coc")
    parts = [[] for _ in range(count)]
    for index in range(count):
        if place is not None:
            parts[index].append(f"{place[index][0]:+.0f}, {place[index][1]:+.0f}")
        if coc is not None:
            parts[index].append(f"coc {coc[index]:+.1f}")
    return ["\n".join(words).replace("-", "\N{MINUS SIGN}") for words in parts]
