"""Blur of the edges of the board: bias, scatter and honesty of its sigma on images made without the edge profile."""

import math
import time

import numpy as np
import pytest
from edgescenes import Scene, exposed, view

from calibration.board import BOARDS, SLANT, Board
from calibration.edge_core import measure_core
from calibration.edges import FLOOR, measure_edges, measure_widths
from dfd.noise import Noise

CORE = 0.7
SMALL = Board("small", 6, 4, 0.024, SLANT, (0.2, 0.15))
GREEN = np.array([[False, True], [True, False]])
NOISE = Noise(25000.0, 3.0)  # 20 000 electrons at the white of the board, which reflects .8


def small_scene(*, square=90, angle=SLANT, shape=(470, 640), **options):
    """A board of 6 x 4 squares."""
    matrix = view(SMALL, square, shape, angle=angle, shift=(0.37, -0.21), perspective=(0.02, -0.015))
    return Scene(SMALL, matrix, shape, **options)


@pytest.fixture(scope="module")
def small():
    return small_scene()


@pytest.fixture(scope="module")
def large():
    """180 px per square: room for a region of 60 x 90 px and more at any blur up to 40 px."""
    return small_scene(square=180, shape=(880, 1230))


def measured(scene, coc, rng, *, guess=None, repeats=1, **options):
    """Deviations from `coc` [px] and sigmas of every good edge of `repeats` exposures."""
    image = scene.render(coc, CORE) if np.isscalar(coc) else coc
    truth = coc if np.isscalar(coc) else options.pop("truth")
    options = {"noise": NOISE, **options}
    deviations, sigmas = [], []
    for _ in range(repeats):
        found = measure_edges(exposed(image, rng, electrons=25000), scene.view_matrix, scene.board, core=CORE,
                              coc=1.2 * truth + 1 if guess is None else guess, **options)
        deviations.append(found.coc[found.ok] - truth)
        sigmas.append(found.sigma[found.ok])
    return np.concatenate(deviations), np.concatenate(sigmas)


def unbiased(deviations, limit=0.005):
    """Mean within `limit` [px], two standard errors permitting."""
    return abs(deviations.mean()) <= limit + 2 * deviations.std() / math.sqrt(deviations.size)


@pytest.mark.parametrize("coc", [2.0, 4.0, 8.0, 16.0, 32.0])
def test_edges_of_20_000_electrons_scatter_by_at_most_0_015_px_without_bias(large, coc):
    deviations, _ = measured(large, coc, np.random.default_rng(int(coc)), repeats=3)
    assert deviations.size >= 40
    assert unbiased(deviations)
    assert deviations.std() <= 0.015 * (1 + 2 / math.sqrt(2 * deviations.size))
