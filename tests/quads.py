"""Differential quadruples of textured planes for tests: the setting of Luo et al. 2025, blurred by exact OTFs.

s = 0.110 m, power 10.1 +- 0.06 dpt, pupil radius 2.5 +- 1.0 mm, 23.44 um: focus 1.0091 dioptre, 23.46 px of coc per dioptre.
"""

import numpy as np

from dfd.capture import DifferentialQuad, View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf

DISTANCE, POWER, RADIUS, PITCH = 0.110, 10.1, 2.5e-3, 4 * 5.86e-6
POWER_STEP, RADIUS_STEP = 0.06, 1e-3
READ_NOISE = 5.0


def lens(power=POWER, radius=RADIUS):
    """The lens at a power [dioptre] and a pupil radius [m]."""
    return ThinLens(1 / power, 2 * radius, DISTANCE, PITCH)


def lenses(power_step=POWER_STEP, radius_step=RADIUS_STEP):
    """Lenses of power-minus, power-plus, aperture-minus, aperture-plus."""
    return (lens(POWER - power_step), lens(POWER + power_step), lens(radius=RADIUS - radius_step),
            lens(radius=RADIUS + radius_step))


FOCUS = lens().focus


def surface(rng, shape=(240, 320)):
    """Periodic texture of amplitude 1 / f through a pixel and a Gaussian of 0.35 px: mean 0.5, std 0.15."""
    wy, wx = (2 * np.pi * np.fft.fftfreq(length) for length in shape)
    wy = wy[:, None]
    radial = np.hypot(wy, wx)
    radial[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.normal(size=shape)) / radial * np.exp(-0.5 * 0.35**2 * (wy**2 + wx**2))
    found = np.fft.ifft2(spectrum * np.sinc(wy / (2 * np.pi)) * np.sinc(wx / (2 * np.pi))).real
    return 0.5 + 0.15 * (found - found.mean()) / found.std()


def plane_quad(rng, *, inverse_depth, full_well=20000.0, psf=None, sharp=None, shape=(240, 320), optics=None):
    """The quadruple of a fronto-parallel plane at `inverse_depth` [dioptre], periodic, equally bright.

    full_well   electrons at white in the power images; the small iris collects as much less as it is smaller; None: no noise
    """
    psf = Psf("disk") if psf is None else psf
    sharp = surface(rng, shape) if sharp is None else sharp
    wy, wx = (2 * np.pi * np.fft.fftfreq(length) for length in sharp.shape)
    spectrum, images, views = np.fft.fft2(sharp), [], []
    for each in optics or lenses():
        image = np.fft.ifft2(spectrum * psf.otf(each.coc(inverse_depth), wy[:, None], wx)).real
        noise = Noise((full_well or 1e12) * (each.pupil_diameter / (2 * RADIUS)) ** 2, READ_NOISE if full_well else 0.0)
        if full_well:
            image = image + rng.normal(size=image.shape) * np.sqrt(noise.variance(image))
        images.append(image)
        views.append(View(each, psf, noise))
    return DifferentialQuad(np.stack(images).astype(np.float32), views)
