"""What a run writes: the right numbers in every file, all or nothing, and the same numbers when read again."""

import errno
import json
import platform
import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import trimesh

from dfd.depthmap import DepthMap
from dfd.io.folders import check_target, new_folder
from dfd.io.frames import Frame
from dfd.io.images import write_tiff
from dfd.io.maps import read_map, read_mask
from dfd.io.points import back_project, write_cloud
from dfd.io.record import versions
from dfd.io.results import Outcome, linear_to_srgb, write_results
from dfd.io.sources import Source
from dfd.profile import LensProfile
from dfd.psf import Psf
from dfd.settings import CameraSettings, Value

SHAPE = (30, 46)
METRIC_FILES = {"depth.tiff", "sigma.tiff", "confidence.tiff", "allfocus.tiff", "index.tiff", "cloud.ply",
                "transforms.json", "result.json"}


def make_outcome(scale="metric", **changes):
    """Three frames; inverse depth 1..2 dpt with one unknown column and one pixel at infinity."""
    values = np.linspace(1, 2, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE).copy()
    sigma = np.full(SHAPE, 0.01, np.float32)
    values[:, 7] = sigma[:, 7] = np.nan
    values[3, 20] = 0.0
    frames = tuple(
        Frame(path=Path(f"shots/IMG_{k}.dng"), linear=True, black_level=(512.0,), white_level=16383.0, view=None,
              role=None, orientation=1,
              settings=CameraSettings(file=f"IMG_{k}.dng", make="Maker", model="M1", lens_model="50 mm",
                                      focal_length=Value(0.05, None, "EXIF"), f_number=Value(2.8, 0.1, "capture.toml"),
                                      focus_distance=Value([0.5, 0.7, np.inf][k], None, "--focus-distances")))
        for k in range(3))
    source = Source(kind="focal-stack", frames=frames, reference=1, profile=LensProfile.nominal(), psf=Psf(),
                    gain_e_per_dn=None, read_noise_e=None, side=None, kappa=None, scale=scale, missing=(), warnings=(),
                    order="focus")
    colour = np.broadcast_to(np.float32([0.0, 0.2, 1.0]), (*SHAPE, 3))
    index = np.ones(SHAPE, int)
    index[:, 7] = -1
    settled = {
        "result": DepthMap(values, sigma, scale, "focus-measure"), "source": source, "all_in_focus": colour,
        "index": index,
        "transforms": [{"file": frame.path.name, "matrix": [[1, 0, k], [0, 1, 0], [0, 0, 1]]}
                       for k, frame in enumerate(frames)],
        "coordinates": (2.0, 1.5, 0.0), "intrinsics": (100.0, 100.0, 22.5, 14.5), "solver": "focus-measure",
        "parameters": {"window": 9}, "device": "cpu", "timings": {"solve": 0.5},
        "inputs": tuple((str(frame.path), "0" * 64) for frame in frames),
    }
    return Outcome(**{**settled, **changes})


def leftovers(folder):
    return [path.name for path in folder.iterdir()]


def test_every_file_of_the_table_is_written_and_named(tmp_path):
    record = write_results(tmp_path / "out", make_outcome())
    assert set(leftovers(tmp_path / "out")) == METRIC_FILES == set(record["files"])
    assert all(record["files"].values()), "each file is described"
    assert leftovers(tmp_path) == ["out"]


def test_depth_is_in_metres_with_nan_for_unknown_and_says_so(tmp_path):
    outcome = make_outcome()
    write_results(tmp_path / "out", outcome)
    depth, sigma = (tifffile.imread(tmp_path / "out" / name) for name in ("depth.tiff", "sigma.tiff"))
    assert depth.dtype == sigma.dtype == np.float32 and depth.shape == SHAPE
    assert depth[0, 0] == pytest.approx(1.0, abs=1e-7) and depth[-1, -1] == pytest.approx(0.5, abs=1e-7)
    assert np.isnan(depth[:, 7]).all() and np.isinf(depth[3, 20])
    assert sigma[-1, -1] == pytest.approx((1 / 1.99 - 1 / 2.01) / 2, abs=1e-7)
    with tifffile.TiffFile(tmp_path / "out" / "depth.tiff") as file:
        words = json.loads(file.pages[0].description)
    assert words["unit"] == "m" and words["scale"] == "metric" and words["origin"] == "entrance pupil"


