"""The table of a report: every number of a profile in words, with its 1-sigma and its unit."""

from __future__ import annotations

import math

import numpy as np

from calibration.noise.stack import METHOD
from calibration.report.profile_data import ProfileData

_MINUS, _PLUS_MINUS = "\N{MINUS SIGN}", "\N{PLUS-MINUS SIGN}"
_DASH, _TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
_RAISED = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ZERO}\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT TWO}"
                        "\N{SUPERSCRIPT THREE}\N{SUPERSCRIPT FOUR}\N{SUPERSCRIPT FIVE}\N{SUPERSCRIPT SIX}"
                        "\N{SUPERSCRIPT SEVEN}\N{SUPERSCRIPT EIGHT}\N{SUPERSCRIPT NINE}")
_PLAIN = (1e-3, 1e7)  # numbers that are written out
HEAD = ("", "value", "1-sigma", "unit")
"""What the columns of the table are."""

_UNITS = {"encoder_step": "step", "bracket_index": "frame", "exif_distance_mm": "mm", "rail_mm": "mm"}
_TERMS = {"x": "tilt, right less left edge (x)", "y": "tilt, bottom less top (y)", "r2": "curvature (r\N{SUPERSCRIPT TWO})",
          "r4": "curvature (r\N{SUPERSCRIPT FOUR})"}


def unit_of(report: ProfileData) -> str:
    """Name of the unit of the focus coordinate."""
    return _UNITS[report.profile.coordinate]


def shown(value, sigma=None) -> tuple[str, str]:
    """(value, 1-sigma) as text, with as many digits as two digits of sigma need, at most five without one.

    Numbers far from 1 are multiples of a power of ten, the same in both.  A dash: nobody states a sigma.
    """
    if value is None:
        return "unknown", _DASH
    if not sigma or not math.isfinite(sigma):
        return _signed(_power(f"{value:.5g}")), _DASH if sigma is None else "0" if not sigma else "unknown"
    digits, size = 1 - math.floor(math.log10(sigma)), max(abs(value), sigma)
    if _PLAIN[0] <= size < _PLAIN[1]:
        return _signed(f"{value:.{max(digits, 0)}f}"), f"{_PLUS_MINUS} {sigma:.{max(digits, 0)}f}"
    power = math.floor(math.log10(size))
    places = max(digits + power, 0)
    return tuple(_signed(_power(f"{sign}{number / 10.0**power:.{places}f}e{power}"))
                 for sign, number in (("", value), (f"{_PLUS_MINUS} ", sigma)))


def _power(number):
    """1.2e-05 as 1.2 times ten to the power of minus five."""
    digits, _, power = number.partition("e")
    return f"{digits} {_TIMES} 10{str(int(power)).translate(_RAISED)}" if power else digits


def rows(report: ProfileData) -> list[tuple[str, str, str, str]]:
    """(name, value, 1-sigma, unit) of every number."""
    return [(name, *shown(value, sigma), unit) for part in (_focus, _projection, _pupil, _field, _sensor, _dual_pixel)
            for name, value, sigma, unit in part(report)]


def _focus(report):
    told, unit = report.section("focus"), unit_of(report)
    sigma = told.get("sigma") or {}
    if not report.profile.calibrated:
        return
    for key, name, of in (("a_per_mm", "focus law, a", "1/mm"), ("b_per_mm_per_unit", "focus law, b", f"1/mm per {unit}"),
                          ("d_per_unit", "focus law, d", f"1/{unit}")):
        yield name, told.get(key), sigma.get(key), of
    spline = told.get("spline") or {}
    if spline.get("knots"):
        yield (f"focus law, spline of {len(spline['knots'])} knots, largest", max(spline["rel"], key=abs), None,
               "of the law")
    if told.get("jitter_sigma_unit") is not None:
        yield "focus jitter, 1-sigma", told["jitter_sigma_unit"], None, unit


