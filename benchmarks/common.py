"""What the benchmark scripts share: the folder of real data, the command line, and Markdown rows."""

import resource
import subprocess
import sys
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(relative):
    """A folder of real data, or an exit that says what is missing."""
    path = SHARED / relative
    if not path.exists():
        sys.exit(f"{path} is not on this machine; this benchmark needs it")
    return path


def dfd(*arguments):
    """Run the installed command in a process of its own: (wall s, CPU s, peak MB)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from dfd.cli import main; main()", *map(str, arguments)], check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, after.ru_maxrss / 1024


def row(*cells):
    """Print one Markdown table row."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(*cells):
    """Print the head of a Markdown table."""
    row(*cells)
    row(*("---" for _ in cells))
