"""The differential family on synthetic captures with exact truth: accuracy, honesty and cost of each row, beside others.

    python benchmarks/laplacian.py [--quick]

The published variable-power sensor: 0.110 m behind the lens, 10.1 -+ 0.06 dioptre, 5 mm pupil, 23.44 um pixels (10.0 and
10.2 dioptre, 0.1104 m and 12 mm for the edges).  Planes with a natural texture are ray traced, hence disks; the rest is
blurred by its transfer function.  Depth is looked for from 0.45 to 2 m; 16 px of border do not count.
"""

import argparse
import time

import numpy as np
from common import header, row

from dfd.capture import Capture, View
from dfd.noise import Noise, expose
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.simulate import FINE_SAMPLES, make_scene, render, true_inverse_depth
from dfd.solvers import SOLVERS
from dfd.solvers.focal_flow import solve_motion

PAIRS = ("focal-track", "focal-split", "metalens", "spatial-transform", "likelihood")
EDGES = ("blurry-edges", "focal-track", "likelihood")
SHAPE, BORDER = (240, 320), 16
LIMITS = (1 / 0.45, 1 / 2.0)
DISTANCES = (0.55, 0.7, 0.85, 1.2, 1.5, 1.8)
EDGE_DISTANCES = (0.75, 0.85, 0.95, 1.05, 1.18)
GRATED = 300
"""Waves of the moving texture."""


def lens(power, distance=0.110, pupil=5e-3):
    """One state of the sensor."""
    return ThinLens(1 / power, pupil, distance, 4 * 5.86e-6)


def blurred(sharp, coc, psf):
    """`sharp`, taken as periodic, through a PSF and the pixel box."""
    wy, wx = 2 * np.pi * np.fft.fftfreq(sharp.shape[0])[:, None], 2 * np.pi * np.fft.fftfreq(sharp.shape[1])[None]
    seen = psf.otf(coc, wy, wx) * np.sinc(wy / 2 / np.pi) * np.sinc(wx / 2 / np.pi)
    return np.fft.ifft2(np.fft.fft2(sharp) * seen).real


def capture_of(images, lenses, psf, noise):
    """Views of images that already have their noise."""
    return Capture(np.stack(images).astype(np.float32), [View(each, psf, noise, each.focus) for each in lenses])


def rendered_plane(distance, noise, seed, psf):
    """(pair, inverse depth [dioptre]) of a textured plane: ray traced for a disk."""
    lenses, rng = [lens(10.1 - 0.06), lens(10.1 + 0.06)], np.random.default_rng([seed, int(1000 * distance)])
    scene = make_scene("plane", seed=seed, nearest=0.9 * distance, farthest=distance, shape=SHAPE, fx=lenses[0].fx)
    truth = true_inverse_depth(scene, lenses[0], SHAPE)
    if psf.model == "disk":
        images = render(scene, lenses, SHAPE, samples=FINE_SAMPLES) @ np.array([0.25, 0.5, 0.25], np.float32)
    else:
        pinhole = ThinLens(lenses[0].focal_length, 1e-6, lenses[0].image_distance, lenses[0].pixel_pitch)
        sharp = render(scene, [pinhole], SHAPE)[0] @ np.array([0.25, 0.5, 0.25])
        images = [blurred(sharp, each.coc(float(np.median(truth))), psf) for each in lenses]
    return capture_of([expose(image, noise, rng) for image in images], lenses, psf, noise), truth


def edges(distance, noise, seed, psf):
    """(pair, inverse depth [dioptre]) of overlapping rectangles of one brightness each; whole electrons, cut at white."""
    rng, shape = np.random.default_rng(seed), (147, 181)
    y, x = (np.mgrid[:4 * shape[0], :4 * shape[1]] + 0.5) / 4
    sharp = np.full(y.shape, 0.5)
    for _ in range(9):
        down, right, turn = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(0, np.pi)
        along = (x - right) * np.cos(turn) + (y - down) * np.sin(turn)
        across = (y - down) * np.cos(turn) - (x - right) * np.sin(turn)
        sharp[(abs(along) < rng.uniform(15, 45)) & (abs(across) < rng.uniform(15, 45))] = rng.uniform(0.05, 0.95)
    sharp = sharp.reshape(shape[0], 4, shape[1], 4).mean(axis=(1, 3))
    lenses = [lens(power, 0.1104, 12e-3) for power in (10.0, 10.2)]
    images = [expose(np.clip(blurred(sharp, each.coc(1 / distance), psf), 0, 1), noise, rng) for each in lenses]
    images = [np.clip(np.rint(image * noise.gain) / noise.gain, 0, 1) for image in images]
    return capture_of(images, lenses, psf, noise), np.full(shape, 1 / distance)


