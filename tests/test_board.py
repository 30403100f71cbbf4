"""The target's geometry: colours, ids, what edges show on either hand, and area coverage that is exact."""

import math

import numpy as np
import pytest

from calibration.target.board import BOARDS, CELLS, DOT, MARKER, NOISE, Board, marker_modules

BOARD = BOARDS["a4"]
ODD = Board("odd", 5, 4, 0.01, 0.1, (0.1, 0.08))


def shown(board, x, y):
    """1 = white, 0 = black at places [m], from the words of the module alone."""
    column, row = x / board.square + board.columns / 2, y / board.square + board.rows / 2
    if not (0 <= column < board.columns and 0 <= row < board.rows):
        return 1.0
    at = int(row), int(column)
    right, down = column - at[1] - 0.5, row - at[0] - 0.5
    if sum(at) % 2 == 0:
        return float(math.hypot(right, down) < DOT / 2)
    for number, place in board.markers.items():
        if place == at:
            if max(abs(right), abs(down)) >= MARKER / 2:
                return 1.0
            return float(marker_modules(number)[int((down / MARKER + 0.5) * 6), int((right / MARKER + 0.5) * 6)])
    if max(abs(right), abs(down)) >= NOISE / 2:
        return 1.0
    return float(board.cells[int(row * CELLS), int(column * CELLS)])


@pytest.mark.parametrize("board", [BOARD, ODD])
def test_the_board_shows_what_its_words_say(board):
    rng = np.random.default_rng(0)
    width, height = board.size
    x, y = rng.uniform(-0.55 * width, 0.55 * width, 4000), rng.uniform(-0.55 * height, 0.55 * height, 4000)
    size = board.square / CELLS
    tiny = 0.01 * size
    within = np.abs(np.stack([x, y]) / size % 1 - 0.5).max(axis=0) < 0.48  # of a cell, none of whose sides is touched
    from_dots = np.hypot(x[:, None] - board.dots[:, 0], y[:, None] - board.dots[:, 1]).min(axis=1)
    rim = np.abs(from_dots - board.dot_diameter / 2) > 2 * tiny
    expected = np.array([shown(board, *place) for place in zip(x, y, strict=True)])
    assert (within & rim).sum() > 3000
    assert board.reflectance(x, y, tiny)[within & rim] == pytest.approx(expected[within & rim], abs=1e-5)


@pytest.mark.parametrize("half", [0.02, 0.11, 0.4])
def test_the_mean_over_a_square_is_that_of_a_brute_count(half):
    rng = np.random.default_rng(1)
    reach = half * ODD.square
    x, y = rng.uniform(-0.6 * ODD.size[0], 0.6 * ODD.size[0], 30), rng.uniform(-0.6 * ODD.size[1], 0.6 * ODD.size[1], 30)
    grid = (np.arange(40) + 0.5) / 40 * 2 - 1
    for place in zip(x, y, strict=True):
        column, row = place[0] / ODD.square + ODD.columns / 2, place[1] / ODD.square + ODD.rows / 2
        discs = any(max(abs(column - middle[0]), abs(row - middle[1])) < half + DOT / 2
                    for middle in ODD.dots / ODD.square + [ODD.columns / 2, ODD.rows / 2])
        if discs:
            continue  # discs are smoothed, not integrated
        brute = np.mean([[shown(ODD, place[0] + reach * right, place[1] + reach * down) for right in grid]
                         for down in grid])
        assert float(ODD.reflectance(*place, reach)) == pytest.approx(brute, abs=0.03)


def test_cells_are_integrated_without_error():
    size = BOARD.square / CELLS
    rng = np.random.default_rng(2)
    rows, columns = rng.integers(20, BOARD.cells.shape[0] - 20, 200), rng.integers(20, BOARD.cells.shape[1] - 20, 200)
    x, y = (columns - BOARD.columns * CELLS / 2) * size, (rows - BOARD.rows * CELLS / 2) * size
    clear = np.array([np.hypot(*(BOARD.dots - place).T).min() > BOARD.dot_diameter / 2 + 14 * size
                      for place in zip(x, y, strict=True)])
    expected = np.array([BOARD.cells[row - 7:row + 7, column - 7:column + 7].mean()
                         for row, column in zip(rows, columns, strict=True)])
    assert clear.sum() > 100
    assert BOARD.reflectance(x, y, 7 * size)[clear] == pytest.approx(expected[clear], abs=1e-10)


