"""What a capture, a light field and a measured lens look like: panels for `dfd.show`."""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import to_numpy
from dfd.capture import SCALES, Capture
from dfd.lensfile import section
from dfd.report.axes import Axis
from dfd.report.panels import Curves, Panel, dress
from dfd.report.pictures import develop, gain_of, paint_map, shrink

_MOST = 6
_COLOURS = ("#1f5f7f", "#c2571a", "#2f8f5b", "#8a4fa3", "#b3872b")
_NAMES = {"dual-pixel": ("left", "right"),
          "differential-quad": ("power minus", "power plus", "aperture minus", "aperture plus")}
_SLICE = 90


def capture_panels(capture: Capture) -> tuple[list[Panel], str]:
    """(at most six of its images in one brightness, a line on the whole)."""
    count = len(capture)
    chosen = sorted({round(index) for index in np.linspace(0, count - 1, min(count, _MOST))})
    images = [shrink(to_numpy(capture.images[index])[..., None]) for index in chosen]
    gain = gain_of(np.stack(images))
    panels = [Panel(develop(image, gain), _image_name(capture, index), _optics(capture, index))
              for image, index in zip(images, chosen, strict=True)]
    height, width = capture.shape
    some = f"{len(chosen)} of {count}" if len(chosen) < count else f"{count}"
    brighter = f", shown {gain:.2g} times brighter" if gain > 1.05 else ""
    return panels, f"{capture.kind}: {some} images, {width} x {height} px, scale {capture.scale}{brighter}"


def lightfield_panels(field) -> tuple[list[Panel], str]:
    """(central view, the two outermost of its row, epipolar slices and disparity where known, a line on the whole)."""
    u, v, grey = np.asarray(field.u), np.asarray(field.v), to_numpy(field.grey)
    row = np.flatnonzero(np.abs(v) == np.abs(v).min())
    row = row[np.argsort(u[row])]
    central = to_numpy(field.central)
    gain = gain_of(shrink(central))
    panels = [Panel(develop(shrink(central), gain), "reference view")]
    for index in (row[0], row[-1]):
        panels.append(Panel(develop(shrink(grey[index][..., None]), gain),
                            f"view {u[index]:+g} right, {v[index]:+g} down"))
    height, width = field.shape
    lines = grey[row, height // 2].repeat(max(1, _SLICE // len(row)), axis=0)
    panels.append(Panel(develop(shrink(lines[..., None]), gain), f"epipolar slice of row {height // 2}",
                        "x to the right, views from left to right downwards", stretch=True))
    if field.disparity is not None:
        painted = paint_map(to_numpy(field.disparity), Axis("disparity [px per view step], positive = nearer"))
        panels.append(Panel.of(painted, "disparity", f"known {1 - painted.unknown:.1%}"))
    return panels, f"light field: {len(u)} views, {width} x {height} px{f', {field.name}' if field.name else ''}"


def lens_panels(profile) -> tuple[list, str]:
    """(curves of a measured lens over its focus coordinate, a line on the whole).

    Raises ValueError for a profile without a focus law and the range over which it was measured.
    """
    limits = section(profile.data, "validity").get("focus_coordinate")
    if not profile.calibrated or not limits:
        raise ValueError(f"profile {profile.name} has no measured focus law over a range of focus coordinates, so there is "
                         "no curve to show; read its numbers, or measure it by dfd-calibrate focus")
    places = np.linspace(*limits, 101)
    focus = np.array([profile.focus_curve(float(place)) for place in places])
    fx = np.array([profile.fx(float(place)) for place in places])
    across = f"focus coordinate [{profile.coordinate}]"

    def law(axes):
        axes.plot(places, focus, color=_COLOURS[0], linewidth=1.8)
        dress(axes, across, "focus [dioptre]")

    def rates(axes):
        for (number, diameter), colour in zip(_stops(profile), _COLOURS * 9, strict=False):
            axes.plot(places, diameter * fx, color=colour, linewidth=1.8, label=f"f/{number:g}")
        axes.set_ylim(0, 1.2 * fx.max() * max(diameter for _, diameter in _stops(profile)))
        dress(axes, across, "blur rate [px per dioptre]")
        axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower left")

    ends = " to ".join(_distance(end) for end in (focus[0], focus[-1]))
    panels = [Curves(law, "where it focuses", f"in focus: {ends} from the entrance pupil")]
    if _stops(profile):
        panels.append(Curves(rates, "how fast blur grows", "diameter of the entrance pupil times fx"))
    else:
        panels.append(Curves(lambda axes: (axes.plot(places, fx, color=_COLOURS[0]), dress(axes, across, "fx [px]")),
                             "scale of the picture"))
    return panels, f"{profile.name}{f', grade {profile.grade}' if profile.grade else ''}"


def _stops(profile):
    """((marked f-number, entrance pupil [m]), ...), rising."""
    entries = profile.data.get("aperture") or []
    numbers = sorted({stop["f_number_marked"] for stop in entries if stop.get("f_number_marked")})
    found = [(number, profile.pupil_diameter(number)) for number in numbers]
    return [(number, diameter) for number, diameter in found if diameter]


def _image_name(capture, index):
    if capture.kind == "aperture-pair":
        diameters = [view.lens.pupil_diameter for view in capture.views]
        return "wide" if diameters[index] == max(diameters) else "narrow"
    names = _NAMES.get(capture.kind)
    return names[index] if names else f"image {index}"


def _optics(capture, index):
    """Focus and f-number of one image, or its place on the sweep."""
    view = capture.views[index]
    if view.lens is None:
        return "optics unknown" if view.coordinate is None else f"at {view.coordinate:g} {SCALES[capture.scale]}"
    return f"focus {view.lens.focus:.4g} dpt ({_distance(view.lens.focus)}), f/{view.lens.f_number:.3g}"


def _distance(focus):
    if abs(focus) < 1e-9:
        return "\N{INFINITY}"
    return "beyond \N{INFINITY}" if focus < 0 or not math.isfinite(focus) else f"{1 / focus:.3g} m"
