"""What a measured lens makes of a solved map: focus over the picture, limits, sigma; on maps, and from files to files."""

import json

import fakegpu
import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

import dfd
from dfd.assemble import outline
from dfd.depthmap import DepthMap
from dfd.io.sources import open_source
from dfd.lensfile import SCHEMA
from dfd.lensmap import LensMap, profile_remarks
from dfd.lenssigma import LensSigma
from dfd.pipeline import run
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

device = fakegpu.device
SHAPE = (60, 90)


def document(**changes):
    """A lens whose focus coordinate is the dioptre itself, measured from 0.5 to 2 m."""
    return {
        "schema": SCHEMA, "schema_version": "1.0.0", "camera": {"pixel_pitch_um": 10.0}, "lens": {"model": "One"},
        "validity": {"z_from_ep_mm": [500, 2000], "focus_coordinate": [0.4, 2.2]},
        "focus": {"coordinate": "encoder_step", "b_per_mm_per_unit": 1e-3}, "projection": {"fx_px_poly": [5000.0]},
        "aperture": [{"f_number_marked": 2, "diameter_eff_mm": 20.0}]} | changes


def shot(step, **values):
    return CameraSettings("a.npy", focus_coordinate=Value(step), f_number=Value(2.0), **values)


def lens_map(data=None, steps=(0.8, 1.0, 1.2), size=SHAPE, **options):
    settings = [shot(step) for step in steps]
    return LensMap.of(LensProfile(document() if data is None else data), settings, settings[0], size=size, **options)


def flat(values, sigma=0.01):
    values = np.broadcast_to(np.float32(values), SHAPE).copy()
    return DepthMap(values, np.full(SHAPE, sigma, np.float32), "metric")


FIELD = {"focus_offset_dpt": {"terms": ["y", "x", "r2", "r4"], "coef": [0.02, -0.01, 0.05, -0.03]},
         "axial_colour_dpt": {"R": 0.04, "B": -0.02}}


def test_the_field_is_that_of_its_terms_over_half_the_diagonal():
    found, (height, width) = lens_map(document(field=FIELD), mosaic=True).offset(SHAPE), SHAPE
    half = np.hypot(width, height) / 2
    for row, column in ((0, 0), (59, 0), (20, 70), (59, 89)):
        x, y = (column - 44.5) / half, (row - 29.5) / half
        square = x * x + y * y
        assert found[row, column] == pytest.approx(0.02 * y - 0.01 * x + 0.05 * square - 0.03 * square**2 + 0.005, abs=1e-7)


def test_a_reduced_map_has_the_field_of_the_middle_of_its_blocks():
    data = document(field={"focus_offset_dpt": {"terms": ["x", "y"], "coef": [0.3, -0.2]}})
    whole, small = lens_map(data).offset(SHAPE), lens_map(data, reduction=3).offset((20, 30))
    np.testing.assert_allclose(small, whole.reshape(20, 3, 30, 3).mean(axis=(1, 3)), atol=1e-6)


@pytest.mark.parametrize("mosaic, axial", [(True, 0.005), (False, 0.2126 * 0.04 - 0.0722 * 0.02)])
def test_colour_moves_the_focus_as_much_as_luminance_holds_of_it(mosaic, axial):
    made = lens_map(document(field={"axial_colour_dpt": FIELD["axial_colour_dpt"]}), mosaic=mosaic)
    assert made(flat(1.0)).values[5, 7] == pytest.approx(1.0 + axial, abs=1e-6)


def test_depths_outside_the_limits_are_unknown_and_the_share_is_told():
    values = np.full(SHAPE, 1.0, np.float32)
    values[:15], values[15:18] = 0.4, 2.5  # 2.5 m and 0.4 m
    before, made = flat(values), lens_map()
    after = made(before)
    assert not after.valid[:18].any() and np.isnan(after.sigma[:18]).all() and after.valid[18:].all()
    np.testing.assert_array_equal(after.values[18:], before.values[18:])
    remark, = made.remarks(before, after)
    assert remark == ("30.0% of the depths lie outside 0.5 to 2 m from the entrance pupil, where lens profile One was "
                      "measured, and are unknown: nothing is extrapolated; calibrate more distances")
    assert made.figures(before, after)["valid_depth_m"] == pytest.approx([0.5, 2.0])
    assert made.figures(before, after)["outside_share"] == pytest.approx(0.3)


