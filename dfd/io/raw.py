"""The door to LibRaw: sensor codes, black and white of a RAW file, never developed.

LibRaw's `postprocess` is not used: its gain follows the brightest pixel of each frame (up to +27 % within one focus
bracket).  Whether the sensor was really read is checked in `rawchecks`.  Every function may run in several threads at
once (LibRaw works without the GIL); never in a forked process, where its OpenMP stands still.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.dnglevels import stated_black, stated_pattern, stated_white
from dfd.io.makernames import read_names
from dfd.io.rawchecks import check_codes, check_file, check_payload, raw_directory
from dfd.io.sensor import Mosaic, RawImage, given_black, known_pattern

SUFFIXES = (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".rw2", ".orf", ".pef",
            ".srw", ".kdc", ".dcr", ".mrw", ".erf", ".3fr", ".fff", ".iiq", ".mef", ".mos", ".rwl", ".x3f", ".gpr")
"""File suffixes (lower case) that are handed to LibRaw."""

_LEAST_F_NUMBER = 0.5
_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw flip -> EXIF orientation


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
    directories = check_file(path)
    with _opened(path, decode=False) as raw:
        sizes = raw.sizes
    check_payload(path, sizes, directories)
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
        check_file(path)
        with _opened(path, decode=True) as raw:
            _remember(key, path, raw)
    return _facts_of[key]


def _remember(key, path, raw):
    """Keep the facts of an open, decoded file."""
    _facts_of[key] = _Facts(_white_balance(raw.camera_whitebalance), _camera(path, raw))


def _identity(path):
    """What a file is known by as long as it does not change; None for a file that is not there."""
    path = Path(path)
    if not path.is_file():
        return None
    stat = path.stat()
    return path.resolve(), stat.st_mtime_ns, stat.st_size


def _camera(path, raw) -> RawCamera:
    """Camera values of an open file; rawpy before 0.28 has none."""
    make, model = read_names(path)
    other, lens = getattr(raw, "other", None), getattr(raw, "lens", None)
    if other is None:
        return RawCamera(make, model)
    focal_length, f_number = _known(other.focal_length), _known(other.aperture)
    exposure = _known(other.shutter_speed)
    if focal_length is None and f_number == 1:  # a header full of zeros: LibRaw makes 1 of APEX 0
        f_number, exposure = None, None if exposure == 1 else exposure
    if f_number is not None and f_number < _LEAST_F_NUMBER:
        f_number = None
    return RawCamera(
        make, model, lens_model=None if lens is None else lens.model.strip() or None,
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
    `read_raw` does.
    """
    return _facts(path).white_balance


def read_mosaic(path, *, black_level=None, white_level: float | None = None) -> Mosaic:
    """`read_raw` as light; the same arguments, the same errors."""
    return read_raw(path, black_level=black_level, white_level=white_level).light()


def read_raw(path, *, black_level=None, white_level: float | None = None, shot: int = 0) -> RawImage:
    """Decode the visible frame of a RAW file.

    black_level   DN, one number or one per channel (Bayer: four in the order of the 2x2 pattern, row by row; X-Trans and
                  linear files: R, G, B); None: the file's
    white_level   DN; None: the file's, the lower one when it states two
    shot          which frame of a file of several; 1 is one half of the pixels of a dual-pixel RAW
    Raises OSError, naming path and cause, for a file that is missing, cut, damaged or of a sensor that is not known;
    ValueError for levels that do not fit, and for a file without such a frame.
    """
    directories = check_file(path)
    with _opened(path, decode=True, shot=shot) as raw:
        sizes, entry = raw.sizes, raw_directory(directories)
        complete = check_payload(path, sizes, directories)
        codes, pattern = _codes(path, raw), _pattern(path, raw, entry)
        black, white = _levels(raw, entry, pattern, codes)
        ceiling = (1 << int(raw.white_level).bit_length()) - 1
        _remember(_identity(path), path, raw)
    check_codes(path, codes, (black.max(), white.max(), ceiling), sizes, directories, complete=complete)
    if black_level is not None:
        black = given_black(path, black_level, pattern, linear=codes.ndim == 3)
    if white_level is not None:
        white = np.full(white.shape, float(white_level))
    if not (white > (black if codes.ndim == 3 else black.max())).all():
        raise ValueError(f"{path}: white_level ({white.min():g} DN) must exceed black_level ({black.max():g} DN); "
                         "correct them in [camera] of capture.toml")
    return RawImage(codes, None if pattern is None else tuple(map(tuple, pattern.tolist())), black, white)


