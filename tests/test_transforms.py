"""Predicted breathing, and transforms.json: what is written comes back, what was edited badly is refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from moving import SHAPE, corner_error, similarity

from dfd import prepare
from dfd.io.record import strict
from dfd.optics import ThinLens
from dfd.prepare.pairs import register_pair


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
