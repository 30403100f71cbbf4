"""Sensor noise: electrons are counted (Poisson) and read out (Gaussian); and what the images themselves tell of it.

Images run from 0 = black level to 1 = white level, so with `gain` electrons at white and `read_noise` electrons rms

    var(I) = I / gain + (read_noise / gain)^2            (EMVA 1288, without dark current)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dfd.backend import array_module, to_numpy
from dfd.imaging import reduce

LUMINANCE_TAPS = (0.25, 0.5, 0.25)
"""The separable filter that turns a Bayer mosaic into luminance, (R + 2 G + B) / 4; variance times 36 / 256."""

FLOOR_STD = 1e-6
"""Least standard deviation that `estimate` returns, of white: no sensor is better, and sigma is never zero."""

_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_REACH = _DIFFERENCE.size // 2
_BLOCK = 16
FRAMES = 16
"""Frames that tell enough of the noise of a stack."""

_BAND = 84
"""Rows of a piece that is cut out of a large image: 5 blocks and the reach of the differences."""
_SMOOTHNESS = (0.0, 0.05, 0.1, 0.14, 0.17, 0.2)
"""Outer taps of the three that describe noise of unknown correlation: white up to about that of a JPEG."""
_PIXELS = 16_000_000
_SAMPLED = 4096
_SATURATED = 0.99
_KEPT_SHARE = 0.6
_LEAST_BLOCKS = 12


@dataclass(frozen=True)
class Noise:
    """Poisson-Gaussian noise of one linear image that runs from 0 (black) to 1 (white).

    gain         electrons per unit of the image (electrons at white level), > 0
    read_noise   electrons rms, >= 0
    taps         the separable filter (1-D weights, y and x alike) that white noise went through to become this noise;
                 (1,) = white.  gain and read_noise describe a pixel after that filter.
    """

    gain: float
    read_noise: float
    taps: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        if not (math.isfinite(self.gain) and self.gain > 0):
            raise ValueError(f"gain ({self.gain:g} e- at white level) must be positive")
        if not (math.isfinite(self.read_noise) and self.read_noise >= 0):
            raise ValueError(f"read_noise ({self.read_noise:g} e-) must be zero or positive")

    @classmethod
    def from_camera(cls, gain_e_per_dn: float, read_noise_e: float, dn_range: float) -> Noise:
        """From the camera's numbers: electrons per DN, electrons rms, and white level minus black level [DN]."""
        return cls(gain_e_per_dn * dn_range, read_noise_e)

    def variance(self, images):
        """Variance of each pixel of a noise-free `images`, same shape and module; negative values count as black."""
        xp = array_module(images)
        return xp.maximum(images, 0) / self.gain + (self.read_noise / self.gain) ** 2

    def scaled(self, factor: float) -> Noise:
        """The noise of `factor * image`: brightness correction multiplies signal and noise alike."""
        return replace(self, gain=self.gain / factor)

    def filtered(self, taps: tuple[float, ...]) -> Noise:
        """White noise after a separable filter of unit sum, 1-D weights `taps` in y and x: smaller and correlated.

        The variance of a pixel is multiplied by (sum of squared taps)^2.
        """
        return replace(self.averaged(sum(tap**2 for tap in taps) ** 2), taps=tuple(taps))

    def averaged(self, share: float) -> Noise:
        """This noise with `share` of its variance: a weighted mean of independent pixels or channels."""
        return replace(self, gain=self.gain / share, read_noise=self.read_noise / math.sqrt(share))

    def response(self, kernel) -> float:
        """Variance after a 1-D filter with weights `kernel` along one axis, per variance of a pixel."""
        return float(np.sum(np.convolve(kernel, self.taps) ** 2) / np.sum(np.square(self.taps)))

    def correlation_length(self, kernel) -> float:
        """Pixels along one axis that share one independent sample of the squared noise after a 1-D filter `kernel`."""
        passed = np.convolve(kernel, self.taps)
        correlation = np.correlate(passed, passed, mode="full")
        return float(np.sum((correlation / correlation.max()) ** 2))


def expose(images, noise: Noise, rng: np.random.Generator) -> np.ndarray:
    """`images` (any shape, 0 = black, 1 = white) with noise drawn from `rng`: float32, neither clipped nor rounded."""
    electrons = rng.poisson(np.maximum(images, 0) * noise.gain).astype(np.float32)
    if noise.read_noise > 0:
        electrons += np.float32(noise.read_noise) * rng.standard_normal(electrons.shape, dtype=np.float32)
    return electrons / np.float32(noise.gain)


