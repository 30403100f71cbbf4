"""The main job in one page: files -> registered capture -> depth map -> all-in-focus image -> files.

    source = open_source(inputs)            what the files and capture.toml say          (dfd.io)
    prepared = prepare_capture(source)      decode, brightness, breathing, alignment     (dfd.assemble)
    result = estimate_depth(capture)        a solver                                     (dfd.solvers)
    outcome = run(inputs, folder)           all of it, and the folder of results         (dfd.io, dfd.report)
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from dfd.allfocus import coloured, fused, restored, views_of
from dfd.anchors import anchored, disagreements
from dfd.assemble import Clock, outline, prepare_capture, reduction_of
from dfd.backend import array_module, to_device
from dfd.capture import Capture, FocalStack
from dfd.depthmap import DepthMap
from dfd.forecast import Forecast, forecast
from dfd.imaging import reduce
from dfd.io.digests import digests
from dfd.io.frames import image_size
from dfd.io.maps import read_mask
from dfd.io.results import Outcome, check_room, check_target, write_results
from dfd.io.scratch import check_space
from dfd.io.sources import Source, open_source
from dfd.refine import fill, smooth
from dfd.rimfill import fill_from_votes
from dfd.solvers import choose
from dfd.streaming import limits_of
from dfd.threads import worker_count
from dfd.tiles import check_tile, solve_tiled

_EDGE, _ALIKE_PX = 0.5, 8.0
"""Step in the all-in-focus image, over its standard deviation, that nothing is smoothed across; px over which errors of
depth are taken to be alike."""

_MOST_SMOOTH_PX = 24
"""Largest radius of smoothing: surfaces are not planes over more."""

_HARDLY = 0.01
"""Share of known pixels below which the result says so."""


def read_capture(inputs, *, kind="auto", lens=None, focus_distances=None, align="auto", reference=None, side=None,
                 swap=None, axis=None, y_scale=None, preview=False, workers=None, progress=None) -> Capture:
    """Files -> a registered capture of the kind that they show: the Python door to any solver.

    inputs            a folder, a capture.toml, or a list of image files
    kind              auto | focal-stack | aperture-pair | dual-pixel | differential-quad | views
    lens              LensProfile or path of its JSON;   focus_distances   metres, one per file
    align             auto | none (frames are taken as registered) | path of a transforms.json of an earlier run
    reference         number of the frame whose pixel grid the result has;   side   near | far, for an aperture pair
    swap, axis, y_scale    of a dual-pixel pair: exchange its views, the axis that they differ along, height of a pixel
                      over its width
    preview           reduce the images to at most 1024 px;   workers   frames decoded at a time, default all cores
    progress          called with (stage, done, total)
    Raises OSError for files and ValueError for values, both in one line that names the next step.
    """
    source = open_source(inputs, kind=kind, lens=lens, focus_distances=focus_distances, reference=reference, side=side,
                         swap=swap, axis=axis, y_scale=y_scale)
    prepared = prepare_capture(source, align=align, preview=preview, workers=workers, progress=progress)
    for text in (*source.warnings, *prepared.warnings):
        warnings.warn(text, stacklevel=2)
    return prepared.capture


def estimate_depth(capture: Capture, *, solver="auto", device="auto", near=None, far=None, tile=None, workers=None,
                   progress=None) -> DepthMap:
    """Solve a capture, tile by tile; the maps are where its images are.

    solver      auto, a name that `dfd solvers` lists, or a `dfd.solvers.Solver` of your own;   device   auto | cpu | cuda
    near, far   metres from the entrance pupil: a depth outside is unknown (metric captures only)
    tile        side of a tile [px], default what fits the memory;   workers   tiles at a time, default all cores
    Raises ValueError for an unknown solver, a device that is not there, a tile that is too small or a range that does not
    fit, TypeError for a solver that does not take this kind.
    """
    limits = None if near is None and far is None else _limits(capture.scale, near, far, 0.0)
    lens, searched = capture.lens_map, _searched(capture, limits)
    row = choose(capture, solver, searched)
    result = solve_tiled(capture, row, tile=tile, workers=workers, device=device, limits=searched,
                         progress=None if progress is None else lambda *at: progress("solve", *at))
    told, solved = row.remarks(capture, result), result
    if lens is not None:
        result = lens(solved)
        told += lens.remarks(solved, result)
    for text in told:
        warnings.warn(text, stacklevel=2)
    return result if limits is None else _within(result, limits)


def run(inputs, folder, *, kind="auto", solver="auto", lens=None, device="auto", focus_distances=None, align="auto",
        reference=None, side=None, swap=None, axis=None, y_scale=None, near=None, far=None, origin="pupil", mask=None,
        min_confidence=0.0, smoothing=None, fill_unknown=False, preview=False, tile=None, workers=None, force=False,
        extras=(), opened=None, progress=None) -> Outcome:
    """The main job: everything `dfd depth` does, with its options, and what it leaves behind.

    near, far        metres from `origin`;   mask   path of an image of the frames' size, 0 = leave out
    smoothing        px; depth is smoothed so far around a pixel, not across edges of the all-in-focus image
    fill_unknown     fill unknown depth, of a stack by its weaker evidence, else from around it; its sigma stays unknown
    tile, workers    see estimate_depth
    extras           functions that add files to the folder, see write_results;   progress   see read_capture
    opened           called with the Source before anything is decoded: its scale and what it lacks are known by then
    Writes `folder` whole or not at all.  Raises as read_capture and estimate_depth do, OSError for the folder.
    """
    check_target(folder, force=force)
    clock = Clock()
    source = open_source(inputs, kind=kind, lens=lens, focus_distances=focus_distances, reference=reference, side=side,
                         swap=swap, axis=axis, y_scale=y_scale)
    offset = _offset(source, origin)
    limits = None if near is None and far is None else _limits(source.result_scale, near, far, offset)
    planned = outline(source, reduction_of(source, preview))
    bounds = _searched(planned, limits)
    row = choose(planned, solver, bounds)
    used = _check_options(source, folder, row.halo(planned, bounds), min_confidence, device, tile, workers, smoothing)
    _check_room(folder, forecast(source, row, align=align, preview=preview, tile=tile, workers=workers, limits=bounds))
    keep = None if mask is None else read_mask(mask, image_size(source.frames[0].path))
    inputs = digests(source.frames, worker_count(workers))
    clock.stop("open")
    if opened is not None:
        opened(source)
    prepared = prepare_capture(source, align=align, preview=preview, workers=workers, progress=progress)
    clock.stages |= prepared.timings
    clock.stop()
    capture, views, lens = prepared.capture, views_of(prepared), prepared.capture.lens_map
    result = solve_tiled(capture, row, tile=tile, workers=workers, device=device, limits=bounds,
                         progress=None if progress is None else lambda *at: progress("solve", *at)).numpy()
    remarks, picture = row.remarks(capture, result), result.picture
    finished, told = _held_to_known(source, result if lens is None else lens(result, origin=origin), prepared.reduction)
    confidence = finished.trust
    result = (finished if lens is None else result).keep(confidence >= min_confidence)  # pictures are as the lens saw them
    clock.stop("solve")
    coordinates = capture.coordinates if isinstance(capture, FocalStack) else None
    intrinsics = _intrinsics(prepared)
    voted = fill_from_votes(result.values, capture) if fill_unknown and coordinates is not None else result.values
    del capture
    prepared = replace(prepared, capture=None)  # its images are not needed any more
    all_in_focus, index = coloured(prepared, picture) if picture is not None else \
        restored(prepared, views, result, workers, progress) if coordinates is None else \
        fused(prepared, coordinates, result, progress)
    if smoothing is not None:
        result = _smoothed(result, all_in_focus, smoothing)
    if fill_unknown:  # the nearest known depth is that of the smoothed map: else seams
        result = replace(result, values=fill(np.where(result.valid, result.values, voted)))
    solved = result
    if lens is not None:
        result = lens(solved, origin=origin)
        told += lens.remarks(solved, result)
    measured = None if lens is None else lens.figures(solved, result, origin=origin)
    if limits is not None:
        result = _within(result, limits)
    if keep is not None:
        result = result.keep(reduce(keep.astype(np.float32), prepared.reduction) >= 0.5)
    clock.stop("all-in-focus")
    outcome = Outcome(
        result=result, confidence=np.where(result.valid & np.isfinite(result.sigma), confidence, np.float32(0)),
        source=source, all_in_focus=all_in_focus, index=index, transforms=prepared.transforms,
        coordinates=coordinates, intrinsics=intrinsics, origin=origin, origin_offset=offset, solver=row.name, device=used,
        timings=clock.stages,
        parameters={"align": str(align), "near_m": near, "far_m": far, "mask": None if mask is None else str(mask),
                    "min_confidence": min_confidence, "smooth_px": smoothing, "fill": fill_unknown,
                    "reduction": prepared.reduction, "tile_px": tile, "workers": workers},
        kept=prepared.kept, gains=tuple(float(gain) for gain in prepared.gains),
        noises=tuple(view.noise for view in views),
        noise_from=prepared.noise_from, lens_map=measured,
        warnings=prepared.warnings + remarks + told + _emptiness(result, 0.0 if row.sparse else _HARDLY), inputs=inputs,
    )
    del finished, solved, confidence, voted, picture  # maps of the size of the picture; the outcome holds what is written
    record = write_results(folder, outcome, force=force, extras=extras)
    return replace(outcome, timings=record["timings_s"])


def foresee(inputs, folder, *, kind="auto", solver="auto", lens=None, focus_distances=None, align="auto", reference=None,
            side=None, swap=None, axis=None, y_scale=None, near=None, far=None, origin="pupil", smoothing=None,
            preview=False, tile=None, workers=None, force=False) -> tuple[Source, Forecast]:
    """What `run` with these options would start from, and what it would need; nothing is decoded or written.

    Raises what `run` raises before it decodes.
    """
    check_target(folder, force=force)
    source = open_source(inputs, kind=kind, lens=lens, focus_distances=focus_distances, reference=reference, side=side,
                         swap=swap, axis=axis, y_scale=y_scale)
    limits = None if near is None and far is None else _limits(source.result_scale, near, far, _offset(source, origin))
    planned = outline(source, reduction_of(source, preview))
    bounds = _searched(planned, limits)
    row = choose(planned, solver, bounds)
    _check_options(source, folder, row.halo(planned, bounds), 0.0, "cpu", tile, workers, smoothing)
    expected = forecast(source, row, align=align, preview=preview, tile=tile, workers=workers, limits=bounds)
    _check_room(folder, expected)
    return source, expected


def _held_to_known(source, result, reduction):
    """(the map, sentences): an affine map made metric by known depths, a metric one compared with them."""
    if not source.known_depths:
        return result, ()
    if result.scale == "metric":
        return result, disagreements(result, source.known_depths, reduction=reduction)
    return anchored(result, source.known_depths, reduction=reduction)


def _smoothed(result, picture, radius):
    """The map smoothed within edges of the all-in-focus image."""
    guide = picture.mean(axis=2)
    tolerance = max(_EDGE * float(np.nanstd(guide)), 1e-6)
    values, sigma = smooth(result.values, result.sigma, guide, radius=radius, tolerance=tolerance, correlation=_ALIKE_PX)
    return replace(result, values=values, sigma=sigma)


def _check_options(source, folder, halo, min_confidence, device, tile, workers, smoothing):
    """What can be refused before the minutes of decoding is refused here; "cpu" or "cuda", what `device` amounts to."""
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence ({min_confidence:g}) must lie between 0 and 1; 0 keeps everything")
    if smoothing is not None and not 1 <= smoothing <= _MOST_SMOOTH_PX:
        raise ValueError(f"smooth ({smoothing} px) must be a radius of 1 to {_MOST_SMOOTH_PX} px; leave it out for none")
    if smoothing is not None and not source.pictured:
        raise ValueError(f"smooth ({smoothing} px) follows the edges of the all-in-focus image, which needs known optics "
                         "and square pixels; leave it out")
    worker_count(workers)
    if tile is not None:
        check_tile(tile, halo)
    for frame in source.frames:
        if Path(os.path.realpath(frame.path)).is_relative_to(os.path.realpath(folder)):
            raise OSError(f"{folder}: holds the input {frame.path}, which would be deleted; choose another -o DIR")
    return "cpu" if array_module(to_device(np.zeros(1, np.float32), device)) is np else "cuda"


def _check_room(folder, expected):
    """Refuse a job whose disks are too small before the minutes of decoding."""
    if expected.disk:
        check_space(expected.disk)
    check_room(folder, expected.least_output)


def _limits(scale, near, far, offset):
    """Metres from an origin `offset` behind the entrance pupil -> (largest, smallest) inverse depth [dioptre]."""
    if scale != "metric":
        more = ", and kappa or two [[known_depths]]" if scale == "affine" else ""
        raise ValueError(f"near and far are metres, but this capture has scale {scale}; leave them out, or give the "
                         f"focus distances and the optics{more}")
    return limits_of(near, far, offset)


def _searched(capture, limits):
    """The limits that a solver of a capture may know of: none of a capture that is not metric."""
    if capture.scale != "metric":
        return None
    return limits if capture.lens_map is None else capture.lens_map.searched(limits)


def _within(result, limits):
    """The map without what is nearer or farther than the limits [dioptre]."""
    nearest, farthest = limits
    return result.keep((result.values <= nearest) & (result.values >= farthest))


def _intrinsics(prepared):
    """(fx, fy, cx, cy) [px] of the maps: the middle of the full image is the optical axis, blocks have their own centre; the
    lens counts widths of pixels that are not square, or heights of a pair along y."""
    lens = prepared.capture.views[prepared.kept.index(prepared.source.reference)].lens
    if lens is None:
        return None
    height, width = image_size(prepared.source.frames[0].path)
    shift, factor = (prepared.reduction - 1) / 2, prepared.reduction
    wide, tall = (1.0, prepared.source.y_scale) if prepared.source.axis == "x" else (1 / prepared.source.y_scale, 1.0)
    return lens.fx / wide, lens.fx / tall, ((width - 1) / 2 - shift) / factor, ((height - 1) / 2 - shift) / factor


def _offset(source, origin) -> float:
    if origin == "pupil" or source.scale != "metric":
        return 0.0
    return source.profile.sensor_offset(source.frames[source.reference].settings)


def _emptiness(result, hardly):
    """A sentence when no pixel, or less than a share, has a depth."""
    known = float(result.valid.mean())
    if known > 0 and known >= hardly:
        return ()
    share = "no pixel has" if known == 0 else f"only {known:.2%} of the pixels have"
    return (f"{share} a depth: no texture, no peak inside the sweep, wrong optics, or everything lies outside --mask, "
            "--near, --far or --min-confidence; look at the frames",)
