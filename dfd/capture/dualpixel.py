"""The two views of a dual-pixel sensor: what either half of the pupil sees.

    disparity_px = disparity_rate * (inverse_depth - focus)        disparity_rate = kappa * blur_rate, px/dioptre

disparity > 0 nearer than focus: left(x) = right(x - disparity).  kappa is 4 / (3 pi) for ideal half discs alone; real
sensors mix the halves, and kappa and focus change over the picture (`dfd.field`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dfd.backend import array_module
from dfd.capture.base import Capture
from dfd.field import DualPixelField
from dfd.optics import ThinLens
from dfd.psf import IDEAL_KAPPA, Psf

AXES = ("x", "y")
"""Directions in which the two views may differ."""


@dataclass(frozen=True, eq=False, repr=False)
class DualPixelPair(Capture):
    """The left and the right half of the pupil, in this order: what is nearer than focus lies further right in `left`.

    kappa     disparity / coc, from capture.toml or calibration; None allows scale "affine" only
    field     kappa and focus over the picture, None: the same everywhere.  kappa is then that of the middle
    axis      "x", or "y" for views that differ along y: left is then the upper half, what is nearer lies further down in it
    y_scale   height of a pixel over its width (rows that the sensor summed); kappa, coc and disparity count widths, or
              heights where the axis is y
    orientation    EXIF 1..8: which way is up in the images, which are as the file stores them
    """

    kappa: float | None = None
    field: DualPixelField | None = None
    axis: str = "x"
    y_scale: float = 1.0
    orientation: int = 1

    kind = "dual-pixel"

    def _check(self):
        self.need_count(2)
        if self.field is not None:
            object.__setattr__(self, "kappa", self.field.middle(self.shape)[0])
        if self.kappa is not None and not self.kappa > 0:
            raise ValueError(f"kappa ({self.kappa:g}) must be positive; exchange left and right instead of a sign")
        if self.axis not in AXES:
            raise ValueError(f"axis ({self.axis!r}) must be x or y: the direction in which the views differ")
        if not 0.1 <= self.y_scale <= 10:
            raise ValueError(f"y_scale ({self.y_scale:g}) must lie between 0.1 and 10: the height of a pixel over its width")
        if self.scale == "metric":
            self.need_lenses()
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
        """kappa * blur_rate [px/dioptre], in the middle; disparity = disparity_rate * (inverse_depth - focus)."""
        if self.kappa is None or self.views[0].lens is None:
            raise ValueError("disparity_rate needs kappa and the optics; this pair is affine only")
        return self.kappa * self.views[0].lens.blur_rate

    def disparity_rates(self):
        """(H, W) float32 px/dioptre of every pixel.  Raises ValueError for an affine pair."""
        rate = self.disparity_rate
        return self._even(rate) if self.field is None else \
            self.field.over(self.field.kappa * self.views[0].lens.blur_rate, self.images)

    def foci(self):
        """(H, W) float32 inverse depth [dioptre] of zero disparity at every pixel; optics as `disparity_rate` needs them."""
        focus = self.views[0].lens.focus
        return self._even(focus) if self.field is None else self.field.over(focus + self.field.focus_offset, self.images)

    def inverse_depth(self, disparity, sigma):
        """(inverse depth, 1-sigma), (H, W) float32 dioptres each, of a disparity and its 1-sigma [px], the same shape.

        What calibration says of its own errors is part of sigma.  Raises ValueError for an affine pair.
        """
        xp, rate, focus = array_module(disparity, sigma), self.disparity_rates(), self.foci()
        away = disparity / rate
        if self.field is None:
            return (focus + away).astype(np.float32), (sigma / rate).astype(np.float32)
        slope = self.field.over(self.field.kappa_sigma / self.field.kappa, self.images)
        zero = self.field.over(self.field.focus_sigma, self.images)
        total = xp.sqrt((sigma / rate) ** 2 + (away * slope) ** 2 + zero**2)
        return (focus + away).astype(np.float32), total.astype(np.float32)

    def cut(self, images, top: int, left: int) -> DualPixelPair:
        """This pair with the part of its images that begins at (top, left) px; kappa is that of the part's middle."""
        field = None if self.field is None else self.field.cut(top, left)
        return replace(super().cut(images, top, left), field=field)

    def uniform(self) -> DualPixelPair:
        """The pair as if kappa and focus were everywhere those of its middle: their lens and PSFs, and no field."""
        if self.field is None:
            return self
        kappa, offset = self.field.middle(self.shape)
        views = [replace(view, lens=_refocused(view.lens, offset), psf=mixed(view.psf, kappa)) for view in self.views]
        return replace(self, views=views, kappa=kappa, field=None)

    def _even(self, value):
        return array_module(self.images).full(self.shape, np.float32(value), dtype=np.float32)


def _refocused(lens, offset):
    """The lens with its focus moved by so many dioptres."""
    return ThinLens.from_focus(lens.focus + offset, fx=lens.fx, pupil_diameter=lens.pupil_diameter,
                               pixel_pitch=lens.pixel_pitch)


def mixed(psf, kappa: float):
    """A half-pupil Psf whose views are kappa * coc apart: a mixture of both halves; another PSF as it is."""
    if not (isinstance(psf, Psf) and psf.model.startswith("half")):
        return psf
    return replace(psf, contrast=min(kappa / IDEAL_KAPPA, 1.0))
