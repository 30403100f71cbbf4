import math
import sys

import numpy as np
import pytest
import scipy.ndimage
from fakegpu import device  # noqa: F401
from textures import texture

from dfd import imaging
from dfd.kernels import resample

SHAPE = (97, 131)
SIMILARITY = np.array([[1.0132, -0.0041, 2.37], [0.0041, 1.0132, -3.18], [0, 0, 1]])


def image(rng, shape=SHAPE):
    return texture(shape, rng).astype(np.float32)


def holed(rng):
    picture = image(rng)
    picture[40, 60] = np.nan
    return picture


def wave(shape, frequency, angle, matrix=None):
    """A plane wave [cycles/px], sampled on the grid or at the mapped positions."""
    y, x = np.mgrid[:shape[0], :shape[1]].astype(float)
    if matrix is not None:
        x, y, w = (row[0] * x + row[1] * y + row[2] for row in matrix)
        x, y = x / w, y / w
    return 0.5 + 0.4 * np.cos(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)) + 0.3)


def test_a_box_mean_is_the_mean_of_the_reflected_window(device, rng):  # noqa: F811
    picture = image(rng)
    found = imaging.box_mean(device.put(picture), 7)
    assert device.owns(found) and str(found.dtype) == "float32"
    want = scipy.ndimage.uniform_filter(picture.astype(float), 7, mode="reflect")
    assert np.abs(device.get(found) - want).max() < 1e-5


def test_a_gaussian_has_its_variance_and_keeps_the_mean(device):  # noqa: F811
    point = np.zeros((61, 81), np.float32)
    point[30, 40] = 1
    spread = device.get(imaging.gaussian(device.put(point), 2.3)).astype(float)
    x = np.arange(81) - 40
    assert abs(spread.sum() - 1) < 1e-5
    assert abs((spread.sum(0) * x**2).sum() - 2.3**2) < 0.02


def test_filters_take_a_stack_frame_by_frame(device, rng):  # noqa: F811
    stack = np.stack([image(rng), image(rng)])
    for run in (lambda a: imaging.box_mean(a, 5), lambda a: imaging.gaussian(a, 1.2)):
        whole = device.get(run(device.put(stack)))
        assert whole.shape == stack.shape
        assert np.array_equal(whole[1], device.get(run(device.put(stack[1]))))


def test_a_missing_pixel_spoils_its_window_and_nothing_else(device, rng):  # noqa: F811
    found = device.get(imaging.box_mean(device.put(holed(rng)), 5))
    missing = np.zeros(SHAPE, bool)
    missing[38:43, 58:63] = True
    assert np.array_equal(np.isnan(found), missing)
    blurred = np.isnan(device.get(imaging.gaussian(device.put(holed(rng)), 1.0)))
    assert blurred[40, 60] and blurred[36:45, 56:65].all() and blurred.sum() == 81


def test_identity_and_whole_pixel_shifts_copy_bit_for_bit(device, rng):  # noqa: F811
    picture = holed(rng)
    same = device.get(imaging.warp(device.put(picture), np.eye(3)))
    assert np.array_equal(same, picture, equal_nan=True)
    moved = device.get(imaging.warp(device.put(picture), np.array([[1, 0, 5], [0, 1, -3.0]])))
    assert np.array_equal(moved[3:, :-5], picture[:-3, 5:], equal_nan=True)
    assert np.isnan(moved[:3]).all() and np.isnan(moved[:, -5:]).all()


def test_a_shift_beyond_the_image_leaves_nothing():
    assert np.isnan(imaging.warp(np.ones(SHAPE, np.float32), np.array([[1, 0, 500], [0, 1, 0.0]]))).all()


