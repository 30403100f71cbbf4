"""The `dfd` command."""


def main() -> None:
    """Entry point of the `dfd` command; the commands are loaded here, not when dfd is imported."""
    try:
        from dfd.cli.commands import main as run
    except KeyboardInterrupt:
        raise SystemExit("dfd: interrupted; nothing was written") from None
    run()
