"""How sharp is each pixel of each frame: the modified Laplacian at several scales, free of what noise adds to it.

Nayar and Nakagawa, "Shape from focus", 1994, eq. 4 to 6: |second difference in x| + |in y|, summed over a window.
"""

from __future__ import annotations

import math

import numpy as np

from dfd import imaging
from dfd.backend import array_module

SCALES = ((0.0, 1, 7), (1.0, 2, 9), (2.0, 3, 13))
"""Std of the Gaussian [px], spacing of the second difference [px], window [px], fine to coarse."""

REACH = 17
"""Pixels around a pixel that its sharpness depends on: 8 of the widest Gaussian, 3 of the difference, 6 of the window."""

_LEAST_SHARE = 0.3
"""Share of a window that must hold data."""

_BAND_ROWS, _BAND_PIXELS = 16, 2**18
"""Least rows of a band, whose halo is measured twice; most pixels, so that its planes stay in the cache."""

_BAND_PLANES = 60
"""Bytes per pixel of a band beside its curves: planes of the loop, noise, a copy of its frame, what its peaks give."""


def sharpness(image, scale):
    """(H, W) modified Laplacian of one image at a row of SCALES, mean over its window; NaN where the image is.

    Filters take what data there is: beside a hole they are one-sided, as they are at the border of the image.
    """
    xp = array_module(image)
    std, step, window = scale
    known = xp.isfinite(image)
    whole = bool(known.all())
    smooth = image if std == 0 else _mean_of_known(image, known, whole, lambda part: imaging.gaussian(part, std))
    detail = imaging.modified_laplacian(smooth, step)
    mean = _mean_of_known(detail, xp.isfinite(detail), whole, lambda part: imaging.box_mean(part, window))
    return mean if whole else xp.where(known, mean, xp.float32(np.nan))


def _mean_of_known(values, known, whole, average):
    """A local average over what is known; plain where everything is."""
    if whole:
        return average(values)
    xp = array_module(values)
    share = average(known.astype(np.float32))
    mean = average(xp.where(known, values, xp.float32(0))) / xp.maximum(share, np.float32(1e-6))
    return xp.where(share > _LEAST_SHARE, mean, xp.float32(np.nan))


def band_rows(frames: int, shape: tuple[int, int], room: float) -> int:
    """Rows of a band of curves that fits `room` bytes with its halo; a few rows where none does."""
    height, width = shape
    fitting = int(room / (_band_pixel(frames) * width)) - 2 * REACH
    return min(max(min(fitting, _BAND_PIXELS // width), _BAND_ROWS), height)


def band_bytes(frames: int, shape: tuple[int, int], rows: int) -> int:
    """Bytes that a band of so many rows takes while it is measured."""
    return min(rows + 2 * REACH, shape[0]) * shape[1] * _band_pixel(frames)


def _band_pixel(frames):
    return 4 * len(SCALES) * frames + _BAND_PLANES


def sharpness_in_bands(capture, order, *, room: float):
    """Yield (rows, volumes, deviations): `sharpness_curves` of all SCALES by the fused loop, a band of rows at a time.

    room   bytes that a band may take
    Only one band of the curves exists at any time, once the caller has let the last one go, and its planes fit the cache.
    """
    from dfd.kernels.sharpness import measure_frames

    noises = [capture.views[index].noise for index in order]
    variances = np.array([(1 / noise.gain, (noise.read_noise / noise.gain) ** 2) for noise in noises])
    responses = np.array([[(response, math.sqrt(2 / independent)) for response, independent in
                           (_noise_response(noise, scale) for scale in SCALES)] for noise in noises])
    scales = [(gaussian_taps(std), step, window) for std, step, window in SCALES]
    height = capture.shape[0]
    rows = band_rows(len(order), capture.shape, room)
    starts = range(0, height, rows)

    def measured(start, stop):
        top = max(start - REACH, 0)
        images = capture.images[:, top:stop + REACH]
        volumes, deviations = measure_frames(images, order, variances, scales, responses, _LEAST_SHARE, REACH)
        inner = slice(start - top, stop - top)
        return slice(start, stop), volumes[:, :, inner], deviations[:, inner]

    for start in starts:
        yield measured(start, min(start + rows, height))  # kept by no name here while the next one is measured


def sharpness_curves(capture, order, scale):
    """Sharpness of every frame at a row of SCALES, (K, H, W), and its standard deviation under noise, (H, W).

    In whole-array operations, for NumPy and CuPy: the reference of the fused loop, and the path of the GPU.
    """
    xp = array_module(capture.images)
    volume, deviation = xp.empty(capture.images.shape, dtype=np.float32), 0.0
    for place, index in enumerate(order):
        image, noise = capture.images[index], capture.views[index].noise
        response, independent = _noise_response(noise, scale)
        level = _brightness(image)
        std = xp.sqrt(noise.variance(level) * response)
        # two folded normal variables of std s add 2 s sqrt(2/pi) where there is no texture, and nothing where it is strong
        floor = 2 * math.sqrt(2 / math.pi) * std
        volume[place] = xp.sqrt(xp.maximum(sharpness(image, scale) ** 2 - floor**2, 0))
        deviation = deviation + std * (math.sqrt(2 / independent) / len(order))
    return volume, deviation


def _brightness(image):
    """(H, W) local mean of what is known of an image, 0 where nothing is."""
    xp = array_module(image)
    known = xp.isfinite(image)
    share = imaging.box_mean(known.astype(np.float32), SCALES[1][2])
    mean = imaging.box_mean(xp.where(known, image, xp.float32(0)), SCALES[1][2])
    return xp.where(share > 1e-6, mean / xp.maximum(share, np.float32(1e-6)), xp.float32(0))


def gaussian_taps(std):
    """Weights of a Gaussian cut at 4 std, sum 1; (1,) for std 0."""
    axis = np.arange(-math.ceil(4 * std), math.ceil(4 * std) + 1)
    taps = np.exp(-0.5 * (axis / std) ** 2) if std > 0 else np.ones(1)
    return taps / taps.sum()


def _noise_response(noise, scale):
    """Variance of one second difference per variance of a pixel, and independent samples in the window."""
    std, step, window = scale
    smooth = gaussian_taps(std)
    second = np.zeros(2 * step + 1)
    second[[0, step, 2 * step]] = -1, 2, -1
    along, across = np.convolve(smooth, second), smooth
    response = noise.response(along) * noise.response(across)
    area = noise.correlation_length(along) * noise.correlation_length(across)
    return response, max(window**2 / max(area, 1.0), 1.0)
