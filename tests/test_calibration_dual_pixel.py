"""kappa and focus of a dual-pixel sensor from simulated flats whose field is known: the shifts of tiles, and the field."""

import math
from dataclasses import replace

import numpy as np
import pytest
from flats import DISTANCES, FOCUS, GRID, KAPPA, LENS, SHAPE, flat, flat_views, texture

from calibration.dual_pixel.flats import Flat
from calibration.dual_pixel.job import fit_field
from calibration.dual_pixel.tiles import measure_tiles
from dfd.psf import IDEAL_KAPPA, Psf
from dfd.settings import CameraSettings

# -- disparity of tiles


@pytest.mark.parametrize("disparity", [-7.3, -0.62, 0.0, 0.25, 1.5, 12.4])
def test_tiles_measure_a_shift_in_size_and_sign(rng, disparity):
    views = flat_views(rng, 1.0, disparity / LENS.blur_rate / 0.1, np.full((1, 1), 0.9), noise=0.002)  # coc = 0.1 blur_rate
    tiles = measure_tiles(*views, (2, 3))
    np.testing.assert_allclose(tiles.disparity, disparity, atol=0.03)  # px
    assert (np.abs(tiles.disparity - disparity) < 4 * tiles.sigma + 0.002).all()


def test_noise_pulls_tiles_neither_to_zero_nor_to_half_pixels(rng):
    for disparity in (0.3, 0.7, 1.0):
        views = flat_views(rng, 1.0, disparity / LENS.blur_rate / 0.1, np.full((1, 1), 0.9), noise=0.03, shape=(256, 384))
        tiles = measure_tiles(*views, (2, 3))
        assert tiles.sigma.mean() < 0.05  # px
        assert abs(np.mean(tiles.disparity) - disparity) < 3 * tiles.sigma.mean() / math.sqrt(6)


def test_gain_vignetting_and_unknown_pixels_do_not_move_a_tile(rng):
    views = flat_views(rng, 1 / 0.6, KAPPA, FOCUS)
    plain = measure_tiles(*views, GRID)
    x = np.linspace(-1, 1, SHAPE[1])
    odd = views * np.stack([1.05 + 0.04 * x, 0.97 - 0.05 * x])[:, None]
    odd[0, 20:40, 30:60] = np.nan
    odd[1, 100:120, 100:140] = np.nan
    found = measure_tiles(*odd, GRID)
    np.testing.assert_allclose(found.disparity, plain.disparity, atol=4 * float(plain.sigma.max()))
    odd[0, :64, :64] = np.nan
    assert np.argwhere(np.isnan(measure_tiles(*odd, GRID).disparity)).tolist() == [[0, 0]]


def test_a_tile_without_texture_is_unknown(rng):
    scene = texture(rng)
    scene[:80, :80] = 0.5
    tiles = measure_tiles(*(scene + rng.normal(0, 0.004, (2, *SHAPE))), GRID)
    assert not tiles.sigma[0, 0] < 0.2  # px, or NaN
    assert tiles.sigma[2, 3] < 0.03
    assert np.isnan(measure_tiles(*np.full((2, *SHAPE), 0.5), GRID).disparity).all()
    with pytest.raises(ValueError, match="--tiles"):
        measure_tiles(scene, scene, (7, 7))


# -- the field


def test_one_sigma_holds_68_percent_of_the_errors_of_kappa_and_focus():
    """Over seeds of texture and noise, one field; the surfaces are the tiles themselves."""
    pulls = {"kappa": [], "focus": []}
    even = np.full(GRID, 0.2)
    for seed in range(16):
        rng = np.random.default_rng(seed)
        field = fit_field([flat(rng, distance, kappa=even, focus=np.full(GRID, 1.02)) for distance in DISTANCES])
        assert field.usable.all()
        for name, truth in (("kappa", 0.2), ("focus", 1.02)):
            surface = getattr(field, name)
            pulls[name] += list(((surface.values - truth) / surface.sigma).ravel())
    for name, pull in pulls.items():
        pull = np.abs(pull)
        assert 0.60 <= np.mean(pull < 1) <= 0.76, (name, np.mean(pull < 1))
        assert 0.88 <= np.mean(pull < 2) <= 0.99, (name, np.mean(pull < 2))


def test_distances_that_err_within_their_sigma_are_covered():
    """Distances wrong by 5 mm move every tile of a flat together; sigma says so."""
    pulls = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        flats = [flat(rng, distance, kappa=np.full(GRID, 0.2), focus=np.full(GRID, 1.02), sigma=0.02, noise=0.002,
                      inverse_depth=1 / (distance + 0.02 * rng.standard_normal())) for distance in DISTANCES]
        field = fit_field(flats)
        pulls += [float(np.mean(field.focus.values - 1.02)) / float(field.focus.sigma.mean())]
    assert 0.4 <= np.std(pulls) <= 1.3 and np.max(np.abs(pulls)) < 3


def test_a_known_field_is_found_tile_by_tile(rng):
    field = fit_field([flat(rng, distance, noise=0.002) for distance in DISTANCES])
    np.testing.assert_allclose(field.kappa.values, KAPPA, atol=0.008)  # disparity / coc
    np.testing.assert_allclose(field.focus.values, FOCUS, atol=0.03)  # dioptre
    assert field.chi2_dof is None and field.warnings == ()


