"""Two-frame DNG files as Canon's Dual Pixel RAW: the whole pixels, and one photodiode of each."""

import numpy as np

from dfd.io.dng import write_dng

BLACK, WHITE = 512, 16383
SHAPE = (48, 70)


def frames(rng, *, shape=SHAPE, share=0.5):
    """(main, sub) uint16 codes; sub has about `share` of the light, differently in every pixel."""
    light = rng.uniform(800, 9000, shape)
    part = light * np.clip(share + 0.1 * rng.standard_normal(shape), 0, 1)
    return (np.rint(light) + BLACK).astype(np.uint16), (np.rint(part) + BLACK).astype(np.uint16)


def dual_raw(path, main, sub, **options):
    """The path of a DNG of both frames."""
    return write_dng(path, main, second=sub, black_level=BLACK, white_level=WHITE, **options)
