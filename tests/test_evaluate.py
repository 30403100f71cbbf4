"""Every figure of `compare` against a closed form on hand-made maps."""

import json
import math

import numpy as np
import pytest

from dfd.depthmap import DepthMap
from dfd.evaluate import compare, errors, sparsification
from dfd.evaluate.errors import error_figures
from dfd.io.maps import read_mask

SHAPE = (60, 90)


def depth_map(values, sigma=None, scale="metric"):
    values = np.asarray(values, dtype=np.float32)
    sigma = np.full_like(values, np.nan) if sigma is None else np.broadcast_to(np.float32(sigma), values.shape)
    return DepthMap(values, np.array(sigma), scale, "test")


def ramp(low=1.0, high=2.0, shape=SHAPE):
    """Dioptres that differ in every pixel."""
    return np.linspace(low, high, shape[0] * shape[1]).reshape(shape)


def test_errors_of_two_pixels_have_their_closed_form():
    figures = compare(np.array([[1.1, 2.0, 0.9]]), np.array([[1.0, 2.0, 1.0]]))
    assert figures["n"] == figures["n_reference"] == figures["n_metres"] == 3
    assert figures["rmse_m"] == pytest.approx(math.sqrt(0.02 / 3), abs=1e-12)
    assert figures["mae_m"] == pytest.approx(0.2 / 3, abs=1e-12)
    assert figures["median_abs_m"] == pytest.approx(0.1, abs=1e-12)
    assert figures["mean_error_m"] == pytest.approx(0.0, abs=1e-12)
    assert figures["mean_relative_error"] == pytest.approx(0.2 / 3, abs=1e-12)
    assert figures["median_relative_error"] == pytest.approx(0.1, abs=1e-12)
    assert figures["mae_dpt"] == pytest.approx((1 - 1 / 1.1 + 1 / 0.9 - 1) / 3, abs=1e-12)
    assert figures["bad_1_percent"] == pytest.approx(2 / 3, abs=1e-12)


def test_result_in_dioptres_meets_a_reference_in_metres():
    inverse = ramp()
    figures = compare(depth_map(inverse + 0.01), 1 / inverse)
    assert figures["rmse_dpt"] == pytest.approx(0.01, abs=1e-6)
    assert figures["median_error_dpt"] == pytest.approx(0.01, abs=1e-6)
    assert figures["mean_error_m"] < 0, "more dioptres are nearer, so fewer metres"
    expected = np.mean(0.01 / (inverse + 0.01))
    assert figures["mean_relative_error"] == pytest.approx(expected, abs=1e-6)


def test_p90_is_the_90th_percentile():
    error = np.arange(101.0).reshape(1, 101)
    figures = compare(depth_map(error, scale="steps"), np.zeros((1, 101)))
    assert figures["p90_abs_frames"] == pytest.approx(90.0, abs=1e-9)
    assert figures["median_abs_frames"] == pytest.approx(50.0, abs=1e-9)


def test_unknown_pixels_lower_the_density_and_count_as_bad():
    inverse = ramp()
    estimate = inverse.copy()
    estimate[:, :30] = np.nan
    figures = compare(depth_map(estimate), depth_map(inverse))
    assert figures["density"] == pytest.approx(60 / 90, abs=1e-12)
    assert figures["bad_1_percent"] == figures["bad_5_percent"] == pytest.approx(30 / 90, abs=1e-12)
    assert figures["rmse_dpt"] == 0.0


def test_pixels_without_reference_do_not_count():
    truth = ramp()
    truth[:10] = np.nan
    figures = compare(depth_map(ramp()), depth_map(truth))
    assert figures["n_reference"] == 50 * 90
    assert figures["density"] == 1.0


def test_mask_and_border_choose_the_pixels():
    truth = ramp()
    estimate = truth.copy()
    estimate[0] += 1
    mask = np.ones(SHAPE)
    mask[30:] = 0
    figures = compare(depth_map(estimate), depth_map(truth), mask=mask, border=2)
    assert figures["n"] == 28 * 86
    assert figures["rmse_dpt"] == 0.0


