"""Light fields of one textured plane, shifted exactly, and the camera that takes them."""

import numpy as np
from scipy.ndimage import gaussian_filter

from dfd import LightField, ViewCamera

BOXES = ViewCamera(0.006, 0.1, 0.035 / 512, 1 / 1.15)
"""The `boxes` scene of the HCI 4D benchmark."""


def texture(shape, rng, blur=0.7):
    """(H, W) periodic random texture about 0.5, blurred by a sampled Gaussian of std `blur` px; its spectrum."""
    image = gaussian_filter(rng.standard_normal(shape), blur, mode="wrap")
    image *= 0.1 / image.std()
    wy, wx = (2 * np.pi * np.fft.fftfreq(size) for size in shape)
    return 0.5 + image, np.fft.fft2(image - image.mean()), wy, wx


def plane(disparity, count, *, shape=(96, 130), spacing=1.0, camera=BOXES, seed=5, blur=0.7):
    """A LightField of count x count views of a textured plane, shifted exactly (Fourier), and its texture's spectrum."""
    _, spectrum, wy, wx = texture(shape, np.random.default_rng(seed), blur)
    steps = (np.arange(count) - count // 2) * spacing
    v, u = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    views = [0.5 + np.fft.ifft2(spectrum * np.exp(1j * disparity * (wy[:, None] * y + wx * x))).real
             for y, x in zip(v, u, strict=True)]
    views = np.stack(views).astype(np.float32)[..., None]
    known = np.full(shape, disparity, np.float32)
    return LightField(views, u, v, camera, spacing, known), (spectrum, wy, wx)
