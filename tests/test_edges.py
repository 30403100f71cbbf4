"""Blur of the edges of the board: bias, scatter and honesty of its sigma on images made without the edge profile."""

import math
import time

import numpy as np
import pytest
from edgescenes import Scene, exposed, view
from scipy.special import j1, jv

from calibration.edges.esf import EdgeProfile
from calibration.edges.fit import EdgePixels, Fall, find_edge, fit_edge
from calibration.edges.measure import FLOOR, measure_edges
from calibration.target.board import SLANT, Board
from dfd.noise import Noise

CORE = 0.7
SMALL = Board("small", 6, 4, 0.024, SLANT, (0.2, 0.15))
GREEN = np.array([[False, True], [True, False]])
NOISE = Noise(25000.0, 3.0)  # 20 000 electrons at the white of the board, which reflects .8


def small_scene(*, square=90, angle=SLANT, shape=(470, 640), **options):
    """A board of 6 x 4 squares."""
    matrix = view(SMALL, square, shape, angle=angle, shift=(0.37, -0.21), perspective=(0.02, -0.015))
    return Scene(SMALL, matrix, shape, **options)


@pytest.fixture(scope="module")
def small():
    return small_scene()


@pytest.fixture(scope="module")
def large():
    """180 px per square: room for a region of 60 x 90 px and more at any blur up to 40 px."""
    return small_scene(square=180, shape=(880, 1230))


def measured(scene, coc, rng, *, guess=None, repeats=1, **options):
    """Deviations from `coc` [px] and sigmas of every good edge of `repeats` exposures."""
    image = scene.render(coc, CORE) if np.isscalar(coc) else coc
    truth = coc if np.isscalar(coc) else options.pop("truth")
    options = {"noise": NOISE, **options}
    deviations, sigmas = [], []
    for _ in range(repeats):
        found = measure_edges(exposed(image, rng, electrons=25000), scene.view_matrix, scene.board, core=CORE,
                              coc=1.2 * truth + 1 if guess is None else guess, **options)
        deviations.append(found.coc[found.ok] - truth)
        sigmas.append(found.sigma[found.ok])
    return np.concatenate(deviations), np.concatenate(sigmas)


def unbiased(deviations, limit=0.005):
    """Mean within `limit` [px], two standard errors permitting."""
    return abs(deviations.mean()) <= limit + 2 * deviations.std() / math.sqrt(deviations.size)


@pytest.mark.parametrize("coc", [2.0, 4.0, 8.0, 16.0, 32.0])
def test_edges_of_20_000_electrons_scatter_by_at_most_0_015_px_without_bias(large, coc):
    deviations, _ = measured(large, coc, np.random.default_rng(int(coc)), repeats=3)
    assert deviations.size >= 40
    assert unbiased(deviations)
    assert deviations.std() <= 0.015 * (1 + 2 / math.sqrt(2 * deviations.size))


@pytest.mark.parametrize("coc", [1.0, 6.0, 14.0, 24.0])
def test_sigma_is_honest(large, coc):
    """A fifth of the light, so that the floor of sigma does not show."""
    image, rng = large.render(coc, CORE), np.random.default_rng(100 + int(coc))
    found = [measure_edges(exposed(image, rng, electrons=5000), large.view_matrix, SMALL, core=CORE, coc=coc,
                           noise=Noise(5000.0, 3.0)) for _ in range(6)]
    pulls = np.concatenate([(fits.coc - coc) / fits.sigma for fits in found])
    assert np.concatenate([fits.sigma for fits in found]).min() > FLOOR
    assert pulls.size >= 140
    assert 0.60 <= np.mean(np.abs(pulls) < 1) <= 0.76
    offsets = np.concatenate([fits.offset / fits.offset_sigma for fits in found])
    assert 0.60 <= np.mean(np.abs(offsets) < 1) <= 0.76


@pytest.mark.parametrize("mask", [GREEN, GREEN[:, ::-1], np.array([[True, False], [False, False]])])
def test_the_pixels_of_one_colour_of_a_mosaic_tell_its_blur(small, mask):
    rng = np.random.default_rng(3)
    mosaic = np.where(np.tile(mask, (235, 320)), small.render(6.0, CORE), small.render(11.0, CORE))
    deviations, _ = measured(small, mosaic, rng, truth=6.0, mask=mask, repeats=2)
    assert deviations.size >= 40
    assert unbiased(deviations)


@pytest.mark.parametrize("angle", [2.0, 4.0, 8.0, 12.0, -7.0])
def test_edges_turned_by_2_to_12_degrees_are_unbiased(angle):
    scene, rng = small_scene(angle=math.radians(angle)), np.random.default_rng(4)
    for coc in (3.0, 14.0):
        deviations, _ = measured(scene, coc, rng, repeats=2)
        assert deviations.size >= 40
        assert unbiased(deviations)


