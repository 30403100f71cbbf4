"""The fused passes over a quadruple, numba and CUDA, against whole arrays: every form, window, dtype, size and hole."""

import shutil
import subprocess

import numpy as np
import pytest
from fakegpu import installed
from quads import plane_quad

from dfd.backend import has_gpu
from dfd.kernels import derivatives_cuda
from dfd.solvers.coupled import QuadPass, solve_arrays
from dfd.solvers.coupled_design import FORMS

RANGE = (1 / 0.4, 1 / 2.2)


def quad_of(rng, shape, depth=0.8, full_well=20000.0):
    return plane_quad(rng, inverse_depth=1 / depth, shape=shape, full_well=full_well)


def fused(made, images, **levels):
    values, sigma = (np.full(made.shape, 7, np.float32) for _ in range(2))
    made.solve(images, values, sigma, **levels)
    return values, sigma


def alike(one, other, tolerance=1e-5):
    """Equal within `tolerance` dioptre and the same relatively in sigma, unknown at the same pixels but for ties."""
    assert (np.isfinite(one[0]) != np.isfinite(other[0])).mean() < 1e-3
    both = np.isfinite(one[0]) & np.isfinite(other[0])
    assert both.mean() > 0.3
    np.testing.assert_allclose(one[0][both], other[0][both], atol=tolerance, rtol=0)
    np.testing.assert_allclose(one[1][both], other[1][both], rtol=3e-3, atol=tolerance)


@pytest.mark.parametrize(("form", "window", "shape"), [
    *((form, 5, (241, 323)) for form in FORMS), (FORMS[0], 3, (64, 1100)), (FORMS[0], 9, (131, 77)),
    (FORMS[0], 21, (150, 160))])
def test_the_fused_pass_is_that_of_whole_arrays(rng, form, window, shape):
    quad = quad_of(rng, shape)
    images = quad.images.copy()
    images[:2, 30:37, 20:33] = np.nan
    images[3, -9:, :5] = np.nan
    made = QuadPass(quad.views, shape, form=form, window=window, limits=RANGE)
    alike(fused(made, images), solve_arrays(images, made.numbers(), window=window, form=form))


@pytest.mark.parametrize("shape", [(3, 4), (5, 200), (200, 5), (64, 64), (65, 1), (1, 65)])
def test_images_smaller_than_a_window_or_a_strip_are_solved_too(rng, shape):
    quad = quad_of(rng, (208, 208))
    images = np.ascontiguousarray(quad.images[:, :shape[0], :shape[1]])
    made = QuadPass(quad.views, shape, window=9, limits=RANGE)
    values, sigma = fused(made, images)
    expected, _ = solve_arrays(images, made.numbers(), window=9, form=made.form)
    np.testing.assert_array_equal(np.isfinite(values), np.isfinite(expected))
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert not (values == 7).any() and not (sigma == 7).any()


def test_counts_of_a_camera_are_read_as_they_are(rng):
    """16-bit counts with a black level, unequal gains, and their noise, against the same images in white = 1."""
    quad = quad_of(rng, (141, 203))
    black, white, gains = 512.0, 16000.0, np.array([1.0, 1.25, 0.8, 1.1], np.float32)
    counts = np.rint(quad.images / gains[:, None, None] * (white - black) + black).astype(np.uint16)
    made = QuadPass(quad.views, quad.shape, limits=RANGE)
    exact = (counts.astype(np.float32) - np.float32(black)) / np.float32(white - black) * gains[:, None, None]
    found = fused(made, counts, gains=tuple(gains), black=black, white=white)
    alike(found, fused(made, exact), tolerance=1e-4)
    alike(found, fused(made, counts.astype(np.float32), gains=tuple(gains), black=black, white=white))


def test_one_thread_or_many_give_the_same_bits(rng):
    quad = quad_of(rng, (200, 300))
    made = QuadPass(quad.views, quad.shape)
    for one, other in zip(fused(made, quad.images, workers=1), fused(made, quad.images, workers=4), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("form", "window", "dtype"), [
    *((form, 5, "float32") for form in FORMS), (FORMS[0], 9, "uint16"), (FORMS[0], 3, "float32")])
def test_the_cuda_source_is_that_of_whole_arrays(rng, form, window, dtype):
    """The source itself, compiled for the host; real runs are `pytest -m gpu`."""
    quad = quad_of(rng, (133, 301))
    images = quad.images.copy()
    levels = {}
    if dtype == "uint16":
        images, levels = np.rint(images * 40000 + 200).astype(np.uint16), {"black": 200.0, "white": 40200.0}
    else:
        images[1, 40:50, 60:90] = np.nan
    made = QuadPass(quad.views, quad.shape, form=form, window=window, limits=RANGE)
    with installed() as cupy:
        values, sigma = (cupy.empty(quad.shape, np.float32) for _ in range(2))
        made.solve(cupy.asarray(images), values, sigma, **levels)
        found = values.get(), sigma.get()
    alike(found, solve_arrays(images, made.numbers(**levels), window=window, form=form))


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler on this machine")
@pytest.mark.parametrize(("window", "form", "dtype"), [(5, 0, "float32"), (9, 1, "uint16"), (31, 2, "float32")])
def test_the_cuda_compiler_takes_the_source(tmp_path, window, form, dtype):
    path = tmp_path / "quad.cu"
    path.write_text(derivatives_cuda.source(), encoding="utf-8")
    subprocess.run(["nvcc", "-ptx", *derivatives_cuda.options(dtype, window=window, form=form), "-o",
                    str(tmp_path / "quad.ptx"), str(path)], check=True, capture_output=True)


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="no GPU")
@pytest.mark.parametrize("form", FORMS)
def test_a_real_gpu_gives_what_the_cpu_gives(rng, form):
    import cupy

    quad = quad_of(rng, (517, 1031))
    made = QuadPass(quad.views, quad.shape, form=form, window=5, limits=RANGE)
    values, sigma = (cupy.empty(quad.shape, np.float32) for _ in range(2))
    made.solve(cupy.asarray(quad.images), values, sigma)
    alike((values.get(), sigma.get()), fused(made, quad.images))


@pytest.mark.parametrize(("images", "what"), [
    (np.zeros((4, 20, 31), np.float32), "4x20x31"), (np.zeros((4, 20, 30), np.float64), "float64"),
    (np.zeros((3, 20, 30), np.float32), "3x20x30")])
def test_other_arrays_are_refused(rng, images, what):
    made = QuadPass(quad_of(rng, (20, 30)).views, (20, 30))
    with pytest.raises(ValueError, match=what):
        fused(made, images)


@pytest.mark.parametrize("window", [1, 4, 33])
def test_other_windows_are_refused(rng, window):
    with pytest.raises(ValueError, match="window"):
        QuadPass(quad_of(rng, (20, 30)).views, (20, 30), window=window)
