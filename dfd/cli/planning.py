"""`dfd plan`: the arguments; what is said of the proposals stands in dfd.cli.proposals."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dfd.console import say


class Planned(StrEnum):
    """Capture kinds that a plan knows."""

    ALL = "all"
    FOCAL_STACK = "focal-stack"
    VIEWS = "views"
    APERTURE_PAIR = "aperture-pair"
    DUAL_PIXEL = "dual-pixel"
    DIFFERENTIAL_QUAD = "differential-quad"


class Exposure(StrEnum):
    """How the frames of a capture share the light."""

    TOTAL = "total"
    FRAME = "frame"


def plan(
    near: Annotated[float, typer.Option(metavar="M", help="nearest depth to measure [m from the entrance pupil]")],
    far: Annotated[float, typer.Option(metavar="M", help="farthest depth to measure [m from the entrance pupil]")],
    focal_length: Annotated[float | None, typer.Option(metavar="MM", help="focal length [mm]")] = None,
    f_number: Annotated[float | None, typer.Option(metavar="N", help="widest aperture to use, f-number (no unit)")] = None,
    pixel_pitch: Annotated[float | None, typer.Option(metavar="UM", help="pixel pitch [um] of the images solved")] = None,
    lens: Annotated[Path | None, typer.Option(
        metavar="PROFILE.json", help="lens profile: focal length, pixel pitch and measured pupils come from it")] = None,
    noise: Annotated[float, typer.Option(
        metavar="E", help="full well [electrons]: what a white pixel of one full exposure holds")] = 20000.0,
    read_noise: Annotated[float, typer.Option(metavar="E", help="read noise [electrons rms]")] = 3.0,
    contrast: Annotated[float, typer.Option(
        metavar="0..1", help="std of the texture, share of white: 0.15 a usual surface, 0.03 a wall")] = 0.15,
    exposure: Annotated[Exposure, typer.Option(
        help="total: the frames of a kind share the time of two full exposures; frame: every frame is fully exposed")
    ] = Exposure.TOTAL,
    kind: Annotated[Planned, typer.Option(help="capture kind; views: two frames focused differently")] = Planned.ALL,
    frames: Annotated[int | None, typer.Option(
        metavar="N", help="frames of the focal stack [default: as few as are enough]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    plot: Annotated[Path | None, typer.Option(
        metavar="FILE.png", help="draw sigma of depth [mm] against depth [m], a line per kind")] = None,
):
    """Say before a shoot which depth errors to expect of each kind of capture, and where to focus."""
    from dfd.cli.proposals import draw, json_text, plot_path, proposal_lines, setup_of
    from dfd.plan import KINDS
    from dfd.plan import plan as propose

    setup = setup_of(lens, focal_length=focal_length, f_number=f_number, pixel_pitch=pixel_pitch, near=near, far=far,
                     full_well=noise, read_noise=read_noise, contrast=contrast, exposure=exposure.value)
    target = None if plot is None else plot_path(plot)
    proposals = propose(setup, kinds=KINDS if kind is Planned.ALL else (kind.value,), frames=frames)
    if target is not None:
        draw(proposals, target)
    for line in [json_text(setup, proposals)] if as_json else proposal_lines(setup, proposals):
        say(line)
    if target is not None and not as_json:
        say(f"look at {target}")
