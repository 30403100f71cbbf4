"""`dfd compare` in words: the headline, the honesty of sigma, then every group of figures; every number with its unit."""

from __future__ import annotations

from dfd.affine import affine_errors
from dfd.cli.benchmarks import benchmark_rows
from dfd.cli.overview import columns
from dfd.depthmap import DepthMap
from dfd.evaluate import SUFFIXES
from dfd.io.wording import metre_unit, plain

_ERRORS = {"rmse": "root mean square error", "mae": "mean absolute error", "median_abs": "median absolute error",
           "p90_abs": "90th percentile of |error|", "mean_error": "mean error, result - reference",
           "median_error": "median error, result - reference"}
_RELATIVE = {"median_relative_error": "median relative error", "mean_relative_error": "mean relative error",
             "p90_relative_error": "90th percentile, relative"}
_AFFINE = {
    "ai1": ("AI(1)", "mean absolute error after the best line"), "ai2": ("AI(2)", "root mean square error after it"),
    "constant_ai1": ("AI(1) of a constant map", "an AI(1) near it says nothing about the map"),
    "constant_ai2": ("AI(2) of a constant map", ""),
    "spearman": ("1 - |rho|", "true ranks; never compare it with one of the three below, nor these with each other"),
    "spearman_dense8": ("1 - |rho|, dense8", "as in the DSLR tables"),
    "spearman_dense_float": ("1 - |rho|, dense float", "depends on the float format"),
    "spearman_google": ("1 - |rho|, google", "central 512 x 384 px"),
    "gm": ("GM", "of AI(1), AI(2), 1 - |rho|"), "gm_dense8": ("GM, dense8", "with dense8, as in the DSLR tables")}
_UNITS = {"dpt": "dioptre", "frames": "frames", "px": "px", "reference_units": "units of the reference"}
_SAID = {"scale", "unit", "align", "alignment", "resize", "border_px", "mask_share", "n_reference", "n", "density",
         "sparsification", "n_metres"}


def affine_figures(result, reference, scale, *, mask, border) -> dict:
    """`dfd.affine_errors` of what `dfd compare` reads: plain files of a metric comparison hold metres, and are inverted."""
    if scale == "metric":
        result, reference = (item.values if isinstance(item, DepthMap) else 1 / item for item in (result, reference))
    return affine_errors(result, reference, mask, border)


def metric_lines(figures: dict) -> list[str]:
    """The lines of `dfd compare` for the dict of `dfd.evaluate.compare`; keys that are not known here come last."""
    suffix = SUFFIXES[figures["scale"]]
    used = set(_SAID)
    blocks = {"": _headline(figures, suffix, used), "sigma: do errors stay within it?": _honesty(figures, used),
              "sigma: does it rank the errors?": _ranking(figures, used),
              "all errors": _details(figures, suffix, used), "relative to the distance": _relative(figures, used)}
    heading, rows = benchmark_rows(figures, used)
    blocks[heading] = rows
    free = [(name, _plain(figures["affine_invariant"][key]), said) for key, (name, said) in _AFFINE.items()
            if "affine_invariant" in figures]
    blocks["up to an affine line, in units of the reference (dioptres for a metric result)"] = free
    used.add("affine_invariant")
    blocks["more"] = [(key, _plain(value)) for key, value in figures.items() if key not in used]
    lines = [_title(figures)]
    for heading, rows in blocks.items():
        if rows:
            lines += ["", *([heading] if heading else []), *columns(rows)]
    return lines


def _title(figures):
    """What was done before the figures: the axis, the fit, the grid, and the pixels that were left out."""
    axis = _unit_word(figures["unit"])
    fitted = ", ".join(f"{key} {_plain(value)}" for key, value in figures["alignment"].items())
    how = "nothing fitted first" if figures["align"] == "none" else \
        f"fitted first ({figures['align']}), on {axis}: {fitted}"
    parts = [f"{figures['scale']} comparison, errors uniform in {axis}", how]
    if figures.get("resize"):
        step = figures["resize"]
        before, after = (" x ".join(map(str, step[key])) for key in ("from_px", "to_px"))
        parts.append(f"result resized from {before} to {after} px ({step['method']})")
    if figures.get("mask_share") is not None:
        parts.append(f"mask keeps {_percent(figures['mask_share'])} of the map")
    if figures.get("border_px"):
        parts.append(f"border of {figures['border_px']} px left out")
    return "; ".join(parts)


