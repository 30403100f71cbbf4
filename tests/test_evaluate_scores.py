"""The scores of the field against closed forms on small non-square maps: relative, HCI, surfaces, regions, other sizes."""

import json
import math

import numpy as np
import pytest
from conftest import shared_data

from dfd.depthmap import DepthMap
from dfd.evaluate import REGIONS, compare, to_grid
from dfd.evaluate.surface import bumpiness, normal_errors
from dfd.io.maps import read_map

SHAPE = (40, 64)


def depth_map(values, scale="affine", sigma=None):
    values = np.asarray(values, dtype=np.float32)
    sigma = np.full_like(values, np.nan) if sigma is None else np.broadcast_to(np.float32(sigma), values.shape)
    return DepthMap(values, np.array(sigma), scale, "test")


def scores(error, truth=None, **options):
    """Figures of an affine result that is off by `error` px."""
    truth = np.zeros(np.shape(error)) if truth is None else truth
    return compare(depth_map(truth + error), depth_map(truth), **options)


# -- relative to the distance


def test_relative_scores_of_three_pixels_have_their_closed_form():
    figures = compare(np.array([[1.0, 2.0, 8.0]]), np.array([[1.0, 4.0, 4.0]]))
    two = math.log(2)
    assert figures["rmse_log"] == pytest.approx(math.sqrt(2 * two**2 / 3), abs=1e-12)
    assert figures["log10_error"] == pytest.approx(2 * math.log10(2) / 3, abs=1e-12)
    assert figures["squared_relative_m"] == pytest.approx((4 / 4 + 16 / 4) / 3, abs=1e-12)
    assert figures["mean_relative_error"] == pytest.approx((0.5 + 1.0) / 3, abs=1e-12)


def test_delta_counts_either_direction_and_not_the_limit_itself():
    figures = compare(np.array([[1.24, 1 / 1.24, 1.26, 1.5, 1.9, 2.0, 1.25, 1.0]]), np.ones((1, 8)))
    assert [figures[f"delta_{power}"] for power in (1, 2, 3)] == [3 / 8, 6 / 8, 7 / 8]


def test_delta_is_a_share_of_the_reference_so_that_unknown_is_not_within():
    figures = compare(np.array([[1.0, np.nan, np.inf, 1.0]]), np.ones((1, 4)))
    assert figures["delta_1"] == figures["delta_3"] == 0.5 and figures["density"] == 1 - 1 / 4
    assert figures["rmse_log"] == 0.0 and figures["n_metres"] == 2
    far = compare(np.array([[1.0, 1.0]]), np.array([[1.0, np.inf]]))
    assert far["delta_1"] == 1.0, "a reference at infinity has no ratio, so it does not count"


# -- the benchmark's figures


def test_bad_pixels_are_strict_and_unknown_ones_are_bad_but_in_the_benchmarks_own_figure():
    error = np.float32([[0.0, 0.02, -0.05, 0.0625, 0.5, np.nan, np.nan, 0.0]])
    figures = scores(error)
    assert (figures["badpix_07"], figures["badpix_03"], figures["badpix_01"]) == (37.5, 62.5, 75.0)
    assert figures["badpix_07_nan_counts_good"] == 12.5 and figures["density"] == 0.75
    exact = compare(np.float64([[1.07, 1.0]]), np.float64([[1.0, 1.0]]), px_per_dioptre=1.0)
    error = abs(1 / 1.07 - 1)
    assert compare(np.float64([[1.07]]), np.float64([[1.0]]), px_per_dioptre=0.07 / error * (1 + 1e-9))["badpix_07"] == 100
    assert compare(np.float64([[1.07]]), np.float64([[1.0]]), px_per_dioptre=0.07 / error * (1 - 1e-9))["badpix_07"] == 0
    assert exact["badpix_01"] == 50.0


@pytest.mark.parametrize(("name", "limit"), [("badpix_07", 0.07), ("badpix_03", 0.03), ("badpix_01", 0.01)])
def test_an_error_of_exactly_the_limit_is_not_bad(name, limit):
    def figures(error):
        return compare(np.full((2, 3), error), depth_map(np.zeros((2, 3))))  # float64: the limit as it is

    for sign in (1, -1):
        assert figures(sign * limit)[name] == 0 and figures(sign * np.nextafter(limit, 1))[name] == 100
    assert figures(0.07)["badpix_07_nan_counts_good"] == 0
    assert figures(np.nextafter(0.07, 1))["badpix_07_nan_counts_good"] == 100


