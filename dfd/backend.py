"""NumPy or CuPy: the arrays decide.  The only file that knows CuPy exists; no global state.

`device` is a word from the user: "auto" (a GPU when there is one), "cpu", or "cuda" (an error without a GPU,
never a silent fallback).
"""

from __future__ import annotations

import importlib.util
import sys

import numpy as np

DEVICES = ("auto", "cpu", "cuda")


def has_gpu() -> bool:
    """True when CuPy imports and sees at least one CUDA device."""
    if "cupy" not in sys.modules and importlib.util.find_spec("cupy") is None:
        return False
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:  # CuPy without a driver raises its own family of errors
        return False


def array_module(*arrays):
    """The module (numpy or cupy) that owns these arrays.  Raises TypeError when host and device arrays are mixed."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return np
    on_device = [isinstance(array, cupy.ndarray) for array in arrays]
    on_host = [isinstance(array, np.ndarray) for array in arrays]
    if any(on_device) and any(on_host):
        raise TypeError("arrays on the CPU and on the GPU are mixed; move them with dfd.backend.to_device first")
    return cupy if any(on_device) else np


def scipy_module(*arrays):
    """scipy or cupyx.scipy, whichever works on these arrays: `scipy_module(a).ndimage`, `.fft`, `.special`."""
    if array_module(*arrays) is np:
        import scipy
        import scipy.fft
        import scipy.ndimage
        import scipy.special

        return scipy
    import cupyx.scipy
    import cupyx.scipy.fft
    import cupyx.scipy.ndimage
    import cupyx.scipy.special

    return cupyx.scipy


def _choose(device: str) -> str:
    """"auto", "cpu" or "cuda" -> "cpu" or "cuda".  Raises ValueError for another word, or "cuda" without a GPU."""
    if device not in DEVICES:
        raise ValueError(f"device ({device!r}) must be one of {', '.join(DEVICES)}")
    if device == "cuda" and not has_gpu():
        raise ValueError("device 'cuda': no CUDA GPU is visible to CuPy; install cupy-cuda12x (or cupy-cuda13x) "
                         "and check nvidia-smi, or use --device cpu")
    return "cuda" if device != "cpu" and has_gpu() else "cpu"


def to_device(array, device: str = "auto"):
    """`array` on the device named: a NumPy array for "cpu", a CuPy array for "cuda"."""
    if _choose(device) == "cpu":
        return to_numpy(array)
    import cupy

    return cupy.asarray(array)


def to_numpy(array) -> np.ndarray:
    """`array` on the host: the one place where device memory comes back."""
    if array_module(array) is np:
        return np.asarray(array)
    return array.get()
