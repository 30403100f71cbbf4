"""Known depths turn disparities into metres: the line through them, its uncertainty, and what is refused."""

import numpy as np
import pytest

from dfd.anchors import KnownDepth, anchored, disagreements
from dfd.depthmap import DepthMap

SHAPE, RATE, FOCUS = (60, 90), 1.4, 1.024
"""px, px/dioptre and dioptre of the DP119 flats: zero disparity at 0.977 m."""


def scene():
    """(inverse depth [dioptre]) of two boards, the nearer one on the left."""
    return np.where(np.arange(SHAPE[1]) < 45, 1 / 0.6, 1 / 1.5) * np.ones(SHAPE)


def disparities(inverse=None, *, sigma=0.01, rate=RATE):
    inverse = scene() if inverse is None else inverse
    noise = np.random.default_rng(5).normal(0, sigma, inverse.shape)
    return DepthMap((rate * (inverse - FOCUS) + noise).astype(np.float32), np.full(SHAPE, sigma, np.float32), "affine", "x")


NEAR, FAR = KnownDepth(20, 30, 0.6), KnownDepth(70, 30, 1.5)


def test_two_known_depths_make_metres():
    found, told = anchored(disparities(), [NEAR, FAR])
    assert found.scale == "metric" and found.values.dtype == np.float32 and told == ()
    assert np.median(np.abs(found.values - scene())) < 0.01 / RATE  # dioptre
    assert np.abs(np.median(found.values[:, :40]) - 1 / 0.6) < 0.003


def test_sigma_grows_away_from_the_known_depths():
    far = scene().copy()
    far[50:] = 6.0  # dioptre, far outside 0.67 to 1.67
    found, _ = anchored(disparities(far), [NEAR, FAR])
    inside, outside = np.median(found.sigma[:45]), np.median(found.sigma[50:])
    assert inside == pytest.approx(0.01 / RATE, rel=0.3) and outside > 2 * inside


@pytest.mark.parametrize("seed", range(3))
def test_three_places_are_joined_by_least_squares_and_a_wrong_one_is_told(seed):
    wrong = KnownDepth(70, 10, 1.1)
    _, told = anchored(disparities(), [NEAR, KnownDepth(20, 50, 0.6), FAR, KnownDepth(70, 50, 1.5), wrong])
    assert any("(70, 10) px (1.1 m) lies" in text for text in told)
    found, told = anchored(disparities(), [NEAR, KnownDepth(20, 50, 0.6), FAR])
    assert told == () and np.median(np.abs(found.values - scene())) < 0.01 / RATE


def test_exchanged_views_give_the_same_depth_and_a_sentence():
    found, told = anchored(disparities(rate=-RATE), [NEAR, FAR])
    assert np.median(np.abs(found.values - scene())) < 0.01 / RATE and "--swap" in told[0]


def test_places_are_of_the_full_picture_where_the_map_is_reduced():
    found, _ = anchored(disparities(), [KnownDepth(60, 90, 0.6), KnownDepth(210, 90, 1.5)], reduction=3)
    assert np.median(np.abs(found.values - scene())) < 0.01 / RATE


def test_a_metric_map_that_misses_a_known_depth_is_told():
    found, _ = anchored(disparities(), [NEAR, FAR])
    assert disagreements(found, [NEAR, FAR]) == ()
    assert "is 0.9 m, the map says 1.5" in disagreements(found, [KnownDepth(70, 30, 0.9)])[0]


def test_a_metric_map_that_cannot_be_compared_is_no_failure():
    found, _ = anchored(disparities(), [NEAR, FAR])
    assert "nothing is known there" in disagreements(found.keep(np.zeros(SHAPE, bool)), [NEAR])[0]
    beyond = DepthMap(np.zeros(SHAPE, np.float32), found.sigma, "metric", "x")
    assert "the map says it lies beyond infinity" in disagreements(beyond, [NEAR])[0]


@pytest.mark.parametrize(("known", "expected"), [
    ([NEAR], "1 known depth cannot fix"),
    ([NEAR, KnownDepth(25, 30, 0.6)], "all 2 known depths are 0.6 m"),
    ([NEAR, KnownDepth(25, 30, 1.5)], "do not differ in disparity"),
    ([NEAR, KnownDepth(90, 30, 1.5)], r"\(90, 30\) px lies outside the picture of 90 x 60 px"),
])
def test_known_depths_that_cannot_serve_are_refused(known, expected):
    with pytest.raises(ValueError, match=expected):
        anchored(disparities(), known)


def test_a_place_without_texture_is_refused_by_name():
    result = disparities()
    with pytest.raises(ValueError, match=r"\(70, 30\) px: nothing is known there \(0 pixels within 8 px"):
        anchored(result.keep(np.arange(90) * np.ones(SHAPE) < 50), [NEAR, FAR])


@pytest.mark.parametrize(("field", "value"), [
    ("depth", 0.0), ("depth", -1.0), ("depth", np.nan), ("radius", 0.5), ("x", np.nan)])
def test_numbers_that_cannot_be_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}_"):
        KnownDepth(**({"x": 1.0, "y": 1.0, "depth": 1.0} | {field: value}))
