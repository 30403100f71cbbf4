"""Where the joint fit of a focus calibration begins: fx and the pupil's place from image scales, the law from V curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.focus.law import first_law
from calibration.focus.model import FocusModel

_LEAST_SIDE = 2
"""Frames on either side of focus without which a station has no V."""

_CONTRADICTION = 1.5
"""Factor by which a distance may differ from what the target's size says: breathing, and where the tape begins."""

_BLUNDER = 2.0
"""How much better than the median station with all of them the worst of the others must fit without one, for that one to be
left out of the beginning."""


@dataclass(frozen=True)
class Vee:
    """Best focus of one station, t."""

    station: int
    minimum: float


def start(model: FocusModel) -> np.ndarray:
    """A parameter vector near the answer.  Raises ValueError for brackets that do not span best focus."""
    data, vector = model.data, np.zeros(model.count)
    _check_tape(data)
    t = model.coordinate(data.coordinate)
    vector[model.slices["fx"]], vector[model.slices["z0"]] = _projection(data, t)
    depth = model.depth(vector)
    if depth.min() <= 0:
        raise ValueError(f"the target at {data.distance[np.argmin(depth)]:g} m comes out {-depth.min() * 1e3:.0f} mm behind "
                         "the entrance pupil; are all distances in metres and from the same mark?")
    vees = vees_of(model)
    if len(vees) < 2:
        raise ValueError(f"{len(vees)} of {len(data.distance)} brackets span best focus; at least 2 are needed (3 or more "
                         "are good): take frames on both sides of the sharpest one at every distance")
    vector[model.slices["moebius"]] = first_law([vee.minimum for vee in vees], [1 / depth[vee.station] for vee in vees])
    vector[model.slices["log_pupil"]] = np.log(_pupils(model, vector))
    return vector


def _check_tape(data):
    """Refuse distances that the size of the target in the images contradicts grossly: scale times distance is about fx."""
    scale = np.array([np.median(data.scale[data.station == station]) for station in range(len(data.distance))])
    share = scale * data.distance
    share /= np.median(share)
    worst = int(np.argmax(np.abs(np.log(share))))
    if not 1 / _CONTRADICTION < share[worst] < _CONTRADICTION:
        raise ValueError(f"the target at {data.distance[worst]:g} m is imaged as large as at about "
                         f"{data.distance[worst] / share[worst]:.2g} m; is the distance right, in metres, and its folder "
                         "not exchanged with another?")


def vees_of(model: FocusModel) -> list[Vee]:
    """The V of every station and f-number with frames on both sides; blur is the median of a frame's central edges."""
    data = model.data
    t = model.coordinate(data.coordinate)
    blur = _frame_blur(model)
    found = []
    for station in range(len(data.distance)):
        for stop in model.stops:
            frames = np.flatnonzero((data.station == station) & (data.f_number == stop) & np.isfinite(blur))
            frames = frames[np.argsort(t[frames], kind="stable")]
            vee = _vee(station, t[frames], blur[frames])
            if vee is not None:
                found.append(vee)
    return found


def _vee(station, t, blur):
    """The split of a bracket into two sides whose signed blur is the straightest line through zero."""
    best = None
    for first in range(_LEAST_SIDE, len(t) - _LEAST_SIDE + 1):
        for least in (first, first - 1):  # the frame nearest to focus may be on either side
            sign = np.where(np.arange(len(t)) < least, -1.0, 1.0)
            clear = blur > 2  # below, the core hides the blur
            if np.unique(t[clear & (sign < 0)]).size < 1 or np.unique(t[clear & (sign > 0)]).size < 1 or clear.sum() < 3:
                continue
            slope, offset = _line(t[clear], (sign * blur)[clear])
            error = float(np.median(np.abs(slope * t + offset - sign * blur)[clear]))
            if slope > 0 and (best is None or error < best[0]):
                best = error, Vee(station, -offset / slope)
    if best is None or not t[0] <= best[1].minimum <= t[-1]:
        return None
    return best[1]


def _line(t, blur):
    """(slope, offset) of the straight line that most frames lie on: exchanged ones do not."""
    slope, offset = np.polyfit(t, blur, 1)
    for _ in range(4):
        left = np.abs(slope * t + offset - blur)
        slope, offset = np.polyfit(t, blur, 1, w=1 / np.sqrt(1 + (left / (1.5 * np.median(left) + 1e-9)) ** 2))
    return slope, offset


def _frame_blur(model):
    """(F,) median blur of the edges of the green channel in the inner half of the board; NaN where there are none."""
    data = model.data
    radius = np.hypot(*data.place.T)
    found = np.full(len(data.station), np.nan)
    main = data.channel == (1 if (data.channel == 1).any() else data.channel[0] if len(data.channel) else 1)
    for frame in range(len(found)):
        inside = main & (data.frame == frame)
        if inside.any():
            central = inside & (radius <= np.median(radius[inside]))
            found[frame] = np.median(data.coc[central])
    return found


def _projection(data, t):
    """((3,) fx polynomial in t, z0): scale (tape + z0) = fx(t) is linear in them; one wrong tape reading is survived."""
    trials = [np.ones(len(data.distance), bool)]
    if len(data.distance) > 3:
        trials += [np.arange(len(data.distance)) != left_out for left_out in range(len(data.distance))]
    best = None
    for kept in trials:
        found = _linear(data, t, kept[data.station])
        error = np.array([np.median(np.abs(_tape_residual(data, t, found)[data.station == station]))
                          for station in range(len(data.distance))])
        spread = float(np.median(error[kept])) if kept.all() else _BLUNDER * float(np.max(error[kept]))
        if best is None or spread < best[0]:
            best = spread, found
    fx, z0 = best[1][:3], best[1][3]
    return fx, z0


def _linear(data, t, rows):
    spread = np.ptp(t[rows]) > 0 and np.unique(np.round(t[rows], 6)).size
    degree = 3 if spread >= 6 else 2 if spread >= 3 else 1
    powers = np.vander(t, 3, increasing=True)[:, :degree]
    design = np.column_stack([powers, -data.scale]) / data.scale[:, None]  # residuals in metres of tape, roughly
    weight = 1 / np.maximum(data.distance_sigma[data.station], 1e-5)
    left, *_ = np.linalg.lstsq((design * weight[:, None])[rows], (data.distance[data.station] * weight)[rows], rcond=None)
    return np.array([*left[:degree], *np.zeros(3 - degree), left[degree]])


def _tape_residual(data, t, found):
    """(F,) tape reading minus what the scale says [m]."""
    return data.distance[data.station] + found[3] - np.polynomial.polynomial.polyval(t, found[:3]) / data.scale


def _pupils(model, vector):
    """(stops,) pupil diameters [m] from the slope of blur over defocus."""
    data = model.data
    guess = vector.copy()
    guess[model.slices["log_pupil"]] = 0.0
    unit = model.coc(guess)
    found = []
    for stop in model.stops:
        clear = (data.f_number[data.frame] == stop) & (data.coc > 3)
        if clear.sum() < 10:
            raise ValueError(f"f/{stop:g}: only {clear.sum()} edges are blurred by more than 3 px, at least 10 are needed; "
                             "take frames farther from best focus")
        found.append(np.median(data.coc[clear] / np.abs(unit[clear])))
    return np.array(found)
