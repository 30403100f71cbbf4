"""A RAW file that was not really read is refused in one line, every time; no file ends the process."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, shared_data
from dngfiles import BLACK, WHITE, changed_dng, tiled_dng

from dfd import pipeline
from dfd.io import raw
from dfd.io.dng import write_dng
from dfd.io.frames import Frame, read_colour, read_luminance
from dfd.settings import CameraSettings

SHAPE = (90, 130)


def frame(path):
    return Frame(path, CameraSettings(), True)


def refused(call, *parts, error=OSError):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def written(path, codes, **options):
    return write_dng(path, codes.astype(np.uint16), black_level=BLACK, white_level=WHITE, **options)


# -- real files: decodable or refused, nothing between

DECODED = {"Canon_PowerShot_S40_CRW_0101.CRW", "Canon_PowerShot_S40_CRW_0113.CRW", "Canon_PowerShot_S40_CRW_0119.CRW",
           "colorchart.dng", "canon_eos_6d.dng", "P003908.KDC"}

REFUSED = {
    "GOPR8513.GPR": "LibRaw cannot read it (Unsupported file format",
    "ARW.exif": "its image data end at byte 17474560; the file is cut",
    "CR2.exif": "its image data end at byte 1230280; the file is cut",
    "NEF.exif": "its image data end at byte 28842901; the file is cut",
    "IMG_1361.dng": "its image data end at byte 5428539; the file is cut",
    "Panasonic.rw2": "its image data end at byte 20511792; the file is cut",
    "DNG.dng": "22 bytes of image data for 3516 x 2328 px, at least 511578 are needed; only the header is there",
    "Canon-R6-pruned.CR3": "LibRaw cannot read it (Input/output error)",
    "CanonRaw.cr3": "LibRaw cannot read it (Input/output error)",
    "CanonRaw.cr2": "LibRaw cannot read it (Unsupported file format",
    "FujiFilm.raf": "LibRaw cannot read it (Input/output error)",
    "Nikon.nef": "LibRaw cannot read it (Data error",
}


def real_files():
    return sorted(path for path in shared_data("raw").glob("*/*") if path.suffix != ".txt")


@pytest.mark.parametrize("name", sorted(DECODED | REFUSED.keys()))
def test_every_real_file_is_read_or_refused_for_its_own_reason(name):
    path = next(path for path in real_files() if path.name == name)
    if name in REFUSED:
        refused(lambda: raw.read_mosaic(path), name, REFUSED[name])
    else:
        plane = read_luminance(frame(path)).image
        assert np.isfinite(plane).mean() > 0.9 and 0.02 < np.nanmean(plane) < 0.6


def test_no_real_file_is_forgotten():
    assert {path.name for path in real_files()} == DECODED | REFUSED.keys()


READ_ALL = """
import sys
import numpy as np
from dfd.io import raw
dirty = [np.random.default_rng(int(sys.argv[1])).integers(0, 65536, 4_000_000).astype(np.uint16) for _ in range(4)]
del dirty  # LibRaw gets memory that is not zero
for path in sys.argv[2:]:
    try:
        raw.read_mosaic(path)
        print("read", path)
    except OSError as error:
        print("refused", error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fresh_process_refuses_the_same_files_whatever_its_memory_holds(seed):
    paths = [path for path in real_files() if path.name in REFUSED]
    done = subprocess.run([sys.executable, "-c", READ_ALL, str(seed), *map(str, paths)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "MALLOC_PERTURB_": str(40 * seed)}, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    for line, path in zip(lines, paths, strict=True):
        assert line.startswith("refused") and REFUSED[path.name] in line


@pytest.mark.parametrize(("suffix", "name"), [(".arw", "ARW.exif"), (".nef", "NEF.exif"), (".cr2", "CR2.exif")])
def test_a_header_under_the_suffix_of_its_maker_is_refused_before_anything_is_decoded(tmp_path, suffix, name):
    path = tmp_path / f"frame{suffix}"
    path.write_bytes((shared_data("raw/header_only_metadata") / name).read_bytes())
    refused(lambda: raw.read_header(path), path.name, REFUSED[name])


@pytest.mark.parametrize("name", ["canon_powershot_s40_crw/Canon_PowerShot_S40_CRW_0113.CRW",
                                  "canon_550d_ml_dng/colorchart.dng", "canon_6d_linear_dng/canon_eos_6d.dng",
                                  "kodak_dc120_kdc/P003908.KDC"])
def test_a_real_file_cut_anywhere_is_refused(tmp_path, name):
    whole = (shared_data("raw") / name).read_bytes()
    path = tmp_path / f"cut{Path(name).suffix}"
    for share in (0, 1e-5, 3e-4, 0.003, 0.02, 0.2, 0.5, 0.8, 0.97, 0.999):
        path.write_bytes(whole[:int(share * len(whole))])
        refused(lambda: raw.read_mosaic(path), path.name)


# -- what LibRaw returns without a word


@pytest.mark.parametrize("pattern", ["RGGB", "XTRANS", "LINEAR"])
@pytest.mark.parametrize(("change", "part"), [
    (lambda codes: codes * 0, "every pixel is 0 DN; the image data are missing"),
    (lambda codes: codes * 0 + 700, "every pixel is 700 DN; the image data are missing"),
    (lambda codes: codes * 0 + WHITE, "every pixel is at white (16383 DN) or above; the frame is overexposed"),
    (lambda codes: codes * (np.arange(codes.size).reshape(codes.shape) % 100 > 0), "1 % of the pixels are 0 DN"),
    (lambda codes: codes + 16384 * (codes == codes.max()), "above the 16383 DN of its bit depth"),
])
def test_numbers_that_no_sensor_gives_are_refused(tmp_path, rng, pattern, change, part):
    shape = (*SHAPE, 3) if pattern == "LINEAR" else SHAPE
    path = written(tmp_path / "f.dng", np.full(shape, 7777), pattern=pattern)
    stored, pixels = path.read_bytes(), change(rng.integers(400, 16000, shape)).astype(np.uint16).tobytes()
    place = stored.index(np.full(40, 7777, np.uint16).tobytes())
    path.write_bytes(stored[:place] + pixels + stored[place + len(pixels):])
    for read in (read_luminance, read_colour):
        refused(lambda read=read: read(frame(path)), "f.dng", part)


def test_the_fourth_plane_of_a_linear_file_counts_for_nothing(tmp_path, rng):
    """LibRaw adds a plane of zeros: a quarter of its numbers."""
    path = written(tmp_path / "l.dng", rng.integers(600, 9000, (*SHAPE, 3)), pattern="LINEAR")
    assert raw.read_raw(path).codes.min() >= 600


@pytest.mark.parametrize(("hole", "part"), [
    (np.s_[-2:], "the last 2 rows are all 640 DN"), (np.s_[:, -2:], "the last 2 columns are all 640 DN"),
    (np.s_[64:128, 128:192], "the 64 x 64 px tile at row 64, column 128 is all 640 DN"),
])
def test_constant_ends_and_tiles_of_a_compressed_file_are_refused(tmp_path, rng, hole, part):
    pytest.importorskip("imagecodecs")
    codes = rng.integers(400, 16000, (192, 256), dtype=np.uint16)
    codes[100:130, 40:60] = WHITE
    assert np.array_equal(raw.read_raw(tiled_dng(tmp_path / "f.dng", codes, 64)).codes, codes)
    codes[hole] = 640
    refused(lambda: raw.read_raw(tiled_dng(tmp_path / "f.dng", codes, 64)), "f.dng", part)


def test_constant_ends_of_an_uncompressed_file_are_what_the_camera_saw(tmp_path, rng):
    codes = rng.integers(400, 16000, SHAPE, dtype=np.uint16)
    codes[-5:] = 640
    assert np.array_equal(raw.read_raw(written(tmp_path / "f.dng", codes)).codes, codes)


def test_a_saturated_sky_at_the_end_of_a_compressed_file_is_no_damage(tmp_path, rng):
    pytest.importorskip("imagecodecs")
    codes = rng.integers(400, 16000, (192, 256), dtype=np.uint16)
    codes[:, -64:] = WHITE
    assert np.array_equal(raw.read_raw(tiled_dng(tmp_path / "f.dng", codes, 64)).codes, codes)


@pytest.mark.parametrize(("options", "part"), [
    ({"planarconfig": "separate"}, "3 colour planes stand one after another"), ({}, "a DNG of floating-point numbers"),
])
def test_files_that_libraw_reads_wrongly_are_refused(tmp_path, rng, options, part):
    """Planes one after another come back mixed; floats come back scaled by the brightest pixel of each frame."""
    import tifffile

    codes = rng.integers(600, 9000, (*SHAPE, 3), dtype=np.uint16)
    path = changed_dng(tmp_path / "f.dng", codes, {}, pattern="LINEAR")
    with tifffile.TiffFile(path) as file:
        tags = [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in file.pages.first.tags if tag.code > 33000]
    data = codes.astype(np.float32) if not options else np.moveaxis(codes, 2, 0).copy()
    tifffile.imwrite(path, data, photometric=34892, metadata=None, extratags=tags, **options)
    refused(lambda: raw.read_raw(path), "f.dng", part, "convert it to")
    refused(lambda: raw.read_header(path), "f.dng", part)


def box(kind, body):
    return struct.pack(">I4s", 8 + len(body), kind) + body


@pytest.mark.parametrize(("suffix", "whole"), [
    (".cr3", box(b"ftyp", b"crx ") + box(b"moov", bytes(200)) + box(b"mdat", bytes(900))),
    (".raf", b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">6I", 108, 60, 168, 40, 208, 700) + bytes(800)),
])
def test_other_containers_say_where_their_data_end(tmp_path, suffix, whole):
    path = tmp_path / f"f{suffix}"
    path.write_bytes(whole)
    refused(lambda: raw.read_header(path), "LibRaw cannot read it")  # all there, and no camera's
    path.write_bytes(whole[:-300])
    refused(lambda: raw.read_header(path), f"{len(whole) - 300} bytes, but its image data end at byte", "the file is cut")


def test_foveon_layers_are_not_taken_for_colours(tmp_path):
    (tmp_path / "f.x3f").write_bytes(b"FOVb" + bytes(1000))
    refused(lambda: raw.read_header(tmp_path / "f.x3f"), "f.x3f", "Foveon", "16-bit TIFF")


# -- levels, and the job


def test_black_at_white_is_refused_with_both_numbers(tmp_path, rng):
    path = written(tmp_path / "f.dng", rng.integers(600, 9000, SHAPE))
    for black, white in ((16383, None), (17000, None), (None, 512), ((1, 2, 3, 900), 900)):
        changed = Frame(path, CameraSettings(), True, black_level=black, white_level=white)
        refused(lambda changed=changed: read_luminance(changed), "f.dng", "white_level", "must exceed black_level",
                "capture.toml", error=ValueError)


@pytest.mark.parametrize(("level", "part"), [(WHITE, "every pixel is at white"), (0, "every pixel is 0 DN"),
                                             (None, "99.93 % of the pixels are at white")])
def test_the_job_names_the_frame_that_is_overexposed_or_empty(tmp_path, rng, level, part):
    folder = tmp_path / "stack"
    folder.mkdir()
    for k in range(4):
        codes = rng.integers(600, 9000, SHAPE)
        if k == 2:
            codes[:] = WHITE if level is None else level
            if level is None:
                codes[40:46, 60:64] = 5000  # 4 x 2 px of them away from white
        written(folder / f"f{k}.dng", codes)
    refused(lambda: pipeline.run(folder, tmp_path / "out"), "f2.dng", part)
    assert not (tmp_path / "out").exists()
