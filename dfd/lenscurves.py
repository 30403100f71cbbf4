"""Views of a LensProfile file in SI units: the focus law, breathing, pupils, vignetting, noise, dual-pixel slope.

The focus law, see dfd.focuslaw, is a function of the focus coordinate in the unit that the profile names.
Distances are from the entrance pupil.  Polynomials have their constant term first.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from dfd import lensfile
from dfd.field import DualPixelField
from dfd.focuslaw import FocusLaw

_SAME_STOP = 0.03
"""Two marked f-numbers closer than this ratio are one stop: 5.6 and 5.66, 11 and 11.3."""


@dataclass(frozen=True)
class MeasuredKappa:
    """kappa = disparity / coc of a dual-pixel sensor, and what it was measured at; None where the file does not say.

    value, sigma, range   median over the picture, median 1-sigma, (least, most)
    f_number, focus       of the lens then, focus in dioptres;   distances   (nearest, farthest) of the targets [m]
    size, pixel_pitch     (H, W) px of the pictures, m;   axis   "x" or "y", along which the views differ
    """

    value: float
    sigma: float | None
    range: tuple[float, float]
    f_number: float | None
    focus: float | None
    distances: tuple[float, float] | None
    size: tuple[float, float] | None
    pixel_pitch: float | None
    axis: str | None


@dataclass(frozen=True, eq=False)
class LensCurves:
    """What a LensProfile file holds, as curves.

    data   the content of the file (schema 1, see dfd.lensfile); copied, unknown keys kept
    name   for reports; default: make and model of the lens
    folder where the file lies, beside it its arrays; None for content that was read from no file
    Raises ValueError, naming the key, when `data` does not follow the schema.
    """

    data: dict = field(repr=False)
    name: str = ""
    folder: Path | None = field(default=None, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "data", lensfile.check(copy.deepcopy(self.data)))
        lens = lensfile.section(self.data, "lens")
        named = " ".join(word for word in (lens.get("make"), lens.get("model")) if word)
        object.__setattr__(self, "name", self.name or named or "unnamed profile")

    @property
    def calibrated(self) -> bool:
        """True when the file holds a focus law and fx, so that distances from EXIF are not needed."""
        law = lensfile.section(self.data, "focus")
        return bool(law.get("a_per_mm") or law.get("b_per_mm_per_unit")) and bool(self._fx_poly)

    @property
    def grade(self) -> str | None:
        """"A measured", "B partial" or "C nominal (EXIF)"; None when the file does not say."""
        return lensfile.section(self.data, "provenance").get("grade")

    @property
    def coordinate(self) -> str:
        """Which number of a frame the law is a function of: encoder_step, bracket_index, exif_distance_mm, rail_mm."""
        return lensfile.section(self.data, "focus").get("coordinate") or "encoder_step"

    @property
    def pixel_pitch(self) -> float | None:
        """Pitch [m] of the pixels that fx counts; None when the file does not say."""
        pitch = lensfile.section(self.data, "camera").get("pixel_pitch_um")
        return None if pitch is None else pitch * 1e-6

    @property
    def focal_nominal(self) -> float | None:
        """The engraved focal length [m]; None when the file does not say."""
        engraved = lensfile.section(self.data, "lens").get("focal_nominal_mm")
        return None if engraved is None else engraved * 1e-3

    def focus_curve(self, coordinate: float) -> float:
        """Focus [dioptre] at a focus coordinate.  Raises ValueError outside the measured range, with its limits."""
        limits = lensfile.section(self.data, "validity").get("focus_coordinate")
        if limits and not limits[0] <= coordinate <= limits[1]:
            raise ValueError(f"focus coordinate ({coordinate:g} {self.coordinate}) is outside what profile {self.name} "
                             f"measured ({limits[0]:g} to {limits[1]:g}), and nothing is extrapolated; calibrate it")
        law = self.law
        if 1.0 + law.d * coordinate <= 0:
            raise ValueError(f"focus coordinate ({coordinate:g} {self.coordinate}) lies at or beyond the pole of the "
                             f"focus law of profile {self.name} ({-1 / law.d:g}); check focus.d_per_unit")
        return law(coordinate)

    @property
    def law(self) -> FocusLaw:
        """The focus law as it stands in the file."""
        return FocusLaw.of(self.data)

    def focus_shift(self, f_number: float) -> float:
        """Focus at one stop less that of the law [dioptre], aperture[].focus_shift_dpt, linear in log f-number; 0 where the
        file states none."""
        told = sorted((stop["f_number_marked"], stop.get("focus_shift_dpt") or 0.0)
                      for stop in self.data.get("aperture") or [] if stop.get("f_number_marked"))
        numbers, shifts = zip(*told, strict=True) if told else ((1.0,), (0.0,))
        return float(np.interp(math.log(f_number), np.log(numbers), shifts))

    def fx(self, coordinate: float) -> float:
        """Image distance in pixels at a focus coordinate.  Raises ValueError when the file has no fx polynomial."""
        if not self._fx_poly:
            raise ValueError(f"profile {self.name} has no projection.fx_px_poly; a focus calibration measures it")
        return _polynomial(self._fx_poly, coordinate)

    def breathing(self, coordinate: float, *, reference: float) -> float:
        """Image scale at a focus coordinate relative to that at `reference`: fx(s) / fx(reference)."""
        return self.fx(coordinate) / self.fx(reference)

    def pupil_height(self, coordinate: float | None) -> float | None:
        """Entrance pupil above the sensor mark [m], along the axis; None when not measured.

        Raises ValueError when it changes with focus and the coordinate is None.
        """
        poly = lensfile.section(self.data, "reference", "z_ep_from_sensor_mm").get("poly") or []
        if not poly:
            return None
        if coordinate is None and len(poly) > 1:
            raise ValueError(f"profile {self.name} knows the height of the entrance pupil as a function of "
                             f"{self.coordinate} only, and this image has none")
        return _polynomial(poly, coordinate or 0.0) * 1e-3

    def pupil_diameter(self, f_number: float) -> float | None:
        """Effective entrance pupil [m] at a marked f-number; None when the file has no aperture table.

        The nearest measured stop when within 3 %, else pupil_scale interpolated in log f-number.  Raises ValueError
        outside the table.
        """
        weights = self.stop_weights(f_number)
        diameters = dict(self._stops)
        return sum(weight * diameters[number] for number, weight in weights.items()) if weights else None

    def stop_weights(self, f_number: float) -> dict[float, float]:
        """Marked f-number -> weight of its diameter in the pupil at `f_number`; {} when the file has no aperture table.

        Raises ValueError as `pupil_diameter` does.
        """
        numbers = [stop[0] for stop in self._stops]
        if not numbers:
            return {}
        told = lensfile.section(self.data, "validity").get("f_numbers") or numbers
        least, most = max(numbers[0], min(told)), min(numbers[-1], max(told))
        if not least / (1 + _SAME_STOP) <= f_number <= most / (1 - _SAME_STOP):
            raise ValueError(f"f_number ({f_number:g}) is outside the stops that profile {self.name} measured "
                             f"(f/{least:g} to f/{most:g}); use one of them or calibrate this stop")
        nearest = min(numbers, key=lambda number: abs(math.log(number / f_number)))
        if abs(nearest / f_number - 1) <= _SAME_STOP or not numbers[0] < f_number < numbers[-1]:
            return {nearest: 1.0}
        above = next(k for k, number in enumerate(numbers) if number > f_number)
        low, high = numbers[above - 1], numbers[above]
        share = math.log(f_number / low) / math.log(high / low)
        return {low: (1 - share) * low / f_number, high: share * high / f_number}

    def pupil_scale(self, f_number: float) -> float | None:
        """Effective pupil over the engraved one, focal_nominal / f_number; None when the file lacks either."""
        diameter = self.pupil_diameter(f_number)
        return None if diameter is None or self.focal_nominal is None else diameter * f_number / self.focal_nominal

    def vignetting(self, f_number: float, *, coordinate: float | None = None) -> tuple[float, ...]:
        """Polynomial in r^2 of the image's brightness at one stop, r = 1 in the image's corner; () when not measured.

        The entry nearest in log f-number, then (when `coordinate` is given) nearest in focus coordinate.
        """
        entries = lensfile.section(self.data, "radiometry").get("vignetting") or []
        usable = [entry for entry in entries if entry.get("f_number") and entry.get("poly_r2")]
        if not usable:
            return ()

        def distance(entry):
            focus = entry.get("focus") or 0.0
            return abs(math.log(entry["f_number"] / f_number)), 0.0 if coordinate is None else abs(focus - coordinate)

        return tuple(min(usable, key=distance)["poly_r2"])

    def power_warp(self, power: float) -> np.ndarray | None:
        """(3, 3) float64 map of px of an image at the reference power -> px of an image at `power` [dioptre]; None when not
        measured.

        Affine, each of its six numbers a line in power: A(power) = affine + (power - reference_power_dpt) affine_per_dpt,
        (x, y, 1) in px of the calibrated image, the centre of the first pixel = (0, 0).
        """
        warp = lensfile.section(self.data, "power_warp")
        if not warp.get("affine_per_dpt"):
            return None
        fixed = np.array(warp.get("affine") or np.eye(3)[:2], dtype=float)
        change = np.array(warp["affine_per_dpt"], dtype=float)
        return np.vstack([fixed + (power - warp["reference_power_dpt"]) * change, (0.0, 0.0, 1.0)])

    @property
    def noise_isos(self) -> tuple[float, ...]:
        """The ISO settings whose noise was measured, rising; () when none was."""
        return tuple(sorted(entry["iso"] for entry in self._noise_entries))

    def noise(self, iso: float, *, raw: bool) -> tuple[float, float] | None:
        """(gain [e-/DN], read noise [e-]) at one ISO setting; None when it was not measured, and nothing is interpolated.

        raw   the frame is a RAW file; DN of a RAW file and of a TIFF are different units (file_format of the entry)
        """
        for entry in self._noise_entries:
            if math.isclose(entry["iso"], iso, rel_tol=1e-6) and raw == (entry.get("file_format", "raw") == "raw"):
                return entry["gain_e_per_dn"], entry["read_noise_e"]
        return None

    @property
    def kappa(self) -> float | None:
        """Median over the field of kappa = disparity / coc of the dual-pixel halves; None when not measured."""
        grid = lensfile.section(self.data, "dual_pixel").get("kappa_grid")
        return None if not grid else float(np.median(np.asarray(grid)))

    def dual_pixel_slope(self, x: float, y: float) -> float | None:
        """kappa (disparity / coc, no unit; NOT px/dioptre) at a place in the image; None when not measured.

        x, y run from 0 to 1 across the image's width and height.  Linear between cell centres, constant outside them.
        """
        grid = lensfile.section(self.data, "dual_pixel").get("kappa_grid")
        if not grid:
            return None
        rows = [np.interp(x * len(row) - 0.5, np.arange(len(row)), row) for row in grid]
        return float(np.interp(y * len(rows) - 0.5, np.arange(len(rows)), rows))

    def dual_pixel_field(self, focus: float, size: tuple[int, int]) -> DualPixelField | None:
        """kappa and focus over a picture of `size` (H, W) px by a lens focused at `focus` [dioptre]; None: not measured.

        The focus grid was measured at focus_setting_dpt; at another setting it is moved by as much as the lens is.
        """
        found = lensfile.section(self.data, "dual_pixel")
        if not found.get("kappa_grid"):
            return None
        grid, setting = found.get("focus_dpt_grid"), found.get("focus_setting_dpt")
        offset = None if grid is None else np.asarray(grid, float) - (focus if setting is None else setting)
        return DualPixelField(found["kappa_grid"], offset, size, kappa_sigma=found.get("kappa_sigma_grid"),
                              focus_sigma=found.get("focus_sigma_dpt_grid"))

    @property
    def dual_pixel_kappa(self) -> MeasuredKappa | None:
        """What the file says of kappa as a whole; None when not measured."""
        found = lensfile.section(self.data, "dual_pixel")
        if not found.get("kappa_grid"):
            return None
        grid, sigma = np.asarray(found["kappa_grid"], float), found.get("kappa_sigma_grid")
        told = found.get("validity") or {}
        limits, pitch, size = told.get("z_from_ep_mm"), told.get("pixel_pitch_um"), told.get("size_px")
        return MeasuredKappa(
            value=float(np.median(grid)), sigma=None if not sigma else float(np.median(np.asarray(sigma, float))),
            range=(float(grid.min()), float(grid.max())), f_number=told.get("f_number"),
            focus=found.get("focus_setting_dpt"), size=None if size is None else tuple(size[::-1]),
            distances=None if limits is None else tuple(limit * 1e-3 for limit in limits),
            pixel_pitch=None if pitch is None else pitch * 1e-6, axis=told.get("axis"))

    def _repr_html_(self):
        kappa, limits = self.kappa, lensfile.section(self.data, "validity").get("focus_coordinate")
        measured = self.calibrated and bool(limits)
        rows = (("grade", self.grade), ("stops", ", ".join(f"f/{number:g}" for number, _ in self._stops)),
                (f"focus coordinate [{self.coordinate}]", f"{limits[0]:g} to {limits[1]:g}" if measured else ""),
                ("focus [dpt]", " to ".join(f"{self.focus_curve(limit):.4g}" for limit in limits) if measured else ""),
                ("fx [px]", " to ".join(f"{self.fx(limit):.5g}" for limit in limits) if measured else ""),
                ("ISO of noise", ", ".join(f"{iso:g}" for iso in self.noise_isos)),
                ("kappa", "" if kappa is None else f"{kappa:.3g}"))
        cells = "".join(f"<tr><th>{name}</th><td>{escape(str(value or '-'))}</td></tr>" for name, value in rows)
        return f"<p>LensProfile {escape(self.name)}</p><table>{cells}</table>"

    @property
    def _fx_poly(self):
        return lensfile.section(self.data, "projection").get("fx_px_poly") or []

    @property
    def _noise_entries(self):
        entries = lensfile.section(self.data, "radiometry").get("iso") or []
        return [entry for entry in entries
                if entry.get("iso") and entry.get("gain_e_per_dn") and entry.get("read_noise_e") is not None]

    @property
    def _stops(self):
        """((marked f-number, effective diameter [m]), ...) in rising f-number."""
        entries = self.data.get("aperture") or []
        known = [(stop.get("f_number_marked"), stop.get("diameter_eff_mm")) for stop in entries]
        return tuple(sorted((number, diameter * 1e-3) for number, diameter in known if number and diameter))


def _polynomial(coefficients, at):
    return float(sum(value * at**power for power, value in enumerate(coefficients)))
