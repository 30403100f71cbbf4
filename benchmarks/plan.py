"""What `dfd plan` predicts against what comes out: predicted sigma over the RMSE of simulated textured planes.

    python benchmarks/plan.py [--solver likelihood|frames] [--pixels 225]

Three cameras per kind; frames as the plan proposes them, a plane in the middle of the range, 1/f texture through the
library's own transfer functions, Poisson-Gaussian noise.  "likelihood" is the solver of that name on whole images;
"frames" is the plain statistic that the prediction describes, written down here: whole frames filtered, squared and summed
over 15 x 15 px, within 2 px of blur around the truth.
"""

import argparse
import math
import time

import numpy as np
import scipy.fft
import scipy.ndimage
from common import header, row

from dfd.bound import Texture, expected_sigma, response, white_std
from dfd.capture import CAPTURES
from dfd.plan import KINDS, Setup, plan
from dfd.psf import IDEAL_KAPPA
from dfd.solvers import SOLVERS

SHAPE, WINDOW, BORDER = (360, 480), 15, 40

CAMERAS = {
    "50 mm f/8, 6 um, 0.8-1 m, 20000 e-": Setup(0.05, 8.0, 6e-6, 0.8, 1.0, 20000),
    "50 mm f/4, 12 um, 1-1.2 m, 5000 e-": Setup(0.05, 4.0, 12e-6, 1.0, 1.2, 5000),
    "phone f/1.8, 1.4 um, 0.25-0.3 m, 3000 e-": Setup(0.0068, 1.8, 1.4e-6, 0.25, 0.3, 3000),
}


def frequencies():
    """(wy, wx) of a real transform of SHAPE [rad/px]."""
    return (2 * np.pi * scipy.fft.fftfreq(SHAPE[0])[:, None], 2 * np.pi * scipy.fft.rfftfreq(SHAPE[1])[None])


def rendered(views, inverse_depth, texture, rng):
    """(K, H, W) float32 images of a periodic textured plane, mean 0.5."""
    wy, wx = frequencies()
    power = texture.power(wy, wx)
    power[0, 0] = 0
    sharp = scipy.fft.rfft2(rng.standard_normal(SHAPE)) * np.sqrt(power)
    images = []
    for view in views:
        clean = 0.5 + scipy.fft.irfft2(sharp * response(view, inverse_depth, wy, wx)[0], SHAPE)
        images.append(clean + rng.standard_normal(SHAPE) * np.sqrt(view.noise.variance(clean)))
    return np.stack(images).astype(np.float32)


def by_frames(images, views, truth, bounds):
    """(n,) dioptres of windows that do not overlap, from the plain statistic; NaN at the ends of the search."""
    wy, wx = frequencies()
    rate = max(view.lens.blur_rate for view in views)
    low, high = max(truth - 2 / rate, bounds[0]), min(truth + 2 / rate, bounds[1])
    grid = np.arange(low, high, 0.12 / rate)
    scale = np.array([1 / white_std(view) for view in views])[:, None, None]
    spectra = scipy.fft.rfft2(images * scale)
    spectra[:, 0, 0] = 0
    costs = []
    for hypothesis in grid:
        seen = scale * np.stack([response(view, hypothesis, wy, wx)[0] for view in views])
        unit = seen / np.maximum(np.sqrt((np.abs(seen) ** 2).sum(axis=0)), 1e-15)
        rest = scipy.fft.irfft2(spectra - unit * (unit.conj() * spectra).sum(axis=0), SHAPE, axes=(1, 2))
        summed = scipy.ndimage.uniform_filter((rest**2).sum(axis=0), WINDOW, mode="wrap") * WINDOW**2
        costs.append(summed[WINDOW // 2::WINDOW, WINDOW // 2::WINDOW].ravel())
    costs = np.stack(costs)
    lowest = costs.argmin(axis=0)
    best = np.clip(lowest, 1, len(grid) - 2)
    before, least, after = (costs[best + shift, np.arange(best.size)] for shift in (-1, 0, 1))
    step = 0.5 * (before - after) / np.maximum(before - 2 * least + after, 1e-12)
    return np.where(lowest == best, grid[best] + np.clip(step, -1, 1) * (grid[1] - grid[0]), np.nan)


def by_solver(name, images, views, proposal):
    """(n,) dioptres of every pixel but the border, from a solver of the table."""
    extra = {"side": proposal.side} if proposal.kind == "aperture-pair" else {}
    extra |= {"kappa": IDEAL_KAPPA} if proposal.kind == "dual-pixel" else {}
    result = SOLVERS[name].function(CAPTURES[proposal.kind](images, views, **extra))
    return result.values[BORDER:-BORDER, BORDER:-BORDER].ravel()


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--solver", default="likelihood" if "likelihood" in SOLVERS else "frames")
    parser.add_argument("--pixels", type=float, default=WINDOW**2, help="effective pixels that the solver averages over")
    arguments = parser.parse_args()
    header("kind", "camera", "frames", "predicted sigma, mm", "RMSE, mm", "predicted / RMSE", "68 % of errors, mm",
           "known", "s")
    for kind in KINDS:
        for seed, (name, setup) in enumerate(CAMERAS.items()):
            (proposal,) = plan(setup, kinds=(kind,))
            views, truth = setup.views(proposal.frames), sum(setup.inverse_range) / 2
            images = rendered(views, truth, setup.texture, np.random.default_rng(seed))
            start = time.perf_counter()
            found = by_frames(images, views, truth, setup.inverse_range) if arguments.solver == "frames" else \
                by_solver(arguments.solver, images, views, proposal)
            seconds = time.perf_counter() - start
            error = (found - truth)[np.isfinite(found)] * 1e3 / truth**2
            rmse = math.sqrt(np.mean(error**2)) if error.size else math.nan
            sigma = 1e3 / truth**2 * expected_sigma(views, truth, pixels=arguments.pixels, texture=Texture(setup.contrast))
            row(kind, name, len(views), f"{sigma:.3f}", f"{rmse:.3f}", f"{sigma / rmse:.2f}",
                f"{np.percentile(np.abs(error), 68.3):.3f}", f"{np.isfinite(found).mean():.0%}", f"{seconds:.1f}")


if __name__ == "__main__":
    main()
