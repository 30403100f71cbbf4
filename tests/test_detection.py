"""The target in frames with exact truth: found to a few hundredths of a pixel, followed into blur, refused when absent."""

import math

import numpy as np
import pytest
from boardshots import BOARD, placed, shot

from calibration.target.detection import find_board, follow_board
from calibration.target.pose import Mapping

EVERY = len(BOARD.corners) + len(BOARD.dots)
SQUARE = 62.0


def rms(view, truth):
    return math.sqrt(((view.found - truth.project(view.points)) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("share", [0.0, 0.03, 0.06, 0.12, 0.25, 0.38, 0.5])
def test_every_corner_and_dot_is_found_to_05_px_up_to_half_a_square_of_blur(share):
    truth, _, _ = placed(square=SQUARE)
    view = find_board(shot(truth, share * SQUARE), BOARD)
    assert len(view.points) == EVERY and view.missing == 0
    assert rms(view, truth) < 0.05
    assert view.rms == pytest.approx(rms(view, truth), abs=0.02)
    assert share == 0 or view.coc == pytest.approx(share * SQUARE, abs=0.6)


@pytest.mark.parametrize("share", [0.12, 0.3, 0.5, 0.75, 1.0])
def test_corners_alone_are_followed_to_035_px_per_axis_up_to_one_square_of_blur(share):
    truth, _, _ = placed(square=SQUARE)
    view = follow_board(shot(truth, share * SQUARE, seed=1), BOARD, truth.matrix, coc=0.8 * share * SQUARE)
    corners = (view.points[:, None] == BOARD.corners).all(axis=2).any(axis=1)
    assert corners.sum() == len(BOARD.corners)
    away = (view.found - truth.project(view.points))[corners]
    assert math.sqrt((away**2).mean()) <= 0.035


@pytest.mark.parametrize("coc", [0.0, 5.0, 12.0, 25.0, 40.0])
def test_the_scale_is_right_to_5e5_from_a_start_that_is_4_px_and_2_percent_off(coc):
    truth, scale, tilt = placed(square=SQUARE)
    for grow, right, down in ((1.02, 4.0, -4.0), (0.98, -4.0, 4.0)):
        x, y = truth.centre
        wrong = np.array([[grow, 0, right + (1 - grow) * x], [0, grow, down + (1 - grow) * y], [0, 0, 1]]) @ truth.matrix
        view = follow_board(shot(truth, coc, seed=2), BOARD, wrong, coc=1.5 * coc)
        found, sigma, lean = view.pose(5000.0)
        assert found / scale == pytest.approx(1, abs=5e-5)
        assert abs(found - scale) < 4 * sigma < 4e-4 * scale
        assert lean == pytest.approx(tilt, abs=0.002)


def test_a_focal_length_10_percent_off_moves_the_scale_of_a_leaning_board_by_less_than_1e4():
    truth, scale, _ = placed(square=SQUARE, tilt=(0.03, 0.02))
    view = follow_board(shot(truth, 6.0), BOARD, truth.matrix, coc=6.0)
    assert view.pose(5500.0)[0] / view.pose(5000.0)[0] == pytest.approx(1, abs=1e-4)
    assert view.pose(5000.0)[0] / scale == pytest.approx(1, abs=5e-5)


def test_sigma_of_the_scale_is_honest():
    truth, scale, _ = placed(square=SQUARE)
    pulls = []
    for seed in range(16):
        found, sigma, _ = follow_board(shot(truth, 20.0, seed=seed), BOARD, truth.matrix, coc=20.0).pose(5000.0)
        pulls.append((found - scale) / sigma)
    assert 0.5 < float(np.sqrt(np.mean(np.square(pulls)))) < 1.7


def test_depth_that_grows_to_the_right_is_a_positive_tilt():
    truth, _, _ = placed(square=SQUARE, tilt=(0.05, 0.0), slant=0.0)
    lean = find_board(shot(truth, 2.0), BOARD).pose(5000.0)[2]
    assert lean == pytest.approx([0.05, 0.0], abs=0.002)
    left, right = truth.project(np.array([[-0.1, -0.06], [-0.1, 0.06], [0.1, -0.06], [0.1, 0.06]])).reshape(2, 2, 2)
    assert np.ptp(right[:, 1]) < np.ptp(left[:, 1])


def test_a_board_that_hangs_upside_down_is_found_where_it_is():
    truth, _, _ = placed(square=SQUARE, slant=math.pi + BOARD.slant)
    for coc in (1.0, 18.0):
        assert rms(find_board(shot(truth, coc), BOARD), truth) < 0.05


@pytest.mark.parametrize("coc", [0.0, 12.0, 25.0])
def test_a_mirrored_board_is_refused(coc):
    truth, _, _ = placed(square=SQUARE)
    with pytest.raises(ValueError, match=r"\d+ of 22 markers read, 2 needed"):
        find_board(shot(truth, coc)[:, ::-1], BOARD)


def test_a_sharp_mirrored_board_is_called_so():
    truth, _, _ = placed(square=SQUARE)
    with pytest.raises(ValueError, match="mirrored"):
        find_board(shot(truth, 0.0)[:, ::-1], BOARD)


def test_a_dark_frame_and_a_blurred_one_are_told_apart():
    truth, _, _ = placed(square=SQUARE)
    with pytest.raises(ValueError, match="too dark"):
        find_board(shot(truth, 0.0) * 0 + 0.001, BOARD)
    with pytest.raises(ValueError, match="too blurred"):
        find_board(shot(truth, 1.8 * SQUARE), BOARD)


@pytest.mark.parametrize("coc", [2.0, 30.0])
def test_a_board_that_is_not_there_is_lost(coc):
    truth, _, _ = placed(square=SQUARE)
    frame = shot(truth, coc)
    rng = np.random.default_rng(5)
    for other in (0.5 + 0.05 * rng.normal(size=frame.shape), np.roll(frame, 31, axis=1), 1 - frame):
        with pytest.raises(ValueError, match="board lost"):
            follow_board(other.astype(np.float32), BOARD, truth.matrix, coc=coc)


def test_distortion_is_fitted_where_it_shows_and_only_there():
    bent, scale, _ = placed(square=SQUARE, k1=-0.01)
    view = find_board(shot(bent, 3.0), BOARD)
    assert view.mapping.k1 == pytest.approx(-0.01, abs=5e-4)
    assert view.pose(5000.0)[0] / scale == pytest.approx(1, abs=1e-4)
    straight, _, _ = placed(square=SQUARE)
    assert find_board(shot(straight, 3.0), BOARD).mapping.k1 == 0


@pytest.mark.parametrize("coc", [3.0, 30.0])
def test_light_that_falls_off_does_not_pull_the_dots(coc):
    truth, scale, _ = placed(square=SQUARE)
    y, x = np.mgrid[:470, :641]
    light = 1 - 0.5 * ((x - 320) ** 2 + (y - 235) ** 2) / 400**2
    view = follow_board(shot(truth, coc, light=light, noise=0.003), BOARD, truth.matrix, coc=coc)
    assert rms(view, truth) < 0.05
    assert view.pose(5000.0)[0] / scale == pytest.approx(1, abs=5e-5)


def test_what_is_covered_is_left_out_and_the_rest_stays_right():
    truth, _, _ = placed(square=SQUARE)
    frame = shot(truth, 6.0)
    frame[150:300, 200:330] = 0.4
    view = follow_board(frame, BOARD, truth.matrix, coc=6.0)
    assert view.missing >= 3
    assert rms(view, truth) < 0.05
    assert np.abs(view.project(BOARD.corners) - truth.project(BOARD.corners)).max() < 0.05


def test_places_of_unknown_pixels_are_left_out():
    truth, _, _ = placed(square=SQUARE)
    frame = shot(truth, 6.0)
    frame[150:220, 200:280] = np.nan
    view = follow_board(frame, BOARD, truth.matrix, coc=6.0)
    assert view.missing >= 1 and rms(view, truth) < 0.05


def test_a_frame_is_not_written_to():
    truth, _, _ = placed(square=SQUARE)
    frame = shot(truth, 2.0)
    frame.flags.writeable = False
    find_board(frame, BOARD)


def test_a_mapping_goes_there_and_back_and_reduces_by_whole_pixels():
    truth, _, _ = placed(square=SQUARE, k1=0.02)
    assert truth.unproject(truth.project(BOARD.dots)) == pytest.approx(BOARD.dots, abs=1e-8)
    assert truth.reduced(3).project(BOARD.dots) == pytest.approx((truth.project(BOARD.dots) + 0.5) / 3 - 0.5, abs=1e-9)
    assert isinstance(truth.reduced(3), Mapping)


def test_wrong_input_is_told():
    truth, _, _ = placed(square=SQUARE)
    with pytest.raises(ValueError, match=r"shape \(4, 4, 3\)"):
        find_board(np.zeros((4, 4, 3)), BOARD)
    with pytest.raises(ValueError, match="coc"):
        follow_board(np.zeros((470, 641)), BOARD, truth.matrix, coc=-2.0)
    with pytest.raises(ValueError, match="fx"):
        find_board(shot(truth, 1.0), BOARD).pose(0.0)
