"""Densified light fields against scenes in closed form, and against real views that were left out."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import shared_data
from warpscenes import BOX, FAR, NEAR, blurred_texture, box_disparity, box_view, field, grid, plane_view, texture

from dfd.depthmap import DepthMap
from dfd.kernels.warp import forward
from dfd.lightfield.densify import background_filled

SHAPE = (48, 64)


def inner(image, border=12):
    return image[border:-border, border:-border]


def test_a_plane_is_shifted_exactly_where_the_shift_is_whole_px():
    """3 px per step, a third of a step apart: every new view is a copy of pixels."""
    lightfield = field(lambda *place: plane_view(*place, 3.0), SHAPE, 3, np.full(SHAPE, 3.0, np.float32))
    dense = lightfield.densify(9)
    for view, u, v in zip(dense.views, dense.u, dense.v, strict=True):
        np.testing.assert_allclose(inner(view[..., 0]), inner(plane_view(SHAPE, u, v, 3.0)), atol=2e-6)


def test_the_new_views_fill_the_same_pupil():
    lightfield = field(lambda *place: plane_view(*place, 0.4), SHAPE, 3, np.full(SHAPE, 0.4, np.float32), name="plane")
    dense = lightfield.densify(5)
    assert (len(dense), dense.spacing, dense.extent, dense.name) == (25, pytest.approx(0.6), pytest.approx(3.0), "plane")
    assert (dense.u[0], dense.v[1], dense.u[1]) == pytest.approx((-1.2, -1.2, -0.6))
    np.testing.assert_array_equal(dense.central, lightfield.central)
    assert dense.disparity is not None and dense.views.dtype == np.float32


@pytest.mark.parametrize("slope", (0.0, 0.06, -0.06))
def test_a_slanted_plane_between_the_views_is_that_of_the_formula(slope):
    disparity = (0.7 + slope * np.arange(SHAPE[1]) * np.ones(SHAPE)).astype(np.float32)
    lightfield = field(lambda *place: plane_view(*place, 0.7, slope), SHAPE, 3, disparity)
    dense = lightfield.densify(7)
    errors = [np.abs(inner(view[..., 0] - plane_view(SHAPE, u, v, 0.7, slope))).max()
              for view, u, v in zip(dense.views, dense.u, dense.v, strict=True)]
    assert max(errors) < 0.004  # of white: what ten taps make of 0.17 cycles/px


def test_the_wrong_sign_is_far_off():
    """The law L_k(y - d v, x - d u) = L(y, x) is held by its sign, too."""
    lightfield = field(lambda *place: plane_view(*place, 0.7), SHAPE, 3, np.full(SHAPE, 0.7, np.float32))
    dense = lightfield.densify(7, -lightfield.disparity)
    errors = [np.abs(inner(view[..., 0] - plane_view(SHAPE, u, v, 0.7))).max()
              for view, u, v in zip(dense.views, dense.u, dense.v, strict=True)]
    assert max(errors) > 0.04


@pytest.mark.parametrize(("u", "v"), ((1.3, 0.0), (0.0, -0.7), (-1.0, 0.9)))
def test_disparity_is_warped_without_rounding(u, v):
    a, b = 0.7, 0.04
    disparity = (a + b * np.arange(SHAPE[1]) * np.ones(SHAPE)).astype(np.float32)
    found, _ = forward(disparity[None], u, v, 0.5)
    expected = a + b * (np.arange(SHAPE[1]) + a * u) / (1 - b * u)
    np.testing.assert_allclose(inner(found, 6), inner(np.broadcast_to(expected, SHAPE), 6), atol=1e-5)


def test_the_nearer_surface_wins_and_holes_are_background():
    found, owner = forward(box_disparity(SHAPE)[None], 1.5, -0.75, 0.5)
    _, box, clear = box_view(SHAPE, 1.5, -0.75)
    np.testing.assert_array_equal(found[clear & box], NEAR)
    np.testing.assert_array_equal(found[clear & ~box], FAR)
    assert owner.min() == 0


def test_occlusion_is_that_of_the_scene():
    """Also where the reference sees nothing, because the real views on that side do."""
    lightfield = field(box_view_only, SHAPE, 3, box_disparity(SHAPE))
    dense = lightfield.densify(5)
    for view, u, v in zip(dense.views, dense.u, dense.v, strict=True):
        expected, _, clear = box_view(SHAPE, u, v)
        assert np.abs(inner((view[..., 0] - expected) * clear, 4)).max() < 0.03, (u, v)  # ten taps ring at a hard edge


def box_view_only(shape, u, v):
    return box_view(shape, u, v)[0]


def test_a_view_left_out_comes_back():
    full = field(box_view_only, SHAPE, 3, box_disparity(SHAPE))
    keep = np.arange(9) != 5
    sparse = replace(full, views=full.views[keep], u=np.array(full.u)[keep], v=np.array(full.v)[keep])
    dense = sparse.densify(3)
    np.testing.assert_array_equal(dense.views[keep], full.views[keep])
    _, _, clear = box_view(SHAPE, full.u[5], full.v[5])
    assert np.abs(inner((dense.views[5] - full.views[5])[..., 0] * clear, 4)).max() < 0.03


def test_unknown_disparity_is_that_of_the_background_beside_it():
    disparity = box_disparity(SHAPE)
    disparity[20:24, BOX[3] - 3:BOX[3] + 5] = np.nan
    disparity[30] = np.nan
    filled = background_filled(disparity)
    np.testing.assert_array_equal(filled[20:24, BOX[3] - 3:BOX[3] + 5], FAR)
    np.testing.assert_array_equal(filled[30, BOX[2]:BOX[3]], NEAR)
    np.testing.assert_array_equal(filled[30, :BOX[2]], FAR)


def test_a_plane_with_gaps_is_the_plane():
    lightfield = field(lambda *place: plane_view(*place, 0.7), SHAPE, 3, np.full(SHAPE, 0.7, np.float32))
    holed = lightfield.disparity.copy()
    holed[10:20, 15:40], holed[33] = np.nan, np.inf
    np.testing.assert_array_equal(lightfield.densify(5, holed).views, lightfield.densify(5).views)


def test_colours_are_warped_alike():
    lightfield = field(box_view_only, SHAPE, 3, box_disparity(SHAPE))
    colour = replace(lightfield, views=coloured(lightfield.views))
    np.testing.assert_allclose(colour.densify(5).views, coloured(lightfield.densify(5).views), atol=1e-6)


def coloured(grey):
    return np.concatenate([grey, grey * 0.5, 1 - grey], axis=3)


def test_a_given_disparity_makes_the_views_but_is_not_called_known():
    lightfield = field(lambda *place: plane_view(*place, 0.7), SHAPE, 3, None)
    plane = np.full(SHAPE, 0.7, np.float32)
    dense = lightfield.densify(5, DepthMap(plane, np.full_like(plane, 0.1), "affine", "test"))
    assert dense.disparity is None
    np.testing.assert_array_equal(dense.views, lightfield.densify(5, plane).views)


@pytest.mark.parametrize(("count", "error", "message"), (
    (4, ValueError, r"count \(4\).*odd"), (1, ValueError, r"count \(1\).*at least 3"), (5.0, TypeError, "whole number"),
    (99999, ValueError, "GB; at most 16 GB")))
def test_counts_that_no_pupil_has_are_refused(count, error, message):
    lightfield = field(lambda *place: plane_view(*place, 0.7), SHAPE, 3, np.zeros(SHAPE, np.float32))
    with pytest.raises(error, match=message):
        lightfield.densify(count)


@pytest.mark.parametrize(("disparity", "message"), (
    (None, "no disparity.*densify"), (np.zeros((64, 48), np.float32), r"\(48 x 64 px\).*\(64 x 48 px\)"),
    (np.full(SHAPE, np.nan, np.float32), "no finite value"), (np.full(SHAPE, 30, np.float32), "half of the 64 x 48 px"),
    (DepthMap(np.ones(SHAPE, np.float32), np.ones(SHAPE, np.float32), "metric", "test"), "scale metric.*affine")))
def test_disparities_that_cannot_be_warped_are_refused(disparity, message):
    lightfield = field(lambda *place: plane_view(*place, 0.7), SHAPE, 3, None)
    with pytest.raises(ValueError, match=message):
        lightfield.densify(5, disparity)


def test_ghosts_of_a_sparse_light_field_are_gone():
    """Six px per step from focus: three views across leave ghosts, 13 make the disk of 18 px, known wave by wave."""
    shape = (72, 90)
    lightfield = field(lambda *place: plane_view(*place, 6.0), shape, 3, np.full(shape, 6.0, np.float32))
    y, x = np.mgrid[:shape[0], :shape[1]].astype(float)
    exact, contrast = inner(blurred_texture(y, x, 18.0), 26), np.std(texture(y, x))
    sparse, dense = (np.std(inner(found.refocus(0.0), 26) - exact) / contrast
                     for found in (lightfield, lightfield.densify(13)))
    assert sparse > 0.05
    assert dense < 0.005


def read_pfm(path):
    """(H, W) float32 of a little-endian grey PFM, whose rows run from the bottom up."""
    with open(path, "rb") as file:
        assert file.readline().strip() == b"Pf"
        width, height = map(int, file.readline().split())
        assert float(file.readline()) < 0
        return np.fromfile(file, "<f4").reshape(height, width)[::-1].copy()


def test_left_out_views_of_a_real_render_come_back_at_49_db():
    """A part of antinous without the odd views of its centre row, in sRGB; blends of the neighbours reach 41 dB."""
    from dfd.io.images import read_values
    from dfd.lightfield import LightField

    folder = shared_data("lf/hci_antinous")
    part = np.s_[140:340]
    views = np.stack([read_values(folder / f"input_Cam{number:03d}.png")[part] for number in range(81)])
    views, (u, v) = views.astype(np.float32) / 255, grid(9)
    out = (v == 0) & (u % 2 == 1)
    sparse = LightField(views[~out], tuple(u[~out]), tuple(v[~out]), disparity=read_pfm(folder / "gt_disp_lowres.pfm")[part])
    made = sparse.densify(9).views[out]
    assert psnr(made, views[out]).min() > 49.0
    beside = np.flatnonzero(out)
    blend = (views[beside - 1] + views[beside + 1]) / 2
    assert (psnr(made, views[out]) - psnr(blend, views[out])).min() > 7.0


def psnr(made, views):
    """(K,) dB."""
    return -10 * np.log10(np.mean((np.clip(made, 0, 1) - views) ** 2, axis=(1, 2, 3)))


def test_an_oblong_or_even_pupil_is_the_largest_square_about_the_reference():
    """4 rows of 8 views, the reference in row 2, column 4: one view each way but upwards, so 3 x 3."""
    full = field(lambda *place: plane_view(*place, 0.7), SHAPE, 9, np.full(SHAPE, 0.7, np.float32))
    kept = [k for k, (u, v) in enumerate(zip(full.u, full.v, strict=True)) if -2 <= v <= 1 and -4 <= u <= 3]
    dense = replace(full, views=full.views[kept], u=np.take(full.u, kept), v=np.take(full.v, kept)).densify(5)
    assert dense.extent == pytest.approx(3.0) and max(np.abs([dense.u, dense.v]).ravel()) == pytest.approx(1.2)
    for view, u, v in zip(dense.views, dense.u, dense.v, strict=True):
        assert np.abs(inner(view[..., 0] - plane_view(SHAPE, u, v, 0.7))).max() < 0.004
