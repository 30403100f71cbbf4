"""What makes two images a pair with one answer: the range in which coc_1^2 - coc_2^2 does not turn back.

Closed forms for pairs see 16 G = coc_1^2 - coc_2^2 (Subbarao 1988), a parabola in inverse depth: two depths for every G.
Between the foci it is monotone, so a focus pair has one answer there; equal foci have one on each side of focus, so an
aperture pair needs its side.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.capture import AperturePair, Capture
from dfd.solvers.grid import check_optics, grid_range

LEAST_DIFFERENCE = 0.1
"""Px of coc by which the blur of two images must differ somewhere in the range."""

_EVEN, _MOST_UNEVEN = 1e-9, 0.1
_SAMPLES = 129


def turning_point(capture: Capture) -> float:
    """Inverse depth [dioptre] at which coc_1^2 - coc_2^2 turns; math.inf where both images blur at the same rate.

    It never lies between the foci; at equal foci it is the focus.
    """
    one, two = (view.lens for view in capture.views)
    bend = one.blur_rate**2 - two.blur_rate**2
    if abs(bend) < _EVEN * one.blur_rate**2:
        return math.inf
    return (one.blur_rate**2 * one.focus - two.blur_rate**2 * two.focus) / bend


def pair_range(name: str, capture: Capture, limits) -> tuple[float, float]:
    """(smallest, largest) inverse depth [dioptre] in which two images of known optics have one answer.

    name     of the solver that asks
    limits   (nearest, farthest) inverse depth [dioptre], see `grid.grid_range`
    Raises ValueError for other captures, for images that blur alike, and for a range that holds two answers or nothing.
    """
    _check_two(name, capture)
    check_optics(capture, limits)
    low, high = grid_range(capture, limits)
    turn = turning_point(capture)
    if low < turn < high:
        if not isinstance(capture, AperturePair):
            raise ValueError(f"{_metres(high)} to {_metres(low)} holds two depths for one pair of blurs, on either side of "
                             f"{_metres(turn)}, and {name} cannot tell them apart; give --near or --far on one side of it")
        low, high = (low, turn) if capture.side == "far" else (turn, high)
    one, two = (np.abs(view.lens.coc(np.linspace(low, high, _SAMPLES))) for view in capture.views)
    most = float(np.max(np.abs(one - two)))
    if most < LEAST_DIFFERENCE:
        raise ValueError(f"both images blur alike: their coc differs by at most {most:.2g} px from {_metres(high)} to "
                         f"{_metres(low)}, {LEAST_DIFFERENCE:g} px are needed; check focus_distance_m and f_number")
    return low, high


def focus_range(name: str, capture: Capture, limits) -> tuple[float, float]:
    """`pair_range` of two images that differ in focus alone; ValueError too where they do not blur at about one rate."""
    low_high = pair_range(name, capture, limits)
    rates = [view.lens.blur_rate for view in capture.views]
    if abs(rates[0] - rates[1]) > _MOST_UNEVEN * max(rates):
        raise ValueError(f"{name} needs images of about the same blur rate, these have {rates[0]:.4g} and {rates[1]:.4g} "
                         f"px/dioptre (at most {_MOST_UNEVEN:.0%} apart); use --solver spatial-transform")
    return low_high


def root(views, g, low: float, high: float):
    """Inverse depth [dioptre] in the range low to high at which coc_1^2 - coc_2^2 is 16 g [px^2], an array or a number.

    The range has one answer (see `pair_range`); a g that no depth causes gives the turning point.  Loses no digits where
    both images blur at the same rate, and the parabola is a line: q = (q_1 + q_2) / 2 + 8 g / (B^2 (q_2 - q_1)).
    """
    (one, two), middle = [view.lens for view in views], (low + high) / 2
    bend = one.blur_rate**2 - two.blur_rate**2
    slope = 2 * (one.blur_rate * one.coc(middle) - two.blur_rate * two.coc(middle))
    level = one.coc(middle) ** 2 - two.coc(middle) ** 2 - 16 * g
    inside = slope**2 - 4 * bend * level
    inside = inside * (inside > 0)
    level = (slope**2 - inside) / (4 * bend) if abs(bend) > _EVEN * one.blur_rate**2 else level
    return middle - 2 * level / (slope + math.copysign(1.0, slope) * inside**0.5)


def _check_two(name, capture):
    if len(capture) != 2:
        raise ValueError(f"{name} compares 2 images, this {capture.kind} has {len(capture)}; use --solver auto, or give it "
                         "two of them")
    wave = np.array([1.0])
    if any(np.iscomplexobj(view.psf.otf(1.0, wave, wave)) for view in capture.views):
        models = " and ".join(view.psf.model for view in capture.views)
        raise ValueError(f"{name} needs symmetrical PSFs, not {models}; use --solver auto, or another psf in capture.toml")


def _metres(inverse_depth):
    """A distance for a message."""
    return "infinity" if inverse_depth <= 0 else f"{1 / inverse_depth:.4g} m"
