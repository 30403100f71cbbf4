"""`dfd-calibrate focus`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from calibration.cli.common import Coordinate, Origin, Sheet, profile_target, scaled
from dfd.console import Progress, say


def focus(
    brackets: Annotated[list[str] | None, typer.Argument(
        metavar="M=FOLDER...", help="distance [m] = folder of the frames of the target there, such as 0.6=d060 0.8=d080; or "
        "one CSV file with columns folder,distance_m or file,distance_m, and as you have them focus_coordinate, f_number, "
        "distance_sigma_mm; 6 or more frames for each distance and f-number (13 are good), around best focus")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="PROFILE.json", help="new lens profile")] = None,
    into: Annotated[Path | None, typer.Option(
        "--into", metavar="PROFILE.json", help="lens profile whose focus part is replaced; the rest is kept")] = None,
    board: Annotated[Sheet, typer.Option(help="format of the target that was printed")] = Sheet.A4,
    bar: Annotated[float, typer.Option(
        metavar="MM", min=1, help="length of the 100 mm check bars on your print, mean of both axes [mm]")] = 100.0,
    bar_sigma: Annotated[float, typer.Option(metavar="MM", min=0, help="1-sigma of that length [mm]")] = 0.1,
    square: Annotated[float | None, typer.Option(
        metavar="MM", min=1, help="side of a square, for a target on a screen or enlarged [mm]")] = None,
    coordinate: Annotated[Coordinate | None, typer.Option(
        help="what the focus coordinate is: steps of the motor, or number of the frame in its bracket [default: "
        "encoder_step]"
    )] = None,
    jitter: Annotated[float | None, typer.Option(
        metavar="UNITS", min=0, help="1-sigma of the lens about its coordinate, a first guess [unit of the coordinate]",
    )] = None,
    f_number: Annotated[float | None, typer.Option(
        metavar="N", min=0.3, help="f-number of files that do not state it")] = None,
    origin: Annotated[Origin, typer.Option(
        help="where distances count from: sensor mark, or entrance pupil as well as you know it")] = Origin.SENSOR,
    distance_sigma: Annotated[float, typer.Option(metavar="MM", min=0.01, help="1-sigma of each distance [mm]")] = 1.0,
    workers: Annotated[int | None, typer.Option(
        metavar="N", min=1, help="brackets measured at a time [default: all cores]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
):
    """Measure the focus law [dioptre], fx [px], entrance pupil [mm] and field of a lens, each with its sigma, from
    brackets of the target at three or more distances (8 are good)."""
    from calibration.focus import report as focus_report
    from calibration.focus.job import calibrate_focus
    from calibration.focus.profile import into_profile, replaced_stops
    from calibration.shoot.shoots import read_shoot
    from calibration.sidecar import commit
    from calibration.target.board import printed_board

    target, data = profile_target(output, into, arrays=True)
    shoot = read_shoot(brackets or (), coordinate=None if coordinate is None else coordinate.value, f_number=f_number,
                       distance_sigma=distance_sigma * 1e-3)
    print_sigma = bar_sigma / 100
    with Progress() as progress:
        found = calibrate_focus(shoot, printed_board(board.value, bar=bar, square=scaled(square, 1e-3)), workers=workers,
                                print_sigma=print_sigma, jitter=jitter, progress=progress)
    content = into_profile(found, data, origin=origin.value, print_sigma=print_sigma)
    arrays = {f"focus/{name}": values for name, values in found.fit.model.data.arrays().items()}
    arrays["focus/depth"] = found.fit.model.depth(found.fit.vector)
    commit(target, content, arrays)
    if as_json:
        say(json.dumps(focus_report.as_json(found, content), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for line in focus_report.lines(found):
        say(line)
    lost = replaced_stops(found, data)
    if lost:
        say(f"warning: the profile had f/{', f/'.join(f'{stop:g}' for stop in lost)}, measured with another focus law; they "
            "are no longer in it: photograph every stop in one shoot")
    say(f"{target}: use it with `dfd depth --lens {target}`, look at it with `dfd-calibrate report {target} -o report.html`")
