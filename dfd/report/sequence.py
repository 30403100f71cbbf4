"""report.html of a sequence: its first, middle and last map on one scale, how it went on, and the camera."""

from __future__ import annotations

from pathlib import Path

from dfd.io.record import UNITS
from dfd.io.sequencefiles import SequenceOutcome
from dfd.report.axes import axis_of
from dfd.report.markup import Html, folded, group, legend, page, picture, section, table
from dfd.report.page import header, title_of, warning_parts
from dfd.report.pictures import framed, paint_map
from dfd.report.plots import sigma_plot
from dfd.report.tables import camera_tables, input_table, method_parts, statistics_table, version_table

_SHOWN_ROWS = 12


def write_sequence_report(folder: Path, outcome: SequenceOutcome, record: dict) -> None:
    """Add depth_first.png, depth_middle.png, depth_last.png and report.html to `folder`; record is that of result.json."""
    axis, turn, spread = axis_of(outcome.middle), record["orientation_exif"], record["statistics"]["depth_m"]
    limits = None if spread is None else tuple(float(spread[name]) for name in ("p01", "p99"))
    limits = None if limits is None or limits[0] == limits[1] else limits
    painted = {name: paint_map(outcome.shown[name].maps[0], axis, orientation=turn, limits=limits)
               for name in ("first", "middle", "last")}
    for name, item in painted.items():
        (folder / f"depth_{name}.png").write_bytes(framed(item))
    plot = sigma_plot(*outcome.middle.maps, axis, UNITS["metric"])
    (folder / "report.html").write_text(_page(outcome, record, painted, plot), encoding="utf-8", errors="backslashreplace")


def _page(outcome, record, painted, plot):
    pictures = [picture(item.png(), f"The {name} map.", f"{_unknown(item)} All three on one scale, in metres.",
                        legend=legend(*item.legend())) for name, item in painted.items()]
    plot = picture(plot, "How uncertain each distance of the middle map is.", "1-sigma: its median and its middle 68 %.",
                   plot=True)
    return page(
        title_of(record),
        header(record),
        section("Warnings", *warning_parts(record["warnings"]), kind="warnings"),
        section("Pictures", group("pictures", *pictures)),
        section("Distances and their uncertainty, all maps", group("pictures", plot), statistics_table(record)),
        section("The sequence", *_rows(record["sequence"])),
        section("Camera: what was used, and where each value came from", group("columns", *camera_tables(record))),
        section("How it was made", *method_parts(record), folded("Versions of every program", version_table(record)),
                folded("Input files and their digests", input_table(record))),
    )


def _unknown(painted):
    return f"Grey: unknown, {painted.unknown:.0%}." if painted.unknown else ""


def _rows(sequence) -> tuple:
    """The speed, and a row per quadruple: what is known and how far it lies."""
    rows, rate = sequence["rows"], sequence["frames_per_second"]
    told = any("true_depth_m" in row for row in rows)
    head = ["quadruple", "known", "median depth [m]", "middle 98 % [m]", "median 1-sigma [m]",
            *(["truth [m]"] if told else [])]
    cells = [[row["name"], f"{row['density']:.1%}", _metres(row["depth_m"]["median"]),
              f"{_metres(row['depth_m']['p01'])} to {_metres(row['depth_m']['p99'])}", _metres(row["sigma_m"]["median"]),
              *([_metres(row["true_depth_m"])] if told else [])] for row in rows]
    speed = Html("") if rate is None else table([("read, solved and written", f"{rate:.4g} a second")])
    shown = table(cells[:_SHOWN_ROWS], head=head, kind="numbers")
    rest = cells[_SHOWN_ROWS:]
    return speed, shown, folded(f"and {len(rest)} more", table(rest, head=head, kind="numbers")) if rest else None


def _metres(number):
    return "unknown" if number is None else f"{float(number):.4g}"