def check_second_frame(path) -> None:
    """Raises ValueError for a RAW file without a second frame, which a dual-pixel RAW has, and OSError as `read_raw` does.

    The second frame is decoded.
    """
    check_file(path)
    with _opened(path, decode=True, shot=1):
        pass


def has_second_frame(path) -> bool:
    """Whether a RAW file holds a second frame; errors of the file as in `check_second_frame`."""
    try:
        check_second_frame(path)
    except ValueError:
        return False
    return True


@contextmanager
def _opened(path, *, decode, shot=0):
    """An open rawpy.RawPy; LibRaw's errors become OSError with path and cause, ValueError for a frame that is not there."""
    import rawpy

    raw = rawpy.RawPy()
    try:
        if shot:
            raw.set_unpack_params(shot_select=shot)  # a frame is chosen while the file is opened: later has no effect
        raw.open_file(str(path))
        if decode:
            _decode(raw)
        yield raw
    except rawpy.LibRawRequestForNonexistentImageError as error:
        raise ValueError(f"{path}: holds one frame, a dual-pixel RAW holds two (the whole pixels, and one half of each); "
                         "was Dual Pixel RAW on in the camera? give such a file, or the two views as two files") from error
    except rawpy.LibRawError as error:
        cause = error.args[0] if error.args else ""
        cause = cause.decode(errors="replace") if isinstance(cause, bytes) else cause
        raise OSError(f"{path}: LibRaw cannot read it ({cause}); the file is damaged, or its format is not supported: "
                      "convert it to an uncompressed DNG") from error
    finally:
        raw.close()


def _decode(raw):
    raw.unpack()


def _codes(path, raw):
    """A copy of the visible frame: rawpy's own array is LibRaw's memory, which must not outlive the file."""
    codes, sizes = raw.raw_image_visible, raw.sizes
    if codes.shape[:2] != (sizes.height, sizes.width):
        raise OSError(f"{path}: {codes.shape[1]} x {codes.shape[0]} px are stored for a frame of {sizes.width} x "
                      f"{sizes.height} px: a sensor with a rotated grid (Super CCD), which is not read; convert it to "
                      "16-bit TIFF")
    if codes.ndim == 3 and codes.shape[2] not in (3, 4):
        raise OSError(f"{path}: {codes.shape[2]} values per pixel, 1 or 3 are read; convert it to 16-bit TIFF")
    if codes.ndim == 2:
        return codes.copy()
    if codes[..., 3:].any():
        raise OSError(f"{path}: four full planes (exposures with the sensor shifted), 1 or 3 are read; develop it to 16-bit "
                      "TIFF")
    return codes[..., :3].copy()


def _pattern(path, raw, entry):
    """(P, P) colours of the visible frame as in RawImage; None for linear and monochrome files."""
    if raw.raw_type.name != "Flat" or raw.num_colors == 1:
        return None
    sizes = raw.sizes
    stated = stated_pattern(entry, (sizes.top_margin, sizes.left_margin))
    return known_pattern(path, raw.raw_pattern, raw.color_desc.decode(errors="replace"), stated)


def _levels(raw, entry, pattern, codes):
    """(black, white) as in RawImage; the lower white when the file states two."""
    black, sizes = [float(level) for level in raw.black_level_per_channel], raw.sizes
    white = _white(raw)
    if codes.ndim == 3:
        stated = stated_black(entry, (0, 0), 3, black[:3])
        whites = stated_white(entry, 3, white)
        return (np.array(black[:3]) if stated is None else stated), (np.full(3, white) if whites is None else whites)
    stated = stated_black(entry, (sizes.top_margin, sizes.left_margin), 1, black)
    if stated is not None:
        return stated, np.array([white])
    places = np.zeros((1, 1), int) if pattern is None else raw.raw_pattern
    return np.array(black)[places], np.array([white])


def _white(raw):
    camera = [level for level in (raw.camera_white_level_per_channel or ()) if level and level > 0]
    return float(min([raw.white_level, *camera]))


def _white_balance(factors):
    """Usable factors for R, G, B with minimum 1; cameras also write zeros and -1."""
    rgb = [float(factor) for factor in factors[:3]]
    if min(rgb) <= 0 or max(rgb) > 20 * min(rgb):
        return None
    return tuple(factor / min(rgb) for factor in rgb)
