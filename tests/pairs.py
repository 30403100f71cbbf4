"""Pairs of images of textured planes for tests: two foci, two apertures, or both, blurred with the library's own PSFs."""

import numpy as np
from textures import blurred, texture

from dfd.capture import AperturePair, Capture, FocalStack, View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf

FOCUS = 1.4
RATE = 56.0  # px of coc per dioptre at f/4, about
NOISE = Noise(20000, 3.0)
BRACKET = 4.0 / RATE  # dioptres between the foci: 4 px of coc
BORDER = 12


def lens(focus, f_number=4.0):
    """50 mm, 12 um, on the pixel grid of the lens at FOCUS."""
    return ThinLens.focused_at(1 / focus, focal_length=0.05, f_number=f_number, pixel_pitch=12e-6).on_grid_of(
        ThinLens.focused_at(1 / FOCUS, focal_length=0.05, f_number=4.0, pixel_pitch=12e-6))


OPTICS = {
    "focus": (lens(FOCUS + BRACKET / 2), lens(FOCUS - BRACKET / 2)),
    "aperture-far": (lens(FOCUS), lens(FOCUS, 16.0)),
    "aperture-near": (lens(FOCUS, 16.0), lens(FOCUS)),
    "views": (lens(FOCUS + BRACKET / 2, 4.2), lens(FOCUS - BRACKET / 2, 4.0)),
    "mixed": (lens(FOCUS + BRACKET / 2, 4.0), lens(FOCUS - BRACKET / 2, 6.0)),
}
"""Two lenses of every kind of pair."""

DEPTHS = {
    "focus": tuple(FOCUS + BRACKET * share for share in (-0.35, -0.1, 0.3)),
    "aperture-far": tuple(FOCUS - coc / RATE for coc in (3.0, 4.5, 6.0)),
    "aperture-near": tuple(FOCUS + coc / RATE for coc in (3.0, 4.5, 6.0)),
    "views": tuple(FOCUS + BRACKET * share for share in (-0.35, -0.1, 0.3)),
    "mixed": tuple(FOCUS + BRACKET * share for share in (-0.35, -0.1, 0.3)),
}
"""Inverse depths [dioptre] in the range of every kind."""


def step_edges(shape, rng, count=9):
    """(H, W) overlapping rectangles of any direction and brightness, 16 samples a pixel."""
    y, x = (np.mgrid[:4 * shape[0], :4 * shape[1]] + 0.5) / 4
    image = np.full(y.shape, 0.5)
    for _ in range(count):
        down, right, turn = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(0, np.pi)
        along = (x - right) * np.cos(turn) + (y - down) * np.sin(turn)
        across = (y - down) * np.cos(turn) - (x - right) * np.sin(turn)
        image[(abs(along) < rng.uniform(15, 45)) & (abs(across) < rng.uniform(15, 45))] = rng.uniform(0.05, 0.95)
    return image.reshape(shape[0], 4, shape[1], 4).mean(axis=(1, 3))


def subject(solver, rng, shape=(97, 141)):
    """What a solver can see on a plane: a texture, or edges for a row that is known there alone."""
    return step_edges(shape, rng) if solver.sparse else texture(shape, rng)


def wrap(kind, images, views):
    """The capture of a kind from its images and views."""
    if kind == "focus":
        return FocalStack(images, views)
    if kind.startswith("aperture"):
        return AperturePair(images, views, side=kind.split("-")[1])
    return Capture(images, views)


def plane_pair(rng, kind, *, inverse_depth=None, shape=(97, 141), noise=NOISE, psf=None, sharp=None, lenses=None):
    """Two images of a fronto-parallel textured plane at `inverse_depth` [dioptre]; noise: one, or one per image."""
    inverse_depth = DEPTHS[kind][1] if inverse_depth is None else inverse_depth
    psf = Psf("disk", 0.3) if psf is None else psf
    sharp = texture(shape, rng) if sharp is None else sharp
    noises = noise if isinstance(noise, tuple) else (noise, noise)
    views, images = [], []
    for each, own in zip(lenses or OPTICS[kind], noises, strict=True):
        clean = blurred(sharp, each.coc(inverse_depth), psf)
        images.append(clean + rng.normal(size=clean.shape) * np.sqrt(own.variance(clean)))
        views.append(View(each, psf, own, each.focus))
    return wrap(kind, np.stack(images).astype(np.float32), views)


def taken(row, kind):
    """Whether a row of the table of solvers takes this kind of pair."""
    capture = wrap(kind, np.zeros((2, 64, 64), np.float32), [View(each, Psf(), NOISE, each.focus) for each in OPTICS[kind]])
    try:
        row.check(capture, None)
    except ValueError:
        return False
    return row.takes(capture)


def inner(array):
    """Without the border that blur and windows see over."""
    return array[BORDER:-BORDER, BORDER:-BORDER]
