"""`dfd-calibrate target`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibration.cli.common import Sheet
from dfd.console import say


def target(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="drawing to write: .pdf, .svg or .png")],
    size: Annotated[Sheet, typer.Option(
        help="paper, landscape, or a screen (then --pixels and --pitch, as .png)")] = Sheet.A4,
    pixels: Annotated[str | None, typer.Option(metavar="WxH", help="pixels of the screen, such as 1920x1080 [px]")] = None,
    pitch: Annotated[float | None, typer.Option(metavar="UM", min=0, help="pitch of the screen's pixels [um]")] = None,
    dpi: Annotated[float, typer.Option(metavar="N", min=72, max=2400, help="dots per inch of a .png for paper")] = 600,
    force: Annotated[bool, typer.Option("--force", help="replace the file if it exists")] = False,
):
    """Draw the target that `focus` and `psf` look at: print it at 100 %, or show it on a flat screen."""
    from calibration.target.board import BOARDS
    from calibration.targets import screen_board, write_target

    if [pixels is not None, pitch is not None] != [size is Sheet.SCREEN] * 2:
        raise ValueError("--size screen needs --pixels WxH [px] and --pitch UM [um], and paper takes neither; see the data "
                         "sheet of the screen")
    if output.exists() and not force:
        raise FileExistsError(f"{output}: exists already; choose another name, or --force to replace it")
    if not output.absolute().parent.is_dir():
        raise FileNotFoundError(f"{output}: no folder {output.parent}; make it first")
    if size is Sheet.SCREEN:
        board, dpi = screen_board(_pixels(pixels), pitch * 1e-6), 25.4e3 / pitch
    else:
        board = BOARDS[size.value]
    write_target(output, board, dpi=dpi)
    width, height = (1e3 * side for side in board.size)
    check = (f"show it dot for dot; its grid must measure {width:.1f} x {height:.1f} mm; calibrate with --board screen "
             f"--square {1e3 * board.square:.4g}, or what you measure" if size is Sheet.SCREEN
             else f"print it at 100 %; measure both bars and calibrate with --board {size.value} --bar MM")
    say(f"{output}: {board.columns} x {board.rows} squares of {1e3 * board.square:.3f} mm; {check}")


def _pixels(text):
    """(width, height) of --pixels."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--pixels ({text}) must be WIDTHxHEIGHT in px, such as 1920x1080")
    return int(parts[0]), int(parts[1])
