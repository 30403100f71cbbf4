"""`dfd compare` at the command line: what files hold, benchmark figures, other sizes; each bad call in one line, exit 2."""

import json

import cv2
import numpy as np
import pytest
import tifffile
from commandline import dfd, refused
from conftest import shared_data

from dfd.depthmap import DepthMap
from dfd.io.maps import map_facts, read_map
from dfd.io.regions import read_regions

SHAPE = (30, 46)
RATE, FOCUS = 8.777, 0.87


def pfm(path, values):
    head = b"Pf\n%d %d\n-1.0\n" % values.shape[::-1]
    path.write_bytes(head + values[::-1].astype("<f4").tobytes())


def disparity():
    return np.linspace(-1, 2, SHAPE[0] * SHAPE[1]).reshape(SHAPE)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A metric result, its reference as disparity of a light field in several forms, and files that do not fit."""
    monkeypatch.chdir(tmp_path)
    inverse = (FOCUS + disparity() / RATE).astype(np.float32)
    sigma = np.full_like(inverse, 0.01)
    DepthMap(inverse, sigma, "metric", "test").save("result.npz")
    DepthMap(inverse, sigma, "steps", "test").save("frames.npz")
    pfm(tmp_path / "d.pfm", disparity())
    np.save("depth.npy", 1 / inverse)
    np.save("inverse.npy", inverse)
    np.save("turned.npy", (1 / inverse).T)
    np.save("small.npy", (1 / inverse)[::2, ::2])
    np.save("other.npy", np.ones((30, 40)))
    np.save("zero.npy", np.zeros(SHAPE))
    np.save("nothing.npy", np.full(SHAPE, np.nan))
    np.save("empty.npy", np.ones((0, 46)))
    np.savez("two.npz", a=np.ones(SHAPE), b=np.ones(SHAPE))
    (tmp_path / "bad.pfm").write_bytes(b"Pf\n2 2\n.\n" + bytes(16))
    cv2.imwrite("d.png", np.round(1000 * (1 / inverse)).astype(np.uint16))
    (tmp_path / "truth").mkdir()
    tifffile.imwrite("truth/truth.tiff", 1 / inverse)
    (tmp_path / "truth" / "truth.json").write_text(json.dumps({
        "unit": "m", "px_per_dioptre": RATE, "intrinsics_px": {"fx": 60.0, "fy": 60.0, "cx": 22.5, "cy": 14.5}}))
    for name, shape in (("masks", SHAPE), ("large", (60, 92))):
        (tmp_path / name).mkdir()
        cv2.imwrite(f"{name}/mask_planes_lowres.png", np.full(shape, 255, np.uint8))
    (tmp_path / "odd").mkdir()
    return tmp_path


def told(capsys, *arguments):
    capsys.readouterr()
    assert dfd("compare", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


METRIC = ("--quantity", "disparity", "--px-per-dioptre", RATE, "--focus", FOCUS)


@pytest.mark.parametrize("arguments", [
    ("d.pfm", *METRIC), ("depth.npy",), ("depth.npy", "--quantity", "depth"), ("inverse.npy", "--quantity", "inverse-depth"),
    ("truth",)], ids=lambda arguments: " ".join(map(str, arguments)))
def test_the_same_reference_in_every_quantity(place, capsys, arguments):
    figures = told(capsys, "result.npz", *arguments)
    assert figures["scale"] == "metric" and figures["rmse_dpt"] <= 2e-7 and figures["delta_1"] == 1
    assert ("badpix_01" in figures) == (arguments[0] in ("d.pfm", "truth"))


def test_integers_take_scale_and_quantity_together(place, capsys):
    for extra in ((), ("--quantity", "depth")):
        assert told(capsys, "result.npz", "d.png", "--scale", "0.001", *extra)["mae_m"] <= 0.0005
    assert told(capsys, "d.png", "depth.npy", "--result-scale", "0.001")["mae_m"] <= 0.0005
    both = told(capsys, "d.png", "d.png", "--result-scale", "0.001", "--scale", "0.002")
    assert both["mean_relative_error"] == pytest.approx(0.5, abs=1e-9)
    refused(place, capsys, ("compare", "d.png", "depth.npy", "--scale", "0.001"), "d.png: holds integers", "--result-scale")


def test_a_folder_tells_px_per_dioptre_and_intrinsics(place, capsys):
    figures = told(capsys, "result.npz", "truth")
    assert figures["px_per_dioptre"] == RATE and figures["badpix_01"] == 0
    assert figures["hci_normal_error_deg"] == pytest.approx(0, abs=0.1) == figures["normal_error_deg"]
    assert told(capsys, "result.npz", "truth", "--px-per-dioptre", 3)["px_per_dioptre"] == 3
    assert map_facts("truth") == (RATE, (60.0, 60.0, 22.5, 14.5)) and map_facts("depth.npy") == (None, None)
    assert "normal_error_deg" in told(capsys, "result.npz", "depth.npy", "--fx", 60)
    assert "normal_error_deg" not in told(capsys, "result.npz", "depth.npy")


def test_two_disparity_files_are_compared_in_px(place, capsys):
    noisy = disparity().astype(np.float32)
    noisy[:3] += 0.05
    pfm(place / "mine.pfm", noisy)
    for extra in ((), ("--result-quantity", "disparity")):
        figures = told(capsys, "mine.pfm", "d.pfm", "--quantity", "disparity", *extra)
        assert (figures["unit"], figures["badpix_07"], figures["badpix_03"]) == ("px", 0, 10.0)
    both = told(capsys, "mine.pfm", "d.pfm", *METRIC, "--result-quantity", "disparity")
    assert both["unit"] == "dioptre" and both["badpix_03"] == 10.0


def test_a_fit_to_a_disparity_needs_no_camera(place, capsys):
    figures = told(capsys, "result.npz", "d.pfm", "--quantity", "disparity", "--align", "affine")
    assert figures["alignment"]["slope_px_per_dpt"] == pytest.approx(RATE, rel=1e-5) and figures["badpix_01"] == 0
    assert dfd("compare", "result.npz", "d.pfm", "--quantity", "disparity", "--align", "affine") == 0
    assert "fitted first (affine), on px: slope_px_per_dpt" in capsys.readouterr().out


def test_the_table_says_what_was_done_first_and_gives_units(place, capsys):
    cv2.imwrite("mask.png", np.repeat([[0], [1]], 15, axis=0) * np.ones((1, 46), np.uint8))
    assert dfd("compare", "small.npy", "truth", "--resize", "--border", 2, "--mask", "mask.png", "--regions", "masks",
               "--align", "monotone") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("metric comparison, errors uniform in dioptres; fitted first (monotone), on dioptres: ")
    assert "resized from 23 x 15 to 46 x 30 px (nearest); mask keeps 50.0 % of the map; border of 2 px left out" in lines[0]
    assert lines[2].split()[0] == "known"
    text = "\n".join(lines)
    assert f"HCI benchmark, in px of disparity, {RATE:g} px per dioptre" in text
    for words in ("AbsRel", "SqRel", "RMSE log", "delta 3", "BadPix(0.07 px)", "MSE x 100", "px^2", "Q25 x 100",
                  "bumpiness x 100, planes", "angle of normals, planes", "degrees", "unknown = good"):
        assert words in text
    assert "\nmore\n" not in text, "every figure has a row of its own"


def test_resize_reaches_the_affine_invariant_scores(place, capsys):
    figures = told(capsys, "small.npy", "depth.npy", "--resize", "--affine-invariant")
    assert figures["resize"]["method"] == "nearest" and figures["affine_invariant"]["n"] == 30 * 46


def test_mask_and_border_reach_the_affine_invariant_scores(place, capsys):
    mask = np.ones(SHAPE, np.uint8)
    mask[:10] = 0
    np.save("keep.npy", mask)
    for extra, kept in ((("--mask", "keep.npy"), 20 * 46), (("--border", 3), 24 * 40),
                        (("--mask", "keep.npy", "--border", 3), 17 * 40)):
        assert told(capsys, "result.npz", "depth.npy", "--affine-invariant", *extra)["affine_invariant"]["n"] == kept


def test_a_figure_is_a_png_beside_the_table(place, capsys):
    assert dfd("compare", "small.npy", "truth", "--resize", "--figure", "side.png") == 0
    assert "resized from 23 x 15" in capsys.readouterr().out
    height, width = cv2.imread("side.png").shape[:2]
    assert width > height > 100
    assert dfd("compare", "result.npz", "d.pfm", "--quantity", "disparity", "--align", "affine", "--figure", "fit.png") == 0
    assert cv2.imread("fit.png") is not None


def test_masks_of_another_resolution_are_left_out(place):
    cv2.imwrite("masks/mask_discontinuities_highres.png", np.full((300, 460), 255, np.uint8))
    cv2.imwrite("masks/mask_fine.png", np.eye(30, 46, dtype=np.uint8))
    found = read_regions("masks", SHAPE)
    assert set(found) == {"planes", "fine"} and found["fine"].sum() == 30


@pytest.mark.parametrize(("arguments", "parts"), [
    ("result.npz small.npy", ("result is 46 x 30 px but reference is 23 x 15 px", "--resize")),
    ("result.npz turned.npy", ("46 x 30 px", "30 x 46 px", "portrait orientation")),
    ("result.npz other.npy --resize", ("46 x 30 px", "40 x 30 px", "aspect ratios differ")),
    ("result.npz nothing.npy", ("reference has no known pixel",)),
    ("result.npz zero.npy", ("at or below 0 m",)),
    ("result.npz zero.npy --quantity depth", ("zero.npy: holds depths at or below 0 m", "NaN")),
    ("result.npz empty.npy", ("empty.npy: 46 x 0 px hold no pixel",)),
    ("result.npz two.npz", ("two.npz: holds 2 arrays (a, b)", "save the one array")),
    ("result.npz bad.pfm", ("bad.pfm: ", "scale (.) must be a number")),
    ("result.npz d.png", ("d.png: holds integers", "--scale")),
    ("result.npz d.pfm --quantity disparity", ("scale metric [dioptre] but reference has scale affine [px]", "affine")),
    ("result.npz d.pfm --quantity metres", ("'--quantity'", "'metres' is not one of")),
    ("result.npz d.pfm --quantity disparity --focus 1", ("--focus (1 dioptre)", "--px-per-dioptre")),
    ("result.npz depth.npy --focus 1 --px-per-dioptre 2", ("--focus (1 dioptre)", "--quantity disparity")),
    ("result.npz d.pfm --quantity disparity --focus -1 --px-per-dioptre 2", ("focus (-1 dioptre)", "zero or positive")),
    ("result.npz d.pfm --quantity disparity --focus 1 --px-per-dioptre 0", ("px_per_dioptre (0)", "positive")),
    ("result.npz depth.npy --px-per-dioptre -2", ("px_per_dioptre (-2)", "positive")),
    ("frames.npz d.pfm --quantity disparity --align affine --px-per-dioptre 2", ("--px-per-dioptre (2 px)", "in px")),
    ("result.npz truth --figure side.jpg", ("--figure (side.jpg) is written as PNG; name it side.png",)),
    ("result.npz depth.npy --fx 0", ("--fx (0 px) must be positive",)),
    ("result.npz result.npz --quantity depth", ("result.npz: says itself that it is metric [dioptre]", "--quantity")),
    ("result.npz truth --regions nowhere", ("nowhere: no such folder", "mask_planes.png")),
    ("result.npz truth --regions odd", ("odd: holds none of mask_planes",)),
    ("result.npz truth --regions large", ("mask_planes_lowres.png is 92 x 60 px but the reference is 46 x 30 px",)),
    ("result.npz depth.npy --regions masks", ("regions (planes) are scored in px", "px_per_dioptre")),
])
def test_a_bad_call_is_one_line_with_the_next_step(place, capsys, arguments, parts):
    refused(place, capsys, ("compare", *arguments.split()), *parts)


@pytest.mark.parametrize("content", ['{"unit": "m", "px_per_dioptre": "many"}', '{"unit": "m", "intrinsics_px": {"fx": 1}}'])
def test_damaged_facts_of_a_folder_are_named(place, capsys, content):
    (place / "truth" / "truth.json").write_text(content)
    refused(place, capsys, ("compare", "result.npz", "truth"), "truth.json: px_per_dioptre or intrinsics_px cannot be read")


def test_an_infinite_disparity_is_unknown_and_an_infinite_depth_is_not(place):
    values = np.array([[1.0, np.inf, np.nan]])
    np.save("v.npy", values)
    assert np.array_equal(read_map("v.npy", quantity="disparity").values, [[1, np.nan, np.nan]], equal_nan=True)
    assert np.array_equal(read_map("v.npy", quantity="depth").values, [[1, 0, np.nan]], equal_nan=True)
    assert read_map("v.npy", quantity="disparity", scale=0.25).values[0, 0] == 0.25


def test_stereo_disparity_of_a_real_scene_becomes_metric():
    """Middlebury 2014 Motorcycle: Z = baseline f / (d + doffs), 2.11 to 5.02 m, 92.65 % known."""
    rate = 0.193001 * 994.978
    truth = read_map(shared_data("lf/rgbd_motorcycle/disp.npy"), quantity="disparity", px_per_dioptre=rate,
                     focus=31.086 / rate)
    depth = 1 / truth.values[truth.valid]
    assert truth.valid.mean() == pytest.approx(0.9265, abs=0.001)
    assert (depth.min(), depth.max()) == pytest.approx((2.11, 5.02), abs=0.01)
