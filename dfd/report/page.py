"""report.html: one self-contained page that says first what its numbers are, then shows and tabulates them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np

from dfd.io.record import UNITS, affine_name
from dfd.io.results import ORIGINS, Outcome
from dfd.io.scale import ORDERS
from dfd.io.wording import INFINITY, camera_name, metre_unit
from dfd.report.axes import Axis, axis_of, frame_axis
from dfd.report.markup import Html, bullets, folded, group, legend, page, picture, section, text
from dfd.report.pictures import framed, paint_map, photo
from dfd.report.plots import distance_plot, sigma_plot
from dfd.report.tables import (
    alignment_parts,
    camera_tables,
    input_table,
    method_parts,
    statistics_table,
    version_table,
)

_CONFIDENCE = Axis("confidence, 0.5 = the median pixel before any were left out")
_MOST_WARNINGS = 6


def write_report(folder: Path, outcome: Outcome, record: dict) -> None:
    """Add depth.png, confidence.png and report.html to `folder`; record is the content of result.json."""
    axis = axis_of(outcome)
    with ThreadPoolExecutor(2) as pool:  # for pixels, two maps in memory; figures share fonts and are drawn in this thread
        pictures = {name: pool.submit(make) for name, make in _makers(outcome, record, axis).items()}
        depth, sigma = outcome.maps
        plots = (distance_plot(depth, axis, _frame_places(outcome), outcome.kept),
                 sigma_plot(depth, sigma, axis, UNITS[outcome.result.scale]))
        for name in ("depth", "confidence"):
            (folder / f"{name}.png").write_bytes(framed(pictures[name].result()[0]))
        pictures = {name: made.result() for name, made in pictures.items()}
    (folder / "report.html").write_text(make_page(outcome, record, pictures, plots), encoding="utf-8",
                                         errors="backslashreplace")  # a file name that is not Unicode


def make_page(outcome: Outcome, record: dict, pictures: dict, plots: tuple[bytes, bytes]) -> str:
    """The page as text.

    pictures   "photo": (JPEG, gain); "depth", "confidence", "frames": (Painted, PNG); without what there is not
    plots      PNG of the numbers' histogram and of sigma
    """
    return page(
        title_of(record),
        header(record),
        section("Warnings", *warning_parts(record["warnings"]), kind="warnings"),
        section("Pictures", group("pictures", *_pictures(outcome, record, pictures))),
        section(_PLOTS[record["scale"]["name"]][0], group("pictures", *_plots(plots, record)), statistics_table(record)),
        section("Camera: what was used, and where each value came from", group("columns", *camera_tables(record))),
        section("Alignment of the frames", *alignment_parts(outcome.transforms, record)),
        section("How it was made", *method_parts(record), folded("Versions of every program", version_table(record)),
                folded("Input files and their digests", input_table(record))),
    )


def title_of(record: dict) -> str:
    """Where the pictures came from and what kind they are."""
    files = [Path(item["file"]) for item in record["inputs"]]
    name = files[0].parent.name or files[0].stem if files else record["kind"]
    return f"{name}: depth from {record['kind'].replace('-', ' ')}"


def header(record: dict) -> Html:
    """What the numbers are, in words, and the five that one looks for first; record is the content of result.json."""
    scale = record["scale"]
    metric = scale["name"] == "metric"
    headline = f"Metric depth: metres from the {ORIGINS[record['origin']['from']]}" if metric else \
        f"NOT metric depth: {_relative(record)}"
    parts = [f'<p class="eyebrow">{text(_subtitle(record))}</p>', f"<h1>{text(headline)}</h1>"]
    if scale["missing"] and not metric:
        parts.append('<p class="sub">These lines in capture.toml would make it metric:</p>')
        parts.append(f"<pre>{text(chr(10).join(scale['missing']))}</pre>")
    return Html(f'<header class="{"metric" if metric else "relative"}">{"".join(parts)}{_key_figures(record)}</header>')


def _relative(record):
    return {
        "stage": "metres along the rail at which each point is in focus, not a distance from the camera",
        "steps": f"the number of the sharpest frame, {ORDERS[record['sweep']['order']]}",
        "affine": f"pixels, {record['scale']['quantity']}; offset and factor to inverse distance are unknown",
    }[record["scale"]["name"]]


def _subtitle(record):
    cameras = dict.fromkeys(camera_name(frame["make"], frame["model"], frame["lens_model"]) for frame in record["frames"])
    when = datetime.fromisoformat(record["created"])
    words = [title_of(record), *cameras, f"{when.day} {when:%B %Y, %H:%M} UTC"]
    return " \N{MIDDLE DOT} ".join(word for word in words if word)


def _key_figures(record):
    """The five numbers that one looks for first."""
    figures, size, scale = record["statistics"], record["size_px"], record["scale"]
    values, sigma = (figures.get(name) for name in _KEY_MAPS[scale["name"]])
    names = _RANGES | {"affine": affine_name(record["solver"]["name"])}
    used = sum(frame["used"] for frame in record["frames"])
    left_out = f", {len(record['frames']) - used} left out" if used < len(record["frames"]) else ""
    frames = f"{used} frames{left_out}" if "sequence" not in record else f"{record['sequence']['quadruples']} quadruples"
    items = [
        (_range(values, scale["unit"]), f"{names[scale['name']]}, middle 98 %"),
        (_quantity(sigma and sigma["median"], scale["unit"], digits=2), "typical uncertainty: median 1-sigma"),
        (f"{figures['density']:.1%}", "of the pixels have a value"),
        (frames, f"of {size['width']} \N{MULTIPLICATION SIGN} {size['height']} px"),
        (f"{sum(record['timings_s'].values()):.1f} s", f"on {record['device']}, {record['solver']['name']}"),
    ]
    cells = "".join(f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for value, name in items)
    return f'<div class="figures">{cells}</div>'


_KEY_MAPS = {"metric": ("depth_m", "sigma_m"), "stage": ("stage_position_m", "sigma_stage_m"),
             "steps": ("frame_number", "sigma_frames"), "affine": ("value_px", "sigma_px")}
_RANGES = {"metric": "depth", "stage": "position on the rail", "steps": "frame number"}


def _range(spread, unit):
    """From the 1st to the 99th percentile, in the unit in which the larger reads well."""
    if spread is None:
        return "unknown"
    low, high = (float(spread[name]) for name in ("p01", "p99"))
    largest = max((abs(end) for end in (low, high) if np.isfinite(end)), default=1.0)
    size, name = metre_unit(largest) if unit == "m" else (1.0, "" if unit == "frame" else unit)
    ends = [f"{end / size:#.3g}".rstrip(".").replace("inf", INFINITY).replace("-", "\N{MINUS SIGN}") for end in (low, high)]
    return f"{' to '.join(ends)} {name}".rstrip()


def _quantity(number, unit, digits):
    if number is None:
        return "unknown"
    if isinstance(number, str):
        return INFINITY
    size, name = metre_unit(number) if unit == "m" else (1.0, {"frame": "frames"}.get(unit, unit))
    return f"{number / size:.{digits}g} {name}"


def warning_parts(sentences) -> tuple:
    """The sentences as a list, of many the rest on demand."""
    shown = sentences if len(sentences) <= _MOST_WARNINGS else sentences[:_MOST_WARNINGS - 1]
    rest = sentences[len(shown):]
    return bullets(shown), folded(f"and {len(rest)} more", bullets(rest))


def _makers(outcome, record, axis):
    """name -> function that makes it, of the pictures of `make_page`."""
    turn, result = record["orientation_exif"], outcome.result
    span = (0, max(len(record["frames"]) - 1, 1))
    makers = {
        "depth": lambda: paint_map(outcome.maps[0], axis, orientation=turn),
        "confidence": lambda: paint_map(np.where(result.valid, outcome.trust, np.float32(np.nan)), _CONFIDENCE,
                                        orientation=turn, colours="magma", limits=(0, 1)),
        "frames": lambda: paint_map(np.where(outcome.index < 0, np.float32(np.nan), outcome.index),
                                    frame_axis(record["sweep"]["order"]), orientation=turn, limits=span)}
    if outcome.index is None:
        del makers["frames"]
    makers = {name: lambda paint=paint: _with_png(paint()) for name, paint in makers.items()}
    if outcome.all_in_focus is not None:
        makers["photo"] = lambda: photo(outcome.all_in_focus, orientation=turn)
    return makers


def _with_png(painted):
    return painted, painted.png()


def _pictures(outcome, record, pictures):
    """The photograph beside its depth; below, how sure it is and where each pixel came from."""
    scale, shown = record["scale"], []
    if "photo" in pictures:
        data, gain = pictures["photo"]
        origin = "" if "frames" in pictures else f"Restored from {_count(record)} together by undoing their blur. "
        brighter = f"Shown {gain:.1f} times brighter than recorded." if gain > 1.05 else ""
        shown.append(picture(data, "All in focus.", origin + brighter, kind="jpeg"))
    words = f"{outcome.quantity[0].upper()}{outcome.quantity[1:]} [{scale['unit']}]. Colours span the middle 98 %. "
    shown.append(_map(pictures["depth"], "Depth." if scale["name"] == "metric" else "Relative depth.", words))
    shown.append(_map(pictures["confidence"], "Confidence,", "from 1-sigma: bright pixels are sure. "))
    if "frames" in pictures:
        shown.append(_map(pictures["frames"], "Source frame", "of each pixel of the all-in-focus image. "))
    return shown


def _count(record):
    """How many frames were used, in words."""
    used = sum(frame["used"] for frame in record["frames"])
    return "both frames" if used == 2 else f"{used} frames"


def _map(made, title, words):
    painted, png = made
    grey = f"Grey: unknown, {painted.unknown:.0%}." if painted.unknown else ""
    return picture(png, title, words + grey, legend=legend(*painted.legend()))


_PLOTS = {"metric": ("Distances and their uncertainty", "each distance"),
          "stage": ("Positions and their uncertainty", "each position"),
          "steps": ("Frame numbers and their uncertainty", "each frame number"),
          "affine": ("Values and their uncertainty", "each value")}


def _plots(plots, record):
    what = _PLOTS[record["scale"]["name"]][1]
    marks = " Marks above: where each frame was focused." if record["sweep"]["positions"] else ""
    return (picture(plots[0], f"How often {what} occurs.", marks, plot=True),
            picture(plots[1], f"How uncertain {what} is.", "1-sigma: its median and its middle 68 %.", plot=True))


def _frame_places(outcome):
    """Places of the used frames in the numbers of depth.tiff: a metric sweep is kept in dioptres."""
    if outcome.coordinates is None or outcome.result.scale != "metric":
        return outcome.coordinates
    focus = np.asarray(outcome.coordinates, dtype=float)
    return np.where(focus > 0, 1 / np.where(focus > 0, focus, 1), np.inf) + outcome.origin_offset
