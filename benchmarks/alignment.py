"""Alignment of rendered stacks with known warps: largest corner error per frame, beside OpenCV's ECC in the same run.

    python benchmarks/alignment.py [--quick] [--no-peer]

Every frame is a textured scene, defocused through a disk (layers for a slant, alpha for a step), moved by a known map and
resampled once by a quintic spline from a larger canvas; then noise of 1 % of the mean.  Corner error: distance [px of the
full image] between where the found and the true map send a corner, the largest of the four; worst and median over all
frames but the reference and over all seeds.  The peer registers neighbours from coarse to fine (pyramid of factor 2,
Gaussian 5 px, 60 steps each) and multiplies the maps; a pair without convergence keeps the last good map.
"""

import math
import sys
import time
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft
from common import header, row
from scipy import ndimage, special

from dfd import prepare

PAD = 160
NOISE = 0.005


@dataclass(frozen=True)
class Case:
    """One kind of stack: scene, how frames lie, size and sweep; blur in px of diameter, motion in the units of its name."""

    scene: str
    motion: str
    shape: tuple[int, int] = (601, 811)
    frames: int = 9
    blur: float = 12.0
    relief: float = 5.0
    seeds: tuple[int, ...] = (0, 1, 2)


CASES = (
    Case("plane", "similarity"),
    Case("slant", "similarity"),
    Case("step", "similarity"),
    Case("plane", "homography"),
    Case("slant", "homography"),
    Case("step", "homography"),
    Case("plane", "walk"),
    Case("slant", "walk"),
    Case("step", "walk"),
    Case("slant", "breathing"),
    Case("step", "breathing"),
    Case("slant", "still"),
    Case("slant", "similarity", (1203, 1607), seeds=(0,)),
    Case("slant", "homography", (1203, 1607), seeds=(0,)),
    Case("slant", "similarity", (401, 299)),
)


