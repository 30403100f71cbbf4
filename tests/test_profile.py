"""What we measured joined with what the camera says: three ways to a ThinLens, their limits, and the file."""

import json
import math

import pytest

from dfd.lensfile import SCHEMA, SCHEMA_VERSION
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value


def settings(**values):
    """CameraSettings of one file; numbers become Values."""
    words = ("file", "distance_from")
    return CameraSettings(**{"file": "IMG_7.CR3"} | {
        name: value if name in words else Value(value, None, "EXIF") for name, value in values.items()})


NOMINAL = {"focal_length": 0.05, "f_number": 2.8, "pixel_pitch": 4e-6}


def document(**changes):
    """A unit-focus lens: a 50.9 mm lens of pupil ratio 0.85 moved by s steps of 2 um from magnification 0.02."""
    data = {
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION, "profile_id": "sha256:00", "house": {"unknown": [1, None]},
        "camera": {"make": "Acme", "model": "One", "pixel_pitch_um": 4.3},
        "lens": {"make": "Acme", "model": "50/1.8", "focal_nominal_mm": 50},
        "validity": {"focus_coordinate": [0, 1200], "f_numbers": [1.8, 2.8, 4]},
        "reference": {"depth_origin": "entrance_pupil", "z_ep_from_sensor_mm": {"poly": [60.0, 0.002], "sigma": None}},
        "focus": {"coordinate": "encoder_step", "law": "moebius_spline", "a_per_mm": 0.0004,
                  "b_per_mm_per_unit": 1.5e-6, "d_per_unit": 2e-5, "spline": {"knots": [], "rel": []}},
        "projection": {"fx_px_poly": [11800.0, 0.9, 1e-5]},
        "aperture": [{"f_number_marked": 4, "diameter_eff_mm": 12.4}, {"f_number_marked": 1.8, "diameter_eff_mm": 27.6},
                     {"f_number_marked": 2.8, "diameter_eff_mm": 17.7}],
        "radiometry": {"vignetting": [{"f_number": 1.8, "focus": 0, "poly_r2": [1, -0.5]},
                                      {"f_number": 1.8, "focus": 900, "poly_r2": [1, -0.4]},
                                      {"f_number": 4, "focus": 0, "poly_r2": [1, -0.1]}]},
        "dual_pixel": {"kappa_grid": [[0.06, 0.08, 0.06], [0.08, 0.10, 0.08]], "focus_dpt_grid": None},
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        node = data
        for name in path:
            node = node[name]
        node[last] = value
    return data


def profile(**changes):
    return LensProfile(document(**changes))


# --- nominal ---------------------------------------------------------------------------------------------


def test_the_nominal_lens_is_the_thin_lens_of_its_numbers():
    lens = LensProfile.nominal().thin_lens(settings(**NOMINAL, focus_distance=2.0))
    assert lens.blur_rate == pytest.approx(228.94, abs=0.01)
    assert (lens.focal_length, lens.focus) == (pytest.approx(0.05), pytest.approx(0.5, abs=1e-12))


def test_focus_in_dioptres_and_in_metres_are_the_same_lens():
    by_metres = LensProfile.nominal().thin_lens(settings(**NOMINAL, focus_distance=1.6))
    by_dioptres = LensProfile.nominal().thin_lens(settings(**NOMINAL, focus=0.625))
    assert by_metres == by_dioptres


@pytest.mark.parametrize("stated", [{"focus_distance": math.inf}, {"focus": 0.0}])
@pytest.mark.parametrize("origin", ["pupil", "sensor"])
def test_infinity_is_a_focus_distance(stated, origin):
    lens = LensProfile.nominal().thin_lens(settings(**NOMINAL, **stated, distance_from=origin))
    assert lens.focus == pytest.approx(0.0, abs=1e-12)


def test_a_stated_pupil_wins_over_the_f_number():
    lens = LensProfile.nominal().thin_lens(settings(**NOMINAL, focus_distance=2.0, pupil_diameter=0.012))
    assert lens.pupil_diameter == 0.012


@pytest.mark.parametrize("distance", [0.2, 0.31, 1.0, 40.0])
def test_a_distance_from_the_sensor_is_image_distance_plus_object_distance(distance):
    shot = settings(**NOMINAL, focus_distance=distance, distance_from="sensor")
    lens = LensProfile.nominal().thin_lens(shot)
    assert lens.image_distance + 1 / lens.focus == pytest.approx(distance, rel=1e-9)
    assert lens.focal_length == pytest.approx(0.05, abs=1e-12)
    assert LensProfile.nominal().sensor_offset(shot) == lens.image_distance


def test_nearer_than_4_focal_lengths_from_the_sensor_is_refused():
    with pytest.raises(ValueError, match=r"IMG_7.CR3: .*\(0.19 m from the sensor\).*4 focal lengths \(0.2 m\).*pupil"):
        LensProfile.nominal().thin_lens(settings(**NOMINAL, focus_distance=0.19, distance_from="sensor"))


def test_beyond_infinity_is_fine_from_the_pupil_and_refused_from_the_sensor():
    assert LensProfile.nominal().thin_lens(settings(**NOMINAL, focus=-0.1)).focus == pytest.approx(-0.1, abs=1e-12)
    with pytest.raises(ValueError, match=r"focus \(-0.1 dioptre\) beyond infinity.*distance_from"):
        LensProfile.nominal().thin_lens(settings(**NOMINAL, focus=-0.1, distance_from="sensor"))


@pytest.mark.parametrize("distance", [0.049, 0.05])
def test_focus_inside_the_focal_length_is_refused(distance):
    with pytest.raises(ValueError, match=rf"IMG_7.CR3: focus distance \({distance} m.*must exceed.*\(0.05 m\)"):
        LensProfile.nominal().thin_lens(settings(**NOMINAL, focus_distance=distance))


@pytest.mark.parametrize("field, value, message", [
    ("focus_distance", -1.0, r"focus_distance_m \(-1 m, EXIF\) must be positive"),
    ("focus_distance", 0.0, r"focus_distance_m \(0 m, EXIF\) must be positive"),
    ("focus_distance", math.nan, r"focus_distance_m \(nan m"),
    ("focal_length", 0.0, r"focal_length_mm \(0 mm, EXIF\)"),
    ("f_number", -2.8, r"f_number \(-2.8, EXIF\) must be positive"),
    ("f_number", math.inf, r"f_number \(inf, EXIF\) must be positive and finite"),
    ("pixel_pitch", 0.0, r"pixel_pitch_um \(0 um, EXIF\)"),
    ("pupil_diameter", -0.01, r"pupil_diameter_mm \(-10 mm, EXIF\)"),
    ("focus", math.nan, r"focus \(nan, EXIF\) must be a finite number"),
])
def test_a_value_that_cannot_be_is_named_with_file_unit_and_source(field, value, message):
    with pytest.raises(ValueError, match="IMG_7.CR3: " + message):
        LensProfile.nominal().thin_lens(settings(**NOMINAL | {"focus_distance": 2.0, field: value}))


def test_a_power_and_an_image_distance_far_beyond_infinity_are_refused_by_name():
    shot = {"power": 10.1, "pupil_diameter": 0.005, "pixel_pitch": 6e-6}
    with pytest.raises(ValueError, match=r"IMG_7.CR3: power_dpt \(10.1 dioptre\) and image_distance_mm \(11 mm\) put "
                                         r"focus at -80.81 dioptre, far beyond infinity"):
        LensProfile.nominal().thin_lens(settings(**shot, image_distance=0.011))
    for distance, focus in ((0.110, 1.00909), (0.09, -1.01111)):
        lens = LensProfile.nominal().thin_lens(settings(**shot, image_distance=distance))
        assert lens.focus == pytest.approx(focus, abs=1e-4)


# --- what is missing -------------------------------------------------------------------------------------


def test_a_missing_focus_distance_names_the_file_the_line_and_the_option():
    with pytest.raises(ValueError) as caught:
        LensProfile.nominal().thin_lens(settings(**NOMINAL))
    assert str(caught.value) == ("IMG_7.CR3: no focus distance (not in EXIF or capture.toml); add focus_distance_m to "
                                 "[[frames]] in capture.toml or pass --focus-distances")


def test_all_that_is_missing_is_named_at_once():
    nothing = settings()
    assert LensProfile.nominal().missing(nothing) == (
        "focal_length_mm = ...  # in [camera]", "f_number = ...  # in [camera]", "pixel_pitch_um = ...  # in [camera]",
        'focus_distance_m = ...  # in [[frames]], file = "IMG_7.CR3"')
    with pytest.raises(ValueError, match="no focal length, f-number, pixel pitch or focus distance"):
        LensProfile.nominal().thin_lens(nothing)


@pytest.mark.parametrize("shot, lines", [
    ({**NOMINAL, "focus_distance": 2.0}, ()),
    ({**NOMINAL, "focus": 0.5}, ()),
    ({"focal_length": 0.05, "pupil_diameter": 0.01, "pixel_pitch": 4e-6, "focus": 0.5}, ()),
    ({"power": 10.0, "pupil_diameter": 0.004, "pixel_pitch": 6e-6}, ("image_distance_mm",)),
    ({"image_distance": 0.11, "f_number": 4.0, "pixel_pitch": 6e-6}, ("power_dpt",)),
])
def test_missing_is_empty_exactly_when_there_is_a_lens(shot, lines):
    nominal = LensProfile.nominal()
    assert tuple(line.split(" = ")[0] for line in nominal.missing(settings(**shot))) == lines
    if lines:
        with pytest.raises(ValueError, match=lines[0]):
            nominal.thin_lens(settings(**shot))
    else:
        assert nominal.thin_lens(settings(**shot)).blur_rate > 0


def test_a_calibrated_lens_misses_its_own_coordinate():
    shot = settings(f_number=2.8)
    assert [line.split(" = ")[0] for line in profile().missing(shot)] == ["focus_coordinate"]
    rail, exif = profile(focus__coordinate="rail_mm"), profile(focus__coordinate="exif_distance_mm")
    assert [line.split(" = ")[0] for line in rail.missing(shot)] == ["stage_position_mm"]
    assert [line.split(" = ")[0] for line in exif.missing(shot)] == ["focus_distance_m"]


def test_without_any_aperture_table_the_focal_length_is_missing():
    bare = profile(aperture=[], lens={})
    assert [line.split(" = ")[0] for line in bare.missing(settings(f_number=2.8, focus_coordinate=5.0))] == [
        "focal_length_mm"]


# --- fixed sensor ----------------------------------------------------------------------------------------


def test_a_fixed_sensor_camera_focuses_where_power_and_image_distance_say():
    shot = settings(power=10.1, image_distance=0.11, pixel_pitch=6e-6, f_number=8.0)
    lens = LensProfile.nominal().thin_lens(shot)
    assert lens.focus == pytest.approx(10.1 - 1 / 0.11, abs=1e-12)
    assert lens.image_distance == 0.11
    assert lens.pupil_diameter == pytest.approx(1 / 10.1 / 8, rel=1e-12)
    assert LensProfile.nominal().sensor_offset(shot) == 0.11


# --- calibrated ------------------------------------------------------------------------------------------


def test_a_calibrated_lens_has_the_measured_focus_fx_and_pupil():
    lens = profile().thin_lens(settings(focus_coordinate=600.0, f_number=1.8))
    focus = 1000 * (0.0004 + 1.5e-6 * 600) / (1 + 2e-5 * 600)
    fx = 11800 + 0.9 * 600 + 1e-5 * 600**2
    assert lens.focus == pytest.approx(focus, rel=1e-12)
    assert lens.fx == pytest.approx(fx, rel=1e-12)
    assert lens.blur_rate == pytest.approx(fx * 27.6e-3, rel=1e-12)
    assert lens.focal_length == pytest.approx(1 / (focus + 1 / (fx * 4.3e-6)), rel=1e-12)


def test_the_measured_law_needs_neither_focal_length_nor_exif_distance():
    shot = settings(focus_coordinate=600.0, f_number=1.8)
    told = settings(focus_coordinate=600.0, f_number=1.8, focal_length=0.07, focus_distance=9.0)
    assert profile().thin_lens(shot) == profile().thin_lens(told)


def test_the_spline_multiplies_the_law_and_passes_through_its_knots():
    rippled = profile(focus__spline={"knots": [0, 400, 800, 1200], "rel": [0.0, 0.01, -0.005, 0.002]})
    for coordinate, ripple in ((0, 0.0), (400, 0.01), (800, -0.005), (1200, 0.002)):
        expected = profile().focus_curve(coordinate) * (1 + ripple)
        assert rippled.focus_curve(coordinate) == pytest.approx(expected, rel=1e-12)


def test_a_spline_of_two_knots_is_a_straight_line():
    rippled = profile(focus__spline={"knots": [0, 1000], "rel": [0.0, 0.02]})
    assert rippled.focus_curve(250) == pytest.approx(profile().focus_curve(250) * 1.005, rel=1e-12)


def test_the_moebius_law_is_exact_for_unit_focusing():
    """1/zf = m p / (f (p + m)) with m = m0 + s step / f: a Moebius law in s, to 1e-9."""
    f, p, m0, step = 50.9, 0.85, 0.02, 0.002
    scale = f * (p + m0)
    law = profile(focus__a_per_mm=m0 * p / scale, focus__b_per_mm_per_unit=p * step / f / scale,
                  focus__d_per_unit=step / f / (p + m0))
    for s in (0.0, 300.0, 1200.0):
        m = m0 + s * step / f
        assert law.focus_curve(s) == pytest.approx(1000 / (f * (1 / m + 1 / p)), rel=1e-9)


@pytest.mark.parametrize("coordinate", [-1.0, 1200.5])
def test_nothing_is_extrapolated(coordinate):
    with pytest.raises(ValueError, match=r"IMG_7.CR3: focus coordinate .*encoder_step.*\(0 to 1200\)"):
        profile().thin_lens(settings(focus_coordinate=coordinate, f_number=1.8))


def test_the_pole_of_the_law_is_refused():
    with pytest.raises(ValueError, match=r"pole of the focus law.*focus.d_per_unit"):
        profile(focus__d_per_unit=-0.002).thin_lens(settings(focus_coordinate=600.0, f_number=1.8))


def test_a_law_that_no_lens_has_is_refused():
    with pytest.raises(ValueError, match=r"which no lens has; check the profile"):
        profile(projection__fx_px_poly=[-10.0]).thin_lens(settings(focus_coordinate=600.0, f_number=1.8))


def test_exif_distance_and_rail_position_serve_as_coordinate_in_mm():
    exif = profile(focus__coordinate="exif_distance_mm").thin_lens(
        settings(focus_distance=0.6, f_number=1.8, distance_from="sensor"))
    rail = profile(focus__coordinate="rail_mm").thin_lens(settings(stage_position=0.6, f_number=1.8))
    assert exif == rail == profile().thin_lens(settings(focus_coordinate=600.0, f_number=1.8))


def test_a_distance_from_the_pupil_never_goes_through_a_law_over_distances_from_the_sensor():
    law = profile(focus__coordinate="exif_distance_mm", reference={})
    shot = settings(focal_length=0.05, f_number=1.8, focus_distance=0.6, distance_from="pupil")
    assert law.thin_lens(shot).focus == pytest.approx(1 / 0.6, abs=1e-12)  # dioptre, the nominal lens
    assert law.missing(shot) == ()
    assert 'counts its focus distance from the entrance pupil' in law.set_aside(shot)
    assert 'distance_from = "sensor"' in law.set_aside(shot)
    assert law.set_aside(settings(focal_length=0.05, f_number=1.8, focus_distance=0.6, distance_from="sensor")) is None


def test_without_its_coordinate_a_calibrated_lens_falls_back_to_the_focus_distance():
    lens = profile(reference={}).thin_lens(settings(focal_length=0.05, f_number=1.8, focus_distance=2.0))
    assert lens.focus == pytest.approx(0.5, abs=1e-12)
    assert lens.pupil_diameter == pytest.approx(27.6e-3), "the measured pupil still counts"


@pytest.mark.parametrize("f_number, diameter", [(1.8, 27.6e-3), (1.78, 27.6e-3), (2.83, 17.7e-3), (4.1, 12.4e-3)])
def test_a_marked_stop_is_found_within_3_percent(f_number, diameter):
    assert profile().pupil_diameter(f_number) == pytest.approx(diameter, rel=1e-12)


def test_between_stops_the_pupil_scale_is_interpolated_in_log_f_number():
    number = math.sqrt(1.8 * 2.8)
    scale = (27.6 * 1.8 + 17.7 * 2.8) / 2 / 50
    assert profile().pupil_scale(number) == pytest.approx(scale, rel=1e-12)
    assert profile().pupil_diameter(number) == pytest.approx(scale * 0.05 / number, rel=1e-12)


@pytest.mark.parametrize("f_number", [1.4, 5.6])
def test_a_stop_outside_the_table_is_refused(f_number):
    with pytest.raises(ValueError, match=rf"IMG_7.CR3: f_number \({f_number}\).*f/1.8 to f/4"):
        profile().thin_lens(settings(focus_coordinate=600.0, f_number=f_number))


@pytest.mark.parametrize("f_number, refused", [(1.8, False), (2.83, False), (3.2, True), (4.0, True)])
def test_a_stop_outside_validity_is_refused_although_the_table_has_it(f_number, refused):
    narrow = profile(validity__f_numbers=[1.8, 2.8])
    if refused:
        with pytest.raises(ValueError, match=rf"f_number \({f_number:g}\) is outside .* measured \(f/1.8 to f/2.8\)"):
            narrow.pupil_diameter(f_number)
    else:
        assert narrow.pupil_diameter(f_number) == profile().pupil_diameter(f_number)


def test_images_of_another_pixel_size_are_refused():
    shot = settings(focus_coordinate=600.0, f_number=1.8, pixel_pitch=8.6e-6)
    with pytest.raises(ValueError, match=r"pitch \(8.6 um, EXIF\) differs from .*\(4.3 um\).*pixel_pitch_um = 4.3"):
        profile().thin_lens(shot)


def test_a_nominal_pitch_from_exif_does_not_change_the_measured_fx():
    lens = profile().thin_lens(settings(focus_coordinate=600.0, f_number=1.8, pixel_pitch=4.5e-6))
    assert lens.pixel_pitch == pytest.approx(4.3e-6)


def test_the_measured_pupil_height_converts_distances_from_the_sensor():
    measured = profile(focus__coordinate="exif_distance_mm", focus__a_per_mm=0, focus__b_per_mm_per_unit=0)
    shot = settings(focal_length=0.05, f_number=1.8, focus_distance=0.8, distance_from="sensor")
    assert not measured.calibrated
    assert measured.sensor_offset(shot) == pytest.approx(0.0616, abs=1e-12)
    assert 1 / measured.thin_lens(shot).focus == pytest.approx(0.8 - 0.0616, abs=1e-12)


def test_the_pupil_height_of_a_calibrated_lens_is_its_sensor_offset():
    assert profile().sensor_offset(settings(focus_coordinate=500.0, f_number=1.8)) == pytest.approx(0.061, abs=1e-12)


def test_a_pupil_that_moves_with_focus_is_seen_from_that_of_the_reference():
    """The blur of a point, from the geometry of its own pupil, on the grid of the reference: pupils 2 mm apart."""
    moving = profile(reference__z_ep_from_sensor_mm={"poly": [60.0, 0.002]})
    own, reference = settings(focus_coordinate=1100.0, f_number=1.8), settings(focus_coordinate=100.0, f_number=1.8)
    plain, seen, base = moving.thin_lens(own), moving.lens_from(own, reference), moving.thin_lens(reference)
    assert 1 / seen.focus == pytest.approx(1 / plain.focus + 0.002, abs=1e-12)
    for depth in (0.4, 0.9, 2.0):  # from the reference's pupil
        coc = plain.coc(1 / (depth - 0.002))
        magnified = coc * (base.fx / depth) / (plain.fx / (depth - 0.002))  # both images as large as the reference's
        assert seen.on_grid_of(base).coc(1 / depth) == pytest.approx(magnified, rel=1e-9)


@pytest.mark.parametrize("poly", [[60.0], []])
def test_a_pupil_that_stays_changes_nothing(poly):
    still = profile(reference__z_ep_from_sensor_mm={"poly": poly})
    own, reference = settings(focus_coordinate=1100.0, f_number=1.8), settings(focus_coordinate=100.0, f_number=1.8)
    assert still.lens_from(own, reference) == still.thin_lens(own)


def test_a_distance_inside_the_pupil_height_is_refused():
    measured = profile(reference__z_ep_from_sensor_mm={"poly": [60.0]}, focus__a_per_mm=0, focus__b_per_mm_per_unit=0)
    with pytest.raises(ValueError, match=r"\(0.055 m from the sensor\) must exceed .*\(0.06 m\)"):
        measured.thin_lens(settings(focal_length=0.05, f_number=1.8, focus_distance=0.055, distance_from="sensor"))


# --- views of the file -----------------------------------------------------------------------------------


def test_breathing_is_the_ratio_of_fx():
    assert profile().breathing(900.0, reference=0.0) == pytest.approx((11800 + 810 + 8.1) / 11800, rel=1e-12)
    assert profile().breathing(300.0, reference=300.0) == 1.0


def test_vignetting_is_that_of_the_nearest_stop_and_focus():
    assert profile().vignetting(2.0, coordinate=700) == (1, -0.4)
    assert profile().vignetting(3.9) == (1, -0.1)
    assert LensProfile.nominal().vignetting(2.0) == ()


def test_kappa_is_the_median_of_the_field_and_its_slope_is_local():
    assert profile().kappa == pytest.approx(0.08)
    assert profile().dual_pixel_slope(0.5, 0.75) == pytest.approx(0.10)
    assert profile().dual_pixel_slope(0.0, 0.0) == pytest.approx(0.06)
    assert profile().dual_pixel_slope(1 / 3, 0.5) == pytest.approx((0.07 + 0.09) / 2)


def test_what_was_not_measured_is_none():
    nominal = LensProfile.nominal()
    assert (nominal.kappa, nominal.dual_pixel_slope(0.5, 0.5), nominal.pupil_diameter(2.8)) == (None, None, None)
    assert (nominal.pupil_scale(2.8), nominal.pupil_height(None), nominal.calibrated) == (None, None, False)
    with pytest.raises(ValueError, match=r"no projection\.fx_px_poly"):
        nominal.fx(0.0)


def test_names_are_for_reports():
    assert (LensProfile.nominal().name, profile().name) == ("nominal", "Acme 50/1.8")
    assert profile().calibrated


# --- the file --------------------------------------------------------------------------------------------


def test_a_round_trip_keeps_every_key_the_unknown_ones_too(tmp_path):
    LensProfile(document()).save(tmp_path / "lens.json")
    again = LensProfile.load(tmp_path / "lens.json")
    assert again.data == document()
    assert [path.name for path in tmp_path.iterdir()] == ["lens.json"], "no temporary file is left"


def test_a_newer_minor_version_is_read_and_a_newer_major_one_refused(tmp_path):
    assert profile(schema_version="1.7.2").calibrated
    path = tmp_path / "lens.json"
    path.write_text(json.dumps(document(schema_version="2.0.0")))
    with pytest.raises(ValueError, match=r"lens.json: schema_version \('2.0.0'\) is not readable.*update dfd"):
        LensProfile.load(path)


def test_the_data_of_a_profile_is_a_copy():
    data = document()
    made = LensProfile(data)
    data["projection"]["fx_px_poly"][0] = 0.0
    assert made.fx(0.0) == 11800.0


@pytest.mark.parametrize("content, message", [
    (None, "no such lens profile"), (b'{"schema": ', "broken JSON in line 1"), (b"\xff\xfe\x00", "not UTF-8"),
])
def test_a_missing_or_broken_file_is_an_os_error(tmp_path, content, message):
    path = tmp_path / "lens.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OSError, match=f"lens.json: .*{message}"):
        LensProfile.load(path)


def test_a_folder_that_does_not_exist_is_an_os_error(tmp_path):
    with pytest.raises(OSError):
        profile().save(tmp_path / "nowhere" / "lens.json")


@pytest.mark.parametrize("key, value, message", [
    ("schema", "lens", '"schema" must be "dfd-lensprofile"'),
    ("camera__pixel_pitch_um", "4.3", r'camera.pixel_pitch_um \("4.3"\) must be a positive number \[um\]'),
    ("camera__pixel_pitch_um", -4.3, r"camera.pixel_pitch_um \(-4.3\)"),
    ("camera__pixel_pitch_um", True, r"camera.pixel_pitch_um \(true\)"),
    ("camera", [1], r"camera \(\[1\]\) must be an object or null"),
    ("validity__focus_coordinate", [5, 1], r"validity.focus_coordinate \(\[5, 1\]\)"),
    ("reference__depth_origin", "sensor", r'reference.depth_origin \("sensor"\) must be "entrance_pupil"'),
    ("focus__coordinate", "steps", r"focus.coordinate .*encoder_step, bracket_index"),
    ("focus__a_per_mm", None, None),
    ("focus__d_per_unit", math.nan, r"focus.d_per_unit \(NaN\) must be a number"),
    ("focus__spline", {"knots": [1, 2], "rel": [0]}, "2 knots and 1 values"),
    ("focus__spline", {"knots": [2, 1], "rel": [0, 0]}, "rising knots"),
    ("projection__fx_px_poly", [1, "x"], r"projection.fx_px_poly .*\[px\], constant term first"),
    ("aperture", {"f_number_marked": 2}, r"aperture .* must be a list"),
    ("aperture", [{"f_number_marked": 0}], r"aperture\[0\].f_number_marked \(0\)"),
    ("aperture", [3], r"aperture\[0\] \(3\) must be an object"),
    ("dual_pixel__kappa_grid", [[0.1], [0.1, 0.2]], "dual_pixel.kappa_grid .*all of one length"),
    ("dual_pixel__kappa_grid", [[0.1, -0.1]], r"kappa_grid \(least -0.1\) must be positive"),
    ("dual_pixel__kappa_grid", [[0.1, 108.0]], r"kappa_grid \(0.1 to 108\) must lie within 0.001 to 1 .*in metres"),
    ("dual_pixel__kappa_grid", [[0.0001, 0.1]], r"kappa_grid \(0.0001 to 0.1\) must lie within 0.001 to 1"),
    ("dual_pixel__focus_dpt_grid", [[1.0]], r"focus_dpt_grid \(1 x 1\) must have the cells of kappa_grid \(2 x 3\)"),
    ("dual_pixel", None, None),
])
def test_wrong_content_is_named_by_its_key(key, value, message):
    if message is None:
        assert profile(**{key: value}).name == "Acme 50/1.8"
    else:
        with pytest.raises(ValueError, match=message):
            profile(**{key: value})