def test_fine_structures_are_wrong_beyond_015_px():
    def figures(error):
        masks = {name: np.ones((2, 3), bool) for name in ("fine", "fine_surrounding")}
        found = compare(np.full((2, 3), error), depth_map(np.zeros((2, 3))), regions=masks)
        return found["fine_thinning"], found["fine_fattening"]

    beyond = np.nextafter(0.15, 1)
    assert figures(0.15) == figures(-0.15) == (0, 0)
    assert figures(beyond) == (0, 100) and figures(-beyond) == (100, 0)


def test_q25_is_element_int_of_a_quarter_and_mse_is_times_100():
    error = np.array([[7, -1, 5, 3, 2, -6, 4.0]]) / 64
    figures = scores(error)
    assert figures["q25_x100"] == 100 * 2 / 64, "element int(1.75) = 1 of 1, 2, 3, 4, 5, 6, 7"
    assert figures["mse_x100"] == pytest.approx(100 * 20 / 64**2, abs=1e-9)
    assert scores(np.array([[1, 2, 3, np.nan, 4.0]]))["q25_x100"] == 200.0, "of the known pixels"


def test_metric_maps_are_scored_in_px_of_disparity():
    inverse = np.linspace(0.5, 1.5, 40 * 64).reshape(SHAPE)
    result, truth = depth_map(inverse + 0.01, "metric"), depth_map(inverse, "metric")
    figures = compare(result, truth, px_per_dioptre=8.777)
    assert figures["px_per_dioptre"] == 8.777 and figures["badpix_07"] == 100 and figures["badpix_03"] == 100
    assert figures["q25_x100"] == pytest.approx(8.777, abs=1e-4)
    assert not any("badpix" in key for key in compare(result, truth)), "dioptres alone are no px"
    assert compare(result, truth, px_per_dioptre=6.9)["badpix_07"] == 0


@pytest.mark.parametrize("scale", ["stage", "steps"])
def test_other_scales_have_no_px(scale):
    figures = compare(depth_map(np.ones(SHAPE), scale), depth_map(np.ones(SHAPE), scale), px_per_dioptre=5.0)
    assert not any("badpix" in key or "bumpiness" in key for key in figures)


def test_nothing_known_gives_dashes_and_only_bad_pixels():
    figures = scores(np.full(SHAPE, np.nan))
    assert figures["badpix_07"] == figures["badpix_01"] == 100 and figures["badpix_07_nan_counts_good"] == 0
    assert figures["mse_x100"] is None and figures["q25_x100"] is None and figures["bumpiness_x100"] is None
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


# -- surfaces


@pytest.mark.parametrize("axis", [0, 1])
def test_the_operator_takes_a_unit_ramp_for_2_so_a_unit_parabola_for_8(axis):
    along = np.moveaxis(np.broadcast_to(np.arange(SHAPE[axis], dtype=float), (SHAPE[1 - axis], SHAPE[axis])), 1, axis)
    assert not bumpiness(along)[2:-2, 2:-2].any()
    rough = bumpiness(along**2)[2:-2, 2:-2]  # slope 2 * 2 x, its slope 2 * 4
    assert np.array_equal(rough, np.full(rough.shape, 8.0))


def test_a_twist_enters_the_norm_twice():
    y, x = np.mgrid[:9, :13].astype(float)
    assert bumpiness(x * y)[4, 6] == pytest.approx(math.sqrt(2) * 4, abs=1e-12)  # h_xy = 1 in each of two places


def test_bumpiness_is_clipped_and_of_the_pixels_whose_neighbours_are_known():
    x = np.mgrid[:40, :64][1].astype(float)
    assert scores(0.001 * x**2)["bumpiness_x100"] == pytest.approx(0.8, abs=1e-3)
    assert scores(x**2)["bumpiness_x100"] == 5.0
    hole = 0.001 * x**2
    hole[20, 30] = np.nan
    figures = scores(hole, border=4)
    assert figures["bumpiness_x100"] == pytest.approx(0.8, abs=1e-3)
    assert figures["bumpiness_density"] == pytest.approx(1 - 25 / (32 * 56), abs=1e-12)
    assert scores(hole)["bumpiness_density"] < 36 * 60 / (40 * 64)


