"""How sharp is each pixel of each frame: the modified Laplacian at several scales, free of what noise adds to it.

Nayar and Nakagawa, "Shape from focus", 1994, eq. 4 to 6: |second difference in x| + |in y|, summed over a window.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dfd import imaging
from dfd.backend import array_module

SCALES = ((0.0, 1, 7), (1.0, 2, 9), (2.0, 3, 13))
"""Std of the Gaussian [px], spacing of the second difference [px], window [px], fine to coarse."""

_LEAST_SHARE = 0.3
"""Share of a window that must hold data."""


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


def sharpness_curves(capture, order, scale, report):
    """Sharpness of every frame, (K, H, W), and its standard deviation under noise, (H, W)."""
    xp = array_module(capture.images)
    volume = xp.empty(capture.images.shape, dtype=np.float32)

    def measure(place):
        image, noise = capture.images[order[place]], capture.views[order[place]].noise
        response, independent = _noise_response(noise, scale)
        level = imaging.box_mean(xp.nan_to_num(image), scale[2])
        std = xp.sqrt(noise.variance(level) * response)
        # two folded normal variables of std s add 2 s sqrt(2/pi) where there is no texture, and nothing where it is strong
        floor = 2 * math.sqrt(2 / math.pi) * std
        volume[place] = xp.sqrt(xp.maximum(sharpness(image, scale) ** 2 - floor**2, 0))
        return std * math.sqrt(2 / independent)

    deviation = 0.0
    for std in _mapped(measure, range(len(order)), xp):
        deviation = deviation + std / len(order)
        report()
    return volume, deviation


def _mapped(function, items, xp):
    """`map` in threads on the CPU, where the array kernels release the lock; in turn on a GPU."""
    if xp is not np:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from pool.map(function, items)


def _noise_response(noise, scale):
    """Variance of one second difference per variance of a pixel, and independent samples in the window."""
    std, step, window = scale
    reach = math.ceil(4 * std)
    axis = np.arange(-reach, reach + 1)
    smooth = np.exp(-0.5 * (axis / std) ** 2) if std > 0 else np.ones(1)
    smooth = smooth / smooth.sum()
    second = np.zeros(2 * step + 1)
    second[[0, step, 2 * step]] = -1, 2, -1
    along, across = np.convolve(smooth, second), smooth
    response = noise.response(along) * noise.response(across)
    area = noise.correlation_length(along) * noise.correlation_length(across)
    return response, max(window**2 / max(area, 1.0), 1.0)
