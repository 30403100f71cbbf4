"""Frames that are not numbered in the order of their focus: found by what neighbours differ, named, never reordered.

In focus order a frame is most like its neighbours.  A link is a jump when its frames differ far more than those of the
links around it *and* one of them has a much closer relative beyond the other: large steps of focus have the first, frames
out of place have both.
"""

from __future__ import annotations

import numpy as np

from dfd.prepare.pyramids import Pyramid, pyramid, seen

_SIDE = 64
"""Least side [px] of the planes that are compared: coarse ones, that noise and small errors of alignment do not reach."""

_JUMP, _AROUND, _FEWEST = 2.5, 4, 6
"""How many times more than the links around (so many to either side), and than the closest relative beyond, a jump differs
(in focus order: at most 1.5 in photographs, 2.1 in rendered stacks with uneven steps); least number of frames."""

_RELATED, _USUAL = 1.5, 0.25
"""Share of the other links that have so much closer relatives from which on these prove nothing: a single flat surface is
equally blurred before and behind its focus."""


def order_jumps(frames, *, matrices=None, order=None) -> tuple[tuple[int, int], ...]:
    """The pairs of frames that follow each other in `order` but not in focus.

    frames     K (H, W) NumPy images or `pyramid`s of one size
    matrices   (K, 3, 3) maps that register them, output px -> frame px; default: they lie as they are
    order      frames that take part, as they follow each other; default 0..K-1.  Leave out what could not be aligned
    """
    order = list(range(len(frames))) if order is None else [int(k) for k in order]
    if len(order) < _FEWEST:
        return ()
    unlike = _differences([_coarse(frames[k], np.eye(3) if matrices is None else matrices[k], len(frames)) for k in order])
    links = np.arange(len(order) - 1)
    steps = unlike[links, links + 1]
    around = np.array([np.median(steps[max(0, k - _AROUND):k + _AROUND + 1]) for k in links])
    beyond = np.array([min([*unlike[k, k + 2:], *unlike[:k, k + 1]]) for k in links])
    rough = steps > _JUMP * around
    if (~rough & (steps > _RELATED * beyond)).sum() > _USUAL * (~rough).sum():
        return ()
    return tuple((order[k], order[k + 1]) for k in np.flatnonzero(rough & (steps > _JUMP * beyond)))


def order_note(pairs, names) -> tuple[str, ...]:
    """One sentence that names the files of `order_jumps`, () without any."""
    if not pairs:
        return ()
    told = ", ".join(f"{names[one]} - {names[other]}" for one, other in pairs)
    return (f"frames that follow each other but do not belong together: {told}; the files seem not to be numbered in the "
            "order of their focus; nothing was reordered; check the order, or state focus distances in capture.toml",)


def _coarse(frame, matrix, count):
    """(values, support) of the coarsest plane that is large enough, flat."""
    levels = frame if isinstance(frame, Pyramid) else pyramid(frame, frames=count)
    level = max([k for k in range(len(levels.factors)) if min(levels.size(k)) >= _SIDE], default=0)
    plane, _, _, support = seen(levels, matrix, (level,))[level]
    return plane.ravel(), support.ravel() > 0


def _differences(planes):
    """(K, K) one minus the correlation of each two planes where both have signal."""
    known = np.stack([support for _, support in planes]).astype(np.float32)
    values = np.stack([plane for plane, _ in planes]) * known
    powers = (values**2) @ known.T
    return 1 - (values @ values.T) / np.sqrt(np.maximum(powers * powers.T, 1e-9))
