"""The fused loops of the CPU for sharpness and planes against their whole-array references, with holes and odd sizes."""

import numpy as np
import pytest

from dfd.capture import FocalStack, View
from dfd.imaging import gaussian
from dfd.noise import Noise
from dfd.psf import Psf
from dfd.refine import fit_plane, fit_plane_arrays
from dfd.solvers import sharpness

SHAPE = (191, 157)


def stack(rng, holes):
    """Four noisy frames, whole, with scattered holes, or with the edges that alignment leaves."""
    images = gaussian(rng.random((4, *SHAPE), dtype=np.float32), 0.7)
    if holes == "scattered":
        images[:, rng.random(SHAPE) < 0.002] = np.nan
        images[1, 30:60, 20:50] = np.nan
    if holes == "edges":
        images[:, :, :3] = images[1, :, -10:] = images[2, :5] = np.nan
    views = [View(None, Psf(), Noise(1e4 * (k + 1), 5.0, (0.1, 0.8, 0.1)), float(k)) for k in range(4)]
    return FocalStack(images, views, "steps")


@pytest.mark.parametrize("holes", ["none", "scattered", "edges"])
def test_sharpness_in_bands_is_that_of_whole_arrays(rng, monkeypatch, holes):
    monkeypatch.setattr(sharpness, "_BAND_PIXELS", 64 * SHAPE[1])
    capture, order = stack(rng, holes), [2, 0, 1, 3]
    volumes, deviations = np.full((3, 4, *SHAPE), np.inf, np.float32), np.full((3, *SHAPE), np.inf, np.float32)
    for rows, volume, deviation in sharpness.sharpness_in_bands(capture, order, room=1e9):
        volumes[:, :, rows], deviations[:, rows] = volume, deviation
    for number, scale in enumerate(sharpness.SCALES):
        volume, deviation = sharpness.sharpness_curves(capture, order, scale)
        np.testing.assert_allclose(volumes[number], volume, atol=1e-6)  # NaN at the same pixels
        np.testing.assert_allclose(deviations[number], deviation, atol=1e-7)
    assert np.isfinite(volumes).mean() > 0.7


@pytest.mark.parametrize("path", ["loop", "arrays"])
def test_the_noise_beside_a_hole_is_that_of_its_surroundings(path):
    """Noise follows the brightness of what is known; a hole is not dark."""
    images = np.full((3, 60, 71), 0.5, np.float32)
    images[:, 20:40, 30:50] = np.nan
    capture = FocalStack(images, [View(None, Psf(), Noise(1e4, 5.0), float(k)) for k in range(3)], "steps")
    for number, scale in enumerate(sharpness.SCALES):
        if path == "arrays":
            _, deviation = sharpness.sharpness_curves(capture, [0, 1, 2], scale)
        else:
            ((_, _, deviations),) = sharpness.sharpness_in_bands(capture, [0, 1, 2], room=1e9)
            deviation = deviations[number]
        np.testing.assert_allclose(deviation[np.isfinite(images[0])], deviation[0, 0], rtol=1e-5)


def test_planes_are_those_of_whole_arrays(rng):
    y, x = np.mgrid[:SHAPE[0], :SHAPE[1]]
    values = (3 + 0.01 * x - 0.02 * y + 2 * (x > 40) + 0.1 * rng.standard_normal(SHAPE)).astype(np.float32)
    values[rng.random(SHAPE) < 0.2] = np.nan
    values[:25, :30] = np.nan
    values[60:120, 60:120] = np.nan
    values[80:83, 84:86], values[90, 95], values[100:106, 100:104] = 11, -12, 9 + rng.standard_normal((6, 4))
    deviation = rng.uniform(0.1, 0.2, SHAPE).astype(np.float32)
    fused = fit_plane(values, deviation, std=3.0)
    arrays = fit_plane_arrays(values, deviation, std=3.0)
    for one, other, tolerance in zip(fused, arrays, (1e-6, 3e-5), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)  # NaN at the same pixels
    assert np.isfinite(fused[0][80:83, 84:86]).all() and np.isnan(fused[0][10, 10])


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_where_no_plane_was_found_both_paths_give_none(passes):
    """A value that is far from its reference and alone in its window has no weight, in this pass or a later one."""
    values = np.full((41, 43), np.nan, np.float32)
    values[20, 20], values[20, 22], values[10, 30] = 5, 1, 2
    deviation = np.full(values.shape, 0.1, np.float32)
    fused = fit_plane(values, deviation, std=0.3, passes=passes)
    arrays = fit_plane_arrays(values, deviation, std=0.3, passes=passes)
    for one, other, tolerance in zip(fused, arrays, (1e-6, 3e-5), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)
    assert np.isnan(fused[0][20, 20])
    assert fused[0][20, 22] == pytest.approx(1, abs=1e-6) and fused[0][10, 30] == pytest.approx(2, abs=1e-6)
