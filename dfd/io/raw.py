"""Read the Bayer mosaic of a RAW file: black-subtracted, divided by white, never developed.

LibRaw's `postprocess` is not used: its gain follows the brightest pixel of each frame (up to +27 % within one focus
bracket).  Some damaged files make LibRaw return zeros or memory as it was, so size, payload, range and zeros are
checked here.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.integrity import check_tiff, is_tiff

SUFFIXES = (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".rw2", ".orf", ".pef",
            ".srw", ".kdc", ".dcr", ".mrw", ".erf", ".3fr", ".fff", ".iiq", ".mef", ".mos", ".rwl", ".x3f", ".gpr")
"""File suffixes (lower case) that are handed to LibRaw."""

COLOURS = "RGB"
"""Colour of an index in Mosaic.pattern."""

_MOSAIC, _LINEAR_RAW, _UNCOMPRESSED = 32803, 34892, 1
_LEAST_BITS = 0.5  # per sample; a constant frame in lossless JPEG still needs 1.05
_MOST_ZEROS = 0.005
_LEAST_F_NUMBER = 0.5
_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw flip -> EXIF orientation


@dataclass(frozen=True, eq=False)
class Mosaic:
    """The visible frame of a Bayer sensor, as stored (not rotated).

    values     (H, W) float32, 0 = black, 1 = white; below 0 where noise is below black, above 1 where white is passed
    pattern    2x2 colour indices into COLOURS, pattern[y % 2][x % 2]
    dn_range   white - mean black [DN]
    """

    values: np.ndarray
    pattern: tuple[tuple[int, int], tuple[int, int]]
    dn_range: float


@dataclass(frozen=True)
class RawCamera:
    """What LibRaw says of camera and exposure, in SI; None where it does not know (it writes 0, or 1 for f/0).

    f_number of a Canon CRW is rounded to its APEX code (2.798 for f/2.8); LibRaw has no focus distance.
    """

    make: str | None = None
    model: str | None = None
    lens_model: str | None = None
    focal_length_m: float | None = None
    f_number: float | None = None
    exposure_s: float | None = None
    iso: float | None = None


@dataclass(frozen=True)
class RawHeader:
    """What the header says.

    shape          (H, W) px of the visible frame
    orientation    EXIF 1..8
    pixel_aspect   width / height of a pixel; 1 = square.  Arrays are never resampled
    crop           (width, height) px of the true frame, which the maker's sensor size refers to; the visible frame
                   where the file does not say
    """

    path: Path
    shape: tuple[int, int]
    orientation: int
    pixel_aspect: float
    crop: tuple[int, int]

    @property
    def camera(self) -> RawCamera:
        """What LibRaw says of the camera: ask only where EXIF is silent, for rawpy decodes the whole file first."""
        return _facts(self.path).camera


def read_header(path) -> RawHeader:
    """The header of a RAW file, without decoding it.  Raises OSError as `read_mosaic` does."""
    _check_file(path)
    with _opened(path, decode=False) as raw:
        sizes = raw.sizes
    crop = (sizes.crop_width, sizes.crop_height)
    return RawHeader(Path(path), (sizes.height, sizes.width), _ORIENTATIONS.get(sizes.flip, 1),
                     float(sizes.pixel_aspect), crop if min(crop) > 0 else (sizes.width, sizes.height))


@dataclass(frozen=True)
class _Facts:
    """What rawpy tells only after decoding."""

    white_balance: tuple[float, float, float] | None
    camera: RawCamera


_facts_of: dict[tuple, _Facts] = {}
"""Facts of every file decoded in this process, by path, time and size: nobody decodes twice for three numbers."""


def _facts(path) -> _Facts:
    """The facts of a file; decodes it unless that was done before."""
    key = _identity(path)
    if key not in _facts_of:
        _check_file(path)
        with _opened(path, decode=True) as raw:
            _remember(key, raw)
    return _facts_of[key]


def _remember(key, raw):
    """Keep the facts of an open, decoded file."""
    _facts_of[key] = _Facts(_white_balance(raw.camera_whitebalance), _camera(raw))


def _identity(path):
    """What a file is known by as long as it does not change; None for a file that is not there."""
    path = Path(path)
    if not path.is_file():
        return None
    stat = path.stat()
    return path.resolve(), stat.st_mtime_ns, stat.st_size


def _camera(raw) -> RawCamera:
    """Camera values of an open file; rawpy before 0.28 has none."""
    other, lens = getattr(raw, "other", None), getattr(raw, "lens", None)
    if other is None:
        return RawCamera()
    focal_length, f_number = _known(other.focal_length), _known(other.aperture)
    exposure = _known(other.shutter_speed)
    if focal_length is None and f_number == 1:  # a header full of zeros: LibRaw makes 1 of APEX 0
        f_number, exposure = None, None if exposure == 1 else exposure
    if f_number is not None and f_number < _LEAST_F_NUMBER:
        f_number = None
    return RawCamera(
        lens_model=None if lens is None else lens.model.strip() or None,
        focal_length_m=None if focal_length is None else focal_length / 1e3,
        f_number=f_number, exposure_s=exposure, iso=_known(other.iso_speed),
    )


def _known(number) -> float | None:
    """LibRaw's float32 in the digits it has; None for 0, its word for unknown."""
    number = float(f"{number:.7g}")
    return number if math.isfinite(number) and number > 0 else None


