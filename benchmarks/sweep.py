"""What the sweep of `likelihood` costs: time per pixel and hypothesis, memory and time of a 12 MP pair, the coarse sweep.

    python benchmarks/sweep.py [--quick] [hypothesis] [coarse] [memory]

The pair is that of accuracy.py (50 mm f/4 and f/11, 12 um, focus 0.9 m), 300 x 400 px ray traced and continued by mirroring,
with fresh noise at every pixel.  Times are the second of two calls.  The 12 MP pair is solved in a process of its own,
whose memory the kernel counts: Python, NumPy, the images (96 MB) and the result included.
"""

import sys
import time
from unittest import mock

import numpy as np
from accuracy import PAIR_SHAPE, pair_lenses
from common import header, load, measure, row

import dfd
from dfd import imaging
from dfd.capture import AperturePair, View
from dfd.noise import Noise, expose
from dfd.psf import Psf
from dfd.simulate import make_scene, render, true_inverse_depth
from dfd.solvers import coarse
from dfd.solvers.grid import labels_of
from dfd.solvers.likelihood import solve_likelihood
from dfd.solvers.locate import WINDOW
from dfd.solvers.sweep import Sweep

MEDIUM, LARGE = (900, 1200), (3000, 4000)
NOISE = Noise(20000, 3.0)
ASKED_NS, ASKED_MB = 100, 3000


def mirrored_pair(shape, farthest=1.3):
    """(aperture pair, its true inverse depth): a small one continued by mirroring."""
    lenses, rng = pair_lenses(), np.random.default_rng(7)
    scene = make_scene("slant-sphere", seed=7, nearest=1.0, farthest=farthest, shape=PAIR_SHAPE, fx=lenses[0].fx)
    clean = render(scene, lenses, PAIR_SHAPE) @ np.array([0.25, 0.5, 0.25], np.float32)
    rows, columns = (mirrored(length, tile) for length, tile in zip(shape, PAIR_SHAPE, strict=True))
    images = np.empty((2, *shape), np.float32)
    for image, small in zip(images, clean, strict=True):
        for start in range(0, shape[0], 256):  # photon counts are 8 bytes each
            image[start:start + 256] = expose(small[np.ix_(rows[start:start + 256], columns)], NOISE, rng)
    truth = true_inverse_depth(scene, lenses[0], PAIR_SHAPE)[np.ix_(rows, columns)]
    return AperturePair(images, [View(lens, Psf("disk"), NOISE, lens.focus) for lens in lenses], side="far"), truth


def mirrored(length, tile):
    """Indices into a tile that is mirrored at its borders."""
    place = np.arange(length) % (2 * tile)
    return np.where(place < tile, place, 2 * tile - 1 - place)


def spent(function):
    """(CPU s, wall s, what it returned) of the second call."""
    function()
    cpu, wall = time.process_time(), time.perf_counter()
    found = function()
    return time.process_time() - cpu, time.perf_counter() - wall, found


