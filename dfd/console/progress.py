"""How far the work is: bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time

from dfd.console.lines import note


class Progress:
    """Context manager, called as progress(stage, done, total): a bar per stage with frames and time left.

    rated   stages whose pieces a second are shown as well
    On a terminal the bars are drawn by rich on stderr; in a pipe each stage ends with one plain line there.
    """

    def __init__(self, *, rated: tuple[str, ...] = ()):
        self._rated = rated
        self._bars = None
        self._tasks = {}
        self._started = {}
        self._last = time.perf_counter()

    def __enter__(self):
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self._bars = Bars(TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(),
                              TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
                              *([TextColumn("{task.fields[rate]}")] if self._rated else []),
                              console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(self, *_):
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` pieces of `stage` are finished."""
        if self._bars is None:
            now = time.perf_counter()  # a stage speaks first when its first piece is done, a rated one when it begins
            start = self._started.setdefault(stage, now if stage in self._rated and done == 0 else self._last)
            self._last = now
            if done == total:
                seconds = self._last - start
                rate = f", {_rate(done, seconds)}" if stage in self._rated else ""
                note(f"{stage}: {done}/{total} in {seconds:.1f} s{rate}")
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, rate="")
            self._started[stage] = time.perf_counter()
        rate = _rate(done, time.perf_counter() - self._started[stage]) if stage in self._rated and done else ""
        self._bars.update(self._tasks[stage], completed=done, total=total, rate=rate)


def _rate(done, seconds):
    """Pieces a second, in three digits."""
    rate = done / max(seconds, 1e-9)
    return f"{rate:.0f} a second" if rate >= 100 else f"{rate:.3g} a second"
