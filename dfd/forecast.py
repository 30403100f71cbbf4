"""What a job will need before it starts: memory, disk and time; `dfd depth --dry-run`.

Bytes follow from what each stage holds at once.  Seconds are those of a machine with 2 cores at about 2.5 GHz
(benchmarks/README.md), divided over the workers where a stage uses them: a rough guide, not a promise.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from dfd.assemble import reduction_of
from dfd.io.frames import image_size, is_raw
from dfd.io.scratch import in_memory, scratch_bytes
from dfd.io.sources import Source
from dfd.solvers import Solver
from dfd.tiles import tile_bytes, tile_size, worker_count

_PROGRAM = 350e6
"""Bytes of the interpreter, its packages and the compiled loops."""

_PYRAMID, _FRAME, _STACK, _COARSE = 22, 0.6e6, 20e6, 1.2e6
"""Bytes per pixel of a pyramid, whose finest level has at most so many pixels per frame and in all; bytes of the small
image of a frame that brightness is matched on."""

_DECODING, _PICTURE, _MAPS, _FUSING, _WRITING = 20, 12, 8, 32, 22
"""Bytes per pixel of a frame being decoded, its colours, depth and sigma, the all-in-focus image being made, and of what
is written."""

_DECODE_NS, _PICTURE_NS, _REGISTER_NS, _SOLVE_NS, _SOLVE_PIXEL_NS, _WRITE_NS = 45, 30, 60, 45, 900, 250
"""Core nanoseconds per pixel and frame, and (the last two) per pixel."""

_START_S, _ALIGN_S = 2.5, 0.15
"""Core seconds of start and report, and per frame of the alignment."""


@dataclass(frozen=True)
class Forecast:
    """frames of (H, W) px as they are solved; memory and disk [bytes]; seconds per stage; output [bytes] of the folder.

    tile   side of a tile [px];   workers   threads
    """

    frames: int
    shape: tuple[int, int]
    memory: float
    disk: float
    output: float
    seconds: dict[str, float]
    tile: int
    workers: int


def forecast(source: Source, solver: Solver, *, align="auto", preview=False, tile: int | None = None,
             workers: int | None = None) -> Forecast:
    """What solving this source will take; nothing is decoded.  Raises ValueError for a tile or workers that cannot be."""
    count, size = len(source.frames), image_size(source.frames[0].path)
    reduction, workers = reduction_of(source, preview), worker_count(workers)
    height, width = shape = tuple(length // reduction for length in size)
    full, pixels = size[0] * size[1], height * width
    side = min(tile or tile_size(count, shape, solver.halo, workers), max(shape))
    room = 4 * count * pixels if in_memory((count, *shape)) else 0
    pyramids = _PYRAMID * min(count * pixels, count * _FRAME, _STACK) + _COARSE * count
    tiles = min(workers * (side + 2 * solver.halo) ** 2, 2 * pixels) * tile_bytes(count)
    stack = source.kind == "focal-stack"
    peak = max(room + pyramids + workers * _DECODING * full, room + tiles + _MAPS * pixels,
               (_MAPS + _FUSING) * pixels + 2 * _PICTURE * full if stack else 0, (_MAPS + _FUSING + _WRITING) * pixels)
    cores = min(workers, os.cpu_count() or 1)
    threaded = {"decode": _DECODE_NS * full * count, "align": 0 if align == "none" else _ALIGN_S * 1e9 * count,
                "register": 0 if align == "none" else _REGISTER_NS * pixels * count,
                "solve": (_SOLVE_NS * count + _SOLVE_PIXEL_NS) * pixels * (1 + 2 * solver.halo / side) ** 2,
                "all-in-focus": _PICTURE_NS * full * count if stack else 0}
    seconds = {stage: work / 1e9 / cores for stage, work in threaded.items()}
    seconds["start and write"] = _START_S + _WRITE_NS * pixels / 1e9
    raws = any(is_raw(frame.path) for frame in source.frames)
    output = pixels * (12 + 6 + 2 + (15 if source.scale == "metric" else 0) + (1 if raws else 0.5)) + 4e6
    return Forecast(count, shape, _PROGRAM + peak, scratch_bytes((count, *shape)), output, seconds, side, workers)
