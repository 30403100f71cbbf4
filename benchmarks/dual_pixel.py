"""Dual-pixel pairs: real ones with a truth that is known up to a line, and rendered ones with an exact one.

    python benchmarks/dual_pixel.py [iccp] [xin] [rendered]

`iccp`: scene 005 of Punnappurath et al. 2020, Canon 5D IV, 15 MP, views of Canon's DPP as 8-bit JPEG, sRGB undone; scored
without a border of 100 px, unknown pixels filled by the nearest known one.  `xin`: six scenes of Xin et al. 2021, Pixel 4,
14 bit, right view times the ratio of the white sheets, the central crop, where the truth is known (> 0), filled likewise.
The peer is continuous cost aggregation as Monin et al. publish it, with the parameters that they give for this set, on
sqrt(I): written here from its formulas, without a bias table; `guided` is its map after a guided filter (He et al., 16 px).
`rendered`: half pupils, 50 mm f/4, 12 um, focus 1.1 m, scenes from 1.0 to 1.3 m, 20000 e-; seeds that nothing was tuned on.
`disparity` runs as `dfd depth` runs it: in tiles on all cores, with nothing set.
"""

import sys
import time
from typing import NamedTuple

import cv2
import numpy as np
from common import header, load, row, shared_data

from dfd.affine import affine_errors
from dfd.capture import DualPixelPair, View
from dfd.noise import Noise, estimate, expose
from dfd.optics import ThinLens
from dfd.psf import IDEAL_KAPPA, Psf
from dfd.refine import fill
from dfd.simulate import make_scene, render, true_inverse_depth
from dfd.solvers import SOLVERS
from dfd.tiles import solve_tiled

XIN = ("001", "003", "004", "006", "007", "008")
RENDERED = ("demo", "slant", "step", "sphere", "slant-sphere")
SEEDS = (11, 12)
LUMINANCE = np.float32([0.25, 0.5, 0.25])


def affine_pair(left, right, taps):
    """An affine pair of two linear views, its noise from the images; taps: of the filter it went through, None = unknown."""
    images = np.stack([left, right]).astype(np.float32)
    return DualPixelPair(images, [View(None, Psf(), estimate(image, taps=taps)) for image in images], "affine")


