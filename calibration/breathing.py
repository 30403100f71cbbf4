"""Breathing: image scale against the focus coordinate, fx(s) / fx(reference), from a bracket of the board or of any scene.

    scale(s) = q(s) / q(reference)          q a polynomial of degree 1, or 2 where chi2 asks for it

Board: corners and dots are found in every frame by themselves; what each frame does to those of the reference is a
similarity and a radial term, so nothing is chained.  Scene: `dfd.prepare.align` brings every frame onto the grid of
the reference.
Board and camera must stand still: a moving pupil (internal focusing) is part of what is measured.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from calibration.shoot.bracket import follow
from calibration.shoot.sweep import FocusSweep
from calibration.target.board import Board
from dfd.io.frames import read_luminance
from dfd.lensfile import section
from dfd.prepare import align, at_centre, pyramid

LEAST_FRAMES = 4
MOST_CHI2 = 1.5
FLOOR = 1e-5
"""What no scale is known better than: the rest of distortion that changes with focus, paper that moves."""

SCENE_FLOOR = 5e-4
"""The same of a scene: blur that differs from frame to frame looks like scale to a registration."""

_WORTH = 9.0
"""Drop of chi2, in units of chi2 per degree of freedom, that proves the second degree."""


@dataclass(frozen=True, eq=False)
class Breathing:
    """Image scale over a bracket.

    coordinates   (K,), rising;   scale, sigma   (K,) px of the frame per px of the reference, and its 1-sigma
    radial        (K,) distortion beyond that of the reference: share by which a length grows at half the diagonal
    coc           (K,) px, blur without sign that was found; NaN where nobody knows
    reference     focus coordinate of the reference;   method   "board" or "scene"
    poly, poly_sigma   polynomial of the scale in s, constant term first, 1 at the reference, and 1-sigma of each number
    residuals     (K,) measured - fitted;   chi2_dof   of the fit;   monotone   the fit over what was measured
    left_out      one sentence per frame that shows too little
    """

    coordinates: np.ndarray
    scale: np.ndarray
    sigma: np.ndarray
    radial: np.ndarray
    coc: np.ndarray
    reference: float
    method: str
    poly: tuple[float, ...] = ()
    poly_sigma: tuple[float, ...] = ()
    residuals: np.ndarray | None = None
    chi2_dof: float = math.nan
    monotone: bool = True
    left_out: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What one must know before the numbers are used."""
        found = list(self.left_out)
        if not self.monotone:
            found.append("the scale does not rise or fall throughout, as that of a lens does; did camera or target move?")
        if self.chi2_dof > MOST_CHI2:
            found.append(f"the frames scatter more than their sigmas say (chi2 {self.chi2_dof:.1f} per degree of freedom, "
                         f"at most {MOST_CHI2:g}); the sigmas are widened")
        return found


def measure_board(sweep: FocusSweep, board: Board, *, progress=None) -> Breathing:
    """Breathing from frames of the board, which stands square to the axis and still; relative to the sharpest frame.

    progress   called with (stage, done, total)
    Raises OSError for files; ValueError where the board is in no frame, or in too few.
    """
    order = np.argsort(sweep.coordinates, kind="stable")
    total, steps = len(order), itertools.count(1)
    told = None if progress is None else lambda: progress("find the board", next(steps), total)
    found = follow([sweep.frames[index].path for index in order], board, progress=told)
    notes = tuple(f"{reason}; it is left out" for reason in found.reasons if reason)
    kept = np.flatnonzero([view is not None for view in found.views])
    _enough(len(kept), notes)
    compared = [_compared(found.views[found.sharpest], found.views[index]) for index in kept]
    scale, sigma, radial = (np.array(column) for column in zip(*compared, strict=True))
    sigma[kept == found.sharpest] = np.median(sigma)
    coordinates = sweep.coordinates[order]
    return fit(Breathing(coordinates[kept], scale, np.hypot(sigma, FLOOR), radial,
                         np.array([found.views[index].coc for index in kept]), float(coordinates[found.sharpest]), "board",
                         left_out=notes))


