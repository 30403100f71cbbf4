"""The image files of a noise calibration: the central region of each in DN as stored, and which of them are pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.exif import read_exif
from dfd.io.frames import is_raw
from dfd.io.images import default_linear, file_format, read_image
from dfd.io.inputs import natural_key
from dfd.io.raw import read_mosaic
from dfd.settings import CameraSettings

ROI = 256
"""Side [px] of the central square that is measured."""

LEAST_ROI = 64

_TIFF = (".tif", ".tiff")
_LEAST_WHITE = 1023  # DN; a file of 8 bits is developed, never linear
_ONE_LEVEL = 0.25
"""Two consecutive files whose brightness differs by more than this are two exposures, not a pair."""


@dataclass(frozen=True, eq=False)
class Patch:
    """The central square of one frame.

    planes     (P, h, w) float32, DN as stored (black level not subtracted): the four places of a Bayer pattern row by
               row, or the channels of a TIFF
    white      DN;   size   (H, W) px of the whole image;   raw   a RAW file, else a TIFF
    """

    path: Path
    settings: CameraSettings
    planes: np.ndarray
    white: float
    size: tuple[int, int]
    raw: bool

    @property
    def means(self) -> np.ndarray:
        """(P,) mean of each plane [DN]."""
        return self.planes.mean(axis=(1, 2), dtype=np.float64)


def find_files(inputs) -> list[Path]:
    """The RAW and TIFF files named by files and folders, in natural order.  Raises OSError for what is missing."""
    found = []
    for item in map(Path, inputs):
        if item.is_dir():
            inside = [path for path in item.iterdir()
                      if path.is_file() and not path.name.startswith(".") and (is_raw(path) or path.suffix.lower() in _TIFF)]
            if not inside:
                raise OSError(f"{item}: no RAW or TIFF file in this folder; noise is measured on undeveloped files")
            found += inside
        elif not item.is_file():
            raise OSError(f"{item}: no such file; check the path")
        else:
            found.append(item)
    return sorted({path.resolve(): path for path in found}.values(), key=natural_key)


def read_patch(path, *, roi: int = ROI) -> Patch:
    """The central `roi` x `roi` px of a RAW file or of a 16-bit TIFF of undeveloped values.

    Raises OSError for the file, ValueError for one that is developed or smaller than `roi`.
    """
    path = Path(path)
    if roi < LEAST_ROI or roi % 2:
        raise ValueError(f"--roi ({roi} px) must be even and at least {LEAST_ROI} px, or the noise is too uncertain")
    raw = is_raw(path)
    values, white = _read_raw(path, 0) if raw else _read_tiff(path)
    size = values.shape[:2]
    if min(size) < roi:
        raise ValueError(f"{path}: {size[1]} x {size[0]} px, smaller than the {roi} px square that is measured; give "
                         "--roi a smaller number")
    planes = _planes(values, roi, raw) * np.float32(white)
    return Patch(path, read_exif(path, size).settings, np.rint(planes), white, size, raw)


def file_black(patch: Patch) -> np.ndarray:
    """(P,) black level [DN] that the file itself states for the planes of `patch`; zeros for a TIFF, which has none."""
    if not patch.raw:
        return np.zeros(len(patch.planes))
    values, _ = _read_raw(patch.path, None)
    normalised = _planes(values, patch.planes.shape[1] * 2, True).mean(axis=(1, 2), dtype=np.float64)
    black = (patch.means - patch.white * normalised) / (1 - normalised)  # normalised = (DN - black) / (white - black)
    return np.round(black, 2)


def pair_up(patches: list[Patch]) -> tuple[list[tuple[Patch, Patch]], list[str]]:
    """Pairs of consecutive frames of one exposure, and a sentence for every frame without a partner.

    Partners have the same exposure time and f-number as far as EXIF says them, and about the same brightness.
    """
    pairs, alone = [], []
    index = 0
    while index < len(patches):
        if index + 1 < len(patches) and _partners(*patches[index:index + 2]):
            pairs.append((patches[index], patches[index + 1]))
            index += 2
            continue
        alone.append(f"{patches[index].path.name}: no partner of the same exposure after it, left out")
        index += 1
    return pairs, alone


def _partners(one, two):
    for name in ("exposure", "f_number"):
        values = [getattr(patch.settings, name) for patch in (one, two)]
        known = [value.value for value in values if value is not None]
        if len(known) == 1 or (known and not math.isclose(*known, rel_tol=1e-3)):
            return False
    first, second = float(one.means.mean()), float(two.means.mean())
    return abs(first - second) <= _ONE_LEVEL * max(first, second)


def _read_raw(path, black_level):
    mosaic = read_mosaic(path, black_level=black_level)
    if mosaic.pattern is None or len(mosaic.pattern) != 2:
        kind = "X-Trans" if mosaic.pattern else "not a mosaic"
        raise ValueError(f"{path}: the sensor is {kind}; noise is measured on 2x2 mosaics, or on 16-bit TIFF of undeveloped "
                         "values")
    return mosaic.values, mosaic.dn_range


def _read_tiff(path):
    if file_format(path) != "tiff" or not default_linear(path):
        raise ValueError(f"{path}: noise is measured on what the sensor delivered; give RAW or DNG files, or 16-bit TIFF "
                         "of undeveloped values")
    picture = read_image(path, linear=True, black_level=0)
    if picture.dn_range < _LEAST_WHITE:
        raise ValueError(f"{path}: white is {picture.dn_range:g}, at least {_LEAST_WHITE} DN are needed (a float TIFF?); "
                         "noise is counted in DN, give the integers of the camera as 16-bit TIFF")
    return picture.values, picture.dn_range


def _planes(values, roi, raw):
    """(P, h, w) of the central square; it begins at even places, so that plane p is place p of a Bayer pattern."""
    top, left = ((size - roi) // 4 * 2 for size in values.shape[:2])
    square = values[top:top + roi, left:left + roi]
    if raw:
        return np.stack([square[place // 2::2, place % 2::2] for place in range(4)])
    return square[None].copy() if square.ndim == 2 else np.moveaxis(square, -1, 0).copy()
