"""How far each step of focus-measure looks, by disturbing one pixel: the halo of tiles is their sum."""

import numpy as np

from dfd.capture import FocalStack, View
from dfd.noise import Noise
from dfd.psf import Psf
from dfd.refine import fit_plane
from dfd.solvers import SOLVERS
from dfd.solvers.focus_measure import _PLANE_STD, REACH, _ghosts
from dfd.solvers.sharpness import REACH as SHARPNESS_REACH
from dfd.solvers.sharpness import SCALES, sharpness_curves, sharpness_in_bands

SHAPE, PLACE = (101, 115), (50, 57)


def reach(one, other):
    """Largest distance [px] along an axis from PLACE at which two maps differ."""
    rows, columns = np.nonzero(one != other)
    return max(abs(rows - PLACE[0]).max(), abs(columns - PLACE[1]).max())


def sharpness_reach(curves, rng):
    images = rng.random((3, *SHAPE), dtype=np.float32)
    disturbed = images.copy()
    disturbed[:, *PLACE] += 1000
    views = [View(None, Psf(), Noise(1e9, 0.0), float(k)) for k in range(3)]
    return reach(*(curves(FocalStack(part, views, "steps")) for part in (images, disturbed)))


def plane_reach(rng):
    values = 0.1 * rng.standard_normal(SHAPE)
    low, high = values.copy(), values.copy()
    low[PLACE], high[PLACE] = -0.2, 0.2
    deviation = np.full(SHAPE, 0.1)
    return reach(fit_plane(low, deviation, std=_PLANE_STD)[0], fit_plane(high, deviation, std=_PLANE_STD)[0])


def ghost_reach():
    value, strength = np.zeros(SHAPE), np.full(SHAPE, 1e-4)
    value[PLACE], strength[PLACE] = 5.0, 1.0
    return reach(_ghosts(value, strength), np.zeros(SHAPE, bool))


def test_the_halo_of_tiles_is_as_wide_as_all_steps_look_together(rng):
    def curves(capture):
        return next(iter(sharpness_in_bands(capture, range(3), room=1e9)))[1][2][0]

    bands = sharpness_reach(curves, rng)
    arrays = sharpness_reach(lambda capture: sharpness_curves(capture, range(3), SCALES[2])[0][0], rng)
    assert bands == arrays == SHARPNESS_REACH == 17
    assert SHARPNESS_REACH + plane_reach(rng) + ghost_reach() == REACH
    assert SOLVERS["focus-measure"].halo(None, None) == REACH
