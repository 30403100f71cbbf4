"""A dual-pixel RAW is one file of two frames, and its views are the sub frame and what is left of the main one."""

import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import rawpy
from dualraw import BLACK, SHAPE, WHITE, dual_raw, frames

from dfd.decode import noises_of
from dfd.evaluate import compare
from dfd.io.describe import describe
from dfd.io.digests import digests
from dfd.io.dng import write_dng
from dfd.io.frames import read_colour, read_luminance
from dfd.io.halves import REST, SUB, read_halves
from dfd.io.maps import read_map
from dfd.io.raw import has_second_frame, read_raw
from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.noise import Noise
from dfd.pipeline import run
from dfd.simulate import simulate_capture


@pytest.fixture
def pair(tmp_path, rng):
    """(path, main, sub) of a good file."""
    main, sub = frames(rng)
    return dual_raw(tmp_path / "IMG_1.dng", main, sub), main, sub


def test_each_frame_comes_back_bit_exactly_and_the_convenient_call_is_a_trap(pair):
    path, main, sub = pair
    assert np.array_equal(read_raw(path).codes, main)
    assert np.array_equal(read_raw(path, shot=1).codes, sub)
    with rawpy.imread(str(path), shot_select=1) as raw:  # sets it after opening: silently the main frame
        assert np.array_equal(raw.raw_image_visible, main)


def test_the_views_are_the_sub_frame_and_the_rest_of_the_main_frame(pair, tmp_path):
    path, main, sub = pair
    left, right = (read_luminance(frame) for frame in open_source(path).frames)
    rest = (main.astype(int) - sub + BLACK).astype(np.uint16)
    for view, codes in ((left, sub), (right, rest)):
        alone = read_raw(write_dng(tmp_path / "alone.dng", codes, black_level=BLACK, white_level=WHITE)).luminance()
        assert np.abs(view.image - 2 * alone).max() < 1e-6  # of half the range, which is what a half of the pixels sees
        assert view.dn_range == (WHITE - BLACK) / 2


def test_what_main_saturates_is_unknown_in_both_views_and_one_pixel_around(rng, tmp_path):
    main, sub = frames(rng)
    main[20, 30] = WHITE
    hole = np.zeros(SHAPE, bool)
    hole[19:22, 29:32] = True
    for name, pattern in (("bayer", "RGGB"), ("linear", "LINEAR")):
        codes = [image if pattern == "RGGB" else np.repeat(image[..., None], 3, axis=2) for image in (main, sub)]
        source = open_source(dual_raw(tmp_path / f"{name}.dng", *codes, pattern=pattern))
        for frame in source.frames:
            assert np.array_equal(np.isnan(read_luminance(frame).image), hole), frame.name


def test_left_is_the_second_frame_and_swap_exchanges(pair):
    path = pair[0]
    source, swapped = open_source(path), open_source([path], swap=True)
    assert (source.kind, source.swap, swapped.swap) == ("dual-pixel", False, True)
    assert [frame.half for frame in source.frames] == [SUB, REST]
    assert [(frame.view, frame.half) for frame in swapped.frames] == [("left", REST), ("right", SUB)]


def test_a_single_raw_file_is_probed_and_a_plain_one_is_told_apart(pair, tmp_path):
    path, main, _ = pair
    plain = write_dng(tmp_path / "plain.dng", main, black_level=BLACK, white_level=WHITE)
    assert has_second_frame(path) and not has_second_frame(plain)
    with pytest.raises(ValueError, match=r"plain.dng: holds one frame, a dual-pixel RAW holds two .* Dual Pixel RAW on"):
        open_source([plain], kind="dual-pixel")
    with pytest.raises(ValueError, match=r"plain.dng: 1 image, at least 2 are needed, and it is no dual-pixel RAW"):
        open_source([plain])


def test_a_folder_with_one_dual_pixel_raw_and_its_own_toml_is_a_pair(pair):
    path = pair[0]
    path.with_name("capture.toml").write_text('kind = "dual-pixel"\nswap = true\n[[frames]]\nfile = "IMG_1.dng"\n'
                                              "f_number = 4\n")
    source = open_source(path.parent)
    assert [frame.half for frame in source.frames] == [REST, SUB]
    assert all(frame.settings.f_number.value == 4 for frame in source.frames)


def test_frames_that_are_no_whole_and_half_are_refused_by_name_and_number(rng, tmp_path):
    main, sub = frames(rng)
    equal = dual_raw(tmp_path / "equal.dng", main, main)
    with pytest.raises(ValueError, match=r"equal.dng: its two frames are equal"):
        read_halves(equal)
    for share in (0.32, 0.7):
        odd = dual_raw(tmp_path / f"odd{share}.dng", *frames(rng, share=share))
        with pytest.raises(ValueError, match=r"odd.*dng: the second frame has 0\.\d+ of the light .* 0.4 to 0.6") as told:
            read_halves(odd)
        assert float(re.search(r"has (0\.\d+) of", str(told.value))[1]) == pytest.approx(share, abs=0.01)
    assert read_halves(dual_raw(tmp_path / "good.dng", *frames(rng, share=0.42))).sub.codes.shape == SHAPE
    with pytest.raises(ValueError, match="must have the size of codes"):
        dual_raw(tmp_path / "sizes.dng", main, sub[:40])


def test_the_ratio_is_that_of_pixels_that_are_not_saturated(rng, tmp_path):
    main, sub = frames(rng)
    main[:30], sub[:30] = WHITE, WHITE - 400  # half the picture: sub / main is 1 there
    assert read_halves(dual_raw(tmp_path / "bright.dng", main, sub)).sub.codes.shape == SHAPE


