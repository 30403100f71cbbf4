"""What the terminal shows: progress bars (plain lines in a pipe), tables, and the summary of a run."""

from __future__ import annotations

import json
import sys
import time

from dfd.cli.figures import metric_lines
from dfd.cli.overview import overview_lines
from dfd.io.record import UNITS, VALUE_KEYS, strict
from dfd.io.wording import metre_unit, plain

MOST_WARNINGS = 6
"""Lines of warnings after a run; the rest are in the report."""


def say(text: str) -> None:
    """One line on stdout."""
    print(text)  # noqa: T201


def note(text: str) -> None:
    """One line on stderr, where there is one."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201


class Progress:
    """Context manager, called as progress(stage, done, total): a bar per stage with frames and time left.

    On a terminal the bars are drawn by rich on stderr; in a pipe each stage ends with one plain line there.
    """

    def __init__(self):
        self._bars = None
        self._tasks = {}
        self._started = {}

    def __enter__(self):
        if sys.stderr is not None and sys.stderr.isatty():
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
                note(f"{stage}: {done}/{total} in {seconds:.1f} s")
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


def summary(outcome, folder) -> None:
    """What was found, its scale first, and the lines that would make it metric; then where to look."""
    result, source = outcome.result, outcome.source
    if result.scale == "metric":
        say(f"metric depth: {outcome.quantity} [m]")
    else:
        say(f"NOT metric (scale {result.scale}): {outcome.quantity} [{UNITS[result.scale]}]")
        if source.missing:
            say("for metres, add to capture.toml:")
        for line in source.missing:
            say(f"  {line}")
    say(f"{float(result.valid.mean()):.1%} of {result.values.size} pixels known{_spread(outcome)}")
    texts = list(dict.fromkeys((*source.warnings, *outcome.warnings)))
    shown = texts if len(texts) <= MOST_WARNINGS else texts[:MOST_WARNINGS - 1]
    for text in shown:
        say(f"warning: {text}")
    if len(texts) > len(shown):
        say(f"warning: and {len(texts) - len(shown)} more in report.html")
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in outcome.timings.items())
    say(f"{outcome.solver} on {outcome.device}; {times}")
    say(f"look at {folder}/report.html")


def _spread(outcome):
    """The range of the numbers and their typical sigma, lengths in m, mm or um."""
    import numpy as np

    depth, sigma = outcome.maps
    finite = depth[np.isfinite(depth)]
    if not finite.size:
        return ""
    low, high = np.percentile(finite, [1, 99])
    text = f", {_quantities((low, high), outcome)} (1st to 99th percentile)"
    known = sigma[np.isfinite(sigma)]
    return f"{text}, median sigma {_quantities((np.median(known),), outcome, digits=2)}" if known.size else text


def _quantities(numbers, outcome, digits=4):
    """Numbers of one unit, the one in which the largest reads well."""
    unit = UNITS[outcome.result.scale]
    size, name = metre_unit(max(map(abs, numbers))) if unit == "m" else (1.0, {"frame": "frames"}.get(unit, unit))
    return plain(f"{' to '.join(f'{number / size:.{digits}g}' for number in numbers)} {name}")


def describe_table(overview, *, as_json: bool) -> None:
    """`dfd info`: what is known, with sigma and source, what is missing, and what to expect; JSON: every file whole."""
    for line in [_json([_description(item) for item in overview.files])] if as_json else overview_lines(overview):
        say(line)


def _description(item):
    settings = item.settings
    values = {VALUE_KEYS[name]: {"value": value.value, "sigma": value.sigma, "source": value.source}
              for name, value in settings.values().items()}
    return {"file": str(item.path), "width_px": item.shape[1], "height_px": item.shape[0], "make": settings.make,
            "model": settings.model, "lens_model": settings.lens_model, "distance_from": settings.distance_from,
            "values": values, "missing": item.missing, "warnings": item.warnings}


def metrics_table(figures: dict, *, as_json: bool) -> None:
    """`dfd compare`: the headline first; the sparsification curve only as JSON."""
    for line in [_json(figures)] if as_json else metric_lines(figures):
        say(line)


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
