"""What a profile says of the picture and the sensor: focus over the field, colour, kernels, photon transfer, vignetting."""

from __future__ import annotations

import itertools
import math

import numpy as np

from calibration.psf.model import MODEL, kernel
from calibration.report.numbers import shown
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
    from matplotlib.patheffects import withStroke

    width, height = report.size
    x, y = np.meshgrid(np.linspace(-width / 2, width / 2, _NODES), np.linspace(-height / 2, height / 2, _NODES))
    offset = 1e3 * report.offset(np.stack([x.ravel(), y.ravel()], axis=1), report.half_diagonal).reshape(x.shape)
    axes = dress(figure.add_axes((0.12, 0.15, 0.7, 0.8)), "x from the middle [px]", "y from the middle, down [px]")
    reach = max(float(np.abs(offset).max()), 1e-3)
    painted = axes.pcolormesh(x, y, offset, cmap="RdBu_r", vmin=-reach, vmax=reach, shading="gouraud", rasterized=True)
    lines = axes.contour(x, y, offset, levels=6, colors=INK, linewidths=0.9)
    for label in axes.clabel(lines, fontsize=_FONT + 0.5, fmt=lambda value: f"{value:.3g}".replace("-", "\N{MINUS SIGN}")):
        label.set(color=INK, fontweight="bold", path_effects=[withStroke(linewidth=3, foreground="white")], zorder=5)
    data = report.focus_data
    if data is not None:
        cell = report.half_diagonal / 24
        places = cell * np.unique(np.round(data.place / cell), axis=0)
        axes.plot(*places.T, ".", color=INK, markersize=2.0, alpha=0.4, zorder=1.5)
    axes.set_xlim(-width / 2, width / 2)
    axes.set_ylim(height / 2, -height / 2)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    bar = figure.colorbar(painted, cax=figure.add_axes((0.85, 0.2, 0.025, 0.7)))
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
            text = " ".join(shown(value, spread or None))
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
    kernels, nodes = report.arrays["psf/kernels"], report.arrays["psf/nodes"]
    chosen = _chosen(nodes)
    columns = min(8, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    for place, index in enumerate(chosen):
        row, column = divmod(place, columns)
        fitted = _fitted(report, index, kernels.shape[1])
        pair = (kernels[index],) if fitted is None else (kernels[index], fitted)
        for part, values in enumerate(pair):
            top = 1 - (row + (part + 1) * 0.86 / len(pair) + 0.02) / rows
            axes = figure.add_axes((0.04 + 0.96 * column / columns, top, 0.84 / columns, 0.82 / len(pair) / rows))
            axes.imshow(_middle(values, nodes[chosen, 3]), cmap="magma", vmin=0, vmax=float(np.max(kernels[index])) or 1.0)
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0 and fitted is not None:
                axes.set_ylabel(("measured", "fitted")[part], fontsize=7.5, color=INK)
        axes.set_xlabel(_kernel_name(report, index), fontsize=7.0, color=INK, labelpad=2)


def _chosen(nodes):
    """Indices of up to 24 kernels at the widest aperture, evenly over places and, within each, from far to near."""
    order = np.lexsort((nodes[:, 3], nodes[:, 0], nodes[:, 1], nodes[:, 2]))
    order = order[nodes[order, 2] == nodes[:, 2].min()]
    return order[np.unique(np.linspace(0, len(order) - 1, min(_MOST_KERNELS, len(order))).astype(int))]


def _fitted(report, index, size):
    """The parametric kernel of a node; None where the profile has none of our model."""
    psf = report.section("psf")
    nodes = psf.get("nodes") or []
    params = nodes[index].get("params") if index < len(nodes) else None
    return kernel(params, size) if psf.get("model") == MODEL and params else None


def _middle(values, cocs):
    """The part of a kernel that the widest of these blurs fills."""
    half = min(len(values) // 2, int(0.65 * np.abs(cocs).max()) + 4)
    middle = len(values) // 2
    return values[middle - half:middle + half + 1, middle - half:middle + half + 1]


def _kernel_name(report, index):
    """Place, blur and what the fit leaves."""
    x, y, _, coc = report.arrays["psf/nodes"][index]
    nodes = report.section("psf").get("nodes") or []
    left = nodes[index].get("residual_l2") if index < len(nodes) else None
    words = f"{x:+.0f}, {y:+.0f}\ncoc {coc:+.1f}" + ("" if left is None else f"\nresidual {100 * left:.2g} %")
    return words.replace("-", "\N{MINUS SIGN}")
