"""Lytro pictures: the container byte by byte, the real stack against Lytro's own depth, and what is refused."""

import json
import re
import struct

import numpy as np
import pytest
from conftest import shared_data

from dfd.cli.commands import app
from dfd.console.run import call
from dfd.imaging import reduce
from dfd.io.images import read_image
from dfd.io.lytro import LytroDepth, LytroStack, read_lytro
from dfd.io.maps import read_map
from dfd.io.sidecar import read_sidecar

SAMPLES = "lf/lytro_gen1_lfp_samples"
DEPTH = np.arange(6, dtype="<f4").reshape(2, 3) / 2


def section(magic, name, content):
    return (b"\x89" + magic + b"\r\n\x1a\n" + struct.pack(">II", 0, len(content)) + name.encode().ljust(80, b"\0") + content
            + b"\0" * (-len(content) % 16))


def container(path, block, kind, contents):
    meta = {"picture": {"accelerationArray": [{"type": f"com.lytro.acceleration.{kind}", "vendorContent": block}]}}
    path.write_bytes(b"\x89LFP\r\n\x1a\n" + struct.pack(">II", 1, 0) + section(b"LFM", "sha1-m", json.dumps(meta).encode())
                     + b"".join(section(b"LFC", name, content) for name, content in contents.items()))
    return path


def stack_of(path, *, lambdas=(-1.0, 0.5, 2.0), slices=(b"one", b"second", b"3"), depth=DEPTH, **changes):
    images = [{"representation": "jpeg", "width": 6, "height": 4, "lambda": value, "imageRef": f"sha1-{index}"}
              for index, value in enumerate(lambdas)]
    table = {"width": depth.shape[1], "height": depth.shape[0], "representation": "raw", "imageRef": "sha1-d"}
    contents = {"sha1-d": depth.astype("<f4").tobytes()} | {f"sha1-{index}": data for index, data in enumerate(slices)}
    return container(path, {"imageArray": images, "depthLut": table} | changes, "refocusStack", contents)


def test_a_container_gives_slices_lambdas_and_depth_back(tmp_path):
    stack = read_lytro(stack_of(tmp_path / "a-stk.lfp"))
    assert isinstance(stack, LytroStack) and stack.slices == (b"one", b"second", b"3") and stack.size == (4, 6)
    assert stack.lambdas == (-1.0, 0.5, 2.0) and np.array_equal(stack.depth, DEPTH)


def test_the_reference_counts_frames_in_the_order_of_lambda(tmp_path):
    stack = read_lytro(stack_of(tmp_path / "a-stk.lfp", lambdas=(2.0, 0.0, 1.0)))
    cells = np.array([[0, 0.5, 1], [1.5, 2, np.nan]], np.float32)  # lambda 2.5 lies outside the sweep
    assert np.array_equal(stack.reference(), np.kron(cells, np.ones((2, 2))), equal_nan=True)


@pytest.mark.parametrize("spoil, words", [
    (lambda data: b"LFP" + data[3:], "not a Lytro picture"),
    (lambda data: data[:-40], "the file is cut or damaged"),
    (lambda data: data[:16], "holds no description"),
    (lambda data: data.replace(b'"depthLut"', b'"depthLot"'), "its description lacks 'depthLut'"),
    (lambda data: data.replace(b'{"picture"', b'["picture"'), "its description is not JSON"),
    (lambda data: data.replace(b"sha1-1" + bytes(10), b"sha1-7" + bytes(10)), "section sha1-1... is missing"),
    (lambda data: data.replace(b'"width": 3', b'"width": 9'), "a map of 24 bytes instead of 72"),
    (lambda data: data.replace(b"refocusStack", b"refocusStock"), "neither a focal stack nor a depth map"),
])
def test_damaged_containers_are_refused_in_one_line(tmp_path, spoil, words):
    path = stack_of(tmp_path / "a-stk.lfp")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises((OSError, ValueError), match=words) as caught:
        read_lytro(path)
    assert "\n" not in str(caught.value)


def test_the_real_stack_agrees_with_lytros_own_depth():
    """Argmax of sharpness over the slices against depthLut: r = .87, median |difference| .52 lambda (reference page)."""
    stack = read_lytro(shared_data(f"{SAMPLES}/IMG_0001-stk.lfp"))
    assert len(stack.slices) == 12 and stack.size == (1080, 1080) and stack.depth.shape == (20, 20)
    assert min(stack.lambdas) == pytest.approx(-8.92, abs=5e-3) and max(stack.lambdas) == pytest.approx(4.98, abs=5e-3)
    energy = []
    for content in stack.slices:
        grey = np.pad(reduce(decoded(content), 2), 1, mode="edge")  # JPEG blocks are no texture at half the size
        laplacian = grey[2:, 1:-1] + grey[:-2, 1:-1] + grey[1:-1, 2:] + grey[1:-1, :-2] - 4 * grey[1:-1, 1:-1]
        energy.append((laplacian**2).reshape(20, 27, 20, 27).mean(axis=(1, 3)))
    found = np.array(stack.lambdas)[np.argmax(energy, axis=0)]
    assert np.corrcoef(found.ravel(), stack.depth.ravel())[0, 1] == pytest.approx(0.87, abs=0.03)
    assert np.median(np.abs(found - stack.depth)) == pytest.approx(0.52, abs=0.1)


def decoded(content):
    import cv2

    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE).astype(np.float32)


def test_the_real_depth_map_has_its_confidence():
    found = read_lytro(shared_data(f"{SAMPLES}/IMG_0002-dm.lfp"))
    assert isinstance(found, LytroDepth) and found.values.shape == found.confidence.shape == (330, 330)
    assert (found.values.min(), found.values.max()) == (-11, 7)
    assert 0 <= found.confidence.min() <= found.confidence.max() <= 1


def test_the_command_writes_the_slices_as_they_are(tmp_path, capsys):
    path = shared_data(f"{SAMPLES}/IMG_0001-stk.lfp")
    assert call(app, ["lightfield", str(path), "-o", str(tmp_path / "out")], name="dfd") == 0
    assert "relative defocus by Lytro, no metres" in capsys.readouterr().out
    stack, sidecar = read_lytro(path), read_sidecar(tmp_path / "out" / "capture.toml")
    assert [frame.path.read_bytes() for frame in sidecar.frames] == list(stack.slices)
    assert sidecar.kind == "focal-stack" and sidecar.linear is False and not sidecar.values
    stated = [frame.values["focus_coordinate"].value for frame in sidecar.frames]
    assert np.allclose(stated, stack.lambdas, atol=1e-9)
    assert read_image(sidecar.frames[0].path).values.shape == (1080, 1080, 3)
    truth = read_map(tmp_path / "out")
    assert truth.scale == "steps" and truth.shape == (1080, 1080)
    assert 0 <= np.nanmin(truth.values) <= np.nanmax(truth.values) <= 11


@pytest.mark.parametrize("name, words", [("IMG_0002-stk.lfp", r"its slices are a video \(h264\)"),
                                         ("IMG_0002-dm.lfp", "a depth map")])
def test_what_holds_no_pictures_is_refused(tmp_path, capsys, name, words):
    path = shared_data(f"{SAMPLES}/{name}")
    assert call(app, ["lightfield", str(path), "-o", str(tmp_path / "out")], name="dfd") == 2
    captured = capsys.readouterr()
    assert re.search(words, captured.err) and captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
