"""The Laplacian family: exact for Gaussian PSFs, corrected for disks, each row for what only it can do."""

import numpy as np
import pytest
from rig import RANGE, power_pair, rig_lens
from textures import blurred

from dfd.capture import Capture, View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.solvers import SOLVERS
from dfd.solvers.laplacian import box_window, eliminate, solve_scale
from dfd.solvers.spatial_design import designs, noise_power

FAMILY = ("focal-track", "focal-split", "metalens")
GAUSSIAN, DISK = Psf("gaussian"), Psf("disk")
LIMITS = tuple(1 / distance for distance in RANGE)


def found(name, capture, border=16):
    """Median depth [m] inside the border."""
    result = SOLVERS[name].function(capture, limits=LIMITS)
    return float(np.nanmedian(result.depth[border:-border, border:-border]))


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("depth", [0.6, 0.8, 1.1, 1.5])
def test_a_gaussian_psf_is_solved_exactly_on_both_sides_of_focus(rng, name, depth):
    capture = power_pair(rng, depth, GAUSSIAN, step=0.005)
    assert found(name, capture) / depth == pytest.approx(1, abs=1e-3)


WRONG = [(0.6, 1.349, 1.28), (0.8, 1.023, 1.004), (1.1, 1.030, 1.026), (1.5, 0.853, 0.90)]
"""Metres; depth over its truth when a disk is taken for the Gaussian of its second moment: as published, and with the
Laplacian of five points, which sees less of the finest structures."""


@pytest.mark.parametrize("depth, ratio", [row[:2] for row in WRONG])
def test_the_slope_of_the_disk_is_that_of_no_gaussian(depth, ratio):
    """Least squares of dI/dcoc against an exact Laplacian over all frequencies, for the published texture."""
    wy, wx = 2 * np.pi * np.fft.fftfreq(240)[:, None], 2 * np.pi * np.fft.fftfreq(320)[None]
    w2, lens = wy**2 + wx**2, rig_lens()
    seen = np.exp(-0.35**2 * w2) / np.maximum(w2, 1e-9) * (np.sinc(wy / 2 / np.pi) * np.sinc(wx / 2 / np.pi)) ** 2
    seen[0, 0] = 0
    coc = lens.coc(1 / depth)
    laplacian, slope = -w2 * DISK.otf(coc, wy, wx), DISK.otf_slope(coc, wy, wx)
    said = 16 * np.sum(seen * laplacian * slope) / np.sum(seen * laplacian**2)
    assert 1 / lens.inverse_depth(said) / depth == pytest.approx(ratio, abs=0.035)


@pytest.mark.parametrize("depth, ratio", [(depth, ours) for depth, _, ours in WRONG])
def test_a_disk_taken_for_the_gaussian_of_its_second_moment_is_wrong_by_so_much(rng, depth, ratio):
    """The closed form without smoothing or correction, one answer for the whole picture."""
    capture = power_pair(rng, depth, DISK, step=0.005)
    said = Capture(capture.images, [View(view.lens, GAUSSIAN, view.noise, view.coordinate) for view in capture.views])
    low, high = 0.3, 3.0
    plain = designs(said.views, low, high, smoothings=(0.0,), finer=0)[0]
    inverse_depth = solve_scale(said, plain, box_window(201), (low, high))[0][120, 160]
    assert 1 / inverse_depth / depth == pytest.approx(ratio, abs=0.03)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("step, most", [(0.005, 0.06), (0.06, 0.02)], ids=["tiny", "published"])
@pytest.mark.parametrize("depth", [0.6, 0.8, 1.1, 1.5])
def test_that_bias_of_a_disk_is_undone_through_its_psf(rng, name, step, most, depth):
    """Scales are chosen for noise of 1 %, at which a tiny step shows nothing far from focus, hence the larger error."""
    assert found(name, power_pair(rng, depth, DISK, step=step)) / depth == pytest.approx(1, abs=most)


@pytest.mark.parametrize("name", FAMILY)
def test_exchanged_powers_mirror_the_scene_about_focus(rng, name):
    """Nothing in the pictures tells which is which: 1.4 m becomes 1 / (2 focus - 1 / 1.4) m."""
    capture = power_pair(rng, 1.4, GAUSSIAN, step=0.02)
    swapped = Capture(capture.images[::-1], capture.views)
    focus = rig_lens().focus
    assert found(name, capture) == pytest.approx(1.4, abs=0.01)
    assert found(name, swapped) == pytest.approx(1 / (2 * focus - 1 / 1.4), abs=0.01)


