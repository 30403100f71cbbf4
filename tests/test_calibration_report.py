"""The report of a lens profile: what it computes, what it shows and leaves out, and when it says that a profile fails."""

import json
import re

import numpy as np
import pytest
from lensprofiles import AXIAL, FX, HEIGHT, JITTER, PUPILS, TAPE, coordinate_of, law, profile, write_profile

from calibration.cli import app
from calibration.cli.common import spread
from calibration.report import failures, write_report
from calibration.report.expected import BLUR_ERROR, expect
from calibration.report.numbers import rows, shown
from calibration.report.profile_data import ProfileData
from calibration.report.sections import parts
from calibration.sidecar import load_arrays, save
from dfd.console.run import call as run_command
from dfd.profile import LensProfile
from dfd.report.pictures import new_figure


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_profile(tmp_path_factory.mktemp("lens") / "lens.json")


@pytest.fixture(scope="module")
def report(path):
    return ProfileData.load(path)


@pytest.fixture(scope="module")
def html(path):
    write_report(path, path.with_name("report.html"))
    return path.with_name("report.html").read_text(encoding="utf-8")


@pytest.fixture
def call(capsys):
    """(exit code, stdout, stderr) of one command line."""

    def called(*arguments):
        code = run_command(app, spread([str(item) for item in arguments]), name="dfd-calibrate")
        return code, *capsys.readouterr()

    return called


def changed(tmp_path, change, *, arrays=False):
    """The profile with a change, at a path of its own."""
    data = profile()
    change(data)
    return write_profile(tmp_path / "lens.json", data, arrays=arrays)


# -- what it computes


def test_frames_moved_to_the_middle_lie_on_the_law_within_their_jitter(report):
    points = report.points
    off = points.focus - law(points.coordinate)
    step = law(points.coordinate + 1) - law(points.coordinate)
    assert len(off) == 8 * 13 and np.isfinite(off).all()
    assert np.std(off / step) == pytest.approx(JITTER, abs=0.1)  # steps; the field alone is worth 30
    assert abs(np.mean(off)) < 2e-4  # dioptre


def test_the_blur_in_the_middle_has_its_sign_and_is_that_of_the_model_within_half_a_pixel(report):
    points = report.points
    rate = np.polynomial.polynomial.polyval(points.coordinate, FX) * PUPILS[1.8]
    expected = rate * (1 / points.depth - law(points.coordinate))
    np.testing.assert_allclose(points.coc, expected, rtol=0, atol=1.5)  # px; a sigma of jitter is 0.15 to 0.5 px
    assert (np.sign(points.coc) == np.sign(expected))[np.abs(expected) > 3].all()


def test_depth_of_the_stations_is_the_tape_less_the_height_of_the_pupil(report):
    assert np.unique(report.points.depth) == pytest.approx(np.sort(TAPE - HEIGHT), abs=1e-9)  # m


def test_without_the_height_of_the_pupil_depth_comes_from_the_image_scales(tmp_path):
    path = changed(tmp_path, lambda data: data["reference"].pop("z_ep_from_sensor_mm"), arrays=True)
    assert np.unique(ProfileData.load(path).points.depth) == pytest.approx(np.sort(TAPE - HEIGHT), abs=1e-3)  # m


def test_image_scale_times_depth_is_fx_within_two_parts_in_ten_thousand(report):
    expected = np.polynomial.polynomial.polyval(report.points.coordinate, FX)
    np.testing.assert_allclose(report.points.fx / expected, 1, rtol=0, atol=2e-4)


def test_the_part_of_the_image_is_the_blur_error_over_the_blur_rate(report):
    found = expect(report, [1.0, 2.4])
    rate = np.polynomial.polynomial.polyval(coordinate_of(1 / found.depth), FX) * PUPILS[1.8]
    np.testing.assert_allclose(found.image, found.depth**2 * BLUR_ERROR / rate, rtol=2e-3)  # m
    np.testing.assert_allclose(found.total, np.hypot(found.lens, found.image), rtol=1e-12)


def test_the_part_of_the_lens_grows_with_the_covariance_and_is_unknown_without(tmp_path, report):
    def wider(data):
        data["covariance"]["matrix"] = (4 * np.array(data["covariance"]["matrix"])).tolist()
        data["focus"]["jitter_sigma_unit"] *= 2

    twice = expect(ProfileData.load(changed(tmp_path, wider)), [1.0])
    assert twice.lens[0] == pytest.approx(2 * expect(report, [1.0]).lens[0], rel=1e-9)

    def bare(data):
        data.pop("covariance")
        data["focus"]["jitter_sigma_unit"] = None
        data["reference"]["z_ep_from_sensor_mm"]["sigma"] = None
        for stop in data["aperture"]:
            stop["diameter_sigma_mm"] = None

    alone = expect(ProfileData.load(changed(tmp_path, bare)), [1.0])
    assert alone.lens is None and alone.total == pytest.approx(alone.image)


