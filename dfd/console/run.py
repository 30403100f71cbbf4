"""How a command line ends: exit codes and errors of one line, the same for `dfd` and `dfd-calibrate`.

Exit 0: done.  2: the call or its input is wrong.  1: the job failed for another reason.  128 + signal: it was stopped, 130
by Ctrl-C, 143 by SIGTERM (kill, a batch system), 129 by SIGHUP (the terminal is gone); nothing half-written is left.
"""

from __future__ import annotations

import errno
import gc
import re
import signal
import sys
from contextlib import contextmanager
from typing import NoReturn

import typer

from dfd.console.lines import note
from dfd.console.remarks import remarks_aside

_INTERRUPTED = "interrupted; nothing was written"
_BY_CTRL_C = 128 + signal.SIGINT
"""What typer returns for Ctrl-C, too."""

_STOPS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def start(app: typer.Typer, name: str, arguments: list[str] | None = None) -> NoReturn:
    """Run a command line (None: that of this process) and exit; remarks of C libraries follow a success as warnings."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show is no error
    with _stopped_as_by_ctrl_c() as stopped:
        code = _told(app, arguments, name)
    if stopped and code == _BY_CTRL_C:
        code = 128 + stopped[0]
    gc.freeze()  # the process ends: nobody need look for circles among a million objects first
    sys.exit(code)


def _told(app, arguments, name):
    """The exit code of one command line."""
    if "--traceback" in arguments:
        return call(app, arguments, name=name)
    with remarks_aside() as remarks:
        code = call(app, arguments, name=name)
        for line in remarks() if code == 0 else ():
            note(f"warning: an image library says: {line}")
    return code


@contextmanager
def _stopped_as_by_ctrl_c():
    """Within the block the signals that stop a program are a KeyboardInterrupt, so that files are tidied; yields those seen.

    What the caller ignores (nohup) stays ignored.  Only the first counts: a second one would disturb the tidying.
    """
    seen = []

    def stop(number, _):
        seen.append(number)
        if len(seen) == 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _STOPS if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def call(app: typer.Typer, arguments: list[str], *, name: str) -> int:
    """Run one command line of `app`, the command `name`, and return its exit code; errors become one line on stderr."""
    show = "--traceback" in arguments
    try:
        code = app([item for item in arguments if item != "--traceback"] or ["--help"], standalone_mode=False,
                   prog_name=name)  # commands return None; a number is an exit code that typer made of an exception
        return _fail(name, _INTERRUPTED, _BY_CTRL_C, show) if code == _BY_CTRL_C else code or 0
    except typer.Exit as stop:
        return stop.exit_code
    except typer.exceptions.TyperException as error:
        return _fail(name, f"{_usage(error, arguments)}; see {_help(app, arguments, name)}", 2, show)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(name, _INTERRUPTED, _BY_CTRL_C, show)
    except (ValueError, TypeError, OSError) as error:
        return _fail(name, _words(error), 2, show)
    except Exception as error:  # a bug or a lack of memory: the job failed, the call was right
        return _fail(name, f"{type(error).__name__}: {error}; run again with --traceback to see where", 1, show)


def _words(error):
    """The message; the system's own errors name no next step, so they get one here."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        step = "free some space" if error.errno == errno.ENOSPC else "check the path and its access rights"
        return f"{error.filename}: {error.strerror}; {step}"
    return str(error) or type(error).__name__


def _usage(error, arguments):
    """What is wrong with the call, with the value that was given for the option."""
    text = error.format_message().rstrip(".").replace("Value error, ", "")
    found = re.search(r"for '(?:-\w' / ')?(--[\w-]+)", text)
    given = [item for item in arguments if found and item.startswith(f"{found[1]}=")]
    if given:
        value = given[-1].partition("=")[2]
    elif found and found[1] in arguments[:-1]:
        value = arguments[arguments.index(found[1]) + 1]
    else:
        return text
    return text if repr(value) in text else text.replace(f"'{found[1]}'", f"'{found[1]}' ({value})", 1)


def _help(app, arguments, name):
    commands = {row.name or row.callback.__name__ for row in app.registered_commands}
    command = next((item for item in arguments if item in commands), "")
    return " ".join(filter(None, (name, command, "--help")))


def _fail(name, message, code, show):
    if show and sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()
    note(f"{name}: {' '.join(str(message).split())}")
    return code
