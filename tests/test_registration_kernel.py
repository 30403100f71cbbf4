import numpy as np

from dfd.kernels.registration import tile_sums, tile_sums_arrays


def test_the_fused_normal_equations_equal_the_array_form(rng):
    one, other = ([rng.standard_normal((61, 97)).astype(np.float32) for _ in range(4)] for _ in range(2))
    local = rng.standard_normal((61, 97)).astype(np.float32)
    grid = np.linspace(-0.8, 0.8, 97, dtype=np.float32), np.linspace(-0.5, 0.5, 61, dtype=np.float32)
    fused, arrays = (function(one, other, local, grid, tiles=8) for function in (tile_sums, tile_sums_arrays))
    assert fused.shape == (64, 17)
    assert np.abs(fused - arrays).max() < 1e-6 * np.abs(arrays).max()
