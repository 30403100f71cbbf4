"""Tables of the report, from the content of result.json: camera values with their sources, alignment, statistics."""

from __future__ import annotations

import math

import numpy as np

from dfd.io.wording import CAMERA, INFINITY, metre_unit, spoken
from dfd.prepare import at_centre
from dfd.report.markup import Html, group, table, text, with_note

_STATISTICS = {
    "depth_m": ("depth", "m"), "sigma_m": ("1-sigma of depth", "m"), "inverse_depth_dpt": ("inverse depth", "dioptre"),
    "sigma_dpt": ("1-sigma of inverse depth", "dioptre"), "stage_position_m": ("position on the rail", "m"),
    "sigma_stage_m": ("1-sigma of the position", "m"), "frame_number": ("frame number", ""),
    "sigma_frames": ("1-sigma", "frames"), "value_px": ("value", "px"), "sigma_px": ("1-sigma", "px"),
}
_PERCENTILES = {"min": "smallest", "p01": "1 %", "p05": "5 %", "p25": "25 %", "median": "median", "p75": "75 %",
                "p95": "95 %", "p99": "99 %", "max": "largest"}

_ALIGNMENT = {
    "shift_x_px": ("shift x [px]", "+.2f"), "shift_y_px": ("shift y [px]", "+.2f"), "scale": ("magnification", ".4f"),
    "rotation_deg": ("rotation [\N{DEGREE SIGN}]", "+.3f"), "quality": ("correlation", ".2f"),
    "corner_shift_px": ("correction [px]", ".2f"), "sigma_px": ("its 1-sigma [px]", ".2f"), "applied": ("corrected", ""),
    "aligned": ("in use", ""), "parallax_px": ("parallax [px]", ".2f"), "model": ("map", ""),
    "gain": ("brightness", ".3f"),
}
"""Number of an alignment -> its heading and how it is printed."""

ALIGNMENT_HINT = (
    "Where the reference frame's pixels lie in each frame: shift at the picture's centre, magnification, rotation. "
    "Correlation is that with the neighbouring frame. Correction is the largest displacement in a corner that was "
    "measured beyond what the optics predict; it is applied only where it stands out from its 1-sigma. A frame that "
    "is not in use could not be aligned. Parallax is how far near and far have moved against each other, beyond its noise; "
    "it is unknown where too little is in focus in this frame and its neighbours to tell, and in frames not in use. "
    "Brightness is the factor by which the frame was multiplied.")


def camera_tables(record) -> list[Html]:
    """What all frames share, then a row per frame for what differs; every value with its 1-sigma and source."""
    frames = record["frames"]
    names = [name for name in CAMERA if any(name in frame["values"] for frame in frames)]
    first = frames[0]["values"]
    shared = [name for name in names if all(frame["values"].get(name) == first.get(name) for frame in frames)]
    own = [name for name in names if name not in shared]
    rows = [(CAMERA[name][0], _shown(name, first[name]), first[name]["source"]) for name in shared]
    if any(name in names for name in ("focus_distance_m", "focus_dpt")):
        origins = dict.fromkeys(f"the {_ORIGINS[frame['distance_from']]}" for frame in frames)
        rows.append(("focus counted from", " or ".join(origins), ""))
    lens = record["lens"]
    rows.append(("lens profile", lens["profile"], "calibrated" if lens["calibrated"] else "not calibrated"))
    rows += _measured_rows(record)
    rows += [(name, f"{value:.2f} px", "from the optics") for name, value in (record["intrinsics_px"] or {}).items()]
    return [table(rows, head=("in every frame", "value", "source")), _frame_table(record, own)]


def _measured_rows(record):
    """What the measured lens says of sigma and of the depths that it knows; none where it says nothing."""
    lens, part = record["lens"], record["lens_sigma"]
    if record["vignetting"]:
        yield "vignetting", "undone", "lens profile"
    if part:
        share = f"{part['variance_share']:.0%} of sigma squared"
        yield "1-sigma of the lens", f"{part['median_dpt']:.2g} dioptre", share
    if lens["valid_depth_m"]:
        near, far = (float(limit) for limit in lens["valid_depth_m"])
        yield "lens measured at", f"{near:.3g} to {far:.3g} m", f"{lens['outside_share']:.1%} of the depths lay outside"


_NOISE = (("gain_e_per_dn", "gain", "e\N{MINUS SIGN}/DN"), ("read_noise_e", "read noise", "e\N{MINUS SIGN}"))
_ORIGINS = {"pupil": "entrance pupil", "sensor": "sensor plane"}


