"""A light field from one picture and its depth, so that any kind of capture can be rendered from real texture.

The scene is what the picture shows plus one layer of hidden background: behind every edge of depth the surface beside it
goes on at its own disparity, textured with its own mirror image.  All views are exact pictures of that scene (nearest first,
no rounding of disparity, `dfd.kernels.warp`), so whatever is rendered from them has one true depth.

What is not the real scene: the hidden background, which shows within one blur (the pupil times the step in disparity) of a
depth edge; pixels that mix both sides of an edge, which stay on the side that depth puts them; gloss and transparency, which
do not follow depth; and where depth is unknown, which is rendered at that of the background beside it.  The picture must be
sharp: its own blur is in every view.  What it holds beyond 0.38 cycles/px the taps that warp and refocus lose in part, by an
amount that depends on the phase; blur it by 0.7 px (std) beforehand where that matters.
"""

from __future__ import annotations

import numpy as np

from dfd.depthmap import DepthMap
from dfd.lightfield.base import LightField
from dfd.lightfield.camera import ViewCamera
from dfd.lightfield.densify import background_filled, check_count, pupil_places, reach_of
from dfd.threads import in_order, worker_count

CONVENTION = "views synthesised from one picture and its depth; hidden background is the mirror image of what lies beside it"

_MARGIN_PX = 2.0


def from_rgbd(image, camera: ViewCamera, count: int, *, depth=None, disparity=None, name: str = "") -> LightField:
    """count x count views, one view step apart: the pupil is count * camera.baseline wide.

    image      (H, W) or (H, W, 1 | 3) float32, linear, sharp everywhere: the view in the middle, unchanged
    camera     its fx, the step between views, and the inverse distance of zero disparity; keep the disparity of the scene
               within half a pixel of that in focus, see `LightField.max_step`
    depth      (H, W) metres along the axis, NaN = unknown, inf = infinity; or a metric DepthMap
    disparity  instead: (H, W) [px per view step], > 0 nearer than camera.focus, NaN = unknown
    The result knows this depth (`truth`), NaN where it is unknown.  Memory: 4 count^2 H W C bytes.
    Raises TypeError or ValueError for a count or sizes that do not fit, both or neither of depth and disparity, depth that
    is not positive or unknown everywhere, and a picture that is not finite.
    """
    picture = _picture(image)
    known = _disparity(camera, depth, disparity, picture.shape[:2])
    places = pupil_places(check_count(count, picture.shape), 1.0)
    reach = reach_of(known, places)
    views = render_views(picture, background_filled(known), places, 1 / reach)
    return LightField(views, tuple(places[:, 1]), tuple(places[:, 0]), camera=camera, disparity=known, name=name,
                      convention=CONVENTION)


def render_views(picture: np.ndarray, disparity: np.ndarray, places: np.ndarray, jump: float) -> np.ndarray:
    """(K, H, W, C) float32 views at `places` (K, 2), (v, u) [view steps], of a picture (H, W, C) and what it hides.

    jump   neighbours whose disparity differs by more [px per step] belong to two surfaces
    """
    from dfd.kernels.warp import forward, recall, with_borders

    behind, behind_picture = hidden_layer(picture, disparity, jump, float(np.hypot(*places.T).max()))
    layers = np.stack([disparity, behind])
    bordered = with_borders(np.stack([picture, behind_picture]))
    out = np.empty((len(places), *picture.shape), np.float32)

    def write(index):
        v, u = places[index]
        if u == v == 0:
            out[index] = picture
        else:
            recall(bordered, *forward(layers, u, v, jump), u, v, out[index])

    for _ in in_order(write, range(len(places)), worker_count(None)):
        pass
    return out


def hidden_layer(picture, disparity, jump, reach):
    """((H, W) disparity, (H, W, C) picture) of the background behind depth edges, NaN and the picture itself elsewhere.

    Behind a pixel q of the foreground, b the nearest pixel of background at an edge: the disparity of b and the colour of
    2 b - q where that lies on the surface of b, else of b; as far as a place `reach` view steps beside the middle looks.
    """
    from scipy.ndimage import distance_transform_edt

    edge = _background_edges(disparity, jump)
    behind = np.full_like(disparity, np.nan)
    if not edge.any():
        return behind, picture
    distance, (row, column) = distance_transform_edt(~edge, return_indices=True)
    step = disparity - disparity[row, column]
    hides = (step > jump) & (distance <= step * reach + _MARGIN_PX)
    y, x = np.nonzero(hides)
    row, column = row[hides], column[hides]
    behind[hides] = disparity[row, column]
    far_row, far_column = 2 * row - y, 2 * column - x
    height, width = disparity.shape
    inside = (far_row >= 0) & (far_row < height) & (far_column >= 0) & (far_column < width)
    far_row, far_column = np.where(inside, far_row, row), np.where(inside, far_column, column)
    same = np.abs(disparity[far_row, far_column] - disparity[row, column]) <= jump * np.maximum(1, distance[hides])
    colours = picture.copy()
    colours[hides] = picture[np.where(same, far_row, row), np.where(same, far_column, column)]
    return behind, colours


def _background_edges(disparity, jump):
    """(H, W) bool: pixels with a neighbour that is nearer by more than `jump`."""
    found = np.zeros(disparity.shape, bool)
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        step = disparity[other] - disparity[one]
        found[one] |= step > jump
        found[other] |= step < -jump
    return found


def _picture(image):
    """(H, W, C) float32."""
    picture = np.asarray(image)
    if picture.dtype != np.float32:
        raise TypeError(f"image ({picture.dtype}) must be float32, linear, 0 = black, 1 = white")
    picture = picture[..., None] if picture.ndim == 2 else picture
    if picture.ndim != 3 or picture.shape[2] not in (1, 3) or min(picture.shape[:2]) < 2:
        raise ValueError(f"image (shape {np.shape(image)}) must have axes (H, W) or (H, W, 1 or 3), at least 2 px to a side")
    if not np.isfinite(picture).all():
        raise ValueError(f"image has {int((~np.isfinite(picture)).sum())} values that are not finite; fill them first")
    return picture


def _disparity(camera, depth, disparity, shape):
    """(H, W) float32 [px per view step] of depth or disparity, whichever is given, NaN = unknown."""
    if (depth is None) == (disparity is None):
        given = "neither" if depth is None else "both"
        raise ValueError(f"{given} of depth [m] and disparity [px per view step] given; from_rgbd takes one of them")
    if depth is None:
        found, name = np.asarray(disparity, np.float64), "disparity"
    elif isinstance(depth, DepthMap):
        found, name = camera.disparity(np.asarray(depth.numpy().inverse_depth, np.float64)), "depth"
    else:
        depth, name = np.asarray(depth, np.float64), "depth"
        if (depth <= 0).any():
            raise ValueError(f"depth has {int((depth <= 0).sum())} values that are 0 or negative; depth is in metres, and "
                             "NaN where it is unknown")
        found = camera.disparity(1 / depth)
    if found.shape != shape:
        size = " x ".join(map(str, found.shape[::-1]))
        raise ValueError(f"{name} ({size} px) must have the size of the image ({shape[1]} x {shape[0]} px); nothing is "
                         "resized here")
    if not np.isfinite(found).any():
        raise ValueError(f"{name} has no finite value; every pixel is unknown")
    return np.where(np.isfinite(found), found, np.nan).astype(np.float32)
