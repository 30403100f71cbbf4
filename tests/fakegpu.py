"""A strict stand-in for CuPy, so that GPU paths are tested on every machine.

Arrays refuse implicit copies to the host, NumPy functions, and mixing with host arrays (Python and NumPy scalars are
welcome, as in CuPy).  The modules hold only functions that CuPy 13 really has: anything else is an AttributeError here
as it would be there.  Stricter than CuPy in one point: `numpy.exp(device_array)`, which CuPy would redirect, is
refused, because a library that lets the arrays decide never writes it.
"""

import contextlib
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import scipy.special
from hostcuda import RawKernel

_SCALARS = bool | int | float | complex | np.generic


def _out(value):
    """Host results -> device arrays, containers included; CuPy returns 0-d arrays where NumPy returns scalars."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(value)
    if isinstance(value, tuple | list):
        return type(value)(_out(item) for item in value) if type(value) in (tuple, list) else tuple(map(_out, value))
    return value


def _in(value):
    """Device arrays -> host data inside the fake only; a host array is refused, at any depth."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>: host and device arrays are mixed")
    if isinstance(value, tuple | list):
        return type(value)(_in(item) for item in value)
    return value


def _operand(value):
    if not isinstance(value, ndarray | _SCALARS):
        raise TypeError(f"Unsupported type {type(value)} in an operation with a device array")
    return _in(value)


class _Flags:
    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata


class ndarray:
    """What cupy.ndarray is to a caller: shape, dtype, operators, methods; no way to the host but `.get()`."""

    __hash__ = None

    def __init__(self, host):
        self._host = np.asarray(host)

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_function__(self, function, kinds, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} was called on a device array; use array_module(...)")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__" and any(isinstance(item, np.generic) for item in inputs):
            return _out(getattr(ufunc, method)(*map(_operand, inputs), **kwargs))
        raise TypeError(f"numpy.{ufunc.__name__} was called on a device array; use array_module(...)")

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: _Flags(self._host.flags))
    T = property(lambda self: ndarray(self._host.T))
    real = property(lambda self: ndarray(self._host.real))
    imag = property(lambda self: ndarray(self._host.imag))

    def get(self):
        return self._host.copy()

    def item(self, *args):
        return self._host.item(*args)

    def tolist(self):
        return self._host.tolist()

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (ndarray(item) for item in self._host)

    def _single(self, kind):
        if self._host.ndim:
            raise TypeError(f"{kind.__name__}() of a device array of shape {self.shape} copies it to the host; "
                            "reduce it first")
        return kind(self._host)

    def __float__(self):
        return self._single(float)

    def __int__(self):
        return self._single(int)

    def __complex__(self):
        return self._single(complex)

    def __bool__(self):
        return self._single(bool)

    def __getitem__(self, key):
        return ndarray(self._host[_in(key)])

    def __setitem__(self, key, value):
        self._host[_in(key)] = _operand(value)

    def __repr__(self):
        return f"fake cupy {self._host!r}"


def _operator(name):
    def method(self, other):
        return _out(getattr(self._host, name)(_operand(other)))

    return method


def _in_place(name):
    def method(self, other):
        getattr(self._host, name)(_operand(other))
        return self

    return method


def _unary(name):
    return lambda self: _out(getattr(self._host, name)())


def _method(name):
    def method(self, *args, **kwargs):
        return _out(getattr(self._host, name)(*map(_in, args), **{key: _in(item) for key, item in kwargs.items()}))

    return method


_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
_COMPARE = "lt le gt ge eq ne divmod"
_UNARY = "neg pos abs invert"
_METHODS = """
all any argmax argmin argpartition argsort astype clip conj copy cumprod cumsum diagonal dot fill flatten max mean min
nonzero partition prod ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take trace transpose
var view
"""

for _name in _BINARY.split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", _operator(f"__r{_name}__"))
    setattr(ndarray, f"__i{_name}__", _in_place(f"__i{_name}__"))
for _name in _COMPARE.split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in _UNARY.split():
    setattr(ndarray, f"__{_name}__", _unary(f"__{_name}__"))
for _name in _METHODS.split():
    setattr(ndarray, _name, _method(_name))

