"""Register two images that differ in blur by a similarity: one Gauss-Newton step, or coarse to fine.

A symmetric PSF changes amplitudes, not positions, so amplitudes are taken out first: every image becomes a pyramid of
band-passed, locally normalised planes, and every pixel counts by the local correlation of the two: what is sharp, or
equally blurred, in both carries weight; what is blurred away, of reversed contrast or moved does not.
Symmetric second-order steps: Benhimane & Malis 2004.  Uncertainty: sandwich estimate over image tiles, White 1980.

A motion is four numbers in px at the corner of the full image: (scale, rotation, right, down); a point at n half
diagonals from the centre moves by (scale * nx - rotation * ny + right, rotation * nx + scale * ny + down).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd.imaging import box_mean, gaussian, reduce

_BANDS = (0.8, 2.0)
_WINDOW = 15
_TILES = 8
_BIAS = np.array([0.04, 0.024, 0.014, 0.014])
"""Systematic error of the finest level, in its pixels (focus_stack_pcb: 0.04 to 0.1; rendered slants: mostly scale)."""
_LEAST_ALIKE, _SHARP = 0.03, 0.15
"""Least agreement, and that of the finest level below which all levels err by more (rendered: 3 px of scale at 0.05)."""
_NOTHING = 1e-3
_LEAST_RMS = 0.06
_GRADIENT = np.array([1, -8, 0, 8, -1], dtype=np.float32) / 12


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Normalised band-pass planes of one image; `planes[level]` is reduced by `factors[level]`, NaN = no data."""

    planes: tuple[np.ndarray, ...]
    factors: tuple[int, ...]
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Seen:
    """One plane on the common grid: of unit local power, its gradient [1/px], and the share of real signal 0..1."""

    plane: np.ndarray
    right: np.ndarray
    down: np.ndarray
    support: np.ndarray

    @property
    def arrays(self):
        """(plane, right, down, support)."""
        return self.plane, self.right, self.down, self.support


@dataclass(frozen=True, eq=False)
class Estimate:
    """A similarity (scale, rotation, right, down) [px at the corner], its (4, 4) covariance [px^2], and the 1-sigma of
    the error that repeats from link to link of a sweep, (4, 4) px, one column per parameter."""

    motion: np.ndarray
    covariance: np.ndarray
    bias: np.ndarray


def pyramid(image: np.ndarray, *, max_pixels: float = 0.6e6, min_side: int = 28, frames=1) -> Pyramid:
    """The pyramid of an (H, W) image: from at most `max_pixels` pixels down to a side of `min_side`."""
    factor = math.ceil(math.sqrt(max(image.size / max_pixels, 1)))
    plane, factors, planes = reduce(image, factor), [], []
    while True:
        planes.append(_normalised_band(plane))
        factors.append(factor)
        if min(plane.shape) < 2 * min_side:
            return Pyramid(tuple(planes), tuple(factors), tuple(image.shape))
        plane, factor = reduce(plane, 2), 2 * factor


def similarity_matrix(motion, shape: tuple[int, int]) -> np.ndarray:
    """(3, 3) map of px for (scale, rotation, right, down) [px at the corner] of a full image of `shape`."""
    scale, rotation, right, down = (float(part) for part in motion)
    height, width = shape
    radius = math.hypot(width, height) / 2
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    linear = np.array([[1 + scale / radius, -rotation / radius], [rotation / radius, 1 + scale / radius]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ centre + (right, down)
    return matrix


def motion_of(matrix, shape: tuple[int, int]) -> np.ndarray:
    """(scale, rotation, right, down) [px at the corner] of the similarity nearest to a map."""
    height, width = shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2, 1.0])
    radius = math.hypot(width, height) / 2
    scale = (matrix[0, 0] + matrix[1, 1]) / 2 - 1
    rotation = (matrix[1, 0] - matrix[0, 1]) / 2
    return np.array([scale * radius, rotation * radius, *(matrix @ centre - centre)[:2]])


def at_level(matrix: np.ndarray, factor: int) -> np.ndarray:
    """A map of full-image px as a map of px reduced by `factor`."""
    down = np.array([[1 / factor, 0, 0.5 / factor - 0.5], [0, 1 / factor, 0.5 / factor - 0.5], [0, 0, 1]])
    return down @ matrix @ np.linalg.inv(down)


def corner_shift(matrix: np.ndarray, shape: tuple[int, int]) -> float:
    """Largest displacement [px] that a map gives to a corner of an image of `shape`."""
    height, width = shape
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]], dtype=float).T
    moved = matrix @ corners
    return float(np.hypot(*(moved[:2] / moved[2] - corners[:2])).max())


def seen(pyramid: Pyramid, matrix, levels, *, resample) -> dict[int, Seen]:
    """The planes of these levels through `matrix` (grid px -> image px), resampled by `warp` or `fast_warp`."""
    return {level: _prepare(resample(pyramid.planes[level], at_level(matrix, pyramid.factors[level])))
            for level in levels}


