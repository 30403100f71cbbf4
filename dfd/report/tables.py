"""Tables of the report, from the content of result.json: camera values with their sources, alignment, statistics."""

from __future__ import annotations

import math

from dfd.report.markup import Html, table, text, value_with_source

_COLUMNS = {
    "focal_length_m": ("focal length", "mm", 1e-3), "f_number": ("f-number", "", 1.0),
    "pupil_diameter_m": ("pupil", "mm", 1e-3), "pixel_pitch_m": ("pixel pitch", "\N{GREEK SMALL LETTER MU}m", 1e-6),
    "focus_distance_m": ("focus distance", "m", 1.0), "focus_dpt": ("focus", "dpt", 1.0),
    "focus_coordinate": ("focus coordinate", "", 1.0), "stage_position_m": ("stage position", "mm", 1e-3),
    "power_dpt": ("power", "dpt", 1.0), "image_distance_m": ("image distance", "mm", 1e-3),
    "exposure_s": ("exposure", "s", 1.0), "iso": ("ISO", "", 1.0),
}
"""Key of a camera value -> heading, unit shown, and its size in the key's unit."""

_STATISTICS = {
    "depth_m": "depth [m]", "sigma_m": "1-sigma of depth [m]", "inverse_depth_dpt": "inverse depth [dioptre]",
    "sigma_dpt": "1-sigma of inverse depth [dioptre]", "stage_position_m": "position on the rail [m]",
    "sigma_stage_m": "1-sigma [m]", "frame_number": "frame number", "sigma_frames": "1-sigma [frames]",
    "value_px": "blur or disparity [px]", "sigma_px": "1-sigma [px]",
}


def camera_tables(record) -> list[Html]:
    """What all frames share, then a row per frame for what differs; every value with its 1-sigma and source."""
    frames = record["frames"]
    names = [name for name in _COLUMNS if any(name in frame["values"] for frame in frames)]
    first = frames[0]["values"]
    shared = [name for name in names if all(frame["values"].get(name) == first.get(name) for frame in frames)]
    own = [name for name in names if name not in shared]
    rows = [(_COLUMNS[name][0], _shown(name, first[name]), first[name]["source"]) for name in shared]
    origins = dict.fromkeys(frame["distance_from"] for frame in frames)
    rows.append(("distances counted from", ", ".join(origins), ""))
    focus = {f"{name}_px": value for name, value in (record["intrinsics_px"] or {}).items()}
    rows += [(name.removesuffix("_px"), f"{value:.2f} px", "from the optics") for name, value in focus.items()]
    tables = [table(rows, head=("the same in every frame", "value", "source"))]
    head = ["frame", "file", *(["role"] if any(frame["role"] or frame["view"] for frame in frames) else []),
            *(_COLUMNS[name][0] for name in own)]
    lines = [_frame_row(index, frame, own, "role" in head, index == record["reference_frame"])
             for index, frame in enumerate(frames)]
    return [*tables, table(lines, head=head)]


def _frame_row(index, frame, names, with_role, is_reference):
    label = Html(f"{index}<small>reference</small>") if is_reference else index
    cells = [label, frame["file"], *([frame["role"] or frame["view"]] if with_role else [])]
    for name in names:
        value = frame["values"].get(name)
        cells.append(None if value is None else value_with_source(_shown(name, value), value["source"]))
    return cells


def _shown(name, value):
    _, unit, size = _COLUMNS[name]
    number = value["value"]
    if not isinstance(number, (int, float)):
        return "\N{INFINITY}" if number == "inf" else str(number)
    if name == "exposure_s" and 0 < number < 0.3:
        return f"1/{1 / number:.0f} s"
    spread = value["sigma"]
    extra = f" \N{PLUS-MINUS SIGN} {spread / size:.2g}" if isinstance(spread, (int, float)) else ""
    return f"{number / size:.5g}{extra} {unit}".rstrip()


def alignment_table(transforms, record) -> Html | None:
    """One row per frame: the numbers that the alignment kept; a matrix as shift at the centre, scale and rotation."""
    if transforms is None:
        return None
    size = record["size_px"]
    centre = (size["width"] - 1) / 2, (size["height"] - 1) / 2
    rows = [_alignment_row(index, item, centre) for index, item in enumerate(transforms)]
    head = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_plain(row.get(name)) for name in head] for row in rows]
    return table(cells, head=[name.replace("_", " ") for name in head])


def _alignment_row(index, item, centre):
    row = {"frame": index}
    for name, value in item.items():
        if name == "matrix":
            row |= _similarity(value, centre)
        elif not isinstance(value, (list, tuple, dict)):
            row[name] = value
    return row


def _similarity(matrix, centre):
    """Shift of the picture's centre [px], scale and rotation [degree] of the map reference px -> frame px."""
    (a, b, right), (c, d, down) = (row[:3] for row in matrix[:2])
    x, y = centre
    return {"shift_x_px": a * x + b * y + right - x, "shift_y_px": c * x + d * y + down - y,
            "scale": math.sqrt(abs(a * d - b * c)), "rotation_deg": math.degrees(math.atan2(c, a))}


def _plain(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{round(value, 4) + 0.0:.6g}" if isinstance(value, float) else value


def statistics_table(record) -> Html:
    """Percentiles of each map."""
    figures = record["statistics"]
    maps = [name for name in _STATISTICS if figures.get(name)]
    if not maps:
        return Html(f"<p>{text('No pixel has a value, so there are no statistics.')}</p>")
    head = ["", *figures[maps[0]]]
    rows = [(_STATISTICS[name], *(_number(value) for value in figures[name].values())) for name in maps]
    return table(rows, head=head)


def _number(value):
    return "\N{INFINITY}" if value == "inf" else f"{value:.5g}"
