"""A capture: K registered linear images of one scene and the optics of each; four kinds check their own story.

Axes are (K, H, W) = [image, y, x], y down.  Images are float32, 0 = black level, 1 = white level, NaN where a frame has
no data after registration.  Everything is checked here, once, so that solvers may trust it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd.backend import array_module
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf

SCALES = {"metric": "dioptre", "stage": "m", "steps": "frame", "affine": "px"}
"""What a sweep coordinate or a result can be, and its unit."""


@dataclass(frozen=True)
class View:
    """The optics of one image.

    lens         its ThinLens, None where the optics are unknown
    psf          its PSF model
    noise        its noise, for images that run from 0 to 1
    coordinate   its place on a sweep, in the unit of the capture's scale; None where there is no sweep
    """

    lens: ThinLens | None
    psf: Psf
    noise: Noise
    coordinate: float | None = None


@dataclass(frozen=True, eq=False)
class Capture:
    """K >= 2 registered linear images and their K views; serves kind "views" as it is.

    images   (K, H, W) float32, NumPy or CuPy; kept as a read-only view, never written to
    views    K View
    scale    "metric" (dioptres), "stage" (m along a rail), "steps" (frame index) or "affine" (px)
    Raises TypeError for another array type or dtype, ValueError for shapes, counts or a scale that do not fit.
    """

    images: np.ndarray
    views: tuple[View, ...]
    scale: str = "metric"

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
            self._need_lenses()

    def _need_lenses(self):
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
        head = "<tr><th>image</th><th>focus [dpt]</th><th>blur rate [px/dpt]</th><th>f-number</th></tr>"
        return f"<p>{self!r}</p><table>{head}{rows}</table>"

    def _rows(self):
        for index, view in enumerate(self.views):
            lens = view.lens
            if lens is None:
                yield index, view.coordinate, "-", "-"
            else:
                yield index, f"{lens.focus:.4f}", f"{lens.blur_rate:.2f}", f"{lens.f_number:.2f}"


@dataclass(frozen=True, eq=False, repr=False)
class FocalStack(Capture):
    """A sweep of focus at one aperture: every view has a coordinate, no two are equal.

    scale "metric": the coordinate is the focus of the view's lens [dioptre]; "stage": rail position [m];
    "steps": frame index.  Frames may stand in any order.
    """

    kind = "focal-stack"

    def _check(self):
        if self.scale == "affine":
            raise ValueError("a focal stack has scale metric, stage or steps, not affine")
        if self.scale == "metric":
            self._need_lenses()
        seen: dict[float, int] = {}
        for index, view in enumerate(self.views):
            if view.coordinate is None or not math.isfinite(view.coordinate):
                raise ValueError(f"image {index} of the focal stack has no coordinate on the sweep; "
                                 f"give each View its coordinate [{SCALES[self.scale]}]")
            if self.scale == "metric" and not math.isclose(view.coordinate, view.lens.focus, abs_tol=1e-9):
                raise ValueError(f"image {index}: coordinate ({view.coordinate:g} dioptre) must be its lens's focus "
                                 f"({view.lens.focus:g} dioptre)")
            if view.coordinate in seen:
                raise ValueError(f"images {seen[view.coordinate]} and {index} have the same focus "
                                 f"({view.coordinate:g} {SCALES[self.scale]}); every image of a stack needs its own")
            seen[view.coordinate] = index

    @property
    def coordinates(self) -> tuple[float, ...]:
        """The sweep's coordinate of each image, in the unit of the scale."""
        return tuple(view.coordinate for view in self.views)


