"""The job of `dfd-calibrate focus`: brackets of the target at known distances -> focus law, fx, pupil, field, colour.

    shoot    which frames                          (calibration.shoot.shoots)
    follow   the board in each, blur of its edges  (calibration.shoot.bracket)
    fit      everything at once, with covariance   (calibration.focus.fit)
    hold out every distance in turn                (calibration.focus.holdout)
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from calibration.edges.core import measure_core
from calibration.focus.fit import FocusFit, fit_focus
from calibration.focus.holdout import HoldOut, hold_out
from calibration.focus.measurements import FocusData
from calibration.focus.system import Priors
from calibration.shoot.bracket import blurs, follow, read_planes, sharp_edges
from calibration.shoot.shoots import JITTER, Shoot, check_steps
from calibration.target.board import Board
from dfd.threads import worker_count

_LEAST_EDGES = 6
"""Edges in a frame below which it is left out."""

_LEAST_FRAMES = 6
"""Frames of one bracket below which its V is not trusted."""


@dataclass(frozen=True, eq=False)
class FocusCalibration:
    """What a shoot shows.

    fit       the joint fit;   held   its depth errors at distances that were left out, None with three stations
    core      (std [px], 1-sigma) of the PSF's Gaussian core
    used      index in shoot.shots of each frame of fit.model.data;   rejected   one sentence per frame that was not used
    board     the target, as large as it was measured
    """

    shoot: Shoot
    board: Board
    fit: FocusFit
    held: HoldOut | None
    core: tuple[float, float]
    used: tuple[int, ...]
    rejected: tuple[str, ...]

    @property
    def centre_px(self) -> tuple[float, float]:
        """(x, y) of the middle of the image."""
        return (self.shoot.size[1] - 1) / 2, (self.shoot.size[0] - 1) / 2


def calibrate_focus(shoot: Shoot, board: Board, *, print_sigma: float = 5e-4, jitter: float | None = None,
                    workers: int | None = None, progress=None) -> FocusCalibration:
    """Measure and fit a shoot.

    board         the target in its printed size;   print_sigma   relative 1-sigma of that size
    jitter        1-sigma of the lens about its coordinate, unit of the coordinate; a first guess, it is estimated
    workers       brackets measured at a time, default all cores;   progress   called with (stage, done, total)
    Raises OSError for files, ValueError where no board is found, brackets do not span focus, or nothing is identified.
    """
    if shoot.coordinate == "exif_distance_mm":
        raise ValueError("focus coordinates are needed, and only distances in EXIF are there, coarse buckets that are no "
                         "function of the lens; state focus_coordinate (motor steps) in the CSV or in capture.toml, or pass "
                         "--coordinate bracket_index where every bracket begins at one lens position")
    _check_brackets(shoot)
    followed, core = _follow_all(shoot, board, workers, progress)
    data, used, rejected = _measure_all(shoot, board, followed, core[0], workers, progress)
    priors = Priors(print_sigma, JITTER[shoot.coordinate] if jitter is None else jitter)
    half_diagonal = math.hypot(*shoot.size) / 2
    fit = fit_focus(data, half_diagonal=half_diagonal, priors=priors)
    held = hold_out(fit, priors, progress=progress) if len(shoot.stations) > 3 else None
    return FocusCalibration(shoot, board, fit, held, core, used, rejected)


def _stations(work, count, workers):
    """Results of work(station) for every station, in order."""
    with ThreadPoolExecutor(worker_count(workers)) as pool:
        return list(pool.map(work, range(count)))


class _Count:
    """Turns pieces done by several threads into progress(stage, done, total)."""

    def __init__(self, progress, stage, total):
        from threading import Lock

        self._lock, self._report, self._stage, self._total, self._done = Lock(), progress, stage, total, 0

    def __call__(self):
        if self._report is None:
            return
        with self._lock:
            self._done += 1
            self._report(self._stage, self._done, self._total)


def _follow_all(shoot, board, workers, progress):
    """([Followed per station and f-number], (core, sigma)) of a shoot."""
    told = _Count(progress, "find target", len(shoot.shots))

    def one(station):
        found = []
        for indices in (members for members in shoot.brackets if shoot.shots[members[0]].station == station):
            paths = [shoot.shots[index].path for index in indices]
            views = follow(paths, board, progress=told)
            coordinates = np.array([shoot.shots[index].coordinate for index in indices])
            found.append((indices, views, sharp_edges(paths, coordinates, views, board)))
        return found

    results = [item for station in _stations(one, len(shoot.stations), workers) for item in station]
    return [(indices, views) for indices, views, _ in results], measure_core([bracket for _, _, bracket in results])


def _check_brackets(shoot):
    """Refuse brackets of too few frames or places, before anything is decoded."""
    for members in shoot.brackets:
        if len(members) < _LEAST_FRAMES:
            shot = shoot.shots[members[0]]
            raise ValueError(f"{shot.path.parent}: {len(members)} frames at f/{shot.f_number:g}, at least {_LEAST_FRAMES} "
                             "are needed around best focus (13 are good)")
    check_steps(shoot)


def _measure_all(shoot, board, followed, core, workers, progress):
    """(FocusData, indices of the shots used, sentences on the others)."""
    jobs = [(index, view, reason) for indices, views in followed
            for index, view, reason in zip(indices, views.views, views.reasons, strict=True)]
    told = _Count(progress, "measure blur", len(jobs))

    def one(number):
        index, view, reason = jobs[number]
        found = None if view is None else blurs(read_planes(shoot.shots[index].path), view, board, core=core)
        told()
        return found, reason

    with ThreadPoolExecutor(worker_count(workers)) as pool:
        results = list(pool.map(one, range(len(jobs))))
    frames, rejected = [], []
    for (index, view, _), (found, reason) in zip(jobs, results, strict=True):
        shot = shoot.shots[index]
        if found is not None and sum(fits.ok.sum() for fits in found.values()) < _LEAST_EDGES:
            reason = f"{shot.path.parent.name}/{shot.path.name}: {_common_reason(found)}"
        if reason:
            rejected.append(reason)
        else:
            frames.append((index, view, found))
    return _table(shoot, frames), tuple(index for index, _, _ in frames), tuple(rejected)


def _common_reason(found):
    reasons = [reason.split(" (")[0] for fits in found.values() for reason, ok in zip(fits.reasons, fits.ok, strict=True)
               if not ok]
    most = max(set(reasons), key=reasons.count) if reasons else "no edges in the image"
    return f"fewer than {_LEAST_EDGES} of its edges can be measured ({most})"


def _table(shoot, frames) -> FocusData:
    """The measurements of the frames that are used as the tables of the fit."""
    if not frames:
        raise ValueError("no frame of the shoot could be measured; look at the sharpest ones")
    centre = ((shoot.size[1] - 1) / 2, (shoot.size[0] - 1) / 2)
    poses, rows = [], []
    for number, (index, view, found) in enumerate(frames):
        station = shoot.stations[shoot.shots[index].station]
        poses.append(view.pose(view.mapping.density * station.distance))
        for channel, fits in found.items():
            good = np.flatnonzero(fits.ok)
            rows.append({"frame": np.full(len(good), number), "channel": np.full(len(good), channel),
                         "place": fits.place[good] - centre, "board": fits.board[good], "coc": fits.coc[good],
                         "coc_sigma": fits.sigma[good]})
    shots = [shoot.shots[index] for index, _, _ in frames]
    tilt = _common_tilt(np.array([shot.station for shot in shots]), np.array([pose[2] for pose in poses]))
    return FocusData(
        distance=np.array([station.distance for station in shoot.stations]),
        distance_sigma=np.array([station.sigma for station in shoot.stations]),
        station=np.array([shot.station for shot in shots]), coordinate=np.array([shot.coordinate for shot in shots]),
        f_number=np.array([shot.f_number for shot in shots]), scale=np.array([pose[0] for pose in poses]),
        scale_sigma=np.array([pose[1] for pose in poses]), tilt=tilt,
        **{name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


def _common_tilt(station, tilt):
    """(F, 2) the tilt of a station is that of its median frame: the board stands still."""
    found = tilt.copy()
    for number in np.unique(station):
        found[station == number] = np.median(tilt[station == number], axis=0)
    return found
