"""Black levels and colours stand where the visible frame has them, wherever pattern and frame start on the sensor."""

from types import SimpleNamespace

import numpy as np
import pytest

from dfd.io import integrity, raw
from dfd.io.dnglevels import stated_black, stated_pattern
from dfd.io.integrity import Directory

BLACK = 500 + np.arange(6).reshape(2, 3)
COLOURS = np.array([[0, 1, 1], [1, 2, 2]])


def directory(active=None):
    """A DNG whose black and colours repeat over 2 x 3 px from its active area (top, left) on."""
    sensor = {integrity.BLACK: tuple(map(float, BLACK.ravel())), integrity.BLACK_SIZE: (2.0, 3.0),
              integrity.CFA: tuple(map(float, COLOURS.ravel())), integrity.CFA_SIZE: (2.0, 3.0)}
    if active is not None:
        sensor[integrity.ACTIVE] = (*map(float, active), 90.0, 140.0)
    return Directory(width=140, height=90, bits=16, samples=1, compression=1, photometric=32803, payload=2 * 90 * 140,
                     is_dng=True, least=2 * 90 * 140, tile=(0, 0), floating=False, separate=False, sensor=sensor)


@pytest.mark.parametrize("active", [None, (0, 0), (1, 0), (0, 1), (4, 2), (5, 7)])
@pytest.mark.parametrize("margins", [(0, 0), (1, 0), (0, 1), (3, 5)])
def test_a_pattern_counts_from_the_active_area_seen_from_the_visible_frame(active, margins):
    """Pixel (y, x) of the visible frame is pixel (y + top, x + left) of the sensor."""
    rows, columns = np.mgrid[:2, :3]
    start = active or (0, 0)
    place = (rows + margins[0] - start[0]) % 2, (columns + margins[1] - start[1]) % 3
    assert np.array_equal(stated_black(directory(active), margins, 1, [500.0] * 4), BLACK[place])
    assert np.array_equal(stated_pattern(directory(active), margins), COLOURS[place])


@pytest.mark.parametrize("pattern", [[[0, 1], [3, 2]], [[2, 3], [1, 0]], [[1, 0], [2, 3]]])
def test_libraws_black_of_a_colour_stands_at_that_colour(pattern):
    """Of a RAW file that is no DNG; LibRaw gives R, G, B and the second green."""
    file = SimpleNamespace(black_level_per_channel=[127, 129, 131, 133], white_level=4095, raw_pattern=np.array(pattern),
                           camera_white_level_per_channel=[4000, 0, None, 3900],
                           sizes=SimpleNamespace(top_margin=0, left_margin=0))
    black, white = raw._levels(file, None, tuple(map(tuple, pattern)), np.zeros((40, 60), np.uint16))
    assert black.tolist() == [[127 + 2 * colour for colour in row] for row in pattern] and white.tolist() == [3900]
