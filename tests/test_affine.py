"""Scores of the dual-pixel literature: invariance, closed forms, and four rank correlations that are not one."""

import math

import numpy as np
import pytest
from conftest import shared_data

import dfd
from dfd.affine import affine_errors
from dfd.depthmap import DepthMap
from dfd.io.images import read_values

SHAPE = (60, 90)
RANKS = ("spearman", "spearman_dense8", "spearman_dense_float", "spearman_google")


def truth_map(rng, shape=SHAPE):
    """8-bit codes over 255, as published truths are."""
    return np.rint(255 * rng.random(shape)) / 255


def test_it_is_a_public_name():
    assert dfd.affine_errors is affine_errors


@pytest.mark.parametrize(("slope", "offset"), [(3.0, -2.0), (-0.2, 7.0)])
def test_every_score_of_a_line_through_the_truth_is_0(rng, slope, offset):
    truth = truth_map(rng, (600, 400))
    figures = affine_errors(slope * truth + offset, truth)
    names = ("ai1", "ai2", *(RANKS if slope > 0 else RANKS[:3]))  # the reverse of ordinal ranks is theirs without ties only
    assert {name: figures[name] for name in names} == pytest.approx(dict.fromkeys(names, 0), abs=1e-6)
    assert figures["density"] == 1 and figures["n"] == truth.size


def test_errors_of_a_symmetric_disturbance_have_their_closed_form():
    truth = np.tile(np.linspace(0, 1, 50), (80, 1))
    error = np.where(np.arange(80) % 2, 0.05, -0.05)[:, None]
    figures = affine_errors(truth + error, truth)
    shrink = 0.05 * math.sqrt(truth.var() / (truth.var() + 0.05**2))  # least squares lowers the slope
    assert figures["ai2"] == pytest.approx(shrink, abs=1e-12)
    assert figures["ai1"] == pytest.approx(0.05 / 1.1, abs=2e-4)  # and least deviations until the ends of the ramp have none
    assert figures["constant_ai1"] == pytest.approx(np.abs(truth - 0.5).mean(), abs=1e-12)
    assert figures["constant_ai2"] == pytest.approx(truth.std(), abs=1e-12)


def test_ai1_passes_through_the_pixels_that_agree_and_ai2_does_not(rng):
    truth = truth_map(rng)
    found = truth + np.where(np.arange(60) < 6, 0.5, 0)[:, None] * np.ones(SHAPE)
    figures = affine_errors(truth, found)
    assert figures["ai1"] == pytest.approx(0.05, abs=5e-4)
    assert figures["ai2"] == pytest.approx(0.5 * math.sqrt(0.1 * 0.9), abs=2e-3)


def by_hand(y, t, w, rounds):
    """mean_w |a y + b - t| after so many reweightings, by the normal equations."""
    columns, weight = np.stack([y, np.ones_like(y)], axis=1), w
    for _ in range(rounds + 1):
        line = np.linalg.solve(columns.T @ (weight[:, None] * columns), columns.T @ (weight * t))
        error = columns @ line - t
        weight = w / np.maximum(abs(error), 1e-3)
    return np.sum(w * abs(error)) / np.sum(w)


def test_ai1_is_five_reweightings_from_the_weighted_least_squares():
    y = np.array([0.0, 0.1, 0.25, 0.4, 0.5, 0.7, 0.85, 1.0])
    t = np.array([0.3, 0.0, 0.9, 0.1, 0.8, 0.2, 1.0, 0.45])
    w = np.array([1.0, 3.0, 0.5, 2.0, 1.0, 4.0, 0.5, 2.0])
    found = affine_errors(y[None], t[None], w[None])["ai1"]
    assert found == pytest.approx(by_hand(y, t, w, 5), abs=1e-12)
    from_even = by_hand(y, t, np.ones(8), 0)
    others = [by_hand(y, t, w, rounds) for rounds in (0, 4, 6)]
    assert min(abs(found - other) for other in (*others, from_even)) > 1e-6


