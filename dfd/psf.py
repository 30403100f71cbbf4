"""Point-spread functions: what a defocused point looks like, as a kernel in pixels and as a transfer function.

Each model is one row of MODELS.  A kernel belongs to a signed circle of confusion `coc` (diameter in px, positive =
nearer than focus), has unit sum and is integrated over the square pixel; y points down, x right, as in the scene.

Disk: Pentland 1987.  Gaussian of equal second moment, std = |coc| / 4: Subbarao 1988.  Half pupils: seen through the
pupil point p (x right, y down, as in the scene) a scene point moves by minus coc * p / pupil_diameter, so what is nearer
than focus lies further right in the view of the left half, where p is negative; by 4 / (3 pi) |coc| between the two
halves (Punnappurath et al. 2020, ideal half discs).  Upper and lower halves are the same with x and y exchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dfd.backend import array_module, scipy_module

IDEAL_KAPPA = 4.0 / (3.0 * math.pi)
"""Disparity / coc of two ideal half discs (0.4244); real dual-pixel sensors measure 0.06 to 0.21."""

_SUBSAMPLES = 8
_POINT = 1e-6


@dataclass(frozen=True)
class Psf:
    """A PSF model and its in-focus core.

    model      a name in MODELS: disk, gaussian, disk-gaussian, half-left, half-right, half-upper, half-lower
    core       std [px] of the Gaussian core (residual aberration, diffraction) that every model is convolved with;
               "disk-gaussian" is the disk with a core that must be positive
    contrast   of the half pupils: 1 = one half alone; a sensor that mixes them, (1 + contrast) / 2 of one and the rest of
               the other, sees them contrast * IDEAL_KAPPA * coc apart; 0 = both the whole disk
    Raises ValueError for an unknown model, a negative core, a contrast outside 0 to 1 or of another model.
    """

    model: str = "disk"
    core: float = 0.0
    contrast: float = 1.0

    def __post_init__(self):
        if self.model not in MODELS:
            raise ValueError(f"psf ({self.model!r}) must be one of {', '.join(MODELS)}")
        if not (math.isfinite(self.core) and self.core >= 0):
            raise ValueError(f"psf_core_px ({self.core:g} px) must be zero or positive")
        if self.model == "disk-gaussian" and self.core == 0:
            raise ValueError("psf 'disk-gaussian' needs psf_core_px, the std of its Gaussian core in px (about 0.6)")
        if not 0 <= self.contrast <= 1 or (self.contrast != 1 and not MODELS[self.model].half):
            raise ValueError(f"contrast ({self.contrast:g}) must lie between 0 and 1, and be 1 but for half pupils; "
                             f"psf is {self.model!r}")

    @property
    def radial(self) -> bool:
        """The transfer function is real and depends on the length of the frequency alone."""
        return MODELS[self.model].radial

    def reduced(self, factor: int) -> Psf:
        """The same model in pixels `factor` times as large."""
        return replace(self, core=self.core / factor)

    def reach(self, coc: float) -> float:
        """Px from the middle beyond which a kernel holds next to nothing."""
        return abs(coc) * MODELS[self.model].reach + 4 * self.core

    def kernel(self, coc: float, *, size: int | None = None) -> np.ndarray:
        """(n, n) float64 kernel of unit sum for a signed `coc` [px]; n odd, `size` or the smallest that holds it."""
        reach = math.ceil(self.reach(coc) + 0.5)
        size = 2 * reach + 1 if size is None else size
        if size % 2 == 0 or size < 1:
            raise ValueError(f"size ({size} px) of a PSF kernel must be odd and positive")
        edges = np.arange(size * _SUBSAMPLES + 1) / _SUBSAMPLES - size / 2
        model = MODELS[self.model]
        fine = model.pupil(edges, float(coc))
        if self.contrast < 1:
            fine = (1 + self.contrast) / 2 * fine + (1 - self.contrast) / 2 * model.pupil(edges, -float(coc))
        if self.core > 0:
            width = self.core * _SUBSAMPLES
            fine = scipy_module(fine).ndimage.gaussian_filter(fine, width, mode="constant", truncate=5)
        kernel = fine.reshape(size, _SUBSAMPLES, size, _SUBSAMPLES).sum(axis=(1, 3))
        return kernel / kernel.sum()

    def otf(self, coc: float, frequency_y, frequency_x):
        """Transfer function at angular frequencies [rad/px] of any matching shapes; complex for half pupils, else real.

        Continuous pupil and core, without the pixel box: multiply by sinc(wx / 2 pi) sinc(wy / 2 pi) for that.
        The two halves average to the full disk at every frequency.
        """
        return self._blended(MODELS[self.model].otf, coc, frequency_y, frequency_x)

    def otf_slope(self, coc: float, frequency_y, frequency_x):
        """Change of `otf` per px of signed `coc`, at the same frequencies: the derivative, real or complex as `otf` is.

        The disk's is -w J2(w |coc| / 2) / (w |coc| / 2) sign(coc), the Gaussian's -w^2 coc / 16 times its transfer function.
        """
        return self._blended(MODELS[self.model].slope, coc, frequency_y, frequency_x)

    def _blended(self, function, coc, wy, wx):
        """A transfer function through the core; both halves share its real part, the imaginary part tells them apart."""
        found = function(wy, wx, float(coc))
        if self.contrast < 1:
            found = found.real + 1j * self.contrast * found.imag
        return found * self._core(wy, wx)

    def _core(self, wy, wx):
        radial = wy**2 + wx**2
        return array_module(radial).exp(-0.5 * self.core**2 * radial)


@dataclass(frozen=True)
class _Model:
    """One row: the pupil's light per cell of a grid of edges [px], transfer function at (wy, wx), its slope, reach / coc,
    whether it is radial, and whether it is half a pupil, whose other half is its mirror image."""

    pupil: Callable
    otf: Callable
    slope: Callable
    reach: float = 0.5
    radial: bool = True
    half: bool = False


def _disk_pupil(edges, coc):
    return _disc_area(edges, abs(coc) / 2, -1.0, 1.0)


def _left_pupil(edges, coc):
    low, high = (0.0, 1.0) if coc >= 0 else (-1.0, 0.0)
    return _disc_area(edges, abs(coc) / 2, low, high)


def _right_pupil(edges, coc):
    return _left_pupil(edges, coc)[:, ::-1]


def _gaussian_pupil(edges, coc):
    std = max(abs(coc) / 4, _POINT)
    rising = scipy_module(edges).special.ndtr(edges / std)
    return np.outer(np.diff(rising), np.diff(rising))


def _disc_area(edges, radius, low, high):
    """Area of every cell of the grid `edges` x `edges` [px] that a disc covers between low and high of its chords.

    A chord at height y = radius sin(angle) runs from -half to half, half = radius cos(angle): exact in x,
    Gauss-Legendre in the angle within each row of cells.
    """
    radius = max(radius, _POINT)
    angle = np.arcsin(np.clip(edges / radius, -1, 1))
    nodes, weights = np.polynomial.legendre.leggauss(4)
    middle, spread = (angle[1:] + angle[:-1]) / 2, (angle[1:] - angle[:-1]) / 2
    half = radius * np.cos(middle[:, None] + spread[:, None] * nodes)
    ends = np.clip(edges, low * half[..., None], high * half[..., None])
    return np.einsum("yn,ynx->yx", half * weights * spread[:, None], np.diff(ends, axis=-1))


def _disk_otf(wy, wx, coc):
    xp = array_module(wy, wx)
    argument = xp.sqrt(wy**2 + wx**2) * (abs(coc) / 2)
    safe = xp.maximum(argument, 1e-6)
    return xp.where(argument < 1e-6, 1.0, 2.0 * scipy_module(safe).special.j1(safe) / safe)


def _disk_slope(wy, wx, coc):
    """J2(x) = 2 J1(x) / x - J0(x); below x = 0.01 its series, where the difference would cancel."""
    xp = array_module(wy, wx)
    frequency = xp.sqrt(wy**2 + wx**2)
    argument = frequency * (abs(coc) / 2)
    safe = xp.maximum(argument, 1e-2)
    special = scipy_module(safe).special
    ratio = (2.0 * special.j1(safe) / safe - special.j0(safe)) / safe
    ratio = xp.where(argument < 1e-2, argument / 8 * (1 - argument**2 / 12), ratio)
    return -math.copysign(1.0, coc) * frequency * ratio


def _gaussian_otf(wy, wx, coc):
    xp = array_module(wy, wx)
    return xp.exp(-(wy**2 + wx**2) * (coc**2 / 32))


def _gaussian_slope(wy, wx, coc):
    return -(wy**2 + wx**2) * (coc / 16) * _gaussian_otf(wy, wx, coc)


def _chords(like):
    """(weight, chord, height), (64,) each, of chords of the upper half disc; the lower half is its mirror image.

    chord * wx and height * wy: phases [rad] per px of coc at half the chord and at its height.  Gauss-Chebyshev of 128
    nodes in the pupil's y; arrays of the kind and type of `like`.
    """
    order = 128
    angle = np.pi * np.arange(1, order // 2 + 1) / (order + 1)
    parts = np.sin(angle) ** 2 * (4 / (order + 1)), np.sin(angle) / 4, np.cos(angle) / 2
    return [array_module(like).asarray(part, dtype=like.dtype) for part in parts]


def _sum_of_chords(function, wy, wx):
    """Sum over the chords of g f, function(weight, chord, height, wy, wx) -> pairs (g, f): of a column of wy and a row of wx
    one product of matrices each, of other shapes chord by chord."""
    weight, chord, height = _chords(wx)
    if wy.ndim == 2 and wy.shape[1] == wx.shape[0] == 1:
        return sum(g @ f for g, f in function(weight[:, None], chord[:, None], height, wy, wx))
    return sum(g * f for parts in zip(weight, chord, height, strict=True) for g, f in function(*parts, wy, wx))


def _half_otf(side):
    """The disk, which both halves share, and the phase that only one has: exact in x, a sum of chords in y."""

    def otf(wy, wx, coc):
        xp = array_module(wy, wx)

        def odd(weight, chord, height, wy, wx):
            across = chord * wx * coc
            return [(xp.cos(height * wy * coc), weight * xp.sin(across) * xp.sinc(across / math.pi))]

        return _disk_otf(wy, wx, coc) - 1j * side * _sum_of_chords(odd, wy, wx)

    return otf


def _half_slope(side):
    """d/dcoc of the chords: d(sin^2 x / x)/dx = 2 cos x sinc x - sinc^2 x."""

    def slope(wy, wx, coc):
        xp = array_module(wy, wx)

        def odd(weight, chord, height, wy, wx):
            across, along = chord * wx * coc, height * wy * coc
            ratio = xp.sinc(across / math.pi)
            return [(xp.cos(along), weight * chord * wx * ratio * (2 * xp.cos(across) - ratio)),
                    (-height * wy * xp.sin(along), weight * xp.sin(across) * ratio)]

        return _disk_slope(wy, wx, coc) - 1j * side * _sum_of_chords(odd, wy, wx)

    return slope


def _turned(pupil, otf, slope):
    """The row of a half pupil with x and y exchanged."""

    def exchanged(function):
        return lambda wy, wx, coc: function(wx.T, wy.T, coc).T

    return _Model(lambda edges, coc: pupil(edges, coc).T, exchanged(otf), exchanged(slope), radial=False, half=True)


MODELS: dict[str, _Model] = {
    "disk": _Model(_disk_pupil, _disk_otf, _disk_slope),
    "gaussian": _Model(_gaussian_pupil, _gaussian_otf, _gaussian_slope, 1.25),
    "disk-gaussian": _Model(_disk_pupil, _disk_otf, _disk_slope),
    "half-left": _Model(_left_pupil, _half_otf(+1.0), _half_slope(+1.0), radial=False, half=True),
    "half-right": _Model(_right_pupil, _half_otf(-1.0), _half_slope(-1.0), radial=False, half=True),
    "half-upper": _turned(_left_pupil, _half_otf(+1.0), _half_slope(+1.0)),
    "half-lower": _turned(_right_pupil, _half_otf(-1.0), _half_slope(-1.0)),
}

_OTHER_HALF = {"half-left": "half-right", "half-right": "half-left", "half-upper": "half-lower", "half-lower": "half-upper"}


def are_halves(one, other) -> bool:
    """Whether two PSFs are the halves of one pupil: at one coc their transfer functions are each other's conjugates."""
    return isinstance(one, Psf) and one.model in _OTHER_HALF and replace(one, model=_OTHER_HALF[one.model]) == other
