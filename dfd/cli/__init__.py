"""The `dfd` command."""

import sys


def main() -> None:
    """Entry point of the `dfd` command; the commands are loaded here, not when dfd is imported."""
    try:
        from dfd.cli.commands import main as run
    except KeyboardInterrupt:
        print("dfd: interrupted; nothing was written", file=sys.stderr)  # noqa: T201
        raise SystemExit(130) from None
    run()
