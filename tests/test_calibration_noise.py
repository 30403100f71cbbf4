"""Photon transfer: the numbers it must find, their honest uncertainty, and the pairs that it must refuse."""

import json

import numpy as np
import pytest
import tifffile

from calibration.noise.patches import find_files, pair_up, read_patch
from calibration.noise.radiometry import calibrate_noise, into_profile
from calibration.noise.transfer import fit_photon_transfer, linearity, measure_dark, measure_pair
from dfd.io.dng import write_dng
from dfd.io.sources import open_source
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

GAIN, READ = 0.3, 3.0  # e-/DN, e-
BLACK = (512, 513, 510, 512)  # DN
WHITE = 16383  # DN
SHAPE = (276, 330)
LEVELS = np.geomspace(120, 11500, 10)  # DN above black
COLOURS = np.array([0.5, 1.0, 1.0, 0.6])  # of the flat's light


def expose(level, shape, rng, *, black=0.0, gain=GAIN, read=READ):
    """uint16 DN of a frame with `level` DN above black, a number or an array of `shape`."""
    electrons = rng.poisson(np.broadcast_to(level, shape) * gain) + rng.normal(0, read, shape)
    return np.clip(np.rint(electrons / gain + black), 0, WHITE).astype(np.uint16)


def tiled(values, shape=SHAPE):
    return np.tile(np.reshape(values, (2, 2)), (shape[0] // 2, shape[1] // 2))


def falloff(shape=SHAPE):
    """Light that falls to 80 % in the corners: home flats are not flat."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    return 1 - 0.1 * (y**2 + x**2)


def settings(exposure, iso=100.0, model="M1"):
    return CameraSettings(make="Acme", model=model, f_number=Value(8.0), exposure=Value(exposure),
                          iso=iso and Value(iso))


def write_flat(path, level, rng, *, exposure=None, gain=GAIN, read=READ, black=BLACK, shown_black=BLACK, **camera):
    light = level * tiled(COLOURS) * falloff()
    mosaic = expose(light, SHAPE, rng, black=tiled(black), gain=gain, read=read)
    return write_dng(path, mosaic, black_level=shown_black, white_level=WHITE,
                     settings=settings(level / 1e5 if exposure is None else exposure, **camera))


def write_shoot(folder, rng, *, levels=LEVELS, darks=3, name="", **options):
    """flats/ and darks/ below `folder`, two frames of each exposure."""
    for part in ("flats", "darks"):
        (folder / part).mkdir(exist_ok=True)
    for index, level in enumerate(levels):
        for frame in "ab":
            write_flat(folder / "flats" / f"{name}f{index}{frame}.dng", level, rng, **options)
    for index in range(darks):
        for frame in "ab":
            write_flat(folder / "darks" / f"{name}d{index}{frame}.dng", 0.0, rng, exposure=0.01, **options)
    return folder


@pytest.fixture(scope="module")
def shoot(tmp_path_factory):
    return write_shoot(tmp_path_factory.mktemp("shoot"), np.random.default_rng(7))


@pytest.fixture(scope="module")
def measured(shoot):
    return calibrate_noise([shoot / "flats"], [shoot / "darks"])


def planes(level, rng, shape=(4, 32, 48), black=512.0, **options):
    return expose(level, shape, rng, black=black, **options).astype(np.float32)


def pairs_of(rng, levels, **options):
    flats = [measure_pair(planes(level, rng, **options), planes(level, rng, **options), black=512.0, white=WHITE)
             for level in levels]
    return [*flats, *(measure_dark(planes(0, rng, **options), planes(0, rng, **options)) for _ in range(3))]


# -- the numbers


def test_gain_within_half_a_percent_and_read_noise_within_three_percent(measured):
    (result,) = measured.results
    assert result.iso == 100 and (len(result.flats), len(result.darks), result.rejected) == (10, 3, ())
    assert result.transfer.gain_e_per_dn == pytest.approx(GAIN, abs=0.005 * GAIN)  # e-/DN
    assert result.transfer.read_noise_e == pytest.approx(READ, abs=0.03 * READ)  # e-
    assert 0 < result.transfer.gain_sigma < 0.005 * GAIN and 0 < result.transfer.read_noise_sigma < 0.03 * READ
    assert result.transfer.chi2_dof < 2 and result.warnings == ()


def test_the_black_level_of_every_plane_is_found_within_a_tenth_of_a_dn(measured):
    (result,) = measured.results
    assert result.black == pytest.approx(BLACK, abs=0.1)  # DN
    assert result.black_file.tolist() == list(BLACK)
    assert result.white == WHITE


def test_sigmas_cover_sixty_to_seventy_six_percent():
    inside = []
    for seed in range(120):
        found = fit_photon_transfer(pairs_of(np.random.default_rng(seed), np.geomspace(150, 11000, 6)))
        inside.append((abs(found.gain_e_per_dn - GAIN) < found.gain_sigma,
                       abs(found.read_noise_e - READ) < found.read_noise_sigma))
    gain, read = np.mean(inside, axis=0)
    assert 0.60 <= gain <= 0.76 and 0.60 <= read <= 0.76


@pytest.mark.parametrize("gain", [0.05, 3.0])
def test_low_and_high_gain_are_found_without_bias(gain, rng):
    found = [fit_photon_transfer(pairs_of(rng, np.geomspace(150, 11000, 8), gain=gain, read=3.0)) for _ in range(6)]
    assert np.mean([item.gain_e_per_dn for item in found]) == pytest.approx(gain, rel=0.006)
    assert np.mean([item.read_noise_e for item in found]) == pytest.approx(3.0, abs=0.04)  # e-; 1 DN at gain 3


def test_light_that_drifts_between_the_frames_changes_nothing():
    def gains(drift):
        rng = np.random.default_rng(11)
        light = np.linspace(1, 0.1, 112)  # a steep gradient, so that an unscaled difference would keep 6 % of variance
        shape = (4, 96, 112)
        pairs = [measure_pair(planes(level * light, rng, shape), planes(level * light * (1 + drift), rng, shape),
                              black=512.0, white=WHITE) for level in np.geomspace(200, 11000, 8)]
        return fit_photon_transfer(pairs).gain_e_per_dn

    assert gains(0.0) == pytest.approx(GAIN, rel=0.008) and gains(0.018) == pytest.approx(GAIN, rel=0.008)


def test_one_wrong_pair_in_twelve_costs_less_than_two_percent(rng):
    pairs = pairs_of(rng, np.geomspace(150, 11000, 12), shape=(4, 128, 128))
    level = 3000.0
    wrong = measure_pair(planes(level, rng, (4, 128, 128), gain=0.15), planes(level, rng, (4, 128, 128), gain=0.15),
                         black=512.0, white=WHITE)  # twice the variance
    clean, dirty = fit_photon_transfer(pairs), fit_photon_transfer([*pairs, wrong])
    assert dirty.gain_e_per_dn == pytest.approx(clean.gain_e_per_dn, rel=0.02)
    assert dirty.gain_sigma > 1.3 * clean.gain_sigma


def test_hot_and_blinking_pixels_are_not_read_noise(rng):
    one, two = planes(0, rng, (4, 64, 80)), planes(0, rng, (4, 64, 80))
    before = measure_dark(one, two).variance
    one[:, ::9, ::11] += 900  # 1 % of the pixels
    assert measure_dark(one, two).variance == pytest.approx(before, rel=0.04)


def test_variance_that_does_not_rise_is_refused(rng):
    pairs = [measure_pair(*(rng.normal(level, 20 - level / 1000, (4, 64, 64)) for _ in range(2)), black=0.0, white=WHITE)
             for level in (1000, 4000, 9000)]
    with pytest.raises(ValueError, match="does not rise"):
        fit_photon_transfer(pairs)


# -- linearity


def test_a_linear_sensor_deviates_by_less_than_a_fifth_of_a_percent(measured):
    assert measured.results[0].linearity_pct < 0.2  # %


def test_one_percent_of_non_linearity_is_seen():
    exposures = np.geomspace(0.01, 0.14, 12)
    levels = 1e5 * exposures
    bent = levels * (1 - 0.03 * (levels / 14000) ** 2)
    assert linearity(levels, exposures, full=15871) == pytest.approx(0, abs=1e-9)
    assert 0.5 < linearity(bent, exposures, full=15871) < 3  # %


def test_rounded_names_of_shutter_times_are_not_non_linearity():
    true = 2.0 ** -np.arange(3, 8)
    named = np.array([1 / 8, 1 / 15, 1 / 30, 1 / 60, 1 / 125])
    assert linearity(14000 * true / true[0], named, full=15871) < 0.1  # %


def test_linearity_is_unknown_when_the_light_was_changed_instead():
    levels = np.array([1000.0, 3000, 6000, 12000])
    assert linearity(levels, np.full(4, 0.01), full=15871) is None
    assert linearity(levels, np.array([0.08, 0.02, 0.04, 0.01]), full=15871) is None


# -- pairs


def test_clipped_and_flickering_pairs_are_named_and_left_out(tmp_path, rng):
    folder = write_shoot(tmp_path, rng, levels=[400, 1500, 5000, 11000], darks=2)
    for frame in "ab":
        write_flat(folder / "flats" / f"x-clipped-{frame}.dng", 17500, rng, exposure=0.5)
    write_flat(folder / "flats" / "y-flicker-a.dng", 6000, rng, exposure=0.25)
    write_flat(folder / "flats" / "y-flicker-b.dng", 6200, rng, exposure=0.25)
    write_flat(folder / "flats" / "z-alone.dng", 6000, rng, exposure=0.7)
    (result,) = calibrate_noise([folder / "flats"], [folder / "darks"]).results
    assert len(result.flats) == 4 and result.transfer.gain_e_per_dn == pytest.approx(GAIN, rel=0.015)
    clipped, flicker, alone = (next(text for text in result.rejected if name in text) for name in ("x-", "y-", "z-"))
    assert clipped.startswith("x-clipped-a.dng + x-clipped-b.dng: clipped (") and "at most 0.5%" in clipped
    assert "flicker (the two frames differ by 3." in flicker and "at most 2%" in flicker
    assert "z-alone.dng: no partner" in alone


def test_a_sensor_that_saturates_below_white_is_clipped(rng):
    one, two = (np.minimum(planes(9000, rng), 9600) for _ in range(2))
    assert measure_pair(one, two, black=512.0, white=WHITE).flaw().startswith("clipped")


def test_light_that_flickers_within_the_readout_is_seen_as_stripes(rng):
    rows = np.arange(64)[:, None]
    frames = [planes(6000 * (1 + 0.01 * np.sin(rows / 5 + phase)), rng, (4, 64, 80)) for phase in (0, 2)]
    assert "rows in common" in measure_pair(*frames, black=512.0, white=WHITE).flaw()
    steady = [planes(6000 * (1 + 0.01 * np.sin(rows / 5)), rng, (4, 64, 80)) for _ in range(2)]
    assert measure_pair(*steady, black=512.0, white=WHITE).flaw() is None


def test_pairs_are_consecutive_files_of_one_exposure(tmp_path, rng):
    for name, exposure in (("1", 0.1), ("2", 0.1), ("10", 0.1), ("11", 0.2), ("12", 0.2)):
        write_flat(tmp_path / f"{name}.dng", 4000, rng, exposure=exposure)
    pairs, alone = pair_up([read_patch(path) for path in find_files([tmp_path])])
    assert [tuple(patch.path.stem for patch in pair) for pair in pairs] == [("1", "2"), ("11", "12")]
    assert len(alone) == 1 and alone[0].startswith("10.dng: no partner")


def test_iso_settings_are_measured_apart(tmp_path, rng):
    levels = [400, 1500, 5000, 11000]
    write_shoot(tmp_path, rng, levels=levels, darks=1, name="low", iso=100.0)
    write_shoot(tmp_path, rng, levels=levels, darks=1, name="high", iso=800.0, gain=GAIN / 8, read=READ / 2)
    low, high = calibrate_noise([tmp_path / "flats"], [tmp_path / "darks"]).results
    assert (low.iso, high.iso) == (100, 800)
    assert low.transfer.gain_e_per_dn == pytest.approx(GAIN, rel=0.015)
    assert high.transfer.gain_e_per_dn == pytest.approx(GAIN / 8, rel=0.015)
    assert high.transfer.read_noise_e == pytest.approx(READ / 2, rel=0.04)


def test_sixteen_bit_tiff_needs_its_iso_and_finds_its_black(tmp_path, rng):
    for index, level in enumerate([0, 300, 1500, 5000, 11000]):
        for frame in "ab":
            tifffile.imwrite(tmp_path / f"{index}{frame}.tiff", expose(level, SHAPE, rng, black=600))
    files = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no ISO in EXIF; pass --iso"):
        calibrate_noise(files[2:], files[:2])
    shoot = calibrate_noise(files[2:], files[:2], iso=200)
    (result,) = shoot.results
    assert result.transfer.gain_e_per_dn == pytest.approx(GAIN, rel=0.02)
    assert result.black == pytest.approx([600], abs=0.2)  # DN
    assert any("black_level = [600." in text for text in result.warnings)
    assert into_profile(shoot)["radiometry"]["iso"][0]["file_format"] == "tiff"


# -- what cannot be measured


def refused(call, *parts):
    with pytest.raises((ValueError, OSError)) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def test_too_few_pairs_or_too_narrow_levels_are_refused_with_the_reasons(shoot, tmp_path, rng):
    flats = find_files([shoot / "flats"])
    refused(lambda: calibrate_noise(flats[:4], [shoot / "darks"]), "usable flat pairs: 2", "at least 3")
    refused(lambda: calibrate_noise(flats[:5]), "f2a.dng: no partner")
    for index in range(6):
        write_flat(tmp_path / f"{index}.dng", 5000 + 300 * (index // 2), rng)
    refused(lambda: calibrate_noise([tmp_path]), "at least 2 times the darkest", "vary the exposure")


def test_files_of_two_cameras_or_in_two_roles_are_refused(shoot, tmp_path, rng):
    other = write_flat(tmp_path / "other.dng", 2000, rng, model="M2")
    refused(lambda: calibrate_noise([shoot / "flats", other]), "other.dng", "camera M2", "M1")
    flats = find_files([shoot / "flats"])
    refused(lambda: calibrate_noise(flats, flats[:2]), "f0a.dng", "as a flat and as a dark")
    refused(lambda: calibrate_noise([shoot / "darks"], [shoot / "flats"]), "not brighter than black", "exchanged")


def test_what_is_not_a_sensor_file_is_refused(shoot, tmp_path, rng):
    tifffile.imwrite(tmp_path / "small.tiff", np.zeros((200, 300), np.uint16))
    refused(lambda: calibrate_noise([tmp_path / "small.tiff"]), "small.tiff", "300 x 200 px", "256 px", "--roi")
    tifffile.imwrite(tmp_path / "eight.tiff", np.zeros(SHAPE, np.uint8))
    refused(lambda: calibrate_noise([tmp_path / "eight.tiff"]), "eight.tiff", "RAW or DNG")
    tifffile.imwrite(tmp_path / "float.tiff", rng.random(SHAPE).astype(np.float32))
    refused(lambda: calibrate_noise([tmp_path / "float.tiff"]), "float.tiff", "1023 DN")
    refused(lambda: calibrate_noise([tmp_path / "absent.dng"]), "absent.dng", "no such file")
    (tmp_path / "empty").mkdir()
    refused(lambda: calibrate_noise([tmp_path / "empty"]), "no RAW or TIFF file")
    refused(lambda: calibrate_noise([shoot / "flats"], roi=33), "--roi (33 px)", "even")


def test_darks_that_are_cut_at_zero_are_left_out_and_the_flats_serve(tmp_path, rng, measured):
    write_shoot(tmp_path, rng, darks=1, black=(0,) * 4, shown_black=0)
    (result,) = calibrate_noise([tmp_path / "flats"], [tmp_path / "darks"]).results
    assert result.darks == () and any("cut off at 0 DN" in text for text in result.rejected)
    assert any("read noise from the flats alone" in text for text in result.warnings)
    assert result.transfer.gain_e_per_dn == pytest.approx(GAIN, rel=0.01)
    assert result.transfer.read_noise_e == pytest.approx(READ, abs=4 * result.transfer.read_noise_sigma)
    assert result.transfer.read_noise_sigma > 2 * measured.results[0].transfer.read_noise_sigma


def test_a_black_level_other_than_the_files_is_told(tmp_path, rng):
    write_shoot(tmp_path, rng, levels=[400, 1500, 5000, 11000], darks=1, shown_black=(508,) * 4)
    (result,) = calibrate_noise([tmp_path / "flats"], [tmp_path / "darks"]).results
    assert any("+4.9" in text or "+5.0" in text for text in result.warnings), result.warnings
    assert result.transfer.gain_e_per_dn == pytest.approx(GAIN, rel=0.015)


def test_filtered_files_are_told(tmp_path, rng):
    for index, level in enumerate([500, 2000, 8000]):
        for frame in "ab":
            noisy = expose(level, SHAPE, rng, black=600).astype(float)
            smooth = (noisy + np.roll(noisy, 1, axis=1)) / 2
            tifffile.imwrite(tmp_path / f"{index}{frame}.tiff", np.rint(smooth).astype(np.uint16))
    (result,) = calibrate_noise([tmp_path], iso=100).results
    assert any("correlated" in text and "not the sensor's" in text for text in result.warnings)


def test_a_response_that_bends_by_more_than_one_percent_is_told(tmp_path, rng):
    for level in np.geomspace(900, 13500, 6):
        for frame in "ab":
            write_flat(tmp_path / f"{level:05.0f}{frame}.dng", level * (1 - 0.06 * (level / 13500) ** 2), rng,
                       exposure=level / 1e5)
    (result,) = calibrate_noise([tmp_path]).results
    assert result.linearity_pct > 1  # %
    assert any("from a line in exposure (at most 1 %)" in text for text in result.warnings)


def test_read_noise_hidden_by_the_steps_of_the_converter_is_told(tmp_path, rng):
    write_shoot(tmp_path, rng, levels=[400, 1500, 5000, 11000], darks=1, gain=3.0, read=0.9)  # 0.3 DN
    (result,) = calibrate_noise([tmp_path / "flats"], [tmp_path / "darks"]).results
    assert any("below 0.4 DN" in text for text in result.warnings)


# -- the profile


def test_the_profile_round_trips_and_carries_sigma_and_provenance(measured, tmp_path):
    LensProfile(into_profile(measured)).save(tmp_path / "lens.json")
    profile = LensProfile.load(tmp_path / "lens.json")
    transfer = measured.results[0].transfer
    assert profile.noise_isos == (100,)
    assert profile.noise(100, raw=True) == (transfer.gain_e_per_dn, transfer.read_noise_e)
    assert profile.noise(100, raw=False) is None and profile.noise(200, raw=True) is None
    data = json.loads((tmp_path / "lens.json").read_text())
    entry = data["radiometry"]["iso"][0]
    assert entry["sigma"] == {"gain_e_per_dn": transfer.gain_sigma, "read_noise_e": transfer.read_noise_sigma}
    assert data["radiometry"]["black_dn"] == pytest.approx(BLACK, abs=0.1)
    assert data["camera"] == {"make": "Acme", "model": "M1", "raw_size_px": [330, 276]}
    roles = [item["role"] for item in data["provenance"]["inputs"]]
    assert (roles.count("noise_flat"), roles.count("noise_dark")) == (20, 6)
    assert all(len(item["sha256"]) == 64 for item in data["provenance"]["inputs"])


def test_an_update_replaces_the_iso_and_keeps_everything_else(measured):
    old = {"schema": "dfd-lensprofile", "schema_version": "1.0.0", "mine": {"kept": 1}, "lens": {"model": "L50"},
           "radiometry": {"note": "kept", "white_dn": 15000, "iso": [
               {"iso": 100, "gain_e_per_dn": 9.0, "read_noise_e": 9.0},
               {"iso": 50, "gain_e_per_dn": 0.6, "read_noise_e": 4.0}]}}
    new = into_profile(measured, old)
    assert [entry["iso"] for entry in new["radiometry"]["iso"]] == [50, 100]
    assert new["radiometry"]["iso"][1]["gain_e_per_dn"] == measured.results[0].transfer.gain_e_per_dn
    assert (new["mine"], new["lens"], new["radiometry"]["note"]) == ({"kept": 1}, {"model": "L50"}, "kept")
    assert new["radiometry"]["white_dn"] == 15000  # that of the lowest ISO
    assert old["radiometry"]["iso"][0]["gain_e_per_dn"] == 9.0
    again = into_profile(measured, new)
    assert len(again["provenance"]["inputs"]) == len(new["provenance"]["inputs"])
    with pytest.raises(ValueError, match="camera M9, the flats are of M1"):
        into_profile(measured, old | {"camera": {"model": "M9"}})


# -- dfd takes the noise from the profile


@pytest.fixture
def stack(tmp_path, rng):
    for index in range(3):
        write_flat(tmp_path / f"{index}.dng", 4000, rng, exposure=0.01)
    return tmp_path


def profile_with(*entries):
    return LensProfile({"schema": "dfd-lensprofile", "schema_version": "1.0.0", "radiometry": {"iso": [
        {"iso": iso, "gain_e_per_dn": gain, "read_noise_e": read} for iso, gain, read in entries]}})


def test_the_noise_of_a_capture_is_that_of_the_profile_at_its_iso(stack):
    profile = profile_with((100, 0.3, 3.0), (800, 0.04, 1.5))
    source = open_source(stack, lens=profile)
    assert (source.gain_e_per_dn, source.read_noise_e) == (0.3, 3.0)
    assert not any("noise" in text for text in source.warnings)
    assert open_source(stack).gain_e_per_dn is None


def test_capture_toml_wins_over_the_profile_number_by_number(stack):
    profile = profile_with((100, 0.3, 3.0))
    (stack / "capture.toml").write_text("[camera]\ngain_e_per_dn = 0.25\n")
    source = open_source(stack, lens=profile)
    assert (source.gain_e_per_dn, source.read_noise_e) == (0.25, 3.0)
    (stack / "capture.toml").write_text("[camera]\ngain_e_per_dn = 0.25\nread_noise_e = 0\n")
    source = open_source(stack, lens=profile)
    assert (source.gain_e_per_dn, source.read_noise_e) == (0.25, 0)


def test_frames_of_another_iso_of_several_or_of_none_are_estimated_with_a_warning(stack, rng):
    def told(profile):
        source = open_source(stack, lens=profile)
        assert source.gain_e_per_dn is None and source.read_noise_e is None
        (text,) = (text for text in source.warnings if "estimated from the images" in text)
        return text

    assert "(ISO 800)" in told(profile_with((800, 0.04, 1.5))) and "(ISO 100)" in told(profile_with((800, 0.04, 1.5)))
    write_flat(stack / "3.dng", 4000, rng, exposure=0.01, iso=200.0)
    assert "(ISO 100 and 200)" in told(profile_with((100, 0.3, 3.0), (200, 0.15, 2.0)))
    for path in stack.iterdir():
        write_flat(path, 4000, rng, exposure=0.01, iso=None)
    assert "(ISO unknown)" in told(profile_with((100, 0.3, 3.0)))


def test_the_noise_of_raw_files_is_not_that_of_developed_ones(tmp_path, rng):
    for index in range(2):
        tifffile.imwrite(tmp_path / f"{index}.tiff", expose(4000, SHAPE, rng))
    (tmp_path / "capture.toml").write_text("".join(f'[[frames]]\nfile = "{i}.tiff"\niso = 100\n' for i in range(2)))
    source = open_source(tmp_path, lens=profile_with((100, 0.3, 3.0)))
    assert source.gain_e_per_dn is None and any("developed" in text for text in source.warnings)
