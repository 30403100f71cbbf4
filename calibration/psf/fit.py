"""The kernel of a patch of known Bernoulli noise, pixel by pixel: least squares between the board and what frames show.

    image(i) = light(i) (black + contrast sum_j k(j) S(i - j))      k the PSF with core and pixel box, at the pixels

S is the board through its matrix (board m -> px), which blur has passed but not the pixels: rendered four times as fine,
low-passed to what pixels can carry, and sampled at them; so k are samples of the PSF itself.  In turns: the kernel of all
frames together, from its normal equations, k >= 0, lightly smoothed; then of every frame the tone (contrast, black and
their slopes over the patch) and the affine map by which the board lies off its matrix (Gauss-Newton).

A common shift of all frames and the centroid of the kernel cannot be told apart: kernels are centred on their centroid,
which is where the image of a point counts as being (and what scale and registration follow); `shift` says by how much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from calibration.psf.model import centroid
from calibration.psf.solve import solve_kernel, spread
from calibration.target.board import NOISE, Board

FINE = 4
"""Samples per px of the board before the low-pass."""

MOST_PATCH = 224
"""Longest side [px] of a patch that is used; more tells little more of the kernel."""

LEAST_PATCH = 48
_SLACK = 3  # px about a patch, which the affine map may reach beyond
_LOBES = 8  # of the low-pass, px on either side
_TURNS = 6
_STILL = 0.004  # px; smaller corrections end the turns
_FAR = 3.0  # px; larger ones say that the board is not where its matrix says
_CLEAN = 0.01  # of the largest value; less does not count for the centroid


@dataclass(frozen=True, eq=False)
class NoisePatch:
    """What one frame shows of a noise square.

    image    (h, w) float64, linear, any unit;   matrix   (3, 3) board m -> px of `image` (x right, y down)
    mask     (2, 2) bool: which pixels of every cell of 2 x 2 count, as one colour of a mosaic does
    """

    image: np.ndarray
    matrix: np.ndarray
    mask: np.ndarray = field(default_factory=lambda: np.ones((2, 2), bool))


@dataclass(frozen=True, eq=False)
class KernelEstimate:
    """The kernel of one place at one defocus.

    kernel     (s, s) float64 of unit sum, not negative, centroid in the middle
    sigma      (s, s) 1-sigma of its pixels from the noise of the residuals
    shift      (F, 2) x, y px by which each frame's board lies off its matrix in the middle of the patch
    residual   (F,) rms of image minus model over the contrast of the patch
    contrast   (F,) white minus black, unit of the image
    """

    kernel: np.ndarray
    sigma: np.ndarray
    shift: np.ndarray
    residual: np.ndarray
    contrast: np.ndarray


def noise_patch(image, matrix, board: Board, number: int, *, mask=None) -> NoisePatch:
    """The part of an image (H, W) that shows noise square `number` of `board`, at most MOST_PATCH px on a side.

    matrix   (3, 3) board m -> px of the image;   mask   see NoisePatch, of the whole image; None: all pixels count
    Raises ValueError when less than LEAST_PATCH px of it lie in the image, and where it is saturated (NaN).
    """
    row, column = board.noise_squares[number]
    middle = np.array([column + 0.5 - board.columns / 2, row + 0.5 - board.rows / 2]) * board.square
    half = NOISE * board.square / 2
    corners = _mapped(matrix, middle + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]))
    centre = _mapped(matrix, middle[None])[0]
    reach = np.minimum(np.abs(corners - centre).max(axis=0), MOST_PATCH / 2)
    left, top = (max(math.ceil(low), 0) for low in centre - reach)
    right, bottom = (min(math.floor(high) + 1, length)
                     for high, length in zip(centre + reach, image.shape[::-1], strict=True))
    if min(right - left, bottom - top) < LEAST_PATCH:
        raise ValueError(f"noise square {number} covers {max(right - left, 0)} x {max(bottom - top, 0)} px of the image, at "
                         f"least {LEAST_PATCH} x {LEAST_PATCH} px are needed; go nearer, or show all of the target")
    move = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
    mask = np.roll(np.ones((2, 2), bool) if mask is None else mask, (-top, -left), axis=(0, 1))
    part = np.asarray(image[top:bottom, left:right], np.float64)
    lost = np.isnan(part) & spread(mask, part.shape)
    if lost.any():
        raise ValueError(f"noise square {number} is saturated in {lost.mean():.1%} of its pixels, none may be; expose less, "
                         "so that white paper has at most 80 % of the sensor's range")
    return NoisePatch(np.nan_to_num(part), move @ matrix, mask)


def fit_patches(patches, board: Board, *, coc: float) -> KernelEstimate:
    """The kernel that one or more patches of one place share.

    patches   NoisePatch of one noise square at one defocus;   coc   what |coc| [px] is about, which sizes the kernel
    Raises ValueError for none, and for a board that lies too far from its matrix.
    """
    if not patches:
        raise ValueError("no patches of noise to fit a kernel to; give at least one")
    half = math.ceil(0.62 * abs(coc) + 3.5)
    frames = [_Frame(patch, board, half) for patch in patches]
    kernel = _disc(abs(coc), half)
    for frame in frames:
        frame.retone(kernel)
    for _ in range(_TURNS):
        kernel, sigma = _solved(frames, half)
        steps = [frame.register(kernel) for frame in frames]
        middle = np.array(centroid(np.where(kernel > _CLEAN * kernel.max(), kernel, 0)))
        for frame in frames:
            frame.move(middle)
        if max(float(np.abs(step).max()) for step in [*steps, middle]) < _STILL:
            break
    else:
        kernel, sigma = _solved(frames, half)
    return KernelEstimate(kernel, sigma, np.array([frame.affine[:, 0] for frame in frames]),
                          np.array([frame.residual for frame in frames]), np.array([frame.tone[0] for frame in frames]))


class _Frame:
    """One patch, its board four times as fine, and what is known of it: tone (6,) and affine (2, 3) px by (1, u, v)."""

    def __init__(self, patch, board, half):
        self.image, self.mask = patch.image, patch.mask
        self.counts = spread(patch.mask, patch.image.shape).ravel()
        self.pad = half
        height, width = self.image.shape
        self.v, self.u = np.meshgrid(_unit(height), _unit(width), indexing="ij")
        self.fine = _rendered(board, patch.matrix, (height, width), half + _LOBES + _SLACK)
        self.affine = np.zeros((2, 3))
        self.tone = np.zeros(6)
        self.residual = math.inf
        self.sharpen()

    def sharpen(self):
        """The board at the pixels, as the affine map has it: (h + 2 pad, w + 2 pad), its mean taken off."""
        import cv2

        height, width = self.image.shape
        edge = self.pad + _LOBES
        y, x = (np.arange((length + 2 * edge) * FINE) + 0.5 for length in (height, width))
        v, u = ((place / FINE - edge - length / 2) / (length / 2) for place, length in ((y, height), (x, width)))
        ones = np.ones((len(y), len(x)), np.float32)
        dx, dy = (line[0] + line[1] * u[None] + line[2] * v[:, None] for line in self.affine.astype(np.float32))
        across = (x[None] - 0.5 + _SLACK * FINE) * ones - FINE * dx
        down = (y[:, None] - 0.5 + _SLACK * FINE) * ones - FINE * dy
        moved = cv2.remap(self.fine, across.astype(np.float32), down.astype(np.float32), cv2.INTER_CUBIC,
                          borderMode=cv2.BORDER_REPLICATE)
        self.sharp = _low_passed(_low_passed(moved, height + 2 * self.pad).T, width + 2 * self.pad).T.astype(np.float64)
        self.sharp -= 0.5

    def predicted(self, kernel):
        """(h, w) the board through a kernel."""
        from scipy.signal import fftconvolve

        return fftconvolve(self.sharp, kernel, mode="valid")

    def retone(self, kernel):
        """Tone alone."""
        seen = self.predicted(kernel)
        columns = self._tones(seen)
        self.tone = np.linalg.lstsq(columns[self.counts], self.image.ravel()[self.counts], rcond=None)[0]

    def _tones(self, seen):
        ones = np.ones_like(seen)
        return np.stack([seen, seen * self.u, seen * self.v, ones, self.u, self.v], axis=-1).reshape(-1, 6)

    def normalised(self):
        """(h, w) the image with its tone taken off: what the kernel of unit sum makes of the board."""
        contrast = self.tone[0] + self.tone[1] * self.u + self.tone[2] * self.v
        return (self.image - self.tone[3] - self.tone[4] * self.u - self.tone[5] * self.v) / contrast

    def register(self, kernel):
        """One Gauss-Newton step of tone and affine map; the (2, 3) px by which the map changed."""
        seen = self.predicted(kernel)
        down, right = np.gradient(seen)
        contrast = self.tone[0] + self.tone[1] * self.u + self.tone[2] * self.v
        moves = [-contrast * slope * by for slope in (right, down) for by in (np.ones_like(seen), self.u, self.v)]
        columns = np.concatenate([self._tones(seen), np.stack(moves, axis=-1).reshape(-1, 6)], axis=1)
        columns, image = columns[self.counts], self.image.ravel()[self.counts]
        normal = columns.T @ columns
        scale = np.sqrt(np.diag(normal))
        found = np.linalg.solve(normal / np.outer(scale, scale), columns.T @ image / scale) / scale
        left = image - columns @ found
        self.tone = found[:6]
        if not self.tone[0] > 0:
            raise ValueError("the noise of the board is not to be seen in a patch (its contrast is not positive); is this "
                             "frame too blurred, or is the board turned by half a turn?")
        self.residual = float(np.sqrt(np.mean(left**2)) / self.tone[0])
        step = found[6:].reshape(2, 3)
        self.affine = self.affine + step
        if np.abs(self.affine).sum(axis=1).max() > _FAR:
            raise ValueError(f"the board lies {np.abs(self.affine).sum(axis=1).max():.1f} px from where its matrix says, at "
                             f"most {_FAR:g} px can be corrected; was the right board given, and did the frame move?")
        self.sharpen()
        return step

    def move(self, by):
        """Shift the board by (x, y) px."""
        self.affine[:, 0] += by
        self.sharpen()


def _solved(frames, half):
    """(kernel of unit sum, its 1-sigma) of all frames, each weighted by its contrast, as if noise were alike."""
    weights = np.array([frame.tone[0] for frame in frames]) ** 2
    kernel, sigma = solve_kernel([frame.sharp for frame in frames], [frame.normalised() for frame in frames],
                                 [frame.mask for frame in frames], weights / weights.sum(), 2 * half + 1)
    total = kernel.sum()
    if not total > 0:
        raise ValueError("the noise of the board is not to be seen in these patches; is the right board given?")
    return kernel / total, sigma / total


def _rendered(board, matrix, shape, edge):
    """(FINE (h + 2 edge), FINE (w + 2 edge)) float32: white share of every fraction of a px, sharpened by what its own
    width takes away."""
    height, width = ((length + 2 * edge) * FINE for length in shape)
    back = np.linalg.inv(matrix)
    x = (np.arange(width) + 0.5) / FINE - edge - 0.5
    found = np.empty((height, width), np.float32)
    for top in range(0, height, 128):
        y = (np.arange(top, min(top + 128, height)) + 0.5) / FINE - edge - 0.5
        places = _mapped(back, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
        if top == 0:
            half = math.dist(places[0], places[1]) / 2
        found[top:top + len(y)] = board.reflectance(places[:, 0], places[:, 1], half).reshape(len(y), width)
    for axis in (0, 1):
        found -= (np.roll(found, 1, axis) - 2 * found + np.roll(found, -1, axis)) / np.float32(24)
    return found


def _low_passed(fine, count):
    """(count, n): rows of `fine`, FINE per px and _LOBES px more at either end, low-passed at half a cycle per px and
    sampled in the middle of the pixels."""
    taps = (np.arange(2 * _LOBES * FINE) + 0.5) / FINE - _LOBES
    filter_ = np.sinc(taps) * np.sinc(taps / _LOBES)
    filter_ /= filter_.sum()
    first = FINE // 2  # of the pixel's FINE rows, the first right of its middle
    result = np.zeros((count, fine.shape[1]), np.float32)
    for tap, weight in enumerate(filter_.astype(np.float32)):
        start = tap + first
        result += weight * fine[start:start + count * FINE:FINE]
    return result


def _disc(coc, half):
    """A disc of uniform light with a soft rim, to begin with."""
    from dfd.psf import Psf

    return Psf("disk", core=0.7).kernel(max(coc, 0.5), size=2 * half + 1)


def _unit(length):
    """Places of `length` px between -1 and 1."""
    return (np.arange(length) + 0.5) / length * 2 - 1


def _mapped(matrix, points):
    """(n, 2) points through a homography."""
    found = points @ matrix[:, :2].T + matrix[:, 2]
    return found[:, :2] / found[:, 2:]
