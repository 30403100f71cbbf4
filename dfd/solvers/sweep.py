"""What K images leave unexplained at a hypothesis of depth: the relative channels of whole frames, ready to be summed.

At inverse depth q image k is the texture through its transfer function h_k(w; q), plus white noise of std s_k.  With
g_k = h_k / s_k and n = g / |g| the channels

    e_k = F^-1[ Y_k - n_k sum_j conj(n_j) Y_j ]        (two images: n_2 Y_1 - n_1 Y_2; Tang et al. 2017 for s_1 = s_2)

hold noise alone at the true depth, whatever the texture (Favaro and Soatto 2005 in the limit of whole frames; Zhou, Lin
and Nayar 2009 without the prior).  Order is everything: frames are filtered whole, then squared, then summed in windows;
a window cut out first leaks texture across its edge, an error 2 to 46 times the noise's.

Every frequency counts by w = sqrt(snr / (1 + snr)), snr the power of the texture over the noise in all frames, a radial mean
of the images' own spectrum: frequencies that are noise alone would add fluctuations without a depth in them.  (The
likelihood with a texture prior has this weight on the explained part; here it does not depend on q, so it cannot bias.)
Low frequencies (brightness that drifts, light veils of things far out of focus) are left out.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module, scipy_module, to_numpy
from dfd.capture import Capture
from dfd.psf import are_halves
from dfd.refine import fill
from dfd.solvers.grid import largest_coc, used_views

HIGH_PASS = 6.0
"""Std [px] of the Gaussian that is taken off every frame."""

_TABLE = 1024
"""Entries of a table of a transfer function over |w|."""

_STEP_PX = 0.25
"""Step [px of coc of the view whose blur grows fastest] over which the slope is taken."""

_SAMPLED_ROWS = 3
"""One row of the spectrum in so many is enough for a mean over the image."""

_RINGS = 48
"""Rings of |w| over which the images' spectrum is averaged."""

_WHITENED = 3.0
"""Noise that a filter made smaller than 1 / this at a frequency is not brought back to white there."""

_DOUBT, _LEAST_SNR = 3.0, 1e-3
"""Standard deviations of a ring's mean that are not taken for texture; least ratio that any ring is given."""

_LEVEL = 4.0
"""Std [px] of the brightness that the noise is computed from."""


def border_of(capture: Capture, labels) -> int:
    """Px by which images are mirrored beyond their borders: the largest blur used reaches halfway across."""
    return math.ceil(largest_coc(capture, labels) / 2) + 8


