"""Read processed Lytro pictures: the focal stack of a -stk.lfp with its depth table, the depth map of a -dm.lfp.

Container: 16 bytes (\\x89LFP\\r\\n\\x1a\\n, version), then sections of 16 bytes (\\x89LFM json or \\x89LFC content, version,
length, big endian), 80 bytes of its name "sha1-...", the content, zeros up to a multiple of 16.  lambda is the relative
defocus that Lytro counts in, without a unit.  Raw pictures (-raw.lfp) need the white images of their camera:
export their views instead.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_MAGIC, _CONTENT, _META = b"\x89LFP\r\n\x1a\n", b"\x89LFC\r\n\x1a\n", b"\x89LFM\r\n\x1a\n"
_HEADER, _NAME, _ALIGN = 16, 80, 16
_STACK, _DEPTH = "com.lytro.acceleration.refocusStack", "com.lytro.acceleration.depthMap"


@dataclass(frozen=True, eq=False)
class LytroStack:
    """slices   JPEG bytes as they are in the file;   lambdas   of each, rising as the file has them or not
    depth       (h, w) float32 lambda of the scene, in coarse cells that cover the picture;   size (H, W) px of the slices
    """

    slices: tuple[bytes, ...]
    lambdas: tuple[float, ...]
    depth: np.ndarray
    size: tuple[int, int]
    name: str = ""

    def reference(self) -> np.ndarray:
        """(H, W) float32: place of the scene on the sweep, in frames from 0 in the order of lambda, one value per cell.

        What lies outside the sweep is NaN.
        """
        order = np.sort(self.lambdas)
        place = np.interp(self.depth, order, np.arange(len(order)), left=np.nan, right=np.nan)
        rows, columns = ((np.arange(length) + 0.5) * cells // length for length, cells in
                         zip(self.size, place.shape, strict=True))
        return place[np.ix_(rows.astype(int), columns.astype(int))].astype(np.float32)


@dataclass(frozen=True, eq=False)
class LytroDepth:
    """values (H, W) float32 lambda and confidence (H, W) float32 of a depth map by Lytro."""

    values: np.ndarray
    confidence: np.ndarray
    name: str = ""


def read_lytro(path) -> LytroStack | LytroDepth:
    """A processed picture.  Raises OSError for a file that is cut or of another kind, ValueError for one that holds video
    (H.264), or neither stack nor depth."""
    path = Path(path)
    meta, contents = _sections(path)
    try:
        blocks = {block["type"]: block["vendorContent"] for block in meta["picture"]["accelerationArray"]}
        if "blockOfImages" in blocks.get(_STACK, ()):
            form = blocks[_STACK]["blockOfImages"]["representation"]
            raise ValueError(f"{path}: its slices are a video ({form}), which dfd does not decode; export the focal stack "
                             "as pictures, or give the -dm.lfp of the same shot for its depth")
        if _STACK in blocks:
            return _stack(path, blocks[_STACK], contents)
        if _DEPTH in blocks:
            return _depth(path, blocks[_DEPTH], contents)
    except (KeyError, TypeError, IndexError) as error:
        raise OSError(f"{path}: its description lacks {error}; the file is damaged, or of a Lytro version that dfd does "
                      "not know: copy it again") from error
    raise ValueError(f"{path}: holds {', '.join(blocks) or 'no pictures'}, neither a focal stack nor a depth map; give the "
                     "-stk.lfp or -dm.lfp that Lytro's software saved beside it")


def _stack(path, block, contents):
    images = block["imageArray"]
    other = [image["representation"] for image in images if image["representation"] != "jpeg"]
    if other or len(images) < 2:
        raise ValueError(f"{path}: {len(images)} slices{f' as {other[0]}' if other else ''}; a focal stack has at least 2, "
                         "as jpeg; export it as pictures")
    sizes = {(int(image["height"]), int(image["width"])) for image in images}
    if len(sizes) > 1:
        raise ValueError(f"{path}: slices of {len(sizes)} sizes; export the focal stack again in one size")
    return LytroStack(tuple(_content(path, contents, image["imageRef"]) for image in images),
                      tuple(float(image["lambda"]) for image in images),
                      _map(path, contents, block["depthLut"], block["depthLut"]), sizes.pop(), path.stem)


def _depth(path, block, contents):
    maps = [_map(path, contents, block[key], block) for key in ("depthMap", "confidenceMap")]
    return LytroDepth(*maps, path.stem)


def _map(path, contents, item, size):
    """(height, width) float32 of a raw section."""
    shape, data = (int(size["height"]), int(size["width"])), _content(path, contents, item["imageRef"])
    if len(data) != 4 * shape[0] * shape[1]:
        raise OSError(f"{path}: a map of {len(data)} bytes instead of {4 * shape[0] * shape[1]} for {shape[1]} x {shape[0]}"
                      "; the file is damaged, copy it again")
    return np.frombuffer(data, "<f4").reshape(shape).astype(np.float32)


def _content(path, contents, name):
    if name not in contents:
        raise OSError(f"{path}: section {name[:17]}... is missing; the file is cut, copy it again")
    return contents[name]


def _sections(path):
    """(description, {name: content}) of a container."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise OSError(f"{path}: no such file; check the path") from None
    if not data.startswith(_MAGIC):
        raise OSError(f"{path}: not a Lytro picture (an .lfp begins with LFP); is its name right?")
    meta, contents = None, {}
    for magic, name, content in _walk(path, data):
        if magic == _META and meta is None:
            try:
                meta = json.loads(content)
            except ValueError as error:
                raise OSError(f"{path}: its description is not JSON; the file is damaged, copy it again") from error
        contents[name] = content
    if meta is None:
        raise OSError(f"{path}: holds no description; the file is cut, copy it again")
    return meta, contents


def _walk(path, data) -> Iterator[tuple[bytes, str, bytes]]:
    place = _HEADER
    while place + _HEADER <= len(data):
        magic = data[place:place + 8]
        length, start = struct.unpack_from(">I", data, place + 12)[0], place + _HEADER + _NAME
        if magic not in (_CONTENT, _META) or start + length > len(data):
            raise OSError(f"{path}: section at byte {place} is no section or ends beyond byte {len(data)}; the file is cut "
                          "or damaged, copy it again")
        yield magic, data[place + _HEADER:start].rstrip(b"\0").decode("ascii", "replace"), data[start:start + length]
        place = start + length + -length % _ALIGN