def test_ideal_half_pupils_have_kappa_0_424(rng):
    """The shift of least squares is that of the centroids within a few percent, where the views are half discs."""
    wy, wx = 2 * np.pi * np.fft.fftfreq(SHAPE[0])[:, None], 2 * np.pi * np.fft.rfftfreq(SHAPE[1])
    flats = []
    for distance in DISTANCES:
        coc, spectrum = LENS.coc(1 / distance), np.fft.rfft2(texture(rng))
        views = [np.fft.irfft2(spectrum * Psf(name).otf(coc, wy, wx), SHAPE) + rng.normal(0, 0.002, SHAPE)
                 for name in ("half-left", "half-right")]
        flats.append(Flat(None, distance, 1 / distance, 0.0, LENS, CameraSettings(), measure_tiles(*views, GRID), "x",
                          SHAPE, (), ()))
    field = fit_field(flats)
    assert np.median(field.kappa.values) == pytest.approx(IDEAL_KAPPA, rel=0.04)
    assert np.median(field.focus.values) == pytest.approx(LENS.focus, abs=0.02)  # dioptre


def test_views_without_noise_have_a_field_and_finite_sigmas(rng):
    """Also where a target stands in focus, and both views are the same picture."""
    flats = [flat(rng, distance, kappa=np.full(GRID, 0.2), focus=np.full(GRID, 1.0), noise=0.0)
             for distance in (0.6, 1.0, 1.5)]
    field = fit_field(flats)
    np.testing.assert_allclose(field.kappa.values, 0.2, atol=0.002)
    assert np.isfinite(field.kappa.sigma).all() and (field.kappa.sigma > 0).all()


def test_more_distances_test_the_lines(rng):
    distances = (0.6, 0.75, 1.0, 1.5)
    field = fit_field([flat(rng, distance) for distance in distances])
    assert 0.4 < field.chi2_dof < 2 and field.warnings == ()
    wrong = [flat(rng, distance, inverse_depth=1 / 0.8 if distance == 0.75 else None, noise=0.002) for distance in distances]
    field = fit_field(wrong)
    assert field.chi2_dof > 2
    assert any("the distances contradict each other" in text for text in field.warnings)


def test_tiles_without_texture_get_the_polynomial_of_the_others(rng):
    flats = []
    for distance in DISTANCES:
        scene = texture(rng)
        scene[50:142, 50:142] = 0.5
        flats.append(flat(rng, distance, scene=scene, noise=0.004))
    field = fit_field(flats)
    assert np.argwhere(~field.usable).tolist() == [[1, 1]]
    assert field.kappa.values[1, 1] == pytest.approx(KAPPA[1, 1], abs=max(4 * field.kappa.sigma[1, 1], 0.02))
    assert field.kappa.sigma[1, 1] > 0 and any("1 of 12 tiles" in text for text in field.warnings)


def test_a_tile_that_contradicts_its_neighbours_is_left_out(rng):
    kappa = np.full(GRID, 0.2)
    kappa[2, 1] = 0.36
    field = fit_field([flat(rng, distance, kappa=kappa, focus=np.full(GRID, 1.0)) for distance in DISTANCES])
    assert not field.usable[2, 1] and field.usable.sum() >= 10
    assert field.kappa.values[2, 1] == pytest.approx(0.2, abs=0.03)
    assert any("row 3, column 2 contradicts" in text for text in field.warnings)


@pytest.mark.parametrize(("degrees", "side"), [(8, "right"), (-8, "left")])
def test_a_target_that_is_turned_is_told_with_its_angle(rng, degrees, side):
    x = (np.arange(GRID[1]) + 0.5) / GRID[1] * SHAPE[1] - SHAPE[1] / 2
    flats = []
    for distance in DISTANCES:
        turned = 1 / distance * (1 + math.tan(math.radians(degrees)) * x / LENS.fx) * np.ones(GRID)
        flats.append(flat(rng, distance, kappa=np.full(GRID, 0.2), focus=np.full(GRID, 1.0), noise=0.002,
                          inverse_depth=turned if distance == 0.6 else None))
    told = [text for text in fit_field(flats).warnings if "turned" in text]
    assert any("about the vertical axis" in text and f"nearer at the {side}" in text for text in told)
    straight = [flat(rng, distance, kappa=np.full(GRID, 0.2), focus=np.full(GRID, 1.0)) for distance in DISTANCES]
    assert not [text for text in fit_field(straight).warnings if "turned" in text]


def test_distances_from_elsewhere_than_the_pupil_are_suspected(rng):
    flats = [flat(rng, distance, inverse_depth=1 / (distance - 0.2)) for distance in DISTANCES]
    (told,) = fit_field(flats).warnings
    assert "the entrance pupil, in metres (--origin)?" in told
    (told,) = fit_field([replace(item, origin="sensor") for item in flats]).warnings
    assert "the sensor mark, in metres (--origin)?" in told


@pytest.mark.parametrize("narrow", DISTANCES)
def test_a_flat_that_is_stopped_down_among_wide_ones_is_named(rng, narrow):
    flats = [flat(rng, distance, kappa=KAPPA * (0.03 if distance == narrow else 1), noise=0.002) for distance in DISTANCES]
    told = [text for text in fit_field(flats).warnings if "is this flat stopped down?" in text]
    assert len(told) == 1 and told[0].startswith(f"at {narrow:g} m: disparity is") and "next to none" in told[0]
    assert not any("--origin" in text for text in fit_field(flats).warnings)
    focused = [flat(rng, distance, focus=np.full(GRID, 1.0), noise=0.002) for distance in (0.6, 1.0, 1.5)]
    assert fit_field(focused).warnings == ()  # no disparity is what a target in focus has
