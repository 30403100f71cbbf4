import json
import math
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from conftest import shared_data
from textures import blurred, texture

from dfd import imaging, prepare
from dfd.io.record import strict
from dfd.optics import ThinLens
from dfd.prepare.evidence import supported
from dfd.prepare.pairs import register_pair
from dfd.psf import Psf
from dfd.settings import CameraSettings, Value
from dfd.simulate import simulate_capture

SHAPE = (421, 587)
PAD = 64
PLACE = np.array([[1, 0, PAD], [0, 1, PAD], [0, 0, 1.0]])


def similarity(scale=0.0, degrees=0.0, right=0.0, down=0.0, shape=SHAPE):
    """Reference px -> frame px about the image centre."""
    c, s = (1 + scale) * math.cos(math.radians(degrees)), (1 + scale) * math.sin(math.radians(degrees))
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    matrix[:2, 2] = centre - matrix[:2, :2] @ centre + (right, down)
    return matrix


def corner_error(found, true, shape=SHAPE):
    """Largest distance [px] between where two maps send a corner."""
    corners = np.array([[x, y, 1.0] for x in (0, shape[1] - 1) for y in (0, shape[0] - 1)]).T
    return float(np.hypot(*((found - true) @ corners)[:2]).max())


def scene(rng):
    return texture((SHAPE[0] + 2 * PAD, SHAPE[1] + 2 * PAD), rng)


def frame(scene, matrix, rng, coc=0.0, noise=0.005):
    """The scene defocused by `coc` [px], seen by a frame that lies at `matrix` on the reference grid."""
    soft = blurred(scene, coc, Psf("disk", 0.6))
    seen = imaging.warp(soft.astype(np.float32), PLACE @ np.linalg.inv(matrix), shape=SHAPE)
    assert np.isfinite(seen).all()
    return seen + noise * rng.standard_normal(SHAPE).astype(np.float32)