def test_origin_sensor_adds_its_offset_to_depth_and_cloud_but_not_to_the_rays(tmp_path):
    plain, moved = make_outcome(), make_outcome(origin="sensor", origin_offset=0.06)
    for name, outcome in (("plain", plain), ("moved", moved)):
        write_results(tmp_path / name, outcome)
    depths = [tifffile.imread(tmp_path / name / "depth.tiff") for name in ("plain", "moved")]
    finite = np.isfinite(depths[0])
    assert np.allclose(depths[1][finite] - depths[0][finite], 0.06, atol=1e-6)
    points = [trimesh.load(tmp_path / name / "cloud.ply").vertices for name in ("plain", "moved")]
    assert np.allclose(points[1] - points[0], [0, 0, 0.06], atol=1e-6)


@pytest.mark.parametrize(("scale", "unit"), [("stage", "m"), ("steps", "frame"), ("affine", "px")])
def test_nothing_relative_is_called_metric(tmp_path, scale, unit):
    record = write_results(tmp_path / "out", make_outcome(scale))
    assert "cloud.ply" not in record["files"]
    assert record["scale"] == {"name": scale, "unit": unit, "quantity": record["scale"]["quantity"], "missing": []}
    assert not any(key.startswith(("depth_m", "inverse_depth")) for key in record["statistics"])
    stored = tifffile.imread(tmp_path / "out" / "depth.tiff")
    assert np.array_equal(stored, make_outcome(scale).result.values, equal_nan=True)
    with tifffile.TiffFile(tmp_path / "out" / "depth.tiff") as file:
        assert json.loads(file.pages[0].description)["unit"] == unit


def test_all_in_focus_is_srgb_of_16_bits(tmp_path):
    write_results(tmp_path / "out", make_outcome())
    picture = tifffile.imread(tmp_path / "out" / "allfocus.tiff")
    assert picture.dtype == np.uint16 and picture.shape == (*SHAPE, 3)
    assert picture[0, 0].tolist() == [0, round(65535 * (1.055 * 0.2 ** (1 / 2.4) - 0.055)), 65535]


def test_a_grey_input_gives_a_grey_all_in_focus_image(tmp_path):
    write_results(tmp_path / "out", make_outcome(all_in_focus=np.full((*SHAPE, 1), 0.5, np.float32)))
    assert tifffile.imread(tmp_path / "out" / "allfocus.tiff").shape == SHAPE
    colours = trimesh.load(tmp_path / "out" / "cloud.ply").colors
    assert set(colours[:, 0]) == set(colours[:, 2]) == {188}


def test_srgb_meets_its_two_pieces_and_clips():
    assert linear_to_srgb(np.float32([-1, 0, 1, 2])) == pytest.approx([0, 0, 1, 1], abs=1e-6)
    assert linear_to_srgb(np.float32([0.0031308]))[0] == pytest.approx(12.92 * 0.0031308, abs=1e-6)
    assert linear_to_srgb(np.float32([0.2140411]))[0] == pytest.approx(0.5, abs=1e-6)


def test_index_says_65535_where_no_frame_was_used(tmp_path):
    write_results(tmp_path / "out", make_outcome())
    index = tifffile.imread(tmp_path / "out" / "index.tiff")
    assert index.dtype == np.uint16
    assert (index[:, 7] == 65535).all() and (np.delete(index, 7, axis=1) == 1).all()


def test_cloud_has_x_right_y_down_z_forward_in_metres(tmp_path):
    depth = np.full((4, 6), np.nan, np.float32)
    depth[0, 5], depth[3, 0], depth[1, 1] = 2.0, 1.0, np.inf
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[0, 5] = 10, 20, 30
    assert write_cloud(tmp_path / "cloud.ply", depth, colours, (10.0, 20.0, 2.5, 1.5)) == 2
    cloud = trimesh.load(tmp_path / "cloud.ply")
    assert np.allclose(cloud.vertices, [[0.5, -0.15, 2.0], [-0.25, 0.075, 1.0]], atol=1e-7)
    assert cloud.colors[0].tolist() == [10, 20, 30, 255]
    assert (tmp_path / "cloud.ply").read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")


