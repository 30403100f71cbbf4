"""The pass over a differential quadruple on a GPU: compiles derivatives.cu through CuPy and runs it; see derivatives.py."""

from __future__ import annotations

import functools
from importlib.resources import files

import numpy as np

from dfd.backend import array_module
from dfd.kernels.derivatives import Numbers

ROWS = 128
"""Rows of a column that one thread works through; those of a window more are read twice."""

_THREADS = 128
_PIXELS = {"float32": "float", "uint16": "unsigned short"}


def source() -> str:
    """The CUDA source."""
    return files("dfd.kernels").joinpath("derivatives.cu").read_text(encoding="utf-8")


def options(dtype, *, window: int, form: int) -> tuple[str, ...]:
    """Compiler options that make the source the pass for images of a dtype, a window and a form."""
    return (f"-DWINDOW={window}", f"-DFORM={form}", f"-DROWS={ROWS}", f"-DPIXEL={_PIXELS[str(dtype)]}")


def solve_on_device(images, numbers: Numbers, *, window: int, form: int, values, sigma) -> None:
    """`derivatives.solve_rows` for whole CuPy arrays, (4, H, W) uint16 or float32 and two (H, W) float32, C-contiguous."""
    xp = array_module(images)
    kernel = _compiled(xp, str(images.dtype), window, form)
    height, width = values.shape
    grid = (-(-width // _THREADS), -(-height // ROWS))
    constants = xp.asarray(np.array(numbers, np.float32))
    kernel(grid, (_THREADS,), (*images, constants, np.int32(height), np.int32(width), values, sigma))


@functools.cache
def _compiled(xp, dtype, window, form):
    return xp.RawKernel(source(), "quad", options=options(dtype, window=window, form=form))
