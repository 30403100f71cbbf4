"""Alignment of pairs and views: a displaced frame comes back to 0.15 px however blurred, or stays and the user is told."""

import json
from dataclasses import replace

import numpy as np
import pytest
from moving import corner_error, similarity

from dfd import imaging, prepare
from dfd.assemble import prepare_capture
from dfd.cli.commands import app
from dfd.console.run import call
from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.prepare.equalised import trial_depths
from dfd.psf import Psf
from dfd.simulate import simulate_capture
from dfd.simulate.captures import READ_NOISE

SIZE, RIM = (287, 421), 8
INNER = (SIZE[0] - 2 * RIM, SIZE[1] - 2 * RIM)
MOTIONS = ({"right": 1.7, "down": -0.8}, {"right": -4.3, "down": 2.4}, {"scale": 0.003, "right": 2.0})


@pytest.fixture(scope="module", params=[("aperture-pair", "plane"), ("aperture-pair", "demo"), ("views", "plane"),
                                        ("views", "slant")], ids="-".join)
def registered(request):
    """A Simulation in one pixel grid; aperture pairs have up to 25 px of blur on the plane, 44 px in the demo."""
    kind, scene = request.param
    simulation = simulate_capture(kind, scene=scene, size=SIZE, registered=True)
    return {noise: replace(simulation, noise=Noise(noise, READ_NOISE)) for noise in (20000, 2000)}


@pytest.fixture(scope="module")
def plane():
    """A Simulation of an aperture pair of a plane in one pixel grid."""
    return simulate_capture("aperture-pair", scene="plane", size=SIZE, registered=True)


def seen(simulation, k=None, motion=None):
    """(K, H, W) inner parts of the frames, frame k displaced."""
    images = [simulation.luminance(index) for index in range(len(simulation.lenses))]
    if k is not None:
        images[k] = imaging.warp(images[k], np.linalg.inv(similarity(**motion, shape=SIZE)))
    return np.stack([image[RIM:-RIM, RIM:-RIM] for image in images])


def aligned(simulation, images, psf="disk", stretch=1.0):
    """The Alignment of frames with the optics of a simulation, blur rates multiplied by `stretch`."""
    lenses = [ThinLens.from_focus(lens.focus, fx=lens.fx, pupil_diameter=lens.pupil_diameter * stretch,
                                  pixel_pitch=lens.pixel_pitch) for lens in simulation.lenses]
    return prepare.align_views(images, [prepare.pyramid(image, frames=len(images)) for image in images],
                               [prepare.Optics(lens, Psf(psf)) for lens in lenses], reference=0,
                               initial=[np.eye(3)] * len(images))


def errors(found, k=None, motion=None):
    """(K,) largest corner errors [px] where frame k was displaced."""
    true = [similarity(**motion, shape=INNER) if index == k else np.eye(3) for index in range(len(found.matrices))]
    return np.array([corner_error(*pair, INNER) for pair in zip(found.matrices, true, strict=True)])


@pytest.mark.parametrize("noise", [20000, 2000])
def test_registered_frames_stay_exactly_where_they_are_and_none_is_dropped(registered, noise):
    found = aligned(registered[noise], seen(registered[noise]))
    assert np.array_equal(found.matrices, np.stack([np.eye(3)] * len(found.matrices)))
    assert found.aligned.all() and not found.applied.any()


@pytest.mark.parametrize("noise", [20000, 2000])
@pytest.mark.parametrize("motion", MOTIONS, ids=str)
def test_a_displaced_frame_comes_back_to_0_15_px_at_the_corners_or_the_user_is_told(registered, noise, motion):
    k = len(registered[noise].lenses) // 2
    found = aligned(registered[noise], seen(registered[noise], k, motion))
    assert found.aligned.all()
    for index, error in enumerate(errors(found, k, motion)):
        told = any(note.startswith(f"frame {index}: ") for note in found.notes)
        assert error <= 0.15 or (told and not found.applied[index])


@pytest.mark.parametrize("motion", MOTIONS, ids=str)
def test_a_displaced_plane_is_corrected_in_the_wide_frame_and_in_the_narrow_one_alike(plane, motion):
    found, swapped = (aligned(plane, seen(plane, k, motion)) for k in (1, 0))
    assert found.applied[1] and swapped.applied[1] and found.notes == swapped.notes == ()
    assert corner_error(found.matrices[1], similarity(**motion, shape=INNER), INNER) <= 0.15
    assert corner_error(swapped.matrices[1], np.linalg.inv(similarity(**motion, shape=INNER)), INNER) <= 0.15


