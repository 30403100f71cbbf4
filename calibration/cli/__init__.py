"""The `dfd-calibrate` command, one file per subcommand; the work is done elsewhere, exit codes in dfd.console.run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from calibration.cli.breathing import breathing
from calibration.cli.common import spread
from calibration.cli.dual_pixel import dual_pixel
from calibration.cli.focus import focus
from calibration.cli.noise import noise
from calibration.cli.psf import psf
from calibration.cli.report import report
from calibration.cli.simulate import simulate
from calibration.cli.target import target
from dfd.console import say, start

app = typer.Typer(name="dfd-calibrate", add_completion=False, no_args_is_help=True, rich_markup_mode=None,
                  help="Measure a lens and a camera for metric depth from defocus; writes a LensProfile (JSON).")
for name, command in {"target": target, "focus": focus, "psf": psf, "breathing": breathing, "noise": noise,
                      "dual-pixel": dual_pixel, "report": report, "simulate": simulate}.items():  # in the order of use
    app.command(name)(command)


def _version(wanted: bool):
    if wanted:
        from dfd import __version__

        say(f"dfd-calibrate {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", help="print the version", is_eager=True, callback=_version)] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="show where an error came from")] = False,
):
    """Measure a lens and a camera for metric depth from defocus; writes a LensProfile (JSON)."""


def main() -> None:
    """Entry point of the `dfd-calibrate` command."""
    start(app, "dfd-calibrate", spread(sys.argv[1:]))
