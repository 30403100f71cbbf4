"""Depth straight from a light field: signs, accuracy, edges, unknowns and sigma on scenes with a known answer; kernels
against their array form; the real scene where it is at hand."""

import numpy as np
import pytest
from fakegpu import device  # noqa: F401  (fixture)

import dfd
from dfd.kernels.angular import sheared, sheared_arrays
from dfd.kernels.lightcosts import costs, costs_arrays, moments, moments_arrays
from dfd.references.correspondence import ALPHA, Peaks, alpha_grid, cues, responses
from dfd.references.fusion import fuse
from dfd.references.phaseshift import find
from dfd.references.views import Views, halves, prepare, search_range

SHAPE = 64, 88
GRID = tuple(np.array(axis, dtype=float).ravel() for axis in np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)))


def texture(seed=3):
    """A smooth random picture (y, x, channel) -> brightness that is known between pixels too: waves below 0.25 cycles/px."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(-0.22, 0.22, (60, 2)), rng.uniform(0, 2 * np.pi, (3, 60))

    def look(y, x, channel=0):
        total = np.zeros(np.broadcast(y, x).shape)
        for (down, right), phase in zip(waves[0], waves[1][channel], strict=True):
            total += np.cos(2 * np.pi * (down * y + right * x) + phase)
        return 0.4 + 0.04 * total / np.sqrt(30)
    return look


def plane_views(disparity, *, places=GRID, shape=SHAPE, channels=1, noise=0.0, seed=3):
    """A light field of the plane d(y, x) = a + b x + c y: the point seen at p in the reference is seen at p - d (u, v)."""
    a, b, c = disparity
    look, rng = texture(seed), np.random.default_rng(seed)
    y, x = np.mgrid[:shape[0], :shape[1]].astype(float)
    views = []
    for u, v in zip(*places, strict=True):
        # x' = x - d u, y' = y - d v with d linear: solved for the reference's (x, y) of every pixel of the view
        matrix = np.array([[1 - b * u, -c * u], [-b * v, 1 - c * v]])
        right, down = np.linalg.solve(matrix, np.stack([(x + a * u).ravel(), (y + a * v).ravel()]))
        views.append(np.stack([look(down, right, k).reshape(shape) for k in range(channels)], axis=-1))
    views = np.array(views) + noise * rng.standard_normal((len(views), *shape, channels))
    truth = (a + b * x + c * y).astype(np.float32)
    return dfd.LightField(views.astype(np.float32), tuple(places[0]), tuple(places[1])), truth


def inner(array, border=8):
    return array[border:-border, border:-border]


@pytest.mark.parametrize("disparity", [0.313, -0.871])
def test_a_textured_plane_between_labels_is_found_to_0_02_px(disparity):
    field, truth = plane_views((disparity, 0, 0))
    result = dfd.reference_depth(field, disparities=(-2, 2))
    error = inner(result.values - truth)
    assert result.scale == "affine" and result.valid.mean() > 0.98
    assert np.nanmedian(np.abs(error)) < 0.01 and np.nanpercentile(np.abs(error), 95) < 0.02


@pytest.mark.parametrize("method", ["phase-shift", "defocus-correspondence"])
def test_the_nearer_side_of_a_slanted_plane_has_the_larger_disparity(method):
    field, truth = plane_views((-0.3, 0.016, 0))
    result = dfd.reference_depth(field, method=method, disparities=(-1, 2))
    left, right = np.nanmedian(result.values[:, 10:25]), np.nanmedian(result.values[:, -25:-10])
    assert right > left + 0.5
    limit = 0.03 if method == "phase-shift" else 0.2
    assert np.nanmedian(np.abs(inner(result.values - truth))) < limit


def test_a_range_is_found_where_none_is_given():
    field, truth = plane_views((0.4, 0.01, -0.012))
    low, high = search_range(prepare(field))
    assert truth.min() - 1.5 < low < np.percentile(truth, 5) and np.percentile(truth, 95) < high < truth.max() + 1.5
    result = dfd.reference_depth(field)
    assert np.nanmedian(np.abs(inner(result.values - truth))) < 0.02


def two_planes(near=1.2, far=-0.8, places=GRID, shape=SHAPE):
    """A nearer half plane right of column 44 before a farther one, rendered with occlusion."""
    front, _ = plane_views((near, 0, 0), places=places, shape=shape, seed=5)
    back, _ = plane_views((far, 0, 0), places=places, shape=shape, seed=6)
    x = np.arange(shape[1])
    views = np.array([np.where((x + near * u >= 44)[None, :, None], one, other)
                      for u, one, other in zip(places[0], front.views, back.views, strict=True)])
    truth = np.where(x >= 44, near, far) + np.zeros(shape)
    return dfd.LightField(views.astype(np.float32), tuple(places[0]), tuple(places[1])), truth


def test_an_occluding_edge_does_not_bleed_by_more_than_3_px():
    field, truth = two_planes()
    result = dfd.reference_depth(field, disparities=(-2, 2))
    bad = ~(np.abs(result.values - truth) < 0.2)[10:-10]
    assert bad[:, 8:41].mean() < 0.02 and bad[:, 47:-8].mean() < 0.02
    assert np.nanmedian(result.sigma[:, 42:46]) > 3 * np.nanmedian(result.sigma[:, 15:35])


def test_no_texture_is_unknown():
    views = np.full((25, *SHAPE, 1), 0.3, np.float32)
    for method in ("phase-shift", "defocus-correspondence"):
        assert not dfd.reference_depth(dfd.LightField(views, *map(tuple, GRID)), method=method).valid.any()


def test_a_flat_part_beside_texture_is_unknown_further_in_than_windows_reach():
    field, _ = plane_views((0.5, 0, 0), noise=0.0005)
    views = field.views.copy()
    rng = np.random.default_rng(8)
    views[:, :, :40] = (0.4 + 0.0005 * rng.standard_normal((25, SHAPE[0], 40, 1))).astype(np.float32)
    result = dfd.reference_depth(dfd.LightField(views, *map(tuple, GRID)), disparities=(-2, 2))
    assert result.valid[10:-10, 60:-8].mean() > 0.98
    assert result.valid[10:-10, 10:20].mean() < 0.1


def test_sigma_covers_the_errors_of_noisy_views_and_ranks_them():
    field, truth = plane_views((-0.2, 0.011, 0.004), noise=0.01)
    figures = dfd.compare(dfd.reference_depth(field, disparities=(-1, 2)),
                          dfd.DepthMap(truth, np.full_like(truth, np.nan), "affine"), border=6)
    assert figures["density"] > 0.9
    assert 0.6 < figures["coverage_1_sigma"] <= 1 and figures["coverage_2_sigma"] > 0.9


def test_irregular_places_and_colour_give_the_same_plane(rng):
    places = tuple(np.concatenate([[0.0], rng.uniform(-2.5, 2.5, 16)]) for _ in range(2))
    field, truth = plane_views((0.45, 0, 0.004), places=places, channels=3)
    result = dfd.reference_depth(field, disparities=(-1.5, 1.5))
    assert np.nanmedian(np.abs(inner(result.values - truth))) < 0.02


def test_the_truth_that_a_light_field_holds_is_never_read():
    field, _ = plane_views((0.4, 0, 0))
    lie = dfd.LightField(field.views, field.u, field.v, disparity=np.full(SHAPE, -1.5, np.float32))
    one, other = (dfd.reference_depth(item, disparities=(-2, 2)) for item in (field, lie))
    np.testing.assert_array_equal(one.values, other.values)


def test_exposure_changes_nothing():
    field, _ = plane_views((0.4, 0.01, 0))
    dark = dfd.LightField(field.views * np.float32(0.25), field.u, field.v)
    one, other = (dfd.reference_depth(item, disparities=(-1, 2)) for item in (field, dark))
    assert np.nanmax(np.abs(one.values - other.values)) < 1e-3


def test_planes_are_even_in_alpha_and_start_at_the_released_ends():
    grid = alpha_grid((-0.5, 4.0))
    np.testing.assert_allclose(1 / (1 + grid), np.linspace(*ALPHA, 257), atol=1e-12)
    assert grid[0] == pytest.approx(4) and grid[-1] == pytest.approx(-0.5)
    moved = alpha_grid((-3.0, 1.5))
    np.testing.assert_allclose(moved, grid - 2.5, atol=1e-12)


def test_peaks_that_arrive_plane_by_plane_are_those_of_the_whole_curve(rng):
    curves = rng.uniform(1, 2, (30, 5, 7)).astype(np.float32)
    peaks = Peaks()
    for plane in curves:
        peaks.add(plane)
    ratio = peaks.ratio()
    padded = np.pad(curves, ((1, 1), (0, 0), (0, 0)), constant_values=-np.inf)
    tops = np.sort(np.where((curves > padded[:-2]) & (curves >= padded[2:]), curves, -np.inf), axis=0)
    np.testing.assert_array_equal(peaks.best_place, curves.argmax(axis=0))
    np.testing.assert_allclose(ratio, (tops[-1] + 1e-3) / (tops[-2] + 1e-3), rtol=1e-5)


def test_a_curve_with_one_peak_takes_the_ratio_of_its_two_least_responses():
    peaks = Peaks()
    for value in (1.0, 2.0, 5.0, 3.0):
        peaks.add(np.full((2, 3), value, np.float32))
    np.testing.assert_allclose(peaks.ratio(), 2.001 / 1.001, rtol=1e-5)


def test_both_cues_find_a_plane_and_are_surer_of_texture_than_of_none():
    field, _ = plane_views((0.5, 0, 0), channels=3)
    views = field.views.copy()
    views[:, :, :40] = 0.4
    found = cues(prepare(dfd.LightField(views, *map(tuple, GRID))), (-0.5, 2.0), 129)
    for places in (found.defocus, found.correspondence):
        assert np.median(np.abs(found.disparities[places][12:-12, 60:-12] - 0.5)) < 0.06
    assert found.confidences.min() >= 0 and found.confidences.max() <= 1
    assert np.median(found.confidences[0][12:-12, 60:-12]) > np.median(found.confidences[0][12:-12, 12:28])


def test_confidences_are_ratios_of_peaks_over_their_joint_largest_to_the_powers_0_6_and_0_2():
    """Of defocus and of correspondence: 1e-5, from the responses at 17 planes, worked out by the textbook."""
    field, _ = plane_views((0.5, 0, 0), shape=(30, 41))
    views, limits = prepare(field), (-0.5, 2.0)
    found = cues(views, limits, 17)
    roots = np.sqrt(field.views[None, ..., 0])
    defocus, correspondence = Peaks(), Peaks()
    for disparity in alpha_grid(limits, 17):
        slope, deviation = responses(roots / roots.mean(), views.places, disparity)
        defocus.add(slope)
        correspondence.add(-deviation)
    ratios = defocus.ratio(), correspondence.ratio()
    largest = max(ratio.max() for ratio in ratios)
    for confidence, ratio, power in zip(found.confidences, ratios, (0.6, 0.2), strict=True):
        np.testing.assert_allclose(confidence, (ratio / largest) ** power, atol=1e-5)


def test_fusion_follows_the_source_with_weight_and_smooths_an_outlier():
    sources = np.stack([np.full((20, 31), 10.0), np.full((20, 31), 40.0)])
    weights = np.stack([np.ones((20, 31)), np.zeros((20, 31))])
    sources[0, 10, 15] = 100
    fused = fuse(sources, weights, np.ones((20, 31)))
    np.testing.assert_allclose(fused, 10, atol=3)


def test_halves_hold_what_lies_on_their_side_and_the_line_between():
    places = np.stack(GRID, axis=1)
    members = halves(places, 12)
    np.testing.assert_allclose(members.sum(axis=1), 1, atol=1e-6)
    assert ((members[1] > 0) == ((places[:, 0] >= 0) & (np.arange(25) != 12))).all()


@pytest.mark.parametrize("disparity", [0.37, -1.0])
def test_cost_and_angular_kernels_equal_their_array_form(disparity):
    field, _ = plane_views((0.2, 0.003, 0), shape=(40, 53), noise=0.01)
    views = prepare(field)
    found, written = (path(views.grey, views.reference, views.places, disparity, views.members)
                      for path in (costs, costs_arrays))
    np.testing.assert_allclose(found, written, atol=2e-5)
    for one, other in zip(sheared(field.grey, views.places, disparity), sheared_arrays(field.grey, views.places, disparity),
                          strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_moments_kernel_equals_its_array_form(rng):
    field, truth = plane_views((0.2, 0.003, 0), shape=(40, 53), noise=0.01)
    views, group = prepare(field), rng.integers(0, 9, (40, 53)).astype(np.uint8)
    found, written = (path(views.grey, views.reference, views.places, truth, group, views.members, 0.6)
                      for path in (moments, moments_arrays))
    np.testing.assert_allclose(found, written, atol=2e-4)


@pytest.mark.parametrize(("method", "disparities", "limit"), (("phase-shift", None, 2e-3),
                                                              ("defocus-correspondence", (-1, 1), 2e-2)))
def test_a_light_field_on_any_device_gives_its_map_there(device, method, disparities, limit):  # noqa: F811
    """Px per view step between loops and whole arrays, in 95 % of the pixels: noise decides where texture is faint."""
    places = tuple(axis.reshape(5, 5)[1:4, 1:4].ravel() for axis in GRID)
    field, _ = plane_views((0.313, 0.004, 0), places=places, shape=(26, 33), noise=0.001)
    there = dfd.LightField(device.put(field.views), field.u, field.v)
    expected = dfd.reference_depth(field, method=method, disparities=disparities)
    found = dfd.reference_depth(there, method=method, disparities=disparities)
    for one, other in ((found.values, expected.values), (found.sigma, expected.sigma)):
        assert device.owns(one)
        apart = np.abs(device.get(one) - other)
        assert np.isfinite(apart).mean() > 0.8 and np.nanpercentile(apart, 95) < limit


def test_a_reference_view_that_shows_nothing_is_unknown_on_any_device(device):  # noqa: F811
    """No texture, or no data."""
    for level in (0.3, np.nan):
        views = np.full((25, 30, 41, 1), 0.3, np.float32)
        views[12] = level
        found = dfd.reference_depth(dfd.LightField(device.put(views), *map(tuple, GRID)))
        assert device.owns(found.values) and np.isnan(device.get(found.values)).all()


def test_costs_that_no_memory_holds_are_refused_before_the_first():
    """48 Mpx that take no memory themselves, 481 labels half a pixel apart, twice four bytes for each."""
    grey = np.broadcast_to(np.float32(0), (3, 6000, 8000))
    places = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(ValueError, match=r"-120 to 120 px per view step of 8000 x 6000 px views take 185 GB, the limit is 8 "
                                         r"GB; narrow disparities=\(least, largest\), or reduce the views"):
        find(Views(grey, grey[..., None], 0, places, halves(places, 0)), (-120.0, 120.0))


@pytest.mark.parametrize("kwargs, words", [
    ({"method": "magic"}, "'magic'.*phase-shift, defocus-correspondence"),
    ({"disparities": (2, 1)}, "finite and rise"),
    ({"disparities": 3}, "least, largest"),
    ({"disparities": (-900, 900)}, "labels.*limit"),
])
def test_bad_options_are_refused_in_one_line(kwargs, words):
    field, _ = plane_views((0, 0, 0))
    with pytest.raises(ValueError, match=words) as caught:
        dfd.reference_depth(field, **kwargs)
    assert "\n" not in str(caught.value)


def test_other_things_few_views_and_small_views_are_refused():
    with pytest.raises(TypeError, match="LightField"):
        dfd.reference_depth(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="3 or more"):
        dfd.reference_depth(dfd.LightField(np.ones((2, 40, 40, 1), np.float32), (0, 1), (0, 0)))
    with pytest.raises(ValueError, match="24 px"):
        dfd.reference_depth(dfd.LightField(np.ones((3, 20, 40, 1), np.float32), (0, 1, -1), (0, 0, 0)))
