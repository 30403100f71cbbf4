import numpy as np
import pytest
import scipy.ndimage

from dfd.kernels.registration import PAD, look, look_arrays, tile_sums, tile_sums_arrays

MAPS = {
    "identity": np.eye(3),
    "similarity": np.array([[1.013, 0.004, 5.3127], [-0.004, 1.013, -4.2731], [0, 0, 1]]),
    "homography": np.array([[0.99, 0.01, 3.3], [-0.012, 1.005, 2.2], [1e-4, -2e-4, 1]]),
    "away": np.array([[1, 0, 1000.0], [0, 1, 0], [0, 0, 1]]),
}


@pytest.mark.parametrize("name", MAPS)
def test_the_fused_look_equals_the_array_form(name, rng):
    spline = np.pad(rng.standard_normal((61, 97)).astype(np.float32), PAD, mode="edge")
    support = np.pad(np.full((61, 97), 80, np.uint8), PAD)
    fused, arrays = (function(spline, support, MAPS[name], (61, 97)) for function in (look, look_arrays))
    for one, other in zip(fused, arrays, strict=True):
        assert one.dtype == np.float32 and np.abs(one - other).max() < 1e-3
    assert (fused[3] > 0).mean() == pytest.approx(0 if name == "away" else 0.9, abs=0.09)


def test_a_spline_seen_half_a_pixel_away_moves_a_wave_by_half_a_pixel():
    x = np.arange(97) + 0.0 * np.arange(61)[:, None]
    spline = scipy.ndimage.spline_filter(np.cos(2 * np.pi * 0.2 * x), order=3, mode="mirror").astype(np.float32)
    spline, support = np.pad(spline, PAD, mode="edge"), np.pad(np.ones((61, 97), np.uint8), PAD)
    matrix = np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    plane, right, down, _ = (part[10:-10, 10:-12] for part in look(spline, support, matrix, (61, 97)))
    phase = 2 * np.pi * 0.2 * (x + 0.5)[10:-10, 10:-12]
    moved = np.arctan2((plane * np.sin(phase)).sum(), (plane * np.cos(phase)).sum()) / (2 * np.pi * 0.2)
    assert abs(moved) < 1e-3
    assert np.abs(right + 2 * np.pi * 0.2 * np.sin(phase)).max() < 0.15 and np.abs(down).max() < 1e-5


def test_the_fused_tile_sums_equal_the_array_form(rng):
    one, other = ([rng.standard_normal((61, 97)).astype(np.float32) for _ in range(4)] for _ in range(2))
    local = rng.standard_normal((61, 97)).astype(np.float32)
    fused, arrays = (function(one, other, local, tiles=16) for function in (tile_sums, tile_sums_arrays))
    assert fused.shape == (16, 16, 10)
    assert np.abs(fused - arrays).max() < 1e-6 * np.abs(arrays).max()
