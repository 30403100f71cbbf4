"""Differential quadruples of textured planes for tests: the published rig in small, one depth per quadruple."""

import numpy as np
from textures import blurred, texture

from dfd.capture import DifferentialQuad, View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf

IMAGE_DISTANCE, POWER, PUPIL, PITCH = 0.11, 10.1, 5e-3, 4 * 5.86e-6
POWER_STEP, PUPIL_STEP = 0.06, 2e-3
"""Half steps: dioptres, and metres of diameter."""

NOISE = Noise(60000, 3.0)
SHAPE = (67, 93)
ROLES = ("power-minus", "power-plus", "aperture-minus", "aperture-plus")


def lenses():
    """The four lenses in the order of a DifferentialQuad; focus at 1.009 dioptre."""
    return [ThinLens(1 / (POWER + power), PUPIL + pupil, IMAGE_DISTANCE, PITCH)
            for power, pupil in ((-POWER_STEP, 0), (POWER_STEP, 0), (0, -PUPIL_STEP), (0, PUPIL_STEP))]


def views(noise=NOISE):
    """Their views: discs with a core of 0.3 px."""
    return tuple(View(lens, Psf("disk", 0.3), noise, lens.focus) for lens in lenses())


def quad(rng, depth=0.9, *, shape=SHAPE, noise=NOISE, sharp=None):
    """(4, H, W) float32 of a plane at `depth` [m], 0 = black, 1 = white, equally bright."""
    sharp = texture(shape, rng) if sharp is None else sharp
    images = [blurred(sharp, view.lens.coc(1 / depth), view.psf) for view in views()]
    return np.stack([image + rng.normal(size=shape) * np.sqrt(noise.variance(image)) for image in images]).astype(np.float32)


def codes(images, *, black=600, white=60000):
    """The same as a camera of 16 bits writes it."""
    return np.clip(np.rint(images * (white - black) + black), 0, 65535).astype(np.uint16)


def captured(images):
    """The DifferentialQuad of (4, H, W) float32 images."""
    return DifferentialQuad(images, views())
