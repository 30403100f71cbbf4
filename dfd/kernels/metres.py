"""One pass from dioptres to what is stored of a map: metres, their 1-sigma and confidence; the same as whole arrays."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def fill_metres(values, sigma, keep, numbers, depth, spread, trust):
    """Fill depth, spread [m] and trust, (H, W) float32, from values and sigma [dioptre], NaN = unknown; return how many
    pixels are known.

    keep      (H, W) bool, False: unknown
    numbers   float32 (offset [m] that is added to the depth, sigma [dioptre] of confidence 0.5, least confidence to keep)
    No pixel branches, so that the compiler takes eight at a time; NaN answers every comparison with no.
    """
    offset, typical, least = numbers
    one, half, nothing = np.float32(1), np.float32(0.5), np.float32(0)
    unknown, far_away = np.float32(np.nan), np.float32(np.inf)
    scale = one / typical
    known = 0
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            value, error = values[y, x], sigma[y, x]
            ratio = error * scale
            sure = one / (one + ratio * ratio)
            sure = sure if (value - value == nothing) & (error - error == nothing) else nothing
            shown = keep[y, x] & (value == value) & (sure >= least)
            near, far = value + error, value - error
            metres = far_away if value <= nothing else one / value + offset
            apart = far_away if far <= nothing else (one / far - one / near) * half
            depth[y, x] = metres if shown else unknown
            spread[y, x] = apart if shown else unknown
            trust[y, x] = sure if shown else nothing
            known += shown
    return known


def metres_arrays(values, sigma, keep, numbers):
    """(depth, spread, trust, known) of `fill_metres` with whole arrays."""
    offset, typical, least = (np.float32(number) for number in numbers)
    with np.errstate(divide="ignore", invalid="ignore"):
        sure = np.where(np.isfinite(values) & np.isfinite(sigma), 1 / (1 + (sigma / typical) ** 2), np.float32(0))
        shown = keep & ~np.isnan(values) & (sure >= least)
        depth = np.where(values <= 0, np.float32(np.inf), 1 / values + offset)
        spread = np.where(values - sigma <= 0, np.float32(np.inf), (1 / (values - sigma) - 1 / (values + sigma)) / 2)
    unknown = np.float32(np.nan)
    return (np.where(shown, depth, unknown), np.where(shown, spread, unknown), np.where(shown, sure, np.float32(0)),
            int(shown.sum()))
