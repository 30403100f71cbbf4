"""Calibrate a lens whose truth is known: joint fit, whole shoots, depth with the profile, noise, kernels, the target.

    python benchmarks/calibration.py [--fit [N]] [--noise [N]] [--psf] [--detection]
    python benchmarks/calibration.py --shoots [N] [--preset full-frame]
    python benchmarks/calibration.py --end-to-end [SCENE ...]

Without options: the joint fit, noise, kernels and detection, which are cheap.  `--shoots` renders whole shoots of 104 DNG
files and calibrates them with the command; `--end-to-end` calibrates one, renders scenes through the same lens and
measures their depth with the profile found, with the true one and with none.  All is made on the spot, in a temporary
folder; the kernels of a real camera need the real data and are left out without it.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(sys.path.pop(0))  # this file has the name of the package that it measures
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import boardshots
import noisepatches
import numpy as np
from calibrated_scenes import SCENES, end_to_end
from common import SHARED, header, load, measure, row
from focus_monte_carlo import monte_carlo
from scipy.interpolate import CubicSpline

from calibration.noise.transfer import fit_photon_transfer, measure_dark, measure_pair
from calibration.psf.fit import NoisePatch, fit_patches
from calibration.psf.model import fit_kernel, kernel
from calibration.shoot.bracket import blurs, read_planes
from calibration.simulate.files import write_frame
from calibration.simulate.job import simulate_shoot
from calibration.simulate.plan import Frame
from calibration.simulate.pose import Pose
from calibration.simulate.rendering import Station
from calibration.simulate.truelens import PRESETS
from calibration.target.board import BOARDS
from calibration.target.detection import find_board, follow_board

RANGE, JUDGED_FOCUS = np.linspace(0.6, 2.4, 30), 1.1  # m from the pupil; dioptre that the lens is set to
PUPIL = (0.15, -0.1, 0.3, 0.05, 0.0)  # intensity of the kernels: tilt x, y, rim, two of astigmatism
EVERY = len(BOARDS["a4"].corners) + len(BOARDS["a4"].dots)
GAIN, READ, WHITE = 0.3, 3.0, 16383  # e-/DN, e-, DN


def noise(seeds):
    """Errors of gain and read noise over `seeds` shoots of 12 flat pairs and 4 dark pairs."""
    header("patch px", "seeds", "gain % rms", "worst", "read noise % rms", "worst", "within 1 sigma gain, read")
    for side in (128, 256):
        found = np.array([_noise_of(side, np.random.default_rng(seed)) for seed in range(seeds)])
        rms, worst = np.sqrt(np.mean(found[:, :2] ** 2, axis=0)), np.abs(found[:, :2]).max(axis=0)
        inside = np.mean(np.abs(found[:, :2]) < found[:, 2:], axis=0)
        row(f"{side} x {side}", seeds, f"{rms[0]:.2f}", f"{worst[0]:.2f}", f"{rms[1]:.2f}", f"{worst[1]:.2f}",
            f"{inside[0]:.0%}, {inside[1]:.0%}")


def _noise_of(side, rng):
    """(errors of gain and read noise, their 1-sigma) in % of one shoot; four planes of a mosaic of side x side px."""
    def frame(level):
        electrons = rng.poisson(level * GAIN, (4, side // 2, side // 2)) + rng.normal(0, READ, (4, side // 2, side // 2))
        return np.clip(np.rint(electrons / GAIN + 512), 0, WHITE)

    pairs = [measure_pair(frame(level), frame(level), black=512, white=WHITE) for level in np.geomspace(120, 11500, 12)]
    found = fit_photon_transfer([*pairs, *(measure_dark(frame(0), frame(0)) for _ in range(4))])
    return 100 * np.array([found.gain_e_per_dn / GAIN - 1, found.read_noise_e / READ - 1, found.gain_sigma / GAIN,
                           found.read_noise_sigma / READ])


def psf():
    """Relative L2 error of kernels from the board's noise, and what the parametric model leaves of real ones."""
    header("coc px", "frames", "patch px", "L2 % median of 5", "worst", "asked", "of the parametric kernel %", "cpu s")
    for coc, frames, side, asked in ((3, 1, 128, 2), (5, 1, 128, 2), (8, 1, 128, 2), (8, 1, 192, 2), (8, 8, 192, 2),
                                     (16, 4, 192, 3), (16, 16, 192, 3)):
        start = time.process_time()
        found = np.array([_kernel_errors(coc, frames, side, np.random.default_rng(seed)) for seed in range(5)])
        row(coc, frames, f"{side} x {side}", f"{np.median(found[:, 0]):.2f}", f"{found[:, 0].max():.2f}", f"< {asked}",
            f"{np.median(found[:, 1]):.2f}", f"{(time.process_time() - start) / 5:.1f}")
    folder = SHARED / "calib/pixel4_dp_calibration"
    if not folder.exists():
        print("kernels of a real camera: not on this machine")
        return
    left, right = (np.load(folder / f"blur_kernels_{side}.npy") for side in ("left", "right"))
    header("real kernels, 48 cells", "residual % median", "largest", "asked")
    for name, kernels, asked in (("left + right", left + right, "5"), ("each view", np.concatenate([left, right]), "-")):
        residual = 100 * np.array([fit_kernel(one).residual_l2 for one in kernels])
        row(name, f"{np.median(residual):.2f}", f"{residual.max():.2f}", asked)


