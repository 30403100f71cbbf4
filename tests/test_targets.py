"""The drawn target: vector geometry exact to a millionth of a millimetre, pictures to half a dot, nothing over the grid."""

import math
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from calibration.cli import app
from calibration.target.board import BOARDS, CELLS
from calibration.target.detection import find_board
from calibration.targets import MARGIN, black_rectangles, draw, on_sheet, screen_board, write_target
from dfd.console.run import call as run_command

MM = 25.4 / 72
NUMBER = r"-?\d+(?:\.\d+)?"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Folder with every paper format as PDF and SVG."""
    folder = tmp_path_factory.mktemp("targets")
    for name, board in BOARDS.items():
        for suffix in (".pdf", ".svg"):
            write_target(folder / f"{name}{suffix}", board)
    return folder


def polygons(text, height, *, up):
    """Closed paths of four straight sides (n, 4, 2) in mm, y down, of the commands of a PDF or SVG stream."""
    if up:
        point = rf"({NUMBER}) ({NUMBER})"
        found = re.findall(rf"{point} m\s+{point} l\s+{point} l\s+{point} l\s+h", text)
    else:
        point = rf"({NUMBER}) ({NUMBER})"
        found = re.findall(rf"M {point}\s+L {point}\s+L {point}\s+L {point}\s+z", text)
    points = MM * np.array(found, float).reshape(-1, 4, 2)
    return np.stack([points[..., 0], height - points[..., 1]], axis=-1) if up else points


def black_squares(board):
    """(n, 4, 2) corners of the black squares in mm on the sheet, clockwise from the upper left."""
    half = board.square / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return on_sheet(board, board.dots[:, None] + half)


def streams(path):
    """Every compressed stream of a PDF as text."""
    data = path.read_bytes()
    for found in re.finditer(rb"stream\r?\n(.*?)\nendstream", data, re.S):
        try:
            yield zlib.decompress(found[1]).decode("latin-1")
        except zlib.error:
            continue


def nearest(shapes, goals):
    """Largest distance [mm] of a corner of `goals` from that of the best of `shapes`."""
    return max(np.abs(shapes - goal).max(axis=(1, 2)).min() for goal in goals)


@pytest.mark.parametrize("name", BOARDS)
def test_every_square_of_the_pdf_stands_where_the_board_says_to_1e6_mm(drawn, name):
    board = BOARDS[name]
    data = (drawn / f"{name}.pdf").read_bytes()
    box = [float(value) for value in re.search(rb"/MediaBox \[ ?([^\]]*)\]", data)[1].split()]
    assert MM * np.array(box[2:]) == pytest.approx(1e3 * np.array(board.sheet), abs=1e-6)
    found = polygons(max(streams(drawn / f"{name}.pdf"), key=len), 1e3 * board.sheet[1], up=True)
    assert nearest(found, black_squares(board)) < 1e-6


@pytest.mark.parametrize("name", BOARDS)
def test_every_square_of_the_svg_stands_where_the_board_says_to_1e6_mm(drawn, name):
    board = BOARDS[name]
    text = (drawn / f"{name}.svg").read_text()
    size = re.search(rf'<svg [^>]*?width="({NUMBER})pt" height="({NUMBER})pt" viewBox="0 0 ({NUMBER}) ({NUMBER})"', text)
    if size is None:
        found = {key: re.search(rf'{key}="([^"]*)"', text)[1] for key in ("width", "height", "viewBox")}
        size = [None, found["width"].removesuffix("pt"), found["height"].removesuffix("pt"), *found["viewBox"].split()[2:]]
    assert MM * np.array([size[1], size[2]], float) == pytest.approx(1e3 * np.array(board.sheet), abs=1e-6)
    assert (size[1], size[2]) == (size[3], size[4])
    assert nearest(polygons(text, 1e3 * board.sheet[1], up=False), black_squares(board)) < 1e-6


def test_a_length_on_the_board_is_as_long_on_paper_and_turned_clockwise():
    board = BOARDS["a3"]
    start, end = on_sheet(board, np.array([[0.0, 0.0], [0.1, 0.0]]))
    assert np.linalg.norm(end - start) == pytest.approx(100, abs=1e-9)
    assert math.atan2(*(end - start)[::-1]) == pytest.approx(board.slant, abs=1e-12)


def test_files_stay_small(drawn):
    assert max(path.stat().st_size for path in drawn.iterdir()) < 3e6


def test_rectangles_cover_what_is_black_once():
    cells = np.random.default_rng(0).integers(0, 2, (13, 22))
    count = np.zeros_like(cells)
    for left, top, right, bottom in black_rectangles(cells):
        count[top:bottom, left:right] += 1
    assert (count == 1 - cells).all()


@pytest.mark.parametrize("board", [*BOARDS.values(), screen_board((1920, 1080), 250e-6), screen_board((1280, 720), 200e-6)])
def test_nothing_stands_within_the_margin_or_off_the_sheet(board):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=[1e3 * side / 25.4 for side in board.sheet], dpi=254)
    figure.set_canvas(FigureCanvasAgg(figure))
    draw(figure, board)
    grid, *others = figure.artists
    renderer = figure.canvas.get_renderer()
    room = (np.array(board.size) / 2 + 0.999 * MARGIN * board.square) * 1e3
    turn = np.array([[math.cos(board.slant), -math.sin(board.slant)], [math.sin(board.slant), math.cos(board.slant)]])
    middle = on_sheet(board, np.zeros(2))
    width, height = 1e3 * np.array(board.sheet)
    places = [np.concatenate(bar.get_segments()) for bar in others]
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        x, y = np.meshgrid(np.linspace(box.x0, box.x1, 200) / 10, height - np.linspace(box.y0, box.y1, 50) / 10)
        places.append(np.stack([x.ravel(), y.ravel()], axis=1))
    for place in places:
        assert place.min() > 3 and (place < [width - 3, height - 3]).all()
        assert (np.abs((place - middle) @ turn) > room).any(axis=1).all()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    for index, one in enumerate(boxes):
        assert not any(one.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9)) for other in boxes[index + 1:])
    corners = on_sheet(board, np.concatenate([board.corners, board.dots]))
    assert ((corners > 0) & (corners < [width, height])).all() and grid.get_path().vertices.shape[1] == 2


@pytest.mark.parametrize("board", [*BOARDS.values(), screen_board((1920, 1080), 250e-6)])
def test_type_is_at_least_2_6_mm_high_and_says_what_a_shoot_needs(board):
    from matplotlib.figure import Figure

    figure = Figure(figsize=[1e3 * side / 25.4 for side in board.sheet])
    draw(figure, board)
    assert min(text.get_fontsize() for text in figure.texts) * MM >= 2.6
    said = " ".join(text.get_text() for text in figure.texts)
    if board.name != "screen":
        assert " px" not in said
        for words in ("3 distances at least", "6 frames each at least", "CSV: file,distance_m,focus_coordinate",
                      "docs/lens.md"):
            assert words in said, words


def test_bars_are_100_mm_long(drawn):
    for name in BOARDS:
        text = max(streams(drawn / f"{name}.pdf"), key=len)
        lines = MM * np.array(re.findall(rf"({NUMBER}) ({NUMBER}) m\s+({NUMBER}) ({NUMBER}) l\s+S", text), float)
        along = np.abs(lines[:, 2:] - lines[:, :2])
        for axis in (0, 1):
            assert np.abs(along[:, axis] - 100).min() < 1e-6
            assert (along[along[:, axis] > 99][:, 1 - axis] < 1e-6).all()


def test_the_picture_of_a_screen_holds_every_cell_in_whole_pixels(tmp_path):
    cv2 = pytest.importorskip("cv2")
    board = screen_board((1920, 1080), 250e-6)
    assert board.square == pytest.approx(120 * 250e-6, abs=1e-12)
    write_target(tmp_path / "screen.png", board, dpi=25.4 / 0.25)
    picture = cv2.imread(str(tmp_path / "screen.png"), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (1080, 1920)
    grid = picture[180:900, 420:1500]
    y, x = np.mgrid[:720, :1080]
    black = np.kron(board.black, np.ones((CELLS, CELLS))) > 0
    dots = black & (np.hypot((x + 0.5) % 120 - 60, (y + 0.5) % 120 - 60) < 20)
    assert (grid[~dots] == 255 * board.cells[~dots]).all()
    assert (picture[100:180] == 255).all()


def test_corners_of_a_picture_for_paper_stand_within_half_a_dot(tmp_path):
    cv2 = pytest.importorskip("cv2")
    board = BOARDS["letter"]
    write_target(tmp_path / "letter.png", board, dpi=150)
    picture = cv2.imread(str(tmp_path / "letter.png"), cv2.IMREAD_GRAYSCALE)
    assert picture.shape[::-1] == pytest.approx(np.array(board.sheet) / 0.0254 * 150, abs=1)
    view = find_board(picture / np.float32(255), board)
    assert view.missing == 0
    expected = on_sheet(board, view.points) / 25.4 * 150 - 0.5
    assert np.abs(view.found - expected).max() < 0.5
    assert view.project(board.corners) == pytest.approx(on_sheet(board, board.corners) / 25.4 * 150 - 0.5, abs=0.1)


def test_a_screen_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="24 px are needed"):
        screen_board((320, 160), 250e-6)
    with pytest.raises(ValueError, match="pitch"):
        screen_board((1920, 1080), 0.0)


@pytest.fixture
def call(capsys):
    def called(*arguments):
        code = run_command(app, ["target", *map(str, arguments)], name="dfd-calibrate")
        return code, *capsys.readouterr()

    return called


def test_the_command_says_what_to_check(call, tmp_path):
    code, out, err = call("-o", tmp_path / "board.svg", "--size", "letter")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1 and "24.000 mm" in out and "--board letter --bar MM" in out
    code, out, err = call("-o", tmp_path / "board.png", "--size", "screen", "--pixels", "1280x720", "--pitch", "200")
    assert (code, err) == (0, "")
    assert "grid must measure" in out


@pytest.mark.parametrize(("options", "message"), [
    (("-o", "board.jpg"), "the formats are .pdf, .svg and .png"),
    (("-o", "board"), "without suffix"),
    (("-o", "old.pdf"), "--force"),
    (("-o", "no/board.pdf"), "make it first"),
    (("-o", "s.png", "--size", "screen"), "--pixels"),
    (("-o", "s.png", "--pixels", "100x100"), "--pitch"),
    (("-o", "s.png", "--size", "screen", "--pixels", "10by10", "--pitch", "250"), "WIDTHxHEIGHT"),
    (("-o", "s.png", "--size", "screen", "--pixels", "200x100", "--pitch", "250"), "24 px are needed"),
    (("-o", "s.pdf", "--size", "screen", "--pixels", "1920x1080", "--pitch", "250"), ".png"),
])
def test_a_wrong_call_ends_in_one_line_and_writes_nothing(call, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    Path("old.pdf").write_bytes(b"old")
    code, out, err = call(*options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and message in err
    assert [path.name for path in tmp_path.iterdir()] == ["old.pdf"] and Path("old.pdf").read_bytes() == b"old"


def test_force_replaces(call, tmp_path):
    (tmp_path / "old.pdf").write_bytes(b"old")
    assert call("-o", tmp_path / "old.pdf", "--force")[0] == 0
    assert (tmp_path / "old.pdf").read_bytes().startswith(b"%PDF")
