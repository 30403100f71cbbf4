"""Is a picture the result of a phone's portrait mode?  It then carries a relative depth map that was filtered and edited,
while its two half-pupil views are gone.

XMP of Google's GDepth and of Dynamic Depth 1.0; the Multi-Picture Format of CIPA DC-007, whose image types name disparity;
Samsung's trailer; auxiliary images of HEIF (ISO/IEC 23008-12).  Only markers are looked for.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

JPEG = (".jpg", ".jpeg", ".jpe")
HEIF = (".heic", ".heif", ".hif")

_XMP = {b"ns.google.com/photos/1.0/depthmap/": "Google GDepth", b"GDepth:": "Google GDepth",
        b"ns.google.com/photos/dd/1.0/depthmap/": "Dynamic Depth", b"Camera:DepthMap": "Dynamic Depth"}
_ANYWHERE = {b"DualShot_DepthMap": "Samsung's DualShot_DepthMap", b"ns.apple.com/depthData/": "Apple's depth data"}
"""Markers that stand behind the picture: a trailer, the XMP of an image within the file."""
_AUXILIARY = (b"urn:mpeg:hevc:2015:auxid:2", b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth",
              b"urn:com:apple:photo:2018:aux:portraiteffectsmatte", b"urn:com:apple:photo:2020:aux:disparity")
_DISPARITY = 0x020002  # MP type of an image of a Multi-Picture file
_MP_ENTRY = 0xB002
_SEGMENT = re.compile(rb"\xff([\xe1\xe2])")


def filtered_depth(path) -> str:
    """What a JPEG or HEIF picture carries in place of two views, in words; "" where there is no sign of a depth map.

    Raises OSError for a file that cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in JPEG + HEIF or not path.is_file():
        return ""
    data = path.read_bytes()
    if suffix in HEIF:
        return "an auxiliary depth image (HEIF)" if any(name in data for name in _AUXILIARY) else ""
    behind = next((name for marker, name in _ANYWHERE.items() if marker in data), "")
    if behind:
        return behind
    for content in _segments(data):
        if b"adobe.com/xap" in content[:40] or b"adobe.com/xmp" in content[:40]:
            found = next((name for marker, name in _XMP.items() if marker in content), "")
            if found:
                return f"{found} (XMP)"
        if content[:4] == b"MPF\0" and _holds_disparity(content[4:]):
            return "a disparity image (Multi-Picture Format)"
    return ""


def _segments(data):
    """The contents of the APP1 and APP2 segments of a JPEG."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] not in (0xDA, 0xD9):
        length = struct.unpack_from(">H", data, place + 2)[0]
        if _SEGMENT.match(data, place):
            yield data[place + 4:place + 2 + length]
        place += 2 + length


def _holds_disparity(index):
    """Whether the MP Index names an image of disparity.  `index` starts at its byte order, like a TIFF file."""
    try:
        order = {b"II": "<", b"MM": ">"}[index[:2]]
        start = struct.unpack_from(order + "I", index, 4)[0]
        for entry in range(struct.unpack_from(order + "H", index, start)[0]):
            tag, _, count, offset = struct.unpack_from(order + "HHII", index, start + 2 + 12 * entry)
            if tag == _MP_ENTRY:
                kinds = [struct.unpack_from(order + "I", index, offset + 16 * k)[0] & 0xFFFFFF for k in range(count // 16)]
                return _DISPARITY in kinds
    except (KeyError, struct.error):
        pass
    return False


def refusal(path) -> str:
    """The one line with which such a picture is refused; "" for any other."""
    what = filtered_depth(path)
    return what and (f"{path}: a processed portrait-mode picture; it holds a filtered relative depth map ({what}), not two "
                     "views; save the dual-pixel data itself (a dual-pixel RAW, or two views by a capture app)")
