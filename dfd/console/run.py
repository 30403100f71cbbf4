"""How a command line ends: exit codes and errors of one line, the same for `dfd` and `dfd-calibrate`.

Exit 0: done.  2: the call or its input is wrong, or Ctrl-C.  1: the job failed for another reason.
"""

from __future__ import annotations

import errno
import gc
import re
import sys
from typing import NoReturn

import typer

from dfd.console.lines import note
from dfd.console.remarks import remarks_aside

_INTERRUPTED, _TYPER_INTERRUPTED = "interrupted; nothing was written", 130


def start(app: typer.Typer, name: str, arguments: list[str] | None = None) -> NoReturn:
    """Run a command line (None: that of this process) and exit; remarks of C libraries follow a success as warnings."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show is no error
    if "--traceback" in arguments:
        sys.exit(call(app, arguments, name=name))
    with remarks_aside() as remarks:
        code = call(app, arguments, name=name)
        for line in remarks() if code == 0 else ():
            note(f"warning: an image library says: {line}")
    gc.freeze()  # the process ends: nobody need look for circles among a million objects first
    sys.exit(code)


def call(app: typer.Typer, arguments: list[str], *, name: str) -> int:
    """Run one command line of `app`, the command `name`, and return its exit code; errors become one line on stderr."""
    show = "--traceback" in arguments
    try:
        code = app([item for item in arguments if item != "--traceback"] or ["--help"], standalone_mode=False,
                   prog_name=name)  # commands return None; a number is an exit code that typer made of an exception
        return _fail(name, _INTERRUPTED, 2, show) if code == _TYPER_INTERRUPTED else code or 0
    except typer.Exit as stop:
        return stop.exit_code
    except typer.exceptions.TyperException as error:
        return _fail(name, f"{_usage(error, arguments)}; see {_help(app, arguments, name)}", 2, show)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(name, _INTERRUPTED, 2, show)
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