def jpeg_stack(name, count, step=1):
    """Linear luminance of a folder's numbered frames, reduced by `step`, in numeric order."""
    folder = shared_data(f"stacks/{name}")
    paths = [path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png") and "mask" not in path.name]
    paths.sort(key=lambda path: int("".join(filter(str.isdigit, path.stem))))
    assert len(paths) == count
    for path in paths:
        values = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        yield imaging.reduce(values**np.float32(2.2), step)


def neighbour_correlation(images, maps):
    """Mean correlation of the band-passed neighbours on the reference grid."""
    bands = [imaging.gaussian(seen, 1) - imaging.gaussian(seen, 4)
             for seen in (imaging.warp(image, matrix) for image, matrix in zip(images, maps, strict=True))]
    both = [np.isfinite(one) & np.isfinite(other) for one, other in pairwise(bands)]
    return np.mean([np.corrcoef(one[use], other[use])[0, 1] for (one, other), use in
                    zip(pairwise(bands), both, strict=True)])


# --- alignment -------------------------------------------------------------------------------------------------------


def test_a_known_similarity_of_a_textured_plane_is_recovered_to_0_1_px_at_the_corners(rng):
    still, true = scene(rng), similarity(0.015, 0.3, 16, -12)
    found = prepare.align([frame(still, np.eye(3), rng), frame(still, true, rng)], reference=0)
    assert found.applied.tolist() == [False, True]
    assert np.array_equal(found.matrices[0], np.eye(3))
    assert corner_error(found.matrices[1], true) < 0.1
    assert 0.9 < found.quality[1] <= 1 and found.quality[0] == 1


def test_a_defocused_stack_with_motion_is_aligned_to_0_15_px_median_at_the_corners(rng):
    still, cocs = scene(rng), np.linspace(-10, 10, 9)
    true = [similarity(0.002 * (k - 4), 0.05 * rng.standard_normal(), *rng.normal(0, 2, 2)) if k != 4 else np.eye(3)
            for k in range(9)]
    found = prepare.align([frame(still, matrix, rng, coc) for matrix, coc in zip(true, cocs, strict=True)],
                          reference=4)
    errors = [corner_error(matrix, want) for matrix, want in zip(found.matrices, true, strict=True)]
    assert found.notes == () and found.applied.sum() == 8
    assert np.median(errors) < 0.05 and max(errors) < 0.15
    assert np.all(np.array(errors) < 4 * np.maximum(found.sigma_px, 0.02))


def test_a_registered_stack_of_different_blur_comes_back_untouched(rng):
    still, cocs = scene(rng), np.linspace(-8, 8, 5)
    found = prepare.align([frame(still, np.eye(3), rng, coc) for coc in cocs], reference=2)
    assert not found.applied.any() and found.notes == ()
    assert np.array_equal(found.matrices, np.stack([np.eye(3)] * 5))


def test_breathing_that_the_optics_predict_leaves_exactly_the_prediction(rng):
    still, lenses = scene(rng), [ThinLens.focused_at(distance, focal_length=0.05, f_number=2.8, pixel_pitch=6e-6)
                                 for distance in (0.5, 0.6, 0.8)]
    predicted = prepare.predicted_breathing(lenses, 1, SHAPE)
    images = [frame(still, matrix, rng, coc) for matrix, coc in zip(predicted, (4, 0, -4), strict=True)]
    found = prepare.align(images, reference=1, initial=predicted)
    assert np.array_equal(found.matrices, predicted)
    bumped = [images[0], images[1], frame(still, predicted[2] @ similarity(0, 0, 1.5, -0.7), rng, -4)]
    moved = prepare.align(bumped, reference=1, initial=predicted)
    assert moved.applied[2]
    assert corner_error(moved.matrices[2], predicted[2] @ similarity(0, 0, 1.5, -0.7)) < 0.1
    assert abs(moved.corner_shift_px[2] - math.hypot(1.5, 0.7)) < 0.1


@pytest.fixture(scope="module", params=[("50mm-f2.8", (120, 180), 9), ("50mm-f2.8", (200, 300), 16),
                                        ("50mm-f4-12um", (200, 300), 10)], ids=str)
def tripod(request):
    """(frames, lenses, reference) of a rendered stack with slants and edges, that breathes as its optics predict."""
    preset, size, frames = request.param
    made = simulate_capture("focal-stack", preset=preset, size=size, frames=frames)
    return [made.luminance(k) for k in range(frames)], made.lenses, made.reference


def test_a_rendered_stack_on_a_tripod_has_exactly_the_predicted_maps_however_blurred(tripod):
    images, lenses, reference = tripod
    predicted = prepare.predicted_breathing(lenses, reference, images[0].shape)
    found = prepare.align(images, reference=reference, initial=predicted)
    assert not found.applied.any() and np.array_equal(found.matrices, predicted)


def test_of_a_rendered_stack_only_the_displaced_frame_moves(tripod):
    images, lenses, reference = tripod
    shape, k = images[0].shape, reference + 2
    predicted = prepare.predicted_breathing(lenses, reference, shape)
    true = predicted[k] @ similarity(0, 0, 3, 0, shape)
    images = [*images[:k], imaging.warp(images[k], predicted[k] @ np.linalg.inv(true)), *images[k + 1:]]
    found = prepare.align(images, reference=reference, initial=predicted)
    assert np.array_equal(np.delete(found.matrices, k, 0), np.delete(predicted, k, 0))
    if shape[0] >= 200:  # at 120 x 180 px, 3 px are within the errors of a strongly blurred frame
        assert np.flatnonzero(found.applied).tolist() == [k]
        assert corner_error(found.matrices[k], true, shape) < 0.4


@pytest.mark.parametrize("step", [{"right": 0.2, "down": -0.1}, {"scale": 0.001}], ids=str)
def test_a_slow_drift_over_the_sweep_is_corrected_in_every_frame(step, rng):
    still, cocs = scene(rng), np.linspace(-8, 8, 9)
    true = [similarity(**{name: value * (k - 4) for name, value in step.items()}) for k in range(9)]
    images = [frame(still, matrix, rng, coc) for matrix, coc in zip(true, cocs, strict=True)]
    found = prepare.align(images, reference=4)
    assert found.applied.tolist() == [k != 4 for k in range(9)]
    assert max(corner_error(*pair) for pair in zip(found.matrices, true, strict=True)) < 0.05


def measured(count=11, sigma=0.3, bias=0.2):
    """(covariance, positions) of motions with independent errors and a bias that repeats per link, reference 5 [px]."""
    positions = (np.arange(count) - 5) / count
    repeated = np.kron(positions[:, None] * count, bias * np.eye(4))
    covariance = sigma**2 * np.eye(4 * count) + repeated @ repeated.T
    covariance[20:24], covariance[:, 20:24] = 0, 0
    covariance[20:24, 20:24] = 1e-6 * np.eye(4)
    return covariance, positions


def test_motions_within_their_errors_have_no_support_in_99_of_100_stacks():
    covariance, positions = measured()
    draws = np.random.default_rng(0).multivariate_normal(np.zeros(44), covariance, size=300).reshape(-1, 11, 4)
    moved = [supported(draw, covariance, positions)[0].any() for draw in draws]
    assert np.mean(moved) <= 0.01


def test_one_displaced_frame_is_told_from_a_bias_that_repeats():
    covariance, positions = measured()
    motions = 0.3 * positions[:, None] * 11 * np.ones(4)
    motions[8] += (0, 0, 4, -4)
    found, spread, _ = supported(motions, covariance, positions)
    assert np.flatnonzero(found.any(axis=1)).tolist() == [8]
    assert np.abs(found[8] - (0, 0, 4, -4)).max() < 0.5
    assert np.array_equal(found[8, :2], [0, 0])
    assert 0 < math.sqrt(spread[34, 34]) < 0.5


def test_a_drift_beyond_the_bias_is_kept_and_is_smooth():
    covariance, positions = measured()
    motions = np.zeros((11, 4))
    motions[:, 0] = 20 * positions + 30 * positions**2
    found, _, _ = supported(motions + 0.05 * np.random.default_rng(1).standard_normal((11, 4)), covariance, positions)
    assert np.abs(found - motions).max() < 0.6
    assert np.abs(np.diff(found[:, 0], 3)).max() < 1e-9


def test_a_frame_of_another_scene_is_named_and_does_not_break_the_chain(rng):
    still, true = scene(rng), [similarity(0.001 * k, 0, 1.5 * k, -k) for k in range(4)]
    images = [frame(still, matrix, rng, coc) for matrix, coc in zip(true, (0, 1, 2, 3), strict=True)]
    images[2] = frame(scene(rng), np.eye(3), rng)
    found = prepare.align(images, reference=0)
    assert len(found.notes) == 1 and found.notes[0].startswith("frame 2:")
    assert not found.applied[2] and np.array_equal(found.matrices[2], np.eye(3)) and np.isnan(found.sigma_px[2])
    assert corner_error(found.matrices[3], true[3]) < 0.1


def test_a_reference_that_fits_no_frame_stops_where_the_others_fit_each_other(rng):
    still = scene(rng)
    images = [frame(still, similarity(0.001 * k, 0, k, -k), rng, k) for k in range(6)]
    images[2] = frame(scene(rng), np.eye(3), rng)
    with pytest.raises(ValueError, match=r"^frame 2: this reference could not be aligned with 5 of the other 5 frames, "
                                         r".* choose another with --reference .* such as that of frame 3, or leave it out$"):
        prepare.align(images, reference=2)
    assert prepare.align(images, reference=3).aligned.tolist() == [True, True, False, True, True, True]


def test_alignment_follows_the_focus_order_not_the_file_order(rng):
    still, cocs = scene(rng), (9, -9, 4, 0, -4)
    true = [similarity(0.001 * k, 0, k, -2 * k) for k in (4, 0, 3, 2, 1)]
    true = [matrix @ np.linalg.inv(true[3]) for matrix in true]
    found = prepare.align([frame(still, matrix, rng, coc) for matrix, coc in zip(true, cocs, strict=True)],
                          reference=3, order=(0, 2, 3, 4, 1))
    assert max(corner_error(*pair) for pair in zip(found.matrices, true, strict=True)) < 0.1


def test_exposure_and_missing_pixels_do_not_move_the_alignment(rng):
    still, true = scene(rng), similarity(0.004, 0.1, 3, 2)
    images = [frame(still, np.eye(3), rng), frame(still, true, rng, 2)]
    images[1] = images[1] * np.float32(0.31)
    images[1][:60, :80] = np.nan
    found = prepare.align(images, reference=0)
    assert corner_error(found.matrices[1], true) < 0.1


@pytest.mark.parametrize("level", [0.0, 0.4])
def test_images_without_texture_are_reported_and_left_alone(level):
    found = prepare.align([np.full(SHAPE, level, np.float32)] * 3, reference=1)
    assert np.array_equal(found.matrices, np.stack([np.eye(3)] * 3)) and not found.applied.any()
    assert len(found.notes) == 2


def test_progress_runs_to_its_total(rng):
    still, calls = scene(rng), []
    images = [frame(still, similarity(0, 0, 3 * k, 0), rng) for k in range(3)]
    prepare.align(images, reference=0, progress=lambda *at: calls.append(at))
    done = [at[0] for at in calls]
    assert done == sorted(done) and calls[-1][0] == calls[-1][1] and len({at[1] for at in calls}) == 1


@pytest.mark.parametrize(("options", "words"), [
    ({"reference": 2}, "reference"),
    ({"reference": 0, "order": (0, 0)}, "each of the 2 frames once"),
    ({"reference": 0, "initial": [np.eye(3)]}, "one per frame"),
])
def test_bad_alignment_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        prepare.align([np.zeros(SHAPE, np.float32)] * 2, **options)


def test_frames_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="frame 1 is 50 x 40 px"):
        prepare.align([np.zeros((60, 50), np.float32), np.zeros((40, 50), np.float32)], reference=0)


