"""Depth from two images by the spatial-domain transform: their difference over their Laplacian, in closed form.

For small blur every symmetric PSF acts by its second moment, so with g the smoothed images (Subbarao and Surya, "Depth from
defocus: a spatial domain approach", 1994)

    g_1 - g_2 = G / 2 * laplacian((g_1 + g_2) / 2),        16 G = coc_1^2 - coc_2^2 = B_1^2 (q - q_1)^2 - B_2^2 (q - q_2)^2

Least squares over a window (see `laplacian`) gives G, with the part of noise taken out of both of its sums (Subbarao and
Tyan 1997), and the parabola gives q: one root between the foci, one on each side of the focus of an aperture pair.

Good only where |G| is small, below about 2 px^2.  Beyond it the answer depends on the spectrum of the texture: it is
corrected for the usual one, 1 / f^2, smoothings are chosen for the pair and for the depth that the widest range finds, and
what is left enters sigma (see `spatial_design`), which grows with |G|.  Where the answer no longer follows G it is unknown.

Unknown (NaN): too little texture, outside the range, an answer that no depth explains, no data.
"""

from __future__ import annotations

from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers.laplacian import expected_trust, gaussian_window, reach_of, solve_scales
from dfd.solvers.pairs import pair_range
from dfd.solvers.spatial_design import designs

WINDOW = gaussian_window(4.0)
"""The window of the sums: as many pixels as a box of 14 x 14."""

_BYTES, _JOINED = 106, 48
"""Bytes per pixel of the sums and of what follows from them, and of what is kept while other smoothings are solved."""


def solve_spatial_transform(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] of two images with known optics, from their difference and Laplacian.

    capture   AperturePair, FocalStack of 2 images in dioptres, or 2 views
    limits    (nearest, farthest) inverse depth [dioptre] to look in; None: the declared side, else between the foci
    Raises ValueError as `pairs.pair_range` does.
    """
    low, high = pair_range("spatial-transform", capture, limits)
    value, sigma = solve_scales(capture, designs(capture.views, low, high), WINDOW, (low, high),
                                lambda made, guide, _: expected_trust(made, guide))
    return DepthMap(value, sigma, "metric", "spatial-transform")


def check(capture: Capture, limits) -> None:
    """Raises ValueError unless these are two images of known optics that blur differently in a range with one answer."""
    pair_range("spatial-transform", capture, limits)


def reach(capture: Capture, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return reach_of(designs(capture.views, *pair_range("spatial-transform", capture, limits)), WINDOW)


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    more = len(designs(capture.views, *pair_range("spatial-transform", capture, limits))) > 1
    return (8 + _BYTES + _JOINED * more) * shape[0] * shape[1]
