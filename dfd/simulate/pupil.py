"""Fixed quadrature of the entrance pupil and of the square pixel together: the same points for every pixel.

Sunflower points (Vogel 1979) fill the disc evenly, a Kronecker sequence fills the pixel.  Every sample reads its
texture with a footprint of SMOOTHING * spacing, spacing^2 = (area of the blur + one pixel) / samples, so the points are
drawn in by just that variance: points and footprint together have the mean and the second moments of the exact pupil
and of the pixel box.
"""

from __future__ import annotations

import math

import numpy as np

SAMPLES = (61, 101, 201, 301)
"""Samples per pixel that the renderer chooses from, by the largest blur that reaches the pixel; the last one is for
pixels that see past a blurred edge."""

FINE_SAMPLES = (61, 201, 1201, 1201)
"""The same where the rim of a wide blur must be right: SAMPLES leave a disk of 28 px as sharp as one 1.5 % smaller, which
solvers with a forward model see at a per cent of noise.  Takes four to six times as long."""

SMOOTHING = 0.6
"""Footprint std / spacing of the samples."""

PUPILS = ("full", "left", "right")

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_PLASTIC = (0.7548776662466927, 0.5698402909980532)


def pupil_area(pupil: str) -> float:
    """Area of the pupil (or its half) in units of its squared diameter.  Raises ValueError for another name."""
    if pupil not in PUPILS:
        raise ValueError(f"pupil ({pupil!r}) must be one of {', '.join(PUPILS)}")
    return math.pi / 4 if pupil == "full" else math.pi / 8


def pupil_points(pupil: str, samples: int) -> np.ndarray:
    """(n, 4) float64: pupil x, y in units of the pupil radius (x right, y down) and pixel offset x, y in px.

    "left" is the half with x < 0.  n is `samples`, for halves within one or two of it.
    """
    area = pupil_area(pupil)
    count = samples if pupil == "full" else 2 * samples
    index = np.arange(count) + 0.5
    radius, angle = np.sqrt(index / count), index * _GOLDEN_ANGLE
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle),
                       *((index * step) % 1 - 0.5 for step in _PLASTIC)], axis=1)
    if pupil != "full":
        points = points[points[:, 0] < 0]
    drawn_in = SMOOTHING**2 / len(points)
    centroid = 0.0 if pupil == "full" else -4 / (3 * math.pi)
    variance = np.array([0.25 - centroid**2, 0.25, 1 / 12, 1 / 12])
    variance -= np.array([4 * area, 4 * area, 1, 1]) * drawn_in
    points = (points - points.mean(axis=0)) * np.sqrt(variance) / points.std(axis=0)
    points[:, 0] += centroid
    if pupil == "right":
        points[:, 0] *= -1
    return points
