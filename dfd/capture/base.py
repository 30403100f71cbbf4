"""K registered linear images of one scene and the optics of each: what every kind of capture is.

Axes are (K, H, W) = [image, y, x], y down.  Images are float32, 0 = black level, 1 = white level, NaN where a frame has
no data after registration.  Everything is checked here, once, so that solvers may trust it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from dfd.backend import array_module
from dfd.fieldpsf import FieldPsf
from dfd.measured import MeasuredPsf
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf

SCALES = {"metric": "dioptre", "stage": "m", "steps": "frame", "affine": "px"}
"""What a sweep coordinate or a result can be, and its unit."""


@dataclass(frozen=True)
class View:
    """The optics of one image.

    lens         its ThinLens, None where the optics are unknown
    psf          its PSF model, or measured kernels: a MeasuredPsf, a FieldPsf where they change over the picture
    noise        its noise, for images that run from 0 to 1
    coordinate   its place on a sweep, in the unit of the capture's scale; None where there is no sweep
    """

    lens: ThinLens | None
    psf: Psf | MeasuredPsf | FieldPsf
    noise: Noise
    coordinate: float | None = None

    def cut(self, top: int, left: int) -> View:
        """The view of a part of the picture that begins at (top, left) px."""
        return replace(self, psf=self.psf.cut(top, left)) if isinstance(self.psf, FieldPsf) else self


@dataclass(frozen=True, eq=False)
class Capture:
    """K >= 2 registered linear images and their K views; serves kind "views" as it is.

    images   (K, H, W) float32, NumPy or CuPy; kept as a read-only view, never written to
    views    K View
    scale    "metric" (dioptres), "stage" (m along a rail), "steps" (frame index) or "affine" (px)
    lens_map what a measured lens makes of the finished map, a `dfd.lensmap.LensMap`; None: nothing
    Raises TypeError for another array type or dtype, ValueError for shapes, counts or a scale that do not fit.
    """

    images: np.ndarray
    views: tuple[View, ...]
    scale: str = "metric"
    lens_map: Callable | None = field(default=None, kw_only=True)

    kind = "views"

    def __post_init__(self):
        images = self.images
        array_module(images)
        if not hasattr(images, "dtype") or str(images.dtype) != "float32":
            raise TypeError(f"images ({getattr(images, 'dtype', type(images).__name__)}) must be a float32 array, "
                            "linear and black-subtracted")
        if images.ndim != 3:
            raise ValueError(f"images (shape {tuple(images.shape)}) must have axes (K, H, W)")
        if images.shape[0] < 2:
            raise ValueError(f"a capture needs at least 2 images, this one has {images.shape[0]}; depth from defocus "
                             "compares images with different focus or aperture")
        object.__setattr__(self, "views", tuple(self.views))
        if len(self.views) != images.shape[0]:
            raise ValueError(f"{images.shape[0]} images but {len(self.views)} views; give one View per image")
        if self.scale not in SCALES:
            raise ValueError(f"scale ({self.scale!r}) must be one of {', '.join(SCALES)}")
        if isinstance(images, np.ndarray):
            images = images.view()
            images.flags.writeable = False
            object.__setattr__(self, "images", images)
        self._check()

    def _check(self):
        if self.scale == "metric":
            self.need_lenses()

    def cut(self, images, top: int, left: int) -> Capture:
        """This capture with other images: the part of its own that begins at (top, left) px."""
        return replace(self, images=images, views=[view.cut(top, left) for view in self.views])

    def need_count(self, count: int) -> None:
        """Raises ValueError unless there are so many images."""
        if len(self) != count:
            raise ValueError(f"a {self.kind} capture has exactly {count} images, not {len(self)}")

    def need_lenses(self) -> None:
        """Raises ValueError where the optics of an image are unknown."""
        for index, view in enumerate(self.views):
            if view.lens is None:
                raise ValueError(f"image {index} has no lens: a {self.scale} {self.kind} needs focal length, aperture, "
                                 "focus distance and pixel pitch of every image")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return tuple(self.images.shape[1:])

    def __len__(self):
        return len(self.views)

    def __repr__(self):
        height, width = self.shape
        return f"{type(self).__name__}({len(self)} images, {width} x {height} px, scale {self.scale})"

    def _repr_html_(self):
        rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in self._rows())
        first = "focus [dpt]" if all(view.lens is not None for view in self.views) else f"coordinate [{SCALES[self.scale]}]"
        head = f"<tr><th>image</th><th>{first}</th><th>blur rate [px/dpt]</th><th>f-number</th></tr>"
        return f"<p>{self!r}</p><table>{head}{rows}</table>"

    def _rows(self):
        for index, view in enumerate(self.views):
            lens = view.lens
            if lens is None:
                yield index, "-" if view.coordinate is None else f"{view.coordinate:g}", "-", "-"
            else:
                yield index, f"{lens.focus:.4f}", f"{lens.blur_rate:.2f}", f"{lens.f_number:.2f}"
