"""The Python door end to end: files -> capture -> depth -> comparison with the truth, and every option of the main job.

One rendered stack (slant and sphere, 50 mm f/4, 9 frames, 0.55 to 0.98 m) is written as DNG, TIFF and npy.  The tests
change what the files or capture.toml say and ask what must stay the same.
"""

import json
import math
import re
import shutil
import warnings
from dataclasses import replace

import cv2
import fakegpu
import numpy as np
import pytest
import tifffile

import dfd
from dfd.assemble import prepare_capture
from dfd.capture import AperturePair, Capture, DifferentialQuad, DualPixelPair, FocalStack
from dfd.depthmap import DepthMap
from dfd.io.maps import read_map
from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.lensfile import SCHEMA, SCHEMA_VERSION
from dfd.pipeline import run
from dfd.profile import LensProfile
from dfd.psf import Psf
from dfd.simulate import simulate_capture, true_inverse_depth

device = fakegpu.device
SHAPE, FRAMES = (200, 300), 9
FOCAL_LENGTH, F_NUMBER, PITCH = 0.05, 4.0, 12e-6
OPTICS_LINES = ("focal_length_mm = ...  # in [camera]", "f_number = ...  # in [camera]",
                "pixel_pitch_um = ...  # in [camera]", "focus_distance_m = ...  # in every [[frames]]")


@pytest.fixture(scope="module")
def simulation():
    return simulate_capture("focal-stack", scene="slant-sphere", preset="50mm-f4-12um", size=SHAPE, frames=FRAMES, seed=3)


@pytest.fixture(scope="module")
def folders(simulation, tmp_path_factory):
    """The stack in every format, and once more as DNG without capture.toml."""
    base = tmp_path_factory.mktemp("stack")
    for name in ("dng", "tiff", "npy"):
        write_simulation(simulation, base / name, format=name)
    (base / "exif").mkdir()
    for path in (base / "dng").glob("*.dng"):
        shutil.copy(path, base / "exif")
    return base


@pytest.fixture(scope="module")
def truth(folders):
    return read_map(folders / "npy")