@pytest.mark.parametrize("axes", [(0, 1), 1], ids=["turned", "mirrored"])
@pytest.mark.parametrize("place", [1, 3])
def test_a_frame_that_lies_wrong_is_left_out_and_not_the_good_one_behind_it(rng, axes, place):
    still = scene(rng)
    images = [frame(still, similarity(0.01 * k, 0, 2 * k, 0), rng, coc=0.5 + abs(k - 2)) for k in range(6)]
    images[place] = np.ascontiguousarray(np.flip(images[place], axes))
    found = prepare.align(images, reference=2)
    assert np.flatnonzero(~found.aligned).tolist() == [place]
    assert f"frame {place}: could not be aligned" in found.notes[0]


def test_a_frame_that_shows_too_little_of_the_reference_is_left_out(rng):
    still = scene(rng)
    images = [frame(still, similarity(), rng) for _ in range(4)]
    images.append(np.roll(frame(still, similarity(), rng), (165, 230), axis=(0, 1)))
    found = prepare.align(images, reference=1)
    assert found.aligned.tolist() == [True] * 4 + [False]
    assert "it shows 35% of the reference, at least 50% needed" in found.notes[0]


def test_he2023_which_is_registered_stays_untouched():
    images = list(jpeg_stack("he2023_synth", 44))[::2]
    found = prepare.align(images, reference=11)
    assert not found.applied.any() and found.notes == ()


