"""A light field in the computer: pinhole views of a textured scene with occlusion, and the exact disparity of each.

A pinhole X metres beside the middle sees the point at inverse depth q by  disparity = fx X (q - focus) px  further left, so
the scene and the rays of the lenses serve again (`dfd.simulate.render`): the views are what the pupil of a lens collects.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.lightfield import LightField, ViewCamera
from dfd.simulate.render import render_views, true_inverse_depth
from dfd.simulate.scenes import Scene, make_scene

IMAGE_DISTANCE, PIXEL_PITCH = 0.1, 0.035 / 512
"""Metres, of every simulated light field: those of the HCI benchmark at 512 px."""

_MOST_VIEWS, _MOST_REACH = 33, 8.0


def simulate_light_field(scene: str = "demo", *, size=(192, 256), views=9, nearest=0.55, farthest=0.98, reach=1.0, seed=0,
                         samples=31, progress=None) -> LightField:
    """A seeded light field with its camera and the exact disparity of the reference view.

    scene     name in SCENES;   size   (H, W) px
    views     number along each side of the pupil, or (rows, columns), odd
    nearest, farthest   working range [m from the pupil]
    reach     disparity at `nearest` [px per view step]; at `farthest` it is minus that
    samples   rays per pixel, see `render_views`;   progress   called as progress(done, total) after every view
    Raises ValueError for an unknown scene, an even number of views, or a range that is none.
    """
    rows, columns = (views, views) if isinstance(views, int) else views
    if not all(0 < number <= _MOST_VIEWS and number % 2 for number in (rows, columns)):
        raise ValueError(f"views ({rows} x {columns}) must be odd along each side, at most {_MOST_VIEWS}, so that one "
                         "stands in the middle")
    camera = light_field_camera(nearest=nearest, farthest=farthest, reach=reach)
    world = make_scene(scene, seed=seed, nearest=nearest, farthest=farthest, shape=size, fx=camera.fx)
    v, u = np.mgrid[:rows, :columns].reshape(2, -1) - np.array([[rows // 2], [columns // 2]], float)
    pictures = render_views(world, camera.baseline * np.stack([u, v], axis=1), size, fx=camera.fx, focus=camera.focus,
                            samples=samples, progress=progress)
    return LightField(pictures, u, v, camera, 1.0, view_disparity(world, camera, size), scene,
                      "simulated: u right, v down, disparity [px per view step] > 0 nearer")


def light_field_camera(*, nearest=0.55, farthest=0.98, reach=1.0) -> ViewCamera:
    """The camera of `simulate_light_field`: disparity runs from `reach` at `nearest` to -`reach` at `farthest`."""
    if not 0 < nearest < farthest < math.inf:
        raise ValueError(f"working range ({nearest:g} to {farthest:g} m) must be 0 < nearest < farthest, finite")
    if not 0 < reach <= _MOST_REACH:
        raise ValueError(f"reach ({reach:g} px per view step) must be positive and at most {_MOST_REACH:g}")
    rate = 2 * reach / (1 / nearest - 1 / farthest)
    return ViewCamera(rate * PIXEL_PITCH / IMAGE_DISTANCE, IMAGE_DISTANCE, PIXEL_PITCH, (1 / nearest + 1 / farthest) / 2)


def view_disparity(scene: Scene, camera: ViewCamera, shape, *, u: float = 0.0, v: float = 0.0) -> np.ndarray:
    """(H, W) float32 exact disparity [px per view step] of what the view at (u, v) [view steps] sees, in its own pixels.

    NaN where it sees nothing.
    """
    place = (u * camera.baseline, v * camera.baseline)
    seen = true_inverse_depth(scene, camera.thin_lens(camera.focus, 1.0), shape, place=place)
    return camera.disparity(seen.astype(float)).astype(np.float32)