TIMES_TEN, MINUS_SIX = "\N{MULTIPLICATION SIGN} 10", "\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT SIX}"


@pytest.mark.parametrize(("value", "sigma", "text"), [
    (27.6, 0.021, ("27.600", "\N{PLUS-MINUS SIGN} 0.021")),
    (8012.347, 4.21, ("8012.3", "\N{PLUS-MINUS SIGN} 4.2")),
    (-0.0123, 0.0006, ("\N{MINUS SIGN}0.01230", "\N{PLUS-MINUS SIGN} 0.00060")),
    (0.00399, 8.7e-6, ("0.0039900", "\N{PLUS-MINUS SIGN} 0.0000087")),
    (1.35e-6, 3e-10, (f"1.35000 {TIMES_TEN}{MINUS_SIX}", f"\N{PLUS-MINUS SIGN} 0.00030 {TIMES_TEN}{MINUS_SIX}")),
    (-2e-6, 1.5e-5, (f"\N{MINUS SIGN}0.2 {TIMES_TEN}\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT FIVE}",
                     f"\N{PLUS-MINUS SIGN} 1.5 {TIMES_TEN}\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT FIVE}")),
    (16383, None, ("16383", "\N{EN DASH}")),
    (None, 0.1, ("unknown", "\N{EN DASH}")),
])
def test_numbers_have_as_many_digits_as_their_sigma(value, sigma, text):
    assert shown(value, sigma) == text


def test_every_number_has_its_sigma_and_unit(report):
    table = {name: rest for name, *rest in rows(report)}
    assert table["entrance pupil at f/1.8"] == ["27.600", "\N{PLUS-MINUS SIGN} 0.020", "mm"]
    assert table["axial colour, red less green"][2] == "dioptre"
    assert float(table["axial colour, blue less green"][0]) == AXIAL["B"]
    assert table["gain at ISO 100"][2] == "e\N{MINUS SIGN}/DN"
    assert all(unit for *_, unit in table.values())


# -- what it shows


def test_the_page_is_one_file_with_every_plot_and_no_reference_outside(html):
    assert html.count("<img") == 10 and len(set(re.findall(r'src="(data:image/png;base64,[^"]+)"', html))) == 10
    assert "http" not in html and "<script" not in html
    for words in ("Grade A, measured", "0.65 to 2.5 m", "Acme M1", "Every number", "d0650/f0.dng", "0.08 %"):
        assert words in html, words


def test_every_plot_names_its_axes_with_units(report):
    for part in parts(report):
        for plot in part.plots:
            figure = new_figure(620, 350)
            plot.draw(figure)
            labels = [label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel()) if label]
            assert labels, plot.title
            if "Kernels" not in plot.title:
                assert any("[" in label or "=" in label or "f-number" in label for label in labels), labels


