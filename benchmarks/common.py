"""What the benchmark scripts share: the folder of real data, the command line, and Markdown rows."""

import os
import subprocess
import sys
from pathlib import Path

_LAUNCHER = """
import os, sys, time
start = time.perf_counter()
_, status, usage = os.wait4(os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:]), 0)
wall, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
print(os.waitstatus_to_exitcode(status), wall, cpu, usage.ru_maxrss / 1024, file=open(int(sys.argv[1]), "w"))
"""
"""Runs a command and tells exit code, wall s, CPU s, peak MB.  A process begins with the peak of the one that it was forked
from, so a small one, not the benchmark with its arrays, must start the command."""

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(relative):
    """A folder of real data, or an exit that says what is missing."""
    path = SHARED / relative
    if not path.exists():
        sys.exit(f"{path} is not on this machine; this benchmark needs it")
    return path


def dfd(*arguments):
    """Run the installed command in a process of its own: (wall s, CPU s, peak MB)."""
    reader, writer = os.pipe()
    program = [sys.executable, "-c", "from dfd.cli import main; main()", *map(str, arguments)]
    with os.fdopen(reader) as told:
        subprocess.run([sys.executable, "-S", "-c", _LAUNCHER, str(writer), *program], check=True, pass_fds=[writer])
        os.close(writer)
        code, wall, cpu, peak = map(float, told.read().split())
    if code:
        sys.exit(f"dfd {' '.join(map(str, arguments))} ended with {code:g}")
    return wall, cpu, peak


def row(*cells):
    """Print one Markdown table row."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(*cells):
    """Print the head of a Markdown table."""
    row(*cells)
    row(*("---" for _ in cells))
