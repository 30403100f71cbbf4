"""Depth from the four images of a differential quadruple in one pass: derivatives, products, box sums, depth and sigma.

The fused loop for the CPU.  `solvers.coupled.solve_arrays` says the same with whole arrays: tests hold this one and the CUDA
one against it.  What a pixel costs by total least squares, every addition, multiplication, division, root, maximum and
comparison counted once, for a window of n x n px:

    differences 8, brightness 1, products 3, search for holes 1, box sums 6 (n - 1), noise 9, ratio 13, its variance 23,
    curve 21, its slope, doubt and sigma 23, tests 12:   114 + 6 (n - 1), that is 138 for 5 x 5

Luo et al. 2025 publish 36 for their estimator; its least squares with separable 5 x 5 sums and one confidence are 28 when
counted so (2 + 2 + 3 + 12 + 8 + 1).  Ours adds the noise of both derivatives, the curve of the finite steps, and sigma.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from dfd.kernels import sealed

_CACHED = 16_384
"""Pixels of all rows of a window that are worked on at a time: five numbers each stay in the second cache."""

_JIT = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract"}}


class Numbers(NamedTuple):
    """What a quadruple's optics, noise and window make of the pass, as plain floats; u = curve * R, t = 1 / (1 + bump u^2).

    gain_*        what each image is multiplied by: brightness, over the noise of a pixel of the power difference
    black_*       what is added to the differences, in the same unit, for a black level and gains that differ
    power_*, aperture_*   variance of the two differences: slope times (both power images as they are, times gain_*) + floor,
                  but not below least
    fuller        Fuller's constant;   surplus   noise that the larger mode must exceed, over 1, times sqrt(samples); half of
                  it the signal in the power derivative
    share         pixels that share one independent sample of the noise
    least         known pixels of a window below which it tells nothing
    focus, kappa  lowest order;   curve, bump, far_*, near_*, steep_*, doubt_*, low, high   see `coupled_design.Curve`
    most          largest sigma of a known depth [dioptre]
    """

    gain_power_minus: float
    gain_power_plus: float
    gain_aperture_minus: float
    gain_aperture_plus: float
    black_power: float
    black_aperture: float
    power_slope: float
    power_floor: float
    power_least: float
    aperture_slope: float
    aperture_floor: float
    aperture_least: float
    fuller: float
    surplus: float
    share: float
    least: float
    focus: float
    kappa: float
    curve: float
    bump: float
    far_0: float
    far_1: float
    far_2: float
    far_3: float
    far_4: float
    near_0: float
    near_1: float
    near_2: float
    steep_0: float
    steep_1: float
    steep_2: float
    steep_3: float
    steep_4: float
    steep_5: float
    doubt_0: float
    doubt_1: float
    doubt_2: float
    doubt_3: float
    low: float
    high: float
    most: float


def solve_rows(images, rows, numbers: Numbers, *, window: int, form: int, values, sigma) -> None:
    """Fill rows first to last (exclusive) of values and sigma, (H, W) float32 [dioptre], NaN = unknown.

    images   four (H, W) arrays of one dtype, uint16 or float32, C-contiguous, in the order of a DifferentialQuad;
             NaN = no data, which is left out of the sums, as what lies beyond the border is
    form     of the ratio: index in `solvers.coupled_design.FORMS`
    """
    width = values.shape[1]
    blocks = -(-width // max(_CACHED // window, 256))
    columns = -(-width // blocks)
    _strip(*map(sealed, images), *rows, columns, np.array(numbers, np.float32), (0,) * window, (0,) * (form + 1), values,
           sigma)


@numba.njit(**_JIT)
def _products(power_minus, power_plus, aperture_minus, aperture_plus, c, squares, powers, crosses, brightness):
    """a^2, p^2, a p and the brightness of a piece of one row, all of one length."""
    g0, g1, g2, g3, black_power, black_aperture = c[0], c[1], c[2], c[3], c[4], c[5]
    for x in range(squares.size):
        first = g0 * np.float32(power_minus[x])
        second = g1 * np.float32(power_plus[x])
        p = second - first + black_power
        a = g3 * np.float32(aperture_plus[x]) - g2 * np.float32(aperture_minus[x]) + black_aperture
        squares[x] = a * a
        powers[x] = p * p
        crosses[x] = a * p
        brightness[x] = first + second


@numba.njit(**_JIT)
def _add_rows(ring, first, last, window, sums):
    """Sums of some of the five over the rows of the window."""
    for part in range(first, last):
        total = sums[part - first]
        for x in range(total.size):
            amount = ring[0, part, x]
            for k in range(1, len(window)):
                amount += ring[k, part, x]
            total[x] = amount


@numba.njit(**_JIT)
def _weigh(counts, numbers, window, samples, share, least, faint):
    """Samples of every window, share / samples, what the modes of its derivatives must exceed (inf where samples are too
    few), and what the signal in the power derivative must exceed, in units of its noise."""
    surplus, correlated, fewest = numbers[13], numbers[14], numbers[15]
    for x in range(samples.size):
        number = np.float32(0)
        for k in range(len(window)):
            number += counts[x + k]
        samples[x] = number
        share[x] = correlated / max(number, np.float32(1))
        floor = np.float32(2) * number * (np.float32(1) + surplus * np.sqrt(share[x]))
        least[x] = floor if number >= fewest else np.float32(np.inf)
        faint[x] = np.float32(0.5) * number * surplus * np.sqrt(share[x])


@numba.njit(**_JIT)
def _depths(sums, brightness, samples, share, least, faint, c, window, form, values, sigma):
    """Depth and sigma of one row from the column sums of its window."""
    squares, powers, crosses = sums[0], sums[1], sums[2]
    zero, one, two, nan = np.float32(0), np.float32(1), np.float32(2), np.float32(np.nan)
    four = np.float32(4)
    power_slope, power_floor, power_least = c[6], c[7], c[8]
    aperture_slope, aperture_floor, aperture_least = c[9], c[10], c[11]
    fuller, focus, kappa, curve, bump = c[12], c[16], c[17], c[18], c[19]
    far_0, far_1, far_2, far_3, far_4 = c[20], c[21], c[22], c[23], c[24]
    near_0, near_1, near_2 = c[25], c[26], c[27]
    steep_0, steep_1, steep_2, steep_3, steep_4, steep_5 = c[28], c[29], c[30], c[31], c[32], c[33]
    doubt_0, doubt_1, doubt_2, doubt_3, low, high, most = c[34], c[35], c[36], c[37], c[38], c[39], c[40]
    for x in range(values.size):
        aa, pp, ap = squares[x], powers[x], crosses[x]
        for k in range(1, len(window)):
            aa += squares[x + k]
            pp += powers[x + k]
            ap += crosses[x + k]
        bright = brightness[x + len(window) // 2]
        power_noise = max(bright * power_slope + power_floor, power_least)
        aperture_noise = max(bright * aperture_slope + aperture_floor, aperture_least)
        one_mode, other_mode, noise = aa * power_noise, pp * aperture_noise, power_noise * aperture_noise
        root = np.sqrt((other_mode - one_mode) * (other_mode - one_mode) + four * noise * ap * ap)
        if len(form) == 1:
            weight = two * aperture_noise / (other_mode - one_mode + root + two * fuller * noise)
            ratio = ap * weight
            drawn = fuller * power_noise * weight
            drift = ratio * drawn / (one - drawn)
            seen = weight * faint[x] * power_noise < one
        else:
            weight = one / pp
            power_part, aperture_part = pp - power_noise * samples[x], aa - aperture_noise * samples[x]
            if len(form) == 2:
                ratio = (focus * ap - kappa * aa) / (focus * pp - kappa * ap)
                drift = (focus * ap - kappa * aperture_part) / (focus * power_part - kappa * ap) - ratio
            else:
                ratio = ap * weight
                drift = ap / power_part - ratio
            seen = power_part > faint[x] * power_noise
        misfit = aa + ratio * (ratio * pp - two * ap)
        misfit = max(misfit, (aperture_noise + ratio * ratio * power_noise) * samples[x])
        variance = (misfit + noise * samples[x] * samples[x] * weight) * weight * share[x] + drift * drift
        u = ratio * curve
        t = one / (one + bump * u * u)
        value = focus + u * (far_0 + u * (far_1 + u * (far_2 + u * (far_3 + u * far_4)))
                             + t * (near_0 + t * (near_1 + t * near_2)))
        slope = steep_0 + u * (steep_1 + u * (steep_2 + u * steep_3)) + t * (steep_4 + t * steep_5)
        v = abs(u)
        strays = doubt_0 + v * (doubt_1 + v * doubt_2 + t * t * doubt_3)
        deviation = np.sqrt(variance * slope * slope + strays * strays)
        known = (seen & (one_mode + other_mode + root > least[x] * noise) & (deviation < most)
                 & (value >= low) & (value <= high) & (weight > zero) & (bright == bright))
        values[x] = value if known else nan
        sigma[x] = deviation if known else nan


@numba.njit(**_JIT)
def _strip(power_minus, power_plus, aperture_minus, aperture_plus, first, last, columns, numbers, window, form, values,
           sigma):
    """`solve_rows`; window and form are tuples of so many entries: their types hold what the loops are unrolled by."""
    height, width, side, half = *power_minus.shape, len(window), len(window) // 2
    ring = np.zeros((side, 5, columns + 2 * half), np.float32)
    sums = np.zeros((3, columns + 2 * half), np.float32)
    counts, weights = np.zeros((1, columns + 2 * half), np.float32), np.zeros((4, columns), np.float32)
    holed = np.zeros(side, np.int64)
    for left in range(0, width, columns):
        right = min(left + columns, width)
        start, stop = max(left - half, 0), min(right + half, width)
        ring[:] = 0
        holed[:] = 1
        for y in range(first - half, last + half):
            slot = (y + side) % side  # of the row, not of the strip: sums are added up in one order whatever the strips
            before, row = holed[slot], ring[slot]
            if 0 <= y < height:
                begin, end = start - left + half, stop - left + half
                _products(power_minus[y, start:stop], power_plus[y, start:stop], aperture_minus[y, start:stop],
                         aperture_plus[y, start:stop], numbers, row[0, begin:end], row[1, begin:end], row[2, begin:end],
                         row[3, begin:end])
                holed[slot] = 0 if np.isfinite(_total(row[2])) else 1
                if holed[slot] or before:
                    _mend(row, begin, end)
            else:
                row[:] = 0
                holed[slot] = 1
            if y < first + half:
                continue
            _add_rows(ring, 0, 3, window, sums)
            if y == first + half or before + holed.sum() > 0:
                _add_rows(ring, 4, 5, window, counts)
                _weigh(counts[0], numbers, window, weights[0], weights[1], weights[2], weights[3])
            _depths(sums, ring[(slot + side - half) % side, 3], weights[0], weights[1], weights[2], weights[3], numbers,
                    window, form, values[y - half, left:right], sigma[y - half, left:right])


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _total(row):
    """A sum that is not finite where anything is not."""
    total = np.float32(0)
    for x in range(row.size):
        total += row[x]
    return total


@numba.njit(nogil=True, cache=True)
def _mend(row, start, stop):
    """Leave what is not finite out of the products of a row, (5, n), tell it by the brightness, and count the others."""
    for x in range(start, stop):
        there = np.isfinite(row[2, x])
        for part in range(3):
            row[part, x] = row[part, x] if there else np.float32(0)
        row[3, x] = row[3, x] if there else np.float32(np.nan)
        row[4, x] = np.float32(1) if there else np.float32(0)
