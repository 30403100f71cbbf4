"""A dual-pixel map mirrored at focus is told where the scene shows it: beyond infinity, or farther where it is lower."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import shared_data

from dfd.capture import DualPixelPair, View
from dfd.depthmap import DepthMap
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.pipeline import estimate_depth, read_capture
from dfd.psf import Psf
from dfd.solvers.pair_signs import remarks

SHAPE = (90, 140)
LENS = ThinLens.focused_at(1.0, focal_length=0.05, f_number=4.0, pixel_pitch=12e-6)
NOISE = Noise(20000, 3.0)


def pair(scale="metric", orientation=1, shape=SHAPE):
    made = [View(LENS if scale == "metric" else None, Psf(model), NOISE) for model in ("half-left", "half-right")]
    return DualPixelPair(np.zeros((2, *shape), np.float32), made, scale, 0.42 if scale == "metric" else None,
                         orientation=orientation)


def depth(values, sigma=0.01, scale="metric"):
    return DepthMap(values.astype(np.float32), np.full(values.shape, sigma, np.float32), scale, "test")


def floor(low, high):
    """Rises downwards from low to high."""
    return np.broadcast_to(np.linspace(low, high, SHAPE[0])[:, None], SHAPE)


def test_a_floor_is_silent_and_its_mirror_image_told():
    assert remarks(pair(), depth(floor(0.6, 1.6))) == ()
    told = remarks(pair(), depth(floor(1.4, 0.4)))
    assert len(told) == 1 and "lower part of the picture comes out clearly farther" in told[0] and "--swap" in told[0]


def test_a_scene_of_hardly_any_depth_tells_nothing():
    rate = pair().disparity_rate
    assert remarks(pair(), depth(floor(1.0 + 0.25 / rate, 1.0 - 0.25 / rate))) == ()  # 0.45 px of disparity
    assert remarks(pair(), depth(floor(1.0 + 0.6 / rate, 1.0 - 0.6 / rate))) != ()
    assert remarks(pair("affine"), depth(floor(0.25, -0.25), scale="affine")) == ()
    assert remarks(pair("affine"), depth(floor(0.6, -0.6), scale="affine")) != ()


@pytest.mark.parametrize(("orientation", "turn"), [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (4, lambda a: a[::-1]),
                                                   (6, lambda a: np.rot90(a)), (8, lambda a: np.rot90(a, -1))])
def test_down_is_where_the_scene_has_it(orientation, turn):
    """turn: how an upright picture stands in the file of that EXIF orientation."""
    good, bad = (turn(floor(*ends)) for ends in ((0.6, 1.6), (1.6, 0.6)))
    assert remarks(pair(orientation=orientation, shape=good.shape), depth(good)) == ()
    assert len(remarks(pair(orientation=orientation, shape=good.shape), depth(bad))) == 1


def test_points_beyond_infinity_are_told_with_their_share():
    values = np.full(SHAPE, 0.5)
    values[:, :42] = -0.3
    told = remarks(pair(), depth(values))
    assert len(told) == 1 and told[0].startswith("30% of the known pixels come out beyond infinity by more than 2 sigma")
    assert remarks(pair(), depth(values, sigma=0.2)) == ()  # within what noise does to a far scene
    values[:, 4:42] = 0.5
    assert len(remarks(pair(), depth(values))) == 1  # 3 %
    values[:, 2:42] = 0.5
    assert remarks(pair(), depth(values)) == ()  # 1.4 %


def test_noise_of_a_scene_at_infinity_tells_nothing(rng):
    assert remarks(pair(), depth(0.01 * rng.standard_normal(SHAPE))) == ()


def test_what_is_unknown_or_uncertain_does_not_count():
    values = floor(1.4, 0.4).copy()
    unknown = depth(np.full(SHAPE, np.nan))
    assert remarks(pair(), unknown) == ()
    values[-23:] = np.nan  # the lowest quarter
    assert remarks(pair(), depth(values)) == ()
    far = np.full(SHAPE, 0.5)
    far[:, :42] = -0.3
    sigma = np.where(far < 0, np.float32(0.16), np.float32(0.01))  # beyond infinity by less than 2 sigma
    assert remarks(pair(), replace(depth(far), sigma=sigma)) == ()
    sigma = np.where(far < 0, np.float32(0.1), np.float32(0.01))  # by more, however little is known otherwise
    assert len(remarks(pair(), replace(depth(far), sigma=sigma))) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("folder", ["casual/iphone/001", "casual/orbbec/002", "casual/orbbec/003"])
def test_real_scenes_are_silent_and_told_when_exchanged(folder):
    inputs = shared_data("dp/sdirt_dp119_sample/real_sample_set") / folder
    for swap in (False, True):
        capture = read_capture(inputs, swap=swap)
        assert bool(remarks(capture, estimate_depth(capture))) is swap
