"""The `dfd` command: arguments and progress; the work is done elsewhere, exit codes in dfd.console.run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfd.cli.choices import (
    PRESETS,
    SCENES,
    AsJson,
    Axis,
    Device,
    Force,
    Format,
    Kind,
    Origin,
    Output,
    Side,
)
from dfd.cli.comparing import compare
from dfd.cli.lightfield import lightfield
from dfd.cli.planning import plan
from dfd.console import Progress, note, say, start

app = typer.Typer(name="dfd", add_completion=False, no_args_is_help=True, rich_markup_mode=None,
                  help="Metric depth, with honest uncertainty, from several differently focused images.")


@app.command()
def depth(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="a folder, image files, or a capture.toml")],
    output: Output,
    kind: Annotated[Kind, typer.Option(
        help="capture kind, see `dfd solvers`")] = Kind.AUTO,
    solver: Annotated[str, typer.Option(metavar="NAME", help="auto, or a name that `dfd solvers` lists")] = "auto",
    lens: Annotated[Path | None, typer.Option(metavar="PROFILE.json", help="lens profile")] = None,
    device: Annotated[Device, typer.Option(help="where the arithmetic runs; cuda never falls back")] = Device.AUTO,
    focus_distances: Annotated[str | None, typer.Option(
        metavar="M,M,...", help="focus distance of every file [m], natural file order, e.g. 0.5,0.55,0.6")] = None,
    align: Annotated[str, typer.Option(
        metavar="auto|none|FILE", help="auto; none: frames are registered; FILE: transforms.json of a run")] = "auto",
    reference: Annotated[int | None, typer.Option(
        metavar="N", help="frame whose pixel grid the maps have, 0 = first in input order [default: the middle]")] = None,
    side: Annotated[Side | None, typer.Option(help="aperture pair: the scene lies near or far of focus")] = None,
    swap: Annotated[bool, typer.Option("--swap", help="dual pixel: exchange the left and the right view")] = False,
    axis: Annotated[Axis | None, typer.Option(
        help="dual pixel: the stored pixels' axis along which the views differ [default: x]")] = None,
    y_scale: Annotated[float | None, typer.Option(
        metavar="S", help="dual pixel: height of a pixel over its width, 2 where rows were added [default: 1]")] = None,
    near: Annotated[float | None, typer.Option(metavar="M", help="nearest depth to keep [m from the origin]")] = None,
    far: Annotated[float | None, typer.Option(metavar="M", help="farthest depth to keep [m from the origin]")] = None,
    origin: Annotated[Origin, typer.Option(help="measure depth from the entrance pupil or the sensor mark")] = Origin.PUPIL,
    mask: Annotated[Path | None, typer.Option(metavar="FILE", help="tiff, png or npy; 0 = leave this pixel out")] = None,
    min_confidence: Annotated[float, typer.Option(
        metavar="0..1", min=0, max=1, help="pixels below this confidence become unknown")] = 0.0,
    smooth: Annotated[int | None, typer.Option(
        metavar="PX", help="smooth depth within so many px, not across edges of the all-in-focus image [default: none]"
    )] = None,
    fill: Annotated[bool, typer.Option(
        "--fill", help="fill unknown depth, of a stack by its weaker evidence; its sigma stays unknown")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="quick look: images reduced to at most 1024 px")] = False,
    tile: Annotated[int | None, typer.Option(
        metavar="PX", help="side of the tiles that are solved one by one [px] [default: what fits 0.3 GB]")] = None,
    workers: Annotated[int | None, typer.Option(
        metavar="N", help="frames decoded and tiles solved at a time [default: all cores]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what it would need in memory, disk, time")] = False,
    force: Force = False,
):
    """Turn a capture into a depth map with its uncertainty: the main job."""
    from dfd.io.quadruples import is_sequence

    if is_sequence(inputs) and kind in (Kind.AUTO, Kind.DIFFERENTIAL_QUAD):
        from dfd.cli.sequences import solve_sequence

        solve_sequence(
            inputs, output, solver=solver, lens=lens, align=align, near=near, far=far, origin=origin, mask=mask,
            min_confidence=min_confidence, preview=preview, workers=workers, dry_run=dry_run, force=force,
            refused={"--device": device is Device.CUDA, "--focus-distances": focus_distances is not None,
                     "--align": align not in ("auto", "none"), "--reference": reference is not None,
                     "--side": side is not None, "--swap": swap, "--axis": axis is not None,
                     "--y-scale": y_scale is not None, "--smooth": smooth is not None, "--fill": fill,
                     "--tile": tile is not None})
        return
    from dfd.cli.terminal import forecast_lines, scale_first, summary
    from dfd.pipeline import foresee, run

    if dry_run:
        source, expected = foresee(
            inputs, output, kind=kind, solver=solver, lens=lens, focus_distances=_numbers(focus_distances), align=align,
            reference=reference, side=side, swap=swap or None, axis=axis, y_scale=y_scale, near=near, far=far,
            origin=origin, smoothing=smooth, preview=preview, tile=tile, workers=workers, force=force)
        scale_first(source, origin=origin.value)
        forecast_lines(expected, source, output)
        return
    from dfd.report import load_ahead, write_report

    def opened(source):
        scale_first(source, origin=origin.value)
        load_ahead()

    with Progress() as progress:
        outcome = run(
            inputs, output, kind=kind, solver=solver, lens=lens, device=device, focus_distances=_numbers(focus_distances),
            align=align, reference=reference, side=side, swap=swap or None, axis=axis, y_scale=y_scale, near=near, far=far,
            origin=origin, mask=mask, min_confidence=min_confidence, smoothing=smooth, fill_unknown=fill, preview=preview,
            tile=tile, workers=workers, force=force, extras=(write_report,), opened=opened, progress=progress,
        )
    summary(outcome, output)


@app.command()
def info(
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="a folder, image files, or a capture.toml")],
    lens: Annotated[Path | None, typer.Option(metavar="PROFILE.json", help="lens profile")] = None,
    as_json: AsJson = False,
):
    """Show what EXIF and capture.toml say, per value its source and sigma, and what is missing for metres."""
    from dfd.io.quadruples import is_pickle, is_sequence

    if is_pickle(files) and not as_json:
        from dfd.cli.sequences import describe_pickle

        describe_pickle(files[0], lens)
        return
    from dfd.cli.terminal import describe_table
    from dfd.io.describe import describe

    overview = describe(files, lens=lens)
    describe_table(overview, as_json=as_json)
    if not as_json and is_sequence(files):
        from dfd.cli.sequences import count_line

        say(count_line(files, lens))
    for _, text in overview.bad:
        note(f"dfd: {text}")
    if overview.bad:
        raise typer.Exit(2)  # the input is wrong, although not all of it


app.command()(compare)


@app.command()
def simulate(
    output: Output,
    kind: Annotated[Kind, typer.Option(
        help="capture kind; auto: what the preset is for, without one a focal stack")] = Kind.AUTO,
    scene: Annotated[str, typer.Option(help=SCENES)] = "demo",
    preset: Annotated[str | None, typer.Option(
        help=f"camera: {PRESETS} [default: the one that suits the kind]")] = None,
    file_format: Annotated[Format, typer.Option("--format", help="Bayer DNG, 16-bit TIFF, or npy")] = Format.DNG,
    noise: Annotated[float, typer.Option(metavar="E", min=0, help="full well [electrons]; 0 = no noise")] = 20000.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="image size [px]")] = "600x400",
    frames: Annotated[int | None, typer.Option(metavar="N", help="frames of a focal stack [default: 16]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the scene and of the noise")] = 0,
    force: Force = False,
):
    """Render a capture of a textured scene by ray tracing, with its exact depth."""
    from dfd.io.results import check_target
    from dfd.io.simulated import write_simulation
    from dfd.simulate import simulate_capture

    check_target(output, force=force, marker="truth.json")
    with Progress() as progress:
        simulation = simulate_capture(
            None if kind is Kind.AUTO else kind.value, scene=scene, preset=preset, size=_size(size),
            noise=noise, seed=seed, frames=frames, progress=lambda *at: progress("render", *at))
        write_simulation(simulation, output, format=file_format.value, force=force)
    joined = " in one file" if simulation.kind == "dual-pixel" and file_format is Format.DNG else ""
    say(f"{output}: {len(simulation.lenses)} {file_format.value} frames{joined} of scene {scene}, capture.toml, truth.tiff")


@app.command()
def demo(output: Output, force: Force = False):
    """Run the main job on an embedded scene: render a RAW (DNG) focal stack, solve it, compare with the truth."""
    from dfd.cli.demo import run_demo
    from dfd.cli.terminal import scale_first, summary

    with Progress() as progress:
        outcome, figures = run_demo(output, force=force, opened=scale_first, progress=progress)
    summary(outcome, output)
    say(f"against the exact truth: median relative error {figures['median_relative_error']:.3%}, mean "
        f"{figures['mean_relative_error']:.3%}, {figures['density']:.1%} of the pixels known, "
        f"{figures['coverage_1_sigma']:.0%} of the errors within one sigma (ideal 68%)")


@app.command()
def solvers(as_json: AsJson = False):
    """List the solvers: name, kinds of capture, one line, paper."""
    from dfd.cli.terminal import solvers_table
    from dfd.solvers import SOLVERS

    solvers_table(SOLVERS.values(), as_json=as_json)


app.command()(lightfield)
app.command()(plan)


def _version(wanted: bool):
    if wanted:
        from dfd import __version__

        say(f"dfd {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", help="print the version", is_eager=True, callback=_version)] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="show where an error came from")] = False,
):
    """Metric depth, with honest uncertainty, from several differently focused images."""


def main() -> None:
    """Entry point of the `dfd` command."""
    start(app, "dfd")


def _numbers(text):
    if text is None:
        return None
    try:
        return [float(item) for item in text.split(",")]
    except ValueError:
        raise ValueError(f"--focus-distances ({text}) must be metres separated by commas, such as 0.5,0.55,0.6") from None


def _size(text):
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--size ({text}) must be WIDTHxHEIGHT in px, such as 600x400")
    return int(parts[1]), int(parts[0])
