"""Noise from one capture: an estimate within what it says of itself, told as one, never in place of a measurement."""

import json

import numpy as np
import pytest
from scipy.signal import fftconvolve
from test_calibration_noise import BLACK, COLOURS, GAIN, READ, WHITE, expose, tiled
from test_calibration_noise import settings as camera

from calibration.cli import app
from calibration.cli.common import spread
from calibration.noise.stack import GAIN_SIGMA, METHOD, READ_SIGMA, estimate_stack_noise, into_profile
from dfd.console.run import call as run_command
from dfd.io.dng import write_dng
from dfd.io.images import write_tiff
from dfd.profile import LensProfile
from dfd.psf import Psf

SHAPE = (360, 500)


def scene(rng):
    """(H, W) 1/f texture from 0.01 to 0.9 of white, brighter to the right."""
    wy, wx = np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1])
    radius = np.hypot(wy, wx)
    radius[0, 0] = 1
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(SHAPE)) / radius, SHAPE)
    return np.clip(np.geomspace(0.03, 0.6, SHAPE[1]) * np.exp(0.3 * noise / noise.std()), 0.01, 0.9)


def frames(rng, count):
    """Light of a sweep of defocus, share of white."""
    padded = np.pad(scene(rng), 30, "reflect")
    kernels = (Psf("disk", 0.6).kernel(3.0 * (k - count / 2)) for k in range(count))
    return [fftconvolve(padded, kernel, "same")[30:-30, 30:-30] for kernel in kernels]


def write_stack(folder, rng, *, count=5, gain=GAIN, read=READ, iso=100.0, tiff=False):
    folder.mkdir()
    black = 0.0 if tiff else tiled(BLACK, SHAPE)
    for index, light in enumerate(frames(rng, count)):
        level = light * (WHITE - 512) * (1.0 if tiff else tiled(COLOURS, SHAPE))
        stored = expose(level, SHAPE, rng, black=black, gain=gain, read=read)
        if tiff:
            write_tiff(folder / f"s{index}.tiff", stored)
        else:
            write_dng(folder / f"s{index}.dng", stored, black_level=BLACK, white_level=WHITE, settings=camera(0.01, iso))
    return folder


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    return write_stack(tmp_path_factory.mktemp("stack") / "raw", np.random.default_rng(3))


@pytest.fixture(scope="module")
def found(stack):
    return estimate_stack_noise(stack)


@pytest.fixture
def call(capsys):
    """(exit code, stdout, stderr without the progress lines) of one command line."""

    def called(*arguments):
        code = run_command(app, spread([str(item) for item in arguments]), name="dfd-calibrate")
        out, err = capsys.readouterr()
        return code, out, "".join(line for line in err.splitlines(True) if not line.startswith("read:"))

    return called


def test_gain_within_15_percent_and_read_noise_within_its_sigma_of_a_raw_stack(found):
    assert (found.iso, found.raw, found.size, found.used) == (100, True, SHAPE, 5)
    assert found.gain_e_per_dn == pytest.approx(GAIN, abs=0.15 * GAIN)  # e-/DN
    assert found.read_noise_e == pytest.approx(READ, abs=found.read_noise_sigma)  # e-


@pytest.mark.parametrize(("gain", "read"), [(0.05, 1.5), (2.0, 8.0)])
def test_gain_is_within_its_two_sigma_at_other_settings(tmp_path, rng, gain, read):
    other = estimate_stack_noise(write_stack(tmp_path / "s", rng, gain=gain, read=read, count=3))
    assert other.gain_e_per_dn == pytest.approx(gain, abs=2 * other.gain_sigma)  # e-/DN
    assert other.read_noise_e == pytest.approx(read, abs=2 * other.read_noise_sigma)  # e-


def test_sigma_is_the_scatter_and_never_less_than_the_method_is_good_for(found):
    assert found.gain_sigma == pytest.approx(found.gain_e_per_dn * np.hypot(found.scatter[0], GAIN_SIGMA), rel=1e-12)
    assert found.read_noise_sigma >= np.hypot(found.scatter[1], READ_SIGMA * found.read_noise_e)
    assert 0 < found.scatter[0] < 0.15


def test_an_estimate_is_the_same_every_time(stack, found):
    again = estimate_stack_noise(stack)
    assert (again.gain_e_per_dn, again.gain_sigma) == (found.gain_e_per_dn, found.gain_sigma)


def test_a_tiff_stack_of_undeveloped_values_needs_its_iso(tmp_path, rng):
    folder = write_stack(tmp_path / "tiff", rng, tiff=True, count=3)
    with pytest.raises(ValueError, match=r"s0\.tiff: no ISO in EXIF; pass --iso"):
        estimate_stack_noise(folder)
    found = estimate_stack_noise(folder, iso=400)
    assert (found.iso, found.raw) == (400, False)
    assert found.gain_e_per_dn == pytest.approx(GAIN, abs=2 * found.gain_sigma)  # e-/DN


