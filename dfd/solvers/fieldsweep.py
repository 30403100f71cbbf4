"""A sweep with kernels that change over the picture: one Sweep per tile of the kernels, its planes put together.

Every tile is swept with the kernel measured there, with a halo of the picture around it, so that no place sees another's
kernel; costs are joined before anything is chosen, and aggregation goes across the tiles.  Nothing is blended: the measured
kernels of neighbouring tiles differ by less than a kernel's own error, and a blend would cost four sweeps for one.

What is left at the true depth is the error of the kernels, not noise: it is as large as a tenth of the texture, and it grows
with frequency.  So the channels reach further down than those of a model that holds (`high_pass`), and the labels are judged
by a likelihood of unknown variance (`tolerant`).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dfd.backend import array_module
from dfd.capture import DualPixelPair
from dfd.solvers.grid import largest_coc
from dfd.solvers.sweep import Sweep, border_of

HIGH_PASS = 15.0
"""Std [px] of the Gaussian that is taken off every frame."""

HALO_PX = 22
"""Px of the picture around a tile beyond half the blur."""

_SAMPLED = 6
"""Tiles, about, that tell how much the channels change from a label to the next."""


def padded(capture: DualPixelPair, shape: tuple[int, int], labels) -> tuple[float, float]:
    """(px, mirrored borders included, of the sweeps of all tiles of a part of `shape` together, px of the largest)."""
    psf, border, halo = capture.views[0].psf, 2 * border_of(capture, labels), _halo(capture, labels)
    together = largest = 1.04**2
    for length, whole, most in zip(shape, psf.size, psf.kernels.shape[:2], strict=True):
        count = min(math.ceil(length * most / whole) + 1, most)  # wherever the part begins
        together *= length + count * border + 2 * (count - 1) * halo
        largest *= min(math.ceil(whole / most) + 2 * halo, length) + border
    return together, largest


def over_field(statistic: type[Sweep]) -> type[Sweep]:
    """`statistic` for captures whose PSFs change over the picture: the same methods, tile by tile."""

    phases = {}  # (axis, px) -> those of the widest kernel so far, for all tiles of a size

    class Tile(statistic):
        """The sweep of one tile."""

        high_pass, tolerant = HIGH_PASS, True

        def _otf(self, view, coc, rows):
            psf = view.psf.at(0, 0, coc)
            for key, w in zip(enumerate(self._size), (self._wy, self._wx), strict=True):
                if key not in phases or phases[key].shape[1] < psf.kernels.shape[1]:
                    phases[key] = psf.phases(w)
            down, right = (phases[key] for key in enumerate(self._size))
            return psf.seen(coc, down[rows], right)

    class FieldSweep(_FieldSweep):
        """The sweep of all."""

        tile = Tile

    return FieldSweep


class _FieldSweep:
    """What a Sweep says, of a pair whose PSFs are FieldPsf; see there."""

    tolerant = True
    tile: type[Sweep]

    def __init__(self, capture: DualPixelPair, labels):
        xp = array_module(capture.images)
        self.capture, self.shape = capture, capture.shape
        halo = _halo(capture, labels)
        self._tiles, self._places, self._shares = [], [], []
        self.missing = xp.empty(capture.images.shape, dtype=bool)
        for part in capture.views[0].psf.parts(capture.shape):
            sweep, inner = self._tile_of(part, halo, labels)
            self._tiles.append(sweep)
            self._places.append((part, inner))
            self._shares.append(math.prod(piece.stop - piece.start for piece in part) / math.prod(capture.shape))
            self.missing[:, *part] = sweep.missing[:, *inner]
        self.correlation = self._mean(sweep.correlation for sweep in self._tiles)

    def _tile_of(self, part, halo, labels):
        """(Sweep of a part with the halo around it, where the part lies in that)."""
        outer = tuple(slice(max(piece.start - halo, 0), min(piece.stop + halo, length))
                      for piece, length in zip(part, self.shape, strict=True))
        inner = tuple(slice(piece.start - around.start, piece.stop - around.start)
                      for piece, around in zip(part, outer, strict=True))
        centre = ((piece.start + piece.stop - 1) / 2 for piece in part)
        y, x = centre
        views = [replace(view, psf=view.psf.only(y, x)) for view in self.capture.views]
        return self.tile(replace(self.capture, images=self.capture.images[:, *outer], views=views), labels), inner

    def residuals(self, labels):
        """Yield (found, level) for every label as Sweep does; both views are used at every label, so that level is 0."""
        for label in labels:
            yield self._joined(next(sweep.residuals([label]))[0] for sweep in self._tiles), np.float32(0)

    def expected(self, inverse_depth: float) -> float:
        """As Sweep says."""
        return self._mean(sweep.expected(inverse_depth) for sweep in self._tiles)

    def slope(self, inverse_depth: float):
        """As Sweep says; the noise's part is the mean over the tiles."""
        noise = []

        def planes():
            for sweep in self._tiles:
                plane, part = sweep.slope(inverse_depth)
                noise.append(part)
                yield plane

        return self._joined(planes()), self._mean(noise)

    def gaps(self, labels):
        """As Sweep says, over some of the tiles."""
        some = self._tiles[::max(len(self._tiles) // _SAMPLED, 1)]
        return np.sqrt(sum(sweep.gaps(labels) ** 2 for sweep in some) / len(some))

    def least_blur(self, inverse_depth):
        """As Sweep says."""
        return self._tiles[0].least_blur(inverse_depth)

    def _joined(self, planes):
        xp = array_module(self.missing)
        whole = xp.empty(self.shape, dtype=np.float32)
        for plane, (part, inner) in zip(planes, self._places, strict=True):
            whole[part] = plane[inner]
        return whole

    def _mean(self, values):
        return sum(share * value for share, value in zip(self._shares, values, strict=True))


def _halo(capture, labels):
    """Px of the picture around a tile that its sweep sees."""
    return math.ceil(largest_coc(capture, labels) / 2) + HALO_PX