def solved(pair):
    """(DepthMap, wall seconds, seconds of all cores)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = solve_tiled(pair, SOLVERS["disparity"])
    return result, time.perf_counter() - wall, time.process_time() - cpu


def linear(picture):
    """Linear luminance of an 8-bit sRGB picture."""
    code = np.arange(256) / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return light[picture] @ LUMINANCE


def iccp():
    """One table row: AI(1), AI(2) of the filled map, time."""
    folder = shared_data("dp/iccp2020_dslr_005")
    left, right = (linear(cv2.imread(str(folder / f"005_{side}.jpg"))) for side in "LR")
    truth = cv2.imread(str(folder / "005_D.TIF"), cv2.IMREAD_UNCHANGED)
    result, wall, cpu = solved(affine_pair(left, right, None))
    found = affine_errors(fill(result.values), truth, border=100, white=255)
    header("ICCP 005", "AI(1)", "AI(2)", "constant AI(1)", "known", "wall s", "cpu s")
    row("disparity, filled", *(f"{found[name]:.4f}" for name in ("ai1", "ai2", "constant_ai1")),
        f"{result.valid.mean():.3f}", f"{wall:.1f}", f"{cpu:.1f}")


def xin_scene(name):
    """(left, right, truth) of a scene; truth 0 = unknown."""
    folder = shared_data("dp/xin2021_pixel4/DP_data_pixel_4")

    def read(path):
        return np.maximum((cv2.imread(str(folder / path), cv2.IMREAD_UNCHANGED).astype(np.float32) - 1024) / 15359, 0)

    sheets = [read(f"calibration/white_sheet_{side}.png") for side in ("left", "right")]
    left, right = read(f"{name}_left.png"), read(f"{name}_right.png")
    right = right * cv2.boxFilter(sheets[0] / sheets[1], -1, (101, 101))
    truth = cv2.imread(str(folder / f"gt_defocus_map/{name}_gt.png"), cv2.IMREAD_UNCHANGED)
    return left[252:1260, 336:1680], right[252:1260, 336:1680], truth


def xin():
    """AI(1) of every scene: the best constant, the peer, the peer filtered, disparity."""
    header("Xin scene", "constant", "CCA", "CCA guided", "disparity", "AI(2)", "spearman", "known", "cpu s")
    rows = []
    for name in XIN:
        left, right, truth = xin_scene(name)
        known = truth > 0
        roots = [255 * np.sqrt(view) for view in (left, right)]
        peer = aggregated(*roots)
        result, _, cpu = solved(affine_pair(left, right, (1.0,)))
        found = affine_errors(fill(result.values), truth, known, white=255)
        peers = [affine_errors(part, truth, known, white=255)["ai1"] for part in (peer, guided(peer, roots[0] / 255))]
        rows.append((found["constant_ai1"], *peers, found["ai1"], found["ai2"], found["spearman"], result.valid.mean(), cpu))
        row(name, *(f"{figure:.3f}" for figure in rows[-1]))
    row("**mean**", *(f"**{figure:.4f}**" for figure in np.mean(rows, axis=0)))


class Published(NamedTuple):
    """Parameters of the peer for Pixel 4 views, as published; smooth: std [px] of the window, least: T_a, price: P1."""

    most: int = 4
    smooth: float = 3.0
    least: float = 0.12
    price: float = 5.0
    width: float = 2.0
    passes: tuple = (6, 2, 1)
    share: float = 0.01


def aggregated(left, right, p=Published()):  # noqa: B008
    """The peer: disparity [px], left(x) = right(x + d), by continuous cost aggregation of 0..255 views, coarse to fine."""
    views = [(left, right)]
    for _ in p.passes[1:]:
        views.append(tuple(cv2.resize(view, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for view in views[-1]))
    sums = None
    for pair, passes in zip(reversed(views), p.passes, strict=True):
        edge = p.most / 2 ** (len(p.passes) - 1)
        low, high = -edge, edge
        if sums is not None:
            sums = [cv2.resize(plane, pair[0].shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in sums]
            middle = -sums[1] / sums[0]  # twice the minimum of the level before
            low, high = middle.min() - 2, middle.max() + 2
        alpha, beta = _parabolas(*pair, int(np.floor(low)), int(np.ceil(high)), p)
        if sums is not None:
            alpha, beta = alpha + p.share * sums[0] / 4, beta + p.share * sums[1] / 2
        for _ in range(passes):
            alpha, beta = (plane / 8 for plane in _eight_paths(alpha, beta, pair[0], p))
        sums = 8 * alpha, 8 * beta
    return -sums[1] / (2 * sums[0])


def _parabolas(left, right, low, high, p):
    """(alpha, beta) of alpha d^2 + beta d through the least window sum of absolute differences and its neighbours."""
    costs = []
    for d in range(low - 1, high + 2):
        shift = np.float32([[1, 0, -d], [0, 1, 0]])
        moved = cv2.warpAffine(right, shift, right.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        costs.append(cv2.GaussianBlur(np.abs(left - moved), (0, 0), p.smooth))
    costs = np.stack(costs)
    best = np.argmin(costs[1:-1], axis=0)[None] + 1
    below, least, above = (np.take_along_axis(costs, best + k, axis=0)[0] for k in (-1, 0, 1))
    one, other = np.maximum(below - least, 0), np.maximum(above - least, 0)
    ratio = np.minimum(one, other) / np.maximum(np.maximum(one, other), 1e-9)
    away = np.where(one <= other, -1, 1) * (0.5 - (ratio + ratio**2) / 4) * (one + other > 0)
    rest = costs.copy()
    np.put_along_axis(rest, best, np.inf, axis=0)
    beside = np.abs(np.argmin(rest, axis=0) - best[0]) == 1
    certain = np.where(beside, 1, np.clip((rest.min(axis=0) / np.maximum(least, 1e-9) - 1) / 1.2, 0.01, 1) ** 2)
    alpha = (one + other) / 2 * certain
    beta = -2 * alpha * (away + best[0] + low - 1)
    flat = alpha < p.least
    alpha, beta = np.where(flat, 1e-4 * p.least, alpha), np.where(flat, 0, beta)
    border = int(2 * p.smooth + max(abs(low), abs(high)))
    ramp = np.ones(left.shape[1])
    ramp[:border], ramp[-border:] = np.linspace(1000, 1, border), np.linspace(1, 1000, border)
    return (alpha / ramp).astype(np.float32), (beta / ramp).astype(np.float32)


def _eight_paths(alpha, beta, guide, p):
    """(sum of A, sum of B) over the eight paths."""
    total = [np.zeros_like(alpha) for _ in range(2)]
    for turn, moves in ((lambda plane: plane, (-1, 0, 1)), (lambda plane: plane[::-1], (-1, 0, 1)),
                        (lambda plane: plane.T, (0,)), (lambda plane: plane.T[::-1], (0,))):
        for move in moves:
            for plane, part in zip(total, _one_path(turn(alpha), turn(beta), turn(guide), move, p), strict=True):
                view = turn(plane)
                view += part
    return total


def _one_path(alpha, beta, guide, move, p):
    """(A, B) of the paths that come from the row before, `move` columns on."""
    a, b = alpha.copy(), beta.copy()
    for y in range(1, len(a)):
        before, told, light = (np.roll(plane[y - 1], move) for plane in (a, b, guide))
        passed = p.price * np.clip(before, 0, 1) * np.exp(-((guide[y] - light) / p.width) ** 2)
        if move:
            passed[0 if move > 0 else -1] = 0
        a[y] += passed
        b[y] += passed * told / before
    return a, b


def guided(plane, guide, radius=16, epsilon=1e-4):
    """A guided filter of `plane` by the brightness of `guide`, 0..1."""
    def mean(image):
        return cv2.boxFilter(image, -1, (2 * radius + 1,) * 2)

    centre, level = mean(guide), mean(plane)
    gain = (mean(guide * plane) - centre * level) / (mean(guide * guide) - centre**2 + epsilon)
    return mean(gain) * guide + mean(level - gain * centre)


def half_pupils(scene, seed):
    """(pair, true inverse depth) of a rendered scene."""
    lens, noise = ThinLens.focused_at(1.1, focal_length=0.05, f_number=4.0, pixel_pitch=12e-6), Noise(20000.0, 3.0)
    world = make_scene(scene, seed=seed, nearest=1.0, farthest=1.3, shape=(400, 600), fx=lens.fx)
    light = render(world, [lens, lens], (400, 600), pupils=("left", "right")) @ LUMINANCE
    images = np.stack([expose(view, noise, np.random.default_rng([seed, k])) for k, view in enumerate(light)])
    views = [View(lens, Psf(model), noise) for model in ("half-left", "half-right")]
    return (DualPixelPair(images.astype(np.float32), views, "metric", kappa=IDEAL_KAPPA),
            true_inverse_depth(world, lens, (400, 600)))


def rendered():
    """Relative depth error of every scene, share known, share within one sigma."""
    header("rendered", "mean error %", "median error %", "known %", "within one sigma %", "cpu s")
    rows = []
    for scene in RENDERED:
        for seed in SEEDS:
            pair, truth = half_pupils(scene, seed)
            result, _, cpu = solved(pair)
            error = 100 * np.abs(truth / result.values - 1)
            within = np.abs(result.values - truth)[result.valid] < result.sigma[result.valid]
            rows.append((np.nanmean(error), np.nanmedian(error), 100 * result.valid.mean(), 100 * within.mean(), cpu))
            row(f"{scene} {seed}", *(f"{figure:.2f}" for figure in rows[-1]))
    row("**mean**", *(f"**{figure:.3f}**" for figure in np.mean(rows, axis=0)))


SECTIONS = {"iccp": iccp, "xin": xin, "rendered": rendered}

if __name__ == "__main__":
    print(f"{load()}\n")
    for name in sys.argv[1:] or SECTIONS:
        if name not in SECTIONS:
            sys.exit(f"section {name!r} must be one of {', '.join(SECTIONS)}")
        SECTIONS[name]()
        print()
