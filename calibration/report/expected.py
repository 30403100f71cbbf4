"""What to expect of depth: 1-sigma over the range, of the lens as its covariance says, and of the blur of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.report.profile_data import ProfileData
from dfd.lenssigma import LensSigma
from dfd.settings import CameraSettings, Value

BLUR_ERROR = 0.05
"""1-sigma [px] of the blur that a solver finds in a textured place of a usual picture."""

DEPTHS = (0.6, 1.0, 1.5, 2.4)
"""Metres at which the table states sigma."""

_FRAMES = 33


@dataclass(frozen=True, eq=False)
class Expected:
    """1-sigma of depth [m] at depths [m] from the entrance pupil: lens (None: the profile states no sigma), image."""

    depth: np.ndarray
    lens: np.ndarray | None
    image: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Both together."""
        return self.image if self.lens is None else np.hypot(self.lens, self.image)


def expect(report: ProfileData, depths=None) -> Expected | None:
    """Of a stack over the whole range at the widest aperture that was measured, every depth seen where it is in focus.

    depths   m; None: 97 over what was measured, evenly in dioptres.  None where the profile has no focus law or pupil.
    """
    limits, stops = report.depths, report.section("validity").get("f_numbers")
    if not len(report.coordinates) or limits is None or not stops:
        return None
    depths = 1 / np.linspace(1 / limits[0], 1 / limits[1], 97) if depths is None else np.asarray(depths, float)
    settings = [CameraSettings(focus_coordinate=Value(float(value)), f_number=Value(float(min(stops))),
                               pixel_pitch=Value(report.profile.pixel_pitch or 5e-6))
                for value in np.linspace(report.coordinates[0], report.coordinates[-1], _FRAMES)]
    lenses = [report.profile.thin_lens(one) for one in settings]
    foci = np.array([lens.focus for lens in lenses])
    rate = np.array([lens.blur_rate for lens in lenses])[np.argmin(np.abs(1 / depths[:, None] - foci), axis=1)]
    lens = LensSigma.of(report.profile, settings, settings[_FRAMES // 2])
    return Expected(depths, None if lens is None else depths**2 * lens(1 / depths), depths**2 * BLUR_ERROR / rate)
