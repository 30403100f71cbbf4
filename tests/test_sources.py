"""Every value has one winner and says where it came from; a wrong value is never a silent downgrade."""

import json
import math

import numpy as np
import pytest
import tifffile

from dfd.io.dng import write_dng
from dfd.io.sources import open_source
from dfd.lensfile import SCHEMA, SCHEMA_VERSION
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

SHAPE = (120, 200)
PITCH = 30e-6  # a sensor diagonal of 7 mm
DISTANCES = (0.55, 0.6, 0.66, 0.75)


def dng(path, **changes):
    values = dict(make="M", model="B", focal_length=Value(0.05), f_number=Value(2.8), pixel_pitch=Value(PITCH),
                  exposure=Value(0.01), iso=Value(100), distance_from="pupil")
    mosaic = np.full(SHAPE, 1000, np.uint16)
    mosaic[3, 4] = 2000
    return write_dng(path, mosaic, black_level=512, white_level=16383, settings=CameraSettings(**{**values, **changes}))


@pytest.fixture
def stack(tmp_path):
    for index, distance in enumerate(DISTANCES):
        dng(tmp_path / f"f{index}.dng", focus_distance=Value(distance))
    return tmp_path


@pytest.fixture
def bare(tmp_path):
    """Pictures without EXIF, named so that natural order differs from the order of letters."""
    for name in (1, 2, 10):
        tifffile.imwrite(tmp_path / f"{name}.tiff", np.full(SHAPE, 0.5, np.float32))
    return tmp_path


CAMERA = "[camera]\nfocal_length_mm = 50\nf_number = 2.8\npixel_pitch_um = 30\n"


def toml(folder, text):
    (folder / "capture.toml").write_text(text)
    return folder


def frames(*rows):
    return "".join(f'[[frames]]\nfile = "{name}"\n{row}\n' for name, row in rows)


def names(source):
    return [frame.path.name for frame in source.frames]


# -- where values come from


def test_a_dng_stack_is_metric_by_exif_alone_and_every_value_names_its_tag(stack):
    source = open_source(stack)
    assert (source.kind, source.scale, source.missing, source.reference) == ("focal-stack", "metric", (), 2)
    settings = source.frames[0].settings
    assert {name: value.source for name, value in settings.values().items()} == {
        "focal_length": "EXIF FocalLength", "f_number": "EXIF FNumber", "pixel_pitch": "EXIF FocalPlaneXResolution",
        "focus_distance": "EXIF SubjectDistance", "exposure": "EXIF ExposureTime", "iso": "EXIF ISO"}
    assert settings.distance_from == "sensor"
    assert settings.focus_distance.sigma == pytest.approx(0.07 * settings.focus_distance.value, abs=1e-9)
    assert settings.f_number.sigma == pytest.approx(0.034 * 2.8, abs=1e-9)
    focuses = [source.profile.thin_lens(frame.settings).focus for frame in source.frames]
    assert focuses == pytest.approx([1 / distance for distance in DISTANCES], abs=1e-6)  # dioptre, near to far


def test_option_wins_over_frame_wins_over_camera_wins_over_exif(stack):
    toml(stack, "[camera]\nf_number = 4\nfocal_length_mm = 49\n" + frames(
        ("f3.dng", "focus_distance_m = 0.9\nf_number = 5.6"), ("f0.dng", "focus_distance_m = 0.5")))
    source = open_source(stack)
    assert names(source) == ["f0.dng", "f3.dng"]
    near, far = (frame.settings for frame in source.frames)
    assert (near.f_number.value, far.f_number.value) == (4, 5.6)
    assert near.focal_length.source == far.f_number.source == near.focus_distance.source == "capture.toml"
    assert near.iso.source == "EXIF ISO"
    assert near.distance_from == "pupil"
    source = open_source(stack, focus_distances=[0.8, 0.7])
    assert names(source) == ["f3.dng", "f0.dng"]
    assert source.frames[0].settings.focus_distance == Value(0.7, None, "--focus-distances")


