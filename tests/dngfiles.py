"""DNG files that `write_dng` does not write: other tags, other sensors, tiles."""

import struct

import tifffile

from dfd.io.dng import XTRANS, write_dng

BLACK, WHITE = 512, 16383
SHORT, RATIONAL, BYTE, SRATIONAL = 3, 5, 1, 10
PIXEL_ASPECT, BLACK_SIZE, BLACK_LEVEL, WHITE_LEVEL, ACTIVE_AREA = 50718, 50713, 50714, 50717, 50829
CFA_SIZE, CFA, PLANE_COLOURS, COLOUR_MATRIX, NEUTRAL = 33421, 33422, 50710, 50721, 50728


def changed_dng(path, codes, tags, *, pattern="RGGB", drop=(), **options):
    """`codes` as write_dng writes them, with `tags` {code: (dtype, count, value)} put in and `drop` left out.

    options   of tifffile.imwrite: tiles, compression, ...
    """
    plain = write_dng(path, codes, black_level=BLACK, white_level=WHITE, pattern=pattern)
    with tifffile.TiffFile(plain) as file:
        page = file.pages.first
        found = {tag.code: (tag.dtype, tag.count, tag.value) for tag in page.tags if tag.code > 33000}
        photometric = page.photometric
    found = {code: value for code, value in (found | tags).items() if code not in drop}
    tifffile.imwrite(path, codes, photometric=photometric, metadata=None,
                     extratags=[(code, *value, True) for code, value in sorted(found.items())], **options)
    return path


def monochrome_dng(path, codes):
    """A sensor without colours: LinearRaw of one sample, which tifffile does not write by itself."""
    changed_dng(path, codes, {}, drop=(CFA_SIZE, CFA, COLOUR_MATRIX, NEUTRAL))
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<HHI", 262, SHORT, 1))
    data[place + 8:place + 10] = struct.pack("<H", 34892)
    path.write_bytes(data)
    return path


def tiled_dng(path, codes, size, tags=None):
    """The same in lossless JPEG tiles of `size` px."""
    return changed_dng(path, codes, tags or {}, tile=(size, size), compression="jpeg",
                       compressionargs={"lossless": True, "bitspersample": 16})


def colour_table(layout):
    """P x P nested tuples of colour indices from the letters of a square pattern ("RGGB")."""
    period = round(len(layout) ** 0.5)
    return tuple(tuple("RGB".index(letter) for letter in layout[row * period:(row + 1) * period]) for row in range(period))


XTRANS_TABLE = colour_table(XTRANS)
