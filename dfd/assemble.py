"""From files to a registered capture: decode, match brightness, predict breathing, align, estimate the noise."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, replace

import numpy as np

from dfd import cautions, imaging, prepare
from dfd.capture import AperturePair, Capture, DifferentialQuad, DualPixelPair, FocalStack, View, mixed
from dfd.decode import decode_frames, even_views, register
from dfd.fuse import sharpness_around
from dfd.io import frames as reader
from dfd.io.folders import read_json
from dfd.io.sources import Source
from dfd.lensfile import section
from dfd.lensmap import LensMap
from dfd.noise import Noise
from dfd.psf import IDEAL_KAPPA
from dfd.threads import worker_count

PREVIEW_PX = 1024
"""A preview is reduced by a whole factor until its longer side is at most this."""

_LEAST_FRAMES = 3
"""Frames that must be left when those that cannot be aligned are left out."""

_MOVED_KINDS = ("focal-stack", "aperture-pair", "views", "differential-quad")
"""Kinds whose frames may have moved against each other; in the others the displacement is the signal."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A capture ready to be solved, and how it was made.

    capture      registered linear images and their views, without the frames that were left out; None once it is solved
    kept         index in source.frames of each image of the capture, ascending
    matrices     (K, 3, 3) output px -> frame px, of all frames;   gains   K factors that brightness was multiplied by
    transforms   one table per frame for transforms.json, None when nothing was aligned
    reduction    whole factor by which the images were made smaller (1 = none)
    around       how sharp and how bright each image is around each place, see fuse.sharpness_around; None but for stacks
    noise_from   in words, where the noise of the views comes from
    timings      seconds per stage, in order
    ratio        (h, w) that the second view of a dual-pixel pair was multiplied by, see prepare.view_ratio; None: nothing
    """

    source: Source
    capture: Capture | None
    kept: tuple[int, ...]
    matrices: np.ndarray
    gains: np.ndarray
    transforms: list[dict] | None
    reduction: int
    around: np.ndarray | None
    noise_from: str
    warnings: tuple[str, ...]
    timings: dict[str, float]
    ratio: np.ndarray | None = None

    def picture(self, index: int) -> np.ndarray:
        """(h, w, 3 or 1) float32 linear colours of source.frames[index], not registered; decoded anew, nothing is kept."""
        picture = imaging.reduce(reader.read_colour(self.source.frames[index]), self.reduction)
        return picture * self.ratio[..., None] if self.ratio is not None and index == 1 else picture

    def pictures(self) -> list[np.ndarray]:
        """(h, w, C) float32 linear colours of every kept frame, registered and equally bright, NaN = no data; C is 3 where
        any has colours, else 1."""
        found = []
        for index in self.kept:
            found.append(imaging.warp(self.picture(index), self.matrices[index]))
            found[-1] *= np.float32(self.gains[index])
        most = max(picture.shape[2] for picture in found)
        return [np.broadcast_to(picture, (*picture.shape[:2], most)) for picture in found]


class Clock:
    """Seconds per stage, in order."""

    def __init__(self):
        self.stages: dict[str, float] = {}
        self._start = time.perf_counter()

    def stop(self, stage: str | None = None) -> None:
        """End a stage; None: what passed since the last one is counted elsewhere."""
        now = time.perf_counter()
        if stage is not None:
            self.stages[stage] = round(now - self._start, 3)
        self._start = now


def prepare_capture(source: Source, *, align="auto", preview=False, workers=None, progress=None) -> Prepared:
    """Decode the frames of a source, match their brightness and bring them into the reference's pixel grid.

    align     "auto", "none" (frames are taken as registered) or the path of a transforms.json
    preview   reduce the images to at most PREVIEW_PX;   workers   frames decoded at a time, None: all cores
    Raises OSError for files and the disk, ValueError for values.
    """
    frames, clock = source.frames, Clock()
    _need_optics(source)
    report = (lambda *_: None) if progress is None else progress
    reduction = reduction_of(source, preview)
    shape = tuple(length // reduction for length in reader.image_size(frames[0].path))
    stored = None if align in ("auto", "none") else _stored(source, align, shape)
    lenses = [_lens(source, frame, reduction) for frame in frames] if source.scale == "metric" else None
    steps = () if lenses is None else cautions.check_steps(source, lenses)
    exposure = prepare.brightness_factors([frame.settings for frame in frames], lenses, reference=source.reference)
    decoded = decode_frames(source, reduction=reduction, factors=(float(exposure.min()), float(exposure.max())),
                            workers=worker_count(workers), report=report)
    cautions.check_views(source, decoded.images)
    ratio = even_views(source, decoded, reduction)
    clock.stop("decode")
    start = np.stack([np.eye(3)] * len(frames))
    if lenses is not None and align != "none":
        start = _predicted(source, lenses, shape, reduction)
    found = _align(source, decoded, lenses, start, reduction, align, report) if stored is None else stored
    alignment = None if align == "none" else found
    kept, notes = (list(range(len(frames))), ()) if alignment is None else _kept(source, alignment)
    notes += cautions.saturated(source, decoded.images) + cautions.uneven_views(source, ratio)
    notes += cautions.views(source, decoded.images)
    alone = alignment is not None and len(kept) == len(frames) and not alignment.aligned.all()
    matrices = start if alignment is None or alone else alignment.matrices
    if stored is None:
        notes += cautions.displaced(source, found, moved=matrices is not start)
    small = _registered(decoded, matrices, exposure)
    measured = prepare.residual_gains(small, source.reference)
    cautions.check_gains(source, measured)
    residual = np.where(np.isnan(measured), 1.0, measured)
    gains = exposure * residual
    small = [small[k] * np.float32(residual[k]) for k in kept]
    notes += cautions.focus_order(source, small, matrices[kept], kept, shape)
    clock.stop("align")
    images = register(decoded.images, matrices, gains, kept, report)
    noises = [noise.scaled(float(gain)) for noise, gain in zip(decoded.noises, gains, strict=True)]
    views = _views(source, lenses, noises, reduction, kept)
    transforms = None if alignment is None or alone else _transforms(frames, alignment, gains)
    notes += cautions.unstated_exposures(source) + steps
    notes += cautions.flicker(frames, measured, kept, each=source.kind == "differential-quad")
    notes += () if lenses is None else cautions.doubtful_foci(frames)
    notes += cautions.other_field(source, lenses, shape)
    around = sharpness_around(small) if source.kind == "focal-stack" else None
    clock.stop("register")
    capture = _capture(source, images, views, _lens_map(source, kept, reduction))
    return Prepared(source, capture, tuple(kept), matrices, gains, transforms, reduction, around,
                    decoded.noise_from, notes, clock.stages, ratio)


def outline(source: Source, reduction: int = 1) -> Capture:
    """What `prepare_capture` will make of a source, before anything is decoded: its images are zeros that take no memory,
    its views as they will be but for the noise."""
    _need_optics(source)
    lenses = [_lens(source, frame, reduction) for frame in source.frames] if source.scale == "metric" else None
    views = _views(source, lenses, [Noise(1e4, 0.0)] * len(source.frames), reduction, range(len(source.frames)))
    shape = tuple(length // reduction for length in reader.image_size(source.frames[0].path))
    lens_map = _lens_map(source, range(len(source.frames)), reduction)
    return _capture(source, np.broadcast_to(np.float32(0), (len(views), *shape)), views, lens_map)


def reduction_of(source: Source, preview: bool) -> int:
    """Whole factor by which images are made smaller."""
    return math.ceil(max(reader.image_size(source.frames[0].path)) / PREVIEW_PX) if preview else 1


def _views(source, lenses, noises, reduction, kept):
    """The View of every frame kept, on the reference's pixel grid."""
    psf = source.psf.reduced(reduction)
    halves = _halves(source, psf) if source.kind == "dual-pixel" else None
    return [View(None if lenses is None else lenses[k].on_grid_of(lenses[source.reference]), halves[k] if halves else psf,
                 noises[k], _coordinate(source, lenses, k)) for k in kept]