def test_the_entry_says_how_it_was_made_and_dfd_reads_it(found):
    profile = LensProfile(into_profile(found))
    (entry,) = profile.data["radiometry"]["iso"]
    assert entry["method"] == METHOD == "estimate-from-stack"
    assert profile.noise(100, raw=True) == (found.gain_e_per_dn, found.read_noise_e)
    assert [item["role"] for item in profile.data["provenance"]["inputs"]] == ["noise_stack"] * 5


def measured(found, **changes):
    data = into_profile(found)
    data["radiometry"]["iso"] = [{"iso": 100, "gain_e_per_dn": 0.3, "read_noise_e": 3.0, "file_format": "raw"} | changes]
    return data


def test_a_measured_entry_stays_unless_told(found):
    before = measured(found)
    with pytest.raises(ValueError, match=r"ISO 100: the profile holds a measured gain \(0\.3 e-/DN\).* pass --replace"):
        into_profile(found, before)
    after = into_profile(found, before, replace=True)
    assert [entry["method"] for entry in after["radiometry"]["iso"]] == [METHOD]
    assert "method" not in before["radiometry"]["iso"][0]


@pytest.mark.parametrize("changes", [{"iso": 200}, {"file_format": "tiff"}])
def test_entries_of_another_iso_or_kind_of_file_are_kept(found, changes):
    after = into_profile(found, measured(found, **changes))
    assert sorted(entry.get("method", "measured") for entry in after["radiometry"]["iso"]) == [METHOD, "measured"]


def test_an_earlier_estimate_gives_way(found):
    again = into_profile(found, into_profile(found))
    assert len(again["radiometry"]["iso"]) == 1 and len(again["provenance"]["inputs"]) == 5


def test_the_profile_of_another_camera_is_refused(found):
    data = into_profile(found)
    data["camera"]["model"] = "M2"
    with pytest.raises(ValueError, match="the profile is of camera M2, the frames are of M1"):
        into_profile(found, data)


def test_frames_of_two_iso_settings_are_refused(tmp_path, rng):
    folder = write_stack(tmp_path / "s", rng, count=2)
    light = frames(rng, 2)[0] * (WHITE - 512)
    write_dng(folder / "t.dng", expose(light, SHAPE, rng, black=tiled(BLACK, SHAPE)), black_level=BLACK, white_level=WHITE,
              settings=camera(0.01, 800.0))
    with pytest.raises(ValueError, match="frames of ISO 100, 800; noise belongs to one ISO"):
        estimate_stack_noise(folder)


def test_developed_pictures_are_refused(tmp_path, rng):
    for index in range(2):
        write_tiff(tmp_path / f"{index}.tiff", rng.integers(0, 255, SHAPE).astype(np.uint8))
    with pytest.raises(ValueError, match="developed values; noise is estimated on what the sensor delivered"):
        estimate_stack_noise(tmp_path, iso=100)


def test_an_even_scene_is_told_to_separate_gain_and_read_noise_badly(tmp_path, rng):
    for index in range(3):
        stored = expose(0.4 * (WHITE - 512), SHAPE, rng, black=tiled(BLACK, SHAPE))
        write_dng(tmp_path / f"{index}.dng", stored, black_level=BLACK, white_level=WHITE, settings=camera(0.01))
    assert any("hardly told apart" in text for text in estimate_stack_noise(tmp_path).warnings)


def test_the_command_calls_it_an_estimate_in_table_json_and_profile(call, stack, tmp_path):
    lens = tmp_path / "lens.json"
    code, out, err = call("noise", "--from-stack", stack, "-o", lens)
    assert (code, err) == (0, "")
    assert "estimate from 5 of 5 frames" in out and out.count("(estimate)") == 2 and "warning: ISO 100: an estimate" in out
    assert json.loads(lens.read_text())["radiometry"]["iso"][0]["method"] == METHOD
    code, out, _ = call("noise", "--from-stack", stack, "--into", lens, "--json")
    (row,) = json.loads(out)
    assert code == 0 and row["method"] == METHOD and "an estimate" in row["warnings"][0]


def test_the_command_keeps_a_measurement(call, stack, found, tmp_path):
    lens = tmp_path / "lens.json"
    LensProfile(measured(found)).save(lens)
    code, _, err = call("noise", "--from-stack", stack, "--into", lens)
    assert code == 2 and "--replace" in err and "method" not in json.loads(lens.read_text())["radiometry"]["iso"][0]
    assert call("noise", "--from-stack", stack, "--into", lens, "--replace")[0] == 0


@pytest.mark.parametrize("arguments", [["flats", "--from-stack", "s"], ["--from-stack", "s", "--dark", "d"], []])
def test_flats_and_a_stack_are_one_or_the_other(call, arguments):
    code, _, err = call("noise", *arguments, "-o", "lens.json")
    assert code == 2 and "either FLATS with their --dark, measured, or --from-stack" in err