def test_a_warp_reads_the_input_where_the_matrix_points(device):  # noqa: F811
    y, x = np.mgrid[:SHAPE[0], :SHAPE[1]].astype(np.float32)
    ramp = 0.002 * x + 0.005 * y
    found = device.get(imaging.warp(device.put(ramp), SIMILARITY[:2], shape=(90, 140)))
    yy, xx = np.mgrid[:90, :140].astype(float)
    u, v = (row[0] * xx + row[1] * yy + row[2] for row in SIMILARITY[:2])
    outside = np.maximum(np.maximum(-u, u - (SHAPE[1] - 1)), np.maximum(-v, v - (SHAPE[0] - 1)))
    deep = (u >= 5) & (u <= SHAPE[1] - 7) & (v >= 5) & (v <= SHAPE[0] - 7)
    assert found.shape == (90, 140)
    assert np.isfinite(found[outside <= 0]).all() and np.isnan(found[outside > 2e-3]).all()
    assert np.abs(found - (0.002 * u + 0.005 * v))[deep].max() < 1e-5


@pytest.mark.parametrize("frequency", [0.05, 0.15, 0.25, 0.35])
@pytest.mark.parametrize("angle", [0.0, np.pi / 2])
def test_a_warp_keeps_modulation_within_1_percent_at_every_phase_up_to_0_35_cycles_per_px(frequency, angle):
    shape = (160, 211)
    seen = imaging.warp(wave(shape, frequency, angle).astype(np.float32), SIMILARITY)
    error = (seen - wave(shape, frequency, angle, SIMILARITY))[20:-20, 20:-20]
    assert np.abs(error).max() < 0.01 * 0.4


def test_a_warp_and_its_inverse_return_the_image(rng):
    picture = scipy.ndimage.gaussian_filter(image(rng), 1.2)
    there = imaging.warp(picture, SIMILARITY, shape=(120, 160))
    assert np.isfinite(there).mean() > 0.5
    back = imaging.warp(np.nan_to_num(there), np.linalg.inv(SIMILARITY), shape=SHAPE)
    assert np.abs(back - picture)[15:-15, 15:-15].max() < 2e-3


def similar(scale, degrees, right=0.3, down=-0.7):
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[c, -s, right], [s, c, down], [0, 0, 1.0]])


MAPS = {"shift": np.array([[1, 0, 0.5], [0, 1, 0.2], [0, 0, 1]]), "wide": similar(1.02, 0),
        "small": similar(0.97, 0.5, 9, 4), "sloped": similar(1.01, -1.1, -3, 8), "steep": similar(1.01, 8),
        "homography": similar(1.01, 0.4) + np.outer([0, 0, 1], [2e-5, -1e-5, 0])}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("shape", [(101, 89), (1, 640), (70, 1), (9, 7), (200, 1300)])
def test_the_loops_equal_the_array_reference(name, shape, rng):
    """Two passes look along the slope of the map, one at right angles: what the taps serve is the same."""
    matrix, picture = MAPS[name], scipy.ndimage.gaussian_filter(image(rng, (150, 1024)), 0.7)
    assert resample.upright(matrix, shape) == (name != "steep")
    fused, arrays = resample.resample(picture, matrix, shape), resample.resample_arrays(picture, matrix, shape)
    assert fused.shape == shape and np.array_equal(np.isnan(fused), np.isnan(arrays))
    assert np.nanmax(np.abs(fused - arrays), initial=0) < (1e-5 if name in ("shift", "wide", "steep") else 2e-3)


@pytest.mark.parametrize("name", ["wide", "small", "sloped", "homography"])
@pytest.mark.parametrize("angle", np.deg2rad([0, 45, 90, 135]))
def test_modulation_and_place_hold_in_every_direction(name, angle):
    """Largest error over the amplitude of a wave: 1 % at 0.35 cycles/px, 1/1000 px at 0.1; more where both axes err."""
    shape, inner = (200, 301), np.s_[20:-20, 20:-20]
    along = angle in (0, np.pi / 2)
    for frequency, limit in ((0.35, 0.01 if along else 0.0135), (0.1, 1e-3 * 2 * np.pi * 0.1 if along else 0.0035)):
        seen = imaging.warp(wave(shape, frequency, angle).astype(np.float32), MAPS[name])
        error = (seen - wave(shape, frequency, angle, MAPS[name]))[inner]
        assert np.abs(error[np.isfinite(error)]).max() < limit * 0.4
        assert np.isfinite(error).mean() > 0.8


