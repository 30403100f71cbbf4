"""Measurements of a focus shoot made up from the lens, not from the model that is fitted: what a bracket would show, with
errors of tape, print, encoder and edges; the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from calibration.focus.job import FocusCalibration
from calibration.focus.measurements import FocusData
from calibration.shoot.shoots import Shoot, Shot, Station
from calibration.target.board import BOARDS
from dfd.settings import CameraSettings

SIZE = (4000, 6000)  # H, W px
HALF_DIAGONAL = float(np.hypot(*SIZE) / 2)
JITTER = 0.3  # steps
FIELD = (0.006, -0.004, -0.03, 0.01)  # dioptre
AXIAL = (0.01, 0.0, -0.015)  # dioptre, red, green, blue
STEPS = np.linspace(-600, 2600, 100001)


@dataclass(frozen=True)
class Lens:
    """A lens in SI units.

    pupils   f-number -> (diameter [m], shift of focus [dioptre]);   z0   entrance pupil less the tape's origin [m]
    ripple   of the law about a Moebius function, relative
    """

    pupils: tuple = ((1.8, 0.0276, 0.0),)
    z0: float = -0.063
    ripple: float = 0.0

    def law(self, s):
        """Focus [dioptre] on the axis at f/1.8, green."""
        return (0.35 + 1.3e-3 * s) / (1 - 1.2e-4 * s) * (1 + self.ripple * np.sin(2 * np.pi * s / 600))

    def fx(self, s):
        """Image distance [px]."""
        return 8300 + 0.6 * s + 7e-5 * s**2

    def depth_of(self, s, coc):
        """Depth [m] of a blur, + = nearer, on the axis at the first stop."""
        return 1 / (self.law(s) + coc / (self.fx(s) * self.pupils[0][1]))


def bracket(seed, lens=Lens(), *, stations=8, steps=13, tape=1e-3, print_error=None, edges=8, edge_sigma=0.013, wrong=0.0,
            span=40.0, near=0.55, far=2.5) -> tuple[FocusData, np.ndarray]:
    """(measurements, (E,) true signed blur): `steps` about best focus up to `span` px of blur at each of the distances,
    even in 1/distance.

    tape          1-sigma of readings [m];   print_error   relative, None: drawn with 1-sigma 5e-4
    wrong         share of the edges that are off by up to 8 px
    """
    rng = np.random.default_rng(seed)
    depth = 1 / np.linspace(1 / far, 1 / near, stations)
    print_error = 5e-4 * rng.standard_normal() if print_error is None else print_error
    frames, rows = [], []
    for station, z in enumerate(depth):
        tilt = rng.normal(0, 0.005, 2)
        for f_number, pupil, shift in lens.pupils:
            blur = np.linspace(-span, span, steps)
            stated = np.round(np.interp(1 / z - shift + blur / (lens.fx(1000.0) * pupil), lens.law(STEPS), STEPS))
            for s in stated:
                true = s + JITTER * rng.standard_normal()
                scale = lens.fx(true) / z * (1 + print_error)
                frames.append((station, s, f_number, scale * (1 + 2e-5 * rng.standard_normal()), 2e-5 * scale, tilt))
                rows.append(_edges(rng, lens, len(frames) - 1, true, z, tilt, pupil, shift, edges))
    station, coordinate, f_number, scale, scale_sigma, tilts = (np.array(column) for column in zip(*frames, strict=True))
    frame, channel, place, board, coc = (np.concatenate(column) for column in zip(*rows, strict=True))
    seen = np.abs(np.abs(coc) + edge_sigma * rng.standard_normal(len(coc))
                  + (rng.random(len(coc)) < wrong) * rng.uniform(-8, 8, len(coc)))
    reading = depth - lens.z0 + tape * rng.standard_normal(stations)
    return FocusData(reading, np.full(stations, tape), station.astype(int), coordinate, f_number, scale, scale_sigma, tilts,
                     frame, channel, place, board, seen, np.full(len(coc), edge_sigma)), coc


def _edges(rng, lens, frame, s, z, tilt, pupil, shift, count):
    """Columns of the edges of one frame; the board is small enough to stay in the picture at every distance."""
    board = rng.uniform(-1, 1, (count, 2)) * np.array([0.13, 0.085]) * min(1.0, z / 0.55)
    channel = np.where(np.arange(count) % 2, 1, 2 * (np.arange(count) // 2 % 2))
    depth = z + board @ tilt
    place = lens.fx(s) / depth[:, None] * board
    u = place / HALF_DIAGONAL
    r2 = (u**2).sum(axis=1)
    focus = lens.law(s) + shift + np.column_stack([u, r2, r2**2]) @ FIELD + np.array(AXIAL)[channel]
    return np.full(count, frame), channel, place, board, lens.fx(s) * pupil * (1 / depth - focus)


def without_frame(data, frame) -> FocusData:
    """The measurements less one frame."""
    columns = {field.name: getattr(data, field.name) for field in fields(data)}
    for name in ("station", "coordinate", "f_number", "scale", "scale_sigma", "tilt"):
        columns[name] = np.delete(columns[name], frame, axis=0)
    kept = data.frame != frame
    for name in ("frame", "channel", "place", "board", "coc", "coc_sigma"):
        columns[name] = columns[name][kept]
    columns["frame"] = columns["frame"] - (columns["frame"] > frame)
    return FocusData(**columns)


def exchanged(data, one, other) -> FocusData:
    """The measurements with the coordinates of two frames exchanged."""
    coordinate = data.coordinate.copy()
    coordinate[[one, other]] = coordinate[[other, one]]
    return replace(data, coordinate=coordinate)


def calibration(fit, *, folder=Path("."), held=None) -> FocusCalibration:
    """A fit as the job hands it on; the frames are files of `folder`."""
    data = fit.model.data
    stations = tuple(Station(f"{reading:g} m", float(reading), float(sigma))
                     for reading, sigma in zip(data.distance, data.distance_sigma, strict=True))
    shots = tuple(Shot(folder / f"d{station}" / f"{frame:03d}.dng", int(station), float(s), float(stop),
                       CameraSettings(f"{frame:03d}.dng"))
                  for frame, (station, s, stop) in enumerate(zip(data.station, data.coordinate, data.f_number, strict=True)))
    shoot = Shoot(stations, shots, "encoder_step", SIZE, True, ())
    return FocusCalibration(shoot, BOARDS["a4"], fit, held, (0.7, 0.01), tuple(range(len(shots))), ())
