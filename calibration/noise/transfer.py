"""Photon transfer: gain, read noise and linearity of a sensor from pairs of equally exposed frames (EMVA 1288, ch. 2).

With K DN per electron and r electrons of read noise, a plane of brightness m [DN above black] has the variance

    var(DN) = K m + (K r)^2 + 1/12                       1/12: quantisation

and half the variance of the difference of two equal frames is var(DN), free of dust, vignetting and pixel gain.  A line
through (m, var) of many brightnesses, darks at m = 0 among them, gives both numbers with their 1-sigma.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MOST_SATURATED = 0.005
MOST_DRIFT = 0.02
MOST_STRIPES = 0.02
MOST_CORRELATION = 0.1
_QUANTISATION = 1 / 12
_OUTLIER = 6.0  # sigma of one pixel; hot and blinking pixels are not the sensor's noise
_HUBER = 2.5  # sigma of one pair; beyond it a pair counts less
_LINEAR_RANGE = (0.05, 0.90)
_MOST_DEVIATION = 20.0  # %; beyond it the light was changed, not the exposure


@dataclass(frozen=True, eq=False)
class Pair:
    """What two equally exposed frames show, per plane.

    level         (P,) DN above black, geometric mean of the two frames
    variance      (P,) DN^2 of one frame, without quantisation
    count         pixels per plane;   drift   relative difference of the two means
    saturated     share of the pixels at the highest value, of the worst plane
    stripes       share of the variance that whole rows have in common: light that flickers within the readout
    correlation   of the noise of horizontal neighbours of one plane: 0 for a sensor, not for filtered files
    """

    name: str
    exposure: float | None
    level: np.ndarray
    variance: np.ndarray
    count: int
    drift: float
    saturated: float
    stripes: float
    correlation: float

    def flaw(self) -> str | None:
        """Why a flat pair is unfit, value and limit; None when it is fit."""
        if self.saturated > MOST_SATURATED:
            return f"clipped ({self.saturated:.1%} of the pixels at the highest value, at most {MOST_SATURATED:.1%})"
        if self.drift > MOST_DRIFT:
            return f"flicker (the two frames differ by {self.drift:.1%} in brightness, at most {MOST_DRIFT:.0%})"
        if self.stripes > MOST_STRIPES:
            return f"flicker (rows in common make {self.stripes:.1%} of the variance, at most {MOST_STRIPES:.0%})"
        return None


@dataclass(frozen=True)
class PhotonTransfer:
    """Gain [e-/DN] and read noise [e- rms] with 1-sigma, and chi2 per degree of freedom of the line."""

    gain_e_per_dn: float
    gain_sigma: float
    read_noise_e: float
    read_noise_sigma: float
    chi2_dof: float


def measure_pair(first, second, *, black, white: float, name: str = "", exposure: float | None = None) -> Pair:
    """Measure a flat pair.

    first, second   (P, h, w) DN as stored;   black   (P,) or one number [DN];   white   DN;   exposure   s
    Both frames are scaled to their common geometric mean, so that light which drifted between them adds no variance.
    """
    black = np.reshape(np.broadcast_to(black, len(first)), (-1, 1, 1))
    one, two = (np.asarray(frame, np.float64) - black for frame in (first, second))
    means = np.stack([np.mean(frame, axis=(1, 2)) for frame in (one, two)])
    if means.min() <= 0:
        raise ValueError(f"{name}: a flat that is not brighter than black ({means.min():.3g} DN above it); are flats and "
                         "darks exchanged?")
    level = np.sqrt(means[0] * means[1])
    scale = (level / means)[:, :, None, None]
    difference = one * scale[0] - two * scale[1]
    totals = means.mean(axis=1)
    return Pair(name, exposure, level, _variance(difference), first[0].size,
                drift=abs(totals[0] - totals[1]) / totals.mean(),
                saturated=max(_saturated(plane, white) for frame in (first, second) for plane in frame),
                stripes=_stripes(difference), correlation=_correlation(difference))


def measure_dark(first, second, *, name: str = "") -> Pair:
    """Measure a dark pair: level 0 by definition, its variance is read noise; `saturated` is the share cut at 0 DN."""
    difference = np.asarray(first, np.float64) - second
    cut = max(np.count_nonzero(plane <= 0) / plane.size for frame in (first, second) for plane in frame)
    return Pair(name, None, np.zeros(len(first)), _variance(difference), first[0].size, drift=0.0, saturated=cut,
                stripes=_stripes(difference), correlation=_correlation(difference))


def fit_photon_transfer(pairs) -> PhotonTransfer:
    """The line var = K level + (K r)^2 through all planes of all `pairs`, flats and darks.

    Weighted by the variance that the line itself predicts (weights from the data would favour low outliers), with
    Huber's influence function.  The covariance is multiplied by chi2 / dof where that exceeds 1.
    Raises ValueError when the variance does not rise with brightness.
    """
    level, variance = (np.concatenate([getattr(pair, name) for pair in pairs]) for name in ("level", "variance"))
    freedom = np.concatenate([np.full(pair.level.size, pair.count - 1.0) for pair in pairs])
    design = np.stack([level, np.ones_like(level)])
    model = np.maximum(variance, _QUANTISATION)
    influence = np.ones_like(level)
    for _ in range(50):
        sigma = (model + _QUANTISATION) * np.sqrt(2 / freedom)
        weight = influence / sigma**2
        covariance = np.linalg.inv((design * weight) @ design.T)
        slope, offset = covariance @ ((design * weight) @ variance)
        before, model = model, np.maximum(slope * level + offset, _QUANTISATION)
        residual = np.abs(variance - slope * level - offset) / sigma
        influence = np.minimum(1, _HUBER / np.maximum(residual, 1e-12))
        if np.allclose(before, model, rtol=1e-9, atol=0):
            break
    if not slope > 0:
        raise ValueError(f"the variance of the flats does not rise with their brightness ({slope:.3g} DN per electron); "
                         "are these unprocessed files of an evenly lit surface?")
    chi2 = float(np.sum(influence * residual**2) / max(1, level.size - 2))
    return _electrons(slope, offset, covariance * max(1.0, chi2), chi2)


def _electrons(slope, offset, covariance, chi2):
    """The line (DN per electron, DN^2) in the units of a profile, 1-sigma by propagation."""
    slope, offset = float(slope), float(offset)
    gain = 1 / slope
    gain_sigma = math.sqrt(covariance[0, 0]) / slope**2
    if offset <= 0:  # less than the quantisation: zero within its uncertainty
        return PhotonTransfer(gain, gain_sigma, 0.0, math.sqrt(math.sqrt(covariance[1, 1])) / slope, chi2)
    read = math.sqrt(offset) / slope
    gradient = np.array([-read / slope, read / (2 * offset)])
    return PhotonTransfer(gain, gain_sigma, read, math.sqrt(gradient @ covariance @ gradient), chi2)


def linearity(levels, exposures, *, full: float) -> float | None:
    """Largest deviation [%] of brightness from a line in exposure, between 5 and 90 % of `full` [DN above black].

    levels   (N,) DN above black;   exposures   (N,) s
    Exposure times in EXIF are names: 1/60 stands for 1/64.  The times as written, the nearest thirds and the nearest
    halves of a stop are tried, and the best counts.  None with fewer than three exposures in the range or less than a
    factor of two between them, and where the deviation exceeds 20 %: the light itself was changed.
    """
    levels, exposures = np.asarray(levels, float), np.asarray(exposures, float)
    inside = (levels >= _LINEAR_RANGE[0] * full) & (levels <= _LINEAR_RANGE[1] * full)
    levels, exposures = levels[inside], exposures[inside]
    if np.unique(exposures).size < 3 or exposures.max() < 2 * exposures.min():
        return None
    stops = np.log2(exposures)
    deviation = min(_deviation(levels, times) for times in (exposures, *(2 ** (np.round(n * stops) / n) for n in (3, 2))))
    return deviation if deviation <= _MOST_DEVIATION else None


def _deviation(levels, times):
    """Largest relative deviation [%] from the line of least relative squares (EMVA 1288, 2.8)."""
    if np.unique(times).size < 3:
        return math.inf
    design = np.stack([times, np.ones_like(times)], axis=1) / levels[:, None]
    line, *_ = np.linalg.lstsq(design, np.ones_like(levels), rcond=None)
    return float(100 * np.max(np.abs(design @ line - 1)))


def _variance(difference):
    """(P,) DN^2 of one frame from the (P, h, w) difference of two; hot and blinking pixels left out."""
    return np.array([np.var(_regular(plane), ddof=1) for plane in difference]) / 2 - _QUANTISATION


def _regular(plane):
    """The pixels of a difference within 6 sigma of its median."""
    off = np.abs(plane - np.median(plane))
    return plane[off <= _OUTLIER * max(1.4826 * float(np.median(off)), 1.0)]


def _saturated(plane, white) -> float:
    """Share of the pixels at white, or at a lower value where the values pile up: the sensor may stop before white."""
    values, counts = np.unique(plane, return_counts=True)
    top = counts[-1] / plane.size
    beside = counts[-2] / plane.size if values.size > 1 and values[-2] == values[-1] - 1 else 0.0
    piled = top if top > MOST_SATURATED and top > beside else 0.0
    return max(float(np.count_nonzero(plane >= white) / plane.size), piled)


def _stripes(difference) -> float:
    """Share of the variance that the means of whole rows have beyond what independent pixels give them."""
    rows = difference.mean(axis=2)
    whole = difference.var(axis=(1, 2))
    return float(np.mean((rows.var(axis=1) - whole / difference.shape[2]) / np.maximum(whole, _QUANTISATION)))


def _correlation(difference) -> float:
    centred = difference - difference.mean(axis=2, keepdims=True)
    products = np.mean(centred[:, :, 1:] * centred[:, :, :-1], axis=(1, 2))
    return float(np.mean(products / np.maximum(centred.var(axis=(1, 2)), _QUANTISATION)))