def test_an_infinite_reference_enters_the_dioptres_only():
    figures = compare(np.array([[2.0, 4.0]]), np.array([[2.0, np.inf]]))
    assert figures["n"] == 2 and figures["n_metres"] == 1
    assert figures["rmse_m"] == 0.0
    assert figures["mae_dpt"] == pytest.approx(0.125, abs=1e-12)


def test_where_the_reference_is_infinite_all_but_an_infinite_depth_is_bad():
    figures = compare(np.array([[2.0, 0.5, np.nan, np.inf]]), np.array([[2.0, np.inf, np.inf, np.inf]]))
    assert figures["bad_1_percent"] == figures["bad_5_percent"] == 0.5
    assert figures["delta_1"] == 1.0 and figures["density"] == 0.75
    assert compare(np.array([[0.5, np.nan]]), np.array([[np.inf, np.inf]]))["bad_1_percent"] == 1.0


def test_a_result_beyond_infinity_counts_as_infinitely_far():
    """-0.1 dioptre where 1 m is true, beside three right pixels: no depth in metres, and not within 1.25."""
    figures = compare(depth_map([[1.0, 1.0, 1.0, -0.1]]), np.ones((1, 4)))
    assert figures["delta_1"] == 0.75 and figures["bad_5_percent"] == 0.25
    assert figures["n_metres"] == 3 and figures["mae_m"] == 0.0 and figures["rmse_log"] == 0.0
    assert figures["mae_dpt"] == pytest.approx(1.1 / 4, abs=1e-6)


def test_p90_of_relative_errors_and_the_range_of_relative_references():
    truth = np.ones((1, 101))
    assert compare(truth + np.arange(101.0) / 100, truth)["p90_relative_error"] == pytest.approx(0.9, abs=1e-9)
    reference = np.linspace(0, 1, 1001)[None].copy()
    reference[0, -1] = 1000.0  # one outlier: the 99th percentile does not see it
    figures = compare(depth_map(np.where(reference > 500, reference, reference + 0.02), scale="steps"), reference)
    assert figures["bad_1_percent"] == pytest.approx(1000 / 1001, abs=1e-6) and figures["bad_5_percent"] == 0.0


def test_an_infinite_sigma_covers_nothing_and_is_not_counted():
    sigma = np.array([[0.1, 0.1, np.inf, np.inf]], np.float32)
    figures = compare(depth_map([[1.05, 1.5, 1.5, 1.5]], sigma), depth_map(np.ones((1, 4))))
    assert figures["coverage_1_sigma"] == 0.5


def test_a_result_at_infinity_is_bad_where_the_reference_is_finite():
    figures = compare(np.array([[np.inf, 2.0]]), np.array([[2.0, 2.0]]))
    assert figures["bad_5_percent"] == 0.5 and figures["n_metres"] == 1


@pytest.mark.parametrize(("scale", "suffix"), [("stage", "stage_m"), ("steps", "frames"), ("affine", "px")])
def test_relative_scales_name_their_own_unit(scale, suffix):
    figures = compare(depth_map(ramp() + 0.25, scale=scale), ramp())
    assert figures[f"rmse_{suffix}"] == pytest.approx(0.25, abs=1e-6)
    assert not any(key.endswith(("_dpt", "_m")) and not key.endswith("_stage_m") for key in figures)


def test_gaussian_sigma_covers_68_and_95_percent(rng):
    sigma = rng.uniform(0.001, 0.1, (400, 500)).astype(np.float32)
    truth = np.full(sigma.shape, 2.0)
    figures = compare(depth_map(truth + sigma * rng.standard_normal(sigma.shape), sigma), depth_map(truth))
    assert figures["coverage_1_sigma"] == pytest.approx(0.683, abs=0.01)
    assert figures["coverage_2_sigma"] == pytest.approx(0.954, abs=0.01)
    assert np.allclose(figures["coverage_1_sigma_quartiles"], 0.683, atol=0.01)
    assert figures["error_over_sigma_p68"] == pytest.approx(1.0, abs=0.01)


