"""Depth from coupled optical differentiation: two power steps and two aperture steps, a line of arithmetic per pixel.

    coc = rate (q - focus),  dI/dpower = -rate dI/dcoc,  D dI/dD = rate (q - focus) dI/dcoc,  so q = focus - D I_D / I_power

(rate the blur_rate, D the pupil_diameter, q the inverse depth; kappa I_aperture / I_power in whole differences)
holds for every PSF that scales with the pupil, whatever the texture (Luo, Liu, Alexander and Guo 2025).  Three forms of the
ratio in a window, see `coupled_design.FORMS`; noise in both derivatives, the bias of finite steps and what a small window
does to it are in the answer and its sigma.  Images are equally bright here, by the rule of the readers: the published factor
(D / D+-)^2 belongs to images that are not.

Unknown (NaN): no derivative above the noise, at focus where both vanish, beyond the range, missing data.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import DifferentialQuad
from dfd.depthmap import DepthMap
from dfd.solvers.coupled_design import FORMS, Curve, Law, check_quad, combine, curve_of, law
from dfd.threads import worker_count

if TYPE_CHECKING:
    from dfd.kernels.derivatives import Numbers

WINDOW = 9
"""Side [px] of the window of the rows of the table; 5 is the published one, for larger pictures or less noise."""

_FULLER = 1.0
"""Fuller's constant: 0 is plain total least squares without moments, 1 nearly unbiased, 4 the least square error."""

_SURPLUS = 4.0
"""Standard errors of a mean square by which the derivatives must exceed the noise; half as many for that of power alone."""

_KNOWN = 0.3
"""Share of a window that must hold data."""

_UNCERTAIN = 0.2
"""Most sigma of a known depth, as a share of the range."""

_ROWS = 256
"""Rows of a strip that one thread takes at a time."""

_WORKING = 1_000_000
"""Bytes of the rows in work."""

_FLOOR = 1e-5
"""Least noise, as a share of white, that the arithmetic in single precision is scaled by."""


class QuadPass:
    """The pass over quadruples of one optics and size: prepared once, then run without image-sized allocations.

    views    four View in the order of a DifferentialQuad;   shape   (H, W) px
    form     one of coupled_design.FORMS;   window   px, odd
    limits   (nearest, farthest) inverse depth [dioptre] to look in; None: what the optics can tell
    Raises ValueError for optics, a form, a window or limits that do not fit.
    """

    def __init__(self, views, shape, *, form="total-least-squares", window=WINDOW, limits=None):
        self.views, self.shape, self.form, self.window = tuple(views), tuple(shape), form, window
        blank = DifferentialQuad(np.broadcast_to(np.float32(0), (4, *self.shape)), self.views)
        self.curve = curve_of(blank, form=form, window=window, limits=limits)
        self.law = law(self.views)
        self._pool = None

    def numbers(self, *, gains=(1.0, 1.0, 1.0, 1.0), black=0.0, white=1.0) -> Numbers:
        """What the kernels need for images whose black and white level are these, to be multiplied by gains."""
        from dfd.kernels.derivatives import Numbers

        noises = [view.noise for view in self.views]
        slopes = [1 / noise.gain for noise in noises]
        floors = [(noise.read_noise / noise.gain) ** 2 for noise in noises]
        power = slopes[0] + slopes[1], floors[0] + floors[1]
        aperture = slopes[2] + slopes[3], floors[2] + floors[3]
        unit = max(math.sqrt(power[0] / 2 + power[1]), _FLOOR)
        scale = [gain / ((white - black) * unit) for gain in gains]
        dark = -black * (scale[0] + scale[1])  # of the brightness of both images, whose mean noise goes by
        least = (_FLOOR / unit) ** 2
        noise = [value for slope, floor in (power, aperture)
                 for value in (slope / (2 * unit), floor / unit**2 + slope / (2 * unit) * dark, floor / unit**2 + least)]
        curve = self.curve
        return Numbers(
            *scale, black * (scale[0] - scale[1]), black * (scale[2] - scale[3]), *noise, _FULLER, _SURPLUS * math.sqrt(2),
            self.views[0].noise.correlation_length([1.0]) ** 2, _KNOWN * self.window**2, curve.focus, self.law.kappa,
            curve.scale, curve.bump, *curve.far, *curve.near, *curve.steep, *curve.doubt, curve.low, curve.high,
            _UNCERTAIN * (curve.high - curve.low))

    def solve(self, images, values, sigma, *, gains=(1.0, 1.0, 1.0, 1.0), black=0.0, white=1.0, workers=None) -> None:
        """Fill values and sigma, (H, W) float32 [dioptre], NaN = unknown, from (4, H, W) uint16 or float32 images.

        NumPy or CuPy, all C-contiguous and where the images are.
        gains          factors that make the images equally bright; the noise of the views is that of the images after them
        black, white   levels in the unit of the images
        workers        threads, None: all cores
        Raises ValueError for arrays of another shape or dtype.
        """
        from dfd.kernels.derivatives import solve_rows
        from dfd.kernels.derivatives_cuda import solve_on_device

        if tuple(images.shape) != (4, *self.shape) or str(images.dtype) not in ("uint16", "float32"):
            raise ValueError(f"images ({'x'.join(map(str, images.shape))} {images.dtype}) must be 4 x {self.shape[0]} x "
                             f"{self.shape[1]} px, uint16 or float32")
        numbers = self.numbers(gains=gains, black=black, white=white)
        options = {"window": self.window, "form": FORMS.index(self.form), "values": values, "sigma": sigma}
        if array_module(images, values, sigma) is not np:
            solve_on_device(images, numbers, **options)
            return
        workers = worker_count(workers)
        if workers > 1 and (self._pool is None or self._pool[0] != workers):
            self._pool = workers, ThreadPoolExecutor(workers)
        run = map if workers == 1 else self._pool[1].map
        for _ in run(lambda rows: solve_rows(images, rows, numbers, **options), _strips(self.shape[0], workers)):
            pass