def test_the_halves_share_out_the_five_readouts_of_their_difference(pair):
    path = pair[0]
    path.with_name("capture.toml").write_text("[camera]\ngain_e_per_dn = 0.5\nread_noise_e = 4.0\n")
    source = open_source(path.parent)
    planes = [read_luminance(frame) for frame in source.frames]
    (sub, rest), told = noises_of(source, planes, [None, None], 1)
    camera = Noise.from_camera(0.5, 4.0, (WHITE - BLACK) / 2).filtered(planes[0].taps)
    assert told == "stated" and sub.gain == rest.gain == camera.gain
    assert sub.variance(np.float64(0)) + rest.variance(np.float64(0)) == pytest.approx(5 * camera.variance(np.float64(0)))


@pytest.mark.parametrize(("light", "noise"), [(0.002, Noise(3000.0, 12.0)), (1.0, Noise(3000.0, 3.0))])
def test_the_noise_of_the_difference_of_simulated_halves_is_what_is_stated_of_them(light, noise, tmp_path):
    """In the dark, where readouts are all there is, and in the light, where electrons are."""
    simulation = simulate_capture("dual-pixel", scene="plane", size=(120, 180), noise=3000, seed=3)
    simulation = replace(simulation, radiance=tuple(image * np.float32(light) for image in simulation.radiance), noise=noise)
    clean = write_simulation(replace(simulation, noise=None), tmp_path / "clean")
    source = open_source(write_simulation(simulation, tmp_path / "noisy"))
    planes = [read_luminance(frame) for frame in source.frames]
    exact = [read_luminance(frame).image for frame in open_source(clean).frames]
    noises = noises_of(source, planes, [None, None], 1)[0]
    stated = sum(np.mean(one.variance(truth)) for one, truth in zip(noises, exact, strict=True))
    found = np.mean((planes[0].image - planes[1].image - exact[0] + exact[1]) ** 2)
    assert found / stated == pytest.approx(1, abs=0.05)  # 21600 correlated samples: 1.5 %


def test_a_file_that_was_written_anew_is_read_anew(pair, rng):
    path = pair[0]
    before = read_halves(path)
    assert read_halves(path) is before
    dual_raw(path, *frames(rng))
    os.utime(path, ns=(1, 1))
    assert not np.array_equal(read_halves(path).main.codes, before.main.codes)


def test_one_file_does_not_wait_for_the_decoding_of_another(pair, rng, tmp_path, monkeypatch):
    other, started, go_on = dual_raw(tmp_path / "IMG_2.dng", *frames(rng)), threading.Event(), threading.Event()

    def slow(path, **options):
        if path == pair[0]:
            started.set()
            assert go_on.wait(20)
        return read_raw(path, **options)

    monkeypatch.setattr("dfd.io.halves.read_raw", slow)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(read_halves, pair[0])
        assert started.wait(20)
        assert read_halves(other).sub.codes.shape == SHAPE
        go_on.set()
        assert held.result(20).main.codes.shape == SHAPE


def test_colours_of_a_half_stay_in_range_where_main_is_saturated(rng, tmp_path):
    main, sub = frames(rng)
    main[10:14, 10:14] = WHITE
    for frame in open_source(dual_raw(tmp_path / "a.dng", main, sub)).frames:
        colours = read_colour(frame)
        assert colours.shape == (*SHAPE, 3)
        assert np.abs(colours[11:13, 11:13] - 1).max() < 1e-3


def test_one_file_has_one_checksum_and_its_views_have_names(pair):
    source = open_source(pair[0])
    assert [path for path, _ in digests(source.frames, 2)] == [str(pair[0])]
    assert [frame.name for frame in source.frames] == ["IMG_1.dng (left view)", "IMG_1.dng (right view)"]
    with pytest.raises(ValueError, match=r"IMG_2.dng: the same picture as .*IMG_1.dng"):
        shutil.copy(pair[0], pair[0].with_name("IMG_2.dng"))
        digests([source.frames[0], replace(source.frames[1], path=pair[0].with_name("IMG_2.dng"))], 1)


def test_info_shows_the_file_once_and_what_depth_would_make_of_it(pair):
    overview = describe([pair[0]])
    assert [item.path for item in overview.files] == [pair[0]]
    assert overview.source.kind == "dual-pixel" and not overview.trouble


def test_a_simulated_dual_pixel_raw_gives_metric_depth_end_to_end(tmp_path):
    simulation = simulate_capture("dual-pixel", scene="slant", size=(96, 144), seed=5)
    folder = write_simulation(simulation, tmp_path / "in")
    assert sorted(path.name for path in folder.iterdir()) == ["capture.toml", "dual_pixel.dng", "truth.json", "truth.tiff"]
    outcome = run(folder, tmp_path / "out")
    figures = compare(read_map(tmp_path / "out"), read_map(folder / "truth.tiff"), border=16)
    assert outcome.result.scale == "metric" and figures["density"] > 0.5
    assert figures["median_relative_error"] < 0.02
    swapped = run(folder, tmp_path / "swapped", swap=True).result
    focus = simulation.lenses[0].focus
    mirrored = np.nanmedian(np.abs(swapped.values + outcome.result.values - 2 * focus))
    assert mirrored < 0.1 * np.nanstd(outcome.result.values)  # dioptre: near and far change places at focus
