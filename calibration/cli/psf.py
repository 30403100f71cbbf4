"""`dfd-calibrate psf`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from calibration.cli.common import Coordinate, Origin, Sheet, profile_target, scaled
from dfd.console import Progress, say


def psf(
    brackets: Annotated[list[str] | None, typer.Argument(
        metavar="M=FOLDER...", help="distance [m] = folder of the frames of the target there, as for `dfd-calibrate focus`, "
        "or one CSV file; one distance is enough with --into a profile that has a focus law, two otherwise")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="PROFILE.json", help="new lens profile")] = None,
    into: Annotated[Path | None, typer.Option(
        "--into", metavar="PROFILE.json", help="lens profile whose psf is replaced; the rest is kept, and its focus law "
        "tells the blur with its sign")] = None,
    vignetting: Annotated[list[Path] | None, typer.Option(
        "--vignetting", metavar="FLATS...", help="evenly lit frames, or folders of them: vignetting is measured too; all up "
        "to the next option; alone, without brackets, only this is measured")] = None,
    board: Annotated[Sheet, typer.Option(help="format of the target that was printed")] = Sheet.A4,
    bar: Annotated[float, typer.Option(
        metavar="MM", min=1, help="length of the 100 mm check bars on your print, mean of both axes [mm]")] = 100.0,
    square: Annotated[float | None, typer.Option(
        metavar="MM", min=1, help="side of a square, for a target on a screen or enlarged [mm]")] = None,
    coordinate: Annotated[Coordinate | None, typer.Option(
        help="what the focus coordinate is [default: that of the profile, else as for `dfd-calibrate focus`]")] = None,
    f_number: Annotated[float | None, typer.Option(
        metavar="N", min=0.3, help="f-number of files that do not state it")] = None,
    origin: Annotated[Origin, typer.Option(
        help="where distances count from: sensor mark, or entrance pupil as well as you know it")] = Origin.SENSOR,
    workers: Annotated[int | None, typer.Option(
        metavar="N", min=1, help="brackets and kernels measured at a time [default: all cores]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
):
    """Measure the point-spread function over the field and on both sides of focus, pixel by pixel and as a model of eleven
    numbers, from frames of the target; and vignetting from flats."""
    from calibration.psf.job import calibrate_psf, into_profile
    from calibration.psf.report import as_json_types, lines
    from calibration.psf.vignetting import calibrate_vignetting
    from calibration.psf.vignetting import into_profile as vignetting_into_profile
    from calibration.shoot.shoots import read_shoot
    from calibration.sidecar import commit
    from calibration.target.board import printed_board
    from dfd.profile import LensProfile

    if not brackets and not vignetting:
        raise ValueError("nothing to measure: give frames of the target as DISTANCE=FOLDER, such as 0.6=near, or flats with "
                         "--vignetting")
    target, data = profile_target(output, into, arrays=bool(brackets))
    profile = None if into is None else LensProfile.load(into)
    law = profile if profile is not None and profile.calibrated else None
    kind = coordinate.value if coordinate is not None else None if law is None else law.coordinate
    field, falls, content, arrays = None, (), data, {}
    with Progress() as progress:
        if vignetting:
            falls = calibrate_vignetting(vignetting, f_number=f_number, coordinate=kind, progress=progress)
            content = vignetting_into_profile(falls, content)
        if brackets:
            shoot = read_shoot(brackets, coordinate=kind, f_number=f_number, least=1)
            field = calibrate_psf(shoot, printed_board(board.value, bar=bar, square=scaled(square, 1e-3)), profile=law,
                                  origin=origin.value, workers=workers, progress=progress)
            content, arrays = into_profile(field, content)
    if arrays:
        commit(target, content, arrays)
    else:
        LensProfile(content).save(target)
    if as_json:
        say(json.dumps(as_json_types(field, falls), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for line in lines(field, falls):
        say(line)
    say(f"{target}: look at it with `dfd-calibrate report {target} -o report.html`")
