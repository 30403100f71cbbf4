"""Frames of a plane of waves that moves before a camera: rendered where it is at each time, blur and size exact."""

import numpy as np
import scipy.special
from rig import rig_lens

from dfd.capture import Capture, View
from dfd.noise import Noise
from dfd.psf import Psf


def otf(psf, coc, w):
    """Transfer function at angular frequencies w [rad/px], of this file's own making."""
    if psf.model == "gaussian":
        return np.exp(-(w * coc / 4) ** 2 / 2)
    half = np.maximum(w * abs(coc) / 2, 1e-9)
    return 2 * scipy.special.j1(half) / half


def moving_views(rng, depth, velocity, *, interval, frames=3, psf=None, noise=None, shape=(131, 157), waves=250, step=0.0):
    """Views of a fronto-parallel plane; at the middle time it is at `depth` [m] and the wave phases belong to the axis.

    velocity   (right, down, away) [m/s];   interval   seconds from frame to frame;   waves   of amplitude 1 / f
    """
    psf, lens = psf or Psf("gaussian"), rig_lens(step)
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    f = np.exp(rng.uniform(np.log(0.012), np.log(0.3), waves))
    turn, phase = rng.uniform(0, 2 * np.pi, (2, waves))
    w = 2 * np.pi * f[:, None] * np.stack([np.sin(turn), np.cos(turn)], 1) * lens.fx / depth  # rad per m of the plane
    amplitude = np.sqrt(2 / waves) * 0.15 * np.ones(waves)  # even over log f: a spectrum of 1 / f^2 in two dimensions
    images, views = [], []
    for k in range(frames):
        time = (k - (frames - 1) / 2) * interval
        z = depth + velocity[2] * time
        here = w * z / lens.fx  # rad/px
        place = np.array([velocity[1], velocity[0]]) * time * lens.fx / z  # px
        seen = amplitude * otf(psf, lens.coc(1 / z), np.hypot(*here.T))
        seen = seen * np.sinc(here[:, 0] / 2 / np.pi) * np.sinc(here[:, 1] / 2 / np.pi)
        rows = np.exp(1j * (np.outer(y - place[0], here[:, 0]) + phase))
        columns = np.exp(1j * np.outer(here[:, 1], x - place[1]))
        clean = 0.5 + ((rows * seen) @ columns).real
        images.append(clean if noise is None else clean + rng.normal(size=shape) * np.sqrt(noise.variance(clean)))
        views.append(View(lens, psf, noise or Noise(1e9, 0.0)))
    return Capture(np.stack(images).astype(np.float32), views)
