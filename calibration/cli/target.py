"""`dfd-calibrate target`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dfd.console import say


class Size(StrEnum):
    """Formats of the target."""

    A4 = "a4"
    A3 = "a3"
    LETTER = "letter"
    SCREEN = "screen"


def target(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="drawing to write: .pdf, .svg or .png")],
    size: Annotated[Size, typer.Option(help="paper, landscape, or a screen (then --pixels and --pitch, as .png)")] = Size.A4,
    pixels: Annotated[str | None, typer.Option(metavar="WxH", help="pixels of the screen, such as 1920x1080 [px]")] = None,
    pitch: Annotated[float | None, typer.Option(metavar="UM", min=0, help="pitch of the screen's pixels [um]")] = None,
    dpi: Annotated[float, typer.Option(metavar="N", min=72, max=2400, help="dots per inch of a .png for paper")] = 600,
    force: Annotated[bool, typer.Option("--force", help="replace the file if it exists")] = False,
):
    """Draw the target that `focus` and `psf` look at: print it at 100 %, or show it on a flat screen."""
    from calibration.board import BOARDS
    from calibration.targets import screen_board, write_target

    if (size is Size.SCREEN) != (pixels is not None and pitch is not None):
        raise ValueError("--size screen needs --pixels WxH [px] and --pitch UM [um], and paper takes neither; see the data "
                         "sheet of the screen")
    if output.exists() and not force:
        raise FileExistsError(f"{output}: exists already; choose another name, or --force to replace it")
    if not output.absolute().parent.is_dir():
        raise FileNotFoundError(f"{output}: no folder {output.parent}; make it first")
    if size is Size.SCREEN:
        board, dpi = screen_board(_pixels(pixels), pitch * 1e-6), 25.4e3 / pitch
    else:
        board = BOARDS[size.value]
    write_target(output, board, dpi=dpi)
    width, height = (1e3 * side for side in board.size)
    check = (f"show it dot for dot; its grid must measure {width:.1f} x {height:.1f} mm" if size is Size.SCREEN
             else "print it at 100 %; both bars must measure 100.0 mm")
    say(f"{output}: {board.columns} x {board.rows} squares of {1e3 * board.square:.3f} mm; {check}, else pass --print-scale")


def _pixels(text):
    """(width, height) of --pixels."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--pixels ({text}) must be WIDTHxHEIGHT in px, such as 1920x1080")
    return int(parts[0]), int(parts[1])
