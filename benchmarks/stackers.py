"""Time and memory of the main job on two real JPEG stacks beside photo stackers.

    python benchmarks/stackers.py

The stackers' figures were measured earlier on a machine of the same kind (2 virtual cores) and are repeated here as
they were noted, not rerun: compare orders of magnitude.  They write an all-in-focus picture (and an 8-bit relative depth
map); dfd writes those, sigma, confidence, index, transforms and the report.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from common import dfd, header, row, shared_data

PEERS = (
    ("focus-stack 1.3: align, all-in-focus, 8-bit depth", 10.1, 1150),
    ("shinestacker 1.17.4: align, balance, pyramid", 13.4, 1480),
    ("shinestacker 1.17.4: align, balance, depth-map fusion", 16.5, 960),
    ("align_image_stack + enfuse: all-in-focus", 31.2, 310),
)


def main():
    """Print the table."""
    header("program", "stack", "wall s", "CPU s", "peak MB", "known", "scale")
    for name, wall, peak in PEERS:
        row(f"{name} (noted)", "focus_stack_pcb, 10 x 3.1 MP", wall, "", peak, "", "")
    for stack, label in (("stacks/focus_stack_pcb", "focus_stack_pcb, 10 x 3.1 MP"),
                         ("stacks/shinestacker_5d2/img-jpg", "shinestacker_5d2, 6 x 2.6 MP")):
        for preview in (False, True):
            with tempfile.TemporaryDirectory() as temporary:
                out = Path(temporary) / "out"
                wall, cpu, peak = dfd("depth", shared_data(stack), "-o", out, *(["--preview"] if preview else []))
                known = np.isfinite(tifffile.imread(out / "depth.tiff")).mean()
                scale = json.loads((out / "result.json").read_text())["scale"]["name"]
            row("dfd depth" + (" --preview" if preview else ""), label, f"{wall:.1f}", f"{cpu:.1f}", f"{peak:.0f}",
                f"{known:.0%}", scale)


if __name__ == "__main__":
    main()
