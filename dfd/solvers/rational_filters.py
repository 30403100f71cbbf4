"""Rational filters for one focus pair: four small kernels and how far they can be trusted, designed from its PSFs.

With alpha = -1 and 1 at the foci, the images of a texture x are h_1(alpha) x and h_2(alpha) x, and per frequency (Watanabe
and Nayar, "Rational filters for passive depth from defocus", 1998)

    m = G_m (i_1 - i_2)  ~  p_0 + p_1 alpha + p_2 alpha^3,        p_j = G_j (i_1 + i_2)

for every texture, which is what the four kernels are made for.  (The constant p_0 is new here: it takes what unequal blur
rates add.)  The kernels have 8-fold symmetry and sum zero.  Their shape: G_m near a band-pass, and all four together by
least squares over frequencies and alpha; that is linear in their weights, so one Gauss-Newton step is the answer.  The
band of least expected error is chosen.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from dfd.solvers.pair_spectra import ROUGH, SIDE, SMOOTH, USUAL, frequencies, noise_spectrum, texture_spectrum, transfer

BANDS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
"""Inverse peak frequencies [px/rad] of the band-passes to choose from."""

SUMS = ("mm", "m1", "m2", "11", "12", "22")
"""Products of m - p_0, p_1 and p_2 whose windowed sums are needed."""

_SAMPLES = 65
_FITTED = 17
_LOYALTY = 0.03
_LEAST_HALF, _MOST_HALF = 3, 10
_LEAST_SLOPE = 0.25
_HOPELESS = 1.5
_CONTRAST, _NOISE, _WINDOW = 0.15, 0.01, 200.0
_ROUNDS, _MOST = 8, 1.5


@dataclass(frozen=True, eq=False)
class Filters:
    """How to solve one pair.

    kernels        (4, n, n): G_m, G_0, G_1, G_2
    alpha, answer  the alpha of a depth and what the kernels answer there, both ascending
    doubt          1-sigma of the answer from the unknown spectrum of the texture
    noise          name in SUMS -> (2,): what noise of variance 1 of each image adds to that product
    texture_spread variance of p_1^2 for products of the variances of noise, (2, 2)
    with_texture   (2, n) and noise_only (2, 2, n), over the table: see `equation_variance`
    misfit         pixels that share one independent sample of the texture's square
    """

    kernels: np.ndarray
    alpha: np.ndarray
    answer: np.ndarray
    doubt: np.ndarray
    noise: dict[str, np.ndarray]
    texture_spread: np.ndarray
    with_texture: np.ndarray
    noise_only: np.ndarray
    misfit: float


def filters(views, low: float, high: float) -> Filters:
    """The `Filters` for two View, over alpha from low to high within -1 to 1; how loud their noise is does not matter."""
    return _filters(tuple((view.lens, view.psf, view.noise.taps) for view in views), low, high)


@functools.lru_cache(maxsize=32)
def _filters(optics, low, high):
    alpha = np.linspace(-1, 1, _SAMPLES)
    (near, far) = sorted((lens.focus for lens, _, _ in optics), reverse=True)
    places = (near + far) / 2 + alpha * (near - far) / 2
    seen = [transfer(lens, psf, places) for lens, psf, _ in optics]
    kept = (alpha >= low - 1e-9) & (alpha <= high + 1e-9)
    least, best = math.inf, None
    for band in BANDS:
        error, made = _designed([taps for _, _, taps in optics], alpha, seen, kept, band)
        if error > _HOPELESS * least:
            break  # coarser bands pass less texture still, and cost more to design
        if error < least:
            least, best = error, made
    return best


def solve_alpha(sums, xp=np):
    """alpha of least square error of m - p_1 alpha - p_2 alpha^3 from the sums of products, by Newton's method."""
    alpha = sums["m1"] / sums["11"]
    for _ in range(_ROUNDS):
        square = alpha * alpha
        value = (sums["m1"] + 3 * sums["m2"] * square
                 - alpha * (sums["11"] + 4 * sums["12"] * square + 3 * sums["22"] * square * square))
        slope = 6 * sums["m2"] * alpha - sums["11"] - 12 * sums["12"] * square - 15 * sums["22"] * square * square
        alpha = xp.clip(alpha - value / xp.minimum(slope, -0.1 * sums["11"]), -_MOST, _MOST)
    return alpha


