"""The report tells the truth first, escapes everything that it did not write itself, and draws what is there."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from test_results import SHAPE, make_outcome

from dfd.depthmap import DepthMap
from dfd.io.results import write_results
from dfd.io.wording import metre_unit
from dfd.report import write_report
from dfd.report.axes import Axis, axis_of
from dfd.report.pictures import UNKNOWN, encode, framed, orient, paint_map, photo, shrink, shrink_known
from dfd.settings import Value

VOID = {"meta", "img", "br"}


def page_of(folder, outcome):
    write_results(folder, outcome, extras=[write_report])
    return (folder / "report.html").read_text(encoding="utf-8")


def with_text(outcome, text):
    """Hostile text wherever a file or a camera can put some."""
    frames = tuple(replace(frame, path=Path("shots") / text.replace("/", "_"), settings=replace(
        frame.settings, make=text, model=text, lens_model=text,
        focal_length=replace(frame.settings.focal_length, source=text))) for frame in outcome.source.frames)
    source = replace(outcome.source, frames=frames, warnings=(text,), missing=(text,))
    return replace(outcome, source=source, inputs=((f"shots/{text}", text),), solver=text, parameters={text: text},
                   transforms=[{text: text}])


class Balance(HTMLParser):
    """Collects tags and checks that each is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parse(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


@pytest.mark.parametrize("scale", ["metric", "steps"])
def test_strings_from_files_and_cameras_are_escaped(tmp_path, scale):
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>&'
    page = page_of(tmp_path / "out", with_text(make_outcome(scale), attack))
    tags = parse(page)
    assert "script" not in {tag for tag, _ in tags}
    assert all(attributes["src"].startswith("data:image/") for tag, attributes in tags if tag == "img")
    assert page.count("&lt;script&gt;alert(1)") >= 8


def test_the_page_is_self_contained(tmp_path):
    page = page_of(tmp_path / "out", make_outcome())
    tags = parse(page)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags}
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    assert sum(tag == "img" for tag, _ in tags) == 6


def test_the_headline_says_metric_only_when_it_is(tmp_path):
    metric = page_of(tmp_path / "metric", make_outcome())
    assert "<h1>Metric depth: metres from the entrance pupil</h1>" in metric
    sensor = page_of(tmp_path / "sensor", make_outcome(origin="sensor", origin_offset=0.06))
    assert "<h1>Metric depth: metres from the sensor plane</h1>" in sensor
    for scale in ("stage", "steps", "affine"):
        page = page_of(tmp_path / scale, make_outcome(scale))
        assert "<h1>NOT metric depth: " in page and "Metric depth: metres" not in page


def test_a_relative_report_shows_the_lines_that_would_make_it_metric(tmp_path):
    outcome = make_outcome("steps")
    lines = ("[camera]", "focal_length_mm = 50.0  # frames < 3", "f_number = 2.8")
    page = page_of(tmp_path / "out", replace(outcome, source=replace(outcome.source, missing=lines)))
    assert "<pre>[camera]\nfocal_length_mm = 50.0  # frames &lt; 3\nf_number = 2.8</pre>" in page


def test_camera_values_stand_with_their_sources(tmp_path):
    page = page_of(tmp_path / "out", make_outcome())
    assert "<tr><th>aperture</th><td>f/2.8 \N{PLUS-MINUS SIGN} 0.1</td><td>capture.toml</td></tr>" in page
    assert "<th>focus distance<small>--focus-distances</small></th>" in page and "<td>0.7 m</td>" in page
    assert "<th>1<small>reference</small></th>" in page


def test_sources_that_differ_stand_beside_their_values(tmp_path):
    outcome = make_outcome()
    first, *rest = outcome.source.frames
    own = replace(first, settings=replace(first.settings, focus_distance=Value(0.5, 0.04, "EXIF SubjectDistance")))
    page = page_of(tmp_path / "out", replace(outcome, source=replace(outcome.source, frames=(own, *rest))))
    assert "<td>0.5 \N{PLUS-MINUS SIGN} 0.04 m<small>EXIF SubjectDistance</small></td>" in page
    assert "<td>0.7 m<small>--focus-distances</small></td>" in page


@pytest.mark.parametrize(("order", "words"), [("file", "in file order"), ("focus", "counted from near to far"),
                                              ("coordinate", "in the order of focus_coordinate")])
