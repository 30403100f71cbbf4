"""Semi-global aggregation against its definition written out, on scenes with a known answer, and against its array form."""

import numpy as np
import pytest
from fakegpu import device  # noqa: F401  (fixture)

from dfd.kernels.aggregation import aggregate, aggregate_arrays
from dfd.kernels.basins import winner, winner_arrays

WAYS = {4: [(0, 1), (0, -1), (1, 0), (-1, 0)],
        8: [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)]}


def by_hand(cost, small, large, paths):
    """The recursion for every pixel, label and path in turn, from the definition."""
    height, width, labels = cost.shape
    large = np.broadcast_to(large, (height, width))
    known = np.isfinite(cost).all(axis=2) & np.isfinite(large)
    total = np.zeros(cost.shape)
    for down, right in WAYS[paths]:
        path = np.zeros(cost.shape)
        for y in range(height)[::-1 if down < 0 else 1]:
            for x in range(width)[::-1 if right < 0 else 1]:
                above, left = y - down, x - right
                inside = 0 <= above < height and 0 <= left < width and known[above, left]
                for d in range(labels):
                    path[y, x, d] = cost[y, x, d]
                    if inside:
                        before = path[above, left]
                        ways = [before[d], before.min() + large[y, x]]
                        ways += [before[k] + small for k in (d - 1, d + 1) if 0 <= k < labels]
                        path[y, x, d] += min(ways) - before.min()
        total += path
    total[~known] = np.nan
    return total


def volume_of(truth, rng, *, labels, noise):
    """(H, W, L) costs: the squared distance [labels^2] to the true label, cut at 9, with normal noise."""
    square = (np.arange(labels) - truth[:, :, None]) ** 2
    return (np.minimum(square, 9) + noise * rng.standard_normal(square.shape)).astype(np.float32)


@pytest.mark.parametrize("paths", [4, 8])
@pytest.mark.parametrize("shape", [(1, 23), (23, 1), (9, 6), (7, 12), (1, 1)])
@pytest.mark.parametrize("labels", [1, 2, 5, 37])
def test_it_is_the_recursion_of_the_definition(rng, shape, labels, paths):
    cost = rng.uniform(-1, 1, (*shape, labels)).astype(np.float32)
    large = rng.uniform(0.3, 1.5, shape).astype(np.float32)
    np.testing.assert_allclose(aggregate(cost, 0.2, large, paths=paths), by_hand(cost, 0.2, large, paths), atol=1e-5)
    np.testing.assert_allclose(aggregate(cost, 0.2, 0.7, paths=paths), by_hand(cost, 0.2, 0.7, paths), atol=1e-5)


@pytest.mark.parametrize("paths", [4, 8])
def test_walls_are_those_of_the_definition(rng, paths):
    cost = rng.uniform(-1, 1, (13, 11, 9)).astype(np.float32)
    large = rng.uniform(0.3, 1.5, (13, 11)).astype(np.float32)
    walls = rng.random((13, 11)) < 0.2
    walls[[2, 5, 8], [3, 5, 2]] = False
    cost[walls] = np.nan
    cost[2, 3, 4], cost[5, 5, 8], large[8, 2] = np.nan, np.inf, np.nan  # one label, or no price of a jump, is enough
    found = aggregate(cost, 0.2, large, paths=paths)
    np.testing.assert_allclose(found, by_hand(cost, 0.2, large, paths), atol=1e-5)
    assert np.isnan(found[[2, 5, 8], [3, 5, 2]]).all()


def test_nothing_passes_a_wall(rng):
    cost = rng.random((17, 20, 8), dtype=np.float32)
    cost[:, 9] = np.nan
    other = cost.copy()
    other[:, 10:] = rng.random((17, 10, 8), dtype=np.float32)
    np.testing.assert_array_equal(aggregate(cost, 0.1, 0.5)[:, :10], aggregate(other, 0.1, 0.5)[:, :10])


