"""What a solved sequence leaves behind: maps of many pages, written while the next one is solved, and its record."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from dfd.io.images import PageWriter
from dfd.io.record import make_record, spread, strict
from dfd.io.results import ORIGINS, Outcome

NAMES = ("depth.tiff", "sigma.tiff", "confidence.tiff")
_FILES = {
    "depth.tiff": "float32, a page per quadruple, {quantity} [m], NaN = unknown",
    "sigma.tiff": "float32, a page per quadruple, 1-sigma of depth.tiff [m], infinite where its upper end is open",
    "confidence.tiff": "float32 0..1, a page per quadruple, s0^2 / (s0^2 + sigma^2), s0 the median sigma of the first map, "
                       "0 = unknown",
    "depth_first.png": "colour preview of the first page of depth.tiff with its scale",
    "depth_middle.png": "colour preview of the middle page of depth.tiff with its scale",
    "depth_last.png": "colour preview of the last page of depth.tiff with its scale",
    "report.html": "everything on one page",
    "result.json": "this record",
}
_RANKED, _POOLED = 20_000, 1_000_000
"""Known pixels of a map that its statistics are taken from, and of all maps together."""


@dataclass(eq=False)
class SequenceOutcome:
    """What a finished sequence hands over to be written.

    shown      name ("first", "middle", "last") -> Outcome of that map
    names      of the quadruples;   rows   the statistics of each
    pooled     depths and sigmas [m] from all maps, as lists of arrays
    begun, ended   on the clock: the first map is done (loops are compiled or loaded by then), the last is written
    """

    names: tuple[str, ...]
    truths: tuple[float, ...] | None
    shown: dict[str, Outcome] = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)
    pooled: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    begun: float = 0.0
    ended: float = 0.0

    @property
    def rate(self) -> float | None:
        """Quadruples read, solved and written in a second; None for a single one."""
        return (len(self.rows) - 1) / (self.ended - self.begun) if len(self.rows) > 1 else None

    @property
    def middle(self) -> Outcome:
        """The Outcome that stands for all: what is said of the camera is the same in every one."""
        return self.shown["middle"]

    def add(self, depth, sigma, known: int, saturated: float) -> None:
        """Take the statistics of the next map, (H, W) float32 [m].

        known   its pixels that are known;   saturated   share of pixels without a number in the worst of its four images
        """
        number = len(self.rows)
        row = {"name": self.names[number], "known_pixels": known, "density": known / depth.size,
               "saturated": saturated}
        if self.truths is not None:
            row["true_depth_m"] = self.truths[number]
        step = depth.size // _RANKED + 1
        depths, sigmas = (array.reshape(-1)[::step] for array in (depth, sigma))
        for name, values in (("depth_m", depths), ("sigma_m", sigmas)):
            finite = values[np.isfinite(values)]
            middle = np.percentile(finite, (1, 50, 99)) if finite.size else (np.nan,) * 3
            row[name] = dict(zip(("p01", "median", "p99"), map(float, middle), strict=True))
        every = -(-len(self.names) * depths.size // _POOLED)
        self.pooled.append((depths[::every].copy(), sigmas[::every].copy()))
        self.rows.append(row)


class MapFiles:
    """A context manager that writes depth, sigma and confidence page by page in a thread of its own; two maps are alive.

    `buffers` are three (H, W) float32 arrays to fill for the next page; `write` has them written.
    Raises OSError when a page cannot be written, at the latest when the block ends.
    """

    def __init__(self, folder, count, shape, *, quantity, origin, offset):
        shared = {"scale": "metric", "unit": "m", "unknown": "NaN", "pages": count, "origin": ORIGINS[origin],
                  "origin_offset_m": offset}
        told = ({"quantity": quantity, **shared}, {"quantity": f"1-sigma of: {quantity}", **shared},
                {"quantity": "confidence 0..1, s0^2 / (s0^2 + sigma^2), s0 the median sigma of page 0", "unknown": "0",
                 "pages": count})
        self._sets = np.empty((2, 3, *shape), np.float32)
        self._opened, self._number, self._pending = ExitStack(), 0, None
        self._pages = [self._opened.enter_context(PageWriter(folder / name, count, shape, metadata))
                       for name, metadata in zip(NAMES, told, strict=True)]
        self._pool = self._opened.enter_context(ThreadPoolExecutor(1))

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        try:
            if self._pending is not None and raised[0] is None:
                self._pending.result()
        finally:
            self._opened.close()

    @property
    def buffers(self):
        """(3, H, W): depth, sigma, confidence."""
        return self._sets[self._number % 2]

    def write(self) -> None:
        """Have the buffers written; the next ones are others."""
        if self._pending is not None:
            self._pending.result()
        self._pending = self._pool.submit(self._write, self.buffers)
        self._number += 1

    def _write(self, maps):
        for name, pages, image in zip(NAMES, self._pages, maps, strict=True):
            try:
                pages.add(image)
            except OSError as error:
                raise OSError(f"{name}: a page cannot be written ({error.strerror or error}); free some space, choose "
                              "another -o DIR, or use --preview") from error


def sequence_record(outcome: SequenceOutcome) -> dict:
    """result.json of a sequence: that of a single capture ("dfd-result 1", see io.record) with these differences.

    statistics   of all maps together, from samples of them; densities are exact
    sequence {quadruples, frames_per_second, rows [{name, known_pixels, density, saturated, true_depth_m where it is known,
    depth_m, sigma_m {p01, median, p99}}]}; saturated: share of pixels, saturated or NaN, in the worst of the four images
    """
    record = make_record(outcome.middle)
    known, pixels = sum(row["known_pixels"] for row in outcome.rows), outcome.middle.result.values.size * len(outcome.rows)
    depth, sigma = (np.concatenate(parts) for parts in zip(*outcome.pooled, strict=True))
    record["statistics"] = strict({"known_pixels": known, "filled_pixels": 0, "pixels": pixels, "density": known / pixels,
                                   "depth_m": spread(depth), "sigma_m": spread(sigma)})
    record["sequence"] = strict({"quadruples": len(outcome.rows), "rows": outcome.rows,
                                 "frames_per_second": None if outcome.rate is None else round(outcome.rate, 2)})
    return record


def write_record(folder, record: dict, quantity: str) -> None:
    """Write result.json into a folder whose other files are there, and name them in it."""
    names = sorted({path.name for path in folder.iterdir()} | {"result.json"})
    record["files"] = {name: _FILES.get(name, "").format(quantity=quantity) for name in names}
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / "result.json").write_text(text, encoding="utf-8", errors="backslashreplace")
