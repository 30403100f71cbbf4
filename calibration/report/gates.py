"""What makes a profile good enough, and one sentence for everything that is not."""

from __future__ import annotations

import numpy as np

from calibration.report.profile_data import ProfileData

MOST_CHI2, MOST_HELD_PCT = 1.5, 0.5
GRADES = {
    "A": ("measured", "law, pupil and image distance fit every distance and predict those that were left out"),
    "B": ("partial", "measured, but something is doubtful or missing: see the warnings"),
    "C": ("nominal", "not measured: engraved numbers, depth is relative or approximate (5 to 20 %)"),
}
"""First letter of provenance.grade -> its word and what it means."""

_REACH = 0.1
"""Share of the range of depth [dioptre] by which the focus law may end before it."""


def grade(report: ProfileData) -> str:
    """The first letter of the grade; C where the profile does not say."""
    return (report.section("provenance").get("grade") or "C")[:1]


def failures(report: ProfileData) -> list[str]:
    """One sentence per quality gate that the profile does not pass."""
    found = []
    if grade(report) == "C":
        found.append("grade C: the optics are nominal, 5 to 20 % of depth; dfd-calibrate focus measures them")
    if not report.profile.calibrated:
        return found
    chi2 = report.section("quality").get("chi2_dof")
    if chi2 is not None and chi2 > MOST_CHI2:
        found.append(f"chi2_dof of the focus calibration ({chi2:.3g}) exceeds {MOST_CHI2:g}: the law does not hold its "
                     "frames; check coordinates and distances, and calibrate again")
    held = report.section("quality").get("loo_depth_rms_pct")
    if held is not None and held > MOST_HELD_PCT:
        found.append(f"held-out distances come out {held:.2g} % off (rms), at most {MOST_HELD_PCT:g} %: check the tape "
                     "readings and that nothing moved within a bracket")
    return found + _coverage(report)


def _coverage(report):
    """Does the focus law reach the depths that the profile claims?"""
    told = report.section("validity")
    lacking = [name for name in ("z_from_ep_mm", "focus_coordinate", "f_numbers") if not told.get(name)]
    if lacking:
        return [f"coverage: validity.{lacking[0]} is not stated, so nobody knows where the profile holds; calibrate again"]
    (near, far), law = report.depths, report.law
    span = 1 / near - 1 / far
    short = max(1 / near - float(np.max(law)), float(np.min(law)) - 1 / far)
    if short > _REACH * span:
        return [f"coverage: the focus law goes from {_distance(np.max(law))} to {_distance(np.min(law))}, the depths from "
                f"{near:.3g} to {far:.3g} m; more than {_REACH:.0%} of that range is never in focus: add distances there"]
    return []


def _distance(focus):
    return f"{1 / focus:.3g} m" if focus > 0 else "beyond infinity"
