"""Runs CUDA sources without barriers or shared memory on the host: the same text, compiled by its C++ compiler.

What cupy.RawKernel is to its callers, for the stand-in of fakegpu.py: threads run one after another.
"""

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

_HEAD = """
#include <cmath>
#include <cstddef>
#include <algorithm>
using std::max; using std::min;
#define __global__
struct Place { int x, y, z; };
static Place blockIdx, threadIdx, blockDim, gridDim;
"""

_TAIL = """
extern "C" void launch(int grid_x, int grid_y, int block_x, {parameters}) {{
    gridDim = {{grid_x, grid_y, 1}}; blockDim = {{block_x, 1, 1}}; threadIdx = {{0, 0, 0}};
    for (blockIdx.y = 0; blockIdx.y < grid_y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < grid_x; ++blockIdx.x)
            for (threadIdx.x = 0; threadIdx.x < block_x; ++threadIdx.x) {name}({arguments});
}}
"""


class RawKernel:
    """cupy.RawKernel for device arrays of the stand-in, C-contiguous, and NumPy scalars of the exact type."""

    def __init__(self, code, name, options=()):
        self._launch = _compiled(code, name, tuple(options))

    def __call__(self, grid, block, arguments):
        passed = []
        for value in arguments:
            if isinstance(value, np.ndarray):
                raise TypeError("Unsupported type <class 'numpy.ndarray'>: a kernel takes device arrays")
            if hasattr(value, "_host"):
                assert value.flags.c_contiguous, "a kernel reads memory as it lies"
                passed.append(ctypes.c_void_p(value._host.ctypes.data))
            else:
                passed.append({np.int32: ctypes.c_int, np.float32: ctypes.c_float}[type(value)](value))
        rows = grid[1] if len(grid) > 1 else 1
        self._launch(ctypes.c_int(grid[0]), ctypes.c_int(rows), ctypes.c_int(block[0]), *passed)


@functools.cache
def _compiled(code, name, options):
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler on this machine to run the CUDA source with")
    parameters = re.search(rf"void {name}\((.*?)\)\s*\{{", code, re.DOTALL)[1]
    names = ", ".join(part.split()[-1].lstrip("*") for part in parameters.split(","))
    text = _HEAD + code + _TAIL.format(parameters=parameters, name=name, arguments=names)
    folder = Path(tempfile.mkdtemp(prefix="dfd-hostcuda-"))
    try:
        digest = hashlib.sha256(repr((text, options)).encode()).hexdigest()[:12]
        path, library = folder / f"{digest}.cpp", folder / f"{digest}.so"
        path.write_text(text, encoding="utf-8")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", *options, "-o", str(library), str(path)], check=True,
                       capture_output=True, text=True)
        return ctypes.CDLL(str(library)).launch
    finally:
        shutil.rmtree(folder, ignore_errors=True)
