"""Depth from the four images of a differential quadruple in one pass: derivatives, products, box sums, depth and sigma.

The fused loop for the CPU.  `solvers.coupled.solve_arrays` says the same with whole arrays: tests hold this one and the CUDA
one against it.  What a pixel costs, in additions, multiplications, divisions and roots, for a window of n x n px:

    2 differences 6 (4 multiplications by the brightness of an image), brightness 1, products 3, three box sums 6 (n - 1),
    ratio by total least squares 24, curve 24, sigma 31, tests 5: 94 + 6 (n - 1), that is 118 for 5 x 5

Luo et al. 2025 publish 36 for their estimator; its least squares with separable 5 x 5 sums (2 + 2 + 3 + 12 + 8) are 27, and
26 for the ratio.  The rest of ours is the errors of both derivatives, the curve of the finite steps, and sigma.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numba
import numpy as np

_COLUMNS = 1024
"""Columns at a time: rows of products and sums stay in the nearest caches."""

_JIT = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract"}}

TLS, LEAST_SQUARES, RATIO = 0, 1, 2
"""Forms of the ratio, see `solvers.coupled_design`."""


class Numbers(NamedTuple):
    """What a quadruple's optics, noise and window make of the pass, as plain floats; u = curve * R, t = 1 / (1 + bump u^2).

    gain_*        what each image is multiplied by: brightness, over the noise of a pixel of the power difference
    black_*       what is added to the differences, in the same unit, for a black level and gains that differ
    power_*, aperture_*   variance of the two differences: slope times (both power images as they are, times gain_*) + floor,
                  but not below least
    fuller        Fuller's constant;   surplus   noise that the larger mode must exceed, over 1, times sqrt(samples)
    share         pixels that share one independent sample of the noise
    least         known pixels of a window below which it tells nothing
    focus, kappa  lowest order;   curve, bump, far_*, near_*, doubt_*, low, high   see `coupled_design.Curve`
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
    """
    strip = _strip(window, form)
    strip(*images, *rows, np.array(numbers, np.float32), values, sigma)


@functools.cache
def _strip(window, form):
    """The compiled pass for a window and a form, which the inner loops are unrolled for."""
    half = window // 2

    @numba.njit(**_JIT)
    def products(row, numbers, start, stop, into, ring):
        """Products of the derivatives of one row into `ring` (5, n): a^2, p^2, a p, brightness, known; how many are not."""
        power_minus, power_plus, aperture_minus, aperture_plus = row
        g0, g1, g2, g3, black_power, black_aperture = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
        squares, powers, crosses, brightness, known = ring[0], ring[1], ring[2], ring[3], ring[4]
        zero, one, nan, missing = np.float32(0), np.float32(1), np.float32(np.nan), 0
        for x in range(stop - start):
            first = g0 * np.float32(power_minus[start + x])
            second = g1 * np.float32(power_plus[start + x])
            p = second - first + black_power
            a = g3 * np.float32(aperture_plus[start + x]) - g2 * np.float32(aperture_minus[start + x]) + black_aperture
            there = p + a == p + a
            p = p if there else zero
            a = a if there else zero
            squares[into + x] = a * a
            powers[into + x] = p * p
            crosses[into + x] = a * p
            brightness[into + x] = first + second if there else nan
            known[into + x] = one if there else zero
            missing += 0 if there else 1
        return missing

    @numba.njit(**_JIT)
    def add_rows(ring, part, total):
        """Sum of one of the five over the rows of the window."""
        for x in range(total.size):
            amount = ring[0, part, x]
            for k in range(1, window):
                amount += ring[k, part, x]
            total[x] = amount

    @numba.njit(**_JIT)
    def weigh(counts, numbers, samples, inverse, floor):
        """1 / samples of every window, and what the larger mode of its derivatives must exceed; inf where too few."""
        surplus, share, least = numbers[13], numbers[14], numbers[15]
        for x in range(inverse.size):
            number = np.float32(0)
            for k in range(window):
                number += counts[x + k]
            samples[x] = number
            inverse[x] = np.float32(1) / max(number, np.float32(1))
            floor[x] = np.float32(1) + surplus * np.sqrt(share * inverse[x]) if number >= least else np.float32(np.inf)

    @numba.njit(**_JIT)
    def depths(sums, brightness, samples, inverse, floor, c, values, sigma):
        """Depth and sigma of one row from the column sums of its window."""
        squares, powers, crosses = sums[0], sums[1], sums[2]
        zero, one, two, nan = np.float32(0), np.float32(1), np.float32(2), np.float32(np.nan)
        three, four, five = np.float32(3), np.float32(4), np.float32(5)
        power_slope, power_floor, power_least = c[6], c[7], c[8]
        aperture_slope, aperture_floor, aperture_least = c[9], c[10], c[11]
        fuller, share, focus, kappa, curve, bump = two * c[12], c[14], c[16], c[17], c[18], c[19]
        far_0, far_1, far_2, far_3, far_4 = c[20], c[21], c[22], c[23], c[24]
        near_0, near_1, near_2 = c[25], c[26], c[27]
        doubt_0, doubt_1, doubt_2, doubt_3, low, high, most = c[28], c[29], c[30], c[31], c[32], c[33], c[34]
        for x in range(values.size):
            aa, pp, ap = squares[x], powers[x], crosses[x]
            for k in range(1, window):
                aa += squares[x + k]
                pp += powers[x + k]
                ap += crosses[x + k]
            bright = brightness[x + half]
            power_noise = max(bright * power_slope + power_floor, power_least)
            aperture_noise = max(bright * aperture_slope + aperture_floor, aperture_least)
            one_mode, other_mode, noise = aa * power_noise, pp * aperture_noise, power_noise * aperture_noise
            root = np.sqrt((other_mode - one_mode) * (other_mode - one_mode) + four * noise * ap * ap)
            drift = zero
            if form == TLS:
                weight = two * aperture_noise / (other_mode - one_mode + root + fuller * noise)
                ratio = ap * weight
            else:
                weight = one / pp
                power_part, aperture_part = pp - power_noise * samples[x], aa - aperture_noise * samples[x]
                if form == LEAST_SQUARES:
                    ratio = (focus * ap - kappa * aa) / (focus * pp - kappa * ap)
                    drift = (focus * ap - kappa * aperture_part) / (focus * power_part - kappa * ap) - ratio
                else:
                    ratio = ap * weight
                    drift = ap / power_part - ratio
            misfit = aa + ratio * (ratio * pp - two * ap)
            misfit = max(misfit, (aperture_noise + ratio * ratio * power_noise) * samples[x])
            variance = (misfit + noise * samples[x] * samples[x] * weight) * weight * inverse[x] * share + drift * drift
            u = ratio * curve
            t = one / (one + bump * u * u)
            value = focus + u * (far_0 + u * (far_1 + u * (far_2 + u * (far_3 + u * far_4)))
                                 + t * (near_0 + t * (near_1 + t * near_2)))
            slope = curve * (far_0 + u * (two * far_1 + u * (three * far_2 + u * (four * far_3 + u * five * far_4)))
                             + t * (near_0 * (two * t - one) + t * (near_1 * (four * t - three)
                                                                    + t * near_2 * (five * t + t - five))))
            v = abs(u)
            strays = doubt_0 + v * (doubt_1 + v * (doubt_2 + v * doubt_3))
            deviation = np.sqrt(variance * slope * slope + strays * strays)
            known = ((one_mode + other_mode + root > two * floor[x] * noise * samples[x]) & (deviation < most)
                     & (value >= low) & (value <= high) & (weight > zero) & (bright == bright))
            values[x] = value if known else nan
            sigma[x] = deviation if known else nan

    @numba.njit(**_JIT)
    def strip(power_minus, power_plus, aperture_minus, aperture_plus, first, last, numbers, values, sigma):
        height, width = power_minus.shape
        ring = np.zeros((window, 5, _COLUMNS + 2 * half), np.float32)
        sums = np.zeros((4, _COLUMNS + 2 * half), np.float32)
        weights = np.zeros((3, _COLUMNS), np.float32)
        missing = np.zeros(window, np.int64)
        for left in range(0, width, _COLUMNS):
            right = min(left + _COLUMNS, width)
            start, stop = max(left - half, 0), min(right + half, width)
            ring[:] = 0
            missing[:] = 0
            for y in range(first - half, last + half):
                slot = (y - first + half) % window
                before = missing[slot]
                if 0 <= y < height:
                    row = (power_minus[y], power_plus[y], aperture_minus[y], aperture_plus[y])
                    missing[slot] = products(row, numbers, start, stop, start - left + half, ring[slot])
                else:
                    ring[slot] = 0
                    missing[slot] = 1
                if y < first + half:
                    continue
                for part in range(3):
                    add_rows(ring, part, sums[part])
                if y == first + half or before + missing.sum() > 0:
                    add_rows(ring, 4, sums[3])
                    weigh(sums[3], numbers, weights[0], weights[1], weights[2])
                depths(sums, ring[(slot - half) % window, 3], weights[0], weights[1], weights[2], numbers,
                       values[y - half, left:right], sigma[y - half, left:right])

    return strip
