"""What the user of a quadruple must be told: images that look exchanged, a scene around focus, depths beyond infinity.

Exchanging both pairs changes nothing; exchanging one mirrors the depths at focus, and never shows up as noise.  For the
aperture pair the images tell: the larger pupil blurs more.  For the power pair no symmetrical PSF can tell, but a mirrored
scene often lies beyond infinity.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import array_module
from dfd.capture import Capture, DifferentialQuad
from dfd.depthmap import DepthMap
from dfd.solvers.coupled import WINDOW, QuadPass, solve_arrays

_SAMPLE_PX = 1024
"""Side of the middle of the images that is looked at."""

_SHARPER, _ERRORS = 1.01, 4.0
"""Ratio of the squared gradients above which, and standard errors with which, the larger pupil is sharper."""

_BEYOND = 0.3
"""Share of the textured pixels beyond infinity by more than a sigma that cannot be chance (16 % of a far scene can)."""

_AROUND = 0.05
"""Share of known pixels within one power step of focus that is worth a word."""


def remarks(capture: DifferentialQuad, result: DepthMap) -> tuple[str, ...]:
    """Sentences about a solved quadruple; result: its map [dioptre], before anything is filled or left out."""
    return (*pairs(capture, result), *_beyond_infinity(capture), *_around_focus(capture, result))


def pairs(capture: Capture, result: DepthMap) -> tuple[str, ...]:
    """Those of the sentences that hold whatever the solver: of exchanged images and of the focus; () for other captures."""
    return (*_exchanged(capture), *_unfocused(capture)) if isinstance(capture, DifferentialQuad) else ()


def _middle(capture):
    """(4, h, w) the middle of the images."""
    height, width = capture.shape
    top, left = (max((length - _SAMPLE_PX) // 2, 0) for length in (height, width))
    return capture.images[:, top:top + _SAMPLE_PX, left:left + _SAMPLE_PX]


def _exchanged(capture):
    images = _middle(capture)
    xp = array_module(images)
    gradient = images[2:, :, 1:] - images[2:, :, :-1]
    both = xp.isfinite(gradient).all(axis=0)
    number = int(both.sum())
    if number < 100:
        return ()
    small, large = (xp.where(both, part, 0).astype(np.float64) ** 2 for part in gradient)
    mean = float(xp.nanmean(images[2:]))
    noise = [2 * float(view.noise.variance(np.float64(mean))) for view in capture.views[2:]]
    sharpness = [float(part.sum()) / number - floor for part, floor in zip((small, large), noise, strict=True)]
    error = math.sqrt(2 * sum(floor * floor + 2 * floor * max(value, 0) for floor, value in
                              zip(noise, sharpness, strict=True)) / number)
    if sharpness[1] < max(sharpness[0] * _SHARPER, sharpness[0] + _ERRORS * error):
        return ()
    return (f"aperture-plus is sharper than aperture-minus (squared gradients {sharpness[1] / max(sharpness[0], 1e-12):.2f} "
            "times as large), but the larger pupil blurs more: their roles look exchanged, and all depths are mirrored at "
            "focus; exchange role in capture.toml",)


def _unfocused(capture):
    """A lens that is focused at or beyond infinity sees every depth on one side; more often a number is wrong."""
    lenses = [view.lens for view in capture.views[:2]]
    focus = (lenses[0].focus + lenses[1].focus) / 2
    if focus > 0:
        return ()
    powers = f"{lenses[0].power:.6g} and {lenses[1].power:.6g}"
    return (f"focus at or beyond infinity ({focus:.3g} dioptre): power_dpt ({powers}) and image_distance_mm "
            f"({lenses[0].image_distance * 1e3:.6g}) put it there; is that right? else correct them in capture.toml",)


def _beyond_infinity(capture):
    made = QuadPass(capture.views, capture.shape)
    if made.law.focus <= 0:
        return ()
    numbers = made.numbers()._replace(low=-math.inf, high=math.inf)
    values, sigma = solve_arrays(_middle(capture), numbers, window=WINDOW, form=made.form)
    xp = array_module(values)
    known = xp.isfinite(values)
    total, beyond = int(known.sum()), int((known & (values < -sigma)).sum())
    if beyond < max(_BEYOND * total, 1):
        return ()
    return (f"{beyond / total:.0%} of the textured pixels come out beyond infinity: either power-minus and power-plus are "
            f"exchanged (that mirrors all depths at focus), or focus ({made.law.focus:.3g} dioptre) is stated too far, or "
            "the frames are not registered; check role, power_dpt and image_distance_mm in capture.toml",)


def _around_focus(capture, result):
    lenses = [view.lens for view in capture.views[:2]]
    focus, step = (lenses[0].focus + lenses[1].focus) / 2, abs(lenses[1].focus - lenses[0].focus) / 2
    xp = array_module(result.values)
    known = xp.isfinite(result.values)
    inside = int((known & (xp.abs(result.values - np.float32(focus)) < step)).sum())
    total = int(known.sum())
    if inside < max(_AROUND * total, 1):
        return ()
    return (f"{inside / total:.0%} of the known pixels lie within one power step of focus ({focus - step:.3g} to "
            f"{focus + step:.3g} dioptre), where both derivatives vanish and the closed form is least sure; --solver "
            "likelihood reads the same four frames near the noise limit there",)
