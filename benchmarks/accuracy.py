"""Accuracy on exact truth: the scene that peers were measured on, and a ray-traced aperture pair.

    python benchmarks/accuracy.py [peers] [pair]

peers: 120 x 160 px, a slanted plane and a box before it, two foci, Gaussian blur whose std is the blur *radius* (so the
lens below has twice the pupil: a PSF of this library has std |coc| / 4), noise 0.5 % of white; every method gets the true
PSF and the range 1.02 to 1.95 m; 10 px at the border do not count.  "plain" is the textbook statistic (relative channel of
whole frames, squared, box of 9 or 15, 60 labels, parabola), noted as 27.3 / 12.2 / 5.5 and 28.7 / 13.6 / 5.5 mm: that it
comes out alike shows that the scene is theirs.  pair: 50 mm f/4 and f/11, 12 um, focus 0.9 m, beyond it
a slant and a sphere from 1.0 to 1.3 m, 300 x 400 px.  Stacks: simulated.py --solver likelihood.
Nothing is fitted on the truth; errors are of known pixels, "filled" of all, unknown ones taken from the nearest known.
"""

import sys
import time
from dataclasses import replace

import numpy as np
from common import header, load, row
from scipy import fft, ndimage

from dfd.capture import AperturePair, FocalStack, View
from dfd.noise import Noise, expose
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.refine import fill
from dfd.simulate import FINE_SAMPLES, make_scene, render, true_inverse_depth
from dfd.solvers import SOLVERS

SHAPE, BORDER, NOISE = (120, 160), 10, 0.005
NEAR, FAR, LEAST_STD = 1.02, 1.95, 0.3
PEERS = (("DFDFD relative blur 9 / 15", "28.9 / 30.0", "13.1 / 14.1", "6.7 / 6.9"),
         ("DFDFD Wiener 9 / 15", "27.4 / 29.0", "13.2 / 14.6", "7.1 / 7.1"),
         ("asked", "", "9.8", "5.3"))
"""Best peers as noted by those who ran them (2 frames, full frame): RMSE, MAE, median [mm]; their maps have no gaps."""

PAIR_SEEDS, PAIR_SHAPE = (1, 2, 3), (300, 400)


def peers_lens(distance, widened=1.0):
    """50 mm f/20, 12 um, focused by moving the sensor; `widened` pupil for a Gaussian of std = blur radius."""
    return ThinLens.focused_at(distance, focal_length=0.05, f_number=20 / widened, pixel_pitch=12e-6)


def peers_scene():
    """(depth [m], sharp image, generator) of the peers' scene, drawn in the order in which they drew."""
    rng = np.random.default_rng(3)
    height, width = SHAPE
    depth = np.broadcast_to(1.1 + 0.7 * np.arange(width) / width, SHAPE).copy()
    depth[30:90, 50:100] = 1.25
    frequency = np.hypot(fft.fftfreq(height)[:, None], fft.fftfreq(width)[None])
    texture = fft.ifft2(fft.fft2(rng.standard_normal(SHAPE)) / np.sqrt(frequency**2 + (1 / 64) ** 2)).real
    texture /= texture.std()
    discs, (y, x) = np.zeros(SHAPE), np.mgrid[:height, :width]
    for _ in range(900):
        radius = min(2.5 / np.sqrt(rng.uniform(1e-3, 1)), 30)
        row_at, column_at = rng.uniform(0, height), rng.uniform(0, width)
        discs[(y - row_at) ** 2 + (x - column_at) ** 2 <= radius**2] = rng.uniform(-1, 1)
    return depth, np.clip(0.5 + 0.10 * texture + 0.15 * discs, 0, 1), rng


def gathered(sharp, std):
    """Every pixel blurred by its own Gaussian: 80 levels, linear between them."""
    levels = np.linspace(LEAST_STD, std.max() + 0.05, 80)
    blurred = np.stack([ndimage.gaussian_filter(sharp, level, mode="reflect", truncate=5) for level in levels])
    place = (std - levels[0]) / (levels[1] - levels[0])
    low = np.clip(place.astype(int), 0, len(levels) - 2)[None]
    below, above = (np.take_along_axis(blurred, low + k, axis=0)[0] for k in (0, 1))
    return below + (place - low[0]) * (above - below)


def peers_capture():
    """(the focus pair, its true depth [m])."""
    depth, sharp, rng = peers_scene()
    images = [gathered(sharp, np.maximum(np.abs(peers_lens(distance).coc(1 / depth)) / 2, LEAST_STD))
              for distance in (1.0, 2.0)]
    images = np.stack([image + NOISE * rng.standard_normal(SHAPE) for image in images]).astype(np.float32)
    lenses = [peers_lens(distance, 2.0) for distance in (1.0, 2.0)]
    noise = Noise(1e9, NOISE * 1e9)
    return FocalStack(images, [View(lens, Psf("gaussian"), noise, lens.focus) for lens in lenses]), depth


