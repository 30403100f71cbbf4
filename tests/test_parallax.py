"""Parallax: near and far parts displaced against each other are told in pixels; what a map undoes is not parallax."""

import numpy as np
import pytest
from textures import blurred, texture

from dfd import imaging, prepare
from dfd.prepare.motions import at_level
from dfd.prepare.parallax import parallax_note
from dfd.psf import Psf

SHAPE = (420, 586)


def shift(right, down):
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def two_planes(rng, displacements, *, noise=0.003):
    """Frames of a far scene and, in the middle third of the columns, a near one displaced by (right, down) px in each."""
    far, near = (texture((SHAPE[0] + 60, SHAPE[1] + 60), rng) for _ in range(2))
    frames = []
    for k, (right, down) in enumerate(displacements):
        parts = [blurred(scene, 0.4 + abs(k - len(displacements) // 2), Psf("disk", 0.6)).astype(np.float32)
                 for scene in (far, near)]
        frame = parts[0][30:-30, 30:-30].copy()
        moved = imaging.warp(parts[1], shift(30 - right, 30 - down), shape=SHAPE)
        frame[:, 190:390] = moved[:, 190:390]
        frames.append(frame + noise * rng.standard_normal(SHAPE).astype(np.float32))
    return frames


@pytest.mark.parametrize(("step", "direction", "error"), [
    (1.0, (0.6, 0.8), 0.3), (2.0, (1.0, 0.0), 0.6), (4.0, (0.0, -1.0), 1.6)])  # px; the last is what 1/8 of the size tells
def test_the_displacement_of_near_against_far_is_found_in_px(step, direction, error, rng):
    places = step * np.arange(-2, 3)
    found = prepare.align(two_planes(rng, places[:, None] * np.array(direction)), reference=2)
    assert found.aligned.all()
    np.testing.assert_allclose(found.parallax_px, np.abs(places), atol=error)
    assert found.parallax_px[2] == 0 and len(found.notes) == 1
    assert f"displaced by {np.nanmax(found.parallax_px):.1f} px" in found.notes[0] and "4 of 5 frames" in found.notes[0]


def test_two_planes_that_stay_have_none(rng):
    found = prepare.align(two_planes(rng, np.zeros((5, 2))), reference=2)
    assert np.nanmax(found.parallax_px) < 0.2 and found.notes == ()  # px


def test_the_sentence_counts_only_what_is_known_and_too_large():
    assert parallax_note(np.array([0.9, np.nan, 0.0]), 1) == ()
    note, = parallax_note(np.array([1.3, np.nan, 0.0, 7.2]), 1)
    assert note.startswith("frame 3: ") and "7.2 px" in note and "1.0 px in 2 of 4" in note
    assert parallax_note(np.array([1.3, 0.0]), 4) == ()  # measured on a plane of a quarter of the size


def test_a_map_of_px_is_the_same_map_on_reduced_images(rng):
    matrix = np.array([[1.02, 0.03, 5.0], [-0.01, 0.97, -7.0], [1e-5, -2e-5, 1.0]])
    for factor in (2, 5):
        x, y = rng.uniform(0, 200, (2, 50))
        full = matrix @ [(x + 0.5) * factor - 0.5, (y + 0.5) * factor - 0.5, np.ones(50)]
        small = at_level(matrix, factor) @ [x, y, np.ones(50)]
        np.testing.assert_allclose(small[:2] / small[2], (full[:2] / full[2] + 0.5) / factor - 0.5, atol=1e-9)
