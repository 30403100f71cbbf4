"""How a command line ends: exit codes and errors of one line, the same for `dfd` and `dfd-calibrate`.

Exit 0: done.  2: the call or its input is wrong, or Ctrl-C.  1: the job failed for another reason.
"""

from __future__ import annotations

import sys

import typer


def call(app: typer.Typer, arguments: list[str], *, name: str) -> int:
    """Run one command line of `app`, the command `name`, and return its exit code; errors become one line on stderr."""
    show = "--traceback" in arguments
    try:
        app([item for item in arguments if item != "--traceback"] or ["--help"], standalone_mode=False, prog_name=name)
        return 0
    except typer.Exit as stop:
        return stop.exit_code
    except typer.exceptions.TyperException as error:
        return _fail(name, f"{error.format_message()}; see {_help(app, arguments, name)}", 2, show)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(name, "interrupted; nothing was written", 2, show)
    except (ValueError, TypeError, OSError) as error:
        return _fail(name, str(error) or type(error).__name__, 2, show)
    except Exception as error:  # a bug or a lack of memory: the job failed, the call was right
        return _fail(name, f"{type(error).__name__}: {error}; run again with --traceback to see where", 1, show)


def _help(app, arguments, name):
    commands = {row.name or row.callback.__name__ for row in app.registered_commands}
    command = next((item for item in arguments if item in commands), "")
    return " ".join(filter(None, (name, command, "--help")))


def _fail(name, message, code, show):
    if show:
        import traceback

        traceback.print_exc()
    print(f"{name}: {' '.join(str(message).split())}", file=sys.stderr)  # noqa: T201
    return code
