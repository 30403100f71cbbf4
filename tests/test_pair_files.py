"""Two files are the views of a dual-pixel pair by capture.toml, by their names, or by their order; options say the rest."""

import json
import struct

import cv2
import numpy as np
import pytest
from conftest import shared_data

from dfd.cli.commands import app
from dfd.console.run import call
from dfd.io.describe import describe
from dfd.io.frames import read_colour, read_luminance
from dfd.io.sources import open_source
from dfd.io.viewnames import pairs_by_name
from dfd.pipeline import foresee, read_capture

SHAPE = (40, 62)


def save(folder, *names, shape=SHAPE):
    """8-bit pictures of these names, each with its own grey in the first row and texture below."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        picture = np.random.default_rng(number).integers(20, 200, (*shape, 3)).astype(np.uint8)
        picture[0] = 10 + number
        cv2.imwrite(str(folder / name), picture)
    return folder


def views(source):
    return [frame.path.name for frame in source.frames]


NAMED = {
    "l.png": "r.png", "005_L.jpg": "005_R.jpg", "a_left.png": "a_right.png", "LEFT.tif": "RIGHT.tif",
    "left-07.png": "right-07.png", "IMG 3 L.png": "IMG 3 R.png", "x.Left.png": "x.Right.png",
}


@pytest.mark.parametrize("left", NAMED)
def test_views_are_known_by_their_names(left, tmp_path):
    folder = save(tmp_path, left, NAMED[left])
    for inputs in ([folder], [folder / left, folder / NAMED[left]], [folder / NAMED[left], folder / left]):
        source = open_source(inputs)
        assert (source.kind, views(source)) == ("dual-pixel", [left, NAMED[left]])
        assert [frame.view for frame in source.frames] == ["left", "right"]


@pytest.mark.parametrize("names", [("l.png", "right.png"), ("a_l.png", "b_r.png"), ("al.png", "ar.png"),
                                   ("a_l.png", "a_r.jpg"), ("f1.png", "f2.png")])
def test_other_names_are_no_views(names, tmp_path):
    save(tmp_path, *names)
    assert pairs_by_name([tmp_path / name for name in names]) == []
    assert open_source([tmp_path / name for name in names]).kind == "focal-stack"


def test_what_stands_beside_the_views_is_left_out_and_said(tmp_path):
    save(tmp_path, "005_L.jpg", "005_R.jpg", "005_B.jpg")
    save(tmp_path, "d.png", shape=(20, 31))
    source = open_source(tmp_path)
    assert views(source) == ["005_L.jpg", "005_R.jpg"]
    assert any("left out: 005_B.jpg, d.png" in text for text in source.warnings)


def test_one_pair_among_many_files_is_chance_unless_the_kind_says_otherwise(tmp_path):
    save(tmp_path, "a_l.png", "a_r.png", *(f"f{k}.png" for k in range(5)))
    assert open_source(tmp_path).kind == "focal-stack"
    assert views(open_source(tmp_path, kind="dual-pixel")) == ["a_l.png", "a_r.png"]


def test_a_folder_of_many_scenes_asks_for_two_files(tmp_path):
    save(tmp_path, *(f"{k:03d}_{view}.png" for k in range(3) for view in ("left", "right")))
    for kind in ("auto", "dual-pixel"):
        with pytest.raises(ValueError, match=r"3 pairs of views .*name its two files: .*000_left.png .*000_right.png"):
            open_source(tmp_path, kind=kind)
    assert "3 pairs of views" in describe([tmp_path]).trouble


def test_without_names_the_first_is_left_and_the_user_is_told(tmp_path):
    save(tmp_path, "b.png", "a.png")
    source = open_source([tmp_path / "b.png", tmp_path / "a.png"], kind="dual-pixel")
    assert views(source) == ["b.png", "a.png"]
    assert any("in the order given" in text and "left = b.png" in text for text in source.warnings)
    save(tmp_path / "c", "a.png", "b.png", "c.png")
    with pytest.raises(ValueError, match="3 images, and no two are named as left and right"):
        open_source(tmp_path / "c", kind="dual-pixel")


def test_names_that_say_the_view_win_over_the_order(tmp_path):
    save(tmp_path, "1_right.png", "2_left.png")
    source = open_source([tmp_path / "1_right.png", tmp_path / "2_left.png"], kind="dual-pixel")
    assert views(source) == ["2_left.png", "1_right.png"]


def test_swap_exchanges_named_and_stated_views_alike(tmp_path):
    save(tmp_path, "l.png", "r.png")
    assert views(open_source(tmp_path, swap=True)) == ["r.png", "l.png"]
    toml = '[[frames]]\nfile = "l.png"\nview = "right"\n[[frames]]\nfile = "r.png"\nview = "left"\n'
    (tmp_path / "capture.toml").write_text(toml)
    assert views(open_source(tmp_path)) == ["r.png", "l.png"]
    (tmp_path / "capture.toml").write_text("swap = true\n" + toml)
    assert views(open_source(tmp_path)) == ["l.png", "r.png"]
    assert views(open_source(tmp_path, swap=False)) == ["r.png", "l.png"]  # an option wins


def test_options_win_over_capture_toml_and_reach_the_capture(tmp_path):
    save(tmp_path, "l.png", "r.png")
    (tmp_path / "capture.toml").write_text('kind = "dual-pixel"\naxis = "y"\ny_scale = 2\n')
    source = open_source(tmp_path)
    assert (source.axis, source.y_scale) == ("y", 2)
    capture = read_capture(tmp_path, y_scale=1.5)
    assert (capture.axis, capture.y_scale, capture.orientation) == ("y", 1.5, 1)
    assert [view.psf.model for view in capture.views] == ["half-upper", "half-lower"]
    for options, words in (({"axis": "z"}, "axis .'z'. must be x or y"), ({"y_scale": 0.0}, r"y_scale \(0\) must lie"),
                           ({"y_scale": float("nan")}, r"y_scale \(nan\) must lie")):
        with pytest.raises(ValueError, match=words):
            open_source(tmp_path, **options)


STACK = '[[frames]]\nfile = "f0.png"\n%s[[frames]]\nfile = "f1.png"\n'
FOREIGN = {
    "swap": "swap = true\n" + STACK % "", "axis": 'axis = "x"\n' + STACK % "", "y_scale": "y_scale = 2\n" + STACK % "",
    "black_level in": STACK % "black_level = 5\n", "white_level in": STACK % "white_level = 250\n",
    "white_sheet in": STACK % 'white_sheet = "f1.png"\n',
    "known_depths": STACK % "" + "[[known_depths]]\nx_px = 1\ny_px = 1\ndepth_m = 1\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_stands_of_a_pair_is_refused_for_another_kind(name, tmp_path):
    save(tmp_path, "f0.png", "f1.png")
    (tmp_path / "capture.toml").write_text(FOREIGN[name])
    with pytest.raises(ValueError, match=f"{name}.* is for kind dual-pixel, this is a focal-stack; leave it out"):
        open_source(tmp_path)


def test_the_command_line_takes_the_options_and_the_record_says_them(tmp_path, capsys):
    rows = np.random.default_rng(1).integers(20, 230, (90, 64)).astype(np.uint8)
    for name in ("l.png", "r.png"):
        cv2.imwrite(str(tmp_path / name), rows)
    cv2.imwrite(str(tmp_path / "r.png"), np.roll(rows, 1, axis=0))
    code = call(app, ["depth", str(tmp_path), "-o", str(tmp_path / "out"), "--swap", "--axis", "y", "--y-scale", "1.5"],
                name="dfd")
    assert code == 0, capsys.readouterr().err
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["views"] == {"swap": True, "axis": "y", "y_scale": 1.5, "known_depths": []}
    assert [frame["file"] for frame in record["frames"]] == ["r.png", "l.png"]
    assert call(app, ["depth", str(tmp_path), "-o", str(tmp_path / "o"), "--axis", "z"], name="dfd") == 2
    assert call(app, ["depth", str(tmp_path), "-o", str(tmp_path / "o"), "--axis", "y", "--dry-run"], name="dfd") == 0


def test_views_of_two_sizes_are_refused_by_name(tmp_path):
    save(tmp_path, "l.png")
    save(tmp_path, "r.png", shape=(40, 60))
    with pytest.raises(ValueError, match=r"l.png is 62 x 40 px but .*r.png is 60 x 40 px; all frames of a capture have one"):
        open_source(tmp_path)


def test_each_view_has_its_own_black_and_white(tmp_path):
    save(tmp_path, "l.png", "r.png")
    (tmp_path / "capture.toml").write_text(
        '[camera]\nlinear = true\nblack_level = 5\n[[frames]]\nfile = "l.png"\nview = "left"\n'
        '[[frames]]\nfile = "r.png"\nview = "right"\nblack_level = 7\nwhite_level = 207\n')
    left, right = open_source(tmp_path).frames
    assert (left.black_level, right.black_level, right.white_level) == ((5,), (7,), 207)
    assert read_luminance(left).image[0, 0] == pytest.approx((10 - 5) / 250, abs=1e-6)
    assert read_luminance(right).image[0, 0] == pytest.approx((11 - 7) / 200, abs=1e-6)


def sheets(folder, ratio, *, shape, black=8):
    """Two 16-bit white sheets with left / right = ratio, black in front."""
    light = np.full(shape, 20000.0)
    for name, factor in (("wl.png", np.sqrt(ratio)), ("wr.png", 1 / np.sqrt(ratio))):
        cv2.imwrite(str(folder / name), np.rint(light * factor + black).astype(np.uint16))


def with_sheets(folder, *, black=8):
    text = f"[camera]\nlinear = true\nblack_level = {black}\n"
    for name, view, sheet in (("l", "left", "wl"), ("r", "right", "wr")):
        text += f'[[frames]]\nfile = "{name}.png"\nview = "{view}"\nwhite_sheet = "{sheet}.png"\n'
    (folder / "capture.toml").write_text(text)


def picture16(folder, shape):
    for name in ("l.png", "r.png"):
        cv2.imwrite(str(folder / name), np.full(shape, 10008, np.uint16))


@pytest.mark.parametrize("larger", [0, 40])
def test_white_sheets_even_the_right_view_before_anything_is_cut(larger, tmp_path):
    ramp = np.linspace(1.0, 1.4, 300 + larger)[None] * np.ones((160 + larger, 1))
    sheets(tmp_path, ramp, shape=ramp.shape)
    picture16(tmp_path, (160, 300))
    with_sheets(tmp_path)
    left, right = open_source(tmp_path).frames
    middle = ramp[larger // 2:larger // 2 + 160, larger // 2:larger // 2 + 300]  # of larger sheets
    factor = read_luminance(right).image / read_luminance(left).image
    inner = slice(60, -60) if larger == 0 else slice(40, -40)  # the box of 101 px bends a ramp at its ends
    assert np.abs(factor / middle - 1)[:, inner].max() < 1e-3
    assert read_luminance(right).gain == pytest.approx(factor.mean(), rel=1e-4)
    assert np.abs(read_colour(right)[..., 0] / read_colour(left)[..., 0] - factor).max() < 1e-4


def test_white_sheets_that_cannot_be_used_are_named(tmp_path):
    picture16(tmp_path, (160, 300))
    ones = np.ones((160, 300))
    for ratio, shape, words in ((ones[:100], (100, 300), "wl.png 300 x 100 px.*must both have the size of the views"),
                                (400 * ones, (160, 300), "ratio runs from .* within 0.1 to 10")):
        sheets(tmp_path, np.minimum(ratio, 9.0) if "size" in words else ratio[:1, :1], shape=shape)
        if "ratio" in words:
            cv2.imwrite(str(tmp_path / "wl.png"), np.full(shape, 60000, np.uint16))
            cv2.imwrite(str(tmp_path / "wr.png"), np.full(shape, 300, np.uint16))
        with_sheets(tmp_path)
        with pytest.raises(ValueError, match=words):
            read_luminance(open_source(tmp_path).frames[1])
    text = (tmp_path / "capture.toml").read_text().replace('white_sheet = "wr.png"\n', "")
    (tmp_path / "capture.toml").write_text(text)
    with pytest.raises(ValueError, match=r"r.png: the right view has no white_sheet, the other has"):
        open_source(tmp_path)


def portrait(path, segment=b"", trailer=b""):
    """A JPEG with an application segment behind its start, and bytes behind its end."""
    picture = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    path.write_bytes(data[:2] + segment + data[2:] + trailer)
    return path


def app1(content, marker=0xE1):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def mpf(kind):
    entry = struct.pack(">IIIHH", kind, 100, 0, 0, 0)
    return b"MPF\0MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 1) + struct.pack(">HHII", 0xB002, 7, 16, 26) + \
        struct.pack(">I", 0) + entry


XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:"
PORTRAITS = {
    "Google GDepth": (app1(XMP + b'GDepth="http://ns.google.com/photos/1.0/depthmap/" GDepth:Near="0.2"/>'), b""),
    "Dynamic Depth": (app1(XMP + b'DepthMap="http://ns.google.com/photos/dd/1.0/depthmap/"/>'), b""),
    "Samsung": (b"", b"\0\0DualShot_DepthMap_1\0data"),
    "Multi-Picture": (app1(mpf(0x020002), 0xE2), b""),
}


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_picture_is_refused_alone_and_among_two(name, tmp_path):
    one = portrait(tmp_path / "a_L.jpg", *PORTRAITS[name])
    portrait(tmp_path / "a_R.jpg")
    words = rf"a_L.jpg: a processed portrait-mode picture; it holds a filtered relative depth map \(.*{name}.*not two views"
    for inputs, kind in (([one], "auto"), ([one], "dual-pixel"), ([tmp_path], "auto"), ([tmp_path], "dual-pixel")):
        with pytest.raises(ValueError, match=words):
            open_source(inputs, kind=kind)
    assert open_source([tmp_path], kind="focal-stack").kind == "focal-stack"  # a stack of such pictures is still a stack


def test_ordinary_pictures_are_no_portraits(tmp_path):
    portrait(tmp_path / "l.jpg", app1(mpf(0x010001), 0xE2) + app1(XMP + b'crs="x" crs:DepthMapInfo="0"/>'))
    portrait(tmp_path / "r.jpg", app1(b"Exif\0\0MM\0*"))
    assert open_source(tmp_path).kind == "dual-pixel"
    heif = tmp_path / "IMG.HEIC"
    heif.write_bytes(b"\0\0\0\x18ftypheic" + b"urn:mpeg:hevc:2015:auxid:2\0")
    with pytest.raises(ValueError, match=r"IMG.HEIC: a processed portrait-mode picture.*HEIF"):
        open_source([heif])


def test_a_newcomer_is_told_what_is_assumed_and_what_would_make_metres(tmp_path):
    picture16(tmp_path, SHAPE)
    source = open_source(tmp_path)
    assert any(text.startswith("l.png: 16-bit PNG, read as sRGB; ") for text in source.warnings)
    assert source.missing[-1].startswith("[[known_depths]]") and any("kappa" in line for line in source.missing)
    (tmp_path / "capture.toml").write_text("[camera]\nlinear = true\n")
    assert not any("sRGB" in text for text in open_source(tmp_path).warnings)


@pytest.mark.parametrize(("folder", "left", "out"), [
    ("dp/iccp2020_dslr_005", "005_L.jpg", "005_B.jpg, 005_D.TIF"),
    ("dp/sdirt_dp119_sample/real_sample_set/box/001", "l.png", "d.png"),
    ("dp/sdirt_dp119_sample/real_sample_set/flat/001/0600/f4", "l.png", ""),
    ("dp/pixel_pgm_example", "20210705_161427_778_left.pgm", ""),
])
def test_real_folders_open_as_they_are(folder, left, out):
    source = open_source(shared_data(folder))
    assert (source.kind, source.scale, views(source)[0]) == ("dual-pixel", "affine", left)
    assert out in " ".join(source.warnings)


def test_scenes_one_level_down_are_pointed_at(rng, tmp_path):
    for scene in ("b", "a"):
        (tmp_path / "all" / scene).mkdir(parents=True)
        np.save(tmp_path / "all" / scene / "l.npy", rng.random((20, 30)))
    with pytest.raises(OSError, match=r"no images in this folder, but in 2 folders below it; .* give .*all.a; dfd reads"):
        open_source(tmp_path / "all")


def test_two_files_that_are_named_as_views_need_no_word(rng, tmp_path):
    for name in ("s_l.npy", "s_r.npy"):
        np.save(tmp_path / name, rng.random((20, 30)))
    for inputs in (tmp_path, [tmp_path / "s_l.npy", tmp_path / "s_r.npy"]):
        assert open_source(inputs).kind == "dual-pixel" and open_source(inputs).warnings == ()


def test_two_files_of_which_nothing_is_known_are_told_what_views_want(rng, tmp_path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.random((20, 30)))
    with pytest.raises(ValueError, match=r"needs at least 3 images .*--kind dual-pixel, or _L and _R in their names"):
        foresee(tmp_path, tmp_path / "out")
