"""Write a simulated capture as a folder of real files: DNG, TIFF or npy frames, capture.toml, and the exact truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.capturetext import CaptureText
from dfd.io.dng import write_dng
from dfd.io.folders import new_folder
from dfd.io.images import write_tiff
from dfd.simulate import Simulation

SCHEMA = "dfd-truth 1"
"""First entry of truth.json: its name and version."""

TIFF_WHITE = 65535
"""White level of a 16-bit TIFF."""

_RAW_BLACK, _RAW_WHITE = 512, 16383
_TOGETHER = "dual_pixel"  # stem of the one file of both views


@dataclass(frozen=True)
class _Format:
    """A file format: suffix, writer(path, simulation, index), white minus black in file units, lines for [camera]."""

    suffix: str
    write: Callable
    dn_range: float
    camera: tuple[str, ...]


def _write_raw(path, simulation, index):
    """14-bit RGGB mosaic; the noise is drawn on the mosaic, then rounded and clipped as a converter does."""
    write_dng(path, _codes(simulation.mosaic(index)), black_level=_RAW_BLACK, white_level=_RAW_WHITE,
              settings=simulation.settings[index])


def _write_dual_pixel_raw(path, simulation):
    """Both views in one file, as Canon's Dual Pixel RAW: the whole pixels, and the left half of each."""
    main, sub = (_codes(mosaic) for mosaic in simulation.half_mosaics())
    write_dng(path, main, second=sub, black_level=_RAW_BLACK, white_level=_RAW_WHITE, settings=simulation.settings[0])


def _codes(mosaic):
    codes = mosaic * np.float32(_RAW_WHITE - _RAW_BLACK) + np.float32(_RAW_BLACK)
    return np.clip(np.rint(codes), 0, _RAW_WHITE).astype(np.uint16)


def _write_sixteen_bit(path, simulation, index):
    write_sixteen_bit(path, simulation.planes(index))


def write_sixteen_bit(path, planes) -> Path:
    """Write a linear picture, 0 = black, 1 = white, as a 16-bit TIFF; what is unknown (NaN) is saturated, which every reader
    of dfd takes as unknown.  Raises OSError."""
    codes = np.rint(np.nan_to_num(planes, nan=1.0) * np.float32(TIFF_WHITE))
    return write_tiff(path, np.clip(codes, 0, TIFF_WHITE).astype(np.uint16))


def _write_npy(path, simulation, index):
    np.save(path, simulation.planes(index))


FORMATS = {
    "dng": _Format(".dng", _write_raw, _RAW_WHITE - _RAW_BLACK, ()),
    "tiff": _Format(".tiff", _write_sixteen_bit, TIFF_WHITE, ("black_level = 0", f"white_level = {TIFF_WHITE}")),
    "npy": _Format(".npy", _write_npy, 1.0, ("black_level = 0", "white_level = 1")),
}
"""Name of every file format that a simulation can be written in."""


def write_simulation(simulation: Simulation, folder, *, format="dng", force=False) -> Path:
    """Write frames, capture.toml, truth.tiff (float32 metres from the entrance pupil, NaN = nothing there; the
    reference frame's grid) and truth.json into a new `folder`; return its path.

    format   one of FORMATS: dng (Bayer RGGB, 14 bit, EXIF; a dual-pixel pair is one file of two frames), tiff (16-bit linear
             RGB) or npy (float32 linear RGB)
    force    replace an older simulation in the same place
    The folder appears whole or not at all.  Raises ValueError for an unknown format or a registered simulation whose
    lenses breathe, OSError when the folder exists or cannot be written.
    """
    if format not in FORMATS:
        raise ValueError(f"format ({format!r}) must be one of {', '.join(FORMATS)}")
    if simulation.registered:
        raise ValueError("a simulation with registered=True has no breathing, unlike its camera settings; simulate it "
                         "with registered=False to write files")
    chosen, together = FORMATS[format], format == "dng" and simulation.kind == "dual-pixel"
    names = [name + chosen.suffix for name in ((_TOGETHER,) if together else simulation.names)]
    with new_folder(folder, force=force, marker="truth.json") as temporary:
        if together:
            _write_dual_pixel_raw(temporary / names[0], simulation)
        else:
            for index, name in enumerate(names):
                chosen.write(temporary / name, simulation, index)
        (temporary / "capture.toml").write_text(str(_capture_toml(simulation, names, chosen)), encoding="utf-8")
        record = _truth_record(simulation, names)
        write_tiff(temporary / "truth.tiff", (1 / simulation.truth).astype(np.float32), metadata=record)
        (temporary / "truth.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Path(folder)


def _capture_toml(simulation, names, chosen) -> CaptureText:
    """With it the capture is metric from any of the formats."""
    views = simulation.pupils if len(names) > 1 and simulation.kind == "dual-pixel" else None
    return CaptureText(simulation.kind, names, simulation.settings, simulation.reference, levels=chosen.camera,
                       side=simulation.side, kappa=simulation.kappa, views=views, roles=simulation.roles,
                       noise=simulation.noise, dn_range=chosen.dn_range)


def _truth_record(simulation, names) -> dict:
    lens = simulation.lenses[simulation.reference]
    height, width = simulation.shape
    noise = simulation.noise
    return {
        "schema": SCHEMA,
        "kind": simulation.kind,
        "unit": "m",
        "origin": "pupil",
        "reference": names[simulation.reference],
        "scene": simulation.scene.name,
        "preset": simulation.preset,
        "seed": simulation.seed,
        "noise": {"full_well_e": noise.gain, "read_noise_e": noise.read_noise} if noise else None,
        "intrinsics_px": {"fx": lens.fx, "fy": lens.fx, "cx": (width - 1) / 2, "cy": (height - 1) / 2},
        "files": [*names, "capture.toml", "truth.tiff", "truth.json"],
    }
