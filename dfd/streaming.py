"""Depth of one differential quadruple after another, as they come: constant memory, no array of an image's size per frame.

    for result in dfd.stream(quads, views=views):
        result.values, result.sigma         # dioptres, valid until the next map is asked for

One thread reads the next quadruple while this one is solved.  Two quadruples at most are alive, in buffers that are used
again and again, and so is the map.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterable
from dataclasses import replace
from queue import SimpleQueue

import numpy as np

from dfd import imaging
from dfd.capture import DifferentialQuad
from dfd.depthmap import DepthMap
from dfd.io.light import CLIPPED
from dfd.solvers import choose
from dfd.solvers.coupled import QuadPass
from dfd.threads import worker_count
from dfd.tiles import solve_tiled

SOLVER = "coupled-derivatives-tls"
"""What `solver="auto"` means for a sequence."""

_FORMS = {SOLVER: "total-least-squares", "coupled-derivatives": "least-squares"}
"""Rows of the table of solvers that have a pass which allocates no array of an image's size."""

_END = object()
_WHITE = {"uint16": 65535.0, "float32": 1.0}


def stream(quads, *, views=None, solver="auto", black_level=0.0, white_level=None, gains=(1.0, 1.0, 1.0, 1.0), warps=None,
           near=None, far=None, workers=None, copy=True):
    """A generator of one DepthMap [dioptre] per quadruple, in their order.

    quads         iterable of DifferentialQuad, or of (4, H, W) arrays, uint16 or float32, in the order power minus, power
                  plus, aperture minus, aperture plus; all of one size and type; NaN = no data
    views         for arrays: the View of each of the four images; captures bring their own
    solver        auto or a name that `dfd solvers` lists for a differential-quad; auto: coupled-derivatives-tls
    black_level, white_level   numbers in an array that are no light and full light; white_level: default 65535 for uint16, 1
                  for float32; what reaches white in integers is unknown
    gains         factors that the brightness of the four images is multiplied by, after black is subtracted: exposure and
                  pupil area are not divided out here; `views[k].noise` is that of the image after its gain
    warps         four (3, 3) maps, output px -> px of that image, or None where it lies on the grid already
    near, far     metres from the entrance pupil: a depth outside is unknown
    workers       threads that solve, default all cores
    copy          False: arrays are used where they lie, and one must then stay as it is until the next but one is asked for

    A map is valid until the next one is asked for: its arrays are filled again, so copy what is to be kept.  An error of the
    iterable comes when the map of its quadruple is asked for, after all the maps before it.  Closing the generator ends the
    thread, after what it is reading.
    Raises TypeError and ValueError in one line for arguments and quadruples that do not fit.
    """
    if isinstance(quads, np.ndarray) and quads.ndim == 3:
        raise TypeError(f"quads (one array of shape {quads.shape}) must be an iterable of quadruples; put it into a list")
    if isinstance(quads, DifferentialQuad) or not isinstance(quads, Iterable):
        raise TypeError(f"quads (a {type(quads).__name__}) must be an iterable of quadruples; put a single one into a list")
    gains = _checked_gains(gains)
    maps = None if warps is None else _checked_warps(warps)
    workers = worker_count(workers)
    feed = _Feed(views, maps, black_level, white_level, gains, copy)
    return _solve(quads, feed, solver, limits_of(near, far), workers)


def _solve(quads, feed, solver, limits, workers):
    reader, work, views = _Ahead(quads, feed.prepare), None, None
    try:
        while (item := reader.take()) is not _END:
            images, views_now, levels = item
            if work is None or (views_now is not views and views_now != views):
                work, views = _Work(solver, views_now, images.shape[1:], limits), views_now
            result = work.solve(images, workers=workers, **levels)
            reader.done()
            yield result
    finally:
        reader.close()


