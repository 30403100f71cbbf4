"""Time and memory of the main job on two real JPEG stacks beside photo stackers, all run here, in turn, on the same copies.

    python benchmarks/stackers.py [--repeats 3] [--shinestacker PYTHON] [--stack NAME] [--only-dfd] [--preview]

Peers: align_image_stack + enfuse (Debian: `apt-get install enfuse hugin-tools`), shinestacker (PyPI, Python >= 3.12; give
the interpreter of an environment that has it), focus-stack where it is on PATH.  A round runs every program once, each in
processes of its own, start-up included, with an empty folder to write to; ratios are taken within a round.  The peers write
an all-in-focus picture (focus-stack and shinestacker at most an 8-bit relative depth map); dfd writes that, depth, sigma,
confidence, index, transforms and the report.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import tifffile
from common import chain, dfd_command, header, load, row, shared_data

STACKS = {"focus_stack_pcb": "10 x 3.1 MP", "misaligned_plant": "14 x 6.0 MP, handheld"}
ENFUSE, SHINESTACKER, FOCUS_STACK, DFD = "align_image_stack + enfuse", "shinestacker, depth map", "focus-stack", "dfd depth"

NOTED = {"focus_stack_pcb": (10.1, 16, 1150), "misaligned_plant": (31.0, None, 1930)}
"""Wall s, CPU s and peak MB of focus-stack 1.3 as noted earlier on 2 cores like these; shown where it cannot be run."""

ASKED = {ENFUSE: 0.25, SHINESTACKER: 0.5, FOCUS_STACK: 0.5}
"""Largest wall time asked of dfd on focus_stack_pcb, as a share of the peer's; and its peak memory [MB]."""
ASKED_PEAK = 800

SHINESTACKER_JOB = """
import sys
from shinestacker.algorithms import AlignFrames, BalanceFrames, CombinedActions, DepthMapStack, FocusStack, StackJob
job = StackJob("job", sys.argv[1], input_path="frames")
job.add_action(CombinedActions("registered", [AlignFrames(), BalanceFrames()]))
job.add_action(FocusStack("stacked", DepthMapStack()))
job.run()
"""
"""Everything at its default; no callbacks, so no progress bars."""


@dataclass(frozen=True)
class Program:
    """One way to stack.

    name       as printed;   commands   words of each process, run one after another in the working folder
    result     pattern of a file that a finished run has left there: some programs end with 0 when they failed
    """

    name: str
    commands: list
    result: str


def programs(frames, options):
    """(programs that can be run here, name -> how to get those that cannot)."""
    files, missing = [str(frame) for frame in frames], {}
    words = dfd_command("depth", "frames", "-o", "out")
    ready = [Program(DFD, [words], "out/result.json")]
    if options.preview:
        ready.append(Program(f"{DFD} --preview", [[*words, "--preview"]], "out/result.json"))
    if options.only_dfd:
        return ready, missing
    if shutil.which("align_image_stack") and shutil.which("enfuse"):
        fuse = ["enfuse", "--exposure-weight=0", "--saturation-weight=0", "--contrast-weight=1", "--hard-mask",
                "--contrast-window-size=9", "-o", "out.tif", *(f"al_{k:04d}.tif" for k in range(len(files)))]
        ready.append(Program(ENFUSE, [["align_image_stack", "-m", "-a", "al_", *files], fuse], "out.tif"))
    else:
        missing[ENFUSE] = "not installed: apt-get install enfuse hugin-tools"
    if options.shinestacker:
        ready.append(Program(SHINESTACKER, [[options.shinestacker, "-c", SHINESTACKER_JOB, "."]], "stacked/*"))
    else:
        missing[SHINESTACKER] = "not installed: pip install shinestacker with Python >= 3.12, then --shinestacker PYTHON"
    if shutil.which("focus-stack"):
        words = ["focus-stack", "--no-opencl", "--output=out.png", "--depthmap=depth.png", *files]
        ready.append(Program(FOCUS_STACK, [words], "out.png"))
    else:
        missing[FOCUS_STACK] = "not installed: build github.com/PetteriAimonen/focus-stack"
    return ready, missing


