"""What a solver makes of the noise limit: pixels it averages over, what its grid leaves, how it joins windows where noise is
large.  Numbers of the solvers here; `benchmarks/plan.py --fit` measures them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dfd.bound import PIXELS

_MOST_PX = 3.0
"""Sigma of a window at the noise limit [px of coc] beyond which a solver finds no depth, or the wrong one."""


@dataclass(frozen=True)
class Estimator:
    """How the error of a solver on planes follows from the sigma of one window at the noise limit.

    pixels   effective number of pixels of the window that `bound.expected_sigma` is asked for
    floor    error [px of coc] that remains without noise: of a grid of labels
    joined   sigma [px of coc] beyond which neighbours that agree are averaged, so that the error grows with its root only
    """

    pixels: float = PIXELS
    floor: float = 0.0
    joined: float = math.inf

    def reached(self, sigma: float) -> float:
        """Error [px of coc] where one window has `sigma` [px of coc]; inf where that is too much to be solved."""
        if math.isinf(sigma) or (math.isfinite(self.joined) and sigma > _MOST_PX):
            return math.inf
        return math.hypot(self.floor, sigma / (1 + (sigma / self.joined) ** 2) ** 0.25)


PLAIN = Estimator()
"""Whole frames filtered, squared and summed over 15 x 15 px, nothing else."""

LIKELIHOOD = Estimator(pixels=229.0, floor=0.0125, joined=0.038)
"""The solver `likelihood`: a window of 229 px by its two Gaussians, labels half a pixel apart, semi-global aggregation."""