def _strips(height, workers):
    """(first row, last row beyond) of equal strips, a whole number for each worker, of about _ROWS rows."""
    count = min(workers * -(-height // (workers * _ROWS)), height)
    edges = [height * k // count for k in range(count + 1)]
    return list(itertools.pairwise(edges))


def solve_arrays(images, numbers: Numbers, *, window: int, form: str):
    """What the kernels do, with whole arrays, NumPy or CuPy: (values, sigma), (H, W) float32 [dioptre], NaN = unknown.

    images   (4, H, W), NaN = no data
    """
    xp = array_module(images)
    c = numbers
    first, second, small, large = (image.astype(np.float32) * np.float32(gain)
                                   for image, gain in zip(images, c[:4], strict=True))
    power, aperture, bright = second - first + c.black_power, large - small + c.black_aperture, first + second
    known = xp.isfinite(power + aperture)
    power, aperture = (xp.where(known, part, xp.float32(0)) for part in (power, aperture))
    ones = np.ones(window, np.float32)
    aa, pp, ap, samples = (imaging.separable(part, ones, ones) for part in (
        aperture * aperture, power * power, aperture * power, known.astype(np.float32)))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        noises = [xp.maximum(bright * slope + floor, least) for slope, floor, least in (c[6:9], c[9:12])]
        value, sigma, certain = _estimate(form, (aa, pp, ap), noises, samples, c)
    enough = known & (samples >= c.least)
    nan = xp.float32(np.nan)
    return tuple(xp.where(certain & enough, part, nan).astype(np.float32) for part in (value, sigma))


def _estimate(form, sums, noises, samples, c):
    """(depth, sigma, bool: told by the images) from the sums over windows, arrays; see `kernels.derivatives`."""
    aa, pp, ap = sums
    xp = array_module(aa)
    power_noise, aperture_noise = noises
    noise = power_noise * aperture_noise
    modes = aa * power_noise + pp * aperture_noise
    root = xp.sqrt((pp * aperture_noise - aa * power_noise) ** 2 + 4 * noise * ap * ap)
    floor = 1 + c.surplus * xp.sqrt(c.share / samples)
    lowest = Law(c.focus, c.kappa)
    ratio, weight = combine(form, aa, pp, ap, aperture_noise, power_noise, c.fuller, lowest)
    if form == "total-least-squares":  # what Fuller's correction draws it to focus by
        drawn = c.fuller * power_noise * weight
        drift, signal = ratio * drawn / (1 - drawn), 1 / weight
    else:  # what it would be without the noise's part of the sums
        parts = aa - aperture_noise * samples, pp - power_noise * samples
        drift = combine(form, *parts, ap, aperture_noise, power_noise, c.fuller, lowest)[0] - ratio
        signal = parts[1]
    misfit = xp.maximum(aa + ratio * (ratio * pp - 2 * ap), (aperture_noise + ratio * ratio * power_noise) * samples)
    variance = (misfit + noise * samples * samples * weight) * weight / samples * c.share + drift**2
    curve = Curve(c.focus, c.curve, c.bump, c[20:25], c[25:28], c[28:34], c[34:38], c.low, c.high)
    value = curve.value(ratio)
    sigma = xp.sqrt(variance * curve.slope(ratio) ** 2 + curve.strays(ratio) ** 2)
    seen = signal > 0.5 * samples * c.surplus * xp.sqrt(c.share / samples) * power_noise
    certain = seen & (modes + root > 2 * floor * noise * samples) & (sigma < c.most) & (weight > 0)
    return value, sigma, certain & (value >= c.low) & (value <= c.high)


def solve_coupled(capture: DifferentialQuad, *, limits=None, form="least-squares", window=WINDOW) -> DepthMap:
    """Inverse depth [dioptre] of a differential quadruple by the published least squares, or another form.

    limits   (nearest, farthest) inverse depth [dioptre] to look in; None: what the optics can tell
    form     least-squares, ratio or total-least-squares, see coupled_design.FORMS;   window   px, odd
    Raises ValueError as `check` does.
    """
    return _solve(capture, limits, form, window, "coupled-derivatives")


def solve_total(capture: DifferentialQuad, *, limits=None, window=WINDOW) -> DepthMap:
    """`solve_coupled` by total least squares: the noise of both derivatives in its ratio, so that neither draws it."""
    return _solve(capture, limits, "total-least-squares", window, "coupled-derivatives-tls")


def check(capture: DifferentialQuad, limits) -> None:
    """Raises ValueError for optics or limits that a closed form cannot use, see `coupled_design.check_quad`."""
    check_quad(capture, limits)


def check_metres(capture: DifferentialQuad, limits) -> None:
    """`check` for least squares of metres, which need a focus before infinity."""
    check_quad(capture, limits, "least-squares")


def reach(capture: DifferentialQuad, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return WINDOW // 2


def bytes_needed(capture: DifferentialQuad, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    return 24 * shape[0] * shape[1] + _WORKING


def _solve(capture, limits, form, window, method):
    xp = array_module(capture.images)
    made = QuadPass(capture.views, capture.shape, form=form, window=window, limits=limits)
    values, sigma = (xp.empty(capture.shape, np.float32) for _ in range(2))
    made.solve(xp.ascontiguousarray(capture.images), values, sigma, workers=1)
    return DepthMap(values, sigma, "metric", method)
