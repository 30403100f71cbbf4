"""Readers of light fields: every layout gives the same views in the same places, and what cannot be is said in one line."""

import shutil
import struct
import warnings

import numpy as np
import pytest
from conftest import shared_data
from lightfolders import SIZE, codes, small, write_views

import dfd
from dfd.io.hci import read_parameters, write_hci
from dfd.io.images import read_image
from dfd.io.lightfield import LAYOUTS, find_layout, read_light_field
from dfd.io.pfm import read_pfm, write_pfm
from dfd.io.png import write_png
from dfd.lightfield import LightField

ROUNDING = 0.0045
"""Of 8-bit sRGB codes, in linear light near white."""

TABLE = {  # scene: f mm, b mm, Zf m, px per dioptre, f-number of 9 views, nearest and farthest m
    "boxes": (100, 6, 1.150, 8.777, 1.70, 0.972, 1.616), "herbs": (100, 10.5, 2.400, 15.360, 1.02, 1.873, 4.655),
    "kitchen": (100, 11, 2.300, 16.091, 0.97, 1.829, 2.982), "origami": (100, 14, 2.700, 20.480, 0.77, 2.206, 3.667),
    "cotton": (100, 25, 4.250, 36.571, 0.43, 3.619, 5.221), "backgammon": (100, 30, 8.300, 43.886, 0.37, 7.330, 12.233),
    "bicycle": (100, 30, 10.0, 43.886, 0.37, 7.208, 16.323), "stripes": (100, 30, 10.0, 43.886, 0.37, 8.797, 10.734),
    "bedroom": (100, 39, 10.0, 57.051, 0.28, 7.217, 14.245), "dino": (100, 60, 6.900, 87.771, 0.18, 6.003, 8.112),
    "sideboard": (100, 200, 22.0, 292.571, 0.055, 19.506, 25.894), "dots": (100, 200, 42.5, 292.571, 0.055, 37.586, 47.311),
    "pyramids": (200, 350, 31.5, 1024.0, 0.063, 30.379, 33.238)}


@pytest.fixture
def hci(tmp_path):
    return write_hci(small(), tmp_path / "scene")


def same_views(found, *, order=slice(None)):
    """The views of `found` are those of the small light field within the rounding of 8 bits."""
    assert np.abs(found.views - small().views[order]).max() < ROUNDING


def test_hci_gives_back_what_was_written(hci):
    found = dfd.read_light_field(hci)
    same_views(found)
    assert (found.u, found.v) == (small().u, small().v) and found.reference == 4
    assert found.camera == small().camera and not found.camera.assumed
    assert np.array_equal(found.disparity, small().disparity) and found.name == "demo"
    assert "nearer" in found.convention


def test_views_of_sixteen_bits_are_exact_to_a_code(tmp_path):
    folder = write_hci(small(), tmp_path / "scene", bits=16)
    assert np.abs(read_light_field(folder, linear=False).views - small().views).max() < 4e-5


def test_without_parameters_there_is_disparity_but_no_metre(hci):
    (hci / "parameters.cfg").unlink()
    found = read_light_field(hci)
    assert found.camera is None and "no camera" in found.convention
    assert found.disparity_map.scale == "affine"
    with pytest.raises(ValueError, match="no metric depth: compare in disparity"):
        found.truth
    with pytest.raises(ValueError, match="camera"):
        found.focal_stack([1.0, 1.1])


def test_depth_stands_in_for_a_missing_disparity(hci):
    (hci / "gt_disp_lowres.pfm").unlink()
    assert np.abs(read_light_field(hci).disparity - small().disparity).max() < 1e-5


def test_grids_are_counted_from_0_or_1_and_words_may_stand_before(tmp_path):
    for first, word in ((0, ""), (1, ""), (1, "view_")):
        folder = write_views(tmp_path / f"{word}{first}", small(), lambda row, column, first=first, word=word:
                             f"{word}{row + first}_{column + first}")
        found = read_light_field(folder)
        same_views(found)
        assert (found.u, found.v, found.camera, found.disparity) == (small().u, small().v, None, None)
    assert find_layout(folder) == "grid"