def test_curved_and_displaced_edges_are_unbiased():
    """Image points up to 3 px from where the view matrix has them, edges that sag by up to .4 px."""
    scene = small_scene(warp=lambda x, y: (x + 3 * np.cos(y * (2 * np.pi / 400)), y + 3 * np.sin(x * (2 * np.pi / 400))))
    for coc in (6.0, 14.0):
        deviations, _ = measured(scene, coc, np.random.default_rng(5), repeats=2)
        assert deviations.size >= 40
        assert unbiased(deviations)


@pytest.mark.parametrize("coc", [3.0, 14.0])
def test_light_that_falls_away_is_not_taken_for_blur(small, coc):
    """1 % per 60 px along and across, as in the corners of a fast lens."""
    y, x = np.mgrid[:470, :640]
    image = 0.8 * small.render(coc, CORE) * (1 + 0.01 / 60 * (x - 320) - 0.01 / 60 * (y - 235))
    deviations, _ = measured(small, image, np.random.default_rng(6), truth=coc, repeats=2)
    assert deviations.size >= 40
    assert unbiased(deviations)


def test_dots_and_markers_do_not_reach_into_the_regions(small):
    """Close to the widest blur that squares of 90 px have room for (22 px)."""
    rng = np.random.default_rng(7)
    deviations, sigmas = measured(small, 21.0, rng, repeats=3)
    assert deviations.size >= 40
    assert unbiased(deviations / sigmas, 0.3)


@pytest.mark.parametrize("guess", [0.0, 4.0, 7.0, 17.0, 30.0])
def test_a_wrong_guess_ends_at_the_same_blur(small, guess):
    image = exposed(small.render(12.0, CORE), np.random.default_rng(8), electrons=25000)
    near, far = (measure_edges(image, small.view_matrix, SMALL, core=CORE, coc=value, noise=NOISE) for value in (12, guess))
    assert far.ok.all()
    np.testing.assert_allclose(far.coc, near.coc, rtol=0, atol=4 * near.sigma.max())


def test_a_view_2_px_off_ends_at_the_same_blur(small):
    image = exposed(small.render(6.0, CORE), np.random.default_rng(9), electrons=25000)
    moved = np.array([[1, 0, 2.0], [0, 1, -1.0], [0, 0, 1]]) @ small.view_matrix
    near, far = (measure_edges(image, view, SMALL, core=CORE, coc=6.0, noise=NOISE) for view in (small.view_matrix, moved))
    assert far.ok.all()
    np.testing.assert_allclose(far.coc, near.coc, rtol=0, atol=4 * near.sigma.max())
    across = near.place - far.place  # along an edge both lie where their matrices have its middle
    steep = np.abs(SMALL.edges[:, 1, 1] - SMALL.edges[:, 0, 1]) > 0
    np.testing.assert_allclose(np.where(steep, across[:, 0], across[:, 1]), 0, rtol=0, atol=0.35)


def test_noise_that_is_not_given_is_found(small):
    image = exposed(small.render(6.0, CORE), np.random.default_rng(10), electrons=25000)
    found = measure_edges(image, small.view_matrix, SMALL, core=CORE, coc=6.0)
    level = np.array([0.05, 0.8])
    np.testing.assert_allclose(found.noise.variance(level), NOISE.variance(level), rtol=0.05)
    assert np.median(found.chi2_dof) == pytest.approx(1, abs=0.05)
    assert unbiased(found.coc[found.ok] - 6.0)


def test_bad_edges_are_named_and_cost_the_others_nothing(small):
    image = exposed(small.render(6.0, CORE), np.random.default_rng(11), electrons=25000)
    clean = measure_edges(image, small.view_matrix, SMALL, core=CORE, coc=6.0)
    for index in (2, 9):
        x, y = np.round(clean.place[index]).astype(int)
        image[y - 4:y + 5, x + 2:x + 5] = 0.1
    found = measure_edges(image, small.view_matrix, SMALL, core=CORE, coc=6.0)
    assert np.flatnonzero(~found.ok).tolist() == [2, 9]
    assert all("bad fit (chi2" in found.reasons[index] for index in (2, 9))
    np.testing.assert_allclose(found.coc[found.ok], clean.coc[found.ok], rtol=0, atol=0.005)


@pytest.mark.parametrize(("change", "said"), [
    (lambda image: np.minimum(1.3 * image, 1), "saturated"), (lambda image: 0.01 * image, "low contrast"),
    (lambda image: 1 - image, "low contrast"), (np.zeros_like, "low contrast"),
    (lambda image: np.full_like(image, np.nan), "too few pixels (saturated")])
def test_images_that_show_no_edges_are_refused(small, change, said):
    image = exposed(small.render(6.0, CORE), np.random.default_rng(12), electrons=25000)
    found = measure_edges(change(image), small.view_matrix, SMALL, core=CORE, coc=6.0, noise=NOISE)
    assert not found.ok.any()
    assert all(said in reason for reason in found.reasons)


