"""Textured scenes with exact geometry: planes, slants, steps, spheres, thin bars, and all of them together.

Coordinates are the camera's: metres from the entrance pupil, x right, y down, z forward.  Scenes are laid out in the
view of the camera (-1..1 across the image) and in dioptres between the farthest and the nearest distance, so the same
names serve a macro lens, a phone and a 50 mm lens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dfd.simulate.texture import MULTIPLE, flat_texture, natural_texture

ENDLESS = 1e6
"""Half width [m] of a plane without edges."""

_LIGHT = np.array([-0.5, -0.6, -0.62]) / math.hypot(0.5, 0.6, 0.62)
_LARGEST_TEXTURE = 4096


@dataclass(frozen=True, eq=False)
class Primitive:
    """One opaque textured surface.

    kind           "rectangle", "disc" or "sphere"
    centre         (3,) m
    axes           (2, 3) unit vectors in the plane, at right angles; unused by spheres
    half           (2,) half widths [m] along the axes; a disc or a sphere has its radius in both
    texture        (h, w, 3) float32 albedo, periodic
    texture_map    (2, 4): s, t [texels] = texture_map @ (x, y, z, 1) of a point on the surface
    texel          size of a texel across the line of sight [m]
    shade          (4,): brightness = shade @ (x, y, z, 1), times the albedo
    """

    kind: str
    centre: np.ndarray
    axes: np.ndarray
    half: tuple[float, float]
    texture: np.ndarray
    texture_map: np.ndarray
    texel: float
    shade: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit normal of a flat primitive."""
        return np.cross(self.axes[0], self.axes[1])


@dataclass(frozen=True, eq=False)
class Scene:
    """Primitives in front of a camera, within `nearest` to `farthest` metres of its entrance pupil."""

    name: str
    primitives: tuple[Primitive, ...]
    nearest: float
    farthest: float
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Stage:
    """Where a scene is laid out: the view of the camera and the working range."""

    nearest: float
    farthest: float
    shape: tuple[int, int]
    fx: float
    rng: np.random.Generator
    made: dict = field(default_factory=dict)

    def inverse_depth(self, share: float) -> float:
        """Dioptres at `share` of the range: 0 = farthest, 1 = nearest."""
        return 1 / self.farthest + share * (1 / self.nearest - 1 / self.farthest)

    def tangents(self, x: float, y: float) -> tuple[float, float]:
        """Slopes of the line of sight at (x, y), -1..1 across the image's width and height."""
        return x * self.shape[1] / (2 * self.fx), y * self.shape[0] / (2 * self.fx)

    def point(self, x: float, y: float, share: float) -> np.ndarray:
        """(3,) m, what the camera sees at (x, y) and at `share` of the range."""
        z = 1 / self.inverse_depth(share)
        u, v = self.tangents(x, y)
        return np.array([u * z, v * z, z])

    def length(self, fraction: float, share: float) -> float:
        """Metres that cover `fraction` of half the image's height at `share` of the range."""
        return fraction * self.tangents(0, 1)[1] / self.inverse_depth(share)

    def surface(self, kind, centre, axes, half, share, *, extent, shade, flat=False) -> Primitive:
        """A primitive with its own texture of half a pixel per texel at `share`, over `extent` (y, x) metres."""
        texel = 0.5 / (self.fx * self.inverse_depth(share))
        size = tuple(min(MULTIPLE * math.ceil(length / texel / MULTIPLE), _LARGEST_TEXTURE) for length in extent)
        texture = flat_texture((MULTIPLE, MULTIPLE)) if flat else natural_texture(size, self.rng)
        texture_map = np.zeros((2, 4))
        texture_map[0, 0] = texture_map[1, 1] = 1 / texel
        texture_map[:, 3] = (extent[1] / 2 - centre[0]) / texel, (extent[0] / 2 - centre[1]) / texel
        return Primitive(kind, np.asarray(centre, float), np.asarray(axes, float), half, texture, texture_map, texel,
                         np.asarray(shade, float))

    def plane(self, far_share, near_share, *, direction=(0.0, 1.0), shade=0.9) -> Primitive:
        """An endless plane: `far_share` at one side of the image, `near_share` at the side where `direction` points."""
        middle = self.inverse_depth((far_share + near_share) / 2)
        u, v = self.tangents(1, 1)
        slope = (self.inverse_depth(near_share) - middle) / (abs(direction[0]) + abs(direction[1]))
        normal = np.array([slope * direction[0] / u, slope * direction[1] / v, middle])
        first = np.cross(normal, (0.0, 1.0, 0.0))
        first /= np.linalg.norm(first)
        second = np.cross(normal, first)
        second /= np.linalg.norm(second)
        z = 1 / self.inverse_depth(far_share)
        extent = 2.3 * v * z, 2.3 * u * z
        return self.surface("rectangle", (0, 0, 1 / middle), (first, second), (ENDLESS, ENDLESS), near_share,
                            extent=extent, shade=(0, 0, 0, shade))

    def rectangle(self, x, y, share, width, height, *, angle=0.0, shade=0.9, flat=False) -> Primitive:
        """A rectangle that faces the camera; width and height in units of half the image's height, angle in rad."""
        half = self.length(width, share) / 2, self.length(height, share) / 2
        axes = (math.cos(angle), math.sin(angle), 0), (-math.sin(angle), math.cos(angle), 0)
        reach = 2 * math.hypot(*half)
        extent = (reach, reach) if angle else (2 * half[1], 2 * half[0])
        return self.surface("rectangle", self.point(x, y, share), axes, half, share, extent=extent,
                            shade=(0, 0, 0, shade), flat=flat)

    def bar(self, start, end, width, *, shade=0.95) -> Primitive:
        """A thin bar between two points (x, y, share); width in units of half the image's height at the nearer end."""
        a, b = self.point(*start), self.point(*end)
        along = (b - a) / np.linalg.norm(b - a)
        across = np.cross((0.0, 0.0, 1.0), along)
        across /= np.linalg.norm(across)
        share = max(start[2], end[2])
        half = float(np.linalg.norm(b - a)) / 2, self.length(width, share) / 2
        extent = tuple(np.abs(b - a)[[1, 0]] + 2 * half[1])
        return self.surface("rectangle", (a + b) / 2, (along, across), half, share, extent=extent,
                            shade=(0, 0, 0, shade))

    def sphere(self, x, y, share, radius) -> Primitive:
        """A sphere whose nearest point is at `share`, lit from above; radius in units of half the image's height."""
        size = self.length(radius, share)
        centre = self.point(x, y, share)
        centre = centre * (1 + size / centre[2])
        light = 0.38 * _LIGHT / size
        shade = (*light, 0.62 - light @ centre)
        return self.surface("sphere", centre, ((1, 0, 0), (0, 1, 0)), (size, size), share,
                            extent=(2 * size, 2 * size), shade=shade)


