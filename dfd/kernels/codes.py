"""Brightness <-> uint16 codes, even in units of the noise: the square root of brightness, as photons scatter (Anscombe)."""

from __future__ import annotations

import numba
import numpy as np

CODES = 65534
"""Codes 1 to CODES + 1 hold brightness from -dark to top; 0 is NaN."""


def encode(image, dark: float, top: float, out) -> None:
    """Write the codes of an (H, W) float32 image into `out`, (H, W) uint16; below -dark it is
    cut to -dark, above top it is unknown, which is code 0."""
    _encode(image, np.float32(dark), np.float32(CODES / np.sqrt(top + dark)), out)


def decode(codes, dark: float, top: float) -> np.ndarray:
    """The float32 brightness of an array of codes."""
    out = np.empty(codes.shape, np.float32)
    _decode(np.ascontiguousarray(codes).ravel(), np.float32(dark), np.float32(np.sqrt(top + dark) / CODES), out.ravel())
    return out


@numba.njit(nogil=True, cache=True)
def _encode(image, dark, factor, out):
    zero, half, last = np.float32(0), np.float32(1.5), np.float32(CODES + 0.5)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = image[y, x] + dark
            code = np.sqrt(value if value > zero else zero) * factor
            out[y, x] = np.uint16(code + half) if value == value and code < last else 0


@numba.njit(nogil=True, cache=True)
def _decode(codes, dark, factor, out):
    nothing = np.float32(np.nan)
    for i in range(codes.size):
        root = (np.float32(codes[i]) - np.float32(1)) * factor
        out[i] = root * root - dark if codes[i] > 0 else nothing
