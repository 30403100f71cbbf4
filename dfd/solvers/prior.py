"""The likelihood with a texture prior: besides what the images contradict each other in, how blurred all of them look.

The relative channels of `sweep` see differences of blur only.  A texture of power S(w) tells how much of it blur took, an
absolute channel: with a = S sum_k |h_k|^2 / s_k^2 and p the part of the spectra that one texture explains

    E(x, q) = window( sum_k e_k^2 + e_0^2 ) + mean_w log(1 + a),      e_0 = F^-1[ p / sqrt(1 + a) ]

(frameML; Zhou, Lin and Nayar 2009 in the form that sees no window edges).  Without the logarithm the sharpest hypothesis
explains most of any texture, and wins.  Every frequency counts as it does in the relative channels, by a weight that does
not depend on q, in e_0 and in the mean alike: each frequency's term is least at the truth on its own.

No texture is S everywhere: a prior of one contrast and spectrum moves depth at edges and on flat parts by more than it
gains.  So S is one of a family, c / (f^2 + f_0^2)^(b/2) through the box of a pixel, its scale the images' own power; e_0^2
and its logarithm are the mean over the family, each member weighted by its likelihood in a wide window around the pixel.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers import likelihood
from dfd.solvers.grid import labels_of, lensed, used_views
from dfd.solvers.sweep import Sweep

SLOPES = (1.5, 2.0, 2.5, 3.0, 3.5)
"""b: power falls as f^-b; 2 is what areas of natural scenes have, 3 an edge."""

CONTRASTS = (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0, 16.0)
"""c: power over that of the whole images."""

CORNER = 1 / 64
"""f_0 [cycle/px]."""

WIDE = 4.0
"""Std [px] of the window that tells which textures of the family are there."""

MOST_IMAGES = 6
"""More images tell all that a prior could, and every label takes ten times as long."""

_PLACES = 9
"""Labels over whose blur the images' power is taken to be spread."""

_LEAST_PASSED = 0.01
"""Least response of the filter that the noise went through; below it the noise is not known well."""


def solve_prior(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] as `solve_likelihood`, with the absolute channel: for noisy images of rough textures.

    capture   any metric Capture;   limits   (nearest, farthest) inverse depth [dioptre] to look between, see `grid`
    sigma is that of the relative channels and the scatter around.  Raises ValueError as `check` does.
    """
    check(capture, limits)
    return likelihood.solve_by(PriorSweep, capture, limits, "likelihood-prior")


def check(capture: Capture, limits) -> None:
    """Raises ValueError for more images than the prior is worth its time for, and as `likelihood.check` does."""
    if len(capture) > MOST_IMAGES:
        raise ValueError(f"likelihood-prior takes at most {MOST_IMAGES} images, this {capture.kind} has {len(capture)}: "
                         "with more, the prior adds nothing to what they tell each other; use likelihood")
    likelihood.check(capture, limits)


def nanoseconds(capture: Capture, limits) -> float:
    """Core nanoseconds per pixel, were no label left out."""
    return likelihood.nanoseconds(capture, limits) + 60.0 * len(SLOPES) * len(CONTRASTS) * len(labels_of(capture, limits))


def reach(capture: Capture, limits) -> int:
    """Px around a pixel beyond which nothing changes its value by more than some hundredths of its sigma."""
    return likelihood.reach(capture, limits) + math.ceil(WIDE)


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes, a copy of them included."""
    together, largest = likelihood.padded(lensed(capture), shape, labels_of(capture, limits))
    return likelihood.bytes_needed(capture, shape, limits) + int(
        together * (2 * len(SLOPES) + 2) + largest * 18 + 28 * math.prod(shape))


class PriorSweep(Sweep):
    """A Sweep whose residuals hold the absolute channel and its logarithm too, per pixel and in units of the noise."""

    def __init__(self, capture: Capture, labels):
        super().__init__(capture, labels)
        self._share = self._noise * self._twice  # of the noise at every frequency, together 1
        places = np.asarray(labels)[np.linspace(0, len(labels) - 1, _PLACES).astype(int)]
        self._textures = [self._scaled(self._falling(slope), places) for slope in SLOPES]

    def expected(self, inverse_depth: float) -> float:
        """As in Sweep, with the absolute channel of the family's middle texture, at the images' own power."""
        from dfd.kernels.channels import explained

        xp, used = array_module(self._radius), used_views(self.capture, inverse_depth)
        _, power = explained(self._of(used), self._transfers(used, inverse_depth))
        ratio = power * self._textures[SLOPES.index(2.0)]
        return super().expected(inverse_depth) + 1.0 + float(xp.sum(self._share * xp.log(1 + ratio)))

    def absolute(self, inverse_depth: float, used):
        """Yield for every texture of the family (e_0^2 over the local noise, (H, W) float32; mean log(1 + a), 0-d)."""
        from dfd.kernels.channels import explained

        xp = array_module(self._radius)
        aligned, power = explained(self._of(used), self._transfers(used, inverse_depth))
        for texture in self._textures:
            ratio = power * texture
            for contrast in CONTRASTS:
                more = 1 + np.float32(contrast) * ratio
                yield self._back(aligned / xp.sqrt(more)) ** 2 / self._noise_ratio, xp.sum(self._share * xp.log(more))

    def _residual(self, inverse_depth, used):
        xp, relative = array_module(self._radius), super()._residual(inverse_depth, used)
        independent = np.float32(4 * math.pi * WIDE**2 / self.correlation)
        least, total, weights = np.float32(np.inf), np.float32(0), np.float32(0)
        for squared, normaliser in self.absolute(inverse_depth, used):
            own = squared + normaliser
            judged = imaging.gaussian(own, WIDE)
            before, least = least, xp.minimum(judged, least)
            kept = xp.exp(np.float32(-0.5) * independent * (before - least))
            weight = xp.exp(np.float32(-0.5) * independent * (judged - least))
            total, weights = total * kept + weight * own, weights * kept + weight
        return relative + total / weights

    def _falling(self, slope):
        """(h, w) power of the texture of a slope over the noise that the images' filter leaves."""
        xp = array_module(self._radius)
        turns = [w / np.float32(2 * math.pi) for w in (self._wy, self._wx)]
        power = ((turns[0] ** 2 + turns[1] ** 2 + np.float32(CORNER**2)) ** np.float32(-slope / 2)
                 * (xp.sinc(turns[0]) * xp.sinc(turns[1])) ** 2)
        return power / xp.maximum(self._passed**2, np.float32(_LEAST_PASSED**2))

    def _scaled(self, texture, places):
        """`texture` times what gives it the power of the images above their noise, blurred as they are on average."""
        from dfd.kernels.channels import explained

        xp, everything = array_module(self._radius), list(range(len(self.capture)))
        powers = [explained(self._spectra, self._transfers(everything, float(place)))[1] for place in places]
        expected = sum(float(xp.sum(self._share * power * texture)) for power in powers) / len(powers)
        seen = float(xp.sum(xp.sum(xp.abs(self._spectra) ** 2, axis=0) * self._twice)) / math.prod(self._size)
        return (texture * np.float32(max(seen - len(everything), 1e-6) / max(expected, 1e-30))).astype(np.float32)
