"""Depth of simulated scenes through a calibrated lens: with the profile found, with the true one, and with none.

The scene is rendered through the very lens of the shoot, with its own jitter; nothing of it was seen by the calibration.
A user without a profile has what the camera says: engraved focal length and f-number, and a focus distance that is 4 % short
and has two digits.
"""

import json
from pathlib import Path

import numpy as np
from common import dfd, header, row
from scipy.ndimage import distance_transform_edt

from calibration.simulate.job import simulate_shoot
from calibration.simulate.truelens import PRESETS
from dfd.io.images import read_values

SCENES = ("slant", "demo")
SOLVERS = ("auto", "likelihood")

_STEP = 0.02  # dioptre from pixel to pixel: an edge of depth
_BESIDE = 10  # px


def true_profile(lens):
    """What a LensProfile would say if nothing had been measured but all were known."""
    return {
        "schema": "dfd-lensprofile", "schema_version": "1.0.0", "camera": {"pixel_pitch_um": 1e6 * lens.pixel_pitch},
        "lens": {"focal_nominal_mm": 1e3 * lens.focal_nominal},
        "reference": {"depth_origin": "entrance_pupil", "z_ep_from_sensor_mm": {"poly": [1e3 * lens.pupil_height]}},
        "focus": {"coordinate": "encoder_step", "a_per_mm": lens.a_per_mm, "b_per_mm_per_unit": lens.b_per_mm_per_unit,
                  "d_per_unit": lens.d_per_unit},
        "projection": {"fx_px_poly": list(lens.fx_poly)},
        "aperture": [{"f_number_marked": stop.f_number, "diameter_eff_mm": 1e3 * stop.diameter} for stop in lens.stops],
        "field": {"focus_offset_dpt": {"terms": ["x", "y", "r2", "r4"], "coef": list(lens.field)},
                  "axial_colour_dpt": dict(zip("RB", lens.axial, strict=True))},
        "psf": {"core_px": lens.core, "estimator_id": "disc_gauss_v1"}}


def end_to_end(folder, profile, scenes, *, seed=5):
    """The table for scenes through the small lens, measured with the calibrated `profile`, the true one, and none."""
    folder, lens = Path(folder), PRESETS["small"]
    truth = folder / "true.json"
    truth.write_text(json.dumps(true_profile(lens)))
    header("scene", "solver", "profile", "known", "mean %", "median %", "bias %", "within 1 sigma",
           f"mean % beyond {_BESIDE} px of depth edges", "mean % of confidence >= .5", "worst 5 % carry", "cpu s")
    for scene in scenes:
        shoot = simulate_shoot(folder / scene, lens=lens, distances=(0.55, 2.5), steps=2, scene=scene, seed=seed)
        for solver in SOLVERS:
            for name, used in (("calibrated", profile), ("true", truth), ("none", None)):
                row(scene, solver, name, *judged(shoot / "scene", folder / "depth", solver, used))


def judged(capture, output, solver, profile):
    """Cells of one row: errors of the depth that the command writes, and its seconds."""
    _, cpu, _ = dfd("depth", capture, "-o", output, "--force", "--solver", solver, *(("--lens", profile) if profile else ()))
    return *figures(capture, output), f"{cpu:.0f}"


def figures(capture, output):
    """Cells: errors of a depth map in the folder `output` against the truth beside the frames of `capture`."""
    depth, sigma, trust = (read_values(output / f"{name}.tiff") for name in ("depth", "sigma", "confidence"))
    truth = read_values(capture / "truth.tiff")
    off = 100 * (depth - truth) / truth
    known = np.isfinite(off)
    error, falls = np.abs(off), np.sort(np.abs(off[known]))[::-1]
    calm, sure = known & (_away(1 / truth) > _BESIDE), known & (trust >= 0.5)
    return (f"{known.mean():.1%}", f"{falls.mean():.2f}", f"{np.median(falls):.3f}", f"{np.median(off[known]):+.3f}",
            f"{np.mean(np.abs(depth - truth)[known] <= sigma[known]):.0%}",
            f"{error[calm].mean():.2f} ({calm.mean():.0%})", f"{error[sure].mean():.2f} ({sure.mean():.0%})",
            f"{falls[:len(falls) // 20].sum() / falls.sum():.0%}")


def _away(inverse):
    """(H, W) px to the nearest edge of depth; no edge: infinite."""
    edge = np.zeros(inverse.shape, bool)
    for axis in (0, 1):
        steep = np.abs(np.diff(inverse, axis=axis)) > _STEP
        edge |= np.pad(steep, [(0, 1) if each == axis else (0, 0) for each in (0, 1)])
        edge |= np.pad(steep, [(1, 0) if each == axis else (0, 0) for each in (0, 1)])
    return distance_transform_edt(~edge) if edge.any() else np.full(inverse.shape, np.inf)
