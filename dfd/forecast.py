"""What a job will need before it starts: memory, disk and time; `dfd depth --dry-run`.

Bytes follow from what each stage holds at once.  Seconds are those of a core at about 2.5 GHz (benchmarks/README.md) with
compiled loops, divided over the workers where a stage uses them: a rough guide, not a promise.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from dfd.assemble import outline, reduction_of
from dfd.io.frames import image_size
from dfd.io.results import output_bytes
from dfd.io.scratch import in_memory, lies_in_memory, scratch_bytes, scratch_folder
from dfd.io.sources import Source
from dfd.solvers import Limits, Solver
from dfd.threads import worker_count
from dfd.tiles import check_tile, cut, tile_size

_PROGRAM = 390e6
"""Bytes of the interpreter, its packages and the compiled loops."""

_PYRAMID, _ALIGNED, _FRAME, _STACK = 8, 14, 0.6e6, 20e6
"""Bytes per pixel of a pyramid, and more while it is aligned; its finest level has at most so many pixels per frame and in
all."""

_CELLS, _SMALL, _AROUND, _CHOICE, _GROUPS = 0.3e6, 8, 4, 44, 16
"""Most pixels of the small image of a frame that brightness is matched on; bytes of one, twice; of what is kept of it until
the all-in-focus image is made; and of the choice between at most so many groups of frames, per group."""

_DECODING, _PICTURE, _MAPS, _FUSING, _WRITING = 20, 12, 8, 32, 28
"""Bytes per pixel of a frame being decoded, its colours, depth and sigma, the all-in-focus image being made, and of what
is written."""

_RESTORING, _FILTERS, _BLOCKS, _BLOCK = 50, 200, 60, 0.4e6
"""Bytes per pixel of what the restoration of a capture that is no stack needs beside its pictures; per frame and pixel of a
block of at most so many pixels: the filters of all depths, and the block of each worker."""

_DECODE_NS, _PICTURE_NS, _REGISTER_NS, _WRITE_NS = 45, 33, 18, 250
"""Core nanoseconds per pixel and frame, and (the last two) per pixel."""

_RESTORE_NS, _FILTER_NS, _MOST_FILTERS, _RESTORED_TILE = 1500, 50, 96, 512
"""Core nanoseconds per pixel and frame of a restoration; per frame and pixel of a block, of each filter that is made once,
at most so many; side [px] of its tiles, beyond whose number workers do not help.  Slants of 600 x 400 px: 3.6 core seconds
for an aperture pair, 4.9 for a dual-pixel pair, 6.5 for four views; of 1500 x 1000 px 5.4 for a dual-pixel pair."""

_START_S, _ALIGN_S = 2.5, 0.1
"""Core seconds of start and report, and per frame of the alignment, most of which runs on one core."""

COMPILE_S = 28
"""Core seconds that the loops take to compile when a machine runs them for the first time."""


@dataclass(frozen=True)
class Forecast:
    """frames of (H, W) px as they are solved; memory and disk [bytes]; seconds per stage; output [bytes] of the folder,
    least_output [bytes] of that whatever the images show.

    tile   side of a tile [px];   workers   threads
    """

    frames: int
    shape: tuple[int, int]
    memory: float
    disk: float
    output: float
    least_output: float
    seconds: dict[str, float]
    tile: int
    workers: int


def forecast(source: Source, solver: Solver, *, align="auto", preview=False, tile: int | None = None,
             workers: int | None = None, limits: Limits = None) -> Forecast:
    """What solving this source will take; nothing is decoded.  Raises ValueError for a tile or workers that cannot be."""
    count, size = len(source.frames), image_size(source.frames[0].path)
    reduction, workers = reduction_of(source, preview), worker_count(workers)
    height, width = shape = tuple(length // reduction for length in size)
    full, pixels = size[0] * size[1], height * width
    capture = outline(source, reduction)
    halo = solver.halo(capture, limits)
    if tile is not None:
        check_tile(tile, halo)
    again = 0 if math.isinf(halo) else halo  # px around a tile that are solved with it
    side = tile_size(capture, solver, workers, limits) if tile is None else min(tile, max(shape))
    room = 4 * count * pixels if in_memory((count, *shape)) else 0
    moved, stack, cells = align != "none", source.kind == "focal-stack", _cells(shape)
    restored = not stack and source.pictured
    pyramids = (_PYRAMID + _ALIGNED * moved) * min(count * pixels, count * _FRAME, _STACK) + _SMALL * count * cells
    around = _AROUND * count * cells if stack else 0
    tiles = _tiles(capture, solver, side, workers, limits, whole=tile is None)
    choice, pictures = _CHOICE * min(count, _GROUPS) * cells, 2 * _PICTURE * full
    peak = max(room + pyramids + workers * _DECODING * full, room + tiles + around + _MAPS * pixels,
               (_MAPS + _FUSING) * pixels + around + max(choice, pictures) if stack else 0,
               _restoring(count, pixels, workers) if restored else 0,
               (_MAPS + _FUSING + _WRITING) * pixels + around)
    cores = min(workers, os.cpu_count() or 1)
    seconds = {"decode": _DECODE_NS * full * count / 1e9 / cores, "align": _ALIGN_S * count if moved else 0,
               "register": _REGISTER_NS * pixels * count / 1e9 / cores if moved else 0,
               "solve": solver.cost(capture, limits) * pixels * (1 + 2 * again / side) ** 2 / 1e9 / cores,
               "all-in-focus": _PICTURE_NS * full * count * (stack or restored) / 1e9
                               + _restore_seconds(count, shape, cores) * restored,
               "start and write": _START_S + _WRITE_NS * pixels / 1e9}
    least, most = output_bytes(pixels, metric=source.scale == "metric", pictures=stack or restored)
    disk = scratch_bytes((count, *shape))
    memory = _PROGRAM + peak + (disk if disk and lies_in_memory(scratch_folder()) else 0)
    return Forecast(count, shape, memory, disk, most, least, seconds, side, workers)


def _restoring(count, pixels, workers):
    """Bytes of the maps, all pictures at once, and the work on them."""
    block = _block(pixels)
    return (_MAPS + _PICTURE * count + _RESTORING) * pixels + (_FILTERS + _BLOCKS * workers) * count * block


def _block(pixels):
    """Pixels of a tile of a picture of so many, with its border."""
    return min(2 * pixels, _BLOCK)


def _restore_seconds(count, shape, cores):
    """Seconds of undoing blur: filters for all depths, which small pictures need as many of, and work on every pixel."""
    pixels, tiles = shape[0] * shape[1], math.prod(math.ceil(length / _RESTORED_TILE) for length in shape)
    busy = _FILTER_NS * _MOST_FILTERS * _block(pixels) + _RESTORE_NS * pixels
    return busy * count / min(cores, tiles) / 1e9


def _cells(shape):
    """Pixels of the small image of a frame of this shape: sides are reduced by a whole factor."""
    factor = max(1, math.ceil(math.sqrt(shape[0] * shape[1] / _CELLS)))
    return (shape[0] // factor) * (shape[1] // factor)


def _tiles(capture, solver, side, workers, limits, *, whole):
    """Bytes of the tiles that are in work at once."""
    pieces = cut(capture.shape, side, solver.halo(capture, limits), workers, whole=whole)
    sizes = {tuple(part.stop - part.start for part in outer) for outer, _, _ in pieces}
    return min(workers, len(pieces)) * max(solver.memory(capture, size, limits) for size in sizes)