def test_the_field_counts_before_the_limits():
    data = document(field={"focus_offset_dpt": {"terms": ["x"], "coef": [0.1]}})
    after = lens_map(data)(flat(2.0))
    assert after.valid[:, :45].all() and not after.valid[:, 45:].any(), "what lies nearer than 0.5 m after correction"


def test_blur_beyond_what_was_measured_in_every_image_is_outside_too():
    """100 px per dioptre, 0.8 to 1.2 dioptre, at most 30 px: 0.5 to 1.5 dioptre."""
    data = document(validity={"z_from_ep_mm": [500, 4000], "c_abs_px": [2, 30]})
    made = lens_map(data)
    assert made.limits == pytest.approx((1.5, 0.5), abs=1e-9)
    assert lens_map(document(validity={"c_abs_px": [2, 30]}), steps=(1.0,)).limits == pytest.approx((1.3, 0.7), abs=1e-9)


def test_what_is_within_the_limits_is_no_remark():
    assert lens_map().remarks(flat(1.0), lens_map()(flat(1.0))) == ()


UNCERTAIN = {"names": ["b", "fx0", "D_2"], "matrix": [[1e-12, 0, 0], [0, 400.0, 0], [0, 0, 0.01]]}


def test_sigma_holds_that_of_the_lens_at_every_pixel(device):
    rng = np.random.default_rng(3)
    values = rng.uniform(0.5, 2.0, SHAPE).astype(np.float32)
    values[0, :9] = np.nan
    data = document(covariance=UNCERTAIN)
    exact = LensSigma.of(LensProfile(data), [shot(0.8), shot(1.2)], shot(0.8))(values)
    sigma = np.where(np.isnan(values), np.nan, 0.002).astype(np.float32)
    result = DepthMap(device.put(values), device.put(sigma), "metric")
    made = lens_map(data, steps=(0.8, 1.2))(result).numpy()
    away = np.abs(values - 1.0) > 0.001  # at 1 dioptre the nearest image changes
    np.testing.assert_allclose(made.sigma[away], np.hypot(0.002, exact)[away], rtol=2e-4)
    assert np.isnan(made.sigma[0, :9]).all() and made.sigma.dtype == np.float32


def test_figures_say_how_much_of_sigma_is_the_lens():
    data = document(covariance={"names": ["b"], "matrix": [[9e-12]]})
    made, before = lens_map(data, steps=(1.0,)), flat(1.0, sigma=0.004)
    figures = made.figures(before, made(before))
    assert figures["sigma"]["median_dpt"] == pytest.approx(0.003, rel=1e-4)
    assert figures["sigma"]["variance_share"] == pytest.approx(0.36, rel=1e-4)


@pytest.mark.parametrize("settings", [
    CameraSettings("a.npy", focal_length=Value(0.05), f_number=Value(2.0), focus_distance=Value(1.0)),
    CameraSettings("a.npy", power=Value(20.0), image_distance=Value(0.06), f_number=Value(2.0)),
])
def test_nothing_is_done_where_the_measured_law_is_not_used(settings):
    profile = LensProfile(document(covariance=UNCERTAIN, field=FIELD))
    assert LensMap.of(profile, [shot(1.0), settings], shot(1.0), size=SHAPE) is None
    assert LensMap.of(profile, [shot(1.0)], settings, size=SHAPE) is None


def test_a_profile_that_states_nothing_of_this_does_nothing():
    assert lens_map(document(validity={})) is None


def test_a_solver_searches_as_far_as_the_field_reaches():
    data = document(field={"focus_offset_dpt": {"terms": ["x"], "coef": [0.1]}})
    made, reach = lens_map(data), 0.1 * 44.5 / (np.hypot(*SHAPE) / 2)
    assert made.searched((1.5, 0.8)) == pytest.approx((1.5 + reach, 0.8 - reach), abs=1e-6)
    assert made.searched(None) is None and lens_map().searched((1.5, 0.8)) == (1.5, 0.8)


