"""Read TIFF, PNG, JPEG, PGM and npy into linear float32, in the orientation that the file stores; write TIFF.

Black is subtracted first; a display-referred file is then undone with the inverse of the sRGB curve (IEC 61966-2-1), before
colours or pixels are mixed; luminance is the Rec. 709 sum of linear RGB.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.imaging import REC709, luminance
from dfd.io.integrity import check_jpeg, check_png, check_tiff, is_tiff
from dfd.io.light import check_finite, curves, full_scale, has_table, levels, linearise
from dfd.io.npy import open_npy, picture_size
from dfd.io.pgm import is_capture, open_pgm, read_pgm

FORMATS = {".tif": "tiff", ".tiff": "tiff", ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".jpe": "jpeg",
           ".npy": "npy", ".pgm": "pgm"}
"""File suffix (lower case) -> format read here."""

_PNG_BITS = 24  # place in the file
_PAGE_BYTES, _CLASSIC_BYTES = 1024, 4e9  # of the tables of a page; what a TIFF of 32-bit offsets can hold
_ICC = 34675  # TIFF tag of the embedded profile
_NEGATIVE, _GREY, _RGB = 0, 1, 2  # TIFF PhotometricInterpretation: white is zero, black is zero, RGB


@dataclass(frozen=True, eq=False)
class Picture:
    """values (H, W) or (H, W, 3) float32, linear, 0 = black, 1 = white; dn_range = white - black in file units.

    clips    values end at white, because the file holds integers;   colour   the file holds colours
    """

    values: np.ndarray
    dn_range: float
    clips: bool = False
    colour: bool = False


def read_image(path, *, linear: bool | None = None, black_level=None, white_level: float | None = None) -> Picture:
    """Read one image file.

    linear        pixel values are proportional to light; None: `default_linear`
    black_level   file units, one number or one per channel; None: 0
    white_level   file units; None: the largest value of the file's integers, 1 for floats
    Raises OSError for a file that is missing, cut, damaged or not an image; ValueError for NaN or infinite pixels and
    for levels that do not fit.
    """
    data, black, white, linear = _open(Path(path), linear, black_level, white_level)
    return Picture(linearise(data, black, white, linear), float(white - black.mean()), data.dtype.kind in "iu",
                   data.ndim == 3)


def read_grey(path, *, linear: bool | None = None, black_level=None, white_level: float | None = None,
              clipped: float = 1.0) -> Picture:
    """`read_image` to one plane, the Rec. 709 sum of linear colours; NaN where a file of integers is saturated.

    clipped   linear light from which a channel is saturated.  One channel of linear colours is enough; in a developed
              picture one full channel is colour, not the end of the sensor, and all must be
    """
    data, black, white, linear = _open(Path(path), linear, black_level, white_level)
    dn_range, clips = float(white - black.mean()), data.dtype.kind in "iu"
    if not has_table(data):
        values = linearise(data, black, white, linear)
        full = values >= clipped
        full = full if full.ndim == 2 else full.any(axis=2) if linear else full.all(axis=2)
        grey = luminance(values)
        return Picture(np.where(full, np.float32(np.nan), grey) if clips else grey, dn_range, clips, data.ndim == 3)
    from dfd.kernels.tables import blend

    data = data.reshape(*data.shape[:2], -1)
    tables = curves(data.dtype, np.resize(black, data.shape[2]), white, linear)
    grey = blend(data, tables, REC709 if data.shape[2] == 3 else (1.0,), limit=clipped, every=not linear)
    return Picture(grey, dn_range, clips, data.shape[2] == 3)


def _open(path, linear, black_level, white_level):
    """(pixels in file units, black per channel or one, white, whether they are linear), all checked."""
    data, brightest = _decode(path)
    linear = default_linear(path) if linear is None else linear
    if data.ndim == 3 and data.shape[2] in (2, 4):  # alpha
        data = data[..., :-1]
    if data.ndim == 3 and data.shape[2] == 1:
        data = data[..., 0]
    if data.ndim not in (2, 3) or (data.ndim == 3 and data.shape[2] != 3) or 0 in data.shape:
        raise OSError(f"{path}: an array of shape {data.shape} is not a grey or RGB image")
    check_finite(path, data)
    return data, *levels(path, data, brightest, black_level, white_level), linear


def read_values(path) -> np.ndarray:
    """The numbers of an image file as they are stored, in file units: (H, W) or (H, W, C), NaN and infinity included.

    Raises OSError as `read_image` does.
    """
    return _decode(Path(path))[0]


def default_linear(path) -> bool:
    """True for npy, for float and for 16-bit TIFF, for PGM of PDCapture; False for other PGM, 8-bit TIFF, PNG and JPEG."""
    kind = file_format(path)
    if kind == "pgm":
        return is_capture(path)
    return kind == "npy" or (kind == "tiff" and max(directory.bits for directory in check_tiff(path)) > 8)


def samples(path) -> tuple[int, bool]:
    """(bits per channel, whether they are floats) of an image file, from its header; OSError as in `read_image`."""
    path, kind = Path(path), file_format(path)
    if kind == "tiff":
        first = check_tiff(path)[0]
        return first.bits, first.floating
    if kind == "npy":
        dtype = open_npy(path).dtype
        return 8 * dtype.itemsize, dtype.kind == "f"
    if kind == "pgm":
        return (16 if open_pgm(path)[2] > 255 else 8), False
    with path.open("rb") as file:
        return (file.read(_PNG_BITS + 1)[_PNG_BITS] if kind == "png" else 8), False


def embedded_profile(path) -> bytes:
    """The ICC colour profile in the first image of a TIFF; empty without one, and where it cannot be read."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            tag = file.pages.first.tags.get(_ICC)
            return bytes(tag.value) if tag is not None else b""
    except Exception:  # tifffile raises many kinds; whether the file is damaged is told where its pixels are read
        return b""