def test_strips_of_rows_leave_no_seam(rng):
    tall = rng.random((300, 11))
    whole = bumpiness(tall)
    for top in (120, 128, 250):
        assert np.array_equal(bumpiness(tall[top:top + 12])[2:-2, 2:-2], whole[top + 2:top + 10, 2:-2])
    turned = [normal_errors(1 + item, 1 + item**2, np.arange(11) / 50, np.arange(len(item)) / 50) for item in
              (tall, tall[120:140])]
    step = (np.arange(120, 140) / 50)
    again = normal_errors(1 + tall[120:140], 1 + tall[120:140]**2, np.arange(11) / 50, step)
    assert np.allclose(again[1:-1, 1:-1], turned[0][121:139, 1:-1], atol=1e-4)


def plane(slope, shape=SHAPE, fx=60.0):
    """Inverse depth of the plane Z = 2 + slope X seen through a camera of fx px: 1/Z = (1 - slope x/fx) / 2."""
    x = (np.arange(shape[1]) - (shape[1] - 1) / 2) / fx
    return np.broadcast_to((1 - slope * x) / 2, shape)


def camera(shape=SHAPE, fx=60.0):
    return fx, fx, (shape[1] - 1) / 2, (shape[0] - 1) / 2


def test_the_angle_between_two_planes_is_that_of_their_normals():
    figures = compare(depth_map(plane(0.5), "metric"), depth_map(plane(0.0), "metric"), intrinsics=camera())
    expected = math.degrees(math.atan(0.5))
    assert figures["normal_error_deg"] == pytest.approx(expected, abs=0.05)
    assert "hci_normal_error_deg" not in figures, "the benchmark's own needs px_per_dioptre"
    both = compare(depth_map(plane(0.5), "metric"), depth_map(plane(0.0), "metric"), intrinsics=camera(), px_per_dioptre=9.0)
    assert both["normal_error_deg"] == figures["normal_error_deg"]
    assert abs(both["hci_normal_error_deg"] - expected) > 5, "its lateral coordinates count half"


@pytest.mark.parametrize("unknown", [np.nan, 0.0])
@pytest.mark.parametrize("which", [0, 1])
def test_normals_are_unknown_where_any_of_the_nine_pixels_is(which, unknown):
    pair = [1 + plane(0.1 + number) for number in (0, 1)]
    pair[which][20, 30] = unknown  # the operators themselves never look at the pixel in their middle
    found = normal_errors(*pair, np.arange(SHAPE[1]) / 60, np.arange(SHAPE[0]) / 60)
    expected = np.ones(SHAPE, bool)
    expected[1:-1, 1:-1] = False
    expected[19:22, 29:32] = True
    np.testing.assert_array_equal(np.isnan(found), expected)


def hci_angle(one, other, fx):
    """The benchmark's median angle of two square maps of depth, by loops: half coordinates, its kernel, wrapping round."""
    side = len(one)
    kernel = {(-1, -1): 3, (-1, 0): 10, (-1, 1): 3, (1, -1): -3, (1, 0): -10, (1, 1): -3}
    normals = []
    for depth in (one, other):
        scale = 0.5 * side / fx / (side - 1)
        points = np.array([[[j * scale * depth[i, j], i * scale * depth[i, j], depth[i, j]] for j in range(side)]
                           for i in range(side)])
        found = np.zeros((side, side, 3))
        for i in range(side):
            for j in range(side):
                down = sum(w * points[(i + a) % side, (j + b) % side] for (a, b), w in kernel.items())
                right = sum(w * points[(i + b) % side, (j + a) % side] for (a, b), w in kernel.items())
                normal = np.cross(down, right)
                found[i, j] = normal / np.linalg.norm(normal)
        normals.append(found)
    return np.median(np.degrees(np.arccos(np.clip((normals[0] * normals[1]).sum(axis=2), -1, 1))))


def test_hci_normals_are_those_of_its_formula_on_a_square(rng):
    one, other = (2 + 0.05 * rng.random((12, 12)) for _ in range(2))
    figures = compare(one, other, intrinsics=(30.0, 30.0, 5.5, 5.5), px_per_dioptre=9.0)
    assert figures["hci_normal_error_deg"] == pytest.approx(hci_angle(one, other, 30.0), abs=1e-4)
    assert abs(figures["normal_error_deg"] - figures["hci_normal_error_deg"]) > 0.1