def measure(fixed: dict[int, Seen], moving: dict[int, Seen], factors, shape) -> Estimate | None:
    """The similarity that brings `moving` onto `fixed`, to first order, from all their levels; None without support.

    Each level counts by its sandwich covariance plus a bias that grows eightfold per level and with the disagreement of
    its planes: coarse bands are made of defocused structure, whose apparent place follows the focus where depth slopes.
    """
    precision, score, bias, scatter = np.zeros((4, 4)), np.zeros(4), np.zeros((4, 4)), np.zeros((4, 4))
    alike = {level: max(agreement(fixed[level], moving[level]), _LEAST_ALIKE) for level in fixed}
    unsharp = max(1.0, _SHARP / alike.get(0, 1))
    for level in fixed:
        part = _measure_level(fixed[level], moving[level], factors[level], shape)
        if part is not None:
            (motion, covariance), error = part, np.diag(_BIAS * factors[0] * 8**level * unsharp / alike[level] ** 2)
            weight = np.linalg.inv(covariance + error**2)
            precision += weight
            score += weight @ motion
            bias += weight @ error
            scatter += weight @ covariance @ weight
    inverse = np.linalg.inv(precision) if precision.any() else None
    return None if inverse is None else Estimate(inverse @ score, inverse @ scatter @ inverse, inverse @ bias)


def agreement(one: Seen, other: Seen) -> float:
    """Correlation of two planes where both have signal; 0 with signal in common on less than 2 % of the grid."""
    support = np.minimum(one.support, other.support)
    if float(support.sum()) < 0.02 * support.size:
        return 0.0
    first, second = support * one.plane, support * other.plane
    powers = float(np.vdot(first, one.plane)) * float(np.vdot(second, other.plane))
    return float(np.vdot(first, other.plane)) / math.sqrt(powers) if powers > 0 else 0.0


def register_pair(fixed: Pyramid, moving: Pyramid, fixed_matrix, start, *, finest: int, rounds: int = 6) -> np.ndarray:
    """Coarse to fine: the map (grid px -> moving px) that makes `moving` look like `fixed` seen through its own map.

    Levels finer than `finest` are left to `measure`; a level that does not raise its agreement leaves the map alone.
    """
    matrix = _shifted_start(fixed, moving, fixed_matrix, np.array(start, dtype=float))
    for level in reversed(range(min(finest, len(fixed.planes) - 1), len(fixed.planes))):
        factor = fixed.factors[level]
        target = seen(fixed, fixed_matrix, (level,), resample=fast_warp)
        trial, before, after = matrix, None, None
        for _ in range(rounds):
            here = seen(moving, trial, (level,), resample=fast_warp)
            after = agreement(target[level], here[level])
            before = after if before is None else before
            estimate = measure(target, here, fixed.factors, fixed.shape)
            if estimate is None or after < before:
                break
            if after > before or trial is matrix:
                matrix, before = trial, after
            update = similarity_matrix(estimate.motion, fixed.shape)
            trial = trial @ update
            if corner_shift(update, fixed.shape) < 0.02 * factor:
                break
    return matrix


def _shifted_start(fixed, moving, fixed_matrix, start):
    """`start`, or shifted by the phase correlation of a coarse level (56 to 112 px high or wide) where that fits better."""
    import cv2

    level = max(len(fixed.planes) - 2, 0)
    factor = fixed.factors[level]
    target = seen(fixed, fixed_matrix, (level,), resample=fast_warp)[level]
    here = seen(moving, start, (level,), resample=fast_warp)[level]
    window = cv2.createHanningWindow(here.plane.shape[::-1], cv2.CV_32F)
    (right, down), _ = cv2.phaseCorrelate(target.plane, here.plane, window)
    step = np.eye(3)
    step[:2, 2] = right * factor, down * factor
    there = seen(moving, start @ step, (level,), resample=fast_warp)[level]
    return start @ step if agreement(target, there) > agreement(target, here) else start