def test_pixels_that_were_filled_in_are_no_points_of_the_cloud(tmp_path):
    """Column 7 has a depth and no sigma; one pixel lies at infinity."""
    outcome = make_outcome()
    filled = replace(outcome.result, values=np.where(outcome.result.valid, outcome.result.values, np.float32(1.5)))
    write_results(tmp_path / "out", replace(outcome, result=filled))
    x, _, z = trimesh.load(tmp_path / "out" / "cloud.ply").vertices.T
    assert len(x) == SHAPE[0] * (SHAPE[1] - 1) - 1
    assert 7 not in np.rint(100 * x / z + 22.5)
    assert np.isfinite(tifffile.imread(tmp_path / "out" / "depth.tiff")[:, 7]).all()


def test_back_projection_inverts_the_pinhole(rng):
    depth = rng.uniform(0.5, 3, (5, 8)).astype(np.float32)
    x, y, z = back_project(depth, (90.0, 80.0, 3.5, 2.0))
    rows, columns = np.indices(depth.shape)
    assert np.allclose(90 * x / z + 3.5, columns, atol=1e-4) and np.allclose(80 * y / z + 2.0, rows, atol=1e-4)


def test_result_json_is_strict_and_spells_units_and_sources(tmp_path):
    write_results(tmp_path / "out", make_outcome())
    text = (tmp_path / "out" / "result.json").read_text(encoding="utf-8")
    record = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert record["frames"][0]["values"]["f_number"] == {"value": 2.8, "sigma": 0.1, "source": "capture.toml"}
    assert record["frames"][2]["values"]["focus_distance_m"]["value"] == "inf"
    assert record["intrinsics_px"] == {"fx": 100.0, "fy": 100.0, "cx": 22.5, "cy": 14.5}
    assert record["size_px"] == {"width": 46, "height": 30}
    assert record["sweep"] == {"unit": "dioptre", "order": "focus", "positions": [2.0, 1.5, 0.0]}
    assert record["inputs"][1] == {"file": "shots/IMG_1.dng", "sha256": "0" * 64}
    assert {"dfd", "python", "numpy"} <= record["versions"].keys()


def test_statistics_are_those_of_the_map():
    from dfd.io.record import statistics

    figures = statistics(make_outcome())
    assert figures["known_pixels"] == 45 * 30 and figures["density"] == pytest.approx(45 / 46, abs=1e-12)
    assert figures["depth_m"]["min"] == pytest.approx(0.5, abs=1e-6) and figures["depth_m"]["max"] == np.inf
    assert figures["inverse_depth_dpt"]["median"] == pytest.approx(1.5, abs=0.01)
    assert figures["sigma_dpt"]["p95"] == pytest.approx(0.01, abs=1e-7)


def test_a_result_without_any_known_pixel_is_written_honestly(tmp_path):
    nothing = np.full(SHAPE, np.nan, np.float32)
    record = write_results(tmp_path / "out", make_outcome(result=DepthMap(nothing, nothing, "metric", "none")))
    assert record["statistics"]["density"] == 0.0 and record["statistics"]["depth_m"] is None
    assert np.isnan(tifffile.imread(tmp_path / "out" / "depth.tiff")).all()
    assert b"element vertex 0\n" in (tmp_path / "out" / "cloud.ply").read_bytes()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_exception_in_the_middle_leaves_nothing(tmp_path, error):
    def fails(folder, outcome, record):
        until = time.monotonic() + 10
        while not (folder / "depth.tiff").exists():  # arrays are written in a thread
            assert time.monotonic() < until, "the failure comes when half is written"
            time.sleep(0.001)
        raise error("stop")

    with pytest.raises(error):
        write_results(tmp_path / "new" / "out", make_outcome(), extras=[fails])
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_folder_stays_until_the_last_array_is_written(tmp_path, monkeypatch, error):
    begun, written = threading.Event(), []

    def slow(path, image, **options):
        begun.set()
        time.sleep(0.05)
        written.append((path.name, write_tiff(path, image, **options).exists()))

    def fails(folder, outcome, record):
        assert begun.wait(10)
        raise error("stop")

    monkeypatch.setattr("dfd.io.results.write_tiff", slow)
    with pytest.raises(error):
        write_results(tmp_path / "out", make_outcome(), extras=[fails])
    assert written == [(f"{name}.tiff", True) for name in ("depth", "sigma", "confidence", "allfocus", "index")]
    assert leftovers(tmp_path) == []


