"""The files of a simulated shoot: frames with what a camera would say, the list of distances, and the whole truth."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from calibration.simulate.plan import StationPlan
from calibration.simulate.rendering import Station, exposed
from calibration.simulate.truelens import TrueLens
from calibration.target.board import Board
from dfd.io.dng import write_dng
from dfd.io.images import write_tiff
from dfd.settings import CameraSettings, Value

SCHEMA = "dfd-truth 1"
"""First entry of every truth.json: what marks a folder as written by dfd."""

SUFFIXES = {"dng": ".dng", "tiff": ".tiff"}
"""Format of the frames -> suffix: RGGB mosaics with EXIF, or 16-bit linear RGB without."""

ISO = 100.0
_TIFF_WHITE = 65535
_SAID = 0.96  # focus distance that the camera tells over the true one
_EXPOSURE = 0.01  # s at f/1.8


def said(lens: TrueLens, s: float | None, f_number: float, *, file="", exposure=None) -> CameraSettings:
    """What the camera says of a frame: nominal numbers, and a coarse focus distance from the sensor mark."""
    focus = None if s is None else Value(focus_bucket(lens, s), source="simulator")

    def value(number):
        return Value(float(number), source="simulator")

    return CameraSettings(
        file=file, make="dfd", model=f"simulated {lens.name}", lens_model=f"{lens.focal_nominal * 1e3:g} mm simulated",
        focal_length=value(lens.focal_nominal), f_number=value(f_number), pixel_pitch=value(lens.pixel_pitch),
        exposure=value(exposure or _EXPOSURE * (f_number / lens.stops[0].f_number) ** 2), iso=value(ISO),
        focus_distance=focus, distance_from="sensor")


def focus_bucket(lens: TrueLens, s: float) -> float:
    """The focus distance [m from the sensor mark] as EXIF would have it: what a worn encoder says, in two digits."""
    return float(f"{_SAID * (1 / float(lens.law(s)) + lens.pupil_height):.2g}")


def write_frame(path, drawn: Station, frame, rng):
    """Render one frame of a station and write it in the format of its suffix; rng None: without noise."""
    lens, s, f_number = drawn.lens, frame.true_coordinate, frame.f_number
    mosaic = path.suffix == SUFFIXES["dng"]
    light = drawn.frame(s, f_number) if mosaic else drawn.planes(s, f_number)
    write_light(path, light, lens, rng, said(lens, frame.coordinate, f_number))


def write_light(path, light, lens: TrueLens, rng, settings: CameraSettings):
    """Write light (H, W) of a mosaic as DNG, (H, W, 3) as 16-bit linear TIFF, which says nothing of `settings`."""
    codes = exposed(light, lens, rng)
    if light.ndim == 2:
        write_dng(path, codes, black_level=lens.black, white_level=lens.white, settings=settings)
        return
    scaled = (codes - np.float32(lens.black)) * np.float32(_TIFF_WHITE / (lens.white - lens.black))
    write_tiff(path, np.clip(np.rint(scaled), 0, _TIFF_WHITE).astype(np.uint16))


def mosaicked(light) -> np.ndarray:
    """(H, W) RGGB of (H, W, 3) light."""
    mosaic = light[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = light[0::2, 0::2, 0], light[1::2, 1::2, 2]
    return mosaic


def write_list(path, stations):
    """shoot.csv: file,distance_m,focus_coordinate,f_number; the distance as read from the tape, from the sensor mark."""
    lines = ["file,distance_m,focus_coordinate,f_number"]
    lines += [f"{station.folder}/{frame.file},{station.reading:g},{frame.coordinate:g},{frame.f_number:g}"
              for station in stations for frame in station.frames]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True, eq=False)
class Truth:
    """What truth.json tells of a shoot: the lens, the board as printed, the plan, and the options that made it."""

    lens: TrueLens
    board: Board
    print_scale: float
    stations: tuple[StationPlan, ...]
    options: dict

    def record(self, files) -> dict:
        """The content of truth.json; `files` are the names that lie beside it."""
        return {"schema": SCHEMA, "kind": "calibration-shoot", **self.options, "origin": "sensor mark",
                "z0_mm": -self.lens.pupil_height * 1e3, "lens": lens_record(self.lens),
                "board": {"name": self.board.name, "print_scale": self.print_scale,
                          "square_mm": self.board.square * 1e3},
                "stations": [self._station(station) for station in self.stations], "files": list(files)}

    def _station(self, station: StationPlan) -> dict:
        return {"folder": station.folder, "distance_m": station.distance, "reading_m": station.reading,
                "depth_from_pupil_m": float(station.pose.origin[2]), "tilt": station.pose.tilt,
                "origin_m": station.pose.origin.tolist(), "axes": station.pose.axes.tolist(),
                "frames": [self._frame(station, frame) for frame in station.frames]}

    def _frame(self, station, frame) -> dict:
        s, depth = frame.true_coordinate, float(station.pose.origin[2])
        return {"file": frame.file, "focus_coordinate": frame.coordinate, "true_focus_coordinate": s,
                "f_number": frame.f_number, "focus_dpt": float(self.lens.law(s)), "fx_px": float(self.lens.fx(s)),
                "scale_px_per_m": float(self.lens.fx(s)) / depth,
                "coc_axis_px": float(self.lens.coc(s, 1 / depth, f_number=frame.f_number))}


def lens_record(lens: TrueLens) -> dict:
    """A TrueLens as JSON types with the unit in every key; `read_lens` undoes it."""
    return {
        "name": lens.name, "focal_nominal_mm": lens.focal_nominal * 1e3, "size_px": [lens.size[1], lens.size[0]],
        "pixel_pitch_um": lens.pixel_pitch * 1e6, "a_per_mm": lens.a_per_mm, "b_per_mm_per_unit": lens.b_per_mm_per_unit,
        "d_per_unit": lens.d_per_unit, "ripple_rel": lens.ripple, "ripple_period_unit": lens.ripple_period,
        "focus_coordinate": list(lens.steps), "fx_px_poly": list(lens.fx_poly),
        "aperture": [{"f_number_marked": stop.f_number, "diameter_mm": stop.diameter * 1e3,
                      "vignetting_poly_r2": stop.vignetting} for stop in lens.stops],
        "pupil_height_mm": lens.pupil_height * 1e3, "field_dpt": dict(zip(("x", "y", "r2", "r4"), lens.field, strict=True)),
        "axial_colour_dpt": dict(zip("RB", lens.axial, strict=True)), "core_px": lens.core, "spherical_q": lens.spherical,
        "k1_normalised": lens.k1, "black_dn": lens.black, "white_dn": lens.white, "gain_e_per_dn": lens.gain,
        "read_noise_e": lens.read_noise, "channel_gain": lens.channel_gain,
    }


def write_json(path, record):
    """Write a record as indented JSON."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def errors_record(errors, *, seed, noisy) -> dict:
    """The options of a shoot for truth.json, units in the keys."""
    told = asdict(errors)
    return {"seed": seed, "noise": noisy, "tape_sigma_mm": told["tape_sigma"] * 1e3,
            "tape_blunder_station_m": told["tape_blunder"], "jitter_sigma_unit": told["jitter"],
            "tilt_sigma_rad": told["tilt_sigma"], "dropped_station_frame": told["drop"],
            "swapped_station_frames": told["swap"], "approach": "near_to_far"}


def write_marker(folder, kind: str, names, **more):
    """truth.json of a folder in the shoot: what it holds, so that --force knows it as written by dfd."""
    write_json(folder / "truth.json", {"schema": SCHEMA, "kind": kind, **more, "files": [*names, "truth.json"]})
