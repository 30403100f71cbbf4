"""What two images of one scene with known optics ask each other to move, however differently they are blurred.

Where the scene lies at one inverse depth, image a is the scene through h_a and image b through h_b, both known.  Then

    D = (h_b a - h_a b) / sqrt(h_a^2 + h_b^2)        is white noise where b lies as a does,
    T = h_a h_b (h_a a + h_b b) / (h_a^2 + h_b^2 + noise / texture) / sqrt(h_a^2 + h_b^2)

is the texture as D shows it once b is displaced, and its noise is independent of that of D: the gradient of T against D
gives the displacement without a bias, also where one image is blurred beyond the first zero of its transfer function and
shows the texture with reversed contrast.  Every tile takes the inverse depth that fits it best, its own displacement
granted.  Where the scene slopes, blur changes along it and moves what it shows, in b more than in a: by
i d^2 h / dx dw of the texture, which is taken off D for the slope of the tiles' own depths (0.1 px at 25 px of blur that
changes by 5 % per px).  Blur equalisation: Xian and Subbarao 2006; D is the statistic of the likelihood of a pair.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from dfd import imaging
from dfd.optics import ThinLens
from dfd.psf import Psf

TILE = 16
"""Side of a tile [px]."""

_STEP, _GROWTH, _LARGEST, _MOST = 0.7, 0.12, 0.3, 80.0
"""Blurs that are tried are so far apart [px], and by this share of the smaller one; the largest is this share of the
shorter side, and at most so many px."""

_SMOOTH, _RIM, _FLOOR = 0.06, 3, 1e-4
"""Frequency [rad/px] below which brightness that changes slowly counts as light, not texture; px beyond the reach of the
blurs that the border spoils; power of both transfer functions [1] below which nothing is amplified."""

_TABLE = 4096
"""Frequencies at which the radial transfer functions are tabulated."""

_LEAST_PIXELS = 0.3
"""Share of its pixels that a tile and those around it need to choose an inverse depth."""


@dataclass(frozen=True)
class Optics:
    """What blurs one frame on the reference's pixel grid: its ThinLens and its Psf, which must be radial."""

    lens: ThinLens
    psf: Psf

    def reduced(self, factor: int) -> Optics:
        """The same in pixels `factor` times as large."""
        return Optics(replace(self.lens, pixel_pitch=self.lens.pixel_pitch * factor), self.psf.reduced(factor))


@dataclass(frozen=True, eq=False)
class Tiles:
    """What the tiles of two images ask for, each at its own inverse depth.

    normals    (T, 2, 2), pulls (T, 2): normal equations of the shift of each tile [px], divided by its noise
    places     (T, 2) centres x, y [px];   inverse_depth (T,) dioptre
    alike      correlation of the two images at equal blur, 1 = the same
    """

    normals: np.ndarray
    pulls: np.ndarray
    places: np.ndarray
    inverse_depth: np.ndarray
    alike: float


def trial_depths(one: Optics, other: Optics, shape) -> np.ndarray:
    """(n,) inverse depths [dioptre], ascending, whose blurs in two images of `shape` are evenly far apart.

    Two images with one focus look the same on both sides of it: the near side serves for both.
    """
    lenses = one.lens, other.lens
    most = min(_LARGEST * min(shape), _MOST)
    low = max(lens.focus - most / lens.blur_rate for lens in lenses)
    high = min(lens.focus + most / lens.blur_rate for lens in lenses)
    foci, rate = sorted(lens.focus for lens in lenses), max(lens.blur_rate for lens in lenses)
    if high <= low:
        low, high = foci
    if (foci[1] - foci[0]) * rate < _STEP / 2:
        low = min(foci[0], high)
    fine = np.linspace(low, high, 2001)
    blurs = np.abs([lens.coc(fine) for lens in lenses])
    density = rate / (_STEP + _GROWTH * np.maximum(blurs.min(axis=0), blurs.max(axis=0) / 2))
    steps = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(fine))])
    return np.interp(np.linspace(0, steps[-1], max(2, math.ceil(steps[-1]) + 1)), steps, fine)


def compare(one, other, optics, depths) -> Tiles | None:
    """What the tiles of two (H, W) float32 images, NaN = no data, ask for; None where nothing can be compared.

    optics   their two Optics in px of the images;   depths   (n,) inverse depths to choose from
    `other` lies where its pulls, normals^-1 @ pulls, say: what `one` shows at x, it shows at x + that.
    """
    known = np.isfinite(one) & np.isfinite(other)
    if not known.any():
        return None
    level = np.sum(one, where=known), np.sum(other, where=known)
    if not min(level) > 0:
        return None
    equations = _Equations(_filled(one), _filled(other) * np.float32(level[0] / level[1]), known, optics)
    return _chosen(np.stack([equations.sums(depth) for depth in depths]), np.asarray(depths), equations.places)


