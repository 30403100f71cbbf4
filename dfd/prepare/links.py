"""The links between near frames of a sweep: how alike they are at given maps, and the joint motion that they ask for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dfd.prepare.motions import motion_matrix
from dfd.prepare.pairs import measure
from dfd.prepare.pyramids import agreement, compared, seen

_LEVELS = (0, 1)
_GAPS = (1, 2)
_SMALL = 300
"""Side [px] below which a frame has too few independent places to tell its errors: sigma grows as its square."""
_AT_ONCE = 8
"""Frames whose planes are in memory together, beside the last two before them."""


class Links:
    """The links of frames in focus order, one and two places apart; small errors of neighbours must not walk.

    pyramids    K Pyramids of one size
    reference   the frame that is not moved
    order       the frames that take part, in focus order
    """

    def __init__(self, pyramids, reference, order):
        self.pyramids, self.reference, self.order, self.shape = pyramids, reference, list(order), pyramids[0].shape
        self.factors = pyramids[0].factors
        self.levels = _LEVELS[:len(self.factors)]
        self.sizes = [pyramids[0].pixels(level) for level in range(len(self.factors))]
        self.pairs = [(one, other) for gap in _GAPS for one, other in zip(order, order[gap:], strict=False)]

    @property
    def positions(self) -> np.ndarray:
        """(K,) places in the sweep, counted from the reference in units of its length; 0 for frames without links."""
        positions = np.zeros(len(self.pyramids))
        positions[self.order] = (np.arange(len(self.order)) - self.order.index(self.reference)) / len(self.order)
        return positions

    def look(self, matrices, levels=None):
        """(tile sums of every link by level, its agreement summed over the levels) at these maps; levels: other ones."""
        levels = self.levels if levels is None else levels

        def compare(pair):
            return {level: compared(planes[pair[0]][level], planes[pair[1]][level]) for level in levels}

        planes, sums = {}, {}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(self.order), _AT_ONCE):
                frames = self.order[start:start + _AT_ONCE]
                kept = self.order[max(0, start - _GAPS[-1]):start]
                new = pool.map(lambda k: seen(self.pyramids[k], matrices[k], levels), frames)
                planes = {k: planes[k] for k in kept} | dict(zip(frames, new, strict=True))
                pairs = [pair for pair in self.pairs if pair[1] in frames]
                sums |= dict(zip(pairs, pool.map(compare, pairs), strict=True))
        sums = [sums[pair] for pair in self.pairs]
        return sums, np.array([sum(agreement(link[level], self.sizes[level]) for level in levels) for link in sums])

    def solve(self, sums, terms):
        """(K, n) motions of all frames that satisfy the links best, and their (n K, n K) covariance [px^2].

        A link errs by its scatter and by its bias, half of which repeats from link to link.  The links of several gaps
        share their frames and so their errors: together they count as one.
        """
        count = len(self.pyramids)
        loose = np.full((count, terms), 1e-6)
        loose[self.reference] = 1e6
        precision, noise, score = np.diag(loose.ravel()), np.diag(loose.ravel()), np.zeros(terms * count)
        repeated = np.zeros((terms * count, terms))
        for (one, other), link in zip(self.pairs, sums, strict=True):
            estimate = measure(link, self.sizes, self.factors, self.shape, terms)
            if estimate is None:
                continue
            square = estimate.bias @ estimate.bias.T
            weight = np.linalg.inv(estimate.covariance + square)
            scatter = len(_GAPS) * weight @ (estimate.covariance + square / 2) @ weight
            ends = ((slice(terms * one, terms * one + terms), -1), (slice(terms * other, terms * other + terms), 1))
            for rows, sign in ends:
                score[rows] += sign * weight @ estimate.motion
                repeated[rows] += sign * weight @ estimate.bias
                for columns, other_sign in ends:
                    precision[rows, columns] += sign * other_sign * weight
                    noise[rows, columns] += sign * other_sign * scatter
        inverse = np.linalg.inv(precision)
        motions, repeated = (inverse @ score).reshape(count, terms), inverse @ repeated
        motions[self.reference] = 0
        return motions, (inverse @ noise @ inverse + repeated @ repeated.T) * max(1.0, _SMALL / min(self.shape)) ** 4

    def moved(self, matrices, motions):
        """The maps after these motions."""
        return np.stack([matrix @ motion_matrix(motion, self.shape)
                         for matrix, motion in zip(matrices, motions, strict=True)])
