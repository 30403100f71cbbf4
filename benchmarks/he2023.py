"""Accuracy on exact truth: the 44 frames of he2023_synth through the whole main job, scale stage.

    python benchmarks/he2023.py

Protocol: frames in focus order, stage positions 0.02 mm apart in a capture.toml made here, mask eroded 5 x 5, one
constant offset (the median error) removed, unknown pixels counted against the share kept.  Peers of the same protocol,
recomputed here from their definitions: SML 9 x 9 and ring difference 9 x 9, 3-point Gaussian, floor subtracted.
"""

import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import tifffile
from common import dfd, header, row, shared_data
from scipy import ndimage

FOLDER = "stacks/he2023_synth"
STEP_MM = 0.02


def load_truth(folder):
    """Truth [um], NaN outside the mask eroded by 5 x 5."""
    truth = np.load(folder / "depth_mm.npy").astype(float) * 1e3
    mask = ndimage.binary_erosion(cv2.imread(str(folder / "mask.png"), cv2.IMREAD_UNCHANGED) > 0, np.ones((5, 5)))
    return np.where(mask, truth, np.nan)


def write_capture(folder, target, *, linear):
    """Copy the frames and write the capture.toml that a user of a motorised stage would write."""
    lines = ['kind = "focal-stack"', "[camera]", f"linear = {'true' if linear else 'false'}"]
    for index in range(1, 45):
        name = f"im_{index:02d}.png"
        shutil.copy(folder / name, target / name)
        lines += ["[[frames]]", f'file = "{name}"', f"stage_position_mm = {STEP_MM * index:.2f}"]
    (target / "capture.toml").write_text("\n".join(lines) + "\n")


def figures(values, sigma, truth):
    """RMSE / median [um] of the best 100, 97, 95, 90, 85 and 50 % by sigma, offset removed."""
    error = values - truth
    known = np.isfinite(error)
    error = error - np.median(error[known])
    order = np.argsort(np.where(known, sigma, np.inf)[np.isfinite(truth)])
    ranked = error[np.isfinite(truth)][order]
    cells = []
    for share in (1.0, 0.97, 0.95, 0.90, 0.85, 0.50):
        best = ranked[: round(share * ranked.size)]
        complete = np.isfinite(best).all()
        cells.append(f"{np.sqrt(np.mean(best**2)):.2f} / {np.median(abs(best)):.2f}" if complete else "-")
    return cells, known[np.isfinite(truth)].mean(), np.median((values - truth)[known])


def peer(images, kernel, truth):
    """A textbook shape-from-focus solver: |filter|, 9 x 9 mean, floor subtracted, argmax, 3-point Gaussian, no NaN."""
    focus = np.stack([cv2.boxFilter(kernel(image), -1, (9, 9), borderType=cv2.BORDER_REFLECT) for image in images])
    focus = focus - focus.min(axis=0) + 1e-6 * focus.max()
    best = np.clip(focus.argmax(axis=0), 1, len(focus) - 2)
    low, middle, high = (np.log(np.take_along_axis(focus, (best + shift)[None], axis=0)[0]) for shift in (-1, 0, 1))
    curvature = low - 2 * middle + high
    offset = np.clip(0.5 * (low - high) / np.where(curvature < 0, curvature, -1e-9), -1, 1)
    index = np.arange(len(focus))[:, None, None]
    width = np.sqrt(-1 / np.minimum(curvature, -1e-9))
    model = np.exp(middle) * np.exp(-((index - best - offset) ** 2) / (2 * width**2))
    reliability = 20 * np.log10(len(focus) * focus.max(axis=0) / np.abs(focus - model).sum(axis=0))
    return figures(STEP_MM * 1e3 * (best + offset + 1), -reliability, truth)


def sml(image):
    """|second difference in x| + |in y|."""
    tap = np.array([[-1, 2, -1]], np.float32)
    return sum(np.abs(cv2.filter2D(image, -1, k, borderType=cv2.BORDER_REFLECT)) for k in (tap, tap.T))


def ring(image):
    """|mean of a centre cross minus mean of an annulus|."""
    y, x = np.mgrid[-3:4, -3:4]
    radius = np.hypot(x, y)
    cross, annulus = radius <= 1, (radius > 1.5) & (radius <= 3)
    tap = (cross / cross.sum() - annulus / annulus.sum()).astype(np.float32)
    return np.abs(cv2.filter2D(image, -1, tap, borderType=cv2.BORDER_REFLECT))


def main():
    """Print the table."""
    folder = shared_data(FOLDER)
    truth = load_truth(folder)
    images = [cv2.imread(str(folder / f"im_{k:02d}.png"), cv2.IMREAD_UNCHANGED).astype(np.float32) for k in range(1, 45)]
    header("method", "known", "100 %", "97 %", "95 %", "90 %", "85 %", "50 %", "offset um", "wall s, peak MB")
    for name, kernel in (("SML 9x9 + reliability", sml), ("ring difference 9x9 + reliability", ring)):
        cells, known, offset = peer(images, kernel, truth)
        row(name, f"{known:.1%}", *cells, f"{offset:.1f}", "")
    for linear in (True, False):
        with tempfile.TemporaryDirectory() as temporary:
            stack, out = Path(temporary) / "stack", Path(temporary) / "out"
            stack.mkdir()
            write_capture(folder, stack, linear=linear)
            wall, _, peak = dfd("depth", stack, "-o", out)
            values, sigma = (tifffile.imread(out / name).astype(float) * 1e6 for name in ("depth.tiff", "sigma.tiff"))
        cells, known, offset = figures(values, sigma, truth)
        label = "values as they are" if linear else "sRGB undone"
        row(f"**dfd depth**, {label}", f"{known:.1%}", *cells, f"{offset:.1f}", f"{wall:.1f}, {peak:.0f}")


if __name__ == "__main__":
    main()
