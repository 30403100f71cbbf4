"""File units to linear light: black and white levels, the inverse of the sRGB curve (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np

CLIPPED = 0.9995
"""Share of the white level, in linear light, from which a pixel of an integer file counts as saturated."""


def srgb_to_linear(encoded: np.ndarray) -> np.ndarray:
    """Inverse of the sRGB curve; the line near black continues below 0, the power above 1."""
    power = ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, power)


def levels(path, data, full_scale, black_level, white_level):
    """Black per channel (or one) and white, in file units."""
    channels = 1 if data.ndim == 2 else data.shape[2]
    black = np.atleast_1d(np.asarray(0.0 if black_level is None else black_level, np.float64))
    white = full_scale if white_level is None else float(white_level)
    if black.size not in (1, channels):
        raise ValueError(f"{path}: black_level has {black.size} numbers, the image {channels} channels; "
                         "give one number or one per channel")
    if not white > black.max():
        raise ValueError(f"{path}: white_level ({white:g}) must exceed black_level ({black.max():g}), in file units; "
                         "set both in [camera] of capture.toml")
    return black, white


def linearise(data, black, white, linear):
    """File units to linear light; integers through one table per channel, which is exact and fast."""
    if not has_table(data):
        scaled = (data - black if black.size > 1 else data - black[0]) / (white - black)
        return (scaled if linear else srgb_to_linear(scaled)).astype(np.float32)
    from dfd.kernels.tables import look_up

    channels = data.reshape(*data.shape[:2], -1)
    tables = curves(data.dtype, np.resize(black, channels.shape[2]), white, linear)
    return look_up(channels, tables).reshape(data.shape)


def has_table(data) -> bool:
    """Whether the codes of these data are few enough for a table."""
    return data.dtype.kind == "u" and data.dtype.itemsize <= 2


def curves(dtype, black, white, linear):
    """(len(black), n) float32: the linear light of every code."""
    codes = np.arange(2 ** (8 * dtype.itemsize), dtype=np.float64)
    scaled = (codes - black[:, None]) / (white - black[:, None])
    return (scaled if linear else srgb_to_linear(scaled)).astype(np.float32)


def full_scale(path, dtype, bits) -> float:
    """White of a file that does not say: the largest integer of its bits, 1 for floats.  Raises OSError for other types."""
    if dtype.kind == "f":
        return 1.0
    if dtype.kind != "u":
        raise OSError(f"{path}: pixels of type {dtype} are not an image; save unsigned integers or floats")
    return float(2 ** (bits if isinstance(bits, int) and 0 < bits <= 8 * dtype.itemsize else 8 * dtype.itemsize) - 1)


def check_finite(path, data) -> None:
    """Raises ValueError for floats that are NaN or infinite."""
    if data.dtype.kind == "f":
        bad = int(data.size - np.count_nonzero(np.isfinite(data)))
        if bad:
            raise ValueError(f"{path}: {bad} of {data.size} values are NaN or infinite, none is allowed; "
                             "replace them before solving")
