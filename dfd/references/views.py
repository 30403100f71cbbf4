"""What both methods take from a light field: views of even noise, places in the pupil, groups of views, the range to search.

Halves of the pupil: where a nearer surface hides a point from some views, those on the far side of its edge still see it
(Wang, Efros and Ramamoorthi 2015 take the half that the edge in the image tells; here costs choose among eight).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dfd import imaging
from dfd.backend import array_module, to_numpy
from dfd.kernels.lightcosts import costs, slopes
from dfd.threads import in_order, worker_count

_STEEP = 90
"""Percentile of the slopes of the reference view; the cost is full where slopes differ by _FULL of it."""

_FULL = 2.4

_FLAT = 1e-4
"""A percentile of slopes below this share of the mean brightness is none: nothing can be told."""

_REDUCED, _FARTHEST = 4, 16.0
"""The range is looked for in views of 1/4 of the size, up to this disparity [px per view step of the full size]."""

_LEAST_SIDE = 24
"""Shorter side [px] of a view that anything can be told from."""

_CLEAR, _TOLD = 0.5, 0.01
"""Costs that count for the range: least below this share of the mean, and a mean above this: flat parts differ by less."""

_BEYOND, _OUTSIDE = 0.35, 0.1
"""Px per view step by which the range is widened on either side, and percent of pixels first left out there."""


class Views(NamedTuple):
    """Views ready to be compared.

    grey     (K, H, W) float32, square root of brightness (photon noise is even) in units of the slope [1 / px] that counts
             fully;   reference   number of the reference view
    colours  (K, H, W, C) float32, linear, as the light field has them
    places   (K, 2) float64, right and down [view steps];   members   (9, K) float32: all views, then eight halves
    """

    grey: np.ndarray
    colours: np.ndarray
    reference: int
    places: np.ndarray
    members: np.ndarray

    def step(self) -> float:
        """Disparity [px per view step] that moves the outermost view by half a pixel."""
        return 0.5 / float(np.abs(self.places).max())


def prepare(lightfield) -> Views | None:
    """The views of a light field; None where the reference view shows nothing.  Raises ValueError for too few or small."""
    if len(lightfield) < 3:
        raise ValueError(f"a light field of {len(lightfield)} views cannot tell what hides what; reference_depth needs 3 or "
                         "more, and 5 x 5 to be precise")
    height, width = lightfield.shape
    if min(height, width) < _LEAST_SIDE:
        raise ValueError(f"views ({width} x {height} px) must have at least {_LEAST_SIDE} px to a side: windows reach "
                         "across smaller ones; use larger views")
    grey, reference = even(lightfield.views), lightfield.reference
    xp = array_module(grey)
    right, down, _ = slopes(grey[reference])
    larger = xp.maximum(xp.abs(right), xp.abs(down))
    larger = larger[xp.isfinite(larger)]
    steep = float(xp.percentile(larger, _STEEP)) if larger.size else 0.0
    if not steep > _FLAT:
        return None
    places = np.stack([np.array(lightfield.u, dtype=float), np.array(lightfield.v, dtype=float)], axis=1)
    return Views(grey / np.float32(_FULL * steep), lightfield.views, reference, places, halves(places, reference))


def even(views):
    """(K, H, W) float32 mean over colours of the square root of (K, H, W, C) views, over its mean in all of them."""
    xp = array_module(views)
    grey = xp.stack([xp.sqrt(xp.maximum(view, np.float32(0))).mean(axis=2) for view in views])
    mean = float(xp.nanmean(grey))
    return grey / np.float32(mean if mean > 0 else 1)


def halves(places, reference) -> np.ndarray:
    """(9, K) float32: weights, of sum 1 in each row, of all views and of those in the half plane of eight directions."""
    rows = [np.ones(len(places))]
    for turn in range(8):
        along = places @ (math.cos(turn * math.pi / 4), math.sin(turn * math.pi / 4))
        rows.append((along >= -1e-6).astype(float))
    rows = np.array(rows)
    rows[:, reference] = 0
    empty = rows.sum(axis=1) == 0
    rows[empty] = rows[0]
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


def sweep(views: Views, labels, window: int):
    """Yield (cost, group) of every label, (H, W) float32 and uint8: the least of the groups' means over a window."""
    def look(label):
        found = costs(views.grey, views.reference, views.places, float(label), views.members)
        xp = array_module(found)
        found = imaging.box_mean(found, window)
        found = xp.where(xp.isnan(found), xp.float32(1), found)
        return found.min(axis=0), found.argmin(axis=0).astype(np.uint8)

    yield from in_order(look, labels, worker_count(None))


def search_range(views: Views) -> tuple[float, float]:
    """(least, largest) disparity [px per view step] of what can be told apart in reduced views, and a margin.

    Raises ValueError where nothing can.
    """
    xp = array_module(views.grey)
    factor = max(1, min(_REDUCED, min(views.grey.shape[1:]) // _LEAST_SIDE))
    small = views._replace(grey=xp.stack([imaging.reduce(view, factor) for view in views.grey]))
    count = math.ceil(_FARTHEST / factor / small.step())
    labels = np.arange(-count, count + 1) * small.step()
    curves = xp.stack([cost for cost, _ in sweep(small, labels, 5)])
    best, mean = curves.argmin(axis=0), curves.mean(axis=0)
    clear = (curves.min(axis=0) < _CLEAR * mean) & (mean > np.float32(_TOLD))
    known = to_numpy(labels[to_numpy(best[clear])])
    if known.size < 16:
        raise ValueError("no range of disparity could be found: next to nothing in the views can be told apart; give "
                         "disparities=(least, largest) [px per view step]")
    low, high = np.percentile(known, (_OUTSIDE, 100 - _OUTSIDE)) * factor
    return float(low) - _BEYOND, float(high) + _BEYOND