def test_focus_stack_pcb_is_aligned_smoothly_and_its_neighbours_agree():
    images = list(jpeg_stack("focus_stack_pcb", 10, step=2))
    found = prepare.align(images, reference=5)
    scales = np.sqrt(np.linalg.det(found.matrices[:, :2, :2]))
    assert found.notes == () and found.applied.sum() == 9
    assert np.all(np.diff(scales) > 0) and np.all(np.diff(scales) < 0.04)
    before, after = (neighbour_correlation(images, maps) for maps in ([np.eye(3)] * 10, found.matrices))
    assert after > 0.6 and after > before + 0.2


def test_misaligned_plant_has_the_known_cumulative_scale():
    found = prepare.align(list(jpeg_stack("misaligned_plant", 14, step=2)), reference=13)
    scale = math.sqrt(np.linalg.det(found.matrices[0][:2, :2]))
    assert found.aligned.all() and abs(scale - 1.095) < 0.02
    assert len(found.notes) == 1 and "parallax" in found.notes[0]  # held by hand: the camera moved


# --- brightness ------------------------------------------------------------------------------------------------------


def settings(exposure=None, iso=None, f_number=None, focal_length=None, pupil=None):
    values = {"exposure": exposure, "iso": iso, "f_number": f_number, "focal_length": focal_length,
              "pupil_diameter": pupil}
    return CameraSettings(**{name: None if value is None else Value(value) for name, value in values.items()})


