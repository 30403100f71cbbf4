"""From files to a registered capture: decode, match brightness, predict breathing, align, estimate the noise."""

from __future__ import annotations

import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from dfd import imaging, noise, prepare
from dfd.capture import AperturePair, Capture, DifferentialQuad, DualPixelPair, FocalStack, View
from dfd.io import frames as reader
from dfd.io.folders import read_json
from dfd.io.sources import Source
from dfd.noise import Noise
from dfd.settings import Value

PREVIEW_PX = 1024
"""A preview is reduced by a whole factor until its longer side is at most this."""

_MOVED_KINDS = ("focal-stack", "aperture-pair", "views")
"""Kinds whose frames may have moved against each other; in the others the displacement is the signal."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A capture ready to be solved, and how it was made.

    capture      registered linear images and their views
    matrices     (K, 3, 3) output px -> frame px;   gains   K factors that brightness was multiplied by
    transforms   one table per frame for transforms.json, None when nothing was aligned
    reduction    whole factor by which the images were made smaller (1 = none)
    """

    source: Source
    capture: Capture
    matrices: np.ndarray
    gains: np.ndarray
    transforms: list[dict] | None
    reduction: int
    warnings: tuple[str, ...]

    def colour(self, index: int) -> np.ndarray:
        """(H, W, 3 or 1) float32 linear colours of frame `index`, registered; decoded anew, so nothing is kept."""
        image = imaging.reduce(reader.read_colour(self.source.frames[index]), self.reduction)
        return imaging.warp_picture(image * np.float32(self.gains[index]), self.matrices[index])


def prepare_capture(source: Source, *, align="auto", preview=False, progress=None) -> Prepared:
    """Decode the frames of a source, match their brightness and bring them into the reference's pixel grid."""
    frames = source.frames
    if source.scale == "affine" and source.kind != "dual-pixel":
        raise ValueError(f"{frames[0].path.parent}: kind {source.kind} needs the optics of every frame; add "
                         + "; ".join(source.missing))
    report = (lambda *_: None) if progress is None else progress
    height, width = reader.image_size(frames[0].path)
    reduction = math.ceil(max(height, width) / PREVIEW_PX) if preview else 1
    stored = None if align in ("auto", "none") else _stored(source, align, (height // reduction, width // reduction))
    settings = [_reduced(frame.settings, reduction) for frame in frames]
    lenses = [source.profile.thin_lens(item) for item in settings] if source.scale == "metric" else None
    images, sensor = _read(source, reduction, report)
    shape = images[0].shape
    start = np.stack([np.eye(3)] * len(frames))
    if lenses is not None and align != "none":
        start = prepare.predicted_breathing(lenses, source.reference, shape)
    exposure = prepare.brightness_factors(settings, lenses, reference=source.reference)
    images = [image if factor == 1 else image * np.float32(factor) for image, factor in zip(images, exposure, strict=True)]
    alignment = _align(source, images, start, align, report) if stored is None else stored
    matrices = start if alignment is None else alignment.matrices
    stack, residual = _register(images, matrices, source.reference)
    gains = exposure * residual
    views = [View(None if lenses is None else lenses[k].on_grid_of(lenses[source.reference]), source.psf,
                  sensor[k].scaled(float(gains[k])), _coordinate(source, lenses, k)) for k in range(len(frames))]
    transforms, notes = _transforms(frames, alignment, gains)
    return Prepared(source, _capture(source, stack, views), matrices, gains, transforms, reduction, notes)


def _read(source, reduction, report):
    """The luminance of every frame, and its noise before brightness is matched."""
    planes = _decode(source.frames, reduction, report)
    return [plane.image for plane in planes], _noises(source, planes, reduction)


def _register(images, matrices, reference):
    """(K, H, W) stack on the reference grid, equally bright, and the gains that made it so; empties `images`."""
    stack = np.empty((len(images), *images[0].shape), dtype=np.float32)
    for index in range(len(images)):
        stack[index] = imaging.warp(images[index], matrices[index])
        images[index] = None  # one copy of every frame is enough
    gains = prepare.residual_gains(stack, reference)
    for image, gain in zip(stack, gains, strict=True):
        image *= np.float32(gain)
    return stack, gains


def _transforms(frames, alignment, gains):
    """(one table per frame for transforms.json or None, what could not be aligned in words)."""
    if alignment is None:
        return None, ()
    names = [frame.path.name for frame in frames]
    tables = [item | {"gain": float(gain)} for item, gain in zip(prepare.describe(names, alignment), gains, strict=True)]
    return tables, tuple(_named(note, names) for note in alignment.notes)


def _reduced(settings, factor):
    """What the camera says of an image whose pixels are `factor` times as large."""
    pitch = settings.pixel_pitch
    if factor == 1 or pitch is None:
        return settings
    return replace(settings, pixel_pitch=Value(pitch.value * factor, pitch.sigma and pitch.sigma * factor, pitch.source))


def _decode(frames, reduction, report):
    """The luminance of every frame, decoded in threads (the readers release the GIL), in order."""

    def decode(frame):
        plane = reader.read_luminance(frame)
        return replace(plane, image=imaging.reduce(plane.image, reduction)) if reduction > 1 else plane

    planes = []
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for plane in pool.map(decode, frames):
            planes.append(plane)
            report("decode", len(planes), len(frames))
    return planes


def _align(source, images, start, align, report):
    """The Alignment of the frames beyond `start`; None where `start` stands as it is."""
    if align == "none" or source.kind not in _MOVED_KINDS:
        return None
    return prepare.align(images, reference=source.reference, initial=start,
                         progress=lambda *at: report("align", *at))


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


def _noises(source, planes, reduction):
    """The noise of each image before its brightness is matched: the camera's numbers, else from the images."""
    taps = planes[0].taps if reduction == 1 else (1.0,)
    if source.gain_e_per_dn is None or source.read_noise_e is None:
        known = taps if all(reader.is_raw(frame.path) for frame in source.frames) else None
        return [noise.estimate(np.stack([plane.image for plane in planes]), taps=known)] * len(planes)
    camera = [Noise.from_camera(source.gain_e_per_dn, source.read_noise_e, plane.dn_range) for plane in planes]
    return [sensor.averaged(plane.share / reduction**2).filtered(taps)
            for sensor, plane in zip(camera, planes, strict=True)]


def _coordinate(source, lenses, index):
    """Place of a frame on the sweep; None where the kind has none."""
    if source.kind != "focal-stack":
        return None
    if source.scale == "metric":
        return lenses[index].focus
    if source.scale == "stage":
        return source.frames[index].settings.stage_position.value
    return float(index)


def _capture(source, images, views) -> Capture:
    if source.kind == "focal-stack":
        return FocalStack(images, views, source.scale)
    if source.kind == "aperture-pair":
        return AperturePair(images, views, source.scale, side=source.side)
    if source.kind == "dual-pixel":
        return DualPixelPair(images, views, source.scale, kappa=source.kappa)
    return (DifferentialQuad if source.kind == "differential-quad" else Capture)(images, views, source.scale)
