"""Vignetting from evenly lit frames: how brightness falls off from the middle of the picture, free of the light's own slope.

    level(x, y) = A (1 + g_x x + g_y y) V(r^2)        V = 1 + v1 r^2 + v2 r^4 + v3 r^6
x, y and r count from the middle of the image over half its diagonal (r = 1 in the corner).  Fitted to the green levels of
blocks, with Tukey's influence function: dust and hot pixels are a few blocks that lie off.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.noise.patches import find_files
from calibration.noise.radiometry import new_profile
from calibration.noise.transfer import MOST_DRIFT, MOST_SATURATED
from calibration.shoot.bracket import read_planes
from dfd.io.exif import read_exif
from dfd.io.frames import is_raw
from dfd.io.integrity import sha256
from dfd.lensfile import section
from dfd.settings import CameraSettings

BLOCKS = 48
"""Blocks along the longer side of the picture."""

_LEAST_LEVEL = 0.02  # of white
_MOST_STRUCTURE = 0.01  # rms of the blocks about the fit: a lens and a wall are smoother
_MOST_BANDS = 0.004  # rms of whole rows about the fit
_BANDS_SHARE = 0.5  # of the variance, that whole rows must have to be bands
_MOST_OUTLIERS = 0.1  # share of the blocks; dust is less
_TUKEY = 4.685  # sigma
_POWERS = 3
_ROUNDS = 30


@dataclass(frozen=True, eq=False)
class Flat:
    """One evenly lit frame: levels (rows, columns) of its blocks, 0..1 of white; `clipped` is the share of its pixels."""

    path: Path
    levels: np.ndarray
    clipped: float
    size: tuple[int, int]
    settings: CameraSettings


@dataclass(frozen=True, eq=False)
class Vignetting:
    """V at one f-number and focus.

    poly       (4,) 1, v1, v2, v3;   covariance   (3, 3) of v1, v2, v3
    gradient   (2,) x, y slope of the light itself over half the diagonal, removed
    rms        relative, of the blocks about the fit;   outliers   share of the blocks that do not count
    """

    f_number: float
    focus: float | None
    poly: np.ndarray
    covariance: np.ndarray
    gradient: np.ndarray
    rms: float
    outliers: float
    files: tuple[Path, ...]
    settings: CameraSettings
    size: tuple[int, int]

    @property
    def corner(self) -> float:
        """Brightness in the corner over that in the middle."""
        return float(self.poly.sum())

    @property
    def corner_sigma(self) -> float:
        """1-sigma of `corner`."""
        return math.sqrt(max(float(self.covariance.sum()), 0.0))


def calibrate_vignetting(inputs, *, f_number: float | None = None, coordinate: str | None = None,
                         progress=None) -> tuple[Vignetting, ...]:
    """Vignetting of every f-number and focus among the files and folders `inputs`, by rising f-number.

    f_number     of files that do not state it
    coordinate   what the focus coordinate is, see calibration.shoot.shoots; "exif_distance_mm" tells files apart by it
    Raises OSError for files; ValueError, naming the file, for clipped, dark, flickering or structured frames.
    """
    groups: dict[tuple, list[Flat]] = {}
    paths = find_files(inputs)
    for index, path in enumerate(paths):
        flat = read_flat(path)
        check_flat(flat)
        stated = flat.settings.f_number
        number = stated.value if stated is not None else f_number
        if number is None:
            raise ValueError(f"{path}: no f-number in EXIF; pass --f-number N")
        groups.setdefault((float(number), _focus(flat.settings, coordinate)), []).append(flat)
        if progress is not None:
            progress("flats", index + 1, len(paths))
    return tuple(_of_group(*key, groups[key]) for key in sorted(groups, key=lambda key: (key[0], key[1] or 0.0)))


def read_flat(path) -> Flat:
    """The green levels of a frame, block by block.  Raises OSError and ValueError as `bracket.read_planes` does."""
    values, mask = read_planes(path).channels[1]
    size = values.shape
    weight = np.ones(size, np.float32) if mask is None else np.tile(mask, [-(-side // 2) for side in size])[
        :size[0], :size[1]].astype(np.float32)
    lost = np.isnan(values)
    clipped = float((lost * weight).sum() / weight.sum())
    edge = 2 * max(1, round(max(size) / BLOCKS / 2))
    total, count = (_blocks(part, edge) for part in (np.where(lost, 1, values) * weight, weight))
    return Flat(Path(path), total / count, clipped, size, read_exif(Path(path), size).settings)


def check_flat(flat: Flat) -> None:
    """Raise ValueError, naming the file, for a frame that is no flat."""
    if flat.clipped > MOST_SATURATED:
        raise ValueError(f"{flat.path}: clipped ({flat.clipped:.1%} of the pixels, at most {MOST_SATURATED:.1%}); "
                         "expose less, to about half of the sensor's range")
    level = float(np.median(flat.levels))
    if level < _LEAST_LEVEL:
        raise ValueError(f"{flat.path}: too dark (median {level:.2%} of white, at least {_LEAST_LEVEL:.0%}); is this a dark "
                         "frame?")
    found = fit_falloff(flat.levels, flat.size)
    used = found.weight > 0
    left = np.where(used, found.left, 0)
    rows = left.sum(axis=1) / np.maximum(used.sum(axis=1), 1)
    if rows.std() > _MOST_BANDS and rows.var() > _BANDS_SHARE * np.mean(left[used] ** 2):
        raise ValueError(f"{flat.path}: flicker (whole rows lie {rows.std():.1%} off a smooth fall-off, at most "
                         f"{_MOST_BANDS:.1%}); use daylight or lamps that do not flicker, or expose longer than 1/10 s")
    if found.rms > _MOST_STRUCTURE or found.outliers > _MOST_OUTLIERS:
        raise ValueError(f"{flat.path}: not evenly lit (blocks lie {found.rms:.1%} off a smooth fall-off, at most "
                         f"{_MOST_STRUCTURE:.0%}; {found.outliers:.0%} of them do not fit at all); photograph a bare "
                         "wall or a diffuser, out of focus")


def check_alike(flats) -> None:
    """Raise ValueError where frames of one exposure differ in brightness: the light was not constant."""
    first = flats[0]
    for flat in flats[1:]:
        if flat.size != first.size:
            raise ValueError(f"{flat.path}: {flat.size[1]} x {flat.size[0]} px, but {first.path.name} has {first.size[1]} x "
                             f"{first.size[0]} px; give the flats of one camera in one mode")
        exposures = [one.settings.exposure.value if one.settings.exposure else None for one in (first, flat)]
        if None in exposures or not math.isclose(*exposures, rel_tol=1e-3):
            continue
        drift = abs(float(np.median(flat.levels) / np.median(first.levels)) - 1)
        if drift > MOST_DRIFT:
            raise ValueError(f"{flat.path}: flicker ({drift:.1%} off the brightness of {first.path.name} at the same "
                             f"exposure, at most {MOST_DRIFT:.0%}); was the light constant?")


@dataclass(frozen=True, eq=False)
class Falloff:
    """A fit: values A, v1, v2, v3, g_x, g_y with covariance; relative residuals `left` and weights of the blocks."""

    values: np.ndarray
    covariance: np.ndarray
    left: np.ndarray
    weight: np.ndarray
    rms: float
    outliers: float


def fit_falloff(levels, size) -> Falloff:
    """Fall-off and slope of the light through `levels` (rows, columns) of the blocks of an image of `size` (H, W) px."""
    x, y = _places(levels.shape, size)
    square = x * x + y * y
    powers = np.stack([square**power for power in range(1, _POWERS + 1)])
    values = np.array([float(np.median(levels)), *np.zeros(_POWERS + 2)])
    weight = np.ones_like(levels)
    for _ in range(_ROUNDS):
        fall, tilt = 1 + np.tensordot(values[1:4], powers, 1), 1 + values[4] * x + values[5] * y
        model = values[0] * fall * tilt
        left = levels - model
        scale = max(1.4826 * float(np.median(np.abs(left[weight > 0]))), 1e-6 * values[0])
        weight = np.clip(1 - (left / (_TUKEY * scale)) ** 2, 0, None) ** 2
        slopes = np.stack([fall * tilt, *(values[0] * tilt * powers), values[0] * fall * x, values[0] * fall * y])
        slopes = slopes.reshape(len(values), -1)
        normal = (slopes * weight.ravel()) @ slopes.T
        step = np.linalg.solve(normal, slopes @ (weight * left).ravel())
        values = values + step
        if np.abs(step).max() < 1e-10:
            break
    used = weight > 0
    variance = float((weight * left**2).sum()) / max(float(weight.sum()) - len(values), 1.0)
    return Falloff(values, np.linalg.inv(normal) * variance, left / model, weight,
                   math.sqrt(variance) / float(np.mean(model)), 1 - float(used.mean()))


def _of_group(f_number, focus, flats) -> Vignetting:
    """One fit through the mean of the frames, each as bright as the others."""
    check_alike(flats)
    mean = np.mean([flat.levels / np.median(flat.levels) for flat in flats], axis=0)
    found = fit_falloff(mean, flats[0].size)
    return Vignetting(f_number, focus, np.array([1.0, *found.values[1:4]]), found.covariance[1:4, 1:4], found.values[4:],
                      found.rms, found.outliers, tuple(flat.path for flat in flats), flats[0].settings, flats[0].size)


def into_profile(found, data: dict | None = None) -> dict:
    """`data` (the content of a LensProfile file; None: a new one) with this vignetting in it; `data` itself is not changed.

    Entries of the same f-number and focus are replaced.  Raises ValueError for a profile of another camera.
    """
    first = found[0]
    data = new_profile(_Camera(first)) if data is None else copy.deepcopy(data)
    other = section(data, "camera").get("model")
    if other and first.settings.model and other != first.settings.model:
        raise ValueError(f"the profile is of camera {other}, the flats are of {first.settings.model}; write another "
                         "file with -o")
    radiometry = data["radiometry"] = data.get("radiometry") or {}
    entries = [{"f_number": one.f_number, "focus": one.focus, "poly_r2": one.poly.tolist(),
                "sigma": [0.0, *np.sqrt(np.diag(one.covariance)).tolist()]} for one in found]
    replaced = {(entry["f_number"], entry["focus"]) for entry in entries}
    kept = [entry for entry in radiometry.get("vignetting") or []
            if (entry.get("f_number"), entry.get("focus")) not in replaced]
    radiometry["vignetting"] = sorted(kept + entries, key=lambda one: (one.get("f_number") or 0, one.get("focus") or 0))
    provenance = data["provenance"] = data.get("provenance") or {}
    inputs = [{"file": path.name, "sha256": sha256(path), "role": "vignetting_flat"} for one in found for path in one.files]
    provenance["inputs"] = [item for item in provenance.get("inputs") or [] if item not in inputs] + inputs
    return data


class _Camera:
    """What `new_profile` asks of a shoot."""

    def __init__(self, found):
        self.make, self.model, self.size = found.settings.make, found.settings.model, found.size
        self.raw = is_raw(found.files[0])


def _focus(settings, coordinate):
    """The focus coordinate of a flat, rounded so that frames of one setting are one group; None where it is not known."""
    distance = settings.focus_distance
    if coordinate == "exif_distance_mm" and distance is not None and math.isfinite(distance.value):
        return round(distance.value * 1e3, 3)
    return None if settings.focus_coordinate is None else round(float(settings.focus_coordinate.value), 6)


def _places(shape, size):
    """x, y (rows, columns) of the middles of the blocks from the middle of the image, over half its diagonal."""
    edge = 2 * max(1, round(max(size) / BLOCKS / 2))
    half = math.hypot(*size) / 2
    y, x = (((np.arange(count) + 0.5) * edge - length / 2) / half for count, length in zip(shape, size, strict=True))
    return np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)


def _blocks(values, edge):
    """Sums over `edge` x `edge` px; what is left over at the right and below is dropped."""
    height, width = (length // edge for length in values.shape)
    return values[:height * edge, :width * edge].reshape(height, edge, width, edge).sum(axis=(1, 3), dtype=np.float64)