def test_the_same_numbers_in_capture_toml_and_in_exif_give_the_same_lenses(stack, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for index in range(len(DISTANCES)):
        tifffile.imwrite(other / f"f{index}.tiff", np.zeros(SHAPE, np.float32))
    toml(other, CAMERA + frames(*((f"f{i}.tiff", f"focus_distance_m = {d}") for i, d in enumerate(DISTANCES))))
    by_exif, by_toml = open_source(stack), open_source(other)
    for one, two in zip(by_exif.frames, by_toml.frames, strict=True):
        first, second = by_exif.profile.thin_lens(one.settings), by_toml.profile.thin_lens(two.settings)
        assert (first.focus, first.blur_rate) == pytest.approx((second.focus, second.blur_rate), rel=1e-8)


def test_a_pupil_diameter_replaces_the_f_number_of_camera_and_exif(stack):
    toml(stack, "[camera]\nf_number = 4\n" + frames(("f0.dng", "pupil_diameter_mm = 10"), ("f1.dng", "")))
    first, second = (frame.settings for frame in open_source(stack).frames)
    assert first.f_number is None and first.pupil_diameter.value == pytest.approx(0.01, abs=1e-12)
    assert second.f_number.value == 4


def test_capture_toml_beside_named_files_applies_to_them(stack):
    toml(stack, "[camera]\nfocal_length_mm = 51\n" + frames(("f1.dng", "iso = 800")))
    source = open_source([stack / "f2.dng", stack / "f1.dng"])
    assert names(source) == ["f1.dng", "f2.dng"]
    assert [frame.settings.iso.value for frame in source.frames] == [800, 100]
    assert [frame.settings.focal_length.value for frame in source.frames] == pytest.approx([0.051] * 2, abs=1e-12)


def test_camera_keys_reach_frames_psf_and_noise(bare):
    toml(bare, CAMERA + 'linear = false\nblack_level = 0.1\nwhite_level = 2\npsf = "disk-gaussian"\npsf_core_px = 0.7\n'
                        "gain_e_per_dn = 0.3\nread_noise_e = 3\nkappa = 0.2\n")
    source = open_source(bare)
    assert (source.frames[0].linear, source.frames[0].black_level, source.frames[0].white_level) == (False, (0.1,), 2)
    assert (source.psf.model, source.psf.core) == ("disk-gaussian", 0.7)
    assert (source.gain_e_per_dn, source.read_noise_e, source.kappa) == (0.3, 3, 0.2)


def test_a_lens_profile_is_read_from_the_option_or_beside_capture_toml(bare):
    LensProfile.nominal().save(bare / "lens.json")
    toml(bare, 'lens = "lens.json"\n')
    assert open_source(bare).profile.name != "nominal"
    profile = LensProfile.nominal()
    assert open_source(bare, lens=profile).profile is profile
    with pytest.raises(OSError, match="absent"):
        open_source(bare, lens=bare / "absent.json")


@pytest.mark.parametrize(("coordinate", "key"), [("encoder_step", "focus_coordinate"), ("rail_mm", "stage_position_mm")])
def test_a_measured_lens_that_cannot_be_used_is_told(stack, coordinate, key):
    """The focus distance in EXIF and the nominal thin lens step in: metric, but not by the calibration."""
    law = {"coordinate": coordinate, "law": "moebius_spline", "a_per_mm": 0.0004, "b_per_mm_per_unit": 1.5e-6}
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "focus": law, "projection": {"fx_px_poly": [1700.0]},
               "camera": {"make": "Acme", "model": "One", "pixel_pitch_um": 30}}
    (stack / "lens.json").write_text(json.dumps(content))
    source = open_source(stack, lens=stack / "lens.json")
    told = [text for text in source.warnings if "nominal thin lens" in text]
    assert source.scale == "metric" and len(told) == 1
    assert told[0].startswith(f"f0.dng and 3 more: profile {source.profile.name} is calibrated by {coordinate}")
    assert f"{key} = ..." in told[0] and "[[frames]] in capture.toml" in told[0]
    lines = [(f"f{k}.dng", f"{key} = {k}") for k in range(4)]
    used = open_source(toml(stack, 'lens = "lens.json"\n' + frames(*lines)))
    assert used.scale == "metric" and not any("nominal thin lens" in text for text in used.warnings)


# -- scale


def test_without_optics_a_stack_is_steps_in_natural_order_and_the_lines_to_add_are_exact(bare):
    source = open_source(bare)
    assert (source.scale, names(source), source.reference) == ("steps", ["1.tiff", "2.tiff", "10.tiff"], 1)
    assert source.order == "file"
    assert [line.split("  #")[0] for line in source.missing] == [
        "focal_length_mm = ...", "f_number = ...", "pixel_pitch_um = ...", "focus_distance_m = ..."]
    assert source.missing[-1].endswith("every [[frames]]")
    values = {"focal_length_mm": 50, "f_number": 2.8, "pixel_pitch_um": 30}
    lines = [line.replace("...", str(values[line.split(" ")[0]])) for line in source.missing[:3]]
    assert open_source(toml(bare, "[camera]\n" + "\n".join(lines)), focus_distances=[0.5, 0.6, 0.7]).scale == "metric"


def test_focus_distances_without_optics_are_steps_ordered_near_to_far(bare):
    source = open_source(bare, focus_distances=[0.9, 0.7, math.inf])
    assert source.scale == "steps" and names(source) == ["2.tiff", "1.tiff", "10.tiff"] and source.order == "focus"
    assert not any("focus_distance" in line for line in source.missing)


def test_a_focus_coordinate_without_a_profile_orders_but_claims_no_near_end(bare):
    toml(bare, frames(("1.tiff", "focus_coordinate = 30"), ("2.tiff", "focus_coordinate = -10"), ("10.tiff",
                                                                                                  "focus_coordinate = 7")))
    source = open_source(bare)
    assert (source.scale, source.order, names(source)) == ("steps", "coordinate", ["2.tiff", "10.tiff", "1.tiff"])