def test_what_all_labels_of_a_pixel_cost_more_stays_at_that_pixel(rng):
    cost = rng.random((14, 19, 8), dtype=np.float32)
    dear = cost.copy()
    dear[6, 11] += 3
    extra = aggregate(dear, 0.1, 0.5) - aggregate(cost, 0.1, 0.5)
    np.testing.assert_allclose(extra[6, 11], 8 * 3, atol=1e-5)
    extra[6, 11] = 0
    np.testing.assert_allclose(extra, 0, atol=1e-5)


@pytest.mark.parametrize("paths", [4, 8])
def test_a_turned_volume_gives_the_turned_sum(rng, paths):
    cost = rng.random((15, 22, 12), dtype=np.float32)
    cost[4, 7:9] = np.nan
    large = rng.uniform(0.3, 1.5, (15, 22)).astype(np.float32)
    found = aggregate(cost, 0.1, large, paths=paths)
    for turn in (lambda a: np.swapaxes(a, 0, 1), lambda a: a[::-1], lambda a: a[:, ::-1]):
        np.testing.assert_allclose(aggregate(turn(cost), 0.1, turn(large), paths=paths), turn(found), atol=1e-5)


@pytest.mark.parametrize("paths", [4, 8])
def test_the_step_between_two_planes_is_placed_to_a_pixel_under_noise(rng, paths):
    truth = np.where(np.arange(83) < 37, 8.0, 20.0) * np.ones((61, 1))
    cost = volume_of(truth, rng, labels=32, noise=3.0)
    assert np.mean(np.abs(np.argmin(cost, axis=2) - truth) > 1) > 0.1  # what a pixel finds by itself
    label, _, _, _ = winner(aggregate(cost, 12.0, 60.0, paths=paths), apart=2)
    assert np.mean(np.abs(label - truth) > 1) < 2e-3
    np.testing.assert_allclose((label < 14).sum(axis=1), 37, atol=1)  # the column of the step, in every row


def test_a_slanted_plane_stays_within_one_label(rng):
    y, x = np.mgrid[:47, :90]
    truth = 4 + 0.21 * x + 0.13 * y
    label, offset, _, _ = winner(aggregate(volume_of(truth, rng, labels=32, noise=0.5), 0.5, 20.0), apart=2)
    error = label + offset - truth
    assert np.abs(error).max() < 1
    assert abs(error.mean()) < 0.01


def test_a_step_falls_where_the_image_has_its_edge():
    """Between two planes nothing is known of the depth; a jump is cheaper at the edge."""
    cost = np.zeros((20, 31, 16), np.float32)
    cost[:, :8], cost[:, 24:] = 10, 10
    cost[:, :8, 3] = cost[:, 24:, 12] = 0
    for edge in (11, 19):
        large = np.full((20, 31), 4, np.float32)
        large[:, edge:edge + 2] = 1  # entered from either side: both pixels at the edge
        label, _, _, _ = winner(aggregate(cost, 0.5, large), apart=2)
        assert set(np.unique(label)) == {3, 12}
        np.testing.assert_allclose((label == 3).sum(axis=1), edge + 1, atol=1)


def test_the_vertex_of_a_parabola_is_exact():
    place = np.linspace(1.05, 9.95, 6 * 13).reshape(6, 13)
    volume = (2.5 * (np.arange(12) - place[:, :, None]) ** 2 + 7).astype(np.float32)
    label, offset, least, second = winner(volume, apart=1)
    np.testing.assert_array_equal(label, np.rint(place))
    np.testing.assert_allclose(label + offset, place, atol=1e-5)
    np.testing.assert_allclose(least, 2.5 * offset.astype(float) ** 2 + 7, atol=1e-4)
    assert np.isposinf(second).all()


