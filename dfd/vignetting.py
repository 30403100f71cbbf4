"""Vignetting as a lens profile measured it: which entry is that of an image, and the factor that undoes it.

    V(r^2) = c0 + c1 r^2 + c2 r^4 + ..        r = 1 in the picture's corner; light is multiplied by V(0) / V(r^2)
"""

from __future__ import annotations

import numpy as np

from dfd.lensfile import section
from dfd.profile import LensProfile
from dfd.settings import CameraSettings

_SAME_STOP = 0.03
_LEAST_LIGHT = 0.02
"""Light in the corner, over that of the middle, below which a polynomial is none of a lens."""


def vignetting_of(profile: LensProfile, settings: CameraSettings) -> tuple[float, ...] | None:
    """The polynomial in r^2 that the profile measured at this image's f-number (within 3 %) and nearest focus; else None.

    Raises ValueError for one that is not positive over the picture.
    """
    if settings.f_number is None:
        return None
    stop, told = settings.f_number.value, section(profile.data, "radiometry").get("vignetting") or ()
    if not any(entry.get("f_number") and entry.get("poly_r2") and abs(entry["f_number"] / stop - 1) <= _SAME_STOP
               for entry in told):
        return None
    found = profile.vignetting(stop, coordinate=profile.law_coordinate(settings))
    light = np.polynomial.polynomial.polyval(np.linspace(0, 1, 101), found)
    if not light.min() > _LEAST_LIGHT * abs(light[0]):
        raise ValueError(f"radiometry.vignetting of profile {profile.name} at f/{stop:g} falls to "
                         f"{light.min() / (abs(light[0]) or 1):.3g} of the light in the middle (at least {_LEAST_LIGHT:g}); "
                         "calibrate it again, or take the entry out")
    return found


def flattening(poly, shape, rows: slice = slice(None)) -> np.ndarray:
    """(h, W) float32 factor V(0) / V(r^2) of some rows of a picture of `shape` (H, W) px."""
    height, width = shape
    down = np.arange(height, dtype=np.float32)[rows, None] - np.float32((height - 1) / 2)
    across = np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)
    square = (down * down + across * across) * np.float32(4 / (height * height + width * width))
    light = np.full(square.shape, poly[-1], np.float32)
    for coefficient in reversed(poly[:-1]):
        light *= square
        light += np.float32(coefficient)
    return np.divide(np.float32(poly[0]), light, out=light)


def flattened(image, poly) -> np.ndarray:
    """A picture (H, W) or (H, W, C) float32 with its light as if there were no vignetting; NaN stays NaN."""
    found = np.empty_like(image)
    for top in range(0, image.shape[0], 64):
        band = slice(top, top + 64)
        factor = flattening(poly, image.shape[:2], band)
        np.multiply(image[band], factor if image.ndim == 2 else factor[..., None], out=found[band])
    return found
