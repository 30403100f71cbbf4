"""What people read in a terminal: shared values once, units everywhere, the scale first, few warnings."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from test_results import make_outcome

from dfd.cli import terminal
from dfd.cli.figures import metric_lines
from dfd.cli.overview import overview_lines
from dfd.depthmap import DepthMap
from dfd.evaluate import compare
from dfd.io.describe import describe
from dfd.io.dng import write_dng
from dfd.io.record import statistics
from dfd.io.wording import camera_name, metre_unit, plain, spoken
from dfd.settings import CameraSettings, Value

SHAPE = (120, 200)
DISTANCES = (0.55, 0.6, 0.66, 0.75)


@pytest.fixture
def stack(tmp_path):
    for index, distance in enumerate(DISTANCES):
        settings = CameraSettings(
            make="Acme", model="Acme One", focal_length=Value(0.05), f_number=Value(2.8), pixel_pitch=Value(30e-6),
            exposure=Value([1 / 125, 1 / 125, 1 / 125, 0.5][index]), iso=Value(100), focus_distance=Value(distance),
            distance_from="sensor")
        write_dng(tmp_path / f"f{index}.dng", np.full(SHAPE, 1000, np.uint16), black_level=512, white_level=16383,
                  settings=settings)
    return tmp_path


@pytest.fixture
def bare(tmp_path):
    for name in range(3):
        tifffile.imwrite(tmp_path / f"{name}.tiff", np.full(SHAPE, 0.5, np.float32))
    return tmp_path


def info(inputs):
    return [" ".join(line.split()) for line in overview_lines(describe(inputs))]


# -- dfd info


def test_what_all_files_share_is_said_once_with_unit_sigma_and_source(stack):
    lines = info(stack)
    assert lines[0] == f"{stack}: 4 files, 200 x 120 px, Acme One"
    assert "focal length 50 mm EXIF FocalLength" in lines
    assert "aperture f/2.8 +- 0.095 EXIF FNumber" in lines
    assert "pixel pitch 30 +- 1.5 um EXIF FocalPlaneXResolution" in lines
    assert sum("EXIF FocalLength" in line for line in lines) == 1


def test_what_differs_is_a_row_per_file_under_its_source(stack):
    lines = info(stack)
    start = lines.index("per file")
    assert lines[start + 1] == "file focus distance exposure"
    assert lines[start + 2] == "EXIF SubjectDistance, from the sensor EXIF ExposureTime"
    assert lines[start + 3:start + 7] == ["f0.dng 0.55 +- 0.039 m 1/125 s", "f1.dng 0.6 +- 0.042 m 1/125 s",
                                          "f2.dng 0.66 +- 0.046 m 1/125 s", "f3.dng 0.75 +- 0.053 m 0.5 s"]


def test_values_that_lost_are_a_line_per_source_where_they_read_differently(stack, capsys):
    (stack / "capture.toml").write_text("[camera]\nf_number = 2.8\npixel_pitch_um = 31\n")
    lines = info(stack)
    assert "also: pixel pitch 30 um (EXIF FocalPlaneXResolution), not used" in lines
    assert not any("also: aperture" in line for line in lines)  # EXIF says the same
    (stack / "capture.toml").write_text("".join(
        f'[[frames]]\nfile = "f{k}.dng"\n{"focus_distance_m = 0.5" if k == 2 else ""}\n' for k in range(4)))
    assert "also: focus distance 0.66 m (EXIF SubjectDistance), not used, in 1 of 4 files" in info(stack)
    (stack / "capture.toml").write_text("".join(
        f'[[frames]]\nfile = "f{k}.dng"\nstage_position_mm = {k}\n' for k in range(4)))
    assert "also: focus distance 0.55 m ... 0.75 m (EXIF SubjectDistance), not used" in info(stack)
    terminal.describe_table(describe(stack), as_json=True)
    (first, *_) = json.loads(capsys.readouterr().out)
    assert first["values"].keys() == {"focal_length_m", "f_number", "pixel_pitch_m", "stage_position_m", "exposure_s", "iso"}
    assert [row["source"] for row in first["candidates"]["focus_distance_m"]] == ["EXIF SubjectDistance"]
    assert first["candidates"]["f_number"] == [first["values"]["f_number"]] and first["orientation_exif"] == 1


def test_the_pitch_of_a_lens_profile_stands_before_that_of_the_file(stack):
    content = {"schema": "dfd-lensprofile", "schema_version": "1.0.0", "camera": {"pixel_pitch_um": 31.0}}
    (stack / "lens.json").write_text(json.dumps(content))
    (stack / "capture.toml").write_text('lens = "lens.json"\n')
    lines = info(stack)
    assert any(line.startswith("pixel pitch 31 um profile") for line in lines)
    assert "also: pixel pitch 30 um (EXIF FocalPlaneXResolution), not used" in lines


def test_a_value_that_only_some_files_have_shows_its_own_source(stack):
    (stack / "capture.toml").write_text("".join(
        f'[[frames]]\nfile = "f{k}.dng"\n{"iso = 200" if k == 2 else ""}\n' for k in range(4)))
    assert any(line.endswith("200 (capture.toml)") for line in info(stack))
    assert any(line.endswith("100 (EXIF ISO)") for line in info(stack))


def test_the_scale_to_expect_and_why(stack, tmp_path_factory):
    assert info(stack)[-3:-1] == ["dfd depth would give metric depth, in metres",
                                  "because the optics and the focus of every frame are known"]
    assert info(stack)[-1] == "focal-stack of 4 frames counted from near to far, reference f2.dng, lens profile nominal"


def test_what_is_missing_is_said_once_and_the_order_is_not_called_near_to_far(bare):
    lines = info(bare)
    assert sum("focus_distance_m" in line for line in lines) == 1
    assert "focus_distance_m = ... # in every [[frames]]" in lines
    assert any("NOT metric" in line and "in file order (not metres)" in line for line in lines)
    assert "because no focus distance is known" in lines and not any("near to far" in line for line in lines)


def test_a_capture_that_would_fail_says_why_in_one_line(bare):
    tifffile.imwrite(bare / "3.tiff", np.zeros((60, 90), np.float32))
    assert info(bare)[-1].startswith("dfd depth would stop: ") and "90 x 60 px" in info(bare)[-1]
    assert describe(bare).source is None


def test_a_single_file_has_no_outlook(stack):
    lines = info([stack / "f0.dng"])
    assert lines[0] == f"{stack / 'f0.dng'}, 200 x 120 px, Acme One"
    assert "focus distance 0.55 +- 0.039 m EXIF SubjectDistance, from the sensor" in lines
    assert not any("dfd depth" in line or "file" in line for line in lines[1:])


def test_json_keeps_every_file_whole_in_si(stack, capsys):
    terminal.describe_table(describe(stack), as_json=True)
    files = json.loads(capsys.readouterr().out)
    assert [len(item["values"]) for item in files] == [6] * 4
    assert files[1]["values"]["focal_length_m"] == {"value": 0.05, "sigma": None, "source": "EXIF FocalLength"}
    assert files[3]["values"]["exposure_s"]["value"] == 0.5


# -- words


@pytest.mark.parametrize(("key", "value", "sigma", "words"), [
    ("focal_length_m", 0.05, None, "50 mm"), ("f_number", 1.8, 0.0612, "f/1.8 +- 0.061"),
    ("exposure_s", 1 / 142, None, "1/142 s"), ("exposure_s", 0.25, None, "1/4 s"),
    ("exposure_s", 0.29, None, "0.29 s"), ("exposure_s", 2.5, None, "2.5 s"),
    ("pixel_pitch_m", 6e-6, 3e-7, "6 +- 0.3 um"), ("focus_distance_m", float("inf"), None, "infinity"),
    ("stage_position_m", -0.0005, None, "-0.5 mm"), ("iso", 6400.0, None, "6400"),
    ("focus_dpt", 1.25, None, "1.25 dioptre")])
def test_camera_values_read_as_photographers_write_them(key, value, sigma, words):
    assert plain(spoken(key, value, sigma)) == words


def test_a_maker_is_not_named_twice():
    assert camera_name("Canon", "Canon EOS 5D", None) == "Canon EOS 5D"
    assert camera_name("NIKON CORPORATION", "NIKON D5", "50 mm") == "NIKON D5 50 mm"
    assert camera_name("Acme", "One", None) == "Acme One" and camera_name(None, None) == ""
    assert metre_unit(0.05)[1] == "mm"


# -- dfd compare


@pytest.fixture
def figures():
    generator = np.random.default_rng(3)
    truth = np.linspace(1, 2, 30 * 46).reshape(30, 46).astype(np.float32)
    sigma = np.full_like(truth, 0.01)
    values = (truth + 0.01 * generator.normal(size=truth.shape)).astype(np.float32)
    values[:, :4] = sigma[:, :4] = np.nan
    return compare(DepthMap(values, sigma, "metric", ""), DepthMap(truth, np.full_like(truth, np.nan), "metric", ""))


def test_the_headline_of_a_comparison_comes_first_then_sigma_then_the_rest(figures):
    lines = [" ".join(line.split()) for line in metric_lines(figures)]
    assert lines[0] == "metric comparison, errors uniform in dioptres; nothing fitted first"
    assert lines[2] == f"known {figures['density']:.1%}".replace("%", " %") + " 1260 of 1380 reference pixels"
    assert lines[3] == f"median relative error {100 * figures['median_relative_error']:.3f} % of the distance"
    assert lines[5] == (f"root mean square error {1000 * figures['rmse_m']:.4g} mm {figures['rmse_dpt']:.4g} dioptre")
    headings = ["sigma: do errors stay within it?", "sigma: does it rank the errors?", "all errors"]
    assert [line for line in lines if line in headings] == headings
    assert f"within 1 sigma {100 * figures['coverage_1_sigma']:.1f} % 68.3 % when honest" in lines


def test_figures_of_later_parts_come_last_and_what_is_unknown_is_a_dash(figures):
    lines = metric_lines(figures | {"edge_f1": 0.5})
    assert lines[-2:] == ["more", "  edge_f1  0.5"] and "more" not in metric_lines(figures)
    unknown = dict.fromkeys(key for key in figures if key.endswith("_m") or "relative" in key)
    lines = [" ".join(line.split()) for line in metric_lines(figures | unknown)]
    assert "median relative error - of the distance" in lines
    assert f"mean absolute error - {figures['mae_dpt']:.4g} dioptre" in lines


@pytest.mark.parametrize(("scale", "unit"), [("steps", "frames"), ("stage", "um"), ("affine", "px")])
def test_other_scales_spell_their_unit(scale, unit):
    truth = np.linspace(1, 2, 30 * 46).reshape(30, 46)
    truth = truth * 1e-4 if scale == "stage" else truth
    maps = [DepthMap((truth * factor).astype(np.float32), np.full(truth.shape, np.nan, np.float32), scale, "")
            for factor in (1.01, 1.0)]
    lines = metric_lines(compare(*maps, align="offset"))
    assert "fitted first (offset)" in lines[0]
    assert lines[5].split()[:4] == ["root", "mean", "square", "error"] and lines[5].split()[-1] == unit
    assert "metric" not in " ".join(lines)


def test_frames_fitted_to_an_array_have_the_unit_of_the_array():
    truth = np.linspace(1, 2, 30 * 46).reshape(30, 46)
    result = DepthMap(np.float32(9 * truth + truth**2), np.full(truth.shape, 0.1, np.float32), "steps", "")
    lines = metric_lines(compare(result, truth, align="affine"))
    assert "errors uniform in units of the reference" in lines[0] and "slope_reference_units_per_frames" in lines[0]
    assert lines[5].startswith("  root mean square error") and lines[5].endswith("units of the reference")
    assert not [line for line in lines[1:] if "frames" in line]


# -- the summary of a run


def test_a_run_says_its_scale_first_and_few_warnings_at_its_end(capsys, tmp_path):
    outcome = make_outcome("steps")
    source = replace(outcome.source, order="file", missing=("f_number = ...  # in [camera]",), warnings=("one",) * 3)
    terminal.scale_first(source)
    terminal.summary(replace(outcome, source=source, warnings=tuple(f"remark {k}" for k in range(9))), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NOT metric (scale steps): ") and lines[0].endswith(", in file order (not metres) [frame]")
    assert lines[1:3] == ["for metres, add to capture.toml:", "  f_number = ...  # in [camera]"]
    told = [line for line in lines if line.startswith("warning: ")]
    assert len(told) == terminal.MOST_WARNINGS and told[0] == "warning: one"
    assert told[-1] == "warning: and 5 more in report.html"
    assert lines[-1] == f"look at {tmp_path}/report.html"


def test_the_range_of_a_summary_has_one_unit(capsys, tmp_path):
    values = np.linspace(1 / 0.3, 1 / 0.05, 30 * 46, dtype=np.float32).reshape(30, 46)
    outcome = make_outcome(result=DepthMap(values, np.full_like(values, 0.01), "metric", ""))
    terminal.scale_first(replace(outcome.source, scale="metric"))
    terminal.summary(outcome, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "metric depth: depth along the optical axis from the entrance pupil [m]"
    assert "100.0% of 1380 pixels known, 0.05043 to 0.2855 m" in lines[1] and "um" in lines[1]


@pytest.mark.parametrize("scale", ["metric", "steps"])
def test_the_summary_has_the_numbers_of_result_json(scale, capsys, tmp_path):
    """Of few pixels, where definitions of a percentile differ most; some are infinitely far away."""
    values = np.full((30, 46), np.nan, np.float32)
    values[:5, :7] = np.random.default_rng(0).uniform(0.5, 2, (5, 7))
    values[0, 0] = 0.0 if scale == "metric" else np.nan
    outcome = make_outcome(scale, result=DepthMap(values, np.full_like(values, 0.01) * values, scale, ""))
    terminal.summary(outcome, tmp_path)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "percentile" in line)
    depth = statistics(outcome)["depth_m" if scale == "metric" else "frame_number"]
    assert f"{depth['p01']:.4g} to {depth['p99']:.4g} {'m' if scale == 'metric' else 'frames'} (1st" in line


def test_info_says_what_a_dual_pixel_pair_without_kappa_would_give(tmp_path):
    from dfd.cli.overview import overview_lines
    from dfd.io.describe import describe
    from dfd.io.simulated import write_simulation
    from dfd.simulate import simulate_capture

    write_simulation(simulate_capture("dual-pixel", scene="plane", size=(40, 60)), tmp_path / "pair", format="npy")
    toml = tmp_path / "pair" / "capture.toml"
    lines = [line for line in toml.read_text().splitlines() if not line.startswith("kappa")]
    toml.write_text("\n".join(lines))
    lines = overview_lines(describe([tmp_path / "pair"]))
    assert any("would give NOT metric: signed blur or disparity" in line for line in lines)
    assert any("because kappa is not known" in line for line in lines)
    toml.write_text(toml.read_text() + "".join(f"\n[[known_depths]]\nx_px = {x}\ny_px = 9\ndepth_m = {x}" for x in (2, 30)))
    lines = overview_lines(describe([tmp_path / "pair"]))
    assert any("would give metric depth" in line for line in lines)
    assert any("because the depths at 2 places are known" in line for line in lines)