def test_steps_say_what_their_frames_are_counted_by(tmp_path, order, words):
    """Near to far is claimed, and the bar has a near end, only where focus positions are known."""
    outcome = make_outcome("steps")
    outcome = replace(outcome, source=replace(outcome.source, order=order))
    page = page_of(tmp_path / "out", outcome)
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    quantity = f"frame number at which the point is sharpest, {words} (not metres)"
    assert record["scale"]["quantity"] == outcome.quantity == quantity and record["sweep"]["order"] == order
    assert f"the number of the sharpest frame, {words}</h1>" in page
    assert axis_of(outcome).label == f"frame number, {words} (not metres)"
    others = {"in file order", "near to far", "order of focus_coordinate"} - {words.removeprefix("counted from ")}
    shown = re.sub(r"base64,[^\"]+", "", page)
    assert not [other for other in others if other in shown and other not in words]
    assert ("<span>near</span>" in shown) == axis_of(outcome).near_is_left == (order == "focus")


def drawn(folder, outcome, monkeypatch):
    """(figures of the plots, pictures of the page) of a report."""
    figures, shown = [], {}

    def note(figure, **options):
        figures.append(figure)
        return encode(figure, **options)

    monkeypatch.setattr("dfd.report.plots.encode", note)
    monkeypatch.setattr("dfd.report.page.make_page", lambda outcome, record, pictures, plots: shown.update(pictures) or "")
    write_results(folder, outcome, extras=[write_report])
    return figures, shown


@pytest.mark.parametrize(("kept", "coordinates"), [(None, (2.0, 1.5, 0.0)), ((0, 2), (2.0, 0.0)), ((1, 2), (1.5, 0.0))])
def test_marks_of_frames_carry_their_numbers_and_stand_at_their_distance_from_the_origin(
        tmp_path, monkeypatch, kept, coordinates):
    """A focus of 2 dpt from the pupil is 0.5 m + 0.06 m from the sensor; its mark lies at 1 / 0.56 m."""
    outcome = make_outcome(kept=kept, coordinates=coordinates, origin="sensor", origin_offset=0.06)
    (distances, _), _ = drawn(tmp_path / "out", outcome, monkeypatch)
    body, strip = distances.axes
    assert [mark.get_text() for mark in strip.texts] == [str(number) for number in kept or range(3)]
    places = [1 / (1 / focus + 0.06) if focus else 0.0 for focus in coordinates]
    assert [mark.get_position()[0] for mark in strip.texts] == pytest.approx(places, abs=1e-9)
    assert [line.get_xdata()[0] for line in body.lines] == pytest.approx(places, abs=1e-9)


def test_the_picture_of_confidence_is_that_of_its_file(tmp_path, monkeypatch):
    """0.5 is the median of all pixels that had a depth, also after those of little confidence were left out."""
    whole = make_outcome()
    sigma = np.linspace(0.005, 0.02, whole.result.values.size, dtype=np.float32).reshape(SHAPE)
    result = replace(whole.result, sigma=np.where(whole.result.valid, sigma, np.float32(np.nan)))
    kept = result.keep(result.confidence >= 0.6)
    outcome = replace(whole, result=kept, confidence=np.where(kept.valid, result.confidence, np.float32(0)))
    _, shown = drawn(tmp_path / "out", outcome, monkeypatch)
    painted, _ = shown["confidence"]
    stored = np.where(kept.valid, outcome.trust, np.float32(np.nan))
    expected = paint_map(stored, Axis("confidence"), colours="magma", limits=(0, 1))
    assert np.nanmin(stored) >= 0.6
    np.testing.assert_array_equal(painted.picture, expected.picture)
    assert painted.axis.label == "confidence, 0.5 = the median pixel before any were left out"


def test_the_colours_of_source_frames_span_all_frames(tmp_path, monkeypatch):
    """Every pixel of the fixture comes from frame 1 of 0 to 2: the middle of the colours, near to far."""
    _, shown = drawn(tmp_path / "out", make_outcome(), monkeypatch)
    painted, _ = shown["frames"]
    assert (painted.low, painted.high) == (-2, 0)