def texture(shape, rng):
    """(H, W) periodic 1/f texture with hard-edged blobs, mean 0.5, std 0.15, of a lens with a core of 0.6 px."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    radius = np.hypot(fy, fx)
    field = scipy.fft.irfft2(scipy.fft.rfft2(rng.standard_normal(shape)) / np.maximum(radius, 1 / 64), shape)
    blobs = scipy.fft.irfft2(scipy.fft.rfft2(rng.standard_normal(shape)) * np.exp(-((radius * 40) ** 2)), shape)
    field = field / field.std() + 0.7 * np.sign(blobs)
    field = scipy.fft.irfft2(scipy.fft.rfft2(field) * np.exp(-2 * (np.pi * radius * 0.6) ** 2), shape)
    return 0.5 + 0.15 * (field - field.mean()) / field.std()


def disk(image, coc):
    """`image` (periodic) through a disk of diameter `coc` [px]."""
    fy, fx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None]
    x = np.maximum(np.pi * abs(coc) * np.hypot(fy, fx), 1e-9)
    return scipy.fft.irfft2(scipy.fft.rfft2(image) * 2 * special.j1(x) / x, image.shape)


def defocused(scene, sharp, focus, relief):
    """The canvas with the lens focused at `focus`; the scene lies at -relief to relief [all in px of blur]."""
    height, width = sharp[0].shape
    if scene == "plane":
        return disk(sharp[0], focus)
    if scene == "step":
        near = np.zeros((height, width))
        near[:, width // 2 + height // 11:] = 1
        alpha = disk(near, relief - focus)
        return disk(near * sharp[0], relief - focus) + (1 - alpha) * disk(sharp[1], -relief - focus)
    inside = np.clip((np.arange(width) - PAD) / (width - 2 * PAD - 1), -0.2, 1.2)
    coc = relief * (2 * inside - 1) - focus
    layers = {level: disk(sharp[0], level) for level in range(math.floor(coc.min()), math.ceil(coc.max()) + 1)}
    low = np.floor(coc).astype(int)
    return sum(np.where(low == level, 1 - (coc - low), np.where(low == level - 1, coc - low, 0)) * layer
               for level, layer in layers.items())


def random_map(shape, rng, *, perspective=False):
    """Reference px -> frame px: up to 1.5 % scale, 20 px, 0.3 deg; perspective: up to 0.4 % of the width at a corner."""
    scale, degrees, right, down = rng.uniform(-1, 1, 4) * (0.015, 0.3, 20, 20)
    c, s = (1 + scale) * math.cos(math.radians(degrees)), (1 + scale) * math.sin(math.radians(degrees))
    linear = np.array([[c, -s, right], [s, c, down], [0, 0, 1.0]])
    if perspective:
        linear[2, :2] = rng.uniform(-1, 1, 2) * 0.008 / max(shape)
        linear[:2, :2] += rng.uniform(-1, 1, (2, 2)) * 0.002
    centre = np.array([[1, 0, -(shape[1] - 1) / 2], [0, 1, -(shape[0] - 1) / 2], [0, 0, 1]])
    matrix = np.linalg.inv(centre) @ linear @ centre
    return matrix / matrix[2, 2]


def maps(case, rng):
    """The true maps of a stack, identity for the middle frame."""
    count, reference, true = case.frames, case.frames // 2, [np.eye(3)] * case.frames
    for k in range(count):
        if case.motion in ("similarity", "homography") and k != reference:
            true[k] = random_map(case.shape, rng, perspective=case.motion == "homography")
        if case.motion == "breathing":
            scale = 1 + 0.006 * (k - reference) + 0.0004 * (k - reference) ** 2
            true[k] = np.array([[scale, 0, (1 - scale) * (case.shape[1] - 1) / 2],
                                [0, scale, (1 - scale) * (case.shape[0] - 1) / 2], [0, 0, 1]])
    if case.motion == "walk":
        for k in range(reference + 1, count):
            true[k] = random_map(case.shape, rng) @ true[k - 1]
        for k in range(reference - 1, -1, -1):
            true[k] = random_map(case.shape, rng) @ true[k + 1]
    return true


def render(case, seed):
    """(frames, true maps) of one stack."""
    rng = np.random.default_rng(seed)
    canvas = tuple(length + 2 * PAD for length in case.shape)
    sharp, true = [texture(canvas, rng) for _ in range(2)], maps(case, rng)
    relief = 0 if case.scene == "plane" else case.relief
    y, x = np.mgrid[:case.shape[0], :case.shape[1]].astype(float)
    frames = []
    for matrix, focus in zip(true, np.linspace(relief - case.blur, case.blur - relief, case.frames), strict=True):
        u, v, w = np.tensordot(np.linalg.inv(matrix), np.stack([x, y, np.ones_like(x)]), axes=1)
        picture = ndimage.map_coordinates(defocused(case.scene, sharp, focus, relief), [v / w + PAD, u / w + PAD], order=5)
        frames.append((picture + NOISE * rng.standard_normal(case.shape)).astype(np.float32))
    return frames, true


def corner_errors(found, true, shape):
    """(K,) largest distance [px] over the corners."""
    corners = np.array([[x, y, 1.0] for x in (0, shape[1] - 1) for y in (0, shape[0] - 1)]).T
    places = [(maps @ corners)[:, :2] / (maps @ corners)[:, 2:] for maps in (np.stack(found), np.stack(true))]
    return np.hypot(*np.moveaxis(places[0] - places[1], 1, 0)).max(axis=1)


def ecc_pair(fixed, moving, motion):
    """The map fixed px -> moving px by findTransformECC, coarse to fine; None without convergence."""
    matrix, levels = np.eye(3), 4
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-5)
    for level in reversed(range(levels)):
        one, other = (cv2.resize(image, None, fx=0.5**level, fy=0.5**level, interpolation=cv2.INTER_AREA)
                      for image in (fixed, moving))
        down = np.diag([0.5**level, 0.5**level, 1.0])
        start = (down @ matrix @ np.linalg.inv(down)).astype(np.float32)
        rows = 3 if motion == cv2.MOTION_HOMOGRAPHY else 2
        try:
            found = cv2.findTransformECC(one, other, np.ascontiguousarray(start[:rows]), motion, criteria, None, 5)[1]
        except cv2.error:
            if level == 0:
                return None
            continue
        full = np.eye(3)
        full[:rows] = found
        matrix = np.linalg.inv(down) @ full @ down
        matrix /= matrix[2, 2]
    return matrix


def ecc(frames, reference, motion):
    """Neighbour-chained maps of a stack."""
    found = [np.eye(3)] * len(frames)
    for side in (range(reference + 1, len(frames)), range(reference - 1, -1, -1)):
        last = reference
        for k in side:
            pair = ecc_pair(frames[last], frames[k], motion)
            found[k] = found[last] if pair is None else pair @ found[last]
            last = k if pair is not None else last
    return np.stack(found)


def figures(errors):
    """Median / worst in words."""
    return f"{np.median(errors):.3f} / {np.max(errors):.3f}"


def main():
    """Print the table."""
    peers = () if "--no-peer" in sys.argv else (cv2.MOTION_AFFINE, cv2.MOTION_HOMOGRAPHY)
    header("scene, motion, size, seeds", "models", "dfd median / worst px", "CPU s per stack", "left out",
           *(["ECC affine median / worst px, CPU s", "ECC homography"] if peers else []))
    for case in CASES:
        seeds = case.seeds[:1] if "--quick" in sys.argv else case.seeds
        errors, models, spent, lost, others = [], set(), 0.0, 0, [([], []) for _ in peers]
        for seed in seeds:
            frames, true = render(case, seed)
            reference = case.frames // 2
            moved = np.arange(case.frames) != reference
            start = time.process_time()
            found = prepare.align(frames, reference=reference)
            spent += time.process_time() - start
            models.add(getattr(found, "model", "?"))
            lost += len(found.notes)
            errors += list(corner_errors(found.matrices, true, case.shape)[moved])
            for motion, (their, their_time) in zip(peers, others, strict=True):
                start = time.process_time()
                their += list(corner_errors(ecc(frames, reference, motion), true, case.shape)[moved])
                their_time.append(time.process_time() - start)
        row(f"{case.scene}, {case.motion}, {case.shape[1]} x {case.shape[0]}, {seeds}", " ".join(sorted(models)),
            figures(errors), f"{spent / len(seeds):.2f}", lost,
            *(f"{figures(their)}, {np.mean(times):.1f}" for their, times in others))


if __name__ == "__main__":
    main()