def test_an_array_that_cannot_be_written_leaves_nothing_although_the_report_is_done(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dfd.io.results.write_cloud", full)
    done = []
    with pytest.raises(OSError, match="the disk is full"):
        write_results(tmp_path / "out", make_outcome(), extras=[lambda *_: done.append(True)])
    assert done == [True] and leftovers(tmp_path) == []


@pytest.mark.parametrize("error", [OSError("181503 requested and 102296 written"), OSError(errno.ENOSPC, "No space left")])
def test_a_full_disk_is_named_by_whatever_writes_a_folder(tmp_path, error):
    with pytest.raises(OSError, match=r"new: the disk is full; free some space, or choose another -o DIR"), \
            new_folder(tmp_path / "new") as folder:
        (folder / "part").write_text("half")
        raise error
    assert leftovers(tmp_path) == []


def test_force_keeps_the_old_folder_when_the_new_run_fails(tmp_path):
    write_results(tmp_path / "out", make_outcome())
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fails(folder, outcome, record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(tmp_path / "out", make_outcome("steps"), force=True, extras=[fails])
    assert leftovers(tmp_path) == ["out"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_the_old_folder_comes_back_when_the_last_rename_fails(tmp_path, monkeypatch):
    import dfd.io.folders as folders

    write_results(tmp_path / "out", make_outcome())
    rename, calls = folders.os.rename, []

    def second_fails(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise PermissionError("locked")
        rename(source, target)

    monkeypatch.setattr(folders.os, "rename", second_fails)
    with pytest.raises(PermissionError):
        write_results(tmp_path / "out", make_outcome("steps"), force=True)
    assert leftovers(tmp_path) == ["out"] and (tmp_path / "out" / "cloud.ply").exists()


def test_force_replaces_the_whole_folder(tmp_path):
    write_results(tmp_path / "out", make_outcome())
    write_results(tmp_path / "out", make_outcome("steps"), force=True)
    assert set(leftovers(tmp_path / "out")) == METRIC_FILES - {"cloud.ply"}
    assert leftovers(tmp_path) == ["out"]


def test_an_existing_folder_needs_force_and_is_refused_before_the_work(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match=r"exists already.*--force"):
        check_target(tmp_path / "out")
    assert check_target(tmp_path / "out", force=True) == tmp_path / "out"


def test_force_never_deletes_what_dfd_did_not_write(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "IMG_1.CR3").write_bytes(b"precious")
    with pytest.raises(OSError, match=r"no result\.json"):
        check_target(tmp_path / "photos", force=True)
    write_results(tmp_path / "out", make_outcome())
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OSError, match=r"notes\.txt"):
        write_results(tmp_path / "out", make_outcome(), force=True)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def old_result(folder, marker="result.json", **content):
    """A folder as dfd leaves it: the marker, with what it lists."""
    schema = {"result.json": "dfd-result 1", "truth.json": "dfd-truth 1"}[marker]
    folder.mkdir(parents=True)
    record = {"schema": schema, "files": ["depth.tiff"]} | content
    (folder / marker).write_text(json.dumps(record))
    (folder / "depth.tiff").write_bytes(b"old")
    return folder


@pytest.mark.parametrize("content", [
    {"files": None}, {"files": 3}, {"files": "depth.tiff"}, {"schema": None}, {"schema": "truth of another program"},
    {"schema": 1}, {"schema": ["dfd-result 1"]}], ids=str)
def test_a_marker_of_another_program_protects_its_folder(tmp_path, content):
    out = old_result(tmp_path / "out", **content)
    with pytest.raises(OSError, match=r"no result\.json of dfd, so --force does not delete it"):
        check_target(out, force=True)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"dfd-result 1"', "\udcff"])
def test_a_broken_marker_protects_its_folder(tmp_path, text):
    out = old_result(tmp_path / "out")
    (out / "result.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(OSError, match=r"no result\.json of dfd"):
        check_target(out, force=True)


@pytest.mark.parametrize("foreign", [".env", ".git/config", "zz/photo.jpg", "a/b/photo.jpg", "depth.tiff~"])
def test_hidden_files_and_folders_count_as_foreign(tmp_path, foreign):
    out = old_result(tmp_path / "out")
    (out / foreign).parent.mkdir(parents=True, exist_ok=True)
    (out / foreign).write_text("mine")
    with pytest.raises(OSError, match=rf"^\S+/out: holds {re.escape(foreign.split('/')[0])} that dfd did not write"):
        write_results(out, make_outcome(), force=True)
    assert (out / foreign).read_text() == "mine"


def test_a_folder_of_hidden_files_alone_is_not_empty(tmp_path):
    (tmp_path / "out" / ".git").mkdir(parents=True)
    with pytest.raises(OSError, match=r"no result\.json of dfd"):
        check_target(tmp_path / "out", force=True)


def test_a_folder_within_is_judged_by_its_own_marker(tmp_path):
    out = old_result(tmp_path / "out", files={"depth.tiff": "", "capture": ""})
    capture = old_result(out / "capture", "truth.json")
    assert check_target(out, force=True) == out
    (capture / "photo.jpg").write_text("mine")
    with pytest.raises(OSError, match=r"holds capture/photo\.jpg that dfd did not write"):
        check_target(out, force=True)
    (capture / "photo.jpg").unlink()
    (capture / "truth.json").write_text('{"schema": "dfd-truth 1", "files": 3}')
    with pytest.raises(OSError, match=r"holds capture/depth\.tiff that dfd did not write"):
        check_target(out, force=True)


def test_a_folder_or_a_link_in_the_place_of_a_file_of_dfd_is_foreign(tmp_path):
    out = old_result(tmp_path / "out", files=["depth.tiff", "sigma.tiff"])
    (out / "sigma.tiff").mkdir()
    (out / "sigma.tiff" / "photo.jpg").write_text("mine")
    with pytest.raises(OSError, match=r"holds sigma\.tiff/photo\.jpg"):
        check_target(out, force=True)
    (out / "sigma.tiff").rename(tmp_path / "elsewhere")
    (out / "sigma.tiff").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"holds sigma\.tiff that"):
        check_target(out, force=True)


def test_each_command_replaces_only_its_own_kind_of_folder(tmp_path):
    old_result(tmp_path / "simulated", "truth.json")
    assert check_target(tmp_path / "simulated", force=True, marker="truth.json") == tmp_path / "simulated"
    with pytest.raises(OSError, match=r"no result\.json of dfd"):
        check_target(tmp_path / "simulated", force=True)


def test_a_target_that_cannot_be_a_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="is a file, not a folder"):
        check_target(tmp_path / "file", force=True)
    with pytest.raises(OSError, match="is a file"):
        check_target(tmp_path / "file" / "out")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(OSError, match="no permission to write"):
        check_target(tmp_path / "out")


def test_a_parent_that_refuses_gives_one_clear_error(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match=re.escape(f"cannot write into {tmp_path}")), new_folder(tmp_path / "out"):
        pass


def test_a_result_folder_reads_back_as_the_same_map(tmp_path):
    for name, outcome in (("pupil", make_outcome()), ("sensor", make_outcome(origin="sensor", origin_offset=0.06)),
                          ("stage", make_outcome("stage"))):
        write_results(tmp_path / name, outcome)
        back = read_map(tmp_path / name)
        finite = outcome.result.valid & (outcome.result.values > 0)
        assert back.scale == outcome.result.scale and back.method == "focus-measure"
        assert np.allclose(back.values[finite], outcome.result.values[finite], atol=1e-6)
        assert np.allclose(back.sigma[finite], outcome.result.sigma[finite], atol=1e-6)
        assert np.array_equal(back.valid, outcome.result.valid)


def test_a_simulated_truth_reads_as_dioptres_from_the_pupil(tmp_path):
    tifffile.imwrite(tmp_path / "truth.tiff", np.float32([[0.5, np.nan, 2.0]]))
    (tmp_path / "truth.json").write_text(json.dumps({"unit": "m", "origin": "pupil"}))
    truth = read_map(tmp_path)
    assert truth.scale == "metric"
    assert np.allclose(truth.values, [[2.0, np.nan, 0.5]], atol=1e-7, equal_nan=True) and np.isnan(truth.sigma).all()


def pfm(path, values, header=b"Pf\n{w} {h}\n-1.0\n", order="<f4"):
    height, width = values.shape
    head = header.replace(b"{w}", b"%d" % width).replace(b"{h}", b"%d" % height)
    path.write_bytes(head + values[::-1].astype(order).tobytes())
    return path


@pytest.mark.parametrize(("header", "order"), [
    (b"Pf\n{w} {h}\n-1.0\n", "<f4"), (b"Pf\r\n{w} {h}\r\n0.003922\r\n", ">f4"),
    (b"Pf\n# made by x\n{w}\n{h}\n-1\n", "<f4")])
def test_pfm_is_bottom_up_in_either_byte_order(tmp_path, header, order):
    values = np.arange(1, 13, dtype=float).reshape(3, 4)
    assert np.array_equal(read_map(pfm(tmp_path / "a.pfm", values, header, order)), values)


def test_plain_files_keep_their_numbers_and_integers_need_a_scale(tmp_path):
    values = np.float32([[0.5, np.nan, 2.0]])
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "b.npz", depth=values)
    tifffile.imwrite(tmp_path / "c.tiff", values)
    for name in ("a.npy", "b.npz", "c.tiff"):
        assert np.array_equal(read_map(tmp_path / name), values, equal_nan=True)
        assert np.array_equal(read_map(tmp_path / name, scale=2.0), 2 * values, equal_nan=True)
    import cv2

    cv2.imwrite(str(tmp_path / "d.png"), np.uint16([[0, 10000, 65535]]))
    assert np.allclose(read_map(tmp_path / "d.png", scale=1e-4), [[np.nan, 1.0, 6.5535]], atol=1e-12, equal_nan=True)
    with pytest.raises(ValueError, match="--scale"):
        read_map(tmp_path / "d.png")


def test_a_saved_depth_map_reads_back_with_its_scale(tmp_path):
    made = make_outcome("affine").result
    made.save(tmp_path / "map.npz")
    back = read_map(tmp_path / "map.npz")
    assert back.scale == "affine" and np.array_equal(back.values, made.values, equal_nan=True)
    with pytest.raises(ValueError, match="leave --scale out"):
        read_map(tmp_path / "map.npz", scale=2.0)


def test_a_mask_is_true_where_the_file_is_not_zero(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "mask.png"), np.uint8([[0, 1, 255]]))
    assert read_mask(tmp_path / "mask.png", (1, 3)).tolist() == [[False, True, True]]
    with pytest.raises(ValueError, match="mask is 3 x 1 px but the depth map is 1 x 3 px"):
        read_mask(tmp_path / "mask.png", (3, 1))


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.pfm", b"Pf\n4 3\n-1.0\n1234", "the file is cut"),
    ("a.pfm", b"PF\n4 3\n-1.0\n" + bytes(144), "one channel"),
    ("a.npy", b"nothing", "not a NumPy array"),
    ("a.npy", b"PK\x03\x04" + bytes(40), "not a NumPy array"),
    ("a.npz", b"nothing", "not a NumPy archive"),
    ("a.npz", b"PK\x03\x04" + bytes(40), "not a NumPy archive"),
    ("a.exr", b"nothing", "not a depth map that dfd reads"),
])
def test_a_damaged_or_foreign_file_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OSError, match=words):
        read_map(tmp_path / name)


def test_an_archive_named_npy_and_an_array_named_npz_are_told(tmp_path):
    np.savez(tmp_path / "b.npz", depth=np.ones((2, 3)))
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    with pytest.raises(OSError, match="not a NumPy array"):
        read_map(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.ones((2, 3)))
    (tmp_path / "c.npy").rename(tmp_path / "c.npz")
    with pytest.raises(OSError, match="not a NumPy archive"):
        read_map(tmp_path / "c.npz")


def test_missing_files_and_foreign_folders_are_named(tmp_path):
    with pytest.raises(OSError, match="no such file or folder"):
        read_map(tmp_path / "none.tiff")
    with pytest.raises(OSError, match=r"neither result\.json"):
        read_map(tmp_path)


def test_an_outcome_checks_its_sizes():
    with pytest.raises(ValueError, match="all_in_focus"):
        make_outcome(all_in_focus=np.zeros((*SHAPE[::-1], 3), np.float32))
    with pytest.raises(ValueError, match="pupil or sensor"):
        replace(make_outcome(), origin="mount")


def test_the_versions_name_the_system_without_starting_a_program(monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    system = versions()["system"]
    assert system.startswith(f"{platform.system()}-{platform.release()}-{platform.machine()}")