def test_a_constant_result_scores_as_the_constant_map_and_has_no_order(rng):
    truth = truth_map(rng)
    figures = affine_errors(np.full(SHAPE, 2.5), truth)
    assert figures["ai1"] == pytest.approx(figures["constant_ai1"], abs=1e-3)
    assert figures["ai2"] == pytest.approx(figures["constant_ai2"], abs=1e-12)
    assert [figures[name] for name in (*RANKS, "gm", "gm_dense8")] == [None] * 6


def test_the_constant_baseline_is_the_weighted_median_and_the_mean():
    truth, weights = np.array([[0.0, 0.2, 0.9]]), np.array([[1.0, 1.0, 3.0]])
    figures = affine_errors(np.array([[1.0, 2.0, 5.0]]), truth, weights)
    assert figures["constant_ai1"] == pytest.approx((0.9 + 0.7) / 5, abs=1e-12)
    mean = (0.2 + 2.7) / 5
    assert figures["constant_ai2"] == pytest.approx(
        math.sqrt((mean**2 + (0.2 - mean) ** 2 + 3 * (0.9 - mean) ** 2) / 5), abs=1e-12)


def test_pixels_without_weight_do_not_count_and_unknown_ones_lower_the_density(rng):
    truth = truth_map(rng)
    found, weights = 2 * truth + 1, np.ones(SHAPE)
    found[:, :9], weights[:, :9] = rng.random((60, 9)), 0
    assert affine_errors(found, truth, weights)["ai1"] == pytest.approx(0, abs=1e-6)
    assert affine_errors(found, truth)["ai1"] > 0.01
    found[:, 9:18] = np.nan
    figures = affine_errors(found, truth, weights)
    assert figures["ai1"] == pytest.approx(0, abs=1e-6)
    assert figures["density"] == pytest.approx(72 / 81, abs=1e-12) and figures["n"] == 72 * 60


def test_a_whole_number_weight_counts_like_repeated_pixels(rng):
    truth, found = truth_map(rng), rng.random(SHAPE)
    weights = rng.integers(1, 4, SHAPE)
    one = affine_errors(found, truth, weights)
    two = affine_errors(np.repeat(found, weights.ravel()).reshape(1, -1), np.repeat(truth, weights.ravel()).reshape(1, -1))
    for name in ("ai1", "ai2", "constant_ai1", "constant_ai2"):
        assert one[name] == pytest.approx(two[name], abs=1e-9)


def test_border_and_white_are_a_crop_and_a_unit(rng):
    truth, found = truth_map(rng), rng.random(SHAPE)
    inner = affine_errors(found[5:-5, 5:-5], truth[5:-5, 5:-5])
    assert affine_errors(found, 255 * truth, border=5, white=255) == pytest.approx(inner, abs=1e-9)


def test_ties_tell_the_rank_names_apart(rng):
    """One map, a truth of few codes: average, dense and ordinal ranks are three different numbers."""
    truth = np.rint(8 * rng.random((600, 500)) ** 4) / 8
    found = truth + 0.1 * rng.standard_normal(truth.shape)
    figures = affine_errors(found, truth)
    values = [figures[name] for name in RANKS]
    assert min(abs(a - b) for i, a in enumerate(values) for b in values[:i]) > 0.02, figures


def test_dense8_is_nearly_pearson_and_does_not_measure_order(rng):
    truth = truth_map(rng)
    found = truth**3 + 0.02 * rng.random(SHAPE)
    figures = affine_errors(found, truth)
    assert figures["spearman_dense8"] == pytest.approx(1 - np.corrcoef(found.ravel(), truth.ravel())[0, 1], abs=0.02)
    assert figures["spearman"] < 0.02 < figures["spearman_dense8"] - 0.02


def test_dense_float_depends_on_the_float_format_and_the_true_rank_does_not(rng):
    truth = truth_map(rng, (200, 300))
    found = (truth + 0.3 * rng.standard_normal(truth.shape)) ** 3
    fine, coarse = affine_errors(found, truth), affine_errors(found.astype(np.float16), truth)
    assert abs(fine["spearman_dense_float"] - coarse["spearman_dense_float"]) > 0.01
    assert coarse["spearman"] == pytest.approx(fine["spearman"], abs=1e-4)


