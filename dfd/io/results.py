"""Write everything that a run leaves behind, in the stored orientation of the reference image, all or nothing."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dfd.depthmap import DepthMap
from dfd.io.folders import DiskFull, check_target, is_full, new_folder
from dfd.io.images import write_tiff
from dfd.io.points import write_cloud
from dfd.io.record import UNITS, make_record, quantity, strict

if TYPE_CHECKING:
    from dfd.io.sources import Source

__all__ = ["Outcome", "check_room", "check_target", "free_bytes", "linear_to_srgb", "output_bytes", "write_results"]

NO_FRAME = 65535
"""Value of index.tiff where no frame was used."""

ORIGINS = {"pupil": "entrance pupil", "sensor": "sensor plane"}

_FILES = {
    "depth.tiff": "float32, {quantity} [{unit}], NaN = unknown",
    "sigma.tiff": "float32, 1-sigma of depth.tiff [{unit}], infinite where its upper end is open",
    "confidence.tiff": "float32 0..1, falls with sigma, at most 0.05 where sigma is infinite, 0 = unknown",
    "allfocus.tiff": "uint16, all-in-focus image, sRGB-encoded",
    "index.tiff": "uint16, frame that each pixel of allfocus.tiff came from (0 = first in result.json), 65535 = none",
    "depth.png": "colour preview of depth.tiff with its scale, EXIF orientation applied",
    "confidence.png": "preview of confidence.tiff, EXIF orientation applied",
    "cloud.ply": "coloured points [m], x right, y down, z forward",
    "transforms.json": "alignment of each frame, reusable with --align",
    "report.html": "everything on one page",
    "result.json": "this record",
}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a finished run hands over to be written; all arrays on the host, stored orientation.

    result           DepthMap (H, W)
    source           io.sources.Source: frames with their settings, reference, profile, missing toml lines, warnings
    all_in_focus     (H, W, 3) or (H, W, 1) float32, linear, 0 = black, 1 = white; None where there is none
    index            (H, W) integers, frame that each pixel came from, negative = none; None where there is none
    transforms       one table per frame, see prepare.describe; None when nothing was aligned
    kept             index in source.frames of each frame that was used; None: all
    coordinates      place of each used frame on the sweep in the unit of the scale (metric: focus in dioptres from the
                     entrance pupil); None where there is no sweep
    intrinsics       (fx, fy, cx, cy) in px of the reference view; None where the optics are unknown
    origin           "pupil" or "sensor"; origin_offset [m] is what is added to the depth from the entrance pupil
    confidence       (H, W) float32 0..1 as it was before pixels were left out by it; default that of `result`
    gains            factor that each frame's brightness was multiplied by; noises: the Noise of each used frame after that,
                     noise_from in words where it comes from
    inputs           (path, sha256) of every file read
    lens_map         what the measured lens made of the map, `dfd.lensmap.LensMap.figures`; None: nothing
    timings          seconds per stage, in order
    """

    result: DepthMap
    source: Source
    all_in_focus: np.ndarray | None = None
    index: np.ndarray | None = None
    transforms: list[dict] | None = None
    coordinates: tuple[float, ...] | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    origin: str = "pupil"
    origin_offset: float = 0.0
    confidence: np.ndarray | None = None
    gains: tuple[float, ...] | None = None
    noises: tuple = ()
    noise_from: str = ""
    solver: str = ""
    parameters: dict = field(default_factory=dict)
    device: str = "cpu"
    timings: dict[str, float] = field(default_factory=dict)
    kept: tuple[int, ...] | None = None
    warnings: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    lens_map: dict | None = None

    def __post_init__(self):
        if self.origin not in ORIGINS:
            raise ValueError(f"origin ({self.origin!r}) must be pupil or sensor")
        for name in ("all_in_focus", "index"):
            array = getattr(self, name)
            if array is not None and tuple(array.shape[:2]) != self.result.shape:
                raise ValueError(f"{name} {tuple(array.shape[:2])} must have the size of the depth map "
                                 f"{self.result.shape}")

    @cached_property
    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """(depth, sigma), each (H, W) float32 in the unit of depth.tiff: metres from the origin when metric."""
        if self.result.scale != "metric":
            return self.result.values, self.result.sigma
        return self.result.depth + np.float32(self.origin_offset), self.result.depth_sigma

    @property
    def trust(self) -> np.ndarray:
        """(H, W) float32: what confidence.tiff holds."""
        return self.result.trust if self.confidence is None else self.confidence

    @property
    def quantity(self) -> str:
        """What the numbers of depth.tiff are, in words."""
        words = quantity(self.result.scale, self.source.order, self.solver, self.parameters.get("reduction", 1))
        return f"{words} from the {ORIGINS[self.origin]}" if self.result.scale == "metric" else words


def write_results(folder, outcome: Outcome, *, force: bool = False,
                  extras: Iterable[Callable[[Path, Outcome, dict], None]] = ()) -> dict:
    """Write the folder of `dfd depth` and return the content of result.json.

    extras   functions (folder, outcome, record) that add files of their own, such as report.write_report
    On any exception, Ctrl-C included, nothing is left behind and a folder that stood there stays as it was.
    Raises OSError when the folder exists (without `force`), holds files that dfd did not write, or cannot be written.
    """
    try:
        return _write_all(folder, outcome, force, extras)
    except OSError as error:
        if not is_full(error):
            raise
        least, most = output_bytes(outcome.result.values.size, metric=outcome.result.scale == "metric",
                                   pictures=outcome.all_in_focus is not None)
        raise DiskFull(f"{folder}: the disk is full; the results need {least / 1e9:.2g} to {most / 1e9:.2g} GB, "
                      f"{free_bytes(folder) / 1e9:.2g} GB are free; free some space, or choose another -o DIR") from error