def _kernel_errors(coc, frames, side, rng):
    """L2 errors [%] of the kernel from patches whose boards lie 0.15 px (1-sigma) off, and of its parametric form."""
    fine, truth = noisepatches.centred(coc, PUPIL, 0.6, 2 * int(np.ceil(0.62 * coc + 3.5)) + 1)
    patches = []
    for _ in range(frames):
        matrix = noisepatches.matrix_at(0, 7500 * (1 + 0.002 * rng.normal()), 0.1 + 0.01 * rng.normal(),
                                        (side / 2 + rng.random(), side / 2 + rng.random()))
        off = np.array([[1, 0, 0.15 * rng.normal()], [0, 1, 0.15 * rng.normal()], [0, 0, 1]])
        patches.append(NoisePatch(noisepatches.shot(matrix, (side, side), fine, rng, slope=0.05), off @ matrix))
    found = fit_patches(patches, noisepatches.BOARD, coc=coc).kernel
    modelled = kernel(fit_kernel(found).params, len(truth))
    return [100 * np.linalg.norm(one - truth) / np.linalg.norm(truth) for one in (found, modelled)]


def detection():
    """Errors of corners and dots against blur, 62 px squares, three views each; then seconds for 24 MP frames."""
    header("coc / square", "how", f"points of {EVERY}", "rms px mean", "worst", "cpu s")
    for share in (0.0, 0.03, 0.06, 0.12, 0.25, 0.38, 0.5, 0.75, 1.0):
        for how in ("found",) if share == 0 else ("found", "followed") if share <= 0.5 else ("followed",):
            found = np.array([_seen(share, how, seed) for seed in range(3)])
            row(share, how, f"{found[:, 0].mean():.0f}", f"{found[:, 1].mean():.3f}", f"{found[:, 1].max():.3f}",
                f"{found[:, 2].mean():.2f}")
    _full_frame()


def _full_frame():
    """Seconds for two RAW frames of 24 MP, best focus and 40 px of blur: to decode, to find the board, to measure blur."""
    lens, depth = PRESETS["full-frame"], 0.8
    best = lens.coordinate(1 / depth)
    blurred = lens.coordinate(1 / depth - 40 / float(lens.blur_rate(best, 1.8)))
    board, rng, view = BOARDS["a4"], np.random.default_rng(0), None
    station = Station(board, lens, Pose.held(depth, turn=board.slant), (best, blurred), (1.8,))
    header("24 MP DNG", "decode cpu s", "board cpu s", "edges cpu s", f"points of {EVERY}", "edges measured")
    with tempfile.TemporaryDirectory() as folder:
        for name, s in (("best focus, found", best), ("40 px of blur, followed", blurred)):
            path = Path(folder) / "frame.dng"
            write_frame(path, station, Frame(path.name, s, s, 1.8), rng)
            clock = [time.process_time()]
            planes = read_planes(path)
            clock.append(time.process_time())
            view = find_board(planes.luminance, board) if view is None else \
                follow_board(planes.luminance, board, view, coc=40)
            clock.append(time.process_time())
            edges = blurs(planes, view, board, core=lens.core)
            clock.append(time.process_time())
            row(name, *(f"{spent:.1f}" for spent in np.diff(clock)), len(view.points),
                f"{sum(fits.ok.sum() for fits in edges.values())} of {sum(len(fits.ok) for fits in edges.values())}")