def _halves(source, psf):
    """The PSFs of the two views of a dual-pixel pair, as far apart as kappa says."""
    names = ("half-left", "half-right") if source.axis == "x" else ("half-upper", "half-lower")
    return [mixed(replace(psf, model=name), source.kappa or IDEAL_KAPPA) for name in names]


def _need_optics(source):
    if source.scale == "affine" and source.kind != "dual-pixel":
        raise ValueError(f"{source.frames[0].path.parent}: kind {source.kind} needs the optics of every frame; add "
                         + "; ".join(source.missing))


def _predicted(source, lenses, shape, reduction):
    """(K, 3, 3) where the frames lie by their optics, and by what the profile measured of a lens of variable power."""
    powers = [None if frame.settings.power is None else frame.settings.power.value for frame in source.frames]
    warps = prepare.power_warps(source.profile, powers, source.reference, reduction)
    return warps @ prepare.predicted_breathing(lenses, source.reference, shape)


def _registered(decoded, matrices, exposure):
    """The coarse images on the reference grid, as bright as the camera says: what brightness and order are judged by."""
    return [imaging.warp(image, prepare.at_level(matrix, decoded.factor)) * np.float32(factor)
            for image, matrix, factor in zip(decoded.coarse, matrices, exposure, strict=True)]


