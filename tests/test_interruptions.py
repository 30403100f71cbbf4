"""How a job ends that does not end well: failures, ctrl-c, signals, remarks of C libraries; nothing is left behind."""

import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from commandline import PROGRESS, dfd, frames, only_the_scale, place, refused, tree

from dfd.cli.commands import app
from dfd.console.run import start

__all__ = ["frames", "place"]


def test_a_failure_that_is_not_the_users_is_exit_1_and_says_how_to_see_more(place, capsys, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("12.3 GiB")

    monkeypatch.setattr("dfd.pipeline.solve_tiled", fail)
    refused(place, capsys, ("depth", "in", "-o", "out"), "MemoryError: 12.3 GiB", "--traceback", code=1)


def test_traceback_shows_where_before_the_same_line(place, capsys):
    assert dfd("--traceback", "depth", "nowhere", "-o", "out") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1].startswith("dfd: nowhere: no such file")


@pytest.mark.parametrize("where", ["dfd.report.write_report", "dfd.io.results.write_tiff", "dfd.fuse.AllInFocus.add",
                                   "dfd.decode.new_frames"])
def test_ctrl_c_at_any_stage_leaves_nothing(place, capsys, monkeypatch, where):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    refused(place, capsys, ("depth", "in", "-o", "deep/out", "--align", "none"), "dfd: interrupted; nothing was written",
            code=130)


def test_ctrl_c_while_an_old_result_is_replaced_keeps_the_old_one(place, capsys, monkeypatch):
    (place / "out").mkdir()
    (place / "out" / "result.json").write_text('{"schema": "dfd-result 1", "files": {}}')

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("dfd.report.write_report", interrupt)
    refused(place, capsys, ("depth", "in", "-o", "out", "--force", "--align", "none"), "interrupted", code=130)


def test_ctrl_c_while_a_simulation_is_written_leaves_nothing(place, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("dfd.io.simulated.write_tiff", interrupt)
    refused(place, capsys, ("simulate", "-o", "out", "--scene", "plane", "--size", "32x24", "--frames", "3"), "interrupted",
            code=130)


def started(*arguments, ignored=()):
    """A running `dfd` in a process of its own, with both streams as text.

    Its signals do what they do by default, but for the ignored ones: nohup or a shell's & may have the tests ignore some.
    """
    def handle():
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return subprocess.Popen([sys.executable, "-c", "from dfd.cli import main; main()", *arguments], text=True,
                            stderr=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=handle)


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_while_results_are_written_leaves_nothing(place, number, code):
    before = set(tree(place))
    running = started("depth", "in", "-o", "out", "--align", "none")
    while not list(place.glob(".out.*.partial")) and running.poll() is None:
        time.sleep(0.002)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err.splitlines()[-1]) == (code, "dfd: interrupted; nothing was written")
    assert set(tree(place)) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_a_hang_up_that_the_caller_ignores_stays_ignored(place):
    """nohup dfd depth ... lives on when the terminal is closed."""
    running = started("depth", "in", "-o", "out", "--align", "none", ignored=(signal.SIGHUP,))
    while not list(place.glob(".out.*.partial")) and running.poll() is None:
        time.sleep(0.002)
    running.send_signal(signal.SIGHUP)
    running.communicate(timeout=60)
    assert running.returncode == 0 and (place / "out" / "result.json").exists()


def test_a_program_that_uses_the_library_keeps_its_signals():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert dfd("solvers") == 0
    with pytest.raises(SystemExit):
        start(app, "dfd", ["solvers"])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
@pytest.mark.parametrize("align", ["none", "auto"])
def test_a_real_ctrl_c_during_the_work_leaves_nothing(place, align):
    rng = np.random.default_rng(3)
    (place / "big").mkdir()
    for k in range(10):
        np.save(place / "big" / f"f{k}.npy", rng.random((900, 1300), dtype=np.float32))
    before = set(tree(place))
    running = started("depth", "big", "-o", "out", "--align", align)
    first = running.stderr.readline()
    assert PROGRESS.fullmatch(first.strip()), first
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and only_the_scale(out)
    assert err.splitlines()[-1] == "dfd: interrupted; nothing was written"
    assert all(PROGRESS.fullmatch(line) for line in err.splitlines()[:-1]), err
    assert set(tree(place)) == before


def test_remarks_of_c_libraries_are_put_aside_and_python_still_reaches_stderr():
    program = """
        import os, sys
        from dfd.console.remarks import remarks_aside
        with remarks_aside() as remarks:
            os.write(2, b"libpng warning: odd\\nlibpng warning: odd\\n\\n  LibRaw: other  \\n")
            print("ours", file=sys.stderr)
            told = remarks()
        os.write(2, b"after\\n")
        print(told)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stderr == "ours\nafter\n"
    assert done.stdout.strip() == "['libpng warning: odd', 'LibRaw: other']"