def test_google_takes_the_central_window_upright_or_turned(rng):
    truth = truth_map(rng, (700, 500))
    found = np.where((np.abs(np.arange(700) - 349.5) < 256)[:, None] & (np.abs(np.arange(500) - 249.5) < 192), truth, 0.5)
    assert affine_errors(found, truth)["spearman_google"] == pytest.approx(0, abs=1e-6)
    assert affine_errors(found.T, truth.T)["spearman_google"] == pytest.approx(0, abs=2e-3)  # other ties
    assert affine_errors(found[:, :383], truth[:, :383])["spearman_google"] is None


def test_google_ranks_all_known_pixels_before_it_weights_them(rng):
    """One ordinal ranking, ties by position: the ranks of the window are those of pixels without weight too."""
    truth = truth_map(rng, (512, 384))
    found = np.rint(20 * (truth + 0.2 * rng.standard_normal(truth.shape)))
    weights = (truth < 0.6) * rng.integers(0, 3, truth.shape)
    for sign in (1, -1):
        first, second = (np.argsort(np.argsort(item.ravel(), kind="stable")) for item in (sign * found, truth))
        kept = weights.ravel() > 0
        cov = np.cov(first[kept], second[kept], aweights=weights.ravel()[kept])
        expected = 1 - abs(cov[0, 1]) / np.sqrt(cov[0, 0] * cov[1, 1])
        assert affine_errors(sign * found, truth, weights)["spearman_google"] == pytest.approx(expected, abs=1e-9)


def test_geometric_means_name_their_rank(rng):
    truth = truth_map(rng)
    figures = affine_errors(truth + 0.1 * rng.standard_normal(SHAPE), truth)
    for name, rank in (("gm", "spearman"), ("gm_dense8", "spearman_dense8")):
        assert figures[name] ** 3 == pytest.approx(figures["ai1"] * figures["ai2"] * figures[rank], abs=1e-12)


def test_metres_beside_a_metric_result_are_inverted():
    depth = np.linspace(0.5, 3.0, 60 * 90).reshape(SHAPE)
    found = DepthMap((1 / depth).astype(np.float32), np.full(SHAPE, np.nan, np.float32), "metric", "test")
    assert affine_errors(found, depth)["ai2"] == pytest.approx(0, abs=1e-6)
    relative = DepthMap((7 / depth - 3).astype(np.float32), np.full(SHAPE, np.nan, np.float32), "affine", "test")
    assert affine_errors(relative, found)["ai2"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("options", "said"), [
    ({"weights": np.ones((3, 3))}, "must have the shape"),
    ({"weights": -np.ones(SHAPE)}, "zero or positive"),
    ({"weights": np.zeros(SHAPE)}, "no known pixel with a weight"),
    ({"border": 30}, "border (30 px)"),
    ({"white": 0.0}, "white (0) must be positive"),
])
def test_a_wrong_option_is_named(rng, options, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        affine_errors(rng.random(SHAPE), rng.random(SHAPE), **options)


def test_maps_of_two_sizes_or_without_a_common_pixel_are_refused(rng):
    with pytest.raises(ValueError, match="one size"):
        affine_errors(rng.random((4, 5)), rng.random((5, 4)))
    with pytest.raises(ValueError, match="NaN everywhere"):
        affine_errors(np.full(SHAPE, np.nan), rng.random(SHAPE))


def test_constant_baselines_of_published_truths():
    """Figures of other programs: the 100-px crop of one DSLR scene, and masked against unmasked Pixel 4 truths."""
    truth = read_values(shared_data("dp/iccp2020_dslr_005/005_D.TIF"))
    figures = affine_errors(truth.astype(float), truth, border=100, white=255)
    assert (figures["constant_ai1"], figures["constant_ai2"]) == pytest.approx((0.063, 0.140), abs=1e-3)
    expected = {"001": 0.139, "003": 0.110, "004": 0.100, "006": 0.215, "007": 0.079, "008": 0.160}
    for scene, ai1 in expected.items():
        truth = read_values(shared_data(f"dp/xin2021_pixel4/DP_data_pixel_4/gt_defocus_map/{scene}_gt.png"))
        figures = affine_errors(truth.astype(float), truth, truth > 0, white=255)
        assert figures["constant_ai1"] == pytest.approx(ai1, abs=5.1e-4), scene