def _transfer(psf, coc, last):
    """Transfer function and its slope at _TABLE radial frequencies up to `last` [rad/px]."""
    return _kept(psf, coc, last) if isinstance(psf, Psf) else _made(psf, coc, last)


def _made(psf, coc, last):
    radial = np.linspace(0, last, _TABLE)
    return psf.otf(coc, radial, 0.0), psf.otf_slope(coc, radial, 0.0)


_kept = functools.lru_cache(maxsize=128)(_made)
"""Every step of a search compares at the same depths again; 128 hold those of two frames."""


class _Equations:
    """The tile sums of two images at any inverse depth."""

    def __init__(self, one, other, known, optics):
        import scipy.fft

        self.optics, self.shape, self.distance = optics, one.shape, _distance(known)
        reach = min(_MOST, _LARGEST * min(one.shape)) / 2
        self.pad = math.ceil(reach) + 2 * _RIM
        self.padded = [scipy.fft.next_fast_len(length + 2 * self.pad, real=True) for length in one.shape]
        self.spectra = [self._spectrum(image) for image in (one, other)]
        self.wy = (2 * np.pi * scipy.fft.fftfreq(self.padded[0])[:, None]).astype(np.float32)
        self.wx = (2 * np.pi * scipy.fft.rfftfreq(self.padded[1])[None]).astype(np.float32)
        frequency = np.hypot(self.wx, self.wy)
        self.radial = np.linspace(0, 1.001 * float(frequency.max()), _TABLE)
        self.place, self.share = np.divmod(frequency / np.float32(self.radial[1]), np.float32(1))
        self.place, self.ratio = self.place.astype(np.int32), self._noise_to_texture()
        self.rows, self.columns = (np.arange(0, max(length - TILE // 2, 1), TILE) for length in one.shape)

    @property
    def places(self):
        """(rows, columns, 2) centres x, y of the tiles."""
        y, x = (np.append(starts, length)[1:] / 2 + starts / 2 - 0.5
                for starts, length in zip((self.rows, self.columns), self.shape, strict=True))
        return np.stack(np.broadcast_arrays(x[None], y[:, None]), axis=-1)

    def sums(self, inverse_depth):
        """(rows, columns, 12): D^2, D T_x, D T_y, T_x^2, T_x T_y, T_y^2, pixels, power of what D is the difference of, and
        T_x, T_y times what a slope of 1 dioptre per px in x and in y adds to D: xx, xy, yx, yy."""
        (a, b), tables = self.spectra, [self._at_frequencies(table) for table in self._tables(inverse_depth)]
        left, right = tables[0] * a, tables[1] * b
        shown, turned = (1j * (one * a + other * b) for one, other in (tables[2:4], tables[4:6]))
        reach = sum(abs(item.lens.coc(inverse_depth)) for item in self.optics) / 2
        used = self.distance > reach + _RIM
        spectra = left - right, left + right, self.wx * shown, self.wy * shown, self.wx * turned, self.wy * turned
        rest, both, across, along, slope_x, slope_y = (self._image(spectrum) * used for spectrum in spectra)
        terms = (rest * rest, rest * across, rest * along, across * across, across * along, along * along, used,
                 (both * both + rest * rest) / 2, across * slope_x, across * slope_y, along * slope_x, along * slope_y)
        return np.stack([np.add.reduceat(np.add.reduceat(term, self.rows, axis=0, dtype=np.float64), self.columns, axis=1)
                         for term in terms], axis=-1)

    def _tables(self, inverse_depth):
        """What the spectra of a and b are multiplied by, along the radial frequencies: for the two halves of D, for T, for
        what a slope adds to D; T and the slope without their i w."""
        cocs = [item.lens.coc(inverse_depth) for item in self.optics]
        (h_a, slope_a), (h_b, slope_b) = (_transfer(item.psf, float(coc), float(self.radial[-1])) for item, coc in
                                          zip(self.optics, cocs, strict=True))
        by_a, by_b = (slope * item.lens.blur_rate for slope, item in zip((slope_a, slope_b), self.optics, strict=True))
        power = h_a**2 + h_b**2
        scale = (1 - np.exp(-(self.radial**2) / (2 * _SMOOTH**2))) / np.sqrt(power + _FLOOR)
        latent = 1 / (power + self.ratio * self.radial**2 + 1e-6)
        apart, least = scale * (h_b * by_a - h_a * by_b), np.maximum(self.radial, self.radial[1])
        turn = (np.gradient(apart, self.radial) - apart / least) / least
        shown = h_a * h_b * scale
        return (h_b * scale, h_a * scale, *(part * latent * h for part in (shown, -turn) for h in (h_a, h_b)))

    def _at_frequencies(self, table):
        """A table along the radial frequencies at those of the spectra, by linear interpolation."""
        table = table.astype(np.float32)
        return table[self.place] + self.share * np.diff(table, append=table[-1])[self.place]

    def _spectrum(self, image):
        import scipy.fft

        (height, width), pad = image.shape, self.pad
        around = [(pad, self.padded[0] - height - pad), (pad, self.padded[1] - width - pad)]
        return scipy.fft.rfft2(np.pad(image - image.mean(), around, mode="symmetric"))

    def _image(self, spectrum):
        import scipy.fft

        rows, columns = (slice(self.pad, self.pad + length) for length in self.shape)
        return scipy.fft.irfft2(spectrum, self.padded)[rows, columns]

    def _noise_to_texture(self):
        """Noise / texture power times w^-2: the quieter image's highest frequencies, the other's 1 / f^2 at low ones."""
        powers, squared = [np.abs(spectrum) ** 2 for spectrum in self.spectra], self.wx**2 + self.wy**2
        high, low = squared > 2.4**2, (squared > 0.08**2) & (squared < 0.5**2)
        noise = min(float(np.median(power[high])) for power in powers)
        return noise / max(*(float(np.median((power * squared)[low])) for power in powers), 1e-30)


def _chosen(sums, depths, places) -> Tiles | None:
    """Every tile at the inverse depth that leaves least of it unexplained, seen with the tiles around it."""
    from scipy import ndimage

    around = ndimage.uniform_filter(sums, size=(1, 3, 3, 1), mode="constant")
    count = around[..., 6]
    matrices = around[..., [3, 4, 4, 5]].reshape(*count.shape, 2, 2) + 1e-9 * np.eye(2) * max(sums[..., 3:6].max(), 1e-30)
    explained = (np.linalg.solve(matrices, around[..., 1:3, None])[..., 0] * around[..., 1:3]).sum(axis=-1)
    usable = count > _LEAST_PIXELS * TILE**2
    rest = np.where(usable, (around[..., 0] - explained) / np.maximum(count, 1), np.inf)
    best = rest.argmin(axis=0)
    found = np.take_along_axis(sums, best[None, ..., None], axis=0)[0]
    noise = np.take_along_axis(rest, best[None], axis=0)[0]
    good = np.isfinite(noise) & (found[..., 6] > _LEAST_PIXELS * TILE**2)
    if not good.any():
        return None
    slope = _slopes(np.where(good, depths[best], np.nan))
    pulls = found[..., 1:3] - (found[..., 8:].reshape(*best.shape, 2, 2) @ slope[..., None])[..., 0]
    found, noise, pulls, best = found[good], noise[good], pulls[good], best[good]
    noise = np.maximum(noise, max(np.median(noise) / 2, 1e-30))[:, None]
    alike = 1 - found[:, 0].sum() / max(found[:, 7].sum(), 1e-30)
    return Tiles((found[:, [3, 4, 4, 5]] / noise).reshape(-1, 2, 2), pulls / noise, places[good], depths[best], float(alike))


def _slopes(depths):
    """(rows, columns, 2) change of inverse depth per px in x and y: the median around each tile, 0 where none is known."""
    padded = np.pad(depths, 2, constant_values=np.nan)
    rows, columns = depths.shape
    steps = [np.stack([(padded[1 + dy + y:1 + dy + y + rows, 1 + dx + x:1 + dx + x + columns]
                        - padded[1 - dy + y:1 - dy + y + rows, 1 - dx + x:1 - dx + x + columns])
                       for y in (0, 1, 2) for x in (0, 1, 2)]) / (2 * TILE) for dy, dx in ((0, 1), (1, 0))]
    return np.stack([_median(step) for step in steps], axis=-1)


def _median(values):
    """Median over the first axis of what is finite; 0 where nothing is."""
    known = np.isfinite(values).any(axis=0)
    return np.where(known, np.nanmedian(np.where(known, values, 0.0), axis=0), 0.0)


def _filled(image):
    """The image with its surroundings where it has no data."""
    known = np.isfinite(image)
    if known.all():
        return image
    near = imaging.gaussian(known.astype(np.float32), 4)
    around = imaging.gaussian(np.where(known, image, np.float32(0)), 4) / np.maximum(near, np.float32(1e-3))
    return np.where(known, image, np.where(near > 0.01, around, image[known].mean())).astype(np.float32)


def _distance(known):
    """Distance [px] of every pixel to the border and to the next one without data, the first one at 1."""
    from scipy import ndimage

    return ndimage.distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1]
