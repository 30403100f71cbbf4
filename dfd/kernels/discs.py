"""Paint overlapping discs onto a periodic image (numba, CPU): the leaves of the simulator's textures."""

from __future__ import annotations

import math

import numba


@numba.njit(cache=True)
def paint_discs(image, radii, centres, values):
    """Paint onto image (H, W, 3), periodic, one disc over the other, edges one texel soft.

    radii (n,), centres (n, 2) = y, x [texels]; values (n, 3)
    """
    height, width = image.shape[0], image.shape[1]
    for n in range(radii.shape[0]):
        reach = radii[n] + 0.5
        for y in range(math.ceil(centres[n, 0] - reach), math.floor(centres[n, 0] + reach) + 1):
            for x in range(math.ceil(centres[n, 1] - reach), math.floor(centres[n, 1] + reach) + 1):
                cover = min(max(reach - math.hypot(y - centres[n, 0], x - centres[n, 1]), 0.0), 1.0)
                for channel in range(3):
                    old = image[y % height, x % width, channel]
                    image[y % height, x % width, channel] = old + cover * (values[n, channel] - old)