@pytest.mark.parametrize("name", ["shift", "sloped", "homography"])
def test_what_is_unknown_spreads_at_least_over_the_taps_and_hardly_farther(name, rng):
    picture = image(rng, (150, 1024))
    picture[70, 600], picture[90:95, 100:104], picture[0, 0], picture[149, 1000] = (np.nan,) * 4
    fused, arrays = (np.isnan(function(picture, MAPS[name], (150, 1024)))
                     for function in (resample.resample, resample.resample_arrays))
    assert (fused | ~arrays).all()
    assert not (fused & ~scipy.ndimage.binary_dilation(arrays, np.ones((3, 3)), iterations=2)).any()


def test_the_number_of_cores_changes_no_bit(rng, monkeypatch):
    picture, found = image(rng, (300, 1100)), []
    for cores in (1, 3):
        monkeypatch.setattr(resample.os, "cpu_count", lambda cores=cores: cores)
        found.append(resample.resample(picture, MAPS["homography"], (290, 1090)))
    assert np.array_equal(*found, equal_nan=True)


def test_colour_planes_are_warped_and_reduced_alike(device, rng):  # noqa: F811
    colour = np.dstack([image(rng) for _ in range(3)])
    warped = device.get(imaging.warp(device.put(colour), SIMILARITY))
    assert np.array_equal(warped[..., 1], device.get(imaging.warp(device.put(colour[..., 1]), SIMILARITY)),
                          equal_nan=True)
    small = device.get(imaging.reduce(device.put(colour), 3))
    assert small.shape == (32, 43, 3)
    assert np.abs(small[4, 5] - colour[12:15, 15:18].mean((0, 1))).max() < 1e-6


def test_a_reduction_is_the_block_mean_and_drops_incomplete_blocks(device, rng):  # noqa: F811
    picture = holed(rng)
    small = device.get(imaging.reduce(device.put(picture), 4))
    want = picture[:96, :128].reshape(24, 4, 32, 4).mean((1, 3))
    assert np.array_equal(np.isnan(small), np.isnan(want)) and np.nanmax(np.abs(small - want)) < 1e-6
    assert np.array_equal(device.get(imaging.reduce(device.put(picture), 1)), picture, equal_nan=True)


def test_inputs_are_never_written(rng):
    picture = holed(rng)
    picture.flags.writeable = False
    for result in (imaging.box_mean(picture, 3), imaging.gaussian(picture, 1), imaging.gaussian(picture, 0),
                   imaging.warp(picture, SIMILARITY), imaging.warp(picture, np.eye(3)), imaging.reduce(picture, 2)):
        assert result.dtype == np.float32 and result.flags.writeable


@pytest.mark.parametrize(("call", "words"), [
    (lambda a: imaging.box_mean(a, 4), "must be odd"),
    (lambda a: imaging.gaussian(a, -1), "zero or positive"),
    (lambda a: imaging.warp(a, np.eye(2)), "2 x 3 or 3 x 3"),
    (lambda a: imaging.warp(a, np.full((2, 3), np.nan)), "finite and invertible"),
    (lambda a: imaging.warp(a, np.zeros((2, 3))), "finite and invertible"),
    (lambda a: imaging.reduce(a, 0), "whole number"),
    (lambda a: imaging.reduce(a, 200), "whole number"),
])
def test_a_bad_argument_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.ones(SHAPE, np.float32))


def test_importing_imaging_loads_neither_opencv_nor_numba():
    import subprocess

    code = "import sys, dfd.imaging; print([m for m in ('cv2', 'numba') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