def moving(distance, noise, seed, psf, speed=0.05, interval=0.2):
    """Three frames of waves at distances `distance` + speed * time, and that distance."""
    rng, optics = np.random.default_rng(seed), lens(10.1)
    y, x = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    f = np.exp(rng.uniform(np.log(0.012), np.log(0.3), GRATED))
    turn, phase = rng.uniform(0, 2 * np.pi, (2, GRATED))
    waves = 2 * np.pi * f[:, None] * np.stack([np.sin(turn), np.cos(turn)], 1) / distance  # rad/px at 1 m
    images = []
    for time_ in (-interval, 0.0, interval):
        here = waves * (distance + speed * time_)
        coc = optics.coc(1 / (distance + speed * time_))
        box = np.sinc(here[:, 0] / 2 / np.pi) * np.sinc(here[:, 1] / 2 / np.pi)
        seen = 0.15 * np.sqrt(2 / GRATED) * psf.otf(coc, here[:, 0], here[:, 1]) * box
        clean = 0.5 + ((np.exp(1j * (np.outer(y, here[:, 0]) + phase)) * seen) @ np.exp(1j * np.outer(here[:, 1], x))).real
        images.append(expose(clean, noise, rng))
    return capture_of(images, [optics] * 3, psf, noise), interval


def judged(result, truth):
    """(relative errors of known pixels, share within one sigma, share known) inside the border."""
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    values, sigma, truth = result.values[inner], result.sigma[inner], truth[inner]
    known = np.isfinite(values)
    if not known.any():
        return np.array([np.nan]), np.nan, 0.0
    error = abs(values - truth)[known]
    return truth[known] / values[known] - 1, float((error < sigma[known]).mean()), float(known.mean())


def cell(errors, share, known):
    """Median of |relative error|, within one sigma, known."""
    return "-" if known == 0 else f"{np.median(abs(errors)):.2%}, {share:.0%}, {known:.0%}"


def joined(found):
    """One cell of what `judged` found on several textures."""
    shares = np.array([each[1:] for each in found])
    return cell(np.concatenate([each[0] for each in found]), np.nanmean(shares[:, 0]) if shares[:, 1].any() else 0,
                shares[:, 1].mean())


def solved(name, capture, limits):
    """(DepthMap or None where it refuses, core nanoseconds per pixel)."""
    start = time.process_time()
    result = SOLVERS[name].function(capture, limits=limits)
    return result, (time.process_time() - start) / result.values.size * 1e9


def planes(psf, noises, distances, seeds):
    """The table of textured planes."""
    header(f"planes, {psf.model}", "electrons", *(f"{distance:g} m" for distance in distances), "ns/px")
    for gain in noises:
        for name in PAIRS:
            cells, cost = [], []
            for distance in distances:
                found = []
                for seed in range(seeds):
                    capture, truth = rendered_plane(distance, Noise(gain, 5.0), seed, psf)
                    result, nanoseconds = solved(name, capture, LIMITS)
                    found.append(judged(result, truth))
                    cost.append(nanoseconds)
                cells.append(joined(found))
            row(name, gain, *cells, f"{np.median(cost):.0f}")
    print()


def edge_table(gains, distances, seeds):
    """The table of edges: median of the error, root mean square of it, both in cm, within one sigma and known."""
    header("edges, disk", "electrons", *(f"{distance:g} m" for distance in distances), "ns/px")
    for gain in gains:
        for name in EDGES:
            cells, cost = [], []
            for distance in distances:
                errors, shares, known = [], [], []
                for seed in range(seeds):
                    capture, truth = edges(distance, Noise(gain, 2.0), seed, Psf("disk"))
                    result, nanoseconds = solved(name, capture, (1 / 0.6, 1 / 1.4))
                    found = judged(result, truth)
                    errors.append(100 * distance * found[0])
                    shares.append(found[1])
                    known.append(found[2])
                    cost.append(nanoseconds)
                errors = np.concatenate(errors)
                spread = np.sqrt(np.nanmean(errors**2))
                cells.append(f"{np.nanmedian(errors):+.2f}, {spread:.2f} cm, {np.nanmean(shares):.0%}, {np.mean(known):.1%}")
            row(name, gain, *cells, f"{np.median(cost):.0f}")
    print()


def flow_table(distances, seeds):
    """The table of what recedes by 5 cm a second, three frames 0.2 s apart: as planes, and the median speed [cm/s]."""
    header("focal-flow", "electrons", *(f"{distance:g} m" for distance in distances))
    for psf in (Psf("gaussian"), Psf("disk")):
        for gain in (20000, 4000):
            cells = []
            for distance in distances:
                found, speeds = [], []
                for seed in range(seeds):
                    capture, interval = moving(distance, Noise(gain, 5.0), seed, psf)
                    motion = solve_motion(capture, interval=interval, limits=LIMITS)
                    found.append(judged(motion.depth, np.full(SHAPE, 1 / distance)))
                    speeds.append(np.nanmedian(motion.away))
                cells.append(f"{joined(found)}; {100 * np.mean(speeds):.2f}")
            row(psf.model, gain, *cells)
    print()


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one texture, one noise")
    quick = parser.parse_args().quick
    print("Cells: median of |relative error|, errors within one sigma, known pixels.\n")
    planes(Psf("disk"), (4000,) if quick else (20000, 4000, 1000), DISTANCES, 1 if quick else 2)
    planes(Psf("gaussian"), (4000,), DISTANCES, 1)
    print("Cells: median error, root mean square, errors within one sigma, known pixels.\n")
    edge_table((190,) if quick else (190, 4000), EDGE_DISTANCES, 2 if quick else 4)
    print("Cells: as for planes; median speed [cm/s], 5 is true.\n")
    flow_table(DISTANCES, 1 if quick else 2)


if __name__ == "__main__":
    main()