def measure_scene(sweep: FocusSweep, *, progress=None) -> Breathing:
    """Breathing from frames of any textured scene that stands still, best a flat one.

    Raises OSError for files; ValueError for frames that cannot be aligned.
    """
    order = np.argsort(sweep.coordinates, kind="stable")
    reference = int(order[len(order) // 2])
    pyramids = []
    for done, frame in enumerate(sweep.frames):
        pyramids.append(pyramid(read_luminance(frame).image, frames=len(sweep.frames)))
        if progress is not None:
            progress("read", done + 1, len(sweep.frames))
    found = align(pyramids, reference=reference, order=order)
    shape = pyramids[0].shape
    kept = [int(index) for index in order if found.aligned[index]]
    notes = [f"{sweep.frames[index].name}: could not be aligned; it is left out" for index in order
             if not found.aligned[index]]
    _enough(len(kept), notes)
    scale = np.array([math.sqrt(np.linalg.det(at_centre(found.matrices[index], shape)[1])) for index in kept])
    radius = math.hypot(*shape) / 2
    sigma = found.sigma_px[kept] / radius
    still = found.applied[kept] | (np.array(kept) == reference)
    sigma = np.where(still, sigma, np.hypot(sigma, found.corner_shift_px[kept] / radius))
    sigma[kept.index(reference)] = np.nanmedian(sigma)
    return fit(Breathing(sweep.coordinates[kept], scale, np.hypot(sigma, SCENE_FLOOR), np.zeros(len(kept)),
                         np.full(len(kept), np.nan), float(sweep.coordinates[reference]), "scene", left_out=tuple(notes)))


def fit(found: Breathing) -> Breathing:
    """`found` with its polynomial: weighted least squares, divided by its value at the reference; sigmas widened by chi2."""
    middle = found.reference
    half = max(float(np.abs(found.coordinates - middle).max()), 1e-12)
    t = (found.coordinates - middle) / half
    fits = {degree: _weighted(t, found.scale, found.sigma, degree) for degree in (1, 2)}
    drop = fits[1][2] - fits[2][2]
    degree = 2 if len(t) > 3 and drop > _WORTH * max(1.0, fits[2][2] / max(1, len(t) - 3)) else 1
    values, covariance, chi2 = fits[degree]
    chi2_dof = chi2 / max(1, len(t) - degree - 1)
    turn = np.eye(degree + 1) / values[0]  # d (values / values[0]) / d values
    turn[:, 0] -= values / values[0] ** 2
    covariance = turn @ covariance @ turn.T * max(1.0, chi2_dof)
    spread = _from_centred(degree, middle, half)
    slope = np.polynomial.polynomial.polyval(np.linspace(t.min(), t.max(), 65), values[1:] * np.arange(1, degree + 1))
    return replace(found, poly=tuple(map(float, spread @ (values / values[0]))),
                   poly_sigma=tuple(map(float, np.sqrt(np.diag(spread @ covariance @ spread.T)))),
                   residuals=found.scale - np.polynomial.polynomial.polyval(t, values), chi2_dof=float(chi2_dof),
                   monotone=bool(slope.min() * slope.max() >= 0))


def _weighted(t, scale, sigma, degree):
    """(coefficients, covariance, chi2)."""
    design = np.vander(t, degree + 1, increasing=True) / sigma[:, None]
    covariance = np.linalg.inv(design.T @ design)
    values = covariance @ design.T @ (scale / sigma)
    return values, covariance, float(np.sum((scale / sigma - design @ values) ** 2))


def _from_centred(degree, middle, half):
    """Matrix that turns coefficients in t = (s - middle) / half into those in s."""
    rows = np.zeros((degree + 1, degree + 1))
    for power in range(degree + 1):
        rows[:power + 1, power] = (np.polynomial.Polynomial([-middle / half, 1 / half]) ** power).coef
    return rows


def _enough(count, notes):
    if count < LEAST_FRAMES:
        reasons = f"; {'; '.join(notes)}" if notes else ""
        raise ValueError(f"frames that tell the scale: {count}, at least {LEAST_FRAMES} are needed (13 are good){reasons}")


def _compared(reference, view):
    """(scale, 1-sigma, radial) of a view against the reference: similarity and radial term through places of both."""
    known = {tuple(point): row for row, point in enumerate(reference.points)}
    pairs = [(known[tuple(point)], row) for row, point in enumerate(view.points) if tuple(point) in known]
    ours, theirs = (np.array(rows) for rows in zip(*pairs, strict=True))
    centre, radius = np.asarray(view.mapping.centre), view.mapping.radius
    x, y = ((reference.found[ours] - centre) / radius).T
    goal = (view.found[theirs] - centre) / radius
    weight = np.tile(radius / np.hypot(reference.sigma[ours], view.sigma[theirs]), 2)
    square, one, zero = x * x + y * y, np.ones_like(x), np.zeros_like(x)
    design = np.concatenate([np.stack([x, -y, one, zero, x * square], axis=1),
                             np.stack([y, x, zero, one, y * square], axis=1)]) * weight[:, None]
    values = np.linalg.lstsq(design, np.concatenate(goal.T) * weight, rcond=None)[0]
    residual = np.concatenate(goal.T) * weight - design @ values
    chi2 = float(residual @ residual) / max(1, len(residual) - 5)
    covariance = np.linalg.pinv(design.T @ design) * max(1.0, chi2)
    scale = math.hypot(values[0], values[1])
    return scale, math.sqrt(covariance[0, 0]), values[4] / scale


def into_profile(found: Breathing, data: dict, *, coordinate: str, update_fx: bool = False) -> dict:
    """`data` with this breathing in projection.breathing; `data` itself is not changed.

    update_fx   fx_px_poly becomes the breathing times fx at the reference, which is kept
    Raises ValueError where there is no fx to update, or the profile counts another coordinate.
    """
    data = copy.deepcopy(data)
    stated = section(data, "focus").get("coordinate")
    if stated and stated != coordinate:
        raise ValueError(f"the profile counts focus in {stated}, this bracket in {coordinate}; state the {stated} of "
                         "its frames")
    projection = data["projection"] = data.get("projection") or {}
    if update_fx and not projection.get("fx_px_poly"):
        raise ValueError("the profile has no projection.fx_px_poly to update; dfd-calibrate focus measures it")
    projection["breathing"] = {
        "reference": found.reference, "coordinate": coordinate, "scale_poly": list(found.poly),
        "sigma": list(found.poly_sigma), "method": found.method, "frames": len(found.scale),
        "chi2_dof": round(found.chi2_dof, 3), "range": [float(found.coordinates[0]), float(found.coordinates[-1])]}
    if update_fx:
        fixed = float(np.polynomial.polynomial.polyval(found.reference, projection["fx_px_poly"]))
        _follow_covariance(data, found, len(projection["fx_px_poly"]))
        projection["fx_px_poly"] = [fixed * value for value in found.poly]
        projection.pop("fx_sigma_px", None)  # in the covariance
    return data


def _follow_covariance(data, found, powers):
    """The covariance of a profile for its new fx: that of fx at the reference, in the new shape; all else as it was."""
    stated = section(data, "covariance")
    names, matrix = stated.get("names") or [], stated.get("matrix")
    old = [f"fx{power}" for power in range(powers)]
    if not isinstance(matrix, list) or not set(old) <= set(names):
        return
    kept = [name for name in names if name not in old]
    new = [f"fx{power}" for power in range(len(found.poly))]
    change = np.zeros((len(kept) + len(new), len(names)))
    change[np.arange(len(kept)), [names.index(name) for name in kept]] = 1
    for power, name in enumerate(old):
        change[len(kept):, names.index(name)] = found.reference**power * np.array(found.poly)
    data["covariance"] = {**stated, "names": [*kept, *new], "matrix": (change @ np.array(matrix) @ change.T).tolist()}


def profile_scale(data: dict, found: Breathing) -> np.ndarray | None:
    """(K,) fx(s) / fx(reference) of the fx polynomial that a profile has; None where it has none."""
    poly = section(data, "projection").get("fx_px_poly")
    if not poly:
        return None
    fx = np.polynomial.polynomial.polyval(np.append(found.coordinates, found.reference), poly)
    return fx[:-1] / fx[-1]