def test_quartiles_run_from_the_smallest_sigma_to_the_largest():
    sigma = np.repeat([0.1, 0.2, 0.3, 0.4], 10).reshape(4, 10)
    error = np.where(sigma < 0.25, 1.0, 0.0)
    figures = compare(depth_map(2 + error, sigma), depth_map(np.full(sigma.shape, 2.0)))
    assert figures["coverage_1_sigma_quartiles"] == [0.0, 0.0, 1.0, 1.0]


def test_sigma_equal_to_the_error_ranks_perfectly(rng):
    error = rng.standard_normal(SHAPE).astype(np.float32)
    figures = compare(depth_map(error, np.abs(error), scale="stage"), np.zeros(SHAPE))
    assert figures["ause_rmse"] == pytest.approx(0.0, abs=1e-12)
    assert figures["ause_mae"] == pytest.approx(0.0, abs=1e-12)
    assert figures["ause_rmse_random"] > 0.3


def test_constant_sigma_scores_as_random_whatever_the_order_of_pixels(rng):
    error = np.sort(np.abs(rng.standard_normal(SHAPE))).astype(np.float32)
    figures = compare(depth_map(error, 0.5, scale="stage"), np.zeros(SHAPE))
    assert figures["ause_rmse"] == pytest.approx(figures["ause_rmse_random"], abs=1e-9)
    assert figures["coverage_1_sigma_quartiles"] == pytest.approx([figures["coverage_1_sigma"]] * 4, abs=1e-9)


def test_area_of_uniform_errors_has_its_closed_form():
    """|e| uniform in 0..1: the oracle's MAE is (1 - r) / 2, a constant sigma leaves 1/2; the area to r is r^2 / 2."""
    error = (np.arange(20000) + 0.5).reshape(100, 200) / 20000
    figures = compare(depth_map(error, 0.1, scale="stage"), np.zeros((100, 200)))
    assert figures["ause_mae"] == pytest.approx(0.95**2 / 2, abs=1e-4)


def test_sparsification_drops_the_largest_sigma_and_the_unknown_first():
    rmse, mae = sparsification([1.0, 2.0, 3.0, 5.0], [0.1, 0.2, np.nan, 0.3], removed=(0, 0.25, 0.5))
    assert mae == pytest.approx([11 / 4, 8 / 3, 3 / 2], abs=1e-12)
    assert rmse == pytest.approx([math.sqrt(39 / 4), math.sqrt(10), math.sqrt(5 / 2)], abs=1e-12)


def test_area_of_twenty_pixels_by_hand():
    """No tie in sigma, an order of its own: error of what is left, by slices, over that of all."""
    error = np.array([3.0, -1, 4, -1, 5, 9, -2, 6, 5, 3, 5, -8, 9, 7, 9, 3, -2, 3, 8, 4])
    sigma = np.array([2.0, 7, 1, 8, 20, 18, 3, 4, 5, 9, 6, 10, 11, 19, 12, 13, 14, 15, 16, 17])
    by_sigma, by_size = abs(error)[np.argsort(sigma)], np.sort(abs(error))
    for power, name in ((1, "mae"), (2, "rmse")):
        gaps = [np.mean(by_sigma[:20 - k]**power)**(1 / power) - np.mean(by_size[:20 - k]**power)**(1 / power)
                for k in range(20)]
        area = sum((one + two) / 2 * 0.05 for one, two in zip(gaps[1:], gaps[:-1], strict=True))
        figures = compare(depth_map(error[None], sigma, scale="stage"), np.zeros((1, 20)))
        assert figures[f"ause_{name}"] == pytest.approx(area / np.mean(abs(error)**power)**(1 / power), abs=1e-6)
        assert figures["sparsification"][f"{name}_stage_m"][10] == pytest.approx(
            np.mean(by_sigma[:10]**power)**(1 / power), abs=1e-6)


@pytest.mark.parametrize(("error", "sigma", "removed", "words"), [
    ([], [], (0,), "n >= 1 pixels; pass"), ([1.0, 2.0], [1.0], (0,), r"error \(2,\) and sigma \(1,\)"),
    ([[1.0]], [[1.0]], (0,), r"error \(1, 1\)"), ([1.0, np.nan], [1.0, 1.0], (0,), "1 of 2 values that are not finite"),
    ([1.0, 2.0], [1.0, -0.5], (0,), r"sigma \(smallest -0.5"), ([1.0], [1.0], (0, 1.5), r"removed \(0 to 1.5\)"),
    ([1.0], [1.0], (np.nan,), "fractions from 0 to 1"),
])
def test_what_cannot_be_ranked_is_named(error, sigma, removed, words):
    with pytest.raises(ValueError, match=words):
        sparsification(error, sigma, removed)


