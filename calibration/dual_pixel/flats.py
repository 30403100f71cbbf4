"""The captures of a dual-pixel calibration: flat targets at known distances, each read, and measured tile by tile."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from calibration.dual_pixel.tiles import Tiles, measure_tiles
from dfd.assemble import prepare_capture
from dfd.io.merge import stated_by_user
from dfd.io.sources import open_source
from dfd.optics import ThinLens
from dfd.settings import DISTANCE_ORIGINS, CameraSettings, Value

GRID = (4, 6)
"""Rows and columns of tiles of a wide picture; turned for an upright one."""

MOST_STOPPED_DOWN = 0.1 / 768
"""Largest disparity that a stopped-down capture may have, in widths of the picture."""

_LEAST_TEXTURED = 0.25
_OPTIONS = {"focal_length_mm": "--focal-length MM", "f_number": "--f-number N", "pixel_pitch_um": "--pixel-pitch UM",
            "focus_distance_m": "--focus-distance M"}
"""Key of capture.toml -> the option that serves as well."""


@dataclass(frozen=True)
class Optics:
    """What the command line says of the lens, SI; it wins over capture.toml and EXIF.  None = not said."""

    focal_length: float | None = None
    f_number: float | None = None
    pixel_pitch: float | None = None
    focus_distance: float | None = None

    def applied(self, settings: CameraSettings) -> CameraSettings:
        """The settings with these values in the place of theirs."""
        said = {field.name: Value(getattr(self, field.name), source=f"--{field.name.replace('_', '-')}")
                for field in fields(self) if getattr(self, field.name) is not None}
        rivals = {"f_number": ("pupil_diameter",), "focus_distance": ("focus", "focus_coordinate")}
        cleared = {rival: None for name in said for rival in rivals.get(name, ())}
        return replace(settings, **cleared, **said)


@dataclass(frozen=True, eq=False)
class Flat:
    """A flat target at one distance.

    distance        m, as the user measured it;   inverse_depth, inverse_depth_sigma   dioptre, from the entrance pupil
    tiles           its disparities;   axis   "x" or "y", see DualPixelPair: grids lie as the picture does
    size            (H, W) px;   files   the images;   origin   "pupil" or "sensor", where `distance` counts from
    """

    folder: Path
    distance: float
    inverse_depth: float
    inverse_depth_sigma: float
    lens: ThinLens
    settings: CameraSettings
    tiles: Tiles
    axis: str
    size: tuple[int, int]
    files: tuple[Path, ...]
    warnings: tuple[str, ...]
    origin: str = "pupil"


@dataclass(frozen=True, eq=False)
class StoppedDown:
    """A capture at a small aperture, whose views must not differ; `limit` [px] is the largest disparity that is fine."""

    folder: Path
    tiles: Tiles
    limit: float
    files: tuple[Path, ...]

    @property
    def worst(self) -> float:
        """The largest disparity of a tile, with its sign [px]."""
        found = self.tiles.disparity[np.isfinite(self.tiles.disparity)]
        return float(found[np.argmax(np.abs(found))])

    @property
    def passed(self) -> bool:
        """No tile is beyond the limit, and beyond 3 sigma."""
        return not (np.abs(self.tiles.disparity) > np.maximum(self.limit, 3 * self.tiles.sigma)).any()


def read_flat(folder, distance, *, profile=None, optics: Optics | None = None, origin=None, sigma=0.001, grid=None,
              swap=False, axis=None) -> Flat:
    """Read one flat and measure its tiles.

    distance   m from `origin` ("pupil" or "sensor", None: the distance_from of capture.toml), with its 1-sigma [m]; a
               focus distance of optics or capture.toml counts from there as well, that of EXIF from the sensor mark
    profile    LensProfile that knows the lens (None: the one that capture.toml names);   grid   (rows, columns) of tiles
    swap, axis   exchange left and right; "x" or "y", along which they differ (None: what capture.toml says)
    Raises OSError and ValueError as `open_source` does; ValueError for missing optics and a target without texture.
    """
    source, images, axis, warnings = _open(folder, profile, swap, axis)
    settings = (optics or Optics()).applied(source.frames[0].settings)
    origin = settings.distance_from if origin is None else origin
    if origin not in DISTANCE_ORIGINS:
        raise ValueError(f"origin ({origin!r}) must be pupil or sensor")
    if not _by_camera(settings.focus_distance):
        settings = replace(settings, distance_from=origin)
    _check_known(folder, source.profile.missing(settings))
    lens = source.profile.thin_lens(settings)
    depth = distance - (source.profile.sensor_offset(settings) if origin == "sensor" else 0.0)
    if depth <= 0:
        raise ValueError(f"{folder}: {distance:g} m from the sensor mark lie behind the entrance pupil, "
                         f"{(distance - depth) * 1e3:.0f} mm before the mark; is the distance in metres?")
    tiles = _measure(images, axis, grid)
    textured = np.isfinite(tiles.disparity).mean()
    if textured < _LEAST_TEXTURED:
        raise ValueError(f"{folder}: only {textured:.0%} of the tiles have a disparity, at least {_LEAST_TEXTURED:.0%} "
                         "must; print a fine, random texture that fills the picture, and do not overexpose it")
    return Flat(Path(folder), distance, 1 / depth, sigma / depth**2, lens, settings, tiles, axis, images.shape[1:],
                tuple(dict.fromkeys(frame.path for frame in source.frames)), warnings, origin)


def _by_camera(value):
    """Whether a value is out of an image file, neither out of capture.toml nor an option."""
    return value is not None and not (stated_by_user(value) or value.source.startswith("--"))


def _check_known(folder, missing):
    """Refuse optics that nobody states, with the options of this command that state them."""
    if not missing:
        return
    keys = [line.split(" = ")[0] for line in missing]
    options = " ".join(_OPTIONS[key] for key in keys if key in _OPTIONS)
    raise ValueError(f"{folder}: no {', '.join(keys)} in EXIF or capture.toml; "
                     f"{f'pass {options}, or ' if options else ''}add {'them' if len(keys) > 1 else 'it'} to capture.toml")


def read_stopped_down(folder, *, profile=None, grid=None, swap=False, axis=None) -> StoppedDown:
    """Read a capture at a small aperture, at any distance; errors as in `read_flat`, no optics are needed."""
    source, images, axis, _ = _open(folder, profile, swap, axis)
    tiles = _measure(images, axis, grid)
    if not np.isfinite(tiles.disparity).any():
        raise ValueError(f"{folder}: no tile has texture; photograph something with fine structure all over")
    return StoppedDown(Path(folder), tiles, MOST_STOPPED_DOWN * max(images.shape[1:]),
                       tuple(dict.fromkeys(frame.path for frame in source.frames)))


def _open(folder, profile, swap, axis):
    """(source, (2, H, W) images left and right, axis, warnings) of a pair as it was taken: nothing is aligned."""
    source = open_source(folder, kind="dual-pixel", lens=profile, swap=swap or None, axis=axis)
    prepared = prepare_capture(source, align="none")
    return source, prepared.capture.images, prepared.capture.axis, (*source.warnings, *prepared.warnings)


def _measure(images, axis, grid) -> Tiles:
    """The tiles of a pair of either axis; disparity along y is that along x of the turned picture."""
    if grid is None:
        grid = GRID if images.shape[2] >= images.shape[1] else GRID[::-1]
    if axis == "x":
        return measure_tiles(*images, grid)
    found = measure_tiles(*images.transpose(0, 2, 1), grid[::-1])
    return Tiles(found.disparity.T, found.sigma.T)
