"""Simulated flats of a dual-pixel sensor: a random texture, blurred and displaced tile by tile by a known field."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.dual_pixel.flats import Flat
from calibration.dual_pixel.tiles import measure_tiles
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.settings import CameraSettings

LENS = ThinLens.focused_at(1.0, focal_length=0.05, f_number=4.0, pixel_pitch=46.875e-6)
SHAPE, GRID = (192, 256), (3, 4)
COLUMN, ROW = np.meshgrid(np.linspace(-1, 1, GRID[1]), np.linspace(-1, 1, GRID[0]))
KAPPA = 0.2 - 0.05 * COLUMN**2
FOCUS = 1.02 + 0.03 * ROW**2
DISTANCES = (0.6, 1.5)
CAMERA = "[camera]\nfocal_length_mm = 50\nf_number = 4\npixel_pitch_um = 46.875\n"
VIEWS = ("left", "right")


def texture(rng, shape=SHAPE):
    """(H, W) grey noise of amplitude 1 / frequency around 0.5."""
    wy, wx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    radius = np.hypot(wy, wx)
    radius[0, 0] = 1
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) / radius, shape)
    return 0.5 + 0.12 * noise / noise.std()


def flat_views(rng, inverse_depth, kappa, focus, *, noise=0.005, shape=SHAPE, scene=None):
    """(2, H, W) views of a flat: in every tile the disk of its coc, displaced by half of kappa * coc to either side.

    inverse_depth   dioptre, a number or a grid;   kappa, focus   (rows, columns) grids
    """
    kappa, coc = np.broadcast_arrays(kappa, LENS.blur_rate * (np.asarray(inverse_depth) - focus))
    wy, wx = 2 * np.pi * np.fft.fftfreq(shape[0])[:, None], 2 * np.pi * np.fft.rfftfreq(shape[1])
    spectrum = np.fft.rfft2(texture(rng, shape) if scene is None else scene)
    views = np.zeros((2, *shape))
    for place in np.ndindex(*coc.shape):
        tile = tuple(slice(k * length // count, (k + 1) * length // count)
                     for k, length, count in zip(place, shape, coc.shape, strict=True))
        blurred = spectrum * Psf("disk").otf(coc[place], wy, wx)
        for view, side in zip(views, (-0.5, 0.5), strict=True):  # what is nearer lies further right in the left view
            view[tile] = np.fft.irfft2(blurred * np.exp(1j * wx * side * kappa[place] * coc[place]), shape)[tile]
    return views + rng.normal(0, noise, views.shape)


def write_pair(folder, views, *, camera=CAMERA, focus="focus_distance_m = 1.0", names=VIEWS) -> Path:
    """A folder with the two views and their capture.toml."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    frames = []
    for name, view, side in zip(names, views, VIEWS, strict=True):
        np.save(folder / f"{name}.npy", view.astype(np.float32))
        frames.append(f'[[frames]]\nfile = "{name}.npy"\n{focus}\nview = "{side}"\n')
    (folder / "capture.toml").write_text('kind = "dual-pixel"\n' + camera + "".join(frames))
    return folder


def flat(rng, distance, *, kappa=KAPPA, focus=FOCUS, sigma=0.0, inverse_depth=None, **options):
    """A measured Flat; `inverse_depth` where it is not that of its distance."""
    views = flat_views(rng, 1 / distance if inverse_depth is None else inverse_depth, kappa, focus, **options)
    return Flat(Path(f"at {distance:g} m"), distance, 1 / distance, sigma / distance**2, LENS,
                CameraSettings(), measure_tiles(*views, GRID), "x", SHAPE, (), ())