def _projection(report):
    told, unit = report.section("projection"), unit_of(report)
    spread = told.get("fx_sigma_px") or []
    for power, value in enumerate(told.get("fx_px_poly") or []):
        yield (f"fx, s^{power}", value, spread[power] if power < len(spread) else None,
               ("px", f"px/{unit}", f"px/{unit}\N{SUPERSCRIPT TWO}")[power] if power < 3 else "px")
    breathing = told.get("breathing") or {}
    spread = breathing.get("sigma") or []
    for power, value in enumerate(breathing.get("scale_poly") or []):
        yield (f"breathing, s^{power}", value, spread[power] if power < len(spread) else None,
               ("1", f"1/{unit}", f"1/{unit}\N{SUPERSCRIPT TWO}")[power])


def _pupil(report):
    for stop in report.profile.data.get("aperture") or []:
        yield (f"entrance pupil at f/{stop['f_number_marked']:g}", stop.get("diameter_eff_mm"),
               stop.get("diameter_sigma_mm"), "mm")
        if stop.get("focus_shift_dpt") is not None and stop.get("focus_shift_sigma_dpt") is not None:
            yield (f"focus shift at f/{stop['f_number_marked']:g}", stop["focus_shift_dpt"], stop["focus_shift_sigma_dpt"],
                   "dioptre")
        if stop.get("near_side_excess") is not None:
            yield (f"blur before focus, excess at f/{stop['f_number_marked']:g}", 100 * stop["near_side_excess"],
                   100 * (stop.get("near_side_excess_sigma") or math.nan), "%")
    height = report.section("reference", "z_ep_from_sensor_mm")
    if height.get("poly"):
        yield "entrance pupil before the sensor mark", height["poly"][0], height.get("sigma"), "mm"


def _field(report):
    told = report.section("field", "focus_offset_dpt")
    spread = told.get("sigma") or [None] * len(told.get("terms") or [])
    for term, value, sigma in zip(told.get("terms") or [], told.get("coef") or [], spread, strict=True):
        yield f"field focus, {_TERMS[term]}", value, sigma, "dioptre"
    colour = report.section("field", "axial_colour_dpt")
    for channel, name in (("R", "red"), ("B", "blue")):
        if colour.get(channel) is not None:
            yield f"axial colour, {name} less green", colour[channel], (colour.get("sigma") or {}).get(channel), "dioptre"
    psf = report.section("psf")
    if psf.get("core_px") is not None:
        yield "core of the PSF, std", psf["core_px"], psf.get("core_sigma_px"), "px"


def _sensor(report):
    told = report.section("radiometry")
    for entry in told.get("iso") or []:
        sigma, label = entry.get("sigma") or {}, " (estimate)" if entry.get("method") == METHOD else ""
        yield (f"gain at ISO {entry['iso']:g}{label}", entry.get("gain_e_per_dn"), sigma.get("gain_e_per_dn"),
               "e\N{MINUS SIGN}/DN")
        yield (f"read noise at ISO {entry['iso']:g}{label}", entry.get("read_noise_e"), sigma.get("read_noise_e"),
               "e\N{MINUS SIGN}")
    for index, value in enumerate(told.get("black_dn") or []):
        yield f"black level, plane {index}", value, None, "DN"
    if told.get("white_dn") is not None:
        yield "white level", told["white_dn"], None, "DN"
    if told.get("linearity_max_pct") is not None:
        yield "largest deviation from linear", told["linearity_max_pct"], None, "%"


def _dual_pixel(report):
    found = report.profile.dual_pixel_kappa
    if found is not None:
        yield "dual pixel: kappa, median", found.value, found.sigma, "disparity / coc"


def _signed(text):
    return text.replace("-", _MINUS)


def percent(part: float, whole: float) -> str:
    """A share in percent, two digits."""
    return f"{100 * part / whole:.2g} %" if np.isfinite(part) else "unknown"
