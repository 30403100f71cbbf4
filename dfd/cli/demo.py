"""The main job on an embedded scene: render a RAW focal stack, solve it as any user would, compare with the truth."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dfd.evaluate import compare
from dfd.io.maps import read_map
from dfd.io.results import check_target
from dfd.io.simulated import write_simulation
from dfd.pipeline import run
from dfd.report import write_report
from dfd.simulate import simulate_capture

SIZE = (320, 480)
"""(H, W) px of the demo: small enough for a first try in under a minute on two cores."""


def run_demo(folder, *, force=False, opened=None, progress=None):
    """Render 16 Bayer DNG frames, solve them from the files and write everything to `folder`.

    The captured frames, capture.toml and the truth are kept in folder/capture.  Returns (Outcome, metrics of compare).
    """
    check_target(folder, force=force)
    simulation = simulate_capture("focal-stack", scene="demo", size=SIZE,
                                  progress=None if progress is None else lambda *at: progress("render", *at))
    folder = Path(folder)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.absolute().parent) as temporary:
        capture = Path(temporary) / "capture"
        write_simulation(simulation, capture, format="dng")
        truth = read_map(capture)

        def keep_capture(target, _, record):
            capture.rename(target / "capture")
            for item in record["inputs"]:
                item["file"] = str(folder / "capture" / Path(item["file"]).name)

        outcome = run([capture], folder, force=force, extras=(write_report, keep_capture), opened=opened, progress=progress)
    return outcome, compare(outcome.result, truth)
