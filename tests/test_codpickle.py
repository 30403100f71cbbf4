"""Pickles of the published captures: the layout becomes quadruples, every number can be stated, oddities are told."""

import json

import numpy as np
import pytest
import tifffile
from rigquads import PITCH, POWER, POWER_STEP, quad
from sequencefiles import layout, write_pickle

from dfd.cli.commands import app
from dfd.console.run import call
from dfd.io.codpickle import open_pickle
from dfd.io.keys import ROLES

DEPTHS = (0.75, 0.9, 1.2)
SHAPE = (50, 66)
DN = 200


def codes(image):
    return np.rint(image * DN).astype(np.uint8)


@pytest.fixture(scope="module")
def quads():
    rng = np.random.default_rng(9)
    return [quad(rng, distance, shape=SHAPE) for distance in DEPTHS]


@pytest.fixture
def pickled(tmp_path, quads):
    return write_pickle(tmp_path / "captures.pkl", layout(quads, DEPTHS, convert=codes))


def dfd(*arguments):
    return call(app, [*map(str, arguments)], name="dfd")


def toml(folder, text):
    (folder / "capture.toml").write_text(text, encoding="utf-8")


def test_every_item_is_solved_at_its_true_depth(pickled, tmp_path):
    assert dfd("depth", pickled, "-o", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    with tifffile.TiffFile(tmp_path / "out" / "depth.tiff") as file:
        maps = np.stack([page.asarray() for page in file.pages])
    assert maps.shape == (3, *SHAPE)
    for row, image, distance in zip(record["sequence"]["rows"], maps, DEPTHS, strict=True):
        assert row["true_depth_m"] == pytest.approx(distance, abs=1e-6)
        assert abs(1 / np.nanmedian(image) - 1 / distance) < 0.03, "dioptre"
    assert [frame["role"] for frame in record["frames"]] == list(ROLES)
    sources = record["frames"][0]["values"]
    assert sources["power_dpt"] == {"value": pytest.approx(POWER - POWER_STEP), "sigma": None, "source": "OP + 8.9"}
    assert sources["image_distance_m"]["source"] == "published rig"
    assert any("8.9 dioptre, a fit" in text for text in record["warnings"])
    area = np.array([5, 5, 3, 7.0]) ** 2
    assert [frame["gain"] for frame in record["frames"]] == pytest.approx(area[0] / area, rel=0.01)


def test_pictures_are_averaged_to_pixels_four_times_as_large(pickled):
    quads = open_pickle(pickled)
    assert (quads.count, quads.shape, quads.reduction, quads.dtype.name) == (3, SHAPE, 4, "float32")
    out = np.empty((4, *SHAPE), np.float32)
    quads.read(1, out)
    assert out.std() > 0 and quads.truths == pytest.approx(DEPTHS)


@pytest.mark.parametrize(("unit", "sigma"), [(1e-3, "2.5"), (1.0, "0.0025")])
def test_metres_and_millimetres_of_the_pupil_are_told_apart(tmp_path, quads, unit, sigma, capsys):
    path = write_pickle(tmp_path / "a.pkl", layout(quads, DEPTHS, convert=codes, unit=unit))
    pupils = [frame.settings.pupil_diameter for frame in open_pickle(path).source.frames]
    assert [pupil.value for pupil in pupils] == pytest.approx([5e-3, 5e-3, 3e-3, 7e-3])
    assert pupils[0].source == f"Sigma, a radius in {'mm' if unit == 1e-3 else 'm'}"
    assert dfd("info", path) == 0
    assert f"in {'mm' if unit == 1e-3 else 'm'};" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.float64])
def test_other_types_of_pixels_give_the_same(tmp_path, quads, pickled, kind):
    other = write_pickle(tmp_path / "b.pkl", layout(quads, DEPTHS, convert=lambda image: codes(image).astype(kind)))
    toml(tmp_path, "[camera]\nwhite_level = 255\n")
    made = []
    for path in (pickled, other):
        found, out = open_pickle(path), np.empty((4, *SHAPE), np.float32)
        found.read(2, out)
        made.append(out)
    np.testing.assert_allclose(*made, atol=1e-6)


