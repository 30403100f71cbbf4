"""`dfd-calibrate report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibration.cli.common import check_folder
from dfd.console import note, say


def report(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE.json", help="lens profile, with its arrays (.npz) beside it")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="REPORT", help="report.html, one page, or report.pdf")],
    force: Annotated[bool, typer.Option("--force", help="replace a report that is there already")] = False,
):
    """Show a lens profile: V curves, focus law, field, PSF, noise, expected sigma of depth [mm]; exit code 1 where it is not
    good enough for metric depth."""
    from calibration.report import write_report

    check_folder(output)
    if output.exists() and not force:
        raise FileExistsError(f"{output}: exists already; choose another name, or --force to replace it")
    failed = write_report(profile, output)
    say(f"{output}: report of {profile}")
    for sentence in failed:
        note(f"{profile}: {sentence}")
    if failed:
        raise typer.Exit(code=1)
