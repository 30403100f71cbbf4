"""Align the frames of a pair or of views: few frames with known optics, too differently blurred to be compared as they are.

A frame is registered to the reference, or to one that is in place, through `dfd.prepare.matching`.  It moves only where
its motion exceeds the scatter of the tiles clearly and where either half of the tiles finds what the other half finds;
else it stays where the optics predict it, and where that cannot be checked either, a sentence says so.
"""

from __future__ import annotations

import numpy as np

from dfd import imaging
from dfd.prepare.alignment import SMALLEST_SHIFT_PX, Alignment
from dfd.prepare.links import Links
from dfd.prepare.matching import Match, match, stages_of
from dfd.prepare.motions import SIMILARITY, corner_shift, corner_sigma, covered, motion_matrix
from dfd.prepare.parallax import parallax, parallax_note

_PROVEN = 25.0
"""Chi-square of two numbers of a motion that proves them, and of the difference of two halves that refutes them."""

_BIAS = np.array([0.02, 0.02, 0.01, 0.01])
"""What edges between near and far do to the four numbers of a similarity [px of the finest level]."""

_SURE, _SURE_LEVEL = 0.15, 0.05
"""1-sigma of the worst corner beyond which a frame counts as not checked: px, or px of the finest level if that is more."""

_ALIKE, _LEAST_COVER = 0.5, 0.5
"""Correlation at equal blur below which two frames show different things (at the best of all displacements other scenes
reach .4, the same scene .8 with 200 electrons); share of the reference that a frame must show."""

_SHAPE, _SHIFT = slice(0, 2), slice(2, 4)


def align_views(images, pyramids, optics, *, reference: int, initial, progress=None) -> Alignment:
    """Residual similarity of every frame against the reference, beyond the `initial` maps, from images of known optics.

    images     K (H, W) float32 of one size, NaN = no data, each read once;   pyramids   their K `pyramid`s, for parallax
    optics     K Optics in px of the reference's grid
    initial    K maps, output px -> frame px;   reference   index of the frame that is not moved
    progress   called as progress(done, total)
    A frame that shows something else is not aligned; one that cannot be checked stays at its initial map; both are told.
    Raises ValueError for a reference or counts that do not fit.
    """
    count, report = len(pyramids), progress or (lambda done, total: None)
    if not (0 <= reference < count == len(optics) == len(initial)):
        raise ValueError(f"reference ({reference}), {len(optics)} optics and {len(initial)} initial maps must fit {count} "
                         "frames; give one of each per frame")
    views = _Views([stages_of(images[k]) for k in range(count)], optics, reference, initial, pyramids[0].shape)
    for done, k in enumerate(k for k in range(count) if k != reference):
        views.place(k)
        report(done + 1, count)
    result = views.alignment(pyramids)
    report(count, count)
    return result


