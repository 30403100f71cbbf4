"""Simulate a whole calibration shoot: the target through a known lens at several distances, as files with their truth."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.simulate.files import SUFFIXES, Truth, errors_record, write_frame, write_json, write_list, write_marker
from calibration.simulate.noise import write_flats
from calibration.simulate.plan import SPANS, Errors, plan_shoot, spread_distances
from calibration.simulate.rendering import Station
from calibration.simulate.scene import plan_scenes, write_scene
from calibration.simulate.truelens import PRESETS, TrueLens
from calibration.target.board import BOARDS
from dfd.io.folders import new_folder

_NOISE = 4  # stream of random numbers


def simulate_shoot(folder, *, lens: TrueLens | str = "small", distances=8, steps: int = 13, f_numbers=(1.8,), span=None,
                   board: str = "a4", seed: int = 0, tape_sigma: float = 1e-3, tape_blunder=None, print_scale: float = 1.0,
                   jitter: float = 0.3, tilt_sigma: float = 0.003, drop=None, swap=None, noise: float | None = None,
                   format: str = "dng", flats: bool = False, scene: str | None = None, scene_frames: int = 16,
                   force: bool = False, progress=None) -> Path:
    """Write a shoot of the target into a new `folder`: one folder per distance (d0550/frame_00.dng ...), shoot.csv (file,
    distance_m as read from the tape, focus_coordinate, f_number) and truth.json; return its path.

    lens           a TrueLens or a name in truelens.PRESETS
    distances      how many, spread over 0.55 to 2.5 m uniformly in 1/distance, or themselves [m from the sensor mark]
    steps          focus steps per distance and f-number, about best focus;   f_numbers   marks of the lens
    span           blur of the outermost steps [px]; None: SPANS of the preset, 12 for other lenses
    board          name in board.BOARDS;   print_scale   true length over drawn length of the print
    tape_sigma, tape_blunder, jitter, tilt_sigma, drop, swap   see simulate_plan.Errors
    noise          electrons at white; 0: no noise at all, None: that of the lens
    format         one of SUFFIXES: dng (RGGB, 14 bit, EXIF with a coarse focus distance), tiff (16-bit linear RGB)
    flats          also folders flats and darks as `dfd-calibrate noise` reads them, DNG whatever the format
    scene          name in dfd.simulate.SCENES: also a folder scene, a focal stack of it through the same lens at the first
                   f-number, and with a second f-number a folder pair, an aperture pair; both with capture.toml (the
                   focus coordinate, and what EXIF says) and truth.tiff [m from the entrance pupil]
    progress       called as progress(stage, done, total) after every frame
    The folder appears whole or not at all.  Raises ValueError for numbers that do not fit, OSError for the folder.
    """
    lens = _lens(lens, noise)
    if format not in SUFFIXES:
        raise ValueError(f"format ({format!r}) must be one of {', '.join(SUFFIXES)}")
    if board not in BOARDS:
        raise ValueError(f"board ({board!r}) must be one of {', '.join(BOARDS)}")
    if not 0.9 <= print_scale <= 1.1:
        raise ValueError(f"print_scale ({print_scale:g}) must lie within 0.9 to 1.1: it is true length over drawn length")
    printed = BOARDS[board].scaled(print_scale)
    errors = Errors(tape_sigma, tape_blunder, jitter, tilt_sigma, drop, swap)
    distances = spread_distances(distances) if isinstance(distances, int) else tuple(float(value) for value in distances)
    stations = plan_shoot(lens, printed, distances, steps, tuple(f_numbers), span=span or SPANS.get(lens.name, 12.0),
                          errors=errors, seed=seed, suffix=SUFFIXES[format])
    noisy = noise is None or noise > 0
    scenes = () if scene is None else plan_scenes(lens, scene, distances, tuple(f_numbers), frames=scene_frames)
    truth = Truth(lens, printed, print_scale, stations, errors_record(errors, seed=seed, noisy=noisy))
    with new_folder(folder, force=force, marker="truth.json") as temporary:
        _write_stations(temporary, truth, noisy, seed, progress)
        write_list(temporary / "shoot.csv", stations)
        if flats:
            write_flats(temporary, lens, seed=seed, progress=progress)
        for plan in scenes:
            write_scene(temporary / plan.folder, lens, plan, jitter=jitter, seed=seed, noisy=noisy, suffix=SUFFIXES[format],
                        progress=progress)
        names = [path.name for path in sorted(temporary.iterdir())]
        write_json(temporary / "truth.json", truth.record([*names, "truth.json"]))
    return Path(folder)


def _lens(lens, noise):
    """The TrueLens, with the noise that is asked for."""
    if isinstance(lens, str):
        if lens not in PRESETS:
            raise ValueError(f"lens ({lens!r}) must be one of {', '.join(PRESETS)}, or a TrueLens")
        lens = PRESETS[lens]
    if noise is None or noise == 0:
        return lens
    if not (math.isfinite(noise) and noise > 0):
        raise ValueError(f"noise ({noise:g} electrons at white) must be positive, or 0 for none")
    return replace(lens, gain=noise / (lens.white - lens.black))


def _write_stations(folder, truth, noisy, seed, progress):
    """The frames of every station, and the list that lets --force know them again."""
    total, done = sum(len(station.frames) for station in truth.stations), 0
    for index, station in enumerate(truth.stations):
        place = folder / station.folder
        place.mkdir()
        drawn = Station(truth.board, truth.lens, station.pose, tuple(frame.true_coordinate for frame in station.frames),
                        tuple({frame.f_number for frame in station.frames}))
        for number, frame in enumerate(station.frames):
            rng = np.random.default_rng([seed, _NOISE, index, number]) if noisy else None
            write_frame(place / frame.file, drawn, frame, rng)
            done += 1
            if progress is not None:
                progress("target", done, total)
        write_marker(place, "station", [frame.file for frame in station.frames])