def slope_power(sums, alpha):
    """Sum of the squares of p_1 + 3 p_2 alpha^2, what m changes by with alpha."""
    return sums["11"] + 6 * alpha**2 * sums["12"] + 9 * alpha**4 * sums["22"]


def residual_power(sums, alpha):
    """Sum of the squares of m - p_1 alpha - p_2 alpha^3."""
    return (sums["mm"] - 2 * alpha * sums["m1"] - 2 * alpha**3 * sums["m2"]
            + alpha**2 * sums["11"] + 2 * alpha**4 * sums["12"] + alpha**6 * sums["22"])


def equation_variance(made: Filters, variances, texture, interpolate=lambda table: table):
    """Variance, under noise, of the product whose mean over a window is zero at the answer, of independent pixels.

    variances    noise of a pixel of each image, two numbers or (H, W);   texture: `slope_power`
    interpolate  table over `Filters.answer` -> its values at the answers
    """
    first = sum(variances[k] * interpolate(made.with_texture[k]) for k in (0, 1))
    second = sum(variances[i] * variances[j] * interpolate(made.noise_only[i, j]) for i in (0, 1) for j in (0, 1))
    return texture * first + second


def _designed(taps, alpha, seen, kept, band):
    """(expected sigma of alpha, Filters) for one band; seen: transfer functions of both images at all alpha."""
    kernels = _kernels(alpha, seen, band)
    passes = [_response(kernel) for kernel in kernels]
    parts = _parts(passes, seen)
    answers = [solve_alpha(_expected(texture_spectrum(power), parts)) for power in (ROUGH, USUAL, SMOOTH)]
    order = np.flatnonzero(kept & _branch(alpha, answers[1]))
    order = order if order.size > 1 else np.array([_SAMPLES // 2, _SAMPLES // 2 + 1])
    answer = answers[1][order]
    slopes = parts[1][_SAMPLES // 2] ** 2 * texture_spectrum(USUAL)
    noises = [noise_spectrum(each) for each in taps]
    made = Filters(kernels, alpha[order], answer, (np.abs(answers[0] - answers[2]) / 4)[order],
                   **_noise_tables(passes, noises, answer, slopes / np.mean(slopes)))
    sums = {name: _CONTRAST**2 * each[order] for name, each in _expected(texture_spectrum(USUAL), parts).items()}
    power, misfit = slope_power(sums, answer), np.maximum(residual_power(sums, answer), 0)
    spread = equation_variance(made, (_NOISE**2, _NOISE**2), power) + 2 * made.misfit * misfit * power
    error = (spread / _WINDOW / power**2 + made.doubt**2) / np.gradient(answer, made.alpha) ** 2
    count = np.count_nonzero(kept)
    total = np.sum(np.log(np.minimum(error, 1 / 3))) + (count - order.size) * math.log(1 / 3)
    return math.exp(total / count / 2), made


def _branch(alpha, answer):
    """Bool: around the middle, as far as the answer follows alpha."""
    bad = np.flatnonzero(~(np.gradient(answer, alpha) > _LEAST_SLOPE))
    middle = alpha.size // 2
    first = bad[bad < middle].max(initial=-1)
    last = bad[bad >= middle].min(initial=alpha.size)
    return (np.arange(alpha.size) > first) & (np.arange(alpha.size) < last)


def _parts(passes, seen):
    """m - p_0, p_1 and p_2 per frequency of a texture of 1, (n, SIDE, SIDE) each."""
    difference, total = seen[0] - seen[1], seen[0] + seen[1]
    return passes[0] * difference - passes[1] * total, passes[2] * total, passes[3] * total


def _expected(spectrum, parts):
    """The sums of products that a texture of this power spectrum has, name -> (n,)."""
    names = dict(zip("m12", parts, strict=True))
    return {pair: np.mean(spectrum * names[pair[0]] * names[pair[1]], (1, 2)) for pair in SUMS}


def _noise_tables(passes, noises, answer, texture):
    """The fields of `Filters` that tell what noise does; texture: power spectrum of p_1, of mean 1."""
    images = [dict(zip("m12", (sign * passes[0] - passes[1], passes[2], passes[3]), strict=True)) for sign in (1, -1)]
    at = answer[:, None, None]
    residual = [image["m"] - at * image["1"] - at**3 * image["2"] for image in images]
    slope = images[0]["1"] + 3 * at**2 * images[0]["2"]
    return {
        "noise": {pair: np.array([np.mean(noise * image[pair[0]] * image[pair[1]])
                                  for noise, image in zip(noises, images, strict=True)]) for pair in SUMS},
        "texture_spread": np.array([[2 * np.mean(n * m * passes[2] ** 4) for m in noises] for n in noises]),
        "with_texture": np.array([np.mean(texture * noise * part**2, (1, 2))
                                  for noise, part in zip(noises, residual, strict=True)]),
        "noise_only": np.array([[np.mean(n * m * slope**2 * (residual[j] ** 2 + residual[i] * residual[j]), (1, 2))
                                 for j, m in enumerate(noises)] for i, n in enumerate(noises)]),
        "misfit": float(np.mean(texture**2)),
    }


def _kernels(alpha, seen, band):
    """(4, n, n) kernels that make m - p_0 - p_1 alpha - p_2 alpha^3 small for usual textures, G_m near the band-pass."""
    half = min(max(math.ceil(3.5 * band), _LEAST_HALF), _MOST_HALF)
    wy, wx = frequencies()
    octant = (wx >= wy) & (wy >= 0) & (np.abs(wx) < np.pi)
    y, x = np.broadcast_to(wy, octant.shape)[octant], np.broadcast_to(wx, octant.shape)[octant]
    waves, members = _orbits(half, y, x)
    weight = texture_spectrum(USUAL)[octant] * np.where((y == 0) | (x == y), 0.5, 1.0)
    shape = (y**2 + x**2) * band**2
    moments = _moments(alpha, [part[:, octant] for part in seen])
    moments[0, 0] += _LOYALTY
    normal = np.block([[waves.T @ ((weight * moment)[:, None] * waves) for moment in row] for row in moments])
    count = waves.shape[1]
    right = np.zeros(4 * count)
    right[:count] = _LOYALTY * waves.T @ (weight * shape * np.exp(1 - shape))
    normal += 1e-9 * np.trace(normal) / len(normal) * np.eye(len(normal))
    return np.tensordot(np.linalg.solve(normal, right).reshape(4, count), members, 1)


def _moments(alpha, seen):
    """(4, 4, frequencies) means over alpha of the products of h_1 - h_2 and -alpha^(0, 1, 3) (h_1 + h_2)."""
    chosen = np.linspace(0, alpha.size - 1, _FITTED).astype(int)
    one, two = (part[chosen] for part in seen)
    terms = np.stack([one - two, *(-(alpha[chosen][:, None] ** power) * (one + two) for power in (0, 1, 3))])
    return np.einsum("iaf,jaf->ijf", terms, terms) / chosen.size


def _orbits(half, y, x):
    """(frequencies, n) responses and (n, size, size) kernels of sum zero with the 8 symmetries of a square."""
    size = 2 * half + 1
    waves, members = [], []
    for row in range(half + 1):
        for column in range(max(row, 1), half + 1):
            kernel = np.zeros((size, size))
            for down, right in ((row, column), (column, row)):
                for i in (down, -down):
                    for j in (right, -right):
                        kernel[half + i, half + j] = 1
            count = kernel.sum()
            kernel[half, half] = -count
            cosines = np.cos(row * y) * np.cos(column * x) + np.cos(column * y) * np.cos(row * x)
            waves.append(count * (cosines / 2 - 1))
            members.append(kernel)
    return np.stack(waves, axis=1), np.stack(members)


def _response(kernel):
    """(SIDE, SIDE) real transfer function of a symmetrical kernel."""
    half = len(kernel) // 2
    padded = np.zeros((SIDE, SIDE))
    padded[:len(kernel), :len(kernel)] = kernel
    return np.fft.fft2(np.roll(padded, (-half, -half), (0, 1))).real
