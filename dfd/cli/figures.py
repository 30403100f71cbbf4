"""`dfd compare` in words: the headline, the honesty of sigma, then the rest; every number with its unit."""

from __future__ import annotations

from dfd.affine import affine_errors
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
_SAID = {"scale", "unit", "align", "alignment", "n_reference", "n", "density", "sparsification", "n_metres"}


def affine_figures(result, reference, scale, *, mask, border) -> dict:
    """`dfd.affine_errors` of what `dfd compare` reads: plain files of a metric comparison hold metres, and are inverted."""
    if scale == "metric":
        result, reference = (item.values if isinstance(item, DepthMap) else 1 / item for item in (result, reference))
    return affine_errors(result, reference, mask, border)


def metric_lines(figures: dict) -> list[str]:
    """The lines of `dfd compare` for the dict of `dfd.evaluate.compare`; keys that are not known here come last."""
    suffix = SUFFIXES[figures["scale"]]
    used = set(_SAID)
    blocks = (_headline(figures, suffix, used), _honesty(figures, used), _ranking(figures, used),
              _details(figures, suffix, used))
    free = [(name, _plain(figures["affine_invariant"][key]), said) for key, (name, said) in _AFFINE.items()
            if "affine_invariant" in figures]
    used.add("affine_invariant")
    rest = [(key, _plain(value)) for key, value in figures.items() if key not in used]
    lines = [_title(figures)]
    for heading, rows in zip(("", "sigma: do errors stay within it?", "sigma: does it rank the errors?", "all errors"),
                             blocks, strict=True):
        if rows:
            lines += ["", *([heading] if heading else []), *columns(rows)]
    if free:
        lines += ["", "up to an affine line, in units of the reference (dioptres for a metric result)", *columns(free)]
    return lines + (["", "more", *columns(rest)] if rest else [])


def _title(figures):
    fitted = ", ".join(f"{key} {_plain(value)}" for key, value in figures["alignment"].items())
    how = "nothing fitted first" if figures["align"] == "none" else f"fitted first ({figures['align']}): {fitted}"
    return f"{figures['scale']} comparison, errors uniform in {_unit_word(figures['unit'])}; {how}"


def _unit_word(unit):
    return {"dioptre": "dioptres", "m": "metres on the rail", "frame": "frames", "px": "px",
            "unit of the reference": "units of the reference"}[unit]


def _headline(figures, suffix, used):
    rows = [("known", _percent(figures["density"]), f"{figures['n']} of {figures['n_reference']} reference pixels")]
    if figures["scale"] == "metric":
        shown = ("median_relative_error", "mean_relative_error")
        rows += [(_RELATIVE[key], _percent(figures[key], 3), "of the distance") for key in shown]
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
    """Every error in each of its units, then the relative ones and the bad pixels."""
    kinds = [kind for kind in dict.fromkeys(("m", suffix)) if f"rmse_{kind}" in figures]
    rows = [(name, *(_length(figures[f"{key}_{kind}"], kind) for kind in kinds)) for key, name in _ERRORS.items()]
    used.update(f"{key}_{kind}" for key in _ERRORS for kind in kinds)
    rows += [(name, _percent(figures[key], 3)) for key, name in _RELATIVE.items() if key in figures and key not in used]
    limit = "of the distance" if figures["scale"] == "metric" else "of the range"
    bad = {f"bad_{share}_percent": f"off by > {share} % {limit}, or unknown" for share in (1, 5)}
    rows += [(name, _percent(figures[key])) for key, name in bad.items() if key in figures]
    used.update((*_RELATIVE, *bad))
    return [(*row, *[""] * (len(kinds) + 1 - len(row))) for row in rows]


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
