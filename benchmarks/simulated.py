"""The main job on rendered RAW: 16 Bayer DNG frames, 0.55-0.98 m, 50 mm f/2.8, through `dfd simulate` and `dfd depth`.

    python benchmarks/simulated.py [--quick] [--solver NAME] [--cases N]

Noise 20000 electrons full well.  Errors against the exact truth, nothing fitted, every known pixel counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import dfd, header, row

CASES = (
    ("slant-sphere", "50mm-f2.8", 20000, 0),
    ("slant-sphere", "50mm-f2.8", 1500, 1),
    ("slant", "50mm-f2.8", 20000, 2),
    ("step", "50mm-f2.8", 20000, 3),
    ("demo", "50mm-f2.8", 20000, 0),
    ("slant-sphere", "macro-100mm", 20000, 4),
)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--solver", default="auto", help="as of `dfd depth`")
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    parser.add_argument("--quick", action="store_true", help="only the first")
    arguments = parser.parse_args()
    cases = CASES[:1 if arguments.quick else arguments.cases]
    header("scene, camera, full well e-, seed", "known", "median rel.", "mean rel.", "1 sigma", "per quartile of sigma",
           "2 sigma", "AUSE rmse (constant sigma)", "simulate s", "depth s, peak MB")
    for scene, preset, noise, seed in cases:
        with tempfile.TemporaryDirectory() as temporary:
            capture, out = Path(temporary) / "capture", Path(temporary) / "out"
            made, _, _ = dfd("simulate", "-o", capture, "--scene", scene, "--preset", preset, "--noise", noise,
                             "--seed", seed, "--format", "dng")
            wall, _, peak = dfd("depth", capture, "-o", out, "--solver", arguments.solver)
            text = subprocess.run([sys.executable, "-c", "from dfd.cli import main; main()", "compare", str(out),
                                   str(capture), "--json"], check=True, capture_output=True, text=True).stdout
        found = json.loads(text)
        quartiles = " ".join(f"{share:.0%}" for share in found["coverage_1_sigma_quartiles"])
        row(f"{scene}, {preset}, {noise}, {seed}", f"{found['density']:.1%}", f"{found['median_relative_error']:.3%}",
            f"{found['mean_relative_error']:.3%}", f"{found['coverage_1_sigma']:.0%}", quartiles,
            f"{found['coverage_2_sigma']:.0%}", f"{found['ause_rmse']:.2f} ({found['ause_rmse_random']:.2f})",
            f"{made:.1f}", f"{wall:.1f}, {peak:.0f}")


if __name__ == "__main__":
    main()
