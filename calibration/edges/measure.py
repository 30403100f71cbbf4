"""Blur of every edge of the board in one image: diameter of the disc of our edge profile, with its 1-sigma.

The core of the profile is given, not fitted: blur below 2 px and the core are one and the same (|coc| < 2 px is for
`measure_core`, which finds it from the sharpest frames).  Noise that is not given comes from what the fits leave over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.edges.fit import EdgeFit, EdgePixels, Fall, Sides, both_sides, find_edge, fit_edge
from calibration.edges.illumination import illumination
from calibration.edges.pixels import BoardEdges, board_edges, cut_out, most_coc
from calibration.target.board import Board
from dfd.noise import Noise

FLOOR = 0.01
"""Least 1-sigma of a blur [px]: phase of the pixels, ripples of the pupil; what no noise model knows."""

SATURATED = 0.98
_LEAST_CONTRAST = 0.02
_LEAST_SNR = 2.0  # contrast over the noise of a pixel at white
_MOST_CHI2 = 4.0  # of chi2 / dof, and of its ratio to the median of the frame
_WORST_CHI2 = 100.0  # whatever the others say
_GUESS = (1.4, 6.0)  # a guess of blur may be wrong by this factor and so many px
_WIDEST_SIGMA = 1.0  # of coc over itself plus 1 px
_REGIONS = 4  # that are tried
_MOST_SHIFT = 1.5  # px that a region may lie beside its edge
_FIRST_NOISE = Noise(20000.0, 5.0)


@dataclass(frozen=True, eq=False)
class EdgeFits:
    """The edges of one image, n of them, one row each; NaN where an edge could not be measured.

    index         (n,) int in board.edges;   board   (n, 2) x, y m of its middle on the board
    place         (n, 2) x, y px of its middle in the image, as measured
    coc, sigma    (n,) px >= 0 and 1-sigma: from noise, times sqrt(chi2_dof) above 1, at least FLOOR
    offset, offset_sigma   (n,) px from where the view matrix has the edge, to the white side
    contrast      (n,) bright minus dark, brightness of the image
    chi2_dof      (n,);   1 on average by construction where `noise` was estimated here
    ok            (n,) bool;   reasons   n strings, why not, empty where ok
    noise         of a pixel, given or estimated
    """

    index: np.ndarray
    place: np.ndarray
    board: np.ndarray
    coc: np.ndarray
    sigma: np.ndarray
    offset: np.ndarray
    offset_sigma: np.ndarray
    contrast: np.ndarray
    chi2_dof: np.ndarray
    ok: np.ndarray
    reasons: tuple[str, ...]
    noise: Noise


def measure_edges(image, view, board: Board, *, core: float, coc, mask=None, noise: Noise | None = None) -> EdgeFits:
    """Measure the blur of every edge of `board.edges`.

    image         (H, W) float32, linear, 0 = black, 1 = white, NaN where unknown; of a RAW file the mosaic itself
    view          BoardView or Mapping, or (3, 3) homogeneous, board m -> px of the image, good to about 1 px
    core          std [px] of the Gaussian core of the profile
    coc           first guess of the blur's diameter [px], a number or (n,); 5 px or a third off is good enough
    mask          (2, 2) bool, which pixels of every 2 x 2 cell belong to the channel; None = all
    noise         of a pixel; None: estimated from what the fits leave over
    Raises ValueError for an image that is not (H, W), a mask without pixels, and guesses that are not positive numbers.
    """
    return _measure(image, board_edges(view, board), core, coc, mask, noise, "disc")


def measure_widths(image, view, board: Board, *, width: float, mask=None, noise: Noise | None = None) -> EdgeFits:
    """As `measure_edges` with a Gaussian alone: coc and sigma are FOUR times its std [px], coc^2 / 16 its variance.

    width   first guess of the std [px].  Fit for sharp frames only: a disc of 4 px and more is no Gaussian.
    """
    return _measure(image, board_edges(view, board), 0.0, 4 * width, mask, noise, "gaussian")


def _measure(image, edges: BoardEdges, core, coc, mask, noise, blur) -> EdgeFits:
    image = np.asarray(image)
    count = len(edges.middle)
    guesses = np.broadcast_to(np.asarray(coc, float), (count,))
    _check(image, mask, guesses)
    job = _Job(image, mask, edges, core, blur)
    found = [job.find(index, float(guesses[index]), noise or _FIRST_NOISE) for index in range(count)]
    sides = [one.fit and both_sides(one.pixels, one.fit, core=core, blur=blur) for one in found]
    noise = noise or _left_over(sides)
    falls = illumination(edges, sides)
    return _table(edges, [job.fit(one, noise, falls[one.index]) for one in found], noise)


def _check(image, mask, guesses):
    if image.ndim != 2:
        raise ValueError(f"image (shape {image.shape}) must be (H, W), one channel or the mosaic; split colours first")
    if mask is not None and (np.shape(mask) != (2, 2) or not np.any(mask)):
        raise ValueError(f"mask (shape {np.shape(mask)}) must be (2, 2) with at least one pixel True; None takes all pixels")
    bad = guesses[~(np.isfinite(guesses) & (guesses >= 0))]
    if bad.size:
        raise ValueError(f"coc ({bad[0]:g} px) must be zero or positive, the blur's diameter without sign; guess it from "
                         "the neighbouring frames")


@dataclass(frozen=True, eq=False)
class _Found:
    """One edge on its way: its number, pixels about the expected edge moved by `shift` px, its fit, the share of its region
    inside the image, or why there is none."""

    index: int
    pixels: EdgePixels | None = None
    fit: EdgeFit | None = None
    share: float = 0.0
    shift: float = 0.0
    reason: str = ""


@dataclass(frozen=True, eq=False)
class _Job:
    """What all edges of one image share."""

    image: np.ndarray
    mask: np.ndarray | None
    edges: BoardEdges
    core: float
    blur: str

    def find(self, index, guess, noise) -> _Found:
        """Fit from a guess; the region follows the blur that is found."""
        most = most_coc(self.edges, index, self.core)
        if most < 0:
            return _Found(index, reason=f"no room (the neighbours are {self.edges.room[index]:.0f} px away)")
        widest = _GUESS[0] * most + _GUESS[1]
        if guess > widest:
            return _Found(index, reason=f"no room (expected blur of {guess:.0f} px, at most {most:.0f} px)")
        size, moved, fit = min(guess, most), 0.0, None
        starts = [size, 0.6 * size, 1.5 * size + 2, max(size - 6, 0.5), size + 6]
        for _ in range(_REGIONS):
            shift = moved
            pixels, share = cut_out(self.image, self.mask, self.edges, index, coc=size, core=self.core, shift=shift)
            if share < 0.5:
                return _Found(index, reason="outside the image")
            if pixels is None:
                return _Found(index, reason=f"too few pixels (saturated, or small for a blur of about {size:.0f} px)")
            try:
                fit = find_edge(pixels, [fit.coc] if fit else starts, most=widest, core=self.core, noise=noise,
                                blur=self.blur)
            except np.linalg.LinAlgError:
                return _Found(index, reason="not determined by its pixels")
            if abs(min(fit.coc, most) - size) <= max(1.5, 0.1 * size) and abs(fit.offset) < _MOST_SHIFT:
                break
            size, moved = min(fit.coc, most), shift + fit.offset
        if fit.coc > most + 0.5:
            return _Found(index, reason=f"no room (blur of about {fit.coc:.0f} px, at most {most:.0f} px)")
        return _Found(index, pixels, fit, share, shift)

    def fit(self, found: _Found, noise, fall: Fall) -> _Found:
        """All pixels, with the noise and the illumination that all edges together tell."""
        if found.fit is None:
            return found
        try:
            fit = fit_edge(found.pixels, found.fit, core=self.core, noise=noise, blur=self.blur, fall=fall)
        except np.linalg.LinAlgError:
            return _Found(found.index, reason="not determined by its pixels")
        return _Found(found.index, found.pixels, fit, found.share, found.shift)


def _left_over(sides: list[Sides | None]) -> Noise:
    """Noise from the residuals of both sides of all edges: medians, so that bad edges do not matter."""
    known = np.array([(*one.levels, *one.variances) for one in sides if one is not None]).reshape(-1, 4)
    dark, bright, low, high = known[np.isfinite(known).all(axis=1) & (known[:, 1] > known[:, 0])].T
    if dark.size == 0:
        return _FIRST_NOISE
    slope = max(float(np.median((high - low) / (bright - dark))), 1e-9)
    rest = max(float(np.median(low - slope * dark)), 1e-12)
    return Noise(1 / slope, math.sqrt(rest) / slope)


def _table(edges: BoardEdges, found, noise: Noise) -> EdgeFits:
    count = len(found)
    columns = {name: np.full(count, np.nan) for name in ("coc", "sigma", "offset", "offset_sigma", "contrast", "chi2_dof")}
    spread = sum(noise.taps) ** 2 / sum(tap * tap for tap in noise.taps)  # neighbours that share their noise tell less
    for one in found:
        if one.fit is None:
            continue
        fit, row = one.fit, one.index
        wider = spread * math.sqrt(max(1.0, fit.chi2_dof))
        values = (fit.coc, max(fit.sigma * wider, FLOOR), one.shift + fit.offset, fit.offset_sigma * wider,
                  fit.bright - fit.dark, fit.chi2_dof)
        for name, value in zip(columns, values, strict=True):
            columns[name][row] = value
    chi2 = columns["chi2_dof"]
    usual = float(np.nanmedian(chi2)) if np.isfinite(chi2).any() else 1.0
    reasons = tuple(one.reason or _flaw(one, noise, usual) for one in found)
    place = edges.middle + np.nan_to_num(columns["offset"])[:, None] * edges.white
    ok = np.array([not reason for reason in reasons], bool)
    return EdgeFits(np.arange(count), place, edges.board, ok=ok, reasons=reasons, noise=noise, **columns)


def _flaw(one: _Found, noise, usual) -> str:
    """Why a fit is not to be trusted, with value and limit; empty where it is."""
    fit = one.fit
    contrast = fit.bright - fit.dark
    least = max(_LEAST_CONTRAST, _LEAST_SNR * math.sqrt(float(noise.variance(np.float64(max(fit.bright, 0))))))
    clipped = float(np.mean(one.pixels.values > SATURATED))
    limit = min(max(_MOST_CHI2, _MOST_CHI2 * usual), _WORST_CHI2)
    offset = one.shift + fit.offset
    if one.share < 1:
        return f"at the rim of the image ({one.share:.0%} of its region inside)"
    if clipped > 0.01:
        return f"saturated ({clipped:.0%} of its pixels above {SATURATED}, at most 1 %)"
    if contrast < least:
        return f"low contrast ({contrast:.3f}, at least {least:.3f})"
    if abs(offset) > one.pixels.half / 2:
        return f"astray ({offset:+.1f} px from where it was expected, at most {one.pixels.half / 2:.1f} px)"
    if fit.chi2_dof > limit:
        return f"bad fit (chi2 {fit.chi2_dof:.1f} per degree of freedom, at most {limit:.1f})"
    if fit.sigma > _WIDEST_SIGMA * (fit.coc + 1):
        return f"too uncertain (coc {fit.coc:.1f} px, sigma {fit.sigma:.1f} px)"
    return ""
