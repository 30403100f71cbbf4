"""Bring a result to the grid of its reference: never silently, never across aspect ratios, and never by mixing depths.

Enlarged, every pixel takes the value of the result's pixel that its centre lies in.  Reduced, it takes the median of the
known pixels whose centres lie in it.  The corners of both grids coincide, whatever their ratio, whole or not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dfd.backend import to_numpy
from dfd.depthmap import DepthMap
from dfd.evaluate.inputs import size

_STRIP = 1 << 22
"""Pixels that are sorted at a time."""


def to_grid(item, shape):
    """A DepthMap or an (H, W) array on the grid (H, W) `shape`; sigma as the values are, a picture is dropped.

    Raises ValueError where the two grids cannot show the same picture: another aspect ratio, by a pixel of the coarser
    grid or more, or portrait beside landscape.
    """
    if isinstance(item, DepthMap):
        host = item.numpy()
        values, sigma = (to_grid(array, shape) for array in (host.values, host.sigma))
        return replace(host, values=values.astype(np.float32), sigma=sigma.astype(np.float32), picture=None)
    values = np.asarray(to_numpy(item))
    shape = tuple(shape)
    if values.ndim != 2 or len(shape) != 2:
        raise ValueError(f"a map of shape {values.shape} cannot be brought to the grid {shape}; both must be (H, W)")
    if values.shape == shape:
        return values
    if not _fits(values.shape, shape):
        raise ValueError(f"result is {size(values.shape)} but reference is {size(shape)}; {_cause(values.shape, shape)}")
    if max(shape) >= max(values.shape):
        rows, columns = (np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
                         for new, old in zip(shape, values.shape, strict=True))
        return values[rows[:, None], columns]
    return _medians(values, shape)


def grid_record(before, after) -> dict:
    """What `to_grid` does, for the output: sizes as (width, height), their ratio, and how."""
    return {"from_px": [before[1], before[0]], "to_px": [after[1], after[0]], "ratio": max(after) / max(before),
            "method": "nearest" if max(after) >= max(before) else "median of the known"}


def sizes_differ(result, reference) -> ValueError:
    """The error for maps of two sizes that nobody asked to resize."""
    step = "pass resize=True (--resize) to bring the result to the grid of the reference" if _fits(result, reference) \
        else _cause(result, reference)
    return ValueError(f"result is {size(result)} but reference is {size(reference)}; {step}")


def _fits(one, other):
    """Whether two grids differ by one ratio, to less than a pixel of the coarser."""
    if len(one) != 2 or len(other) != 2 or 0 in (*one, *other):
        return False
    small, large = sorted((one, other), key=max)
    ratio = max(large) / max(small)
    return all(abs(big / ratio - little) < 1 for big, little in zip(large, small, strict=True))


def _cause(one, other):
    """Why two grids cannot show the same picture, and what to do."""
    if len(one) == len(other) == 2 and _fits(one, other[::-1]):
        return "one lies on its side, is it in portrait orientation? turn it by 90 degrees first"
    return "their aspect ratios differ, so they cannot show the same pixels; crop one of them first"


def _medians(values, shape):
    """Median of the known pixels of every cell, NaN where none is; an even number of them is averaged in the middle."""
    rows, columns = (_members(old, new) for old, new in zip(values.shape, shape, strict=True))
    padded = np.pad(values.astype(float), ((0, 1), (0, 1)), constant_values=np.nan)  # the last row and column: nobody
    found = np.empty(shape)
    step = max(1, _STRIP // (rows.shape[1] * columns.size))
    for top in range(0, shape[0], step):
        strip = rows[top:top + step]
        cells = padded[strip[:, :, None, None], columns[None, None]].transpose(0, 2, 1, 3)
        cells = np.sort(cells.reshape(len(strip), shape[1], -1), axis=2)
        known = np.count_nonzero(~np.isnan(cells), axis=2)
        middle = [np.take_along_axis(cells, np.maximum(at, 0)[..., None], axis=2)[..., 0]
                  for at in ((known - 1) // 2, known // 2)]
        found[top:top + step] = np.where(known > 0, (middle[0] + middle[1]) / 2, np.nan)
    return found


def _members(old, new):
    """(new, most) indices of the old pixels whose centres lie in each new one, filled up with `old`."""
    edges = np.searchsorted(np.arange(old) + 0.5, np.arange(new + 1) * old / new)
    members = edges[:-1, None] + np.arange(np.diff(edges).max())
    return np.where(members < edges[1:, None], members, old)