def _frame_table(record, own):
    """A row per frame; a source that all values of a column share stands in its heading."""
    frames = record["frames"]
    sources = {name: {frame["values"][name]["source"] for frame in frames if name in frame["values"]} for name in own}
    common = {name: next(iter(found)) for name, found in sources.items() if len(found) == 1}
    with_role = any(frame["role"] or frame["view"] for frame in frames)
    head = ["frame", "file", *(["role"] if with_role else []),
            *(with_note(CAMERA[name][0], common.get(name)) for name in own)]
    rows = []
    for index, frame in enumerate(frames):
        label = with_note(index, "reference" if index == record["reference_frame"] else None)
        rows.append([label, frame["file"], *([frame["role"] or frame["view"]] if with_role else []),
                     *(_cell(name, frame["values"].get(name), name in common) for name in own)])
    return table(rows, head=head)


def _cell(name, value, is_common):
    if value is None:
        return None
    return with_note(_shown(name, value), None if is_common else value["source"])


def _shown(name, value):
    spread = value["sigma"]
    return spoken(name, float(value["value"]), spread if isinstance(spread, (int, float)) else None)


def alignment_parts(transforms, record) -> tuple:
    """One row per frame: the numbers that the alignment kept; a matrix as shift at the centre, magnification, rotation."""
    if transforms is None:
        return ()
    size = record["size_px"]
    rows = [_alignment_row(index, item, (size["height"], size["width"])) for index, item in enumerate(transforms)]
    head = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_printed(name, row.get(name)) for name in head] for row in rows]
    names = [_ALIGNMENT[name][0] if name in _ALIGNMENT else name.replace("_", " ") for name in head]
    return Html(f'<p class="hint">{text(ALIGNMENT_HINT)}</p>'), table(cells, head=names, kind="numbers frames")


def _alignment_row(index, item, shape):
    row = {"frame": index}
    for name, value in item.items():
        if name == "matrix":
            row |= _similarity(value, shape)
        elif not isinstance(value, (list, tuple, dict)):
            row[name] = value
    return row


def _similarity(matrix, shape):
    """Shift of the picture's centre [px], and scale and rotation [degree] there, of the map reference px -> frame px."""
    (right, down), jacobian = at_centre(matrix, shape)
    return {"shift_x_px": float(right), "shift_y_px": float(down), "scale": math.sqrt(abs(np.linalg.det(jacobian))),
            "rotation_deg": math.degrees(math.atan2(jacobian[1, 0], jacobian[0, 0]))}


def _printed(name, value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return "unknown"
    form = _ALIGNMENT.get(name, ("", ".5g"))[1]
    whole = f"{round(value, 6) + 0.0:{form}}"
    return "0" if whole.strip("+-0.") == "" else whole.replace("-", "\N{MINUS SIGN}")


def statistics_table(record) -> Html:
    """Percentiles of each map; lengths in m, mm or um."""
    figures = record["statistics"]
    maps = [name for name in _STATISTICS if figures.get(name)]
    if not maps:
        return Html(f"<p>{text('No pixel has a value, so there are no statistics.')}</p>")
    head = ["", *(_PERCENTILES[name] for name in figures[maps[0]])]
    return table([_statistics_row(name, figures[name]) for name in maps], head=head, kind="numbers")


def _statistics_row(name, spread):
    words, unit = _STATISTICS[name]
    size = 1.0
    if unit == "m" and not isinstance(spread["median"], str):
        size, unit = metre_unit(spread["median"])
    return (f"{words} [{unit}]" if unit else words, *(_number(value, size) for value in spread.values()))


def _number(value, size):
    return {"inf": INFINITY, "-inf": f"\N{MINUS SIGN}{INFINITY}"}[value] if isinstance(value, str) else f"{value / size:.4g}"


def method_parts(record) -> tuple:
    """Solver and options, seconds per stage, versions and inputs."""
    options = {name: value for name, value in record["solver"]["parameters"].items() if value not in (None, False, "")}
    rows = [("solver", record["solver"]["name"]), ("device", record["device"]), *_side(record["side"]),
            ("point-spread function", f"{record['psf']['model']}, core {record['psf']['core_px']:g} px"),
            ("sensor noise", _noise(record["noise"])), *((name.replace("_", " "), value) for name, value in options.items())]
    seconds = [(stage, f"{value:.1f} s") for stage, value in record["timings_s"].items()]
    return group("columns", table(rows, kind="wide"), table(seconds, kind="numbers")),


def _side(side):
    """Where an aperture pair was told to look: the pictures themselves cannot tell."""
    if side is None:
        return ()
    place = {"near": "before", "far": "beyond"}[side]
    return (("side of focus", f"{side}, as stated: the scene lies {place} the plane of focus"),)


def _noise(record):
    """What was stated, and where the rest comes from."""
    parts = [f"{words} {record[name]:.4g} {unit}" for name, words, unit in _NOISE if record[name] is not None]
    return f"{', '.join(parts)} ({record['from']})" if parts else f"from {record['from']}"


def version_table(record) -> Html:
    """Every program that took part."""
    return table(record["versions"].items(), head=("program", "version"), kind="wide")


def input_table(record) -> Html | None:
    """Every file that was read, with its digest."""
    rows = [(item["file"], item["sha256"]) for item in record["inputs"]]
    return table(rows, head=("input", "sha256"), kind="wide") if rows else None
