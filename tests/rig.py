"""The published variable-power sensor for tests: 0.110 m behind a lens of 10.1 dioptre, 5 mm pupil, pixels of 23.44 um."""

import numpy as np
import scipy.fft
from textures import blurred

from dfd.capture import Capture, View
from dfd.noise import Noise
from dfd.optics import ThinLens

POWER, PUPIL = 10.1, 5e-3
RANGE = (0.45, 2.0)
"""Metres in which depth is looked for."""


def rig_lens(step=0.0, pupil=PUPIL):
    """The lens with `step` dioptres more power."""
    return ThinLens(1 / (POWER + step), pupil, 0.110, 4 * 5.86e-6)


def rig_texture(rng, shape=(240, 320)):
    """(H, W) periodic texture of amplitude 1 / f and a lens of 0.35 px, mean 0.5, std 0.15."""
    fy, fx = scipy.fft.fftfreq(shape[0])[:, None], scipy.fft.rfftfreq(shape[1])[None]
    f = np.sqrt(fy**2 + fx**2)
    spectrum = scipy.fft.rfft2(rng.standard_normal(shape)) * np.exp(-2 * (np.pi * f * 0.35) ** 2) / np.maximum(f, 1e-9)
    spectrum[0, 0] = 0
    field = scipy.fft.irfft2(spectrum, shape)
    return 0.5 + 0.15 * field / field.std()


def power_pair(rng, depth, psf, *, step=0.06, noise=None, shape=(240, 320), sharp=None):
    """Views of a plane at `depth` [m] at powers POWER -+ step [dioptre]."""
    sharp = rig_texture(rng, shape) if sharp is None else sharp
    images, views = [], []
    for sign in (-1, 1):
        lens = rig_lens(sign * step)
        clean = blurred(sharp, lens.coc(1 / depth), psf)
        images.append(clean if noise is None else clean + rng.normal(size=shape) * np.sqrt(noise.variance(clean)))
        views.append(View(lens, psf, noise or Noise(1e9, 0.0), lens.focus))
    return Capture(np.stack(images).astype(np.float32), views)
