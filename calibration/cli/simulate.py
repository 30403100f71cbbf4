"""`dfd-calibrate simulate`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from calibration.cli.common import Sheet
from dfd.console import Progress, say


class Preset(StrEnum):
    """Names of truelens.PRESETS."""

    SMALL = "small"
    FULL_FRAME = "full-frame"


class Format(StrEnum):
    """Formats of the frames."""

    DNG = "dng"
    TIFF = "tiff"


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="new folder")],
    preset: Annotated[Preset, typer.Option(
        help="lens and camera: 50 mm f/1.8 on 24 MP, or on the middle of it in coarser pixels, 0.6 MP")] = Preset.SMALL,
    distances: Annotated[str, typer.Option(
        metavar="N|M,M,...", help="how many between 0.55 and 2.5 m, or themselves [m from the sensor mark]")] = "8",
    steps: Annotated[int, typer.Option(metavar="N", min=2, help="focus steps per distance and f-number")] = 13,
    f_numbers: Annotated[str, typer.Option(metavar="N,N,...", help="marked f-numbers: 1.8 2 2.8 4 5.6 8 11")] = "1.8",
    span: Annotated[float | None, typer.Option(
        metavar="PX", min=0.1, help="blur of the outermost steps [px; default: small 12, full-frame 40]")] = None,
    board: Annotated[Sheet, typer.Option(help="format of the target")] = Sheet.A4,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="seed of every random number")] = 0,
    tape_error: Annotated[float, typer.Option(
        "--tape-error-mm", metavar="MM", min=0, help="1-sigma of the distances as read [mm]")] = 1.0,
    print_error: Annotated[float, typer.Option(
        "--print-error-pct", metavar="PCT", help="how much too large the target is printed [%]")] = 0.05,
    jitter: Annotated[float, typer.Option(
        metavar="STEPS", min=0, help="1-sigma of the lens about its focus step [steps]")] = 0.3,
    ripple: Annotated[float, typer.Option(
        "--ripple-pct", metavar="PCT", help="amplitude of the focus law's deviation from Moebius [%]")] = 0.0,
    curvature: Annotated[float | None, typer.Option(
        "--curvature-dpt", metavar="DPT", help="field curvature in the corner [dioptre; default: the preset's]")] = None,
    spherical: Annotated[float, typer.Option(
        metavar="Q", help="light over the pupil 1 + Q sign(coc) (rho^2 - 1/2), -2 to 2, no unit")] = 0.0,
    noise: Annotated[float | None, typer.Option(
        metavar="E", min=0, help="electrons at white, 0 = none [e-; default: the preset's 38 000]")] = None,
    frames: Annotated[Format, typer.Option(
        "--format", help="of the frames: RAW mosaics, or 16-bit linear RGB")] = Format.DNG,
    flats: Annotated[bool, typer.Option("--flats", help="flats and darks too, for `dfd-calibrate noise`")] = False,
    scene: Annotated[str | None, typer.Option(
        metavar="NAME", help="also a focal stack of a scene, with two f-numbers an aperture pair: demo, slant ...")] = None,
    scene_frames: Annotated[int, typer.Option(metavar="N", min=3, help="frames of that stack")] = 16,
    force: Annotated[bool, typer.Option("--force", help="replace an older shoot in DIR")] = False,
):
    """Render a whole calibration shoot of a known lens, with its errors: frames, shoot.csv and truth.json."""
    from calibration.simulate.job import simulate_shoot
    from calibration.simulate.truelens import PRESETS

    lens = replace(PRESETS[preset.value], ripple=ripple / 100, spherical=spherical)
    if curvature is not None:
        lens = replace(lens, field=(*lens.field[:2], curvature, 0.0))
    apart = _numbers(distances, "--distances", "m")
    count = distances.strip()
    with Progress() as progress:
        simulate_shoot(
            output, lens=lens, distances=int(count) if count.isdigit() else apart, steps=steps,
            f_numbers=_numbers(f_numbers, "--f-numbers", "f-numbers"), span=span, board=board.value, seed=seed,
            tape_sigma=tape_error * 1e-3, print_scale=1 + print_error / 100, jitter=jitter, noise=noise, format=frames.value,
            flats=flats, scene=scene, scene_frames=scene_frames, force=force, progress=progress)
    say(f"{output}: calibrate it with `dfd-calibrate focus {output / 'shoot.csv'} -o lens.json`")


def _numbers(text, option, unit):
    """The numbers of an option that takes several."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} ({text}) must be numbers with commas between them [{unit}], such as 1.8,4") from None
