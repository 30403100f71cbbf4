"""Kernels from the board's noise: against kernels and patches that were made without the estimator."""

import numpy as np
import pytest
from noisepatches import BOARD, centred, matrix_at, shot

from calibration.psf.fit import NoisePatch, fit_patches, noise_patch
from calibration.psf.model import centroid, fit_kernel
from calibration.psf.solve import _normal_matrix, solve_kernel, spread
from calibration.target.board import BOARDS

PUPIL = (0.15, -0.1, 0.3, 0.05, 0.0)
GREEN = np.array([[False, True], [True, False]])


def capture(rng, *, coc, count, shape, off=0.15, stretch=0.0, mask=None, scale=7500.0):
    """(patches, kernel, shifts): boards that lie `off` px (1-sigma) and a share `stretch` from where their matrices say."""
    size = 2 * int(np.ceil(0.62 * coc + 3.5)) + 1
    fine, truth = centred(coc, PUPIL, 0.6, size)
    patches, shifts = [], []
    for _ in range(count):
        middle = (shape[1] / 2 + rng.random(), shape[0] / 2 + rng.random())
        matrix = matrix_at(0, scale * (1 + 0.002 * rng.normal()), 0.1 + 0.01 * rng.normal(), middle)
        move = off * rng.normal(size=2)
        centre = (np.array(shape[::-1]) - 1) / 2
        wrong = np.array([[1 + stretch, 0, move[0] - stretch * centre[0]], [0, 1 + stretch, move[1] - stretch * centre[1]],
                          [0, 0, 1]])
        picture = shot(matrix, shape, fine, rng, slope=0.05)
        patches.append(NoisePatch(picture, wrong @ matrix, *(() if mask is None else (mask,))))
        shifts.append(-move)
    return patches, truth, np.array(shifts)


def error(found, truth):
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)


@pytest.mark.parametrize(("coc", "count", "shape", "limit"), [
    (3.0, 1, (128, 132), 0.02), (5.0, 1, (128, 132), 0.02), (8.0, 1, (128, 132), 0.02), (8.0, 1, (192, 180), 0.02),
    (16.0, 4, (180, 192), 0.03)])
def test_kernels_are_those_of_the_lens(rng, coc, count, shape, limit):
    patches, truth, shifts = capture(rng, coc=coc, count=count, shape=shape)
    found = fit_patches(patches, BOARD, coc=1.1 * coc)
    more = len(found.kernel) - len(truth)
    assert error(found.kernel[more // 2:-(more // 2) or None, more // 2:-(more // 2) or None], truth) < limit
    assert np.abs(found.shift - shifts).max() < 0.02  # px
    assert found.kernel.min() >= 0 and found.kernel.sum() == pytest.approx(1, abs=1e-9)
    assert np.abs(centroid(found.kernel)).max() < 0.02  # px
    assert found.contrast == pytest.approx(np.full(count, 0.75), rel=0.02)
    assert fit_kernel(found.kernel).residual_l2 < 0.03


def test_green_pixels_alone_tell_the_same_kernel(rng):
    patches, truth, shifts = capture(rng, coc=8.0, count=2, shape=(160, 172), mask=GREEN)
    found = fit_patches(patches, BOARD, coc=8.0)
    assert error(found.kernel, truth) < 0.02
    assert np.abs(found.shift - shifts).max() < 0.02  # px


def test_a_board_that_is_larger_than_its_matrix_says_is_stretched(rng):
    patches, truth, shifts = capture(rng, coc=6.0, count=1, shape=(150, 160), stretch=0.004)
    found = fit_patches(patches, BOARD, coc=6.0)
    assert error(found.kernel, truth) < 0.02
    assert np.abs(found.shift - shifts).max() < 0.02  # px


def test_the_parametric_kernel_is_nearer_still(rng):
    patches, truth, _ = capture(rng, coc=8.0, count=1, shape=(128, 132))
    found = fit_patches(patches, BOARD, coc=8.0)
    from calibration.psf.model import kernel

    fit = fit_kernel(found.kernel)
    assert error(kernel(fit.params, len(truth)), truth) < error(found.kernel, truth)
    assert fit.params[10] == pytest.approx(0.6, abs=0.06)  # px
    assert fit.diameter == pytest.approx(8.0, abs=0.05)  # px
    assert fit.params[7] == pytest.approx(0.3, abs=0.06)


def test_normal_equations_are_those_of_the_sum(rng):
    size, height, width = 5, 9, 12
    sharp = rng.normal(size=(height + size - 1, width + size - 1))
    for mask in (np.ones((2, 2), bool), GREEN, np.array([[True, False], [True, False]])):
        rows = [sharp[y:y + size, x:x + size][::-1, ::-1].ravel() for y in range(height) for x in range(width)
                if mask[y % 2, x % 2]]
        design = np.array(rows)
        assert np.abs(_normal_matrix(sharp, size, mask) - design.T @ design).max() < 1e-10


def test_no_light_is_negative_and_no_other_kernel_is_nearer(rng):
    from scipy.optimize import nnls
    from scipy.signal import fftconvolve

    size, truth = 5, np.maximum(rng.normal(size=(5, 5)), 0)
    sharp = rng.normal(size=(64, 70))
    image = fftconvolve(sharp, truth, mode="valid") + 0.01 * rng.normal(size=(60, 66))
    found, sigma = solve_kernel([sharp], [image], [np.ones((2, 2), bool)], [1.0], size)
    design = np.array([sharp[y:y + size, x:x + size][::-1, ::-1].ravel() for y in range(60) for x in range(66)])
    best = nnls(design, image.ravel())[0].reshape(size, size)
    assert np.abs(found - best).max() < 1e-3  # smoothness is light
    assert (found >= 0).all()
    assert np.abs(found - truth).max() < 5 * sigma.max()


def test_patches_are_cut_with_their_mask():
    image = np.arange(400.0 * 501).reshape(400, 501)
    matrix = matrix_at(0, 5000.0, 0.1, (201.3, 150.8))
    patch = noise_patch(image, matrix, BOARD, 0, mask=GREEN)
    top, left = divmod(int(patch.image[0, 0]), 501)
    assert (spread(patch.mask, patch.image.shape) == spread(GREEN, image.shape)[
        top:top + patch.image.shape[0], left:left + patch.image.shape[1]]).all()
    place = np.array([*BOARD.dots[3], 1])
    there, here = matrix @ place, patch.matrix @ place
    assert here[:2] / here[2] == pytest.approx(there[:2] / there[2] - (left, top), abs=1e-9)  # px
    assert 96 <= min(patch.image.shape) <= 115  # 19.2 mm at 5 px/mm, turned


def test_patches_that_tell_nothing_are_told(rng):
    image = np.zeros((300, 300), np.float32)
    with pytest.raises(ValueError, match="at least 48 x 48 px"):
        noise_patch(image, matrix_at(0, 5000.0, 0.1, (-20, 150)), BOARD, 0)
    image[150, 150] = np.nan
    with pytest.raises(ValueError, match="saturated"):
        noise_patch(image, matrix_at(0, 5000.0, 0.1, (150, 150)), BOARD, 0)
    with pytest.raises(ValueError, match="at least one"):
        fit_patches([], BOARD, coc=3.0)
    patches, _, _ = capture(rng, coc=4.0, count=1, shape=(90, 100))
    with pytest.raises(ValueError, match="board"):
        fit_patches([NoisePatch(patches[0].image[::-1, ::-1], patches[0].matrix)], BOARDS["a3"], coc=4.0)