class _Views:
    """The frames and what is known of each so far."""

    def __init__(self, stages, optics, reference, initial, shape):
        count = len(stages)
        self.stages, self.optics, self.reference, self.shape = stages, optics, reference, shape
        self.initial = np.stack([imaging.full_matrix(matrix) for matrix in initial])
        self.matrices, self.factor = self.initial.copy(), min(stages[0])
        self.quality, self.notes = np.ones(count), []
        self.shifts, self.sigmas = np.zeros(count), np.zeros(count)
        self.applied, self.aligned, self.checked = (np.zeros(count, bool) for _ in range(3))
        self.aligned[:], self.checked[reference] = True, True

    @property
    def limit(self):
        """1-sigma [px] of the worst corner that a checked frame may have."""
        return max(_SURE, _SURE_LEVEL * self.factor)

    def place(self, k):
        """Find where frame k lies: against the reference, and where that is unsure against others that are in place."""
        anchors = [self.reference, *(other for other in np.flatnonzero(self.checked) if other != self.reference)]
        best = None
        for anchor in anchors:
            found = match(self.stages[anchor], self.stages[k], (self.optics[anchor], self.optics[k]),
                          self.matrices[anchor], self.initial[k], self.shape)
            if found is not None and (best is None or self._sigma(found, anchor) < self._sigma(*best)):
                best = found, anchor
            if best is not None and best[0].alike > _ALIKE and self._sigma(*best) <= self.limit:
                break
        self._settle(k, *(best or (None, None)))

    def _sigma(self, found, anchor):
        """1-sigma [px] of the worst corner of a match, that of its anchor included."""
        return float(np.hypot(corner_sigma(self._covariance(found), self.shape), self.sigmas[anchor]))

    def _covariance(self, found):
        return found.covariance + np.diag((_BIAS * self.factor) ** 2)

    def _settle(self, k, found, anchor):
        """Move frame k, leave it, or leave it out, and say what the user must know."""
        if found is None or found.alike < _ALIKE or covered(self._moved(k, found.motion), self.shape) < _LEAST_COVER:
            self._lose(k, found)
            return
        self.quality[k], self.sigmas[k] = found.alike, self._sigma(found, anchor)
        motion = self._supported(found)
        self.shifts[k] = corner_shift(motion_matrix(motion, self.shape), self.shape)
        self.checked[k] = found.settled and self._halves_agree(found) and self.sigmas[k] <= self.limit
        if not self.checked[k]:
            self.shifts[k] = corner_shift(motion_matrix(found.motion, self.shape), self.shape)
            self.notes.append(
                f"frame {k}: it seems displaced by {self.shifts[k]:.2g} px, uncertain by {self.sigmas[k]:.2g} px "
                f"(at most {self.limit:.2g} px needed; weak texture, strong blur, or optics that do not fit?); it stays "
                "where the optics predict it; look at it, or pass --align none if the frames are registered")
        elif self.shifts[k] > SMALLEST_SHIFT_PX:
            self.applied[k], self.matrices[k] = True, self._moved(k, motion)

    def _moved(self, k, motion):
        return self.initial[k] @ motion_matrix(motion, self.shape)

    def _lose(self, k, found):
        """Frame k cannot be aligned."""
        self.aligned[k], self.sigmas[k], self.quality[k] = False, np.nan, 0.0 if found is None else found.alike
        self.notes.append(f"frame {k}: could not be aligned (nothing in common with frame {self.reference}); it is left "
                          "out; is it another scene, or blurred otherwise than its optics say? correct that, or drop it")

    def _supported(self, found: Match):
        """(4,) the part of a motion that its covariance proves: all of it, the shift alone, or nothing."""
        covariance = self._covariance(found)
        if _chi2(found.motion[_SHAPE], covariance[_SHAPE, _SHAPE]) > _PROVEN:
            return found.motion
        pull = np.linalg.solve(covariance[_SHAPE, _SHAPE], found.motion[_SHAPE])
        shift = found.motion[_SHIFT] - covariance[_SHIFT, _SHAPE] @ pull
        left = covariance[_SHIFT, _SHIFT] - covariance[_SHIFT, _SHAPE] @ np.linalg.solve(
            covariance[_SHAPE, _SHAPE], covariance[_SHAPE, _SHIFT])
        return np.array([0, 0, *shift]) if _chi2(shift, left) > _PROVEN else np.zeros(SIMILARITY)

    def _halves_agree(self, found: Match):
        """Do two halves of the tiles ask for the same motion?"""
        (one, spread), (other, other_spread) = found.halves
        bias = 2 * np.diag((_BIAS * self.factor) ** 2)
        return _chi2(one - other, spread + other_spread + bias) < 2 * _PROVEN

    def alignment(self, pyramids) -> Alignment:
        """All of it; parallax is looked for in the frames as they lie now."""
        links = Links(pyramids, self.reference, [k for k in range(len(pyramids)) if self.aligned[k]])
        beside = parallax(links, self.matrices, links.look(self.matrices)[0])
        return Alignment(self.matrices, self.quality, self.shifts, self.sigmas, self.applied, self.aligned,
                         "similarity" if self.applied.any() else "prediction", beside,
                         (*self.notes, *parallax_note(beside, links.factors[0])))


def _chi2(values, covariance):
    return float(values @ np.linalg.solve(covariance, values))