def _seen(share, how, seed):
    """(points, rms px, cpu s) of one view."""
    rng = np.random.default_rng(seed)
    truth, _, _ = boardshots.placed(tilt=tuple(0.02 * rng.normal(size=2)), offset=tuple(5 * rng.normal(size=2)))
    coc = share * truth.density * boardshots.BOARD.square
    image, clock = boardshots.shot(truth, coc, seed=seed), time.process_time()
    view = find_board(image, boardshots.BOARD) if how == "found" else \
        follow_board(image, boardshots.BOARD, truth.matrix, coc=0.8 * coc)
    spent = time.process_time() - clock
    return len(view.points), np.sqrt(((view.found - truth.project(view.points)) ** 2).sum(axis=1).mean()), spent


def shoots(count, preset):
    """Whole shoots, rendered and calibrated by the command; the first one again with a blunder in its list."""
    header("shoot", "seed", "D %", "1/zf % rms", "fx % rms", "z0 mm", "depth %", "field dpt max", "axial R, B dpt",
           "core px", "held out %", "frames used", "chi2", "pulls D, z0", "grade, said", "cpu s", "peak MB")
    for seed in range(count):
        with tempfile.TemporaryDirectory() as folder:
            shoot = simulate_shoot(Path(folder) / "shoot", lens=preset, seed=seed, print_scale=1.0005)
            judge_shoot(shoot, Path(folder), ("none", *BLUNDERS) if seed == 0 else ("none",), PRESETS[preset], seed)


def judge_shoot(shoot, folder, blunders, lens, seed):
    """Rows for one shoot: calibrated with every one of the `blunders` in its list; `folder` is for what is written."""
    lines = (shoot / "shoot.csv").read_text().splitlines()
    for name in blunders:
        (shoot / "judged.csv").write_text("\n".join([lines[0], *BLUNDERS.get(name, list)(lines[1:])]))
        profile, cost = calibrated(shoot / "judged.csv", folder / f"{name.replace(' ', '_')}.json")
        row(name, seed, *_against_truth(profile, lens), f"{cost.cpu:.0f}", f"{cost.peak:.0f}")


def _tape(lines):
    """The list with the distance of the fourth station 20 mm too far."""
    stations = sorted({line.split("/")[0] for line in lines})
    cells = [line.split(",") for line in lines]
    return [",".join([one[0], f"{float(one[1]) + 0.02 * one[0].startswith(stations[3]):g}", *one[2:]]) for one in cells]


def _exchanged(lines):
    """The list with the pictures of two frames of the fifth station exchanged."""
    cells = [line.split(",") for line in lines]
    fifth = sorted({line.split("/")[0] for line in lines})[4]
    first, second = (index for index, line in enumerate(lines)
                     if line.startswith((f"{fifth}/frame_03", f"{fifth}/frame_08")))
    cells[first][0], cells[second][0] = cells[second][0], cells[first][0]
    return [",".join(one) for one in cells]


BLUNDERS = {"one tape reading 20 mm off": _tape, "one frame missing": lambda lines: lines[:32] + lines[33:],
            "two frames exchanged": _exchanged}
"""Name -> what it makes of the lines of a shoot's list."""


def calibrated(shoot, profile):
    """(the content of the profile that the command writes of a shoot, its Cost)."""
    words = [sys.executable, "-c", "from calibration.cli import main; main()", "focus", shoot, "-o", profile]
    cost, text = measure(words)
    if cost.code:
        sys.exit(f"{text}dfd-calibrate focus ended with {cost.code}")
    return json.loads(profile.read_text()), cost


