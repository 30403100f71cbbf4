"""Render scenes through thin lenses: exact occlusion, breathing and half pupils, and the exact truth."""

from __future__ import annotations

import numpy as np

from dfd.optics import ThinLens
from dfd.simulate.pupil import SAMPLES, SMOOTHING, pupil_area, pupil_points
from dfd.simulate.scenes import Scene
from dfd.simulate.texture import pyramid


def render(scene: Scene, lenses, shape, *, pupils=None, samples=SAMPLES, progress=None) -> np.ndarray:
    """(K, H, W, 3) float32 linear radiance 0..1, free of noise: what each lens forms on its sensor.

    lenses     K ThinLens, all at the same entrance pupil; the image centre is the optical axis
    shape      (H, W) px
    pupils     K of "full", "left" or "right": the part of the entrance pupil that is open (x < 0 is left); None = full
    samples    four numbers of samples per pixel to choose from, see `pupil.SAMPLES`
    progress   called as progress(done, total) after every image
    Each pixel is the mean over its square and over the pupil, so brightness does not depend on the aperture.
    Breathing follows from the lens: a frame's scale is its fx.  Raises ValueError when counts do not match.
    """
    from dfd.kernels.render import gather

    lenses = tuple(lenses)
    pupils = ("full",) * len(lenses) if pupils is None else tuple(pupils)
    if len(pupils) != len(lenses):
        raise ValueError(f"{len(lenses)} lenses but {len(pupils)} pupils; give one pupil per lens")
    tables = {pupil: _point_table(pupil, samples) for pupil in set(pupils)}
    geometry, mapping = _tables(scene)
    texels, levels = _texel_table(scene)
    images = np.empty((len(lenses), *shape, 3), np.float32)
    for index, (lens, pupil) in enumerate(zip(lenses, pupils, strict=True)):
        optics = lens.fx, lens.focus, lens.pupil_diameter / 2, pupil_area(pupil)
        points, classes = tables[pupil]
        gather(geometry, mapping, texels, levels, _rays(lens, points), classes, SMOOTHING, optics, images[index])
        if progress is not None:
            progress(index + 1, len(lenses))
    return images


def render_views(scene: Scene, places, shape, *, fx: float, focus: float, samples: int = 31, progress=None) -> np.ndarray:
    """(K, H, W, 3) float32 linear radiance 0..1, free of noise: what pinholes at several places of a pupil see.

    places   (K, 2) x right, y down [m] from the middle of the pupil
    fx       px;   focus   inverse distance [dioptre] of the plane that all views show in the same pixels
    samples  rays per pixel, all through the pinhole and spread over the square of the pixel
    """
    from dfd.kernels.render import gather

    geometry, mapping = _tables(scene)
    texels, levels = _texel_table(scene)
    offsets = pupil_points("full", samples)[:, 2:].T
    classes = np.array([[0, offsets.shape[1]]], np.int64)
    images = np.empty((len(places), *shape, 3), np.float32)
    for index, place in enumerate(np.asarray(places, float)):
        pinhole = np.broadcast_to(place[:, None], offsets.shape)
        rays = np.ascontiguousarray(np.concatenate([pinhole, offsets / fx - pinhole * focus]))
        reach = float(np.abs(place).max())  # of the pupil, for what a pixel may see; no area, so no blur
        gather(geometry, mapping, texels, levels, rays, classes, SMOOTHING, (fx, focus, reach, 0.0), images[index])
        if progress is not None:
            progress(index + 1, len(places))
    return images


def true_inverse_depth(scene: Scene, lens: ThinLens, shape, *, place=(0.0, 0.0)) -> np.ndarray:
    """(H, W) float32 dioptres of what the chief ray through each pixel centre meets; NaN where it meets nothing.

    place   of a pinhole in the pupil, x right, y down [m], in place of its middle: a view of a light field whose zero
            disparity is the focus of the lens
    """
    from dfd.kernels.render import MISS, chief_depth

    depth, place = np.empty(shape, np.float64), np.asarray(place, float)
    ray = np.concatenate([place, -place * lens.focus])[:, None]
    chief_depth(_tables(scene)[0], lens.fx, ray, depth)
    return np.where(depth < MISS, 1 / depth, np.nan).astype(np.float32)


def _tables(scene):
    """The primitives as the kernel's `geometry` and `mapping`."""
    from dfd.kernels import render as kernel

    kinds = {"rectangle": kernel.RECTANGLE, "disc": kernel.DISC, "sphere": kernel.SPHERE}
    geometry = np.zeros((len(scene.primitives), kernel.COLUMNS))
    mapping = np.zeros((len(scene.primitives), kernel.TEXEL + 1))
    for row, texture_row, item in zip(geometry, mapping, scene.primitives, strict=True):
        row[kernel.KIND] = kinds[item.kind]
        row[kernel.CENTRE:kernel.CENTRE + 3] = item.centre
        row[kernel.AXIS_1:kernel.AXIS_1 + 3] = item.axes[0]
        row[kernel.AXIS_2:kernel.AXIS_2 + 3] = item.axes[1]
        row[kernel.NORMAL:kernel.NORMAL + 3] = item.normal
        row[kernel.HALF_1], row[kernel.HALF_2] = item.half
        row[kernel.REACH] = np.hypot(*item.half) if item.kind == "rectangle" else item.half[0]
        row[kernel.SHADE:kernel.SHADE + 4] = item.shade
        texture_row[:8] = (item.texture_map / np.array(item.texture.shape[1::-1])[:, None]).ravel()
        texture_row[kernel.TEXEL] = item.texel
    return geometry, mapping


def _texel_table(scene):
    """All pyramids in one flat array, and (P, L, 4) int64 start, row stride, height, width of every level.

    Two rows and columns are repeated behind the last ones, so that the kernel interpolates without wrapping.
    """
    parts, levels, start = [], [], 0
    for item in scene.primitives:
        rows = []
        for level in pyramid(item.texture):
            padded = np.pad(level, ((0, 2), (0, 2), (0, 0)), mode="wrap")
            rows.append((start, 3 * padded.shape[1], *level.shape[:2]))
            parts.append(padded.ravel())
            start += padded.size
        levels.append(rows)
    return np.concatenate(parts), np.array(levels, np.int64)


def _point_table(pupil, samples):
    """All sample sets of one pupil behind each other, (4, n), and (C, 2) int64 first point and count of each."""
    sets = [pupil_points(pupil, number) for number in samples]
    counts = [len(points) for points in sets]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.concatenate(sets).T, np.stack([first, counts], axis=1).astype(np.int64)


def _rays(lens, points):
    """(4, n): pupil point x, y [m], and the slope x, y that its ray has beyond the pixel's chief ray."""
    pupil = points[:2] * (lens.pupil_diameter / 2)
    return np.ascontiguousarray(np.concatenate([pupil, points[2:] / lens.fx - pupil * lens.focus]))