# -- regions


def test_regions_are_scored_by_themselves():
    error = np.zeros(SHAPE)
    error[:, :10] = 0.2  # nearer
    error[:, 10:20] = -0.2
    error[:, 20:22] = np.nan
    masks = {name: np.zeros(SHAPE, bool) for name in REGIONS}
    masks["fine_surrounding"][:, 5:25] = True  # 5 nearer, 10 farther, 2 unknown, 3 right
    masks["fine"][:, 15:25] = True  # 5 farther, 2 unknown, 3 right
    masks["discontinuities"][:, 18:26] = True  # 2 off, 2 unknown, 4 right
    masks["planes"][:, 30:] = True
    masks["surfaces"][:, 8:12] = True
    figures = scores(error, regions=masks)
    assert figures["fine_fattening"] == 100 * 7 / 20 and figures["fine_thinning"] == 100 * 7 / 10
    assert figures["badpix_07_discontinuities"] == 50.0
    assert figures["bumpiness_planes_x100"] == 0.0 and figures["bumpiness_surfaces_x100"] == 5.0
    assert figures["regions"] == sorted(REGIONS)
    assert scores(error)["regions"] == []


def test_an_empty_region_gives_a_dash():
    figures = scores(np.zeros(SHAPE), regions={"fine": np.zeros(SHAPE), "planes": np.zeros(SHAPE)})
    assert figures["fine_thinning"] is None and figures["bumpiness_planes_x100"] is None


# -- fits across scales


def test_a_metric_result_is_fitted_to_a_disparity():
    disparity = np.linspace(-2, 2, 40 * 64).reshape(SHAPE)
    result = depth_map(0.87 + disparity / 8.777, "metric", 0.01)
    figures = compare(result, depth_map(disparity), align="affine")
    assert (figures["scale"], figures["unit"]) == ("affine", "px")
    assert figures["alignment"]["slope_px_per_dpt"] == pytest.approx(8.777, abs=1e-3)
    assert figures["badpix_01"] == 0.0
    with pytest.raises(ValueError, match="align affine or monotone"):
        compare(result, depth_map(disparity))


def test_a_monotone_fit_leaves_neighbours_outside_the_mask_unknown():
    truth = np.linspace(-2, 2, 40 * 64).reshape(SHAPE)
    mask = np.zeros(SHAPE)
    mask[10:20, 10:30] = 1
    figures = compare(depth_map(truth**3, "steps"), depth_map(truth), align="monotone", mask=mask)
    assert figures["badpix_01"] == 0.0 and figures["mask_share"] == 200 / (40 * 64)
    assert figures["bumpiness_density"] == 6 * 16 / 200 and figures["bumpiness_x100"] == pytest.approx(0, abs=1e-3)


def test_the_output_says_what_was_left_out():
    figures = scores(np.zeros(SHAPE), border=3)
    assert (figures["border_px"], figures["mask_share"], figures["resize"]) == (3, None, None)


# -- other sizes


def test_enlarging_repeats_the_nearest_pixel_exactly():
    small = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(to_grid(small, (4, 6)), np.kron(small, np.ones((2, 2))))
    assert to_grid(np.arange(2.0).reshape(1, 2), (3, 5)).tolist() == [[0, 0, 1, 1, 1]] * 3  # 2.5 of 5 is 1.0 of 2


def test_reducing_takes_the_median_of_the_known_pixels_of_each_cell():
    large = np.array([[1.0, 2, 9, np.nan, np.nan, np.nan], [3, 100, 9, 7, np.nan, np.nan]])
    assert np.array_equal(to_grid(large, (1, 3)), [[2.5, 9.0, np.nan]], equal_nan=True)
    column = np.array([[1.0, 2, 3, 4, 5]]).T @ np.ones((1, 5))
    assert to_grid(column, (2, 2))[:, 0].tolist() == [1.5, 4.0], "centres .5 1.5 | 2.5 3.5 4.5 of 5 in two cells"


def test_a_resized_depth_map_keeps_its_scale_and_sigma():
    found = to_grid(depth_map(np.kron(np.arange(6.0).reshape(2, 3), np.ones((3, 3))), "steps", 0.5), (2, 3))
    assert found.scale == "steps" and np.array_equal(found.values, np.arange(6).reshape(2, 3))
    assert np.array_equal(found.sigma, np.full((2, 3), 0.5))


