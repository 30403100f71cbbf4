"""The `dfd-calibrate` command: arguments and tables; the work is done elsewhere, exit codes in dfd.console.run."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dfd.console import Progress, say, start

app = typer.Typer(name="dfd-calibrate", add_completion=False, no_args_is_help=True, rich_markup_mode=None,
                  help="Measure a lens and a camera for metric depth from defocus; writes a LensProfile (JSON).")

class Origin(StrEnum):
    """Where distances count from."""

    PUPIL = "pupil"
    SENSOR = "sensor"


class Axis(StrEnum):
    """Along which axis of the stored pixels the two views differ."""

    X = "x"
    Y = "y"


_MANY = ("--dark", "--check")
"""Options that take everything up to the next option, as a shell writes it for a pattern of file names."""


@app.command()
def noise(
    flats: Annotated[list[Path], typer.Argument(
        metavar="FLATS...", help="evenly lit frames, RAW or 16-bit TIFF of undeveloped values, or folders of them")],
    dark: Annotated[list[Path] | None, typer.Option(
        "--dark", metavar="DARKS...", help="frames with the lens cap on, or folders; all up to the next option")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="PROFILE.json", help="new lens profile")] = None,
    into: Annotated[Path | None, typer.Option(
        "--into", metavar="PROFILE.json", help="lens profile whose radiometry is updated; the rest of it is kept")] = None,
    iso: Annotated[float | None, typer.Option(
        metavar="N", min=1, help="ISO of files that do not state it")] = None,
    roi: Annotated[int, typer.Option(metavar="PX", help="side of the central square that is measured [px]")] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
):
    """Measure gain [e-/DN], read noise [e-], black level [DN] and linearity [%] from pairs of flats and darks."""
    from calibration.radiometry import calibrate_noise, into_profile
    from dfd.profile import LensProfile

    target, data = _target(output, into)
    with Progress() as progress:
        shoot = calibrate_noise(flats, dark or (), iso=iso, roi=roi, progress=progress)
    LensProfile(into_profile(shoot, data)).save(target)
    if as_json:
        say(json.dumps([_row(result) for result in shoot.results], indent=2, ensure_ascii=False, allow_nan=False))
        return
    for result in shoot.results:
        _table(result)
    say(f"{target}: noise of ISO {', '.join(f'{result.iso:g}' for result in shoot.results)}; use it with "
        f"`dfd depth --lens {target}`")


@app.command("dual-pixel")
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
    from calibration.dual_pixel import calibrate_dual_pixel, check_stopped_down, into_profile
    from calibration.dual_pixel_flats import Optics
    from calibration.dual_pixel_report import as_json_types, check_lines, field_lines
    from dfd.profile import LensProfile

    optics = Optics(_scaled(focal_length, 1e-3), f_number, _scaled(pixel_pitch, 1e-6), focus_distance)
    target, data = (None, None) if check and not flats else _target(output, into)
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


def _scaled(value, unit):
    return None if value is None else value * unit


def _grid(text):
    """(rows, columns) of --tiles."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--tiles ({text}) must be WIDTHxHEIGHT in tiles, such as 6x4")
    return int(parts[1]), int(parts[0])


def _target(output, into):
    """(file to write, content to start from), checked before the work begins."""
    from dfd.profile import LensProfile

    if (output is None) == (into is None):
        raise ValueError("give either -o PROFILE.json, a new file, or --into PROFILE.json, one to update")
    if into is not None:
        return into, LensProfile.load(into).data
    if output.exists():
        raise FileExistsError(f"{output}: exists already; choose another name, or --into {output} to update it")
    if not output.absolute().parent.is_dir():
        raise FileNotFoundError(f"{output}: no folder {output.parent}; make it first")
    return output, None


def _row(result) -> dict:
    """The figures of one ISO as JSON types, units in the keys."""
    transfer = result.transfer
    return {
        "iso": result.iso,
        "gain_e_per_dn": transfer.gain_e_per_dn, "gain_sigma_e_per_dn": transfer.gain_sigma,
        "read_noise_e": transfer.read_noise_e, "read_noise_sigma_e": transfer.read_noise_sigma,
        "black_dn": result.black.tolist(), "black_of_file_dn": result.black_file.tolist(), "white_dn": result.white,
        "linearity_max_pct": result.linearity_pct, "chi2_dof": transfer.chi2_dof,
        "flat_pairs": [pair.name for pair in result.flats], "dark_pairs": [pair.name for pair in result.darks],
        "rejected": list(result.rejected), "warnings": list(result.warnings),
    }


def _table(result):
    transfer = result.transfer
    linear = "unknown" if result.linearity_pct is None else f"{result.linearity_pct:.2f} %"
    say(f"ISO {result.iso:g}: {len(result.flats)} flat and {len(result.darks)} dark pairs")
    say(f"  gain        {transfer.gain_e_per_dn:.5g} +- {transfer.gain_sigma:.2g} e-/DN")
    say(f"  read noise  {transfer.read_noise_e:.4g} +- {transfer.read_noise_sigma:.2g} e-")
    say(f"  black       {' '.join(f'{level:.2f}' for level in result.black)} DN (file: "
        f"{' '.join(f'{level:g}' for level in result.black_file)})")
    say(f"  linearity   {linear} largest deviation, 5 to 90 % of white")
    for text in result.rejected:
        say(f"  not used: {text}")
    for text in result.warnings:
        say(f"  warning: {text}")


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


def spread(arguments: list[str]) -> list[str]:
    """`--dark a b c` as `--dark a --dark b --dark c`: the values of the options of _MANY reach to the next option."""
    result, option, bare = [], None, []
    for index, argument in enumerate(arguments):
        if argument.startswith("-"):
            option = argument if argument in _MANY else None
            following = arguments[index + 1:index + 2]
            if option and (not following or following[0].startswith("-")):
                bare.append(option)  # without a value, which the parser tells when it stands last
        if option is None:
            result.append(argument)
        elif argument != option:
            result += [option, argument]
    return result + bare
