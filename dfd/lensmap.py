"""What a measured lens makes of a solved map: focus over the picture, limits of what was measured, the lens's own sigma.

    inverse_depth = solved + field(x, y) + axial        the plane in focus is curved and tilted, and differs by colour
    NaN outside the depths and blurs that were measured: nothing is extrapolated
    sigma = hypot(solved, that of the lens)

The field is added once, whatever the solver, in the grid of the reference.  It is fixed to the sensor, so that frames which
breathe see it a little larger or smaller: 13 % of breathing over a stack cost up to .2 % of depth in the corners.  For
frames whose focus comes from the focus law of a LensProfile; there is none otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dfd.backend import array_module
from dfd.depthmap import DepthMap
from dfd.lensfile import is_newer, section
from dfd.lenssigma import ESTIMATOR, OTHER_ESTIMATOR, LensSigma, other_estimators
from dfd.optics import ThinLens
from dfd.profile import LensProfile
from dfd.settings import CameraSettings

_NODES = 4096
_BAND_PIXELS = 1 << 18
"""Places of the table of sigma; pixels that are looked up at a time, so that they stay in the cache."""

_RANKED = 100_000
"""Most pixels whose sigma is ranked."""

_WORTH_TELLING = 0.001
"""Share of the depths outside the limits from which on it is told."""

_MOSAIC, _DEVELOPED = (0.25, 0.25), (0.2126, 0.0722)
"""Shares of red and blue in the luminance that is solved: a Bayer mosaic's (R + 2 G + B) / 4, Rec. 709 elsewhere."""