@pytest.mark.parametrize("factor", [2, 0.5])
def test_resize_is_named_in_the_output_and_exact_on_blocks(factor):
    fine = np.kron(np.linspace(0, 3, 20 * 32).reshape(20, 32), np.ones((2, 2)))
    coarse = fine[::2, ::2]
    pair = (coarse, fine) if factor == 2 else (fine, coarse)
    figures = compare(*map(depth_map, pair), resize=True)
    assert figures["badpix_01"] == 0 and figures["density"] == 1 and figures["rmse_px"] == 0
    sizes = {"from_px": [32, 20], "to_px": [64, 40]} if factor == 2 else {"from_px": [64, 40], "to_px": [32, 20]}
    assert figures["resize"] == sizes | {"ratio": factor, "method": "nearest" if factor == 2 else "median of the known"}


@pytest.mark.parametrize(("shape", "resize", "words"), [
    ((20, 32), False, "32 x 20 px but reference is 64 x 40 px; pass resize=True \\(--resize\\)"),
    ((64, 40), False, "40 x 64 px but reference is 64 x 40 px; .*portrait orientation"),
    ((128, 80), True, "80 x 128 px but reference is 64 x 40 px; .*portrait orientation"),
    ((40, 62), False, "aspect ratios differ"), ((40, 62), True, "aspect ratios differ"), ((41, 64), True, "aspect ratios"),
])
def test_other_sizes_are_refused_with_both_sizes_and_the_way_out(shape, resize, words):
    with pytest.raises(ValueError, match=words):
        compare(depth_map(np.ones(shape)), depth_map(np.ones(SHAPE)), resize=resize)


def test_sizes_that_were_rounded_are_one_aspect_ratio():
    assert to_grid(np.ones((333, 500)), (667, 1000)).shape == (667, 1000)
    assert to_grid(np.ones((667, 1000)), (333, 500)).shape == (333, 500)


# -- wrong input


@pytest.mark.parametrize(("options", "words"), [
    ({"px_per_dioptre": 0.0}, "px_per_dioptre \\(0\\)"), ({"px_per_dioptre": math.nan}, "px_per_dioptre \\(nan\\)"),
    ({"intrinsics": (0, 60, 1, 1)}, "fx and fy positive"), ({"intrinsics": (60, 60)}, "must be fx, fy, cx, cy"),
    ({"regions": {"sky": np.ones(SHAPE)}}, "planes, surfaces, discontinuities"),
    ({"regions": {"fine": np.ones((3, 4))}}, "region fine is 4 x 3 px"),
    ({"regions": {"fine": np.ones(SHAPE)}}, "scored in px.*px_per_dioptre"),
])
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        compare(depth_map(plane(0.1), "metric"), depth_map(plane(0.0), "metric"), **options)


# -- the benchmark's own data


def test_antinous_and_a_disturbed_copy(rng):
    truth = read_map(shared_data("lf/hci_antinous/gt_disp_lowres.pfm"), quantity="disparity")
    assert truth.scale == "affine" and truth.shape == (512, 512)
    assert (truth.values.min(), truth.values.max()) == pytest.approx((-3.131, 2.689), abs=1e-3)
    same = compare(truth, truth, border=15)
    assert same["badpix_01"] == same["mse_x100"] == same["q25_x100"] == same["bumpiness_x100"] == 0
    assert same["n_reference"] == 482**2
    values = truth.values + 0.05 * rng.standard_normal(truth.shape).astype(np.float32)
    values[100:148, 50:98] = np.nan
    figures = compare(depth_map(values), truth, border=15)
    hidden = 100 * 48**2 / 482**2
    for name, limit in (("badpix_07", 0.07), ("badpix_03", 0.03), ("badpix_01", 0.01)):  # Gaussian tails
        expected = hidden + (100 - hidden) * math.erfc(limit / 0.05 / math.sqrt(2))
        assert figures[name] == pytest.approx(expected, abs=0.4)
    assert figures["badpix_07"] - figures["badpix_07_nan_counts_good"] == pytest.approx(hidden, abs=1e-9)
    assert figures["mse_x100"] == pytest.approx(0.25, abs=0.003)
    assert figures["q25_x100"] == pytest.approx(100 * 0.05 * 0.31864, abs=0.02)