def _unit_word(unit):
    return {"dioptre": "dioptres", "m": "metres on the rail", "frame": "frames", "px": "px",
            "unit of the reference": "units of the reference"}[unit]


def _headline(figures, suffix, used):
    rows = [("known", _percent(figures["density"]), f"{figures['n']} of {figures['n_reference']} reference pixels")]
    if figures["scale"] == "metric":
        shown = {"median_relative_error": "", "mean_relative_error": "; AbsRel"}
        rows += [(_RELATIVE[key], _percent(figures[key], 3), f"of the distance{said}") for key, said in shown.items()]
        used.update(shown)
        return [*rows, (_ERRORS["rmse"], _length(figures["rmse_m"], "m"), _length(figures[f"rmse_{suffix}"], suffix))]
    return rows + [(_ERRORS[name], _length(figures[f"{name}_{suffix}"], suffix), "")
                   for name in ("median_abs", "mae", "rmse")]


def _honesty(figures, used):
    quarters = figures.get("coverage_1_sigma_quartiles") or ()
    rows = [(name, _percent(figures[key]), ideal) for key, name, ideal in (
        ("coverage_1_sigma", "within 1 sigma", "68.3 % when honest"),
        ("coverage_2_sigma", "within 2 sigma", "95.4 % when honest")) if key in figures]
    if quarters:
        rows.insert(1, ("  by quarter of sigma, smallest first", " ".join(_percent(share) for share in quarters), ""))
    if "error_over_sigma_p68" in figures:
        rows.append(("68.3 % of the errors stay within", f"{_plain(figures['error_over_sigma_p68'])} sigma",
                     "1 when honest, more when sigma is too small"))
    used.update(key for key in figures if key.startswith("coverage") or key == "error_over_sigma_p68")
    return rows


def _ranking(figures, used):
    """Areas under the sparsification error, beside the score of a sigma that says nothing."""
    used.update(key for key in figures if key.startswith("ause_"))
    return [(f"AUSE of the {name}", _plain(figures[key]),
             f"0 = perfect, {_plain(figures[f'{key}_random'])} = a constant sigma")
            for key, name in (("ause_rmse", "root mean square"), ("ause_mae", "mean absolute error")) if key in figures]


def _details(figures, suffix, used):
    """Every error in each of its units, then the bad pixels of a range."""
    kinds = [kind for kind in dict.fromkeys(("m", suffix)) if f"rmse_{kind}" in figures]
    rows = [(name, *(_length(figures[f"{key}_{kind}"], kind) for kind in kinds)) for key, name in _ERRORS.items()]
    used.update(f"{key}_{kind}" for key in _ERRORS for kind in kinds)
    return rows if figures["scale"] == "metric" else rows + _bad(figures, "of the range", used)


def _relative(figures, used):
    """What is measured in shares of the distance, and pixels within and without a share of it."""
    if figures["scale"] != "metric":
        return []
    rows = [(name, _percent(figures[key], 3), "of the distance") for key, name in _RELATIVE.items() if key not in used]
    rows += [("mean squared error over distance", _length(figures["squared_relative_m"], "m"), "SqRel"),
             ("root mean square of ln", _plain(figures["rmse_log"]), "ln units; RMSE log"),
             ("mean |log10|", _plain(figures["log10_error"]), "log10 units")]
    rows += [(f"within a factor of {limit}", _percent(figures[f"delta_{power}"], 2),
              f"of the reference pixels, unknown = without; delta {power}")
             for power, limit in enumerate(("1.25", "1.25^2", "1.25^3"), 1)]
    used.update((*_RELATIVE, "squared_relative_m", "rmse_log", "log10_error", "delta_1", "delta_2", "delta_3"))
    return rows + [(*row, "of the reference pixels") for row in _bad(figures, "of the distance", used)]


def _bad(figures, limit, used):
    bad = {f"bad_{share}_percent": f"off by > {share} % {limit}, or unknown" for share in (1, 5)}
    used.update(bad)
    return [(name, _percent(figures[key])) for key, name in bad.items() if key in figures]


def _length(value, suffix):
    """An error with its unit; metres in m, mm or um."""
    if value is None:
        return "-"
    if suffix not in ("m", "stage_m"):
        return f"{value:.4g} {_UNITS[suffix]}"
    size, name = metre_unit(value)
    return plain(f"{value / size:.4g} {name}")


def _percent(share, digits=1):
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def _plain(value):
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