def test_gantry_names_keep_measured_places_and_u_falls_with_the_column(tmp_path):
    a, b = (-381.9, -401.1, -420.7), (1103.4, 1083.0, 1063.9)
    folder = write_views(tmp_path / "gantry", small(), lambda row, column:
                         f"out_{row:02d}_{2 - column:02d}_{a[row]:.6f}_{b[2 - column]:.6f}_")
    found = read_light_field(folder)
    step = np.median(np.abs([*np.diff(a)] * 3 + [*np.diff(b)] * 3))
    assert find_layout(folder) == "gantry" and found.reference == 4
    assert np.allclose(found.u, np.tile(np.array(b) - b[1], 3) / step, atol=1e-6)
    assert np.allclose(found.v, np.repeat(-(np.array(a) - a[1]), 3) / step, atol=1e-6)
    assert found.u[0] > found.u[2] and found.v[0] < found.v[6]
    same_views(found, order=[2, 1, 0, 5, 4, 3, 8, 7, 6])


def test_one_page_of_views_and_a_lenslet_mosaic_hold_the_same_views(tmp_path):
    views = codes(small().views).reshape(3, 3, *SIZE, 3)
    page = views.transpose(0, 2, 1, 3, 4).reshape(3 * SIZE[0], 3 * SIZE[1], 3)
    write_png(tmp_path / "page.png", page)
    same_views(read_light_field(tmp_path / "page.png", layout="tiles", grid=(3, 3)))
    around = np.zeros((6, 6, *SIZE, 3), np.uint8)  # 6 px of a micro-image, the rim dark; the middle three are 2, 3, 4
    around[2:5, 2:5] = views
    write_png(tmp_path / "rose_eslf.png", around.transpose(2, 0, 3, 1, 4).reshape(6 * SIZE[0], 6 * SIZE[1], 3))
    found = read_light_field(tmp_path / "rose_eslf.png", lenslet=6, central=3)
    same_views(found)
    assert (found.u, found.v) == (small().u, small().v)


def test_old_hci_follows_the_numbers_of_its_file(tmp_path):
    """stillLife: disparity = 5760 / Z - 288, -10.83 .. +10.25 px."""
    h5py = pytest.importorskip("h5py")
    inverse = (288 + np.linspace(-10.83, 10.25, SIZE[1])) / 5760
    depth = np.broadcast_to(1 / inverse, SIZE).astype(np.float32)
    with h5py.File(tmp_path / "still.h5", "w") as file:
        file["LF"] = codes(small().views).reshape(3, 3, *SIZE, 3)
        file["GT_DEPTH"] = np.broadcast_to(depth, (3, 3, *SIZE))
        file.attrs.update(dH=0.5, focalLength=11520.0, shift=288.0, xRes=SIZE[1], yRes=SIZE[0], hRes=3, vRes=3)
    found = read_light_field(tmp_path / "still.h5", check=False)
    same_views(found)
    assert found.camera.disparity_rate == pytest.approx(5760, rel=1e-12)
    assert found.disparity_range == pytest.approx((-10.83, 10.25), abs=2e-3)
    assert np.abs(found.disparity - (5760 / depth - 288)).max() < 0.01
    found = read_light_field(tmp_path, check=False)  # the folder of one file
    assert found.name == "still"


def test_old_hci_as_files_has_its_first_row_on_top(tmp_path):
    folder = write_views(tmp_path / "old", small(), lambda row, column: f"{row + 3:02d}_{column + 3:02d}")
    depth = small().truth.depth.astype("<f4")
    depth.tofile(folder / "depth.bin")
    camera = small().camera
    (folder / "attributes.dat").write_text(f"dH: {camera.baseline!r}\nfocalLength = {camera.fx!r}\n"
                                           f"shift: {camera.disparity_rate * camera.focus!r}\n")
    found = read_light_field(folder)
    same_views(found)
    assert find_layout(folder) == "hci-old"
    assert np.abs(found.disparity - small().disparity).max() < 1e-4
    assert np.allclose(found.truth.depth, depth, rtol=1e-6)


