"""What heads a report: the lens, its grade in words, the figures that one looks for first, everything doubtful."""

from __future__ import annotations

from calibration.report.gates import GRADES, failures, grade
from calibration.report.profile_data import ProfileData
from dfd.io.wording import camera_name


def title(report: ProfileData) -> str:
    """Camera and lens, as far as the profile says."""
    camera, lens = report.section("camera"), report.section("lens")
    named = camera_name(camera.get("make"), camera.get("model"), lens.get("model"))
    return f"{named or report.path.stem}: lens calibration"


def headline(report: ProfileData) -> tuple[str, str]:
    """(grade in words, what it means)."""
    word, meaning = GRADES.get(grade(report), GRADES["C"])
    return f"Grade {grade(report)}, {word}", meaning


def key_figures(report: ProfileData) -> list[tuple[str, str]]:
    """(value, what it is) of what one looks for first."""
    told, quality = report.section("validity"), report.section("quality")
    found = []
    if report.depths:
        found.append((f"{report.depths[0]:.3g} to {report.depths[1]:.3g} m", "valid depth, from the entrance pupil"))
    if told.get("f_numbers"):
        found.append((", ".join(f"f/{value:g}" for value in told["f_numbers"]), "apertures measured"))
    if quality.get("chi2_dof") is not None:
        found.append((f"{quality['chi2_dof']:.2f}", "chi2 of the focus law, at most 1.5"))
    if quality.get("loo_depth_rms_pct") is not None:
        found.append((f"{quality['loo_depth_rms_pct']:.2g} %", "depth error at distances left out, rms"))
    if quality.get("n_frames") is not None:
        found.append((f"{quality['n_frames']}", f"frames used, {quality.get('n_rejected') or 0} rejected"))
    return found


def warnings(report: ProfileData) -> list[str]:
    """Gates that fail, then what the calibration itself doubted."""
    return [*failures(report), *(report.section("quality").get("doubts") or [])]


def subtitle(report: ProfileData) -> str:
    """Where the profile comes from."""
    tool, created = report.section("tool"), str(report.profile.data.get("created_utc") or "")[:16].replace("T", " ")
    words = [title(report), report.path.name, f"{created} UTC" if created else "",
             " ".join(str(tool[name]) for name in ("name", "version") if tool.get(name))]
    return " \N{MIDDLE DOT} ".join(word for word in words if word)
