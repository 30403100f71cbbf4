"""Everything that the image files say of the camera, before anything is decoded: the chain of readers, file by file.

EXIF by ExifRead > maker note > LibRaw > exiftool, where it is on PATH and something is missing without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dfd.io.exif import read_exif, read_makernotes
from dfd.io.exiftool import interpret, read_exiftool
from dfd.io.frames import image_size, is_raw
from dfd.io.inputs import Inputs
from dfd.io.merge import Merged, merge
from dfd.io.pitch import Grid
from dfd.io.raw import RawHeader, read_header
from dfd.io.readings import Reading, judge
from dfd.profile import LensProfile
from dfd.settings import Value

_FROM_EXIFTOOL = ("focal_length", "f_number", "pixel_pitch", "focus_distance")
_SQUARE = 0.01
_TRUE_FRAME = 0.5  # a true frame of less than this part of the visible one is a slip of the file


@dataclass(frozen=True)
class ImageFile:
    """One file: shape (H, W) px of what is read of it, grid of its sensor's true frame, EXIF orientation 1..8, and what
    each reader says of it, best first."""

    path: Path
    shape: tuple[int, int]
    grid: Grid
    orientation: int
    readings: tuple[Reading, ...]

    @classmethod
    def of(cls, path: Path) -> ImageFile:
        """Read the headers of one file, without exiftool.  Raises OSError for a file that cannot be a frame."""
        if not is_raw(path):
            shape = image_size(path)
            exif = read_exif(path, shape)
            return cls(path, shape, Grid(shape), exif.orientation or 1, (exif, *read_makernotes(path)))
        header = read_header(path)
        grid = Grid(_true_frame(header), header.pixel_aspect, raw=True)
        exif = read_exif(path, grid.shape, aspect=grid.aspect, raw=True)
        return cls(path, header.shape, grid, header.orientation,
                   (exif, *read_makernotes(path), _of_libraw(path, header, grid)))

    def merged(self, found: Inputs, distances: Mapping[Path, float]) -> Merged:
        """Its settings, with what the user states of it."""
        entry = next(entry for path, entry in zip(found.files, found.entries, strict=True) if path == self.path)
        return merge(self.path, self.readings, found.sidecar, entry, distances.get(self.path))


def gather(files: Sequence[ImageFile], found: Inputs, profile: LensProfile,
           distances: Mapping[Path, float]) -> tuple[list[Merged], tuple[str, ...]]:
    """(settings of every file in the order of `files`; warnings that concern all), exiftool asked once if it may help.

    found       what the user points at and states;   distances   m, those of --focus-distances
    """
    merged = [item.merged(found, distances) for item in files]
    warnings = _pixel_warning(files)
    if not any(_may_help(item, profile) for item in merged):
        return merged, warnings
    records, remark = read_exiftool([item.path for item in files])
    if remark:
        warnings += (remark,)
    if not records:
        return merged, warnings
    more = [replace(item, readings=(*item.readings, *interpret(records.get(item.path, {}), file=item.path.name,
                                                               grid=item.grid))) for item in files]
    return [item.merged(found, distances) for item in more], warnings


def _may_help(item, profile):
    """Something is missing for metres that exiftool might know."""
    lacking = {name: Value(1.0) for name in _FROM_EXIFTOOL
               if getattr(item.settings, name) is None and name not in item.conflicts}
    return len(profile.missing(replace(item.settings, **lacking))) < len(profile.missing(item.settings))


def _true_frame(header: RawHeader) -> tuple[int, int]:
    """(H, W) px of the frame that the maker's sensor size refers to; the visible frame where the file's is no part of it."""
    width, height = header.crop
    fits = all(_TRUE_FRAME * whole <= part <= whole for part, whole in zip((height, width), header.shape, strict=True))
    return (height, width) if fits else header.shape


def _of_libraw(path, header, grid) -> Reading:
    camera = header.camera
    numbers = {"FocalLength": camera.focal_length_m and camera.focal_length_m * 1e3, "FNumber": camera.f_number,
               "ExposureTime": camera.exposure_s, "ISOSpeedRatings": camera.iso}
    texts = {"Make": camera.make, "Model": camera.model, "LensModel": camera.lens_model}
    return judge(numbers.get, texts.get, file=path.name, label="LibRaw", grid=grid)


def _pixel_warning(files) -> tuple[str, ...]:
    odd = [item for item in files if abs(item.grid.aspect - 1) > _SQUARE]
    if not odd:
        return ()
    aspect = odd[0].grid.aspect
    return (f"{odd[0].path.name}: its pixels are {aspect:.3g} times as wide as high and are not resampled; the pixel pitch "
            f"counts along x, so lengths along y come out {aspect:.3g} times too long",)
