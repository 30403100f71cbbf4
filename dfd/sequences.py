"""A sequence of differential quadruples in one page: files -> one map after another -> files of many pages.

    quads = open_sequence(inputs)            what the files and capture.toml say                     (dfd.io)
    prepared = prepare_first(quads, images)  brightness, noise and maps, from the first quadruple    (dfd.firstquad)
    for result in stream(...)                read, solve, write, all three at a time                 (dfd.streaming)
"""

from __future__ import annotations

import math
import os
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dfd.assemble import PREVIEW_PX, Clock
from dfd.capture import DifferentialQuad
from dfd.cautions import SATURATED
from dfd.depthmap import DepthMap
from dfd.firstquad import Prepared, captured, lenses_of, prepare_first, views_of
from dfd.io.codpickle import open_pickle
from dfd.io.folders import check_target, new_folder
from dfd.io.integrity import sha256
from dfd.io.light import CLIPPED
from dfd.io.maps import read_mask
from dfd.io.quadruples import Quadruples, is_pickle, open_quadruples
from dfd.io.results import Outcome, check_room
from dfd.io.sequencefiles import MapFiles, SequenceOutcome, sequence_record, write_record
from dfd.optics import ThinLens
from dfd.solvers import Limits, Solver, choose
from dfd.streaming import SOLVER, limits_of, stream
from dfd.threads import in_order, worker_count

_HARDLY = 0.01
"""Share of known pixels below which the result says so."""

_PAGES = 12
"""Bytes per pixel and quadruple of what is written."""


@dataclass(frozen=True, eq=False)
class Job:
    """A sequence that has been looked at and can be solved.

    lenses   of the four roles;   row   of the table of solvers;   limits   dioptres from the pupil, None for all
    offset   metres from the origin to the pupil;   written   bytes of the maps
    """

    quads: Quadruples
    lenses: list[ThinLens]
    row: Solver
    limits: Limits
    offset: float
    written: float


def open_sequence(inputs, *, lens=None, preview=False) -> Quadruples:
    """The sequence in a folder, a capture.toml, four files or a pickle of the published layout.

    lens   a LensProfile or the path of one;   preview   reduce the images to at most 1024 px
    Raises OSError for files and ValueError for values, in one line.
    """
    longest = PREVIEW_PX if preview else None
    if is_pickle(inputs):
        return open_pickle(inputs if isinstance(inputs, (str, Path)) else inputs[0], lens=lens, preview=longest)
    return open_quadruples(inputs, lens=lens, preview=longest)


def foresee_sequence(inputs, folder, *, solver="auto", lens=None, near=None, far=None, origin="pupil", min_confidence=0.0,
                     mask=None, preview=False, workers=None, force=False) -> Job:
    """What `run_sequence` with these options would start from; nothing is decoded or written, but for floats of pickles.

    Raises what `run_sequence` raises before it solves.
    """
    check_target(folder, force=force)
    quads = open_sequence(inputs, lens=lens, preview=preview)
    frame = quads.source.frames[quads.source.reference]
    offset = 0.0 if origin == "pupil" else quads.source.profile.sensor_offset(frame.settings)
    limits = limits_of(near, far, offset)
    lenses = lenses_of(quads)
    planned = DifferentialQuad(np.broadcast_to(np.float32(0), (4, *quads.shape)), views_of(quads, lenses))
    row = choose(planned, SOLVER if solver == "auto" else solver, limits)
    worker_count(workers)
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence ({min_confidence:g}) must lie between 0 and 1; 0 keeps everything")
    if mask is not None:
        read_mask(mask, quads.shape)
    for path in quads.inputs:
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise OSError(f"{folder}: holds the input {path}, which would be deleted; choose another -o DIR")
    written = _PAGES * quads.count * quads.shape[0] * quads.shape[1]
    check_room(folder, written)
    return Job(quads, lenses, row, limits, offset, written)


def run_sequence(inputs, folder, *, solver="auto", lens=None, align="auto", near=None, far=None, origin="pupil", mask=None,
                 min_confidence=0.0, preview=False, workers=None, force=False, extras=(), opened=None,
                 progress=None) -> SequenceOutcome:
    """Everything `dfd depth` does with a sequence.

    align       auto | none (images are taken as registered)
    near, far   metres from `origin` (pupil | sensor);   mask   path of an image of the maps' size, 0 = leave out
    extras      functions (folder, SequenceOutcome, record) that add files to the folder
    opened      called with the Source before anything is solved;   progress   called with (stage, done, total)
    Brightness, noise and the maps of the images are those of the first quadruple.  Writes `folder` whole or not at all.
    Raises OSError for files and ValueError for values, both in one line that names the next step.
    """
    clock = Clock()
    job = foresee_sequence(inputs, folder, solver=solver, lens=lens, near=near, far=far, origin=origin, mask=mask,
                           min_confidence=min_confidence, preview=preview, workers=workers, force=force)
    quads = job.quads
    keep = np.ones(quads.shape, bool) if mask is None else read_mask(mask, quads.shape)
    digests = _digests(quads.inputs, worker_count(workers))
    clock.stop("open")
    if opened is not None:
        opened(quads.source)
    first = np.empty((4, *quads.shape), quads.dtype)
    quads.read(0, first)
    prepared = prepare_first(quads, first, align=align)
    clock.stop("prepare")
    outcome = SequenceOutcome(quads.names, quads.truths)
    with new_folder(folder, force=force) as temporary:
        common = _outcome(job, prepared, digests, origin)
        common["parameters"] = {"align": align, "near_m": near, "far_m": far, "mask": None if mask is None else str(mask),
                                "min_confidence": min_confidence, "reduction": quads.reduction, "workers": workers}
        common["warnings"] = prepared.warnings + _remarks(job, captured(quads, first, prepared), workers)
        del first
        _solve_all(job, prepared, outcome, common, temporary, keep=keep, least=min_confidence, workers=workers,
                   progress=progress)
        clock.stop("solve")
        outcome.shown = {name: replace(item, timings=clock.stages,
                                       warnings=item.warnings + _saturation(outcome) + _emptiness(outcome))
                         for name, item in outcome.shown.items()}
        record = sequence_record(outcome)
        for extra in extras:
            extra(temporary, outcome, record)
        clock.stop("report")
        record["timings_s"] = dict(clock.stages)
        write_record(temporary, record, outcome.middle.quantity)
    return outcome