def estimate(images, *, taps: tuple[float, ...] | None = (1.0,)) -> Noise:
    """The noise of each pixel of `images` from the images themselves, when the camera's numbers are unknown.

    images   (K, H, W) or (H, W) float32, linear, 0 = black, 1 = white, NaN where there is no data; NumPy or CuPy
    taps     the separable filter that white noise has gone through, LUMINANCE_TAPS for the luminance of a mosaic; None
             where it is unknown (JPEG, developed pictures): the result then carries (a, 1 - 2 a, a) with the a that
             explains how much more noise is left when the images are reduced to half their size

    Mean square of fourth differences along both axes (zero on planes; after Immerkaer 1996) in blocks of 16 px.  The
    smoothest blocks of a brightness are noise and nothing else; their mean square follows a chi-square law, so the line
    var = I / gain + b is fitted to the blocks that lie below the 60 % point of that law.  Blocks that touch the image's
    darkest or brightest value, or saturation, are left out.  The quantisation of the data sets a floor, step^2 / 12.
    Defocused 1/f texture: gain within 15 %, read noise within 30 % where it matters (tests/test_noise.py).
    Raises ValueError for images smaller than one block.
    """
    frames = images[None] if images.ndim == 2 else images
    if frames.ndim != 3 or min(frames.shape[1:]) < _BLOCK + 2 * _REACH:
        size = " x ".join(str(length) for length in images.shape[:-3:-1])
        raise ValueError(f"images ({size} px) must have sides of at least {_BLOCK + 2 * _REACH} px to show their noise; "
                         "give gain_e_per_dn and read_noise_e in [camera] of capture.toml")
    if taps is None:
        return _estimate_correlated(frames)
    white = Noise(1.0, 0.0, tuple(taps))
    enough = len(frames) if frames.size <= _PIXELS else max(4, _PIXELS // (frames.shape[1] * frames.shape[2]))
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(enough, len(frames))).astype(int))
    parts = [_blocks(frames[int(index)]) for index in chosen]
    level, variance, step = (np.concatenate(column) for column in zip(*parts, strict=True))
    variance = np.maximum(variance / white.response(_DIFFERENCE) ** 2, step**2 / 12)
    slope, offset = _fit_line(np.maximum(level, 0.0), variance, _freedom(white))
    slope, offset = max(slope, FLOOR_STD**2), max(offset, FLOOR_STD**2)
    return Noise(1.0 / slope, math.sqrt(offset) / slope, white.taps)


def bands(image, pixels: int, *, first: int = 0):
    """(n, h, W) pieces of an (H, W) image that `estimate` can do with in its place: bands of rows, evenly spread.

    pixels   about so many in all, the whole image where it has no more;   first   shifts the bands, for another frame
    Always a copy: bands are kept long after the image.
    """
    height, width = image.shape
    count = max(1, round(pixels / (_BAND * width)))
    if height * width <= pixels or count * _BAND >= height:
        return image[None].copy()
    room = height / count - _BAND
    starts = [int(height * k / count + room * (first * 0.618 % 1)) for k in range(count)]
    return array_module(image).stack([image[start:start + _BAND] for start in starts])


