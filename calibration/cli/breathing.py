"""`dfd-calibrate breathing`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from calibration.cli.common import Coordinate, Sheet, profile_target
from dfd.console import Progress, say


def breathing(
    bracket: Annotated[Path, typer.Argument(
        metavar="BRACKET", help="CSV file with columns file,focus_coordinate, or a folder or capture.toml whose frames "
        "state focus_coordinate: one still scene at several focus settings")],
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="PROFILE.json", help="new lens profile")] = None,
    into: Annotated[Path | None, typer.Option(
        "--into", metavar="PROFILE.json", help="lens profile whose breathing is replaced; the rest of it is kept")] = None,
    board: Annotated[Sheet, typer.Option(help="format of the target that the frames show")] = Sheet.A4,
    scene: Annotated[bool, typer.Option(
        "--scene", help="the frames show no target but a textured scene, best a flat one; frames are registered")] = False,
    coordinate: Annotated[Coordinate | None, typer.Option(
        help="what the focus coordinate is [default: that of the profile, else bracket_index]")] = None,
    update_fx: Annotated[bool, typer.Option(
        "--update-fx", help="also replace fx [px] of the profile by this breathing; fx at the reference is kept")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
):
    """Measure breathing, the image scale against the focus coordinate, from a bracket of one still scene."""
    from calibration.breathing import into_profile, measure_board, measure_scene, profile_scale
    from calibration.noise.radiometry import new_profile
    from calibration.shoot.sweep import read_sweep
    from calibration.target.board import BOARDS
    from dfd.lensfile import section
    from dfd.profile import LensProfile

    target, data = profile_target(output, into)
    frames = read_sweep(bracket)
    with Progress() as progress:
        found = measure_scene(frames, progress=progress) if scene else \
            measure_board(frames, BOARDS.get(board.value, BOARDS["a4"]), progress=progress)  # its size does not matter
    data = new_profile(frames) if data is None else data
    name = coordinate.value if coordinate else section(data, "focus").get("coordinate") or Coordinate.BRACKET_INDEX.value
    other = profile_scale(data, found)
    LensProfile(into_profile(found, data, coordinate=name, update_fx=update_fx)).save(target)
    if as_json:
        say(json.dumps(_as_json(found, name, other), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for line in _lines(found, name, other):
        say(line)
    said = "breathing and fx" if update_fx else "breathing"
    say(f"{target}: {said} of {len(found.scale)} frames; use it with `dfd depth --lens {target}`")


def _as_json(found, coordinate, other):
    """The figures as JSON types."""
    coc = [None if value != value else float(value) for value in found.coc]
    return {"coordinate": coordinate, "reference": found.reference, "method": found.method,
            "scale_poly": list(found.poly), "sigma": list(found.poly_sigma), "chi2_dof": found.chi2_dof,
            "monotone": found.monotone, "warnings": found.warnings,
            "frames": [{"focus_coordinate": float(found.coordinates[k]), "scale": float(found.scale[k]),
                        "scale_sigma": float(found.sigma[k]), "residual": float(found.residuals[k]), "coc_px": coc[k],
                        "radial": float(found.radial[k]),
                        "scale_of_profile": None if other is None else float(other[k])} for k in range(len(found.scale))]}


def _lines(found, coordinate, other):
    """The table."""
    yield (f"breathing from {len(found.scale)} frames of {'the target' if found.method == 'board' else 'a scene'}, relative "
           f"to {coordinate} {found.reference:g}")
    yield f"  {coordinate:>16} {'scale':>10} {'sigma':>9} {'residual':>10} {'blur [px]':>10}" + \
        ("" if other is None else f" {'by fx of the profile':>21}")
    for k in range(len(found.scale)):
        blur = "" if found.coc[k] != found.coc[k] else f"{found.coc[k]:.1f}"
        told = "" if other is None else f" {other[k]:>21.6f}"
        yield (f"  {found.coordinates[k]:>16g} {found.scale[k]:>10.6f} {found.sigma[k]:>9.1e} {found.residuals[k]:>+10.1e} "
               f"{blur:>10}{told}")
    for power, (value, sigma) in enumerate(zip(found.poly, found.poly_sigma, strict=True)):
        unit = ("", "per unit", "per unit^2")[power]
        yield f"  coefficient of s^{power}: {value:.6g} +- {sigma:.2g} {unit}".rstrip()
    yield f"chi2 per degree of freedom: {found.chi2_dof:.2f} (1 = as the sigmas say)"
    if other is not None:
        off = max(abs(found.scale - other))
        yield (f"fx of the profile says the same within {off:.1e}; --update-fx replaces its shape and keeps fx at "
               f"{found.reference:g}")
    for text in found.warnings:
        yield f"warning: {text}"
