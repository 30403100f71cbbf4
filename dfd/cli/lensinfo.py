"""A lens profile in words, for `dfd info --lens`: how good it is, what it was measured at, how sure it is, what it lacks."""

from __future__ import annotations

import numpy as np

from dfd.lensarrays import check_arrays
from dfd.lensfile import section
from dfd.lenssigma import LensSigma
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

_GRADES = {"A": "measured", "B": "measured in part", "C": "nominal, 5-20 %"}


def lens_lines(profile: LensProfile | None) -> list[str]:
    """The lines about a profile that was read from a file; none of the nominal one, which states nothing."""
    if profile is None or len(profile.data) <= 2:
        return []
    grade = f"grade {profile.grade[0]}: {_GRADES[profile.grade[0]]}" if profile.grade else "grade not stated"
    lines = (*_focus(profile), *_stops(profile), *_pupil(profile), *_validity(profile), *_sigma(profile), _holds(profile),
             *_arrays(profile))
    return [f"lens profile {profile.name}, {grade}", *(f"  {line}" for line in lines if line)]


def _focus(profile):
    if not profile.calibrated:
        return
    law, limits = section(profile.data, "focus"), section(profile.data, "validity").get("focus_coordinate")
    jitter = f", jitter {law['jitter_sigma_unit']:g}" if law.get("jitter_sigma_unit") else ""
    if limits is None:
        yield f"focus by {profile.coordinate}{jitter}"
        return
    ends = " to ".join(_metres(profile.focus_curve(limit)) for limit in limits)
    yield (f"focus by {profile.coordinate} {limits[0]:g} to {limits[1]:g}{jitter}: {ends}, "
           f"fx {profile.fx(limits[0]):.5g} to {profile.fx(limits[1]):.5g} px")


def _stops(profile):
    told = [stop for stop in profile.data.get("aperture") or []
            if stop.get("f_number_marked") and stop.get("diameter_eff_mm")]
    if told:
        yield "pupil " + ", ".join(f"f/{stop['f_number_marked']:g}: {stop['diameter_eff_mm']:.4g}"
                                   f"{_spread(stop.get('diameter_sigma_mm'))} mm" for stop in told)


def _pupil(profile):
    found = section(profile.data, "reference", "z_ep_from_sensor_mm")
    if found.get("poly"):
        yield f"entrance pupil {found['poly'][0]:.4g}{_spread(found.get('sigma'))} mm above the sensor mark" + (
            ", changing with focus" if len(found["poly"]) > 1 else "")


def _validity(profile):
    told, parts = section(profile.data, "validity"), []
    if told.get("z_from_ep_mm"):
        parts.append("{:.4g} to {:.4g} m from the entrance pupil".format(*(limit * 1e-3 for limit in told["z_from_ep_mm"])))
    if told.get("f_numbers"):
        parts.append(" ".join(f"f/{number:g}" for number in told["f_numbers"]))
    if told.get("c_abs_px"):
        parts.append("blur up to {1:g} px".format(*told["c_abs_px"]))
    if parts:
        yield f"measured at {', '.join(parts)}"


def _sigma(profile):
    """1-sigma of depth from the lens alone, for a frame focused at the near and the far end of what was measured."""
    told = section(profile.data, "validity")
    coordinates, stops = told.get("focus_coordinate"), profile.data.get("aperture") or []
    number = next((stop["f_number_marked"] for stop in stops if stop.get("f_number_marked")), None)
    if not profile.calibrated or not coordinates or number is None or profile.coordinate in ("exif_distance_mm", "rail_mm"):
        return
    pitch = Value(profile.pixel_pitch or 1e-6)
    shots = [CameraSettings(focus_coordinate=Value(float(place)), f_number=Value(number), pixel_pitch=pitch)
             for place in np.linspace(*coordinates, 3)]
    try:
        found = [LensSigma.of(profile, [shot], shot) for shot in shots]
    except (OSError, ValueError) as error:
        yield f"sigma unknown: {error}"
        return
    places = [profile.focus_curve(shot.focus_coordinate.value) for shot in shots]
    parts = [f"{1e3 * float(sigma(focus)) / focus**2:.2g} mm at {_metres(focus)}"
             for sigma, focus in sorted(zip(found, places, strict=True), key=lambda pair: -pair[1])
             if sigma is not None and focus > 0]
    yield f"1-sigma of depth in focus, from the lens alone: {', '.join(parts)}" if parts else ""


def _holds(profile):
    """What the profile has beyond the law, and what it lacks, in a line."""
    data = profile.data
    field, psf, radiometry = section(data, "field"), section(data, "psf"), section(data, "radiometry")
    found = {
        "focus law": profile.calibrated, "pupil diameters": bool(data.get("aperture")),
        "pupil height": bool(section(data, "reference", "z_ep_from_sensor_mm").get("poly")),
        "limits of distance": bool(section(data, "validity").get("z_from_ep_mm")),
        "covariance": bool(section(data, "covariance").get("names")),
        "field curvature": bool(section(field, "focus_offset_dpt").get("coef")),
        "axial colour": bool(field.get("axial_colour_dpt")), "PSF": bool(psf.get("core_px") or psf.get("nodes")),
        "vignetting": bool(radiometry.get("vignetting")), "noise": bool(profile.noise_isos),
        "kappa": profile.kappa is not None,
    }
    has, lacks = ([name for name, there in found.items() if there is wanted] for wanted in (True, False))
    return f"has {', '.join(has) or 'nothing'}" + (f"; lacks {', '.join(lacks)}" if lacks else "")


def _arrays(profile):
    """A line when the file of arrays beside the profile is missing or another; the rest of the profile serves without."""
    try:
        check_arrays(profile.data, profile.folder)
    except OSError as error:
        yield f"arrays not usable: {error}"


def _spread(sigma):
    return f" +- {sigma:.2g}" if sigma else ""


def _metres(focus):
    return f"{1 / focus:.4g} m" if focus > 0 else "infinity"
