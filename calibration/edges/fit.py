"""One edge: disc (or Gaussian) * core * pixel fitted to all its pixels, with the scatter that photons and read-out give.

    I(u, v) = (1 + along v / V + across u / U) (dark + (bright - dark) ESF((u - line(v)) cos(slope); c))
    line(v) = offset + turn v / V + bow ((v / V)^2 - 1/3)                      |v| <= V along the edge, |u| <= U across it

Newton-Gauss with Levenberg's damping on (offset, turn, bow, t(c), bright, dark, along, across), weights 1 / variance of
the model's brightness.  The line's unknowns are even in u where c is odd, so they cost c nothing, but `across` (falling
illumination) resembles blur: it is held by a prior.  t = c for c >= 1, (c^2 + 1) / 2 below, as the profile knows c^2 only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.edges.esf import EdgeProfile
from dfd.noise import Noise

MOST_FALL = 5e-4
"""1-sigma of the relative change of illumination per px across an edge: 5 % per 100 px."""

_OFFSET, _TURN, _BOW, _BLUR, _BRIGHT, _DARK, _ALONG, _ACROSS = range(8)
_COUNT = 8
_ROUNDS, _COARSE = 16, 1200
_DONE = 0.02  # of its own sigma: a smaller step of c ends the fit
_DONE_PX = 1e-4
_LARGEST_STEP = 4.0  # px of line and c
_LEAST_SIDE = 30  # pixels whose scatter is an estimate of noise
_GOOD_CHI2 = 3.0  # per degree of freedom of a coarse fit; above it other starts are tried


@dataclass(frozen=True, eq=False)
class EdgePixels:
    """The pixels of one edge.

    across, along   (n,) px from the expected middle of the edge: to the bright side, and on the way from its first end
    values          (n,) brightness;   angle   between the edge's normal and the rows of pixels [rad]
    half, length    U and V [px]
    """

    across: np.ndarray
    along: np.ndarray
    values: np.ndarray
    angle: float
    half: float
    length: float

    def some(self, step: int) -> EdgePixels:
        """Every `step`-th pixel."""
        return EdgePixels(self.across[::step], self.along[::step], self.values[::step], self.angle, self.half, self.length)


@dataclass(frozen=True)
class EdgeFit:
    """What was found; px, and the brightness of the image.

    coc, sigma           diameter of the blur, and its 1-sigma as the noise gives it, without chi2
    offset, offset_sigma of the line's mean from where it was expected;   turn, bow   see the file's opening
    slopes               (along, across) relative change of the illumination over V and U
    """

    coc: float
    sigma: float
    offset: float
    offset_sigma: float
    turn: float
    bow: float
    bright: float
    dark: float
    slopes: tuple[float, float]
    chi2_dof: float


@dataclass(frozen=True)
class Fall:
    """Relative change of the illumination per px along and across an edge, and the 1-sigma of both."""

    along: float = 0.0
    across: float = 0.0
    sigma: float = MOST_FALL


def find_edge(pixels: EdgePixels, starts, *, most: float, core: float, noise: Noise, blur: str = "disc") -> EdgeFit:
    """Fit about 1200 of the pixels from `starts`, guesses of coc [px]; the next is tried where those before it fit badly.

    most   largest coc that is looked for [px];   core, blur   of the profile;   noise   of a pixel
    Raises numpy.linalg.LinAlgError where the pixels do not determine the edge.
    """
    few = pixels.some(max(1, pixels.values.size // _COARSE))
    search = _Search(few, EdgeProfile(core, blur, pixels.angle), noise, Fall(), most)
    best = None
    for start in starts:
        found = search.run(search.begin(start))
        same = best is not None and abs(found.coc - best.coc) < found.sigma
        if best is None or found.chi2_dof < best.chi2_dof:
            best = found
        if same or best.chi2_dof < _GOOD_CHI2:
            break
    return best


def fit_edge(pixels: EdgePixels, near: EdgeFit, *, core: float, noise: Noise, blur: str = "disc", fall: Fall | None = None) \
        -> EdgeFit:
    """Fit all pixels, beginning with what `find_edge` found; `fall` is what the neighbours tell of the illumination.

    Raises numpy.linalg.LinAlgError where the pixels do not determine the edge.
    """
    return _Search(pixels, EdgeProfile(core, blur, pixels.angle), noise, fall or Fall()).run(_unknowns(near))


@dataclass(frozen=True)
class Sides:
    """What the two sides of an edge show beyond its blur.

    levels, variances   (dark, bright) brightness and scatter of what is left after a fit, from its median
    white, along, across   level of the bright side, and the px from the edge's middle that it belongs to
    NaN where a side has too few pixels.
    """

    levels: tuple[float, float]
    variances: tuple[float, float]
    white: float
    along: float
    across: float


def both_sides(pixels: EdgePixels, fit: EdgeFit, *, core: float, blur: str = "disc") -> Sides:
    """The sides of an edge after a fit; `white` is free of the slopes of that fit."""
    search = _Search(pixels, EdgeProfile(core, blur, pixels.angle), None, Fall())
    rest, share = search.residual(_unknowns(fit))
    model = pixels.values - rest
    levels, variances = [], []
    for side in (share < 0.25, share > 0.75):
        known = np.count_nonzero(side) > _LEAST_SIDE
        levels.append(float(model[side].mean()) if known else math.nan)
        variances.append(float(1.4826 * np.median(np.abs(rest[side]))) ** 2 if known else math.nan)
    side = share > 0.9
    if np.count_nonzero(side) <= _LEAST_SIDE or fit.bright <= fit.dark:
        return Sides(tuple(levels), tuple(variances), math.nan, math.nan, math.nan)
    floor = fit.dark / fit.bright
    white = float(np.mean(pixels.values[side] / (floor + (1 - floor) * share[side])))
    return Sides(tuple(levels), tuple(variances), white, float(pixels.along[side].mean()), float(pixels.across[side].mean()))


def _unknowns(fit):
    return np.array([fit.offset, fit.turn, fit.bow, _inner(fit.coc), fit.bright, fit.dark, *fit.slopes])


def _inner(coc):
    return coc if coc >= 1 else (coc * coc + 1) / 2


def _outer(t):
    return float(t if t >= 1 else math.sqrt(max(2 * t - 1, 0.0)))


class _Search:
    """The damped Newton-Gauss iteration on one set of pixels."""

    def __init__(self, pixels: EdgePixels, profile: EdgeProfile, noise: Noise | None, fall: Fall,
                 most: float = math.inf):
        self.pixels, self.profile, self.noise, self.most = pixels, profile, noise, most
        self.v = pixels.along / pixels.length
        self.u = pixels.across / pixels.half
        self.bow = self.v**2 - 1 / 3
        self.prior, self.expected = np.zeros(_COUNT), np.zeros(_COUNT)
        for place, slope, size in ((_ALONG, fall.along, pixels.length), (_ACROSS, fall.across, pixels.half)):
            self.prior[place], self.expected[place] = (fall.sigma * size) ** -2, slope * size

    def begin(self, coc):
        """Unknowns before the first step: levels from the outer quarters of the pixels."""
        low, high = np.quantile(self.pixels.across, [0.15, 0.85])
        dark = np.median(self.pixels.values[self.pixels.across <= low])
        bright = np.median(self.pixels.values[self.pixels.across >= high])
        return np.array([0, 0, 0, _inner(coc), bright, dark, 0, 0])

    def residual(self, p):
        """(measured minus model, ESF) of every pixel."""
        share, fall = self._profile(p)[0], self._fall(p)
        return self.pixels.values - fall * (p[_DARK] + (p[_BRIGHT] - p[_DARK]) * share), share

    def _fall(self, p):
        return 1 + p[_ALONG] * self.v + p[_ACROSS] * self.u

    def _profile(self, p):
        line = p[_OFFSET] + p[_TURN] * self.v + p[_BOW] * self.bow
        tilt = 1 / math.hypot(1.0, p[_TURN] / self.pixels.length)  # distances are square to the edge as it lies
        return self.profile.table(_outer(p[_BLUR])).at(tilt * (self.pixels.across - line))

    def _linearise(self, p):
        """(residual, rows of derivatives, weights) at p."""
        share, line, per_square = self._profile(p)
        fall, span = self._fall(p), p[_BRIGHT] - p[_DARK]
        level = p[_DARK] + span * share
        rows = np.empty((_COUNT, share.size))
        rows[_OFFSET] = (-span) * line * fall
        rows[_TURN], rows[_BOW] = rows[_OFFSET] * self.v, rows[_OFFSET] * self.bow
        rows[_BLUR] = (2 * span * max(_outer(p[_BLUR]), 1.0)) * per_square * fall
        rows[_BRIGHT] = share * fall
        rows[_DARK] = fall - rows[_BRIGHT]
        rows[_ALONG], rows[_ACROSS] = level * self.v, level * self.u
        model = level * fall
        return self.pixels.values - model, rows, 1 / self.noise.variance(np.maximum(model, 1e-6))

    def run(self, p) -> EdgeFit:
        damping, cost = 1e-3, math.inf
        rest, rows, weight = self._linearise(p)
        for _ in range(_ROUNDS):
            cost = self._cost(rest, weight, p)
            hessian, gradient = self._normal(rest, rows, weight, p)
            scale = hessian.diagonal()
            step = np.linalg.solve(hessian + damping * np.diag(scale), gradient)
            step *= min(1.0, _LARGEST_STEP / max(1e-9, float(np.abs(step[:4]).max())))
            trial = p + step
            trial[_BLUR] = min(max(trial[_BLUR], 0.5), self.most)
            moved = abs(_outer(trial[_BLUR]) - _outer(p[_BLUR])) + abs(step[_OFFSET])
            new = self._linearise(trial)
            if self._cost(new[0], weight, trial) <= cost * (1 + 1e-9):
                p, (rest, rows, weight), damping = trial, new, damping * 0.1
                if moved < max(_DONE_PX, _DONE * math.sqrt(1 / scale[_BLUR])):
                    break
            else:
                damping = max(damping, 1e-4) * 8
                if damping > 1e6:
                    break
        return self._result(p, rest, rows, weight)

    def _cost(self, rest, weight, p):
        return float(np.dot(weight, rest * rest) + np.dot(self.prior, (p - self.expected) ** 2))

    def _normal(self, rest, rows, weight, p):
        weighted = rows * weight
        return weighted @ rows.T + np.diag(self.prior + 1e-12), weighted @ rest - self.prior * (p - self.expected)

    def _result(self, p, rest, rows, weight):
        hessian, _ = self._normal(rest, rows, weight, p)
        scale = 1 / np.sqrt(hessian.diagonal())
        covariance = np.linalg.inv(hessian * np.outer(scale, scale)) * np.outer(scale, scale)
        sigma = math.sqrt(max(covariance[_BLUR, _BLUR], 0.0))
        coc = _outer(p[_BLUR])
        chi2 = float(np.dot(weight, rest * rest)) / max(1, rest.size - _COUNT)
        return EdgeFit(coc, _outer(p[_BLUR] + sigma) - coc, float(p[_OFFSET]), math.sqrt(max(covariance[0, 0], 0.0)),
                       float(p[_TURN]), float(p[_BOW]), float(p[_BRIGHT]), float(p[_DARK]),
                       (float(p[_ALONG]), float(p[_ACROSS])), chi2)
