"""The joint fit of a focus calibration on generated measurements: a full-frame 50 mm f/1.8, 8 distances x 13 focus steps.

Nothing is rendered: blur of 20 edges a frame (1-sigma 0.013 px), image scales (1e-5), tape, tilt, jitter of the lens and
print error are drawn; field, axial colour and breathing are in the truth.  Every row of `CASES` changes one thing.
"""

from typing import NamedTuple

import numpy as np
from common import header, row

from calibration.focus.fit import MOST_CHI2, fit_focus
from calibration.focus.measurements import FocusData
from calibration.focus.system import Priors

HALF_DIAGONAL, FX, PUPIL, Z0 = 3600.0, (12500.0, 0.9, 1e-4), 27.6e-3, -63e-3  # px, px, m, m
FIELD, AXIAL = (0.005, 0.0, -0.03, 0.01), (0.01, 0.0, -0.015)  # dioptre: x, y, r^2, r^4; R, G, B
RANGE = np.linspace(0.6, 2.4, 30)  # m from the pupil, where depth is judged
JUDGED_FOCUS = 1.1  # dioptre that the lens is set to while depth is judged
EDGE_SIGMA, SCALE_SIGMA, EDGES = 0.013, 1e-5, 20
STEPS = np.linspace(-400, 2500, 20001)


class Case(NamedTuple):
    """What a shoot is like: 1-sigma of tape [m], jitter [steps] and print scale, shares and blunders.

    print_error   of the board [relative]; None: drawn with print_sigma;   wrong    share of edges off by up to 8 px
    blunder       m added to one tape reading;   missing   frames taken away;   ripple   relative, of the focus law
    """

    stations: int = 8
    steps: int = 13
    tape: float = 1e-3
    jitter: float = 0.3
    print_sigma: float = 5e-4
    print_error: float | None = None
    wrong: float = 0.0
    blunder: float = 0.0
    missing: int = 0
    ripple: float = 0.0


CASES = {
    "baseline 8 x 13, tape 1 mm": Case(),
    "rail 0.1 mm": Case(tape=1e-4),
    "tape 3 mm": Case(tape=3e-3),
    "5 x 9, tape 2 mm": Case(5, 9, 2e-3),
    "3 x 9, tape 2 mm": Case(3, 9, 2e-3),
    "5 % wrong edges": Case(wrong=0.05),
    "one tape reading 20 mm off": Case(blunder=0.02),
    "one frame missing": Case(missing=1),
    "jitter 2 steps": Case(jitter=2.0),
    "law 1 % off Moebius": Case(ripple=0.01),
    "print 0.1 % too large, not known": Case(print_sigma=1e-6, print_error=1e-3),
}


def law(s, ripple=0.0):
    """Focus [dioptre] of the true lens."""
    return 1000 * (0.35e-3 + 1.3e-6 * s) / (1 - 1.2e-4 * s) * (1 + ripple * np.sin(np.pi * s / 300))


