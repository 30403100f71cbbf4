"""A multiplane image seen by both views of a pair: layers blurred tile by tile, the whole loss, and its gradient.

The scene reaches beyond the picture by half the largest blur, so that what the border shows of it needs no guess.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from dfd.backend import array_module, scipy_module
from dfd.fieldpsf import FieldPsf
from dfd.measured import MeasuredPsf
from dfd.refine import fill
from dfd.solvers import multiplane_losses as losses

PRIOR = 5e-3
"""Noise over texture, both as power, below which a frequency is not restored."""

WEIGHTS = {"data": 2.5e4, "sharp": 30.0, "opacity": 1.5e4, "entropy": 20.0}
"""Xin et al. 2021; the opacity's counts times (layers / 12)^2."""

MOST_TILE_PX = 256
"""Side of the tiles of a picture whose PSFs are everywhere the same."""


class Scene:
    """The views of a pair (lenses known, images scaled), what planes of inverse depth look like in them.

    capture   DualPixelPair, each view with its lens;   planes   (L,) ascending inverse depths;   level   of the images
    Pixels without data are filled from beside them for the start, and count nothing in the loss.
    """

    def __init__(self, capture, planes, level: float):
        xp = array_module(capture.images)
        self.planes, self.shape = np.asarray(planes, float), capture.shape
        finite = xp.isfinite(capture.images)
        self.images = xp.nan_to_num(xp.stack([fill(xp.where(known, image, xp.float32(np.nan)))
                                              for image, known in zip(capture.images, finite, strict=True)])) / level
        self.known = finite.astype(self.images.dtype)
        cocs = [[float(view.lens.coc(plane)) for plane in self.planes] for view in capture.views]
        self.border = math.ceil(0.75 * float(np.abs(cocs).max())) + 4
        variances = [float(view.noise.variance(np.float64(level / 2))) / level**2 for view in capture.views]
        self.tiles = [self._tile(capture, part, cocs, variances) for part in _parts(capture)]

    @property
    def canvas(self) -> tuple[int, int]:
        """(h, w) px of the scene, the picture and its border."""
        return tuple(length + 2 * self.border for length in self.shape)

    def _tile(self, capture, part, cocs, variances):
        """(place of a part, its OTFs (V, L, h, w), its bias (V, L), size of its transforms)."""
        xp = array_module(self.images)
        fast = scipy_module(self.images).fft.next_fast_len
        size = tuple(fast(piece.stop - piece.start + 2 * self.border, True) for piece in part)
        wy, wx = (2 * math.pi * w.astype(self.images.dtype) for w in (xp.fft.fftfreq(size[0]), xp.fft.rfftfreq(size[1])))
        y, x = ((piece.start + piece.stop - 1) / 2 for piece in part)
        otfs = []
        for view, own in zip(capture.views, cocs, strict=True):
            psf, box = view.psf, 1
            if isinstance(psf, FieldPsf):
                psf = psf.at(y, x)
            if not isinstance(psf, MeasuredPsf):
                box = xp.sinc(wy[:, None] / (2 * math.pi)) * xp.sinc(wx[None] / (2 * math.pi))
            otfs.append(xp.stack([psf.otf(coc, wy[:, None], wx[None]) * box for coc in own]))
        otfs = xp.stack(otfs).astype(np.result_type(self.images.dtype, np.complex64))
        twice = xp.full(size[1] // 2 + 1, 2.0)
        twice[0] = 1
        bias = [[losses.noise_bias(otfs[:, layer], variance, PRIOR, twice) for layer in range(len(self.planes))]
                for variance in variances]
        return part, otfs, xp.asarray(np.array(bias), dtype=self.images.dtype), size

    def data(self, colour, opacity):
        """(mean loss per pixel and view, gradient by colour, by opacity) of layers (L, *canvas)."""
        xp, border = array_module(colour), self.border
        layers = xp.stack([colour * opacity, opacity, colour], axis=1)
        total, whole = 0.0, xp.zeros_like(layers)
        for (rows, columns), otfs, bias, size in self.tiles:
            height, width = rows.stop - rows.start, columns.stop - columns.start
            outer = np.s_[..., rows.start:rows.stop + 2 * border, columns.start:columns.stop + 2 * border]
            spectra = _forward(layers[outer], size)
            blurred = _backward(spectra[None] * otfs[:, :, None], size)[..., border:border + height, border:border + width]
            value, slope = losses.data(blurred, self.images[:, rows, columns], bias, self.known[:, rows, columns])
            total += value
            spread = xp.zeros((*slope.shape[:3], height + 2 * border, width + 2 * border), dtype=slope.dtype)
            spread[..., border:border + height, border:border + width] = slope
            back = xp.sum(_forward(spread, size) * xp.conj(otfs)[:, :, None], axis=0)
            whole[outer] += _backward(back, size)[..., :height + 2 * border, :width + 2 * border]
        scale = 1 / self.images.size
        by_colour = (whole[:, 0] * opacity + whole[:, 2]) * scale
        return total * scale, by_colour, (whole[:, 0] * colour + whole[:, 1]) * scale

    def loss(self, colour, logits):
        """(loss, gradient by colour (L, *canvas), by logits (L - 1, *canvas)) of a scene."""
        opacity = opacities(logits)
        visibility = losses.visible(opacity)
        share = visibility * opacity
        value, by_colour, by_opacity = self.data(colour, opacity)
        value, by_colour, by_opacity = (WEIGHTS["data"] * part for part in (value, by_colour, by_opacity))
        layers = len(colour)
        sharp = (share * colour).sum(axis=0)
        smooth, by_sharp = losses.smoothness(sharp)
        each, by_each = losses.smoothness(colour)
        by_colour += WEIGHTS["sharp"] * (share * by_sharp + by_each)
        weight = WEIGHTS["opacity"] * (layers / 12) ** 2
        of_share, by_share = losses.root_smoothness(share)
        of_opacity, own = losses.root_smoothness(opacity[1:])
        spread, by_spread = losses.entropy(share)
        mixed, by_mixed = losses.entropy(opacity[1:]) if layers > 2 else (0.0, 0.0)
        by_share = WEIGHTS["sharp"] * by_sharp * colour + weight * by_share + WEIGHTS["entropy"] * by_spread
        by_opacity[1:] += weight * own + WEIGHTS["entropy"] * by_mixed
        by_opacity = losses.opacity_gradient(by_share * opacity, by_opacity + by_share * visibility, visibility, opacity)
        value += WEIGHTS["sharp"] * (smooth + each) + WEIGHTS["entropy"] * (spread + mixed)
        value += weight * (of_share + of_opacity)
        return value, by_colour, by_opacity[1:] * opacity[1:] * (1 - opacity[1:])

    def restored(self):
        """(L, *canvas) what the scene would be were all of it on one plane: both views deconvolved together."""
        xp, border = array_module(self.images), self.border
        around = xp.pad(self.images, ((0, 0), (border, border), (border, border)), mode="edge")
        found = xp.empty((len(self.planes), *self.shape), dtype=self.images.dtype)
        for (rows, columns), otfs, _, size in self.tiles:
            patch = around[:, rows.start:rows.stop + 2 * border, columns.start:columns.stop + 2 * border]
            mean = patch.mean()
            over = [(0, length - have) for length, have in zip(size, patch.shape[1:], strict=True)]
            spectra = _forward(xp.pad(patch - mean, ((0, 0), *over), mode="edge"), size)
            power = xp.sum(xp.abs(otfs) ** 2, axis=0) + PRIOR
            sharp = _backward(xp.sum(xp.conj(otfs) * spectra[:, None], axis=0) / power, size) + mean
            found[:, rows, columns] = sharp[:, border:border + rows.stop - rows.start,
                                            border:border + columns.stop - columns.start]
        return xp.pad(found, ((0, 0), (border, border), (border, border)), mode="edge")


def opacities(logits):
    """(L, h, w) opacities: the farthest layer is opaque, the others sigmoids."""
    xp = array_module(logits)
    return xp.concatenate([xp.ones_like(logits[:1]), 1 / (1 + xp.exp(-logits))])


def shares(logits):
    """(L, h, w) share of every layer in what is seen; they add up to 1."""
    opacity = opacities(logits)
    return losses.visible(opacity) * opacity


def _parts(capture):
    psf = capture.views[0].psf
    if isinstance(psf, FieldPsf):
        return psf.parts(capture.shape)
    rows, columns = (_even(length) for length in capture.shape)
    return [(row, column) for row in rows for column in columns]


def _even(length):
    count = math.ceil(length / MOST_TILE_PX)
    ends = [round(length * k / count) for k in range(count + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(ends)]


def _forward(images, size):
    return scipy_module(images).fft.rfft2(images, size)


def _backward(spectra, size):
    return scipy_module(spectra).fft.irfft2(spectra, size)