def output_bytes(pixels: int, *, metric: bool, pictures: bool) -> tuple[float, float]:
    """Bytes of a folder of results of so many pixels: (whatever the images show, at most about).

    metric   there may be a point cloud;   pictures   there are an all-in-focus image and its index
    """
    maps, grey, colour, index, points, previews = 12, 2, 6, 2, 15, 1
    least = maps + (grey + index if pictures else 0)
    return pixels * least, pixels * (maps + (colour + index if pictures else 0) + points * metric + previews) + 4e6


def check_room(folder, size: float) -> None:
    """Raises OSError when the disk of an output folder, which need not exist yet, has fewer bytes free than `size`."""
    free = free_bytes(folder)
    if free < size:
        raise OSError(f"{folder}: the results need at least {size / 1e9:.2g} GB, {free / 1e9:.2g} GB are free; free some "
                      "space, choose another -o DIR, or use --preview")


def free_bytes(folder) -> int:
    """Bytes that are free where an output folder is or will be."""
    place = Path(os.path.realpath(folder)).parent
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _write_all(folder, outcome, force, extras):
    start = time.perf_counter()
    with new_folder(folder, force=force) as temporary, ThreadPoolExecutor(1) as pool:  # ends before the folder goes
        record = make_record(outcome)
        arrays = pool.submit(_write_arrays, temporary, outcome)
        if outcome.transforms is not None:
            content = {"schema": "dfd-transforms 1", "size_px": record["size_px"], "frames": outcome.transforms}
            _write_json(temporary / "transforms.json", strict(content))
        for extra in extras:
            extra(temporary, outcome, record)
        arrays.result()
        words = {"quantity": outcome.quantity, "unit": UNITS[outcome.result.scale]}
        names = sorted({path.name for path in temporary.iterdir()} | {"result.json"})
        record["files"] = {name: _FILES.get(name, "").format(**words) for name in names}
        record["timings_s"] = record["timings_s"] | {"write": round(time.perf_counter() - start, 3)}
        _write_json(temporary / "result.json", record)
    return record


def linear_to_srgb(linear):
    """sRGB code values 0..1 of linear light, clipped to 0..1, float32 (IEC 61966-2-1)."""
    linear = np.clip(linear, 0.0, 1.0).astype(np.float32, copy=False)
    encoded = np.log(np.maximum(linear, np.float32(1e-4)))  # x ** (1 / 2.4), by functions that NumPy vectorises
    encoded /= np.float32(2.4)
    np.exp(encoded, out=encoded)
    encoded *= np.float32(1.055)
    encoded -= np.float32(0.055)
    return np.where(linear <= 0.0031308, np.float32(12.92) * linear, encoded)


def _write_arrays(folder, outcome):
    """What is pixels, in a thread: files and NumPy leave the interpreter to the report meanwhile."""
    _write_maps(folder, outcome)
    _write_pictures(folder, outcome)


def _write_maps(folder, outcome):
    scale = outcome.result.scale
    depth, sigma = outcome.maps
    shared = {"scale": scale, "unit": UNITS[scale], "unknown": "NaN"}
    if scale == "metric":
        shared |= {"origin": ORIGINS[outcome.origin], "origin_offset_m": outcome.origin_offset}
    write_tiff(folder / "depth.tiff", depth, metadata={"quantity": outcome.quantity, **shared})
    write_tiff(folder / "sigma.tiff", sigma, metadata={"quantity": f"1-sigma of: {outcome.quantity}", **shared})
    write_tiff(folder / "confidence.tiff", outcome.trust,
               metadata={"quantity": "confidence 0..1, s0^2 / (s0^2 + sigma^2), s0 the median sigma", "unknown": "0"})


def _write_pictures(folder, outcome):
    """All-in-focus image, index map and point cloud, where there are any."""
    from dfd.kernels.tables import to_codes

    encoded = None
    if outcome.all_in_focus is not None:
        encoded = to_codes(outcome.all_in_focus, linear_to_srgb, 65535)
        grey = encoded.shape[2] == 1
        write_tiff(folder / "allfocus.tiff", encoded[..., 0] if grey else encoded,
                   metadata={"quantity": "all-in-focus image", "encoding": "sRGB (IEC 61966-2-1), 0..65535"})
    if outcome.index is not None:
        index = outcome.index.astype(np.uint16)
        index[outcome.index < 0] = NO_FRAME
        write_tiff(folder / "index.tiff", index, metadata={
            "quantity": "frame that each pixel came from, 0 = first frame of result.json", "unknown": str(NO_FRAME)})
    if outcome.result.scale == "metric" and outcome.intrinsics is not None:
        colours = None if encoded is None else \
            np.broadcast_to((encoded >> 8).astype(np.uint8), (*outcome.result.shape, 3))
        del encoded
        measured = np.where(np.isnan(outcome.result.sigma), np.float32(np.nan), outcome.result.depth)
        write_cloud(folder / "cloud.ply", measured, colours, outcome.intrinsics,
                    offset=outcome.origin_offset)


def _write_json(path, content):
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")  # JSON's own escape for a name that is not Unicode