def measured(case, seed):
    """FocusData of one shoot."""
    rng = np.random.default_rng(seed)
    depth = 1 / np.linspace(1 / 2.5, 1 / 0.55, case.stations)
    tape = depth - Z0 + case.tape * rng.standard_normal(case.stations)
    tape[case.stations // 2] += case.blunder
    print_error = case.print_sigma * rng.standard_normal() if case.print_error is None else case.print_error
    tilts, curve = rng.normal(0, 0.005, (case.stations, 2)), law(STEPS, case.ripple)
    frames, edges = [], []
    for station, (z, tilt) in enumerate(zip(depth, tilts, strict=True)):
        for away in np.linspace(-40, 40, case.steps) / (12700 * PUPIL):
            told = np.round(np.interp(1 / z + away, curve, STEPS))
            true = told + case.jitter * rng.standard_normal()
            fx = np.polynomial.polynomial.polyval(true, FX)
            scale = fx / z * (1 + print_error)
            frames.append((station, told, scale * (1 + SCALE_SIGMA * rng.standard_normal()), scale * SCALE_SIGMA, *tilt))
            edges.append(_edges(case, rng, len(frames) - 1, fx, law(true, case.ripple), z, tilt))
    for gone in rng.choice(len(frames), case.missing, replace=False):
        frames[gone] = edges[gone] = None
    number = np.cumsum([frame is not None for frame in frames]) - 1
    frames = np.array([frame for frame in frames if frame is not None])
    edges = np.concatenate([part for part in edges if part is not None])
    return FocusData(
        distance=tape, distance_sigma=np.full(case.stations, case.tape), station=frames[:, 0].astype(int),
        coordinate=frames[:, 1], f_number=np.full(len(frames), 1.8), scale=frames[:, 2], scale_sigma=frames[:, 3],
        tilt=frames[:, 4:], frame=number[edges[:, 0].astype(int)], channel=edges[:, 1].astype(int), place=edges[:, 2:4],
        board=edges[:, 4:6], coc=edges[:, 6], coc_sigma=np.full(len(edges), EDGE_SIGMA))


def _edges(case, rng, frame, fx, focus, z, tilt):
    """(EDGES, 7) frame, channel, place, board, coc of the edges of a frame."""
    board = rng.uniform((-0.1, -0.07), (0.1, 0.07), (EDGES, 2))
    channel = np.arange(EDGES) % 4
    channel[channel == 3] = 1
    depth = z + board @ tilt
    place = fx / depth[:, None] * board
    square = np.sum(place**2, axis=1) / HALF_DIAGONAL**2
    there = focus + place @ FIELD[:2] / HALF_DIAGONAL + FIELD[2] * square + FIELD[3] * square**2 + np.array(AXIAL)[channel]
    off = EDGE_SIGMA * rng.standard_normal(EDGES) + (rng.random(EDGES) < case.wrong) * rng.uniform(-8, 8, EDGES)
    coc = np.abs(np.abs(fx * PUPIL * (1 / depth - there)) + off)
    return np.column_stack([np.full(EDGES, frame), channel, place, board, coc])


class Judge:
    """Numbers of a fit against the truth: relative errors, and pulls from the fit's own covariance."""

    def __init__(self, fit, case):
        self.fit, self.model = fit, fit.model
        self.s = np.linspace(*np.percentile(self.model.data.coordinate, (0, 100)), 50)
        self.true_law, self.true_fx = law(self.s, case.ripple), np.polynomial.polynomial.polyval(self.s, FX)
        self.judged = np.interp(JUDGED_FOCUS, law(STEPS, case.ripple), STEPS)
        fx = np.polynomial.polynomial.polyval(self.judged, FX)
        self.coc = fx * PUPIL * (1 / RANGE - JUDGED_FOCUS)

    def numbers(self, vector):
        """log D, z0 [mm], law [log] and fx [log] over the range, log depth over RANGE, in one array."""
        model = self.model
        t, here = model.coordinate(self.s), model.coordinate(np.array([self.judged]))
        shape = model.part(vector, "moebius"), model.part(vector, "rel")
        pupil = model.part(vector, "log_pupil")[0]
        inverse = model.coordinate.law(here, *shape) + self.coc / (model.fx(vector, here) * np.exp(pupil))
        return np.concatenate([[pupil, 1e3 * model.part(vector, "z0")[0]], -np.log(model.coordinate.law(t, *shape)),
                               np.log(model.fx(vector, t)), -np.log(inverse)])

    def errors(self):
        """(D %, z0 mm, law % (50,), fx % (50,), depth % (30,)), and the same over their 1-sigma."""
        truth = np.concatenate([[np.log(PUPIL), 1e3 * Z0], -np.log(self.true_law), np.log(self.true_fx), np.log(RANGE)])
        vector, last = self.fit.vector, self.model.slices["asymmetry"].start
        off, steps = self.numbers(vector) - truth, 1e-3 * np.sqrt(np.diag(self.fit.covariance))[:last]
        moves = steps[:, None] * np.eye(last, len(vector))
        slopes = np.stack([(self.numbers(vector + move) - self.numbers(vector - move)) / (2 * step)
                           for step, move in zip(steps, moves, strict=True)], axis=1)
        sigma = np.sqrt(np.einsum("ik,kl,il->i", slopes, self.fit.covariance[:last, :last], slopes))
        unit = np.where(np.arange(len(off)) == 1, 1, 100)
        return _split(off * unit), _split(off / sigma)


def _split(values):
    return np.split(values, (1, 2, 52, 102))


def _rms(parts):
    return float(np.sqrt(np.mean(np.square(parts))))


def monte_carlo(seeds):
    """The table: the baseline over `seeds` seeds, every other case over a quarter of them."""
    header("case", "seeds", "D %", "1/zf %", "fx %", "z0 mm", "depth %", "worst depth %", "pull D z0 law fx depth",
           "within 1 sigma", "2 sigma", "law flagged", "tape flagged")
    for name, case in CASES.items():
        row(name, *_case(case, seeds if case == Case() else max(1, seeds // 4)))


def _case(case, seeds):
    errors, pulls, bent, distrusted = [], [], 0, 0
    for seed in range(seeds):
        fit = fit_focus(measured(case, seed), half_diagonal=HALF_DIAGONAL, priors=Priors(print_sigma=case.print_sigma))
        error, pull = Judge(fit, case).errors()
        errors.append(error)
        pulls.append([part[len(part) // 2] for part in pull])
        bent += fit.moebius_chi2 > MOST_CHI2
        distrusted += bool(fit.tape_weight[case.stations // 2] == 0) if case.blunder else bool((fit.tape_weight == 0).any())
    diameter, z0, curve, fx, depth = zip(*errors, strict=True)
    pulls = np.array(pulls)
    return (seeds, *(f"{_rms(part):.3f}" for part in (diameter, curve, fx)), f"{_rms(z0):.2f}", f"{_rms(depth):.3f}",
            f"{max(map(_rms, depth)):.3f}", " ".join(f"{np.sqrt(np.mean(one**2)):.2f}" for one in pulls.T),
            f"{np.mean(np.abs(pulls) < 1):.0%}", f"{np.mean(np.abs(pulls) < 2):.0%}", f"{bent}", f"{distrusted}")