def main():
    """Print the versions, then two tables and what dfd found, for each stack."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="rounds (default 3)")
    parser.add_argument("--shinestacker", metavar="PYTHON", help="interpreter of an environment with shinestacker")
    parser.add_argument("--stack", choices=tuple(STACKS), help="only this stack (default: both)")
    parser.add_argument("--only-dfd", action="store_true", help="no peers")
    parser.add_argument("--preview", action="store_true", help="also `dfd depth --preview`")
    options = parser.parse_args()
    if options.shinestacker and not shutil.which(options.shinestacker):
        parser.error(f"--shinestacker {options.shinestacker}: no such program; give the python of its environment")
    print(f"{load()}; {options.repeats} rounds, median (least to most)", *versions(options), sep="; ", end="\n\n")
    for stack in [options.stack] if options.stack else STACKS:
        compare(stack, options)


def compare(stack, options):
    """Run all programs on one stack in turn and print what came of it; costs: name of a program -> round -> Cost."""
    costs, found = {}, {}
    with tempfile.TemporaryDirectory(prefix="stackers-") as temporary:
        frames = copied(shared_data(f"stacks/{stack}"), Path(temporary) / "frames")
        ready, missing = programs([Path("frames") / frame.name for frame in frames], options)
        for turn in range(options.repeats):
            first = turn % len(ready)  # nobody is always the first after the copying, nor always after the same other
            for program in ready[first:] + ready[:first]:
                cost, trouble, figures = once(program, Path(temporary), frames)
                if trouble:
                    missing[program.name] = trouble
                else:
                    costs.setdefault(program.name, {})[turn] = cost
                    found[program.name] = figures or found.get(program.name)
    cost_table(stack, costs, missing)
    ratio_table(stack, costs)
    findings(found)
    print(f"{load()} at the end\n")


def copied(folder, target):
    """Copies of the frames under names whose alphabetical order is their order: some programs sort no better."""
    target.mkdir()
    pictures = [path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg")]
    pictures.sort(key=lambda path: int("".join(filter(str.isdigit, path.stem))))
    return [Path(shutil.copyfile(path, target / f"frame_{k:02d}.jpg")) for k, path in enumerate(pictures, start=1)]


def once(program, folder, frames):
    """(Cost, what went wrong or "", what dfd found or None) of one run in an empty folder beside the frames."""
    work = folder / "work"
    work.mkdir()
    (work / "frames").mkdir()
    for frame in frames:
        (work / "frames" / frame.name).hardlink_to(frame)
    cost, text = chain(program.commands, cwd=work)
    done = cost.code == 0 and any(work.glob(program.result))
    lines = text.strip().splitlines()
    trouble = "" if done else f"failed, exit {cost.code}: {lines[-1] if lines else 'no output'}"
    figures = judged(work / "out") if done and program.name.startswith(DFD) else None
    shutil.rmtree(work)
    return cost, trouble, figures


def judged(out):
    """What dfd says of its own result: known share, scale, warnings, alignment."""
    record = json.loads((out / "result.json").read_text())
    tables = json.loads((out / "transforms.json").read_text())["frames"]
    size = record["size_px"]
    left_out = [table["file"] for table in tables if not table.get("aligned", True)]
    scales = [scale_at_centre(np.array(table["matrix"]), size["width"], size["height"]) for table in tables]
    ends = tables[0]["file"], tables[-1]["file"]
    growth = "n/a, not aligned" if set(ends) & set(left_out) else f"{scales[0] / scales[-1]:.4f}"
    return {
        "known": f"{np.isfinite(tifffile.imread(out / 'depth.tiff')).mean():.1%}",
        "scale": record["scale"]["name"],
        f"scale from {ends[1]} to {ends[0]}": growth,
        "left out": f"{len(left_out)}" + "".join(f" {name}" for name in left_out),
        "least alike its neighbour": "{file} {quality:.2f}".format(**min(tables, key=lambda table: table["quality"] or 0)),
        "warnings": len(record["warnings"]),
        "seconds by stage": ", ".join(f"{name} {seconds:.1f}" for name, seconds in record["timings_s"].items()),
    }


def scale_at_centre(matrix, width, height):
    """How many px of the frame one px of the output spans in the middle: root of the Jacobian of the (3, 3) map there."""
    depth = matrix[2] @ ((width - 1) / 2, (height - 1) / 2, 1)
    return float(np.sqrt(abs(np.linalg.det(matrix)) / abs(depth) ** 3))


def cost_table(stack, costs, missing):
    """Seconds and memory of every program."""
    header(f"{stack}, {STACKS[stack]}", "wall s", "CPU s", "peak MB", "of it private MB")
    for name, runs in costs.items():
        row(name, *(spread([getattr(cost, field) for cost in runs.values()], digits)
                    for field, digits in (("wall", 1), ("cpu", 1), ("peak", 0), ("private", 0))))
    for name, words in missing.items():
        row(name, words, "", "", "")
        if name == FOCUS_STACK:
            wall, cpu, peak = NOTED[stack]
            row(f"{name} 1.3, noted, not rerun", wall, cpu or "", peak, "")
    print()


def ratio_table(stack, costs):
    """dfd over each peer, within each round; beside what is asked."""
    mine, asked = costs.get(DFD), stack == "focus_stack_pcb"
    if not mine:
        return
    header("dfd depth over", "wall", "CPU", *(["wall asked"] if asked else []))
    for name in (ENFUSE, SHINESTACKER, FOCUS_STACK):
        pairs = [(mine[turn], other) for turn, other in costs.get(name, {}).items() if turn in mine]
        limit = [f"at most {ASKED[name]:g}"] if asked else []
        if pairs:
            row(name, *(spread([getattr(own, field) / getattr(other, field) for own, other in pairs], 2)
                        for field in ("wall", "cpu")), *limit)
        elif name == FOCUS_STACK:
            wall, cpu, _ = NOTED[stack]
            row(f"{name} as noted", spread([own.wall / wall for own in mine.values()], 2),
                spread([own.cpu / cpu for own in mine.values()], 2) if cpu else "", *limit)
    if asked:
        print(f"\nPeak asked: at most {ASKED_PEAK} MB.")
    print()


def findings(found):
    """What dfd found, one column per way of calling it."""
    figures = {name: values for name, values in found.items() if values}
    if not figures:
        return
    header("found by", *figures)
    for key in next(iter(figures.values())):
        row(key, *(values[key] for values in figures.values()))
    print()


def spread(numbers, digits):
    """The median, and the range where there are several."""
    middle = f"{median(numbers):.{digits}f}"
    return middle if len(numbers) == 1 else f"{middle} ({min(numbers):.{digits}f} to {max(numbers):.{digits}f})"


def versions(options):
    """What the peers call themselves."""
    if options.only_dfd:
        return
    for program in ("enfuse", "focus-stack"):
        if shutil.which(program):
            told = subprocess.run([program, "--version"], capture_output=True, text=True)
            yield next(iter((told.stdout or told.stderr).splitlines()), program)
    if options.shinestacker:
        words = "from importlib.metadata import version; print('shinestacker', version('shinestacker'))"
        yield subprocess.run([options.shinestacker, "-c", words], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
