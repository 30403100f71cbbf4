"""What the terminal shows: progress bars (plain lines in a pipe), tables, and the summary of a run."""

from __future__ import annotations

import json
import sys
import time

from dfd.io.record import UNITS, VALUE_KEYS, strict


def say(text: str) -> None:
    """One line on stdout."""
    print(text)  # noqa: T201


class Progress:
    """Context manager, called as progress(stage, done, total): a bar per stage with frames and time left.

    On a terminal the bars are drawn by rich on stderr; in a pipe each stage ends with one plain line there.
    """

    def __init__(self):
        self._bars = None
        self._tasks = {}
        self._started = {}

    def __enter__(self):
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self._bars = Bars(TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(),
                              TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
                              console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(self, *_):
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` pieces of `stage` are finished."""
        if self._bars is None:
            start = self._started.setdefault(stage, time.perf_counter())
            if done == total:
                seconds = time.perf_counter() - start
                print(f"{stage}: {done}/{total} in {seconds:.1f} s", file=sys.stderr, flush=True)  # noqa: T201
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


def summary(outcome, folder) -> None:
    """What was found, its scale first, and the lines that would make it metric."""
    result, source = outcome.result, outcome.source
    known = float(result.valid.mean())
    if result.scale == "metric":
        say(f"metric depth: {outcome.quantity}")
    else:
        say(f"NOT metric (scale {result.scale}): {outcome.quantity} [{UNITS[result.scale]}]")
        for line in source.missing:
            say(f"  for metres add to capture.toml: {line}")
    say(f"{known:.1%} of {result.values.size} pixels known{_spread(outcome)}")
    for text in dict.fromkeys((*source.warnings, *outcome.warnings)):
        say(f"warning: {text}")
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in outcome.timings.items())
    say(f"{folder}/report.html   ({outcome.solver} on {outcome.device}; {times})")


def _spread(outcome):
    import numpy as np

    depth, sigma = outcome.maps
    finite = np.isfinite(depth)
    if not finite.any():
        return ""
    unit = UNITS[outcome.result.scale]
    low, high = np.percentile(depth[finite], [1, 99])
    text = f", {low:.4g} to {high:.4g} {unit} (1st to 99th percentile)"
    known = sigma[np.isfinite(sigma)]
    return f"{text}, median sigma {np.median(known):.2g} {unit}" if known.size else text


def describe_table(descriptions, *, as_json: bool) -> None:
    """`dfd info`: one block per file, every value with sigma and source, then what is missing."""
    if as_json:
        say(_json([_description(item) for item in descriptions]))
        return
    for item in descriptions:
        settings = item.settings
        camera = " ".join(part for part in (settings.make, settings.model, settings.lens_model) if part)
        say(f"{item.path}  {item.shape[1]} x {item.shape[0]} px  {camera or 'camera unknown'}")
        rows = [(VALUE_KEYS[name], _number(value.value), "" if value.sigma is None else f"+- {_number(value.sigma)}",
                 value.source + _measured_from(name, settings)) for name, value in settings.values().items()]
        _print_columns(rows)
        for line in item.missing:
            say(f"  missing: {line}")
        for text in item.warnings:
            say(f"  warning: {text}")


def _measured_from(name, settings):
    return f", from the {settings.distance_from}" if name in ("focus_distance", "focus") else ""


def _description(item):
    settings = item.settings
    values = {VALUE_KEYS[name]: {"value": value.value, "sigma": value.sigma, "source": value.source}
              for name, value in settings.values().items()}
    return {"file": str(item.path), "width_px": item.shape[1], "height_px": item.shape[0], "make": settings.make,
            "model": settings.model, "lens_model": settings.lens_model, "distance_from": settings.distance_from,
            "values": values, "missing": item.missing, "warnings": item.warnings}


def metrics_table(figures: dict, *, as_json: bool) -> None:
    """`dfd compare`: one row per figure; the sparsification curve only as JSON."""
    if as_json:
        say(_json(figures))
        return
    rows = [(key, _metric(value)) for key, value in figures.items() if not isinstance(value, dict)]
    _print_columns(rows)


def _metric(value):
    if isinstance(value, (list, tuple)):
        return " ".join(_metric(item) for item in value)
    return "-" if value is None else _number(value) if isinstance(value, float) else str(value)


def solvers_table(solvers, *, as_json: bool) -> None:
    """`dfd solvers`: name, kinds, one line, paper."""
    if as_json:
        say(_json([{"name": row.name, "kinds": row.kinds, "summary": row.summary, "paper": row.paper} for row in solvers]))
        return
    for row in solvers:
        say(f"{row.name}  ({', '.join(row.kinds)})")
        say(f"  {row.summary}")
        say(f"  {row.paper}")


def _json(content):
    return json.dumps(strict(content), indent=2, ensure_ascii=False, allow_nan=False)


def _number(value):
    return f"{value:.6g}"


def _print_columns(rows):
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