def per_hypothesis(shape):
    """Table: the sweep, the sweep with all that follows, and a copy, per pixel and hypothesis."""
    capture, _ = mirrored_pair(shape)
    labels = labels_of(capture, None)
    count = len(labels) * capture.shape[0] * capture.shape[1]
    planes = np.zeros((8, *capture.shape), np.float32)

    def sweep():
        for found, level in Sweep(capture, labels).residuals(labels):
            imaging.gaussian(found + level, WINDOW)

    def copy():
        for _ in range(len(labels) // len(planes)):
            planes.copy()

    def tiled():
        with mock.patch.object(coarse, "LEAST_LABELS", sys.maxsize):
            dfd.estimate_depth(capture, solver="likelihood", device="cpu")

    header(f"pair of {shape[1]} x {shape[0]} px, {len(labels)} hypotheses", "CPU ns per pixel and hypothesis", "wall ns")
    row("asked", "", ASKED_NS)
    for name, function in (("frames filtered, squared, windowed", sweep),
                           ("the same, slopes, aggregation, place, sigma: all of the solver, one piece",
                            lambda: without_coarse(capture)),
                           ("as `dfd depth` runs it: tiles, all cores", tiled), ("a copy of one plane", copy)):
        cpu, wall, _ = spent(function)
        row(name, f"{1e9 * cpu / count:.1f}", f"{1e9 * wall / count:.1f}")


def saved_by_coarse(shape):
    """Table: the same pair with and without the coarse sweep before."""
    capture, truth = mirrored_pair(shape, farthest=1.26)
    labels = labels_of(capture, None)
    whole_cpu, whole_wall, whole = spent(lambda: without_coarse(capture))
    cpu, wall, found = spent(lambda: solve_likelihood(capture))
    filled = np.ptp(truth) / (labels[-1] - labels[0])
    added = np.where(whole.valid, np.nan, found.values)
    header(f"scene in {filled:.0%} of {len(labels)} hypotheses", "CPU s", "wall s", "known", "mean rel. error", "1 sigma",
           "2 sigma")
    row("all hypotheses", f"{whole_cpu:.2f}", f"{whole_wall:.2f}", *judged(whole.values, whole.sigma, truth))
    row("coarse sweep first", f"{cpu:.2f}", f"{wall:.2f}", *judged(found.values, found.sigma, truth))
    row("of these, pixels unknown without it", "", "", *judged(added, found.sigma, truth))
    row("saved", f"{1 - cpu / whole_cpu:.0%}", f"{1 - wall / whole_wall:.0%}", "", "", "", "")


def judged(values, sigma, truth):
    """Cells: known share, mean relative error, errors within one and two sigma."""
    known = np.isfinite(values)
    if not known.any():
        return "0%", "-", "-", "-"
    error, sigma = np.abs(values - truth)[known], sigma[known]
    return (f"{known.mean():.1%}", f"{np.mean(error / values[known]):.2%}", f"{np.mean(error <= sigma):.0%}",
            f"{np.mean(error <= 2 * sigma):.0%}")


def without_coarse(capture):
    """The solver, every label of the range swept."""
    with mock.patch.object(coarse, "LEAST_LABELS", sys.maxsize):
        return solve_likelihood(capture)


def large():
    """Solve the 12 MP pair and print a line: seconds, known share, median relative error."""
    capture, truth = mirrored_pair(LARGE)
    cpu, wall = time.process_time(), time.perf_counter()
    result = dfd.estimate_depth(capture, solver="likelihood", device="cpu")
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    rows = np.s_[::7]  # judged on some rows: truth must not cost the memory that is measured
    found, exact = result.values[rows], truth[rows]
    known = np.isfinite(found)
    print(f"{wall:.1f} {cpu:.1f} {known.mean():.4f} {np.median(np.abs(exact[known] / found[known] - 1)):.6f}")


def memory():
    """Table of the 12 MP pair, in a process of its own."""
    cost, text = measure([sys.executable, __file__, "--large"])
    if cost.code:
        sys.exit(text)
    wall, cpu, known, error = map(float, text.splitlines()[-1].split())
    header("4000 x 3000 px pair", f"peak MB (at most {ASKED_MB})", "private MB", "wall s", "CPU s", "known",
           "median rel. error")
    row("tiles, all cores", f"{cost.peak:.0f}", f"{cost.private:.0f}", f"{wall:.1f}", f"{cpu:.1f}", f"{known:.1%}",
        f"{error:.3%}")


def main():
    """Print the tables."""
    if "--large" in sys.argv:
        large()
        return
    print(load())
    tables = {"hypothesis": lambda: per_hypothesis(size), "coarse": lambda: saved_by_coarse(size), "memory": memory}
    size = PAIR_SHAPE if "--quick" in sys.argv else MEDIUM
    for name in [word for word in sys.argv[1:] if word in tables] or list(tables)[:2 if "--quick" in sys.argv else 3]:
        print()
        tables[name]()


if __name__ == "__main__":
    main()