def test_white_of_floats_is_the_least_level_that_holds_them(tmp_path, quads):
    path = write_pickle(tmp_path / "a.pkl", layout(quads, DEPTHS, convert=lambda image: codes(image).astype(float)))
    assert open_pickle(path).source.frames[0].white_level == 255


def test_every_number_can_be_stated(pickled, tmp_path):
    toml(tmp_path, "[camera]\nimage_distance_mm = 120\npixel_pitch_um = 5\nblack_level = 3\nwhite_level = 240\n"
                   "psf_core_px = 0.5\npsf = \"gaussian\"\ngain_e_per_dn = 50\nread_noise_e = 4\n"
                   "[cod]\npower_offset_dpt = 9\naperture_unit_mm = 2\nslide_zero_m = 1\nslide_step_m = 0\nbinning = 2\n")
    quads = open_pickle(pickled)
    settings = quads.source.frames[1].settings
    assert settings.power.value == pytest.approx(POWER + POWER_STEP - 8.9 + 9)
    assert settings.pupil_diameter.value == pytest.approx(2 * 5e-3)
    assert (settings.image_distance.value, settings.pixel_pitch.value) == pytest.approx((0.12, 5e-6))
    assert settings.image_distance.source == "capture.toml"
    assert (quads.source.frames[0].black_level, quads.source.frames[0].white_level) == ((3.0,), 240.0)
    assert (quads.source.psf.model, quads.source.psf.core) == ("gaussian", 0.5)
    assert (quads.source.gain_e_per_dn, quads.source.read_noise_e) == (50, 4)
    assert quads.truths == (1.0, 1.0, 1.0) and quads.reduction == 2 and not quads.source.warnings
    assert quads.shape == (2 * SHAPE[0], 2 * SHAPE[1])


def test_info_says_what_is_in_a_pickle(pickled, capsys):
    assert dfd("info", pickled) == 0
    told = capsys.readouterr().out
    assert "3 quadruples of 66 x 50 px after averaging 4 x 4 px" in told and "10.04 dioptre (OP + 8.9)" in told
    assert "0.75 to 1.2 m away" in told and f"{PITCH / 4 * 1e6:.3g} um" in told


def change(index, aperture, power, **values):
    def changed(items):
        items[index][aperture][power] |= values
        return items

    return changed


def without(name):
    def changed(items):
        del items[1][0][1][name]
        return items

    return changed


def shot(value):
    def changed(items):
        items[1][0][1] = value
        return items

    return changed


def pictures(convert):
    return lambda items: [[[one | {"Img": convert(one["Img"])} for one in row] for row in item] for item in items]