@dataclass(frozen=True, eq=False)
class LensMap:
    """The correction of one capture's map, called with a metric DepthMap of its size.

    name       of the profile, for sentences
    size       (H, W) px of the pictures as the camera gives them;   reduction   whole factor by which the map is smaller
    terms      term of field.focus_offset_dpt -> coefficient [dioptre];   axial   dioptre, added everywhere
    limits     (nearest, farthest) inverse depth [dioptre] that was measured;   sigma   LensSigma; None where not stated
    half_diagonal   px of the whole picture that the field was measured on, None: that of `size`
    """

    name: str
    size: tuple[int, int]
    reduction: int
    terms: dict[str, float]
    axial: float
    limits: tuple[float, float] | None
    sigma: LensSigma | None
    half_diagonal: float | None = None

    @classmethod
    def of(cls, profile: LensProfile, settings: Sequence[CameraSettings], reference: CameraSettings, *, size, reduction=1,
           mosaic=False, field=True) -> LensMap | None:
        """That of images with these settings, registered to the image of `reference`.

        mosaic   the images are the luminance of Bayer mosaics;   field   False: focus over the picture is known otherwise
        None where the measured focus law is not used for all of them, or the profile states nothing of this.
        Raises OSError and ValueError for a covariance that cannot be read.
        """
        if any(profile.law_coordinate(one) is None for one in (*settings, reference)):
            return None
        told = section(profile.data, "field", "focus_offset_dpt")
        terms = dict(zip(told.get("terms") or (), told.get("coef") or (), strict=True)) if field else {}
        colour = section(profile.data, "field", "axial_colour_dpt")
        shares = _MOSAIC if mosaic else _DEVELOPED
        axial = sum(share * (colour.get(name) or 0.0) for name, share in zip("RB", shares, strict=True)) if field else 0.0
        limits = _limits(profile, [profile.lens_from(one, reference) for one in settings])
        sigma = LensSigma.of(profile, settings, reference)
        if not any(terms.values()) and not axial and limits is None and sigma is None:
            return None
        return cls(profile.name, tuple(size), reduction, {name: value for name, value in terms.items() if value}, axial,
                   limits, sigma, told.get("half_diagonal_px"))

    def __call__(self, result: DepthMap, *, origin: str = "pupil") -> DepthMap:
        """The corrected map, with the sigma of the lens in its own; on the device where it is.

        origin   "sensor": sigma is that of depths from the sensor mark, see LensSigma
        """
        xp, shape = array_module(result.values), result.shape
        table, limits = self._table(result, origin), self.limits or (np.inf, -np.inf)
        values, sigma = xp.empty(shape, dtype=np.float32), xp.empty(shape, dtype=np.float32)
        rows = max(_BAND_PIXELS // shape[1], 1) if xp is np else shape[0]
        for top in range(0, shape[0], rows):
            band = slice(top, top + rows)
            part, own = result.values[band], result.sigma[band]
            if self.terms or self.axial:
                part = part + self._offset(shape, band, xp)
            known = (part <= np.float32(limits[0])) & (part >= np.float32(limits[1]))
            values[band] = xp.where(known, part, np.float32(np.nan))
            if table is not None:
                own = xp.sqrt(own * own + table(part) ** 2)
            sigma[band] = xp.where(known, own, np.float32(np.nan))
        return replace(result, values=values, sigma=sigma)

    def offset(self, shape) -> np.ndarray:
        """(H, W) float32 dioptres of the field and of colour over a map of `shape`."""
        return self._offset(shape, slice(0, shape[0]), np)

    def lens_sigma(self, values, *, origin: str = "pupil") -> np.ndarray:
        """1-sigma [dioptre] at corrected inverse depths, a NumPy array, from the lens alone; 0 where it is not stated."""
        return np.zeros(values.shape) if self.sigma is None else self.sigma(values, origin=origin)

    def _offset(self, shape, rows, xp):
        """Some rows of `offset`."""
        height, width = self.size
        half, middle = self.half_diagonal or np.hypot(width, height) / 2, (self.reduction - 1) / 2
        places = [(xp.arange(length, dtype=np.float32) * self.reduction + np.float32(middle - (whole - 1) / 2))
                  / np.float32(half) for length, whole in ((shape[1], width), (shape[0], height))]
        across, down = places[0], places[1][rows, None]
        square = across**2 + down**2
        parts = {"x": across, "y": down, "r2": square, "r4": square**2}
        total = xp.full(square.shape, self.axial, dtype=np.float32)
        for name, value in self.terms.items():
            total += np.float32(value) * parts[name]
        return total

    def _table(self, result, origin):
        """A function of float32 inverse depths: sigma of the lens, from a table over those of a map; None: not stated."""
        values, known = result.values, result.valid
        if self.sigma is None or not bool(known.any()):
            return None
        xp, reach = array_module(values), sum(map(abs, self.terms.values())) + abs(self.axial)  # no term exceeds 1
        low, high = (float(pick(values[known])) for pick in (xp.min, xp.max))
        low, high = low - reach, high + reach
        step = max((high - low) / _NODES, 1e-9)
        nodes = self.sigma(low + step * np.arange(_NODES + 1), origin=origin)
        table, rise = (xp.asarray(part, dtype=np.float32) for part in (nodes[:-1], np.diff(nodes)))

        def looked_up(part):
            place = xp.fmax((part - np.float32(low)) * np.float32(1 / step), np.float32(0))
            place = xp.minimum(place, np.float32(_NODES - 1e-3))
            index = place.astype(np.int32)
            return table[index] + (place - index) * rise[index]

        return looked_up

    def remarks(self, before: DepthMap, after: DepthMap) -> tuple[str, ...]:
        """A sentence when much of a map lay outside the limits;   before, after   the map before and after correction."""
        share = self.outside(before, after)
        if share < _WORTH_TELLING:
            return ()
        near, far = (1 / limit if limit > 0 else np.inf for limit in self.limits)
        return (f"{share:.1%} of the depths lie outside {near:.3g} to {far:.3g} m from the entrance pupil, where lens "
                f"profile {self.name} was measured, and are unknown: nothing is extrapolated; calibrate more distances",)

    def outside(self, before: DepthMap, after: DepthMap) -> float:
        """Share of the depths of a map that lie outside the limits."""
        found = int(before.valid.sum())
        return 1 - int(after.valid.sum()) / found if found and self.limits is not None else 0.0

    def searched(self, limits):
        """(nearest, farthest) inverse depth that a solver must search for depths within `limits`; None stays None."""
        if limits is None or not (self.terms or self.axial):
            return limits
        offset = self.offset(tuple(length // self.reduction for length in self.size))
        return limits[0] - float(offset.min()), limits[1] - float(offset.max())

    def figures(self, before: DepthMap, after: DepthMap, *, origin: str = "pupil") -> dict:
        """What result.json says of it: see io.record."""
        near, far = self.limits or (None, None)
        values, own = (part.ravel()[::part.size // _RANKED + 1] for part in (after.values, after.sigma))
        known = np.isfinite(values) & np.isfinite(own)
        lens = self.lens_sigma(values[known], origin=origin)
        shares = (lens / np.maximum(own[known], np.float32(1e-30)))**2
        return {
            "valid_depth_m": None if near is None else [1 / near, 1 / far if far > 0 else np.inf],
            "outside_share": self.outside(before, after),
            "field_dpt": self.terms, "axial_dpt": self.axial,
            "sigma": None if self.sigma is None or not shares.size else {
                "median_dpt": float(np.median(lens)), "variance_share": float(np.median(shares))},
        }


def profile_remarks(profile: LensProfile) -> tuple[str, ...]:
    """Sentences about a profile that hold for every capture: a newer version, diameters of another estimator."""
    found = []
    if is_newer(profile.data):
        found.append(f"lens profile {profile.name} has schema_version {profile.data['schema_version']}, newer than this dfd "
                     "knows; its new keys are not used; update dfd")
    others = other_estimators(profile)
    if others:
        stops = ", ".join(f"f/{number:g}: {name}" for number, name in others.items())
        found.append(f"lens profile {profile.name} states diameters that another estimator of blur defined ({stops}, not "
                     f"{ESTIMATOR}); they are taken as {OTHER_ESTIMATOR:.0%} uncertain; calibrate again")
    return tuple(found)


def _limits(profile: LensProfile, lenses: Sequence[ThinLens]):
    """(nearest, farthest) inverse depth [dioptre] of what was measured, by distance and by blur; None: not stated."""
    told = section(profile.data, "validity")
    nearest, farthest = np.inf, -np.inf
    if told.get("z_from_ep_mm"):
        nearest, farthest = (1000.0 / limit for limit in told["z_from_ep_mm"])
    if told.get("c_abs_px"):
        most = told["c_abs_px"][1]
        nearest = min(nearest, max(lens.focus + most / lens.blur_rate for lens in lenses))
        farthest = max(farthest, min(lens.focus - most / lens.blur_rate for lens in lenses))
    return None if nearest == np.inf else (nearest, farthest)