def _plane(stage):
    return [stage.plane(0.5, 0.5)]


def _slant(stage):
    return [stage.plane(0.08, 0.92, direction=(1.0, 1.0))]


def _step(stage):
    return [stage.plane(0.25, 0.25), stage.rectangle(-1.5, 0, 0.75, 1.5 * 2 * stage.shape[1] / stage.shape[0], 8)]


def _sphere(stage):
    return [stage.plane(0.15, 0.15), stage.sphere(0, 0, 0.85, 0.75)]


def _thin(stage):
    bars = [stage.bar((-0.85 + 0.34 * i, -1.2, 0.75), (-0.75 + 0.36 * i, 1.2, 0.75), 0.02 * 1.6**i) for i in range(6)]
    return [stage.plane(0.15, 0.35), *bars]


def _slant_sphere(stage):
    return [stage.plane(0.08, 0.75, direction=(0.3, 1.0)), stage.sphere(0.1, 0.0, 0.9, 0.6)]


def _demo(stage):
    return [
        stage.plane(0.08, 0.45, direction=(0.25, 1.0)),
        stage.sphere(-0.5, 0.1, 0.8, 0.58),
        stage.rectangle(0.46, 0.32, 0.55, 0.75, 0.9, angle=0.12),
        stage.rectangle(0.6, 0.5, 0.72, 0.62, 0.62, angle=-0.1, shade=0.8),
        stage.rectangle(0.1, -0.62, 0.3, 0.44, 0.4, angle=0.05, shade=0.95, flat=True),
        stage.bar((0.42, -1.3, 0.9), (0.62, 0.1, 0.5), 0.05),
        stage.bar((0.62, -1.3, 0.9), (0.86, 0.0, 0.9), 0.1),
        stage.bar((0.9, -1.3, 0.35), (0.9, -0.1, 0.8), 0.03, shade=0.7),
    ]


SCENES = {
    "plane": _plane,
    "slant": _slant,
    "step": _step,
    "sphere": _sphere,
    "thin": _thin,
    "slant-sphere": _slant_sphere,
    "demo": _demo,
}
"""Name of every scene and the function that lays it out."""


def make_scene(name, *, seed=0, nearest=None, farthest=None, shape=(400, 600), fx=9170.0) -> Scene:
    """A seeded scene that fills the view of a camera.

    name       one of SCENES
    nearest, farthest   working range, metres from the entrance pupil; 0.55 and 0.98 when None
    shape, fx  (H, W) in px and image distance in px of the camera that will look at it: they set the size of things
               and of the texture's texels (half a pixel where the surface is nearest)
    Raises ValueError for an unknown name or a range that is not 0 < nearest < farthest.
    """
    nearest = 0.55 if nearest is None else nearest
    farthest = 0.98 if farthest is None else farthest
    if name not in SCENES:
        raise ValueError(f"scene ({name!r}) must be one of {', '.join(SCENES)}")
    if not 0 < nearest < farthest < math.inf:
        raise ValueError(f"working range ({nearest:g} to {farthest:g} m) must be 0 < nearest < farthest, finite")
    stage = _Stage(nearest, farthest, tuple(shape), fx, np.random.default_rng([seed, 1]))
    return Scene(name, tuple(SCENES[name](stage)), nearest, farthest, seed)