class Sweep:
    """The spectra of a capture's images, weighted, and what they say at any inverse depth [dioptre].

    labels      inverse depths [dioptre] that the borders must be wide enough for
    high_pass   std [px] of the Gaussian that is taken off every frame
    tolerant    the noise is not all that the channels hold at the true depth: the model's own error may be more
    Channels have unit noise power per pixel: sum over them is chi-square with len(capture) - 1 degrees.
    """

    high_pass, tolerant = HIGH_PASS, False

    def __init__(self, capture: Capture, labels):
        xp = array_module(capture.images)
        self.capture, self.shape = capture, capture.shape
        border = border_of(capture, labels)
        fast = scipy_module(capture.images).fft.next_fast_len
        self._size = tuple(fast(length + 2 * border) for length in self.shape)
        self._offset = tuple((size - length) // 2 for size, length in zip(self._size, self.shape, strict=True))
        wy = 2 * math.pi * xp.fft.fftfreq(self._size[0])[:, None].astype(np.float32)
        wx = 2 * math.pi * xp.fft.rfftfreq(self._size[1])[None].astype(np.float32)
        self._wy, self._wx, self._radius = wy, wx, xp.sqrt(wy**2 + wx**2)
        self._at = self._radius * np.float32((_TABLE - 2) / (math.pi * math.sqrt(2)))
        self._twice = xp.full(self._radius.shape, np.float32(2))  # columns that stand for themselves and their mirror
        self._twice[:, 0] = 1
        if self._size[1] % 2 == 0:
            self._twice[:, -1] = 1
        self._twice /= self._size[0] * self._size[1]
        self._prepare()

    def _prepare(self):
        xp, capture = array_module(self._radius), self.capture
        self.missing = ~xp.isfinite(capture.images)
        known = xp.where(self.missing, xp.float32(np.nan), capture.images)
        count = xp.maximum(xp.sum(~self.missing, axis=(1, 2)), 1)
        level = xp.sum(xp.where(self.missing, 0, capture.images), axis=(1, 2)) / count
        self._std = [_white_std(view.noise, float(mean)) for view, mean in zip(capture.views, to_numpy(level), strict=True)]
        images = [xp.nan_to_num(fill(image)) for image in known]  # a view without any data counts as black
        self._noise_ratio = self._local_noise(images)
        spectra = xp.stack([self._spectrum(image / np.float32(std)) for image, std in zip(images, self._std, strict=True)])
        self._passed = passed = self._passed_by(capture.views[0].noise.taps)
        weight = xp.minimum(1 / xp.maximum(xp.abs(passed), 1e-6), _WHITENED) * xp.minimum(xp.abs(passed) * _WHITENED, 1)
        weight = weight * (1 - xp.exp(-0.5 * (self._radius * self.high_pass) ** 2))
        snr = self._snr(spectra, passed)
        weight = weight * xp.sqrt(snr / (1 + snr))
        self._noise = (weight * passed) ** 2
        power = float(xp.sum(self._noise * self._twice))
        self._noise = self._noise / max(power, 1e-30)
        self._spectra = (spectra * (weight / math.sqrt(max(power, 1e-30)))).astype(np.complex64)
        correlation = scipy_module(weight).fft.irfft2(self._noise, self._size)
        self.correlation = float(xp.sum(correlation**2) / max(float(correlation[0, 0]) ** 2, 1e-30))

    def residuals(self, labels):
        """Yield for every label (found, level), (H, W) float32 and the same or 0: the sum over the channels of e^2, over
        the local noise, and what is to be added to it to go on from the label before.

        Views that are too blurred at a label are not used there.  Where the views used change, the level does: a step in the
        curve would pull depth towards the labels that more views explain.
        """
        used, level = None, np.float32(0)
        for label in labels:
            now = used_views(self.capture, float(label))
            found = self._residual(float(label), now)
            if used is not None and now != used:
                level = level + self._residual(float(label), used) - found
            used = now
            yield found, level

    def _residual(self, inverse_depth, used):
        from dfd.kernels.channels import channels

        total = 0.0
        for channel in channels(self._of(used), self._transfers(used, inverse_depth)):
            total = total + self._back(channel) ** 2
        return total / self._noise_ratio

    def expected(self, inverse_depth: float) -> float:
        """What `residuals` are on average, per pixel, at the true depth of a surface that the model describes."""
        return len(used_views(self.capture, inverse_depth)) - 1.0

    def slope(self, inverse_depth: float):
        """((H, W) float32 sum over the channels of (de/dq)^2 [1/dioptre^2], the part of its mean that noise makes)."""
        from dfd.kernels.channels import slopes

        used = used_views(self.capture, inverse_depth)
        step = _STEP_PX / max(view.lens.blur_rate for view in self.capture.views)
        parts, power = slopes(self._of(used), self._transfers(used, inverse_depth, step))
        total = 0.0
        for part in parts:
            total = total + self._back(part) ** 2
        return total / self._noise_ratio, float(array_module(power).sum(power * self._noise * self._twice))

    def gaps(self, labels):
        """(L - 1,) float64, NumPy: how much the channels change from a label to the next, root of the mean square over the
        image without the noise's part.

        A curve of residuals is a parabola in the sum of these, not in dioptres: blur changes the sharpest image little near
        its focus and much beside it.
        """
        from dfd.kernels.channels import slopes

        xp, found = array_module(self._radius), []
        rows = slice(None, None, _SAMPLED_ROWS)
        twice, noise = self._twice[rows] * _SAMPLED_ROWS, self._noise[rows]
        for low, high in itertools.pairwise(float(label) for label in labels):
            used = used_views(self.capture, (low + high) / 2)
            transfers = self._transfers(used, (low + high) / 2, high - low, rows)
            parts, power = slopes(xp.ascontiguousarray(self._of(used)[:, rows]), transfers)
            seen = xp.sum(xp.sum(xp.abs(parts) ** 2, axis=0) * twice) / (self._size[0] * self._size[1])
            found.append((seen - xp.sum(power * noise * twice)) * (high - low) ** 2)
        return np.sqrt(np.maximum(to_numpy(xp.stack(found)).astype(float), 0))

    def least_blur(self, inverse_depth):
        """|coc| [px] of the sharpest view at inverse depths [dioptre]."""
        least = abs(self.capture.views[0].lens.coc(inverse_depth))
        for view in self.capture.views[1:]:
            least = array_module(least).minimum(least, abs(view.lens.coc(inverse_depth)))
        return least

    def _of(self, used):
        return self._spectra if len(used) == len(self._spectra) else self._spectra[used]

    def _transfers(self, used, inverse_depth, step=None, rows=slice(None)):
        """Transfer functions over noise of the views used, at a hypothesis and, with a step, half of it below and above."""
        from dfd.kernels.channels import Radial, Sampled

        places = [inverse_depth] if step is None else [inverse_depth + share * step for share in (-0.5, 0.0, 0.5)]
        views = [self.capture.views[index] for index in used]
        if all(view.psf.radial for view in views):
            grid = np.linspace(0, math.pi * math.sqrt(2) * (_TABLE - 1) / (_TABLE - 2), _TABLE)
            tables = [[view.psf.otf(float(view.lens.coc(place)), grid, 0 * grid) / self._std[index]
                       for index, view in zip(used, views, strict=True)] for place in places]
            return Radial(self._at[rows], tables, step)
        xp = array_module(self._radius)
        values = [[otf / self._std[index] for index, otf in zip(used, self._otfs(views, place, rows), strict=True)]
                  for place in places]
        return Sampled(xp.stack([xp.stack(row) for row in values]).astype(np.complex64), step)

    def _otfs(self, views, place, rows):
        """Transfer functions of the views at a hypothesis; those of the two halves of one pupil are conjugates."""
        cocs, found = [float(view.lens.coc(place)) for view in views], []
        for view, coc in zip(views, cocs, strict=True):
            if len(found) == 1 and coc == cocs[0] and are_halves(views[0].psf, view.psf):
                found.append(array_module(found[0]).conj(found[0]))
            else:
                found.append(self._otf(view, coc, rows))
        return found

    def _otf(self, view, coc, rows):
        return view.psf.otf(coc, self._wy[rows], self._wx)

    def _spectrum(self, image):
        """Spectrum of an image with mirrored borders, without its mean."""
        xp = array_module(image)
        pads = [(start, size - length - start) for start, size, length in
                zip(self._offset, self._size, self.shape, strict=True)]
        spectrum = scipy_module(image).fft.rfft2(xp.pad(image - image.mean(), pads, mode="symmetric"))
        spectrum[0, 0] = 0
        return spectrum

    def _back(self, spectrum):
        (top, left), (height, width) = self._offset, self.shape
        return scipy_module(spectrum).fft.irfft2(spectrum, self._size)[top:top + height, left:left + width]

    def _local_noise(self, images):
        """(H, W) float32 variance of the noise over that at the mean brightness, mean of the views."""
        xp = array_module(self._radius)
        bright = imaging.gaussian(sum(images) / np.float32(len(images)), _LEVEL)
        ratio = sum(view.noise.variance(bright) / np.float32(_variance(std, view.noise))
                    for view, std in zip(self.capture.views, self._std, strict=True)) / len(images)
        return xp.maximum(ratio, 1e-3).astype(np.float32)

    def _passed_by(self, taps):
        """Response of the separable filter that the noise went through."""
        xp, middle = array_module(self._radius), (len(taps) - 1) / 2
        along = [sum(tap * xp.cos((place - middle) * w) for place, tap in enumerate(taps)) for w in (self._wy, self._wx)]
        return along[0] * along[1]

    def _snr(self, spectra, passed):
        """(h, w) power of the texture in all frames over the noise's, the mean over a ring of |w|."""
        xp = array_module(spectra)
        power = xp.sum(xp.abs(spectra) ** 2, axis=0) / (self._size[0] * self._size[1])
        ring = (self._radius * (_RINGS / (math.pi * 1.5))).astype(np.int32)
        count = xp.maximum(xp.bincount(ring.ravel(), self._twice.ravel()), 1e-30)
        signal = xp.bincount(ring.ravel(), (power * self._twice).ravel()) / count
        noise = xp.bincount(ring.ravel(), (passed**2 * self._twice).ravel()) / count
        doubt = _DOUBT * xp.sqrt(len(spectra) / xp.maximum(count * (self._size[0] * self._size[1]), 1))
        snr = signal / xp.maximum(noise, 1e-6) - len(spectra) - doubt
        return xp.maximum(snr, _LEAST_SNR)[ring].astype(np.float32)


def _white_std(noise, level):
    """Std of the white noise that became this one by passing its taps, at a brightness."""
    variance = float(noise.variance(np.float64(level)))
    return max(math.sqrt(variance) / sum(tap**2 for tap in noise.taps), 1e-7)


def _variance(std, noise):
    return (std * sum(tap**2 for tap in noise.taps)) ** 2