def test_edges_at_the_rim_are_named(small):
    image = exposed(small.render(6.0, CORE), np.random.default_rng(13), electrons=25000)[60:, 100:]
    matrix = np.array([[1, 0, -100], [0, 1, -60], [0, 0, 1]]) @ small.view_matrix
    found = measure_edges(image, matrix, SMALL, core=CORE, coc=6.0, noise=NOISE)
    assert 1 <= np.count_nonzero(~found.ok) <= 4
    assert {reason.split("(")[0].strip() for reason in found.reasons} == {"", "at the rim of the image", "outside the image"}


@pytest.mark.parametrize(("coc", "guess"), [(30.0, 30.0), (30.0, 15.0), (60.0, 60.0)])
def test_blur_without_room_is_nan(small, coc, guess):
    image = exposed(small.render(coc, CORE), np.random.default_rng(14), electrons=25000)
    found = measure_edges(image, small.view_matrix, SMALL, core=CORE, coc=guess, noise=NOISE)
    assert np.isnan(found.coc).all() and not found.ok.any()
    assert all("no room" in reason for reason in found.reasons)


def test_a_bright_rim_of_the_pupil_is_a_gain_of_its_second_moment_within_half_a_percent(small):
    """Intensity 1 + (r^2 - 1/2) / 2: second moment 1.0408^2 times the disc's; chi2 tells it where blur is wide only."""
    def transfer(coc):
        def at(wy, wx):
            x = np.maximum(np.hypot(wy, wx) * (coc / 2), 1e-3)
            return 1.5 * j1(x) / x + 0.5 * (2 * j1(x) / x - 4 * jv(2, x) / x**2)
        return at

    rng, chi2 = np.random.default_rng(15), {}
    for coc in (2.0, 6.0, 20.0):
        image = exposed(small.render(coc, CORE, transfer(coc)), rng, electrons=25000)
        found = measure_edges(image, small.view_matrix, SMALL, core=CORE, coc=coc, noise=NOISE)
        assert found.ok.all()
        assert found.coc.mean() / coc == pytest.approx(math.sqrt((0.75 / 2 + 0.5 / 3) / 0.5), abs=0.005)
        chi2[coc] = np.median(found.chi2_dof)
    assert chi2[2.0] < 1.05 < 1.5 < chi2[20.0]


def region(coc, rng, *, black=0.025):
    """60 x 90 px of an edge of a disc, 20 000 electrons at white, ink of 3 % of the paper."""
    y, x = np.mgrid[-38:39, -53:54] + 0.3
    across, along = x * math.cos(SLANT) + y * math.sin(SLANT), y * math.cos(SLANT) - x * math.sin(SLANT)
    kept = (np.abs(across) <= 45) & (np.abs(along) <= 30)
    image = black + (0.8 - black) * EdgeProfile(CORE, "disc", SLANT).table(coc).at(across[kept])[0]
    return EdgePixels(across[kept], along[kept], exposed(image, rng, electrons=25000).astype(float), SLANT, 45, 30)


@pytest.mark.parametrize("coc", [4.0, 8.0, 16.0, 32.0])
def test_a_gaussian_fitted_to_a_disc_is_1_to_3_percent_too_wide(coc):
    rng, found = np.random.default_rng(16), []
    for _ in range(6):
        pixels, options = region(coc, rng), {"core": CORE, "noise": NOISE, "blur": "gaussian"}
        near = find_edge(pixels, [coc], most=60.0, **options)
        found.append(fit_edge(pixels, near, fall=Fall(sigma=1e-7), **options).coc / (2 * coc))  # 2 std / coc, std = coc / 4
    assert 0.51 - 0.003 <= np.mean(found) <= 0.515 + 0.003


def test_an_edge_takes_20_ms_at_most(large):
    image = exposed(large.render(12.0, CORE), np.random.default_rng(18), electrons=25000)
    start = time.process_time()
    found = measure_edges(image, large.view_matrix, SMALL, core=CORE, coc=15.0)
    assert (time.process_time() - start) / len(found.index) < 0.02


@pytest.mark.parametrize(("options", "said"), [
    ({"coc": -1.0}, "coc"), ({"coc": math.nan}, "coc"), ({"mask": np.zeros((2, 2), bool)}, "mask"),
    ({"mask": np.ones((3, 2), bool)}, "mask"), ({"core": -0.1}, "core"), ({"image": np.zeros((4, 470, 640))}, "image"),
    ({"view_matrix": np.full((3, 3), np.nan)}, "finite 3 x 3 matrix"), ({"view_matrix": np.diag([-1.0, 1, 1])}, "mirrored")])
def test_bad_input_is_named(small, options, said):
    flat = np.full((470, 640), 0.5, np.float32)
    given = {"image": flat, "view_matrix": small.view_matrix, "core": CORE, "coc": 5.0, **options}
    with pytest.raises(ValueError, match=said):
        measure_edges(given.pop("image"), given.pop("view_matrix"), SMALL, **given)