def read_white_balance(path) -> tuple[float, float, float] | None:
    """The camera's white balance as factors for R, G, B with minimum 1; None when it is not usable.  For display only.

    rawpy tells it only after decoding: free once the file has been read, a whole decode before.  Raises OSError as
    `read_mosaic` does.
    """
    return _facts(path).white_balance


def read_mosaic(path, *, black_level=None, white_level: float | None = None) -> Mosaic:
    """Read the mosaic of a Bayer RAW file.

    black_level   DN, one number or four in the order of the 2x2 pattern, row by row; None: the file's
    white_level   DN; None: the file's, the lower one when it states two
    Raises OSError, naming path and cause, for a file that is missing, cut, damaged or of a sensor other than Bayer;
    ValueError for levels that do not fit.
    """
    directories = _check_file(path)
    with _opened(path, decode=True) as raw:
        pattern = _bayer_pattern(path, raw)
        complete = _check_payload(path, raw.sizes, directories)
        _remember(_identity(path), raw)
        codes = raw.raw_image_visible.copy()  # a view of LibRaw's memory: it must not outlive the file
        black, white = _file_levels(raw)
        ceiling = (1 << int(raw.white_level).bit_length()) - 1
    _check_codes(path, codes, max(black), ceiling)
    if not complete:
        _check_tail(path, codes, ceiling)
    tile = [black[index] for row in pattern for index in row]
    if black_level is not None:
        tile = _given_black(path, black_level)
    white = float(white) if white_level is None else float(white_level)
    if not white > max(tile):
        raise ValueError(f"{path}: white_level ({white:g} DN) must exceed black_level ({max(tile):g} DN); "
                         "correct them in [camera] of capture.toml")
    colours = tuple(tuple(1 if index == 3 else int(index) for index in row) for row in pattern)
    return Mosaic(_normalise(codes, tile, white), colours, white - sum(tile) / 4)


def _check_file(path):
    """The TIFF directories of the file (none for other containers), after the checks that need no decoder."""
    path = Path(path)
    if not path.is_file():
        raise OSError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}; check the path")
    if path.stat().st_size == 0:
        raise OSError(f"{path}: 0 bytes; the file is empty, copy it again")
    return check_tiff(path) if is_tiff(path) else ()


@contextmanager
def _opened(path, *, decode):
    """An open rawpy.RawPy; LibRaw's errors become OSError with path and cause."""
    import rawpy

    raw = rawpy.RawPy()
    try:
        raw.open_file(str(path))
        if decode:
            raw.unpack()
        yield raw
    except rawpy.LibRawError as error:
        cause = error.args[0] if error.args else ""
        cause = cause.decode(errors="replace") if isinstance(cause, bytes) else cause
        raise OSError(f"{path}: LibRaw cannot read it ({cause}); the file is damaged, or its format is not supported: "
                      "convert it to an uncompressed DNG") from error
    finally:
        raw.close()