@pytest.mark.parametrize(("gain", "read_noise", "words", "printed"), [
    (None, None, "the images themselves", "from the images themselves"),
    (0.5, None, "gain stated, the rest from the images",
     "gain 0.5 e\N{MINUS SIGN}/DN (gain stated, the rest from the images)"),
    (None, 3.0, "read noise stated, the rest from the images",
     "read noise 3 e\N{MINUS SIGN} (read noise stated, the rest from the images)"),
    (0.5, 3.0, "stated", "gain 0.5 e\N{MINUS SIGN}/DN, read noise 3 e\N{MINUS SIGN} (stated)")])
def test_the_noise_stands_with_where_it_is_from(tmp_path, gain, read_noise, words, printed):
    outcome = make_outcome(noise_from=words)
    source = replace(outcome.source, gain_e_per_dn=gain, read_noise_e=read_noise)
    assert f"<td>{printed}</td>" in page_of(tmp_path / "out", replace(outcome, source=source))


def test_many_warnings_stay_calm(tmp_path):
    outcome = make_outcome()
    page = page_of(tmp_path / "out", replace(outcome, warnings=tuple(f"remark {k}" for k in range(9))))
    assert "<li>remark 4</li></ul><details><summary>and 4 more</summary><ul><li>remark 5</li>" in page
    assert "<details><summary>and" not in page_of(tmp_path / "few", replace(outcome, warnings=("remark",)))


def test_the_legend_of_a_map_is_its_bar():
    """Near on the left: from 0.5 m (2 dpt) to 2 m (0.5 dpt), d lies at (2 - 1 / d) / 1.5 of the width."""
    painted = paint_map(np.full((2, 4), 1.0, np.float32), Axis("distance [m]", inverse=True), limits=(0.5, 2.0))
    colours, ticks, words = painted.legend()
    assert len(ticks) >= 3 and words == ("near", "distance [m]", "far")
    assert all(share == pytest.approx((2 - 1 / float(label)) / 1.5, abs=1e-6) for share, label in ticks)
    assert sum(colours[0]) > sum(colours[-1]), "near is bright"


def test_alignment_is_the_shift_of_the_centre(tmp_path):
    """A pure scale of 1.01 about the corner moves the centre (22.5, 14.5) by 0.225 and 0.145 px."""
    transforms = [{"file": "a", "matrix": [[1.01, 0, 0], [0, 1.01, 0], [0, 0, 1]], "quality": 0.9}]
    page = page_of(tmp_path / "out", make_outcome(transforms=transforms))
    assert "<th>shift x [px]</th><th>shift y [px]</th><th>magnification</th>" in page
    assert "<td>+0.23</td><td>+0.14</td><td>1.0100</td><td>0</td><td>0.90</td>" in page


def test_an_empty_result_still_makes_pictures_and_a_page(tmp_path):
    nothing = np.full(SHAPE, np.nan, np.float32)
    page = page_of(tmp_path / "out", make_outcome(
        result=DepthMap(nothing, nothing, "metric", ""), all_in_focus=None, index=None, transforms=None,
        coordinates=None, intrinsics=None))
    assert "0.0%" in page and "No pixel has a value" in page
    picture = read_png((tmp_path / "out" / "depth.png").read_bytes())
    assert (picture[:SHAPE[0] * 11, :SHAPE[1] * 11] == UNKNOWN).all()


def picture_of(values, axis, **options):
    return framed(paint_map(values, axis, **options))


def read_png(data):
    return np.rint(255 * imread(io.BytesIO(data), format="png")[..., :3]).astype(int)


def test_near_is_bright_and_unknown_is_neutral_grey():
    depth = np.array([[0.5, 1.0, 2.0, np.nan]], np.float32).repeat(2, axis=0)
    axis = Axis("m", inverse=True)
    colours = read_png(picture_of(depth, axis, limits=(0.5, 2.0)))[10, 60:480:120]
    brightness = colours.sum(axis=1)
    assert brightness[0] > brightness[1] > brightness[2]
    assert colours[3].tolist() == list(UNKNOWN)


def test_colours_follow_inverse_depth():
    """1 / 0.8 dpt lies in the middle between 1 / 0.5 and 1 / 2, so 0.8 m has the middle colour of the map."""
    from matplotlib import colormaps

    picture = read_png(picture_of(np.full((2, 4), 0.8, np.float32), Axis("m", inverse=True), limits=(0.5, 2.0)))
    middle = np.rint(255 * np.array(colormaps["viridis"](128)[:3]))
    assert np.abs(picture[10, 60] - middle).max() <= 2


