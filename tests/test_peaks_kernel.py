"""The fused loop of the CPU against the whole-array reference, with holes, ties and curves of every shape."""

import numpy as np
import pytest

from dfd.solvers import focus_measure


def curves(rng, count=9, shape=(23, 31)):
    """Noisy focus curves with random peaks, widths, floors and missing frames at three scales."""
    places = np.cumsum(rng.uniform(0.6, 1.4, count))
    peak = rng.uniform(places[0] - 1, places[-1] + 1, shape)
    volumes = []
    for scale in (0.5, 0.8, 1.3):
        width = scale * rng.uniform(0.7, 1.5, shape)
        volume = np.exp(-((places[:, None, None] - peak) ** 2) / (2 * width**2)) + rng.uniform(0, 0.3, shape)
        volume = (volume + 0.02 * rng.standard_normal(volume.shape)).clip(0).astype(np.float32)
        volume[:, rng.random(shape) < 0.05] = 0.25
        volume[rng.random(volume.shape) < 0.03] = np.nan
        volume[:, :2, :3] = np.nan
        volumes.append((volume, rng.uniform(0.005, 0.05, shape).astype(np.float32)))
    return volumes, places - places.mean()


@pytest.mark.parametrize("count", [3, 4, 9, 16])
def test_the_fused_loop_gives_what_the_arrays_give(rng, count):
    volumes, places = curves(rng, count)
    fused = focus_measure.find_peaks_fused(volumes, places)
    arrays = focus_measure.find_peaks_arrays(volumes, places)
    names = ("place", "std", "doubt", "window", "strength")
    tolerances = (2e-3, 2e-2, 2e-2, 0.05, 1e-5)
    for name, one, other, tolerance in zip(names, fused, arrays, tolerances, strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other), err_msg=name)
        known = np.isfinite(one) & np.isfinite(arrays[0])
        np.testing.assert_allclose(one[known], other[known], atol=tolerance, rtol=tolerance, err_msg=name)
    assert np.isfinite(fused[0]).mean() > 0.2