def fast_warp(plane, matrix):
    """Like `dfd.imaging.warp` for the rough stages: cubic, positions rounded to 1/32 px."""
    import cv2

    return cv2.warpAffine(plane, matrix[:2], plane.shape[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_CONSTANT, borderValue=math.nan)


def _normalised_band(plane):
    """Band-pass divided by its local rms plus a tenth of its global rms: 0 where nothing is, about +-1 elsewhere."""
    band = gaussian(plane, _BANDS[0]) - gaussian(plane, _BANDS[1])
    power = box_mean(band * band, _WINDOW)
    known = np.isfinite(power)
    typical = float(power[known].mean()) if known.any() else 0.0
    rounding = 1e-5 * float(np.abs(plane[known]).mean()) if known.any() else 0.0
    floor = 0.01 * typical + rounding**2
    return band / np.sqrt(power + np.float32(floor)) if floor > 0 else np.where(known, np.float32(0), np.float32(np.nan))


def _prepare(plane) -> Seen:
    import cv2

    known = np.isfinite(plane)
    plane = np.where(known, plane, np.float32(0))
    rms = np.sqrt(np.maximum(box_mean(plane * plane, _WINDOW), 0) + np.float32(_NOTHING))
    plane = plane / rms
    one = np.ones(1, dtype=np.float32)
    inner = cv2.erode(known.astype(np.uint8), np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    right = cv2.sepFilter2D(plane, -1, _GRADIENT, one, borderType=cv2.BORDER_REFLECT)
    down = cv2.sepFilter2D(plane, -1, one, _GRADIENT, borderType=cv2.BORDER_REFLECT)
    return Seen(plane, right, down, np.where(rms > _LEAST_RMS, rms, np.float32(0)) * inner)


def _measure_level(one: Seen, other: Seen, factor, shape):
    """(motion, its covariance) from one level; None without support."""
    from dfd.kernels.registration import tile_sums

    local = box_mean(one.plane * other.plane, _WINDOW)
    sums = tile_sums(one.arrays, other.arrays, local, _grid(local.shape, factor, shape), tiles=_TILES)
    weight, crossed, squared = sums[:, 14:].sum(axis=0)
    normals = np.zeros((len(sums), 4, 4))
    normals[:, *np.triu_indices(4)] = sums[:, :10]
    normals = (normals + np.triu(normals, 1).transpose(0, 2, 1)) / factor**2
    scores = sums[:, 10:14] / factor
    normal = normals.sum(axis=0)
    if weight < 64 or crossed < 0.1 * squared or np.linalg.cond(normal) > 1e6:
        return None
    inverse = np.linalg.inv(normal) * (squared / crossed)
    motion = inverse @ scores.sum(axis=0)
    rest = scores - normals @ motion * (crossed / squared)
    return motion, inverse @ (rest.T @ rest) @ inverse


def _grid(size, factor, shape):
    """(x, y) of the columns and rows of a level, in half diagonals from the image centre."""
    radius = math.hypot(*shape) / 2
    x, y = (((np.arange(length) + 0.5) * factor - full / 2) / radius
            for length, full in ((size[1], shape[1]), (size[0], shape[0])))
    return x.astype(np.float32), y.astype(np.float32)


def supported(motions, covariance, positions):
    """The part of measured motions that the evidence supports: ((K, 4) motions, their (4 K, 4 K) covariance) [px].

    positions    (K,) places of the frames in the sweep, in units of its length; 0 = the reference or no links
    Terms enter one by one, the best first, while chi-square falls by more than chance over all of them explains: a linear
    or quadratic drift of scale, rotation or shift; the shift of one frame; its scale and rotation, at twice the sigma.
    Where most frames have moved the camera was not on a tripod: every frame gets its own motion and all a linear drift.
    """
    count, moving, weight = len(positions), np.flatnonzero(positions), np.linalg.inv(covariance)
    own = np.eye(4 * count)
    terms = [(np.kron(positions[:, None] ** power, np.eye(4)[:, parts]), 1, None)
             for power in (1, 2) for parts in ([0], [1], [2, 3]) if len(moving) > 2]
    terms += [(own[:, 4 * k:][:, parts], sigmas, k) for k in moving for parts, sigmas in (([2, 3], 1), ([0, 1, 2, 3], 2))]
    chance, free, columns, moved = 5 + 2 * math.log(len(terms) + 1), weight, np.zeros((4 * count, 0)), set()
    while terms and 2 * len(moved) <= len(moving):
        excess = [_excess(term, sigmas, free, motions.ravel()) for term, sigmas, _ in terms]
        best, _, k = terms[int(np.argmax(excess))]
        if max(excess) < chance:
            break
        terms = [term for term in terms if term[0] is not best and (k is None or term[2] != k)]
        terms += [(own[:, 4 * k:4 * k + 2], 2, k)] if k is not None and k not in moved and best.shape[1] == 2 else []
        columns, moved = np.hstack([columns, best]), moved | {k} - {None}
        free = weight - weight @ columns @ np.linalg.solve(columns.T @ weight @ columns, columns.T @ weight)
    if 2 * len(moved) > len(moving):
        drift = np.kron(positions[:, None] * count / 2, np.eye(4))
        return _shrunk(motions, weight, np.hstack([own[:, np.repeat(positions != 0, 4)], drift]))
    found = np.linalg.inv(columns.T @ weight @ columns)
    return (columns @ found @ columns.T @ weight @ motions.ravel()).reshape(-1, 4), columns @ found @ columns.T


def _excess(term, sigmas, free, motions):
    """Fall of chi-square by these columns, at so many sigmas, beyond their freedoms and four roots of them."""
    pull = term.T @ free @ motions
    return pull @ np.linalg.solve(term.T @ free @ term, pull) / sigmas**2 - len(pull) - 4 * math.sqrt(len(pull))


def _shrunk(motions, weight, columns):
    """Motions as a sum of columns that share one variance, which is found by expectation maximisation."""
    normal, pull, prior = columns.T @ weight @ columns, columns.T @ weight @ motions.ravel(), 1e-4
    for _ in range(10):
        covariance = np.linalg.inv(normal + prior * np.eye(len(normal)))
        values = covariance @ pull
        prior = 1 / np.mean(values**2 + np.diag(covariance))
    return (columns @ values).reshape(-1, 4), columns @ covariance @ columns.T