@dataclass(frozen=True, eq=False, repr=False)
class AperturePair(Capture):
    """Two apertures at one focus.  `side` ("near" or "far" of focus) is physically ambiguous, so never guessed."""

    side: str | None = None

    kind = "aperture-pair"

    def _check(self):
        _need_count(self, 2)
        self._need_lenses()
        if self.side not in ("near", "far"):
            raise ValueError(f"side ({self.side!r}) of an aperture pair must be near or far: two apertures cannot tell "
                             'on which side of focus the scene lies; add side = "far" (or "near") to capture.toml')
        diameters = [view.lens.pupil_diameter for view in self.views]
        if math.isclose(*diameters, rel_tol=1e-3):
            raise ValueError(f"both images have the same aperture ({diameters[0] * 1e3:g} mm pupil); give each its "
                             "f_number")

    @property
    def _order(self):
        wide = 0 if self.views[0].lens.pupil_diameter > self.views[1].lens.pupil_diameter else 1
        return wide, 1 - wide

    @property
    def wide(self):
        """(H, W) image with the larger pupil."""
        return self.images[self._order[0]]

    @property
    def narrow(self):
        """(H, W) image with the smaller pupil."""
        return self.images[self._order[1]]


@dataclass(frozen=True, eq=False, repr=False)
class DualPixelPair(Capture):
    """The left and the right half of the pupil, in this order: what is nearer than focus lies further right in `left`.

    kappa   disparity / coc, from capture.toml or calibration; None allows scale "affine" only
    """

    kappa: float | None = None

    kind = "dual-pixel"

    def _check(self):
        _need_count(self, 2)
        if self.kappa is not None and not self.kappa > 0:
            raise ValueError(f"kappa ({self.kappa:g}) must be positive; exchange left and right instead of a sign")
        if self.scale == "metric":
            self._need_lenses()
            if self.kappa is None:
                raise ValueError("a metric dual-pixel pair needs kappa (disparity / coc): add it to capture.toml or "
                                 "use a calibrated lens profile; without it the result is affine")
        elif self.scale != "affine":
            raise ValueError(f"a dual-pixel pair has scale metric or affine, not {self.scale}")

    @property
    def left(self):
        """(H, W) what the left half of the entrance pupil sees."""
        return self.images[0]

    @property
    def right(self):
        """(H, W) what the right half of the entrance pupil sees."""
        return self.images[1]

    @property
    def disparity_rate(self) -> float:
        """kappa * blur_rate [px/dioptre]; disparity = disparity_rate * (inverse_depth - focus), positive nearer."""
        if self.kappa is None or self.views[0].lens is None:
            raise ValueError("disparity_rate needs kappa and the optics; this pair is affine only")
        return self.kappa * self.views[0].lens.blur_rate


_LEAST_STEP = 1e-6
"""Least step of power or pupil between two images of a quad, as a share; less is none."""


@dataclass(frozen=True, eq=False, repr=False)
class DifferentialQuad(Capture):
    """Four images, in this order: power minus, power plus (one aperture), aperture minus, aperture plus (one power)."""

    kind = "differential-quad"

    def _check(self):
        _need_count(self, 4)
        self._need_lenses()
        minus, plus, small, large = (view.lens for view in self.views)
        _check_step("power", minus.power, plus.power, "dpt", "power_dpt")
        _check_step("aperture", small.pupil_diameter * 1e3, large.pupil_diameter * 1e3, "mm", "pupil_diameter_mm")

    @property
    def power_minus(self):
        """(H, W) image at the lower optical power."""
        return self.images[0]

    @property
    def power_plus(self):
        """(H, W) image at the higher optical power."""
        return self.images[1]

    @property
    def aperture_minus(self):
        """(H, W) image at the smaller pupil."""
        return self.images[2]

    @property
    def aperture_plus(self):
        """(H, W) image at the larger pupil."""
        return self.images[3]


def _check_step(name, minus, plus, unit, key):
    """Refuse two images of a quad without a step between them, or with one the wrong way."""
    if plus > minus and not math.isclose(minus, plus, rel_tol=_LEAST_STEP):
        return
    likely = "are they exchanged" if plus < minus else "is it the same image twice"
    raise ValueError(f"{name}-plus ({plus:g} {unit}) must exceed {name}-minus ({minus:g} {unit}); {likely}? "
                     f"correct role or {key} in capture.toml")


def _need_count(capture, count):
    if len(capture) != count:
        raise ValueError(f"a {capture.kind} capture has exactly {count} images, not {len(capture)}")


CAPTURES = {cls.kind: cls for cls in (FocalStack, AperturePair, DualPixelPair, DifferentialQuad, Capture)}
"""Capture class of every kind that capture.toml may name."""
