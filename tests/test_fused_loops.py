"""The fused loops of the CPU for sharpness and planes against their whole-array references, with holes and odd sizes."""

import numpy as np
import pytest

from dfd.capture import FocalStack, View
from dfd.imaging import gaussian, median5
from dfd.noise import Noise
from dfd.psf import Psf
from dfd.refine import _moments, fit_plane, fit_plane_arrays
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
    for rows, volume, deviation in sharpness.sharpness_in_bands(capture, order, lambda *_: None, room=1e9):
        volumes[:, :, rows], deviations[:, rows] = volume, deviation
    for number, scale in enumerate(sharpness.SCALES):
        volume, deviation = sharpness.sharpness_curves(capture, order, scale, lambda: None)
        np.testing.assert_allclose(volumes[number], volume, atol=1e-6)  # NaN at the same pixels
        np.testing.assert_allclose(deviations[number], deviation, atol=1e-7)
    assert np.isfinite(volumes).mean() > 0.7


def test_planes_are_those_of_whole_arrays(rng):
    y, x = np.mgrid[:SHAPE[0], :SHAPE[1]]
    values = (3 + 0.01 * x - 0.02 * y + 2 * (x > 40) + 0.1 * rng.standard_normal(SHAPE)).astype(np.float32)
    values[rng.random(SHAPE) < 0.2] = np.nan
    values[:25, :30] = np.nan
    deviation = rng.uniform(0.1, 0.2, SHAPE).astype(np.float32)
    middle = median5(np.where(np.isfinite(values), values, 0).astype(np.float32))
    fused = fit_plane(values, deviation, std=3.0)
    arrays = fit_plane_arrays(values, deviation, middle, _moments(3.0), 2)
    for one, other in zip(fused, arrays, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
