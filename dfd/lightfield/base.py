"""The light field: K pinhole views of one scene, where each stands in the pupil, and what is known of the depth.

    views[k](y - d v_k, x - d u_k) = views[reference](y, x)        for a point of disparity d(y, x)

u right, v down [view steps], so a nearer point (d > 0) lies further left in a view further right.  Positions, sign and what
a file left open are the reader's business; `convention` says in words what it took.  Honauer et al. 2016, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from html import escape

import numpy as np

from dfd.backend import array_module, to_numpy
from dfd.depthmap import DepthMap
from dfd.imaging import REC709
from dfd.kernels.shiftadd import shift_add
from dfd.lightfield import captures, densify, maps
from dfd.lightfield.aperture import extent, pupil_weights
from dfd.lightfield.camera import ViewCamera, virtual_camera


@dataclass(frozen=True, eq=False)
class LightField:
    """K views of one scene.

    views       (K, H, W, C) float32, linear, 0 = black, 1 = white; C = 1 or 3; kept as a read-only view
    u, v        (K,) places in the pupil, right and down [view steps]; one view, the reference, stands at (0, 0)
    camera      ViewCamera; None where the files do not say: then there is no metric depth, and no capture either
    spacing     distance of neighbouring views [view steps]; below 1 where views were synthesised between the given ones
    disparity   (H, W) float32 of the reference view [px per view step], positive = nearer than zero disparity, NaN =
                unknown; None where nothing is known
    name        of the scene;   convention   what the reader took for granted, in words
    Raises TypeError for another dtype, ValueError for shapes or positions that do not fit and an infinite disparity.
    """

    views: np.ndarray
    u: tuple[float, ...]
    v: tuple[float, ...]
    camera: ViewCamera | None = None
    spacing: float = 1.0
    disparity: np.ndarray | None = None
    name: str = ""
    convention: str = ""

    def __post_init__(self):
        views = self.views
        array_module(views)
        if str(getattr(views, "dtype", "")) != "float32":
            raise TypeError(f"views ({getattr(views, 'dtype', type(views).__name__)}) of a light field must be float32, "
                            "linear")
        if views.ndim != 4 or views.shape[3] not in (1, 3) or 0 in views.shape:
            raise ValueError(f"views (shape {tuple(views.shape)}) of a light field must have axes (K, H, W, 1 or 3)")
        for name in ("u", "v"):
            places = tuple(float(place) for place in getattr(self, name))
            if len(places) != len(views) or not np.isfinite(places).all():
                raise ValueError(f"{name} ({len(places)} places) must give one finite place [view steps] to each of the "
                                 f"{len(views)} views")
            object.__setattr__(self, name, places)
        if len(set(zip(self.u, self.v, strict=True))) < len(views):
            raise ValueError("two views of a light field stand at the same place of the pupil; give each its own")
        if (0.0, 0.0) not in zip(self.u, self.v, strict=True):
            raise ValueError("no view stands at (0, 0) of the pupil; count places from the view that is the reference")
        if not (np.isfinite(self.spacing) and self.spacing > 0):
            raise ValueError(f"spacing ({self.spacing:g} view steps) must be positive")
        if self.disparity is not None:
            maps.check_disparity(self.disparity, self.shape)
        for name in ("views", "disparity"):
            array = getattr(self, name)
            if isinstance(array, np.ndarray):
                array = array.view()
                array.flags.writeable = False
                object.__setattr__(self, name, array)

    def __len__(self):
        return len(self.u)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) px."""
        return tuple(self.views.shape[1:3])

    @property
    def reference(self) -> int:
        """Number of the view at (0, 0): all maps are in its pixel grid."""
        return list(zip(self.u, self.v, strict=True)).index((0.0, 0.0))

    @property
    def central(self):
        """(H, W, C) the reference view: sharp everywhere."""
        return self.views[self.reference]

    @cached_property
    def grey(self):
        """(K, H, W) float32 luminance of all views, Rec. 709."""
        if self.views.shape[3] == 1:
            return self.views[..., 0]
        xp = array_module(self.views)
        return xp.stack([view @ xp.asarray(REC709) for view in self.views])

    @property
    def extent(self) -> float:
        """Width [view steps] of the largest square pupil about the reference that the views fill: 9 for 9 x 9 views, 7 for
        8 x 8 (a pupil off the reference would move the picture), 1 for a single row."""
        return extent(self.u, self.v, self.spacing)

    @property
    def knows_depth(self) -> bool:
        """Whether the disparity of any pixel is known."""
        return self.disparity is not None and maps.finite_range(self.disparity) is not None

    @property
    def disparity_range(self) -> tuple[float, float]:
        """(least, largest) known disparity [px per view step].  Raises ValueError where none is known."""
        self._need_disparity()
        return maps.finite_range(self.disparity)

    def _need_disparity(self):
        if not self.knows_depth:
            raise ValueError(f"{self._called} has no disparity; give disparity_range=(least, largest) [px per view step], "
                             "or estimate one with dfd.reference_depth")

    @property
    def truth(self) -> DepthMap:
        """The known disparity as metric depth.  Raises ValueError without a camera or without disparity."""
        return self.to_depth(self.disparity_map)

    @property
    def disparity_map(self) -> DepthMap:
        """The known disparity [px per view step] as a DepthMap of scale affine; its sigma is unknown."""
        self._need_disparity()
        xp = array_module(self.disparity)
        return DepthMap(self.disparity, xp.full_like(self.disparity, np.nan), "affine", "light field")

    def to_depth(self, result: DepthMap) -> DepthMap:
        """A map of disparity (affine, px per view step) as a metric one; NaN where it lies beyond infinity.

        Raises ValueError for another scale, without a camera, and where most of what is known lies beyond infinity.
        """
        return maps.to_depth(result, self.need_camera())

    def to_disparity(self, result: DepthMap) -> DepthMap:
        """A metric map as disparity (affine, px per view step).  Raises ValueError for another scale or without a camera."""
        return maps.to_disparity(result, self.need_camera())

    def need_camera(self) -> ViewCamera:
        """The camera.  Raises ValueError where there is none."""
        if self.camera is None:
            raise ValueError(f"{self._called} comes without camera parameters, so there is no metric depth: compare in "
                             "disparity (disparity_map), give it a camera (with_camera), or assume one (virtual)")
        return self.camera

    def with_camera(self, camera: ViewCamera) -> LightField:
        """This light field taken by `camera`.  Raises ValueError where most known disparities would lie beyond infinity."""
        found = replace(self, camera=camera)
        if self.knows_depth:
            found.to_depth(found.disparity_map)
        return found

    def virtual(self, disparity_range=None) -> LightField:
        """This light field with an assumed camera, so that it yields captures; its `assumed` flag says so.

        Disparity is affine in inverse depth and blur depends on inverse depth alone, so with any camera the images are
        exactly those of a thin lens before some scene.  Shape is right up to a projective stretch along the axis; the
        scale in metres is free: a larger baseline makes the same images of a larger scene.  Chosen here: zero disparity
        at 1 m, a sensor 35 mm wide behind 100 mm for 512 px, f/1.8 for all views, but a baseline at least so wide that
        the least disparity lies within 10 m.
        """
        low = min(self.disparity_range if disparity_range is None else disparity_range)
        return self.with_camera(virtual_camera(low, self.shape, self.extent))

    def narrowed(self, pupil: float) -> LightField:
        """The views whose cells lie within a square pupil `pupil` view steps wide, the reference always: a smaller lens."""
        reach = (pupil - self.spacing) / 2 * (1 + 1e-9)
        kept = [k for k, (u, v) in enumerate(zip(self.u, self.v, strict=True)) if max(abs(u), abs(v)) <= max(reach, 0)]
        return replace(self, views=self.views[kept], u=[self.u[k] for k in kept], v=[self.v[k] for k in kept])

    def weights(self, pupil: float | None = None, *, shape: str = "disk", half=None) -> np.ndarray:
        """(K,) share of the light that each view brings, sum 1, for a pupil `pupil` view steps wide (default: `extent`).

        shape   disk | square | gaussian (pupil = 4 std);   half   None, or left | right of a dual pixel
        Raises ValueError as `aperture.pupil_weights`, beyond `extent` (but for a Gaussian), and where that is one view.
        """
        if not self.extent > self.spacing * (1 + 1e-9):
            raise ValueError(f"{self._called} has a single view along one axis of the pupil about its reference (extent "
                             f"{self.extent:g} view steps), so there is no aperture; take at least 3 x 3 views")
        pupil = self.extent if pupil is None else pupil
        if shape != "gaussian" and pupil > self.extent * (1 + 1e-6):
            raise ValueError(f"pupil ({pupil:g} view steps) must be at most {self.extent:g}: the views fill no more about "
                             "the reference, and a cut disk would be another aperture")
        return pupil_weights(self.u, self.v, self.spacing, pupil, shape=shape, half=half)

    def refocus(self, disparity: float, weights=None, *, colour: bool = False):
        """The picture focused on a disparity [px per view step]: (H, W) luminance, or (H, W, C) with `colour`.

        weights   (K,) of the views, default a disk as wide as `extent`.  NaN where less than half of the weight reaches.
        """
        weights = self.weights() if weights is None else weights
        dy, dx = (disparity * np.asarray(places) for places in (self.v, self.u))
        if not colour:
            return shift_add(self.grey, dy, dx, weights)
        xp = array_module(self.views)
        planes = [shift_add(xp.ascontiguousarray(self.views[..., channel]), dy, dx, weights)
                  for channel in range(self.views.shape[3])]
        return xp.stack(planes, axis=-1)

    def max_step(self, foci, disparity_range=None) -> float:
        """Largest motion between neighbouring views [px] in pictures focused at `foci` [px per view step].

        Below 1 px nine views across a pupil are within 2 % of a continuous one; above, views show as ghosts that focus
        measures take for texture: captures warn, and `densify` helps.  disparity_range default: that of the known disparity.
        """
        low, high = self.disparity_range if disparity_range is None else disparity_range
        foci = np.atleast_1d(to_numpy(foci))
        return float(self.spacing * max(abs(high - foci.min()), abs(foci.max() - low)))

    def focal_stack(self, foci, *, pupil=None, noise=None, seed=0):
        """A FocalStack focused at `foci` [dioptre], see `captures.focal_stack`."""
        return captures.focal_stack(self, foci, pupil=pupil, noise=noise, seed=seed)

    def aperture_pair(self, focus, *, pupils=None, side=None, noise=None, seed=0):
        """An AperturePair at one focus [dioptre], see `captures.aperture_pair`."""
        return captures.aperture_pair(self, focus, pupils=pupils, side=side, noise=noise, seed=seed)

    def dual_pixel(self, focus, *, pupil=None, noise=None, seed=0):
        """A DualPixelPair at one focus [dioptre], see `captures.dual_pixel`."""
        return captures.dual_pixel(self, focus, pupil=pupil, noise=noise, seed=seed)

    def quadruple(self, focus, *, power_step, pupil_step=0.2, pupil=None, noise=None, seed=0):
        """A DifferentialQuad about one focus [dioptre], see `captures.quadruple`."""
        return captures.quadruple(self, focus, power_step=power_step, pupil_step=pupil_step, pupil=pupil, noise=noise,
                                  seed=seed)

    def densify(self, count, disparity=None) -> LightField:
        """count x count views over the same pupil, warped from the nearest real ones, see `densify.densify`."""
        return densify.densify(self, count, disparity)

    @property
    def _called(self):
        return f"light field {self.name}" if self.name else "the light field"

    def __repr__(self):
        height, width = self.shape
        camera = "no camera" if self.camera is None else "assumed camera" if self.camera.assumed else "metric"
        return f"LightField({len(self)} views, {width} x {height} px, {camera})"

    def _repr_html_(self):
        camera = self.camera
        rows = [("views", len(self)), ("pupil [view steps]", f"{self.extent:g}, {self.spacing:g} apart"),
                ("size [px]", f"{self.shape[1]} x {self.shape[0]}")]
        if self.knows_depth:
            low, high = self.disparity_range
            rows.append(("disparity [px per view step]", f"{low:.3f} to {high:.3f}"))
        if camera is not None:
            rows += [("baseline [mm]", f"{1e3 * camera.baseline:.4g}"), ("fx [px]", f"{camera.fx:.1f}"),
                     ("zero disparity [dioptre]", f"{camera.focus:.4f}"),
                     ("disparity rate [px/dioptre per view step]", f"{camera.disparity_rate:.4f}"),
                     ("camera", "assumed: the scale of depth is free, and a projective stretch along the axis"
                      if camera.assumed else "as stated")]
        body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows)
        return f"<p>{escape(repr(self))}</p><table>{body}</table>"
