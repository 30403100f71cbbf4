"""Pictures for notebooks: what they say, how large they are, and that nouns alone show numbers only."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

import dfd
from dfd.report.comparison import alignment_words, comparison_picture
from dfd.report.figures import (
    as_map,
    common_limits,
    confidence_picture,
    depth_picture,
    error_panel,
    error_picture,
    round_limit,
    section_picture,
    signed_error,
)
from dfd.report.panels import LARGEST, WIDTH, Panel, assemble
from dfd.report.pictures import UNKNOWN

SHAPE = (30, 50)


def make_map(shape=SHAPE, scale="metric", sigma=0.01):
    y, x = np.mgrid[:shape[0], :shape[1]]
    values = (1.0 + 0.4 * x / shape[1] + 0.2 * y / shape[0]).astype(np.float32)
    return dfd.DepthMap(values, np.full(shape, sigma, np.float32), scale, "likelihood")


def read(picture):
    return np.rint(255 * imread(io.BytesIO(picture.png), format="png")[..., :3]).astype(int)


def capture(cls=dfd.Capture, count=3, scale="metric", lens=True, **options):
    rng = np.random.default_rng(1)
    lenses = [dfd.ThinLens.focused_at(0.6 + 0.1 * k, focal_length=0.05, f_number=2.8, pixel_pitch=6e-6) if lens else None
              for k in range(count)]
    views = [dfd.View(lens, dfd.Psf("disk"), dfd.Noise(1000, 1), lens.focus if lens else None) for lens in lenses]
    return cls(rng.random((count, *SHAPE), dtype=np.float32), views, scale, **options)


def profile():
    return dfd.LensProfile({
        "schema": "dfd-lensprofile", "schema_version": "1.0.0",
        "lens": {"make": "Maker", "model": "<50>", "focal_nominal_mm": 50.0},
        "camera": {"pixel_pitch_um": 6.0}, "projection": {"fx_px_poly": [9000.0, 1.0]},
        "focus": {"coordinate": "encoder_step", "a_per_mm": 1e-3, "b_per_mm_per_unit": 1e-6, "d_per_unit": 0.0},
        "aperture": [{"f_number_marked": 2.8, "diameter_eff_mm": 17.8}],
        "validity": {"focus_coordinate": [0, 500], "f_numbers": [2.8]}})


def test_the_picture_of_a_result_is_a_png_that_a_notebook_shows(tmp_path):
    picture = dfd.show(make_map())
    assert picture._repr_png_() is picture.png and picture.png.startswith(b"\x89PNG")
    assert read(picture).shape == (*picture.size, 3) and picture.size[1] == WIDTH
    picture.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == picture.png
    assert repr(picture).startswith(f"Picture({picture.size[1]} x {picture.size[0]} px, ") and len(repr(picture)) < 50


def test_a_picture_is_saved_as_png_only(tmp_path):
    with pytest.raises(ValueError, match=r"a.jpg: a picture is saved as PNG, not as .jpg; name it a.png"):
        dfd.show(make_map()).save(tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(600, 400), (48, 64), (30, 900), (1080, 1920), (1, 1)])
@pytest.mark.parametrize("reference", [False, True])
def test_every_size_makes_a_small_picture_of_a_width(shape, reference):
    item = make_map(shape)
    picture = dfd.show(item, reference=item.depth * np.float32(1.01) if reference else None)
    assert picture.size[1] == WIDTH and picture.size[0] < 1.2 * WIDTH and len(picture.png) <= LARGEST


def test_grain_is_given_up_before_bytes():
    """Noise in three channels: 660 x 660 px of it would be 1.3 MB."""
    noise = np.random.default_rng(0).random((700, 700, 3), dtype=np.float32)
    assert len(dfd.show(noise).png) <= LARGEST


@pytest.mark.parametrize("scale", ["metric", "stage", "steps", "affine"])
def test_a_map_without_any_value_is_grey(scale):
    nothing = np.full(SHAPE, np.nan, np.float32)
    for picture in (dfd.show(dfd.DepthMap(nothing, nothing, scale)), depth_picture(dfd.DepthMap(nothing, nothing, scale)),
                    confidence_picture(dfd.DepthMap(nothing, nothing, scale))):
        pixels = read(picture)
        assert (pixels[150, 100:500] == UNKNOWN).all()


def test_a_map_of_one_value_is_shown():
    same = dfd.DepthMap(np.full(SHAPE, 2, np.float32), np.zeros(SHAPE, np.float32), "metric", "m")
    low, high = common_limits(same)
    assert low < 0.5 < high
    assert dfd.show(same, reference=np.full(SHAPE, 0.5)).size[1] == WIDTH


def test_the_error_of_distance_is_positive_where_the_result_is_too_far():
    """1 m told as 1.25 m is + 25 %, and - 0.2 dioptre."""
    truth = as_map(np.full(SHAPE, 1.0), make_map())
    far = as_map(np.full(SHAPE, 1.25), make_map())
    error, words = signed_error(far, truth, "percent")
    np.testing.assert_allclose(error, 25, atol=1e-4)
    assert words.endswith("[%], + = too far")
    error, words = signed_error(far, truth, "dioptre")
    np.testing.assert_allclose(error, -0.2, atol=1e-6)
    assert words.endswith("[dioptre], + = too near")


def test_errors_are_symmetric_about_white_and_unknown_is_grey():
    """0.9, 1 and 1.1 m against 1 m: blue, nearly white, red; NaN in either is grey, and the density counts it."""
    told = np.array([[0.9, 1.0, 1.1, np.nan, 1.0]])
    true = np.array([[1.0, 1.0, 1.0, 1.0, np.nan]])
    like = make_map((1, 5))
    panel = error_panel(as_map(told, like), as_map(true, like))
    near, right, far, unknown, beyond = panel.pixels[0].astype(int)
    assert near[2] > near[0] + 60 and far[0] > far[2] + 60 and right.min() > 240
    assert tuple(unknown) == UNKNOWN == tuple(beyond)
    assert (panel.painted.low, panel.painted.high) == pytest.approx((-panel.painted.high, panel.painted.high))
    assert panel.note.startswith("known 75.0% of 4 reference pixels")


@pytest.mark.parametrize(("size", "limit"), [(0.98, 1), (1.0, 1), (1.2, 1.5), (0.031, 0.05), (7.1, 10), (0, 1e-6)])
def test_limits_of_errors_are_round(size, limit):
    assert round_limit(size) == pytest.approx(limit, rel=1e-9)


def test_a_smooth_map_shows_no_contours_beside_grain():
    """Grain takes the bytes, so colours are few: neighbours of a ramp still differ as little as in its own colours."""
    from dfd.report.figures import depth_panel

    grain = np.random.default_rng(0).random((300, 400, 3), dtype=np.float32)
    ramp = depth_panel(make_map((300, 400)))
    picture = assemble([Panel((255 * grain).astype(np.uint8))] * 2 + [ramp])
    assert len(picture.png) <= LARGEST
    shown = read(picture)[40:200, 690:970].astype(float)
    truth = np.asarray(assemble_pixels(ramp))[40:200, 690:970].astype(float)
    smooth = [np.apply_along_axis(lambda line: np.convolve(line, np.ones(16) / 16, "valid"), 1, item[..., 1])
              for item in (shown, truth)]
    assert np.abs(smooth[0] - smooth[1]).mean() < 3  # of 255


def assemble_pixels(panel):
    """The third of three panels before colours are given up."""
    from dfd.report.panels import _drawn

    white = Panel(np.full((300, 400, 3), 255, np.uint8))
    return _drawn([white, white, panel], 3, None, WIDTH, 1.0)


def test_result_and_reference_have_the_same_colours():
    """A reference 1.5 times as far: one depth has one colour in both panels."""
    from dfd.report.figures import depth_panel

    near, far = make_map(), as_map(make_map().depth * np.float32(1.5), make_map())
    limits = common_limits(near, far)
    panels = [depth_panel(item, limits=limits) for item in (near, far)]
    assert panels[0].painted.low == panels[1].painted.low and panels[0].painted.high == panels[1].painted.high


def test_sizes_and_scales_that_differ_are_refused_with_both_named():
    with pytest.raises(ValueError, match=r"the maps are 50 x 30 and 40 x 30 px; crop or resample"):
        dfd.show(make_map(), reference=np.ones((30, 40)))
    with pytest.raises(ValueError, match=r"scales metric \[dioptre\] and affine \[px\]; fit one"):
        error_picture(make_map(), make_map(scale="affine"))
    with pytest.raises(ValueError, match="at or below 0 m"):
        error_picture(make_map(), np.zeros(SHAPE))
    with pytest.raises(ValueError, match=r"the picture is 40 x 30 px but the map 50 x 30 px"):
        confidence_picture(make_map(), np.ones((30, 40, 3)))
    with pytest.raises(ValueError, match=r"unit \('metres'\)"):
        error_picture(make_map(), make_map(), unit="metres")


@pytest.mark.parametrize(("options", "words"), [
    ({"row": 30}, "row \\(30\\) lies outside"), ({"column": -1}, "column \\(-1\\)"),
    ({"row": 1, "column": 1}, "cannot both be given")])
def test_a_section_outside_the_map_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        section_picture({"a": make_map()}, **options)


def test_a_section_takes_maps_arrays_and_a_reference():
    item = make_map()
    first = section_picture({"a": item, "b": item.depth}, column=7, reference=item)
    assert first.png != section_picture({"a": item}, row=7).png and len(first.png) <= LARGEST


def test_confidence_lies_over_the_picture():
    """Where the picture is black the overlay is darker than where it is white."""
    image = np.zeros(SHAPE, np.float32)
    image[:, 25:] = 1
    pixels = read(confidence_picture(make_map(), image)).sum(axis=-1)
    assert pixels[100:200, 400:600].mean() > pixels[100:200, 60:260].mean() + 200


@pytest.mark.parametrize("item", [None, "a", 3, np.ones(4), np.ones((2, 3, 4)), np.ones((0, 3))])
def test_what_cannot_be_shown_is_told(item):
    with pytest.raises(TypeError, match="cannot be shown; pass a DepthMap, Capture, LightField"):
        dfd.show(item)


def test_a_reference_goes_with_a_map_only():
    with pytest.raises(TypeError, match="a reference goes with a DepthMap or an"):
        dfd.show(capture(), reference=np.ones(SHAPE))


def test_arrays_are_maps_or_pictures():
    """(H, W) in colours, (H, W, 1) in grey, uint8 as it is."""
    grey = np.linspace(0, 1, 1500, dtype=np.float32).reshape(SHAPE)
    assert np.ptp(read(dfd.show(grey))[100, 300]) > 30 and np.ptp(read(dfd.show(grey[..., None]))[100, 300]) == 0
    own = np.full((*SHAPE, 3), (10, 200, 30), np.uint8)
    assert read(dfd.show(own))[100, 300].tolist() == [10, 200, 30]
    assert dfd.show(grey, reference=grey + 1).size[1] == WIDTH


@pytest.mark.parametrize("made", [
    lambda: capture(), lambda: capture(dfd.FocalStack, 16), lambda: capture(scale="affine", lens=False),
    lambda: capture(dfd.DualPixelPair, 2, "affine", lens=False)], ids=["views", "stack", "unknown", "dual-pixel"])
def test_a_capture_shows_at_most_six_images_in_one_brightness(made):
    from dfd.report.portraits import capture_panels

    item = made()
    panels, words = capture_panels(item)
    assert len(panels) == min(len(item), 6) and item.kind in words
    assert dfd.show(item).size[1] == WIDTH


def test_the_images_of_a_pair_carry_their_names_and_optics():
    from dfd.report.portraits import capture_panels

    lenses = [dfd.ThinLens.focused_at(1.0, focal_length=0.05, f_number=number, pixel_pitch=6e-6) for number in (11, 4)]
    views = [dfd.View(lens, dfd.Psf("disk"), dfd.Noise(1000, 1)) for lens in lenses]
    pair = dfd.AperturePair(np.full((2, *SHAPE), 0.5, np.float32), views, side="far")
    panels, _ = capture_panels(pair)
    assert [panel.title for panel in panels] == ["narrow", "wide"]
    assert panels[1].note == "focus 1 dpt (1 m), f/4"


def test_a_lens_shows_its_curves_and_one_without_says_what_to_do():
    assert dfd.show(profile()).size[1] == WIDTH
    with pytest.raises(ValueError, match=r"profile nominal has no measured focus law .* dfd-calibrate focus"):
        dfd.show(dfd.LensProfile.nominal())


def test_a_light_field_shows_views_from_left_to_right():
    from dfd.report.portraits import lightfield_panels
    from dfd.simulate.lightfield import simulate_light_field

    field = simulate_light_field("slant", size=(24, 36), views=3, samples=31)
    panels, words = lightfield_panels(field)
    assert [panel.title for panel in panels][1:3] == ["view -1 right, +0 down", "view +1 right, +0 down"]
    assert len(panels) == 5 and "9 views, 36 x 24 px" in words
    assert dfd.show(field).size[1] == WIDTH


@pytest.mark.parametrize("align", ["none", "offset", "affine", "monotone"])
@pytest.mark.parametrize("with_image", [False, True])
def test_a_comparison_says_what_was_fitted(align, with_image):
    result, truth = make_map(), make_map().depth * np.float32(1.02)
    figures = dfd.compare(result, truth, align=align)
    picture = comparison_picture(result, truth, figures, image=np.ones(SHAPE, np.float32) if with_image else None)
    assert picture.size[1] == WIDTH and len(picture.png) <= LARGEST
    expected = "nothing fitted" if align == "none" else f"fitted on the reference first: {align}"
    assert alignment_words(figures).startswith(expected)


def test_the_fit_is_part_of_the_errors_shown():
    """A result 0.1 dioptre too near everywhere: after the offset its errors are those of rounding."""
    from dfd.report.comparison import _aligned

    truth = make_map()
    result = dfd.DepthMap(truth.values + np.float32(0.1), truth.sigma, "metric", "m")
    for align in ("offset", "affine"):
        fitted = _aligned(result, dfd.compare(result, truth, align=align), "metric")
        np.testing.assert_allclose(fitted.values, truth.values, atol=1e-5)


def test_a_relative_result_is_judged_as_fitted_in_metres():
    """px that are a line in dioptres: the fitted map is metric, and sigma follows its slope."""
    from dfd.report.comparison import _aligned

    truth = make_map()
    result = dfd.DepthMap(20 * truth.values - 7, 20 * truth.sigma, "affine", "disparity")
    figures = dfd.compare(result, truth, align="affine")
    fitted = _aligned(result, figures, truth.scale)
    assert fitted.scale == "metric"
    np.testing.assert_allclose(fitted.depth, truth.depth, rtol=1e-4)
    np.testing.assert_allclose(fitted.sigma, truth.sigma, rtol=1e-4)
    assert comparison_picture(result, truth, figures).size[1] == WIDTH


def test_panels_stand_beside_each_other():
    white, black = (np.full((20, 20, 3), level, np.uint8) for level in (255, 0))
    row = read(assemble([Panel(black), Panel(white), Panel(black)]))[100]
    assert [row[place].max() for place in (160, 500, 830)] == [0, 255, 0]


@pytest.mark.parametrize("made", [
    make_map, capture, lambda: capture(scale="affine", lens=False), profile, dfd.LensProfile.nominal,
    lambda: capture().views[0].lens], ids=["map", "capture", "without optics", "profile", "nominal", "lens"])
def test_nouns_show_numbers_only(made):
    html = made()._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 1 and "<tr>" in html
    assert "<img" not in html and "None" not in html and "nan" not in html and "<50>" not in html


def test_drawing_leaves_matplotlib_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    dfd.show(make_map(), reference=make_map())
    assert dict(matplotlib.rcParams) == before


def test_the_picture_of_a_comparison_draws_the_errors_that_were_counted():
    from dfd import compare
    from dfd.evaluate import SUFFIXES
    from dfd.report.comparison import _counted, alignment_words

    values = np.full((20, 30), 1.0, np.float32)
    result = dfd.DepthMap(values, np.full_like(values, 0.1), "metric")
    mask = np.ones(values.shape)
    mask[:, 25:] = 0
    figures = compare(result, 1 / (values + np.float32(0.01)), mask=mask, border=3)
    counted = _counted(result, figures, mask)
    assert np.isfinite(counted.values).sum() == figures["n_reference"] == 14 * 22
    assert SUFFIXES["metric"] == "dpt"
    assert alignment_words(figures) == "nothing fitted on the reference; border of 3 px left out; pixels of the mask alone"