@pytest.mark.parametrize(("psf", "stretch"), [("gaussian", 1.0), ("disk", 0.8), ("disk", 1.25)])
def test_optics_that_are_somewhat_wrong_move_nothing_wrongly(plane, psf, stretch):
    assert errors(aligned(plane, seen(plane), psf, stretch))[1] <= 0.05
    moved = aligned(plane, seen(plane, 1, MOTIONS[0]), psf, stretch)
    assert errors(moved, 1, MOTIONS[0])[1] <= 0.15 or (moved.notes and not moved.applied[1])


@pytest.mark.parametrize("seed", [1, 3, 8])
def test_another_scene_is_not_aligned_and_is_named(plane, seed):
    other = simulate_capture("aperture-pair", scene="plane", size=SIZE, seed=seed, registered=True)
    found = aligned(plane, np.stack([seen(plane)[0], seen(other)[1]]))
    assert found.aligned.tolist() == [True, False] and not found.applied.any()
    assert len(found.notes) == 1 and found.notes[0].startswith("frame 1: could not be aligned")


def test_frames_without_texture_stay_and_the_user_is_told(plane, rng):
    images = (0.4 + 0.005 * rng.standard_normal((2, *INNER))).astype(np.float32)
    found = aligned(plane, images)
    assert not found.applied.any() and np.array_equal(found.matrices, np.stack([np.eye(3)] * 2))
    assert len(found.notes) == 1 and found.notes[0].startswith("frame 1: ")


def test_brightness_and_missing_pixels_do_not_move_a_pair(plane):
    images = seen(plane, 1, MOTIONS[0])
    images[1] *= np.float32(0.4)
    images[1][:40, :60] = np.nan
    assert errors(aligned(plane, images), 1, MOTIONS[0])[1] <= 0.15


def test_trial_depths_of_a_pair_with_one_focus_lie_on_one_side_and_reach_the_largest_blur():
    lenses = [ThinLens.focused_at(0.6, focal_length=0.05, f_number=number, pixel_pitch=12e-6) for number in (4, 11)]
    optics = [prepare.Optics(lens, Psf()) for lens in lenses]
    depths = trial_depths(*optics, (151, 227))
    assert (np.diff(depths) > 0).all() and depths[0] == pytest.approx(lenses[0].focus)
    blurs = lenses[0].coc(depths)
    assert blurs[-1] == pytest.approx(0.3 * 151, abs=0.1)
    assert np.diff(blurs).max() <= 0.7 + 0.12 * blurs[-1] / 2 + 0.01


def test_counts_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="must fit 1 frames"):
        prepare.align_views([np.zeros(INNER, np.float32)], [prepare.pyramid(np.zeros(INNER, np.float32), frames=1)], [],
                            reference=0, initial=[np.eye(3)])


@pytest.mark.parametrize("kind", ["aperture-pair", "views"])
def test_a_displaced_frame_of_files_is_registered_by_a_run(kind, tmp_path):
    simulation = simulate_capture(kind, scene="plane", size=SIZE)
    write_simulation(simulation, tmp_path / "in", format="npy")
    source = open_source(tmp_path / "in")
    path = source.frames[1].path
    image, true = np.load(path), similarity(**MOTIONS[0], shape=SIZE)
    moved = imaging.warp(image.astype(np.float32), np.linalg.inv(true))
    np.save(path, np.where(np.isfinite(moved), moved, image).astype(image.dtype))
    prepared = prepare_capture(source)
    predicted = prepare.predicted_breathing(simulation.lenses, simulation.reference, SIZE)
    assert prepared.kept == tuple(range(len(predicted)))
    for k, matrix in enumerate(prepared.matrices):
        assert corner_error(matrix, predicted[k] if k != 1 else true @ predicted[k], SIZE) <= 0.15
    assert prepared.transforms[1]["applied"] and prepared.transforms[1]["aligned"]
    if kind == "aperture-pair":
        assert call(app, ["depth", str(tmp_path / "in"), "-o", str(tmp_path / "out")], name="dfd") == 0
        tables = json.loads((tmp_path / "out" / "transforms.json").read_text(encoding="utf-8"))["frames"]
        assert tables[1]["matrix"] == prepared.transforms[1]["matrix"]
