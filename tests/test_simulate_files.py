"""Simulated captures as files: what is written says everything, reads back exactly and appears whole or not at all."""

import json
import tomllib

import numpy as np
import pytest
import rawpy

from dfd.io.exif import read_exif
from dfd.io.images import read_image
from dfd.io.simulated import FORMATS, write_simulation
from dfd.io.sources import open_source
from dfd.simulate import SHOTS, simulate_capture

SIZE = (36, 50)


@pytest.fixture(scope="module")
def stack():
    return simulate_capture(size=SIZE, frames=3, scene="slant-sphere", preset="50mm-f4-12um", seed=8)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", SHOTS)
def test_every_kind_and_format_opens_with_the_optics_it_was_rendered_with(kind, format, tmp_path):
    simulation = simulate_capture(kind, size=SIZE, scene="plane", frames=2 if kind == "focal-stack" else None)
    source = open_source([write_simulation(simulation, tmp_path / "new", format=format)])
    assert (source.kind, source.scale, source.missing) == (kind, "metric", ())
    together = kind == "dual-pixel" and format == "dng"
    assert [frame.path.stem for frame in source.frames] == (["dual_pixel"] * 2 if together else list(simulation.names))
    assert source.reference == simulation.reference and source.side == simulation.side
    for frame, lens in zip(source.frames, simulation.lenses, strict=True):
        read = source.profile.thin_lens(frame.settings)
        assert read.focus == pytest.approx(lens.focus, abs=1e-9)  # dioptre
        assert read.fx == pytest.approx(lens.fx, rel=1e-9)
        assert read.blur_rate == pytest.approx(lens.blur_rate, rel=1e-9)
    assert source.gain_e_per_dn * FORMATS[format].dn_range == pytest.approx(20000)
    assert source.kappa == (pytest.approx(simulation.kappa) if simulation.kappa else None)
    assert [frame.view or "full" for frame in source.frames] == list(simulation.pupils)
    assert tuple(frame.role for frame in source.frames) == (simulation.roles or (None,) * len(source.frames))


def test_dng_holds_the_noisy_mosaic_as_libraw_reads_it(stack, tmp_path):
    folder = write_simulation(stack, tmp_path / "new", format="dng")
    with rawpy.imread(str(folder / "frame_01.dng")) as raw:
        visible = raw.raw_image_visible.astype(float)
        assert raw.raw_pattern.tolist() == [[0, 1], [3, 2]]
        assert raw.black_level_per_channel == [512] * 4 and raw.white_level == 16383
    assert np.abs((visible - 512) / (16383 - 512) - stack.mosaic(1)).max() <= 0.51 / (16383 - 512)  # rounding


def test_dng_exif_alone_gives_focus_distance_from_the_sensor_mark(stack, tmp_path):
    folder = write_simulation(stack, tmp_path / "new", format="dng")
    settings = read_exif(folder / "frame_00.dng", SIZE).settings
    lens = stack.lenses[0]
    assert settings.distance_from == "sensor"
    assert settings.focus_distance.value == pytest.approx(1 / lens.focus + lens.image_distance, abs=1e-6)  # m
    assert settings.focal_length.value == pytest.approx(lens.focal_length, rel=1e-6)
    assert settings.f_number.value == pytest.approx(lens.f_number, rel=1e-6)


@pytest.mark.parametrize(("format", "step"), [("tiff", 1 / 65535), ("npy", 0.0)])
def test_plane_formats_hold_linear_colour(stack, format, step, tmp_path):
    folder = write_simulation(stack, tmp_path / "new", format=format)
    picture = read_image(folder / f"frame_02.{format}", linear=True)
    expected = np.clip(stack.planes(2), 0, 1) if step else stack.planes(2)
    assert picture.values.shape == (*SIZE, 3)
    assert np.abs(picture.values - expected).max() <= 0.51 * step + 1e-6


def test_noise_free_files_claim_no_noise(tmp_path):
    simulation = simulate_capture("views", size=SIZE, noise=0, scene="plane")
    folder = write_simulation(simulation, tmp_path / "new", format="npy")
    assert "gain_e_per_dn" not in tomllib.loads((folder / "capture.toml").read_text())["camera"]
    assert np.array_equal(np.load(folder / "view_1.npy"), simulation.radiance[1])


def test_truth_is_in_metres_from_the_pupil_in_the_reference_grid(stack, tmp_path):
    folder = write_simulation(stack, tmp_path / "new", format="tiff")
    record = json.loads((folder / "truth.json").read_text())
    truth = read_image(folder / "truth.tiff", linear=True, black_level=0, white_level=1).values
    assert (record["unit"], record["origin"], record["reference"]) == ("m", "pupil", "frame_01.tiff")
    assert truth.shape == SIZE and truth.dtype == np.float32
    assert np.abs(1 / truth - stack.truth).max() < 1e-6  # dioptre
    assert record["intrinsics_px"]["fx"] == pytest.approx(stack.lenses[1].fx)
    assert (record["scene"], record["seed"]) == ("slant-sphere", 8)
    assert sorted(record["files"]) == sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_nothing(stack, tmp_path, monkeypatch):
    def full_disk(*arguments, **options):
        raise OSError("no space left on device")

    monkeypatch.setattr("dfd.io.simulated.write_tiff", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_simulation(stack, tmp_path / "new", format="npy")
    assert list(tmp_path.iterdir()) == []


def test_an_older_simulation_is_replaced_only_by_force(stack, tmp_path):
    write_simulation(stack, tmp_path / "new", format="npy")
    with pytest.raises(FileExistsError, match="--force"):
        write_simulation(stack, tmp_path / "new", format="tiff")
    write_simulation(stack, tmp_path / "new", format="tiff", force=True)
    assert not list((tmp_path / "new").glob("*.npy"))


def test_requests_that_cannot_be_written_are_named(stack, tmp_path):
    with pytest.raises(ValueError, match=r"format .'jpeg'. must be one of dng, tiff, npy"):
        write_simulation(stack, tmp_path / "new", format="jpeg")
    registered = simulate_capture(size=SIZE, frames=2, registered=True, scene="plane")
    with pytest.raises(ValueError, match="registered=False"):
        write_simulation(registered, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