class _Ahead:
    """Items of an iterable, prepared one ahead by a thread; an item is alive from its reading until `done`, two at most."""

    def __init__(self, items, prepare):
        self._free, self._ready, self._ended = threading.Semaphore(2), SimpleQueue(), threading.Event()
        self._thread = threading.Thread(target=self._read, args=(items, prepare), name="dfd-stream", daemon=True)
        self._thread.start()

    def _read(self, items, prepare):
        try:
            items = iter(items)
            for number in itertools.count():
                self._free.acquire()
                if self._ended.is_set():
                    return
                item = next(items, _END)
                self._ready.put((item if item is _END else prepare(number, item), None))
                if item is _END:
                    return
        except BaseException as error:  # told where the item is taken, whatever it is
            self._ready.put((_END, error))

    def take(self):
        """The next item, _END after the last; raises what the reading of this item raised."""
        item, error = self._ready.get()
        if error is not None:
            raise error
        return item

    def done(self):
        """The item taken last is not needed any more."""
        self._free.release()

    def close(self):
        """End the thread, after what it is reading."""
        self._ended.set()
        self._free.release()
        self._thread.join()


class _Feed:
    """What the reading thread does with a quadruple: check it, and bring it into one of two buffers where that is needed."""

    def __init__(self, views, maps, black, white, gains, copy):
        self._views = None if views is None else tuple(views)
        self._maps, self._black, self._white, self._gains, self._copy = maps, black, white, gains, copy
        self._first, self._slots = None, {}

    def prepare(self, number, item):
        """(images, views, levels) of quadruple `number`: what `_Work.solve` takes."""
        images, views = self._opened(number, item)
        levels = {"black": 0.0, "white": 1.0, "gains": self._gains}
        if not isinstance(item, DifferentialQuad):
            white = _WHITE[images.dtype.name] if self._white is None else float(self._white)
            if not white > self._black:
                raise ValueError(f"white_level ({white:g}) must exceed black_level ({self._black:g}), in file units")
            levels |= {"black": float(self._black), "white": white}
        if self._maps is not None:
            images = self._warped(number, images, levels)
            levels |= {"black": 0.0, "white": 1.0}
        elif images.dtype.kind == "u" and images.max() >= _full(levels):
            images = self._known(number, images, _full(levels))
        elif not (images.flags.c_contiguous and images.dtype.isnative) or \
                (self._copy and not isinstance(item, DifferentialQuad)):
            slot = self._slot(number, images.shape, images.dtype.newbyteorder("="))
            np.copyto(slot, images)
            images = slot
        return images, views, levels

    def _opened(self, number, item):
        """(images, views), checked."""
        captured = isinstance(item, DifferentialQuad)
        images, views = (item.images, item.views) if captured else (item, self._views)
        if captured and self._views is not None:
            raise ValueError(f"quadruple {number} is a capture with views of its own; leave views out, or give arrays")
        if not isinstance(images, np.ndarray) or images.dtype.name not in _WHITE:
            raise TypeError(f"quadruple {number} ({getattr(images, 'dtype', type(images).__name__)}) must be a "
                            "DifferentialQuad or a NumPy array of uint16 or float32")
        if images.ndim != 3 or images.shape[0] != 4 or 0 in images.shape:
            raise ValueError(f"quadruple {number} (shape {images.shape}) must have axes (4, H, W)")
        if views is None:
            raise ValueError("arrays say nothing of their optics; give views, the View of each of the four images")
        found = images.shape, images.dtype.name
        if self._first is None:
            self._first = found
        if found != self._first:
            here, first = (f"{shape[2]} x {shape[1]} px of {name}" for shape, name in (found, self._first))
            raise ValueError(f"quadruple {number} is {here} but the first one {first}; all of a sequence have one size and "
                             "type")
        return images, views

    def _warped(self, number, images, levels):
        """Each image linear and on the common grid, resampled once: the one place where a map is applied to a frame."""
        slot = self._slot(number, images.shape, np.dtype(np.float32))
        for out, image, matrix in zip(slot, images, self._maps, strict=True):
            linearise(image, out, levels["black"], levels["white"])
            if matrix is not None:
                out[...] = imaging.warp(out, matrix)
        return slot

    def _known(self, number, images, full):
        """Codes of which some are saturated as the same numbers in floats, unknown where they are."""
        slot = self._slot(number, images.shape, np.dtype(np.float32))
        for out, image in zip(slot, images, strict=True):
            np.copyto(out, image)
            if image.max() >= full:
                beyond = np.greater_equal(image, full, out=self._slot(0, image.shape, np.dtype(bool)))
                np.copyto(out, np.float32(np.nan), where=beyond)
        return slot

    def _slot(self, number, shape, dtype):
        key = number % 2, dtype
        if key not in self._slots:
            self._slots[key] = np.empty(shape, dtype)
        return self._slots[key]


