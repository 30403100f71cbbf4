"""One pass from dioptres to what is stored of a map: metres, their 1-sigma and confidence; the same as whole arrays."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def fill_metres(values, sigma, keep, numbers, depth, spread, trust):
    """Fill depth, spread [m] and trust, (H, W) float32, from values and sigma [dioptre], NaN = unknown; return how many
    pixels are known.

    keep      (H, W) bool, False: unknown
    numbers   (offset [m] that is added to the depth, sigma [dioptre] of confidence 0.5, least confidence that is kept)
    """
    offset, typical, least = numbers
    known = 0
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            value, error = values[y, x], sigma[y, x]
            sure = np.float32(0)
            if np.isfinite(value) and np.isfinite(error):
                sure = np.float32(1) / (np.float32(1) + (error / typical) ** 2)
            if not keep[y, x] or np.isnan(value) or sure < least:
                depth[y, x] = spread[y, x] = np.float32(np.nan)
                trust[y, x] = np.float32(0)
                continue
            near, far = value + error, value - error
            depth[y, x] = np.float32(np.inf) if value <= 0 else np.float32(1) / value + offset
            spread[y, x] = np.float32(np.inf) if far <= 0 else (np.float32(1) / far - np.float32(1) / near) / np.float32(2)
            trust[y, x] = sure
            known += 1
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