def test_text_of_a_profile_is_escaped(tmp_path):
    path = changed(tmp_path, lambda data: data["camera"].update(model="<b>M1</b>"))
    write_report(path, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<b>M1</b>" not in text and "&lt;b&gt;M1&lt;/b&gt;" in text


def test_the_pdf_has_pages_and_the_title_of_the_lens(path, tmp_path):
    assert write_report(path, tmp_path / "r.pdf") == []
    content = (tmp_path / "r.pdf").read_bytes()
    assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type /Page\b", content)) >= 5
    assert sorted(file.name for file in tmp_path.iterdir()) == ["r.pdf"]


def test_a_profile_of_noise_alone_names_what_measures_the_rest(tmp_path):
    def noise_alone(data):
        for key in ("focus", "projection", "aperture", "field", "covariance", "validity", "psf", "reference", "quality"):
            data.pop(key)
        data["radiometry"].pop("vignetting")
        data["provenance"]["grade"] = "C nominal (EXIF)"

    path = changed(tmp_path, noise_alone)
    failed = write_report(path, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert len(failed) == 1 and failed[0].startswith("grade C")
    assert text.count("<img") == 1 and "Photon transfer" in text
    for words in ("Focus law: not measured; run dfd-calibrate focus",
                  "Vignetting: not measured; run dfd-calibrate psf", "PSF: not measured; run dfd-calibrate psf",
                  "Axial colour: not measured"):
        assert words in text, words
    assert text.count("<h2>Not measured</h2>") == 1 and "<h2>Point-spread functions</h2>" not in text
    assert write_report(path, tmp_path / "r.pdf") == failed


def test_a_profile_of_nothing_still_has_a_report(tmp_path):
    path = write_profile(tmp_path / "lens.json", {"schema": "dfd-lensprofile", "schema_version": "1.0.0"}, arrays=False)
    for name in ("r.html", "r.pdf"):
        assert len(write_report(path, tmp_path / name)) == 1 and (tmp_path / name).stat().st_size > 1000


def test_breathing_alone_is_drawn(tmp_path):
    def alone(data):
        data["projection"] = {"breathing": {"reference": 300.0, "coordinate": "encoder_step", "scale_poly": [0.98, 7e-5],
                                            "sigma": [1e-5, 2e-8], "method": "board", "range": [100.0, 500.0]}}
        for key in ("focus", "validity"):
            data.pop(key)

    report = ProfileData.load(changed(tmp_path, alone))
    (part,) = (part for part in parts(report) if part.title.startswith("Image distance"))
    assert [plot.title for plot in part.plots] == ["Breathing,", "Entrance pupil per f-number,"]
    assert ("breathing, s^0", "0.980000", "\N{PLUS-MINUS SIGN} 0.000010", "1") in rows(report)


def with_stations(data):
    """What the calibration says of its distances and frames."""
    data["quality"] |= {
        "stations": [{"tape_mm": 1e3 * tape, "z_mm": 1e3 * (tape - HEIGHT) - 1.5, "difference_mm": -1.5, "frames": 13,
                      "trusted": number != 2} for number, tape in enumerate(TAPE)],
        "rejected": ["d0650/f7.dng: fewer than 6 of its edges can be measured"], "remarks": ["tape reading 0.9 m is off"]}
    data["provenance"]["target"] = {"id": "a4", "square_mm_measured": 24.02, "sigma_mm": 0.012}


def test_distances_and_the_board_stand_in_a_table_and_rejected_frames_are_folded(tmp_path):
    path = changed(tmp_path, with_stations)
    (part,) = (part for part in parts(ProfileData.load(path)) if part.title == "Distances and target")
    tape, depth = 1e3 * TAPE[0], 1e3 * (TAPE[0] - HEIGHT) - 1.5
    assert part.table[1] == (f"{tape:.1f}", f"{depth:.1f}", "\N{MINUS SIGN}1.5", "13", "good")
    assert [row[-1] for row in part.table[1:]] == ["good"] * 2 + ["counts little"] + ["good"] * 5
    assert part.note == "Target: board a4, squares of 24.020 \N{PLUS-MINUS SIGN} 0.012 mm."
    write_report(path, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<li>tape reading 0.9 m is off</li>" in text
    assert "<details><summary>Frames that were not used (1)</summary><ul><li>d0650/f7.dng: fewer" in text
    assert write_report(path, tmp_path / "r.pdf") == []


def test_frames_are_drawn_at_the_distances_that_the_fit_finds_where_they_are_kept(tmp_path, report):
    off = np.array([0.004, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # m: the first tape reading is wrong
    path = write_profile(tmp_path / "lens.json")
    data = json.loads(path.read_text())
    arrays = load_arrays(path, data)
    arrays["focus/distance"] = arrays["focus/distance"] + off
    (tmp_path / "tape").mkdir()
    (tmp_path / "fit").mkdir()
    bare = {key: value for key, value in data.items() if key != "sidecar"}
    for name, extra in (("tape", {}), ("fit", {"focus/depth": TAPE - HEIGHT})):
        LensProfile(save(tmp_path / name / "lens.json", bare, arrays | extra)).save(tmp_path / name / "lens.json")
    tape, fit = (ProfileData.load(tmp_path / name / "lens.json") for name in ("tape", "fit"))
    first = report.points.station == 0
    expected = np.polynomial.polynomial.polyval(report.points.coordinate, FX)
    np.testing.assert_allclose(fit.points.fx / expected, 1, rtol=0, atol=2e-4)
    assert np.abs(tape.points.fx / expected - 1)[first].min() > 5e-3
    np.testing.assert_allclose(fit.points.focus, report.points.focus, rtol=0, atol=1e-12)  # dioptre
    for drawn, words in ((tape, "at the tape readings"), (fit, "at the distances that the fit finds")):
        captions = [plot.caption for part in parts(drawn) for plot in part.plots]
        assert sum(words in caption for caption in captions) == 2


def test_the_pupil_of_a_single_stop_is_a_sentence(tmp_path):
    report = ProfileData.load(changed(tmp_path, lambda data: data.update(aperture=data["aperture"][:1])))
    (part,) = (part for part in parts(report) if part.title.startswith("Image distance"))
    assert len(part.plots) == 1 and part.note.startswith("Entrance pupil at f/1.8: 27.600 \N{PLUS-MINUS SIGN} 0.020 mm")
    assert "\N{MINUS SIGN}0.6 \N{PLUS-MINUS SIGN} 0.1 % against 50 mm / 1.8" in part.note


def test_frames_of_every_stop_lie_on_the_law_less_their_focus_shift(tmp_path, report):
    def shifted(data):
        data["aperture"][0]["focus_shift_dpt"] = 0.02

    moved = ProfileData.load(changed(tmp_path, shifted, arrays=True)).points
    blurred = np.abs(report.points.coc) > 10  # px; the shift is worth 4.5, so that the side of focus is certain
    np.testing.assert_allclose((report.points.focus - moved.focus)[blurred], 0.02, rtol=0, atol=1e-9)  # dioptre


# -- the gates


def worse(key, **values):
    return lambda data: data[key].update(values)


@pytest.mark.parametrize(("change", "said"), [
    (worse("quality", chi2_dof=80.0), r"chi2_dof of the focus calibration \(80\) exceeds 1\.5"),
    (worse("provenance", grade="C nominal (EXIF)"), "grade C: the optics are nominal"),
    (worse("validity", focus_coordinate=[300, 600]), r"coverage: the focus law goes from .* m to .* m, the depths from 0"),
    (worse("validity", z_from_ep_mm=None), r"coverage: validity\.z_from_ep_mm is not stated"),
    (worse("validity", f_numbers=None), r"coverage: validity\.f_numbers is not stated"),
])
def test_a_gate_that_fails_is_named_and_exit_code_1(call, tmp_path, change, said):
    path = changed(tmp_path, change)
    assert re.match(said, failures(ProfileData.load(path))[0])
    code, out, err = call("report", path, "-o", tmp_path / "r.html")
    assert code == 1 and "r.html: report of" in out and re.search(said, err)
    assert "relative" in (tmp_path / "r.html").read_text(encoding="utf-8").split("<h1>")[0][-200:]


def test_a_good_profile_passes_every_gate_and_is_exit_code_0(call, path, tmp_path):
    assert failures(ProfileData.load(path)) == []
    code, out, err = call("report", path, "-o", tmp_path / "r.pdf")
    assert (code, err) == (0, "") and "r.pdf: report of" in out


def test_doubts_of_the_calibration_stand_among_the_warnings(tmp_path):
    path = changed(tmp_path, worse("quality", doubts=["4 distances; 5 or more test each other"]))
    write_report(path, tmp_path / "r.html")
    assert "4 distances; 5 or more test each other" in (tmp_path / "r.html").read_text(encoding="utf-8")


# -- bad input


def test_a_report_is_not_replaced_without_force(call, path, tmp_path):
    target = tmp_path / "r.html"
    target.write_text("mine")
    code, _, err = call("report", path, "-o", target)
    assert code == 2 and "exists already" in err and target.read_text() == "mine"
    assert call("report", path, "-o", target, "--force")[0] == 0 and target.stat().st_size > 1000


@pytest.mark.parametrize(("profile_name", "output", "said"), [
    ("absent.json", "r.html", "absent.json: no such lens profile"),
    ("lens.json", "r.docx", "name it *.html or *.pdf"),
    ("lens.json", "no/folder/r.html", "make it first"),
])
def test_a_wrong_call_is_one_line_and_leaves_nothing(call, tmp_path, profile_name, output, said):
    write_profile(tmp_path / "lens.json", arrays=False)
    code, _, err = call("report", tmp_path / profile_name, "-o", tmp_path / output)
    assert code == 2 and err.count("\n") == 1 and said in err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lens.json"]


def test_arrays_of_another_run_are_refused(call, tmp_path):
    path = write_profile(tmp_path / "lens.json")
    data = json.loads(path.read_text())
    data["sidecar"]["sha256"] = "0" * 64
    path.write_text(json.dumps(data))
    code, _, err = call("report", path, "-o", tmp_path / "r.html")
    assert code == 2 and "not the file that lens.json was written with" in err and not (tmp_path / "r.html").exists()
