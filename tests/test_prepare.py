"""Alignment: known maps come back, and what cannot be aligned is told."""

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
from conftest import shared_data
from moving import SHAPE, corner_error, frame, scene, similarity

from dfd import imaging, prepare
from dfd.optics import ThinLens
from dfd.prepare.evidence import supported
from dfd.simulate import simulate_capture


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


@pytest.fixture(scope="module", params=[("50mm-f2.8", (120, 180), 9), ("50mm-f2.8", (160, 240), 14),
                                        ("50mm-f4-12um", (160, 240), 9)], ids=str)
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
