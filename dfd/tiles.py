"""Solve a capture tile by tile: memory follows the size of a tile, not the number of frames or megapixels.

The one owner of tiling.  A tile is cut with a halo as wide as the solver's reach, solved like a small capture, and its
inside is kept; so the result is that of the whole, up to rounding.  Tiles run in threads: the kernels release the lock.
"""

from __future__ import annotations

import bisect
import itertools
import math

import numpy as np

from dfd.backend import array_module, to_device
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers import Limits, Solver
from dfd.threads import in_order, worker_count

LEAST_TILE_PX = 64
"""Smallest side of a tile without its halo; below it the halo is nearly all of the work."""


def solve_tiled(capture: Capture, solver: Solver, *, tile: int | None = None, workers: int | None = None,
                device: str = "cpu", limits: Limits = None, progress=None) -> DepthMap:
    """The depth map of a capture by a row of `solvers.SOLVERS`; the arrays are where the capture's images are, or on
    the device.

    tile       side [px] of a tile without its halo, at least LEAST_TILE_PX; None: what fits solver.room, or the picture as
               one piece for a solver whose halo is infinite
    workers    threads; None: all cores (one on a GPU, whose memory the tiles share)
    device     "cpu", "cuda" or "auto": where each tile is solved
    limits     (nearest, farthest) inverse depth [dioptre]: the solver may leave out what lies beyond
    progress   called as progress(done, total) pixels
    Raises ValueError for a tile below LEAST_TILE_PX px or fewer than one worker, and what the solver raises.
    """
    xp = array_module(capture.images)
    owner = array_module(to_device(np.zeros(1, np.float32), device)) if xp is np else xp
    workers = worker_count(workers) if owner is np else 1
    halo = solver.halo(capture, limits)
    if tile is not None:
        check_tile(tile, halo)
    side = tile_size(capture, solver, workers, limits) if tile is None else tile
    pieces = cut(capture.shape, side, halo, workers, whole=tile is None)
    values, sigma, picture = (owner.empty(capture.shape, dtype=np.float32) if wanted else None
                              for wanted in (True, True, solver.restores))
    done, total = 0, capture.shape[0] * capture.shape[1]

    def solve(piece):
        outer, inner, place = piece
        images = capture.images[:, *outer]
        if xp is np:
            images = to_device(np.ascontiguousarray(images, dtype=np.float32), device)
        part = solver.function(capture.cut(images, outer[0].start, outer[1].start), limits=limits)
        values[place], sigma[place] = part.values[inner], part.sigma[inner]
        if picture is not None:
            picture[place] = part.picture[inner]
        return values[place].size

    if progress is not None:
        progress(0, total)
    for pixels in in_order(solve, pieces, workers):
        done += pixels
        if progress is not None:
            progress(done, total)
    return DepthMap(values, sigma, capture.scale, solver.name, picture)


def check_tile(tile: int, halo: int) -> None:
    """Raises ValueError for a tile that somebody asked for and that would be hardly more than its halo, or for a solver of
    whole pictures."""
    if math.isinf(halo):
        raise ValueError(f"tile ({tile} px): this solver fits the whole picture at once; leave it out, or use --preview for "
                         "less memory")
    if tile < LEAST_TILE_PX:
        raise ValueError(f"tile ({tile} px) must be at least {LEAST_TILE_PX} px, beside a halo of {halo} px on every side; "
                         "give a larger one, or leave it out for what fits the memory")


def tile_size(capture: Capture, solver: Solver, workers: int, limits: Limits = None) -> int:
    """Side [px] of the largest tiles, without their halo, that fit solver.room with so many in work; at least
    LEAST_TILE_PX, at most the longer side of the image; that for a solver of whole pictures.
    """
    shape = capture.shape
    if math.isinf(solver.halo(capture, limits)):
        return max(shape)
    sides = range(min(LEAST_TILE_PX, max(shape)), max(shape) + 1)
    fitting = bisect.bisect_right(sides, solver.room, key=lambda side: workers * tile_bytes(capture, solver, side, limits))
    return sides[max(fitting - 1, 0)]


def tile_bytes(capture: Capture, solver: Solver, side: int, limits: Limits = None) -> int:
    """Bytes that solving one tile with its halo takes."""
    halo = solver.halo(capture, limits)
    return solver.memory(capture, tuple(min(side + 2 * halo, length) for length in capture.shape), limits)


def cut(shape: tuple[int, int], tile: int, halo: int, workers: int = 1, *, whole: bool = False):
    """Tiles as (outer slices, inner slices within the outer, place in the whole); equal sizes of at most `tile` px.

    whole   at least one tile per worker, where that leaves them LEAST_TILE_PX high
    """
    rows, columns = (math.ceil(length / tile) for length in shape)
    if whole and rows * columns < workers and math.isfinite(halo):
        rows = max(rows, min(workers, shape[0] // LEAST_TILE_PX))
    pieces = []
    for top, bottom in _edges(shape[0], rows):
        for left, right in _edges(shape[1], columns):
            outer = (slice(max(top - halo, 0), min(bottom + halo, shape[0])),
                     slice(max(left - halo, 0), min(right + halo, shape[1])))
            inner = tuple(slice(start - out.start, stop - out.start)
                          for (start, stop), out in zip(((top, bottom), (left, right)), outer, strict=True))
            pieces.append((outer, inner, (slice(top, bottom), slice(left, right))))
    return pieces


def _edges(length, count):
    places = [round(length * k / count) for k in range(count + 1)]
    return list(itertools.pairwise(places))
