"""One picture of a comparison: result beside reference on the same colours, error, sparsification, a few figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dfd.depthmap import DepthMap
from dfd.evaluate import SUFFIXES
from dfd.io.wording import metre_unit
from dfd.report.figures import as_map, common_limits, depth_panel, error_panel, shown_numbers
from dfd.report.panels import SOFT, Curves, Panel, Picture, assemble, dress
from dfd.report.pictures import INK, develop, gain_of, shrink

_OWN, _ORACLE, _CONSTANT = "#1f5f7f", "#2f8f5b", "#9aa3ad"
_UNITS = {"dpt": "dioptre", "frames": "frames", "px": "px", "stage_m": "m", "reference_units": "units of the reference"}


def comparison_picture(result, reference, figures, *, image=None, mask=None, title=None) -> Picture:
    """What `dfd.compare` found, to look at.

    result, reference   as `dfd.compare` takes them, of which one is a DepthMap
    figures             the dict that it returned for them; its alignment is applied to the result, and named
    image               (H, W) or (H, W, 3) linear light of the scene, shown beside the maps
    mask                the mask that `dfd.compare` was given: errors are drawn of the pixels that it counted
    After a monotone fit, which keeps ranks alone, there is no map of errors.  Raises ValueError where sizes differ.
    """
    result, truth = _both(result, reference, figures["scale"])
    fitted = _aligned(result, figures, truth.scale)
    panels = [] if image is None else [_photo_panel(image, truth.shape)]
    if fitted is None:
        panels += [depth_panel(result, title="result, not fitted"), depth_panel(truth, title="reference"), None]
    else:
        limits, (_, axis) = common_limits(fitted, truth), shown_numbers(truth)
        panels += [depth_panel(fitted, limits=limits, title="result", axis=axis),
                   depth_panel(truth, limits=limits, title="reference", axis=axis),
                   error_panel(fitted, _counted(as_map(truth, fitted), figures, mask),
                               title="result \N{MINUS SIGN} reference")]
    panels += [_sparsification(figures), _key_figures(figures)]
    return assemble(panels, columns=3, title=title or alignment_words(figures))


def alignment_words(figures: dict) -> str:
    """What was fitted on the reference before errors were taken, and which pixels were left out."""
    left = [f"border of {figures['border_px']} px left out"] if figures.get("border_px") else []
    left += ["pixels of the mask alone"] if figures.get("mask_share") is not None else []
    left += ["result resized"] if figures.get("resize") else []
    return "; ".join([_fit_words(figures), *left])


def _counted(truth, figures, mask):
    """The reference where it was counted, NaN elsewhere."""
    border, (height, width) = figures.get("border_px") or 0, truth.shape
    counted = np.zeros(truth.shape, bool)
    counted[border:height - border, border:width - border] = True
    if mask is not None:
        given = np.nan_to_num(np.asarray(mask, np.float32))
        counted &= given != 0
    return truth.keep(counted)


def _fit_words(figures):
    if figures["align"] == "none":
        return "nothing fitted on the reference"
    numbers = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                        for name, value in figures["alignment"].items())
    return f"fitted on the reference first: {figures['align']} ({numbers})"


def _both(result, reference, scale):
    """Result and reference as DepthMaps in NumPy arrays, whichever of them is an array."""
    if not isinstance(result, DepthMap) and not isinstance(reference, DepthMap):
        known = DepthMap(*np.full((2, *np.shape(reference)), np.nan, np.float32), scale)
        result = as_map(result, known)
    if not isinstance(result, DepthMap):
        return as_map(result, reference), reference.numpy()
    return result.numpy(), reference.numpy() if isinstance(reference, DepthMap) else as_map(reference, result)


def _aligned(result, figures, scale):
    """The result as it was judged; None after a monotone fit."""
    fitted = figures["alignment"]
    if figures["align"] == "monotone":
        return None
    slope = next((value for name, value in fitted.items() if name.startswith("slope")), 1.0)
    offset = next((value for name, value in fitted.items() if name.startswith("offset")), 0.0)
    if (slope, offset) == (1.0, 0.0):
        return result
    return replace(result, values=(slope * result.values + offset).astype(np.float32),
                   sigma=(abs(slope) * result.sigma).astype(np.float32), scale=scale)


def _photo_panel(image, shape):
    image = np.asarray(image, dtype=np.float32)
    if image.shape[:2] != shape:
        raise ValueError(f"the picture (shape {image.shape}) and the maps {shape} must show the same pixels")
    light = shrink(image[..., None] if image.ndim == 2 else image)
    return Panel(develop(light, gain_of(light)), "scene")


def _sparsification(figures):
    """Error of what is left as the least certain pixels go; None where the result states no sigma."""
    curves, suffix = figures.get("sparsification"), SUFFIXES[figures["scale"]]
    if curves is None:
        return None
    removed = 100 * np.asarray(curves["removed"])
    own, oracle = (np.asarray(curves[f"rmse{kind}_{suffix}"], dtype=float) for kind in ("", "_oracle"))

    def plot(axes):
        axes.axhline(own[0], color=_CONSTANT, linewidth=1.5, linestyle=":", label="a constant sigma")
        axes.plot(removed, own, color=_OWN, linewidth=1.8, label="by its sigma")
        axes.plot(removed, oracle, color=_ORACLE, linewidth=1.5, linestyle="--", label="by the error itself")
        axes.set_xlim(0, 95)
        axes.set_ylim(0, 1.45 * max(own.max(), 1e-12))
        dress(axes, "least certain pixels left out [%]", f"RMSE of the rest [{_UNITS[suffix]}]")
        axes.legend(frameon=False, fontsize=8, loc="upper right")

    return Curves(plot, "does sigma rank the errors?", share=0.75)


def _key_figures(figures):
    rows = _rows(figures)

    def plot(axes):
        axes.axis("off")
        for index, (name, value) in enumerate(rows):
            y = 1 - (index + 0.5) / max(len(rows), 9)
            axes.text(-0.12, y, name, transform=axes.transAxes, fontsize=9, color=SOFT, va="center")
            axes.text(1.05, y, value, transform=axes.transAxes, fontsize=9, color=INK, va="center", ha="right",
                      weight="bold")

    return Curves(plot, "figures", share=0.75)


def _rows(figures):
    """(name, value with unit) of the figures that one looks for first."""
    suffix = SUFFIXES[figures["scale"]]
    found = [("known", _percent(figures["density"])),
             ("median relative error", _percent(figures.get("median_relative_error"), 2)),
             ("mean relative error", _percent(figures.get("mean_relative_error"), 2)),
             ("RMSE", _length(figures.get("rmse_m"))),
             ("RMSE", _number(figures[f"rmse_{suffix}"], _UNITS[suffix])),
             ("median |error|", _number(figures[f"median_abs_{suffix}"], _UNITS[suffix])),
             ("off by > 1 % or unknown", _percent(figures.get("bad_1_percent"))),
             ("within 1 sigma (68.3 %)", _percent(figures.get("coverage_1_sigma"))),
             ("AUSE of the RMSE (0 = best)", _number(figures.get("ause_rmse"), ""))]
    return [(name, value) for name, value in found if value is not None]


def _percent(share, digits=1):
    return None if share is None else f"{100 * share:.{digits}f} %"


def _number(value, unit):
    return None if value is None else f"{value:.3g} {unit}".rstrip()


def _length(metres):
    if metres is None:
        return None
    size, name = metre_unit(metres)
    return f"{metres / size:.3g} {name}"
