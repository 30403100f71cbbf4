"""The parts of a report: which plots and tables stand under which heading, and what measures a part that is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.report import numbers, pictures, plots
from calibration.report.expected import BLUR_ERROR, DEPTHS, expect
from calibration.report.profile_data import ProfileData

WIDTH, DENSITY = 620, 2
"""px that a plot is wide, and of the picture for each of them."""

_DOT = "\N{MIDDLE DOT}"


@dataclass(frozen=True)
class Plot:
    """One drawing.

    draw      (figure) -> None;   title, caption   below it;   height   over its width
    """

    draw: Callable
    title: str
    caption: str = ""
    height: float = 0.56


@dataclass(frozen=True)
class Part:
    """One heading with its plots, then a table (rows, the first its head), a sentence, a list, and what is missing.

    remarks   sentences that are listed;   aside   (what they are, sentences) that are shown on demand
    """

    title: str
    plots: tuple[Plot, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    remarks: tuple[str, ...] = ()
    aside: tuple[str, tuple[str, ...]] = ("", ())
    missing: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing was measured of it."""
        return not (self.plots or self.table or self.note or self.remarks or self.aside[1])


def parts(report: ProfileData) -> list[Part]:
    """Every part of the report, in the order of what matters most for depth; the last says all that was not measured."""
    found = [make(report) for make in (_expected, _focus, _distances, _projection, _field, _psf, _radiometry)]
    lacking = tuple(line for part in found if part.empty for line in part.missing)
    rest = [Part("Not measured", note=f" {_DOT} ".join(dict.fromkeys(lacking)))] if lacking else []
    return [part for part in found if not part.empty] + rest


def _missing(what, command):
    return f"{what}: not measured; run dfd-calibrate {command}"


def _expected(report):
    title, found = "What to expect of depth", expect(report)
    if found is None:
        return Part(title, missing=("Depth to expect: unknown without focus law and pupil; run dfd-calibrate focus",))
    near, far = report.depths
    table = _sigma_table(report, near, far)
    lacking = () if found.lens is not None else ("The profile states no sigma of the lens: run dfd-calibrate focus",)
    return Part(title, (Plot(lambda figure: plots.draw_sigma(figure, found), "Expected 1-sigma of depth,",
                             "every depth in focus in one frame of a stack, at the widest aperture that was measured."),),
                table, f"Blur known to {BLUR_ERROR:g} px is a usual textured place; dfd plan says more of a scene.", lacking)


def _sigma_table(report, near, far):
    head, rows = ("depth", "lens [mm]", "image [mm]", "both [mm]", "of depth"), []
    for depth in DEPTHS:
        if not near <= depth <= far:
            rows.append((f"{depth:g} m", "", "", "", "not measured"))
            continue
        found = expect(report, [depth])
        lens = "unknown" if found.lens is None else f"{1e3 * found.lens[0]:.2g}"
        rows.append((f"{depth:g} m", lens, f"{1e3 * found.image[0]:.2g}", f"{1e3 * found.total[0]:.2g}",
                     numbers.percent(found.total[0], depth)))
    return head, *rows


def _focus(report):
    title = "Focus law"
    if not report.profile.calibrated:
        return Part(title, missing=(_missing("Focus law", "focus"),))
    if not len(report.coordinates):
        return Part(title, missing=("The profile does not say where its focus law holds: run dfd-calibrate focus",))
    drawn, missing = [], ()
    if report.points is not None:
        usual = float(np.nanmedian(report.points.spread))
        drawn.append(Plot(lambda figure: plots.draw_vees(figure, report), "Blur around best focus,",
                          "per distance of the target, at the widest aperture. Points: frames (median of their edges, moved "
                          f"to the middle of the picture; bars: its 1-sigma, {usual:.2g} px as a rule). Lines: the fit."))
    else:
        missing = ("The frames of the calibration are not kept beside the profile; run dfd-calibrate focus to draw them",)
    drawn.append(Plot(lambda figure: plots.draw_law(figure, report), "Focus against its coordinate,",
                      f"and what each frame is off the law{_at_distances(report)}; 1 mdpt is 0.1 % of depth at 1 m.", 0.68))
    return Part(title, tuple(drawn), _quality(report), missing=missing)


def _at_distances(report):
    """In words, the depths that frames are drawn with."""
    if report.points is None:
        return ""
    if report.depths_are_fitted:
        return ", at the distances that the fit finds"
    return ", at the tape readings, whose errors it shows too"