def test_a_picture_shows_every_pixel_and_its_bar():
    values = np.ones((500, 700), np.float32)
    assert read_png(picture_of(values, Axis("m"))).shape[1] == 700
    assert read_png(picture_of(values, Axis("m"))).shape[0] > 500
    assert read_png(picture_of(np.ones((40, 4000), np.float32), Axis("m"))).shape[1] <= 1600


@pytest.mark.parametrize(("orientation", "expected"), [
    (1, [[1, 2, 3], [4, 5, 6]]), (2, [[3, 2, 1], [6, 5, 4]]), (3, [[6, 5, 4], [3, 2, 1]]), (4, [[4, 5, 6], [1, 2, 3]]),
    (5, [[1, 4], [2, 5], [3, 6]]), (6, [[4, 1], [5, 2], [6, 3]]), (7, [[6, 3], [5, 2], [4, 1]]),
    (8, [[3, 6], [2, 5], [1, 4]])])
def test_exif_orientation_turns_the_preview(orientation, expected):
    """TIFF 6.0: 6 = turn clockwise by 90 degrees to look right, 8 = anticlockwise."""
    assert orient(np.array([[1, 2, 3], [4, 5, 6]]), orientation).tolist() == expected


def test_shrinking_averages_whole_blocks():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:2, :2] = [[[0], [40]], [[80], [120]]]
    small = shrink(picture, longest=3)
    assert small.shape == (2, 3, 3) and small[0, 0].tolist() == [60, 60, 60] and small[1:].max() == 0


def test_a_block_shows_the_mean_of_what_is_known_in_it():
    """2 x 2 px each: 4, 3, 2 and 1 known; below half nothing is shown."""
    places = np.array([[2, 4, 2, 4, 5, np.nan, 9, np.nan], [6, 8, np.nan, 6, np.nan, 7, np.nan, np.nan]], np.float32)
    np.testing.assert_allclose(shrink_known(places, longest=4), [[5, 4, 6, np.nan]], atol=1e-6)


def test_ticks_are_round_and_inside_the_range():
    places, labels = Axis("m", inverse=True).ticks(1 / 0.98, 1 / 0.55)
    assert labels == ["0.6", "0.7", "0.8", "0.9"]
    assert places == pytest.approx([1 / 0.6, 1 / 0.7, 1 / 0.8, 1 / 0.9], abs=1e-9)
    places, labels = Axis("mm", unit=1e-3).ticks(-0.0005, 0.0004)
    assert labels == ["\N{MINUS SIGN}0.4", "\N{MINUS SIGN}0.2", "0", "0.2", "0.4"]
    for low, high in ((0.0, 2.0), (-0.1, 0.5), (0.01, 30.0), (0.4999, 0.5001)):
        places, _ = Axis("m", inverse=True).ticks(low, high)
        assert len(places) >= 3 and all(low <= place <= high for place in places)
    assert "\N{INFINITY}" in Axis("m", inverse=True).ticks(-0.1, 0.5)[1]


def test_lengths_are_shown_in_a_unit_that_reads_well():
    assert [metre_unit(length)[1] for length in (2.0, 0.5, 0.05, 0.0005, 5e-5)] == \
        ["m", "m", "mm", "mm", "\N{GREEK SMALL LETTER MU}m"]
    assert axis_of(make_outcome("steps")).unit == 1.0 and "not metres" in axis_of(make_outcome("steps")).label


def test_a_dark_photo_is_brightened_and_says_by_how_much():
    data, gain = photo(np.full((20, 30, 1), 0.17, np.float32))
    assert data.startswith(b"\xff\xd8") and gain == pytest.approx(5.0, abs=0.01)
    assert photo(np.full((20, 30, 3), 0.9, np.float32))[1] == 1.0


def test_inline_pictures_are_complete_files(tmp_path):
    page = page_of(tmp_path / "out", make_outcome())
    for kind, data in re.findall(r"data:image/(\w+);base64,([^\"]+)", page):
        decoded = base64.b64decode(data, validate=True)
        assert decoded.endswith(b"IEND\xaeB`\x82" if kind == "png" else b"\xff\xd9")


def test_drawing_leaves_matplotlib_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    picture_of(np.ones((4, 5), np.float32), Axis("m"))
    assert dict(matplotlib.rcParams) == before
