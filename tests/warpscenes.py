"""Scenes whose light field is known in closed form: textures that are functions of place, on planes and on a box."""

import numpy as np

from dfd.lightfield import LightField

WAVES = np.random.default_rng(81).uniform(-1, 1, (12, 2)) * 2 * np.pi * 0.12
PHASES = np.random.default_rng(82).uniform(0, 2 * np.pi, 12)


def texture(y, x, number=0):
    """Twelve waves of at most 0.17 cycles/px, 0.2..0.8; `number` chooses another texture."""
    return _waves(y, x, number, lambda frequency: 1.0)


def blurred_texture(y, x, diameter):
    """The same through a disk `diameter` px wide: every wave times 2 J1(w r) / (w r)."""
    from scipy.special import j1

    return _waves(y, x, 0, lambda frequency: 4 * j1(frequency * diameter / 2) / (frequency * diameter))


def _waves(y, x, number, passed):
    total = 0.5
    for k, ((a, b), phase) in enumerate(zip(WAVES, PHASES, strict=True)):
        total = total + 0.05 * passed(np.hypot(a, b)) * np.cos(a * y + b * x + phase + 1.7 * number * (k + 1))
    return total


def grid(count, spacing=1.0):
    """(u, v) of count x count places, row by row."""
    axis = (np.arange(count) - count // 2) * spacing
    v, u = np.meshgrid(axis, axis, indexing="ij")
    return u.ravel(), v.ravel()


def plane_view(shape, u, v, disparity, slope=0.0):
    """(H, W) view of the plane disparity + slope * x (x in px of the reference): L(y - d v, x - d u) = texture(y, x)."""
    y, x = np.mgrid[:shape[0], :shape[1]].astype(float)
    column = (x + disparity * u) / (1 - slope * u)
    return texture(y + (disparity + slope * column) * v, column)


BOX, NEAR, FAR = (12, 34, 20, 44), 2.0, -1.0
"""Rows and columns that the box has in the reference, its disparity, and that of what lies behind."""


def box_view(shape, u, v):
    """((H, W) view, (H, W) bool: the box, (H, W) bool: well inside box or background)."""
    y, x = np.mgrid[:shape[0], :shape[1]].astype(float)
    top, bottom, left, right = BOX
    row, column = y + NEAR * v, x + NEAR * u
    outside = np.maximum(np.maximum(top - 0.5 - row, row - bottom + 0.5),
                         np.maximum(left - 0.5 - column, column - right + 0.5))
    box = outside <= 0
    view = np.where(box, texture(row, column), texture(y + FAR * v, x + FAR * u, 1))
    return view, box, np.abs(outside) > 2


def box_disparity(shape):
    """(H, W) float32 of the reference."""
    found = np.full(shape, FAR, np.float32)
    found[BOX[0]:BOX[1], BOX[2]:BOX[3]] = NEAR
    return found


def field(render, shape, count, disparity, spacing=1.0, **more):
    """LightField of count x count views render(shape, u, v), one channel."""
    u, v = grid(count, spacing)
    views = np.stack([render(shape, *place) for place in zip(u, v, strict=True)]).astype(np.float32)[..., None]
    return LightField(views, tuple(u), tuple(v), spacing=spacing, disparity=disparity, **more)