def _distances(report):
    """The target and how it stood: tape readings beside the distances that the fit finds."""
    quality, target = report.section("quality"), report.section("provenance", "target")
    rows = [(f"{one['tape_mm']:.1f}", f"{one['z_mm']:.1f}", f"{one['difference_mm']:+.1f}".replace("-", "\N{MINUS SIGN}"),
             f"{one['frames']}", "good" if one["trusted"] else "counts little")
            for one in quality.get("stations") or []]
    note = ""
    if target.get("square_mm_measured"):
        value, sigma = numbers.shown(target["square_mm_measured"], target.get("sigma_mm"))
        note = f"Target: board {target.get('id') or 'unknown'}, squares of {value} {sigma} mm."
    rejected = tuple(quality.get("rejected") or ())
    head = ("tape [mm]", "fitted depth [mm]", "difference [mm]", "frames used", "reading")
    return Part("Distances and target", table=(head, *rows) if rows else (), note=note,
                remarks=tuple(quality.get("remarks") or ()),
                aside=(f"Frames that were not used ({len(rejected)})", rejected))


def _quality(report):
    told = report.section("quality")
    chi2, held, frames, rejected = (told.get(name) for name in ("chi2_dof", "loo_depth_rms_pct", "n_frames", "n_rejected"))
    rows = [("chi2 per degree of freedom of the law", "unknown" if chi2 is None else f"{chi2:.2f}", "at most 1.5"),
            ("depth at distances that were left out, rms", "unknown" if held is None else f"{held:.2g} %", "at most 0.5 %"),
            ("frames used", "unknown" if frames is None else f"{frames}", ""),
            ("frames rejected", "unknown" if rejected is None else f"{rejected}", "")]
    return ("", "found", "good"), *rows


def _projection(report):
    title, drawn, missing = "Image distance, breathing and pupil", [], []
    breathing = report.section("projection", "breathing").get("scale_poly")
    if len(report.coordinates) and report.section("projection").get("fx_px_poly"):
        drawn.append(Plot(lambda figure: plots.draw_fx(figure, report), "Image distance over focus (breathing),",
                          f"in px: scale of the images times distance{_at_distances(report)}; and the polynomial."))
    elif breathing:
        drawn.append(Plot(lambda figure: plots.draw_breathing(figure, report), "Breathing,", "relative to its reference."))
        missing.append(_missing("Image distance in px", "focus"))
    else:
        missing.append(_missing("Image distance and breathing", "focus (or breathing)"))
    note = ""
    if len(report.pupils) == 1:
        note = _single_pupil(report)
    elif report.pupils:
        drawn.append(Plot(lambda figure: plots.draw_pupils(figure, report), "Entrance pupil per f-number,",
                          "as the estimator of blur sees it, and what the engraved numbers say."))
    else:
        missing.append(_missing("Entrance pupil", "focus"))
    return Part(title, tuple(drawn), note=note, missing=tuple(missing))


def _single_pupil(report):
    (stop, diameter, spread), = report.pupils
    value, sigma = numbers.shown(diameter, spread or None)
    beside, focal = plots.beside_engraved(report, stop, diameter, spread), report.profile.focal_nominal
    return (f"Entrance pupil at f/{stop:g}: {value} {sigma} mm, as the estimator of blur sees it"
            + (f"{beside} against {1e3 * focal:g} mm / {stop:g}." if beside else "."))


def _field(report):
    title, drawn, missing = "Focus over the picture and colour", [], []
    if report.section("field", "focus_offset_dpt").get("coef"):
        drawn.append(Plot(lambda figure: pictures.draw_field(figure, report), "Focus over the picture,",
                          "less that in the middle; positive = nearer. Dots: where edges were measured.", 0.6))
    else:
        missing.append(_missing("Field curvature", "focus"))
    if report.section("field", "axial_colour_dpt").get("R") is not None:
        drawn.append(Plot(lambda figure: pictures.draw_colour(figure, report), "Axial colour:",
                          "where red and blue focus, relative to green.", 0.6))
    else:
        missing.append(_missing("Axial colour", "focus (with RAW or colour files)"))
    return Part(title, tuple(drawn), missing=tuple(missing))


def _psf(report):
    title = "Point-spread functions"
    if "psf/kernels" not in report.arrays or "psf/nodes" not in report.arrays:
        return Part(title, missing=(_missing("PSF", "psf"),))
    caption = (f"of {len(report.arrays['psf/kernels'])} places [px from the middle] and blurs [px, + = nearer than focus]: "
               "up to 24 of them at the widest aperture, measured above, fitted below, on one scale.")
    return Part(title, (Plot(lambda figure: pictures.draw_kernels(figure, report), "Kernels", caption, 0.75),))


def _radiometry(report):
    title, drawn, missing, told = "Sensor and light", [], [], report.section("radiometry")
    if any(entry.get("photon_transfer") for entry in told.get("iso") or []):
        drawn.append(Plot(lambda figure: pictures.draw_photon_transfer(figure, report), "Photon transfer:",
                          "every pair of flats and darks, plane by plane, and the line of gain and read noise."))
    else:
        missing.append(_missing("Photon transfer", "noise"))
    if told.get("vignetting"):
        drawn.append(Plot(lambda figure: pictures.draw_vignetting(figure, report), "Vignetting,",
                          "from the middle to the corner."))
    else:
        missing.append(_missing("Vignetting", "psf"))
    return Part(title, tuple(drawn), missing=tuple(missing))