def test_all_removed_leaves_the_surest_pixel_and_zero_of_either_sign_is_the_surest():
    assert sparsification([1.0, 2.0, 3.0], [0.3, -0.0, np.nan], (1,))[1].tolist() == [2.0]


def test_errors_in_pieces_are_those_of_the_whole(monkeypatch, rng):
    truth = rng.uniform(1, 4, (9, 13))
    estimate = truth * np.exp(0.1 * rng.standard_normal(truth.shape))
    estimate[2, 3:9], estimate[5, 1], truth[7, :4] = np.nan, np.inf, np.inf
    scores = error_figures(1 / estimate.ravel(), 1 / truth.ravel(), "metric")
    assert scores["n_metres"] == 9 * 13 - 4 - 6 - 1
    for pixels in (1, 7, 50):
        monkeypatch.setattr(errors, "_PIECE", pixels)
        again = error_figures(1 / estimate.ravel(), 1 / truth.ravel(), "metric")
        assert again == pytest.approx(scores, rel=1e-12)


def test_a_monotone_fit_weighs_a_value_by_its_pixels():
    """Three pixels of value 1 with 2, one of value 2 with 0: together at 6 / 4 = 1.5, not at 1."""
    figures = compare(depth_map([[1, 1, 1, 2, 3]], scale="steps"), depth_map([[2, 2, 2, 0, 5]], scale="steps"),
                      align="monotone")
    assert figures["rmse_frames"] == pytest.approx(math.sqrt((3 * 0.25 + 2.25) / 5), abs=1e-7)
    assert figures["alignment"] == {"direction": "increasing", "levels": 2}


def test_a_mask_that_is_not_known_leaves_a_pixel_out(tmp_path):
    truth = ramp()
    mask = np.ones(SHAPE)
    mask[0], mask[1] = np.nan, 0
    figures = compare(depth_map(truth), depth_map(truth), mask=mask)
    assert figures["n"] == 58 * 90 and figures["mask_share"] == pytest.approx(58 / 60, abs=1e-12)
    assert compare(depth_map(truth), depth_map(truth), mask=mask == 1)["n"] == 58 * 90
    for name, stored in (("grey", mask), ("colour", np.stack([mask * 0, mask, mask * 0], axis=2))):
        np.save(tmp_path / f"{name}.npy", stored)
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.npy", SHAPE), mask == 1)


def test_offset_is_the_median():
    truth = ramp()
    estimate = truth - 0.3
    estimate[0] += 100
    figures = compare(depth_map(estimate), depth_map(truth), align="offset")
    assert figures["alignment"]["offset_dpt"] == pytest.approx(0.3, abs=1e-6)
    assert figures["median_abs_dpt"] == pytest.approx(0.0, abs=1e-6)


def test_affine_alignment_finds_the_line_and_scales_sigma():
    truth = ramp()
    figures = compare(depth_map((truth - 0.5) / -2, 0.01), depth_map(truth), align="affine")
    assert figures["alignment"] == pytest.approx({"slope": -2.0, "offset_dpt": 0.5}, abs=1e-5)
    assert figures["rmse_dpt"] == pytest.approx(0.0, abs=1e-6)
    moved = depth_map(truth + 0.015 * np.sign(truth - 1.5))
    shifted = compare(depth_map((truth - 0.5) / -2, 0.01), moved, align="affine")
    assert shifted["coverage_1_sigma"] == 1.0, "0.01 of the result is 0.02 dioptres of the reference"


@pytest.mark.parametrize("direction", ["increasing", "decreasing"])
def test_monotone_alignment_undoes_any_monotone_map_in_either_direction(direction):
    truth = ramp()
    bent = truth**3 if direction == "increasing" else -(truth**3)
    figures = compare(depth_map(bent, 0.1, scale="steps"), depth_map(truth), align="monotone")
    assert figures["scale"] == "metric", "a relative result is judged in dioptres after the fit"
    assert figures["alignment"]["direction"] == direction
    assert figures["rmse_dpt"] == pytest.approx(0.0, abs=1e-6)
    assert "coverage_1_sigma" not in figures and "ause_rmse" in figures


