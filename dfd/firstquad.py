"""What a whole sequence takes from its first quadruple: optics, equal brightness, noise, and the map of each image."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from dfd import cautions, imaging, noise, prepare
from dfd.capture import DifferentialQuad, View
from dfd.cautions import DISPLACED_PX
from dfd.decode import noises_of
from dfd.io.quadruples import Quadruples
from dfd.noise import Noise
from dfd.streaming import linearise

_COARSE_PIXELS, _NOISE_PIXELS = 0.3e6, 6e6
"""Most pixels of the small images that brightness is matched on; pixels that the noise is estimated from."""

_ANY_NOISE = Noise(1e4, 0.0)
_STRAIGHT_PX = 1e-3
"""Displacement in a corner up to which an image lies on the grid already."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What all quadruples are solved with.

    views   of the four images, on one grid;   gains   factors of their brightness
    warps   maps output px -> image px, None for the identity;   noise_from   in words;   warnings   sentences
    """

    views: tuple[View, ...]
    gains: tuple[float, ...]
    warps: tuple[np.ndarray | None, ...]
    noise_from: str
    warnings: tuple[str, ...]


def lenses_of(quads: Quadruples) -> list:
    """The ThinLens of each role, for pixels as large as those that are solved."""
    lenses = [quads.source.profile.thin_lens(frame.settings) for frame in quads.source.frames]
    return [replace(lens, pixel_pitch=lens.pixel_pitch * quads.reduction) for lens in lenses]


def views_of(quads: Quadruples, lenses, noises=(_ANY_NOISE,) * 4) -> tuple[View, ...]:
    """The View of each role on the grid of the reference; without noises as they will be but for those."""
    psf, grid = quads.source.psf.reduced(quads.reduction), lenses[quads.source.reference]
    return tuple(View(lens.on_grid_of(grid), psf, each, None) for lens, each in zip(lenses, noises, strict=True))


def prepare_first(quads: Quadruples, images, *, align: str) -> Prepared:
    """Judge the whole sequence by its first quadruple, `images` as `quads.read` fills them.

    align   "auto": what optics and lens profile predict is undone, and without a measured profile what the first quadruple
            shows beyond it; "none": images are taken as registered
    """
    lenses = lenses_of(quads)
    light = np.empty(images.shape, np.float32)
    for out, image in zip(light, images, strict=True):
        linearise(image, out, quads.black, quads.white)
    warps, notes = ((None,) * 4, ()) if align == "none" else _placed(quads, lenses, light)
    exposure = _exposure(quads, lenses)
    measured = _residual(light, warps, exposure, quads.source.reference)
    gains = exposure * np.where(np.isnan(measured), 1.0, measured)
    bands = [noise.bands(image, int(_NOISE_PIXELS / 4), first=role) for role, image in enumerate(light)]
    noises, noise_from = noises_of(quads.source, [quads.plane] * 4, bands, quads.reduction)
    noises = [each.scaled(float(gain)) for each, gain in zip(noises, gains, strict=True)]
    flicker = cautions.flicker(quads.source.frames, measured, range(4), names=[frame.role for frame in quads.source.frames],
                               stated=quads.areas or None, where=" in all quadruples", each=True)
    return Prepared(views_of(quads, lenses, noises), tuple(map(float, gains)), warps, _first(noise_from),
                    (*notes, *cautions.saturated(quads.source, light), *flicker))


def captured(quads: Quadruples, images, prepared: Prepared) -> DifferentialQuad:
    """A quadruple, `images` as `quads.read` fills them, as a capture of its own: linear, on one grid, equally bright."""
    light = np.empty(images.shape, np.float32)
    for out, image, warp, gain in zip(light, images, prepared.warps, prepared.gains, strict=True):
        linearise(image, out, quads.black, quads.white)
        if warp is not None:
            out[...] = imaging.warp(out, warp)
        out *= np.float32(gain)
    return DifferentialQuad(light, prepared.views)


def _placed(quads, lenses, light):
    """(the map of each image, output px -> image px, None for the identity; sentences)."""
    source, reference = quads.source, quads.source.reference
    powers = [None if frame.settings.power is None else frame.settings.power.value for frame in source.frames]
    profiled = prepare.power_warps(source.profile, powers, reference, quads.reduction)
    start = profiled @ prepare.predicted_breathing(lenses, reference, quads.shape)
    psf, grid = source.psf.reduced(quads.reduction), lenses[reference]
    found = prepare.align_views(light, [prepare.pyramid(image, frames=4) for image in light],
                                [prepare.Optics(lens.on_grid_of(grid), psf) for lens in lenses], reference=reference,
                                initial=start)
    settled = not np.array_equal(profiled, np.stack([np.eye(3)] * 4))
    moved = not settled and found.aligned.all()
    maps = found.matrices if moved else start
    off = [k for k in range(4) if found.applied[k] and found.corner_shift_px[k] > DISPLACED_PX]
    done = f"{'all quadruples are moved back by as much' if moved else 'nothing is moved'}; " \
        f"{'was the profile measured with this rig?' if settled else 'a lens profile with power_warp settles it'}"
    notes = tuple(f"{source.frames[k].role}: lies {found.corner_shift_px[k]:.2f} px off its place in the first quadruple "
                  f"(1-sigma {found.sigma_px[k]:.2f} px, at most {DISPLACED_PX:g} px do no harm); {done}" for k in off)
    told = tuple(re.sub(r"frame (\d+)", lambda number: source.frames[int(number[1])].role, note) for note in found.notes)
    if not found.aligned.all():
        told = (f"first quadruple: {cautions.unaligned(int(found.aligned.sum()), 4)}",)
    return tuple(None if _moves(matrix, quads.shape) <= _STRAIGHT_PX else matrix for matrix in maps), (*told, *notes)


def _moves(matrix, shape):
    """Largest displacement of a corner [px]."""
    corners = np.array([(x, y, 1.0) for x in (0, shape[1] - 1) for y in (0, shape[0] - 1)]).T
    moved = matrix @ corners
    return float(np.abs(moved[:2] / moved[2] - corners[:2]).max())


def _exposure(quads, lenses):
    """(4,) factors that bring the images to the exposure of the reference."""
    reference = quads.source.reference
    if not quads.areas:
        return prepare.brightness_factors([frame.settings for frame in quads.source.frames], lenses, reference=reference)
    diameters = np.array([lens.pupil_diameter for lens in lenses])
    return (diameters[reference] / diameters) ** 2


def _residual(light, warps, exposure, reference):
    """(4,) factors beyond the exposure, NaN where they cannot be told."""
    factor = max(1, math.ceil(math.sqrt(light[0].size / _COARSE_PIXELS)))
    small = [prepare.coarse(image, factor) for image in light]
    small = [image if warp is None else imaging.warp(image, prepare.at_level(warp, factor))
             for image, warp in zip(small, warps, strict=True)]
    return prepare.residual_gains([image * np.float32(gain) for image, gain in zip(small, exposure, strict=True)], reference)


def _first(noise_from):
    """In words: the images are those of the first quadruple."""
    return noise_from.replace("the images", "the first images")
