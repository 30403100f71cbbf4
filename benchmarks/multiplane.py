"""Dual-pixel pairs with kernels measured over the picture: `likelihood` on six Pixel 4 scenes, `multiplane` on two.

    python benchmarks/multiplane.py                 AI(1) of the six scenes against a constant map
    python benchmarks/multiplane.py --multiplane    multiplane on the two scenes with a sharp reference, minutes each

Data: Xin et al. 2021, central crop of 1008 x 1344 px, right view times the smoothed ratio of the white sheets; truth 0 is
invalid.  AI(1): mean |a y + b - truth| of the best a, b, over the known pixels, and over all with unknown ones filled from
around them.  Sharpness: PSNR [dB] of the image against the sharp reference (peak 1) after the best gain, offset and whole
shift of up to 4 px, the same for the views and the result: the reference is aligned with the left view, the result lies
midway between both.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from dfd.affine import affine_errors
from dfd.capture import DualPixelPair, View
from dfd.fieldpsf import FieldPsf
from dfd.io.images import read_values
from dfd.noise import estimate
from dfd.refine import fill
from dfd.solvers.grid import labels_of, lensed
from dfd.solvers.likelihood import solve_likelihood
from dfd.solvers.multiplane import planes_of, solve_multiplane

FOLDER = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "dp" / "xin2021_pixel4" / "DP_data_pixel_4"
SCENES, SHARP = ("001", "003", "004", "006", "007", "008"), ("001", "003")
BLACK, WHITE, UNIT_COC = 1024, 16383, -25.2
CROP = np.s_[252:1260, 336:1680]


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--multiplane", action="store_true", help="the table of multiplane instead")
    asked = parser.parse_args()
    if not FOLDER.exists():
        sys.exit(f"{FOLDER} is not on this machine")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    if asked.multiplane:
        print("| scene | planes | AI(1) likelihood | multiplane | within sigma | left dB | right dB | result dB | CPU s | "
              "wall s |")
        print("|---" * 10 + "|")
        for scene in SHARP:
            multiplane(scene)
    else:
        print("| scene | constant map | AI(1) known | known | AI(1) filled | within sigma | CPU s | wall s |")
        print("|---" * 8 + "|")
        rows = [likelihood(scene) for scene in SCENES]
        show("mean", np.mean(rows, axis=0))
    print(f"\nload {os.getloadavg()[0]:.1f}")


def pair(scene):
    """The affine pair of a scene, with its kernels."""
    images = [np.clip((grey(f"{scene}_{side}.png") - BLACK) / (WHITE - BLACK), 0, None) for side in ("left", "right")]
    sheets = [grey(f"calibration/white_sheet_{side}.png") - BLACK for side in ("left", "right")]
    images[1] = images[1] * ndimage.uniform_filter(sheets[0] / sheets[1], 101)
    images = np.stack([image[CROP] for image in images]).astype(np.float32)
    kernels = [np.load(FOLDER / f"calibration/blur_kernels_{side}.npy").reshape(6, 8, 61, 61) for side in ("left", "right")]
    psfs = FieldPsf.pair(*kernels, coc=UNIT_COC, size=images.shape[1:])
    views = [View(None, psf, estimate(image[None], taps=None)) for psf, image in zip(psfs, images, strict=True)]
    return DualPixelPair(images, views, "affine")


def grey(name):
    """(H, W) float32 code values of a picture of the data set."""
    image = np.asarray(read_values(FOLDER / name), np.float32)
    return image if image.ndim == 2 else image[..., 0]


def likelihood(scene):
    """Print and return the row of a scene."""
    capture, truth = pair(scene), grey(f"gt_defocus_map/{scene}_gt.png") / 255
    result, *seconds = timed(solve_likelihood, capture)
    valid = truth > 0
    known = valid & result.valid
    row = (np.mean(abs(truth[valid] - np.median(truth[valid]))), ai1(result.values, truth, known), known.sum() / valid.sum(),
           ai1(fill(result.values), truth, valid), within(result, truth, known), *seconds)
    show(scene, row)
    return row


def show(name, row):
    """Print a row: shares and AI(1) with four digits, the two times last."""
    print(f"| {name} |", " | ".join(f"{value:.4f}" for value in row[:-2]), f"| {row[-2]:.0f} | {row[-1]:.0f} |", flush=True)


def timed(function, *arguments):
    """(what it gives, CPU seconds, wall seconds)."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = function(*arguments)
    return result, time.process_time() - cpu, time.perf_counter() - wall


def multiplane(scene):
    """Print the row of a scene: depth against likelihood on what likelihood knows, and the sharp image."""
    capture, truth = pair(scene), grey(f"gt_defocus_map/{scene}_gt.png") / 255
    reference = grey(f"gt_all_in_focus_im/{scene}_gt.png")
    before = solve_likelihood(capture)
    result, *seconds = timed(solve_multiplane, capture)
    known = (truth > 0) & before.valid
    planes = len(planes_of(before.values, lens=lensed(capture).views[0].lens, within=labels_of(capture, None)))
    errors = [ai1(each.values, truth, known) for each in (before, result)]
    quality = [psnr(image, reference / reference.max()) for image in (*capture.images, result.picture)]
    print(f"| {scene} | {planes} |", " | ".join([f"{e:.4f}" for e in errors] + [f"{within(result, truth, known):.4f}"]
                                               + [f"{q:.2f}" for q in quality] + [f"{s:.0f}" for s in seconds]), "|",
          flush=True)


def within(result, truth, known):
    """Share of the known pixels whose error, after the best line, is less than sigma."""
    slope, level = np.polyfit(result.values[known].astype(float), truth[known].astype(float), 1)
    return np.mean(abs(slope * result.values + level - truth)[known] < abs(slope) * result.sigma[known])


def ai1(values, truth, mask):
    """AI(1) over a mask of pixels."""
    return affine_errors(values, truth, mask.astype(float))["ai1"]


def psnr(image, reference, border=16):
    """dB of the best gain, offset and whole shift."""
    inside, best = np.s_[border:-border, border:-border], -np.inf
    for down in (-1, 0, 1):
        for right in range(-4, 5):
            moved = np.roll(image, (down, right), (0, 1))[inside].ravel().astype(float)
            columns = np.stack([moved, np.ones(moved.size)], axis=1)
            target = reference[inside].ravel()
            fitted = columns @ np.linalg.solve(columns.T @ columns, columns.T @ target)
            best = max(best, -10 * np.log10(np.mean((fitted - target) ** 2)))
    return best


if __name__ == "__main__":
    main()
