"""What the benchmark scripts share: the folder of real data, the command line, and Markdown rows."""

import os
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
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", "from dfd.cli import main; main()", *map(str, arguments)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"dfd {' '.join(map(str, arguments))} ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def row(*cells):
    """Print one Markdown table row."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(*cells):
    """Print the head of a Markdown table."""
    row(*cells)
    row(*("---" for _ in cells))