_CUPY = """
abs absolute add all allclose amax amin angle any arange arccos arcsin arctan arctan2 argmax argmin
argpartition argsort argwhere around array_equal array_split atleast_1d atleast_2d atleast_3d average bincount
bitwise_and bitwise_not bitwise_or bitwise_xor broadcast_arrays broadcast_to ceil choose clip column_stack
compress concatenate conj conjugate convolve copysign corrcoef correlate cos cosh count_nonzero cov cross
cumprod cumsum deg2rad diag diagonal diff digitize divide divmod dot dstack einsum empty empty_like equal exp
exp2 expand_dims expm1 extract eye fix flatnonzero flip fliplr flipud float_power floor floor_divide fmax fmin
fmod full full_like gradient greater greater_equal histogram histogram2d hstack hypot identity imag indices
inner interp invert isclose isfinite isin isinf isnan ix_ kron less less_equal linspace log log10 log1p log2
logaddexp logical_and logical_not logical_or logical_xor logspace matmul max maximum mean median meshgrid min
minimum mod moveaxis multiply nan_to_num nanargmax nanargmin nancumsum nanmax nanmean nanmedian nanmin nanprod
nanstd nansum nanvar negative nextafter nonzero not_equal ones ones_like outer packbits pad partition
percentile piecewise polyfit polyval power prod ptp quantile rad2deg ravel real reciprocal remainder repeat
reshape rint roll rollaxis rot90 round searchsorted select sign signbit sin sinc sinh sort split sqrt square
squeeze stack std subtract sum swapaxes take take_along_axis tan tanh tensordot tile trace transpose tri tril
triu true_divide trunc unique unpackbits unravel_index ravel_multi_index var vstack where zeros zeros_like
"""

_AT = ("add", "maximum", "minimum")

_CONSTANTS = """
pi e inf nan newaxis float16 float32 float64 complex64 complex128 int8 int16 int32 int64 uint8 uint16 uint32
uint64 bool_ intp dtype finfo iinfo result_type promote_types can_cast issubdtype floating integer
complexfloating generic number
"""

_CUPY_FFT = """
fft fft2 fftfreq fftn fftshift ifft ifft2 ifftn ifftshift irfft irfft2 irfftn rfft rfft2 rfftfreq rfftn
"""

_CUPY_LINALG = """
cholesky det eigh eigvalsh inv lstsq matrix_power norm pinv qr slogdet solve svd
"""

_CUPYX_NDIMAGE = """
affine_transform binary_closing binary_dilation binary_erosion binary_fill_holes binary_hit_or_miss
binary_opening binary_propagation black_tophat center_of_mass convolve convolve1d correlate correlate1d
distance_transform_edt extrema fourier_ellipsoid fourier_gaussian fourier_shift fourier_uniform
gaussian_filter gaussian_filter1d gaussian_gradient_magnitude gaussian_laplace generate_binary_structure
generic_filter generic_filter1d generic_gradient_magnitude generic_laplace grey_closing grey_dilation
grey_erosion grey_opening histogram iterate_structure label labeled_comprehension laplace map_coordinates
maximum maximum_filter maximum_filter1d maximum_position mean median median_filter minimum minimum_filter
minimum_filter1d minimum_position morphological_gradient morphological_laplace percentile_filter prewitt
rank_filter rotate shift sobel spline_filter spline_filter1d standard_deviation sum_labels uniform_filter
uniform_filter1d value_indices variance white_tophat zoom
"""

_CUPYX_FFT = """
dct dctn dst dstn fft fft2 fftfreq fftn fftshift idct idctn idst idstn ifft ifft2 ifftn ifftshift irfft irfft2
irfftn next_fast_len rfft rfft2 rfftfreq rfftn
"""

_CUPYX_SPECIAL = """
beta betainc betaln digamma entr erf erfc erfcinv erfcx erfinv expit expn gamma gammainc gammaincc gammaincinv
gammaln i0 i0e i1 i1e j0 j1 log1p log_ndtr logit logsumexp ndtr ndtri psi rel_entr xlog1py xlogy y0 y1
"""


def _wrapped(function, name):
    """`function` on device arrays; refuses host arrays, and the `workers` that cupyx does not take."""

    def call(*args, **kwargs):
        if "workers" in kwargs:
            raise TypeError(f"{name}() got an unexpected keyword argument 'workers'")
        return _out(function(*map(_in, args), **{key: _in(item) for key, item in kwargs.items()}))

    call.__name__ = name
    return call


def _scatter(name):
    def scatter(target, index, values):
        getattr(np, name).at(target._host, _in(index), _operand(values))

    return scatter


def _module(name, source, names):
    module = types.ModuleType(name)
    for key in names.split():
        if hasattr(source, key):
            setattr(module, key, _wrapped(getattr(source, key), key))
    return module


def _array(values, dtype=None, copy=None, order=None, *, blocking=False):
    """cupy.asarray and cupy.array: the explicit way to the device, so host arrays are welcome."""
    host = values._host if isinstance(values, ndarray) else values
    if isinstance(host, list | tuple):
        host = [item._host if isinstance(item, ndarray) else item for item in host]
    return ndarray(np.array(host, dtype=dtype, order=order or "K"))


