"""`dfd lightfield`: the arguments; what they mean and what is said stands in dfd.cli.lightshots."""

from __future__ import annotations

import json
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dfd.cli.choices import AsJson, Force
from dfd.console import say


class Shot(StrEnum):
    """Capture kinds that a light field gives."""

    FOCAL_STACK = "focal-stack"
    APERTURE_PAIR = "aperture-pair"
    DUAL_PIXEL = "dual-pixel"
    DIFFERENTIAL_QUAD = "differential-quad"


class Layout(StrEnum):
    """Layouts of light fields, as in dfd.io.lightfield.LAYOUTS."""

    AUTO = "auto"
    HCI = "hci"
    HCI_OLD = "hci-old"
    GANTRY = "gantry"
    GRID = "grid"
    TILES = "tiles"
    LENSLET = "lenslet"
    TOML = "toml"


class Flip(StrEnum):
    """Places in the pupil to be reversed."""

    U = "u"
    V = "v"
    UV = "uv"


def lightfield(
    path: Annotated[Path, typer.Argument(metavar="INPUT", help="a folder of views, an image, an HDF5 or a Lytro .lfp file")],
    output: Annotated[Path | None, typer.Option(
        "--output", "-o", metavar="DIR", help="folder to write a capture to; without it the light field is only described")
    ] = None,
    kind: Annotated[Shot, typer.Option(help="capture kind to write")] = Shot.FOCAL_STACK,
    frames: Annotated[int | None, typer.Option(
        metavar="N", min=2, help="frames of a focal stack, even in dioptres [default: 2 px of blur between them]")] = None,
    pupil: Annotated[str | None, typer.Option(
        metavar="STEPS", help="diameter of the pupil [view steps]; WIDE,NARROW of a pair [default: all views]")] = None,
    f_number: Annotated[str | None, typer.Option(
        "--f-number", metavar="N", help="the same as f-number (no unit); WIDE,NARROW of a pair")] = None,
    focus: Annotated[str | None, typer.Option(
        metavar="M,M,...", help="focus distances [m from the pupil], one but for a stack [default: over the scene]")] = None,
    densify: Annotated[int | None, typer.Option(
        metavar="N", min=3, help="synthesise N x N views over the same pupil first, N odd")] = None,
    camera: Annotated[str, typer.Option(
        metavar="files|assumed|FILE", help="camera of the files, a virtual one, or a parameters.cfg")] = "files",
    noise: Annotated[float, typer.Option(metavar="E", min=0, help="full well [electrons]; 0 = no noise")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="of the noise")] = 0,
    layout: Annotated[Layout, typer.Option(help="how the views are stored, see docs/light-field.md")] = Layout.AUTO,
    grid: Annotated[str | None, typer.Option(
        metavar="RxC", help="rows x columns of the views on one picture (layout tiles)")] = None,
    central: Annotated[int | None, typer.Option(
        metavar="N", help="N x N middle views taken of a lenslet mosaic, odd [default: 7]")] = None,
    flip: Annotated[Flip | None, typer.Option(help="reverse places in the pupil: u = right, v = down")] = None,
    as_json: AsJson = False,
    force: Force = False,
):
    """Describe a light field; with -o write the capture that a lens would take of its scene, with its exact depth."""
    from dfd.cli import lightchecks as checks
    from dfd.cli import lightshots as shots

    if path.suffix.lower() == ".lfp":
        checks.check_lytro(path, {
            "--kind": None if kind is Shot.FOCAL_STACK else kind.value, "--frames": frames, "--pupil": pupil,
            "--f-number": f_number, "--focus": focus, "--densify": densify,
            "--camera": None if camera == "files" else camera,
            "--noise": noise or None, "--seed": seed or None, "--layout": None if layout is Layout.AUTO else layout.value,
            "--grid": grid, "--central": central, "--flip": flip and flip.value})
        _lytro(path, output, as_json=as_json, force=force)
        return
    from dfd.io.lightcapture import write_light_capture
    from dfd.io.lightfield import read_light_field
    from dfd.io.results import check_target
    from dfd.io.viewgrids import CENTRAL
    from dfd.lightfield.check import check_signs

    distances = None if focus is None else shots.numbers("--focus", focus, "metres, such as 0.9,1.1")
    checks.check_asked(kind.value, frames, distances, noise, densify)
    views = _pair(grid)
    if output is not None:
        check_target(output, force=force, marker="truth.json")
    field = read_light_field(path, layout=checks.check_layout(path, layout.value, grid, central), grid=views,
                             central=central or CENTRAL, flip=flip.value if flip else "", check=False)
    signs = check_signs(field)
    checks.check_assumed(field, camera)
    field = shots.with_camera(field, camera)
    found = shots.facts(path, field, signs)
    if output is None:
        for line in [json.dumps(found, indent=2)] if as_json else shots.fact_lines(found, signs.advice):
            say(line)
        return
    checks.check_camera(field)
    pupils = shots.pupils_of(field, pupil, f_number)
    checks.check_scene(field, kind.value, frames=frames, pupils=pupils, focus=distances, densify=densify)
    field = shots.prepared(field, kind.value, pupils, densify, f_number=f_number)
    if not as_json:
        for line in shots.fact_lines(found, signs.advice):
            say(line)
    with warnings.catch_warnings():  # of ghosts: said below, in the words of the command line
        warnings.filterwarnings("ignore", "points move", UserWarning)
        capture = shots.shoot(field, kind.value, frames=frames, pupils=pupils, focus=distances, full_well=noise, seed=seed)
    step = shots.motion(field, capture) if field.knows_depth else None
    write_light_capture(capture, field, output, signs=found["signs"], force=force)
    told = [checks.lost(field), checks.beyond(field, kind.value, distances),
            None if step is None else shots.warning_of(field, kind.value, step)]
    told = [text for text in told if text]
    if as_json:
        say(json.dumps(found | {"written": str(output), "kind": kind.value, "frames": len(capture), "motion_px": step,
                                "warnings": found["warnings"] + told}, indent=2))
        return
    for text in told:
        say(f"warning: {text}")
    truth = ", truth.tiff" if field.knows_depth else ""
    say(f"{output}: {kind.value} of {len(capture)} frames, capture.toml{truth}; solve it with dfd depth {output} -o RESULT")


