"""The arrays decide: dispatch between NumPy and CuPy, checked with the strict stand-in for CuPy."""

import sys

import fakegpu
import numpy as np
import pytest
from fakegpu import device  # noqa: F401  (fixture)

from dfd import backend
from dfd.noise import Noise, estimate
from dfd.psf import MODELS, Psf


@pytest.fixture
def cupy():
    with fakegpu.installed() as module:
        yield module


def test_the_stand_in_leaves_no_trace():
    before = sys.modules.get("cupy")
    with fakegpu.installed():
        assert backend.has_gpu()
    assert sys.modules.get("cupy") is before


def test_without_cupy_there_is_no_gpu_and_asking_for_one_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert not backend.has_gpu()
    with pytest.raises(ValueError, match="no CUDA GPU is visible"):
        backend.to_device(np.zeros(3), "cuda")
    assert isinstance(backend.to_device(np.zeros(3), "auto"), np.ndarray)


def test_an_installed_cupy_without_a_driver_is_no_gpu(cupy):
    def no_driver():
        raise RuntimeError("cudaErrorInsufficientDriver")

    cupy.cuda.runtime.getDeviceCount = no_driver
    assert not backend.has_gpu()
    cupy.cuda.runtime.getDeviceCount = lambda: 0
    assert not backend.has_gpu()


def test_an_unknown_device_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"device \('tpu'\) must be one of auto, cpu, cuda"):
        backend.to_device(np.zeros(3), "tpu")


def test_arrays_decide_the_module(device):  # noqa: F811
    array = device.put(np.zeros((2, 3), np.float32))
    assert device.owns(array)
    assert backend.array_module(array) is (np if device.name == "cpu" else sys.modules["cupy"])
    assert backend.scipy_module(array).__name__ == ("scipy" if device.name == "cpu" else "cupyx.scipy")
    assert np.array_equal(backend.to_numpy(array), np.zeros((2, 3)))


def test_auto_takes_the_gpu_and_cpu_brings_an_array_back(cupy):
    on_device = backend.to_device(np.arange(3.0))
    assert isinstance(on_device, cupy.ndarray)
    assert isinstance(backend.to_device(on_device, "cpu"), np.ndarray)


def test_mixed_host_and_device_arrays_are_refused(cupy):
    with pytest.raises(TypeError, match="mixed"):
        backend.array_module(np.zeros(2), cupy.zeros(2))


@pytest.mark.parametrize("leak", [
    np.asarray, np.exp, np.sum, float, bool, lambda array: array + np.ones(3), lambda array: np.ones(3) * array,
    lambda array: array[np.array([0, 1])], lambda array: np.stack([array, array]), int,
])
def test_the_stand_in_refuses_what_would_leak_to_the_host(cupy, leak):
    with pytest.raises(TypeError):
        leak(cupy.ones(3, dtype=np.float32))


def test_the_stand_in_refuses_host_arrays_in_functions(cupy):
    with pytest.raises(TypeError, match="mixed"):
        cupy.maximum(cupy.ones(3), np.ones(3))
    with pytest.raises(TypeError, match="mixed"):
        cupy.stack([cupy.ones(3), np.ones(3)])


def test_the_stand_in_lacks_what_cupy_lacks(cupy):
    import cupyx.scipy

    for module, name in ((cupy, "nanquantile"), (cupy, "ma"), (cupyx.scipy, "optimize"),
                         (cupyx.scipy.ndimage, "geometric_transform"), (cupyx.scipy.special, "jv")):
        assert not hasattr(module, name), name


def test_the_stand_in_has_nothing_that_cupy_lacks():
    """Against the real CuPy where it is installed; it imports without a GPU."""
    cupy = pytest.importorskip("cupy")
    import cupyx.scipy.fft
    import cupyx.scipy.ndimage
    import cupyx.scipy.special

    for real, names in ((cupy, fakegpu._CUPY + fakegpu._CONSTANTS), (cupy.fft, fakegpu._CUPY_FFT),
                        (cupy.linalg, fakegpu._CUPY_LINALG), (cupyx.scipy.ndimage, fakegpu._CUPYX_NDIMAGE),
                        (cupyx.scipy.fft, fakegpu._CUPYX_FFT), (cupyx.scipy.special, fakegpu._CUPYX_SPECIAL),
                        (cupy.ndarray, fakegpu._METHODS)):
        assert [name for name in names.split() if not hasattr(real, name)] == []


def test_the_stand_in_accepts_scalars_and_returns_0_d_arrays(cupy):
    array = cupy.ones((2, 3), dtype=np.float32)
    assert (2.0 * array).dtype == np.float32
    assert (np.float32(2) * array).dtype == np.float32
    assert (np.float64(2) * array).dtype == np.float64, "a NumPy float64 scalar promotes float32 images"
    total = array.sum()
    assert isinstance(total, cupy.ndarray) and total.ndim == 0 and float(total) == 6.0
    array[0] = 5.0
    assert float(array[array > 4].sum()) == 15.0
    assert len(list(array)) == 2


@pytest.mark.parametrize("model", MODELS)
def test_transfer_functions_agree_on_every_device(device, model):  # noqa: F811
    psf = Psf(model, 0.6)
    wy, wx = np.linspace(-3, 3, 5)[:, None], np.linspace(-3, 3, 7)[None, :]
    there = psf.otf(2.5, device.put(wy), device.put(wx))
    assert device.owns(there)
    assert np.abs(device.get(there) - psf.otf(2.5, wy, wx)).max() < 1e-6


def test_noise_is_estimated_alike_on_every_device(device, rng):  # noqa: F811
    clean = np.broadcast_to(np.linspace(0.05, 0.9, 130, dtype=np.float32), (2, 70, 130))
    noisy = (clean + rng.normal(0, 0.01, clean.shape)).astype(np.float32)
    here, there = estimate(noisy), estimate(device.put(noisy))
    assert there.gain == pytest.approx(here.gain, rel=1e-3)
    assert there.read_noise == pytest.approx(here.read_noise, rel=1e-3)
    assert device.owns(Noise(1e4, 3.0).variance(device.put(noisy)))
