"""report.html: one self-contained page that says first what its numbers are, then shows and tabulates them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfd.io.record import UNITS
from dfd.io.results import Outcome
from dfd.report.markup import Html, page, picture, section, table, text
from dfd.report.pictures import Axis, axis_of, map_picture, metre_unit, photo
from dfd.report.plots import distance_plot, sigma_plot
from dfd.report.tables import alignment_table, camera_tables, statistics_table

_CONFIDENCE = Axis("confidence: how sure each pixel is compared with the median pixel (0.5)")


def write_report(folder: Path, outcome: Outcome, record: dict) -> None:
    """Add depth.png, confidence.png and report.html to `folder`; record is the content of result.json."""
    axis = axis_of(outcome)
    depth, sigma = outcome.maps
    turn = record["orientation_exif"]
    pictures = {"depth": map_picture(depth, axis, orientation=turn)}
    confidence = np.where(outcome.result.valid, outcome.result.confidence, np.float32(np.nan))
    pictures["confidence"] = map_picture(confidence, _CONFIDENCE, orientation=turn, colours="magma", limits=(0, 1))
    for name, data in pictures.items():
        (folder / f"{name}.png").write_bytes(data)
    plots = (distance_plot(depth, axis, _frame_numbers(outcome)),
             sigma_plot(depth, sigma, axis, UNITS[outcome.result.scale]))
    (folder / "report.html").write_text(make_page(outcome, record, pictures, plots), encoding="utf-8")


def make_page(outcome: Outcome, record: dict, pictures: dict[str, bytes], plots: tuple[bytes, bytes]) -> str:
    """The page as text.  pictures: PNG of "depth" and "confidence"; plots: PNG of distances and of sigma."""
    return page(
        _title(record),
        _header(record),
        section("Warnings", _list(record["warnings"])),
        section("Pictures", _pictures(outcome, record, pictures)),
        section("Distances and their uncertainty", Html(f'<div class="pictures">{_plots(plots, record)}</div>')),
        section("Camera: what was used, and where each value came from", *camera_tables(record)),
        section("Alignment of the frames", alignment_table(outcome.transforms, record)),
        section("Statistics", statistics_table(record)),
        section("How it was made", _method(record), _inputs(record)),
    )


def _title(record):
    files = [Path(item["file"]) for item in record["inputs"]]
    name = files[0].parent.name or files[0].stem if files else record["kind"]
    return f"{name}: depth from {record['kind']}"


def _header(record):
    metric = record["scale"]["name"] == "metric"
    if metric:
        start = "sensor plane" if record["origin"]["from"] == "sensor" else "entrance pupil"
        headline = f"Metric depth: metres from the {start}"
    else:
        headline = f"NOT metric depth: {_RELATIVE[record['scale']['name']]}"
    parts = [f"<h1>{text(headline)}</h1>", f'<p class="sub">{text(_subtitle(record))}</p>']
    if not metric and record["scale"]["missing"]:
        parts.append("<p>These lines in capture.toml would make it metric:</p>")
        parts.append(f"<pre>{text(chr(10).join(record['scale']['missing']))}</pre>")
    return Html(f'<header class="{"metric" if metric else "relative"}">{"".join(parts)}{_key_figures(record)}</header>')


_RELATIVE = {
    "stage": "metres along the rail at which each point is in focus, not a distance from the camera",
    "steps": "frame steps, counted from near to far",
    "affine": "pixels of blur or disparity; offset and factor to inverse distance are unknown",
}


def _subtitle(record):
    cameras = dict.fromkeys(" ".join(filter(None, (frame["make"], frame["model"]))) for frame in record["frames"])
    lenses = dict.fromkeys(frame["lens_model"] for frame in record["frames"])
    words = [_title(record), *cameras, *lenses, record["created"]]
    return " \N{MIDDLE DOT} ".join(word for word in words if word)


def _key_figures(record):
    """The five numbers that one looks for first."""
    figures, size = record["statistics"], record["size_px"]
    middle = [figures.get(name) for name in _KEY_MAPS[record["scale"]["name"]]]
    unit = record["scale"]["unit"]
    items = [
        (f"{figures['density']:.1%}", "of the pixels have a value"),
        (_quantity(middle[0], unit), "median distance" if record["scale"]["name"] == "metric" else "median"),
        (_quantity(middle[1], unit), "median 1-sigma"),
        (f"{len(record['frames'])} frames", f"of {size['width']} \N{MULTIPLICATION SIGN} {size['height']} px"),
        (f"{sum(record['timings_s'].values()):.1f} s", f"on {record['device']}, {record['solver']['name']}"),
    ]
    cells = "".join(f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for value, name in items)
    return f'<div class="figures">{cells}</div>'


_KEY_MAPS = {"metric": ("depth_m", "sigma_m"), "stage": ("stage_position_m", "sigma_stage_m"),
             "steps": ("frame_number", "sigma_frames"), "affine": ("value_px", "sigma_px")}


def _quantity(spread, unit):
    if spread is None:
        return "unknown"
    median = spread["median"]
    if isinstance(median, str):
        return "\N{INFINITY}"
    size, name = metre_unit(median) if unit == "m" else (1.0, {"frame": "frames"}.get(unit, unit))
    return f"{median / size:.4g} {name}"


def _pictures(outcome, record, pictures):
    turn = record["orientation_exif"]
    scale = record["scale"]
    caption = (f"{outcome.quantity.capitalize()} [{scale['unit']}]. Grey is unknown; the bar covers the middle 98 % of "
               "the known pixels.")
    shown = [picture(pictures["depth"], "depth map", caption)]
    if outcome.all_in_focus is not None:
        data, gain = photo(outcome.all_in_focus, orientation=turn)
        brighter = f" Shown {gain:.1f} times brighter than recorded." if gain > 1.05 else ""
        shown.append(picture(data, "all-in-focus image", f"All-in-focus image.{brighter}", kind="jpeg"))
    shown.append(picture(pictures["confidence"], "confidence map", "Confidence, from sigma. Grey is unknown."))
    if outcome.index is not None:
        index = np.where(outcome.index < 0, np.nan, outcome.index).astype(np.float32)
        last = max(len(record["frames"]) - 1, 1)
        data = map_picture(index, Axis("frame number", sign=-1.0), orientation=turn, limits=(0, last))
        shown.append(picture(data, "index map", "Frame from which each pixel of the all-in-focus image was taken."))
    return Html(f'<div class="pictures">{"".join(text(item) for item in shown)}</div>')


def _plots(plots, record):
    sweep = " Marks above: where each frame was focused." if record["sweep"]["positions"] else ""
    captions = (f"How often each distance occurs.{sweep}", "1-sigma against distance.")
    return "".join(text(picture(data, caption, caption)) for data, caption in zip(plots, captions, strict=True))


def _frame_numbers(outcome):
    """Places of the frames in the numbers of depth.tiff: a metric sweep is kept in dioptres."""
    if outcome.coordinates is None or outcome.result.scale != "metric":
        return outcome.coordinates
    focus = np.asarray(outcome.coordinates, dtype=float)
    return np.where(focus > 0, 1 / np.where(focus > 0, focus, 1), np.inf) + outcome.origin_offset


def _method(record):
    lens = record["lens"]
    rows = [
        ("solver", record["solver"]["name"]),
        *((name, value) for name, value in record["solver"]["parameters"].items()),
        ("device", record["device"]),
        ("lens", f"{lens['profile']} ({'calibrated' if lens['calibrated'] else 'not calibrated'})"),
        ("psf", f"{record['psf']['model']}, core {record['psf']['core_px']:g} px"),
        *((f"time: {stage}", f"{seconds:.2f} s") for stage, seconds in record["timings_s"].items()),
        *((f"version: {name}", number) for name, number in record["versions"].items()),
    ]
    return table(rows, kind="wide")


def _inputs(record):
    rows = [(item["file"], item["sha256"]) for item in record["inputs"]]
    return table(rows, head=("input", "sha256"), kind="wide") if rows else None


def _list(sentences):
    if not sentences:
        return None
    return Html(f'<ul class="warnings">{"".join(f"<li>{text(sentence)}</li>" for sentence in sentences)}</ul>')
