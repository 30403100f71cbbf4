"""The all-in-focus image of a few blurred pictures: undo the blur that their optics and the depth map imply, by Wiener.

For every depth level q, over the whole picture and at each frequency w, with H_k the transfer functions of the views,
Y_k the pictures' transforms, s_k^2 the noise per pixel and S = strength / |w|^2 the spectrum of texture:

    X_q = sum_k conj(H_k) Y_k / n_k  /  (sum_k |H_k|^2 / n_k + 1 / S)        n_k = s_k^2 + e |coc_k| S

the mean of the sharp picture given all of them (Wiener 1949; for pairs Zhou, Lin and Nayar 2009).  A pixel is blended from
the two levels beside its depth.  Where depth jumps no level is right and X_q rings.  So the light that a view mixes in from
other depths counts as noise, a share of the texture that grows with its blur, more beside a jump than elsewhere; and what
leaves the range that the sharpest picture has around the pixel is cut.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from dfd.backend import array_module, scipy_module, to_numpy
from dfd.imaging import gaussian
from dfd.refine import fill
from dfd.threads import in_order, worker_count
from dfd.tiles import cut

_STEP, _LEVELS = 0.75, 48
"""Change [px] of the blur of the widest view from one level to the next; more levels than this are not used."""

_RARE = 1e-3
"""Share of the pixels at either end of the depths for which no level is added: they take the nearest."""

_TILE = 512
"""Side [px] of a tile without its border."""

_BORDER, _MOST_BORDER = 24, 256
"""Border [px] of a tile beyond two of the longest blurs, that of a filter and that of its inverse; and at most: of a picture
more blurred than half of it only the slowest waves are used."""

_FILTER_BYTES = 300e6
"""Memory of the filters that are kept; beyond it they are made again."""

_TABLE = 4096
"""Entries of a table of a transfer function: its lobes, one per 4.4 / |coc|, are resolved beyond 1000 px of blur."""

_COLOUR_NOISE = 2.0
"""Variance of a channel of colour per variance of the luminance that View.noise describes (Rec. 709: 1.8)."""

_OVERSHOOT, _NOISE_SIGMAS = 0.25, 3.0
"""How far a restored pixel may leave the range of the sharpest picture around it: shares of that range, where that picture
is blurred by 1 px or more, less below; and deviations of its noise."""


_SLACK = (2e-4, 5e-3)
"""Share of the texture per px of blur that is no picture of its own depth: elsewhere, and beside a jump."""

_JUMP, _BESIDE, _SEAM = 1.0, 17, 2.0
"""Change [px of the widest blur] over a window of so many px that is a jump; std [px] of the transition beside one."""

_GRID, _LEAST_TEXTURE = 64, 0.1
"""Side of the grid of frequencies over which blur is averaged; least share of what a picture shows that is no noise."""


def restore(pictures, views, values, *, workers: int | None = None, progress=None):
    """(H, W, C) float32 all-in-focus image of registered, equally bright pictures and their depth.

    pictures   K >= 2 (H, W, C) float32 linear, 0 = black, 1 = white, NaN = no data: an array (K, H, W, C) or a sequence,
               of which only parts are looked at
    views      K View, each with a lens; their PSFs may be half pupils
    values     (H, W) inverse depth [dioptre], NaN = unknown: taken from the nearest known pixel
    workers    tiles at a time, default all cores;   progress   called with (done, total) pixels
    Depth that is nowhere known leaves the picture of the smallest pupil.  A pixel that no picture covers is 0.
    Raises ValueError for shapes or counts that do not fit, or a view without a lens.
    """
    _check(pictures, views, values)
    xp = array_module(values)
    known = values[xp.isfinite(values)]
    if known.size == 0:
        narrow = min(range(len(views)), key=lambda k: views[k].lens.pupil_diameter)
        return xp.nan_to_num(pictures[narrow]).astype(np.float32)
    levels = _levels(known, max(view.lens.blur_rate for view in views))
    place = xp.clip((fill(values) - levels[0]) / (levels[1] - levels[0]), 0, len(levels) - 1).astype(np.float32)
    job = _Job(pictures, views, levels, place)
    out = xp.empty((*values.shape, pictures[0].shape[2]), np.float32)
    workers, done = worker_count(workers) if xp is np else 1, 0

    def work(piece):
        out[piece] = job.solve(piece)
        return out[piece].shape[0] * out[piece].shape[1]

    if progress is not None:
        progress(0, values.size)
    pieces = [place for _, _, place in cut(values.shape, _TILE, 0)]  # the same whatever the workers: seams show in digits
    for pixels in in_order(work, pieces, workers):
        done += pixels
        if progress is not None:
            progress(done, values.size)
    return out


class _Job:
    """What all tiles share: levels, noise, strength of texture, and the filters of the levels that occur."""

    def __init__(self, pictures, views, levels, place):
        self._pictures, self._views, self._levels, self._place = pictures, views, levels, place
        self._xp = xp = array_module(place)
        cocs = np.array([[view.lens.coc(level) for view in views] for level in levels])
        self._cocs, self._sharp = cocs, np.abs(cocs).argmin(axis=1)
        reach = max(2 * view.psf.reach(coc)
                    for row in cocs for coc, view in zip(row, views, strict=True))
        self._jumps = _jumps(place, (levels[1] - levels[0]) * max(view.lens.blur_rate for view in views))
        self._border = min(2 * math.ceil(reach) + _BORDER, _MOST_BORDER)
        noises = [_channel_variance(view.noise, picture) for view, picture in zip(views, pictures, strict=True)]
        self._noises = np.maximum(noises, 1e-12)
        counts = to_numpy(xp.bincount(xp.rint(place).astype(int).ravel(), minlength=len(levels)))
        self._strength = self._texture(counts)
        fast = scipy_module(place).fft.next_fast_len
        self._size = tuple(fast(min(_TILE, length) + 2 * self._border, real=True) for length in place.shape)
        self._inner = _ramp(xp, self._size[0], self._border)[:, None] * _ramp(xp, self._size[1], self._border)
        self._frequencies = _frequencies(xp, self._size)
        width = 8 if any(view.psf.model.startswith("half") for view in views) else 4
        kept = int(_FILTER_BYTES / (len(views) * self._size[0] * (self._size[1] // 2 + 1) * width))
        self._filters = functools.lru_cache(max(kept, 1))(self._make_filters)

    def solve(self, piece):
        """(h, w, C) restored pixels of a piece, a pair of slices."""
        xp = self._xp
        fft = scipy_module(self._place).fft
        place, jumps, shape = self._place[piece], self._jumps[piece], self._place[piece].shape
        blocks = _covered(xp.stack([self._block(picture, piece) for picture in self._pictures]))
        low = xp.floor(place).astype(int)
        needed = sorted({*to_numpy(xp.unique(low)).tolist(), *to_numpy(xp.unique(xp.ceil(place))).astype(int).tolist()})
        spectra = self._wrapped(blocks, needed[len(needed) // 2])
        inside = (slice(None), *(slice(self._border, self._border + length) for length in shape))
        ranges = self._ranges(blocks, needed, inside)
        total = xp.zeros((blocks.shape[1], *shape), np.float32)
        for level in needed:
            near = xp.maximum(1 - xp.abs(place - np.float32(level)), 0)
            least, most = ranges[self._sharp[level]]
            room = self._room(level, most - least)
            for weight, slack in ((near * (1 - jumps), _SLACK[0]), (near * jumps, _SLACK[1])):
                if bool(weight.any()):
                    spectrum = (self._filters(level, slack)[:, None] * spectra).sum(axis=0)
                    restored = fft.irfft2(spectrum, s=self._size, axes=(1, 2))[inside]
                    total += weight * xp.clip(restored, least - room, most + room)
        return xp.moveaxis(total, 0, -1)

    def _block(self, picture, piece):
        """(C, *size) of a picture around a piece, its border reflected."""
        inside, wide = [], []
        for part, length, size in zip(piece, self._place.shape, self._size, strict=True):
            start, stop = part.start - self._border, part.start - self._border + size
            inside.append(slice(max(start, 0), min(stop, length)))
            wide.append((max(-start, 0), max(stop - length, 0)))
        block = self._xp.pad(picture[tuple(inside)], (*wide, (0, 0)), mode="symmetric")
        return self._xp.moveaxis(block, -1, 0).astype(np.float32, copy=False)

    def _wrapped(self, blocks, level):
        """(K, C, *half spectrum) of blocks whose ends meet as if they had been blurred together."""
        fft = scipy_module(blocks).fft
        otfs = [_otf(view, coc, self._frequencies) for view, coc in zip(self._views, self._cocs[level], strict=True)]
        spectra = fft.rfft2(blocks, axes=(2, 3))
        for spectrum, block, otf in zip(spectra, blocks, otfs, strict=True):
            blurred = fft.irfft2(spectrum * otf, s=self._size, axes=(1, 2))
            spectrum[:] = fft.rfft2(blurred + self._inner * (block - blurred), axes=(1, 2))
        return spectra

    def _ranges(self, blocks, needed, inside):
        """view -> (least, most) (C, h, w) of each picture that is the sharpest at a level, within its blur there."""
        ndimage, ranges = scipy_module(blocks).ndimage, {}
        for view in {int(self._sharp[level]) for level in needed}:
            widest = max(abs(self._cocs[level, view]) for level in needed if self._sharp[level] == view)
            size = (1, *(2 * math.ceil(widest / 2) + 3,) * 2)
            ranges[view] = tuple(extreme(blocks[view], size=size)[inside]
                                 for extreme in (ndimage.minimum_filter, ndimage.maximum_filter))
        return ranges

    def _room(self, level, span):
        """How far restored pixels of a level may leave the range of the sharpest picture."""
        view = self._sharp[level]
        share = _OVERSHOOT * min(abs(self._cocs[level, view]), 1.0)
        return share * span + np.float32(_NOISE_SIGMAS * math.sqrt(self._noises[view]))

    def _make_filters(self, level, slack):
        """(K, *half spectrum): what each picture's transform is multiplied by, and all are summed."""
        xp, cocs = self._xp, self._cocs[level]
        otfs = [_otf(view, coc, self._frequencies) for view, coc in zip(self._views, cocs, strict=True)]
        rarity = xp.maximum(self._frequencies[2], 1e-12) / self._strength
        noises = [noise + slack * abs(coc) / rarity for noise, coc in zip(self._noises, cocs, strict=True)]
        wanted = rarity + sum(abs(otf) ** 2 / noise for otf, noise in zip(otfs, noises, strict=True))
        kind = np.float32 if all(otf.dtype.kind == "f" for otf in otfs) else np.complex64
        return xp.stack([(otf.conj() / (noise * wanted)).astype(kind) for otf, noise in zip(otfs, noises, strict=True)])

    def _texture(self, counts):
        """Strength of the spectrum strength / |w|^2, from the mean squared difference of neighbours in the picture that is
        sharpest most of the time: what its noise and its blur, as often as it occurs, leave of it."""
        xp, sharp = self._xp, int(np.bincount(self._sharp, weights=counts).argmax())
        picture = self._pictures[sharp]
        differences = [float(xp.nanmean(xp.square(xp.diff(picture, axis=axis)))) for axis in (0, 1)]
        noise = 2 * self._noises[sharp] * self._views[sharp].noise.response((1.0, -1.0))
        seen = max(sum(differences) - noise, _LEAST_TEXTURE * sum(differences), 1e-12)
        wy, wx, radial = _frequencies(np, (_GRID, _GRID))
        passed = sum(count * abs(_otf(self._views[sharp], coc, (wy, wx, radial))) ** 2
                     for count, coc in zip(counts, self._cocs[:, sharp], strict=True) if count) / counts.sum()
        slope = (4 * np.sin(wy / 2) ** 2 + 4 * np.sin(wx / 2) ** 2) / np.maximum(radial, 1e-12)
        twice = np.full(_GRID // 2 + 1, 2.0)
        twice[[0, -1]] = 1
        return seen / float((slope * passed * twice).sum() / _GRID**2)


def _levels(known, rate):
    """Inverse depths, evenly spaced, two or more, that cover all known ones but rare extremes."""
    xp = array_module(known)
    low, high = (float(end) for end in xp.quantile(known, xp.asarray([_RARE, 1 - _RARE])))
    count = min(math.ceil(rate * (high - low) / _STEP) + 1, _LEVELS)
    return np.linspace(low, high, count) if count > 1 else np.array([low, low + _STEP / rate])


def _ramp(xp, length, border):
    """(length,) float32: 0 at both ends, 1 from half the border on."""
    rise = xp.clip((xp.arange(length) + 0.5) / (border / 2), 0, 1).astype(np.float32)
    return rise * rise[::-1]


def _jumps(place, step):
    """(H, W) float32 0..1: 1 beside a jump of depth; place [levels], step [px of blur per level]."""
    ndimage = scipy_module(place).ndimage
    span = ndimage.maximum_filter(place, _BESIDE) - ndimage.minimum_filter(place, _BESIDE)
    return gaussian((span * step > _JUMP).astype(np.float32), _SEAM)


def _frequencies(xp, size):
    """(wy, wx, wy^2 + wx^2) float32 of the half spectrum [rad/px], as they broadcast."""
    wy = (2 * math.pi * xp.fft.fftfreq(size[0]))[:, None].astype(np.float32)
    wx = (2 * math.pi * xp.fft.rfftfreq(size[1]))[None].astype(np.float32)
    return wy, wx, wy**2 + wx**2


def _otf(view, coc, frequencies):
    """Transfer function of a view at a blur of `coc` px; what has no direction is looked up in a table."""
    wy, wx, radial = frequencies
    if not view.psf.radial:
        return view.psf.otf(float(coc), wy, wx)
    xp = array_module(radial)
    places = xp.linspace(0, math.sqrt(2) * math.pi, _TABLE)
    return xp.interp(xp.sqrt(radial), places, view.psf.otf(float(coc), xp.zeros(1), places)).astype(np.float32)


def _channel_variance(noise, picture):
    """Variance of a channel at the mean brightness of a picture, as if its noise were white.

    The filter that the noise of `View.noise` went through took its variance down, and that of no picture in colour.
    """
    mean = float(array_module(picture).nanmean(picture))
    whitened = float(noise.variance(np.float64(mean))) / sum(tap**2 for tap in noise.taps) ** 2
    return whitened * (_COLOUR_NOISE if picture.shape[2] > 1 and len(noise.taps) == 1 else 1.0)


def _covered(blocks):
    """(K, C, h, w) without NaN: where a picture has no data, the mean of those that have, 0 where none has."""
    xp = array_module(blocks)
    missing = xp.isnan(blocks)
    if not bool(missing.any()):
        return blocks
    total = xp.where(missing, 0, blocks).sum(axis=0)
    mean = total / xp.maximum((~missing).sum(axis=0), 1)
    return xp.where(missing, mean, blocks).astype(np.float32)


def _check(pictures, views, values):
    """Raises ValueError where the three do not belong together."""
    if len(pictures) < 2 or len(pictures) != len(views):
        raise ValueError(f"{len(pictures)} pictures and {len(views)} views: a restoration needs at least 2 pictures and one "
                         "View for each")
    for index, (picture, view) in enumerate(zip(pictures, views, strict=True)):
        if picture.ndim != 3 or picture.shape[:2] != values.shape or picture.shape[2] != pictures[0].shape[2]:
            raise ValueError(f"picture {index} (shape {tuple(picture.shape)}) must be {tuple(values.shape)} and the "
                             f"{pictures[0].shape[-1]} channels of the first; register them, and save all as grey or as RGB")
        if view.lens is None:
            raise ValueError(f"picture {index} has no lens: undoing blur needs focal length, aperture, focus distance and "
                             "pixel pitch of every picture")
