"""Labels of cells against an exhaustive search, and what a seam costs."""

import itertools

import numpy as np
import pytest

from dfd.kernels.seams import assign, votes


def energy(labels, cost, light, step):
    """Sum of the costs of cells and of seams."""
    rows, columns = np.indices(labels.shape)
    total, seen = cost[labels, rows, columns].sum(), light[labels, rows, columns]
    for axis in (0, 1):
        first, second = (np.s_[:-1], np.s_[1:]) if axis == 0 else (np.s_[:, :-1], np.s_[:, 1:])
        one, other = labels[first], labels[second]
        here = abs(seen[first] - light[other, rows[first], columns[first]])
        there = abs(light[one, rows[second], columns[second]] - seen[second])
        total += np.where(one != other, step + here + there, 0).sum()
    return total


@pytest.mark.parametrize("shape", [(1, 7), (7, 1)])
def test_a_chain_gets_the_best_labels_of_all(rng, shape):
    for _ in range(20):
        cost, light = rng.random((3, *shape), dtype=np.float32), 0.5 * rng.random((3, *shape), dtype=np.float32)
        best = min(energy(np.reshape(labels, shape), cost, light, 0.1) for labels in itertools.product(range(3), repeat=7))
        assert energy(assign(cost, light, step=0.1, rounds=2), cost, light, 0.1) == pytest.approx(best, abs=1e-5)


def test_a_grid_comes_close_to_the_best_labels(rng):
    excess = []
    for _ in range(10):
        cost, light = rng.random((2, 3, 4), dtype=np.float32), 0.3 * rng.random((2, 3, 4), dtype=np.float32)
        best = min(energy(np.reshape(labels, (3, 4)), cost, light, 0.1)
                   for labels in itertools.product(range(2), repeat=12))
        excess.append(energy(assign(cost, light, step=0.1, rounds=3), cost, light, 0.1) / best - 1)
    assert np.mean(excess) < 0.02 and max(excess) < 0.1


def test_a_seam_is_laid_where_the_frames_look_alike():
    """Two frames differ but for one column; costs pull to either side and are even between."""
    cost, light = np.zeros((2, 30, 41), np.float32), np.zeros((2, 30, 41), np.float32)
    cost[1, :, :8] = cost[0, :, 33:] = 1
    light[1] = 1
    light[1, :, 19:21] = 0
    labels = assign(cost, light, step=0.01, rounds=2)
    assert (labels[:, :20] == 0).all() and (labels[:, 20:] == 1).all()


def test_votes_are_shares_of_a_cell():
    rank = np.full((9, 13), np.nan, np.float32)
    rank[:4, :4] = 2
    rank[:2, 4:8] = 2.75
    found = votes(rank, 4, (0, 5), 1.5, (2, 3))
    np.testing.assert_allclose(found[:, 0, 0], [0, 1 / 3, 1, 1 / 3, 0], atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 1], [0, 0, 0.25, 5 / 12, 1 / 12], atol=1e-6)
    assert (found[:, 1] == 0).all() and (found[:, 0, 2] == 0).all()
    np.testing.assert_array_equal(votes(rank, 4, (2, 4), 1.5, (2, 3)), found[2:4])
