"""Metalens pair: depth from two powers side by side on one sensor, whatever small shift lies between them.

Guo, Shi, Huang, Alexander, Qiu, Capasso and Zickler, "Compact single-shot metalens depth sensors inspired by eyes of
jumping spiders", 2019.  One lens makes two images of different optical power beside each other; their difference over the
Laplacian of their mean is the closed form of `focal_track`, which holds for Gaussian PSFs and is corrected through the
view's own.

Images that stand side by side are registered by a calibration, to some fraction of a pixel; what is left of the shift t,
which distortion lets vary over the field, is a gradient in the difference of the images,

    g_1 - g_2 = t_x dg/dx + t_y dg/dy + G / 2 * laplacian(g),        g = (g_1 + g_2) / 2

and a gradient is no Laplacian: t is fitted in every window and thrown away.  So up to half a pixel between the images
costs little, where the other closed forms take it for blur.

Unknown (NaN): too little texture, outside the range, an answer that no depth explains, no data.
"""

from __future__ import annotations

from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers.laplacian import SMOOTHINGS, gaussian_window, reach_of, solve_scale
from dfd.solvers.pairs import focus_range
from dfd.solvers.spatial_design import designs

WINDOW = gaussian_window(5.0)
"""The window of the sums, three columns of which are fitted."""

_GRADIENT = (((1.0,), (-0.5, 0.0, 0.5)), ((-0.5, 0.0, 0.5), (1.0,)))
"""Separable filters (down, right) of dg/dx and dg/dy."""

_BYTES = 150
"""Bytes per pixel of the sums and of what follows from them."""


def solve_metalens(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] of two images of different power that may lie half a pixel apart.

    capture   FocalStack of 2 images in dioptres, or 2 views that blur at about one rate
    limits    (nearest, farthest) inverse depth [dioptre] to look in, as for `focal_track`
    Raises ValueError as `check` does.
    """
    low, high = focus_range("metalens", capture, limits)
    value, sigma = solve_scale(capture, _design(capture, low, high)[0], WINDOW, (low, high), free=_GRADIENT)
    return DepthMap(value, sigma, "metric", "metalens")


def check(capture: Capture, limits) -> None:
    """Raises ValueError unless these are two images of known optics at one pupil and in a range with one answer."""
    focus_range("metalens", capture, limits)


def reach(capture: Capture, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return reach_of(_design(capture, *focus_range("metalens", capture, limits)), WINDOW)


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    return (8 + _BYTES) * shape[0] * shape[1]


def _design(capture, low, high):
    return designs(capture.views, low, high, smoothings=SMOOTHINGS, finer=0)