def test_time_iso_and_pupil_area_are_divided_out():
    frames = [settings(0.01, 100, 2.8), settings(0.02, 200, 2.8), settings(0.01, 100, 5.6)]
    assert np.abs(prepare.brightness_factors(frames) - [1, 0.25, 4]).max() < 1e-12
    assert np.abs(prepare.brightness_factors(frames, reference=1) - [4, 1, 16]).max() < 1e-12


def test_the_pupil_comes_from_the_lens_before_the_f_number():
    lenses = [ThinLens(0.05, 0.02, 0.055, 6e-6), ThinLens(0.05, 0.01, 0.055, 6e-6)]
    frames = [settings(0.01, None, 2.8), settings(0.01, None, 2.8)]
    assert np.abs(prepare.brightness_factors(frames, lenses) - [1, 4]).max() < 1e-12
    assert np.abs(prepare.brightness_factors(frames, [None, None]) - 1).max() == 0
    zoomed = [settings(0.01, None, 4, 0.05), settings(0.01, None, 4, 0.1)]
    assert np.abs(prepare.brightness_factors(zoomed) - [1, 0.25]).max() < 1e-12


def test_one_frame_without_exposure_makes_all_count_as_equal():
    frames = [settings(0.01, 100, 2.8), settings(None, 100, 5.6)]
    assert prepare.brightness_factors(frames).tolist() == [1, 1]


def test_an_iso_that_some_frame_lacks_is_not_used():
    assert prepare.brightness_factors([settings(0.01, 100), settings(0.02)]).tolist() == [1, 0.5]


def test_a_residual_gain_is_found_to_half_a_percent_whatever_the_blur(rng):
    still = scene(rng)
    images = [frame(still, np.eye(3), rng, 9) * np.float32(1 / 1.07), frame(still, np.eye(3), rng, 0),
              frame(still, np.eye(3), rng, -6) * np.float32(1 / 0.8)]
    images[0] = imaging.warp(images[0], similarity(0.004, 0, 3.3, 0))
    assert np.abs(prepare.residual_gains(images, 1) - [1.07, 1, 0.8]).max() < 0.005


def test_equal_frames_have_a_gain_of_exactly_1(rng):
    still = scene(rng)
    images = [frame(still, np.eye(3), rng, coc) for coc in (-3, 0, 3)]
    assert prepare.residual_gains([images[1]] * 3, 1).tolist() == [1, 1, 1]
    assert np.abs(prepare.residual_gains(images, 1) - 1).max() < 0.003


def test_constant_images_have_an_exact_gain_and_dark_ones_none():
    flat = [np.full(SHAPE, level, np.float32) for level in (0.2, 0.4, 0.0)]
    assert prepare.residual_gains(flat, 1) == pytest.approx([2, 1, math.nan], abs=1e-6, nan_ok=True)
    assert prepare.residual_gains(flat, 2) == pytest.approx([math.nan, math.nan, 1], nan_ok=True)


def test_dark_blocks_say_nothing_of_brightness(rng):
    """Stray light on black: two thirds of the image hold 1/30 of the light, and another ratio."""
    still = (0.5 + 0.05 * rng.standard_normal(SHAPE)).astype(np.float32)
    still[:, 200:] *= np.float32(1 / 30)
    other = 0.8 * still
    other[:, 200:] += np.float32(0.01)
    assert abs(prepare.residual_gains([still, other], 0)[1] - 1.25) < 0.005


def test_a_coarse_pixel_is_the_mean_of_what_is_known_of_it():
    image = np.full((6, 9), 0.4, np.float32)
    image[0, 0], image[0, 3:6], image[1, 3:5] = 1.0, np.nan, np.nan
    small = prepare.coarse(image, 3)
    assert np.isnan(small[0, 1]) and np.abs(np.delete(small.ravel(), 1) - 0.4).max() < 1e-6


def test_saturated_pixels_do_not_count(rng):
    still = np.clip(scene(rng), 0, None).astype(np.float32)[:SHAPE[0], :SHAPE[1]]
    bright = np.minimum(still * 1.5, 1)
    assert (bright == 1).mean() > 0.05
    assert abs(prepare.residual_gains([still, bright], 0)[1] - 1 / 1.5) < 0.003