def plain(capture, size):
    """(H, W) inverse depth by the relative channel of whole frames, squared and summed over size x size px."""
    pad, (height, width) = 24, SHAPE
    padded = height + 2 * pad, width + 2 * pad
    one, other = (fft.rfft2(np.pad(image - image.mean(), pad, mode="symmetric").astype(float)) for image in capture.images)
    radial = (2 * np.pi * fft.fftfreq(padded[0])[:, None]) ** 2 + (2 * np.pi * fft.rfftfreq(padded[1])[None]) ** 2
    labels, costs = np.linspace(1 / FAR, 1 / NEAR, 60), []
    for label in labels:
        first, second = (np.exp(-radial / 2 * max(abs(view.lens.coc(label)) / 4, LEAST_STD) ** 2) for view in capture.views)
        channel = fft.irfft2((second * one - first * other) / np.hypot(first, second), padded)
        costs.append(ndimage.uniform_filter(channel[pad:-pad, pad:-pad] ** 2, size, mode="reflect"))
    best = np.clip(np.argmin(costs, axis=0), 1, len(labels) - 2)
    before, least, after = (np.take_along_axis(np.array(costs), best[None] + k, 0)[0] for k in (-1, 0, 1))
    return labels[best] + np.clip(0.5 * (before - after) / (before - 2 * least + after), -1, 1) * (labels[1] - labels[0])


def peers():
    """Table of the peers' scene."""
    capture, depth = peers_capture()
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    header("peers' scene, 2 frames", "known", "RMSE mm", "MAE mm", "median mm", "filled: RMSE", "MAE", "median",
           "wall, CPU s")
    for name, *cells in PEERS:
        row(name, "", *cells, "", "", "", "")
    for size in (9, 15):
        row(f"plain {size}", "100.0%", *2 * in_mm((1 / plain(capture, size) - depth)[inner]), "")
    for name in [solver.name for solver in SOLVERS.values() if solver.takes(capture) and solver.name != "focus-measure"]:
        result, seconds = timed(name, capture, (1 / NEAR, 1 / FAR))
        known = np.isfinite(result.values[inner])
        row(f"**{name}**", f"{known.mean():.1%}", *in_mm((1 / result.values - depth)[inner]),
            *in_mm((1 / fill(result.values) - depth)[inner]), seconds)


def in_mm(error):
    """RMSE, MAE and median of the errors [m] that are known."""
    error = 1e3 * np.abs(error[np.isfinite(error)])
    return f"{np.sqrt(np.mean(error**2)):.1f}", f"{error.mean():.1f}", f"{np.median(error):.1f}"


def timed(name, capture, limits=None):
    """(DepthMap, "wall, CPU" seconds) of a solver whose loops have been compiled on a corner."""
    corner = replace(capture, images=np.ascontiguousarray(capture.images[:, :120, :128]))
    SOLVERS[name].function(corner, limits=limits)
    cpu, wall = time.process_time(), time.perf_counter()
    result = SOLVERS[name].function(capture, limits=limits)
    return result, f"{time.perf_counter() - wall:.2f}, {time.process_time() - cpu:.2f}"


def relative(result, truth):
    """Cells: known share, mean and median relative error; mean and median with unknown pixels filled; 1 and 2 sigma."""
    known, size = result.valid, np.abs(truth / result.values - 1)
    filled = np.abs(truth / fill(result.values) - 1)
    error = np.abs(result.values - truth)[known]
    return (f"{known.mean():.1%}", f"{size[known].mean():.3%}", f"{np.median(size[known]):.3%}",
            f"{filled.mean():.3%}", f"{np.median(filled):.3%}",
            f"{np.mean(error <= result.sigma[known]):.0%}", f"{np.mean(error <= 2 * result.sigma[known]):.0%}")


RELATIVE = ("known", "mean rel.", "median rel.", "filled: mean", "median", "1 sigma", "2 sigma", "wall, CPU s")


def pair_lenses():
    """The wide and the narrow lens of the aperture pair."""
    return [ThinLens.focused_at(0.9, focal_length=0.05, f_number=f_number, pixel_pitch=12e-6) for f_number in (4, 11)]


def pair():
    """Table of the ray-traced aperture pair."""
    header("aperture pair, solver, full well e-, seed", *RELATIVE)
    row("asked of likelihood at 20000", "90%", "0.7%", "0.3%", "", "", "", "", "2")
    lenses = pair_lenses()
    for seed in PAIR_SEEDS:
        scene = make_scene("slant-sphere", seed=seed, nearest=1.0, farthest=1.3, shape=PAIR_SHAPE, fx=lenses[0].fx)
        clean = render(scene, lenses, PAIR_SHAPE, samples=FINE_SAMPLES) @ np.array([0.25, 0.5, 0.25], np.float32)
        truth = true_inverse_depth(scene, lenses[0], PAIR_SHAPE)
        for electrons in (20000, 2000):
            noise, rng = Noise(electrons, 3.0), np.random.default_rng([seed, electrons])
            images = np.stack([expose(image, noise, rng) for image in clean])
            capture = AperturePair(images, [View(lens, Psf("disk"), noise, lens.focus) for lens in lenses], side="far")
            for name in ("likelihood", "spatial-transform"):
                result, seconds = timed(name, capture)
                row(f"{name}, {electrons}, {seed}", *relative(result, truth), seconds)


TABLES = {"peers": peers, "pair": pair}


def main():
    """Print the tables named, all without a name."""
    print(load())
    for name in sys.argv[1:] or TABLES:
        print()
        TABLES[name]()


if __name__ == "__main__":
    main()
