"""A point-spread function that was measured: a table of kernels over the circle of confusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfd.backend import array_module


@dataclass(frozen=True, eq=False)
class MeasuredPsf:
    """Kernels that were measured, blended linearly between the nearest two circles of confusion.

    cocs      (n,) signed coc [px], ascending, n >= 2
    kernels   (n, s, s) of unit sum, s odd, the pixel box included, y down and x right as in the scene
    Stands wherever a Psf does.  Raises ValueError for shapes or an order that do not fit, and for a coc beyond the table.
    """

    cocs: np.ndarray
    kernels: np.ndarray

    model, core, radial = "measured", 0.0, False

    def __post_init__(self):
        cocs, kernels = np.asarray(self.cocs, float), np.asarray(self.kernels, float)
        if cocs.ndim != 1 or len(cocs) < 2 or not (np.diff(cocs) > 0).all():
            raise ValueError(f"cocs (shape {cocs.shape}) of measured kernels must be at least 2, in px, ascending")
        size = kernels.shape[-1]
        if kernels.shape != (len(cocs), size, size) or size % 2 == 0:
            raise ValueError(f"kernels (shape {kernels.shape}) must be {len(cocs)} squares of an odd number of px")
        sums = kernels.sum(axis=(1, 2))
        if not (np.isfinite(kernels).all() and (sums > 0).all()):
            raise ValueError("measured kernels must be finite and have a positive sum")
        object.__setattr__(self, "cocs", cocs)
        object.__setattr__(self, "kernels", kernels / sums[:, None, None])

    def reach(self, coc: float) -> float:
        """Px from the middle beyond which a kernel holds nothing."""
        return self.kernels.shape[1] / 2

    def reduced(self, factor: int) -> MeasuredPsf:
        """The same kernels in pixels `factor` times as large; for an even factor their middle moves by half a pixel."""
        size = self.kernels.shape[1]
        blocks = -(-size // factor) | 1
        before = (blocks * factor - size) // 2
        padded = np.pad(self.kernels, ((0, 0), *((before, blocks * factor - size - before),) * 2))
        return MeasuredPsf(self.cocs / factor, padded.reshape(-1, blocks, factor, blocks, factor).sum(axis=(2, 4)))

    def kernel(self, coc: float, *, size: int | None = None) -> np.ndarray:
        """(n, n) float64 kernel of unit sum for a signed `coc` [px]; n odd, the table's size or a larger one."""
        below, share = self._between(coc)
        kernel = (1 - share) * self.kernels[below] + share * self.kernels[below + 1]
        more = 0 if size is None else size - len(kernel)
        if more < 0 or more % 2:
            raise ValueError(f"size ({size} px) must be odd and at least that of the measured kernels ({len(kernel)} px)")
        return np.pad(kernel, more // 2) if more else kernel

    def otf(self, coc: float, frequency_y, frequency_x):
        """Complex transfer function at angular frequencies [rad/px], a column of y and a row of x, pixel box included."""
        return self.seen(coc, self.phases(frequency_y), self.phases(frequency_x))

    def otf_slope(self, coc: float, frequency_y, frequency_x):
        """Change of `otf` per px of signed coc."""
        below, _ = self._between(coc)
        step = self.cocs[below + 1] - self.cocs[below]
        return _transform((self.kernels[below + 1] - self.kernels[below]) / step, self.phases(frequency_y),
                          self.phases(frequency_x))

    def phases(self, frequency):
        """(n, s) complex: what each row or column of a kernel contributes at n angular frequencies [rad/px]."""
        xp = array_module(frequency)
        axis = np.arange(self.kernels.shape[1]) - self.kernels.shape[1] // 2
        return xp.exp(-1j * frequency.reshape(-1, 1) * xp.asarray(axis.astype(frequency.dtype)))

    def seen(self, coc: float, down, right):
        """`otf` from the `phases` of a column of y and of a row of x, of this table or one of larger kernels: for who needs
        many cocs at the same frequencies."""
        return _transform(self.kernel(coc), down, right)

    def _between(self, coc):
        low, high = float(self.cocs[0]), float(self.cocs[-1])
        if not low <= coc <= high:
            raise ValueError(f"coc ({coc:.3g} px) lies beyond the measured kernels, {low:.3g} to {high:.3g} px; narrow the "
                             "range with --near and --far, or measure more of the lens")
        below = min(int(np.searchsorted(self.cocs, coc, side="right")) - 1, len(self.cocs) - 2)
        return below, (coc - self.cocs[below]) / (self.cocs[below + 1] - self.cocs[below])


def _transform(kernel, down, right):
    """Fourier transform of a kernel, whose dark margin costs nothing."""
    xp, middle = array_module(down), len(kernel) // 2
    reach = max(np.abs(np.flatnonzero(kernel.any(axis=axis)) - middle).max(initial=0) for axis in (0, 1))
    lit = kernel[middle - reach:middle + reach + 1, middle - reach:middle + reach + 1]
    down, right = (phases[:, phases.shape[1] // 2 - reach:phases.shape[1] // 2 + reach + 1] for phases in (down, right))
    return down @ xp.asarray(lit.astype(down.real.dtype)) @ right.T
