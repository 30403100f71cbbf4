"""What finite steps make of the closed form of a differential quadruple, from its own optics: the curve ratio -> depth.

Luo, Liu, Alexander and Guo, "Depth from coupled optical differentiation" (2025), in whole differences and inverse depth q:
with R = (I_aperture+ - I_aperture-) / (I_power+ - I_power-) every PSF gives to lowest order in the blur

    q = focus - kappa R,        kappa = 2 D^2 (f+ - f-) / (D+^2 - D-^2)

(D the pupil of the power pair, f+- its foci, D+- the pupils of the aperture pair), whatever the texture.  Beyond it the
answer depends on the PSF and on the texture.  Here both are put in: the PSF of each view, the usual spectrum 1 / f^2 of
textures and the square pixel give the R that a window finds at every q; that curve is inverted, and fitted by odd terms in
R and a narrow rational one, which is the finite step of power seen near focus.  How far R strays from its mean because a
window holds but a few waves of texture, and because textures differ in their spectrum, is in `doubt`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from dfd.capture import DifferentialQuad
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.solvers.grid import check_optics, grid_range

FORMS = ("total-least-squares", "least-squares", "ratio")
"""Windowed estimates of R from a = sum I_a^2, b = sum I_p^2, c = sum I_a I_p.

total-least-squares   the line through errors in both derivatives (Deming), with Fuller's correction: finite moments
least-squares         of depth in metres, as published: sum V W / sum W^2
ratio                 c / b, as published for look-ups
"""

MOST_WINDOW = 31
"""Largest side of a window [px]."""

_SIDE, _NODES, _NEAR_NODES, _NEAR_STEPS = 128, 65, 33, 3
_EXPONENTS = (1.0, 3.0)
_SOFT = 0.9
"""Exponents of other textures, and std [px] of a softness that psf_core_px does not state: how far R moves is in `doubt`."""

_BUMPS = np.geomspace(0.003, 0.5, 24)
_SAME = 1e-3
_CENTRED = 0.02
_LEAST_PX = 0.02


@dataclass(frozen=True)
class Law:
    """q = focus - kappa R to lowest order; focus [dioptre], kappa [dioptre] per unit of the ratio."""

    focus: float
    kappa: float


@dataclass(frozen=True)
class Curve:
    """Inverse depth [dioptre] from the ratio R of a window, by u = scale R and t = 1 / (1 + bump u^2):

    q = focus + u (far_0 + far_1 u + ... + far_4 u^4 + t (near_0 + near_1 t + near_2 t^2))

    steep       of the slope: steep_0 + steep_1 u + ... + steep_3 u^3 + t (steep_4 + steep_5 t)  [dioptre per unit of R]
    doubt       of the standard deviation [dioptre] that noise has no part in: d_0 + |u| (d_1 + d_2 |u| + d_3 t^2)
    low, high   inverse depths [dioptre] between which the curve has one answer and the user looks
    """

    focus: float
    scale: float
    bump: float
    far: tuple[float, float, float, float, float]
    near: tuple[float, float, float]
    steep: tuple[float, float, float, float, float, float]
    doubt: tuple[float, float, float, float]
    low: float
    high: float

    def value(self, ratio):
        """Inverse depth [dioptre] at ratios, arrays of any module."""
        u = self.scale * ratio
        square = u * u
        t = 1 / (1 + self.bump * square)
        far = functools.reduce(lambda total, part: total * u + part, reversed(self.far))
        return self.focus + u * (far + t * (self.near[0] + t * (self.near[1] + t * self.near[2])))

    def slope(self, ratio):
        """d value / d ratio [dioptre], within some per cent."""
        u = self.scale * ratio
        t = 1 / (1 + self.bump * u * u)
        far = self.steep[0] + u * (self.steep[1] + u * (self.steep[2] + u * self.steep[3]))
        return far + t * (self.steep[4] + t * self.steep[5])

    def strays(self, ratio):
        """Standard deviation [dioptre] of depth that is left without noise; may fall below zero by what the fit misses."""
        u = abs(self.scale * ratio)
        t = 1 / (1 + self.bump * u * u)
        return self.doubt[0] + u * (self.doubt[1] + u * self.doubt[2] + t * t * self.doubt[3])


def law(views) -> Law:
    """The lowest order of four views in the order of a DifferentialQuad.

    Raises ValueError for a power pair of two pupils, and for pairs that are not around one focus.
    """
    minus, plus, small, large = (view.lens for view in views)
    step, growth = plus.focus - minus.focus, large.pupil_diameter**2 - small.pupil_diameter**2
    if not math.isclose(minus.pupil_diameter, plus.pupil_diameter, rel_tol=_SAME):
        raise ValueError(f"power-minus and power-plus have pupils of {minus.pupil_diameter * 1e3:g} and "
                         f"{plus.pupil_diameter * 1e3:g} mm; a derivative with respect to power needs one pupil: use "
                         "--solver likelihood")
    focus = (plus.focus + minus.focus) / 2
    for role, lens in (("aperture-minus", small), ("aperture-plus", large)):
        if abs(lens.focus - focus) > _CENTRED * abs(step) / 2:
            raise ValueError(f"{role} is focused at {lens.focus:.4g} dioptre, the power pair around {focus:.4g}, {step:.3g} "
                             f"apart; the closed form needs them within {_CENTRED * abs(step) / 2:.2g} dioptre: use "
                             "--solver likelihood, or correct power_dpt")
    return Law(focus, 2 * plus.pupil_diameter * minus.pupil_diameter * step / growth)


def curve_of(capture: DifferentialQuad, *, form: str, window: int, limits) -> Curve:
    """The curve of a capture for a form of FORMS in windows of `window` x `window` px; images are not looked at.

    Raises ValueError as `check_quad` does, and for another form or window.
    """
    if form not in FORMS:
        raise ValueError(f"form ({form!r}) must be one of {', '.join(FORMS)}")
    if not (3 <= window <= MOST_WINDOW and window % 2 == 1):
        raise ValueError(f"window ({window} px) must be odd, from 3 to {MOST_WINDOW} px; 5 is the published one")
    check_quad(capture, limits, form)
    low, high = grid_range(capture, limits)
    pupils = tuple((view.lens, view.psf) for view in capture.views)
    variances = [float(view.noise.variance(np.float64(0.5))) for view in capture.views]
    ratio = (variances[2] + variances[3]) / max(variances[0] + variances[1], 1e-300)
    return _curve(pupils, form, window, low, high, round(math.log2(max(ratio, 1e-6)), 1))


def check_quad(capture: DifferentialQuad, limits, form: str = "total-least-squares") -> None:
    """Raises ValueError as `law`, `grid.check_optics` and `grid.grid_range` do, and for metres counted from infinity on."""
    check_optics(capture, limits)
    focus = law(capture.views).focus
    minus, plus = (view.lens for view in capture.views[:2])
    seen = abs(plus.blur_rate * (plus.focus - minus.focus))
    if seen < _LEAST_PX:
        raise ValueError(f"the power step changes the blur by {seen:.2g} px, {_LEAST_PX:g} px are needed: check power_dpt, "
                         f"pupil_diameter_mm ({plus.pupil_diameter * 1e3:g} mm) and image_distance_mm")
    if form == "least-squares" and focus <= 0:
        raise ValueError(f"focus ({focus:.3g} dioptre) at or beyond infinity: least squares of a depth in metres have no "
                         "answer there; use --solver coupled-derivatives-tls, or check power_dpt and image_distance_mm")


@dataclass(frozen=True)
class _Optics:
    """What `law` and the table need of a View."""

    lens: ThinLens
    psf: Psf


@functools.lru_cache(maxsize=32)
def _curve(pupils, form, window, low, high, log_ratio):
    """`curve_of` for hashable optics; log_ratio is log2 of the noise variances, aperture pair over power pair."""
    views = [_Optics(*each) for each in pupils]
    lowest = law(views)
    nodes = _nodes(views, lowest.focus, low, high)
    ratio, doubt = _table(views, nodes, form, window, lowest, 2.0**log_ratio)
    part = _one_answer(ratio, lowest.focus - nodes)
    nodes, ratio, doubt = nodes[part], ratio[part], doubt[part]
    scale, bump, far, near = _fit(ratio, nodes - lowest.focus)
    u = scale * ratio
    t = 1 / (1 + bump * u**2)
    slope = scale * (sum(k * part * u ** (k - 1) for k, part in enumerate(far, 1))
                     + sum(part * t**k * (2 * k * t + 1 - 2 * k) for k, part in enumerate(near, 1)))
    steep = np.linalg.lstsq(np.stack([*(u**k for k in range(4)), t, t**2], axis=1), slope, rcond=None)[0]
    made = Curve(lowest.focus, scale, bump, far, near, _floats(steep), (0.0,) * 4, float(nodes[0]), float(nodes[-1]))
    strays = np.hypot(doubt * slope, made.value(ratio) - nodes)
    return replace(made, doubt=_fit_doubt(np.abs(u), t, strays))


def _floats(values):
    return tuple(float(value) for value in values)


def _nodes(views, focus, low, high):
    """Inverse depths of the table, ascending: even, and more of them within some power steps of focus."""
    reach = _NEAR_STEPS * abs(views[1].lens.focus - views[0].lens.focus)
    near = np.linspace(max(low, focus - reach), min(high, focus + reach), _NEAR_NODES)
    return np.unique(np.concatenate([np.linspace(low, high, _NODES), near[(near >= low) & (near <= high)]]))


def _table(views, nodes, form, window, lowest, noise_ratio):
    """(R, its standard deviation from window to window without noise) at every node, (n,) each; NaN at focus."""
    wy, wx = 2 * np.pi * np.fft.fftfreq(_SIDE)[:, None], 2 * np.pi * np.fft.rfftfreq(_SIDE)[None, :]
    pixel = (np.sinc(wy / (2 * np.pi)) * np.sinc(wx / (2 * np.pi))) ** 2
    radial = wy**2 + wx**2
    radial[0, 0] = np.inf
    both = np.where((wx == 0) | (wx == np.pi), 1.0, 2.0)  # the other half of the plane is the conjugate of this one
    spectra = [pixel * radial ** (-exponent / 2) for exponent in (2.0, *_EXPONENTS)]
    spectra.append(spectra[0] * np.exp(-(_SOFT**2) * (wy**2 + wx**2)))
    shared = _shared_pairs(window)
    ratio, doubt = np.empty(len(nodes)), np.empty(len(nodes))
    for index, node in enumerate(nodes):
        minus, plus, small, large = (view.psf.otf(view.lens.coc(float(node)), wy, wx) for view in views)
        power, aperture = plus - minus, large - small
        found = [_ratio_of(both * spectrum, power, aperture, form, lowest, noise_ratio) for spectrum in spectra]
        spread = _scatter(spectra[0], power, aperture - found[0] * power, shared)
        ratio[index] = found[0]
        moved = np.nan_to_num([(found[1] - found[2]) / 4, (found[3] - found[0]) / 2])
        doubt[index] = math.hypot(spread, *moved)
    return ratio, doubt


def _ratio_of(spectrum, power, aperture, form, lowest, noise_ratio):
    """R of infinitely many windows without noise."""
    a, b = (float(np.sum(spectrum * np.abs(part) ** 2)) for part in (aperture, power))
    c = float(np.sum(spectrum * (aperture * np.conj(power)).real))
    if b < 1e-12 * np.sum(spectrum):
        return math.nan
    return float(combine(form, a, b, c, noise_ratio, 1.0, 0.0, lowest)[0])


def combine(form, a, b, c, aperture_noise, power_noise, fuller, lowest):
    """(R, 1 / what the power difference is of b) of a form from sums over a window, arrays or numbers.

    aperture_noise, power_noise   noise of a pixel in a and b;   fuller   Fuller's constant
    """
    if form == "ratio":
        return c / b, 1 / b
    if form == "least-squares":
        return (lowest.focus * c - lowest.kappa * a) / (lowest.focus * b - lowest.kappa * c), 1 / b
    lean, noise = b * aperture_noise - a * power_noise, aperture_noise * power_noise
    root = (lean * lean + 4 * noise * c * c) ** 0.5
    inverse = 2 * aperture_noise / (lean + root + 2 * fuller * noise)
    return c * inverse, inverse


def _shared_pairs(window):
    """(_SIDE, _SIDE) share of all pairs of pixels of a window that lie so far apart, at FFT offsets."""
    offset = np.abs(np.fft.fftfreq(_SIDE) * _SIDE)
    line = np.maximum(1 - offset / window, 0) / window
    return np.outer(line, line)


def _scatter(spectrum, power, left, shared):
    """Standard deviation of R from window to window of a Gaussian texture: d is what R leaves of I_a, p is I_p, and
    var(mean(d p)) = sum over pairs of pixels of R_dd R_pp + R_dp^2 (Isserlis)."""
    own, other, cross = (np.fft.irfft2(spectrum * part, s=(_SIDE, _SIDE)) for part in (
        np.abs(left) ** 2, np.abs(power) ** 2, left * np.conj(power)))
    variance = float(np.sum(shared * (own * other + cross * np.roll(np.flip(cross), 1, axis=(0, 1)))))
    return math.sqrt(max(variance, 0.0)) / max(float(other[0, 0]), 1e-300)


def _one_answer(ratio, nearness):
    """Indices of the nodes around focus over which R rises with `nearness` = focus - q, without those at focus itself."""
    usable = np.flatnonzero(np.isfinite(ratio))
    middle = int(np.argmin(np.abs(nearness[usable])))
    falls = np.diff(ratio[usable]) >= 0
    before, after = np.flatnonzero(falls[:middle]), np.flatnonzero(falls[middle:])
    first = before[-1] + 1 if before.size else 0
    last = middle + after[0] if after.size else len(usable) - 1
    return usable[first:last + 1]


def _fit(ratio, beyond):
    """(scale, bump, far, near) of the Curve nearest to `beyond` = q - focus."""
    scale = 1 / float(np.max(np.abs(ratio)))
    u, best = ratio * scale, None
    for width in _BUMPS:
        t = 1 / (1 + (u / width) ** 2)
        basis = np.stack([*(u**k for k in range(1, 6)), *(u * t**k for k in range(1, 4))], axis=1)
        terms, *_ = np.linalg.lstsq(basis, beyond, rcond=None)
        worst = np.max(np.abs(basis @ terms - beyond))
        if best is None or worst < best[0]:
            best = worst, 1 / width**2, terms
    return scale, float(best[1]), _floats(best[2][:5]), _floats(best[2][5:])


def _fit_doubt(u, t, strays):
    """Four coefficients in |u| and t near the standard deviations `strays`, relatively; see Curve.doubt."""
    basis = np.stack([u**0, u, u**2, u * t**2], axis=1)
    weights = 1 / (strays + 0.003 * strays.max() + 1e-9)[:, None]
    terms, *_ = np.linalg.lstsq(basis * weights, strays * weights[:, 0], rcond=None)
    return _floats(terms)