@pytest.fixture(scope="module")
def results(folders):
    """Name of each format -> its DepthMap by the Python door; only distances from EXIF are worth a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {name: dfd.estimate_depth(dfd.read_capture(folders / name)) for name in ("dng", "tiff", "npy")}
    with pytest.warns(UserWarning, match="EXIF SubjectDistance are uncertain by 7%") as told:
        found["exif"] = dfd.estimate_depth(dfd.read_capture(folders / "exif"))
    assert len(told) == 1
    return found


@pytest.fixture
def stack(folders, tmp_path):
    """A copy of the npy stack that a test may change."""
    return shutil.copytree(folders / "npy", tmp_path / "stack")


def rewrite(folder, change):
    """Pass the [[frames]] tables of capture.toml through `change`, a function from their list to a list."""
    path = folder / "capture.toml"
    head, *tables = path.read_text().split("[[frames]]\n")
    path.write_text(head + "".join(f"[[frames]]\n{table.strip()}\n\n" for table in change(tables)))


def tables_with(pattern, lines):
    """A change that replaces what matches `pattern` in table k by lines[k]."""
    return lambda tables: [re.sub(pattern, line, table) for table, line in zip(tables, lines, strict=True)]


def scaled(folder, factors):
    """The same frames, each times its factor."""
    for path, factor in zip(sorted(folder.glob("*.npy")), factors, strict=True):
        np.save(path, np.load(path) * np.float32(factor))


def solve(folder, **options):
    return dfd.estimate_depth(dfd.read_capture(folder, **options))


def agree(one, other, *, median, most=1.0, both=0.9):
    """Median of |difference| [unit of the maps] where both know, within `most` combined sigmas for 90 % of the pixels."""
    known = (one.valid & other.valid)
    assert known.mean() > both
    difference = np.abs(one.values - other.values)[known]
    assert np.median(difference) <= median
    assert np.percentile(difference / np.hypot(one.sigma, other.sigma)[known], 90) <= most


# -- accuracy


@pytest.mark.parametrize("name", ["dng", "exif", "tiff", "npy"])
def test_depth_is_metric_and_right_from_every_format(results, truth, name):
    result = results[name]
    figures = dfd.compare(result, truth)
    assert result.scale == "metric" and result.shape == SHAPE
    assert figures["density"] >= 0.92
    assert figures["median_relative_error"] <= 0.0015 and figures["mean_relative_error"] <= 0.005
    assert abs(figures["median_error_dpt"]) <= 0.002
    assert 0.6 <= figures["coverage_1_sigma"] <= 0.85
    np.testing.assert_allclose(result.depth[result.valid], 1 / result.values[result.valid], rtol=1e-6)


def test_all_formats_show_the_same_depth(results):
    agree(results["tiff"], results["npy"], median=1e-5, most=0.05)
    agree(results["dng"], results["npy"], median=2e-3, most=1.0)


def test_exif_alone_gives_the_depth_of_capture_toml(results, folders):
    source = open_source(folders / "exif")
    assert source.scale == "metric" and source.missing == ()
    assert source.frames[0].settings.distance_from == "sensor"
    assert source.frames[0].settings.focus_distance.source == "EXIF SubjectDistance"
    agree(results["exif"], results["dng"], median=1e-4, most=0.1)


def test_files_given_one_by_one_are_the_folder(folders, results):
    files = sorted((folders / "npy").glob("*.npy"), reverse=True)
    given = solve(files, reference=FRAMES // 2)
    np.testing.assert_array_equal(given.values, results["npy"].values)


# -- breathing and borders


def test_frames_are_brought_to_the_grid_of_the_reference(simulation, folders):
    capture = dfd.read_capture(folders / "npy")
    reference = simulation.lenses[FRAMES // 2]
    assert isinstance(capture, FocalStack)
    assert all(math.isclose(view.lens.fx, reference.fx, rel_tol=1e-9) for view in capture.views)
    foci = [lens.focus for lens in simulation.lenses]
    np.testing.assert_allclose(capture.coordinates, foci, atol=1e-6)


def test_breathing_is_corrected_up_to_the_border(results, truth, folders):
    """Frame 0 is 2.2 % larger than the reference: 3.9 px at the corner.  Left alone, it pulls depth at the border."""
    border = np.ones(SHAPE, bool)
    border[20:-20, 20:-20] = False

    def error(result):
        return np.nanmedian(np.abs(result.values - truth.values)[border])

    assert error(results["npy"]) <= 0.0016
    assert error(solve(folders / "npy", align="none")) >= 1.4 * error(results["npy"])


def test_where_a_frame_does_not_reach_it_is_nan_and_nothing_is_made_up(simulation, folders, truth):
    capture = dfd.read_capture(folders / "npy")
    near = np.isnan(capture.images[0])
    margin = (SHAPE[1] - 1) / 2 * (1 - simulation.lenses[FRAMES // 2].fx / simulation.lenses[0].fx)
    assert margin > 3
    assert near[:, :int(margin)].all() and near[:, SHAPE[1] - int(margin):].all()
    assert not near[10:-10, 10:-10].any()
    assert not np.isnan(capture.images[FRAMES // 2:]).any()
    result = dfd.estimate_depth(capture)
    assert result.valid[near].mean() >= 0.6
    assert np.nanmedian(np.abs(result.values - truth.values)[near]) <= 0.004


@pytest.mark.parametrize("reference", [0, FRAMES - 1])
def test_the_result_is_in_the_grid_of_the_reference_asked_for(simulation, folders, reference):
    exact = true_inverse_depth(simulation.scene, simulation.lenses[reference], SHAPE)
    exact = DepthMap(exact, np.full_like(exact, np.nan), "metric")
    figures = dfd.compare(solve(folders / "npy", reference=reference), exact)
    assert figures["median_relative_error"] <= 0.0015 and figures["density"] >= 0.85


# -- alignment


@pytest.fixture(scope="module")
def shifted(folders, tmp_path_factory):
    """The stack with frames 2 and 6 displaced by whole pixels."""
    folder = shutil.copytree(folders / "npy", tmp_path_factory.mktemp("shifted") / "stack")
    for number, shift in ((2, (3, -2)), (6, (-1, 4))):
        path = folder / f"frame_{number:02d}.npy"
        np.save(path, np.roll(np.load(path), shift, axis=(0, 1)))
    return folder


@pytest.fixture(scope="module")
def aligned(shifted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned") / "out"
    return folder, run(shifted, folder)


def test_alignment_finds_displaced_frames(shifted, aligned, results, truth):
    folder, outcome = aligned
    content = json.loads((folder / "transforms.json").read_text())
    moved = {entry["file"]: np.array(entry["matrix"]) for entry in content["frames"]}
    centre = np.array([(SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, 1])
    for name, (down, right) in {"frame_02.npy": (3, -2), "frame_06.npy": (-1, 4), "frame_04.npy": (0, 0)}.items():
        np.testing.assert_allclose((moved[name] @ centre - centre)[:2], (right, down), atol=0.4)
    found = dfd.compare(outcome.result, truth)
    assert found["median_relative_error"] <= 0.0015
    left = dfd.compare(solve(shifted, align="none"), truth)
    assert left["mean_relative_error"] > 1.5 * found["mean_relative_error"]


def test_an_earlier_alignment_gives_the_same_result_again(shifted, aligned, tmp_path):
    folder, outcome = aligned
    again = run(shifted, tmp_path / "again", align=folder / "transforms.json")
    np.testing.assert_array_equal(again.result.values, outcome.result.values)
    for name in ("depth.tiff", "sigma.tiff", "allfocus.tiff", "index.tiff"):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "again" / name), tifffile.imread(folder / name))
    assert json.loads((tmp_path / "again" / "transforms.json").read_text())["frames"] \
        == json.loads((folder / "transforms.json").read_text())["frames"]


def test_no_alignment_writes_no_transforms(folders, tmp_path):
    outcome = run(folders / "npy", tmp_path / "out", align="none")
    assert outcome.transforms is None and not (tmp_path / "out" / "transforms.json").exists()


def test_an_alignment_of_other_files_is_refused(aligned, folders):
    with pytest.raises(ValueError, match=r"transforms.json: .*without an entry: \['frame_00.tiff'"):
        dfd.read_capture(folders / "tiff", align=aligned[0] / "transforms.json")


# -- brightness


FACTORS = np.array([1, 0.5, 2, 0.25, 1, 0.5, 0.7, 1, 0.4]) * 0.45


def test_exposure_times_are_divided_out(stack, results):
    scaled(stack, FACTORS)
    rewrite(stack, tables_with(r"exposure_s = \S+", [f"exposure_s = {0.01 * factor:.9f}" for factor in FACTORS]))
    capture = dfd.read_capture(stack)
    means = np.nanmean(capture.images[:, 20:-20, 20:-20], axis=(1, 2))
    np.testing.assert_allclose(means, means[FRAMES // 2], rtol=0.01)
    agree(dfd.estimate_depth(capture), results["npy"], median=1e-3, most=0.5)


def test_noise_is_multiplied_as_its_frame_is(stack):
    """A frame of half the light has half the electrons per unit of corrected brightness."""
    scaled(stack, FACTORS)
    rewrite(stack, tables_with(r"exposure_s = \S+", [f"exposure_s = {0.01 * factor:.9f}" for factor in FACTORS]))
    noises = [view.noise for view in dfd.read_capture(stack).views]
    np.testing.assert_allclose([noise.gain / noises[FRAMES // 2].gain for noise in noises], FACTORS / FACTORS[FRAMES // 2],
                               rtol=0.002)
    assert len({noise.read_noise for noise in noises}) == 1


def test_flicker_is_corrected_before_frames_are_compared(stack):
    """What the all-in-focus image chooses frames by must not follow the light."""
    steady = prepare_capture(open_source(stack)).around
    scaled(stack, np.where(np.arange(FRAMES) % 2, 0.8, 1.0))
    rewrite(stack, tables_with(r"exposure_s = \S+", [""] * FRAMES))
    np.testing.assert_allclose(prepare_capture(open_source(stack)).around, steady, rtol=0.02)


def test_a_preview_has_the_blur_of_its_own_larger_pixels(folders, monkeypatch):
    monkeypatch.setattr("dfd.assemble.PREVIEW_PX", 150)
    source = replace(open_source(folders / "npy"), psf=Psf("disk-gaussian", 0.6))
    whole, half = (prepare_capture(source, align="none", preview=preview).capture for preview in (False, True))
    assert half.shape == (100, 150) and half.views[0].psf.core == pytest.approx(0.3, abs=1e-9)  # px
    assert half.views[0].lens.pixel_pitch == pytest.approx(2 * whole.views[0].lens.pixel_pitch, rel=1e-9)


def test_iso_and_aperture_count_as_exposure_does(stack, results):
    scaled(stack, np.where(np.arange(FRAMES) % 2, 0.5, 1.0))
    rewrite(stack, tables_with(r"iso = \S+", [f"iso = {50 if k % 2 else 100}" for k in range(FRAMES)]))
    agree(solve(stack), results["npy"], median=1e-3, most=0.5)


def test_one_frame_without_exposure_means_equal_exposure_and_the_rest_is_measured(stack, results):
    """Stated times are wrong here: they must not be used, and the residual gain must repair the real factors."""
    factors = np.where(np.arange(FRAMES) == FRAMES // 2, 1.0, FACTORS / 0.45 * 0.5)
    scaled(stack, factors)
    lines = ["" if k == 5 else f"exposure_s = {0.01 * (k + 1)}" for k in range(FRAMES)]
    rewrite(stack, tables_with(r"exposure_s = \S+", lines))
    capture = dfd.read_capture(stack)
    means = np.nanmean(capture.images[:, 20:-20, 20:-20], axis=(1, 2))
    np.testing.assert_allclose(means, means[FRAMES // 2], rtol=0.01)
    agree(dfd.estimate_depth(capture), results["npy"], median=1e-3, most=0.5)


# -- capture.toml


def test_frames_may_stand_in_any_order(stack, results):
    rewrite(stack, lambda tables: [tables[k] for k in (4, 0, 8, 2, 6, 1, 7, 3, 5)])
    np.testing.assert_array_equal(solve(stack).values, results["npy"].values)


def test_focus_in_dioptres_is_focus_in_metres(stack, results, simulation):
    rewrite(stack, tables_with(r"focus_distance_m = \S+", [f"focus_dpt = {lens.focus!r}" for lens in simulation.lenses]))
    agree(solve(stack), results["npy"], median=1e-6, most=1e-3)


def test_focus_distances_of_the_call_win_over_capture_toml(stack, results, simulation):
    distances = [1 / lens.focus for lens in simulation.lenses]
    rewrite(stack, tables_with(r"focus_distance_m = \S+", [f"focus_distance_m = {3.0 + k}" for k in range(FRAMES)]))
    agree(solve(stack, focus_distances=distances), results["npy"], median=1e-6, most=1e-3)


def test_distances_from_the_sensor_mark_are_another_way_to_say_the_same(stack, results, simulation):
    path = stack / "capture.toml"
    path.write_text(path.read_text().replace('distance_from = "pupil"', 'distance_from = "sensor"'))
    lines = [f"focus_distance_m = {1 / lens.focus + lens.image_distance!r}" for lens in simulation.lenses]
    rewrite(stack, tables_with(r"focus_distance_m = \S+", lines))
    agree(solve(stack), results["npy"], median=1e-6, most=1e-3)


def measured_lens(pupil_height_mm=None):
    """What calibration would write for exactly this lens; the focus coordinate is the dioptre itself."""
    focus = np.linspace(0.8, 2.2, 40)
    fx = 1 / ((1 / FOCAL_LENGTH - focus) * PITCH)
    data = {
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION, "profile_id": "sha256:00",
        "camera": {"make": "dfd", "model": "simulator", "pixel_pitch_um": PITCH * 1e6},
        "lens": {"focal_nominal_mm": FOCAL_LENGTH * 1e3},
        "validity": {"focus_coordinate": [0.8, 2.2], "f_numbers": [F_NUMBER]},
        "focus": {"coordinate": "encoder_step", "law": "moebius_spline", "a_per_mm": 0.0, "b_per_mm_per_unit": 1e-3,
                  "d_per_unit": 0.0, "spline": {"knots": [], "rel": []}},
        "projection": {"fx_px_poly": np.polynomial.Polynomial.fit(focus, fx, 4).convert().coef.tolist()},
        "aperture": [{"f_number_marked": F_NUMBER, "diameter_eff_mm": FOCAL_LENGTH / F_NUMBER * 1e3}],
    }
    if pupil_height_mm is not None:
        data["reference"] = {"depth_origin": "entrance_pupil", "z_ep_from_sensor_mm": {"poly": [pupil_height_mm],
                                                                                      "sigma": None}}
    return LensProfile(data)


def test_a_calibrated_profile_of_the_same_lens_gives_the_same_depth(stack, results, simulation, tmp_path):
    measured_lens().save(tmp_path / "lens.json")
    lines = [f"focus_coordinate = {lens.focus!r}" for lens in simulation.lenses]
    rewrite(stack, tables_with(r"focus_distance_m = \S+", lines))
    assert open_source(stack).scale == "steps"
    for lens in (tmp_path / "lens.json", str(tmp_path / "lens.json"), measured_lens()):
        capture = dfd.read_capture(stack, lens=lens)
        assert capture.scale == "metric"
        assert capture.views[0].lens.blur_rate == pytest.approx(simulation.lenses[FRAMES // 2].blur_rate, rel=1e-6)
    agree(dfd.estimate_depth(capture), results["npy"], median=1e-5, most=1e-2)


# -- scales without metres


def test_without_optics_the_scale_is_steps_and_the_missing_lines_are_named(stack, results, simulation):
    (stack / "capture.toml").unlink()
    source = open_source(stack)
    assert (source.scale, source.missing, len(source.frames)) == ("steps", OPTICS_LINES, FRAMES)
    result = solve(stack)
    assert (result.scale, result.unit) == ("steps", "frame")
    with pytest.raises(ValueError, match="needs a metric result, this one has scale steps"):
        result.depth
    foci = np.array([lens.focus for lens in simulation.lenses])
    dioptres = np.interp(result.values, np.arange(FRAMES), foci)
    known = result.valid & results["npy"].valid
    assert known.mean() > 0.85
    assert np.median(np.abs(dioptres - results["npy"].values)[known]) <= 0.004


def test_rail_positions_give_metres_along_the_rail(stack, results):
    (stack / "capture.toml").write_text("[camera]\nlinear = true\n" + "".join(
        f'[[frames]]\nfile = "frame_{k:02d}.npy"\nstage_position_mm = {12.5 - 0.25 * k}\n' for k in range(FRAMES)))
    result = solve(stack)
    assert (result.scale, result.unit) == ("stage", "m")
    steps = (12.5e-3 - result.values) / 0.25e-3
    (stack / "capture.toml").unlink()
    other = solve(stack, reference=FRAMES // 2)
    known = result.valid & other.valid
    assert known.mean() > 0.85 and np.nanmax(result.values) <= 12.5e-3 and np.nanmin(result.values) >= 10.5e-3
    assert np.median(np.abs(steps - other.values)[known]) <= 0.03


def test_one_missing_number_is_named_alone(stack):
    path = stack / "capture.toml"
    path.write_text(re.sub("f_number = .*\n", "", path.read_text()))
    source = open_source(stack)
    assert (source.scale, source.missing) == ("steps", ("f_number = ...  # in [camera]",))


# -- options of estimate_depth


def test_near_and_far_cut_the_range_and_change_nothing_inside(folders, results):
    whole = results["npy"]
    result = dfd.estimate_depth(dfd.read_capture(folders / "npy"), near=0.65, far=0.8)
    inside = (whole.depth >= 0.65) & (whole.depth <= 0.8)
    assert 0.1 < inside.mean() < 0.9
    np.testing.assert_array_equal(result.valid, inside)
    np.testing.assert_array_equal(result.values[inside], whole.values[inside])
    assert np.isnan(result.sigma[~inside]).all()


@pytest.mark.parametrize(("near", "far", "message"), [
    (0.9, 0.6, r"near \(0.9 m\) must be zero or positive and less than far \(0.6 m\)"), (-1, None, r"near \(-1 m\)")])
def test_a_range_that_is_none_is_refused_before_solving(folders, near, far, message):
    capture = dfd.read_capture(folders / "npy", align="none")
    with pytest.raises(ValueError, match=message):
        dfd.estimate_depth(capture, near=near, far=far, progress=lambda *_: pytest.fail("solved"))


def test_the_device_gives_the_same_depth(device, folders, results):
    capture = dfd.read_capture(folders / "npy")
    result = dfd.estimate_depth(capture, device=device.word, near=0.6)
    assert device.owns(result.values) and device.owns(result.sigma)
    host = results["npy"].keep(results["npy"].depth >= 0.6)
    assert (result.numpy().valid == host.valid).mean() > 0.999
    agree(result.numpy(), host, median=1e-5, most=0.02, both=0.7)


def test_the_whole_job_runs_on_a_device_and_says_so(folders, results, tmp_path):
    with fakegpu.installed():
        outcome = run(folders / "npy", tmp_path / "out", device="cuda")
    assert outcome.device == "cuda" and isinstance(outcome.result.values, np.ndarray)
    agree(outcome.result, results["npy"], median=1e-5, most=0.02)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["device"] == "cuda"


def test_cuda_without_a_gpu_is_an_error_that_names_the_next_step(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("dfd.backend.has_gpu", lambda: False)
    capture = dfd.read_capture(folders / "npy", align="none")
    with pytest.raises(ValueError, match=r"device 'cuda': no CUDA GPU .* install cupy-cuda12x .*, or use --device cpu"):
        dfd.estimate_depth(capture, device="cuda")
    with pytest.raises(ValueError, match="no CUDA GPU"):
        run(folders / "npy", tmp_path / "out", device="cuda")
    assert dfd.estimate_depth(capture, device="auto").valid.mean() > 0.9


def test_progress_counts_every_stage_to_its_end(folders, tmp_path):
    seen = {}

    def note(stage, done, total):
        seen.setdefault(stage, []).append((done, total))

    run(folders / "npy", tmp_path / "out", progress=note)
    assert list(seen) == ["decode", "align", "register", "solve", "all-in-focus"]
    for counts in seen.values():
        assert counts[-1][0] == counts[-1][1] and [done for done, _ in counts] == sorted(done for done, _ in counts)


# -- options of the whole job


@pytest.fixture(scope="module")
def plain(folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "out"
    return folder, run(folders / "npy", folder)


def test_the_written_depth_is_the_depth_in_metres(plain, results):
    folder, outcome = plain
    np.testing.assert_array_equal(outcome.result.values, results["npy"].values)
    np.testing.assert_array_equal(tifffile.imread(folder / "depth.tiff"), results["npy"].depth)
    np.testing.assert_array_equal(tifffile.imread(folder / "sigma.tiff"), results["npy"].depth_sigma)
    back = read_map(folder)
    agree(back, results["npy"], median=1e-6, most=1e-3)


def test_from_the_sensor_every_depth_is_larger_by_the_image_distance(plain, folders, simulation, tmp_path):
    outcome = run(folders / "npy", tmp_path / "out", origin="sensor", near=0.70, far=0.85)
    offset = simulation.lenses[FRAMES // 2].image_distance
    assert outcome.origin_offset == pytest.approx(offset, abs=1e-9)
    depth, before = tifffile.imread(tmp_path / "out" / "depth.tiff"), tifffile.imread(plain[0] / "depth.tiff")
    expected = before + offset
    inside = (expected >= 0.70) & (expected <= 0.85)
    clear = np.isnan(expected) | (np.minimum(abs(expected - 0.70), abs(expected - 0.85)) > 1e-6)  # float32 rounds at a limit
    np.testing.assert_array_equal(np.isfinite(depth)[clear], inside[clear])
    assert clear.mean() > 0.999 and inside.any() and not inside.all()
    both = inside & clear
    np.testing.assert_allclose(depth[both], expected[both], atol=1e-6)
    parameters = json.loads((tmp_path / "out" / "result.json").read_text())["solver"]["parameters"]
    assert (parameters["near_m"], parameters["far_m"]) == (0.70, 0.85)
    agree(read_map(tmp_path / "out"), outcome.result, median=1e-6, most=1e-3, both=0.2)


def test_a_measured_pupil_height_is_the_offset_from_the_sensor(stack, simulation, tmp_path):
    lines = [f"focus_coordinate = {lens.focus!r}" for lens in simulation.lenses]
    rewrite(stack, tables_with(r"focus_distance_m = \S+", lines))
    outcome = run(stack, tmp_path / "out", lens=measured_lens(pupil_height_mm=71.5), origin="sensor", align="none")
    assert outcome.origin_offset == pytest.approx(0.0715, abs=1e-9)


def test_a_mask_leaves_out_exactly_its_zeros(plain, folders, tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[30:150, 40:290] = 7
    tifffile.imwrite(tmp_path / "mask.tiff", mask)
    outcome = run(folders / "npy", tmp_path / "out", mask=tmp_path / "mask.tiff")
    whole = plain[1].result
    np.testing.assert_array_equal(outcome.result.valid, whole.valid & (mask > 0))
    np.testing.assert_array_equal(outcome.result.values[outcome.result.valid], whole.values[outcome.result.valid])


def test_min_confidence_keeps_what_is_at_least_that_sure(plain, folders, tmp_path):
    outcome = run(folders / "npy", tmp_path / "out", min_confidence=0.4)
    whole = plain[1].result
    np.testing.assert_array_equal(outcome.result.valid, whole.valid & (whole.confidence >= 0.4))
    assert 0.5 < outcome.result.valid.sum() / whole.valid.sum() < 0.95


def test_fill_leaves_nothing_unknown_and_claims_no_sigma_for_it(plain, folders, tmp_path):
    outcome = run(folders / "npy", tmp_path / "out", fill_unknown=True)
    known = plain[1].result.valid
    assert outcome.result.valid.all() and not known.all()
    np.testing.assert_array_equal(outcome.result.values[known], plain[1].result.values[known])
    np.testing.assert_array_equal(np.isfinite(outcome.result.sigma), known)
    assert (outcome.result.confidence[~known] == 0).all()


def test_what_is_filled_beside_smoothed_depth_leaves_no_seam(plain, folders, tmp_path, monkeypatch):
    """Where nothing else is known, every filled pixel has the value of a known one as it is after smoothing."""
    smoothed = run(folders / "npy", tmp_path / "smooth", smoothing=4).result
    both = run(folders / "npy", tmp_path / "both", smoothing=4, fill_unknown=True).result
    known = plain[1].result.valid
    np.testing.assert_array_equal(smoothed.valid, known)
    assert np.median(abs(smoothed.values - plain[1].result.values)[known]) > 1e-5, "dioptre: smoothing moves something"
    for name in ("values", "sigma"):
        np.testing.assert_array_equal(getattr(both, name)[known], getattr(smoothed, name)[known])
    assert both.valid.all() and np.isnan(both.sigma[~known]).all()
    monkeypatch.setattr("dfd.rimfill._FEWEST", np.inf)  # nobody votes
    near = run(folders / "npy", tmp_path / "near", smoothing=4, fill_unknown=True).result.values
    assert np.isin(near[~known], smoothed.values[known]).all()


def test_a_preview_is_small_and_as_metric(folders, truth, simulation, tmp_path, monkeypatch):
    monkeypatch.setattr("dfd.assemble.PREVIEW_PX", 150)
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 40:] = 1
    np.save(tmp_path / "mask.npy", mask)
    outcome = run(folders / "npy", tmp_path / "out", preview=True, mask=tmp_path / "mask.npy")
    assert outcome.result.shape == (100, 150) and outcome.parameters["reduction"] == 2
    assert outcome.intrinsics[0] == pytest.approx(simulation.lenses[FRAMES // 2].fx / 2, rel=1e-9)
    assert outcome.intrinsics[2:] == pytest.approx((74.5, 49.5), abs=1e-9)  # (149.5, 99.5): blocks are centred on x.5
    small = truth.values.reshape(100, 2, 150, 2).mean(axis=(1, 3))
    error = np.abs(outcome.result.values - small)
    assert np.isnan(error[:, :20]).all()
    assert np.nanmedian(error) <= 0.003 and np.isfinite(error[:, 20:]).mean() > 0.85


@pytest.mark.parametrize(("shape", "small"), [((2, 1500), (1, 750)), ((1500, 2), (750, 1))])
def test_a_preview_of_one_row_or_column_has_a_depth_and_says_that_it_is_not_aligned(rng, tmp_path, shape, small):
    (tmp_path / "in").mkdir()
    for k in range(4):
        np.save(tmp_path / "in" / f"f{k}.npy", rng.random(shape, dtype=np.float32))
    with pytest.raises(ValueError, match=r"must have sides of at least 20 px to show their noise; give gain_e_per_dn and"):
        run(tmp_path / "in", tmp_path / "out", preview=True)
    (tmp_path / "in" / "capture.toml").write_text("[camera]\ngain_e_per_dn = 1000.0\nread_noise_e = 2.0\n")
    outcome = run(tmp_path / "in", tmp_path / "out", preview=True)
    assert outcome.result.shape == small and outcome.result.valid.any()
    assert any("is recognised to align it" in text for text in outcome.warnings)


def test_nothing_beside_the_output_is_written_and_the_input_stays(stack, tmp_path):
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in stack.iterdir()}
    run(stack, tmp_path / "deep" / "out", align="none")
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in stack.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "stack"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


# -- the other kinds


@pytest.mark.parametrize(("kind", "noun", "count"), [
    ("aperture-pair", AperturePair, 2), ("dual-pixel", DualPixelPair, 2), ("differential-quad", DifferentialQuad, 4),
    ("views", Capture, 4)])
def test_every_kind_is_read_and_solved_by_its_default_solver(tmp_path, kind, noun, count):
    simulation = simulate_capture(kind, scene="plane", size=(96, 144))
    write_simulation(simulation, tmp_path / kind, format="npy")
    capture = dfd.read_capture(tmp_path / kind, align="none")
    assert type(capture) is noun and len(capture) == count and capture.scale == "metric"
    result = dfd.estimate_depth(capture)
    assert result.method == ("disparity" if kind == "dual-pixel" else "likelihood") and result.valid.mean() > 0.6
    assert np.nanmedian(abs(result.values / simulation.truth - 1)) < 0.02
    with pytest.raises(TypeError, match=f"solver 'focus-measure' takes focal-stack, not {kind}; use --solver auto"):
        dfd.estimate_depth(capture, solver="focus-measure")


def test_two_frames_are_no_sweep_of_focus_but_a_pair(stack):
    pair = [stack / "frame_02.npy", stack / "frame_04.npy"]
    with pytest.raises(ValueError, match="at least 3 images of a sweep, this stack has 2"):
        dfd.estimate_depth(dfd.read_capture(pair), solver="focus-measure")
    assert dfd.estimate_depth(dfd.read_capture(pair)).method == "likelihood"


def test_an_unknown_solver_lists_the_known_ones(folders):
    with pytest.raises(ValueError, match=r"solver \('best'\) must be auto or one of focus-measure"):
        dfd.estimate_depth(dfd.read_capture(folders / "npy", align="none"), solver="best")


def test_distances_in_millimetres_are_refused_because_nothing_could_be_seen(stack, tmp_path):
    def thousandfold(at):
        return f"focus_distance_m = {1e3 * float(at[1])}"

    rewrite(stack, lambda tables: [re.sub(r"focus_distance_m = ([0-9.]+)", thousandfold, table) for table in tables])
    with pytest.raises(ValueError, match=r"changes the blur by .* px, too little to see .* in metres"):
        run([stack], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_picture_twice_is_refused(stack, tmp_path):
    frames = sorted(stack.glob("frame_*"))
    shutil.copy(frames[2], frames[3])
    with pytest.raises(ValueError, match="same picture"):
        run([stack], tmp_path / "out")


def test_frames_far_apart_in_blur_are_worth_a_warning(stack):
    rewrite(stack, lambda tables: tables[::4])
    with pytest.warns(UserWarning, match="px of blur apart"):
        dfd.read_capture(stack)


def test_filled_pixels_stay_inside_the_mask_and_out_of_the_cloud(stack, tmp_path):
    mask = np.zeros(read_map(stack).shape, np.uint8)
    mask[20:-20, 30:-30] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    outcome = run([stack], tmp_path / "out", mask=tmp_path / "mask.png", fill_unknown=True, min_confidence=0.5)
    assert np.isfinite(outcome.result.values[mask > 0]).all()
    assert np.isnan(outcome.result.values[mask == 0]).all()
    filled = np.isfinite(outcome.result.values) & np.isnan(outcome.result.sigma)
    assert filled.any()
    assert (outcome.trust[filled] == 0).all()
    assert outcome.trust[~filled & (mask > 0)].min() >= 0.5


def test_one_stated_noise_number_is_kept_and_the_other_measured(stack):
    path = stack / "capture.toml"
    text = path.read_text()
    path.write_text(re.sub(r"read_noise_e = .*\n", "", text))
    gain = float(re.search(r"gain_e_per_dn = ([0-9.e+]+)", text)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        view = dfd.read_capture(stack).views[0]
    share = 0.2126**2 + 0.7152**2 + 0.0722**2
    assert view.noise.gain == pytest.approx(gain / share, rel=0.02)
    assert view.noise.read_noise > 0


def test_saturated_pixels_are_no_data(tmp_path, folders):
    images = np.load(sorted((folders / "npy").glob("frame_*.npy"))[0])
    picture = (np.clip(images, 0, 1) * 65535).astype(np.uint16)
    picture[40:50, 60:80] = 65535
    tifffile.imwrite(tmp_path / "a.tiff", picture)
    from dfd.io.frames import Frame, read_luminance
    from dfd.settings import CameraSettings

    plane = read_luminance(Frame(tmp_path / "a.tiff", CameraSettings(), linear=True))
    np.testing.assert_array_equal(np.isnan(plane.image[40:50, 60:80]), True)
    assert np.isnan(plane.image).mean() < 0.05


def test_a_preview_through_a_profile_has_the_optics_of_its_large_pixels(stack):
    full, small = (dfd.read_capture(stack, preview=preview) for preview in (False, True))
    from dfd import assemble

    assert full.views[0].lens.fx == small.views[0].lens.fx  # 300 px need no reduction
    limit, assemble.PREVIEW_PX = assemble.PREVIEW_PX, 150
    try:
        small = dfd.read_capture(stack, preview=True)
    finally:
        assemble.PREVIEW_PX = limit
    assert small.shape == tuple(length // 2 for length in full.shape)
    assert small.views[0].lens.fx == pytest.approx(full.views[0].lens.fx / 2)
    assert small.views[0].lens.blur_rate == pytest.approx(full.views[0].lens.blur_rate / 2)
