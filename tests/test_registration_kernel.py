"""The fused sums of the alignment against their array form."""

import numpy as np

from dfd.kernels.registration import tile_sums, tile_sums_arrays


def test_the_fused_normal_equations_equal_the_array_form(rng):
    one, other = ([rng.standard_normal((61, 97)).astype(np.float32) for _ in range(4)] for _ in range(2))
    one[3], other[3] = np.abs(one[3]), np.abs(other[3])
    local = rng.standard_normal((61, 97)).astype(np.float32)
    fused, arrays = (function(one, other, local, tiles=8) for function in (tile_sums, tile_sums_arrays))
    assert fused.shape == (8, 8, 10)
    assert np.abs(fused - arrays).max() < 1e-6 * np.abs(arrays).max()