ODD = {
    "no list": (lambda items: {"a": 1}, ("a dict instead of list[i][aperture][power]",)),
    "an empty list": (lambda items: [], ("an empty list",)),
    "two apertures": (lambda items: [item[:2] for item in items], ("[0][2][1] has no shot", "3 x 3 dicts")),
    "no picture": (without("Img"), ("[1][0][1] has no 'Img'",)),
    "no setting": (without("OP"), ("[1][0][1] has no 'OP'",)),
    "a setting of text": (change(0, 1, 0, OP="1.2"), ("[0][1][0]: OP is no finite number",)),
    "a setting of NaN": (change(0, 1, 0, Sigma=float("nan")), ("Sigma is no finite number",)),
    "a setting too large for a float": (change(0, 1, 0, OP=10**400), ("[0][1][0]: OP is no finite number",)),
    "a place too large for a float": (change(1, 0, 1, Loc=-10**400), ("[1][0][1]: Loc is no finite number",)),
    "a shot of nothing": (shot(None), ("[1][0][1] is None; every item", "3 x 3 dicts")),
    "a shot of lists": (shot([1, 2]), ("[1][0][1] is a list; every item", "3 x 3 dicts")),
    "pictures without light": (pictures(lambda image: np.full(image.shape, np.nan, np.float32)),
                               ("power-minus in item 0 holds nan", "save finite numbers")),
    "pictures beyond all numbers": (pictures(lambda image: np.full(image.shape, np.inf)), ("item 0 holds inf",)),
    "tiny pictures": (pictures(lambda image: image[:8, :9]), ("9 x 8 px of uint8, is too small", "at least 20 px")),
    "a picture of lists": (change(2, 2, 1, Img=[[1, 2]]), ("[2][2][1]: Img is no grey picture",)),
    "colours": (change(0, 1, 0, Img=np.zeros((20, 20, 3), np.uint8)), ("Img is no grey picture",)),
    "another size": (change(2, 1, 2, Img=np.zeros((40, 40), np.uint8)), ("power-plus of item 2 is 40 x 40 px", "one size")),
    "another role's size": (lambda items: [change(k, 2, 1, Img=np.zeros((40, 40), np.uint8))(items) for k in range(3)][-1],
                            ("aperture-plus is 40 x 40 px", "power-minus 264 x 200 px")),
    "signed pixels": (lambda items: [[[shot | {"Img": shot["Img"].astype(np.int16)} for shot in row] for row in item]
                                     for item in items], ("type int16", "unsigned integers or floats")),
    "a lens that moves": (change(1, 1, 0, OP=1.3), ("OP of power-minus is 1.3 in item 1 but 1.14 in item 0", "split")),
    "no step": (lambda items: [change(k, 1, 2, OP=1.14)(items) for k in range(3)][-1], ("10.04 dpt", "power_dpt")),
    "powers exchanged": (lambda items: [[item[0], item[1][::-1], item[2]] for item in items],
                         ("power-plus (10.04 dpt)", "power-minus (10.16 dpt)")),
}


@pytest.mark.parametrize("name", ODD)
def test_another_layout_is_refused_in_one_line(tmp_path, quads, capsys, name):
    alter, parts = ODD[name]
    path = write_pickle(tmp_path / "captures.pkl", alter(layout(quads, DEPTHS, convert=codes)))
    assert dfd("depth", path, "-o", tmp_path / "out") == 2
    line, = capsys.readouterr().err.splitlines()
    assert all(part in line for part in parts), line
    assert [item.name for item in tmp_path.iterdir()] == ["captures.pkl"]


def test_a_binning_that_leaves_nothing_is_refused(tmp_path, quads):
    path = write_pickle(tmp_path / "a.pkl", layout(quads, DEPTHS, convert=codes, binning=1))
    toml(tmp_path, "[cod]\nbinning = 64\n")
    with pytest.raises(ValueError, match=r"binning \(64 px\) must fit into its pictures, 66 x 50 px"):
        open_pickle(path)


@pytest.mark.parametrize(("text", "parts"), [
    ('folders = "a*"\n[[frames]]\nfile = "captures.pkl"\n', ("folders",)),
    ('[[frames]]\nfile = "captures.pkl"\n', ("[[frames]]", "captures.pkl is a pickle")),
    ("[cod]\nbinning = 50\n[camera]\nlinear = true\n", ("5 x 4 px", "at least 20 px")),
    ("[cod]\nbinning = 0\n", ("binning (0 px)",)), ("[cod]\nbining = 4\n", ("bining", "did you mean binning?")),
    ("binning = 4\n", ("binning stands in the wrong place", "[cod]")), ("cod = 3\n", ("written [cod]",)),
])
def test_a_capture_toml_beside_a_pickle_is_checked(pickled, tmp_path, capsys, text, parts):
    toml(tmp_path, text)
    assert dfd("depth", pickled, "-o", tmp_path / "out") == 2
    line, = capsys.readouterr().err.splitlines()
    assert all(part in line for part in parts), line
