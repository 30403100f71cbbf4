"""`dfd-calibrate noise`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from calibration.cli.common import profile_target
from dfd.console import Progress, say


def noise(
    flats: Annotated[list[Path] | None, typer.Argument(
        metavar="FLATS...", help="evenly lit frames, RAW or 16-bit TIFF of undeveloped values, or folders of them",
        show_default=False)] = None,
    dark: Annotated[list[Path] | None, typer.Option(
        "--dark", metavar="DARKS...", help="frames with the lens cap on, or folders; all up to the next option")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="PROFILE.json", help="new lens profile")] = None,
    into: Annotated[Path | None, typer.Option(
        "--into", metavar="PROFILE.json", help="lens profile whose radiometry is updated; the rest of it is kept")] = None,
    iso: Annotated[float | None, typer.Option(
        metavar="N", min=1, help="ISO of files that do not state it")] = None,
    roi: Annotated[int, typer.Option(metavar="PX", help="side of the central square of flats that is measured [px]")] = 256,
    from_stack: Annotated[Path | None, typer.Option(
        "--from-stack", metavar="FOLDER", help="no flats: a labelled estimate (15 to 30 %) from the frames of one capture, "
        "RAW or 16-bit TIFF")] = None,
    replace: Annotated[bool, typer.Option(
        "--replace", help="with --from-stack: also in place of a measured entry of the same ISO")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
):
    """Measure gain [e-/DN], read noise [e-], black level [DN] and linearity [%] from pairs of flats and darks."""
    if bool(flats) == (from_stack is not None) or (from_stack is not None and dark):
        raise ValueError("give either FLATS with their --dark, measured, or --from-stack FOLDER alone, an estimate")
    if from_stack is not None:
        _estimate(from_stack, output, into, iso=iso, replace=replace, as_json=as_json)
        return
    from calibration.noise.radiometry import calibrate_noise, into_profile
    from dfd.profile import LensProfile

    target, data = profile_target(output, into)
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


def _estimate(stack, output, into, *, iso, replace, as_json):
    """--from-stack."""
    from calibration.noise.stack import as_entry, estimate_stack_noise, into_profile
    from dfd.profile import LensProfile

    target, data = profile_target(output, into)
    with Progress() as progress:
        found = estimate_stack_noise(stack, iso=iso, progress=progress)
    LensProfile(into_profile(found, data, replace=replace)).save(target)
    if as_json:
        say(json.dumps([as_entry(found) | {"warnings": list(found.warnings)}], indent=2, ensure_ascii=False,
                       allow_nan=False))
        return
    say(f"ISO {found.iso:g}: estimate from {found.used} of {len(found.files)} frames of one capture")
    say(f"  gain        {found.gain_e_per_dn:.3g} +- {found.gain_sigma:.2g} e-/DN (estimate)")
    read = f"{found.read_noise_e:.3g} +- {found.read_noise_sigma:.2g} e-" if found.read_noise_below is None else \
        f"below {found.read_noise_below:.2g} e-"
    say(f"  read noise  {read} (estimate)")
    for text in found.warnings:
        say(f"  warning: {text}")
    say(f"{target}: estimated noise of ISO {found.iso:g}; use it with `dfd depth --lens {target}`")


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
