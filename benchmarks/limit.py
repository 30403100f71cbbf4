"""How near to the noise limit: RMSE of every pair solver over the exact Cramer-Rao bound of 15 x 15 px.

    python benchmarks/limit.py [--quick]

Texture of contrast 0.15 and spectrum 1 / (f^2 + (1/64)^2), blur a disc or Gaussian with a core of 0.5 px, square pixel;
u is px of blur radius.  The likelihood's column is its frame statistic alone, summed over 15 x 15 px, without aggregation;
the closed forms are the solvers as they are, with their Gaussian windows of as many pixels as a square of 14.2.
"""

import math
import sys
from typing import NamedTuple

import numpy as np
from common import header, row
from scipy.fft import irfft2, rfft2

from dfd import imaging
from dfd.bound import Texture, patch_information
from dfd.capture import AperturePair, FocalStack, View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.solvers import SOLVERS
from dfd.solvers.sweep import Sweep

SIZE, PATCH, BORDER, IMAGES = (360, 480), 15, 24, 3
RATE, MIDDLE = 50.0, 2.0
"""px of coc per dioptre of the wide lens, and the focus [dioptre] at which u is 0."""


class Setting(NamedTuple):
    """One row: bracket [px of radius] or ratio of apertures, where the plane lies [u, px], noise std of white."""

    kind: str
    size: float
    u: float
    noise: float


SETTINGS = (
    Setting("focus", 2, 0.65, 0.01), Setting("focus", 4, 1.3, 0.01), Setting("focus", 6, 1.95, 0.01),
    Setting("focus", 4, 1.3, 0.002), Setting("focus", 4, 1.3, 0.04),
    Setting("aperture", 0.25, 2, 0.01), Setting("aperture", 0.5, 2, 0.01),
)


def lens(u, ratio=1.0):
    """The lens focused at u [px of radius], its pupil a share of the wide one."""
    return ThinLens.from_focus(MIDDLE + 2 * u / RATE, fx=5000, pupil_diameter=ratio * RATE / 5000, pixel_pitch=6e-6)


def pair(setting, psf, rng):
    """A capture of a plane, its borders periodic."""
    texture = Texture()
    wy, wx = 2 * np.pi * np.fft.fftfreq(SIZE[0])[:, None], 2 * np.pi * np.fft.rfftfreq(SIZE[1])[None]
    spectrum = rfft2(rng.standard_normal(SIZE)) * np.sqrt(texture.power(wy, wx))
    spectrum[0, 0] = 0
    box = np.sinc(wy / 2 / np.pi) * np.sinc(wx / 2 / np.pi)
    images = [0.5 + irfft2(spectrum * psf.otf(view.lens.coc(place(setting)), wy, wx) * box, SIZE)
              + setting.noise * rng.standard_normal(SIZE) for view in views(setting, psf)]
    images = np.stack(images).astype(np.float32)
    if setting.kind == "focus":
        return FocalStack(images, views(setting, psf))
    return AperturePair(images, views(setting, psf), side="near")


def views(setting, psf):
    """Both views of a setting, with white noise of its std."""
    lenses = ((lens(0), lens(setting.size)) if setting.kind == "focus" else (lens(0), lens(0, setting.size)))
    noise = Noise(1e9, setting.noise * 1e9)
    return tuple(View(each, psf, noise, each.focus) for each in lenses)


def place(setting):
    """Inverse depth [dioptre] of the plane."""
    return MIDDLE + 2 * setting.u / RATE


def frame_statistic(capture, setting):
    """(H, W) inverse depth at which the channels of the likelihood, squared and summed over PATCH px, are least."""
    low, high, step = (-0.375 * setting.size, 1.375 * setting.size, 0.029 * setting.size)
    if setting.kind == "aperture":
        low, high, step = 0.2, 5.5, 0.08
    labels = MIDDLE + 2 / RATE * np.arange(low, high + step, step)
    sweep = Sweep(capture, labels)
    cost = np.stack([imaging.box_mean(found + level, PATCH) for found, level in sweep.residuals(labels)])
    best = np.clip(np.argmin(cost, axis=0), 1, len(labels) - 2)
    before, here, after = (np.take_along_axis(cost, best[None] + shift, 0)[0] for shift in (-1, 0, 1))
    offset = np.clip(0.5 * (before - after) / np.maximum(before - 2 * here + after, 1e-12), -1, 1)
    return labels[0] + (best + offset) * (labels[1] - labels[0])


def solved(name):
    """The values of a solver of the table; None where it does not take the pair."""
    def solve(capture, setting):
        return SOLVERS[name].function(capture).values if SOLVERS[name].takes(capture) else None

    return solve


METHODS = {"likelihood, frame statistic": frame_statistic, "spatial-transform": solved("spatial-transform"),
           "rational": solved("rational")}


def ratio(method, captures, setting, bound):
    """RMSE over the bound, with the share of pixels that are known where some are not; and 1.48 times the median error."""
    found = [method(capture, setting) for capture in captures]
    if found[0] is None:
        return "-"
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    errors = RATE / 2 * np.concatenate([(values[inner] - place(setting)).ravel() for values in found])
    known = np.isfinite(errors)
    errors = errors[known]
    share = f", {known.mean():.0%} known" if known.mean() < 0.995 else ""
    return f"{math.sqrt(np.mean(errors**2)) / bound:.2f} ({1.48 * np.median(abs(errors)) / bound:.2f}{share})"


def main():
    """Print the table."""
    settings = SETTINGS[:2] if "--quick" in sys.argv else SETTINGS
    header("PSF", "pair, noise", "u px", "bound px", *(f"{name} (robust)" for name in METHODS))
    for psf in (Psf("disk", 0.5), Psf("gaussian", 0.5)):
        for index, setting in enumerate(settings):
            rng = np.random.default_rng([index, 11])
            captures = [pair(setting, psf, rng) for _ in range(IMAGES)]
            information = patch_information(views(setting, psf), place(setting), size=PATCH, texture=Texture())
            bound = RATE / 2 / math.sqrt(information)
            kind = f"foci {setting.size:g} px apart" if setting.kind == "focus" else f"apertures 1:{setting.size:g}"
            row(psf.model, f"{kind}, {setting.noise:.1%}", f"{setting.u:g}", f"{bound:.4f}",
                *(ratio(method, captures, setting, bound) for method in METHODS.values()))


if __name__ == "__main__":
    main()
