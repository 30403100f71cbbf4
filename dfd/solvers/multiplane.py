"""Depth and the sharp image of a dual-pixel pair together: a multiplane image fitted to both views (Xin et al. 2021).

1. The likelihood's map places the planes: every so many px of coc, as finely as MOST_PLANES from its 1st to its 99th
   percentile and a little beyond allow.
2. It starts the layers: each pixel is shared between the two planes around its depth, a little between all; the colour of
   every layer is both views deconvolved as if all of the scene lay there.
3. Adam (Kingma and Ba 2015) descends the losses of `multiplane_losses`, first with pixels twice as large.
4. Depth is the mean of the planes by their shares, the sharp image that of their colours.

Known where the likelihood knows; sigma is the likelihood's, joined with how far the optimisation moved depth from it.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import array_module, to_numpy
from dfd.capture import DualPixelPair
from dfd.depthmap import DepthMap
from dfd.refine import fill
from dfd.solvers import coarse, likelihood
from dfd.solvers.grid import labels_of, largest_coc, lensed
from dfd.solvers.likelihood import in_parts
from dfd.solvers.multiplane_scene import MOST_TILE_PX, Scene, border_of, shares

LEAST_STEP_PX, MOST_PLANES = 1.0, 10
"""Least distance [px of coc] of planes, and the most of them."""

STEPS = (30, 6)
"""Steps of Adam with pixels twice as large, and with the images' own."""

COLOUR_STEP, LOGIT_STEP = (0.01, 0.003), (0.15, 0.05)
"""Size of the first and the last step, of colours of images of mean 1/2 and of logits of opacity."""

_SHARED = 0.02
"""Share of a pixel that all planes have at the start: a gradient needs something to change."""

_LEAST_PX = 64
"""Shorter side of an image below which there is no coarse pass."""

MOST_PX = 4_000_000
"""Pixels of a picture: planes that differed from tile to tile would show as seams."""

_PLANE_BYTES, _TILE_BYTES = 80, 124
"""Bytes per plane and pixel of the scene, and of one tile of it."""

_PULL = 1.1
"""Factor of how far the optimisation moved depth, in sigma: planes pull what lies between them (after rendered slants)."""

_REACH = 24
"""Px by which the optimisation carries more than the likelihood."""


def solve_multiplane(capture: DualPixelPair, *, limits=None, steps=STEPS) -> DepthMap:
    """Depth of a dual-pixel pair and, as its `picture`, the all-in-focus image in the brightness of the images.

    capture   metric, or affine with measured kernels, see `likelihood`;   limits   as there
    steps     of the optimisation at half and at full size
    The picture is NaN where a view has no data, and known where depth alone is not.  Raises ValueError as `check` does.
    """
    check(capture, limits)
    if capture.field is not None:
        return in_parts(capture, _reach(capture, limits), lambda even: solve_multiplane(even, limits=limits, steps=steps))
    xp = array_module(capture.images)
    start = likelihood.solve_likelihood(capture, limits=limits)
    nan = xp.float32(np.nan)
    known = xp.where(xp.isfinite(capture.images), capture.images, nan)
    level = 2 * float(xp.nanmean(known)) if bool(start.valid.any()) else 0.0
    if not level > 0:
        return DepthMap(start.values, start.sigma, capture.scale, "multiplane", known.mean(axis=0))
    pair = lensed(capture)
    planes = planes_of(to_numpy(start.values), lens=pair.views[0].lens, within=labels_of(capture, limits))
    values, sharp = _fitted(pair, fill(start.values), planes, level, steps)
    values = xp.where(start.valid, values, nan).astype(np.float32)
    sigma = xp.sqrt(start.sigma**2 + (_PULL * (values - start.values)) ** 2).astype(np.float32)
    return DepthMap(values, sigma, capture.scale, "multiplane", xp.where(xp.isnan(known).any(axis=0), nan, sharp))


def planes_of(values, *, lens, within) -> np.ndarray:
    """(L,) ascending inverse depths of planes for a map of it (NaN = unknown): every so many px of coc from the focus on.

    The finest step of LEAST_STEP_PX, twice that, and so on, with at most MOST_PLANES from half a step below the 1st
    percentile to half a step beyond the 99th.
    within   ascending inverse depths: none beyond their ends
    """
    ends = lens.coc(np.nanpercentile(values, (1, 99)))
    low, high = lens.coc(np.array([within[0], within[-1]]))
    step = LEAST_STEP_PX
    while len(planes := _multiples(*ends, step)) > MOST_PLANES:
        step *= 2
    planes = planes[(planes >= low) & (planes <= high)]
    return lens.focus + planes / lens.blur_rate


def _multiples(low, high, step):
    return step * np.arange(math.floor(low / step - 0.5), math.ceil(high / step + 0.5) + 1)


