"""The test of the signs: the stated ones fit, any other is told with its fix; and the light field that it is tested on."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from conftest import shared_data
from lightfolders import SIZE, small

from dfd.io.hci import write_hci
from dfd.io.lightfield import read_light_field
from dfd.lightfield.check import SIGNS, check_signs
from dfd.simulate import light_field_camera, make_scene, simulate_light_field, view_disparity


def turned(field, name):
    """The light field read the wrong way round."""
    right, down = SIGNS[name]
    return replace(field, u=[right * u for u in field.u], v=[down * v for v in field.v])


@pytest.mark.parametrize("name", SIGNS)
def test_the_signs_that_fit_are_found_by_the_known_disparity(name):
    found = check_signs(turned(small(), name))
    assert found.reversed == name and not found.estimated
    assert found.errors[name] < 0.5 * min(error for other, error in found.errors.items() if other != name)
    assert (f"flip={name!r} (--flip {name})" in found.advice) if name else found.advice == ""


@pytest.mark.parametrize("name, told", [("", ""), ("u", "v"), ("v", "v"), ("uv", "")])
def test_without_disparity_u_is_held_against_v(name, told):
    """Both reversed is the same as the disparity reversed: only one against the other can be told."""
    found = check_signs(replace(turned(small(), name), disparity=None))
    assert found.estimated and found.reversed == told and found.errors["u"] is None


def test_nothing_is_told_where_nothing_can_be():
    row = replace(small(), views=small().views[3:6], u=(-1, 0, 1), v=(0, 0, 0), disparity=None)
    assert check_signs(row).reversed == "" and check_signs(row).errors[""] is None
    flat = replace(small(), disparity=np.zeros(SIZE, np.float32))
    assert check_signs(flat).reversed == ""


def test_the_reader_warns_of_wrong_signs_and_flip_mends_them(tmp_path):
    field = small()
    folder = write_hci(replace(field, disparity=-field.disparity), tmp_path / "scene")
    with pytest.warns(UserWarning, match=r"u and v reversed better.*flip='uv' \(--flip uv\) or, where the views"):
        read_light_field(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_light_field(folder, check=False)
        mended = read_light_field(folder, flip="uv")
    assert mended.u[0] == 1 and "uv reversed as asked" in mended.convention
    with pytest.raises(ValueError, match=r"flip \('x'\) must be u, v or uv"):
        read_light_field(folder, flip="x")


def test_antinous_has_the_errors_of_the_reference_page():
    """Mean absolute error of warped views: right .006 to .011, wrong .03 to .04, each within 20 %."""
    found = check_signs(read_light_field(shared_data("lf/hci_antinous"), check=False)).errors
    assert 0.8 * 0.006 < found[""] < 1.2 * 0.011
    assert all(0.8 * 0.03 < error < 1.2 * 0.04 for name, error in found.items() if name)


def test_every_view_sees_the_exact_disparity_of_its_own_pixels():
    """What one view sees at d lies d (u, v) steps away in the reference; a plane has one disparity in every view."""
    camera = light_field_camera(reach=1.5)
    world = make_scene("plane", nearest=0.55, farthest=0.98, shape=SIZE, fx=camera.fx)
    for u, v in ((0, 0), (1, -1), (4, 3)):
        assert np.ptp(view_disparity(world, camera, SIZE, u=u, v=v)) < 1e-5
    world = make_scene("slant", nearest=0.55, farthest=0.98, shape=SIZE, fx=camera.fx)
    middle, other = view_disparity(world, camera, SIZE), view_disparity(world, camera, SIZE, u=2.0, v=-1.0)
    slope_y, slope_x = (float(np.median(np.diff(middle, axis=axis))) for axis in (0, 1))
    rows = np.mgrid[:SIZE[0], :SIZE[1]][0]
    expected = (middle + slope_y * (-1.0) * other + slope_x * 2.0 * other)  # middle at (y + v d, x + u d): it is a plane
    assert np.abs(expected - other)[rows > 2].max() < 1e-3


def test_a_nearer_point_lies_further_left_in_a_view_further_right():
    """L(y - d v, x - d u) = L_reference(y, x) on every pixel that both see: what remains is what occlusion hides."""
    field = simulate_light_field("slant", size=SIZE, views=(3, 5), reach=1.5)
    rows, columns = np.mgrid[3:SIZE[0] - 3, 4:SIZE[1] - 4].astype(float)
    d = field.disparity[3:-3, 4:-4]
    from scipy.ndimage import map_coordinates

    reference = field.grey[field.reference][3:-3, 4:-4]
    for u, v, view in zip(field.u, field.v, field.grey, strict=True):
        right = map_coordinates(view, [rows - d * v, columns - d * u], order=3)
        wrong = map_coordinates(view, [rows + d * v, columns + d * u], order=3)
        error = np.abs(right - reference).mean()
        assert error < 0.02 and (u == v == 0 or error < 0.5 * np.abs(wrong - reference).mean())


def test_views_and_disparity_are_seeded_and_cover_the_range():
    again = simulate_light_field("demo", size=SIZE, views=3, reach=1.5)
    assert np.array_equal(again.views, small().views)
    assert not np.array_equal(simulate_light_field("demo", size=SIZE, views=3, reach=1.5, seed=1).views, again.views)
    low, high = again.disparity_range
    assert -1.5 <= low < -0.8 and 0.8 < high <= 1.5
    assert again.truth.depth.min() >= 0.55 and again.truth.depth.max() <= 0.98
    assert again.views.min() >= 0 and again.views.max() <= 1


@pytest.mark.parametrize("options, words", [
    ({"views": 4}, r"views \(4 x 4\) must be odd"), ({"views": (3, 35)}, "at most 33"),
    ({"scene": "moon"}, "must be one of"),
    ({"nearest": 1.0}, "must be 0 < nearest < farthest"), ({"reach": 0}, r"reach \(0 px per view step\) must be positive")])
def test_light_fields_that_cannot_be_simulated(options, words):
    with pytest.raises(ValueError, match=words):
        simulate_light_field(size=SIZE, **options)


def test_the_hci_layout_has_no_place_for_other_grids(tmp_path):
    field = small()
    with pytest.raises(ValueError, match="fill no grid in whole steps"):
        write_hci(replace(field, views=field.views[:-1], u=field.u[:-1], v=field.v[:-1]), tmp_path / "a")
    with pytest.raises(ValueError, match="without camera"):
        write_hci(replace(field, camera=None), tmp_path / "a")
    with pytest.raises(ValueError, match="must lie before infinity"):
        write_hci(replace(field, camera=replace(field.camera, focus=-0.1), disparity=field.disparity + 4), tmp_path / "a")
    with pytest.raises(ValueError, match=r"bits \(12\)"):
        write_hci(field, tmp_path / "a", bits=12)
    assert not (tmp_path / "a").exists()
