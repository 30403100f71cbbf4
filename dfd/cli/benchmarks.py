"""Rows of `dfd compare` for the figures of the HCI 4D Light Field Benchmark and for normals of surfaces."""

from __future__ import annotations

_SMOOTH = {"": "", "_planes": ", planes", "_surfaces": ", surfaces"}

_PERCENT = {
    "badpix_07": ("BadPix(0.07 px)", "off by more, or unknown, of the reference pixels"),
    "badpix_03": ("BadPix(0.03 px)", ""), "badpix_01": ("BadPix(0.01 px)", ""),
    "badpix_07_nan_counts_good": ("BadPix(0.07 px), unknown = good", "what the benchmark itself would print"),
    "badpix_07_discontinuities": ("BadPix(0.07 px), discontinuities", "of the pixels of the mask"),
    "fine_fattening": ("fine fattening", "nearer by > 0.15 px around fine things, or unknown"),
    "fine_thinning": ("fine thinning", "farther by > 0.15 px on fine things, or unknown"),
}


def benchmark_rows(figures: dict, used: set) -> tuple[str, list]:
    """(heading, rows of name, value with unit, remark); empty where the comparison has no px and no normals."""
    used.update(("px_per_dioptre", "regions"))
    rows = [(name, _number(figures[key], " %", 2), said) for key, (name, said) in _PERCENT.items() if key in figures]
    used.update(_PERCENT)
    for key, name, unit, said in (("mse_x100", "MSE x 100", " px^2", "of the known pixels"),
                                  ("q25_x100", "Q25 x 100", " px", "the best quarter of the known pixels is better")):
        if key in figures:
            rows.append((name, _number(figures[key], unit, 4), said))
            used.add(key)
    for place, where in _SMOOTH.items():
        rows += _smooth(figures, place, where, used)
    if "badpix_07" not in figures:
        return "surfaces", rows
    rate = figures["px_per_dioptre"]
    unit = "px of the maps" if rate is None else f"px of disparity, {rate:.6g} px per dioptre"
    return f"HCI benchmark, in {unit}", rows


def _smooth(figures, place, where, used):
    """Bumpiness and normals of one place."""
    rough, share = f"bumpiness{place}_x100", f"bumpiness{place}_density"
    rows = []
    if rough in figures:
        known = "-" if figures[share] is None else f"{100 * figures[share]:.1f} %"
        rows.append((f"bumpiness x 100{where}", _number(figures[rough], "", 4),
                     f"quarters of a px per px^2, clipped at 5; known in {known} of the pixels"))
    for key, name in ((f"normal_error{place}_deg", "angle of normals"),
                      (f"hci_normal_error{place}_deg", "angle of normals as HCI takes it")):
        if key in figures:
            rows.append((f"{name}{where}", _number(figures[key], " degrees", 4), "median"))
    used.update((rough, share, f"normal_error{place}_deg", f"hci_normal_error{place}_deg"))
    return rows


def _number(value, unit, digits):
    if value is None:
        return "-"
    return f"{value:.{digits}f}{unit}" if unit == " %" else f"{value:.{digits}g}{unit}"
