"""What `dfd-calibrate focus` prints: the lens with its sigmas, how well it predicts, and everything doubtful."""

from __future__ import annotations

import math

import numpy as np

from calibration.focus.job import FocusCalibration
from calibration.focus.profile import doubtful, figures, verdict
from dfd.io.wording import counted


def lines(found: FocusCalibration) -> list[str]:
    """The table."""
    shoot, fit = found.shoot, found.fit
    depth = fit.model.depth(fit.vector)
    names, values, covariance = figures(found)
    at = dict(zip(names, zip(values, np.sqrt(np.diag(covariance)), strict=True), strict=True))
    told = [f"{len(shoot.stations)} distances, {shoot.stations[0].name} to {shoot.stations[-1].name}; {len(found.used)} of "
            f"{len(shoot.shots)} frames, {int((fit.edge_weight > 0.1).sum())} edges; core {found.core[0]:.3f} +- "
            f"{found.core[1]:.3f} px"]
    told.append(_row("fx in the middle", *_fx(found), "px"))
    for stop in fit.model.stops:
        told.append(_row(f"pupil at f/{stop:g}", *at[f"D_{stop:g}"], "mm"))
    height, spread = at["z0"]
    told.append(_row("entrance pupil", -height, spread, "mm in front of where distances count from"))
    low, high = fit.model.data.coordinate.min(), fit.model.data.coordinate.max()
    told.append(f"  {'focus law':<18} {_law_range(found)} dioptre over {shoot.coordinate} {low:g} to {high:g}; "
                + (f"Moebius and {fit.model.knots} knots" if fit.model.knots else "Moebius") +
                f", jitter {fit.jitter:.3g}, chi2 "
                + ("unknown" if math.isnan(fit.law_chi2) else f"{fit.law_chi2:.2f}")
                + (f" (Moebius alone {fit.moebius_chi2:.3g})" if fit.model.knots else ""))
    told += _field_lines(found)
    told.append(f"  {'valid':<18} {depth.min():.3f} to {depth.max():.3f} m from the entrance pupil")
    if found.held is not None:
        told.append(f"  {'held-out distance':<18} {100 * found.held.rms:.3f} % depth, rms ("
                    + ", ".join(f"{100 * error:+.2f}" for error in found.held.error) + ")")
    grade, doubts = verdict(found)
    told.append(f"grade {grade}")
    if found.rejected:
        told.append(f"{counted(len(found.rejected), 'frame', 'frames')} not used: {_grouped(found.rejected)}")
    return [*told, *(f"warning: {text}" for text in (*doubts, *doubtful(found), *shoot.warnings))]


def _grouped(sentences):
    """Frames that share a reason in one phrase: `d2500/frame_00.dng, frame_01.dng: too small`."""
    reasons = {}
    for sentence in sentences:
        name, _, reason = sentence.partition(": ")
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


def as_json(found: FocusCalibration, content: dict) -> dict:
    """The figures as JSON types: the profile's focus parts and the remarks."""
    kept = ("focus", "projection", "aperture", "field", "reference", "validity", "covariance", "quality")
    grade, doubts = verdict(found)
    return {**{key: content[key] for key in kept}, "grade": grade, "core_px": found.core[0],
            "rejected": list(found.rejected),
            "warnings": [*doubts, *doubtful(found), *found.shoot.warnings]}


def _row(name, value, sigma, unit):
    return f"  {name:<18} {value:.{_digits(sigma)}f} +- {sigma:.2g} {unit}"


def _digits(sigma):
    """Decimals that show a value to a tenth of its sigma."""
    return 3 if not (math.isfinite(sigma) and sigma > 0) else max(0, 1 - math.floor(math.log10(sigma)))


def _fx(found):
    fit, zero = found.fit, np.zeros(1)
    return float(fit.model.fx(fit.vector, zero)[0]), float(fit.sigma("fx")[0])


def _law_range(found):
    fit = found.fit
    ends = fit.model.coordinate.law(np.array([-1.0, 1.0]), fit.part("moebius"), fit.part("rel"))
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def _field_lines(found):
    fit = found.fit
    radius = fit.model.half_diagonal
    places = radius * np.array([[0, 0], [-0.6, -0.4], [0.6, -0.4], [-0.6, 0.4], [0.6, 0.4]])
    zero = np.zeros(len(places))
    focus = fit.model.focus(fit.vector, zero, places, np.ones(len(places), int), np.full(len(places), fit.model.stops[0]))
    told = [f"  {'field':<18} focus at .7 of the half diagonal, four sides, less that in the middle: "
            + ", ".join(f"{value - focus[0]:+.4f}" for value in focus[1:]) + " dioptre"]
    red, blue = fit.part("axial")
    if red or blue:
        spread = fit.sigma("axial")
        told.append(f"  {'axial colour':<18} red {red:+.5f} +- {spread[0]:.1g}, blue {blue:+.5f} +- {spread[1]:.1g} dioptre")
    asymmetry, spread = fit.part("asymmetry")[0], fit.sigma("asymmetry")[0]
    if abs(asymmetry) > 3 * spread:
        told.append(f"  {'near side':<18} blur {100 * asymmetry:+.2f} +- {100 * spread:.2f} % larger than its mean, smaller "
                    "beyond focus (spherical aberration)")
    return told
