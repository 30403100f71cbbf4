"""What `dfd plan` predicts against what comes out: predicted sigma over the RMSE of simulated textured planes.

    python benchmarks/plan.py [--solver likelihood|frames] [--share 0.5] [--fit]

Three cameras per kind; frames as the plan proposes them; a slanted plane, 3 px of blur from edge to edge around a share of
the range, 1/f texture through the library's own transfer functions, Poisson-Gaussian noise; the prediction is the root mean
square over the plane.  "likelihood" is the solver of that name on whole images; "frames" is the plain statistic at the noise
limit, written down here: whole frames filtered, squared and summed over 15 x 15 px.
--fit: also the Estimator that would have predicted best.
"""

import argparse
import math
import time
from dataclasses import replace

import numpy as np
import scipy.fft
import scipy.ndimage
from common import header, row

from dfd.bound import expected_sigma, response, white_std
from dfd.capture import CAPTURES
from dfd.plan import KINDS, LIKELIHOOD, PLAIN, Estimator, Setup, plan
from dfd.psf import IDEAL_KAPPA
from dfd.solvers import SOLVERS

SHAPE, WINDOW, BORDER = (360, 480), 15, 40
SLANT = 3.0

CAMERAS = {
    "50 mm f/8, 6 um, 0.8-1 m, 20000 e-": Setup(0.05, 8.0, 6e-6, 0.8, 1.0, 20000),
    "50 mm f/4, 12 um, 1-1.2 m, 5000 e-": Setup(0.05, 4.0, 12e-6, 1.0, 1.2, 5000),
    "phone f/1.8, 1.4 um, 0.25-0.3 m, 3000 e-": Setup(0.0068, 1.8, 1.4e-6, 0.25, 0.3, 3000),
}


def frequencies():
    """(wy, wx) of a real transform of SHAPE [rad/px]."""
    return (2 * np.pi * scipy.fft.fftfreq(SHAPE[0])[:, None], 2 * np.pi * scipy.fft.rfftfreq(SHAPE[1])[None])


def rendered(views, places, texture, rng):
    """(K, H, W) float32 images of a textured plane whose column x lies at inverse depth places[x], mean 0.5.

    Between levels 0.1 px of coc apart the blurred images are interpolated.
    """
    wy, wx = frequencies()
    power = texture.power(wy, wx)
    power[0, 0] = 0
    sharp = scipy.fft.rfft2(rng.standard_normal(SHAPE)) * np.sqrt(power)
    levels = np.linspace(places.min(), places.max(), math.ceil(10 * rate_of(views) * np.ptp(places)) + 2)
    images = []
    for view in views:
        clean = np.full(SHAPE, 0.5)
        for level in levels:
            share = np.clip(1 - np.abs(places - level) / (levels[1] - levels[0]), 0, 1)
            clean += share * scipy.fft.irfft2(sharp * response(view, level, wy, wx)[0], SHAPE)
        images.append(clean + rng.standard_normal(SHAPE) * np.sqrt(view.noise.variance(clean)))
    return np.stack(images).astype(np.float32)


def rate_of(views):
    """px of coc per dioptre of the view whose blur grows fastest."""
    return max(view.lens.blur_rate for view in views)


def by_frames(images, views, bounds):
    """(H, W) dioptres from the plain statistic; NaN at the ends of the search."""
    wy, wx = frequencies()
    grid = np.arange(*bounds, 0.12 / rate_of(views))
    scale = np.array([1 / white_std(view) for view in views])[:, None, None]
    spectra = scipy.fft.rfft2(images * scale)
    spectra[:, 0, 0] = 0
    costs = np.empty((len(grid), *SHAPE), np.float32)
    for index, hypothesis in enumerate(grid):
        seen = scale * np.stack([response(view, hypothesis, wy, wx)[0] for view in views])
        unit = seen / np.maximum(np.sqrt((np.abs(seen) ** 2).sum(axis=0)), 1e-15)
        rest = scipy.fft.irfft2(spectra - unit * (unit.conj() * spectra).sum(axis=0), SHAPE, axes=(1, 2))
        costs[index] = scipy.ndimage.uniform_filter((rest**2).sum(axis=0), WINDOW, mode="wrap") * WINDOW**2
    lowest = costs.argmin(axis=0)
    best = np.clip(lowest, 1, len(grid) - 2)
    before, least, after = (np.take_along_axis(costs, (best + shift)[None], 0)[0] for shift in (-1, 0, 1))
    step = 0.5 * (before - after) / np.maximum(before - 2 * least + after, 1e-12)
    return np.where(lowest == best, grid[best] + np.clip(step, -1, 1) * (grid[1] - grid[0]), np.nan)