@pytest.mark.parametrize("curve, apart, expected", [
    ([9, 4, 9, 9, 2, 9, 9, 9], 2, (4, 0.0, 2, 4)),  # another basin
    ([9, 4, 9, 9, 2, 9, 9, 9], 3, (4, 0.0, 2, np.inf)),  # not farther than 3
    ([9, 2, 3, 5, 4, 8, 8, 8], 2, (1, 0.375, 2, 4)),
    ([5, 6, 7, 4, 1, 3, 4, 5], 2, (4, 0.1, 1, 5)),  # a curve that falls towards an end of the grid
    ([5, 4, 7, 4, 1, 3, 4, 3], 2, (4, 0.1, 1, 3)),  # and to the other
    ([9, 8, 8, 8, 1, 8, 8, 9], 1, (4, 0.0, 1, np.inf)),  # terraces are no basins
    ([9, 6, 6, 8, 8, 1, 8, 9], 2, (5, 0.0, 1, 6)),  # a bottom two labels long
    ([9, 8, 6, 6, 8, 1, 8, 9], 2, (5, 0.0, 1, np.inf)),  # one end of it is near
    ([1, 2, 9, 9, 9, 3, 9, 9], 2, (0, np.nan, 1, 3)),  # ends of the grid are no measurements
    ([7, 7, 7, 7, 7, 7, 7, 7], 2, (0, np.nan, 7, np.inf)),
    ([9, 9, 9, 9, 9, 3, 2, 1], 2, (7, np.nan, 1, np.inf)),
    ([9, 9, 3, 3, 9, 9, 9, 9], 2, (2, 0.5, 3, np.inf)),  # of two equals the first
    ([-3, -1, -5, -2, 0, 4, -4, 9], 2, (2, 1 / 14, -5, -4)),
    ([9, 4, np.nan, 9, 2, 9, 9, 9], 2, (-1, np.nan, np.nan, np.nan)),
])
def test_winner_and_next_basin(curve, apart, expected):
    volume = np.array(curve, np.float32) * np.ones((3, 2, 1), np.float32)
    for found in (winner(volume, apart=apart), winner_arrays(volume, apart=apart)):
        for value, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, np.full((3, 2), wanted), atol=1e-6)
        assert [value.dtype for value in found] == [np.int32, *3 * [np.float32]]


@pytest.mark.parametrize("paths", [4, 8])
def test_the_loop_gives_what_whole_arrays_give(device, rng, paths):  # noqa: F811
    cost = rng.uniform(0, 4, (37, 53, 19)).astype(np.float32)
    cost[rng.random((37, 53)) < 0.05] = np.nan
    large = rng.uniform(0.5, 3, (37, 53)).astype(np.float32)
    loop = aggregate(cost, 0.4, large, paths=paths)
    arrays = aggregate_arrays(device.put(cost), 0.4, device.put(large), paths=paths)
    assert device.owns(arrays) and device.owns(aggregate(device.put(cost), 0.4, 2.0, paths=paths))
    np.testing.assert_allclose(device.get(arrays), loop, atol=1e-5)  # NaN at the same pixels


def test_the_winners_of_the_loop_are_those_of_whole_arrays(device, rng):  # noqa: F811
    """Integers, so that curves are full of ties, and numbers of either sign."""
    for labels, apart in [(1, 0), (2, 0), (7, 1), (19, 0), (19, 3), (40, 5)]:
        volume = (rng.integers(0, 7, (23, 31, labels)) - 3).astype(np.float32)
        volume[rng.random((23, 31)) < 0.1] = np.nan
        arrays = winner_arrays(device.put(volume), apart=apart)
        for one, other in zip(winner(volume, apart=apart), arrays, strict=True):
            assert device.owns(other)
            np.testing.assert_array_equal(one, device.get(other))


@pytest.mark.parametrize("change, message", [
    ({"paths": 5}, r"paths \(5\) must be 4"),
    ({"small": -1.0}, r"small \(-1.0\) must be 0 or more"),
    ({"small": float("nan")}, r"small \(nan\) must be 0 or more"),
    ({"large": np.ones((5, 4), np.float32)}, r"large has \(5, 4\) px, the cost \(4, 5\) px; give one number"),
])
def test_what_cannot_be_is_named(change, message):
    arguments = {"small": 0.1, "large": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        aggregate(np.zeros((4, 5, 6), np.float32), **arguments)


def test_the_volume_is_left_as_it_is(rng):
    cost = rng.random((9, 14, 6), dtype=np.float32)
    kept = cost.copy()
    total = aggregate(cost, 0.1, 0.5)
    winner(total, apart=1)
    np.testing.assert_array_equal(cost, kept)
    assert total.dtype == np.float32 and total.shape == cost.shape