@pytest.mark.parametrize("changes, expected", [
    ({}, []),
    ({"schema_version": "1.3.0"}, ["schema_version 1.3.0, newer than this dfd knows"]),
    ({"aperture": [{"f_number_marked": 2, "diameter_eff_mm": 20.0, "defined_with": "gauss_esf"}]},
     [r"(f/2: gauss_esf, not disc_gauss_v1); they are taken as 3% uncertain"]),
])
def test_what_is_doubtful_about_a_profile_is_told(changes, expected):
    found = profile_remarks(LensProfile(document(**changes)))
    assert len(found) == len(expected) and all(words in text for words, text in zip(expected, found, strict=True))


# --- from files to files ---------------------------------------------------------------------------------


SIZE, FOCI, CURVE = (120, 180), np.linspace(0.7, 1.3, 7), -0.2
CURVED = {"focus_offset_dpt": {"terms": ["r2"], "coef": [CURVE]}}


def squared_radius(shape):
    """(H, W) r^2 of every pixel, r = 1 in the corner of the picture."""
    y, x = np.indices(shape)
    return ((x - (shape[1] - 1) / 2)**2 + (y - (shape[0] - 1) / 2)**2) / (np.hypot(*shape) / 2)**2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plane at 1 m in 7 frames of a lens of 50 px of blur per dioptre whose focus lies CURVE r^2 off the middle's."""
    path, rng = tmp_path_factory.mktemp("curved") / "stack", np.random.default_rng(5)
    path.mkdir()
    texture = gaussian_filter(rng.normal(size=SIZE), 0.7)
    texture *= 0.15 / texture.std()
    cocs = np.arange(0.0, 40.0, 0.5)
    levels = np.array([gaussian_filter(texture, coc / 4, mode="reflect") for coc in cocs])
    row, column = np.indices(SIZE)
    lines = ['kind = "focal-stack"', "[camera]", "f_number = 2.0", "linear = true", "black_level = 0", "white_level = 1",
             'psf = "gaussian"', "gain_e_per_dn = 1e5", "read_noise_e = 3"]
    for index, focus in enumerate(FOCI):
        place = np.abs(50 * (1.0 - (focus + CURVE * squared_radius(SIZE)))) / 0.5
        below = place.astype(int)
        part = place - below
        image = levels[below, row, column] * (1 - part) + levels[below + 1, row, column] * part
        noisy = 0.5 + image + rng.normal(0, 0.002, SIZE)
        np.save(path / f"{index}.npy", noisy.astype(np.float32))
        lines += ["", "[[frames]]", f'file = "{index}.npy"', f"focus_coordinate = {float(focus)!r}", "exposure_s = 0.01"]
    (path / "capture.toml").write_text("\n".join(lines) + "\n")
    return path


def measured(**changes):
    return LensProfile(document(projection={"fx_px_poly": [2500.0]}, **changes))


def test_a_plane_seen_through_a_curved_field_is_a_plane(folder):
    flat_lens = dfd.estimate_depth(dfd.read_capture(folder, lens=measured(), align="none"))
    result = dfd.estimate_depth(dfd.read_capture(folder, lens=measured(field=CURVED), align="none"))
    corner = squared_radius(SIZE) > 0.6
    assert np.nanmedian(flat_lens.values[corner]) > 1.12
    for part in (corner, squared_radius(SIZE) < 0.1, np.ones(SIZE, bool)):
        assert np.nanmedian(result.values[part]) == pytest.approx(1.0, abs=0.006)
    assert result.valid.mean() > 0.9


