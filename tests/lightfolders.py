"""Small light fields for tests: rendered once per process, and folders of their views under any names."""

import functools

import numpy as np

from dfd.io.png import write_png
from dfd.io.results import linear_to_srgb
from dfd.simulate import simulate_light_field

SIZE = (40, 56)


@functools.cache
def small(views=3, scene="demo", seed=0):
    """A light field of SIZE with camera and disparity; treat it as read-only."""
    return simulate_light_field(scene, size=SIZE, views=views, reach=1.5, seed=seed)


def codes(view):
    """sRGB codes of 8 bits of an (H, W, 3) view."""
    return np.rint(255 * linear_to_srgb(view)).astype(np.uint8)


def write_views(folder, field, name, *, columns=3):
    """Views row by row as PNG; `name` is given (row, column)."""
    folder.mkdir(exist_ok=True)
    for index, view in enumerate(field.views):
        write_png(folder / f"{name(*divmod(index, columns))}.png", codes(view))
    return folder