def _solve_all(job, prepared, outcome, common, folder, *, keep, least, workers, progress):
    """Solve and write every quadruple; `outcome` takes what is to be said of them."""
    from dfd.kernels.metres import fill_metres

    quads, typical = job.quads, None
    kept = {0: "first", (quads.count - 1) // 2: "middle", quads.count - 1: "last"}
    report = (lambda *_: None) if progress is None else progress
    report("solve", 0, quads.count)
    quantity = Outcome(result=DepthMap(*np.zeros((2, 1, 1), np.float32), "metric"), **common).quantity
    near, far = (None, None) if job.limits is None else (1 / limit if limit else math.inf for limit in job.limits)
    shares = []
    maps = stream(_arrays(quads, shares), views=prepared.views, solver=job.row.name, black_level=quads.black,
                  white_level=quads.white, gains=prepared.gains, warps=prepared.warps, near=near, far=far, workers=workers,
                  copy=False)
    with closing(maps), MapFiles(folder, quads.count, quads.shape, quantity=quantity, origin=common["origin"],
                                 offset=job.offset) as files:
        for number, result in enumerate(maps):
            if typical is None:
                typical = max(float(np.nanmedian(result.sigma)) if np.isfinite(result.sigma).any() else 1.0, 1e-30)
            depth, sigma, trust = files.buffers
            known = fill_metres(result.values, result.sigma, keep, tuple(map(np.float32, (job.offset, typical, least))),
                                depth, sigma, trust)
            outcome.add(depth, sigma, known, shares[number])
            if number in kept:
                shown = DepthMap(result.values.copy(), result.sigma.copy(), "metric", result.method).keep(~np.isnan(depth))
                outcome.shown[kept[number]] = Outcome(result=shown, confidence=trust.copy(), **common)
            files.write()
            outcome.begun = time.perf_counter() if number == 0 else outcome.begun
            report("solve", number + 1, quads.count)
    outcome.ended = time.perf_counter()
    for name in ("first", "middle", "last"):  # of fewer than three
        outcome.shown.setdefault(name, next(iter(outcome.shown.values())))


def _remarks(job, capture, workers):
    """What the solver has to say of the first quadruple."""
    result, = stream([capture], solver=job.row.name, workers=workers)
    return tuple(f"first quadruple: {text}" for text in job.row.remarks(capture, result))


def _emptiness(outcome):
    """A sentence when hardly a pixel has a depth."""
    empty = [row["name"] for row in outcome.rows if row["density"] < _HARDLY]
    if not empty:
        return ()
    return (f"less than {_HARDLY:.0%} of the pixels have a depth in {len(empty)} of {len(outcome.rows)} quadruples, first "
            f"in {empty[0]}: no texture, wrong optics, or all is outside --mask, --near, --far or --min-confidence",)


def _saturation(outcome):
    """A sentence when a quadruple after the first, of which `cautions.saturated` tells, is saturated."""
    told = [row["name"] for row in outcome.rows if row["saturated"] > SATURATED]
    if not told or told == [outcome.names[0]]:
        return ()
    return (f"more than {SATURATED:g} of an image is saturated or NaN in {len(told)} of {len(outcome.rows)} quadruples, "
            f"first in {told[0]}: depth stays unknown there; expose shorter; the rows of result.json tell each share",)


def _missing(quads, images):
    """The largest share of pixels in one of the four images that are saturated or NaN."""
    if quads.dtype.kind == "f":
        return max(np.count_nonzero(np.isnan(image)) / image.size for image in images)
    full = quads.black + CLIPPED * (quads.white - quads.black)
    return max(np.count_nonzero(image >= full) / image.size if image.max() >= full else 0.0 for image in images)


def _arrays(quads, shares):
    """The quadruples, read into two arrays in turn; what is missing in each goes into the list `shares`."""
    buffers = [np.empty((4, *quads.shape), quads.dtype) for _ in range(min(2, quads.count))]
    for number in range(quads.count):
        out = buffers[number % 2]
        quads.read(number, out)
        shares.append(_missing(quads, out))
        yield out


def _outcome(job, prepared: Prepared, digests, origin) -> dict:
    """What the Outcomes of all maps share."""
    quads, views = job.quads, prepared.views
    height, width = quads.shape
    lens = views[quads.source.reference].lens
    return {"source": quads.source, "intrinsics": (lens.fx, lens.fx, (width - 1) / 2, (height - 1) / 2), "origin": origin,
            "origin_offset": job.offset, "gains": prepared.gains, "noises": tuple(view.noise for view in views),
            "noise_from": prepared.noise_from, "solver": job.row.name, "inputs": digests}


def _digests(paths, workers):
    """(path, sha256) of every file."""
    found = in_order(sha256, paths, workers)
    return tuple((str(path), digest) for path, digest in zip(paths, found, strict=True))