def test_a_run_adds_the_sigma_of_the_lens_and_says_so(folder, tmp_path):
    plain = run(folder, tmp_path / "plain", lens=measured(field=CURVED), align="none")
    known = {"names": ["b"], "matrix": [[4e-10]]}  # 2 % of the focus: 0.02 dioptre
    outcome = run(folder, tmp_path / "out", lens=measured(field=CURVED, covariance=known), align="none")
    np.testing.assert_array_equal(outcome.result.values, plain.result.values)
    np.testing.assert_array_equal(outcome.index, plain.index)
    places = FOCI[np.argmin(np.abs(plain.result.values[..., None] - FOCI), axis=-1)]
    expected = np.hypot(plain.result.sigma, 0.02 * places)
    sure = plain.result.valid & (np.abs(plain.result.values[..., None] - FOCI).min(axis=-1) < 0.045)
    np.testing.assert_allclose(outcome.result.sigma[sure], expected[sure], rtol=0.02)
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["lens_sigma"]["median_dpt"] == pytest.approx(0.02, rel=0.03)
    assert 0.5 < record["lens_sigma"]["variance_share"] <= 1
    assert record["lens"]["valid_depth_m"] == pytest.approx([0.5, 2.0]) and record["lens"]["field_dpt"] == {"r2": CURVE}
    assert json.loads((tmp_path / "plain" / "result.json").read_text())["lens_sigma"] is None
    sigma = tifffile.imread(tmp_path / "out" / "sigma.tiff")
    assert np.nanmedian(sigma) == pytest.approx(0.02, rel=0.1)  # metres, at 1 m


def test_what_lies_beyond_the_measured_depths_is_unknown_and_told(folder, tmp_path):
    lens = measured(field=CURVED, validity={"z_from_ep_mm": [1100, 2000]})
    outcome = run(folder, tmp_path / "out", lens=lens, align="none")
    assert outcome.result.valid.mean() < 0.01
    assert any("of the depths lie outside 1.1 to 2 m" in text for text in outcome.warnings)
    with pytest.warns(UserWarning, match=r"of the depths lie outside 1.1 to 2 m from the entrance pupil"):
        result = dfd.estimate_depth(dfd.read_capture(folder, lens=lens, align="none"))
    assert result.valid.mean() < 0.01


def test_from_the_sensor_mark_the_height_of_the_pupil_adds_its_sigma(folder, tmp_path):
    height = {"reference": {"z_ep_from_sensor_mm": {"poly": [60.0], "sigma": 30.0}}}
    near = run(folder, tmp_path / "pupil", lens=measured(field=CURVED, **height), align="none")
    far = run(folder, tmp_path / "sensor", lens=measured(field=CURVED, **height), align="none", origin="sensor")
    added = np.sqrt(np.nanmedian(far.result.sigma)**2 - np.nanmedian(near.result.sigma)**2)
    assert added == pytest.approx(0.03, rel=0.05)  # dioptre at 1 dioptre
    np.testing.assert_allclose(far.maps[0], near.maps[0] + 0.06, atol=1e-6)


@pytest.mark.parametrize("kind, grid, applied", [
    ("dual-pixel", [[1.0]], False), ("dual-pixel", None, True), ("focal-stack", [[1.0]], True)])
def test_a_focus_grid_of_a_dual_pixel_pair_takes_the_place_of_the_field(tmp_path, kind, grid, applied):
    lines = [f'kind = "{kind}"', "[camera]", "f_number = 2.0", "linear = true", "black_level = 0", "white_level = 1"]
    for index, view in enumerate(("left", "right")):
        np.save(tmp_path / f"{index}.npy", np.full((40, 60), 0.5, np.float32))
        focus = 1.0 if kind == "dual-pixel" else 1.0 + 0.2 * index
        lines += ["[[frames]]", f'file = "{index}.npy"', f"focus_coordinate = {focus}"]
        lines += [f'view = "{view}"'] if kind == "dual-pixel" else []
    (tmp_path / "capture.toml").write_text("\n".join(lines))
    lens = measured(field=CURVED, dual_pixel={"kappa_grid": [[0.1]], "focus_dpt_grid": grid})
    made = outline(open_source(tmp_path, lens=lens), 2).lens_map
    assert bool(made.terms) is applied and (made.size, made.reduction) == ((40, 60), 2)
