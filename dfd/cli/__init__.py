"""The `dfd` command."""


def main() -> None:
    """Entry point of the `dfd` command; the commands are loaded here, not when dfd is imported."""
    from dfd.cli.commands import main as run

    run()
