"""The best capture of every kind: a small search for the least root mean square of sigma / depth over the range, at the
noise limit; what the solver makes of that is told of the result.

A row of _FAMILIES turns a few numbers into frames; a coarse grid of these numbers is followed by steps along each of them
that are halved where none helps.  Sigma comes from `bound.expected_sigma`; no rule of thumb enters.
Not the worst depth, because sigma jumps where transfer functions vanish together, and single depths would decide.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from dfd.bound import expected_sigma
from dfd.plan.responses import Responses
from dfd.plan.setup import Frame, Setup

KINDS = ("focal-stack", "views", "aperture-pair", "dual-pixel", "differential-quad")
"""What is planned for each: focal stack; focus pair; two apertures at one focus; two half pupils; optical derivatives."""

COUNTS = (3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50)
"""Frames of a focal stack to choose from: the fewest that come within 10 % of the best at equal light."""

DEPTHS = 65
"""Depths at which a proposal says its sigma, even steps of inverse depth from near to far."""

_ENOUGH = 1.1
_HALVINGS = 3
_SEARCHED = (0.0, 0.06, 0.15, 0.23, 0.31, 0.4, 0.47, 0.56, 0.64, 0.72, 0.81, 0.9, 1.0)
"""Shares of the range in dioptres where a search looks: uneven, so that evenly spaced foci cannot hide between them."""


@dataclass(frozen=True)
class Proposal:
    """The best capture of one kind that was found, and what to expect of it.

    kind     one of KINDS
    frames   as they are to be taken; left then right, power minus, plus, aperture minus, plus; a stack from near to far
    depths   m from the entrance pupil, near to far
    sigma    m, 1-sigma of depth at each of them
    limit    root mean square of sigma / depth of one window at the noise limit: what the search minimises
    blur     px: coc of the sharpest frame at the depth where that is largest
    side     aperture pair: where the scene lies, "near" or "far" of focus; else None
    """

    kind: str
    frames: tuple[Frame, ...]
    depths: tuple[float, ...]
    sigma: tuple[float, ...]
    limit: float
    blur: float
    side: str | None = None

    @property
    def worst(self) -> float:
        """Largest relative error of the range: max sigma / depth."""
        return max(spread / depth for spread, depth in zip(self.sigma, self.depths, strict=True))

    @property
    def rms(self) -> float:
        """Root mean square relative error over the range, every dioptre of it alike."""
        return float(np.sqrt(np.mean((np.array(self.sigma) / np.array(self.depths)) ** 2)))


def plan(setup: Setup, *, kinds: Iterable[str] = KINDS, frames: int | None = None) -> tuple[Proposal, ...]:
    """The best proposal of every kind, in the order of `kinds`.

    frames   of the focal stack; None: as many as it takes
    Raises ValueError for an unknown kind, fewer than 2 frames, or frames without a focal stack.
    """
    kinds = tuple(kinds)
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kind ({kind!r}) must be one of {', '.join(KINDS)}")
    if frames is not None and "focal-stack" not in kinds:
        raise ValueError(f"frames ({frames}) applies to a focal stack only; kind {kinds[0]} has its own number of images")
    if frames is not None and frames < 2:
        raise ValueError(f"frames ({frames}) of a focal stack must be at least 2: one image alone tells no depth")
    respond = Responses(setup.texture, setup.core)
    return tuple(_stack(setup, frames, respond) if kind == "focal-stack" else _best(setup, _FAMILIES[kind], respond, kind)
                 for kind in kinds)


@dataclass(frozen=True)
class _Family:
    """A kind as a function of a few numbers.

    frames   (setup, *numbers) -> frames, or None where no lens can do that
    grid     setup -> the coarse values of each number;   steps   setup -> the first step along each
    """

    frames: Callable
    grid: Callable
    steps: Callable


def _stack(setup, count, respond):
    """The stack of `count` frames, or of as few as are enough."""
    return _best(setup, _sweep(_enough(setup, respond) if count is None else count), respond, "focal-stack")


def _enough(setup, respond):
    """Frames of a sweep from end to end, judged at equal light: with more light for more frames, more were always better."""
    equal, found = replace(setup, exposure="total"), {}
    for number in COUNTS:
        found[number] = _score(equal, _sweep(number), (0.0, 0.0), respond, _ENOUGH * min(found.values(), default=math.inf))
    return min(number for number, score in found.items() if score <= _ENOUGH * min(found.values()))


def _best(setup, family, respond, kind) -> Proposal:
    """Coarse grid, then steps along every number, halved until they are small."""
    best, lowest = None, math.inf
    for numbers in itertools.product(*family.grid(setup)):
        score = _score(setup, family, numbers, respond, lowest)
        if score < lowest or best is None:
            best, lowest = numbers, score
    steps, halved = np.array(family.steps(setup)), 0
    while halved < _HALVINGS:
        before = lowest
        for axis, sign in itertools.product(range(len(steps)), (1, -1)):
            moved = tuple((np.array(best) + sign * steps * (np.arange(len(steps)) == axis)).tolist())
            score = _score(setup, family, moved, respond, lowest)
            if score < lowest:
                best, lowest = moved, score
        if lowest > 0.99 * before:
            steps, halved = steps / 2, halved + 1
    return _proposal(setup, kind, family.frames(setup, *best), respond)


def _proposal(setup, kind, frames, respond) -> Proposal:
    views = setup.views(frames)
    shares = np.linspace(1, 0, DEPTHS).tolist()
    depths = tuple(1 / _between(setup, share) for share in shares)
    rate = max(view.lens.blur_rate for view in views)
    alone = np.array([_relative(setup, views, share, respond) for share in shares])
    sigma = tuple(depth**2 * setup.solver.reached(noise / depth * rate) / rate
                  for depth, noise in zip(depths, alone.tolist(), strict=True))
    limit = float(np.sqrt(np.mean(alone**2)))
    blur = max(min(abs(view.lens.coc(1 / depth)) for view in views) for depth in depths)
    side = None if kind != "aperture-pair" else "far" if frames[0].focus > 1 / setup.near else "near"
    return Proposal(kind, frames, depths, sigma, limit, blur, side)


def _score(setup, family, numbers, respond, limit):
    """Root mean square of sigma / depth over the range; where it exceeds `limit` for sure, a part of it."""
    frames = family.frames(setup, *numbers)
    if frames is None:
        return math.inf
    views, total = setup.views(frames), 0.0
    for share in sorted(_SEARCHED, key=lambda share: -abs(share - 0.5)):
        total += _relative(setup, views, share, respond) ** 2
        if total > limit**2 * len(_SEARCHED):
            break
    return math.sqrt(total / len(_SEARCHED))


def _relative(setup, views, share, respond):
    """Sigma of one window over depth at a share of the range in dioptres, 0 = far."""
    at = _between(setup, share)
    return expected_sigma(views, at, pixels=setup.solver.pixels, texture=setup.texture, respond=respond) / at


def _focus(setup, inverse_depth):
    """The nearest focus that a lens reaches: from infinity to life size, or to the near end where that is nearer still."""
    return float(min(max(inverse_depth, 0.0), max(0.5 / setup.focal_length, setup.inverse_range[1])))


def _sweep(count) -> _Family:
    """Frames at even steps of focus; numbers: px of coc by which the sweep ends before the near and the far end."""
    def frames(setup, near, far):
        low, high = setup.inverse_range
        first, last = _focus(setup, high + near / setup.blur_rate), _focus(setup, low - far / setup.blur_rate)
        if not first > last:
            return None
        return tuple(setup.frame(float(focus), count=count) for focus in np.linspace(first, last, count))

    def grid(setup):
        values = (*(share * setup.span for share in (-0.4, -0.3, -0.2, -0.1)), 0.0, 1.5, 3.0, 6.0)
        return values, values

    return _Family(frames, grid, lambda setup: (max(0.05 * setup.span, 1.0),) * 2)


def _two_apertures(setup, offset, stops):
    """Focus `offset` px of coc before the near end or, below zero, beyond the far end; the narrow frame `stops` down.

    Stops are thirds, as cameras have them.
    """
    low, high = setup.inverse_range
    focus = (high if offset > 0 else low) + offset / setup.blur_rate
    narrow = setup.f_number * 2 ** (round(3 * stops) / 6)
    limit = max(setup.narrowest, setup.f_number * math.sqrt(2))
    if focus != _focus(setup, focus) or abs(offset) < 0.25:
        return None
    if not setup.f_number < narrow <= limit * 1.001 or not _has_stop(setup, narrow):
        return None
    return setup.frame(focus, count=2), setup.frame(focus, f_number=narrow, count=2)


def _half_pupils(setup, share):
    """Both halves of one frame focused at a share of the range in dioptres, 0 = far."""
    focus = _between(setup, share)
    if focus != _focus(setup, focus):
        return None
    return tuple(setup.frame(focus, count=2, pupil=pupil) for pupil in ("half-left", "half-right"))


def _derivatives(setup, share, step, change):
    """Focus at a share of the range and `step` px of coc to either side of it; pupils larger and smaller by `change`."""
    focus, reach = _between(setup, share), step / setup.blur_rate
    middle = setup.f_number * (1 + change)
    small = middle / (1 - change) if change < 1 else math.inf
    outside = not 0 <= focus - reach < focus + reach <= _focus(setup, math.inf)
    if outside or not 0.1 <= change <= 0.6 or step < 0.25 or not (_has_stop(setup, middle) and _has_stop(setup, small)):
        return None
    shots = ((focus - reach, middle), (focus + reach, middle), (focus, small), (focus, setup.f_number))
    return tuple(setup.frame(at, f_number=number, count=4) for at, number in shots)


def _between(setup, share):
    low, high = setup.inverse_range
    return low + share * (high - low)


def _has_stop(setup, f_number):
    """Whether the profile, if there is one, has measured the pupil there."""
    try:
        return setup.pupil(f_number) > 0
    except ValueError:
        return False


_OFFSETS = (0.5, 1.5, 3.0, 5.0, 8.0)
_FAMILIES = {
    "views": _sweep(2),
    "aperture-pair": _Family(_two_apertures, lambda setup: ((*_OFFSETS, *(-offset for offset in _OFFSETS)),
                                                            (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)), lambda setup: (1.0, 2 / 3)),
    "dual-pixel": _Family(_half_pupils, lambda setup: (tuple(np.linspace(-0.4, 1.4, 13).tolist()),), lambda setup: (0.08,)),
    "differential-quad": _Family(_derivatives, lambda setup: ((0.0, 0.25, 0.5, 0.75, 1.0), (1.0, 2.0, 4.0, 7.0),
                                                              (0.1, 0.2, 0.4)), lambda setup: (0.12, 1.0, 0.1)),
}
"""How each kind but the stack is searched."""
