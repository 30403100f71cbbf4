"""How well the lens is known: the part of the sigma of inverse depth that a calibration's own uncertainty gives.

What an image tells is its circle of confusion; the lens turns it into inverse depth = focus + coc / blur_rate.  With coc
fixed, a parameter p of the profile moves it by

    d inverse_depth / dp = d focus / dp - (inverse_depth - focus) d ln(blur_rate) / dp

and J C J^T over all parameters, C their covariance, is the variance.  Of several images, the one whose focus is nearest
counts: the frame at the peak of a stack, either image of a pair at one focus.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dfd.lensarrays import read_array
from dfd.lensfile import check_covariance, section
from dfd.profile import LensProfile
from dfd.settings import CameraSettings

ESTIMATOR = "disc_gauss_v1"
"""The estimator of blur whose diameter our solvers take: a disc with a Gaussian core."""

OTHER_ESTIMATOR = 0.03
"""Relative 1-sigma of the diameter where another estimator of blur defined it."""

_FX_POWERS = 10
_KNOWN = re.compile(r"a|b|d|spline\d+|z0|fx\d|D_\d+(\.\d+)?")


@dataclass(frozen=True, eq=False)
class LensSigma:
    """1-sigma [dioptre] of inverse depth from the lens alone, of the images of one capture; parameters in their own units.

    foci         (K,) focus of each image [dioptre]
    slopes       (K, P) d focus / dp
    gains        (K, P) d ln(blur_rate) / dp, on the pixel grid of the reference
    height       (P,) d (entrance pupil above the sensor mark) / dp [m], for depths from the mark
    covariance   (P, P)
    jitter       (K,) dioptre, of each image's own focus: independent of everything else
    """

    foci: np.ndarray
    slopes: np.ndarray
    gains: np.ndarray
    height: np.ndarray
    covariance: np.ndarray
    jitter: np.ndarray

    @classmethod
    def of(cls, profile: LensProfile, settings: Sequence[CameraSettings], reference: CameraSettings) -> LensSigma | None:
        """That of the images with these settings, registered to the image of `reference`.

        None where the measured focus law is not used for all of them, or the profile states no uncertainty.
        Raises OSError and ValueError for a covariance that cannot be read, as `lensarrays.read_array` does.
        """
        places = [profile.law_coordinate(one) for one in settings]
        base = profile.law_coordinate(reference)
        if None in (*places, base):
            return None
        names, covariance = parameters(profile)
        spread = section(profile.data, "focus").get("jitter_sigma_unit") or 0.0
        if not names and not spread:
            return None
        slopes = [profile.law.slopes(place) | _shift_slopes(profile, one)
                  for place, one in zip(places, settings, strict=True)]
        foci = np.array([profile.lens_from(one, reference).focus for one in settings])
        own = np.array([profile.thin_lens(one).focus for one in settings])
        seen = np.divide(foci, own, out=np.ones_like(own), where=own != 0)**2  # from the reference's pupil, not their own
        fx = {f"fx{power}": base**power / profile.fx(base) for power in range(_FX_POWERS)}
        return cls(
            foci=foci,
            slopes=np.array([[slope.get(name, 0.0) * scale for name in names]
                             for slope, scale in zip(slopes, seen, strict=True)]),
            gains=np.array([[fx.get(name, 0.0) + by_pupil.get(name, 0.0) for name in names]
                            for by_pupil in (_pupil_gains(profile, one) for one in settings)]),
            height=np.array([-1e-3 * (name == "z0") for name in names]), covariance=covariance,
            jitter=np.array([abs(slope["s"]) * spread * scale for slope, scale in zip(slopes, seen, strict=True)]))

    def __call__(self, inverse_depth, *, origin: str = "pupil") -> np.ndarray:
        """1-sigma [dioptre] at inverse depths from the entrance pupil, an array of any shape.

        origin   "sensor": that of a depth from the sensor mark, as a change of inverse depth from the pupil, which the
                 height of the pupil above the mark then adds to, with its covariance
        """
        depth = np.asarray(inverse_depth, dtype=float)[..., None]
        nearest = np.argmin(np.abs(depth - self.foci), axis=-1)
        slopes = self.slopes[nearest] - (depth - self.foci[nearest][..., None]) * self.gains[nearest]
        if origin == "sensor":
            slopes = slopes - depth**2 * self.height
        variance = np.einsum("...p,pq,...q->...", slopes, self.covariance, slopes) + self.jitter[nearest]**2
        return np.sqrt(np.maximum(variance, 0.0))


def parameters(profile: LensProfile) -> tuple[list[str], np.ndarray]:
    """(names, (P, P) covariance) of what the lens is uncertain in, in the units of the file's keys (mm, px, unit).

    "a", "b", "d", "spline0" .., "fx0" .., "z0", "D_<f-number>" of `covariance`, others are left out; then, as independent of
    them, what `covariance` does not name and the file states a sigma of, with "shift_<f-number>" [dioptre], the shift of
    focus of a stop, and "estimator" [1]: another estimator defined the diameters.
    """
    names, covariance = _stated(profile)
    alone = {}
    for stop in profile.data.get("aperture") or []:
        name = f"D_{stop.get('f_number_marked') or 0:g}"
        if stop.get("diameter_sigma_mm") and name not in names:
            alone[name] = stop["diameter_sigma_mm"]
        if stop.get("focus_shift_sigma_dpt"):
            alone[f"shift_{name[2:]}"] = stop["focus_shift_sigma_dpt"]
    height = section(profile.data, "reference", "z_ep_from_sensor_mm").get("sigma")
    if height and "z0" not in names:
        alone["z0"] = height
    if other_estimators(profile):
        alone["estimator"] = OTHER_ESTIMATOR
    count = len(names)
    whole = np.diag(np.array([0.0] * count + [sigma**2 for sigma in alone.values()]))
    whole[:count, :count] = covariance
    return [*names, *alone], whole


def other_estimators(profile: LensProfile) -> dict[float, str]:
    """Marked f-number -> the estimator that its diameter was defined with, where that is stated and not ours."""
    return {stop["f_number_marked"]: stop["defined_with"] for stop in profile.data.get("aperture") or []
            if stop.get("f_number_marked") and stop.get("defined_with") not in (None, ESTIMATOR)}


def _stated(profile):
    """(names, covariance) of `covariance` in the file, only of what is known here."""
    told = section(profile.data, "covariance")
    if not told.get("names"):
        return [], np.zeros((0, 0))
    matrix = told["matrix"]
    whole = check_covariance(told["names"], read_array(profile.data, matrix, profile.folder)
                             if isinstance(matrix, str) else matrix)
    known = [index for index, name in enumerate(told["names"]) if _KNOWN.fullmatch(name)]
    return [_spelled(told["names"][index]) for index in known], whole[np.ix_(known, known)]


def _spelled(name):
    """The name with its f-number as we write it: "D_4.0" is "D_4"."""
    return f"D_{float(name[2:]):g}" if name.startswith("D_") else name


def _shift_slopes(profile, settings):
    """"shift_<f-number>" -> d focus / d shift of one image: the shares of its neighbours, linear in log f-number."""
    if settings.f_number is None:
        return {}
    numbers = sorted({stop["f_number_marked"] for stop in profile.data.get("aperture") or [] if stop.get("f_number_marked")})
    return {f"shift_{number:g}": float(np.interp(np.log(settings.f_number.value), np.log(numbers), np.eye(len(numbers))[k]))
            for k, number in enumerate(numbers)}


def _pupil_gains(profile, settings):
    """Name -> d ln(pupil diameter) / dp of one image; {} where its diameter is stated or engraved."""
    if settings.pupil_diameter is not None:
        return {}
    weights = profile.stop_weights(settings.f_number.value)
    if not weights:
        return {}
    diameter, others = profile.pupil_diameter(settings.f_number.value), other_estimators(profile)
    found = {f"D_{number:g}": 1e-3 * weight / diameter for number, weight in weights.items()}
    foreign = [weight * profile.pupil_diameter(number) / diameter for number, weight in weights.items() if number in others]
    return found | {"estimator": sum(foreign)}
