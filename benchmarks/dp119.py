"""Metric depth of a real dual-pixel camera: the DP119 sample, calibrated from its two flats alone, by the command line.

    python benchmarks/dp119.py [--keep DIR]

`dfd-calibrate dual-pixel` measures kappa and focus over the picture from the flats at 0.6 and 1.5 m (f/4), tests the
stopped-down ones (f/20), and `dfd depth --lens` solves boxes and casual scenes with nothing set: no option depends on the
data.  Optics as published: 50 mm, f/4, focus 1 m, 36 mm over 768 px; 8-bit sRGB, undone.  Truth: box and iphone 8 bit,
10 m / 255 per step, 255 = unknown, boxes reduced from 6000 x 4000 by the nearest pixel; orbbec millimetres, 0 = unknown;
from 10 m on unknown.  Depth is cut to 0.25 .. 10 m, as others do; unknown pixels count against the density alone.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import tifffile
from common import dfd, header, row, shared_data

FOLDER = "dp/sdirt_dp119_sample/real_sample_set"
FLATS = {"0600": 0.6, "1500": 1.5}
GROUPS = {"box": ("box/001", "box/002", "box/003"),
          "casual iphone": tuple(f"casual/iphone/00{k}" for k in (1, 2, 3)),
          "casual orbbec": tuple(f"casual/orbbec/00{k}" for k in (1, 2, 3))}
SIZE = (512, 768)
NEAREST, FARTHEST = 0.25, 10.0
CONFIDENT = 0.5
"""Confidence of the second figures: sigma below what the solver calls half sure."""


def write_pair(source, target, f_number=4):
    """Copy the two views and write the capture.toml that a user of this camera would write."""
    target.mkdir(parents=True)
    lines = ['kind = "dual-pixel"', "[camera]", "focal_length_mm = 50", f"f_number = {f_number}", "pixel_pitch_um = 46.875"]
    for name, view in (("l.png", "left"), ("r.png", "right")):
        shutil.copy(source / name, target / name)
        lines += ["[[frames]]", f'file = "{name}"', "focus_distance_m = 1.0", f'view = "{view}"']
    (target / "capture.toml").write_text("\n".join(lines) + "\n")
    return target


def load_truth(folder):
    """(H, W) metres, NaN = unknown."""
    stored = cv2.imread(str(folder / "d.png"), cv2.IMREAD_UNCHANGED)
    if stored.dtype == np.uint16:
        depth = stored / 1e3
        return np.where((depth > 0) & (depth < FARTHEST), depth, np.nan)
    grey = stored[..., 0] if stored.ndim == 3 else stored
    grey = cv2.resize(grey, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    return np.where((grey > 0) & (grey < 255), grey / 255 * FARTHEST, np.nan)


def figures(depth, truth):
    """(MAE [m], AbsRel, Acc(1.25), density) of a depth map against the truth."""
    wanted = np.isfinite(truth)
    both = wanted & ~np.isnan(depth)
    found, true = np.clip(depth[both], NEAREST, FARTHEST), truth[both]
    error, ratio = np.abs(found - true), np.maximum(found / true, true / found)
    return np.mean(error), np.mean(error / true), np.mean(ratio < 1.25), both.sum() / wanted.sum()


def calibrate(source, work):
    """(lens profile of the flats, what was said, options that solve its pairs): as the files are named, else the views
    exchanged."""
    pairs = {(name, stop): write_pair(source / "flat" / "001" / name / stop, work / "flat" / name / stop, int(stop[1:]))
             for name in FLATS for stop in ("f4", "f20")}
    profile = work / "lens.json"
    command = [sys.executable, "-c", "from calibration.cli import main; main()", "dual-pixel", "-o", str(profile),
               *(f"{distance}={pairs[name, 'f4']}" for name, distance in FLATS.items()),
               "--check", *(str(pairs[name, "f20"]) for name in FLATS)]
    done = subprocess.run(command, capture_output=True, text=True)
    options = ["--swap"] if "the views are exchanged" in done.stderr else []
    if options:
        done = subprocess.run([*command[:4], *options, *command[4:]], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return profile, done.stdout, options


def solve(source, name, profile, work, options=()):
    """(figures, figures of the confident, seconds) of one scene through `dfd depth`."""
    out = work / "out" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    wall, _, _ = dfd("depth", write_pair(source / name, work / name), "--lens", profile, *options, "-o", out)
    depth, confidence = (tifffile.imread(out / f"{part}.tiff") for part in ("depth", "confidence"))
    truth = load_truth(source / name)
    return figures(depth, truth), figures(np.where(confidence >= CONFIDENT, depth, np.nan), truth), wall


def cells(found):
    """Figures as cells of a table."""
    mae, relative, accuracy, density = found
    return f"{mae:.3f} / {relative:.3f} / {accuracy:.3f}", f"{density:.1%}"


def main():
    """Print the calibration and the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keep", metavar="DIR", type=Path, help="new folder for profile and results [default: deleted]")
    keep, source = options.parse_args().keep, shared_data(FOLDER)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if keep is None else keep
        profile, said, swap = calibrate(source, work)
        print(said)
        header("scene", "MAE m / AbsRel / Acc(1.25)", "density", f"the same, confidence >= {CONFIDENT}", "density", "s")
        for group, names in GROUPS.items():
            found = [solve(source, name, profile, work, swap) for name in names]
            for name, (every, sure, wall) in zip(names, found, strict=True):
                row(name, *cells(every), *cells(sure), f"{wall:.1f}")
            means = [np.mean([one[part] for one in found], axis=0) for part in (0, 1)]
            row(f"**{group}**", *cells(means[0]), *cells(means[1]), "")


if __name__ == "__main__":
    main()