def test_stage_positions_order_a_stack_by_position_and_silence_exif_distances(stack):
    toml(stack, frames(("f0.dng", "stage_position_mm = 2"), ("f1.dng", "stage_position_mm = -1"),
                       ("f2.dng", "stage_position_mm = 0.5")))
    source = open_source(stack)
    assert source.scale == "stage" and names(source) == ["f1.dng", "f2.dng", "f0.dng"] and source.order == "rail"
    assert source.frames[0].settings.focus_distance is None


def test_a_variable_lens_before_a_fixed_sensor_is_metric_by_power(bare):
    toml(bare, "[camera]\nf_number = 4\npixel_pitch_um = 6\nimage_distance_mm = 110\n" + frames(
        ("1.tiff", "power_dpt = 10.1"), ("2.tiff", "power_dpt = 10.3")))
    source = open_source(bare)
    assert source.scale == "metric" and names(source) == ["2.tiff", "1.tiff"]


def test_one_exif_distance_for_the_whole_bracket_is_steps_with_a_warning(tmp_path):
    for index in range(3):
        dng(tmp_path / f"f{index}.dng", focus_distance=Value(0.8))
    source = open_source(tmp_path)
    assert source.scale == "steps" and names(source) == ["f0.dng", "f1.dng", "f2.dng"] and source.order == "file"
    assert all(frame.settings.focus_distance is None for frame in source.frames)
    assert any("same focus" in text and "left out" in text for text in source.warnings)
    assert [line.split(" ")[0] for line in source.missing] == ["focus_distance_m"]
    assert open_source(tmp_path, focus_distances=DISTANCES[:3]).scale == "metric"


def test_an_impossible_exif_distance_is_left_out_with_a_warning(tmp_path):
    for index, distance in enumerate((0.1, 0.6, 0.7)):
        dng(tmp_path / f"f{index}.dng", focus_distance=Value(distance), distance_from="sensor")
    source = open_source(tmp_path)
    assert source.scale == "steps"
    assert any("4 focal lengths" in text and "left out" in text for text in source.warnings)


# -- kind, order, reference


def test_two_apertures_at_one_known_focus_are_an_aperture_pair(bare):
    (bare / "10.tiff").unlink()
    rows = frames(("1.tiff", "focus_distance_m = 1\nf_number = 2"), ("2.tiff", "focus_distance_m = 1\nf_number = 8"))
    source = open_source(toml(bare, 'side = "far"\n' + CAMERA + rows))
    assert (source.kind, source.scale, source.side, source.reference) == ("aperture-pair", "metric", "far", 0)
    assert open_source(bare, side="near").side == "near"
    with pytest.raises(ValueError, match="same focus"):
        open_source(bare, kind="focal-stack")


def test_dual_pixel_frames_come_left_then_right_and_need_kappa_for_metres(bare):
    rows = frames(("2.tiff", 'focus_distance_m = 1\nview = "right"'),
                  ("10.tiff", 'focus_distance_m = 1\nview = "left"'))
    source = open_source(toml(bare, CAMERA + rows))
    assert (source.kind, source.scale, names(source)) == ("dual-pixel", "affine", ["10.tiff", "2.tiff"])
    assert source.missing[0].startswith("kappa = ...")
    assert open_source(toml(bare, CAMERA + "kappa = 0.4\n" + rows)).scale == "metric"
    with pytest.raises(ValueError, match=r'2 frames .* view left.*add view = "left"'):
        open_source(toml(bare, CAMERA + rows.replace("right", "left")))


def test_the_reference_counts_in_input_order_and_follows_its_frame(stack):
    files = [stack / f"f{index}.dng" for index in (3, 0, 2, 1)]
    source = open_source(files, reference=0)
    assert source.frames[source.reference].path.name == "f3.dng" and source.reference == 3
    toml(stack, frames(("f2.dng", ""), ("f1.dng", "reference = true"), ("f0.dng", "")))
    assert names(open_source(stack))[open_source(stack).reference] == "f1.dng"
    assert names(open_source(stack))[open_source(stack, reference=2).reference] == "f0.dng"
    with pytest.raises(ValueError, match=r"reference \(3\) must be a frame number from 0 to 2"):
        open_source(stack, reference=3)


def test_raw_stands_for_the_jpeg_of_the_same_name_and_other_files_are_ignored(stack):
    for name in ("f0.jpg", "F1.JPG", "notes.txt", "Thumbs.db", ".hidden.png", "truth.json"):
        (stack / name).write_bytes(b"x")
    source = open_source(stack)
    assert names(source) == [f"f{index}.dng" for index in range(4)]
    assert any("the RAW files are used" in text for text in source.warnings)


def test_the_results_of_an_earlier_run_are_not_frames(bare):
    for name in ("depth.tiff", "allfocus.tiff", "confidence.png"):
        (bare / name).write_bytes(b"x")
    (bare / "result.json").write_text("{}")
    assert names(open_source(bare)) == ["1.tiff", "2.tiff", "10.tiff"]
