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

PREVIEW_PX = 1024
"""A preview is reduced by a whole factor until its longer side is at most this."""

_NOISE_FRAMES = 16
"""Frames that the noise is estimated from, spread over the stack."""

_LARGEST_GAIN = 1.2
"""A residual gain beyond this factor is worth a warning."""

_LEAST_SWEEP_PX, _LARGEST_STEP_PX = 1.0, 15.0
"""Change of blur over a whole stack below which nothing can be seen; between neighbours, beyond which peaks are missed."""

_DOUBTFUL = 0.01
"""Relative 1-sigma of a focus distance beyond which the result says that its sigma leaves it out."""

_MOVED_KINDS = ("focal-stack", "aperture-pair", "views")
"""Kinds whose frames may have moved against each other; in the others the displacement is the signal."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A capture ready to be solved, and how it was made.

    capture      registered linear images and their views
    matrices     (K, 3, 3) output px -> frame px;   gains   K factors that brightness was multiplied by
    transforms   one table per frame for transforms.json, None when nothing was aligned
    reduction    whole factor by which the images were made smaller (1 = none)
    noise_from   in words, where the noise of the views comes from
    """

    source: Source
    capture: Capture
    matrices: np.ndarray
    gains: np.ndarray
    transforms: list[dict] | None
    reduction: int
    noise_from: str
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
    lenses = [_lens(source, frame, reduction) for frame in frames] if source.scale == "metric" else None
    steps = () if lenses is None else _check_steps(source, lenses)
    images, sensor, noise_from = _read(source, reduction, report)
    shape = images[0].shape
    start = np.stack([np.eye(3)] * len(frames))
    if lenses is not None and align != "none":
        start = prepare.predicted_breathing(lenses, source.reference, shape)
    exposure = prepare.brightness_factors([frame.settings for frame in frames], lenses, reference=source.reference)
    images = [image if factor == 1 else image * np.float32(factor) for image, factor in zip(images, exposure, strict=True)]
    alignment = _align(source, images, start, align, report) if stored is None else stored
    matrices = start if alignment is None else alignment.matrices
    stack, residual = _register(images, matrices, source.reference)
    gains = exposure * residual
    psf = replace(source.psf, core=source.psf.core / reduction)
    views = [View(None if lenses is None else lenses[k].on_grid_of(lenses[source.reference]), psf,
                  sensor[k].scaled(float(gains[k])), _coordinate(source, lenses, k)) for k in range(len(frames))]
    transforms, notes = _transforms(frames, alignment, gains)
    notes += _flicker(frames, residual) + steps + (() if lenses is None else _doubt(frames))
    return Prepared(source, _capture(source, stack, views), matrices, gains, transforms, reduction, noise_from, notes)


def _check_steps(source, lenses):
    """Refuse a sweep whose blur nobody could see; a sentence when its frames are too far apart."""
    if source.kind != "focal-stack":
        return ()
    foci = np.sort([lens.focus for lens in lenses])
    rate = lenses[source.reference].blur_rate
    sweep = rate * (foci[-1] - foci[0])
    if sweep < _LEAST_SWEEP_PX:
        raise ValueError(f"{source.frames[0].path.parent}: the sweep, {foci[-1]:.4g} to {foci[0]:.4g} dioptre, changes "
                         f"the blur by {sweep:.2g} px, too little to see (at least {_LEAST_SWEEP_PX:g} px); are focus "
                         "distances in metres, focal_length_mm and pixel_pitch_um in their units?")
    step = rate * float(np.median(np.diff(foci)))
    if step <= _LARGEST_STEP_PX:
        return ()
    return (f"frames are {step:.0f} px of blur apart; beyond {_LARGEST_STEP_PX:g} px the sharpest place between them is "
            "guesswork; take more frames or a smaller aperture",)


def _read(source, reduction, report):
    """The luminance of every frame, its noise before brightness is matched, and where that comes from."""
    planes = _decode(source.frames, reduction, report)
    return [plane.image for plane in planes], *_noises(source, planes, reduction)


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


def _lens(source, frame, reduction):
    """The lens of a frame whose pixels are `reduction` times as large."""
    lens = source.profile.thin_lens(frame.settings)
    return replace(lens, pixel_pitch=lens.pixel_pitch * reduction)


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


def _flicker(frames, gains):
    """A sentence when frames were much brighter or darker than their exposure says."""
    worst = int(np.argmax(np.abs(np.log(gains))))
    if abs(math.log(gains[worst])) < math.log(_LARGEST_GAIN):
        return ()
    return (f"{frames[worst].path.name}: brightness differs by a factor of {1 / gains[worst]:.3g} from what its exposure "
            "says; it was corrected; check exposure_s in capture.toml, or the light",)


def _doubt(frames):
    """A sentence when focus distances are too uncertain for what sigma says."""
    spread = [value.sigma / value.value for frame in frames for value in (frame.settings.focus_distance,)
              if value is not None and value.sigma]
    if not spread or max(spread) < _DOUBTFUL:
        return ()
    source = next(frame.settings.focus_distance.source for frame in frames if frame.settings.focus_distance is not None)
    return (f"focus distances from {source} are uncertain by {max(spread):.0%}; sigma tells how well the images locate the "
            "focus, not this: the whole depth may be off by as much; state measured focus_distance_m in capture.toml",)


def _named(note, names):
    """A sentence about "frame 3" with the file's name instead of the number."""
    return re.sub(r"frame (\d+)", lambda found: names[int(found[1])], note)


def _noises(source, planes, reduction):
    """(noise of each image before its brightness is matched, where it comes from): a stated number always wins."""
    gain, read = source.gain_e_per_dn, source.read_noise_e
    stated = [_stated_noise(plane, 1.0 if gain is None else gain, 0.0 if read is None else read, reduction)
              for plane in planes]
    if gain is not None and read is not None:
        return stated, "stated"
    some = np.unique(np.linspace(0, len(planes) - 1, min(len(planes), _NOISE_FRAMES)).astype(int))
    known = stated[0].taps if all(reader.is_raw(frame.path) for frame in source.frames) else None
    found = noise.estimate(np.stack([planes[int(index)].image for index in some]), taps=known)
    if gain is not None:
        floor = found.read_noise / found.gain
        return [replace(item, read_noise=floor * item.gain) for item in stated], "gain stated, the rest from the images"
    if read is not None:
        return [replace(item, gain=found.gain) for item in stated], "read noise stated, the rest from the images"
    return [found] * len(planes), "the images themselves"


def _stated_noise(plane, gain, read, reduction):
    """The camera's numbers through what its pixels went through: channels averaged, filtered, blocks averaged."""
    camera = Noise.from_camera(gain, read, plane.dn_range).averaged(plane.share)
    if reduction == 1:
        return camera.filtered(plane.taps)
    passed = np.convolve(plane.taps, np.full(reduction, 1 / reduction))
    return camera.averaged(float(np.sum(passed**2)) ** 2)


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
