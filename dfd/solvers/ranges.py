"""The range of depth in which a pair of images has one answer, and what makes two images a pair.

The images tell 16 G = coc_1^2 - coc_2^2 (Subbarao 1988), a parabola in inverse depth q: two depths for every G.  Between the foci
it is monotone, so a focus pair has one answer there; equal foci have one on each side of focus, so an aperture pair needs
its side.  All distances are inverse depth [dioptre], ranges are (low, high).
"""

from __future__ import annotations

import math

import numpy as np

from dfd.capture import AperturePair, Capture

LEAST_DIFFERENCE = 0.1
"""Px of coc by which the blur of two images must differ somewhere in the range."""

MOST_COC = 64.0
"""Px of coc beyond which no pair solver looks."""

_EVEN = 1e-9
_SAMPLES = 129


def turning_point(capture: Capture) -> float:
    """Inverse depth [dioptre] at which coc_1^2 - coc_2^2 turns; +-inf where both images blur at the same rate.

    It never lies between the foci; at equal foci it is the focus.
    """
    one, two = (view.lens for view in capture.views)
    difference = one.blur_rate**2 - two.blur_rate**2
    if abs(difference) < _EVEN * one.blur_rate**2:
        return math.inf
    return (one.blur_rate**2 * one.focus - two.blur_rate**2 * two.focus) / difference


def same_focus(capture: Capture) -> bool:
    """Whether two images are focused alike, to a tenth of a pixel of blur: then each G has a depth on either side."""
    one, two = (view.lens for view in capture.views)
    return abs(one.focus - two.focus) * max(one.blur_rate, two.blur_rate) < LEAST_DIFFERENCE


def pair_range(capture: Capture, limits) -> tuple[float, float]:
    """(low, high) inverse depth [dioptre] in which two images of known optics have one answer.

    limits   (nearest, farthest) inverse depth, or None: the declared side of an aperture pair, else between the foci
    Open ends (nearest infinite, farthest 0) are cut where the answer stops being single, and every end where blur exceeds
    MOST_COC.  Raises ValueError for a range that is empty, lies outside, or holds two answers.
    """
    low, high = _visible(capture)
    turn = turning_point(capture)
    nearest, farthest = (math.inf, 0.0) if limits is None else limits
    if not nearest > farthest:
        raise ValueError(f"near ({_metres(nearest)}) must be less than far ({_metres(farthest)}); exchange the two")
    if isinstance(capture, AperturePair):
        low, high = _one_side(capture.side, turn, low, high, nearest, farthest)
    elif limits is None and not same_focus(capture):
        first, last = sorted(view.lens.focus for view in capture.views)
        low, high = max(first, low), min(last, high)
    elif low < turn < high and max(low, farthest) < turn < min(high, nearest):
        low, high = _side_of_limits(turn, low, high, nearest, farthest)
    start, end = max(low, farthest), min(high, nearest)
    if not start < end:
        raise ValueError(f"near ({_metres(nearest)}) to far ({_metres(farthest)}) lies outside what these images can tell, "
                         f"{_metres(high)} to {_metres(low)}; check the range and the focus distances")
    return start, end


def check_pair(name: str, capture: Capture, limits) -> tuple[float, float]:
    """The range of two images with known optics that blur differently in it: (low, high) inverse depth [dioptre].

    name   of the solver that asks.   Raises ValueError where there is none.
    """
    if len(capture) != 2:
        raise ValueError(f"{name} compares 2 images, this capture has {len(capture)}; use --solver auto, or give it two")
    if capture.scale != "metric" or any(view.lens is None for view in capture.views):
        raise ValueError(f"{name} needs the optics of both images, this {capture.kind} has scale {capture.scale}; give "
                         "focus_distance_m, focal_length_mm, f_number and pixel_pitch_um of the frames")
    low, high = pair_range(capture, limits)
    places = np.linspace(low, high, _SAMPLES)
    one, two = (np.abs(view.lens.coc(places)) for view in capture.views)
    most = float(np.max(np.abs(one - two)))
    if most < LEAST_DIFFERENCE:
        raise ValueError(f"both images blur alike: their coc differs by {most:.2g} px at most from {_metres(high)} to "
                         f"{_metres(low)}, {LEAST_DIFFERENCE:g} px are needed; check focus_distance_m and f_number of each frame")
    return low, high


def _visible(capture):
    """(low, high) in which both images blur by at most MOST_COC and that is not beyond infinity."""
    lenses = [view.lens for view in capture.views]
    return (max(0.0, *(lens.inverse_depth(-MOST_COC) for lens in lenses)),
            min(lens.inverse_depth(MOST_COC) for lens in lenses))


def _one_side(side, focus, low, high, nearest, farthest):
    """The visible range on the declared side of focus; an end that a user gave must not lie on the other."""
    if side == "far":
        if math.isfinite(nearest) and nearest > focus * (1 + _EVEN):
            raise ValueError(f"near ({_metres(nearest)}) lies before the focus ({_metres(focus)}), but side is far: an aperture "
                             f"pair sees one side only; give --near of at least {_metres(focus)}, or --side near")
        return low, min(high, focus)
    if 0 < farthest < focus * (1 - _EVEN):
        raise ValueError(f"far ({_metres(farthest)}) lies beyond the focus ({_metres(focus)}), but side is near: an aperture "
                         f"pair sees one side only; give --far of at most {_metres(focus)}, or --side far")
    return max(low, focus), high


def _side_of_limits(turn, low, high, nearest, farthest):
    """The side of the turning point that the one end given lies on; two ends on two sides have two answers."""
    if math.isinf(nearest) and farthest > 0:
        return low, turn
    if math.isfinite(nearest) and farthest <= 0:
        return turn, high
    raise ValueError(f"near ({_metres(nearest)}) to far ({_metres(farthest)}) holds two depths for the same pair of blurs, one on "
                     f"each side of {_metres(turn)}; give --near or --far so that the range lies on one side of it")


def _metres(inverse_depth):
    """A distance for a message."""
    if math.isinf(inverse_depth):
        return "0 m"
    return "infinity" if inverse_depth <= 0 else f"{1 / inverse_depth:.4g} m"