GRID = '[grid]\npattern = "{column:02d}-{row:02d}.png"\nrows = 3\ncolumns = 3\nfirst = 1\n'


@pytest.fixture
def described(tmp_path):
    folder = write_views(tmp_path / "own", small(), lambda row, column: f"{column + 1:02d}-{row + 1:02d}")
    write_pfm(folder / "away.pfm", -0.5 * small().disparity)
    return folder


def test_a_toml_describes_names_camera_and_disparity(described):
    camera = small().camera
    (described / "lightfield.toml").write_text(
        f'name = "bench"\n{GRID}[camera]\nbaseline_mm = {camera.baseline * 1e3!r}\nimage_distance_mm = 100.0\n'
        f'pixel_pitch_um = {camera.pixel_pitch * 1e6!r}\nfocus_distance_m = {1 / camera.focus!r}\nassumed = true\n'
        '[disparity]\nfile = "away.pfm"\nscale = -2.0\n')
    found = read_light_field(described)
    same_views(found)
    assert found.camera.assumed and found.camera.disparity_rate == pytest.approx(camera.disparity_rate, rel=1e-12)
    assert np.abs(found.disparity - small().disparity).max() < 1e-6 and found.name == "bench"


def test_a_toml_can_count_leftwards_or_list_every_view(described):
    (described / "lightfield.toml").write_text(GRID + "right = -1\ndown = -1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read_light_field(described)
    assert found.u == tuple(-u for u in small().u) and found.v == tuple(-v for v in small().v)
    (described / "lightfield.toml").write_text(
        '[[views]]\nfile = "02-02.png"\nu = 0\nv = 0\n[[views]]\nfile = "03-02.png"\nu = 1.0\nv = 0.0\n')
    found = read_light_field(described / "lightfield.toml")
    assert (found.u, found.v) == ((0, 1), (0, 0))
    same_views(found, order=[4, 5])


@pytest.mark.parametrize("text, words", [
    (GRID + "colums = 3\n", "colums is not a key of lightfield.toml; did you mean columns?"),
    ("baseline_mm = 3\n" + GRID, r"baseline_mm stands in the wrong place; move it to \[camera\]"),
    (GRID.replace("{column:02d}-", ""), "names one file twice"),
    (GRID.replace("{column:02d}", "{c}"), r"must hold \{row\} and \{column\}"),
    (GRID.replace("rows = 3", "rows = 4"), r"3 of 12 views of the 4 x 3 grid are missing: 01-04.png, 02-04.png, 03-04.png"),
    (GRID + "right = 2\n", r"grid.right \(2\) must be 1 or -1"),
    ("name = \"x\"\n", r"either \[grid\] with a pattern or \[\[views\]\] tables; this file has neither"),
    (GRID + "[camera]\nbaseline_mm = 3.0\n", "camera has no image_distance_mm; add image_distance_mm"),
    (GRID + '[disparity]\nfile = "gone.pfm"\n', r"disparity.file \(gone.pfm\): no such file"),
    ('[[views]]\nfile = "02-02.png"\nu = 1\nv = 0\n', "no view stands at u = 0, v = 0"),
])
def test_a_toml_that_cannot_be(described, text, words):
    (described / "lightfield.toml").write_text(text)
    with pytest.raises((ValueError, OSError), match=words):
        read_light_field(described)


def damaged_pfm(folder):
    data = (folder / "gt_disp_lowres.pfm").read_bytes()
    (folder / "gt_disp_lowres.pfm").write_bytes(data[:-7])


def other_size(folder):
    write_png(folder / "input_Cam005.png", np.zeros((SIZE[0], SIZE[1] + 2, 3), np.uint8))


def grey_among_colours(folder):
    write_png(folder / "input_Cam005.png", np.zeros(SIZE, np.uint8))


def two_missing(folder):
    (folder / "input_Cam001.png").unlink()
    (folder / "input_Cam008.png").unlink()


def parameters(old, new):
    def change(folder):
        text = (folder / "parameters.cfg").read_text()
        assert old in text
        (folder / "parameters.cfg").write_text(text.replace(old, new))
    return change


@pytest.mark.parametrize("spoil, words", [
    (two_missing, "2 of 9 views of the 3 x 3 grid are missing: input_Cam001, input_Cam008; copy"),
    (other_size, "58 x 40 px, but input_Cam000.png is 56 x 40 px"),
    (grey_among_colours, "grey, unlike input_Cam000.png"),
    (damaged_pfm, "the file is cut"),
    (parameters("num_cams_y = 3", "num_cams_y = 4"), "3 of 12 views of the 4 x 3 grid are missing"),
    (parameters("num_cams_y = 3", "num_cams_y = 2"), "lies outside the grid of 2 x 3 views"),
    (parameters("baseline_mm", "base"), "baseline_mm of .extrinsics. is missing; add it, or remove the file"),
    (parameters("sensor_size_mm = ", "sensor_size_mm = -"), "must be positive"),
    (parameters("[intrinsics]", "intrinsics"), "not a parameter file"),
    (parameters("image_resolution_x_px = 56", "image_resolution_x_px = 112"), "112 x 40 px, but the views are 56 x 40 px"),
])
def test_a_damaged_scene_names_what_to_do(hci, spoil, words):
    spoil(hci)
    with pytest.raises((ValueError, OSError), match=words) as caught:
        read_light_field(hci)
    assert "\n" not in str(caught.value)


def test_a_last_view_that_is_missing_is_seen_without_parameters(hci):
    for name in ("parameters.cfg", "input_Cam008.png"):
        (hci / name).unlink()
    with pytest.raises(ValueError, match="1 of 9 views of the 3 x 3 grid are missing: input_Cam008"):
        read_light_field(hci)


def test_what_is_no_light_field(tmp_path, hci):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.png").write_bytes((hci / "input_Cam000.png").read_bytes())
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\nshort")
    for path, words in ((tmp_path / "empty", "the folder is empty"), (tmp_path / "gone", "no such file"),
                        (tmp_path / "a.png", "say layout tiles with its grid, or layout lenslet")):
        with pytest.raises((ValueError, OSError), match=words):
            read_light_field(path)
    for layout, words in (("hcl", f"must be auto, {', '.join(LAYOUTS)}"), ("grid", "layout grid is a folder"),
                          ("tiles", "needs the grid of the views"), ("lenslet", "no mosaic of micro-images of 14 px")):
        with pytest.raises(ValueError, match=words):
            read_light_field(tmp_path / "a.png", layout=layout)
    with pytest.raises(ValueError, match="holds no views of layout gantry"):
        read_light_field(hci, layout="gantry")
    with pytest.raises(ValueError, match="cannot be cut into 3 rows of 3 equal views"):
        read_light_field(tmp_path / "a.png", layout="tiles", grid=(3, 3))
    pytest.importorskip("h5py")
    with pytest.raises(OSError, match="cannot be read as HDF5; the file is cut"):
        read_light_field(tmp_path / "cut.h5")


def test_without_h5py_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF")
    with pytest.raises(OSError, match="need the package h5py, which is not installed; run pip install h5py"):
        read_light_field(tmp_path / "a.h5")


def test_pfm_keeps_rows_and_unknown_pixels(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    values[0, 1] = np.nan
    path = write_pfm(tmp_path / "a.pfm", values)
    assert np.array_equal(read_pfm(path), values, equal_nan=True)
    assert struct.unpack("<4f", path.read_bytes()[-16:])[0] == 0  # the top row stands last
    path.write_bytes(path.read_bytes().replace(b"-1\n", b"--\n"))
    with pytest.raises(OSError, match="must be a number; the file is damaged"):
        read_pfm(path)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_reads_back_bit_for_bit(tmp_path, rng, kind, shape):
    values = rng.integers(0, np.iinfo(kind).max, shape, endpoint=True).astype(kind)
    path = write_png(tmp_path / "a.png", values)
    assert np.array_equal(np.rint(read_image(path, linear=True).values * np.iinfo(kind).max), values)


@pytest.mark.parametrize("scene", TABLE)
def test_parameter_files_give_the_published_geometry(scene):
    """Disparity of a depth and back to 1e-9 px; rates, f-numbers and depths of the reference's table 1.6 as printed."""
    path = shared_data(f"lf/hci_parameters/{scene}.cfg")
    camera = read_parameters(path)
    focal_length, baseline, distance, rate, f_number, nearest, farthest = TABLE[scene]
    text = dict(line.split(" = ") for line in path.read_text().splitlines() if line.startswith("disp_"))
    low, high = float(text["disp_min"]), float(text["disp_max"])
    disparity = np.linspace(low, high, 101)
    assert np.abs(camera.disparity(1 / (1 / camera.inverse_depth(disparity))) - disparity).max() < 1e-9
    assert camera.image_distance == pytest.approx(1e-3 * focal_length) and camera.baseline == pytest.approx(1e-3 * baseline)
    assert 1 / camera.focus == pytest.approx(distance, abs=5e-4)
    assert camera.disparity_rate == pytest.approx(rate, abs=6e-4)
    assert camera.thin_lens(camera.focus, 9).f_number == pytest.approx(f_number, abs=0.0055)
    assert 1 / camera.inverse_depth(high) == pytest.approx(nearest, abs=6e-4)
    assert 1 / camera.inverse_depth(low) == pytest.approx(farthest, abs=6e-4)


def test_antinous_is_read_in_view_order_with_the_right_sign():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_light_field(shared_data("lf/hci_antinous"))
    assert isinstance(found, LightField) and len(found) == 81 and found.reference == 40 and found.camera is None
    assert found.disparity_range == pytest.approx((-3.131, 2.689), abs=1e-3)
    assert (found.u[8], found.v[8], found.u[72], found.v[72]) == (4, -4, -4, 4)


def test_a_copy_of_one_scene_is_read_by_the_name_of_its_parameter_file(hci, tmp_path):
    shutil.copytree(hci, tmp_path / "copy")
    assert read_light_field(tmp_path / "copy" / "parameters.cfg").name == "demo"


def test_what_is_infinite_or_no_depth_in_a_file_is_unknown(hci, described):
    """Disparity inf, depth 0, negative and NaN, scaled in a toml: NaN, without a RuntimeWarning."""
    disparity, depth = small().disparity.copy(), small().truth.depth.copy()
    disparity[2, 3:6] = np.inf, -np.inf, np.nan
    depth[2, 3:6] = 0.0, -1.0, np.nan
    unknown = np.isnan(np.where(np.isfinite(disparity), 0, np.nan))
    write_pfm(hci / "gt_disp_lowres.pfm", disparity)
    write_pfm(hci / "gt_depth_lowres.pfm", depth)
    write_pfm(described / "inf.pfm", disparity)
    (described / "lightfield.toml").write_text(GRID + '[disparity]\nfile = "inf.pfm"\nscale = -2.0\n')
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = [read_light_field(folder, check=False).disparity for folder in (hci, described)]
        (hci / "gt_disp_lowres.pfm").unlink()
        found.append(read_light_field(hci, check=False).disparity)
    for values in found:
        assert np.array_equal(np.isnan(values), unknown)
    assert np.abs(found[2] - small().disparity)[~unknown].max() < 1e-5


def test_old_scenes_without_data_are_unknown_there(tmp_path):
    folder = write_views(tmp_path / "old", small(), lambda row, column: f"{row:02d}_{column:02d}")
    depth = small().truth.depth.astype("<f4")
    depth[5, 7:9] = 0.0, -2.0
    depth.tofile(folder / "depth.bin")
    camera = small().camera
    (folder / "attributes.dat").write_text(f"dH: {camera.baseline!r}\nfocalLength: {camera.fx!r}\n"
                                           f"shift: {camera.disparity_rate * camera.focus!r}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = read_light_field(folder, check=False).disparity
    assert np.argwhere(np.isnan(found)).tolist() == [[5, 7], [5, 8]]
