"""Everything that the image files say of the camera: the chain of readers, file by file, the cheap ones first.

EXIF by ExifRead and the maker note beside it (3 ms a file) are always asked; exiftool (one call, 30 ms a file) where
something is missing for metres; LibRaw (it decodes the whole file first) where focal length or f-number are still unknown
of a RAW that is no TIFF inside, which ExifRead cannot read: CRW, CR3, RAF, MRW, X3F.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dfd.io.exif import read_exif, read_makernotes
from dfd.io.exiftool import interpret, read_exiftool
from dfd.io.frames import image_size, is_raw
from dfd.io.inputs import Inputs
from dfd.io.integrity import is_tiff
from dfd.io.merge import Merged, merge
from dfd.io.pitch import Grid
from dfd.io.raw import RawHeader, read_header
from dfd.io.readings import Reading, judge
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

_EXIFTOOL_KNOWS = ("focal_length", "f_number", "pixel_pitch", "focus_distance")
_LIBRAW_KNOWS = ("focal_length", "f_number")
_SQUARE = 0.01
_TRUE_FRAME = 0.5  # a true frame of less than this part of the visible one is a slip of the file


@dataclass(frozen=True)
class ImageFile:
    """One file and what each reader says of it.

    shape         (H, W) px of what is read of it;   grid   of its sensor's true frame
    orientation   EXIF 1..8
    merged        its settings out of all readings and of what the user states
    """

    path: Path
    shape: tuple[int, int]
    grid: Grid
    orientation: int
    own: tuple[Reading, ...]
    of_libraw: tuple[Reading, ...] = ()
    of_exiftool: tuple[Reading, ...] = ()
    merged: Merged = field(default_factory=lambda: Merged(CameraSettings()))

    @property
    def readings(self) -> tuple[Reading, ...]:
        """All of them, best first."""
        return *self.own, *self.of_libraw, *self.of_exiftool

    def lacks(self, names: Iterable[str], profile: LensProfile) -> bool:
        """One of these fields is unknown, and metres need it."""
        settings, conflicts = self.merged.settings, self.merged.conflicts
        known = {name: Value(1.0) for name in names if getattr(settings, name) is None and name not in conflicts}
        return len(profile.missing(replace(settings, **known))) < len(profile.missing(settings))


@dataclass(frozen=True)
class Gathered:
    """The files that could be read, in input order; warnings that concern all; (path, error) of those that could not."""

    files: tuple[ImageFile, ...]
    warnings: tuple[str, ...]
    bad: tuple[tuple[Path, OSError], ...]


def gather(found: Inputs, profile: LensProfile, distances: Mapping[Path, float]) -> Gathered:
    """Read the headers of all files.

    found   what the user points at and states;   distances   m, those of --focus-distances
    """
    def joined(files):
        return [replace(item, merged=merge(item.path, item.readings, found.sidecar, entries[item.path],
                                           distances.get(item.path))) for item in files]

    entries = dict(zip(found.files, found.entries, strict=True))
    opened, bad = _each(_open, found.files)
    files, warnings = joined(opened), _pixel_warning(opened)
    if any(item.lacks(_EXIFTOOL_KNOWS, profile) for item in files):
        records, remark = read_exiftool([item.path for item in files])
        warnings += (remark,) if remark else ()
        if records:
            files = joined(replace(item, of_exiftool=_of_exiftool(item, records)) for item in files)
    files, worse = _each(lambda item: _with_libraw(item, profile), files)
    return Gathered(tuple(joined(files)), warnings, bad + worse)


def _each(read, items):
    """(results, errors) of a reader over files: one that is damaged does not keep the others from being read."""
    done, bad = [], []
    for item in items:
        try:
            done.append(read(item))
        except OSError as error:
            bad.append((getattr(item, "path", item), error))
    return done, tuple(bad)


def _open(path) -> ImageFile:
    if not is_raw(path):
        shape = image_size(path)
        exif = read_exif(path, shape)
        return ImageFile(path, shape, Grid(shape), exif.orientation or 1, (exif, *read_makernotes(path)))
    header = read_header(path)
    grid = Grid(_true_frame(header), header.pixel_aspect, raw=True)
    exif = read_exif(path, grid.shape, aspect=grid.aspect, raw=True)
    return ImageFile(path, header.shape, grid, header.orientation, (exif, *read_makernotes(path)))


def _true_frame(header: RawHeader) -> tuple[int, int]:
    """(H, W) px of the frame that the maker's sensor size refers to; the visible frame where the file's is no part of it."""
    width, height = header.crop
    fits = all(_TRUE_FRAME * whole <= part <= whole for part, whole in zip((height, width), header.shape, strict=True))
    return (height, width) if fits else header.shape


def _of_exiftool(item, records) -> tuple[Reading, ...]:
    """Its readings; no remarks on what ExifRead has seen as well."""
    readings = interpret(records.get(item.path, {}), file=item.path.name, grid=item.grid)
    seen = {about for about, _ in item.own[0].remarks}
    return tuple(replace(reading, remarks=tuple((about, text) for about, text in reading.remarks if about not in seen))
                 for reading in readings)


def _with_libraw(item: ImageFile, profile: LensProfile) -> ImageFile:
    if not is_raw(item.path) or is_tiff(item.path) or not item.lacks(_LIBRAW_KNOWS, profile):
        return item
    camera = read_header(item.path).camera
    numbers = {"FocalLength": camera.focal_length_m and camera.focal_length_m * 1e3, "FNumber": camera.f_number,
               "ExposureTime": camera.exposure_s, "ISOSpeedRatings": camera.iso}
    texts = {"Make": camera.make, "Model": camera.model, "LensModel": camera.lens_model}
    reading = judge(numbers.get, texts.get, file=item.path.name, label="LibRaw", grid=item.grid)
    return replace(item, of_libraw=(reading,))


def _pixel_warning(files) -> tuple[str, ...]:
    odd = [item for item in files if abs(item.grid.aspect - 1) > _SQUARE]
    if not odd:
        return ()
    aspect = odd[0].grid.aspect
    return (f"{odd[0].path.name}: its pixels are {aspect:.3g} times as wide as high and are not resampled; the pixel pitch "
            f"counts along x, so lengths along y come out {aspect:.3g} times too long",)