@pytest.mark.parametrize("factor", [2, 3])
def test_scattered_glints_and_a_lamp_do_not_hide_flicker(factor, rng):
    shape = (361, 541)
    still = (0.3 + 0.05 * rng.standard_normal(shape)).astype(np.float32)
    glints, lamp = rng.random(shape) < 0.02, np.s_[30:90, 100:220]

    def seen(gain, value):
        image = gain * still
        image[glints], image[lamp] = value, value
        return image

    for value in (1.0, np.nan):  # as TIFFs have them; as decoded RAWs have them
        small = [prepare.coarse(seen(gain, value), factor) for gain in (1.0, 1.07)]
        assert 0.02 < np.isnan(small[0]).mean() < 0.06
        warped = [imaging.warp(image, similarity(0, 0, 0.4, 0.3, image.shape)) for image in small]
        assert abs(prepare.residual_gains(warped, 0)[1] - 1 / 1.07) < 0.002


# --- breathing and transforms ----------------------------------------------------------------------------------------


def test_predicted_breathing_scales_about_the_centre_by_the_ratio_of_fx():
    lenses = [ThinLens(0.05, 0.02, image_distance, 6e-6) for image_distance in (0.054, 0.055)]
    maps = prepare.predicted_breathing(lenses, 1, SHAPE)
    centre = np.array([(SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, 1])
    assert np.array_equal(maps[1], np.eye(3))
    assert np.abs(maps[0] @ centre - centre).max() < 1e-9
    moved = maps[0] @ (centre + np.array([100, 0, 0])) - centre
    assert abs(moved[0] - 100 * 0.054 / 0.055) < 1e-9 and abs(moved[1]) < 1e-9


def test_unknown_optics_predict_no_breathing():
    assert np.array_equal(prepare.predicted_breathing([None, None], 0, SHAPE), np.stack([np.eye(3)] * 2))


@pytest.fixture
def alignment():
    return prepare.Alignment(np.stack([similarity(0.01, 0.2, 3, 1), np.eye(3)]), np.array([0.7, 1.0]),
                             np.array([4.2, 0.0]), np.array([np.nan, 0.0]), np.array([True, False]),
                             np.array([True, True]), "similarity", np.array([0.4, 0.0]))


def content(alignment, names=("a.jpg", "b.jpg")):
    """What transforms.json holds, through strict JSON (NaN becomes null)."""
    frames = prepare.describe(names, alignment)
    frames[0]["sigma_px"] = None
    text = json.dumps({"schema": "dfd-transforms 1", "size_px": {"width": SHAPE[1], "height": SHAPE[0]},
                       "frames": frames}, allow_nan=False)
    return json.loads(text)


def test_stored_transforms_come_back_for_the_same_files_in_any_order(alignment):
    found = prepare.from_json(content(alignment), ["x/b.jpg", "x/a.jpg"], SHAPE, reference=0)
    for name in ("matrices", "quality", "corner_shift_px", "sigma_px", "applied"):
        assert np.array_equal(getattr(found, name), getattr(alignment, name)[::-1], equal_nan=True)
    twice = content(alignment, ("a.jpg", "a.jpg"))
    assert np.array_equal(prepare.from_json(twice, ["p/a.jpg", "q/a.jpg"], SHAPE).matrices, alignment.matrices)


@pytest.mark.parametrize("name", ["quality", "corner_shift_px", "sigma_px", "parallax_px"])
@pytest.mark.parametrize("number", [math.inf, -math.inf])
def test_infinite_numbers_come_back_as_they_are_written(alignment, name, number):
    alignment = replace(alignment, **{name: np.array([number, 0.5])})
    table = {"schema": "dfd-transforms 1", "size_px": {"width": SHAPE[1], "height": SHAPE[0]},
             "frames": prepare.describe(["a.jpg", "b.jpg"], alignment)}
    stored = json.loads(json.dumps(strict(table), allow_nan=False))
    assert stored["frames"][0][name] == str(number)
    found = prepare.from_json(stored, ["a.jpg", "b.jpg"], SHAPE, reference=1)
    np.testing.assert_array_equal(getattr(found, name), [number, 0.5])


@pytest.mark.parametrize(("change", "words"), [
    (lambda c: c["frames"][0].update(aligned="inf"), "aligned is 'inf'"),
    (lambda c: c.update(schema="other"), "schema 'other'"),
    (lambda c: c.update(size_px={"width": 10, "height": 10}), "size_px"),
    (lambda c: c.update(frames=7), "'frames' must be a list"),
    (lambda c: c["frames"].pop(), "1 entry for 2 frames; without an entry: .'b.jpg'"),
    (lambda c: c["frames"][0].update(file="c.jpg"), "without a frame: .'c.jpg'"),
    (lambda c: c["frames"][0].pop("matrix"), "frame 'a.jpg' needs a 3 x 3"),
    (lambda c: c["frames"][0].update(matrix=[[1, 0], [0, 1]]), "2 x 3 or 3 x 3"),
    (lambda c: c["frames"][0].update(matrix="no"), "frame 'a.jpg' needs"),
    (lambda c: c["frames"][0].update(quality="high"), "frame 'a.jpg' needs"),
    (lambda c: c["frames"][0].update(quality="0.5"), "quality is '0.5'"),
    (lambda c: c["frames"][0].update(aligned="no"), "aligned is 'no'"),
    (lambda c: c["frames"][0].update(applied=1), "applied is 1"),
    (lambda c: c["frames"][0].update(file=["a.jpg"]), "without an entry: .'a.jpg'"),
    (lambda c: c["frames"][0].update(matrix=similarity(0, 0, 500, 0).tolist()), "shows 16% of the reference"),
    (lambda c: c["frames"][0].update(matrix=[[-1, 0, 586], [0, 1, 0], [0, 0, 1]]), "mirrors"),
    (lambda c: c["frames"][0].update(matrix=[[1, 0, 0], [0, 1, 0], [-1 / 400, 0, 1]]), "mirrors the image or folds"),
    (lambda c: c["frames"][0].update(matrix=similarity(1.1).tolist()), "scales by 2.1 to 2.1"),
    (lambda c: c["frames"][0].update(matrix=similarity(-0.55).tolist()), "scales by 0.45 to 0.45"),
    (lambda c: c["frames"][0].update(matrix=[[1, 0, 0], [3, 1, 0], [0, 0, 1]]), "scales by 0.303 to 3.3"),
    (lambda c: [frame.update(aligned=False) for frame in c["frames"]], "all 2 frames are left out .*; align anew"),
])
def test_transforms_that_do_not_fit_are_refused_with_the_reason(alignment, change, words):
    stored = content(alignment)
    change(stored)
    with pytest.raises(ValueError, match=words) as caught:
        prepare.from_json(stored, ["a.jpg", "b.jpg"], SHAPE)
    assert str(caught.value).startswith("transforms: ")
    assert str(caught.value).endswith(("align anew", "use the transforms.json of a dfd run"))


def test_a_reference_that_is_left_out_is_refused_and_another_frame_stays_left_out(alignment):
    stored = content(alignment)
    stored["frames"][1]["aligned"] = False
    with pytest.raises(ValueError, match=r"the reference b\.jpg is left out .* choose another with --reference"):
        prepare.from_json(stored, ["a.jpg", "b.jpg"], SHAPE, reference=1)
    stored["frames"][1]["aligned"], stored["frames"][0]["aligned"] = True, False
    stored["frames"][0]["matrix"] = similarity(0, 0, 5000, 0).tolist()  # nobody looks at it
    assert prepare.from_json(stored, ["a.jpg", "b.jpg"], SHAPE, reference=1).aligned.tolist() == [False, True]


def test_transforms_of_another_reference_are_refused(alignment):
    with pytest.raises(ValueError, match=r"a\.jpg was not the reference"):
        prepare.from_json(content(alignment), ["a.jpg", "b.jpg"], SHAPE, reference=0)


def test_transforms_that_are_no_table_are_refused():
    with pytest.raises(ValueError, match="schema 'list'"):
        prepare.from_json([], ["a.jpg"], SHAPE)


@pytest.mark.parametrize("shape", [(1, 750), (640, 1), (2, 300), (1, 1)])
def test_a_strip_too_thin_to_be_correlated_keeps_its_start(rng, shape):
    """Within 0.01 px of where it was; there is nothing to see across it."""
    one = prepare.pyramid(rng.random(shape, dtype=np.float32), frames=2)
    found = register_pair(one, one, np.eye(3), np.eye(3), finest=0)
    assert corner_error(found, np.eye(3), shape) < 0.01