@pytest.mark.parametrize("depth, share", [(0.55, 1.5), (0.85, 0.5), (1.2, 0.5)])
def test_the_bank_of_focal_track_is_fine_near_focus_and_coarse_far_from_it(rng, depth, share):
    """Median errors over those of focal-split, whose one scale must do for the widest blur of the range."""
    capture = power_pair(rng, depth, DISK, step=0.06, noise=Noise(20000, 3.0))
    many, one = (SOLVERS[name].function(capture, limits=LIMITS) for name in ("focal-track", "focal-split"))
    error = [np.nanmedian(abs(each.depth[16:-16, 16:-16] - depth)) for each in (many, one)]
    assert error[0] < share * error[1]
    assert many.valid[16:-16, 16:-16].mean() > 0.95


@pytest.mark.parametrize("shift", [(0.2, 0.1), (-0.4, 0.25)])
def test_the_metalens_pair_may_be_shifted_against_each_other(rng, shift):
    """Pixels down and right; the errors of the row that takes images as registered are several times as large."""
    capture, errors = power_pair(rng, 1.3, GAUSSIAN, step=0.06), {}
    wy, wx = (np.fft.fftfreq(n)[:, None] if n == capture.shape[0] else np.fft.fftfreq(n)[None] for n in capture.shape)
    moved = np.fft.ifft2(np.fft.fft2(capture.images[1]) * np.exp(-2j * np.pi * (wy * shift[0] + wx * shift[1]))).real
    shifted = Capture(np.stack([capture.images[0], moved.astype(np.float32)]), capture.views)
    for name in ("metalens", "focal-split"):
        values = SOLVERS[name].function(shifted, limits=LIMITS).depth[16:-16, 16:-16]
        errors[name] = np.nanmean(abs(values - 1.3))
    assert errors["metalens"] < 0.02 and errors["metalens"] < 0.4 * errors["focal-split"]  # m


def sensor_planes(rng, inverse_depth, *, rescaled):
    """Two sensors 1 mm apart behind a 30 mm lens, on one pixel grid or each with the magnification of its own."""
    lenses = [ThinLens(0.03, 4e-3, distance, 1e-5) for distance in (0.0310, 0.0316)]
    lenses = [each.on_grid_of(lenses[0]) for each in lenses] if rescaled else lenses
    from textures import texture

    sharp = texture((150, 181), rng)
    images = np.stack([blurred(sharp, each.coc(inverse_depth), GAUSSIAN) for each in lenses]).astype(np.float32)
    return Capture(images, [View(each, GAUSSIAN, Noise(1e8, 0.0)) for each in lenses])


@pytest.mark.parametrize("rescaled", [True, False])
@pytest.mark.parametrize("inverse_depth", [1.25, 1.5])
def test_focal_split_solves_planes_of_one_and_of_two_blur_rates(rng, rescaled, inverse_depth):
    capture = sensor_planes(rng, inverse_depth, rescaled=rescaled)
    values = SOLVERS["focal-split"].function(capture).values[16:-16, 16:-16]
    assert np.nanmedian(values) == pytest.approx(inverse_depth, abs=2e-3)


@pytest.mark.parametrize("name", FAMILY)
def test_two_pupils_are_refused(name):
    lenses = [rig_lens(-0.06), rig_lens(0.06, pupil=4e-3)]
    capture = Capture(np.zeros((2, 40, 50), np.float32), [View(each, DISK, Noise(1e4, 3.0)) for each in lenses])
    with pytest.raises(ValueError, match=f"{name} needs images of about the same blur rate, these have .* apart"):
        SOLVERS[name].check(capture, (1.2, 1.0))


def test_eliminated_columns_leave_the_least_squares_of_the_others(rng):
    columns, target = rng.normal(size=(50, 4)), rng.normal(size=50)
    every = np.column_stack([columns, target])
    left = eliminate([list(line) for line in every.T @ every], 3)
    assert left[0][1] / left[0][0] == pytest.approx(np.linalg.lstsq(columns, target, rcond=None)[0][3], abs=1e-12)
    residual = np.linalg.lstsq(columns[:, :3], target, rcond=None)[1][0]
    assert left[1][1] == pytest.approx(residual, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 1.4])
def test_noise_of_the_gradient_is_known(rng, smoothing):
    from dfd.imaging import gaussian

    noise = gaussian(rng.standard_normal((700, 900)).astype(np.float32), smoothing)
    across = (noise[:, 2:] - noise[:, :-2]) / 2
    assert np.mean(across**2) == pytest.approx(noise_power((1.0,), smoothing, ((1.0,), (-0.5, 0.0, 0.5))), rel=0.03)