def test_white_and_black_are_where_they_are_asked_for():
    sheet = BOARD.reflectance(np.array([10.0]), np.array([0.0]), 1e-4, white=0.8, black=0.05)
    black = BOARD.reflectance(*(BOARD.dots[:1].T + 0.4 * BOARD.square), 1e-5, white=0.8, black=0.05)
    assert (sheet[0], black[0]) == pytest.approx((0.8, 0.05), abs=1e-12)


def test_edges_show_black_on_the_right_hand_and_nothing_else_within_3_tenths_of_a_square():
    assert len(BOARD.edges) > 60
    for start, end in BOARD.edges:
        along = (end - start) / np.linalg.norm(end - start)
        assert np.linalg.norm(end - start) == pytest.approx(BOARD.square, abs=1e-12)
        right = np.array([-along[1], along[0]])
        for away in (0.02, 0.15, 0.29):
            for at in (0.1, 0.5, 0.9):
                place = start + at * (end - start)
                assert shown(BOARD, *(place + away * BOARD.square * right)) == 0
                assert shown(BOARD, *(place - away * BOARD.square * right)) == 1


def test_no_edge_touches_noise_and_none_is_listed_twice():
    middles = BOARD.edges.mean(axis=1)
    noise = BOARD.square * (np.array(BOARD.noise_squares)[:, ::-1] + 0.5 - np.array([BOARD.columns, BOARD.rows]) / 2)
    assert np.linalg.norm(middles[:, None] - noise, axis=2).min() > 0.51 * BOARD.square
    assert len(np.unique(np.rint(middles / BOARD.square * 4), axis=0)) == len(middles)


@pytest.mark.parametrize("board", [BOARD, ODD])
def test_markers_decode_to_their_ids_and_lie_in_white_squares(board):
    cv2 = pytest.importorskip("cv2")
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50))
    picture = np.pad(board.cells * np.uint8(255), 60, constant_values=255)
    corners, ids, _ = detector.detectMarkers(picture)
    found = {int(number): corner[0].mean(axis=0) - 60 + 0.5 for number, corner in zip(ids.ravel(), corners, strict=True)}
    assert set(found) == set(board.markers)
    for number, (row, column) in board.markers.items():
        assert not board.black[row, column] and (row, column) not in board.noise_squares
        assert found[number] == pytest.approx([(column + 0.5) * CELLS, (row + 0.5) * CELLS], abs=1.0)


def test_corners_stand_between_four_squares_and_dots_in_black_ones():
    assert BOARD.corners.shape == (40, 2) and BOARD.dots.shape == (27, 2)
    for x, y in BOARD.corners:
        near = 0.05 * BOARD.square
        quarters = [shown(BOARD, x + right * near, y + down * near) for right, down in ((-1, -1), (1, 1), (-1, 1), (1, -1))]
        assert quarters[0] == quarters[1] != quarters[2] == quarters[3]
    for x, y in BOARD.dots:
        assert (shown(BOARD, x, y), shown(BOARD, x + 0.2 * BOARD.square, y)) == (1, 0)


def test_a_board_printed_larger_is_larger_in_everything():
    large = BOARD.scaled(1.002)
    assert large.corners == pytest.approx(1.002 * BOARD.corners, abs=1e-12)
    assert large.size == pytest.approx((1.002 * BOARD.size[0], 1.002 * BOARD.size[1]), abs=1e-12)
    assert (large.cells == BOARD.cells).all()


def test_a_board_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="3 x 3"):
        Board("small", 2, 6, 0.02, 0.1, (0.3, 0.2))
    with pytest.raises(ValueError, match="square"):
        Board("nothing", 9, 6, 0.0, 0.1, (0.3, 0.2))
