"""A sequence of differential quadruples in files: found and described once, then read one after another into one array.

Four files of many pages each (TIFF, npy), a folder per quadruple, or a pickle of the published layout (`dfd.io.codpickle`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dfd.imaging import reduce
from dfd.io import frames as reader
from dfd.io.gather import gather
from dfd.io.images import file_format
from dfd.io.inputs import Inputs, find_inputs
from dfd.io.light import CLIPPED, full_scale, levels, linearise
from dfd.io.npy import open_npy
from dfd.io.pages import Pages, count_pages, find_pages, holds_pages
from dfd.io.sidecar import NAME
from dfd.io.sources import Source, find_profile, make_source

KIND = "differential-quad"
PICKLES = (".pkl", ".pickle")
"""Suffixes of files that are read as pickles of the published layout."""

_RAW = ("uint16", "float32")
"""Types that need no other numbers before they are solved."""


@dataclass(frozen=True, eq=False)
class Quadruples:
    """A sequence, undecoded.

    source        what is known of it: frames are those of the first quadruple in the order of their roles
    read          (index, out): fills `out`, (4, H, W) of `dtype`; raises OSError for a file
    count, shape  quadruples, and (H, W) px of each as it is read;   dtype   uint16 or float32
    black, white  numbers that are no light and full light
    names         of each quadruple;   inputs   every file that is read
    plane         what the noise of an image went through, without the image itself
    reduction     whole factor by which the images are made smaller: a pixel is so many of those that `source` speaks of
    areas         the four exposures are known to be equal, so that an image is as bright as its pupil is large
    truths        depth [m] of each quadruple where the files tell it
    """

    source: Source
    read: Callable[[int, np.ndarray], None]
    count: int
    shape: tuple[int, int]
    dtype: np.dtype
    black: float
    white: float
    names: tuple[str, ...]
    inputs: tuple[Path, ...]
    plane: reader.Plane
    reduction: int = 1
    areas: bool = False
    truths: tuple[float, ...] | None = None


def is_sequence(inputs) -> bool:
    """Whether these inputs are many quadruples; False also where they are no inputs at all, which a later reader tells."""
    if is_pickle(inputs):
        return True
    try:
        found = find_inputs(inputs)
        if found.sidecar is not None and found.sidecar.folders:
            return True
        roles = all(entry is not None and entry.role for entry in found.entries)
        return roles and any(not reader.is_raw(path) and holds_pages(path) for path in found.files)
    except (OSError, ValueError):
        return False


def is_pickle(inputs) -> bool:
    """Whether the one input is a pickle, by its suffix."""
    paths = [Path(inputs)] if isinstance(inputs, (str, Path)) else [Path(item) for item in inputs]
    return len(paths) == 1 and paths[0].suffix.lower() in PICKLES


def open_quadruples(inputs, *, lens=None, preview: int | None = None) -> Quadruples:
    """Find a sequence in a folder, a capture.toml or four files, and check every header.

    lens   a LensProfile or the path of one;   preview   px: images are reduced by a whole factor to at most this
    Raises OSError for files and ValueError for values, in one line.
    """
    found = find_inputs(inputs)
    profile = find_profile(lens, found)
    source = make_source(found, gather(found, profile, {}), profile, kind=KIND)
    if source.scale != "metric":
        raise ValueError(f"{source.frames[0].path.parent}: a sequence needs the optics of its four frames; add "
                         + "; ".join(source.missing))
    folders = found.sidecar.folders if found.sidecar is not None else ()
    if not folders:
        planes = [_paged(frame.path) for frame in source.frames]
        _check_counts(source, planes)
        names = tuple(f"page {index}" for index in range(len(planes[0])))
        files = _inputs(found, [frame.path for frame in source.frames])
        return of_planes(source, planes, names, files, reduction=reduction_to(planes[0].shape, preview))
    source = replace(source, warnings=source.warnings + _unread(folders))
    paths = [[_beside(frame.path, folders[0], folder) for folder in folders] for frame in source.frames]
    names, files = tuple(folder.name for folder in folders), _inputs(found, [path for role in paths for path in role])
    planes = [_gathered(role) for role in paths]
    if all(planes):
        return of_planes(source, planes, names, files, reduction=reduction_to(planes[0].shape, preview))
    return _of_pictures(source, paths, names, files, preview)


def _paged(path) -> Pages:
    pages = None if reader.is_raw(path) else find_pages(path)
    if pages is None:
        raise OSError(f"{path}: a sequence is read from plain grey numbers, and {_unfit(path)}")
    return pages


def _unfit(path):
    """Why a file is none that holds plain grey numbers, and what to do."""
    stored = open_npy(path) if file_format(path) == "npy" else None
    if stored is not None and not stored.size:
        return f"this file of shape {stored.shape} holds no images; save an npy (T, H, W)"
    if stored is not None and stored.dtype.kind not in "uf":
        return f"this file is of type {stored.dtype}; save uint16 or float32"
    if stored is not None and not stored.flags.c_contiguous:
        return "this file is stored columns first; save it with numpy.ascontiguousarray"
    return "this file is compressed or has colours; save it as uncompressed grey TIFF or as npy (T, H, W)"


def _check_counts(source, planes):
    """As many pages in every file."""
    first = source.frames[0].path
    for frame, pages in zip(source.frames, planes, strict=True):
        if len(pages) != len(planes[0]):
            raise ValueError(f"{frame.path} holds {len(pages)} images but {first.name} {len(planes[0])}; every quadruple "
                             "needs all four, save as many of each")


def _unread(folders):
    """A sentence on tables in the folders, which nobody reads."""
    own = [folder for folder in folders if (folder / NAME).is_file()]
    if not own:
        return ()
    return (f"{len(own)} of {len(folders)} folders hold a {NAME} of their own, first {own[0].name}; it is not read, the one "
            "beside the folders describes all; state there what differs, or move it away",)


def _beside(path, first, folder):
    """The file of the first folder in another one."""
    other = folder / path.relative_to(first)
    if not other.is_file():
        raise OSError(f"{other}: no such file; every folder of a sequence holds the four files that capture.toml names, add "
                      "it or move the folder away")
    return other


def _gathered(paths) -> Pages | None:
    """The images of one file per folder; None where they must be decoded.  Raises OSError for a file of several."""
    found = []
    for path in paths:
        if reader.is_raw(path):
            return None
        count, pages = count_pages(path), find_pages(path, first=True)
        if count > 1:
            raise OSError(f"{path} holds {count} images, but a file in a folder of a sequence is one of four images; save "
                          "one, or a file of many pages per role without folders")
        if pages is None:
            return None
        found.append(pages)
        if (pages.shape, pages.dtype) != (found[0].shape, found[0].dtype):
            here, there = (f"{item.shape[1]} x {item.shape[0]} px of {item.dtype}" for item in (pages, found[0]))
            raise ValueError(f"{path} is {here} but {paths[0]} {there}; all images of a sequence have one size and type")
    return replace(found[0], places=tuple(pages.places[0] for pages in found))


def _inputs(found: Inputs, paths):
    """Every file that is read; the lens profile is named in the record by itself."""
    return (*paths, *((found.sidecar.path,) if found.sidecar is not None else ()))


def of_planes(source: Source, planes, names, inputs, *, reduction: int, **more) -> Quadruples:
    """A sequence whose images stand in files as plain numbers.

    planes   the Pages of each role;   more   other fields of Quadruples
    Raises ValueError when the four differ in size or type, and for levels that do not fit.
    """
    for frame, pages in zip(source.frames, planes, strict=True):
        if (pages.shape, pages.dtype) != (planes[0].shape, planes[0].dtype):
            here, there = (f"{item.shape[1]} x {item.shape[0]} px of {item.dtype}" for item in (pages, planes[0]))
            raise ValueError(f"{frame.path}: {frame.role} is {here} but {source.frames[0].role} {there}; save all four "
                             "alike")
    frame, stored = source.frames[0], planes[0].dtype.newbyteorder("=")
    sample = np.empty((1, 1), stored)
    black, white = levels(frame.path, sample, full_scale(frame.path, stored, None), frame.black_level, frame.white_level)
    shape = tuple(length // reduction for length in planes[0].shape)
    common = {"source": source, "count": len(planes[0]), "shape": shape, "names": names, "inputs": inputs,
              "plane": reader.Plane(None, float(white - black[0])), "reduction": reduction, **more}
    if frame.linear and reduction == 1 and stored.name in _RAW:
        def read(index, out):
            for pages, image in zip(planes, out, strict=True):
                pages.read(index, image)

        return Quadruples(read=read, dtype=stored, black=float(black[0]), white=white, **common)
    scratch = np.empty(planes[0].shape, stored)

    def read_light(index, out):
        for pages, image in zip(planes, out, strict=True):
            pages.read(index, scratch)
            np.copyto(image, reduce(_light(scratch, black, white, frame.linear), reduction))

    return Quadruples(read=read_light, dtype=np.dtype(np.float32), black=0.0, white=1.0, **common)


def _light(stored, black, white, linear):
    """(H, W) float32, 0 = black, 1 = white, NaN = saturated."""
    light = linearise(stored, black, white, linear)
    return np.where(light >= CLIPPED, np.float32(np.nan), light) if stored.dtype.kind == "u" else light


def _of_pictures(source, paths, names, inputs, preview) -> Quadruples:
    """A sequence whose images are decoded one by one: PNG, JPEG, RAW, compressed or with colours."""
    size, first = reader.image_size(source.frames[0].path), reader.read_luminance(source.frames[0])
    reduction = reduction_to(size, preview)

    def read(index, out):
        for frame, role, image in zip(source.frames, paths, out, strict=True):
            plane = reader.read_luminance(replace(frame, path=role[index])).image
            if plane.shape != size:
                here, there = (f"{width} x {height} px" for height, width in (plane.shape, size))
                raise ValueError(f"{role[index]} is {here} but {role[0]} {there}; all images of a sequence have one size")
            np.copyto(image, reduce(plane, reduction))

    return Quadruples(source=source, read=read, count=len(names), shape=tuple(length // reduction for length in size),
                      dtype=np.dtype(np.float32), black=0.0, white=1.0, names=names, inputs=inputs,
                      plane=replace(first, image=None), reduction=reduction)


def reduction_to(shape, preview: int | None) -> int:
    """The whole factor that makes the longer side at most `preview` px; 1 for None."""
    return 1 if preview is None else -(-max(shape) // preview)