class _Work:
    """One solver for images of one size: its maps are filled again and again."""

    def __init__(self, solver, views, shape, limits):
        planned = DifferentialQuad(np.broadcast_to(np.float32(0), (4, *shape)), views)
        row = choose(planned, SOLVER if solver == "auto" else solver, limits)
        self._pass = _Whole(row, planned, limits) if row.name not in _FORMS else \
            QuadPass(views, shape, form=_FORMS[row.name], limits=limits)
        self._values, self._sigma = np.full((2, *shape), np.nan, np.float32)
        self._map = DepthMap(self._values, self._sigma, "metric", row.name)

    def solve(self, images, *, black, white, gains, workers):
        """The DepthMap of one quadruple."""
        self._pass.solve(images, self._values, self._sigma, gains=gains, black=black, white=white, workers=workers)
        return self._map


class _Whole:
    """Any row of the table of solvers: each quadruple is solved as a capture of its own."""

    def __init__(self, row, planned, limits):
        self._row, self._planned, self._limits = row, planned, limits
        self._images = np.empty(planned.images.shape, np.float32)

    def solve(self, images, values, sigma, *, gains, black, white, workers):
        """Fill values and sigma, (H, W) float32 [dioptre]."""
        for out, image, gain in zip(self._images, images, gains, strict=True):
            linearise(image, out, black, white)
            out *= np.float32(gain)
        found = solve_tiled(replace(self._planned, images=self._images), self._row, workers=workers, limits=self._limits)
        np.copyto(values, found.values)
        np.copyto(sigma, found.sigma)
        if self._limits is not None:
            outside = ~((values <= self._limits[0]) & (values >= self._limits[1]))
            values[outside] = sigma[outside] = np.nan


def linearise(image, out, black, white) -> None:
    """Fill `out`, (H, W) float32, with an image in file units as 0 = black, 1 = white; saturated integers are NaN."""
    np.subtract(image, np.float32(black), out=out, dtype=np.float32, casting="unsafe")
    out *= np.float32(1 / (white - black))
    if image.dtype.kind == "u":
        np.copyto(out, np.float32(np.nan), where=out >= CLIPPED)


def _full(levels):
    """The code from which a pixel counts as saturated."""
    return levels["black"] + CLIPPED * (levels["white"] - levels["black"])


def limits_of(near, far, offset: float = 0.0):
    """(nearest, farthest) inverse depth [dioptre] of two distances [m] from an origin `offset` [m] behind the pupil; None
    without any.  Raises ValueError for distances that hold nothing.
    """
    if near is None and far is None:
        return None
    near, far = 0.0 if near is None else near, math.inf if far is None else far
    if not 0 <= near < far:
        raise ValueError(f"near ({near:g} m) must be zero or positive and less than far ({far:g} m); are both in metres?")
    if far <= offset:
        raise ValueError(f"far ({far:g} m) must lie before the entrance pupil, which is {offset:g} m from the sensor mark")
    return math.inf if near <= offset else 1 / (near - offset), 1 / (far - offset)


def _checked_gains(gains):
    gains = tuple(float(gain) for gain in gains)
    if len(gains) != 4 or not all(math.isfinite(gain) and gain > 0 for gain in gains):
        raise ValueError(f"gains {gains} must be four positive factors, one per image")
    return gains


def _checked_warps(warps):
    """Four (3, 3) maps, None for the identity; None where all are."""
    if len(warps) != 4:
        raise ValueError(f"warps ({len(warps)}) must be four maps, one per image; None for an image that needs none")
    maps = [None if warp is None else imaging.full_matrix(warp) for warp in warps]
    maps = [None if warp is None or np.array_equal(warp, np.eye(3)) else warp for warp in maps]
    return None if all(warp is None for warp in maps) else maps
