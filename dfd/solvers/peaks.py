"""Where a focus curve peaks, from its three highest samples: a Gaussian, and what real curves do differently."""

from __future__ import annotations

import functools
import math

import numpy as np

from dfd.backend import array_module

WIDTHS = (0.40, 0.48, 0.53, 0.60, 0.65, 0.70, 0.76, 0.84, 0.90, 1.05, 1.20, 1.40, 1.70, 2.20, 2.70, 4.50)
PULLS = (0.160, 0.145, 0.120, 0.098, 0.085, 0.072, 0.060, 0.048, 0.044, 0.031, 0.024, 0.017, 0.011, 0.007, 0.004, 0.001)
"""Largest pull towards a frame [spacings] against the fitted width [spacings]: modified Laplacian of 1/f texture, mean of
disk and Gaussian PSFs (they differ by 15 %); tests/test_peaks.py recomputes both from the transfer functions."""


def gaussian_peak(before, at, after, places):
    """Peak of the Gaussian through three samples of a focus curve.

    before, at, after   positive samples, arrays of one shape
    places              three coordinates (scalars or arrays), monotone, of any spacing
    Returns (place, width): the peak and the std of the Gaussian in the unit of the coordinates; NaN where the samples
    do not curve downwards or the peak lies outside them.
    Nayar and Nakagawa 1994, eq. 12, for uneven spacing: ln F is a parabola.
    """
    xp = array_module(at)
    low, middle, high = places
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second, third = xp.log(before), xp.log(at), xp.log(after)
        slope_low = (first - second) / (low - middle)
        slope_high = (second - third) / (middle - high)
        curvature = (slope_low - slope_high) / (low - high)
        place = (low + middle) / 2 - slope_low / (2 * curvature)
        inside = (curvature < 0) & ((place - low) * (place - high) <= 0)
        return xp.where(inside, place, np.nan), xp.where(inside, xp.sqrt(-0.5 / curvature), np.nan)


def pull(width):
    """Largest displacement [frame spacings] of a Gaussian peak towards the nearest frame, for a width [spacings]."""
    xp = array_module(width)
    return xp.interp(width, xp.asarray(WIDTHS), xp.asarray(PULLS))


def unlock(offset, width):
    """Free a Gaussian peak from its pull towards the frames.

    offset   distance of the fitted peak from the best frame [spacings, -0.5..0.5 for a symmetric curve]
    width    fitted std of the focus curve [spacings]
    Returns the corrected offset.  Textures hold many frequencies, each with its own focus curve; their sum is more peaked
    than a Gaussian, so a coarse sweep draws the peak to the frames by pull(width) (sin 2 pi x - sin(4 pi x) / 4), x the
    true offset: up to 0.15 spacings at width 0.5, under 0.01 above 1.7.
    """
    return _released(offset, pull(width))


@functools.cache
def unlock_table():
    """`unlock` for strengths from 0 to the largest of PULLS, in rows, and offsets from 0 to 1, in columns."""
    return _released(np.linspace(0, 1, 257)[None, :], np.linspace(0, PULLS[0], 65)[:, None])


def _released(offset, strength):
    xp = array_module(offset)
    true = offset
    for _ in range(6):  # Newton: the pulled offset grows with the true one at every strength of the table
        turn = 2 * math.pi * true
        pulled = true - strength * (xp.sin(turn) - 0.25 * xp.sin(2 * turn))
        slope = 1 - 2 * math.pi * strength * (xp.cos(turn) - 0.5 * xp.cos(2 * turn))
        true = true - (pulled - offset) / xp.maximum(slope, 0.2)
    return true
