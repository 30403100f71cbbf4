"""What a multiplane image must satisfy: losses of layers of colour and opacity, each with its gradient (Xin et al. 2021).

Layers stand in order, the farthest first; the farthest is opaque.  Of opacities a the visibility and the share of a layer

    v_l = prod_{j > l} (1 - a_j)        t_l = v_l a_l        sum_l t_l = 1

Images are scaled to mean 1/2.  Every function gives (value, gradient), the gradient in the shape of what it is taken by;
arrays of any float type, NumPy or CuPy.
"""

from __future__ import annotations

import math

from dfd.backend import array_module

GAMMA = 0.1
"""Residual at which the robust loss turns from a square into an amount."""

EDGE = 1 / 32
"""Contrast beyond which a step counts as an edge, whose smoothing costs half."""

_LEAST = 1e-6
"""Least share under a square root."""


def robust(square):
    """(rho, its derivative) of squared residuals: sqrt(x^2 / GAMMA^2 + 1) - 1; noise may make them slightly negative."""
    xp = array_module(square)
    root = xp.sqrt(xp.maximum(square / GAMMA**2 + 1, 0.25))
    return root - 1, xp.where(square / GAMMA**2 + 1 > 0.25, 0.5 / (GAMMA**2 * root), 0)


def visible(opacity):
    """(L, ...) visibility of every layer behind those in front of it."""
    xp = array_module(opacity)
    found = xp.ones_like(opacity)
    for layer in range(len(opacity) - 2, -1, -1):
        found[layer] = found[layer + 1] * (1 - opacity[layer + 1])
    return found


def opacity_gradient(by_visibility, by_opacity, visibility, opacity):
    """Total gradient by opacity, where v depends on the opacities in front: both partial ones given as (L, ...)."""
    xp = array_module(opacity)
    total, behind = xp.empty_like(opacity), xp.zeros_like(opacity[0])
    for layer in range(len(opacity)):
        total[layer] = by_opacity[layer] - visibility[layer] * behind
        behind = by_visibility[layer] + (1 - opacity[layer]) * behind
    return total


def data(blurred, images, bias, known):
    """Loss per pixel, summed, of blurred layers against the views: the composite, and every layer alone by its share.

    blurred   (V, L, 3, h, w) layers blurred for each view: colour times opacity, opacity, colour
    images    (V, h, w);   known   (V, h, w) weights, 0 where an image has no data
    bias      (V, L) what is taken off the squared residual of a layer for noise, see `noise_bias`
    """
    xp = array_module(blurred)
    value, gradient = 0.0, xp.empty_like(blurred)
    for view, (layers, image, weight) in enumerate(zip(blurred, images, known, strict=True)):
        premultiplied, opacity, colour = layers[:, 0], layers[:, 1], layers[:, 2]
        visibility, added = visible(opacity), bias[view].reshape(-1, 1, 1)
        share = visibility * opacity
        residual = xp.sum(visibility * premultiplied, axis=0) - image
        loss, slope = (weight * part for part in robust(residual**2 - xp.sum(share * added, axis=0)))
        alone, slope_alone = (weight * part for part in robust((colour - image) ** 2 - added))
        value += float(xp.sum(loss)) + float(xp.sum(share * alone))
        by_image, by_share = 2 * residual * slope, alone - slope * added
        gradient[view, :, 0] = by_image * visibility
        gradient[view, :, 1] = opacity_gradient(by_image * premultiplied + by_share * opacity, by_share * visibility,
                                                visibility, opacity)
        gradient[view, :, 2] = share * slope_alone * 2 * (colour - image)
    return value, gradient


def noise_bias(otfs, variance: float, prior: float, twice):
    """What Xin et al. take off a pixel's squared residual where a texture is fitted through transfer functions (V, h, w).

    2 variance mean C / (K + C), K = sum_v |h_v|^2: sharp layers fit noise better than blurred ones, which must not count.
    It is what noise adds to the energy (residual and prior); to the residual alone it adds the mean of (C / (K + C))^2.
    twice   (w,) columns of a half spectrum: 2 for those that stand for their mirror image too
    """
    xp = array_module(otfs)
    power = xp.sum(xp.abs(otfs) ** 2, axis=0)
    return 2 * variance * float(xp.sum(prior / (power + prior) * twice) / (power.shape[0] * xp.sum(twice)))


def smoothness(image):
    """Mean of the robust local variance of an image (..., h, w), twice where there is no edge."""
    xp = array_module(image)
    mean = _blur(image)
    variance = xp.maximum((_blur(image**2) - mean**2)[..., 1:-1, 1:-1], 0)
    amount, slope = robust(variance)
    calm = xp.exp(-variance / (2 * EDGE**2))
    count = variance.size
    weight = xp.zeros_like(image)
    weight[..., 1:-1, 1:-1] = (slope * (1 + calm) - amount * calm / (2 * EDGE**2)) / count
    return float(xp.sum(amount * (1 + calm))) / count, 2 * image * _blur(weight) - 2 * _blur(mean * weight)


def root_smoothness(share):
    """`smoothness` of the square root of shares or opacities."""
    xp = array_module(share)
    root = xp.sqrt(share + _LEAST)
    value, gradient = smoothness(root)
    return value, gradient / (2 * root)


def entropy(share):
    """Mean over pixels of the collision entropy of sqrt(share) over the layers, over its most: 0 = one layer, 1 = all."""
    xp = array_module(share)
    root = xp.sqrt(share + _LEAST)
    square, total = xp.sum(root**2, axis=0), xp.sum(root, axis=0)
    scale = 1 / (math.log(len(share)) * square.size)
    return float(xp.sum(2 * xp.log(total) - xp.log(square))) * scale, scale * (1 / (root * total) - 1 / square)


def _blur(image):
    """The outer product of (1, 2, 1) / 4 with itself, zero beyond the border: its own transpose."""
    for axis in (-1, -2):
        moved = array_module(image).swapaxes(image, axis, -1)
        summed = 0.5 * moved
        summed[..., 1:] += 0.25 * moved[..., :-1]
        summed[..., :-1] += 0.25 * moved[..., 1:]
        image = array_module(image).swapaxes(summed, axis, -1)
    return image
