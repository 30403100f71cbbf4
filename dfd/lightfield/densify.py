"""Views between the views: a sparse light field made dense by warping the nearest real views with its disparity.

Where max_step is above 0.5 px, shift and add shows the views apart (ghosts).  The disparity of the reference view is warped
forward to every new place in the pupil, nearest first, and colours are fetched back from the real views around it that see
the point (`dfd.kernels.warp`).  What the reference does not see takes the disparity of the background beside it; its colours
are those of the real views that do see it.  A better disparity gives better views: a disparity wrong by e px shifts texture
by e times the distance to the next real view, a half step at most on a full grid.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral

import numpy as np

from dfd.depthmap import DepthMap
from dfd.lightfield.maps import need_host
from dfd.threads import in_order, worker_count

NEAREST = 4
"""Real views that share the colour of a point which all of them see."""

_ASKED = 16
"""Real views asked, nearest first, for a point that none of those sees."""

MOST_BYTES = 16e9
"""Of the views that are made."""


def densify(lightfield, count: int, disparity=None):
    """A LightField of count x count views over the same pupil, (extent / count) view steps apart.

    The pupil is the largest square about the reference (`LightField.extent`): what an oblong or even grid has beyond it
    lends its colours, but gets no new views.

    count      odd, at least 3: one view stands at the reference, and is the reference
    disparity  (H, W) of the reference view [px per view step, > 0 nearer], or a DepthMap of scale affine; NaN = unknown,
               warped like the farther of the known pixels left and right.  Default: the light field's own.  Views depend
               on it, the disparity that the result knows does not
    A view at the place of a real one is that one, unchanged.  Memory: 4 count^2 H W C bytes.
    Raises TypeError or ValueError for a count that is no odd number or too large, without any disparity, for one of another
    size or scale, without a finite value, or that moves further than half of the picture; TypeError for arrays on the GPU.
    """
    need_host("densify", lightfield.views)
    height, width = lightfield.shape
    places = pupil_places(count, lightfield.extent / check_count(count, (height, width, lightfield.views.shape[3])))
    real = np.array([lightfield.v, lightfield.u]).T
    known = _chosen(lightfield, disparity)
    reach = reach_of(known, np.concatenate([places, real]))
    warp = _Warp(np.asarray(lightfield.views), real, background_filled(known), reach)
    out = np.empty((len(places), *lightfield.views.shape[1:]), np.float32)
    for _ in in_order(lambda index: warp.write(places[index], out[index]), range(len(places)), worker_count(None)):
        pass
    return replace(lightfield, views=out, u=tuple(places[:, 1]), v=tuple(places[:, 0]), spacing=lightfield.extent / count)


def check_count(count: int, shape: tuple[int, int, int]) -> int:
    """`count` of views to a side, each of `shape` (H, W, C).  Raises TypeError, ValueError for what no grid can have."""
    if not isinstance(count, Integral) or isinstance(count, bool):
        raise TypeError(f"count ({count!r}) of views to a side must be a whole number")
    if count < 3 or count % 2 == 0:
        raise ValueError(f"count ({count}) of views to a side must be odd and at least 3, so that one of them stands at the "
                         "reference; take one more or less")
    needed = 4.0 * count**2 * np.prod(shape)
    if needed > MOST_BYTES:
        raise ValueError(f"count ({count}) makes {count**2} views of {shape[1]} x {shape[0]} px, {needed / 1e9:.3g} GB; at "
                         f"most {MOST_BYTES / 1e9:g} GB: take fewer views, one channel or a part of the picture")
    return int(count)


def pupil_places(count: int, spacing: float) -> np.ndarray:
    """(count^2, 2) float64 places (v, u) [view steps], row by row from the top left."""
    axis = (np.arange(count) - count // 2) * spacing
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def reach_of(disparity: np.ndarray, places: np.ndarray) -> float:
    """Largest distance along an axis of `places` from the reference [view steps].

    Raises ValueError where a finite disparity would move further than half of the picture on the way.
    """
    reach = float(np.abs(places).max())
    furthest = reach * float(np.nanmax(np.abs(np.where(np.isfinite(disparity), disparity, np.nan))))
    if furthest > min(disparity.shape) / 2:
        raise ValueError(f"disparity moves {furthest:.3g} px from the middle to the border of the pupil, more than half of "
                         f"the {disparity.shape[1]} x {disparity.shape[0]} px picture; is it in px per view step?")
    return reach


def background_filled(disparity: np.ndarray) -> np.ndarray:
    """(H, W) float32 without NaN: the farther of the nearest known pixels left and right; above and below in an empty row.

    What stereo and depth cameras miss is mostly what nearer things hide, along rows.
    """
    values = np.where(np.isfinite(disparity), disparity, np.nan).astype(np.float32)
    for turned in (values, values.T):
        gaps = np.isnan(turned)
        turned[gaps] = np.fmin(_carried(turned), _carried(turned[:, ::-1])[:, ::-1])[gaps]
    return values


def _carried(values):
    """Every NaN takes the last known value to its left, where there is one."""
    place = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    return np.take_along_axis(values, np.maximum.accumulate(place, axis=1), axis=1)


def _chosen(lightfield, disparity):
    """The disparity to warp with, (H, W) NumPy array."""
    if disparity is None:
        disparity = lightfield.disparity
        if disparity is None:
            raise ValueError("the light field has no disparity to make views with; give densify(count, disparity=...), for "
                             "example that of dfd.reference_depth")
    if isinstance(disparity, DepthMap):
        if disparity.scale != "affine":
            raise ValueError(f"disparity of scale {disparity.scale} must be affine [px per view step]; "
                             "LightField.to_disparity converts metric depth")
        disparity = disparity.values
    need_host("densify", disparity)
    disparity = np.asarray(disparity)
    if disparity.shape != lightfield.shape:
        size = " x ".join(map(str, disparity.shape[::-1]))
        raise ValueError(f"disparity ({size} px) must have the size of the views ({lightfield.shape[1]} x "
                         f"{lightfield.shape[0]} px); nothing is resized here")
    if not np.isfinite(disparity).any():
        raise ValueError("disparity has no finite value; every pixel is unknown")
    return disparity


class _Warp:
    """Real views ready to be warped: bordered for the taps, each with the disparity that it sees."""

    def __init__(self, views, places, disparity, reach):
        from dfd.kernels.warp import forward, with_borders

        self.views, self.places = views, places
        self.layers, self.jump = disparity[None], 1 / reach
        self.bordered = with_borders(views)
        seen = in_order(lambda place: forward(self.layers, place[1], place[0], self.jump)[0], places, worker_count(None))
        self.seen = np.stack(list(seen))

    def write(self, place, out):
        """The view at `place` (v, u) into out (H, W, C)."""
        from dfd.kernels.warp import blend, forward

        steps = self.places - place
        distance = np.hypot(*steps.T)
        order = np.argsort(distance, kind="stable")
        if distance[order[0]] < 1e-9:
            out[:] = self.views[order[0]]
            return
        disparity, _ = forward(self.layers, place[1], place[0], self.jump)
        blend(self.bordered, self.seen, steps, order[:_ASKED], _shares(distance[order]), disparity, self.jump, out)


def _shares(distance):
    """(n,) float32 weights of the nearest views, `distance` ascending: falling to 0 at the first that is left out.

    Franke and Little's ((R - r) / (R r))^2 (Barnhill 1977): no seam where another view becomes one of the nearest.
    """
    near = distance[:NEAREST]
    end = distance[NEAREST] if len(distance) > NEAREST else 1.5 * near[-1]
    shares = (np.maximum(end - near, 1e-3 * end) / (end * near)) ** 2
    return (shares / shares.sum()).astype(np.float32)