def _as_array(values, dtype=None, order=None, *, blocking=False):
    if isinstance(values, ndarray) and dtype in (None, values.dtype):
        return values
    return _array(values, dtype, order=order)


def _contiguous(values, dtype=None):
    return ndarray(np.ascontiguousarray(_in(values), dtype=dtype))


def _cuda():
    cuda, runtime = types.ModuleType("cupy.cuda"), types.ModuleType("cupy.cuda.runtime")
    runtime.getDeviceCount = lambda: 1
    runtime.memGetInfo = lambda: (8 << 30, 8 << 30)
    runtime.getDeviceProperties = lambda index: {"name": b"fake GPU", "major": 0, "minor": 0}
    runtime.runtimeGetVersion = lambda: 0
    cuda.runtime = runtime
    stream = types.SimpleNamespace(synchronize=lambda: None)
    cuda.Stream = types.SimpleNamespace(null=stream)
    cuda.get_current_stream = lambda: stream
    return cuda


def _cupy():
    cupy = _module("cupy", np, _CUPY)
    for name in _CONSTANTS.split():
        setattr(cupy, name, getattr(np, name))
    for name in _AT:
        getattr(cupy, name).at = _scatter(name)
    cupy.ndarray, cupy.array, cupy.asarray, cupy.ascontiguousarray = ndarray, _array, _as_array, _contiguous
    cupy.RawKernel = RawKernel
    cupy.asnumpy = lambda array: array.get() if isinstance(array, ndarray) else np.asarray(array)
    cupy.fft, cupy.linalg = _module("cupy.fft", np.fft, _CUPY_FFT), _module("cupy.linalg", np.linalg, _CUPY_LINALG)
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_all_blocks=lambda: None, used_bytes=lambda: 0)
    cupy.get_array_module = lambda *arrays: cupy if any(isinstance(item, ndarray) for item in arrays) else np
    cupy.cuda, cupy.__version__ = _cuda(), "13.0.0"
    return cupy


def modules():
    """name -> module of the whole stand-in, as sys.modules wants it."""
    cupy = _cupy()
    cupyx, scipy_ = types.ModuleType("cupyx"), types.ModuleType("cupyx.scipy")
    cupyx.scatter_add, cupyx.scatter_max, cupyx.scatter_min = _scatter("add"), _scatter("maximum"), _scatter("minimum")
    cupyx.scipy = scipy_
    scipy_.ndimage = _module("cupyx.scipy.ndimage", scipy.ndimage, _CUPYX_NDIMAGE)
    scipy_.fft = _module("cupyx.scipy.fft", scipy.fft, _CUPYX_FFT)
    scipy_.special = _module("cupyx.scipy.special", scipy.special, _CUPYX_SPECIAL)
    return {"cupy": cupy, "cupy.fft": cupy.fft, "cupy.linalg": cupy.linalg, "cupy.cuda": cupy.cuda,
            "cupy.cuda.runtime": cupy.cuda.runtime, "cupyx": cupyx, "cupyx.scipy": scipy_,
            "cupyx.scipy.ndimage": scipy_.ndimage, "cupyx.scipy.fft": scipy_.fft, "cupyx.scipy.special": scipy_.special}


@contextlib.contextmanager
def installed():
    """Within the block `import cupy` gives the stand-in; afterwards sys.modules is as it was."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("cupy", "cupyx")}
    for name in before:
        del sys.modules[name]
    fake = modules()
    sys.modules.update(fake)
    try:
        yield fake["cupy"]
    finally:
        for name in fake:
            sys.modules.pop(name, None)
        sys.modules.update(before)


@dataclass(frozen=True)
class Device:
    """Where a contract test runs: `put` brings an array there, `get` back, `owns` tells whether it is there."""

    name: str

    @property
    def word(self):
        return "cpu" if self.name == "cpu" else "cuda"

    def put(self, array):
        from dfd.backend import to_device

        return to_device(array, self.word)

    def get(self, array):
        from dfd.backend import to_numpy

        return to_numpy(array)

    def owns(self, array):
        return isinstance(array, np.ndarray if self.name == "cpu" else sys.modules["cupy"].ndarray)


@pytest.fixture(params=["cpu", "fakegpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    """Runs a test on the CPU, on the stand-in, and (marked gpu) on a real GPU where there is one."""
    if request.param == "fakegpu":
        with installed():
            yield Device("fakegpu")
        return
    if request.param == "gpu":
        from dfd.backend import has_gpu

        if not has_gpu():
            pytest.skip("no NVIDIA GPU with CuPy on this machine")
    yield Device(request.param)