def _against_truth(profile, lens):
    """Cells: errors of a profile."""
    stop, focus = profile["aperture"][0], profile["focus"]
    s = np.linspace(*profile["validity"]["focus_coordinate"], 50)
    pupil = stop["diameter_eff_mm"] / (1e3 * lens.stop(stop["f_number_marked"]).diameter)
    fx = np.polynomial.polynomial.Polynomial(profile["projection"]["fx_px_poly"])
    judged = lens.coordinate(JUDGED_FOCUS)
    blur = (1 / RANGE - JUDGED_FOCUS) * lens.fx(judged) / fx(judged) / pupil
    height, offset = profile["reference"]["z_ep_from_sensor_mm"], profile["field"]["focus_offset_dpt"]
    y, x = ((np.arange(0, size, 8) - (size - 1) / 2) for size in lens.size)
    u, v = x[None] / offset["half_diagonal_px"], y[:, None] / offset["half_diagonal_px"]
    terms = np.stack(np.broadcast_arrays(u, v, u * u + v * v, (u * u + v * v) ** 2))
    field = np.tensordot(offset["coef"], terms, 1) - lens.field_focus(x[None], y[:, None])
    axial, quality = profile["field"]["axial_colour_dpt"], profile["quality"]
    z0 = 1e3 * lens.pupil_height - height["poly"][0]
    return (f"{100 * (pupil - 1):+.2f}", f"{100 * _rms(lens.law(s) / _law(focus, s) - 1):.3f}",
            f"{100 * _rms(fx(s) / lens.fx(s) - 1):.3f}", f"{z0:+.2f}",
            f"{100 * _rms(1 / (_law(focus, judged) + blur) / RANGE - 1):.3f}", f"{np.abs(field).max():.4f}",
            f"{axial['R'] - lens.axial[0]:+.4f}, {axial['B'] - lens.axial[1]:+.4f}",
            f"{profile['psf']['core_px'] - lens.core:+.3f}",
            f"{quality['loo_depth_rms_pct']:.2f}", quality["n_frames"], f"{quality['chi2_dof']:.2f}",
            f"{(pupil - 1) * stop['diameter_eff_mm'] / pupil / stop['diameter_sigma_mm']:+.1f}, {z0 / height['sigma']:+.1f}",
            f"{profile['provenance']['grade']}, {len(quality['doubts'])}")


def _law(focus, s):
    """Focus [dioptre] of a profile at s."""
    moebius = 1e3 * (focus["a_per_mm"] + focus["b_per_mm_per_unit"] * s) / (1 + focus["d_per_unit"] * s)
    knots = focus["spline"]["knots"]
    return moebius * (1 + (CubicSpline(knots, focus["spline"]["rel"], bc_type="natural")(s) if knots else 0))


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def scenes(names):
    """Calibrate a shoot, then measure scenes with its profile."""
    with tempfile.TemporaryDirectory() as folder:
        simulate_shoot(Path(folder) / "shoot", lens="small", print_scale=1.0005)
        calibrated(Path(folder) / "shoot/shoot.csv", Path(folder) / "lens.json")
        end_to_end(folder, Path(folder) / "lens.json", names)


def main():
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description="Calibrate a lens whose truth is known.")
    parser.add_argument("--fit", type=int, nargs="?", const=100, metavar="N", help="joint fit over N seeds of measurements")
    parser.add_argument("--noise", type=int, nargs="?", const=40, metavar="N", help="gain and read noise over N seeds")
    parser.add_argument("--psf", action="store_true", help="kernels")
    parser.add_argument("--detection", action="store_true", help="corners and dots")
    parser.add_argument("--shoots", type=int, nargs="?", const=2, metavar="N",
                        help="N rendered shoots, and blunders (minutes)")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small", help="lens and camera of --shoots")
    parser.add_argument("--end-to-end", nargs="*", metavar="SCENE",
                        help=f"depth of scenes, {' '.join(SCENES)} where none is named (an hour)")
    chosen = parser.parse_args()
    all_cheap = not (chosen.fit or chosen.noise or chosen.psf or chosen.detection or chosen.shoots
                     or chosen.end_to_end is not None)
    print(load())
    if chosen.fit or all_cheap:
        monte_carlo(chosen.fit or 100)
    if chosen.noise or all_cheap:
        noise(chosen.noise or 40)
    if chosen.psf or all_cheap:
        psf()
    if chosen.detection or all_cheap:
        detection()
    if chosen.shoots:
        shoots(chosen.shoots, chosen.preset)
    if chosen.end_to_end is not None:
        scenes(chosen.end_to_end or SCENES)


if __name__ == "__main__":
    main()
