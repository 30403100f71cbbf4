"""Render scenes through thin lenses: exact occlusion, breathing and half pupils, and the exact truth."""

from __future__ import annotations

import numpy as np

from dfd.noise import Noise
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


def true_inverse_depth(scene: Scene, lens: ThinLens, shape) -> np.ndarray:
    """(H, W) float32 dioptres of what the chief ray through each pixel centre meets; NaN where it meets nothing."""
    from dfd.kernels.render import MISS, chief_depth

    depth = np.empty(shape, np.float64)
    chief_depth(_tables(scene)[0], lens.fx, depth)
    return np.where(depth < MISS, 1 / depth, np.nan).astype(np.float32)


def expose(images, noise: Noise, rng: np.random.Generator) -> np.ndarray:
    """`images` (any shape, 0 = black, 1 = white) with Poisson-Gaussian noise: float32, neither clipped nor rounded."""
    electrons = rng.poisson(np.maximum(images, 0) * noise.gain).astype(np.float32)
    if noise.read_noise > 0:
        electrons += np.float32(noise.read_noise) * rng.standard_normal(electrons.shape, dtype=np.float32)
    return electrons / np.float32(noise.gain)


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
