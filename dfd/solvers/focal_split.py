"""Focal Split: depth from one shot on two sensor planes behind a beam splitter, in one cheap pass.

Luo, Mamish, Fu, Concannon, Hester, Alexander and Guo, "Focal Split: untethered snapshot depth from differential defocus",
2025.  Here the place s of the sensor differs and not
the power.  With images rescaled to one magnification, that of the image distance c, sigma = A c (1/s + 1/Z - rho), so

    dI/ds = sigma dsigma/ds laplacian(I),   dsigma/ds = -A c / s^2,        Z = a / (b + dI/ds / laplacian(I))

In the terms of this library nothing else differs from `focal_track`: images of a capture are registered, so each plane's
lens stands on one pixel grid (`ThinLens.on_grid_of`) with the blur rate of that grid, and a farther sensor is a nearer
focus.  The power never changes, so a and b, which the authors calibrate, are known from the foci.  What does differ:
images of one instant, which may move; half of the light on each sensor, whose noise each view states; and a device of a few
watts, hence one scale, and a box of 21 x 21 px whose running sums cost the same as small ones.

It holds for Gaussian PSFs; the bias of any other is undone through the view's PSF (see `spatial_design`).  Planes rescaled
by nothing (blur rates that differ by up to 10 %) are solved on their own parabola.

The published confidence is the square of dI/ds in the box.  It vanishes where both planes are equally blurred, the best
place of all, so sigma takes its part, and texture above the noise says what is known.

Unknown (NaN): too little texture, outside the range, an answer that no depth explains, no data.
"""

from __future__ import annotations

from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers.laplacian import SMOOTHINGS, box_window, reach_of, solve_scale
from dfd.solvers.pairs import focus_range
from dfd.solvers.spatial_design import designs

WINDOW = box_window(21)
"""The published box."""

_BYTES = 106
"""Bytes per pixel of the sums and of what follows from them."""


def solve_focal_split(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] of two images of one instant that sensors at two distances took.

    capture   FocalStack of 2 images in dioptres, or 2 views that blur at about one rate
    limits    (nearest, farthest) inverse depth [dioptre] to look in, as for `focal_track`
    Raises ValueError as `check` does.
    """
    low, high = focus_range("focal-split", capture, limits)
    value, sigma = solve_scale(capture, _design(capture, low, high)[0], WINDOW, (low, high))
    return DepthMap(value, sigma, "metric", "focal-split")


def check(capture: Capture, limits) -> None:
    """Raises ValueError unless these are two images of known optics at one pupil and in a range with one answer."""
    focus_range("focal-split", capture, limits)


def reach(capture: Capture, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return reach_of(_design(capture, *focus_range("focal-split", capture, limits)), WINDOW)


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    return (8 + _BYTES) * shape[0] * shape[1]


def _design(capture, low, high):
    return designs(capture.views, low, high, smoothings=SMOOTHINGS, finer=0)