def by_solver(name, images, views, proposal, bounds):
    """(H, W) dioptres from a solver of the table that is told the range."""
    extra = {"side": proposal.side} if proposal.kind == "aperture-pair" else {}
    extra |= {"kappa": IDEAL_KAPPA} if proposal.kind == "dual-pixel" else {}
    return SOLVERS[name].function(CAPTURES[proposal.kind](images, views, **extra), limits=bounds[::-1]).values


def case(kind, setup, seed, arguments):
    """(cells of one row, (sigmas of one window along the plane, RMSE), px of coc).

    Cells: frames, predicted sigma, RMSE, their ratio, 68 % of errors, bias [mm], share known, seconds.
    """
    (proposal,) = plan(setup, kinds=(kind,))
    views = setup.views(proposal.frames)
    middle = float(np.interp(arguments.share, (0, 1), setup.inverse_range))
    reach = SLANT / 2 / setup.blur_rate
    places = np.linspace(max(middle - reach, setup.inverse_range[0]), min(middle + reach, setup.inverse_range[1]), SHAPE[1])
    images = rendered(views, places, setup.texture, np.random.default_rng(seed))
    bounds = tuple(np.clip((places[0] - 2 / setup.blur_rate, places[-1] + 2 / setup.blur_rate),
                           *np.add(setup.inverse_range, (-1 / setup.blur_rate, 1 / setup.blur_rate))).tolist())
    if kind == "aperture-pair":
        bounds = tuple(np.clip(bounds, *setup.inverse_range).tolist())
    start = time.perf_counter()
    found = by_frames(images, views, bounds) if arguments.solver == "frames" else \
        by_solver(arguments.solver, images, views, proposal, bounds)
    seconds = time.perf_counter() - start
    inner = slice(BORDER, -BORDER)
    known = np.isfinite(found[inner, inner])
    error = ((found - places)[inner, inner] / places[inner] ** 2 * 1e3)[known]
    expected = np.array([expected_sigma(views, at, pixels=setup.solver.pixels, texture=setup.texture)
                         for at in places[inner][::8]]) * rate_of(views)
    size = 1e3 / places[inner][::8] ** 2 / rate_of(views)
    sigma = root_mean_square([setup.solver.reached(noise) for noise in expected] * size)
    rmse = root_mean_square(error)
    return (len(views), f"{sigma:.3f}", f"{rmse:.3f}", f"{sigma / rmse:.2f}", f"{np.percentile(np.abs(error), 68.3):.3f}",
            f"{error.mean():+.3f}", f"{known.mean():.0%}", f"{seconds:.1f}"), (expected, rmse / size.mean())


def root_mean_square(values):
    """Of any numbers; NaN without any."""
    return math.sqrt(np.mean(np.square(values))) if len(values) else math.nan


def fitted(seen, pixels):
    """The Estimator of least squared log ratio to what was `seen`: sigmas of one window and RMSE, px of coc each."""
    def ratios(estimator):
        return np.array([root_mean_square([*map(estimator.reached, expected)]) / rmse for expected, rmse in seen])

    tried = [Estimator(pixels, floor, joined) for floor in np.arange(0, 0.081, 0.0025).tolist()
             for joined in (*np.geomspace(0.01, 1, 60).tolist(), math.inf)]
    best = min(tried, key=lambda estimator: np.sum(np.log(ratios(estimator)) ** 2))
    return best, ratios(best)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--solver", default="likelihood" if "likelihood" in SOLVERS else "frames")
    parser.add_argument("--share", type=float, default=0.5, help="where its middle lies: 0 the far end, 1 the near end")
    parser.add_argument("--fit", action="store_true", help="also the numbers that would have predicted best")
    arguments = parser.parse_args()
    estimator = PLAIN if arguments.solver == "frames" else LIKELIHOOD
    header("kind", "camera", "frames", "predicted sigma, mm", "RMSE, mm", "predicted / RMSE", "68 % of errors, mm",
           "bias, mm", "known", "s")
    seen = []
    for kind in KINDS:
        for seed, (name, setup) in enumerate(CAMERAS.items()):
            cells, measured = case(kind, replace(setup, solver=estimator), seed, arguments)
            seen.append(measured)
            row(kind, name, *cells)
    if arguments.fit:
        best, ratios = fitted(seen, estimator.pixels)
        print(f"best: {best}, predicted / RMSE {ratios.min():.2f} to {ratios.max():.2f}")


if __name__ == "__main__":
    main()
