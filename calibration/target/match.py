"""Sub-pixel places of corners and dots: windows of the image matched with the board as it must look there, blurred.

Per window, with M the board rendered through the expected mapping and a disc of diameter c, least squares of

    I = offset + gain (M - shift . grad M + dc dM/dc)

M is a mean over every pixel, so that sharp frames are not a special case, and holds everything near: neighbouring
squares, markers and noise do not pull a corner that a wide blur has mixed with them.  (A quadratic through a saddle,
the usual estimator, errs by .1 px on sharp frames and by more beside the noise patches.)  A disc that is not quite the
lens's own blur pulls neither corner nor dot, both being symmetric; dc takes up what c was wrong by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.target.board import Board
from calibration.target.pose import Mapping
from dfd.psf import Psf

CORE = 0.5
"""Std [px] of the Gaussian core that is taken for granted."""

_LEAST_COC = 1.0  # px: below, a blur and its slope cannot be told from the core


@dataclass(frozen=True, eq=False)
class Matches:
    """Of n windows: shift (n, 2) px of the image against the mapping, its sigma (n,) px, gain (n,) and its sigma (n,) in
    units of the image, dcoc (n,) px and its sigma (n,); NaN where the window leaves the image or has unknown pixels."""

    shift: np.ndarray
    sigma: np.ndarray
    gain: np.ndarray
    gain_sigma: np.ndarray
    dcoc: np.ndarray
    dcoc_sigma: np.ndarray


def match(image, board: Board, mapping: Mapping, points, *, half: float, coc: float, core: float = CORE, light=None,
          fine: int = 2) -> Matches:
    """Match the windows of +-`half` px about `points` (n, 2) m of the board, blurred by `coc` px and a Gaussian of `core`.

    `light` (6,) as `lighting` gives it is divided out; the board is rendered `fine` times per px, 1 where a tenth will do.
    """
    count = 2 * max(3, math.ceil(half)) + 1
    first = np.rint(mapping.project(points)).astype(int) - count // 2
    inside = ((first >= 0) & (first + count <= np.array(image.shape)[1::-1])).all(axis=1)
    found = np.full((len(points), 7), np.nan)
    if inside.any():
        windows = np.stack([image[y:y + count, x:x + count] for x, y in first[inside]]).astype(float)
        if light is not None:
            windows /= _polynomial(_pixels(first[inside], np.arange(count)), mapping) @ light
        with np.errstate(invalid="ignore"):
            found[inside] = _least_squares(windows, _columns(board, mapping, first[inside], count, coc, core, fine),
                                           _taper(mapping.project(points[inside]) - first[inside], count))
    return Matches(found[:, :2], found[:, 2], found[:, 3], found[:, 4], found[:, 5], found[:, 6])


def lighting(matches: Matches, mapping: Mapping, points, before=None) -> np.ndarray | None:
    """(6,) polynomial of degree 2 over the picture through the gains of the windows, from which `before` was divided out;
    None where they do not tell one.

    A light that falls off across a dot pulls the dot's middle: by its slope times the square of the blur, roughly.
    """
    good = matches.gain > 5 * matches.gain_sigma
    if good.sum() < 20:
        return None
    every = _polynomial(mapping.project(points), mapping)
    places, gain = every[good], matches.gain[good]
    weight = 1 / np.hypot(matches.gain_sigma[good], 0.01 * gain)
    if before is not None:
        gain, weight = gain * (places @ before), weight / (places @ before)
    for _ in range(3):
        light = np.linalg.lstsq(places * weight[:, None], gain * weight, rcond=None)[0]
        weight = weight / (1 + (weight * (gain - places @ light) / 3) ** 2)
    shown = every @ light
    return light / shown.mean() if shown.min() > 0.3 * shown.max() else None


def _polynomial(pixels, mapping):
    """(..., 6) terms up to degree 2 of places from the middle over the radius."""
    x, y = np.moveaxis((pixels - mapping.centre) / mapping.radius, -1, 0)
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _pixels(first, grid):
    """(n, k, k, 2) px: `grid` (k,) from each of `first` (n, 2) x, y, in both directions."""
    return np.stack(np.broadcast_arrays(first[:, 0, None, None] + grid, first[:, 1, None, None] + grid[:, None]), axis=-1)


def _columns(board, mapping, first, count, coc, core, fine):
    """(n, 5, count, count): 1, M, dM/dx, dM/dy, dM/dc."""
    coc = max(coc, _LEAST_COC)
    margin = math.ceil(coc / 2 + 3 * core) + 2
    size = _fast_size((count + 2 * margin) * fine)
    x, y = np.moveaxis(mapping.unproject(_pixels(first, np.arange(size) / fine - margin)), -1, 0)
    spectrum = np.fft.rfft2(board.reflectance(x, y, 0.5 / mapping.density))
    wy, wx = 2 * math.pi * fine * np.fft.fftfreq(size)[:, None], 2 * math.pi * fine * np.fft.rfftfreq(size)
    psf = Psf("disk-gaussian", core=core)
    keep = slice(margin * fine, (margin + count) * fine, fine)
    blurred = psf.otf(coc, wy, wx)
    filters = (blurred, 1j * wx * blurred, 1j * wy * blurred, psf.otf_slope(coc, wy, wx))
    shown = [np.fft.irfft2(spectrum * one, s=(size, size))[:, keep, keep] for one in filters]
    return np.stack([np.ones_like(shown[0]), *shown], axis=1)


def _taper(middles, count):
    """(n, count, count) weights that fall smoothly to zero at the rim, about the exact middle of each window: a model that
    is symmetric but wrong then pulls nothing to where the rounded window reaches further."""
    x, y = (1 - ((np.arange(count) - middles[:, axis, None]) / (count / 2 + 0.5)) ** 2 for axis in (0, 1))
    return np.clip(x, 0, 1)[:, None, :] * np.clip(y, 0, 1)[:, :, None]


def _least_squares(windows, columns, weights):
    """(n, 7): shift x and y, its sigma, gain and its sigma, dc and its sigma."""
    number, unknowns = columns.shape[:2]
    columns = columns.reshape(number, unknowns, -1)
    windows, weights = windows.reshape(number, -1), weights.reshape(number, -1)
    scale = np.sqrt((columns**2).mean(axis=2))
    columns = columns / scale[..., None]
    weighted = columns * weights[:, None]
    inverse = np.linalg.pinv(weighted @ columns.swapaxes(1, 2), rcond=1e-10, hermitian=True)
    values = np.einsum("nij,nj->ni", inverse, np.einsum("nip,np->ni", weighted, windows))
    left = windows - np.einsum("ni,nip->np", values, columns)
    variance = (weights * left**2).sum(axis=1) / (weights.sum(axis=1) * (1 - unknowns / windows.shape[1]))
    spread = np.einsum("nij,njk,nki->ni", inverse, weighted @ weighted.swapaxes(1, 2), inverse) * variance[:, None]
    values, sigma = values / scale, np.sqrt(spread) / scale
    gain = values[:, 1]
    across = np.hypot(sigma[:, 2], sigma[:, 3]) / math.sqrt(2) / np.abs(gain)
    return np.column_stack([-values[:, 2:4] / gain[:, None], across, gain, sigma[:, 1],
                            values[:, 4] / gain, sigma[:, 4] / np.abs(gain)])


def _fast_size(least):
    """The next even size whose transform is fast."""
    from scipy.fft import next_fast_len

    size = next_fast_len(least, real=True)
    while size % 2:
        size = next_fast_len(size + 1, real=True)
    return size
