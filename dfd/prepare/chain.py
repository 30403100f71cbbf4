"""Neighbours registered one by one from the reference outwards, and which frames cannot be: the rough half of alignment."""

from __future__ import annotations

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from dfd.prepare.motions import covered, motion_matrix
from dfd.prepare.pairs import register_pair
from dfd.prepare.pyramids import Pyramid, agreement, compared, recognised, seen

LEAST_COVER = 0.5
"""Share of the reference that a frame must show; with less in common it is another picture."""

_GAIN, _CHANCE = 0.02, 14
"""Gain in correlation that belongs to a displacement (0.05 and more from 1 to 2 px, 0.012 and less where frames lie as
predicted), and what chance finds in small images, times the root of their pixels (rendered, 0.1 at 120 x 180, 0.02 at
200 x 300)."""

_FAINT = ("frame {}: too little that it shows beside frame {} is recognised to align it (weak texture, strong blur, another "
          "scene?); it stays where the optics predict it; look at it, or pass --align none if the frames are registered")
_PAIRS = 5
"""Pairs of frames that tell whether those that do not fit the reference fit each other; clearly, more than half of them."""
_DOUBTFUL = 0.3
_SEARCHED = [(scale, 0) for scale in (-0.08, -0.05, -0.025, 0.025, 0.05, 0.08)] + [(0, turn) for turn in (-0.035, 0.035)]
"""Quality below which a frame is looked at twice, and other starts are tried: changes of scale, of rotation [rad]."""

_ODD, _CLEARER = 0.7, 0.2
"""A frame is no part of the scene when it agrees less than _ODD with both its neighbours, which agree so much better with
each other: in a sweep the next but one is always blurred more differently."""


def chain(pyramids, reference, initial, order, advance):
    """Each frame against the last good one nearer to the reference: (maps, quality, index of that frame, is it good?)."""
    matrices, quality, fixed = initial.copy(), np.ones(len(pyramids)), np.full(len(pyramids), reference)
    good, place = np.ones(len(pyramids), dtype=bool), order.index(reference)
    done, lock = itertools.count(2), threading.Lock()

    def attach(k, last):
        start = initial[k] @ np.linalg.inv(initial[last]) @ matrices[last]
        matrices[k], quality[k] = _registered(pyramids[last], matrices[last], pyramids[k], start)
        fixed[k] = last
        good[k] = covered(matrices[k], pyramids[k].shape) >= LEAST_COVER and \
            one_scene(pyramids[last], matrices[last], pyramids[k], matrices[k], quality[k])

    def follow(side):
        last = reference
        for k in side:
            attach(k, last)
            if quality[k] < _ODD and last != reference and quality[last] < _ODD:
                disputed, before = (matrices[k].copy(), quality[k], good[k]), fixed[last]
                attach(k, before)
                if good[k] and quality[k] > max(quality[last], disputed[1]) + _CLEARER:
                    good[last] = False
                else:
                    matrices[k], quality[k], good[k] = disputed
                    fixed[k] = last
            if good[k]:
                last = k
            with lock:
                advance(next(done))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(follow, (order[place + 1:], order[:place][::-1])))
    return matrices, quality, fixed, good


def quality_of(one: Pyramid, one_matrix, other: Pyramid, other_matrix) -> float:
    """Mean agreement of the second and third finest levels."""
    levels = range(1, 3) if len(one.factors) > 3 else (0,)
    first, second = seen(one, one_matrix, levels), seen(other, other_matrix, levels)
    return float(np.mean([agreement(compared(first[level], second[level]), one.pixels(level)) for level in levels]))


def one_scene(one: Pyramid, one_matrix, other: Pyramid, other_matrix, quality: float) -> bool:
    """Do two frames of this `quality_of` show one scene where their maps put them?  Blurred ones do at a coarse level."""
    levels = range(min(1, len(one.factors) - 1), len(one.factors))
    return quality > _DOUBTFUL or recognised(seen(one, one_matrix, levels), seen(other, other_matrix, levels), levels)


def least_gain(pyramid: Pyramid) -> float:
    """Gain in correlation that shows a displacement rather than chance."""
    return max(_GAIN, _CHANCE / math.sqrt(pyramid.pixels(0)))


def left_out(pyramids, reference, matrices, fixed, good) -> tuple[list[int], tuple[str, ...]]:
    """(frames that must be left out, what to say of each); none where the whole stack is too faint to be judged.

    Raises ValueError where most frames do not fit the reference, but fit each other.
    """
    blank = [not any(support.any() for support in pyramid.supports) for pyramid in pyramids]
    bad = [int(k) for k in np.flatnonzero(~good)]
    if 2 * len(bad) >= len(pyramids):
        pairs = [(pyramids[one], matrices[one], pyramids[other])
                 for one, other in list(pairwise(k for k in bad if not blank[k]))[:_PAIRS]]
        found = [(pair, *_registered(*pair, pair[1])) for pair in pairs]
        text = (f"frame {reference}: this reference{' shows nothing and' if blank[reference] else ''} could not be aligned "
                f"with {len(bad)} of the other {len(good) - 1} frames")
        if 2 * len(bad) > len(pyramids) and 2 * sum(quality > _DOUBTFUL for *_, quality in found) > len(found):
            raise ValueError(f"{text}, which fit each other; choose another with --reference (its number in the order of "
                             f"the input), such as that of frame {bad[len(bad) // 2]}, or leave it out")
        if any(one_scene(*pair, matrix, 0) for pair, matrix, _ in found):
            return bad, (f"{text}; they are left out; choose another reference",)
        faint = [k for k in bad if blank[reference] or not blank[k]]
        bad = [k for k in bad if k not in faint]
    else:
        faint = []
    told = {k: _told(k, pyramids, matrices, fixed, blank) for k in bad} | {k: _FAINT.format(k, fixed[k]) for k in faint}
    return bad, tuple(told[k] for k in sorted(told))


def _told(k, pyramids, matrices, fixed, blank):
    """The sentence about a frame that is left out."""
    cover = covered(matrices[k], pyramids[k].shape)
    if blank[k]:
        reason, advice = "there is nothing to see in it", "check its exposure"
    elif cover >= LEAST_COVER:
        reason = f"nothing in common with frame {fixed[k]}"
        advice = "is it another scene, or does it stand in the wrong place of the focus order? correct that, or leave it out"
    else:
        reason, advice = f"it shows {cover:.0%} of the reference, at least {LEAST_COVER:.0%} needed", "the camera moved away"
    return f"frame {k}: could not be aligned ({reason}); it is left out; {advice}"


def _registered(fixed, fixed_matrix, moving, start):
    """(map of `moving`, quality): registered from `start`, or from others where that fails; `start` without a clear gain."""
    expected = quality_of(fixed, fixed_matrix, moving, start)
    best = register_pair(fixed, moving, fixed_matrix, start, finest=1)
    quality = quality_of(fixed, fixed_matrix, moving, best)
    if max(quality, expected) < _DOUBTFUL:
        radius = math.hypot(*fixed.shape) / 2
        for scale, turn in _SEARCHED:
            rough = start @ motion_matrix((scale * radius, turn * radius, 0, 0), fixed.shape)
            rough = register_pair(fixed, moving, fixed_matrix, rough, finest=3)
            if quality_of(fixed, fixed_matrix, moving, rough) > quality:
                best = register_pair(fixed, moving, fixed_matrix, rough, finest=1)
                quality = quality_of(fixed, fixed_matrix, moving, best)
    return (start, expected) if quality < expected + least_gain(moving) else (best, quality)
