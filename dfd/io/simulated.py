"""Write a simulated capture as a folder of real files: DNG, TIFF or npy frames, capture.toml, and the exact truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.dng import write_dng
from dfd.io.folders import new_folder
from dfd.io.images import write_tiff
from dfd.simulate import Simulation

SCHEMA = "dfd-truth 1"
"""First entry of truth.json: its name and version."""

_RAW_BLACK, _RAW_WHITE, _TIFF_WHITE = 512, 16383, 65535
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
    planes = simulation.planes(index) * np.float32(_TIFF_WHITE)
    write_tiff(path, np.clip(np.rint(planes), 0, _TIFF_WHITE).astype(np.uint16))


def _write_npy(path, simulation, index):
    np.save(path, simulation.planes(index))


FORMATS = {
    "dng": _Format(".dng", _write_raw, _RAW_WHITE - _RAW_BLACK, ()),
    "tiff": _Format(".tiff", _write_sixteen_bit, _TIFF_WHITE, ("black_level = 0", f"white_level = {_TIFF_WHITE}")),
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
        (temporary / "capture.toml").write_text(_capture_toml(simulation, names, chosen), encoding="utf-8")
        record = _truth_record(simulation, names)
        write_tiff(temporary / "truth.tiff", (1 / simulation.truth).astype(np.float32), metadata=record)
        (temporary / "truth.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Path(folder)


def _capture_toml(simulation, names, chosen) -> str:
    """The text of capture.toml: with it the capture is metric from any of the formats."""
    lines = [f'kind = "{simulation.kind}"', 'distance_from = "pupil"']
    if simulation.side:
        lines.append(f'side = "{simulation.side}"')
    lines += ["", "[camera]", *_camera_lines(simulation, chosen)]
    for index, name in enumerate(names):
        view = simulation.pupils[index] if len(names) > 1 and simulation.kind == "dual-pixel" else None
        lines += ["", "[[frames]]", f'file = "{name}"', *_frame_lines(simulation, index, view)]
    return "\n".join(lines) + "\n"


def _camera_lines(simulation, chosen):
    settings = simulation.settings[simulation.reference]
    for name, key, scale in (("focal_length", "focal_length_mm", 1e3), ("pixel_pitch", "pixel_pitch_um", 1e6),
                             ("image_distance", "image_distance_mm", 1e3)):
        if getattr(settings, name):
            yield f"{key} = {_number(getattr(settings, name).value * scale)}"
    yield "linear = true"
    yield from chosen.camera
    yield 'psf = "disk"'
    if simulation.kappa:
        yield f"kappa = {_number(simulation.kappa)}"
    if simulation.noise:
        yield f"gain_e_per_dn = {_number(simulation.noise.gain / chosen.dn_range)}"
        yield f"read_noise_e = {_number(simulation.noise.read_noise)}"


def _frame_lines(simulation, index, view):
    settings = simulation.settings[index]
    for name, key, scale in (("focus_distance", "focus_distance_m", 1), ("power", "power_dpt", 1),
                             ("f_number", "f_number", 1), ("pupil_diameter", "pupil_diameter_mm", 1e3),
                             ("exposure", "exposure_s", 1), ("iso", "iso", 1)):
        if getattr(settings, name):
            yield f"{key} = {_number(getattr(settings, name).value * scale)}"
    if index == simulation.reference:
        yield "reference = true"
    if view:
        yield f'view = "{view}"'
    if simulation.roles:
        yield f'role = "{simulation.roles[index]}"'


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


def _number(value: float) -> str:
    """Shortest decimal text that reads back as the same float, to 12 digits so that 50.000000000000007 is 50."""
    return repr(float(f"{value:.12g}"))
