"""Focal Track: depth from two images of one lens whose optical power changes a little, at many scales.

Guo, Alexander and Zickler, "Focal track: depth and accommodation with oscillating lens deformation", 2017.  With A the std
of the pupil, s the image distance, rho the power and e the signed defocus the heat equation reads (see `laplacian`)

    dI/drho = -A^2 s e laplacian(I),        inverse depth = focus - dI/drho / (A^2 s^2 laplacian(I))

Both images blur at one rate, so coc_1^2 - coc_2^2 is a line in inverse depth: one answer on both sides of focus, and
beyond the foci, which `--near` and `--far` ask for.  It holds for Gaussian PSFs; on a disk it is 2 to 35 % wrong, and more
where blur hides the fine structures altogether.  So each scale of a bank of Gaussians is corrected through the view's PSF,
and speaks only at depths where its answer still follows the depth, as the scale that serves most of the range finds them.
What is left is joined by confidence, which is 1 / sigma^2 as measured by each scale in its own window.

The published confidence has learned weights, and its joining is nearly a choice of the best scale; ours follows from noise.

Unknown (NaN): too little texture, outside the range, an answer that no depth explains, no data.
"""

from __future__ import annotations

from dfd.backend import array_module
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers.laplacian import SMOOTHINGS, expected_trust, gaussian_window, reach_of, solve_scales
from dfd.solvers.pairs import focus_range
from dfd.solvers.spatial_design import designs

FINER = 3
"""Scales that are joined to the one for the whole range, at most."""

WINDOW = gaussian_window(5.0)
"""The window of the sums."""

_BYTES, _JOINED = 106, 48
"""Bytes per pixel of the sums and of what follows from them, and of what is kept while other scales are solved."""


def solve_focal_track(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] of two images that differ in optical power, at one pupil.

    capture   FocalStack of 2 images in dioptres, or 2 views that blur at about one rate
    limits    (nearest, farthest) inverse depth [dioptre] to look in; None: between the foci, or 48 px of blur around them
              where they are less than 2 px apart
    Raises ValueError as `check` does.
    """
    low, high = focus_range("focal-track", capture, limits)
    value, sigma = solve_scales(capture, _bank(capture, low, high), WINDOW, (low, high), _confidence)
    return DepthMap(value, sigma, "metric", "focal-track")


def check(capture: Capture, limits) -> None:
    """Raises ValueError unless these are two images of known optics at one pupil and in a range with one answer."""
    focus_range("focal-track", capture, limits)


def reach(capture: Capture, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return reach_of(_bank(capture, *focus_range("focal-track", capture, limits)), WINDOW)


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    more = len(_bank(capture, *focus_range("focal-track", capture, limits))) > 1
    return (8 + _BYTES + _JOINED * more) * shape[0] * shape[1]


def nanoseconds(capture: Capture, limits) -> float:
    """Core nanoseconds per pixel: every scale takes its own."""
    return 300.0 * len(_bank(capture, *focus_range("focal-track", capture, limits)))


def _bank(capture, low, high):
    return designs(capture.views, low, high, smoothings=SMOOTHINGS, finer=FINER)


def _confidence(made, guide, sigma):
    """(H, W) weight of a scale: as sure as it is, where its answer follows the depth."""
    xp = array_module(guide)
    return xp.where(expected_trust(made, guide) > 0, 1 / xp.maximum(sigma, 1e-9) ** 2, 0)
