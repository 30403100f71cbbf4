"""Natural-looking, seeded, periodic albedo textures and their binomial pyramids.

The mixture follows what natural images are made of: 1/f noise, opaque leaves of every size (dead leaves model, Lee,
Mumford and Huang 2001) and a little fine grain near the resolution limit.
"""

from __future__ import annotations

import numpy as np

LEVELS = 7
"""Pyramid levels; sizes are multiples of 2**(LEVELS - 1)."""

MULTIPLE = 2 ** (LEVELS - 1)


def natural_texture(shape, rng, *, mean=0.45, contrast=0.18, colour=0.3) -> np.ndarray:
    """(H, W, 3) float32 albedo within 0.02..0.98, periodic, std about `contrast`; H and W multiples of MULTIPLE.

    colour   weight of the differences between channels against the common pattern
    """
    grey = 0.55 * _pink(shape, rng) + 0.35 * _grain(shape, rng)
    leaves = _leaves(shape, rng, colour)
    chroma = np.stack([_pink(shape, rng) for _ in range(3)], axis=2)
    chroma -= chroma.mean(axis=2, keepdims=True)
    pattern = grey[..., None] + leaves + 0.5 * colour * chroma
    pattern -= pattern.mean(axis=(0, 1))
    pattern *= contrast / pattern.std()
    low, high = mean - 0.02, 0.98 - mean
    return (mean + np.where(pattern < 0, low * np.tanh(pattern / low), high * np.tanh(pattern / high))
            ).astype(np.float32)


def flat_texture(shape, *, mean=0.45) -> np.ndarray:
    """(H, W, 3) float32 of one neutral albedo: nothing to focus on."""
    return np.full((*shape, 3), mean, np.float32)


def pyramid(texture) -> list[np.ndarray]:
    """`texture` and LEVELS - 1 halvings, each after a periodic [1 4 6 4 1] / 16 in both axes; sample i stays at 2 i."""
    levels = [texture]
    for _ in range(LEVELS - 1):
        image = levels[-1]
        for axis in (0, 1):
            near = np.roll(image, 1, axis) + np.roll(image, -1, axis)
            far = np.roll(image, 2, axis) + np.roll(image, -2, axis)
            kept = (slice(None, None, 2), slice(None)) if axis == 0 else (slice(None), slice(None, None, 2))
            image = (6 * image[kept] + 4 * near[kept] + far[kept]) / np.float32(16)
        levels.append(np.ascontiguousarray(image, dtype=np.float32))
    return levels


def _filtered_noise(shape, rng, response) -> np.ndarray:
    """White noise through `response(frequency [cycles/texel])`, unit std, zero mean, periodic."""
    import scipy.fft

    spectrum = scipy.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]).astype(np.float32)
    spectrum *= response(frequency)
    spectrum[0, 0] = 0
    noise = scipy.fft.irfft2(spectrum, s=shape)
    return noise / noise.std()


def _pink(shape, rng):
    return _filtered_noise(shape, rng, lambda f: 1 / np.hypot(f, 1 / 256) * np.exp(-((f / 0.35) ** 2)))


def _grain(shape, rng):
    return _filtered_noise(shape, rng, lambda f: np.exp(-((f / 0.18) ** 2)))


def _leaves(shape, rng, colour, *, smallest=2.5, largest=320.0, cover=3.0) -> np.ndarray:
    """(H, W, 3) opaque discs over a mid grey, radii [texels] of density r^-3, covering it `cover` times on average."""
    from dfd.kernels.discs import paint_discs

    height, width = shape
    largest = min(largest, height / 3, width / 3)
    mean_area = 2 * np.pi * smallest**2 * np.log(largest / smallest)
    count = int(cover * height * width / mean_area)
    radii = smallest / np.sqrt(1 - rng.random(count) * (1 - (smallest / largest) ** 2))
    centres = rng.random((count, 2)) * (height, width)
    values = rng.uniform(-1.7, 1.7, (count, 1)) + 1.3 * colour * rng.standard_normal((count, 3))
    image = np.zeros((*shape, 3), np.float32)
    paint_discs(image, radii, centres, values.astype(np.float32))
    return image