def _lytro(path, output, *, as_json, force):
    """A processed Lytro picture: its slices as they are."""
    from dfd.io.lightcapture import write_lytro_stack
    from dfd.io.lytro import LytroStack, read_lytro

    stack = read_lytro(path)
    if not isinstance(stack, LytroStack):
        height, width = stack.values.shape
        found = {"path": str(path), "content": "depth map", "width_px": width, "height_px": height,
                 "lambda": [float(stack.values.min()), float(stack.values.max())], "warnings": []}
        if output is not None:
            raise ValueError(f"{path}: a depth map ({width} x {height} px) without pictures; give the -stk.lfp of the same "
                             "shot")
    else:
        found = {"path": str(path), "content": "focal stack", "frames": len(stack.slices), "width_px": stack.size[1],
                 "height_px": stack.size[0], "lambda": [min(stack.lambdas), max(stack.lambdas)],
                 "reference_cells": list(stack.depth.shape), "warnings": []}
        if output is not None:
            write_lytro_stack(stack, output, force=force)
            found["written"] = str(output)
    if as_json:
        say(json.dumps(found, indent=2))
        return
    many = f" of {found['frames']} slices" if "frames" in found else ""
    say(f"{path}: {found['content']}{many}, {found['width_px']} x {found['height_px']} px, lambda {found['lambda'][0]:.4g} "
        f"to {found['lambda'][1]:.4g} (relative defocus by Lytro, no metres)")
    if output is not None:
        say(f"{output}: the slices as they are, capture.toml, truth.tiff (Lytro's depth in frames of the sweep); solve "
            f"it with dfd depth {output} -o RESULT")


def _pair(text):
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--grid ({text}) must be ROWSxCOLUMNS of views, such as 9x9")
    return int(parts[0]), int(parts[1])