def check(capture: DualPixelPair, limits) -> None:
    """Raises ValueError for pictures that are too large, and as `likelihood.check` does."""
    if math.prod(capture.shape) > MOST_PX:
        raise ValueError(f"images ({capture.shape[1]} x {capture.shape[0]} px) must have at most {MOST_PX / 1e6:g} million "
                         "px: multiplane fits the whole picture at once; use --preview, or --solver likelihood")
    likelihood.check(capture, limits)


def bytes_needed(capture: DualPixelPair, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes, a copy of them included."""
    even = lensed(capture)
    border = 2 * border_of(largest_coc(even, labels_of(even, limits)))
    own = MOST_PLANES * sum(
        each * math.prod(min(length, most) + border for length in shape)
        for each, most in ((_PLANE_BYTES, max(shape)), (_TILE_BYTES, MOST_TILE_PX)))
    return max(likelihood.bytes_needed(capture, shape, limits), own) + 8 * math.prod(shape)


def nanoseconds(capture: DualPixelPair, limits) -> float:
    """Core nanoseconds per pixel."""
    return likelihood.nanoseconds(capture, limits) + MOST_PLANES * 900.0 * (STEPS[0] / 4 + STEPS[1])


def _reach(capture, limits):
    """Px around a part that are fitted with it."""
    return likelihood.reach(capture, limits) + _REACH


def _fitted(pair, values, planes, level, steps):
    """((H, W) inverse depth, (H, W) sharp image) of a pair with lenses from a map without holes."""
    xp = array_module(values)
    scene, logits = Scene(pair, planes, level), None
    if steps[0] and min(pair.shape) >= _LEAST_PX:
        small = Scene(coarse.half_size(pair), planes, level)
        rows, columns = (slice(0, 2 * length, 2) for length in small.shape)
        logits = _start(small, values[rows, columns])
        _, logits = _descended(small, small.restored(), logits, steps[0])
        logits = _doubled(logits, small, scene)
    logits = _start(scene, values) if logits is None else logits
    colour, logits = _descended(scene, scene.restored(), logits, steps[1])
    share, border = shares(logits), scene.border
    inside = np.s_[border:-border, border:-border]
    where = xp.tensordot(xp.asarray(planes.astype(np.float32)), share, axes=1)[inside]
    return where, ((share * colour).sum(axis=0)[inside] * np.float32(level)).astype(np.float32)


def _start(scene, values):
    """(L - 1, h, w) float32 logits of opacity that share each pixel between the two planes around its value."""
    xp, planes = array_module(values), scene.planes
    around = xp.pad(values, scene.border, mode="edge")
    place = xp.clip((around - planes[0]) / (planes[1] - planes[0]), 0, len(planes) - 1)
    near = xp.maximum(0, 1 - abs(place[None] - xp.arange(len(planes))[:, None, None]))
    share = (1 - _SHARED) * near + _SHARED / len(planes)
    behind = xp.cumsum(share, axis=0)  # what a layer and all behind it have together
    opacity = share[1:] / behind[1:]
    return xp.log(opacity / (1 - opacity)).astype(np.float32)


def _descended(scene, colour, logits, count):
    """(colour, logits) after `count` steps of Adam."""
    xp = array_module(colour)
    state = [(part, xp.zeros_like(part), xp.zeros_like(part)) for part in (colour, logits)]
    for number in range(1, count + 1):
        _, *slopes = scene.loss(state[0][0], state[1][0])
        for index, (slope, (first, last)) in enumerate(zip(slopes, (COLOUR_STEP, LOGIT_STEP), strict=True)):
            place, mean, square = state[index]
            mean = 0.9 * mean + 0.1 * slope
            square = 0.99 * square + 0.01 * slope**2
            size = first * (last / first) ** (number / count)
            change = mean / (1 - 0.9**number) / (xp.sqrt(square / (1 - 0.99**number)) + 1e-8)
            state[index] = ((place - size * change).astype(np.float32), mean, square)
    return state[0][0], state[1][0]


def _doubled(logits, small, large):
    """Logits of a scene with pixels twice as large in the pixels of another, linear between them."""
    xp = array_module(logits)
    for axis in (1, 2):
        place = (np.arange(large.canvas[axis - 1]) - large.border + 0.5) / 2 - 0.5 + small.border
        place = np.clip(place, 0, small.canvas[axis - 1] - 1)
        below = np.minimum(place.astype(int), small.canvas[axis - 1] - 2)
        share = xp.asarray((place - below).astype(np.float32)).reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
        logits = (1 - share) * xp.take(logits, xp.asarray(below), axis=axis) + share * xp.take(
            logits, xp.asarray(below + 1), axis=axis)
    return logits
