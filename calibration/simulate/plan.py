"""What is done in a simulated shoot, and what is noted down of it: stations, brackets, errors, blunders."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.simulate.pose import Pose
from calibration.simulate.truelens import TrueLens
from calibration.target.board import Board

NEAREST, FARTHEST = 0.55, 2.5
"""Of the stations, tape from the sensor mark [m]."""

SPANS = {"small": 12.0, "full-frame": 40.0}
"""Largest blur of a bracket [px] where none is asked for, per preset."""

_TAPE, _JITTER, _POSE = 1, 2, 3  # streams of random numbers
_TURN_SIGMA, _SHIFT_SIGMA = 0.01, 0.003  # rad, m


@dataclass(frozen=True)
class Frame:
    """One frame: its file, the focus coordinate that was set, the one that the lens really had, the marked f-number."""

    file: str
    coordinate: float
    true_coordinate: float
    f_number: float


@dataclass(frozen=True, eq=False)
class StationPlan:
    """One distance: its folder, the tape reading and the true distance from the sensor mark [m], the pose, the frames."""

    folder: str
    reading: float
    distance: float
    pose: Pose
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Errors:
    """What goes wrong in a shoot.

    tape_sigma    1-sigma of a tape reading [m];   tape_blunder   (station, m) one reading that is wrong by so much
    jitter        1-sigma of the lens's place [focus coordinate];   tilt_sigma   of the board about each axis [rad]
    drop          (station, frame) that is missing, in the folder and in the list
    swap          (station, frame, frame) whose pictures are exchanged
    """

    tape_sigma: float = 1e-3
    tape_blunder: tuple[int, float] | None = None
    jitter: float = 0.3
    tilt_sigma: float = 0.003
    drop: tuple[int, int] | None = None
    swap: tuple[int, int, int] | None = None

    def __post_init__(self):
        for name, unit in (("tape_sigma", "m"), ("jitter", "steps"), ("tilt_sigma", "rad")):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} ({value:g} {unit}) must be zero or positive")


def spread_distances(count: int, nearest=NEAREST, farthest=FARTHEST) -> tuple[float, ...]:
    """`count` distances [m], uniform in 1/distance, near to far, in whole millimetres."""
    return tuple(round(float(value), 3) for value in 1 / np.linspace(1 / nearest, 1 / farthest, count))


def bracket(lens: TrueLens, inverse_depth: float, steps: int, f_number: float, span: float) -> np.ndarray:
    """(steps,) whole focus coordinates about best focus, near to far, the outermost `span` px of blur away where the lens
    reaches them.  Raises ValueError when they would coincide."""
    best = lens.coordinate(inverse_depth)
    slope = (lens.law(best + 0.5) - lens.law(best - 0.5)) * lens.blur_rate(best, f_number)
    half = span / abs(slope)
    ends = np.clip([best - half, best + half], *sorted(lens.steps))
    found = np.rint(np.linspace(*ends, steps))
    if len(np.unique(found)) < steps:
        raise ValueError(f"bracket of {steps} focus steps over +-{half:.1f} steps at {1 / inverse_depth:.3g} m from the "
                         "pupil: steps coincide; ask for fewer or for a wider span of blur")
    return found if lens.law(found[0]) > lens.law(found[-1]) else found[::-1]


def plan_shoot(lens: TrueLens, board: Board, distances, steps: int, f_numbers, *, span: float, errors: Errors, seed: int,
               suffix: str) -> tuple[StationPlan, ...]:
    """Stations and frames with everything that happens to them; the same seed gives the same of each kind of error."""
    _check(lens, distances, steps, f_numbers, span, errors)
    readings = np.array(distances) + errors.tape_sigma * np.random.default_rng([seed, _TAPE]).standard_normal(len(distances))
    if errors.tape_blunder is not None:
        readings[errors.tape_blunder[0]] += errors.tape_blunder[1]
    jitters, poses = np.random.default_rng([seed, _JITTER]), np.random.default_rng([seed, _POSE])
    plans = []
    for index, distance in enumerate(distances):
        depth = distance - lens.pupil_height
        numbers = [(float(coordinate), f_number) for f_number in f_numbers
                   for coordinate in bracket(lens, 1 / depth, steps, f_number, span)]
        frames = [Frame(f"frame_{number:02d}{suffix}", s, s + errors.jitter * jitters.standard_normal(), f_number)
                  for number, (s, f_number) in enumerate(numbers)]
        pose = Pose.held(depth, turn=board.slant + _TURN_SIGMA * poses.standard_normal(),
                         tilt=tuple(errors.tilt_sigma * poses.standard_normal(2)),
                         shift=tuple(_SHIFT_SIGMA * poses.standard_normal(2)))
        plans.append(StationPlan(f"d{round(distance * 1e3):04d}", round(float(readings[index]), 4), distance, pose,
                                 tuple(_blundered(frames, index, errors))))
    return tuple(plans)


def _blundered(frames, station, errors):
    """The frames of a station with swapped pictures, and without the one that is missing."""
    if errors.swap is not None and errors.swap[0] == station:
        one, two = errors.swap[1:]
        frames[one], frames[two] = (Frame(frames[here].file, frames[here].coordinate, frames[there].true_coordinate,
                                          frames[here].f_number) for here, there in ((one, two), (two, one)))
    if errors.drop is not None and errors.drop[0] == station:
        frames = [frame for number, frame in enumerate(frames) if number != errors.drop[1]]
    return frames


def _check(lens, distances, steps, f_numbers, span, errors):
    names = [round(distance * 1e3) for distance in distances]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"distances ({', '.join(map(str, names))} mm) must be one or more, 1 mm or more apart")
    if min(distances) <= lens.pupil_height:
        raise ValueError(f"distance ({min(distances):g} m from the sensor mark) must exceed the height of the entrance "
                         f"pupil above it ({lens.pupil_height:g} m)")
    if steps < 2:
        raise ValueError(f"steps ({steps}) of a bracket must be at least 2")
    if not (math.isfinite(span) and span > 0):
        raise ValueError(f"span ({span:g} px) of blur must be positive")
    if not f_numbers:
        raise ValueError("f_numbers must name at least one stop of the lens")
    frames = steps * len(f_numbers)
    for name, places in (("tape_blunder", (errors.tape_blunder or ())[:1]), ("drop", (errors.drop or ())[:1]),
                         ("swap", (errors.swap or ())[:1])):
        if places and not 0 <= places[0] < len(distances):
            raise ValueError(f"{name}: station {places[0]} must be one of 0 to {len(distances) - 1}")
    for name, places in (("drop", (errors.drop or ())[1:]), ("swap", (errors.swap or ())[1:])):
        if any(not 0 <= place < frames for place in places):
            raise ValueError(f"{name}: frame {max(places)} must be one of 0 to {frames - 1}")