def _estimate_correlated(frames):
    """`estimate` for noise of unknown correlation: white at full size, then as smooth as half the size shows it to be."""
    fine = estimate(frames)
    halves = array_module(frames).stack([reduce(frame, 2) for frame in frames])
    if min(halves.shape[1:]) < _BLOCK + 2 * _REACH:
        return fine
    level = float(np.nanmedian(to_numpy(halves[len(halves) // 2])))
    ratio = 4 * estimate(halves).variance(np.float64(level)) / fine.variance(np.float64(level))
    smoothness = float(np.interp(ratio, [_remaining(a) for a in _SMOOTHNESS], _SMOOTHNESS))
    taps = (smoothness, 1 - 2 * smoothness, smoothness)
    share = Noise(1.0, 0.0, taps).response(_DIFFERENCE) ** 2 / np.sum(_DIFFERENCE**2) ** 2
    return Noise(fine.gain * share, fine.read_noise * math.sqrt(share), taps)


def _remaining(smoothness):
    """4 x the variance that `estimate` reports at half size over that at full size, for taps (a, 1 - 2 a, a)."""
    noise = Noise(1.0, 0.0, (smoothness, 1 - 2 * smoothness, smoothness))
    halved = np.zeros(2 * _DIFFERENCE.size - 1)
    halved[::2] = _DIFFERENCE
    return 4 * (noise.response(np.convolve(halved, [0.5, 0.5])) / noise.response(_DIFFERENCE)) ** 2


def _freedom(noise):
    """Degrees of freedom of the mean square of one block of fourth differences of noise with these correlations."""
    passed = np.convolve(_DIFFERENCE, noise.taps)
    correlation = np.correlate(passed, passed, mode="full") / np.sum(passed**2)
    lag = np.abs(np.arange(correlation.size) - passed.size + 1)
    return (_BLOCK**2 / float(np.sum(np.maximum(_BLOCK - lag, 0) * correlation**2))) ** 2


def _blocks(image):
    """(brightness, mean square of the high-pass, quantisation step there) of every usable block of one (H, W) image."""
    xp = array_module(image)
    residual = image.astype(xp.float32)
    for _ in range(_REACH):
        across = residual[:, :-2] - 2 * residual[:, 1:-1] + residual[:, 2:]
        residual = across[:-2] - 2 * across[1:-1] + across[2:]
    rows, columns = residual.shape[0] // _BLOCK, residual.shape[1] // _BLOCK

    def cut(array):
        array = array[: rows * _BLOCK, : columns * _BLOCK]
        return array.reshape(rows, _BLOCK, columns, _BLOCK).transpose(0, 2, 1, 3).reshape(rows * columns, -1)

    inner = cut(image[_REACH:-_REACH, _REACH:-_REACH])
    known = xp.isfinite(image)
    least = xp.min(xp.where(known, image, xp.float32(np.inf)))
    most = xp.minimum(xp.max(xp.where(known, image, xp.float32(-np.inf))), xp.float32(_SATURATED))
    mean_square = to_numpy(xp.mean(cut(residual) ** 2, axis=1, dtype=xp.float64))
    level = to_numpy(xp.mean(inner, axis=1)).astype(float)
    usable = to_numpy(xp.all((inner > least) & (inner < most), axis=1)) & np.isfinite(mean_square)
    return level[usable], mean_square[usable], _steps(to_numpy(inner)[usable])


def _steps(blocks):
    """Quantisation step around each block's values: the least gap between values, where values occur repeatedly."""
    sample = blocks[:: max(1, len(blocks) // _SAMPLED)]
    values = np.unique(sample)
    if values.size < 3 or values.size > sample.size / 2:
        return np.full(len(blocks), np.diff(values).min() if values.size == 2 else 0.0)
    gaps = np.diff(values.astype(float))
    place = np.clip(np.searchsorted(values, np.median(blocks, axis=1)), 1, gaps.size - 1)
    return np.minimum(gaps[place], gaps[place - 1])


def _fit_line(level, variance, freedom):
    """(slope, offset) >= 0 of variance against level, from blocks whose variance is noise or noise plus texture.

    A block of noise alone has variance / (slope level + offset) ~ chi-square with `freedom` degrees, over freedom.
    Below its 60 % point that ratio has a known mean; the line for which the blocks kept so have that mean is found by
    repetition from a line that lies under the data, so that textured blocks never enter.
    """
    from scipy.special import gammainc, gammaincinv

    if level.size == 0:
        return 0.0, 0.0
    shape = freedom / 2
    limit = gammaincinv(shape, _KEPT_SHARE) / shape
    mean = gammainc(shape + 1, limit * shape) / _KEPT_SHARE
    least = min(_LEAST_BLOCKS, -(-level.size // 4))
    slope, offset = _line_under(level, variance, gammaincinv(shape, 0.1) / shape)
    for _ in range(200):
        expected = slope * level + offset
        kept = variance <= limit * expected
        before = slope, offset
        if np.count_nonzero(kept) < least:
            slope, offset = 1.1 * slope, 1.1 * offset
            continue
        slope, offset = _line_through(level[kept], variance[kept] / mean, 1 / np.maximum(expected[kept], 1e-30) ** 2)
        if np.allclose(before, (slope, offset), rtol=1e-5, atol=0):
            break
    return slope, offset


def _line_under(level, variance, quantile):
    """The highest non-negative line that lies below the 10 % points of the blocks of up to 12 brightnesses."""
    order = np.array_split(np.argsort(level), max(1, min(12, level.size // 40)))
    x = np.array([level[part].mean() for part in order])
    y = np.array([np.quantile(variance[part], 0.1) for part in order]) / quantile
    lines = [(0.0, y.min()), ((y / np.maximum(x, 1e-12)).min(), 0.0)]
    for i in range(len(x)):
        for j in range(i):
            slope = (y[i] - y[j]) / max(x[i] - x[j], 1e-12)
            offset = y[i] - slope * x[i]
            if slope >= 0 and offset >= 0 and np.all(slope * x + offset <= y * (1 + 1e-9)):
                lines.append((slope, offset))
    return max(lines, key=lambda line: line[0] * x.mean() + line[1])


def _line_through(x, y, weight):
    """Weighted least squares y = slope x + offset with both non-negative."""
    total, mean_x, mean_y = weight.sum(), np.average(x, weights=weight), np.average(y, weights=weight)
    spread = np.sum(weight * (x - mean_x) ** 2)
    slope = np.sum(weight * (x - mean_x) * (y - mean_y)) / spread if spread > 1e-12 * total * mean_x**2 else 0.0
    offset = mean_y - slope * mean_x
    if slope < 0:
        return 0.0, float(mean_y)
    if offset < 0:
        return float(np.sum(weight * x * y) / np.sum(weight * x * x)), 0.0
    return float(slope), float(offset)
