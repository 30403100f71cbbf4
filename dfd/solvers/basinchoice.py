"""Which depth a pixel takes: costs of the labels, shared with its neighbours, and whether a second depth is as likely."""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.solvers.locate import Basins

_SMALL, _LARGE, _CLIP = 2.0, 24.0, 250.0
"""Price of a step by one label from pixel to pixel, of any other, and the cost of a label from which on it counts less (see
`_compressed`): all in mean squares of the channels, that is in units of the noise."""

_PATHS = 4

_SLABS = 16
"""Parts of the volume that are compressed one after the other: so much of it is taken for a moment beside it."""

_TOLERANT = 0.25
"""Price of a label, per unit of the logarithm of what it leaves unexplained over what the best leaves, noise included: the
likelihood where the variance is not known, which is that of the model's own error."""

_APART_PX, _AMBIGUOUS, _NEARLY = 3.0, 9.0, 0.1
"""A basin so far [px of coc] from the best is another; where windows of _POOLED px leave it less likely by less than this
(-2 log likelihood) and this much of the noise per pixel (a label may miss the bottom of its basin), it may be right."""

_POOLED, _POOL_STD = 4, 1.0
"""Side [px] of the blocks over which basins are compared, and std [blocks] of the window around each."""


def choose_basins(cost, expected, labels, rate, tolerant):
    """(Basins, (H, W) bool: another basin is as likely).

    cost       (H, W, L) -2 log likelihood of every label, written to;   expected   label (H, W) -> its part without depth
    labels     (L,) inverse depths [dioptre];   rate   px of coc per dioptre;   tolerant   the noise's variance is not known
    """
    from dfd.kernels.aggregation import aggregate
    from dfd.kernels.basins import winner

    xp = array_module(cost)
    lowest = cost.min(axis=2, keepdims=True)
    cost -= lowest
    if tolerant:
        total = aggregate(xp.log1p(cost / (lowest + 1)) * np.float32(_TOLERANT), _SMALL, _LARGE, paths=_PATHS)
    else:
        total = aggregate(_compressed(cost), _SMALL, _LARGE, paths=_PATHS)
    steps = np.diff(labels)
    even = np.isclose(steps, steps.min(), rtol=0.1)
    apart = math.ceil(_APART_PX / (rate * steps.min()))
    label, offset, _, _ = winner(total, apart=apart)
    inside = xp.asarray(np.concatenate([[False], even[1:] & even[:-1], [False]]))[xp.maximum(label, 0)] & (label >= 0)
    chosen = xp.clip(label, 1, len(labels) - 2)
    below, own, above = (xp.take_along_axis(cost, (chosen + k)[:, :, None], axis=2)[:, :, 0] for k in (-1, 0, 1))
    if not tolerant:
        below, own, above = (_stretched(item) for item in (below, own, above))
    excess = lowest[:, :, 0] + own - expected(chosen)
    return (Basins(xp.where(inside, label, -1), offset, below - own, above - own, excess),
            _ambiguous(cost, apart))


def _compressed(cost):
    """`cost`, written to: beyond _CLIP it grows like its logarithm, so that what no model explains outvotes no neighbours.

    It keeps its order, and the neighbours of the best label their parabola: with little noise all but one are beyond.
    """
    xp, clip = array_module(cost), np.float32(_CLIP)
    rows = -(-len(cost) // _SLABS)
    for top in range(0, len(cost), rows):
        slab = cost[top:top + rows]
        beyond = xp.maximum(slab, clip)
        beyond /= clip
        xp.log(beyond, out=beyond)
        beyond *= clip
        xp.minimum(slab, clip, out=slab)
        slab += beyond
        del beyond  # before the next is made
    return cost


def _stretched(cost):
    """The inverse of `_compressed`."""
    xp = array_module(cost)
    clip = np.float32(_CLIP)
    return xp.where(cost > clip, clip * xp.exp(xp.maximum(cost / clip - 1, 0)), cost)


def _ambiguous(cost, apart):
    """(H, W) bool: in a window around the pixel, before any aggregation, another basin is nearly as likely as the best.

    Aggregation adds up the smallest differences of all neighbours, so its sums tell nothing of that.
    """
    from dfd.kernels.basins import winner

    xp = array_module(cost)
    height, width, labels = cost.shape
    rows, columns = height // _POOLED, width // _POOLED
    blocks = cost[:rows * _POOLED, :columns * _POOLED].reshape(rows, _POOLED, columns, _POOLED, labels).mean(axis=(1, 3))
    pooled = imaging.gaussian(xp.ascontiguousarray(blocks.transpose(2, 0, 1)), _POOL_STD)
    _, _, least, second = winner(xp.ascontiguousarray(pooled.transpose(1, 2, 0)), apart=apart)
    independent = 4 * math.pi * (_POOLED * _POOL_STD) ** 2
    found = second - least < _NEARLY + _AMBIGUOUS / independent
    found = xp.repeat(xp.repeat(found, _POOLED, axis=0), _POOLED, axis=1)
    return xp.pad(found, ((0, height - found.shape[0]), (0, width - found.shape[1])), mode="edge")
