"""Two captures of few pictures from elsewhere: a real telecentric pair, and a rendered one of two foci and two apertures.

    python benchmarks/pairs.py

`breakfast`: the far and near focused pair of Watanabe and Nayar 1998, 25 mm f/8.3, object-side telecentric.  Its pupil lies
in the front focal plane, so with distances from there the magnification is constant and the blur exactly linear in dioptres:
pupil * f / pitch * (1/x - 1/x_0).  The stated 869 and 529 mm are taken from the lens, 25 mm behind.  There is no truth.

`bet_office`: ray traced with fixed magnification (Devernay et al. 2012), fx 840 px, a unit taken as 1 cm.  In focus at 314
and 630 units (by sharpness; not as stated), and the pupils, stated as 5 and 10 units, are 2.65 and 5.3: so wide is the disk
that turns the pinhole view into each frame, at ten depths.  The pseudo truth is stereo by block
matching of the two pinhole views: not exact, and wrong beside edges.
"""

import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
from common import header, row, shared_data

import dfd
from dfd.solvers import SOLVERS

BREAKFAST, OFFICE = "stacks/breakfast", "stacks/bet_office"
_UNIT = 0.01
"""Metres per unit of bet_office."""

_RANGE = {BREAKFAST: (0.4, 1.3), OFFICE: (1.5, 9.0)}
"""Metres in which depth is looked for."""


def breakfast_toml():
    """Lines on the camera of `breakfast`, and (file, power [dioptre], pupil [m]) of each frame."""
    f = 0.025
    frames = [(f"breakfast_{name}.png", 1 / f + 1 / (distance - f), f / 8.3) for name, distance in (("far", 0.869),
                                                                                                ("near", 0.529))]
    return ["linear = true", "pixel_pitch_um = 25.0", f"image_distance_mm = {f * 1e3}"], frames


def office_toml():
    """The same of `bet_office`: a sensor at a fixed distance, behind a lens whose power and pupil change."""
    distance = 2.8 * _UNIT
    frames = [(f"office_stereo1_{name}.png", 1 / distance + 1 / (focus * _UNIT), pupil * _UNIT)
              for name, focus, pupil in (("far", 630, 2.65), ("near", 314, 2.65), ("far2", 630, 5.3), ("near2", 314, 5.3))]
    return [f"pixel_pitch_um = {distance / 840 * 1e6:.6f}", f"image_distance_mm = {distance * 1e3}"], frames


def write_capture(name, target):
    """Copy the pictures of a set and write its capture.toml."""
    lines, frames = {BREAKFAST: breakfast_toml, OFFICE: office_toml}[name]()
    lines = ['kind = "views"', "[camera]", *lines]
    for file, power, pupil in frames:
        shutil.copy(shared_data(name) / file, target / file)
        lines += ["[[frames]]", f'file = "{file}"', f"power_dpt = {power:.8f}", f"pupil_diameter_mm = {pupil * 1e3:.6f}"]
    (target / "capture.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def office_truth():
    """(H, W) pseudo truth of `bet_office` [m], NaN where it is unknown."""
    with np.load(shared_data(OFFICE) / "office_stereo1_depth_pseudo_sgbm.npz") as stored:
        return stored["depth"].astype(float) * _UNIT


def solve(name, solver):
    """DepthMap of a set by a row of the table of solvers."""
    near, far = _RANGE[name]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_capture(name, Path(folder))
        capture = dfd.read_capture(folder, align="none")
        return dfd.estimate_depth(capture, solver=solver, near=near, far=far, device="cpu")


def figures(result, truth=None):
    """Known share, 1 and 99 % of the depth [m], median sigma [dioptre], median and mean relative error where both are known
    and the share of pixels of a known truth that are known."""
    known = result.depth[result.valid]
    ends = np.percentile(known, (1, 99)) if known.size else (np.nan, np.nan)
    found = {"known": result.valid.mean(), "low": ends[0], "high": ends[1], "sigma": np.nanmedian(result.sigma)}
    if truth is None:
        return found
    error = np.abs(result.depth / truth - 1)[result.valid & np.isfinite(truth)]
    return found | {"median": np.median(error), "mean": np.mean(error)}


def solvers():
    """Names of the rows that take kind "views"."""
    return [solver.name for solver in SOLVERS.values() if "views" in solver.kinds]


def main():
    """Print the table."""
    header("set", "solver", "known", "depth, middle 98 %", "median sigma", "median rel. error", "mean rel. error")
    for name, truth in ((BREAKFAST, None), (OFFICE, office_truth())):
        for solver in solvers():
            try:
                got = figures(solve(name, solver), truth)
            except ValueError as error:
                row(name, solver, error, "", "", "", "")
                continue
            row(name, solver, f"{got['known']:.1%}", f"{got['low']:.3f} to {got['high']:.3f} m", f"{got['sigma']:.4f} dpt",
                *(f"{got[key]:.2%}" if key in got else "-" for key in ("median", "mean")))


if __name__ == "__main__":
    main()