def image_size(path) -> tuple[int, int]:
    """(H, W) px of an image file, from its header; OSError as in `read_image`."""
    path, kind = Path(path), file_format(path)
    if kind == "tiff":
        first = check_tiff(path)[0]
        return first.height, first.width
    if kind == "npy":
        return picture_size(path)
    if kind == "pgm":
        return open_pgm(path)[:2]
    return _checked_size(path, kind, _stamp(path))


def _stamp(path):
    """What changes when a file does."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=4096)
def _checked_size(path, kind, stamp):
    """(H, W) px of a PNG or JPEG that is whole; a file is read through once, not at every look."""
    return (check_png if kind == "png" else check_jpeg)(path, path.read_bytes())


def file_format(path) -> str:
    """"tiff", "png", "jpeg", "pgm" or "npy", by suffix.  Raises OSError for a missing or empty file and another kind."""
    path = Path(path)
    if not path.is_file():
        raise OSError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}; check the path")
    if path.stat().st_size == 0:
        raise OSError(f"{path}: 0 bytes; the file is empty, copy it again")
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise OSError(f"{path}: not an image that dfd reads; it reads TIFF, PNG, JPEG, PGM, npy and RAW files, "
                      "known by their suffix") from None


def _decode(path):
    """(numbers in file units, white of a file that does not say) of any format."""
    return _DECODERS[file_format(path)](path)


def _decode_tiff(path):
    """First image of a TIFF; plain grey and RGB by tifffile, every other kind (LZW, palette, CMYK) by OpenCV."""
    import tifffile

    if not is_tiff(path):
        raise OSError(f"{path}: not a TIFF file; is its name right?")
    check_tiff(path)
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            _check_single(path, file.pages)
            _check_positive(path, page)
            plain = page.photometric in (_GREY, _RGB)
            bits = page.bitspersample
            data = np.moveaxis(page.asarray(), 0, -1) if plain and page.planarconfig == 2 and page.samplesperpixel > 1 \
                else page.asarray() if plain else None
    except OSError:
        raise
    except Exception as error:  # tifffile raises many kinds; a codec that is not installed among them
        if "imagecodecs" not in str(error):
            raise OSError(f"{path}: cannot be read as TIFF; save it again, uncompressed") from error
        data, bits = None, None
    if data is None:
        return _decode_opencv(path, path.read_bytes())
    return data, full_scale(path, data.dtype, bits)


def _check_single(path, pages):
    """One picture per file: further pages of the same size would be frames that nobody asked for."""
    sizes = [(page.imagelength, page.imagewidth) for page in pages if hasattr(page, "imagelength")]
    if sizes.count(sizes[0]) > 1:
        raise OSError(f"{path}: holds {sizes.count(sizes[0])} images of {sizes[0][1]} x {sizes[0][0]} px; save one "
                      "file per frame")


def _check_positive(path, page):
    """Levels in file units rise with light everywhere in dfd."""
    if page.photometric == _NEGATIVE:
        raise OSError(f"{path}: PhotometricInterpretation 0, its zero is white; black must be zero (1, or 2 for RGB); save "
                      "it again as an ordinary grey TIFF")


def _decode_png(path):
    _checked_size(path, "png", _stamp(path))
    return _decode_opencv(path, path.read_bytes())


def _decode_jpeg(path):
    _checked_size(path, "jpeg", _stamp(path))
    return _decode_opencv(path, path.read_bytes())


def _decode_opencv(path, data):
    """(H, W[, 3 or 4]) in RGB order.  IMREAD_UNCHANGED keeps depth and alpha, and ignores the EXIF orientation."""
    import cv2

    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise OSError(f"{path}: cannot be decoded; the file is damaged, copy it again") from error
    if image is None:
        raise OSError(f"{path}: cannot be decoded; the file is damaged or not an image, copy it again")
    if image.ndim == 3 and image.shape[2] >= 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return image, full_scale(path, image.dtype, None)


def _decode_npy(path):
    stored = open_npy(path)
    data = np.array(stored, stored.dtype.newbyteorder("="))  # compiled loops take the byte order of this machine alone
    return data, full_scale(path, data.dtype, None)


_DECODERS = {"tiff": _decode_tiff, "png": _decode_png, "jpeg": _decode_jpeg, "npy": _decode_npy,
             "pgm": read_pgm}


def write_tiff(path, image, *, metadata: dict | None = None) -> Path:
    """Write (H, W) or (H, W, 3) float32, uint16 or uint8 as an uncompressed TIFF; return the path.

    metadata   stored as JSON text in ImageDescription, where every TIFF reader shows it
    Raises TypeError for another dtype or shape, OSError when the file cannot be written.
    """
    import tifffile

    image = np.asarray(image)
    if image.dtype not in (np.float32, np.uint16, np.uint8) or image.ndim < 2 or image.shape[2:] not in ((), (3,)):
        raise TypeError(f"image ({image.dtype}, shape {image.shape}) must be (H, W) or (H, W, 3), "
                        "float32, uint16 or uint8")
    description = None if metadata is None else json.dumps(metadata, ensure_ascii=True, allow_nan=False)
    tifffile.imwrite(path, image, photometric="rgb" if image.ndim == 3 else "minisblack", metadata=None,
                     description=description, software="dfd")
    return Path(path)


class PageWriter:
    """A context manager that writes (H, W) float32 maps as the pages of one uncompressed TIFF, a BigTIFF where it needs one.

    count      pages that there will be;   metadata   as in `write_tiff`, of the first page
    """

    def __init__(self, path, count: int, shape: tuple[int, int], metadata: dict):
        import tifffile

        size = count * (4 * shape[0] * shape[1] + _PAGE_BYTES)
        self._file = tifffile.TiffWriter(path, bigtiff=size > _CLASSIC_BYTES)
        self._description = json.dumps(metadata, ensure_ascii=True, allow_nan=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def add(self, image) -> None:
        """Write the next page.  Raises OSError when it cannot be written."""
        self._file.write(image, photometric="minisblack", metadata=None, description=self._description, software="dfd")
        self._description = None
