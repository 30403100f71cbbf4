"""Focal stacks of textured surfaces for tests, blurred with the library's own PSFs and independent of its ray tracer."""

import numpy as np
import scipy.fft

from dfd.capture import FocalStack, View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf

LENS = {"focal_length": 0.05, "f_number": 4.0, "pixel_pitch": 6e-6}
NOISE = Noise(20000, 3.0)


def texture(shape, rng):
    """(H, W) periodic 1/f texture, mean 0.5, std 0.15."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    spectrum = scipy.fft.rfft2(rng.standard_normal(shape)) / np.sqrt(fy**2 + fx**2 + (1 / 64) ** 2)
    field = scipy.fft.irfft2(spectrum, shape)
    return 0.5 + 0.15 * (field - field.mean()) / field.std()


def blurred(sharp, coc, psf):
    """`sharp` (periodic) through `psf` at signed `coc` [px] and the pixel box."""
    shape = sharp.shape
    wy = 2 * np.pi * scipy.fft.fftfreq(shape[0])[:, None]
    wx = 2 * np.pi * scipy.fft.rfftfreq(shape[1])[None]
    box = np.sinc(wy / 2 / np.pi) * np.sinc(wx / 2 / np.pi)
    return scipy.fft.irfft2(scipy.fft.rfft2(sharp) * psf.otf(coc, wy, wx) * box, shape)


def lenses(foci):
    """Lenses focused at inverse distances [dioptre], all on the pixel grid of the middle one."""
    made = [ThinLens.focused_at(1 / focus, **LENS) for focus in foci]
    return [lens.on_grid_of(made[len(made) // 2]) for lens in made]


def plane_stack(rng, *, inverse_depth=1.43, foci=None, shape=(97, 141), noise=NOISE, psf=None, sharp=None):
    """FocalStack of a fronto-parallel textured plane at `inverse_depth` [dioptre]."""
    foci = np.linspace(1.8, 1.05, 12) if foci is None else foci
    psf = Psf("disk", 0.3) if psf is None else psf
    sharp = texture(shape, rng) if sharp is None else sharp
    views, images = [], []
    for lens in lenses(foci):
        clean = blurred(sharp, lens.coc(inverse_depth), psf)
        images.append(clean if noise is None else
                      clean + rng.normal(size=clean.shape) * np.sqrt(noise.variance(clean)))
        views.append(View(lens, psf, noise or Noise(1e8, 0.0), lens.focus))
    return FocalStack(np.stack(images).astype(np.float32), views)


def beyond_seam(difference, sigma, solver):
    """Largest difference beyond what the row allows [unit of the map]; that of 99 of 100 pixels where it allows any."""
    return np.nanquantile(difference - solver.seam * sigma, 0.99 if solver.seam else 1.0)
