"""What a straight edge looks like across itself, for a PSF and any blur: tables of the edge-spread function.

A step seen through a radial transfer function H is E(t) = 1/2 + 1/pi * integral of H(w) sin(w t) / w dw, t px from the edge.
Widths are variances v [px^2] of its derivative: v = coc^2 / 16 for a disk as for a Gaussian, and variances of what else
blurs add up, so that whatever both images of a pair have in common (aberration, a soft edge, its curvature) is one number
that cancels in their difference.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

PIXEL = 1 / 12
"""Variance [px^2] that the square pixel adds in any direction."""

SAMPLED = 1 / 6
"""Variance [px^2] that linear interpolation adds, on average."""

COC_STEP, PLACE_STEP = 0.25, 0.125
"""Px between the rows and between the columns of the tables."""

_LEAST_COC = 0.1
_FREQUENCIES, _MOST_FREQUENCY = 1200, 12.0


@dataclass(frozen=True, eq=False)
class EdgeProfiles:
    """Tables of coc = 0, COC_STEP, ... [px] (rows) and of t = -reach to reach px by PLACE_STEP (columns).

    least    variance [px^2] of the row of coc 0: pixel, core and interpolation
    tables   (rows, columns, 3): E, dE/dt [1/px] and dE/dv [1/px^2]
    """

    least: float
    reach: float
    tables: np.ndarray

    @property
    def most(self) -> float:
        """Variance [px^2] of the last row."""
        return self.least + (COC_STEP * (len(self.tables) - 1)) ** 2 / 16


@functools.lru_cache(maxsize=8)
def edge_profiles(psf, most_coc: float, reach: float) -> EdgeProfiles:
    """The tables of a radial PSF up to a coc [px] and so many px to either side of an edge."""
    w = (np.arange(_FREQUENCIES) + 0.5) * (_MOST_FREQUENCY / _FREQUENCIES)
    step = _MOST_FREQUENCY / _FREQUENCIES / np.pi
    place = np.arange(-round(reach / PLACE_STEP), round(reach / PLACE_STEP) + 1) * PLACE_STEP
    rising, slope = np.sin(w[:, None] * place) / w[:, None], np.cos(w[:, None] * place)
    still = np.exp(-(w**2) * (PIXEL + SAMPLED) / 2)
    cocs = COC_STEP * np.arange(int(np.ceil(most_coc / COC_STEP)) + 2)
    seen = np.stack([psf.otf(coc, 0 * w, w) for coc in cocs]) * still
    change = np.stack([psf.otf_slope(coc, 0 * w, w) * (8 / coc) for coc in np.maximum(cocs, _LEAST_COC)]) * still
    tables = np.stack([0.5 + step * seen @ rising, step * seen @ slope, step * change @ rising], axis=2)
    return EdgeProfiles(PIXEL + SAMPLED + psf.core**2, reach, tables)


def look_up(profiles: EdgeProfiles, tables, place, variance, xp):
    """(E, dE/dt, dE/dv) at px `place` from edges of a variance [px^2], arrays that broadcast.

    tables   profiles.tables on the device;   xp   its module
    Below the variance of the first row E goes on with its slope there, so that fits may step over it.
    """
    above = xp.maximum(variance - profiles.least, 0)
    row = xp.clip(4 * xp.sqrt(above) / COC_STEP, 0, tables.shape[0] - 1.001)
    column = xp.clip((place + profiles.reach) / PLACE_STEP, 0, tables.shape[1] - 1.001)
    top, left = row.astype(np.int64), column.astype(np.int64)
    down, right = (row - top)[..., None], (column - left)[..., None]
    flat, width = tables.reshape(-1, 3), tables.shape[1]
    corner = top * width + left
    above, below = ((1 - right) * flat[each] + right * flat[each + 1] for each in (corner, corner + width))
    value = (1 - down) * above + down * below
    missing = xp.minimum(variance - profiles.least, 0)
    return value[..., 0] + missing * value[..., 2], value[..., 1], value[..., 2]