def _kept(source, alignment):
    """(indices of the frames to use, what to say): those that could be aligned; all where those are too few to tell."""
    names = [frame.path.name for frame in source.frames]
    kept = [k for k in range(len(names)) if alignment.aligned[k]]
    if len(kept) >= (len(names) if source.kind == "differential-quad" else min(_LEAST_FRAMES, len(names))):
        return kept, tuple(_named(note, names) for note in alignment.notes)
    return list(range(len(names))), (cautions.unaligned(len(kept), len(names)),)


def _transforms(frames, alignment, gains):
    """One table per frame for transforms.json."""
    tables = prepare.describe([frame.path.name for frame in frames], alignment)
    return [item | {"gain": float(gain)} for item, gain in zip(tables, gains, strict=True)]


def _lens(source, frame, reduction):
    """The lens of a frame whose pixels are `reduction` times as large, from the entrance pupil of the reference."""
    lens = source.profile.lens_from(frame.settings, source.frames[source.reference].settings)
    return replace(lens, pixel_pitch=lens.pixel_pitch * reduction)


def _align(source, decoded, lenses, start, reduction, align, report):
    """The Alignment of the frames beyond `start`; None where `start` stands as it is and nobody asks whether it is right."""
    if source.kind not in _MOVED_KINDS or (align == "none" and source.kind != "differential-quad"):
        return None
    report("align", 0, 1)
    options = {"reference": source.reference, "initial": start, "progress": lambda *at: report("align", *at)}
    try:
        if lenses is not None and (source.kind != "focal-stack" or len(lenses) == 2):
            psf, grid = source.psf.reduced(reduction), lenses[source.reference]
            optics = [prepare.Optics(lens.on_grid_of(grid), psf) for lens in lenses]
            return prepare.align_views(decoded.images, decoded.pyramids, optics, **options)
        return prepare.align(decoded.pyramids, **options)
    except ValueError as error:
        raise ValueError(_named(str(error), [frame.path.name for frame in source.frames])) from error


def _stored(source, path, shape):
    """The Alignment that an earlier run wrote to transforms.json, for images of `shape`."""
    try:
        return prepare.from_json(read_json(path), [frame.path for frame in source.frames], shape,
                                 reference=source.reference)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _named(note, names):
    """A sentence about "frame 3" with the file's name instead of the number."""
    return re.sub(r"frame (\d+)", lambda found: names[int(found[1])], note)


def _coordinate(source, lenses, index):
    """Place of a frame on the sweep; None where the kind has none."""
    if source.kind != "focal-stack":
        return None
    if source.scale == "metric":
        return lenses[index].focus
    if source.scale == "stage":
        return source.frames[index].settings.stage_position.value
    return float(index)


def _lens_map(source, kept, reduction):
    """The LensMap of the frames kept; None where their focus does not come from a measured law."""
    if source.scale != "metric":
        return None
    frames, grid = source.frames, section(source.profile.data, "dual_pixel").get("focus_dpt_grid")
    known = source.kind == "dual-pixel" and source.field is not None and bool(grid)
    return LensMap.of(source.profile, [frames[k].settings for k in kept], frames[source.reference].settings,
                      size=reader.image_size(frames[0].path), reduction=reduction, field=not known,
                      mosaic=all(reader.is_raw(frame.path) for frame in frames))


def _capture(source, images, views, lens_map) -> Capture:
    more = {"lens_map": lens_map}
    if source.kind == "focal-stack":
        return FocalStack(images, views, source.scale, **more)
    if source.kind == "aperture-pair":
        return AperturePair(images, views, source.scale, side=source.side, **more)
    if source.kind == "dual-pixel":
        measured = source.field is not None and source.scale == "metric"
        field = source.field(views[0].lens.focus, images.shape[1:]) if measured else None
        return DualPixelPair(images, views, source.scale, source.kappa, field, source.axis, source.y_scale,
                             source.frames[source.reference].orientation, **more)
    return (DifferentialQuad if source.kind == "differential-quad" else Capture)(images, views, source.scale, **more)