def _bayer_pattern(path, raw):
    """2x2 array of LibRaw's colour indices (0 R, 1 G, 2 B, 3 second G)."""
    pattern = raw.raw_pattern
    if raw.raw_type.name == "Flat" and pattern is not None and pattern.shape == (2, 2) and raw.color_desc == b"RGBG":
        return pattern
    kind = "linear (already demosaiced)" if pattern is None or raw.raw_type.name != "Flat" else \
        f"a {pattern.shape[0]}x{pattern.shape[1]} {raw.color_desc.decode(errors='replace')} mosaic"
    raise OSError(f"{path}: the image is {kind}; this version reads 2x2 RGB Bayer mosaics, convert it to 16-bit TIFF")


def _check_payload(path, sizes, directories):
    """Enough bytes for the pixels: an uncompressed mosaic has them all, a compressed one at least half a bit each.

    True when every pixel is known to be stored.
    """
    complete = False
    samples = sizes.raw_width * sizes.raw_height
    stored, least = Path(path).stat().st_size, samples * _LEAST_BITS / 8
    mosaics = [entry for entry in directories if entry.photometric in (_MOSAIC, _LINEAR_RAW)]
    if mosaics:
        largest = max(mosaics, key=lambda entry: entry.payload)
        stored = largest.payload
        if largest.compression == _UNCOMPRESSED and largest.is_dng:
            least, complete = samples * largest.bits / 8, True
    if stored < least:
        raise OSError(f"{path}: {stored} bytes of image data for {sizes.raw_width} x {sizes.raw_height} px, at least "
                      f"{least:.0f} are needed; only the header is there, copy the file again")
    return complete


def _check_codes(path, codes, black, ceiling):
    """Signs of image data that were never read: constant, zero, or beyond the bit depth."""
    lowest, highest = int(codes.min()), int(codes.max())
    if lowest == highest:
        raise OSError(f"{path}: every pixel is {lowest} DN; the image data are missing, copy the file again")
    if highest > ceiling:
        raise OSError(f"{path}: pixels reach {highest} DN, above the {ceiling} DN of its bit depth; the image data are "
                      "damaged, copy the file again")
    zeros = 1 - np.count_nonzero(codes) / codes.size
    if black > 0 and zeros > _MOST_ZEROS:
        raise OSError(f"{path}: {100 * zeros:.3g} % of the pixels are 0 DN where black is {black:g} DN, at most "
                      f"{100 * _MOST_ZEROS:g} % is plausible; image data are missing, copy the file again")


def _check_tail(path, codes, ceiling):
    """A decoder that ran out of data leaves the last rows constant; only a saturated sky may be so by itself."""
    tail = codes[-max(2, len(codes) // 100):]
    if tail.min() == tail.max() and int(tail[0, 0]) < ceiling // 2:
        raise OSError(f"{path}: the last {len(tail)} rows are all {tail[0, 0]} DN; image data are missing, "
                      "copy the file again")


def _file_levels(raw):
    """Black of the four colour indices and white [DN]; the lower white when the file states two."""
    camera = [level for level in (raw.camera_white_level_per_channel or ()) if level and level > 0]
    return tuple(float(level) for level in raw.black_level_per_channel), float(min([raw.white_level, *camera]))


def _given_black(path, black_level):
    black = [float(level) for level in np.atleast_1d(black_level)]
    if len(black) not in (1, 4):
        raise ValueError(f"{path}: black_level has {len(black)} numbers; give one, or four in the order of the 2x2 "
                         "pattern")
    return black * (4 // len(black))


def _normalise(codes, tile, white):
    values = codes.astype(np.float32)
    for place, black in enumerate(tile):
        plane = values[place // 2::2, place % 2::2]
        plane -= np.float32(black)
        plane /= np.float32(white - black)
    return values


def _white_balance(factors):
    """Usable factors for R, G, B with minimum 1; cameras also write zeros and -1."""
    rgb = [float(factor) for factor in factors[:3]]
    if min(rgb) <= 0 or max(rgb) > 20 * min(rgb):
        return None
    return tuple(factor / min(rgb) for factor in rgb)