@pytest.mark.parametrize(("align", "fitted"), [("affine", {"slope_reference_units_per_frames", "offset_reference_units"}),
                                               ("monotone", {"direction", "levels"})])
def test_frames_fitted_to_a_plain_array_are_judged_in_the_unit_of_that_array(align, fitted):
    height_mm = ramp(0.0, 3.0)
    frames = 7 + 20 * height_mm + 0.02 * np.where(np.arange(SHAPE[1]) % 2, 1, -1)  # 0.001 mm beside it
    figures = compare(depth_map(frames, 0.02, scale="steps"), height_mm, align=align)
    assert (figures["scale"], figures["unit"]) == ("reference", "unit of the reference")
    assert set(figures["alignment"]) == fitted and not any(key.endswith("_frames") for key in figures)
    assert figures["rmse_reference_units"] == pytest.approx(0.001, abs=0.0005 if align == "affine" else 0.001)
    for same in ("none", "offset"):
        assert compare(depth_map(frames, scale="steps"), height_mm, align=same)["unit"] == "frame"


def test_affine_px_result_is_judged_in_dioptres_against_a_metric_reference():
    truth = ramp()
    figures = compare(depth_map(40 * (truth - 1.2), scale="affine"), depth_map(truth), align="affine")
    assert figures["alignment"] == pytest.approx({"slope_dpt_per_px": 1 / 40, "offset_dpt": 1.2}, abs=1e-6)
    assert figures["mean_relative_error"] == pytest.approx(0.0, abs=1e-6)


def test_an_empty_result_has_density_zero_and_no_figures():
    nothing = np.full(SHAPE, np.nan)
    for align in ("none", "offset", "affine", "monotone"):
        figures = compare(depth_map(nothing, 0.1), depth_map(ramp()), align=align)
        assert figures["density"] == 0.0 and figures["bad_5_percent"] == 1.0
        assert figures["rmse_m"] is None and figures["rmse_dpt"] is None and figures["mean_relative_error"] is None


def test_figures_are_strict_json(rng):
    sigma = np.zeros(SHAPE)
    figures = compare(depth_map(ramp() + 0.1 * rng.standard_normal(SHAPE), sigma), depth_map(ramp()), align="affine")
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_inputs_are_not_written():
    truth, estimate = ramp(), ramp() + 1
    compare(estimate, truth, align="affine", border=3)
    assert np.array_equal(truth, ramp()) and np.array_equal(estimate, ramp() + 1)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"reference": np.ones((90, 60))}, "90 x 60 px.*60 x 90 px"),
    ({"reference": np.zeros(SHAPE)}, "at or below 0 m"),
    ({"reference": np.full(SHAPE, np.nan)}, "no known pixel"),
    ({"reference": np.ones(5)}, "one \\(H, W\\) map"),
    ({"mask": np.ones((3, 4))}, "mask is 4 x 3 px"),
    ({"border": 30}, "border \\(30 px\\)"),
    ({"align": "line"}, "none, offset, affine, monotone"),
])
def test_wrong_input_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        compare(**{"result": depth_map(ramp()), "reference": 1 / ramp(), **arguments})


def test_relative_against_metric_needs_a_fit():
    with pytest.raises(ValueError, match="align affine or monotone"):
        compare(depth_map(ramp(), scale="steps"), depth_map(ramp()))


def test_a_flat_result_has_no_slope():
    with pytest.raises(ValueError, match="no slope"):
        compare(depth_map(np.ones(SHAPE)), depth_map(ramp()), align="affine")


def test_a_path_is_read_first():
    with pytest.raises(TypeError, match="is a path; read it with"):
        compare("depth.tiff", np.ones(SHAPE))


def test_a_border_is_a_whole_number():
    with pytest.raises(ValueError, match="whole number"):
        compare(np.ones(SHAPE), np.ones(SHAPE), border=2.5)
