"""The kinds of capture that check their own story: focal stack, aperture pair, differential quad."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dfd.capture.base import SCALES, Capture


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
            self.need_lenses()
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
        self.need_count(2)
        self.need_lenses()
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


_LEAST_STEP = 1e-6
"""Least step of power or pupil between two images of a quad, as a share; less is none."""


@dataclass(frozen=True, eq=False, repr=False)
class DifferentialQuad(Capture):
    """Four images, in this order: power minus, power plus (one aperture), aperture minus, aperture plus (one power)."""

    kind = "differential-quad"

    def _check(self):
        self.need_count(4)
        self.need_lenses()
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
