"""`dfd-calibrate dual-pixel`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from calibration.cli.common import Axis, Origin, profile_target, scaled
from dfd.console import Progress, say


def dual_pixel(
    flats: Annotated[list[str] | None, typer.Argument(
        metavar="M=FOLDER...", help="distance [m] = folder or RAW file of the pair of a flat, textured target that "
        "faces the camera, such as 0.6=near 1.5=far; or one CSV file with columns folder,distance_m")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="PROFILE.json", help="new lens profile")] = None,
    into: Annotated[Path | None, typer.Option(
        "--into", metavar="PROFILE.json", help="lens profile whose dual_pixel is replaced; the rest is kept")] = None,
    check: Annotated[list[Path] | None, typer.Option(
        "--check", metavar="FOLDERS...", help="pairs taken stopped down (f/20), which must show no disparity [px]; all up "
        "to the next option; alone, without flats, only this is tested")] = None,
    swap: Annotated[bool, typer.Option("--swap", help="exchange the left and the right view")] = False,
    axis: Annotated[Axis | None, typer.Option(
        help="axis of the stored pixels along which the views differ [default: capture.toml, else x]")] = None,
    origin: Annotated[Origin | None, typer.Option(
        help="where distances, that of focus too, count from: entrance pupil or sensor mark [default: distance_from of "
        "capture.toml]")] = None,
    distance_sigma: Annotated[float, typer.Option(metavar="MM", min=0, help="1-sigma of each distance [mm]")] = 1.0,
    tiles: Annotated[str | None, typer.Option(
        metavar="WxH", help="tiles across and down the picture [default: 6x4, upright 4x6]")] = None,
    focal_length: Annotated[float | None, typer.Option(metavar="MM", min=0, help="focal length [mm]")] = None,
    f_number: Annotated[float | None, typer.Option(metavar="N", min=0, help="f-number of the flats")] = None,
    pixel_pitch: Annotated[float | None, typer.Option(metavar="UM", min=0, help="pitch of the stored pixels [um]")] = None,
    focus_distance: Annotated[float | None, typer.Option(metavar="M", min=0, help="focus distance of the flats [m]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
):
    """Measure kappa (disparity / coc) and the focus [dioptre] of a dual-pixel sensor over the picture, from flat targets at
    two or more known distances, taken with one focus and one aperture."""
    from calibration.dual_pixel.flats import Optics
    from calibration.dual_pixel.job import calibrate_dual_pixel, check_stopped_down, into_profile
    from calibration.dual_pixel.report import as_json_types, check_lines, field_lines
    from dfd.profile import LensProfile

    optics = Optics(scaled(focal_length, 1e-3), f_number, scaled(pixel_pitch, 1e-6), focus_distance)
    target, data = (None, None) if check and not flats else profile_target(output, into)
    profile = None if data is None else LensProfile(data)
    options = {"profile": profile, "grid": _grid(tiles), "swap": swap, "axis": None if axis is None else axis.value}
    with Progress() as progress:
        if target is None:
            checks = check_stopped_down(check, **options, progress=progress)
        else:
            field = calibrate_dual_pixel(
                flats or (), optics=optics, origin=None if origin is None else origin.value, check=check or (),
                distance_sigma=distance_sigma * 1e-3, progress=progress, **options)
            LensProfile(into_profile(field, data)).save(target)
    if as_json:
        found = as_json_types(checks if target is None else field)
        say(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
        return
    for line in check_lines(checks) if target is None else field_lines(field):
        say(line)
    if target is not None:
        say(f"{target}: kappa and focus of {field.usable.size} tiles; use it with `dfd depth --lens {target}`")


def _grid(text):
    """(rows, columns) of --tiles."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--tiles ({text}) must be WIDTHxHEIGHT in tiles, such as 6x4")
    return int(parts[1]), int(parts[0])
