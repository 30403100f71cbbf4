"""Dual-pixel pairs of sensors that mix their halves: kappa below the ideal, and kappa that changes over the picture."""

from dataclasses import replace

import numpy as np
import pytest

import dfd
from dfd.capture import mixed
from dfd.field import DualPixelField
from dfd.psf import IDEAL_KAPPA
from dfd.simulate import simulate_capture
from dfd.solvers import SOLVERS
from dfd.solvers.disparity_curve import contrast_of
from dfd.solvers.disparity_levels import SMOOTH

SIZE = (96, 136)
LEAST_DIFFERENCE = {1.0: 0.4305, 0.3: 0.1453}
"""Contrast of mixed halves -> shift at which they differ least, over 8 px of coc: texture of power f^-2.5, smoothed by 1 px;
from the correlation of their transfer functions, searched over shifts."""


def mixed_pair(contrast, *, scene="slant", seed=3, size=SIZE, noise=2e4):
    """(pair, truth [dioptre]) of a sensor whose views hold (1 + contrast) / 2 of one half and the rest of the other.

    contrast   a number or an (H, W) map
    """
    simulation = simulate_capture("dual-pixel", scene=scene, size=size, noise=noise, seed=seed)
    own, other = (1 + np.asarray(contrast)) / 2, (1 - np.asarray(contrast)) / 2
    left, right = simulation.radiance
    own, other = (np.atleast_3d(np.broadcast_to(share, size)).astype(np.float32) for share in (own, other))
    pair = replace(simulation, radiance=np.stack([own * left + other * right, other * left + own * right])).capture()
    kappa = float(np.mean(contrast)) * IDEAL_KAPPA
    views = [replace(view, psf=mixed(view.psf, kappa)) for view in pair.views]
    return replace(pair, views=views, kappa=kappa), simulation.truth


def away(pair, truth):
    """px of coc by which a solved slant is off, the middle and 90 of 100 known pixels."""
    def of(name, **options):
        found = SOLVERS[name].function(pair, **options)
        error = np.abs(found.values - truth)[found.valid] * pair.views[0].lens.blur_rate
        return np.median(error), np.quantile(error, 0.9), found.valid.mean()
    return of


@pytest.mark.slow
def test_likelihood_takes_a_sensor_that_mixes_its_halves():
    pair, truth = mixed_pair(0.3)
    limits = (float(truth.max()) + 0.05, float(truth.min()) - 0.05)
    middle, most, known = away(pair, truth)("likelihood", limits=limits)
    assert middle < 0.3 and most < 1.6 and known > 0.6  # px of coc
    wrong = replace(pair, views=[replace(view, psf=mixed(view.psf, IDEAL_KAPPA)) for view in pair.views], kappa=IDEAL_KAPPA)
    assert away(wrong, truth)("likelihood", limits=limits)[0] > 5 * middle


def test_the_contrast_of_a_calibrated_kappa_is_that_of_the_halves_which_show_it():
    found = {contrast: contrast_of(measured, 0.0, SMOOTH) for contrast, measured in LEAST_DIFFERENCE.items()}
    assert all(abs(found[contrast] - contrast) < 0.01 for contrast in found), found
    assert contrast_of(0.5, 0.0, SMOOTH) == 1.0


@pytest.mark.slow
def test_likelihood_takes_kappa_as_calibration_measures_it():
    pair, truth = mixed_pair(0.3)
    limits = (float(truth.max()) + 0.05, float(truth.min()) - 0.05)
    kappa = LEAST_DIFFERENCE[0.3]
    measured = replace(pair, field=DualPixelField([[kappa]], None, SIZE), kappa=None)
    assert away(measured, truth)("likelihood", limits=limits)[0] < 0.3  # px of coc


@pytest.mark.slow
def test_likelihood_and_disparity_follow_kappa_over_the_picture():
    grid = np.array([[0.5, 0.7, 0.9]])
    field = DualPixelField(grid * IDEAL_KAPPA, np.zeros_like(grid), SIZE)
    pair, truth = mixed_pair(field.over(grid, np.zeros(SIZE)))
    curved = replace(pair, field=field, kappa=None)
    limits = (float(truth.max()) + 0.05, float(truth.min()) - 0.05)
    for name, most in (("likelihood", 0.4), ("disparity", 1.0)):
        right, flat = (away(one, truth)(name, limits=limits)[0] for one in (curved, pair))
        assert right < most and right < 0.75 * flat, name  # px of coc


def test_a_pair_without_kappa_is_for_the_disparity_alone():
    pair, _ = mixed_pair(1.0, size=(64, 80))
    affine = replace(pair, kappa=None, scale="affine")
    with pytest.raises(ValueError, match="no optics or no kappa: this dual-pixel has scale affine"):
        dfd.estimate_depth(affine, solver="likelihood")
    assert dfd.estimate_depth(affine).method == "disparity"


def test_halves_farther_apart_than_half_discs_and_tall_pixels_are_for_another_solver():
    pair, _ = mixed_pair(1.0, size=(64, 80))
    with pytest.raises(ValueError, match=r"kappa \(0.48\) of this dual-pixel pair exceeds .* use --solver disparity"):
        dfd.estimate_depth(replace(pair, kappa=0.48), solver="likelihood")
    with pytest.raises(ValueError, match=r"y_scale \(2\) .* use --solver disparity"):
        dfd.estimate_depth(replace(pair, y_scale=2.0), solver="likelihood")


def test_a_pair_that_differs_along_y_is_the_same_pair_turned():
    pair, truth = mixed_pair(1.0, size=(72, 96))
    limits = (float(truth.max()) + 0.05, float(truth.min()) - 0.05)
    views = [replace(view, psf=replace(view.psf, model=model))
             for view, model in zip(pair.views, ("half-upper", "half-lower"), strict=True)]
    turned = replace(pair, images=np.ascontiguousarray(pair.images.transpose(0, 2, 1)), views=views, axis="y")
    for name in ("likelihood", "disparity"):
        one, other = (SOLVERS[name].function(item, limits=limits) for item in (pair, turned))
        both = one.valid & other.valid.T
        apart = np.abs(one.values - other.values.T)[both] / one.sigma[both]
        assert both.mean() > 0.5 and np.quantile(apart, 0.95) < 0.5, name
