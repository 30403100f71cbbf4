"""What the benchmark scripts share: the folder of real data, programs measured from outside, and Markdown rows."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

_LAUNCHER = """
import os, sys, threading, time

def family(process):
    yield process
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/children") as listed:
            for child in listed.read().split():
                yield from family(child)

def private(process):
    with open(f"/proc/{process}/status") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))

def watch():
    while not over.wait(0.05):
        try:
            seen[0] = max(seen[0], sum(map(private, family(child))))
        except OSError:  # one of them has just ended: the next look counts
            continue

seen, over, start = [0], threading.Event(), time.perf_counter()
child = os.spawnvp(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
watcher = threading.Thread(target=watch)
watcher.start()
_, status, usage = os.wait4(child, 0)
wall, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
over.set()
watcher.join()
print(os.waitstatus_to_exitcode(status), wall, cpu, usage.ru_maxrss / 1024, seen[0] / 1024, file=open(int(sys.argv[1]), "w"))
"""
"""Runs a command and tells the five numbers of Cost.  A process begins with the peak of the one that it was forked from, so
a small one, not the benchmark with its arrays, must start the command.  Linux only: it reads /proc."""

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


class Cost(NamedTuple):
    """What a program took, the processes that it started and waited for included.

    code      exit code, negative for a signal
    wall      seconds from the start of the process, imports included, to its end;   cpu: user and system seconds
    peak      MB resident at the worst moment of the largest process, as the kernel keeps it (ru_maxrss).  It counts pages
              of mapped files, which the kernel takes back when others need memory: a stack read through a memory map
              looks as large as one read into memory
    private   MB of all processes together without such pages (and with shared memory and files on tmpfs), the largest of
              looks 50 ms apart, so a shorter peak is missed: the memory that nobody else can have
    """

    code: int
    wall: float
    cpu: float
    peak: float
    private: float


def measure(program, *, cwd=None) -> tuple[Cost, str]:
    """Run a command, a list of words, in a process of its own: (its Cost, what it printed)."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as told, tempfile.TemporaryFile() as printed:
        command = [sys.executable, "-S", "-c", _LAUNCHER, str(writer), *map(str, program)]
        ended = subprocess.run(command, cwd=cwd, pass_fds=[writer], stdout=printed, stderr=subprocess.STDOUT)
        os.close(writer)
        figures = told.read().split()
        printed.seek(0)
        text = printed.read().decode(errors="replace")
    if ended.returncode:
        sys.exit(f"{program[0]} could not be started or measured\n{text}")
    return Cost(int(figures[0]), *map(float, figures[1:])), text


def chain(programs, *, cwd=None) -> tuple[Cost, str]:
    """Run commands one after another until one fails: (seconds added, the largest memory; what they printed)."""
    costs, texts = [], []
    for program in programs:
        cost, text = measure(program, cwd=cwd)
        costs.append(cost)
        texts.append(text)
        if cost.code:
            break
    codes, walls, cpus, peaks, privates = zip(*costs, strict=True)
    return Cost(codes[-1], sum(walls), sum(cpus), max(peaks), max(privates)), "".join(texts)


def dfd_command(*arguments) -> list[str]:
    """The words that run the `dfd` of this interpreter."""
    return [sys.executable, "-c", "from dfd.cli import main; main()", *map(str, arguments)]


def dfd(*arguments):
    """Run the installed command in a process of its own: (wall s, CPU s, peak MB); an exit where it fails."""
    cost, text = measure(dfd_command(*arguments))
    if cost.code:
        sys.exit(f"{text}dfd {' '.join(map(str, arguments))} ended with {cost.code}")
    return cost.wall, cost.cpu, cost.peak


def shared_data(relative):
    """A folder of real data, or an exit that says what is missing."""
    path = SHARED / relative
    if not path.exists():
        sys.exit(f"{path} is not on this machine; this benchmark needs it")
    return path


def row(*cells):
    """Print one Markdown table row."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(*cells):
    """Print the head of a Markdown table."""
    row(*cells)
    row(*("---" for _ in cells))


def load() -> str:
    """How busy the machine is, in words: seconds measured on a busy one say less."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} over the last minute"
